"""Convolution by Fourier transforms: which sections, and how long it takes."""

from __future__ import annotations

import functools
from itertools import product
from math import log2, prod
from typing import NamedTuple

from .arithmetic import ceil_div

# Elements of a section, and of those that are transformed together; more where a window has a
# quarter as many.
MOST_ELEMENTS = 1 << 18
MOST_LINE = 1 << 14  # elements of a section along an axis, or four times the window's
MOST_EVEN = 8  # sections along an axis that are as large as each other
# Nanoseconds on one thread: of a convolution, of a section, and of four bytes of it, its copies and
# products and a transform there and back, to which each doubling of the section adds.
START, SECTION, ELEMENT, DOUBLING = 400e3, 40e3, 3.5, 0.5
# Of a product that compiled kernels sum, and of a call of those.
PRODUCTS = {"float32": 0.04, "float64": 0.1, "complex64": 0.16, "complex128": 0.4}
BYTES = {"float32": 4, "float64": 8, "complex64": 8, "complex128": 16}
CALL = 10e3
SLOWER = {"scipy": 1.0, "numpy": 3.0}  # transforms, by their engine


class Reach(NamedTuple):
    """Along one axis, so many outputs, and how many elements the window of one reaches over."""

    outs: int
    extent: int
    stride: int

    @property
    def whole(self) -> int:
        """Elements that the windows of all outputs reach over."""
        return (self.outs - 1) * self.stride + self.extent

    def fits(self, size: int) -> int:
        """Outputs whose windows lie within a section of a size."""
        return (size - self.extent) // self.stride + 1


@functools.lru_cache(maxsize=1024)
def fast(size: int) -> int:
    """The next size whose transforms are fast: even, and of no prime factor above 5."""
    factors = (5**c * 3**b for c in range(28) for b in range(41) if 5**c * 3**b < 2 * size)
    return min(each << max(1, (ceil_div(size, each) - 1).bit_length()) for each in factors)


@functools.lru_cache(maxsize=256)
def section(
    reaches: tuple[Reach, ...], n_lines: int, itemsize: int, channels: int = 1
) -> tuple[int, ...]:
    """The sizes of sections of so many arrays, of which `channels` are transformed together."""
    every = _sections(reaches, MOST_ELEMENTS // channels)
    return min(every, key=lambda sizes: _nanoseconds(reaches, n_lines, sizes, itemsize))


def lines(sizes: tuple[int, ...]) -> int:
    """How many arrays have a section each that is transformed with those of others."""
    return max(1, MOST_ELEMENTS // prod(sizes))


def nanoseconds(reaches: tuple[Reach, ...], n_lines: int, itemsize: int, engine: str) -> float:
    """The time of a convolution of so many arrays, roughly."""
    sizes = section(reaches, n_lines, itemsize)
    return START + SLOWER[engine] * _nanoseconds(reaches, n_lines, sizes, itemsize)


def is_faster(reaches: tuple[Reach, ...], n_lines: int, dtype: str, engine: str) -> bool:
    """Whether transforms take less time than compiled kernels, both in numbers of a dtype."""
    products = n_lines * prod(each.outs * each.extent for each in reaches)
    direct = CALL + products * PRODUCTS[dtype]
    if direct <= START:  # which spares the choice of a section
        return False
    return nanoseconds(reaches, n_lines, BYTES[dtype], engine) < direct


def _sections(reaches: tuple[Reach, ...], most: int) -> list[tuple[int, ...]]:
    """Sections that are no larger than they may be; the least one, if all are."""
    most = max(most, 4 * prod(each.extent for each in reaches))
    every = list(product(*map(_sizes, reaches)))
    return [sizes for sizes in every if prod(sizes) <= most] or [min(every, key=prod)]


def _sizes(reach: Reach) -> list[int]:
    """Sizes of sections along an axis: powers of two, and what cuts the outputs evenly."""
    least, whole = fast(reach.extent), fast(reach.whole)
    powers = (1 << i for i in range(1, whole.bit_length()))
    even = (reach._replace(outs=ceil_div(reach.outs, n)).whole for n in range(1, MOST_EVEN + 1))
    found = {*map(fast, even), *powers}
    most = min(whole, max(MOST_LINE, fast(4 * reach.extent)))
    return [least, *sorted(size for size in found if least < size <= most)]


def _nanoseconds(
    reaches: tuple[Reach, ...], n_lines: int, sizes: tuple[int, ...], itemsize: int
) -> float:
    elements = prod(sizes)
    sections = prod(
        ceil_div(each.outs, each.fits(s)) for each, s in zip(reaches, sizes, strict=True)
    )
    calls = sections * ceil_div(n_lines, lines(sizes))
    each = itemsize / 4 * (ELEMENT + DOUBLING * log2(elements))
    return calls * SECTION + (sections * n_lines + 0.5) * elements * each  # and the window's own
