"""Pools: literal results, the reference, what other libraries gave, and what all results keep."""

from __future__ import annotations

import functools
import inspect
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import AOT_LEVELS
from hypothesis import given
from hypothesis import strategies as st
from strategies import data_formats, lay_out, layouts, leadings, odd_strides, ranks, seeds

import aotconv
from aotconv._core import pool as core
from aotconv._plan import pool as plan
from aotconv._plan.family import SCRATCH_BYTES
from aotconv._plan.geometry import FLAT, Axis, Geometry, extent
from aotconv._plan.registry import ROWS
from aotconv.reference import pool_reference

MAXIMA = {1: aotconv.max_pool1d, 2: aotconv.max_pool2d, 3: aotconv.max_pool3d}
AVERAGES = {1: aotconv.average_pool1d, 2: aotconv.average_pool2d, 3: aotconv.average_pool3d}
DOORS = [*MAXIMA.values(), *AVERAGES.values()]
FLOATS = ("float32", "float64", "float16")
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool")
LARGEST_WINDOW = {1: 9, 2: 4, 3: 3}
RUNGS = [*AOT_LEVELS, "numpy"]
FREE_PIXELS = {1: 40, 2: 9, 3: 3}

try:
    import ml_dtypes

    BFLOAT16: Any = np.dtype(ml_dtypes.bfloat16)
except ImportError:
    BFLOAT16 = None


class Problem(NamedTuple):
    """Arguments of a pool."""

    rank: int
    images: np.ndarray
    arguments: tuple  # window, strides, padding
    options: dict[str, Any]  # dilations, ceil_mode, data_format
    count_padding: bool

    def maximum(self, **more):
        return MAXIMA[self.rank](self.images, *self.arguments, **self.options, **more)

    def average(self, **more):
        options = {**self.options, "count_padding": self.count_padding, **more}
        return AVERAGES[self.rank](self.images, *self.arguments, **options)

    def reference(self, average: bool):
        options = {**self.options, "average": average, "count_padding": self.count_padding}
        letters = {1: "W", 2: "HW", 3: "DHW"}[self.rank]
        first = options["data_format"].startswith(("NC", "channels_first"))
        options["data_format"] = f"NC{letters}" if first else f"N{letters}C"
        images = self.images.view(np.uint8) if self.images.dtype == bool else self.images
        return pool_reference(images, *self.arguments, **options)


def values_of(rng, shape, dtype, hostile=False):
    """Numbers of a dtype, many of them alike; of floats some NaN and infinite, if `hostile`."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.3
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        ends = np.array([info.min, info.max, info.max - 1, info.min + 1], dtype)
        return np.where(
            rng.random(shape) < 0.2,
            rng.choice(ends, shape),
            rng.integers(0, 9, shape).astype(dtype),
        )
    values = np.where(
        rng.random(shape) < 0.5, rng.standard_normal(shape), rng.integers(-3, 3, shape)
    )
    if hostile:
        odd = rng.choice([np.nan, np.inf, -np.inf, -0.0], shape)
        values = np.where(rng.random(shape) < 0.15, odd, values)
    return values.astype(dtype)


@st.composite
def pools(draw, dtypes=FLOATS, hostile=False, layout=layouts):
    """Pools that fit: every rank and option, small sizes around the vectors' ends."""
    rank = draw(ranks)

    def each(values):
        return draw(st.one_of(values, st.tuples(*[values] * rank)))

    window = each(st.integers(1, LARGEST_WINDOW[rank]))
    strides = draw(st.none()) if draw(st.booleans()) else each(st.integers(1, 3))
    dilations = each(st.sampled_from([1, 1, 2, 3]))
    spans = [
        extent(int(k), int(d))
        for k, d in zip(
            np.broadcast_to(window, rank), np.broadcast_to(dilations, rank), strict=True
        )
    ]
    padding: Any = draw(st.sampled_from(["valid", "same", "SAME_LOWER", "numbers", "numbers"]))
    least = spans
    if padding == "numbers":
        padding = tuple(
            draw(st.tuples(st.integers(0, s - 1), st.integers(0, s - 1))) for s in spans
        )
        least = [max(s - sum(pads), 0) for s, pads in zip(spans, padding, strict=True)]
    elif padding != "valid":
        least = [0] * rank
    sizes = [draw(st.integers(n, n + FREE_PIXELS[rank])) for n in least]
    channels = draw(st.one_of(st.integers(0, 9), st.sampled_from([16, 17, 33, 70])))
    rng = np.random.default_rng(draw(seeds))
    images = values_of(
        rng, (*draw(leadings), *sizes, channels), draw(st.sampled_from(dtypes)), hostile
    )
    data_format = draw(data_formats(rank))
    if data_format.startswith(("NC", "channels_first")):
        images = np.ascontiguousarray(np.moveaxis(images, -1, -1 - rank))
    images = lay_out(images, draw(layout))
    if draw(st.booleans()):
        images = odd_strides(images)
    options = {"dilations": dilations, "ceil_mode": draw(st.booleans()), "data_format": data_format}
    return Problem(rank, images, (window, strides, padding), options, draw(st.booleans()))


