"""Convolution from first principles: the slow versions that the fast ones are checked against.

``filter_image`` and ``filter_images_v1`` to ``filter_images_v3`` follow the notebook "Speeding up
Convolution", from which this library began: valid padding, NHWC images, HWIO filters, a bias per
filter and a pair of strides.  ``conv2d_reference`` is the oracle of the tests: every option of
`aotconv.conv2d`, computed in float64, short enough to trust by eye.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = [
    "conv2d_reference",
    "filter_image",
    "filter_images_v1",
    "filter_images_v2",
    "filter_images_v3",
]


def filter_image(image, filters, biases, strides):
    """Convolve one image (H, W, C) with filters (KH, KW, C, O), one output pixel at a time."""
    height, width, _ = image.shape
    kernel_height, kernel_width, _, n_filters = filters.shape
    stride_height, stride_width = strides
    out_height = (height - kernel_height) // stride_height + 1
    out_width = (width - kernel_width) // stride_width + 1
    out = np.empty((out_height, out_width, n_filters), np.result_type(image, filters))
    for y in range(out_height):
        for x in range(out_width):
            top, left = y * stride_height, x * stride_width
            window = image[top : top + kernel_height, left : left + kernel_width, :, np.newaxis]
            out[y, x] = (window * filters).sum(axis=(0, 1, 2)) + biases
    return out


def filter_images_v1(images, filters, biases, strides):
    """Convolve images (N, H, W, C), one image at a time."""
    return np.stack([filter_image(image, filters, biases, strides) for image in images])


def filter_images_v2(images, filters, biases, strides):
    """Convolve images (N, H, W, C), the same output pixel of all images at a time."""
    n_images, height, width, _ = images.shape
    kernel_height, kernel_width, _, n_filters = filters.shape
    stride_height, stride_width = strides
    out_height = (height - kernel_height) // stride_height + 1
    out_width = (width - kernel_width) // stride_width + 1
    out = np.empty((n_images, out_height, out_width, n_filters), np.result_type(images, filters))
    for y in range(out_height):
        for x in range(out_width):
            top, left = y * stride_height, x * stride_width
            windows = images[:, top : top + kernel_height, left : left + kernel_width, :]
            out[:, y, x] = np.tensordot(windows, filters, axes=3) + biases
    return out


def filter_images_v3(images, filters, biases, strides):
    """Convolve images (N, H, W, C) with seven nested loops, written for ``numba.jit``."""
    n_images, height, width, n_channels = images.shape
    kernel_height, kernel_width, _, n_filters = filters.shape
    stride_height, stride_width = strides
    out_height = (height - kernel_height) // stride_height + 1
    out_width = (width - kernel_width) // stride_width + 1
    out = np.empty((n_images, out_height, out_width, n_filters), images.dtype)
    for n in range(n_images):
        for y in range(out_height):
            for x in range(out_width):
                for o in range(n_filters):
                    total = biases[o]
                    for ky in range(kernel_height):
                        for kx in range(kernel_width):
                            for c in range(n_channels):
                                pixel = images[n, y * stride_height + ky, x * stride_width + kx, c]
                                total += pixel * filters[ky, kx, c, o]
                    out[n, y, x, o] = total
    return out


def _zeros(padding, axis, size, stride, window):
    """Zeros before and after one axis of images."""
    if not isinstance(padding, str):
        both = padding if isinstance(padding, int) else padding[axis]
        return (both, both) if isinstance(both, int) else tuple(both)
    if padding.lower() == "valid":
        return 0, 0
    zeros = max((math.ceil(size / stride) - 1) * stride + window - size, 0)
    less, more = zeros // 2, zeros - zeros // 2
    return (less, more) if padding.lower() == "same" else (more, less)


def conv2d_reference(
    images,
    filters,
    bias=None,
    strides=1,
    padding="valid",
    *,
    dilations=1,
    groups=1,
    data_format="NHWC",
    activation=None,
    residual=None,
):
    """Convolve as `aotconv.conv2d` does, in float64 (complex128 for complex input).

    Every option of `aotconv.conv2d` is here, with the same meaning.  The sum runs over the filter
    taps; each tap multiplies one pixel of every window of the padded images with a (C, O) matrix,
    group by group.
    """
    kind = np.result_type(np.asarray(images).dtype, np.asarray(filters).dtype, np.float64)
    images, filters = np.asarray(images, kind), np.asarray(filters, kind)
    channels_first = data_format in ("NCHW", "channels_first")
    single = images.ndim == 3
    if single:
        images = images[np.newaxis]
    if channels_first:
        images = images.transpose(0, 2, 3, 1)

    (sh, sw), (dh, dw) = np.broadcast_to(strides, 2), np.broadcast_to(dilations, 2)
    kh, kw, group_channels, n_filters = filters.shape
    pads = [
        _zeros(padding, axis, size, stride, (kernel - 1) * dilation + 1)
        for axis, (size, kernel, stride, dilation) in enumerate(
            zip(images.shape[1:3], (kh, kw), (sh, sw), (dh, dw), strict=True)
        )
    ]
    images = np.pad(images, ((0, 0), *pads, (0, 0)))
    n_images, height, width, _ = images.shape
    out_height = (height - ((kh - 1) * dh + 1)) // sh + 1
    out_width = (width - ((kw - 1) * dw + 1)) // sw + 1

    n_pixels = n_images * out_height * out_width
    weights = filters.reshape(kh, kw, group_channels, groups, n_filters // groups).swapaxes(2, 3)
    out = np.zeros((groups, n_pixels, n_filters // groups), kind)
    for ky in range(kh):
        for kx in range(kw):
            rows = np.arange(out_height) * sh + ky * dh
            columns = np.arange(out_width) * sw + kx * dw
            pixels = images[:, rows][:, :, columns]
            pixels = pixels.reshape(n_pixels, groups, group_channels).swapaxes(0, 1)
            out += pixels @ weights[ky, kx]
    out = out.swapaxes(0, 1).reshape(n_images, out_height, out_width, n_filters)
    if bias is not None:
        out += np.asarray(bias, kind)
    if channels_first:
        out = out.transpose(0, 3, 1, 2)
    if single:
        out = out[0]
    if residual is not None:
        out = out + np.asarray(residual, kind)
    if activation is not None:
        out = np.clip(out, 0, {"relu": np.inf, "relu6": 6}[activation])
    return out
