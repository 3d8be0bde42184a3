"""Weights put into panels; also those of layers that are packed at every call."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .._plan.panels import PANELS_FIELDS
from .extension import INT, Export
from .runtime import word, words_aligned
from .simd import WORD, prefetch

ITEMSIZE, TARGET, PANEL, COLUMNS, WIDTH, FILTERS, FILTER, *AXES = range(len(PANELS_FIELDS))
ROWS_0, STEP_0, ROWS_1, STEP_1, ROWS_2, STEP_2, ROWS_3, STEP_3 = AXES

VECTOR_BYTES = 16

ROWS_AT_A_TIME = 8  # reads follow each other, and lines of a panel are written together

# Of floats of 4 and of 8 bytes: their exponents' bits in a word; what carries from there where all
# of these are ones; and the bits that it carries to.
EXPONENTS_4, EXPONENTS_8 = 0x7F80_0000_7F80_0000, 0x7FF0_0000_0000_0000
CARRIES_4, CARRIES_8 = 0x0080_0000_0080_0000, 0x0010_0000_0000_0000
CARRIED_4, CARRIED_8 = 0x8000_0000_8000_0000 - (1 << 64), -(1 << 63)


_word, _set_word = words_aligned(1)


@intrinsic
def _copy_line(typingctx, target, source, exponents, carries, next_target, next_source):
    """Copy eight words between addresses of any alignment; what their exponents carry."""

    def emit(context, builder, sig, args):
        vector = ir.VectorType(WORD, 2)
        target, source = (builder.inttoptr(each, vector.as_pointer()) for each in args[:2])
        prefetch(builder, builder.inttoptr(args[4], vector.as_pointer()), writes=True)
        prefetch(builder, builder.inttoptr(args[5], vector.as_pointer()), writes=False)
        exponents, carries = (_both(builder, each) for each in args[2:4])
        values = [builder.load(builder.gep(source, [WORD(i)]), align=1) for i in range(4)]
        seen = vector([0, 0])
        for i, value in enumerate(values):
            builder.store(value, builder.gep(target, [WORD(i)]), align=1)
            seen = builder.or_(seen, builder.add(builder.and_(value, exponents), carries))
        halves = (builder.extract_element(seen, WORD(i)) for i in range(2))
        return builder.or_(*halves)

    return types.int64(*[types.int64] * 6), emit


def _both(builder, value):
    """A vector of a word, twice."""
    pair = ir.Constant(ir.VectorType(WORD, 2), ir.Undefined)
    for i in range(2):
        pair = builder.insert_element(pair, value, WORD(i))
    return pair


def _turning(lane: ir.Type, lanes: int):
    """The intrinsic that copies so many rows of as many filters, where rows lie side by side; what
    their exponents carry.

    It is given the addresses of the first, in a panel and of the weights, and behind each the bytes
    from there to the next row, and to the next filter.
    """
    vector, pair = ir.VectorType(lane, lanes), ir.VectorType(WORD, 2)

    @intrinsic
    def turn(typingctx, target, line, source, step, exponents, carries):
        def emit(context, builder, sig, args):
            target, line, source, step, *of_floats = args
            exponents, carries = (_both(builder, each) for each in of_floats)
            values, seen = [], pair([0, 0])
            for i in range(lanes):
                at = builder.add(source, builder.mul(step, WORD(i)))
                value = builder.load(builder.inttoptr(at, pair.as_pointer()), align=1)
                seen = builder.or_(seen, builder.add(builder.and_(value, exponents), carries))
                values.append(builder.bitcast(value, vector))
            for i, value in enumerate(_turned(builder, values)):
                to = builder.add(target, builder.mul(line, WORD(i)))
                builder.store(value, builder.inttoptr(to, vector.as_pointer()), align=1)
            halves = (builder.extract_element(seen, WORD(i)) for i in range(2))
            return builder.or_(*halves)

        return types.int64(*[types.int64] * 6), emit

    return turn


def _turned(builder, vectors):
    """Vectors as many as they have lanes: lane j of the i-th was lane i of the j-th."""
    lanes = len(vectors)
    half = lanes // 2
    low = [k for i in range(half) for k in (i, lanes + i)]
    masks = [ir.VectorType(INT, lanes)(mask) for mask in (low, [k + half for k in low])]
    for _ in range(half.bit_length()):
        pairs = list(zip(vectors[:half], vectors[half:], strict=True))
        vectors = [builder.shuffle_vector(*pair, mask) for pair in pairs for mask in masks]
    return vectors


_turn_4, _turn_8 = _turning(INT, 4), _turning(WORD, 2)


@intrinsic
def _copy_int(typingctx, target, source):
    """Copy the four bytes of a float; they, with zeros above."""

    def emit(context, builder, sig, args):
        target, source = (builder.inttoptr(each, INT.as_pointer()) for each in args)
        value = builder.load(source)
        builder.store(value, target, align=1)
        return builder.zext(value, WORD)

    return types.int64(types.int64, types.int64), emit


def pack_panels(plan, weights):
    """Put weights into panels; whether all are finite.

    Parameters
    ----------
    plan : int
        Address of the words of `PANELS_FIELDS`.
    weights : int
        Address of the first.

    Rows of a panel are `width` floats each, whole words, and lie side by side, in the order of the
    axes of weights; what has no filter is filled with zeros.  Weights are aligned to a float, the
    target to nothing, and the target overlaps no weights.  Nothing else is read or written.  The
    machine's words begin with their low half.
    """
    itemsize, width, columns = word(plan, ITEMSIZE), word(plan, WIDTH), word(plan, COLUMNS)
    n_filters, step, line = word(plan, FILTERS), word(plan, FILTER), width * itemsize
    n_rows, row_step = word(plan, ROWS_3), word(plan, STEP_3)
    exponents = EXPONENTS_4 if itemsize == 4 else EXPONENTS_8
    carries = CARRIES_4 if itemsize == 4 else CARRIES_8
    carried = CARRIED_4 if itemsize == 4 else CARRIED_8
    shift = 2 if itemsize == 4 else 3  # rather than divisions, which take as long as a row
    lanes, a_time, seen = VECTOR_BYTES >> shift, -(-columns // width), 0
    inner = word(plan, ROWS_2)
    middle = word(plan, ROWS_1) * inner
    for outer in range(word(plan, ROWS_0) * middle):
        source = weights + outer // middle * word(plan, STEP_0)
        source += outer % middle // inner * word(plan, STEP_1) + outer % inner * word(plan, STEP_2)
        target = word(plan, TARGET) + outer * n_rows * line
        for first in range(0, n_rows, ROWS_AT_A_TIME):
            last = min(first + ROWS_AT_A_TIME, n_rows)
            for panel in range(-(-n_filters // columns) * a_time):
                begins = panel % a_time * width
                column = panel // a_time * columns + begins
                count = max(0, min(width, columns - begins, n_filters - column))
                to, at = target + panel * word(plan, PANEL), source + column * step
                if count < width:
                    for row in range(first, last):
                        for k in range(count << shift >> 3, line >> 3):
                            _set_word(to + row * line, k, 0)
                # Of the rows before `behind`, `done` filters are copied here, the rest below.
                behind, done = first, 0
                if step == itemsize:  # filters lie side by side: words
                    words = count << shift >> 3
                    for row in range(first, last):
                        place, weight = to + row * line, at + row * row_step
                        for k in range(0, words & -8, 8):
                            far = place + 8 * k + ROWS_AT_A_TIME * line
                            ahead = weight + 8 * k + ROWS_AT_A_TIME * row_step
                            seen |= _copy_line(
                                place + 8 * k, weight + 8 * k, exponents, carries, far, ahead
                            )
                        for k in range(words & -8, words):
                            value = _word(weight, k)
                            _set_word(place, k, value)
                            seen |= (value & exponents) + carries
                    behind, done = last, words << 3 >> shift
                elif row_step == itemsize:  # rows do: squares of as many as a vector holds
                    behind, done = first + ((last - first) & -lanes), count & -lanes
                    for row in range(first, behind, lanes):
                        for i in range(0, done, lanes):
                            place = to + row * line + (i << shift)
                            weight = at + (row << shift) + i * step
                            if itemsize == 4:
                                seen |= _turn_4(place, line, weight, step, exponents, carries)
                            else:
                                seen |= _turn_8(place, line, weight, step, exponents, carries)
                for row in range(first if done < count else behind, last):
                    for i in range(done if row < behind else 0, count):
                        place, weight = to + row * line, at + row * row_step + i * step
                        if itemsize == 4:
                            value = _copy_int(place + 4 * i, weight)
                        else:
                            value = _word(weight, 0)
                            _set_word(place, i, value)
                        seen |= (value & exponents) + carries
    return 1 if seen & carried == 0 else 0


EXPORTS = {"pack_panels": Export(pack_panels, "int64(int64, int64)")}
