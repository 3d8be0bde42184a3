"""Dense convolution: tiles of MR output pixels by NR vectors of output channels.

For each tile the kernel multiplies MR rows of inputs, read in place, with a panel, the packed
weights of one column of tiles.  Tiles run across the ends of output rows and of images, and take
MR or MR - 1 pixels, so that few are computed for nothing.

Where windows leave the image there are three ways, none of which copies the image.  Of few
channels, kernel rows that leave it at a side are copied between zeros.  Of more, taps outside
point at a block of zeros.  Of many, and if the plan says so, a tap is multiplied for those pixels
alone that have it inside.

An output element is always summed in the same order (bias, then kernel plane, row, column,
channel), whatever the blocks, tiles, layouts and threads are.
"""

from __future__ import annotations

from collections import namedtuple

from llvmlite import ir

from .._plan.dense import COPIED, NO_BORDER, PIXEL_WORDS, SKIPPED, TILE_FIELDS, ZEROS
from .epilogue import LAST_IN_TILES, NO_ACTIVATION, finish_stored
from .panel import multiply_groups, multiply_run, start_sums, store_sums
from .runtime import (
    Record,
    ceil_div,
    chapter,
    copy_bytes,
    set_word,
    subroutine,
    tile_intrinsic,
    word,
    zero_bytes,
)

TILE = Record(*TILE_FIELDS)
write_tile = TILE.writer()
TILE_BYTES = TILE.size
COUNTED = 4  # words that are counted up at a time, no more than a tile has pixels


def tiles(
    v,
    row,
    first,
    count,
    shifts,
    channels,
    offset,
    panel,
    out_offset,
    n_filters,
    bias,
    residual,
    activation,
    order,
    width,
    line_offset,
    line_step,
):
    """Compute `count` tiles of one panel, or one block of their reduction.

    first : address of a TILE for each:
        pixels : how many are stored, 1 to MR.
        outs : address of MR words, the output pixels' addresses.
        segments, taps : the reduction is `segments` runs of ``taps * channels`` elements,
            contiguous in memory.
        inputs, step : address of MR words, an address for each pixel; those of the next segment
            lie `step` bytes behind, or with 0 are the same.
        lines : address of a word for each pixel, an address where cache lines are to be fetched
            that will be written.
    shifts : address of a word for each tap: bytes to be added to the inputs' addresses.
    channels : of a tap.
    offset, out_offset : bytes to be added to all addresses of inputs, and of outputs.
    panel : address of a row of NR vectors for each element of the reduction, aligned to a vector.
    n_filters : how many are stored, 1 to NR vectors.
    bias : address of NR vectors to start from, aligned; or 0: start from the output's values.
    residual : bytes from an output element to its residual, which is added; 0: none.
    activation : its place in FINISHES.
    order, width : of rows whose lanes belong to several groups, where `channels` are those of one
        and a segment is a tap: address of a vector that names of `width` neighbouring channels
        the first one of each lane's group.
    line_offset, line_step : bytes to be added to the addresses of lines, and from one line to the
        next, of which a pixel has NR.

    Reads the runs (of MR pixels, stored or not), the panel, the bias; reads and writes the stored
    pixels and filters of the output, and reads their residuals.  Neighbouring bytes are not
    touched.
    """
    vectors = range(row.vectors)

    def tile(words, n_pixels):
        """Compute one tile, of `n_pixels` at most."""
        pixels, outs, segments, taps, inputs, step, lines = (words[name] for name in TILE_FIELDS)
        run = v.mul(taps, channels)
        rows = range(n_pixels)
        sums = start_sums(v, row, n_pixels, outs, out_offset, pixels, n_filters, bias)
        weights = v.cell(v.pointer(panel))
        for i in rows:
            line = v.load_pointer(lines, i, line_offset)
            for j in vectors:  # arrives while the tile is computed: 4 % of a 1x1 layer's time
                v.prefetch(v.offset(line, v.mul(line_step, j)))
        for segment in v.loop(segments):
            shift = v.add(v.load_word(shifts, v.mul(segment, taps)), offset)
            table = v.add(inputs, v.mul(segment, step))
            pointers = [v.load_pointer(table, i, shift) for i in rows]
            if row.permuted:
                multiply_groups(v, row, sums, pointers, weights, channels, order, width)
            else:
                multiply_run(v, row, sums, pointers, weights, run)
        store_sums(v, row, sums, outs, out_offset, pixels, n_filters, residual, activation)

    for t in v.loop(count):
        words = {name: TILE.load(v, first, t, name) for name in TILE_FIELDS}
        for whole in v.choose(v.equal(words["pixels"], row.pixels)):
            tile(words, row.pixels if whole else row.pixels - 1)


