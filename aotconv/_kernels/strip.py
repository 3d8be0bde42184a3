"""Channelwise convolution along the elements of rows, of whatever window, stride or number of
channels has no kernel of its own.

Vectors run along the output elements of a row as they lie in memory, pixel after pixel and channel
after channel: with stride 1 the inputs of neighbouring elements are neighbours too, so a vector
may begin and end anywhere, and one or three channels fill it as well as sixty-four.  Weights are
packed with the channels' period repeated, to be read from any channel on.  With other strides a
run ends with its pixel.

A tile is MR output rows by NR vectors, and each loaded row of inputs serves all the output rows
that it belongs to.  Where a pixel's window leaves the image at the left or right, the inputs are
copied between zeros; so are all pixels of few channels that do not lie side by side or have a
stride.  Rows above and below are read from a block of zeros.
"""

from __future__ import annotations

from .._plan.registry import SCRATCH_WORDS
from .epilogue import add_residuals, limits
from .runtime import set_word, tile_intrinsic, zero_bytes

SHORT_RUN = 128  # bytes of a pixel
MANY = 8  # pixels that share the copy of their taps


def gather(v, row, source, step, target, pixels, count):
    """Copy `count` neighbouring elements of each of `pixels` pixels, `step` bytes apart.

    source, target : addresses of the first elements; in the target the pixels follow each other.
    """
    lanes = row.lanes
    few = v.less(count, lanes)
    for p in v.loop(v.select(v.equal(count, 1), pixels, v.word(0))):
        v.copy(v.pointer(v.add(source, v.mul(p, step))), v.at(v.pointer(target), p), 0)
    pixels = v.select(v.equal(count, 1), v.word(0), pixels)
    for is_few in v.choose(few):
        for p in v.loop(pixels):
            start = v.pointer(v.add(source, v.mul(p, step)))
            place = v.pointer(v.add(target, v.mul(v.mul(p, count), row.itemsize)))
            if is_few:
                for i in v.loop(count):
                    v.copy(start, place, i)
                continue
            for i in v.loop(v.add(count, lanes - 1), step=lanes):
                i = v.minimum(i, v.add(count, -lanes))  # the last vector overlaps its neighbour
                v.store(v.load(start, i), place, i)


copy_pixels = tile_intrinsic(gather)


