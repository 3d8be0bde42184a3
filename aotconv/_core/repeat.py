"""Calls that are made again: compiled code finds out whether their arguments are what they were.

Python's own checks of a tiny call take several times what its kernel does, and those of a filter as
long as half a megapixel.  What they found for a call is kept in words that compiled code compares
with the objects of the next.  Where anything differs it has done nothing, and Python checks as at
first.
"""

import ctypes
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._plan.family import ALIGNMENT, SCRATCH_BYTES
from .._plan.repeat import CALL_FIELDS, LAYOUT_FIELDS, SCRATCH_FIELDS
from . import ladder
from .baseline import exported
from .jobs import Jobs
from .kept import keep
from .layout import ALIGNED, WRITEABLE, Layout

MOST_STAGING = 1 << 18  # bytes that a call may want that compiled code computes

# Computes ``(images, out, third)``.
Computing: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray | None], None]


class Expected(NamedTuple):
    """An array that an argument must be like."""

    layout: Layout
    mask: int = ALIGNED  # bits of its flags that matter
    contents: np.ndarray | None = None  # what it must hold, if it is contiguous

    @classmethod
    def holding(cls, contents: np.ndarray) -> "Expected":
        """An array that is contiguous, as this one is, and holds the same."""
        return cls(Layout.new(contents.shape, contents.dtype), contents=contents)


class Known(NamedTuple):
    """A call that compiled code knows.

    Attributes
    ----------
    repeat : callable
        Gives the result of ``(images, out)``, or of ``(images, out, others)``, in `out` or in a new
        array; None where these are not as they were.
    images, out : dtype
        Of what the call was of, and of its results.
    """

    repeat: Callable[..., np.ndarray | None]
    images: np.dtype
    out: np.dtype


def know(
    jobs: Jobs | None,
    compute: Computing,
    images: Layout,
    out: Layout,
    others: Sequence[Any] = (),
) -> Known | None:
    """The call on arrays of such layouts, if compiled code can know it.

    It cannot where there is no GIL to keep other threads from changing an array that is looked at.

    Parameters
    ----------
    jobs : Jobs or None
        What the call computes on this thread, where compiled code may do so itself.
    compute : callable
        What computes it else, of ``(images, out, None)``.
    others : sequence
        What it depends on beside them: `Expected` arrays, and other objects, which must be the very
        same.
    """
    repeat = exported("repeat") if _has_gil() else None
    if repeat is None or not _are_arrays_as_expected():
        return None
    if jobs is not None and jobs.staging > MOST_STAGING:
        jobs = None
    given = [Expected(images), Expected(out, ALIGNED | WRITEABLE), *others]
    scratch = _scratch()
    arguments, memory = [], [jobs, scratch, *given]
    for each in given:
        if isinstance(each, Expected):
            memory.append(_layout_words(*each))
            arguments += [memory[-1].ctypes.data, 0]
        else:
            arguments += [0, id(each)]
    values = {
        "count": len(given),
        "head": object.__basicsize__,
        "array": id(np.ndarray),
        "jobs": 0 if jobs is None else jobs.address,
        "scratch": scratch.ctypes.data,
    }
    words = np.array([*(values[name] for name in CALL_FIELDS), *arguments], np.int64)
    about = repeat, words, out, memory
    shared = jobs is None
    call = _shared(*about, images.shape, compute) if shared else _alone(*about, bool(others))
    return Known(call, images.dtype, out.dtype)


def _alone(
    repeat: Callable[..., int], words: np.ndarray, out: Layout, memory: Any, has_others: bool
) -> Callable[..., np.ndarray | None]:
    """What repeats a call that compiled code computes; that knows words and memory by address."""
    address, shape, dtype, empty = words.ctypes.data, out.shape, out.dtype, np.empty

    def alone(images, out, _memory=(words, memory)) -> np.ndarray | None:
        result = empty(shape, dtype) if out is None else out
        return result if repeat(address, images, result) else None

    def with_others(images, out, others, _memory=(words, memory)) -> np.ndarray | None:
        result = empty(shape, dtype) if out is None else out
        return result if repeat(address, images, result, *others) else None

    return with_others if has_others else alone  # to unpack nothing takes a tenth of a call


