"""Channelwise convolution of images of few channels by a known window (`_kernels.image`)."""

from __future__ import annotations

from collections.abc import Sequence

from .arithmetic import ceil_div
from .family import ADJACENT, Family, Layer, Repeated, Work, has_window_of, row_tasks
from .geometry import Geometry
from .registry import Row

TASK_VECTORS = 4096  # multiplied and added in a task, at least


def choose(rows: Sequence[Row], layer: Layer) -> Row | None:
    flat = (row for row in rows if layer.kernel[0] == 1 and _fills(row, layer))
    return next((row for row in flat if has_window_of(row, layer)), None)


def _fills(row: Row, layer: Layer) -> bool:
    divides = 1 < layer.groups < row.lanes and row.lanes % layer.groups == 0
    return layer.groups == row.period or (not row.period and divides)


def blocking(work: Work) -> dict[str, int]:
    """Tasks of whole tiles of rows, as many as are worth a task's start."""
    row, g = work.row, work.geometry
    tile = row.pixels * row.window**2 * ceil_div(g.x.out * g.c, row.lanes)
    down = ceil_div(g.y.out, row.pixels)
    tiles = min(ceil_div(TASK_VECTORS, tile), down, max(1, g.n * down // work.wanted_tasks))
    return {"tasks": g.n * ceil_div(down, tiles), "task_rows": tiles * row.pixels}


def packing(row: Row, layer: Layer) -> Repeated:
    """Zeros for a tile's inputs; then the rows, repeated over whole vectors."""
    return Repeated(row.reach * row.lanes, row.period_vectors * row.lanes)


def cost(row: Row, g: Geometry) -> float:
    """A product takes as long as one and its loads; tiles end in vectors of few elements."""
    tiles = row_tasks(g, row.pixels) * ceil_div(g.x.out * g.c, row.channels)
    return tiles * row.pixels * row.vectors * 2 * (row.window**2 + 4)


IMAGE = Family(
    "image",
    choose,
    blocking,
    packing,
    cost,
    fields=("task_rows",),  # output rows in a task
    takes=lambda row: frozenset((ADJACENT,)),
    planes=False,
)
