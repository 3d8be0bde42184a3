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

from numba.extending import register_jitable

from .._plan.registry import (
    COPIED,
    DENSE_TILE_WORDS,
    NO_BORDER,
    SKIPPED,
    STAGED_GAP,
    ZEROS,
)
from .panel import multiply_run
from .runtime import copy_bytes, set_word, tile_intrinsic, word, zero_bytes
from .transpose import pack, unpack


def start_sums(v, row, n_pixels, outs, out_offset, pixels, n_filters, bias):
    """A tile's accumulators, started from the bias, or where `bias` is 0 from the output."""
    rows, vectors = range(n_pixels), range(row.vectors)
    sums = [[v.cell(v.constant(0.0)) for _ in vectors] for _ in rows]
    for from_bias in v.choose(v.less(0, bias)):
        if from_bias:
            for j in vectors:
                start = v.load(v.pointer(bias), j * row.lanes, aligned=True)
                for i in rows:
                    sums[i][j].set(start)
        else:
            for i in rows:
                for _ in v.when(v.less(i, pixels)):
                    out = v.load_pointer(outs, i, out_offset)
                    for j in vectors:
                        at = j * row.lanes
                        sums[i][j].set(v.load_first(v.add(n_filters, -at), out, at))
    return sums


def store_sums(v, row, sums, outs, out_offset, pixels, n_filters, residual, activation):
    """Store `n_filters` of `pixels` of a tile, after its residuals are added and it is clamped."""
    for _ in v.when(v.unequal(residual, 0)):
        for i, pixel in enumerate(sums):
            for _ in v.when(v.less(i, pixels)):
                more = v.load_pointer(outs, i, v.add(out_offset, residual))
                for j, total in enumerate(pixel):
                    at = j * row.lanes
                    total.set(v.sum(total.get(), v.load_first(v.add(n_filters, -at), more, at)))
    for _ in v.when(v.less(0, activation)):
        upper = v.select(v.less(1, activation), v.constant(6.0), v.constant(float("inf")))
        for total in (total for pixel in sums for total in pixel):
            total.set(v.clamp(total.get(), v.constant(0.0), upper))
    for i, pixel in enumerate(sums):
        for _ in v.when(v.less(i, pixels)):
            out = v.load_pointer(outs, i, out_offset)
            for whole in v.choose(v.equal(n_filters, row.channels)):
                for j, total in enumerate(pixel):
                    at = j * row.lanes
                    if whole:
                        v.store(total.get(), out, at)
                    else:
                        v.store_first(v.add(n_filters, -at), total.get(), out, at)


def multiply_groups(v, row, sums, pointers, weights, channels, order, width):
    """Multiply one tap of each pixel, where the lanes of a vector belong to several groups."""
    inputs = [v.load_first(width, pixel) for pixel in pointers]
    for k in v.loop(channels):
        filters = v.load(weights.get(), aligned=True)
        lanes = v.load_order(order, k)
        for pixel, (total,) in zip(inputs, sums, strict=True):
            total.set(v.fma(v.permute(pixel, lanes), filters, total.get()))
        weights.set(v.at(weights.get(), row.lanes))


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

    first : address of DENSE_TILE_WORDS words for each tile:
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
    activation : 0 none, 1 relu, 2 relu6.
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
        pixels, outs, segments, taps, inputs, step, lines = words
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
        words = [
            v.load_word(first, v.add(v.mul(t, DENSE_TILE_WORDS), i))
            for i in range(DENSE_TILE_WORDS)
        ]
        for whole in v.choose(v.equal(words[0], row.pixels)):
            tile(words, row.pixels if whole else row.pixels - 1)


compute_tiles = tile_intrinsic(tiles)


@register_jitable
def window_leaves(plan, top, left):
    """Whether a window, whose first tap is at row `top` and column `left`, leaves the image."""
    last_y, last_x = top + (plan.kh - 1) * plan.dh, left + (plan.kw - 1) * plan.dw
    return top < 0 or last_y >= plan.h or left < 0 or last_x >= plan.w


