"""The loop family."""

from __future__ import annotations

from families import Family, Layer


def cuts(row):
    return [Layer((1, 5, 6, 30), (3, 3, 30, 5)), Layer((2, 3, 5, 6, 4), (2, 3, 3, 4, 5))]


def layers(row):
    return [
        Layer((1, 28, 28, 8), (3, 3, 8, 8)),
        Layer((1, 56, 56, 1), (5, 5, 1, 1)),
        Layer((1, 28, 28, 32), (3, 3, 1, 32), 32),
    ]


FAMILY = Family(cuts, layers)
