"""Channelwise convolution by any window, of whatever has no kernel of its own
(`_kernels.strip`)."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import NamedTuple

from .arithmetic import ceil_div, round_up
from .family import ALIGNMENT, Family, Layer, Packing, Panels, Repeated, Work
from .geometry import Axis, Geometry
from .registry import Row

COPY_BYTES = 256 << 10  # of a task's inputs, or of their copies: or what the taps of one pixel need
WEIGHT_BYTES = 16 << 10  # of weights in a task: half the first-level cache
MANY = 8  # pixels that share the copy of their taps
LEAST_TILES = 8  # of a row in a task: fewer are not worth its start
LARGEST_STEP = 256  # strides and dilations: so many tasks may have no row of outputs
APART_BYTES = 64  # of the widest vector: shorter pixels lie beside each other in vectors


def choose(rows: Sequence[Row], layer: Layer) -> Row | None:
    if not (layer.channelwise and max(layer.strides + layer.dilations) <= LARGEST_STEP):
        return None
    # Outputs that share rows of inputs, and one more: a tile goes through kernel rows that are as
    # many, or one fewer.
    several = layer.kernel[1] + 1 if layer.strides[1] == 1 and layer.kernel[1] > 1 else 1
    suited = (row for row in rows if row.period in (0, layer.groups))
    return next((row for row in suited if row.pixels <= several), None)


def is_deep(row: Row, channels: int) -> bool:
    """Whether vectors run along the channels of a pixel: else along the elements of a row."""
    return channels >= row.lanes


def packing(row: Row, layer: Layer) -> Packing:
    """Of one channel, each weight once; of few, rows to be read from any channel on; of many, for
    each vector of them its rows."""
    if row.period:
        return Repeated(0, 1)
    if is_deep(row, layer.groups):
        return Panels(0, layer.groups, row.lanes, overlap=True)
    return Repeated(0, layer.groups + row.lanes)


def blocking(work: Work) -> dict[str, int]:
    row, g = work.row, work.geometry
    parts, panels = _panels(row, g)
    each = panels * row.lanes
    most = max(min(each, g.c), g.c - (parts - 1) * each)  # channels of a part
    copies = _copies(work, most)
    apart = g.y.dilation if g.y.stride == 1 else 1
    down, others = ceil_div(g.y.out, apart), g.n * g.z.out * apart * parts
    times = max(ceil_div(down, copies.rows), min(down, ceil_div(work.wanted_tasks, others)))
    rows = round_up(ceil_div(down, times), row.pixels)
    blocks = ceil_div(down, rows)
    span = 1 if panels else row.lanes // gcd(g.c, row.lanes)
    across = ceil_div(work.wanted_tasks, others * blocks)
    across = min(across, max(1, g.x.out // (LEAST_TILES * row.vectors * span)))
    copy_rows = (rows - 1) * copies.stride + g.y.kernel
    read = g.z.kernel * copy_rows * copies.row + row.lanes * row.itemsize  # a vector behind them
    return {
        "tasks": others * blocks * across,
        "staging": round_up(read, ALIGNMENT) if copies.row else 0,
        "parts": parts,
        "task_panels": panels,
        "task_rows": rows,
        "across": across,
        "apart": apart,
        "span": span,
        "skips": int(work.finite or not g.is_padded),
        "copies_all": int(copies.all),
        "copy_stride": copies.stride,
        "copy_row": copies.row,
        "copy_apart": copies.apart,
        "copy_pixel": copies.pixel,
        "copy_phases": copies.phases,
        "copy_step": copies.step,
        "copy_more": copies.more,
        "copy_pixels": copies.pixels,
    }


def _panels(row: Row, g: Geometry) -> tuple[int, int]:
    """Into how many parts the channels are cut, and the vectors of them in each but the last, which
    has the rest: where two overlap, both."""
    if not is_deep(row, g.c):
        return 1, 0
    panels, overlap = ceil_div(g.c, row.lanes), int(g.c % row.lanes > 0)
    most = max(1, WEIGHT_BYTES // ((1 + g.taps) * row.lanes * row.itemsize))
    parts = max(1, min(panels - overlap, ceil_div(panels, most)))
    return parts, panels // parts


class _Copies(NamedTuple):
    """How taps are copied between zeros: as runs of columns `apart` from each other, so that pixels
    follow each other, `pixel` columns from the last.

    The columns of a tap are those of the tap `phases` before it, `step` columns on: so many taps
    are copied, and `more` columns beside those of the pixels.
    """

    all: bool  # pixels; else those whose windows leave the image's width
    rows: int  # of outputs in a task, at most
    stride: int  # rows of copies from a row of outputs to the next
    row: int = 0  # bytes of the copy of an input row; 0: nothing is copied
    apart: int = 1
    pixel: int = 1
    phases: int = 1
    step: int = 0
    more: int = 0
    pixels: int = 1


def _copies(work: Work, channels: int) -> _Copies:
    row, g = work.row, work.geometry
    lies = is_deep(row, g.c) or (g.x.stride == 1 and work.image_pixels_adjacent)
    every = not lies or (g.is_padded and not work.finite) or g.x.inside * g.c < row.lanes
    copied = g.x.out if every else g.x.out - g.x.inside
    planes, size = g.z.kernel, channels * row.itemsize
    # Rows of outputs share copies where these are a dilation apart.
    stride, shares = max(1, g.y.stride // g.y.dilation), g.y.stride % g.y.dilation == 0
    most = g.y.out if shares or g.y.stride == 1 else 1

    def rows(each: int) -> int:
        """Of outputs, whose rows of inputs of so many bytes are near."""
        fitting = (COPY_BYTES // max(1, planes * each) - g.y.kernel) // stride + 1
        return max(row.pixels, min(most, fitting) // row.pixels * row.pixels)

    near = rows(g.x.size * size)
    if copied == 0:
        return _Copies(False, near, stride)
    copied = min(g.x.out, copied + row.vectors * row.lanes)  # tiles are filled with others
    x, least = g.x, planes * (row.pixels - 1 + g.y.kernel) * size
    if is_deep(row, g.c):  # vectors of neighbouring pixels need not be neighbours
        apart, pixel, phases, step, more = 1, x.stride, 1, x.dilation, x.extent - x.stride
    else:
        apart, pixel, phases, step = x.stride, 1, x.phases, x.phase_step
        more = (x.kernel - 1) // phases * step
    limit = max(COPY_BYTES, 4 * least * x.kernel)  # of dilations to 3 all columns
    if phases * (more + pixel * min(copied, MANY)) * least > limit:
        apart, pixel, phases, step, more = x.stride, 1, x.kernel, 0, 0
    pixels = max(1, min(copied, (limit // (least * phases) - more) // pixel))
    one = phases * (pixels * pixel + more) * size
    most = rows(one) if every else min(near, rows(one))
    return _Copies(every, most, stride, one, apart, pixel, phases, step, more, pixels)


def cost(row: Row, g: Geometry) -> float:
    """A product takes as long as one and its loads; tiles of few sums wait for each other's.  Of
    the taps of windows that leave the image about half are skipped.  Taps that are copied are
    gathered element by element if few."""
    pixel = g.c * row.itemsize
    strides = (0, 0, 0, pixel, row.itemsize)
    work = Work(row, g, strides, strides)
    told = blocking(work)
    deep, lanes = is_deep(row, g.c), row.lanes
    tiled = g.x.out >= row.vectors if deep else g.x.out * g.c >= row.channels
    across = g.x.out * ceil_div(g.c, lanes) if deep else ceil_div(g.x.out * g.c, lanes)
    product = (1 + 1 / row.pixels if tiled else 3.0) * (1 if row.fma else 1.5)
    planes, high, wide = map(_multiplied, g.axes)
    taps, input_rows = planes * high * wide, planes * (high + row.pixels - 1)
    down = g.n * g.z.out * ceil_div(g.y.out, row.pixels)
    rest = 12 + 16 * input_rows / (row.pixels * (row.vectors if tiled else 1))  # loops begin
    products = down * row.pixels * across * (taps * product + rest)
    copies = 0.0
    if told["copy_row"]:
        copied = g.x.out
        if not told["copies_all"]:  # each side has a tile
            copied = min(copied, g.x.out - g.x.inside + 2 * row.vectors * told["span"])
        times = ceil_div(copied, told["copy_pixels"])
        columns = copied * told["copy_pixel"] + times * told["copy_more"]
        elements = told["copy_phases"] * columns
        some = 1 if g.x.stride == 1 else 4 + 4 * (g.c if g.c < lanes else ceil_div(g.c, lanes))
        each = told["copy_phases"] * times * 100 + elements * some
        tasks = told["tasks"] // told["across"] // told["parts"]
        copies = tasks * g.z.kernel * (told["task_rows"] * told["copy_stride"] + g.y.kernel) * each
    return products + 0.5 * copies + 60 * told["tasks"] + 150 * down


def _multiplied(axis: Axis) -> float:
    """How many taps of an output are multiplied, about."""
    some = min(0.6 * axis.kernel, axis.size / axis.dilation)
    return some + (axis.kernel - some) * axis.inside / max(1, axis.out)


STRIP = Family(
    "strip",
    choose,
    blocking,
    packing,
    cost,
    fields=(
        "parts",  # of the channels
        "task_panels",  # vectors of channels in each but the last; 0: vectors run along a row
        "task_rows",  # rows of outputs in a task, `apart` from each other
        "across",  # pieces of a row
        "apart",
        "span",  # pixels whose elements are whole vectors
        "skips",  # whether taps outside the image need not be multiplied
        "copies_all",  # whether all pixels are computed from copies of their taps
        "copy_stride",  # rows of copies from a row of outputs to the next
        "copy_row",  # bytes of the copy of an input row
        "copy_apart",  # columns from one that is copied to the next
        "copy_pixel",  # copied columns from a pixel of outputs to the next
        "copy_phases",  # taps that are copied; tap kx is tap ``kx % copy_phases``, from column
        "copy_step",  # ``kx // copy_phases * copy_step`` on
        "copy_more",  # columns that are copied beside those of the pixels
        "copy_pixels",  # that are computed from copies at a time
    ),
    apart_bytes=APART_BYTES,
)
