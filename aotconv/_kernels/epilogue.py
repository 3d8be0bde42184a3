"""What is done to a block of outputs while it is near: residuals are added, sums clamped."""

from __future__ import annotations

from .runtime import tile_intrinsic


def limits(v, activation):
    """What `v.clamp` takes: the bounds of an activation, 0 none, 1 relu, 2 relu6."""
    lower = v.select(v.less(0, activation), v.constant(0.0), v.constant(float("-inf")))
    upper = v.select(v.less(1, activation), v.constant(6.0), v.constant(float("inf")))
    return lower, upper


def epilogue(v, row, out, rows, out_y, pixels, out_x, channels, residual, activation):
    """Add residuals to `rows` rows of `pixels` pixels of `channels` outputs, and clamp them.

    out : address of the first of them; pixels lie `out_x` bytes apart, rows `out_y`.
    residual : bytes from an output element to its residual.
    activation : 0 none, 1 relu, 2 relu6.

    Reads and writes these elements and reads their residuals, no others.
    """
    lanes, bounds = row.lanes, limits(v, activation)
    # Pixels that follow each other are one run.
    adjacent = v.equal(out_x, v.mul(channels, row.itemsize))
    run = v.select(adjacent, v.mul(pixels, channels), channels)
    runs = v.select(adjacent, v.word(1), pixels)
    for y in v.loop(rows):
        for x in v.loop(runs):
            target = v.pointer(v.add(out, v.add(v.mul(y, out_y), v.mul(x, out_x))))
            more = v.offset(target, residual)
            whole = v.floor(run, lanes)
            for i in v.loop(whole, step=lanes):
                total = v.sum(v.load(target, i), v.load(more, i))
                v.store(v.clamp(total, *bounds), target, i)
            for _ in v.when(v.less(whole, run)):
                rest = v.add(run, v.mul(whole, -1))
                total = v.sum(v.load_first(rest, target, whole), v.load_first(rest, more, whole))
                v.store_first(rest, v.clamp(total, *bounds), target, whole)


add_residuals = tile_intrinsic(epilogue)
