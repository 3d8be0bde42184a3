"""Dense convolution of few channels into few filters.

Vectors run along the pixels of a row, and each serves all filters of a tile.  Inputs are copied
between zeros first, into planes of one channel each; strides are taken apart, so that neighbours in
a plane are taps of neighbouring outputs.  Then a tap is one number, the bytes from an output's
place to its input, whatever the window, strides, dilations and borders are; and a row, or some
rows of a task, are one run of outputs.  Rows of images of one channel are planes already, which are
read where they are as far as windows lie inside.

Sums of few filters are put side by side in registers; those of more lie in planes of one filter
each before.
"""

from __future__ import annotations

from collections import namedtuple

from .._plan.planar import MOST_STEP, tile_vectors
from .epilogue import NO_ACTIVATION, finish, limits
from .lines import plane_of
from .runtime import ceil_div, chapter, copy_bytes, set_word, subroutine, tile_intrinsic, zero_bytes


def every(v, row, source, step, target, count):
    """Copy `count` elements, each `step` from the other, side by side.

    source, target : addresses of the first elements.

    Reads no element before the first one or behind the last.
    """
    lanes = row.lanes
    start, place = v.pointer(source), v.pointer(target)
    done = v.cell(v.word(0))
    for n in range(2, MOST_STEP + 1):
        for _ in v.when(v.equal(step, n)):
            whole = v.floor(v.maximum(v.add(count, -1), 0), lanes)
            for i in v.loop(whole, step=lanes):
                v.store(v.load_every(start, v.mul(i, n), n), place, i)
            done.set(whole)
    for i in v.loop(count, start=done.get()):
        v.copy(v.at(start, v.mul(i, v.add(step, -1))), place, i)


def summed(v, row, table, taps, at, first, panel, n):
    """The sums of a tile of `n` filters, as cells: for each filter those of its vectors.

    table, taps : as in `run`.
    at : address of the first output's place.
    first : pointer to rows of `panel` elements, the biases and then one for each tap.
    """
    lanes, vectors = row.lanes, tile_vectors(row, n)
    sums = []
    for f in range(n):
        bias = v.splat(first, f)
        sums.append([v.cell(bias) for _ in range(vectors)])
    tap = v.cell(v.at(first, panel))
    for k in v.loop(taps):
        place = v.load_pointer(table, k, at)
        # The fewer of both stay in registers.
        if n < vectors:
            factors = [v.splat(tap.get(), f) for f in range(n)]
            for j in range(vectors):
                value = v.load(place, j * lanes)
                for f in range(n):
                    total = sums[f][j]
                    total.set(v.fma(value, factors[f], total.get()))
        else:
            inputs = [v.load(place, j * lanes) for j in range(vectors)]
            for f in range(n):
                factor = v.splat(tap.get(), f)
                for j in range(vectors):
                    total = sums[f][j]
                    total.set(v.fma(inputs[j], factor, total.get()))
        tap.set(v.at(tap.get(), panel))
    return sums


def run(v, row, table, taps, source, length, weights, panel, filters, out, out_step, activation):
    """Compute `length` outputs of some filters, or those of a tile where there are fewer.

    table : address of `taps` words: the bytes from an output's place to its inputs.
    source : address of the first output's place.
    weights : address of rows of `panel` elements, the biases and then one for each tap.
    filters : how many of these are computed, 1 to MR.
    out : address of the first output; those of the next filter lie `out_step` bytes behind.
    activation : its place in FINISHES.
    """
    lanes = row.lanes
    bounds = limits(v, activation)
    first = v.pointer(weights)
    for n in range(1, row.pixels + 1):
        for _ in v.when(v.equal(filters, n)):
            size = tile_vectors(row, n) * lanes
            last = v.maximum(v.add(length, -size), 0)
            for i in v.loop(v.add(length, size - 1), step=size):
                # The last tile goes back as far as it can, and computes some outputs again.
                i = v.minimum(i, last)
                at = v.add(source, v.mul(i, row.itemsize))
                for f, sums in enumerate(summed(v, row, table, taps, at, first, panel, n)):
                    target = v.at(v.pointer(v.add(out, v.mul(out_step, f))), i)
                    for j, total in enumerate(sums):
                        v.store(v.clamp(total.get(), *bounds), target, j * lanes)


