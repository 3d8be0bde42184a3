"""Filters of arrays of any rank, with SciPy's names, arguments and results, and without SciPy.

Each function takes what that of the same name in `scipy.ndimage` takes, by position, too, and gives
what SciPy 1.17 gives: integers the same, floats within rounding errors.  Beside that

- an `output` that is the input, or overlaps it, is as good as any other for all of them;
- float16 and bfloat16 are taken, and `correlate` and `convolve` take a mode for each axis;
- keywords that SciPy does not have say how sums are formed, and which elements are missing:

`nan_policy` and `mask`
    Missing elements are NaN, with "omit", and those where `mask` is True, as in `numpy.ma`.  Such
    have no weight, and the others more: with the weights w(k) of a window, of several axes their
    products, and elements x(k) of which v(k) is 0 if they are missing and else 1, a result is ::

        sum(w(k) v(k) x(k)) * sum(w(k)) / sum(w(k) v(k))

    over all k: the sum of the weights is kept, as in astropy's ``convolve`` with "interpolate" and
    without normalising.  Where no element has weight it is NaN, or 0 if results are integers.
    Beyond the array's ends an element is missing where the one is that it repeats, or if `cval` is
    NaN.  Weights whose sum is 0, as derivatives have, are refused where an element is missing.
    Results whose windows miss nothing are those of an array of which nothing is missing.
`saturate`
    SciPy's integers are truncated after each axis, and wrap.  With True they are rounded once, to
    the nearest, of two the even one, and clipped.
`dtype`
    What sums are formed in: float32, or float64, as SciPy does.  By default float32 where elements
    are float16, bfloat16 or float32, and those of the result no wider, or bytes under `saturate`.
`algorithm`
    "auto"; or, of filters of one window of weights, "fft": Fourier transforms of sections, on one
    thread, by SciPy where it is installed, else by NumPy.  Their time hardly depends on the
    window's size.  Errors are within ``10 * eps * log2(2 n) * ||x|| * ||w||``, in Euclidean norms
    of the n elements x of a section, 262,144 at most or some windows', and of the weights w; a NaN
    or an infinity reaches the whole section.  Integers are the exact sums: where rounding could
    miss those, or elements are missing, a ValueError says so.  "fastest" is either, by sizes and
    dtypes: what took less time on one machine.
`threads`
    As in `aotconv.conv2d`.

Arguments that SciPy answers with a RuntimeError raise an error that is a ValueError, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, SupportsIndex, TypeAlias

import numpy as np

from ._core import steps
from ._core.filter_call import FilterFunction
from ._core.filters import combined

if TYPE_CHECKING or np.__version__.startswith("1."):
    import numpy.typing  # NumPy 2 does when a hint is evaluated: import is spared a millisecond

__all__ = [
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "correlate_separable",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
    "generic_gradient_magnitude",
    "generic_laplace",
    "laplace",
    "prewitt",
    "sobel",
    "uniform_filter",
    "uniform_filter1d",
]


def __dir__() -> list[str]:
    return __all__


Mode: TypeAlias = Literal[
    "reflect", "grid-mirror", "mirror", "nearest", "wrap", "grid-wrap", "constant", "grid-constant"
]
Modes: TypeAlias = Mode | Sequence[Mode]
Axes: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | None
Origins: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
Output: TypeAlias = "np.typing.NDArray[Any] | np.typing.DTypeLike | None"
NanPolicy: TypeAlias = Literal["propagate", "omit"]
Algorithm: TypeAlias = Literal["auto", "fft", "fastest"]
Sums: TypeAlias = "np.typing.DTypeLike | None"

_CORRELATE = FilterFunction(steps.window)
_CONVOLVE = FilterFunction(partial(steps.window, flipped=True))
_CORRELATE1D = FilterFunction(steps.line)
_CONVOLVE1D = FilterFunction(partial(steps.line, flipped=True))
_CORRELATE_SEPARABLE = FilterFunction(steps.lines)
_UNIFORM_FILTER = FilterFunction(steps.means)
_UNIFORM_FILTER1D = FilterFunction(steps.mean)
_GAUSSIAN_FILTER = FilterFunction(steps.gaussians)
_GAUSSIAN_FILTER1D = FilterFunction(steps.gaussian)
_SOBEL = FilterFunction(partial(steps.difference, (1, 2, 1)))
_PREWITT = FilterFunction(partial(steps.difference, (1, 1, 1)))
_LAPLACE = FilterFunction(steps.second_differences, joined=steps.laplacian)
_GAUSSIAN_LAPLACE = FilterFunction(partial(steps.gaussian_derivatives, 2))
_GAUSSIAN_GRADIENT_MAGNITUDE = FilterFunction(
    partial(steps.gaussian_derivatives, 1), is_magnitude=True
)


def correlate(
    input: np.typing.ArrayLike,
    weights: np.typing.ArrayLike,
    output: Output = None,
    mode: Modes = "reflect",
    cval: complex = 0.0,
    origin: Origins = 0,
    *,
    axes: Axes = None,
    nan_policy: NanPolicy = "propagate",
    mask: np.typing.ArrayLike | None = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]:
    """Correlate an array with weights along several axes at once.

    ::

        out[i, j, ..] = sum over k, l, .. of
            weights[k, l, ..] * input[i + k - K // 2 - origin, j + l - L // 2 - origin, ..]

    where (K, L, ..) is the weights' shape, and complex weights are conjugated.  Weights of at most
    ``2.2e-16`` are left out, so that a NaN under such a one is not seen.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    weights : array_like
        Integers, floats or complex numbers, with an axis for each of `axes`, in the order of the
        input's.
    output : ndarray or dtype, optional
        Where the result is written: an array of the input's shape, which may be the input; or the
        result's dtype.  By default that of `input`; complex where `input` or weights are.
    mode : str or sequence of str
        As in `correlate1d`; one for all axes, or one for each of `axes`.
    cval : number
        The value beyond the ends with the mode "constant".
    origin : int or sequence of int
        As in `correlate1d`; one for all axes, or one for each of `axes`.
    axes : int or sequence of int, optional
        The axes that are filtered; by default all.
    nan_policy : {"propagate", "omit"}
        With "omit" NaN has no weight, and other elements more.
    mask : array_like of bool, optional
        Where it is True elements have no weight, and others more.
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    convolve : with the weights flipped.
    correlate1d : along one axis; says more of each argument.
    correlate_separable : along one axis after the other.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.correlate(np.arange(6).reshape(2, 3), [[1, 1], [1, 1]])
    array([[ 0,  2,  6],
           [ 6,  8, 12]])
    """
    asked = cval, saturate, dtype, algorithm, threads, nan_policy
    return _CORRELATE(input, output, (weights, axes, mode, origin), asked, mask)


def convolve(
    input: np.typing.ArrayLike,
    weights: np.typing.ArrayLike,
    output: Output = None,
    mode: Modes = "reflect",
    cval: complex = 0.0,
    origin: Origins = 0,
    *,
    axes: Axes = None,
    nan_policy: NanPolicy = "propagate",
    mask: np.typing.ArrayLike | None = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]:
    """Convolve an array with weights along several axes at once.

    That is `correlate` with the weights, which are not conjugated, and their centre flipped along
    all axes; `origin` counts the other way.

    Parameters
    ----------
    input, weights, output, mode, cval, origin, axes
        As in `correlate`.
    nan_policy : {"propagate", "omit"}
        With "omit" NaN has no weight, and other elements more.
    mask : array_like of bool, optional
        Where it is True elements have no weight, and others more.
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    See Also
    --------
    correlate : with the weights as they are; has the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.convolve(np.array([0, 0, 1, 0, 0]), [1, 2, 3])
    array([0, 1, 2, 3, 0])
    """
    asked = cval, saturate, dtype, algorithm, threads, nan_policy
    return _CONVOLVE(input, output, (weights, axes, mode, origin), asked, mask)


def correlate1d(
    input: np.typing.ArrayLike,
    weights: np.typing.ArrayLike,
    axis: SupportsIndex = -1,
    output: Output = None,
    mode: Mode = "reflect",
    cval: complex = 0.0,
    origin: SupportsIndex = 0,
    *,
    nan_policy: NanPolicy = "propagate",
    mask: np.typing.ArrayLike | None = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]:
    """Correlate an array with weights along one axis.

    ::

        out[i] = sum over k of weights[k] * input[i + k - K // 2 - origin]

    of each line of K or more elements, or fewer; complex weights are conjugated.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    weights : array_like, one axis
        Integers, floats or complex numbers.
    axis : int
        The axis that is filtered.
    output : ndarray or dtype, optional
        Where the result is written: an array of the input's shape, which may be the input; or the
        result's dtype.  By default that of `input`; complex where `input` or weights are.
    mode : str
        What is beyond the array's ends: "reflect" (``dcba|abcd|dcba``), "mirror"
        (``dcb|abcd|cba``), "nearest" (``aaaa|abcd|dddd``), "wrap" (``abcd|abcd|abcd``) or
        "constant" (``kkkk|abcd|kkkk``); "grid-mirror", "grid-wrap" and "grid-constant" mean the
        same as "reflect", "wrap" and "constant".
    cval : number
        The value beyond the ends with the mode "constant".
    origin : int
        How far the window is shifted to lower indices from where its centre, element ``size // 2``,
        lies on the result's element; at most by half of it.
    nan_policy : {"propagate", "omit"}
        With "omit" NaN has no weight, and other elements more.
    mask : array_like of bool, optional
        Where it is True elements have no weight, and others more.
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    convolve1d : with the weights flipped.
    correlate_separable : along one axis after the other.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.correlate1d([2, 8, 0, 4, 1, 9, 9, 0], weights=[1, 3])
    array([ 8, 26,  8, 12,  7, 28, 36,  9])
    >>> ndimage.correlate1d([1, np.nan, 5.0], [0.25, 0.5, 0.25], nan_policy="omit")
    array([1., 3., 5.])
    """
    asked = cval, saturate, dtype, algorithm, threads, nan_policy
    return _CORRELATE1D(input, output, (weights, axis, mode, origin), asked, mask)


def convolve1d(
    input: np.typing.ArrayLike,
    weights: np.typing.ArrayLike,
    axis: SupportsIndex = -1,
    output: Output = None,
    mode: Mode = "reflect",
    cval: complex = 0.0,
    origin: SupportsIndex = 0,
    *,
    nan_policy: NanPolicy = "propagate",
    mask: np.typing.ArrayLike | None = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]:
    """Convolve an array with weights along one axis.

    That is `correlate1d` with the weights, which are not conjugated, and their centre flipped;
    `origin` counts the other way.

    Parameters
    ----------
    input, weights, axis, output, mode, cval, origin
        As in `correlate1d`.
    nan_policy : {"propagate", "omit"}
        With "omit" NaN has no weight, and other elements more.
    mask : array_like of bool, optional
        Where it is True elements have no weight, and others more.
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    See Also
    --------
    correlate1d : with the weights as they are; has the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.convolve1d([2, 8, 0, 4, 1, 9, 9, 0], weights=[1, 3])
    array([14, 24,  4, 13, 12, 36, 27,  0])
    """
    asked = cval, saturate, dtype, algorithm, threads, nan_policy
    return _CONVOLVE1D(input, output, (weights, axis, mode, origin), asked, mask)


def correlate_separable(
    input: np.typing.ArrayLike,
    kernels: Sequence[np.typing.ArrayLike],
    axes: Axes = None,
    output: Output = None,
    mode: Modes = "reflect",
    cval: complex = 0.0,
    origin: Origins = 0,
    *,
    nan_policy: NanPolicy = "propagate",
    mask: np.typing.ArrayLike | None = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]:
    """Correlate an array with weights along one axis after the other.

    That is `correlate1d` along each of `axes` in their order, of what the last one gave.  SciPy has
    no function of that name.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    kernels : sequence of array_like
        Weights for each of `axes`.
    axes : int or sequence of int, optional
        The axes that are filtered; by default all.
    output : ndarray or dtype, optional
        Where the result is written: an array of the input's shape, which may be the input; or the
        result's dtype.  By default that of `input`; complex where `input` or weights are.
    mode : str or sequence of str
        As in `correlate1d`; one for all axes, or one for each of `axes`.
    cval : number
        The value beyond the ends with the mode "constant".
    origin : int or sequence of int
        As in `correlate1d`; one for all axes, or one for each of `axes`.
    nan_policy : {"propagate", "omit"}
        With "omit" NaN has no weight, and other elements more.
    mask : array_like of bool, optional
        Where it is True elements have no weight, and others more.
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    correlate : along several axes at once.
    correlate1d : along one; says more of each argument.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.correlate_separable(np.arange(6.0).reshape(2, 3), [[0.5, 0.5], [1, 0, -1]])
    array([[-1., -2., -1.],
           [-1., -2., -1.]])
    """
    asked = cval, saturate, dtype, algorithm, threads, nan_policy
    return _CORRELATE_SEPARABLE(input, output, (kernels, axes, mode, origin), asked, mask)


def uniform_filter(
    input: np.typing.ArrayLike,
    size: SupportsFloat | Sequence[SupportsFloat] = 3,
    output: Output = None,
    mode: Modes = "reflect",
    cval: complex = 0.0,
    origin: Origins = 0,
    *,
    axes: Axes = None,
    nan_policy: NanPolicy = "propagate",
    mask: np.typing.ArrayLike | None = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]:
    """Take the mean of a box of elements, along one axis after the other.

    That is `uniform_filter1d` along each of `axes`, of what the last one gave.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    size : int or sequence of int
        How many elements along all axes, or along each of `axes`; of 1 an axis is left out.
    output : ndarray or dtype, optional
        Where the result is written: an array of the input's shape, which may be the input; or the
        result's dtype.  By default that of `input`; complex where `input` or weights are.
    mode : str or sequence of str
        As in `correlate1d`; one for all axes, or one for each of `axes`.
    cval : number
        The value beyond the ends with the mode "constant".
    origin : int or sequence of int
        As in `correlate1d`; one for all axes, or one for each of `axes`.
    axes : int or sequence of int, optional
        The axes that are filtered; by default all.
    nan_policy : {"propagate", "omit"}
        With "omit" NaN has no weight, and other elements more.
    mask : array_like of bool, optional
        Where it is True elements have no weight, and others more.
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    uniform_filter1d : along one axis.
    correlate1d : says more of each argument.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.uniform_filter(np.eye(3), 3).round(2)
    array([[0.56, 0.33, 0.11],
           [0.33, 0.33, 0.33],
           [0.11, 0.33, 0.56]])
    """
    asked = cval, saturate, dtype, algorithm, threads, nan_policy
    return _UNIFORM_FILTER(input, output, (size, axes, mode, origin), asked, mask)


def uniform_filter1d(
    input: np.typing.ArrayLike,
    size: SupportsIndex,
    axis: SupportsIndex = -1,
    output: Output = None,
    mode: Mode = "reflect",
    cval: complex = 0.0,
    origin: SupportsIndex = 0,
    *,
    nan_policy: NanPolicy = "propagate",
    mask: np.typing.ArrayLike | None = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]:
    """Take the mean of some neighbouring elements along one axis.

    Integers are truncated as SciPy's means of them.  Floats are summed in each window anew, by sums
    of two neighbours, of four, and so on, and then divided: a NaN reaches the windows that it is in
    and no other, and no element takes part in more than ``2 * log2(size)`` additions.  With
    ``dtype=np.float64`` they are added one after the other.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    size : int
        How many elements, at least 1.
    axis, output, mode, cval, origin
        As in `correlate1d`.
    nan_policy : {"propagate", "omit"}
        With "omit" NaN has no weight, and other elements more.
    mask : array_like of bool, optional
        Where it is True elements have no weight, and others more.
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    uniform_filter : along several axes.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.uniform_filter1d([2, 8, 0, 4, 1, 9, 9, 0], size=3)
    array([4, 3, 4, 1, 4, 6, 6, 3])
    """
    asked = cval, saturate, dtype, algorithm, threads, nan_policy
    return _UNIFORM_FILTER1D(input, output, (size, axis, mode, origin), asked, mask)


def gaussian_filter(
    input: np.typing.ArrayLike,
    sigma: SupportsFloat | Sequence[SupportsFloat],
    order: Origins = 0,
    output: Output = None,
    mode: Modes = "reflect",
    cval: complex = 0.0,
    truncate: SupportsFloat = 4.0,
    *,
    radius: SupportsIndex | Sequence[SupportsIndex] | None = None,
    axes: Axes = None,
    nan_policy: NanPolicy = "propagate",
    mask: np.typing.ArrayLike | None = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]:
    """Smooth an array by a Gaussian, or take derivatives of what is smoothed, along several axes.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    sigma : float or sequence of float
        The standard deviation along all axes, or along each of `axes`; of 0 an axis is left
        out.
    order, radius : int or sequence of int
        As in `gaussian_filter1d`; one for all axes, or one for each of `axes`.
    output : ndarray or dtype, optional
        Where the result is written: an array of the input's shape, which may be the input; or the
        result's dtype.  By default that of `input`; complex where `input` or weights are.
    mode : str or sequence of str
        As in `correlate1d`; one for all axes, or one for each of `axes`.
    cval : number
        The value beyond the ends with the mode "constant".
    truncate : float
        As in `gaussian_filter1d`.
    axes : int or sequence of int, optional
        The axes that are filtered; by default all.
    nan_policy : {"propagate", "omit"}
        With "omit" NaN has no weight, and other elements more.
    mask : array_like of bool, optional
        Where it is True elements have no weight, and others more.
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    gaussian_filter1d : along one axis.
    correlate1d : says more of each argument.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.gaussian_filter(np.eye(3), 0.5).round(2)
    array([[0.81, 0.18, 0.01],
           [0.18, 0.64, 0.18],
           [0.01, 0.18, 0.81]])
    """
    asked = cval, saturate, dtype, algorithm, threads, nan_policy
    about = sigma, order, mode, truncate, radius, axes
    return _GAUSSIAN_FILTER(input, output, about, asked, mask)


def gaussian_filter1d(
    input: np.typing.ArrayLike,
    sigma: SupportsFloat,
    axis: SupportsIndex = -1,
    order: SupportsIndex = 0,
    output: Output = None,
    mode: Mode = "reflect",
    cval: complex = 0.0,
    truncate: SupportsFloat = 4.0,
    *,
    radius: SupportsIndex | None = None,
    nan_policy: NanPolicy = "propagate",
    mask: np.typing.ArrayLike | None = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]:
    """Smooth an array by a Gaussian along one axis, or take a derivative of what is smoothed.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    sigma : float
        The standard deviation, in elements, more than 0.
    axis : int
        The axis that is filtered.
    order : int
        0 smooths; of more the derivative of that order.
    output, mode, cval
        As in `correlate1d`.
    truncate : float
        How many standard deviations the window reaches on each side.
    radius : int, optional
        How many elements it does, whatever `truncate` is.
    nan_policy : {"propagate", "omit"}
        With "omit" NaN has no weight, and other elements more.
    mask : array_like of bool, optional
        Where it is True elements have no weight, and others more.
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    gaussian_filter : along several axes.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.gaussian_filter1d([1.0, 2.0, 3.0, 4.0, 5.0], 1).round(2)
    array([1.43, 2.07, 3.  , 3.93, 4.57])
    """
    asked = cval, saturate, dtype, algorithm, threads, nan_policy
    about = sigma, axis, order, mode, truncate, radius
    return _GAUSSIAN_FILTER1D(input, output, about, asked, mask)


def sobel(
    input: np.typing.ArrayLike,
    axis: SupportsIndex = -1,
    output: Output = None,
    mode: Modes = "reflect",
    cval: complex = 0.0,
    *,
    axes: Axes = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]:
    """Take the difference of an array's elements along an axis as a Sobel filter does.

    That is `correlate1d` with [-1, 0, 1] along `axis`, and then with [1, 2, 1] along each
    other one of `axes`.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    axis : int
        The axis along which the difference is taken, one of `axes`.
    output : ndarray or dtype, optional
        Where the result is written: an array of the input's shape, which may be the input; or the
        result's dtype.  By default that of `input`; complex where `input` or weights are.
    mode : str or sequence of str
        As in `correlate1d`; one for all axes, or one for each of `axes`.
    cval : number
        The value beyond the ends with the mode "constant".
    axes : int or sequence of int, optional
        The axes that are filtered; by default all.  Of photos (H, W, 3) the first two: (0, 1).
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    prewitt : with other weights.
    correlate1d : says more of each argument.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.sobel(np.arange(9.0).reshape(3, 3))
    array([[4., 8., 4.],
           [4., 8., 4.],
           [4., 8., 4.]])
    """
    asked = cval, saturate, dtype, algorithm, threads
    return _SOBEL(input, output, (axis, axes, mode), asked)


def prewitt(
    input: np.typing.ArrayLike,
    axis: SupportsIndex = -1,
    output: Output = None,
    mode: Modes = "reflect",
    cval: complex = 0.0,
    *,
    axes: Axes = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]:
    """Take the difference of an array's elements along an axis as a Prewitt filter does.

    That is `correlate1d` with [-1, 0, 1] along `axis`, and then with [1, 1, 1] along each
    other one of `axes`.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    axis : int
        The axis along which the difference is taken, one of `axes`.
    output : ndarray or dtype, optional
        Where the result is written: an array of the input's shape, which may be the input; or the
        result's dtype.  By default that of `input`; complex where `input` or weights are.
    mode : str or sequence of str
        As in `correlate1d`; one for all axes, or one for each of `axes`.
    cval : number
        The value beyond the ends with the mode "constant".
    axes : int or sequence of int, optional
        The axes that are filtered; by default all.  Of photos (H, W, 3) the first two: (0, 1).
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    sobel : with other weights.
    correlate1d : says more of each argument.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.prewitt(np.arange(9.0).reshape(3, 3))
    array([[3., 6., 3.],
           [3., 6., 3.],
           [3., 6., 3.]])
    """
    asked = cval, saturate, dtype, algorithm, threads
    return _PREWITT(input, output, (axis, axes, mode), asked)


def laplace(
    input: np.typing.ArrayLike,
    output: Output = None,
    mode: Modes = "reflect",
    cval: complex = 0.0,
    *,
    axes: Axes = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
) -> np.typing.NDArray[Any]:
    """Take the Laplacian of an array by second differences.

    That is the sum of `correlate1d` with [1, -2, 1] along each of `axes`.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    output, cval
        As in `correlate1d`.
    mode : str or sequence of str
        As in `correlate1d`; one for all axes, or one for each of `axes`.
    axes : int or sequence of int, optional
        The axes that are filtered; by default all.
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    gaussian_laplace : of a smoothed array.
    generic_laplace : by any second derivatives.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.laplace(np.array([0.0, 0.0, 1.0, 0.0, 0.0]))
    array([ 0.,  1., -2.,  1.,  0.])
    """
    asked = cval, saturate, dtype, algorithm, threads
    return _LAPLACE(input, output, (axes, mode), asked)


def gaussian_laplace(
    input: np.typing.ArrayLike,
    sigma: SupportsFloat | Sequence[SupportsFloat],
    output: Output = None,
    mode: Modes = "reflect",
    cval: complex = 0.0,
    *,
    axes: Axes = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
    **kwargs: Any,
) -> np.typing.NDArray[Any]:
    """Take the Laplacian of an array that is smoothed by a Gaussian.

    That is the sum, for each of `axes`, of `gaussian_filter` of order 2 along it, and of 0 along
    the others.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    sigma : float or sequence of float
        As in `gaussian_filter`.
    output, cval
        As in `correlate1d`.
    mode : str or sequence of str
        As in `correlate1d`; one for all axes, or one for each of `axes`.
    axes : int or sequence of int, optional
        The axes that are filtered; by default all.
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.
    **kwargs
        What else `gaussian_filter` is given: `truncate` or `radius`.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    laplace : without smoothing.
    gaussian_filter : says more of each argument.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.gaussian_laplace(np.array([0.0, 0.0, 1.0, 0.0, 0.0]), 1).round(2)
    array([ 0.2,  0. , -0.4,  0. ,  0.2])
    """
    asked = cval, saturate, dtype, algorithm, threads
    about = sigma, axes, axes, mode, tuple(kwargs.items())
    return _GAUSSIAN_LAPLACE(input, output, about, asked)


def gaussian_gradient_magnitude(
    input: np.typing.ArrayLike,
    sigma: SupportsFloat | Sequence[SupportsFloat],
    output: Output = None,
    mode: Modes = "reflect",
    cval: complex = 0.0,
    *,
    axes: Axes = None,
    saturate: bool = False,
    dtype: Sums = None,
    algorithm: Algorithm = "auto",
    threads: SupportsIndex | None = None,
    **kwargs: Any,
) -> np.typing.NDArray[Any]:
    """Take the magnitude of the gradient of an array that is smoothed by a Gaussian.

    That is the root of the sum of squares, for each of `axes`, of `gaussian_filter` of order 1
    along it, and of 0 along all other axes of the array: these are smoothed whatever `axes` are, as
    SciPy does it.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    sigma : float or sequence of float
        The standard deviation along all axes of the array, or along each.
    output, cval
        As in `correlate1d`.
    mode : str or sequence of str
        As in `correlate1d`; one for all axes, or one for each of `axes`.
    axes : int or sequence of int, optional
        The axes that are filtered; by default all.
    saturate : bool
        Whether results that are integers are rounded and clipped, instead of truncated after each
        axis and wrapped.
    dtype, algorithm, threads
        As the text of `aotconv.ndimage` says, which tells more of the others, too.
    **kwargs
        What else `gaussian_filter` is given: `truncate` or `radius`.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    generic_gradient_magnitude : by any derivatives.
    gaussian_filter : says more of each argument.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.gaussian_gradient_magnitude(np.arange(5.0), 1).round(2)
    array([0.36, 0.85, 0.97, 0.85, 0.36])
    """
    asked = cval, saturate, dtype, algorithm, threads
    about = sigma, axes, None, mode, tuple(kwargs.items())
    return _GAUSSIAN_GRADIENT_MAGNITUDE(input, output, about, asked)


def generic_laplace(
    input: np.typing.ArrayLike,
    derivative2: Callable[..., np.typing.NDArray[Any]],
    output: Output = None,
    mode: Modes = "reflect",
    cval: complex = 0.0,
    extra_arguments: Sequence[Any] = (),
    extra_keywords: Mapping[str, Any] | None = None,
    *,
    axes: Axes = None,
) -> np.typing.NDArray[Any]:
    """Add what a function, such as a second derivative, gives of an array along each axis.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    derivative2 : callable
        Called with ``(input, axis, output, mode, cval, *extra_arguments, **extra_keywords)``, where
        `output` is an array to write into, or the dtype of a new one, which is returned.
    output, cval
        As in `correlate1d`.
    mode : str or sequence of str
        One for all axes, or one for each of `axes`; the function is given one.
    extra_arguments : sequence
        What else the function is given by position.
    extra_keywords : dict, optional
        What it is given by name.
    axes : int or sequence of int, optional
        The axes that are filtered; by default all.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    laplace, gaussian_laplace : of certain functions.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> array = np.array([0.0, 0.0, 1.0, 0.0, 0.0])
    >>> def second(input, axis, output, mode, cval):
    ...     weights = [1, -2, 1]
    ...     return ndimage.correlate1d(input, weights, axis, output, mode, cval)
    >>> ndimage.generic_laplace(array, second)
    array([ 0.,  1., -2.,  1.,  0.])
    """
    given = cval, extra_arguments, extra_keywords
    return combined(input, derivative2, output, mode, axes, given, False)


def generic_gradient_magnitude(
    input: np.typing.ArrayLike,
    derivative: Callable[..., np.typing.NDArray[Any]],
    output: Output = None,
    mode: Modes = "reflect",
    cval: complex = 0.0,
    extra_arguments: Sequence[Any] = (),
    extra_keywords: Mapping[str, Any] | None = None,
    *,
    axes: Axes = None,
) -> np.typing.NDArray[Any]:
    """Take the root of the sum of squares of what a function gives along each axis.

    Parameters
    ----------
    input : array_like
        Truth values, integers, floats of at most 64 bits, or complex numbers of these.
    derivative : callable
        As `derivative2` of `generic_laplace`.
    output, cval
        As in `correlate1d`.
    mode : str or sequence of str
        One for all axes, or one for each of `axes`; the function is given one.
    extra_arguments : sequence
        What else the function is given by position.
    extra_keywords : dict, optional
        What it is given by name.
    axes : int or sequence of int, optional
        The axes that are filtered; by default all.

    Returns
    -------
    ndarray, shape of `input`
        `output` if that is an array.

    Raises
    ------
    TypeError
        An argument of the wrong type.
    ValueError
        One of a wrong value, or sizes that do not fit together.  Nothing has been written into
        `output` then.

    See Also
    --------
    gaussian_gradient_magnitude : of certain functions.

    Examples
    --------
    >>> import numpy as np
    >>> from aotconv import ndimage
    >>> ndimage.generic_gradient_magnitude(np.arange(4.0), ndimage.sobel)
    array([1., 2., 2., 1.])
    """
    given = cval, extra_arguments, extra_keywords
    return combined(input, derivative, output, mode, axes, given, True)
