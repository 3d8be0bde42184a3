"""Weights in the orders in which kernels read them."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

from .._plan.registry import WINOGRAD_INPUT, WINOGRAD_POINTS, Row
from .._plan.select import ALIGNMENT, STRIP, depthwise_panels, padded, panel_groups

UNINTERRUPTED_ELEMENTS = 4 << 20  # packed at a time: signals wait for them
PACKED_ELEMENTS = 8 << 10  # transformed at a time: the temporaries stay in the caches


class Packed(NamedTuple):
    """Weights in a kernel's own order."""

    address: int  # aligned to ALIGNMENT
    offset: int  # bytes from there, where the zeros are, to the weights
    memory: np.ndarray  # keeps them alive
    finite: bool  # but for the bias


Shape: TypeAlias = tuple[int, ...]  # of filters
_Layout: TypeAlias = tuple[int, int, np.ndarray]  # of Packed


def pack(row: Row, filters: np.ndarray, bias: np.ndarray | None, groups: int) -> Packed:
    """Pack filters (KH, KW, C / groups, O) and bias (O,) for `row`, converted to its dtype."""
    n_filters = filters.shape[3]
    biases = np.zeros(n_filters, row.dtype)
    if bias is not None:
        biases[:] = bias
    # Not copied if they are of the dtype and contiguous: they may be as large as what is packed.
    rows = filters.reshape(-1, n_filters).astype(row.dtype, copy=False)
    layout = _PACKERS[row.family](row, biases, rows, filters.shape, groups)
    return Packed(*layout, finite=bool(np.isfinite(rows.min()) and np.isfinite(rows.max())))


