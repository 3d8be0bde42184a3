"""The last rung of correlation: tap by tap, by NumPy, on copies of blocks with their borders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from .._plan.borders import BORDERS
from .._plan.geometry import Axis
from .._plan.orders import LINE, MEAN, WINDOW
from .._plan.parts import PART_BYTES
from .pad import places
from .rounding import store

BLOCK_ELEMENTS = PART_BYTES // 8  # of a bordered copy, or what windows need
EPS = np.finfo(np.float64).eps  # weights that differ less are alike


def correlate(
    array: np.ndarray,
    weights: np.ndarray,
    out: np.ndarray,
    *,
    modes: Sequence[str],
    cval: float,
    before: Sequence[int],
    order: str,
    sums: np.dtype,
    saturate: bool,
) -> None:
    """What `correlation.correlate` does.  A mean whose array or result are integers is the running
    one that SciPy's is: sums of 64 bits are inexact, and truncation shows it.  (That of one element
    is itself, where SciPy's collects errors, too.)"""
    if out.size == 0:
        return
    borders = map(BORDERS.index, modes)
    sizes = zip(array.shape, weights.shape, before, borders, strict=True)
    axes = [Axis(n, taps, before=some, border=border) for n, taps, some, border in sizes]
    is_whole = array.dtype.kind in "iu" or out.dtype.kind in "iu"
    with np.errstate(all="ignore"):
        if order == MEAN and is_whole and weights.size > 1:
            _running_means(array, axes, out, cval, sums, saturate)
            return
        for block in _blocks(out.shape, weights.shape):
            padded = _bordered(array, axes, block, cval, sums)
            at: Any = (*block, ...)  # an array even where there are no axes
            store(_SUMS[order](padded, weights), out[at], saturate, order == WINDOW)


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
    array: np.ndarray, axes: Sequence[Axis], block: Sequence[slice], cval: float, sums: np.dtype
) -> np.ndarray:
    """A copy of all elements under the windows of a block."""
    spans = [
        (some.start - axis.before, some.stop - axis.before + axis.kernel - 1)
        for axis, some in zip(axes, block, strict=True)
    ]
    if all(low >= 0 and high <= axis.size for axis, (low, high) in zip(axes, spans, strict=True)):
        return array[tuple(slice(*span) for span in spans)].astype(sums)
    taken = [places(np.arange(*span), axis) for axis, span in zip(axes, spans, strict=True)]
    inside = [np.flatnonzero(each >= 0) for each in taken]
    padded = np.full([len(each) for each in taken], cval, sums)
    from_array = (each[at] for each, at in zip(taken, inside, strict=True))
    padded[np.ix_(*inside)] = array[np.ix_(*from_array)]
    return padded


def _window_sums(padded: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Row by row, without the taps of next to no weight."""
    shape = [n - taps + 1 for n, taps in zip(padded.shape, weights.shape, strict=True)]
    factors, total = weights.astype(padded.dtype), np.zeros(shape, padded.dtype)
    term = np.empty_like(total)
    for tap in map(tuple, np.argwhere(abs(weights) > EPS).tolist()):
        under = tuple(slice(k, k + n) for k, n in zip(tap, shape, strict=True))
        np.multiply(padded[under], factors[tap], out=term)
        total += term
    return total


def _line_sums(padded: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The centre and then pairs from the outside in, whose weights are equal or opposite; else the
    last tap and then the others from the first on."""
    under, line = _taps(padded, weights), weights.ravel()
    factors, last = line.astype(padded.dtype), line.size - 1
    join = _join(line)
    if join is None:
        total = under(last) * factors[last]
        for k in range(last):
            total += under(k) * factors[k]
        return total
    total = under(last // 2) * factors[last // 2]
    for k in range(last // 2):
        total += join(under(k), under(last - k)) * factors[k]
    return total


def _join(line: np.ndarray) -> Callable[..., np.ndarray] | None:
    """What one does with elements under two taps that lie alike around the centre, before they are
    multiplied with the first one's weight; None: nothing, as their weights differ."""
    if line.size % 2 == 0:
        return None
    left, right = line[: line.size // 2], line[: line.size // 2 : -1]
    if not (abs(left - right) > EPS).any():
        return np.add
    return None if (abs(left + right) > EPS).any() else np.subtract


def _means(padded: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of sums of 1, 2, 4 .. elements, of which each other sum is made."""
    axis, left = int(np.argmax(weights.shape)), weights.size
    size = padded.shape[axis] - left + 1
    line, width, first, total = np.moveaxis(padded, axis, -1), 1, 0, None
    while left:
        if left & 1:
            some = line[..., first : first + size]
            total = some.copy() if total is None else total + some
            first += width
        left >>= 1
        if left:
            line = line[..., :-width] + line[..., width:]
            width *= 2
    assert total is not None
    return np.moveaxis(total, -1, axis) / padded.dtype.type(weights.size)


_SUMS = {WINDOW: _window_sums, LINE: _line_sums, MEAN: _means}


def _taps(padded: np.ndarray, weights: np.ndarray) -> Callable[[int], np.ndarray]:
    """What gives the elements under a tap of a window along one axis."""
    axis = int(np.argmax(weights.shape))
    size, before = padded.shape[axis] - weights.size + 1, (slice(None),) * axis
    return lambda tap: padded[(*before, slice(tap, tap + size))]


def _running_means(
    array: np.ndarray,
    axes: Sequence[Axis],
    out: np.ndarray,
    cval: float,
    sums: np.dtype,
    saturate: bool,
) -> None:
    """Means along one axis, of sums that get the next element and lose the last one."""
    axis = int(np.argmax([each.kernel for each in axes]))
    array, out = np.moveaxis(array, axis, -1), np.moveaxis(out, axis, -1)
    others, line = [*axes[:axis], *axes[axis + 1 :]], axes[axis]
    size = line.kernel
    # A window of one more, which what leaves the sum is in.
    axes = [*others, line._replace(kernel=size + 1, before=line.before + 1)]
    total = np.zeros(())
    for block in _blocks(out.shape, [each.kernel for each in axes]):
        padded = _bordered(array, axes, block, cval, sums)
        steps = padded[..., size:] - padded[..., :-size]
        if block[-1].start == 0:
            steps[..., 0] = np.add.accumulate(padded[..., 1 : size + 1], axis=-1)[..., -1]
        else:
            steps[..., 0] += total
        running = np.add.accumulate(steps, axis=-1)
        total = running[..., -1]
        store(running / running.dtype.type(size), out[block], saturate)
