"""Pools of windows of any size: the maximum, the maximum and its place, or the average.

Vectors run along elements that lie side by side: the channels of a pixel, or the pixels of a row,
where the windows of neighbours are neighbours, too.  A tile is four vectors, each the outputs of
one place, and goes through the taps of their windows, which are alike.  Windows that leave the
images are cut down to what is inside before.
"""

from __future__ import annotations

import inspect
from collections import namedtuple
from typing import NamedTuple

from llvmlite import ir
from numba import types

from .._plan.pool import (
    AVERAGE,
    HELD,
    INDEX_BYTES,
    INDEXED,
    MAXIMUM,
    SAMPLES_BYTES,
    SAMPLES_OFFSET,
    computed_itemsize,
    lanes_of,
    result_itemsize,
    row_of,
)
from .elements import Elements
from .runtime import (
    Record,
    ceil_div,
    chapter,
    parameter,
    subroutine,
    tile_intrinsic,
    with_parameters,
)
from .simd import WORD, element_type, tile_function

FLOATS = {4: "float32", 8: "float64"}
HALF_WORD = ir.IntType(32)


# The taps of a window: how many along each axis; bytes from one to the next; and how many pixels.
WINDOW = Record(
    *("planes", "rows", "columns"),
    *("pelement_step", "row_step", "column_step"),
    *("plane_place", "row_place", "column_place"),
)
write_window = WINDOW.writer()


class Taps(NamedTuple):
    """The words of a window's taps along depth, height and width."""

    counts: tuple[ir.Value, ...]
    steps: tuple[ir.Value, ...]
    places: tuple[ir.Value, ...]

    @classmethod
    def at(cls, v, window) -> Taps:
        """Those of a WINDOW at an address."""
        words = [WINDOW.load(v, window, 0, name) for name in WINDOW.names]
        return cls(tuple(words[:3]), tuple(words[3:6]), tuple(words[6:]))


class Run(NamedTuple):
    """Outputs of alike windows, and these: numbers of the kernel.

    Attributes
    ----------
    source, source_step : address of the first window's first tap; bytes from a place to the next.
    target, target_step : address of the first output, of the same.
    count, length : places, and elements of each, side by side.
    halved : whether elements that lie side by side in the result lie two apart in the images.
    taps : those of each window.
    """

    source: ir.Value
    source_step: ir.Value
    target: ir.Value
    target_step: ir.Value
    count: ir.Value
    length: ir.Value
    halved: ir.Value
    taps: Taps


