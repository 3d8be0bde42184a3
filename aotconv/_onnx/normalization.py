"""BatchNormalization and Softmax."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from .. import Conv1D, softmax
from .operator import Operator, channels_first, channels_last, computed_in


class Statistics(NamedTuple):
    """Of each channel, or of each place of an image where these are not `spatial`."""

    scale: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    var: np.ndarray

    def checked(self, shape: tuple[int, ...]) -> Statistics:
        """All of one shape."""
        for name, each in zip(("scale", "B", "mean", "var"), self, strict=True):
            if each.size != prod(shape):
                raise ValueError(f"{name} of shape {each.shape}, where {shape} is expected")
        return Statistics(*[each.reshape(shape) for each in self])

    def line(self, epsilon: Any) -> tuple[np.ndarray, np.ndarray]:
        """The factor and the summand that normalise, in float64."""
        with np.errstate(invalid="ignore", divide="ignore"):
            factor = self.scale / np.sqrt(self.var + np.float64(epsilon))
        return factor, self.bias - self.mean * factor


class BatchNormalization(Operator):
    """From opset 14 on `training_mode` says whether a batch's own statistics normalise it, before
    opset 7 `is_test` whether they do not; in between they do where more outputs than one are
    asked for."""

    _kept: tuple[Any, Any] = (None, None)  # statistics, as bytes, and a layer of them

    def _run(
        self,
        x: np.ndarray,
        scale: np.ndarray,
        bias: np.ndarray,
        mean: np.ndarray,
        var: np.ndarray,
        epsilon: Any = 1e-5,
        momentum: Any = 0.9,
        spatial: int = 1,
        training_mode: int = 0,
        is_test: int = 0,
        **legacy: Any,
    ) -> tuple[np.ndarray, ...]:
        shape = x.shape[1:2] if spatial else x.shape[1:]
        given = Statistics(scale, bias, mean, var).checked(shape or (1,))
        trains = training_mode
        if self.version < 14:
            trains = self.n_outputs > 1 if self.version >= 7 else not is_test
        if not trains:
            return (self._normalized(x, given, epsilon),)
        axes = tuple(each for each in range(x.ndim) if each != 1) if spatial else (0,)
        computed = computed_in(x.dtype)
        own = given._replace(
            mean=x.mean(axis=axes, dtype=computed).reshape(given.mean.shape),
            var=x.var(axis=axes, dtype=computed).reshape(given.var.shape),
        )
        running = [
            (old * momentum + new * (1 - momentum)).astype(old.dtype).reshape(like.shape)
            for old, new, like in zip(given[2:], own[2:], (mean, var), strict=True)
        ]
        saved = [each.astype(x.dtype) for each in own[2:]] if self.version < 14 else []
        return (self._normalized(x, own, epsilon), *running, *saved)[: self.n_outputs]

    def _normalized(self, x: np.ndarray, statistics: Statistics, epsilon: Any) -> np.ndarray:
        """Of channels by a depthwise convolution of one tap, which reads an array once."""
        computed = computed_in(x.dtype)
        if statistics.mean.ndim > 1 or x.ndim < 2 or not x.size:
            factor, shift = (each.astype(computed) for each in statistics.line(epsilon))
            values = np.multiply(x, factor, out=np.empty_like(x, computed))
            return np.add(values, shift, out=values).astype(x.dtype, copy=False)
        key = computed, epsilon, [(each.dtype, each.tobytes()) for each in statistics]
        kept = self._kept
        if kept[0] != key:
            factor, shift = (each.astype(computed) for each in statistics.line(epsilon))
            layer = Conv1D(factor.reshape(1, 1, -1), shift, groups=len(factor))
            kept = self._kept = key, layer
        return channels_first(kept[1](channels_last(x))).astype(x.dtype, copy=False)


class Softmax(Operator):
    """Along an axis; before opset 13 along it and all behind it as one."""

    def _run(self, x: np.ndarray, axis: int = -1) -> tuple[np.ndarray]:
        if not -x.ndim <= axis < max(x.ndim, 1):
            raise ValueError(f"axis {axis} of an array of shape {x.shape}")
        if self.version < 13:
            joined = [each for each in range(axis % x.ndim, x.ndim) if x.shape[each] != 1]
            if len(joined) > 1:
                rows = x.reshape(*x.shape[: axis % x.ndim], -1)
                return (softmax(rows, -1).reshape(x.shape),)
            axis = joined[0] if joined else axis
        return (softmax(x, axis),)
