"""Channelwise convolution by any window, of whatever has no kernel of its own.

A tile is MR output rows by NR vectors, which lie some whole pixels apart: so they share their
weights, of which one vector is loaded for all, and each loaded input serves all the output rows
that it belongs to.  Where a pixel has channels for a vector, vectors run along them, and lie a
pixel apart.  Of fewer channels they run along the elements of a row as they lie in memory, pixel
after pixel and channel after channel; weights are packed with the channels' period repeated, to be
read from any channel on, and of one channel once, to be loaded into all lanes.

Taps above and below, in front and behind the image are skipped.  Where a pixel's window leaves it
at the left or right, the inputs are copied between zeros; so are all pixels of few channels that do
not lie side by side or have a stride, and all where a weight is not finite, whose products with
zeros are no zeros.
"""

from __future__ import annotations

from collections import namedtuple

from .epilogue import NO_ACTIVATION, finish, limits
from .runtime import ceil_div, chapter, subroutine, tile_intrinsic

UNROLLED = 3  # taps of a row, as most windows have: their loops take as long as a third of them


def between_zeros(v, row, source, step, target, before, pixels, behind, count):
    """Copy `count` neighbouring elements of each of `pixels` pixels, `step` bytes apart, so that
    they follow each other, between zeros for so many pixels before and behind.

    source, target : addresses of the first elements, in the target of the zeros before them.

    Reads what lies between them, too, and writes less than a vector behind.
    """
    lanes, itemsize = row.lanes, row.itemsize
    target, zeros = v.pointer(target), v.constant(0.0)

    def fill(place, n):
        for i in v.loop(v.add(n, lanes - 1), step=lanes):
            v.store(zeros, place, i)

    fill(target, v.mul(before, count))
    place, n = v.at(target, v.mul(before, count)), v.mul(pixels, count)
    # Pixels side by side are one of many elements.
    beside = v.equal(step, v.mul(count, itemsize))
    pixels = v.select(beside, v.minimum(pixels, 1), pixels)
    size = v.select(beside, n, count)
    # Of every second element whole vectors, as long as one more pixel is behind them: the last
    # one's neighbour need not be in memory.
    done = v.cell(v.word(0))
    halved = v.select(v.equal(step, 2 * itemsize), v.equal(count, 1), v.less(1, 0))
    for _ in v.when(halved):
        for p in v.loop(v.add(pixels, -1), step=lanes):
            start = v.pointer(v.add(source, v.mul(p, step)))
            halves = v.load(start), v.load(start, lanes)
            v.store(v.in_order(v.every_second(*halves, 0)), place, p)
            done.set(v.add(p, lanes))
    for is_few in v.choose(v.less(size, lanes)):
        for p in v.loop(pixels, start=done.get()):
            start = v.pointer(v.add(source, v.mul(p, step)))
            to = v.at(place, v.mul(p, count))
            if is_few:
                v.copy(start, to, 0)
                for i in v.loop(size, start=1):
                    v.copy(start, to, i)
                continue
            for i in v.loop(v.add(size, lanes - 1), step=lanes):
                i = v.minimum(i, v.add(size, -lanes))  # the last vector overlaps its neighbour
                v.store(v.load(start, i), to, i)
    fill(v.at(place, n), v.mul(behind, count))


copy_between_zeros = tile_intrinsic(between_zeros)


