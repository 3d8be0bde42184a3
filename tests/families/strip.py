"""The strip family."""

from __future__ import annotations

import itertools

from aotconv._plan.family import SCRATCH_BYTES
from aotconv._plan.strip import LARGEST_WINDOW
from families import Family, Layer


def cuts(row):
    return [
        Layer((1, 9, 30, 3), (25, 25, 1, 3), 3),
        Layer((2, 9, 700, 1), (3, 4, 1, 1), 1),  # copies of some pixels at a time
        Layer((1, 5, 400, 3), (4, 3, 1, 3), 3),  # several strips a row
        Layer((1, 5, 3, 1100), (4, 3, 1, 1100), 1100),  # several strips a pixel
        Layer((1, 3, 33, 40), (32, 32, 1, 40), 40),  # copies of a few channels at a time
        Layer((2, 3, 9, 30, 3), (3, 5, 3, 1, 3), 3),  # staged copies
        Layer((1, 3, 4, 400, 3), (2, 4, 3, 1, 3), 3),  # several strips a row
        Layer((1, 33, 3, 5, 2), (32, 32, 2, 1, 2), 2),  # the largest tables
    ]


def suited(row, window, strides, dilations):
    (kh, kw), (sh, sw) = window, strides
    if row.pixels > 1:
        kh, sh = max(kh, row.pixels), 1
    return (kh, kw), (sh, sw), dilations


def layers(row):
    windows = itertools.product((1, 3, 5, 32, 100), ((1, 3), (4, 4), (9, 9), (31, 31), (2, 5)))
    layers = [Layer((1, 64, 64, c), (*window, 1, c), c) for c, window in windows]
    return layers + [Layer((1, 20, 20, 20, c), (3, 4, 3, 1, c), c) for c in (1, 32, 100)]


FAMILY = Family(
    cuts,
    layers,
    groups="all",
    suited=suited,
    windows=lambda row: range(1, LARGEST_WINDOW + 1),
    # Of the highest windows a pixel and a channel, at least.
    limits={"SCRATCH_BYTES": (SCRATCH_BYTES, 10 << 10)},
)
