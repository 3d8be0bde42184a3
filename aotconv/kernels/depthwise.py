"""Depthwise convolution, one filter a channel: vectors run along the channels."""

from __future__ import annotations

from .tiles import start_sums, store_sums, task

__all__ = ["task", "tile"]


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
    """The contract is `compute_tile`'s, but that a run is the channels of one pixel: of each, as
    many as are stored are read and multiplied with the tap's row of the panel, lane by lane."""
    rows, vectors = range(row.pixels), range(row.vectors)
    sums = start_sums(v, row, out_table, out_offset, pixels, channels, bias)
    weights = v.cell(v.pointer(panel))
    for whole in v.choose(v.equal(channels, row.channels)):
        for tap in v.loop(segments):
            first = v.mul(tap, row.pixels)
            for i in rows:
                inputs = v.load_pointer(table, v.add(first, i), offset)
                for j in vectors:
                    at = j * row.lanes
                    if whole:
                        pixel = v.load(inputs, at)
                    else:
                        pixel = v.load_first(v.add(channels, -at), inputs, at)
                    taps = v.load(weights.get(), at, aligned=True)
                    sums[i][j].set(v.fma(pixel, taps, sums[i][j].get()))
            weights.set(v.at(weights.get(), row.channels))
    store_sums(v, row, sums, out_table, out_offset, pixels, channels, activation)
