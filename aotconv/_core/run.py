"""A kernel on arrays, whole or in parts.

What computes is decided by layouts alone (`decide`), before there are arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TypeAlias

import numpy as np

from .._plan.activations import CLAMPS
from .._plan.elementwise import elementwise_microseconds
from .._plan.geometry import Geometry
from .._plan.parts import Fits, cut, in_bytes
from .._plan.registry import AOT_DTYPES
from .._plan.select import estimate
from .jobs import Call, Jobs, Kernel, Layouts, can_be_staged, in_place, order_for, plan_call
from .layout import Layout

LONGEST_MICROSECONDS = 20_000  # of a kernel's call, roughly, on one thread: signals wait for it
KEPT_CALLS = 64  # parts have few sizes; what meets many forgets them

# Computes ``(images, out, residual, threads)``; `out` shares no memory with the others.
Compute: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray | None, int], None]


def decide(kernel: Kernel, geometry: Geometry, layouts: Layouts) -> tuple[float, Compute]:
    """How many microseconds a convolution takes on one thread, roughly, and what computes it.

    Returns
    -------
    microseconds : float
    compute : Whole or Parts
    """
    microseconds = estimate(kernel.row, kernel.slice_of(geometry)) * max(1, len(kernel.slices))
    if kernel.activation not in CLAMPS:
        microseconds += elementwise_microseconds(kernel.row, prod(layouts.out.shape))
    copies = not (in_place(kernel, layouts) or can_be_staged(kernel, layouts))
    if microseconds > LONGEST_MICROSECONDS or copies:
        return microseconds, Parts(kernel, geometry, microseconds, copies)
    return microseconds, Whole(kernel, geometry, layouts)


class Whole:
    """A kernel on whole arrays of one layout, by the number of threads."""

    def __init__(self, kernel: Kernel, geometry: Geometry, layouts: Layouts) -> None:
        self._planned = kernel, geometry, layouts
        self._calls: dict[int, Call] = {}

    def __call__(self, images, out, residual, threads: int) -> None:
        call = self._calls.get(threads)
        if call is None:
            call = self._calls[threads] = plan_call(*self._planned, threads)
        call(images, out, residual)

    @property
    def jobs(self) -> Jobs | None:
        """The jobs of one thread, once it was called with one; None where Python has a share."""
        return getattr(self._calls.get(1), "jobs", None)


class Parts:
    """A kernel on arrays (N, D, H, W, C), part by part, so that Python answers signals in between.

    Parameters
    ----------
    microseconds : float
        What all of it takes on one thread, roughly.
    copies : bool
        Whether there is something that neither the kernel nor staging can address: then a kernel of
        floats gets a copy of a part's residual in the result's dtype, one of plain loops copies of
        all in its own.
    """

    def __init__(
        self, kernel: Kernel, geometry: Geometry, microseconds: float, copies: bool
    ) -> None:
        self._kernel, self._geometry, self._copies = kernel, geometry, copies
        self._fits = self._limit(microseconds)
        self._calls: dict[tuple, Call] = {}

    def _limit(self, microseconds: float) -> Fits:
        g = self._geometry
        share = LONGEST_MICROSECONDS / max(microseconds, LONGEST_MICROSECONDS)
        pixels = int(g.pixels * share)
        if not self._copies:
            return lambda *outs: prod(outs) <= pixels
        small = in_bytes(g, self._kernel.row.itemsize)
        return lambda *outs: prod(outs) <= pixels and small(*outs)

    def __call__(self, images, out, residual, threads: int) -> None:
        kernel = self._kernel
        dtype, takes = kernel.row.dtype, kernel.family.takes(kernel.row)
        loops = dtype not in AOT_DTYPES
        for piece in cut(self._geometry, self._fits, multiple=kernel.family.multiple):
            source, target = images[piece.images], out[piece.out]
            more = None if residual is None else residual[piece.out]
            with np.errstate(all="ignore"):
                # A part's pixels may lie further apart than those of the whole.
                if loops and order_for(Layout.of(source), kernel.row) not in takes:
                    source = source.astype(dtype, order="C")
                if self._copies and more is not None:
                    more = more.astype(dtype if loops else out.dtype.newbyteorder("="), order="C")
                own = np.empty(target.shape, dtype) if self._copies and loops else target
                self._compute(piece.geometry, source, own, more, threads)
                if own is not target:
                    np.copyto(target, own, casting="same_kind")

    def _compute(self, geometry: Geometry, images, out, residual, threads: int) -> None:
        more = None if residual is None else Layout.of(residual)
        layouts = Layouts(Layout.of(images), Layout.of(out), more)
        key = geometry, layouts, threads
        call = self._calls.get(key)
        if call is None:
            if len(self._calls) >= KEPT_CALLS:
                self._calls.clear()
            call = self._calls[key] = plan_call(self._kernel, geometry, layouts, threads)
        call(images, out, residual)
