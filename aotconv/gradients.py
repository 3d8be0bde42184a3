"""Gradients of convolution, for who trains by hand or teaches another library to.

Each function is given the gradient of a loss by the result of a convolution, and the options of
that; it returns the gradient by one of its arguments.  That by the bias is a sum:
``output_gradient.sum(axis)`` over all axes but the channels'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ._core import check
from ._core.call import Function
from ._core.transposed import ImageGradient
from .conv import (
    DataFormat1D,
    DataFormat2D,
    DataFormat3D,
    FilterFormat1D,
    FilterFormat2D,
    FilterFormat3D,
    Padding,
    Padding1D,
    Steps,
)

if TYPE_CHECKING or np.__version__.startswith("1."):
    import numpy.typing  # NumPy 2 does when a hint is evaluated: import is spared a millisecond

__all__ = ["conv1d_images", "conv2d_images", "conv3d_images"]

_IMAGES_1D, _IMAGES_2D, _IMAGES_3D = (Function(ImageGradient, rank) for rank in (1, 2, 3))


def conv1d_images(
    output_gradient: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    images_shape: Sequence[int],
    strides: Steps = 1,
    padding: Padding1D = "valid",
    *,
    dilations: Steps = 1,
    groups: int = 1,
    data_format: DataFormat1D = "NWC",
    filter_format: FilterFormat1D = "WIO",
    out: np.typing.NDArray[Any] | None = None,
    threads: int | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Return the gradient of the images of `aotconv.conv1d`, as `conv2d_images` does.

    Parameters
    ----------
    output_gradient : array_like, shape (..., OW, O)
    filters : array_like, shape (K, C / groups, O)
    images_shape : tuple of int
    strides, padding, dilations, groups, data_format, filter_format
        As `conv1d` was given them.
    out, threads
        As in `conv2d_images`.

    Returns
    -------
    ndarray, shape `images_shape`
    """
    check.no_misnamed(misnamed)
    weights = filters, images_shape, strides, padding, dilations, groups
    options = data_format, filter_format
    return _IMAGES_1D(output_gradient, out, None, threads, weights + options)


def conv2d_images(
    output_gradient: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    images_shape: Sequence[int],
    strides: Steps = 1,
    padding: Padding = "valid",
    *,
    dilations: Steps = 1,
    groups: int = 1,
    data_format: DataFormat2D = "NHWC",
    filter_format: FilterFormat2D = "HWIO",
    out: np.typing.NDArray[Any] | None = None,
    threads: int | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Return the gradient of the images of `aotconv.conv2d`.

    Parameters
    ----------
    output_gradient : array_like, shape (..., OH, OW, O)
        The gradient by the result of `conv2d`, in `data_format`.
    filters : array_like, shape (KH, KW, C / groups, O)
        As `conv2d` was given them.
    images_shape : tuple of int
        Of the images, in `data_format`.
    strides, padding, dilations, groups, data_format, filter_format
        As `conv2d` was given them.
    out : ndarray, optional
        Where the result is written; it may overlap the other arrays.
    threads : int, optional
        As in `conv2d`.

    Returns
    -------
    ndarray, shape `images_shape`
        Its dtype is NumPy's common one.  Complex numbers are not conjugated.

    Raises
    ------
    TypeError, ValueError
        As `conv2d`; where `output_gradient` is none of images of such a shape.

    See Also
    --------
    aotconv.conv2d_transpose : the same map, whose shape is said otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import gradients
    >>> ones = np.ones((1, 3, 1))
    >>> gradients.conv2d_images(ones, np.ones((1, 2, 1, 1)), (1, 4, 1)).ravel()
    array([1., 2., 2., 1.])
    """
    check.no_misnamed(misnamed)
    weights = filters, images_shape, strides, padding, dilations, groups
    options = data_format, filter_format
    return _IMAGES_2D(output_gradient, out, None, threads, weights + options)


def conv3d_images(
    output_gradient: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    images_shape: Sequence[int],
    strides: Steps = 1,
    padding: Padding = "valid",
    *,
    dilations: Steps = 1,
    groups: int = 1,
    data_format: DataFormat3D = "NDHWC",
    filter_format: FilterFormat3D = "DHWIO",
    out: np.typing.NDArray[Any] | None = None,
    threads: int | None = None,
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Return the gradient of the images of `aotconv.conv3d`, as `conv2d_images` does.

    Parameters
    ----------
    output_gradient : array_like, shape (..., OD, OH, OW, O)
    filters : array_like, shape (KD, KH, KW, C / groups, O)
    images_shape : tuple of int
    strides, padding, dilations, groups, data_format, filter_format
        As `conv3d` was given them.
    out, threads
        As in `conv2d_images`.

    Returns
    -------
    ndarray, shape `images_shape`
    """
    check.no_misnamed(misnamed)
    weights = filters, images_shape, strides, padding, dilations, groups
    options = data_format, filter_format
    return _IMAGES_3D(output_gradient, out, None, threads, weights + options)
