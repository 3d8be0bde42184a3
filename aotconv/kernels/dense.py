"""Dense convolution: tiles of MR output pixels by NR vectors of output channels.

For each tile the kernel multiplies MR rows of inputs, read in place, with a panel, the packed
weights of one column of tiles.  Tiles run across the ends of output rows and of images.  Where a
pixel's window leaves the image, its taps point at a block of zeros, so padding costs no copy.

The reduction is cut into blocks, so that a panel's slice stays in the first-level cache while it
serves all pixel tiles of the task.  An output element is always summed in the same order (bias,
then kernel row, kernel column, channel), whatever the blocks, tiles and threads are.
"""

from __future__ import annotations

from .registry import UNROLL
from .runtime import set_word, tile_intrinsic, word
from .simd import epilogue


def start_sums(v, row, out_table, out_offset, pixels, channels, bias):
    """A tile's accumulators, started from the bias, or where `bias` is 0 from the output."""
    rows, vectors = range(row.pixels), range(row.vectors)
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
                    out = v.load_pointer(out_table, i, out_offset)
                    for j in vectors:
                        at = j * row.lanes
                        sums[i][j].set(v.load_first(v.add(channels, -at), out, at))
    return sums


def store_sums(v, row, sums, out_table, out_offset, pixels, channels, residual, activation):
    """Store `channels` of `pixels` of a tile, after its epilogue."""
    for finish in epilogue(v, residual, activation):
        for i in range(row.pixels):
            for _ in v.when(v.less(i, pixels)):
                out = v.load_pointer(out_table, i, out_offset)
                for whole in v.choose(v.equal(channels, row.channels)):
                    for j, total in enumerate(sums[i]):
                        at = j * row.lanes
                        if whole:
                            v.store(finish(total.get(), out, at), out, at)
                        else:
                            count = v.add(channels, -at)
                            v.store_first(count, finish(total.get(), out, at, count), out, at)


def tile(
    v,
    row,
    table,
    segments,
    run,
    offset,
    panel,
    out_table,
    out_offset,
    pixels,
    channels,
    bias,
    residual,
    activation,
):
    """Compute one tile, or one block of its reduction.

    table : address of ``segments * MR`` words: for each run of inputs an address a pixel, to each
        of which `offset` bytes are added.
    segments, run : the reduction is `segments` runs of `run` elements, contiguous in memory.
    panel : address of ``segments * run`` rows of NR vectors, aligned to a vector.
    out_table : address of MR words: the output pixels' addresses, to each of which `out_offset`
        bytes are added.
    pixels, channels : how many are stored, 1 to MR and 1 to NR vectors.
    bias : address of NR vectors to start from, aligned; or 0: start from the output's values.
    residual : bytes from an output element to its residual, which is added; 0: none.
    activation : 0 none, 1 relu, 2 relu6.

    Reads the runs (of MR pixels, stored or not), the panel, the bias; reads and writes the stored
    pixels and channels of the output, and reads their residuals.  Neighbouring bytes are not
    touched.
    """
    rows, vectors = range(row.pixels), range(row.vectors)
    sums = start_sums(v, row, out_table, out_offset, pixels, channels, bias)
    weights = v.cell(v.pointer(panel))
    for segment in v.loop(segments):
        inputs = [v.load_pointer(table, v.add(v.mul(segment, row.pixels), i), offset) for i in rows]

        def multiply(k, count, inputs=inputs):
            for u in range(count):
                at = [(u * row.vectors + j) * row.lanes for j in vectors]
                filters = [v.load(weights.get(), a, aligned=True) for a in at]
                for i in rows:
                    pixel = v.splat(v.at(inputs[i], k), u)
                    for j in vectors:
                        sums[i][j].set(v.fma(pixel, filters[j], sums[i][j].get()))
            weights.set(v.at(weights.get(), count * row.channels))

        unrolled = v.floor(run, UNROLL)
        for k in v.loop(unrolled, step=UNROLL):
            multiply(k, UNROLL)
        for k in v.loop(run, start=unrolled):
            multiply(k, 1)
    store_sums(v, row, sums, out_table, out_offset, pixels, channels, residual, activation)


compute_tile = tile_intrinsic(tile)


