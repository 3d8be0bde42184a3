"""Filters: sums of terms, each of some steps, or roots of sums of squares.

What all filters share is here; which steps each has, `steps` says, and what those make of an array,
`stepping`.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from .._plan.halos import WHOLE, Beyond, Halo, halos, is_one_block
from . import check_ndimage, elementwise, fitting
from .asked import Asked
from .copies import convert, copied
from .correlation import Correlation, correlation_of
from .layout import Layout
from .missing import Missing
from .repeat import Known
from .rounding import put
from .stepping import bytes_of, is_transformed, run, sums_of
from .steps import Step, Terms

SMALL = 1 << 15  # a constant border, whose sums with integers of 16 bits are exact

Place: TypeAlias = tuple[Any, ...]  # of a part of an array


class Filter:
    """What is made of arrays of a rank.

    Parameters
    ----------
    terms : sequence of sequence of Step
    asked : Asked
    is_magnitude : bool
        Whether results are the root of the sum of the terms' squares, not their sum.
    joined : sequence of sequence of Step or None
        Terms of which the sum is the same for arrays and results of which `may_add` is True.
    """

    def __init__(
        self, terms: Terms, asked: Asked, is_magnitude: bool = False, joined: Terms | None = None
    ) -> None:
        self._asked, self._is_magnitude = asked, is_magnitude
        self._terms, self._joined = terms, terms if joined is None else joined
        every = (step.weights for steps in terms for step in steps)
        self._has_complex = any(weights.dtype.kind == "c" for weights in every)
        # By the dtypes of arrays and of results: the one correlation that this is, if it is.
        self._correlations: dict[tuple[np.dtype, np.dtype], Correlation | None] = {}

    def is_complex(self, array: np.dtype) -> bool:
        """Whether results of arrays of a dtype are."""
        return array.kind == "c" or self._has_complex

    def apply(
        self,
        array: np.ndarray,
        given: np.ndarray | None,
        dtype: np.dtype,
        mask: np.ndarray | None,
    ) -> np.ndarray:
        """The result for an array, in one that is given or in a new one of a dtype; without the
        elements where a mask is True."""
        spoils = given is not None and may_spoil(array, given)
        # Made here: a correlation is kept for dtypes that are no more than equal.
        result = np.empty(array.shape, dtype) if given is None else given
        if mask is None and not spoils:
            correlation = self._correlation(array.dtype, dtype)
            if correlation is not None:
                n_threads = self._asked.threads
                if correlation.repeated(array, result, n_threads) is None:
                    correlation.apply(array, result, None, n_threads)
                return result
        missing = Missing(array, self._asked.omits, mask, self._asked.cval)
        self._compute(array, missing, result, spoils)
        return result

    def _correlation(self, array: np.dtype, out: np.dtype) -> Correlation | None:
        """The one correlation that puts results into `out`; None where there is more to do."""
        pair = array, out
        if pair not in self._correlations:
            self._correlations[pair] = self._as_correlation(array, out)
        return self._correlations[pair]

    def last_known(
        self, array: np.dtype, out: np.dtype, others: Callable[[], Sequence[Any] | None]
    ) -> Known | None:
        """The last call on arrays and results of some dtypes, as `Operator.last_known`."""
        correlation = self._correlation(array, out)
        if correlation is None:
            return None
        call = correlation.last_known(others, self._asked.threads)
        # Another thread's may have been of a dtype of which a new result is another.
        if call is None or not (_are_one(call.images, array) and _are_one(call.out, out)):
            return None
        return call

    def _as_correlation(self, array: np.dtype, out: np.dtype) -> Correlation | None:
        terms, asked = self._terms_for(array, out), self._asked
        is_one = len(terms) == 1 and bool(terms[0]) and not self._is_magnitude
        is_real = not {array.kind, out.kind} & {"b", "c"} and not self._has_complex
        if not is_one or not is_real or asked.omits or asked.algorithm != "auto":
            return None
        return correlation_of(sums_of(terms[0], array, out, asked))

    def _terms_for(self, array: np.dtype, out: np.dtype) -> Terms:
        return self._joined if may_add(array, out, self._asked) else self._terms

    def _compute(
        self, array: np.ndarray, missing: Missing, result: np.ndarray, spoils: bool
    ) -> None:
        """Put what this makes of an array into another one; `spoils`: what `may_spoil` says."""
        terms, dtype = self._terms_for(array.dtype, result.dtype), result.dtype
        asked = self._asked
        if missing.is_any:
            if asked.algorithm == "fft":
                raise ValueError(
                    "algorithm 'fft' takes no missing elements: use 'auto' or 'fastest'"
                )
            asked = asked._replace(algorithm="auto")
        is_one = len(terms) == 1 and not self._is_magnitude
        of_term = dtype if is_one else _of_total(dtype, asked)
        by_transforms = [is_transformed(array, steps, of_term, asked) for steps in terms]
        is_whole = (is_one and not missing.is_any and not spoils) or any(by_transforms)
        blocks = [WHOLE]
        itemsize = max(
            array.itemsize, dtype.itemsize, asked.dtype_of_sums(array.dtype, dtype).itemsize
        )
        is_whole = is_whole or is_one_block(array.shape, itemsize)
        # A block is stored when the next one is computed, as if each element were in its turn.
        if not is_whole and not elementwise.may_spoil(array, result):
            blocks = halos(array.shape, _reaches(terms, array.ndim), itemsize, spoils)
        compute: Callable[[Place, np.ndarray], None]
        if missing.is_any:
            compute = _normalised(array, missing, terms[0], dtype, asked)
        elif is_one:
            compute = functools.partial(_run_part, array, terms[0], asked)
        else:
            compute = functools.partial(_combine, array, terms, self._is_magnitude, asked)
        _by_blocks(blocks, compute, result, spoils or len(blocks) > 1)


def may_add(array: np.dtype, out: np.dtype, asked: Asked) -> bool:
    """Whether sums of whole weights along several axes, each stored in a result, and then added
    there, are what one sum gives: for floats, but for roundings that nobody asked for; for integers
    that are small."""
    cval = complex(asked.cval)
    if array.kind in "iu":
        is_whole = cval.imag == 0 and cval.real.is_integer() and abs(cval) < SMALL
        return array.itemsize < 4 and out.kind in "iuf" and is_whole
    return array.kind in "fc" and out.kind in "fc" and asked.sums != np.float64


def _run_part(
    array: np.ndarray, steps: Sequence[Step], asked: Asked, at: Place, out: np.ndarray
) -> None:
    """Put what steps make of a part of an array into another one."""
    run(array[at], steps, out, asked)


def _combine(
    array: np.ndarray,
    terms: Terms,
    is_magnitude: bool,
    asked: Asked,
    at: Place,
    out: np.ndarray,
) -> None:
    """Put what terms of a part of an array give together into another one."""
    array = array[at]
    if not terms:
        put(array, out, asked.saturate)
        return
    dtype = _of_total(out.dtype, asked)
    total = out if dtype == out.dtype else np.empty(out.shape, dtype)

    def computed(steps: Sequence[Step], into: Any) -> np.ndarray:
        term = into if isinstance(into, np.ndarray) else np.empty(array.shape, into)
        run(array, steps, term, asked)
        return term

    combine([functools.partial(computed, steps) for steps in terms], total, is_magnitude)
    if total is not out:
        put(total, out, asked.saturate)


def _of_total(result: np.dtype, asked: Asked) -> np.dtype:
    """What terms are added in: as a result, but integers that are rounded once in float64."""
    is_rounded = asked.saturate and result.kind in "iu"
    return np.dtype(np.float64) if is_rounded else result


def _normalised(
    array: np.ndarray, missing: Missing, steps: Sequence[Step], result: np.dtype, asked: Asked
) -> Callable[[Place, np.ndarray], None]:
    """What puts into an array of a dtype what steps make of a part of an array whose missing
    elements have no weight: sums are divided by the share of the weights that is left."""
    sums = asked.dtype_of_sums(array.dtype, result)
    dtype = np.result_type(sums, np.complex64) if result.kind == "c" else sums
    parts = [each.normalised() for each in steps]
    # A single window stays as it is: which weights are next to nothing depends on the scale.
    parts = parts if len(parts) > 1 else list(steps)
    full = np.empty([1] * array.ndim, sums)
    run(np.ones(full.shape, np.bool_), parts, full, asked._replace(cval=1.0))
    is_missing = missing.is_border
    of_values = asked._replace(cval=0.0) if is_missing else asked
    of_shares = asked._replace(cval=0.0 if is_missing else 1.0)

    def compute(at: Place, out: np.ndarray) -> None:
        part, hidden = copied(array[at]), missing.of(at)
        values, shares = np.empty(part.shape, dtype), np.empty(part.shape, sums)
        part[hidden] = 0
        run(part, steps, values, of_values)
        run(~hidden, parts, shares, of_shares)
        with np.errstate(all="ignore"):
            nothing, some = shares == 0, shares != full
            # Whole numbers have an exact quotient; that of a full window is left as it is.
            np.multiply(values, full, out=values, where=some)
            np.divide(values, shares, out=values, where=some)
            values[nothing] = np.nan if result.kind in "fcV" else 0
        if dtype == result:
            put(values, out, asked.saturate)
            return
        # Where nothing is missing, results are rounded as they are of an array without any.
        made = np.empty(out.shape, result)
        with bytes_of(made) as target:
            put(values, target, asked.saturate)
        run(part, steps, out, of_values)
        np.copyto(out, made, where=some)

    return compute


def _by_blocks(
    blocks: Sequence[Halo],
    compute: Callable[[Place, np.ndarray], None],
    result: np.ndarray,
    is_held: bool,
) -> None:
    """Compute a result block by block.  Those that are held are stored when the next one is
    computed, for the array may lie where results go."""
    last: tuple[np.ndarray, np.ndarray] | None = None
    for block in blocks:
        values = np.empty(result[block.inputs].shape, result.dtype) if is_held else result
        compute(block.inputs, values)
        if last is not None:
            convert(*last)
        last = (values[block.kept], result[block.out]) if is_held else None
    if last is not None:
        convert(*last)


def result_of(output, array: np.ndarray, is_complex: bool) -> tuple[np.ndarray | None, np.dtype]:
    """The array that a result goes into, if one is given, and the result's dtype."""
    given = check_ndimage.output(output, array, is_complex)
    if isinstance(given, np.ndarray):
        return given, given.dtype
    if is_complex and given.kind != "c":
        warnings.warn("promoting specified output dtype to complex", stacklevel=4)
        given = np.promote_types(given, np.complex64)
    return None, given


