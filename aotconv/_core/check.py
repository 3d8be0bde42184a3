"""Every rejection.  What passes here is safe for compiled code, which checks nothing itself.

Each function takes an argument as the user gave it and returns it in its one canonical form, or
raises TypeError or ValueError with the argument's name, what came and what was expected.
"""

from __future__ import annotations

import math
import operator
import sys
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from .._plan.activations import ACTIVATIONS
from .._plan.geometry import Geometry, Pair, extent, output_size, resolve_padding
from .._plan.registry import AOT_DTYPES

if TYPE_CHECKING:
    from .layout import Layout

DATA_FORMATS = {
    "NHWC": "NHWC",
    "NCHW": "NCHW",
    "channels_last": "NHWC",
    "channels_first": "NCHW",
}
LARGEST_ITEM = np.dtype(np.clongdouble).itemsize
ALGORITHMS = ("auto", "winograd")
PADDINGS = ("valid", "same", "same_lower")
LONGEST_SHOWN = 200  # characters of a value in a message
MOST_ITEMS = 9  # that are taken from what should be a pair or a shape: it may have no end


def shown(value) -> str:
    """`value` as messages show it: cut where it is long, whatever its own repr does."""
    try:
        text = str.__str__(repr(value))
    except Exception as error:  # Python itself refuses to print integers of thousands of digits
        return f"a value that cannot be shown ({type(error).__name__})"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _is(value, kinds) -> bool:
    """isinstance by the value's type alone: its __class__ may say anything."""
    return issubclass(type(value), kinds)


def array(name: str, value) -> np.ndarray:
    """`value` as a plain ndarray of a numeric dtype, not copied where it is an array already.

    The ndarray is a view of its own: neither a subclass nor another holder of `value` can change
    its shape behind our back.
    """
    if type(value) is np.ndarray:
        value = value.view()
    else:
        value = np.ndarray.view(_as_ndarray(name, value), np.ndarray)
    if value.dtype.kind not in "iufc":
        raise TypeError(
            f"{name} must hold integers, floats or complex numbers, got dtype {value.dtype}"
        )
    return value


def _is_masked(value) -> bool:
    # Naming np.ma would import it, which takes longer than many a convolution.
    masked = sys.modules.get("numpy.ma")
    return masked is not None and _is(value, masked.MaskedArray)


def _as_ndarray(name: str, value) -> np.ndarray:
    if _is_masked(value):
        raise TypeError(f"{name} must be without a mask, got a masked array: fill it first")
    if _is(value, np.ndarray):
        return value
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        return np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:  # whatever the object's own methods raise
        kind = type(value).__name__
        raise TypeError(f"{name} must be an array, got {kind}: {shown(error)}") from error


def images_axes(shape: tuple[int, ...]) -> None:
    if len(shape) not in (3, 4):
        raise ValueError(
            f"images must have 4 axes, or 3 for one image, got {len(shape)} axes of shape {shape}"
        )


def images_shape(value) -> tuple[int, ...]:
    """The sizes of the axes of images, 3 or 4 of them."""
    items = _items("shape", value, "a tuple of integers")
    sizes = tuple(integer("each size of shape", size, 0) for size in items)
    if len(sizes) not in (3, 4):
        raise ValueError(f"shape must have 4 axes, or 3 for one image, got {sizes}")
    return sizes


def filters_array(value) -> np.ndarray:
    filters = array("filters", value)
    if filters.ndim != 4:
        raise ValueError(
            "filters must have 4 axes (height, width, channels / groups, filters), "
            f"got {filters.ndim} axes of shape {filters.shape}"
        )
    if not all(filters.shape[:2]):
        raise ValueError(
            f"filters must have at least one row and one column, got shape {filters.shape}"
        )
    return filters


def bias_array(value, n_filters: int) -> np.ndarray | None:
    if value is None:
        return None
    bias = array("bias", value)
    if bias.shape != (n_filters,):
        raise ValueError(
            f"bias must have one value for each of the {n_filters} filters, shape ({n_filters},), "
            f"got shape {bias.shape}"
        )
    return bias