def _pack_dense(
    row: Row, biases: np.ndarray, rows: np.ndarray, shape: Shape, groups: int
) -> _Layout:
    """A pixel of zeros; then for each group its panels, as wide as the tile, filled with zeros."""
    width = len(biases) // groups
    panels = -(-width // row.channels)
    depth = 1 + len(rows)
    lead = _lead(row, shape[2] * groups)
    memory, address = _aligned(lead + groups * panels * depth * row.channels, row)
    memory[:lead] = 0
    packed = memory[lead:].reshape(groups, panels, depth, row.channels)
    _put(packed[:, :, :1], biases.reshape(1, groups, width))
    some = max(1, UNINTERRUPTED_ELEMENTS // len(biases))
    for first in range(0, len(rows), some):
        values = rows[first : first + some].reshape(-1, groups, width)
        _put(packed[:, :, 1 + first : 1 + first + len(values)], values)
    return address, lead * row.itemsize, memory


def _put(panels: np.ndarray, rows: np.ndarray) -> None:
    """Store rows (N, groups, filters) into panels (groups, panels, N, channels), the last of which
    is filled with zeros."""
    n_rows, groups, width = rows.shape
    channels = panels.shape[3]
    whole, rest = divmod(width, channels)
    split = rows[:, :, : width - rest].reshape(n_rows, groups, whole, channels)
    panels[:, :whole] = split.transpose(1, 2, 0, 3)
    if rest:
        panels[:, whole, :, :rest] = rows[:, :, width - rest :].transpose(1, 0, 2)
        panels[:, whole, :, rest:] = 0


def _pack_grouped(
    row: Row, biases: np.ndarray, rows: np.ndarray, shape: Shape, groups: int
) -> _Layout:
    """A pixel of zeros; the order of lanes; then for several groups at a time a panel."""
    rows = np.vstack((biases, rows))
    depth, n_filters = rows.shape
    width = n_filters // groups
    together = panel_groups(row, shape[2], width)
    panels = -(-groups // together)
    lead = _lead(row, shape[2] * groups) + row.lanes
    memory, address = _aligned(lead + panels * depth * row.lanes, row)
    memory[:] = 0
    lanes = np.arange(together * width) // width * shape[2]
    words = row.itemsize // 4
    order = (words * lanes[:, np.newaxis] + np.arange(words)).ravel()
    memory[lead - row.lanes : lead].view(np.int32)[: order.size] = order
    filled = np.zeros((depth, panels * together * width), row.dtype)
    filled[:, :n_filters] = rows
    packed = memory[lead:].reshape(panels, depth, row.lanes)
    packed[:, :, : together * width] = filled.reshape(depth, panels, -1).transpose(1, 0, 2)
    return address, lead * row.itemsize, memory


def _pack_depthwise(
    row: Row, biases: np.ndarray, rows: np.ndarray, shape: Shape, groups: int
) -> _Layout:
    """Zeros for a task's channels; then for each vector of them its rows, filled with zeros."""
    rows = np.vstack((biases, rows))
    channels = groups
    vectors = -(-channels // row.lanes)
    lead = _lead(row, depthwise_panels(row) * row.lanes)
    memory, address = _aligned(lead + vectors * len(rows) * row.lanes, row)
    memory[:lead] = 0
    filled = np.zeros((len(rows), vectors * row.lanes), row.dtype)
    filled[:, :channels] = rows
    packed = memory[lead:].reshape(vectors, len(rows), row.lanes)
    packed[:] = filled.reshape(len(rows), vectors, row.lanes).transpose(1, 0, 2)
    return address, lead * row.itemsize, memory


def _pack_strip(
    row: Row, biases: np.ndarray, rows: np.ndarray, shape: Shape, groups: int
) -> _Layout:
    """Zeros for a strip; then the rows, repeated for a tile's width from any channel on."""
    return _repeated(row, biases, rows, STRIP + row.channels, groups + row.channels)


def _pack_image(
    row: Row, biases: np.ndarray, rows: np.ndarray, shape: Shape, groups: int
) -> _Layout:
    """Zeros for a tile's inputs; then the rows, repeated over whole vectors."""
    return _repeated(row, biases, rows, row.reach * row.lanes, row.period_vectors * row.lanes)


def _repeated(row: Row, biases: np.ndarray, rows: np.ndarray, zeros: int, width: int) -> _Layout:
    """Zeros; then the rows, repeated over `width` elements."""
    rows = np.vstack((biases, rows))
    lead = _lead(row, zeros)
    memory, address = _aligned(lead + len(rows) * width, row)
    memory[:lead] = 0
    memory[lead:].reshape(-1, width)[:] = rows[:, np.arange(width) % rows.shape[1]]
    return address, lead * row.itemsize, memory


def _pack_narrow(
    row: Row, biases: np.ndarray, rows: np.ndarray, shape: Shape, groups: int
) -> _Layout:
    """A vector of biases; then for each kernel row a vector for each `split` products, and one for
    each product left over.  Lane ``o * split + k`` is filter o's k-th.

    Beside each bias are negative zeros, which change no sum, not even one of negative zeros.
    """
    kh, kw, channels, n_filters = shape
    run = kw * channels
    whole, rest = divmod(run, row.split)
    vectors = np.zeros((1 + kh * (whole + rest), row.lanes // row.split, row.split), row.dtype)
    vectors[0] = -0.0
    vectors[0, :n_filters, 0] = biases
    taps = vectors[1:].reshape(kh, whole + rest, *vectors.shape[1:])
    products = rows.reshape(kh, run, n_filters)
    together = products[:, : whole * row.split].reshape(kh, whole, row.split, n_filters)
    taps[:, :whole, :n_filters] = together.transpose(0, 1, 3, 2)
    taps[:, whole:, :n_filters, 0] = products[:, whole * row.split :]
    memory, address = _aligned(vectors.size, row)
    memory[:] = vectors.ravel()
    return address, 0, memory


def _transform_taps(taps: list[np.ndarray]) -> list[np.ndarray]:
    """G g of the winograd family (see `aotconv._kernels.winograd`), of three taps."""
    a, b = WINOGRAD_POINTS
    transformed = [taps[0] * (1 / (a * a * b * b))]
    for p, q in ((a, b), (b, a)):
        scale = 1 / (2 * p * p * (p * p - q * q))
        even, odd = taps[0] + taps[2] * (p * p), taps[1] * p
        transformed += [(even + odd) * scale, (even - odd) * scale]
    return [*transformed, taps[2]]


def _pack_winograd(
    row: Row, biases: np.ndarray, rows: np.ndarray, shape: Shape, groups: int
) -> _Layout:
    """A pixel of zeros; then for each panel its bias and G g G^T, a row for each channel of each
    position; as wide as the tile, filled with zeros.

    Computed in float64 and rounded once, without BLAS: the bits are the same at all levels.
    """
    channels, n_filters = shape[2:]
    panels = -(-n_filters // row.channels)
    depth = 1 + WINOGRAD_INPUT**2 * channels
    lead = _lead(row, channels)
    memory, address = _aligned(lead + panels * depth * row.channels, row)
    memory[:lead] = 0
    packed = memory[lead:].reshape(1, panels, depth, row.channels)
    _put(packed[:, :, :1], biases.reshape(1, 1, n_filters))
    filters = rows.reshape(3, 3, channels, n_filters)
    some = max(1, PACKED_ELEMENTS // n_filters)
    with np.errstate(over="ignore", invalid="ignore"):  # of huge and of infinite weights
        for channel in range(0, channels, some):
            taps = filters[:, :, channel : channel + some].astype(np.float64)
            for i, kernel_row in enumerate(_transform_taps(list(taps))):
                for j, values in enumerate(_transform_taps(list(kernel_row))):
                    first = 1 + (i * WINOGRAD_INPUT + j) * channels + channel
                    at = packed[:, :, first : first + len(values)]
                    _put(at, values[:, np.newaxis])
    return address, lead * row.itemsize, memory


def _pack_loop(
    row: Row, biases: np.ndarray, rows: np.ndarray, shape: Shape, groups: int
) -> _Layout:
    """A zero, then the rows."""
    memory, address = _aligned(1 + len(biases) + rows.size, row)
    memory[0] = 0
    memory[1:] = np.vstack((biases, rows)).ravel()
    return address, row.itemsize, memory


_PACKERS = {
    "dense": _pack_dense,
    "grouped": _pack_grouped,
    "depthwise": _pack_depthwise,
    "image": _pack_image,
    "strip": _pack_strip,
    "narrow": _pack_narrow,
    "winograd": _pack_winograd,
    "loop": _pack_loop,
}


def _lead(row: Row, zeros: int) -> int:
    """Elements of at least so many zeros, with aligned weights behind them."""
    return padded(zeros * row.itemsize, ALIGNMENT) // row.itemsize


def _aligned(size: int, row: Row) -> tuple[np.ndarray, int]:
    """An uninitialised array that begins at a multiple of ALIGNMENT, and its address."""
    memory = np.empty(size * row.itemsize + ALIGNMENT, np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    array = memory[offset : offset + size * row.itemsize].view(row.dtype)
    return array, memory.ctypes.data + offset
