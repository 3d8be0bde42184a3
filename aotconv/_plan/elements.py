"""Types of elements that staging reads and writes, beside those that kernels compute in."""

import functools
from typing import Any, NamedTuple


class Element(NamedTuple):
    """What an array holds: numbers of one part, or complex ones of two."""

    unit: str  # the type of a part: one of ELEMENTS
    unit_bytes: int
    parts: int = 1

    @property
    def code(self) -> int:
        return STORED.index(self.unit)

    def stored(self, how: str) -> "Element":
        """What is stored as such an integer in one of the ways of `INTEGERS`; floats are floats."""
        return self._replace(unit=INTEGERS[how].get(self.unit, self.unit))


ELEMENTS = (
    *("float32", "float64", "float16", "bfloat16"),
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
)
# What sums become that are stored as integers, in another way than whole numbers that wrap.
# Clipped are rounded to nearest even.  Truncated lose what is behind the point, and beyond a type's
# ends are what C makes of them; so are mirrored ones, but below 0 they are the negative of what C
# makes of the absolute value, which shows in uint64 alone.
_INTEGERS = tuple(name for name in ELEMENTS if "int" in name)
CLIPPED = {name: f"clipped_{name}" for name in _INTEGERS}
TRUNCATED = {name: f"truncated_{name}" for name in _INTEGERS}
MIRRORED = {**TRUNCATED, "uint64": "mirrored_uint64"}
INTEGERS: dict[str, dict[str, str]] = {
    "wrapped": {},
    "clipped": CLIPPED,
    "truncated": TRUNCATED,
    "mirrored": MIRRORED,
}
_TRUNCATED = (*TRUNCATED.values(), MIRRORED["uint64"])
STORED = (*ELEMENTS, *CLIPPED.values(), *_TRUNCATED)  # their places are what kernels are told
OF_DOUBLES = (*_TRUNCATED, CLIPPED["int64"], CLIPPED["uint64"])  # which no float32 is stored as
HALVES = ("float16", "bfloat16")  # which no kernel computes in
STORED_BYTES = {**dict.fromkeys(HALVES, 2), "uint8": 1}  # of what rows load and store otherwise
PARTS_OF_COMPLEX = {"complex64": "float32", "complex128": "float64"}


def converts(dtype: str, name: str) -> bool:
    """Whether elements of a type are read and stored for kernels that compute in a dtype."""
    if "int" in dtype:
        return name in _INTEGERS or (name in CLIPPED.values() and dtype == "int64")
    return dtype == "float64" or name not in OF_DOUBLES


@functools.lru_cache(maxsize=64)
def name_of(dtype: Any) -> str:
    """The name of a NumPy dtype, which NumPy makes up in Python each time that it is asked."""
    return dtype.name


def unit_of(dtype: Any) -> str:
    """The name of what a number of a NumPy dtype is made of, whatever its order of bytes."""
    name = name_of(dtype)
    return PARTS_OF_COMPLEX.get(name, name)


def element_of(dtype: Any) -> Element:
    """What an array of a NumPy dtype holds, whatever its order of bytes.

    Raises
    ------
    TypeError
        If staging knows no such type.
    """
    unit = unit_of(dtype)
    if unit not in ELEMENTS:
        raise TypeError(f"there is no element type for dtype {dtype}")
    parts = 1 + (unit != name_of(dtype))
    return Element(unit, dtype.itemsize // parts, parts)
