"""Dense convolution: tiles of MR output pixels by NR vectors of output channels.

For each tile the kernel multiplies MR rows of inputs, read in place, with a panel, the packed
weights of one column of tiles.  Tiles run across the ends of output rows and of images, and take
MR or MR - 1 pixels, so that few are computed for nothing.

Where windows leave the image there are three ways, none of which copies the image.  Of few
channels, the windows of a tile are copied between zeros.  Of more, taps outside point at a block
of zeros.  Of many, and if the plan says so, a tap is multiplied for those pixels alone that have
it inside.

Where the pixels of a row lie side by side instead of the channels (NCHW), a task transposes the
rows that it needs into staging memory, between zeros, and reads them there.  It writes such an
output to staging memory, and transposes it from there.

An output element is always summed in the same order (bias, then kernel row, kernel column,
channel), whatever the blocks, tiles, layouts and threads are.
"""

from __future__ import annotations

from collections import namedtuple

from numba.extending import register_jitable

from .._plan.dense import COPIED, NO_BORDER, SKIPPED, STAGED_GAP, TILE_FIELDS, ZEROS
from .epilogue import NO_ACTIVATION
from .panel import multiply_groups, multiply_run, start_sums, store_sums
from .runtime import (
    Record,
    ceil_div,
    chapter,
    copy_bytes,
    set_word,
    tile_intrinsic,
    word,
    zero_bytes,
)
from .transpose import pack, unpack

TILE = Record(*TILE_FIELDS)
write_tile = TILE.writer()
TILE_BYTES = TILE.size


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
    activation : its place in ACTIVATIONS.
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


compute_tiles = tile_intrinsic(tiles)


# A task: its pixels, columns `begin` to `end` of rows; its panels; and their filters.
Task = namedtuple(
    "Task", "first_pixel pixels begin end first_panel last_panel first_filter last_filter"
)
# The tables of a task, addresses in scratch memory.  A word a pixel, and for as many as a tile
# reads behind the last one: where it is written; where its window's first tap lies, even if
# outside; that tap's row and column; the cache lines that are to be fetched.  A word a tap: its
# bytes from the first.  A TILE for each tile.  And the rest.
Tables = namedtuple("Tables", "outs windows tops lefts lines shifts tiles rest")
# The bytes from a pixel to the next, and from a tap to the one below, of the pixels that tiles read
# and write: in place or in staging memory; in the latter also the outputs' bytes.
Strides = namedtuple("Strides", "image_x tap_y out_x staged_outs")
# Some taps of a step of the reduction.
Taps = namedtuple("Taps", "first count")


@register_jitable
def is_planar(row, stride):
    """Whether channels so many bytes apart do not lie side by side, so that they are staged."""
    return row.permuted == 0 and stride != row.itemsize


