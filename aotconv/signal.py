"""Convolution of signals and arrays of any rank, with SciPy's names, arguments and results, and
without SciPy.

Each function takes what that of the same name in `scipy.signal` takes and gives what SciPy 1.17
gives: integers the same, which wrap, floats within rounding errors.  Sums of products are formed by
compiled kernels, of truth values, long doubles and objects by NumPy.  Transforms are SciPy's where
that is installed, else NumPy's; they go over large arrays section by section, so their memory is
bounded, and an infinity or a NaN reaches its section alone, where SciPy's reaches all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, SupportsIndex, TypeAlias

import numpy as np

from ._core import check, check_ndimage, check_signal, direct, polyphase, savitzky_golay, signals

if TYPE_CHECKING or np.__version__.startswith("1."):
    import numpy.typing  # NumPy 2 does when a hint is evaluated: import is spared a millisecond

__all__ = [
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "fftconvolve",
    "oaconvolve",
    "savgol_filter",
    "upfirdn",
]


def __dir__() -> list[str]:
    return __all__


Mode: TypeAlias = Literal["full", "valid", "same"]
Method: TypeAlias = Literal["auto", "direct", "fft"]
Boundary: TypeAlias = Literal["fill", "pad", "wrap", "circular", "symm", "symmetric", "reflect"]
Axes: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | None
Extension: TypeAlias = Literal[
    "constant",
    "wrap",
    "edge",
    "smooth",
    "symmetric",
    "reflect",
    "antisymmetric",
    "antireflect",
    "line",
]
EdgeMode: TypeAlias = Literal["interp", "mirror", "constant", "nearest", "wrap"]


def convolve(
    in1: np.typing.ArrayLike,
    in2: np.typing.ArrayLike,
    mode: Mode = "full",
    method: Method = "auto",
) -> np.typing.NDArray[Any]:
    """Convolve two arrays.

    ::

        out[i, j, ..] = sum over k, l, .. of in1[k, l, ..] * in2[i - k, j - l, ..]

    Parameters
    ----------
    in1, in2 : array_like
        Of as many axes, at most 31: truth values, numbers or, in arrays or lists, objects.
    mode : {"full", "valid", "same"}
        Whether results are all that an element of each array goes into, those to which nothing
        beyond either array's ends goes, or as many as `in1` has, from the middle.  With "valid" one
        array must be as large as the other along all axes.
    method : {"auto", "direct", "fft"}
        Sums of products, or Fourier transforms, whose integers are rounded; by default what takes
        less time for such shapes and dtypes, as measured on one machine, and has exact integers.

    Returns
    -------
    ndarray
        Of NumPy's common dtype of the arrays.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, arrays without elements, or such that do not fit together.

    Warns
    -----
    RuntimeWarning
        If transforms give what is not finite.

    See Also
    --------
    correlate : with the second array flipped and conjugated.
    fftconvolve : along some of the axes.
    aotconv.ndimage.convolve : results of the input's shape, with borders of all kinds.

    Examples
    --------
    >>> from aotconv import signal
    >>> signal.convolve([1, 2, 3], [0, 1, 10])
    array([ 0,  1, 12, 23, 30])
    """
    first, second = check_signal.operands(in1, in2)
    rule, how = check_signal.mode(mode), check_signal.method(method)
    if how == "fft":
        check_signal.are_transformed(first, second)
    if first.ndim == 0:
        return first * second
    check_signal.are_swapped(rule, first.shape, second.shape, range(first.ndim))
    check_signal.elements(first, second)
    return signals.convolve(first, second, rule, how)


def correlate(
    in1: np.typing.ArrayLike,
    in2: np.typing.ArrayLike,
    mode: Mode = "full",
    method: Method = "auto",
) -> np.typing.NDArray[Any]:
    """Correlate two arrays: `convolve` with the second one flipped along all axes and conjugated.

    Parameters
    ----------
    in1, in2, mode, method
        As of `convolve`.

    Returns
    -------
    ndarray
        Of NumPy's common dtype of the arrays.

    See Also
    --------
    convolve : has the errors.

    Examples
    --------
    >>> from aotconv import signal
    >>> signal.correlate([1, 2, 3], [0, 1, 10])
    array([10, 21, 32,  3,  0])
    """
    first, second = check_signal.operands(in1, in2)
    return convolve(first, direct.flipped(second).conj(), mode, method)


def convolve2d(
    in1: np.typing.ArrayLike,
    in2: np.typing.ArrayLike,
    mode: Mode = "full",
    boundary: Boundary = "fill",
    fillvalue: complex = 0,
) -> np.typing.NDArray[Any]:
    """Convolve two arrays of two axes, with something around the first one.

    Parameters
    ----------
    in1, in2, mode
        As of `convolve`.
    boundary : str
        "fill" (or "pad"), of `fillvalue`; "wrap" (or "circular"); "symm" (or "symmetric"), which
        repeats pixels at the edges; "reflect", which does not.
    fillvalue : number

    Returns
    -------
    ndarray
        Of NumPy's common dtype of the arrays.

    See Also
    --------
    convolve : has the errors.

    Examples
    --------
    >>> from aotconv import signal
    >>> signal.convolve2d([[1, 2], [3, 4]], [[1, 1]], mode="same", boundary="wrap")
    array([[3, 3],
           [7, 7]])
    """
    first, second = check_signal.images(in1, in2)
    return _convolved(first, second, check_signal.mode(mode), boundary, fillvalue)


def correlate2d(
    in1: np.typing.ArrayLike,
    in2: np.typing.ArrayLike,
    mode: Mode = "full",
    boundary: Boundary = "fill",
    fillvalue: complex = 0,
) -> np.typing.NDArray[Any]:
    """Correlate two arrays of two axes, with something around the first one.

    That is `convolve2d` with the second array flipped and conjugated; but with "same" the middle of
    an even number of rows or columns is the one before the middle.

    Parameters
    ----------
    in1, in2, mode, boundary, fillvalue
        As of `convolve2d`.

    Returns
    -------
    ndarray
        Of NumPy's common dtype of the arrays.

    See Also
    --------
    convolve : has the errors.

    Examples
    --------
    >>> from aotconv import signal
    >>> signal.correlate2d([[1, 2], [3, 4]], [[1, 10]], mode="valid")
    array([[21],
           [43]])
    """
    first, second = check_signal.images(in1, in2)
    rule = check_signal.mode(mode)
    rule = "same_lower" if rule == "same" else rule
    return _convolved(first, direct.flipped(second).conj(), rule, boundary, fillvalue)


def _convolved(first, second, rule, boundary, fillvalue) -> np.ndarray:
    """A convolution of two axes."""
    border = check_signal.boundary(boundary)
    swapped = check_signal.are_swapped(rule, first.shape, second.shape, range(2))
    first, second = (second, first) if swapped else (first, second)
    value = check_signal.fill("fillvalue", fillvalue, np.result_type(first, second))
    check_signal.elements(first, second)
    each = signals.outputs(rule, first.shape, second.shape)
    return direct.direct(first, second, each, border, value if border == "constant" else 0)


def fftconvolve(
    in1: np.typing.ArrayLike,
    in2: np.typing.ArrayLike,
    mode: Mode = "full",
    axes: Axes = None,
) -> np.typing.NDArray[Any]:
    """Convolve two arrays by Fourier transforms, along some axes.

    Parameters
    ----------
    in1, in2 : array_like
        Numbers or truth values, of as many axes.  They are broadcast along those that are not
        convolved.
    mode : {"full", "valid", "same"}
        As of `convolve`, along `axes`.
    axes : int or sequence of int, optional
        By default all.

    Returns
    -------
    ndarray
        Of NumPy's common dtype of the arrays and float32; of integers, float64; of the arrays' own
        where one of them has a single element along each of the axes.  With n the number
        of elements x of a section, and w those of the smaller array, errors are within
        ``10 * eps * log2(2 n) * ||x|| * ||w||``, in Euclidean norms.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or arrays that do not fit together.

    See Also
    --------
    convolve : along all axes, by sums of products where these are faster.

    Examples
    --------
    >>> from aotconv import signal
    >>> signal.fftconvolve([[1, 2], [3, 4]], [[1, 10]], axes=1).round()
    array([[ 1., 12., 20.],
           [ 3., 34., 40.]])
    """
    first, second = check_signal.operands(in1, in2)
    check_signal.are_transformed(first, second)
    rule = check_signal.mode(mode)
    if first.ndim == 0:
        return first * second
    every = check_signal.axes(axes, first.ndim)
    if first.size == 0 or second.size == 0:
        return np.empty(0)
    along = [i for i in every if first.shape[i] != 1 and second.shape[i] != 1]
    check_signal.broadcast(first.shape, second.shape, along)
    if check_signal.are_swapped(rule, first.shape, second.shape, along):
        first, second = second, first
    return signals.transform(first, second, rule, along)


def oaconvolve(
    in1: np.typing.ArrayLike,
    in2: np.typing.ArrayLike,
    mode: Mode = "full",
    axes: Axes = None,
) -> np.typing.NDArray[Any]:
    """Convolve two arrays by Fourier transforms, along some axes, section by section.

    So does `fftconvolve` here: they are the same.

    Parameters
    ----------
    in1, in2, mode, axes
        As of `fftconvolve`.

    Returns
    -------
    ndarray
        As of `fftconvolve`.

    See Also
    --------
    fftconvolve : has the errors.

    Examples
    --------
    >>> from aotconv import signal
    >>> signal.oaconvolve([1, 2, 3], [0, 1, 10]).round()
    array([ 0.,  1., 12., 23., 30.])
    """
    return fftconvolve(in1, in2, mode, axes)


def upfirdn(
    h: np.typing.ArrayLike,
    x: np.typing.ArrayLike,
    up: SupportsIndex = 1,
    down: SupportsIndex = 1,
    axis: SupportsIndex = -1,
    mode: Extension = "constant",
    cval: complex = 0,
) -> np.typing.NDArray[Any]:
    """Put zeros between samples, convolve them, and keep some.

    Parameters
    ----------
    h : array_like
        Weights, of one axis.
    x : array_like
        Samples along `axis`.
    up, down : int
        Each sample is followed by ``up - 1`` zeros; every `down`-th of the sums is kept.
    axis : int
    mode : str
        What is around the samples: "constant", of `cval`; "wrap", "edge", "symmetric" and "reflect"
        as `np.pad` has them; the last two with signs turned, "antisymmetric", or mirrored at the
        ends' values, "antireflect"; lines through the last two samples at each end, "smooth", or
        through the first and the last, "line".
    cval : number

    Returns
    -------
    ndarray
        Of NumPy's common dtype of the arrays and float32, with
        ``((x.shape[axis] - 1) * up + len(h) - 1) // down + 1`` samples along `axis`.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value.

    See Also
    --------
    aotconv.conv1d : of many channels, with strides.
    aotconv.conv1d_transpose : of many channels, with zeros between samples.

    Examples
    --------
    >>> from aotconv import signal
    >>> signal.upfirdn([1, 1, 1], [1, 2, 3], up=3)
    array([1., 1., 1., 2., 2., 2., 3., 3., 3.])
    """
    weights, samples = check_signal.line("h", h), check_signal.samples("x", x)
    check_signal.few_axes("x", samples)
    steps = check.integer("up", up, 1), check.integer("down", down, 1)
    place = check_ndimage.axis(axis, samples.ndim)
    extension = check_signal.extension(mode)
    dtype = np.result_type(weights, samples, np.float32)
    value = check_signal.fill("cval", cval, dtype)
    moved = samples.swapaxes(place, -1).astype(dtype, copy=False)
    weights = weights.astype(dtype, copy=False)
    result = polyphase.upfirdn(weights, moved, *steps, extension, value)
    return result.swapaxes(place, -1)


def savgol_filter(
    x: np.typing.ArrayLike,
    window_length: SupportsIndex,
    polyorder: SupportsIndex,
    deriv: SupportsIndex = 0,
    delta: SupportsFloat = 1.0,
    axis: SupportsIndex = -1,
    mode: EdgeMode = "interp",
    cval: SupportsFloat = 0.0,
) -> np.typing.NDArray[Any]:
    """Fit polynomials to samples in windows, and take their values, or derivatives, in the middle.

    Parameters
    ----------
    x : array_like
        Samples along `axis`: truth values or real numbers.
    window_length : int
        Of how many samples each polynomial is.
    polyorder : int
        Its order, less than `window_length`.
    deriv : int
        Of which derivative the values are.
    delta : float
        From a sample to the next, for derivatives.
    axis : int
    mode : {"interp", "mirror", "constant", "nearest", "wrap"}
        By default half a window at each end has the values of the polynomial of the last window;
        the others are modes of `ndimage.convolve1d`, with `cval`.
    cval : float

    Returns
    -------
    ndarray, shape of `x`
        float32 if `x` is, else float64.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or a window that is longer than the samples with "interp".

    See Also
    --------
    aotconv.ndimage.gaussian_filter1d : smooths by a Gaussian.

    Notes
    -----
    A. Savitzky, M. J. E. Golay, "Smoothing and Differentiation of Data by Simplified Least Squares
    Procedures", Analytical Chemistry 36 (8), 1964.

    Examples
    --------
    >>> from aotconv import signal
    >>> signal.savgol_filter([1, 4, 9, 16, 26], 5, 1).round(2)
    array([-1.2,  5. , 11.2, 17.4, 23.6])
    """
    samples = check_signal.real_samples("x", x)
    about = check_signal.polynomial(window_length, polyorder, deriv, delta)
    place, size = check_ndimage.axis(axis, samples.ndim), about[0]
    edges = check.one_of("mode", mode, check_signal.EDGES)
    if edges == "interp" and size > samples.shape[place]:
        raise ValueError(
            "window_length must be less than or equal to the size of x along axis, "
            f"{samples.shape[place]}, with mode 'interp', got {size}"
        )
    return savitzky_golay.smooth(samples, *about, axis=place, mode=edges, value=cval)
