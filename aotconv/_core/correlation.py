"""Correlation of arrays of any rank with windows, one after the other: by kernels, whole or slab by
slab, plane by plane, or by NumPy."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from .._plan.borders import border_of, index
from .._plan.geometry import RANK, Axis
from .._plan.lower import without_zeros
from .._plan.means import MEANS
from .._plan.parts import Part, slab_axis, slabs
from .._plan.taps import TAPS, WINDOW
from . import fallback_correlation, ladder
from .axes import Axes
from .jobs import Layouts, Piece, Places
from .kept import KEPT, keep
from .layout import Layout, View
from .operator import Decision, Operator
from .passes import kernel_of
from .rounding import store
from .run import Compute, Share, Whole, decide, for_each
from .sums import Sums
from .window import Window


def correlate(array: np.ndarray, out: np.ndarray, sums: Sums, threads: int | None) -> None:
    """Put the sums of an array's windows into an array of its shape, and of their dtype.

    Parameters
    ----------
    array, out : ndarray
        Of real numbers; they may overlap.
    threads : int or None
        At most so many; None: as many as it is worth.  NumPy takes one.
    """
    correlation_of(sums).apply(array, out, None, threads)


class Cut(NamedTuple):
    """The axis of arrays of which a correlation computes a slab, and what it is along that."""

    number: int
    axis: Axis


class Correlation(Operator):
    """Correlation, and what was decided for the arrays that it met."""

    first = "input"

    def __init__(self, sums: Sums) -> None:
        super().__init__()
        self._sums = sums

    def _decide(self, images: Layout, out: Layout | None, third: Layout | None) -> Decision:
        arrays = Layouts(images, out or Layout.new(images.shape, self._sums.result), None)
        with np.errstate(all="ignore"):  # of weights, and of their products and sums
            microseconds, compute = self._computing(arrays)
        return Decision(arrays, microseconds, compute)

    def _computing(self, arrays: Layouts, cut: Cut | None = None) -> tuple[float, Compute]:
        """What computes, or a slab of it, and how long it takes on one thread, roughly."""
        if 0 in arrays.out.shape:
            return 0.0, lambda *_: None
        sums, images = self._sums, arrays.images.dtype
        rung = ladder.rung("float64")  # both floats are compiled, or none
        found = None
        if rung is not None and arrays.out.shape and sums.in_one_go(images):
            found = self._compiled(rung, arrays, cut)
        if found is not None:
            return found
        if len(sums.windows) == 1:
            if rung is not None and sums.are_of_planes(images):
                return self._by_planes(arrays, cut)
            return 0.0, functools.partial(self._by_numpy, cut)
        return self._in_turn(arrays, cut) if cut else self._in_slabs(arrays)

    def _compiled(
        self, rung: ladder.Rung, arrays: Layouts, cut: Cut | None
    ) -> tuple[float, Compute] | None:
        """The same by kernels; None where there are none."""
        images, out, _ = arrays
        joined = self._sums.joined(images.dtype)
        if joined is not None:
            return Correlation(joined)._compiled(rung, arrays, cut)
        windows = [window.shape for window in self._sums.windows]
        axes = Axes.of((images, out), np.max(windows, axis=0).tolist())
        if len(axes.spatial) > RANK:
            return None
        seen = axes.layout(images), axes.layout(out)
        view = View.of(seen, len(axes.spatial), False)
        layouts = Layouts(view.layout(seen[0]), view.layout(seen[1]), None)
        geometry = axes.geometry(layouts.images.shape, self._axes(images.shape, cut))
        sizes = [axes.window(window) for window in windows]
        kernel = kernel_of(rung, self._sums, images.dtype, sizes, geometry.c)
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

    def _by_planes(self, arrays: Layouts, cut: Cut | None) -> tuple[float, Compute]:
        """The same plane by plane of the window's first axis, each a window of an axis less."""
        images, out, _ = arrays
        (window,), order, clips = self._sums.windows, self._sums.order, self._sums.clips
        number = next(i for i, size in enumerate(window.shape) if size > 1)
        axis, ahead = self._axes(images.shape, cut)[number], (slice(None),) * number
        dtype = np.dtype(self._sums.computed(images.dtype))
        held = out.part((*ahead, slice(0, 1)))[0].shape
        seen = Layouts(images.part((*ahead, slice(0, 1)))[0], Layout.new(held, dtype), None)
        to = None if cut and cut.number == number else cut
        microseconds, terms = 0.0, []
        for tap, plane in enumerate(window.planes(number)):
            if plane.reach > 0:
                of_plane = Sums((plane,), order, dtype, False, False, dtype)
                of_term, fill = Correlation(of_plane)._computing(seen, to)
                terms.append((tap - axis.before, fill, dtype.type(plane.sum * window.cval)))
                microseconds += of_term

        def compute(images, out, _, threads: int) -> None:
            total, term = np.empty(held, dtype), np.empty(held, dtype)
            for place in range(axis.out):
                total[...] = 0
                target = out[(*ahead, slice(place, place + 1))]
                with np.errstate(all="ignore"):
                    for step, fill, outside in terms:
                        i = index(place + step, axis.size, axis.border)
                        if i >= 0:
                            fill(images[(*ahead, slice(i, i + 1))], term, None, threads)
                        total += term if i >= 0 else outside
                    store(total, target, clips, order == WINDOW)

        return microseconds, compute

    def _in_slabs(self, arrays: Layouts) -> tuple[float, Compute]:
        """The same in turn, slab by slab of the result where the array between is large."""
        images, out, _ = arrays
        microseconds, compute = self._in_turn(arrays)
        first, last = self._turns(images.dtype)
        found = slab_axis(out.shape, _free(last.windows), first.result.itemsize)
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
                    with np.errstate(all="ignore"):
                        _, compute = self._in_turn(seen, Cut(number, slab.axis))
                    keep(kept, (slab.axis, seen), compute)
                compute(source, target, None, threads)

        return microseconds, in_slabs

    def _in_turn(self, arrays: Layouts, cut: Cut | None = None) -> tuple[float, Compute]:
        """The same through an array between some windows and the others."""
        images, out, _ = arrays
        first, last = self._turns(images.dtype)
        held, (to, then) = out.shape, (cut, None)
        if cut is not None and cut.number not in _free(last.windows):
            held, (to, then) = images.shape, (None, cut)
        between = Layout.new(held, first.result)
        of_first, fill = Correlation(first)._computing(Layouts(images, between, None), to)
        of_last, finish = Correlation(last)._computing(Layouts(between, out, None), then)

        def compute(images, out, _, threads: int) -> None:
            array = np.empty(held, first.result)
            fill(images, array, None, threads)
            finish(array, out, None, threads)

        return of_first + of_last, compute

    def _turns(self, images: np.dtype) -> tuple[Sums, Sums]:
        """The last window or the last two, whichever leave an axis free that comes earlier, and
        those before them."""
        windows = self._sums.windows
        n = len(windows)
        starts = sorted({max(1, n - 2), n - 1})
        start = min(starts, key=lambda start: _free(windows[start:])[:1] or [n])
        return self._sums.in_turn(images, start)

    def _by_numpy(self, cut: Cut | None, images: np.ndarray, out: np.ndarray, *_) -> None:
        axes = self._axes(images.shape, cut)
        fallback_correlation.correlate(images, axes, out, self._sums)

    def _axes(self, shape: Sequence[int], cut: Cut | None = None) -> list[Axis]:
        """The sizes along each axis of arrays of a shape, by all windows."""
        axes = [Axis.flat(size) for size in shape]
        for window in self._sums.windows:
            for i, kernel in enumerate(window.shape):
                if kernel > 1:
                    pads = window.before[i], kernel - 1 - window.before[i]
                    border = border_of(window.modes[i], window.cval)
                    axes[i] = Axis.of(shape[i], kernel, 1, 1, pads, border)
        if cut is not None:
            axes[cut.number] = cut.axis
        return axes


@functools.lru_cache(maxsize=KEPT)
def correlation_of(sums: Sums) -> Correlation:
    """The correlation with windows, one for all that are equal."""
    return Correlation(sums)


def _free(windows: Sequence[Window]) -> list[int]:
    """The axes along which no window has several elements."""
    each = zip(*(window.shape for window in windows), strict=True)
    return [axis for axis, sizes in enumerate(each) if max(sizes) == 1]


def _seen(axes: Axes, compute: Compute) -> Compute:
    """What computes of arrays as `axes` show them, of the arrays."""

    def computed(images, out, _, threads: int) -> None:
        compute(axes.array(images), axes.array(out), None, threads)

    return computed
