"""Estimates beside measured times: signals wait for a call as long as its estimate allows."""

from __future__ import annotations

import math
import statistics
import time

import numpy as np
import pytest
from conftest import AOT_LEVELS
from families import NO_LAYERS, layers, suited
from rows import compiled, geometry_of, kernel_of, lifted, shape_of
from strategies import real_values

from aotconv._core.jobs import Layouts, Piece, Places, plan_call
from aotconv._core.layout import Layout
from aotconv._plan.registry import ROWS
from aotconv._plan.select import estimate

pytest.importorskip("ml_dtypes")  # NumPy knows bfloat16 from then on

CONVOLUTIONS = [row for row in ROWS if row.level in AOT_LEVELS and row.family not in NO_LAYERS]
SECONDS = 0.01  # of each case, at least
ALL_WITHIN, MOST_WITHIN, MOST = 4.0, 2.0, 0.8


def ratio(row, layer, stride):
    """The least time of a call, in times of its estimate; a name to tell it by."""
    *window, group_channels, n_filters = layer.filters
    rank = len(window)
    window, strides, _ = suited(row, tuple(window), (stride,) * rank)
    filters_shape = *window, group_channels, n_filters
    geometry = geometry_of(layer.images, filters_shape, strides, "same", groups=layer.groups)
    rng = np.random.default_rng(0)
    filters = real_values(rng, filters_shape, row.dtype)
    images = real_values(rng, layer.images, row.dtype).astype(row.holds)
    out = np.empty(shape_of(geometry, rank), row.holds)
    kernel = kernel_of(row, compiled(row, False), filters, None, layer.groups)
    layouts = Layouts(*(Layout.of(lifted(each)) for each in (images, out)), None)
    call = plan_call([Piece(kernel, geometry, layouts, Places())], 1)
    call(images, out, None)
    least, end = math.inf, time.perf_counter() + SECONDS
    while least == math.inf or time.perf_counter() < end:
        start, calls = time.thread_time(), 0
        while time.thread_time() - start < 0.0005:  # above the clock's steps
            call(images, out, None)
            calls += 1
        least = min(least, (time.thread_time() - start) / calls)
    name = f"{row.level} {row.name}: {layer.images} {filters_shape} {strides} g{layer.groups}"
    return 1e6 * least / estimate(row, geometry), name


@pytest.mark.long
def test_estimates_of_all_rows_hold_beside_each_other_however_their_tiles_are_filled():
    found = [
        ratio(row, layer, stride)
        for row in CONVOLUTIONS
        for layer in layers(row)
        if not (row.stored and len(layer.filters) > 4)  # which is staged
        for stride in ((1, 2) if suited(row, (4, 4), (2, 2))[1] == (2, 2) else (1,))
    ]
    middle = statistics.median(value for value, _ in found)
    off = sorted(
        (max(value / middle, middle / value), value / middle, name) for value, name in found
    )
    print(*(f"{value:.2f} {name}" for _, value, name in off[-20:]), sep="\n")
    assert off[-1][0] <= ALL_WITHIN, off[-1]
    assert sum(factor <= MOST_WITHIN for factor, *_ in off) >= MOST * len(off)
    assert 1 / ALL_WITHIN <= middle <= ALL_WITHIN  # of the machine's own rate
