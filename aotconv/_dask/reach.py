"""How far filters of `aotconv.ndimage` reach along each axis, by arguments that they take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import index
from typing import Any, NamedTuple

import numpy as np

from .. import ndimage

Options = Mapping[str, Any]


class Reach(NamedTuple):
    """Elements before and behind its own along an axis that a result is made of, by a mode."""

    axis: int
    before: int
    behind: int
    mode: str


def reaches(function: Callable[..., Any], ndim: int, options: Options) -> list[Reach]:
    """Those of all that a filter sums of an array of so many axes; of an axis there may be some."""
    return [Reach(*each) for each in REACHES[function](ndim, options)]


def _window(ndim: int, options: Options, flipped: bool = False) -> Iterator[Any]:
    axes = _axes(options, ndim)
    # Of all axes, in whatever order they are named, modes and origins stand in the array's.
    places = axes if len(axes) < ndim else range(ndim)
    sizes = dict(zip(sorted(axes), np.shape(options["weights"]), strict=True))
    origins, modes = _each(options["origin"], axes), _each(options["mode"], axes)
    for axis, origin, mode in zip(places, origins, modes, strict=True):
        yield axis, *_sides(sizes[axis], origin, flipped), mode


def _line(ndim: int, options: Options, flipped: bool = False) -> Iterator[Any]:
    size = np.size(options["weights"])
    yield options["axis"] % ndim, *_sides(size, options["origin"], flipped), options["mode"]


def _lines(ndim: int, options: Options) -> Iterator[Any]:
    axes = _axes(options, ndim)
    origins, modes = _each(options["origin"], axes), _each(options["mode"], axes)
    for axis, kernel, *each in zip(axes, options["kernels"], origins, modes, strict=True):
        yield axis, *_sides(np.size(kernel), each[0]), each[1]


def _means(ndim: int, options: Options) -> Iterator[Any]:
    axes = _axes(options, ndim)
    each = (_each(options[name], axes) for name in ("size", "origin", "mode"))
    for axis, size, origin, mode in zip(axes, *each, strict=True):
        yield axis, *_sides(max(int(size), 1), origin), mode


def _mean(ndim: int, options: Options) -> Iterator[Any]:
    yield options["axis"] % ndim, *_sides(options["size"], options["origin"]), options["mode"]


def _gaussians(ndim: int, options: Options) -> Iterator[Any]:
    axes = _axes(options, ndim)
    each = (_each(options[name], axes) for name in ("sigma", "radius", "mode"))
    for axis, sigma, radius, mode in zip(axes, *each, strict=True):
        yield axis, *_radius(sigma, options["truncate"], radius), mode


def _gaussian(ndim: int, options: Options) -> Iterator[Any]:
    sides = _radius(options["sigma"], options["truncate"], options["radius"])
    yield options["axis"] % ndim, *sides, options["mode"]


def _gaussian_derivatives(ndim: int, options: Options, smooths_all: bool = False) -> Iterator[Any]:
    """Each derivative has a mode, for all axes; what is smoothed may be more than derived."""
    axes, widths = _axes(options, ndim), [0.0] * ndim
    smoothed = range(ndim) if smooths_all else axes
    for axis, sigma in zip(smoothed, _each(options["sigma"], smoothed), strict=True):
        widths[axis] = sigma
    given = {"truncate": 4.0, "radius": None, **options, "sigma": widths, "axes": None}
    for mode in _each(options["mode"], axes):
        yield from _gaussians(ndim, {**given, "mode": mode})


def _neighbours(ndim: int, options: Options) -> Iterator[Any]:
    """One element along each axis."""
    axes = _axes(options, ndim)
    for axis, mode in zip(axes, _each(options["mode"], axes), strict=True):
        yield axis, 1, 1, mode


def _of_derivatives(ndim: int, options: Options) -> Iterator[Any]:
    """So far as is said along all axes, by the modes of all derivatives."""
    for mode in _each(options["mode"], _axes(options, ndim)):
        yield from ((axis, options["depth"], options["depth"], mode) for axis in range(ndim))


REACHES: dict[Callable[..., Any], Callable[[int, Options], Iterator[Any]]] = {
    ndimage.convolve: partial(_window, flipped=True),
    ndimage.convolve1d: partial(_line, flipped=True),
    ndimage.correlate: _window,
    ndimage.correlate1d: _line,
    ndimage.correlate_separable: _lines,
    ndimage.gaussian_filter: _gaussians,
    ndimage.gaussian_filter1d: _gaussian,
    ndimage.gaussian_gradient_magnitude: partial(_gaussian_derivatives, smooths_all=True),
    ndimage.gaussian_laplace: _gaussian_derivatives,
    ndimage.generic_gradient_magnitude: _of_derivatives,
    ndimage.generic_laplace: _of_derivatives,
    ndimage.laplace: _neighbours,
    ndimage.prewitt: _neighbours,
    ndimage.sobel: _neighbours,
    ndimage.uniform_filter: _means,
    ndimage.uniform_filter1d: _mean,
}


def _axes(options: Options, ndim: int) -> tuple[int, ...]:
    axes = options.get("axes")
    if axes is None:
        return tuple(range(ndim))
    return tuple(index(each) % ndim for each in (axes if isinstance(axes, Iterable) else (axes,)))


def _each(value: Any, axes: Sequence[int]) -> Sequence[Any]:
    """One for each axis."""
    is_one = isinstance(value, str) or not isinstance(value, Iterable)
    return [value] * len(axes) if is_one else list(value)


def _sides(size: int, origin: int, flipped: bool = False) -> tuple[int, int]:
    """Of a window of a size; that of a convolution is flipped."""
    before = (size - 1) // 2 - origin if flipped else size // 2 + origin
    return before, size - 1 - before


def _radius(sigma: float, truncate: float, radius: int | None) -> tuple[int, int]:
    if float(sigma) <= 1e-15:  # as SciPy leaves out
        return 0, 0
    reach = int(truncate * float(sigma) + 0.5) if radius is None else index(radius)
    return reach, reach
