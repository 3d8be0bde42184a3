"""Pools of arrays of dask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import index
from typing import Any

import dask.array as da
import numpy as np

from .images import Layout, images_of, over_images
from .pieces import Piece, Taps, Windows


def pooled(
    rank: int, pool: Callable[..., Any], images: Any, options: Mapping[str, Any]
) -> da.Array | tuple[da.Array, da.Array]:
    """What a pool of the doors, of so many spatial axes, makes of images."""
    array, none = images_of("images", images, rank)
    result = pool(none, **options)
    layout = Layout(rank, options["data_format"] in ("NCW", "NCHW", "NCDHW", "channels_first"))
    given = {name: value for name, value in options.items() if name != "padding"}
    strides = options["window"] if options["strides"] is None else options["strides"]
    steps = (_each(rank, every) for every in (options["window"], strides, options["dilations"]))
    taps = [Taps(*each) for each in zip(*steps, _paddings(rank, options["padding"]), strict=True)]
    n_channels = array.shape[layout.channels]
    about = layout, array, Windows(n_channels, n_channels), taps
    compute = partial(_pool_of_block, pool, layout, given)
    if not options.get("return_indices"):
        return over_images(pool.__name__, compute, *about, result)
    pair = partial(_with_places, compute, layout, layout.spatial(array.shape))
    both = over_images(pool.__name__, pair, *about, _both(*result))
    return both["maximum"], both["place"]


def _pool_of_block(
    pool, layout: Layout, given: Mapping[str, Any], block: Sequence[Piece], images: np.ndarray
) -> Any:
    padding = tuple(each.pads for each in layout.spatial(block))
    return pool(images, padding=padding, **given)


def _with_places(
    compute, layout: Layout, shape: Sequence[int], block: Sequence[Piece], images: np.ndarray
) -> np.ndarray:
    """Maxima, and where they are in whole images of a shape."""
    maxima, places = compute(block, images)
    some = places >= 0  # of windows that have pixels
    within = np.unravel_index(places[some], layout.spatial(images.shape))
    starts = (each.parts[0].start for each in layout.spatial(block))
    moved = tuple(each + start for each, start in zip(within, starts, strict=True))
    places[some] = np.ravel_multi_index(moved, shape)
    return _both(maxima, places)


def _both(maxima: np.ndarray, places: np.ndarray) -> np.ndarray:
    both = np.empty(maxima.shape, [("maximum", maxima.dtype), ("place", places.dtype)])
    both["maximum"], both["place"] = maxima, places
    return both


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
