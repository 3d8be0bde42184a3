"""Layers by Fourier transforms: which can be, and are to be, and how.

Channels are summed as spectra, by compiled kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np

from .._plan import spectral as plan
from .._plan.geometry import Axis, Geometry
from .._plan.registry import FLOAT_DTYPES
from . import fallback, fitting, ladder, spectral
from .dtypes import floats_in, largest, native_name
from .jobs import Layouts
from .kept import keep
from .kernels import Kernels
from .layout import View
from .operator import Spatial
from .pad import value_in
from .run import Compute

OneTap: TypeAlias = Callable[[np.ndarray, int], Spatial]  # the layer of filters (1, C, O), grouped

KEPT_SECTIONS = 4  # sizes of sections for which a layer keeps its spectra


class Filters(spectral.Windows):
    """Filters (.., C / groups, O) of arrays with channels, which are summed as spectra: that is a
    layer of one tap, with groups for each number of a spectrum."""

    behind = 1

    def __init__(self, filters: np.ndarray, groups: int, dtype: np.dtype, one_tap: OneTap) -> None:
        self.dtype, self._filters, self._groups = dtype, filters, groups
        self._one_tap = one_tap
        self._kept: dict[tuple[int, ...], Any] = {}

    def leading(self, array: tuple[int, ...]) -> tuple[int, ...]:
        return array

    def work(self, reaches: tuple[plan.Reach, ...], arrays: int) -> plan.Work:
        channels, filters = self._filters.shape[-2:]
        sizes = channels * self._groups, filters, self._groups
        return plan.Work(reaches, self.dtype.itemsize, arrays, *sizes)

    def factors(
        self, at: tuple[slice, ...], transform: spectral.Transform, axes: Sequence[Axis]
    ) -> np.ndarray | Spatial:
        kept = self._kept.get(transform.sizes)
        if kept is None:
            made = self._factors(transform, axes)
            kept = keep(self._kept, transform.sizes, made, KEPT_SECTIONS)
        return kept

    def _factors(self, transform: spectral.Transform, axes: Sequence[Axis]) -> np.ndarray | Spatial:
        channels, n_filters = self._filters.shape[-2:]
        windows = self._filters.reshape(*self._filters.shape[:-2], channels * n_filters)
        step = max(1, plan.MOST_SUMMED // prod(transform.sizes))
        some = (windows[..., i : i + step] for i in range(0, windows.shape[-1], step))
        spectra = np.concatenate([transform.of_window(each, axes) for each in some], -1)
        if channels == 1:
            return spectra.reshape(*spectra.shape[:-1], self._groups, n_filters // self._groups)
        numbers = prod(spectra.shape[:-1])
        taps = spectra.reshape(numbers, channels, n_filters).swapaxes(0, 1)
        taps = taps.reshape(1, channels, numbers * n_filters)
        return self._one_tap(taps, numbers * self._groups)

    def multiply(self, spectra: np.ndarray, factors: np.ndarray | Spatial) -> np.ndarray:
        *sizes, channels = spectra.shape
        if not isinstance(factors, np.ndarray):
            numbers = factors.options.groups // self._groups
            products = factors.apply(spectra.reshape(-1, numbers * channels), None, None, 1)
            return products.reshape(*sizes, -1)
        spectra = spectra.reshape(*sizes, channels, 1)
        is_alone = factors.shape[-1] == 1
        products = np.multiply(spectra, factors, out=spectra if is_alone else None)
        return products.reshape(*sizes, -1)


class Transforms:
    """The transforms of a layer, and whether they compute it: loaded by layers that ask."""

    def __init__(
        self,
        filters: np.ndarray,
        bias: np.ndarray | None,
        options: Any,
        kernels: Kernels,
        one_tap: OneTap,
    ) -> None:
        self._filters, self._bias, self._options = filters, bias, options
        self._kernels, self._one_tap = kernels, one_tap
        self._windows: dict[tuple, Filters] = {}

    def chosen(self, computed: str, geometry: Geometry, arrays: Layouts) -> str:
        """The algorithm that computes, "auto", "winograd" or "fft", by sizes and dtypes; `computed`
        is the kernels' dtype."""
        windows = self._windows_of(geometry, _sums(arrays.out.dtype))
        reaches = tuple(map(plan.Reach.of, _spatial(geometry)))
        n_arrays = geometry.pixels // prod(each.outs for each in reaches)
        work = windows.work(reaches, n_arrays)
        reason = self._hindrance(work, arrays)
        if self._options.algorithm == "fft":
            if reason:
                raise ValueError(f"algorithm 'fft' {reason}: use 'auto' or 'fastest'")
            return "fft"
        times = self._times(computed, geometry, arrays)
        best = min(times, key=lambda algorithm: times[algorithm], default="auto")
        if reason:
            return best
        least = times[best] if times else plan.direct(geometry.multiply_adds, windows.dtype.name)
        return "fft" if spectral.is_faster(work, least) else best

    def _times(self, computed: str, geometry: Geometry, arrays: Layouts) -> dict[str, float]:
        """The nanoseconds of algorithms that kernels have, roughly; none where NumPy computes."""
        rung, o = ladder.rung(computed), self._options
        if rung is None:
            return {}
        kernel = self._filters.shape[:-2]
        has_winograd = (
            native_name(arrays.out.dtype) in FLOAT_DTYPES
            and geometry.c >= plan.WINOGRAD_CHANNELS
            and not fitting.winograd_hindrance(kernel, o.strides, o.dilations, o.groups)
        )
        about, found = (rung, computed, geometry, arrays), {}
        for algorithm, factor in (("auto", 1.0), ("winograd", plan.WINOGRAD))[: 1 + has_winograd]:
            time = self._kernels.nanoseconds(*about, algorithm)
            if time is not None:
                found[algorithm] = time * factor
        return found

    def _hindrance(self, work: plan.Work, arrays: Layouts) -> str | None:
        """Why transforms cannot compute."""
        dtype = arrays.out.dtype
        if dtype.char in "gG":
            return f"computes nothing wider than float64, got a result of {dtype}"
        numbers = prod(plan.section(work)) * work.spectra
        if numbers > plan.MOST_SPECTRA:
            most = plan.MOST_SPECTRA
            return f"needs filters whose spectra have {most} numbers at most, not {numbers}"
        if dtype.kind not in "iu":
            return None
        images = arrays.images.dtype
        if any(each.kind not in "iu" for each in (images, *self._weights)):
            return "gives integers only of integers"
        value = max(largest(images), abs(self._options.padding_value))
        squares = np.square(self._filters, dtype=np.float64)
        norm = float(squares.reshape(-1, squares.shape[-1]).sum(0).max()) ** 0.5
        if not spectral.is_exact(value, norm, work, _sums(dtype)):
            name = native_name(images)
            return f"is not exact for sums of {name} under such filters, formed in float64"
        return None

    @property
    def _weights(self) -> list[np.dtype]:
        return [each.dtype for each in (self._filters, self._bias) if each is not None]

    def _windows_of(self, geometry: Geometry, dtype: np.dtype) -> Filters:
        key = dtype, tuple(_windowed(geometry))
        kept = self._windows.get(key)
        if kept is None:
            sizes = (axis.kernel for axis in _spatial(geometry))
            filters = self._filters.reshape(*sizes, *self._filters.shape[-2:])
            kept = self._windows[key] = Filters(filters, geometry.groups, dtype, self._one_tap)
        return kept

    def computing(self, exact: str, geometry: Geometry, arrays: Layouts, view: View) -> Compute:
        """What computes by transforms, and finishes results in a dtype."""
        sums = _sums(arrays.out.dtype)
        axes, windows = _spatial(geometry), self._windows_of(geometry, sums)
        windowed, activation = _windowed(geometry), self._options.activation
        order = 0, *(1 + i for i in range(3) if i not in windowed), *(1 + i for i in windowed), 4
        value = value_in(self._options.padding_value, arrays.images.dtype, sums).item()
        are_whole = sums.kind == "f" and arrays.out.dtype.kind in "iu"

        def compute(images, out, residual, _) -> None:
            images, out = (view.array(each).transpose(order) for each in (images, out))
            if residual is not None:
                residual = view.array(residual).transpose(order)
            bias = self._bias
            if bias is not None:
                with np.errstate(all="ignore"):
                    bias = bias.astype(exact)  # copied: `out` may lie on it

            def store(values: np.ndarray, at: tuple[slice, ...]) -> None:
                if are_whole:
                    values = np.rint(values).astype(np.int64)
                more = None if residual is None else residual[at]
                values = values.astype(exact, copy=False)
                fallback.finish(values, bias, more, out[at], activation)

            spectral.correlate(images, windows, axes, store, value)

        return compute


def _sums(result: np.dtype) -> np.dtype:
    """What transforms for a result are of."""
    if result.kind in "iu":
        return np.dtype(np.float64)
    name = native_name(result)
    return np.dtype(name if result.kind == "c" else floats_in(name))


def _windowed(geometry: Geometry) -> list[int]:
    """Which spatial axes windows are along; the last one, if there is none."""
    found = [i for i, axis in enumerate(geometry.axes) if axis != Axis.flat(axis.size)]
    return found or [len(geometry.axes) - 1]


def _spatial(geometry: Geometry) -> list[Axis]:
    """The axes along which windows are."""
    return [geometry.axes[i] for i in _windowed(geometry)]
