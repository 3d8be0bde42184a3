"""Winograd convolution F(4x4, 3x3), which is chosen on request alone (`_kernels.winograd`)."""

from __future__ import annotations

from collections.abc import Sequence

from . import family
from .arithmetic import ceil_div, evenly, largest, round_up
from .family import ALIGNMENT, Family, Layer, Panels, Work
from .geometry import Geometry
from .registry import Row

# Outputs and inputs of a tile, along either axis, and the points of its transforms beside 0, minus
# these, and infinity.
TILE, INPUT = 4, 6
POINTS = 0.625, 1.5
LEAST_TASK_TILES, MOST_TASK_TILES = 6, 28  # in a task, if there are as many; at most


def choose(rows: Sequence[Row], layer: Layer) -> Row | None:
    serves = layer.algorithm == "winograd" and layer.kernel[0] == 1
    return rows[0] if rows and serves else None


def tiles_of(g: Geometry) -> int:
    return g.n * ceil_div(g.y.out, TILE) * ceil_div(g.x.out, TILE)


def blocking(work: Work) -> dict[str, int]:
    row, g = work.row, work.geometry
    tiles, panels = tiles_of(g), ceil_div(g.o, row.channels)

    def staging(tiles: int, channels: int) -> int:
        held = max(tiles, ceil_div(tiles, row.pixels) * (row.pixels - 1))
        elements = held * (round_up(channels, row.lanes) + row.channels)
        return INPUT**2 * (elements * row.itemsize + 2 * ALIGNMENT)

    # With fewer tiles the weights' way from memory takes longer than transforming inputs again,
    # for each panel, as blocks of channels want it.
    least = min(tiles, LEAST_TASK_TILES)
    most = largest(min(tiles, MOST_TASK_TILES), lambda n: staging(n, g.c) <= family.STAGING_BYTES)
    task_tiles = evenly(tiles, max(least, most))
    tile_tasks = ceil_div(tiles, task_tiles)
    fitting = largest(g.c, lambda channels: staging(task_tiles, channels) <= family.STAGING_BYTES)
    block_channels = g.c if fitting >= g.c else round_up(evenly(g.c, fitting), row.lanes)
    task_panels = ceil_div(panels, min(panels, ceil_div(work.wanted_tasks, tile_tasks)))
    return {
        "tasks": tile_tasks * ceil_div(panels, task_panels),
        "staging": round_up(staging(task_tiles, block_channels), ALIGNMENT),
        "task_tiles": task_tiles,
        "task_panels": task_panels,
        "block_channels": block_channels,
    }


def packing(row: Row, layer: Layer) -> Panels:
    """A pixel of zeros; then for each panel its bias and G g G^T, a row for each channel of each
    position; as wide as the tile, filled with zeros."""
    return Panels(layer.group_channels, layer.n_filters, row.channels, winograd=True)


def cost(row: Row, g: Geometry) -> float:
    """Products of 36 positions, and the transforms, which are repeated for blocks of channels."""
    tiles, panels = tiles_of(g), ceil_div(g.o, row.channels)
    products = INPUT**2 * g.c * row.vectors
    transforms = 400 * ceil_div(g.c, row.lanes) + 300 * panels * row.vectors
    return 1.5 * tiles * (1.1 * panels * products + transforms)


WINOGRAD = Family(
    "winograd",
    choose,
    blocking,
    packing,
    cost,
    fields=(
        "task_tiles",  # tiles of output pixels in a task
        "task_panels",  # panels in a task
        "block_channels",  # channels in a block of the reduction
    ),
    planes=False,
    in_order=False,
    multiple=TILE,
)
