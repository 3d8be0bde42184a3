"""A convolution to be timed or tested: its sizes and options, which one line of text says, too.

The text has the sizes of images and of filters, then whatever options differ from `Layer`'s.  Along
two axes::

    1x56x56x64 3x3x64x64 p1          images N x H x W x C, filters KH x KW x C / groups x O
    1x9x9x8 3x3x1x8 s2 d1x2 g8       strides, dilations, groups: one number, or rows x columns
    1x9x9x8 3x3x8x8 p1x2             padding: one number, or rows x columns
    1x9x9x8 3x3x8x8 p0+1x2+2         the same, zeros before + behind
    1x9x9x8 3x3x8x8 same             padding by rule: same, same_lower, valid, full
    1x9x9x8 3x3x8x8 float64 NCHW     dtype, and data format (the sizes stay N x H x W x C)
    1x9x9x8 3x3x8x8 OIHW             filter format (the sizes stay KH x KW x I x O)
    1x9x9x8 3x3x1x8 g8 shared        all channels have the same filter

Sizes of one axis fewer or more say convolutions along one axis or three::

    4x12000x48 9x48x80 causal        images N x W x C, filters K x C / groups x O
    1x14x32x34x16 3x3x3x16x16 p1     images N x D x H x W x C
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import aotconv

from .._core import check
from .._plan.geometry import PADDINGS, Axis, Geometry

Shape = tuple[int, ...]
Steps = int | tuple[int, ...]
Padding = str | int | tuple[Steps, ...]

# The doors by rank.
FUNCTIONS: dict[int, Callable[..., Any]] = {1: aotconv.conv1d, 2: aotconv.conv2d, 3: aotconv.conv3d}
CLASSES: dict[int, Callable[..., Any]] = {1: aotconv.Conv1D, 2: aotconv.Conv2D, 3: aotconv.Conv3D}


class Layer(NamedTuple):
    """A convolution's sizes and options; a layer of the board has a name as well."""

    images: Shape  # N, spatial axes, C, whatever the data format
    filters: Shape  # kernel, C / groups, O, whatever the filter format
    strides: Steps = 1
    padding: Padding = 0
    dilations: Steps = 1
    groups: int = 1
    dtype: str = "float32"
    data_format: str = "channels_last"
    filter_format: str = ""  # that of channels last
    shared: bool = False  # all channels have the same filter, as where an image is blurred
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.text})" if self.name else self.text

    @property
    def title(self) -> str:
        """Its name, or else its text."""
        return self.name or self.text

    @property
    def text(self) -> str:
        """The line that says it, and that `parse` reads; what is as by default is left out."""
        words = [spell(self.images), spell(self.filters)]
        for option, default in self._field_defaults.items():
            value = getattr(self, option)
            if option == "name" or value == default:
                continue
            if isinstance(value, str):
                words.append(value)
            else:
                words.append(option if value is True else option[0] + spell(value))
        return " ".join(words)

    @property
    def rank(self) -> int:
        """Of how many spatial axes it is."""
        return len(self.filters) - 2

    @property
    def geometry(self) -> Geometry:
        strides = check.numbers("strides", self.strides, self.rank, 1)
        dilations = check.numbers("dilations", self.dilations, self.rank, 1)
        groups = check.filter_groups(self.groups, self.filters[-1])
        padding = check.padding(self.padding, self.rank)
        return check.geometry(self.images, self.filters, strides, padding, dilations, groups)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Its spatial axes."""
        return self.geometry.axes[-self.rank :]

    @property
    def options(self) -> dict[str, Any]:
        """What the door of its rank is told beside arrays, which lie channels last."""
        return {name: getattr(self, name) for name in LETTERS.values()}

    @property
    def formats(self) -> dict[str, str]:
        """How the arrays lie that aotconv is given."""
        formats = {"data_format": check.data_format(self.data_format, self.rank)}
        if self.filter_format:
            formats["filter_format"] = check.filter_format(self.filter_format, self.rank)
        return formats

    @property
    def pads(self) -> tuple[tuple[int, int], ...]:
        return tuple((axis.before, axis.behind) for axis in self.axes)

    @property
    def out(self) -> Shape:
        return (self.images[0], *(axis.out for axis in self.axes), self.filters[-1])

    @property
    def flops(self) -> int:
        """Floating-point operations; a multiply-add is two."""
        return 2 * self.geometry.multiply_adds

    @property
    def elements(self) -> int:
        """Elements that must be read or written: images, filters and the result."""
        return sum(map(math.prod, (self.images, self.filters, self.out)))

    def as_json(self) -> dict[str, Any]:
        return {**self._asdict(), "text": self.text, "out": self.out, "flops": self.flops}


LETTERS = {option[0]: option for option in ("strides", "padding", "dilations", "groups")}
DTYPES = [np.dtype(c).name for c in np.typecodes["AllInteger"] + np.typecodes["AllFloat"]]
AXES = check.LETTERS.values()
CHOICES = {
    "padding": PADDINGS,
    "data_format": [
        *("channels_last", "channels_first"),
        *(name for axes in AXES for name in (f"N{axes}C", f"NC{axes}")),
    ],
    "filter_format": [name for axes in AXES for name in (f"{axes}IO", f"OI{axes}")],
    "dtype": DTYPES,
}
WORDS: dict[str, tuple[str, Any]] = {
    **{word: (option, word) for option, words in CHOICES.items() for word in words},
    "shared": ("shared", True),
}
SIZES = re.compile(r"\d+(x\d+){2,4}", re.ASCII)
NUMBERS = re.compile(r"\d+(\+\d+)?(x\d+(\+\d+)?){,2}", re.ASCII)


def spell(value: Any, between: str = "x") -> str:
    """A number, numbers with x between them, or pairs of numbers with + between the two."""
    if isinstance(value, tuple):
        return between.join(spell(each, "+") for each in value)
    return str(value)


def read(word: str) -> Any:
    """The value that `spell` spelt."""
    values = []
    for each in word.split("x"):
        first, *second = map(int, each.split("+"))
        values.append((first, *second) if second else first)
    return values[0] if values == [first] else tuple(values)


def parse(text: str) -> Layer:
    """The layer that a text says.

    Raises
    ------
    ValueError
        If the text says none, or one that cannot be computed; the message names what is wrong.
    """
    given: dict[str, Any] = {}
    try:
        words = text.split()
        if len(words) < 2 or not all(map(SIZES.fullmatch, words[:2])):
            raise ValueError(
                "it must begin with sizes, as 1x56x56x64 of images, 3x3x64x64 of filters"
            )
        images, filters = map(read, words[:2])
        if len(images) != len(filters):
            raise ValueError(f"its images have {len(images)} sizes, its filters {len(filters)}")
        for word in words[2:]:
            if word in WORDS:
                option, value = WORDS[word]
            elif word[0] in LETTERS and NUMBERS.fullmatch(word[1:]):
                option, value = LETTERS[word[0]], read(word[1:])
            else:
                raise ValueError(f"{word!r} is no option of a convolution")
            if option in given:
                raise ValueError(f"{word!r} says {option} a second time")
            given[option] = value
        layer = Layer(images, filters, **given)
        last = f"{check.LETTERS[layer.rank]}IO"
        check.filters_array(np.broadcast_to(np.float32(0), filters), last)
        _ = layer.geometry, layer.formats  # which reject whatever does not fit together
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text!r}: {error}") from None
    return layer


class Problem(NamedTuple):
    """A layer and the arrays that it is computed on, channels last."""

    layer: Layer
    images: NDArray[Any]
    filters: NDArray[Any]
    bias: NDArray[Any]

    @classmethod
    def draw(cls, layer: Layer) -> Problem:
        rng = np.random.default_rng(0)
        n_filters = layer.filters[-1]
        drawn = (*layer.filters[:-1], 1) if layer.shared else layer.filters
        filters, bias = rng.standard_normal(drawn), rng.standard_normal(drawn[-1])
        arrays = (
            rng.standard_normal(layer.images),
            np.broadcast_to(filters, layer.filters),
            np.broadcast_to(bias, n_filters),
        )
        return cls(layer, *(np.array(array, layer.dtype, order="C") for array in arrays))
