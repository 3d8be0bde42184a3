"""A convolution cut into parts, smaller ones with their own padding, so that no more than a part is
ever copied, and no call of a kernel takes long.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import NamedTuple, TypeAlias

from .arithmetic import ceil_div, largest, round_up
from .borders import ZEROS, index, maps
from .geometry import RANK, Axis, Geometry

PART_BYTES = 512 << 10  # of inputs and outputs together
SLAB_BYTES = 4 << 20  # of what is held between one pass over a large array and the next
ROW_BYTES = 8 << 20  # what one row of outputs may need before it is cut: cuts copy their overlap

Fits: TypeAlias = Callable[..., bool]


Taps: TypeAlias = tuple[range, ...]  # of each of a window's axes; (): all taps
EVERY = (slice(None),) * (1 + RANK)


class Part(NamedTuple):
    """A part of an operator, which is a convolution itself: its sizes, what it reads and writes."""

    geometry: Geometry
    images: tuple[slice, ...] = EVERY  # of axes N, D, H, W
    out: tuple[slice, ...] = EVERY
    taps: Taps = ()

    def turned(self, order: Sequence[int]) -> "Part":
        """The part of arrays whose spatial axes stand in another order."""
        images, out = ((each[0], *(each[1 + i] for i in order)) for each in (self.images, self.out))
        return self._replace(images=images, out=out)


def _axis(axis: Axis, outputs: slice) -> tuple[slice, Axis]:
    """The inputs under some outputs of one axis, and the axis that they are.  Of a single output
    they are those under its taps, however far apart these are."""
    start, stop = outputs.start, outputs.stop
    first = start * axis.stride - axis.before
    last = (stop - 1) * axis.stride - axis.before + axis.extent
    if maps(axis.border) and not (first >= 0 and last <= axis.size):
        return _at_border(axis, first, last, stop - start)
    step = axis.dilation if stop - start == 1 else 1
    count = ceil_div(last - first, step)  # of inputs and zeros
    before = min(max(-(first // step), 0), count)
    behind = max(min((axis.size - 1 - first) // step + 1, count), before)
    inputs = slice(0, 0)
    if behind > before:
        inputs = slice(first + before * step, first + (behind - 1) * step + 1, step)
    size, dilation = behind - before, axis.dilation // step
    pads = before, count - behind
    border = axis.border if any(pads) else ZEROS
    return inputs, Axis(size, axis.kernel, axis.stride, dilation, *pads, stop - start, border)


def _at_border(axis: Axis, first: int, last: int, out: int) -> tuple[slice, Axis]:
    """The same of windows at a border that maps pixels from anywhere: all inputs, or the one."""
    if axis.kernel == out == 1:
        place = index(first, axis.size, axis.border)
        return slice(place, place + 1), Axis(1)
    return slice(None), axis._replace(before=-first, behind=last - axis.size, out=out)


def part(geometry: Geometry, n: slice, *outputs: slice) -> Part:
    """The convolution that computes the outputs `n` and, of each spatial axis, `outputs` alone."""
    inputs, axes = zip(*map(_axis, geometry.axes, outputs), strict=True)
    z, y, x = axes
    smaller = geometry._replace(n=n.stop - n.start, z=z, y=y, x=x)
    return Part(smaller, (n, *inputs), (n, *outputs))


def around(geometry: Geometry, multiple: int = 1) -> list[Part]:
    """A convolution cut into what has no border but zeros, and the parts around that; none where
    there is no such inside.

    Parameters
    ----------
    multiple : int
        Of which parts begin, as in `cut`.
    """
    g, inner = geometry, []
    for axis, least in zip(g.axes, (1, multiple, multiple), strict=True):
        first, last = axis.between if axis.border else (0, axis.out)
        last = last if last == axis.out else last - last % least
        inner.append(slice(round_up(first, least), last))
    if any(each.stop <= each.start for each in inner):
        return []
    n = slice(0, g.n)
    parts, outs = [part(g, n, *inner)], [slice(0, axis.out) for axis in g.axes]
    for i, (axis, each) in enumerate(zip(g.axes, inner, strict=True)):
        for end in (slice(0, each.start), slice(each.stop, axis.out)):
            if end.stop > end.start:
                parts.append(part(g, n, *outs[:i], end, *outs[i + 1 :]))
        outs[i] = each
    return parts


class Slab(NamedTuple):
    """Some outputs of one axis of arrays, all of the others.

    Attributes
    ----------
    out, inputs : slice
        The outputs, and the inputs under their windows.
    axis : Axis
        What the convolution is along the axis that these are.
    """

    out: slice
    inputs: slice
    axis: Axis


def slabs(axis: Axis, step: int) -> Iterator[Slab]:
    """An axis cut into slabs of so many outputs, or of a quarter of the window where that is more:
    each reads all that is under it."""
    for outputs in _slices(axis.out, max(step, axis.kernel // 4)):
        yield Slab(outputs, *_axis(axis, outputs))


def slab_axis(sizes: Sequence[int], free: Sequence[int], itemsize: int) -> tuple[int, int] | None:
    """Along which of the axes `free` an array is cut into slabs of SLAB_BYTES, and how many of its
    elements such a slab has: along the first where there are slabs as small, else along the
    longest; None where the array is one slab."""
    total = prod(sizes) * itemsize
    if total <= SLAB_BYTES or not free:
        return None
    small = [axis for axis in free if total <= SLAB_BYTES * sizes[axis]]
    axis = small[0] if small else max(free, key=lambda each: sizes[each])
    return axis, max(1, SLAB_BYTES * sizes[axis] // total)


def in_bytes(geometry: Geometry, itemsize: int, limit: int = PART_BYTES) -> Fits:
    """Whether a part of a convolution has inputs and outputs of at most `limit` bytes; one row of
    outputs may have ROW_BYTES."""
    g = geometry

    def fits(n: int, *outs: int) -> bool:
        read = prod(axis.under(out) for axis, out in zip(g.axes, outs, strict=True))
        size = n * (read * g.c + prod(outs) * g.o) * itemsize
        return size <= (limit if n * prod(outs[:-1]) > 1 else max(limit, ROW_BYTES))

    return fits


def cut(geometry: Geometry, fits: Fits, *, multiple: int = 1) -> Iterator[Part]:
    """Cut a convolution into parts that fit: images, else planes, else rows, else columns; single
    pixels where none does.

    Parameters
    ----------
    fits : callable
        Of numbers of images, planes, rows and columns of outputs.  What is less than one that fits,
        fits.
    multiple : int
        Parts begin at multiples of so many rows and columns of outputs, and have as many at least.
    """
    sizes = geometry.n, *(axis.out for axis in geometry.axes)
    steps = []
    for i, (size, least) in enumerate(zip(sizes, (1, 1, multiple, multiple), strict=True)):
        ones, rest = (1,) * i, sizes[i + 1 :]
        steps.append(_whole(largest(size, lambda n: fits(*ones, n, *rest)), size, least))  # noqa: B023
    for slices in product(*map(_slices, sizes, steps)):
        yield part(geometry, *slices)


def _whole(step: int, size: int, multiple: int) -> int:
    """`step` rounded down to a multiple, if it is less than `size`."""
    return step if step >= size else max(multiple, step - step % multiple)


def _slices(size: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]
