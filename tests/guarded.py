"""Arrays in memory of their own, around which nothing may be read or written.

`Pages` ends at a page that the CPU refuses to read and to write, `Heap` at what valgrind watches.
"""

from __future__ import annotations

import ctypes
import mmap
import weakref
from typing import NamedTuple

import numpy as np

# Of a byte that nothing has written: in floats it makes a NaN, in tables an address that is none.
POISON = 0xFF
ALIGNMENT = 64

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.aligned_alloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
_libc.aligned_alloc.restype = ctypes.c_void_p
_libc.free.argtypes = [ctypes.c_void_p]
NO_ACCESS = 0


class Layout(NamedTuple):
    """How an array of some axes lies in memory."""

    order: tuple[int, ...]  # its axes, from the outermost to the innermost
    gaps: tuple[int, ...]  # elements that are not its own, behind each step along these
    backwards: tuple[int, ...] = ()  # axes along which it runs from high addresses to low ones

    @classmethod
    def packed(cls, ndim: int) -> Layout:
        return cls(tuple(range(ndim)), (0,) * ndim)

    def strides(self, shape, itemsize: int) -> tuple[tuple[int, ...] | None, int]:
        """The strides, but for the axes that run backwards, and the bytes from the first element's
        to the last one's.  Where there is no element, strides are NumPy's."""
        if 0 in shape:
            return None, 0
        strides, step, span = [0] * len(shape), itemsize, itemsize
        for axis, gap in zip(reversed(self.order), reversed(self.gaps), strict=True):
            strides[axis] = step = step + gap * itemsize
            span += (shape[axis] - 1) * step
            step *= shape[axis]
        return tuple(strides), span

    def view(self, memory, offset: int, shape, dtype) -> np.ndarray:
        strides, _ = self.strides(shape, np.dtype(dtype).itemsize)
        array = np.ndarray(shape, dtype, memory, offset, strides)
        return np.flip(array, self.backwards) if self.backwards else array


class Pages:
    """An array whose last byte, or whose first, touches a page without access; all that is not its
    own, up to the page on its other side, is poison, and so are its elements."""

    def __init__(self, shape, dtype, at_end: bool, layout: Layout | None = None) -> None:
        layout = layout or Layout.packed(len(shape))
        _, span = layout.strides(shape, np.dtype(dtype).itemsize)
        size = (span // mmap.PAGESIZE + 2) * mmap.PAGESIZE  # at least a page of poison beside it
        pages = mmap.mmap(-1, size + 2 * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        whole = np.frombuffer(pages, np.uint8)
        self._inside = whole[mmap.PAGESIZE : -mmap.PAGESIZE]
        self._inside[:] = POISON
        for guard in (whole[: mmap.PAGESIZE], whole[-mmap.PAGESIZE :]):
            _protect(guard, NO_ACCESS)
        offset = mmap.PAGESIZE + (size - span if at_end else 0)
        self.array = layout.view(pages, offset, shape, dtype)

    def freeze(self) -> None:
        """From now on nothing may be written."""
        _protect(self._inside, mmap.PROT_READ)

    def spoiled(self) -> int:
        """How many bytes that are not the array's own are no poison any more.  Its elements become
        poison."""
        poison = np.full(self.array.itemsize, POISON, np.uint8).view(self.array.dtype)
        self.array[...] = poison
        return int(np.count_nonzero(self._inside != POISON))


def _protect(memory: np.ndarray, access: int) -> None:
    if _libc.mprotect(memory.ctypes.data, memory.size, access):
        raise OSError(ctypes.get_errno(), "mprotect")


class Heap:
    """An array in a block that was just allocated, not a byte longer than it needs.

    valgrind knows which of its bytes were written, and that those around it are nobody's.
    """

    def __init__(self, shape, dtype, at_end: bool, layout: Layout | None = None) -> None:
        layout = layout or Layout.packed(len(shape))
        _, span = layout.strides(shape, np.dtype(dtype).itemsize)
        address = _libc.aligned_alloc(ALIGNMENT, span)
        if not address:
            raise MemoryError
        block = (ctypes.c_char * span).from_address(address)
        weakref.finalize(block, _libc.free, address)
        self.array = layout.view(block, 0, shape, dtype)

    def freeze(self) -> None:
        """valgrind has no memory that cannot be written."""

    def spoiled(self) -> int:
        """valgrind tells itself."""
        return 0
