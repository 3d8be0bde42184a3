"""Dense convolution of few channels into few filters, along the pixels of rows
(`_kernels.planar`)."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, lcm, prod
from typing import NamedTuple

from .arithmetic import ceil_div, evenly, largest, round_up
from .family import ADJACENT, ALIGNMENT, Family, Layer, Panels, Work
from .geometry import Geometry
from .registry import Row

LARGEST_WINDOW = 2048  # products of an output, which have a word each in the scratch words
MOST_CHANNELS = 4
MOST_FILTERS = 16
NEAR_BYTES = 96 << 10  # of a task's inputs
RUN_BYTES = 8 << 10  # of the outputs that are computed before they are put side by side
SOME_ROWS, LEAST_COLUMNS = 4, 64  # of a task
MOST_STEP = 4  # elements apart, of which a vector is gathered at a time


def tile_vectors(row: Row, filters: int) -> int:
    """Vectors of pixels of a tile of so many filters."""
    return min(row.pixels * row.vectors // filters, 2 * row.vectors)


def choose(rows: Sequence[Row], layer: Layer) -> Row | None:
    """Few channels and filters, but where the filters fill the vectors of dense tiles.

    Narrow tiles, whose sums have another order, are of few filters: there the level has no say.
    """
    products = prod(layer.kernel) * layer.group_channels
    few = layer.group_channels <= MOST_CHANNELS and 1 < layer.n_filters <= MOST_FILTERS
    if layer.groups > 1 or not few or products > LARGEST_WINDOW:
        return None
    return next((row for row in rows if not _suits_dense(row, layer)), None)


def _suits_dense(row: Row, layer: Layer) -> bool:
    full = row.lanes if prod(layer.kernel) == 1 else 2 * row.lanes
    return layer.group_channels > 1 and layer.n_filters % full == 0


def _panel(row: Row, filters: int) -> int:
    return evenly(filters, row.pixels)


class _Columns(NamedTuple):
    """How the columns under `columns` outputs are copied: tap kx is tap ``kx % phases``, from pixel
    ``kx // phases * step`` on, and of each phase `more` pixels are copied than are computed."""

    columns: int
    phases: int
    step: int
    more: int

    @classmethod
    def of(cls, g: Geometry, columns: int) -> _Columns:
        phases, step = g.x.phases, g.x.phase_step
        more = (g.x.kernel - 1) // phases * step
        if phases * (columns + more) > g.x.kernel * columns:  # far dilations: each tap has its own
            return cls(columns, g.x.kernel, 0, 0)
        return cls(columns, phases, step, more)

    @property
    def copied(self) -> int:
        return self.columns + self.more


def _input_rows(g: Geometry, rows: int) -> int:
    """Rows of inputs of a phase under so many rows of outputs."""
    return rows + (g.y.kernel - 1) // g.y.phases


def _plane(row: Row, count: int) -> int:
    """Elements from a plane of so many to the next."""
    # Planes that lie a power of two apart would share few sets of the first-level cache.
    line = ALIGNMENT // row.itemsize
    return (ceil_div(count, line) | 1) * line


def _widest(row: Row) -> int:
    """Pixels of the widest tile."""
    return max(tile_vectors(row, filters) for filters in range(1, row.pixels + 1)) * row.lanes


def _inputs(row: Row, g: Geometry, columns: _Columns, rows: int) -> tuple[int, int]:
    """Elements from a plane of inputs to the next, and of all, under so many rows of outputs."""
    plane = _plane(row, _input_rows(g, rows) * columns.copied)
    return plane, g.z.kernel * g.y.phases * columns.phases * g.c * plane


