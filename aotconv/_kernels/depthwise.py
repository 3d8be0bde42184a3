"""Depthwise convolution of a known window and stride: vectors run along the channels.

A tile is MR output rows by NR pixels of one vector of channels.  Each loaded input serves every
output of the tile that it belongs to, and each loaded weight the NR pixels of a row; a window of
several planes is gone through plane by plane, its sums in registers.  Pixels are left when all
their channels are done, so that memory is read and written from end to end.  Taps outside the image
are read from zeros.
"""

from __future__ import annotations

from .elements import stored_vectors
from .epilogue import NO_ACTIVATION, finish, limits
from .lines import LINE, LINE_BYTES, plane_of, point_at_inputs, point_at_outputs
from .runtime import ceil_div, tile_intrinsic


def columns(
    v,
    row,
    table,
    planes,
    outputs,
    first,
    pixels,
    left,
    w,
    inside,
    channels,
    panels,
    zeros,
    activation,
):
    """Compute neighbouring pixels of MR output rows.

    table : address of a LINE for each of ``(MR - 1) * stride + window`` input rows of each of
        `planes` planes: the pixel at column 0 and the bytes from a pixel to the next.
    outputs : address of one for each of the MR output rows.  Rows may be one pixel again and again,
        0 bytes apart.
    first, pixels : the first of the pixels, and how many.
    left, w : output pixel x takes its tap kx from column ``x * stride - left + kx`` of `w`; the
        others are zeros.
    inside : whether all taps are columns.
    channels : how many of each pixel.
    panels : address of a vector of biases and one for each tap, for each vector of channels;
        aligned.
    zeros : address of `channels` zeros.
    activation : its place in FINISHES.

    Reads `channels` elements of the taps that are columns; writes as many of `pixels` pixels of
    each output row.  Neighbouring bytes are not touched.
    """
    window, stride, lanes = row.window, row.stride, row.lanes
    held = stored_vectors(v, row)
    bounds = limits(v, activation)
    input_rows = (row.pixels - 1) * stride + window
    plane_bytes, panel_rows = input_rows * LINE_BYTES, v.add(1, v.mul(planes, window * window))

    def tile(pixel, width, channel, count=None, inside=True):
        """MR rows by `width` pixels, of a vector of channels or with `count` only so many."""
        weights = v.at(v.pointer(panels), v.mul(channel, panel_rows))
        bias = v.load(weights, aligned=True)
        sums = [[v.cell(bias) for _ in range(width)] for _ in range(row.pixels)]
        column = v.add(v.mul(pixel, stride), v.mul(left, -1))
        across = range((width - 1) * stride + window)

        def load(address):
            return held.load(address) if count is None else held.load_first(count, address)

        def input_row(plane, taps, i):
            """Multiply input row `i` of a plane with the weights at `taps`.  `plane` is the address
            of its lines."""
            step, start = LINE.load(v, plane, i, "step"), LINE.load(v, plane, i, "address")
            if inside:
                corner = held.at(held.pointer(v.add(start, v.mul(column, step))), channel)
                at = [v.offset(corner, v.mul(x, step)) for x in across]
            else:
                at = []
                for x in (v.add(column, x) for x in across):
                    tap = v.select(v.below(x, w), v.add(start, v.mul(x, step)), zeros)
                    at.append(held.at(held.pointer(tap), channel))
            rows = [(r, i - r * stride) for r in range(row.pixels)]
            rows = [(r, ky) for r, ky in rows if 0 <= ky < window]
            inputs = {}
            for kx in range(window):
                for x in range(kx, kx + width * stride, stride):
                    if x not in inputs:  # few are live at a time
                        inputs[x] = load(at[x])
                for r, ky in rows:
                    weight = v.load(taps, (ky * window + kx) * lanes, aligned=True)
                    for x in range(width):
                        total = sums[r][x]
                        total.set(v.fma(inputs[x * stride + kx], weight, total.get()))
                if row.stored:  # LLVM would widen all inputs first
                    for total in (total for r, _ in rows for total in sums[r]):
                        total.set(v.pinned(total.get()))
                    v.fence()
            v.fence()

        def store(r):
            """Store an output row."""
            step, start = LINE.load(v, outputs, r, "step"), LINE.load(v, outputs, r, "address")
            start = held.at(held.pointer(v.add(start, v.mul(pixel, step))), channel)
            for x in range(width):
                target = v.offset(start, v.mul(x, step))
                result = v.clamp(sums[r][x].get(), *bounds)
                if count is None:
                    held.store(result, target)
                else:
                    held.store_first(count, result, target)
            v.fence()

        plane, taps = v.cell(table), v.cell(v.at(weights, lanes))
        # To keep all sums for a next plane costs rows of halves a tenth: they are told of one.
        for _ in (None,) if row.stored else v.loop(planes):
            for i in range(input_rows):
                input_row(plane.get(), taps.get(), i)
                # A row is stored as soon as it is complete, and behind each plane: LLVM puts off
                # what is needed late, and would spill its inputs.
                r, rest = divmod(i - window + 1, stride)
                if r >= 0 and rest == 0:
                    store(r)
            plane.set(v.add(plane.get(), plane_bytes))
            taps.set(v.at(taps.get(), window * window * lanes))

    end = v.add(first, pixels)
    whole = v.floor(channels, lanes)
    several = v.select(v.less(row.vectors - 1, pixels), inside, v.word(0))
    # The last tile of several goes back as far as it must, and computes some pixels again.
    for wide in v.choose(v.less(0, several)):
        if wide:
            for pixel in v.loop(v.add(end, row.vectors - 1), first, row.vectors):
                pixel = v.minimum(pixel, v.add(end, -row.vectors))
                for channel in v.loop(whole, step=lanes):
                    tile(pixel, row.vectors, channel)
        else:
            for pixel in v.loop(end, first):
                for channel in v.loop(whole, step=lanes):
                    tile(pixel, 1, channel, inside=False)
    for _ in v.when(v.less(whole, channels)):
        for pixel in v.loop(end, first):
            tile(pixel, 1, whole, v.add(channels, v.mul(whole, -1)), inside=False)


