"""The functions of `signal` beside sums that NumPy forms, SciPy's words, and errors by name."""

from __future__ import annotations

import inspect
import itertools
import math
import typing
import warnings
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kept import forget
from processes import output_of
from strategies import lay_out, layouts, seeds

from aotconv import signal
from aotconv._core import direct, signals

MODES = ("full", "same", "valid")
DTYPES = (
    *("bool", "int8", "uint8", "int16", "int32", "int64", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128", "longdouble"),
)
LARGEST = {1: 20, 2: 7, 3: 5, 4: 3, 5: 3}  # sizes of axes by rank

modes = st.sampled_from(MODES)


def whole(rng, shape, dtype) -> np.ndarray:
    """Numbers whose sums are exact in all dtypes."""
    low = 0 if np.dtype(dtype).kind in "bu" else -2
    values = rng.integers(low, 3, shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.integers(-2, 3, shape)
    return values.astype(dtype)


@st.composite
def pairs(draw, mode: str, most_rank: int = 5):
    """Two arrays of as many axes, that fit together in a mode."""
    rank = draw(st.integers(1, most_rank))
    sizes = [st.integers(1, LARGEST[rank])] * rank
    shapes = [draw(st.tuples(*sizes)), draw(st.tuples(*sizes))]
    if mode == "valid":
        both = list(zip(*shapes, strict=True))
        shapes = [tuple(map(max, both)), tuple(map(min, both))]
        shapes = shapes[:: draw(st.sampled_from([1, -1]))]
    rng = np.random.default_rng(draw(seeds))
    arrays = (whole(rng, shape, draw(st.sampled_from(DTYPES))) for shape in shapes)
    return tuple(lay_out(array, draw(layouts)) for array in arrays)


def full(in1, in2) -> np.ndarray:
    """All outputs of a convolution, element by element; truth values are joined."""
    shape = [a + b - 1 for a, b in zip(in1.shape, in2.shape, strict=True)]
    total = np.zeros(shape, np.result_type(in1, in2))
    for at in np.ndindex(in2.shape):
        place = tuple(slice(i, i + n) for i, n in zip(at, in1.shape, strict=True))
        total[place] += in1 * in2[at]
    return total


def middle(result, shape) -> np.ndarray:
    """As many elements as a shape has, from the middle."""
    starts = [(n - m) // 2 for n, m in zip(result.shape, shape, strict=True)]
    return result[tuple(slice(i, i + m) for i, m in zip(starts, shape, strict=True))]


def kept(result, in1, in2, mode) -> np.ndarray:
    if mode == "full":
        return result
    if mode == "same":
        return middle(result, in1.shape)
    return middle(result, [abs(a - b) + 1 for a, b in zip(in1.shape, in2.shape, strict=True)])


@given(data=st.data(), mode=modes, method=st.sampled_from(["direct", "auto"]))
def test_convolution_is_the_sum_of_products_of_any_rank_and_dtype(data, mode, method):
    in1, in2 = data.draw(pairs(mode))
    want = kept(full(in1, in2), in1, in2, mode)
    result = signal.convolve(in1, in2, mode, method)
    assert result.dtype == want.dtype
    np.testing.assert_array_equal(result, want)


@given(data=st.data(), mode=modes, method=st.sampled_from(["direct", "auto"]))
def test_correlation_is_convolution_with_the_other_end_first(data, mode, method):
    in1, in2 = data.draw(pairs(mode))
    other = np.flip(in2).conj()
    want = kept(full(in1, other), in1, in2, mode)
    result = signal.correlate(in1, in2, mode, method)
    assert result.dtype == want.dtype
    np.testing.assert_array_equal(result, want)


@given(data=st.data(), mode=modes, at_once=st.sampled_from([0, signals.AT_ONCE]))
def test_transforms_give_the_same_within_rounding_errors(data, mode, at_once):
    in1, in2 = data.draw(pairs(mode, 3))
    want = kept(full(in1, in2), in1, in2, mode)
    with mock.patch.object(signals, "AT_ONCE", at_once):
        result = signal.convolve(in1, in2, mode, "fft")
    assert result.dtype == want.dtype
    if want.dtype.kind in "biu":
        np.testing.assert_array_equal(result, want)
    else:
        eps = 1e3 * float(np.finfo(want.dtype).eps)
        np.testing.assert_allclose(result, want, rtol=eps, atol=eps * 8)


def test_results_are_numpys_of_one_axis():
    for n, k, dtype in itertools.product((1, 2, 7), (1, 4, 5), (np.int64, np.float64)):
        in1, in2 = np.arange(1, n + 1, dtype=dtype), np.arange(2, k + 2, dtype=dtype)
        np.testing.assert_array_equal(signal.convolve(in1, in2), np.convolve(in1, in2))
        np.testing.assert_array_equal(
            signal.convolve(in1, in2, "valid"), np.convolve(in1, in2, "valid")
        )
    assert signal.convolve([3, 4, 5], [1, 2, 3, 4], "same").tolist() == [10, 22, 34]
    assert signal.correlate([1, 2, 3], [4, 5], "same").tolist() == [5, 14, 23]
    assert signal.correlate([1j, 2], [3j, 1]).tolist() == [1j, 5, -6j]


INTEGERS = "uint8", "int16", "int32", "uint32", "int64", "uint64"


@given(
    seed=seeds,
    dtype=st.sampled_from(INTEGERS),
    few=st.sampled_from([0, direct.FEW]),
    sizes=st.tuples(*[st.integers(1, 40)] * 2, *[st.integers(1, 9)] * 2),
)
def test_integers_wrap(seed, dtype, few, sizes):
    rng, limits = np.random.default_rng(seed), np.iinfo(dtype)
    n, k, rows, columns = sizes
    in1, in2 = (
        rng.integers(limits.min, limits.max, size, dtype=dtype, endpoint=True)
        for size in ((n, k), (rows, columns))
    )
    with warnings.catch_warnings(), mock.patch.object(direct, "FEW", few):
        warnings.simplefilter("error")
        by_one = signal.convolve(in1[0], in2[0])
        by_two = signal.convolve2d(in1, in2)
        wide = np.pad(in1, [(rows, rows), (columns, columns)], "symmetric")
        around = signal.convolve2d(in1, in2, boundary="symm")
    np.testing.assert_array_equal(by_one, np.convolve(in1[0], in2[0]))
    np.testing.assert_array_equal(by_two, full(in1, in2))
    inner = full(wide, in2)[rows:, columns:][: around.shape[0], : around.shape[1]]
    np.testing.assert_array_equal(around, inner)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "int16", "int64"])
def test_weights_that_change_or_come_again_give_the_same_bits(dtype):
    rng = np.random.default_rng(0)
    x = (9 * rng.standard_normal(50)).astype(dtype)
    every = [(9 * rng.standard_normal(7)).astype(dtype) for _ in range(3)]
    want = []
    for taps in every:
        forget()
        want.append(signal.convolve(x, taps, method="direct"))
        np.testing.assert_allclose(want[-1], np.convolve(x, taps), rtol=1e-4, atol=1e-3)
    for i in (0, 1, 0, 0, 0, 1, 1, 2, 0, 2, 2, 2, 1):
        assert signal.convolve(x, every[i], method="direct").tobytes() == want[i].tobytes()
    every[0][0] = np.inf if np.dtype(dtype).kind == "f" else 0  # in place
    changed = signal.convolve(x, every[0], method="direct")
    np.testing.assert_array_equal(np.isfinite(changed), np.isfinite(np.convolve(x, every[0])))
    assert (changed != want[0]).any()


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32"])
def test_transforms_are_left_to_floats_where_they_would_miss_an_integer(dtype):
    rng = np.random.default_rng(0)
    in1 = rng.integers(0, 2**31 - 1, 40_000).astype(dtype)
    in2 = rng.integers(0, 2**31 - 1, 3_000).astype(dtype)
    small = signal.convolve(in1 % 50, in2 % 50)
    np.testing.assert_array_equal(small, signal.convolve(in1 % 50, in2 % 50, method="direct"))
    place = 12_345
    want = np.dot(in1[place - 2_999 : place + 1][::-1], in2)
    assert signal.convolve(in1, in2)[place] == want


def test_objects_are_multiplied_and_added():
    in1, in2 = np.array([Fraction(1, 3), 2, 3]), np.array([Fraction(1, 2), 1])
    want = [Fraction(1, 6), Fraction(4, 3), Fraction(7, 2), 3]
    assert signal.convolve(in1, in2).tolist() == want


def padded_2d(in1, in2, boundary, value, before):
    names = {"fill": "constant", "wrap": "wrap", "symm": "symmetric", "reflect": "reflect"}
    widths = [(b, k - 1 - b) for b, k in zip(before, in2.shape, strict=True)]
    told = {"constant_values": value} if boundary == "fill" else {}
    return np.pad(in1, widths, names[boundary], **told)


@pytest.mark.parametrize("shapes", [((20,), (5,)), ((5,), (20,)), ((6, 7), (3, 2))])
def test_an_infinity_or_a_nan_of_either_array_is_where_products_with_it_are(shapes):
    for value, which in itertools.product((np.inf, np.nan), (0, 1)):
        arrays = [np.ones(shape) for shape in shapes]
        arrays[which].flat[1] = value
        with np.errstate(all="ignore"):
            want = full(*arrays)
        for mode in ("full", "same"):
            result = signal.convolve(*arrays, mode)
            np.testing.assert_array_equal(result, kept(want, *arrays, mode))


@given(
    seed=seeds,
    boundary=st.sampled_from(["fill", "wrap", "symm", "reflect"]),
    mode=st.sampled_from(["full", "same"]),
    dtype=st.sampled_from(["int64", "float64", "complex64", "uint8"]),
)
def test_two_axes_have_borders_of_any_width(seed, boundary, mode, dtype):
    rng = np.random.default_rng(seed)
    in1, in2 = (whole(rng, rng.integers(1, 9, 2), dtype) for _ in range(2))
    told = {"mode": mode, "boundary": boundary, "fillvalue": 3}
    ends = [k - 1 for k in in2.shape]
    if mode == "full":  # windows that overlap the array
        wide = [(k, k) for k in ends]
        numbers = {"constant_values": 3} if boundary == "fill" else {}
        around = np.pad(
            in1,
            wide,
            dict(fill="constant", wrap="wrap", symm="symmetric", reflect="reflect")[boundary],
            **numbers,
        )
        places = [slice(k, k + n + k) for n, k in zip(in1.shape, ends, strict=True)]
        want = full(around, in2)[tuple(places)]
        turned = full(around, np.flip(in2).conj())[tuple(places)]
    else:
        halves = [k - k // 2 for k in ends], [k // 2 for k in ends]
        want, turned = (
            kept(full(padded_2d(in1, in2, boundary, 3, before), window), *shapes, "valid")
            for before, window, shapes in (
                (halves[0], in2, (padded_2d(in1, in2, boundary, 3, halves[0]), in2)),
                (
                    halves[1],
                    np.flip(in2).conj(),
                    (padded_2d(in1, in2, boundary, 3, halves[1]), in2),
                ),
            )
        )
    np.testing.assert_array_equal(signal.convolve2d(in1, in2, **told), want)
    np.testing.assert_array_equal(signal.correlate2d(in1, in2, **told), turned)


@given(
    seed=seeds,
    mode=modes,
    axis=st.sampled_from([0, 1, -1, (0, 2), (2, 1), None]),
    function=st.sampled_from([signal.fftconvolve, signal.oaconvolve]),
    at_once=st.sampled_from([0, signals.AT_ONCE]),
)
def test_transforms_along_some_axes_broadcast_the_others(seed, mode, axis, function, at_once):
    rng = np.random.default_rng(seed)
    axes = {each % 3 for each in ((0, 1, 2) if axis is None else np.atleast_1d(axis).tolist())}
    shapes = []
    for i in range(3):
        n, k = rng.integers(1, 12, 2).tolist()
        if i not in axes:
            n, k = rng.choice([1, n]), rng.choice([1, n])
        shapes.append((max(n, k), min(n, k)) if mode == "valid" else (n, k))
    in1, in2 = (rng.standard_normal(shape) for shape in zip(*shapes, strict=True))
    with mock.patch.object(signals, "AT_ONCE", at_once):
        result = function(in1, in2, mode, axis)
    want = in1, in2
    common = [1 if i in axes else max(pair) for i, pair in enumerate(shapes)]
    rows = {}
    for at in itertools.product(*map(range, common)):
        part = [
            array[
                tuple(
                    slice(None) if i in axes else slice(min(at[i], n - 1), min(at[i], n - 1) + 1)
                    for i, n in enumerate(array.shape)
                )
            ]
            for array in want
        ]
        rows[at] = kept(full(*part), *part, mode)
    shape = [rows[(0, 0, 0)].shape[i] if i in axes else common[i] for i in range(3)]
    whole_result = np.empty(shape)
    for at, row in rows.items():
        whole_result[tuple(slice(None) if i in axes else at[i] for i in range(3))] = row[
            tuple(slice(None) if i in axes else 0 for i in range(3))
        ]
    if mode == "same":  # as many as the first array has, along the other axes, too
        whole_result = middle(whole_result, in1.shape)
    np.testing.assert_allclose(result, whole_result, rtol=0, atol=1e-12)


def test_transforms_have_scipys_dtypes():
    for dtypes, want in (
        (("float32", "float32"), "float32"),
        (("float16", "float16"), "float32"),
        (("int8", "float32"), "float64"),
        (("complex64", "float32"), "complex64"),
        (("complex64", "float64"), "complex128"),
        (("bool", "bool"), "float64"),
        (("longdouble", "int8"), "longdouble"),
    ):
        arrays = (np.ones(5, dtype) for dtype in dtypes)
        assert signal.fftconvolve(*arrays).dtype == np.dtype(want)


def test_what_is_not_finite_warns_by_transforms_and_is_where_it_belongs_by_sums():
    array = np.ones(50)
    array[20] = np.nan
    with pytest.warns(RuntimeWarning, match="Use of fft convolution"):
        signal.convolve(array, np.ones(5), method="fft")
    direct = signal.convolve(array, np.ones(5), method="direct")
    assert np.flatnonzero(np.isnan(direct)).tolist() == list(range(20, 25))


def slow_upfirdn(h, x, up, down) -> np.ndarray:
    stretched = np.zeros((*x.shape[:-1], (x.shape[-1] - 1) * up + 1), x.dtype)
    stretched[..., ::up] = x
    return np.apply_along_axis(lambda line: np.convolve(h, line), -1, stretched)[..., ::down]


@given(
    seed=seeds,
    up=st.integers(1, 40),
    down=st.integers(1, 40),
    sizes=st.tuples(st.integers(1, 60), st.integers(1, 40)),
    dtype=st.sampled_from(["int64", "float32", "float64", "complex64", "complex128"]),
    axis=st.integers(-2, 1),
)
def test_rates_change_as_by_zeros_between_samples(seed, up, down, sizes, dtype, axis):
    rng = np.random.default_rng(seed)
    h, x = whole(rng, sizes[0], "float32"), whole(rng, (3, sizes[1]), dtype)
    want = slow_upfirdn(h, x, up, down)
    result = signal.upfirdn(h, np.moveaxis(x, 1, axis), up, down, axis)
    assert result.dtype == np.result_type(x, np.float32)
    np.testing.assert_array_equal(np.moveaxis(result, axis, 1), want)


EXTENDED = {  # six samples before and behind 1, 2, 3, 1
    "constant": ([7] * 6, [7] * 6),
    "wrap": ([3, 1, 1, 2, 3, 1], [1, 2, 3, 1, 1, 2]),
    "edge": ([1] * 6, [1] * 6),
    "symmetric": ([3, 1, 1, 3, 2, 1], [1, 3, 2, 1, 1, 2]),
    "reflect": ([1, 2, 3, 1, 3, 2], [3, 2, 1, 2, 3, 1]),
    "smooth": ([-5, -4, -3, -2, -1, 0], [-1, -3, -5, -7, -9, -11]),
    "antisymmetric": ([3, 1, -1, -3, -2, -1], [-1, -3, -2, -1, 1, 2]),
    "antireflect": ([1, 2, 3, 1, -1, 0], [-1, 0, 1, 2, 3, 1]),
    "line": ([1] * 6, [1] * 6),
}


@pytest.mark.parametrize("mode", EXTENDED)
def test_samples_are_extended_as_each_mode_says(mode):
    before, behind = EXTENDED[mode]
    taps = np.array([1.0, 10, -3, 2, 0.5, 4, 1])
    x = np.array([[1.0, 2, 3, 1]])
    around = np.concatenate([before, x[0], behind])
    for up, down in ((1, 1), (2, 1), (3, 2)):
        want = slow_upfirdn(taps, around[None], up, 1)[..., 6 * up :: down]
        result = signal.upfirdn(taps, x, up, down, mode=mode, cval=7)
        np.testing.assert_allclose(result, want[..., : result.shape[-1]], rtol=0, atol=1e-12)


@given(
    seed=seeds,
    size=st.integers(1, 12),
    order=st.integers(0, 5),
    derivative=st.integers(0, 3),
    axis=st.integers(-2, 1),
)
def test_polynomials_are_those_of_least_squares(seed, size, order, derivative, axis):
    if order >= size:
        order = size - 1
    rng = np.random.default_rng(seed)
    lines = rng.standard_normal((2, size + 5))
    told = {"deriv": derivative, "delta": 0.5, "axis": axis}
    result = signal.savgol_filter(np.moveaxis(lines, 1, axis), size, order, **told)
    result = np.moveaxis(result, axis, 1)
    places = np.arange(size) * 0.5
    for line, got in zip(lines, result, strict=True):
        n, half = len(line), size // 2
        want = np.empty(n)
        for i in range(n):
            start = min(max(i - half, 0), n - size)
            inner = half <= i < n - half
            if size % 2 == 0 and inner:  # of an even window the middle is between samples
                start, at = i - half + 1, (size - 1) / 2 * 0.5
            else:
                at = (i - start) * 0.5
            fitted = np.polynomial.Polynomial.fit(places, line[start : start + size], order)
            want[i] = fitted.deriv(derivative)(at) if derivative else fitted(at)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-8 * 20**derivative)


def test_polynomials_go_on_beyond_the_ends_as_modes_say():
    x = np.array([1.0, 4.0, 2.0, 8.0])
    for mode, around in (
        ("mirror", "reflect"),
        ("nearest", "edge"),
        ("wrap", "wrap"),
        ("constant", "constant"),
    ):
        told = {"constant_values": 5} if mode == "constant" else {}
        wide = signal.savgol_filter(np.pad(x, 2, around, **told), 5, 2)[2:-2]
        result = signal.savgol_filter(x, 5, 2, mode=mode, cval=5)
        np.testing.assert_allclose(result, wide, rtol=0, atol=1e-12)
    assert signal.savgol_filter(x.astype(np.float32), 3, 1).dtype == np.float32
    assert signal.savgol_filter([1, 2, 3], 3, 1).dtype == np.float64
    assert not signal.savgol_filter(x, 3, 1, deriv=2).any()


SIGNATURES = {
    "convolve": "(in1, in2, mode='full', method='auto')",
    "correlate": "(in1, in2, mode='full', method='auto')",
    "convolve2d": "(in1, in2, mode='full', boundary='fill', fillvalue=0)",
    "correlate2d": "(in1, in2, mode='full', boundary='fill', fillvalue=0)",
    "fftconvolve": "(in1, in2, mode='full', axes=None)",
    "oaconvolve": "(in1, in2, mode='full', axes=None)",
    "upfirdn": "(h, x, up=1, down=1, axis=-1, mode='constant', cval=0)",
    "savgol_filter": (
        "(x, window_length, polyorder, deriv=0, delta=1.0, axis=-1, mode='interp', cval=0.0)"
    ),
}


@pytest.mark.parametrize("name", signal.__all__)
def test_arguments_are_scipys_and_hints_can_be_evaluated(name):
    function = getattr(signal, name)
    bare = [
        each.replace(annotation=each.empty)
        for each in inspect.signature(function).parameters.values()
    ]
    assert str(inspect.Signature(bare)) == SIGNATURES[name]
    assert "return" in typing.get_type_hints(function)


A, B = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(3, 2)
ERRORS = (
    (signal.convolve, (A, B, "valid"), {}, "in1 and in2: For 'valid' mode, .*\\(2, 3\\)"),
    (signal.convolve, ([1], 2), {}, r"in1 and in2 should .* same dimensionality.*\(1,\) and \(\)"),
    (signal.convolve, ([1], [2], "spam"), {}, "mode: acceptable mode flags .* got 'spam'"),
    (signal.convolve, ([1], [2], 1), {}, "mode: acceptable mode flags .* got 1"),
    (signal.convolve, ([1], [2]), {"method": "bacon"}, "method must be one of .* got 'bacon'"),
    (signal.correlate, ([], [2]), {}, r"in1 and in2 must have elements, got shapes \(0,\)"),
    (signal.convolve2d, ([1], [2]), {}, r"must both be 2-D arrays, got shape \(1,\)"),
    (signal.convolve2d, (A, A), {"boundary": "zero"}, "boundary must be one of .* got 'zero'"),
    (signal.convolve2d, (A, A), {"fillvalue": [1, 2]}, "`fillvalue` must be scalar"),
    (signal.convolve2d, (A, A), {"fillvalue": 1j}, "could not cast `fillvalue` .* got 1j"),
    (signal.fftconvolve, (A, A), {"axes": []}, "axes cannot be empty"),
    (signal.fftconvolve, (A, A), {"axes": 2}, "axes exceeds dimensionality of input, 2, got 2"),
    (signal.oaconvolve, (A, A), {"axes": [0, -2]}, r"axes must be unique, got \[0, -2\]"),
    (signal.oaconvolve, (A, A), {"axes": 0.5}, "axes must be a scalar or iterable of integers"),
    (signal.fftconvolve, (A, B), {"axes": 0}, r"incompatible shapes .*: \(2, 3\) and \(3, 2\)"),
    (signal.upfirdn, ([], [1]), {}, r"h must have an axis and elements, got shape \(0,\)"),
    (signal.upfirdn, (A, [1]), {}, r"h must be 1-D with non-zero length, got shape \(2, 3\)"),
    (signal.upfirdn, ([1], [1], 0), {}, "up must be at least 1, got 0"),
    (signal.upfirdn, ([1], [1], 1, 0), {}, "down must be at least 1, got 0"),
    (signal.upfirdn, ([1], [1]), {"mode": "line2"}, "mode must be one of .* got 'line2'"),
    (signal.upfirdn, ([1], [1]), {"axis": 1}, "axis 1 is out of range"),
    (signal.savgol_filter, (A, 5, 2), {}, "window_length must be less .* size of x .*3.* got 5"),
    (signal.savgol_filter, (A, 3, 3), {}, "polyorder must be less than window_length, 3, got 3"),
    (signal.savgol_filter, (A, 0, 0), {}, "window_length must be at least 1, got 0"),
    (signal.savgol_filter, (A, 3, 1, -1), {}, "deriv must be at least 0, got -1"),
    (signal.savgol_filter, (A, 3, 1), {"mode": "reflect"}, "mode must be one of .* got 'reflect'"),
    (signal.savgol_filter, (A, 3, 1), {"delta": math.inf}, "delta must be finite, got inf"),
)


@pytest.mark.parametrize("function, args, told, says", ERRORS, ids=lambda each: str(each)[:40])
def test_errors_name_the_argument(function, args, told, says):
    with pytest.raises(ValueError, match=says):
        function(*args, **told)


def test_wrong_types_are_refused_by_name():
    for function, args, says in (
        (signal.convolve, (["a"], ["b"]), "in1 must hold numbers"),
        (signal.convolve, ([1], np.array([0], "M8[s]")), "in2 must hold numbers"),
        (signal.upfirdn, ([1], [1], 1.5), "up must be an integer"),
        (signal.savgol_filter, ([1j] * 5, 3, 1), "x must hold real numbers"),
        (signal.savgol_filter, ([1.0] * 5, 3.0, 1), "window_length must be an integer"),
    ):
        with pytest.raises(TypeError, match=says):
            function(*args)


def test_the_module_is_loaded_when_it_is_asked_for():
    code = (
        "import sys, aotconv; before = 'aotconv.signal' in sys.modules; "
        "aotconv.signal.convolve([1.0], [2.0]); print(before, 'scipy' in sys.modules)"
    )
    assert output_of(code) == "False False"
