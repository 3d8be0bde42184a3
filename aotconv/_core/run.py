"""A kernel on arrays: in place where their layouts allow it, else part by part.

What computes is decided by layouts alone (`decide`), before there are arrays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from .._plan import family as plan
from .._plan.family import ALIGNMENT, FIELDS, PLANAR, SCRATCH_BYTES, Family, Work, order_of, words
from .._plan.geometry import Geometry
from .._plan.parts import Fits, cut, in_bytes
from .._plan.registry import Row
from .._plan.select import estimate
from .fallback import activate
from .layout import Layout
from .pack import Packed
from .threads import gomp_parallel

LONGEST_MICROSECONDS = 20_000  # of a kernel's call, roughly, on one thread: signals wait for it
KEPT_CALLS = 64  # parts have few sizes; what meets many forgets them
_TASKS, _STAGING = FIELDS.index("tasks"), FIELDS.index("staging")

Function: TypeAlias = Callable[[int, int, int, int, int, int, int, int], None]


# Computes ``(images, out, residual, threads)``; `out` shares no memory with the others.
Compute: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray | None, int], None]


class Kernel(NamedTuple):
    """A compiled kernel and its weights."""

    row: Row
    family: Family
    function: Function
    packed: Packed
    activation: str | None


# Runs a kernel on arrays ``(images, out, residual)`` of the sizes and strides that were planned
# for, in any order of axes.
Call: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray | None], None]


def plan_call(kernel: Kernel, geometry: Geometry, image_strides, out_strides, threads: int) -> Call:
    """The call for arrays (N, H, W, C) of such strides: all that the kernel is told is ready, but
    where the arrays are."""
    row, family, function, packed, activation = kernel
    work = Work(row, geometry, image_strides, out_strides, threads, packed.finite)
    told = np.array(words(family, work, activation, packed.offset), np.int64)
    plan_address, weights = told.ctypes.data, packed.address
    team = min(threads, int(told[_TASKS]))
    size = team * (SCRATCH_BYTES + int(told[_STAGING]))
    parallel = gomp_parallel(team)
    finishes = family.finishes or activation is None

    def call(images, out, residual) -> None:
        more = out if residual is None else residual
        # Kept by name: what runs between here and the kernel may be a call with a larger one.
        _memory, staging = _staging(size)
        function(plan_address, id(images), weights, id(out), id(more), staging, team, parallel)
        if not finishes:
            activate(out, activation)

    call.memory = told, packed.memory  # type: ignore[attr-defined]  # known by addresses alone
    return call


def decide(
    kernel: Kernel, geometry: Geometry, images: Layout, out: Layout, residual: Layout | None
) -> tuple[float, Compute]:
    """How many microseconds a convolution takes on one thread, roughly, and what computes it.

    Parameters
    ----------
    images, out, residual : Layout
        Of arrays (N, H, W, C) and (N, OH, OW, O) of any order and dtype.

    Returns
    -------
    microseconds : float
    compute : Whole or Parts
    """
    takes = kernel.family.takes(kernel.row)
    orders = [_order(each, kernel.row) for each in (images, out)]
    alike = residual is None or _alike(residual, out)
    in_place = alike and takes.issuperset(orders)
    if in_place and PLANAR in orders:
        work = Work(kernel.row, geometry, images.strides, out.strides, 1, kernel.packed.finite)
        in_place = kernel.family.blocking(work)["staging"] <= plan.STAGING_BYTES
    microseconds = estimate(kernel.row, geometry)
    if in_place and microseconds <= LONGEST_MICROSECONDS:
        return microseconds, Whole(kernel, geometry, images.strides, out.strides)
    # Copies have their channels side by side, and all that is planar is copied with them.
    reads = takes if in_place else takes - {PLANAR}
    copies_in, copies_out = (each not in reads for each in orders)
    parts = Parts(kernel, geometry, microseconds, reads, copies_in, copies_out or not alike)
    return microseconds, parts


def _order(layout: Layout, row: Row) -> str | None:
    """The order of an array that a kernel of that dtype can address; None: it cannot."""
    if layout.dtype != np.dtype(row.dtype) or not layout.aligned:
        return None
    return order_of(layout.shape, layout.strides, row.itemsize)


def _alike(residual: Layout, out: Layout) -> bool:
    """Whether one distance takes a kernel from any element of `out` to its residual."""
    alike = residual.strides == out.strides and residual.dtype == out.dtype
    return alike and residual.aligned


class Whole:
    """A kernel on whole arrays of one layout, in place, by the number of threads."""

    def __init__(self, kernel: Kernel, geometry: Geometry, image_strides, out_strides) -> None:
        self._planned = kernel, geometry, image_strides, out_strides
        self._calls: dict[int, Call] = {}

    def __call__(self, images, out, residual, threads: int) -> None:
        call = self._calls.get(threads)
        if call is None:
            call = self._calls[threads] = plan_call(*self._planned, threads)
        call(images, out, residual)


class Parts:
    """A kernel on arrays (N, H, W, C) of one layout, part by part: what takes long, so that Python
    answers signals in between, and what the kernel cannot address, which is copied.

    Parameters
    ----------
    microseconds : float
        What all of it takes on one thread, roughly.
    reads : frozenset of str
        The orders of images that are not copied; a part's pixels may lie further apart.
    copies_in, copies_out : bool
        Whether images are copied, and out and the residual.
    """

    def __init__(
        self,
        kernel: Kernel,
        geometry: Geometry,
        microseconds: float,
        reads: frozenset[str],
        copies_in: bool,
        copies_out: bool,
    ) -> None:
        self._kernel, self._geometry, self._reads = kernel, geometry, reads
        self._copies_in, self._copies_out = copies_in, copies_out
        self._fits = self._limit(microseconds)
        self._calls: dict[tuple, Call] = {}

    def _limit(self, microseconds: float) -> Fits:
        g = self._geometry
        share = LONGEST_MICROSECONDS / max(microseconds, LONGEST_MICROSECONDS)
        pixels = int(g.n * g.oh * g.ow * share)
        if not (self._copies_in or self._copies_out):
            return lambda n, oh, ow: n * oh * ow <= pixels
        small = in_bytes(g, self._kernel.row.itemsize)
        return lambda n, oh, ow: n * oh * ow <= pixels and small(n, oh, ow)

    def __call__(self, images, out, residual, threads: int) -> None:
        dtype = np.dtype(self._kernel.row.dtype)
        with np.errstate(all="ignore"):  # of what is converted
            for part in cut(self._geometry, self._fits, multiple=self._kernel.family.multiple):
                source, target = images[part.images], out[part.out]
                more = None if residual is None else residual[part.out]
                if _order(Layout.of(source), self._kernel.row) not in self._reads:
                    source = source.astype(dtype, order="C")
                if not self._copies_out:
                    self._compute(part.geometry, source, target, more, threads)
                    continue
                own = np.empty(target.shape, dtype)
                more = None if more is None else more.astype(dtype, order="C")
                self._compute(part.geometry, source, own, more, threads)
                np.copyto(target, own, casting="same_kind")

    def _compute(self, geometry: Geometry, images, out, residual, threads: int) -> None:
        key = geometry, images.strides, out.strides, threads
        call = self._calls.get(key)
        if call is None:
            if len(self._calls) >= KEPT_CALLS:
                self._calls.clear()
            call = self._calls[key] = plan_call(self._kernel, *key)
        call(images, out, residual)


class _Thread(threading.local):
    """This thread's staging memory, the address in it and the bytes there, for its next calls."""

    staging: tuple[np.ndarray | None, int, int] = None, 0, -1


_thread = _Thread()


def _staging(size: int) -> tuple[np.ndarray | None, int]:
    """Memory of this thread's own, and the address of `size` bytes of it, aligned to a cache
    line."""
    memory, address, held = _thread.staging
    if held < size:
        memory = np.empty(size + ALIGNMENT, np.uint8)
        address = memory.ctypes.data
        address += -address % ALIGNMENT
        _thread.staging = memory, address, size  # at once: a signal's handler may convolve, too
    return memory, address
