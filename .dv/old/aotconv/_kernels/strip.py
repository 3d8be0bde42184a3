"""Channelwise convolution along the elements of rows, of whatever window, stride or number of
channels has no kernel of its own.

Vectors run along the output elements of a row as they lie in memory, pixel after pixel and channel
after channel: with stride 1 the inputs of neighbouring elements are neighbours too, so a vector
may begin and end anywhere, and one or three channels fill it as well as sixty-four.  Weights are
packed with the channels' period repeated, to be read from any channel on.  With other strides a
run ends with its pixel.

A tile is MR output rows by NR vectors, and each loaded row of inputs serves all the output rows
that it belongs to; it goes through a window plane by plane, its sums in registers.  Where a
pixel's window leaves the image at the left or right, the inputs are copied between zeros; so are
all pixels of few channels that do not lie side by side or have a stride.  Rows above and below, and
those of planes in front and behind, are read from a block of zeros.
"""

from __future__ import annotations

from collections import namedtuple

from .._plan.strip import SHORT_RUN, TAP_ROW_FIELDS
from .epilogue import NO_ACTIVATION, finish, limits
from .lines import plane_of
from .runtime import Record, ceil_div, chapter, set_word, subroutine, tile_intrinsic, zero_bytes

TAP_ROW = Record(*TAP_ROW_FIELDS)
write_tap_row = TAP_ROW.writer()
TAP_ROW_BYTES = TAP_ROW.size


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
    kd,
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

    table : address of ``MR + kh - 1`` TAP_ROWs for each of kd planes: for each input row the
        address of the first element's first tap, and 1; or the address of zeros, and 0.  Output
        row r takes its tap row i from input row r + i of each plane.
    offsets : address of kw words, the bytes from a row's first tap to each.
    weights : address of rows of weights, the bias and then one for each tap.  A row is
        ``channels + NR vectors`` elements, which repeat with the channels.
    first_channel : the channel of the first element.
    out : address of the first element of the first output row; the others lie `out_y` bytes apart.
    rows : how many of them are stored, 1 to MR.
    activation : its place in FINISHES.

    Assumes that kh is at least MR.  Reads `length` elements at each tap of each input row; writes
    `length` elements of each stored row.  Neighbouring bytes are not touched.
    """
    n_rows, lanes, itemsize = row.pixels, row.lanes, row.itemsize
    bounds = limits(v, activation)
    width = v.add(channels, row.channels)
    # Of a single output row, rows of inputs and of weights follow each other from plane to plane.
    planes, kernel_rows = (1, v.mul(kd, kh)) if n_rows == 1 else (kd, kh)
    plane_bytes = v.mul(v.add(kh, n_rows - 1), TAP_ROW_BYTES)
    plane_weights = v.mul(v.mul(kh, kw), width)

    def tile(element, vectors, count=None):
        """MR rows by some vectors, of which with `count` only so many elements."""
        channel = v.remainder(v.add(first_channel, element), channels)
        biases = v.at(v.pointer(weights), channel)
        starts = [v.load(biases, j * lanes) for j in range(vectors)]
        sums = [[v.cell(start) for start in starts] for _ in range(n_rows)]

        def input_row(plane, taps, i, outputs):
            """Multiply input row `i` of a plane with its tap row for each of the output rows
            `outputs`.  `plane` is the address of its table, `taps` points at its weights."""
            address, moves = (TAP_ROW.load(v, plane, i, name) for name in TAP_ROW_FIELDS)
            first = v.pointer(v.add(address, v.mul(element, itemsize)))
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

        plane, taps = v.cell(table), v.cell(v.at(biases, width))
        for _ in v.loop(planes):
            for i in range(n_rows - 1):
                input_row(plane.get(), taps.get(), v.word(i), range(i + 1))
            for i in v.loop(kernel_rows, start=n_rows - 1):
                input_row(plane.get(), taps.get(), i, range(n_rows))
            for i in range(1, n_rows):
                input_row(plane.get(), taps.get(), v.add(kh, i - 1), range(i, n_rows))
            plane.set(v.add(plane.get(), plane_bytes))
            taps.set(v.at(taps.get(), plane_weights))

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


# Where a task's rows lie: addresses of the image and of the first output row, the plane and the
# row of the image under its first tap, how many rows are stored and the bytes between them; what
# `strip` is told of them all; and where inputs are copied to.
Rows = namedtuple(
    "Rows", "image target front top rows rows_y table offsets filters zeros activation copy"
)


@subroutine
def row_of(plan, rows, plane, i):
    """The address of the row of inputs `i` in a plane; 0: it is outside of the image."""
    y = rows.top + i * plan.dh
    return plane + y * plan.image_y if plane != 0 and y >= 0 and y < plan.h else 0


@chapter
def compute(row, plan, rows, length, channel, x, first):
    """Compute `length` elements of the task's rows, from pixel `x` and `first` elements behind on.

    channel : of the first of them.
    """
    compute_strip(
        row,
        table=rows.table,
        offsets=rows.offsets,
        length=length,
        kd=plan.kd,
        kh=plan.kh,
        kw=plan.kw,
        weights=rows.filters,
        channels=plan.groups,
        first_channel=channel,
        out=rows.target + x * plan.out_x + first * row.itemsize,
        out_y=rows.rows_y,
        rows=rows.rows,
        activation=rows.activation,
    )


@chapter
def compute_in_place(row, plan, rows, first, last):
    """Compute the outputs from `first` to `last`, whose windows are inside the image's width."""
    itemsize, channels = row.itemsize, plan.groups
    for kx in range(plan.kw):
        set_word(rows.offsets, kx, kx * plan.dw * plan.image_x)
    stretches, length = last - first, channels
    if plan.merge_rows:
        stretches, length = min(stretches, 1), stretches * channels
    for stretch in range(stretches):
        x = first + stretch
        left = x * plan.sw - plan.left
        for element in range(0, length, plan.strip):
            at = left * plan.image_x + element * itemsize
            input_row = 0
            for kz in range(plan.kd):
                plane = plane_of(plan, rows.image, rows.front + kz * plan.dd)
                for i in range(row.pixels + plan.kh - 1):
                    source = row_of(plan, rows, plane, i)
                    write_tap_row(
                        rows.table,
                        input_row,
                        address=source + at if source != 0 else rows.zeros,
                        moves=1 if source != 0 else 0,
                    )
                    input_row += 1
            some = min(plan.strip, length - element)
            compute(row, plan, rows, some, element % channels, x, element)


