"""Functions of the elements of arrays, one by one."""

from __future__ import annotations

from .epilogue import apply_function
from .runtime import copy_bytes


def task(row, plan, images, out, index):
    """Compute a function of `task_elements` elements.

    images, out : addresses of the first of plan.elements elements, which follow each other: the
        same, or of memory that does not overlap.

    Reads and writes these elements alone.
    """
    first = index * plan.task_elements
    count = min(plan.task_elements, plan.elements - first)
    source, target = images + first * row.itemsize, out + first * row.itemsize
    if source != target:
        copy_bytes(target, source, count * row.itemsize)
    apply_function(
        row,
        out=target,
        rows=1,
        out_y=0,
        pixels=1,
        out_x=0,
        channels=count,
        activation=plan.activation,
        slope=plan.slope,
    )