class _Values:
    """Vectors of a row's elements as an operation computes them.

    Parameters
    ----------
    flipped : of integers, the bits that are flipped between arrays and what is compared or summed.
    """

    def __init__(self, v, row, operation: int, lanes: int, flipped) -> None:
        self.v, self.b, self.lanes, self._row = v, v.builder, lanes, row
        size = computed_itemsize(row, operation)
        self.floats = operation == AVERAGE or not row.integers
        computed = FLOATS[size] if self.floats else f"int{8 * size}"
        self.element = element_type(computed)
        self.kind = ir.VectorType(self.element, lanes)
        self._stored = computed if row.integers else row.holds
        if self.floats:
            self._elements = Elements(v, row._replace(dtype=computed, stored=""))
        if row.integers:
            self._held = ir.VectorType(ir.IntType(8 * row.itemsize), lanes)
            bits = self._held.element
            self._flipped = self.splat(flipped if bits == WORD else self.b.trunc(flipped, bits))

    def constant(self, value):
        return ir.Constant(self.kind, [value] * self.lanes)

    def splat(self, scalar):
        """A value in every lane."""
        return self.v.splat_value(scalar, self.lanes)

    def load(self, address):
        """The elements at an address."""
        if not self._row.integers:
            return self._elements.load(self._row.holds, address, self.lanes)
        raw = self.b.load(self.b.inttoptr(address, self._held.as_pointer()), align=1)
        raw = self.b.xor(raw, self._flipped)
        if self.floats:
            return self._as_floats(raw)
        return raw if raw.type == self.kind else self.b.sext(raw, self.kind)

    def _as_floats(self, raw):
        """Integers as float64, rounded once: of 64 bits the two halves are exact, and their sum is
        rounded."""
        b, flipped = self.b, self._flipped
        if raw.type.element != WORD:
            return b.fsub(b.sitofp(raw, self.kind), b.sitofp(flipped, self.kind))
        halves = ir.VectorType(HALF_WORD, self.lanes)
        shift = ir.Constant(raw.type, [HALF_WORD.width] * self.lanes)
        high, more = (b.trunc(b.lshr(each, shift), halves) for each in (raw, flipped))
        high = b.fsub(b.sitofp(high, self.kind), b.sitofp(more, self.kind))
        low = b.uitofp(b.trunc(raw, halves), self.kind)
        return b.fadd(b.fmul(high, self.constant(2.0**HALF_WORD.width)), low)

    def store(self, value, address) -> None:
        if self.floats:
            self._elements.store(self._stored, value, address, self.lanes)
            return
        if value.type != self._held:
            value = self.b.trunc(value, self._held)
        value = self.b.xor(value, self._flipped)
        self.b.store(value, self.b.inttoptr(address, self._held.as_pointer()), align=1)

    def load_halves(self, address):
        """Every second one of twice as many elements, from the first on and from the second on."""
        ends = address, self.v.add(address, self.lanes * self._row.stored_itemsize)
        both = [self.load(end) for end in ends]
        return [self._every_second(*both, first) for first in (0, 1)]

    def _every_second(self, a, b, first: int):
        places = list(range(first, 2 * self.lanes, 2))
        mask = ir.Constant(ir.VectorType(HALF_WORD, self.lanes), places)
        return self.b.shuffle_vector(a, b, mask)

    def lowest(self):
        if self.floats:
            return self.constant(-float("inf"))
        # Of the type that is held, wherever it is compared.
        return self.constant(-(1 << (self._held.element.width - 1)))

    def is_greater(self, a, b):
        if self.floats:
            return self.b.fcmp_ordered(">", a, b)
        return self.b.icmp_signed(">", a, b)


class _Maximum:
    """The largest element; NaN where one is."""

    operation, in_pairs = MAXIMUM, True  # of which one comparison finds NaN

    def __init__(self, values: _Values) -> None:
        self._b, self._values = values.b, values
        self._best = values.v.cell(values.lowest())
        width = 64 if values.element == ir.DoubleType() else 32
        self._mask = ir.VectorType(ir.IntType(width), values.lanes)
        self._spoiled = values.v.cell(ir.Constant(self._mask, None)) if values.floats else None

    def take(self, elements, tap=None) -> None:
        """One element or two, of each lane."""
        b = self._b
        if self._spoiled is not None:
            spoiled = b.sext(b.fcmp_unordered("uno", elements[0], elements[-1]), self._mask)
            self._spoiled.set(b.or_(self._spoiled.get(), spoiled))
        for each in elements:
            best = self._best.get()
            self._best.set(b.select(self._values.is_greater(each, best), each, best))

    def result(self):
        best = self._best.get()
        if self._spoiled is None:
            return best
        spoiled = self._b.icmp_signed("!=", self._spoiled.get(), ir.Constant(self._mask, None))
        return self._b.select(spoiled, self._values.constant(float("nan")), best)


class _Indexed:
    """The first of the largest elements, or of those that are NaN, and its place."""

    operation, in_pairs = INDEXED, False

    def __init__(self, values: _Values) -> None:
        self._b, self._values, v = values.b, values, values.v
        self._best = v.cell(values.lowest())
        width = 64 if values.element == ir.DoubleType() else getattr(values.element, "width", 32)
        self._kind = ir.VectorType(ir.IntType(width), values.lanes)
        self._place = v.cell(ir.Constant(self._kind, None))

    def take(self, elements, tap) -> None:
        """One element of each lane, of a tap."""
        b, (element,), best = self._b, elements, self._best.get()
        if self._values.floats:
            taken = b.and_(b.fcmp_unordered(">", element, best), b.fcmp_ordered("ord", best, best))
        else:
            taken = self._values.is_greater(element, best)
        if self._kind.element != WORD:
            tap = b.trunc(tap, self._kind.element)
        tap = self._values.splat(tap)
        self._best.set(b.select(taken, element, best))
        self._place.set(b.select(taken, tap, self._place.get()))

    def result(self):
        return self._best.get()

    def places(self):
        """As int64."""
        words = ir.VectorType(WORD, self._values.lanes)
        place = self._place.get()
        return place if place.type == words else self._b.sext(place, words)


