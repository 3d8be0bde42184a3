"""Means of windows along one axis, by doubling.

Sums of 2n neighbours are those of n, added to the ones that lie n further on; to those of 2n + 1
the last neighbour is added, too.  So each output is summed in the same order, which depends on the
size of the window alone, wherever it lies and however work is cut; and no sum is carried along.
"""

from __future__ import annotations

from collections import namedtuple

from .._plan.family import ALIGNMENT
from .runtime import ceil_div, chapter, subroutine, tile_intrinsic

# Neighbours of which sums are formed at once, at most: of rows, some of which share the sums of
# fewer, and along a row.
BEGUN, BEGUN_ALONG = 7, 3
ROWS = 4  # that share sums


def sums_of_few(
    v, row, taps, source, step, move, is_down, target, target_step, rows, length, divisor
):
    """Sum as many neighbours as windows begin with: 2 to BEGUN, or to BEGUN_ALONG.

    taps : how many.
    source, step, move : address of the first one; bytes from a row to the next, and from a
        neighbour to the next.
    is_down : whether neighbours are those of the next rows: `move` is `step`.
    target, target_step : address of the first sum, and bytes from a row to the next.  What is
        written is not read.
    rows, length : how many rows, and neighbouring sums of each; at least 1.
    divisor : address of an element, by which sums are divided; 0: they are not.

    Reads and writes `length` elements of rows.
    """
    lanes = row.lanes
    factor = v.splat(v.pointer(v.select(v.equal(divisor, 0), source, divisor)))

    def tile(n, n_rows, y, at, vectors, count=None):
        """So many sums of `n` neighbours of each of some rows."""
        first = v.at(v.pointer(v.add(source, v.mul(y, step))), at)
        place = v.at(v.pointer(v.add(target, v.mul(y, target_step))), at)
        for j in range(vectors):
            formed = {}

            def total(i, n, j=j, formed=formed):
                """The sum of `n` neighbours from the i-th on."""
                if (i, n) not in formed:
                    if n > 1:
                        half = n // 2
                        formed[i, n] = v.sum(total(i, half), total(i + half, half))
                        if n % 2:
                            formed[i, n] = v.sum(formed[i, n], total(i + n - 1, 1))
                    else:
                        here = v.offset(first, v.mul(move, i))
                        some = j * lanes
                        formed[i, n] = (
                            v.load(here, some) if count is None else v.load_first(count, here)
                        )
                return formed[i, n]

            for r in range(n_rows):
                result = v.cell(total(r, n))
                for _ in v.when(v.unequal(divisor, 0)):
                    result.set(v.quotient(result.get(), factor))
                to = v.offset(place, v.mul(target_step, r))
                if count is None:
                    v.store(result.get(), to, j * lanes)
                else:
                    v.store_first(count, result.get(), to)

    def line(n, n_rows, y):
        """Some rows; the last tile of several goes back as far as it must."""
        width = row.vectors if n_rows == 1 else 1
        for several in v.choose(v.less(width * lanes - 1, length)):
            if several:
                for at in v.loop(v.add(length, width * lanes - 1), step=width * lanes):
                    tile(n, n_rows, y, v.minimum(at, v.add(length, -width * lanes)), width)
                continue
            for whole in v.choose(v.less(lanes - 1, length)):
                if whole:
                    for at in v.loop(v.add(length, lanes - 1), step=lanes):
                        tile(n, n_rows, y, v.minimum(at, v.add(length, -lanes)), 1)
                else:
                    tile(n, n_rows, y, v.word(0), 1, length)

    together = v.select(v.equal(is_down, 0), v.word(0), v.floor(rows, ROWS))
    for n in range(2, BEGUN + 1):
        for _ in v.when(v.equal(taps, n)):
            for y in v.loop(together, step=ROWS):
                line(n, ROWS, y)
            # Of more than BEGUN_ALONG a few rows, whose windows go down.
            for y in v.loop(rows, start=together):
                line(n, 1, y)


