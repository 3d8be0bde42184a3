"""Pools as ONNX has them: maxima, averages and norms, of windows and of whole channels."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .. import (
    average_pool1d,
    average_pool2d,
    average_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from .operator import Operator, channels_first, channels_last, computed_in, window_padding

MAXIMA: dict[int, Any] = {1: max_pool1d, 2: max_pool2d, 3: max_pool3d}
AVERAGES: dict[int, Any] = {1: average_pool1d, 2: average_pool2d, 3: average_pool3d}
ATTRIBUTES = ("kernel_shape", "strides", "pads", "auto_pad", "dilations", "ceil_mode")
LONG_ROW = 24  # pixels, from which on channels first are pooled as they lie; docs/decisions


class Windows(NamedTuple):
    """The windows of a pool, each word as `aotconv` has it: one number where axes have the same,
    which its doors know again fastest."""

    rank: int
    window: Any
    strides: Any
    padding: Any
    dilations: Any
    ceil_mode: bool

    @classmethod
    def of(
        cls,
        kernel_shape: Any,
        strides: Any,
        pads: Any,
        auto_pad: Any,
        dilations: Any,
        ceil_mode: Any,
    ) -> Windows:
        """Those of attributes.  Where a rule pads, sizes follow from it alone."""
        rank = len(kernel_shape)
        padding: Any = window_padding(auto_pad, pads, rank)
        by_rule = isinstance(padding, str)
        if not by_rule:
            numbers = {each for sides in padding for each in sides}
            padding = numbers.pop() if len(numbers) == 1 else tuple(padding)
        return cls(
            rank,
            _one(tuple(kernel_shape)),
            _one(tuple(strides or [1] * rank)),
            padding,
            _one(tuple(dilations or [1] * rank)),
            bool(ceil_mode) and not by_rule,
        )

    def apply(self, doors: dict[int, Any], x: np.ndarray, **options: Any) -> Any:
        """What a door gives, of arrays in any memory order: channels last where they are so, or
        where rows are short."""
        door = doors[self.rank]
        arguments = self.window, self.strides, self.padding
        options.update(dilations=self.dilations, ceil_mode=self.ceil_mode)
        is_last = x.strides[1] == x.itemsize
        if not is_last and x.shape[-1] >= LONG_ROW:
            return door(x, *arguments, data_format="channels_first", **options)
        images = channels_last(x)
        result = door(images if is_last else np.ascontiguousarray(images), *arguments, **options)
        return (
            tuple(map(channels_first, result)) if type(result) is tuple else channels_first(result)
        )

    def axes(self, name: str) -> tuple[int, ...]:
        """What a word says of each axis."""
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,) * self.rank

    def pads(self, sizes: Sequence[int]) -> list[tuple[int, int]]:
        """Pixels in front of and behind each axis of images of these sizes, what `ceil_mode` adds
        included."""
        return [self._pads_of(axis, size) for axis, size in enumerate(sizes)]

    def _pads_of(self, axis: int, size: int) -> tuple[int, int]:
        stride = self.axes("strides")[axis]
        span = (self.axes("window")[axis] - 1) * self.axes("dilations")[axis] + 1
        if self.padding in ("same", "same_lower"):
            whole = max((-(-size // stride) - 1) * stride + span - size, 0)
            fewer, more = whole // 2, whole - whole // 2
            return (fewer, more) if self.padding == "same" else (more, fewer)
        padding = 0 if self.padding == "valid" else self.padding
        front, behind = padding[axis] if isinstance(padding, tuple) else (padding, padding)
        left = size + front + behind - span
        if not self.ceil_mode or left < 0:
            return front, behind
        last = -(-left // stride)  # window; not one that begins behind the images
        last -= last * stride >= size + front
        return front, max(behind, last * stride + span - size - front)

    def views(self, x: np.ndarray, padding_value: Any) -> np.ndarray:
        """Each window of arrays of any rank: an axis more, behind, for each of theirs."""
        pads = self.pads(x.shape[2:])
        padded = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=padding_value)
        spans = [
            (taps - 1) * dilation + 1
            for taps, dilation in zip(self.axes("window"), self.axes("dilations"), strict=True)
        ]
        every = np.lib.stride_tricks.sliding_window_view(
            padded, spans, axis=tuple(range(2, x.ndim))
        )
        strides = [slice(None, None, each) for each in self.axes("strides")]
        taps = [slice(None, None, each) for each in self.axes("dilations")]
        return every[(slice(None), slice(None), *strides, *taps)]


def _one(values: tuple) -> Any:
    """The value of all of these, or these."""
    return values[0] if all(each == values[0] for each in values[1:]) else values


class Pool(Operator):
    """A pool of windows."""

    _kept: Windows | None = None

    def windows(self, x: np.ndarray, attributes: dict[str, Any]) -> Windows:
        """Those of attributes, made once, unless attributes come with each call; x must have
        their axes."""
        windows = self._kept  # another thread may be here, too
        if windows is None or self.has_linked_attribute:
            windows = self._kept = Windows.of(*map(attributes.get, ATTRIBUTES))
        if x.ndim != windows.rank + 2:
            raise ValueError(
                f"X of shape {x.shape}, where kernel_shape {windows.axes('window')} "
                f"expects {windows.rank + 2} axes"
            )
        return windows


class MaxPool(Pool):
    def _run(self, x: np.ndarray, storage_order: int = 0, **attributes: Any) -> tuple[Any, ...]:
        windows = self.windows(x, attributes)
        if windows.rank not in MAXIMA:
            return self._of_views(x, windows)
        if self.n_outputs == 1:
            return (windows.apply(MAXIMA, x),)
        result, places = windows.apply(MAXIMA, x, return_indices=True)
        return result, _flat(places, x.shape, storage_order)

    def _of_views(self, x: np.ndarray, windows: Windows) -> tuple[np.ndarray]:
        if self.n_outputs > 1:
            raise ValueError(f"Indices of X of shape {x.shape}; they need 3 to 5 axes")
        lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
        axes = tuple(range(-windows.rank, 0))
        return (windows.views(x, lowest).max(axis=axes),)


def _flat(places: np.ndarray, shape: tuple[int, ...], storage_order: int) -> np.ndarray:
    """Places in channels, rows first, as ONNX counts them: in the whole array, and with
    `storage_order` 1 columns first in a channel; -1, of no pixel, stays."""
    n, channels, *sizes = shape
    nowhere = places < 0
    if storage_order and len(sizes) > 1:
        axes = np.unravel_index(np.where(nowhere, 0, places), sizes)
        places = np.ravel_multi_index(axes, sizes, order="F")
    first = np.arange(n * channels).reshape(n, channels, *[1] * len(sizes)) * prod(sizes)
    flat = places + first
    flat[nowhere] = -1
    return flat


class AveragePool(Pool):
    def _run(
        self, x: np.ndarray, count_include_pad: int | None = 0, **attributes: Any
    ) -> tuple[np.ndarray]:
        windows = self.windows(x, attributes)
        if windows.rank not in AVERAGES:
            return (_average_of_views(x, windows, bool(count_include_pad)),)
        return (windows.apply(AVERAGES, x, count_padding=bool(count_include_pad)),)


def _average_of_views(x: np.ndarray, windows: Windows, count_padding: bool) -> np.ndarray:
    """Averages of any rank; only pixels that count have a weight."""
    axes = tuple(range(-windows.rank, 0))
    sums = windows.views(x, 0).sum(axis=axes, dtype=computed_in(x.dtype))
    counted = np.ones((1, 1, *x.shape[2:]), np.int64)
    if count_padding:
        pads = windows._replace(ceil_mode=False).pads(x.shape[2:])
        counted = np.pad(counted, [(0, 0), (0, 0), *pads], constant_values=1)
        added = zip(windows.pads(x.shape[2:]), pads, strict=True)
        only = tuple((0, behind - given) for (_, behind), (_, given) in added)
        windows = windows._replace(padding=only, ceil_mode=False)
    with np.errstate(invalid="ignore"):
        return (sums / windows.views(counted, 0).sum(axis=axes)).astype(x.dtype)


class LpPool(Pool):
    def _run(self, x: np.ndarray, p: float = 2, **attributes: Any) -> tuple[np.ndarray]:
        windows = self.windows(x, attributes)
        powers = _powers(x, p)
        if windows.rank not in AVERAGES:
            sums = windows.views(powers, 0).sum(axis=tuple(range(-windows.rank, 0)))
            return (_roots(sums, p, x.dtype),)
        if windows.ceil_mode:  # as padding, so that each window has as many pixels
            padding = tuple(windows.pads(x.shape[2:]))
            windows = windows._replace(padding=padding, ceil_mode=False)
        averages = windows.apply(AVERAGES, powers, count_padding=True)
        averages *= averages.dtype.type(prod(windows.axes("window")))
        return (_roots(averages, p, x.dtype),)


class GlobalLpPool(Operator):
    def _run(self, x: np.ndarray, p: float = 2) -> tuple[np.ndarray]:
        sums = _powers(x, p).sum(axis=_spatial(x), keepdims=True)
        return (_roots(sums, p, x.dtype),)


def _powers(x: np.ndarray, p: float) -> np.ndarray:
    """Absolute values to the power p."""
    if not p > 0:
        raise ValueError(f"p {p}, which must be positive")
    powers = np.abs(x.astype(computed_in(x.dtype), copy=False))
    if p == 2:
        return np.multiply(powers, powers, out=powers)
    return powers if p == 1 else np.power(powers, powers.dtype.type(p), out=powers)


def _roots(sums: np.ndarray, p: float, dtype: np.dtype) -> np.ndarray:
    """The roots of sums of powers, written into these."""
    if p == 2:
        np.sqrt(sums, out=sums)
    elif p != 1:
        np.power(sums, sums.dtype.type(1 / p), out=sums)
    return sums.astype(dtype, copy=False)


class GlobalAveragePool(Operator):
    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        if _is_channels_last(x):
            images = channels_last(x)
            return (channels_first(AVERAGES[x.ndim - 2](images, _one(x.shape[2:]))),)
        means = x.mean(axis=_spatial(x), keepdims=True, dtype=computed_in(x.dtype))
        return (means.astype(x.dtype, copy=False),)


class GlobalMaxPool(Operator):
    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        if _is_channels_last(x):
            images = channels_last(x)
            return (channels_first(MAXIMA[x.ndim - 2](images, _one(x.shape[2:]))),)
        return (x.max(axis=_spatial(x), keepdims=True),)


def _spatial(x: np.ndarray) -> tuple[int, ...]:
    """The spatial axes of arrays that have any."""
    if x.ndim < 3:
        raise ValueError(f"X of shape {x.shape}, where (N, C, spatial axes) is expected")
    return tuple(range(2, x.ndim))


def _is_channels_last(x: np.ndarray) -> bool:
    """Whether channels are next to each other, where NumPy's reductions take several times as
    long as our pools; where they are not it is the other way round."""
    return x.ndim - 2 in AVERAGES and x.strides[1] == x.itemsize and min(x.shape) > 0
