"""Pieces: values of arguments, each with what it means.

What is right is drawn, in all forms that are documented; garbage stands in tables, whole.
"""

from __future__ import annotations

import decimal
import fractions
import functools
import itertools
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from hypothesis import strategies as st
from strategies import lay_out

from . import lies
from .right import UNSURE, WRONG, Result

PATTERN = 0x5A  # of the bytes of `out`
FAR = [2**31 - 1, 2**31, 10**9, 2**40, 2**53 + 1, 2**57, 2**62, 2**63 - 2, 2**63 - 1]
STRUCTURED = np.dtype([("a", "f4"), ("b", "f4")])


def words(text: str) -> list[str]:
    return text.split()


class Piece(NamedTuple):
    """An argument, what it means in plain integers, strings and arrays, and its name."""

    value: Any
    meaning: Any
    label: str
    memory: np.ndarray | None = None  # that must not be written

    def __repr__(self) -> str:  # a value's own may raise
        return f"<{self.label}>"


Maker: TypeAlias = Callable[[], Piece]  # of a piece anew for each case


def plain(value) -> Piece:
    return Piece(value, value, f"{type(value).__name__} {value!r:.60}")


def memory_of(value) -> np.ndarray | None:
    """The memory of an array, whatever it says of itself."""
    return np.ndarray.view(value, np.ndarray) if issubclass(type(value), np.ndarray) else None


def maker(label: str, make: Callable[[], Any], meaning: Any = WRONG) -> Maker:
    def made() -> Piece:
        value = make()
        return Piece(value, meaning, label, memory_of(value))

    return made


def fresh(makers: Sequence[Maker]) -> st.SearchStrategy[Piece]:
    return st.sampled_from(makers).map(lambda make: make())


def within(makers: Sequence[Maker], label: str, wrap: Callable[[Any], Any]) -> list[Maker]:
    """The same garbage as a part of something."""

    def inside(make: Maker) -> Piece:
        inner = make()
        return Piece(wrap(inner.value), inner.meaning, f"{label} {inner.label}")

    return [functools.partial(inside, make) for make in makers]


# What means nothing to any argument.

NONSENSE = [
    *(maker(f"Raises {e.__name__}", lambda e=e: lies.Raises(e)) for e in lies.ERRORS),
    *(maker(f"Pretends to be {k.__name__}", lambda k=k: lies.Pretends(k)) for k in lies.KINDS),
    maker("__class__ raises", lambda: lies.Pretends(ZeroDivisionError("class"))),
    maker("object", object),
    maker("Unshown", lies.Unshown),
    maker("a type", lambda: int),
    maker("a dict", lambda: {1: 1, 2: 2}),
    maker("a set", lambda: {1, 2}),
    maker("a deep list", lambda: lies.deep_list(5000)),
    maker("a list that holds itself", lies.self_holding),
]


# Numbers, and some of them.


@functools.cache
def of_int(value: int) -> st.SearchStrategy[Piece]:
    """The integer in all forms that are documented to be one."""
    forms = [
        maker(f"{value}", lambda: value, value),
        maker(f"OddInt({value})", lambda: lies.OddInt(value), value),
        maker(f"Index({value})", lambda: lies.Index(value), value),
        maker(f"int64({value})", lambda: np.int64(value), value),
        maker(f"0-d array of {value}", lambda: np.array(value), value),
    ]
    if value < 128:
        forms.append(maker(f"int8({value})", lambda: np.int8(value), value))
    return fresh(forms[:1] * 4 + forms)


_NO_INTEGERS = [
    float("nan"),
    float("inf"),
    1.0,
    2.5,
    1j,
    True,
    np.True_,
    "1",
    b"1",
    np.float32(1),
]


