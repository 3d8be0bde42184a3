"""The dense family, and its rows whose lanes belong to several groups."""

from __future__ import annotations

import itertools

from aotconv._plan import dense
from families import Family, Layer


def cuts(row):
    if not row.permuted:
        return [
            Layer((1, 20, 20, 2), (17, 13, 2, 3)),  # kernel rows in blocks
            Layer((1, 40, 40, 8), (1, 1, 8, 5)),  # several tasks of pixels
            Layer((1, 9, 8, 9, 3), (9, 5, 7, 3, 3)),  # kernel planes in blocks
            Layer((2, 5, 9, 11, 4), (2, 3, 2, 4, 5)),  # tasks across planes and images
            Layer((2, 5, 9, 11, 4), (1, 1, 1, 4, 5)),
        ]
    return [
        Layer((1, 20, 41, groups * inputs), (3, 3, inputs, groups * outputs), groups)
        for inputs, outputs in itertools.product(range(1, row.lanes // 2 + 1), repeat=2)
        for groups in (2, row.lanes + 1)
    ] + [Layer((2, 5, 7, 9, 14), (3, 2, 3, 2, 7), 7)]


def layers(row):
    if not row.permuted:
        return [
            *(Layer((1, 28, 28, 64), (3, 3, 64, o)) for o in (1, 4, 8, 16, 24, 33, 64)),
            *(Layer((1, 28, 28, c), (3, 3, c, 64)) for c in (1, 3, 16, 256)),
            *(
                Layer((1, 56, 56, c), (1, 1, c, o))
                for c, o in ((64, 256), (256, 64), (8, 8), (32, 16))
            ),
            Layer((1, 200, 200, 1), (41, 41, 1, 1)),
            Layer((1, 7, 7, 512), (3, 3, 512, 512)),
            Layer((1, 112, 112, 3), (7, 7, 3, 64)),
            Layer((1, 14, 14, 64), (3, 3, 4, 64), 16),
            Layer((1, 1, 1, 4000), (1, 1, 4000, 4000)),
            Layer((1, 14, 14, 14, 32), (3, 3, 3, 32, 32)),
            Layer((1, 16, 28, 28, 3), (3, 7, 7, 3, 64)),
        ]
    sizes = [(1, 1), (1, 2), (2, 2), (2, 4), (4, 4)]
    most = row.lanes // 2
    return [
        Layer((1, 28, 28, 32 * i), (3, 3, i, 32 * o), 32) for i, o in sizes if max(i, o) <= most
    ]


FAMILY = Family(
    cuts,
    layers,
    limits={
        "PANEL_SLICE_BYTES": (dense.PANEL_SLICE_BYTES, 4 << 10),
        "TASK_TILES": (dense.TASK_TILES, 2, 1),
    },
)
