"""Every rejection.  What passes here is safe for compiled code, which checks nothing itself.

Each function takes an argument as the user gave it and returns it in its one canonical form, or
raises TypeError or ValueError with the argument's name, what came and what was expected.
"""

from __future__ import annotations

import cmath
import math
import operator
import sys
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from .._plan.activations import ACTIVATIONS
from .._plan.borders import BORDERS, MODES, ZEROS, maps
from .._plan.elements import HALVES, name_of
from .._plan.geometry import FLAT, PADDINGS, RANK, Axis, Geometry, Pair
from .._plan.registry import AOT_DTYPES

if TYPE_CHECKING:
    from .layout import Layout

# By the number of spatial axes: the axes' names, and letters of formats.
AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
LETTERS = {1: "W", 2: "HW", 3: "DHW"}
LARGEST_ITEM = np.dtype(np.clongdouble).itemsize
ALGORITHMS = ("auto", "winograd")
LONGEST_SHOWN = 200  # characters of a value in a message
LONGEST_INTEGER = 1023  # bits: what float64 holds
MOST_AXES = 32  # of images: as many as every NumPy allows
MOST_ITEMS = MOST_AXES + 1  # that are taken from what should be a few numbers: it may have no end


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
    """`value` as a plain ndarray of a numeric dtype, not copied where it is an array already; truth
    values of images are 0 and 1.

    The ndarray is a view of its own: neither a subclass nor another holder of `value` can change
    its shape behind our back.
    """
    if type(value) is np.ndarray:
        value = value.view()
    else:
        value = np.ndarray.view(_as_ndarray(name, value), np.ndarray)
    if value.dtype.kind not in "iufc" and name_of(value.dtype) not in HALVES:
        if value.dtype == np.bool_ and name == "images":
            return value.view(np.uint8)
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


def images_axes(shape: tuple[int, ...], rank: int) -> None:
    if len(shape) <= rank:
        raise ValueError(
            f"images must have at least {rank + 1} axes ({', '.join((*AXES[rank], 'channels'))}), "
            f"got {len(shape)} axes of shape {shape}"
        )


def images_shape(value, rank: int) -> tuple[int, ...]:
    """The sizes of the axes of images."""
    items = _items("shape", value, "a tuple of integers")
    sizes = tuple(integer("each size of shape", size, 0) for size in items)
    if not rank < len(sizes) <= MOST_AXES:
        raise ValueError(f"shape must have {rank + 1} to {MOST_AXES} axes, got {shown(sizes)}")
    return sizes


def filters_array(value, filter_format: str) -> np.ndarray:
    """Filters (.., C / groups, O), whatever their format."""
    filters, rank = array("filters", value), len(filter_format) - 2
    last, names = filter_format.endswith("IO"), AXES[rank]
    channels = "channels / groups", "filters"
    if filters.ndim != rank + 2:
        axes = (*names, *channels) if last else (*channels[::-1], *names)
        raise ValueError(
            f"filters must have {rank + 2} axes ({', '.join(axes)}), "
            f"got {filters.ndim} axes of shape {filters.shape}"
        )
    kernel = filters.shape[:-2] if last else filters.shape[2:]
    if not all(kernel):
        raise ValueError(
            f"filters must have a {' and a '.join(names)} of at least 1, got shape {filters.shape}"
        )
    return filters if last else filters.transpose(*range(2, rank + 2), 1, 0)


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


def numbers(name: str, value, rank: int, minimum: int) -> tuple[int, ...]:
    """An integer, meant for all spatial axes, or one for each."""
    if type(value) is int:
        return (integer(name, value, minimum),) * rank
    number = value if _is(value, (bool, np.bool_)) else _index(name, value)
    if number is not None:
        return (integer(name, number, minimum),) * rank
    items = _counted(name, value, (rank,), f"an integer or {_count(rank, 'integer')}")
    return tuple(integer(name, each, minimum) for each in items)


def _count(number: int, noun: str) -> str:
    return f"{('', 'one', 'a pair of', 'three')[number]} {noun}{'s' * (number > 1)}"


def _counted(name: str, value, lengths, expected: str) -> tuple:
    """The items of an iterable that has one of these lengths."""
    items = _items(name, value, expected)
    if len(items) not in lengths:
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