def _index(name: str, value) -> int | None:
    """The integer that `value` stands for, asked once; None if it is none, as floats and booleans
    are."""
    if _is(value, (bool, np.bool_)):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None
    except Exception as error:  # whatever its __index__ raises
        kind = type(error).__name__
        raise TypeError(
            f"{name} must be an integer, got {shown(value)} whose __index__ raises {kind}"
        ) from error


def integer(name: str, value, minimum: int) -> int:
    """`value` as an int of at least `minimum`; floats and booleans are no integers."""
    if type(value) is int and minimum <= value <= sys.maxsize:
        return value
    number = _index(name, value)
    if number is None:
        raise TypeError(
            f"{name} must be an integer, got {shown(value)} of type {type(value).__name__}"
        )
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {shown(number)}")
    if number > sys.maxsize:
        raise ValueError(f"{name} must be at most {sys.maxsize}, got {shown(number)}")
    return number


def pair(name: str, value, minimum: int) -> Pair:
    """An integer, meant for both axes, or two of them, as two."""
    if type(value) is int:
        return (integer(name, value, minimum),) * 2
    number = value if _is(value, (bool, np.bool_)) else _index(name, value)
    if number is not None:
        return (integer(name, number, minimum),) * 2
    first, second = _two(name, value, "an integer or a pair of integers")
    return integer(name, first, minimum), integer(name, second, minimum)


def _two(name: str, value, expected: str):
    items = _items(name, value, expected)
    if len(items) != 2:
        length = f"{len(items)}{' or more' if len(items) == MOST_ITEMS else ''}"
        raise ValueError(f"{name} must be {expected}, got {shown(value)} of length {length}")
    return items


def _items(name: str, value, expected: str) -> tuple:
    """The first MOST_ITEMS of an iterable whose order means something; asked for once."""
    try:
        if _is(value, (str, bytes, dict, set, frozenset)):
            raise TypeError("it has no order of numbers")
        return tuple(islice(iter(value), MOST_ITEMS))
    except Exception as error:  # whatever the iterable raises
        raise TypeError(
            f"{name} must be {expected}, got {shown(value)} of type {type(value).__name__}"
        ) from error


def padding(value):
    """One of PADDINGS, or ``((top, bottom), (left, right))``."""
    forms = f"one of {PADDINGS}, an integer, (rows, columns) or ((top, bottom), (left, right))"
    if _is(value, str):
        rule = str.lower(value)
        if rule not in PADDINGS:
            raise ValueError(f"padding must be {forms}, got {shown(value)}")
        return rule
    number = value if _is(value, (bool, np.bool_)) else _index("padding", value)
    rows, columns = _two("padding", value, forms) if number is None else (number, number)
    return pair("padding", rows, 0), pair("padding", columns, 0)


def data_format(value) -> str:
    """'NHWC' or 'NCHW'."""
    return DATA_FORMATS[_one_of("data_format", value, tuple(DATA_FORMATS))]


def activation(value) -> str | None:
    return _one_of("activation", value, ACTIVATIONS)


def real_activation(activation: str | None, dtypes, names: str) -> None:
    """Refuse an activation of complex numbers."""
    if activation is not None and any(dtype.kind == "c" for dtype in dtypes):
        raise TypeError(f"activation {activation!r} is not defined for complex {names}")


def algorithm(value) -> str:
    return _one_of("algorithm", value, ALGORITHMS)


def winograd_layer(filters_shape, strides: Pair, dilations: Pair, groups: int) -> None:
    """Refuse a layer that algorithm "winograd" does not compute."""
    for name, expected, got in (
        ("filters of height and width", (3, 3), tuple(filters_shape[:2])),
        ("strides", (1, 1), strides),
        ("dilations", (1, 1), dilations),
        ("groups", 1, groups),
    ):
        if got != expected:
            raise ValueError(f"algorithm 'winograd' needs {name} {expected}, got {got}: use 'auto'")


def winograd_dtype(dtype) -> None:
    """Refuse a result's dtype that algorithm "winograd" does not compute."""
    if dtype.name not in AOT_DTYPES:
        raise ValueError(
            f"algorithm 'winograd' needs a result of dtype {' or '.join(AOT_DTYPES)}, "
            f"got {dtype}: use 'auto'"
        )


