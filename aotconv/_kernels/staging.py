"""Tasks on arrays that kernels do not read and write in place: of another order, or of other types.

A task gathers the images under a box of outputs into its thread's memory, as pixels of channels in
the type that its kernel computes in, what is around them, too; runs the kernel's tasks there, as
for a convolution of that size without padding; and scatters the outputs to their places.  Kernels
may be several, each of which goes through what the one before it has made.
"""

from __future__ import annotations

from collections import namedtuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .._plan import borders
from .._plan.borders import CONSTANT, ZEROS
from .._plan.family import FIELDS, SCRATCH_BYTES
from .._plan.staging import PASS_FIELDS
from .elements import collect_units, read_elements, spread_units, write_elements
from .jobs import TASK, TASK_TYPE
from .runtime import ceil_div, chapter, of_level, subroutine, tile_intrinsic, word, zero_bytes
from .simd import WORD
from .transpose import pack, unpack

read_run, write_run = tile_intrinsic(read_elements), tile_intrinsic(write_elements)
collect = tile_intrinsic(collect_units, shared=of_level)
spread = tile_intrinsic(spread_units, shared=of_level)

FEW_CHANNELS = 8  # of a pixel: not worth a run of their own
FEW_ELEMENTS = 24  # of a row
PIECE = 64  # pixels of another type that are transposed at a time
# Pixels that are transposed at a time fill half of the first-level cache, and are so many.
PIECE_BYTES, LEAST_PIECE, MOST_PIECE = 16 << 10, 16, 128
PAGE = 4 << 10  # bytes: planes multiples of it apart lie in the same few sets of the cache
TASKS = FIELDS.index("tasks")
N_PASS = len(PASS_FIELDS)
PASS_TASK, PASS_PLANS, PASS_WEIGHTS, PASS_SOURCE, PASS_TARGET = range(N_PASS)

# An array of any layout: where it begins; bytes from an image, plane, row, pixel and channel to the
# next; bytes of a unit, units of a channel, and what they are, a place in STORED; whether they
# are aligned, and whether the order of their bytes is not this machine's; channels of a pixel.
Array = namedtuple("Array", "address n z y x c unit parts code aligned swap channels")
# Places along an axis: the first, how many, how far apart; how many the axis has, and what is
# beyond on either side, a place in BORDERS.
Span = namedtuple("Span", "first count step size border")
# The value of what is no pixel: the bits of its parts.
Fill = namedtuple("Fill", "real imag")
# A box of outputs: its images, and of its axes the first place and how many.
Box = namedtuple("Box", "n images z planes y rows x columns")


