"""What is right: what the documentation makes of arguments, told from their meanings alone.

A layer here is a namespace of its rank and of what each argument means: integers, tuples, strings,
arrays; or WRONG, or UNSURE.
"""

from __future__ import annotations

import fractions
import inspect
import itertools
import math
import sys
from typing import NamedTuple

import numpy as np
from oracle import wide

from aotconv.reference import conv_reference

WRONG = "wrong"  # must be refused
UNSURE = "unsure"  # may be refused or mean something: another thing at each look, say
SUMMED = 10**6  # elements of padded images; more are not made, but summed pixel by pixel
ADDRESSABLE = sys.maxsize // 32  # elements; beyond, sizes may be refused


class Result(NamedTuple):
    """What a call gives."""

    shape: tuple[int, ...]
    pixels: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    padded: int  # elements of the padded images
    dtype: np.dtype | None = None  # None where it is the shape that was asked for

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def is_too_large(self) -> bool:
        return max(self.padded, addressed(self.shape)) > ADDRESSABLE


def worst(meanings) -> str | None:
    """WRONG if one of the meanings is, else UNSURE if one is."""
    meanings = list(meanings)
    return next((bad for bad in (WRONG, UNSURE) if any(each is bad for each in meanings)), None)


def addressed(shape) -> int:
    """The elements of a shape, or of its other axes where some are empty."""
    return math.prod(max(size, 1) for size in shape)


def channels_first(layer) -> bool:
    return layer.data_format in ("NCW", "NCHW", "NCDHW", "channels_first")


def filters_of(layer) -> np.ndarray:
    """Filters whose outputs are last."""
    filters = layer.filters
    return np.moveaxis(filters, (1, 0), (-2, -1)) if layer.filter_format[0] == "O" else filters


# Where a pixel outside comes from, by its place and the size of its axis.
OUTSIDE = {
    "edge": lambda i, size: 0 if i < 0 else size - 1,
    "wrap": lambda i, size: i % size,
    "symmetric": lambda i, size: [*range(size), *reversed(range(size))][i % (2 * size)],
    "reflect": lambda i, size: [*range(size), *range(size - 2, 0, -1)][i % max(2 * size - 2, 1)],
}
OUTSIDE |= {"replicate": OUTSIDE["edge"], "circular": OUTSIDE["wrap"]}


def holds(dtype: np.dtype, value) -> bool:
    """Whether an array of a dtype can hold a value."""
    if dtype == np.bool_:
        dtype = np.dtype(np.uint8)
    if isinstance(value, complex) and value.imag != 0:
        return dtype.kind == "c"
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return value == math.floor(value.real) and info.min <= value.real <= info.max
    return abs(value) <= np.finfo(dtype).max


def layer_of(layer) -> str | None:
    """WRONG, UNSURE, or None for a layer that can be made."""
    bad = worst(vars(layer).values())
    if bad:
        return bad
    if layer.filters.ndim != layer.rank + 2:
        return WRONG
    filters, bias = filters_of(layer), layer.bias
    if 0 in filters.shape[:-2] or filters.shape[-1] % layer.groups:
        return WRONG
    if bias is not None and bias.shape != filters.shape[-1:]:
        return WRONG
    dtypes = [each.dtype for each in (filters, bias) if each is not None]
    if layer.activation is not None and any(each.kind == "c" for each in dtypes):
        return WRONG
    if layer.padding_value != 0 and not {"constant", "zeros"} & set(layer.padding_mode):
        return WRONG
    if layer.algorithm == "winograd":
        unit = layer.strides == layer.dilations == (1, 1)
        if filters.shape[:-2] != (3, 3) or not unit or layer.groups != 1:
            return WRONG
    return None


