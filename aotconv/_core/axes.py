"""How arrays of any rank are seen as (.., D, H, W, C), whichever of their axes have windows."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .._plan.family import Triple
from .._plan.geometry import FLAT, RANK, Axis, Geometry
from .layout import Layout, merged

SHORT = 128  # bytes; axes as short are channels, along which vectors run together with a row


class Axes(NamedTuple):
    """Which axes of arrays stand where.

    Attributes
    ----------
    groups : tuple of tuple of int
        Axes that are one, in the order in which they are seen.
    spatial : tuple of int
        Which of the groups have windows, or are between those that have.
    has_channels : bool
        Whether the last group is channels; else there is one.
    """

    groups: tuple[tuple[int, ...], ...]
    spatial: tuple[int, ...]
    has_channels: bool

    @classmethod
    def of(cls, layouts: Sequence[Layout], windows: Sequence[int]) -> Axes:
        """The axes of arrays of one shape under windows of such sizes."""
        groups = _together(layouts, windows)
        sizes = [prod(layouts[0].shape[i] for i in group) for group in groups]
        active = [i for i, group in enumerate(groups) if any(windows[j] > 1 for j in group)]
        first, last = (active[0], active[-1]) if active else (len(groups) - 1,) * 2
        before, middle = list(range(first)), list(range(first, last + 1))
        behind, channels = list(range(last + 1, len(groups))), []
        itemsize = max(each.dtype.itemsize for each in layouts)
        if behind and (sizes[behind[-1]] * itemsize < SHORT or len(middle) > 2):
            channels = [behind.pop()]
        elif behind:
            middle.append(behind.pop())
        for i in [i for i in middle[:-1] if i not in active]:
            if len(middle) > 3:  # a spatial axis too many is one of images
                middle.remove(i)
                before.append(i)
        order = (*before, *behind, *middle, *channels)
        start = len(before) + len(behind)
        spatial = tuple(range(start, start + len(middle)))
        return cls(tuple(groups[i] for i in order), spatial, bool(channels))

    def geometry(self, shape: Sequence[int], axes: Sequence[Axis]) -> Geometry:
        """The sizes for images that are seen as (N, D, H, W, C) of a shape, from those along every
        axis of the arrays."""
        n, *sizes, channels = shape
        each = zip(sizes[-len(self.spatial) :], self._each(axes), strict=True)
        z, y, x = self._of_images([axis or Axis.flat(size) for size, axis in each], FLAT)
        return Geometry(n, channels, channels, channels, z, y, x)

    def window(self, sizes: Sequence[int]) -> Triple:
        """A window's sizes along images' axes, from those along every axis of the arrays."""
        z, y, x = self._of_images([size or 1 for size in self._each(sizes)], 1)
        return z, y, x

    def _each(self, values: Sequence[Any]) -> list[Any]:
        """Of each spatial group what `values` say of its axis; None of several axes."""
        groups = (self.groups[i] for i in self.spatial)
        return [values[group[0]] if len(group) == 1 else None for group in groups]

    def _of_images(self, values: list[Any], absent: Any) -> list[Any]:
        """Of each of images' spatial axes, those that the arrays lack included."""
        return [absent] * (RANK - len(values)) + values

    def layout(self, layout: Layout) -> Layout:
        """The layout of what `array` makes of an array."""
        shape, strides = [], []
        for group in self.groups:
            sizes, steps = ([each[i] for i in group] for each in (layout.shape, layout.strides))
            step = merged(sizes, steps)
            assert step is not None
            shape.append(prod(sizes))
            strides.append(step)
        if not self.has_channels:
            shape.append(1)
            strides.append(layout.dtype.itemsize)
        return layout._replace(shape=tuple(shape), strides=tuple(strides))

    def array(self, array: np.ndarray) -> np.ndarray:
        """An array seen so: never a copy."""
        in_order = sorted(self.groups)
        array = array.reshape([prod(array.shape[i] for i in group) for group in in_order])
        array = array.transpose([in_order.index(group) for group in self.groups])
        return array if self.has_channels else array[..., np.newaxis]


def _together(layouts: Sequence[Layout], windows: Sequence[int]) -> list[tuple[int, ...]]:
    """Neighbouring axes without windows that are one in all layouts, and the other axes."""
    groups: list[tuple[int, ...]] = []
    for axis, window in enumerate(windows):
        longer = (*groups[-1], axis) if groups else (axis,)
        alike = window == 1 and all(windows[i] == 1 for i in longer)
        if groups and alike and all(_are_one(each, longer) for each in layouts):
            groups[-1] = longer
        else:
            groups.append((axis,))
    return groups


def _are_one(layout: Layout, axes: Sequence[int]) -> bool:
    sizes, steps = ([each[i] for i in axes] for each in (layout.shape, layout.strides))
    return merged(sizes, steps) is not None
