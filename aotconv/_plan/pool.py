"""Pools: the maximum or the average of each channel of a window (`_kernels.pool`)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from .arithmetic import ceil_div, evenly, round_up
from .elements import HALVES
from .family import Triple, Work, of_no_layer, row_tasks, words
from .geometry import Axis, Geometry
from .registry import FLOAT_DTYPES, LEVELS, SIGNED_DTYPES, Row

OPERATIONS = ("maximum", "indexed", "average")  # their places are what kernels are told
MAXIMUM, INDEXED, AVERAGE = range(len(OPERATIONS))
# What arrays may hold beside integers without a sign, which are as those with one; their places are
# what kernels are told.
HELD = (*FLOAT_DTYPES, *HALVES, *SIGNED_DTYPES)
INDEX_BYTES = 8
SUM_BYTES = 8  # of a float in which integers are summed
SAMPLES_OFFSET, SAMPLES_BYTES = 128, 1 << 13  # in scratch memory, behind the words of a window
TASK_VECTORS = 4096  # of inputs in a task, at least
LEAST_COLUMNS = 64  # of a task that has not a whole row
FARTHEST = 1 << 31  # pixels from a window's first to its last, below which an int32 counts them
LETTERS = "zyx"


class Pool(NamedTuple):
    """A pool of arrays (N, D, H, W, C) of known layouts, or some outputs of one.

    Attributes
    ----------
    geometry : Geometry
        Channelwise.  Of some outputs, an axis' `before` is what lies in front of the first one's
        window, and may be negative.
    operation : str
        One of OPERATIONS.
    counted : three pairs of int
        Of each axis the places, of which 0 is the images' first, whose taps an average is divided
        by: from the first to before the second.
    first : int
        The place of the images' first pixel, counted over all of each image.
    places : tuple of int
        How many places from a plane, a row and a pixel to the next.
    image_strides, out_strides, index_strides : tuple of int
        In bytes; channels are side by side.  The last of indices, or what is not read.
    holds : str
        The type of the images' elements.
    """

    row: Row
    geometry: Geometry
    operation: str
    counted: tuple[tuple[int, int], ...]
    first: int
    places: Triple
    image_strides: tuple[int, ...]
    out_strides: tuple[int, ...]
    index_strides: tuple[int, ...]
    holds: str

    @property
    def held(self) -> str:
        """What the images hold, as one of HELD."""
        return signed(self.holds)

    @property
    def row_of_type(self) -> Row:
        return row_of(self.row, self.held)

    @property
    def flipped(self) -> int:
        """What makes numbers without a sign such as have one, in the same order."""
        return 0 if self.held == self.holds else -1 << (8 * self.row_of_type.itemsize - 1)


def signed(holds: str) -> str:
    """A type's name; of integers without a sign that of those with one."""
    return holds.removeprefix("u")


def row_of(row: Row, held: str) -> Row:
    """A row of pools as that of one type, as its tiles are."""
    if held in HALVES:
        return row._replace(dtype="float32", stored=held)
    return row._replace(dtype=held)


def computed_itemsize(row: Row, operation: int) -> int:
    """Bytes of an element as it is computed: integers are compared beside their places as what is
    as wide as these, and summed as float64."""
    if row.integers and operation == AVERAGE:
        return SUM_BYTES
    return row.itemsize if operation != INDEXED else max(4, row.itemsize)


def result_itemsize(row: Row, operation: int) -> int:
    """Bytes of an element of the result."""
    return SUM_BYTES if row.integers and operation == AVERAGE else row.stored_itemsize


def lanes_of(row: Row, operation: int) -> int:
    """Elements of a vector."""
    return LEVELS[row.level].vector_bytes // computed_itemsize(row, operation)


