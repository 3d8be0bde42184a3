"""What a block of a result reads along one axis of an array.  Pure functions of Python integers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple


class Piece(NamedTuple):
    """What a block of the result reads along an axis.

    Attributes
    ----------
    parts : tuple of slice
        Of the array, one behind the other: several where it wraps around.
    pads : (int, int)
        Elements to add before and behind them, as the array's ends have it.
    computed : slice
        The results that come of these.
    kept : slice
        Of those the block.
    """

    parts: tuple[slice, ...]
    pads: tuple[int, int]
    computed: slice
    kept: slice


class Windows(NamedTuple):
    """The windows along an axis, of which the i-th begins at element ``i * stride - before``.

    Attributes
    ----------
    size, results : int
        Elements of the array, and windows, of which each gives a result.
    span, stride : int
        Elements from a window's first to its last one, and from one window to the next.
    before, behind : int
        Elements that windows may reach over the array's ends.
    depth : int
        Elements at an end, one at least, that say what is beyond it.
    wraps : bool
        Whether it is the other end that is beyond.
    fills : bool
        Whether each element that is read gives a result; else each whole window.
    """

    size: int
    results: int
    span: int = 1
    stride: int = 1
    before: int = 0
    behind: int = 0
    depth: int = 1
    wraps: bool = False
    fills: bool = False

    def piece(self, first: int, last: int) -> Piece:
        """What the results from `first` to before `last` read; there are some."""
        start = first * self.stride - self.before
        stop = start + (last - 1 - first) * self.stride + self.span
        if self.wraps:
            begin, parts, pads = first, tuple(_around(start, stop, self.size)), (0, 0)
        else:
            begin = first
            if stop > self.size:  # the end may need more elements, in steps of a stride
                missing = self.depth - (self.size - start)
                begin -= min(first, max(0, -(-missing // self.stride)))
                start = begin * self.stride - self.before
            if start < 0:
                stop = max(stop, self.depth)
            pads = max(-start, 0), min(max(stop - self.size, 0), self.behind)
            start, stop = max(start, 0), min(stop, self.size)
            parts = (slice(start, stop),)
        if self.fills:
            begin, end = start, stop
        else:
            end = begin + (stop - start + sum(pads) - self.span) // self.stride + 1
        return Piece(parts, pads, slice(begin, end), slice(first - begin, last - begin))

    def chunks(self, chunks: Sequence[int]) -> tuple[int, ...]:
        """How results are cut where the array is cut so: each belongs to its element, or to that
        under the middle of its window."""
        middle = 0 if self.fills else (self.span - 1) // 2 - self.before
        ends = (-(-(end - middle) // self.stride) for end in accumulate(chunks))
        cuts = [0, *(min(max(end, 0), self.results) for end in ends)][:-1]
        sizes = (last - first for first, last in pairwise([*cuts, self.results]))
        return tuple(filter(None, sizes)) or (0,)


class Taps(NamedTuple):
    """How windows lie along a spatial axis, in the words of `conv2d`."""

    window: int
    stride: int
    dilation: int
    padding: str | tuple[int, int]
    padding_mode: str = "constant"

    def windows(self, size: int, results: int) -> Windows:
        """Those of an axis of a size, which give so many results."""
        span = (self.window - 1) * self.dilation + 1
        before, behind = self._pads(max((results - 1) * self.stride + span - size, 0), span)
        mirrors = self.padding_mode in ("reflect", "symmetric")
        depth = max(before, behind) + 1 if mirrors else 1
        wraps = self.padding_mode == "wrap"
        return Windows(size, results, span, self.stride, before, behind, depth, wraps)

    def _pads(self, missing: int, span: int) -> tuple[int, int]:
        if isinstance(self.padding, tuple):
            return self.padding
        less, more = missing // 2, missing - missing // 2
        return {
            "valid": (0, 0),
            "same": (less, more),
            "same_lower": (more, less),
            "full": (span - 1, span - 1),
            "causal": (span - 1, 0),
        }[self.padding]


class Whole(NamedTuple):
    """An axis all of whose elements each result reads."""

    size: int
    results: int

    def piece(self, first: int, last: int) -> Piece:
        """What the results from `first` to before `last` read."""
        return Piece((slice(0, self.size),), (0, 0), slice(0, self.results), slice(first, last))

    def chunks(self, chunks: Sequence[int]) -> tuple[int, ...]:
        """How results are cut, however the array is: not at all."""
        return (self.results,)


Axis = Windows | Whole


def pieces(axis: Axis, chunks: Iterable[int]) -> list[Piece]:
    """Those of all blocks, of results that are cut so."""
    return [axis.piece(*each) for each in pairwise(accumulate(chunks, initial=0))]


def _around(start: int, stop: int, size: int) -> Iterable[slice]:
    """The slices of a ring of some size that follow each other from one place to another."""
    while start < stop:
        place = start % size
        part = slice(place, min(place + stop - start, size))
        yield part
        start += part.stop - part.start