compute_columns = tile_intrinsic(columns)


def task(row, plan, images, weights, out, residual, scratch, staging, index):
    """Compute `task_panels` vectors of channels of MR output rows of one plane.

    images, out : addresses of the first element; element strides of channels are 1, the others
        are the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of zeros for as many vectors; at plan.weights_offset bytes from there,
        64-byte aligned, for each vector of channels its biases and taps, each a vector.
    scratch : SCRATCH_WORDS words, for as many vectors and the tables that `columns` reads.

    Assumes rows and columns of dilations 1, and of strides and a window that are the row's; of rows
    for halves a window of one plane, a clamp or no activation, no residual and no integers.
    """
    vector, stored = row.lanes * row.itemsize, row.lanes * row.stored_itemsize
    blocks = ceil_div(plan.oh, row.pixels)
    parts = ceil_div(plan.groups, plan.task_panels * row.lanes)
    part = index // blocks
    y = (index - part * blocks) * row.pixels
    z = part // parts
    panel = (part - z * parts) * plan.task_panels
    n = z // plan.od
    z -= n * plan.od
    image = images + n * plan.image_n + panel * stored
    target = out + n * plan.out_n + z * plan.out_z + panel * stored

    table = scratch + plan.task_panels * vector
    inputs = (row.pixels - 1) * row.stride + row.window
    outputs, top = table, y * row.stride - plan.top
    for kz in range(plan.kd):
        plane = plane_of(plan, image, z * plan.sd - plan.front + kz * plan.dd)
        point_at_inputs(plan, outputs, inputs, top, plane, plan.image_x, zeros=weights)
        outputs += inputs * LINE_BYTES
    point_at_outputs(plan, outputs, row.pixels, y, target, plan.out_x, spill=scratch)
    taps = plan.kd * row.window * row.window

    # Outputs from `first` to `last` have their windows inside the image's width.
    first = min(ceil_div(plan.left, row.stride), plan.ow)
    last = first
    if plan.w + plan.left >= row.window:
        last = max(first, min(plan.ow, (plan.w + plan.left - row.window) // row.stride + 1))
    n_channels = min(plan.task_panels * row.lanes, plan.groups - panel * row.lanes)
    x = 0
    for part in range(3):
        end = first if part == 0 else last if part == 1 else plan.ow
        compute_columns(
            row,
            table=table,
            planes=plan.kd,
            outputs=outputs,
            first=x,
            pixels=end - x,
            left=plan.left,
            w=plan.w,
            inside=part == 1,
            channels=n_channels,
            panels=weights + plan.weights_offset + panel * (1 + taps) * vector,
            zeros=weights,
            activation=NO_ACTIVATION if residual != 0 else plan.activation,
        )
        x = end
    if row.stored_itemsize == row.itemsize:  # else there is nothing to do
        finish(
            row,
            plan,
            out=target + y * plan.out_y,
            rows=min(row.pixels, plan.oh - y),
            out_y=plan.out_y,
            pixels=plan.ow,
            channels=n_channels,
            residual=residual,
        )
