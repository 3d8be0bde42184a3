"""What is done to a block of outputs while it is near: residuals are added, sums clamped, whole
numbers made integers, functions applied.
"""

from __future__ import annotations

from .._plan.activations import CLAMPS, FINISHES, INTEGERS, LIMITS
from .functions import MEANINGS
from .runtime import chapter, of_dtype, tile_intrinsic

NO_ACTIVATION, AS_INTEGERS = map(FINISHES.index, (None, INTEGERS))
LAST_IN_TILES = AS_INTEGERS  # of FINISHES; those behind are applied to what was stored
assert FINISHES[: LAST_IN_TILES + 1] == (*CLAMPS, INTEGERS)


def limits(v, activation):
    """What `v.clamp` takes for an activation, which is a place in FINISHES: of one that is no
    clamp, no limits."""
    lower, upper = map(v.constant, LIMITS[None])
    for name in LIMITS:
        if name is not None:
            chosen = v.equal(activation, FINISHES.index(name))
            least, most = map(v.constant, LIMITS[name])
            lower, upper = v.select(chosen, least, lower), v.select(chosen, most, upper)
    return lower, upper


def vectors_of(v, row, out, rows, out_y, pixels, out_x, channels):
    """For each vector of `rows` rows of `pixels` pixels of `channels` outputs, yield a pointer, an
    index, and of a vector that is not full how many elements.

    out : address of the first of them; pixels lie `out_x` bytes apart, rows `out_y`.
    """
    lanes = row.lanes
    # Pixels that follow each other are one run.
    adjacent = v.equal(out_x, v.mul(channels, row.itemsize))
    run = v.select(adjacent, v.mul(pixels, channels), channels)
    runs = v.select(adjacent, v.word(1), pixels)
    for y in v.loop(rows):
        for x in v.loop(runs):
            target = v.pointer(v.add(out, v.add(v.mul(y, out_y), v.mul(x, out_x))))
            whole = v.floor(run, lanes)
            for i in v.loop(whole, step=lanes):
                yield target, i, None
            for _ in v.when(v.less(whole, run)):
                yield target, whole, v.add(run, v.mul(whole, -1))


def _load(v, pointer, index, count):
    return v.load(pointer, index) if count is None else v.load_first(count, pointer, index)


def _store(v, value, pointer, index, count):
    if count is None:
        v.store(value, pointer, index)
    else:
        v.store_first(count, value, pointer, index)


def residuals(v, row, out, rows, out_y, pixels, out_x, channels, residual, activation):
    """Add residuals to outputs (see `vectors_of`), and clamp them.

    residual : bytes from an output element to its residual.
    activation : its place in FINISHES.

    Reads and writes these elements and reads their residuals, no others.
    """
    bounds = limits(v, activation)
    for target, *place in vectors_of(v, row, out, rows, out_y, pixels, out_x, channels):
        total = v.sum(_load(v, target, *place), _load(v, v.offset(target, residual), *place))
        _store(v, v.clamp(total, *bounds), target, *place)


def integers(v, row, out, rows, out_y, pixels, out_x, channels):
    """Make outputs (see `vectors_of`), whole numbers, integers of their size.

    Reads and writes these elements, no others.
    """
    for target, *place in vectors_of(v, row, out, rows, out_y, pixels, out_x, channels):
        _store(v, v.as_integers(_load(v, target, *place)), target, *place)


def functions(v, row, out, rows, out_y, pixels, out_x, channels, activation, slope):
    """Apply a function to outputs (see `vectors_of`).

    activation : its place in FINISHES.
    slope : the bits of a float64.

    Reads and writes these elements, no others, and each once.  Integers have no functions.
    """
    if row.integers:
        return
    slope = v.splat_double(slope)
    for name, meaning in MEANINGS.items():
        for _ in v.when(v.equal(activation, FINISHES.index(name))):
            for target, *place in vectors_of(v, row, out, rows, out_y, pixels, out_x, channels):
                _store(v, meaning(v, row, _load(v, target, *place), slope), target, *place)


add_residuals = tile_intrinsic(residuals, shared=of_dtype)
make_integers = tile_intrinsic(integers, shared=of_dtype)
apply_function = tile_intrinsic(functions, shared=of_dtype)


@chapter
def finish_stored(row, plan, out, rows, out_y, pixels, channels):
    """Apply the plan's activation to outputs, each of which was stored for the last time, if it is
    one of those that tiles do not apply.

    out, rows, out_y, pixels, channels : as in `vectors_of`.
    """
    if plan.activation > LAST_IN_TILES:
        apply_function(
            row,
            out=out,
            rows=rows,
            out_y=out_y,
            pixels=pixels,
            out_x=plan.out_x,
            channels=channels,
            activation=plan.activation,
            slope=plan.slope,
        )


@chapter
def finish(row, plan, out, rows, out_y, pixels, channels, residual):
    """Add residuals, and clamp the sums; or make outputs, which were clamped, integers; and apply
    what tiles do not apply.  Each output was stored for the last time.

    out, rows, out_y, pixels, channels : as in `vectors_of`.
    residual : bytes from an output element to its residual; 0: none.
    """
    if residual != 0:
        add_residuals(
            row,
            out=out,
            rows=rows,
            out_y=out_y,
            pixels=pixels,
            out_x=plan.out_x,
            channels=channels,
            residual=residual,
            activation=plan.activation,
        )
    elif plan.activation == AS_INTEGERS:
        make_integers(
            row,
            out=out,
            rows=rows,
            out_y=out_y,
            pixels=pixels,
            out_x=plan.out_x,
            channels=channels,
        )
    finish_stored(row, plan, out, rows, out_y, pixels, channels)
