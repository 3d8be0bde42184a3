"""The gradients of pools: what they mean, for every option, layout, dtype and implementation."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from conftest import AOT_LEVELS, FEW
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import output_of, run_with_tests
from strategies import integer_values, lay_out, real_values, seeds
from test_interrupts import PREAMBLE
from test_pooling import INTEGERS, Problem, pools

import aotconv
from aotconv import gradients
from aotconv._core import pool_gradient as core

OF_AVERAGES = {rank: getattr(gradients, f"average_pool{rank}d_images") for rank in (1, 2, 3)}
OF_MAXIMA = {rank: getattr(gradients, f"max_pool{rank}d_images") for rank in (1, 2, 3)}
RUNGS = [*AOT_LEVELS, "numpy"]
rungs = st.sampled_from(RUNGS)
FLOATS = ("float32", "float64")
# A multiple of what each window of `pools` counts: of at most 9, 4 x 4, or 3 x 3 x 3 pixels.
COUNTED = 2**4 * 3**3 * 5 * 7
threads = st.sampled_from([1, 2, 3])
some = settings(max_examples=FEW)  # of pools, which take long to draw
layouts = st.sampled_from(["C", "F", "reversed", "sliced", "misaligned", "byteswapped"])


def of_average(problem: Problem, output_gradient, **more) -> np.ndarray:
    options = {**problem.options, "count_padding": problem.count_padding, **more}
    door = OF_AVERAGES[problem.rank]
    return door(output_gradient, problem.images.shape, *problem.arguments, **options)


def of_maximum(problem: Problem, output_gradient, indices, **more) -> np.ndarray:
    more["data_format"] = problem.options["data_format"]
    return OF_MAXIMA[problem.rank](output_gradient, indices, problem.images.shape, **more)


def drawn(problem: Problem, seed: int, factor: int = 1) -> tuple[Problem, np.random.Generator]:
    """The same pool of small integers times a factor."""
    rng = np.random.default_rng(seed)
    images = factor * integer_values(rng, problem.images.shape, problem.images.dtype)
    return problem._replace(images=images), rng


@given(pools(FLOATS), seeds, layouts, threads, rungs)
@some
def test_averaging_and_its_gradient_are_adjoint(problem, seed, layout, n_threads, rung):
    """<average(x), g> = <x, gradient>, exactly where quotients are whole numbers."""
    problem, rng = drawn(problem, seed, COUNTED)
    with aotconv.use(rung):
        result = np.nan_to_num(problem.average())  # of windows that count nothing
        values = COUNTED * integer_values(rng, result.shape, result.dtype)
        gradient = of_average(problem, lay_out(values, layout), threads=n_threads)
    assert gradient.shape == problem.images.shape and gradient.dtype == values.dtype
    left, right = (
        np.vdot(a.astype(np.float64), b.astype(np.float64))
        for a, b in ((result, values), (problem.images, gradient))
    )
    assert left == right


def apart(problem: Problem) -> Problem:
    """The pool with windows that have no pixels in common, nor any between their taps."""
    window, strides, padding = problem.arguments
    window = np.broadcast_to(window, problem.rank).tolist()
    strides = np.maximum(window, window if strides is None else strides).tolist()
    if not isinstance(padding, str):  # of a window that had been dilated
        padding = [
            [min(pad, k - 1) for pad in pads] for k, pads in zip(window, padding, strict=True)
        ]
    options = {**problem.options, "dilations": 1}
    return problem._replace(arguments=(window, strides, padding), options=options)


@given(pools(FLOATS), seeds, layouts, rungs)
@some
def test_windows_without_pixels_in_common_are_copied_to_the_bits_of_sums(
    problem, seed, layout, rung
):
    """Also where their number, or their padding, leaves pixels without a window; -0 becomes 0."""
    problem = apart(problem)
    problem, rng = drawn(problem, seed)
    values = integer_values(rng, problem.average().shape, problem.images.dtype)
    values[values == 1] = -0.0
    with aotconv.use(rung):
        gradient = of_average(problem, lay_out(values, layout))
        with mock.patch.object(core, "FEW_CHANNELS", 0):
            core._averages.cache_clear()
            expected = of_average(problem, values)
        core._averages.cache_clear()
    assert gradient.tobytes() == expected.tobytes()


@given(pools(FLOATS), seeds, layouts, threads, rungs)
@some
def test_maxima_and_their_gradient_are_adjoint(problem, seed, layout, n_threads, rung):
    """<max(x), g> = <x, gradient>, of the pixels that were chosen; exactly on small integers."""
    problem, rng = drawn(problem, seed)
    with aotconv.use(rung):
        result, indices = problem.maximum(return_indices=True)
        result = np.where(indices < 0, 0, result)
        values = integer_values(rng, result.shape, result.dtype)
        arrays = lay_out(values, layout), lay_out(indices, layout)
        gradient = of_maximum(problem, *arrays, threads=n_threads)
    assert gradient.shape == problem.images.shape and gradient.dtype == values.dtype
    assert np.vdot(result, values) == np.vdot(problem.images, gradient)


def by_hand(problem: Problem, values, indices) -> np.ndarray:
    """The gradient of maxima, one output after the other, in their dtype."""
    first = problem.options["data_format"].startswith(("NC", "channels_first"))
    rank, shape = problem.rank, problem.images.shape
    if not first:
        values, indices = (np.moveaxis(each, -1, -1 - rank) for each in (values, indices))
        shape = *shape[: -rank - 1], shape[-1], *shape[-rank - 1 : -1]
    result = np.zeros(shape, values.dtype)
    for at in np.ndindex(*values.shape[:-rank]):
        flat = result[at].reshape(-1)
        for place, value in zip(indices[at].ravel(), values[at].ravel(), strict=True):
            if place >= 0:
                flat[place] += value
    return result if first else np.moveaxis(result, -1 - rank, -1)


@given(pools(FLOATS), seeds, rungs, threads)
@some
def test_the_gradient_of_maxima_is_added_in_the_order_of_windows(problem, seed, rung, n_threads):
    rng = np.random.default_rng(seed)
    indices = problem.maximum(return_indices=True)[1]
    indices = np.where(rng.random(indices.shape) < 0.5, indices.max(initial=-1), indices)
    values = real_values(rng, indices.shape, problem.images.dtype)
    with aotconv.use(rung):
        found = of_maximum(problem, values, indices, threads=n_threads)
    native = values.astype(values.dtype.newbyteorder("="))
    np.testing.assert_array_equal(found, by_hand(problem, native, indices))


@given(pools(FLOATS), seeds, layouts, st.sampled_from(["C", "F", "reversed", "sliced"]))
@some
def test_bits_do_not_depend_on_rungs_threads_layouts_and_cuts(problem, seed, layout, of_out):
    rng = np.random.default_rng(seed)
    indices = problem.maximum(return_indices=True)[1]
    values = real_values(rng, indices.shape, problem.images.dtype)
    average, maximum = of_average(problem, values), of_maximum(problem, values, indices)

    def assert_same(**more):
        arrays = lay_out(values, layout), lay_out(indices, layout)
        assert of_average(problem, arrays[0], **more).tobytes() == average.tobytes()
        assert of_maximum(problem, *arrays, **more).tobytes() == maximum.tobytes()

    for rung in RUNGS:
        with aotconv.use(rung):
            assert_same()
            assert_same(threads=3)
    for expected, function in (
        (average, lambda out: of_average(problem, values, out=out)),
        (maximum, lambda out: of_maximum(problem, values, indices, out=out)),
    ):
        out = lay_out(np.full_like(expected, np.nan), of_out)
        assert function(out) is out
        np.testing.assert_array_equal(out, expected)
    limits = {"LONGEST_MICROSECONDS": 0.05, "ADDED_ELEMENTS": 7, "COPIED_ELEMENTS": 7}
    with mock.patch.multiple(core, **limits):
        forget()
        assert_same()
        with aotconv.use("numpy"):
            assert_same()
    forget()


def test_shares_that_underflow_in_halves_raise_nothing():
    gradient = np.full((1, 2, 2, 1), 6e-8, np.float16)
    with np.errstate(all="raise"):
        result = gradients.average_pool2d_images(gradient, (1, 4, 4, 1), 2, 2)
    np.testing.assert_array_equal(result, np.zeros((1, 4, 4, 1)))


def forget() -> None:
    core._averages.cache_clear()
    core._maxima.cache_clear()


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("kind", ["float16", "bfloat16", ">f4", "longdouble", *INTEGERS[:-1]])
def test_each_dtype_is_summed_and_rounded_as_documented(kind, rung):
    if kind == "bfloat16":
        pytest.importorskip("ml_dtypes")  # NumPy knows it from then on
    rng = np.random.default_rng(0)
    images = rng.integers(0, 50, (2, 7, 9, 3)).astype(np.float32)
    indices = aotconv.max_pool2d(images, 3, 1, return_indices=True)[1]
    values = rng.integers(0, 100, indices.shape).astype(kind)
    halves = kind in ("float16", "bfloat16")
    summed = np.float32 if halves else values.dtype.newbyteorder("=")
    with aotconv.use(rung):
        found = gradients.max_pool2d_images(values, indices.astype(np.int16), images.shape)
        wide = gradients.max_pool2d_images(values.astype(summed), indices, images.shape)
    assert found.dtype == values.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, wide.astype(found.dtype))
    exact = gradients.max_pool2d_images(values.astype(np.float64), indices, images.shape)
    with np.errstate(invalid="ignore"):
        expected = exact.astype(np.int64).astype(found.dtype)  # wraps
    np.testing.assert_array_equal(found, expected)
    summed = np.float64 if values.dtype.kind in "iu" else summed
    with aotconv.use(rung):
        found = gradients.average_pool2d_images(values, images.shape, 3, 1)
        wide = gradients.average_pool2d_images(values.astype(summed), images.shape, 3, 1)
    assert found.dtype == (
        np.float64 if values.dtype.kind in "iu" else values.dtype.newbyteorder("=")
    )
    np.testing.assert_array_equal(found, wide.astype(found.dtype))


with np.load(Path(__file__).parent / "golden" / "torch_pool_gradients.npz") as archive:
    GOLDEN = dict(archive)
CASES = json.loads(GOLDEN["cases"].item())


@pytest.mark.parametrize("name", CASES)
def test_pytorch_gives_the_same(name):
    """Recorded by golden/make_pool_gradient_golden.py."""
    rank, kind, shape, window, strides, padding, dilations, ceil = CASES[name]
    given, options = GOLDEN[f"{name}/output_gradient"], {"data_format": "channels_first"}
    if kind == "max":
        found = OF_MAXIMA[rank](given, GOLDEN[f"{name}/indices"], shape, **options)
    else:
        options |= {"count_padding": kind == "counted", "ceil_mode": ceil, "dilations": dilations}
        found = OF_AVERAGES[rank](given, shape, window, strides, padding, **options)
    np.testing.assert_array_equal(found, GOLDEN[f"{name}/gradient"])


def test_gradients_by_hand():
    ones = np.ones((3, 1), np.float32)
    found = gradients.average_pool1d_images(ones, (5, 1), 2, 2, 1, count_padding=True)
    assert found.ravel().tolist() == [0.5] * 5
    found = gradients.average_pool1d_images(ones, (5, 1), 2, 2, ceil_mode=True)
    assert found.ravel().tolist() == [0.5, 0.5, 0.5, 0.5, 1]
    places = np.array([[1], [-1], [1]])
    found = gradients.max_pool1d_images(ones, places, (4, 1))
    assert found.ravel().tolist() == [0, 2, 0, 0]


def test_windows_without_pixels_add_nothing():
    """Taps at -3 and 1, -2 and 2, -1 and 3, 0 and 4 of two pixels."""
    options = {"window": 2, "strides": 1, "padding": 3, "dilations": 4}
    given = np.array([[1.0], [np.inf], [np.nan], [8.0]])
    found = gradients.average_pool1d_images(given, (2, 1), **options)
    assert found.ravel().tolist() == [8, 1]


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (2, 4, 4, 0), (2, 0, 0, 3)])
def test_of_nothing_there_is_no_gradient_or_zeros(shape):
    pooled = (*shape[:1], *(size // 2 for size in shape[1:3]), shape[3])
    options = {"padding": "same"}
    result = aotconv.average_pool2d(np.ones(shape), 2, **options)
    assert result.shape == pooled
    assert gradients.average_pool2d_images(result, shape, 2, **options).shape == shape
    places = np.full(pooled, -1)
    assert gradients.max_pool2d_images(result, places, shape).shape == shape
    none = np.zeros((*shape[:1], 0, 0, shape[3]))
    found = gradients.max_pool2d_images(none, none.astype(int), (shape[0], 4, 4, shape[3]))
    assert not found.any() and found.shape == (shape[0], 4, 4, shape[3])


GIVEN, PLACES, SHAPE = np.ones((2, 3, 3, 4)), np.zeros((2, 3, 3, 4), int), (2, 6, 6, 4)
OF_BOTH = {
    "output_gradient must hold": {"output_gradient": GIVEN.astype(complex)},
    "output_gradient must hold integers": {"output_gradient": GIVEN > 0},
    "output_gradient must be an array": {"output_gradient": [[1, [2]]]},
    "output_gradient must be without a mask": {"output_gradient": np.ma.ones(GIVEN.shape)},
    "images_shape must be a tuple": {"images_shape": 3},
    "images_shape must have 3 to": {"images_shape": (6, 6)},
    "each size of images_shape must be an integer": {"images_shape": (2, 6.0, 6, 4)},
    "each size of images_shape must be at least 0": {"images_shape": (2, -6, 6, 4)},
    "data_format must be": {"data_format": "NWC"},
    "threads must be at least 1": {"threads": 0},
    "out must have the result's shape": {"out": np.ones((2, 6, 5, 4))},
    "out must have the result's dtype": {"out": np.ones(SHAPE, np.float32)},
    "out must be a NumPy array": {"out": [0]},
    "out must be writeable": {"out": np.broadcast_to(0.0, SHAPE)},
    "there is no argument stride": {"stride": 2},
}
OF_AVERAGE = {
    "output_gradient must have the shape of the pool": {"output_gradient": np.ones((2, 3, 2, 4))},
    "window must be at least 1": {"window": 0},
    "window must fit into": {"window": 7},
    "strides must be": {"strides": "2"},
    "padding must be less than the window": {"padding": 2},
    "padding must be one of": {"padding": "causal"},
    "dilations must be at least 1": {"dilations": 0},
    "ceil_mode must be True or False": {"ceil_mode": 1},
    "count_padding must be True or False": {"count_padding": None},
}
OF_MAXIMUM = {
    "images_shape must agree with output_gradient": {"images_shape": (2, 6, 6, 5)},
    "images_shape must agree with": {"images_shape": (1, 2, 6, 6, 4)},
    "output_gradient must have at least 3 axes": {"output_gradient": np.ones((3, 4))},
    "indices must hold integers": {"indices": PLACES.astype(float)},
    "indices must be an array": {"indices": [[1, [2]]]},
    "indices must have output_gradient's shape": {"indices": PLACES[:, :2]},
    "indices must be places .* got 36": {"indices": PLACES + 36},
    "indices must be places .* got -2": {"indices": PLACES - 2},
    "indices must be places .* got 18446744073709551615": {
        "indices": np.full(PLACES.shape, 2**64 - 1, np.uint64)
    },
}
REFUSED = [
    *((door, message, wrong) for door in "am" for message, wrong in OF_BOTH.items()),
    *(("a", message, wrong) for message, wrong in OF_AVERAGE.items()),
    *(("m", message, wrong) for message, wrong in OF_MAXIMUM.items()),
]


@pytest.mark.parametrize(("door", "message", "wrong"), REFUSED, ids=lambda each: str(each)[:40])
def test_what_does_not_fit_is_refused_by_name_and_nothing_is_written(door, message, wrong):
    written = np.full(SHAPE, 7.0)
    arguments = {"output_gradient": GIVEN, "images_shape": SHAPE, "out": written}
    arguments |= {"window": 2} if door == "a" else {"indices": PLACES}
    function = OF_AVERAGES[2] if door == "a" else OF_MAXIMA[2]
    function(**arguments)
    written[...] = 7
    with pytest.raises((TypeError, ValueError), match=message):
        function(**arguments | wrong)
    assert (written == 7).all()


@pytest.mark.parametrize("shift", [0, 1, 17])
def test_out_may_overlap_what_is_read(shift):
    memory = np.zeros(60)
    given, out = memory[shift : shift + 16].reshape(4, 4, 1), memory[:36].reshape(6, 6, 1)
    given[...] = np.arange(16).reshape(4, 4, 1)
    expected = gradients.average_pool2d_images(given.copy(), out.shape, 3, 1)
    assert gradients.average_pool2d_images(given, out.shape, 3, 1, out=out) is out
    np.testing.assert_array_equal(out, expected)
    memory = np.zeros(60, np.int64)
    places, out = memory[shift : shift + 16].reshape(4, 4, 1), memory[:36].reshape(6, 6, 1)
    places[...] = np.arange(16).reshape(4, 4, 1) * 2
    ones = np.ones((4, 4, 1), np.int64)
    expected = gradients.max_pool2d_images(ones, places.copy(), out.shape)
    assert gradients.max_pool2d_images(ones, places, out.shape, out=out) is out
    np.testing.assert_array_equal(out, expected)


GUARDED = """
import numpy as np, aotconv
from guarded import Pages
from aotconv import gradients
from aotconv._core import pool_gradient as core
rng, count = np.random.default_rng(0), 0
for number in range({cases}):
    kind = ("float32", "float64")[number % 2]
    n, c = (int(rng.integers(1, most)) for most in (4, 40))
    sizes, pooled = (tuple(int(k) for k in rng.integers(1, most, 2)) for most in (9, 7))
    core.LONGEST_MICROSECONDS = (20_000, 0.1)[number % 3 == 0]
    core._maxima.cache_clear()
    at_end = (bool(rng.random() < 0.5) for _ in range(3))
    given = Pages((n, *pooled, c), kind, next(at_end))
    places = Pages((n, *pooled, c), np.int64, next(at_end))
    out = Pages((n, *sizes, c), kind, next(at_end))
    given.array[...] = rng.integers(-9, 9, given.array.shape)
    ends = rng.choice([-1, 0, sizes[0] * sizes[1] - 1], places.array.shape)
    drawn = rng.integers(-1, sizes[0] * sizes[1], places.array.shape)
    places.array[...] = np.where(rng.random(ends.shape) < 0.3, ends, drawn)
    given.freeze(), places.freeze()
    with aotconv.use("numpy"):
        arrays = given.array.copy(), places.array.copy()
        expected = gradients.max_pool2d_images(*arrays, out.array.shape)
    arguments = given.array, places.array, out.array.shape
    gradients.max_pool2d_images(*arguments, out=out.array, threads=int(rng.integers(1, 4)))
    assert (out.array == expected).all() and out.spoiled() == 0, number
    count += 1
