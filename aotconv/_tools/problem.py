"""What is timed or tested: a layer or a filter, as one line of text says it, and its arrays.

The text of a layer has the sizes of images and of filters, then whatever options differ from
`Layer`'s.  Along two axes::

    1x56x56x64 3x3x64x64 p1          images N x H x W x C, filters KH x KW x C / groups x O
    1x9x9x8 3x3x1x8 s2 d1x2 g8       strides, dilations, groups: one number, or rows x columns
    1x9x9x8 3x3x8x8 p1x2             padding: one number, or rows x columns
    1x9x9x8 3x3x8x8 p0+1x2+2         the same, zeros before + behind
    1x9x9x8 3x3x8x8 same             padding by rule: same, same_lower, valid, full
    1x9x9x8 3x3x8x8 float64 NCHW     dtype, and data format (the sizes stay N x H x W x C)
    1x9x9x8 3x3x8x8 uint8*int8>int32     dtypes of images, filters, and of bias and result
    1x9x9x8 3x3x8x8 OIHW             filter format (the sizes stay KH x KW x I x O)
    1x9x9x8 3x3x1x8 g8 shared        all channels have the same filter
    1x9x9x8 3x3x8x8 winograd         the algorithm, where it is not "auto": or fft, or fastest

Sizes of one axis fewer or more say convolutions along one axis or three::

    4x12000x48 9x48x80 causal        images N x W x C, filters K x C / groups x O
    1x14x32x34x16 3x3x3x16x16 p1     images N x D x H x W x C

Without a word for it the operator is a convolution; the others (`aotconv._tools.operators`) are::

    1x40x40x40 4x4x32x40 s2 transposed            filters KH x KW x O / groups x C, as its door's
    4x28x28x96 3x3x96x64 s2 p1 images_gradient    sizes are those of the convolution
    4x28x28x96 3x3x96x64 s2 p1 filters_gradient   the same
    1x80x82x64 3x3 s2 max_pool                    a window instead of filters; strides are 1, too,
    1x80x82x64 3x3 s2 average_pool                where none are said

The texts of filters, as ``1000x1100 gaussian_filter sigma2.5``, `aotconv._tools.filtering` has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import check
from .._core.dtypes import floats_in
from .._plan.geometry import PADDINGS, Axis, Geometry
from . import filtering
from .filtering import FILTERS, Filtering
from .operation import Operation
from .operators import CONVOLUTION, OPERATORS, Arrays, Operator, Shape
from .values import draw, rounding, spectral_bound, unwritten

Steps = int | tuple[int, ...]
Padding = str | int | tuple[Steps, ...]

# The doors of convolution by rank.
FUNCTIONS, CLASSES = CONVOLUTION.functions, CONVOLUTION.classes


class Layer(NamedTuple):
    """An operator, its sizes and options; a layer of the board has a name as well."""

    images: Shape  # N, spatial axes, C, whatever the data format
    filters: Shape  # kernel, C / groups, O, whatever the filter format; or a pool's window
    strides: Steps = 1
    padding: Padding = 0
    dilations: Steps = 1
    groups: int = 1
    dtype: str = "float32"
    data_format: str = "channels_last"
    filter_format: str = ""  # that of channels last
    shared: bool = False  # all channels have the same filter, as where an image is blurred
    operator: str = CONVOLUTION.word
    algorithm: str = "auto"
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
    def value(self) -> Operator:
        """Its operator."""
        return OPERATORS[self.operator]

    @property
    def asked(self) -> str:
        """What peers are asked for: the operator and, where it is not float32, the dtype."""
        return self.operator if self.dtype == "float32" else f"{self.operator} {self.dtype}"

    @property
    def computed_in(self) -> str:
        """The floats of the multiply-adds that it is held against: of integers the faster ones."""
        result = self.dtypes["out"]
        if result.kind == "c":
            return result.name
        return "float32" if result.kind in "iu" else floats_in(result.name)

    @property
    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """Of each of its arrays, and of the result, "out"."""
        given, _, result = self.dtype.partition(">")
        images, _, filters = given.partition("*")
        if self.value.divides and np.dtype(images).kind in "iu":
            result = "float64"
        names = dict.fromkeys((*self.arrays, "out"), result or images)
        return {
            name: np.dtype({"images": images, "filters": filters or images}.get(name, dtype))
            for name, dtype in names.items()
        }

    @property
    def rounding(self) -> float:
        """By how much of itself a result is rounded that is narrower than sums."""
        return rounding(self.dtypes["out"], self.computed_in)

    def with_dtype(self, dtype: str) -> Layer:
        """The same of arrays of a dtype."""
        return self._replace(dtype=dtype)

    @property
    def rank(self) -> int:
        """Of how many spatial axes it is."""
        return len(self.images) - 2

    @property
    def geometry(self) -> Geometry:
        """That of its convolution, which may be what it transposes, or is a gradient of."""
        return self.value.geometry(self)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Its spatial axes."""
        return self.geometry.axes[-self.rank :]

    @property
    def options(self) -> dict[str, Any]:
        """Numbers and rules that its door is told."""
        names = [name for name in LETTERS.values() if name not in self.value.lacks]
        return {name: getattr(self, name) for name in names}

    @property
    def formats(self) -> dict[str, str]:
        """What its door is told of how arrays lie."""
        formats = {"data_format": check.data_format(self.data_format, self.rank)}
        if self.filter_format:
            formats["filter_format"] = check.filter_format(self.filter_format, self.rank)
        return formats

    @property
    def result_dtype(self) -> dict[str, str]:
        """What its door is told of the result, where that is not as its arrays are."""
        return {"dtype": self.dtype.partition(">")[2]} if ">" in self.dtype else {}

    @property
    def channels_last(self) -> Layer:
        """The same, of arrays that lie as its sizes say."""
        formats = ("data_format", "filter_format")
        return self._replace(**{name: self._field_defaults[name] for name in formats})

    def order(self, name: str) -> Shape:
        """In its formats the order of the axes of an array, images or filters, channels last."""
        last = tuple(range(self.rank + 2))
        if name == "filters":
            *spatial, i, o = last
            return (o, i, *spatial) if self.filter_format.startswith("OI") else last
        n, *spatial, c = last
        return last if self.formats["data_format"].endswith("C") else (n, c, *spatial)

    def laid(self, name: str, shape: Shape) -> Shape:
        """The shape of such an array, in its formats."""
        return tuple(shape[axis] for axis in self.order(name))

    @property
    def pads(self) -> tuple[tuple[int, int], ...]:
        return tuple((axis.before, axis.behind) for axis in self.axes)

    @property
    def out(self) -> Shape:
        """The shape of its result, channels or filters last."""
        return self.value.out(self)

    @property
    def arrays(self) -> dict[str, Shape]:
        """The shapes of what it is given, by the names that its door has for them."""
        return self.value.arrays(self)

    @property
    def flops(self) -> int:
        """Floating-point operations; a multiply-add is two."""
        return self.value.flops_per_tap * self.geometry.multiply_adds

    @property
    def n_bytes(self) -> int:
        """Bytes that must be read or written: of what it is given, and the result."""
        shapes = {**self.arrays, "out": self.out}
        return sum(math.prod(shapes[name]) * each.itemsize for name, each in self.dtypes.items())

    def draw(self) -> dict[str, NDArray[Any]]:
        """Arrays that it is given, channels last."""
        rng, arrays = np.random.default_rng(0), {}
        for name, shape in self.arrays.items():
            same = self.shared and name != "images"
            drawn = draw(rng, (*shape[:-1], 1) if same else shape, self.dtypes[name])
            arrays[name] = np.array(np.broadcast_to(drawn, shape), order="C")
        return arrays

    def own(self, arrays: Arrays) -> tuple[Callable[[], Any], Callable[[Any], NDArray[Any]]]:
        """What a user calls again and again, of arrays in the layer's formats, and what puts its
        result's channels or filters last."""
        laid = {
            name: array
            if name == "bias"
            else np.ascontiguousarray(array.transpose(self.order(name)))
            for name, array in arrays.items()
        }
        out = unwritten(self.laid(self.value.result, self.out), self.dtypes["out"])
        back = np.argsort(self.order(self.value.result))
        return self.value.call(self, laid, out), lambda result: result.transpose(back)

    def exact(self, arrays: Arrays) -> NDArray[np.float64]:
        """The result of the doors, in float64; integers wrap."""
        last = self.channels_last._replace(dtype="float64", algorithm="auto")
        dtype = self.dtypes["out"]
        wide = {name: array.astype(np.float64) for name, array in arrays.items()}
        result = self.value.functions[self.rank](**wide, **self.value.told(last))
        whole = dtype.kind in "iu"
        return result.astype(np.int64).astype(dtype).astype(np.float64) if whole else result

    def error_bound(self, arrays: Arrays) -> float:
        """What the library promises of each output, for data as these: of a sum of K products, or a
        bias, eps * (K + 1) * max|x| * max|w| * 2, of Winograd's algorithm four times as much;
        integers are exact."""
        if self.dtypes["out"].kind in "iu":
            return 0.0
        largest = {name: float(np.abs(array).max()) for name, array in arrays.items()}
        bias = largest.pop("bias", 0.0)
        products = math.prod(largest.values())
        roundings = self.value.roundings(self.geometry)
        bound = float(np.finfo(self.computed_in).eps) * roundings * max(products, bias)
        if self.algorithm in ("auto", "winograd"):
            return bound * (4 if self.algorithm == "winograd" else 1)
        squares = np.square(np.abs(arrays["filters"]), dtype=np.float64)
        norm = float(squares.reshape(-1, self.filters[-1]).sum(0).max()) ** 0.5
        about = self.geometry.taps, norm, self.computed_in, self.filters[-2]
        return max(4 * bound, spectral_bound(arrays["images"], *about))

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
    "operator": list(OPERATORS),
    "algorithm": check.ALGORITHMS,
}
WORDS: dict[str, tuple[str, Any]] = {
    **{word: (option, word) for option, words in CHOICES.items() for word in words},
    "shared": ("shared", True),
}
SIZES = r"[0-9]+(x[0-9]+){2,4}", r"[0-9]+(x[0-9]+){,4}"  # of images, and of filters or a window
DTYPES_OF_EACH = re.compile(r"\w+(\*\w+)?>\w+", re.ASCII)
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


