"""Cliffs are found where they are planted, and none is where times follow the work."""

import math
from itertools import product

import pytest

from aotconv._tools.cliffs import CLIFF, losses

LANES = 16
COUNTS = (*range(1, 10), 15, 16, 17, 24, 31, 32, 33, 63, 65, 96)
LINE = [(count,) for count in COUNTS]
GRID = list(product(COUNTS, COUNTS))


def products(size):
    return float(math.prod(size))


def smooth(size):
    """A fixed cost, and products of channels by whole vectors of filters."""
    *channels, filters = size
    return 5 + math.prod(channels) * math.ceil(filters / LANES) * LANES


def lost(sizes, time):
    found = losses(sizes, [products(each) for each in sizes], [time(each) for each in sizes])
    return dict(zip(sizes, found, strict=True))


@pytest.mark.parametrize("sizes", [LINE, GRID], ids=["line", "grid"])
@pytest.mark.parametrize("time", [products, smooth, lambda size: 5 + products(size)])
def test_smooth_curve_has_no_cliff(sizes, time):
    assert all(each.factor < 2.01 for each in lost(sizes, time).values())


@pytest.mark.parametrize("sizes", [LINE, GRID], ids=["line", "grid"])
def test_one_slow_size_is_the_one_cliff_and_held_against_a_larger_one(sizes):
    planted = sizes[sizes.index(next(each for each in sizes if set(each) == {31}))]
    found = lost(sizes, lambda size: smooth(size) * (4 if size == planted else 1))
    cliffs = {size: each for size, each in found.items() if each.factor > CLIFF}
    assert set(cliffs) == {planted}
    assert cliffs[planted].law == "padding" and cliffs[planted].factor == pytest.approx(4)
    larger = sizes[cliffs[planted].than]
    assert all(a >= b for a, b in zip(larger, planted, strict=True)) and larger != planted


def test_all_sizes_of_a_slow_plateau_are_held_against_the_fast_one_behind_it():
    found = lost(LINE, lambda size: 1000 if size < (16,) else smooth(size))
    cliffs = {size for size, each in found.items() if each.factor > CLIFF}
    assert cliffs == {size for size in LINE if size < (16,)}
    assert {LINE[found[size].than] for size in cliffs} == {(16,)}


def test_rate_that_falls_for_good_is_a_cliff_of_growth_where_it_falls():
    found = lost(LINE, lambda size: products(size) * (1 if size < (8,) else 5))
    cliffs = {size: each for size, each in found.items() if each.factor > CLIFF}
    assert set(cliffs) == {(8,)}
    assert cliffs[8,].law == "growth" and LINE[cliffs[8,].than] == (7,)
    assert cliffs[8,].factor == pytest.approx(5)


def test_growth_looks_along_each_axis_at_the_next_smaller_case_alone():
    # (1, 1) is far faster for its work than all others; only its neighbours are held against it.
    found = lost(GRID, lambda size: products(size) * (1 if size == (1, 1) else 9))
    assert {size for size, each in found.items() if each.factor > CLIFF} == {(1, 2), (2, 1)}


def test_growth_is_held_against_work_and_not_against_sizes():
    # Smaller strides are the larger cases, though their numbers fall.
    found = losses([(-1,), (-2,), (-3,)], [9.0, 3.0, 1.0], [9.0, 3.0, 10.0])
    assert [each.law for each in found] == ["growth", "padding", "padding"]
    assert [each.factor for each in found] == pytest.approx([1, 1 / 3, 10 / 3])
    assert found[2].than == 1


def test_case_with_nothing_beside_it_loses_nothing():
    assert losses([(3,)], [1.0], [1.0]) == [None]
    assert losses([(1, 2), (2, 1)], [1.0, 1.0], [1.0, 9.0]) == [None, None]


def test_no_case_loses_that_takes_no_longer_than_its_bound():
    times = [products(each) * (1 if each < (8,) else 5) for each in LINE]
    work = [products(each) for each in LINE]
    found = losses(LINE, work, times, [time / 2 for time in times])
    assert all(each.factor <= 2 for each in found)
    assert found[LINE.index((8,))].factor == pytest.approx(2)
