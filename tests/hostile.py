"""Hostile arguments: pieces that are valid or garbage, each with what the documentation makes of
it, and the judge of what comes of a call with them.

The judge knows no more than the documentation: what an argument means, when sizes fit together, and
the sum of `aotconv.conv2d`'s formula, taken pixel by pixel.
"""

from __future__ import annotations

import contextlib
import decimal
import fractions
import functools
import itertools
import math
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from oracle import error_bound, wide, winograd_bound

import aotconv
from aotconv.reference import conv2d_reference


def words(text: str) -> list[str]:
    return text.split()


WRONG = "wrong"  # must be refused
UNSURE = "unsure"  # may be refused or mean something: another thing at each look, say
LARGEST = sys.maxsize
ADDRESSABLE = sys.maxsize // 32  # elements; beyond, sizes may be refused
COMPUTED = 60_000  # elements of a result, and products of an element, that a case computes
UNALLOCATABLE = 1 << 34  # elements: more than LIMIT bytes
LIMIT = 8 << 30  # bytes of address space that a long run's process gets
PATTERN = 0x5A  # of the bytes of `out`
NAMES = words(
    "images filters bias strides padding dilations groups data_format "
    "activation residual out threads algorithm shape use"
)
FAR = [2**31 - 1, 2**31, 10**9, 2**40, 2**53 + 1, 2**57, 2**62, 2**63 - 2, 2**63 - 1]


class Piece(NamedTuple):
    """An argument, what it means in plain integers, strings and arrays, and its name."""

    value: Any
    meaning: Any
    label: str
    memory: np.ndarray | None = None  # that must not be written

    def __repr__(self) -> str:  # a value's own may raise
        return f"<{self.label}>"


def plain(value) -> Piece:
    return Piece(value, value, f"{type(value).__name__} {value!r:.60}")


def piece(label: str, make, meaning=WRONG):
    """A strategy of one piece, made anew for each case."""
    return st.builds(lambda: Piece(make(), meaning, label))


# Objects that lie.


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


# Numbers and pairs of them.


@functools.cache
def of_int(value: int) -> st.SearchStrategy[Piece]:
    """The integer in all forms that are documented to be one."""
    forms = [
        piece(f"{value}", lambda: value, value),
        piece(f"OddInt({value})", lambda: OddInt(value), value),
        piece(f"Index({value})", lambda: Index(value), value),
        piece(f"int64({value})", lambda: np.int64(value), value),
        piece(f"0-d array of {value}", lambda: np.array(value), value),
    ]
    if value < 128:
        forms.append(piece(f"int8({value})", lambda: np.int8(value), value))
    return st.one_of(forms[:1] * 4 + forms)


_NO_INTEGERS = [
    float("nan"),
    float("inf"),
    1.0,
    2.5,
    1j,
    None,
    True,
    np.True_,
    "1",
    b"1",
    np.float32(1),
]


@functools.cache
def no_ints(minimum: int) -> st.SearchStrategy[Piece]:
    """What is no integer of at least `minimum`, and what cannot be known to be one."""
    values = [minimum - 1, -1, -(2**63), -(2**70), 2**63, 2**64 + 1, 10**5000, -(10**5000)]
    wrong = [piece(f"{value!r:.40}", lambda v=value: v) for value in _NO_INTEGERS]
    wrong += [
        piece(f"an integer of {value.bit_length()} bits", lambda v=value: v) for value in values
    ]
    wrong += [
        piece("Decimal", lambda: decimal.Decimal(1)),
        piece("Fraction", lambda: fractions.Fraction(1)),
        piece("object", object),
        piece("Unshown", Unshown),
        piece("Raises", Raises),
        piece("Raises ValueError", lambda: Raises(ValueError)),
        piece("Index raises", lambda: Index(ZeroDivisionError("index"))),
        piece("Index gives a string", lambda: Index("1")),
        piece("Index gives a float", lambda: Index(1.0)),
        piece("Index too large", lambda: Index(10**5000)),
        piece("Pretends to be an int", lambda: Pretends(int)),
        piece("Pretends to be a bool", lambda: Pretends(bool)),
        piece("__class__ raises", lambda: Pretends(ZeroDivisionError("class"))),
        piece("a type", lambda: int),
        piece("OddInt below", lambda: OddInt(minimum - 1)),
        piece("a deep list", lambda: deep_list(5000)),
        piece("a large array", lambda: np.arange(100_000)),
        piece("Changing Index", lambda: Index(1, 2, 3, -1, 2**70), UNSURE),
        piece("Index gives a bool", lambda: Index(True), UNSURE),
    ]
    return st.one_of(wrong)


