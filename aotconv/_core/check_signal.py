"""The arguments of `signal`, as SciPy takes them: in their one canonical form, or refused, as
`check` does."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np

from .._plan.elements import HALVES, name_of
from . import check, check_ndimage, fitting
from .check import shown

MODES = ("valid", "same", "full")
EDGES = ("mirror", "constant", "nearest", "interp", "wrap")
EXTENSIONS = (
    *("constant", "wrap", "edge", "smooth", "symmetric", "reflect"),
    *("antisymmetric", "antireflect", "line"),
)
METHODS = ("auto", "direct", "fft")
MOST_AXES = 31  # layers add one, and NumPy broadcasts arrays of 32 at most
# Of `convolve2d`: SciPy's names of what is around arrays, and np.pad's.
BOUNDARIES = {
    "fill": "constant",
    "pad": "constant",
    "wrap": "wrap",
    "circular": "wrap",
    "symm": "symmetric",
    "symmetric": "symmetric",
    "reflect": "reflect",
}


def operands(in1, in2) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of as many axes, of numbers, truth values or objects."""
    first, second = _operand("in1", in1), _operand("in2", in2)
    few_axes("in1 and in2", first)
    if first.ndim != second.ndim:
        raise ValueError(
            f"in1 and in2 should have the same dimensionality, got shapes {first.shape} and "
            f"{second.shape}"
        )
    return first, second


def few_axes(name: str, array: np.ndarray) -> None:
    if array.ndim > MOST_AXES:
        raise ValueError(f"{name} must have at most {MOST_AXES} axes, got {array.ndim}")


def _operand(name: str, value) -> np.ndarray:
    """Numbers, truth values or objects.

    Of objects an array must be NumPy's, or a list: memory of others may hold addresses of none.
    """
    array = check.plain(name, value)
    kind = array.dtype.kind
    is_held = kind == "O" and issubclass(type(value), np.ndarray | list | tuple)
    if kind not in "biufc" and not is_held and name_of(array.dtype.newbyteorder("=")) not in HALVES:
        raise TypeError(f"{name} must hold numbers or truth values, got dtype {array.dtype}")
    return array


def mode(value) -> str:
    text = str.__str__(value) if issubclass(type(value), str) else None
    if text not in MODES:
        raise ValueError(
            f"mode: acceptable mode flags are 'valid', 'same', or 'full', got {shown(value)}"
        )
    return text


def method(value) -> str:
    return check.one_of("method", value, METHODS)


def boundary(value) -> str:
    """np.pad's name of one of SciPy's."""
    return BOUNDARIES[check.one_of("boundary", value, tuple(BOUNDARIES))]


def fill(name: str, value, dtype: np.dtype) -> complex:
    """What is around arrays, as a result of a dtype holds it."""
    if type(value) in (int, float) and value == 0:
        return 0
    if issubclass(type(value), int | float | complex) and type(value) is not bool:
        value = check.python_number(name, value)  # a subclass may lie
    array = check.plain(name, value)
    if array.size != 1:
        raise ValueError(
            f"{name}: `fillvalue` must be scalar or an array with one element, got {shown(value)}"
        )
    if array.dtype.kind not in "biufc":
        array = np.array(check.python_number(name, array.item()))
    if array.dtype.kind == "c" and dtype.kind not in "cO":
        raise ValueError(
            f"{name}: could not cast `fillvalue` directly to the output type {dtype}, got "
            f"{shown(value)}"
        )
    try:
        with np.errstate(all="ignore"):
            return array.ravel().astype(dtype).item()
    except OverflowError as error:
        raise ValueError(f"{name} must be a number of {dtype}, got {shown(value)}") from error


def axes(value, ndim: int) -> tuple[int, ...]:
    """The numbers of several axes, or of one; None: of all."""
    if value is None:
        return tuple(range(ndim))
    try:
        numbers = _indices(value)
    except Exception as error:  # whatever the object's own methods raise
        raise ValueError(
            f"axes must be a scalar or iterable of integers, got {shown(value)}"
        ) from error
    if not numbers:
        raise ValueError("axes: when provided, axes cannot be empty")
    if not all(-ndim <= each < ndim for each in numbers):
        raise ValueError(f"axes exceeds dimensionality of input, {ndim}, got {shown(value)}")
    places = tuple(each % ndim for each in numbers)
    if len(set(places)) != len(places):
        raise ValueError(f"axes: all axes must be unique, got {shown(value)}")
    return places


