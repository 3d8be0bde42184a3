"""The gradient of filters: tiles of MR channels of images by NR vectors of an output gradient's,
summed over pixels.

For each pixel of a chunk a tile multiplies MR values of images, read in place, with NR vectors of
a panel: the output gradient's channels of one column of tiles, packed for the chunk.  Where a group
has fewer channels than a kernel row has taps, the MR values are those of neighbouring taps of one
channel; of a channelwise convolution they are vectors of channels themselves.

A tap is multiplied with those pixels alone that have it inside of the image.  A chunk is summed
from zero, pixel by pixel, and added to `out`; chunks are added in order.
"""

from __future__ import annotations

from collections import namedtuple

from .runtime import Record, ceil_div, chapter, subroutine, tile_intrinsic

AHEAD = 8  # pixels: what is prefetched while one is packed; CPUs look ahead within a page alone

# Of an output row of a chunk: addresses in the images, of where its first window begins under a
# kernel row, even if outside; and in the panel.
LINE = Record("image", "gradient")
write_line = LINE.writer()


def each_number(v, number, most: int):
    """Yield the numbers from 1 to `most`: the code emitted meanwhile is for that number."""
    for n in range(1, most + 1):
        for _ in v.when(v.equal(number, n)):
            yield n


def each_size(v, row, mr, nr):
    """As `each_number`, of rows and vectors of a tile."""
    for height in each_number(v, mr, row.pixels):
        for width in each_number(v, nr, row.vectors):
            yield height, width


def add_tile(v, row, lines, image, pixels, panel, size, load, out, count):
    """Add to rows of filters the products of some pixels: the body of a tile.

    lines : address of a table of LINE, and how many there are.
    image : bytes from a line's address to its first pixel, and from one pixel to the next.
    panel : bytes from a line's address to its first pixel.
    size : (rows, vectors).
    load : ``load(pixel, i)``: the factors of a pixel for row i, a vector or as many as there are.
    out : address of the first row of filters, and the bytes to the next.
    """
    height, width = size
    sums = [[v.cell(v.constant(0.0)) for _ in range(width)] for _ in range(height)]
    for i in range(height):  # arrive while the tile is computed
        for j in range(width):
            v.prefetch(v.at(v.offset(v.pointer(out[0]), v.mul(i, out[1])), j * row.lanes))
    for r in v.loop(lines[1]):
        pixel = v.cell(v.pointer(v.add(LINE.load(v, lines[0], r, "image"), image[0])))
        packed = v.cell(v.pointer(v.add(LINE.load(v, lines[0], r, "gradient"), panel)))
        for _ in v.loop(pixels):
            vectors = [v.load(packed.get(), j * row.lanes, aligned=True) for j in range(width)]
            for i, total in enumerate(sums):
                factors = load(pixel.get(), i)
                for j, each in enumerate(total):
                    each.set(v.fma(factors(j), vectors[j], each.get()))
            pixel.set(v.offset(pixel.get(), image[1]))
            packed.set(v.at(packed.get(), row.channels))
    add_sums(v, row, sums, v.pointer(out[0]), out[1], count)


def add_sums(v, row, sums, target, step, count):
    """Add sums to what lies at `target`, rows `step` bytes apart, of which `count` elements are
    stored, less than a vector missing."""
    lanes, width = row.lanes, len(sums[0])
    for whole in v.choose(v.equal(count, width * lanes)):  # masked stores take AMD's CPUs long
        for i, total in enumerate(sums):
            place = v.offset(target, v.mul(i, step))
            for j, each in enumerate(total):
                if whole or j + 1 < width:
                    v.store(v.sum(v.load(place, j * lanes), each.get()), place, j * lanes)
                else:
                    rest = v.add(count, -j * lanes)
                    old = v.load_first(rest, place, j * lanes)
                    v.store_first(rest, v.sum(old, each.get()), place, j * lanes)


