"""Channelwise convolution along the elements of rows: images of a few channels, and whatever
window, stride or number of channels has no kernel of its own.

Vectors run along the output elements of a row as they lie in memory, pixel after pixel and channel
after channel: with stride 1 the inputs of neighbouring elements are neighbours too, so a vector
may begin and end anywhere, and one or three channels fill it as well as sixty-four.  Weights are
packed with the channels' period repeated, to be read from any channel on.  With other strides a
run ends with its pixel.

A tile is MR output rows by NR vectors, and each loaded row of inputs serves all the output rows
that it belongs to.  Where a pixel's window leaves the image at the left or right, the inputs are
copied between zeros; rows above and below are read from a block of zeros.
"""

from __future__ import annotations

from .registry import SCRATCH_WORDS
from .runtime import copy_bytes, set_word, tile_intrinsic, zero_bytes
from .simd import epilogue


def strip(
    v,
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
    residual,
    activation,
):
    """Compute `length` neighbouring elements of MR output rows.

    table : address of ``MR + kh - 1`` pairs of words: for each input row the address of the first
        element's first tap, and the bytes from a tap to the next.  Output row r takes its tap row
        i from input row r + i.
    weights : address of rows of weights, the bias and then one for each tap.  A row is PERIOD
        vectors, aligned; or without a period ``channels + NR vectors`` elements, which repeat
        with the channels.
    first_channel : the channel of the first element; 0 for rows with a period.
    out : address of the first element of the first output row; the others lie `out_y` bytes apart.
    rows : how many of them are stored, 1 to MR.
    residual : bytes from an output element to its residual, which is added; 0: none.
    activation : 0 none, 1 relu, 2 relu6.

    A row of the registry with a window is for that kh and kw alone, unrolled; one without assumes
    that kh is at least MR.  Reads `length` elements at each tap of each input row; writes `length`
    elements of each stored row.  Neighbouring bytes are not touched.
    """
    n_rows, lanes, itemsize = row.pixels, row.lanes, row.itemsize
    width = v.word(row.period * lanes) if row.period else v.add(channels, row.channels)

    def tile(element, vectors, count=None, unroll=False):
        """MR rows by some vectors, of which with `count` only so many elements."""
        if row.period:
            biases, periods, aligned = v.pointer(weights), row.period, True
        else:
            channel = v.remainder(v.add(first_channel, element), channels)
            biases, periods, aligned = v.at(v.pointer(weights), channel), vectors, False
        taps = v.at(biases, width)
        starts = [v.load(biases, j % periods * lanes, aligned=aligned) for j in range(vectors)]
        sums = [[v.cell(start) for start in starts] for _ in range(n_rows)]

        def input_row(i, outputs):
            """Multiply input row `i` with its tap row for each of the output rows `outputs`."""
            entry = v.mul(i, 2)
            first = v.load_pointer(table, entry, v.mul(element, itemsize))
            step = v.load_word(table, v.add(entry, 1))
            for kx in range(row.window) if unroll else v.loop(kw):
                at = v.offset(first, v.mul(kx, step))
                inputs = [
                    v.load(at, j * lanes)
                    if count is None
                    else v.load_first(v.add(count, -j * lanes), at, j * lanes)
                    for j in range(vectors)
                ]
                for r in outputs:
                    tap = v.add(v.mul(v.add(i, -r), row.window if unroll else kw), kx)
                    filters = v.at(taps, v.mul(tap, width))
                    loaded = [
                        v.load(filters, j * lanes, aligned=aligned)
                        for j in range(min(vectors, periods))
                    ]
                    for j in range(vectors):
                        total = sums[r][j]
                        total.set(v.fma(inputs[j], loaded[j % periods], total.get()))
                v.fence()

        if row.window:
            for i in range(n_rows + row.window - 1):
                input_row(i, [r for r in range(n_rows) if 0 <= i - r < row.window])
        else:
            for i in range(n_rows - 1):
                input_row(v.word(i), range(i + 1))
            for i in v.loop(kh, start=n_rows - 1):
                input_row(i, range(n_rows))
            for i in range(1, n_rows):
                input_row(v.add(kh, i - 1), range(i, n_rows))

        # Rows that are not stored write to the last one, before it is written itself: a branch
        # around a store would draw the row's arithmetic after it, out of order.
        for finish in epilogue(v, residual, activation):
            for r in reversed(range(n_rows)):
                y = v.minimum(r, v.add(rows, -1))
                target = v.at(v.pointer(v.add(out, v.mul(y, out_y))), element)
                for j, total in enumerate(sums[r]):
                    at = j * lanes
                    if count is None:
                        v.store(finish(total.get(), target, at), target, at)
                    else:
                        some = v.add(count, -at)
                        v.store_first(some, finish(total.get(), target, at, some), target, at)

    # The last tile of several goes back as far as it must, and computes some elements again.
    for several in v.choose(v.less(row.channels - 1, length)):
        if several:
            for element in v.loop(v.add(length, row.channels - 1), step=row.channels):
                last = v.minimum(element, v.add(length, -row.channels))
                tile(last, row.vectors, unroll=row.window > 0)
        elif row.period:
            tile(v.word(0), row.vectors, length)
        else:
            for whole in v.choose(v.less(lanes - 1, length)):
                if whole:
                    for element in v.loop(v.add(length, lanes - 1), step=lanes):
                        tile(v.minimum(element, v.add(length, -lanes)), 1)
                else:
                    tile(v.word(0), 1, length)


