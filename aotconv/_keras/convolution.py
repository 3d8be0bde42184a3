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
    options = _frozen(strides), padding, _frozen(dilation_rate), data_format, groups
    return layer_of(kernel, _forward, algorithm_of(kernel), *options)(images)


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
    options = _frozen(strides), padding, _frozen(dilation_rate), data_format, channels
    return layer_of(kernel, _depthwise, algorithm_of(kernel), *options)(images)


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
    options = _frozen(strides), padding, _frozen(output_padding), _frozen(dilation_rate)
    return layer_of(kernel, _transposed, data_format, *options)(images)


def _forward(
    filters: np.ndarray,
    algorithm: Any,
    strides: Any,
    padding: str,
    dilations: Any,
    data_format: str,
    groups: int,
) -> Any:
    return LAYERS[filters.ndim - 2](
        filters,
        strides=strides,
        padding=padding,
        dilations=dilations,
        groups=groups,
        data_format=data_format,
        algorithm=algorithm,
    )


def _depthwise(kernel: np.ndarray, *options: Any) -> Any:
    filters = kernel.reshape(*kernel.shape[:-2], 1, kernel.shape[-2] * kernel.shape[-1])
    return _forward(filters, *options)


def _transposed(
    filters: np.ndarray,
    data_format: str,
    strides: Any,
    padding: str,
    output_padding: Any,
    dilations: Any,
) -> Any:
    """Keras says how many zeros are around images whose pixels lie a stride apart: one fewer than a
    window reaches over is the whole result, fewer cut it, and more add to its end."""
    pads = backend.common.backend_utils.compute_conv_transpose_padding_args_for_jax(
        filters.shape, filters.shape, strides, padding, output_padding, dilations
    )
    rank = filters.ndim - 2
    steps = (dilations,) * rank if isinstance(dilations, int) else dilations
    whole = [(taps - 1) * step for taps, step in zip(filters.shape, steps, strict=False)]
    sides = list(zip(whole, pads, strict=True))
    return TRANSPOSED[rank](
        filters,
        strides=strides,
        padding=[(most - front, max(most - behind, 0)) for most, (front, behind) in sides],
        output_padding=[max(behind - most, 0) for most, (_, behind) in sides],
        dilations=dilations,
        data_format=data_format,
    )


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


def _frozen(option: Any) -> Any:
    """An option as part of a key."""
    return tuple(option) if isinstance(option, list) else option
