"""The last rung: convolution by NumPy's windows and matrix products, for every dtype."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .blocks import BLOCK_BYTES, in_bytes, split
from .geometry import Geometry, extent


def convolve(
    geometry: Geometry,
    images: np.ndarray,
    filters: np.ndarray,
    bias: np.ndarray | None,
    out: np.ndarray,
    residual: np.ndarray | None,
    activation: str | None,
) -> None:
    """Convolve images (N, H, W, C) into `out` (N, OH, OW, O), in the dtype of `filters`.

    The windows of a block are copied out for the product, so blocks are smaller by the kernel.
    """
    g, dtype = geometry, filters.dtype
    # (KH, KW, C / groups, O) -> (groups, KH * KW * C / groups, O / groups)
    matrices = filters.reshape(g.depth, g.groups, g.group_filters).transpose(1, 0, 2)
    if bias is not None:
        bias = bias.astype(dtype)  # copied: `out` may lie on it
    for block in split(g, in_bytes(g, dtype.itemsize, BLOCK_BYTES // (g.kh * g.kw))):
        b = block.geometry
        height, width = b.h + b.top + b.bottom, b.w + b.left + b.right
        padded = np.zeros((b.n, height, width, b.c), dtype)
        padded[:, b.top : b.top + b.h, b.left : b.left + b.w] = images[block.images]
        windows = sliding_window_view(padded, (extent(g.kh, g.dh), extent(g.kw, g.dw)), axis=(1, 2))
        windows = windows[:, :: g.sh, :: g.sw, :, :: g.dh, :: g.dw]
        windows = windows.reshape(b.n, b.oh, b.ow, g.groups, g.group_channels, g.kh, g.kw)
        rows = windows.transpose(3, 0, 1, 2, 5, 6, 4).reshape(g.groups, -1, g.depth)
        with np.errstate(over="ignore", invalid="ignore"):
            result = np.matmul(rows, matrices)
            result = result.transpose(1, 0, 2).reshape(b.n, b.oh, b.ow, g.o)
            if bias is not None:
                result += bias
            if residual is not None:
                result += residual[block.out].astype(dtype)
            out[block.out] = activate(result, activation)


def fill(
    bias: np.ndarray | None,
    out: np.ndarray,
    residual: np.ndarray | None,
    activation: str | None,
    dtype: np.dtype,
) -> None:
    """What a convolution without channels gives: the bias, or zeros, and the residual."""
    out[...] = 0 if bias is None else bias
    if residual is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            np.add(out, residual, out=out, dtype=dtype, casting="same_kind")
    activate(out, activation)


def activate(array: np.ndarray, activation: str | None) -> np.ndarray:
    """Apply an activation in place."""
    if activation is not None:
        np.maximum(array, 0, out=array)
    if activation == "relu6":
        np.minimum(array, 6, out=array)
    return array
