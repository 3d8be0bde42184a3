"""The gradient of filters: a checked shape and options, and what computes it for which layouts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._plan.arithmetic import ceil_div
from .._plan.borders import ZEROS, border_of
from .._plan.elements import PARTS_OF_COMPLEX
from .._plan.family import Work, wanted_tasks
from .._plan.geometry import Geometry
from .._plan.lower import turn
from .._plan.outer import Block, calls, chunk_steps, outer_words, part_steps, parts
from .._plan.parts import in_bytes
from .._plan.registry import Row
from .._plan.select import estimate, family_of, gradient_row
from . import check, fallback, fitting, ladder
from .copies import convert, copied
from .dtypes import native_name, products_in
from .jobs import Call, Layouts, call_of, job_of, order_for
from .kept import KEPT, keep
from .ladder import Rung
from .layout import Layout, View
from .operator import Decision, Spatial
from .pad import Around
from .run import LONGEST_MICROSECONDS, Compute

Pairs: TypeAlias = tuple[bool, bool]
# Adds to a gradient (KD, KH, KW, C / groups, O) what a part of its pixels is:
# ``(geometry, images, gradient, output_gradient, threads)``.
Add: TypeAlias = Callable[[Geometry, np.ndarray, np.ndarray, np.ndarray, int], None]


class Options(NamedTuple):
    """Of the convolution, checked, in their canonical form."""

    strides: tuple[int, ...]
    padding: Any
    borders: tuple[int, ...]
    padding_value: complex
    dilations: tuple[int, ...]
    groups: int
    data_format: str
    filter_format: str


def filter_gradient(rank: int, arrays, filters_shape, out, threads, options) -> np.ndarray:
    """The gradient of filters, of arguments as the user gave them."""
    strides, padding, mode, value, dilations, groups, data_format, filter_format = options
    filter_format = check.filter_format(filter_format, rank)
    shape = check.filters_shape(filters_shape, filter_format)
    modes = check.padding_mode(mode, rank)
    value = check.padding_value(value, modes)
    checked = Options(
        check.numbers("strides", strides, rank, 1),
        check.padding(padding, rank),
        tuple(border_of(each, value) for each in modes),
        value,
        check.numbers("dilations", dilations, rank, 1),
        check.filter_groups(groups, shape[-1]),
        check.data_format(data_format, rank),
        filter_format,
    )
    images, output_gradient = arrays
    output_gradient = check.array("output_gradient", output_gradient)
    operator = _operator(shape, checked)
    return operator.apply(images, out, output_gradient, threads)


@functools.lru_cache(maxsize=KEPT)
def _operator(filters_shape: tuple[int, ...], options: Options) -> FilterGradient:
    """The operator of what was checked; kept."""
    return FilterGradient(filters_shape, options)


class FilterGradient(Spatial):
    """The gradient of filters, of a shape and of options, for the arrays that they met.

    Parameters
    ----------
    filters_shape : tuple of int
        (.., C / groups, O), whatever their format.
    options : Options
    """

    third = "output_gradient"
    _takes_filters = False

    def __init__(self, filters_shape: tuple[int, ...], options: Options) -> None:
        super().__init__(len(filters_shape) - 2, options)
        self._shape = filters_shape
        self._filters_last = options.filter_format.endswith("IO")  # and the result

    def _geometry(self, shape: tuple[int, ...]) -> Geometry:
        """The sizes of the convolution, for images of a shape; leading axes taken as one."""
        return self._convolution(shape, self._shape)

    def _decide(self, images: Layout, out: Layout | None, third: Layout | None) -> Decision:
        assert third is not None  # the doors want it
        self._check_axes(images.shape)
        fitting.padding_value_fits(self._options.padding_value, images.dtype)
        geometry = self._geometry(images.shape)
        convolved = self._result_shape(geometry, images.shape)
        fitting.output_gradient_fits(third, convolved)
        if geometry.has_borders:
            return self._decide_bordered(self._around(geometry), images, out, third)
        dtype = fitting.common_dtype([images.dtype, third.dtype], "images, output_gradient")
        shape = check.filters_in(self._options.filter_format, self._shape)
        if out is not None:
            fitting.out_fits(out, shape, dtype)
        arrays = Layouts(images, out or Layout.new(shape, dtype), third)
        if 0 in shape or geometry.pixels == 0 or 0 in images.shape:
            return Decision(arrays, 0.0, lambda _, out, *__: out.fill(0))
        microseconds, compute = self._computing(geometry, dtype, arrays)
        return Decision(arrays, microseconds, compute)

    def _decide_bordered(
        self, around: Around, images: Layout, out: Layout | None, third: Layout
    ) -> Decision:
        """Of images with their borders, which are copied."""
        value, zeros = self._options.padding_value, (ZEROS,) * self._rank
        inner = self._options._replace(padding=around.padding, borders=zeros, padding_value=0)
        operator = _operator(self._shape, inner)
        bordered = Layout.new(around.shape(images.shape), images.dtype)
        decided = operator._decide(bordered, out, third)

        def compute(images, out, output_gradient, threads: int) -> None:
            decided.compute(around.put(images, value), out, output_gradient, threads)

        arrays = Layouts(images, decided.layouts.out, third)
        return Decision(arrays, decided.microseconds, compute)

    def _computing(
        self, geometry: Geometry, dtype: np.dtype, arrays: Layouts
    ) -> tuple[float, Compute]:
        """What computes, and how long it takes on one thread, roughly."""
        images, _, third = arrays
        assert third is not None
        turned, order = turn(geometry)
        view = View.of([images, third], self._rank, self._channels_first())._replace(order=order)
        computed = products_in(dtype, (images.dtype, third.dtype), geometry.pixels)
        rung = ladder.rung(computed)
        row = None if rung is None else gradient_row(computed, rung.level)
        if rung is None or row is None or rung.task(row) is None:
            exact = native_name(dtype) if dtype.kind in "iuc" else computed  # NumPy computes these
            add = fallback.add_filter_gradient
            return 0.0, PartSums(add, view, turned, exact, self._filters_last)
        pairs = images.dtype.kind == "c", third.dtype.kind == "c"
        reals = turned._replace(c=turned.c * (1 + pairs[0]), o=turned.o * (1 + pairs[1]))
        kernel, of_sums = Compiled(rung, row, reals), (reals, computed, self._filters_last, pairs)
        if not view.outer and not any(pairs):
            layouts = view.layout(images), view.layout(third)
            if kernel.takes(*layouts):
                return estimate(row, reals), WholeSums(kernel, layouts, *of_sums)
        return estimate(row, reals), PartSums(kernel, view, *of_sums)


class Sums:
    """A gradient of filters as sums over pixels.

    Parameters
    ----------
    geometry : Geometry
        Of the convolution; of complex numbers real and imaginary parts are channels.
    dtype : str
        Of sums.
    filters_last : bool
        Whether the result is (.., C / groups, O), and not (O, C / groups, ..).
    pairs : (bool, bool)
        Whether numbers of images, and of the output gradient, are pairs of channels.
    """

    def __init__(
        self, geometry: Geometry, dtype: str, filters_last: bool, pairs: Pairs = (False, False)
    ) -> None:
        self._geometry, self._dtype, self._pairs = geometry, np.dtype(dtype), pairs
        self._filters_last = filters_last

    def compute(self, add: Callable[..., None], images, out, output_gradient, threads: int) -> None:
        """``add(images, sums, output_gradient, threads)`` to zeros, and make them the result."""
        target = out if self._filters_last else out.transpose(*range(2, out.ndim), 1, 0)
        suits = target.flags.carray and target.dtype == self._dtype
        g = self._geometry
        shape = *(axis.kernel for axis in g.axes), g.group_channels, g.o
        sums = target.reshape(shape) if suits else np.empty(shape, self._dtype)
        convert(np.broadcast_to(self._dtype.type(0), shape), sums)  # piece by piece
        add(images, sums, output_gradient, threads)
        if not suits:
            self._store(sums, target)

    def _store(self, sums: np.ndarray, target: np.ndarray) -> None:
        with np.errstate(all="ignore"):
            if any(self._pairs):
                _join(sums, self._pairs, target)
                return
            if target.dtype.kind in "iu" and self._dtype.kind == "f":
                sums = copied(sums, "int64")  # wraps as it is converted further
            convert(sums.reshape(target.shape), target)


class WholeSums(Sums):
    """Sums over pixels that compiled code reads where they are."""

    def __init__(self, kernel: Compiled, layouts: tuple[Layout, Layout], *of_sums: Any) -> None:
        super().__init__(*of_sums)
        images, output_gradient = layouts
        self._kernel, self._strides = kernel, (images.strides, output_gradient.strides)
        self._calls: dict[int, list[Call]] = {}

    def __call__(self, images, out, output_gradient, threads: int) -> None:
        self.compute(self._add, images, out, output_gradient, threads)

    def _add(self, images, sums, output_gradient, threads: int) -> None:
        calls = self._calls.get(threads)
        if calls is None:
            planned = self._kernel.planned(self._geometry, *self._strides, threads)
            calls = self._calls[threads] = list(planned)
        for call in calls:
            call(images, sums, output_gradient)


class PartSums(Sums):
    """Sums over pixels of which parts are copied, in the dtype of sums; a part is whole chunks, so
    that bits do not depend on it.

    Parameters
    ----------
    add : Add
    view : View
        Of images and of the output gradient.
    """

    def __init__(self, add: Add, view: View, *of_sums: Any) -> None:
        super().__init__(*of_sums)
        self._add_part, self._view = add, view
        g, itemsize = self._geometry, self._dtype.itemsize
        self._steps = part_steps(g, chunk_steps(g, itemsize), in_bytes(g, itemsize))

    def __call__(self, images, out, output_gradient, threads: int) -> None:
        self.compute(self._add, images, out, output_gradient, threads)

    def _add(self, images, sums, output_gradient, threads: int) -> None:
        with np.errstate(all="ignore"):
            for piece in parts(self._geometry, self._steps):
                source = self._copy(images, piece.images, self._pairs[0])
                more = self._copy(output_gradient, piece.out, self._pairs[1])
                self._add_part(piece.geometry, source, sums, more, threads)

    def _copy(self, array: np.ndarray, at: Sequence[slice], pairs: bool) -> np.ndarray:
        """A part of an array, as (N, D, H, W, C)."""
        n, *others = at
        if self._view.outer:
            part = _some_images(array, self._view, n)[(slice(None), *others)]
        else:
            part = self._view.array(array)[tuple(at)]
        if not pairs:
            return part.astype(self._dtype, order="C")
        kind = next(name for name, of in PARTS_OF_COMPLEX.items() if of == self._dtype.name)
        return part.astype(kind, order="C").view(self._dtype)


def _some_images(array: np.ndarray, view: View, n: slice) -> np.ndarray:
    """Some images of an array whose leading axes lie in no order, as (N, D, H, W, C)."""
    leading = array.shape[: array.ndim - view.rank - 1]
    places = np.unravel_index(np.arange(n.start, n.stop), leading)
    if n.stop - n.start == 1:  # which is not copied
        return view._replace(outer=()).array(array[tuple(int(each[0]) for each in places)])
    return view._replace(outer=()).array(array[places])


def _join(sums: np.ndarray, pairs: tuple[bool, bool], target: np.ndarray) -> None:
    """Make complex numbers of the sums of products of their parts, no number conjugated."""
    *kernel, channels, o = target.shape
    images, others = (1 + each for each in pairs)
    parts_of = sums.reshape(*kernel, channels, images, o, others)
    real, imaginary = parts_of[..., 0, :, 0], parts_of[..., -1, :, 0]
    if pairs[1]:
        imaginary = parts_of[..., 0, :, 1]
    if all(pairs):
        real = real - parts_of[..., 1, :, 1]
        imaginary = imaginary + parts_of[..., 1, :, 0]
    convert(real, target.real)
    convert(imaginary, target.imag)


class Compiled:
    """What compiled code adds.

    Parameters
    ----------
    geometry : Geometry
        Of the whole, which says what a chunk is.
    """

    def __init__(self, rung: Rung, row: Row, geometry: Geometry) -> None:
        self._rung, self._row = rung, row
        self._chunk = chunk_steps(geometry, row.itemsize)
        self._chunk_microseconds = estimate(row, geometry) / self._chunk.chunks(geometry)
        self._calls: dict[tuple, list[Call]] = {}

    def takes(self, *layouts: Layout) -> bool:
        """Whether it reads arrays (N, D, H, W, C) of such layouts where they are."""
        orders = family_of(self._row).takes(self._row)
        return all(order_for(each, self._row) in orders for each in layouts)

    def __call__(self, geometry: Geometry, images, sums, output_gradient, threads: int) -> None:
        """Add a part: an `Add`."""
        key = geometry, images.strides, output_gradient.strides, threads
        planned = self._calls.get(key)
        if planned is None:
            planned = keep(self._calls, key, list(self.planned(*key)))
        for call in planned:
            call(images, sums, output_gradient)

    def planned(
        self, geometry: Geometry, image_strides, gradient_strides, threads: int
    ) -> Iterator[Call]:
        """The calls for arrays of such strides, none of which takes long."""
        row = self._row
        cuts = ceil_div(int(self._chunk_microseconds), LONGEST_MICROSECONDS)
        block = Block.of(row, geometry, self._chunk, max(wanted_tasks(threads), cuts))
        work = Work(row, geometry, image_strides, gradient_strides, threads)
        of_task = self._chunk_microseconds / block.tasks(row, geometry)
        most = max(1, int(LONGEST_MICROSECONDS / max(of_task, 1e-3)))
        for each in calls(row, geometry, self._chunk, block, most):
            words = outer_words(work, self._chunk, block, each)
            yield call_of(self._rung, [job_of(self._rung, row, words)], threads)
