"""The winograd family."""

from __future__ import annotations

from aotconv._plan import winograd
from families import Family, Layer


def cuts(row):
    return [
        Layer((2, 30, 50, 5), (3, 3, 5, 3)),  # tiles in several tasks
        Layer((1, 11, 13, 900), (3, 3, 900, 3)),  # channels in blocks
    ]


def suited(row, window, strides, dilations):
    return (3, 3), (1, 1), (1, 1)


def layers(row):
    sizes = [(64, 64), (16, 16), (256, 64), (64, 256), (1, 64), (32, 8)]
    return [Layer((1, 56, 56, c), (3, 3, c, o)) for c, o in sizes]


FAMILY = Family(
    cuts,
    layers,
    groups="one",
    suited=suited,
    limits={"MOST_TASK_TILES": (winograd.MOST_TASK_TILES, 7)},
)