def assert_maximum(problem: Problem, result, indices) -> None:
    expected, places = problem.reference(average=False)
    assert result.dtype == expected.dtype.newbyteorder("=") or problem.images.dtype == bool
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(indices, places)
    assert indices.dtype == np.int64


@given(pools(FLOATS + INTEGERS, hostile=True))
def test_maxima_and_their_places_are_the_reference_s(problem):
    result, indices = problem.maximum(return_indices=True)
    assert_maximum(problem, result, indices)
    np.testing.assert_array_equal(problem.maximum(), result)


def assert_average(problem: Problem, result, expected) -> None:
    """Averages are within the bound that is documented."""
    taps = np.prod(np.broadcast_to(problem.arguments[0], problem.rank))
    eps = np.finfo(result.dtype).eps
    inner = max(np.finfo(np.float32).eps, eps) if eps > np.finfo(np.float32).eps else eps
    size = float(np.abs(problem.images.astype(np.float64)).max(initial=0))
    inner = min(inner, np.finfo(np.float32).eps)
    bound = (taps * inner + eps) * size
    np.testing.assert_allclose(result.astype(np.float64), expected, rtol=0, atol=bound)


@given(pools(FLOATS + INTEGERS))
def test_averages_are_within_the_bound_of_the_reference(problem):
    result, (expected, _) = problem.average(), problem.reference(average=True)
    assert result.dtype == (
        problem.images.dtype.newbyteorder("=") if problem.images.dtype.kind == "f" else np.float64
    )
    assert_average(problem, result, expected)


@pytest.mark.skipif(BFLOAT16 is None, reason="needs ml_dtypes")
@given(pools())
def test_bfloat16_is_pooled_as_float32_rounded_once(problem):
    images = problem.images.astype(BFLOAT16)
    halves, wide = (
        problem._replace(images=images),
        problem._replace(images=images.astype(np.float32)),
    )
    result, indices = halves.maximum(return_indices=True)
    expected, places = wide.maximum(return_indices=True)
    np.testing.assert_array_equal(result.astype(np.float32), expected)
    np.testing.assert_array_equal(indices, places)
    assert halves.average().dtype == BFLOAT16
    rounded = wide.average().astype(BFLOAT16)
    np.testing.assert_array_equal(halves.average().astype(np.float32), rounded.astype(np.float32))


@given(pools(FLOATS + INTEGERS, hostile=True), st.data())
def test_out_gets_the_result_in_any_layout_and_may_overlap_the_images(problem, data):
    for function in (problem.maximum, problem.average):
        expected = function()
        out = lay_out(
            np.zeros_like(expected), data.draw(st.sampled_from(["C", "F", "reversed", "sliced"]))
        )
        assert function(out=out) is out
        np.testing.assert_array_equal(out, expected)
    expected, places = problem.maximum(return_indices=True)
    size = max(problem.images.size, expected.size)
    memory = np.empty(size, expected.dtype)
    images = memory[: problem.images.size].reshape(problem.images.shape)
    out = memory[size - expected.size :].reshape(expected.shape)
    images[...] = problem.images
    result, indices = problem._replace(images=images).maximum(out=out, return_indices=True)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(indices, places)


def assert_same_bits(a, b):
    """But for NaN, which has many."""
    np.testing.assert_array_equal(a, b)
    numbers = a == a
    np.testing.assert_array_equal(np.signbit(a[numbers]), np.signbit(b[numbers]))


@given(pools(FLOATS + INTEGERS, hostile=True))
def test_all_rungs_but_numba_s_give_the_same_bits(problem):
    results = []
    for name in (*AOT_LEVELS, "numpy"):
        with aotconv.use(name):
            results.append((*problem.maximum(return_indices=True), problem.average()))
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            assert_same_bits(one, other)


@given(pools(hostile=True))
def test_results_are_the_same_for_any_number_of_threads_and_any_cut_of_the_work(problem):
    expected = *problem.maximum(return_indices=True), problem.average()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "LONGEST_MICROSECONDS", 2)
        core.pools_of.cache_clear()
        for threads in (1, 3):
            found = (
                *problem.maximum(return_indices=True, threads=threads),
                problem.average(threads=threads),
            )
            for one, other in zip(expected, found, strict=True):
                assert_same_bits(one, other)
    core.pools_of.cache_clear()