def blocking(work: Work) -> dict[str, int]:
    row, g = work.row, work.geometry
    apart = min(g.y.dilation // gcd(g.y.stride, g.y.dilation), g.y.out)
    height = ceil_div(g.y.out, apart)

    def fits(columns: int, rows: int) -> bool:
        return _inputs(row, g, _Columns.of(g, columns), rows)[1] * row.itemsize <= NEAR_BYTES

    some = min(SOME_ROWS, height)
    width = max(LEAST_COLUMNS, largest(g.x.out, lambda columns: fits(columns, some)))
    columns = _Columns.of(g, evenly(g.x.out, width))
    down, across = apart * g.n * g.z.out, ceil_div(g.x.out, columns.columns)
    most = max(1, down * height * across // work.wanted_tasks)
    rows = evenly(height, min(most, largest(height, lambda rows: fits(columns.columns, rows))))
    run_rows = _run_rows(row, g, columns, rows)
    some_columns = max(_widest(row), RUN_BYTES // (g.o * row.itemsize))
    run_columns = columns.columns if run_rows > 1 else min(columns.columns, some_columns)
    few = 1 < g.o <= row.pixels
    plane, planes = _inputs(row, g, columns, rows)
    out = _plane(row, (run_rows - 1) * columns.copied + run_columns + _widest(row))
    return {
        "tasks": down * ceil_div(height, rows) * across,
        # Behind the last plane of inputs a tile reads some outputs.
        "staging": (planes + g.o * out) * row.itemsize,
        "panel": _panel(row, g.o),
        "task_rows": rows,
        "task_columns": columns.columns,
        "run_rows": run_rows,
        "run_columns": run_columns,
        "apart": apart,
        "row_phases": g.y.phases,
        "row_step": lcm(g.y.stride, g.y.dilation),
        "column_phases": columns.phases,
        "column_step": columns.step,
        "copied_columns": columns.copied,
        "plane_bytes": plane * row.itemsize,
        "out_bytes": out * row.itemsize,
        "beside": tile_vectors(row, g.o) * row.lanes if few and run_rows == 1 else 0,
        "edge": _edge(row, g) if run_rows == 1 and g.c == g.x.stride == 1 else 0,
    }


def _edge(row: Row, g: Geometry) -> int:
    """Columns that are copied where windows leave images that are read where they are."""
    first, last = g.x.between
    return max(_widest(row), first, g.x.out - last)


def _run_rows(row: Row, g: Geometry, columns: _Columns, rows: int) -> int:
    """Rows of a run: several where they are shorter than a tile, and the pixels between them fewer
    than those beyond it."""

    def run(rows: int) -> int:
        return round_up((rows - 1) * columns.copied + columns.columns, row.channels)

    if columns.columns >= _widest(row):
        return 1
    near = RUN_BYTES // (columns.copied * g.o * row.itemsize)
    several = evenly(rows, max(1, min(rows, near)))
    return several if run(several) < several * run(1) else 1


def packing(row: Row, layer: Layer) -> Panels:
    """Panels of as many filters as a tile has at most, or fewer, about alike."""
    return Panels(0, layer.n_filters, _panel(row, layer.n_filters))


def cost(row: Row, g: Geometry) -> float:
    """Beside the products there are copies of inputs, element by element where they lie far apart,
    the way of sums to their places, and tables of taps."""
    cut = blocking(Work(row, g, (), ()))
    rows, run = cut["task_rows"], cut["run_rows"] * cut["copied_columns"]
    vectors = ceil_div(rows, cut["run_rows"]) * round_up(run, row.channels) // row.lanes
    product = 1.3 if row.fma else 2.3
    planes = g.z.kernel * cut["row_phases"] * cut["column_phases"] * g.c
    copy = 12 if g.x.stride * g.c <= MOST_STEP else 6 * row.lanes
    columns = cut["copied_columns"]
    columns = min(2 * cut["edge"], columns) if cut["edge"] else columns
    line = 40 + copy * ceil_div(columns, row.lanes)
    copied = planes * _input_rows(g, rows) * line
    computed = vectors * (product * g.products * g.o + 16 * g.o)
    return cut["tasks"] * (computed + copied + 8 * g.products + 400)


PLANAR = Family(
    "planar",
    choose,
    blocking,
    packing,
    cost,
    fields=(
        "panel",  # filters of a panel
        "task_rows",  # rows and columns of output pixels in a task
        "task_columns",
        "run_rows",  # rows that are one run of outputs
        "run_columns",  # columns of those
        "apart",  # from a row of outputs of a task to the next
        "row_phases",  # tap row ky is in plane ``ky % row_phases``, whose rows
        "row_step",  # are so many apart in the image
        "column_phases",  # tap kx is tap ``kx % column_phases``, from pixel
        "column_step",  # ``kx // column_phases * column_step`` on
        "copied_columns",  # of a row of inputs
        "plane_bytes",  # from a plane of inputs to the next, and of outputs
        "out_bytes",
        "beside",  # columns from which on rows are put side by side in registers; 0: none are
        "edge",  # columns that are copied where windows leave images; 0: all are
    ),
    takes=lambda row: frozenset((ADJACENT,)),
)
