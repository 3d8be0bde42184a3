"""Functions of single elements, as ONNX has them.

Those with exponentials are `aotconv.activate`'s.  Where a maximum or two do, NumPy's functions
take as long on large arrays, and a tenth of that on small ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import activate, erf
from .operator import Operator, computed_in

NATIVE = (np.dtype(np.float32), np.dtype(np.float64))


class Curve(Operator):
    """A function of floats that `activate` has."""

    activation: Any = None

    def _run(self, x: np.ndarray, **legacy: Any) -> tuple[np.ndarray]:
        return (activate(_floats(x), self.activation),)


def _floats(x: np.ndarray) -> np.ndarray:
    """An array, if it is of floats."""
    if x.dtype.kind in "biucOSU":
        raise TypeError(f"X of {x.dtype}, where floats are expected")
    return x


class Sigmoid(Curve):
    activation = "sigmoid"


class Tanh(Curve):
    activation = "tanh"


class HardSwish(Curve):
    activation = "hard_swish"


class Gelu(Operator):
    def _run(self, x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray]:
        names: dict[str, Any] = {"none": "gelu", "tanh": "gelu_tanh"}
        if approximate not in names:
            raise ValueError(f"approximate {approximate!r}, where 'none' or 'tanh' is expected")
        return (activate(_floats(x), names[approximate]),)


class HardSigmoid(Operator):
    """``min(max(alpha * x + beta, 0), 1)``; with a slope of 1/6 that of `activate`, to the bit."""

    def _run(
        self, x: np.ndarray, alpha: Any = 0.2, beta: Any = 0.5, **legacy: Any
    ) -> tuple[np.ndarray]:
        if np.float32(alpha) == np.float32(1 / 6) and beta == 0.5:
            return (activate(_floats(x), "hard_sigmoid"),)
        number = computed_in(_floats(x).dtype).type
        values = np.multiply(x, number(alpha), out=np.empty_like(x, number))
        values += number(beta)
        np.clip(values, 0, 1, out=values)
        return (values.astype(x.dtype, copy=False),)


class Erf(Operator):
    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        if x.dtype.kind in "iu":  # before opset 13; as onnx rounds it
            return (erf(x.astype(np.float32)).astype(x.dtype),)
        return (erf(_floats(x)),)


class Relu(Operator):
    def _run(self, x: np.ndarray, **legacy: Any) -> tuple[np.ndarray]:
        if x.dtype in NATIVE or x.dtype.kind in "iu":
            return (np.maximum(x, 0, out=np.empty_like(x)),)
        return (activate(x, "relu"),)


class LeakyRelu(Operator):
    def _run(self, x: np.ndarray, alpha: Any = 0.01, **legacy: Any) -> tuple[np.ndarray]:
        if x.dtype in NATIVE and 0 < alpha <= 1:
            result = np.multiply(x, x.dtype.type(alpha), out=np.empty_like(x))
            return (np.maximum(x, result, out=result),)  # the larger of both
        return (activate(_floats(x), ("leaky_relu", float(alpha))),)


class PRelu(Operator):
    """Slopes are broadcast as NumPy does; before opset 7 there is one for each channel."""

    def _run(self, x: np.ndarray, slope: np.ndarray, **legacy: Any) -> tuple[np.ndarray]:
        if self.version < 7 and slope.size > 1:
            slope = slope.reshape(-1, *[1] * (x.ndim - 2))
        try:
            result = np.multiply(x, slope, out=np.empty_like(x))
        except ValueError:
            raise ValueError(
                f"slope of shape {slope.shape}, which must broadcast to that of X, {x.shape}"
            ) from None
        if x.dtype in NATIVE and slope.size and slope.min() > 0 and slope.max() <= 1:
            return (np.maximum(x, result, out=result),)  # which is the larger of both
        np.copyto(result, x, where=x > 0)
        return (result,)


class Clip(Operator):
    """``min(max(x, low), high)``, so `high` where `low` is above it; limits are inputs, before
    opset 11 attributes."""

    def _run(
        self,
        x: np.ndarray,
        low: np.ndarray | None = None,
        high: np.ndarray | None = None,
        min: Any = None,
        max: Any = None,
        **legacy: Any,
    ) -> tuple[np.ndarray]:
        low = min if low is None else _number("min", low)
        high = max if high is None else _number("max", high)
        if low is None and high is None:
            return (x,)
        return (np.clip(x, low, high, out=np.empty_like(x), casting="same_kind"),)


def _number(name: str, limit: np.ndarray) -> np.ndarray:
    """A limit without axes."""
    if limit.size != 1:
        raise ValueError(f"{name} of shape {limit.shape}, where a scalar is expected")
    return limit.reshape(())
