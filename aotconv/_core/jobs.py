"""What one call of compiled code computes: a kernel on arrays of known layouts, as a list of jobs,
each in place where the layouts allow it, else staged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._plan.activations import INTEGERS, LIMITS, Activation
from .._plan.borders import CONSTANT, ZEROS
from .._plan.elements import ELEMENTS, element_of, name_of, unit_of
from .._plan.family import (
    ADJACENT,
    ALIGNMENT,
    APART,
    FIELDS,
    SCRATCH_BYTES,
    Family,
    Triple,
    Work,
    order_of,
    wanted_tasks,
    words,
)
from .._plan.geometry import FLAT, Axis, Geometry
from .._plan.jobs import JOB_FIELDS, JOBS_FIELDS
from .._plan.lower import joined, plane
from .._plan.parts import Part, around, part
from .._plan.registry import Row
from .._plan.select import staging_row, stored_row
from .._plan.separable import serves
from .._plan.staging import (
    PASS_FIELDS,
    Side,
    Staged,
    choose_box,
    ends,
    inside_works,
    reads_in_place,
    stage_words,
    whole_rows,
    works,
)
from .activations import activate
from .baseline import exported
from .ladder import Rung
from .layout import Layout
from .pack import Packed
from .team import team_of

# With a border of pixels all is staged, or what is inside is computed in place and its edges are
# jobs of their own.
MANY_PRODUCTS = 64  # of an image's element, from which on all is staged
WIDE = 512  # elements of a row that has edges of its own
LONG = 64  # pixels of a row, and rows, of a flat image that has
_TASKS, _STAGING = FIELDS.index("tasks"), FIELDS.index("staging")


class Pass(NamedTuple):
    """A kernel, and the part of a window that it goes through."""

    kernel: Kernel
    window: Triple


class Kernel(NamedTuple):
    """A compiled kernel and its weights.

    Attributes
    ----------
    slices : sequence of Packed
        Of a kernel that computes a channelwise layer as several of a few channels each: their
        weights.
    passes : tuple of Pass
        Of several kernels, each of which goes through what the one before it has made; this is the
        last.
    at_once : Kernel or None
        One that computes the same as all of them where arrays are.
    """

    row: Row
    family: Family
    rung: Rung
    packed: Packed
    activation: Activation
    integers: str = "wrapped"  # how results are stored that are some: of `_plan.elements.INTEGERS`
    slices: Sequence[Packed] = ()
    padding_value: complex = 0
    padding_is_pixel: bool = True  # whether that is converted as images are
    passes: tuple[Pass, ...] = ()
    at_once: Kernel | None = None

    @property
    def task(self) -> int:
        """The address of its task."""
        task = self.rung.task(self.row)
        assert task is not None  # who made this has asked
        return task

    def slice_of(self, geometry: Geometry) -> Geometry:
        """What it computes at a time of a convolution."""
        if not self.slices:
            return geometry
        channels = geometry.c // len(self.slices)
        return geometry._replace(c=channels, o=channels, groups=channels)


class Layouts(NamedTuple):
    """Of the arrays of a call, as (N, D, H, W, C) and (N, OD, OH, OW, O)."""

    images: Layout
    out: Layout
    residual: Layout | None

    def part(self, images: Sequence[slice], out: Sequence[slice]) -> tuple[Layouts, Places]:
        """The layouts of parts of the arrays, and the bytes to these."""
        source, at = self.images.part(images)
        target, to = self.out.part(out)
        residual, beside = None, 0
        if self.residual is not None:
            residual, further = self.residual.part(out)
            beside = further - to
        return Layouts(source, target, residual), Places(at, to, beside)


# Runs a kernel on arrays ``(images, out, residual)`` of the layouts that were planned for, in any
# order of axes.
Call: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray | None], None]


class Jobs(NamedTuple):
    """A list of jobs, as compiled code is told."""

    address: int
    staging: int  # bytes that each thread wants beside its scratch memory
    memory: Any  # known by addresses alone


class Job(NamedTuple):
    """What `JOB_FIELDS` say of a job, and what they follow from."""

    task: int
    words: np.ndarray
    weights: int
    memory: Any  # keeps alive what is known by addresses
    images: int = 0
    out: int = 0
    residual: int = 0


class Piece(NamedTuple):
    """A kernel on parts of a call's arrays.

    Attributes
    ----------
    geometry : Geometry
        Of what it computes.
    layouts : Layouts
        Of the parts of the arrays.
    places : Places
        Bytes to them.
    """

    kernel: Kernel
    geometry: Geometry
    layouts: Layouts
    places: Places

    def part(self, part: Part) -> Piece:
        """What it is of a part of what it computes."""
        layouts, further = self.layouts.part(part.images, part.out)
        places = Places(*map(sum, zip(self.places, further, strict=True)))
        return Piece(self.kernel, part.geometry, layouts, places)

    def of_rows(self) -> Piece:
        """The same, in which images that are one row each are the rows of one image: kernels begin
        a row sooner than an image.  The stride from a row's only pixel to the next says nothing,
        so rows of one pixel stay images: `joined` would look at it."""
        g = self.geometry
        if g.n == 1 or g.z != FLAT or g.y != FLAT or g.x.size == 1:
            return self
        images, out, residual = self.layouts
        beside = None if residual is None else residual.swapped(0, 2)
        layouts = Layouts(images.swapped(0, 2), out.swapped(0, 2), beside)
        geometry = g._replace(n=1, y=Axis.flat(g.n))
        return self._replace(geometry=geometry, layouts=layouts)


def plan_call(pieces: Sequence[Piece], threads: int) -> Call:
    """The call for arrays of such layouts: all that compiled code is told is ready, but where the
    arrays are."""
    cut = [each for piece in pieces for each in _cut_at_borders(piece.of_rows())]
    jobs = [job for each in cut for job in _jobs(each, threads)]
    kernel, out = pieces[0].kernel, pieces[0].layouts.out  # of one dtype and activation, as all are
    call = call_of(kernel.rung, jobs, threads)
    if kernel.activation is None or _activates(out):
        return call

    def activated(images, out, residual) -> None:
        call(images, out, residual)
        activate(out, kernel.activation)

    return activated


def job_of(rung: Rung, row: Row, words: list[int], weights: int = 0, memory: Any = None) -> Job:
    """The job of a row's task; `weights` is the address of what `memory` keeps alive."""
    task = rung.task(row)
    assert task is not None  # who has a plan for it has asked
    return Job(task, _table(words), weights, memory)


