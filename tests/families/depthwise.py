"""The depthwise family."""

from __future__ import annotations

from aotconv._plan import depthwise
from families import Family, Layer
from families.image import suited


def cuts(row):
    return [
        Layer((1, 5, 150, 40), (3, 3, 1, 40), 40),  # several blocks of pixels
        Layer((1, 9, 9, 300), (3, 3, 1, 300), 300),  # several vectors
        Layer((2, 3, 5, 9, 40), (2, 3, 3, 1, 40), 40),  # several planes
        Layer((1, 33, 3, 5, 9), (32, 3, 3, 1, 9), 9),  # the largest tables
    ]


def layers(row):
    shapes = [*((1, 56, 56, c) for c in (8, 9, 32, 33, 96)), (1, 112, 112, 32), (1, 14, 14, 240)]
    layers = [Layer(shape, (row.window, row.window, 1, shape[3]), shape[3]) for shape in shapes]
    return [*layers, Layer((1, 14, 28, 28, 32), (3, row.window, row.window, 1, 32), 32)]


FAMILY = Family(
    cuts,
    layers,
    groups="all",
    suited=suited,
    windows=lambda row: range(1, depthwise.LARGEST_DEPTH + 1),
    limits={"WEIGHT_BYTES": (depthwise.WEIGHT_BYTES, 1 << 10)},
)
