"""The arguments of `ndimage` by themselves, as SciPy takes them: in their one canonical form, or
refused, as `check` does, of whose functions these are made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .._plan.elements import HALVES, name_of
from . import check
from .check import shown

# SciPy's names of what is around an array, and those of `_plan.borders`.
MODES = {
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "mirror": "reflect",
    "nearest": "edge",
    "wrap": "wrap",
    "grid-wrap": "wrap",
    "constant": "constant",
    "grid-constant": "constant",
}
NAN_POLICIES = ("propagate", "omit")
ALGORITHMS = ("auto", "fft", "fastest")
SUMS = ("float32", "float64")

Each = TypeVar("Each")


class ArgumentError(ValueError, RuntimeError):
    """A ValueError, where SciPy raises a RuntimeError."""


def array(name: str, value) -> np.ndarray:
    """`value` as an ndarray of real or complex numbers, or of truth values."""
    value = check.plain(name, value)
    floats_in_sums(name, value.dtype)
    return value


def floats_in_sums(name: str, dtype: np.dtype) -> None:
    """Refuse elements that are not truth values, integers or floats that float64 holds."""
    is_known = dtype.kind in "biufc" or name_of(dtype) in HALVES
    if not is_known or dtype.char in "gG":
        raise TypeError(
            f"{name} must hold truth values, integers, floats of at most 64 bits or complex "
            f"numbers of these, got dtype {dtype}"
        )


def weights(name: str, value) -> np.ndarray:
    """`value` as a new array of float64 or complex128."""
    value = array(name, value)
    return np.array(value, np.complex128 if value.dtype.kind == "c" else np.float64)


def line(name: str, value) -> np.ndarray:
    """The weights of one axis."""
    line = weights(name, value)
    if line.ndim != 1 or line.size == 0:
        raise ArgumentError(
            f"{name} must have one axis and at least one element, got shape {line.shape}"
        )
    return line


def mask(value, shape: tuple[int, ...]) -> np.ndarray | None:
    """Truth values, one for each element of an array of a shape, or such as are broadcast."""
    if value is None:
        return None
    mask = check.plain("mask", value)
    if mask.dtype != np.bool_:
        raise TypeError(f"mask must hold truth values, got dtype {mask.dtype}")
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(
            f"mask must have the input's shape {shape}, or one that is broadcast to it, got "
            f"{mask.shape}"
        ) from None


def mode(name: str, value) -> str:
    """The name in `_plan.borders.BORDERS` of one of SciPy's."""
    return MODES[check.one_of(name, value, tuple(MODES))]


def integer(name: str, value, minimum: int = -sys.maxsize) -> int:
    """`value` as an int, in SciPy's words."""
    if issubclass(type(value), float):
        raise TypeError(
            f"{name}: 'float' object cannot be interpreted as an integer, got {shown(value)}"
        )
    return check.integer(name, value, minimum)


def axis(value, n_axes: int, name: str = "axis") -> int:
    """The number of an axis from the first; negative ones count from behind the last."""
    number = integer(name, value)
    if not -n_axes <= number < n_axes:
        raise ValueError(f"{name} {number} is out of range of the {n_axes} axes of input")
    return number % n_axes


def axes(value, n_axes: int) -> tuple[int, ...]:
    """The numbers of several axes, or of one; None: of all."""
    if value is None:
        return tuple(range(n_axes))
    each = (value,) if _is_one(value) else value
    items = check.listed("axes", each, "an integer or a sequence of integers")
    numbers = tuple(axis(one, n_axes, "each of axes") for one in items)
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"axes must be unique, got {shown(value)}")
    return numbers


def per_axis(name: str, value, n_axes: int, one: Callable[[str, Any], Each]) -> tuple[Each, ...]:
    """What `one` gives of an argument that is meant for all axes, or of one for each."""
    if _is_one(value):
        return (one(name, value),) * n_axes
    items = check.listed(name, value, "one for all axes, or a sequence of one for each")
    if len(items) != n_axes:
        raise ArgumentError(
            f"{name}: a sequence argument must have length equal to input rank, or to the number "
            f"of axes, {n_axes}, got {shown(value)}"
        )
    return tuple(one(f"each {name}", item) for item in items)


