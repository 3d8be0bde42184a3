"""What tiles are made of that multiply pixels with a panel, rows of filters: the beginning, the
inner loop and the end."""

from __future__ import annotations

from .._plan.dense import UNROLL
from .epilogue import AS_INTEGERS, NO_ACTIVATION, limits


def start_sums(v, row, n_pixels, outs, out_offset, pixels, n_filters, bias):
    """A tile's accumulators, started from the bias, or where `bias` is 0 from the output."""
    rows, vectors = range(n_pixels), range(row.vectors)
    sums = [[v.cell(v.constant(0.0)) for _ in vectors] for _ in rows]
    for from_bias in v.choose(v.less(0, bias)):
        if from_bias:
            for j in vectors:
                start = v.load(v.pointer(bias), j * row.lanes, aligned=True)
                for i in rows:
                    sums[i][j].set(start)
        else:
            for i in rows:
                for _ in v.when(v.less(i, pixels)):
                    out = v.load_pointer(outs, i, out_offset)
                    for j in vectors:
                        at = j * row.lanes
                        sums[i][j].set(v.load_first(v.add(n_filters, -at), out, at))
    return sums


def store_sums(v, row, sums, outs, out_offset, pixels, n_filters, residual, activation):
    """Store `n_filters` of `pixels` of a tile, after its residuals are added and it is clamped."""
    for _ in v.when(v.unequal(residual, 0)):
        for i, pixel in enumerate(sums):
            for _ in v.when(v.less(i, pixels)):
                more = v.load_pointer(outs, i, v.add(out_offset, residual))
                for j, total in enumerate(pixel):
                    at = j * row.lanes
                    total.set(v.sum(total.get(), v.load_first(v.add(n_filters, -at), more, at)))
    if not row.integers:  # which are activated once they have wrapped
        for _ in v.when(v.unequal(activation, NO_ACTIVATION)):
            bounds = limits(v, activation)
            for total in (total for pixel in sums for total in pixel):
                total.set(v.clamp(total.get(), *bounds))
        for _ in v.when(v.equal(activation, AS_INTEGERS)):
            for total in (total for pixel in sums for total in pixel):
                total.set(v.as_integers(total.get()))
    for i, pixel in enumerate(sums):
        for _ in v.when(v.less(i, pixels)):
            out = v.load_pointer(outs, i, out_offset)
            for whole in v.choose(v.equal(n_filters, row.channels)):
                for j, total in enumerate(pixel):
                    at = j * row.lanes
                    if whole:
                        v.store(total.get(), out, at)
                    else:
                        v.store_first(v.add(n_filters, -at), total.get(), out, at)


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


def multiply_groups(v, row, sums, pointers, weights, channels, order, width):
    """Multiply one tap of each pixel, where the lanes of a vector belong to several groups."""
    inputs = [v.load_first(width, pixel) for pixel in pointers]
    for k in v.loop(channels):
        filters = v.load(weights.get(), aligned=True)
        lanes = v.load_order(order, k)
        for pixel, (total,) in zip(inputs, sums, strict=True):
            total.set(v.fma(v.permute(pixel, lanes), filters, total.get()))
        weights.set(v.at(weights.get(), row.lanes))