def meaning(word: str) -> tuple[str | None, Any]:
    """The option that a word says, if it says one, and its value."""
    if word in WORDS:
        return WORDS[word]
    if DTYPES_OF_EACH.fullmatch(word) and set(re.split("[*>]", word)) <= set(DTYPES):
        return "dtype", word
    if word[0] in LETTERS and NUMBERS.fullmatch(word[1:]):
        return LETTERS[word[0]], read(word[1:])
    return None, None


def parse(text: str) -> Layer | Filtering:
    """The layer or the filter that a text says.

    Raises
    ------
    ValueError
        If the text says none, or one that cannot be computed; the message names what is wrong.
    """
    is_filter = any(word in FILTERS for word in text.split())
    return filtering.parse(text) if is_filter else parse_layer(text)


def parse_layer(text: str) -> Layer:
    """The layer that a text says; raises as `parse`."""
    given: dict[str, Any] = {}
    try:
        words = text.split()
        operator = next((OPERATORS[word] for word in words if word in OPERATORS), CONVOLUTION)
        if len(words) < 2 or not all(map(re.fullmatch, SIZES, words)):
            raise ValueError(
                "it must begin with sizes, as 1x56x56x64 of images, 3x3x64x64 of filters"
            )
        for word in words[2:]:
            option, value = meaning(word)
            if option is None or option in operator.lacks:
                raise ValueError(f"{word!r} is no option of {operator.word}")
            if option in given:
                raise ValueError(f"{word!r} says {option} a second time")
            given[option] = value
        images, filters = (tuple(map(int, word.split("x"))) for word in words[:2])
        expected = len(images) - operator.more_sizes
        if ">" in given.get("dtype", "") and operator is not CONVOLUTION:
            raise ValueError(f"{operator.word} has one dtype")
        if len(filters) != expected:
            raise ValueError(
                f"its images have {len(images)} sizes, its {operator.sized_by} {len(filters)}, "
                f"not {expected}"
            )
        layer = Layer(images, filters, **given)
        _ = layer.geometry, layer.formats  # which reject whatever does not fit together
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text!r}: {error}") from None
    return layer


class Problem(NamedTuple):
    """A layer or a filter, and the arrays that it is given, channels last."""

    operation: Operation
    arrays: dict[str, NDArray[Any]]  # by the names of its `arrays`

    @classmethod
    def draw(cls, operation: Operation) -> Problem:
        return cls(operation, operation.draw())

    @property
    def error_bound(self) -> float:
        """By how much elements of a result may differ from what is right."""
        return self.operation.error_bound(self.arrays)

    @property
    def layer(self) -> Layer:
        """For whoever is asked for layers alone."""
        assert isinstance(self.operation, Layer)
        return self.operation

    @property
    def filtering(self) -> Filtering:
        """For whoever is asked for filters alone."""
        assert isinstance(self.operation, Filtering)
        return self.operation

    @property
    def images(self) -> NDArray[Any]:
        return self.arrays["images"]

    @property
    def filters(self) -> NDArray[Any]:
        return self.arrays["filters"]

    @property
    def bias(self) -> NDArray[Any]:
        return self.arrays["bias"]

    @property
    def output_gradient(self) -> NDArray[Any]:
        return self.arrays["output_gradient"]
