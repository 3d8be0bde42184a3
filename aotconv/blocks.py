"""A convolution cut into smaller ones, so that no more than a block is ever copied.

Kernels read and write NHWC arrays of their own dtype with contiguous channels, some also NCHW
arrays.  What comes in another layout, byte order, alignment or dtype is copied block by block, each
a convolution of its own with its own padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .geometry import Geometry, extent

BLOCK_BYTES = 512 << 10  # of inputs and outputs together
ROW_BYTES = 8 << 20  # what one row of outputs may need before it is cut: cuts copy their overlap


class Block(NamedTuple):
    """A part of a convolution: what it reads and writes, and its own sizes."""

    geometry: Geometry
    images: tuple[slice, slice, slice]  # of axes N, H, W
    out: tuple[slice, slice, slice]


def _axis(start: int, stop: int, size: int, kernel: int, stride: int, dilation: int, before: int):
    """Inputs under outputs `start` to `stop` of one axis: a slice and the zeros at both ends."""
    first = start * stride - before
    last = (stop - 1) * stride - before + extent(kernel, dilation)
    low, high = min(max(first, 0), size), min(max(last, 0), size)
    high = max(low, high)
    zeros_before = low - first if high > low else last - first
    zeros_behind = last - high if high > low else 0
    return slice(low, high), zeros_before, zeros_behind


def part(geometry: Geometry, n: slice, y: slice, x: slice) -> Block:
    """The convolution that computes the outputs `n`, `y`, `x` alone."""
    g = geometry
    rows, top, bottom = _axis(y.start, y.stop, g.h, g.kh, g.sh, g.dh, g.top)
    columns, left, right = _axis(x.start, x.stop, g.w, g.kw, g.sw, g.dw, g.left)
    smaller = g._replace(
        n=n.stop - n.start,
        h=rows.stop - rows.start,
        w=columns.stop - columns.start,
        top=top,
        bottom=bottom,
        left=left,
        right=right,
        oh=y.stop - y.start,
        ow=x.stop - x.start,
    )
    return Block(smaller, (n, rows, columns), (n, y, x))


def split(
    geometry: Geometry, itemsize: int, limit: int = BLOCK_BYTES, *, multiple: int = 1
) -> Iterator[Block]:
    """Cut a convolution into parts of about `limit` bytes: images, else rows, else columns.

    Each part begins at a multiple of so many rows and columns of outputs.
    """
    g = geometry

    def size(oh: int, ow: int) -> int:
        inputs = ((oh - 1) * g.sh + extent(g.kh, g.dh)) * ((ow - 1) * g.sw + extent(g.kw, g.dw))
        return (inputs * g.c + oh * ow * g.o) * itemsize

    step_n = min(g.n, max(1, limit // size(g.oh, g.ow)))
    step_y = _whole(largest(g.oh, lambda oh: size(oh, g.ow) <= limit), g.oh, multiple)
    step_x = g.ow
    if size(1, g.ow) > max(limit, ROW_BYTES):
        step_x = largest(g.ow, lambda ow: size(1, ow) <= max(limit, ROW_BYTES))
        step_x = _whole(step_x, g.ow, multiple)
    for n in _steps(g.n, step_n):
        for y in _steps(g.oh, step_y):
            for x in _steps(g.ow, step_x):
                yield part(g, n, y, x)


def largest(limit: int, fits) -> int:
    """The largest of 1 to `limit` that fits; 1 if none does.  What is less than one that fits,
    fits."""
    low, high = 1, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _whole(step: int, size: int, multiple: int) -> int:
    """`step` rounded down to a multiple, if it is less than `size`."""
    return step if step >= size else max(multiple, step - step % multiple)


def _steps(size: int, step: int) -> Iterator[slice]:
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))