class _Average:
    """The sum of the elements, in the order of taps."""

    operation, in_pairs = AVERAGE, False

    def __init__(self, values: _Values) -> None:
        self._b = values.b
        self._total = values.v.cell(values.constant(-0.0))  # which no sum shows

    def take(self, elements, tap=None) -> None:
        for each in elements:
            self._total.set(self._b.fadd(self._total.get(), each))

    def result(self):
        return self._total.get()


def _through(v, row, kind, run: Run, finish, flipped) -> None:
    """Go through the outputs of a run, and store what `finish` makes of them.

    kind : the operation.
    flipped : as of `_Values`.
    finish : ``finish(values, state, place, element)``: what is stored of a state.
    """
    whole, cells = lanes_of(row, kind.operation), row.pixels
    item, out_item = row.stored_itemsize, result_itemsize(row, kind.operation)
    # Of fewer places than cells the last one is computed again and again.
    further = [v.minimum(j, v.sub(run.count, 1)) for j in range(cells)]
    apart = [v.mul(run.source_step, each) for each in further]

    def window(place, element, width: int, count: int, halved: bool = False) -> None:
        """Vectors of `width` outputs at `count` places, from `element` of each on."""
        values = _Values(v, row, kind.operation, width, flipped)
        states = [kind(values) for _ in range(count)]
        start = v.mul(element, item * (1 + halved))
        source = v.add(run.source, v.add(v.mul(place, run.source_step), start))

        def tap(address, number, several: int = 1) -> None:
            for state, more in zip(states, apart, strict=False):
                at = v.add(address, more)
                if halved:
                    state.take(values.load_halves(at)[:several])
                    continue
                steps = [v.add(at, v.mul(run.taps.steps[2], i)) for i in range(several)]
                state.take([values.load(step) for step in steps], number)

        def along(axis: int, start, number):
            """Addresses and numbers of taps along an axis."""
            for i in v.loop(run.taps.counts[axis]):
                more = v.mul(i, run.taps.places[axis]) if kind.operation == INDEXED else 0
                yield v.add(start, v.mul(i, run.taps.steps[axis])), v.add(number, more)

        def in_pairs(start):
            """Take the taps of a row, two at a time."""
            columns, step = run.taps.counts[2], run.taps.steps[2]
            for kx in v.loop(columns, step=2):
                tap(v.add(start, v.mul(kx, step)), None, 2)
            for _ in v.when(v.equal(v.remainder(columns, 2), 1)):
                tap(v.add(start, v.mul(v.sub(columns, 1), step)), None)

        for at_plane, plane in along(0, source, 0):
            for at_row, line in along(1, at_plane, plane):
                if halved or (kind.in_pairs and width == whole):
                    in_pairs(at_row)
                else:
                    for at, number in along(2, at_row, line):
                        tap(at, number)
        for state, more in zip(states, further, strict=False):
            at = v.add(place, more)
            target = v.add(run.target, v.add(v.mul(at, run.target_step), v.mul(element, out_item)))
            values.store(finish(values, state, at, element), target)

    def pieces(place) -> None:
        """All elements of a place, which are fewer than a vector's."""
        done = v.word(0)
        for width in _widths(whole):
            some = v.floor(run.length, width)
            for element in v.loop(some, start=done, step=width):
                window(place, element, width, 1)
            done = some

    for wide in v.choose(v.less(whole - 1, run.length)):
        if wide:  # the last places and the last vector go back, and are computed again
            for place in v.loop(v.add(run.count, cells - 1), step=cells):
                place = v.maximum(v.minimum(place, v.sub(run.count, cells)), 0)
                for element in v.loop(v.add(run.length, whole - 1), step=whole):
                    element = v.minimum(element, v.sub(run.length, whole))
                    if kind.operation == INDEXED:
                        window(place, element, whole, cells)
                        continue
                    for halved in v.choose(v.unequal(run.halved, 0)):
                        window(place, element, whole, cells, halved)
        else:
            for place in v.loop(run.count):
                pieces(place)


