"""Dense convolution into few filters: lanes share a filter's products (`_kernels.narrow`)."""

from __future__ import annotations

from collections.abc import Sequence

from .arithmetic import ceil_div, largest, round_up
from .family import SCRATCH_BYTES, Family, Layer, Products, Work, row_tasks
from .geometry import Geometry, extent
from .registry import Row

LARGEST_WINDOW = 16 << 10  # bytes; a few of them fit into the scratch words


def choose(rows: Sequence[Row], layer: Layer) -> Row | None:
    """The row whose filters have the most lanes each."""
    return next((row for row in rows if _serves(row, layer)), None)


def _serves(row: Row, layer: Layer) -> bool:
    kd, kh, kw = layer.kernel
    rows, columns = kd * extent(kh, layer.dilations[1]), kw * layer.dilations[2]
    window = rows * columns * layer.group_channels * row.itemsize
    if layer.groups > 1 or window > LARGEST_WINDOW:
        return False
    return row.lanes // row.split // 2 < layer.n_filters <= row.lanes // row.split


def blocking(work: Work) -> dict[str, int]:
    row, g = work.row, work.geometry

    def fits(rows: int, columns: int) -> bool:
        copied = round_up((columns - 1) * g.x.stride + g.x.extent, g.x.dilation)
        pixels = g.z.kernel * ((rows - 1) * g.y.stride + g.y.extent) * copied
        tables = 2 * 8 * (rows * columns + row.pixels)
        return tables + round_up(pixels * g.c * row.itemsize, 8) <= SCRATCH_BYTES

    columns = largest(g.x.out, lambda columns: fits(1, columns))
    rows = largest(g.y.out, lambda rows: fits(rows, columns))
    return {
        "tasks": row_tasks(g, rows) * ceil_div(g.x.out, columns),
        "task_rows": rows,
        "task_columns": columns,
        "merge_rows": int(work.image_pixels_adjacent and g.x.dilation == 1),
    }


def packing(row: Row, layer: Layer) -> Products:
    """A vector of biases; then for each kernel row a vector for each `split` products, and one for
    each product left over.  Lane ``o * split + k`` is filter o's k-th."""
    return Products(row.split, row.lanes)


def cost(row: Row, g: Geometry) -> float:
    """Each product loads and spreads its inputs; the copy of inputs and the sums of lanes take as
    long as some products."""
    whole, rest = divmod(g.x.kernel * g.c, row.split)
    kernel_rows = g.z.kernel * g.y.kernel
    products = kernel_rows * (2 * whole + 3 * rest + 4) + 8 + 8 * g.o
    copied = g.pixels * g.z.kernel * g.y.stride * g.x.stride * ceil_div(g.c, row.lanes)
    return 0.75 * ceil_div(g.pixels, row.pixels) * row.pixels * products + 6 * copied


NARROW = Family(
    "narrow",
    choose,
    blocking,
    packing,
    cost,
    fields=(
        "task_rows",  # rows and columns of output pixels in a task
        "task_columns",
        "merge_rows",  # whether neighbouring taps lie side by side in memory
    ),
    in_order=False,
)
