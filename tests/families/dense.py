"""The dense family, and its rows whose lanes belong to several groups."""

from __future__ import annotations

import itertools

from aotconv._plan import dense
from families import Cut, Family


def cuts(row):
    if not row.permuted:
        return [
            Cut((1, 20, 20, 2), (17, 13, 2, 3)),  # kernel rows in blocks
            Cut((1, 40, 40, 8), (1, 1, 8, 5)),  # several tasks of pixels
        ]
    return [
        Cut((1, 20, 41, groups * inputs), (3, 3, inputs, groups * outputs), groups)
        for inputs, outputs in itertools.product(range(1, row.lanes // 2 + 1), repeat=2)
        for groups in (2, row.lanes + 1)
    ]


FAMILY = Family(
    cuts,
    limits={
        "STAGED_PIXELS": (dense.STAGED_PIXELS, 40, 7),
        "PANEL_SLICE_BYTES": (dense.PANEL_SLICE_BYTES, 4 << 10),
        "TASK_TILES": (dense.TASK_TILES, 2, 1),
    },
)
