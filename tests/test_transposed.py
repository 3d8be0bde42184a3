"""Transposed convolution, and the gradient of images, which is the same map."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import AOT_LEVELS, DRAWN
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_same_bits, wide
from strategies import (
    FLOATS,
    data_formats,
    filter_formats,
    integer_values,
    lay_out,
    layouts,
    leadings,
    ranks,
    real_values,
    seeds,
)

import aotconv
from aotconv.reference import conv_transpose_reference

FUNCTIONS = {1: aotconv.conv1d_transpose, 2: aotconv.conv2d_transpose, 3: aotconv.conv3d_transpose}
CLASSES = {1: aotconv.Conv1DTranspose, 2: aotconv.Conv2DTranspose, 3: aotconv.Conv3DTranspose}
FORWARD = {1: aotconv.conv1d, 2: aotconv.conv2d, 3: aotconv.conv3d}
GRADIENTS = {
    1: aotconv.gradients.conv1d_images,
    2: aotconv.gradients.conv2d_images,
    3: aotconv.gradients.conv3d_images,
}

with np.load(Path(__file__).parent / "golden" / "transposed.npz") as archive:
    GOLDEN = dict(archive)
CASES = json.loads(GOLDEN["cases"].item())


@pytest.mark.parametrize("name", CASES)
def test_results_are_those_of_pytorch_onnx_and_keras(name):
    arrays = [GOLDEN[f"{name}/{each}"] for each in ("images", "filters", "bias")]
    result = FUNCTIONS[arrays[1].ndim - 2](*arrays, **CASES[name])
    np.testing.assert_array_equal(result, GOLDEN[f"{name}/expected"])


class Problem(NamedTuple):
    """Arguments of a transposed convolution that fit together."""

    images: np.ndarray
    filters: np.ndarray
    bias: np.ndarray | None
    options: dict[str, Any]
    residual: np.ndarray | None

    @property
    def rank(self) -> int:
        return self.filters.ndim - 2

    def apply(self, **more) -> np.ndarray:
        arrays = self.images, self.filters, self.bias
        return FUNCTIONS[self.rank](*arrays, **self.options, residual=self.residual, **more)

    def expected(self) -> np.ndarray:
        arrays = map(wide, (self.images, self.filters, self.bias))
        return conv_transpose_reference(*arrays, **self.options, residual=wide(self.residual))


@st.composite
def problems(draw, dtypes=FLOATS, values=integer_values):
    """Small ones, with every option; the result has a pixel at least."""
    rank = draw(ranks)
    some = {name: [draw(st.integers(1, most)) for _ in range(rank)] for name, most in MOST.items()}
    kernel, strides, dilations, sizes = some.values()
    if draw(st.booleans()):  # windows lie side by side along rows
        strides[-1], dilations[-1] = kernel[-1], 1
    windows = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    options: dict[str, Any] = {"strides": tuple(strides), "dilations": tuple(dilations)}
    padding = draw(st.sampled_from(["valid", "same", "same_lower", "pairs"]))
    if draw(st.booleans()):
        steps = list(map(max, strides, dilations))
        more = options["output_padding"] = tuple(draw(st.integers(0, step - 1)) for step in steps)
        if padding.startswith("same"):  # of one pixel it may leave nothing
            sizes = [max(n, 2 - w % 2 - m) for n, w, m in zip(sizes, windows, more, strict=True)]
    if padding == "pairs":
        spreads = [(n - 1) * s + w for n, s, w in zip(sizes, strides, windows, strict=True)]
        before = [draw(st.integers(-4, spread - 1)) for spread in spreads]
        ends = zip(spreads, before, strict=True)
        behind = [draw(st.integers(-4, max(spread - cut - 1, -4))) for spread, cut in ends]
        padding = tuple(zip(before, behind, strict=True))
    options["padding"] = padding

    groups = options["groups"] = draw(st.sampled_from([1, 1, 2, 3]))
    group_channels, group_filters = (draw(st.sampled_from([1, 2, 5, 17])) for _ in range(2))
    dtype, rng = draw(st.sampled_from(dtypes)), np.random.default_rng(draw(seeds))
    images = values(rng, (*draw(leadings), *sizes, groups * group_channels), dtype)
    filters = values(rng, (*kernel, group_filters, groups * group_channels), dtype)
    bias = values(rng, groups * group_filters, dtype) if draw(st.booleans()) else None
    options["data_format"] = data_format = draw(data_formats(rank))
    options["filter_format"] = filter_format = draw(filter_formats(rank))
    if data_format.startswith(("NC", "channels_first")):
        images = np.ascontiguousarray(np.moveaxis(images, -1, -1 - rank))
    if filter_format.startswith("OI"):
        filters = np.ascontiguousarray(np.moveaxis(filters, (-1, -2), (0, 1)))
    images, filters = lay_out(images, draw(layouts)), lay_out(filters, draw(layouts))
    if np.dtype(dtype).kind != "c":
        options["activation"] = draw(st.sampled_from([None, "relu", "relu6"]))
    problem = Problem(images, filters, bias, options, None)
    if draw(st.booleans()):
        shape = problem.expected().shape
        problem = problem._replace(residual=lay_out(values(rng, shape, dtype), draw(layouts)))
    return problem


MOST = {"kernel": 4, "strides": 4, "dilations": 3, "sizes": 5}
INTEGERS = "int8", "uint8", "int32", "int64"


@given(problems(FLOATS + INTEGERS + ("complex64",)), st.sampled_from(DRAWN))
def test_small_integers_are_exact(problem, rung):
    with aotconv.use(rung):
        result = problem.apply()
    expected = problem.expected()
    assert result.shape == expected.shape
    top = problem.options.get("activation")
    if result.dtype.kind in "iu":  # they wrap, and are activated then
        unbounded = {**problem.options, "activation": None}
        expected = problem._replace(options=unbounded).expected()
        expected = expected.astype(np.int64).astype(result.dtype)
        if top is not None:
            expected = np.clip(expected, 0, 6 if top == "relu6" else None)
    np.testing.assert_array_equal(result, expected.astype(result.dtype))


@given(problems(("float32", "float64", "float16"), real_values))
def test_bits_do_not_depend_on_threads_batches_or_memory(problem):
    expected = problem.apply(threads=1)
    assert_same_bits(problem.apply(threads=3), expected)
    out = lay_out(np.empty_like(expected), "sliced")
    assert problem.apply(out=out) is out
    assert_same_bits(out, expected)
    for index in np.ndindex(problem.images.shape[: -problem.rank - 1]):
        residual = None if problem.residual is None else problem.residual[index]
        alone = problem._replace(images=problem.images[index], residual=residual)
        assert_same_bits(alone.apply(), expected[index])


@pytest.mark.skipif(
    not {"x86-64-v3", "x86-64-v4"} <= set(AOT_LEVELS), reason="wants two levels with FMA"
)
@given(problems(("float32", "float64"), real_values))
def test_bits_are_the_same_at_levels_with_fma(problem):
    results = []
    for level in ("x86-64-v3", "x86-64-v4"):
        with aotconv.use(level):
            results.append(problem.apply())
    assert_same_bits(*results)


@given(problems(("float32",), real_values))
def test_layers_compute_what_functions_do(problem):
    layer = CLASSES[problem.rank](problem.filters, problem.bias, **problem.options)
    expected = problem.apply()
    for same in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert_same_bits(same(problem.images, residual=problem.residual), expected)
    assert layer.output_shape(problem.images.shape) == expected.shape


@given(problems(("float32",), real_values))
def test_out_may_overlap_what_is_read(problem):
    expected = problem.apply()
    memory = np.zeros(problem.images.size + expected.size, np.float32)
    images = memory[: problem.images.size].reshape(problem.images.shape)
    images[...] = problem.images
    out = memory[images.size // 2 :][: expected.size].reshape(expected.shape)
    assert problem._replace(images=images).apply(out=out) is out
    assert_same_bits(out, expected)


PADDINGS = "valid", "same", "same_lower", "full", "pairs"


@given(st.data(), ranks, st.sampled_from(PADDINGS), seeds, st.sampled_from(DRAWN))
def test_gradients_of_images_are_the_adjoint_of_convolution(data, rank, padding, seed, rung):
    """<conv(x, w), g> = <x, dx>, exactly."""
    rng = np.random.default_rng(seed)
    kernel, strides, dilations = (tuple(rng.integers(1, 4, rank).tolist()) for _ in range(3))
    groups = data.draw(st.sampled_from([1, 2, 3]))
    if padding == "pairs":
        padding = tuple(tuple(rng.integers(0, 4, 2).tolist()) for _ in range(rank))
    windows = zip(kernel, dilations, strict=True)
    sizes = [(k - 1) * d + 1 + int(rng.integers(0, 5)) for k, d in windows]
    channels = groups * data.draw(st.sampled_from([1, 3]))
    images = integer_values(rng, (2, *sizes, channels), "float32")
    n_filters = groups * data.draw(st.sampled_from([1, 2, 9]))
    filters = integer_values(rng, (*kernel, channels // groups, n_filters), "float32")
    options = {"strides": strides, "padding": padding, "dilations": dilations, "groups": groups}
    with aotconv.use(rung):
        result = FORWARD[rank](images, filters, **options)
        gradient = integer_values(rng, result.shape, "float32")
        found = GRADIENTS[rank](gradient, filters, images.shape, **options)
    assert found.shape == images.shape
    assert np.vdot(wide(result), gradient) == np.vdot(wide(images), found)


def test_outputs_that_no_window_reaches_are_the_bias_and_the_residual():
    images, filters = np.ones((1, 2, 1), np.float32), np.full((1, 1, 1), np.inf, np.float32)
    residual = np.arange(-2, 2, dtype=np.float32).reshape(1, 4, 1)
    result = aotconv.conv1d_transpose(
        images, filters, np.float32([1]), 2, residual=residual, activation="relu"
    )
    np.testing.assert_array_equal(result.ravel(), [np.inf, 0, np.inf, 2])


def test_output_size_is_one_of_those_that_a_convolution_makes_the_images_of():
    images, filters = np.ones((4, 4, 1)), np.ones((3, 3, 1, 1))
    for size in (9, 10):
        result = aotconv.conv2d_transpose(images, filters, strides=2, output_size=size)
        assert result.shape == (size, size, 1)
    for size in (8, 11):
        with pytest.raises(ValueError, match="output_size must be one of which a convolution"):
            aotconv.conv2d_transpose(images, filters, strides=2, output_size=size)


@pytest.mark.parametrize(
    ("error", "match", "options"),
    [
        (ValueError, "padding must be one of", {"padding": "full"}),
        (ValueError, "padding must be one of", {"padding": "causal"}),
        (ValueError, "padding must leave something", {"padding": 4}),
        (ValueError, "output_padding must be less than", {"output_padding": 2, "strides": 2}),
        (ValueError, "output_padding must be at least 0", {"output_padding": -1}),
        (TypeError, "output_padding must be", {"output_padding": 0.5}),
        (ValueError, "output_padding must be None", {"output_padding": 0, "output_size": 7}),
        (ValueError, "output_size must be at least 1", {"output_size": 0}),
        (ValueError, "groups must divide the filters' last axis", {"groups": 2}),
        (ValueError, "algorithm must be one of", {"algorithm": "winograd"}),
        (ValueError, "too large to address", {"padding": -(1 << 61)}),
        (ValueError, "padding_mode is of convolutions", {"padding_mode": "reflect"}),
    ],
)
def test_what_is_wrong_is_refused_by_name(error, match, options):
    images, filters = np.ones((5, 5, 3)), np.ones((3, 3, 2, 3))
    out = np.full((7, 7, 2), 5.0)
    with pytest.raises(error, match=match):
        aotconv.conv2d_transpose(images, filters, **options, out=out)
    assert (out == 5).all()


def test_gradients_of_images_refuse_another_shape_by_name():
    gradient, filters = np.ones((2, 5, 3)), np.ones((3, 2, 3))
    for shape in [(2, 8, 2), (2, 7, 3), (1, 7, 2), (7, 2)]:
        with pytest.raises(ValueError, match="images_shape must"):
            aotconv.gradients.conv1d_images(gradient, filters, shape)
    with pytest.raises(ValueError, match="output_gradient and filters must agree"):
        aotconv.gradients.conv1d_images(gradient[..., :2], filters, (2, 7, 2))
    with pytest.raises(TypeError, match="output_gradient must"):
        aotconv.gradients.conv1d_images("gradient", filters, (2, 7, 2))


@pytest.mark.parametrize("size", [(0, 4), (3, 0), (0, 0)])
def test_the_gradient_of_images_without_pixels_amid_zeros_is_empty(size):
    filters = np.ones((1, 1, 2, 3))
    output_gradient = aotconv.conv2d(np.ones((1, *size, 2)), filters, padding=1)
    found = aotconv.gradients.conv2d_images(output_gradient, filters, (1, *size, 2), padding=1)
    assert found.shape == (1, *size, 2)


def test_a_known_gradient_is_told_from_one_of_another_shape():
    filters, gradient = np.ones((2, 1, 1), np.float32), np.ones((4, 1), np.float32)
    shapes = (8, 1), (7, 1)
    function = aotconv.gradients.conv1d_images
    for shape in [*shapes[:1] * 5, *shapes[1:] * 5, *shapes * 3]:
        found = function(gradient, filters, shape, 2, "same" if shape == (7, 1) else "valid")
        assert found.shape == shape
        assert found.sum() == 8 if shape == (8, 1) else 7
