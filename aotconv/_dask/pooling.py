"""Pools of arrays of dask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from operator import index
from typing import Any

import dask.array as da
import numpy as np

from .graph import Pads
from .images import Layout, none_of, over_images
from .pieces import Taps, Windows


def pooled(
    rank: int, pool: Callable[..., Any], images: Any, options: Mapping[str, Any]
) -> da.Array:
    """What a pool of the doors, of so many spatial axes, makes of images."""
    if options.get("return_indices"):
        raise ValueError("return_indices must be False for arrays of dask, got True")
    array, none = none_of("images", images, rank)
    result = pool(none, **options)
    layout = Layout(rank, options["data_format"] in ("NCW", "NCHW", "NCDHW", "channels_first"))
    given = {name: value for name, value in options.items() if name != "padding"}
    strides = options["window"] if options["strides"] is None else options["strides"]
    steps = (_each(rank, every) for every in (options["window"], strides, options["dilations"]))
    taps = [Taps(*each) for each in zip(*steps, _paddings(rank, options["padding"]), strict=True)]
    channels = array.shape[-1 - rank if layout.channels_first else -1]
    compute = partial(_pool_of_block, pool, layout, given)
    mine = Windows(channels, channels)
    return over_images(pool.__name__, compute, layout, array, mine, taps, result)


def _pool_of_block(pool, layout: Layout, given: Mapping[str, Any], pads: Pads, images: np.ndarray):
    return pool(images, padding=layout.spatial(pads), **given)


def _each(rank: int, steps: Any) -> tuple[int, ...]:
    """A number for each axis, of what is checked."""
    return tuple(map(index, steps)) if isinstance(steps, Iterable) else (index(steps),) * rank


def _paddings(rank: int, padding: Any) -> tuple[Any, ...]:
    """A rule or a pair for each axis, of what is checked."""
    if isinstance(padding, str):
        return (padding.lower(),) * rank
    if not isinstance(padding, Iterable):
        return ((index(padding),) * 2,) * rank
    every = tuple(padding)
    if rank == 1 and len(every) == 2:
        every = (every,)
    return tuple(_each(2, each) for each in every)