@chapter
def task_of(row, plan, index):
    """The pixels and the panels of a task."""
    # A panel has filters of one group, or whole groups.
    group_panels = ceil_div(plan.group_filters, row.channels)
    panels = ceil_div(plan.groups, plan.panel_groups) * group_panels
    panel_blocks = ceil_div(panels, plan.task_panels)
    pixel_task = index // panel_blocks
    begin, end = 0, plan.ow
    if plan.task_columns > 0:
        column_blocks = ceil_div(plan.ow, plan.task_columns)
        y = pixel_task // column_blocks * plan.task_rows
        begin = pixel_task % column_blocks * plan.task_columns
        end = min(begin + plan.task_columns, plan.ow)
        first_pixel = y * plan.ow + begin
        pixels = min(plan.task_rows, plan.pixels // plan.ow - y) * (end - begin)
    else:
        first_pixel = pixel_task * plan.task_pixels
        pixels = min(plan.task_pixels, plan.pixels - first_pixel)
    first = index % panel_blocks * plan.task_panels
    last = min(first + plan.task_panels, panels)
    first_filter = first // group_panels * plan.group_filters
    first_filter += first % group_panels * row.channels
    last_filter = last // group_panels * plan.group_filters + last % group_panels * row.channels
    last_filter = min(last_filter, plan.groups * plan.group_filters)
    return Task(first_pixel, pixels, begin, end, first, last, first_filter, last_filter)


@chapter
def tables_in(row, plan, scratch):
    """How scratch memory is used."""
    entries = 8 * (plan.task_pixels + row.pixels)
    windows = scratch + entries
    tops = windows + entries
    lefts = tops + entries
    shifts = lefts + entries
    lines, tiles = scratch, shifts + 8 * plan.block_taps  # nothing to fetch but what is written
    if is_planar(row, plan.out_c):
        lines, tiles = tiles, tiles + entries
    rest = tiles + TILE_BYTES * ceil_div(plan.task_pixels, row.pixels)
    return Tables(scratch, windows, tops, lefts, lines, shifts, tiles, rest)


@chapter
def strides_of(row, plan):
    image_x, tap_y, out_x, staged_outs = plan.image_x, plan.dh * plan.image_y, plan.out_x, 0
    if is_planar(row, plan.out_c):
        out_x = plan.task_panels * row.channels * row.itemsize + STAGED_GAP
        staged_outs = plan.task_pixels * out_x
    if is_planar(row, plan.image_c):
        image_x = plan.groups * plan.group_channels * row.itemsize
        tap_y = ((plan.task_columns - 1) * plan.sw + (plan.kw - 1) * plan.dw + 1) * image_x
    return Strides(image_x, tap_y, out_x, staged_outs)


@register_jitable
def window_leaves(plan, top, left):
    """Whether a window, whose first tap is at row `top` and column `left`, leaves the image."""
    last_y, last_x = top + (plan.kh - 1) * plan.dh, left + (plan.kw - 1) * plan.dw
    return top < 0 or last_y >= plan.h or left < 0 or last_x >= plan.w


@chapter
def point_at_zeros(row, plan, tables, first, pixels, taps, zeros, table):
    """Write the inputs of a tile whose windows leave the image: the addresses of each tap's pixels,
    and where it is outside that of zeros, less what will be added.

    table : address of MR words for each tap.
    """
    for tap in range(taps.count):
        ky = (taps.first + tap) // plan.kw
        dy, dx = ky * plan.dh, (taps.first + tap - ky * plan.kw) * plan.dw
        for i in range(pixels):
            y, x = word(tables.tops, first + i) + dy, word(tables.lefts, first + i) + dx
            address = word(tables.windows, first + i)
            if y < 0 or y >= plan.h or x < 0 or x >= plan.w:
                address = zeros - word(tables.shifts, tap)
            set_word(table, tap * row.pixels + i, address)


@chapter
def copy_windows(row, plan, tables, first, pixels, table):
    """Copy the windows of a tile between zeros, and write its inputs: the addresses of each kernel
    row's copies, less what will be added.

    table : address of MR words for each kernel row, and of memory for as many windows behind them.
    """
    pixel_bytes = plan.group_channels * row.itemsize
    copy = table + 8 * row.pixels * plan.kh
    for i in range(pixels):
        top, left = word(tables.tops, first + i), word(tables.lefts, first + i)
        before = min(max(-left, 0), plan.kw)
        behind = max(min(plan.kw, plan.w - left), before)
        for ky in range(plan.kh):
            shift = word(tables.shifts, ky * plan.kw)
            set_word(table, ky * row.pixels + i, copy - shift)
            y = top + ky * plan.dh
            if y < 0 or y >= plan.h:
                zero_bytes(copy, plan.kw * pixel_bytes)
            else:
                source = word(tables.windows, first + i) + shift + before * pixel_bytes
                zero_bytes(copy, before * pixel_bytes)
                copy_bytes(copy + before * pixel_bytes, source, (behind - before) * pixel_bytes)
                zero_bytes(copy + behind * pixel_bytes, (plan.kw - behind) * pixel_bytes)
            copy += plan.kw * pixel_bytes


@chapter
def pack_row(row, plan, images, target, n, y, left, columns):
    """Transpose a piece of a row whose pixels lie side by side into one whose channels do.

    target : address of `columns` pixels.
    n, y, left : image, row and first column; what lies outside the image is zeros.
    """
    channels = plan.groups * plan.group_channels
    pixel_bytes = channels * row.itemsize
    before = min(max(-left, 0), columns)
    behind = max(min(columns, plan.w - left), before)
    if y < 0 or y >= plan.h:
        before, behind = columns, columns
    zero_bytes(target, before * pixel_bytes)
    place = target + before * pixel_bytes
    source = images + n * plan.image_n + y * plan.image_y + (left + before) * row.itemsize
    pack(
        row,
        source=source,
        source_step=plan.image_c,
        target=place,
        target_step=pixel_bytes,
        rows=channels,
        columns=behind - before,
    )
    zero_bytes(target + behind * pixel_bytes, (columns - behind) * pixel_bytes)


@register_jitable
def move_outputs(row, plan, task, out, staged, out_x, inwards):
    """Copy a task's outputs from staging memory to their places, or with `inwards` the other way.

    out, staged : addresses of the first element, and of the task's first.
    out_x : bytes from a staged pixel to the next.
    """
    itemsize = row.itemsize
    filters = task.last_filter - task.first_filter
    y = task.first_pixel // plan.ow
    n = y // plan.oh
    y -= n * plan.oh
    rows_adjoin = task.end - task.begin == plan.ow and plan.out_y == plan.ow * itemsize
    first = 0
    while first < task.pixels:
        some, rows = task.end - task.begin, 1
        if rows_adjoin:
            some = min(task.pixels - first, (plan.oh - y) * plan.ow)
            rows = some // plan.ow
        place = staged + first * out_x
        at = out + n * plan.out_n + y * plan.out_y + task.begin * itemsize
        at += task.first_filter * plan.out_c
        if inwards:
            pack(
                row,
                source=at,
                source_step=plan.out_c,
                target=place,
                target_step=out_x,
                rows=filters,
                columns=some,
            )
        else:
            unpack(
                row,
                source=place,
                source_step=out_x,
                target=at,
                target_step=plan.out_c,
                rows=some,
                columns=filters,
                ahead=at // itemsize % row.lanes,
            )
        first += some
        y += rows
        if y == plan.oh:
            y = 0
            n += 1


@chapter
def point_at_pixels(row, plan, task, tables, strides, images, out, staging):
    """Write the tables of a task's pixels; where images are planar, pack their rows."""
    packed = staging + 2 * strides.staged_outs
    y = task.first_pixel // plan.ow
    x = task.first_pixel - y * plan.ow
    n = y // plan.oh
    y -= n * plan.oh
    first = 0
    while first < task.pixels:
        some = min(task.pixels - first, task.end - x)
        top, left = y * plan.sh - plan.top, x * plan.sw - plan.left
        window = images + n * plan.image_n + top * plan.image_y + left * plan.image_x
        target = out + n * plan.out_n + y * plan.out_y + x * plan.out_x
        if is_planar(row, plan.image_c):
            rows = plan.kh  # to be packed; of the next output row those that this one had not
            if first > 0:
                if y > 0 and plan.dh == 1:
                    rows = min(plan.sh, plan.kh)
                packed += rows * strides.tap_y
            window = packed
            columns = (some - 1) * plan.sw + (plan.kw - 1) * plan.dw + 1
            for ky in range(plan.kh - rows, plan.kh):
                place = packed + ky * strides.tap_y
                pack_row(row, plan, images, place, n, top + ky * plan.dh, left, columns)
        if is_planar(row, plan.out_c):
            for p in range(some):  # of so many lines as a vector has pixels, the p-th
                line = target + (p - p % row.lanes) * row.itemsize
                line += p % row.lanes * row.vectors * plan.out_c
                set_word(tables.lines, first + p, line)
            target = staging + first * strides.out_x - task.first_filter * row.itemsize
        for p in range(some):
            set_word(tables.windows, first + p, window + p * plan.sw * strides.image_x)
            set_word(tables.outs, first + p, target + p * strides.out_x)
        if plan.border != NO_BORDER:
            for p in range(some):
                set_word(tables.tops, first + p, top)
                set_word(tables.lefts, first + p, left + p * plan.sw)
        first += some
        x = task.begin
        y += 1
        if y == plan.oh:
            y = 0
            n += 1
    repeat_last(row, tables.outs, first)
    repeat_last(row, tables.windows, first)
    if plan.border != NO_BORDER:
        repeat_last(row, tables.tops, first)
        repeat_last(row, tables.lefts, first)


@register_jitable
def repeat_last(row, table, count):
    """Write as many words behind the last as a tile reads there."""
    for p in range(count, count + row.pixels):
        set_word(table, p, word(table, count - 1))


@chapter
def shift_taps(plan, tables, strides, taps):
    """Write the bytes from the first tap to each."""
    for tap in range(taps.count):
        ky = (taps.first + tap) // plan.kw
        kx = taps.first + tap - ky * plan.kw
        set_word(tables.shifts, tap, ky * strides.tap_y + kx * plan.dw * strides.image_x)


@chapter
def keep_inside(row, plan, task, tables, tap, inputs, outs):
    """Write the inputs and the outputs of those pixels alone that have a tap inside the image;
    return how many there are."""
    ky = tap // plan.kw
    dy, dx = ky * plan.dh, (tap - ky * plan.kw) * plan.dw
    count = 0
    for p in range(task.pixels):
        y, x = word(tables.tops, p) + dy, word(tables.lefts, p) + dx
        if y >= 0 and y < plan.h and x >= 0 and x < plan.w:
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
    for t in range(tiles):
        first = count // tiles * t + min(t, count % tiles)
        some = count // tiles + (1 if t < count % tiles else 0)
        read = mr if some == mr else mr - 1
        table, step = inputs + 8 * first, 0
        segment_taps = plan.kw if plan.merge_rows else 1
        leaves = False
        if plan.border == ZEROS or plan.border == COPIED:
            for p in range(first, first + read):
                leaves = leaves or window_leaves(plan, word(tables.tops, p), word(tables.lefts, p))
        if leaves and plan.border == ZEROS:
            table, step = tables.rest + 8 * t * mr * plan.block_taps, 8 * mr
            segment_taps = 1
            point_at_zeros(row, plan, tables, first, read, taps, zeros, table)
        elif leaves:
            window = plan.kh * plan.kw * plan.group_channels * row.itemsize
            words = plan.kh + ceil_div(window, 8)
            table, step = tables.rest + 8 * t * mr * words, 8 * mr
            copy_windows(row, plan, tables, first, read, table)
        write_tile(
            tables.tiles,
            t,
            pixels=some,
            outs=outs + 8 * first,
            segments=taps.count // segment_taps,
            taps=segment_taps,
            inputs=table,
            step=step,
            lines=tables.lines + 8 * first,
        )
    return tiles


@chapter
def compute_panels(row, plan, task, tables, tiles, taps, weights, residual, is_first, is_last):
    """Compute a step of the reduction of all tiles and panels of a task.

    residual : bytes from an output element to its residual, where tiles write it; 0: none.
    is_first, is_last : of the steps.  The first begins with the bias, the last ends with residual
        and activation.
    """
    itemsize, panel_row = row.itemsize, row.channels * row.itemsize
    panel_bytes = panel_row * (1 + plan.kh * plan.kw * plan.group_channels)
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
                n_filters=min(row.channels, groups * plan.group_filters - panel_filter),
                bias=panel if begins else 0,
                residual=residual if ends else 0,
                activation=plan.activation if ends else NO_ACTIVATION,
                order=weights + plan.weights_offset - row.lanes * itemsize,
                width=groups * plan.group_channels,
                line_offset=first_filter * plan.out_c,
                line_step=plan.out_c if is_planar(row, plan.out_c) else row.lanes * itemsize,
            )


