"""The doors of convolution: `conv2d` and `Conv2D`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, TypeAlias

import numpy as np

from ._core import check
from ._core.layer import Convolution, checked, kept
from ._core.pack import copied

if TYPE_CHECKING or np.__version__.startswith("1."):
    import numpy.typing  # NumPy 2 does when a hint is evaluated: import is spared a millisecond

Pair: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
Padding: TypeAlias = (
    Literal["valid", "same", "same_lower", "VALID", "SAME", "SAME_LOWER"] | Pair | Sequence[Pair]
)
DataFormat: TypeAlias = Literal["NHWC", "NCHW", "channels_last", "channels_first"]
Activation: TypeAlias = Literal["relu", "relu6"]
Algorithm: TypeAlias = Literal["auto", "winograd"]


class Conv2D(Convolution):
    """A convolution whose weights are packed once and that is called many times.

    The arguments are those of `conv2d`; the arrays are copied, so changing them later does not
    change the layer.  A layer may be called from several threads at once.

    Parameters
    ----------
    filters : array_like, shape (KH, KW, C / groups, O)
    bias : array_like, shape (O,), optional
    strides, padding, dilations, groups, data_format, activation, algorithm
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
        strides: Pair = 1,
        padding: Padding = "valid",
        *,
        dilations: Pair = 1,
        groups: int = 1,
        data_format: DataFormat = "NHWC",
        activation: Activation | None = None,
        threads: int | None = None,
        algorithm: Algorithm = "auto",
    ) -> None:
        own_filters, own_bias, own_options = checked(
            filters, bias, strides, padding, dilations, groups, data_format, activation, algorithm
        )
        own_bias = None if own_bias is None else copied(own_bias)
        super().__init__(copied(own_filters), own_bias, own_options)
        self._n_threads = None if threads is None else check.integer("threads", threads, 1)

    def __call__(
        self,
        images: np.typing.ArrayLike,
        out: np.typing.NDArray[Any] | None = None,
        threads: int | None = None,
        *,
        residual: np.typing.ArrayLike | None = None,
    ) -> np.typing.NDArray[Any]:
        """Convolve `images`, as `conv2d` does.

        Parameters
        ----------
        images : array_like, shape (N, H, W, C) or (H, W, C)
            In the layer's data format.
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
        return self.convolve(images, out, residual, self._n_threads if threads is None else threads)

    def output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of the result for images of a shape.

        Parameters
        ----------
        shape : tuple of int
            Of 4 axes, or 3 for one image, in the layer's data format.

        Returns
        -------
        tuple of int
        """
        return self.result_shape(check.images_shape(shape))

    def __repr__(self) -> str:
        parts = [f"filters {self._filters.shape} {self._filters.dtype}"]
        if self._bias is not None:
            parts.append("bias")
        parts += [f"{name}={value!r}" for name, value in self._options._asdict().items()]
        return f"Conv2D({', '.join(parts)})"


