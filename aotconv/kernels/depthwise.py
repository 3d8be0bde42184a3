"""Depthwise convolution, one filter a channel; with one channel, the filtering of an image.

Vectors run along the output elements of a row as they lie in memory, pixel after pixel and channel
after channel: with stride 1 the inputs of neighbouring elements are neighbours too, so a vector
may begin and end anywhere, and one or three channels fill it as well as sixty-four.  Weights are
packed with the channels' period repeated, to be read from any channel on.  With other strides a
run ends with its pixel.

A tile is MR output rows by NR vectors, and each loaded row of inputs serves all the output rows
that it belongs to.  Where a pixel's window leaves the image at the left or right, the taps are read
one by one, through a table of addresses; rows above and below are read from a block of zeros.
"""

from __future__ import annotations

from numba import types
from numba.extending import intrinsic

from .runtime import set_word
from .simd import emit_function


def strip(
    v, row, table, length, kh, kw, weights, channels, first_channel, out, out_y, rows, activation
):
    """Compute `length` neighbouring elements of MR output rows.

    table : address of ``MR + kh - 1`` pairs of words: for each input row the address of the first
        element's first tap, and the bytes from a tap to the next.  Output row r takes its tap row
        i from input row r + i.
    weights : address of rows of ``channels + NR vectors`` elements, which repeat with the period
        `channels`: the bias, then one for each tap.
    first_channel : the channel of the first element.
    out : address of the first element of the first output row; the others lie `out_y` bytes apart.
    rows : how many of them are stored, 1 to MR.
    activation : 0 none, 1 relu, 2 relu6.

    Reads `length` elements at each tap of each input row; writes `length` elements of each stored
    row.  Neighbouring bytes are not touched.  `kh` is at least MR.
    """
    n_rows, lanes, itemsize = row.pixels, row.lanes, row.itemsize
    width = v.add(channels, row.channels)
    lower = v.select(v.less(0, activation), v.constant(0.0), v.constant(float("-inf")))
    upper = v.select(v.less(1, activation), v.constant(6.0), v.constant(float("inf")))

    def tile(element, vectors, count=None):
        """MR rows by some vectors, or by `count` elements of one vector."""
        channel = v.remainder(v.add(first_channel, element), channels)
        biases = v.at(v.pointer(weights), channel)
        taps = v.at(biases, width)
        starts = [v.load(biases, j * lanes) for j in range(vectors)]
        sums = [[v.cell(start) for start in starts] for _ in range(n_rows)]

        def input_row(i, outputs):
            """Multiply input row `i` with its tap row for each of the output rows `outputs`."""
            entry = v.mul(i, 2)
            first = v.load_pointer(table, entry, v.mul(element, itemsize))
            step = v.load_word(table, v.add(entry, 1))
            for kx in v.loop(kw):
                inputs = v.offset(first, v.mul(kx, step))
                filters = [
                    v.at(taps, v.mul(v.add(v.mul(v.add(i, -r), kw), kx), width)) for r in outputs
                ]
                for j in range(vectors):
                    at = j * lanes
                    pixels = v.load(inputs, at) if count is None else v.load_first(count, inputs)
                    for r, filter_row in zip(outputs, filters, strict=True):
                        total = sums[r][j]
                        total.set(v.fma(pixels, v.load(filter_row, at), total.get()))

        for i in range(n_rows - 1):
            input_row(v.word(i), range(i + 1))
        for i in v.loop(kh, start=n_rows - 1):
            input_row(i, range(n_rows))
        for i in range(1, n_rows):
            input_row(v.add(kh, i - 1), range(i, n_rows))

        for r in range(n_rows):
            for _ in v.when(v.less(r, rows)):
                target = v.at(v.pointer(v.add(out, v.mul(r, out_y))), element)
                for j in range(vectors):
                    result = v.clamp(sums[r][j].get(), lower, upper)
                    if count is None:
                        v.store(result, target, j * lanes)
                    else:
                        v.store_first(count, result, target)

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


