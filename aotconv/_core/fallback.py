"""The last rung: convolution by NumPy's windows and matrix products, and pools tap by tap, for all
dtypes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .._plan.activations import Activation
from .._plan.arithmetic import ceil_div
from .._plan.geometry import Axis, Geometry
from .._plan.parts import PART_BYTES, Part, cut
from .activations import activate
from .pad import places, surrounded, take, value_in
from .rounding import clipped

PART_PRODUCTS = 1 << 26  # signals wait for them; integers' take a nanosecond each


def convolve(
    geometry: Geometry,
    images: np.ndarray,
    filters: np.ndarray,
    bias: np.ndarray | None,
    out: np.ndarray,
    residual: np.ndarray | None,
    activation: Activation,
    padding_value: complex = 0,
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
            if far:
                windows = _apart(g, images, part, dtype, padding_value)
            else:
                windows = _adjoining(images, part, dtype, padding_value)
            windows = windows.reshape(-1, g.taps, g.groups, g.group_channels)
            rows = windows.transpose(2, 0, 1, 3).reshape(g.groups, -1, g.products)
            _, shape = part.geometry.shapes
            result = np.matmul(rows, matrices).transpose(1, 0, 2).reshape(shape)
            more = None if residual is None else residual[part.out]
            finish(result, bias, more, out[part.out], activation)


def finish(
    sums: np.ndarray,
    bias: np.ndarray | None,
    residual: np.ndarray | None,
    out: np.ndarray,
    activation: Activation,
) -> None:
    """Make results of sums, which are overwritten, and of a bias of their dtype."""
    if bias is not None:
        sums += bias
    if residual is not None:
        sums += residual.astype(sums.dtype)
    out[...] = activate(_fitted(sums, out.dtype), activation)


def _fitted(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """What is stored as integers of another dtype than its own: rounded and clipped."""
    if dtype.kind not in "iu" or values.dtype == dtype.newbyteorder("="):
        return values
    return clipped(values, dtype)


# Axes of windows: N, three of outputs, three of taps, C.
AXES = 1, 2, 3


def _adjoining(images: np.ndarray, part: Part, dtype: np.dtype, value: complex) -> np.ndarray:
    """The windows of a part, cut from its padded images."""
    g = part.geometry
    padded = surrounded(images[part.images], g.axes, dtype, value)
    windows = sliding_window_view(padded, [axis.extent for axis in g.axes], axis=AXES)
    every: Any = slice(None)
    outputs = (slice(None, None, axis.stride) for axis in g.axes)
    taps = (slice(None, None, axis.dilation) for axis in g.axes)
    return np.moveaxis(windows[(every, *outputs, every, *taps)], 4, -1)


def _apart(
    geometry: Geometry, images: np.ndarray, part: Part, dtype: np.dtype, value: complex
) -> np.ndarray:
    """The windows of a part, pixel by pixel: however large the strides, dilations and padding are,
    no more is allocated than they hold."""
    n, *outputs = part.out
    taken, sizes = [], []
    for axis, outs in zip(geometry.axes, outputs, strict=True):
        first = np.arange(outs.start, outs.stop) * axis.stride - axis.before
        taps = np.add.outer(first, np.arange(axis.kernel) * axis.dilation).ravel()
        taken.append(places(taps, axis))
        sizes += [len(first), axis.kernel]
    n_taps = [sizes[i] * sizes[i + 1] for i in (0, 2, 4)]
    shape = n.stop - n.start, *n_taps, geometry.c
    windows = np.full(shape, value_in(value, images.dtype, dtype), dtype)
    take(images[n], taken, windows)
    windows = windows.reshape(len(windows), *sizes, geometry.c)
    return windows.transpose(0, 1, 3, 5, 2, 4, 6, 7)


def add_filter_gradient(
    geometry: Geometry, images: np.ndarray, gradient: np.ndarray, output_gradient: np.ndarray, _
) -> None:
    """Add to a gradient of filters (KD, KH, KW, C / groups, O) the products of images (N, D, H, W,
    C) and an output gradient (N, OD, OH, OW, O), all of one dtype, tap by tap."""
    g = geometry
    into = gradient.reshape(*gradient.shape[:4], g.groups, g.group_filters)
    for tap in np.ndindex(*gradient.shape[:3]):
        each = zip(g.axes, tap, strict=True)
        inside = [under_tap(axis, k, slice(0, axis.out)) for axis, k in each]
        pixels = images[(slice(None), *(pixel for pixel, _ in inside))]
        outputs = output_gradient[(slice(None), *(output for _, output in inside))]
        left = pixels.reshape(-1, g.groups, g.group_channels).transpose(1, 2, 0)
        right = outputs.reshape(-1, g.groups, g.group_filters).transpose(1, 0, 2)
        into[tap] += np.matmul(left, right).transpose(1, 0, 2)


def under_tap(axis: Axis, tap: int, outs: slice) -> tuple[slice, slice]:
    """The pixels under a tap of some outputs of one axis, as far as they are inside, and the places
    of those outputs among these."""
    shift = tap * axis.dilation - axis.before
    first = max(outs.start, ceil_div(max(-shift, 0), axis.stride))
    last = min(outs.stop, ceil_div(max(axis.size - shift, 0), axis.stride))
    if first >= last:
        return slice(0, 0), slice(0, 0)
    start, stop = first * axis.stride + shift, (last - 1) * axis.stride + shift + 1
    return slice(start, stop, axis.stride), slice(first - outs.start, last - outs.start)


def fill(
    bias: np.ndarray | None,
    out: np.ndarray,
    residual: np.ndarray | None,
    activation: Activation,
    dtype: str,
) -> None:
    """What a convolution without channels gives, computed in a dtype: the bias, or zeros, and the
    residual."""
    with np.errstate(all="ignore"):
        total = np.zeros(1, dtype) if bias is None else bias.astype(dtype)
        if residual is not None:
            total = np.add(total, residual, dtype=dtype, casting="same_kind")
        out[...] = _fitted(total, out.dtype)
        activate(out, activation)