def _one_of(name: str, value, choices):
    if value is not None and not _is(value, str):
        raise TypeError(
            f"{name} must be one of {choices}, got {shown(value)} of type {type(value).__name__}"
        )
    text = None if value is None else str.__str__(value)  # a subclass may equal anything
    if text not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {shown(value)}")
    return text


def filter_groups(value, n_filters: int) -> int:
    groups = integer("groups", value, 1)
    if n_filters % groups:
        raise ValueError(f"groups must divide the number of filters, {n_filters}, got {groups}")
    return groups


def geometry(images_shape, filters_shape, strides, padding, dilations, groups) -> Geometry:
    """The sizes of a convolution; images (N, H, W, C), every other argument checked already."""
    n, h, w, c = images_shape
    kh, kw, group_channels, o = filters_shape
    if c % groups:
        raise ValueError(f"groups must divide the channels of images, {c}, got {groups}")
    if c != group_channels * groups:
        raise ValueError(
            f"images and filters must agree in channels: images have {c} in {groups} group(s), "
            f"filters of shape {tuple(filters_shape)} expect {group_channels} a group"
        )
    pads = resolve_padding(padding, (h, w), (kh, kw), strides, dilations)
    out = []
    for axis, size, kernel, stride, dilation, ends in zip(
        ("height", "width"), (h, w), (kh, kw), strides, dilations, pads, strict=True
    ):
        pixels = output_size(size, kernel, stride, dilation, ends)
        if pixels < 1 and padding not in ("same", "same_lower"):
            spans = f"{kernel}, dilated to {extent(kernel, dilation)}," if dilation > 1 else kernel
            raise ValueError(
                f"filters must fit into the padded images: their {axis} {spans} is more than "
                f"the images' {axis} {size} with padding {ends[0]} + {ends[1]}"
            )
        out.append(pixels)
    sizes = ((n, h + sum(pads[0]), w + sum(pads[1]), c), (n, *out, o))
    for name, shape in zip(("the padded images", "the result"), sizes, strict=True):
        if math.prod(max(size, 1) for size in shape) > sys.maxsize // LARGEST_ITEM:
            raise ValueError(f"{name} would be too large to address: shape {shape}")
    (sh, sw), (dh, dw) = strides, dilations
    (top, bottom), (left, right) = pads
    oh, ow = out
    return Geometry(n, h, w, c, kh, kw, o, sh, sw, dh, dw, groups, top, bottom, left, right, oh, ow)


def out_array(value) -> np.ndarray:
    """A plain view of `value`, like those of `array`."""
    if type(value) is np.ndarray:
        return value.view()
    if not _is(value, np.ndarray) or _is_masked(value):
        raise TypeError(f"out must be a NumPy array, got {type(value).__name__}")
    return np.ndarray.view(value, np.ndarray)


def out_fits(out: Layout, shape, dtype) -> None:
    """Refuse an array into which a result of that shape and dtype cannot be written."""
    if out.shape != tuple(shape):
        raise ValueError(f"out must have the result's shape {tuple(shape)}, got {out.shape}")
    if out.dtype != dtype:
        raise TypeError(f"out must have the result's dtype {dtype}, got {out.dtype}")
    if not out.writeable:
        raise ValueError("out must be writeable, got a read-only array")


def residual_fits(residual: Layout, shape, dtype) -> None:
    """Refuse an array that cannot be added to a result of that shape and dtype."""
    if residual.shape != tuple(shape):
        raise ValueError(
            f"residual must have the result's shape {tuple(shape)}, got {residual.shape}"
        )
    if not np.can_cast(residual.dtype, dtype, "same_kind"):
        raise TypeError(
            f"residual must be castable to the result's dtype {dtype} within its kind, "
            f"got dtype {residual.dtype}"
        )


def may_overlap_itself(array: Layout) -> bool:
    """Whether two elements of an array may lie on the same memory."""
    if array.c_contiguous:
        return False
    axes = zip(array.strides, array.shape, strict=True)
    span = array.dtype.itemsize
    for stride, size in sorted((abs(stride), size) for stride, size in axes if size > 1):
        if stride < span:
            return True
        span = stride * (size - 1) + span
    return False
