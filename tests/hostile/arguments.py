"""The table of arguments: of each, all its garbage and how a right one is drawn; and the layers and
calls that are made of them, by the signatures.

A new keyword needs a row in ARGUMENTS, and what it means needs a place in `right`.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from strategies import integer_values, seeds

from aotconv._plan.activations import ACTIVATIONS, CLAMPS
from aotconv._tools.problem import CLASSES, FUNCTIONS

from . import pieces, right
from .pieces import FAR, Maker, Piece, plain

COMPUTED = 60_000  # elements of a result, and products of an element, that a case computes
KINDS = ["float32"] * 4 + ["float64"] * 2 + ["float16", "longdouble", "complex64"]
KINDS += ["int32", "uint8", "int64"]
ONE = {rank: np.ones((1,) * (rank + 2), np.float32) for rank in FUNCTIONS}
SMALL = {  # of ONE and ONE
    rank: right.Result(one.shape, (1,) * rank, ((0, 0),) * rank, 1, one.dtype)
    for rank, one in ONE.items()
}
LETTERS = {1: "W", 2: "HW", 3: "DHW"}
KERNELS = {
    1: [(1,), (3,), (5,), (7,), (40,)],
    2: [(1, 1), (3, 3), (1, 3), (3, 1), (2, 5), (5, 5), (7, 7), (40, 1)],
    3: [(1, 1, 1), (3, 3, 3), (1, 3, 3), (3, 1, 1), (2, 1, 5)],
}
LARGEST = {1: 40, 2: 13, 3: 5}  # free pixels of an axis
LEADING = [(1,), (1,), (1,), (2,), (3,), (0,), (), (2, 2), (1, 3, 2)]


class Arguments(dict[str, Piece]):
    """Pieces by the names of the arguments that they are, of a convolution of some rank."""

    def __init__(self, rank: int, pieces=()) -> None:
        super().__init__(pieces)
        self.rank = rank

    def of(self, names) -> Arguments:
        return Arguments(self.rank, {name: self[name] for name in names})

    @property
    def given(self) -> dict[str, Any]:
        return {name: each.value for name, each in self.items()}

    @property
    def meaning(self) -> SimpleNamespace:
        meanings = {name: each.meaning for name, each in self.items()}
        return SimpleNamespace(rank=self.rank, **meanings)

    def __str__(self) -> str:
        shown = (f"{name}={each.label}" for name, each in self.items())
        return f"rank {self.rank}; " + "; ".join(shown)


@dataclasses.dataclass
class Case:
    """What arguments are drawn to fit, and those drawn so far."""

    draw: Any
    rng: np.random.Generator
    rank: int
    filters: np.ndarray  # outputs last
    groups: int
    images: np.ndarray | None = None
    outputs_first: bool = False
    layer: Arguments | None = None  # that is called

    def __post_init__(self) -> None:
        self.drawn = Arguments(self.rank)

    def one_in(self, number: int) -> bool:
        return self.draw(st.integers(1, number)) == number

    @property
    def bias(self) -> np.ndarray:
        return integer_values(self.rng, self.filters.shape[-1:], self.filters.dtype)

    @property
    def result(self) -> right.Result:
        """The result of the images that were drawn; SMALL where there is none, or a large one."""
        small = SMALL[self.rank]
        if self.layer is None or "images" not in self.drawn:
            return small
        found = right.result_of(self.layer.meaning, self.drawn["images"].meaning)
        known = isinstance(found, right.Result) and right.addressed(found.shape) <= COMPUTED
        return found if known else small

    @property
    def formatted_filters(self) -> np.ndarray:
        last = self.filters
        return np.moveaxis(last, (-1, -2), (0, 1)).copy() if self.outputs_first else last

    @property
    def ones(self) -> np.ndarray:
        return np.ones(self.result.shape, self.result.dtype)

    def arguments(self, names) -> Arguments:
        """All arguments of these names: each is rarely garbage."""
        for name in names:
            row = row_of(name)
            is_garbage = self.one_in(14)
            piece = self.draw(pieces.fresh(row.garbage(self))) if is_garbage else row.right(self)
            self.drawn[name] = piece
        return self.drawn


# The table.


class Row(NamedTuple):
    """What is known of an argument: its garbage, whole, and how a right one is drawn."""

    garbage: Callable[[Case], list[Maker]]
    right: Callable[[Case], Piece]


def array(of: Callable[[Case], Any]) -> Row:
    return Row(
        lambda case: pieces.no_arrays(of(case)), lambda case: case.draw(pieces.arrays(of(case)))
    )


def drawn(garbage: list[Maker], strategy: st.SearchStrategy[Piece]) -> Row:
    return Row(lambda case: garbage, lambda case: case.draw(strategy))


def by_rank(garbage: Callable[[int], list[Maker]], right: Callable[[int], Any]) -> Row:
    return Row(lambda case: garbage(case.rank), lambda case: case.draw(right(case.rank)))


def seldom(number: int, row: Row, default: Callable[[int], Piece]) -> Row:
    """A row of an argument that is drawn one time of a number, and else has its rank's default."""
    return row._replace(
        right=lambda case: row.right(case) if case.one_in(number) else default(case.rank)
    )


