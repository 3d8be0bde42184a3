"""What steps make of arrays, one of what the last one gave: each is a correlation, or some of real
and imaginary parts, or is computed by transforms."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from . import fourier
from .asked import Asked
from .correlation import correlate
from .rounding import put
from .steps import Step
from .sums import Sums
from .window import Window


def sums_of(steps: Sequence[Step], array: np.dtype, out: np.dtype, asked: Asked) -> Sums:
    """Those that steps of real weights are, of real arrays."""
    cval = asked.cval.real
    windows = (Window.of(each.weights, each.before, each.modes, cval) for each in steps)
    as_listed = asked.sums == np.float64
    dtype = asked.dtype_of_sums(array, out)
    return Sums(tuple(windows), steps[0].order, dtype, as_listed, asked.saturate, out)


def is_transformed(array: np.ndarray, steps: Sequence[Step], out: np.dtype, asked: Asked) -> bool:
    """Whether transforms compute the steps, of a whole array."""
    if asked.algorithm == "auto":
        return False
    sums = asked.dtype_of_sums(array.dtype, out)
    return fourier.is_chosen(asked.algorithm, array, steps, out, sums, asked.cval)


def run(array: np.ndarray, steps: Sequence[Step], out: np.ndarray, asked: Asked) -> None:
    """Put what steps make of an array into another one.

    Between steps it is of the result's dtype, as with SciPy, unless that is a half, or is to be
    rounded, which happens once.
    """
    if not steps:
        put(array, out, asked.saturate)
    elif out.dtype.kind == "b":
        with bytes_of(out) as target:
            run(array, steps, target, asked)
    elif array.dtype.kind == "b":
        run(array.view(np.uint8), steps, out, asked)
    elif any(each.weights.dtype.kind == "c" for each in steps):
        for step in steps:
            _multiply(array, step, out, asked)
            array = out.copy()
    else:
        if out.dtype.kind == "c" and array.dtype.kind != "c":
            out.imag[...] = 0
        parts = _parts_of(array, asked)
        for (part, of_part), target in zip(parts, _parts(out)[: len(parts)], strict=True):
            _real(part, steps, target, of_part)


@contextlib.contextmanager
def bytes_of(out: np.ndarray) -> Iterator[np.ndarray]:
    """Where results go: for truth values into bytes, as with SciPy, of which 0 is False."""
    if out.dtype.kind != "b":
        yield out
        return
    yield out.view(np.uint8)
    np.not_equal(out.view(np.uint8), 0, out=out)


def _real(array: np.ndarray, steps: Sequence[Step], out: np.ndarray, asked: Asked) -> None:
    """Steps of real weights, of a real array."""
    if is_transformed(array, steps, out.dtype, asked):
        sums = asked.dtype_of_sums(array.dtype, out.dtype)
        fourier.correlate(array, steps[0], out, sums, asked.cval.real, asked.saturate)
    else:
        correlate(array, out, sums_of(steps, array.dtype, out.dtype, asked), asked.threads)


def _multiply(array: np.ndarray, step: Step, out: np.ndarray, asked: Asked) -> None:
    """A step of complex weights, by real and imaginary parts."""
    factors = _parts(step.weights)
    out[...] = 0
    for i, (part, of_part) in enumerate(_parts_of(array, asked)):
        for j, weights in enumerate(factors):
            target = _parts(out)[i ^ j]
            term = np.empty(out.shape, target.dtype)
            _real(part, [step._replace(weights=weights)], term, of_part)
            (np.subtract if i and j else np.add)(target, term, out=target)


def _parts(array: np.ndarray) -> list[np.ndarray]:
    return [array.real, array.imag] if array.dtype.kind == "c" else [array]


def _parts_of(array: np.ndarray, asked: Asked) -> list[tuple[np.ndarray, Asked]]:
    """The parts of an array, each with what is asked of it."""
    parts = _parts(array)
    values = (asked.cval.real, asked.cval.imag)[: len(parts)]
    each = zip(parts, values, strict=True)
    return [(part, asked._replace(cval=value)) for part, value in each]
