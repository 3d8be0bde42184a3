"""The gradients of pools by their images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from .._plan.borders import ZEROS
from .._plan.elements import name_of
from .._plan.geometry import RANK, Axis, Geometry
from .._plan.pool import AVERAGE, MAXIMUM, OPERATIONS
from .._plan.registry import FLOAT_DTYPES, Row
from .._plan.scatter import ADD_RATE, Added, scatter_words
from .._plan.select import scatter_row
from . import check, fallback_pool, fitting, ladder
from .copies import convert, copied, pieces
from .dtypes import floats_in
from .jobs import Call, Layouts, Places, call_of, job_of
from .kept import KEPT
from .layout import Layout
from .operator import Decision, Spatial
from .pool import Options, checked, counted_of, geometry_of, result_dtype
from .run import LONGEST_MICROSECONDS, Compute, Whole
from .transposed import GradientOptions, ImageGradient

# At a time by NumPy: the temporaries stay in the caches.
ADDED_ELEMENTS, COPIED_ELEMENTS = 1 << 15, 1 << 17
FEW_CHANNELS = 8  # of which a strided convolution takes longer than copies
PLACE = np.dtype(np.int64)


def average_gradient(rank: int, output_gradient, images_shape, out, n_threads, arguments: tuple):
    """What a door of gradients of averages gives for arguments as the user gave them; `arguments`
    are those of `checked` behind the operation."""
    options = checked(rank, OPERATIONS[AVERAGE], *arguments)
    shape = check.images_shape(images_shape, rank, "images_shape")
    return _averages(options, shape).apply(output_gradient, out, None, n_threads)


def maximum_gradient(
    rank: int, output_gradient, indices, images_shape, out, n_threads, data_format
) -> np.ndarray:
    """The same of maxima."""
    shape = check.images_shape(images_shape, rank, "images_shape")
    operator = _maxima(check.data_format(data_format, rank), shape, rank)
    indices = check.array("indices", indices)
    return operator.apply(output_gradient, out, indices, n_threads)


@functools.lru_cache(maxsize=KEPT)
def _averages(options: Options, images_shape: tuple[int, ...]) -> AverageGradient:
    """The operator of what was checked; kept."""
    return AverageGradient(options, images_shape)


@functools.lru_cache(maxsize=KEPT)
def _maxima(data_format: str, images_shape: tuple[int, ...], rank: int) -> MaximumGradient:
    """The same of maxima."""
    one = (1,) * rank  # the places say all of the windows
    options = Options(OPERATIONS[MAXIMUM], one, one, "valid", one, False, False, data_format)
    return MaximumGradient(options, images_shape)


class _PoolGradient(Spatial):
    """The gradient of a pool's images of a shape."""

    first = "output_gradient"

    def __init__(self, options: Options, images_shape: tuple[int, ...]) -> None:
        super().__init__(options.rank, options)
        self._shape = images_shape

    def _arrays(self, gradient: Layout, out: Layout | None, third: Layout | None) -> Layouts:
        """The layouts of a call, of a result that is to be allocated, too."""
        dtype = result_dtype(self._options.operation, gradient.dtype, self.first)
        if out is not None:
            fitting.out_fits(out, self._shape, dtype)
        return Layouts(gradient, out or Layout.new(self._shape, dtype), third)

    def _pixels_at(self, n_axes: int) -> range:
        """Which of so many axes are spatial."""
        end = n_axes if self._channels_first() else n_axes - 1
        return range(end - self._rank, end)

    def _add_up(self, out: np.ndarray, dtype: np.dtype, add: Callable[[np.ndarray], None]) -> None:
        """Let `add` add to zeros of a dtype, in C order, and make them the result."""
        suits = out.flags.carray and out.dtype == dtype
        sums = out if suits else np.empty(self._shape, dtype)
        convert(np.broadcast_to(dtype.type(0), self._shape), sums)  # piece by piece
        with np.errstate(all="ignore"):
            add(sums)
            if not suits:
                convert(sums, out)


