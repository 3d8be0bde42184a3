"""Weights put where a family says, in the dtype of its kernel."""

import sys
from collections.abc import Iterator, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from .._plan.arithmetic import ceil_div, round_up
from .._plan.elements import name_of
from .._plan.family import ALIGNMENT, Packing, Panels, Products, Repeated
from .._plan.parts import Taps
from .._plan.registry import AOT_DTYPES
from .._plan.winograd import INPUT, POINTS
from .baseline import exported

UNINTERRUPTED_ELEMENTS = 4 << 20  # copied at a time: signals wait for them
TRANSFORMED_ELEMENTS = 8 << 10  # at a time: the temporaries stay in the caches


class Packed(NamedTuple):
    """Weights in a kernel's own order."""

    address: int  # aligned to ALIGNMENT
    offset: int  # bytes from there, where the zeros are, to the weights
    memory: np.ndarray  # keeps them alive
    finite: bool  # but for the bias


def convert(source: np.ndarray, target: np.ndarray) -> None:
    """Copy into an array of that shape and of any dtype.  What is large is copied piece by piece:
    in between Python answers signals."""
    if source.size <= UNINTERRUPTED_ELEMENTS:
        np.copyto(target, source, casting="unsafe")
        return
    axis = int(np.argmax(source.shape))
    middle = source.shape[axis] // 2
    for half in (slice(middle), slice(middle, None)):
        at = (*[slice(None)] * axis, half)
        convert(source[at], target[at])


