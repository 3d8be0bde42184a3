"""Which kernel, which blocking, which packed weights: all decided before anything runs.

`select` and `blocking` are pure: they can be asked for any CPU level on any machine.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from .blocks import largest
from .geometry import Geometry, Pair
from .kernels.registry import (
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
    UNROLL,
    WINOGRAD_INPUT,
    WINOGRAD_POINTS,
    WINOGRAD_TILE,
    ZEROS,
    Row,
)

_ROWS: dict[tuple[str, str], list[Row]] = {}
for _row in ROWS + LOOP_ROWS:
    _ROWS.setdefault((_row.level, _row.dtype), []).append(_row)

STRIP = 1024  # elements of a strip, roughly
DEPTHWISE_PIXELS = 32  # of a row, whose channels are done before the next ones'
LARGEST_NARROW_WINDOW = 16 << 10  # bytes; a few of them fit into the scratch words
LARGEST_STRIP_WINDOW = 32  # rows and columns: copies of inputs fit into the scratch words
# Of one thread, roughly: multiply-adds, and bytes, in a microsecond.
VECTOR_RATE, LOOP_RATE, COPY_RATE = 200_000, 500, 10_000
ALIGNMENT = 64  # of packed weights, in bytes: a cache line, and the widest vector
PANEL_SLICE_BYTES = 256 << 10  # of a panel, in one block of the reduction: the second-level cache
LARGEST_COPIED_WINDOW = 1 << 10  # bytes
SKIPPING_PIXEL = 1 << 10  # bytes of a pixel's channels; with fewer, a tap is no block of its own
TASK_TILES = 16  # of pixels in a task of the dense kernel, at most
TASKS_PER_THREAD = 4
STAGING_BYTES = 1 << 20  # of a thread, at most: the second-level cache
PACKED_ELEMENTS = 8 << 10  # transformed at a time: the temporaries stay in the caches
WINOGRAD_LEAST_TILES, WINOGRAD_TILES = 6, 28  # in a task, if there are as many; at most


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
    if channelwise and max(layer.kh, layer.kw) <= LARGEST_STRIP_WINDOW:
        return next(row for row in rows if _serves(row, layer))
    for row in rows:
        if row.family == "narrow" and _few_filters(row, layer):
            return row
    dense = [row for row in rows if row.family == "dense"]
    group_filters = layer.n_filters // layer.groups
    return min(dense, key=lambda row: (_padded(group_filters, row.channels), -row.channels))


def winograd(dtype: str, level: str) -> Row:
    """The registry row of algorithm "winograd", for layers that `aotconv.check` lets pass."""
    return next(row for row in _ROWS[level, dtype] if row.family == "winograd")


def _few_filters(row: Row, layer: Layer) -> bool:
    """Whether a narrow row computes a layer: the largest split for its number of filters."""
    window = layer.kh * layer.kw * layer.group_channels * row.itemsize
    if layer.groups > 1 or layer.dilations != (1, 1) or window > LARGEST_NARROW_WINDOW:
        return False
    return row.lanes // row.split // 2 < layer.n_filters <= row.lanes // row.split


def _serves(row: Row, layer: Layer) -> bool:
    """Whether a row of the depthwise or strip family computes a channelwise layer."""
    if row.family not in ("depthwise", "strip"):
        return False
    unit = layer.dilations == (1, 1)
    if row.window and not (unit and (layer.kh, layer.kw) == (row.window, row.window)):
        return False
    if row.stride and layer.strides != (row.stride, row.stride):
        return False
    if row.family == "depthwise":
        return layer.groups >= row.lanes
    if row.period:
        return layer.groups == 3 if row.period == 3 else row.lanes % layer.groups == 0
    shares_rows = layer.strides[0] == layer.dilations[0] == 1
    return row.pixels == 1 or (shares_rows and layer.kh >= row.pixels)


def _padded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


class Packed(NamedTuple):
    """Weights in a kernel's own order."""

    address: int  # aligned to ALIGNMENT
    offset: int  # bytes from there, where the zeros are, to the weights
    memory: np.ndarray  # keeps them alive
    finite: bool  # but for the bias


_Layout = tuple[int, int, np.ndarray]  # of Packed


def pack(row: Row, filters: np.ndarray, bias: np.ndarray | None, groups: int) -> Packed:
    """Pack filters (KH, KW, C / groups, O) and bias (O,) for `row`, converted to its dtype."""
    n_filters = filters.shape[3]
    rows = np.empty((1 + filters[..., 0].size, n_filters), row.dtype)
    rows[0] = 0 if bias is None else bias
    rows[1:] = filters.reshape(-1, n_filters)
    address, offset, memory = _PACKERS[row.family](row, rows, filters.shape, groups)
    return Packed(address, offset, memory, bool(np.isfinite(rows[1:]).all()))


