"""Means of windows along one axis, by doubling (`_kernels.means`): sums of two neighbours, then of
two such sums, and so on.

All channels have the same window.  Nothing surrounds the inputs: at a border they are staged.
"""

from __future__ import annotations

from .arithmetic import ceil_div, evenly, round_up
from .family import ADJACENT, ALIGNMENT, Work, of_no_layer
from .geometry import Geometry
from .registry import Row

NEAR_BYTES = 96 << 10  # of sums that wait for others
ROW_BYTES = 4 << 10  # of outputs of a row at a time, or of several, where windows go along rows
LEAST_ROWS = 32  # at a time, where windows go from row to row, or as many as two windows have


def steps(taps: int) -> int:
    """How often sums are doubled, of a window of so many."""
    return taps.bit_length() - 1


def blocking(work: Work) -> dict[str, int]:
    """Tasks of rows; where windows go from row to row, or from plane to plane, of so many at a time
    that few sums are formed twice.  Rows are cut into chunks whose sums are near; short ones are
    computed together, for a tile begins in the time of some vectors."""
    row, g = work.row, work.geometry
    tile, planes, together = row.channels, g.n * g.z.out, 1
    if g.x.kernel > 1:
        beside = (g.x.kernel - 2) * g.x.dilation * g.c
        chunk = max(tile, ROW_BYTES // row.itemsize, 2 * beside // tile * tile)
        rows = max(1, planes * g.y.out // work.wanted_tasks)
        together = max(1, chunk // (g.x.out * g.c + beside))
        held = 2 * chunk + beside + together * (ALIGNMENT // row.itemsize)
        tasks = ceil_div(planes * g.y.out, rows)
    else:
        axis, others = (g.y, planes) if g.y.kernel > 1 else (g.z, g.n * g.y.out)
        rows = evenly(axis.out, min(axis.out, max(LEAST_ROWS, 2 * axis.kernel)))
        lines = rows + (axis.kernel - 2) * axis.dilation
        chunk = max(tile, NEAR_BYTES // (2 * lines * row.itemsize) // tile * tile)
        tasks, held = others * ceil_div(axis.out, rows), lines * 2 * chunk
    room = round_up(held * row.itemsize, ALIGNMENT)
    own = {"task_rows": rows, "together": together, "chunk": chunk, "room": room}
    return {"tasks": tasks, "staging": 2 * room, **own}


def cost(row: Row, g: Geometry) -> float:
    """A step takes two loads or three and a store, all near."""
    vectors = g.n * g.z.out * g.y.out * ceil_div(g.x.out * g.c, row.lanes)
    return vectors * (2.5 * steps(g.taps) + 2)


MEANS = of_no_layer(
    "means",
    (
        "task_rows",  # of outputs, or where windows go from plane to plane, planes at one place
        "together",  # rows at a time, where windows go along them
        "chunk",  # elements of a row at a time, or up to twice as many
        "room",  # bytes of the sums of one step
    ),
    cost,
)._replace(blocking=blocking, takes=lambda row: frozenset((ADJACENT,)))
