"""The last rung: convolution by NumPy's windows and matrix products, for every dtype."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .._plan.geometry import Geometry, extent
from .._plan.parts import PART_BYTES, Part, cut

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
    """Convolve images (N, H, W, C) into `out` (N, OH, OW, O), in the dtype of `filters`.

    The windows of a part of the outputs are copied out for the product.
    """
    g, dtype = geometry, filters.dtype
    # (KH, KW, C / groups, O) -> (groups, KH * KW * C / groups, O / groups)
    matrices = filters.reshape(g.depth, g.groups, g.group_filters).transpose(1, 0, 2)
    pixel = g.kh * g.kw * g.c * dtype.itemsize

    def fits(n: int, oh: int, ow: int) -> bool:
        pixels = n * oh * ow
        return pixels * pixel <= PART_BYTES and pixels * g.o * g.depth <= PART_PRODUCTS

    with np.errstate(all="ignore"):
        if bias is not None:
            bias = bias.astype(dtype)  # copied: `out` may lie on it
        for part in cut(g, fits):
            windows = _apart(g, images, part, dtype) if _far(g) else _adjoining(images, part, dtype)
            shape = windows.shape[:3]
            windows = windows.reshape(*shape, g.kh, g.kw, g.groups, g.group_channels)
            rows = windows.transpose(5, 0, 1, 2, 3, 4, 6).reshape(g.groups, -1, g.depth)
            result = np.matmul(rows, matrices)
            result = result.transpose(1, 0, 2).reshape(*shape, g.o)
            if bias is not None:
                result += bias
            if residual is not None:
                result += residual[part.out].astype(dtype)
            out[part.out] = activate(result, activation)


def _far(geometry: Geometry) -> bool:
    """Whether windows hold fewer pixels than the padded images, most of which no tap reads."""
    g = geometry
    height, width = g.h + g.top + g.bottom, g.w + g.left + g.right
    return height * width > g.oh * g.kh * g.ow * g.kw


def _adjoining(images: np.ndarray, part: Part, dtype: np.dtype) -> np.ndarray:
    """The windows (N, OH, OW, KH, KW, C) of a part, cut from its padded images."""
    b = part.geometry
    height, width = b.h + b.top + b.bottom, b.w + b.left + b.right
    padded = np.zeros((b.n, height, width, b.c), dtype)
    padded[:, b.top : b.top + b.h, b.left : b.left + b.w] = images[part.images]
    windows = sliding_window_view(padded, (extent(b.kh, b.dh), extent(b.kw, b.dw)), axis=(1, 2))
    windows = windows[:, :: b.sh, :: b.sw, :, :: b.dh, :: b.dw]
    return windows.transpose(0, 1, 2, 4, 5, 3)


def _apart(geometry: Geometry, images: np.ndarray, part: Part, dtype: np.dtype) -> np.ndarray:
    """The windows (N, OH, OW, KH, KW, C) of a part, pixel by pixel: however large the strides,
    dilations and padding are, no more is allocated than they hold."""
    g, (n, y, x) = geometry, part.out

    def taps(outputs: slice, stride: int, kernel: int, dilation: int, before: int) -> np.ndarray:
        first = np.arange(outputs.start, outputs.stop) * stride - before
        return np.add.outer(first, np.arange(kernel) * dilation).ravel()

    rows, columns = taps(y, g.sh, g.kh, g.dh, g.top), taps(x, g.sw, g.kw, g.dw, g.left)
    windows = np.zeros((n.stop - n.start, len(rows), len(columns), g.c), dtype)
    ys, xs = (np.flatnonzero((at >= 0) & (at < size)) for at, size in ((rows, g.h), (columns, g.w)))
    windows[:, ys[:, None], xs] = images[n][:, rows[ys][:, None], columns[xs]]
    windows = windows.reshape(len(windows), -1, g.kh, x.stop - x.start, g.kw, g.c)
    return windows.transpose(0, 1, 3, 2, 4, 5)


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
