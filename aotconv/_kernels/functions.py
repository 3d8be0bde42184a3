"""Functions of vectors of floats: exp, tanh, erf and the activations made of them.

All is made of IEEE operations and of `v.fma`, in one order, so levels with FMA agree to the bit.
Polynomials and their errors stand in `_plan.functions`.  NaN stays NaN; of infinities and zeros of
either sign each function is what its formula gives.
"""

from __future__ import annotations

from math import pi, sqrt

from .._plan.activations import LIMITS
from .._plan.functions import FITS, TAIL


def polynomial(v, coefficients, x):
    """The polynomial of these coefficients, the constant one first."""
    *rest, total = map(v.constant, coefficients)
    for coefficient in reversed(rest):
        total = v.fma(total, x, coefficient)
    return total


def power_and_rest(v, row, x):
    """An exponent n, as `v.power_of_two` takes it, and p, such that exp(x) is 2**n * (1 + p); p has
    a small relative error where x is near 0."""
    fits = FITS[row.dtype]
    exponent, n = v.nearest_whole(x, v.constant(fits.log2_e))
    high, low = (v.constant(-part) for part in fits.ln2)
    r = v.fma(n, low, v.fma(n, high, x))
    return exponent, v.fma(v.product(r, r), polynomial(v, fits.exp, r), r)


def exp(v, row, x):
    fits = FITS[row.dtype]
    x = v.clamp(x, v.constant(fits.least), v.constant(fits.most))
    exponent, p = power_and_rest(v, row, x)
    # In two steps: 2**n itself may be beyond all floats, where the result is not.
    first, second = v.halves_of_power(exponent)
    return v.product(v.product(v.sum(v.constant(1.0), p), first), second)


def tanh(v, row, x):
    """By e = exp(2 |x|) - 1, of a small relative error everywhere, as e / (e + 2)."""
    size = v.minimum_of(v.absolute(x), v.constant(FITS[row.dtype].tanh_one))
    exponent, p = power_and_rest(v, row, v.sum(size, size))
    power = v.power_of_two(exponent)
    e = v.fma(p, power, v.difference(power, v.constant(1.0)))
    return v.with_sign(v.quotient(e, v.sum(e, v.constant(2.0))), x)


def sigmoid(v, row, x):
    """By exp(-|x|), which never overflows, so that what is nearly 0 keeps its digits."""
    e = exp(v, row, v.negative(v.absolute(x)))
    one = v.constant(1.0)
    return v.quotient(v.select(v.is_less(x, v.constant(0.0)), e, one), v.sum(one, e))


def erf(v, row, x):
    """A polynomial of x**2 below 1; from there on 1 - exp(-q), with a polynomial q."""
    fits, size, one = FITS[row.dtype], v.absolute(x), v.constant(1.0)
    near = v.product(size, polynomial(v, fits.erf, v.product(size, size)))
    beyond = v.difference(v.minimum_of(size, v.constant(fits.erf_one)), v.constant(TAIL))
    exponent, p = power_and_rest(v, row, v.negative(polynomial(v, fits.tail, beyond)))
    power = v.power_of_two(exponent)
    far = v.difference(one, v.fma(p, power, power))
    return v.with_sign(v.select(v.is_less(size, one), near, far), x)


def hard_sigmoid(v, row, x):
    value = v.sum(v.quotient(x, v.constant(6.0)), v.constant(0.5))
    return v.clamp(value, v.constant(0.0), v.constant(1.0))


def gelu(v, row, x):
    value = v.sum(v.constant(1.0), erf(v, row, v.product(x, v.constant(sqrt(0.5)))))
    return v.product(v.product(v.constant(0.5), x), value)


def gelu_tanh(v, row, x):
    """(1 + tanh(u)) / 2 is sigmoid(2 u)."""
    cubic = v.fma(v.product(v.constant(0.044715), x), x, v.constant(1.0))
    twice = v.product(v.product(v.constant(2 * sqrt(2 / pi)), x), cubic)
    return v.product(x, sigmoid(v, row, twice))


def _clamp(name):
    return lambda v, row, x, slope: v.clamp(x, *map(v.constant, LIMITS[name]))


def _alone(function):
    return lambda v, row, x, slope: function(v, row, x)


def _times(function):
    return lambda v, row, x, slope: v.product(x, function(v, row, x))


def leaky_relu(v, row, x, slope):
    return v.select(v.is_less(x, v.constant(0.0)), v.product(x, slope), x)


# What each of FINISHES but INTEGERS means: ``(v, row, x, slope)``.
MEANINGS = {
    "relu": _clamp("relu"),
    "relu6": _clamp("relu6"),
    "leaky_relu": leaky_relu,
    "hard_sigmoid": _alone(hard_sigmoid),
    "hard_swish": _times(hard_sigmoid),
    "sigmoid": _alone(sigmoid),
    "tanh": _alone(tanh),
    "silu": _times(sigmoid),
    "gelu": _alone(gelu),
    "gelu_tanh": _alone(gelu_tanh),
    "exp": _alone(exp),
    "erf": _alone(erf),
}