def none(rank: int) -> Piece:
    return plain(None)


def groups(case: Case) -> Piece:
    return case.draw(pieces.of_int(7 if case.one_in(10) else case.groups))


def activation(case: Case) -> Piece:
    kind = case.filters.dtype.kind
    if case.one_in(14):
        kind = "f"
    names = {"c": [None], "f": ACTIVATIONS}.get(kind, CLAMPS)
    return case.draw(pieces.activations(names))


def residual(case: Case) -> Piece:
    if case.result is SMALL[case.rank]:
        return plain(None)
    shape, same = case.result.shape, str(case.result.dtype)
    dtype = case.draw(st.sampled_from([same] * 4 + ["int32", "complex64", "float16"]))
    shape = (*shape[:-1], shape[-1] + 1) if case.one_in(14) else shape
    return case.draw(pieces.arrays(integer_values(case.rng, shape, dtype)))


def out(case: Case) -> Piece:
    if case.result is SMALL[case.rank]:
        return plain(None)
    return case.draw(pieces.outs(case.result, case.drawn["images"]))


def filter_format(case: Case) -> Piece:
    first = case.outputs_first != case.one_in(14)
    letters = LETTERS[case.rank]
    return case.draw(pieces.texts([f"OI{letters}" if first else f"{letters}IO"]))


def data_formats(rank: int) -> st.SearchStrategy[Piece]:
    names = [f"N{LETTERS[rank]}C", f"NC{LETTERS[rank]}", "channels_last", "channels_first"]
    return pieces.texts(names)


def shape(case: Case) -> Piece:
    size = st.one_of(st.integers(0, 60), st.integers(0, 60), st.sampled_from(FAR))
    leading = [case.draw(size) for _ in case.draw(st.sampled_from(LEADING))]
    sizes = [case.draw(size) for _ in range(case.rank)]
    channels = case.filters.shape[-2] * case.groups
    assert case.layer is not None
    first = right.channels_first(case.layer.meaning)
    sizes = [*leading, channels, *sizes] if first else [*leading, *sizes, channels]
    some = case.draw(st.sampled_from([sizes, sizes, sizes, sizes[2:], [*sizes, 1]]))
    return case.draw(pieces.of_tuple(tuple(some), or_number=False))


def ones(rank: int) -> Piece:
    return Piece(1, (1,) * rank, "1")


NUMBERS_OF_THREADS = st.sampled_from([1, 2, 3, *FAR]).flatmap(pieces.of_int)

STEPS = by_rank(lambda rank: pieces.no_counts(1, rank), pieces.steps_of)
ZERO = st.sampled_from([0, 0.0, -0.0, np.float64(0), np.int8(0), 0j]).map(
    lambda value: plain(value)
)
NUMBER = st.sampled_from([1, -3, 2.0, 0.5, np.float32(2), np.int8(5), 300, 2j, 2**70]).map(
    lambda value: plain(value)
)


def padding_value(case: Case) -> Piece:
    """Mostly such as fits the mode."""
    modes = case.drawn["padding_mode"].meaning if "padding_mode" in case.drawn else ()
    constant = bool({"constant", "zeros"} & set(modes))
    return case.draw(NUMBER if constant != case.one_in(14) and case.one_in(3) else ZERO)


