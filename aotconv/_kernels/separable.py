"""Two windows at once: some rows at a time are gone through from row to row, and what that makes of
them, which lies near, along them.

Elements are converted as they are loaded, and sums as they are stored: nothing else of the images
or of the outputs is written anywhere.  Of floats each output is summed in the order of all kernels,
once along each axis.  Of means bytes are summed in 16 bits, which hold their sums.
"""

from __future__ import annotations

from llvmlite import ir

from .._plan import borders
from .._plan.family import ALIGNMENT
from .elements import Elements
from .runtime import chapter, set_word, subroutine, tile_intrinsic, zero_bytes
from .simd import WHOLES


def down(v, row, table, taps, ahead, weights, above, target, target_step, length):
    """Go through images from row to row: sum MR rows of all elements.

    table : address of the addresses of rows of elements of the type that the row holds, side by
        side: those under MR rows of sums; of integers that of the window above before them.
    taps : at least MR - 1.
    ahead : bytes from the last MR of the rows to those that are read next.
    weights : address of one for each tap; of integers all are 1, and none is read.
    above : of integers address of the row of sums above the first; 0: it is summed up here.
    target, target_step : address of the first row of sums, and bytes from one to the next.
    length : elements of a row, at least those of a tile.
    """
    lanes, held, elements = row.lanes, row.stored_itemsize, Elements(v, row)
    step = row.channels
    for at in v.loop(v.add(length, step - 1), step=step, rolled=True):
        at = v.minimum(at, v.add(length, -step))

        def start_of(i, at=at):
            return v.add(v.load_word(table, i), v.mul(at, held))

        def inputs_of(i, start_of=start_of):
            places = (v.add(start_of(i), j * lanes * held) for j in range(row.vectors))
            return [elements.load(row.holds, place, lanes) for place in places]

        def store(sums, r, at=at):
            place = v.at(v.pointer(v.add(target, v.mul(target_step, r))), at)
            for j, total in enumerate(sums):
                v.store(total.get(), place, j * lanes)

        if row.integers:
            sums = [v.cell(v.constant(0)) for _ in range(row.vectors)]
            for is_first in v.choose(v.equal(above, 0)):
                if is_first:
                    add_rows(v, taps, sums, inputs_of)
                    continue
                for j, total in enumerate(sums):
                    total.set(v.load(v.at(v.pointer(above), at), j * lanes))
            move_rows(v, row, taps, sums, inputs_of, store)
        else:
            multiply_rows(v, row, taps, v.pointer(weights), inputs_of, store)
        for r in range(row.pixels):
            last = v.add(taps, r - 1 + row.integers)
            fetch(v, v.add(start_of(last), ahead), step * held, writes=False)


def multiply_rows(v, row, taps, weights, inputs_of, store):
    """Sum a tile of MR rows of floats, in the order of all kernels."""
    n_rows = row.pixels
    sums = [[v.cell(v.constant(0)) for _ in range(row.vectors)] for _ in range(n_rows)]

    def input_row(i, outputs):
        """Multiply row `i` for some rows of outputs, whose tap `i - r` it is."""
        factors = [v.splat(weights, v.sub(i, r)) for r in outputs]
        for j, inputs in enumerate(inputs_of(i)):
            for r, factor in zip(outputs, factors, strict=True):
                sums[r][j].set(v.fma(inputs, factor, sums[r][j].get()))

    for i in range(n_rows - 1):
        input_row(i, range(i + 1))
    for i in v.loop(taps, start=n_rows - 1, rolled=True):
        input_row(i, range(n_rows))
    for r in range(1, n_rows):
        input_row(v.add(taps, r - 1), range(r, n_rows))
    for r in range(n_rows):
        store(sums[r], r)


def add_rows(v, taps, sums, inputs_of):
    """Add up the first rows of integers."""
    for i in v.loop(taps, rolled=True):
        for total, inputs in zip(sums, inputs_of(i), strict=True):
            total.set(v.sum(total.get(), inputs))


def move_rows(v, row, taps, sums, inputs_of, store):
    """Sum a tile of MR rows of integers from the sums above: they are exact, so that each is that
    with one more row of inputs, and one less."""
    for r in range(row.pixels):
        each = zip(sums, inputs_of(v.add(taps, r)), inputs_of(r), strict=True)
        for total, more, less in each:
            total.set(v.difference(v.sum(total.get(), more), less))
        store(sums, r)


def fetch(v, address, size: int, writes: bool):
    """Bring so many bytes near."""
    for line in range(0, size, ALIGNMENT):
        v.prefetch(v.pointer(v.add(address, line)), writes=writes)


