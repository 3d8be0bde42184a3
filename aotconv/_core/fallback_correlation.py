"""The last rung of correlation: tap by tap, by NumPy, on copies of blocks with their borders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from .._plan.geometry import Axis
from .._plan.parts import PART_BYTES
from .._plan.taps import WINDOW, Listed, listed
from .pad import places
from .rounding import store
from .sums import Sums

BLOCK_ELEMENTS = PART_BYTES // 8  # of a bordered copy, or what windows need


def correlate(array: np.ndarray, axes: Sequence[Axis], out: np.ndarray, sums: Sums) -> None:
    """What `correlation.correlate` does with one window, whose sizes `axes` are, for arrays that do
    not overlap."""
    if out.size == 0:
        return
    (window,) = sums.windows
    taps = listed(sums.order, window.weights.ravel().tolist())
    with np.errstate(all="ignore"):
        for block in _blocks(out.shape, window.shape):
            padded = _bordered(array, axes, block, window.cval, sums.dtype)
            at: Any = (*block, ...)  # an array even where there are no axes
            store(_summed(padded, taps, window.shape), out[at], sums.clips, sums.order == WINDOW)


def _blocks(shape: Sequence[int], window: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Parts of an array in their order, the first axes cut first: with their borders no larger than
    a copy may be, or such that borders are no more than half of it along each axis."""
    block, sizes = list(shape), list(window)
    for axis, taps in enumerate(sizes):
        others = zip(
            block[:axis] + block[axis + 1 :], sizes[:axis] + sizes[axis + 1 :], strict=True
        )
        beside = prod(n + k - 1 for n, k in others)
        fits = max(BLOCK_ELEMENTS // beside - (taps - 1), taps - 1, 1)
        block[axis] = min(block[axis], fits)
    for starts in product(*map(range, [0] * len(block), shape, block)):
        each = zip(starts, block, shape, strict=True)
        yield tuple(slice(start, min(start + size, n)) for start, size, n in each)


def _bordered(
    array: np.ndarray, axes: Sequence[Axis], block: Sequence[slice], cval: float, dtype: np.dtype
) -> np.ndarray:
    """A copy of all elements under the windows of a block."""
    spans = [
        (some.start - axis.before, some.stop - axis.before + axis.kernel - 1)
        for axis, some in zip(axes, block, strict=True)
    ]
    if all(low >= 0 and high <= axis.size for axis, (low, high) in zip(axes, spans, strict=True)):
        return array[tuple(slice(*span) for span in spans)].astype(dtype)
    taken = [places(np.arange(*span), axis) for axis, span in zip(axes, spans, strict=True)]
    inside = [np.flatnonzero(each >= 0) for each in taken]
    padded = np.full([len(each) for each in taken], cval, dtype)
    from_array = (each[at] for each, at in zip(taken, inside, strict=True))
    padded[np.ix_(*inside)] = array[np.ix_(*from_array)]
    return padded


def _summed(padded: np.ndarray, taps: Listed, window: Sequence[int]) -> np.ndarray:
    """The sums of the taps of a list, whose places are those in a window."""
    shape = [n - size + 1 for n, size in zip(padded.shape, window, strict=True)]
    of = padded.dtype.type
    total, term = np.full(shape, taps.start, padded.dtype), np.empty(shape, padded.dtype)

    def under(place: int) -> np.ndarray:
        first = np.unravel_index(place, window)
        return padded[tuple(slice(k, k + n) for k, n in zip(first, shape, strict=True))]

    def values() -> Iterator[np.ndarray]:
        yield from map(under, taps.singles)
        join = np.add if taps.sign > 0 else np.subtract
        yield from (join(under(a), under(b)) for a, b in taps.pairs)

    for value, weight in zip(values(), taps.weights, strict=True):
        np.multiply(value, of(weight), out=term)
        total += term
    return total if taps.divisor == 1 else total / of(taps.divisor)
