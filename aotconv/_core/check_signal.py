"""The arguments of `signal`, as SciPy takes them: in their one canonical form, or refused, as
`check` does."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np

from . import check, check_ndimage
from .check import shown

MODES = ("valid", "same", "full")
EDGES = ("mirror", "constant", "nearest", "interp", "wrap")
EXTENSIONS = (
    *("constant", "wrap", "edge", "smooth", "symmetric", "reflect"),
    *("antisymmetric", "antireflect", "line"),
)
METHODS = ("auto", "direct", "fft")
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
    first, second = check.plain("in1", in1), check.plain("in2", in2)
    for name, array in (("in1", first), ("in2", second)):
        if array.dtype.kind not in "biufcOV" or array.dtype.names:
            raise TypeError(f"{name} must hold numbers or truth values, got dtype {array.dtype}")
    if first.ndim != second.ndim:
        raise ValueError(
            f"in1 and in2 should have the same dimensionality, got shapes {first.shape} and "
            f"{second.shape}"
        )
    return first, second


def mode(value) -> str:
    if not issubclass(type(value), str) or value not in MODES:
        raise ValueError(
            f"mode: acceptable mode flags are 'valid', 'same', or 'full', got {shown(value)}"
        )
    return str(value)


def method(value) -> str:
    return check.one_of("method", value, METHODS)


def boundary(value) -> str:
    """np.pad's name of one of SciPy's."""
    return BOUNDARIES[check.one_of("boundary", value, tuple(BOUNDARIES))]


def fill(value, dtype: np.dtype) -> complex:
    """What is around arrays, as a result of a dtype holds it."""
    array = check.plain("fillvalue", value)
    if array.size != 1:
        raise ValueError(
            f"fillvalue: `fillvalue` must be scalar or an array with one element, got "
            f"{shown(value)}"
        )
    if array.dtype.kind == "c" and dtype.kind != "c":
        raise ValueError(
            "fillvalue: could not cast `fillvalue` directly to the output type "
            f"{dtype}, got {shown(value)}"
        )
    with np.errstate(all="ignore"):
        return array.ravel().astype(dtype)[0].item()


def axes(value, ndim: int) -> tuple[int, ...]:
    """The numbers of several axes, or of one; None: of all."""
    if value is None:
        return tuple(range(ndim))
    try:
        numbers = [operator.index(each) for each in np.atleast_1d(np.asarray(value, object))]
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
    return array if array.dtype == np.float32 else array.astype(np.float64, copy=False)


def extension(value) -> str:
    if issubclass(type(value), str):
        value = str.lower(value)
    return check.one_of("mode", value, EXTENSIONS)


def polynomial(window_length, polyorder, deriv) -> tuple[int, int, int]:
    """A window, and the order and the derivative of polynomials that are fitted to it."""
    size = check.integer("window_length", window_length, 1)
    order = check.integer("polyorder", polyorder, 0)
    if order >= size:
        raise ValueError(f"polyorder must be less than window_length, {size}, got {order}")
    return size, order, check.integer("deriv", deriv, 0)
