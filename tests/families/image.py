"""The image family."""

from __future__ import annotations

from families import Cut, Family, up_to_two_vectors


def cuts(row):
    return [Cut((2, 9, 150, n), (3, 3, 1, n), n) for n in filters(row)]  # tiles between borders


def filters(row):
    return {row.period} if row.period else {2, row.lanes // 2}


def suited(row, window, strides, dilations):
    return (row.window, row.window), (row.stride, row.stride), (1, 1)


def channels(row):
    divisors = [n for n in up_to_two_vectors(row) if 1 < n < row.lanes and row.lanes % n == 0]
    return [row.period] if row.period else divisors


FAMILY = Family(cuts, groups="all", filters=filters, suited=suited, channels=channels)