def values_tile(
    v, row, table, lines, image, image_x, step, gradient, pixels, count, mr, nr, out, out_step
):
    """Add to MR rows of filters, of neighbouring values of images, the products of these and of the
    output gradient.

    table, lines : address of a LINE for each of so many output rows.
    image, gradient : bytes from a line's addresses to its first pixel.
    image_x : bytes from one pixel of images to the next.
    step : bytes from one value of a pixel to the next: channels, or taps of one.
    pixels : of each line.
    count : filters, more than NR - 1 vectors and no more than NR.
    mr, nr : how many rows and vectors, 1 to MR and NR.
    out, out_step : address of the first row of filters, and the bytes to the next.

    Reads `mr` values of each pixel of images, and the panel, whose pixels are NR vectors, aligned.
    Reads and writes `count` elements of each row of filters.  Neighbouring bytes are not touched.
    """

    # Known as multiples of a step, LLVM would make a chain of additions of each pixel's addresses.
    apart = [0, *(v.hidden(v.mul(i, step)) for i in range(1, row.pixels))]

    def load(pixel, i):
        value = v.splat(v.offset(pixel, apart[i]))
        return lambda j: value

    for size in each_size(v, row, mr, nr):
        places = (table, lines), (image, image_x), pixels, gradient
        add_tile(v, row, *places, size, load, (out, out_step), count)


def channelwise_tile(
    v, row, table, lines, image, image_x, tap_step, gradient, pixels, count, mr, out, out_step
):
    """As `values_tile`, of channels that have a filter each: the products of vectors of both, taps
    being `tap_step` bytes apart.

    count : channels: those of NR vectors, or at most of one.

    Reads `count` elements of each tap of images.
    """

    def load(pixel, i):
        tap = v.offset(pixel, v.mul(i, tap_step))
        return lambda j: v.load(tap, j * row.lanes)

    def load_some(pixel, i):
        tap = v.offset(pixel, v.mul(i, tap_step))
        return lambda j: v.load_first(count, tap, j * row.lanes)

    places = (table, lines), (image, image_x), pixels, gradient
    for height in each_number(v, mr, row.pixels):
        for whole in v.choose(v.equal(count, row.channels)):
            size = height, row.vectors if whole else 1
            by = load if whole else load_some
            add_tile(v, row, *places, size, by, (out, out_step), count)


def packed_pixels(v, row, source, step, pixels, panels, count, target, panel_step):
    """Copy channels of `pixels` pixels of an output gradient to panels, of NR vectors of them each.

    source, step : address of the first pixel, and bytes to the next.
    panels, count : of `panels` panels the last has `count` channels, at most NR vectors, of which
        it fills those that it needs with zeros.
    target, panel_step : address of NR vectors for each pixel, aligned; and the bytes to the next
        panel's.

    Neighbouring bytes are not read.
    """
    near, packed = v.cell(v.pointer(source)), v.cell(v.pointer(target))
    whole = v.select(v.equal(count, row.channels), panels, v.add(panels, -1))
    ahead = v.mul(step, AHEAD)
    for _ in v.loop(pixels):
        channel, place = v.cell(near.get()), v.cell(packed.get())
        for _ in v.loop(whole):
            for j in range(row.vectors):
                v.store(v.load(channel.get(), j * row.lanes), place.get(), j * row.lanes)
            v.prefetch(v.offset(channel.get(), ahead), writes=False)
            channel.set(v.at(channel.get(), row.channels))
            place.set(v.offset(place.get(), panel_step))
        for _ in v.when(v.less(whole, panels)):
            for j in range(row.vectors):
                some = v.add(count, -j * row.lanes)
                for _ in v.when(v.less(0, some)):
                    vector = v.load_first(some, channel.get(), j * row.lanes)
                    v.store(vector, place.get(), j * row.lanes)
            v.prefetch(v.offset(channel.get(), ahead), writes=False)
        near.set(v.offset(near.get(), step))
        packed.set(v.at(packed.get(), row.channels))


