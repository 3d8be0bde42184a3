"""What a model is fed by ``aotconv onnx``: arrays of a file, or drawn ones."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .errors import CommandError

if TYPE_CHECKING:
    import onnx

SMALL = 10  # whole numbers are drawn below it
Feeds = dict[str, np.ndarray]
Shape = tuple[int, ...]


class Input(NamedTuple):
    """An input that must be fed, as a model declares it."""

    name: str
    dtype: np.dtype[Any] | None  # of a tensor
    shape: tuple[int | str, ...] | None  # sizes, their names, or "?"

    @property
    def text(self) -> str:
        """As --shape takes it, names in the place of sizes that are to be given."""
        if self.shape is None:
            return f"{self.name}=SIZES"
        sizes = (1 if i == 0 and isinstance(each, str) else each for i, each in self._axes())
        return f"{self.name}={','.join(map(str, sizes))}"

    def _axes(self) -> Iterable[tuple[int, int | str]]:
        return enumerate(self.shape or ())

    def sized(self, known: Mapping[str, int]) -> Shape | None:
        """Its sizes, some known by name, the first one 1 where nothing says it; or None."""
        if self.shape is None:
            return None
        sizes = [
            each if isinstance(each, int) else known.get(each, 1 if i == 0 else None)
            for i, each in self._axes()
        ]
        return None if None in sizes else tuple(each for each in sizes if each is not None)


def inputs_of(proto: onnx.ModelProto) -> list[Input]:
    """The inputs of a model, but for those that have a default."""
    from onnx import helper

    defaults = {each.name for each in proto.graph.initializer}
    inputs = []
    for each in proto.graph.input:
        if each.name in defaults:
            continue
        tensor = each.type.tensor_type  # empty if it is no tensor
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type or 1))
        sizes = tuple(
            axis.dim_value if axis.HasField("dim_value") else axis.dim_param or "?"
            for axis in tensor.shape.dim
        )
        declared = tensor.HasField("shape")
        inputs.append(
            Input(each.name, dtype if tensor.elem_type else None, sizes if declared else None)
        )
    return inputs


def read_feeds(path: str) -> Feeds:
    """The arrays of a file of NumPy's, by name."""
    try:
        with open(path, "rb") as stream:  # NumPy leaves open what is no archive
            file = np.load(stream)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it is one array, without a name")
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CommandError(f"--input: {path!r} is not a .npz that can be read: {error}") from None
    except OSError as error:
        raise CommandError(f"cannot read {path!r}: {error.strerror or error}") from None


def parse_shapes(texts: Iterable[str], inputs: Sequence[Input]) -> dict[str, Shape]:
    """Shapes by input: ``NAME=1,3,320,320`` of each text, or of a scalar ``NAME=``."""
    names = [each.name for each in inputs]
    shapes = {}
    for text in texts:
        name, equals, sizes = text.rpartition("=")
        if not equals:
            raise CommandError(f"--shape: NAME=SIZES expected, as x=1,3,320,320, not {text!r}")
        if name not in names:
            raise CommandError(f"--shape: there is no {name!r}; there are {', '.join(names)}")
        if sizes and not all(each.isdecimal() for each in sizes.split(",")):
            raise CommandError(f"--shape: sizes with commas between them expected, not {text!r}")
        shapes[name] = tuple(map(int, sizes.split(","))) if sizes else ()
    return shapes


def drawn_feeds(inputs: Sequence[Input], shapes: Mapping[str, Shape]) -> Feeds:
    """Arrays of random numbers, the same each time.

    Where no shape is given it is the declared one: sizes that others give by name are those, and an
    open first one is 1.

    Raises
    ------
    CommandError
        If a size is open, or an input holds no numbers.
    """
    sizes: dict[str, int] = {}
    for each in inputs:
        for size, got in zip(each.shape or (), shapes.get(each.name, ()), strict=False):
            if isinstance(size, str) and size != "?":
                sizes.setdefault(size, got)
    known = {each.name: shapes.get(each.name, each.sized(sizes)) for each in inputs}
    numbers = [each for each in inputs if each.dtype is not None and each.dtype.kind not in "OUS"]
    if others := [each.name for each in inputs if each not in numbers]:
        raise CommandError(f"nothing is drawn for {', '.join(others)}, which are no numbers")
    if unknown := [each for each in inputs if known[each.name] is None]:
        options = " ".join(f"--shape {each.text}" for each in unknown)
        raise CommandError(f"the model leaves sizes open: give {options}, or --input FILE.npz")
    random = np.random.default_rng(0)
    try:
        return {each.name: draw(random, each.dtype, known[each.name]) for each in inputs}
    except (MemoryError, ValueError) as error:  # arrays that are too large for NumPy, too
        raise CommandError(f"--shape: {error}") from None


def draw(random: np.random.Generator, dtype: Any, shape: Any) -> np.ndarray:
    """Whole numbers from 0 to 9, of four bits to 1; truth values; or numbers from 0 to 1."""
    if dtype.name.lstrip("u").startswith("int"):  # whose kind is another, if they have few bits
        end = SMALL if dtype.kind in "iu" else 2
        return random.integers(end, size=shape).astype(dtype)
    numbers = random.random(shape, np.float32)
    return numbers < 0.5 if dtype.kind == "b" else numbers.astype(dtype)
