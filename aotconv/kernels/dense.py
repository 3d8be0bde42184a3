"""Dense convolution: a matrix product of MR pixels' inputs, read in place, with a panel."""

from __future__ import annotations

from .tiles import start_sums, store_sums, task

__all__ = ["task", "tile"]

UNROLL = 4


def tile(
    v,
    row,
    table,
    segments,
    run,
    offset,
    panel,
    out_table,
    out_offset,
    pixels,
    channels,
    bias,
    activation,
):
    """The contract is `compute_tile`'s.  Each input is multiplied with one row of the panel."""
    rows, vectors = range(row.pixels), range(row.vectors)
    sums = start_sums(v, row, out_table, out_offset, pixels, channels, bias)
    weights = v.cell(v.pointer(panel))
    for segment in v.loop(segments):
        inputs = [v.load_pointer(table, v.add(v.mul(segment, row.pixels), i), offset) for i in rows]

        def multiply(k, count, inputs=inputs):
            for u in range(count):
                at = [(u * row.vectors + j) * row.lanes for j in vectors]
                filters = [v.load(weights.get(), a, aligned=True) for a in at]
                for i in rows:
                    pixel = v.splat(v.at(inputs[i], k), u)
                    for j in vectors:
                        sums[i][j].set(v.fma(pixel, filters[j], sums[i][j].get()))
            weights.set(v.at(weights.get(), count * row.channels))

        unrolled = v.floor(run, UNROLL)
        for k in v.loop(unrolled, step=UNROLL):
            multiply(k, UNROLL)
        for k in v.loop(run, start=unrolled):
            multiply(k, 1)
    store_sums(v, row, sums, out_table, out_offset, pixels, channels, activation)
