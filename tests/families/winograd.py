"""The winograd family."""

from __future__ import annotations

from aotconv._plan import winograd
from families import Cut, Family


def cuts(row):
    return [
        Cut((2, 30, 50, 5), (3, 3, 5, 3)),  # tiles in several tasks
        Cut((1, 11, 13, 900), (3, 3, 900, 3)),  # channels in blocks
    ]


def suited(row, window, strides, dilations):
    return (3, 3), (1, 1), (1, 1)


FAMILY = Family(
    cuts,
    groups="one",
    suited=suited,
    limits={"MOST_TASK_TILES": (winograd.MOST_TASK_TILES, 7)},
)