def rows_of_all(
    v, row, table, taps, source, source_y, rows, length, weights, filters, out, out_y, activation
):
    """Compute rows of `length` outputs, at least a tile's, of all filters, and put these side by
    side.

    table, taps, weights, activation : as in `run`, of one panel.
    source, source_y : address of the first output's place, and bytes to that of the next row.
    filters : how many there are, 2 to MR.
    out, out_y : address of the first output, and bytes to the next row.

    Reads the inputs of these outputs, and writes these, no others.
    """
    lanes = row.lanes
    bounds = limits(v, activation)
    first = v.pointer(weights)
    for n in range(2, row.pixels + 1):
        for _ in v.when(v.equal(filters, n)):
            size = tile_vectors(row, n) * lanes
            for y in v.loop(rows):
                start = v.add(source, v.mul(y, source_y))
                target = v.pointer(v.add(out, v.mul(y, out_y)))
                for i in v.loop(v.add(length, size - 1), step=size):
                    i = v.minimum(i, v.add(length, -size))
                    at = v.add(start, v.mul(i, row.itemsize))
                    place = v.at(target, v.mul(i, n))
                    sums = summed(v, row, table, taps, at, first, n, n)
                    for j, vectors in enumerate(zip(*sums, strict=True)):
                        clamped = [v.clamp(total.get(), *bounds) for total in vectors]
                        for f, value in enumerate(v.interleaved(clamped)):
                            v.store(value, place, (j * n + f) * lanes)