def padding(value, rank: int) -> str | tuple[Pair, ...]:
    """One of PADDINGS, or for each spatial axis the zeros before and behind."""
    if _is(value, str):
        rule = str.lower(value)
        if rule not in _PADDINGS[rank]:
            raise ValueError(f"padding must be {_padding_forms(rank)}, got {shown(value)}")
        return rule
    number = value if _is(value, (bool, np.bool_)) else _index("padding", value)
    if number is not None:
        ends = numbers("padding", number, 2, 0)
        return ((ends[0], ends[1]),) * rank
    items = _counted("padding", value, (1, 2) if rank == 1 else (rank,), _padding_forms(rank))
    if rank == 1 and len(items) == 2:
        items = (items,)  # as np.pad takes them
    pads = (numbers("padding", item, 2, 0) for item in items)
    return tuple((before, behind) for before, behind in pads)


_PADDINGS = {
    rank: tuple(rule for rule in PADDINGS if rank == 1 or rule != "causal") for rank in AXES
}


def _padding_forms(rank: int) -> str:
    each, pairs = {
        1: ("(before, behind)", "((before, behind),)"),
        2: ("(rows, columns)", "((top, bottom), (left, right))"),
        3: ("(planes, rows, columns)", "((front, back), (top, bottom), (left, right))"),
    }[rank]
    return f"one of {_PADDINGS[rank]}, an integer, {each} or {pairs}"


def data_format(value, rank: int) -> str:
    """'NHWC' or 'NCHW', or what it is called for that rank."""
    names = _DATA_FORMATS[rank]
    return names[_one_of("data_format", value, tuple(names))]


_DATA_FORMATS = {
    rank: {
        f"N{axes}C": f"N{axes}C",
        f"NC{axes}": f"NC{axes}",
        "channels_last": f"N{axes}C",
        "channels_first": f"NC{axes}",
    }
    for rank, axes in LETTERS.items()
}
_FILTER_FORMATS = {rank: (f"{axes}IO", f"OI{axes}") for rank, axes in LETTERS.items()}


def filter_format(value, rank: int) -> str:
    """'HWIO' or 'OIHW', or what it is called for that rank."""
    return _one_of("filter_format", value, _FILTER_FORMATS[rank])


def padding_mode(value, rank: int) -> tuple[str, ...]:
    """The names of np.pad for a mode, meant for all spatial axes, or one for each."""
    if not _is(value, (tuple, list)):
        return (MODES[_one_of("padding_mode", value, tuple(MODES))],) * rank
    expected = f"one of {tuple(MODES)} or {_count(rank, 'of them')}"
    items = _counted("padding_mode", value, (rank,), expected)
    return tuple(MODES[_one_of("each padding_mode", each, tuple(MODES))] for each in items)


_FLOATS = (np.float16, np.float32, np.longdouble)  # that are no Python floats
_COMPLEX = (np.complex64, np.clongdouble)


def padding_value(value, modes: tuple[str, ...]) -> complex:
    """`value` as a number of Python's, or a longdouble, that is 0 where no mode is "constant"."""
    number: complex | None = _index("padding_value", value)
    if number is not None:
        pass
    elif _is(value, float):
        number = float.__pos__(value)  # a subclass may lie
    elif _is(value, complex):
        number = complex.__pos__(value)
    elif type(value) in (*_FLOATS, *_COMPLEX):
        number = value.item()
    else:
        raise TypeError(
            f"padding_value must be a number, got {shown(value)} of type {type(value).__name__}"
        )
    if number == 0:
        return 0
    if isinstance(number, int) and number.bit_length() > LONGEST_INTEGER:
        raise ValueError(f"padding_value must be a number of a dtype, got {shown(value)}")
    if "constant" not in modes:
        raise ValueError(
            f"padding_value must be 0 unless a padding_mode is 'constant', got {shown(value)} and "
            f"{modes}"
        )
    return math.nan if number != number and _is(number, float) else number  # one NaN is itself


def padding_value_fits(value, dtype) -> None:
    """Refuse a value that images of a dtype cannot hold."""
    if value == 0:
        return
    fits = dtype.kind == "c" or not _is(value, (complex, np.clongdouble))
    if fits and dtype.kind in "iu":
        info = np.iinfo(dtype)
        fits = info.min <= value <= info.max and value == int(value)
    elif fits:
        with np.errstate(all="ignore"):
            element = complex(np.array(value).astype(dtype))
        fits = cmath.isfinite(element) or not cmath.isfinite(complex(value))  # does not overflow
    if not fits:
        raise ValueError(f"padding_value must fit the images' dtype {dtype}, got {shown(value)}")


