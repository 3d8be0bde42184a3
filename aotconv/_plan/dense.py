"""Dense convolution, in groups or not: tiles of pixels by output channels (`_kernels.dense`)."""

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

from .arithmetic import ceil_div, evenly, largest, round_up
from .family import SCRATCH_WORDS, TASKS_PER_THREAD, Family, Layer, Panels, Work
from .geometry import Geometry
from .registry import Row

# Where windows leave the image: nothing, for none does; kernel rows that do are copied between
# zeros; taps outside point at zeros; taps outside are skipped.
NO_BORDER, COPIED, ZEROS, SKIPPED = range(4)
LARGEST_COPIED_WINDOW = 1 << 10  # bytes
SKIPPING_PIXEL = 1 << 10  # bytes of a pixel's channels; with fewer, a tap is no block of its own
PANEL_SLICE_BYTES = 256 << 10  # of a panel, in one block of the reduction: the second-level cache
UNROLL = 4  # products that the kernel multiplies at a time
TASK_TILES = 16  # of pixels in a task, at most
TILE_OVERHEAD = 1  # of a tile, in pixels
PIXEL_WORDS = 5  # tables of a word for each pixel (see `_kernels.dense.Tables`)
# The words of a tile (see `_kernels.dense.tiles`).
TILE_FIELDS = ("pixels", "outs", "segments", "taps", "inputs", "step", "lines")


def panel_groups(row: Row, group_channels: int, group_filters: int) -> int:
    """How many groups share a panel."""
    return row.lanes // max(group_channels, group_filters) if row.permuted else 1


def choose(rows: Sequence[Row], layer: Layer) -> Row | None:
    """A row whose lanes several groups share, else the one whose panels the filters fill best."""
    if layer.groups > 1:
        for row in rows:
            if panel_groups(row, layer.group_channels, layer.group_filters) > 1:
                return row
    whole = [row for row in rows if not row.permuted]

    def filled(row: Row) -> tuple[int, int]:
        return round_up(layer.group_filters, row.channels), -row.channels

    return min(whole, key=filled, default=None)