def interleave(v, row, source, source_step, target, pixels, filters):
    """Put the outputs of `pixels` pixels, at least a vector, side by side.

    source : address of the first filter's; the next one's lie `source_step` bytes behind.
    filters : how many there are.

    Writes no other elements.
    """
    lanes, itemsize = row.lanes, row.itemsize
    piece = min(32 // itemsize, lanes)

    def vectors():
        for x in v.loop(v.add(pixels, lanes - 1), step=lanes):
            x = v.minimum(x, v.add(pixels, -lanes))
            yield v.add(source, v.mul(x, itemsize)), v.at(v.pointer(target), v.mul(x, filters))

    for n in range(1, piece):
        for _ in v.when(v.equal(filters, n)):
            for first, place in vectors():
                planes = [v.pointer(v.add(first, v.mul(source_step, f))) for f in range(n)]
                for j, value in enumerate(v.interleaved([v.load(plane) for plane in planes])):
                    v.store(value, place, j * lanes)
    for _ in v.when(v.less(piece - 1, filters)):
        for first, place in vectors():
            for f in v.loop(v.add(filters, piece - 1), step=piece):
                f = v.minimum(f, v.add(filters, -piece))
                some = v.add(first, v.mul(source_step, f))
                planes = [v.pointer(v.add(some, v.mul(source_step, i))) for i in range(piece)]
                places = [v.at(place, v.add(v.mul(filters, i), f)) for i in range(lanes)]
                v.store_pieces([v.load(plane) for plane in planes], places)


copy_every, compute_run, put_side_by_side = map(tile_intrinsic, (every, run, interleave))
compute_rows_of_all = tile_intrinsic(rows_of_all)


# A task's outputs: its image, plane, first row and column, and how many of the latter.
Block = namedtuple("Block", "n z y x rows columns")


@chapter
def point_at_taps(row, plan, table):
    """Write the bytes from an output's place in planes of inputs to each of its inputs."""
    k = 0
    for kz in range(plan.kd):
        for ky in range(plan.kh):
            phase_y = kz * plan.row_phases + ky % plan.row_phases
            down = ky // plan.row_phases * plan.copied_columns
            for kx in range(plan.kw):
                phase = phase_y * plan.column_phases + kx % plan.column_phases
                along = kx // plan.column_phases * plan.column_step
                for c in range(plan.group_channels):
                    plane = (phase * plan.group_channels + c) * plan.plane_bytes
                    set_word(table, k, plane + (down + along) * row.itemsize)
                    k += 1


@chapter
def point_into_images(plan, table):
    """Write the bytes from an output's place in images of one channel to each of its inputs."""
    k = 0
    for kz in range(plan.kd):
        for ky in range(plan.kh):
            along = kz * plan.dd * plan.image_z + ky * plan.dh * plan.image_y
            for _ in range(plan.kw):
                set_word(table, k, along)
                along += plan.dw * plan.image_x
                k += 1


@subroutine
def copy_row(row, plan, start, x, count, place):
    """Copy `count` columns of a row of inputs between zeros, each phase and channel into its plane.

    start : address of the row; 0: it is outside the image.
    x : the first column of outputs.
    place : address of the row in the first plane.
    """
    for phase in range(plan.column_phases):
        # Of the copied columns, those from `before` to `behind` are the image's.
        left = x * plan.sw - plan.left + phase * plan.dw
        before, behind = 0, 0
        if start != 0:
            before = min(ceil_div(max(-left, 0), plan.sw), count)
            behind = max(min(ceil_div(max(plan.w - left, 0), plan.sw), count), before)
        source = start + (left + before * plan.sw) * plan.image_x
        for c in range(plan.group_channels):
            zero_bytes(place, before * row.itemsize)
            inside = place + before * row.itemsize
            step = plan.sw * plan.group_channels
            if step == 1:
                copy_bytes(inside, source, (behind - before) * row.itemsize)
            else:
                copy_every(
                    row,
                    source=source + c * row.itemsize,
                    step=step,
                    target=inside,
                    count=behind - before,
                )
            zero_bytes(place + behind * row.itemsize, (count - behind) * row.itemsize)
            place += plan.plane_bytes


@chapter
def copy_inputs(row, plan, block, images, planes):
    """Copy a block's inputs into planes."""
    image = images + block.n * plan.image_n
    top = block.y * plan.sh - plan.top
    rows = block.rows + (plan.kh - 1) // plan.row_phases
    count = block.columns + plan.copied_columns - plan.task_columns
    phase_bytes = plan.column_phases * plan.group_channels * plan.plane_bytes
    for kz in range(plan.kd):
        plane = plane_of(plan, image, block.z * plan.sd - plan.front + kz * plan.dd)
        for phase in range(plan.row_phases):
            for i in range(rows):
                y = top + phase * plan.dh + i * plan.row_step
                inside = plane != 0 and y >= 0 and y < plan.h
                copy_row(
                    row,
                    plan,
                    plane + y * plan.image_y if inside else 0,
                    block.x,
                    count,
                    planes + i * plan.copied_columns * row.itemsize,
                )
            planes += phase_bytes


@chapter
def compute_panels(row, plan, length, table, source, weights, sums, activation):
    """Compute a run of `length` outputs, filter by filter.

    source : address of the first output's place in the planes of inputs.
    """
    taps = plan.kd * plan.kh * plan.kw * plan.group_channels
    for first in range(0, plan.group_filters, plan.panel):
        compute_run(
            row,
            table=table,
            taps=taps,
            source=source,
            length=length,
            weights=weights + first * (1 + taps) * row.itemsize,
            panel=plan.panel,
            filters=min(plan.panel, plan.group_filters - first),
            out=sums + first * plan.out_bytes,
            out_step=plan.out_bytes,
            activation=activation,
        )


@chapter
def store_row(row, plan, columns, source, target, short):
    """Put a row of outputs in its place, filter by filter beside each other.

    short : address of a vector of each filter, for rows of fewer pixels.
    """
    is_short = columns < row.lanes
    put_side_by_side(
        row,
        source=source,
        source_step=plan.out_bytes,
        target=short if is_short else target,
        pixels=max(columns, row.lanes),
        filters=plan.group_filters,
    )
    if is_short:
        copy_bytes(target, short, columns * plan.group_filters * row.itemsize)


@chapter
def compute_rows(row, plan, block, source, source_y, target, weights, scratch, sums, activation):
    """Compute a block of outputs.

    source, source_y : address of the first output's place, and bytes to that of the next row.
    target : address of the block's first output.
    sums : address of planes of outputs.
    """
    taps = plan.kd * plan.kh * plan.kw * plan.group_channels
    if plan.beside and block.columns >= plan.beside:
        compute_rows_of_all(
            row,
            table=scratch,
            taps=taps,
            source=source,
            source_y=source_y,
            rows=block.rows,
            length=block.columns,
            weights=weights,
            filters=plan.group_filters,
            out=target,
            out_y=plan.apart * plan.out_y,
            activation=activation,
        )
        return
    length = min(plan.run_columns, block.columns)
    for first in range(0, block.rows, plan.run_rows):
        some = min(plan.run_rows, block.rows - first)
        for x in range(0, block.columns, length):
            x = min(x, block.columns - length)
            compute_panels(
                row,
                plan,
                length=(some - 1) * plan.copied_columns + length,
                table=scratch,
                source=source + first * source_y + x * row.itemsize,
                weights=weights,
                sums=sums,
                activation=activation,
            )
            for i in range(some):
                store_row(
                    row,
                    plan,
                    length,
                    source=sums + i * plan.copied_columns * row.itemsize,
                    target=target + (first + i) * plan.apart * plan.out_y + x * plan.out_x,
                    short=scratch + 8 * taps,
                )


@subroutine
def compute_copied(row, plan, block, images, out, weights, scratch, staging, activation):
    """Compute a block of outputs, of whose inputs some may be outside of images.

    scratch : the table that `point_at_taps` writes.
    """
    if block.rows <= 0 or block.columns <= 0:
        return
    planes = plan.kd * plan.row_phases * plan.column_phases * plan.group_channels
    copy_inputs(row, plan, block, images, staging)
    compute_rows(
        row,
        plan,
        block,
        source=staging,
        source_y=plan.copied_columns * row.itemsize,
        target=first_output(plan, block, out),
        weights=weights,
        scratch=scratch,
        sums=staging + planes * plan.plane_bytes,
        activation=activation,
    )


@chapter
def compute_inside(row, plan, block, images, out, weights, scratch, staging, activation):
    """Compute a block of outputs whose inputs are inside of images, which are read where they are.

    scratch : the table that `point_into_images` writes.
    """
    first = images + block.n * plan.image_n
    first += (block.z * plan.sd - plan.front) * plan.image_z
    first += (block.y * plan.sh - plan.top) * plan.image_y + (block.x - plan.left) * plan.image_x
    compute_rows(
        row,
        plan,
        block,
        source=first,
        source_y=plan.apart * plan.sh * plan.image_y,
        target=first_output(plan, block, out),
        weights=weights,
        scratch=scratch,
        sums=staging,
        activation=activation,
    )


@subroutine
def first_output(plan, block, out):
    """The address of a block's first output."""
    target = out + block.n * plan.out_n + block.z * plan.out_z
    return target + block.y * plan.out_y + block.x * plan.out_x


@chapter
def block_of(plan, index):
    """The block of a task."""
    x_blocks = ceil_div(plan.ow, plan.task_columns)
    y_blocks = ceil_div(ceil_div(plan.oh, plan.apart), plan.task_rows) * plan.apart
    z = index // (x_blocks * y_blocks)
    index -= z * x_blocks * y_blocks
    n = z // plan.od
    z -= n * plan.od
    y = index // x_blocks
    x = (index - y * x_blocks) * plan.task_columns
    y = y // plan.apart * plan.task_rows * plan.apart + y % plan.apart
    rows = max(0, min(plan.task_rows, ceil_div(plan.oh - y, plan.apart)))
    return Block(n, z, y, x, rows, min(plan.task_columns, plan.ow - x))


@subroutine
def piece(plan, block, first_row, last_row, first_column, last_column):
    """Some rows and columns of a block."""
    y, x = block.y + first_row * plan.apart, block.x + first_column
    return Block(block.n, block.z, y, x, last_row - first_row, last_column - first_column)


@subroutine
def inside(plan, block):
    """Rows and columns of a block, from the first to before the last, whose inputs are read where
    they are."""
    z = block.z * plan.sd - plan.front
    if plan.edge == 0 or z < 0 or z + (plan.kd - 1) * plan.dd >= plan.d:
        return 0, 0, 0, 0
    step = plan.apart * plan.sh
    y = block.y * plan.sh - plan.top
    beyond = plan.h - (plan.kh - 1) * plan.dh
    first = min(ceil_div(max(-y, 0), step), block.rows)
    last = max(first, min(ceil_div(max(beyond - y, 0), step), block.rows))
    behind = plan.w + plan.left - (plan.kw - 1) * plan.dw
    left = plan.edge if block.x < plan.left else 0
    right = block.columns - (plan.edge if block.x + block.columns > behind else 0)
    if right - left < plan.edge:
        return 0, 0, 0, 0
    return first, last, left, right


def task(row, plan, images, weights, out, residual, scratch, staging, index):
    """Compute a block of `task_rows` by `task_columns` output pixels of one plane.

    images, out : addresses of the first element; pixels lie side by side, the other strides are
        the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : at plan.weights_offset bytes from this address, 64-byte aligned, the panels that `run`
        reads.
    scratch : SCRATCH_WORDS words, for a word for each product and a vector for each filter.
    staging : address of plan.staging bytes, for planes of inputs and of outputs.

    Assumes one group; plan.edge only with one channel and a stride of 1 along rows.
    """
    block = block_of(plan, index)
    weights += plan.weights_offset
    activation = NO_ACTIVATION if residual != 0 else plan.activation
    top, bottom, left, right = inside(plan, block)
    if top < bottom:
        some = piece(plan, block, top, bottom, left, right)
        point_into_images(plan, scratch)
        compute_inside(row, plan, some, images, out, weights, scratch, staging, activation)
    rows, columns = block.rows, block.columns
    point_at_taps(row, plan, scratch)
    for first_row, last_row, first, last in (
        (0, top, 0, columns),
        (top, bottom, 0, left),
        (top, bottom, right, columns),
        (bottom, rows, 0, columns),
    ):
        some = piece(plan, block, first_row, last_row, first, last)
        compute_copied(row, plan, some, images, out, weights, scratch, staging, activation)
    finish(
        row,
        plan,
        out=first_output(plan, block, out),
        rows=block.rows,
        out_y=plan.apart * plan.out_y,
        pixels=block.columns,
        channels=plan.group_filters,
        residual=residual,
    )
