"""What a result is computed in, by its dtype: floats by kernels of their own or of wider floats,
complex numbers as pairs of channels, integers by floats where that is exact.
"""

from __future__ import annotations

import numpy as np

from .._plan.elements import HALVES, PARTS_OF_COMPLEX

# Whole numbers below these are exact in sums, and stored as integers, by `_kernels.elements`.
EXACT = {"float32": 2.0**24, "float64": 2.0**51}


def native_name(dtype: np.dtype) -> str:
    return dtype.newbyteorder("=").name


class Reach:
    """How large the sums of a layer of integers can be."""

    def __init__(self, filters: np.ndarray, bias: np.ndarray | None) -> None:
        self._is_whole = filters.dtype.kind in "iu" and (bias is None or bias.dtype.kind in "iu")
        if self._is_whole:
            axes = tuple(range(filters.ndim - 1))
            self._factor = np.abs(filters, dtype=np.float64).sum(axes).max(initial=0)
            self._term = 0 if bias is None else np.abs(bias, dtype=np.float64).max(initial=0)

    def of(self, images: np.dtype, residual: np.dtype | None) -> float:
        """No sum of images and residuals of these dtypes is larger."""
        more = 0.0 if residual is None else _largest(residual)
        return _largest(images) * float(self._factor) + float(self._term) + more


def _largest(dtype: np.dtype) -> float:
    info = np.iinfo(dtype)
    return float(max(-info.min, info.max))


def computed_in(result: np.dtype, images: np.dtype, residual: np.dtype | None, reach: Reach) -> str:
    """The dtype of the kernels that compute a result of some dtype."""
    name = native_name(result)
    if name in HALVES:
        return "float32"
    if name in PARTS_OF_COMPLEX:
        return PARTS_OF_COMPLEX[name]
    if result.kind in "iu":
        largest = reach.of(images, residual)
        return next((floats for floats, below in EXACT.items() if largest < below), name)
    return name


def as_reals(filters: np.ndarray, bias: np.ndarray | None, pairs: bool):
    """The filters and the bias that compute complex numbers as real ones, whose real and imaginary
    parts are neighbouring channels.

    Parameters
    ----------
    filters, bias
        Real or complex, (.., C / groups, O) and (O,).
    pairs : bool
        Whether the images' channels are pairs, too.
    """
    *kernel, channels, n_filters = filters.shape
    parts = 2 if pairs else 1
    reals = np.empty((*kernel, channels, parts, n_filters, 2), filters.real.dtype)
    reals[..., 0, :, 0], reals[..., 0, :, 1] = filters.real, filters.imag
    if pairs:
        reals[..., 1, :, 0], reals[..., 1, :, 1] = -filters.imag, filters.real
    if bias is not None:
        bias = np.stack([bias.real, bias.imag], -1).ravel()
    return reals.reshape(*kernel, channels * parts, n_filters * 2), bias