print(count)
"""


@pytest.mark.parametrize("level", AOT_LEVELS)
def test_what_is_added_keeps_to_its_arrays(level):
    done = run_with_tests(GUARDED.replace("{cases}", "300"), AOTCONV_IMPLEMENTATION=level)
    assert done.returncode == 0 and done.stdout.strip() == "300", done.stderr


INTERRUPTED = {
    "averages": "average_pool2d_images(given, (4000, 448, 448, 64), 2)",
    "few channels": "average_pool2d_images(given, (64000, 448, 448, 4), 2)",
    "maxima": "max_pool2d_images(given, places, (4000, 448, 448, 64))",
    "one row": "max_pool1d_images(given.reshape(1, -1, 1), places.reshape(1, -1, 1), (1, 10, 1))",
}


@pytest.mark.parametrize("rung", [None, "numpy"])
@pytest.mark.parametrize("case", INTERRUPTED)
def test_an_interrupt_is_answered_within_a_second(case, rung):
    shape = (64000, 224, 224, 4) if case == "few channels" else (4000, 224, 224, 64)
    code = f"""{PREAMBLE}
from aotconv import gradients
real = np.empty
np.empty = lambda shape, dtype=float: (
    huge(shape, dtype) if np.prod(shape) > 1e8 else real(shape, dtype)
)
given = huge({shape}, "float32")
places = huge({shape}, "int64") if {case!r} in ("maxima", "one row") else None
seconds = interrupted(lambda: gradients.{INTERRUPTED[case]})
assert seconds < 1, seconds
"""
    output_of(code, **({} if rung is None else {"AOTCONV_IMPLEMENTATION": rung}))
