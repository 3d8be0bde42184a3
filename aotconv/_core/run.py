"""Run a kernel on arrays: in place where their layout allows it, else block by block."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from .._plan import select as plan
from .._plan.geometry import Geometry
from .._plan.parts import in_bytes, split
from .._plan.registry import AOT_DTYPES, FIELDS, LOOP_DTYPES, SCRATCH_BYTES, WINOGRAD_TILE, Row
from . import pack as packing
from . import threads as openmp
from .fallback import activate

_DTYPES = {name: np.dtype(name) for name in AOT_DTYPES + LOOP_DTYPES}
LONGEST_MICROSECONDS = 20_000  # of a kernel's call, roughly, on one thread: signals wait for it
_KEPT_CALLS = 64  # a layer meets few layouts; what meets many forgets them
_TASKS, _STAGING = FIELDS.index("tasks"), FIELDS.index("staging")

Function: TypeAlias = Callable[[int, int, int, int, int, int, int, int], None]


class Kernel(NamedTuple):
    """A compiled kernel, its weights, and its calls for the layouts it has met."""

    row: Row
    function: Function
    packed: packing.Packed
    activation: str | None
    calls: dict[tuple, Call]


class Call(NamedTuple):
    """All that a kernel is told but where the arrays are: known of sizes, strides and threads."""

    function: Function
    words: int  # addresses
    weights: int
    staging: int  # bytes
    threads: int
    gomp_parallel: int
    activation: str | None  # that the kernel does not apply itself
    memory: tuple[np.ndarray, ...]  # keeps words and weights alive

    def __call__(self, images, out, residual) -> None:
        """Run on arrays of the sizes and strides that were planned for, in any order of axes."""
        function, words, weights, size, threads, gomp_parallel, activation, _ = self
        more = out if residual is None else residual
        # Kept by name: what runs between here and the kernel may be a call with a larger one.
        _memory, staging = _staging(size)
        function(words, id(images), weights, id(out), id(more), staging, threads, gomp_parallel)
        if activation is not None:
            activate(out, activation)


def convolve(
    kernel: Kernel,
    geometry: Geometry,
    images: np.ndarray,
    out: np.ndarray,
    residual: np.ndarray | None,
    threads: int,
) -> Call | None:
    """Convolve images (N, H, W, C) of any layout into `out` (N, OH, OW, O) of any layout, and add
    the residual, of any layout and of the shape of `out`, whose memory it does not share.

    What takes long is run in parts, between which Python answers signals.  Where the whole runs in
    place, the call is returned: it may be made again on arrays that lie alike.
    """
    microseconds = plan.estimate(kernel.row, geometry)
    if microseconds <= LONGEST_MICROSECONDS:
        return _convolve(kernel, geometry, images, out, residual, threads)
    pixels = int(geometry.n * geometry.oh * geometry.ow * LONGEST_MICROSECONDS / microseconds)
    parts = split(geometry, lambda n, oh, ow: n * oh * ow <= pixels, multiple=_multiple(kernel))
    for block in parts:
        more = None if residual is None else residual[block.out]
        arrays = images[block.images], out[block.out], more
        _convolve(kernel, block.geometry, *arrays, threads)
    return None


def _multiple(kernel: Kernel) -> int:
    """Rows and columns of outputs of which a part's first must be a multiple, to get the same
    bits."""
    return WINOGRAD_TILE if kernel.row.family == "winograd" else 1


def _convolve(
    kernel: Kernel,
    geometry: Geometry,
    images: np.ndarray,
    out: np.ndarray,
    residual: np.ndarray | None,
    threads: int,
) -> Call | None:
    """`convolve` at once.  What the kernel cannot address is copied, no more than a block of it at
    a time."""
    dtype = _DTYPES[kernel.row.dtype]
    fits, row = _fits(residual, out), kernel.row
    if fits and _usable(images, row, in_place=True) and _usable(out, row, in_place=True):
        call = _plan(kernel, geometry, images.strides, out.strides, threads)
        if call is not None:
            call(images, out, residual)
            return call
    copy_in = not _usable(images, row)
    copy_out = not (fits and _usable(out, row))
    blocks = split(geometry, in_bytes(geometry, dtype.itemsize), multiple=_multiple(kernel))
    for block in blocks:
        source, target = images[block.images], out[block.out]
        more = None if residual is None else residual[block.out]
        with np.errstate(over="ignore"):  # from float64, or to float16
            block_images = source.astype(dtype, order="C") if copy_in else source
            block_out = np.empty(target.shape, dtype) if copy_out else target
            if copy_out and more is not None:
                more = more.astype(dtype, order="C")
            call = _plan(kernel, block.geometry, block_images.strides, block_out.strides, threads)
            assert call is not None  # channels lie side by side
            call(block_images, block_out, more)
            if copy_out:
                np.copyto(target, block_out, casting="same_kind")
    return None


class _Thread(threading.local):
    """This thread's staging memory, the address in it and the bytes there, for its next calls."""

    staging: tuple[np.ndarray | None, int, int] = None, 0, -1


_thread = _Thread()


def _staging(size: int) -> tuple[np.ndarray | None, int]:
    """Memory of this thread's own, and the address of `size` bytes of it, aligned to a cache
    line."""
    memory, address, held = _thread.staging
    if held < size:
        memory = np.empty(size + plan.ALIGNMENT, np.uint8)
        address = memory.ctypes.data
        address += -address % plan.ALIGNMENT
        _thread.staging = memory, address, size  # at once: a signal's handler may convolve, too
    return memory, address


def _usable(array: np.ndarray, row: Row, in_place: bool = False) -> bool:
    """Whether a kernel can address the array: its dtype, aligned, channels side by side, for images
    pixels too.  With `in_place` a row's pixels may do so instead, if the family packs them."""
    dtype = _DTYPES[row.dtype]
    _, _, columns, channels = array.shape
    contiguous = channels <= 1 or array.strides[3] == dtype.itemsize
    if row.family == "image" and columns > 1:
        contiguous &= array.strides[2] == channels * dtype.itemsize
    if in_place and row.family in plan.PLANAR_FAMILIES:
        contiguous |= columns <= 1 or array.strides[2] == dtype.itemsize
    return contiguous and array.dtype == dtype and array.flags.aligned


def _fits(residual: np.ndarray | None, out: np.ndarray) -> bool:
    """Whether a residual lies as `out` does, which the kernel can address."""
    if residual is None:
        return True
    alike = residual.strides == out.strides and residual.dtype == out.dtype
    return alike and residual.flags.aligned


def _plan(
    kernel: Kernel, geometry: Geometry, image_strides, out_strides, threads: int
) -> Call | None:
    """The call for arrays of a layout, kept; None if a task of it needs too much memory."""
    key = geometry, image_strides, out_strides, threads
    call = kernel.calls.get(key)
    if call is None:
        if len(kernel.calls) >= _KEPT_CALLS:
            kernel.calls.clear()
        words = plan.words(kernel.row, kernel.packed, *key[:3], kernel.activation, threads)
        staging = int(words[_STAGING])
        if kernel.row.family in plan.PLANAR_FAMILIES and staging > plan.STAGING_BYTES:
            return None
        team = min(threads, int(words[_TASKS]))
        call = kernel.calls[key] = Call(
            kernel.function,
            words.ctypes.data,
            kernel.packed.address,
            team * (SCRATCH_BYTES + staging),
            team,
            openmp.gomp_parallel(team),
            kernel.activation if kernel.row.family == "loop" else None,
            (words, kernel.packed.memory),
        )
    return call
