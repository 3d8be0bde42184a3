"""Store what Keras layers answer, for tests that run without TensorFlow.

Run by hand, with TensorFlow installed: ``python tests/golden/make_keras_golden.py``.

The archive holds, per case, ``<name>/images`` (NHWC), ``<name>/filters`` (HWIO, grouped),
``<name>/bias`` (absent when the layer has none) and ``<name>/expected``; besides these
``cases``, a JSON object from case name to the settings of the convolution, and the versions of
``keras`` and ``tensorflow`` that computed the results.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

ARCHIVE = Path(__file__).with_name("keras_conv2d.npz")
SEED = 20240

Pair = tuple[int, int]


@dataclass(frozen=True)
class Case:
    """One layer and the shape it is applied to.

    ``depth_multiplier`` set means a DepthwiseConv2D layer; ``filters`` and ``groups`` then follow
    from the channels of the images.
    """

    name: str
    images: tuple[int, int, int, int]
    kernel: Pair
    filters: int = 5
    strides: Pair = (1, 1)
    padding: str = "valid"
    dilations: Pair = (1, 1)
    groups: int = 1
    depth_multiplier: int | None = None
    use_bias: bool = True
    activation: str | None = None
    dtype: str = "float32"

    def layer(self) -> keras.layers.Layer:
        shared = {
            "kernel_size": self.kernel,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilations,
            "use_bias": self.use_bias,
            "activation": self.activation,
            "dtype": self.dtype,
        }
        if self.depth_multiplier is not None:
            return keras.layers.DepthwiseConv2D(depth_multiplier=self.depth_multiplier, **shared)
        # On the CPU, Keras compiles grouped convolutions with XLA by itself.
        return keras.layers.Conv2D(self.filters, groups=self.groups, **shared)

    def settings(self) -> dict:
        """The keyword arguments that describe the same convolution to ``aotconv.conv2d``."""
        return {
            "strides": self.strides,
            "padding": self.padding,
            "dilations": self.dilations,
            "groups": self.groups if self.depth_multiplier is None else self.images[-1],
            "activation": self.activation,
        }


# Keras refuses strides together with dilation in Conv2D, and TensorFlow's own CPU kernel refuses
# unequal strides in depthwise layers (oneDNN's accepts them, for float32): neither appears below.
CASES = [
    Case("seed_shape", (4, 28, 28, 3), (4, 4), filters=4),
    Case("kernel_1x1", (2, 7, 9, 3), (1, 1)),
    Case("kernel_1x1_stride_2", (2, 9, 8, 4), (1, 1), strides=(2, 2), use_bias=False),
    Case("kernel_2x2_same", (2, 8, 7, 3), (2, 2), padding="same"),
    Case("kernel_2x2_stride_3_same", (2, 10, 11, 3), (2, 2), strides=(3, 3), padding="same"),
    Case("kernel_3x3_relu", (2, 9, 8, 4), (3, 3), activation="relu"),
    Case("kernel_3x3_same_relu6", (2, 8, 9, 4), (3, 3), padding="same", activation="relu6"),
    Case("kernel_3x3_stride_2_same_odd", (2, 9, 9, 3), (3, 3), strides=(2, 2), padding="same"),
    Case("kernel_3x3_stride_2_same_even", (2, 8, 8, 3), (3, 3), strides=(2, 2), padding="same"),
    Case("kernel_4x4_same", (2, 9, 10, 2), (4, 4), padding="same", use_bias=False),
    Case("kernel_5x5_relu6", (2, 10, 9, 3), (5, 5), activation="relu6"),
    Case("kernel_5x5_same_beyond_image", (2, 3, 2, 3), (5, 5), padding="same"),
    Case("kernel_covers_image", (3, 4, 5, 3), (4, 5), use_bias=False),
    Case("kernel_1x5_stride_1x2", (2, 6, 13, 3), (1, 5), strides=(1, 2)),
    Case("kernel_5x1_same", (2, 9, 6, 3), (5, 1), padding="same", activation="relu"),
    Case("kernel_2x3_stride_3x1_same", (2, 11, 7, 3), (2, 3), strides=(3, 1), padding="same"),
    Case("kernel_3x4_stride_2x3", (2, 11, 12, 3), (3, 4), strides=(2, 3)),
    Case("one_channel_one_filter", (2, 8, 8, 1), (3, 3), filters=1),
    Case("many_filters", (1, 6, 5, 3), (3, 3), filters=35, padding="same"),
    Case("dilation_2", (2, 9, 10, 3), (3, 3), dilations=(2, 2)),
    Case("dilation_3_same", (2, 10, 9, 3), (3, 3), padding="same", dilations=(3, 3)),
    Case("dilation_1x3_kernel_2x4", (2, 7, 13, 3), (2, 4), dilations=(1, 3), activation="relu"),
    Case("dilation_2x1_same", (2, 9, 8, 3), (4, 3), padding="same", dilations=(2, 1)),
    Case("groups_2", (2, 8, 7, 4), (3, 3), filters=6, groups=2),
    Case(
        "groups_3_stride_2x1_same_relu", (2, 9, 8, 6), (3, 2), filters=6, groups=3,
        strides=(2, 1), padding="same", activation="relu",
    ),
    Case(
        "groups_2_dilation_2", (2, 9, 8, 4), (3, 3), filters=8, groups=2,
        dilations=(2, 2), use_bias=False,
    ),
    Case("depthwise", (2, 9, 8, 5), (3, 3), depth_multiplier=1),
    Case(
        "depthwise_stride_2_same_relu6", (2, 9, 8, 5), (5, 5), depth_multiplier=1,
        strides=(2, 2), padding="same", activation="relu6",
    ),
    Case("depthwise_multiplier_2", (2, 8, 9, 3), (3, 2), depth_multiplier=2, use_bias=False),
    Case(
        "depthwise_multiplier_2_dilation_2_same", (2, 8, 9, 3), (3, 3), depth_multiplier=2,
        padding="same", dilations=(2, 2),
    ),
    Case("float64", (2, 9, 8, 3), (3, 4), dtype="float64"),
    Case(
        "float64_stride_1x2_same_relu", (2, 9, 8, 3), (4, 3), strides=(1, 2), padding="same",
        activation="relu", dtype="float64",
    ),
    Case(
        "float64_dilation_3x2_relu6", (2, 10, 9, 3), (3, 3), dilations=(3, 2),
        activation="relu6", use_bias=False, dtype="float64",
    ),
    Case("float64_groups_2", (2, 8, 7, 4), (3, 3), filters=4, groups=2, dtype="float64"),
    Case(
        "float64_depthwise_multiplier_2_stride_2", (2, 9, 8, 3), (3, 3), depth_multiplier=2,
        strides=(2, 2), dtype="float64",
    ),
]  # fmt: skip


def arrays_of(case: Case, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw images and weights for ``case`` and add what its layer answers."""
    images = rng.standard_normal(case.images).astype(case.dtype)
    layer = case.layer()
    layer.build(images.shape)
    weights = [rng.standard_normal(weight.shape).astype(case.dtype) for weight in layer.weights]
    layer.set_weights(weights)

    filters = weights[0]
    if case.depth_multiplier is not None:
        # (KH, KW, C, M) becomes (KH, KW, 1, C * M): output channel c * M + m reads channel c.
        filters = filters.reshape(*case.kernel, 1, -1)
    arrays = {"images": images, "filters": filters}
    if case.use_bias:
        arrays["bias"] = weights[1]
    arrays["expected"] = np.asarray(layer(images))
    assert arrays["expected"].dtype == case.dtype
    return arrays


def main() -> None:
    rng = np.random.default_rng(SEED)
    archive = {
        "cases": np.array(json.dumps({case.name: case.settings() for case in CASES})),
        "keras": np.array(keras.__version__),
        "tensorflow": np.array(tf.__version__),
    }
    for case in CASES:
        for key, array in arrays_of(case, rng).items():
            archive[f"{case.name}/{key}"] = array
    np.savez_compressed(ARCHIVE, **archive)
    print(f"{ARCHIVE.name}: {len(CASES)} cases, {ARCHIVE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
