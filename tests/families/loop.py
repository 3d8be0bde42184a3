"""The loop family."""

from __future__ import annotations

from families import Cut, Family


def cuts(row):
    return [Cut((1, 5, 6, 30), (3, 3, 30, 5))]


FAMILY = Family(cuts)