@functools.cache
def no_ints(minimum: int, or_none: bool = False) -> list[Maker]:
    """What is no integer of at least `minimum`, and what cannot be known to be one."""
    values = [minimum - 1, -1, -(2**63), -(2**70), 2**63, 2**64 + 1, 10**5000, -(10**5000)]
    return [
        *(maker(f"{value!r:.40}", lambda v=value: v) for value in _NO_INTEGERS),
        *([] if or_none else [maker("None", lambda: None)]),
        *NONSENSE,
        *(maker(f"an integer of {v.bit_length()} bits", lambda v=v: v) for v in values),
        maker("Decimal", lambda: decimal.Decimal(1)),
        maker("Fraction", lambda: fractions.Fraction(1)),
        maker("Index raises", lambda: lies.Index(ZeroDivisionError("index"))),
        maker("Index gives a string", lambda: lies.Index("1")),
        maker("Index gives a float", lambda: lies.Index(1.0)),
        maker("Index too large", lambda: lies.Index(10**5000)),
        maker("OddInt below", lambda: lies.OddInt(minimum - 1)),
        maker("a large array", lambda: np.arange(100_000)),
        maker("Changing Index", lambda: lies.Index(1, 2, 3, -1, 2**70), UNSURE),
        maker("Index gives a bool", lambda: lies.Index(True), UNSURE),
    ]


@functools.cache
def no_tuples(minimum: int, count: int = 2) -> list[Maker]:
    """What holds no known number of integers of at least `minimum` in a known order."""
    others = (max(minimum, 1),) * (count - 1)
    return [
        *no_ints(minimum),
        *within(no_ints(minimum), "items that begin with", lambda value: (value, *others)),
        *within(no_ints(minimum), "items that end with", lambda value: [*others, value]),
        maker("no items", lambda: ()),
        maker("an endless count", lambda: itertools.count(1)),
        maker("an endless repeat", lambda: itertools.repeat(1)),
        maker("a string", lambda: "1" * count),
        maker("bytes", lambda: b"1" * count),
        maker("a matrix", lambda: np.ones((5, 2), int)),
        maker("LyingLength of none", lambda: lies.LyingLength(count)),
        maker("LyingLength beyond all memory of none", lambda: lies.LyingLength(2**62)),
        maker("LyingArray", lambda: np.array([1] * count).view(lies.LyingArray), UNSURE),
        maker("an array of floats", lambda: np.ones(count)),
        maker("Unshown", lambda: [lies.Unshown()] * count),
    ]


@functools.cache
def no_counts(minimum: int, *counts: int) -> list[Maker]:
    """What is neither an integer nor any of these numbers of integers."""
    more = max(counts) + 1
    return [
        *no_tuples(minimum, counts[0]),
        maker(f"{more} items", lambda: (1,) * more),
        maker(f"LyingLength of {more}", lambda: lies.LyingLength(counts[0], *[1] * more)),
    ]


@functools.cache
def no_paddings(rank: int) -> list[Maker]:
    others = ((0, 0),) * (rank - 1)
    ends = within(no_counts(0, 2), "the last axis'", lambda value: (*others, value))
    return [*(no_counts(0, 1, 2) if rank == 1 else no_counts(0, rank)), *ends, *no_words()]


@functools.cache
def no_shapes() -> list[Maker]:
    sizes = within(no_ints(0), "a shape that ends with", lambda value: [1, 1, value])
    return [*no_tuples(0), *sizes]


@st.composite
def of_tuple(draw, meaning: tuple[int, ...], or_number: bool = True) -> Piece:
    """Integers in all forms that are documented to be a tuple of them, or one number for all."""
    if or_number and len(set(meaning)) == 1 and draw(st.booleans()):
        return draw(of_int(meaning[0]))._replace(meaning=meaning)
    items = [draw(of_int(each)) for each in meaning]
    values = [each.value for each in items]
    form = draw(st.sampled_from(["tuple", "list", "iterator", "array", "LyingLength"]))
    value: Any = {
        "tuple": lambda: tuple(values),
        "list": lambda: values,
        "iterator": lambda: iter(values),
        "array": lambda: np.array(meaning, np.int64),
        "LyingLength": lambda: lies.LyingLength(2**62, *values),
    }[form]()
    return Piece(value, meaning, f"{form} of {', '.join(each.label for each in items)}")


