"""A panel, rows of filters, multiplied with pixels: the inner loop of the dense and the winograd
family."""

from __future__ import annotations

from .._plan.dense import UNROLL


def multiply_run(v, row, sums, pointers, weights, run):
    """Multiply `run` elements behind each of the pointers with as many rows of a panel.

    weights : cell of the pointer to the rows, aligned; it is moved behind them.
    """
    vectors = range(row.vectors)

    def multiply(k, times):
        for u in range(times):
            at = [(u * row.vectors + j) * row.lanes for j in vectors]
            filters = [v.load(weights.get(), a, aligned=True) for a in at]
            for pointer, pixel_sums in zip(pointers, sums, strict=True):
                pixel = v.splat(v.at(pointer, k), u)
                for total, each in zip(pixel_sums, filters, strict=True):
                    total.set(v.fma(pixel, each, total.get()))
        weights.set(v.at(weights.get(), times * row.channels))

    unrolled = v.floor(run, UNROLL)
    for k in v.loop(unrolled, step=UNROLL):
        multiply(k, UNROLL)
    for k in v.loop(run, start=unrolled):
        multiply(k, 1)
