"""Depthwise convolution of a known window and stride (`_kernels.depthwise`)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from .arithmetic import ceil_div
from .family import Family, Layer, Panels, Work, has_window_of, row_tasks
from .geometry import Geometry
from .registry import Row

WEIGHT_BYTES = 16 << 10  # of weights in a task: half the first-level cache
LARGEST_DEPTH = 32  # planes of a window: their tables take a fifth of the scratch words


def choose(rows: Sequence[Row], layer: Layer) -> Row | None:
    """With few channels, vectors along the elements of a row hold more."""
    if layer.kernel[0] > LARGEST_DEPTH:
        return None
    many = (row for row in rows if 3 * layer.groups > row.lanes)
    return next((row for row in many if has_window_of(row, layer)), None)


def most_panels(row: Row, taps: int) -> int:
    """The most vectors of channels in a task."""
    return max(1, WEIGHT_BYTES // ((1 + taps) * row.lanes * row.itemsize))


def blocking(work: Work) -> dict[str, int]:
    row, g = work.row, work.geometry
    panels, rows = ceil_div(g.c, row.lanes), row_tasks(g, row.pixels)
    most = most_panels(row, g.taps)
    parts = max(ceil_div(panels, most), ceil_div(work.wanted_tasks, rows))
    task_panels = ceil_div(panels, min(panels, parts))
    return {"tasks": rows * ceil_div(panels, task_panels), "task_panels": task_panels}


def packing(row: Row, layer: Layer) -> Panels:
    """Zeros for a task's channels; then for each vector of them its rows, filled with zeros."""
    return Panels(most_panels(row, prod(layer.kernel)) * row.lanes, layer.n_filters, row.lanes)


def cost(row: Row, g: Geometry) -> float:
    """A product takes as long as one and its loads; where there are few channels, or pixels lie at
    a border, each loads its own weights and inputs."""
    pixels = row_tasks(g, row.pixels) * row.pixels * g.x.out
    whole, rest = divmod(g.c, row.lanes)
    return pixels * (g.taps + 4) * (1.5 * whole + (4 if rest else 0))


DEPTHWISE = Family(
    "depthwise",
    choose,
    blocking,
    packing,
    cost,
    fields=("task_panels",),  # vectors of channels in a task
)
