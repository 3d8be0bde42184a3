"""Weights put into panels, for layers that are packed at every call."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .extension import Export
from .runtime import int_at, words_aligned
from .simd import WORD, prefetch

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


def pack_panels(
    source, row_bytes, n_rows, target, panel_bytes, n_filters, columns, width, itemsize
):
    """Put rows of weights into panels; whether all are finite.

    Parameters
    ----------
    source, row_bytes, n_rows : int
        Address of the first row, of `n_filters` floats side by side; bytes to the next; rows.
    target, panel_bytes : int
        Address of where the first row goes in the first panel; bytes from a panel to the next.
        Rows of a panel are `width` floats each, whole words, and lie side by side; what has no
        filter is filled with zeros.
    columns, width : int
        A panel begins at each multiple of `columns`, and from there at each of `width`.
    itemsize : int
        Bytes of a float: 4 or 8.

    Rows are aligned to a float, the target's to nothing, and they do not overlap.  Nothing else is
    read or written.  The machine's words begin with their low half.
    """
    exponents = EXPONENTS_4 if itemsize == 4 else EXPONENTS_8
    carries = CARRIES_4 if itemsize == 4 else CARRIES_8
    carried = CARRIED_4 if itemsize == 4 else CARRIED_8
    panels_per_group, n_groups = -(-columns // width), -(-n_filters // columns)
    words, seen = width * itemsize >> 3, 0
    ahead, behind = ROWS_AT_A_TIME * width * itemsize, ROWS_AT_A_TIME * row_bytes
    for first in range(0, n_rows, ROWS_AT_A_TIME):
        last = min(first + ROWS_AT_A_TIME, n_rows)
        for panel in range(n_groups * panels_per_group):
            begins = panel % panels_per_group * width
            column = panel // panels_per_group * columns + begins
            n_bytes = max(0, min(width, columns - begins, n_filters - column)) * itemsize
            whole = n_bytes >> 3
            for row in range(first, last):
                weights = source + row * row_bytes + column * itemsize
                place = target + panel * panel_bytes + row * width * itemsize
                for k in range(whole >> 3):
                    at, to = weights + 64 * k, place + 64 * k
                    seen |= _copy_line(to, at, exponents, carries, to + ahead, at + behind)
                for k in range(whole & -8, whole):
                    value = _word(weights, k)
                    _set_word(place, k, value)
                    seen |= (value & exponents) + carries
                if n_bytes & 7:
                    value = int_at(weights, whole) & 0xFFFFFFFF
                    _set_word(place, whole, value)
                    seen |= (value & exponents) + carries
                for k in range((n_bytes + 7) >> 3, words):
                    _set_word(place, k, 0)
    return 1 if seen & carried == 0 else 0


EXPORTS = {"pack_panels": Export(pack_panels, f"int64({', '.join(['int64'] * 9)})")}
