"""The planar family."""

from __future__ import annotations

from aotconv._plan import planar
from families import Family, Layer


def cuts(row):
    return [
        Layer((2, 60, 90, 3), (4, 4, 3, 5)),  # rows in several tasks, and in several runs
        Layer((1, 5, 3000, 2), (3, 3, 2, 4)),  # columns too
        Layer((1, 9, 400, 1), (3, 9, 1, 16)),  # runs of one row, and of some columns of it
        Layer((1, 70, 500, 1), (5, 6, 1, 3)),  # in place but at the edges
        Layer((2, 3, 40, 20, 2), (3, 4, 4, 2, 3)),  # rows of each plane in several tasks
    ]


def layers(row):
    return [
        *(Layer((1, 200, 250, c), (3, 3, c, o)) for c in (1, 3) for o in (2, 3, 4, 5, 8)),
        *(Layer((1, 100, 100, c), (15, 15, c, o)) for c in (1, 4) for o in (2, 8)),
        Layer((1, 1000, 1100, 1), (1, 1, 1, 2)),
        Layer((1, 300, 300, 1), (1, 9, 1, 3)),
        Layer((20, 12, 12, 3), (5, 5, 3, 4)),
        Layer((1, 28, 28, 28, 1), (5, 5, 5, 1, 4)),
    ]


FAMILY = Family(
    cuts,
    layers,
    groups="one",
    products=lambda row: planar.LARGEST_WINDOW,
    limits={
        "NEAR_BYTES": (planar.NEAR_BYTES, 1 << 10),
        "RUN_BYTES": (planar.RUN_BYTES, 256),
    },
)