class AverageGradient(_PoolGradient):
    """The gradient of averages: each window's own, divided by what it counts, is added to all its
    pixels, as a channelwise convolution of ones that is transposed does it."""

    def _decide(self, images: Layout, out: Layout | None, third: Layout | None) -> Decision:
        shape = self._shape
        geometry = geometry_of(self._options, self._channels_last(shape))
        pooled = self._result_shape(geometry, shape)
        fitting.output_gradient_fits(images, pooled, "pool")
        arrays = self._arrays(images, out, third)
        if 0 in pooled or 0 in shape:
            return Decision(arrays, 0.0, lambda _, out, *__: out.fill(0))
        summed = np.dtype(floats_in(name_of(arrays.out.dtype)))
        shares_and_out = Layouts(Layout.new(pooled, summed), arrays.out, None)
        microseconds, spread = self._spreading(geometry, summed, shares_and_out)
        divisors = np.broadcast_to(self._divisors(geometry).astype(summed), pooled)

        def compute(output_gradient, out, _, threads: int) -> None:
            shares = np.empty(pooled, summed)
            with np.errstate(all="ignore"):
                convert(output_gradient, shares)
                for at in pieces(pooled):
                    shares[at] /= divisors[at]
                spread(shares, out, None, threads)

        return Decision(arrays, microseconds, compute)

    def _spreading(
        self, geometry: Geometry, summed: np.dtype, arrays: Layouts
    ) -> tuple[float, Compute]:
        """What adds shares to the pixels of their windows, and how long it takes, roughly.  All
        ways add in the order of windows, and so to the same bits."""
        apart = all(axis.dilation == 1 and axis.stride >= axis.kernel for axis in geometry.axes)
        if apart and geometry.x.stride > 1 and geometry.c <= FEW_CHANNELS:
            return 0.0, self._copying(geometry)
        if _rung(summed.name) is not None:
            return self._layer(geometry, arrays.out.dtype, summed).planned(arrays)

        def spread(shares, out, *_) -> None:
            seen = self._seen(geometry, shares)
            add = fallback_pool.spread
            self._add_up(out, summed, lambda sums: add(geometry, seen, self._seen(geometry, sums)))

        return 0.0, spread

    def _copying(self, geometry: Geometry) -> Compute:
        """What copies shares to the pixels of windows that have none in common."""
        axes = geometry.axes[RANK - self._rank :]
        owners = dict(zip(self._pixels_at(len(self._shape)), map(_owners, axes), strict=True))

        def copy(shares, out, residual, threads) -> None:
            for at in pieces(self._shape, COPIED_ELEMENTS):
                read = list(at)
                for axis, (windows, _) in owners.items():
                    first, last = windows[at[axis]][[0, -1]]
                    read[axis] = slice(first, last + 1)
                part = shares[tuple(read)] + 0  # sums begin with 0, to which -0 adds nothing
                for axis, (windows, inside) in reversed(owners.items()):  # few rows first
                    # "clip" clips nothing here: it is what `take` does without a check each time.
                    part = part.take(windows[at[axis]] - read[axis].start, axis, mode="clip")
                    np.moveaxis(part, axis, 0)[~inside[at[axis]]] = 0
                out[at] = part

        return copy

    def _seen(self, geometry: Geometry, array: np.ndarray) -> np.ndarray:
        """An array in C order as (N, D, H, W, C)."""
        spatial = (array.shape[axis] for axis in self._pixels_at(array.ndim))
        sizes = *(1,) * (RANK - self._rank), *spatial
        if self._channels_first():
            return np.moveaxis(array.reshape(geometry.n, geometry.c, *sizes), 1, -1)
        return array.reshape(geometry.n, *sizes, geometry.c)

    def _layer(self, geometry: Geometry, dtype: np.dtype, summed: np.dtype) -> ImageGradient:
        """The convolution that adds shares up."""
        options, channels = self._options, geometry.c
        axes = geometry.axes[RANK - self._rank :]
        transposed = GradientOptions(
            options.strides,
            tuple((axis.before, _behind(axis)) for axis in axes),
            (ZEROS,) * self._rank,
            tuple(axis.size for axis in axes),
            self._shape,
            options.dilations,
            channels,
            options.data_format,
            check.FILTER_FORMATS[self._rank][0],
            dtype=dtype,
        )
        return ImageGradient(np.ones((*options.window, 1, channels), summed), None, transposed)

    def _divisors(self, geometry: Geometry) -> np.ndarray:
        """What each window counts, for all channels alike; of none that it has no part in."""
        axes, counted = geometry.axes, counted_of(self._options, geometry)
        outs = (slice(0, axis.out) for axis in axes)
        z, y, x = map(fallback_pool.counts, axes, outs, counted)
        every = np.maximum(z[:, None, None] * y[:, None] * x, 1)
        every = every.reshape([axis.out for axis in axes[RANK - self._rank :]])
        return every if self._channels_first() else every[..., np.newaxis]


def _behind(axis: Axis) -> int:
    """The padding behind with which a convolution has the windows of a pool, whose last one may
    reach further."""
    needed = (axis.out - 1) * axis.stride + axis.extent - axis.size - axis.before
    return max(axis.behind, needed)