def beside(v, row, table, count, lines, step):
    """Put elements beside rows of sums.

    table : address of two words for each of `count` elements: bytes from a line to where it is put,
        and to the one that it is.
    lines, step : address of the first of MR lines, and bytes from one to the next.
    """
    for i in v.loop(count, rolled=True):
        to, source = (v.load_word(table, v.add(v.mul(i, 2), k)) for k in range(2))
        for r in range(row.pixels):
            line = v.add(lines, v.mul(step, r))
            v.copy(v.pointer(v.add(line, source)), v.pointer(v.add(line, to)), 0)


def along(v, row, source, taps, turn, move, weights, target, ahead, length):
    """Go along a row of sums.

    source, move : address of the first output's first tap, and bytes from a tap to the next.
    turn : of integers, so many sums as 16 bits hold the sum of; `taps` or more where they hold that
        of all.
    weights : address of one for each of `taps`; of integers that of the words of
        `_plan.separable.mean_words`.
    target, length : address of outputs of the type that the row holds, and how many; at least those
        of a tile.
    ahead : bytes to where others are stored next.
    """

    def total(place, count, term):
        """The sums of so many taps from a place on, as `term` makes them of a tap's number, inputs
        and sums."""
        sums, tap = [v.cell(v.constant(0)) for _ in range(row.along)], v.cell(place)
        for k in v.loop(count, rolled=True):
            more = term(k)
            for j, each in enumerate(sums):
                each.set(more(v.load(tap.get(), j * row.lanes), each.get()))
            tap.set(v.offset(tap.get(), move))
        return [each.get() for each in sums]

    def weighted(k):
        factor = v.splat(v.pointer(weights), k)
        return lambda inputs, total: v.fma(inputs, factor, total)

    def added(_):
        return v.sum

    def added_in_turns(place):
        """The sums of 32 bits of all taps."""
        sums = [v.cell(v.wide(v.constant(0))) for _ in range(row.along)]
        for i in v.loop(v.quotient_of(v.add(taps, v.add(turn, -1)), turn), rolled=True):
            first = v.mul(i, turn)
            count = v.minimum(turn, v.sub(taps, first))
            some = total(v.offset(place, v.mul(first, move)), count, added)
            for each, more in zip(sums, some, strict=True):
                each.set(v.builder.add(each.get(), v.wide(more)))
        return [each.get() for each in sums]

    def tiles():
        """Where a tile's elements begin, and its outputs; the last goes back as far as it must."""
        size = row.along * row.lanes
        for at in v.loop(v.add(length, size - 1), step=size, rolled=True):
            at = v.minimum(at, v.add(length, -size))
            to = v.add(target, v.mul(at, row.stored_itemsize))
            yield v.at(v.pointer(source), at), to
            fetch(v, v.add(to, ahead), size * row.stored_itemsize, writes=True)

    if not row.integers:
        for place, to in tiles():
            sums = total(place, taps, weighted)
            if row.stored:
                store_bytes(v, [rounded_byte(v, each) for each in sums], to)
                continue
            for j, each in enumerate(sums):
                v.store(each, v.pointer(to), j * row.lanes)
        return
    for is_long in v.choose(v.less(turn, taps)):
        for place, to in tiles():
            if is_long:
                means = [rounded_quotient(v, each, weights) for each in added_in_turns(place)]
            else:
                words = [v.splat(v.pointer(weights), i) for i in range(5)]
                means = [rounded_mean(v, each, *words) for each in total(place, taps, added)]
            store_bytes(v, means, to)


def rounded_mean(v, total, half, factor, shift, minus_count, tie):
    """The quotient of a sum of bytes, of two whole numbers that are as near the even one."""
    b = v.builder
    some = v.sum(total, half)
    quotient = b.lshr(v.high_product(some, factor), shift)
    # Of as near ones, without a remainder, it is the upper one.
    is_tie = b.icmp_signed("==", v.fma(quotient, minus_count, some), tie)
    odd = b.and_(quotient, v.constant(1))
    return b.sub(quotient, b.select(is_tie, odd, v.constant(0)))


def rounded_quotient(v, total, words):
    """The same of sums of 32 bits below 2**23, divided by the float32 at an address."""
    b, single = v.builder, ir.VectorType(ir.FloatType(), total.type.count)
    divisor = b.load(b.inttoptr(words, ir.FloatType().as_pointer()), align=4)
    quotient = b.fdiv(b.sitofp(total, single), v.splat_value(divisor, total.type.count))
    offset = ir.Constant(single, [WHOLES["float32"]] * total.type.count)
    return b.bitcast(b.fadd(quotient, offset), total.type)


