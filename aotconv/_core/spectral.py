"""Convolution by Fourier transforms, section by section, of arrays of any rank.

SciPy's transforms where SciPy is installed, else NumPy's; both are loaded when the first
convolution asks for them.  Their versions say what the last bits are, and nothing else but the
arrays: neither threads nor times.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, product
from math import log2, prod
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._plan import spectral as plan
from .._plan.borders import maps
from .._plan.elements import HALVES, name_of
from .._plan.geometry import Axis
from .copies import convert, pieces
from .pad import places

Store = Callable[[np.ndarray, tuple[slice, ...]], None]

ERROR, ERROR_OF_CHANNEL = 10, 2  # units of the bound below
MOST_RUNS = 16  # along a side; arrays that borders repeat more often are small


class Windows(ABC):
    """Windows, and what their spectra make of those of arrays.

    Attributes
    ----------
    dtype : dtype
        What is computed in: floats, or complex numbers if an array or a window has such.
    behind : int
        How many axes arrays have behind those of windows: one, if they have channels.
    """

    dtype: np.dtype
    behind = 0

    @abstractmethod
    def leading(self, array: tuple[int, ...]) -> tuple[int, ...]:
        """The leading axes of results, from those of an array."""

    @abstractmethod
    def work(self, reaches: tuple[plan.Reach, ...], arrays: int) -> plan.Work:
        """What is to be done of so many arrays."""

    @abstractmethod
    def factors(self, at: tuple[slice, ...], transform: Transform, axes: Sequence[Axis]) -> Any:
        """What `multiply` is given for a part of the leading axes of results."""

    @abstractmethod
    def multiply(self, spectra: np.ndarray, factors: Any) -> np.ndarray:
        """The spectra of results, from those of arrays, which may be overwritten."""


class Alone(Windows):
    """Windows whose leading axes are broadcast with those of arrays.

    Those along which windows differ stand best in front: then none is transformed twice.
    """

    def __init__(self, weights: np.ndarray, rank: int, dtype: np.dtype) -> None:
        self.dtype, self._weights, self._rank = dtype, weights, rank
        self._last: tuple[Any, ...] = ()

    def leading(self, array: tuple[int, ...]) -> tuple[int, ...]:
        return np.broadcast_shapes(array, self._weights.shape[: -self._rank])

    def work(self, reaches: tuple[plan.Reach, ...], arrays: int) -> plan.Work:
        return plan.Work(reaches, self.dtype.itemsize, arrays)

    def factors(self, at: tuple[slice, ...], transform: Transform, axes: Sequence[Axis]) -> Any:
        weights = _with_axes(self._weights, len(at) + self._rank)
        key = transform, _under(at, weights)
        if self._last[:2] != key:
            self._last = *key, transform.of_window(weights[key[1]], axes)
        return self._last[2]

    def multiply(self, spectra: np.ndarray, factors: Any) -> np.ndarray:
        fits = np.broadcast_shapes(spectra.shape, factors.shape) == spectra.shape
        return np.multiply(spectra, factors, out=spectra if fits else None)


def correlate(
    array: np.ndarray,
    windows: Windows,
    axes: Sequence[Axis],
    store: Store,
    value: complex = 0,
) -> None:
    """Correlate arrays with windows along their last axes, channels not counted.

    Let x be the elements of a section of the array, n their number, and w the window.  Then each of
    its outputs is within ``ERROR * eps * log2(2 n) * ||x|| * ||w||`` of the exact one, in Euclidean
    norms and eps of the floats that are computed in.  (Each of three transforms errs by 3.3 eps for
    each doubling of n at most: N. J. Higham, "Accuracy and Stability of Numerical Algorithms",
    theorem 24.2.)  With channels x and w have all that are summed, and for each of them
    ``ERROR_OF_CHANNEL`` stands beside the logarithm's term.  A NaN or an infinity reaches all
    outputs of the sections that read it.

    Parameters
    ----------
    array : ndarray
        Of any layout, dtype and leading axes.
    windows : Windows
    axes : sequence of Axis
        Those of windows.
    store : callable
        Is given values, and where in the result they belong; they may be overwritten.
    value : number
        What is around arrays where an axis' border is a constant.

    Notes
    -----
    Overlap-save: a section is read with all that its outputs' windows reach over, and those outputs
    are kept to which nothing was carried around its ends.  Beside the result, memory is taken for
    four times `plan.MOST_ELEMENTS`, or sixteen times the window's; with channels for four times
    `plan.MOST_SUMMED`, or what a section needs, beside the windows' spectra.
    """
    behind = windows.behind
    lead = array.ndim - len(axes) - behind
    leading = windows.leading(array.shape[:lead])
    reaches = tuple(map(plan.Reach.of, axes))
    if 0 in leading or any(each.outs < 1 for each in reaches):
        return
    work = windows.work(reaches, prod(leading))
    sizes = plan.section(work)
    together = work.together(sizes)
    transform = Transform(sizes, windows.dtype, behind)
    array = _with_axes(array, len(leading) + array.ndim - lead)
    sides = [list(_sides(*each)) for each in zip(axes, sizes, strict=True)]
    with np.errstate(all="ignore"):
        around = np.array(value).astype(windows.dtype)
        for at in pieces(leading, together):
            factors = windows.factors(at, transform, axes)
            part = array[_under(at, array)]
            arrays = prod(each.stop - each.start for each in at)
            for some in _batches(product(*sides), max(1, together // arrays)):
                sections = _gathered(part, some, transform, around)
                spectra = windows.multiply(transform.forward(sections), factors)
                for values, each in zip(transform.back(spectra, some), some, strict=True):
                    kept = (slice(0, side.outs.stop - side.outs.start) for side in each)
                    outs = (side.outs for side in each)
                    store(values[(*map(slice, values.shape[: len(at)]), *kept)], (*at, *outs))


def into(out: np.ndarray, put: Callable[[np.ndarray, np.ndarray], None] = convert) -> Store:
    """What puts values into an array, whose last axes are those of windows."""
    return lambda values, at: put(values, out[at])


@functools.lru_cache(maxsize=256)
def computed_in(*dtypes: np.dtype) -> np.dtype:
    """The floats, or complex numbers, of which transforms are; float64 where integers are."""
    floats = [np.float32 if name_of(each) in HALVES else each for each in dtypes]
    integers = any(each.kind in "biu" for each in dtypes)
    return np.result_type(np.float64 if integers else np.float32, *floats)


def circular(
    in1: np.ndarray, in2: np.ndarray, sizes: Sequence[int], axes: Sequence[int], dtype: np.dtype
) -> np.ndarray:
    """The circular convolution of arrays with zeros behind them, up to some sizes along some axes,
    computed in a dtype; as one section, with the errors of `correlate`."""
    fft = engine().module
    there, back = (fft.rfftn, fft.irfftn) if dtype.kind == "f" else (fft.fftn, fft.ifftn)
    with np.errstate(all="ignore"):
        first, second = (there(each.astype(dtype, copy=False), sizes, axes) for each in (in1, in2))
        return back(first * second, sizes, axes).astype(dtype, copy=False)


def is_faster(work: plan.Work, others: float) -> bool:
    """Whether transforms take less time than so many nanoseconds; what transforms is not loaded
    where even the faster engine would lose."""
    return plan.is_faster(work, others, "scipy") and plan.is_faster(work, others, engine().name)


def is_exact(most: float, norm: float, work: plan.Work, dtype: np.dtype) -> bool:
    """Whether whole sums, of elements up to `most` and windows up to a norm, are exact once they
    are rounded: whether no error is a half."""
    n, channels = prod(plan.section(work)), work.channels // work.groups
    norms = most * (n * channels) ** 0.5 * norm
    units = ERROR * log2(2 * n) + (ERROR_OF_CHANNEL * channels if work.is_summed else 0)
    return float(np.finfo(dtype).eps) * units * norms < 0.5


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
    """Of sections of some sizes, their last axes but those behind, there and back."""

    def __init__(self, sizes: Sequence[int], dtype: np.dtype, behind: int) -> None:
        self.sizes, self.dtype, self.behind = tuple(sizes), dtype, behind
        self._is_real = dtype.kind == "f"
        self._fft, _, self._overwrites = engine()
        self._axes = tuple(range(-len(sizes) - behind, -behind))

    def around(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The sizes of an array's axes before those of sections, and behind them."""
        first = len(shape) + self._axes[0]
        return shape[:first], shape[first + len(self.sizes) :]

    def forward(self, section: np.ndarray) -> np.ndarray:
        """The spectrum of a section, which may be overwritten."""
        if self._is_real:
            return self._fft.rfftn(section, axes=self._axes)
        return self._fft.fftn(section, axes=self._axes, **self._overwrites)

    def of_window(self, weights: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
        """The factors that correlate with a window."""
        lead, channels = self.around(weights.shape)
        section = np.zeros((*lead, *self.sizes, *channels), self.dtype)
        inside: Any = (slice(None, axis.extent, axis.dilation) for axis in axes)
        section[(..., *inside, *map(slice, channels))] = weights.conj()
        return self.forward(section).conj()

    def back(self, spectra: np.ndarray, some: Sequence[Sides]) -> np.ndarray:
        """The outputs of sections; what is none is left out as soon as an axis is done."""
        for i, axis in enumerate(self._axes):
            if axis == self._axes[-1] and self._is_real:
                spectra = self._fft.irfft(spectra, self.sizes[-1], axis, **self._overwrites)
            else:
                spectra = self._fft.ifft(spectra, axis=axis, **self._overwrites)
            kept: Any = max((each[i].kept for each in some), key=lambda kept: kept.stop)
            spectra = spectra[(..., kept, *[slice(None)] * (-1 - axis))]
        return spectra


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


Sides: TypeAlias = tuple[Side, ...]  # of a section, one along each axis


class Run(NamedTuple):
    """Where along an axis of a section elements stand, and which of the array's they are."""

    place: slice
    source: slice | np.ndarray


def _sides(axis: Axis, size: int) -> Iterator[Side]:
    """The sections along an axis."""
    count = plan.Reach.of(axis).fits(size)
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
    array: np.ndarray, some: Sequence[Sides], transform: Transform, value: np.ndarray
) -> np.ndarray:
    """What sections of arrays read, one behind the other."""
    lead, channels = transform.around(array.shape)
    sections = np.zeros((len(some), *lead, *transform.sizes, *channels), transform.dtype)
    every = (slice(None),) * len(channels)
    for section, sides in zip(sections, some, strict=True):
        if value:
            reach: Any = (side.reach for side in sides)
            section[(..., *reach, *every)] = value
        for runs in product(*(side.runs for side in sides)):
            place: Any = (run.place for run in runs)
            sources = [run.source for run in runs]
            section[(..., *place, *every)] = _taken(array, sources, len(every))
    return sections


def _taken(array: np.ndarray, sources: Sequence[slice | np.ndarray], behind: int) -> np.ndarray:
    """Elements of the last axes of arrays but those behind."""
    at: Any = (each if isinstance(each, slice) else slice(None) for each in sources)
    array = array[(..., *at, *[slice(None)] * behind)]
    for axis, each in enumerate(sources, -len(sources) - behind):
        if not isinstance(each, slice):
            array = array.take(each, axis)
    return array


def _batches(every: Iterable[Sides], most: int) -> Iterator[list[Sides]]:
    every = iter(every)
    while some := list(islice(every, most)):
        yield some


def _with_axes(array: np.ndarray, ndim: int) -> np.ndarray:
    """An array with so many axes, leading ones of 1 in front."""
    return array.reshape((1,) * (ndim - array.ndim) + array.shape)


def _under(at: tuple[slice, ...], array: np.ndarray) -> tuple[slice, ...]:
    """The part of an array that is broadcast to a part of leading axes."""
    each = zip(at, array.shape, strict=False)
    return tuple(slice(None) if size == 1 else one for one, size in each)
