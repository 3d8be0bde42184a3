"""Blocks of arrays for filters of several windows: each reads what its windows reach over, and what
is computed of that beyond the block is left to its neighbours."""

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

# There are several blocks at a time: terms, sums, shares.
BLOCK_BYTES = 2 << 20  # of slabs, which caches hold
MOST_BYTES = 16 << 20  # of a slab that is not cut once more: what is computed twice takes time
FEWEST = 8  # slabs in place: fewer, with what is beside them, take more than another result
HALOS = 4  # times as long a block is at least as what its windows reach over beyond it


class Beyond(NamedTuple):
    """How far a result looks along one axis, and whether the other end is next to an end."""

    before: int = 0
    behind: int = 0
    wraps: bool = False

    def then(self, other: "Beyond") -> "Beyond":
        """Through one window and then through another."""
        wraps = self.wraps or other.wraps
        return Beyond(self.before + other.before, self.behind + other.behind, wraps)

    def beside(self, other: "Beyond") -> "Beyond":
        """Through one window or through another."""
        before, behind = max(self.before, other.before), max(self.behind, other.behind)
        return Beyond(before, behind, self.wraps or other.wraps)


class Halo(NamedTuple):
    """A block of a result.

    Attributes
    ----------
    inputs : tuple
        What it is computed of, by the same filter with the same borders: ends that are not those of
        the array are so far away that they do not show.
    kept : tuple
        Of what is computed, the block.
    out : tuple
        Where that belongs.
    """

    inputs: tuple[Any, ...]
    kept: tuple[Any, ...]
    out: tuple[Any, ...]


WHOLE = Halo((...,), (...,), (...,))


def is_one_block(sizes: Sequence[int], itemsize: int) -> bool:
    """Whether an array of such elements is small enough, however far windows reach."""
    return prod(sizes) * itemsize <= BLOCK_BYTES


def halos(
    sizes: Sequence[int], reaches: Sequence[Beyond], itemsize: int, is_in_place: bool
) -> list[Halo]:
    """The blocks of an array of such elements: slabs of BLOCK_BYTES where windows reach not too
    far, else of at most MOST_BYTES.  In place it is cut along one axis alone: what a block reads
    beyond itself is in the last one and the next."""
    n_bytes, limit, fewest = prod(sizes) * itemsize, BLOCK_BYTES, FEWEST if is_in_place else 2
    every = [[slice(0, size)] for size in sizes]
    for axis, (size, reach) in enumerate(zip(sizes, reaches, strict=True)):
        if n_bytes <= limit:
            break
        count = size // max(limit * size // n_bytes, HALOS * (reach.before + reach.behind), 1)
        if count >= fewest and not reach.wraps:
            ends = [i * size // count for i in range(count + 1)]
            every[axis] = [slice(ends[i], ends[i + 1]) for i in range(count)]
            n_bytes, limit = n_bytes // count, MOST_BYTES
            if is_in_place:
                break
    blocks = [_block(sizes, reaches, slices) for slices in product(*every)]
    return blocks if len(blocks) > 1 else [WHOLE]


def _block(sizes: Sequence[int], reaches: Sequence[Beyond], out: Sequence[slice]) -> Halo:
    inputs, kept = [], []
    for size, reach, each in zip(sizes, reaches, out, strict=True):
        first = max(0, each.start - reach.before)
        inputs.append(slice(first, min(size, each.stop + reach.behind)))
        kept.append(slice(each.start - first, each.stop - first))
    return Halo(tuple(inputs), tuple(kept), tuple(out))
