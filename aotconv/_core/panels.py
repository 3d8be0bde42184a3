"""Weights put into panels: by compiled code, else by NumPy."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from .._plan.elements import name_of
from .._plan.panels import PANELS_FIELDS, ROW_AXES
from .._plan.registry import FLOAT_DTYPES
from .._plan.winograd import INPUT, POINTS
from .baseline import exported
from .copies import UNINTERRUPTED_ELEMENTS, pieces

TRANSFORMED_ELEMENTS = 8 << 10  # at a time: the temporaries stay in the caches


class Filling(NamedTuple):
    """Rows of panels that compiled code fills with weights that lie in a known way.

    Attributes
    ----------
    plan : int
        Address of what it is told.
    first : int
        Bytes from the weights' first element to these rows'.
    words : ndarray
        Kept alive: known by its address alone.
    """

    plan: int
    first: int
    words: np.ndarray


def fillings(panels: np.ndarray, weights: np.ndarray, columns: int) -> list[Filling] | None:
    """What fills panels (times, panels, rows, width), so many columns at a time, with weights
    (.., filters) that lie as these do; None where compiled code does not.

    Each fills so much at most that signals can wait for it.
    """
    width, size = panels.shape[3], weights.itemsize
    floats = weights.dtype == panels.dtype and name_of(weights.dtype) in FLOAT_DTYPES
    if not (floats and weights.flags.aligned and width * size % 8 == 0):
        return None
    if sys.byteorder != "little" or exported("pack_panels") is None:
        return None
    *sizes, n_filters = weights.shape
    *strides, step = weights.strides
    of_all = {"itemsize": size, "panel": panels.strides[1], "columns": columns, "width": width}
    target, made = panels.ctypes.data, []
    for piece in pieces(sizes, max(1, UNINTERRUPTED_ELEMENTS // n_filters)):
        counts = [each.stop - each.start for each in piece]
        told = {**of_all, "target": target, "filters": n_filters, "filter": step}
        for names, axis in zip(ROW_AXES, _joined(counts, strides), strict=True):
            told.update(zip(names, axis, strict=True))
        words = np.array([told[name] for name in PANELS_FIELDS], np.int64)
        first = sum(each.start * stride for each, stride in zip(piece, strides, strict=True))
        made.append(Filling(words.ctypes.data, first, words))
        target += prod(counts) * width * size
    return made


def _joined(counts: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """Sizes and strides of the same elements in the same order, along the fewest axes."""
    axes: list[tuple[int, int]] = []
    for count, stride in zip(counts, strides, strict=True):
        if axes and axes[-1][1] == count * stride:
            axes[-1] = axes[-1][0] * count, stride
        elif count > 1:
            axes.append((count, stride))
    return [(1, 0)] * (len(ROW_AXES) - len(axes)) + axes


def fill(told: Sequence[Filling], address: int) -> bool:
    """Fill panels with weights that lie as those did, the first at an address; whether all are
    finite."""
    pack_panels = exported("pack_panels")
    assert pack_panels is not None  # there are fillings
    finite = True
    for each in told:
        finite &= bool(pack_panels(each.plan, address + each.first))
    return finite


def fill_by_numpy(
    panels: np.ndarray, numbered: Iterable[tuple[int, np.ndarray]], columns: int
) -> None:
    """Fill panels (times, panels, N, width), so many columns at a time, with rows (some, filters),
    each of these with the number of its first."""
    for first, rows in numbered:
        _put(panels[:, :, first : first + len(rows)], rows, columns)


def _put(panels: np.ndarray, rows: np.ndarray, columns: int) -> None:
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


def winograd_products(filters: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of G g G^T of filters (3, 3, C, O), one for each channel of each position, some at a
    time, and the number of the first.  Computed in float64, without BLAS: the bits are the same at
    all levels.
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
