"""The depthwise family."""

from __future__ import annotations

from aotconv._plan import depthwise
from families import Cut, Family
from families.image import suited


def cuts(row):
    return [
        Cut((1, 5, 150, 40), (3, 3, 1, 40), 40),  # several blocks of pixels
        Cut((1, 9, 9, 300), (3, 3, 1, 300), 300),  # several vectors
    ]


FAMILY = Family(
    cuts,
    groups="all",
    suited=suited,
    limits={"WEIGHT_BYTES": (depthwise.WEIGHT_BYTES, 1 << 10)},
)
