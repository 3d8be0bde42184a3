"""The steps of filters: correlations, each said by arguments as the user gave them.

A filter is a sum of terms, each of some steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._plan.taps import LINE, MEAN, WINDOW
from . import check, check_ndimage
from .check_ndimage import ArgumentError

NO_WEIGHT = 1e-12  # less of the sum of absolute weights is what rounding left of 0
NO_SIGMA = 1e-15  # a Gaussian that is no wider is left out, as SciPy does
MOST_REACHED = 2**40  # elements: more than memory holds


class Step(NamedTuple):
    """A correlation, but for what it is of.

    Attributes
    ----------
    weights : ndarray of float64 or complex128
        Of the array's rank.
    modes, before, order
        As of `correlation.correlate`.
    """

    weights: np.ndarray
    modes: tuple[str, ...]
    before: tuple[int, ...]
    order: str

    @classmethod
    def along(
        cls, ndim: int, axis: int, line: np.ndarray, mode: str, origin: int = 0, order: str = LINE
    ) -> Step:
        """Of an array of so many axes, with weights along one; of checked arguments."""
        shape, before = [1] * ndim, [0] * ndim
        before[axis] = check_ndimage.window_before(line.size, origin)
        shape[axis] = line.size
        return cls(line.reshape(shape), (mode,) * ndim, tuple(before), order)

    def normalised(self) -> Step:
        """With weights whose sum is 1."""
        total = self.weights.sum()
        if self.weights.dtype.kind == "c" or abs(total) <= NO_WEIGHT * abs(self.weights).sum():
            raise ValueError(
                "weights must be real numbers whose sum is not 0 where elements of input are "
                f"missing, got weights of sum {total}"
            )
        with np.errstate(all="ignore"):
            return self._replace(weights=self.weights / total)


Terms: TypeAlias = Sequence[Sequence[Step]]


def line(ndim: int, weights, axis, mode, origin, flipped: bool = False) -> Terms:
    """Weights along one axis; `flipped` as a convolution's."""
    number = check_ndimage.axis(axis, ndim)
    line, shift = check_ndimage.line("weights", weights), check_ndimage.integer("origin", origin)
    name = check_ndimage.mode("mode", mode)
    if flipped:
        return [[Step.along(ndim, number, line[::-1], name, _flipped(shift, line.size))]]
    return [[Step.along(ndim, number, line.conj(), name, shift)]]


def lines(ndim: int, kernels, axes, mode, origin) -> Terms:
    """Weights along each of some axes."""
    numbers = check_ndimage.axes(axes, ndim)
    modes = check_ndimage.modes(mode, len(numbers))
    origins = check_ndimage.per_axis("origin", origin, len(numbers), check_ndimage.integer)
    expected = f"a sequence of {len(numbers)} arrays, one for each of axes"
    every = check.listed("kernels", kernels, expected)
    if len(every) != len(numbers):
        raise ArgumentError(f"kernels must be {expected}, got {len(every)}")
    lines = [check_ndimage.line("each of kernels", each).conj() for each in every]
    each = zip(numbers, lines, modes, origins, strict=True)
    return [[Step.along(ndim, *arguments) for arguments in each]]


def window(ndim: int, weights, axes, mode, origin, flipped: bool = False) -> Terms:
    """Weights along several axes at once; they have these in the array's order, as SciPy's."""
    numbers = check_ndimage.axes(axes, ndim)
    window = check_ndimage.weights("weights", weights)
    if window.ndim != len(numbers):
        is_photo = axes is None and (ndim, window.ndim) == (3, 2)
        cure = ": of photos (H, W, C) say axes=(0, 1)" if is_photo else ""
        raise ArgumentError(
            f"weights.ndim ({window.ndim}) must match len(axes) ({len(numbers)}){cure}"
        )
    if window.size == 0:
        raise ArgumentError(f"weights must have an element, got shape {window.shape}")
    # So do origins and modes that are given for all axes; those for some belong to them as named.
    places = numbers if len(numbers) < ndim else range(ndim)
    modes, origins = ["constant"] * ndim, [0] * ndim
    named = check_ndimage.modes(mode, len(numbers))
    shifts = check_ndimage.per_axis("origin", origin, len(numbers), check_ndimage.integer)
    for place, name, shift in zip(places, named, shifts, strict=True):
        modes[place], origins[place] = name, shift
    window = np.expand_dims(window, tuple(i for i in range(ndim) if i not in numbers))
    if flipped:
        window = np.flip(window)
        origins = [_flipped(*each) for each in zip(origins, window.shape, strict=True)]
    else:
        window = window.conj()
    before = map(check_ndimage.window_before, window.shape, origins)
    return [[Step(window, tuple(modes), tuple(before), WINDOW)]]


