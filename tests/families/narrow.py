"""The narrow family."""

from __future__ import annotations

from aotconv._plan.family import SCRATCH_BYTES
from aotconv._plan.narrow import LARGEST_WINDOW
from families import Family, Layer


def cuts(row):
    return [
        Layer((2, 60, 60, 3), (4, 4, 3, 1)),  # rows in several tasks
        Layer((1, 5, 700, 3), (4, 4, 3, 1)),  # columns too
        Layer((1, 6, 7, 130), (3, 3, 130, 1)),
        Layer((2, 3, 60, 20, 3), (3, 4, 4, 3, 1)),  # rows of each plane in several tasks
        Layer((1, 2, 5, 300, 3), (2, 4, 4, 3, 1)),  # columns too
    ]


def filters(row):
    return {1, row.lanes // row.split, row.lanes // row.split - 1 or 1}


def layers(row):
    most = row.lanes // row.split
    return [
        *(Layer((4, 28, 28, 3), (4, 4, 3, o)) for o in range(1, most + 1)),
        Layer((1, 100, 100, 16), (3, 3, 16, most)),
        Layer((1, 100, 100, 2), (30, 30, 2, most)),
        Layer((1, 56, 56, 64), (1, 1, 64, most)),
        Layer((1, 28, 28, 28, 3), (3, 3, 3, 3, most)),
    ]


FAMILY = Family(
    cuts,
    layers,
    groups="one",
    filters=filters,
    most_filters=lambda row: range(1, row.lanes // row.split + 1),
    # It copies windows, spread by dilations up to (2, 2).
    products=lambda row: LARGEST_WINDOW // (4 * row.itemsize),
    limits={"SCRATCH_BYTES": (SCRATCH_BYTES, LARGEST_WINDOW + (1 << 10))},
)
