"""Channelwise convolution of images of few channels by a known window.

Vectors run along the elements of a row as they lie in memory, pixel after pixel and channel after
channel: one or three channels fill them as well as sixty-four.  A tile is MR output rows by NR
vectors, and each loaded row of inputs serves all the output rows that it belongs to.  Taps outside
the image are lanes that are not read, or rows of zeros.
"""

from __future__ import annotations

from .epilogue import add_residuals, limits
from .runtime import set_word, tile_intrinsic


def elements(v, row, table, length, left, width, channels, weights, activation):
    """Compute all elements of MR output rows.

    table : address of pairs of words: for each of ``MR + window - 1`` input rows the address of
        its first element and the bytes from an element to the next, then the same for each of the
        MR output rows.  Rows 0 bytes apart are one tile again and again.
    length : elements of an output row.
    left, width : output element e takes its tap kx from element ``e - left + kx * channels`` of
        the input row's `width` elements; the others are zeros.  With a period it is `channels`.
    weights : address of rows of weights, the bias and then one for each tap.  A row is whole pixels
        in whole vectors, aligned.
    activation : 0 none, 1 relu, 2 relu6.

    Reads the elements that are taps, and others of their rows; writes `length` elements of each
    output row.
    """
    n_rows, lanes, window = row.pixels, row.lanes, row.window
    bounds = limits(v, activation)
    input_rows = n_rows + window - 1
    period = row.period_vectors
    reach = row.reach
    panel = v.pointer(weights)
    # A load that crosses cache lines costs the load port two cycles, a shift half the time the
    # multipliers' port one.  With one channel, whose weights serve several vectors and leave the
    # load port free, every second tap is loaded.
    shifts, alternate = row.shifts and row.period, row.period == 1

    def tile(element, inside):
        """The tile from `element` on; unless `inside` the rows end somewhere in it."""
        sums = [
            [v.cell(v.load(panel, j % period * lanes, aligned=True)) for j in range(row.vectors)]
            for _ in range(n_rows)
        ]
        column = v.add(element, v.mul(left, -1))
        count = v.minimum(v.add(length, v.mul(element, -1)), row.channels)

        def load(start, index):
            if inside:
                return v.load(start, index)
            first = v.mul(v.add(column, index), -1)
            return v.load_between(first, v.add(first, width), start, index)

        for i in range(input_rows):
            step = v.load_word(table, 2 * i + 1)
            start = v.load_pointer(table, 2 * i, v.mul(column, step))
            if shifts:
                loaded = [load(start, j * lanes) for j in range(reach)]
            for kx in range(window):
                whole, rest = divmod(kx * row.period, lanes)
                if not shifts or (alternate and kx % 2):
                    tap = kx * row.period or v.mul(channels, kx)
                    inputs = [load(start, v.add(tap, j * lanes)) for j in range(row.vectors)]
                elif rest == 0:
                    inputs = loaded[whole:]
                else:
                    pairs = zip(loaded[whole:], loaded[whole + 1 :], strict=False)
                    inputs = [v.shift(a, b, rest) for a, b in pairs]
                for r in range(n_rows):
                    ky = i - r
                    if not 0 <= ky < window:
                        continue
                    tap = (1 + ky * window + kx) * period
                    filters = [
                        v.load(panel, (tap + j) * lanes, aligned=True) for j in range(period)
                    ]
                    for j in range(row.vectors):
                        total = sums[r][j]
                        total.set(v.fma(inputs[j], filters[j % period], total.get()))
                if not shifts:
                    v.fence()
            v.fence()
            # A row is stored as soon as it is complete: LLVM puts off what is needed late, and
            # would spill its inputs.
            r = i - window + 1
            if r >= 0:
                output = 2 * (input_rows + r)
                step = v.load_word(table, output + 1)
                target = v.load_pointer(table, output, v.mul(element, step))
                for j in range(row.vectors):
                    result = v.clamp(sums[r][j].get(), *bounds)
                    if inside:
                        v.store(result, target, j * lanes)
                    else:
                        v.store_first(v.add(count, -j * lanes), result, target, j * lanes)
                v.fence()

    # Tiles that begin in these columns are neither read nor stored past an end.
    columns = v.minimum(
        v.add(width, 1 - row.reach * lanes), v.add(length, v.add(1 - row.channels, v.mul(left, -1)))
    )
    for element in v.loop(v.add(length, row.channels - 1), step=row.channels):
        column = v.add(element, v.mul(left, -1))
        for inside in v.choose(v.below(column, v.maximum(columns, 0))):
            tile(element, inside)


compute_elements = tile_intrinsic(elements)


def task(row, plan, images, weights, out, residual, scratch, staging, index):
    """Compute MR output rows of one image.

    images, out : addresses of the first element; pixels lie side by side, the other strides are
        the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of zeros for a tile's inputs; at plan.weights_offset bytes from there,
        64-byte aligned, the rows that `elements` reads.
    scratch : SCRATCH_WORDS words, for the outputs of a tile's row and the table.

    Assumes strides and dilations of 1, and a window and channels that the row serves.
    """
    itemsize = row.itemsize
    channels = plan.groups
    input_rows = row.pixels + row.window - 1
    blocks = (plan.oh + row.pixels - 1) // row.pixels
    n = index // blocks
    y = (index - n * blocks) * row.pixels
    top = y - plan.top

    table = scratch + row.channels * itemsize
    for i in range(input_rows):
        inside = top + i >= 0 and top + i < plan.h
        address = images + n * plan.image_n + (top + i) * plan.image_y
        set_word(table, 2 * i, address if inside else weights)
        set_word(table, 2 * i + 1, itemsize if inside else 0)
    for r in range(row.pixels):
        # Rows below the last are written where nobody reads them.
        inside = y + r < plan.oh
        place = 2 * (input_rows + r)
        address = out + n * plan.out_n + (y + r) * plan.out_y
        set_word(table, place, address if inside else scratch)
        set_word(table, place + 1, itemsize if inside else 0)
    compute_elements(
        row,
        table,
        plan.ow * channels,
        plan.left * channels,
        plan.w * channels,
        channels,
        weights + plan.weights_offset,
        0 if residual != 0 else plan.activation,
    )
    if residual != 0:
        add_residuals(
            row,
            out + n * plan.out_n + y * plan.out_y,
            min(row.pixels, plan.oh - y),
            plan.out_y,
            plan.ow,
            plan.out_x,
            channels,
            residual,
            plan.activation,
        )
