"""Objects that lie, and values without an end."""

from __future__ import annotations

from typing import Any

import numpy as np

ERRORS = [ZeroDivisionError, ValueError, AttributeError, OSError]  # that lies raise
KINDS = [int, bool, str, np.ndarray, np.ma.MaskedArray]  # that lies pretend to be


class OddInt(int):
    """An integer whose own methods say other things."""

    def __index__(self):
        return 77

    __int__ = __index__

    def __eq__(self, other):
        raise ZeroDivisionError("compared")

    __lt__ = __le__ = __gt__ = __ge__ = __ne__ = __eq__

    def __hash__(self):
        raise ZeroDivisionError("hashed")

    def __repr__(self):
        raise ZeroDivisionError("shown")


class OddFloat(float):
    """A float whose own methods raise."""

    def __eq__(self, other):
        raise ZeroDivisionError("compared")

    __lt__ = __le__ = __gt__ = __ge__ = __ne__ = __bool__ = __repr__ = __float__ = __eq__

    def __hash__(self):
        raise ZeroDivisionError("hashed")


class Index:
    """An object with __index__: each look gives the next value, then the last for ever."""

    def __init__(self, *values):
        self.values = list(values)

    def __index__(self):
        value = self.values[0] if len(self.values) == 1 else self.values.pop(0)
        if isinstance(value, BaseException):
            raise value
        return value


class OddStr(str):
    """A string that says it equals everything, and whose methods lie."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return hash("NHWC")

    def lower(self):
        return "valid"

    def __str__(self):
        return "valid"


class RaisingStr(str):
    def __eq__(self, other):
        raise ZeroDivisionError("compared")

    def __hash__(self):
        raise ZeroDivisionError("hashed")

    __repr__ = __str__ = lower = __hash__


class Unshown:
    def __repr__(self):
        raise RuntimeError("shown")


class Pretends:
    """An object whose __class__ is another's."""

    def __init__(self, kind):
        self.kind = kind

    @property
    def __class__(self):
        if isinstance(self.kind, BaseException):
            raise self.kind
        return self.kind


class LyingLength:
    """A sequence whose length and items do not agree, with a hint beyond all memory."""

    def __init__(self, length, *items):
        self.length, self.items = length, items

    def __len__(self):
        return self.length

    def __length_hint__(self):
        return 2**62

    def __getitem__(self, index):
        return self.items[index]


class Raises:
    """Every protocol raises."""

    def __init__(self, error=ZeroDivisionError):
        self.error = error

    def __getattr__(self, name):
        raise self.error(name)

    def __len__(self):
        raise self.error("len")

    def __iter__(self):
        raise self.error("iter")

    def __index__(self):
        raise self.error("index")

    def __array__(self, dtype=None, copy=None):
        raise self.error("array")

    def __repr__(self):
        raise self.error("repr")


class WithArray:
    """An object with __array__: each look gives the next value, then the last for ever."""

    def __init__(self, *values):
        self.values = list(values)

    def __array__(self, dtype=None, copy=None):
        return self.values[0] if len(self.values) == 1 else self.values.pop(0)


class WithDLPack:
    def __init__(self, array, capsule=None):
        self.array, self.capsule = array, capsule

    def __dlpack__(self, **options):
        if isinstance(self.capsule, BaseException):
            raise self.capsule
        return self.array.__dlpack__(**options) if self.capsule is None else self.capsule

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class WithInterface:
    def __init__(self, interface):
        self.__array_interface__ = interface


class Subclass(np.ndarray):
    pass


class LyingArray(np.ndarray):
    """What it says of itself is not so."""

    shape = property(lambda self: (1, 1, 1, 1))  # type: ignore[assignment]
    ndim = property(lambda self: 0)  # type: ignore[assignment]
    strides = property(lambda self: (0, 0, 0, 0))  # type: ignore[assignment]
    dtype = property(lambda self: np.dtype(bool))  # type: ignore[assignment]
    nbytes = property(lambda self: 0)  # type: ignore[assignment]

    def __getitem__(self, key):
        return "what?"

    def __array_finalize__(self, other):
        if other is not None and type(other) is LyingArray:
            raise ZeroDivisionError("finalized")

    def __array_function__(self, *args, **options):
        raise ZeroDivisionError("function")

    def view(self, *args):
        raise ZeroDivisionError("viewed")

    astype = copy = tobytes = transpose = __array__ = view  # type: ignore[assignment]


def array_of_itself() -> WithArray:
    value = WithArray(None)
    value.values = [value]
    return value


def self_holding() -> list:
    value: list = [1]
    value.append(value)
    return value


def deep_list(depth: int) -> list:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value
