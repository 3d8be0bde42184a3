"""Softmax along one axis of an array.

Rows that follow each other are computed in place; others are copied to and fro, some at a time.  A
row is summed block by block: sums of BLOCK elements in the kernel's order, then these in theirs.
"""

from __future__ import annotations

from math import prod

import numpy as np

from .._plan.elements import name_of
from .._plan.registry import Row
from .._plan.select import softmax_row
from .._plan.softmax import (
    BLOCK,
    EXPONENTIALS,
    PEAKS,
    QUOTIENTS,
    WHOLE,
    softmax_microseconds,
    softmax_words,
)
from . import check
from .copies import convert
from .dtypes import floats_in
from .elementwise import (
    PIECE,
    WholeCall,
    fills_memory,
    is_short,
    kept_call,
    may_spoil,
    result_of,
    row_and_rung,
    share,
)
from .jobs import Call, call_of, job_of
from .ladder import Rung


def softmax(array, axis, out, n_threads) -> np.ndarray:
    """The softmax of arguments as the user gave them."""
    if n_threads is not None:
        n_threads = check.integer("threads", n_threads, 1)
    array = check.array("array", array)
    dtype = check.floats_of("array", array)
    axis = check.axis(axis, array.ndim)
    if out is None and n_threads in (None, 1):
        call, copies = kept_call(_whole_call, array, axis)
        if call is not None:
            result = np.empty_like(array)
            if copies:
                rows = np.moveaxis(array, axis, -1).copy()
                call(rows, rows, None)
                np.copyto(np.moveaxis(result, axis, -1), rows)
            else:
                call(array, result, None)
            return result
    result = result_of(array, dtype, out)
    own = np.empty_like(array, dtype) if out is not None and may_spoil(array, result) else result
    if own.size:
        with np.errstate(all="ignore"):
            rows = Rows(floats_in(name_of(dtype)), n_threads)
            rows.compute(np.moveaxis(array, axis, -1), np.moveaxis(own, axis, -1))
    if own is not result:
        convert(own, result)
    return result if out is None else out


def _whole_call(array: np.ndarray, axis: int) -> WholeCall:
    found, length = row_and_rung(array.dtype.name, softmax_row), array.shape[axis]
    if found is None or length > BLOCK or not array.dtype.isnative:
        return None, False
    row, rung = found
    if not is_short(softmax_microseconds(row, array.size), array):
        return None, False
    follow = array.strides[axis] == array.itemsize and fills_memory(array)
    rows = array.size // length
    return _call_of(row, rung, WHOLE, rows, length, np.empty(0, array.dtype)), not follow


def _call_of(
    row: Row, rung: Rung, step: int, rows: int, length: int, blocks: np.ndarray, n_threads: int = 1
) -> Call:
    """One call of compiled code; `blocks` has what a step reads or writes for each."""
    words = softmax_words(row, step, rows, length)
    job = job_of(rung, row, words, blocks.ctypes.data, blocks)
    return call_of(rung, [job], n_threads)


class Rows:
    """Softmax along the last axis of arrays, in a dtype that is computed in."""

    def __init__(self, computed: str, n_threads: int | None) -> None:
        self._dtype, self._n_threads = np.dtype(computed), n_threads
        self._found = row_and_rung(computed, softmax_row)

    def compute(self, source: np.ndarray, target: np.ndarray) -> None:
        """Compute arrays of one shape, piece by piece."""
        *leading, length = source.shape
        if self._follow(source) and self._follow(target):
            self._in_place(source.reshape(-1, length), target.reshape(-1, length))
        elif source.size <= PIECE or prod(leading) == 1:
            rows = np.empty((prod(leading), length), self._dtype)
            convert(source, rows.reshape(source.shape))
            self._in_place(rows, rows)
            convert(rows.reshape(target.shape), target)
        else:
            axis = int(np.argmax(leading))
            middle = leading[axis] // 2
            for half in (slice(middle), slice(middle, None)):
                at = (*[slice(None)] * axis, half)
                self.compute(source[at], target[at])

    def _follow(self, array: np.ndarray) -> bool:
        """Whether rows follow each other, of the dtype that is computed in."""
        flags = array.flags
        return flags.c_contiguous and flags.aligned and array.dtype == self._dtype

    def _in_place(self, source: np.ndarray, target: np.ndarray) -> None:
        length = source.shape[1]
        if self._found is None or length > BLOCK:
            for row, result in zip(source, target, strict=True):
                self._long_row(row, result)
            return
        some = max(1, PIECE // length)
        for first in range(0, len(source), some):
            rows = slice(first, first + some)
            self._run(WHOLE, source[rows], target[rows])

    def _long_row(self, source: np.ndarray, target: np.ndarray) -> None:
        """A row, step by step, in pieces of blocks."""
        pieces = [slice(at, at + PIECE) for at in range(0, len(source), PIECE)]
        if self._found is None:
            peak = np.fmax.reduce([np.fmax.reduce(source[each]) for each in pieces])
            for each in pieces:
                np.exp(source[each] - peak, out=target[each])
            total = np.add.accumulate([np.add.reduce(target[each]) for each in pieces])[-1]
            for each in pieces:
                target[each] /= total
            return
        peaks = [self._run(PEAKS, source[each], target[each]) for each in pieces]
        peak = np.fmax.reduce(np.concatenate(peaks))
        sums = [self._run(EXPONENTIALS, source[each], target[each], peak) for each in pieces]
        total = np.add.accumulate(np.concatenate(sums))[-1]
        for each in pieces:
            self._run(QUOTIENTS, target[each], target[each], total)

    def _run(self, step: int, source: np.ndarray, target: np.ndarray, value=0) -> np.ndarray:
        """One call of compiled code; the elements that a step writes for each block.

        Parameters
        ----------
        value : float
            The peak or the sum of a row, if the step wants it.
        """
        assert self._found is not None
        row, rung = self._found
        rows, length = source.shape if step == WHOLE else (1, len(source))
        blocks = np.empty(0 if step == WHOLE else 2 + length // BLOCK, self._dtype)
        blocks[:1] = value

        def call(source: np.ndarray, target: np.ndarray, n_threads: int) -> None:
            _call_of(row, rung, step, rows, length, blocks, n_threads)(source, target, None)

        share(call, softmax_microseconds(row, source.size), source, target, self._n_threads)
        first = 1 if step == EXPONENTIALS else 0
        return blocks[first : first - (-length // BLOCK)]
