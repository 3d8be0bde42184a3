"""Convolution from first principles: the slow versions that the fast ones are checked against.

``filter_image`` and ``filter_images_v1`` to ``filter_images_v3`` follow the notebook "Speeding up
Convolution", from which this library began: valid padding, NHWC images, HWIO filters, a bias per
filter and a pair of strides.  ``conv_reference`` and ``conv_transpose_reference`` are the oracles
of the tests: convolution along any number of axes with every option, and its transpose, computed
in float64, short enough to trust by eye; ``activation_reference`` is that of activations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .activations import Activation

if TYPE_CHECKING or np.__version__.startswith("1."):
    import numpy.typing  # NumPy 2 does when a hint is evaluated

__all__ = [
    "activation_reference",
    "conv_reference",
    "conv_transpose_reference",
    "filter_gradient_reference",
    "filter_image",
    "filter_images_v1",
    "filter_images_v2",
    "filter_images_v3",
    "pool_reference",
]


def __dir__() -> list[str]:
    return __all__


def filter_image(
    image: np.typing.NDArray[Any],
    filters: np.typing.NDArray[Any],
    biases: np.typing.NDArray[Any],
    strides: tuple[int, int],
) -> np.typing.NDArray[Any]:
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


def filter_images_v1(
    images: np.typing.NDArray[Any],
    filters: np.typing.NDArray[Any],
    biases: np.typing.NDArray[Any],
    strides: tuple[int, int],
) -> np.typing.NDArray[Any]:
    """Convolve images (N, H, W, C), one image at a time."""
    return np.stack([filter_image(image, filters, biases, strides) for image in images])


def filter_images_v2(
    images: np.typing.NDArray[Any],
    filters: np.typing.NDArray[Any],
    biases: np.typing.NDArray[Any],
    strides: tuple[int, int],
) -> np.typing.NDArray[Any]:
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


def filter_images_v3(
    images: np.typing.NDArray[Any],
    filters: np.typing.NDArray[Any],
    biases: np.typing.NDArray[Any],
    strides: tuple[int, int],
) -> np.typing.NDArray[Any]:
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


def activation_reference(
    x: np.typing.ArrayLike, activation: Activation | None
) -> np.typing.NDArray[Any]:
    """What `aotconv.activate` makes of real numbers, by formulas, in float64 or longdouble (but for
    erf, which is float64's)."""
    name, slope = activation if isinstance(activation, tuple) else (activation, 0.01)
    x = np.asarray(x, np.result_type(x, np.float64))
    with np.errstate(over="ignore", invalid="ignore"):
        hard_sigmoid = np.clip(x / 6 + 0.5, 0, 1)
        sigmoid = 1 / (1 + np.exp(-x))
        return {
            None: lambda: x,
            "relu": lambda: np.maximum(x, 0),
            "relu6": lambda: np.clip(x, 0, 6),
            "leaky_relu": lambda: np.where(x < 0, slope * x, x),
            "hard_sigmoid": lambda: hard_sigmoid,
            "hard_swish": lambda: x * hard_sigmoid,
            "sigmoid": lambda: sigmoid,
            "tanh": lambda: np.tanh(x),
            "silu": lambda: x * sigmoid,
            "gelu": lambda: x / 2 * (1 + _erf(x / np.sqrt(2))),
            "gelu_tanh": lambda: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        }[name]()


_erf = np.vectorize(math.erf, otypes=[np.float64])


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
    images: np.typing.NDArray[Any],
    filters: np.typing.NDArray[Any],
    bias: np.typing.ArrayLike | None = None,
    strides: int | Sequence[int] = 1,
    padding: Any = "valid",
    *,
    padding_mode: Any = "constant",
    padding_value: complex = 0,
    dilations: int | Sequence[int] = 1,
    groups: int = 1,
    data_format: str = "NHWC",
    filter_format: str = "HWIO",
    activation: Activation | None = None,
    residual: np.typing.ArrayLike | None = None,
) -> np.typing.NDArray[Any]:
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
        under = (slice(t * d, t * d + n * s, s) for n, s, t, d in steps)
        pixels = images[(slice(None), *under)].reshape(n_pixels, groups, group_channels)
        out += pixels.swapaxes(0, 1) @ weights[tap]
    out = out.swapaxes(0, 1).reshape(*leading, *outs, n_filters)
    if bias is not None:
        out += np.asarray(bias, kind)
    if channels_first:
        out = np.moveaxis(out, -1, -1 - rank)
    if residual is not None:
        out = out + np.asarray(residual, kind)
    return out if activation is None else activation_reference(out, activation)


