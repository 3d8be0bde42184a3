"""The image family."""

from __future__ import annotations

from families import Family, Layer, up_to_two_vectors


def cuts(row):
    # Tiles between borders; those that go down many rows; planes one at a time.
    shapes = (2, 9, 150), (2, 41, 21), (2, 3, 5, 30)
    windows = (3, 3), (3, 3), (1, 3, 3)
    return [
        Layer((*shape, n), (*window, 1, n), n)
        for shape, window in zip(shapes, windows, strict=True)
        for n in filters(row)
    ]


def filters(row):
    return {row.period} if row.period else {2, row.lanes // 2}


def suited(row, window, strides, dilations):
    return (row.window, row.window), (row.stride, row.stride), (1, 1)


def channels(row):
    divisors = [n for n in up_to_two_vectors(row) if 1 < n < row.lanes and row.lanes % n == 0]
    return [row.period] if row.period else divisors


def layers(row):
    shapes = [(1, 256, 256), (1, 8, 2000), (30, 20, 20)]
    window = row.window, row.window, 1
    return [Layer((*shape, n), (*window, n), n) for shape in shapes for n in filters(row)]


FAMILY = Family(cuts, layers, groups="all", filters=filters, suited=suited, channels=channels)