near_steps = st.integers(1, 3)
steps = st.one_of(*[near_steps] * 5, st.sampled_from(FAR))
near_zeros = st.integers(0, 3)
zeros = st.one_of(*[near_zeros] * 3, st.sampled_from([50, 1000, 10**5, *FAR]))


@st.composite
def steps_of(draw, rank: int) -> Piece:
    """Strides or dilations."""
    first = draw(steps)
    others = [draw(st.sampled_from([first, draw(steps)])) for _ in range(rank - 1)]
    return draw(of_tuple((first, *others)))


@st.composite
def paddings(draw, rank: int) -> Piece:
    form = draw(st.sampled_from(["rule", "rule", "symmetric", "ends"]))
    if form == "rule":
        rules = ["valid", "same", "same_lower", "SAME", "Valid", "full"]
        rule = draw(texts([*rules, "causal", "Causal"] if rank == 1 else rules))
        return rule._replace(meaning=rule.meaning.lower())
    if form == "symmetric":
        piece = draw(of_tuple(tuple(draw(near_zeros) for _ in range(rank))))
        return piece._replace(meaning=tuple((each, each) for each in piece.meaning))
    far = [(draw(zeros), draw(near_zeros)), (draw(near_zeros), draw(zeros)), (1, draw(near_zeros))]
    if rank == 1 and draw(st.booleans()):  # (before, behind)
        pair = draw(of_tuple(far[0], or_number=False))
        return pair._replace(meaning=(pair.meaning,))
    each = [draw(of_tuple(ends)) for ends in far[:rank]]
    return Piece(
        tuple(one.value for one in each),
        tuple(one.meaning for one in each),
        ", ".join(f"({one.label})" for one in each),
    )


# Strings.


@functools.cache
def no_words() -> list[Maker]:
    """Strings that mean nothing, and what might be taken for one."""
    texts = ["", "else", "fill", "\u017fame", "NHWC\0", "nhwc", "VALID ", "relu7", "auto\n"]
    return [
        *(
            maker(f"{kind.__name__} {text!r:.20}", lambda t=text, k=kind: k(t))
            for text in [*texts, "x" * 10**6]
            for kind in (str, lies.OddStr, lies.RaisingStr)
        ),
        maker("bytes", lambda: b"same"),
        maker("an array of strings", lambda: np.array("same")),
        maker("NaN", lambda: float("nan")),
        maker("a list", lambda: ["NHWC"]),
        maker("an array", lambda: np.ones(3)),
        maker("True", lambda: True),
    ]


@functools.cache
def no_choices() -> list[Maker]:
    return [*NONSENSE, *no_words(), maker("1", lambda: 1)]


MODES = words("constant reflect symmetric edge wrap zeros replicate circular")


@functools.cache
def no_activations() -> list[Maker]:
    """What is no name, and no pair of "leaky_relu" and a slope."""
    slopes = [None, "0", True, float("nan"), -float("inf"), 1j, 10**400, [0.1], (0.1,)]
    pairs = [
        ("leaky_relu",),
        ("leaky_relu", 0.1, 0),
        ("relu", 0.1),
        (None, 0.1),
        (b"leaky_relu", 0),
    ]
    return [
        *no_choices(),
        *(maker(f"slope {slope!r:.20}", lambda s=slope: ("leaky_relu", s)) for slope in slopes),
        *(maker(f"{pair!r}", lambda p=pair: p) for pair in pairs),
        maker("a slope of many digits", lambda: ("leaky_relu", 10**5000)),
        *within(NONSENSE, "leaky_relu of", lambda value: ("leaky_relu", value)),
    ]