def packed_channels(v, row, source, step, pixels, tiles, longer, count, target, tile_step):
    """Copy channels of `pixels` pixels of images, those of each tile to a place of its own.

    source, step : address of the first, and bytes to the next.
    tiles, longer, count : of `tiles` tiles the first `longer` ones have `count` channels, at most
        MR, the others one less.
    target, tile_step : address of MR elements for each pixel, and of a vector behind them; and the
        bytes to the next tile's.

    Neighbouring bytes are not read.
    """
    near, packed = v.cell(v.pointer(source)), v.cell(v.pointer(target))
    ahead = v.mul(step, AHEAD)
    for _ in v.loop(pixels):
        channel, place = v.cell(near.get()), v.cell(packed.get())
        for t in v.loop(tiles):
            some = v.select(v.less(t, longer), count, v.add(count, -1))
            for at in range(0, row.pixels, row.lanes):
                # What is stored for nothing is written again, or lies behind.
                vector = v.load_first(v.add(some, -at), channel.get(), at)
                v.store(vector, place.get(), at)
            v.prefetch(v.offset(channel.get(), ahead), writes=False)
            channel.set(v.at(channel.get(), some))
            place.set(v.offset(place.get(), tile_step))
        near.set(v.offset(near.get(), step))
        packed.set(v.at(packed.get(), row.pixels))


add_values_tile = tile_intrinsic(values_tile)
add_channelwise_tile = tile_intrinsic(channelwise_tile)
pack_pixels = tile_intrinsic(packed_pixels)
pack_channels = tile_intrinsic(packed_channels)

# Images, planes, rows and columns of outputs, each from `first` to before `last`.
Chunk = namedtuple("Chunk", "n last_n z last_z y last_y x last_x")
# A task: its kernel rows, its panels and its channels of a group.
Task = namedtuple("Task", "first_row last_row first_panel last_panel first_channel last_channel")
# What a panel has: its group and the first channel of that, its first filter in `out`, how many
# filters, and how many there are from the first on in the group.
Panel = namedtuple("Panel", "group channel filter count left")
# Where pixels of images lie: the address of the first, even if it is not there, and the bytes to
# the next image, plane, row and column; and from a tile's first value to the next tile's, 0: as
# many values as the tile has.
Source = namedtuple("Source", "first n z y x tile")
# Pixels of images under a chunk, of each image, from the first to before the last.
Box = namedtuple("Box", "z last_z y last_y x last_x")
# Rows of tiles: values of images, the first one's tap and channel of the group, and how many.
Values = namedtuple("Values", "tap channel count")


@chapter
def chunk_of(plan, index):
    xs, ys = ceil_div(plan.ow, plan.chunk_x), ceil_div(plan.oh, plan.chunk_y)
    zs = ceil_div(plan.od, plan.chunk_z)
    row = index // xs
    x = (index - row * xs) * plan.chunk_x
    plane = row // ys
    y = (row - plane * ys) * plan.chunk_y
    block = plane // zs
    z = (plane - block * zs) * plan.chunk_z
    n = block * plan.chunk_n
    images = plan.pixels // (plan.od * plan.oh * plan.ow)
    return Chunk(
        n=n,
        last_n=min(n + plan.chunk_n, images),
        z=z,
        last_z=min(z + plan.chunk_z, plan.od),
        y=y,
        last_y=min(y + plan.chunk_y, plan.oh),
        x=x,
        last_x=min(x + plan.chunk_x, plan.ow),
    )


@subroutine
def group_panels(row, plan):
    """Panels of a group; of a channelwise convolution all groups count as one."""
    filters = plan.groups if plan.channelwise else plan.group_filters
    return ceil_div(filters, row.channels)


@chapter
def task_of(row, plan, index):
    """The block of a task."""
    panels = group_panels(row, plan) * (1 if plan.channelwise else plan.groups)
    rows = plan.kd * plan.kh
    row_blocks = ceil_div(rows, plan.task_rows)
    channel_blocks = ceil_div(plan.group_channels, plan.task_channels)
    block = index // channel_blocks
    channel = (index - block * channel_blocks) * plan.task_channels
    panel_block = block // row_blocks
    kernel_row = (block - panel_block * row_blocks) * plan.task_rows
    panel = panel_block * plan.task_panels
    return Task(
        first_row=kernel_row,
        last_row=min(kernel_row + plan.task_rows, rows),
        first_panel=panel,
        last_panel=min(panel + plan.task_panels, panels),
        first_channel=channel,
        last_channel=min(channel + plan.task_channels, plan.group_channels),
    )


@chapter
def panel_of(row, plan, index):
    in_group = group_panels(row, plan)
    group = index // in_group
    first = (index - group * in_group) * row.channels
    filters = plan.groups if plan.channelwise else plan.group_filters
    return Panel(
        group=group,
        channel=first if plan.channelwise else group * plan.group_channels,
        filter=group * plan.group_filters + first,
        count=min(row.channels, filters - first),
        left=filters - first,
    )


