"""The depthwise family."""

from __future__ import annotations

from aotconv._plan import depthwise
from families import Family, Layer
from families.image import suited


def cuts(row):
    return [
        Layer((1, 5, 150, 40), (3, 3, 1, 40), 40),  # several blocks of pixels
        Layer((1, 9, 9, 300), (3, 3, 1, 300), 300),  # several vectors
        Layer((2, 3, 5, 9, 40), (1, 3, 3, 1, 40), 40),  # planes one at a time
    ]


def layers(row):
    shapes = [*((1, 56, 56, c) for c in (8, 9, 32, 33, 96)), (1, 112, 112, 32), (1, 14, 14, 240)]
    return [Layer(shape, (row.window, row.window, 1, shape[3]), shape[3]) for shape in shapes]


FAMILY = Family(
    cuts,
    layers,
    groups="all",
    suited=suited,
    limits={"WEIGHT_BYTES": (depthwise.WEIGHT_BYTES, 1 << 10)},
)
