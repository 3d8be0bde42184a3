"""A convolution cut into parts, smaller ones with their own padding, so that no more than a part is
ever copied, and no call of a kernel takes long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from .arithmetic import ceil_div, largest
from .geometry import Geometry, extent

PART_BYTES = 512 << 10  # of inputs and outputs together
ROW_BYTES = 8 << 20  # what one row of outputs may need before it is cut: cuts copy their overlap

Fits: TypeAlias = Callable[[int, int, int], bool]


class Part(NamedTuple):
    """A part of a convolution: what it reads and writes, and its own sizes."""

    geometry: Geometry
    images: tuple[slice, slice, slice]  # of axes N, H, W
    out: tuple[slice, slice, slice]


def _axis(start: int, stop: int, size: int, kernel: int, stride: int, dilation: int, before: int):
    """Inputs under outputs `start` to `stop` of one axis: a slice, the zeros at both ends, and the
    dilation.  Of a single output they are those under its taps, however far apart these are."""
    first = start * stride - before
    last = (stop - 1) * stride - before + extent(kernel, dilation)
    step = dilation if stop - start == 1 else 1
    count = ceil_div(last - first, step)  # of inputs and zeros
    before = min(max(-(first // step), 0), count)
    behind = max(min((size - 1 - first) // step + 1, count), before)
    inputs = slice(0, 0)
    if behind > before:
        inputs = slice(first + before * step, first + (behind - 1) * step + 1, step)
    return inputs, before, count - behind, dilation // step


def part(geometry: Geometry, n: slice, y: slice, x: slice) -> Part:
    """The convolution that computes the outputs `n`, `y`, `x` alone."""
    g = geometry
    rows, top, bottom, dh = _axis(y.start, y.stop, g.h, g.kh, g.sh, g.dh, g.top)
    columns, left, right, dw = _axis(x.start, x.stop, g.w, g.kw, g.sw, g.dw, g.left)
    smaller = g._replace(
        n=n.stop - n.start,
        h=len(range(rows.start, rows.stop, rows.step or 1)),
        w=len(range(columns.start, columns.stop, columns.step or 1)),
        dh=dh,
        dw=dw,
        top=top,
        bottom=bottom,
        left=left,
        right=right,
        oh=y.stop - y.start,
        ow=x.stop - x.start,
    )
    return Part(smaller, (n, rows, columns), (n, y, x))


def in_bytes(geometry: Geometry, itemsize: int, limit: int = PART_BYTES) -> Fits:
    """Whether a part of a convolution has inputs and outputs of at most `limit` bytes; one row of
    outputs may have ROW_BYTES."""
    g = geometry

    def under(out: int, size: int, kernel: int, stride: int, dilation: int) -> int:
        return min(size, kernel if out == 1 else (out - 1) * stride + extent(kernel, dilation))

    def fits(n: int, oh: int, ow: int) -> bool:
        rows = under(oh, g.h, g.kh, g.sh, g.dh)
        columns = under(ow, g.w, g.kw, g.sw, g.dw)
        size = n * (rows * columns * g.c + oh * ow * g.o) * itemsize
        return size <= (limit if n * oh > 1 else max(limit, ROW_BYTES))

    return fits


def cut(geometry: Geometry, fits: Fits, *, multiple: int = 1) -> Iterator[Part]:
    """Cut a convolution into parts that fit: images, else rows, else columns; single pixels where
    none does.

    Parameters
    ----------
    fits : callable
        Of numbers of images, rows and columns of outputs.  What is less than one that fits, fits.
    multiple : int
        Parts begin at multiples of so many rows and columns of outputs, and have as many at least.
    """
    g = geometry
    step_n = largest(g.n, lambda n: fits(n, g.oh, g.ow))
    step_y = _whole(largest(g.oh, lambda oh: fits(1, oh, g.ow)), g.oh, multiple)
    step_x = _whole(largest(g.ow, lambda ow: fits(1, 1, ow)), g.ow, multiple)
    for n in _steps(g.n, step_n):
        for y in _steps(g.oh, step_y):
            for x in _steps(g.ow, step_x):
                yield part(g, n, y, x)


def _whole(step: int, size: int, multiple: int) -> int:
    """`step` rounded down to a multiple, if it is less than `size`."""
    return step if step >= size else max(multiple, step - step % multiple)


def _steps(size: int, step: int) -> Iterator[slice]:
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))
