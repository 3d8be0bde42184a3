"""Winograd convolution F(4x4, 3x3): 36 products for 16 outputs, where direct kernels need 144.

Outputs are computed in tiles of 4x4 pixels, each from a 6x6 tile d of the image::

    y = A^T [(G g G^T) * (B^T d B)] A

with the product of each of the 36 positions summed over the channels: a matrix product of tiles
by filters (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016).  The
polynomials are evaluated at 0, ±5/8, ±3/2 and infinity, which are exact in binary; at Lavin's 0,
±1, ±2 rounding errors are twice as large (Barabasz et al., "Error Analysis and Improving the
Accuracy of Winograd Convolution for Deep Neural Networks", ACM TOMS 46(4), 2020).

The grid of tiles begins at each image's first output, and an output element is always computed in
the same order, whatever the blocks and threads are.
"""

from __future__ import annotations

from collections import namedtuple

from .._plan.winograd import INPUT, POINTS, TILE
from .epilogue import NO_ACTIVATION, finish, limits
from .panel import multiply_run
from .runtime import ceil_div, chapter, set_word, subroutine, tile_intrinsic

P, Q = POINTS


def transform_six(v, d):
    """B^T d of six vectors."""

    def fma(factor, a, b):
        return v.fma(v.constant(factor), a, b)

    even_p, odd_p = fma(-Q * Q, d[2], d[4]), fma(-Q * Q, d[1], d[3])
    even_q, odd_q = fma(-P * P, d[2], d[4]), fma(-P * P, d[1], d[3])
    ends = [fma(-(P * P + Q * Q), d[i + 2], fma(P * P * Q * Q, d[i], d[i + 4])) for i in (0, 1)]
    return [
        ends[0],
        fma(P, odd_p, even_p),
        fma(-P, odd_p, even_p),
        fma(Q, odd_q, even_q),
        fma(-Q, odd_q, even_q),
        ends[1],
    ]


def transform_four(v, m):
    """A^T m of six vectors."""

    def fma(factor, a, b):
        return v.fma(v.constant(factor), a, b)

    sum_p, difference_p = v.sum(m[1], m[2]), v.difference(m[1], m[2])
    sum_q, difference_q = v.sum(m[3], m[4]), v.difference(m[3], m[4])
    zero = v.constant(0.0)
    return [
        v.sum(v.sum(m[0], sum_p), sum_q),
        fma(P, difference_p, fma(Q, difference_q, zero)),
        fma(P * P, sum_p, fma(Q * Q, sum_q, zero)),
        fma(P**3, difference_p, fma(Q**3, difference_q, m[5])),
    ]


def inputs(v, row, table, channels, offset, target, step):
    """Store B^T d B of one tile, for each of `channels` channels.

    table : address of 36 words, the addresses of the tile's pixels, row by row; `offset` bytes are
        to be added.
    target : address of the channels of the first position, aligned to a vector; those of the next
        lie `step` bytes behind.

    Reads `channels` elements of each pixel; writes as many of each position, rounded up to vectors.
    """
    size = INPUT
    start = v.pointer(target)

    def transform(c, count=None):
        def load(i, j):
            pixel = v.load_pointer(table, i * size + j, offset)
            return v.load(pixel, c) if count is None else v.load_first(count, pixel, c)

        columns = [transform_six(v, [load(i, j) for i in range(size)]) for j in range(size)]
        v.fence()
        for i in range(size):
            rows = transform_six(v, [column[i] for column in columns])
            for j, value in enumerate(rows):
                v.store(value, v.offset(start, v.mul(step, i * size + j)), c)

    whole = v.floor(channels, row.lanes)
    for c in v.loop(whole, step=row.lanes):
        transform(c)
    for _ in v.when(v.less(whole, channels)):
        transform(whole, v.sub(channels, whole))


