"""Arguments of dask arrays, and what stands for them while nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np


def array_of(name: str, given: Any) -> da.Array:
    """An argument as an array, of NumPy's in chunks of known sizes."""
    array = da.asanyarray(given)
    if math.isnan(sum(array.shape)):
        raise ValueError(
            f"{name} must have chunks of known sizes, got {array.chunks}; its "
            "compute_chunk_sizes() finds them"
        )
    if type(array._meta) is not np.ndarray:
        raise TypeError(f"{name} must hold NumPy arrays, got {type(array._meta).__name__}")
    return array


def stand_in(shape: Sequence[int], dtype: np.dtype[Any]) -> np.ndarray:
    """An array of any shape, in no memory."""
    return np.broadcast_to(np.zeros((), dtype), shape)