def _shared(
    repeat: Callable[..., int],
    words: np.ndarray,
    out: Layout,
    memory: Any,
    images_shape: tuple[int, ...],
    compute: Computing,
) -> Callable[..., np.ndarray | None]:
    """The same where Python computes, once compiled code has compared."""
    address, shape, dtype = words.ctypes.data, out.shape, out.dtype

    def repeated(images, out, others=(), _memory=(words, memory)) -> np.ndarray | None:
        # A result may be large: none is made for images of another shape.
        if type(images) is not np.ndarray or images.shape != images_shape:
            return None
        result = np.empty(shape, dtype) if out is None else out
        if type(result) is not np.ndarray:
            return None
        # Nobody else can change the shapes of these once they are known.
        images, seen = images.view(), result.view()
        if not repeat(address, images, seen, *others):
            return None
        compute(images, seen, None)
        return result

    return repeated


class KnownCalls:
    """Calls of a function that are known, one for each first argument and for results that are
    given, or new."""

    def __init__(self) -> None:
        # Beside a call, what `use` said.
        self._calls: dict[
            tuple[int, bool],
            tuple[ladder.Implementation | None, Callable[..., np.ndarray | None]],
        ] = {}

    def repeated(self, images, out, arguments: tuple) -> np.ndarray | None:
        """The result of such arguments, if the call is known."""
        found = self._calls.get((id(arguments[0]), out is None))
        if found is None or found[0] is not ladder.forced():
            return None
        return found[1](images, out, arguments)

    def add(self, out, arguments: tuple, call: Known | None) -> None:
        """Keep a call with such arguments, if it is known."""
        if call is not None:
            keep(self._calls, (id(arguments[0]), out is None), (ladder.forced(), call.repeat))

    def clear(self) -> None:
        self._calls.clear()


def _has_gil() -> bool:
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def _layout_words(layout: Layout, mask: int, contents: np.ndarray | None) -> np.ndarray:
    steps = [stride * (size - 1) for size, stride in zip(layout.shape, layout.strides, strict=True)]
    values = {
        "axes": len(layout.shape),
        "dtype": id(layout.dtype),
        "mask": mask,
        "flags": layout.flags & mask,
        "low": sum(step for step in steps if step < 0),
        "high": sum(step for step in steps if step > 0) + layout.dtype.itemsize,
        "contents": 0 if contents is None else contents.ctypes.data,
    }
    words = [values[name] for name in LAYOUT_FIELDS]
    return np.array([*words, *layout.shape, *layout.strides], np.int64)


@functools.cache
def _scratch() -> np.ndarray:
    """Words of SCRATCH_FIELDS, behind which the memory itself lies."""
    words = np.zeros((ALIGNMENT + SCRATCH_BYTES + MOST_STAGING) // 8 + ALIGNMENT // 8, np.int64)
    behind = words.ctypes.data + 8 * len(SCRATCH_FIELDS)
    words[SCRATCH_FIELDS.index("place")] = behind + -behind % ALIGNMENT
    if hasattr(os, "register_at_fork"):  # who had it is not in the child
        taken = SCRATCH_FIELDS.index("taken")
        os.register_at_fork(after_in_child=lambda: words.__setitem__(taken, 0))
    return words


@functools.cache
def _are_arrays_as_expected() -> bool:
    """Whether NumPy's arrays lie in memory as compiled code expects."""
    array = np.empty((3, 5), np.float32)
    words = (ctypes.c_int64 * 7).from_address(id(array) + object.__basicsize__)
    data, n_axes, sizes, strides, _, description, flags = words
    if (data, description) != (array.ctypes.data, id(array.dtype)):
        return False
    if [value & 0xFFFFFFFF for value in (n_axes, flags)] != [2, array.flags.num]:
        return False
    pairs = (ctypes.c_int64 * 2).from_address(sizes), (ctypes.c_int64 * 2).from_address(strides)
    return [tuple(each) for each in pairs] == [array.shape, array.strides]
