"""A filter of `aotconv.ndimage` to be timed or tested: what it filters and how, which one line of
text says, too.

The text has the sizes of the array and the function, then what differs from `Filtering`'s::

    1000x1100 correlate 9x9                     random weights, of as many sizes as axes
    1000000 correlate1d 48                      along the last axis
    1000x1100 uniform_filter 15x15              the sizes of the window
    1000x1100 gaussian_filter sigma2.5          the standard deviation along all axes
    1000x1100 sobel                             along each axis: as many calls and results
    1000x1100 laplace
    1000x1100x3 gaussian_filter sigma2 axes0x1  along these axes alone
    1000x1100 laplace mirror                    what is beyond the ends, in SciPy's words
    1000x1100 correlate 5x5 uint8>int16         dtypes of the array and of the result
    1000x1100 gaussian_filter sigma2 uint8 saturate
    1000x1100 correlate 31x31 fastest           the algorithm, where it is not "auto"

Weights of integers are whole, so that their sums are exact.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aotconv import ndimage

from .._core import check_ndimage
from .values import draw, rounding, spectral_bound, unwritten

Shape = tuple[int, ...]
Arrays = Mapping[str, NDArray[Any]]  # by SciPy's names

LARGEST_WEIGHT = 4  # of integers: a window of 5 x 5 sums bytes to less than 2**15


class Filter:
    """A function, asked about filterings whose function it is.

    Attributes
    ----------
    word : str
        Its name, which texts have, too.
    needs : tuple of str
        What a text must say of it, of "window" and "sigma".
    has_weights : bool
        Whether it is given weights, of the window's sizes.
    """

    word: str
    needs: tuple[str, ...] = ()
    has_weights = False

    def along(self, filtering: Filtering) -> Shape:
        """The axes that are filtered."""
        return check_ndimage.axes(filtering.axes or None, len(filtering.sizes))

    def taps(self, filtering: Filtering) -> Shape:
        """How many weights there are along each axis, or of the whole window."""
        raise NotImplementedError

    def multiply_adds(self, filtering: Filtering) -> int:
        """Of each element; what is only added counts as much."""
        return sum(self.taps(filtering))

    def gain(self, filtering: Filtering, arrays: Arrays) -> float:
        """The sum of absolute weights; of several axes the product of these."""
        return 1.0

    def out(self, filtering: Filtering) -> Shape:
        """The shape of what results."""
        return filtering.sizes

    def told(self, filtering: Filtering) -> dict[str, Any]:
        """What the function is told beside arrays and borders."""
        return {"axes": filtering.axes or None}

    def call(
        self, filtering: Filtering, arrays: Arrays, out: NDArray[Any], library: ModuleType
    ) -> Callable[..., NDArray[Any]]:
        """What a user of aotconv or SciPy calls again and again, with what only the one has."""
        function, told = getattr(library, self.word), self.told(filtering)
        return partial(function, **arrays, **told, **filtering.borders, output=out)


class Correlate(Filter):
    word, needs, has_weights = "correlate", ("window",), True

    def taps(self, filtering: Filtering) -> Shape:
        return (math.prod(filtering.window),)

    def gain(self, filtering: Filtering, arrays: Arrays) -> float:
        return float(np.abs(arrays["weights"], dtype=np.float64).sum())


class Correlate1D(Correlate):
    word = "correlate1d"

    def along(self, filtering: Filtering) -> Shape:
        axes = check_ndimage.axes(filtering.axes or -1, len(filtering.sizes))
        if len(axes) > 1:
            raise ValueError("correlate1d is along one axis")
        return axes

    def told(self, filtering: Filtering) -> dict[str, Any]:
        return {"axis": self.along(filtering)[0]}


class GaussianFilter(Filter):
    word, needs = "gaussian_filter", ("sigma",)

    def taps(self, filtering: Filtering) -> Shape:
        return (2 * int(4 * filtering.sigma + 0.5) + 1,) * len(filtering.along)

    def told(self, filtering: Filtering) -> dict[str, Any]:
        return {"sigma": filtering.sigma, **super().told(filtering)}


class UniformFilter(Filter):
    word, needs = "uniform_filter", ("window",)

    def taps(self, filtering: Filtering) -> Shape:
        return filtering.window

    def multiply_adds(self, filtering: Filtering) -> int:
        """Sums of 1, 2, 4 .. elements, each of two that were made before, as far as the window."""
        return sum(math.ceil(math.log2(size)) for size in filtering.window)

    def told(self, filtering: Filtering) -> dict[str, Any]:
        return {"size": filtering.window, **super().told(filtering)}


class Sobel(Filter):
    """Called along one axis after the other, as for a gradient; all results lie in one array."""

    word = "sobel"

    def taps(self, filtering: Filtering) -> Shape:
        return (3,) * len(filtering.sizes)

    def multiply_adds(self, filtering: Filtering) -> int:
        return len(filtering.along) * super().multiply_adds(filtering)

    def gain(self, filtering: Filtering, arrays: Arrays) -> float:
        return 2.0 * 4.0 ** (len(filtering.sizes) - 1)

    def out(self, filtering: Filtering) -> Shape:
        return (len(filtering.along), *filtering.sizes)

    def call(
        self, filtering: Filtering, arrays: Arrays, out: NDArray[Any], library: ModuleType
    ) -> Callable[..., NDArray[Any]]:
        each = zip(filtering.along, out, strict=True)
        told = {**arrays, **filtering.borders}
        calls = [partial(library.sobel, **told, axis=axis, output=part) for axis, part in each]

        def call(**told: Any) -> NDArray[Any]:
            for along_one in calls:
                along_one(**told)
            return out

        return call


class Laplace(Filter):
    word = "laplace"

    def taps(self, filtering: Filtering) -> Shape:
        return (2 * len(filtering.along) + 1,)

    def gain(self, filtering: Filtering, arrays: Arrays) -> float:
        return 4.0 * len(filtering.along)


FILTERS: dict[str, Filter] = {
    each.word: each
    for each in (
        Correlate(),
        Correlate1D(),
        GaussianFilter(),
        UniformFilter(),
        Sobel(),
        Laplace(),
    )
}


class Filtering(NamedTuple):
    """A filter, the sizes of what it filters, and options; one of the board has a name as well."""

    sizes: Shape
    function: str
    window: Shape = ()
    sigma: float = 0.0
    axes: Shape = ()  # those that the function filters by itself
    mode: str = "reflect"
    dtype: str = "float32"  # of the array and the result, or of the two
    saturate: bool = False
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
        words = [spell(self.sizes), self.function]
        for option, default in self._field_defaults.items():
            value = getattr(self, option)
            if option == "name" or value == default:
                continue
            if isinstance(value, str):
                words.append(value)
            elif value is True:
                words.append(option)
            else:
                words.append(spell(value) if option == "window" else option + spell(value))
        return " ".join(words)

    def with_dtype(self, dtype: str) -> Filtering:
        """The same of arrays of a dtype."""
        return self._replace(dtype=dtype)

    @property
    def filter(self) -> Filter:
        return FILTERS[self.function]

    @property
    def asked(self) -> str:
        """What peers are asked for."""
        return self.function

    @property
    def along(self) -> Shape:
        """The axes that are filtered."""
        return self.filter.along(self)

    @property
    def borders(self) -> dict[str, Any]:
        """What every function is told; SciPy has no word for what is as by default."""
        return {"mode": self.mode, **({"saturate": True} if self.saturate else {})}

    @property
    def dtypes(self) -> tuple[np.dtype[Any], np.dtype[Any]]:
        """Of the array, and of the result."""
        given, _, result = self.dtype.partition(">")
        return np.dtype(given), np.dtype(result or given)

    @property
    def computed_in(self) -> str:
        """The floats of the multiply-adds that it is held against: of integers the faster ones."""
        return "float64" if np.dtype(np.float64) in self.dtypes else "float32"

    @property
    def rounding(self) -> float:
        """By how much of itself a result is rounded that is narrower than sums."""
        return rounding(self.dtypes[1], self.computed_in)

    @property
    def arrays(self) -> dict[str, Shape]:
        """The shapes of what it is given, by SciPy's names."""
        return {
            "input": self.sizes,
            **({"weights": self.window} if self.filter.has_weights else {}),
        }

    @property
    def out(self) -> Shape:
        """The shape of its result."""
        return self.filter.out(self)

    @property
    def flops(self) -> int:
        """Floating-point operations; a multiply-add is two."""
        return 2 * self.filter.multiply_adds(self) * math.prod(self.sizes)

    @property
    def n_bytes(self) -> int:
        """Bytes that must be read or written: of the array and the result."""
        given, result = self.dtypes
        return given.itemsize * math.prod(self.sizes) + result.itemsize * math.prod(self.out)

    def draw(self) -> dict[str, NDArray[Any]]:
        """Arrays that it is given."""
        rng, (given, _) = np.random.default_rng(0), self.dtypes
        array = draw(rng, self.sizes, given)
        if not self.filter.has_weights:
            return {"input": array}
        few = rng.integers(-LARGEST_WEIGHT, LARGEST_WEIGHT, self.window, endpoint=True)
        weights = few if given.kind in "iu" else rng.standard_normal(self.window)
        return {"input": array, "weights": weights.astype(self.computed_in)}

    def own(self, arrays: Arrays) -> tuple[Callable[[], Any], Callable[[Any], NDArray[Any]]]:
        """What a user calls again and again, and what makes a plain array of its result."""
        out = unwritten(self.out, self.dtypes[1])
        call = self.filter.call(self, arrays, out, ndimage)
        return partial(call, algorithm=self.algorithm), np.asarray

    def exact(self, arrays: Arrays) -> NDArray[np.float64]:
        """The result of the functions, in float64; integers as the array's and the result's dtypes
        make them, which may wrap."""
        dtype = self.dtypes[1]
        if dtype.kind == "f":
            arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
            dtype = np.dtype(np.float64)
        out = np.empty(self.out, dtype)
        return self.filter.call(self, arrays, out, ndimage)().astype(np.float64)

    def error_bound(self, arrays: Arrays) -> float:
        """What the library promises of each element: of floats so many roundings of the largest sum
        that there could be; integers the same, but rounded ones, which may be nearly between two.
        """
        if self.dtypes[1].kind in "iu":
            return float(self.saturate)
        roundings = sum(2 * (taps + 1) for taps in self.filter.taps(self))
        largest = float(np.abs(arrays["input"], dtype=np.float64).max())
        eps = float(np.finfo(self.computed_in).eps)
        bound = eps * roundings * largest * self.filter.gain(self, arrays)
        if self.algorithm == "auto" or "weights" not in arrays:
            return bound
        taps, norm = arrays["weights"].size, float(np.linalg.norm(arrays["weights"]))
        return max(bound, spectral_bound(arrays["input"], taps, norm, self.computed_in))

    def as_json(self) -> dict[str, Any]:
        return {**self._asdict(), "text": self.text, "out": self.out, "flops": self.flops}