def _owners(axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """The window that each pixel lies in, of windows that have none in common, and whether it lies
    in one; if not, any that keeps the order."""
    windows, taps = np.divmod(np.arange(axis.size) + axis.before, axis.stride)
    return np.minimum(windows, axis.out - 1), (windows < axis.out) & (taps < axis.kernel)


def _ends(indices: np.ndarray) -> tuple[int, int]:
    """The lowest and the highest of places; without any, none."""
    if not indices.size:
        return -1, -1
    some = [indices[at] for at in pieces(indices.shape)]
    return min(int(each.min()) for each in some), max(int(each.max()) for each in some)


class MaximumGradient(_PoolGradient):
    """The gradient of maxima: each window's own is added at its place, one after the other."""

    third = "indices"

    def _decide(self, images: Layout, out: Layout | None, third: Layout | None) -> Decision:
        assert third is not None  # the doors want it
        shape = self._shape
        self._check_axes(images.shape)
        fitting.pooled_shape_fits(images.shape, shape, self._pixels_at(len(shape)))
        fitting.indices_fit(third, images.shape)
        arrays = self._arrays(images, out, third)
        whole = self._joined(images.shape)  # channels are images where these come first
        pixels = self._joined(shape)[1]
        summed = np.dtype(floats_in(name_of(arrays.out.dtype)))
        add = _adding(whole, pixels, summed)

        def compute(output_gradient, out, indices, threads: int) -> None:
            fitting.places(*_ends(indices), pixels)
            arrays = _as(summed, output_gradient), _as(PLACE, indices)
            self._add_up(out, summed, lambda sums: add(arrays[0], sums, arrays[1], threads))

        return Decision(arrays, prod(whole) / ADD_RATE, compute)

    def _joined(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """How many images, pixels of each, and channels that lie side by side."""
        spatial = self._pixels_at(len(shape))
        ends = (0, spatial.start), (spatial.start, spatial.stop), (spatial.stop, len(shape))
        images, pixels, channels = (prod(shape[first:last]) for first, last in ends)
        return images, pixels, channels


def _rung(computed: str) -> ladder.Rung | None:
    """The rung of floats that kernels compute in; of others NumPy's, which is theirs anywhere."""
    return ladder.rung(computed) if computed in FLOAT_DTYPES else None


def _as(dtype: np.dtype, array: np.ndarray) -> np.ndarray:
    """An array in C order, of a dtype; copied unless it is that."""
    suits = array.flags.c_contiguous and array.flags.aligned
    return array if suits and array.dtype == dtype else copied(array, dtype.name)


def _adding(whole: tuple[int, int, int], pixels: int, dtype: np.dtype) -> Compute:
    """What adds elements at their places, one pixel after the other, of arrays in C order."""
    computed = dtype.name
    rung = _rung(computed)
    row = None if rung is None else scatter_row(computed, rung.level)
    if rung is None or row is None or rung.task(row) is None:
        return lambda *arrays: _add_by_numpy(whole, pixels, *arrays[:3])
    parts = list(pieces(whole, int(ADD_RATE * LONGEST_MICROSECONDS)))
    if len(parts) == 1:
        return Whole(lambda threads: _call(rung, row, Added(whole, whole, pixels), threads))

    def add_parts(gradient, sums, indices, threads: int) -> None:
        for at in parts:
            shape = tuple(each.stop - each.start for each in at)
            call = _call(rung, row, Added(shape, whole, pixels), threads, at)
            call(gradient, sums, indices)

    return add_parts


def _call(
    rung: ladder.Rung, row: Row, added: Added, threads: int, at: Sequence[slice] = ()
) -> Call:
    """What adds a part of the arrays."""
    image, output, channel = (each.start for each in at) if at else (0, 0, 0)
    _, outputs, channels = added.whole
    first = (image * outputs + output) * channels + channel
    target = (image * added.pixels * channels + channel) * row.itemsize
    job = job_of(rung, row, scatter_words(added, threads))
    places = Places(first * row.itemsize, target, first * PLACE.itemsize - target)
    return call_of(rung, [job._replace(**places._asdict())], threads)


def _add_by_numpy(whole, pixels: int, gradient, sums, indices) -> None:
    """The same by NumPy."""
    channels = whole[-1]
    gradient, indices = gradient.reshape(whole), indices.reshape(whole)
    for at in pieces(whole, ADDED_ELEMENTS):
        image, _, channel = (np.arange(each.start, each.stop) for each in at)
        first = image[:, np.newaxis, np.newaxis] * (pixels * channels) + channel
        present = indices[at] >= 0
        where = indices[at] * channels + first
        np.add.at(sums.reshape(-1), where[present], gradient[at][present])
