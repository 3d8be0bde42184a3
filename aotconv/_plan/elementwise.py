"""Functions of the elements of arrays (`_kernels.elementwise`)."""

from __future__ import annotations

from .activations import Activation, finish_words
from .arithmetic import ceil_div
from .family import bare_words, of_no_layer
from .registry import LEVELS, Row

TASK_BYTES = 16 << 10  # of a task: they stay in the first-level cache
# Vectors that one thread computes in a microsecond, roughly: of the slowest function.
VECTOR_RATE = 60


ELEMENTWISE = of_no_layer(
    "elementwise",
    ("elements", "task_elements"),  # in all, and of a task
)


def elementwise_words(row: Row, finish: Activation, elements: int) -> list[int]:
    """The plan for so many elements, which follow each other."""
    task = TASK_BYTES // row.itemsize
    told = {"tasks": ceil_div(elements, task), "elements": elements, "task_elements": task}
    return bare_words(ELEMENTWISE, {**told, **finish_words(finish)})


def elementwise_microseconds(row: Row, elements: int) -> float:
    """What one thread needs, roughly."""
    return elements * row.itemsize / LEVELS[row.level].vector_bytes / VECTOR_RATE
