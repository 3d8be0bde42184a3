"""Multiply-adds on registers alone: no convolution, but the rate that all are held against."""

from __future__ import annotations

from .runtime import tile_intrinsic


def tile(v, row, vectors, iterations, out):
    """Repeat ``s = s * a + b`` on MR sums, `iterations` times; store their total.

    vectors : address of three vectors, the first value of the sums, a and b.
    out : address of one vector.
    """
    start, a, b = (v.load(v.pointer(vectors), i * row.lanes) for i in range(3))
    sums = [v.cell(start) for _ in range(row.pixels)]
    for _ in v.loop(iterations):
        for total in sums:
            total.set(v.fma(total.get(), a, b))
    one = v.constant(1.0)
    result = start
    for total in sums:
        result = v.fma(total.get(), one, result)
    v.store(result, v.pointer(out))


compute_tile = tile_intrinsic(tile)


def task(row, plan, weights, out, index):
    """Run plan.iterations iterations of ``MR * lanes`` multiply-adds.

    weights : address of three vectors, as `tile` takes them.
    out : address of a vector for each task.
    """
    own = out + index * row.lanes * row.itemsize
    compute_tile(row, vectors=weights, iterations=plan.iterations, out=own)
