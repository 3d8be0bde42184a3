"""What arguments say, as keys of what is kept for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import check

MOST_BYTES = 1 << 17  # of arrays that are looked at as a whole
MOST_ITEMS = 64  # of a sequence
DEEPEST = 2  # sequences in sequences

# Types whose values never change; and classes that are dtypes, of which others may change.
_CONSTANTS = frozenset((*check.CONSTANTS, complex, np.float32, np.float64, np.int32, np.int64))
_CLASSES = frozenset((float, np.float32, np.float64))


def array(array: np.ndarray) -> tuple[tuple[int, ...], np.dtype, bytes]:
    """What ``np.ndarray`` makes the array from again; hashable."""
    return array.shape, array.dtype, array.tobytes()


def arguments(arguments: tuple) -> tuple | None:
    """What is equal for arguments that say the same alone; None where others may change them, or
    where they are many."""
    kinds = tuple(map(type, arguments))
    # Of these alone a zero's sign says nothing; that of a weight, which is in a sequence, does.
    return (kinds, arguments) if _CONSTANTS.issuperset(kinds) else _each(arguments, kinds, DEEPEST)


def _each(items: tuple, kinds: tuple[type, ...], deepest: int) -> tuple | None:
    """The same of items that are looked at one by one."""
    parts: list[Any] = []
    for item, kind in zip(items, kinds, strict=True):
        part = None
        if kind in _CONSTANTS:
            part = repr(item) if item == 0 else item  # 0.0 == -0.0
        elif kind is np.ndarray:
            if item.nbytes <= MOST_BYTES and not item.dtype.hasobject:
                part = array(item)
        elif kind in (tuple, list):
            if deepest and len(item) <= MOST_ITEMS:
                inner = tuple(item)
                part = _each(inner, tuple(map(type, inner)), deepest - 1)
        elif _is_dtype(item):
            part = item
        if part is None and item is not None:
            return None
        parts.append(part)
    return kinds, tuple(parts)


def never_changes(argument: Any, deepest: int = DEEPEST) -> bool:
    """Whether an argument says the same as long as it is the very same object."""
    if type(argument) is tuple:
        return deepest > 0 and all(never_changes(each, deepest - 1) for each in argument)
    return type(argument) in _CONSTANTS or _is_dtype(argument)


def _is_dtype(item: Any) -> bool:
    """Whether it is a dtype that nobody can change, or a class that stands for one."""
    return issubclass(type(item), np.dtype) or (type(item) is type and item in _CLASSES)
