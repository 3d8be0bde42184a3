"""Filters: correlations of an array, one after the other, each of what the last one gave.

What all filters share is here; which steps each has, `steps` says.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from .._plan.elements import HALVES, name_of
from .._plan.halos import WHOLE, Beyond, Halo, halos
from . import check, check_ndimage, elementwise, fitting, fourier
from .copies import convert, copied
from .correlation import correlate
from .layout import Layout
from .missing import Missing
from .rounding import put
from .steps import Step
from .sums import Sums
from .window import Window

SMALL = 1 << 15  # a constant border, whose sums with integers of 16 bits are exact
NARROW = (*HALVES, "float32", "complex64")  # dtypes that are summed in float32

Place: TypeAlias = tuple[Any, ...]  # of a part of an array


class Filter:
    """An array that is filtered, and what is said of that beside the steps; of arguments as the
    user gave them."""

    def __init__(
        self,
        array,
        cval,
        saturate,
        dtype,
        algorithm,
        threads,
        nan_policy="propagate",
        mask=None,
    ) -> None:
        self.array = check_ndimage.array("input", array)
        self._cval = check_ndimage.cval(cval, self.array.dtype.kind == "c")
        self._saturate = check.flag("saturate", saturate)
        self._asked = check_ndimage.sums(dtype)
        self._algorithm = check_ndimage.algorithm(algorithm)
        self._threads = check_ndimage.threads(threads)
        omits = check_ndimage.nan_policy(nan_policy) == "omit"
        hidden = check_ndimage.mask(mask, self.array.shape)
        self._missing = Missing(self.array, omits, hidden, self._cval)

    @property
    def ndim(self) -> int:
        return self.array.ndim

    def may_add(self, output) -> bool:
        """Whether sums of whole weights along several axes, each stored in a result, and then added
        there, are what one sum gives: for floats, but for roundings that `dtype` does not ask for;
        for integers that are small."""
        _, dtype = result_of(output, self.array, self.array.dtype.kind == "c")
        own, cval = self.array.dtype, complex(self._cval)
        if own.kind in "iu":
            is_whole = cval.imag == 0 and cval.real.is_integer() and abs(cval) < SMALL
            return own.itemsize < 4 and dtype.kind in "iuf" and is_whole
        return own.kind in "fc" and dtype.kind in "fc" and self._asked != np.float64

    def apply(self, output, *terms: Sequence[Step], is_magnitude: bool = False) -> np.ndarray:
        """The sum of terms, each of some steps, or the root of the sum of their squares; in
        `output` or in a new array of the dtype that it says."""
        every = self.array.dtype, *(step.weights.dtype for steps in terms for step in steps)
        given, dtype = result_of(output, self.array, any(each.kind == "c" for each in every))
        result = np.empty(self.array.shape, dtype) if given is None else given
        spoils = given is not None and may_spoil(self.array, result)
        is_one = len(terms) == 1 and not is_magnitude
        of_term = dtype if is_one else self._of_total(dtype)
        is_transformed = [self._is_transformed(steps, of_term) for steps in terms]
        is_whole = (is_one and not self._missing.is_any and not spoils) or any(is_transformed)
        blocks = [WHOLE]
        # A block is stored when the next one is computed, as if each element were in its turn.
        if not is_whole and not elementwise.may_spoil(self.array, result):
            sums = self._sums(self.array.dtype, dtype)
            itemsize = max(self.array.itemsize, dtype.itemsize, sums.itemsize)
            blocks = halos(self.array.shape, _reaches(terms, self.ndim), itemsize, spoils)
        if self._missing.is_any:
            compute = self._normalised(terms[0], dtype)
        elif is_one:
            compute = functools.partial(self._run_part, terms[0])
        else:
            compute = functools.partial(self._combine, terms, is_magnitude)
        _by_blocks(blocks, compute, result, spoils or len(blocks) > 1)
        return result if given is None else output

    def _run_part(self, steps: Sequence[Step], at: Place, out: np.ndarray) -> None:
        """Put what steps make of a part of the array into another one."""
        self._run(self.array[at], steps, out, self._cval)

    def _combine(
        self, terms: Sequence[Sequence[Step]], is_magnitude: bool, at: Place, out: np.ndarray
    ) -> None:
        """Put what terms of a part of the array give together into another one."""
        array = self.array[at]
        if not terms:
            put(array, out, self._saturate)
            return
        dtype = self._of_total(out.dtype)
        total = out if dtype == out.dtype else np.empty(out.shape, dtype)

        def computed(steps: Sequence[Step], into: Any) -> np.ndarray:
            term = into if isinstance(into, np.ndarray) else np.empty(array.shape, into)
            self._run(array, steps, term, self._cval)
            return term

        combine([functools.partial(computed, steps) for steps in terms], total, is_magnitude)
        if total is not out:
            put(total, out, self._saturate)

    def _of_total(self, result: np.dtype) -> np.dtype:
        """What terms are added in: as a result, but integers that are rounded once in float64."""
        is_rounded = self._saturate and result.kind in "iu"
        return np.dtype(np.float64) if is_rounded else result

    def _run(self, array: np.ndarray, steps: Sequence[Step], out: np.ndarray, cval: complex):
        """Put what steps make of an array into another one.

        Between steps it is of the result's dtype, as with SciPy, unless that is a half, or is to be
        rounded, which happens once.
        """
        if not steps:
            put(array, out, self._saturate)
        elif out.dtype.kind == "b":
            with _bytes_of(out) as target:
                self._run(array, steps, target, cval)
        elif array.dtype.kind == "b":
            self._run(array.view(np.uint8), steps, out, cval)
        elif any(each.weights.dtype.kind == "c" for each in steps):
            for step in steps:
                self._multiply(array, step, out, cval)
                array = out.copy()
        else:
            if out.dtype.kind == "c" and array.dtype.kind != "c":
                out.imag[...] = 0
            parts = _parts(array)
            values = (cval.real, cval.imag)[: len(parts)]
            for part, target, value in zip(parts, _parts(out)[: len(parts)], values, strict=True):
                self._correlate(part, steps, target, value)

    def _is_transformed(self, steps: Sequence[Step], out: np.dtype) -> bool:
        """Whether transforms compute the steps, of the whole array."""
        if self._algorithm == "auto":
            return False
        if self._algorithm == "fft" and self._missing.is_any:
            raise ValueError("algorithm 'fft' takes no missing elements: use 'auto' or 'fastest'")
        about = self.array, steps, out, self._sums(self.array.dtype, out), self._cval
        return not self._missing.is_any and fourier.is_chosen(self._algorithm, *about)

    def _sums(self, array: np.dtype, out: np.dtype) -> np.dtype:
        """What products are summed in."""
        is_narrow = all(name_of(each.newbyteorder("=")) in NARROW for each in (array, out))
        return self._asked or np.dtype(np.float32 if is_narrow else np.float64)

    def _correlate(
        self, array: np.ndarray, steps: Sequence[Step], out: np.ndarray, cval: float
    ) -> None:
        """Steps of real weights, of a real array."""
        dtype = self._sums(array.dtype, out.dtype)
        if self._is_transformed(steps, out.dtype):
            fourier.correlate(array, steps[0], out, dtype, cval, self._saturate)
            return
        windows = (Window.of(each.weights, each.before, each.modes, cval) for each in steps)
        how = self._asked == np.float64, self._saturate, out.dtype
        correlate(array, out, Sums(tuple(windows), steps[0].order, dtype, *how), self._threads)

    def _multiply(self, array: np.ndarray, step: Step, out: np.ndarray, cval: complex) -> None:
        """A step of complex weights, by real and imaginary parts."""
        parts, factors = _parts(array), _parts(step.weights)
        values = (cval.real, cval.imag)[: len(parts)]
        out[...] = 0
        for i, (part, value) in enumerate(zip(parts, values, strict=True)):
            for j, weights in enumerate(factors):
                target = _parts(out)[i ^ j]
                term = np.empty(out.shape, target.dtype)
                self._correlate(part, [step._replace(weights=weights)], term, value)
                (np.subtract if i and j else np.add)(target, term, out=target)

    def _normalised(
        self, steps: Sequence[Step], result: np.dtype
    ) -> Callable[[Place, np.ndarray], None]:
        """What puts into an array of a dtype what steps make of a part of the array whose missing
        elements have no weight: sums are divided by the share of the weights that is left."""
        sums = self._sums(self.array.dtype, result)
        dtype = np.result_type(sums, np.complex64) if result.kind == "c" else sums
        parts = [each.normalised() for each in steps]
        # A single window stays as it is: which weights are next to nothing depends on the scale.
        parts = parts if len(parts) > 1 else list(steps)
        full = np.empty([1] * self.ndim, sums)
        self._run(np.ones(full.shape, np.bool_), parts, full, 1.0)
        around = (0.0, 0.0) if self._missing.is_border else (self._cval, 1.0)

        def compute(at: Place, out: np.ndarray) -> None:
            array, missing = copied(self.array[at]), self._missing.of(at)
            values, shares = np.empty(array.shape, dtype), np.empty(array.shape, sums)
            array[missing] = 0
            self._run(array, steps, values, around[0])
            self._run(~missing, parts, shares, around[1])
            with np.errstate(all="ignore"):
                nothing, some = shares == 0, shares != full
                # Whole numbers have an exact quotient; that of a full window is left as it is.
                np.multiply(values, full, out=values, where=some)
                np.divide(values, shares, out=values, where=some)
                values[nothing] = np.nan if result.kind in "fcV" else 0
            with _bytes_of(out) as target:
                put(values, target, self._saturate)

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


@contextlib.contextmanager
def _bytes_of(out: np.ndarray) -> Iterator[np.ndarray]:
    """Where results go: for truth values into bytes, as with SciPy, of which 0 is False."""
    if out.dtype.kind != "b":
        yield out
        return
    yield out.view(np.uint8)
    np.not_equal(out.view(np.uint8), 0, out=out)


def _parts(array: np.ndarray) -> list[np.ndarray]:
    return [array.real, array.imag] if array.dtype.kind == "c" else [array]


def result_of(output, array: np.ndarray, is_complex: bool) -> tuple[np.ndarray | None, np.dtype]:
    """The array that a result goes into, if one is given, and the result's dtype."""
    given = check_ndimage.output(output, array, is_complex)
    if isinstance(given, np.ndarray):
        return given, given.dtype
    if is_complex and given.kind != "c":
        warnings.warn("promoting specified output dtype to complex", stacklevel=4)
        given = np.promote_types(given, np.complex64)
    return None, given


def may_spoil(array: np.ndarray, out: np.ndarray) -> bool:
    """Whether writing into `out` may change what is yet to be read, or was written."""
    return np.may_share_memory(array, out) or fitting.may_overlap_itself(Layout.of(out))


def _reaches(terms: Sequence[Sequence[Step]], ndim: int) -> list[Beyond]:
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
