"""The doors of convolution: `conv1d`, `conv2d`, `conv3d` and their layers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, SupportsIndex, TypeAlias

import numpy as np

from ._core import check
from ._core.call import Function
from ._core.copies import copied
from ._core.layer import Convolution
from .activations import Activation

if TYPE_CHECKING or np.__version__.startswith("1."):
    import numpy.typing  # NumPy 2 does when a hint is evaluated: import is spared a millisecond

Steps: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
CommonPadding: TypeAlias = (
    Literal["valid", "same", "same_lower", "VALID", "SAME", "SAME_LOWER"] | Steps | Sequence[Steps]
)
Padding: TypeAlias = CommonPadding | Literal["full", "FULL"]
Padding1D: TypeAlias = Padding | Literal["causal", "CAUSAL"]
Mode: TypeAlias = Literal[
    "constant", "reflect", "symmetric", "edge", "wrap", "zeros", "replicate", "circular"
]
PaddingMode: TypeAlias = Mode | tuple[Mode, ...] | list[Mode]
DataFormat1D: TypeAlias = Literal["NWC", "NCW", "channels_last", "channels_first"]
DataFormat2D: TypeAlias = Literal["NHWC", "NCHW", "channels_last", "channels_first"]
DataFormat3D: TypeAlias = Literal["NDHWC", "NCDHW", "channels_last", "channels_first"]
FilterFormat1D: TypeAlias = Literal["WIO", "OIW"]
FilterFormat2D: TypeAlias = Literal["HWIO", "OIHW"]
FilterFormat3D: TypeAlias = Literal["DHWIO", "OIDHW"]
Algorithm: TypeAlias = Literal["auto", "fft", "fastest"]
Algorithm2D: TypeAlias = Literal["auto", "winograd", "fft", "fastest"]


_CONV1D, _CONV2D, _CONV3D = (Function(Convolution, rank) for rank in (1, 2, 3))


class Layer:
    """A layer of any rank: how it is made of checked arguments, called and shown."""

    _kind: type[Convolution] = Convolution

    def __init__(self, rank: int, threads: SupportsIndex | None, *arguments: Any) -> None:
        filters, bias, options = self._kind.checked(rank, *arguments)
        own_bias = None if bias is None else copied(bias)
        self._operator = self._kind(copied(filters), own_bias, options)
        self._n_threads = None if threads is None else check.integer("threads", threads, 1)

    def __call__(
        self,
        images: np.typing.ArrayLike,
        out: np.typing.NDArray[Any] | None = None,
        threads: SupportsIndex | None = None,
        *,
        residual: np.typing.ArrayLike | None = None,
    ) -> np.typing.NDArray[Any]:
        """Convolve images as the function of this rank does.

        Parameters
        ----------
        images : array_like
            With any leading axes, in the layer's data format.
        out : ndarray, optional
            Where the result is written, as in `conv2d`.
        threads : int, optional
            For this call, instead of the layer's own.
        residual : array_like, of the result's shape, optional
            Added before the activation, as in `conv2d`.

        Returns
        -------
        ndarray
            `out` if it was given.
        """
        if threads is None and residual is None:
            result = self._operator.repeated(images, out, self._n_threads)
            if result is not None:
                return result
        n_threads = self._n_threads if threads is None else threads
        return self._operator.apply(images, out, residual, n_threads)

    def output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of the result for images of a shape.

        Parameters
        ----------
        shape : tuple of int
            With any leading axes, in the layer's data format.

        Returns
        -------
        tuple of int
        """
        return self._operator.result_shape(check.images_shape(shape, self._operator.rank))

    @property
    def filters(self) -> np.typing.NDArray[Any]:
        """The filters, read-only, outputs last whatever their format was."""
        return _read_only(self._operator.given_filters)

    @property
    def bias(self) -> np.typing.NDArray[Any] | None:
        """The bias, read-only."""
        bias = self._operator.bias
        return None if bias is None else _read_only(bias)

    @property
    def strides(self) -> tuple[int, ...]:
        """One for each spatial axis."""
        return self._operator.options.strides

    @property
    def padding(self) -> str | tuple[tuple[int, int], ...]:
        """A rule by name, or numbers before and behind each spatial axis."""
        return self._operator.options.padding

    @property
    def dilations(self) -> tuple[int, ...]:
        """One for each spatial axis."""
        return self._operator.options.dilations

    @property
    def groups(self) -> int:
        """Of channels, and of filters."""
        return self._operator.options.groups

    @property
    def data_format(self) -> str:
        """By letters, as 'NHWC'."""
        return self._operator.options.data_format

    @property
    def activation(self) -> Activation | None:
        """None, or what is done to each value of the result."""
        return self._operator.options.activation

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Of results; None: NumPy's common one of the arguments."""
        return self._operator.options.dtype

    @property
    def saturate(self) -> bool:
        """Whether integers are clipped and do not wrap."""
        return self._operator.options.saturate

    @property
    def algorithm(self) -> str:
        """'auto', or the one that was asked for."""
        return self._operator.options.algorithm

    @property
    def threads(self) -> int | None:
        """How many threads a call uses at most, unless it says so itself."""
        return self._n_threads

    def __repr__(self) -> str:
        parts = [f"filters {self.filters.shape} {self.filters.dtype}"]
        if self.bias is not None:
            parts.append("bias")
        for name, value in self._operator.options._asdict().items():
            if hasattr(type(self), name):
                parts.append(f"{name}={value!r}")
        if self._n_threads is not None:
            parts.append(f"threads={self._n_threads}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_operator": copy.copy(self._operator)}  # with weights of its own


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


