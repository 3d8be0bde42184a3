"""Images and what surrounds them, copied: for NumPy, and for gradients, to which a border is a step
of its own before the convolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .._plan.borders import ZEROS, index, maps
from .._plan.geometry import Axis


def places(wanted: np.ndarray, axis: Axis) -> np.ndarray:
    """Where in an axis of images the pixels of some places come from; -1: from no pixel."""
    outside = np.flatnonzero((wanted < 0) | (wanted >= axis.size))
    found = wanted.copy()
    found[outside] = [index(i, axis.size, axis.border) for i in wanted[outside].tolist()]
    return found


def value_in(value: complex, images: np.dtype, dtype: np.dtype) -> np.ndarray:
    """A padding value as images of a dtype hold it, converted to another one as they are."""
    return np.array(value).astype(images).astype(dtype)


def surrounded(
    images: np.ndarray, axes: Sequence[Axis], dtype: np.dtype, value: complex
) -> np.ndarray:
    """Images (N, D, H, W, C) and all that is around them, in a dtype."""
    shape = len(images), *(axis.padded for axis in axes), images.shape[-1]
    padded = np.full(shape, value_in(value, images.dtype, dtype), dtype)
    if not any(maps(axis.border) for axis in axes):
        inside = (slice(axis.before, axis.before + axis.size) for axis in axes)
        padded[(slice(None), *inside)] = images
        return padded
    take(images, [places(np.arange(axis.padded) - axis.before, axis) for axis in axes], padded)
    return padded


def take(images: np.ndarray, taken: Sequence[np.ndarray], out: np.ndarray) -> None:
    """Put the pixels at some places of each spatial axis into `out`, but for those at -1."""
    inside = [np.flatnonzero(each >= 0) for each in taken]
    z, y, x = np.ix_(*(each[at] for each, at in zip(taken, inside, strict=True)))
    to_z, to_y, to_x = np.ix_(*inside)
    out[:, to_z, to_y, to_x] = images[:, z, y, x]


class Around(NamedTuple):
    """The borders, but for zeros, of arrays with any leading axes.

    Attributes
    ----------
    axes : tuple of Axis
        The spatial ones.
    last : int
        Which of an array's axes the last of them is, from the end.
    """

    axes: tuple[Axis, ...]
    last: int

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """Zeros before and behind each axis, which are left to the convolution."""
        return tuple(
            (axis.before, axis.behind) if axis.border == ZEROS else (0, 0) for axis in self.axes
        )

    def shape(self, images: Sequence[int]) -> tuple[int, ...]:
        """Of images of a shape, with their borders."""
        sizes = list(images)
        for place, axis in self._bordered():
            sizes[place] = axis.padded
        return tuple(sizes)

    def put(self, images: np.ndarray, value: complex) -> np.ndarray:
        """Images with their borders, in C order."""
        for place, axis in self._bordered():
            if maps(axis.border):
                taken = places(np.arange(axis.padded) - axis.before, axis)
                images = np.take(images, taken, axis=place)
            else:
                widths = [(0, 0)] * images.ndim
                widths[place] = axis.before, axis.behind
                images = np.pad(images, widths, constant_values=value)
        return np.ascontiguousarray(images)  # np.pad keeps Fortran's order

    def fold(self, bordered: np.ndarray) -> np.ndarray:
        """The adjoint: of pixels that have their borders, the sums of those that each one's copies
        are; from the first to the last, axis by axis."""
        for place, axis in self._bordered():
            moved = np.moveaxis(bordered, place, 0)
            inside = moved[axis.before : axis.before + axis.size].copy()
            outside = *range(-axis.before, 0), *range(axis.size, axis.size + axis.behind)
            for i in outside if maps(axis.border) else ():
                inside[index(i, axis.size, axis.border)] += moved[axis.before + i]
            bordered = np.moveaxis(inside, 0, place)
        return bordered

    def _bordered(self) -> Iterator[tuple[int, Axis]]:
        for place, axis in enumerate(self.axes, self.last - len(self.axes) + 1):
            if axis.border != ZEROS:
                yield place, axis
