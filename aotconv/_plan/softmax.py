"""Softmax along rows of elements that follow each other (`_kernels.softmax`)."""

from __future__ import annotations

from .arithmetic import ceil_div
from .family import SCRATCH_BYTES, bare_words, of_no_layer
from .registry import LEVELS, Row

# What a launch computes: whole rows; or of blocks of one long row their peaks, the exponentials
# and their sums, the quotients.
WHOLE, PEAKS, EXPONENTIALS, QUOTIENTS = range(4)
BLOCK = 1 << 16  # elements that are summed at a time
SUM_BYTES = 64  # of what a sum is kept in, whatever a level's vectors are
TASK_BYTES = 64 << 10  # of whole rows in a task
VECTOR_RATE = 80  # that one thread computes in a microsecond, roughly


SOFTMAX = of_no_layer(
    "softmax",
    (
        "step",  # WHOLE and so on
        "rows",
        "length",  # elements of a row, or of all blocks
        "task_rows",
        "block",  # elements of a block
    ),
)


def softmax_words(row: Row, step: int, rows: int, length: int) -> list[int]:
    """The plan for whole rows, or for blocks of one."""
    most = min(SCRATCH_BYTES // 2, TASK_BYTES // length) // row.itemsize
    task_rows = max(1, most)
    told = {
        "tasks": ceil_div(rows, task_rows) if step == WHOLE else ceil_div(length, BLOCK),
        "step": step,
        "rows": rows,
        "length": length,
        "task_rows": task_rows,
        "block": BLOCK,
    }
    return bare_words(SOFTMAX, told)


def softmax_microseconds(row: Row, elements: int) -> float:
    """What one thread needs, roughly."""
    return elements * row.itemsize / LEVELS[row.level].vector_bytes / VECTOR_RATE