class ForwardLayer(Layer):
    """A layer that is not transposed, of any rank."""

    @property
    def padding_mode(self) -> tuple[str, ...]:
        """One for each spatial axis, in np.pad's words."""
        return self._operator.options.padding_mode

    @property
    def padding_value(self) -> complex:
        """What 'constant' adds."""
        return self._operator.options.padding_value


class Conv1D(ForwardLayer):
    """A convolution of signals whose weights are packed once and that is called many times.

    The arguments are those of `conv1d`; otherwise as `Conv2D`.

    Parameters
    ----------
    filters : array_like, shape (K, C / groups, O)
        With `filter_format` "OIW": (O, C / groups, K).
    bias : array_like, shape (O,), optional
    strides, padding, padding_mode, padding_value, dilations, groups, data_format, filter_format
        As in `conv1d`.
    activation, dtype, saturate, algorithm
        As in `conv2d`.
    threads : int, optional
        The default of the layer's calls.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> layer = aotconv.Conv1D(np.ones((9, 48, 80), np.float32), padding="causal", strides=2)
    >>> layer.output_shape((4, 12000, 48))
    (4, 6000, 80)
    """

    def __init__(
        self,
        filters: np.typing.ArrayLike,
        bias: np.typing.ArrayLike | None = None,
        strides: Steps = 1,
        padding: Padding1D = "valid",
        *,
        padding_mode: PaddingMode = "constant",
        padding_value: complex = 0,
        dilations: Steps = 1,
        groups: SupportsIndex = 1,
        data_format: DataFormat1D = "NWC",
        filter_format: FilterFormat1D = "WIO",
        activation: Activation | None = None,
        threads: SupportsIndex | None = None,
        dtype: np.typing.DTypeLike | None = None,
        saturate: bool = False,
        algorithm: Algorithm = "auto",
        **misnamed: NoReturn,
    ) -> None:
        if misnamed:
            check.no_misnamed(misnamed)
        weights = filters, bias, strides, padding, padding_mode, padding_value, dilations, groups
        options = data_format, filter_format, activation, dtype, saturate, algorithm
        super().__init__(1, threads, *weights, *options)


