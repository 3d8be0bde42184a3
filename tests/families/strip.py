"""The strip family."""

from __future__ import annotations

import itertools

from aotconv._plan import strip
from families import Family, Layer, around_panels, up_to_two_vectors


def channels(row):
    return [row.period] if row.period else up_to_two_vectors(row)


def filters(row):
    return {row.period} if row.period else around_panels(row)


def cuts(row):
    cuts = [
        (2, (9, 30), (25, 25), 3),
        (2, (9, 700), (3, 4), 1),  # several pieces of a row
        (1, (5, 3), (4, 3), 1100),  # several parts of the channels
        (1, (3, 33), (32, 32), 40),
        (1, (3, 50), (40, 40), 19),  # vectors of channels that overlap
        (2, (3, 9, 30), (3, 5, 3), 3),
        (1, (3, 4, 400), (2, 4, 3), 3),
        (1, (33, 3, 5), (40, 4, 3), 2),
        (1, (4, 300), (3, 257), 1),
    ]
    return [
        Layer((n, *size, row.period or c), (*window, 1, row.period or c), row.period or c)
        for n, size, window, c in cuts
    ]


def suited(row, window, strides, dilations):
    (kh, kw), (sh, sw) = window, strides
    if row.pixels > 1:
        kh, sh = max(kh, row.pixels - 1), 1
    return (kh, kw), (sh, sw), dilations


def layers(row):
    windows = itertools.product(
        (row.period,) if row.period else (2, 3, 5, 32, 100),
        ((1, 3), (4, 4), (9, 9), (31, 31), (2, 5), (33, 1), (1, 101), (65, 65)),
    )
    layers = [Layer((1, 64, 64, c), (*window, 1, c), c) for c, window in windows]
    some = (row.period,) if row.period else (2, 32, 100)
    return layers + [Layer((1, 20, 20, 20, c), (3, 4, 3, 1, c), c) for c in some]


FAMILY = Family(
    cuts,
    layers,
    groups="all",
    filters=filters,
    suited=suited,
    channels=channels,
    windows=lambda row: range(1, 102),
    limits={
        "COPY_BYTES": (strip.COPY_BYTES, 2 << 10, 1),
        "WEIGHT_BYTES": (strip.WEIGHT_BYTES, 1 << 10),
        "LEAST_TILES": (strip.LEAST_TILES, 1),
    },
)
