"""Elements that are missing of an array, which have no weight in a filter."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .copies import pieces


class Missing:
    """Which elements of an array are missing.

    Parameters
    ----------
    array : ndarray
    are_nan : bool
        Whether NaN are.
    mask : ndarray of bool or None
        Where others are, of the array's shape.
    cval : complex
        What is beyond the array's ends, where that is a constant.
    """

    def __init__(
        self, array: np.ndarray, are_nan: bool, mask: np.ndarray | None, cval: complex
    ) -> None:
        self._array, self._are_nan, self._mask = array, are_nan, mask
        self.is_border = are_nan and bool(np.isnan(cval))

    @functools.cached_property
    def is_any(self) -> bool:
        """Whether an element is missing, or what is around the array."""
        if not self._are_nan and self._mask is None:
            return False
        return self.is_border or any(self.of(at).any() for at in pieces(self._array.shape))

    def of(self, at: tuple[Any, ...]) -> np.ndarray:
        """Truth values of a part of the array."""
        array = self._array[at]
        missing = np.isnan(array) if self._are_nan else np.zeros(array.shape, np.bool_)
        if self._mask is not None:
            missing |= self._mask[at]
        return missing