def sums(v, row, first, step, move, third, third_step, target, target_step, rows, length, divisor):
    """Add to elements of rows others of the same rows, or of rows further down.

    first, step : address of the first element, and bytes from a row to the next.
    move : bytes from an element to the one that is added.
    third, third_step : the same of a third one, which is added to the sum of two; 0: there is none.
    target, target_step : the same of the sums.  What is written is not read.
    rows, length : how many rows, and neighbouring elements of each; at least 1.
    divisor : address of an element, by which sums are divided; 0: they are not.

    Reads `length` elements of each row, and writes as many.
    """
    lanes = row.lanes

    def vector(sources, place, index, factor, count=None):
        """One vector, of which with `count` only so many elements."""
        loaded = [
            v.load(each, index) if count is None else v.load_first(count, each, index)
            for each in sources
        ]
        total = loaded[0]
        for more in loaded[1:]:
            total = v.sum(total, more)
        if factor is not None:
            total = v.quotient(total, factor)
        if count is None:
            v.store(total, place, index)
        else:
            v.store_first(count, total, place, index)

    def each_row(n):
        """The pointers that `n` elements are loaded from, and the one to where they are stored."""
        for y in v.loop(rows):
            start = v.pointer(v.add(first, v.mul(y, step)))
            sources = [start, v.offset(start, move)]
            if n > 2:
                sources.append(v.pointer(v.add(third, v.mul(y, third_step))))
            yield sources, v.pointer(v.add(target, v.mul(y, target_step)))

    def go_through(n, factor):
        """The last tile, or vector, of several goes back as far as it must, and computes some
        elements again."""
        for several in v.choose(v.less(row.channels - 1, length)):
            for sources, place in each_row(n):
                if several:
                    for at in v.loop(v.add(length, row.channels - 1), step=row.channels):
                        at = v.minimum(at, v.add(length, -row.channels))
                        for j in range(row.vectors):
                            vector(sources, place, v.add(at, j * lanes), factor)
                    continue
                for whole in v.choose(v.less(lanes - 1, length)):
                    if whole:
                        for at in v.loop(v.add(length, lanes - 1), step=lanes):
                            vector(sources, place, v.minimum(at, v.add(length, -lanes)), factor)
                    else:
                        vector(sources, place, 0, factor, length)

    for few in v.choose(v.equal(third, 0)):
        for divides in v.choose(v.unequal(divisor, 0)):
            factor = v.splat(v.pointer(divisor)) if divides else None
            go_through(2 if few else 3, factor)


begin_sums, add_rows = tile_intrinsic(sums_of_few), tile_intrinsic(sums)


# Outputs that are computed at a time: so many neighbouring elements of some rows.  Where the first
# window's first tap is, and the first element; bytes from a row of each to the next.
Block = namedtuple("Block", "source step target target_step rows count")