class Conv2D(ForwardLayer):
    """A convolution whose weights are packed once and that is called many times.

    The arguments are those of `conv2d`; the arrays are copied, so changing them later does not
    change the layer.  A layer may be called from several threads at once, and pickled, for other
    processes.

    Parameters
    ----------
    filters : array_like, shape (KH, KW, C / groups, O)
        With `filter_format` "OIHW": (O, C / groups, KH, KW).
    bias : array_like, shape (O,), optional
    strides, padding, padding_mode, padding_value, dilations, groups, data_format, filter_format
        As in `conv2d`.
    activation, dtype, saturate, algorithm
        As in `conv2d`.
    threads : int, optional
        The default of the layer's calls.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> layer = aotconv.Conv2D(np.ones((3, 3, 1, 8), np.float32), padding="same")
    >>> layer(np.ones((2, 5, 5, 1), np.float32)).shape
    (2, 5, 5, 8)
    >>> layer.output_shape((1, 100, 50, 1))
    (1, 100, 50, 8)
    """

    def __init__(
        self,
        filters: np.typing.ArrayLike,
        bias: np.typing.ArrayLike | None = None,
        strides: Steps = 1,
        padding: Padding = "valid",
        *,
        padding_mode: PaddingMode = "constant",
        padding_value: complex = 0,
        dilations: Steps = 1,
        groups: SupportsIndex = 1,
        data_format: DataFormat2D = "NHWC",
        filter_format: FilterFormat2D = "HWIO",
        activation: Activation | None = None,
        threads: SupportsIndex | None = None,
        dtype: np.typing.DTypeLike | None = None,
        saturate: bool = False,
        algorithm: Algorithm2D = "auto",
        **misnamed: NoReturn,
    ) -> None:
        if misnamed:
            check.no_misnamed(misnamed)
        weights = filters, bias, strides, padding, padding_mode, padding_value, dilations, groups
        options = data_format, filter_format, activation, dtype, saturate, algorithm
        super().__init__(2, threads, *weights, *options)


class Conv3D(ForwardLayer):
    """A convolution of volumes whose weights are packed once and that is called many times.

    The arguments are those of `conv3d`; otherwise as `Conv2D`.

    Parameters
    ----------
    filters : array_like, shape (KD, KH, KW, C / groups, O)
        With `filter_format` "OIDHW": (O, C / groups, KD, KH, KW).
    bias : array_like, shape (O,), optional
    strides, padding, padding_mode, padding_value, dilations, groups, data_format, filter_format
        As in `conv3d`.
    activation, dtype, saturate, algorithm
        As in `conv2d`.
    threads : int, optional
        The default of the layer's calls.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> layer = aotconv.Conv3D(np.ones((3, 3, 3, 16, 16), np.float32), padding="same")
    >>> layer.output_shape((14, 32, 34, 16))
    (14, 32, 34, 16)
    """

    def __init__(
        self,
        filters: np.typing.ArrayLike,
        bias: np.typing.ArrayLike | None = None,
        strides: Steps = 1,
        padding: Padding = "valid",
        *,
        padding_mode: PaddingMode = "constant",
        padding_value: complex = 0,
        dilations: Steps = 1,
        groups: SupportsIndex = 1,
        data_format: DataFormat3D = "NDHWC",
        filter_format: FilterFormat3D = "DHWIO",
        activation: Activation | None = None,
        threads: SupportsIndex | None = None,
        dtype: np.typing.DTypeLike | None = None,
        saturate: bool = False,
        algorithm: Algorithm = "auto",
        **misnamed: NoReturn,
    ) -> None:
        if misnamed:
            check.no_misnamed(misnamed)
        weights = filters, bias, strides, padding, padding_mode, padding_value, dilations, groups
        options = data_format, filter_format, activation, dtype, saturate, algorithm
        super().__init__(3, threads, *weights, *options)