@chapter
def copy_taps(row, plan, start, place, x, copied, first_channel, channels):
    """Copy the taps of a row of inputs, under outputs from `x` on, between zeros.

    start : address of the row; 0: it is outside the image.
    place : address of `plan.copy_phases` runs of `copied` pixels of `channels` channels.
    """
    pixel_bytes = channels * row.itemsize
    for kx in range(plan.copy_phases):
        # Of the copied columns, those from `before` to `behind` are the image's.
        left = x * plan.sw - plan.left + kx * plan.dw
        before, behind = 0, 0
        if start != 0:
            before = min(ceil_div(max(-left, 0), plan.sw), copied)
            behind = max(min(ceil_div(max(plan.w - left, 0), plan.sw), copied), before)
        source = start + (left + before * plan.sw) * plan.image_x
        zero_bytes(place, before * pixel_bytes)
        copy_pixels(
            row,
            source=source + first_channel * row.itemsize,
            step=plan.sw * plan.image_x,
            target=place + before * pixel_bytes,
            pixels=behind - before,
            count=channels,
        )
        zero_bytes(place + behind * pixel_bytes, (copied - behind) * pixel_bytes)
        place += copied * pixel_bytes


@chapter
def compute_copied(row, plan, rows, x, end):
    """Compute the outputs from `x` to `end`, from copies of their taps."""
    while x < end:
        pixels = min(end - x, plan.copy_pixels)
        copied = pixels + plan.copy_more
        for channel in range(0, plan.groups, plan.copy_channels):
            some = min(plan.copy_channels, plan.groups - channel)
            for kx in range(plan.kw):
                at = kx % plan.copy_phases * copied + kx // plan.copy_phases * plan.copy_step
                set_word(rows.offsets, kx, at * some * row.itemsize)
            place, input_row = rows.copy, 0
            for kz in range(plan.kd):
                plane = plane_of(plan, rows.image, rows.front + kz * plan.dd)
                for i in range(row.pixels + plan.kh - 1):
                    write_tap_row(rows.table, input_row, address=place, moves=1)
                    source = row_of(plan, rows, plane, i)
                    copy_taps(row, plan, source, place, x, copied, channel, some)
                    place += plan.copy_row
                    input_row += 1
            compute(row, plan, rows, pixels * some, channel, x, channel)
        x += pixels


def task(row, plan, images, weights, out, residual, scratch, staging, index):
    """Compute MR output rows of one plane, a dilation apart.

    images, out : addresses of the first element; element strides of channels are 1, the others
        are the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of ``strip`` zeros and NR vectors more; at plan.weights_offset bytes from
        there, 64-byte aligned, the rows that `strip` reads.
    scratch : SCRATCH_WORDS words, for the tables that `strip` reads, and behind them, of windows of
        one plane, the copy of ``MR + kh - 1`` rows of inputs.
    staging : address of plan.staging bytes, for the copy of as many rows of each plane.

    Rows of the registry with MR above 1 assume strides of 1 from row to row.
    """
    apart = plan.dh if row.pixels > 1 else 1
    blocks = ceil_div(plan.oh, row.pixels * apart) * apart
    z = index // blocks
    index -= z * blocks
    n = z // plan.od
    z -= n * plan.od
    y = index // apart * row.pixels * apart + index % apart
    if y >= plan.oh:
        return
    pixel_bytes = plan.groups * row.itemsize
    offsets = scratch + plan.kd * (row.pixels + plan.kh - 1) * TAP_ROW_BYTES
    rows = Rows(
        image=images + n * plan.image_n,
        target=out + n * plan.out_n + z * plan.out_z + y * plan.out_y,
        front=z * plan.sd - plan.front,
        top=y * plan.sh - plan.top,
        rows=min(row.pixels, ceil_div(plan.oh - y, apart)),
        rows_y=apart * plan.out_y,
        table=scratch,
        offsets=offsets,
        filters=weights + plan.weights_offset,
        zeros=weights,
        activation=NO_ACTIVATION if residual != 0 else plan.activation,
        copy=staging if plan.kd > 1 else offsets + 8 * plan.kw,
    )

    # Outputs from `first` to `last` have their windows inside the image's width.  Of few channels,
    # a pixel is too short a run: then all are copied, unless neighbours lie side by side.
    first = min(ceil_div(plan.left, plan.sw), plan.ow)
    span = (plan.kw - 1) * plan.dw + 1
    last = first
    if plan.w + plan.left >= span:
        last = max(first, min(plan.ow, (plan.w + plan.left - span) // plan.sw + 1))
    if plan.out_x == pixel_bytes and not plan.merge_rows and pixel_bytes < SHORT_RUN:
        first = last = plan.ow
    compute_in_place(row, plan, rows, first, last)
    for side in range(2):
        compute_copied(row, plan, rows, last if side else 0, plan.ow if side else first)
    finish(
        row,
        plan,
        out=rows.target,
        rows=rows.rows,
        out_y=rows.rows_y,
        pixels=plan.ow,
        channels=plan.groups,
        residual=residual,
    )