def sizes_of(layer, shape):
    """WRONG, or the Result, but its dtype, of a right layer and images of a shape."""
    filters, rank = filters_of(layer).shape, layer.rank
    leading, sizes = shape[: -rank - 1], list(shape[-rank - 1 :])
    if len(sizes) <= rank:
        return WRONG
    channels = sizes.pop(0 if channels_first(layer) else -1)
    if channels != filters[-2] * layer.groups:
        return WRONG
    pads, pixels = [], []
    axes = zip(sizes, filters[:-2], layer.strides, layer.dilations, strict=True)
    for axis, (size, kernel, stride, dilation) in enumerate(axes):
        span = (kernel - 1) * dilation + 1
        rule = layer.padding
        if isinstance(rule, str):
            count = math.ceil(fractions.Fraction(size, stride))
            zeros = max((count - 1) * stride + span - size, 0)
            less, more = zeros // 2, zeros - zeros // 2
            rules = {"same": (less, more), "same_lower": (more, less), "valid": (0, 0)}
            rules |= {"full": (span - 1, span - 1), "causal": (span - 1, 0)}
            pads.append(rules[rule])
        else:
            pads.append(tuple(rule[axis]))
        padded = size + sum(pads[-1])
        if size == 0 and padded and layer.padding_mode[axis] in OUTSIDE:
            return WRONG
        if rule not in ("same", "same_lower", "causal") and padded < span:
            return WRONG
        pixels.append(max((padded - span) // stride + 1, 0))
    padded = addressed(
        (*leading, *(size + sum(ends) for size, ends in zip(sizes, pads, strict=True)))
    )
    last = (filters[-1], *pixels) if channels_first(layer) else (*pixels, filters[-1])
    return Result((*leading, *last), tuple(pixels), tuple(pads), padded * max(channels, 1))


def shape_of(layer, shape):
    """What a layer's `output_shape` gives, or WRONG or UNSURE."""
    found = worst([shape]) or sizes_of(layer, shape)
    if not isinstance(found, Result):
        return found
    return UNSURE if found.is_too_large else found.shape


def result_of(layer, images):
    """WRONG, UNSURE, or the Result of arrays without a residual."""
    found = worst([layer_of(layer), images]) or sizes_of(layer, images.shape)
    if not isinstance(found, Result):
        return found
    if not holds(images.dtype, layer.padding_value):
        return WRONG
    arrays = [each for each in (images, layer.filters, layer.bias) if each is not None]
    dtype = dtype_of(layer, np.result_type(*(each.dtype for each in arrays)))
    if dtype is WRONG:
        return WRONG
    kinds = [dtype.kind, *(each.dtype.kind for each in arrays)]
    if layer.activation is not None and "c" in kinds:
        return WRONG
    if layer.activation not in (None, "relu", "relu6") and dtype.kind in "iu":
        return WRONG
    if layer.algorithm == "winograd" and dtype not in (np.float32, np.float64):
        return WRONG
    return found._replace(dtype=dtype)


def dtype_of(layer, common: np.dtype):
    """The result's dtype, of arguments that have a common one; WRONG where it cannot be asked."""
    dtype = common if layer.dtype is None else layer.dtype
    clipped = layer.saturate and dtype.kind in "iu"
    fits = np.can_cast(common, dtype, "same_kind") or (clipped and common.kind in "iuf")
    return dtype if fits else WRONG


def residual_fits(residual, found: Result) -> bool:
    castable = np.can_cast(residual.dtype, found.dtype, "same_kind")
    return residual.shape == found.shape and castable


def sums(layer, images: np.ndarray, residual, found: Result) -> np.ndarray:
    """The documented sum, pixel by pixel: for padding that no array could hold."""
    filters, groups, rank = wide(filters_of(layer)), layer.groups, layer.rank
    *kernel, channels, n_filters = filters.shape
    batch = np.moveaxis(images, -rank - 1, -1) if channels_first(layer) else images
    leading, (*sizes, n_channels) = batch.shape[: -rank - 1], batch.shape[-rank - 1 :]
    n = math.prod(leading)
    batch = batch.reshape(n, *sizes, n_channels)
    width = n_filters // groups
    out = np.zeros((n, *found.pixels, n_filters), np.result_type(images, filters, np.float64))
    for pixel in itertools.product(*map(range, found.pixels)):
        for tap in itertools.product(*map(range, kernel)):
            axes = zip(pixel, layer.strides, tap, layer.dilations, found.pads, strict=True)
            at_any = (p * s + t * d - ends[0] for p, s, t, d, ends in axes)
            at, pixel_of = [], True
            for i, size, mode in zip(at_any, sizes, layer.padding_mode, strict=True):
                if not 0 <= i < size:
                    pixel_of = pixel_of and mode in OUTSIDE
                    i = OUTSIDE[mode](i, size) if mode in OUTSIDE else 0
                at.append(i)
            if pixel_of:
                values = wide(batch[(slice(None), *at)])
            else:
                values = np.full((n, n_channels), layer.padding_value, np.complex128)
                values = values if batch.dtype.kind == "c" else values.real
            for g in range(groups):
                theirs = slice(g * channels, (g + 1) * channels)
                ours = slice(g * width, (g + 1) * width)
                out[(slice(None), *pixel, ours)] += values[:, theirs] @ filters[(*tap, ..., ours)]
    if layer.bias is not None:
        out = out + wide(layer.bias)
    out = out.reshape(*leading, *out.shape[1:])
    out = np.moveaxis(out, -1, -rank - 1) if channels_first(layer) else out
    return out if residual is None else out + wide(residual)


def products(layer, found: Result) -> int:
    """How many matrices of pixels and filters `sums` multiplies."""
    return math.prod(found.pixels) * math.prod(filters_of(layer).shape[:-2]) * layer.groups


def expected_of(layer, images: np.ndarray, residual, found: Result) -> np.ndarray:
    """The oracle's result, before its activation, in float64 or complex128."""
    if found.padded > SUMMED or products(layer, found) < 40 * layer.groups:
        return sums(layer, images, residual, found)
    meanings = {**vars(layer), "images": images, "residual": residual, "activation": None}
    names = inspect.signature(conv_reference).parameters
    options = {name: meanings[name] for name in names if name in meanings}
    arrays = {name: wide(each) for name, each in options.items() if isinstance(each, np.ndarray)}
    return conv_reference(**{**options, **arrays})
