"""The slow versions agree with each other and with results worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aotconv.reference import (
    conv2d_reference,
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
    expected = conv2d_reference(images, filters, biases, strides)
    result = version(images, filters, biases, strides)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(filter_image(images[0], filters, biases, strides), expected[0])


def test_the_third_version_compiles_under_numba():
    import numba

    images, filters = RNG.random((2, 6, 6, 2)), RNG.random((3, 3, 2, 4))
    compiled = numba.njit(filter_images_v3)(images, filters, RNG.random(4) * 0, (1, 1))
    np.testing.assert_allclose(compiled, conv2d_reference(images, filters), rtol=1e-12)


def test_the_oracle_by_hand():
    images = np.array([[1, 2], [3, 4]]).reshape(1, 2, 2, 1)
    filters = np.array([[1, 10], [100, 1000]]).reshape(2, 2, 1, 1)
    assert conv2d_reference(images, filters).item() == 1 + 20 + 300 + 4000
    same = conv2d_reference(images, filters, padding="same")[0, :, :, 0]
    assert same.tolist() == [[4321, 402], [43, 4]]
    lower = conv2d_reference(images, filters, padding="same_lower")[0, :, :, 0]
    assert lower.tolist() == [[1000, 2100], [3010, 4321]]
    clipped = conv2d_reference(images, -filters, [4000], activation="relu")
    assert clipped.item() == 0
    assert conv2d_reference(images, filters, [-4318], activation="relu6").item() == 3
    more = np.full((1, 1, 1, 1), -4319)
    assert conv2d_reference(images, filters, residual=more).item() == 2
    assert conv2d_reference(images, -filters, residual=more, activation="relu").item() == 0


def test_the_oracles_groups_see_their_own_channels():
    images = np.array([1, 10, 100, 1000]).reshape(1, 1, 1, 4)
    filters = np.ones((1, 1, 2, 2))
    assert conv2d_reference(images, filters, groups=2).ravel().tolist() == [11, 1100]


def test_the_oracles_data_formats_are_transposes_of_each_other():
    images, filters = RNG.random((2, 5, 6, 3)), RNG.random((2, 3, 3, 4))
    first = conv2d_reference(images.transpose(0, 3, 1, 2), filters, data_format="NCHW")
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), conv2d_reference(images, filters))
