"""Every argument by itself.  What passes here, and in `fitting`, is safe for compiled code, which
checks nothing itself.

Each function takes an argument as the user gave it and returns it in its one canonical form, or
raises TypeError or ValueError with the argument's name, what came and what was expected.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from itertools import islice

import numpy as np

from .._plan.activations import ACTIVATIONS, Activation, named
from .._plan.borders import MODES
from .._plan.elements import HALVES, name_of
from .._plan.geometry import COMMON_PADDINGS, PADDINGS, Pair, extent

# By the number of spatial axes: the axes' names, and letters of formats.
AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
LETTERS = {1: "W", 2: "HW", 3: "DHW"}
LARGEST_ITEM = np.dtype(np.clongdouble).itemsize
ALGORITHMS = ("auto", "winograd", "fft", "fastest")
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
    **dict.fromkeys(("output_shape",), "output_size"),
    **dict.fromkeys(("num_threads", "n_threads", "workers"), "threads"),
}
OF_FILTERS = {
    **_OF_ALL,
    **dict.fromkeys(("mode", "boundary", "border", "border_mode", "pad_mode"), "padding_mode"),
    **dict.fromkeys(("cval", "fillvalue", "constant_values"), "padding_value"),
    **dict.fromkeys(("weight", "weights", "kernel", "kernels", "filter"), "filters"),
    **dict.fromkeys(("b", "biases"), "bias"),
    **dict.fromkeys(("kernel_format", "weight_format", "kernel_layout"), "filter_format"),
    **dict.fromkeys(("group", "feature_group_count"), "groups"),
    **dict.fromkeys(("weight_size", "weight_shape"), "filters_shape"),
}
OF_WINDOWS = {
    **_OF_ALL,
    **dict.fromkeys(("kernel_size", "kernel_shape", "pool_size", "ksize", "size"), "window"),
    **dict.fromkeys(("count_include_pad",), "count_padding"),
}


SIZES_OF_FILTERS = "kernel_size", "kernel_shape"


def no_misnamed(given: dict, words: dict = OF_FILTERS) -> None:
    """Refuse keywords that a door does not have, which alone may call this, and say the right one:
    by what other libraries call it, or by what is spelt alike."""
    code = sys._getframe(1).f_code
    own = {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]} - {"self"}
    name, value = next(iter(given.items()))
    name = str.__str__(name)[:LONGEST_SHOWN]  # whatever a subclass makes of itself
    known = words.get(name, name)
    if known == "padding_mode" and _is(value, str) and str.__str__(value).lower() in PADDINGS:
        known = "padding"
    if known in ("padding_mode", "padding_value") and known not in own:
        raise ValueError(
            f"{name}: a {known} is of convolutions and their gradients; here nothing but zeros "
            f"surrounds images, got {shown(value)}"
        )
    if known not in own:
        import difflib  # which takes longer to load than to say no

        known = next(iter(difflib.get_close_matches(name, own, 1, 0.8)), "")
    says = f": say {known}" if known else ""
    if name in SIZES_OF_FILTERS and "filters" in own:
        says = ": filters are the weights themselves"
    raise TypeError(f"there is no argument {name}{says}")


def _is(value, kinds) -> bool:
    """isinstance by the value's type alone: its __class__ may say anything."""
    return issubclass(type(value), kinds)


def plain(name: str, value) -> np.ndarray:
    """`value` as a plain ndarray, not copied where it is an array already.

    It is a view of its own: neither a subclass nor another holder of `value` can change its shape
    behind our back.
    """
    if type(value) is np.ndarray:
        return value.view()
    return np.ndarray.view(_as_ndarray(name, value), np.ndarray)


def array(name: str, value) -> np.ndarray:
    """`value` as a plain ndarray of a numeric dtype; truth values of images are 0 and 1."""
    value = plain(name, value)
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


def images_shape(value, rank: int, name: str = "shape") -> tuple[int, ...]:
    """The sizes of the axes of images."""
    items = listed(name, value, "a tuple of integers")
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
        cures = {
            rank: f": a single filter is filters[{', '.join(index)}]",
            0: ": they are the weights themselves, not how many there are",
        }
        raise ValueError(
            f"filters must have {rank + 2} axes ({', '.join(axes)}), "
            f"got {filters.ndim} axes of shape {filters.shape}{cures.get(filters.ndim, '')}"
        )
    kernel, *_ = filter_parts(filters.shape, filter_format)
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
    kernel, *channels = filter_parts(sizes, filter_format)
    if not all(kernel):
        raise ValueError(
            f"filters_shape must have a {' and a '.join(AXES[rank])} of at least 1, got {sizes}"
        )
    if math.prod(max(size, 1) for size in sizes) > sys.maxsize // LARGEST_ITEM:
        raise ValueError(f"filters_shape would be too large to address: {sizes}")
    return (*kernel, *channels)


