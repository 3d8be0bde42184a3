"""Convolution of two arrays of as many axes by sums of products: as layers, or by NumPy."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._plan.elements import HALVES, name_of
from .._plan.geometry import RANK, Pair
from . import fitting
from .dtypes import EXACT
from .one_channel import layer

Shape = tuple[int, ...]

KEPT = 256  # of what is decided by shapes; what meets more forgets the oldest
FEW = 1024  # elements, which are not looked at before they are summed
LOOKED_AT_BYTES = 1 << 14  # of windows of which it is kept whether they are finite
SIDE_BYTES = 32  # of neighbouring outputs that one layer computes of integers


def direct(
    in1: np.ndarray,
    in2: np.ndarray,
    each: tuple[Pair, ...],
    border: str = "constant",
    value: complex = 0,
) -> np.ndarray:
    """The outputs `each` of the full convolution, by sums of products."""
    if in2.size > in1.size and border == "constant" and value == 0:
        in1, in2 = in2, in1
    return correlate(in1, flipped(in2), _pads(in1.shape, in2.shape, each), border, value)


def flipped(array: np.ndarray) -> np.ndarray:
    return array[(slice(None, None, -1),) * array.ndim]


@functools.lru_cache(maxsize=KEPT)
def _pads(array: Shape, window: Shape, each: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """How many elements some outputs need before and behind an array; less than 0: that are cut."""
    sizes = zip(array, window, each, strict=True)
    return tuple((k - 1 - start, start + count - n) for n, k, (start, count) in sizes)


class Way(NamedTuple):
    """How an array of a shape is correlated with a window of a shape.

    Attributes
    ----------
    inside : tuple of slice
        What of the array is read.
    pads : tuple of (int, int)
        How many elements are before and behind that.
    axes : tuple of int
        Those along which layers are; along others there are many images.
    order, back : tuple of int
        All axes, these ones last; and where each of them is then.
    kernel, around : tuple
        Along these axes, the window's sizes and the pads.
    """

    inside: tuple[slice, ...]
    pads: tuple[Pair, ...]
    axes: tuple[int, ...]
    order: tuple[int, ...]
    back: tuple[int, ...]
    kernel: Shape
    around: tuple[Pair, ...]

    @classmethod
    @functools.lru_cache(maxsize=KEPT)
    def of(cls, array: Shape, window: Shape, pads: tuple[Pair, ...]) -> Way:
        """That which leaves or adds so many elements before and behind each axis."""
        each = list(zip(array, pads, strict=True))
        inside = tuple(slice(max(0, -a), n + min(0, b)) for n, (a, b) in each)
        fitting.addressable("the result with its pads", tuple(n + a + b for n, (a, b) in each))
        pads = tuple((max(0, before), max(0, behind)) for before, behind in pads)
        axes = tuple(i for i, pad in enumerate(pads) if window[i] > 1 or pad != (0, 0))
        axes = axes or (len(array) - 1,)
        order = (*(i for i in range(len(array)) if i not in axes), *axes)
        back = tuple(order.index(i) for i in range(len(array)))
        kernel, around = tuple(window[i] for i in axes), tuple(pads[i] for i in axes)
        return cls(inside, pads, axes, order, back, kernel, around)


def correlate(
    array: np.ndarray,
    weights: np.ndarray,
    pads: tuple[Pair, ...],
    border: str = "constant",
    value: complex = 0,
) -> np.ndarray:
    """Sums of ``weights[k] * padded[i + k]``, in NumPy's common dtype.

    Parameters
    ----------
    array, weights : ndarray
        Of as many axes, none of which is 0.
    pads : tuple of (int, int)
        How many elements are before and behind each axis; less than 0 are cut off.
    border : str
        What these are, in np.pad's words; `value` with "constant".
    """
    dtype = np.result_type(array, weights)
    way = Way.of(array.shape, weights.shape, pads)
    array, sums = array[way.inside], _summed_in(dtype)
    if sums is None:
        return _by_numpy(_padded(array, way.pads, border, value), weights, dtype)
    if sums.kind in "iu" and sums.itemsize > 2 and array.size > FEW:
        sums = _exact_in(array, weights, value) or sums
    each = array.astype(sums, copy=False), weights.astype(sums, copy=False)
    return in_dtype(_by_layers(*each, way, border, value), dtype)


def in_dtype(result: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Results in their dtype; whole numbers wrap, and none without a sign is less than 0."""
    if dtype.kind in "iu" and result.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # of transforms of numbers that are too large for these
            result = result.astype(np.uint64 if dtype.kind == "u" else np.int64)
    return result.astype(dtype, copy=False)


def _summed_in(dtype: np.dtype) -> np.dtype | None:
    """What layers sum such numbers in; None: no layer does."""
    is_known = dtype.kind in "iufc" and dtype.char not in "gG"
    return dtype.newbyteorder("=") if is_known or name_of(dtype) in HALVES else None


