"""Gradients of convolution, for who trains by hand or teaches another library to.

For ``y = conv2d(images, filters, bias, ...)`` and a loss whose gradient by y is `output_gradient`,
`conv2d_images` is the loss's gradient by the images, and `conv2d_filters` that by the filters; of
other ranks alike.  That by the bias is a sum over all axes but the filters', with channels last
``output_gradient.sum(axis=tuple(range(output_gradient.ndim - 1)))``.

`average_pool2d_images` and `max_pool2d_images` are those by the images of pools.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

import numpy as np

from ._core import check
from ._core.call import Function
from ._core.gradient import filter_gradient
from ._core.pool_gradient import average_gradient, maximum_gradient
from ._core.transposed import ImageGradient
from .conv import (
    CommonPadding,
    DataFormat1D,
    DataFormat2D,
    DataFormat3D,
    FilterFormat1D,
    FilterFormat2D,
    FilterFormat3D,
    Padding,
    Padding1D,
    PaddingMode,
    Steps,
)

if TYPE_CHECKING or np.__version__.startswith("1."):
    import numpy.typing  # NumPy 2 does when a hint is evaluated: import is spared a millisecond

__all__ = [
    "average_pool1d_images",
    "average_pool2d_images",
    "average_pool3d_images",
    "conv1d_filters",
    "conv1d_images",
    "conv2d_filters",
    "conv2d_images",
    "conv3d_filters",
    "conv3d_images",
    "max_pool1d_images",
    "max_pool2d_images",
    "max_pool3d_images",
]


def __dir__() -> list[str]:
    return __all__


_IMAGES_1D, _IMAGES_2D, _IMAGES_3D = (Function(ImageGradient, rank) for rank in (1, 2, 3))


def conv1d_images(
    output_gradient: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    images_shape: Sequence[SupportsIndex],
    strides: Steps = 1,
    padding: Padding1D = "valid",
    *,
    padding_mode: PaddingMode = "constant",
    padding_value: complex = 0,
    dilations: Steps = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat1D = "NWC",
    filter_format: FilterFormat1D = "WIO",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Return the gradient of the images of `aotconv.conv1d`, as `conv2d_images` does.

    Parameters
    ----------
    output_gradient : array_like, shape (..., OW, O)
    filters : array_like, shape (K, C / groups, O)
    images_shape : tuple of int
    strides, padding, padding_mode, padding_value, dilations, groups, data_format, filter_format
        As `aotconv.conv1d` was given them.
    out, threads
        As in `conv2d_images`.

    Returns
    -------
    ndarray, shape `images_shape`
    """
    if misnamed:
        check.no_misnamed(misnamed)
    weights = filters, images_shape, strides, padding
    options = padding_mode, padding_value, dilations, groups, data_format, filter_format
    return _IMAGES_1D(output_gradient, out, None, threads, weights + options)