def not_built(dtype, saturate) -> None:
    """Refuse what these keywords may not say yet."""
    if dtype is not None:
        raise ValueError(f"dtype must be None so far, got {shown(dtype)}: others are not built")
    if not _is(saturate, (bool, np.bool_)):
        raise TypeError(
            f"saturate must be True or False, got {shown(saturate)} of type "
            f"{type(saturate).__name__}"
        )
    if saturate:
        raise ValueError("saturate must be False so far, got True, which is not built")


def activation(value) -> str | None:
    return _one_of("activation", value, ACTIVATIONS)


def real_activation(activation: str | None, dtypes, names: str) -> None:
    """Refuse an activation of complex numbers."""
    if activation is not None and any(dtype.kind == "c" for dtype in dtypes):
        raise TypeError(f"activation {activation!r} is not defined for complex {names}")


def algorithm(value) -> str:
    return _one_of("algorithm", value, ALGORITHMS)


def winograd_layer(kernel, strides, dilations, groups: int) -> None:
    """Refuse a layer that algorithm "winograd" does not compute."""
    for name, expected, got in (
        ("filters of height and width", (3, 3), kernel),
        ("strides", (1, 1), strides),
        ("dilations", (1, 1), dilations),
        ("groups", 1, groups),
    ):
        if got != expected:
            raise ValueError(f"algorithm 'winograd' needs {name} {expected}, got {got}: use 'auto'")


def winograd_dtype(dtype) -> None:
    """Refuse a result's dtype that algorithm "winograd" does not compute."""
    if name_of(dtype) not in AOT_DTYPES:
        raise ValueError(
            f"algorithm 'winograd' needs a result of dtype {' or '.join(AOT_DTYPES)}, "
            f"got {dtype}: use 'auto'"
        )


def _one_of(name: str, value, choices):
    if type(value) is str and value in choices:
        return value
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


def geometry(
    images_shape, filters_shape, strides, padding, dilations, groups, *, borders=None
) -> Geometry:
    """The sizes of a convolution of images with any leading axes and channels last, which are taken
    as one; every other argument checked already.

    Parameters
    ----------
    borders : sequence of int, optional
        Of each spatial axis, its place in BORDERS; by default zeros.
    """
    *kernel, group_channels, o = filters_shape
    rank = len(kernel)
    *sizes, c = images_shape[-rank - 1 :]
    leading = images_shape[: -rank - 1]
    if c % groups:
        raise ValueError(f"groups must divide the channels of images, {c}, got {groups}")
    if c != group_channels * groups:
        raise ValueError(
            f"images and filters must agree in channels: images have {c} in {groups} group(s), "
            f"filters of shape {tuple(filters_shape)} expect {group_channels} a group"
        )
    pads = [padding] * rank if isinstance(padding, str) else padding
    axes = [FLAT] * (RANK - rank)
    borders = borders or (ZEROS,) * rank
    every = zip(AXES[rank], sizes, kernel, strides, dilations, pads, borders, strict=True)
    for name, *each in every:
        axis = Axis.of(*each)
        if axis.out < 1 and padding not in ("same", "same_lower", "causal"):
            dilated = f", dilated to {axis.extent}," if axis.dilation > 1 else ""
            raise ValueError(
                f"filters must fit into the padded images: their {name} {axis.kernel}{dilated} is "
                f"more than the images' {name} {axis.size} with padding "
                f"{axis.before} + {axis.behind}"
            )
        if axis.size == 0 and maps(axis.border):
            raise ValueError(
                f"images without pixels along their {name} can only be padded with a constant, "
                f"got padding_mode {BORDERS[axis.border]!r}"
            )
        axes.append(axis)
    z, y, x = axes
    geometry = Geometry(math.prod(leading), c, o, groups, z, y, x)
    padded = (*leading, *(axis.padded for axis in axes[RANK - rank :]), c)
    result = (*leading, *(axis.out for axis in axes[RANK - rank :]), o)
    for name, shape in (("the padded images", padded), ("the result", result)):
        if math.prod(max(size, 1) for size in shape) > sys.maxsize // LARGEST_ITEM:
            raise ValueError(f"{name} would be too large to address: shape {shape}")
    return geometry


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
