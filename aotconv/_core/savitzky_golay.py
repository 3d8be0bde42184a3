"""Polynomials that are fitted to windows of samples, by least squares."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from . import steps
from .filter_call import FilterFunction

LONGEST_KEPT = 256  # windows, of which fits are kept

_CONVOLVE1D = FilterFunction(functools.partial(steps.line, flipped=True))


def smooth(
    samples: np.ndarray,
    size: int,
    order: int,
    derivative: int,
    scale: float,
    *,
    axis: int,
    mode: str,
    value,
) -> np.ndarray:
    """The values in the middle of windows of a size, or at half a window at each end with "interp",
    of what is fitted to samples one apart, divided by a scale; an array of their shape."""
    matrix = _kept if size <= LONGEST_KEPT else fit
    fitted = functools.partial(matrix, size, order, derivative, scale)
    around = "constant" if mode == "interp" else mode
    window = fitted(((size - 1) / 2,))[0, ::-1]
    asked = value, False, None, "auto", None
    result = _CONVOLVE1D(samples, None, (window, axis, around, 0), asked)
    half = size // 2
    if mode == "interp" and half:
        lines, out = np.moveaxis(samples, axis, -1), np.moveaxis(result, axis, -1)
        out[..., :half] = lines[..., :size] @ fitted(range(half)).T
        out[..., -half:] = lines[..., -size:] @ fitted(range(size - half, size)).T
    return result


def fit(
    size: int, order: int, derivative: int, scale: float, places: Sequence[float]
) -> np.ndarray:
    """The matrix (places, samples) of what makes of so many samples, one apart, the values at some
    places of the polynomial of an order that is fitted to them, or of its derivative, divided by a
    scale.

    Powers are of numbers from -1 to 1, whose matrix is better conditioned.
    """
    middle, half = (size - 1) / 2, max(1.0, (size - 1) / 2)
    powers = np.arange(order + 1)
    nodes, wanted = ((np.array(each) - middle) / half for each in (range(size), places))
    values = np.linalg.pinv(nodes[:, np.newaxis] ** powers)
    factors = np.prod((powers - np.arange(derivative)[:, np.newaxis]) / half, axis=0)
    lowered = np.maximum(powers - derivative, 0)
    return (factors * wanted[:, np.newaxis] ** lowered) @ values / scale


_kept = functools.lru_cache(maxsize=16)(fit)