@st.composite
def activations(draw, names) -> Piece:
    """One of the names, or "leaky_relu" with a slope."""
    piece = draw(texts(names))
    if piece.meaning != "leaky_relu" or draw(st.booleans()):
        return piece
    slope = draw(st.sampled_from([0, 0.5, -1, np.float32(0.25), np.float64(2), np.int8(3)]))
    kind = draw(st.sampled_from([tuple, list]))
    return Piece(
        kind([piece.value, slope]), ("leaky_relu", float(slope)), f"{piece.label} of {slope!r}"
    )


@functools.cache
def no_modes() -> list[Maker]:
    """What is no padding mode, and not one for each axis."""
    values = [("edge",) * 4, ("edge", None), ["edge", "mirror"], ("edge", 1), {"edge"}, "nearest"]
    return [*no_choices(), *(maker(f"{value!r}", lambda v=value: v) for value in values)]


def modes(rank: int) -> st.SearchStrategy[Piece]:
    """Mostly zeros; else one for all axes, or one for each."""
    one = texts(MODES).map(lambda each: each._replace(meaning=(each.meaning,) * rank))
    return st.one_of(st.just(one_mode("constant", rank)), one, modes_of_axes(rank))


def one_mode(name: str, rank: int) -> Piece:
    return Piece(name, (name,) * rank, name)


@st.composite
def modes_of_axes(draw, rank: int) -> Piece:
    each = [draw(texts(MODES)) for _ in range(rank)]
    kind = draw(st.sampled_from([tuple, list]))
    value = kind(one.value for one in each)
    label = f"{kind.__name__} of {', '.join(one.label for one in each)}"
    return Piece(value, tuple(one.meaning for one in each), label)


@functools.cache
def no_numbers() -> list[Maker]:
    """What is no number, and what no images hold."""
    values = [None, "0", True, np.True_, b"1"]
    return [
        *NONSENSE,
        *(maker(f"{value!r}", lambda v=value: v) for value in values),
        maker("an integer of many digits", lambda: 10**5000),
        maker("a list of zero", lambda: [0]),
        maker("Index raises", lambda: lies.Index(ZeroDivisionError("index"))),
    ]


@functools.cache
def no_flags() -> list[Maker]:
    """What is no truth value."""
    values = [0, 1, None, "False", 0.0]
    return [*NONSENSE, *(maker(f"{value!r}", lambda v=value: v) for value in values)]


@functools.cache
def no_dtypes() -> list[Maker]:
    """What is no dtype, or none of numbers."""
    values = ["bool", np.bool_, "U3", object, "datetime64[s]", "f3", 0, False, [("a", "i4")]]
    nonsense = [make for make in NONSENSE if make().value is not int]  # which is one
    return [*nonsense, *no_words(), *(maker(f"{value!r}", lambda v=value: v) for value in values)]


@st.composite
def texts(draw, choices) -> Piece:
    text = draw(st.sampled_from(choices))
    if text is None:
        return plain(None)
    kind = draw(st.sampled_from([str, str, lies.OddStr, lies.RaisingStr]))
    return Piece(kind(text), text, f"{kind.__name__} {text}")


# Arrays.


