"""What a result is computed in, by its dtype: floats by kernels of their own or of wider floats,
complex numbers as pairs of channels, integers by floats where that is exact, else by integers.
"""

from __future__ import annotations

import functools

import numpy as np

from .._plan.elements import CLIPPED, HALVES, PARTS_OF_COMPLEX, converts, name_of
from .._plan.registry import INTEGER_DTYPES, ITEMSIZES
from .copies import rows_at_a_time

# Whole numbers below these are exact in sums, and made integers by `_kernels.simd.to_integers`.
EXACT = {"float32": 2.0**24, "float64": 2.0**51}
UNWRAPPED = 2.0**62  # below this no sum of int64 wraps, though the bound is rounded


def native_name(dtype: np.dtype) -> str:
    return name_of(dtype if dtype.isnative else dtype.newbyteorder("="))


class Reach:
    """How large the sums of a layer of integers can be; looked at when it is first asked."""

    def __init__(self, filters: np.ndarray, bias: np.ndarray | None) -> None:
        self._filters, self._bias = filters, bias

    def of(self, images: np.dtype, residual: np.dtype | None) -> float:
        """No sum of images and residuals of these dtypes is larger."""
        factor, term = self._weights
        return largest(images) * factor + term + (0.0 if residual is None else largest(residual))

    @functools.cached_property
    def _weights(self) -> tuple[float, float]:
        """The largest sum of a filter's absolute values, and the largest bias."""
        n_filters = self._filters.shape[-1]
        sums = np.zeros(n_filters)
        if self._filters.size:
            rows = self._filters.reshape(-1, n_filters)
            for _, some in rows_at_a_time(rows):
                sums += np.abs(some, dtype=np.float64).sum(0)
        bias = np.zeros(1) if self._bias is None else np.abs(self._bias, dtype=np.float64)
        return float(sums.max(initial=0)), float(bias.max(initial=0))


def largest(dtype: np.dtype) -> float:
    """The largest absolute value of integers."""
    info = np.iinfo(dtype)
    return float(max(-info.min, info.max))


def floats_in(name: str) -> str:
    """The dtype of the kernels that compute floats, or parts of complex numbers, of a dtype."""
    return "float32" if name in HALVES else PARTS_OF_COMPLEX.get(name, name)


def computed_in(result: np.dtype, images: np.dtype, residual: np.dtype | None, reach: Reach) -> str:
    """The dtype of the kernels that compute a result of some dtype; integers wrap."""
    if result.kind in "iu":
        return _exact(reach.of(images, residual)) or _wrapped_in(result)
    return floats_in(native_name(result))


def clipped_in(
    result: np.dtype,
    images: np.dtype,
    weights: np.dtype,
    residual: np.dtype | None,
    reach: Reach,
) -> str:
    """The dtype of the kernels that compute integers that are clipped: float64 where sums of
    integers may be inexact."""
    operands = [each for each in (images, weights, residual) if each is not None]
    if all(each.kind in "iu" for each in operands):
        most = reach.of(images, residual)
        computed = _exact(most) or ("int64" if most < UNWRAPPED else "float64")
    else:
        common = np.result_type(*operands)
        computed = "float32" if common.itemsize <= np.dtype(np.float32).itemsize else "float64"
    return computed if converts(computed, CLIPPED[native_name(result)]) else "float64"


def products_in(result: np.dtype, factors: tuple[np.dtype, np.dtype], terms: int) -> str:
    """The dtype of the kernels that sum so many products of numbers of two dtypes."""
    if result.kind in "iu":
        most = float(terms) * largest(factors[0]) * largest(factors[1])
        return _exact(most) or _wrapped_in(result)
    return floats_in(native_name(result))


def _wrapped_in(result: np.dtype) -> str:
    """The integers whose sums have the low bits of those of a result."""
    return next(name for name in INTEGER_DTYPES if result.itemsize <= ITEMSIZES[name])


def _exact(largest: float) -> str | None:
    """The floats that hold all sums that are no larger; None: none of them."""
    return next((floats for floats, below in EXACT.items() if largest < below), None)


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
