"""The layout of an array: what all decisions are made by."""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .._plan.family import contiguous

# Of an array's flags, as NumPy's C API numbers them.
C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400


class Layout(NamedTuple):
    """All that is known of an array but its values and where it lies."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype
    flags: int  # bits of C_CONTIGUOUS and the like

    @classmethod
    def of(cls, array: np.ndarray) -> "Layout":
        return cls(array.shape, array.strides, array.dtype, array.flags.num)

    @classmethod
    def new(cls, shape: tuple[int, ...], dtype: np.dtype) -> "Layout":
        """The layout of an array that is yet to be allocated."""
        strides = contiguous(shape, dtype.itemsize)
        return cls(shape, strides, dtype, C_CONTIGUOUS | ALIGNED | WRITEABLE)

    def part(self, slices: Sequence[slice]) -> tuple["Layout", int]:
        """The layout of ``array[slices]``, and the bytes to its first element."""
        shape, strides, offset = list(self.shape), list(self.strides), 0
        for axis, taken in enumerate(slices):
            places = range(*taken.indices(self.shape[axis]))
            offset += (places.start if places else 0) * self.strides[axis]
            shape[axis], strides[axis] = len(places), places.step * self.strides[axis]
        flags = self.flags & ~C_CONTIGUOUS
        return Layout(tuple(shape), tuple(strides), self.dtype, flags), offset

    def swapped(self, one: int, other: int) -> "Layout":
        """The layout of the array with two axes in each other's place."""
        shape, strides = list(self.shape), list(self.strides)
        shape[one], shape[other] = shape[other], shape[one]
        strides[one], strides[other] = strides[other], strides[one]
        flags = self.flags & ~C_CONTIGUOUS
        return self._replace(shape=tuple(shape), strides=tuple(strides), flags=flags)

    @property
    def c_contiguous(self) -> bool:
        return bool(self.flags & C_CONTIGUOUS)

    @property
    def aligned(self) -> bool:
        return bool(self.flags & ALIGNED)

    @property
    def writeable(self) -> bool:
        return bool(self.flags & WRITEABLE)


def key_of(array: np.ndarray) -> tuple[Any, ...]:
    """What a `Layout` is made of; a plain tuple is made in half the time."""
    return array.shape, array.strides, array.dtype, array.flags.num


def merged(shape: Sequence[int], strides: Sequence[int]) -> int | None:
    """The stride of the one axis that some axes are together; None where they lie in no order."""
    step, span = None, 0
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size == 1:
            continue
        if step is None:
            step, span = stride, stride
        elif stride != span:
            return None
        span *= size
    return 0 if step is None else step


class View(NamedTuple):
    """How arrays of leading axes, spatial axes and channels are seen as (N, D, H, W, C).

    Attributes
    ----------
    rank : int
        Spatial axes of the arrays.
    channels_first : bool
        Whether channels stand before them.
    outer : tuple of int
        Sizes of leading axes that lie in no order, so that they are no axis of images: what is seen
        is behind them.
    order : tuple of int
        Which of depth, height and width stands in each place.
    """

    rank: int
    channels_first: bool
    outer: tuple[int, ...] = ()
    order: tuple[int, ...] = (0, 1, 2)

    @classmethod
    def of(cls, layouts: Sequence[Layout], rank: int, channels_first: bool) -> "View":
        """The view of arrays of these layouts and of the same leading axes."""
        leading = len(layouts[0].shape) - rank - 1

        def merge(outer: int) -> bool:
            inner = slice(outer, leading)
            return all(
                merged(each.shape[inner], each.strides[inner]) is not None for each in layouts
            )

        outer = next(filter(merge, range(leading + 1)))
        return cls(rank, channels_first, layouts[0].shape[:outer])

    def _lifted(self, n: int, others: Sequence[int], missing: int) -> tuple[int, ...]:
        """What belongs to N, and to the other axes, in the order of (N, D, H, W, C)."""
        channels, spatial = others[-1], others[:-1]
        if self.channels_first:
            channels, spatial = others[0], others[1:]
        three = (missing,) * (3 - self.rank) + tuple(spatial)
        return (n, *(three[i] for i in self.order), channels)

    def layout(self, layout: Layout) -> Layout:
        """The layout of what `array` makes of an array behind its outer axes."""
        shape, strides = layout.shape, layout.strides
        behind = len(shape) - self.rank - 1
        inner = slice(len(self.outer), behind)
        n, step = prod(shape[inner]), merged(shape[inner], strides[inner])
        assert step is not None
        return layout._replace(
            shape=self._lifted(n, shape[behind:], 1),
            strides=self._lifted(step, strides[behind:], 0),
        )

    def array(self, array: np.ndarray) -> np.ndarray:
        """An array behind its outer axes, seen so: never a copy."""
        behind = array.ndim - self.rank - 1
        merged = array.reshape(prod(array.shape[:behind]), *array.shape[behind:])
        axes = self._lifted(0, range(1, self.rank + 2), -1)
        kept = merged.transpose([axis for axis in axes if axis >= 0])
        return kept[tuple(np.newaxis if axis < 0 else slice(None) for axis in axes)]