DTYPES = [np.dtype(c).name for c in np.typecodes["AllInteger"] + "efd"]
SIZES = re.compile(r"\d+(x\d+){,3}", re.ASCII)
SIGMA = re.compile(r"sigma(\d+(\.\d+)?)", re.ASCII)
AXES = re.compile(r"axes(\d(x\d)*)", re.ASCII)


def spell(value: Any) -> str:
    """A number, or numbers with x between them."""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return str(value).removesuffix(".0")


def read(word: str) -> Shape:
    """The numbers that `spell` spelt."""
    return tuple(map(int, word.split("x")))


def meaning(word: str) -> tuple[str | None, Any]:
    """The option that a word says, if it says one, and its value."""
    if SIZES.fullmatch(word):
        return "window", read(word)
    if found := SIGMA.fullmatch(word):
        return "sigma", float(found[1])
    if found := AXES.fullmatch(word):
        return "axes", read(found[1])
    if word in check_ndimage.MODES:
        return "mode", word
    if word == "saturate":
        return "saturate", True
    if word in check_ndimage.ALGORITHMS:
        return "algorithm", word
    dtypes = word.split(">")
    if len(dtypes) <= 2 and set(dtypes) <= set(DTYPES):
        return "dtype", word
    return None, None


def check(filtering: Filtering) -> None:
    """Raise ValueError if it cannot be computed."""
    filter = filtering.filter
    for option in ("window", "sigma"):
        if bool(getattr(filtering, option)) != (option in filter.needs):
            verb = "needs" if option in filter.needs else "has no"
            raise ValueError(f"{filter.word} {verb} {option}")
    along = filtering.along
    if list(along) != sorted(along):
        raise ValueError(f"axes must be in their order, got {spell(filtering.axes)}")
    if "window" in filter.needs and (len(filtering.window) != len(along) or 0 in filtering.window):
        raise ValueError(
            f"a window must have a size of at least 1 for each of {len(along)} axes, "
            f"got {spell(filtering.window)}"
        )


def parse(text: str) -> Filtering:
    """The filter that a text says.

    Raises
    ------
    ValueError
        If the text says none, or one that cannot be computed; the message names what is wrong.
    """
    given: dict[str, Any] = {}
    try:
        words = text.split()
        if not (len(words) >= 2 and SIZES.fullmatch(words[0]) and words[1] in FILTERS):
            raise ValueError(
                "it must begin with sizes and a filter, as 1000x1100 laplace; filters are "
                f"{', '.join(FILTERS)}"
            )
        for word in words[2:]:
            option, value = meaning(word)
            if option is None:
                raise ValueError(f"{word!r} is no option of {words[1]}")
            if option in given:
                raise ValueError(f"{word!r} says {option} a second time")
            given[option] = value
        filtering = Filtering(read(words[0]), words[1], **given)
        check(filtering)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text!r}: {error}") from None
    return filtering