def packing(row: Row, layer: Layer) -> Panels:
    """A pixel of zeros; then for each group, or for several groups at a time, its panels."""
    channels = layer.groups * layer.group_channels
    if not row.permuted:
        return Panels(channels, layer.group_filters, row.channels)
    together = panel_groups(row, layer.group_channels, layer.group_filters)
    words, columns = row.itemsize // 4, together * layer.group_filters
    first = (words * (j // layer.group_filters * layer.group_channels) for j in range(columns))
    order = [at + word for at in first for word in range(words)]
    order += [0] * (row.lanes * words - len(order))
    return Panels(channels, columns, row.channels, order=tuple(order))


class _Reduction(NamedTuple):
    """How the sum over taps and channels is cut into blocks."""

    border: int
    taps: int
    channels: int
    merge_rows: bool


def blocking(work: Work) -> dict[str, int]:
    row, g, reduction = work.row, work.geometry, _reduction(work)
    together = panel_groups(row, g.group_channels, g.group_filters)
    panels = ceil_div(g.groups, together) * ceil_div(g.group_filters, row.channels)
    most = largest(min(g.pixels, TASK_TILES * row.pixels), _in_scratch(row, g, reduction))
    task_pixels, task_panels = _even_tasks(work, g.pixels, most, panels)
    return {
        "tasks": ceil_div(g.pixels, task_pixels) * ceil_div(panels, task_panels),
        "task_pixels": task_pixels,
        "task_panels": task_panels,
        "panel_groups": together,
        "block_taps": reduction.taps,
        "block_channels": reduction.channels,
        "border": reduction.border,
        "merge_rows": int(reduction.merge_rows),
    }


def _reduction(work: Work) -> _Reduction:
    row, g = work.row, work.geometry
    channels, taps = g.group_channels, g.taps
    depth = PANEL_SLICE_BYTES // (row.channels * row.itemsize)
    adjacent = work.image_pixels_adjacent and g.groups == 1 and g.x.dilation == 1
    adjacent = adjacent and not row.permuted  # whose segments are taps
    window = taps * channels * row.itemsize
    if not g.is_padded:
        border = NO_BORDER
    elif work.finite and channels * row.itemsize >= SKIPPING_PIXEL and taps > 1:
        border = SKIPPED
    elif adjacent and window <= LARGEST_COPIED_WINDOW and taps * channels <= depth:
        border = COPIED
    else:
        border = ZEROS

    block_channels, block_taps = channels, 1
    if channels > depth:
        block_channels = round_up(evenly(channels, depth), UNROLL)
    elif border != SKIPPED:
        table_taps = SCRATCH_WORDS // (4 * row.pixels if border == ZEROS else 4)
        block_taps = min(taps, depth // channels, table_taps)
    merge_rows = adjacent and block_taps >= g.x.kernel > 1
    if merge_rows:
        block_taps -= block_taps % g.x.kernel
    return _Reduction(border, block_taps, block_channels, merge_rows)


def _in_scratch(row: Row, g: Geometry, reduction: _Reduction) -> Callable[[int], bool]:
    """Whether the tables of a task of some pixels fit into the scratch words."""
    window = g.products * row.itemsize
    kernel_rows = g.z.kernel * g.y.kernel
    border_words = {
        NO_BORDER: 0,
        COPIED: row.pixels * (kernel_rows + ceil_div(window, 8)),
        ZEROS: row.pixels * reduction.taps,
        SKIPPED: 0,
    }
    tile_words = len(TILE_FIELDS) + border_words[reduction.border]
    pixel_words = PIXEL_WORDS + (2 if reduction.border == SKIPPED else 0)

    def fits(pixels: int) -> bool:
        needed = pixel_words * (pixels + row.pixels) + reduction.taps
        return needed + ceil_div(pixels, row.pixels) * tile_words <= SCRATCH_WORDS

    return fits


def _even_tasks(work: Work, pixels: int, most: int, panels: int) -> tuple[int, int]:
    """Pixels, at most so many, and panels of a task, so that all threads end at about a time."""
    row, threads = work.row, work.threads
    least = ceil_div(pixels, most)
    if least >= TASKS_PER_THREAD * threads or threads == 1:
        tasks = round_up(least, threads) if pixels >= threads * least else least
        return ceil_div(pixels, tasks), panels

    def last_end(cut: tuple[int, int]) -> tuple[int, int]:
        """In times of a pixel by a panel; and the pixels' tasks, each of which reads all panels."""
        task_pixels, task_panels = cut
        parts = ceil_div(pixels, task_pixels)
        tasks = parts * ceil_div(panels, task_panels)
        tiles = ceil_div(task_pixels, row.pixels)
        computed = max(task_pixels, tiles * (row.pixels - 1)) + tiles * TILE_OVERHEAD
        return ceil_div(tasks, threads) * task_panels * computed, parts

    cuts = (
        (ceil_div(pixels, parts), ceil_div(panels, blocks))
        for parts in range(least, min(pixels, least + TASKS_PER_THREAD * threads) + 1)
        for blocks in range(1, min(panels, TASKS_PER_THREAD * threads) + 1)
    )
    return min(cuts, key=last_end)


def cost(row: Row, g: Geometry) -> float:
    """A product of a tile takes as long as its multiply-adds or its loads; beside the products
    there are the beginning and the end of a tile and of each segment of its reduction.  Where a
    window leaves the image a tap is a segment, and its address is written for each pixel."""
    mr, nr, taps = row.pixels, row.vectors, g.taps
    together = panel_groups(row, g.group_channels, g.group_filters)
    panels = ceil_div(g.groups, together) * ceil_div(g.group_filters, row.channels)
    tiles = ceil_div(g.pixels, mr)
    merged = g.groups == 1 and g.x.dilation == 1 and not row.permuted
    leaves = 1 - prod(axis.inside / axis.out for axis in g.axes)
    product = 2.0 * mr if row.permuted else float(max(mr * nr, mr + nr))
    product *= row.product_cost
    segments = leaves * taps + (1 - leaves) * (taps // g.x.kernel if merged else taps)
    tile = g.products * product + (4 * mr + 32) * segments + 16 * mr * nr + 100
    return tiles * (panels * tile + leaves * taps * mr * 8)


DENSE = Family(
    "dense",
    choose,
    blocking,
    packing,
    cost,
    fields=(
        "panel_groups",  # groups whose filters share a panel
        "task_pixels",  # output pixels in a task
        "task_panels",  # panels in a task
        "block_taps",  # taps in a block of the reduction
        "block_channels",  # channels in a block of the reduction
        "border",  # what is done where windows leave the image: NO_BORDER and so on
        "merge_rows",  # whether neighbouring taps lie side by side in memory
    ),
)