@subroutine
def panel_bytes(row, plan):
    """Bytes of a packed panel of a whole chunk."""
    pixels = plan.chunk_n * plan.chunk_z * plan.chunk_y * plan.chunk_x
    return pixels * row.channels * row.itemsize


@chapter
def pack_panels(row, plan, chunk, panel, panels, gradient, staging):
    """Pack neighbouring panels of the output gradient for a chunk: of each its pixels one behind
    the other.

    panel : the first of them.
    """
    bytes_of_row = (chunk.last_x - chunk.x) * row.channels * row.itemsize
    first = gradient + chunk.x * plan.out_x + panel.filter * row.itemsize
    target = staging
    for n in range(chunk.n, chunk.last_n):
        for z in range(chunk.z, chunk.last_z):
            for y in range(chunk.y, chunk.last_y):
                pack_pixels(
                    row,
                    source=first + n * plan.out_n + z * plan.out_z + y * plan.out_y,
                    step=plan.out_x,
                    pixels=chunk.last_x - chunk.x,
                    panels=panels,
                    count=min(panel.left - (panels - 1) * row.channels, row.channels),
                    target=target,
                    panel_step=panel_bytes(row, plan),
                )
                target += bytes_of_row


@subroutine
def box_of(plan, chunk):
    """What the taps of a chunk may read of an image."""
    z, y, x = (
        chunk.z * plan.sd - plan.front,
        chunk.y * plan.sh - plan.top,
        chunk.x * plan.sw - plan.left,
    )
    last_z = (chunk.last_z - 1) * plan.sd - plan.front + (plan.kd - 1) * plan.dd + 1
    last_y = (chunk.last_y - 1) * plan.sh - plan.top + (plan.kh - 1) * plan.dh + 1
    last_x = (chunk.last_x - 1) * plan.sw - plan.left + (plan.kw - 1) * plan.dw + 1
    z, y, x = max(z, 0), max(y, 0), max(x, 0)
    return Box(
        z=z,
        last_z=max(z, min(last_z, plan.d)),
        y=y,
        last_y=max(y, min(last_y, plan.h)),
        x=x,
        last_x=max(x, min(last_x, plan.w)),
    )


@chapter
def pack_images(row, plan, chunk, where, group, images, target):
    """Pack a task's channels of a group for a chunk: those of each tile by themselves, MR elements
    for each pixel.  Return where they lie."""
    box = box_of(plan, chunk)
    x_bytes = row.pixels * row.itemsize
    y_bytes = (box.last_x - box.x) * x_bytes
    z_bytes = (box.last_y - box.y) * y_bytes
    n_bytes = (box.last_z - box.z) * z_bytes
    tile_bytes = (chunk.last_n - chunk.n) * n_bytes + row.lanes * row.itemsize
    channels = where.last_channel - where.first_channel
    tiles = ceil_div(channels, row.pixels)
    least, longer = channels // tiles, channels % tiles
    first_channel = group * plan.group_channels + where.first_channel
    place = target
    for n in range(chunk.n, chunk.last_n):
        for z in range(box.z, box.last_z):
            for y in range(box.y, box.last_y):
                source = images + n * plan.image_n + z * plan.image_z + y * plan.image_y
                source += box.x * plan.image_x + first_channel * row.itemsize
                pack_channels(
                    row,
                    source=source,
                    step=plan.image_x,
                    pixels=box.last_x - box.x,
                    tiles=tiles,
                    longer=longer,
                    count=least + 1,
                    target=place,
                    tile_step=tile_bytes,
                )
                place += y_bytes
    before = chunk.n * n_bytes + box.z * z_bytes + box.y * y_bytes + box.x * x_bytes
    return Source(target - before, n_bytes, z_bytes, y_bytes, x_bytes, tile_bytes)


