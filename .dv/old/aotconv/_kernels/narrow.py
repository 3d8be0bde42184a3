"""Dense convolution into few filters: lanes hold several products of each.

With O filters at most half a vector, a vector holds SPLIT neighbouring inputs for each of them:
lane ``o * SPLIT + k`` sums the products of filter o with every SPLIT-th input.  The lanes of a
filter are added up at the end.  Inputs are copied between zeros first, row by row of the planes
under one plane of outputs, so that the ``kw * C`` inputs of a kernel row always lie side by side:
which lane an input falls to, and so the order of summation, depends on the filters alone.
"""

from __future__ import annotations

from collections import namedtuple

from .epilogue import NO_ACTIVATION, finish, limits
from .runtime import ceil_div, chapter, copy_bytes, set_word, tile_intrinsic, word, zero_bytes


def tile(
    v,
    row,
    table,
    planes,
    plane_gap,
    rows,
    row_bytes,
    run,
    weights,
    out_table,
    n_pixels,
    n_filters,
    activation,
):
    """Compute MR output pixels.

    table : address of MR words: of each pixel the address of its window.
    planes, rows : a window is `planes` planes of `rows` rows.
    row_bytes, plane_gap : bytes from a row to the next, and how many more from a plane's last row
        to the first one of the next plane.
    run : elements of a row.
    weights : address of vectors, aligned: the biases, in the first lane of each filter; then for
        each row of a window one for each SPLIT elements of the run, and for each element that is
        left over one more, in the first lane of each filter.  Other lanes are zeros.
    out_table : address of MR words: where each pixel is written.
    n_pixels : how many are written, 1 to MR.
    n_filters : how many elements of each are written, 1 to ``lanes / SPLIT``.
    activation : its place in FINISHES.

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

    def kernel_row(offset):
        """Multiply the rows of all windows that lie `offset` bytes from their first ones."""
        windows = [v.load_pointer(table, i, offset) for i in range(row.pixels)]
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

    offset = v.cell(v.word(0))
    for _ in v.loop(planes):
        for _ in v.loop(rows):
            kernel_row(offset.get())
            offset.set(v.add(offset.get(), row_bytes))
        offset.set(v.add(offset.get(), plane_gap))
    for i, total in enumerate(sums):
        for _ in v.when(v.less(i, n_pixels)):
            result = v.clamp(v.add_neighbours(total.get(), split), *bounds)
            v.store_lanes(result, v.load_pointer(out_table, i, 0), split, n_filters)


compute_tile = tile_intrinsic(tile)


# A block of outputs: its image, plane, first row and column, and how many of the latter.
Block = namedtuple("Block", "n z y x rows columns")
# The copy of a block's inputs: its address, its rows of each kernel plane, its columns, and the
# bytes of a row and of those columns that are taps of the same pixels: that leave the same rest
# when divided by the dilation.
Copied = namedtuple("Copied", "address rows columns row_bytes rest_bytes")


@chapter
def copy_pixels(row, plan, copied, place, source, before, behind):
    """Copy a row's pixels from `before` to `behind` between zeros, those that are taps of the same
    pixels beside each other."""
    pixel_bytes = plan.group_channels * row.itemsize
    for p in range(copied.columns):
        at = place + p % plan.dw * copied.rest_bytes + p // plan.dw * pixel_bytes
        if p < before or p >= behind:
            zero_bytes(at, pixel_bytes)
        else:
            copy_bytes(at, source, pixel_bytes)
            source += plan.image_x


@chapter
def copy_inputs(row, plan, block, copied, images):
    """Copy a block's inputs between zeros."""
    pixel_bytes = plan.group_channels * row.itemsize
    front, top = block.z * plan.sd - plan.front, block.y * plan.sh - plan.top
    left = block.x * plan.sw - plan.left
    # Of the copied columns, those from `before` to `behind` are the image's.
    before = min(max(-left, 0), copied.columns)
    behind = max(min(copied.columns, plan.w - left), before)
    place = copied.address
    for kz in range(plan.kd):
        z = front + kz * plan.dd
        for y in range(top, top + copied.rows):
            source = images + block.n * plan.image_n + z * plan.image_z + y * plan.image_y
            source += (left + before) * plan.image_x
            if z < 0 or z >= plan.d or y < 0 or y >= plan.h:
                zero_bytes(place, copied.row_bytes)
            elif plan.merge_rows:
                zero_bytes(place, before * pixel_bytes)
                copy_bytes(place + before * pixel_bytes, source, (behind - before) * pixel_bytes)
                zero_bytes(place + behind * pixel_bytes, (copied.columns - behind) * pixel_bytes)
            else:
                copy_pixels(row, plan, copied, place, source, before, behind)
            place += copied.row_bytes