compute_strip = tile_intrinsic(strip)


def task(row, plan, images, weights, out, residual, scratch, staging, index):
    """Compute MR output rows of one image.

    images, out : addresses of the first element; element strides of channels are 1, the others
        are the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of ``block_run`` zeros and NR vectors more; at plan.weights_offset bytes from
        there, 64-byte aligned, the rows that `strip` reads.
    scratch : SCRATCH_WORDS words, for the table of ``MR + kh - 1`` pairs and behind it the copy of
        as many rows of inputs, each of ``kw`` pixels of at least one channel.

    Rows of the registry with MR above 1 assume strides and dilations of 1 from row to row; rows
    with a window or a period, strides and dilations of 1.
    """
    itemsize = row.itemsize
    channels = plan.groups
    pixel_bytes = channels * itemsize
    blocks = (plan.oh + row.pixels - 1) // row.pixels
    n = index // blocks
    y = (index - n * blocks) * row.pixels
    rows = min(row.pixels, plan.oh - y)
    input_rows = row.pixels + plan.kh - 1
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
            for i in range(input_rows):
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
                residual,
                plan.activation,
            )

    # The others read a copy of their taps, between zeros: neighbouring pixels with strides and
    # dilations of 1, else pixel by pixel, of as many channels as the scratch holds.
    copy = scratch + 16 * input_rows
    copy_row = (8 * SCRATCH_WORDS - 16 * input_rows) // input_rows
    several = plan.merge_rows and plan.dw == 1
    for side in range(2):
        x = 0 if side == 0 else last
        end = first if side == 0 else plan.ow
        while x < end:
            pixels = 1
            block = min(channels, copy_row // (plan.kw * itemsize))
            if several and plan.kw * pixel_bytes <= copy_row:
                pixels = min(end - x, copy_row // pixel_bytes - plan.kw + 1)
            copied = plan.kw + pixels - 1
            left = x * plan.sw - plan.left
            for channel in range(0, channels, block):
                some = min(block, channels - channel)
                for i in range(input_rows):
                    iy = top + i * plan.dh
                    place = copy + i * copy_row
                    set_word(scratch, 2 * i, place)
                    set_word(scratch, 2 * i + 1, some * itemsize)
                    for kx in range(copied):
                        ix = left + kx * plan.dw
                        if iy >= 0 and iy < plan.h and ix >= 0 and ix < plan.w:
                            source = image + iy * plan.image_y + ix * plan.image_x
                            copy_bytes(place, source + channel * itemsize, some * itemsize)
                        else:
                            zero_bytes(place, some * itemsize)
                        place += some * itemsize
                compute_strip(
                    row,
                    scratch,
                    pixels * some,
                    plan.kh,
                    plan.kw,
                    filters,
                    channels,
                    channel,
                    target + x * plan.out_x + channel * itemsize,
                    plan.out_y,
                    rows,
                    residual,
                    plan.activation,
                )
            x += pixels
