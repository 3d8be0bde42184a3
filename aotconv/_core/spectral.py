"""Convolution by Fourier transforms, section by section, of arrays of any rank.

SciPy's transforms where SciPy is installed, else NumPy's; both are loaded when the first
convolution asks for them.  Their versions say what the last bits are, and nothing else but the
arrays: neither threads nor times.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import log2, prod
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .._plan import spectral as plan
from .._plan.borders import ZEROS, maps
from .._plan.elements import HALVES, name_of
from .._plan.geometry import Axis
from .copies import convert, pieces
from .pad import places

Store = Callable[[np.ndarray, np.ndarray], None]

ERROR = 10  # units of the bound below
MOST_RUNS = 16  # along a side; arrays that borders repeat more often are small


def correlate(
    array: np.ndarray,
    weights: np.ndarray,
    out: np.ndarray,
    axes: Sequence[Axis],
    *,
    dtype: np.dtype | None = None,
    value: complex = 0,
    summed: bool = False,
    store: Store = convert,
) -> None:
    """Correlate arrays with windows along their last axes.

    Let x be the elements of a section of the array, n their number, and w the window.  Then each of
    its outputs is within ``ERROR * eps * log2(2 n) * ||x|| * ||w||`` of the exact one, in Euclidean
    norms and eps of the floats that are computed in; a channel more is as if x and w were longer.
    (Each of three transforms errs by 3.3 eps for each doubling of n at most: N. J. Higham,
    "Accuracy and Stability of Numerical Algorithms", theorem 24.2.)  A NaN or an infinity reaches
    all outputs of the sections that read it.

    Parameters
    ----------
    array, weights, out : ndarray
        Of any layout, dtype and leading axes, which are broadcast; `out`, of whichever dtype, has
        those and shares no memory with the others.  Those along which the weights differ stand best
        in front: then no window is transformed twice.
    axes : sequence of Axis
        Their last axes.
    dtype : dtype, optional
        What is computed in: floats, or complex numbers if either is complex.
    value : number
        What is around arrays where an axis' border is a constant.
    summed : bool
        Whether the last of the leading axes is channels, which are summed: with images
        ``(N, C, ..)`` and filters ``(O, 1, C, ..)`` `out` is ``(O, N, ..)``.
    store : callable
        Puts values of a section into their part of `out`; by default as they are cast.

    Notes
    -----
    Overlap-save: a section is read with all that its outputs' windows reach over, and those outputs
    are kept to which nothing was carried around its ends.  Beside the result, memory is taken for
    four times `plan.MOST_ELEMENTS`, or sixteen times the window's.
    """
    if 0 in out.shape:
        return
    rank = len(axes)
    leading = np.broadcast_shapes(array.shape[:-rank], weights.shape[:-rank])
    dtype = dtype or computed_in(array.dtype, weights.dtype)
    reaches = tuple(plan.Reach(each.out, each.extent, each.stride) for each in axes)
    channels = max(1, leading[-1]) if summed else 1
    sizes = plan.section(reaches, prod(leading), dtype.itemsize, channels)
    array, weights = (_with_axes(each, len(leading) + rank) for each in (array, weights))
    count = reaches[0].fits(sizes[0])
    if rank == 1 and _is_cut(axes[0], count):
        for some, result, axis in _lines(array, out, axes[0], count):
            told: Any = {"dtype": dtype, "value": value, "summed": summed, "store": store}
            correlate(some, weights, result, [axis], **told)
        return
    with np.errstate(all="ignore"):
        around = np.array(value).astype(dtype)
        arrays = array, weights, out
        _correlate(Transform(sizes, dtype), arrays, axes, around, summed, store)


def _correlate(
    transform: Transform,
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray],
    axes: Sequence[Axis],
    value: np.ndarray,
    summed: bool,
    store: Store,
) -> None:
    """The same of arrays that have all axes, by sections of a transform."""
    array, weights, out = arrays
    rank = len(axes)
    sides = [list(_sides(*each)) for each in zip(axes, transform.sizes, strict=True)]
    channels = max(array.shape[-rank - 1], 1) if summed else 1
    last: Any = None
    for at in pieces(out.shape[:-rank], max(1, plan.lines(transform.sizes) // channels)):
        every = (*at, slice(None)) if summed else at
        mine = _under(every, weights)
        if mine != last:
            last, spectra = mine, transform.of_window(weights[mine], axes)
        part, target = array[_under(every, array)], out[at]
        for each in product(*sides):
            spectrum = transform.forward(_gathered(part, each, transform, value))
            spectrum = _products(spectrum, spectra, -rank - 1 if summed else None)
            outs: Any = (side.outs for side in each)
            store(transform.back(spectrum, each), target[(..., *outs)])


def _is_cut(axis: Axis, count: int) -> bool:
    """Whether several sections of so many outputs each lie inside an array."""
    first, last = axis.between
    return last - first >= 2 * count


def _lines(
    array: np.ndarray, out: np.ndarray, axis: Axis, count: int
) -> Iterator[tuple[np.ndarray, np.ndarray, Axis]]:
    """Parts of a convolution along one axis: the sections that lie inside as lines of an array, as
    transforms of several lines take half the time of as many of one; and what is before and behind.
    """
    first, last = axis.between
    n_lines, step = (last - first) // count, count * axis.stride
    stop = first + n_lines * count
    read = step - axis.stride + axis.extent
    lines = sliding_window_view(array, read, -1)[..., first * axis.stride - axis.before :: step, :]
    results = out[..., first:stop].reshape(*out.shape[:-1], n_lines, count)
    inner = axis._replace(size=read, before=0, behind=0, out=count, border=ZEROS)
    yield np.moveaxis(lines[..., :n_lines, :], -2, 0), np.moveaxis(results, -2, 0), inner
    yield array, out[..., :first], axis._replace(out=first)
    before, outs = axis.before - stop * axis.stride, axis.out - stop
    yield array, out[..., stop:], axis._replace(before=before, out=outs)


def computed_in(*dtypes: np.dtype) -> np.dtype:
    """The floats, or complex numbers, of which transforms are; float64 where integers are."""
    floats = [np.float32 if name_of(each) in HALVES else each for each in dtypes]
    integers = any(each.kind in "biu" for each in dtypes)
    return np.result_type(np.float64 if integers else np.float32, *floats)


def is_faster(reaches: tuple[plan.Reach, ...], n_lines: int, dtype: np.dtype) -> bool:
    """Whether transforms take less time than kernels; what transforms is not loaded where even the
    faster engine would lose."""
    about = reaches, n_lines, dtype.name
    return plan.is_faster(*about, "scipy") and plan.is_faster(*about, engine().name)


def is_exact(most: float, weights: np.ndarray, sizes: Sequence[int], dtype: np.dtype) -> bool:
    """Whether whole sums, of elements up to `most` in sections of some sizes, are exact once they
    are rounded: whether no error is a half."""
    n = prod(sizes)
    norms = most * n**0.5 * float(np.linalg.norm(weights.astype(np.float64)))
    return ERROR * float(np.finfo(dtype).eps) * log2(2 * n) * norms < 0.5


class Engine(NamedTuple):
    """A module of transforms, its name, and keywords for what may be overwritten."""

    module: ModuleType
    name: str
    overwrites: dict[str, bool]


@functools.cache
def engine() -> Engine:
    try:
        from scipy import fft
    except ImportError:
        return Engine(np.fft, "numpy", {})
    return Engine(fft, "scipy", {"overwrite_x": True})


class Transform:
    """Of sections of some sizes, their last axes, there and back."""

    def __init__(self, sizes: Sequence[int], dtype: np.dtype) -> None:
        self.sizes, self.dtype = tuple(sizes), dtype
        self._is_real = dtype.kind == "f"
        self._fft, _, self._overwrites = engine()
        self._axes = tuple(range(-len(sizes), 0))

    def forward(self, section: np.ndarray) -> np.ndarray:
        """The spectrum of a section, which may be overwritten."""
        if self._is_real:
            return self._fft.rfftn(section, axes=self._axes)
        return self._fft.fftn(section, axes=self._axes, **self._overwrites)

    def of_window(self, weights: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
        """The factors that correlate with a window."""
        section = np.zeros((*weights.shape[: -len(axes)], *self.sizes), self.dtype)
        inside: Any = (slice(None, axis.extent, axis.dilation) for axis in axes)
        section[(..., *inside)] = weights.conj()
        return self.forward(section).conj()

    def back(self, spectrum: np.ndarray, sides: Sequence[Side]) -> np.ndarray:
        """The outputs of sections; what is none is left out as soon as an axis is done."""
        for axis, side in zip(self._axes, sides, strict=True):
            if axis == -1 and self._is_real:
                spectrum = self._fft.irfft(spectrum, self.sizes[-1], axis, **self._overwrites)
            else:
                spectrum = self._fft.ifft(spectrum, axis=axis, **self._overwrites)
            kept: Any = (side.kept, *[slice(None)] * (-1 - axis))
            spectrum = spectrum[(..., *kept)]
        return spectrum


class Side(NamedTuple):
    """Along one axis, what a section is of.

    Attributes
    ----------
    outs, kept : slice
        The outputs, and which elements of what was transformed back they are.
    reach : slice
        What the outputs' windows reach over.
    runs : list of Run
        Where the section's elements are from, but for those of a constant border.
    """

    outs: slice
    kept: slice
    reach: slice
    runs: list[Run]


class Run(NamedTuple):
    """Where along an axis of a section elements stand, and which of the array's they are."""

    place: slice
    source: slice | np.ndarray