def pool_axis(axis: Axis, ceil_mode: bool) -> Axis:
    """An axis of a pool: in ceil mode with a window for what is left at the end, if that begins
    before the images do end."""
    if not ceil_mode:
        return axis
    out = -((axis.extent - axis.padded) // axis.stride) + 1
    beyond = (out - 1) * axis.stride >= axis.size + axis.before
    return axis._replace(out=out - 1 if beyond else out)


def can_count(pool: Pool) -> bool:
    """Whether the places of a window are counted in as many bits as its elements have."""
    g = pool.geometry
    far = sum((axis.extent - 1) * step for axis, step in zip(g.axes, pool.places, strict=True))
    return far < FARTHEST


def taps(axis: Axis) -> int:
    """Most taps of a window inside the images."""
    return min(axis.kernel, ceil_div(axis.size, axis.dilation))


def cost(row: Row, g: Geometry) -> float:
    """A tap of a maximum takes as long as some products; a vector's and a pixel's windows, and the
    rows of these, are begun one by one."""
    rows = taps(g.z) * taps(g.y)
    vector = 4 * rows * taps(g.x) + 4 * rows + 4
    return g.pixels * (ceil_div(g.c, row.lanes) * vector + 20)


def times(operation: str) -> float:
    """What an operation takes, in times of the maximum's `cost`."""
    return {"maximum": 1.0, "indexed": 4.0, "average": 1.4}[operation]


POOL = of_no_layer(
    "pool",
    (
        "operation",  # its place in OPERATIONS
        "lanes",  # elements of a vector
        "held",  # what arrays hold: its place in HELD
        *("item", "out_item"),  # bytes of an element of images, and of the result
        "flipped",  # bits that are as integers are compared or summed
        *("task_rows", "task_columns"),  # outputs of a plane in a task
        # Whether a row's outputs whose windows lie inside the images are one run of elements whose
        # windows lie side by side, and whether those of one channel lie two elements apart.
        *("is_run", "is_halved"),
        # Else such outputs that are computed at a time at every pixel, as a run in scratch memory,
        # before those of the stride are taken; 0: they are not.
        "samples",
        *(f"{end}_{axis}" for axis in LETTERS for end in ("low", "high")),  # what is counted
        "place",  # of the images' first pixel; from a plane, row and pixel to the next
        *(f"place_{axis}" for axis in LETTERS),
        *(f"index_{axis}" for axis in ("n", *LETTERS)),
    ),
    cost,
)


def pool_words(pool: Pool, threads: int) -> list[int]:
    """Everything that a kernel is told beside addresses."""
    row, g = pool.row_of_type, pool.geometry
    work = Work(row, g, pool.image_strides, pool.out_strides, threads)
    operation = OPERATIONS.index(pool.operation)
    item, out_item = row.stored_itemsize, result_itemsize(row, operation)
    # Of places the pixels of a vector's lanes are known of one channel alone.
    together = _adjacent(g, pool.image_strides, item) and (operation != INDEXED or g.c == 1)
    ends = [(pool.out_strides, out_item)]
    if operation == INDEXED:
        ends.append((pool.index_strides, INDEX_BYTES))
    adjacent = together and all(_adjacent(g, *end) for end in ends)
    is_run = adjacent and g.x.stride == 1
    is_halved = adjacent and operation != INDEXED and (g.c, *g.x[2:4]) == (1, 2, 1)
    samples = _samples(row, g, operation) if together and g.x.stride > 1 and not is_halved else 0
    rows, columns = _task_outputs(work, is_run or is_halved or samples > 0)
    told: dict[str, int] = {
        "tasks": row_tasks(g, rows) * ceil_div(g.x.out, columns),
        "operation": operation,
        "lanes": lanes_of(row, operation),
        "held": HELD.index(pool.held),
        "item": item,
        "out_item": out_item,
        "flipped": pool.flipped,
        "task_rows": rows,
        "task_columns": columns,
        "is_run": int(is_run),
        "is_halved": int(is_halved),
        "samples": samples,
        "place": pool.first,
        **dict(zip((f"place_{axis}" for axis in LETTERS), pool.places, strict=True)),
        **{
            f"{end}_{axis}": place
            for axis, ends in zip(LETTERS, pool.counted, strict=True)
            for end, place in zip(("low", "high"), ends, strict=True)
        },
        **dict(
            zip((f"index_{axis}" for axis in ("n", *LETTERS)), pool.index_strides, strict=False)
        ),
    }
    return words(POOL, work, told=told)


def _samples(row: Row, g: Geometry, operation: int) -> int:
    """How many outputs are computed at every pixel at a time; 0 where one by one takes less: many
    channels fill vectors, and of long strides most outputs would be for nothing."""
    lanes, step = lanes_of(row, operation), g.x.stride * g.c
    if g.c >= lanes or step > 2 * lanes:
        return 0
    item = INDEX_BYTES if operation == INDEXED else result_itemsize(row, operation)
    return SAMPLES_BYTES // (step * item)


def _adjacent(g: Geometry, strides: Sequence[int], itemsize: int) -> bool:
    """Whether the pixels of a row follow each other."""
    return strides[3] == g.c * itemsize


def _task_outputs(work: Work, together: bool) -> tuple[int, int]:
    """Rows and columns of a plane's outputs that are worth a task's start, and are few enough for
    all threads.

    Parameters
    ----------
    together : bool
        Whether vectors hold several pixels of a row.
    """
    row, g = work.row, work.geometry
    across = ceil_div(g.x.out * g.c, row.lanes) if together else g.x.out * ceil_div(g.c, row.lanes)
    vectors = max(1, prod(map(taps, g.axes)) * across)  # of a row of outputs
    most = max(1, g.pixels // work.wanted_tasks)
    if vectors > TASK_VECTORS or most < g.x.out:
        columns = min(g.x.out * TASK_VECTORS // vectors, most)
        return 1, min(g.x.out, max(columns, LEAST_COLUMNS))
    rows = min(ceil_div(TASK_VECTORS, vectors), most // g.x.out)
    return evenly(g.y.out, min(g.y.out, round_up(rows, row.pixels))), g.x.out
