"""Rows of the registry by name, and the layers that each serves."""

from __future__ import annotations

import aotconv
from aotconv._plan.registry import LEVELS, LOOP_ROWS, ROWS
from aotconv._plan.select import LARGEST_STRIP_WINDOW

AOT_LEVELS = [
    each.name for each in aotconv.implementations() if each.available and each.name in LEVELS
]
JIT_LEVEL = AOT_LEVELS[0] if AOT_LEVELS else next(iter(LEVELS))
# Each row, and whether numba compiles it in the process.
NAMED = {
    **{f"{row.level}-{row.name}": (row, False) for row in ROWS},
    **{f"jit-{row.name}": (row, True) for row in ROWS + LOOP_ROWS if row.level == JIT_LEVEL},
}


def tails(row):
    """Filter counts around one and two vectors and panels of the row, as far as it serves them."""
    around = {1, row.lanes, row.channels, 2 * row.channels}
    counts = {max(1, size + more) for size in around for more in (-1, 0, 1)}
    if row.split:
        counts = {1, row.lanes // row.split, row.lanes // row.split - 1 or 1}
    if row.family == "image":
        counts = {row.period} if row.period else {2, row.lanes // 2}
    return sorted(counts)


def channelwise(row):
    return row.family in ("depthwise", "image", "strip")


def grouping(row, n_filters, group_channels=3):
    """Groups, channels of a group and filters: those given, as near as the row serves."""
    if channelwise(row):
        return n_filters, 1, n_filters
    if row.permuted:
        return n_filters, 2, n_filters
    return 1, group_channels, n_filters


def suited(row, window, strides=(1, 1), dilations=(1, 1)):
    """The window, strides and dilations that come nearest and that the row serves."""
    (kh, kw), (sh, sw), (dh, dw) = window, strides, dilations
    if row.family == "winograd":
        return (3, 3), (1, 1), (1, 1)
    if row.window:
        kh = kw = row.window
        dh = dw = 1
    if row.stride:
        sh = sw = row.stride
    if row.family == "strip" and row.pixels > 1:
        kh, sh = max(kh, row.pixels), 1
    return (kh, kw), (sh, sw), (dh, dw)


def served_sizes(row):
    """The sizes that a row serves of channels, filters, width, and window: from 1 to two vectors
    and one more.  Where channels and filters are the same number, the channels stand for both."""
    sizes = range(1, 2 * row.lanes + 2)
    axes = dict.fromkeys(("c", "o", "w", "kh", "kw"), sizes)
    if row.family == "image":
        divisors = [n for n in sizes if 1 < n < row.lanes and row.lanes % n == 0]
        axes["c"] = [row.period] if row.period else divisors
    if row.split:
        axes["o"] = range(1, row.lanes // row.split + 1)
    if channelwise(row):
        del axes["o"]
    for name in ("kh", "kw"):
        windows = (suited(row, (size, size))[0][name == "kw"] for size in sizes)
        largest = LARGEST_STRIP_WINDOW if row.family == "strip" else max(sizes)
        axes[name] = sorted({size for size in windows if size <= largest})
    return axes
