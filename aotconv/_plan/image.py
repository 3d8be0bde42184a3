"""Channelwise convolution of images of few channels by a known window (`_kernels.image`)."""

from __future__ import annotations

from collections.abc import Sequence

from .arithmetic import ceil_div, evenly
from .family import ADJACENT, Family, Layer, Repeated, Work, has_window_of, row_tasks
from .geometry import Geometry
from .registry import Row

TASK_VECTORS = 4096  # multiplied and added in a task, at least
# Of the rows of inputs of a tile that goes down, at most: they, and the next one's, which are
# fetched, are to stay in the first-level cache.  Rows of outputs that are worth one, by stride.
DOWN_BYTES, LEAST_DOWN = 8 << 10, (10, 4)
WIDEST_DOWN = {1: 320, 2: 1000}  # bytes of a row of inputs, by stride: longer ones are streams


def choose(rows: Sequence[Row], layer: Layer) -> Row | None:
    flat = (row for row in rows if layer.kernel[0] == 1 and _fills(row, layer))
    return next((row for row in flat if has_window_of(row, layer)), None)


def _fills(row: Row, layer: Layer) -> bool:
    divides = 1 < layer.groups < row.lanes and row.lanes % layer.groups == 0
    return layer.groups == row.period or (not row.period and divides)


def blocking(work: Work) -> dict[str, int]:
    """Tasks of whole tiles of rows, as many as are worth a task's start."""
    row, g = work.row, work.geometry
    down = _rows_down(work)
    rows = down or row.pixels
    tile = rows * row.window**2 * ceil_div(g.x.out * g.c, row.lanes)
    blocks = ceil_div(g.y.out, rows)
    tiles = min(ceil_div(TASK_VECTORS, tile), blocks, max(1, g.n * blocks // work.wanted_tasks))
    return {"tasks": g.n * ceil_div(blocks, tiles), "task_rows": tiles * rows, "down": down}


def _rows_down(work: Work) -> int:
    """Of how many rows of outputs a tile is that goes down; 0: none does."""
    row, g = work.row, work.geometry
    row_bytes = max(1, g.x.size) * row.itemsize
    if not (row.descends and row_bytes <= WIDEST_DOWN[row.stride]):
        return 0
    near = (DOWN_BYTES // row_bytes - row.window) // row.stride + 1
    most = min(near, g.n * g.y.out // work.wanted_tasks, g.y.out)
    least = LEAST_DOWN[row.stride - 1]
    return evenly(g.y.out, most) if most >= least else 0


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
    # Output rows in a task; those of a tile that goes down, 0: none does.
    fields=("task_rows", "down"),
    takes=lambda row: frozenset((ADJACENT,)),
    planes=False,
)
