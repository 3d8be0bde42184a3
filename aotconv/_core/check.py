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

from .._plan.activations import ACTIVATIONS, CLAMPS, Activation, named
from .._plan.borders import BORDERS, MODES, ZEROS, maps
from .._plan.elements import HALVES, name_of
from .._plan.geometry import COMMON_PADDINGS, FLAT, PADDINGS, RANK, Axis, Geometry, Pair, extent
from .._plan.pool import pool_axis
from .._plan.registry import AOT_DTYPES
from .._plan.transposed import forward_axis

if TYPE_CHECKING:
    from .layout import Layout

# By the number of spatial axes: the axes' names, and letters of formats.
AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
LETTERS = {1: "W", 2: "HW", 3: "DHW"}
LARGEST_CLIPPED = 4  # bytes of an integer that sums are clipped to
LARGEST_ITEM = np.dtype(np.clongdouble).itemsize
ALGORITHMS = ("auto", "winograd")
LONGEST_SHOWN = 200  # characters of a value in a message
LONGEST_INTEGER = 1023  # bits: what float64 holds
# Types of arguments that say the same as long as they are the same.
CONSTANTS = int, float, str, bool, type(None)
MOST_AXES = 32 if np.__version__.startswith("1.") else 64  # that NumPy allows
FIRST_OF_OTHERS = 256  # number of a dtype that is not NumPy's own
MOST_ITEMS = MOST_AXES + 1  # that are taken from what should be a few numbers: it may have no end


def shown(value) -> str:
    """`value` as messages show it: cut where it is long, whatever its own repr does."""
    try:
        text = str.__str__(repr(value))
    except Exception as error:  # Python itself refuses to print integers of thousands of digits
        return f"a value that cannot be shown ({type(error).__name__})"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


# What other libraries call an argument: of all doors, of convolutions, and of pools.
_OF_ALL = {
    **dict.fromkeys(("stride", "step"), "strides"),
    **dict.fromkeys(("dilation", "dilation_rate", "atrous_rate"), "dilations"),
    **dict.fromkeys(("pad", "pads", "auto_pad"), "padding"),
    **dict.fromkeys(("input", "inputs", "image", "x"), "images"),
    **dict.fromkeys(("grad_output", "output_grad"), "output_gradient"),
    **dict.fromkeys(("input_size", "input_shape"), "images_shape"),
    **dict.fromkeys(("output", "dst"), "out"),
    **dict.fromkeys(("num_threads", "n_threads", "workers"), "threads"),
}
OF_FILTERS = {
    **_OF_ALL,
    **dict.fromkeys(("mode", "boundary", "border_mode", "pad_mode"), "padding_mode"),
    **dict.fromkeys(("cval", "fillvalue", "constant_values"), "padding_value"),
    **dict.fromkeys(("weight", "weights", "kernel", "kernels", "filter"), "filters"),
    **dict.fromkeys(("biases",), "bias"),
    **dict.fromkeys(("group", "feature_group_count"), "groups"),
    **dict.fromkeys(("weight_size", "weight_shape"), "filters_shape"),
}
OF_WINDOWS = {
    **_OF_ALL,
    **dict.fromkeys(("kernel_size", "kernel_shape", "pool_size", "ksize", "size"), "window"),
    **dict.fromkeys(("count_include_pad",), "count_padding"),
}


def no_misnamed(given: dict, words: dict = OF_FILTERS) -> None:
    """Refuse keywords that a function does not have, and say the right one, by what other
    libraries call it."""
    for name in given:
        if name in ("padding_mode", "padding_value"):
            raise ValueError(
                f"{name} is of convolutions and their gradients: here nothing but zeros surrounds "
                f"images, got {shown(given[name])}"
            )
        known = words.get(name)
        if known == "padding_mode" and _is(given[name], str) and given[name] in PADDINGS:
            known = "padding"
        says = f": say {known}" if known else ""
        raise TypeError(f"there is no argument {name}{says}")


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
    if not _is_numeric(value.dtype):
        if value.dtype == np.bool_ and name == "images":
            return value.view(np.uint8)
        raise TypeError(
            f"{name} must hold integers, floats or complex numbers, got dtype {value.dtype}"
        )
    return value