def no_arrays(a: np.ndarray, free: bool = False) -> list[Maker]:
    """What is no array of numbers, or none of the right shape; and what changes at each look.  With
    `free`, as images are, there may be any leading axes."""
    more = [
        maker("a matrix", lambda: np.ones((7, 11), np.float32).view(np.matrix)),
        maker("64 axes", lambda: np.zeros((1,) * 64, np.float32)),
        maker("one axis more", lambda: np.zeros((*a.shape, 1, 1), np.float32)),
        # Images may hold truth values.
        maker("booleans", lambda: np.ones(a.shape, bool)),
        maker("__array__ gives booleans", lambda: lies.WithArray(np.ones(a.shape, bool))),
    ]
    return [
        *NONSENSE,
        *([] if free else more),
        maker("objects", lambda: a.astype(object)),
        maker("structured", lambda: np.zeros(a.shape, STRUCTURED)),
        maker("datetimes", lambda: np.zeros(a.shape, "M8[s]")),
        maker("timedeltas", lambda: np.zeros(a.shape, "m8[s]")),
        maker("strings", lambda: np.zeros(a.shape, "U3")),
        maker("void", lambda: np.zeros(a.shape, "V4")),
        maker("records", lambda: np.zeros(a.shape, STRUCTURED).view(np.recarray)),
        maker("masked", lambda: np.ma.MaskedArray(a, mask=False)),
        maker("0-d", lambda: np.array(1, np.float32)),
        maker("a number", lambda: 1.0),
        maker("an integer of many digits", lambda: 10**5000),
        maker("a string", lambda: "images"),
        maker("a generator", lambda: (row for row in a)),
        maker("a ragged list", lambda: [[[[1.0], [2.0, 3.0]]]]),
        maker("__array__ gives a list", lambda: lies.WithArray([1.0])),
        maker("__array__ gives None", lambda: lies.WithArray(None)),
        maker("__array__ gives itself", lies.array_of_itself),
        maker("DLPack raises", lambda: lies.WithDLPack(a, ZeroDivisionError("capsule"))),
        maker("DLPack gives a list", lambda: lies.WithDLPack(a, [1.0])),
        maker("DLPack gives None twice", lambda: lies.WithDLPack(a, ())),
        maker("an interface of nonsense", lambda: lies.WithInterface({"shape": "x"})),
        maker(
            "an interface without data",
            lambda: lies.WithInterface({"shape": (1,), "typestr": "f4"}),
        ),
        maker("an interface of a list", lambda: lies.WithInterface([1, 2])),
        maker("an interface of objects", lambda: lies.WithInterface(interface(a, typestr="|O8"))),
        maker(
            "an interface of huge shape", lambda: lies.WithInterface(interface(a, shape=(2**62, 4)))
        ),
        maker(
            "an interface of negative sizes",
            lambda: lies.WithInterface(interface(a, shape=(-1, 4))),
        ),
        maker(
            "another shape at each look",
            lambda: lies.WithArray(np.zeros((1, 2, 2, 1)), np.zeros(3), np.zeros((5, 5, 5))),
            UNSURE,
        ),
    ]


def interface(a: np.ndarray, **lies) -> dict[str, Any]:
    contiguous = np.ascontiguousarray(a)
    truth = {"shape": a.shape, "typestr": a.dtype.str, "version": 3, "data": bytearray(contiguous)}
    return {**truth, **lies}


@st.composite
def arrays(draw, a: np.ndarray) -> Piece:
    """The array in one of all the forms that are documented to be one."""
    form = draw(
        st.sampled_from(
            words(
                "array array array F sliced reversed read-only misaligned byteswapped "
                "Subclass LyingArray memmap memory WithArray WithDLPack interface "
                "metadata lists broadcast"
            )
        )
    )
    kind, label = a.dtype.kind, f"{form} {a.dtype} {a.shape}"
    is_long = a.dtype == np.longdouble
    value: Any = a
    if form in ("F", "read-only", "misaligned") or (form == "byteswapped" and not is_long):
        value = lay_out(a, form)
    elif form == "sliced":
        value = np.repeat(a, 2, axis=-1)[..., ::2]
    elif form == "reversed":
        value = a[::-1].copy()[::-1]
    elif form in ("Subclass", "LyingArray"):
        value = a.copy().view({"Subclass": lies.Subclass, "LyingArray": lies.LyingArray}[form])
    elif form == "memmap" and a.size:
        with tempfile.TemporaryFile() as file:
            file.write(b"head!!!!" + a.tobytes())
            file.flush()
            mode = draw(st.sampled_from(["r", "r+", "c"]))
            value = np.memmap(file, a.dtype, mode, 8, a.shape)
        return Piece(value, a, f"{label} {mode}", np.asarray(value))
    elif form == "memory" and a.dtype.char in "fdil" and a.size:
        value = memoryview(a.copy())
    elif form == "WithArray":
        value = lies.WithArray(a)
    elif form == "WithDLPack" and kind != "c" and not is_long:
        value = lies.WithDLPack(a)
    elif form == "interface" and a.size:
        return Piece(lies.WithInterface(interface(a)), a, label)
    elif form == "metadata" and not is_long:
        value = a.astype(np.dtype(a.dtype, metadata={"of": "hostile"}))
    elif form == "lists" and 0 < a.size < 2000 and kind != "c":
        return Piece(a.tolist(), np.asarray(a.tolist()), label)
    elif form == "broadcast" and a.ndim > 1 and a.shape[0]:
        value = np.broadcast_to(a[:1], a.shape)
        a = value.copy()
    memory = memory_of(value)
    return Piece(value, a.copy(), label, a if memory is None else memory)


