"""The strip family."""

from __future__ import annotations

from aotconv._plan.strip import LARGEST_WINDOW
from families import Cut, Family


def cuts(row):
    return [
        Cut((1, 9, 30, 3), (25, 25, 1, 3), 3),
        Cut((2, 9, 700, 1), (3, 4, 1, 1), 1),  # copies of some pixels at a time
        Cut((1, 5, 400, 3), (4, 3, 1, 3), 3),  # several strips a row
        Cut((1, 5, 3, 1100), (4, 3, 1, 1100), 1100),  # several strips a pixel
        Cut((1, 3, 33, 40), (32, 32, 1, 40), 40),  # copies of a few channels at a time
    ]


def suited(row, window, strides, dilations):
    (kh, kw), (sh, sw) = window, strides
    if row.pixels > 1:
        kh, sh = max(kh, row.pixels), 1
    return (kh, kw), (sh, sw), dilations


FAMILY = Family(cuts, groups="all", suited=suited, windows=lambda row: range(1, LARGEST_WINDOW + 1))