def deep_list(depth: int):
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@functools.cache
def no_pairs(minimum: int) -> st.SearchStrategy[Piece]:
    def held(inner: Piece, first: bool) -> Piece:
        ok = max(minimum, 1)
        value = (inner.value, ok) if first else [ok, inner.value]
        return Piece(value, inner.meaning, f"a pair with {inner.label}")

    return st.one_of(
        no_ints(minimum),
        st.builds(held, no_ints(minimum), st.booleans()),
        piece("no items", lambda: ()),
        piece("three items", lambda: (1, 1, 1)),
        piece("an endless count", lambda: itertools.count(1)),
        piece("an endless repeat", lambda: itertools.repeat(1)),
        piece("a dict", lambda: {1: 1, 2: 2}),
        piece("a set", lambda: {1, 2}),
        piece("a string", lambda: "11"),
        piece("bytes", lambda: b"11"),
        piece("a matrix", lambda: np.ones((3, 2), int)),
        piece("LyingLength 2 of 3", lambda: LyingLength(2, 1, 1, 1)),
        piece("LyingLength 2 of none", lambda: LyingLength(2)),
        piece("LyingArray", lambda: np.array([1, 1]).view(LyingArray), UNSURE),
        piece("an array of floats", lambda: np.array([1.0, 1.0])),
        piece("Unshown twice", lambda: (Unshown(), Unshown())),
        piece("a list that holds itself", self_holding),
    )


def self_holding():
    value: list = [1]
    value.append(value)
    return value


@st.composite
def pair_pieces(draw, meaning: tuple[int, int]) -> Piece:
    """A pair in all forms that are documented to be one."""
    first, second = meaning
    if first == second and draw(st.booleans()):
        number = draw(of_int(first))
        return number._replace(meaning=meaning)
    a, b = draw(of_int(first)), draw(of_int(second))
    form = draw(st.sampled_from(["tuple", "list", "iterator", "array", "LyingLength"]))
    value: Any = {
        "tuple": lambda: (a.value, b.value),
        "list": lambda: [a.value, b.value],
        "iterator": lambda: iter([a.value, b.value]),
        "array": lambda: np.array(meaning, np.int64),
        "LyingLength": lambda: LyingLength(2**62, a.value, b.value),
    }[form]()
    return Piece(value, meaning, f"{form} of {a.label}, {b.label}")


sizes_of_steps = st.one_of(st.integers(1, 3), st.integers(1, 3), st.sampled_from(FAR))
sizes_of_pads = st.one_of(
    st.integers(0, 3), st.integers(0, 3), st.sampled_from([50, 1000, 10**5, *FAR])
)


@st.composite
def step_pieces(draw) -> Piece:
    """Strides or dilations."""
    if draw(st.integers(0, 7)) == 0:
        return draw(no_pairs(1))
    near = st.one_of(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), sizes_of_steps)
    first = draw(near)
    return draw(pair_pieces((first, draw(st.sampled_from([first, draw(near)])))))


@st.composite
def padding_pieces(draw) -> Piece:
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(
            st.one_of(
                no_pairs(0),
                st.builds(
                    lambda inner: Piece(
                        ((0, 0), inner.value), inner.meaning, f"side {inner.label}"
                    ),
                    no_pairs(0),
                ),
            )
        )
    if kind == 1:
        return draw(no_strings("padding"))
    if kind <= 5:
        rule = draw(st.sampled_from(["valid", "same", "same_lower", "SAME", "Valid"]))
        text = draw(st.sampled_from([str, OddStr, RaisingStr]))(rule)
        return Piece(text, rule.lower(), f"{type(text).__name__} {rule}")
    rows = draw(pair_pieces((draw(st.integers(0, 3)), draw(st.integers(0, 3)))))
    near = st.integers(0, 3)
    far = st.one_of(near, sizes_of_pads)
    if kind <= 7:
        both = draw(near), draw(near)
        inner = draw(pair_pieces(both))
        return inner._replace(meaning=((both[0],) * 2, (both[1],) * 2))
    rows = draw(pair_pieces((draw(far), draw(near))))
    columns = draw(pair_pieces((draw(near), draw(far))))
    return Piece(
        (rows.value, columns.value),
        (rows.meaning, columns.meaning),
        f"({rows.label}), ({columns.label})",
    )


@functools.cache
def no_strings(name: str) -> st.SearchStrategy[Piece]:
    texts = ["", "full", "\u017fame", "NHWC\0", "nhwc", "VALID ", "relu7", "auto\n", "x" * 10**5]
    wrong = [piece(f"{text!r:.20}", lambda t=text: t) for text in texts]
    wrong += [piece(f"OddStr {text!r:.20}", lambda t=text: OddStr(t)) for text in texts]
    wrong += [piece(f"RaisingStr {text!r:.20}", lambda t=text: RaisingStr(t)) for text in texts]
    wrong += [
        piece("bytes", lambda: b"same"),
        piece("Pretends to be a string", lambda: Pretends(str)),
        piece("an array of strings", lambda: np.array("same")),
        piece("Raises", Raises),
        piece("Unshown", Unshown),
        piece("NaN", lambda: float("nan")),
    ]
    if name != "padding":
        wrong += [piece("1", lambda: 1), piece("a list", lambda: ["NHWC"])]
        wrong += [piece("an array", lambda: np.ones(3)), piece("True", lambda: True)]
    return st.one_of(wrong)