def _are_one(dtype: np.dtype, other: np.dtype) -> bool:
    """Whether two dtypes are the same in all that users see; equal ones may have other letters, or
    metadata."""
    return dtype == other and dtype.char == other.char and dtype.metadata is other.metadata


def may_spoil(array: np.ndarray, out: np.ndarray) -> bool:
    """Whether writing into `out` may change what is yet to be read, or was written."""
    return np.may_share_memory(array, out) or fitting.may_overlap_itself(Layout.of(out))


def _reaches(terms: Terms, ndim: int) -> list[Beyond]:
    """How far terms look along each axis of an array."""
    reaches = [Beyond()] * ndim
    for steps in terms:
        of_term = [Beyond()] * ndim
        for step in steps:
            each = zip(step.weights.shape, step.before, step.modes, strict=True)
            for i, (size, before, mode) in enumerate(each):
                wraps = mode == "wrap" and size > 1
                of_term[i] = of_term[i].then(Beyond(before, size - 1 - before, wraps))
        reaches = [each.beside(other) for each, other in zip(reaches, of_term, strict=True)]
    return reaches


def combine(
    terms: Sequence[Callable[[Any], np.ndarray]], total: np.ndarray, is_magnitude: bool
) -> None:
    """Put a sum, or the root of the sum of squares, into an array.

    Parameters
    ----------
    terms : sequence of callable
        Each is given an array that its term goes into, or the dtype of a new one.
    """
    into: Any = total
    for term in terms:
        given = term(into)
        values = total if into is total else given
        with np.errstate(all="ignore"):
            if is_magnitude:
                np.multiply(values, values, out=values)
            if values is not total:
                total += values
        into = total.dtype
    if is_magnitude:
        with np.errstate(all="ignore"):
            np.sqrt(total, out=total, casting="unsafe")


