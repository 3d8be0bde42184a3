"""Convolutions of Keras, in its words."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
)
from .importing import backend
from .layers import algorithm_of, layer_of, tensor

LAYERS: dict[int, Any] = {1: Conv1D, 2: Conv2D, 3: Conv3D}  # by the number of spatial axes
TRANSPOSED: dict[int, Any] = {1: Conv1DTranspose, 2: Conv2DTranspose, 3: Conv3DTranspose}


def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> np.ndarray:
    """Kernels are (.., channels / groups, filters): their shape says how many groups there are."""
    images, data_format, channels = _checked(inputs, kernel, data_format)
    groups, left = divmod(channels, kernel.shape[-2])
    if left:
        raise ValueError(
            f"inputs have {channels} channels, which must be a multiple of those of the kernel, "
            f"{kernel.shape[-2]}: its shape is {tuple(kernel.shape)}"
        )
    return layer_of(
        kernel,
        _forward,
        strides=strides,
        padding=padding,
        dilations=dilation_rate,
        groups=groups,
        data_format=data_format,
        algorithm=algorithm_of(kernel),
    )(images)


def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> np.ndarray:
    """Kernels are (.., channels, multiplier)."""
    images, data_format, channels = _checked(inputs, kernel, data_format)
    _check_channels(channels, kernel, -2)
    return layer_of(
        kernel,
        _depthwise,
        strides=strides,
        padding=padding,
        dilations=dilation_rate,
        groups=channels,
        data_format=data_format,
        algorithm=algorithm_of(kernel),
    )(images)


def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> np.ndarray:
    """A depthwise convolution, and one of single pixels."""
    images = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(images, pointwise_kernel, data_format=data_format, dilation_rate=dilation_rate)


def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> np.ndarray:
    """Kernels are (.., filters, channels), those of the convolution whose gradient this is."""
    images, data_format, channels = _checked(inputs, kernel, data_format)
    _check_channels(channels, kernel, -1)
    return layer_of(
        kernel,
        _transposed,
        strides=strides,
        padding=padding,
        output_padding=output_padding,
        dilations=dilation_rate,
        data_format=data_format,
    )(images)


def _forward(filters: np.ndarray, **options: Any) -> Any:
    return LAYERS[filters.ndim - 2](filters, **options)


def _depthwise(kernel: np.ndarray, **options: Any) -> Any:
    *window, channels, multiplier = kernel.shape
    return _forward(kernel.reshape(*window, 1, channels * multiplier), **options)


def _transposed(filters: np.ndarray, **options: Any) -> Any:
    return TRANSPOSED[filters.ndim - 2](filters, **options)


def _checked(inputs: Any, kernel: Any, data_format: str | None) -> tuple[np.ndarray, str, int]:
    """The inputs as an array, their format and how many channels they have."""
    images = tensor(inputs)
    rank = len(kernel.shape) - 2
    if rank not in LAYERS or images.ndim != rank + 2:
        raise ValueError(
            "inputs and kernel must have one to three spatial axes, and two axes more, "
            f"got shapes {images.shape} and {tuple(kernel.shape)}"
        )
    data_format = backend.standardize_data_format(data_format)
    return images, data_format, images.shape[-1 if data_format == "channels_last" else 1]


def _check_channels(channels: int, kernel: Any, axis: int) -> None:
    """Refuse a kernel of other channels than inputs have."""
    if channels != kernel.shape[axis]:
        raise ValueError(
            f"inputs have {channels} channels, the kernel {kernel.shape[axis]}: "
            f"its shape is {tuple(kernel.shape)}"
        )