@st.composite
def text_pieces(draw, name: str, choices) -> Piece:
    if draw(st.integers(0, 15)) == 0:
        return draw(no_strings(name))
    text = draw(st.sampled_from(choices))
    if text is None:
        return plain(None)
    kind = draw(st.sampled_from([str, str, OddStr, RaisingStr]))
    return Piece(kind(text), text, f"{kind.__name__} {text}")


# Arrays.

KINDS = ["float32"] * 4 + ["float64"] * 2 + ["float16", "longdouble", "int32", "complex64", "uint8"]
STRUCTURED = np.dtype([("a", "f4"), ("b", "f4")])


def small_values(rng, shape, dtype) -> np.ndarray:
    low = 0 if np.dtype(dtype).kind == "u" else -2
    return rng.integers(low, 3, shape).astype(dtype)


def no_arrays(a: np.ndarray) -> st.SearchStrategy[Piece]:
    """What is no array of numbers, or none of the right shape; and what changes at each look."""
    return st.one_of(
        piece("booleans", lambda: np.ones(a.shape, bool)),
        piece("objects", lambda: a.astype(object)),
        piece("structured", lambda: np.zeros(a.shape, STRUCTURED)),
        piece("datetimes", lambda: np.zeros(a.shape, "M8[s]")),
        piece("timedeltas", lambda: np.zeros(a.shape, "m8[s]")),
        piece("strings", lambda: np.zeros(a.shape, "U3")),
        piece("void", lambda: np.zeros(a.shape, "V4")),
        piece("records", lambda: np.zeros(a.shape, STRUCTURED).view(np.recarray)),
        piece("masked", lambda: np.ma.MaskedArray(a, mask=False)),
        piece("a matrix", lambda: np.asmatrix(np.ones((2, 2), np.float32))),
        piece("0-d", lambda: np.array(1, np.float32)),
        piece("64 axes", lambda: np.zeros((1,) * 64, np.float32)),
        piece("one axis more", lambda: np.zeros((*a.shape, 1, 1), np.float32)),
        piece("a number", lambda: 1.0),
        piece("an integer of many digits", lambda: 10**5000),
        piece("a string", lambda: "images"),
        piece("a dict", lambda: {"images": a}),
        piece("a generator", lambda: (row for row in a)),
        piece("a set", lambda: {1, 2}),
        piece("a ragged list", lambda: [[[[1.0], [2.0, 3.0]]]]),
        piece("a list that holds itself", self_holding),
        piece("a deep list", lambda: deep_list(3000)),
        piece("a type", lambda: np.ndarray),
        piece("Unshown", Unshown),
        piece("Raises", Raises),
        piece("Raises AttributeError", lambda: Raises(AttributeError)),
        piece("Raises OSError", lambda: Raises(OSError)),
        piece("Pretends to be an array", lambda: Pretends(np.ndarray)),
        piece("Pretends to be masked", lambda: Pretends(np.ma.MaskedArray)),
        piece("__class__ raises", lambda: Pretends(ZeroDivisionError("class"))),
        piece("__array__ gives a list", lambda: WithArray([1.0])),
        piece("__array__ gives booleans", lambda: WithArray(np.ones(a.shape, bool))),
        piece("__array__ gives None", lambda: WithArray(None)),
        piece("__array__ gives itself", array_of_itself),
        piece("DLPack raises", lambda: WithDLPack(a, ZeroDivisionError("capsule"))),
        piece("DLPack gives a list", lambda: WithDLPack(a, [1.0])),
        piece("DLPack gives None twice", lambda: WithDLPack(a, ())),
        piece("an interface of nonsense", lambda: WithInterface({"shape": "x"})),
        piece("an interface without data", lambda: WithInterface({"shape": (1,), "typestr": "f4"})),
        piece("an interface of a list", lambda: WithInterface([1, 2])),
        piece("an interface of objects", lambda: WithInterface(interface(a, typestr="|O8"))),
        piece("an interface of huge shape", lambda: WithInterface(interface(a, shape=(2**62, 4)))),
        piece("an interface of negative sizes", lambda: WithInterface(interface(a, shape=(-1, 4)))),
        piece(
            "another shape at each look",
            lambda: WithArray(np.zeros((1, 2, 2, 1)), np.zeros(3), np.zeros((5, 5, 5))),
            UNSURE,
        ),
    )


def array_of_itself():
    value = WithArray(None)
    value.values = [value]
    return value


def interface(a: np.ndarray, **lies) -> dict[str, Any]:
    contiguous = np.ascontiguousarray(a)
    truth = {"shape": a.shape, "typestr": a.dtype.str, "version": 3, "data": bytearray(contiguous)}
    return {**truth, **lies}


