"""Pools of Keras, in its words."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import (
    average_pool1d,
    average_pool2d,
    average_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from .importing import backend
from .layers import tensor

MAXIMA: dict[int, Any] = {1: max_pool1d, 2: max_pool2d, 3: max_pool3d}  # by number of spatial axes
AVERAGES: dict[int, Any] = {1: average_pool1d, 2: average_pool2d, 3: average_pool3d}


def max_pool(
    inputs: Any,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> np.ndarray:
    return _pooled(MAXIMA, inputs, pool_size, strides, padding, data_format)


def average_pool(
    inputs: Any,
    pool_size: Any,
    strides: Any = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> np.ndarray:
    """Of the pixels that images have: padding does not count."""
    return _pooled(AVERAGES, inputs, pool_size, strides, padding, data_format)


def _pooled(
    doors: dict[int, Any],
    inputs: Any,
    pool_size: Any,
    strides: Any,
    padding: str,
    data_format: str | None,
) -> np.ndarray:
    images = tensor(inputs)
    door = doors.get(images.ndim - 2)
    if door is None:
        raise ValueError(
            f"inputs must have one to three spatial axes, and two more, got shape {images.shape}"
        )
    data_format = backend.standardize_data_format(data_format)
    return door(images, pool_size, strides, padding, data_format=data_format)
