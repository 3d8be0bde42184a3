"""Agreement with the convolution layers of Keras, recorded and live."""

import json
from pathlib import Path

import numpy as np
import pytest

import aotconv
from aotconv._tools.problem import FUNCTIONS

with np.load(Path(__file__).parent / "golden" / "keras_conv2d.npz") as archive:
    GOLDEN = dict(archive)
CASES = json.loads(GOLDEN["cases"].item())


def rounding_bound(images, filters, bias):
    """How far two summation orders may differ: each side rounds, hence the factor of two."""
    eps = np.finfo(images.dtype).eps
    terms = np.prod(filters.shape[:-1])
    bound = 2 * eps * (terms + 1) * np.abs(images).max() * np.abs(filters).max()
    return bound if bias is None else bound + eps * np.abs(bias).max()


@pytest.mark.parametrize("name", CASES)
def test_golden_keras_results(name):
    images, filters = GOLDEN[f"{name}/images"], GOLDEN[f"{name}/filters"]
    bias, expected = GOLDEN.get(f"{name}/bias"), GOLDEN[f"{name}/expected"]

    result = aotconv.conv2d(images, filters, bias, **CASES[name])

    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=0, atol=rounding_bound(images, filters, bias))


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("tensorflow", reason="live Keras layers need TensorFlow installed")
    keras = pytest.importorskip("keras", reason="live Keras layers need Keras installed")
    if keras.config.backend() != "tensorflow":
        pytest.skip("this process has Keras on another backend")
    return keras


@pytest.mark.parametrize(
    ("kernel", "strides", "padding", "dilations", "use_bias", "activation"),
    [
        ((4, 4), 1, "valid", 1, False, None),
        ((4, 4), 1, "same", 1, True, None),
        ((4, 4), 2, "valid", 1, True, "relu"),
        ((4, 4), (1, 3), "same", 1, True, "relu6"),
        ((4, 4), 1, "same", (2, 3), False, None),
        ((5,), 2, "same", 1, True, "relu"),
        ((5,), 1, "causal", 2, True, None),
        ((2, 3, 3), 1, "valid", 1, True, None),
        ((2, 3, 3), (1, 2, 2), "same", 1, True, "relu"),
    ],
)
def test_live_keras_layer(keras, kernel, strides, padding, dilations, use_bias, activation):
    rank = len(kernel)
    rng = np.random.default_rng(0)
    images = rng.random((32, *(6, 28, 28)[-rank:], 3), dtype=np.float32)
    layer = getattr(keras.layers, f"Conv{rank}D")(
        4,
        kernel,
        strides=strides,
        padding=padding,
        dilation_rate=dilations,
        use_bias=use_bias,
        activation=activation,
        kernel_initializer=keras.initializers.GlorotUniform(seed=0),
        bias_initializer=keras.initializers.RandomNormal(seed=0),
    )
    expected = np.asarray(layer(images))
    filters, *bias = layer.get_weights()

    result = FUNCTIONS[rank](
        images,
        filters,
        *bias,
        strides=strides,
        padding=padding,
        dilations=dilations,
        activation=activation,
    )

    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    assert np.isclose(result, expected, atol=1e-6).all()