def task(row, plan, images, weights, out, residual, scratch, index):
    """Compute a block of pixel tiles by a block of panels.

    images, out : addresses of the first element; element strides of channels are 1, the others
        are the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of the packed weights (`aotconv.plan.pack`), 64-byte aligned: a pixel's zeros,
        ``groups * group_channels``; at plan.weights_offset bytes from there, also aligned, for
        each panel its bias and its rows.
    scratch : SCRATCH_WORDS words, for tables of addresses; a plan keeps
        ``task_tiles * (MR * (4 + block_taps) + 1)`` within.
    """
    mr = row.pixels
    itemsize = row.itemsize
    panel_row = row.channels * itemsize
    taps = plan.kh * plan.kw
    panel_bytes = panel_row * (1 + taps * plan.group_channels)
    group_panels = (plan.group_filters + row.channels - 1) // row.channels
    panel_blocks = (plan.groups * group_panels + plan.task_panels - 1) // plan.task_panels

    first_pixel = index // panel_blocks * plan.task_tiles * mr
    last_pixel = min(first_pixel + plan.task_tiles * mr, plan.pixels)
    tiles = (last_pixel - first_pixel + mr - 1) // mr
    first_panel = index % panel_blocks * plan.task_panels
    last_panel = min(first_panel + plan.task_panels, plan.groups * group_panels)

    # Tables of a word a pixel: output, window (may begin outside the image), its row and column.
    outs = scratch
    windows = outs + 8 * mr * plan.task_tiles
    tops = windows + 8 * mr * plan.task_tiles
    lefts = tops + 8 * mr * plan.task_tiles
    # A word a tile: whether it takes whole kernel rows as runs.
    merged = lefts + 8 * mr * plan.task_tiles
    taps_table = merged + 8 * plan.task_tiles

    y = first_pixel // plan.ow
    x = first_pixel - y * plan.ow
    n = y // plan.oh
    y -= n * plan.oh
    for p in range(tiles * mr):
        top = y * plan.sh - plan.top
        left = x * plan.sw - plan.left
        window = images + n * plan.image_n + top * plan.image_y + left * plan.image_x
        set_word(outs, p, out + n * plan.out_n + y * plan.out_y + x * plan.out_x)
        set_word(windows, p, window)
        set_word(tops, p, top)
        set_word(lefts, p, left)
        if first_pixel + p < last_pixel - 1:  # the last one stands in for those of no pixel
            x += 1
            if x == plan.ow:
                x = 0
                y += 1
                if y == plan.oh:
                    y = 0
                    n += 1

    for first_tap in range(0, taps, plan.block_taps):
        last_tap = min(first_tap + plan.block_taps, taps)
        block_taps = last_tap - first_tap

        for t in range(tiles):
            merge = plan.merge_rows
            if merge:
                first_y = first_tap // plan.kw * plan.dh
                last_y = (last_tap - 1) // plan.kw * plan.dh
                for p in range(t * mr, t * mr + mr):
                    top, left = word(tops, p), word(lefts, p)
                    if (
                        top + first_y < 0
                        or top + last_y >= plan.h
                        or left < 0
                        or left + plan.kw > plan.w
                    ):
                        merge = 0
            set_word(merged, t, merge)
            entry = t * mr * plan.block_taps
            step = plan.kw if merge else 1
            for tap in range(first_tap, last_tap, step):
                ky = tap // plan.kw
                kx = tap - ky * plan.kw
                dy, dx = ky * plan.dh, kx * plan.dw
                shift = dy * plan.image_y + dx * plan.image_x
                for p in range(t * mr, t * mr + mr):
                    address = word(windows, p) + shift
                    if not merge:
                        y, x = word(tops, p) + dy, word(lefts, p) + dx
                        if y < 0 or y >= plan.h or x < 0 or x >= plan.w:
                            address = weights
                    set_word(taps_table, entry, address)
                    entry += 1

        for first_channel in range(0, plan.group_channels, plan.block_channels):
            last_channel = min(first_channel + plan.block_channels, plan.group_channels)
            channels = last_channel - first_channel
            depth = first_tap * plan.group_channels + first_channel
            is_first = depth == 0
            is_last = last_tap == taps and last_channel == plan.group_channels
            for panel in range(first_panel, last_panel):
                group = panel // group_panels
                first_filter = (panel - group * group_panels) * row.channels
                bias = weights + plan.weights_offset + panel * panel_bytes
                for t in range(tiles):
                    merge = word(merged, t)
                    compute_tile(
                        row,
                        taps_table + 8 * t * mr * plan.block_taps,
                        block_taps // plan.kw if merge else block_taps,
                        channels * plan.kw if merge else channels,
                        (group * plan.group_channels + first_channel) * itemsize,
                        bias + panel_row * (1 + depth),
                        outs + 8 * t * mr,
                        (group * plan.group_filters + first_filter) * itemsize,
                        min(mr, last_pixel - first_pixel - t * mr),
                        min(row.channels, plan.group_filters - first_filter),
                        bias if is_first else 0,
                        residual if is_last else 0,
                        plan.activation if is_last else 0,
                    )
