"""Filters that change the rate of samples, as layers: zeros are put between samples, these are
convolved, and some are kept."""

from __future__ import annotations

import functools
from math import gcd

import numpy as np

from .._plan.arithmetic import ceil_div
from .._plan.borders import border_of
from .._plan.geometry import Axis
from . import fitting
from .one_channel import layer
from .pad import places

SIDE_BYTES = 64  # of outputs side by side that one layer computes, as its filters
KEPT_BYTES = 1 << 16  # of weights whose filters are kept
TAKEN = "wrap", "edge", "symmetric", "reflect"  # modes that put samples around samples


def upfirdn(
    weights: np.ndarray, samples: np.ndarray, up: int, down: int, mode: str, value: complex
) -> np.ndarray:
    """The samples (.., W) with ``up - 1`` zeros behind each, convolved with weights (K,), of which
    every `down`-th is kept; both of the dtype of the result.

    Output n is the sum over i of ``weights[n * down % up + i * up] * samples[n * down // up - i]``:
    of outputs ``up / gcd(up, down)`` apart the weights are the same, and samples
    ``down / gcd(up, down)`` apart.  So they are a layer of that stride, and its filters give
    neighbouring outputs.
    """
    reach = ceil_div(len(weights), up)
    count = ceil_div((samples.shape[-1] - 1) * up + len(weights), down)
    fitting.addressable("the result", (*samples.shape[:-1], count))
    period, stride = min(up // gcd(up, down), count), down // gcd(up, down)
    n_rows, before = ceil_div(count, period), reach - 1
    if mode == "constant" and value == 0:
        before = 0
    else:
        samples = extended(samples, before, before, mode, value)
    samples = np.ascontiguousarray(samples)  # several layers read it
    out = np.empty((*samples.shape[:-1], n_rows, period), samples.dtype)
    make = _filters if weights.nbytes <= KEPT_BYTES else _filters.__wrapped__
    first = 0
    for lowest, taps in make(weights.tobytes(), weights.dtype, up, down, period):
        start = lowest + before
        stop = start + (n_rows - 1) * stride + len(taps)
        part = samples[..., max(0, start) : max(0, stop)]
        pads = max(0, -start), stop - max(0, start) - part.shape[-1]
        behind = first + taps.shape[1]
        out[..., first:behind] = layer(part, taps, (pads,), strides=stride)
        first = behind
    return out.reshape(*out.shape[:-2], n_rows * period)[..., :count]


@functools.lru_cache(maxsize=16)
def _filters(
    held: bytes, dtype: np.dtype, up: int, down: int, period: int
) -> list[tuple[int, np.ndarray]]:
    """The filters (W, O) of layers that give all outputs of a period, and which sample the sums of
    its first row begin with."""
    weights, side = np.frombuffer(held, dtype), max(1, SIDE_BYTES // dtype.itemsize)
    found = []
    for first in range(0, period, side):
        phases = [i * down for i in range(first, min(first + side, period))]
        lowest = phases[0] // up - (ceil_div(len(weights), up) - 1)
        taps = np.zeros((phases[-1] // up + 1 - lowest, len(phases)), dtype)
        for i, phase in enumerate(phases):
            mine = weights[phase % up :: up]
            stop = phase // up + 1 - lowest
            taps[stop - len(mine) : stop, i] = mine[::-1]
        found.append((lowest, taps))
    return found


def extended(
    samples: np.ndarray, before: int, behind: int, mode: str, value: complex
) -> np.ndarray:
    """Samples (.., W) and what a mode puts around them."""
    if mode in TAKEN:
        left, right = (
            samples.take(at, -1) for at in _taken(mode, samples.shape[-1], before, behind)
        )
        return np.concatenate([left, samples, right], -1)
    widths = [(0, 0)] * (samples.ndim - 1) + [(before, behind)]
    if mode == "antisymmetric":
        repeats = np.arange(-before, samples.shape[-1] + behind) // samples.shape[-1]
        signs = (1 - 2 * (repeats % 2)).astype(samples.real.dtype)
        return np.pad(samples, widths, "symmetric") * signs
    if mode == "constant":
        return np.pad(samples, widths, constant_values=value)
    if mode == "antireflect":
        return np.pad(samples, widths, "reflect", reflect_type="odd")
    first, last, n = samples[..., :1], samples[..., -1:], samples.shape[-1]
    if mode == "line" or n == 1:
        slopes = ((last - first) / max(1, n - 1),) * 2
    else:
        slopes = samples[..., 1:2] - first, last - samples[..., -2:-1]
    left = first + slopes[0] * np.arange(-before, 0)
    right = last + slopes[1] * np.arange(1, behind + 1)
    return np.concatenate([left, samples, right], -1).astype(samples.dtype, copy=False)


@functools.lru_cache(maxsize=16)
def _taken(mode: str, size: int, before: int, behind: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of so many samples a mode puts before the first one and behind the last."""
    axis = Axis(size, border=border_of(mode, 0))
    return places(np.arange(-before, 0), axis), places(np.arange(size, size + behind), axis)