def conv1d(
    images: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    bias: np.typing.ArrayLike | None = None,
    strides: Steps = 1,
    padding: Padding1D = "valid",
    *,
    padding_mode: PaddingMode = "constant",
    padding_value: complex = 0,
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
    algorithm: Algorithm = "auto",
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Convolve signals, or anything along one axis, with filters.

    As `conv2d` does along two axes; the filters are not flipped::

        out[..., x, o] = act(residual[..., x, o] + bias[o] + sum over i, c of
            images[..., x * stride + i * dilation, c] * filters[i, c, o])

    Parameters
    ----------
    images : array_like, shape (..., W, C)
        With any leading axes, or none.  With `data_format` "NCW": (..., C, W).
    filters : array_like, shape (K, C / groups, O)
        With `filter_format` "OIW": (O, C / groups, K).
    bias : array_like, shape (O,), optional
        Added to each element of the result.
    strides, dilations : int
        Elements from one window to the next, and from one tap of a filter to the next.
    padding : {"valid", "same", "same_lower", "full", "causal"}, int or (int, int)
        Pixels before and behind, by the rules of `conv2d`; "causal": so many before that no
        element of the result sees a later one of the images.
    groups, activation, residual, out, threads
        As in `conv2d`.
    data_format : {"NWC", "NCW", "channels_last", "channels_first"}
        The order of the axes of `images` and of the result.
    filter_format : {"WIO", "OIW"}
        The order of the axes of `filters`.
    padding_mode, padding_value, dtype, saturate
        As in `conv2d`.
    algorithm : {"auto", "fft", "fastest"}
        As in `conv2d`, whose "winograd" is for two axes alone.

    Returns
    -------
    ndarray, shape (..., OW, O), or (..., O, OW) with channels first
        As in `conv2d`, with its errors and warnings, too.

    See Also
    --------
    conv2d : says more of each argument.
    Conv1D : keeps the packed weights for many calls.

    Examples
    --------
    A running mean of three that looks back alone:

    >>> import numpy as np
    >>> import aotconv
    >>> signal = np.array([3.0, 6.0, 9.0, 0.0]).reshape(4, 1)
    >>> aotconv.conv1d(signal, np.full((3, 1, 1), 1 / 3), padding="causal").ravel().round(6)
    array([1., 3., 6., 5.])
    """
    if misnamed:
        check.no_misnamed(misnamed)
    weights = filters, bias, strides, padding, padding_mode, padding_value, dilations, groups
    options = data_format, filter_format, activation, dtype, saturate, algorithm
    return _CONV1D(images, out, residual, threads, weights + options)


def conv2d(
    images: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    bias: np.typing.ArrayLike | None = None,
    strides: Steps = 1,
    padding: Padding = "valid",
    *,
    padding_mode: PaddingMode = "constant",
    padding_value: complex = 0,
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
    algorithm: Algorithm2D = "auto",
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Convolve images with filters.

    As in neural networks, the filters are not flipped::

        out[..., y, x, o] = act(residual[..., y, x, o] + bias[o] + sum over i, j, c of
            images[..., y * sh + i * dh, x * sw + j * dw, c] * filters[i, j, c, o])

    where strides are (sh, sw) and dilations (dh, dw), the images are surrounded with pixels as
    `padding` and `padding_mode` say, and c runs over the channels of o's group.

    Parameters
    ----------
    images : array_like, shape (..., H, W, C)
        With any leading axes: none for one image, one for a batch, and more.  With `data_format`
        "NCHW": (..., C, H, W).
    filters : array_like, shape (KH, KW, C / groups, O)
        In both data formats.  With `filter_format` "OIHW": (O, C / groups, KH, KW).
    bias : array_like, shape (O,), optional
        Added to each pixel of the result.
    strides : int or pair of int
        Pixels from one window to the next, down and to the right.
    padding : {"valid", "same", "same_lower", "full"}, int, (int, int) or ((int, int), (int, int))
        Pixels around the images.  Case does not matter.

        - "valid": none.
        - "same": as many as give ``ceil(size / stride)`` pixels, an odd one behind: TensorFlow's
          rule.  "same_lower": an odd one in front.
        - "full": as many as let each window that meets the images at all count: one less than the
          window's size, on all four sides.
        - One number: on all four sides.  Two: (top and bottom, left and right).
        - ((top, bottom), (left, right)).
    padding_mode : {"constant", "reflect", "symmetric", "edge", "wrap"}, or a pair of them
        What surrounds the images, in np.pad's words; one for both axes, or (rows, columns).  The
        result is that of images that were padded so, to the bit; where `padding` adds no pixels it
        does not depend on it.

        - "constant", or PyTorch's "zeros": `padding_value`, ``0000|abcd|0000``.
        - "reflect": ``dcb|abcd|cba``; SciPy calls it "mirror".  A single pixel is repeated.
        - "symmetric": ``dcba|abcd|dcba``; SciPy calls it "reflect".
        - "edge", or PyTorch's "replicate", SciPy's "nearest": ``aaaa|abcd|dddd``.
        - "wrap", or PyTorch's "circular": ``abcd|abcd|abcd``.

        Wider padding goes on in the same way, as often as it takes.
    padding_value : number
        What "constant" adds, as the images' dtype holds it: for integers a whole number in their
        range, for floats any that does not overflow, NaN and infinities, too, for complex numbers
        a complex one, too.  A zero has no sign.  0 where no mode is "constant".
    dilations : int or pair of int
        Pixels from one tap of a filter to the next, down and to the right.
    groups : int
        The channels are cut into this many groups and the filters too; each group of filters sees
        its own group of channels.  With as many groups as channels: depthwise convolution.
    data_format : {"NHWC", "NCHW", "channels_last", "channels_first"}
        The order of the axes of `images` and of the result.
    filter_format : {"HWIO", "OIHW"}
        The order of the axes of `filters`; the latter is PyTorch's and ONNX'.
    activation : str, ("leaky_relu", float) or None
        What is done to each value of the result, as `activate` does it: "relu", "relu6",
        "leaky_relu" (by itself of slope 0.01), "hard_sigmoid", "hard_swish", "sigmoid", "tanh",
        "silu", "gelu" (by erf), "gelu_tanh".  Sums of float16 and bfloat16 are rounded after it.
    residual : array_like, of the result's shape, optional
        Added to the sums before the activation, as the shortcut of a residual network is.  It has
        no say in the result's dtype, to which it is cast; nothing is broadcast.
    out : ndarray, optional
        Where the result is written: of its shape and dtype, with any strides.  It may overlap
        the other arrays.
    threads : int, optional
        How many threads compute, at most: several calls at once share them, and more than four for
        each CPU are not used.  By default as many as the work is worth, `get_num_threads` for all
        calls together.  The result does not depend on it.
    dtype : dtype, optional
        What products are summed in, and the result holds, as NumPy's functions take it: what the
        arguments' common dtype, which it is by default, can be cast to by the rule "same_kind".
        int32 for sums of int8, say, float32 for those of float16, float64 for those of float32.
    saturate : bool
        Whether a result of integers is clipped where it would wrap.  Then `dtype` may be integers
        where arguments are floats, too: sums of these are rounded to nearest even, and NaN is 0.
        Results of floats are what they are without.  Sums of integers are exact where the images'
        dtype and the weights tell that none reaches ``2**62``; others, as all of 64-bit images, are
        formed in float64, exactly where they stay below ``2**53``.
    algorithm : {"auto", "winograd", "fft", "fastest"}
        "auto": the products of the formula above, summed.  Others have rounding errors of other
        kinds (Notes), and pack filters for longer: layers do that once.

        - "winograd": Winograd's minimal filtering F(4x4, 3x3) [1]_, with a quarter of the products,
          for filters of 3 x 3, strides, dilations and groups of 1, and results of float32 or
          float64.
        - "fft": Fourier transforms of sections of the images, on one thread, by SciPy where it is
          installed, else by NumPy.  Their time hardly depends on the filters' size.  Integers are
          what "auto" gives: where rounding could make them others, a ValueError says so.
        - "fastest": whichever of these took least time on one machine, by all sizes, dtypes, the
          CPU's level and what transforms: never by values or threads.  Where "auto" raises no
          error it raises none.

    Returns
    -------
    ndarray, shape (..., OH, OW, O), or (..., O, OH, OW) with channels first
        `out` if it was given.  Leading axes are those of `images`.  Its dtype is `dtype`, or
        NumPy's common one of images, filters and bias, truth values of images counted as uint8.
        float16 and bfloat16 are computed in float32; integers wrap.

    Raises
    ------
    TypeError
        An argument of the wrong type; arrays of booleans (but images), objects or strings, or
        with a mask; an activation of complex numbers, or of integers but for "relu" and "relu6";
        a residual whose dtype cannot be cast to the result's within its kind.
    ValueError
        Sizes that do not fit together; images without pixels along an axis that is padded with
        pixels; a padding value that the images' dtype does not hold; an algorithm that does not
        apply; what is not built.  Nothing has been written into `out` then.

    Warns
    -----
    FallbackWarning
        Once, where no compiled kernel can run, or none is for the dtype, which is longdouble's.

    See Also
    --------
    Conv2D : keeps the packed weights for many calls.
    conv1d, conv3d : along one axis and three.
    conv2d_transpose : the way back, from results to images.
    aotconv.gradients : by images and by filters.

    Notes
    -----
    With algorithm "winograd" each output y of C channels differs from the exact value by no more
    than ``eps * (C + 28) * (282 * C * max|x| * max|w| + |bias| + |residual|)``, short of overflow:
    values in between are up to ``564 * C * max|x| * max|w|``.  On standard normal data errors are
    about twice those of "auto" (figures: docs/decisions/winograd.md; their kind: [2]_).  Sums of
    integers are not exact.  Outputs are computed in tiles of 4 x 4, and all that share a tile
    with one whose window holds a NaN or an infinity may be NaN.

    With "fft" each differs by no more than ``eps * ((10 * log2(2 * n) + 2 * C) * ||x|| * ||w|| +
    |bias| + |residual|)`` before the activation, in Euclidean norms of the n pixels x of a section,
    C channels each, and of a filter w; C are those of a group.  Sections have 262,144 elements at
    most, or four times as many as a window; all outputs of one that reads a NaN or an infinity may
    be NaN.  Bits are the same for any threads, memory layout and split of a batch, as long as what
    transforms is; those of "fastest" are those of the algorithm that it takes, which may be another
    for a part of a batch.

    References
    ----------
    .. [1] Andrew Lavin, Scott Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
    .. [2] Barbara Barabasz, Andrew Anderson, Kirk M. Soodhalter, David Gregg, "Error Analysis and
       Improving the Accuracy of Winograd Convolution for Deep Neural Networks", ACM TOMS 46(4),
       2020.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> images = np.ones((32, 28, 28, 3), np.float32)
    >>> filters = np.ones((4, 4, 3, 4), np.float32)
    >>> biases = np.arange(4, dtype=np.float32)
    >>> result = aotconv.conv2d(images, filters, biases, (1, 1))
    >>> result.shape
    (32, 25, 25, 4)
    >>> result[0, 0, 0]
    array([48., 49., 50., 51.], dtype=float32)
    """
    if misnamed:
        check.no_misnamed(misnamed)
    weights = filters, bias, strides, padding, padding_mode, padding_value, dilations, groups
    options = data_format, filter_format, activation, dtype, saturate, algorithm
    return _CONV2D(images, out, residual, threads, weights + options)


def conv3d(
    images: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    bias: np.typing.ArrayLike | None = None,
    strides: Steps = 1,
    padding: Padding = "valid",
    *,
    padding_mode: PaddingMode = "constant",
    padding_value: complex = 0,
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
    algorithm: Algorithm = "auto",
    **misnamed: NoReturn,
) -> np.typing.NDArray[Any]:
    """Convolve volumes, or films, with filters.

    As `conv2d` does along two axes; the filters are not flipped::

        out[..., z, y, x, o] = act(residual[..., z, y, x, o] + bias[o] + sum over h, i, j, c of
            images[..., z * sd + h * dd, y * sh + i * dh, x * sw + j * dw, c]
            * filters[h, i, j, c, o])

    where strides are (sd, sh, sw) and dilations (dd, dh, dw).

    Parameters
    ----------
    images : array_like, shape (..., D, H, W, C)
        With any leading axes, or none.  With `data_format` "NCDHW": (..., C, D, H, W).
    filters : array_like, shape (KD, KH, KW, C / groups, O)
        With `filter_format` "OIDHW": (O, C / groups, KD, KH, KW).
    bias : array_like, shape (O,), optional
        Added to each voxel of the result.
    strides, dilations : int or three int
        Voxels from one window to the next, and from one tap of a filter to the next.
    padding : {"valid", "same", "same_lower", "full"}, int, (int, int, int) or three pairs of int
        Pixels around the images, by the rules of `conv2d`: one number for all sides, one for each
        of the axes D, H and W, or ((front, back), (top, bottom), (left, right)).
    groups, activation, residual, out, threads
        As in `conv2d`.
    data_format : {"NDHWC", "NCDHW", "channels_last", "channels_first"}
        The order of the axes of `images` and of the result.
    filter_format : {"DHWIO", "OIDHW"}
        The order of the axes of `filters`.
    padding_mode, padding_value, dtype, saturate
        As in `conv2d`.
    algorithm : {"auto", "fft", "fastest"}
        As in `conv2d`, whose "winograd" is for two axes alone.

    Returns
    -------
    ndarray, shape (..., OD, OH, OW, O), or (..., O, OD, OH, OW) with channels first
        As in `conv2d`, with its errors and warnings, too.

    See Also
    --------
    conv2d : says more of each argument.
    Conv3D : keeps the packed weights for many calls.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> volume = np.ones((14, 32, 34, 1), np.float32)
    >>> blurred = aotconv.conv3d(volume, np.full((3, 3, 3, 1, 1), 1 / 27, np.float32))
    >>> blurred.shape
    (12, 30, 32, 1)
    """
    if misnamed:
        check.no_misnamed(misnamed)
    weights = filters, bias, strides, padding, padding_mode, padding_value, dilations, groups
    options = data_format, filter_format, activation, dtype, saturate, algorithm
    return _CONV3D(images, out, residual, threads, weights + options)
