"""The doors of functions of arrays: `activate`, `erf` and `softmax`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, TypeAlias

import numpy as np

from ._core import check
from ._core.elementwise import evaluate
from ._core.softmax import softmax as _softmax

if TYPE_CHECKING or np.__version__.startswith("1."):
    import numpy.typing  # NumPy 2 does when a hint is evaluated: import is spared a millisecond

Activation: TypeAlias = (
    Literal[
        "relu",
        "relu6",
        "leaky_relu",
        "hard_sigmoid",
        "hard_swish",
        "sigmoid",
        "tanh",
        "silu",
        "gelu",
        "gelu_tanh",
    ]
    | tuple[Literal["leaky_relu"], float]
)


def activate(
    array: np.typing.ArrayLike,
    activation: Activation | None,
    out: np.typing.NDArray[Any] | None = None,
    threads: int | None = None,
) -> np.typing.NDArray[Any]:
    """Apply an activation to each element of an array.

    To the bit what ``activation=`` of a convolution does to its sums.

    Parameters
    ----------
    array : array_like
        Real numbers, of any shape and layout.
    activation : str, ("leaky_relu", float) or None
        With x an element of `array`:

        - None: x
        - "relu": max(x, 0); "relu6": min(max(x, 0), 6)
        - "leaky_relu": x, where it is negative x * slope; by itself the slope is 0.01
        - "hard_sigmoid": min(max(x / 6 + 1/2, 0), 1); "hard_swish": x times that
        - "sigmoid": 1 / (1 + exp(-x)); "silu": x times that
        - "tanh"
        - "gelu": x (1 + erf(x / sqrt(2))) / 2
        - "gelu_tanh": x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
    out : ndarray, optional
        Where the result is written, of any strides; may be `array`, or overlap it.
    threads : int, optional
        As in `conv2d`.

    Returns
    -------
    ndarray
        `out` if it was given.  Of the dtype of `array`; of integers, but for None, "relu" and
        "relu6", of that of ``np.exp(array)``.

    Raises
    ------
    TypeError
        For complex numbers, or an `out` of another dtype.
    ValueError
        For an unknown activation, or an `out` of another shape, or read-only.

    Notes
    -----
    "sigmoid" and "tanh" are within 4 units in the last place, of float32 and float64, denormal
    numbers included; "silu", "gelu" and "gelu_tanh" within ``2 eps |x|``.  float16 and bfloat16 are
    computed in float32.  NaN stays NaN; at minus infinity "silu", "gelu", "gelu_tanh" and
    "hard_swish" are NaN, infinity times 0.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> aotconv.activate(np.array([-2.0, 0.5]), ("leaky_relu", 0.25))
    array([-0.5,  0.5])
    """
    return evaluate(array, check.activation(activation), out, threads)


def erf(
    array: np.typing.ArrayLike,
    out: np.typing.NDArray[Any] | None = None,
    threads: int | None = None,
) -> np.typing.NDArray[Any]:
    """The error function of each element of an array.

    Parameters
    ----------
    array, out, threads
        As in `activate`.

    Returns
    -------
    ndarray
        `out` if it was given.  Of the dtype of ``np.exp(array)``.

    Raises
    ------
    TypeError, ValueError
        As `activate` does.

    Notes
    -----
    Within 4 units in the last place, of float32 and float64.  By polynomials: one of x^2 below 1,
    and 1 - exp(-q), with a polynomial q, from there on.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> aotconv.erf(np.array([-np.inf, 0.0, 0.5])).round(6)
    array([-1.    ,  0.    ,  0.5205])
    """
    return evaluate(array, "erf", out, threads)


def softmax(
    array: np.typing.ArrayLike,
    axis: SupportsIndex = -1,
    out: np.typing.NDArray[Any] | None = None,
    threads: int | None = None,
) -> np.typing.NDArray[Any]:
    """Exponentials of the elements along an axis, divided by their sum.

    ``e / e.sum(axis)`` of ``e = exp(array - array.max(axis))``.

    Parameters
    ----------
    array, out, threads
        As in `activate`.
    axis : int

    Returns
    -------
    ndarray
        `out` if it was given.  Of the dtype of ``np.exp(array)``.

    Raises
    ------
    TypeError, ValueError
        As `activate` does, and for an axis that `array` does not have.

    Notes
    -----
    The order of a sum follows from the number of its elements alone, so results do not depend on
    layouts or threads, nor on other elements.  Along an axis with NaN or an infinite maximum all
    is NaN, as NumPy gives it.  float16 and bfloat16 are computed in float32.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> aotconv.softmax(np.log([[1.0, 3.0], [2.0, 2.0]])).round(6)
    array([[0.25, 0.75],
           [0.5 , 0.5 ]])
    """
    return _softmax(array, axis, out, threads)