def conv2d_images(
    output_gradient: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    images_shape: Sequence[SupportsIndex],
    strides: Steps = 1,
    padding: Padding = "valid",
    *,
    padding_mode: PaddingMode = "constant",
    padding_value: complex = 0,
    dilations: Steps = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat2D = "NHWC",
    filter_format: FilterFormat2D = "HWIO",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Return the gradient of the images of `aotconv.conv2d`.

    Parameters
    ----------
    output_gradient : array_like, shape (..., OH, OW, O)
        The gradient by the result of `aotconv.conv2d`, in `data_format`.
    filters : array_like, shape (KH, KW, C / groups, O)
        As `aotconv.conv2d` was given them.
    images_shape : tuple of int
        Of the images, in `data_format`.
    strides, padding, padding_mode, padding_value, dilations, groups, data_format, filter_format
        As `aotconv.conv2d` was given them.  Of a border that repeats pixels each of these gets its
        copies' gradients, too; what `padding_value` is does not matter here.
    out : ndarray, optional
        Where the result is written; it may overlap the other arrays.
    threads : int, optional
        As in `aotconv.conv2d`.

    Returns
    -------
    ndarray, shape `images_shape`
        Its dtype is NumPy's common one.  Complex numbers are not conjugated.

    Raises
    ------
    TypeError, ValueError
        As `aotconv.conv2d`; where `output_gradient` is none of images of such a shape.

    See Also
    --------
    conv2d_filters : the gradient by the filters, which takes `output_gradient` second.
    conv1d_images, conv3d_images : along one axis and three.
    aotconv.conv2d_transpose : the same map, whose shape is said otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import gradients
    >>> ones = np.ones((1, 3, 1))
    >>> gradients.conv2d_images(ones, np.ones((1, 2, 1, 1)), (1, 4, 1)).ravel()
    array([1., 2., 2., 1.])
    """
    if misnamed:
        check.no_misnamed(misnamed)
    weights = filters, images_shape, strides, padding
    options = padding_mode, padding_value, dilations, groups, data_format, filter_format
    return _IMAGES_2D(output_gradient, out, None, threads, weights + options)


def conv3d_images(
    output_gradient: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    images_shape: Sequence[SupportsIndex],
    strides: Steps = 1,
    padding: Padding = "valid",
    *,
    padding_mode: PaddingMode = "constant",
    padding_value: complex = 0,
    dilations: Steps = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat3D = "NDHWC",
    filter_format: FilterFormat3D = "DHWIO",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Return the gradient of the images of `aotconv.conv3d`, as `conv2d_images` does.

    Parameters
    ----------
    output_gradient : array_like, shape (..., OD, OH, OW, O)
    filters : array_like, shape (KD, KH, KW, C / groups, O)
    images_shape : tuple of int
    strides, padding, padding_mode, padding_value, dilations, groups, data_format, filter_format
        As `aotconv.conv3d` was given them.
    out, threads
        As in `conv2d_images`.

    Returns
    -------
    ndarray, shape `images_shape`
    """
    if misnamed:
        check.no_misnamed(misnamed)
    weights = filters, images_shape, strides, padding
    options = padding_mode, padding_value, dilations, groups, data_format, filter_format
    return _IMAGES_3D(output_gradient, out, None, threads, weights + options)


def conv1d_filters(
    images: np.typing.ArrayLike,
    output_gradient: np.typing.ArrayLike,
    filters_shape: Sequence[SupportsIndex],
    strides: Steps = 1,
    padding: Padding1D = "valid",
    *,
    padding_mode: PaddingMode = "constant",
    padding_value: complex = 0,
    dilations: Steps = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat1D = "NWC",
    filter_format: FilterFormat1D = "WIO",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Compute the gradient of `aotconv.conv1d` by its filters.

    As `conv2d_filters` does along two axes.

    Parameters
    ----------
    images : array_like, shape (..., W, C)
        With `data_format` "NCW": (..., C, W).
    output_gradient : array_like, shape (..., OW, O)
        With `data_format` "NCW": (..., O, OW).
    filters_shape : tuple of int
        (K, C / groups, O); with `filter_format` "OIW" (O, C / groups, K).
    strides, padding, padding_mode, padding_value, dilations, groups, data_format, filter_format
        Those of the convolution, as in `aotconv.conv1d`.
    out, threads
        As in `conv2d_filters`.

    Returns
    -------
    ndarray, of shape `filters_shape`
        As in `conv2d_filters`, with its errors, too.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import gradients
    >>> signal = np.array([1.0, 2.0, 3.0, 4.0]).reshape(4, 1)
    >>> gradients.conv1d_filters(signal, np.ones((2, 1)), (3, 1, 1)).ravel()
    array([3., 5., 7.])
    """
    if misnamed:
        check.no_misnamed(misnamed)
    arrays, steps = (images, output_gradient), (strides, padding, padding_mode, padding_value)
    options = *steps, dilations, groups, data_format, filter_format
    return filter_gradient(1, arrays, filters_shape, out, threads, options)


def conv2d_filters(
    images: np.typing.ArrayLike,
    output_gradient: np.typing.ArrayLike,
    filters_shape: Sequence[SupportsIndex],
    strides: Steps = 1,
    padding: Padding = "valid",
    *,
    padding_mode: PaddingMode = "constant",
    padding_value: complex = 0,
    dilations: Steps = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat2D = "NHWC",
    filter_format: FilterFormat2D = "HWIO",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Compute the gradient of `aotconv.conv2d` by its filters.

    For ``y = conv2d(images, filters, ...)`` and a loss whose gradient by y is `output_gradient`::

        result[i, j, c, o] = sum over n, y, x of
            images[n, y * sh + i * dh, x * sw + j * dw, c] * output_gradient[n, y, x, o]

    where strides are (sh, sw) and dilations (dh, dw), n runs over all leading axes, and c is a
    channel of o's group.  The sum is over pixels of images alone: zeros that `padding` puts around
    them add nothing, even if `output_gradient` is infinite or NaN there.  With other borders images
    are copied, with all that surrounds them.

    Parameters
    ----------
    images : array_like, shape (..., H, W, C)
        Those of the convolution.  With `data_format` "NCHW": (..., C, H, W).
    output_gradient : array_like, shape (..., OH, OW, O)
        Of the shape of the convolution's result.  With `data_format` "NCHW": (..., O, OH, OW).
    filters_shape : tuple of int
        (KH, KW, C / groups, O); with `filter_format` "OIHW" (O, C / groups, KH, KW).
    strides, padding, padding_mode, padding_value, dilations, groups, data_format, filter_format
        Those of the convolution, as in `aotconv.conv2d`.
    out : ndarray, optional
        Where the result is written: of its shape and dtype, with any strides.  It may overlap
        the other arrays.
    threads : int, optional
        How many threads compute, at most, as in `aotconv.conv2d`.  The result does not depend on
        it.

    Returns
    -------
    ndarray, of shape `filters_shape`
        `out` if it was given.  Its dtype is NumPy's common one of images and output gradient.
        float16 and bfloat16 are summed in float32; integers wrap.  Complex numbers are multiplied
        as they are, none conjugated.

    Raises
    ------
    TypeError
        An argument of the wrong type; arrays of booleans (but images), objects or strings, or
        with a mask.
    ValueError
        Sizes that do not fit together.  Nothing has been written into `out` then.

    Warns
    -----
    FallbackWarning
        Once, where no compiled kernel can run.

    See Also
    --------
    conv2d_images : the gradient by the images, which takes `output_gradient` first.
    conv1d_filters, conv3d_filters : along one axis and three.

    Notes
    -----
    Pixels are summed in chunks, and chunks are added one after the other; the sizes of the
    convolution alone say which they are, so that results do not depend on threads and layouts.  Of
    float32 or float64 a result of n products differs from the exact value by no more than
    ``n * eps / (1 - n * eps)`` times the sum of their absolute values, short of overflow, and
    by far less as a rule: a product is rounded with at most 256 sums of its chunk and once with
    each later chunk ([1]_, section 4.2).  Integers are exact: summed in floats where no sum can
    be rounded, else by NumPy.

    The gradient by the bias of the convolution is
    ``output_gradient.sum(axis=tuple(range(output_gradient.ndim - 1)))``, with channels last.

    References
    ----------
    .. [1] Nicholas J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., SIAM 2002.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> from aotconv import gradients
    >>> images = np.ones((32, 28, 28, 3), np.float32)
    >>> filters = np.ones((4, 4, 3, 4), np.float32)
    >>> result = aotconv.conv2d(images, filters)
    >>> gradient = gradients.conv2d_filters(images, np.ones_like(result), filters.shape)
    >>> gradient.shape
    (4, 4, 3, 4)
    >>> gradient[0, 0, 0]
    array([20000., 20000., 20000., 20000.], dtype=float32)
    """
    if misnamed:
        check.no_misnamed(misnamed)
    arrays, steps = (images, output_gradient), (strides, padding, padding_mode, padding_value)
    options = *steps, dilations, groups, data_format, filter_format
    return filter_gradient(2, arrays, filters_shape, out, threads, options)


def conv3d_filters(
    images: np.typing.ArrayLike,
    output_gradient: np.typing.ArrayLike,
    filters_shape: Sequence[SupportsIndex],
    strides: Steps = 1,
    padding: Padding = "valid",
    *,
    padding_mode: PaddingMode = "constant",
    padding_value: complex = 0,
    dilations: Steps = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat3D = "NDHWC",
    filter_format: FilterFormat3D = "DHWIO",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Compute the gradient of `aotconv.conv3d` by its filters.

    As `conv2d_filters` does along two axes.

    Parameters
    ----------
    images : array_like, shape (..., D, H, W, C)
        With `data_format` "NCDHW": (..., C, D, H, W).
    output_gradient : array_like, shape (..., OD, OH, OW, O)
        With `data_format` "NCDHW": (..., O, OD, OH, OW).
    filters_shape : tuple of int
        (KD, KH, KW, C / groups, O); with `filter_format` "OIDHW" (O, C / groups, KD, KH, KW).
    strides, padding, padding_mode, padding_value, dilations, groups, data_format, filter_format
        Those of the convolution, as in `aotconv.conv3d`.
    out, threads
        As in `conv2d_filters`.

    Returns
    -------
    ndarray, of shape `filters_shape`
        As in `conv2d_filters`, with its errors, too.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import gradients
    >>> volume = np.ones((6, 8, 8, 1), np.float32)
    >>> gradients.conv3d_filters(volume, np.ones((4, 6, 6, 2), np.float32), (3, 3, 3, 1, 2)).shape
    (3, 3, 3, 1, 2)
    """
    if misnamed:
        check.no_misnamed(misnamed)
    arrays, steps = (images, output_gradient), (strides, padding, padding_mode, padding_value)
    options = *steps, dilations, groups, data_format, filter_format
    return filter_gradient(3, arrays, filters_shape, out, threads, options)


def average_pool1d_images(
    output_gradient: np.typing.ArrayLike,
    images_shape: Sequence[SupportsIndex],
    window: Steps,
    strides: Steps | None = None,
    padding: CommonPadding = "valid",
    *,
    dilations: Steps = 1,
    ceil_mode: bool = False,
    count_padding: bool = False,
    data_format: DataFormat1D = "NWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Return the gradient of the images of `aotconv.average_pool1d`.

    As `average_pool2d_images` does.

    Parameters
    ----------
    output_gradient : array_like, shape (..., OW, C)
    images_shape : tuple of int
    window, strides, padding, dilations, ceil_mode, count_padding, data_format
        As `average_pool1d` was given them.
    out, threads
        As in `average_pool2d_images`.

    Returns
    -------
    ndarray, shape `images_shape`
    """
    if misnamed:
        check.no_misnamed(misnamed, check.OF_WINDOWS)
    arguments = window, strides, padding, dilations, ceil_mode, data_format, count_padding
    return average_gradient(1, output_gradient, images_shape, out, threads, arguments)


def average_pool2d_images(
    output_gradient: np.typing.ArrayLike,
    images_shape: Sequence[SupportsIndex],
    window: Steps,
    strides: Steps | None = None,
    padding: CommonPadding = "valid",
    *,
    dilations: Steps = 1,
    ceil_mode: bool = False,
    count_padding: bool = False,
    data_format: DataFormat2D = "NHWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Return the gradient of the images of `aotconv.average_pool2d`.

    A window's element of `output_gradient`, divided by what the window counts, is added to each of
    the window's pixels inside the images.

    Parameters
    ----------
    output_gradient : array_like, shape (..., OH, OW, C)
        The gradient by the result of `average_pool2d`, in `data_format`.
    images_shape : tuple of int
        Of the images, in `data_format`.
    window, strides, padding, dilations, ceil_mode, count_padding, data_format
        As `average_pool2d` was given them.
    out : ndarray, optional
        Where the result is written: of its shape and dtype, with any strides.  It may overlap
        `output_gradient`.
    threads : int, optional
        As in `conv2d_images`.  The result does not depend on it.

    Returns
    -------
    ndarray, shape `images_shape`
        `out` if it was given.  Its dtype is that of `output_gradient`, or float64 where this holds
        integers; float16 and bfloat16 are divided and summed in float32.  A window without any
        pixel that is counted adds nothing.

    Raises
    ------
    TypeError
        An argument of the wrong type; complex numbers.
    ValueError
        Sizes that do not fit together.  Nothing has been written into `out` then.

    Warns
    -----
    FallbackWarning
        Once, where no compiled kernel can run.

    See Also
    --------
    max_pool2d_images : of maxima.

    Notes
    -----
    It is the channelwise convolution by a window of ones, transposed (`conv2d_images`), of
    quotients: of a pixel that n windows have, the error is no more than ``(n + 1) * eps`` times the
    sum of their absolute values.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import gradients
    >>> ones = np.ones((3, 1))
    >>> gradients.average_pool1d_images(ones, (4, 1), 2, 1).ravel()
    array([0.5, 1. , 1. , 0.5])
    >>> gradients.average_pool2d_images(np.ones((1, 1, 1)), (2, 3, 1), 2)[..., 0]
    array([[0.25, 0.25, 0.  ],
           [0.25, 0.25, 0.  ]])
    """
    if misnamed:
        check.no_misnamed(misnamed, check.OF_WINDOWS)
    arguments = window, strides, padding, dilations, ceil_mode, data_format, count_padding
    return average_gradient(2, output_gradient, images_shape, out, threads, arguments)


def average_pool3d_images(
    output_gradient: np.typing.ArrayLike,
    images_shape: Sequence[SupportsIndex],
    window: Steps,
    strides: Steps | None = None,
    padding: CommonPadding = "valid",
    *,
    dilations: Steps = 1,
    ceil_mode: bool = False,
    count_padding: bool = False,
    data_format: DataFormat3D = "NDHWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Return the gradient of the images of `aotconv.average_pool3d`.

    As `average_pool2d_images` does.

    Parameters
    ----------
    output_gradient : array_like, shape (..., OD, OH, OW, C)
    images_shape : tuple of int
    window, strides, padding, dilations, ceil_mode, count_padding, data_format
        As `average_pool3d` was given them.
    out, threads
        As in `average_pool2d_images`.

    Returns
    -------
    ndarray, shape `images_shape`
    """
    if misnamed:
        check.no_misnamed(misnamed, check.OF_WINDOWS)
    arguments = window, strides, padding, dilations, ceil_mode, data_format, count_padding
    return average_gradient(3, output_gradient, images_shape, out, threads, arguments)


def max_pool1d_images(
    output_gradient: np.typing.ArrayLike,
    indices: np.typing.ArrayLike,
    images_shape: Sequence[SupportsIndex],
    *,
    data_format: DataFormat1D = "NWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Return the gradient of the images of `aotconv.max_pool1d`.

    As `max_pool2d_images` does.

    Parameters
    ----------
    output_gradient : array_like, shape (..., OW, C)
    indices : array_like of integers, shape (..., OW, C)
        Places ``x``.
    images_shape : tuple of int
    data_format, out, threads
        As in `max_pool2d_images`.

    Returns
    -------
    ndarray, shape `images_shape`
    """
    if misnamed:
        check.no_misnamed(misnamed, check.OF_WINDOWS)
    arrays = output_gradient, indices, images_shape
    return maximum_gradient(1, *arrays, out, threads, data_format)


def max_pool2d_images(
    output_gradient: np.typing.ArrayLike,
    indices: np.typing.ArrayLike,
    images_shape: Sequence[SupportsIndex],
    *,
    data_format: DataFormat2D = "NHWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Return the gradient of the images of `aotconv.max_pool2d`.

    Each element of `output_gradient` is added to the pixel that was its window's maximum, one
    window after the other.

    Parameters
    ----------
    output_gradient : array_like, shape (..., OH, OW, C)
        The gradient by the result of `max_pool2d`, in `data_format`.
    indices : array_like of integers, shape (..., OH, OW, C)
        The places that `max_pool2d` gives beside its result with `return_indices`: ``y * W + x`` in
        an image's channel, -1 for none, which adds nothing.  PyTorch's are the same.
    images_shape : tuple of int
        Of the images, in `data_format`.
    data_format : {"NHWC", "NCHW", "channels_last", "channels_first"}
        The order of the axes of all arrays.
    out : ndarray, optional
        Where the result is written: of its shape and dtype, with any strides.  It may overlap the
        other arrays.
    threads : int, optional
        As in `conv2d_images`.  The result does not depend on it.

    Returns
    -------
    ndarray, shape `images_shape`
        `out` if it was given.  Its dtype is that of `output_gradient`; float16 and bfloat16 are
        summed in float32, integers wrap.

    Raises
    ------
    TypeError
        An argument of the wrong type; complex numbers; indices that are no integers.
    ValueError
        Sizes that do not fit together, indices outside of the images.  Nothing has been written
        into `out` then.

    Warns
    -----
    FallbackWarning
        Once, where no compiled kernel can run.

    See Also
    --------
    average_pool2d_images : of averages.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> from aotconv import gradients
    >>> image = np.array([[1.0, 2.0, 3.0], [8.0, 7.0, 6.0]])[..., np.newaxis]
    >>> result, indices = aotconv.max_pool2d(image, 2, 1, return_indices=True)
    >>> gradients.max_pool2d_images(np.ones_like(result), indices, image.shape)[..., 0]
    array([[0., 0., 0.],
           [1., 1., 0.]])
    """
    if misnamed:
        check.no_misnamed(misnamed, check.OF_WINDOWS)
    arrays = output_gradient, indices, images_shape
    return maximum_gradient(2, *arrays, out, threads, data_format)


def max_pool3d_images(
    output_gradient: np.typing.ArrayLike,
    indices: np.typing.ArrayLike,
    images_shape: Sequence[SupportsIndex],
    *,
    data_format: DataFormat3D = "NDHWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Return the gradient of the images of `aotconv.max_pool3d`.

    As `max_pool2d_images` does.

    Parameters
    ----------
    output_gradient : array_like, shape (..., OD, OH, OW, C)
    indices : array_like of integers, shape (..., OD, OH, OW, C)
        Places ``(z * H + y) * W + x``.
    images_shape : tuple of int
    data_format, out, threads
        As in `max_pool2d_images`.

    Returns
    -------
    ndarray, shape `images_shape`
    """
    if misnamed:
        check.no_misnamed(misnamed, check.OF_WINDOWS)
    arrays = output_gradient, indices, images_shape
    return maximum_gradient(3, *arrays, out, threads, data_format)