# Arrays for a result.


def no_outs(a: np.ndarray) -> list[Maker]:
    """What no result of an array's shape and dtype can be written into."""
    makers = [
        *no_arrays(a),
        maker("read-only", lambda: lay_out(a, "read-only")),
        maker("another shape", lambda: np.full((*a.shape, 2), 3, a.dtype)[..., 0:1]),
        maker("another dtype", lambda: np.zeros(a.shape, "f8" if a.dtype == "f4" else "f4")),
        maker("a list", lambda: [[1.0]]),
    ]
    if a.dtype.itemsize > 1 and a.dtype != np.longdouble:
        makers.append(maker("byteswapped", lambda: a.view(a.dtype.newbyteorder())))
    if a.dtype == np.complex64:
        makers.append(maker("two floats", lambda: a.view(STRUCTURED)))
    return makers


@st.composite
def outs(draw, found: Result, images: Piece) -> Piece:
    """An array for a result, filled with PATTERN."""
    shape, dtype = found.shape, found.dtype
    form = draw(
        st.sampled_from(
            words(
                "array array array F strided reversed Subclass LyingArray overlap memmap broadcast"
            )
        )
    )
    n_bytes = found.elements * dtype.itemsize
    memory = np.full(4 * n_bytes + 64, PATTERN, np.uint8)
    array = memory[:n_bytes].view(dtype).reshape(shape)
    meaning: Any = "out"
    value: Any = array
    if form == "F":
        value = array.reshape(shape[::-1]).T
    elif form == "strided":
        value = memory[: 2 * n_bytes].view(dtype).reshape(*shape[:-1], 2 * shape[-1])[..., ::2]
    elif form == "reversed":
        value = array[::-1]
    elif form in ("Subclass", "LyingArray"):
        value = array.view({"Subclass": lies.Subclass, "LyingArray": lies.LyingArray}[form])
    elif form == "overlap" and type(images.value) is np.ndarray:
        buffer = images.value
        fits = buffer.dtype == dtype and buffer.size >= found.elements
        if fits and buffer.flags.c_contiguous and buffer.flags.writeable:
            value = buffer.reshape(-1)[: found.elements].reshape(shape)
            return Piece(value, meaning, "out overlaps images")
    elif form == "memmap" and n_bytes:
        with tempfile.TemporaryFile() as file:
            file.write(memory.tobytes())
            file.flush()
            value = np.memmap(file, dtype, "r+", 0, shape)
        memory = np.ndarray.view(value, np.ndarray)
    elif form == "broadcast" and shape[0] > 1 and 0 not in shape:
        value = np.lib.stride_tricks.as_strided(array, shape, (0, *array.strides[1:]))
        meaning = UNSURE  # elements share memory: what is in it then is one of them
    return Piece(value, meaning, f"out {form}", memory)
