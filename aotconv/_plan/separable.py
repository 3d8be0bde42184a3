"""Two windows at once, one from row to row and one along rows (`_kernels.separable`).

What the first makes of some rows lies in lines, with what is beside rows, until the second has gone
along them.  All channels have the same windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack, unpack

from . import family
from .arithmetic import ceil_div, round_up
from .borders import CONSTANT
from .family import ADJACENT, ALIGNMENT, SCRATCH_WORDS, Triple, Work, of_no_layer
from .geometry import Geometry
from .registry import Row

LARGEST_COUNT = 256  # of bytes whose mean is taken of a sum of 16 bits
LARGEST_WINDOW = 64  # rows and columns of means, whose time grows with them
NO_TIE = 0xFFFF  # which no remainder is


def blocking(work: Work) -> dict[str, int]:
    """Tasks of rows of a plane."""
    row, g = work.row, work.geometry
    planes = g.n * g.z.out
    rows = round_up(ceil_div(g.y.out, ceil_div(work.wanted_tasks, planes)), row.pixels)
    line, zeros = _line_bytes(row, g), _zeros_bytes(row, g)
    return {
        "tasks": planes * ceil_div(g.y.out, rows),
        "staging": zeros + row.lines * line,
        "task_rows": rows,
        "border_y": g.y.border,
        "border_x": g.x.border,
        "line": line,
        "zeros": zeros,
        "turn": LARGEST_COUNT // g.y.kernel if row.integers else 0,
    }


def _line_bytes(row: Row, g: Geometry) -> int:
    """Of all places along a row under windows, and a pixel of zeros."""
    return round_up((g.x.out + g.x.kernel) * g.c * row.itemsize, ALIGNMENT)


def _zeros_bytes(row: Row, g: Geometry) -> int:
    """Of a row of images; none where borders are pixels."""
    if g.y.border > CONSTANT:
        return 0
    return round_up(g.x.size * g.c * row.stored_itemsize, ALIGNMENT)


def serves(row: Row, geometry: Geometry, windows: Sequence[Triple]) -> bool:
    """Whether a row goes through two windows of images that are large enough: one from row to row,
    and then one along rows, under which all pixels of a row lie."""
    g, tile = geometry, row.lanes * max(row.vectors, row.along)
    if len(windows) != 2 or windows[0][::2] != (1, 1) or windows[1][:2] != (1, 1):
        return False
    if min(g.x.before, g.x.behind) < 0 or min(g.x.size, g.x.out) * g.c < tile:
        return False
    if g.y.kernel < row.pixels - 1:  # rows of which a tile's outputs share none
        return False
    if row.integers and max(g.y.kernel, g.x.kernel) > LARGEST_WINDOW:
        return False
    places = g.y.kernel + row.pixels + row.integers + 2 * g.x.kernel * g.c
    held = _zeros_bytes(row, g) + row.lines * _line_bytes(row, g)
    return places <= SCRATCH_WORDS and held <= family.STAGING_BYTES


def mean_words(count: int) -> list[int]:
    """What makes of a sum of so many bytes, 4 or more, their mean, rounded to nearest even: words
    of 16 bits (`_kernels.separable.rounded_mean`), or of more than LARGEST_COUNT the number as a
    float32, which is that in the bits of two.

    The quotient is that of Granlund and Montgomery, "Division by Invariant Integers using
    Multiplication", PLDI 1994; of 16 bits either a factor that is too large does, or one that is
    too small, of what is one more.
    """
    if count > LARGEST_COUNT:
        return list(unpack("=hh", pack("=f", count)))
    half, shift = count // 2, count.bit_length() - 1
    if count == 1 << shift:
        shift -= 1
    one = 1 << 16 + shift
    factor, more = ceil_div(one, count), 0
    if (255 * count + half) * (factor * count - one) >= one:
        factor, more = one // count, 1
    tie = NO_TIE if count % 2 else more
    return [half + more, factor, shift, -count % (1 << 16), tie]


def cost(row: Row, g: Geometry) -> float:
    """A tap takes a load and a product."""
    vectors = g.n * g.z.out * g.y.out * ceil_div(g.x.out * g.c, row.lanes)
    return vectors * (g.y.kernel + g.x.kernel + 4)


SEPARABLE = of_no_layer(
    "separable",
    (
        "task_rows",  # of outputs
        *("border_y", "border_x"),
        "line",  # bytes of what the first window makes of a row, and of what is beside it
        "zeros",  # bytes of a row of zeros, which lies before the lines; 0: borders are pixels
        "turn",  # of integers, sums from row to row whose sum 16 bits hold
    ),
    cost,
)._replace(blocking=blocking, takes=lambda row: frozenset((ADJACENT,)))
