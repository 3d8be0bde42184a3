"""The doors of transposed convolution: `conv1d_transpose`, `conv2d_transpose`, `conv3d_transpose`
and their layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn, SupportsIndex

import numpy as np

from ._core import check
from ._core.call import Function
from ._core.transposed import Transposed
from .conv import (
    Activation,
    CommonPadding,
    DataFormat1D,
    DataFormat2D,
    DataFormat3D,
    FilterFormat1D,
    FilterFormat2D,
    FilterFormat3D,
    Layer,
    Steps,
)

if TYPE_CHECKING or np.__version__.startswith("1."):
    import numpy.typing  # NumPy 2 does when a hint is evaluated: import is spared a millisecond

_CONV1D, _CONV2D, _CONV3D = (Function(Transposed, rank) for rank in (1, 2, 3))


class TransposedLayer(Layer):
    """A layer of any rank; `filters` are those of the convolution that is transposed."""

    _kind = Transposed

    @property
    def output_padding(self) -> tuple[int, ...] | None:
        """One for each spatial axis, or None."""
        return self._operator.options.output_padding

    @property
    def output_size(self) -> tuple[int, ...] | None:
        """One for each spatial axis, or None."""
        return self._operator.options.output_size


class Conv1DTranspose(TransposedLayer):
    """A transposed convolution whose weights are packed once and that is called many times.

    The arguments are those of `conv1d_transpose`; otherwise as `Conv2D`.

    Parameters
    ----------
    filters : array_like, shape (K, O / groups, C)
        With `filter_format` "OIW": (C, O / groups, K).
    bias : array_like, shape (O,), optional
    strides, padding, output_padding, output_size, dilations, groups
        As in `conv1d_transpose`.
    data_format, filter_format, activation, dtype, saturate, algorithm
        As in `conv1d_transpose`.
    threads : int, optional
        The default of the layer's calls.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> layer = aotconv.Conv1DTranspose(np.ones((4, 8, 16), np.float32), strides=2, padding="same")
    >>> layer.output_shape((10, 16))
    (20, 8)
    """

    def __init__(
        self,
        filters: np.typing.ArrayLike,
        bias: np.typing.ArrayLike | None = None,
        strides: Steps = 1,
        padding: CommonPadding = "valid",
        *,
        output_padding: Steps | None = None,
        output_size: Steps | None = None,
        dilations: Steps = 1,
        groups: SupportsIndex = 1,
        data_format: DataFormat1D = "NWC",
        filter_format: FilterFormat1D = "WIO",
        activation: Activation | None = None,
        threads: SupportsIndex | None = None,
        dtype: np.typing.DTypeLike | None = None,
        saturate: bool = False,
        algorithm: Literal["auto"] = "auto",
        **misnamed: NoReturn,
    ) -> None:
        if misnamed:
            check.no_misnamed(misnamed)
        weights = filters, bias, strides, padding, output_padding, output_size, dilations, groups
        options = data_format, filter_format, activation, dtype, saturate, algorithm
        super().__init__(1, threads, *weights, *options)


class Conv2DTranspose(TransposedLayer):
    """A transposed convolution whose weights are packed once and that is called many times.

    The arguments are those of `conv2d_transpose`; otherwise as `Conv2D`.

    Parameters
    ----------
    filters : array_like, shape (KH, KW, O / groups, C)
        With `filter_format` "OIHW": (C, O / groups, KH, KW).
    bias : array_like, shape (O,), optional
    strides, padding, output_padding, output_size, dilations, groups
        As in `conv2d_transpose`.
    data_format, filter_format, activation, dtype, saturate, algorithm
        As in `conv2d_transpose`.
    threads : int, optional
        The default of the layer's calls.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> layer = aotconv.Conv2DTranspose(np.ones((2, 2, 64, 128), np.float32), strides=2)
    >>> layer.output_shape((1, 28, 28, 128))
    (1, 56, 56, 64)
    """

    def __init__(
        self,
        filters: np.typing.ArrayLike,
        bias: np.typing.ArrayLike | None = None,
        strides: Steps = 1,
        padding: CommonPadding = "valid",
        *,
        output_padding: Steps | None = None,
        output_size: Steps | None = None,
        dilations: Steps = 1,
        groups: SupportsIndex = 1,
        data_format: DataFormat2D = "NHWC",
        filter_format: FilterFormat2D = "HWIO",
        activation: Activation | None = None,
        threads: SupportsIndex | None = None,
        dtype: np.typing.DTypeLike | None = None,
        saturate: bool = False,
        algorithm: Literal["auto"] = "auto",
        **misnamed: NoReturn,
    ) -> None:
        if misnamed:
            check.no_misnamed(misnamed)
        weights = filters, bias, strides, padding, output_padding, output_size, dilations, groups
        options = data_format, filter_format, activation, dtype, saturate, algorithm
        super().__init__(2, threads, *weights, *options)


class Conv3DTranspose(TransposedLayer):
    """A transposed convolution whose weights are packed once and that is called many times.

    The arguments are those of `conv3d_transpose`; otherwise as `Conv2D`.

    Parameters
    ----------
    filters : array_like, shape (KD, KH, KW, O / groups, C)
        With `filter_format` "OIDHW": (C, O / groups, KD, KH, KW).
    bias : array_like, shape (O,), optional
    strides, padding, output_padding, output_size, dilations, groups
        As in `conv3d_transpose`.
    data_format, filter_format, activation, dtype, saturate, algorithm
        As in `conv3d_transpose`.
    threads : int, optional
        The default of the layer's calls.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> layer = aotconv.Conv3DTranspose(np.ones((2, 2, 2, 8, 16), np.float32), strides=2)
    >>> layer.output_shape((7, 16, 17, 16))
    (14, 32, 34, 8)
    """

    def __init__(
        self,
        filters: np.typing.ArrayLike,
        bias: np.typing.ArrayLike | None = None,
        strides: Steps = 1,
        padding: CommonPadding = "valid",
        *,
        output_padding: Steps | None = None,
        output_size: Steps | None = None,
        dilations: Steps = 1,
        groups: SupportsIndex = 1,
        data_format: DataFormat3D = "NDHWC",
        filter_format: FilterFormat3D = "DHWIO",
        activation: Activation | None = None,
        threads: SupportsIndex | None = None,
        dtype: np.typing.DTypeLike | None = None,
        saturate: bool = False,
        algorithm: Literal["auto"] = "auto",
        **misnamed: NoReturn,
    ) -> None:
        if misnamed:
            check.no_misnamed(misnamed)
        weights = filters, bias, strides, padding, output_padding, output_size, dilations, groups
        options = data_format, filter_format, activation, dtype, saturate, algorithm
        super().__init__(3, threads, *weights, *options)


def conv1d_transpose(
    images: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    bias: np.typing.ArrayLike | None = None,
    strides: Steps = 1,
    padding: CommonPadding = "valid",
    *,
    output_padding: Steps | None = None,
    output_size: Steps | None = None,
    dilations: Steps = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat1D = "NWC",
    filter_format: FilterFormat1D = "WIO",
    activation: Activation | None = None,
    residual: np.typing.ArrayLike | None = None,
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    dtype: np.typing.DTypeLike | None = None,
    saturate: bool = False,
    algorithm: Literal["auto"] = "auto",
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Transpose a convolution along one axis.

    As `conv2d_transpose` does along two.

    Parameters
    ----------
    images : array_like, shape (..., W, C)
    filters : array_like, shape (K, O / groups, C)
        With `filter_format` "OIW": (C, O / groups, K).
    bias : array_like, shape (O,), optional
    strides, dilations : int
    padding : {"valid", "same", "same_lower"}, int or (int, int)
        What is cut from the result, by the rules of `conv2d_transpose`.
    output_padding, output_size : int, optional
    groups, data_format, filter_format, activation, residual, out, threads
        As in `conv1d`.
    dtype, saturate, algorithm
        As in `conv2d_transpose`.

    Returns
    -------
    ndarray, shape (..., OW, O), or (..., O, OW) with channels first

    See Also
    --------
    conv2d_transpose : says more of each argument.
    Conv1DTranspose : keeps the packed weights for many calls.

    Examples
    --------
    Each element becomes two, with the mean in between:

    >>> import numpy as np
    >>> import aotconv
    >>> signal = np.array([2.0, 4.0, 6.0]).reshape(3, 1)
    >>> tent = np.array([0.5, 1.0, 0.5]).reshape(3, 1, 1)
    >>> aotconv.conv1d_transpose(signal, tent, strides=2).ravel()
    array([1., 2., 3., 4., 5., 6., 3.])
    """
    if misnamed:
        check.no_misnamed(misnamed)
    weights = filters, bias, strides, padding, output_padding, output_size, dilations, groups
    options = data_format, filter_format, activation, dtype, saturate, algorithm
    return _CONV1D(images, out, residual, threads, weights + options)


