"""Depthwise convolution of a known window and stride: vectors run along the channels.

A tile is MR output rows by NR pixels of one vector of channels.  Each loaded input serves every
output of the tile that it belongs to, and each loaded weight the NR pixels of a row.  Where a
pixel's window leaves the image at the left or right, the inputs are copied between zeros; rows
above and below are read from a block of zeros.
"""

from __future__ import annotations

from .registry import SCRATCH_WORDS
from .runtime import copy_bytes, set_word, tile_intrinsic, zero_bytes
from .simd import epilogue


def columns(v, row, table, pixels, channels, panel, out, out_x, out_y, rows, residual, activation):
    """Compute neighbouring pixels of MR output rows, of one vector of channels.

    table : address of ``(MR - 1) * stride + window`` pairs of words: for each input row the
        address of the first pixel's first tap, and the bytes from a pixel to the next.
    pixels, channels : how many are computed; at least 1, and at most a vector.
    panel : address of a vector of biases, and of one for each tap, aligned.
    out : address of the first pixel of the first output row; pixels lie `out_x` bytes apart, rows
        `out_y`.
    rows : how many output rows are stored, 1 to MR.
    residual : bytes from an output element to its residual, which is added; 0: none.
    activation : 0 none, 1 relu, 2 relu6.

    Reads `channels` elements of ``(pixels - 1) * stride + window`` pixels of each input row; writes
    as many of `pixels` pixels of each stored row.  Neighbouring bytes are not touched.
    """
    window, stride, lanes = row.window, row.stride, row.lanes
    weights = v.pointer(panel)

    def tile(first, width, whole=True):
        """MR rows by `width` pixels from the pixel `first` on."""
        bias = v.load(weights, aligned=True)
        sums = [[v.cell(bias) for _ in range(width)] for _ in range(row.pixels)]
        for i in range((row.pixels - 1) * stride + window):
            step = v.load_word(table, 2 * i + 1)
            start = v.load_pointer(table, 2 * i, v.mul(v.mul(first, stride), step))
            at = [v.offset(start, v.mul(x, step)) for x in range((width - 1) * stride + window)]
            inputs = [v.load(each) if whole else v.load_first(channels, each) for each in at]
            for r in range(row.pixels):
                ky = i - r * stride
                if not 0 <= ky < window:
                    continue
                for kx in range(window):
                    weight = v.load(weights, (1 + ky * window + kx) * lanes, aligned=True)
                    for x in range(width):
                        total = sums[r][x]
                        total.set(v.fma(inputs[x * stride + kx], weight, total.get()))
            v.fence()
        # Rows that are not stored write to the last one, before it is written itself: a branch
        # around a store would draw the row's arithmetic after it, out of order.
        for finish in epilogue(v, residual, activation):
            for r in reversed(range(row.pixels)):
                y = v.minimum(r, v.add(rows, -1))
                for x in range(width):
                    place = v.add(v.mul(y, out_y), v.mul(v.add(first, x), out_x))
                    target = v.pointer(v.add(out, place))
                    total = sums[r][x].get()
                    if whole:
                        v.store(finish(total, target), target)
                    else:
                        v.store_first(channels, finish(total, target, 0, channels), target)

    # The last tile of several goes back as far as it must, and computes some pixels again.
    for whole in v.choose(v.equal(channels, lanes)):
        if not whole:
            for pixel in v.loop(pixels):
                tile(pixel, 1, whole=False)
            continue
        for several in v.choose(v.less(row.vectors - 1, pixels)):
            if several:
                for pixel in v.loop(v.add(pixels, row.vectors - 1), step=row.vectors):
                    tile(v.minimum(pixel, v.add(pixels, -row.vectors)), row.vectors)
            else:
                for pixel in v.loop(pixels):
                    tile(pixel, 1)


compute_columns = tile_intrinsic(columns)


def task(row, plan, images, weights, out, residual, scratch, staging, index):
    """Compute MR output rows of one image.

    images, out : addresses of the first element; element strides of channels are 1, the others
        are the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of a vector of zeros; at plan.weights_offset bytes from there, 64-byte
        aligned, for each vector of channels its biases and taps, each a vector.
    scratch : SCRATCH_WORDS words, for the table of pairs that `columns` reads and behind it the
        copy of as many rows of inputs, each of at least a window.

    Assumes dilations of 1, and strides and a window that are the row's.
    """
    itemsize = row.itemsize
    vector = row.lanes * itemsize
    channels = plan.groups
    blocks = (plan.oh + row.pixels - 1) // row.pixels
    n = index // blocks
    y = (index - n * blocks) * row.pixels
    rows = min(row.pixels, plan.oh - y)
    input_rows = (row.pixels - 1) * row.stride + row.window
    panels = weights + plan.weights_offset
    panel_bytes = (1 + row.window * row.window) * vector
    image = images + n * plan.image_n
    target = out + n * plan.out_n + y * plan.out_y
    top = y * row.stride - plan.top

    # Outputs from `first` to `last` have their windows inside the image's width.
    first = min((plan.left + row.stride - 1) // row.stride, plan.ow)
    last = first
    if plan.w + plan.left >= row.window:
        last = max(first, min(plan.ow, (plan.w + plan.left - row.window) // row.stride + 1))
    # A block of pixels is left before all its channels are done: their inputs share cache lines.
    copy = scratch + 16 * input_rows
    copied_most = (8 * SCRATCH_WORDS - 16 * input_rows) // (input_rows * vector)
    border = (copied_most - row.window) // row.stride + 1

    x = 0
    while x < plan.ow:
        if x < first:
            pixels, inside = min(first - x, border), False
        elif x < last:
            pixels, inside = min(last - x, plan.block_run), True
        else:
            pixels, inside = min(plan.ow - x, border), False
        left = x * row.stride - plan.left
        copied = (pixels - 1) * row.stride + row.window
        for channel in range(0, channels, row.lanes):
            some = min(row.lanes, channels - channel)
            for i in range(input_rows):
                iy = top + i
                source = image + iy * plan.image_y + left * plan.image_x + channel * itemsize
                step = plan.image_x
                if iy < 0 or iy >= plan.h:
                    source, step = weights, 0
                elif not inside:
                    place = copy + i * copied_most * vector
                    for p in range(copied):
                        if left + p >= 0 and left + p < plan.w:
                            copy_bytes(place + p * vector, source + p * step, some * itemsize)
                        else:
                            zero_bytes(place + p * vector, some * itemsize)
                    source, step = place, vector
                set_word(scratch, 2 * i, source)
                set_word(scratch, 2 * i + 1, step)
            compute_columns(
                row,
                scratch,
                pixels,
                some,
                panels + channel // row.lanes * panel_bytes,
                target + x * plan.out_x + channel * itemsize,
                plan.out_x,
                plan.out_y,
                rows,
                residual,
                plan.activation,
            )
        x += pixels