@given(pools(hostile=True))
def test_a_batch_gives_the_bits_of_its_images(problem):
    images = problem.images
    if images.ndim == problem.rank + 1 or not images.shape[0]:
        return
    expected = *problem.maximum(return_indices=True), problem.average()
    one = problem._replace(images=images[0])
    for whole, alone in zip(
        expected, (*one.maximum(return_indices=True), one.average()), strict=True
    ):
        assert_same_bits(whole[0], alone)


@given(pools(hostile=True, layout=st.just("C")))
def test_both_data_formats_give_the_same_bits(problem):
    first = problem.options["data_format"].startswith(("NC", "channels_first"))
    ends = (-1 - problem.rank, -1) if first else (-1, -1 - problem.rank)
    options = {**problem.options, "data_format": "channels_last" if first else "channels_first"}
    other = problem._replace(images=np.moveaxis(problem.images, *ends).copy(), options=options)
    for function in ("maximum", "average"):
        expected = np.moveaxis(getattr(problem, function)(), *ends)
        assert_same_bits(getattr(other, function)(), expected)


@functools.cache
def over_tails(dtype):
    """Pools over the tails of vectors, with their maxima and places; and such of small numbers,
    with their averages."""
    rng, found = np.random.default_rng(0), []
    for channels in (1, 2, 3, 8, 9, 31, 32, 33, 67):
        for strides, width in ((1, 40), (2, 75), (3, 20)):
            images = values_of(rng, (2, 5, width, channels), dtype, hostile=True)
            options = {"dilations": (1, 1), "ceil_mode": True, "data_format": "NHWC"}
            problem = Problem(2, images, (3, strides, 1), options, False)
            wide = np.nan_to_num(images.astype(np.float64), posinf=4, neginf=-4)
            few = problem._replace(images=np.clip(wide, 0, 9).round().astype(dtype))
            maxima, averages = problem.reference(average=False), few.reference(average=True)[0]
            found.append((problem, maxima, few, averages))
    return found


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS[:-1]])
def test_each_rung_pools_each_dtype_over_the_tails_of_vectors(rung, dtype):
    for problem, maxima, few, averages in over_tails(dtype):
        found = problem.maximum(return_indices=True)
        for one, expected in zip(found, maxima, strict=True):
            np.testing.assert_array_equal(one, expected)
            assert one.dtype == expected.dtype
        np.testing.assert_array_equal(problem.maximum(), found[0])
        result = few.average()
        np.testing.assert_allclose(result, averages, rtol=2 * float(np.finfo(result.dtype).eps))


with np.load(Path(__file__).parent / "golden" / "pools.npz") as archive:
    GOLDEN = dict(archive)
CASES = json.loads(GOLDEN["cases"].item())


@pytest.mark.parametrize("name", CASES)
def test_pytorch_s_and_onnx_runtime_s_results(name):
    rank, average, arguments, options = CASES[name]
    images, expected = GOLDEN[f"{rank}/images"], GOLDEN[f"{name}/expected"]
    options["data_format"] = "channels_first"
    if average:
        result = AVERAGES[rank](images, *arguments, **options)
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=0, atol=99 * 30 * 2**-23)
    else:
        result, indices = MAXIMA[rank](images, *arguments, return_indices=True, **options)
        np.testing.assert_array_equal(result, expected)
        np.testing.assert_array_equal(indices, GOLDEN[f"{name}/indices"])


def column(*values):
    return np.array(values, np.float32)[:, np.newaxis]


def test_a_window_at_the_end_in_ceil_mode_by_hand():
    signal = column(1, 2, 3, 4, 9)
    assert aotconv.max_pool1d(signal, 2).ravel().tolist() == [2, 4]
    assert aotconv.max_pool1d(signal, 2, ceil_mode=True).ravel().tolist() == [2, 4, 9]
    # It would begin in the padding behind, and does not count.
    assert aotconv.max_pool1d(signal, 2, 3, 1, ceil_mode=True).ravel().tolist() == [1, 4]
    # What it adds is never counted: of the last window three pixels, or the one inside the images.
    averages = aotconv.average_pool1d(signal, 4, 3, 1, ceil_mode=True).ravel()
    np.testing.assert_array_equal(averages, np.array([2, 16 / 3], np.float32))
    averages = aotconv.average_pool1d(signal, 4, 3, 1, ceil_mode=True, count_padding=True).ravel()
    np.testing.assert_array_equal(averages, np.array([1.5, 4], np.float32))