def pieces(shape: Sequence[int], most: int = UNINTERRUPTED_ELEMENTS) -> Iterator[tuple[slice, ...]]:
    """Parts of an array of a shape that have no more elements, in their order."""
    axis = next((axis for axis, size in enumerate(shape) if size > 1), None)
    if axis is None or prod(shape) <= most:
        yield tuple(map(slice, [0] * len(shape), shape))
        return
    step = max(1, most // prod(shape[axis + 1 :]))
    for first in range(0, shape[axis], step):
        size = min(step, shape[axis] - first)
        for one, *others in pieces((size, *shape[axis + 1 :]), most):
            at = slice(first + one.start, first + one.stop)
            yield (*[slice(0, 1)] * axis, at, *others)


def copied(array: np.ndarray, dtype: str | None = None) -> np.ndarray:
    """A contiguous copy, of the same dtype or of another."""
    copy = np.empty(array.shape, array.dtype if dtype is None else dtype)
    convert(array, copy)
    return copy


def under(filters: np.ndarray, taps: Taps) -> np.ndarray:
    """The weights of some taps, of filters (.., C / groups, O)."""
    present = taps[len(taps) - (filters.ndim - 2) :] if taps else ()
    ends = ((each.start, each.stop if each.stop >= 0 else None, each.step) for each in present)
    return filters[tuple(slice(*each) for each in ends)]


def pack(
    packing: Packing,
    dtype: str,
    filters: np.ndarray,
    bias: np.ndarray | None,
    memory: np.ndarray | None = None,
) -> Packed:
    """Pack filters (.., C / groups, O) and bias (O,), converted to a dtype; into memory of the same
    packing of others, if it is given."""
    if not filters.flags.c_contiguous:
        filters = copied(filters)
    n_filters = filters.shape[-1]
    biases = np.zeros((1, n_filters), dtype)
    if bias is not None:
        biases[:] = bias
    rows = filters.reshape(-1, n_filters)
    store = {Panels: _panels, Repeated: _repeated, Products: _products}[type(packing)]
    arrays = biases, rows, filters.shape, memory
    memory, lead, finite = store(packing, *arrays)  # type: ignore[operator]
    return Packed(memory.ctypes.data, lead * memory.itemsize, memory, finite)


def pack_channels(
    packing: Repeated, dtype: str, filters: np.ndarray, bias: np.ndarray | None
) -> list[Packed]:
    """The filters of a channelwise layer, each packed as of a layer of its own; all at once, for
    there may be thousands."""
    n_filters, kind = filters.shape[-1], np.dtype(dtype)
    rows = filters.reshape(-1, n_filters)
    used = (1 + len(rows)) * packing.width
    lead = _whole_lines(packing.zeros, kind)
    step = lead + _whole_lines(used, kind)
    memory = _aligned(n_filters * step, kind).reshape(n_filters, step)
    memory[:, :lead] = 0
    target = memory[:, lead : lead + used].reshape(n_filters, -1, packing.width)
    target[:, 0] = 0 if bias is None else bias[:, np.newaxis]
    target[:, 1:] = rows.T[:, :, np.newaxis]
    finite, address, offset = _are_finite(rows), memory.ctypes.data, lead * kind.itemsize
    return [
        Packed(address + i * memory.strides[0], offset, memory, finite) for i in range(n_filters)
    ]


def _are_finite(rows: np.ndarray) -> bool:
    return all(
        np.isfinite(some.min()) and np.isfinite(some.max()) for _, some in rows_at_a_time(rows)
    )


def rows_at_a_time(rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Rows that are copied at a time, and the number of the first."""
    step = max(1, UNINTERRUPTED_ELEMENTS // rows.shape[1])
    for first in range(0, len(rows), step):
        yield first, rows[first : first + step]


def _memory(
    zeros: int, size: int, dtype: np.dtype, memory: np.ndarray | None
) -> tuple[np.ndarray, int]:
    """Memory that begins with at least so many zeros, and how many there are: behind them `size`
    elements, aligned.  If memory is given, it is such."""
    lead = _whole_lines(zeros, dtype)
    if memory is None:
        memory = _aligned(lead + size, dtype)
        memory[:lead] = 0
    return memory, lead


def _whole_lines(size: int, dtype: np.dtype) -> int:
    """So many elements, and those that fill up the last cache line."""
    return round_up(size, ALIGNMENT // dtype.itemsize)


def _aligned(size: int, dtype: np.dtype) -> np.ndarray:
    """An uninitialised array that begins at a multiple of ALIGNMENT."""
    n_bytes = size * dtype.itemsize
    memory = np.empty(n_bytes + ALIGNMENT, np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    return memory[offset : offset + n_bytes].view(dtype)


def _panels(
    packing: Panels,
    biases: np.ndarray,
    rows: np.ndarray,
    shape: tuple[int, ...],
    memory: np.ndarray | None,
) -> tuple[np.ndarray, int, bool]:
    n_filters, dtype = shape[-1], biases.dtype
    columns, width = packing.columns, packing.width
    times, a_time = ceil_div(n_filters, columns), ceil_div(columns, width)
    depth = INPUT**2 * shape[-2] if packing.winograd else len(rows)
    order = np.array(packing.order, np.int32).view(dtype)
    zeros = packing.zeros + _whole_lines(order.size, dtype)
    memory, lead = _memory(zeros, times * a_time * (1 + depth) * width, dtype, memory)
    memory[lead - order.size : lead] = order
    panels = memory[lead:].reshape(times, a_time, 1 + depth, width)
    finite = None
    if not packing.winograd:
        finite = _put_compiled(panels[:, :, 1:], rows, columns)
    if finite is not None:
        _put(panels[:, :, :1], biases, columns)
        return memory, lead, finite
    for first, last in _pieces(n_filters, columns, width, depth):
        time, panel = divmod(first, columns)
        target = panels[time:] if last - first >= columns else panels[time : time + 1]
        target = target[:, panel // width :]
        _put(target[:, :, :1], biases[:, first:last], columns)
        if not packing.winograd:
            _put(target[:, :, 1:], rows[:, first:last], columns)
    if packing.winograd:
        for first, values in _winograd_products(rows.reshape(shape)):
            _put(panels[:, :, 1 + first : 1 + first + len(values)], values, columns)
    return memory, lead, _are_finite(rows)


def _put_compiled(panels: np.ndarray, rows: np.ndarray, columns: int) -> bool | None:
    """`_put` by compiled code, and whether all rows are finite; None where it cannot be had."""
    width, size, finite = panels.shape[3], rows.itemsize, True
    alike = rows.dtype == panels.dtype and name_of(rows.dtype) in AOT_DTYPES and rows.flags.aligned
    if not alike or width * size % 8 or sys.byteorder != "little":
        return None
    pack_panels = exported("pack_panels")
    if pack_panels is None:
        return None
    for first, some in rows_at_a_time(rows):
        source = some.ctypes.data, some.strides[0], len(some)
        target = panels.ctypes.data + first * width * size, panels.strides[1]
        finite &= bool(pack_panels(*source, *target, rows.shape[1], columns, width, size))
    return finite


def _pieces(n_filters: int, columns: int, width: int, depth: int) -> Iterator[tuple[int, int]]:
    """The first and the last of the filters that are copied at a time: whole panels, so that memory
    is written, and its pages come, from one end to the other."""
    most = max(1, UNINTERRUPTED_ELEMENTS // depth)
    step = most // columns * columns if columns <= most else max(width, most // width * width)
    for start in range(0, n_filters, max(columns, step)):
        end = min(start + max(columns, step), n_filters)
        for first in range(start, end, step):
            yield first, min(first + step, end)


def _put(panels: np.ndarray, rows: np.ndarray, columns: int) -> None:
    """Store rows (N, filters) into panels (times, panels, N, width), so many columns at a time."""
    times, last = divmod(rows.shape[1], columns)
    if times:
        _put_evenly(panels[:times], rows[:, : times * columns].reshape(len(rows), times, columns))
    if last:
        _put_evenly(panels[times:], rows[:, times * columns :].reshape(len(rows), 1, last))


def _put_evenly(panels: np.ndarray, rows: np.ndarray) -> None:
    """Store rows (N, times, columns) into panels (times, panels, N, width), filled with zeros."""
    n_rows, times, columns = rows.shape
    width = panels.shape[3]
    whole, rest = divmod(columns, width)
    split = rows[:, :, : columns - rest].reshape(n_rows, times, whole, width)
    panels[:, :whole] = split.transpose(1, 2, 0, 3)
    if rest:
        panels[:, whole, :, :rest] = rows[:, :, columns - rest :].transpose(1, 0, 2)
        panels[:, whole, :, rest:] = 0


def _winograd_products(filters: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of G g G^T, one for each channel of each position, some at a time, and the number of the
    first.  Computed in float64, without BLAS: the bits are the same at all levels.
    """
    channels, n_filters = filters.shape[2:]
    step = max(1, TRANSFORMED_ELEMENTS // n_filters)
    for channel in range(0, channels, step):
        taps = filters[:, :, channel : channel + step].astype(np.float64)
        for i, kernel_row in enumerate(_winograd_transform(list(taps))):
            for j, values in enumerate(_winograd_transform(list(kernel_row))):
                yield (i * INPUT + j) * channels + channel, values


def _winograd_transform(taps: list[np.ndarray]) -> list[np.ndarray]:
    """G g (see `aotconv._kernels.winograd`), of three taps."""
    a, b = POINTS
    transformed = [taps[0] * (1 / (a * a * b * b))]
    for p, q in ((a, b), (b, a)):
        scale = 1 / (2 * p * p * (p * p - q * q))
        even, odd = taps[0] + taps[2] * (p * p), taps[1] * p
        transformed += [(even + odd) * scale, (even - odd) * scale]
    return [*transformed, taps[2]]


def _repeated(
    packing: Repeated,
    biases: np.ndarray,
    rows: np.ndarray,
    shape: tuple[int, ...],
    memory: np.ndarray | None,
) -> tuple[np.ndarray, int, bool]:
    memory, lead = _memory(packing.zeros, (1 + len(rows)) * packing.width, biases.dtype, memory)
    columns = np.arange(packing.width) % shape[-1]
    target = memory[lead:].reshape(-1, packing.width)
    target[0] = biases[0, columns]
    for first, values in rows_at_a_time(rows):
        target[1 + first : 1 + first + len(values)] = values[:, columns]
    return memory, lead, _are_finite(rows)


def _products(
    packing: Products,
    biases: np.ndarray,
    rows: np.ndarray,
    shape: tuple[int, ...],
    memory: np.ndarray | None,
) -> tuple[np.ndarray, int, bool]:
    """Lane ``o * share + k`` is column o's k-th."""
    *outer, kw, channels, n_filters = shape
    kh = prod(outer)  # rows of all planes
    share, products = packing.share, kw * channels
    whole, rest = divmod(products, share)
    memory, lead = _memory(0, (1 + kh * (whole + rest)) * packing.width, biases.dtype, memory)
    vectors = memory.reshape(-1, packing.width // share, share)
    vectors[:] = 0
    vectors[0] = -0.0
    vectors[0, :n_filters, 0] = biases
    taps = vectors[1:].reshape(kh, whole + rest, *vectors.shape[1:])
    each = rows.reshape(kh, products, n_filters)
    together = each[:, : whole * share].reshape(kh, whole, share, n_filters)
    taps[:, :whole, :n_filters] = together.transpose(0, 1, 3, 2)
    taps[:, whole:, :n_filters, 0] = each[:, whole * share :]
    return memory, lead, _are_finite(rows)
