"""A convolution to be timed or tested: its sizes and options, which one line of text says, too.

The text has the sizes of images and of filters, then whatever options differ from `Layer`'s::

    1x56x56x64 3x3x64x64 p1          images N x H x W x C, filters KH x KW x C / groups x O
    1x9x9x8 3x3x1x8 s2 d1x2 g8       strides, dilations, groups: one number, or rows x columns
    1x9x9x8 3x3x8x8 p1x2             padding: one number, or rows x columns
    1x9x9x8 3x3x8x8 p0+1x2+2         the same, zeros before + after
    1x9x9x8 3x3x8x8 same             padding by rule: same, same_lower, valid
    1x9x9x8 3x3x8x8 float64 NCHW     dtype, and data format (the sizes stay N x H x W x C)
    1x9x9x8 3x3x1x8 g8 shared        all channels have the same filter
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import check
from .._plan.geometry import Geometry, Pads

Shape = tuple[int, int, int, int]
Steps = int | tuple[int, int]
Padding = str | int | tuple[Steps, Steps]


class Layer(NamedTuple):
    """A convolution's sizes and options; a layer of the board has a name as well."""

    images: Shape  # N, H, W, C, whatever the data format
    filters: Shape  # KH, KW, C / groups, O
    strides: Steps = 1
    padding: Padding = 0
    dilations: Steps = 1
    groups: int = 1
    dtype: str = "float32"
    data_format: str = "NHWC"
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
    def geometry(self) -> Geometry:
        strides = check.pair("strides", self.strides, 1)
        dilations = check.pair("dilations", self.dilations, 1)
        groups = check.filter_groups(self.groups, self.filters[3])
        padding = check.padding(self.padding)
        return check.geometry(self.images, self.filters, strides, padding, dilations, groups)

    @property
    def options(self) -> dict[str, Any]:
        """What `aotconv.conv2d` is told beside arrays, which lie NHWC."""
        return {name: getattr(self, name) for name in LETTERS.values()}

    @property
    def pads(self) -> Pads:
        g = self.geometry
        return (g.top, g.bottom), (g.left, g.right)

    @property
    def out(self) -> Shape:
        g = self.geometry
        return g.n, g.oh, g.ow, g.o

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
WORDS = {
    **{word: ("padding", word) for word in check.PADDINGS},
    **{word: ("data_format", word) for word in check.DATA_FORMATS},
    **{word: ("dtype", word) for word in DTYPES},
    "shared": ("shared", True),
}
SIZES = re.compile(r"\d+(x\d+){3}", re.ASCII)
NUMBERS = re.compile(r"\d+|\d+(\+\d+)?x\d+(\+\d+)?", re.ASCII)


def spell(value: Any, between: str = "x") -> str:
    """A number, numbers with x between them, or pairs of numbers with + between the two."""
    if isinstance(value, tuple):
        return between.join(spell(each, "+") for each in value)
    return str(value)


def read(word: str) -> Any:
    """The value that `spell` spelt."""
    for between in "x+":
        if between in word:
            return tuple(map(read, word.split(between)))
    return int(word)


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
        check.filters_array(np.broadcast_to(np.float32(0), filters))
        _ = layer.geometry  # which rejects whatever does not fit together
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text!r}: {error}") from None
    return layer


class Problem(NamedTuple):
    """A layer and the arrays that it is computed on, images NHWC and filters HWIO."""

    layer: Layer
    images: NDArray[Any]
    filters: NDArray[Any]
    bias: NDArray[Any]

    @classmethod
    def draw(cls, layer: Layer) -> Problem:
        rng = np.random.default_rng(0)
        n_filters = layer.filters[3]
        drawn = (*layer.filters[:3], 1) if layer.shared else layer.filters
        filters, bias = rng.standard_normal(drawn), rng.standard_normal(drawn[3])
        arrays = (
            rng.standard_normal(layer.images),
            np.broadcast_to(filters, layer.filters),
            np.broadcast_to(bias, n_filters),
        )
        return cls(layer, *(np.array(array, layer.dtype, order="C") for array in arrays))