def test_the_first_maximum_and_the_first_nan_by_hand():
    result, indices = aotconv.max_pool1d(column(3, 5, 5, 1), 4, return_indices=True)
    assert (result.item(), indices.item()) == (5, 1)
    result, indices = aotconv.max_pool1d(column(3, np.nan, 9, np.nan), 4, return_indices=True)
    assert np.isnan(result.item()) and indices.item() == 1
    result, indices = aotconv.max_pool1d(column(-np.inf, -np.inf), 2, return_indices=True)
    assert (result.item(), indices.item()) == (-np.inf, 0)


def test_a_window_without_a_pixel_by_hand():
    options = {"strides": 1, "padding": 3, "dilations": 4}  # taps at -3 and 1, -2 and 2, ..
    for kind, lowest in ((np.float32, -np.inf), (np.int16, -(2**15)), (np.uint8, 0)):
        signal = column(7, 8).astype(kind)
        result, indices = aotconv.max_pool1d(signal, 2, return_indices=True, **options)
        assert result.ravel().tolist() == [8, lowest, lowest, 7]
        assert indices.ravel().tolist() == [1, -1, -1, 0]
        np.testing.assert_array_equal(aotconv.max_pool1d(signal, 2, **options), result)
    averages = aotconv.average_pool1d(column(7, 8), 2, **options).ravel()
    np.testing.assert_array_equal(averages, [8, np.nan, np.nan, 7])
    averages = aotconv.average_pool1d(column(7, 8), 2, count_padding=True, **options).ravel()
    assert averages.tolist() == [4, 0, 0, 3.5]


def test_integers_of_64_bits_are_compared_exactly():
    for kind, near in ((np.int64, 2**62), (np.int64, -(2**62)), (np.uint64, 2**63)):
        signal = np.array([near, near + 1, near - 1], kind)[:, np.newaxis]
        result, indices = aotconv.max_pool1d(signal, 3, return_indices=True)
        assert (result.item(), indices.item()) == (near + 1, 1)


ARRAY = np.ones((1, 6, 6, 2), np.float32)
WRONG = {
    "images": [
        "abc",
        None,
        [[1, [2]]],
        np.ones((6, 2), object),
        np.ones(3),
        np.ones((1, 6, 6, 2), "U3"),
    ],
    "window": [0, -1, 1.5, "3", None, (1, 2, 3, 4), True, 7, 2**70, [[1]]],
    "strides": [0, -1, 2.0, "1", (1, 2, 3, 4), True],
    "padding": ["full", "causal", "sam", -1, 3, 0.5, (1, 2, 3, 4), True, None],
    "dilations": [0, -2, 1.0, None, "2", False],
    "ceil_mode": [None, 1, 0, "yes", [True]],
    "count_padding": [None, 1, 0, "yes"],
    "return_indices": [None, 1, 0, "yes"],
    "data_format": ["NH", None, 3, "HWNC", "OIHW"],
    "out": [[1], np.ones(3, np.float32), np.ma.ones((1, 2, 2, 2), np.float32)],
    "threads": [0, -1, 1.5, "2", True],
    "dtype": [np.int32, "complex64", bool, "nonsense", 3],
}


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_each_wrong_argument_is_refused_by_name_and_nothing_is_written(door):
    rank = int(door.__name__[-2])
    images = np.ones((1, *[6] * rank, 2), np.float32)
    right = {"images": images, "window": 3, "out": np.full((1, *[2] * rank, 2), 5, np.float32)}
    door(**right)
    for name, values in WRONG.items():
        if name not in door.__kwdefaults__ and name not in (
            "images",
            "window",
            "strides",
            "padding",
        ):
            continue
        for value in values:
            right["out"][...] = 5
            with pytest.raises((TypeError, ValueError)) as caught:
                door(**{**right, name: value})
            assert name in str(caught.value), (value, str(caught.value))
            assert (right["out"] == 5).all()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("stride", "strides"),
        ("kernel_size", "window"),
        ("pool_size", "window"),
        ("count_include_pad", "count_padding"),
        ("dilation", "dilations"),
    ],
)
def test_other_libraries_words_are_answered_with_ours(wrong, right):
    for door in DOORS:
        says = f": say {right}" if right in inspect.signature(door).parameters else ""
        with pytest.raises(TypeError, match=f"no argument {wrong}{says}$"):
            door(np.ones((5, 5, 5, 5, 1)), 2, **{wrong: 2})
        with pytest.raises(ValueError, match="padding_mode is of convolutions"):
            door(np.ones((5, 5, 5, 5, 1)), 2, padding_mode="reflect")


