"""Correlation of arrays of any rank with windows, in the orders of SciPy's filters."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import inf, prod
from typing import NamedTuple

import numpy as np

from .._plan.borders import border_of, index
from .._plan.elements import HALVES, name_of
from .._plan.family import Layer, Triple
from .._plan.geometry import FLAT, RANK, Axis, Geometry
from .._plan.lower import without_zeros
from .._plan.means import MEANS
from .._plan.parts import Part, slab_axis, slabs
from .._plan.select import family_of, means_row, select, separable_row, taps_row
from .._plan.separable import SEPARABLE, mean_words
from .._plan.taps import MEAN, TAPS, WINDOW, listed
from . import fallback_correlation, ladder
from .axes import Axes
from .dtypes import EXACT, largest
from .jobs import Kernel, Layouts, Pass, Piece, Places
from .layout import Layout, View
from .operator import Decision, Operator
from .pack import pack, pack_divisor, pack_list, pack_numbers
from .rounding import store
from .run import Compute, Share, Whole, decide, for_each
from .window import Window

LARGEST_JOINED = 9  # taps, of which all are read where arrays are
KEPT_CORRELATIONS = 64  # what meets more forgets them
KEPT_SLABS = 64  # most are alike, but those near the ends
WRAPS = 2.0**31  # integers that C makes of floats below it wrap


def correlate(
    array: np.ndarray,
    windows: Sequence[Window],
    out: np.ndarray,
    *,
    order: str,
    sums: np.dtype,
    as_listed: bool,
    saturate: bool,
    threads: int | None,
) -> None:
    """Correlate a real array with windows, one after the other, into an array of its shape.

    Parameters
    ----------
    array, out : ndarray
        Of real numbers; they may overlap.
    order : {WINDOW, LINE, MEAN}
        What is summed, in which order (see `_plan.taps.listed`).
    sums : dtype
        float32 or float64; integers are summed in float64 wherever that shows, but bytes that are
        clipped in float32 unless it is `as_listed`.
    as_listed : bool
        Whether floats, too, are summed in the very order; else in one that is faster.
    saturate : bool
        Whether integers are rounded to nearest even and clipped once, behind the last window,
        instead of truncated behind each.
    threads : int or None
        At most so many; None: as many as it is worth.  NumPy takes one.
    """
    how = tuple(windows), order, np.dtype(sums), as_listed, saturate, out.dtype
    _correlation(*how).apply(array, out, None, threads)


class Cut(NamedTuple):
    """The axis of arrays of which a correlation computes a slab, and what it is along that."""

    number: int
    axis: Axis


@functools.lru_cache(maxsize=KEPT_CORRELATIONS)
def _correlation(*arguments) -> Correlation:
    return Correlation(*arguments)


class Correlation(Operator):
    """Correlation with windows, one after the other, and what was decided for the arrays that it
    met."""

    first = "input"

    def __init__(
        self,
        windows: tuple[Window, ...],
        order: str,
        sums: np.dtype,
        as_listed: bool,
        saturate: bool,
        result: np.dtype,
    ) -> None:
        super().__init__()
        self._windows, self._order, self._sums, self._result = windows, order, sums, result
        self._as_listed = as_listed
        self._clips = saturate and result.kind in "iu"
        self._truncates = result.kind in "iu" and not saturate

    def _decide(self, images: Layout, out: Layout | None, third: Layout | None) -> Decision:
        arrays = Layouts(images, out or Layout.new(images.shape, self._result), None)
        with np.errstate(all="ignore"):  # of weights, and of their products and sums
            microseconds, compute = self._computing(arrays)
        return Decision(arrays, microseconds, compute)

    def _computing(self, arrays: Layouts, cut: Cut | None = None) -> tuple[float, Compute]:
        """What computes, or a slab of it, and how long it takes on one thread, roughly."""
        if 0 in arrays.out.shape:
            return 0.0, lambda *_: None
        rung = ladder.rung("float64")  # both floats are compiled, or none
        found = None
        if rung is not None and arrays.out.shape and self._in_one_go(arrays.images.dtype):
            found = self._compiled(rung, arrays, cut)
        if found is not None:
            return found
        if len(self._windows) == 1:
            if rung is not None and self._is_sum_of_planes(arrays.images.dtype):
                return self._by_planes(arrays, cut)
            return 0.0, functools.partial(self._by_numpy, cut)
        return self._in_turn(arrays, cut) if cut else self._in_slabs(arrays)

    def _compiled(
        self, rung: ladder.Rung, arrays: Layouts, cut: Cut | None
    ) -> tuple[float, Compute] | None:
        """The same by kernels; None where there are none."""
        images, out, _ = arrays
        joined = self._joined(images.dtype)
        if joined is not None:
            return joined._compiled(rung, arrays, cut)
        together = np.max([window.shape for window in self._windows], axis=0).tolist()
        axes = Axes.of((images, out), together)
        if len(axes.spatial) > RANK:
            return None
        seen = axes.layout(images), axes.layout(out)
        view = View.of(seen, len(axes.spatial), False)
        layouts = Layouts(view.layout(seen[0]), view.layout(seen[1]), None)
        geometry = self._geometry(axes, layouts.images.shape, self._axes(images.shape, cut))
        kernel = self._kernel(rung, axes, geometry, images.dtype)
        if kernel is None:
            return None
        if kernel.passes or kernel.family in (TAPS, MEANS):
            geometry = without_zeros(geometry)
        piece = Piece(kernel, geometry, layouts, Places())
        microseconds, compute = decide([Share(view, Part(geometry), piece)])
        compute = for_each(compute, view.outer)
        if not isinstance(compute, Whole):  # which looks at addresses alone
            compute = _seen(axes, compute)
        return microseconds * prod(view.outer), compute

    def _is_sum_of_planes(self, images: np.dtype) -> bool:
        """Whether the window has more axes than kernels know, and may be summed plane by plane."""
        (window,) = self._windows
        if sum(size > 1 for size in window.shape) <= RANK:
            return False
        has_order = images.kind in "iu" or self._as_listed or self._truncates
        return self._reach(images) < EXACT["float64"] or not (has_order and self._shows(images))

    def _by_planes(self, arrays: Layouts, cut: Cut | None) -> tuple[float, Compute]:
        """The same plane by plane of the window's first axis, each a window of an axis less."""
        images, out, _ = arrays
        (window,) = self._windows
        number = next(i for i, size in enumerate(window.shape) if size > 1)
        axis, ahead = self._axes(images.shape, cut)[number], (slice(None),) * number
        sums = np.dtype(self._computed(images.dtype))
        held = out.part((*ahead, slice(0, 1)))[0].shape
        seen = Layouts(images.part((*ahead, slice(0, 1)))[0], Layout.new(held, sums), None)
        to, how = None if cut and cut.number == number else cut, (self._order, sums, False, False)
        microseconds, terms = 0.0, []
        for tap, plane in enumerate(window.planes(number)):
            if plane.reach > 0:
                of_term, fill = Correlation((plane,), *how, sums)._computing(seen, to)
                terms.append((tap - axis.before, fill, sums.type(plane.sum * window.cval)))
                microseconds += of_term

        def compute(images, out, _, threads: int) -> None:
            total, term = np.empty(held, sums), np.empty(held, sums)
            for place in range(axis.out):
                total[...] = 0
                target = out[(*ahead, slice(place, place + 1))]
                with np.errstate(all="ignore"):
                    for step, fill, outside in terms:
                        i = index(place + step, axis.size, axis.border)
                        if i >= 0:
                            fill(images[(*ahead, slice(i, i + 1))], term, None, threads)
                        total += term if i >= 0 else outside
                    store(total, target, self._clips, self._order == WINDOW)

        return microseconds, compute

    def _in_slabs(self, arrays: Layouts) -> tuple[float, Compute]:
        """The same in turn, slab by slab of the result where the array between is large."""
        images, out, _ = arrays
        microseconds, compute = self._in_turn(arrays)
        _, last, between = self._turns(images.dtype)
        found = slab_axis(out.shape, _free(last._windows), between.itemsize)
        if found is None:
            return microseconds, compute
        number, step = found
        whole = self._axes(images.shape)[number]
        kept: dict[tuple[Axis, Layouts], Compute] = {}

        def in_slabs(images, out, _, threads: int) -> None:
            before = (slice(None),) * number
            for slab in slabs(whole, step):
                source, target = images[(*before, slab.inputs)], out[(*before, slab.out)]
                seen = Layouts(Layout.of(source), Layout.of(target), None)
                compute = kept.get((slab.axis, seen))
                if compute is None:
                    if len(kept) >= KEPT_SLABS:
                        kept.clear()
                    with np.errstate(all="ignore"):
                        _, compute = self._in_turn(seen, Cut(number, slab.axis))
                    kept[slab.axis, seen] = compute
                compute(source, target, None, threads)

        return microseconds, in_slabs

    def _in_turn(self, arrays: Layouts, cut: Cut | None = None) -> tuple[float, Compute]:
        """The same through an array between some windows and the others."""
        images, out, _ = arrays
        first, last, between = self._turns(images.dtype)
        held, (to, then) = out.shape, (cut, None)
        if cut is not None and cut.number not in _free(last._windows):
            held, (to, then) = images.shape, (None, cut)
        layout = Layout.new(held, between)
        of_first, fill = first._computing(Layouts(images, layout, None), to)
        of_last, finish = last._computing(Layouts(layout, out, None), then)

        def compute(images, out, _, threads: int) -> None:
            array = np.empty(held, between)
            fill(images, array, None, threads)
            finish(array, out, None, threads)

        return of_first + of_last, compute

    def _turns(self, images: np.dtype) -> tuple[Correlation, Correlation, np.dtype]:
        """The last window or the last two, whichever leave an axis free that comes earlier; those
        before them; and the dtype in between."""
        n, between = len(self._windows), self._result
        if self._clips or name_of(between) in HALVES:
            between = self._sums  # which is rounded once
        how = self._order, self._sums, self._shows(images)
        starts = sorted({max(1, n - 2), n - 1})
        start = min(starts, key=lambda start: _free(self._windows[start:])[:1] or [n])
        first = Correlation(self._windows[:start], *how, False, between)
        last = Correlation(self._windows[start:], *how, self._clips, self._result)
        return first, last, between

    def _by_numpy(self, cut: Cut | None, images: np.ndarray, out: np.ndarray, *_) -> None:
        (window,) = self._windows
        how = self._order, self._sums, self._clips
        fallback_correlation.correlate(images, window, self._axes(images.shape, cut), out, *how)

    def _in_one_go(self, images: np.dtype) -> bool:
        """Whether what a box of outputs needs may go through all windows at once."""
        if len(self._windows) == 1:
            return True
        if len(self._windows) > 2:
            return False
        first, last = self._windows
        if any(a > 1 and b > 1 for a, b in zip(first.shape, last.shape, strict=True)):
            return False
        if "constant" in last.modes and (last.cval or not first.is_finite):
            return False  # the first would make another value of what is outside
        return self._holds_between(first, images)

    def _holds_between(self, window: Window, images: np.dtype) -> bool:
        """Whether an array between the windows would hold what one makes, in the dtype of sums; or
        its roundings are asked for by nobody."""
        shows = self._shows(images)
        if not self._truncates:
            return self._clips or self._result == self._sums or not (shows or self._as_listed)
        if not shows and self._result != np.uint64:
            return True  # integers of 32 bits wrap, wherever, and int64 holds all sums that do
        if images.kind not in "iu" or not window.is_finite:
            return False
        # Truncated, they must need no more.
        ends, fits = np.iinfo(images), np.iinfo(self._result)
        low, high = window.between(ends.min, ends.max)
        return fits.min <= low and high < fits.max + 1

    def _joined(self, images: np.dtype) -> Correlation | None:
        """The same through one window, which has all products of two; None where it is larger than
        they, or the order of sums shows."""
        size = prod(len(window.values) // 8 for window in self._windows)
        is_mean = self._order == MEAN
        if len(self._windows) != 2 or size > LARGEST_JOINED or is_mean or self._shows(images):
            return None
        how = self._order, self._sums, self._as_listed, self._clips, self._result
        return Correlation((self._windows[0].joined(self._windows[1]),), *how)

    def _shows(self, images: np.dtype) -> bool:
        """Whether the order of sums shows in results."""
        reach, is_mean = self._reach(images), self._order == MEAN
        if reach < WRAPS and not is_mean:
            return False
        if self._as_listed or self._truncates:
            return True
        if images.kind not in "iu":
            return self._order == WINDOW and any(window.has_gaps for window in self._windows)
        if is_mean:  # of exact sums, whose quotients are so once they are rounded
            return not (self._clips and 2 * reach < EXACT["float32"] and not self._is_long)
        return not self._clips and self._sums == np.float64

    def _computed(self, images: np.dtype) -> str:
        """The dtype in which sums are formed."""
        reach, is_mean = self._reach(images), self._order == MEAN
        if self._is_long:
            return "float64"
        if reach < WRAPS and not is_mean:
            return "float32" if reach < EXACT["float32"] else "float64"
        if self._clips and images.kind in "iu":
            is_short = is_mean or images.itemsize == 1
            return "float32" if is_short and not self._shows(images) else "float64"
        return "float64" if self._truncates else self._sums.name

    @property
    def _is_long(self) -> bool:
        """Whether results are clipped to more bits than float32 is clipped to."""
        return self._clips and self._result.itemsize > 4

    def _reach(self, images: np.dtype) -> float:
        """The largest sum of whole numbers; infinity where sums may be other numbers."""
        if images.kind not in "iu" or not all(window.is_whole for window in self._windows):
            return inf
        values = max(largest(images), *(abs(window.cval) for window in self._windows))
        return values * prod(window.reach for window in self._windows)

    def _axes(self, shape: Sequence[int], cut: Cut | None = None) -> list[Axis]:
        """The sizes along each axis of arrays of a shape, by all windows."""
        axes = [Axis.of(size, 1, 1, 1, (0, 0)) for size in shape]
        for window in self._windows:
            for i, kernel in enumerate(window.shape):
                if kernel > 1:
                    pads = window.before[i], kernel - 1 - window.before[i]
                    border = border_of(window.modes[i], window.cval)
                    axes[i] = Axis.of(shape[i], kernel, 1, 1, pads, border)
        if cut is not None:
            axes[cut.number] = cut.axis
        return axes

    def _geometry(self, axes: Axes, shape: Sequence[int], every: Sequence[Axis]) -> Geometry:
        """The sizes for images that are seen as (N, D, H, W, C) of a shape, from those along every
        axis of the arrays."""
        n, *sizes, channels = shape
        each = zip(sizes[-len(axes.spatial) :], axes.each(every), strict=True)
        spatial = [axis or Axis.of(size, 1, 1, 1, (0, 0)) for size, axis in each]
        z, y, x = [FLAT] * (RANK - len(spatial)) + spatial
        return Geometry(n, channels, channels, channels, z, y, x)

    def _kernel(
        self, rung: ladder.Rung, axes: Axes, geometry: Geometry, images: np.dtype
    ) -> Kernel | None:
        """What goes through all windows; None where it cannot be compiled."""
        channels = geometry.c
        dtype, is_listed = self._computed(images), self._shows(images)
        passes = []
        for i, window in enumerate(self._windows):
            spatial = [size or 1 for size in axes.each(window.shape)]
            z, y, x = [1] * (RANK - len(spatial)) + spatial
            layer = Layer((z, y, x), 1, channels, channels)
            is_alone = len(self._windows) == 1
            is_mean = self._order == MEAN and not is_listed and window.reach > 1
            in_place = is_alone and (is_listed or is_mean or _is_direct(layer, dtype, rung.level))
            if is_mean:
                kernel = self._meant(rung, i, dtype, images)
            elif is_listed:
                truncates = self._truncates and i < len(self._windows) - 1
                kernel = self._listed(rung, window, (z, y, x), dtype, truncates)
            else:
                if not in_place:
                    layer = Layer((z, y, x), 1, 1, dilations=(1, 1, channels if x > 1 else 1))
                kernel = self._summed(rung, window, layer, dtype)
            if kernel is None or in_place:
                return kernel
            passes.append(Pass(kernel, (z, y, x)))
        at_once = None if is_listed else self._at_once(rung, dtype, images)
        return passes[-1].kernel._replace(passes=tuple(passes), at_once=at_once)

    def _at_once(self, rung: ladder.Rung, dtype: str, images: np.dtype) -> Kernel | None:
        """What goes through two windows at once, on arrays of one type; None where nothing does."""
        is_mean = self._order == MEAN
        row = separable_row("int16" if is_mean else dtype, name_of(images), rung.level)
        is_fit = self._result == images and (self._clips or images.kind == "f")
        if row is None or not is_fit or rung.task(row) is None:
            return None
        if is_mean:
            numbers = mean_words(int(prod(window.reach for window in self._windows)))
        else:
            numbers = [each for window in self._windows for each in window.weights.ravel()]
        packed = pack_numbers(numbers, row.dtype)
        return Kernel(row, SEPARABLE, rung, packed, None, "clipped")

    def _meant(self, rung: ladder.Rung, i: int, dtype: str, images: np.dtype) -> Kernel | None:
        """What takes the means of a window: of integers sums, which the last one divides by the
        sizes of all."""
        row = means_row(dtype, rung.level)
        if rung.task(row) is None:
            return None
        window, is_last = self._windows[i], i == len(self._windows) - 1
        divisor = window.reach
        if images.kind in "iu":
            divisor = prod(each.reach for each in self._windows) if is_last else 1.0
        packed = pack_divisor(divisor, dtype)
        stored = "clipped" if self._clips else "truncated"
        return Kernel(row, MEANS, rung, packed, None, stored, (), window.cval, False)

    def _listed(
        self, rung: ladder.Rung, window: Window, sizes: Triple, dtype: str, truncates: bool
    ) -> Kernel | None:
        """What sums the taps of a window in the order of a list."""
        row = taps_row(dtype, rung.level)
        if rung.task(row) is None:
            return None
        taps = listed(self._order, window.weights.ravel().tolist())
        packed = pack_list(taps._replace(truncates=truncates), sizes, dtype)
        stored = "clipped" if self._clips else "mirrored" if self._order == WINDOW else "truncated"
        return Kernel(row, TAPS, rung, packed, None, stored, (), window.cval, False)

    def _summed(
        self, rung: ladder.Rung, window: Window, layer: Layer, computed: str
    ) -> Kernel | None:
        """What sums in the one order, all channels with the same filter."""
        row = select(layer, computed, rung.level)
        if rung.task(row) is None:
            return None
        filters = np.broadcast_to(
            window.weights.reshape(*layer.kernel, 1, 1), (*layer.kernel, 1, layer.n_filters)
        )
        packed = pack(family_of(row).packing(row, layer), computed, filters, None)
        stored = "clipped" if self._clips else "wrapped"
        return Kernel(row, family_of(row), rung, packed, None, stored, (), window.cval, False)


def _free(windows: Sequence[Window]) -> list[int]:
    """The axes along which no window has several elements."""
    each = zip(*(window.shape for window in windows), strict=True)
    return [axis for axis, sizes in enumerate(each) if max(sizes) == 1]


def _is_direct(layer: Layer, computed: str, level: str) -> bool:
    """Whether a kernel computes a layer of channels that are alike at no loss where arrays are."""
    return layer.groups == 1 or bool(select(layer, computed, level).window)


def _seen(axes: Axes, compute: Compute) -> Compute:
    """What computes of arrays as `axes` show them, of the arrays."""

    def computed(images, out, _, threads: int) -> None:
        compute(axes.array(images), axes.array(out), None, threads)

    return computed