def _sides(axis: Axis, size: int) -> Iterator[Side]:
    """The sections along an axis."""
    count = plan.Reach(axis.out, axis.extent, axis.stride).fits(size)
    for start in range(0, axis.out, count):
        stop = min(start + count, axis.out)
        first = start * axis.stride - axis.before
        read = (stop - start - 1) * axis.stride + axis.extent
        inside = slice(max(0, -first), max(0, min(axis.size - first, read)))
        runs = [Run(inside, slice(inside.start + first, max(0, inside.stop + first)))]
        if maps(axis.border) and inside != slice(0, read):
            runs = _runs(places(np.arange(first, first + read), axis))
        kept = slice(0, (stop - start - 1) * axis.stride + 1, axis.stride)
        yield Side(slice(start, stop), kept, slice(0, read), runs)


def _runs(taken: np.ndarray) -> list[Run]:
    """Places cut where the step from one to the next changes, unless that is often."""
    runs: list[Run] = []
    start, steps = 0, np.diff(taken)
    while start < len(taken):
        step = int(steps[start]) if start < len(steps) else 1
        others = np.flatnonzero(steps[start:] != step)
        stop = start + int(others[0]) + 1 if len(others) else len(taken)
        first, last = int(taken[start]), int(taken[stop - 1])
        behind = last + (1 if step >= 0 else -1)
        source = slice(first, behind if behind >= 0 else None, step or 1)
        runs.append(Run(slice(start, stop), source))
        if len(runs) > MOST_RUNS:
            return [Run(slice(0, len(taken)), taken)]
        start = stop
    return runs


