"""What is done to a block of outputs while it is near: residuals are added, sums clamped."""

from __future__ import annotations

from math import inf

from .._plan.activations import ACTIVATIONS
from .runtime import tile_intrinsic

# What each of `_plan.activations` keeps values between.
LIMITS = {None: (-inf, inf), "relu": (0.0, inf), "relu6": (0.0, 6.0)}
NO_ACTIVATION = ACTIVATIONS.index(None)


def limits(v, activation):
    """What `v.clamp` takes for an activation, which is a place in ACTIVATIONS."""
    lower, upper = map(v.constant, LIMITS[None])
    for place, name in enumerate(ACTIVATIONS):
        if name is not None:
            chosen = v.equal(activation, place)
            least, most = map(v.constant, LIMITS[name])
            lower, upper = v.select(chosen, least, lower), v.select(chosen, most, upper)
    return lower, upper


def epilogue(v, row, out, rows, out_y, pixels, out_x, channels, residual, activation):
    """Add residuals to `rows` rows of `pixels` pixels of `channels` outputs, and clamp them.

    out : address of the first of them; pixels lie `out_x` bytes apart, rows `out_y`.
    residual : bytes from an output element to its residual.
    activation : its place in ACTIVATIONS.

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
