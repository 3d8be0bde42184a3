"""Convolution of two arrays of as many axes: as layers, by Fourier transforms, or by NumPy."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .._plan import spectral as plan
from .._plan.elements import HALVES, name_of
from .._plan.geometry import RANK, Axis
from . import check, fitting, spectral
from .call import Function, keep
from .dtypes import EXACT
from .layer import Convolution

Pair = tuple[int, int]
Shape = tuple[int, ...]

FUNCTIONS = {rank: Function(Convolution, rank) for rank in range(1, RANK + 1)}
KEPT = 256  # of what is decided by shapes; what meets more forgets the oldest
FEW = 1024  # elements, which are not looked at before they are summed
KEPT_BYTES = 1 << 14  # of the weights of layers that are kept
AT_ONCE = 1 << 14  # elements of full convolutions that are transformed whole
SIDE_BYTES = 32  # of neighbouring outputs that one layer computes of integers

_layers: dict[tuple, Convolution] = {}  # of weights that came again, by these and all else
_last: dict[tuple, tuple[bytes, Convolution]] = {}  # by all else: weights, and their layer


@functools.lru_cache(maxsize=KEPT)
def outputs(mode: str, in1: Shape, in2: Shape) -> tuple[Pair, ...]:
    """Along each axis, which output of the full convolution is the first one, and how many are;
    with "same_lower" of an even number the middle is the one before."""
    return tuple(_ends(mode, *sizes) for sizes in zip(in1, in2, strict=True))


def _ends(mode: str, size: int, other: int) -> Pair:
    if mode == "full":
        return 0, size + other - 1
    if mode.startswith("same"):
        return (other if mode == "same_lower" else other - 1) // 2, size
    return min(size, other) - 1, abs(size - other) + 1


def convolve(in1: np.ndarray, in2: np.ndarray, mode: str, method: str) -> np.ndarray:
    """The convolution of two arrays that have elements and axes, of NumPy's common dtype."""
    each = outputs(mode, in1.shape, in2.shape)
    if method == "direct" or (method == "auto" and not _is_transformed(in1, in2, each)):
        window = in2 if in2.size <= in1.size else in1
        if window.dtype.kind in "fc" and not _is_finite(window):
            return _within(in1, in2, each)
        return direct(in1, in2, each)
    dtype = np.result_type(in1, in2)
    result = transformed(in1, in2, each, range(in1.ndim))
    if not np.isfinite(result).all():
        warnings.warn(
            "Use of fft convolution on input with NAN or inf results in NAN or inf output: "
            "method 'direct' gives them where they belong",
            RuntimeWarning,
            stacklevel=3,
        )
    return _as(np.rint(result) if dtype.kind in "biu" else result, dtype)


def _is_transformed(in1: np.ndarray, in2: np.ndarray, each: tuple[Pair, ...]) -> bool:
    """Whether transforms take less time, and whole sums are exact by them."""
    large, small = (in1, in2) if in1.size >= in2.size else (in2, in1)
    dtype = np.result_type(in1, in2)
    work = _faster_work(each, small.shape, dtype)
    if work is None or dtype.kind not in "iu":
        return work is not None
    norm = float(np.linalg.norm(small.astype(np.float64)))
    return spectral.is_exact(_most(large), norm, work, spectral.computed_in(dtype))


@functools.lru_cache(maxsize=KEPT)
def _faster_work(each: tuple[Pair, ...], window: Shape, dtype: np.dtype) -> plan.Work | None:
    """What transforms have to do, where that takes less time than sums of products."""
    if dtype.kind not in "iufc" or dtype.char in "gG":
        return None
    computed = spectral.computed_in(dtype)
    pairs = zip(each, window, strict=True)
    reaches = tuple(plan.Reach(count, size, 1) for (_, count), size in pairs)
    work = plan.Work(reaches, computed.itemsize)
    is_faster = spectral.is_faster(work, plan.direct(work.products, computed.name))
    return work if is_faster else None


def _most(array: np.ndarray) -> int:
    """The largest absolute value of integers or truth values."""
    return max(int(array.max(initial=0)), -int(array.min(initial=0)))


