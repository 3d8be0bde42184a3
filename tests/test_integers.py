"""Integers of every type, by compiled kernels alone: sums that no float holds wrap, modulo 2**n."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from conftest import AOT_LEVELS, DRAWN
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import any_values, lay_out, layouts, problems, seeds

import aotconv
from aotconv import gradients
from aotconv._core import fallback, ladder
from aotconv._core.dtypes import Reach, clipped_in
from aotconv.reference import (
    conv_reference,
    conv_transpose_reference,
    filter_gradient_reference,
)

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
PAIRS = [
    pair for pair in itertools.product(INTEGERS, repeat=2) if np.result_type(*pair).kind in "iu"
]
DIGIT = 16  # bits, whose products are exact in float64 by thousands


def words(array) -> np.ndarray:
    """Integers modulo 2**64."""
    return np.asarray(array).astype(np.int64).view(np.uint64)


def digits(array) -> list[np.ndarray]:
    """Numbers whose multiples of powers of 2**DIGIT add up to integers, modulo 2**64."""
    return [(words(array) >> shift) % (1 << DIGIT) for shift in range(0, 64, DIGIT)]


def modulo(reference, one, other, *args, bias=None, residual=None, padding_value=0, **options):
    """What a reference in float64, of sums of products of two arrays, gives modulo 2**64."""
    total = np.zeros((), np.uint64)
    padding = digits(np.asarray(padding_value).astype(one.dtype))
    for i, j in itertools.product(range(64 // DIGIT), repeat=2):
        if i + j < 64 // DIGIT:
            more = {"padding_value": float(padding[i])} if padding_value else {}
            exact = reference(digits(one)[i], digits(other)[j], *args, **options, **more)
            total = total + (exact.astype(np.uint64) << np.uint64(DIGIT * (i + j)))
    if bias is not None:
        first = options.get("data_format", "NHWC").startswith(("NC", "channels_first"))
        shape = (-1, *[1] * (other.ndim - 2)) if first else (-1,)
        total = total + words(bias).reshape(shape)
    return total if residual is None else total + words(residual)


def clamped(values: np.ndarray, activation) -> np.ndarray:
    if activation is None:
        return values
    return np.clip(values, 0, 6 if activation == "relu6" else None)


@pytest.fixture
def kernels_alone(monkeypatch):
    """Neither NumPy's rung nor numba may compute, and nothing may warn."""

    def refuse(*_, **__):
        raise AssertionError("a slower rung computes")

    for name in ("convolve", "add_filter_gradient"):
        monkeypatch.setattr(fallback, name, refuse)
    monkeypatch.setattr(ladder, "_compiled_here", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# Rank and options of a convolution, and the shapes of images and filters.
LAYERS = {
    "one axis": (1, (2, 19, 3), (4, 3, 9), {"padding": "causal", "dilations": 2}),
    "two axes": (2, (2, 9, 8, 5), (3, 2, 5, 7), {"padding": "same", "strides": (1, 2)}),
    "three axes": (3, (4, 5, 6, 2), (2, 3, 2, 2, 3), {"padding": "full"}),
    "groups": (2, (1, 8, 9, 6), (3, 3, 2, 9), {"groups": 3, "padding": ((0, 2), (3, 1))}),
    "depthwise": (2, (1, 8, 9, 10), (3, 3, 1, 10), {"groups": 10, "padding": "same"}),
    "planes of channels": (2, (2, 5, 9, 40), (3, 3, 1, 5), {"groups": 5, "data_format": "NCHW"}),
    "reflected": (2, (2, 7, 8, 3), (3, 3, 3, 2), {"padding": 2, "padding_mode": "reflect"}),
    "beside a value": (2, (2, 7, 8, 3), (3, 3, 3, 2), {"padding": 2, "padding_value": 5}),
    "single pixels": (2, (3, 4, 5, 12), (1, 1, 12, 6), {}),
}


@pytest.mark.parametrize("level", AOT_LEVELS)
@pytest.mark.parametrize(("images", "filters"), PAIRS)
def test_every_layer_of_integers_is_computed_by_compiled_kernels(
    level, images, filters, kernels_alone
):
    rng = np.random.default_rng(1)
    for name, (rank, shape, kernel, options) in LAYERS.items():
        x, w = any_values(rng, shape, images), any_values(rng, kernel, filters)
        bias = any_values(rng, kernel[-1:], filters)
        door = getattr(aotconv, f"conv{rank}d")
        with aotconv.use(level):
            result = door(x, w, bias, **options)
            residual = any_values(rng, result.shape, images)
            added = door(x, w, bias, residual=residual, activation="relu", **options)
        assert result.dtype == np.result_type(x, w)
        expected = modulo(conv_reference, x, w, bias=bias, **options)
        np.testing.assert_array_equal(result, expected.astype(result.dtype), name)
        expected = (expected + words(residual)).astype(result.dtype)
        np.testing.assert_array_equal(added, clamped(expected, "relu"), name)


@pytest.mark.parametrize("level", AOT_LEVELS)
@pytest.mark.parametrize(("images", "filters"), PAIRS)
def test_transposed_layers_and_gradients_of_integers_are_computed_by_compiled_kernels(
    level, images, filters, kernels_alone
):
    rng = np.random.default_rng(2)
    options = {"strides": 2, "padding": 1, "dilations": (2, 1), "groups": 2}
    x, w = any_values(rng, (2, 9, 8, 6), images), any_values(rng, (3, 2, 3, 10), filters)
    shape = conv_reference(x, w, **options).shape
    made = any_values(rng, shape, images)
    size = {"output_size": x.shape[1:3]}
    with aotconv.use(level):
        back = aotconv.conv2d_transpose(made, w, **options, **size)
        of_images = gradients.conv2d_images(made, w, x.shape, **options)
        of_filters = gradients.conv2d_filters(x, made.astype(filters), w.shape, **options)
        few = made[:, :3, :3].astype(filters)
        border = {"padding": 1, "padding_mode": "wrap"}
        wrapped = gradients.conv2d_filters(x, few, (3, 2, 6, 10), 4, **border)
    expected = modulo(conv_transpose_reference, made, w, **options, **size)
    for result in (back, of_images):
        assert result.dtype == np.result_type(made, w)
        np.testing.assert_array_equal(result, expected.astype(result.dtype))
    kind = np.result_type(images, filters)
    expected = modulo(filter_gradient_reference, x, made.astype(filters), w.shape, **options)
    assert of_filters.dtype == wrapped.dtype == kind
    np.testing.assert_array_equal(of_filters, expected.astype(kind))
    bordered = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "wrap")
    expected = modulo(filter_gradient_reference, bordered, few, (3, 2, 6, 10), 4)
    np.testing.assert_array_equal(wrapped, expected.astype(kind))


