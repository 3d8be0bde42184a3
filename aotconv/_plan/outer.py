"""The gradient of filters: outer products of an image's channels and an output gradient's, summed
over pixels (`_kernels.outer`).

The sum over pixels is cut into chunks by the sizes of the convolution alone: each is summed by
itself, and chunks are added one after the other.  So threads, calls and layouts have no say in
the bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import NamedTuple

from .arithmetic import ceil_div, evenly, largest, round_up
from .family import ALIGNMENT, Work, of_no_layer, words
from .geometry import Geometry
from .parts import Part, part
from .registry import Row

CHUNK_PIXELS = 256  # of outputs: their panel of an output gradient stays in the first-level cache
PANEL_BYTES = 128 << 10  # of panels that are packed together
IMAGE_BYTES = 400 << 10  # of images under a chunk: most of the second-level cache
LEAST_PIXELS = 192  # of a chunk, as far as there are: a tile's sums are stored behind each
LEAST_TILES = 4  # that a task's channels are cut to, for threads
PACKING_SHARE = 5  # products of a value of images that take as long as to pack it ten times
WAIT = 8  # multiply-adds that begin before the first one ends


class Steps(NamedTuple):
    """Images, planes, rows and columns of outputs that are taken at a time; the last time along
    an axis there may be fewer."""

    n: int
    z: int
    y: int
    x: int

    def ranges(self, geometry: Geometry) -> list[range]:
        """Where those along each axis begin."""
        return [range(0, *each) for each in zip(outputs(geometry), self, strict=True)]

    def chunks(self, geometry: Geometry) -> int:
        """How many there are."""
        return prod(map(ceil_div, outputs(geometry), self))


def outputs(geometry: Geometry) -> tuple[int, int, int, int]:
    """Numbers of images, planes, rows and columns of outputs."""
    z, y, x = geometry.axes
    return geometry.n, z.out, y.out, x.out


def _steps(g: Geometry, fits: Callable[..., bool], multiples: Sequence[int]) -> Steps:
    """The most that fit, in whole images, else planes, rows, columns; multiples of those given."""
    sizes, steps = outputs(g), []
    for i, (size, multiple) in enumerate(zip(sizes, multiples, strict=True)):
        ones, rest = multiples[:i], sizes[i + 1 :]
        most = ceil_div(size, multiple)
        times = largest(most, lambda n: fits(*ones, min(n * multiple, size), *rest))  # noqa: B023
        steps.append(min(evenly(most, times) * multiple, size))
    return Steps(*steps)


def under(g: Geometry, n: int, *outs: int) -> int:
    """Pixels of images that the windows of so many outputs may read."""
    return n * prod(axis.under(out) for axis, out in zip(g.axes, outs, strict=True))


def chunk_steps(geometry: Geometry, itemsize: int) -> Steps:
    """What is summed by itself."""
    g = geometry

    def fits(*outs: int) -> bool:
        pixels = prod(outs)
        small = under(g, *outs) * g.c * itemsize <= IMAGE_BYTES or pixels <= LEAST_PIXELS
        return pixels <= CHUNK_PIXELS and small

    return _steps(g, fits, (1, 1, 1, 1))


def part_steps(geometry: Geometry, chunk: Steps, fits: Callable[..., bool]) -> Steps:
    """What is taken at a time of a sum that is taken in parts: whole chunks, one at least."""
    return _steps(geometry, fits, chunk)


def parts(geometry: Geometry, steps: Steps) -> Iterator[Part]:
    """The parts of a convolution, in the order of summation."""
    for starts in product(*steps.ranges(geometry)):
        ends = map(min, map(sum, zip(starts, steps, strict=True)), outputs(geometry))
        yield part(geometry, *map(slice, starts, ends))


def is_channelwise(g: Geometry) -> bool:
    return g.group_channels == g.group_filters == 1


def rows_are_taps(g: Geometry) -> bool:
    """Whether a tile's rows are neighbouring taps of one channel, and not channels of one tap:
    where there are fewer of these."""
    return is_channelwise(g) or g.group_channels < g.x.kernel


def _panels(row: Row, g: Geometry) -> int:
    """Columns of tiles: of each group, or of all channels of a channelwise convolution."""
    if is_channelwise(g):
        return ceil_div(g.o, row.channels)
    return g.groups * ceil_div(g.group_filters, row.channels)


class Block(NamedTuple):
    """What a task computes: kernel rows, panels, and channels of a group."""

    rows: int
    panels: int
    channels: int

    @classmethod
    def of(cls, row: Row, g: Geometry, chunk: Steps, tasks: int) -> Block:
        """Blocks of which there are so many, if that can be, and whose channels under a chunk are
        near enough to be packed.  Panels are cut first: what a task packs of the output gradient
        is its own."""
        wholes = _wholes(row, g)
        most = wholes.panels, wholes.rows, ceil_div(wholes.channels, LEAST_TILES * row.pixels)
        cuts = []
        for pieces in most:
            cuts.append(min(pieces, tasks))
            tasks = ceil_div(tasks, cuts[-1])
        panels, rows, channels = cuts
        near = max(
            LEAST_TILES * row.pixels, IMAGE_BYTES // (max(1, under(g, *chunk)) * row.itemsize)
        )
        channels = max(channels, ceil_div(wholes.channels, near))
        return cls(*map(ceil_div, wholes, (rows, panels, channels)))

    def tasks(self, row: Row, g: Geometry) -> int:
        """How many there are."""
        return prod(map(ceil_div, _wholes(row, g), self))


def _wholes(row: Row, g: Geometry) -> Block:
    """All of it as one block."""
    return Block(g.z.kernel * g.y.kernel, _panels(row, g), g.group_channels)


class Call(NamedTuple):
    """What one call of compiled code computes: some chunks, by some of the blocks."""

    first_chunk: int
    chunks: int
    first_task: int
    tasks: int


def calls(row: Row, g: Geometry, chunk: Steps, block: Block, most: int) -> Iterator[Call]:
    """The calls that compute all, in the order of summation, each of at most so many tasks and
    chunks of theirs, as far as that can be."""
    chunks, tasks = chunk.chunks(g), block.tasks(row, g)
    some_tasks = min(tasks, most)
    some = max(1, most // tasks)
    for first in range(0, chunks, some):
        for task in range(0, tasks, some_tasks):
            yield Call(first, min(some, chunks - first), task, min(some_tasks, tasks - task))


def _packed_images(row: Row, g: Geometry, chunk: Steps, block: Block) -> int:
    """Bytes that a chunk of images takes, packed for a task; 0: it is read where it is, for that
    would take too long beside the products, or too much memory."""
    if rows_are_taps(g):
        return 0
    outs = zip(g.axes, chunk[1:], strict=True)
    spans = (min(axis.size, (out - 1) * axis.stride + axis.extent) for axis, out in outs)
    pixels = chunk.n * prod(spans)
    panels = min(block.panels, ceil_div(g.group_filters, row.channels))
    times = panels * block.rows * g.x.kernel
    tiles = ceil_div(block.channels, row.pixels)
    size = tiles * (pixels * row.pixels + row.lanes) * row.itemsize
    worth = pixels * PACKING_SHARE <= prod(chunk) * times
    return size if worth and size <= 2 * IMAGE_BYTES else 0


def _merges(work: Work) -> bool:
    """Whether a kernel row's taps and channels lie side by side, and tiles' rows may be these."""
    g = work.geometry
    several = g.groups == 1 and rows_are_taps(g) and not is_channelwise(g)
    return several and g.x.dilation == 1 and work.image_pixels_adjacent


def outer_words(work: Work, chunk: Steps, block: Block, call: Call) -> list[int]:
    """Everything that a kernel is told beside addresses.  Its `out_strides` are the output
    gradient's."""
    row, g = work.row, work.geometry
    merged = _merges(work) and block.channels == g.c
    panel = prod(chunk) * row.channels * row.itemsize
    packed_panels = max(1, min(block.panels, PANEL_BYTES // panel))
    panels, images = packed_panels * panel, _packed_images(row, g, chunk, block)
    told = {
        "tasks": call.tasks,
        "staging": round_up(panels + images, ALIGNMENT),
        "packed_panels": packed_panels,
        "images_at": panels if images else 0,
        "first_chunk": call.first_chunk,
        "chunks": call.chunks,
        "first_task": call.first_task,
        **{f"chunk_{axis}": step for axis, step in chunk._asdict().items()},
        **{f"task_{name}": size for name, size in block._asdict().items()},
        "taps": int(rows_are_taps(g) and not merged),
        "merged": int(merged),
        "channelwise": int(is_channelwise(g)),
    }
    return words(OUTER, work, told=told)


def cost(row: Row, g: Geometry) -> float:
    """A pixel of a tile takes as long as its multiply-adds, its loads or, of few sums, the wait for
    the last one; beside pixels there are the ends of their rows, and of a tile the sums stored."""
    size = g.x.kernel if rows_are_taps(g) else g.group_channels
    mr, nr = evenly(size, row.pixels), row.vectors
    tiles = ceil_div(size, mr) * _panels(row, g) * g.taps * g.group_channels // size
    pixel = max(mr * nr, mr + nr, WAIT) * row.product_cost
    chunks = chunk_steps(g, row.itemsize).chunks(g)
    rows = g.n * g.z.out * g.y.out
    return tiles * (g.pixels * pixel + 24.0 * rows + (8.0 * mr * nr + 100) * chunks)


OUTER = of_no_layer(
    "outer",
    (
        "packed_panels",  # panels of a chunk that are packed together
        "images_at",  # bytes from staging memory to packed images there; 0: there are none
        "first_chunk",  # of the call's
        "chunks",
        "first_task",  # of the call's, among those of all blocks
        "chunk_n",  # images, planes, rows and columns of outputs of a chunk
        "chunk_z",
        "chunk_y",
        "chunk_x",
        "task_rows",  # kernel rows, panels, and channels of a group in a task
        "task_panels",
        "task_channels",
        "taps",  # whether a tile's rows are taps, or taps and channels
        "merged",
        "channelwise",  # whether each channel has one filter, and each filter one channel
    ),
    cost,
)
