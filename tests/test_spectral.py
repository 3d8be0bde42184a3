"""Convolution by Fourier transforms: beside sums in float64, at seams, within its bound, in bounded
memory."""

from __future__ import annotations

import math
import signal
import sys
import time
import tracemalloc
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import lay_out, layouts, seeds

from aotconv import ndimage
from aotconv._core import spectral
from aotconv._plan import spectral as plan
from aotconv._plan.borders import BORDERS, CONSTANT, index
from aotconv._plan.geometry import Axis

DTYPES = ("float32", "float64", "complex64", "complex128", "float16", "int16", "bool")
FREE = {1: 60, 2: 14, 3: 6}  # elements of an axis beyond a window, by the number of axes


class Problem(NamedTuple):
    """A convolution of some leading axes, drawn."""

    array: np.ndarray
    weights: np.ndarray
    axes: tuple[Axis, ...]
    value: float
    shape: tuple[int, ...]

    def __repr__(self) -> str:
        arrays = (f"{each.dtype} {each.shape}" for each in (self.array, self.weights))
        return f"<{' under '.join(arrays)}: {self.axes}, {self.value}>"

    @property
    def dtype(self) -> np.dtype:
        return spectral.computed_in(self.array.dtype, self.weights.dtype)

    def __call__(self) -> np.ndarray:
        out = np.full(self.shape, np.nan, self.dtype)
        windows = spectral.Alone(self.weights, len(self.axes), self.dtype)
        spectral.correlate(self.array, windows, self.axes, spectral.into(out), self.value)
        return out


def drawn(rng, shape, dtype) -> np.ndarray:
    values = rng.standard_normal(shape) * 4
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)


@st.composite
def axes_of(draw, rank: int) -> Axis:
    kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    size, stride = draw(st.integers(1, FREE[rank])), draw(st.integers(1, 3))
    reach = (kernel - 1) * dilation + 1
    pads = draw(st.integers(0, 2 * reach)), draw(st.integers(0, 2 * reach))
    border = draw(st.sampled_from(range(len(BORDERS))))
    return Axis.of(size, kernel, stride, dilation, pads, border)


@st.composite
def problems(draw) -> Problem:
    rank = draw(st.integers(1, 3))
    axes = tuple(draw(axes_of(rank)) for _ in range(rank))
    assume(all(axis.out > 0 for axis in axes))
    leads = [((), ()), ((3,), ()), ((2, 1), (3,)), ((2,), (2,)), ((), (2, 3))]
    lead, more = draw(st.sampled_from(leads))
    rng = np.random.default_rng(draw(seeds))
    dtypes = st.sampled_from(DTYPES)
    array = drawn(rng, (*lead, *(axis.size for axis in axes)), draw(dtypes))
    weights = drawn(rng, (*more, *(axis.kernel for axis in axes)), draw(dtypes))
    shape = (*np.broadcast_shapes(lead, more), *(axis.out for axis in axes))
    value = 2.0 if any(axis.border == CONSTANT for axis in axes) else 0.0
    array = lay_out(array, draw(layouts))
    return Problem(array, weights, axes, value, shape)