def test_equal_arguments_of_other_types_are_told_apart_from_those_that_were_met():
    images = np.ones((4, 4, 1), np.float32)
    for _ in range(3):
        assert aotconv.max_pool2d(images, 2).shape == (2, 2, 1)
        with pytest.raises(TypeError, match="window must be"):
            aotconv.max_pool2d(images, 2.0)
        with pytest.raises(TypeError, match="ceil_mode must be True or False"):
            aotconv.max_pool2d(images, 2, ceil_mode=0)


def test_complex_images_are_refused():
    for door in (aotconv.max_pool1d, aotconv.average_pool1d):
        with pytest.raises(TypeError, match="images must hold integers or floats"):
            door(np.ones((4, 1), complex), 2)


ANY_FLOATS = ("float16", "float32", "float64", "longdouble", ">f4")


@given(pools(FLOATS + INTEGERS), st.sampled_from(ANY_FLOATS), st.sampled_from(RUNGS))
def test_averages_are_summed_in_the_floats_that_dtype_asks_for(problem, dtype, rung):
    """As of images that hold such floats; of halves, floats that are rounded once."""
    dtype = np.dtype(dtype).newbyteorder("=")
    summed = np.dtype(np.float32) if dtype == np.float16 else dtype
    with np.errstate(over="ignore"):
        same = problem._replace(images=problem.images.astype(summed))
        expected = same.average().astype(dtype)
    with aotconv.use(rung):
        result = problem.average(dtype=dtype)
    assert result.dtype == dtype
    assert_same_bits(result, expected)
    out = np.zeros(result.shape[::-1], dtype).T
    assert problem.average(dtype=dtype, out=out) is out
    assert_same_bits(out, expected)


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("dtype", [None, np.float64, np.float32, np.float16, np.longdouble])
def test_averages_have_the_dtype_of_numpy_s_mean(kind, dtype):
    images = np.arange(2 * 3 * 4).reshape(2, 3, 4, 1).astype(kind)
    result = aotconv.average_pool2d(images, (3, 4), dtype=dtype)
    expected = images.mean(axis=(1, 2), keepdims=True, dtype=dtype)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


@pytest.mark.skipif(BFLOAT16 is None, reason="needs ml_dtypes")
def test_averages_may_be_bfloat16_whatever_images_hold():
    for kind in (*FLOATS, *INTEGERS):
        images = np.array([[1], [0], [1], [1]]).astype(kind)
        result = aotconv.average_pool1d(images, 2, dtype=BFLOAT16)
        assert result.dtype == BFLOAT16 and result.ravel().tolist() == [0.5, 1]


def test_averages_of_integers_are_exact_beyond_float32_and_rounded_once_beyond_float64(rung):
    low = np.array([[2**24 + 1], [2**24 + 3]], np.int32)
    assert aotconv.average_pool1d(low, 2).item() == 2**24 + 2
    for kind, value in ((np.int64, -(2**62) - 511), (np.uint64, 2**63 + 1025)):
        many = np.full((4, 9), value, kind)
        np.testing.assert_array_equal(aotconv.average_pool1d(many, 1), many.astype(np.float64))


def test_longdouble_is_pooled_by_numpy():
    signal = np.array([1, 5, 2, 8], np.longdouble)[:, np.newaxis]
    assert aotconv.max_pool1d(signal, 2).ravel().tolist() == [5, 8]
    result = aotconv.average_pool1d(signal, 2)
    assert result.dtype == np.longdouble and result.ravel().tolist() == [3, 5]


@given(
    st.sampled_from([row for row in ROWS if row.family == "pool"]),
    st.sampled_from(plan.HELD),
    st.sampled_from(range(3)),
    st.integers(1, 64),
    st.integers(2, 200),
)
def test_samples_are_a_vector_at_least_and_fit_into_scratch_memory(row, held, operation, c, stride):
    row = plan.row_of(row, held)
    x = Axis.of(10_000, 3, stride, 1, "valid")
    count = plan._samples(row, Geometry(1, c, c, c, FLAT, FLAT, x), operation)
    if not count:
        return
    elements = ((count - 1) * stride + 1) * c
    assert elements >= plan.lanes_of(row, operation)
    item = plan.result_itemsize(row, operation)
    if operation == plan.INDEXED:
        item = plan.INDEX_BYTES
    assert elements * item <= plan.SAMPLES_BYTES
    assert plan.SAMPLES_OFFSET + 2 * plan.SAMPLES_BYTES <= SCRATCH_BYTES
