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

from .._plan.registry import WINOGRAD_INPUT, WINOGRAD_POINTS, WINOGRAD_TILE
from .epilogue import add_residuals, limits
from .panel import multiply_run
from .runtime import set_word, tile_intrinsic

P, Q = WINOGRAD_POINTS


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
    size = WINOGRAD_INPUT
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
    activation : 0 none, 1 relu, 2 relu6.

    Reads the sums and the bias; writes `n_filters` elements of each pixel.  Neighbouring bytes are
    not touched.
    """
    size, n = WINOGRAD_INPUT, WINOGRAD_TILE
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

    Assumes windows of 3x3, strides and dilations of 1, one group.
    """
    size, n = WINOGRAD_INPUT, WINOGRAD_TILE
    positions = size * size
    itemsize = row.itemsize
    panel_row = row.channels * itemsize
    panel_bytes = panel_row * (1 + positions * plan.group_channels)
    panels = (plan.group_filters + row.channels - 1) // row.channels
    panel_blocks = (panels + plan.task_panels - 1) // plan.task_panels
    vertical, horizontal = (plan.oh + n - 1) // n, (plan.ow + n - 1) // n

    first_tile = index // panel_blocks * plan.task_tiles
    n_tiles = plan.pixels // (plan.oh * plan.ow) * vertical * horizontal
    n_tiles = min(plan.task_tiles, n_tiles - first_tile)
    first_panel = index % panel_blocks * plan.task_panels
    last_panel = min(first_panel + plan.task_panels, panels)

    # Tiles are multiplied MR or MR - 1 at a time; what that needs more is the last one again.
    mr = row.pixels
    groups = (n_tiles + mr - 1) // mr
    large = max(n_tiles - groups * (mr - 1), 0)
    held = max(plan.task_tiles, (plan.task_tiles + mr - 1) // mr * (mr - 1))
    # A line more than needed between positions, so that they do not all fall into one set.
    lanes = row.lanes
    tile_bytes = (plan.block_channels + lanes - 1) // lanes * lanes * itemsize
    input_step = held * tile_bytes + 64
    sum_step = held * panel_row + 64
    sums = staging + positions * input_step

    n_blocks = (plan.group_channels + plan.block_channels - 1) // plan.block_channels
    for panel in range(first_panel, last_panel):
        first_filter = panel * row.channels
        bias = weights + plan.weights_offset + panel * panel_bytes
        for block in range(n_blocks):
            first_channel = block * plan.block_channels
            channels = min(plan.block_channels, plan.group_channels - first_channel)
            if panel == first_panel or n_blocks > 1:
                for t in range(max(n_tiles, groups * (mr - 1))):
                    tile = first_tile + min(t, n_tiles - 1)
                    y = tile // horizontal
                    x = tile - y * horizontal
                    image = y // vertical
                    y = (y - image * vertical) * n - plan.top
                    x = x * n - plan.left
                    corner = images + image * plan.image_n + y * plan.image_y + x * plan.image_x
                    for i in range(size):
                        for j in range(size):
                            address = corner + i * plan.image_y + j * plan.image_x
                            if y + i < 0 or y + i >= plan.h or x + j < 0 or x + j >= plan.w:
                                address = weights
                            set_word(scratch, i * size + j, address)
                    transform_inputs(
                        row,
                        scratch,
                        channels,
                        first_channel * itemsize,
                        staging + t * tile_bytes,
                        input_step,
                    )
            for p in range(positions):
                rows = (1 + p * plan.group_channels + first_channel) * panel_row
                multiply(
                    row,
                    staging + p * input_step,
                    tile_bytes,
                    large,
                    groups - large,
                    channels,
                    bias + rows,
                    sums + p * sum_step,
                    1 if block == 0 else 0,
                )
        for t in range(n_tiles):
            tile = first_tile + t
            y = tile // horizontal
            x = (tile - y * horizontal) * n
            image = y // vertical
            y = (y - image * vertical) * n
            corner = out + image * plan.out_n + y * plan.out_y + x * plan.out_x
            for i in range(n):
                down = min(i, plan.oh - 1 - y) * plan.out_y
                for j in range(n):
                    right = min(j, plan.ow - 1 - x) * plan.out_x
                    set_word(scratch, i * n + j, corner + down + right)
            n_filters = min(row.channels, plan.group_filters - first_filter)
            transform_outputs(
                row,
                sums + t * panel_row,
                sum_step,
                scratch,
                first_filter * itemsize,
                n_filters,
                bias,
                0 if residual != 0 else plan.activation,
            )
            if residual != 0:
                add_residuals(
                    row,
                    corner + first_filter * itemsize,
                    min(n, plan.oh - y),
                    plan.out_y,
                    min(n, plan.ow - x),
                    plan.out_x,
                    n_filters,
                    residual,
                    plan.activation,
                )
