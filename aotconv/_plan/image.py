"""Channelwise convolution of images of few channels by a known window (`_kernels.image`)."""

from __future__ import annotations

from collections.abc import Sequence

from .arithmetic import ceil_div
from .family import ADJACENT, Family, Layer, Repeated, Work, has_window_of, row_tasks
from .geometry import Geometry
from .registry import Row


def choose(rows: Sequence[Row], layer: Layer) -> Row | None:
    return next((row for row in rows if has_window_of(row, layer) and _fills(row, layer)), None)


def _fills(row: Row, layer: Layer) -> bool:
    divides = 1 < layer.groups < row.lanes and row.lanes % layer.groups == 0
    return layer.groups == row.period or (not row.period and divides)


def blocking(work: Work) -> dict[str, int]:
    return {"tasks": row_tasks(work.geometry, work.row.pixels)}


def packing(row: Row, layer: Layer) -> Repeated:
    """Zeros for a tile's inputs; then the rows, repeated over whole vectors."""
    return Repeated(row.reach * row.lanes, row.period_vectors * row.lanes)


def cost(row: Row, g: Geometry) -> float:
    """A product takes as long as one and its loads; tiles end in vectors of few elements."""
    tiles = row_tasks(g, row.pixels) * ceil_div(g.ow * g.c, row.channels)
    return tiles * row.pixels * row.vectors * 2 * (row.window**2 + 4)


IMAGE = Family("image", choose, blocking, packing, cost, takes=lambda row: frozenset((ADJACENT,)))
