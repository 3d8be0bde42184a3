"""Functions of arrays, element by element: activations, erf and exp.

NumPy's iterator cuts arrays of any layouts into pieces whose elements follow each other, in the
dtype that is computed in: what lies so already is neither copied nor converted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from .._plan.activations import CLAMPS, Activation
from .._plan.elements import name_of
from .._plan.elementwise import elementwise_microseconds, elementwise_words
from .._plan.registry import FLOAT_DTYPES, Row
from .._plan.select import elementwise_row
from . import check, fitting, ladder, threads
from .activations import activate
from .copies import convert
from .dtypes import floats_in
from .jobs import Call, call_of, job_of
from .kept import keep
from .ladder import Rung
from .layout import Layout, key_of

PIECE = 1 << 18  # elements of one call: Python answers signals in between

# The call of an array that one thread computes at once, into one that lies alike, and whether it
# takes a copy, since the array's elements do not lie as compiled code wants them; None of others.
WholeCall: TypeAlias = tuple[Call | None, bool]
_calls: dict[tuple[Any, ...], WholeCall] = {}

# Computes ``(source, target, threads)``, arrays of one dtype whose elements follow each other.
Step: TypeAlias = Callable[[np.ndarray, np.ndarray, int], None]


def evaluate(array, finish: Activation, out, n_threads) -> np.ndarray:
    """A function, of FINISHES, of an array's elements, of arguments as the user gave them."""
    if n_threads is not None:
        n_threads = check.integer("threads", n_threads, 1)
    array = check.array("array", array)
    if out is None and n_threads in (None, 1):
        call, copies = kept_call(_whole_call, array, finish)
        if call is not None:
            source = array.copy(order="K") if copies else array
            result = np.empty_like(source)
            call(source, result, None)
            return result
    floats = check.floats_of("array", array)
    keeps = finish in CLAMPS and array.dtype.kind in "iu"
    dtype = array.dtype.newbyteorder("=") if keeps else floats
    result = result_of(array, dtype, out)
    if out is not None and may_spoil(array, result):
        own = np.empty_like(array, dtype)
        _compute(array, own, finish, n_threads)
        convert(own, result)
    else:
        _compute(array, result, finish, n_threads)
    return result if out is None else out


def kept_call(make: Callable[..., WholeCall], array: np.ndarray, about: Any) -> WholeCall:
    """What `make` makes of an array, and of what else decides how it is computed; kept."""
    key = make, ladder.active().name, key_of(array), about
    return _calls.get(key) or keep(_calls, key, make(array, about))


def _whole_call(array: np.ndarray, finish: Activation) -> WholeCall:
    found = row_and_rung(array.dtype.name) if array.dtype.isnative else None
    if found is None or not is_short(elementwise_microseconds(found[0], array.size), array):
        return None, False
    return _call(*found, finish, array.size, 1), not fills_memory(array)


def fills_memory(array: np.ndarray) -> bool:
    """Whether elements lie side by side, in whichever order of axes, as compiled code takes
    them."""
    order = sorted(range(array.ndim), key=array.strides.__getitem__, reverse=True)
    return array.flags.aligned and array.transpose(order).flags.c_contiguous


def is_short(microseconds: float, array: np.ndarray) -> bool:
    """Whether one thread computes an array in one call."""
    return microseconds < threads.WORTH_SHARING and 0 < array.size <= PIECE


def result_of(array: np.ndarray, dtype: np.dtype, out) -> np.ndarray:
    """Where a function of an array is written: `out` of that dtype, or a new array."""
    if out is None:
        return np.empty_like(array, dtype)
    result = check.out_array(out)
    fitting.out_fits(Layout.of(result), array.shape, dtype)
    return result


def may_spoil(array: np.ndarray, result: np.ndarray) -> bool:
    """Whether writing a result may change elements of the array that are yet to be read, or some of
    its own."""
    if fitting.may_overlap_itself(Layout.of(result)):
        return True
    same = array.dtype == result.dtype and array.strides == result.strides
    if same and array.ctypes.data == result.ctypes.data:
        return False
    return np.may_share_memory(array, result)


def row_and_rung(
    computed: str, of: Callable[[Row], Row] = elementwise_row
) -> tuple[Row, Rung] | None:
    """The row of a dtype and who compiles it; None where NumPy computes."""
    rung = ladder.rung(computed) if computed in FLOAT_DTYPES else None
    if rung is None:
        return None
    row = of(Row("", computed, rung.level, 1, 1))
    return None if rung.task(row) is None else (row, rung)


def share(
    step: Step, microseconds: float, source: np.ndarray, target: np.ndarray, n_threads: int | None
) -> None:
    """Call a step with as many threads as were asked for, or as it is worth."""
    if n_threads is not None:
        step(source, target, threads.at_most(n_threads))
    elif microseconds < threads.WORTH_SHARING:
        step(source, target, 1)
    else:
        threads.share(step, microseconds, source, target)


def _compute(
    source: np.ndarray, target: np.ndarray, finish: Activation, n_threads: int | None
) -> None:
    dtype = target.dtype
    computed = dtype if dtype.kind in "iu" else np.dtype(floats_in(name_of(dtype)))
    found = None if dtype.kind in "iu" else row_and_rung(computed.name)
    flags: Any = ["external_loop", "buffered", "zerosize_ok"]
    contiguous: Any = ["contig", "aligned", "nbo"]
    with (
        np.errstate(all="ignore"),
        np.nditer(
            [source, target],
            flags=flags,
            op_flags=[["readonly", *contiguous], ["writeonly", *contiguous]],
            op_dtypes=[computed, computed],
            casting="unsafe",
            buffersize=PIECE,
        ) as pieces,
    ):
        for some, result in pieces:
            if found is None:
                np.copyto(result, some)
                activate(result, finish)
            else:
                microseconds = elementwise_microseconds(found[0], result.size)
                step = functools.partial(_piece, found, finish)
                share(step, microseconds, some, result, n_threads)


def _piece(
    found: tuple[Row, Rung],
    finish: Activation,
    source: np.ndarray,
    target: np.ndarray,
    n_threads: int,
) -> None:
    _call(*found, finish, target.size, n_threads)(source, target, None)


@functools.lru_cache(maxsize=64)
def _call(row: Row, rung: Rung, finish: Activation, elements: int, n_threads: int) -> Call:
    job = job_of(rung, row, elementwise_words(row, finish, elements))
    return call_of(rung, [job], n_threads)
