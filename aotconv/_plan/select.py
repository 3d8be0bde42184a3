"""Which kernel, and how its work is cut: all decided before anything runs.

`select` and `blocking` are pure: they can be asked for any CPU level on any machine.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .geometry import Geometry, Pair, extent
from .parts import largest
from .registry import (
    ACTIVATIONS,
    BLOCKING,
    COPIED,
    DENSE_TILE_WORDS,
    FIELDS,
    LOOP_ROWS,
    NO_BORDER,
    ROWS,
    SCRATCH_WORDS,
    SKIPPED,
    STAGED_GAP,
    UNROLL,
    WINOGRAD_INPUT,
    WINOGRAD_TILE,
    ZEROS,
    Row,
)

if TYPE_CHECKING:
    from .._core.pack import Packed

_ROWS: dict[tuple[str, str], list[Row]] = {}
for _row in ROWS + LOOP_ROWS:
    _ROWS.setdefault((_row.level, _row.dtype), []).append(_row)

STRIP = 1024  # elements of a strip, roughly
DEPTHWISE_BYTES = 16 << 10  # of weights in a task: half the first-level cache
LARGEST_NARROW_WINDOW = 16 << 10  # bytes; a few of them fit into the scratch words
LARGEST_STRIP_WINDOW = 32  # rows and columns: copies of inputs fit into the scratch words
LARGEST_STRIP_STEP = 256  # strides and dilations: the kernel counts up to them, and adds them up
# Of one thread, roughly: multiply-adds, and bytes, in a microsecond.
VECTOR_RATE, LOOP_RATE, COPY_RATE = 200_000, 500, 10_000
ALIGNMENT = 64  # of packed weights, in bytes: a cache line, and the widest vector
PANEL_SLICE_BYTES = 256 << 10  # of a panel, in one block of the reduction: the second-level cache
LARGEST_COPIED_WINDOW = 1 << 10  # bytes
SKIPPING_PIXEL = 1 << 10  # bytes of a pixel's channels; with fewer, a tap is no block of its own
TASK_TILES = 16  # of pixels in a task of the dense kernel, at most
TASKS_PER_THREAD = 4  # where there are fewer, they are cut with care
TILE_OVERHEAD = 1  # of a tile, in pixels
STAGING_BYTES = 1 << 20  # of a thread, at most: the second-level cache
WINOGRAD_LEAST_TILES, WINOGRAD_TILES = 6, 28  # in a task, if there are as many; at most
PLANAR_FAMILIES = ("dense",)  # those of whose images and outputs the pixels may lie side by side
STAGED_PIXELS = 512  # in a task, at most: the more rows it has, the less often is one packed


class Layer(NamedTuple):
    """The sizes of a convolution that do not depend on the images."""

    kh: int
    kw: int
    group_channels: int
    n_filters: int
    groups: int
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)

    @classmethod
    def of(cls, filters: np.ndarray, groups: int, strides: Pair, dilations: Pair) -> Layer:
        return cls(*filters.shape, groups, strides, dilations)  # type: ignore[call-arg]


@functools.lru_cache(maxsize=256)
def select(layer: Layer, dtype: str, level: str) -> Row:
    """The registry row that computes a layer.

    The images' sizes have no say, so that parts of a batch or of an image take the same path.
    """
    rows = _ROWS[level, dtype]
    if rows[0].family == "loop":
        return rows[0]
    channelwise = layer.group_channels == 1 and layer.groups == layer.n_filters
    near = max(layer.strides + layer.dilations) <= LARGEST_STRIP_STEP
    if channelwise and near and max(layer.kh, layer.kw) <= LARGEST_STRIP_WINDOW:
        return next(row for row in rows if _serves(row, layer))
    group_filters = layer.n_filters // layer.groups
    for row in rows:
        if row.family == "narrow" and _few_filters(row, layer):
            return row
        together = panel_groups(row, layer.group_channels, group_filters)
        if row.family == "grouped" and layer.groups > 1 and together > 1:
            return row
    dense = [row for row in rows if row.family == "dense"]
    return min(dense, key=lambda row: (padded(group_filters, row.channels), -row.channels))


def winograd(dtype: str, level: str) -> Row:
    """The registry row of algorithm "winograd", for layers that `aotconv._core.check` lets pass."""
    return next(row for row in _ROWS[level, dtype] if row.family == "winograd")


def _few_filters(row: Row, layer: Layer) -> bool:
    """Whether a narrow row computes a layer: the largest split for its number of filters."""
    rows = extent(layer.kh, layer.dilations[0])
    columns = layer.kw * layer.dilations[1]
    window = rows * columns * layer.group_channels * row.itemsize
    if layer.groups > 1 or window > LARGEST_NARROW_WINDOW:
        return False
    return row.lanes // row.split // 2 < layer.n_filters <= row.lanes // row.split


def panel_groups(row: Row, group_channels: int, group_filters: int) -> int:
    """How many groups share a panel of the dense or grouped family."""
    return row.lanes // max(group_channels, group_filters) if row.permuted else 1


def _serves(row: Row, layer: Layer) -> bool:
    """Whether a row computes a channelwise layer."""
    if row.family not in ("depthwise", "image", "strip"):
        return False
    unit = layer.dilations == (1, 1)
    if row.window and not (unit and (layer.kh, layer.kw) == (row.window, row.window)):
        return False
    if row.stride and layer.strides != (row.stride, row.stride):
        return False
    if row.family == "depthwise":  # with fewer channels, vectors along the elements hold more
        return 3 * layer.groups > row.lanes
    if row.family == "image":
        divides = 1 < layer.groups < row.lanes and row.lanes % layer.groups == 0
        return layer.groups == row.period or (not row.period and divides)
    return row.pixels == 1 or (layer.strides[0] == 1 and layer.kh >= row.pixels)


def padded(size: int, multiple: int) -> int:
    """`size` rounded up to a multiple."""
    return -(-size // multiple) * multiple


def estimate(row: Row, geometry: Geometry) -> float:
    """Microseconds that one thread needs, roughly: to say whether more are worth their start."""
    g = geometry
    read = min(g.h, g.oh * g.kh) * min(g.w, g.ow * g.kw)  # of an image, at most
    elements = g.n * (read * g.c + g.oh * g.ow * g.o)
    rate = LOOP_RATE if row.family == "loop" else VECTOR_RATE / row.itemsize
    rate *= {"winograd": 3, "narrow": 0.5}.get(row.family, 1)
    return max(g.multiply_adds / rate, elements * row.itemsize / COPY_RATE)


def blocking(
    row: Row,
    geometry: Geometry,
    image_x: int,
    out_x: int,
    threads: int,
    finite: bool = True,
    planar: tuple[bool, bool] = (False, False),
) -> dict[str, int]:
    """How a problem is cut into tasks, and a task into what its tiles take at a time.

    Results do not depend on it: an output element is always summed in the same order.

    Parameters
    ----------
    image_x, out_x : int
        Bytes from a pixel to its right neighbour.
    planar : (bool, bool)
        Whether the channels of images, and of the output, do not lie side by side.  Then the
        result's "staging" may be more than STAGING_BYTES: such a plan is not to be used.
    """
    g = geometry
    if row.family in ("dense", "grouped"):
        return _dense_blocking(row, g, image_x, threads, finite, planar)
    if row.family == "narrow":
        return _narrow_blocking(row, g, image_x)
    if row.family == "winograd":
        return _winograd_blocking(row, g, threads)
    if row.family == "depthwise":
        return _depthwise_blocking(row, g, threads)
    if row.family == "image":
        return {"tasks": g.n * -(-g.oh // row.pixels)}
    merge = g.sw == 1 and image_x == g.c * row.itemsize and out_x == g.o * row.itemsize
    apart = g.dh if row.pixels > 1 else 1
    return {
        "tasks": g.n * -(-g.oh // (row.pixels * apart)) * apart,
        "block_run": STRIP - STRIP % row.channels,
        "merge_rows": int(merge),
    }


def depthwise_panels(row: Row) -> int:
    """The most vectors of channels in a task."""
    return max(1, DEPTHWISE_BYTES // ((1 + row.window**2) * row.lanes * row.itemsize))


def _depthwise_blocking(row: Row, g: Geometry, threads: int) -> dict[str, int]:
    panels = -(-g.c // row.lanes)
    rows = g.n * -(-g.oh // row.pixels)
    wanted = TASKS_PER_THREAD * threads if threads > 1 else 1
    parts = min(panels, max(-(-panels // depthwise_panels(row)), -(-wanted // rows)))
    task_panels = -(-panels // parts)
    return {"tasks": rows * -(-panels // task_panels), "task_panels": task_panels}


def _narrow_blocking(row: Row, g: Geometry, image_x: int) -> dict[str, int]:
    def fits(rows: int, columns: int) -> bool:
        copied = padded((columns - 1) * g.sw + extent(g.kw, g.dw), g.dw)
        pixels = ((rows - 1) * g.sh + extent(g.kh, g.dh)) * copied
        words = 2 * (rows * columns + row.pixels) + -(-pixels * g.c * row.itemsize // 8)
        return words <= SCRATCH_WORDS

    columns = largest(g.ow, lambda columns: fits(1, columns))
    rows = largest(g.oh, lambda rows: fits(rows, columns))
    return {
        "tasks": g.n * -(-g.oh // rows) * -(-g.ow // columns),
        "task_rows": rows,
        "task_columns": columns,
        "merge_rows": int(image_x == g.c * row.itemsize and g.dw == 1),
    }


def _winograd_blocking(row: Row, g: Geometry, threads: int) -> dict[str, int]:
    tiles = g.n * -(-g.oh // WINOGRAD_TILE) * -(-g.ow // WINOGRAD_TILE)
    panels = -(-g.o // row.channels)

    def staging(tiles: int, channels: int) -> int:
        held = max(tiles, -(-tiles // row.pixels) * (row.pixels - 1))
        elements = held * (padded(channels, row.lanes) + row.channels)
        return WINOGRAD_INPUT**2 * (elements * row.itemsize + 2 * ALIGNMENT)

    # With fewer tiles the weights' way from memory takes longer than transforming inputs again,
    # for each panel, as blocks of channels want it.
    least = min(tiles, WINOGRAD_LEAST_TILES)
    most = largest(min(tiles, WINOGRAD_TILES), lambda n: staging(n, g.c) <= STAGING_BYTES)
    most = max(least, most)
    tile_tasks = -(-tiles // most)
    task_tiles = -(-tiles // tile_tasks)
    fitting = largest(g.c, lambda channels: staging(task_tiles, channels) <= STAGING_BYTES)
    pieces = -(-g.c // fitting)
    block_channels = g.c if pieces == 1 else padded(-(-g.c // pieces), row.lanes)
    wanted = TASKS_PER_THREAD * threads if threads > 1 else 1
    task_panels = -(-panels // min(panels, -(-wanted // tile_tasks)))
    return {
        "tasks": tile_tasks * -(-panels // task_panels),
        "task_tiles": task_tiles,
        "task_panels": task_panels,
        "block_channels": block_channels,
        "staging": padded(staging(task_tiles, block_channels), ALIGNMENT),
    }


def _dense_blocking(
    row: Row, g: Geometry, image_x: int, threads: int, finite: bool, planar: tuple[bool, bool]
) -> dict[str, int]:
    channels, taps = g.group_channels, g.kh * g.kw
    if planar[0]:
        image_x = g.c * row.itemsize
    depth = PANEL_SLICE_BYTES // (row.channels * row.itemsize)
    adjacent = image_x == channels * row.itemsize and g.groups == 1 and g.dw == 1
    adjacent &= not row.permuted  # whose segments are taps
    leaves = (g.top, g.bottom, g.left, g.right) != (0, 0, 0, 0)
    window = taps * channels * row.itemsize
    if leaves and finite and channels * row.itemsize >= SKIPPING_PIXEL and taps > 1:
        border = SKIPPED
    elif planar[0]:
        border = NO_BORDER  # zeros are packed
    elif leaves and adjacent and window <= LARGEST_COPIED_WINDOW and taps * channels <= depth:
        border = COPIED
    else:
        border = ZEROS if leaves else NO_BORDER

    block_channels, block_taps = channels, 1
    if channels > depth:
        pieces = -(-channels // depth)
        block_channels = padded(-(-channels // pieces), UNROLL)
    elif border != SKIPPED:
        table_taps = SCRATCH_WORDS // (4 * row.pixels if border == ZEROS else 4)
        block_taps = min(taps, depth // channels, table_taps)
    merge_rows = adjacent and block_taps >= g.kw > 1
    if merge_rows:
        block_taps -= block_taps % g.kw

    tile_words = (
        DENSE_TILE_WORDS
        + {
            NO_BORDER: 0,
            COPIED: row.pixels * (g.kh + -(-window // 8)),
            ZEROS: row.pixels * block_taps,
            SKIPPED: 0,
        }[border]
    )
    pixel_words = (6 if border == SKIPPED else 4) + int(planar[1])

    def fits(pixels: int) -> bool:
        tiles = -(-pixels // row.pixels)
        needed = pixel_words * (pixels + row.pixels) + block_taps + tiles * tile_words
        return needed <= SCRATCH_WORDS

    pixels = g.n * g.oh * g.ow
    together = panel_groups(row, channels, g.group_filters)
    panels = -(-g.groups // together) * -(-g.group_filters // row.channels)
    staged = {}
    if any(planar):
        wanted = TASKS_PER_THREAD * threads if threads > 1 else 1
        most = max(-(-pixels // wanted), TASK_TILES * row.pixels)
        most = largest(min(most, STAGED_PIXELS), fits)
        task_rows, task_columns, most_panels = _staged_pixels(row, g, planar, most, panels)
        pixel_tasks = -(-g.n * g.oh // task_rows) * -(-g.ow // task_columns)
        task_pixels = task_rows * task_columns
        pieces = max(-(-panels // most_panels), min(panels, -(-wanted // pixel_tasks)))
        task_panels = -(-panels // pieces)
        staged = {
            "task_rows": task_rows,
            "task_columns": task_columns,
            "staging": _staging(row, g, planar, task_rows, task_columns, task_panels),
        }
    else:
        most = largest(min(pixels, TASK_TILES * row.pixels), fits)
        task_pixels, task_panels = _evenly(row, pixels, most, panels, threads)
        pixel_tasks = -(-pixels // task_pixels)
    return {
        **staged,
        "tasks": pixel_tasks * -(-panels // task_panels),
        "panel_groups": together,
        "task_pixels": task_pixels,
        "task_panels": task_panels,
        "block_taps": block_taps,
        "block_channels": block_channels,
        "border": border,
        "merge_rows": int(merge_rows),
    }


def _evenly(row: Row, pixels: int, most: int, panels: int, threads: int) -> Pair:
    """Pixels, at most so many, and panels of a task, so that all threads end at about a time."""
    least = -(-pixels // most)
    if least >= TASKS_PER_THREAD * threads or threads == 1:
        tasks = padded(least, threads) if pixels >= threads * least else least
        return -(-pixels // tasks), panels

    def last_end(cut: Pair) -> tuple[int, int]:
        """In times of a pixel by a panel; and the pixels' tasks, each of which reads all panels."""
        task_pixels, task_panels = cut
        parts = -(-pixels // task_pixels)
        tasks = parts * -(-panels // task_panels)
        tiles = -(-task_pixels // row.pixels)
        computed = max(task_pixels, tiles * (row.pixels - 1)) + tiles * TILE_OVERHEAD
        return -(-tasks // threads) * task_panels * computed, parts

    cuts = (
        (-(-pixels // parts), -(-panels // blocks))
        for parts in range(least, min(pixels, least + TASKS_PER_THREAD * threads) + 1)
        for blocks in range(1, min(panels, TASKS_PER_THREAD * threads) + 1)
    )
    return min(cuts, key=last_end)


def _staged_pixels(
    row: Row, g: Geometry, planar: tuple[bool, bool], most: int, panels: int
) -> tuple[int, int, int]:
    """Rows and columns of a task whose pixels are staged, at most `most` of them, and how many
    panels it may have."""

    def fits(rows: int, columns: int, panels: int) -> bool:
        bytes_ = _staging(row, g, planar, rows, columns, panels)
        return rows * columns <= most and bytes_ <= STAGING_BYTES

    wanted = min(g.ow, most, 4 * row.pixels)
    panels = largest(panels, lambda panels: fits(1, wanted, panels))
    columns = largest(g.ow, lambda columns: fits(1, columns, panels))
    if columns < min(g.ow, most, row.pixels):  # too few to share the weights that a task reads
        return 1, min(g.ow, most, row.pixels), panels  # which does not fit
    columns = -(-g.ow // -(-g.ow // columns))
    rows = largest(g.n * g.oh, lambda rows: fits(rows, columns, panels))
    return -(-g.n * g.oh // -(-g.n * g.oh // rows)), columns, panels


def _staging(
    row: Row, g: Geometry, planar: tuple[bool, bool], rows: int, columns: int, panels: int
) -> int:
    """Bytes that a task stages: its outputs, as much for their residuals, its images' rows."""
    size = 0
    if planar[1]:
        size += 2 * rows * columns * (panels * row.channels * row.itemsize + STAGED_GAP)
    if planar[0]:
        images = min(rows, 1 + -(-(rows - 1) // g.oh))
        step = min(g.sh, g.kh) if g.dh == 1 else g.kh  # rows that an output row adds to the last's
        packed = (images * g.kh + (rows - images) * step) * g.c * row.itemsize
        size += packed * ((columns - 1) * g.sw + extent(g.kw, g.dw))
    return padded(size, ALIGNMENT)


def words(
    row: Row,
    packed: Packed,
    geometry: Geometry,
    image_strides: tuple[int, ...],
    out_strides: tuple[int, ...],
    activation: str | None,
    threads: int,
) -> np.ndarray:
    """Everything that a kernel is told beside addresses: one int64 for each of FIELDS.

    Parameters
    ----------
    image_strides, out_strides : tuple of int
        In bytes, of arrays (N, H, W, C) whose channels are contiguous; for PLANAR_FAMILIES also of
        those whose pixels are, in a row.
    """
    if row.family == "dense" and _is_one_row(row, geometry, image_strides, out_strides):
        g = geometry
        geometry = g._replace(h=1, w=g.h * g.w, oh=1, ow=g.oh * g.ow)
    empty = geometry.h * geometry.w == 0  # whose strides say nothing
    planar = (
        geometry.c > 1 and image_strides[3] != row.itemsize and not empty,
        geometry.o > 1 and out_strides[3] != row.itemsize,
    )
    fields: dict[str, Any] = {
        **dict.fromkeys((*BLOCKING, "panel_groups", "border", "merge_rows", "staging"), 0),
        **geometry._asdict(),
        **blocking(row, geometry, image_strides[2], out_strides[2], threads, packed.finite, planar),
        "pixels": geometry.n * geometry.oh * geometry.ow,
        "group_channels": geometry.group_channels,
        "group_filters": geometry.group_filters,
        "activation": ACTIVATIONS.index(activation),
        "weights_offset": packed.offset,
    }
    for name, strides, is_planar in (
        ("image", image_strides, planar[0]),
        ("out", out_strides, planar[1]),
    ):
        fields.update(zip((f"{name}_{axis}" for axis in "nyxc"), strides, strict=True))
        if not is_planar:
            fields[f"{name}_c"] = row.itemsize  # also of one channel, whose stride may be any
    return np.array([fields[name] for name in FIELDS], np.int64)


def _is_one_row(row: Row, g: Geometry, *strides: tuple[int, ...]) -> bool:
    """Whether an image's rows may be seen as one: windows are single pixels, and the rows follow
    each other on both ends."""
    single = (g.kh, g.kw, g.sh, g.sw) == (1, 1, 1, 1)
    single = single and (g.top, g.bottom, g.left, g.right) == (0, 0, 0, 0)
    return single and all(s[1] == g.w * s[2] and row.itemsize in s[2:] for s in strides)


def peak_words(iterations: int, tasks: int) -> np.ndarray:
    """The plan of a peak row, whose tasks multiply and add `iterations` times."""
    fields = {"pixels": iterations, "tasks": tasks}
    return np.array([fields.get(name, 0) for name in FIELDS], np.int64)
