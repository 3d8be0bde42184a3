"""Weights put where a family says, in the dtype of its kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from .._plan.arithmetic import ceil_div, round_up
from .._plan.family import ALIGNMENT, Packing, Panels, Products, Repeated, Triple
from .._plan.parts import Taps
from .._plan.taps import Listed, list_bytes
from .._plan.winograd import INPUT
from .copies import UNINTERRUPTED_ELEMENTS, copied, pieces, rows_at_a_time
from .panels import Filling, fill, fill_by_numpy, fillings, winograd_products

PAGE = 4096  # bytes, at least


class Packed(NamedTuple):
    """Weights in a kernel's own order."""

    address: int  # aligned to ALIGNMENT
    offset: int  # bytes from there, where the zeros are, to the weights
    memory: np.ndarray  # keeps them alive
    finite: bool  # but for the bias


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
    biases = np.zeros((1, filters.shape[-1]), dtype)
    if bias is not None:
        biases[:] = bias
    store = {Panels: _panels, Repeated: _repeated, Products: _products}[type(packing)]
    memory, lead, finite = store(packing, biases, filters, memory)  # type: ignore[operator]
    return Packed(memory.ctypes.data, lead * memory.itemsize, memory, finite)


class Packer:
    """What packs some taps of filters of one shape and dtype, and a bias of one dtype or none: the
    first time into new memory, then into the same."""

    def __init__(self, packing: Packing, dtype: str, taps: Taps) -> None:
        self._packing, self._dtype, self._taps = packing, dtype, taps
        self._packed: Packed | None = None
        self._laid: list[tuple] = []  # how the last weights lay that packed into the same memory
        # What compiled code is told of such filters and such a bias; None where NumPy packs them.
        self._fillings: list[list[Filling]] | None = None

    def __call__(self, filters: np.ndarray, bias: np.ndarray | None) -> Packed:
        if self._packed is None:
            self._packed = pack(self._packing, self._dtype, under(filters, self._taps), bias)
            return self._packed
        arrays = (filters,) if bias is None else (filters, bias)
        laid = [(each.strides, each.flags.aligned) for each in arrays]
        if laid != self._laid:
            self._laid, self._fillings = laid, self._told(*arrays)
        if self._fillings is None:
            some, memory = under(filters, self._taps), self._packed.memory
            return pack(self._packing, self._dtype, some, bias, memory)
        of_arrays = zip(self._fillings, arrays, strict=True)
        finite, *_ = [fill(each, array.ctypes.data) for each, array in of_arrays]
        return self._packed._replace(finite=finite)

    def _told(self, filters: np.ndarray, *bias: np.ndarray) -> list[list[Filling]] | None:
        """What compiled code is told of weights that lie as these do."""
        if not isinstance(self._packing, Panels) or self._packing.winograd:
            return None
        assert self._packed is not None
        _, offset, memory, _ = self._packed
        packing, some = self._packing, under(filters, self._taps)
        panels = _as_panels(packing, memory[offset // memory.itemsize :], filters.shape[-1])
        told = []
        biases = [(panels[:, :, :1], each[np.newaxis], each) for each in bias]
        for rows, weights, array in [(panels[:, :, 1:], some, filters), *biases]:
            of_array: list[Filling] = []
            for target, columns, source in _held(packing, rows, weights):
                of_rows = fillings(target, source, columns)
                if of_rows is None:
                    return None
                first = source.ctypes.data - array.ctypes.data
                of_array += [each._replace(first=first + each.first) for each in of_rows]
            told.append(of_array)
        return told


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


def pack_list(taps: Listed, window: Triple, dtype: str) -> Packed:
    """A list of taps of a window, as compiled code wants it."""
    places = np.stack(np.unravel_index(taps.places, window), -1) if taps.places else np.empty(0)
    n_words = list_bytes(len(places)) // 8
    elements = np.array([taps.start, taps.sign, taps.divisor, *taps.weights], dtype)
    memory = _aligned(8 * n_words + elements.nbytes, np.dtype(np.uint8))
    words = memory[: 8 * n_words].view(np.int64)
    head = len(taps.singles), len(taps.pairs), int(taps.divisor != 1), int(taps.truncates)
    words[: len(head)] = head
    words[len(head) : len(head) + places.size] = places.ravel()
    memory[8 * n_words :] = elements.view(np.uint8)
    return Packed(memory.ctypes.data, 0, memory, True)


def pack_divisor(divisor: float, dtype: str) -> Packed:
    """What sums are divided by, as compiled code wants it; by 1 they are not."""
    memory = _aligned(2 * ALIGNMENT, np.dtype(np.uint8)).view(dtype)
    memory[:] = divisor
    return Packed(memory.ctypes.data, 0 if divisor == 1 else ALIGNMENT, memory, True)


def pack_numbers(numbers: Sequence[float], dtype: str) -> Packed:
    """Numbers one behind the other; of integers their low bits."""
    kind = np.dtype(dtype)
    memory = _aligned(len(numbers), kind)
    memory[:] = np.array(numbers).astype(kind)
    return Packed(memory.ctypes.data, 0, memory, True)


def _are_finite(weights: np.ndarray) -> bool:
    parts = (weights[at] for at in pieces(weights.shape))
    return all(np.isfinite(some.min()) and np.isfinite(some.max()) for some in parts)


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
    """An uninitialised array that begins at a multiple of ALIGNMENT.

    What fills it may begin everywhere at once, so its pages come before, in pieces: of 2 MiB each
    the system clears half a gigabyte in a second or two, and signals would wait.
    """
    n_bytes = size * dtype.itemsize
    memory = np.empty(n_bytes + ALIGNMENT, np.uint8)
    if memory.size > UNINTERRUPTED_ELEMENTS:
        for at in pieces(memory.shape):
            memory[at][::PAGE] = 0
    offset = -memory.ctypes.data % ALIGNMENT
    return memory[offset : offset + n_bytes].view(dtype)


def _rows(filters: np.ndarray) -> np.ndarray:
    """Filters as a matrix (N, filters), contiguous."""
    if not filters.flags.c_contiguous:
        filters = copied(filters)
    return filters.reshape(-1, filters.shape[-1])


def _panels(
    packing: Panels, biases: np.ndarray, filters: np.ndarray, memory: np.ndarray | None
) -> tuple[np.ndarray, int, bool]:
    *kernel, channels, n_filters = filters.shape
    depth = (INPUT**2 if packing.winograd else prod(kernel)) * channels
    order = np.array(packing.order, np.int32).view(biases.dtype)
    zeros = packing.zeros + _whole_lines(order.size, biases.dtype)
    padded = round_up(packing.columns, packing.width) * ceil_div(n_filters, packing.columns)
    memory, lead = _memory(zeros, (1 + depth) * padded, biases.dtype, memory)
    memory[lead - order.size : lead] = order
    panels = _as_panels(packing, memory[lead:], n_filters)
    for target, columns, some in _held(packing, panels[:, :, :1], biases):
        fill_by_numpy(target, rows_at_a_time(some), columns)
    if packing.winograd:
        products = winograd_products(_rows(filters).reshape(filters.shape))
        fill_by_numpy(panels[:, :, 1:], products, packing.columns)
        return memory, lead, _are_finite(filters)
    finite = True
    for target, columns, some in _held(packing, panels[:, :, 1:], filters):
        known = fillings(target, some, columns)
        if known is not None:
            finite &= fill(known, some.ctypes.data)
            continue
        rows = _rows(some)
        fill_by_numpy(target, rows_at_a_time(rows), columns)
        finite &= _are_finite(rows)
    return memory, lead, finite


def _held(
    packing: Panels, panels: np.ndarray, weights: np.ndarray
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Panels, the columns in them at a time, and the weights (.., filters) that they hold: all,
    and then the last columns once more where these have a panel that overlaps."""
    yield panels, packing.columns, weights
    if packing.overlap and weights.shape[-1] % packing.width:
        yield panels[:, -1:], packing.width, weights[..., -packing.width :]


def _as_panels(packing: Panels, memory: np.ndarray, n_filters: int) -> np.ndarray:
    """A view of memory as panels (times, panels, rows, width)."""
    times, a_time = ceil_div(n_filters, packing.columns), ceil_div(packing.columns, packing.width)
    return memory.reshape(times, a_time, -1, packing.width)


def _repeated(
    packing: Repeated, biases: np.ndarray, filters: np.ndarray, memory: np.ndarray | None
) -> tuple[np.ndarray, int, bool]:
    rows = _rows(filters)
    memory, lead = _memory(packing.zeros, (1 + len(rows)) * packing.width, biases.dtype, memory)
    columns = np.arange(packing.width) % filters.shape[-1]
    target = memory[lead:].reshape(-1, packing.width)
    target[0] = biases[0, columns]
    for first, values in rows_at_a_time(rows):
        target[1 + first : 1 + first + len(values)] = values[:, columns]
    return memory, lead, _are_finite(rows)


def _products(
    packing: Products, biases: np.ndarray, filters: np.ndarray, memory: np.ndarray | None
) -> tuple[np.ndarray, int, bool]:
    """Lane ``o * share + k`` is column o's k-th."""
    *outer, kw, channels, n_filters = filters.shape
    kh = prod(outer)  # rows of all planes
    share, products = packing.share, kw * channels
    whole, rest = divmod(products, share)
    memory, lead = _memory(0, (1 + kh * (whole + rest)) * packing.width, biases.dtype, memory)
    vectors = memory.reshape(-1, packing.width // share, share)
    vectors[:] = 0
    vectors[0] = -0.0
    vectors[0, :n_filters, 0] = biases
    taps = vectors[1:].reshape(kh, whole + rest, *vectors.shape[1:])
    each = _rows(filters).reshape(kh, products, n_filters)
    together = each[:, : whole * share].reshape(kh, whole, share, n_filters)
    taps[:, :whole, :n_filters] = together.transpose(0, 1, 3, 2)
    taps[:, whole:, :n_filters, 0] = each[:, whole * share :]
    return memory, lead, _are_finite(filters)