def _pack_dense(row: Row, rows: np.ndarray, shape: tuple[int, ...], groups: int) -> _Layout:
    """A pixel of zeros; then for each group its panels, as wide as the tile, filled with zeros."""
    depth, n_filters = rows.shape
    width = n_filters // groups
    panels = -(-width // row.channels)
    channels = shape[2] * groups
    lead = _padded(channels * row.itemsize, ALIGNMENT) // row.itemsize
    memory, address = _aligned(lead + groups * panels * depth * row.channels, row)
    memory[:lead] = 0
    packed = memory[lead:].reshape(groups, panels, depth, row.channels)
    rows = rows.reshape(depth, groups, width)
    whole, rest = divmod(width, row.channels)
    split = rows[:, :, : width - rest].reshape(depth, groups, whole, row.channels)
    packed[:, :whole] = split.transpose(1, 2, 0, 3)
    if rest:
        packed[:, whole, :, :rest] = rows[:, :, width - rest :].transpose(1, 0, 2)
        packed[:, whole, :, rest:] = 0
    return address, lead * row.itemsize, memory


def _pack_depthwise(row: Row, rows: np.ndarray, shape: tuple[int, ...], groups: int) -> _Layout:
    """A vector of zeros; then for each vector of channels its rows, filled with zeros."""
    channels = groups
    vectors = -(-channels // row.lanes)
    lead = ALIGNMENT // row.itemsize
    memory, address = _aligned(lead + vectors * len(rows) * row.lanes, row)
    memory[:lead] = 0
    filled = np.zeros((len(rows), vectors * row.lanes), row.dtype)
    filled[:, :channels] = rows
    packed = memory[lead:].reshape(vectors, len(rows), row.lanes)
    packed[:] = filled.reshape(len(rows), vectors, row.lanes).transpose(1, 0, 2)
    return address, lead * row.itemsize, memory


def _pack_strip(row: Row, rows: np.ndarray, shape: tuple[int, ...], groups: int) -> _Layout:
    """Zeros for a strip; then the rows, repeated over PERIOD vectors, or for a tile's width."""
    lead = _padded((STRIP + row.channels) * row.itemsize, ALIGNMENT) // row.itemsize
    channels = groups
    width = row.period * row.lanes or channels + row.channels
    memory, address = _aligned(lead + len(rows) * width, row)
    memory[:lead] = 0
    memory[lead:].reshape(-1, width)[:] = rows[:, np.arange(width) % channels]
    return address, lead * row.itemsize, memory


def _pack_narrow(row: Row, rows: np.ndarray, shape: tuple[int, ...], groups: int) -> _Layout:
    """A vector of biases; then for each kernel row a vector for each `split` products, and one for
    each product left over.  Lane ``o * split + k`` is filter o's k-th."""
    kh, kw, channels, n_filters = shape
    run = kw * channels
    whole, rest = divmod(run, row.split)
    vectors = np.zeros((1 + kh * (whole + rest), row.lanes // row.split, row.split), row.dtype)
    vectors[0, :n_filters, 0] = rows[0]
    taps = vectors[1:].reshape(kh, whole + rest, *vectors.shape[1:])
    products = rows[1:].reshape(kh, run, n_filters)
    together = products[:, : whole * row.split].reshape(kh, whole, row.split, n_filters)
    taps[:, :whole, :n_filters] = together.transpose(0, 1, 3, 2)
    taps[:, whole:, :n_filters, 0] = products[:, whole * row.split :]
    memory, address = _aligned(vectors.size, row)
    memory[:] = vectors.ravel()
    return address, 0, memory


def _transform_taps(taps: list[np.ndarray]) -> list[np.ndarray]:
    """G g of the winograd family (see `aotconv.kernels.winograd`), of three taps."""
    a, b = WINOGRAD_POINTS
    transformed = [taps[0] * (1 / (a * a * b * b))]
    for p, q in ((a, b), (b, a)):
        scale = 1 / (2 * p * p * (p * p - q * q))
        even, odd = taps[0] + taps[2] * (p * p), taps[1] * p
        transformed += [(even + odd) * scale, (even - odd) * scale]
    return [*transformed, taps[2]]


def _pack_winograd(row: Row, rows: np.ndarray, shape: tuple[int, ...], groups: int) -> _Layout:
    """A pixel of zeros; then for each panel its bias and G g G^T, a row for each channel of each
    position; as wide as the tile, filled with zeros.

    Computed in float64 and rounded once, without BLAS: the bits are the same at all levels.
    """
    channels, n_filters = shape[2:]
    whole, rest = divmod(n_filters, row.channels)
    panels = -(-n_filters // row.channels)
    depth = 1 + WINOGRAD_INPUT**2 * channels
    lead = _padded(channels * row.itemsize, ALIGNMENT) // row.itemsize
    memory, address = _aligned(lead + panels * depth * row.channels, row)
    memory[:lead] = 0
    packed = memory[lead:].reshape(panels, depth, row.channels)

    def put(first: int, values: np.ndarray) -> None:
        """Store rows of all filters, from the row `first` of the panels on."""
        at = slice(first, first + len(values))
        split = values[:, : n_filters - rest].reshape(len(values), whole, row.channels)
        packed[:whole, at] = split.swapaxes(0, 1)
        if rest:
            packed[whole, at, :rest] = values[:, n_filters - rest :]
            packed[whole, at, rest:] = 0

    put(0, rows[:1])
    filters = rows[1:].reshape(3, 3, channels, n_filters)
    some = max(1, PACKED_ELEMENTS // n_filters)
    with np.errstate(over="ignore", invalid="ignore"):  # of huge and of infinite weights
        for channel in range(0, channels, some):
            taps = filters[:, :, channel : channel + some].astype(np.float64)
            for i, kernel_row in enumerate(_transform_taps(list(taps))):
                for j, values in enumerate(_transform_taps(list(kernel_row))):
                    put(1 + (i * WINOGRAD_INPUT + j) * channels + channel, values)
    return address, lead * row.itemsize, memory


def _pack_loop(row: Row, rows: np.ndarray, shape: tuple[int, ...], groups: int) -> _Layout:
    """A zero, then the rows."""
    memory, address = _aligned(1 + rows.size, row)
    memory[0] = 0
    memory[1:] = rows.ravel()
    return address, row.itemsize, memory


_PACKERS = {
    "dense": _pack_dense,
    "depthwise": _pack_depthwise,
    "strip": _pack_strip,
    "narrow": _pack_narrow,
    "winograd": _pack_winograd,
    "loop": _pack_loop,
}


def _aligned(size: int, row: Row) -> tuple[np.ndarray, int]:
    """An uninitialised array that begins at a multiple of ALIGNMENT, and its address."""
    memory = np.empty(size * row.itemsize + ALIGNMENT, np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    array = memory[offset : offset + size * row.itemsize].view(row.dtype)
    return array, memory.ctypes.data + offset


def estimate(row: Row, geometry: Geometry) -> float:
    """Microseconds that one thread needs, roughly: to say whether more are worth their start."""
    g = geometry
    elements = g.n * g.h * g.w * g.c + g.n * g.oh * g.ow * g.o
    rate = LOOP_RATE if row.family == "loop" else VECTOR_RATE / row.itemsize
    products = g.multiply_adds / (3 if row.family == "winograd" else 1)
    return max(products / rate, elements * row.itemsize / COPY_RATE)


def blocking(
    row: Row, geometry: Geometry, image_x: int, out_x: int, threads: int, finite: bool = True
) -> dict[str, int]:
    """How a problem is cut into tasks, and a task into what its tiles take at a time.

    Results do not depend on it: an output element is always summed in the same order.

    Parameters
    ----------
    image_x, out_x : int
        Bytes from a pixel to its right neighbour.
    """
    g = geometry
    if row.family == "dense":
        return _dense_blocking(row, g, image_x, threads, finite)
    if row.family == "narrow":
        return _narrow_blocking(row, g, image_x)
    if row.family == "winograd":
        return _winograd_blocking(row, g, threads)
    if row.family == "depthwise":
        return {"tasks": g.n * -(-g.oh // row.pixels), "block_run": DEPTHWISE_PIXELS}
    merge = g.sw == 1 and image_x == g.c * row.itemsize and out_x == g.o * row.itemsize
    return {
        "tasks": g.n * -(-g.oh // row.pixels),
        "block_run": STRIP - STRIP % row.channels,
        "merge_rows": int(merge),
    }


def _narrow_blocking(row: Row, g: Geometry, image_x: int) -> dict[str, int]:
    def fits(rows: int, columns: int) -> bool:
        pixels = ((rows - 1) * g.sh + g.kh) * ((columns - 1) * g.sw + g.kw)
        words = 2 * (rows * columns + row.pixels) + -(-pixels * g.c * row.itemsize // 8)
        return words <= SCRATCH_WORDS

    columns = largest(g.ow, lambda columns: fits(1, columns))
    rows = largest(g.oh, lambda rows: fits(rows, columns))
    return {
        "tasks": g.n * -(-g.oh // rows) * -(-g.ow // columns),
        "task_rows": rows,
        "task_columns": columns,
        "merge_rows": int(image_x == g.c * row.itemsize),
    }


def _winograd_blocking(row: Row, g: Geometry, threads: int) -> dict[str, int]:
    tiles = g.n * -(-g.oh // WINOGRAD_TILE) * -(-g.ow // WINOGRAD_TILE)
    panels = -(-g.o // row.channels)

    def staging(tiles: int, channels: int) -> int:
        held = max(tiles, -(-tiles // row.pixels) * (row.pixels - 1))
        elements = held * (_padded(channels, row.lanes) + row.channels)
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
    block_channels = g.c if pieces == 1 else _padded(-(-g.c // pieces), row.lanes)
    wanted = TASKS_PER_THREAD * threads if threads > 1 else 1
    task_panels = -(-panels // min(panels, -(-wanted // tile_tasks)))
    return {
        "tasks": tile_tasks * -(-panels // task_panels),
        "task_tiles": task_tiles,
        "task_panels": task_panels,
        "block_channels": block_channels,
        "staging": _padded(staging(task_tiles, block_channels), ALIGNMENT),
    }


def _dense_blocking(
    row: Row, g: Geometry, image_x: int, threads: int, finite: bool
) -> dict[str, int]:
    channels, taps = g.group_channels, g.kh * g.kw
    depth = PANEL_SLICE_BYTES // (row.channels * row.itemsize)
    adjacent = image_x == channels * row.itemsize and g.groups == 1 and g.dw == 1
    leaves = (g.top, g.bottom, g.left, g.right) != (0, 0, 0, 0)
    window = taps * channels * row.itemsize
    if leaves and finite and channels * row.itemsize >= SKIPPING_PIXEL and taps > 1:
        border = SKIPPED
    elif leaves and adjacent and window <= LARGEST_COPIED_WINDOW and taps * channels <= depth:
        border = COPIED
    else:
        border = ZEROS if leaves else NO_BORDER

    block_channels, block_taps = channels, 1
    if channels > depth:
        pieces = -(-channels // depth)
        block_channels = _padded(-(-channels // pieces), UNROLL)
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
    pixel_words = 6 if border == SKIPPED else 4

    def fits(pixels: int) -> bool:
        tiles = -(-pixels // row.pixels)
        needed = pixel_words * (pixels + row.pixels) + block_taps + tiles * tile_words
        return needed <= SCRATCH_WORDS

    pixels = g.n * g.oh * g.ow
    most = largest(min(pixels, TASK_TILES * row.pixels), fits)
    pixel_tasks = -(-pixels // most)
    task_pixels = -(-pixels // pixel_tasks)
    panels = g.groups * -(-g.group_filters // row.channels)
    wanted = TASKS_PER_THREAD * threads if threads > 1 else 1
    task_panels = -(-panels // min(panels, -(-wanted // pixel_tasks)))
    return {
        "tasks": pixel_tasks * -(-panels // task_panels),
        "task_pixels": task_pixels,
        "task_panels": task_panels,
        "block_taps": block_taps,
        "block_channels": block_channels,
        "border": border,
        "merge_rows": int(merge_rows),
    }


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
        Of NHWC arrays whose channels are contiguous, in bytes.
    """
    fields: dict[str, Any] = {
        **dict.fromkeys((*BLOCKING, "border", "merge_rows", "staging"), 0),
        **geometry._asdict(),
        **blocking(row, geometry, image_strides[2], out_strides[2], threads, packed.finite),
        "pixels": geometry.n * geometry.oh * geometry.ow,
        "group_channels": geometry.group_channels,
        "group_filters": geometry.group_filters,
        "activation": ACTIVATIONS.index(activation),
        "weights_offset": packed.offset,
    }
    for name, strides in (("image", image_strides), ("out", out_strides)):
        fields.update(zip((f"{name}_n", f"{name}_y", f"{name}_x"), strides, strict=False))
    return np.array([fields[name] for name in FIELDS], np.int64)


def peak_words(iterations: int, tasks: int) -> np.ndarray:
    """The plan of a peak row, whose tasks multiply and add `iterations` times."""
    fields = {"pixels": iterations, "tasks": tasks}
    return np.array([fields.get(name, 0) for name in FIELDS], np.int64)