def held(a: np.ndarray, draw, dtypes_kept: bool = True) -> Piece:
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
    value: Any = a
    if form == "F":
        value = np.asfortranarray(a)
    elif form == "sliced":
        value = np.repeat(a, 2, axis=-1)[..., ::2]
    elif form == "reversed":
        value = a[::-1].copy()[::-1]
    elif form == "read-only":
        value = a.copy()
        value.flags.writeable = False
    elif form == "misaligned":
        value = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
        value[...] = a
    elif form == "byteswapped" and a.dtype != np.longdouble:
        value = a.astype(a.dtype.newbyteorder())
    elif form in ("Subclass", "LyingArray"):
        value = a.copy().view({"Subclass": Subclass, "LyingArray": LyingArray}[form])
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
        value = WithArray(a)
    elif form == "WithDLPack" and kind != "c" and a.dtype != np.longdouble:
        value = WithDLPack(a)
    elif form == "interface" and a.size:
        return Piece(WithInterface(interface(a)), a, label)
    elif form == "metadata" and a.dtype != np.longdouble:
        value = a.astype(np.dtype(a.dtype, metadata={"of": "hostile"}))
    elif form == "lists" and 0 < a.size < 2000 and kind != "c" and 0 not in a.shape:
        return Piece(a.tolist(), np.asarray(a.tolist()), label)
    elif form == "broadcast" and a.ndim > 1 and a.shape[0]:
        value = np.broadcast_to(a[:1], a.shape)
        a = value.copy()
    memory = np.ndarray.view(value, np.ndarray) if issubclass(type(value), np.ndarray) else a
    return Piece(value, a.copy(), label, memory)


# Cases.


class Layer(NamedTuple):
    """Arguments of a Conv2D."""

    filters: Piece
    bias: Piece
    strides: Piece
    padding: Piece
    dilations: Piece
    groups: Piece
    data_format: Piece
    activation: Piece
    algorithm: Piece

    def values(self) -> dict[str, Any]:
        return {name: each.value for name, each in self._asdict().items()}


class Call(NamedTuple):
    """Arguments of a layer's call."""

    images: Piece
    residual: Piece
    out: Piece
    threads: Piece

    def values(self) -> dict[str, Any]:
        return {name: each.value for name, each in self._asdict().items()}


def rare(draw) -> bool:
    return draw(st.integers(0, 13)) == 13


