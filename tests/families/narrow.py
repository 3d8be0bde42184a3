"""The narrow family."""

from __future__ import annotations

from aotconv._plan.narrow import LARGEST_WINDOW
from families import Cut, Family


def cuts(row):
    return [
        Cut((2, 60, 60, 3), (4, 4, 3, 1)),  # rows in several tasks
        Cut((1, 5, 700, 3), (4, 4, 3, 1)),  # columns too
        Cut((1, 6, 7, 130), (3, 3, 130, 1)),
    ]


def filters(row):
    return {1, row.lanes // row.split, row.lanes // row.split - 1 or 1}


FAMILY = Family(
    cuts,
    groups="one",
    filters=filters,
    most_filters=lambda row: range(1, row.lanes // row.split + 1),
    # It copies windows, spread by dilations up to (2, 2).
    products=lambda row: LARGEST_WINDOW // (4 * row.itemsize),
)