def combined(
    array,
    derivative: Callable[..., np.ndarray],
    output,
    mode,
    axes,
    given: tuple[Any, Sequence[Any], Mapping[str, Any] | None],
    is_magnitude: bool,
) -> np.ndarray:
    """The sum of what a function `derivative` of the user's gives of an array along each axis; or
    the root of the sum of squares.

    Parameters
    ----------
    given : tuple
        The value, the arguments and the keywords that the function gets behind the mode.
    """
    array = check_ndimage.array("input", array)
    target, dtype = result_of(output, array, array.dtype.kind == "c")
    numbers = check_ndimage.axes(axes, array.ndim)
    modes = check_ndimage.per_axis("mode", mode, len(numbers), lambda _, each: each)
    cval, arguments, keywords = given

    def term(axis: int, mode: Any, into: Any) -> np.ndarray:
        return derivative(array, axis, into, mode, cval, *arguments, **(keywords or {}))

    spoils = target is not None and may_spoil(array, target)
    result = np.empty(array.shape, dtype) if target is None or spoils else target
    if numbers:
        each = zip(numbers, modes, strict=True)
        combine([functools.partial(term, *one) for one in each], result, is_magnitude)
    else:
        put(array, result, False)
    if target is None:
        return result
    if spoils:
        convert(result, target)
    return output
