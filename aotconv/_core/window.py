"""A window of weights, and what is around the arrays that it goes over."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan
from sys import float_info
from typing import NamedTuple

import numpy as np

from .._plan.taps import NEGLIGIBLE


class Window(NamedTuple):
    """Weights for each axis of arrays; hashable.

    Attributes
    ----------
    shape : tuple of int
        1 along axes without a window.
    values : bytes
        Of float64.
    before : tuple of int
        How many elements it reaches before its place, along each axis.
    modes : tuple of str
        Of each axis, np.pad's name of its border.
    cval : float
        What is outside with mode "constant".
    """

    shape: tuple[int, ...]
    values: bytes
    before: tuple[int, ...]
    modes: tuple[str, ...]
    cval: float

    @classmethod
    def of(
        cls, weights: np.ndarray, before: Sequence[int], modes: Sequence[str], cval: float
    ) -> Window:
        """The window of weights with as many axes as the arrays."""
        values = weights.astype(np.float64).tobytes()
        cval = nan if cval != cval else float(cval) + 0.0  # one NaN, which is itself, and one zero
        return cls(weights.shape, values, tuple(before), tuple(modes), cval)

    @property
    def weights(self) -> np.ndarray:
        return np.frombuffer(self.values).reshape(self.shape)

    @property
    def is_finite(self) -> bool:
        """Whether finite numbers, and what is around them, have finite sums."""
        return isfinite(self.cval) and bool(np.isfinite(self.weights).all())

    @property
    def reach(self) -> float:
        """How many times as large as what is summed sums may be."""
        return float(np.abs(self.weights).sum())

    @property
    def sum(self) -> float:
        return float(self.weights.sum())

    def planes(self, axis: int) -> list[Window]:
        """The windows of one element along an axis that it consists of."""
        before = (*self.before[:axis], 0, *self.before[axis + 1 :])
        planes = np.split(self.weights, self.shape[axis], axis)
        return [Window.of(each, before, self.modes, self.cval) for each in planes]

    @property
    def is_whole(self) -> bool:
        """Whether sums of whole numbers are whole numbers."""
        return self.cval.is_integer() and bool((self.weights == np.rint(self.weights)).all())

    @property
    def has_gaps(self) -> bool:
        """Whether some weights are none for SciPy's `correlate`."""
        return not bool((np.abs(self.weights) > NEGLIGIBLE).all())

    def joined(self, other: Window) -> Window:
        """What goes through this and then through another one, along other axes."""
        each = zip(self.shape, self.before, self.modes, other.before, other.modes, strict=True)
        places = [
            (before, mode) if size > 1 else (others, others_mode)
            for size, before, mode, others, others_mode in each
        ]
        before, modes = zip(*places, strict=True)
        return Window.of(self.weights * other.weights, before, modes, self.cval)

    def between(self, low: float, high: float) -> tuple[float, float]:
        """No sum of values between two ends is less or more, however it is rounded; of a window
        that is finite."""
        low, high = min(low, self.cval), max(high, self.cval)
        rounding = 1 + 4 * float_info.epsilon * (2 + self.weights.size)
        positive = float(np.maximum(self.weights, 0).sum()) * rounding
        negative = float(np.minimum(self.weights, 0).sum()) * rounding
        return low * positive + high * negative, high * positive + low * negative
