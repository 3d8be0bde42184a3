"""Arrays of dask whose blocks are computed each from the pieces of others that it reads."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import accumulate, product
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from dask.array.chunk import getitem  # which copies what is small, or all would stay in memory
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from .pieces import Axis, Piece, pieces

Slices = Sequence[Sequence[tuple[slice, ...]]]  # of each axis, for each block


def computed_in_blocks(
    label: str,
    compute: Callable[..., np.ndarray],
    axes: Sequence[Axis],
    arrays: Sequence[da.Array],
    dtype: np.dtype[Any],
    beside: Sequence[da.Array] = (),
) -> da.Array:
    """The array of results along some axes, of which each block is what is kept of
    ``compute(pieces, *arrays)``.

    It is given what the block reads: a `Piece` for each axis, and these of all arrays along them;
    of those `beside`, what is at the places of the results that come of these.  `compute` stands in
    the graph once, so that each process gets it once.
    """
    shape = tuple(axis.results for axis in axes)
    chunks = [axis.chunks(cut) for axis, cut in zip(axes, arrays[0].chunks, strict=True)]
    if 0 in shape:
        return da.zeros(shape, dtype=dtype, chunks=chunks)
    name = f"{label}-{tokenize(compute, axes, *arrays, *beside)}"
    cut = [pieces(axis, each) for axis, each in zip(axes, chunks, strict=True)]
    parts: Slices = [[each.parts for each in axis] for axis in cut]
    computed: Slices = [[(each.computed,) for each in axis] for axis in cut]
    read = [*((each, parts) for each in arrays), *((each, computed) for each in beside)]
    chunked = [_Chunks(f"part-{name}-{i}", *each) for i, each in enumerate(read)]
    graph: dict[Any, Any] = {f"compute-{name}": compute}
    for index in product(*map(range, map(len, chunks))):
        block = partial(_block, [axis[i] for axis, i in zip(cut, index, strict=True)])
        keys = [each.read(index, graph) for each in chunked]
        graph[(name, *index)] = (block, f"compute-{name}", *keys)
    dependencies: list[Any] = [*arrays, *beside]
    layers = HighLevelGraph.from_collections(name, graph, dependencies)
    return da.Array(layers, name, tuple(chunks), meta=np.empty((0,) * len(shape), dtype))


def _block(block: Sequence[Piece], compute, *arrays) -> np.ndarray:
    joined = (np.block(each) if isinstance(each, list) else each for each in arrays)
    return getitem(compute(block, *joined), tuple(each.kept for each in block))


class _Part(NamedTuple):
    """What is read of one chunk along an axis."""

    chunk: int
    within: slice
    is_whole: bool


class _Chunks:
    """The chunks of an array, and parts of them, that blocks of a result read."""

    def __init__(self, name: str, array: da.Array, axes: Slices) -> None:
        self._name, self._array = name, array.name
        self._axes = [
            _parts_of_blocks(blocks, chunks)
            for blocks, chunks in zip(axes, array.chunks, strict=True)
        ]

    def read(self, index: Sequence[int], graph: dict[Any, Any]) -> Any:
        """The key of what a block reads, or keys as `np.block` nests arrays.

        What is less than a chunk is a task of its own, so that it alone goes to where it is needed.
        """
        axes = [axis[i] for axis, i in zip(self._axes, index, strict=True)]
        if all(len(parts) == 1 for parts in axes):
            return self._key([parts[0] for parts in axes], graph)
        return self._nested(axes, [], graph)

    def _nested(self, axes, before: list[_Part], graph: dict[Any, Any]) -> Any:
        if not axes:
            return self._key(before, graph)
        return [self._nested(axes[1:], [*before, part], graph) for part in axes[0]]

    def _key(self, parts: list[_Part], graph: dict[Any, Any]) -> tuple[Any, ...]:
        places = [each.chunk for each in parts]
        chunk = (self._array, *places)
        if all(each.is_whole for each in parts):
            return chunk
        slices = tuple(each.within for each in parts)
        key = (self._name, *places, *(end for each in slices for end in (each.start, each.stop)))
        graph[key] = (getitem, chunk, slices)
        return key


def _parts_of_blocks(blocks: Sequence[Iterable[slice]], chunks: Sequence[int]) -> list[list[_Part]]:
    """What the slices of each block are of an axis' chunks."""
    bounds = list(accumulate(chunks, initial=0))
    return [_parts(slices, bounds) for slices in blocks]


def _parts(slices: Iterable[slice], bounds: Sequence[int]) -> list[_Part]:
    parts = []
    for each in slices:
        start = each.start
        while start < each.stop:
            i = bisect_right(bounds, start) - 1
            first, last = bounds[i], bounds[i + 1]
            stop = min(each.stop, last)
            is_whole = (start, stop) == (first, last)
            parts.append(_Part(i, slice(start - first, stop - first), is_whole))
            start = stop
    return parts or [_Part(0, slice(0, 0), False)]