def counted(v, row, table, start, step, count):
    """Write at least `count` words, the first `start`, the others each `step` more.

    table : address of these, and of COUNTED - 1 words behind them, which may be written, too.
    """
    b = v.builder
    start, step = (v.splat_value(word, COUNTED) for word in (start, step))
    places = ir.Constant(start.type, list(range(COUNTED)))
    words = v.cell(b.add(start, b.mul(step, places)))
    ahead = b.mul(step, ir.Constant(start.type, [COUNTED] * COUNTED))
    for i in v.loop(v.add(count, COUNTED - 1), step=COUNTED):
        place = b.inttoptr(v.add(table, v.mul(i, 8)), start.type.as_pointer())
        b.store(words.get(), place, align=8)
        words.set(b.add(words.get(), ahead))


compute_tiles, count_up = tile_intrinsic(tiles), tile_intrinsic(counted)


# A task: its pixels and its panels.
Task = namedtuple("Task", "first_pixel pixels first_panel last_panel")
# The tables of a task, addresses in scratch memory.  A word a pixel, and for as many as a tile
# reads behind the last one: where it is written; where its window's first tap lies, even if
# outside; that tap's plane, row and column.  A word a tap: its bytes from the first.  A TILE for
# each tile.  And the rest.
Tables = namedtuple("Tables", "outs windows fronts tops lefts shifts tiles rest")
# Some taps of a step of the reduction.
Taps = namedtuple("Taps", "first count")
# A place in a window, or the first tap's in the image.
Place = namedtuple("Place", "z y x")


@chapter
def task_of(row, plan, index):
    """The pixels and the panels of a task."""
    # A panel has filters of one group, or whole groups.
    group_panels = ceil_div(plan.group_filters, row.channels)
    panels = ceil_div(plan.groups, plan.panel_groups) * group_panels
    panel_blocks = ceil_div(panels, plan.task_panels)
    first_pixel = index // panel_blocks * plan.task_pixels
    first_panel = index % panel_blocks * plan.task_panels
    return Task(
        first_pixel=first_pixel,
        pixels=min(plan.task_pixels, plan.pixels - first_pixel),
        first_panel=first_panel,
        last_panel=min(first_panel + plan.task_panels, panels),
    )


@chapter
def tables_in(row, plan, scratch):
    """How scratch memory is used."""
    entries = 8 * (plan.task_pixels + row.pixels)
    shifts = scratch + PIXEL_WORDS * entries
    tiles = shifts + 8 * plan.block_taps
    return Tables(
        outs=scratch,
        windows=scratch + entries,
        fronts=scratch + 2 * entries,
        tops=scratch + 3 * entries,
        lefts=scratch + 4 * entries,
        shifts=shifts,
        tiles=tiles,
        rest=tiles + TILE_BYTES * ceil_div(plan.task_pixels, row.pixels),
    )


@subroutine
def corner_of(tables, pixel):
    """Where the first tap of a pixel's window is in the image."""
    return Place(word(tables.fronts, pixel), word(tables.tops, pixel), word(tables.lefts, pixel))


@subroutine
def first_leaving(plan):
    """The first corner along each axis whose window leaves the image behind."""
    return Place(
        plan.d - (plan.kd - 1) * plan.dd,
        plan.h - (plan.kh - 1) * plan.dh,
        plan.w - (plan.kw - 1) * plan.dw,
    )


@subroutine
def window_leaves(corner, behind):
    """Whether a window leaves the image; `behind` is `first_leaving`, known before the loop."""
    before = corner.z < 0 or corner.y < 0 or corner.x < 0
    return before or corner.z >= behind.z or corner.y >= behind.y or corner.x >= behind.x


