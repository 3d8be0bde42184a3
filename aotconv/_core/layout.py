"""The layout of an array: what all decisions are made by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Of an array's flags, as NumPy's C API numbers them.
C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400


class Layout(NamedTuple):
    """All that is known of an array but its values and where it lies."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype
    flags: int  # bits of C_CONTIGUOUS and the like

    @classmethod
    def of(cls, array: np.ndarray) -> Layout:
        return cls(array.shape, array.strides, array.dtype, array.flags.num)

    @classmethod
    def new(cls, shape: tuple[int, ...], dtype: np.dtype) -> Layout:
        """The layout of an array that is yet to be allocated."""
        strides: tuple[int, ...] = ()
        step = dtype.itemsize
        for size in reversed(shape):
            strides, step = (step, *strides), step * size
        return cls(shape, strides, dtype, C_CONTIGUOUS | ALIGNED | WRITEABLE)

    @property
    def c_contiguous(self) -> bool:
        return bool(self.flags & C_CONTIGUOUS)

    @property
    def aligned(self) -> bool:
        return bool(self.flags & ALIGNED)

    @property
    def writeable(self) -> bool:
        return bool(self.flags & WRITEABLE)
