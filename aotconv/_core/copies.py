"""Copies that are made piece by piece where they are large: in between Python answers signals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

UNINTERRUPTED_ELEMENTS = 4 << 20  # copied at a time


def convert(source: np.ndarray, target: np.ndarray) -> None:
    """Copy into an array of that shape and of any dtype."""
    if source.size <= UNINTERRUPTED_ELEMENTS:
        np.copyto(target, source, casting="unsafe")
        return
    axis = int(np.argmax(source.shape))
    middle = source.shape[axis] // 2
    for half in (slice(middle), slice(middle, None)):
        at = (*[slice(None)] * axis, half)
        convert(source[at], target[at])


def pieces(shape: Sequence[int], most: int = UNINTERRUPTED_ELEMENTS) -> Iterator[tuple[slice, ...]]:
    """Parts of an array of a shape that have no more elements, in their order."""
    axis = next((axis for axis, size in enumerate(shape) if size > 1), None)
    if axis is None or prod(shape) <= most:
        yield tuple(map(slice, [0] * len(shape), shape))
        return
    step = max(1, most // prod(shape[axis + 1 :]))
    for first in range(0, shape[axis], step):
        size = min(step, shape[axis] - first)
        for one, *others in pieces((size, *shape[axis + 1 :]), most):
            at = slice(first + one.start, first + one.stop)
            yield (*[slice(0, 1)] * axis, at, *others)


def copied(array: np.ndarray, dtype: str | None = None) -> np.ndarray:
    """A contiguous copy, of the same dtype or of another."""
    copy = np.empty(array.shape, array.dtype if dtype is None else dtype)
    convert(array, copy)
    return copy


def rows_at_a_time(rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Rows that are copied at a time, and the number of the first."""
    step = max(1, UNINTERRUPTED_ELEMENTS // rows.shape[1])
    for first in range(0, len(rows), step):
        yield first, rows[first : first + step]