@chapter
def point_at_pixels(row, plan, block, copied, windows, target, outs):
    """Write the addresses of each pixel's window in the copy, and of its output.

    windows, outs : addresses of a word for each pixel, and of as many as a tile reads behind them.
    target : address of the block's first output.
    """
    pixel_bytes = plan.group_channels * row.itemsize
    p = 0
    for y in range(block.rows):
        for x in range(block.columns):
            at = x * plan.sw
            if plan.dw == 1:  # a division takes as long as a third of a pixel
                at *= pixel_bytes
            else:
                at = at % plan.dw * copied.rest_bytes + at // plan.dw * pixel_bytes
            set_word(windows, p, copied.address + y * plan.sh * copied.row_bytes + at)
            set_word(outs, p, target + y * plan.out_y + x * plan.out_x)
            p += 1
    for behind in range(p, p + row.pixels):  # read by the last tile, but not written
        set_word(windows, behind, word(windows, p - 1))


def task(row, plan, images, weights, out, residual, scratch, index):
    """Compute a block of ``task_rows`` by ``task_columns`` output pixels of one plane.

    images, out : addresses of the first element; element strides of channels are 1, the others
        are the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of what `tile` reads, 64-byte aligned.
    scratch : SCRATCH_WORDS words, for two words for each pixel of a block and behind them the copy
        of its inputs.

    Assumes one group.
    """
    x_blocks = ceil_div(plan.ow, plan.task_columns)
    y_blocks = ceil_div(plan.oh, plan.task_rows)
    z = index // (x_blocks * y_blocks)
    index -= z * x_blocks * y_blocks
    n = z // plan.od
    z -= n * plan.od
    y, x = index // x_blocks * plan.task_rows, index % x_blocks * plan.task_columns
    rows, columns = min(plan.task_rows, plan.oh - y), min(plan.task_columns, plan.ow - x)
    block = Block(n, z, y, x, rows, columns)

    windows = scratch
    outs = windows + 8 * (plan.task_rows * plan.task_columns + row.pixels)
    copy = outs + 8 * (plan.task_rows * plan.task_columns + row.pixels)
    height = (rows - 1) * plan.sh + (plan.kh - 1) * plan.dh + 1
    width = (columns - 1) * plan.sw + (plan.kw - 1) * plan.dw + 1
    rest_bytes = ceil_div(width, plan.dw) * plan.group_channels * row.itemsize
    copied = Copied(copy, height, width, plan.dw * rest_bytes, rest_bytes)
    target = out + n * plan.out_n + z * plan.out_z + y * plan.out_y + x * plan.out_x
    copy_inputs(row, plan, block, copied, images)
    point_at_pixels(row, plan, block, copied, windows, target, outs)
    for p in range(0, rows * columns, row.pixels):
        compute_tile(
            row,
            table=windows + 8 * p,
            planes=plan.kd,
            plane_gap=(height - plan.kh * plan.dh) * copied.row_bytes,
            rows=plan.kh,
            row_bytes=plan.dh * copied.row_bytes,
            run=plan.kw * plan.group_channels,
            weights=weights,
            out_table=outs + 8 * p,
            n_pixels=min(row.pixels, rows * columns - p),
            n_filters=plan.group_filters,
            activation=NO_ACTIVATION if residual != 0 else plan.activation,
        )
    finish(
        row,
        plan,
        out=target,
        rows=rows,
        out_y=plan.out_y,
        pixels=columns,
        channels=plan.group_filters,
        residual=residual,
    )
