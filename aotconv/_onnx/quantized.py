"""Convolution of quantized images: ConvInteger and QLinearConv.

Sums of ``(x - x_zero) * (w - w_zero)`` are those of ``x * (w - w_zero)``, images padded with
x_zero, less x_zero times the sum of a filter: so images are read as they are, 8 bits each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .convolution import FILTER_FORMATS, Conv, layer_of
from .operator import Operator, channels_first, channels_last

BYTES = (np.dtype(np.int8), np.dtype(np.uint8))
EXACT = 1 << 24  # in float32 all integers up to here are


class Weights(NamedTuple):
    """What a layer is made of."""

    filters: np.ndarray  # (O, C / groups, spatial axes)
    image_zero: np.ndarray
    filter_zero: np.ndarray | None
    bias: np.ndarray | None

    def key(self) -> list[Any]:
        """What tells these from others; they may have been changed in place."""
        return [each if each is None else (each.dtype, each.shape, each.tobytes()) for each in self]


class QuantizedConvolution(Operator):
    """What both have in common: exact sums of integers."""

    as_floats = False  # whether sums may be of float32, where none can be inexact

    _kept: tuple[Any, Any] = (None, None)  # what tells weights from others, and a layer of them

    def sums(self, x: np.ndarray, weights: Weights, attributes: dict[str, Any]) -> np.ndarray:
        """Sums, (N, spatial axes, O); of int32, which wrap, or of float32."""
        if x.dtype not in BYTES or weights.filters.dtype not in BYTES:
            raise TypeError(
                f"x of {x.dtype} and w of {weights.filters.dtype}; int8 or uint8 are expected"
            )
        if x.ndim != weights.filters.ndim:
            raise ValueError(f"x of shape {x.shape} and w of shape {weights.filters.shape}")
        key, kept = weights.key(), self._kept
        if kept[0] != key or self.has_linked_attribute:
            kept = self._kept = key, _layer(weights, self.as_floats, attributes)
        return kept[1](channels_last(x))


def _layer(
    weights: Weights,
    as_floats: bool,
    attributes: dict[str, Any],
) -> Any:
    """The layer whose results are the sums."""
    filters, image_zero, filter_zero, bias = weights
    rank = filters.ndim - 2
    if rank not in FILTER_FORMATS:
        raise ValueError(f"w of shape {filters.shape}, where 1 to 3 spatial axes are expected")
    kernel_shape = attributes["kernel_shape"]
    if kernel_shape and tuple(kernel_shape) != filters.shape[2:]:
        raise ValueError(f"kernel_shape {list(kernel_shape)} and w of shape {filters.shape}")
    if image_zero.size != 1:
        raise ValueError(f"x_zero_point of shape {image_zero.shape}, where a scalar is expected")
    if filter_zero is not None and filter_zero.any():
        zeros = _per_filter("w_zero_point", filter_zero, len(filters))
        filters = np.subtract(filters, zeros.reshape(-1, *[1] * (rank + 1)), dtype=np.int16)
    zero = int(image_zero.item())
    axes = tuple(range(1, rank + 2))
    sums = filters.sum(axis=axes, dtype=np.int64)
    shift = (0 if bias is None else bias) - zero * sums
    largest = 255 * np.abs(filters, dtype=np.int16).sum(axis=axes, dtype=np.int64) + np.abs(shift)
    exact = as_floats and bool((largest < EXACT).all())
    dtype = np.float32 if exact else np.int32
    words = {**attributes, "padding_value": zero, "dtype": dtype}
    return layer_of(Conv.LAYERS, filters, shift.astype(dtype), **words)


def _per_filter(name: str, values: np.ndarray, filters: int) -> np.ndarray:
    """One value for all filters, or one for each."""
    if values.size not in (1, filters):
        raise ValueError(f"{name} of shape {values.shape}, where () or ({filters},) is expected")
    return values.reshape(-1)


class ConvInteger(QuantizedConvolution):
    def _run(
        self,
        x: np.ndarray,
        w: np.ndarray,
        x_zero_point: np.ndarray | None = None,
        w_zero_point: np.ndarray | None = None,
        **attributes: Any,
    ) -> tuple[np.ndarray]:
        image_zero = np.zeros((), np.int8) if x_zero_point is None else x_zero_point
        weights = Weights(w, image_zero, w_zero_point, None)
        return (channels_first(self.sums(x, weights, attributes)),)


class QLinearConv(QuantizedConvolution):
    """Sums times ``x_scale * w_scale / y_scale``, in float32, rounded half to even, and then
    shifted by y's zero point and clipped."""

    as_floats = True

    def _run(
        self,
        x: np.ndarray,
        x_scale: np.ndarray,
        x_zero_point: np.ndarray,
        w: np.ndarray,
        w_scale: np.ndarray,
        w_zero_point: np.ndarray,
        y_scale: np.ndarray,
        y_zero_point: np.ndarray,
        bias: np.ndarray | None = None,
        **attributes: Any,
    ) -> tuple[np.ndarray]:
        sums = self.sums(x, Weights(w, x_zero_point, w_zero_point, bias), attributes)
        factors = x_scale * _per_filter("w_scale", w_scale, len(w)) / y_scale
        values = sums.astype(np.float32, copy=False)
        values *= factors
        np.rint(values, out=values)
        values += y_zero_point
        limits = np.iinfo(y_zero_point.dtype)
        np.clip(values, limits.min, limits.max, out=values)
        return (channels_first(values.astype(y_zero_point.dtype)),)