@chapter
def point_at_lines(row, plan, chunk, kernel_row, source, panel, table):
    """Write a LINE for each output row of a chunk that has a kernel row inside of its image; return
    how many there are."""
    kz = kernel_row // plan.kh
    ky = kernel_row - kz * plan.kh
    bytes_of_row = (chunk.last_x - chunk.x) * row.channels * row.itemsize
    count = 0
    left = plan.left * source.x
    for n in range(chunk.n, chunk.last_n):
        for z in range(chunk.z, chunk.last_z):
            iz = z * plan.sd - plan.front + kz * plan.dd
            plane = source.first + n * source.n + iz * source.z - left
            for y in range(chunk.y, chunk.last_y):
                iy = y * plan.sh - plan.top + ky * plan.dh
                if iz >= 0 and iz < plan.d and iy >= 0 and iy < plan.h:
                    write_line(table, count, image=plane + iy * source.y, gradient=panel)
                    count += 1
                panel += bytes_of_row
    return count


@subroutine
def first_inside(plan, tap):
    """The first output column whose tap is not left of the image."""
    return ceil_div(max(plan.left - tap * plan.dw, 0), plan.sw)


@subroutine
def behind_inside(plan, tap):
    """The first output column whose tap is right of the image."""
    return ceil_div(max(plan.w + plan.left - tap * plan.dw, 0), plan.sw)


@chapter
def add_tiles(row, plan, table, rows, source, values, panel, image, gradient, pixels, out):
    """Add the products of some pixels of each line to rows of filters, MR at most at a time.

    values, image : values of images, and the bytes from a line's address to the first.
    gradient : bytes from a line's address to the first of the pixels.
    out : address of the first row of filters.
    """
    filter_bytes = plan.groups * plan.group_filters * row.itemsize
    image_x, tap_step = plan.sw * source.x, plan.dw * source.x
    value_step = tap_step if plan.taps else row.itemsize
    out_step = plan.group_channels * filter_bytes if plan.taps else filter_bytes
    tiles = ceil_div(values.count, row.pixels)
    least, longer = values.count // tiles, values.count % tiles
    for t in range(tiles):
        mr = least + (1 if t < longer else 0)
        if plan.channelwise:
            # Whole tiles, or vector by vector.
            width = row.channels if panel.count == row.channels else row.lanes
            for j in range(0, panel.count, width):
                add_channelwise_tile(
                    row,
                    table=table,
                    lines=rows,
                    image=image + j * row.itemsize,
                    image_x=image_x,
                    tap_step=tap_step,
                    gradient=gradient + j * row.itemsize,
                    pixels=pixels,
                    count=min(width, panel.count - j),
                    mr=mr,
                    out=out + j * row.itemsize,
                    out_step=out_step,
                )
        else:
            add_values_tile(
                row,
                table=table,
                lines=rows,
                image=image,
                image_x=image_x,
                step=value_step,
                gradient=gradient,
                pixels=pixels,
                count=panel.count,
                mr=mr,
                nr=ceil_div(panel.count, row.lanes),
                out=out,
                out_step=out_step,
            )
        image += source.tile if source.tile else mr * value_step
        out += mr * out_step


@subroutine
def add_columns(row, plan, chunk, table, rows, source, first, last, values, panel, target):
    """Add the products of output columns from `first` to before `last` under some values of images
    to a kernel row.

    target : address of the panel's filters of the kernel row's first tap and the group's first
        channel.
    """
    first, last = max(first, chunk.x), min(last, chunk.last_x)
    if first < last and rows > 0:
        filter_bytes = plan.groups * plan.group_filters * row.itemsize
        image = (first * plan.sw + values.tap * plan.dw) * source.x
        if source.tile == 0:
            image += (panel.channel + values.channel) * row.itemsize
        add_tiles(
            row,
            plan,
            table,
            rows,
            source,
            values,
            panel,
            image=image,
            gradient=(first - chunk.x) * row.channels * row.itemsize,
            pixels=last - first,
            out=target + (values.tap * plan.group_channels + values.channel) * filter_bytes,
        )


@chapter
def add_taps(row, plan, chunk, table, rows, source, where, panel, target):
    """Add a chunk to a kernel row, tiles' rows being taps: columns whose taps are all inside, then
    each tap's others."""
    last_tap = plan.kw - 1
    first = first_inside(plan, 0)
    last = max(first, behind_inside(plan, last_tap))
    for channel in range(where.first_channel, where.last_channel):
        every = Values(0, channel, plan.kw)
        add_columns(row, plan, chunk, table, rows, source, first, last, every, panel, target)
        for tap in range(plan.kw):
            one = Values(tap, channel, 1)
            begin, end = first_inside(plan, tap), behind_inside(plan, tap)
            before, behind = min(end, first), max(begin, last)
            add_columns(row, plan, chunk, table, rows, source, begin, before, one, panel, target)
            add_columns(row, plan, chunk, table, rows, source, behind, end, one, panel, target)


