"""Filters: correlations of an array, one after the other, each of what the last one gave.

What all filters share is here; which steps each has, `steps` says.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .._plan.elements import HALVES, name_of
from . import check, check_ndimage, fitting, fourier
from .copies import convert, copied
from .correlation import correlate
from .layout import Layout
from .rounding import put
from .steps import Step
from .window import Window

SMALL = 1 << 15  # a constant border, whose sums with integers of 16 bits are exact
NARROW = (*HALVES, "float32", "complex64")  # dtypes that are summed in float32


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
        self._transforms = False
        self._threads = check_ndimage.threads(threads)
        self._omits = check_ndimage.nan_policy(nan_policy) == "omit"
        self._mask = check_ndimage.mask(mask, self.array.shape)

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

    def apply(self, steps: Sequence[Step], output) -> np.ndarray:
        """The result of the steps, in `output` or in a new array of the dtype that it says."""
        every = self.array.dtype, *(each.weights.dtype for each in steps)
        given, dtype = result_of(output, self.array, any(each.kind == "c" for each in every))
        if given is None or may_spoil(self.array, given):
            result = np.empty(self.array.shape, dtype)
        else:
            result = given
        missing = self._missing()
        if self._algorithm != "auto":
            self._transforms = self._is_transformed(steps, result.dtype, missing is not None)
        if missing is None:
            self._run(self.array, steps, result, self._cval)
        else:
            self._run_without(missing, steps, result)
        if given is None:
            return result
        if result is not given:
            convert(result, given)
        return output

    def _run(self, array: np.ndarray, steps: Sequence[Step], out: np.ndarray, cval: complex):
        """Put what steps make of an array into another one.

        Between steps it is of the result's dtype, as with SciPy, unless that is a half, or is to be
        rounded, which happens once.
        """
        if not steps:
            put(array, out, self._saturate)
        elif out.dtype.kind == "b":  # any byte, as with SciPy, until the last step
            self._run(array, steps, out.view(np.uint8), cval)
            np.not_equal(out.view(np.uint8), 0, out=out)
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

    def _is_transformed(self, steps: Sequence[Step], out: np.dtype, has_missing: bool) -> bool:
        """Whether transforms compute the steps."""
        if self._algorithm == "fft" and has_missing:
            raise ValueError("algorithm 'fft' takes no missing elements: use 'auto' or 'fastest'")
        sums = self._sums(self.array.dtype, out)
        about = self.array, steps, out, sums, self._cval
        return not has_missing and fourier.is_chosen(self._algorithm, *about)

    def _sums(self, array: np.dtype, out: np.dtype) -> np.dtype:
        """What products are summed in."""
        is_narrow = all(name_of(each.newbyteorder("=")) in NARROW for each in (array, out))
        return self._asked or np.dtype(np.float32 if is_narrow else np.float64)

    def _correlate(
        self, array: np.ndarray, steps: Sequence[Step], out: np.ndarray, cval: float
    ) -> None:
        """Steps of real weights, of a real array."""
        sums = self._sums(array.dtype, out.dtype)
        if self._transforms:
            fourier.correlate(array, steps[0], out, sums, cval, self._saturate)
            return
        correlate(
            array,
            [Window.of(each.weights, each.before, each.modes, cval) for each in steps],
            out,
            order=steps[0].order,
            sums=sums,
            as_listed=self._asked == np.float64,
            saturate=self._saturate,
            threads=self._threads,
        )

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

    def _missing(self) -> np.ndarray | None:
        """Which elements are missing; None: the filter looks at none of them apart."""
        if not self._omits and self._mask is None:
            return None
        missing = np.isnan(self.array) if self._omits else np.zeros(self.array.shape, np.bool_)
        if self._mask is not None:
            missing |= self._mask
        return missing if missing.any() or self._hides_border else None

    @property
    def _hides_border(self) -> bool:
        """Whether what is beyond the array's ends is missing, too, where it is a constant."""
        return self._omits and bool(np.isnan(self._cval))

    def _run_without(self, missing: np.ndarray, steps: Sequence[Step], out: np.ndarray) -> None:
        """The same of an array whose missing elements have no weight: sums are divided by the share
        of the weights that is left."""
        array, shape = copied(self.array), self.array.shape
        array[missing] = 0
        sums = self._sums(array.dtype, out.dtype)
        dtype = np.result_type(sums, np.complex64) if out.dtype.kind == "c" else sums
        values, shares = np.empty(shape, dtype), np.empty(shape, sums)
        whole = np.empty([1] * len(shape), sums)
        parts = [each.normalised() for each in steps]
        # A single window stays as it is: which weights are next to nothing depends on the scale.
        parts = parts if len(parts) > 1 else list(steps)
        around = (0.0, 0.0) if self._hides_border else (self._cval, 1.0)
        self._run(array, steps, values, around[0])
        self._run(~missing, parts, shares, around[1])
        self._run(np.ones(whole.shape, np.bool_), parts, whole, 1.0)
        with np.errstate(all="ignore"):
            nothing, some = shares == 0, shares != whole
            # Whole numbers have an exact quotient; that of a full window is left as it is.
            np.multiply(values, whole, out=values, where=some)
            np.divide(values, shares, out=values, where=some)
            values[nothing] = np.nan if out.dtype.kind in "fcV" else 0
        if out.dtype.kind == "b":  # a truncated byte, as without missing elements
            result = np.empty(shape, np.uint8)
            put(values, result, self._saturate)
            np.not_equal(result, 0, out=out)
        else:
            put(values, out, self._saturate)


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


def combined(
    array,
    derivative: Callable[..., np.ndarray],
    output,
    mode,
    axes,
    given: tuple[Any, Sequence[Any], Mapping[str, Any] | None],
    is_magnitude: bool,
    saturate: bool | None = None,
) -> np.ndarray:
    """The sum of what a function `derivative` gives of an array along each axis; or the root of the
    sum of squares.

    Parameters
    ----------
    given : tuple
        The value, the arguments and the keywords that the function gets behind the mode.
    saturate : bool, optional
        As the doors have it; None: of a function of the user's, who also says what a mode is.
    """
    array = check_ndimage.array("input", array)
    target, dtype = result_of(output, array, array.dtype.kind == "c")
    numbers = check_ndimage.axes(axes, array.ndim)
    modes = check_ndimage.per_axis("mode", mode, len(numbers), lambda _, each: each)
    cval, arguments, keywords = given
    if saturate is not None:
        saturate = check.flag("saturate", saturate)
        check_ndimage.modes(mode, len(numbers))
    is_rounded = saturate is True and dtype.kind in "iu" and len(numbers) > 0
    result = np.empty(array.shape, dtype) if target is None else target
    total = np.empty(array.shape, np.float64) if is_rounded else result
    if total is target and may_spoil(array, total):
        total = np.empty(array.shape, dtype)
    if not numbers:
        put(array, total, saturate is True)
    into: Any = total
    for axis, each in zip(numbers, modes, strict=True):
        term = derivative(array, axis, into, each, cval, *arguments, **(keywords or {}))
        term = total if into is total else term
        with np.errstate(all="ignore"):
            if is_magnitude:
                np.multiply(term, term, out=term)
            if term is not total:
                total += term
        into = total.dtype
    if is_magnitude and numbers:
        with np.errstate(all="ignore"):
            np.sqrt(total, out=total, casting="unsafe")
    if total is not result:
        put(total, result, is_rounded)
    return result if target is None else output
