"""How sums become integers: truncated as C truncates them, or rounded and clipped."""

from __future__ import annotations

from typing import Any

import numpy as np

from .copies import convert, pieces


def put(values: np.ndarray, out: np.ndarray, saturate: bool) -> None:
    """Copy an array into another one, what is to become integers as `store` does, in pieces."""
    with np.errstate(all="ignore"):
        if out.dtype.kind not in "iu" or (values.dtype.kind in "iu" and not saturate):
            convert(values, out)
            return
        for piece in pieces(out.shape):
            at: Any = (*piece, ...)  # an array even where there are no axes
            store(values[at], out[at], saturate)


def store(values: np.ndarray, out: np.ndarray, saturate: bool, by_size: bool = False) -> None:
    """Put floats, or whole numbers to be clipped, into an array of any real dtype.

    `by_size`: whether what is below zero is truncated as uint64 by its absolute value.
    """
    if out.dtype.kind not in "iu":
        out[...] = values
    elif saturate:
        out[...] = clipped(values, out.dtype)
    else:
        out[...] = _truncated(values.astype(np.float64, copy=False), out.dtype, by_size)


def clipped(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Whole numbers, of two that are as near the even one; NaN is 0."""
    limits = np.iinfo(dtype)
    if values.dtype.kind in "iu":
        own = np.iinfo(values.dtype)
        low, high = max(limits.min, own.min), min(limits.max, own.max)
        return np.clip(values, low, high).astype(dtype)
    whole = np.rint(values.astype(np.float64, copy=False))
    least, most = float(limits.min), float(limits.max)  # of 64 bits `most` is one too many
    result = np.where((whole > least) & (whole < most), whole, 0).astype(dtype)
    result[whole >= most] = limits.max
    result[whole <= least] = limits.min
    return result


def _truncated(values: np.ndarray, dtype: np.dtype, by_size: bool) -> np.ndarray:
    """What x86-64's instructions make of numbers, in C and in SciPy: those beyond 32 bits, or of
    larger types 64, are the lowest number, of which small types keep the last bits."""
    if dtype.kind == "u" and dtype.itemsize == 8:
        if by_size:
            return np.where(values > -1, _unsigned(values), -_unsigned(-values))
        return _unsigned(values)
    is_short = dtype.itemsize < 4 or (dtype.kind == "i" and dtype.itemsize == 4)
    return _signed(values, np.int32 if is_short else np.int64).astype(dtype)


def _signed(values: np.ndarray, dtype: type) -> np.ndarray:
    limit = -float(np.iinfo(dtype).min)
    whole = np.trunc(values)
    return np.where((whole >= -limit) & (whole < limit), whole, -limit).astype(dtype)


def _unsigned(values: np.ndarray) -> np.ndarray:
    """The upper half of the numbers as the lower one, with the highest bit turned."""
    is_high = values >= 2.0**63
    low = _signed(np.where(is_high, values - 2.0**63, values), np.int64).view(np.uint64)
    return low ^ (is_high.astype(np.uint64) << np.uint64(63))
