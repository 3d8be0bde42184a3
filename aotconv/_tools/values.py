"""Numbers that arrays of what is timed hold."""

from __future__ import annotations

from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import spectral
from .._plan.spectral import MOST_ELEMENTS


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Normal floats, or integers of up to 16 bits."""
    if dtype.kind not in "iu":
        return rng.standard_normal(shape).astype(dtype)
    limits = np.iinfo(dtype if dtype.itemsize < 4 else f"{dtype.kind}2")
    return rng.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)


def unwritten(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array that no result is like."""
    return np.full(shape, np.iinfo(dtype).max if dtype.kind in "iu" else np.nan, dtype)


def rounding(dtype: np.dtype[Any], sums: str) -> float:
    """By how much of itself a sum is rounded in a dtype, if that is narrower."""
    if dtype.kind in "iu" or dtype.itemsize >= np.dtype(sums).itemsize:
        return 0.0
    return float(np.finfo(dtype).eps) / 2


def spectral_bound(
    array: NDArray[Any], taps: int, norm: float, sums: str, channels: int = 1
) -> float:
    """By how much sums by Fourier transforms may err, under windows of so many taps and a norm, of
    sections in which elements are at most twice as large as in all of the array."""
    elements = min(max(MOST_ELEMENTS, 4 * taps * channels), 8 * array.size)
    typical = float(np.sqrt(np.mean(np.square(np.abs(array), dtype=np.float64))))
    units = spectral.ERROR * log2(2 * elements) + spectral.ERROR_OF_CHANNEL * channels
    return float(np.finfo(sums).eps) * units * 2 * typical * elements**0.5 * norm