def conv2d_transpose(
    images: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    bias: np.typing.ArrayLike | None = None,
    strides: Steps = 1,
    padding: CommonPadding = "valid",
    *,
    output_padding: Steps | None = None,
    output_size: Steps | None = None,
    dilations: Steps = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat2D = "NHWC",
    filter_format: FilterFormat2D = "HWIO",
    activation: Activation | None = None,
    residual: np.typing.ArrayLike | None = None,
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    dtype: np.typing.DTypeLike | None = None,
    saturate: bool = False,
    algorithm: Literal["auto"] = "auto",
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Transpose a convolution: make large images of small ones, as decoders do.

    It is the linear map whose matrix is the transpose of `conv2d`'s with the same filters, strides,
    dilations and groups; what networks call deconvolution, or a convolution of fractional strides::

        out[..., y * sh + i * dh - top, x * sw + j * dw - left, o] += images[..., y, x, c]
            * filters[i, j, o, c]

    over all y, x, i, j and the channels c of o's group, where top and left are what `padding` cuts;
    then bias, residual and activation as in `conv2d`.  No zeros are inserted: it is computed as a
    convolution for each phase of the strides.

    Parameters
    ----------
    images : array_like, shape (..., H, W, C)
        As in `conv2d`.
    filters : array_like, shape (KH, KW, O / groups, C)
        Those of the convolution that is transposed, which makes C channels of O: TensorFlow's and
        Keras' order.  With `filter_format` "OIHW": (C, O / groups, KH, KW), PyTorch's and ONNX'.
    bias : array_like, shape (O,), optional
        Added to each pixel of the result.
    strides : int or pair of int
        Pixels of the result from the window of one pixel to the next one's.
    padding : {"valid", "same", "same_lower"}, int, (int, int) or ((int, int), (int, int))
        What is cut from the result, which without is ``(size - 1) * stride + window`` pixels wide,
        ``window = (kernel - 1) * dilation + 1``.

        - "valid": nothing; where windows are less than the stride, zeros fill the last one up.
        - "same": as much as leaves ``size * stride`` pixels, an odd one behind: TensorFlow's rule
          and ONNX' SAME_UPPER.  "same_lower": an odd one in front.
        - Numbers, as in `conv2d`, are PyTorch's and ONNX'.  Less than nothing extends the result,
          by pixels that no window reaches.
    output_padding : int or pair of int, optional
        Pixels that the result has more, behind; less than the stride or the dilation.  With "same"
        the rule is Keras': ``(size - 1) * stride + window % 2 + output_padding`` pixels.
    output_size : int or pair of int, optional
        Height and width of the result, instead of `output_padding`: of a convolution that makes
        images of such a size there may be several.  With it `padding` is the convolution's own.
    dilations : int or pair of int
        Pixels of the result from one tap of a filter to the next.
    groups : int
        Channels of images and of the result are cut into this many groups.
    data_format, filter_format, activation, residual, out, threads
        As in `conv2d`.
    dtype, saturate
        As in `conv2d`.
    algorithm : {"auto"}
        There is no other one.

    Returns
    -------
    ndarray, shape (..., OH, OW, O), or (..., O, OH, OW) with channels first
        As in `conv2d`, with its errors and warnings, too.

    See Also
    --------
    Conv2DTranspose : keeps the packed weights for many calls.
    conv1d_transpose, conv3d_transpose : along one axis and three.
    aotconv.gradients.conv2d_images : the same, as the gradient that it is.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> images = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1)
    >>> aotconv.conv2d_transpose(images, np.ones((2, 2, 1, 1)), strides=2)[..., 0]
    array([[1., 1., 2., 2.],
           [1., 1., 2., 2.],
           [3., 3., 4., 4.],
           [3., 3., 4., 4.]])
    """
    if misnamed:
        check.no_misnamed(misnamed)
    weights = filters, bias, strides, padding, output_padding, output_size, dilations, groups
    options = data_format, filter_format, activation, dtype, saturate, algorithm
    return _CONV2D(images, out, residual, threads, weights + options)


def conv3d_transpose(
    images: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    bias: np.typing.ArrayLike | None = None,
    strides: Steps = 1,
    padding: CommonPadding = "valid",
    *,
    output_padding: Steps | None = None,
    output_size: Steps | None = None,
    dilations: Steps = 1,
    groups: SupportsIndex = 1,
    data_format: DataFormat3D = "NDHWC",
    filter_format: FilterFormat3D = "DHWIO",
    activation: Activation | None = None,
    residual: np.typing.ArrayLike | None = None,
    out: np.typing.NDArray[Any] | None = None,
    threads: SupportsIndex | None = None,
    dtype: np.typing.DTypeLike | None = None,
    saturate: bool = False,
    algorithm: Literal["auto"] = "auto",
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Transpose a convolution of volumes.

    As `conv2d_transpose` does along two axes.

    Parameters
    ----------
    images : array_like, shape (..., D, H, W, C)
    filters : array_like, shape (KD, KH, KW, O / groups, C)
        With `filter_format` "OIDHW": (C, O / groups, KD, KH, KW).
    bias : array_like, shape (O,), optional
    strides, dilations : int or three int
    padding : {"valid", "same", "same_lower"}, int, (int, int, int) or three pairs of int
        What is cut from the result, by the rules of `conv2d_transpose`.
    output_padding, output_size : int or three int, optional
    groups, data_format, filter_format, activation, residual, out, threads
        As in `conv3d`.
    dtype, saturate, algorithm
        As in `conv2d_transpose`.

    Returns
    -------
    ndarray, shape (..., OD, OH, OW, O), or (..., O, OD, OH, OW) with channels first

    See Also
    --------
    conv2d_transpose : says more of each argument.
    Conv3DTranspose : keeps the packed weights for many calls.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> volume = np.ones((3, 4, 5, 2), np.float32)
    >>> aotconv.conv3d_transpose(volume, np.ones((3, 3, 3, 1, 2), np.float32), strides=2).shape
    (7, 9, 11, 1)
    """
    if misnamed:
        check.no_misnamed(misnamed)
    weights = filters, bias, strides, padding, output_padding, output_size, dilations, groups
    options = data_format, filter_format, activation, dtype, saturate, algorithm
    return _CONV3D(images, out, residual, threads, weights + options)