def call_of(rung: Rung, jobs: Sequence[Job], threads: int) -> Call:
    """The call that runs jobs on arrays."""
    tasks, staging, told = 0, max(int(job.words[_STAGING]) for job in jobs), []
    for job in jobs:
        values = {**job._asdict(), "first": tasks, "plan": job.words.ctypes.data}
        told += [values[name] for name in JOB_FIELDS]
        tasks += int(job.words[_TASKS])
    of_all = {"count": len(jobs), "tasks": tasks, "staging": staging, "head": object.__basicsize__}
    memory = _table([*(of_all[name] for name in JOBS_FIELDS), *told])
    address, run = memory.ctypes.data, exported("run")
    assert run is not None  # who has a task has what runs it
    n_threads, team = team_of(min(threads, tasks))
    size = n_threads * (SCRATCH_BYTES + staging)

    def call(images, out, residual) -> None:
        more = out if residual is None else residual
        # Kept by name: what runs between here and the kernel may be a call with a larger one.
        _memory, place = _staging(size)
        run(address, images, out, more, place, n_threads, team)

    call.jobs = Jobs(address, staging, (memory, jobs))  # type: ignore[attr-defined]
    return call


def _activates(out: Layout) -> bool:
    """Whether the kernel applies the activation: integers may wrap behind it."""
    return out.dtype.kind not in "iu"


def _cut_at_borders(piece: Piece) -> list[Piece]:
    """A piece cut into one that is computed in place and those along a border, which are staged;
    itself where there is no such border, or all is better staged."""
    kernel, geometry, layouts, _ = piece
    if not (geometry.has_borders and _is_worth_cutting(geometry)):
        return [piece]
    seen = _first_channels(layouts, kernel.slice_of(geometry).c) if kernel.slices else layouts
    if not (in_place(kernel, seen) or _on_halves(kernel, geometry, seen)):
        return [piece]
    return [piece.part(each) for each in around(geometry, kernel.family.multiple)] or [piece]