def strip(
    v,
    row,
    table,
    offsets,
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
    """Compute `length` neighbouring elements of MR output rows.

    table : address of ``MR + kh - 1`` pairs of words: for each input row the address of the first
        element's first tap, and 1; or the address of zeros, and 0.  Output row r takes its tap row
        i from input row r + i.
    offsets : address of kw words, the bytes from the first tap to each.
    weights : address of rows of weights, the bias and then one for each tap.  A row is
        ``channels + NR vectors`` elements, which repeat with the channels.
    first_channel : the channel of the first element.
    out : address of the first element of the first output row; the others lie `out_y` bytes apart.
    rows : how many of them are stored, 1 to MR.
    activation : 0 none, 1 relu, 2 relu6.

    Assumes that kh is at least MR.  Reads `length` elements at each tap of each input row; writes
    `length` elements of each stored row.  Neighbouring bytes are not touched.
    """
    n_rows, lanes, itemsize = row.pixels, row.lanes, row.itemsize
    bounds = limits(v, activation)
    width = v.add(channels, row.channels)

    def tile(element, vectors, count=None):
        """MR rows by some vectors, of which with `count` only so many elements."""
        channel = v.remainder(v.add(first_channel, element), channels)
        biases = v.at(v.pointer(weights), channel)
        taps = v.at(biases, width)
        starts = [v.load(biases, j * lanes) for j in range(vectors)]
        sums = [[v.cell(start) for start in starts] for _ in range(n_rows)]

        def input_row(i, outputs):
            """Multiply input row `i` with its tap row for each of the output rows `outputs`."""
            entry = v.mul(i, 2)
            first = v.load_pointer(table, entry, v.mul(element, itemsize))
            moves = v.load_word(table, v.add(entry, 1))
            for kx in v.loop(kw):
                at = v.offset(first, v.mul(moves, v.load_word(offsets, kx)))
                inputs = [
                    v.load(at, j * lanes)
                    if count is None
                    else v.load_first(v.add(count, -j * lanes), at, j * lanes)
                    for j in range(vectors)
                ]
                for r in outputs:
                    tap = v.add(v.mul(v.add(i, -r), kw), kx)
                    filters = v.at(taps, v.mul(tap, width))
                    for j in range(vectors):
                        total = sums[r][j]
                        total.set(v.fma(inputs[j], v.load(filters, j * lanes), total.get()))
                v.fence()

        for i in range(n_rows - 1):
            input_row(v.word(i), range(i + 1))
        for i in v.loop(kh, start=n_rows - 1):
            input_row(i, range(n_rows))
        for i in range(1, n_rows):
            input_row(v.add(kh, i - 1), range(i, n_rows))

        # Rows that are not stored write to the last one, before it is written itself: a branch
        # around a store would draw the row's arithmetic after it, out of order.
        for r in reversed(range(n_rows)):
            y = v.minimum(r, v.add(rows, -1))
            target = v.at(v.pointer(v.add(out, v.mul(y, out_y))), element)
            for j in range(vectors):
                result = v.clamp(sums[r][j].get(), *bounds)
                if count is None:
                    v.store(result, target, j * lanes)
                else:
                    v.store_first(v.add(count, -j * lanes), result, target, j * lanes)

    # The last tile of several goes back as far as it must, and computes some elements again.
    for several in v.choose(v.less(row.channels - 1, length)):
        if several:
            for element in v.loop(v.add(length, row.channels - 1), step=row.channels):
                last = v.minimum(element, v.add(length, -row.channels))
                tile(last, row.vectors)
        else:
            for whole in v.choose(v.less(lanes - 1, length)):
                if whole:
                    for element in v.loop(v.add(length, lanes - 1), step=lanes):
                        tile(v.minimum(element, v.add(length, -lanes)), 1)
                else:
                    tile(v.word(0), 1, length)


compute_strip = tile_intrinsic(strip)


def task(row, plan, images, weights, out, residual, scratch, staging, index):
    """Compute MR output rows of one image, a dilation apart.

    images, out : addresses of the first element; element strides of channels are 1, the others
        are the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of ``block_run`` zeros and NR vectors more; at plan.weights_offset bytes from
        there, 64-byte aligned, the rows that `strip` reads.
    scratch : SCRATCH_WORDS words, for the tables that `strip` reads, and behind them the copy of
        ``MR + kh - 1`` rows of inputs, each of ``kw`` pixels of at least one channel.

    Rows of the registry with MR above 1 assume strides of 1 from row to row.
    """
    itemsize = row.itemsize
    channels = plan.groups
    pixel_bytes = channels * itemsize
    apart = plan.dh if row.pixels > 1 else 1
    blocks = (plan.oh + row.pixels * apart - 1) // (row.pixels * apart) * apart
    n = index // blocks
    y = (index - n * blocks) // apart * row.pixels * apart + (index - n * blocks) % apart
    if y >= plan.oh:
        return
    rows = min(row.pixels, (plan.oh - y + apart - 1) // apart)
    rows_y = apart * plan.out_y
    input_rows = row.pixels + plan.kh - 1
    filters = weights + plan.weights_offset
    image = images + n * plan.image_n
    target = out + n * plan.out_n + y * plan.out_y
    top = y * plan.sh - plan.top
    activation = 0 if residual != 0 else plan.activation
    offsets = scratch + 16 * input_rows
    copy = offsets + 8 * plan.kw

    # Outputs from `first` to `last` have their windows inside the image's width.  Of few channels,
    # a pixel is too short a run: then all are copied, unless neighbours lie side by side.
    first = min((plan.left + plan.sw - 1) // plan.sw, plan.ow)
    span = (plan.kw - 1) * plan.dw + 1
    last = first
    if plan.w + plan.left >= span:
        last = max(first, min(plan.ow, (plan.w + plan.left - span) // plan.sw + 1))
    follow = plan.out_x == pixel_bytes
    if follow and not plan.merge_rows and pixel_bytes < SHORT_RUN:
        first = last = plan.ow

    for kx in range(plan.kw):
        set_word(offsets, kx, kx * plan.dw * plan.image_x)
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
                set_word(scratch, 2 * i + 1, 1 if inside else 0)
            compute_strip(
                row,
                scratch,
                offsets,
                min(plan.block_run, length - element),
                plan.kh,
                plan.kw,
                filters,
                channels,
                element % channels,
                target + x * plan.out_x + element * itemsize,
                rows_y,
                rows,
                activation,
            )

    # The others read a copy of their taps, between zeros, of as many pixels and channels as the
    # scratch holds.  The columns of a tap are those of the tap `phases` before, some pixels on;
    # so many taps are copied.
    row_bytes = (8 * SCRATCH_WORDS - (copy - scratch)) // input_rows // itemsize * itemsize
    phases = 1
    while phases * plan.dw % plan.sw != 0:
        phases += 1
    phases = min(phases, plan.kw)
    on = phases * plan.dw // plan.sw
    more = (plan.kw - 1) // phases * on
    if not follow or phases * (more + MANY) * pixel_bytes > row_bytes:
        phases, on, more = plan.kw, 0, 0
    block = min(channels, row_bytes // (phases * (more + 1) * itemsize))
    most = row_bytes // (phases * block * itemsize) - more
    if not follow or block < channels:
        most = 1
    for side in range(2):
        x = 0 if side == 0 else last
        end = first if side == 0 else plan.ow
        while x < end:
            pixels = min(end - x, most)
            copied = pixels + more
            for channel in range(0, channels, block):
                some = min(block, channels - channel)
                for kx in range(plan.kw):
                    at = kx % phases * copied + kx // phases * on
                    set_word(offsets, kx, at * some * itemsize)
                for i in range(input_rows):
                    iy = top + i * plan.dh
                    place = copy + i * row_bytes
                    set_word(scratch, 2 * i, place)
                    set_word(scratch, 2 * i + 1, 1)
                    for kx in range(phases):
                        # Of the copied columns, those from `before` to `behind` are the image's.
                        left = x * plan.sw - plan.left + kx * plan.dw
                        before, behind = 0, 0
                        if iy >= 0 and iy < plan.h:
                            before = min(max(-left + plan.sw - 1, 0) // plan.sw, copied)
                            end_of_row = max(plan.w - left + plan.sw - 1, 0) // plan.sw
                            behind = max(min(end_of_row, copied), before)
                        source = (
                            image + iy * plan.image_y + (left + before * plan.sw) * plan.image_x
                        )
                        zero_bytes(place, before * some * itemsize)
                        copy_pixels(
                            row,
                            source + channel * itemsize,
                            plan.sw * plan.image_x,
                            place + before * some * itemsize,
                            behind - before,
                            some,
                        )
                        zero_bytes(
                            place + behind * some * itemsize, (copied - behind) * some * itemsize
                        )
                        place += copied * some * itemsize
                compute_strip(
                    row,
                    scratch,
                    offsets,
                    pixels * some,
                    plan.kh,
                    plan.kw,
                    filters,
                    channels,
                    channel,
                    target + x * plan.out_x + channel * itemsize,
                    rows_y,
                    rows,
                    activation,
                )
            x += pixels
    if residual != 0:
        add_residuals(
            row,
            target,
            rows,
            rows_y,
            plan.ow,
            plan.out_x,
            channels,
            residual,
            plan.activation,
        )
