"""Dense convolution, in groups or not: tiles of pixels by output channels (`_kernels.dense`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from . import family
from .arithmetic import ceil_div, evenly, largest, round_up
from .family import (
    ALIGNMENT,
    CHANNELS_LAST,
    PLANAR,
    SCRATCH_WORDS,
    TASKS_PER_THREAD,
    Family,
    Layer,
    Panels,
    Work,
)
from .geometry import Geometry, Pair, extent
from .registry import Row

# Where windows leave the image: nothing, for none does; windows are copied between zeros; taps
# outside point at zeros; taps outside are skipped.
NO_BORDER, COPIED, ZEROS, SKIPPED = range(4)
LARGEST_COPIED_WINDOW = 1 << 10  # bytes
SKIPPING_PIXEL = 1 << 10  # bytes of a pixel's channels; with fewer, a tap is no block of its own
PANEL_SLICE_BYTES = 256 << 10  # of a panel, in one block of the reduction: the second-level cache
UNROLL = 4  # products that the kernel multiplies at a time
TASK_TILES = 16  # of pixels in a task, at most
TILE_OVERHEAD = 1  # of a tile, in pixels
STAGED_PIXELS = 512  # in a task, at most: the more rows it has, the less often is one packed
# Bytes between staged output pixels, whose distance is then no power of two: those lie in few sets
# of the cache.
STAGED_GAP = 64
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


def takes(row: Row) -> frozenset[str]:
    return CHANNELS_LAST if row.permuted else CHANNELS_LAST | {PLANAR}


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


class _Planar(NamedTuple):
    """Whether the channels of images, and of the output, do not lie side by side."""

    images: bool
    out: bool


class _Reduction(NamedTuple):
    """How the sum over taps and channels is cut into blocks."""

    border: int
    taps: int
    channels: int
    merge_rows: bool


def blocking(work: Work) -> dict[str, int]:
    """Where something is staged, "staging" may be more than STAGING_BYTES: then arrays of these
    orders are not to be used in place."""
    seen = {}
    if _is_one_row(work):
        g = work.geometry
        seen = {"h": 1, "w": g.h * g.w, "oh": 1, "ow": g.oh * g.ow}
        work = work._replace(geometry=g._replace(**seen))
    row, g = work.row, work.geometry
    planar = _planar(work)
    reduction = _reduction(work, planar)
    together = panel_groups(row, g.group_channels, g.group_filters)
    panels = ceil_div(g.groups, together) * ceil_div(g.group_filters, row.channels)
    fits = _in_scratch(row, g, planar, reduction)
    cut = _staged_tasks if any(planar) else _tasks_in_place
    return {
        **seen,
        **cut(work, planar, panels, fits),
        "panel_groups": together,
        "block_taps": reduction.taps,
        "block_channels": reduction.channels,
        "border": reduction.border,
        "merge_rows": int(reduction.merge_rows),
        # Of one channel the stride may be any.
        "image_c": work.image_strides[3] if planar.images else row.itemsize,
        "out_c": work.out_strides[3] if planar.out else row.itemsize,
    }


def _is_one_row(work: Work) -> bool:
    """Whether an image's rows may be seen as one: windows are single pixels, and the rows follow
    each other on both ends."""
    g = work.geometry
    single = (g.kh, g.kw, g.sh, g.sw) == (1, 1, 1, 1) and g.pads == ((0, 0), (0, 0))
    ends = work.image_strides, work.out_strides
    return (
        single
        and not work.row.permuted
        and all(s[1] == g.w * s[2] and work.row.itemsize in s[2:] for s in ends)
    )


def _planar(work: Work) -> _Planar:
    g, itemsize = work.geometry, work.row.itemsize
    empty = g.h * g.w == 0  # whose strides say nothing
    return _Planar(
        g.c > 1 and work.image_strides[3] != itemsize and not empty,
        g.o > 1 and work.out_strides[3] != itemsize,
    )


def _reduction(work: Work, planar: _Planar) -> _Reduction:
    row, g = work.row, work.geometry
    channels, taps = g.group_channels, g.kh * g.kw
    depth = PANEL_SLICE_BYTES // (row.channels * row.itemsize)
    adjacent = planar.images or work.image_pixels_adjacent
    adjacent = adjacent and g.groups == 1 and g.dw == 1
    adjacent = adjacent and not row.permuted  # whose segments are taps
    leaves = g.pads != ((0, 0), (0, 0))
    window = taps * channels * row.itemsize
    skips = leaves and work.finite and channels * row.itemsize >= SKIPPING_PIXEL and taps > 1
    if skips:
        border = SKIPPED
    elif planar.images or not leaves:  # packed rows have their zeros
        border = NO_BORDER
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
    merge_rows = adjacent and block_taps >= g.kw > 1
    if merge_rows:
        block_taps -= block_taps % g.kw
    return _Reduction(border, block_taps, block_channels, merge_rows)


def _in_scratch(
    row: Row, g: Geometry, planar: _Planar, reduction: _Reduction
) -> Callable[[int], bool]:
    """Whether the tables of a task of some pixels fit into the scratch words."""
    window = g.kh * g.kw * g.group_channels * row.itemsize
    border_words = {
        NO_BORDER: 0,
        COPIED: row.pixels * (g.kh + ceil_div(window, 8)),
        ZEROS: row.pixels * reduction.taps,
        SKIPPED: 0,
    }
    tile_words = len(TILE_FIELDS) + border_words[reduction.border]
    pixel_words = (6 if reduction.border == SKIPPED else 4) + int(planar.out)

    def fits(pixels: int) -> bool:
        needed = pixel_words * (pixels + row.pixels) + reduction.taps
        return needed + ceil_div(pixels, row.pixels) * tile_words <= SCRATCH_WORDS

    return fits


def _tasks_in_place(
    work: Work, planar: _Planar, panels: int, fits: Callable[[int], bool]
) -> dict[str, int]:
    g = work.geometry
    pixels = g.n * g.oh * g.ow
    most = largest(min(pixels, TASK_TILES * work.row.pixels), fits)
    task_pixels, task_panels = _even_tasks(work, pixels, most, panels)
    return {
        "tasks": ceil_div(pixels, task_pixels) * ceil_div(panels, task_panels),
        "task_pixels": task_pixels,
        "task_panels": task_panels,
        "task_rows": 0,
        "task_columns": 0,
        "staging": 0,
    }


def _even_tasks(work: Work, pixels: int, most: int, panels: int) -> Pair:
    """Pixels, at most so many, and panels of a task, so that all threads end at about a time."""
    row, threads = work.row, work.threads
    least = ceil_div(pixels, most)
    if least >= TASKS_PER_THREAD * threads or threads == 1:
        tasks = round_up(least, threads) if pixels >= threads * least else least
        return ceil_div(pixels, tasks), panels

    def last_end(cut: Pair) -> tuple[int, int]:
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


def _staged_tasks(
    work: Work, planar: _Planar, panels: int, fits: Callable[[int], bool]
) -> dict[str, int]:
    row, g, wanted = work.row, work.geometry, work.wanted_tasks
    most = max(ceil_div(g.n * g.oh * g.ow, wanted), TASK_TILES * row.pixels)
    most = largest(min(most, STAGED_PIXELS), fits)
    rows, columns, most_panels = _staged_pixels(row, g, planar, most, panels)
    pixel_tasks = ceil_div(g.n * g.oh, rows) * ceil_div(g.ow, columns)
    pieces = max(ceil_div(panels, most_panels), min(panels, ceil_div(wanted, pixel_tasks)))
    task_panels = ceil_div(panels, pieces)
    return {
        "tasks": pixel_tasks * ceil_div(panels, task_panels),
        "task_pixels": rows * columns,
        "task_panels": task_panels,
        "task_rows": rows,
        "task_columns": columns,
        "staging": _staging(row, g, planar, rows, columns, task_panels),
    }


def _staged_pixels(
    row: Row, g: Geometry, planar: _Planar, most: int, panels: int
) -> tuple[int, int, int]:
    """Rows and columns of a task whose pixels are staged, at most `most` of them, and how many
    panels it may have."""

    def fits(rows: int, columns: int, panels: int) -> bool:
        size = _staging(row, g, planar, rows, columns, panels)
        return rows * columns <= most and size <= family.STAGING_BYTES

    wanted = min(g.ow, most, 4 * row.pixels)
    panels = largest(panels, lambda panels: fits(1, wanted, panels))
    columns = largest(g.ow, lambda columns: fits(1, columns, panels))
    if columns < min(g.ow, most, row.pixels):  # too few to share the weights that a task reads
        return 1, min(g.ow, most, row.pixels), panels  # which does not fit
    columns = evenly(g.ow, columns)
    rows = largest(g.n * g.oh, lambda rows: fits(rows, columns, panels))
    return evenly(g.n * g.oh, rows), columns, panels


def _staging(row: Row, g: Geometry, planar: _Planar, rows: int, columns: int, panels: int) -> int:
    """Bytes that a task stages: its outputs, as much for their residuals, its images' rows."""
    size = 0
    if planar.out:
        size += 2 * rows * columns * (panels * row.channels * row.itemsize + STAGED_GAP)
    if planar.images:
        images = min(rows, 1 + ceil_div(rows - 1, g.oh))
        step = min(g.sh, g.kh) if g.dh == 1 else g.kh  # rows that an output row adds to the last's
        packed = (images * g.kh + (rows - images) * step) * g.c * row.itemsize
        size += packed * ((columns - 1) * g.sw + extent(g.kw, g.dw))
    return round_up(size, ALIGNMENT)