@subroutine
def is_inside(plan, corner, tap):
    """Whether a tap of a window is in the image."""
    z, y, x = corner.z + tap.z * plan.dd, corner.y + tap.y * plan.dh, corner.x + tap.x * plan.dw
    inside = z >= 0 and z < plan.d and y >= 0 and y < plan.h
    return inside and x >= 0 and x < plan.w


@subroutine
def tap_of(plan, index):
    """The tap of that number, in the order of summation."""
    row = index // plan.kw
    plane = row // plan.kh
    return Place(plane, row - plane * plan.kh, index - row * plan.kw)


@subroutine
def next_tap(plan, tap):
    z, y, x = tap.z, tap.y, tap.x + 1
    if x == plan.kw:
        x = 0
        y += 1
    if y == plan.kh:
        y = 0
        z += 1
    return Place(z, y, x)


@chapter
def point_at_zeros(row, plan, tables, first, pixels, taps, zeros, table):
    """Write the inputs of a tile whose windows leave the image: the addresses of each tap's pixels,
    and where it is outside that of zeros, less what will be added.

    table : address of MR words for each tap.
    """
    tap = tap_of(plan, taps.first)
    for t in range(taps.count):
        for i in range(pixels):
            address = word(tables.windows, first + i)
            if not is_inside(plan, corner_of(tables, first + i), tap):
                address = zeros - word(tables.shifts, t)
            set_word(table, t * row.pixels + i, address)
        tap = next_tap(plan, tap)


@chapter
def point_at_rows(row, plan, tables, first, pixels, table):
    """Write the inputs of a tile whose windows leave the image: the addresses of each kernel row,
    less what will be added.  Rows outside are one of zeros; those that leave the image at a side
    are copied between zeros.

    table : address of MR words for each kernel row, and of memory for as many windows behind them.
    """
    pixel_bytes = plan.group_channels * row.itemsize
    row_bytes = plan.kw * pixel_bytes
    copy = table + 8 * row.pixels * plan.kd * plan.kh
    zeros = 0
    for i in range(pixels):
        corner = corner_of(tables, first + i)
        before = min(max(-corner.x, 0), plan.kw)
        behind = max(min(plan.kw, plan.w - corner.x), before)
        kernel_row = 0
        for kz in range(plan.kd):
            z = corner.z + kz * plan.dd
            for ky in range(plan.kh):
                shift = word(tables.shifts, kernel_row * plan.kw)
                window = word(tables.windows, first + i)
                y = corner.y + ky * plan.dh
                if z < 0 or z >= plan.d or y < 0 or y >= plan.h:
                    if zeros == 0:
                        zeros = copy
                        zero_bytes(zeros, row_bytes)
                        copy += row_bytes
                    window = zeros - shift
                elif behind - before < plan.kw:
                    source = window + shift + before * pixel_bytes
                    window = copy - shift
                    zero_bytes(copy, before * pixel_bytes)
                    copy_bytes(copy + before * pixel_bytes, source, (behind - before) * pixel_bytes)
                    zero_bytes(copy + behind * pixel_bytes, (plan.kw - behind) * pixel_bytes)
                    copy += row_bytes
                set_word(table, kernel_row * row.pixels + i, window)
                kernel_row += 1


@chapter
def point_at_pixels(row, plan, task, tables, images, out):
    """Write the tables of a task's pixels."""
    sw, step, out_x = plan.sw, plan.sw * plan.image_x, plan.out_x
    y = task.first_pixel // plan.ow
    x = task.first_pixel - y * plan.ow
    z = y // plan.oh
    y -= z * plan.oh
    n = z // plan.od
    z -= n * plan.od
    first = 0
    while first < task.pixels:
        some = min(task.pixels - first, plan.ow - x)
        front, top, left = z * plan.sd - plan.front, y * plan.sh - plan.top, x * plan.sw - plan.left
        window = images + n * plan.image_n + front * plan.image_z + top * plan.image_y
        window += left * plan.image_x
        target = out + n * plan.out_n + z * plan.out_z + y * plan.out_y + x * plan.out_x
        count_up(row, table=tables.windows + 8 * first, start=window, step=step, count=some)
        count_up(row, table=tables.outs + 8 * first, start=target, step=out_x, count=some)
        if plan.border != NO_BORDER:
            count_up(row, table=tables.fronts + 8 * first, start=front, step=0, count=some)
            count_up(row, table=tables.tops + 8 * first, start=top, step=0, count=some)
            count_up(row, table=tables.lefts + 8 * first, start=left, step=sw, count=some)
        first += some
        x = 0
        y += 1
        if y == plan.oh:
            y = 0
            z += 1
        if z == plan.od:
            z = 0
            n += 1
    repeat_last(row, tables.outs, first)
    repeat_last(row, tables.windows, first)
    if plan.border != NO_BORDER:
        repeat_last(row, tables.fronts, first)
        repeat_last(row, tables.tops, first)
        repeat_last(row, tables.lefts, first)