@chapter
def add_merged(row, plan, chunk, table, rows, source, where, panel, target):
    """As `add_taps`, where a kernel row's taps and channels lie side by side in images: tiles' rows
    are as many of these as there are, which fill tiles better."""
    first = first_inside(plan, 0)
    last = max(first, behind_inside(plan, plan.kw - 1))
    every = Values(0, 0, plan.kw * plan.group_channels)
    add_columns(row, plan, chunk, table, rows, source, first, last, every, panel, target)
    for tap in range(plan.kw):
        one = Values(tap, 0, plan.group_channels)
        begin, end = first_inside(plan, tap), behind_inside(plan, tap)
        before, behind = min(end, first), max(begin, last)
        add_columns(row, plan, chunk, table, rows, source, begin, before, one, panel, target)
        add_columns(row, plan, chunk, table, rows, source, behind, end, one, panel, target)


@chapter
def add_channels(row, plan, chunk, table, rows, source, where, panel, target):
    """Add a chunk to a kernel row, tiles' rows being channels."""
    for tap in range(plan.kw):
        values = Values(tap, where.first_channel, where.last_channel - where.first_channel)
        begin, end = first_inside(plan, tap), behind_inside(plan, tap)
        add_columns(row, plan, chunk, table, rows, source, begin, end, values, panel, target)


def task(row, plan, images, out, residual, scratch, staging, index):
    """Add some chunks of pixels to a block of the filters' gradient.

    images : address of the first element; the element stride of channels is 1, the others are the
        plan's, in bytes.
    out : address of the gradient (KD, KH, KW, C / groups, O), contiguous, which holds the sums of
        the chunks before these, or zeros.
    residual : bytes from there to the output gradient, an array as a convolution's result is; its
        element stride of channels is 1, its others the plan's `out_*`, in bytes.
    scratch : a LINE for each output row of a chunk.
    staging : NR vectors for each pixel of a chunk and each of plan.packed_panels panels, aligned.
        If plan.images_at is not 0, so many bytes from there, memory for packed images (see
        `pack_images`).

    Assumes that a chunk has no more rows than scratch memory has place for, and plan.merged only
    where a task has all channels, of one group.
    """
    where = task_of(row, plan, plan.first_task + index)
    bytes_of_row = plan.kw * plan.group_channels * plan.groups * plan.group_filters * row.itemsize
    in_place = Source(images, plan.image_n, plan.image_z, plan.image_y, plan.image_x, 0)
    for number in range(plan.first_chunk, plan.first_chunk + plan.chunks):
        chunk = chunk_of(plan, number)
        source, packed_group = in_place, -1
        first_packed = packed = where.first_panel  # to before `packed`, panels are packed
        for p in range(where.first_panel, where.last_panel):
            panel = panel_of(row, plan, p)
            if p == packed:
                first_packed = p
                some = min(plan.packed_panels, where.last_panel - p)
                some = min(some, ceil_div(panel.left, row.channels))
                pack_panels(row, plan, chunk, panel, some, out + residual, staging)
                packed += some
            if plan.images_at and panel.group != packed_group:
                packed_group, place = panel.group, staging + plan.images_at
                source = pack_images(row, plan, chunk, where, packed_group, images, place)
            gradient = staging + (p - first_packed) * panel_bytes(row, plan)
            for kernel_row in range(where.first_row, where.last_row):
                rows = point_at_lines(row, plan, chunk, kernel_row, source, gradient, scratch)
                target = out + kernel_row * bytes_of_row + panel.filter * row.itemsize
                if plan.merged:
                    add_merged(row, plan, chunk, scratch, rows, source, where, panel, target)
                elif plan.taps:
                    add_taps(row, plan, chunk, scratch, rows, source, where, panel, target)
                else:
                    add_channels(row, plan, chunk, scratch, rows, source, where, panel, target)
