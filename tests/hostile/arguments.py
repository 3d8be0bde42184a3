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

import aotconv

from . import pieces, right
from .pieces import FAR, Maker, Piece, plain

COMPUTED = 60_000  # elements of a result, and products of an element, that a case computes
KINDS = ["float32"] * 4 + ["float64"] * 2 + ["float16", "longdouble", "int32", "complex64", "uint8"]
ONE = np.ones((1, 1, 1, 1), np.float32)
SMALL = right.Result((1, 1, 1, 1), (1, 1), ((0, 0), (0, 0)), 1, ONE.dtype)  # of ONE and ONE


class Arguments(dict[str, Piece]):
    """Pieces by the names of the arguments that they are."""

    def of(self, names) -> Arguments:
        return Arguments({name: self[name] for name in names})

    @property
    def given(self) -> dict[str, Any]:
        return {name: each.value for name, each in self.items()}

    @property
    def meaning(self) -> SimpleNamespace:
        return SimpleNamespace(**{name: each.meaning for name, each in self.items()})

    def __str__(self) -> str:
        return "; ".join(f"{name}={each.label}" for name, each in self.items())


@dataclasses.dataclass
class Case:
    """What arguments are drawn to fit, and those drawn so far."""

    draw: Any
    rng: np.random.Generator
    filters: np.ndarray
    groups: int
    images: np.ndarray | None = None
    layer: Arguments = dataclasses.field(default_factory=Arguments)  # that is called
    drawn: Arguments = dataclasses.field(default_factory=Arguments)

    def one_in(self, number: int) -> bool:
        return self.draw(st.integers(1, number)) == number

    @property
    def bias(self) -> np.ndarray:
        return integer_values(self.rng, self.filters.shape[-1:], self.filters.dtype)

    @property
    def result(self) -> right.Result:
        """The result of the images that were drawn; SMALL where there is none, or a large one."""
        if "images" not in self.drawn:
            return SMALL
        found = right.result_of(self.layer.meaning, self.drawn["images"].meaning)
        known = isinstance(found, right.Result) and right.addressed(found.shape) <= COMPUTED
        return found if known else SMALL

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


def array(of: Callable[[Case], np.ndarray]) -> Row:
    return Row(
        lambda case: pieces.no_arrays(of(case)), lambda case: case.draw(pieces.arrays(of(case)))
    )


def drawn(garbage: list[Maker], strategy: st.SearchStrategy[Piece]) -> Row:
    return Row(lambda case: garbage, lambda case: case.draw(strategy))


def seldom(number: int, row: Row, default: Piece) -> Row:
    """A row of an argument that is drawn one time of a number, and else has its default."""
    return row._replace(right=lambda case: row.right(case) if case.one_in(number) else default)


def groups(case: Case) -> Piece:
    return case.draw(pieces.of_int(7 if case.one_in(10) else case.groups))


def activation(case: Case) -> Piece:
    is_defined = case.filters.dtype.kind != "c" or case.one_in(14)
    return case.draw(pieces.texts([None, "relu", "relu6"] if is_defined else [None]))


def residual(case: Case) -> Piece:
    if case.result is SMALL:
        return plain(None)
    shape, same = case.result.shape, str(case.result.dtype)
    dtype = case.draw(st.sampled_from([same] * 4 + ["int32", "complex64", "float16"]))
    shape = (*shape[:-1], shape[-1] + 1) if case.one_in(14) else shape
    return case.draw(pieces.arrays(integer_values(case.rng, shape, dtype)))


def out(case: Case) -> Piece:
    if case.result is SMALL:
        return plain(None)
    return case.draw(pieces.outs(case.result, case.drawn["images"]))


def shape(case: Case) -> Piece:
    size = st.one_of(st.integers(0, 60), st.integers(0, 60), st.sampled_from(FAR))
    n, h, w = (case.draw(size) for _ in range(3))
    channels = case.filters.shape[-2] * case.groups
    first = right.channels_first(case.layer.meaning)
    sizes = (n, channels, h, w) if first else (n, h, w, channels)
    some = case.draw(st.sampled_from([sizes, sizes[1:], sizes[2:], (*sizes, 1)]))
    return case.draw(pieces.of_tuple(some, or_number=False))


ONES = Piece(1, (1, 1), "1")
FORMATS = ["NHWC", "NCHW", "channels_last", "channels_first"]
NUMBERS_OF_THREADS = st.sampled_from([1, 2, 3, *FAR]).flatmap(pieces.of_int)

