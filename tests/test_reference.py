"""The slow versions agree with each other and with results worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aotconv.reference import (
    conv_reference,
    filter_image,
    filter_images_v1,
    filter_images_v2,
    filter_images_v3,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("version", [filter_images_v1, filter_images_v2, filter_images_v3])
def test_the_seeds_versions_agree_with_the_oracle(version, strides):
    images = RNG.integers(-9, 9, (3, 8, 9, 3)).astype(np.float32)
    filters = RNG.integers(-9, 9, (4, 3, 3, 5)).astype(np.float32)
    biases = RNG.integers(-9, 9, 5).astype(np.float32)
    expected = conv_reference(images, filters, biases, strides)
    result = version(images, filters, biases, strides)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(filter_image(images[0], filters, biases, strides), expected[0])


def test_the_third_version_compiles_under_numba():
    import numba

    images, filters = RNG.random((2, 6, 6, 2)), RNG.random((3, 3, 2, 4))
    compiled = numba.njit(filter_images_v3)(images, filters, RNG.random(4) * 0, (1, 1))
    np.testing.assert_allclose(compiled, conv_reference(images, filters), rtol=1e-12)


def test_the_oracle_by_hand():
    images = np.array([[1, 2], [3, 4]]).reshape(1, 2, 2, 1)
    filters = np.array([[1, 10], [100, 1000]]).reshape(2, 2, 1, 1)
    assert conv_reference(images, filters).item() == 1 + 20 + 300 + 4000
    same = conv_reference(images, filters, padding="same")[0, :, :, 0]
    assert same.tolist() == [[4321, 402], [43, 4]]
    lower = conv_reference(images, filters, padding="same_lower")[0, :, :, 0]
    assert lower.tolist() == [[1000, 2100], [3010, 4321]]
    clipped = conv_reference(images, -filters, [4000], activation="relu")
    assert clipped.item() == 0
    assert conv_reference(images, filters, [-4318], activation="relu6").item() == 3
    more = np.full((1, 1, 1, 1), -4319)
    assert conv_reference(images, filters, residual=more).item() == 2
    assert conv_reference(images, -filters, residual=more, activation="relu").item() == 0


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("valid", [321, 432]),
        ("same", [210, 321, 432, 43]),
        ("full", [100, 210, 321, 432, 43, 4]),
        ("causal", [100, 210, 321, 432]),
        (1, [210, 321, 432, 43]),
        ((2, 0), [100, 210, 321, 432]),
        (((0, 1),), [321, 432, 43]),
    ],
)
def test_the_oracle_along_one_axis_by_hand(padding, expected):
    images, filters = np.array([[1], [2], [3], [4]]), np.array([1, 10, 100]).reshape(3, 1, 1)
    assert conv_reference(images, filters, padding=padding).ravel().tolist() == expected


def test_the_oracle_along_three_axes_by_hand():
    images = np.arange(1, 9).reshape(2, 2, 2, 1)
    filters = 10 ** np.arange(8).reshape(2, 2, 2, 1, 1)
    assert conv_reference(images, filters).item() == 87654321
    strided = conv_reference(images, filters, None, 2, (1, 0, 0)).ravel()
    assert strided.tolist() == [43210000, 8765]
    full = conv_reference(images, filters, padding="full")
    assert full.shape == (3, 3, 3, 1) and full[0, 0, 0, 0] == 10**7 and full[2, 2, 2, 0] == 8


def test_the_oracles_groups_see_their_own_channels():
    images = np.array([1, 10, 100, 1000]).reshape(1, 1, 1, 4)
    filters = np.ones((1, 1, 2, 2))
    assert conv_reference(images, filters, groups=2).ravel().tolist() == [11, 1100]


@pytest.mark.parametrize(
    ("data_format", "filter_format"), [("NCW", "OIW"), ("NCHW", "OIHW"), ("NCDHW", "OIDHW")]
)
def test_the_oracles_formats_are_transposes_of_each_other(data_format, filter_format):
    rank = len(data_format) - 2
    images = RNG.random((2, *range(4, 4 + rank), 3))
    filters = RNG.random((*range(1, 1 + rank), 3, 4))
    expected = np.moveaxis(conv_reference(images, filters), -1, 1)
    first = np.moveaxis(images, -1, 1)
    for name in (data_format, "channels_first"):
        result = conv_reference(first, filters, data_format=name)
        np.testing.assert_array_equal(result, expected)
    torchs = np.moveaxis(filters, (-1, -2), (0, 1))
    result = conv_reference(first, torchs, data_format=data_format, filter_format=filter_format)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("leading", [(), (1,), (2, 3), (2, 0, 2)])
def test_the_oracle_takes_leading_axes_one_by_one(leading):
    images, filters = RNG.random((*leading, 5, 6, 2)), RNG.random((2, 3, 2, 4))
    result = conv_reference(images, filters, padding="same")
    assert result.shape == (*leading, 5, 6, 4)
    for index in np.ndindex(*leading):
        alone = conv_reference(images[index], filters, padding="same")
        np.testing.assert_array_equal(result[index], alone)
