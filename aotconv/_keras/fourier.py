"""Fourier transforms of Keras, whose complex numbers are pairs of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .layers import tensor


def fft(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Along the last axis."""
    return _transformed(np.fft.fft, x)


def fft2(x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Along the last two axes."""
    return _transformed(np.fft.fft2, x)


def _transformed(transform: Callable[..., np.ndarray], x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Real and imaginary parts, of the dtype of those in `x`."""
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError(f"x must be a pair of arrays, real and imaginary parts, got {x!r}")
    real, imaginary = map(tensor, x)
    if real.shape != imaginary.shape:
        raise ValueError(
            "real and imaginary parts, x[0] and x[1], must have the same shape, "
            f"got {real.shape} and {imaginary.shape}"
        )
    dtype = np.result_type(real, imaginary)
    if not np.issubdtype(dtype, np.floating):
        raise ValueError(
            f"x must be a pair of arrays of floats, got {real.dtype}, {imaginary.dtype}"
        )
    result = transform(real + 1j * imaginary)
    return result.real.astype(dtype), result.imag.astype(dtype)
