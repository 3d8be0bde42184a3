"""The last rung: convolution by NumPy's windows and matrix products, for every dtype."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .._plan.geometry import Geometry
from .._plan.parts import PART_BYTES, Part, cut
from .pad import places, surrounded, take, value_in

PART_PRODUCTS = 1 << 26  # signals wait for them; integers' take a nanosecond each


def convolve(
    geometry: Geometry,
    images: np.ndarray,
    filters: np.ndarray,
    bias: np.ndarray | None,
    out: np.ndarray,
    residual: np.ndarray | None,
    activation: str | None,
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
            if bias is not None:
                result += bias
            if residual is not None:
                result += residual[part.out].astype(dtype)
            out[part.out] = activate(result, activation)


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