def task(row, plan, images, weights, out, residual, scratch, staging, index):
    """Compute a block of output pixels by a block of panels.

    images, out : addresses of the first element; strides are the plan's, in bytes, of which that
        of channels or that of a row's pixels is an element's size.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of the packed weights, 64-byte aligned: a pixel's zeros,
        ``groups * group_channels``; at plan.weights_offset bytes from there, also aligned, for
        each panel its bias and its rows.  In rows whose lanes belong to several groups, the vector
        `order` (see `tiles`) stands right before them.
    scratch : SCRATCH_WORDS words, for tables of addresses and copied windows; `aotconv._plan` cuts
        tasks so that they suffice.
    staging : address of plan.staging bytes, aligned to a cache line; not used where channels lie
        side by side.  Behind each other: the task's outputs, their residuals, rows of images.

    Where something is staged, tasks are plan.task_rows by plan.task_columns pixels; else the latter
    is 0.  Assumes of plan.border that it is not NO_BORDER if a window leaves an image that is not
    packed, and COPIED only where none is, merge_rows is set and a block has all taps.
    """
    where = task_of(row, plan, index)
    tables, strides = tables_in(row, plan, scratch), strides_of(row, plan)
    planar_out = is_planar(row, plan.out_c)
    residual_distance = residual
    if planar_out and residual != 0:
        residual_distance = strides.staged_outs
        place = staging + residual_distance
        move_outputs(row, plan, where, out + residual, place, strides.out_x, True)
    point_at_pixels(row, plan, where, tables, strides, images, out, staging)

    # Of taps that are skipped, each pixel has other first and last ones: then a step without taps
    # stores the bias before all others, and one adds the residual and clamps behind them.
    all_taps = plan.kh * plan.kw
    skips = 1 if plan.border == SKIPPED else 0
    steps = ceil_div(all_taps, plan.block_taps) + skips
    if skips and (plan.activation != NO_ACTIVATION or residual != 0):
        steps += 1
    for step in range(steps):
        first_tap = (step - skips) * plan.block_taps
        count = min(plan.block_taps, all_taps - first_tap) if first_tap >= 0 else 0
        taps = Taps(first_tap, count)
        shift_taps(plan, tables, strides, taps)
        inputs, outs, pixels = tables.windows, tables.outs, where.pixels
        if skips and taps.count > 0:
            inputs = tables.rest
            outs = inputs + 8 * (plan.task_pixels + row.pixels)
            pixels = keep_inside(row, plan, where, tables, first_tap, inputs, outs)
            if pixels == 0:
                continue
        tiles = cut_tiles(row, plan, tables, inputs, outs, pixels, taps, weights)
        last = step == steps - 1
        compute_panels(
            row, plan, where, tables, tiles, taps, weights, residual_distance, step == 0, last
        )
    if planar_out:
        move_outputs(row, plan, where, out, staging, strides.out_x, False)
