"""Sums of listed taps in the order of the list (`_kernels.taps`): of windows with zeros, which are
no taps, and of those that SciPy sums in an order of its own.

All channels have the same taps.  Nothing surrounds the inputs: at a border they are staged.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from sys import float_info
from typing import NamedTuple

from .arithmetic import ceil_div, evenly, round_up
from .family import ADJACENT, ALIGNMENT, Work, of_no_layer
from .geometry import Geometry
from .registry import Row

TASK_VECTORS = 4096  # multiplied and added in a task, at least
# The dtype whose products are rounded before they are added, with FMA or without, as SciPy's are.
ROUNDED = "float64"


class Listed(NamedTuple):
    """What is summed: products of single taps, then of the sums of two taps each, in this order.

    Attributes
    ----------
    singles : sequence of int
        Places in a window (.., KD, KH, KW), counted in C order.
    pairs : sequence of (int, int)
    weights : sequence of float
        Of the singles, then of the pairs.
    start : float
        What they are added to.
    sign : {1, -1}
        What the second tap of a pair is multiplied by.
    divisor : float
        What the sum is divided by.
    truncates : bool
        Whether that loses what is behind the point.
    """

    singles: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    weights: tuple[float, ...]
    start: float = 0.0
    sign: int = 1
    divisor: float = 1.0
    truncates: bool = False

    @property
    def places(self) -> tuple[int, ...]:
        """Of all taps, as `HEAD` counts them."""
        return (*self.singles, *chain.from_iterable(self.pairs))


# How a list lies in memory, from an aligned address on: these words, three words for each place
# (its plane, row and column in the window), and, aligned, elements: these and the weights.
HEAD = ("singles", "pairs", "divides", "truncates")
ELEMENTS = ("start", "sign", "divisor")


def list_bytes(taps: int) -> int:
    """The words of a list of so many taps."""
    return round_up(8 * (len(HEAD) + 3 * taps), ALIGNMENT)


def blocking(work: Work) -> dict[str, int]:
    """Tasks of rows of one plane, as many as are worth a table of the taps."""
    row, g = work.row, work.geometry
    vectors = g.taps * ceil_div(g.x.out * g.c, row.lanes)
    planes = g.n * g.z.out
    wanted = max(1, planes * g.y.out // work.wanted_tasks)
    rows = evenly(g.y.out, min(g.y.out, max(1, ceil_div(TASK_VECTORS, vectors)), wanted))
    return {
        "tasks": planes * ceil_div(g.y.out, rows),
        "staging": round_up(8 * g.taps, ALIGNMENT),
        "task_rows": rows,
    }


def cost(row: Row, g: Geometry) -> float:
    """A product takes as long as one and its load, half of which cross cache lines."""
    return g.n * g.z.out * g.y.out * ceil_div(g.x.out * g.c, row.lanes) * (2.0 * g.taps + 10)


TAPS = of_no_layer("taps", ("task_rows",), cost)._replace(  # output rows in a task
    blocking=blocking, takes=lambda row: frozenset((ADJACENT,))
)


# The orders in which SciPy sums.  `correlate`: row by row, without products of negligible weights.
# `correlate1d`: of an odd number of weights that are equal or opposite around the middle, this one,
# then pairs from the two ends inwards; else the last one, then the others.  `uniform_filter1d`:
# elements alone, and their sum is divided by their number.
ORDERS = ("window", "line", "mean")
WINDOW, LINE, MEAN = ORDERS
NEGLIGIBLE = float_info.epsilon  # weights, and what two of a symmetric line differ by, for SciPy


def listed(order: str, weights: Sequence[float]) -> Listed:
    """What SciPy sums in one of ORDERS, of a window's weights in C order."""
    size = len(weights)
    if order == MEAN:
        return Listed(tuple(range(size)), (), (1.0,) * size, divisor=size)
    if order == WINDOW:
        some = tuple(i for i in range(size) if abs(weights[i]) > NEGLIGIBLE)
        return Listed(some, (), tuple(weights[i] for i in some))
    half = size // 2
    for sign in (1, -1) if size % 2 else ():
        ends = [(i, size - 1 - i) for i in range(half)]
        # Of NaN nothing is known, and it differs from nothing.
        if not any(abs(weights[i] - sign * weights[j]) > NEGLIGIBLE for i, j in ends):
            of_pairs = tuple(weights[i] for i, _ in ends)
            return Listed((half,), tuple(ends), (weights[half], *of_pairs), -0.0, sign)
    order_of_all = (size - 1, *range(size - 1))
    return Listed(order_of_all, (), tuple(weights[i] for i in order_of_all), -0.0)
