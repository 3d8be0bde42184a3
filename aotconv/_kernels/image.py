"""Channelwise convolution of images of few channels by a known window.

Vectors run along the elements of a row as they lie in memory, pixel after pixel and channel after
channel: one or three channels fill them as well as sixty-four.  A tile is MR output rows by NR
vectors, and each loaded row of inputs serves all the output rows that it belongs to.  Taps outside
the image are lanes that are not read, or rows of zeros; or inputs are copied with zeros around
them.

Of one channel under nine taps, whose rows are short, a tile is a vector wide and goes down many
rows: weights stay in registers, and a row of inputs is loaded once.
"""

from __future__ import annotations

import itertools

from .._plan.family import ALIGNMENT as CACHE_LINE
from .epilogue import NO_ACTIVATION, finish, limits
from .lines import LINE, LINE_BYTES, point_at_inputs, point_at_outputs, write_line
from .runtime import ceil_div, chapter, copy_bytes, tile_intrinsic


def elements(v, row, table, copies, length, left, width, channels, weights, activation):
    """Compute all elements of MR output rows.

    table : address of a LINE for each of ``(MR - 1) * stride + window`` input rows: its first
        element and the bytes from an element to the next; then for each of the MR output rows.
        Rows 0 bytes apart are one tile again and again.
    copies : address of a LINE for each input row of a row that copies: memory for `reach` vectors,
        their elements side by side.
    length : elements of an output row, at least those of a tile.
    left, width : output element e takes its tap kx from element ``e * stride - left + kx *
        channels`` of the input row's `width` elements; the others are zeros.  With a period it is
        `channels`.
    weights : address of rows of weights, the bias and then one for each tap.  A row is whole pixels
        in whole vectors, aligned.
    activation : its place in FINISHES.

    Reads the elements that are taps, and others of their rows; writes `length` elements of each
    output row, and what `copies` point at.
    """
    n_rows, lanes, window, stride = row.pixels, row.lanes, row.window, row.stride
    bounds = limits(v, activation)
    input_rows = (n_rows - 1) * stride + window
    period = row.period_vectors
    reach = row.reach
    panel = v.pointer(weights)
    # Bytes from a tile's rows of inputs to those of the tile below: of rows that lie in the image.
    first, second = (LINE.load(v, table, i, "address") for i in (1, 2))
    further = v.mul(v.sub(second, first), n_rows * stride)
    # A load that crosses cache lines costs the load port two cycles, a shift half the time the
    # multipliers' port one.  With one channel, whose weights serve several vectors and leave the
    # load port free, every second tap is loaded.
    shifts, alternate = row.shifts and row.period and stride == 1, row.period == 1

    def begin(lines, i, column):
        step = LINE.load(v, lines, i, "step")
        return v.pointer(v.add(LINE.load(v, lines, i, "address"), v.mul(column, step)))

    def between(start, column, index):
        """The vector at `index` of an input row that begins `column` elements before `start`, or
        after; what lies outside of it is 0."""
        first = v.mul(v.add(column, index), -1)
        return v.load_between(first, v.add(first, width), start, index)

    def copy(column):
        """Copy what a tile reads of input rows that begin or end in it."""
        for i in v.loop(input_rows):
            start = begin(table, i, column)
            target = v.pointer(LINE.load(v, copies, i, "address"))
            for j in range(reach):
                v.store(between(start, column, j * lanes), target, j * lanes)

    def fetch(start):
        """Fetch what the tile below reads of its row of inputs, which begins where this one does:
        rows of large images of one channel are streams too short for a CPU to follow all."""
        for i in range(0, stride * row.vectors, CACHE_LINE // (lanes * row.itemsize)):
            v.prefetch(v.at(v.offset(start, further), i * lanes), writes=False)

    def tile(element, lines, column, masked=()):
        """The tile from `element` on, whose taps begin in `column` of the input rows of `lines`;
        these may begin or end in the vectors that are `masked`."""
        sums = [
            [v.cell(v.load(panel, j % period * lanes, aligned=True)) for j in range(row.vectors)]
            for _ in range(n_rows)
        ]

        def load(start, index, vector):
            return between(start, column, index) if vector in masked else v.load(start, index)

        for i in range(input_rows):
            start = begin(lines, i, column)
            if row.period == 1 and i >= window - stride and not masked:
                fetch(start)
            if shifts:
                loaded = [load(start, j * lanes, j) for j in range(reach)]
            for kx in range(window):
                whole, rest = divmod(kx * row.period, lanes)
                if stride == 2:
                    if kx % 2 == 0:  # whose elements are those of two taps
                        halves = [
                            load(start, kx + j * lanes, j // 2) for j in range(2 * row.vectors)
                        ]
                    pairs = zip(halves[::2], halves[1::2], strict=True)
                    inputs = [v.every_second(a, b, kx % 2) for a, b in pairs]
                elif not shifts or (alternate and kx % 2):
                    tap = kx * row.period or v.mul(channels, kx)
                    inputs = [load(start, v.add(tap, j * lanes), j) for j in range(row.vectors)]
                elif rest == 0:
                    inputs = loaded[whole:]
                else:
                    pairs = zip(loaded[whole:], loaded[whole + 1 :], strict=False)
                    inputs = [v.shift(a, b, rest) for a, b in pairs]
                for r in range(n_rows):
                    ky = i - r * stride
                    if not 0 <= ky < window:
                        continue
                    tap = (1 + ky * window + kx) * period
                    filters = [
                        v.load(panel, (tap + j) * lanes, aligned=True) for j in range(period)
                    ]
                    for j in range(row.vectors):
                        total = sums[r][j]
                        total.set(v.fma(inputs[j], filters[j % period], total.get()))
                if not shifts and (stride == 1 or kx % 2):
                    v.fence()
            v.fence()
            # A row is stored as soon as it is complete: LLVM puts off what is needed late, and
            # would spill its inputs.
            r, rest = divmod(i - window + 1, stride)
            if r >= 0 and rest == 0:
                step = LINE.load(v, table, input_rows + r, "step")
                first = LINE.load(v, table, input_rows + r, "address")
                target = v.pointer(v.add(first, v.mul(element, step)))
                for j in range(row.vectors):
                    total = sums[r][j].get()
                    result = v.clamp(total if stride == 1 else v.in_order(total), *bounds)
                    v.store(result, target, j * lanes)
                v.fence()

    # Tiles that begin in these columns read no element past an end.
    if shifts:
        beyond = v.word(reach * lanes)
    else:
        beyond = v.add(stride * row.channels, v.mul(channels, window - 1))
    last_column = v.sub(width, beyond)
    columns = v.maximum(v.add(last_column, 1), 0)
    every = range(max(reach, row.vectors))

    def edge(element, column):
        """A tile in which input rows begin, or end.  Where vectors hold one channel this is most
        often in the first vector alone, or in the last, and masks take as long as products."""
        if shifts:
            tile(element, table, column, every)
            return
        near = stride * lanes
        columns = v.maximum(v.add(last_column, near + 1), 0)
        begins = v.below(v.add(column, near), columns)
        ends = v.below(column, columns)
        for first in v.choose(begins):
            if first:
                tile(element, table, column, (0,))
            else:
                for last in v.choose(ends):
                    tile(element, table, column, (row.vectors - 1,) if last else every)

    # The last tile goes back as far as it must, and computes some elements again.
    for element in v.loop(v.add(length, row.channels - 1), step=row.channels):
        element = v.minimum(element, v.add(length, -row.channels))
        column = v.add(v.mul(element, stride), v.mul(left, -1))
        inside = v.below(column, columns)
        for within in v.choose(inside):
            if row.copies:
                if not within:
                    copy(column)
            elif within:
                tile(element, table, column)
            else:
                edge(element, column)
        if row.copies:
            lines, column = v.select(inside, table, copies), v.select(inside, column, v.word(0))
            tile(element, lines, column)


compute_elements = tile_intrinsic(elements)


def descent(
    v,
    row,
    image,
    row_step,
    top,
    height,
    left,
    width,
    zeros,
    out,
    out_step,
    rows,
    length,
    weights,
    activation,
):
    """Compute all elements of neighbouring output rows of one channel.

    image : address of the image, whose `height` rows of `width` elements lie `row_step` bytes
        apart; elements side by side.
    top, left : the first output's first tap is in row `top` and column ``-left``; others of the
        rows are `stride` apart.  Taps outside the image are zeros.
    zeros : address of as many of them as a tile's row of inputs has elements.
    out : address of the first of `rows` output rows of `length` elements, `out_step` bytes apart.
    weights : address of vectors, aligned: the bias, and each tap.
    activation : its place in FINISHES.

    Reads the elements that are taps; writes the outputs.  Of a row that does not descend this is
    empty.
    """
    if not row.descends:
        return
    lanes, window, stride = row.lanes, row.window, row.stride
    bounds = limits(v, activation)

    # What is loaded of a row of inputs, by the places of first elements behind the first tap.
    places = [kx + j * lanes for kx in range(window + 1 - stride) for j in range(stride)]

    def tile(element, masked):
        """A vector of each row, from `element` on; input rows may begin or end in what is loaded
        from the places that are `masked`."""
        panel = v.pointer(weights)
        bias = v.load(panel, aligned=True)
        taps = [v.load(panel, (1 + tap) * lanes, aligned=True) for tap in range(window**2)]
        column = v.add(v.mul(element, stride), v.mul(left, -1))
        first = v.at(v.offset(v.pointer(image), v.mul(top, row_step)), column)
        y, start = v.cell(top), v.cell(first)
        target = v.cell(v.at(v.pointer(out), element))
        sums = [v.cell(bias) for _ in range(-(-window // stride))]  # of rows one behind another

        def load(place, index):
            if index not in masked:
                return v.load(place, index)
            begin = v.mul(v.add(column, index), -1)
            return v.load_between(begin, v.add(begin, width), place, index)

        def inputs_of(place):
            """The inputs of each tap of a row."""
            if stride == 1:
                return [load(place, kx) for kx in range(window)]
            pairs = [(load(place, kx), load(place, kx + lanes)) for kx in range(window - 1)]
            # The last tap's are the second ones of the pair before: no element behind is read.
            taken = [(min(kx, window - 2), kx == window - 1) for kx in range(window)]
            return [v.every_second(*pairs[kx], int(second)) for kx, second in taken]

        def input_row(ky):
            """Multiply the next row of inputs, tap row `ky` of the first sum's output."""
            place = v.select(v.below(y.get(), height), start.get(), v.pointer(zeros))
            # The next tile's: a run of short rows is no stream that a CPU would follow.
            ahead = v.mul(row_step, v.mul(rows, stride))
            v.prefetch(v.offset(start.get(), ahead), writes=False)
            y.set(v.add(y.get(), 1))
            start.set(v.offset(start.get(), row_step))
            for kx, inputs in enumerate(inputs_of(place)):
                for i, total in enumerate(sums):
                    tap = ky - i * stride
                    if 0 <= tap < window:
                        total.set(v.fma(inputs, taps[tap * window + kx], total.get()))
            v.fence()

        def store():
            total = sums[0].get()
            result = v.clamp(total if stride == 1 else v.in_order(total), *bounds)
            if len(masked) < len(places):
                v.store(result, target.get())
                return
            for few in v.choose(v.less(length, lanes)):
                if few:
                    v.store_first(length, result, target.get())
                else:
                    v.store(result, target.get())

        for ky in range(window - stride):
            input_row(ky)
        for _ in v.loop(rows):
            for ky in range(window - stride, window):
                input_row(ky)
            store()
            target.set(v.offset(target.get(), out_step))
            for total, behind in itertools.pairwise(sums):
                total.set(behind.get())
            sums[-1].set(bias)

    # Tiles that begin in these columns read no element past an end; of those that begin a column
    # before, or behind, the first or the last load alone does.
    columns = v.add(v.sub(width, stride * (lanes - 1) + window), 1)
    few = v.less(length, lanes)
    columns, nearly = (
        v.select(few, v.word(0), v.maximum(v.add(columns, more), 0)) for more in (0, 2)
    )
    for element in v.loop(v.add(length, lanes - 1), step=lanes):
        element = v.maximum(v.minimum(element, v.add(length, -lanes)), 0)
        column = v.add(v.mul(element, stride), v.mul(left, -1))
        for inside in v.choose(v.below(column, columns)):
            if inside:
                tile(element, ())
            else:
                for is_near in v.choose(v.below(v.add(column, 1), nearly)):
                    tile(element, (places[0], places[-1]) if is_near else places)


compute_descent = tile_intrinsic(descent)


@chapter
def compute_rows(row, plan, y, image, target, weights, residual, scratch):
    """Compute MR output rows of one image, from row `y` on, but for what `finish` does."""
    itemsize, channels = row.itemsize, plan.groups
    tile_bytes = row.channels * itemsize
    length = plan.ow * channels
    is_short = length < row.channels  # than a tile, which is copied then
    inputs = (row.pixels - 1) * row.stride + row.window
    copied, copied_bytes = scratch + row.pixels * tile_bytes, row.reach * row.lanes * itemsize
    table = copied + inputs * copied_bytes
    outputs = table + inputs * LINE_BYTES
    copies = outputs + row.pixels * LINE_BYTES
    point_at_inputs(plan, table, inputs, y * row.stride - plan.top, image, itemsize, zeros=weights)
    if is_short:
        for i in range(row.pixels):
            write_line(outputs, i, address=scratch + i * tile_bytes, step=itemsize)
    else:
        # Rows below the last are written where nobody reads them.
        point_at_outputs(plan, outputs, row.pixels, y, target, itemsize, spill=scratch)
    if row.copies:
        for i in range(inputs):
            write_line(copies, i, address=copied + i * copied_bytes, step=itemsize)
    compute_elements(
        row,
        table=table,
        copies=copies,
        length=max(length, row.channels),
        left=plan.left * channels,
        width=plan.w * channels,
        channels=channels,
        weights=weights + plan.weights_offset,
        activation=NO_ACTIVATION if residual != 0 else plan.activation,
    )
    if is_short:
        for i in range(min(row.pixels, plan.oh - y)):
            copy_bytes(target + (y + i) * plan.out_y, scratch + i * tile_bytes, length * itemsize)


@chapter
def compute_down(row, plan, y, rows, image, target, weights, residual):
    """Compute output rows of one image of one channel, from row `y` on, but for what `finish`
    does."""
    compute_descent(
        row,
        image=image,
        row_step=plan.image_y,
        top=y * row.stride - plan.top,
        height=plan.h,
        left=plan.left,
        width=plan.w,
        zeros=weights,
        out=target + y * plan.out_y,
        out_step=plan.out_y,
        rows=rows,
        length=plan.ow,
        weights=weights + plan.weights_offset,
        activation=NO_ACTIVATION if residual != 0 else plan.activation,
    )


def task(row, plan, images, weights, out, residual, scratch, staging, index):
    """Compute `task_rows` output rows of one image.

    images, out : addresses of the first element; pixels lie side by side, the other strides are
        the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of zeros for a tile's inputs; at plan.weights_offset bytes from there,
        64-byte aligned, the rows that `elements` reads.
    scratch : SCRATCH_WORDS words, for the outputs of a tile, copied inputs and the tables.

    Assumes one plane, dilations of 1, and strides, a window and channels that the row serves;
    task_rows is a multiple of MR, or of `down`.
    """
    blocks = ceil_div(plan.oh, plan.task_rows)
    n = index // blocks
    first = (index - n * blocks) * plan.task_rows
    image, target = images + n * plan.image_n, out + n * plan.out_n
    step = row.pixels
    if row.descends and plan.down > 0:
        step = plan.down
    for y in range(first, min(first + plan.task_rows, plan.oh), step):
        rows = min(step, plan.oh - y)
        if row.descends and plan.down > 0:
            compute_down(row, plan, y, rows, image, target, weights, residual)
        else:
            compute_rows(row, plan, y, image, target, weights, residual, scratch)
        finish(
            row,
            plan,
            out=target + y * plan.out_y,
            rows=rows,
            out_y=plan.out_y,
            pixels=plan.ow,
            channels=plan.groups,
            residual=residual,
        )
