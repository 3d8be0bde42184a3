"""The doors of pools: `max_pool1d`, `max_pool2d`, `max_pool3d`, `average_pool1d` and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn, SupportsIndex, overload

import numpy as np

from ._core import check
from ._core.pool import averages, maxima
from .conv import CommonPadding, DataFormat1D, DataFormat2D, DataFormat3D, Steps

if TYPE_CHECKING or np.__version__.startswith("1."):
    import numpy.typing  # NumPy 2 does when a hint is evaluated: import is spared a millisecond


@overload
def max_pool1d(
    images: np.typing.ArrayLike,
    window: Steps,
    strides: Steps | None = None,
    padding: CommonPadding = "valid",
    *,
    dilations: Steps = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    data_format: DataFormat1D = "NWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]: ...


@overload
def max_pool1d(
    images: np.typing.ArrayLike,
    window: Steps,
    strides: Steps | None = None,
    padding: CommonPadding = "valid",
    *,
    dilations: Steps = 1,
    ceil_mode: bool = False,
    return_indices: Literal[True],
    data_format: DataFormat1D = "NWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
) -> tuple[np.typing.NDArray[Any], np.typing.NDArray[Any]]: ...


def max_pool1d(
    images: np.typing.ArrayLike,
    window: Steps,
    strides: Steps | None = None,
    padding: CommonPadding = "valid",
    *,
    dilations: Steps = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    data_format: DataFormat1D = "NWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any] | tuple[np.typing.NDArray[Any], np.typing.NDArray[Any]]:
    """Take the maximum of each channel of each window of signals, or of anything along one axis.

    Parameters
    ----------
    images : array_like, shape (..., W, C)
        With any leading axes, or none.  With `data_format` "NCW": (..., C, W).
    window, strides, dilations : int
        As in `max_pool2d`.
    padding : {"valid", "same", "same_lower"}, int or (int, int)
        As in `max_pool2d`.
    ceil_mode, return_indices, out, threads
        As in `max_pool2d`.
    data_format : {"NWC", "NCW", "channels_last", "channels_first"}
        The order of the axes of `images` and of the result.

    Returns
    -------
    ndarray, shape (..., OW, C), or (..., C, OW) with channels first
        As in `max_pool2d`, with its errors and warnings, too.
    indices : ndarray of int64, of the result's shape
        With `return_indices` alone: places ``x``, as in `max_pool2d`.

    See Also
    --------
    max_pool2d : says more of each argument.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> signal = np.array([3.0, 6.0, 9.0, 0.0]).reshape(4, 1)
    >>> aotconv.max_pool1d(signal, 2).ravel()
    array([6., 9.])
    """
    if misnamed:
        check.no_misnamed(misnamed, check.OF_WINDOWS)
    arguments = 1, window, strides, padding, dilations, ceil_mode, data_format
    return maxima(images, out, threads, return_indices, arguments)


@overload
def max_pool2d(
    images: np.typing.ArrayLike,
    window: Steps,
    strides: Steps | None = None,
    padding: CommonPadding = "valid",
    *,
    dilations: Steps = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    data_format: DataFormat2D = "NHWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]: ...


@overload
def max_pool2d(
    images: np.typing.ArrayLike,
    window: Steps,
    strides: Steps | None = None,
    padding: CommonPadding = "valid",
    *,
    dilations: Steps = 1,
    ceil_mode: bool = False,
    return_indices: Literal[True],
    data_format: DataFormat2D = "NHWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
) -> tuple[np.typing.NDArray[Any], np.typing.NDArray[Any]]: ...


def max_pool2d(
    images: np.typing.ArrayLike,
    window: Steps,
    strides: Steps | None = None,
    padding: CommonPadding = "valid",
    *,
    dilations: Steps = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    data_format: DataFormat2D = "NHWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any] | tuple[np.typing.NDArray[Any], np.typing.NDArray[Any]]:
    """Take the maximum of each channel of each window of images.

    ::

        out[..., y, x, c] = max over i, j of
            images[..., y * sh + i * dh - top, x * sw + j * dw - left, c]

    where strides are (sh, sw) and dilations (dh, dw), and nothing is looked at outside the images,
    where `padding` lets windows reach.

    Parameters
    ----------
    images : array_like, shape (..., H, W, C)
        With any leading axes, or none.  With `data_format` "NCHW": (..., C, H, W).
    window : int or pair of int
        Height and width.
    strides : int or pair of int, optional
        Pixels from one window to the next, down and to the right.  By default those of `window`.
    padding : {"valid", "same", "same_lower"}, int, (int, int) or ((int, int), (int, int))
        How far windows may reach over the images' edges, by the rules of `conv2d`; less than a
        window spans.
    dilations : int or pair of int
        Pixels from one tap of a window to the next, down and to the right.
    ceil_mode : bool
        Whether pixels that are left at the end, fewer than a window and its padding, get a window,
        too; one that would begin behind the images does not count.  As ONNX and PyTorch have it.
    return_indices : bool
        Whether to say where each maximum was found, in a new array.
    data_format : {"NHWC", "NCHW", "channels_last", "channels_first"}
        The order of the axes of `images` and of the result.
    out : ndarray, optional
        Where the result is written: of its shape and dtype, with any strides.  It may overlap
        the images.
    threads : int, optional
        As in `conv2d`.

    Returns
    -------
    ndarray, shape (..., OH, OW, C), or (..., C, OH, OW) with channels first
        `out` if it was given.  Its dtype is that of images, truth values counted as uint8.  A NaN
        in a window gives NaN.  A window without any pixel, as wide dilations may have it, gives
        -inf, or the lowest integer.
    indices : ndarray of int64, of the result's shape
        With `return_indices` alone: of the first maximum in its window, or the first NaN, the place
        ``y * W + x`` in its channel of its image; -1 where there is none.

    Raises
    ------
    TypeError
        An argument of the wrong type; images of complex numbers, objects or strings, or masked.
    ValueError
        Sizes that do not fit together.  Nothing has been written into `out` then.

    Warns
    -----
    FallbackWarning
        Once, where no compiled kernel can run.

    See Also
    --------
    average_pool2d : the average.
    max_pool1d, max_pool3d : along one axis and three.
    aotconv.gradients.max_pool2d_images : puts values back to their places, as unpooling does.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> image = np.array([[1.0, 2.0, 3.0, 4.0], [8.0, 7.0, 6.0, 5.0]]).reshape(2, 4, 1)
    >>> result, indices = aotconv.max_pool2d(image, 2, return_indices=True)
    >>> result.ravel(), indices.ravel()
    (array([8., 6.]), array([4, 6]))
    """
    if misnamed:
        check.no_misnamed(misnamed, check.OF_WINDOWS)
    arguments = 2, window, strides, padding, dilations, ceil_mode, data_format
    return maxima(images, out, threads, return_indices, arguments)


@overload
def max_pool3d(
    images: np.typing.ArrayLike,
    window: Steps,
    strides: Steps | None = None,
    padding: CommonPadding = "valid",
    *,
    dilations: Steps = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    data_format: DataFormat3D = "NDHWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]: ...


@overload
def max_pool3d(
    images: np.typing.ArrayLike,
    window: Steps,
    strides: Steps | None = None,
    padding: CommonPadding = "valid",
    *,
    dilations: Steps = 1,
    ceil_mode: bool = False,
    return_indices: Literal[True],
    data_format: DataFormat3D = "NDHWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
) -> tuple[np.typing.NDArray[Any], np.typing.NDArray[Any]]: ...


def max_pool3d(
    images: np.typing.ArrayLike,
    window: Steps,
    strides: Steps | None = None,
    padding: CommonPadding = "valid",
    *,
    dilations: Steps = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    data_format: DataFormat3D = "NDHWC",
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any] | tuple[np.typing.NDArray[Any], np.typing.NDArray[Any]]:
    """Take the maximum of each channel of each window of volumes, or of films.

    Parameters
    ----------
    images : array_like, shape (..., D, H, W, C)
        With any leading axes, or none.  With `data_format` "NCDHW": (..., C, D, H, W).
    window, strides, dilations : int or three int
        As in `max_pool2d`.
    padding : {"valid", "same", "same_lower"}, int, (int, int, int) or three pairs of int
        As in `max_pool2d`.
    ceil_mode, return_indices, out, threads
        As in `max_pool2d`.
    data_format : {"NDHWC", "NCDHW", "channels_last", "channels_first"}
        The order of the axes of `images` and of the result.

    Returns
    -------
    ndarray, shape (..., OD, OH, OW, C), or (..., C, OD, OH, OW) with channels first
        As in `max_pool2d`, with its errors and warnings, too.
    indices : ndarray of int64, of the result's shape
        With `return_indices` alone: places ``(z * H + y) * W + x``, as in `max_pool2d`.

    See Also
    --------
    max_pool2d : says more of each argument.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> volume = np.arange(64.0).reshape(4, 4, 4, 1)
    >>> aotconv.max_pool3d(volume, 2).ravel()
    array([21., 23., 29., 31., 53., 55., 61., 63.])
    """
    if misnamed:
        check.no_misnamed(misnamed, check.OF_WINDOWS)
    arguments = 3, window, strides, padding, dilations, ceil_mode, data_format
    return maxima(images, out, threads, return_indices, arguments)


def average_pool1d(
    images: np.typing.ArrayLike,
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
    dtype: np.typing.DTypeLike | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Take the average of each channel of each window of signals, or of anything along one axis.

    Parameters
    ----------
    images : array_like, shape (..., W, C)
        With any leading axes, or none.  With `data_format` "NCW": (..., C, W).
    window, strides, dilations : int
        As in `average_pool2d`.
    padding : {"valid", "same", "same_lower"}, int or (int, int)
        As in `max_pool2d`.
    ceil_mode, count_padding, out, threads, dtype
        As in `average_pool2d`.
    data_format : {"NWC", "NCW", "channels_last", "channels_first"}
        The order of the axes of `images` and of the result.

    Returns
    -------
    ndarray, shape (..., OW, C), or (..., C, OW) with channels first
        As in `average_pool2d`, with its errors and warnings, too.

    See Also
    --------
    average_pool2d : says more of each argument.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> signal = np.array([3.0, 6.0, 9.0, 0.0]).reshape(4, 1)
    >>> aotconv.average_pool1d(signal, 3, 1, padding="same").ravel()
    array([4.5, 6. , 5. , 4.5])
    """
    if misnamed:
        check.no_misnamed(misnamed, check.OF_WINDOWS)
    options = dilations, ceil_mode, data_format, count_padding, dtype
    return averages(images, out, threads, (1, window, strides, padding, *options))


