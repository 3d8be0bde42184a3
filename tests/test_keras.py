"""Agreement with the convolution layers of Keras, recorded and live."""

import json
from pathlib import Path

import numpy as np
import pytest

import aotconv

with np.load(Path(__file__).parent / "golden" / "keras_conv2d.npz") as archive:
    GOLDEN = dict(archive)
CASES = json.loads(GOLDEN["cases"].item())


def rounding_bound(images, filters, bias):
    """How far two summation orders may differ: each side rounds, hence the factor of two."""
    eps = np.finfo(images.dtype).eps
    terms = np.prod(filters.shape[:3])
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
    return pytest.importorskip("keras", reason="live Keras layers need Keras installed")


@pytest.mark.parametrize(
    ("strides", "padding", "dilations", "use_bias", "activation"),
    [
        (1, "valid", 1, False, None),
        (1, "same", 1, True, None),
        (2, "valid", 1, True, "relu"),
        ((1, 3), "same", 1, True, "relu6"),
        (1, "same", (2, 3), False, None),
    ],
)
def test_live_keras_layer(keras, strides, padding, dilations, use_bias, activation):
    rng = np.random.default_rng(0)
    images = rng.random((32, 28, 28, 3), dtype=np.float32)
    layer = keras.layers.Conv2D(
        4,
        (4, 4),
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

    result = aotconv.conv2d(
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
