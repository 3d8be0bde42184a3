"""Filters by Fourier transforms: whether a filter can be one, or is to be, and how."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from .._plan import spectral as plan
from .._plan.borders import border_of
from .._plan.geometry import Axis
from .._plan.taps import MEAN
from . import spectral
from .copies import convert
from .dtypes import largest
from .rounding import put
from .steps import Step


def is_chosen(
    algorithm: str, array: np.ndarray, steps: Sequence[Step], out: np.dtype, sums: np.dtype, cval
) -> bool:
    """Whether steps of an array of real or complex numbers are by transforms, where these are asked
    for, or may be; "fft" is refused where they cannot be."""
    reason = _hindrance(array, steps, out, sums, cval)
    if algorithm == "fft" and reason:
        raise ValueError(f"algorithm 'fft' {reason}: use 'auto' or 'fastest'")
    if algorithm == "fft" or reason:
        return not reason
    work = _work(array, steps[0], sums)
    return spectral.is_faster(work, plan.direct(work.products, sums.name))


def _hindrance(
    array: np.ndarray, steps: Sequence[Step], out: np.dtype, sums: np.dtype, cval: complex
) -> str | None:
    """Why steps cannot be by transforms."""
    if len(steps) != 1 or steps[0].order == MEAN or array.ndim == 0:
        return "is of filters of one window of weights, such as correlate, on arrays with an axis"
    if out.kind not in "biu" or array.size == 0:
        return None
    weights = steps[0].weights
    if array.dtype.kind not in "biu" or (weights % 1).any() or cval.real % 1:
        return "gives integers only of integers under weights that are whole numbers"
    most = max(abs(cval), 1.0 if array.dtype.kind == "b" else largest(array.dtype))
    norm = float(np.linalg.norm(weights.astype(np.float64)))
    if not spectral.is_exact(most, norm, _work(array, steps[0], sums), sums):
        return f"is not exact for sums of {array.dtype} under such weights, formed in {sums}"
    return None


def correlate(
    array: np.ndarray, step: Step, out: np.ndarray, sums: np.dtype, cval: float, saturate: bool
) -> None:
    """Correlate a real array by a step of real weights, in floats of a dtype."""
    places = _places(step)
    axes = [_axis(array.shape[i], step, i, cval) for i in places]

    def rounded(values: np.ndarray, target: np.ndarray) -> None:
        put(np.rint(values), target, saturate)

    last = range(-len(places), 0)
    array, result = (np.moveaxis(each, places, last) for each in (array, out))
    weights = step.weights.reshape([axis.kernel for axis in axes])
    store = spectral.into(result, rounded if out.dtype.kind in "iu" else convert)
    spectral.correlate(array, spectral.Alone(weights, len(axes), sums), axes, store, cval)


def _axis(size: int, step: Step, place: int, cval: float) -> Axis:
    """One axis of an array under a step."""
    kernel, before = step.weights.shape[place], step.before[place]
    pads = before, kernel - 1 - before
    return Axis.of(size, kernel, 1, 1, pads, border_of(step.modes[place], cval))


def _places(step: Step) -> list[int]:
    """The axes along which a step has a window; one, if there is none."""
    sizes = step.weights.shape
    return [i for i, size in enumerate(sizes) if size > 1] or [len(sizes) - 1]


def _work(array: np.ndarray, step: Step, sums: np.dtype) -> plan.Work:
    """What is done along axes with a window, of as many arrays as there are else."""
    places = _places(step)
    reaches = tuple(plan.Reach(array.shape[i], step.weights.shape[i], 1) for i in places)
    arrays = array.size // max(1, prod(each.outs for each in reaches))
    return plan.Work(reaches, sums.itemsize, arrays)
