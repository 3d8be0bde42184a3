"""Which kernel, which blocking, which packed weights: all decided before anything runs.

`select` and `blocking` are pure: they can be asked for any CPU level on any machine.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .geometry import Geometry
from .kernels.registry import FIELDS, LOOP_ROWS, ROWS, SCRATCH_WORDS, Row

_ROWS: dict[tuple[str, str], list[Row]] = {}
for _row in ROWS + LOOP_ROWS:
    _ROWS.setdefault((_row.level, _row.dtype), []).append(_row)

ALIGNMENT = 64  # of packed weights, in bytes: a cache line, and the widest vector
PANEL_SLICE_BYTES = 32 << 10  # of a panel, in one block of the reduction: the first-level cache
BLOCK_TILES = 16
TASKS_PER_THREAD = 4


class Weights(NamedTuple):
    """The sizes of a convolution that do not depend on the images."""

    kh: int
    kw: int
    group_channels: int
    filters: int
    groups: int

    @classmethod
    def of(cls, filters: np.ndarray, groups: int) -> Weights:
        kh, kw, group_channels, n_filters = filters.shape
        return cls(kh, kw, group_channels, n_filters, groups)

    @property
    def channelwise(self) -> bool:
        """Whether each channel has one filter of its own."""
        return self.group_channels == 1 and self.groups == self.filters > 1


def select(weights: Weights, dtype: str, level: str) -> Row:
    """The registry row that computes a convolution, by its weights' sizes alone.

    The images' sizes have no say, so that parts of a batch or of an image take the same path.
    """
    rows = _ROWS[level, dtype]
    if rows[0].family == "loop":
        return rows[0]
    if weights.channelwise:
        return next(row for row in rows if row.family == "depthwise")
    dense = [row for row in rows if row.family == "dense"]
    group_filters = weights.filters // weights.groups
    return min(dense, key=lambda row: (_padded(group_filters, row.channels), -row.channels))


def _padded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


class Packed(NamedTuple):
    """Weights in a kernel's own order."""

    address: int  # aligned to ALIGNMENT
    panels: int  # bytes from there to the first panel
    memory: np.ndarray  # keeps them alive