def _is_numeric(dtype: np.dtype) -> bool:
    """Whether it is one of NumPy's own, or bfloat16."""
    return (dtype.kind in "iufc" and dtype.num < FIRST_OF_OTHERS) or name_of(dtype) in HALVES


def common_dtype(dtypes, names: str) -> np.dtype:
    """NumPy's common one of arguments."""
    try:
        return np.result_type(*dtypes)
    except TypeError:
        raise TypeError(
            f"{names} must have a common dtype, which NumPy does not know of "
            f"{' and '.join(map(str, dtypes))}: convert one"
        ) from None


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


def images_axes(
    shape: tuple[int, ...], rank: int, name: str = "images", channels_first: bool = False
) -> None:
    if len(shape) <= rank:
        axes = ("channels", *AXES[rank]) if channels_first else (*AXES[rank], "channels")
        index = "None" if channels_first else "..., None"
        cure = f": without channels they are {name}[{index}]" if len(shape) == rank else ""
        raise ValueError(
            f"{name} must have at least {rank + 1} axes ({', '.join(axes)}), "
            f"got {len(shape)} axes of shape {shape}{cure}"
        )


def images_shape(value, rank: int, name: str = "shape") -> tuple[int, ...]:
    """The sizes of the axes of images."""
    items = _items(name, value, "a tuple of integers")
    sizes = tuple(integer(f"each size of {name}", size, 0) for size in items)
    if not rank < len(sizes) <= MOST_AXES:
        raise ValueError(f"{name} must have {rank + 1} to {MOST_AXES} axes, got {shown(sizes)}")
    return sizes


def filters_array(
    value, filter_format: str, channels: tuple[str, str] = ("channels / groups", "filters")
) -> np.ndarray:
    """Filters (.., C / groups, O), whatever their format; `channels` is what users call those."""
    filters, rank = array("filters", value), len(filter_format) - 2
    last, names = filter_format.endswith("IO"), AXES[rank]
    if filters.ndim != rank + 2:
        axes = (*names, *channels) if last else (*channels[::-1], *names)
        index = (*(":" * rank), "None", "None") if last else ("None", "None", *(":" * rank))
        cure = f": a single filter is filters[{', '.join(index)}]" if filters.ndim == rank else ""
        raise ValueError(
            f"filters must have {rank + 2} axes ({', '.join(axes)}), "
            f"got {filters.ndim} axes of shape {filters.shape}{cure}"
        )
    kernel = filters.shape[:-2] if last else filters.shape[2:]
    if not all(kernel):
        raise ValueError(
            f"filters must have a {' and a '.join(names)} of at least 1, got shape {filters.shape}"
        )
    return filters if last else filters.transpose(*range(2, rank + 2), 1, 0)


def filters_shape(value, filter_format: str) -> tuple[int, ...]:
    """The shape (.., C / groups, O) of filters, whatever their format."""
    rank = len(filter_format) - 2
    items = _counted("filters_shape", value, (rank + 2,), f"a tuple of {rank + 2} integers")
    sizes = tuple(integer("each size of filters_shape", size, 0) for size in items)
    last = filter_format.endswith("IO")
    kernel = sizes[:-2] if last else sizes[2:]
    if not all(kernel):
        raise ValueError(
            f"filters_shape must have a {' and a '.join(AXES[rank])} of at least 1, got {sizes}"
        )
    if math.prod(max(size, 1) for size in sizes) > sys.maxsize // LARGEST_ITEM:
        raise ValueError(f"filters_shape would be too large to address: {sizes}")
    return sizes if last else (*kernel, sizes[1], sizes[0])