def _gathered(
    array: np.ndarray, sides: Sequence[Side], transform: Transform, value: np.ndarray
) -> np.ndarray:
    """What sections of arrays read."""
    rank = len(sides)
    section = np.zeros((*array.shape[:-rank], *transform.sizes), transform.dtype)
    if value:
        reach: Any = (side.reach for side in sides)
        section[(..., *reach)] = value
    for runs in product(*(side.runs for side in sides)):
        place: Any = (run.place for run in runs)
        section[(..., *place)] = _taken(array, [run.source for run in runs])
    return section


def _taken(array: np.ndarray, sources: Sequence[slice | np.ndarray]) -> np.ndarray:
    """Elements of the last axes of arrays."""
    at: Any = (each if isinstance(each, slice) else slice(None) for each in sources)
    array = array[(..., *at)]
    for axis, each in enumerate(sources, -len(sources)):
        if not isinstance(each, slice):
            array = array.take(each, axis)
    return array


def _products(spectra: np.ndarray, weights: np.ndarray, channels: int | None) -> np.ndarray:
    """Products of spectra of arrays and of windows, summed along an axis where they have channels;
    those of arrays may be overwritten."""
    if channels is None:
        fits = np.broadcast_shapes(spectra.shape, weights.shape) == spectra.shape
        return np.multiply(spectra, weights, out=spectra if fits else None)
    each = zip(np.moveaxis(spectra, channels, 0), np.moveaxis(weights, channels, 0), strict=True)
    total = np.multiply(*next(each))
    for one, other in each:
        total += one * other
    return total


def _with_axes(array: np.ndarray, ndim: int) -> np.ndarray:
    """An array with so many axes, leading ones of 1 in front."""
    return array.reshape((1,) * (ndim - array.ndim) + array.shape)


def _under(at: tuple[slice, ...], array: np.ndarray) -> tuple[slice, ...]:
    """The part of an array that is broadcast to a part of leading axes."""
    each = zip(at, array.shape, strict=False)
    return tuple(slice(None) if size == 1 else one for one, size in each)
