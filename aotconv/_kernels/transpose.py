"""Copies between NCHW and NHWC: blocks of a vector by a vector, transposed in registers."""

from __future__ import annotations

from .runtime import of_size, tile_intrinsic

FEW_ROWS = 4  # of an image of few channels, that are transposed with fewer shuffles
PREFETCH_BYTES = 256  # planes are fetched so far from here: a CPU follows not so many by itself


def transpose(v, row, source, source_step, target, target_step, rows, columns, ahead=None):
    """Copy `rows` rows of `columns` elements into `columns` rows of `rows` elements.

    source, target : addresses of the first elements; a row's elements lie side by side, and its
        first one `source_step`, or `target_step`, bytes from the previous row's.
    ahead : elements, fewer than a vector, that the target lies behind the last place where a
        vector should be stored: all but the first are stored in such places.  Then blocks follow
        the target's rows, else the source's.

    Reads and writes no other elements.
    """
    lanes, itemsize = row.lanes, row.itemsize

    def source_at(y, x):
        return v.pointer(v.add(v.add(source, v.mul(y, source_step)), v.mul(x, itemsize)))

    def target_at(y, x):
        return v.pointer(v.add(v.add(target, v.mul(x, target_step)), v.mul(y, itemsize)))

    def whole_block(y, x):
        sources = [source_at(v.add(y, i), x) for i in range(lanes)]
        first = target_at(y, x)
        targets = [v.offset(first, v.mul(target_step, i)) for i in range(lanes)]
        for plane in sources if ahead is None else targets:
            v.prefetch(v.offset(plane, PREFETCH_BYTES))
        for column, place in zip(v.load_transposed(sources), targets, strict=True):
            v.store(column, place)

    def part_of_block(y, x, n_rows):
        height = v.minimum(v.add(rows, v.mul(y, -1)), lanes)
        width = v.minimum(v.add(columns, v.mul(x, -1)), lanes)
        loaded = []
        for i in range(n_rows):
            # Rows behind the last are read from it, and not stored.
            at = v.add(y, v.minimum(i, v.add(height, -1)))
            loaded.append(v.load_first(width, source_at(at, x)))
        for i, column in enumerate(v.transposed(loaded)):
            for _ in v.when(v.less(i, width)):
                v.store_first(height, column, target_at(y, v.add(x, i)))

    def blocks(first_row=0):
        """The first row and column of each block."""
        y_stop, x_stop = v.add(rows, lanes - 1), v.add(columns, lanes - 1)
        if ahead is None:
            for y in v.loop(y_stop, first_row, lanes):
                for x in v.loop(x_stop, step=lanes):
                    yield y, x
        else:
            for x in v.loop(x_stop, step=lanes):
                for y in v.loop(y_stop, first_row, lanes):
                    yield y, x

    for whole in v.choose(v.less(lanes - 1, v.minimum(rows, columns))):
        if whole:  # blocks at the ends overlap their neighbours
            for y, x in blocks(0 if ahead is None else v.mul(ahead, -1)):
                y = v.minimum(v.maximum(y, 0), v.add(rows, -lanes))
                whole_block(y, v.minimum(x, v.add(columns, -lanes)))
        else:
            for few in v.choose(v.less(rows, FEW_ROWS + 1)):
                for y, x in blocks():
                    part_of_block(y, x, min(FEW_ROWS, lanes) if few else lanes)


def from_planes(v, row, source, source_step, target, target_step, rows, columns):
    """Planes of pixels to pixels of channels: block by block along the planes."""
    transpose(v, row, source, source_step, target, target_step, rows, columns)


def to_planes(v, row, source, source_step, target, target_step, rows, columns, ahead):
    """Pixels of channels to planes of pixels: block by block along the planes, in whole vectors."""
    transpose(v, row, source, source_step, target, target_step, rows, columns, ahead)


pack = tile_intrinsic(from_planes, shared=of_size)
unpack = tile_intrinsic(to_planes, shared=of_size)