def bias_array(value, n_filters: int) -> np.ndarray | None:
    if value is None:
        return None
    bias = array("bias", value)
    if bias.shape != (n_filters,):
        raise ValueError(
            f"bias must have one value for each of the {n_filters} channels of the result, shape "
            f"({n_filters},), got shape {bias.shape}"
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


def flag(name: str, value) -> bool:
    """`value` as a bool, which numbers are not."""
    if not _is(value, (bool, np.bool_)):
        raise TypeError(
            f"{name} must be True or False, got {shown(value)} of type {type(value).__name__}"
        )
    return bool(value)


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
    return _padding(value, rank, _PADDINGS[rank], 0)


def cut(value, rank: int) -> str | tuple[Pair, ...]:
    """The padding of a transposed convolution: one of COMMON_PADDINGS, or for each spatial axis
    what is cut from the result before and behind; less than nothing extends it."""
    return _padding(value, rank, COMMON_PADDINGS, -sys.maxsize)


def _padding(value, rank: int, rules: tuple[str, ...], least: int) -> str | tuple[Pair, ...]:
    forms = _padding_forms(rank, rules)
    if _is(value, str):
        rule = str.lower(value)
        if rule not in rules:
            raise ValueError(f"padding must be {forms}, got {shown(value)}")
        return rule
    number = value if _is(value, (bool, np.bool_)) else _index("padding", value)
    if number is not None:
        ends = numbers("padding", number, 2, least)
        return ((ends[0], ends[1]),) * rank
    items = _counted("padding", value, (1, 2) if rank == 1 else (rank,), forms)
    if rank == 1 and len(items) == 2:
        items = (items,)  # as np.pad takes them
    pads = (numbers("padding", item, 2, least) for item in items)
    return tuple((before, behind) for before, behind in pads)


_PADDINGS = {
    rank: tuple(rule for rule in PADDINGS if rank == 1 or rule != "causal") for rank in AXES
}


def pool_padding(value, window, dilations) -> str | tuple[Pair, ...]:
    """One of COMMON_PADDINGS, or for each spatial axis pixels before and behind, fewer than a
    window spans."""
    rank = len(window)
    pads = _padding(value, rank, COMMON_PADDINGS, 0)
    if not isinstance(pads, str):
        for name, pair, size, dilation in zip(AXES[rank], pads, window, dilations, strict=True):
            if max(pair) >= extent(size, dilation):
                dilated = f", dilated to {extent(size, dilation)}" if dilation > 1 else ""
                raise ValueError(
                    f"padding must be less than the window: its {name} is {size}{dilated}, got "
                    f"padding {pair[0]} + {pair[1]}"
                )
    return pads


def _padding_forms(rank: int, rules: tuple[str, ...]) -> str:
    each, pairs = {
        1: ("(before, behind)", "((before, behind),)"),
        2: ("(rows, columns)", "((top, bottom), (left, right))"),
        3: ("(planes, rows, columns)", "((front, back), (top, bottom), (left, right))"),
    }[rank]
    return f"one of {rules}, an integer, {each} or {pairs}"


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
    expected = f"one of {tuple(MODES)}, or one for each spatial axis, {rank}"
    items = _counted("padding_mode", value, (rank,), expected)
    return tuple(MODES[_one_of("each padding_mode", each, tuple(MODES))] for each in items)


_FLOATS = (np.float16, np.float32, np.longdouble)  # that are no Python floats
_COMPLEX = (np.complex64, np.clongdouble)


def _number(name: str, value) -> complex:
    """`value` as a number of Python's, or a longdouble; booleans are none."""
    number = _index(name, value)
    if number is not None:
        return number
    if _is(value, float):
        return float.__pos__(value)  # a subclass may lie
    if _is(value, complex):
        return complex.__pos__(value)
    if type(value) in (*_FLOATS, *_COMPLEX):
        return value.item()
    raise TypeError(f"{name} must be a number, got {shown(value)} of type {type(value).__name__}")


def padding_value(value, modes: tuple[str, ...]) -> complex:
    """`value` as a number of Python's, or a longdouble, that is 0 where no mode is "constant"."""
    number = _number("padding_value", value)
    if _is(number, (complex, np.clongdouble)) and number.imag == 0:
        number = number.real  # equal numbers, by which layers are known, say the same
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


def result_dtype(value) -> np.dtype | None:
    """What the result is asked to hold, in this machine's order of bytes; None: what NumPy says."""
    if value is None:
        return None
    try:
        dtype = np.dtype(value).newbyteorder("=")
    except Exception as error:  # whatever the object's own methods raise
        raise TypeError(f"dtype must be a dtype or None, got {shown(value)}") from error
    if not _is_numeric(dtype):
        raise TypeError(f"dtype must be one of integers, floats or complex numbers, got {dtype}")
    return dtype


def average_dtype(value) -> np.dtype | None:
    """The floats that averages are asked to hold; None: what follows from the images."""
    dtype = result_dtype(value)
    if dtype is not None and dtype.kind in "iuc":
        raise TypeError(f"dtype must be one of floats, which averages are, got {dtype}")
    return dtype


def castable(common: np.dtype, asked: np.dtype | None, saturate: bool) -> np.dtype:
    """The dtype of a result of arguments that have a common one, where another may be asked for."""
    dtype = common if asked is None else asked
    clipped = saturate and dtype.kind in "iu"
    if not np.can_cast(common, dtype, "same_kind") and not (clipped and common.kind in "iuf"):
        cure = "; saturate=True rounds" if dtype.kind in "iu" and common.kind == "f" else ""
        raise TypeError(
            f"dtype must be one to which the arguments' common dtype {common} can be cast by "
            f"NumPy's rule 'same_kind', got {dtype}{cure}"
        )
    if clipped and dtype.itemsize > LARGEST_CLIPPED:
        raise ValueError(
            f"saturate must be False where results are larger than 32 bits, got True for {dtype}"
        )
    return dtype


def activation(value) -> Activation:
    """A name or None; of "leaky_relu" the pair with its slope."""
    if _is(value, (tuple, list)):
        pair = _counted("activation", value, (2,), 'a name or ("leaky_relu", slope)')
        if not _is(pair[0], str) or str.__str__(pair[0]) != "leaky_relu":
            raise ValueError(
                f'activation must be a name or ("leaky_relu", slope), got {shown(value)}'
            )
        slope = real("the slope of activation", pair[1])
        if not math.isfinite(slope):
            raise ValueError(f"the slope of activation must be finite, got {slope}")
        return "leaky_relu", slope + 0.0  # 0.0 and -0.0 are equal, and so must their results be
    name, slope = named(_one_of("activation", value, ACTIVATIONS))
    return (name, slope) if name == "leaky_relu" else name


def real_activation(activation: Activation, dtypes, names: str) -> None:
    """Refuse an activation of complex numbers."""
    if activation is not None and any(dtype.kind == "c" for dtype in dtypes):
        raise TypeError(f"activation {named(activation)[0]!r} is not defined for complex {names}")


def float_activation(activation: Activation, dtype) -> None:
    """Refuse a function of floats for a result of integers, which has clamps alone."""
    if activation not in CLAMPS and dtype.kind in "iu":
        raise TypeError(
            f"activation {named(activation)[0]!r} is not defined for a result of dtype {dtype}: "
            f"integers have {' and '.join(map(repr, CLAMPS[1:]))}"
        )


def real(name: str, value) -> float:
    """A number as a float; booleans and complex numbers are none."""
    number = _number(name, value)
    if isinstance(number, (complex, np.clongdouble)):
        raise TypeError(
            f"{name} must be a real number, got {shown(value)} of type {type(value).__name__}"
        )
    try:
        return float(number)
    except OverflowError:
        raise ValueError(
            f"{name} must be a number that a float holds, got {shown(value)}"
        ) from None


def floats_of(name: str, array: np.ndarray) -> np.dtype:
    """The dtype of a function of floats of an array, as NumPy's ufuncs have it."""
    dtype = array.dtype
    if dtype.kind == "c":
        raise TypeError(f"{name} must hold real numbers, got dtype {dtype}")
    if dtype.kind in "iu":
        return np.dtype({1: np.float16, 2: np.float32}.get(dtype.itemsize, np.float64))
    return dtype.newbyteorder("=")


def axis(value, n_axes: int) -> int:
    """The number of an axis, counted from the first; negative ones from behind the last."""
    number = integer("axis", value, -sys.maxsize)
    if not -n_axes <= number < n_axes:
        raise ValueError(f"axis must be one of the {n_axes} axes of array, got {shown(number)}")
    return number % n_axes


def algorithm(value) -> str:
    return _one_of("algorithm", value, ALGORITHMS)


def direct(value) -> str:
    """The algorithm of an operator that has but one."""
    return _one_of("algorithm", value, ("auto",))


def winograd_layer(kernel, strides, dilations, groups: int) -> None:
    """Refuse a layer that algorithm "winograd" does not compute."""
    if len(kernel) != 2:
        raise ValueError(
            f"algorithm 'winograd' needs two spatial axes, got {len(kernel)}: use 'auto'"
        )
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


def filter_groups(value, n_filters: int, noun: str = "number of filters") -> int:
    groups = integer("groups", value, 1)
    if n_filters % groups:
        raise ValueError(f"groups must divide the {noun}, {n_filters}, got {groups}")
    return groups


def _format_cure(rank: int) -> str:
    return f"; they would as PyTorch's, of which filter_format='OI{LETTERS[rank]}' tells"


def _cure(images_shape, filters_shape, groups: int, channels_last: bool) -> str:
    """What to say of images whose channels are not those of the filters, if it can be guessed."""
    rank, channels = len(filters_shape) - 2, filters_shape[1] * groups
    other = images_shape[-rank - 1] if channels_last else None  # the channels, if they are first
    if filters_shape[0] % groups == 0:
        if channels == images_shape[-1]:
            return _format_cure(rank)
        if channels == other:
            return f"{_format_cure(rank)}, and data_format='NC{LETTERS[rank]}' of images"
    if filters_shape[-2] * groups == other:
        return f"; they would with data_format='NC{LETTERS[rank]}'"
    if filters_shape[-2] == groups == 1:
        return "; images without channels are images[..., None]"
    return ""


def geometry(
    images_shape,
    filters_shape,
    strides,
    padding,
    dilations,
    groups,
    *,
    borders=None,
    channels_last=True,
) -> Geometry:
    """The sizes of a convolution of images with any leading axes and channels last, which are taken
    as one; every other argument checked already.

    Parameters
    ----------
    borders : sequence of int, optional
        Of each spatial axis, its place in BORDERS; by default zeros.
    channels_last : bool
        Whether they were so in the user's images.
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
            f"filters of shape {tuple(filters_shape)}, {LETTERS[rank]}IO, expect "
            f"{group_channels} a group"
            f"{_cure(images_shape, filters_shape, groups, channels_last)}"
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
    _addressable("the padded images", padded)
    _addressable("the result", result)
    return geometry


def pool_geometry(images_shape, window, strides, padding, dilations, ceil_mode: bool) -> Geometry:
    """The sizes of a pool of images with any leading axes and channels last, which are taken as
    one; every other argument checked already."""
    rank = len(window)
    *sizes, c = images_shape[-rank - 1 :]
    leading = images_shape[: -rank - 1]
    pads = [padding] * rank if isinstance(padding, str) else padding
    axes = [FLAT] * (RANK - rank)
    for name, *each in zip(AXES[rank], sizes, window, strides, dilations, pads, strict=True):
        axis = pool_axis(Axis.of(*each), ceil_mode)
        if axis.out < 1 and padding not in ("same", "same_lower"):
            dilated = f", dilated to {axis.extent}," if axis.dilation > 1 else ""
            raise ValueError(
                f"window must fit into the padded images: its {name} {axis.kernel}{dilated} is "
                f"more than the images' {name} {axis.size} with padding "
                f"{axis.before} + {axis.behind}"
            )
        axes.append(axis)
    z, y, x = axes
    padded = (*leading, *(axis.padded for axis in axes[RANK - rank :]), c)
    _addressable("the padded images", padded)
    return Geometry(math.prod(leading), c, c, max(c, 1), z, y, x)


def _addressable(name: str, shape: tuple[int, ...]) -> None:
    if math.prod(max(size, 1) for size in shape) > sys.maxsize // LARGEST_ITEM:
        raise ValueError(f"{name} would be too large to address: shape {shape}")


def transposed_geometry(names: tuple[str, str], shape, filters_shape, options) -> Geometry:
    """The sizes of the convolution that is transposed, whose outputs are the argument of a shape
    with any leading axes and channels last.

    Parameters
    ----------
    names : tuple of str
        Of that argument, and of the one that says the result's size.
    filters_shape : tuple of int
        (.., C / groups, O), C the channels of the argument.
    options : TransposedOptions
    """
    name, sized_by = names
    *kernel, group_channels, o = filters_shape
    rank = len(kernel)
    *sizes, c = shape[-rank - 1 :]
    leading = shape[: -rank - 1]
    if c != group_channels * options.groups:
        raise ValueError(
            f"{name} and filters must agree in channels, got {c} and "
            f"{group_channels * options.groups}{_format_cure(rank) if kernel[0] == c else ''}"
        )
    nothing = (None,) * rank
    more, outs = options.output_padding or nothing, options.output_size or nothing
    pads = [options.padding] * rank if isinstance(options.padding, str) else options.padding
    axes = [FLAT] * (RANK - rank)
    for label, size, taps, *each in zip(
        AXES[rank], sizes, kernel, options.strides, options.dilations, pads, more, outs, strict=True
    ):
        axis = forward_axis(size, taps, *each)
        if axis.out != size:
            raise ValueError(
                f"{sized_by} must be one of which a convolution makes the {label} of {name}, "
                f"{size}: of {axis.size} it makes {axis.out}"
            )
        if options.output_size is None and axis.size < min(1, size):
            raise ValueError(
                f"padding must leave something of the result, got {shown(options.padding)}, which "
                f"leaves a {label} of {axis.size}"
            )
        axes.append(axis)
    z, y, x = axes
    # Windows' steps are multiplied with bytes even where all but a little is cut off.
    sizes = (max(axis.size, axis.padded) for axis in axes[RANK - rank :])
    _addressable("the result", (*leading, *sizes, o))
    return Geometry(math.prod(leading), o, c, options.groups, z, y, x)


def images_shape_fits(images_shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Refuse a shape of images that an output's gradient does not belong to."""
    if images_shape != expected:
        raise ValueError(
            f"images_shape must agree with output_gradient and filters, which want {expected}, "
            f"got {images_shape}"
        )


def output_padding(value, strides, dilations) -> tuple[int, ...] | None:
    """Elements behind the result of a transposed convolution, along each axis."""
    if value is None:
        return None
    more = numbers("output_padding", value, len(strides), 0)
    for each, stride, dilation in zip(more, strides, dilations, strict=True):
        if each >= max(stride, dilation):
            raise ValueError(
                f"output_padding must be less than the stride or the dilation, got {more} with "
                f"strides {strides} and dilations {dilations}"
            )
    return more


def output_size(value, rank: int, output_padding) -> tuple[int, ...] | None:
    """Sizes of the spatial axes of the result of a transposed convolution."""
    if value is None:
        return None
    if output_padding is not None:
        raise ValueError(
            f"output_padding must be None where output_size is given, got {output_padding}"
        )
    return numbers("output_size", value, rank, 1)


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


def output_gradient_fits(gradient: Layout, shape, operator: str = "convolution") -> None:
    """Refuse an output gradient of another shape than the operator's result has."""
    if gradient.shape != tuple(shape):
        raise ValueError(
            f"output_gradient must have the shape of the {operator}'s result, {tuple(shape)}, "
            f"got {gradient.shape}"
        )


def pooled_shape_fits(pooled: tuple[int, ...], images: tuple[int, ...], spatial: range) -> None:
    """Refuse a shape of images that no pool makes another shape of: but for spatial axes they are
    alike."""
    kept = [
        tuple(size for axis, size in enumerate(shape) if axis not in spatial)
        for shape in (pooled, images)
    ]
    if len(pooled) != len(images) or kept[0] != kept[1]:
        raise ValueError(
            f"images_shape must agree with output_gradient, of shape {pooled}, in all axes but the "
            f"spatial ones, got {images}"
        )


def indices_fit(indices: Layout, shape: tuple[int, ...]) -> None:
    """Refuse what cannot be places of maxima of a shape."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"indices must hold integers, got dtype {indices.dtype}")
    if indices.shape != shape:
        raise ValueError(f"indices must have output_gradient's shape {shape}, got {indices.shape}")


def places(low: int, high: int, pixels: int) -> None:
    """Refuse places of maxima, by the lowest and the highest, that images of so many pixels do not
    have; -1 is none."""
    if low < -1 or high >= pixels:
        wrong = low if low < -1 else high
        raise ValueError(
            f"indices must be places among the {pixels} pixels of an image, or -1, got {wrong}"
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
