"""What is asked of a filter, and in which dtype its products are summed for it."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from .._plan.elements import HALVES, name_of
from . import check, check_ndimage
from .kept import KEPT

NARROW = (*HALVES, "float32", "complex64")  # dtypes that are summed in float32


class Asked(NamedTuple):
    """What is asked of a filter beside its steps, checked.

    Attributes
    ----------
    cval : complex
        What is beyond the ends of arrays, where that is a constant.
    saturate : bool
        Whether integers are rounded once, and clipped.
    sums : dtype or None
        Of sums; None: what follows from the arrays.
    algorithm : str
    threads : int or None
    omits : bool
        Whether NaN are missing.
    """

    cval: complex
    saturate: bool
    sums: np.dtype | None
    algorithm: str
    threads: int | None
    omits: bool

    @classmethod
    def of(
        cls, is_complex, cval, saturate, dtype, algorithm, threads, nan_policy="propagate"
    ) -> Asked:
        """Of arguments as the user gave them; `is_complex`: whether the arrays are."""
        return cls(
            check_ndimage.cval(cval, is_complex),
            check.flag("saturate", saturate),
            check_ndimage.sums(dtype),
            check_ndimage.algorithm(algorithm),
            check_ndimage.threads(threads),
            check_ndimage.nan_policy(nan_policy) == "omit",
        )

    def dtype_of_sums(self, array: np.dtype, out: np.dtype) -> np.dtype:
        """What products are summed in."""
        return self.sums or _own_sums(array, out)


@functools.lru_cache(maxsize=KEPT)  # of pairs of dtypes
def _own_sums(array: np.dtype, out: np.dtype) -> np.dtype:
    """What products are summed in where nobody says."""
    is_narrow = all(name_of(each.newbyteorder("=")) in NARROW for each in (array, out))
    return np.dtype(np.float32 if is_narrow else np.float64)