def _is_worth_cutting(geometry: Geometry) -> bool:
    """Whether staging all would take long beside the products, and narrow edges would not."""
    g = geometry
    reads = g.n * g.c * prod(axis.under(axis.out) for axis in g.axes)
    is_wide = g.x.border == ZEROS or g.x.out * g.c >= WIDE
    # Volumes would be many jobs, and along rows alone what is staged is read once.
    is_flat = g.z == FLAT and g.y.kernel > 1 and min(g.x.out, g.y.out) >= LONG
    return (is_wide or is_flat) and g.multiply_adds < MANY_PRODUCTS * reads


def _jobs(piece: Piece, threads: int) -> Iterator[Job]:
    """The jobs that a piece is: one, or one for each channel or plane where its kernel computes
    these alone."""
    jobs: dict[tuple, Job] = {}
    alone = list(_alone(*piece))
    if len(alone) >= wanted_tasks(threads):  # and need not be cut for all threads to have some
        threads = 1
    for one, smaller, places in alone:
        key = smaller, one.packed.offset, one.packed.finite  # what the words follow from
        job = jobs.get(key)
        if job is None:
            layouts = piece.layouts
            seen = layouts if one is piece.kernel else _first_channels(layouts, smaller.c)
            job = jobs[key] = _job(one, smaller, seen, threads)
        memory = job.memory, one.packed.memory
        yield job._replace(weights=one.packed.address, memory=memory, **places._asdict())


class Places(NamedTuple):
    """Bytes to what a job reads and writes, as JOB_FIELDS says them."""

    images: int = 0
    out: int = 0
    residual: int = 0

    def moved(self, layouts: Layouts, axis: int, image: int, out: int) -> Places:
        """The places so many elements further on along an axis."""
        images, result, residual = layouts
        step = result.strides[axis]
        beside = 0 if residual is None else residual.strides[axis] - step
        return Places(
            self.images + image * images.strides[axis],
            self.out + out * step,
            self.residual + out * beside,
        )


def _alone(
    kernel: Kernel, geometry: Geometry, layouts: Layouts, places: Places
) -> Iterator[tuple[Kernel, Geometry, Places]]:
    """Kernels, geometries and places of the jobs."""
    if kernel.slices:
        smaller = kernel.slice_of(geometry)
        for i, packed in enumerate(kernel.slices):
            one, first = kernel._replace(packed=packed, slices=()), i * smaller.c
            yield from _alone(one, smaller, layouts, places.moved(layouts, 4, first, first))
    elif kernel.family.planes or geometry.z == FLAT:
        yield kernel, geometry, places
    else:
        n, y, x = (slice(0, size) for size in (geometry.n, geometry.y.out, geometry.x.out))
        for z in range(geometry.z.out):
            piece = part(geometry, n, slice(z, z + 1), y, x)
            first = piece.images[1].start or 0
            yield kernel, plane(piece.geometry), places.moved(layouts, 1, first, z)


def _first_channels(layouts: Layouts, channels: int) -> Layouts:
    images, out, residual = (
        None if each is None else each._replace(shape=(*each.shape[:-1], channels))
        for each in layouts
    )
    assert images is not None and out is not None
    return Layouts(images, out, residual)


def _job(kernel: Kernel, geometry: Geometry, layouts: Layouts, threads: int) -> Job:
    """A kernel on arrays of these layouts."""
    geometry = joined(geometry, [each.strides for each in layouts if each is not None])
    if _is_at_once(kernel, geometry, layouts):
        return _job_at_once(kernel, geometry, layouts, threads)
    if not geometry.has_borders:
        kernel = _on_halves(kernel, geometry, layouts) or kernel
    if geometry.has_borders or not in_place(kernel, layouts):
        return _staged_job(kernel, geometry, layouts, threads)
    strides = _strides(layouts.images), _strides(layouts.out)
    work = Work(kernel.row, geometry, *strides, threads, kernel.packed.finite)
    return Job(
        kernel.task, _told(kernel, work, layouts.out), kernel.packed.address, kernel.packed.memory
    )