def _flipped(origin: int, size: int) -> int:
    """Where a window's origin is once it is flipped; refused as it was given, for its limits stay
    the same."""
    check_ndimage.window_before(size, origin)
    return -origin - (size % 2 == 0)


def mean(ndim: int, size, axis, mode, origin) -> Terms:
    """The mean of so many elements along an axis."""
    number, taps = check_ndimage.axis(axis, ndim), check_ndimage.integer("size", size, 1)
    shift, name = check_ndimage.integer("origin", origin), check_ndimage.mode("mode", mode)
    return [[Step.along(ndim, number, np.ones(taps), name, shift, MEAN)]]


def means(ndim: int, size, axes, mode, origin) -> Terms:
    """The same along each of some axes; of no more than one element it is left out."""
    numbers = check_ndimage.axes(axes, ndim)
    sizes = check_ndimage.per_axis("size", size, len(numbers), check_ndimage.size)
    modes = check_ndimage.modes(mode, len(numbers))
    origins = check_ndimage.per_axis("origin", origin, len(numbers), check_ndimage.integer)
    each = zip(numbers, sizes, modes, origins, strict=True)
    steps = [
        Step.along(ndim, axis, np.ones(taps), name, shift, MEAN)
        for axis, taps, name, shift in each
        if taps > 1
    ]
    return [steps]


def difference(across: Sequence[int], ndim: int, axis, axes, mode) -> Terms:
    """A central difference along one of some axes, smoothed by the weights `across` along the
    others."""
    number, numbers = check_ndimage.axis(axis, ndim), check_ndimage.axes(axes, ndim)
    if number not in numbers:
        raise ValueError(f"axis must be one of axes, {numbers}, got {check.shown(axis)}")
    modes = dict(zip(numbers, check_ndimage.modes(mode, len(numbers)), strict=True))
    smooth = np.array(across, np.float64)
    steps = [
        Step.along(ndim, number, np.array([-1.0, 0.0, 1.0]), modes.pop(number)),
        *(Step.along(ndim, other, smooth, name) for other, name in modes.items()),
    ]
    return [steps]


