"""Convolution from first principles: the slow versions that the fast ones are checked against.

``filter_image`` and ``filter_images_v1`` to ``filter_images_v3`` follow the notebook "Speeding up
Convolution", from which this library began: valid padding, NHWC images, HWIO filters, a bias per
filter and a pair of strides.  ``conv_reference`` is the oracle of the tests: convolution along
any number of axes with every option, computed in float64, short enough to trust by eye.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = [
    "conv_reference",
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


def _pads(padding, axis, size, stride, window):
    """Pixels before and behind one axis of images."""
    if not isinstance(padding, str):
        both = padding if isinstance(padding, int) else padding[axis]
        return (both, both) if isinstance(both, int) else tuple(both)
    total = max((math.ceil(size / stride) - 1) * stride + window - size, 0)
    less, more = total // 2, total - total // 2
    return {
        "valid": (0, 0),
        "same": (less, more),
        "same_lower": (more, less),
        "full": (window - 1, window - 1),
        "causal": (window - 1, 0),
    }[padding.lower()]


def conv_reference(
    images,
    filters,
    bias=None,
    strides=1,
    padding="valid",
    *,
    padding_mode="constant",
    padding_value=0,
    dilations=1,
    groups=1,
    data_format="NHWC",
    filter_format="HWIO",
    activation=None,
    residual=None,
):
    """Convolve as `aotconv.conv1d`, `conv2d` and `conv3d` do, in float64 (complex128 for complex
    input).

    Every option of theirs that is built is here, with the same meaning; the filters say how many
    spatial axes there are, and "NC" and "OI" where channels come first.  The sum runs over the
    filters' taps; each tap multiplies one pixel of every window of the padded images with a (C, O)
    matrix, group by group.
    """
    kind = np.result_type(np.asarray(images).dtype, np.asarray(filters).dtype, np.float64)
    images, filters = np.asarray(images, kind), np.asarray(filters, kind)
    if filter_format.startswith("OI"):
        filters = np.moveaxis(filters, (1, 0), (-2, -1))
    *kernel, group_channels, n_filters = filters.shape
    rank = len(kernel)
    channels_first = data_format == "channels_first" or data_format.startswith("NC")
    if channels_first:
        images = np.moveaxis(images, -1 - rank, -1)
    *leading, channels = images.shape
    leading, sizes = leading[:-rank], leading[-rank:]
    if rank == 1 and not isinstance(padding, (str, int)) and len(padding) == 2:
        padding = [padding]  # (before, behind)

    strides, dilations = ([int(n) for n in np.broadcast_to(s, rank)] for s in (strides, dilations))
    windows = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    axes = list(zip(sizes, strides, windows, strict=True))
    pads = [_pads(padding, axis, *each) for axis, each in enumerate(axes)]
    outs = [(n + sum(p) - w) // s + 1 for (n, s, w), p in zip(axes, pads, strict=True)]
    images = images.reshape(math.prod(leading), *sizes, channels)
    modes = [padding_mode] * rank if isinstance(padding_mode, str) else padding_mode
    for axis, (pad, mode) in enumerate(zip(pads, modes, strict=True), 1):
        widths = [pad if i == axis else (0, 0) for i in range(rank + 2)]
        mode = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(mode, mode)
        more = {"constant_values": padding_value} if mode == "constant" else {}
        images = np.pad(images, widths, mode, **more)

    n_pixels = math.prod(leading) * math.prod(outs)
    weights = filters.reshape(*kernel, group_channels, groups, n_filters // groups)
    weights = weights.swapaxes(-3, -2)
    out = np.zeros((groups, n_pixels, n_filters // groups), kind)
    for tap in np.ndindex(*kernel):
        steps = zip(outs, strides, tap, dilations, strict=True)
        places = np.ix_(*[np.arange(n) * s + t * d for n, s, t, d in steps])
        pixels = images[(slice(None), *places)].reshape(n_pixels, groups, group_channels)
        out += pixels.swapaxes(0, 1) @ weights[tap]
    out = out.swapaxes(0, 1).reshape(*leading, *outs, n_filters)
    if bias is not None:
        out += np.asarray(bias, kind)
    if channels_first:
        out = np.moveaxis(out, -1, -1 - rank)
    if residual is not None:
        out = out + np.asarray(residual, kind)
    if activation is not None:
        out = np.clip(out, 0, {"relu": np.inf, "relu6": 6}[activation])
    return out