@subroutine
def extent(row, beyond, is_down, move, block):
    """How many rows, and elements of each, the sums have that outputs are made of: those under
    windows that reach so many taps beyond."""
    if is_down:
        return block.rows + beyond, block.count
    return block.rows, block.count + beyond * (move // row.itemsize)


@subroutine
def compute(row, plan, taps, is_down, move, block, divisor, staging):
    """Compute a block of outputs.

    is_down : whether windows go from row to row, else along the rows.
    move : bytes from a tap to the next.
    divisor : as in `sums`.
    """
    source, step, apart, place = block.source, block.step, move, staging
    n, left = taps, 0
    while n > (BEGUN if is_down else BEGUN_ALONG):
        n >>= 1
        left += 1
    rows, count = extent(row, taps - n, is_down, move, block)
    sums_step = ceil_div(count * row.itemsize, ALIGNMENT) * ALIGNMENT
    target, target_step = place, sums_step
    if left == 0:
        target, target_step = block.target, block.target_step
    begin_sums(
        row,
        taps=n,
        source=source,
        step=step,
        move=move,
        is_down=1 if is_down else 0,
        target=target,
        target_step=target_step,
        rows=rows,
        length=count,
        divisor=divisor if left == 0 else 0,
    )
    while left > 0:
        left -= 1
        more = taps >> left
        rows, count = extent(row, taps - more, is_down, move, block)
        source, step = target, target_step
        apart = sums_step if is_down else move
        place = staging + plan.room if place == staging else staging
        target, target_step = place, sums_step
        if left == 0:
            target, target_step = block.target, block.target_step
        add_rows(
            row,
            first=source,
            step=step,
            move=n * apart,
            third=block.source + 2 * n * move if more > 2 * n else 0,
            third_step=block.step,
            target=target,
            target_step=target_step,
            rows=rows,
            length=count,
            divisor=divisor if left == 0 else 0,
        )
        n = more


@chapter
def along(row, plan, image, target, divisor, staging, index):
    """Compute `task_rows` rows of outputs, of any planes, by windows along them; some of a plane at
    a time."""
    length = plan.ow * plan.groups
    chunks = max(1, length // plan.chunk)
    line = index * plan.task_rows
    last = min(line + plan.task_rows, plan.pixels // plan.ow)
    while line < last:
        y, z = line % plan.oh, line // plan.oh
        n = z // plan.od
        z -= n * plan.od
        rows = min(min(plan.together, plan.oh - y), last - line)
        line += rows
        source = image + n * plan.image_n + z * plan.image_z + y * plan.image_y
        to = target + n * plan.out_n + z * plan.out_z + y * plan.out_y
        for i in range(chunks):
            first = i * plan.chunk
            count = plan.chunk if i < chunks - 1 else length - first
            at = first * row.itemsize
            block = Block(source + at, plan.image_y, to + at, plan.out_y, rows, count)
            compute(row, plan, plan.kw, False, plan.dw * plan.image_x, block, divisor, staging)


@chapter
def across(row, plan, image, target, divisor, staging, index):
    """Compute `task_rows` rows of outputs of one plane, or one row of as many planes, by windows
    that go from one to the next; some columns at a time."""
    taps, dilation, lines, others = plan.kh, plan.dh, plan.oh, plan.od
    step, to_step, other_step, other_to_step = plan.image_y, plan.out_y, plan.image_z, plan.out_z
    if plan.kd > 1:
        taps, dilation, lines, others = plan.kd, plan.dd, plan.od, plan.oh
        step, to_step, other_step, other_to_step = other_step, other_to_step, step, to_step
    blocks = ceil_div(lines, plan.task_rows)
    line, index = index % blocks * plan.task_rows, index // blocks
    other, n = index % others, index // others
    source = image + n * plan.image_n + other * other_step + line * step
    to = target + n * plan.out_n + other * other_to_step + line * to_step
    rows = min(plan.task_rows, lines - line)
    length = plan.ow * plan.groups
    chunks = max(1, length // plan.chunk)
    for i in range(chunks):
        first = i * plan.chunk
        count = plan.chunk if i < chunks - 1 else length - first
        at = first * row.itemsize
        block = Block(source + at, step, to + at, to_step, rows, count)
        compute(row, plan, taps, True, dilation * step, block, divisor, staging)


def task(row, plan, images, weights, out, staging, index):
    """Compute some rows of outputs.

    images, out : addresses of the first element; pixels lie side by side, the other strides are the
        plan's, in bytes.
    weights : at plan.weights_offset bytes from there is what sums are divided by; 0: they are not.
    staging : address of two pieces of memory of `plan.room` bytes each, for sums.

    Assumes a window of two taps or more along one axis, which lie a dilation apart and inside of
    the images, strides of 1, no residual and no activation.
    """
    divisor = weights + plan.weights_offset if plan.weights_offset != 0 else 0
    if plan.kw > 1:
        along(row, plan, images, out, divisor, staging, index)
    else:
        across(row, plan, images, out, divisor, staging, index)