def products(v, row, tiles, tile_bytes, large, small, channels, panel, target, is_first):
    """Multiply the transformed tiles of one position with one panel's filters.

    tiles : address of runs of `channels` elements, `tile_bytes` apart.
    large, small : so many times MR tiles, then so many times MR - 1.
    panel : address of NR vectors for each channel, aligned.
    target : address of NR vectors for each tile, aligned: the sums.
    is_first : 1: the sums begin at zero; 0: they go on from what `target` holds.

    Reads the runs and the panel; writes NR vectors for each tile.
    """
    vectors = range(row.vectors)

    def compute(first, n_pixels):
        rows = range(n_pixels)
        sums = [[v.cell(v.constant(0.0)) for _ in vectors] for _ in rows]
        out = v.at(v.pointer(target), v.mul(first, row.channels))
        for _ in v.when(v.equal(is_first, 0)):
            for i in rows:
                for j in vectors:
                    sums[i][j].set(v.load(out, i * row.channels + j * row.lanes, aligned=True))
        weights = v.cell(v.pointer(panel))
        start = v.add(tiles, v.mul(first, tile_bytes))
        pointers = [v.pointer(v.add(start, v.mul(tile_bytes, i))) for i in rows]

        multiply_run(v, row, sums, pointers, weights, channels)
        for i in rows:
            for j in vectors:
                v.store(sums[i][j].get(), out, i * row.channels + j * row.lanes)

    for t in v.loop(large):
        compute(v.mul(t, row.pixels), row.pixels)
    for t in v.loop(small):
        first = v.add(v.mul(large, row.pixels), v.mul(t, row.pixels - 1))
        compute(first, row.pixels - 1)


def outputs(v, row, sums, step, table, offset, n_filters, bias, activation):
    """Store A^T m A of one tile, plus bias, clamped.

    sums : address of NR vectors of the first position, aligned; those of the next lie `step` bytes
        behind.
    table : address of 16 words, the addresses of the tile's pixels, row by row; `offset` bytes are
        to be added.  The pixels are stored last to first: those outside the result may have the
        address of one inside that comes before them.
    n_filters : how many are stored, 1 to NR vectors.
    bias : address of NR vectors, aligned.
    activation : its place in FINISHES.

    Reads the sums and the bias; writes `n_filters` elements of each pixel.  Neighbouring bytes are
    not touched.
    """
    size, n = INPUT, TILE
    start = v.pointer(sums)
    bounds = limits(v, activation)

    def transform(f, count=None):
        columns = []
        for j in range(size):
            m = [
                v.load(v.offset(start, v.mul(step, i * size + j)), f, aligned=True)
                for i in range(size)
            ]
            columns.append(transform_four(v, m))
        biases = v.load(v.pointer(bias), f, aligned=True)
        v.fence()
        for i in reversed(range(n)):
            values = transform_four(v, [column[i] for column in columns])
            for j in reversed(range(n)):
                out = v.load_pointer(table, i * n + j, offset)
                total = v.clamp(v.sum(values[j], biases), *bounds)
                if count is None:
                    v.store(total, out, f)
                else:
                    v.store_first(count, total, out, f)

    whole = v.floor(n_filters, row.lanes)
    for f in v.loop(whole, step=row.lanes):
        transform(f)
    for _ in v.when(v.less(whole, n_filters)):
        transform(whole, v.sub(n_filters, whole))


transform_inputs = tile_intrinsic(inputs)
multiply = tile_intrinsic(products)
transform_outputs = tile_intrinsic(outputs)


# A block of tiles by a block of panels: its first tile, how many there are and how many are
# multiplied, since MR or MR - 1 are at a time: what that needs more is the last one again.
Block = namedtuple("Block", "tile tiles multiplied groups first_panel last_panel")
# Staging memory: addresses of the transformed inputs and of the sums, of the first of 36 positions,
# the bytes from one position to the next, and from one tile's inputs to the next's.
Staged = namedtuple("Staged", "inputs input_step tile_bytes sums sum_step")


@chapter
def block_of(row, plan, index):
    """The block that a task computes."""
    panels = ceil_div(plan.group_filters, row.channels)
    panel_blocks = ceil_div(panels, plan.task_panels)
    tile = index // panel_blocks * plan.task_tiles
    images = plan.pixels // (plan.oh * plan.ow)
    tiles = min(plan.task_tiles, images * ceil_div(plan.oh, TILE) * ceil_div(plan.ow, TILE) - tile)
    groups = ceil_div(tiles, row.pixels)
    multiplied = max(tiles, groups * (row.pixels - 1))
    first = index % panel_blocks * plan.task_panels
    return Block(tile, tiles, multiplied, groups, first, min(first + plan.task_panels, panels))


@chapter
def staged_in(row, plan, staging):
    """How staging memory is used."""
    held = max(plan.task_tiles, ceil_div(plan.task_tiles, row.pixels) * (row.pixels - 1))
    tile_bytes = ceil_div(plan.block_channels, row.lanes) * row.lanes * row.itemsize
    # A line more than needed between positions, so that they do not all fall into one set.
    input_step = held * tile_bytes + 64
    sum_step = held * row.channels * row.itemsize + 64
    return Staged(staging, input_step, tile_bytes, staging + INPUT * INPUT * input_step, sum_step)