def cost(row: Row, g: Geometry) -> float:
    """A product of a tile takes as long as its multiply-adds or its loads; beside the products
    there are the beginning and the end of a tile and of each segment of its reduction.  Where a
    window leaves the image a tap is a segment, and its address is written for each pixel."""
    mr, nr, taps = row.pixels, row.vectors, g.kh * g.kw
    together = panel_groups(row, g.group_channels, g.group_filters)
    panels = ceil_div(g.groups, together) * ceil_div(g.group_filters, row.channels)
    tiles = ceil_div(g.n * g.oh * g.ow, mr)
    merged = g.groups == 1 and g.dw == 1 and not row.permuted
    rows, columns = g.inside
    leaves = 1 - rows * columns / (g.oh * g.ow)
    product = 2.0 * mr if row.permuted else float(max(mr * nr, mr + nr))
    product *= 1 if row.fma else 1.8  # without FMA each needs a copy of a factor
    segments = leaves * taps + (1 - leaves) * (g.kh if merged else taps)
    tile = taps * g.group_channels * product + (4 * mr + 32) * segments + 16 * mr * nr + 100
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
        "task_rows",  # rows and columns of output pixels in a task, where something is staged
        "task_columns",
        "block_taps",  # taps in a block of the reduction
        "block_channels",  # channels in a block of the reduction
        "border",  # what is done where windows leave the image: NO_BORDER and so on
        "merge_rows",  # whether neighbouring taps lie side by side in memory
        "image_c",
        "out_c",
    ),
    takes=takes,
)