def _widths(whole: int) -> list[int]:
    """Of vectors of fewer elements, the widest first: each second one, so that they are few."""
    widths = [whole // 2]
    while widths[-1] > 1:
        widths.append(max(1, widths[-1] // 4))
    return widths


def maxima(
    v,
    row,
    source,
    source_step,
    target,
    target_step,
    count,
    length,
    halved,
    window,
    flipped,
):
    """Store the largest element of each window of a run; NaN where one is, and -inf, or the lowest
    integer, where there is no tap.

    All words are those of `Run`.  A vector of the `length` elements is read and written at a time,
    or fewer elements where these are fewer; some may be more than once.  Of a run that is halved,
    which has a vector's length at least, each tap reads two vectors.  All strides are in bytes, and
    no address need be aligned.  Of integers the bits `flipped` are while they are compared, as
    signed ones.
    """
    taps = Taps.at(v, window)
    run = Run(source, source_step, target, target_step, count, length, halved, taps)
    _through(v, row, _Maximum, run, lambda values, state, *_: state.result(), flipped)


def averages(
    v,
    row,
    source,
    source_step,
    target,
    target_step,
    count,
    length,
    halved,
    window,
    divisor,
    flipped,
):
    """The same with the sum of a window, in the order of planes, rows and columns, divided by
    `divisor`; of integers both are float64, and so are the results."""
    taps = Taps.at(v, window)
    run = Run(source, source_step, target, target_step, count, length, halved, taps)

    def finish(values, state, place, element):
        taps = v.builder.sitofp(divisor, values.element)
        return v.builder.fdiv(state.result(), values.splat(taps))

    _through(v, row, _Average, run, finish, flipped)


def places(
    v,
    row,
    source,
    source_step,
    target,
    target_step,
    count,
    length,
    window,
    beside,
    beside_step,
    first,
    first_step,
    element_step,
    flipped,
):
    """The same as `maxima`, of no run that is halved, and beside each result as an int64 the place
    of the first of the largest elements, or of those that are NaN; -1 where there is no tap.

    beside, beside_step : address of the first output's, and bytes to the next place's.
    first, first_step, element_step : the place of the first window's first tap; what the next place
        adds to it, and the next element.
    """
    taps = Taps.at(v, window)
    run = Run(source, source_step, target, target_step, count, length, v.word(0), taps)
    b = v.builder
    planes, rows, columns = taps.counts
    empty = v.equal(v.mul(planes, v.mul(rows, columns)), 0)
    first, first_step, element_step = (
        v.select(empty, v.word(none), each)
        for none, each in ((-1, first), (0, first_step), (0, element_step))
    )

    def finish(values, state, place, element):
        words = ir.VectorType(WORD, values.lanes)
        lanes = b.mul(values.splat(element_step), ir.Constant(words, list(range(values.lanes))))
        begin = v.add(first, v.add(v.mul(place, first_step), v.mul(element, element_step)))
        found = b.add(state.places(), b.add(values.splat(begin), lanes))
        at = v.add(beside, v.add(v.mul(place, beside_step), v.mul(element, INDEX_BYTES)))
        b.store(found, b.inttoptr(at, words.as_pointer()), align=INDEX_BYTES)
        return state.result()

    _through(v, row, _Indexed, run, finish, flipped)


def tile_of_each_type(tile):
    """The intrinsic ``(row, held, *words)`` that calls the tile of a type, a place in HELD."""

    def definition(typingctx, row, held, *words, **named):
        def emit(context, builder, sig, args):
            _, held, *words = args
            module, row_of_all = builder.module, row.row
            tiles = [
                tile_function(module, row_of_all, tile, row_of(row_of_all, name)) for name in HELD
            ]
            chosen = tiles[0]
            for place, each in enumerate(tiles[1:], 1):
                is_it = builder.icmp_signed("==", held, WORD(place))
                chosen = builder.select(is_it, each, chosen)
            builder.call(chosen, words)
            return context.get_dummy_value()

        return types.none(row, held, *[types.int64] * (len(words) + len(named))), emit

    _, *parameters = inspect.signature(tile).parameters.values()
    return with_parameters(definition, [parameters[0], parameter("held"), *parameters[1:]])


def copies(v, row, source, source_step, target, target_step, count, size):
    """Copy `count` pieces of `size` bytes, which lie so many bytes apart, in the largest units that
    `size` is a multiple of."""
    b = v.builder
    unit = v.minimum(b.and_(size, b.neg(size)), 8)
    for n_bytes in (1, 2, 4, 8):
        kind = ir.IntType(8 * n_bytes).as_pointer()
        for _ in v.when(v.equal(unit, n_bytes)):
            for i in v.loop(count):
                ends = v.mul(i, source_step), v.mul(i, target_step)
                for k in v.loop(size, step=n_bytes, unrolled=True):
                    origin, goal = (
                        b.inttoptr(v.add(v.add(base, end), k), kind)
                        for base, end in zip((source, target), ends, strict=True)
                    )
                    b.store(b.load(origin, align=1), goal, align=1)


copy_pixels = tile_intrinsic(copies)
compute_maxima, compute_averages, compute_places = map(
    tile_of_each_type, (maxima, averages, places)
)


@subroutine
def taps_between(start, step, count, low, high):
    """The first and the last, excluded, of `count` taps, from `start` on, that lie from `low` to
    before `high`."""
    first = min(ceil_div(max(low - start, 0), step), count)
    last = min(ceil_div(max(high - start, 0), step), count)
    return first, max(first, last)


# Rows of outputs whose windows have as many planes and rows of taps: where the first one's windows
# begin, where it is written, and its places; the place of its images' first pixel; how many rows;
# planes and rows of taps, and how many of both are counted.
Lines = namedtuple("Lines", "image out beside place count planes rows counted")
# Some of their outputs: the first, and an element behind it; how many places of how many elements,
# what is a place, and whether these are of a run that is halved.
Span = namedtuple("Span", "x element count length kind halved")
PIXELS, VECTORS, ROWS = range(3)  # of a line; of a run in a line; one of each line
# Columns of taps: the first, how many, and how many are counted.
Columns = namedtuple("Columns", "first count counted")


@subroutine
def element_step_of(plan):
    """What the next element of a run adds to its place: one of several channels is in the same."""
    return plan.place_x if plan.is_run or plan.samples else 0


@subroutine
def steps_of(plan, kind, apart):
    """What the next place of a span adds to addresses in images and results, and to these."""
    if kind == PIXELS:
        return plan.sw * plan.image_x, plan.out_x, plan.index_x, plan.sw * plan.place_x
    if kind == ROWS:
        return plan.sh * plan.image_y, plan.out_y, plan.index_y, plan.sh * plan.place_y
    lanes = plan.lanes
    source_step, target_step = lanes * apart * plan.item, lanes * plan.out_item
    beside_step = lanes * INDEX_BYTES
    return source_step, target_step, beside_step, lanes * element_step_of(plan)


@subroutine
def compute_span(row, plan, scratch, lines, span, columns):
    """Compute outputs of alike windows."""
    apart = 2 if span.halved else 1
    column = span.x * plan.sw - plan.left + columns.first * plan.dw
    source = lines.image + column * plan.image_x + span.element * apart * plan.item
    target = lines.out + span.x * plan.out_x + span.element * plan.out_item
    source_step, target_step, beside_step, place_step = steps_of(plan, span.kind, apart)
    element_step = element_step_of(plan)
    write_window(
        scratch,
        0,
        planes=lines.planes,
        rows=lines.rows,
        columns=columns.count,
        pelement_step=plan.dd * plan.image_z,
        row_step=plan.dh * plan.image_y,
        column_step=plan.dw * plan.image_x,
        plane_place=plan.dd * plan.place_z,
        row_place=plan.dh * plan.place_y,
        column_place=plan.dw * plan.place_x,
    )
    if plan.operation == MAXIMUM:
        compute_maxima(
            row,
            plan.held,
            source=source,
            source_step=source_step,
            target=target,
            target_step=target_step,
            count=span.count,
            length=span.length,
            halved=span.halved,
            window=scratch,
            flipped=plan.flipped,
        )
    elif plan.operation == AVERAGE:
        compute_averages(
            row,
            plan.held,
            source=source,
            source_step=source_step,
            target=target,
            target_step=target_step,
            count=span.count,
            length=span.length,
            halved=span.halved,
            window=scratch,
            divisor=lines.counted * columns.counted,
            flipped=plan.flipped,
        )
    else:
        compute_places(
            row,
            plan.held,
            source=source,
            source_step=source_step,
            target=target,
            target_step=target_step,
            count=span.count,
            length=span.length,
            window=scratch,
            beside=lines.beside + span.x * plan.index_x + span.element * INDEX_BYTES,
            beside_step=beside_step,
            first=lines.place + column * plan.place_x + span.element * element_step,
            first_step=place_step,
            element_step=element_step,
            flipped=plan.flipped,
        )


@subroutine
def line_of(plan, lines, i):
    """One of some lines."""
    return Lines(
        lines.image + i * plan.sh * plan.image_y,
        lines.out + i * plan.out_y,
        lines.beside + i * plan.index_y,
        lines.place + i * plan.sh * plan.place_y,
        1,
        lines.planes,
        lines.rows,
        lines.counted,
    )


@subroutine
def compute_run(row, plan, scratch, line, x, length, halved, columns):
    """Compute at least a vector of outputs that lie side by side, of one line."""
    vectors = length // plan.lanes
    whole = Span(x, 0, vectors, plan.lanes, VECTORS, halved)
    compute_span(row, plan, scratch, line, whole, columns)
    if length % plan.lanes:  # the last vector goes back
        rest = Span(x, length - plan.lanes, 1, plan.lanes, VECTORS, halved)
        compute_span(row, plan, scratch, line, rest, columns)


@subroutine
def compute_column(row, plan, scratch, lines, x, columns):
    """Compute one output of each line."""
    channels = plan.groups
    if lines.count < row.pixels and plan.lanes * row.pixels <= channels and not plan.is_run:
        for i in range(lines.count):
            line = line_of(plan, lines, i)
            compute_run(row, plan, scratch, line, x, channels, 0, columns)
    else:
        span = Span(x, 0, lines.count, channels, ROWS, 0)
        compute_span(row, plan, scratch, lines, span, columns)


@subroutine
def compute_samples(row, plan, scratch, line, first, last, columns):
    """Compute outputs of a line at every pixel, as a run in scratch memory, and copy those of the
    stride."""
    size, values = plan.groups * plan.out_item, scratch + SAMPLES_OFFSET
    places = values + SAMPLES_BYTES
    count = min(plan.samples, last - first)
    length = ((count - 1) * plan.sw + 1) * plan.groups
    for x in range(first, last, count):
        x = min(x, last - count)
        every = Lines(
            line.image,
            values - x * plan.out_x,
            places - x * plan.index_x,
            line.place,
            1,
            line.planes,
            line.rows,
            line.counted,
        )
        compute_run(row, plan, scratch, every, x, length, 0, columns)
        step = plan.sw * size
        copy_pixels(row, values, step, line.out + x * plan.out_x, plan.out_x, count, size)
        if plan.operation == INDEXED:
            step, target = plan.sw * INDEX_BYTES, line.beside + x * plan.index_x
            copy_pixels(row, places, step, target, plan.index_x, count, INDEX_BYTES)


@chapter
def compute_inside(row, plan, scratch, lines, first, last):
    """Compute the outputs of lines, from `first` to before `last`, whose windows' columns all lie
    inside the images."""
    columns, channels = Columns(0, plan.kw, plan.kw), plan.groups
    length = (last - first) * channels
    if plan.is_halved:  # a vector reads an element beyond its last window
        beyond = plan.w - 1 - plan.kw + plan.left
        length = min(length, beyond // 2 + 1 - first) if beyond >= 0 else 0
    if plan.samples and ((last - first - 1) * plan.sw + 1) * channels >= plan.lanes:
        for i in range(lines.count):
            line = line_of(plan, lines, i)
            compute_samples(row, plan, scratch, line, first, last, columns)
        first = last
    elif (plan.is_run or plan.is_halved) and length >= plan.lanes:
        if lines.count == 1:
            compute_run(row, plan, scratch, lines, first, length, plan.is_halved, columns)
        else:
            span = Span(first, 0, lines.count, length, ROWS, plan.is_halved)
            compute_span(row, plan, scratch, lines, span, columns)
        first = first + length if plan.is_halved else last
    elif plan.is_run and length > 0:
        span = Span(first, 0, lines.count, length, ROWS, 0)
        compute_span(row, plan, scratch, lines, span, columns)
        first = last
    if last - first < row.pixels or last - first < lines.count:
        for x in range(first, last):
            compute_column(row, plan, scratch, lines, x, columns)
    else:
        for i in range(lines.count):
            span = Span(first, 0, last - first, channels, PIXELS, 0)
            compute_span(row, plan, scratch, line_of(plan, lines, i), span, columns)


@subroutine
def compute_edge(row, plan, scratch, lines, first, last):
    """Compute outputs of lines whose windows have columns outside the images."""
    for x in range(first, last):
        column = x * plan.sw - plan.left
        tap, end = taps_between(column, plan.dw, plan.kw, 0, plan.w)
        low, high = taps_between(column, plan.dw, plan.kw, plan.low_x, plan.high_x)
        columns = Columns(tap, end - tap, high - low)
        compute_column(row, plan, scratch, lines, x, columns)


@subroutine
def inside(first, last, before, size, stride, extent):
    """From which output on, and before which, of those from `first` to before `last`, windows lie
    inside the images."""
    start = max(first, min(ceil_div(max(before, 0), stride), last))
    if size + before < extent:
        return start, start
    return start, max(start, min(last, (size + before - extent) // stride + 1))


@subroutine
def compute_lines(row, plan, scratch, lines, first, last):
    """Compute outputs of lines from `first` to before `last`."""
    extent = (plan.kw - 1) * plan.dw + 1
    start, stop = inside(first, last, plan.left, plan.w, plan.sw, extent)
    compute_edge(row, plan, scratch, lines, first, start)
    compute_inside(row, plan, scratch, lines, start, stop)
    compute_edge(row, plan, scratch, lines, stop, last)


def task(row, plan, images, out, residual, scratch, index):
    """Compute `task_rows` rows and `task_columns` columns of one plane of outputs.

    images, out : addresses of the first element; element strides of channels are 1, the others are
        the plan's, in bytes.  Both hold the same type, or averages of integers float64.
    residual : of an indexed maximum, bytes from the first output to the first of its places: int64,
        whose strides are the plan's `index_*`, in bytes, and for channels one element.
    scratch : a WINDOW, and from SAMPLES_OFFSET on SAMPLES_BYTES of outputs, and as many of places.

    Reads the taps that lie inside the images, and where the plan says `is_halved`, or tells
    `samples`, elements of their rows between them.  A place is counted from plan.place on, by
    plan.place_z, place_y and place_x.
    """
    across, down = ceil_div(plan.ow, plan.task_columns), ceil_div(plan.oh, plan.task_rows)
    part = index // across
    x = (index - part * across) * plan.task_columns
    plane = part // down
    y = (part - plane * down) * plan.task_rows
    n = plane // plan.od
    z = plane - n * plan.od
    depth = z * plan.sd - plan.front
    near, far = taps_between(depth, plan.dd, plan.kd, 0, plan.d)
    low, high = taps_between(depth, plan.dd, plan.kd, plan.low_z, plan.high_z)
    counted_planes = high - low
    depth += near * plan.dd
    image = images + n * plan.image_n + depth * plan.image_z
    target = out + n * plan.out_n + z * plan.out_z
    beside = out + residual + n * plan.index_n + z * plan.index_z
    end = min(y + plan.task_rows, plan.oh)
    extent = (plan.kh - 1) * plan.dh + 1
    start, stop = inside(y, end, plan.top, plan.h, plan.sh, extent)
    while y < end:
        count = stop - start if y == start and start < stop else 1
        top = y * plan.sh - plan.top
        above, below = taps_between(top, plan.dh, plan.kh, 0, plan.h)
        low, high = taps_between(top, plan.dh, plan.kh, plan.low_y, plan.high_y)
        top += above * plan.dh
        lines = Lines(
            image + top * plan.image_y,
            target + y * plan.out_y,
            beside + y * plan.index_y,
            plan.place + depth * plan.place_z + top * plan.place_y,
            count,
            far - near,
            below - above,
            counted_planes * (high - low),
        )
        compute_lines(row, plan, scratch, lines, x, min(x + plan.task_columns, plan.ow))
        y += count