@intrinsic
def call_task(typingctx, address, plan, images, weights, out, residual, scratch, staging, index):
    """Call the task at an address (see `team.task_address`)."""

    def emit(context, builder, sig, args):
        builder.call(builder.inttoptr(args[0], TASK_TYPE.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.none(*[types.int64] * (1 + len(TASK))), emit


@intrinsic
def set_bits(typingctx, row, address, bits):
    """Store an element of the row's dtype, which are the low bits of a word."""

    def emit(context, builder, sig, args):
        kind = ir.IntType(8 * row.row.itemsize)
        pointer = builder.inttoptr(args[1], kind.as_pointer())
        builder.store(builder.trunc(args[2], kind), pointer)
        return context.get_dummy_value()

    return types.none(row, types.int64, types.int64), emit


@intrinsic
def bits_at(typingctx, row, address):
    """The bits of an element of the row's dtype."""

    def emit(context, builder, sig, args):
        kind = ir.IntType(8 * row.row.itemsize)
        bits = builder.load(builder.inttoptr(args[1], kind.as_pointer()))
        return builder.zext(bits, WORD)

    return types.int64(row, types.int64), emit


index = subroutine(borders.index)


@subroutine
def piece_of(array, pixels, pixel_bytes):
    """Pixels that are transposed at a time."""
    if array.c % PAGE == 0:
        return max(pixels, 1)
    near = PIECE_BYTES // max(pixel_bytes, 1) // LEAST_PIECE * LEAST_PIECE
    return max(LEAST_PIECE, min(near, MOST_PIECE))


@subroutine
def pieces_in_scratch(array):
    """Pixels and channels that are collected or spread at a time: whole pixels, where they fit."""
    unit_bytes = array.unit * array.parts
    channels = min(array.channels, SCRATCH_BYTES // unit_bytes)
    whole = channels == array.channels
    return SCRATCH_BYTES // (unit_bytes * channels) if whole else 1, channels


@subroutine
def gather_pixels(row, array, source, x_step, target, pixels, scratch):
    """Gather neighbouring pixels: converted, channels side by side.

    source : address of the first; they lie `x_step` bytes apart.
    """
    itemsize, unit_bytes = row.itemsize, array.unit * array.parts
    channels = array.channels * array.parts
    pixel_bytes = channels * itemsize
    together = array.c == unit_bytes or array.channels == 1
    if not array.swap and together and x_step == array.channels * unit_bytes:
        read_run(row, array.code, source, target, pixels * channels)
    elif not array.swap and together and channels >= FEW_CHANNELS:
        for p in range(pixels):
            read_run(row, array.code, source + p * x_step, target + p * pixel_bytes, channels)
    elif not array.swap and array.parts == 1 and x_step == array.unit:
        if array.aligned and array.code == row.code:
            some = piece_of(array, pixels, pixel_bytes)
            for p in range(0, pixels, some):
                pack(
                    row,
                    source=source + p * itemsize,
                    source_step=array.c,
                    target=target + p * pixel_bytes,
                    target_step=pixel_bytes,
                    rows=channels,
                    columns=min(some, pixels - p),
                )
        else:
            gather_planes(row, array, source, target, pixels, scratch)
    else:
        some_pixels, some_channels = pieces_in_scratch(array)
        for p in range(0, pixels, some_pixels):
            width = min(some_pixels, pixels - p)
            for c in range(0, array.channels, some_channels):
                depth = min(some_channels, array.channels - c)
                collect(
                    row,
                    size=array.unit,
                    swap=array.swap,
                    source=source + p * x_step + c * array.c,
                    x_step=x_step,
                    c_step=array.c,
                    parts=array.parts,
                    target=scratch,
                    pixels=width,
                    channels=depth,
                )
                place = target + p * pixel_bytes + c * array.parts * itemsize
                read_run(row, array.code, scratch, place, width * depth * array.parts)


@subroutine
def gather_planes(row, array, source, target, pixels, scratch):
    """Gather pixels of another type that lie side by side in planes."""
    itemsize = row.itemsize
    pixel_bytes = array.channels * itemsize
    some = SCRATCH_BYTES // (PIECE * itemsize)
    for p in range(0, pixels, PIECE):
        width = min(PIECE, pixels - p)
        for first in range(0, array.channels, some):
            depth = min(some, array.channels - first)
            for c in range(depth):
                plane = source + (first + c) * array.c + p * array.unit
                read_run(row, array.code, plane, scratch + c * PIECE * itemsize, width)
            pack(
                row,
                source=scratch,
                source_step=PIECE * itemsize,
                target=target + p * pixel_bytes + first * itemsize,
                target_step=pixel_bytes,
                rows=depth,
                columns=width,
            )


@subroutine
def scatter_pixels(row, array, source, target, pixels, scratch):
    """Scatter neighbouring pixels to where they lie `array.x` bytes apart."""
    itemsize, unit_bytes = row.itemsize, array.unit * array.parts
    channels = array.channels * array.parts
    pixel_bytes = channels * itemsize
    together = array.c == unit_bytes or array.channels == 1
    if not array.swap and together and array.x == array.channels * unit_bytes:
        write_run(row, array.code, source, target, pixels * channels)
    elif not array.swap and together and channels >= FEW_CHANNELS:
        for p in range(pixels):
            write_run(row, array.code, source + p * pixel_bytes, target + p * array.x, channels)
    elif not array.swap and array.parts == 1 and array.x == array.unit:
        if array.aligned and array.code == row.code:
            some = piece_of(array, pixels, pixel_bytes)
            for p in range(0, pixels, some):
                place = target + p * itemsize
                unpack(
                    row,
                    source=source + p * pixel_bytes,
                    source_step=pixel_bytes,
                    target=place,
                    target_step=array.c,
                    rows=min(some, pixels - p),
                    columns=channels,
                    ahead=place // itemsize % row.lanes,
                )
        else:
            scatter_planes(row, array, source, target, pixels, scratch)
    else:
        some_pixels, some_channels = pieces_in_scratch(array)
        for p in range(0, pixels, some_pixels):
            width = min(some_pixels, pixels - p)
            for c in range(0, array.channels, some_channels):
                depth = min(some_channels, array.channels - c)
                place = source + p * pixel_bytes + c * array.parts * itemsize
                write_run(row, array.code, place, scratch, width * depth * array.parts)
                spread(
                    row,
                    size=array.unit,
                    swap=array.swap,
                    source=scratch,
                    target=target + p * array.x + c * array.c,
                    x_step=array.x,
                    c_step=array.c,
                    parts=array.parts,
                    pixels=width,
                    channels=depth,
                )


@subroutine
def scatter_planes(row, array, source, target, pixels, scratch):
    """Scatter pixels of another type into planes where they lie side by side."""
    itemsize = row.itemsize
    pixel_bytes = array.channels * itemsize
    some = SCRATCH_BYTES // (PIECE * itemsize)
    for p in range(0, pixels, PIECE):
        width = min(PIECE, pixels - p)
        for first in range(0, array.channels, some):
            depth = min(some, array.channels - first)
            unpack(
                row,
                source=source + p * pixel_bytes + first * itemsize,
                source_step=pixel_bytes,
                target=scratch,
                target_step=PIECE * itemsize,
                rows=width,
                columns=depth,
                ahead=0,
            )
            for c in range(depth):
                plane = target + (first + c) * array.c + p * array.unit
                write_run(row, array.code, scratch + c * PIECE * itemsize, plane, width)


@subroutine
def inside(span):
    """The first and the last, excluded, of a span's places that its axis has."""
    first = min(ceil_div(max(-span.first, 0), span.step), span.count)
    last = min(ceil_div(max(span.size - span.first, 0), span.step), span.count)
    return first, max(first, last)


@subroutine
def fill_pixels(row, array, fill, target, pixels):
    """Fill pixels that lie side by side with what is no pixel of an array."""
    itemsize = row.itemsize
    count = pixels * array.channels * array.parts
    if fill.real == 0 and fill.imag == 0:
        zero_bytes(target, count * itemsize)
    else:
        for i in range(0, count, array.parts):
            set_bits(row, target + i * itemsize, fill.real)
            if array.parts > 1:
                set_bits(row, target + (i + 1) * itemsize, fill.imag)


@subroutine
def gather_outside(row, array, source, x, first, last, fill, target, scratch):
    """Gather those of a row's pixels, from `first` to `last`, excluded, that are outside.

    source : address of the row's first pixel.
    target : address of the box's row.
    """
    pixel_bytes = array.channels * array.parts * row.itemsize
    if x.border <= CONSTANT:
        fill_pixels(row, array, fill, target + first * pixel_bytes, last - first)
    else:
        step = array.channels * array.unit * array.parts
        for p in range(first, last):
            at = source + index(x.first + p * x.step, x.size, x.border) * array.x
            gather_pixels(row, array, at, step, target + p * pixel_bytes, 1, scratch)


@subroutine
def gather_row(row, array, source, x, with_ends, fill, target, scratch):
    """Gather a row of a box, or what of it is inside; `source` is the address of the row's first
    pixel."""
    left, right = inside(x)
    if with_ends:
        gather_outside(row, array, source, x, 0, left, fill, target, scratch)
        gather_outside(row, array, source, x, right, x.count, fill, target, scratch)
    at = source + (x.first + left * x.step) * array.x
    to = target + left * array.channels * array.parts * row.itemsize
    gather_pixels(row, array, at, x.step * array.x, to, right - left, scratch)


@subroutine
def gather_rows_outside(row, array, source, y, x, with_ends, first, last, fill, target, scratch):
    """Gather those of a plane's rows, from `first` to `last`, excluded, that are outside.

    source, target : addresses of the first pixel of the plane, and of the box's plane.
    """
    row_bytes = x.count * array.channels * array.parts * row.itemsize
    if y.border <= CONSTANT:
        fill_pixels(row, array, fill, target + first * row_bytes, (last - first) * x.count)
    else:
        for k in range(first, last):
            at = source + index(y.first + k * y.step, y.size, y.border) * array.y
            gather_row(row, array, at, x, with_ends, fill, target + k * row_bytes, scratch)


@subroutine
def is_narrow(row, array, x):
    """Whether rows of a box are a few elements, to be copied as they are."""
    plain = array.aligned and not array.swap and array.parts == 1
    return plain and array.code == row.code and x.count * array.channels <= FEW_ELEMENTS


@subroutine
def gather_columns(row, array, source, step, rows, x, fill, target):
    """Gather narrow rows that lie `step` bytes apart, column by column.

    source : address of the first pixel of the first row.
    """
    itemsize, channels = row.itemsize, array.channels
    row_bytes = x.count * channels * itemsize
    for p in range(x.count):
        place = index(x.first + p * x.step, x.size, x.border)
        for c in range(channels):
            at, to = source + place * array.x + c * array.c, target + (p * channels + c) * itemsize
            if place < 0:
                for k in range(rows):
                    set_bits(row, to + k * row_bytes, fill.real)
            else:
                for k in range(rows):
                    set_bits(row, to + k * row_bytes, bits_at(row, at + k * step))


@subroutine
def put_beside(row, array, x, rows, target):
    """Put pixels beside rows where they have come from places inside: rows of a box of all places
    of the span `x`, which lie behind each other.

    target : address of the first row.
    """
    itemsize, channels = row.itemsize, array.channels * array.parts
    row_bytes = x.count * channels * itemsize
    left, right = inside(x)
    for p in range(x.count - (right - left)):
        to = p if p < left else p + right - left
        place = index(x.first + to, x.size, x.border) - x.first
        for c in range(channels):
            at, beside = (
                target + (place * channels + c) * itemsize,
                target + (to * channels + c) * itemsize,
            )
            for k in range(rows):
                set_bits(row, beside + k * row_bytes, bits_at(row, at + k * row_bytes))


@subroutine
def ends_are_in_box(array, x):
    """Whether all pixels that stand at the ends of a box's rows are pixels of the same row, to be
    put there column by column."""
    left, right = inside(x)
    is_whole = x.step == 1 and right - left == x.size < x.count
    few = array.channels * array.parts < FEW_CHANNELS
    return is_whole and few and x.border > CONSTANT


@subroutine
def gather(row, array, n, images, z, y, x, fill, target, scratch):
    """Gather a box: images from `n` on, and of planes, rows and pixels those of the spans."""
    row_bytes = x.count * array.channels * array.parts * row.itemsize
    (top, bottom), (left, right) = inside(y), inside(x)
    # Whether rows follow each other, without anything between them.
    follow = right - left == x.count and y.step * array.y == x.count * x.step * array.x
    with_ends = not ends_are_in_box(array, x)
    for i in range(images):
        for j in range(z.count):
            plane = index(z.first + j * z.step, z.size, z.border)
            source = array.address + (n + i) * array.n + plane * array.z
            if plane < 0:
                fill_pixels(row, array, fill, target, y.count * x.count)
            else:
                gather_rows_outside(
                    row, array, source, y, x, with_ends, 0, top, fill, target, scratch
                )
                at, place = source + (y.first + top * y.step) * array.y, target + top * row_bytes
                if follow:
                    pixels = (bottom - top) * x.count
                    at += x.first * array.x
                    gather_pixels(row, array, at, x.step * array.x, place, pixels, scratch)
                elif is_narrow(row, array, x):
                    step = y.step * array.y
                    gather_columns(row, array, at, step, bottom - top, x, fill, place)
                else:
                    for _ in range(top, bottom):
                        gather_row(row, array, at, x, with_ends, fill, place, scratch)
                        at += y.step * array.y
                        place += row_bytes
                gather_rows_outside(
                    row, array, source, y, x, with_ends, bottom, y.count, fill, target, scratch
                )
                if not with_ends:
                    put_beside(row, array, x, y.count, target)
            target += y.count * row_bytes


@chapter
def scatter(row, array, box, source, scratch):
    """Scatter a box of outputs."""
    pixels, rows = box.columns, box.rows
    if array.y == box.columns * array.x:
        pixels, rows = pixels * rows, 1
    for i in range(box.images):
        for j in range(box.planes):
            target = array.address + (box.n + i) * array.n + (box.z + j) * array.z
            target += box.y * array.y + box.x * array.x
            for _ in range(rows):
                scatter_pixels(row, array, source, target, pixels, scratch)
                source += pixels * array.channels * array.parts * row.itemsize
                target += array.y


@chapter
def box_of(plan, index):
    """A box, cut off where the outputs end."""
    across, down = ceil_div(plan.ow, plan.box_x), ceil_div(plan.oh, plan.box_y)
    x = index % across * plan.box_x
    index //= across
    y = index % down * plan.box_y
    index //= down
    deep = ceil_div(plan.od, plan.box_z)
    z = index % deep * plan.box_z
    n = index // deep * plan.box_n
    images = plan.pixels // (plan.od * plan.oh * plan.ow)
    return Box(
        n,
        min(plan.box_n, images - n),
        z,
        min(plan.box_z, plan.od - z),
        y,
        min(plan.box_y, plan.oh - y),
        x,
        min(plan.box_x, plan.ow - x),
    )


@chapter
def kind_of(plan, box):
    """The number of the plan for a box: those that are cut off have others."""
    cut = 1 if box.columns < plan.box_x else 0
    cut += 2 if box.rows < plan.box_y else 0
    cut += 4 if box.planes < plan.box_z else 0
    cut += 8 if box.images < plan.box_n else 0
    return cut


def task(row, plan, images, weights, out, residual, scratch, staging, index):
    """Compute a box of outputs of a convolution by another row's tasks.

    images, out, residual : as in `team.task_address`, of arrays as the plan says: `image_*`,
        `out_*` and `residual_*` are strides in bytes, of any layout and alignment; the residual has
        those of `out` where outputs are written in place.
    weights : from which passes know the distance to their own.
    scratch : SCRATCH_BYTES, used while nothing is computed.
    staging : plan.staging bytes: the images under a box, and what passes make of them; at
        plan.out_at the outputs, at plan.residual_at their residuals; at plan.inner_at what the
        inner plans ask for.

    plan.inside is the address of as many plans for a first pass that reads images in place, or 0:
    where a box has all pixels of its rows, of one image and plane, and no window leaves images but
    at the ends of rows, whose borders map pixels.  What is beside them is put beside the outputs of
    the pass, which is the same.

    plan.table is the address of PASS_FIELDS for each of plan.passes passes, whose sixteen plans
    (see `kind_of`) are convolutions of a box with contiguous images; their outputs are contiguous,
    too, but for those of the last pass where the plan does not stage them: these have the strides
    of `out`.
    """
    box = box_of(plan, index)
    array = Array(
        images,
        plan.image_n,
        plan.image_z,
        plan.image_y,
        plan.image_x,
        plan.image_c,
        plan.image_unit,
        plan.image_parts,
        plan.image_code,
        plan.image_aligned,
        plan.image_swap,
        plan.groups * plan.group_channels // plan.image_parts,
    )
    z = Span(
        box.z * plan.sd + plan.first_z,
        (box.planes - 1) * plan.move_z + plan.span_z,
        plan.step_z,
        plan.d,
        plan.border_z,
    )
    y = Span(
        box.y * plan.sh + plan.first_y,
        (box.rows - 1) * plan.move_y + plan.span_y,
        plan.step_y,
        plan.h,
        plan.border_y,
    )
    x = Span(
        box.x * plan.sw + plan.first_x,
        (box.columns - 1) * plan.move_x + plan.span_x,
        plan.step_x,
        plan.w,
        plan.border_x,
    )
    # Whether the first pass reads images where they are.
    reads = plan.inside != 0 and y.first >= 0 and y.first + y.count <= y.size
    if not reads:
        fill = Fill(plan.fill_real, plan.fill_imag)
        gather(row, array, box.n, box.images, z, y, x, fill, staging, scratch)
    place, distance = out, residual
    if plan.stages_out:
        place = staging + plan.out_at
        if residual != 0:
            distance = plan.residual_at - plan.out_at
            more = Array(
                out + residual,
                plan.residual_n,
                plan.residual_z,
                plan.residual_y,
                plan.residual_x,
                plan.residual_c,
                plan.residual_unit,
                plan.residual_parts,
                plan.residual_code,
                plan.residual_aligned,
                plan.residual_swap,
                plan.groups * plan.group_filters // plan.residual_parts,
            )
            gather(
                row,
                more,
                box.n,
                box.images,
                Span(box.z, box.planes, 1, plan.od, ZEROS),
                Span(box.y, box.rows, 1, plan.oh, ZEROS),
                Span(box.x, box.columns, 1, plan.ow, ZEROS),
                Fill(0, 0),
                staging + plan.residual_at,
                scratch,
            )
    else:
        place += box.n * plan.out_n + box.z * plan.out_z + box.y * plan.out_y + box.x * plan.out_x
    kind = kind_of(plan, box)
    for p in range(plan.passes):
        one, is_last = plan.table + 8 * N_PASS * p, p == plan.passes - 1
        plans, source = word(one, PASS_PLANS), staging + word(one, PASS_SOURCE)
        target = place if is_last else staging + word(one, PASS_TARGET)
        if reads and p == 0:
            first, _ = inside(x)
            plans, target = plan.inside, target + first * array.channels * row.itemsize
            source = images + box.n * plan.image_n + z.first * plan.image_z + y.first * plan.image_y
        inner = word(plans, kind)
        for i in range(word(inner, TASKS)):
            call_task(
                word(one, PASS_TASK),
                inner,
                source,
                weights + word(one, PASS_WEIGHTS),
                target,
                distance if is_last else 0,
                scratch,
                staging + plan.inner_at,
                i,
            )
        if reads and p == 0:
            put_beside(row, array, x, box.rows, staging + word(one, PASS_TARGET))
    if plan.stages_out:
        target = Array(
            out,
            plan.out_n,
            plan.out_z,
            plan.out_y,
            plan.out_x,
            plan.out_c,
            plan.out_unit,
            plan.out_parts,
            plan.out_code,
            plan.out_aligned,
            plan.out_swap,
            plan.groups * plan.group_filters // plan.out_parts,
        )
        scatter(row, target, box, place, scratch)