@register_jitable
def point_at_zeros(row, plan, weights, pixel_tables, pixels, shifts, first_tap, taps, table):
    """Write the inputs of a tile whose windows leave the image: the addresses of each tap's pixels,
    and where it is outside that of zeros.

    pixel_tables : addresses of words for each pixel: its window's address, row and column.
    shifts : address of a word for each tap, which will be added.
    table : address of MR words for each tap.
    """
    windows, tops, lefts = pixel_tables
    for tap in range(taps):
        ky = (first_tap + tap) // plan.kw
        dy, dx = ky * plan.dh, (first_tap + tap - ky * plan.kw) * plan.dw
        for i in range(pixels):
            y, x = word(tops, i) + dy, word(lefts, i) + dx
            address = word(windows, i)
            if y < 0 or y >= plan.h or x < 0 or x >= plan.w:
                address = weights - word(shifts, tap)
            set_word(table, tap * row.pixels + i, address)


@register_jitable
def copy_windows(row, plan, pixel_tables, pixels, shifts, table):
    """Copy the windows of a tile between zeros, and write its inputs: the addresses of each kernel
    row's copies.

    pixel_tables, shifts : as in `point_at_zeros`.
    table : address of MR words for each kernel row, and of memory for as many windows behind them.
    """
    windows, tops, lefts = pixel_tables
    pixel_bytes = plan.group_channels * row.itemsize
    copy = table + 8 * row.pixels * plan.kh
    for i in range(pixels):
        top, left = word(tops, i), word(lefts, i)
        before = min(max(-left, 0), plan.kw)
        behind = max(min(plan.kw, plan.w - left), before)
        for ky in range(plan.kh):
            shift = word(shifts, ky * plan.kw)
            set_word(table, ky * row.pixels + i, copy - shift)
            y = top + ky * plan.dh
            if y < 0 or y >= plan.h:
                zero_bytes(copy, plan.kw * pixel_bytes)
            else:
                source = word(windows, i) + shift + before * pixel_bytes
                zero_bytes(copy, before * pixel_bytes)
                copy_bytes(copy + before * pixel_bytes, source, (behind - before) * pixel_bytes)
                zero_bytes(copy + behind * pixel_bytes, (plan.kw - behind) * pixel_bytes)
            copy += plan.kw * pixel_bytes


@register_jitable
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
    pack(row, source, plan.image_c, place, pixel_bytes, channels, behind - before)
    zero_bytes(target + behind * pixel_bytes, (columns - behind) * pixel_bytes)


