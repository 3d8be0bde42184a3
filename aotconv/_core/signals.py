"""Convolution of two arrays of as many axes: as layers, by Fourier transforms, or by NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .._plan import spectral as plan
from .._plan.elements import HALVES, name_of
from .._plan.geometry import RANK, Axis
from . import check, spectral
from .call import Function
from .dtypes import EXACT
from .layer import Convolution

Pair = tuple[int, int]

FUNCTIONS = {rank: Function(Convolution, rank) for rank in range(1, RANK + 1)}


def ends(mode: str, size: int, other: int) -> Pair:
    """Along an axis, which output of the full convolution is the first one, and how many are."""
    if mode == "full":
        return 0, size + other - 1
    if mode == "same":
        return (other - 1) // 2, size
    return min(size, other) - 1, abs(size - other) + 1


def convolve(in1: np.ndarray, in2: np.ndarray, mode: str, method: str) -> np.ndarray:
    """The convolution of two arrays that have elements and axes, of NumPy's common dtype."""
    each = [ends(mode, *sizes) for sizes in zip(in1.shape, in2.shape, strict=True)]
    dtype = np.result_type(in1, in2)
    if method == "direct" or (method == "auto" and not _is_transformed(in1, in2, each, dtype)):
        return direct(in1, in2, each)
    result = transformed(in1, in2, each, range(in1.ndim))
    if not np.isfinite(result).all():
        warnings.warn(
            "Use of fft convolution on input with NAN or inf results in NAN or inf output: "
            "method 'direct' gives them where they belong",
            RuntimeWarning,
            stacklevel=3,
        )
    return _as(np.rint(result) if dtype.kind in "iu" else result, dtype)


def _is_transformed(
    in1: np.ndarray, in2: np.ndarray, each: Sequence[Pair], dtype: np.dtype
) -> bool:
    """Whether transforms take less time, and whole sums are exact by them."""
    if dtype.kind not in "iufc" or dtype.char in "gG":
        return False
    computed = spectral.computed_in(dtype)
    large, small = (in1, in2) if in1.size >= in2.size else (in2, in1)
    reaches = tuple(
        plan.Reach(count, size, 1) for (_, count), size in zip(each, small.shape, strict=True)
    )
    work = plan.Work(reaches, computed.itemsize)
    if not spectral.is_faster(work, plan.direct(work.products, computed.name)):
        return False
    if dtype.kind not in "iu":
        return True
    norm = float(np.linalg.norm(small.astype(np.float64)))
    return spectral.is_exact(_most(large), norm, work, computed)


def _most(array: np.ndarray) -> int:
    """The largest absolute value of integers or truth values."""
    return max(int(array.max(initial=0)), -int(array.min(initial=0)))


def transform(in1: np.ndarray, in2: np.ndarray, mode: str, axes: Sequence[int]) -> np.ndarray:
    """The convolution along some axes by transforms, in the floats that these are of; of none of
    them, products."""
    each = [ends(mode, in1.shape[i], in2.shape[i]) for i in axes]
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
    in1: np.ndarray, in2: np.ndarray, each: Sequence[Pair], border: str = "constant", value=0
) -> np.ndarray:
    """The outputs `each` of the full convolution, by sums of products."""
    if in2.size > in1.size and border == "constant" and value == 0:
        in1, in2 = in2, in1
    sizes = zip(in1.shape, in2.shape, each, strict=True)
    pads = [(k - 1 - start, start + count - n) for n, k, (start, count) in sizes]
    return correlate(in1, np.flip(in2), pads, border, value)


def correlate(
    array: np.ndarray,
    weights: np.ndarray,
    pads: Sequence[Pair],
    border: str = "constant",
    value: complex = 0,
) -> np.ndarray:
    """Sums of ``weights[k] * padded[i + k]``, in NumPy's common dtype.

    Parameters
    ----------
    array, weights : ndarray
        Of as many axes, none of which is 0.
    pads : sequence of (int, int)
        How many elements are before and behind each axis; less than 0 are cut off.
    border : str
        What these are, in np.pad's words; `value` with "constant".
    """
    dtype = np.result_type(array, weights)
    inside = (slice(max(0, -a), n + min(0, b)) for n, (a, b) in zip(array.shape, pads, strict=True))
    array = array[tuple(inside)]
    pads = [(max(0, before), max(0, behind)) for before, behind in pads]
    held = _held(array, weights, dtype, value)
    if held is None:
        return _by_numpy(_padded(array, pads, border, value), weights, dtype)
    floats = array.astype(held, copy=False), weights.astype(held, copy=False)
    return _as(_by_layers(*floats, pads, border, value), dtype)