ARGUMENTS = {
    "images": array(lambda case: case.images),
    "filters": array(lambda case: case.filters),
    "bias": seldom(2, array(lambda case: case.bias), plain(None)),
    "strides": drawn(pieces.no_pairs(1), pieces.step_pairs()),
    "padding": drawn(pieces.no_paddings(), pieces.paddings()),
    "dilations": seldom(2, drawn(pieces.no_pairs(1), pieces.step_pairs()), ONES),
    "groups": Row(lambda case: pieces.no_ints(1), groups),
    "data_format": drawn(pieces.no_choices(), pieces.texts(FORMATS)),
    "activation": Row(lambda case: pieces.no_choices(), activation),
    "residual": seldom(4, Row(lambda case: pieces.no_arrays(case.ones), residual), plain(None)),
    "out": seldom(2, Row(lambda case: pieces.no_outs(case.ones), out), plain(None)),
    "threads": seldom(4, drawn(pieces.no_ints(1, or_none=True), NUMBERS_OF_THREADS), plain(None)),
    "algorithm": drawn(pieces.no_choices(), pieces.texts(["auto"] * 9 + ["winograd"])),
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


def names_of(door) -> list[str]:
    return [name for name in inspect.signature(door).parameters if name != "self"]


DOORS = [aotconv.conv2d, aotconv.Conv2D, aotconv.Conv2D.__call__, aotconv.Conv2D.output_shape]
CALL = names_of(aotconv.Conv2D.__call__)
LAYER = [name for name in names_of(aotconv.Conv2D) if name not in CALL]


def ordinary(**more: Piece) -> tuple[Arguments, Arguments]:
    """A layer and a call with some arguments, all others as they are by default."""
    parameters = inspect.signature(aotconv.conv2d).parameters.values()
    every = Arguments({each.name: plain(each.default) for each in parameters})
    every |= {"strides": ONES, "dilations": ONES, **more}
    return every.of(LAYER), every.of(CALL)


def convolved(layer: Arguments, call: Arguments):
    return aotconv.conv2d(**layer.given, **call.given)


def convolved_by_a_layer(layer: Arguments, call: Arguments):
    return aotconv.Conv2D(**layer.given)(**call.given)


@st.composite
def layers(draw) -> Arguments:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    group_channels = draw(st.integers(0, 5))
    group_filters = draw(st.sampled_from([0, 1, 2, 3, 4, 5, 8, 17]))
    if draw(st.integers(0, 2)) == 0:  # depthwise
        groups, group_channels, group_filters = draw(st.sampled_from([1, 3, 8, 17])), 1, 1
    kernel = draw(
        st.sampled_from([(1, 1), (3, 3), (1, 3), (3, 1), (2, 5), (5, 5), (7, 7), (40, 1)])
    )
    rng = np.random.default_rng(draw(seeds))
    shape = (*kernel, group_channels, groups * group_filters)
    filters = integer_values(rng, shape, draw(st.sampled_from(KINDS)))
    return Case(draw, rng, filters, groups).arguments(LAYER)


def case_of(draw, layer: Arguments) -> Case:
    """A case of calls of a layer, which may be garbage itself."""
    filters, groups = layer["filters"].meaning, layer["groups"].meaning
    known = isinstance(filters, np.ndarray) and filters.ndim == 4
    groups = groups if isinstance(groups, int) else 1
    rng = np.random.default_rng(draw(seeds))
    return Case(draw, rng, filters if known else ONE, groups, layer=layer)


@st.composite
def calls(draw, layer: Arguments) -> Arguments:
    """Arguments of a call; mostly such as fit a layer."""
    case = case_of(draw, layer)
    channels = 5 if case.one_in(14) else min(case.filters.shape[-2] * case.groups, 200)
    n = draw(st.sampled_from([1, 1, 2, 3, 0]))
    sizes = draw(st.integers(0, 13)), draw(st.integers(0, 13))
    if not case.one_in(14):
        kernel = case.filters.shape[:-2]
        sizes = tuple(size + min(k - 1, 40) for size, k in zip(sizes, kernel, strict=True))
    first = right.channels_first(layer.meaning)
    shape = (n, channels, *sizes) if first else (n, *sizes, channels)
    dtypes = [str(case.filters.dtype)] * 12 + ["int32", "float64", "uint8"]
    images = integer_values(case.rng, shape, draw(st.sampled_from(dtypes)))
    case.images = images[0] if n == 1 and draw(st.booleans()) else images
    return case.arguments(CALL)


@st.composite
def shapes(draw, layer: Arguments) -> Piece:
    """An argument of `Conv2D.output_shape`."""
    return case_of(draw, layer).arguments(["shape"])["shape"]


@st.composite
def giants(draw) -> tuple[Arguments, Arguments]:
    """One value as billions of pixels, of which few are read."""
    channels = draw(st.sampled_from([1, 3, 8]))
    groups = channels if draw(st.booleans()) else 1
    side = draw(st.sampled_from([70_000, 2**22]))
    kernel = draw(st.sampled_from([1, 3]))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    images = np.broadcast_to(np.array(2, dtype), (1, side, side, channels))
    rng = np.random.default_rng(draw(seeds))
    n_filters = groups * draw(st.sampled_from([1, 1, 4]))
    filters = integer_values(rng, (kernel, kernel, channels // groups, n_filters), dtype)
    stride = side // draw(st.integers(1, 3))
    dilation = draw(st.integers(1, 2))
    pad = draw(st.sampled_from([0, 1, 10**6]))
    return ordinary(
        images=Piece(images, images, f"giant {images.shape} {dtype}"),
        filters=Piece(filters, filters, f"filters {filters.shape}"),
        strides=plain((max(stride, pad),) * 2),
        padding=Piece(pad, ((pad, pad), (pad, pad)), f"{pad}"),
        dilations=Piece(dilation, (dilation, dilation), f"{dilation}"),
        groups=plain(groups),
    )
