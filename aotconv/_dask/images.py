"""Windows along the spatial axes of images: what convolutions and pools have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import dask.array as da
import numpy as np

from .arguments import array_of, stand_in
from .graph import computed_in_blocks
from .pieces import Axis, Taps, Windows


class Layout(NamedTuple):
    """The order of the axes of images, behind any leading ones."""

    rank: int
    channels_first: bool

    @property
    def channels(self) -> int:
        """The axis of the channels, from behind."""
        return -1 - self.rank if self.channels_first else -1

    def leading(self, axes: Sequence[Any]) -> tuple[Any, ...]:
        """Of something for each axis, that of the leading ones."""
        return tuple(axes[: -1 - self.rank])

    def spatial(self, axes: Sequence[Any]) -> tuple[Any, ...]:
        """Of something for each axis, that of the spatial ones."""
        return tuple(axes[-self.rank :] if self.channels_first else axes[-1 - self.rank : -1])

    def in_order(self, channels: Any, spatial: Sequence[Any]) -> tuple[Any, ...]:
        """Something for the channels and for each spatial axis, in the order of the axes."""
        return (channels, *spatial) if self.channels_first else (*spatial, channels)


def over_images(
    label: str,
    compute: Callable[..., np.ndarray],
    layout: Layout,
    images: da.Array,
    channels: Axis,
    taps: Sequence[Taps],
    result: np.ndarray,
    residual: da.Array | None = None,
) -> da.Array:
    """What is computed of windows of images, where `result` is that of none of them."""
    sizes = zip(layout.spatial(images.shape), layout.spatial(result.shape), strict=True)
    windows = [each.windows(*both) for each, both in zip(taps, sizes, strict=True)]
    leading = (Windows(size, size) for size in layout.leading(images.shape))
    axes = [*leading, *layout.in_order(channels, windows)]
    beside = [] if residual is None else [residual]
    return computed_in_blocks(label, compute, axes, [images], result.dtype, beside)


def images_of(name: str, given: Any, rank: int) -> tuple[da.Array, np.ndarray]:
    """An argument as an array, and none of its images: whatever takes images says of these at once
    what it refuses, and of which shape and dtype the result is."""
    array = array_of(name, given)
    shape = array.shape if array.ndim <= rank else (0, *array.shape[-1 - rank :])
    return array, stand_in(shape, array.dtype)
