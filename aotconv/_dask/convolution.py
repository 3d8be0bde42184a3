"""Layers on arrays of dask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import dask.array as da
import numpy as np
from dask.base import normalize_token

from ..conv import ForwardLayer
from .images import Layout, images_of, over_images
from .pieces import Piece, Taps, Whole

OPTIONS = (
    *("strides", "padding_mode", "padding_value", "dilations", "groups", "data_format"),
    *("activation", "dtype", "saturate", "algorithm"),
)  # of layers, but for `padding` and `threads`
MOST_PACKED = 4  # layers, in a process: a row of blocks has three kinds of borders


@normalize_token.register(ForwardLayer)
def token_of(layer: ForwardLayer) -> tuple[Any, ...]:
    """What makes a layer: another of the same has the same names in graphs."""
    options = (getattr(layer, name) for name in (*OPTIONS, "padding"))
    return type(layer).__name__, layer.filters, layer.bias, layer.threads or 1, *options


def convolved(layer: ForwardLayer, images: Any, residual: Any) -> da.Array:
    """What a layer makes of images and, unless it is None, a residual."""
    *window, n_channels, n_filters = layer.filters.shape
    layout = Layout(len(window), layer.data_format.startswith("NC"))
    array, none = images_of("images", images, layout.rank)
    more, no_more = None, None
    if residual is not None:
        more, no_more = images_of("residual", residual, layout.rank)
    result = layer(none, residual=no_more)
    if more is not None and layout.leading(more.shape) != layout.leading(array.shape):
        raise ValueError(
            f"residual must have the leading axes of images, whose shape is {array.shape}, got "
            f"shape {more.shape}"
        )
    options = window, layer.strides, layer.dilations, _paddings(layer), layer.padding_mode
    taps = [Taps(*each) for each in zip(*options, strict=True)]
    channels = Whole(n_channels * layer.groups, n_filters)
    label, compute = type(layer).__name__.lower(), _OfBlocks(layer, layout)
    array = array.rechunk({array.ndim + layout.channels: -1})
    return over_images(label, compute, layout, array, channels, taps, result, more)


def _paddings(layer: ForwardLayer) -> tuple[Any, ...]:
    """One for each spatial axis."""
    rule = layer.padding
    return (rule,) * len(layer.strides) if isinstance(rule, str) else rule


class _OfBlocks:
    """A layer for blocks at different borders: each process packs one for each, and keeps some."""

    def __init__(self, layer: ForwardLayer, layout: Layout) -> None:
        self._layer, self._layout = layer, layout
        self._padded: dict[tuple[tuple[int, int], ...], ForwardLayer] = {}

    def __reduce__(self):
        return type(self), (self._layer, self._layout)

    def __dask_tokenize__(self):
        return normalize_token(self.__reduce__())

    def __call__(self, block: Sequence[Piece], images: np.ndarray, residual=None) -> np.ndarray:
        padding = tuple(each.pads for each in self._layout.spatial(block))
        layer = self._padded.get(padding)
        if layer is None:
            given, make = self._layer, cast(Any, type(self._layer))
            options = {name: getattr(given, name) for name in OPTIONS}
            options |= {"padding": padding, "threads": given.threads or 1}
            layer = make(given.filters, given.bias, **options)
            if len(self._padded) == MOST_PACKED:
                self._padded.clear()
            self._padded[padding] = layer
        return layer(images, residual=residual)