def laplacian(ndim: int, axes, mode) -> Terms:
    """The sum of the second differences along some axes, as one window."""
    numbers = check_ndimage.axes(axes, ndim)
    modes = dict(zip(numbers, check_ndimage.modes(mode, len(numbers)), strict=True))
    shape = [3 if axis in modes else 1 for axis in range(ndim)]
    window, middle = np.zeros(shape), [size // 2 for size in shape]
    window[tuple(middle)] = -2.0 * len(numbers)
    for axis in numbers:
        for place in (0, 2):
            window[(*middle[:axis], place, *middle[axis + 1 :])] = 1.0
    every = tuple(modes.get(axis, "constant") for axis in range(ndim))
    return [[Step(window, every, tuple(middle), WINDOW)]] if numbers else []


def second_differences(ndim: int, axes, mode) -> Terms:
    """The same, each as a term of its own."""
    numbers = check_ndimage.axes(axes, ndim)
    modes = check_ndimage.modes(mode, len(numbers))
    line = np.array([1.0, -2.0, 1.0])
    return [[Step.along(ndim, axis, line, name)] for axis, name in zip(numbers, modes, strict=True)]


def gaussian(ndim: int, sigma, axis, order, mode, truncate, radius) -> Terms:
    """A Gaussian along one axis, or its derivative of an order."""
    number, width = check_ndimage.axis(axis, ndim), check_ndimage.finite("sigma", sigma)
    degree, reach = check_ndimage.order("order", order), check_ndimage.radius("radius", radius)
    if width <= NO_SIGMA:
        raise ValueError(f"sigma must be more than {NO_SIGMA}, got {width}")
    line = _gaussian(width, degree, truncate, reach)
    return [[Step.along(ndim, number, line, check_ndimage.mode("mode", mode))]]


def gaussians(ndim: int, sigma, order, mode, truncate, radius, axes) -> Terms:
    """The same along each of some axes."""
    return [_gaussians(ndim, sigma, order, mode, truncate, radius, axes)]


def _gaussians(ndim: int, sigma, order, mode, truncate, radius, axes) -> list[Step]:
    numbers = check_ndimage.axes(axes, ndim)
    count = len(numbers)
    sigmas = check_ndimage.per_axis("sigma", sigma, count, check_ndimage.finite)
    orders = check_ndimage.per_axis("order", order, count, check_ndimage.order)
    modes = check_ndimage.modes(mode, count)
    radii = check_ndimage.per_axis("radius", radius, count, check_ndimage.radius)
    each = zip(numbers, sigmas, orders, modes, radii, strict=True)
    return [
        Step.along(ndim, axis, _gaussian(width, degree, truncate, reach), name)
        for axis, width, degree, name, reach in each
        if width > NO_SIGMA
    ]


def gaussian_derivatives(
    order: int, ndim: int, sigma, axes, within, mode, keywords: tuple[tuple[str, Any], ...]
) -> Terms:
    """Terms: a Gaussian's derivative of an order along each of some axes, smoothed along those
    within others, all with the mode of that axis; `keywords` are those of a Gaussian."""
    numbers = check_ndimage.axes(axes, ndim)
    check_ndimage.modes(mode, len(numbers))
    modes = check_ndimage.per_axis("mode", mode, len(numbers), lambda _, each: each)
    given = dict(keywords)
    truncate, radius = given.pop("truncate", 4.0), given.pop("radius", None)
    if given:
        unknown = next(iter(given))
        raise TypeError(f"keywords must be truncate or radius of gaussian_filter, got {unknown}")
    smoothed, widths = check_ndimage.axes(within, ndim), [0.0] * ndim
    found = check_ndimage.per_axis("sigma", sigma, len(smoothed), check_ndimage.finite)
    for number, width in zip(smoothed, found, strict=True):
        widths[number] = width
    terms = []
    for number, name in zip(numbers, modes, strict=True):
        orders = tuple(order if i == number else 0 for i in range(ndim))
        terms.append(_gaussians(ndim, widths, orders, name, truncate, radius, None))
    return terms


def _gaussian(sigma: float, order: int, truncate, radius: int | None) -> np.ndarray:
    """The weights of a correlation that smooths by a Gaussian, or takes a derivative of what it
    smoothed, as SciPy rounds them.

    The derivative of ``q(x) exp(-x**2 / (2 sigma**2))``, q a polynomial, is that of the polynomial
    ``q'(x) - q(x) x / sigma**2`` instead.
    """
    if radius is None:
        reach = check_ndimage.finite("truncate", truncate) * sigma + 0.5
        if not -1 < reach < MOST_REACHED:
            raise ValueError(
                f"truncate must be from 0 to less than {MOST_REACHED} elements of a Gaussian, got "
                f"{check.shown(truncate)} with sigma {sigma}"
            )
        radius = int(reach)
    with np.errstate(all="ignore"):  # of the ends, whose weights may be too small for a float
        return _density(sigma, order, radius)[::-1]


def _density(sigma: float, order: int, radius: int) -> np.ndarray:
    """A Gaussian's, of an order, at the places as far as a radius."""
    variance = sigma * sigma
    places = np.arange(-radius, radius + 1)
    density = np.exp(-0.5 / variance * places**2)
    density = density / density.sum()
    if order:
        powers = np.arange(order + 1)
        derive = np.diag(powers[1:], 1) + np.diag(np.full(order, 1 / -variance), -1)
        polynomial = (powers == 0).astype(np.float64)
        for _ in range(order):
            polynomial = derive.dot(polynomial)
        density = (places[:, None] ** powers).dot(polynomial) * density
    return density
