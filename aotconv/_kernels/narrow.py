"""Dense convolution into few filters: lanes hold several products of each.

With O filters at most half a vector, a vector holds SPLIT neighbouring inputs for each of them:
lane ``o * SPLIT + k`` sums the products of filter o with every SPLIT-th input.  The lanes of a
filter are added up at the end.  Inputs are copied between zeros first, row by row, so that the
``kw * C`` inputs of a kernel row always lie side by side: which lane an input falls to, and so the
order of summation, depends on the filters alone.
"""

from __future__ import annotations

from .epilogue import add_residuals, limits
from .runtime import copy_bytes, set_word, tile_intrinsic, word, zero_bytes


def tile(v, row, table, rows, row_bytes, run, weights, out_table, n_pixels, n_filters, activation):
    """Compute MR output pixels.

    table : address of MR words: of each pixel the address of its window.
    rows, row_bytes, run : a window is `rows` rows, `row_bytes` apart, of `run` elements.
    weights : address of vectors, aligned: the biases, in the first lane of each filter; then for
        each row of a window one for each SPLIT elements of the run, and for each element that is
        left over one more, in the first lane of each filter.  Other lanes are zeros.
    out_table : address of MR words: where each pixel is written.
    n_pixels : how many are written, 1 to MR.
    n_filters : how many elements of each are written, 1 to ``lanes / SPLIT``.
    activation : 0 none, 1 relu, 2 relu6.

    Reads the windows of MR pixels, written or not.
    """
    split, lanes = row.split, row.lanes
    bounds = limits(v, activation)
    first_lanes = [lane % split == 0 for lane in range(lanes)]
    taps = v.cell(v.pointer(weights))
    bias = v.load(taps.get(), aligned=True)
    taps.set(v.at(taps.get(), lanes))
    sums = [v.cell(bias) for _ in range(row.pixels)]
    whole = v.floor(run, split)
    for y in v.loop(rows):
        windows = [v.load_pointer(table, i, v.mul(y, row_bytes)) for i in range(row.pixels)]
        for k in v.loop(whole, step=split):
            filters = v.load(taps.get(), aligned=True)
            for window, total in zip(windows, sums, strict=True):
                inputs = v.load_repeated(window, k, split)
                total.set(v.fma(inputs, filters, total.get()))
            taps.set(v.at(taps.get(), lanes))
        for k in v.loop(run, start=whole):
            filters = v.load(taps.get(), aligned=True)
            for window, total in zip(windows, sums, strict=True):
                inputs = v.keep(first_lanes, v.splat(window, k))
                total.set(v.fma(inputs, filters, total.get()))
            taps.set(v.at(taps.get(), lanes))
    for i, total in enumerate(sums):
        for _ in v.when(v.less(i, n_pixels)):
            result = v.clamp(v.add_neighbours(total.get(), split), *bounds)
            v.store_lanes(result, v.load_pointer(out_table, i, 0), split, n_filters)


compute_tile = tile_intrinsic(tile)


def task(row, plan, images, weights, out, residual, scratch, staging, index):
    """Compute a block of ``task_rows`` by ``task_columns`` output pixels of one image.

    images, out : addresses of the first element; element strides of channels are 1, the others
        are the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of what `tile` reads, 64-byte aligned.
    scratch : SCRATCH_WORDS words, for two words for each pixel of a block and behind them the copy
        of its inputs.

    Assumes one group.
    """
    mr = row.pixels
    pixel_bytes = plan.group_channels * row.itemsize
    x_blocks = (plan.ow + plan.task_columns - 1) // plan.task_columns
    y_blocks = (plan.oh + plan.task_rows - 1) // plan.task_rows
    n = index // (x_blocks * y_blocks)
    index -= n * x_blocks * y_blocks
    first_y = index // x_blocks * plan.task_rows
    first_x = index % x_blocks * plan.task_columns
    rows = min(plan.task_rows, plan.oh - first_y)
    columns = min(plan.task_columns, plan.ow - first_x)
    pixels = rows * columns

    windows = scratch
    outs = windows + 8 * (plan.task_rows * plan.task_columns + mr)
    copy = outs + 8 * (plan.task_rows * plan.task_columns + mr)
    # Copied columns that are taps of the same pixels lie side by side: those that leave the same
    # rest when divided by the dilation.
    copied = (columns - 1) * plan.sw + (plan.kw - 1) * plan.dw + 1
    rest_bytes = (copied + plan.dw - 1) // plan.dw * pixel_bytes
    row_bytes = plan.dw * rest_bytes
    top = first_y * plan.sh - plan.top
    left = first_x * plan.sw - plan.left
    # Of the copied columns, those from `before` to `behind` are the image's.
    before = min(max(-left, 0), copied)
    behind = max(min(copied, plan.w - left), before)
    for i in range((rows - 1) * plan.sh + (plan.kh - 1) * plan.dh + 1):
        iy = top + i
        place = copy + i * row_bytes
        if iy < 0 or iy >= plan.h:
            zero_bytes(place, row_bytes)
            continue
        source = images + n * plan.image_n + iy * plan.image_y + (left + before) * plan.image_x
        if plan.merge_rows:
            zero_bytes(place, before * pixel_bytes)
            copy_bytes(place + before * pixel_bytes, source, (behind - before) * pixel_bytes)
            zero_bytes(place + behind * pixel_bytes, (copied - behind) * pixel_bytes)
            continue
        for p in range(copied):
            at = place + p % plan.dw * rest_bytes + p // plan.dw * pixel_bytes
            if p < before or p >= behind:
                zero_bytes(at, pixel_bytes)
            else:
                copy_bytes(at, source, pixel_bytes)
                source += plan.image_x

    target = out + n * plan.out_n + first_y * plan.out_y + first_x * plan.out_x
    p = 0
    for y in range(rows):
        for x in range(columns):
            at = x * plan.sw
            if plan.dw == 1:  # a division takes as long as a third of a pixel
                at *= pixel_bytes
            else:
                at = at % plan.dw * rest_bytes + at // plan.dw * pixel_bytes
            set_word(windows, p, copy + y * plan.sh * row_bytes + at)
            set_word(outs, p, target + y * plan.out_y + x * plan.out_x)
            p += 1
    for p in range(pixels, pixels + mr):  # read by the last tile, but not written
        set_word(windows, p, word(windows, pixels - 1))

    for p in range(0, pixels, mr):
        compute_tile(
            row,
            windows + 8 * p,
            plan.kh,
            plan.dh * row_bytes,
            plan.kw * plan.group_channels,
            weights,
            outs + 8 * p,
            min(mr, pixels - p),
            plan.group_filters,
            0 if residual != 0 else plan.activation,
        )
    if residual != 0:
        add_residuals(
            row,
            target,
            rows,
            plan.out_y,
            columns,
            plan.out_x,
            plan.group_filters,
            residual,
            plan.activation,
        )
