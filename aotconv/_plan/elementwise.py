"""Functions of the elements of arrays (`_kernels.elementwise`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from .activations import Activation, finish_words
from .arithmetic import ceil_div
from .family import Family, Layer, bare_words
from .registry import LEVELS, Row

TASK_BYTES = 16 << 10  # of a task: they stay in the first-level cache
# Vectors that one thread computes in a microsecond, roughly: of the slowest function.
VECTOR_RATE = 60


def choose(rows: Sequence[Row], layer: Layer) -> None:
    return None


def refuse(*_) -> NoReturn:
    raise TypeError("the elementwise family computes no layer")


ELEMENTWISE = Family(
    "elementwise",
    choose,
    refuse,
    refuse,
    refuse,
    fields=("elements", "task_elements"),  # in all, and of a task
)


def elementwise_words(row: Row, finish: Activation, elements: int) -> list[int]:
    """The plan for so many elements, which follow each other."""
    task = TASK_BYTES // row.itemsize
    told = {"tasks": ceil_div(elements, task), "elements": elements, "task_elements": task}
    return bare_words(ELEMENTWISE, {**told, **finish_words(finish)})


def elementwise_microseconds(row: Row, elements: int) -> float:
    """What one thread needs, roughly."""
    return elements * row.itemsize / LEVELS[row.level].vector_bytes / VECTOR_RATE
