"""The judge of what comes of a call with hostile arguments."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
import warnings
from collections.abc import Iterator

import numpy as np
from oracle import (
    assert_equal_behind,
    bound_behind,
    error_bound,
    spectral_bound,
    wide,
    winograd_bound,
)

import aotconv
from aotconv._plan import spectral as plan
from aotconv.reference import activation_reference

from .arguments import ARGUMENTS, COMPUTED, Arguments
from .right import (
    SUMMED,
    UNSURE,
    WRONG,
    Result,
    expected_of,
    filters_of,
    products,
    residual_fits,
    result_of,
    worst,
)

UNALLOCATABLE = 1 << 34  # elements: more than LIMIT bytes
SLOW = 1 << 26  # numbers of spectra that take a second
LIMIT = 8 << 30  # bytes of address space that a long run's process gets


@contextlib.contextmanager
def warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", aotconv.FallbackWarning)  # tested on its own
        yield


def bytes_of(pieces) -> list[bytes]:
    return [each.memory.tobytes() for each in pieces if each.memory is not None]


def assert_names_an_argument(error: Exception, pieces: Arguments, fits: bool) -> None:
    """The message names an argument: the wrong one, if there is one and all the others fit."""
    message = str(error)
    named = [name for name in ARGUMENTS if re.search(rf"\b{name}\b", message)]
    assert named or "the result would be" in message, message
    wrong = [name for name, each in pieces.items() if each.meaning is WRONG]
    unsure = any(each.meaning is UNSURE for each in pieces.values())
    if len(wrong) == 1 and fits and not unsure:
        assert wrong[0] in named, (wrong, message)


LARGEST_EXACT = 2**20  # of whole numbers: a few of their products add up exactly in float32


def compare(layer, call, found: Result, result: np.ndarray) -> None:
    """The values are small integers, so that sums are exact, and integers wrap; but for floats of
    other algorithms and for those that a giant `padding_value` swallows, which have a bound."""
    result = np.ndarray.view(result, np.ndarray)
    assert result.shape == found.shape
    assert result.dtype == found.dtype
    expected = expected_of(layer, call.images, call.residual, found)
    if found.dtype.kind in "iu" and layer.saturate:
        ends = np.iinfo(found.dtype)
        rounded = map(int, np.nan_to_num(np.rint(expected)).ravel())
        clipped = [min(max(each, ends.min), ends.max) for each in rounded]
        expected = np.array(clipped, found.dtype).reshape(expected.shape)
    elif found.dtype.kind in "iu":
        expected = expected.astype(np.int64).astype(found.dtype)
    whole = found.dtype.kind in "iu"
    wraps, floats = whole and not layer.saturate, np.dtype(np.float32) if whole else found.dtype
    algorithm = "auto" if whole else layer.algorithm
    if algorithm != "auto" or (abs(layer.padding_value) > LARGEST_EXACT and not wraps):
        images = np.append(wide(call.images), layer.padding_value)
        arrays = images, wide(filters_of(layer)), layer.bias
        bound = bound_of(algorithm, arrays, call.residual, floats, found.padded) + whole
        expected = activation_reference(expected, layer.activation)
        bound = bound_behind(layer.activation, bound, floats)
        if whole:
            result, expected = wide(result), wide(expected)
        assert np.abs(result - expected).max(initial=0) <= bound
        return
    assert_equal_behind(layer.activation, result, expected)


def bound_of(algorithm: str, arrays, residual, dtype: np.dtype, padded: int) -> float:
    """By how much a result may differ from the sum; sections are at most twice as long, along each
    axis, as padded images."""
    images, filters, _ = arrays
    direct = error_bound(*arrays, dtype, residual)
    bounds = {
        "auto": lambda: direct,
        "winograd": lambda: winograd_bound(*arrays, dtype, residual),
        "fft": lambda: spectral_bound(*arrays, dtype, 8 * padded, residual),
    }
    if algorithm == "fastest":
        return max(bound() for bound in bounds.values())
    bound = bounds[algorithm]()
    assert bound >= error_bound(images, filters, None, dtype) / 4  # of products alone
    return bound


def spectra(layer, found: Result) -> int:
    """Numbers that filters are transformed to, at most."""
    return 8 * found.padded * math.prod(filters_of(layer).shape[-2:])


def is_untransformed(layer, found: Result) -> bool:
    """Whether "fft" may be refused: for sums that would not be exact, longdoubles, and windows that
    reach far."""
    is_wide = found.dtype.char in "gG"
    return found.dtype.kind in "iu" or is_wide or spectra(layer, found) > plan.MOST_SPECTRA


def skips(layer, found) -> bool:
    """Whether a case is too large to compute here, and yet not surely too large for any memory."""
    if found is UNSURE:  # who knows how large a result between such zeros is
        zeros = layer.padding
        return isinstance(zeros, tuple) and max(itertools.chain(*zeros)) > 50
    if not isinstance(found, Result):
        return False
    if layer.algorithm in ("fft", "fastest") and spectra(layer, found) > SLOW:
        return True
    large = max(found.elements, products(layer, found) if found.padded > SUMMED else 0)
    return large > COMPUTED and found.elements < UNALLOCATABLE


def judge(layer: Arguments, call: Arguments, compute) -> str:
    """Run ``compute()``, which convolves; assert that what comes of it is documented."""
    pieces = Arguments(layer.rank, {**layer, **call})
    inputs = [each for name, each in pieces.items() if name != "out"]
    images, out = call["images"], call["out"]
    known, asked = layer.meaning, call.meaning
    found = result_of(known, asked.images)
    fits = isinstance(found, Result)
    call_is = worst(each.meaning for name, each in call.items() if name != "images")
    verdict = worst([found, call_is])

    residual = asked.residual
    misfit = fits and isinstance(residual, np.ndarray) and not residual_fits(residual, found)
    too_large = fits and found.is_too_large
    # Where there is nothing to sum, each algorithm is as good as "auto".
    no_winograd = known.algorithm == "winograd" and aotconv.active().name == "numpy"
    no_fft = fits and known.algorithm == "fft" and is_untransformed(known, found)
    must_fail = verdict is WRONG or misfit
    may_fail = must_fail or verdict is UNSURE or too_large or (fits and no_winograd) or no_fft
    if skips(known, found):
        return "skipped"

    before, inputs_before = bytes_of(pieces.values()), bytes_of(inputs)
    overlaps = out.label == "out overlaps images"
    images_before = np.ndarray.view(images.value, np.ndarray).copy() if overlaps else None
    try:
        with warnings_are_errors():
            result = compute()
    except (TypeError, ValueError) as error:
        assert may_fail, f"refused what is documented: {error!r:.300}"
        # Found before others; filters in another format may have no height.
        misfits = "groups must divide|bias must have|filters must have|needs|not defined for|unless"
        others_fit = fits if call_is is WRONG else not re.search(misfits, str(error))
        assert_names_an_argument(error, pieces, others_fit and not misfit and not too_large)
        assert bytes_of(pieces.values()) == before, "written before it was refused"
        if overlaps:
            np.testing.assert_array_equal(np.ndarray.view(images.value, np.ndarray), images_before)
        return type(error).__name__
    except MemoryError as error:
        shape = getattr(error, "shape", ())  # NumPy's own tells it
        huge = found.elements if fits else math.prod(shape)
        assert huge >= UNALLOCATABLE
        assert bytes_of(pieces.values()) == before
        return "MemoryError"
    assert not must_fail, f"accepted what is wrong: {pieces}"
    assert type(result) is np.ndarray if out.value is None else result is out.value
    assert overlaps or bytes_of(inputs) == inputs_before
    if fits and verdict is None:
        compare(known, asked, found, result)
    return "right"