def conv_transpose_reference(
    images: np.typing.NDArray[Any],
    filters: np.typing.NDArray[Any],
    bias: np.typing.ArrayLike | None = None,
    strides: int | Sequence[int] = 1,
    padding: Any = "valid",
    *,
    output_padding: int | Sequence[int] | None = None,
    output_size: int | Sequence[int] | None = None,
    dilations: int | Sequence[int] = 1,
    groups: int = 1,
    data_format: str = "NHWC",
    filter_format: str = "HWIO",
    activation: Activation | None = None,
    residual: np.typing.ArrayLike | None = None,
) -> np.typing.NDArray[Any]:
    """Transpose a convolution of any rank as `aotconv.conv2d_transpose` does, in float64
    (complex128 for complex input).

    Each tap spreads all pixels, times its (O, C) matrix, over the uncut result; of that the part
    which padding leaves is returned.
    """
    kind = np.result_type(np.asarray(images).dtype, np.asarray(filters).dtype, np.float64)
    images, filters = np.asarray(images, kind), np.asarray(filters, kind)
    if filter_format.startswith("OI"):
        filters = np.moveaxis(filters, (1, 0), (-2, -1))
    *kernel, group_filters, channels = filters.shape
    rank, n_filters = len(kernel), group_filters * groups
    channels_first = data_format == "channels_first" or data_format.startswith("NC")
    if channels_first:
        images = np.moveaxis(images, -1 - rank, -1)
    leading, sizes = images.shape[: -rank - 1], images.shape[-rank - 1 : -1]
    steps = [[int(n) for n in np.broadcast_to(s, rank)] for s in (strides, dilations)]
    windows = [(k - 1) * d + 1 for k, d in zip(kernel, steps[1], strict=True)]
    axes = list(zip(sizes, steps[0], windows, strict=True))
    if rank == 1 and not isinstance(padding, (str, int)) and len(padding) == 2:
        padding = [padding]  # (before, behind)
    asked = [
        None if each is None else [int(n) for n in np.broadcast_to(each, rank)]
        for each in (output_padding, output_size)
    ]
    cuts = [_cut(padding, a, *axes[a], *(each and each[a] for each in asked)) for a in range(rank)]

    # Far enough in front of and behind what is spread.
    margins = [max(0, -before) for before, _ in cuts]
    spread = [(n - 1) * s + w for n, s, w in axes]
    behind = [max(0, before + out - size) for (before, out), size in zip(cuts, spread, strict=True)]
    ends = zip(margins, spread, behind, strict=True)
    whole = np.zeros((math.prod(leading), *map(sum, ends), n_filters), kind)
    pixels = images.reshape(math.prod(leading), *sizes, groups, channels // groups)
    weights = filters.reshape(*kernel, group_filters, groups, channels // groups)
    for tap in np.ndindex(*kernel):
        values = np.einsum("...gc,ogc->...go", pixels, weights[tap])
        starts = [m + t * d for m, t, d in zip(margins, tap, steps[1], strict=True)]
        places = [
            slice(a, a + (n - 1) * s + 1, s) for a, (n, s, _) in zip(starts, axes, strict=True)
        ]
        if 0 not in sizes:
            whole[(slice(None), *places)] += values.reshape(*values.shape[:-2], n_filters)
    left = [
        slice(m + before, m + before + out) for m, (before, out) in zip(margins, cuts, strict=True)
    ]
    out = whole[(slice(None), *left)].reshape(*leading, *(out for _, out in cuts), n_filters)
    if bias is not None:
        out = out + np.asarray(bias, kind)
    if channels_first:
        out = np.moveaxis(out, -1, -1 - rank)
    if residual is not None:
        out = out + np.asarray(residual, kind)
    return out if activation is None else activation_reference(out, activation)


def _cut(padding, axis, size, stride, window, output_padding, output_size):
    """What is cut from the front of one axis of a transposed convolution, and what is left."""
    spread = (size - 1) * stride + window
    if output_size is not None:
        return _pads(padding, axis, output_size, stride, window)[0], output_size
    rule = padding.lower() if isinstance(padding, str) else None
    if rule in ("same", "same_lower") and output_padding is None:
        cut = max(window - stride, 0)
        return (cut // 2 if rule == "same" else cut - cut // 2), size * stride
    if rule in ("same", "same_lower"):  # as Keras does
        inserted = window + window % 2 - 2 + output_padding
        front = window - 1 - min(math.ceil(inserted / 2), window - 1)
        out = (size - 1) * stride + window % 2 + output_padding
        return (front if rule == "same" else spread - out - front), out
    if rule == "valid":
        more = max(stride - window, 0) if output_padding is None else output_padding
        return 0, spread + more
    before, behind = _pads(padding, axis, size, stride, window)
    return before, spread - before - behind + (output_padding or 0)


def filter_gradient_reference(
    images: np.typing.NDArray[Any],
    output_gradient: np.typing.NDArray[Any],
    filters_shape: Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: Any = "valid",
    *,
    dilations: int | Sequence[int] = 1,
    groups: int = 1,
    data_format: str = "NHWC",
    filter_format: str = "HWIO",
) -> np.typing.NDArray[Any]:
    """Compute the gradient of filters as `aotconv.gradients` does, in float64 (complex128 for
    complex input), of finite images.

    Convolving with filters that are 1 at one tap, for each channel one, gives the pixels under that
    tap; the gradient there sums the products of these and of the output gradient.
    """
    kind = np.result_type(images, output_gradient, np.float64)
    if filter_format.startswith("OI"):
        filters_shape = *filters_shape[2:], filters_shape[1], filters_shape[0]
    *kernel, channels, n_filters = filters_shape
    channels_first = data_format == "channels_first" or data_format.startswith("NC")
    options: dict[str, Any] = {"dilations": dilations, "groups": groups, "data_format": data_format}

    def by_group(array):
        array = np.moveaxis(array, -1 - len(kernel), -1) if channels_first else array
        *pixels, channels = array.shape
        return array.reshape(math.prod(pixels), groups, channels // groups).astype(kind)

    output_gradient = by_group(np.asarray(output_gradient))
    gradient = np.zeros(filters_shape, kind)
    for tap in np.ndindex(*kernel):
        picking = np.zeros((*kernel, channels, groups * channels))
        picking[tap] = np.tile(np.eye(channels), groups)
        pixels = by_group(conv_reference(images, picking, None, strides, padding, **options))
        products = np.einsum("pgc,pgo->cgo", pixels, output_gradient)
        gradient[tap] = products.reshape(channels, n_filters)
    return np.moveaxis(gradient, (-1, -2), (0, 1)) if filter_format.startswith("OI") else gradient


def pool_reference(
    images: np.typing.NDArray[Any],
    window: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: Any = "valid",
    *,
    average: bool = False,
    dilations: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    count_padding: bool = False,
    data_format: str = "NHWC",
) -> tuple[np.typing.NDArray[Any], np.typing.NDArray[np.int64]]:
    """Pool as `aotconv.max_pool1d` and the like do, one window after the other; `data_format` says
    how many spatial axes there are.

    Returns
    -------
    result : ndarray
        Averages in float64.
    indices : ndarray of int64
        Of maxima.
    """
    rank, channels_first = len(data_format) - 2, data_format.startswith("NC")
    images = np.asarray(images)
    if channels_first:
        images = np.moveaxis(images, -1 - rank, -1)
    *leading, channels = images.shape
    leading, sizes = leading[:-rank], leading[-rank:]
    if rank == 1 and not isinstance(padding, (str, int)) and len(padding) == 2:
        padding = [padding]  # (before, behind)
    strides = window if strides is None else strides
    steps = [[int(n) for n in np.broadcast_to(s, rank)] for s in (window, strides, dilations)]
    pads, outs = [], []
    for axis, (n, k, s, d) in enumerate(zip(sizes, *steps, strict=True)):
        span = (k - 1) * d + 1
        before, behind = _pads(padding, axis, n, s, span)
        room = n + before + behind - span
        out = 1 + (math.ceil(room / s) if ceil_mode else room // s)
        if ceil_mode and (out - 1) * s >= n + before:
            out -= 1
        pads.append((before, behind))
        outs.append(out)

    flat = images.reshape(math.prod(leading), *sizes, channels)
    places = np.arange(math.prod(sizes)).reshape(sizes)
    shape = (len(flat), *outs, channels)
    lowest = -np.inf if images.dtype.kind not in "iu" else np.iinfo(images.dtype).min
    result = np.empty(shape) if average else np.full(shape, lowest, images.dtype)
    indices = np.full(shape, -1)
    for at in np.ndindex(*outs):
        taps, counted = [], 1
        for i, n, (before, behind), k, s, d in zip(at, sizes, pads, *steps, strict=True):
            along = [i * s - before + tap * d for tap in range(k)]
            taps.append([place for place in along if 0 <= place < n])
            counted *= sum(-before <= place < n + behind for place in along)
        pixels = flat[(slice(None), *np.ix_(*taps))]
        n_taps = math.prod(map(len, taps))
        pixels = pixels.reshape(len(flat), n_taps, channels)
        to = (slice(None), *at)
        if average:
            with np.errstate(all="ignore"):
                divisor = counted if count_padding else n_taps
                result[to] = pixels.astype(float).sum(axis=1) / np.float64(divisor)
        elif n_taps:
            first = pixels.argmax(axis=1)  # of the first maximum, or the first NaN
            result[to] = np.take_along_axis(pixels, first[:, np.newaxis], axis=1)[:, 0]
            indices[to] = places[np.ix_(*taps)].ravel()[first]
    shape = (*leading, *outs, channels)
    result, indices = result.reshape(shape), indices.reshape(shape)
    if channels_first:
        result, indices = (np.moveaxis(each, -1, -1 - rank) for each in (result, indices))
    return result, indices