def _is_at_once(kernel: Kernel, geometry: Geometry, layouts: Layouts) -> bool:
    """Whether one kernel can go through all windows of passes on the arrays as they are."""
    images, out, _ = layouts
    whole = kernel.at_once
    if whole is None or not serves(whole.row, geometry, [each.window for each in kernel.passes]):
        return False
    if any(axis.border == CONSTANT for axis in geometry.axes) and any(_fill(kernel, images.dtype)):
        return False
    orders = {order_for(each, whole.row) for each in (images, out)}
    return orders <= whole.family.takes(whole.row)


def _job_at_once(kernel: Kernel, geometry: Geometry, layouts: Layouts, threads: int) -> Job:
    """That kernel on the arrays."""
    whole = kernel.at_once
    assert whole is not None
    work = Work(whole.row, geometry, _strides(layouts.images), _strides(layouts.out), threads)
    offset = whole.packed.address - kernel.packed.address  # from what jobs know of
    told = _table(words(whole.family, work, None, offset))
    return Job(whole.task, told, kernel.packed.address, whole.packed.memory)


def _on_halves(kernel: Kernel, geometry: Geometry, layouts: Layouts) -> Kernel | None:
    """The kernel that computes the same on arrays of halves as they are; None where there is none,
    or they cannot be addressed."""
    row = stored_row(kernel.row, name_of(layouts.images.dtype))
    # A residual is to be added before a sum is rounded, and a function to be applied; such rows go
    # through windows of one plane.
    if row is None or layouts.residual is not None or geometry.z.kernel > 1:
        return None
    if kernel.activation not in LIMITS:
        return None
    halves = kernel._replace(row=row)
    return halves if in_place(halves, layouts) and kernel.rung.task(row) is not None else None


def _told(kernel: Kernel, work: Work, out: Layout, writes: bool = True) -> np.ndarray:
    """What a kernel is told, which writes the result itself or what is made the result later."""
    finish = kernel.activation if _activates(out) else None
    if writes and _as_integers(kernel, out):
        finish = INTEGERS
    return _table(words(kernel.family, work, finish, kernel.packed.offset))


def _staged_job(kernel: Kernel, geometry: Geometry, layouts: Layouts, threads: int) -> Job:
    images, out, residual = layouts
    row = kernel.row
    writes = _writes_in_place(kernel, layouts)
    staged = Staged(
        staging_row(row),
        geometry,
        _side(images),
        None if writes else _side(out, kernel.integers),
        _strides(out),
        None if writes or residual is None else _side(residual),
        _fill(kernel, images.dtype),
        tuple(each.window for each in kernel.passes),
    )
    cut = staged, kernel.family.multiple, wanted_tasks(threads)
    reads = _reads_in_place(kernel, geometry, layouts)
    rows = whole_rows(*cut, reads)
    box = rows or choose_box(*cut)
    kernels = [each.kernel for each in kernel.passes] or [kernel]
    table, memory, inner_staging = [], [], 0
    for i, (one, (source, target)) in enumerate(zip(kernels, ends(staged, box), strict=True)):
        is_last = i == len(kernels) - 1
        told = {}
        for number, every in works(staged, box):
            work = every[i]._replace(row=one.row, finite=one.packed.finite)
            told[number] = _told(one, work, out, writes and is_last)
        plans = _plans(told)
        weights = one.packed.address - kernel.packed.address
        table += [one.task, plans.ctypes.data, weights, source, target]
        memory += [plans, told, one.packed.memory]
        inner_staging = max(inner_staging, *(int(each[_STAGING]) for each in told.values()))
    inside = 0
    if rows and reads:
        first, told = kernels[0], {}
        for number, work in inside_works(staged, box, images.strides):
            work = work._replace(row=first.row, finite=first.packed.finite)
            told[number] = _told(first, work, out, writes=False)
        plans = _plans(told)
        memory += [plans, told]
        inside = plans.ctypes.data
        inner_staging = max(inner_staging, *(int(each[_STAGING]) for each in told.values()))
    task, passes = kernel.rung.task(staged.row), _table(table)
    assert task is not None and len(table) == len(kernels) * len(PASS_FIELDS)
    stage = stage_words(staged, box, (len(kernels), passes.ctypes.data, inside), inner_staging)
    return Job(task, _table(stage), kernel.packed.address, (passes, memory))


def _plans(told: dict[int, np.ndarray]) -> np.ndarray:
    """The addresses of plans by the number of a kind of box (see `_plan.staging.works`)."""
    return _table([told[i].ctypes.data if i in told else 0 for i in range(1 << 4)])