DTYPES = st.sampled_from(
    ["float32", "float64", "int32", "uint8", "int64", "uint64", "float16", "complex64"]
).flatmap(
    lambda name: st.sampled_from([name, np.dtype(name), np.dtype(name).newbyteorder()]).map(
        lambda value: Piece(value, np.dtype(name), f"dtype {value!r}")
    )
)
FLAGS = st.sampled_from([False] * 6 + [True]).flatmap(
    lambda value: st.sampled_from([value, np.bool_(value)]).map(
        lambda given: Piece(given, value, f"{given!r}")
    )
)
ALGORITHMS = pieces.texts(["auto"] * 16 + ["winograd", "winograd", "fft", "fastest"])

ARGUMENTS = {
    "images": Row(
        lambda case: pieces.no_arrays(case.images, free=True),
        lambda case: case.draw(pieces.arrays(case.images)),
    ),
    "filters": array(lambda case: case.formatted_filters),
    "bias": seldom(2, array(lambda case: case.bias), none),
    "strides": STEPS,
    "padding": by_rank(pieces.no_paddings, pieces.paddings),
    "padding_mode": by_rank(lambda rank: pieces.no_modes(), pieces.modes),
    "padding_value": Row(lambda case: pieces.no_numbers(), padding_value),
    "dilations": seldom(2, STEPS, ones),
    "groups": Row(lambda case: pieces.no_ints(1), groups),
    "data_format": by_rank(lambda rank: pieces.no_choices(), data_formats),
    "filter_format": Row(lambda case: pieces.no_choices(), filter_format),
    "activation": Row(lambda case: pieces.no_activations(), activation),
    "residual": seldom(4, Row(lambda case: pieces.no_arrays(case.ones), residual), none),
    "out": seldom(2, Row(lambda case: pieces.no_outs(case.ones), out), none),
    "threads": seldom(4, drawn(pieces.no_ints(1, or_none=True), NUMBERS_OF_THREADS), none),
    "dtype": seldom(6, drawn(pieces.no_dtypes(), DTYPES), none),
    "saturate": drawn(pieces.no_flags(), FLAGS),
    "algorithm": drawn(pieces.no_choices(), ALGORITHMS),
    "shape": Row(lambda case: pieces.no_shapes(), shape),
}


def row_of(name: str) -> Row:
    if name not in ARGUMENTS:
        raise LookupError(
            f"the hostile tests do not know the argument {name!r}: it needs a row in ARGUMENTS of "
            "tests/hostile/arguments.py, and a meaning in tests/hostile/right.py"
        )
    return ARGUMENTS[name]


# Layers and calls.


NO_ARGUMENTS = {"self", "misnamed"}


def names_of(door) -> list[str]:
    return [name for name in inspect.signature(door).parameters if name not in NO_ARGUMENTS]


class Door(NamedTuple):
    """What takes arguments, of some rank."""

    rank: int
    function: Callable[..., Any]


DOORS = [
    Door(rank, door)
    for rank, layer in CLASSES.items()
    for door in (FUNCTIONS[rank], layer, layer.__call__, layer.output_shape)
]
CALL = names_of(CLASSES[2].__call__)
LAYER = [name for name in names_of(CLASSES[2]) if name not in CALL]


def ordinary(rank: int, **more: Piece) -> tuple[Arguments, Arguments]:
    """A layer and a call with some arguments, all others as they are by default."""
    parameters = inspect.signature(FUNCTIONS[rank]).parameters.values()
    named = (each for each in parameters if each.name not in NO_ARGUMENTS)
    every = Arguments(rank, {each.name: plain(each.default) for each in named})
    every |= {"strides": ones(rank), "dilations": ones(rank)}
    every |= {"padding_mode": pieces.one_mode("constant", rank), **more}
    return every.of(LAYER), every.of(CALL)


def convolved(layer: Arguments, call: Arguments):
    return FUNCTIONS[layer.rank](**layer.given, **call.given)


