"""Kernels on arrays, whole or in parts.

What computes is decided by layouts alone (`decide`), before there are arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import NamedTuple, TypeAlias

import numpy as np

from .._plan.activations import CLAMPS
from .._plan.elements import ELEMENTS, unit_of
from .._plan.elementwise import elementwise_microseconds
from .._plan.geometry import Geometry
from .._plan.lower import through
from .._plan.parts import Fits, Part, cut, in_bytes
from .._plan.select import estimate
from .jobs import (
    Call,
    Jobs,
    Kernel,
    Layouts,
    Piece,
    Places,
    can_be_staged,
    plan_call,
)
from .kept import keep
from .layout import Layout, View

LONGEST_MICROSECONDS = 20_000  # of a kernel's call, roughly, on one thread: signals wait for it

# Computes ``(images, out, residual, threads)``; `out` shares no memory with the others.
Compute: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray | None, int], None]


class Share(NamedTuple):
    """What a kernel computes of a call.

    Attributes
    ----------
    view : View
        How arrays are seen as (N, D, H, W, C).
    part : Part
        What of those is read and written.
    piece : Piece
        The kernel on these parts.
    """

    view: View
    part: Part
    piece: Piece

    @property
    def microseconds(self) -> float:
        """On one thread, roughly."""
        kernel, geometry, layouts, _ = self.piece
        if kernel.passes:
            every = (through(geometry, each.window) for each in kernel.passes)
            return sum(estimate(kernel.row, each) for each in every)
        alone = estimate(kernel.row, kernel.slice_of(geometry)) * max(1, len(kernel.slices))
        if kernel.activation in CLAMPS:
            return alone
        return alone + elementwise_microseconds(kernel.row, prod(layouts.out.shape))

    @property
    def copies(self) -> bool:
        """Whether there is something that neither the kernel nor staging can address."""
        return not can_be_staged(self.piece.layouts)


def decide(shares: Sequence[Share]) -> tuple[float, Compute]:
    """How many microseconds a call takes on one thread, roughly, and what computes it.

    Returns
    -------
    microseconds : float
    compute : Whole or Parts
    """
    microseconds = sum(share.microseconds for share in shares)
    if microseconds > LONGEST_MICROSECONDS or any(share.copies for share in shares):
        return microseconds, Parts(shares)
    return microseconds, Whole(partial(plan_call, [share.piece for share in shares]))


class Whole:
    """Kernels on whole arrays of one layout, as they are planned for a number of threads."""

    def __init__(self, plan: Callable[[int], Call]) -> None:
        self._plan = plan
        self._calls: dict[int, Call] = {}

    def __call__(self, images, out, residual, threads: int) -> None:
        call = self._calls.get(threads)
        if call is None:
            call = self._calls[threads] = self._plan(threads)
        call(images, out, residual)

    @property
    def jobs(self) -> Jobs | None:
        """The jobs of one thread, once it was called with one; None where Python has a share."""
        return getattr(self._calls.get(1), "jobs", None)


def for_each(compute: Compute, outer: tuple[int, ...]) -> Compute:
    """What computes of arrays of outer axes what is behind them."""
    if not outer:
        return compute

    def computed(images, out, residual, threads: int) -> None:
        for index in np.ndindex(*outer):
            compute(
                images[index], out[index], None if residual is None else residual[index], threads
            )

    return computed


class Parts:
    """Kernels on arrays, part by part, so that Python answers signals in between.

    Of what neither a kernel nor staging can address the kernel gets copies: of longdouble images
    in its dtype, of a part's residual in the result's.
    """

    def __init__(self, shares: Sequence[Share]) -> None:
        self._shares = [(share, share.copies, self._limit(share)) for share in shares]
        self._calls: dict[tuple, Call] = {}

    @staticmethod
    def _limit(share: Share) -> Fits:
        kernel, geometry, *_ = share.piece
        longest = LONGEST_MICROSECONDS / max(share.microseconds, LONGEST_MICROSECONDS)
        pixels = int(geometry.pixels * longest)
        if not share.copies:
            return lambda *outs: prod(outs) <= pixels
        small = in_bytes(geometry, kernel.row.itemsize)
        return lambda *outs: prod(outs) <= pixels and small(*outs)

    def __call__(self, images, out, residual, threads: int) -> None:
        for share, copies, fits in self._shares:
            view, part, piece = share
            source, target = view.array(images)[part.images], view.array(out)[part.out]
            more = None if residual is None else view.array(residual)[part.out]
            multiple = piece.kernel.family.multiple
            for smaller in cut(piece.geometry, fits, multiple=multiple):
                some = None if more is None else more[smaller.out]
                arrays = source[smaller.images], target[smaller.out], some
                self._compute(piece.kernel, smaller.geometry, copies, arrays, threads)

    def _compute(
        self, kernel: Kernel, geometry: Geometry, copies: bool, arrays: tuple, threads: int
    ) -> None:
        source, target, more = arrays
        with np.errstate(all="ignore"):
            if unit_of(source.dtype) not in ELEMENTS:
                pairs = [np.complex64] if source.dtype.kind == "c" else []
                source = source.astype(np.result_type(kernel.row.dtype, *pairs), order="C")
            if copies and more is not None:
                more = more.astype(target.dtype.newbyteorder("="), order="C")
            layouts = Layouts(
                Layout.of(source), Layout.of(target), None if more is None else Layout.of(more)
            )
            self._call(Piece(kernel, geometry, layouts, Places()), threads)(source, target, more)

    def _call(self, piece: Piece, threads: int) -> Call:
        kernel, geometry, layouts, _ = piece
        key = kernel.packed.address, geometry, layouts, threads
        call = self._calls.get(key)
        return call or keep(self._calls, key, plan_call([piece], threads))