def _compute_strip(pixels):
    @intrinsic
    def compute(
        typingctx,
        row,
        table,
        length,
        kh,
        kw,
        weights,
        channels,
        first_channel,
        out,
        out_y,
        rows,
        activation,
    ):
        def emit(context, builder, sig, args):
            own = row.row._replace(pixels=pixels or row.row.pixels)
            emit_function(builder, own, strip, args[1:])
            return context.get_dummy_value()

        return types.none(row, *[types.int64] * 11), emit

    return compute


compute_strip = _compute_strip(pixels=None)
compute_one_row = _compute_strip(pixels=1)


def task(row, plan, images, weights, out, scratch, index):
    """Compute MR output rows of one image.

    images, out : addresses of the first element; element strides of channels are 1, the others
        are the plan's, in bytes.
    weights : address of ``block_run`` zeros and NR vectors more; at plan.weights_offset bytes from
        there the rows that `strip` reads.
    scratch : at least ``2 * max(MR + kh - 1, kh * kw)`` words, for the tables.

    Rows with MR above 1 assume strides and dilations of 1 from row to row, and kh of at least MR.
    """
    itemsize = row.itemsize
    channels = plan.groups
    blocks = (plan.oh + row.pixels - 1) // row.pixels
    n = index // blocks
    y = (index - n * blocks) * row.pixels
    rows = min(row.pixels, plan.oh - y)
    filters = weights + plan.weights_offset
    image = images + n * plan.image_n
    target = out + n * plan.out_n + y * plan.out_y
    top = y * plan.sh - plan.top

    # Outputs from `first` to `last` have their windows inside the image's width.
    first = min((plan.left + plan.sw - 1) // plan.sw, plan.ow)
    span = (plan.kw - 1) * plan.dw + 1
    last = first
    if plan.w + plan.left >= span:
        last = max(first, min(plan.ow, (plan.w + plan.left - span) // plan.sw + 1))

    runs, length = last - first, channels
    if plan.merge_rows:
        runs, length = min(runs, 1), runs * channels
    for run in range(runs):
        x = first + run
        left = x * plan.sw - plan.left
        for element in range(0, length, plan.block_run):
            for i in range(row.pixels + plan.kh - 1):
                iy = top + i * plan.dh
                inside = iy >= 0 and iy < plan.h
                address = image + iy * plan.image_y + left * plan.image_x + element * itemsize
                set_word(scratch, 2 * i, address if inside else weights)
                set_word(scratch, 2 * i + 1, plan.dw * plan.image_x if inside else 0)
            compute_strip(
                row,
                scratch,
                min(plan.block_run, length - element),
                plan.kh,
                plan.kw,
                filters,
                channels,
                element % channels,
                target + x * plan.out_x + element * itemsize,
                plan.out_y,
                rows,
                plan.activation,
            )

    for border in range(first + plan.ow - last):
        x = border if border < first else border - first + last
        left = x * plan.sw - plan.left
        for r in range(rows):
            for element in range(0, channels, plan.block_run):
                for tap in range(plan.kh * plan.kw):
                    ky = tap // plan.kw
                    iy = top + r * plan.sh + ky * plan.dh
                    ix = left + (tap - ky * plan.kw) * plan.dw
                    inside = iy >= 0 and iy < plan.h and ix >= 0 and ix < plan.w
                    address = image + iy * plan.image_y + ix * plan.image_x + element * itemsize
                    set_word(scratch, 2 * tap, address if inside else weights)
                    set_word(scratch, 2 * tap + 1, 0)
                compute_one_row(
                    row,
                    scratch,
                    min(plan.block_run, channels - element),
                    plan.kh * plan.kw,
                    1,
                    filters,
                    channels,
                    element,
                    target + r * plan.out_y + x * plan.out_x + element * itemsize,
                    0,
                    1,
                    plan.activation,
                )