def _indices(value) -> list[int]:
    try:
        return [operator.index(value)]
    except TypeError:
        return [operator.index(each) for each in check.listed("axes", value, "integers")]


def are_swapped(mode: str, in1: Sequence[int], in2: Sequence[int], axes: Sequence[int]) -> bool:
    """Whether with "valid" the second array is the larger one; one must be, along all axes."""
    if mode != "valid":
        return False
    if all(in1[i] >= in2[i] for i in axes):
        return False
    if all(in2[i] >= in1[i] for i in axes):
        return True
    raise ValueError(
        "in1 and in2: For 'valid' mode, one must be at least as large as the other in every "
        f"dimension, got shapes {tuple(in1)} and {tuple(in2)}"
    )


def images(in1, in2) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of two axes."""
    first, second = operands(in1, in2)
    if first.ndim != 2:
        raise ValueError(f"in1 and in2 must both be 2-D arrays, got shape {first.shape}")
    return first, second


def are_transformed(in1: np.ndarray, in2: np.ndarray) -> None:
    """Refuse objects, which have no transforms."""
    for name, array in (("in1", in1), ("in2", in2)):
        if array.dtype.kind == "O":
            raise TypeError(f"{name} must hold numbers to be transformed, got dtype object")


def elements(in1: np.ndarray, in2: np.ndarray) -> None:
    """Refuse arrays without elements."""
    if in1.size == 0 or in2.size == 0:
        raise ValueError(f"in1 and in2 must have elements, got shapes {in1.shape} and {in2.shape}")


def broadcast(in1: Sequence[int], in2: Sequence[int], axes: Sequence[int]) -> None:
    """Refuse shapes that are not broadcast along the axes that are not convolved."""
    others = [sizes for i, sizes in enumerate(zip(in1, in2, strict=True)) if i not in axes]
    if not all(a == b or 1 in (a, b) for a, b in others):
        raise ValueError(f"incompatible shapes for in1 and in2: {tuple(in1)} and {tuple(in2)}")


def samples(name: str, value) -> np.ndarray:
    """Numbers along some axes, at least one along each."""
    array = check_ndimage.array(name, value)
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"{name} must have an axis and elements, got shape {array.shape}")
    return array


def line(name: str, value) -> np.ndarray:
    """Weights of one axis."""
    array = samples(name, value)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D with non-zero length, got shape {array.shape}")
    return array


def real_samples(name: str, value) -> np.ndarray:
    """Samples as float32 if they are, else as float64."""
    array = samples(name, value)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    is_narrow = array.dtype.newbyteorder("=") == np.float32
    return array.astype(np.float32 if is_narrow else np.float64, copy=False)


def extension(value) -> str:
    if issubclass(type(value), str):
        value = str.lower(value)
    return check.one_of("mode", value, EXTENSIONS)


def polynomial(window_length, polyorder, deriv, delta) -> tuple[int, int, int, float]:
    """A window, the order and the derivative of polynomials that are fitted to it, and what the
    derivative is divided by.  Of all derivatives that are 0 the first one is meant."""
    size = check.integer("window_length", window_length, 1)
    order = check.integer("polyorder", polyorder, 0)
    if order >= size:
        raise ValueError(f"polyorder must be less than window_length, {size}, got {order}")
    fitting.addressable("the polynomials of window_length", (size, order + 1))
    derivative = min(check.integer("deriv", deriv, 0), order + 1)
    step = np.float64(check_ndimage.finite("delta", delta))
    with np.errstate(all="ignore"):
        scale = float(step**derivative)
    if scale == 0 or not np.isfinite(scale):
        raise ValueError(
            f"delta must have a power of {derivative}, for as many derivations, that a float "
            f"holds and that is not 0, got {shown(delta)}"
        )
    return size, order, derivative, scale