def _as(result: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Results in their dtype; whole numbers wrap."""
    if dtype.kind in "iu":
        result = result.astype(np.int64)
    return result.astype(dtype, copy=False)


def _held(array: np.ndarray, weights: np.ndarray, dtype: np.dtype, value: complex) -> Any:
    """What layers compute sums in, all of which it holds; None: no layer does."""
    if dtype.kind in "iu":
        total = max(_most(array), abs(int(value.real))) * int(np.abs(weights.astype(object)).sum())
        return next((floats for floats, below in EXACT.items() if total < below), None)
    native = dtype.newbyteorder("=")
    is_known = dtype.kind in "fc" and dtype.char not in "gG"
    return native if is_known or name_of(native) in HALVES else None


def _by_layers(
    array: np.ndarray, weights: np.ndarray, pads: Sequence[Pair], border: str, value: complex
) -> np.ndarray:
    """The same by layers of as many axes as these have: along others their results are added."""
    axes = [i for i, pad in enumerate(pads) if weights.shape[i] > 1 or pad != (0, 0)]
    if len(axes) <= RANK:
        return _by_layer(array, weights, axes or [array.ndim - 1], pads, border, value)
    axis = axes[0]
    others = [(0, 0) if i == axis else pad for i, pad in enumerate(pads)]
    only = [pad if i == axis else (0, 0) for i, pad in enumerate(pads)]
    array = np.moveaxis(_padded(array, only, border, value), axis, 0)
    total: Any = 0
    for i, taps in enumerate(np.moveaxis(weights, axis, 0)):
        part = array[i : len(array) - weights.shape[axis] + 1 + i]
        each = np.moveaxis(part, 0, axis), np.expand_dims(taps, axis)
        total = total + _by_layers(*each, others, border, value)
    return total


def _by_layer(
    array: np.ndarray,
    weights: np.ndarray,
    axes: Sequence[int],
    pads: Sequence[Pair],
    border: str,
    value: complex,
) -> np.ndarray:
    """The same by one layer: axes without a window are many images."""
    others = [i for i in range(array.ndim) if i not in axes]
    order = (*others, *axes)
    images = array.transpose(order)[..., np.newaxis]
    filters = weights.reshape(*(weights.shape[i] for i in axes), 1, 1)
    result = layer(images, filters, [pads[i] for i in axes], border=border, value=value)
    return result[..., 0].transpose(np.argsort(order))


def layer(
    images: np.ndarray,
    filters: np.ndarray,
    pads: Sequence[Pair],
    strides: int = 1,
    border: str = "constant",
    value: complex = 0,
) -> np.ndarray:
    """What the layer of filters (.., C, O) makes of images (.., C) between pads."""
    axes = check.LETTERS[len(pads)]
    weights = filters, None, strides, tuple(pads), border, value, 1, 1
    options = f"N{axes}C", f"{axes}IO", None, None, False, "auto"
    return FUNCTIONS[len(pads)](images, None, None, None, weights + options)


def _padded(array: np.ndarray, pads: Sequence[Pair], border: str, value: complex) -> np.ndarray:
    if not any(map(any, pads)):
        return array
    about: Any = {"mode": border} | ({"constant_values": value} if border == "constant" else {})
    return np.pad(array, pads, **about)


def _by_numpy(array: np.ndarray, weights: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The sums without borders, tap by tap: of integers that wrap, of truth values, which are
    joined, of long doubles and of objects."""
    counts = [n - k + 1 for n, k in zip(array.shape, weights.shape, strict=True)]
    total = np.zeros(counts, dtype)
    for at in np.ndindex(weights.shape):
        part = array[tuple(slice(i, i + n) for i, n in zip(at, counts, strict=True))]
        total += np.multiply(part, weights[at], dtype=dtype)
    return total
