"""What `dtype` and `saturate` ask for: in what products are summed, and what results hold."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import AOT_LEVELS, DRAWN
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_exact
from strategies import integer_values, lay_out, real_values, seeds

import aotconv
from aotconv.reference import conv_reference

RUNGS = [*AOT_LEVELS, "numpy"]
CLIPPED = "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"


def clipped(sums, dtype):
    """Numbers as integers of a type: rounded, and between its ends; NaN is 0."""
    info, whole = np.iinfo(dtype), map(int, np.nan_to_num(np.rint(sums)).ravel())
    each = [min(max(number, info.min), info.max) for number in whole]
    return np.array(each, dtype).reshape(np.shape(sums))


def drawn(dtype, *shape, values=integer_values):
    return values(np.random.default_rng(sum(shape)), shape, dtype)


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize(
    ("images", "filters", "dtype"),
    [
        ("int8", "int8", "int32"),
        ("uint8", "int8", np.int32),
        ("uint8", "uint8", np.int16),
        ("float16", "float16", "f4"),
        ("float32", "float32", float),
        ("float64", "float32", ">f4"),
        ("float32", "float32", complex),
        ("bool", "int8", "int64"),
        ("int16", "int8", "float32"),
    ],
)
def test_results_have_the_dtype_that_was_asked_for_and_are_summed_in_it(
    rung, images, filters, dtype
):
    images, filters = drawn(images, 2, 9, 10, 5), drawn(filters, 3, 3, 5, 7)
    with aotconv.use(rung):
        result = aotconv.conv2d(images, filters, padding="same", dtype=dtype)
        layer = aotconv.Conv2D(filters, padding="same", dtype=dtype)
        np.testing.assert_array_equal(layer(images), result)
    assert result.dtype == np.dtype(dtype).newbyteorder("=")
    assert layer.dtype == result.dtype
    assert_exact(result, images.astype(float), filters.astype(float), None, 1, "same")


def test_sums_that_small_integers_would_let_wrap_do_not_in_wider_ones():
    images, filters = np.full((5, 5, 3), 255, np.uint8), np.full((3, 3, 3, 2), 127, np.int8)
    expected = np.full((3, 3, 2), 27 * 255 * 127)
    assert (expected > np.iinfo(np.int16).max).all()
    np.testing.assert_array_equal(aotconv.conv2d(images, filters, dtype=np.int32), expected)


def test_float32_images_are_summed_in_float64_where_asked():
    images, filters = (
        drawn("float32", 40, 40, 16, values=real_values),
        drawn("float32", 3, 3, 16, 4, values=real_values),
    )
    expected = conv_reference(images, filters)
    result = aotconv.conv2d(images, filters, dtype=np.float64)
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)


@given(
    st.sampled_from(CLIPPED),
    st.sampled_from(["uint8", "int16", "float32", "float64"]),
    st.sampled_from(["C", "F", "sliced", "reversed", "misaligned"]),
    seeds,
    st.sampled_from(DRAWN),
)
def test_integers_are_rounded_to_nearest_even_and_clipped(dtype, images, layout, seed, rung):
    rng = np.random.default_rng(seed)
    source = lay_out(rng.integers(0, 200, (2, 6, 7, 3)).astype(images), layout)
    filters = rng.integers(-40, 41, (3, 3, 3, 5)) * 2.0 ** rng.integers(-6, 20)
    filters = filters.astype("float64" if np.dtype(dtype).itemsize >= 4 else "float32")
    expected = clipped(conv_reference(source, filters, padding=1), dtype)
    out = lay_out(np.zeros(expected.shape, dtype), layout)
    with aotconv.use(rung):
        aotconv.conv2d(source, filters, padding=1, dtype=dtype, saturate=True, out=out)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("rung", RUNGS)
def test_integers_saturate_where_they_would_wrap_then_are_activated(rung):
    images = np.array([[100], [-100], [1], [-1]], np.int8)
    filters, residual = np.full((1, 1, 1), 2, np.int8), np.full((4, 1), 1, np.int8)
    with aotconv.use(rung):
        options = {"residual": residual, "saturate": True}
        result = aotconv.conv1d(images, filters, **options)
        np.testing.assert_array_equal(result.ravel(), [127, -128, 3, -1])
        result = aotconv.conv1d(images, filters, **options, activation="relu6")
        np.testing.assert_array_equal(result.ravel(), [6, 0, 3, 0])
        result = aotconv.conv1d_transpose(
            images, filters, strides=2, **options | {"residual": None}
        )
        np.testing.assert_array_equal(result.ravel(), [127, 0, -128, 0, 2, 0, -2, 0])


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("dtype", CLIPPED)
def test_numbers_beyond_all_ends_are_clipped_and_nan_is_zero(rung, dtype):
    images = np.array([np.nan, np.inf, -np.inf, 3e9, -3e9, 5e9, 0.5, 1.5, 2.5, -0.5, -1.5])
    images = np.append(images, [2.0**63, -(2.0**63), 2.0**64, 1e30, -1e30])
    expected = clipped(images, dtype)
    for floats in ("float32", "float64"):
        with aotconv.use(rung):
            one = np.ones((1, 1, 1), floats)
            shown = images.astype(floats)[:, None]
            result = aotconv.conv1d(shown, one, dtype=dtype, saturate=True)
        np.testing.assert_array_equal(result.ravel(), expected)


@pytest.mark.parametrize(
    ("error", "match", "options"),
    [
        (TypeError, "dtype must be one to which .* saturate=True rounds", {"dtype": np.int32}),
        (TypeError, "dtype must be a dtype or None", {"dtype": "nonsense"}),
        (TypeError, "dtype must be one of integers", {"dtype": np.bool_}),
        (TypeError, "dtype must be one of integers", {"dtype": "datetime64[s]"}),
        (TypeError, "saturate must be True or False", {"saturate": 1}),
    ],
)
def test_what_cannot_be_is_refused_by_name(error, match, options):
    with pytest.raises(error, match=match):
        aotconv.conv2d(np.ones((5, 5, 1)), np.ones((3, 3, 1, 1)), **options)


def test_activations_of_complex_results_are_refused():
    with pytest.raises(TypeError, match="activation 'relu' is not defined for complex results"):
        aotconv.conv1d(np.ones((5, 1)), np.ones((3, 1, 1)), dtype=complex, activation="relu")


@pytest.mark.parametrize("images", ["longdouble", "clongdouble"])
@pytest.mark.parametrize("filters", ["longdouble", "float32"])
@pytest.mark.parametrize("single", [False, True])
def test_longdouble_may_be_summed_in_less(rung, images, filters, single):
    array = integer_values(np.random.default_rng(2), (2, 5, 6, 3), images)
    weights = integer_values(np.random.default_rng(3), (3, 3, 3, 4), filters)
    kinds = ("complex64", "complex128") if images == "clongdouble" else ("float32", "float64")
    dtype = np.dtype(kinds[not single])
    for more in ({}, {"padding": 2, "padding_mode": "reflect"}):
        expected = aotconv.conv2d(array.astype(dtype), weights.astype(dtype.char.lower()), **more)
        result = aotconv.conv2d(array, weights, dtype=dtype, **more)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, expected)
