"""Dense convolution into few filters: lanes share a filter's products (`_kernels.narrow`)."""

from __future__ import annotations

from collections.abc import Sequence

from .arithmetic import ceil_div, largest, round_up
from .family import SCRATCH_BYTES, Family, Layer, Products, Work
from .geometry import Geometry, extent
from .registry import Row

LARGEST_WINDOW = 16 << 10  # bytes; a few of them fit into the scratch words


def choose(rows: Sequence[Row], layer: Layer) -> Row | None:
    """The row whose filters have the most lanes each."""
    return next((row for row in rows if _serves(row, layer)), None)


def _serves(row: Row, layer: Layer) -> bool:
    columns = layer.kw * layer.dilations[1]
    window = extent(layer.kh, layer.dilations[0]) * columns * layer.group_channels * row.itemsize
    if layer.groups > 1 or window > LARGEST_WINDOW:
        return False
    return row.lanes // row.split // 2 < layer.n_filters <= row.lanes // row.split


def blocking(work: Work) -> dict[str, int]:
    row, g = work.row, work.geometry

    def fits(rows: int, columns: int) -> bool:
        copied = round_up((columns - 1) * g.sw + extent(g.kw, g.dw), g.dw)
        pixels = ((rows - 1) * g.sh + extent(g.kh, g.dh)) * copied
        tables = 2 * 8 * (rows * columns + row.pixels)
        return tables + round_up(pixels * g.c * row.itemsize, 8) <= SCRATCH_BYTES

    columns = largest(g.ow, lambda columns: fits(1, columns))
    rows = largest(g.oh, lambda rows: fits(rows, columns))
    return {
        "tasks": g.n * ceil_div(g.oh, rows) * ceil_div(g.ow, columns),
        "task_rows": rows,
        "task_columns": columns,
        "merge_rows": int(work.image_pixels_adjacent and g.dw == 1),
    }


def packing(row: Row, layer: Layer) -> Products:
    """A vector of biases; then for each kernel row a vector for each `split` products, and one for
    each product left over.  Lane ``o * split + k`` is filter o's k-th."""
    return Products(row.split, row.lanes)


def cost(row: Row, g: Geometry) -> float:
    """Each product loads and spreads its inputs; the copy of inputs and the sums of lanes take as
    long as some products."""
    whole, rest = divmod(g.kw * g.c, row.split)
    products = g.kh * (2 * whole + 3 * rest + 4) + 8 + 8 * g.o
    copied = g.n * g.oh * g.ow * g.sh * g.sw * ceil_div(g.c, row.lanes)
    return 0.75 * ceil_div(g.n * g.oh * g.ow, row.pixels) * row.pixels * products + 6 * copied


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
)
