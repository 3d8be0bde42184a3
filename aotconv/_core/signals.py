"""Convolution of two arrays of as many axes: by sums of products, or by Fourier transforms."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from math import prod

import numpy as np

from .._plan import spectral as plan
from .._plan.geometry import Axis, Pair
from . import fitting, spectral
from .direct import KEPT, Shape, direct, in_dtype, is_finite, largest_value, within

AT_ONCE = 1 << 14  # elements of full convolutions that are transformed whole


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
        if window.dtype.kind in "fc" and not is_finite(window):
            return within(in1, in2, each)
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
    return in_dtype(np.rint(result) if dtype.kind in "biu" else result, dtype)


def _is_transformed(in1: np.ndarray, in2: np.ndarray, each: tuple[Pair, ...]) -> bool:
    """Whether transforms take less time, and whole sums are exact by them."""
    large, small = (in1, in2) if in1.size >= in2.size else (in2, in1)
    dtype = np.result_type(in1, in2)
    work = _faster_work(each, small.shape, dtype)
    if work is None or dtype.kind not in "iu":
        return work is not None
    norm = float(np.linalg.norm(small.astype(np.float64)))
    return spectral.is_exact(largest_value(large), norm, work, spectral.computed_in(dtype))


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