def bias_array(value, n_filters: int, cure: Callable[[int], str]) -> np.ndarray | None:
    """A bias of so many filters; `cure` says what to do about one of another size."""
    if value is None:
        return None
    bias = array("bias", value)
    if bias.shape != (n_filters,):
        raise ValueError(
            f"bias must have one value for each of the {n_filters} channels of the result, shape "
            f"({n_filters},), got shape {bias.shape}{cure(bias.size) if bias.ndim == 1 else ''}"
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
    items = listed(name, value, expected)
    if len(items) not in lengths:
        length = f"{len(items)}{' or more' if len(items) == MOST_ITEMS else ''}"
        raise ValueError(f"{name} must be {expected}, got {shown(value)} of length {length}")
    return items


def listed(name: str, value, expected: str) -> tuple:
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
            has_modes = "full" in rules  # as convolutions have that are not transposed
            says = f": say padding_mode={rule!r}" if has_modes and rule in MODES else ""
            raise ValueError(f"padding must be {forms}, got {shown(value)}{says}")
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
    return names[one_of("data_format", value, tuple(names))]


# With channels last, and first.
DATA_FORMATS = {rank: (f"N{axes}C", f"NC{axes}") for rank, axes in LETTERS.items()}
FILTER_FORMATS = {rank: (f"{axes}IO", f"OI{axes}") for rank, axes in LETTERS.items()}
_DATA_FORMATS = {
    rank: {last: last, first: first, "channels_last": last, "channels_first": first}
    for rank, (last, first) in DATA_FORMATS.items()
}


def filter_format(value, rank: int) -> str:
    """'HWIO' or 'OIHW', or what it is called for that rank."""
    return one_of("filter_format", value, FILTER_FORMATS[rank])


def filter_parts(shape: tuple[int, ...], filter_format: str) -> tuple[tuple[int, ...], int, int]:
    """A window's sizes, and those of the axes I and O, of filters of a shape in a format."""
    if filter_format.endswith("IO"):
        return shape[:-2], shape[-2], shape[-1]
    return shape[2:], shape[1], shape[0]


def filters_in(filter_format: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in a format of filters (.., I, O)."""
    *kernel, inputs, outputs = shape
    return shape if filter_format.endswith("IO") else (outputs, inputs, *kernel)


def padding_mode(value, rank: int) -> tuple[str, ...]:
    """The names of np.pad for a mode, meant for all spatial axes, or one for each."""
    if not _is(value, (tuple, list)):
        return (MODES[one_of("padding_mode", value, tuple(MODES))],) * rank
    expected = f"one of {tuple(MODES)}, or one for each spatial axis, {rank}"
    items = _counted("padding_mode", value, (rank,), expected)
    return tuple(MODES[one_of("each padding_mode", each, tuple(MODES))] for each in items)


_FLOATS = (np.float16, np.float32, np.longdouble)  # that are no Python floats
_COMPLEX = (np.complex64, np.clongdouble)


def python_number(name: str, value) -> complex:
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
    number = python_number("padding_value", value)
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
    name, slope = named(one_of("activation", value, ACTIVATIONS))
    return (name, slope) if name == "leaky_relu" else name


def real(name: str, value) -> float:
    """A number as a float; booleans and complex numbers are none."""
    number = python_number(name, value)
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
    return one_of("algorithm", value, ALGORITHMS)


def direct(value) -> str:
    """The algorithm of an operator that has but one."""
    return one_of("algorithm", value, ("auto",))


# What other libraries call a choice.
_SYNONYMS = {
    **{"mirror": "reflect", "grid-mirror": "symmetric", "nearest": "edge", "grid-wrap": "wrap"},
    **{"swish": "silu", "linear": None, "identity": None},
}


def one_of(name: str, value, choices):
    if type(value) is str and value in choices:
        return value
    if value is not None and not _is(value, str):
        raise TypeError(
            f"{name} must be one of {choices}, got {shown(value)} of type {type(value).__name__}"
        )
    text = None if value is None else str.__str__(value)  # a subclass may equal anything
    if text not in choices:
        low = str.lower(text or "")
        known = low if low in choices else _SYNONYMS.get(low, text)
        says = f": say {known!r}" if known != text and known in choices else ""
        raise ValueError(f"{name} must be one of {choices}, got {shown(value)}{says}")
    return text


def filter_groups(value, n_filters: int, noun: str = "number of filters") -> int:
    groups = integer("groups", value, 1)
    if n_filters % groups:
        raise ValueError(f"groups must divide the {noun}, {n_filters}, got {groups}")
    return groups


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


def out_array(value, name: str = "out") -> np.ndarray:
    """A plain view of `value`, like those of `array`."""
    if type(value) is np.ndarray:
        return value.view()
    if not _is(value, np.ndarray) or _is_masked(value):
        raise TypeError(f"{name} must be a NumPy array, got {type(value).__name__}")
    return np.ndarray.view(value, np.ndarray)
