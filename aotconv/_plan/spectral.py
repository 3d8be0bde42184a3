"""Convolution by Fourier transforms: which sections, and how long it takes."""

from __future__ import annotations

import functools
from itertools import product
from math import log2, prod
from typing import NamedTuple

from .arithmetic import ceil_div
from .geometry import Axis

# Elements of a section, and of those that are transformed together; more where a window has a
# quarter as many, or where filters of several channels, which all of these share, have more.
MOST_ELEMENTS = 1 << 18
MOST_SUMMED = 1 << 20
MOST_SPECTRA = 1 << 27  # elements of sections that filters are transformed as
MOST_LINE = 1 << 14  # elements of a section along an axis, or four times the window's
MOST_EVEN = 8  # sections along an axis that are as large as each other
# Nanoseconds on one thread: of a convolution, of a section, and of four bytes of it, its copies and
# products and a transform there and back, to which each doubling of the section adds.
START, SECTION, ELEMENT, DOUBLING = 600e3, 40e3, 3.5, 0.5
# Of four bytes of a filter's section: its product with those of images, and to read it.
PRODUCT, READ = 0.08, 1.0
# Of a product that compiled kernels sum, and of a call of those.
PRODUCTS = {"float32": 0.036, "float64": 0.075, "complex64": 0.15, "complex128": 0.3}
CALL = 10e3
# As how many times its estimate Winograd's algorithm counts, and of how many channels at least.
WINOGRAD, WINOGRAD_CHANNELS = 1.2, 8
SLOWER = {"scipy": 1.0, "numpy": 3.0}  # transforms, by their engine


class Reach(NamedTuple):
    """Along one axis, so many outputs, and how many elements the window of one reaches over."""

    outs: int
    extent: int
    stride: int

    @classmethod
    def of(cls, axis: Axis) -> Reach:
        return cls(axis.out, axis.extent, axis.stride)

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


class Work(NamedTuple):
    """What is to be transformed.

    Attributes
    ----------
    reaches : tuple of Reach
        Along each axis with a window.
    itemsize : int
        Bytes of a number that is computed in.
    arrays : int
        How many there are, each under windows of its own or under the same.
    channels, filters, groups : int
        Of each array how many are read, and how many are results; channels are summed in groups.
    """

    reaches: tuple[Reach, ...]
    itemsize: int
    arrays: int = 1
    channels: int = 1
    filters: int = 1
    groups: int = 1

    @property
    def spectra(self) -> int:
        """Windows that all arrays share."""
        return self.channels // self.groups * self.filters

    @property
    def is_summed(self) -> bool:
        """Whether several channels are."""
        return self.channels > self.groups

    @property
    def products(self) -> int:
        """Of all windows with all that they reach over."""
        return self.arrays * self.spectra * prod(each.outs * each.extent for each in self.reaches)

    def sections(self, sizes: tuple[int, ...]) -> int:
        """How many have to be transformed."""
        each = zip(self.reaches, sizes, strict=True)
        return self.arrays * prod(ceil_div(reach.outs, reach.fits(size)) for reach, size in each)

    def together(self, sizes: tuple[int, ...]) -> int:
        """How many sections are transformed together."""
        elements, most = prod(sizes), MOST_ELEMENTS
        if self.is_summed:
            most = max(most, min(elements * self.spectra, MOST_SUMMED))
        return max(1, most // (elements * max(self.channels, self.filters)))


@functools.lru_cache(maxsize=256)
def section(work: Work) -> tuple[int, ...]:
    """The sizes of sections, whatever the number of arrays."""
    one = work._replace(arrays=1)
    return min(_sections(one), key=lambda sizes: _nanoseconds(one, sizes))


def nanoseconds(work: Work, engine: str) -> float:
    """How long it takes, roughly."""
    return START + SLOWER[engine] * _nanoseconds(work, section(work))


def direct(products: int, dtype: str) -> float:
    """The nanoseconds of compiled kernels that sum so many products in a dtype, roughly."""
    return CALL + products * PRODUCTS[dtype]


def is_faster(work: Work, others: float, engine: str) -> bool:
    """Whether transforms take less time than so many nanoseconds."""
    if others <= START:  # which spares the choice of a section
        return False
    return nanoseconds(work, engine) < others


def _sections(work: Work) -> list[tuple[int, ...]]:
    """Sections that are no larger than they may be; the least one, if all are."""
    window = prod(each.extent for each in work.reaches)
    most = max(MOST_ELEMENTS // max(work.channels, work.filters), 4 * window)
    every = list(product(*map(_sizes, work.reaches)))
    return [sizes for sizes in every if prod(sizes) <= most] or [min(every, key=prod)]


def _sizes(reach: Reach) -> list[int]:
    """Sizes of sections along an axis: powers of two, and what cuts the outputs evenly."""
    least, whole = fast(reach.extent), fast(reach.whole)
    powers = (1 << i for i in range(1, whole.bit_length()))
    even = (reach._replace(outs=ceil_div(reach.outs, n)).whole for n in range(1, MOST_EVEN + 1))
    found = {*map(fast, even), *powers}
    most = min(whole, max(MOST_LINE, fast(4 * reach.extent)))
    return [least, *sorted(size for size in found if least < size <= most)]


def _nanoseconds(work: Work, sizes: tuple[int, ...]) -> float:
    elements, sections = prod(sizes), work.sections(sizes)
    words = work.itemsize / 4
    calls = ceil_div(sections, work.together(sizes))
    transforms = sections * (work.channels + work.filters) / 2
    if work.channels == work.filters == 1:
        transforms += 0.5  # the window's own; filters' are those of a layer
    total = calls * SECTION + transforms * elements * words * (ELEMENT + DOUBLING * log2(elements))
    if work.is_summed:
        each = sections * PRODUCT + calls * READ
        total += elements * work.spectra * words * each
    return total