def conv2d(
    images: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    bias: np.typing.ArrayLike | None = None,
    strides: Pair = 1,
    padding: Padding = "valid",
    *,
    dilations: Pair = 1,
    groups: int = 1,
    data_format: DataFormat = "NHWC",
    activation: Activation | None = None,
    residual: np.typing.ArrayLike | None = None,
    out: np.typing.NDArray[Any] | None = None,
    threads: int | None = None,
    algorithm: Algorithm = "auto",
) -> np.typing.NDArray[Any]:
    """Convolve images with filters.

    As in neural networks, the filters are not flipped::

        out[n, y, x, o] = act(residual[n, y, x, o] + bias[o] + sum over i, j, c of
            images[n, y * sh + i * dh, x * sw + j * dw, c] * filters[i, j, c, o])

    where strides are (sh, sw) and dilations (dh, dw), the images are surrounded with zeros as
    `padding` says, and c runs over the channels of o's group.

    Parameters
    ----------
    images : array_like, shape (N, H, W, C) or (H, W, C)
        A batch, or one image.  With `data_format` "NCHW": (N, C, H, W) or (C, H, W).
    filters : array_like, shape (KH, KW, C / groups, O)
        In both data formats.
    bias : array_like, shape (O,), optional
        Added to each pixel of the result.
    strides : int or pair of int
        Pixels from one window to the next, down and to the right.
    padding : {"valid", "same", "same_lower"}, int, (int, int) or ((int, int), (int, int))
        Zeros around the images.  Case does not matter.

        - "valid": none.
        - "same": as many as give ``ceil(size / stride)`` pixels, an odd one behind: TensorFlow's
          rule.  "same_lower": an odd one in front.
        - One number: on all four sides.  Two: (top and bottom, left and right).
        - ((top, bottom), (left, right)).
    dilations : int or pair of int
        Pixels from one tap of a filter to the next, down and to the right.
    groups : int
        The channels are cut into this many groups and the filters too; each group of filters sees
        its own group of channels.  With as many groups as channels: depthwise convolution.
    data_format : {"NHWC", "NCHW", "channels_last", "channels_first"}
        The order of the axes of `images` and of the result.
    activation : {None, "relu", "relu6"}
        What is done to each value of the result: nothing, ``max(x, 0)``, ``min(max(x, 0), 6)``.
    residual : array_like, of the result's shape, optional
        Added to the sums before the activation, as the shortcut of a residual network is.  It has
        no say in the result's dtype, to which it is cast; nothing is broadcast.
    out : ndarray, optional
        Where the result is written: of its shape and dtype, with any strides.  It may overlap
        the other arrays.
    threads : int, optional
        How many threads compute; by default as many as the work is worth, `get_num_threads` at
        most.  The result does not depend on it.
    algorithm : {"auto", "winograd"}
        "auto": the products of the formula above, summed.  "winograd": Winograd's minimal
        filtering F(4x4, 3x3) [1]_, with a quarter of the products and rounding errors of another
        kind (Notes), for filters of 3 x 3, strides, dilations and groups of 1, and results of
        float32 or float64.

    Returns
    -------
    ndarray, shape (N, OH, OW, O), or without N, or with channels first as `images` are
        `out` if it was given.  Its dtype is NumPy's common one of images, filters and bias.
        float16 is computed in float32; integers wrap.

    Raises
    ------
    TypeError
        An argument of the wrong type; arrays of booleans, objects or strings, or with a mask;
        an activation of complex numbers; a residual whose dtype cannot be cast to the result's
        within its kind.
    ValueError
        Sizes that do not fit together; an algorithm that does not apply.  Nothing has been written
        into `out` then.

    Warns
    -----
    FallbackWarning
        Once, where no compiled kernel can run, or none is for the dtype.

    See Also
    --------
    Conv2D : keeps the packed weights for many calls.

    Notes
    -----
    With algorithm "winograd" each output y of C channels differs from the exact value by no more
    than ``eps * (C + 28) * (282 * C * max|x| * max|w| + |bias| + |residual|)``, short of overflow:
    values in between are up to ``564 * C * max|x| * max|w|``.  On standard normal data errors are
    about twice those of "auto" (figures: docs/decisions/winograd.md; their kind: [2]_).  Sums of
    integers are not exact.  Outputs are computed in tiles of 4 x 4, and all that share a tile
    with one whose window holds a NaN or an infinity may be NaN.

    References
    ----------
    .. [1] A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
    .. [2] B. Barabasz, A. Anderson, K. M. Soodhalter, D. Gregg, "Error Analysis and Improving the
       Accuracy of Winograd Convolution for Deep Neural Networks", ACM TOMS 46(4), 2020.

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
    layer = kept(
        *checked(
            filters, bias, strides, padding, dilations, groups, data_format, activation, algorithm
        )
    )
    return layer.convolve(images, out, residual, threads)