def _is_one(value) -> bool:
    """Whether an argument is one for all axes."""
    if issubclass(type(value), np.ndarray):
        return value.ndim == 0
    return issubclass(type(value), str) or not hasattr(type(value), "__iter__")


def modes(value, n_axes: int) -> tuple[str, ...]:
    return per_axis("mode", value, n_axes, mode)


def window_before(size: int, origin: int) -> int:
    """How many elements a window of a size reaches before its place."""
    if not 0 <= size // 2 + origin < size:
        raise ValueError(
            f"origin must be from {-(size // 2)} to {(size - 1) // 2} for a window of size {size}, "
            f"got {origin}"
        )
    return size // 2 + origin


def output(value, array: np.ndarray, is_complex: bool) -> np.ndarray | np.dtype:
    """An array of the input's shape, or the dtype of a new one, by SciPy's rules: what cannot hold
    complex numbers is refused for such, but that a dtype that is no text is to be promoted."""
    own = array.dtype.newbyteorder("=")
    if value is None:
        return np.promote_types(own, np.complex64) if is_complex else own
    if issubclass(type(value), type | np.dtype | str):
        dtype = _dtype(value)
        if is_complex and dtype.kind != "c":
            if issubclass(type(value), str):
                raise ArgumentError(f"output must have complex dtype, got {shown(value)}")
            return dtype
    else:
        value = check.out_array(value, "output")
        dtype = value.dtype
        if value.shape != array.shape:
            raise ArgumentError(
                f"output must have the input's shape {array.shape}, got {value.shape}"
            )
        if is_complex and dtype.kind != "c":
            raise ArgumentError(f"output must have complex dtype, got {dtype}")
        if not value.flags.writeable:
            raise ValueError("output must be writeable, got a read-only array")
    return value if isinstance(value, np.ndarray) else dtype


def _dtype(value) -> np.dtype:
    try:
        dtype = np.dtype(value)
    except Exception as error:  # whatever the object's own methods raise
        raise TypeError(f"output must be an array or a dtype, got {shown(value)}") from error
    floats_in_sums("output", dtype)
    return dtype


def cval(value, is_complex: bool) -> complex:
    """The value beyond the array's ends, complex where the array is."""
    if type(value) is float:
        return value
    value = _element(value)
    if issubclass(type(value), np.bool_ | bool):
        return float(value)
    number = check.python_number("cval", value)
    if not isinstance(number, complex | np.clongdouble):
        return check.real("cval", number)
    if not is_complex:
        raise ValueError(f"cval must be a real number where input holds such, got {shown(value)}")
    return complex(number)


def _element(value):
    """What an array without axes holds."""
    return value[()] if type(value) is np.ndarray and value.ndim == 0 else value


def sums(value) -> np.dtype | None:
    """The dtype of sums; None: what follows from the arrays."""
    if value is None:
        return None
    dtype = check.result_dtype(value)
    if dtype is None or dtype.name not in SUMS:
        raise ValueError(f"dtype, of sums, must be one of {SUMS} or None, got {shown(value)}")
    return dtype


def finite(name: str, value) -> float:
    """A real number, as standard deviations are."""
    number = check.real(name, _element(value))
    if not np.isfinite(number):
        raise ValueError(f"{name} must be finite, got {shown(value)}")
    return number


def order(name: str, value) -> int:
    """How often a Gaussian is derived."""
    return integer(name, value, 0)


def radius(name: str, value) -> int | None:
    """Elements of a Gaussian on each side of its centre; None: as many as `truncate` says."""
    if value is None:
        return None
    try:
        return check.integer(name, value, 0)
    except TypeError as error:
        raise ArgumentError(str(error)) from None


def size(name: str, value) -> int:
    """Of a window along one axis; numbers that are not whole count as Python's `int` has them."""
    number = int(finite(name, value))
    if number > sys.maxsize:
        raise ValueError(f"{name} must be at most {sys.maxsize}, got {shown(value)}")
    return number


def nan_policy(value) -> str:
    return check.one_of("nan_policy", value, NAN_POLICIES)


def algorithm(value) -> str:
    return check.one_of("algorithm", value, ALGORITHMS)


def threads(value) -> int | None:
    return None if value is None else check.integer("threads", value, 1)