def pack(row: Row, filters: np.ndarray, bias: np.ndarray | None, groups: int) -> Packed:
    """Pack filters (KH, KW, C / groups, O) and bias (O,) for `row`, converted to its dtype.

    For the loop family: the bias and the filters behind it.  For the others: zeros to read in
    place of padding, a pixel's worth, then for each group its panels, each a row of biases and a
    row for each product of the reduction, as wide as the row's tile and filled up with zeros.
    """
    weights = Weights.of(filters, groups)
    itemsize = row.itemsize
    if row.family == "loop":
        packed, first = _aligned(
            (1 + filters.size // max(weights.filters, 1), weights.filters), row
        )
        packed[1:] = filters.reshape(-1, weights.filters)
        packed[0] = 0 if bias is None else bias
        return Packed(first, 0, packed)

    if row.family == "depthwise":
        depth, channels, blocks = weights.kh * weights.kw, weights.filters, 1
    else:
        depth = weights.kh * weights.kw * weights.group_channels
        channels, blocks = weights.group_channels * groups, groups
    zeros = _padded(channels * itemsize, ALIGNMENT)
    width = weights.filters // blocks
    panels = -(-width // row.channels)
    lead = zeros // itemsize
    memory, first = _aligned((lead + blocks * panels * (1 + depth) * row.channels,), row)
    memory[:lead] = 0
    packed = memory[lead:].reshape(blocks, panels, 1 + depth, row.channels)
    rows = np.zeros((1 + depth, blocks, panels * row.channels), row.dtype)
    rows[1:, :, :width] = filters.reshape(depth, blocks, width)
    if bias is not None:
        rows[0, :, :width] = bias.reshape(blocks, width)
    packed[:] = rows.reshape(1 + depth, blocks, panels, row.channels).transpose(1, 2, 0, 3)
    return Packed(first, zeros, memory)


def _aligned(shape, row: Row) -> tuple[np.ndarray, int]:
    """An uninitialised array that begins at a multiple of ALIGNMENT, and its address."""
    size = int(np.prod(shape)) * row.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    array = memory[offset : offset + size].view(row.dtype).reshape(shape)
    return array, memory.ctypes.data + offset


def estimate(geometry: Geometry, itemsize: int) -> float:
    """Microseconds that one thread needs, roughly: to say whether more are worth their start."""
    g = geometry
    memory = (g.n * g.h * g.w * g.c + g.n * g.oh * g.ow * g.o) * itemsize
    return max(g.multiply_adds * itemsize / 200e3, memory / 10e3)


def blocking(row: Row, geometry: Geometry, image_x: int, threads: int) -> dict[str, int]:
    """How a problem is cut into tasks and a task's reduction into blocks.

    Results do not depend on it: an output element is always summed in the same order.

    Parameters
    ----------
    image_x : int
        Bytes from a pixel of the images to its right neighbour.
    """
    g = geometry
    taps = g.kh * g.kw
    if row.family == "loop":
        return {"tasks": g.n * g.oh}
    channelwise = row.family == "depthwise"
    channels = 1 if channelwise else g.group_channels
    depth = max(1, PANEL_SLICE_BYTES // (row.channels * row.itemsize))

    pieces = -(-channels // depth)
    block_channels = _padded(-(-channels // pieces), 4)
    if block_channels < channels:
        block_taps = 1
    else:
        block_channels = channels
        block_taps = min(taps, max(1, depth // channels), SCRATCH_WORDS // (4 * row.pixels))
    packed_pixels = image_x == channels * row.itemsize and g.groups == 1 and g.dw == 1
    merge_rows = not channelwise and packed_pixels and block_taps >= g.kw > 1
    if merge_rows:
        block_taps -= block_taps % g.kw

    pixels = g.n * g.oh * g.ow
    tiles = -(-pixels // row.pixels)
    tile_words = row.pixels * (4 + block_taps) + 1
    block_tiles = min(BLOCK_TILES, SCRATCH_WORDS // tile_words)
    blocks = 1 if channelwise else g.groups
    panels = blocks * -(-(g.o // blocks) // row.channels)
    pixel_tasks = -(-tiles // block_tiles)
    wanted = TASKS_PER_THREAD * threads if threads > 1 else 1
    block_panels = -(-panels // min(panels, -(-wanted // pixel_tasks)))
    return {
        "tasks": pixel_tasks * -(-panels // block_panels),
        "block_tiles": block_tiles,
        "block_panels": block_panels,
        "block_taps": block_taps,
        "block_channels": block_channels,
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
    channelwise = row.family == "depthwise"
    fields: dict[str, Any] = {
        **geometry._asdict(),
        **blocking(row, geometry, image_strides[2], threads),
        "pixels": geometry.n * geometry.oh * geometry.ow,
        "group_channels": 1 if channelwise else geometry.group_channels,
        "group_filters": geometry.o if channelwise else geometry.group_filters,
        "groups": 1 if channelwise else geometry.groups,
        "channelwise": int(channelwise),
        "activation": (None, "relu", "relu6").index(activation),
        "panels": packed.panels,
    }
    for name, strides in (("image", image_strides), ("out", out_strides)):
        fields.update(zip((f"{name}_n", f"{name}_y", f"{name}_x"), strides, strict=False))
    return np.array([fields.get(name, 0) for name in FIELDS], np.int64)


def peak_words(iterations: int, tasks: int) -> np.ndarray:
    """The plan of a peak row, whose tasks multiply and add `iterations` times."""
    fields = {"pixels": iterations, "tasks": tasks}
    return np.array([fields.get(name, 0) for name in FIELDS], np.int64)
