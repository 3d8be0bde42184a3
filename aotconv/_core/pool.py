"""Pools: a maximum or an average of each channel of each window."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .._plan.elements import name_of
from .._plan.geometry import Geometry
from .._plan.parts import cut
from .._plan.pool import (
    AVERAGE,
    HELD,
    INDEXED,
    MAXIMUM,
    OPERATIONS,
    Pool,
    can_count,
    pool_words,
    signed,
    times,
)
from .._plan.select import estimate, pool_row
from . import check, fallback_pool, fitting, ladder
from .copies import convert, copied
from .dtypes import floats_in
from .jobs import Call, Job, Layouts, Places, call_of, job_of
from .kept import KEPT
from .layout import Layout, View
from .operator import Decision, Spatial
from .run import LONGEST_MICROSECONDS, Compute, Whole


class Options(NamedTuple):
    """What makes a pool, checked, in a canonical form."""

    operation: str
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Any
    dilations: tuple[int, ...]
    ceil_mode: bool
    count_padding: bool
    data_format: str
    dtype: np.dtype | None = None  # of averages; None: what follows from the images'

    @property
    def rank(self) -> int:
        return len(self.window)

    @property
    def channels_first(self) -> bool:
        return not self.data_format.endswith("C")


def checked(
    rank,
    operation,
    window,
    strides,
    padding,
    dilations,
    ceil_mode,
    data_format,
    count_padding=False,
    dtype=None,
) -> Options:
    """The options of arguments as the user gave them."""
    window = check.numbers("window", window, rank, 1)
    strides = window if strides is None else check.numbers("strides", strides, rank, 1)
    dilations = check.numbers("dilations", dilations, rank, 1)
    return Options(
        operation,
        window,
        strides,
        check.pool_padding(padding, window, dilations),
        dilations,
        check.flag("ceil_mode", ceil_mode),
        check.flag("count_padding", count_padding),
        check.data_format(data_format, rank),
        check.average_dtype(dtype),
    )


@functools.lru_cache(maxsize=KEPT)
def pools_of(options: Options) -> Pools:
    """The pools of these options; kept."""
    return Pools(options)


@functools.lru_cache(maxsize=KEPT, typed=True)
def _pools_of_constants(*arguments) -> Pools:
    """The pools of arguments of `checked` that say the same for ever; kept."""
    return pools_of(checked(*arguments))


def _pools(rank: int, operation: str, *others) -> Pools:
    """The pools of arguments as the user gave them."""
    if all(type(each) in check.CONSTANTS for each in others):
        return _pools_of_constants(rank, operation, *others)
    return pools_of(checked(rank, operation, *others))


def maxima(images, out, n_threads, return_indices, arguments: tuple):
    """What a door of maxima gives for arguments as the user gave them; `arguments` are the rank and
    those of `checked` behind the operation."""
    indexed = check.flag("return_indices", return_indices)
    rank, *others = arguments
    pools = _pools(rank, OPERATIONS[INDEXED if indexed else MAXIMUM], *others)
    return pools.indexed(images, out, n_threads) if indexed else pools(images, out, n_threads)


def averages(images, out, n_threads, arguments: tuple) -> np.ndarray:
    """The same of a door of averages."""
    rank, *others = arguments
    return _pools(rank, OPERATIONS[AVERAGE], *others)(images, out, n_threads)


class Pools(Spatial):
    """Pools of some options, and what was decided for the arrays that they met."""

    third = "indices"

    def __init__(self, options: Options) -> None:
        super().__init__(options.rank, options)

    def __call__(self, images, out, n_threads) -> np.ndarray:
        """The result of arguments as the user gave them."""
        if n_threads is None:
            result = self.repeated(images, out)
            if result is not None:
                return result
        return self.apply(images, out, None, n_threads)

    def indexed(self, images, out, n_threads) -> tuple[np.ndarray, np.ndarray]:
        """The result, and the place in its image of each element of it."""
        images = check.array("images", images)
        shape = self._result_shape(self._geometry(images.shape), images.shape)
        indices = np.empty(shape, np.int64)
        return self.apply(images, out, indices, n_threads), indices

    def _geometry(self, shape: tuple[int, ...]) -> Geometry:
        """The sizes for images of a shape, leading axes taken as one."""
        self._check_axes(shape)
        return geometry_of(self._options, self._channels_last(shape))

    def _decide(self, images: Layout, out: Layout | None, third: Layout | None) -> Decision:
        options = self._options
        geometry = self._geometry(images.shape)
        shape = self._result_shape(geometry, images.shape)
        own = result_dtype(options.operation, images.dtype)
        dtype = options.dtype or own
        if out is not None:
            fitting.out_fits(out, shape, dtype)
        arrays = Layouts(images, out or Layout.new(shape, dtype), third)
        computing = self._computing if dtype == own else self._converting
        microseconds, compute = computing(geometry, arrays)
        return Decision(arrays, microseconds, compute)

    def _converting(self, geometry: Geometry, arrays: Layouts) -> tuple[float, Compute]:
        """The same of averages of images that are copied as what these are summed in."""
        images, out, _ = arrays
        summed = np.dtype(floats_in(name_of(out.dtype)))
        is_result = out.dtype == summed
        target = out if is_result else Layout.new(out.shape, summed)
        copies = Layouts(Layout.new(images.shape, summed), target, None)
        microseconds, average = self._computing(geometry, copies)

        def compute(images, out, _, threads: int) -> None:
            with np.errstate(all="ignore"):
                sources = copied(images, summed.name)
                result = out if is_result else np.empty(out.shape, summed)
                average(sources, result, None, threads)
                if not is_result:
                    convert(result, out)

        return microseconds, compute

    def _computing(self, geometry: Geometry, arrays: Layouts) -> tuple[float, Compute]:
        """What computes, and how long it takes on one thread, roughly."""
        if 0 in arrays.out.shape:
            return 0.0, lambda *_: None
        seen = Seen.of(self._options, arrays)
        layouts = seen.layouts(arrays)
        n, *_, c = layouts.out.shape
        geometry = geometry._replace(n=n, c=c, o=c, groups=c)
        task = _Task.of(self._options, geometry, layouts)
        if task is not None:
            places = list(seen.outer_places(arrays))
            microseconds = task.microseconds * len(places)
            if microseconds <= LONGEST_MICROSECONDS:
                return microseconds, Whole(lambda threads: task.call(places, threads))
            return microseconds, lambda *given: task.in_parts(places, *given)
        options = self._options
        counted, steps = counted_of(options, geometry), steps_of(geometry)

        def by_numpy(images, out, indices, _) -> None:
            for index in np.ndindex(*seen.view.outer):
                source, target = seen.array(images, index), seen.array(out, index)
                beside = None if indices is None else seen.array(indices, index)
                how = geometry, options.operation, counted, steps
                fallback_pool.pool(*how, source, target, beside)

        return 0.0, by_numpy


def geometry_of(options: Options, shape: tuple[int, ...]) -> Geometry:
    """The sizes for images of a shape with channels last, leading axes taken as one."""
    o = options
    return fitting.pool_geometry(shape, o.window, o.strides, o.padding, o.dilations, o.ceil_mode)


def result_dtype(operation: str, dtype: np.dtype, name: str = "images") -> np.dtype:
    """Of a pool of images of a dtype, or of its gradient; `name` is what users call these."""
    if dtype.kind == "c":
        kind = "averages" if operation == OPERATIONS[AVERAGE] else "maxima"
        raise TypeError(f"{name} must hold integers or floats for {kind}, got dtype {dtype}")
    if operation == OPERATIONS[AVERAGE] and dtype.kind in "iu":
        return np.dtype(np.float64)
    return dtype if dtype.isnative else dtype.newbyteorder("=")


def steps_of(geometry: Geometry) -> tuple[int, int, int]:
    """How many pixels of an image a plane, a row and a pixel are."""
    return geometry.y.size * geometry.x.size, geometry.x.size, 1


def counted_of(options: Options, geometry: Geometry) -> tuple[tuple[int, int], ...]:
    """Of each axis the first place that an average counts, and the first behind them."""
    axes = geometry.axes
    if options.count_padding:
        return tuple((-axis.before, axis.size + axis.behind) for axis in axes)
    return tuple((0, axis.size) for axis in axes)


class Seen(NamedTuple):
    """How arrays are seen as (N, D, H, W, C).

    Attributes
    ----------
    view : View
    channels_first : bool
        Whether users have channels before spatial axes.
    apart : bool
        Whether channels are images: they do not lie side by side.
    """

    view: View
    channels_first: bool
    apart: bool

    @classmethod
    def of(cls, options: Options, arrays: Layouts) -> Seen:
        rank, first = options.rank, options.channels_first
        axis = -rank - 1 if first else -1
        present = [each for each in arrays if each is not None]
        beside = all(
            each.shape[axis] == 1 or each.strides[axis] == each.dtype.itemsize for each in present
        )
        seen = cls(View(rank, first), first, not beside)
        lifted = [seen._lifted(each) for each in present]
        return seen._replace(view=View.of(lifted, rank, first and beside))

    def _order(self, axes: int) -> list[int]:
        """Of an array of so many axes the order in which channels are images."""
        order = list(range(axes))
        if not self.channels_first:
            order.insert(axes - 1 - self.view.rank, order.pop())
        return order

    def _lifted(self, layout: Layout) -> Layout:
        """A layout whose channels are images, if they are."""
        if not self.apart:
            return layout
        order = self._order(len(layout.shape))
        shape, strides = ([each[i] for i in order] for each in (layout.shape, layout.strides))
        return layout._replace(shape=(*shape, 1), strides=(*strides, layout.dtype.itemsize))

    def layouts(self, arrays: Layouts) -> Layouts:
        """The layouts of what `array` gives."""
        images, out, indices = arrays
        source, target = (self.view.layout(self._lifted(each)) for each in (images, out))
        beside = None if indices is None else self.view.layout(self._lifted(indices))
        return Layouts(source, target, beside)

    def array(self, array: np.ndarray, index: tuple[int, ...]) -> np.ndarray:
        """An array behind its outer axes, at an index of these."""
        if self.apart:
            array = array.transpose(self._order(array.ndim))[..., np.newaxis]
        return self.view.array(array[index])

    def outer_places(self, arrays: Layouts) -> Iterator[Places]:
        """Bytes to what `array` gives at each index."""
        lifted = [None if each is None else self._lifted(each) for each in arrays]
        for index in np.ndindex(*self.view.outer):
            image, out, beside = (
                0 if each is None else sum(map(int.__mul__, index, each.strides[: len(index)]))
                for each in lifted
            )
            yield Places(image, out, 0 if lifted[2] is None else beside - out)


class _Task(NamedTuple):
    """A pool by a compiled kernel, on arrays seen as (N, D, H, W, C)."""

    rung: ladder.Rung
    pool: Pool

    @classmethod
    def of(cls, options: Options, geometry: Geometry, layouts: Layouts) -> _Task | None:
        """None where no compiled kernel computes it."""
        images, out, indices = layouts
        rung, holds = ladder.rung("float32"), name_of(images.dtype)  # the row is of all types
        if rung is None or signed(holds) not in HELD:
            return None
        if not (images.dtype.isnative and out.dtype.isnative):
            return None
        beside = out.strides if indices is None else indices.strides
        counted, steps = counted_of(options, geometry), steps_of(geometry)
        strides = images.strides, out.strides, beside
        row = pool_row(rung.level)
        pool = Pool(row, geometry, options.operation, counted, 0, steps, *strides, holds)
        if not can_count(pool) or rung.task(row) is None:
            return None
        return cls(rung, pool)

    @property
    def microseconds(self) -> float:
        return times(self.pool.operation) * estimate(self.pool.row_of_type, self.pool.geometry)

    def _job(self, pool: Pool, threads: int) -> Job:
        return job_of(self.rung, pool.row, pool_words(pool, threads))

    def call(self, places: Sequence[Places], threads: int) -> Call:
        """All of it, at each of some places."""
        job = self._job(self.pool, threads)
        return call_of(self.rung, [job._replace(**each._asdict()) for each in places], threads)

    def in_parts(self, places: Sequence[Places], images, out, indices, threads: int) -> None:
        """The same, some outputs at a time: in between Python answers signals."""
        g = self.pool.geometry
        most = max(1, int(g.pixels * LONGEST_MICROSECONDS / max(self.microseconds, 1)))
        for each in places:
            for part in cut(g, lambda *outs: prod(outs) <= most):
                job = self._part(part.out, threads)
                moved = (a + b for a, b in zip(each, self._places(part.out), strict=True))
                job = job._replace(**Places(*moved)._asdict())
                call_of(self.rung, [job], threads)(images, out, indices)

    def _part(self, outs: Sequence[slice], threads: int) -> Job:
        """The job of some outputs: all of their images, which the windows are cut down to."""
        g = self.pool.geometry
        n, *spatial = outs
        z, y, x = (
            axis._replace(before=axis.before - some.start * axis.stride, out=some.stop - some.start)
            for axis, some in zip(g.axes, spatial, strict=True)
        )
        smaller = g._replace(n=n.stop - n.start, z=z, y=y, x=x)
        return self._job(self.pool._replace(geometry=smaller), threads)

    def _places(self, outs: Sequence[slice]) -> Places:
        starts = [some.start for some in outs]
        out, beside = (
            sum(map(int.__mul__, starts, strides))
            for strides in (self.pool.out_strides, self.pool.index_strides)
        )
        return Places(starts[0] * self.pool.image_strides[0], out, beside - out)