def strip(
    v,
    row,
    source,
    plane_step,
    row_step,
    turn_step,
    tap_step,
    pixel_step,
    planes,
    first_row,
    end_row,
    turn,
    taps,
    kh,
    biases,
    weights,
    tap_weights,
    row_weights,
    plane_weights,
    panel,
    channels,
    vectors,
    blocks,
    pixels,
    span,
    elements,
    out,
    out_y,
    out_x,
    rows,
    activation,
):
    """Compute neighbouring pixels of MR output rows.

    source : address of the first pixel's first tap; it need not be in memory, but the taps that
        are multiplied are.
    plane_step, row_step, pixel_step : bytes from one plane of taps to the next, from one row of
        inputs, and from one pixel of outputs to the next.
    turn_step, tap_step : of a row's taps each is `tap_step` bytes from the last, but every `turn`
        of them lie `turn_step` bytes from those before.
    planes, first_row, end_row, taps : what is multiplied: so many planes, the rows of inputs from
        the first to before the last, and so many taps of a row.  Output row r takes its tap row i
        from input row r + i, and has `kh` of them.
    biases, weights : address of the first bias, and bytes from there to the weights of the first
        tap of a plane's first row.
    tap_weights, row_weights, plane_weights : bytes from the weights of a tap to the next one's, and
        so on.
    panel : bytes from the weights of a vector of channels to the next one's; 0: vectors run along
        a row.
    channels : after how many elements weights repeat.
    vectors : of a tile: NR, half as many, or one.
    blocks, pixels, span, elements : tiles go through so many blocks, which fill `pixels` pixels;
        the last goes back as far as it must.  In a block each vector has `span` pixels, whose
        `elements` elements it goes through.
    out : address of the first pixel of the first output row; the others lie `out_y` bytes apart,
        pixels `out_x`.
    rows : how many rows are stored, 1 to MR.
    activation : its place in FINISHES.

    Assumes that kh is at least MR - 1, that pixels fill a block, and where elements are fewer than
    a vector's that there is one vector in a tile, and memory behind its inputs.  Reads `elements`
    elements at each tap, or a vector; writes as many of each stored row.  Neighbouring bytes are
    not touched.
    """
    n_rows, lanes, itemsize = row.pixels, row.lanes, row.itemsize
    bounds = limits(v, activation)
    in_step, out_step = v.mul(span, pixel_step), v.mul(span, out_x)
    next_turn = v.sub(turn_step, v.mul(tap_step, v.add(turn, -1)))  # from the last tap of a turn

    def tile(start, first, width, target):
        """MR rows by `width` vectors: the first element's first tap is at `start`, its weights are
        `first` bytes behind the first one's, and its output is at `target`."""
        places = [v.mul(in_step, j) for j in range(width)]

        def weight_at(pointer, offset):
            pointer = v.offset(pointer, offset)
            return v.splat(pointer) if row.period else v.load(pointer)

        bias = weight_at(v.pointer(biases), first)
        sums = [[v.cell(bias) for _ in range(width)] for _ in range(n_rows)]

        def input_row(plane, kernel, i, outputs, unrolled):
            """Multiply input row `i` of a plane with its tap row for each of the output rows
            `outputs`.  `plane` is where its first row is, `kernel` where its weights are; a row of
            UNROLLED taps, in one turn, may be `unrolled`."""
            last = max(outputs)  # whose tap row is the first
            behind = [v.mul(row_weights, last - r) for r in outputs]
            tap = v.cell(v.hidden(v.offset(plane, v.mul(i, row_step))))
            weight = v.cell(v.hidden(v.offset(kernel, v.mul(v.add(i, -last), row_weights))))
            left = v.cell(turn)
            for _ in range(UNROLLED) if unrolled else v.loop(taps):
                factors = [weight_at(weight.get(), offset) for offset in behind]
                for j, place in enumerate(places):
                    inputs = v.load(v.offset(tap.get(), place))
                    for r, factor in zip(outputs, factors, strict=True):
                        total = sums[r][j]
                        total.set(v.fma(inputs, factor, total.get()))
                step = tap_step
                if not unrolled:
                    left.set(v.add(left.get(), -1))
                    ends = v.equal(left.get(), 0)
                    left.set(v.select(ends, turn, left.get()))
                    step = v.select(ends, next_turn, tap_step)
                tap.set(v.offset(tap.get(), step))
                weight.set(v.offset(weight.get(), tap_weights))
                v.fence()

        def column(plane, kernel, start, stop):
            """The same of all output rows, for the input rows from `start` to `stop`, excluded, of
            windows that are one tap wide: a loop within a loop would take as long as products."""
            tap = v.cell(v.hidden(v.offset(plane, v.mul(start, row_step))))
            first = v.mul(v.sub(start, n_rows - 1), row_weights)
            weight = v.cell(v.hidden(v.offset(kernel, first)))
            for _ in v.loop(stop, start=start):
                factors = [
                    weight_at(weight.get(), v.mul(row_weights, n_rows - 1 - r))
                    for r in range(n_rows)
                ]
                for j, place in enumerate(places):
                    inputs = v.load(v.offset(tap.get(), place))
                    for r, factor in enumerate(factors):
                        sums[r][j].set(v.fma(inputs, factor, sums[r][j].get()))
                tap.set(v.offset(tap.get(), row_step))
                weight.set(v.offset(weight.get(), row_weights))
                v.fence()

        def multiply(unrolled):
            """Go through all planes and rows."""
            plane = v.cell(v.pointer(start))
            kernel = v.cell(v.offset(v.pointer(biases), v.add(weights, first)))
            inside = v.sub(end_row, first_row)
            for _ in v.loop(planes):
                for i in range(n_rows - 1):
                    for _ in v.when(v.below(v.sub(i, first_row), inside)):
                        input_row(plane.get(), kernel.get(), v.word(i), range(i + 1), unrolled)
                start_row, stop_row = v.maximum(first_row, n_rows - 1), v.minimum(end_row, kh)
                may_be_column = n_rows > 1 and not unrolled
                for is_column in v.choose(v.equal(taps, 1)) if may_be_column else (False,):
                    if is_column:
                        column(plane.get(), kernel.get(), start_row, stop_row)
                        continue
                    for i in v.loop(stop_row, start=start_row):
                        input_row(plane.get(), kernel.get(), i, range(n_rows), unrolled)
                for r in range(1, n_rows):
                    i = v.add(kh, r - 1)
                    for _ in v.when(v.below(v.sub(i, first_row), inside)):
                        input_row(plane.get(), kernel.get(), i, range(r, n_rows), unrolled)
                plane.set(v.offset(plane.get(), plane_step))
                kernel.set(v.offset(kernel.get(), plane_weights))

        in_turn = v.select(v.less(turn, UNROLLED), v.word(0), taps)
        if n_rows > 1 and width == row.vectors:
            for unrolled in v.choose(v.equal(in_turn, UNROLLED)):
                multiply(unrolled)
        else:
            multiply(unrolled=False)

        # Rows that are not stored write to the last one, before it is written itself: a branch
        # around a store would draw the row's arithmetic after it, out of order.
        for r in reversed(range(n_rows)):
            y = v.minimum(r, v.add(rows, -1))
            place = v.pointer(v.add(target, v.mul(y, out_y)))
            for j in range(width):
                result = v.clamp(sums[r][j].get(), *bounds)
                at = v.offset(place, v.mul(out_step, j))
                if width > 1:
                    v.store(result, at)
                    continue
                for few in v.choose(v.less(elements, lanes)):
                    if few:
                        v.store_first(elements, result, at)
                    else:
                        v.store(result, at)

    for width in (row.vectors, row.vectors // 2, 1):
        for _ in v.when(v.equal(vectors, width)):
            step = v.mul(span, width)
            for block in v.loop(blocks):
                pixel = v.minimum(v.mul(block, step), v.sub(pixels, step))
                for element in v.loop(v.add(elements, lanes - 1), step=lanes):
                    first = v.cell(v.mul(v.quotient_of(element, lanes), panel))
                    element = v.maximum(0, v.minimum(element, v.add(elements, -lanes)))
                    # A division takes as long as a row of inputs.
                    for _ in () if row.period else v.when(v.less(1, channels)):
                        channel = v.remainder(element, channels)
                        first.set(v.add(first.get(), v.mul(channel, itemsize)))
                    at = v.mul(element, itemsize)
                    start = v.add(source, v.add(v.mul(pixel, pixel_step), at))
                    tile(start, first.get(), width, v.add(out, v.add(v.mul(pixel, out_x), at)))


compute_strip = tile_intrinsic(strip)


# What a task computes: addresses of an image's plane 0 and of the first output row, at the first of
# its channels; the first output row, how many, and rows of inputs that they need; the first plane
# that is multiplied, and how many; channels, and the address of their biases.
Task = namedtuple(
    "Task", "image target y rows input_rows front plane planes channels biases activation deep"
)
# Where the taps of pixel `x` and those behind it are, as `strip` is told of the task's first row.
Inputs = namedtuple("Inputs", "x source plane_step row_step turn turn_step tap_step pixel_step")


@subroutine
def inside(first, step, size, count):
    """Of `count` places from `first` on, `step` apart, the first and the last, excluded, that are
    among `size`."""
    end = min(ceil_div(max(size - first, 0), step), count)
    return min(ceil_div(max(-first, 0), step), end), end


@chapter
def in_place(plan, task, x):
    """Taps of pixels whose windows are inside the image's width."""
    z = task.front + task.plane * plan.dd
    row = task.image + z * plan.image_z + (task.y * plan.sh - plan.top) * plan.image_y
    return Inputs(
        x=x,
        source=row + (x * plan.sw - plan.left) * plan.image_x,
        plane_step=plan.dd * plan.image_z,
        row_step=plan.dh * plan.image_y,
        turn=plan.kw,
        turn_step=0,
        tap_step=plan.dw * plan.image_x,
        pixel_step=plan.sw * plan.image_x,
    )


@chapter
def copied(row, plan, task, staging, x, pixels):
    """Copies of the taps of so many pixels; those of rows outside the image only where they are
    multiplied."""
    columns = pixels * plan.copy_pixel + plan.copy_more
    pixel_bytes = task.channels * row.itemsize
    place = staging
    for kz in range(task.plane, task.plane + task.planes):
        z = task.front + kz * plan.dd
        for i in range(task.input_rows):
            y, start = task.y * plan.sh - plan.top + i * plan.dh, 0
            if z >= 0 and z < plan.d and y >= 0 and y < plan.h:
                start = task.image + z * plan.image_z + y * plan.image_y
            if start != 0 or plan.skips == 0:
                copy_taps(row, plan, start, place, x, columns, task.channels)
            place += plan.copy_row
    turn, turn_step, tap_step = plan.kw, 0, plan.copy_step * pixel_bytes
    if plan.copy_phases > 1:
        turn, turn_step, tap_step = plan.copy_phases, tap_step, columns * pixel_bytes
    return Inputs(
        x=x,
        source=staging,
        plane_step=task.input_rows * plan.copy_row,
        row_step=plan.copy_row,
        turn=turn,
        turn_step=turn_step,
        tap_step=tap_step,
        pixel_step=plan.copy_pixel * pixel_bytes,
    )


@chapter
def copy_taps(row, plan, start, place, x, columns, channels):
    """Copy the taps of a row of inputs, under outputs from `x` on, between zeros.

    start : address of the row; 0: it is outside the image.
    place : address of `plan.copy_phases` runs of `columns` pixels of `channels` channels.
    """
    step = plan.copy_apart * plan.image_x
    for kx in range(plan.copy_phases):
        left = x * plan.sw - plan.left + kx * plan.dw
        first, end = inside(left, plan.copy_apart, plan.w if start != 0 else 0, columns)
        copy_between_zeros(
            row,
            source=start + left * plan.image_x + first * step,
            step=step,
            target=place,
            before=first,
            pixels=end - first,
            behind=columns - end,
            count=channels,
        )
        place += columns * channels * row.itemsize


@subroutine
def fills(row, plan, task, pixels, vectors):
    """Whether so many pixels have the elements of that many vectors, some whole pixels apart."""
    span = pixels // vectors
    if task.deep:
        return span > 0
    return min(plan.span, span) * task.channels >= row.lanes


@chapter
def compute(row, plan, task, inputs, t, x, pixels, some):
    """Compute pixels from `x` on of MR rows from the task's number `t` on.

    some : whether taps of a row are outside the image, and skipped.
    """
    top, count = (task.y + t * plan.apart) * plan.sh - plan.top, row.pixels - 1 + plan.kh
    first_row, end_row, first_tap, end_tap = 0, count, 0, plan.kw
    if plan.skips:
        first_row, end_row = inside(top, plan.dh, plan.h, count)
    if some:
        left = x * plan.sw - plan.left
        _, end_tap = inside(left, plan.dw, plan.w, plan.kw)
        first_tap, _ = inside(left + (pixels - 1) * plan.sw, plan.dw, plan.w, plan.kw)
        if inputs.turn < plan.kw:
            first_tap -= first_tap % inputs.turn
        end_tap = max(first_tap, end_tap)

    tap_weights = row.itemsize
    if row.period == 0:
        tap_weights *= row.lanes if task.deep else plan.groups + row.lanes
    row_weights = plan.kw * tap_weights
    plane_weights = plan.kh * row_weights
    panel, channels = 0, plan.groups
    if task.deep:
        panel, channels = tap_weights + plan.kd * plane_weights, 1
    vectors = row.vectors
    if not fills(row, plan, task, pixels, vectors):
        vectors //= 2
    if not fills(row, plan, task, pixels, vectors):
        vectors = 1
    span = 1
    if not task.deep:
        span = min(plan.span, pixels // vectors) if vectors > 1 else pixels
    turned, rest = first_tap // inputs.turn, first_tap % inputs.turn
    source = inputs.source + turned * inputs.turn_step + rest * inputs.tap_step
    compute_strip(
        row,
        source=source + t * plan.copy_stride * inputs.row_step + (x - inputs.x) * inputs.pixel_step,
        plane_step=inputs.plane_step,
        row_step=inputs.row_step,
        turn_step=inputs.turn_step,
        tap_step=inputs.tap_step,
        pixel_step=inputs.pixel_step,
        planes=task.planes,
        first_row=first_row,
        end_row=end_row,
        turn=inputs.turn,
        taps=end_tap - first_tap,
        kh=plan.kh,
        biases=task.biases,
        weights=tap_weights + task.plane * plane_weights + first_tap * tap_weights,
        tap_weights=tap_weights,
        row_weights=row_weights,
        plane_weights=plane_weights,
        panel=panel,
        channels=channels,
        vectors=vectors,
        blocks=ceil_div(pixels, vectors * span),
        pixels=pixels,
        span=span,
        elements=span * task.channels,
        out=task.target + t * plan.apart * plan.out_y + x * plan.out_x,
        out_y=plan.apart * plan.out_y,
        out_x=plan.out_x,
        rows=min(row.pixels, task.rows - t),
        activation=task.activation,
    )


@subroutine
def sides(row, plan, x, end):
    """Between which of the pixels from `x` to `end` none is computed from copies: those whose
    windows are inside the image's width, but for what fills the sides' tiles."""
    first, behind = ceil_div(plan.left, plan.sw), 0
    span = (plan.kw - 1) * plan.dw + 1
    if plan.w + plan.left >= span:
        behind = (plan.w + plan.left - span) // plan.sw + 1
    first, last = max(first, x), min(behind, end)
    tile = row.vectors * plan.span
    if first > x:
        first = max(first, x + tile)
    if last < end:
        last = min(last, end - tile)
    if plan.copies_all or ((first > x or last < end) and last - first < tile):
        return end, end
    return first, last


def task(row, plan, images, weights, out, residual, staging, index):
    """Compute `task_panels` vectors of channels, or all channels, of `task_rows` output rows of
    one plane, `apart` from each other, or of a piece of them.

    images, out : addresses of the first element; element strides of channels are 1, the others
        are the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : at plan.weights_offset bytes from there, 64-byte aligned, the weights that `strip`
        reads.
    staging : address of plan.staging bytes, for copies of the rows of inputs.

    Rows of the registry with MR above 1 assume strides of 1 from row to row, and windows of MR - 1
    rows or more.
    """
    across, index = index % plan.across, index // plan.across
    # Neighbouring tasks share rows of inputs.
    blocks = ceil_div(ceil_div(plan.oh, plan.apart), plan.task_rows)
    block, index = index % blocks, index // blocks
    y, index = index % plan.apart + block * plan.task_rows * plan.apart, index // plan.apart
    part, index = index % plan.parts, index // plan.parts
    z, n = index % plan.od, index // plan.od
    if y >= plan.oh:
        return
    deep = plan.task_panels > 0
    panel, channel, channels, biases = 0, 0, plan.groups, weights + plan.weights_offset
    if deep:
        panel = part * plan.task_panels
        channel = panel * row.lanes
        channels = plan.groups - channel
        if part < plan.parts - 1:
            channels = plan.task_panels * row.lanes
        biases += panel * (1 + plan.kd * plan.kh * plan.kw) * row.lanes * row.itemsize
    front = z * plan.sd - plan.front
    plane, end_plane = 0, plan.kd
    if plan.skips:
        plane, end_plane = inside(front, plan.dd, plan.d, plan.kd)
    activation = NO_ACTIVATION if residual != 0 else plan.activation
    at = channel * row.itemsize
    rows = min(plan.task_rows, ceil_div(plan.oh - y, plan.apart))
    some = Task(
        image=images + n * plan.image_n + at,
        target=out + n * plan.out_n + z * plan.out_z + y * plan.out_y + at,
        y=y,
        rows=rows,
        input_rows=(ceil_div(rows, row.pixels) * row.pixels - 1) * plan.copy_stride + plan.kh,
        front=front,
        plane=plane,
        planes=end_plane - plane,
        channels=channels,
        biases=biases,
        activation=activation,
        deep=deep,
    )
    first_x, end_x = plan.ow * across // plan.across, plan.ow * (across + 1) // plan.across
    first, last = sides(row, plan, first_x, end_x)
    x = first_x
    for side in range(3):
        end = first if side == 0 else last if side == 1 else end_x
        while x < end:
            pixels = chunk = end - x
            if side == 1:
                inputs = in_place(plan, some, x)
            else:
                pixels = ceil_div(pixels, ceil_div(pixels, plan.copy_pixels))
                inputs = copied(row, plan, some, staging, x, pixels)
                chunk = min(pixels, row.vectors * plan.span) if plan.skips else pixels
            for t in range(0, rows, row.pixels):
                for done in range(0, pixels, chunk):
                    part_x = x + min(done, pixels - chunk)
                    compute(row, plan, some, inputs, t, part_x, chunk, side != 1 and plan.skips)
            x += pixels
    for t in range(0, rows, row.pixels):
        finish(
            row,
            plan,
            out=some.target + t * plan.apart * plan.out_y + first_x * plan.out_x,
            rows=min(row.pixels, rows - t),
            out_y=plan.apart * plan.out_y,
            pixels=end_x - first_x,
            channels=channels,
            residual=residual,
        )