def expected(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The sums in float64, and the root of the sum of all squares that go into each."""
    array = problem.array.astype(np.complex128)
    lead, rank = array.ndim - len(problem.axes), len(problem.axes)
    for i, axis in enumerate(problem.axes):
        places = [
            [
                index(o * axis.stride - axis.before + k * axis.dilation, axis.size, axis.border)
                for k in range(axis.kernel)
            ]
            for o in range(axis.out)
        ]
        place = lead + 2 * i
        around = np.full_like(array.take([0], place), problem.value)
        array = np.concatenate([array, around], place).take(places, place)
    ends = [lead + 2 * i for i in range(rank)]
    array = array.transpose(*range(lead), *ends, *(end + 1 for end in ends))
    weights = problem.weights.reshape(
        *problem.weights.shape[: problem.weights.ndim - rank],
        *[1] * rank,
        *problem.weights.shape[problem.weights.ndim - rank :],
    )
    return (array * weights).sum(tuple(range(-rank, 0)))


def norms(problem: Problem) -> float:
    """Of all that is read, of which the elements of a section are some, however often a border
    repeats them."""
    value, repeats = problem.value, 1.0
    for axis in problem.axes:
        repeats *= axis.padded / axis.size + 1
    elements = float(np.linalg.norm(problem.array.astype(np.complex128))) * repeats**0.5
    around = abs(value) * math.prod(axis.padded for axis in problem.axes) ** 0.5
    whole = max(1, problem.array.size)
    around *= (whole / math.prod(axis.size for axis in problem.axes)) ** 0.5
    return (elements + around) * float(np.linalg.norm(problem.weights.astype(np.complex128)))


def bound(problem: Problem) -> float:
    n = 4 * max(problem.array.size, math.prod(axis.padded + 8 for axis in problem.axes))
    eps = float(np.finfo(problem.dtype).eps)
    return spectral.ERROR * eps * math.log2(2 * n) * norms(problem)


@pytest.fixture(params=["installed", "numpy"])
def engine(request, monkeypatch):
    """SciPy's transforms, where that is installed, and NumPy's."""
    if request.param == "numpy":
        monkeypatch.setitem(sys.modules, "scipy", None)
    spectral.engine.cache_clear()
    yield spectral.engine().name
    spectral.engine.cache_clear()


def small(patch: pytest.MonkeyPatch, elements: int) -> None:
    """Make sections small, so that there are many seams."""
    patch.setattr(plan, "MOST_ELEMENTS", elements)
    patch.setattr(plan, "MOST_LINE", elements)
    patch.setattr(plan, "SECTION", 0.0)
    plan.section.cache_clear()


@given(problem=problems(), elements=st.sampled_from([1, 16, 64, 1 << 18]))
def test_results_are_sums_in_float64_but_for_the_bound_however_small_sections_are(
    problem, elements
):
    with pytest.MonkeyPatch.context() as patch:
        small(patch, elements)
        result = problem()
    plan.section.cache_clear()
    want = expected(problem)
    assert (result.shape, result.dtype) == (want.shape, problem.dtype)
    # Its reference rounds, too, and halves are what they are.
    assert (abs(result - want) <= bound(problem) + 1e-12 * (1 + abs(want))).all()


@given(seed=seeds, scale=st.integers(-12, 12), rank=st.integers(1, 2), same=st.booleans())
def test_errors_are_within_the_bound_of_a_section_whatever_the_values_are(seed, scale, rank, same):
    rng = np.random.default_rng(seed)
    shape, kernel = ((700,), (50,)) if rank == 1 else ((30, 41), (7, 12))
    values = rng.standard_normal(shape)
    values *= 10.0 ** (scale * rng.random(shape))
    if same:
        values = abs(values)
    weights = rng.standard_normal(kernel)
    axes = [Axis.of(n, k, 1, 1, "valid") for n, k in zip(shape, kernel, strict=True)]
    for dtype in (np.float32, np.float64):
        outs = tuple(axis.out for axis in axes)
        problem = Problem(values.astype(dtype), weights.astype(dtype), tuple(axes), 0.0, outs)
        out = problem()
        exact, n = expected(problem).real, problem.array.size
        product = np.linalg.norm(problem.array.astype(float)) * np.linalg.norm(weights)
        most = spectral.ERROR * float(np.finfo(dtype).eps) * math.log2(2 * n) * product
        assert abs(out - exact).max() <= most


def test_both_engines_are_within_the_bound(engine):
    rng = np.random.default_rng(1)
    array, weights = rng.standard_normal((90, 120)), rng.standard_normal((31, 9))
    whole = ndimage.correlate(array, weights)
    result = ndimage.correlate(array, weights, algorithm="fft")
    product = np.linalg.norm(np.pad(array, 31, "symmetric")) * np.linalg.norm(weights)
    most = spectral.ERROR * np.finfo(float).eps * math.log2(4 * array.size) * product
    assert abs(result - whole).max() <= most
    narrow = ndimage.correlate(array.astype(np.float32), weights, algorithm="fft")
    assert narrow.dtype == np.float32
    assert abs(narrow - whole).max() <= most * 2**29


def test_lines_that_are_cut_are_those_that_are_not():
    array, weights = np.arange(5000.0) % 17, np.arange(30.0) - 9
    for mode in ("reflect", "constant", "wrap"):
        whole = ndimage.correlate1d(array, weights, mode=mode, cval=3.0)
        with pytest.MonkeyPatch.context() as patch:
            small(patch, 256)
            cut = ndimage.correlate1d(array, weights, mode=mode, cval=3.0, algorithm="fft")
        plan.section.cache_clear()
        np.testing.assert_allclose(cut, whole, rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape, kernel", [((1 << 20,), (301,)), ((1500, 1100), (9, 31))])
def test_a_nan_reaches_its_sections_alone(shape, kernel):
    array, weights = np.ones(shape, np.float32), np.ones(kernel)
    array[tuple(size // 2 for size in shape)] = np.nan
    result = ndimage.correlate(array, weights, algorithm="fft")
    reached = np.isnan(result)
    assert 0 < reached.sum() <= 4 * plan.MOST_ELEMENTS
    np.testing.assert_allclose(result[~reached], math.prod(kernel), rtol=1e-4)
    assert np.isnan(result[tuple(size // 2 for size in shape)])


@pytest.mark.parametrize(
    "shape, kernel", [((1 << 23,), (301,)), ((2000, 3000), (31, 31)), ((90, 300, 280), (5, 5, 5))]
)
def test_memory_is_of_a_few_sections(shape, kernel):
    array, out = np.zeros(shape, np.float32), np.empty(shape, np.float32)
    weights = np.ones(kernel)
    ndimage.correlate(array[:50], weights, algorithm="fft")  # loads what transforms
    tracemalloc.start()
    try:
        ndimage.correlate(array, weights, out, algorithm="fft")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 12e6 < array.nbytes


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
def test_signals_are_answered_within_a_second():
    class Stopped(Exception):
        pass

    def stop(*_):
        raise Stopped

    array = np.zeros((1 << 13, 1 << 13), np.float32)
    out = np.empty_like(array)
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        start = time.perf_counter()
        with pytest.raises(Stopped):
            ndimage.correlate(array, np.ones((31, 31)), out, algorithm="fft")
        assert time.perf_counter() - start < 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


INTEGERS = ("bool", "uint8", "int8", "int16", "uint16", "int32", "uint32")


@given(
    seed=seeds,
    dtype=st.sampled_from(INTEGERS),
    mode=st.sampled_from(["reflect", "wrap", "constant", "nearest"]),
    output=st.sampled_from([None, "int64", "uint8", "bool"]),
    saturate=st.booleans(),
)
def test_integers_are_the_exact_sums(seed, dtype, mode, output, saturate):
    rng = np.random.default_rng(seed)
    shape, kernel = rng.integers(1, 40, 2), rng.integers(1, 9, 2)
    most = 1 if dtype == "bool" else np.iinfo(dtype).max
    array = rng.integers(0, most, shape, endpoint=True).astype(dtype)
    weights = rng.integers(-3, 4, kernel)
    told = {"mode": mode, "cval": 2.0, "output": output, "saturate": saturate}
    whole = ndimage.convolve(array, weights, **told)
    np.testing.assert_array_equal(ndimage.convolve(array, weights, **told, algorithm="fft"), whole)


def test_missing_exactness_is_refused_by_name_and_nothing_is_written():
    out = np.full(6, 7, np.int64)
    cases = (
        (np.arange(6), [1, 2], {}, "is not exact for sums of int64"),
        (np.arange(6, dtype=np.int16), [0.5, 1], {"output": out}, "weights that are whole"),
        (np.arange(6.0), [1, 2], {"output": out}, "integers only of integers"),
        (np.arange(6.0), [1, 2], {"mask": np.arange(6) > 3}, "no missing elements"),
        (np.array(5.0), 2.0, {}, "arrays with an axis"),
    )
    for array, weights, told, says in cases:
        with pytest.raises(ValueError, match=f"algorithm 'fft' .*{says}"):
            ndimage.correlate(array, weights, **told, algorithm="fft")
        ndimage.correlate(array, weights, **{**told, "output": None}, algorithm="fastest")
    assert (out == 7).all()
    with pytest.raises(ValueError, match="filters of one window"):
        ndimage.gaussian_filter(np.ones((5, 5)), 2.0, algorithm="fft")


@pytest.mark.parametrize("dtype", ["float32", "complex64", "int16"])
def test_fastest_is_one_of_both_by_sizes_and_dtypes_alone(dtype, monkeypatch):
    monkeypatch.setattr(spectral, "engine", lambda: ENGINE)
    rng = np.random.default_rng(0)
    for kernel, transforms in (((3, 3), False), ((61, 61), True)):
        array = rng.integers(0, 50, (400, 500)).astype(dtype)
        weights = rng.integers(-2, 3, kernel)
        chosen = "fft" if transforms else "auto"
        results = [
            ndimage.correlate(array, weights, algorithm=each) for each in ("fastest", chosen)
        ]
        np.testing.assert_array_equal(*results)
    assert ndimage.correlate(array[:0], weights, algorithm="fastest").shape == (0, 500)


ENGINE = spectral.Engine(np.fft, "scipy", {})  # NumPy's transforms at SciPy's times


def test_a_slower_engine_is_asked_less_often():
    taps = range(20, 3000, 20)
    works = [plan.Work((plan.Reach(10**5, k, 1),), itemsize=4) for k in taps]
    chosen = {
        engine: [
            plan.is_faster(work, plan.direct(work.products, "float32"), engine) for work in works
        ]
        for engine in plan.SLOWER
    }
    assert 0 < sum(chosen["numpy"]) <= sum(chosen["scipy"]) < len(taps)
    # Once transforms are faster they stay so.
    assert all(sorted(each) == each for each in chosen.values())


def test_fast_sizes_are_the_next_even_ones_of_small_factors():
    def is_fast(n: int) -> bool:
        for factor in (2, 3, 5):
            while n % factor == 0:
                n //= factor
        return n == 1

    for size in range(1, 3000):
        want = next(n for n in range(size + size % 2, 3 * size + 2, 2) if is_fast(n))
        assert plan.fast(size) == want


reaches = st.builds(plan.Reach, st.integers(1, 10**5), st.integers(1, 400), st.integers(1, 4))


@given(
    each=st.lists(reaches, min_size=1, max_size=3),
    arrays=st.integers(1, 100),
    groups=st.integers(1, 40),
    channels=st.integers(1, 40),
    filters=st.integers(1, 40),
)
def test_sections_hold_a_window_and_no_more_elements_than_they_may(
    each, arrays, groups, channels, filters
):
    each = tuple(each)
    work = plan.Work(each, 4, arrays, groups * channels, groups * filters, groups)
    sizes = plan.section(work)
    least = math.prod(plan.fast(reach.extent) for reach in each)
    most = max(plan.MOST_ELEMENTS, 4 * math.prod(reach.extent for reach in each), least)
    assert math.prod(sizes) <= most
    elements = math.prod(sizes) * groups * max(channels, filters)
    together = plan.MOST_ELEMENTS if channels == 1 else plan.MOST_SUMMED
    assert work.together(sizes) * elements <= max(together, elements)
    for reach, size in zip(each, sizes, strict=True):
        assert reach.fits(size) >= 1
        assert size <= max(plan.fast(reach.whole), plan.fast(reach.extent))