@register_jitable
def move_outputs(
    row, plan, out, staged, first_pixel, pixels, begin, end, first_filter, last_filter, inwards
):
    """Copy a task's outputs from staging memory to their places, or with `inwards` the other way.

    out, staged : addresses of the first element, and of the task's first.
    first_pixel, pixels, begin, end : the task's pixels, which are columns `begin` to `end` of rows.
    """
    itemsize = row.itemsize
    out_x = plan.task_panels * row.channels * itemsize + STAGED_GAP
    filters = last_filter - first_filter
    y = first_pixel // plan.ow
    n = y // plan.oh
    y -= n * plan.oh
    rows_adjoin = end - begin == plan.ow and plan.out_y == plan.ow * itemsize
    first = 0
    while first < pixels:
        some, rows = end - begin, 1
        if rows_adjoin:
            some = min(pixels - first, (plan.oh - y) * plan.ow)
            rows = some // plan.ow
        place = staged + first * out_x
        at = out + n * plan.out_n + y * plan.out_y + begin * itemsize + first_filter * plan.out_c
        if inwards:
            pack(row, at, plan.out_c, place, out_x, filters, some)
        else:
            unpack(row, place, out_x, at, plan.out_c, some, filters, at // itemsize % row.lanes)
        first += some
        y += rows
        if y == plan.oh:
            y = 0
            n += 1


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
    mr, itemsize = row.pixels, row.itemsize
    planar_images = row.permuted == 0 and plan.image_c != itemsize
    planar_out = row.permuted == 0 and plan.out_c != itemsize
    taps = plan.kh * plan.kw
    panel_row = row.channels * itemsize
    panel_bytes = panel_row * (1 + taps * plan.group_channels)
    # A panel has filters of one group, or whole groups.
    panel_groups = plan.panel_groups
    group_panels = (plan.group_filters + row.channels - 1) // row.channels
    panels = (plan.groups + panel_groups - 1) // panel_groups * group_panels
    panel_blocks = (panels + plan.task_panels - 1) // plan.task_panels

    pixel_task = index // panel_blocks
    begin, end = 0, plan.ow  # columns
    if plan.task_columns > 0:
        column_blocks = (plan.ow + plan.task_columns - 1) // plan.task_columns
        y = pixel_task // column_blocks * plan.task_rows
        begin = pixel_task % column_blocks * plan.task_columns
        end = min(begin + plan.task_columns, plan.ow)
        first_pixel = y * plan.ow + begin
        pixels = min(plan.task_rows, plan.pixels // plan.ow - y) * (end - begin)
    else:
        first_pixel = pixel_task * plan.task_pixels
        pixels = min(plan.task_pixels, plan.pixels - first_pixel)
    first_panel = index % panel_blocks * plan.task_panels
    last_panel = min(first_panel + plan.task_panels, panels)

    # Tables of a word a pixel, and of as many as a tile reads behind the last one.
    entries = plan.task_pixels + mr
    outs = scratch
    windows = outs + 8 * entries  # where the first tap lies, even if outside the image
    tops = windows + 8 * entries  # its row and column
    lefts = tops + 8 * entries
    tap_shifts = lefts + 8 * entries
    lines = tap_shifts + 8 * plan.block_taps if planar_out else outs
    tiles = tap_shifts + 8 * plan.block_taps + (8 * entries if planar_out else 0)
    rest = tiles + 8 * DENSE_TILE_WORDS * ((plan.task_pixels + mr - 1) // mr)

    # Strides of the pixels that tiles read and write: in place, or in staging memory.
    image_x, out_x = plan.image_x, plan.out_x
    tap_y = plan.dh * plan.image_y
    first_filter = first_panel // group_panels * plan.group_filters
    first_filter += first_panel % group_panels * row.channels
    last_filter = last_panel // group_panels * plan.group_filters
    last_filter += last_panel % group_panels * row.channels
    last_filter = min(last_filter, plan.groups * plan.group_filters)
    packed = staging
    if planar_out:
        out_x = plan.task_panels * panel_row + STAGED_GAP
        packed += 2 * plan.task_pixels * out_x
    if planar_images:
        image_x = plan.groups * plan.group_channels * itemsize
        tap_y = ((plan.task_columns - 1) * plan.sw + (plan.kw - 1) * plan.dw + 1) * image_x
    residual_distance = residual
    if planar_out and residual != 0:
        residual_distance = plan.task_pixels * out_x
        move_outputs(
            row,
            plan,
            out + residual,
            staging + residual_distance,
            first_pixel,
            pixels,
            begin,
            end,
            first_filter,
            last_filter,
            True,
        )

    y = first_pixel // plan.ow
    x = first_pixel - y * plan.ow
    n = y // plan.oh
    y -= n * plan.oh
    first = 0
    while first < pixels:
        some = min(pixels - first, end - x)
        top, left = y * plan.sh - plan.top, x * plan.sw - plan.left
        window = images + n * plan.image_n + top * plan.image_y + left * plan.image_x
        target = out + n * plan.out_n + y * plan.out_y + x * plan.out_x
        if planar_images:
            rows = plan.kh  # to be packed; of the next output row those that this one had not
            if first > 0:
                if y > 0 and plan.dh == 1:
                    rows = min(plan.sh, plan.kh)
                packed += rows * tap_y
            window = packed
            columns = (some - 1) * plan.sw + (plan.kw - 1) * plan.dw + 1
            for ky in range(plan.kh - rows, plan.kh):
                iy = top + ky * plan.dh
                pack_row(row, plan, images, packed + ky * tap_y, n, iy, left, columns)
        if planar_out:
            for p in range(some):  # of so many lines as a vector has pixels, the p-th
                line = target + (p - p % row.lanes) * itemsize
                set_word(lines, first + p, line + p % row.lanes * row.vectors * plan.out_c)
            target = staging + first * out_x - first_filter * itemsize
        for p in range(some):
            set_word(windows, first + p, window + p * plan.sw * image_x)
            set_word(outs, first + p, target + p * out_x)
        if plan.border != NO_BORDER:
            for p in range(some):
                set_word(tops, first + p, top)
                set_word(lefts, first + p, left + p * plan.sw)
        first += some
        x = begin
        y += 1
        if y == plan.oh:
            y = 0
            n += 1
    for p in range(pixels, pixels + mr):
        set_word(outs, p, word(outs, pixels - 1))
        set_word(windows, p, word(windows, pixels - 1))
        if plan.border != NO_BORDER:
            set_word(tops, p, word(tops, pixels - 1))
            set_word(lefts, p, word(lefts, pixels - 1))

    # Of taps that are skipped, each pixel has other first and last ones: then a step without taps
    # stores the bias before all others, and one adds the residual and clamps behind them.
    skips = 1 if plan.border == SKIPPED else 0
    steps = (taps + plan.block_taps - 1) // plan.block_taps + skips
    if skips and (plan.activation != 0 or residual != 0):
        steps += 1
    for step in range(steps):
        first_tap = (step - skips) * plan.block_taps
        block_taps = min(plan.block_taps, taps - first_tap) if first_tap >= 0 else 0
        for tap in range(block_taps):
            ky = (first_tap + tap) // plan.kw
            kx = first_tap + tap - ky * plan.kw
            shift = ky * tap_y + kx * plan.dw * image_x
            set_word(tap_shifts, tap, shift)

        inputs, targets, count = windows, outs, pixels
        if skips and block_taps > 0:
            inputs, targets, count = rest, rest + 8 * entries, 0
            ky = first_tap // plan.kw
            dy, dx = ky * plan.dh, (first_tap - ky * plan.kw) * plan.dw
            for p in range(pixels):
                y, x = word(tops, p) + dy, word(lefts, p) + dx
                if y >= 0 and y < plan.h and x >= 0 and x < plan.w:
                    set_word(inputs, count, word(windows, p))
                    set_word(targets, count, word(outs, p))
                    count += 1
            if count == 0:
                continue
            for p in range(count, count + mr):
                set_word(inputs, p, word(inputs, count - 1))
                set_word(targets, p, word(targets, count - 1))

        n_tiles = (count + mr - 1) // mr
        for t in range(n_tiles):
            first = count // n_tiles * t + min(t, count % n_tiles)
            some = count // n_tiles + (1 if t < count % n_tiles else 0)
            read = mr if some == mr else mr - 1
            table, table_step = inputs + 8 * first, 0
            segment_taps = plan.kw if plan.merge_rows else 1
            leaves = False
            if plan.border == ZEROS or plan.border == COPIED:
                for p in range(first, first + read):
                    leaves = leaves or window_leaves(plan, word(tops, p), word(lefts, p))
            at = 8 * first
            pixel_tables = windows + at, tops + at, lefts + at
            if leaves and plan.border == ZEROS:
                table, table_step = rest + 8 * t * mr * plan.block_taps, 8 * mr
                segment_taps = 1
                point_at_zeros(
                    row, plan, weights, pixel_tables, read, tap_shifts, first_tap, block_taps, table
                )
            elif leaves:
                window_words = (
                    plan.kh + (plan.kh * plan.kw * plan.group_channels * itemsize + 7) // 8
                )
                table, table_step = rest + 8 * t * mr * window_words, 8 * mr
                copy_windows(row, plan, pixel_tables, read, tap_shifts, table)
            tile = tiles + 8 * DENSE_TILE_WORDS * t
            set_word(tile, 0, some)
            set_word(tile, 1, targets + 8 * first)
            set_word(tile, 2, block_taps // segment_taps)
            set_word(tile, 3, segment_taps)
            set_word(tile, 4, table)
            set_word(tile, 5, table_step)
            set_word(tile, 6, lines + 8 * first)

        is_last_step = step == steps - 1
        for first_channel in range(
            0, plan.group_channels if block_taps else 1, plan.block_channels
        ):
            channels = min(plan.block_channels, plan.group_channels - first_channel)
            depth = first_tap * plan.group_channels + first_channel
            is_last = is_last_step and (
                block_taps == 0 or first_channel + channels == plan.group_channels
            )
            for panel in range(first_panel, last_panel):
                group = panel // group_panels * panel_groups
                some_groups = min(panel_groups, plan.groups - group)
                panel_filter = panel % group_panels * row.channels
                bias = weights + plan.weights_offset + panel * panel_bytes
                compute_tiles(
                    row,
                    tiles,
                    n_tiles,
                    tap_shifts,
                    channels,
                    (group * plan.group_channels + first_channel) * itemsize,
                    bias + panel_row * (1 + depth),
                    (group * plan.group_filters + panel_filter) * itemsize,
                    min(row.channels, some_groups * plan.group_filters - panel_filter),
                    bias if step == 0 and first_channel == 0 else 0,
                    residual_distance if is_last else 0,
                    plan.activation if is_last else 0,
                    weights + plan.weights_offset - row.lanes * itemsize,
                    some_groups * plan.group_channels,
                    (group * plan.group_filters + panel_filter) * plan.out_c,
                    plan.out_c if planar_out else row.lanes * itemsize,
                )
    if planar_out:
        move_outputs(
            row,
            plan,
            out,
            staging,
            first_pixel,
            pixels,
            begin,
            end,
            first_filter,
            last_filter,
            False,
        )
