"""The last rung of pools: tap by tap, by NumPy, for every dtype."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

import numpy as np

from .._plan.elements import HALVES, name_of
from .._plan.geometry import Axis, Geometry
from .._plan.parts import cut
from .._plan.pool import AVERAGE, OPERATIONS
from .copies import convert, pieces
from .fallback import PART_PRODUCTS, under_tap


def pool(
    geometry: Geometry,
    operation: str,
    counted: Sequence[tuple[int, int]],
    steps: Sequence[int],
    images: np.ndarray,
    out: np.ndarray,
    indices: np.ndarray | None = None,
) -> None:
    """Pool images (N, D, H, W, C) into `out` (N, OD, OH, OW, C), tap by tap in the order of all.

    Parameters
    ----------
    operation, counted, steps
        As of `_plan.pool.Pool`.
    """
    kernel = geometry.taps * geometry.c
    for part in cut(geometry, lambda *outs: prod(outs) * kernel <= PART_PRODUCTS // 8):
        n, *spatial = part.out
        target = None if indices is None else indices[part.out]
        _pool_part(geometry, operation, counted, steps, images[n], spatial, out[part.out], target)


def _pool_part(geometry, operation, counted, steps, images, spatial, out, indices) -> None:
    """The outputs of some slices of spatial axes."""
    is_average = operation == OPERATIONS[AVERAGE]
    dtype = np.dtype(np.float32) if name_of(out.dtype) in HALVES else out.dtype.newbyteorder("=")
    start = -0.0 if is_average else -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
    result = np.full(out.shape, start, dtype)
    places = np.full(out.shape, -1, np.int64)
    axes = list(zip(geometry.axes, spatial, strict=True))
    with np.errstate(all="ignore"):
        for at, to, place in _taps(axes, steps):
            taken, held = images[(slice(None), *at)].astype(dtype), result[(slice(None), *to)]
            if is_average:
                held += taken
                continue
            where = places[(slice(None), *to)]
            is_new = (taken > held) | ((taken != taken) & (held == held)) | (where < 0)
            np.copyto(held, taken, where=is_new)
            np.copyto(where, place[..., np.newaxis], where=is_new)
        if is_average:
            z, y, x = (
                counts(*each) for each in zip(*zip(*axes, strict=True), counted, strict=True)
            )
            result /= (z[:, None, None] * y[:, None] * x)[..., np.newaxis].astype(dtype)
        convert(result, out)
        if indices is not None:
            convert(places, indices)


def _taps(axes, steps) -> Iterator[tuple]:
    """Of each tap that lies inside the images: slices of these and of the outputs that it belongs
    to, and its places."""
    every = ([under_tap(axis, tap, outs) for tap in range(axis.kernel)] for axis, outs in axes)
    met = ([(at, to) for at, to in taps if at.start < at.stop] for taps in every)
    for taps in product(*met):
        at, to = zip(*taps, strict=True)
        z, y, x = (
            step * np.arange(each.start, each.stop, each.step)
            for step, each in zip(steps, at, strict=True)
        )
        yield at, to, z[:, None, None] + y[:, None] + x


def spread(geometry: Geometry, shares: np.ndarray, images: np.ndarray) -> None:
    """Add shares (N, OD, OH, OW, C) to all pixels of their windows, of images (N, D, H, W, C): the
    last tap first, so that a pixel gets those of its windows in order."""
    g = geometry
    outs = g.n, *(axis.out for axis in g.axes)
    for n, *spatial in pieces(outs, max(1, PART_PRODUCTS // 8 // g.c)):
        every = (
            [under_tap(axis, tap, some) for tap in range(axis.kernel)[::-1]]
            for axis, some in zip(g.axes, spatial, strict=True)
        )
        met = ([(at, to) for at, to in taps if at.start < at.stop] for taps in every)
        some = shares[(n, *spatial)]
        for taps in product(*met):
            at, to = zip(*taps, strict=True)
            images[(n, *at)] += some[(slice(None), *to)]


def counts(axis: Axis, outs: slice, counted: tuple[int, int]) -> np.ndarray:
    """How many taps of each window are counted along an axis."""
    low, high = counted
    begin = np.arange(outs.start, outs.stop) * axis.stride - axis.before
    first, last = (
        np.clip(-((begin - end) // axis.dilation), 0, axis.kernel) for end in (low, high)
    )
    return last - first