def transform(in1: np.ndarray, in2: np.ndarray, mode: str, axes: Sequence[int]) -> np.ndarray:
    """The convolution along some axes by transforms, in the floats that these are of; of none of
    them, products."""
    each = outputs(mode, *(tuple(array.shape[i] for i in axes) for array in (in1, in2)))
    result = transformed(in1, in2, each, axes) if axes else in1 * in2
    if mode == "same":  # of the other axes, too, the middle
        others = (
            slice((size - own) // 2, (size - own) // 2 + own)
            for size, own in zip(result.shape, in1.shape, strict=True)
        )
        result = result[tuple(others)]
    return result


def transformed(
    in1: np.ndarray, in2: np.ndarray, each: Sequence[Pair], axes: Sequence[int]
) -> np.ndarray:
    """The outputs `each` of a convolution along `axes` by transforms; other axes are broadcast."""
    dtype = spectral.computed_in(in1.dtype, in2.dtype)
    if prod(in1.shape[i] for i in axes) < prod(in2.shape[i] for i in axes):
        in1, in2 = in2, in1
    shape = list(np.broadcast_shapes(*(_but(array.shape, axes) for array in (in1, in2))))
    for i, (_, count) in zip(axes, each, strict=True):
        shape[i] = count
    fitting.addressable("the result", tuple(shape))
    sizes = [in1.shape[i] + in2.shape[i] - 1 for i in axes]
    if prod(shape) * prod(sizes) <= AT_ONCE * prod(count for _, count in each):
        whole = spectral.circular(in1, in2, [plan.fast(size) for size in sizes], axes, dtype)
        kept = {i: slice(start, start + n) for i, (start, n) in zip(axes, each, strict=True)}
        return whole[tuple(kept.get(i, slice(None)) for i in range(len(shape)))].copy()
    out = np.empty(shape, dtype)
    spans = [_axis(in1.shape[i], in2.shape[i], *one) for i, one in zip(axes, each, strict=True)]
    last = range(-len(spans), 0)
    window = np.flip(in2, tuple(axes))
    array, weights, result = (np.moveaxis(each, axes, last) for each in (in1, window, out))
    windows = spectral.Alone(weights, len(spans), dtype)
    spectral.correlate(array, windows, spans, spectral.into(result))
    return out


def _but(shape: Sequence[int], axes: Sequence[int]) -> list[int]:
    """A shape with 1 along some axes."""
    return [1 if i in axes else size for i, size in enumerate(shape)]


def _axis(size: int, kernel: int, start: int, count: int) -> Axis:
    """Some outputs of a full convolution."""
    before = kernel - 1 - start
    return Axis(size, kernel, before=before, behind=count + start - size, out=count)


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
    return _as(_by_layers(*each, way, border, value), dtype)


def _as(result: np.ndarray, dtype: np.dtype) -> np.ndarray:
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
    most = max(_most(array), abs(int(value.real)))
    total = most * float(np.abs(weights, dtype=np.float64).sum())
    return next((np.dtype(name) for name, below in EXACT.items() if total < below), None)


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


def layer(
    images: np.ndarray,
    filters: np.ndarray,
    pads: tuple[Pair, ...],
    border: str = "constant",
    value: complex = 0,
    strides: Any = 1,
) -> np.ndarray:
    """What the layer of filters (.., O) makes of images of as many spatial axes and one channel,
    without an axis of that, between pads."""
    images, filters = images[..., np.newaxis], filters[..., np.newaxis, :]
    options = strides, pads, border, value
    if filters.nbytes > KEPT_BYTES:
        return FUNCTIONS[len(pads)](images, None, None, None, (filters, *_arguments(*options)))
    alike, held = (filters.shape, filters.dtype, options), filters.tobytes()
    kept = _layers.get((alike, held))
    if kept is None:
        return _of_new_weights(images, alike, held)
    result = kept.repeated(images, None)
    return kept.apply(images, None, None, None) if result is None else result


def _of_new_weights(images: np.ndarray, alike: tuple, held: bytes) -> np.ndarray:
    """The same by the layer that was made last of those that look alike, if there is one: that it
    takes other weights is a sixth of the time of a new one.  Weights that come again stay."""
    shape, dtype, options = alike
    filters = np.ndarray(shape, dtype, held)
    before, one = _last.pop(alike, (b"", None))  # nobody else has it meanwhile
    if one is None or not (before == held or one.reweigh(filters, None)):
        one = Convolution(*Convolution.checked(len(shape) - 2, filters, *_arguments(*options)))
    result = one.apply(images, None, None, None)
    if before == held or not one.can_reweigh:
        keep(_layers, (alike, held), one)
    else:
        keep(_last, alike, (held, one))
    return result


def _arguments(strides, pads: tuple[Pair, ...], border: str, value: complex) -> tuple[Any, ...]:
    """Those of a layer behind its filters."""
    axes = check.LETTERS[len(pads)]
    about = None, strides, pads, border, value, 1, 1
    return *about, f"N{axes}C", f"{axes}IO", None, None, False, "auto"


def _is_finite(array: np.ndarray) -> bool:
    if array.nbytes > KEPT_BYTES:
        return bool(np.isfinite(array).all())
    return _are_finite(array.tobytes(), array.dtype)  # to look again takes NumPy longer


@functools.lru_cache(maxsize=KEPT)
def _are_finite(held: bytes, dtype: np.dtype) -> bool:
    return bool(np.isfinite(np.frombuffer(held, dtype)).all())


def _within(in1: np.ndarray, in2: np.ndarray, each: tuple[Pair, ...]) -> np.ndarray:
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
