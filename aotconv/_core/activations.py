"""What activations, exp and erf mean to arrays: by NumPy's own functions, but erf by the
polynomials of the kernels."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, pi, sqrt

import numpy as np

from .._plan.activations import LIMITS, Activation, named
from .._plan.elements import HALVES, name_of
from .._plan.functions import FITS, TAIL


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + x.dtype.type(coefficient)
    return total


def erf(x: np.ndarray) -> np.ndarray:
    """erf of float32 or float64, as `_kernels.functions` computes it, but for fma and exp; of
    others in float64."""
    if x.dtype.name not in FITS:
        return erf(x.astype(np.float64)).astype(x.dtype)
    fits, size = FITS[x.dtype.name], np.abs(x)
    near = size * _polynomial(fits.erf, size * size)
    beyond = np.minimum(size, x.dtype.type(fits.erf_one)) - x.dtype.type(TAIL)
    far = 1 - np.exp(-_polynomial(fits.tail, beyond))
    return np.copysign(np.where(size < 1, near, far), x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, x.dtype.type(1)) / (1 + e)


def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.clip(x / 6 + 0.5, 0, 1)


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + erf(x * sqrt(0.5)))


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(2 * sqrt(2 / pi) * x * (0.044715 * x * x + 1))


# Of float arrays and a slope.
MEANINGS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "leaky_relu": lambda x, slope: np.where(x < 0, x * x.dtype.type(slope), x),
    "hard_sigmoid": lambda x, _: hard_sigmoid(x),
    "hard_swish": lambda x, _: x * hard_sigmoid(x),
    "sigmoid": lambda x, _: sigmoid(x),
    "tanh": lambda x, _: np.tanh(x),
    "silu": lambda x, _: x * sigmoid(x),
    "gelu": lambda x, _: gelu(x),
    "gelu_tanh": lambda x, _: gelu_tanh(x),
    "exp": lambda x, _: np.exp(x),
    "erf": lambda x, _: erf(x),
}


def activate(array: np.ndarray, activation: Activation) -> np.ndarray:
    """Apply an activation in place; to halves in float32."""
    name, slope = named(activation)
    if name in LIMITS:
        lower, upper = LIMITS[name]
        if lower != -inf:
            np.maximum(array, lower, out=array)
        if upper != inf:
            np.minimum(array, upper, out=array)
        return array
    assert name is not None
    wide = array.astype(np.float32) if name_of(array.dtype) in HALVES else array
    with np.errstate(all="ignore"):
        array[...] = MEANINGS[name](wide, slope)
    return array