@st.composite
def layers(draw, dtypes=tuple(KINDS)) -> Layer:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    group_channels = draw(st.integers(0, 5))
    group_filters = draw(st.sampled_from([0, 1, 2, 3, 4, 5, 8, 17]))
    if draw(st.integers(0, 2)) == 0:  # depthwise
        groups, group_channels, group_filters = draw(st.sampled_from([1, 3, 8, 17])), 1, 1
    kh, kw = draw(
        st.sampled_from([(1, 1), (3, 3), (1, 3), (3, 1), (2, 5), (5, 5), (7, 7), (40, 1)])
    )
    algorithm = draw(text_pieces("algorithm", ["auto"] * 9 + ["winograd"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(dtypes))
    n_filters = groups * group_filters
    filters = small_values(rng, (kh, kw, group_channels, n_filters), dtype)
    biases = small_values(rng, (n_filters,), dtype)
    bias = plain(None)
    if draw(st.booleans()):
        bias = draw(no_arrays(biases)) if rare(draw) else held(biases, draw)
    activations = (
        [None] if np.dtype(dtype).kind == "c" and not rare(draw) else [None, "relu", "relu6"]
    )
    return Layer(
        draw(no_arrays(filters)) if rare(draw) else held(filters, draw),
        bias,
        draw(step_pieces()),
        draw(padding_pieces()),
        draw(step_pieces()) if draw(st.booleans()) else plain(1)._replace(meaning=(1, 1)),
        draw(no_ints(1)) if rare(draw) else draw(of_int(draw(st.sampled_from([groups] * 9 + [7])))),
        draw(text_pieces("data_format", ["NHWC", "NCHW", "channels_last", "channels_first"])),
        draw(text_pieces("activation", activations)),
        algorithm,
    )


@st.composite
def calls(draw, layer: Layer) -> Call:
    """Arguments of a call; mostly such as fit a layer."""
    filters, groups = layer.filters.meaning, layer.groups.meaning
    known = isinstance(filters, np.ndarray) and filters.ndim == 4
    channels = filters.shape[2] * groups if known and isinstance(groups, int) else 3
    channels = 5 if rare(draw) else min(channels, 200)
    n = draw(st.sampled_from([1, 1, 2, 3, 0]))
    h, w = draw(st.integers(0, 13)), draw(st.integers(0, 13))
    if known and not rare(draw):
        h, w = h + min(filters.shape[0] - 1, 40), w + min(filters.shape[1] - 1, 40)
    first = layer.data_format.meaning in ("NCHW", "channels_first")
    shape = (n, channels, h, w) if first else (n, h, w, channels)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    same = [str(filters.dtype)] * 12 if known else ["float32"]
    array = small_values(rng, shape, draw(st.sampled_from([*same, "int32", "float64", "uint8"])))
    if n == 1 and draw(st.booleans()):
        array = array[0]
    images = draw(no_arrays(array)) if rare(draw) else held(array, draw)
    threads = plain(None)
    if draw(st.integers(0, 3)) == 0:
        number = of_int(draw(st.sampled_from([1, 2, 3, *FAR])))
        threads = draw(no_ints(1)) if rare(draw) else draw(number)
        threads = plain(None) if threads.value is None else threads
    expected = result_of(layer, images)
    residual = out = plain(None)
    if isinstance(expected, Result) and addressed(expected.shape) <= COMPUTED:
        shape, dtype = expected.shape, expected.dtype
        if draw(st.integers(0, 3)) == 0:
            other = draw(st.sampled_from([str(dtype)] * 4 + ["int32", "complex64", "float16"]))
            if rare(draw):
                shape = (*shape[:-1], shape[-1] + 1)
            values = small_values(rng, shape, other)
            residual = draw(no_arrays(values)) if rare(draw) else held(values, draw)
        if draw(st.booleans()):
            out = draw(outs(expected.shape, dtype, images))
    return Call(images, residual, out, threads)


@st.composite
def outs(draw, shape, dtype, images: Piece) -> Piece:
    """Arrays for a result; each filled with PATTERN."""
    form = draw(
        st.sampled_from(
            words(
                "array array array F strided reversed Subclass LyingArray overlap "
                "memmap read-only shape dtype byteswapped list masked Pretends "
                "structured broadcast"
            )
        )
    )
    n_bytes = math.prod(shape) * dtype.itemsize
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
        value = array.view({"Subclass": Subclass, "LyingArray": LyingArray}[form])
    elif form == "overlap" and type(images.value) is np.ndarray:
        buffer = images.value
        fits = buffer.dtype == dtype and buffer.size >= math.prod(shape)
        if fits and buffer.flags.c_contiguous and buffer.flags.writeable:
            value = buffer.reshape(-1)[: math.prod(shape)].reshape(shape)
            return Piece(value, meaning, "out overlaps images")
    elif form == "memmap" and n_bytes:
        with tempfile.TemporaryFile() as file:
            file.write(memory.tobytes())
            file.flush()
            value = np.memmap(file, dtype, "r+", 0, shape)
        memory = np.ndarray.view(value, np.ndarray)
    elif form == "read-only":
        value, meaning = array.view(), WRONG
        value.flags.writeable = False
    elif form == "shape":
        value, meaning = np.full((*shape, 2), 3, dtype)[..., 0:1], WRONG
    elif form == "dtype":
        value, meaning = np.zeros(shape, "f8" if dtype == np.float32 else "f4"), WRONG
    elif form == "byteswapped" and dtype.itemsize > 1 and dtype != np.longdouble:
        value, meaning = array.view(dtype.newbyteorder()), WRONG
    elif form == "list":
        value, meaning = [[1.0]], WRONG
    elif form == "masked":
        value, meaning = np.ma.MaskedArray(array, mask=False), WRONG
    elif form == "Pretends":
        value, meaning = Pretends(np.ndarray), WRONG
    elif form == "structured" and dtype == np.complex64:
        value, meaning = array.view(STRUCTURED), WRONG
    elif form == "broadcast" and shape[0] > 1 and 0 not in shape:
        value = np.lib.stride_tricks.as_strided(array, shape, (0, *array.strides[1:]))
        meaning = UNSURE  # elements share memory: what is in it then is one of them
    return Piece(value, meaning, f"out {form}", memory)


# The judge.


class Result(NamedTuple):
    """What a call gives, by the documentation."""

    shape: tuple[int, ...]
    dtype: np.dtype
    pads: tuple[tuple[int, int], tuple[int, int]]
    pixels: tuple[int, int]
    padded: int  # elements of the padded images

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def sizes_of(shape, layer: Layer):
    """The result's pixels and the zeros around images of a shape, or why there is none."""
    filters = layer.filters.meaning
    _, h, w, c = shape
    kh, kw, group_channels, _ = filters.shape
    if c != group_channels * layer.groups.meaning:
        return WRONG
    axes = zip(
        (h, w), (kh, kw), layer.strides.meaning, layer.dilations.meaning, range(2), strict=True
    )
    pads, pixels = [], []
    for size, kernel, stride, dilation, axis in axes:
        span = (kernel - 1) * dilation + 1
        rule = layer.padding.meaning
        if isinstance(rule, str):
            count = math.ceil(fractions.Fraction(size, stride))
            zeros = 0 if rule == "valid" else max((count - 1) * stride + span - size, 0)
            ends = (zeros // 2, zeros - zeros // 2)
            pads.append(ends if rule == "same" else ends[::-1])
        else:
            pads.append(tuple(rule[axis]))
        if rule not in ("same", "same_lower") and size + sum(pads[-1]) < span:
            return WRONG
        count = (size + sum(pads[-1]) - span) // stride + 1
        pixels.append(max(count, 0))
    return tuple(pixels), tuple(pads)


def layer_of(layer: Layer):
    """WRONG, UNSURE, or None for a layer that can be made."""
    if any(each.meaning is WRONG for each in layer):
        return WRONG
    if any(each.meaning is UNSURE for each in layer):
        return UNSURE
    filters, bias = layer.filters.meaning, layer.bias.meaning
    if filters.ndim != 4 or 0 in filters.shape[:2] or filters.shape[3] % layer.groups.meaning:
        return WRONG
    if bias is not None and bias.shape != filters.shape[3:]:
        return WRONG
    dtypes = [each.dtype for each in (filters, bias) if each is not None]
    if layer.activation.meaning is not None and any(each.kind == "c" for each in dtypes):
        return WRONG
    if layer.algorithm.meaning == "winograd":
        unit = layer.strides.meaning == layer.dilations.meaning == (1, 1)
        if filters.shape[:2] != (3, 3) or not unit or layer.groups.meaning != 1:
            return WRONG
    return None


def addressed(shape) -> int:
    """The elements of a shape, or of its other axes where some are empty."""
    return math.prod(max(size, 1) for size in shape)


def padded_shape(shape, pads) -> tuple[int, ...]:
    """The shape of padded images (N, H, W, C)."""
    n, h, w, c = shape
    return n, h + sum(pads[0]), w + sum(pads[1]), c


def result_of(layer: Layer, images: Piece):
    """WRONG, UNSURE, or the Result of arrays without a residual."""
    made = layer_of(layer)
    if made is WRONG or images.meaning is WRONG:
        return WRONG
    if made is UNSURE or images.meaning is UNSURE:
        return UNSURE
    array, filters, bias = images.meaning, layer.filters.meaning, layer.bias.meaning
    if array.ndim not in (3, 4):
        return WRONG
    shape = array.shape if array.ndim == 4 else (1, *array.shape)
    first = layer.data_format.meaning in ("NCHW", "channels_first")
    if first:
        shape = (shape[0], *shape[2:], shape[1])
    found = sizes_of(shape, layer)
    if found is WRONG:
        return WRONG
    pixels, pads = found
    dtypes = [each.dtype for each in (array, filters, bias) if each is not None]
    dtype = np.result_type(*dtypes)
    if layer.activation.meaning is not None and dtype.kind == "c":
        return WRONG
    if layer.algorithm.meaning == "winograd" and dtype not in (np.float32, np.float64):
        return WRONG
    n_filters = filters.shape[3]
    nhwc = (shape[0], *pixels, n_filters)
    result = (shape[0], n_filters, *pixels) if first else nhwc
    padded = padded_shape(shape, pads)
    return Result(result[4 - array.ndim :], dtype, pads, pixels, addressed(padded))


def sums(layer: Layer, images: np.ndarray, found: Result, residual) -> np.ndarray:
    """The documented sum, pixel by pixel: for padding that no array could hold."""
    if layer.data_format.meaning in ("NCHW", "channels_first"):
        images = np.moveaxis(images, -3, -1)
    batch = images if images.ndim == 4 else images[np.newaxis]
    filters, groups = wide(layer.filters.meaning), layer.groups.meaning
    n, h, w, _ = batch.shape
    kh, kw, channels, n_filters = filters.shape
    width = n_filters // groups
    (sh, sw), (dh, dw) = layer.strides.meaning, layer.dilations.meaning
    out = np.zeros((n, *found.pixels, n_filters), np.result_type(batch, filters, np.float64))
    for y, x in itertools.product(*map(range, found.pixels)):
        for i, j in itertools.product(range(kh), range(kw)):
            iy, ix = y * sh + i * dh - found.pads[0][0], x * sw + j * dw - found.pads[1][0]
            if not (0 <= iy < h and 0 <= ix < w):
                continue
            for g in range(groups):
                pixel = wide(batch[:, iy, ix, g * channels : (g + 1) * channels])
                ours = slice(g * width, (g + 1) * width)
                out[:, y, x, ours] += pixel @ filters[i, j, :, ours]
    if layer.bias.meaning is not None:
        out = out + wide(layer.bias.meaning)
    if layer.data_format.meaning in ("NCHW", "channels_first"):
        out = np.moveaxis(out, -1, 1)
    out = out if images.ndim == 4 else out[0]
    return out if residual is None else out + wide(residual)


def expected_of(layer: Layer, call: Call, found: Result) -> np.ndarray:
    """The oracle's result, before its activation, in float64 or complex128."""
    residual = call.residual.meaning
    taps = math.prod(layer.filters.meaning.shape[:2])
    if found.padded > 10**6 or math.prod(found.pixels) * taps < 40:
        return sums(layer, call.images.meaning, found, residual)
    return conv2d_reference(
        wide(call.images.meaning),
        wide(layer.filters.meaning),
        None if layer.bias.meaning is None else wide(layer.bias.meaning),
        layer.strides.meaning,
        layer.padding.meaning,
        dilations=layer.dilations.meaning,
        groups=layer.groups.meaning,
        data_format=layer.data_format.meaning,
        residual=None if residual is None else wide(residual),
    )


def compare(layer: Layer, call: Call, found: Result, result: np.ndarray) -> None:
    """The values are small integers, so all but Winograd's are exact, and integers wrap."""
    assert type(result) is np.ndarray or result is call.out.value
    result = np.ndarray.view(result, np.ndarray)
    assert result.shape == found.shape
    assert result.dtype == found.dtype
    expected = expected_of(layer, call, found)
    top = {None: None, "relu": np.inf, "relu6": 6}[layer.activation.meaning]
    if found.dtype.kind in "iu":
        expected = expected.astype(np.int64).astype(found.dtype)
    if layer.algorithm.meaning == "winograd":
        arrays = wide(call.images.meaning), wide(layer.filters.meaning), layer.bias.meaning
        bound = winograd_bound(*arrays, found.dtype, call.residual.meaning)
        assert bound >= error_bound(*arrays, found.dtype, call.residual.meaning) / 4
        expected = expected if top is None else np.clip(expected, 0, top)
        assert np.abs(result - expected).max(initial=0) <= bound
        return
    expected = expected.astype(found.dtype)
    expected = expected if top is None else np.clip(expected, 0, top)
    np.testing.assert_array_equal(result, expected)


def skips(layer: Layer, found) -> bool:
    """Whether a case is too large to compute here, and yet not surely too large for any memory."""
    if found is UNSURE:  # who knows how large a result between such zeros is
        zeros = layer.padding.meaning
        return isinstance(zeros, tuple) and max(zeros[0] + zeros[1]) > 50
    if not isinstance(found, Result):
        return False
    large = found.elements
    if found.padded > 10**6:  # judged pixel by pixel
        taps = math.prod(layer.filters.meaning.shape[:2])
        large = max(large, math.prod(found.pixels) * taps * layer.groups.meaning)
    return large > COMPUTED and found.elements < UNALLOCATABLE


@contextlib.contextmanager
def warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", aotconv.FallbackWarning)  # tested on its own
        yield


def bytes_of(pieces) -> list[bytes]:
    return [each.memory.tobytes() for each in pieces if each.memory is not None]


def assert_names_an_argument(error: Exception, pieces: dict[str, Piece], fits: bool) -> None:
    """The message names an argument: the wrong one, if there is one and all the others fit."""
    message = str(error)
    named = [name for name in NAMES if re.search(rf"\b{name}\b", message)]
    assert named or "the result would be" in message, message
    unsure = any(each.meaning is UNSURE for each in pieces.values())
    wrong = [name for name, each in pieces.items() if each.meaning is WRONG]
    if len(wrong) == 1 and fits and not unsure:
        assert wrong[0] in named, (wrong, message)


def judge(layer: Layer, call: Call, compute) -> str:
    """Run ``compute()``, which convolves; assert that what comes of it is documented."""
    pieces = {**layer._asdict(), **call._asdict()}
    found = result_of(layer, call.images)
    others = call.residual, call.out, call.threads
    call_wrong = any(each.meaning is WRONG for each in others)
    must_fail, misfit = found is WRONG or call_wrong, False
    too_large = False
    unsure = found is UNSURE or any(each.meaning is UNSURE for each in others)
    may_fail = unsure
    if isinstance(found, Result):
        residual = call.residual.meaning
        if isinstance(residual, np.ndarray):
            fits = residual.shape == found.shape
            fits = fits and np.can_cast(residual.dtype, found.dtype, "same_kind")
            misfit = not fits
            must_fail = must_fail or misfit
        too_large = max(found.padded, addressed(found.shape)) > ADDRESSABLE
        may_fail = may_fail or too_large
        computes_winograd = aotconv.active().name != "numpy"
        if layer.algorithm.meaning == "winograd" and not computes_winograd:
            may_fail = True  # where there is nothing to sum, it is as good as "auto"
    if skips(layer, found):
        return "skipped"
    before = bytes_of(pieces.values())
    inputs = bytes_of(pieces[name] for name in pieces if name != "out")
    overlaps = call.out.label == "out overlaps images"
    images = np.ndarray.view(call.images.value, np.ndarray).copy() if overlaps else None
    try:
        with warnings_are_errors():
            result = compute()
    except (TypeError, ValueError) as error:
        assert must_fail or may_fail, f"refused what is documented: {error!r:.300}"
        misfits = "groups must divide|bias must have|needs|not defined for"  # found before others
        fits = isinstance(found, Result) if call_wrong else not re.search(misfits, str(error))
        assert_names_an_argument(error, pieces, fits and not misfit and not too_large)
        assert bytes_of(pieces.values()) == before, "written before it was refused"
        if images is not None:
            np.testing.assert_array_equal(np.ndarray.view(call.images.value, np.ndarray), images)
        return type(error).__name__
    except MemoryError as error:
        shape = getattr(error, "shape", ())  # NumPy's own tells it
        huge = found.elements if isinstance(found, Result) else math.prod(shape)
        assert huge >= UNALLOCATABLE
        assert bytes_of(pieces.values()) == before
        return "MemoryError"
    assert not must_fail, f"accepted what is wrong: {[p.label for p in pieces.values()]}"
    if call.out.value is not None:
        assert result is call.out.value
    if not overlaps:
        assert bytes_of(pieces[name] for name in pieces if name != "out") == inputs
    if isinstance(found, Result) and not unsure:
        compare(layer, call, found, result)
    return "right"


def describe(**pieces) -> str:
    """A line that says what a case is made of."""
    return "; ".join(f"{name}={each.label}" for name, each in pieces.items())


# Shapes for `Conv2D.output_shape`, and images that lie in a few bytes.


@st.composite
def shapes(draw, layer: Layer) -> Piece:
    """An argument of `Conv2D.output_shape`; its meaning is a tuple where it is one."""
    channels = layer.filters.meaning.shape[2] * layer.groups.meaning
    size = st.one_of(st.integers(0, 60), st.integers(0, 60), st.sampled_from(FAR))
    n, h, w = draw(size), draw(size), draw(size)
    first = layer.data_format.meaning in ("NCHW", "channels_first")
    meaning = (n, channels, h, w) if first else (n, h, w, channels)
    meaning = draw(st.sampled_from([meaning, meaning[1:], meaning[2:], (*meaning, 1)]))
    if draw(st.integers(0, 3)) == 0:
        wrong = draw(no_ints(0))
        return Piece([*meaning[:-1], wrong.value], wrong.meaning, f"shape with {wrong.label}")
    if draw(st.integers(0, 5)) == 0:
        wrong = draw(no_pairs(0))
        return wrong._replace(meaning=UNSURE) if wrong.label == "three items" else wrong
    items = [draw(of_int(size)) for size in meaning]
    form = draw(st.sampled_from([tuple, list, iter, lambda each: LyingLength(2**62, *each)]))
    return Piece(form([each.value for each in items]), meaning, f"shape {meaning}")


def shape_of(layer: Layer, meaning):
    """What `Conv2D.output_shape` gives, or WRONG or UNSURE."""
    if isinstance(meaning, str):
        return meaning
    if len(meaning) not in (3, 4):
        return WRONG
    shape = meaning if len(meaning) == 4 else (1, *meaning)
    first = layer.data_format.meaning in ("NCHW", "channels_first")
    if first:
        shape = (shape[0], *shape[2:], shape[1])
    found = sizes_of(shape, layer)
    if found is WRONG:
        return WRONG
    pixels, pads = found
    n_filters = layer.filters.meaning.shape[3]
    result = (shape[0], *pixels, n_filters)
    if max(addressed(padded_shape(shape, pads)), addressed(result)) > ADDRESSABLE:
        return UNSURE
    result = (shape[0], n_filters, *pixels) if first else result
    return result[4 - len(meaning) :]


@st.composite
def giants(draw) -> tuple[Layer, Call]:
    """One value as billions of pixels, of which few are read."""
    channels = draw(st.sampled_from([1, 3, 8]))
    depthwise = draw(st.booleans())
    side = draw(st.sampled_from([70_000, 2**22]))
    kernel = draw(st.sampled_from([1, 3]))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    shape = (1, side, side, channels)
    images = np.broadcast_to(np.array(2, dtype), shape)
    groups = channels if depthwise else 1
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_filters = groups * draw(st.sampled_from([1, 1, 4]))
    filters = small_values(rng, (kernel, kernel, channels // groups, n_filters), dtype)
    stride = side // draw(st.integers(1, 3))
    dilation = draw(st.integers(1, 2))
    pad = draw(st.sampled_from([0, 1, 10**6]))
    strides = (max(stride, pad),) * 2
    layer = Layer(
        Piece(filters, filters, "filters"),
        plain(None),
        Piece(strides, strides, f"{strides}"),
        Piece(pad, ((pad, pad), (pad, pad)), f"{pad}"),
        Piece(dilation, (dilation, dilation), f"{dilation}"),
        plain(groups),
        plain("NHWC"),
        plain(None),
        plain("auto"),
    )
    return layer, Call(Piece(images, images, f"giant {shape} {dtype}"), *[plain(None)] * 3)