@subroutine
def repeat_last(row, table, count):
    """Write as many words behind the last as a tile reads there."""
    for p in range(count, count + row.pixels):
        set_word(table, p, word(table, count - 1))


@chapter
def shift_taps(plan, tables, taps):
    """Write the bytes from the first tap to each."""
    tap = tap_of(plan, taps.first)
    for t in range(taps.count):
        shift = tap.z * plan.dd * plan.image_z + tap.y * plan.dh * plan.image_y
        set_word(tables.shifts, t, shift + tap.x * plan.dw * plan.image_x)
        tap = next_tap(plan, tap)


@chapter
def keep_inside(row, plan, task, tables, tap, inputs, outs):
    """Write the inputs and the outputs of those pixels alone that have a tap inside the image;
    return how many there are."""
    count = 0
    for p in range(task.pixels):
        if is_inside(plan, corner_of(tables, p), tap):
            set_word(inputs, count, word(tables.windows, p))
            set_word(outs, count, word(tables.outs, p))
            count += 1
    if count > 0:
        repeat_last(row, inputs, count)
        repeat_last(row, outs, count)
    return count


@chapter
def cut_tiles(row, plan, tables, inputs, outs, count, taps, zeros):
    """Write a TILE for MR or MR - 1 pixels each, and the inputs of those that leave the image.

    inputs, outs, count : addresses of a word for each pixel, and how many there are.
    Returns the number of tiles.
    """
    mr = row.pixels
    tiles = ceil_div(count, mr)
    behind = first_leaving(plan)
    least, longer = count // tiles, count % tiles
    merged = plan.kw if plan.merge_rows else 1
    merged_segments = taps.count // merged
    first = 0
    for t in range(tiles):
        some = least + (1 if t < longer else 0)
        read = mr if some == mr else mr - 1
        table, step = inputs + 8 * first, 0
        segments, segment_taps = merged_segments, merged
        leaves = False
        if plan.border == ZEROS or plan.border == COPIED:
            left, right = corner_of(tables, first), corner_of(tables, first + read - 1)
            leaves = window_leaves(left, behind) or window_leaves(right, behind)
            one_row = left.z == right.z and left.y == right.y
            if not one_row or right.x - left.x != (read - 1) * plan.sw:
                for p in range(first, first + read):
                    leaves = leaves or window_leaves(corner_of(tables, p), behind)
        if leaves and plan.border == ZEROS:
            table, step = tables.rest + 8 * t * mr * plan.block_taps, 8 * mr
            segments, segment_taps = taps.count, 1
            point_at_zeros(row, plan, tables, first, read, taps, zeros, table)
        elif leaves:
            kernel_rows = plan.kd * plan.kh
            window = kernel_rows * plan.kw * plan.group_channels * row.itemsize
            words = kernel_rows + ceil_div(window, 8)
            table, step = tables.rest + 8 * t * mr * words, 8 * mr
            point_at_rows(row, plan, tables, first, read, table)
        write_tile(
            tables.tiles,
            t,
            pixels=some,
            outs=outs + 8 * first,
            segments=segments,
            taps=segment_taps,
            inputs=table,
            step=step,
            lines=tables.outs + 8 * first,
        )
        first += some
    return tiles


@chapter
def finish_pixels(row, plan, task, tables, offset, n_filters):
    """Apply to some filters of a task's outputs what tiles do not apply.

    offset : bytes to be added to the addresses of pixels.
    """
    first = 0
    while first < task.pixels:
        row_rest = plan.ow - (task.first_pixel + first) % plan.ow
        some = min(task.pixels - first, row_rest)
        out = word(tables.outs, first) + offset
        finish_stored(row, plan, out, rows=1, out_y=0, pixels=some, channels=n_filters)
        first += some