def average_pool2d(
    images: np.typing.ArrayLike,
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
    dtype: np.typing.DTypeLike | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Take the average of each channel of each window of images.

    Parameters
    ----------
    images : array_like, shape (..., H, W, C)
        With any leading axes, or none.  With `data_format` "NCHW": (..., C, H, W).
    window, strides, padding, dilations, ceil_mode, data_format, threads
        As in `max_pool2d`.
    count_padding : bool
        Whether a window is divided by the number of its pixels inside the padded images, those of
        the padding being 0, or by that of those inside the images (PyTorch's `count_include_pad`,
        which is True there).  What `ceil_mode` adds at the end is no padding.
    out : ndarray, optional
        Where the result is written: of its shape and dtype, with any strides.  It may overlap
        the images.
    dtype : dtype, optional
        What pixels are summed in, and the result holds, as ``np.mean`` takes it: any floats, of
        which float16 and bfloat16 are summed in float32.  By default that of images, or float64
        where these are integers.  For another one the images are copied as such floats.  Integers
        and complex numbers are refused: averages of real numbers are neither.

    Returns
    -------
    ndarray, shape (..., OH, OW, C), or (..., C, OH, OW) with channels first
        `out` if it was given.  Pixels are summed row by row, and the sum divided, so that the error
        of an average of n pixels is no more than ``n * eps`` times the average of their absolute
        values; of integers a sum below ``2**53`` is exact in float64.  A window without any pixel
        that is counted gives NaN.

    Raises
    ------
    TypeError
        An argument of the wrong type; images of complex numbers, objects or strings, or masked; a
        `dtype` of integers or complex numbers.
    ValueError
        Sizes that do not fit together.  Nothing has been written into `out` then.

    Warns
    -----
    FallbackWarning
        Once, where no compiled kernel can run.

    See Also
    --------
    max_pool2d : the maximum; says more of each argument.
    average_pool1d, average_pool3d : along one axis and three.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> image = np.arange(8).reshape(2, 4, 1)
    >>> aotconv.average_pool2d(image, 2).ravel()
    array([2.5, 4.5])
    """
    if misnamed:
        check.no_misnamed(misnamed, check.OF_WINDOWS)
    options = dilations, ceil_mode, data_format, count_padding, dtype
    return averages(images, out, threads, (2, window, strides, padding, *options))


def average_pool3d(
    images: np.typing.ArrayLike,
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
    dtype: np.typing.DTypeLike | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Take the average of each channel of each window of volumes, or of films.

    Parameters
    ----------
    images : array_like, shape (..., D, H, W, C)
        With any leading axes, or none.  With `data_format` "NCDHW": (..., C, D, H, W).
    window, strides, dilations : int or three int
        As in `average_pool2d`.
    padding : {"valid", "same", "same_lower"}, int, (int, int, int) or three pairs of int
        As in `max_pool2d`.
    ceil_mode, count_padding, out, threads, dtype
        As in `average_pool2d`.
    data_format : {"NDHWC", "NCDHW", "channels_last", "channels_first"}
        The order of the axes of `images` and of the result.

    Returns
    -------
    ndarray, shape (..., OD, OH, OW, C), or (..., C, OD, OH, OW) with channels first
        As in `average_pool2d`, with its errors and warnings, too.

    See Also
    --------
    average_pool2d : says more of each argument.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> volume = np.arange(64.0).reshape(4, 4, 4, 1)
    >>> aotconv.average_pool3d(volume, (4, 4, 2)).ravel()
    array([30.5, 32.5])
    """
    if misnamed:
        check.no_misnamed(misnamed, check.OF_WINDOWS)
    options = dilations, ceil_mode, data_format, count_padding, dtype
    return averages(images, out, threads, (3, window, strides, padding, *options))
