"""Arguments of dask arrays, and what stands for them while nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import dask.array as da
import numpy as np
from dask.base import is_dask_collection

LONGEST = 1000  # of iterators, which may have no end: longer than any number of axes


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


def settled(name: str, given: Any) -> Any:
    """An argument that nobody changes before it is used, or uses up."""
    if is_dask_collection(given):
        raise TypeError(f"{name} must be known at once, got {type(given).__name__} of dask")
    if isinstance(given, np.ndarray):
        return given.copy() if given.ndim else given.item()
    if isinstance(given, Iterator):
        given = tuple(islice(given, LONGEST))
    if type(given) in (list, tuple):
        return tuple(settled(name, each) for each in given)
    return given