@chapter
def compute_panels(row, plan, task, tables, tiles, taps, weights, residual, is_first, is_last):
    """Compute a step of the reduction of all tiles and panels of a task.

    residual : bytes from an output element to its residual, which is added; 0: none.
    is_first, is_last : of the steps.  The first begins with the bias, the last ends with residual
        and activation.
    """
    itemsize, panel_row = row.itemsize, row.channels * row.itemsize
    panel_bytes = panel_row * (1 + plan.kd * plan.kh * plan.kw * plan.group_channels)
    group_panels = ceil_div(plan.group_filters, row.channels)
    channels = plan.group_channels if taps.count else 1  # a step without taps has one block
    for first in range(0, channels, plan.block_channels):
        some = min(plan.block_channels, plan.group_channels - first)
        begins = is_first and first == 0
        ends = is_last and (taps.count == 0 or first + some == plan.group_channels)
        for p in range(task.first_panel, task.last_panel):
            group = p // group_panels * plan.panel_groups
            groups = min(plan.panel_groups, plan.groups - group)
            panel_filter = p % group_panels * row.channels
            first_filter = group * plan.group_filters + panel_filter
            n_filters = min(row.channels, groups * plan.group_filters - panel_filter)
            panel = weights + plan.weights_offset + p * panel_bytes
            compute_tiles(
                row,
                tables.tiles,
                tiles,
                tables.shifts,
                channels=some,
                offset=(group * plan.group_channels + first) * itemsize,
                panel=panel + panel_row * (1 + taps.first * plan.group_channels + first),
                out_offset=first_filter * itemsize,
                n_filters=n_filters,
                bias=panel if begins else 0,
                residual=residual if ends else 0,
                activation=plan.activation if ends else NO_ACTIVATION,
                order=weights + plan.weights_offset - row.lanes * itemsize,
                width=groups * plan.group_channels,
                line_offset=first_filter * itemsize,
                line_step=row.lanes * itemsize,
            )
            if ends and plan.activation > LAST_IN_TILES:
                finish_pixels(row, plan, task, tables, first_filter * itemsize, n_filters)


def task(row, plan, images, weights, out, residual, scratch, index):
    """Compute a block of output pixels by a block of panels.

    images, out : addresses of the first element; element strides of channels are 1, the others
        are the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of the packed weights, 64-byte aligned: a pixel's zeros,
        ``groups * group_channels``; at plan.weights_offset bytes from there, also aligned, for
        each panel its bias and its rows.  In rows whose lanes belong to several groups, the vector
        `order` (see `tiles`) stands right before them.
    scratch : SCRATCH_WORDS words, for tables of addresses and copied windows; `aotconv._plan` cuts
        tasks so that they suffice.

    Assumes of plan.border that it is not NO_BORDER if a window leaves the image, and COPIED only
    where merge_rows is set, or kernel rows are single taps, and a block has all taps.
    """
    where, tables = task_of(row, plan, index), tables_in(row, plan, scratch)
    point_at_pixels(row, plan, where, tables, images, out)

    # Of taps that are skipped, each pixel has other first and last ones: then a step without taps
    # stores the bias before all others, and one adds the residual and clamps behind them.
    all_taps = plan.kd * plan.kh * plan.kw
    skips = 1 if plan.border == SKIPPED else 0
    steps = ceil_div(all_taps, plan.block_taps) + skips
    if skips and (plan.activation != NO_ACTIVATION or residual != 0):
        steps += 1
    for step in range(steps):
        first_tap = (step - skips) * plan.block_taps
        count = min(plan.block_taps, all_taps - first_tap) if first_tap >= 0 else 0
        taps = Taps(first_tap, count)
        shift_taps(plan, tables, taps)
        inputs, outs, pixels = tables.windows, tables.outs, where.pixels
        if skips and taps.count > 0:
            inputs = tables.rest
            outs = inputs + 8 * (plan.task_pixels + row.pixels)
            tap = tap_of(plan, first_tap)
            pixels = keep_inside(row, plan, where, tables, tap, inputs, outs)
            if pixels == 0:
                continue
        tiles = cut_tiles(row, plan, tables, inputs, outs, pixels, taps, weights)
        last = step == steps - 1
        compute_panels(row, plan, where, tables, tiles, taps, weights, residual, step == 0, last)