def _reads_in_place(kernel: Kernel, geometry: Geometry, layouts: Layouts) -> bool:
    """Whether the first of two passes reads images, but at their ends, in place."""
    windows = [each.window for each in kernel.passes]
    if not reads_in_place(geometry, windows):
        return False
    return order_for(layouts.images, kernel.passes[0].kernel.row) == ADJACENT


def _fill(kernel: Kernel, images: np.dtype) -> tuple[int, int]:
    """The bits of the value that surrounds images of a dtype, in that of the kernel."""
    if kernel.padding_value == 0:
        return 0, 0
    value = np.array(kernel.padding_value)
    if kernel.padding_is_pixel:
        value = value.astype(images)
    with np.errstate(all="ignore"):  # of a value beyond the dtype's
        parts = np.array([value.real, value.imag]).astype(kernel.row.dtype)
    real, imag = parts.view(f"int{8 * parts.itemsize}").tolist()
    return real, imag


def _table(words: list[int]) -> np.ndarray:
    """Words where compiled code reads them."""
    return np.array(words, np.int64)


def can_be_staged(layouts: Layouts) -> bool:
    """Whether staging reads and writes such elements."""
    images, out, residual = layouts
    if unit_of(images.dtype) not in ELEMENTS:
        return False
    if residual is None:
        return True
    known = unit_of(residual.dtype) in ELEMENTS
    return known and (residual.dtype.kind == "c") == (out.dtype.kind == "c")


def _side(layout: Layout, integers: str = "wrapped") -> Side:
    dtype, element = layout.dtype, element_of(layout.dtype).stored(integers)
    return Side(element, layout.strides, layout.aligned, not dtype.isnative)


def _strides(layout: Layout) -> tuple[int, ...]:
    """Bytes from one element to the next, of which channels of complex numbers have two."""
    element = element_of(layout.dtype)
    last = layout.strides[-1] if element.parts == 1 else element.unit_bytes
    return (*layout.strides[:-1], last)


def order_for(layout: Layout, row: Row) -> str | None:
    """The order of an array that a kernel of that row can address; None: it cannot."""
    return _order(layout) if unit_of(layout.dtype) == row.holds else None


def _order(layout: Layout) -> str | None:
    """The order of an array whose elements kernels can load; None: it is in none."""
    dtype = layout.dtype
    if not layout.aligned or not dtype.isnative:
        return None
    return order_of(layout.shape, layout.strides, dtype.itemsize)


def are_planar(layouts: Layouts) -> bool:
    """Whether the pixels of a row lie side by side, and not the channels, in images and result."""
    return all(
        each.shape[4] > 1 and each.strides[4] != each.dtype.itemsize == each.strides[3]
        for each in layouts[:2]
    )


def in_place(kernel: Kernel, layouts: Layouts) -> bool:
    """Whether the kernel reads and writes the arrays themselves."""
    if kernel.passes:
        return False
    reads = order_for(layouts.images, kernel.row) in kernel.family.takes(kernel.row)
    return reads and _writes_in_place(kernel, layouts)


def _writes_in_place(kernel: Kernel, layouts: Layouts) -> bool:
    """Whether the kernel writes the result itself, and reads the residual beside it: it can, and
    staging takes no less time."""
    _, out, residual = layouts
    family, order = kernel.family, _order(out)
    short = out.shape[-1] * out.dtype.itemsize < family.apart_bytes
    if order not in family.takes(kernel.row) or (order == APART and (short or kernel.passes)):
        return False
    if _as_integers(kernel, out):
        return residual is None
    held = unit_of(out.dtype) == kernel.row.holds
    return held and (residual is None or _alike(residual, out))


def _as_integers(kernel: Kernel, out: Layout) -> bool:
    """Whether the result holds integers of the size of the kernel's floats."""
    row = kernel.row
    floats = not row.integers and not row.stored and kernel.integers == "wrapped"
    return floats and out.dtype.kind in "iu" and out.dtype.itemsize == row.itemsize


def _alike(residual: Layout, out: Layout) -> bool:
    """Whether one distance takes a kernel from any element of `out` to its residual."""
    alike = residual.strides == out.strides and residual.dtype == out.dtype
    return alike and residual.aligned


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
