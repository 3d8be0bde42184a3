"""Sums of listed taps, in the order of the list.

Vectors run along the elements of a row as they lie in memory, pixel after pixel and channel after
channel: all channels have the same taps, so a tap is a distance in memory.  A tile is NR vectors of
one row of outputs.
"""

from __future__ import annotations

from .._plan.family import ALIGNMENT
from .._plan.taps import ELEMENTS, HEAD, ROUNDED
from .epilogue import finish
from .runtime import ceil_div, set_word, tile_intrinsic, word

N_HEAD, N_ELEMENTS = len(HEAD), len(ELEMENTS)


def line(v, row, offsets, singles, pairs, values, source, length, target, divides, truncates):
    """Compute `length` neighbouring elements of one row of outputs.

    offsets : address of words: the bytes from the first tap of a window to each of the list, one
        for each of the `singles`, then two for each of the `pairs`.
    values : address of the elements of a list, ELEMENTS and a weight for each single and each pair.
    source : address of the first tap of the first element's window.
    target : address of the first element.
    divides, truncates : whether a sum is divided by the divisor, and rounded toward 0 then.

    Reads `length` elements at each tap; writes `length` elements.  Neighbouring bytes are not
    touched.  Inputs and outputs do not overlap.
    """
    lanes, itemsize = row.lanes, row.itemsize
    elements = v.pointer(values)
    start, sign, divisor = (v.splat(elements, i) for i in range(N_ELEMENTS))
    rounded = row.dtype == ROUNDED

    def tile(element, vectors, count=None):
        """Some vectors, of which with `count` only so many elements."""
        window = v.pointer(v.add(source, v.mul(element, itemsize)))
        sums = [v.cell(start) for _ in range(vectors)]

        def load(tap, j):
            at = v.offset(window, v.load_word(offsets, tap))
            return v.load(at, j * lanes) if count is None else v.load_first(count, at)

        def add(total, value, weight):
            if rounded:
                total.set(v.sum(total.get(), v.product(value, weight)))
            else:
                total.set(v.fma(value, weight, total.get()))

        for i in v.loop(singles, unrolled=True):
            weight = v.splat(elements, v.add(i, N_ELEMENTS))
            for j, total in enumerate(sums):
                add(total, load(i, j), weight)
        for i in v.loop(pairs, unrolled=True):
            weight = v.splat(elements, v.add(v.add(i, singles), N_ELEMENTS))
            first = v.add(singles, v.mul(i, 2))
            for j, total in enumerate(sums):
                # A sign is multiplied exactly, and the sum is rounded once.
                add(total, v.fma(load(v.add(first, 1), j), sign, load(first, j)), weight)
        for _ in v.when(v.unequal(divides, 0)):
            for total in sums:
                total.set(v.quotient(total.get(), divisor))
        for _ in v.when(v.unequal(truncates, 0)):
            for total in sums:
                total.set(v.toward_zero(total.get()))
        place = v.at(v.pointer(target), element)
        for j, total in enumerate(sums):
            if count is None:
                v.store(total.get(), place, j * lanes)
            else:
                v.store_first(count, total.get(), place)

    # The last tile of several goes back as far as it must, and computes some elements again.
    for several in v.choose(v.less(row.channels - 1, length)):
        if several:
            for element in v.loop(v.add(length, row.channels - 1), step=row.channels):
                tile(v.minimum(element, v.add(length, -row.channels)), row.vectors)
        else:
            for whole in v.choose(v.less(lanes - 1, length)):
                if whole:
                    for element in v.loop(v.add(length, lanes - 1), step=lanes):
                        tile(v.minimum(element, v.add(length, -lanes)), 1)
                else:
                    tile(v.word(0), 1, length)


compute_line = tile_intrinsic(line)


def task(row, plan, images, weights, out, residual, staging, index):
    """Compute `task_rows` rows of outputs of one plane.

    images, out : addresses of the first element; pixels lie side by side, the other strides are the
        plan's, in bytes.
    weights : address of a list of taps (see `_plan.taps`).
    residual : bytes from an output element to its residual, which is added; 0: none.
    staging : address of a word for each of them.

    Assumes strides of 1, and that all taps lie inside of the images.
    """
    singles, pairs = word(weights, 0), word(weights, 1)
    taps = singles + 2 * pairs
    for i in range(taps):
        at = N_HEAD + 3 * i
        z, y, x = word(weights, at), word(weights, at + 1), word(weights, at + 2)
        rows = z * plan.dd * plan.image_z + y * plan.dh * plan.image_y
        set_word(staging, i, rows + x * plan.dw * plan.image_x)
    values = weights + ceil_div(8 * (N_HEAD + 3 * taps), ALIGNMENT) * ALIGNMENT
    blocks = ceil_div(plan.oh, plan.task_rows)
    z = index // blocks
    first = (index - z * blocks) * plan.task_rows
    n = z // plan.od
    z -= n * plan.od
    image = images + n * plan.image_n + z * plan.image_z
    target = out + n * plan.out_n + z * plan.out_z
    last = min(first + plan.task_rows, plan.oh)
    for y in range(first, last):
        compute_line(
            row,
            offsets=staging,
            singles=singles,
            pairs=pairs,
            values=values,
            source=image + y * plan.image_y,
            length=plan.ow * plan.groups,
            target=target + y * plan.out_y,
            divides=word(weights, 2),
            truncates=word(weights, 3),
        )
    finish(
        row,
        plan,
        out=target + first * plan.out_y,
        rows=last - first,
        out_y=plan.out_y,
        pixels=plan.ow,
        channels=plan.groups,
        residual=residual,
    )