@subroutine
def place_of(plan, tile):
    """The image, and the row and column of the first output, of a tile."""
    vertical, horizontal = ceil_div(plan.oh, TILE), ceil_div(plan.ow, TILE)
    y = tile // horizontal
    x = tile - y * horizontal
    n = y // vertical
    return n, (y - n * vertical) * TILE, x * TILE


@chapter
def transform_tiles(row, plan, block, staged, images, zeros, scratch, first_channel, channels):
    """Transform some channels of a block's inputs into staging memory.

    scratch : address of 36 words.
    """
    for t in range(block.multiplied):
        n, y, x = place_of(plan, block.tile + min(t, block.tiles - 1))
        y -= plan.top
        x -= plan.left
        corner = images + n * plan.image_n + y * plan.image_y + x * plan.image_x
        for i in range(INPUT):
            for j in range(INPUT):
                address = corner + i * plan.image_y + j * plan.image_x
                if y + i < 0 or y + i >= plan.h or x + j < 0 or x + j >= plan.w:
                    address = zeros
                set_word(scratch, i * INPUT + j, address)
        transform_inputs(
            row,
            table=scratch,
            channels=channels,
            offset=first_channel * row.itemsize,
            target=staged.inputs + t * staged.tile_bytes,
            step=staged.input_step,
        )


@chapter
def multiply_positions(row, plan, block, staged, panel, first_channel, channels):
    """Multiply a block's transformed inputs with a panel, position by position.

    panel : address of its bias, and behind it of its rows.
    """
    large = max(block.tiles - block.groups * (row.pixels - 1), 0)
    for p in range(INPUT * INPUT):
        rows = 1 + p * plan.group_channels + first_channel
        multiply(
            row,
            tiles=staged.inputs + p * staged.input_step,
            tile_bytes=staged.tile_bytes,
            large=large,
            small=block.groups - large,
            channels=channels,
            panel=panel + rows * row.channels * row.itemsize,
            target=staged.sums + p * staged.sum_step,
            is_first=first_channel == 0,
        )


@chapter
def store_tiles(row, plan, block, staged, out, residual, scratch, panel, first_filter):
    """Transform a block's sums into outputs, and finish them.

    panel : address of its bias.
    scratch : address of 16 words.
    """
    n_filters = min(row.channels, plan.group_filters - first_filter)
    for t in range(block.tiles):
        n, y, x = place_of(plan, block.tile + t)
        corner = out + n * plan.out_n + y * plan.out_y + x * plan.out_x
        for i in range(TILE):
            down = min(i, plan.oh - 1 - y) * plan.out_y
            for j in range(TILE):
                right = min(j, plan.ow - 1 - x) * plan.out_x
                set_word(scratch, i * TILE + j, corner + down + right)
        transform_outputs(
            row,
            sums=staged.sums + t * row.channels * row.itemsize,
            step=staged.sum_step,
            table=scratch,
            offset=first_filter * row.itemsize,
            n_filters=n_filters,
            bias=panel,
            activation=NO_ACTIVATION if residual != 0 else plan.activation,
        )
        finish(
            row,
            plan,
            out=corner + first_filter * row.itemsize,
            rows=min(TILE, plan.oh - y),
            out_y=plan.out_y,
            pixels=min(TILE, plan.ow - x),
            channels=n_filters,
            residual=residual,
        )


def task(row, plan, images, weights, out, residual, scratch, staging, index):
    """Compute a block of tiles by a block of panels.

    images, out : addresses of the first element; element strides of channels are 1, the others
        are the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of a pixel's zeros, 64-byte aligned; at plan.weights_offset bytes from there,
        also aligned, for each panel its bias and for each of 36 positions a row of NR vectors for
        each channel.
    scratch : words for tables of addresses.
    staging : plan.staging bytes, 64-byte aligned, for transformed inputs and sums.

    Assumes one plane, windows of 3x3, strides and dilations of 1, one group.
    """
    block, staged = block_of(row, plan, index), staged_in(row, plan, staging)
    panel_rows = 1 + INPUT * INPUT * plan.group_channels
    for p in range(block.first_panel, block.last_panel):
        panel = weights + plan.weights_offset + p * panel_rows * row.channels * row.itemsize
        for first in range(0, plan.group_channels, plan.block_channels):
            channels = min(plan.block_channels, plan.group_channels - first)
            # One block of all channels serves all panels.
            if p == block.first_panel or channels < plan.group_channels:
                transform_tiles(row, plan, block, staged, images, weights, scratch, first, channels)
            multiply_positions(row, plan, block, staged, panel, first, channels)
        store_tiles(row, plan, block, staged, out, residual, scratch, panel, p * row.channels)