def _exact_in(array: np.ndarray, weights: np.ndarray, value: complex) -> np.dtype | None:
    """The floats that hold all sums of such integers; None: none of them."""
    largest = max(largest_value(array), abs(int(value.real)))
    total = largest * float(np.abs(weights, dtype=np.float64).sum())
    return next((np.dtype(name) for name, below in EXACT.items() if total < below), None)


def largest_value(array: np.ndarray) -> int:
    """The largest absolute value of integers or truth values."""
    return max(int(array.max(initial=0)), -int(array.min(initial=0)))


def _by_layers(
    array: np.ndarray, weights: np.ndarray, way: Way, border: str, value: complex
) -> np.ndarray:
    """The same by layers of as many axes as these have: along others their results are added."""
    if len(way.axes) <= RANK:
        images, taps = array.transpose(way.order), weights.reshape(way.kernel)
        is_long = array.dtype.kind in "iu" and array.itemsize > 2 and array.size > FEW
        one = _side_by_side if is_long else _alone
        return one(images, taps, way.around, border, value).transpose(way.back)
    axis = way.axes[0]
    only = tuple(pad if i == axis else (0, 0) for i, pad in enumerate(way.pads))
    others = tuple((0, 0) if i == axis else pad for i, pad in enumerate(way.pads))
    array = np.moveaxis(_padded(array, only, border, value), axis, 0)
    total: Any = 0
    for i, taps in enumerate(np.moveaxis(weights, axis, 0)):
        part = np.moveaxis(array[i : len(array) - weights.shape[axis] + 1 + i], 0, axis)
        taps = np.expand_dims(taps, axis)
        total = total + _by_layers(
            part, taps, Way.of(part.shape, taps.shape, others), border, value
        )
    return total


def _alone(
    images: np.ndarray, taps: np.ndarray, pads: tuple[Pair, ...], border: str, value: complex
) -> np.ndarray:
    """The same along the last axes, as many as taps have, by a layer of one filter."""
    return layer(images, taps[..., np.newaxis], pads, border, value)[..., 0]


def _side_by_side(
    images: np.ndarray, taps: np.ndarray, pads: tuple[Pair, ...], border: str, value: complex
) -> np.ndarray:
    """The same by a layer whose filters give neighbouring outputs: one filter of integers would
    fill no vector."""
    *firsts, (before, behind) = pads
    size, side = taps.shape[-1], SIDE_BYTES // taps.itemsize
    filters = np.zeros((*taps.shape[:-1], size + side - 1, side), taps.dtype)
    for i in range(side):
        filters[..., i : i + size, i] = taps
    count = images.shape[-1] + before + behind - size + 1
    around = (*firsts, (before, behind + -count % side))
    result = layer(images, filters, around, border, value, (*[1] * len(firsts), side))
    return result.reshape(*result.shape[:-2], -1)[..., :count]


def is_finite(array: np.ndarray) -> bool:
    if array.nbytes > LOOKED_AT_BYTES:
        return bool(np.isfinite(array).all())
    return _are_finite(array.tobytes(), array.dtype)  # to look again takes NumPy longer


@functools.lru_cache(maxsize=KEPT)
def _are_finite(held: bytes, dtype: np.dtype) -> bool:
    return bool(np.isfinite(np.frombuffer(held, dtype)).all())


def within(in1: np.ndarray, in2: np.ndarray, each: tuple[Pair, ...]) -> np.ndarray:
    """The outputs `each` of the full convolution, tap by tap: of windows with infinities or NaN,
    whose products with zeros around the array would not be zeros."""
    if in2.size > in1.size:
        in1, in2 = in2, in1
    shape = [n + k - 1 for n, k in zip(in1.shape, in2.shape, strict=True)]
    total = np.zeros(shape, np.result_type(in1, in2))
    with np.errstate(all="ignore"):
        for at in np.ndindex(in2.shape):
            places = (slice(i, i + n) for i, n in zip(at, in1.shape, strict=True))
            total[tuple(places)] += np.multiply(in1, in2[at], dtype=total.dtype)
    return total[tuple(slice(start, start + n) for start, n in each)].copy()


def _padded(array: np.ndarray, pads: Sequence[Pair], border: str, value: complex) -> np.ndarray:
    if not any(map(any, pads)):
        return array
    # As what arrays hold: objects would be NumPy's integers, which do not grow.
    more = {"constant_values": np.array(value, array.dtype)} if border == "constant" else {}
    about: Any = {"mode": border} | more
    return np.pad(array, pads, **about)


def _by_numpy(array: np.ndarray, weights: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The sums without borders, tap by tap: of truth values, which are joined, of long doubles and
    of objects."""
    counts = [n - k + 1 for n, k in zip(array.shape, weights.shape, strict=True)]
    total = np.zeros(counts, dtype)
    for at in np.ndindex(weights.shape):
        part = array[tuple(slice(i, i + n) for i, n in zip(at, counts, strict=True))]
        total += np.multiply(part, weights[at], dtype=dtype)
    return total
