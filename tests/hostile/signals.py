"""Calls of the functions of `signal`: right ones, in all forms that are documented, some of whose
arguments are garbage."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from strategies import any_values, seeds
from test_signal import DTYPES, full, kept, middle, slow_upfirdn, whole

from aotconv import signal

from . import pieces
from .operators import Call, Right, right_call
from .pieces import Maker, Piece
from .right import UNSURE

DOORS = [getattr(signal, name) for name in signal.__all__]
MODES = "full", "same", "valid"
BOUNDARIES = {
    **dict.fromkeys(("fill", "pad"), "constant"),
    **dict.fromkeys(("wrap", "circular"), "wrap"),
    **dict.fromkeys(("symm", "symmetric"), "symmetric"),
    "reflect": "reflect",
}
SIZES = {1: st.integers(1, 40), 2: st.integers(1, 8), 3: st.integers(1, 5)}  # by rank
SMALL, EXACT = 2**11, 2**40  # norms of which sums of float16 are exact, and rounded transforms
SHORT = [each for each in DTYPES if each != "longdouble"]  # of which samples may be


# Garbage.

# What means something to some functions: arrays of other sizes or elements, and words of others.
MEANS = {
    *("objects", "booleans", "__array__ gives booleans", "a matrix", "64 axes", "one axis more"),
    *("0-d", "a number", "True", "np.True_", "a list of zero"),
}


def garbage_of(name: str, value) -> list[Maker]:
    """All of an argument that is rightly some value."""
    if isinstance(value, np.ndarray):
        return pieces.no_arrays(value)
    if name in ("up", "down", "window_length"):
        return pieces.no_ints(1)
    if name in ("polyorder", "deriv"):
        return pieces.no_ints(0)
    if name in ("axis", "axes"):
        return [*pieces.NONSENSE, *pieces.no_words()]
    if name in ("fillvalue", "cval", "delta"):
        return pieces.no_numbers()
    return pieces.no_choices()


def means_something(name: str, piece: Piece) -> bool:
    return piece.label in MEANS or (name == "boundary" and piece.label.endswith(" 'fill'"))


def garbage(draw, name: str, value) -> Piece:
    piece = draw(pieces.fresh(garbage_of(name, value)))
    return piece._replace(meaning=UNSURE) if means_something(name, piece) else piece


# Right arguments.


def values(draw, shape, dtypes=DTYPES) -> np.ndarray:
    rng, dtype = np.random.default_rng(draw(seeds)), np.dtype(draw(st.sampled_from(dtypes)))
    wraps = dtype.kind in "iu" and draw(st.booleans())
    return any_values(rng, shape, dtype) if wraps else whole(rng, shape, dtype)


def shapes(draw, mode: str, rank: int) -> list[tuple[int, ...]]:
    """Of two arrays that fit together in a mode."""
    each = [tuple(draw(SIZES[rank]) for _ in range(rank)) for _ in range(2)]
    if mode == "valid":
        both = list(zip(*each, strict=True))
        each = [tuple(map(max, both)), tuple(map(min, both))]
    return each


def common(m: SimpleNamespace) -> np.dtype:
    return np.result_type(m.in1, m.in2)


def turned(m: SimpleNamespace) -> SimpleNamespace:
    """The convolution that a correlation is."""
    return SimpleNamespace(**{**vars(m), "in2": np.flip(m.in2).conj()})


def convolved(m: SimpleNamespace) -> np.ndarray:
    return kept(full(*operands(m)), m.in1, m.in2, m.mode)


def operands(m: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """Integers and truth values as their results are, which wrap; others in wide floats."""
    dtype = common(m)
    if dtype.kind in "biu":
        return m.in1.astype(dtype), m.in2.astype(dtype)
    return _wide(m.in1), _wide(m.in2)


def compare(m: SimpleNamespace, result, expected) -> None:
    """Integers wrap, and sums of small ones are exact, but for those of transforms; of transforms
    of large integers none but their order of magnitude is promised."""
    dtype, scale = result.dtype, largest(m)
    is_transformed = getattr(m, "method", "direct") == "fft"
    if dtype.kind in "biu":
        if not is_transformed or scale < EXACT:
            np.testing.assert_array_equal(result, expected)
    elif is_transformed or scale > SMALL:
        eps = 1e3 * float(np.finfo(np.result_type(dtype, np.float32)).eps)
        coarse = float(np.finfo(dtype).eps) * np.abs(expected)
        assert (np.abs(result - expected) <= eps * scale + coarse).all()
    else:
        np.testing.assert_array_equal(result, expected)


def largest(m: SimpleNamespace) -> float:
    """What no sum exceeds, of arrays between numbers of a size."""
    around = abs(getattr(m, "fillvalue", 0))
    first, second = (np.abs(_wide(each)) for each in (m.in1, m.in2))
    return float((first.max() + around) * second.sum()) + _norm(m.in1) * _norm(m.in2)


def _norm(array: np.ndarray) -> float:
    return float(np.linalg.norm(_wide(array)))


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


@st.composite
def of_sums(draw) -> Right:
    """Of `convolve` and `correlate`."""
    mode, rank = draw(st.sampled_from(MODES)), draw(st.sampled_from([1, 1, 2, 3]))
    first, second = shapes(draw, mode, rank)
    given = {"in1": values(draw, first), "in2": values(draw, second), "mode": mode}
    given["method"] = draw(st.sampled_from(["auto", "direct", "fft"]))
    if draw(st.booleans()):
        return Right(rank, signal.convolve, given, convolved, common, compare)
    return Right(rank, signal.correlate, given, lambda m: convolved(turned(m)), common, compare)


def bordered(m: SimpleNamespace, same) -> np.ndarray:
    """A convolution of two axes, of which "same" begins where a function of sizes says."""
    if m.mode == "valid":
        return convolved(m)
    border = BOUNDARIES[m.boundary]
    told = {"constant_values": m.fillvalue} if border == "constant" else {}
    array, window = operands(m)
    ends = [k - 1 for k in m.in2.shape]
    around = np.pad(array, [(k, k) for k in ends], border, **told)
    sums = full(around, window)
    starts = [same(k) if m.mode == "same" else 0 for k in m.in2.shape]
    counts = m.in1.shape if m.mode == "same" else np.add(m.in1.shape, ends)
    places = zip(ends, starts, counts, strict=True)
    return sums[tuple(slice(k + start, k + start + n) for k, start, n in places)]


@st.composite
def of_images(draw) -> Right:
    """Of `convolve2d` and `correlate2d`."""
    mode = draw(st.sampled_from(MODES))
    first, second = shapes(draw, mode, 2)
    given = {"in1": values(draw, first), "in2": values(draw, second), "mode": mode}
    given["boundary"] = draw(st.sampled_from([*BOUNDARIES]))
    given["fillvalue"] = draw(st.integers(0, 1))
    if draw(st.booleans()):
        expected = lambda m: bordered(m, lambda k: (k - 1) // 2)  # noqa: E731
        return Right(2, signal.convolve2d, given, expected, common, compare)
    expected = lambda m: bordered(turned(m), lambda k: k // 2)  # noqa: E731
    return Right(2, signal.correlate2d, given, expected, common, compare)


def axes_of(m: SimpleNamespace) -> list[int]:
    axes = range(m.in1.ndim) if m.axes is None else np.atleast_1d(m.axes).tolist()
    return [axis % m.in1.ndim for axis in axes]


def along(m: SimpleNamespace) -> np.ndarray:
    """Convolutions along some axes, one for each place along the others."""
    axes, wide = axes_of(m), np.result_type(np.float64, m.in1, m.in2)
    last = range(-len(axes), 0)
    arrays = [np.moveaxis(each.astype(wide), axes, last) for each in (m.in1, m.in2)]
    lead = np.broadcast_shapes(*(each.shape[: last.start] for each in arrays))
    arrays = [np.broadcast_to(each, lead + each.shape[last.start :]) for each in arrays]
    rows = [[each[at] for each in arrays] for at in np.ndindex(lead)]
    sums = np.array([kept(full(*row), *row, m.mode) for row in rows])
    result = np.moveaxis(sums.reshape(*lead, *sums.shape[1:]), last, axes)
    return middle(result, m.in1.shape) if m.mode == "same" else result


def transformed_in(m: SimpleNamespace) -> np.dtype:
    arrays = m.in1, m.in2
    if all(1 in (m.in1.shape[i], m.in2.shape[i]) for i in axes_of(m)):
        return common(m)  # of products
    floats = np.float64 if any(each.dtype.kind in "biu" for each in arrays) else np.float32
    return np.result_type(floats, *arrays)


def compare_transformed(m: SimpleNamespace, result, expected) -> None:
    if result.dtype.kind in "biu":
        products = m.in1 * m.in2
        products = middle(products, m.in1.shape) if m.mode == "same" else products
        np.testing.assert_array_equal(result, products)
        return
    scale = max(1.0, _norm(m.in1) * _norm(m.in2))
    eps = 1e3 * float(np.finfo(result.dtype).eps)
    np.testing.assert_allclose(result, expected, rtol=0, atol=eps * scale)


@st.composite
def of_transforms(draw) -> Right:
    """Of `fftconvolve` and `oaconvolve`."""
    mode, rank = draw(st.sampled_from(MODES)), draw(st.sampled_from([1, 2, 3]))
    pairs = [list(each) for each in shapes(draw, mode, rank)]
    axes: Any = None
    if draw(st.booleans()):
        axes = tuple(draw(st.lists(st.integers(0, rank - 1), min_size=1, unique=True)))
        for i in {*range(rank)} - {*axes}:
            pairs[draw(st.integers(0, 1)) if mode == "full" else 1][i] = 1
            pairs[0][i] = pairs[0][i] if pairs[1][i] == 1 else pairs[1][i]
        axes = tuple(each - draw(st.sampled_from([0, rank])) for each in axes)
        axes = axes[0] if len(axes) == 1 and draw(st.booleans()) else axes
    first, second = map(tuple, pairs)
    given = {"in1": values(draw, first), "in2": values(draw, second), "mode": mode, "axes": axes}
    door = draw(st.sampled_from([signal.fftconvolve, signal.oaconvolve]))
    return Right(rank, door, given, along, transformed_in, compare_transformed)


def resampled(m: SimpleNamespace) -> np.ndarray:
    """With what is around samples written out, and the sums that begin before them left out."""
    dtype = float_of(m)
    x = np.moveaxis(m.x, m.axis, -1).astype(dtype)
    told = {"constant_values": m.cval} if m.mode == "constant" else {}
    wide = len(m.h)
    around = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(wide, wide)], m.mode, **told)
    count = ((x.shape[-1] - 1) * m.up + wide - 1) // m.down + 1
    sums = slow_upfirdn(m.h.astype(dtype), around, m.up, 1)[..., wide * m.up :: m.down]
    return np.moveaxis(sums[..., :count], -1, m.axis)


def float_of(m: SimpleNamespace) -> np.dtype:
    return np.result_type(m.h, m.x, np.float32)


def exactly(m: SimpleNamespace, result, expected) -> None:
    np.testing.assert_array_equal(result, expected)


@st.composite
def of_resampling(draw) -> Right:
    rank = draw(st.sampled_from([1, 2, 3]))
    rng = np.random.default_rng(draw(seeds))
    sizes = tuple(draw(SIZES[rank]) for _ in range(rank))
    dtypes = st.sampled_from(SHORT)
    given = {"h": whole(rng, draw(st.integers(1, 30)), draw(dtypes))}
    given |= {"x": whole(rng, sizes, draw(dtypes)), "axis": draw(st.integers(-rank, rank - 1))}
    given |= {name: draw(st.integers(1, 20)) for name in ("up", "down")}
    modes = "constant", "wrap", "edge", "symmetric", "reflect"
    given |= {"mode": draw(st.sampled_from(modes)), "cval": draw(st.integers(0, 3))}
    return Right(rank, signal.upfirdn, given, resampled, float_of, exactly)


def derived(m: SimpleNamespace) -> np.ndarray:
    """Of samples of a polynomial of the same order: its own values, or derivative."""
    places = np.arange(m.x.shape[m.axis])
    first = np.moveaxis(m.x, m.axis, -1).reshape(-1, len(places))[0].astype(float)
    line = np.polynomial.Polynomial.fit(places, first, m.polyorder).deriv(m.deriv)(places)
    line = np.broadcast_to(line / m.delta**m.deriv, np.moveaxis(m.x, m.axis, -1).shape)
    return np.moveaxis(line, -1, m.axis)


def smoothed_in(m: SimpleNamespace) -> np.dtype:
    return np.dtype(np.float32 if m.x.dtype == np.float32 else np.float64)


def compare_smoothed(m: SimpleNamespace, result, expected) -> None:
    """Where windows lie within the samples, or those of "interp" everywhere."""
    half = m.window_length // 2 if m.mode != "interp" else 0
    inside = [slice(None)] * m.x.ndim
    inside[m.axis] = slice(half, m.x.shape[m.axis] - half)
    scale = max(1, np.abs(m.x.astype(float)).max()) / min(1, m.delta**m.deriv)
    atol = 1e5 * float(np.finfo(result.dtype).eps) * scale
    inner = tuple(inside)
    np.testing.assert_allclose(result[inner], expected[inner], rtol=0, atol=atol)


@st.composite
def of_smoothing(draw) -> Right:
    size = 2 * draw(st.integers(0, 4)) + 1
    order = draw(st.integers(0, min(size - 1, 2)))
    n = size + draw(st.integers(0, 12))
    factors = [draw(st.integers(0, 2)) for _ in range(order + 1)]
    line = sum(factor * np.arange(n) ** i for i, factor in enumerate(factors))
    shape = draw(st.sampled_from([(), (2,), (2, 1)]))
    axis = draw(st.integers(-len(shape) - 1, len(shape)))
    x = np.moveaxis(np.broadcast_to(line, (*shape, n)), -1, axis)
    dtype = draw(st.sampled_from(["float32", "float64", "float16", "int16", "int32", "int64"]))
    given = {"x": x.astype(dtype), "window_length": size, "polyorder": order, "axis": axis}
    given |= {"deriv": draw(st.integers(0, 2)), "delta": draw(st.sampled_from([1.0, 0.5, 2.0]))}
    modes = "interp", "interp", "mirror", "constant", "nearest", "wrap"
    given |= {"mode": draw(st.sampled_from(modes)), "cval": float(draw(st.integers(0, 2)))}
    return Right(
        len(shape) + 1, signal.savgol_filter, given, derived, smoothed_in, compare_smoothed
    )


KINDS = of_sums(), of_images(), of_transforms(), of_resampling(), of_smoothing()


@st.composite
def calls(draw) -> Call:
    """A call of a function; none, one or several of its arguments are garbage."""
    right = draw(st.one_of(*KINDS))
    given, meaning, expected = right_call(draw, right)
    for name in draw(st.lists(st.sampled_from([*given]), unique=True, max_size=3)):
        given[name] = garbage(draw, name, right.arguments[name])
    return Call(right, given, expected, np.dtype(right.dtype(meaning)))