@given(
    problems(INTEGERS, any_values, mixed=True),
    st.sampled_from(DRAWN),
    layouts,
    st.sampled_from([1, 3]),
)
def test_sums_of_any_integers_are_right_modulo_two_to_their_bits(problem, rung, layout, threads):
    assume(np.result_type(problem.images, problem.filters).kind in "iu")
    with aotconv.use(rung):
        result = problem.convolve(threads=threads)
        out = lay_out(np.zeros_like(result), layout)
        if out.flags.writeable and 0 not in out.strides and out.dtype == result.dtype:
            np.testing.assert_array_equal(problem.convolve(out=out), result)
    options = {name: each for name, each in problem.options.items() if name != "activation"}
    expected = modulo(
        conv_reference,
        np.asarray(problem.images),
        np.asarray(problem.filters),
        None,
        problem.strides,
        problem.padding,
        bias=problem.bias,
        residual=problem.residual,
        **options,
    ).astype(result.dtype)
    np.testing.assert_array_equal(result, clamped(expected, problem.options["activation"]))


@pytest.mark.parametrize("rung", [*AOT_LEVELS, "numpy"])
@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(("images", "largest"), [("int32", 2**24), ("uint16", 2**40)])
def test_sums_that_int64_holds_are_clipped_exactly(rung, dtype, images, largest):
    rng = np.random.default_rng(3)
    x, w = any_values(rng, (1, 9, 8, 3), images), rng.integers(-largest, largest, (3, 3, 3, 4))
    result_type = np.dtype(dtype)
    assert clipped_in(result_type, x.dtype, w.dtype, None, Reach(w, None)) == "int64"
    with aotconv.use(rung):
        result = aotconv.conv2d(x, w, dtype=dtype, saturate=True)
    sums = modulo(conv_reference, x, w).view(np.int64).ravel().tolist()
    limits = np.iinfo(dtype)
    expected = [min(max(each, limits.min), limits.max) for each in sums]
    np.testing.assert_array_equal(result.ravel(), np.array(expected, dtype))
    assert (result == limits.max).any() or dtype in ("int64", "uint64")


@pytest.mark.parametrize("rung", [*AOT_LEVELS, "numpy"])
@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_sums_beyond_64_bits_are_clipped(rung, dtype):
    limits = np.iinfo(dtype)
    ends = [limits.max, limits.max // 2 + 1, limits.min, limits.min // 2, 3, 0]
    images = np.array(ends, dtype).reshape(-1, 1)
    for factor in (2, 3, 10**9):
        with aotconv.use(rung):
            result = aotconv.conv1d(images, np.full((1, 1, 1), factor, dtype), saturate=True)
        expected = [min(max(int(each) * factor, limits.min), limits.max) for each in ends]
        assert result.ravel().tolist() == expected
    with aotconv.use(rung):  # negative sums, which uint64 has none of, whatever computes
        negative = aotconv.conv1d(
            np.array([[5], [-5]], np.int8), np.full((1, 1, 1), 7), dtype=dtype, saturate=True
        )
    assert negative.ravel().tolist() == [35, max(-35, limits.min)]


@given(seeds, st.sampled_from(DRAWN))
def test_floats_are_rounded_to_integers_of_64_bits(seed, rung):
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((40, 1)) * 2.0 ** rng.integers(0, 70, (40, 1))
    for dtype in ("int64", "uint64"):
        limits = np.iinfo(dtype)
        with aotconv.use(rung):
            result = aotconv.conv1d(images, np.ones((1, 1, 1)), dtype=dtype, saturate=True)
        expected = [min(max(round(each), limits.min), limits.max) for each in images.ravel()]
        assert result.ravel().tolist() == expected


@pytest.mark.parametrize("dtype", INTEGERS)
def test_truth_values_and_integers_are_summed(dtype, kernels_alone):
    rng = np.random.default_rng(4)
    images, filters = rng.random((1, 7, 8, 3)) < 0.5, any_values(rng, (3, 3, 3, 4), dtype)
    result = aotconv.conv2d(images, filters)
    expected = modulo(conv_reference, images.view(np.uint8), filters)
    assert result.dtype == np.result_type(np.uint8, dtype)
    np.testing.assert_array_equal(result, expected.astype(result.dtype))
