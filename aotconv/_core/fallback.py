"""The last rung: convolution by NumPy's windows and matrix products, and pools tap by tap, for all
dtypes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .._plan.arithmetic import ceil_div
from .._plan.elements import HALVES, name_of
from .._plan.geometry import Axis, Geometry
from .._plan.parts import PART_BYTES, Part, cut
from .._plan.pool import AVERAGE, OPERATIONS
from .pack import convert

PART_PRODUCTS = 1 << 26  # signals wait for them; integers' take a nanosecond each


def convolve(
    geometry: Geometry,
    images: np.ndarray,
    filters: np.ndarray,
    bias: np.ndarray | None,
    out: np.ndarray,
    residual: np.ndarray | None,
    activation: str | None,
) -> None:
    """Convolve images (N, D, H, W, C) into `out` (N, OD, OH, OW, O), in the dtype of `filters`.

    The windows of a part of the outputs are copied out for the product.
    """
    g, dtype = geometry, filters.dtype
    # (.., C / groups, O) -> (groups, taps * C / groups, O / groups)
    matrices = filters.reshape(g.products, g.groups, g.group_filters).transpose(1, 0, 2)
    window = g.taps * g.c * dtype.itemsize

    def fits(*outs: int) -> bool:
        pixels = prod(outs)
        return pixels * window <= PART_BYTES and pixels * g.o * g.products <= PART_PRODUCTS

    # Whether windows hold fewer pixels than the padded images, most of which no tap reads.
    far = prod(axis.padded for axis in g.axes) > prod(axis.out * axis.kernel for axis in g.axes)
    with np.errstate(all="ignore"):
        if bias is not None:
            bias = bias.astype(dtype)  # copied: `out` may lie on it
        for part in cut(g, fits):
            windows = _apart(g, images, part, dtype) if far else _adjoining(images, part, dtype)
            windows = windows.reshape(-1, g.taps, g.groups, g.group_channels)
            rows = windows.transpose(2, 0, 1, 3).reshape(g.groups, -1, g.products)
            _, shape = part.geometry.shapes
            result = np.matmul(rows, matrices).transpose(1, 0, 2).reshape(shape)
            if bias is not None:
                result += bias
            if residual is not None:
                result += residual[part.out].astype(dtype)
            out[part.out] = activate(result, activation)


# Axes of windows: N, three of outputs, three of taps, C.
AXES = 1, 2, 3


def _adjoining(images: np.ndarray, part: Part, dtype: np.dtype) -> np.ndarray:
    """The windows of a part, cut from its padded images."""
    g = part.geometry
    padded = np.zeros((g.n, *(axis.padded for axis in g.axes), g.c), dtype)
    inside = (slice(axis.before, axis.before + axis.size) for axis in g.axes)
    padded[(slice(None), *inside)] = images[part.images]
    windows = sliding_window_view(padded, [axis.extent for axis in g.axes], axis=AXES)
    every: Any = slice(None)
    outputs = (slice(None, None, axis.stride) for axis in g.axes)
    taps = (slice(None, None, axis.dilation) for axis in g.axes)
    return np.moveaxis(windows[(every, *outputs, every, *taps)], 4, -1)


def _apart(geometry: Geometry, images: np.ndarray, part: Part, dtype: np.dtype) -> np.ndarray:
    """The windows of a part, pixel by pixel: however large the strides, dilations and padding are,
    no more is allocated than they hold."""
    n, *outputs = part.out
    taken, places, sizes = [], [], []
    for axis, outs in zip(geometry.axes, outputs, strict=True):
        first = np.arange(outs.start, outs.stop) * axis.stride - axis.before
        taps = np.add.outer(first, np.arange(axis.kernel) * axis.dilation).ravel()
        inside = np.flatnonzero((taps >= 0) & (taps < axis.size))
        taken.append(taps[inside])
        places.append(inside)
        sizes += [len(first), axis.kernel]
    n_taps = [sizes[i] * sizes[i + 1] for i in (0, 2, 4)]
    windows = np.zeros((n.stop - n.start, *n_taps, geometry.c), dtype)
    z, y, x = np.ix_(*taken)
    to_z, to_y, to_x = np.ix_(*places)
    windows[:, to_z, to_y, to_x] = images[n][:, z, y, x]
    windows = windows.reshape(len(windows), *sizes, geometry.c)
    return windows.transpose(0, 1, 3, 5, 2, 4, 6, 7)


def fill(
    bias: np.ndarray | None,
    out: np.ndarray,
    residual: np.ndarray | None,
    activation: str | None,
    dtype: str,
) -> None:
    """What a convolution without channels gives, computed in a dtype: the bias, or zeros, and the
    residual."""
    with np.errstate(all="ignore"):
        out[...] = 0 if bias is None else bias
        if residual is not None:
            np.add(out, residual, out=out, dtype=dtype, casting="same_kind")
        activate(out, activation)


# What each of `_plan.activations` keeps values between; None: of no end.
LIMITS: dict[str | None, tuple[float | None, float | None]] = {
    None: (None, None),
    "relu": (0, None),
    "relu6": (0, 6),
}


def activate(array: np.ndarray, activation: str | None) -> np.ndarray:
    """Apply an activation in place."""
    lower, upper = LIMITS[activation]
    if lower is not None:
        np.maximum(array, lower, out=array)
    if upper is not None:
        np.minimum(array, upper, out=array)
    return array


def pool(
    geometry: Geometry,
    operation: str,
    counted: Sequence[tuple[int, int]],
    steps: Sequence[int],
    images: np.ndarray,
    out: np.ndarray,
    indices: np.ndarray | None = None,
) -> None:
    """Pool images (N, D, H, W, C) into `out` (N, OD, OH, OW, C), tap by tap in the order of all.

    Parameters
    ----------
    operation, counted, steps
        As of `_plan.pool.Pool`.
    """
    kernel = geometry.taps * geometry.c
    for part in cut(geometry, lambda *outs: prod(outs) * kernel <= PART_PRODUCTS // 8):
        n, *spatial = part.out
        target = None if indices is None else indices[part.out]
        _pool_part(geometry, operation, counted, steps, images[n], spatial, out[part.out], target)


def _pool_part(geometry, operation, counted, steps, images, spatial, out, indices) -> None:
    """The outputs of some slices of spatial axes."""
    is_average = operation == OPERATIONS[AVERAGE]
    dtype = np.dtype(np.float32) if name_of(out.dtype) in HALVES else out.dtype.newbyteorder("=")
    start = -0.0 if is_average else -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
    result = np.full(out.shape, start, dtype)
    places = np.full(out.shape, -1, np.int64)
    axes = list(zip(geometry.axes, spatial, strict=True))
    with np.errstate(all="ignore"):
        for at, to, place in _taps(axes, steps):
            taken, held = images[(slice(None), *at)].astype(dtype), result[(slice(None), *to)]
            if is_average:
                held += taken
                continue
            where = places[(slice(None), *to)]
            is_new = (taken > held) | ((taken != taken) & (held == held)) | (where < 0)
            np.copyto(held, taken, where=is_new)
            np.copyto(where, place[..., np.newaxis], where=is_new)
        if is_average:
            z, y, x = (
                _counts(*each) for each in zip(*zip(*axes, strict=True), counted, strict=True)
            )
            result /= (z[:, None, None] * y[:, None] * x)[..., np.newaxis].astype(dtype)
        convert(result, out)
        if indices is not None:
            convert(places, indices)


def _taps(axes, steps) -> Iterator[tuple]:
    """Of each tap that lies inside the images: slices of these and of the outputs that it belongs
    to, and its places."""
    every = [list(_taps_along(axis, outs)) for axis, outs in axes]
    for taps in product(*every):
        at, to = zip(*taps, strict=True)
        z, y, x = (
            step * np.arange(each.start, each.stop, each.step)
            for step, each in zip(steps, at, strict=True)
        )
        yield at, to, z[:, None, None] + y[:, None] + x


def _taps_along(axis: Axis, outs: slice) -> Iterator[tuple[slice, slice]]:
    for tap in range(axis.kernel):
        begin = tap * axis.dilation - axis.before
        first = max(outs.start, ceil_div(max(-begin, 0), axis.stride))
        last = min(outs.stop, ceil_div(max(axis.size - begin, 0), axis.stride))
        if first < last:
            at = slice(
                first * axis.stride + begin, (last - 1) * axis.stride + begin + 1, axis.stride
            )
            yield at, slice(first - outs.start, last - outs.start)


def _counts(axis: Axis, outs: slice, counted: tuple[int, int]) -> np.ndarray:
    """How many taps of each window are counted along an axis."""
    low, high = counted
    begin = np.arange(outs.start, outs.stop) * axis.stride - axis.before
    first, last = (
        np.clip(-((begin - end) // axis.dilation), 0, axis.kernel) for end in (low, high)
    )
    return last - first
