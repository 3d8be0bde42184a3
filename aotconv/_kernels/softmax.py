"""Softmax along rows of elements: exp(x - max) / sum of exp(x - max).

A sum is kept in SUM_BYTES, as many elements at all levels, each of which is added where its place
says; then halves are added to each other.  So levels with FMA agree to the bit.
"""

from __future__ import annotations

from math import inf

from .._plan.softmax import EXPONENTIALS, PEAKS, SUM_BYTES, WHOLE
from .functions import exp
from .runtime import tile_intrinsic


def _pieces(v, row, length):
    """For elements as wide as a sum, yield the index of each of its vectors and the vector's place
    in the sum; of the last, which are not full, how many elements, too."""
    width = SUM_BYTES // row.itemsize
    whole = v.floor(length, width)
    for i in v.loop(whole, step=width):
        for place in range(width // row.lanes):
            yield v.add(i, place * row.lanes), place, None
    for place in range(width // row.lanes):
        at = v.add(whole, place * row.lanes)
        for _ in v.when(v.less(at, length)):
            yield at, place, v.minimum(v.sub(length, at), row.lanes)


def _folded(v, row, vectors, combine):
    """What is in all lanes of some vectors, combined by halves, in the first lane."""
    while len(vectors) > 1:
        half = len(vectors) // 2
        vectors = [combine(a, b) for a, b in zip(vectors[:half], vectors[half:], strict=True)]
    (value,) = vectors
    count = row.lanes
    while count > 1:
        count //= 2
        value = combine(value, v.rotated(value, count))
    return value


def peaks(v, row, source, rows, length, target):
    """Store the largest element of each row; NaN is passed over.

    source : address of `rows` rows of `length` elements, which follow each other.
    target : address of an element for each.
    """
    places = range(SUM_BYTES // row.itemsize // row.lanes)
    for r in v.loop(rows):
        first = v.at(v.pointer(source), v.mul(r, length))
        most = [v.cell(v.constant(-inf)) for _ in places]
        for at, place, count in _pieces(v, row, length):
            if count is None:
                value = v.load(first, at)
            else:
                value = v.fill_behind(count, v.load_first(count, first, at), -inf)
            most[place].set(v.maximum_of(most[place].get(), value))
        value = _folded(v, row, [each.get() for each in most], v.maximum_of)
        v.store_lanes(value, v.at(v.pointer(target), r), row.lanes, 1)


def exponentials(v, row, source, target, rows, length, most, sums):
    """Store exp(x - peak) of each row, and their sum.

    source, target : addresses of `rows` rows of `length` elements, which follow each other: the
        same, or of memory that does not overlap.
    most, sums : addresses of an element for each row: its peak, and where its sum is stored.
    """
    places = range(SUM_BYTES // row.itemsize // row.lanes)
    for r in v.loop(rows):
        origin, goal = (v.at(v.pointer(each), v.mul(r, length)) for each in (source, target))
        peak = v.splat(v.pointer(most), r)
        totals = [v.cell(v.constant(0.0)) for _ in places]
        for at, place, count in _pieces(v, row, length):
            if count is None:
                value = exp(v, row, v.difference(v.load(origin, at), peak))
                v.store(value, goal, at)
            else:
                value = exp(v, row, v.difference(v.load_first(count, origin, at), peak))
                v.store_first(count, value, goal, at)
                value = v.fill_behind(count, value, 0.0)
            totals[place].set(v.sum(totals[place].get(), value))
        value = _folded(v, row, [each.get() for each in totals], v.sum)
        v.store_lanes(value, v.at(v.pointer(sums), r), row.lanes, 1)


def quotients(v, row, target, rows, length, sums):
    """Divide each of `rows` rows of `length` elements, which follow each other, by its sum."""
    lanes = row.lanes
    for r in v.loop(rows):
        first = v.at(v.pointer(target), v.mul(r, length))
        total = v.splat(v.pointer(sums), r)
        whole = v.floor(length, lanes)
        for i in v.loop(whole, step=lanes):
            v.store(v.quotient(v.load(first, i), total), first, i)
        for _ in v.when(v.less(whole, length)):
            count = v.sub(length, whole)
            value = v.quotient(v.load_first(count, first, whole), total)
            v.store_first(count, value, first, whole)


find_peaks, store_exponentials, divide = map(tile_intrinsic, (peaks, exponentials, quotients))


def task(row, plan, images, weights, out, scratch, index):
    """Compute some whole rows, or a step of one block of a long row.

    images, out : addresses of the first element of rows of plan.length elements, or of so many
        elements of one row, which follow each other: the same, or of memory that does not overlap.
    weights : of blocks, address of an element for each, the peaks of blocks; of the step
        EXPONENTIALS instead the row's peak, and behind it an element for each block, its sum; of
        QUOTIENTS the row's sum.
    scratch : SCRATCH_BYTES, for two elements for each row of a task.
    """
    if plan.step == WHOLE:
        first = index * plan.task_rows
        rows = min(plan.task_rows, plan.rows - first)
        start = first * plan.length * row.itemsize
        sums = scratch + plan.task_rows * row.itemsize
        source, target = images + start, out + start
        find_peaks(row, source=source, rows=rows, length=plan.length, target=scratch)
        store_exponentials(row, source, target, rows, plan.length, most=scratch, sums=sums)
        divide(row, target=target, rows=rows, length=plan.length, sums=sums)
        return
    first = index * plan.block
    length = min(plan.block, plan.length - first)
    source, target = images + first * row.itemsize, out + first * row.itemsize
    own = weights + index * row.itemsize
    if plan.step == PEAKS:
        find_peaks(row, source=source, rows=1, length=length, target=own)
    elif plan.step == EXPONENTIALS:
        sums = own + row.itemsize
        store_exponentials(row, source, target, 1, length, most=weights, sums=sums)
    else:
        divide(row, target=target, rows=1, length=length, sums=weights)