def rounded_byte(v, total):
    """A float as a byte: clipped, and of two whole numbers that are as near the even one; NaN is
    0."""
    low, high = v.constant(0.0), v.constant(255.0)
    total = v.select(v.is_less(low, total), total, low)
    total = v.select(v.is_less(total, high), total, high)
    return v.whole_bits(total)


def store_bytes(v, vectors, address):
    """Store the low bytes of vectors of integers, side by side."""
    b = v.builder
    while len(vectors) > 1 and vectors[0].type.count < 32:
        vectors = [v.side_by_side(*pair) for pair in zip(vectors[::2], vectors[1::2], strict=True)]
    for i, vector in enumerate(vectors):
        bytes_ = b.trunc(vector, ir.VectorType(ir.IntType(8), vector.type.count))
        at = v.add(address, i * vector.type.count)
        b.store(bytes_, b.inttoptr(at, bytes_.type.as_pointer()), align=1)


go_down, put_beside, go_along = map(tile_intrinsic, (down, beside, along))
index = subroutine(borders.index)


@chapter
def point_at_rows(plan, image, zeros, first, count, table):
    """Write the addresses of so many rows from row `first` on; `zeros` is that of one outside
    images."""
    for i in range(count):
        place = first + i
        if place < 0 or place >= plan.h:
            place = index(place, plan.h, plan.border_y)
        set_word(table, i, zeros if place < 0 else image + place * plan.image_y)


@chapter
def point_beside(row, plan, table):
    """Write what `beside` reads, and how many elements there are."""
    size, places, count = plan.groups * row.itemsize, plan.ow + plan.kw - 1, 0
    for i in range(places - plan.w):
        to = i if i < plan.left else i + plan.w
        place = index(to - plan.left, plan.w, plan.border_x)
        # Behind a line lies a pixel of zeros.
        source = places if place < 0 else place + plan.left
        for at in range(0, size, row.itemsize):
            set_word(table, 2 * count, to * size + at)
            set_word(table, 2 * count + 1, source * size + at)
            count += 1
    return count


def task(row, plan, images, weights, out, scratch, staging, index):
    """Compute `task_rows` rows of outputs of one plane.

    images, out : addresses of the first element, of the type that the row holds; pixels lie side by
        side, the other strides are the plan's, in bytes.
    weights : at plan.weights_offset bytes from there those of the first window, and of the second;
        of integers the words of `_plan.separable.mean_words`.
    scratch : SCRATCH_WORDS words, for two tables.
    staging : address of a row of zeros, of `plan.zeros` bytes, and of lines of `plan.line`.

    Assumes windows and sizes that the row serves (`_plan.separable.serves`), strides and dilations
    of 1, borders of pixels or zeros, no residual and no activation.
    """
    itemsize, channels = row.itemsize, plan.groups
    blocks = -(-plan.oh // plan.task_rows)
    first, plane = index % blocks * plan.task_rows, index // blocks
    n, z = plane // plan.od, plane % plan.od
    image = images + n * plan.image_n + z * plan.image_z
    target = out + n * plan.out_n + z * plan.out_z
    # Under MR rows of outputs; of integers under the one above, too.
    rows = plan.kh + row.pixels - 1 + row.integers
    elements, lines = scratch + 8 * rows, staging + plan.zeros
    zero_bytes(staging, plan.zeros)
    for r in range(row.lines):
        line = lines + r * plan.line
        zero_bytes(line + (plan.ow + plan.kw - 1) * channels * itemsize, channels * itemsize)
    count = point_beside(row, plan, elements)
    downwards, inside, above = weights + plan.weights_offset, plan.left * channels * itemsize, 0
    sideways = downwards if row.integers else downwards + plan.kh * itemsize
    for y in range(first, min(first + plan.task_rows, plan.oh), row.pixels):
        point_at_rows(plan, image, staging, y - plan.top - row.integers, rows, scratch)
        go_down(
            row,
            table=scratch,
            taps=plan.kh,
            ahead=row.pixels * plan.image_y,
            weights=downwards,
            above=above,
            target=lines + inside,
            target_step=plan.line,
            length=plan.w * channels,
        )
        put_beside(row, table=elements, count=count, lines=lines, step=plan.line)
        for r in range(min(row.pixels, plan.oh - y)):
            go_along(
                row,
                source=lines + r * plan.line,
                taps=plan.kw,
                turn=plan.turn,
                move=channels * itemsize,
                weights=sideways,
                target=target + (y + r) * plan.out_y,
                ahead=row.pixels * plan.out_y,
                length=plan.ow * channels,
            )
        if row.integers:  # whose next rows lie in the other lines
            above = lines + inside + (row.pixels - 1) * plan.line
            lines = 2 * (staging + plan.zeros) + row.pixels * plan.line - lines