def convolved_by_a_layer(layer: Arguments, call: Arguments):
    return CLASSES[layer.rank](**layer.given)(**call.given)


@st.composite
def layers(draw) -> Arguments:
    rank = draw(st.sampled_from([2, 1, 3]))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    group_channels = draw(st.integers(0, 5))
    group_filters = draw(st.sampled_from([0, 1, 2, 3, 4, 5, 8, 17]))
    if draw(st.integers(0, 2)) == 0:  # depthwise
        groups, group_channels, group_filters = draw(st.sampled_from([1, 3, 8, 17])), 1, 1
    kernel = draw(st.sampled_from(KERNELS[rank]))
    rng = np.random.default_rng(draw(seeds))
    shape = (*kernel, group_channels, groups * group_filters)
    filters = integer_values(rng, shape, draw(st.sampled_from(KINDS)))
    first = draw(st.booleans())
    return Case(draw, rng, rank, filters, groups, outputs_first=first).arguments(LAYER)


def case_of(draw, layer: Arguments) -> Case:
    """A case of calls of a layer, which may be garbage itself."""
    meaning, filters = layer.meaning, ONE[layer.rank]
    known = isinstance(meaning.filters, np.ndarray) and meaning.filters.ndim == layer.rank + 2
    if known and meaning.filter_format not in (right.WRONG, right.UNSURE):
        filters = right.filters_of(meaning)
    groups = meaning.groups if isinstance(meaning.groups, int) else 1
    rng = np.random.default_rng(draw(seeds))
    return Case(draw, rng, layer.rank, filters, groups, layer=layer)


@st.composite
def calls(draw, layer: Arguments) -> Arguments:
    """Arguments of a call; mostly such as fit a layer."""
    case = case_of(draw, layer)
    channels = 5 if case.one_in(14) else min(case.filters.shape[-2] * case.groups, 200)
    sizes = [draw(st.integers(0, LARGEST[case.rank])) for _ in range(case.rank)]
    if not case.one_in(14):
        kernel = case.filters.shape[:-2]
        sizes = [size + min(max(k - 1, 0), 40) for size, k in zip(sizes, kernel, strict=True)]
    first = right.channels_first(layer.meaning)
    last = (channels, *sizes) if first else (*sizes, channels)
    dtypes = [str(case.filters.dtype)] * 12 + ["int32", "float64", "uint8"]
    shape = (*draw(st.sampled_from(LEADING)), *last)
    case.images = integer_values(case.rng, shape, draw(st.sampled_from(dtypes)))
    return case.arguments(CALL)


@st.composite
def shapes(draw, layer: Arguments) -> Piece:
    """An argument of `output_shape`."""
    return case_of(draw, layer).arguments(["shape"])["shape"]


SIDES = {1: [2**33, 2**44], 2: [70_000, 2**22], 3: [1700, 2**14]}


@st.composite
def giants(draw) -> tuple[Arguments, Arguments]:
    """One value as billions of pixels, of which few are read."""
    rank = draw(st.sampled_from([2, 1, 3]))
    channels = draw(st.sampled_from([1, 3, 8]))
    groups = channels if draw(st.booleans()) else 1
    side = draw(st.sampled_from(SIDES[rank]))
    kernel = draw(st.sampled_from([1, 3]))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    images = np.broadcast_to(np.array(2, dtype), (1, *[side] * rank, channels))
    rng = np.random.default_rng(draw(seeds))
    n_filters = groups * draw(st.sampled_from([1, 1, 4]))
    shape = (*[kernel] * rank, channels // groups, n_filters)
    filters = integer_values(rng, shape, dtype)
    stride = side // draw(st.integers(1, 3))
    dilation = draw(st.integers(1, 2))
    pad = draw(st.sampled_from([0, 1, 10**6]))
    return ordinary(
        rank,
        images=Piece(images, images, f"giant {images.shape} {dtype}"),
        filters=Piece(filters, filters, f"filters {filters.shape}"),
        strides=plain((max(stride, pad),) * rank),
        padding=Piece(pad, ((pad, pad),) * rank, f"{pad}"),
        dilations=Piece(dilation, (dilation,) * rank, f"{dilation}"),
        groups=plain(groups),
    )
