"""The vector vocabulary that kernels are written in: load, store, splat, fma, loops.

A tile function is ordinary Python over a vocabulary object `v`.  Called with `Vectors` it emits
LLVM vector IR: Python's own loops unroll, ``for i in v.loop(n)`` becomes a loop of the kernel.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from llvmlite import binding, ir
from numba.core import cgutils

from .._plan.registry import Row

WORD = ir.IntType(64)
binding.initialize_native_asmparser()  # for inline assembly


def element_type(dtype: str):
    """LLVM's type of a dtype that rows have."""
    floats = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
    return floats.get(dtype) or ir.IntType(int(dtype.lstrip("uint")))


def prefetch(builder, pointer, writes: bool) -> None:
    """Bring the cache line at a pointer near, for it will be read, or written, too."""
    byte, int32 = ir.IntType(8).as_pointer(), ir.IntType(32)
    function_type = ir.FunctionType(ir.VoidType(), [byte, int32, int32, int32])
    function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
    builder.call(function, [builder.bitcast(pointer, byte), int32(int(writes)), int32(3), int32(1)])


class Cell:
    """A value that changes inside loops; LLVM keeps it in a register."""

    def __init__(self, builder, value) -> None:
        self._builder = builder
        with builder.goto_entry_block():
            self._slot = builder.alloca(value.type)
        self.set(value)

    def get(self):
        return self._builder.load(self._slot)

    def set(self, value) -> None:
        self._builder.store(value, self._slot)


class Vectors:
    """Emit LLVM IR for vectors of one element type.

    Addresses are turned into pointers once, by `pointer`; all further addressing is by
    getelementptr from that base, in elements, which leaves x86's addressing modes to LLVM
    (sums of integers cost a register each).
    """

    def __init__(self, builder, row) -> None:
        self._builder = self.builder = builder
        self._element = element_type(row.dtype)
        self._vector = ir.VectorType(self._element, row.lanes)
        self._itemsize = row.itemsize
        self._lanes = row.lanes
        self._fma, self._integers = row.fma, row.integers
        self._whole = WHOLES.get(row.dtype)

    # Integers and control

    def word(self, value):
        return WORD(value) if isinstance(value, int) else value

    def add(self, a, b):
        return self._builder.add(self.word(a), self.word(b))

    def sub(self, a, b):
        return self._builder.sub(self.word(a), self.word(b))

    def mul(self, a, b):
        return self._builder.mul(self.word(a), self.word(b))

    def remainder(self, a, b):
        """`a` modulo `b`, both not negative."""
        return self._builder.urem(self.word(a), self.word(b))

    def quotient_of(self, a, b):
        """How often `b` goes into `a`, which is not negative."""
        return self._builder.udiv(self.word(a), self.word(b))

    def minimum(self, a, b):
        return self._builder.select(self.less(a, b), self.word(a), self.word(b))

    def floor(self, a, step: int):
        """`a`, not negative, rounded down to a multiple of `step`, a power of two."""
        return self._builder.and_(a, WORD(-step))

    def maximum(self, a, b):
        return self._builder.select(self.less(a, b), self.word(b), self.word(a))

    def less(self, a, b):
        return self._builder.icmp_signed("<", self.word(a), self.word(b))

    def below(self, a, b):
        """Whether `a` is not negative and less than `b`, which is not negative."""
        return self._builder.icmp_unsigned("<", self.word(a), self.word(b))

    def equal(self, a, b):
        return self._builder.icmp_signed("==", self.word(a), self.word(b))

    def unequal(self, a, b):
        return self._builder.icmp_signed("!=", self.word(a), self.word(b))

    def cell(self, value) -> Cell:
        return Cell(self._builder, value)

    def loop(self, stop, start=0, step=1, *, rolled=False):
        """Yield the index of a kernel's loop, once: the body emitted meanwhile is the loop's.

        One that is `rolled` LLVM does not unroll: a few iterations are not worth the addresses that
        it would compute before them.
        """
        b = self._builder
        start, stop = self.word(start), self.word(stop)
        before = b.block
        body, after = b.append_basic_block("loop"), b.append_basic_block("end")
        b.cbranch(self.less(self.add(start, step - 1), stop), body, after)
        b.position_at_end(body)
        index = b.phi(WORD)
        index.add_incoming(start, before)
        yield index
        following = self.add(index, step)
        index.add_incoming(following, b.block)
        again = b.cbranch(self.less(self.add(following, step - 1), stop), body, after)
        if rolled:
            again.set_metadata("llvm.loop", self._rolled())
        b.position_at_end(after)

    def _rolled(self):
        """What tells LLVM not to unroll a loop: a node of its own, which names itself first."""
        module = self._builder.module
        told = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
        node = module.add_metadata(
            [ir.MetaDataString(module, f"loop {len(module.metadata)}"), told]
        )
        node.operands = node, told
        return node

    def when(self, condition):
        """Yield once: the code emitted meanwhile runs where `condition` holds."""
        with self._builder.if_then(condition):
            yield

    def choose(self, condition):
        """Yield True, then False: the code emitted in between is either branch."""
        with self._builder.if_else(condition) as (then, otherwise):
            with then:
                yield True
            with otherwise:
                yield False

    # Memory

    def pointer(self, address):
        return self._builder.inttoptr(address, self._element.as_pointer())

    def load_word(self, table, index):
        """The word at `index` of `table`, an address."""
        b = self._builder
        words = b.inttoptr(table, WORD.as_pointer())
        return b.load(b.gep(words, [self.word(index)]))

    def load_pointer(self, table, index, offset):
        """The pointer that stands at word `index` of `table` (an address), plus `offset` bytes."""
        return self.pointer(self.add(self.load_word(table, index), offset))

    def offset(self, pointer, size):
        """`pointer` plus `size` bytes."""
        b = self._builder
        raw = b.gep(b.bitcast(pointer, ir.IntType(8).as_pointer()), [self.word(size)])
        return b.bitcast(raw, pointer.type)

    def at(self, pointer, index):
        return self._builder.gep(pointer, [self.word(index)])

    def _at_vector(self, pointer, index):
        return self._builder.bitcast(self.at(pointer, index), self._vector.as_pointer())

    def load(self, pointer, index=0, *, aligned=False):
        align = self._itemsize * (self._lanes if aligned else 1)
        return self._builder.load(self._at_vector(pointer, index), align=align)

    def store(self, value, pointer, index=0):
        self._builder.store(value, self._at_vector(pointer, index), align=self._itemsize)

    def prefetch(self, pointer, *, writes=True):
        """Bring the cache line at `pointer` near."""
        prefetch(self._builder, pointer, writes)

    def copy(self, source, target, index):
        """Copy the element at `source` plus `index` to `target` plus `index`."""
        b = self._builder
        element = b.load(self.at(source, index), align=self._itemsize)
        b.store(element, self.at(target, index), align=self._itemsize)

    def load_order(self, address, k):
        """A vector of lanes, as `permute` takes it: the one at `address`, aligned, plus `k`."""
        b, words = self._builder, self._itemsize // 4
        vector = ir.VectorType(ir.IntType(32), self._lanes * words)
        order = b.load(b.inttoptr(address, vector.as_pointer()), align=4 * vector.count)
        moved = b.trunc(self.mul(k, words), ir.IntType(32))
        return b.add(order, self.splat_value(moved, vector.count))

    def permute(self, value, order):
        """The lanes of `value` that `order` names, each as its 4-byte words."""
        b = self._builder
        words = ir.VectorType(ir.FloatType(), order.type.count)
        name = {8: "llvm.x86.avx2.permps", 16: "llvm.x86.avx512.permvar.sf.512"}[words.count]
        function_type = ir.FunctionType(words, [words, order.type])
        function = cgutils.get_or_insert_function(b.module, function_type, name)
        return b.bitcast(b.call(function, [b.bitcast(value, words), order]), value.type)

    def shift(self, a, b, count: int):
        """`a` without its first `count` elements, and as many of `b`."""
        return self._shuffle(a, list(range(count, count + self._lanes)), b)

    def load_every(self, pointer, index, step: int):
        """A vector of elements, each `step` (a power of two, or odd) from the other, the first at
        `pointer` plus `index`: of as many vectors, all elements of which are read."""
        lanes = self._lanes
        loaded = [self.load(pointer, self.add(index, j * lanes)) for j in range(step)]
        if step % 2 == 0:
            while len(loaded) > 1:
                pairs = zip(loaded[::2], loaded[1::2], strict=True)
                loaded = [self._shuffle(a, list(range(0, 2 * lanes, 2)), b) for a, b in pairs]
            return loaded[0]
        # No two of the elements are in the same lane: they are put together, and then in order.
        return self._shuffle(
            self._from_each(loaded, {i * step % lanes: i * step // lanes for i in range(lanes)}),
            [i * step % lanes for i in range(lanes)],
        )

    def interleaved(self, vectors):
        """As many vectors, in which the elements lie side by side."""
        lanes, n = self._lanes, len(vectors)
        if n > 2 and n % 2 == 0:
            halves = self.interleaved(vectors[::2]), self.interleaved(vectors[1::2])
            return [v for pair in zip(*halves, strict=True) for v in self.interleaved(pair)]
        if n == 2:
            order = [lane // 2 + lanes * (lane % 2) for lane in range(2 * lanes)]
            return [
                self._shuffle(vectors[0], o, vectors[1]) for o in (order[:lanes], order[lanes:])
            ]
        # First each element is put in the lane where it will be.
        inverse = pow(n, -1, lanes)
        spread = [
            self._shuffle(vector, [(lane - f) * inverse % lanes for lane in range(lanes)])
            for f, vector in enumerate(vectors)
        ]
        return [
            self._from_each(spread, {lane: (j * lanes + lane) % n for lane in range(lanes)})
            for j in range(n)
        ]

    def _from_each(self, vectors, chosen):
        """Each lane of the vector that is `chosen` for it."""
        lanes, result = range(self._lanes), vectors[0]
        for j, vector in enumerate(vectors[1:], start=1):
            mask = [lane + self._lanes * (chosen[lane] == j) for lane in lanes]
            result = self._shuffle(result, mask, vector)
        return result

    def store_pieces(self, vectors, pointers):
        """Store to `lanes` pointers the columns of a number of vectors that divides the lanes."""
        b = self._builder
        piece = len(vectors)
        some = ir.VectorType(self._element, piece).as_pointer()
        for i, column in enumerate(self._exchanged(list(vectors))):
            for j in range(0, self._lanes, piece):
                place = b.bitcast(pointers[i + j], some)
                b.store(
                    self._shuffle(column, list(range(j, j + piece))), place, align=self._itemsize
                )

    def every_second(self, a, b, first: int):
        """Every second element of `a` and `b`, from `first` on, in an order of halves of vectors
        that costs least: `in_order` restores it."""
        lanes, half = self._lanes, self._half()
        places = [
            start + side * lanes + first + 2 * i
            for start in range(0, lanes, half)
            for side in (0, 1)
            for i in range(half // 2)
        ]
        return self._shuffle(a, places, b)

    def in_order(self, value):
        """What was made of `every_second`, its elements in order."""
        lanes, half = self._lanes, self._half()
        held = [
            (side * lanes + start) // 2 + i
            for start in range(0, lanes, half)
            for side in (0, 1)
            for i in range(half // 2)
        ]
        if held == list(range(lanes)):
            return value
        return self._shuffle(value, [held.index(lane) for lane in range(lanes)])

    def _half(self) -> int:
        """Elements within which one instruction takes any of two vectors: of AVX2, 16 bytes."""
        return 16 // self._itemsize if self._lanes * self._itemsize == 32 else self._lanes

    def load_repeated(self, pointer, index, count: int):
        """The `count` elements at `pointer` plus `index`, as often as they go into a vector."""
        b = self._builder
        some = ir.VectorType(self._element, count)
        at = b.bitcast(self.at(pointer, index), some.as_pointer())
        loaded = b.load(at, align=self._itemsize)
        return self._shuffle(loaded, [lane % count for lane in range(self._lanes)])

    def _shuffle(self, vector, lanes, other=None):
        """Lanes of `vector`, and behind its last one of `other`."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
        other = ir.Constant(vector.type, ir.Undefined) if other is None else other
        return self._builder.shuffle_vector(vector, other, mask)

    def transposed(self, rows):
        """The columns of up to `lanes` vectors: lane i of all, in the i-th's first lanes."""
        missing = self._lanes - len(rows)
        return self._exchanged([*rows, *[ir.Constant(self._vector, ir.Undefined)] * missing])

    def load_transposed(self, pointers):
        """The columns of the vectors at `lanes` pointers: half the shuffles or fewer, for pieces
        of 16 bytes are put in their places as they are loaded."""
        piece = 16 // self._itemsize
        columns = []
        for first in range(0, self._lanes, piece):
            rows = [self._load_pieces(pointers[i::piece], first, piece) for i in range(piece)]
            columns += self._exchanged(rows)
        return columns

    def _load_pieces(self, pointers, index, piece: int):
        """From each pointer plus `index` a `piece` of elements, one behind the other."""
        b = self._builder
        some = ir.VectorType(self._element, piece).as_pointer()
        pieces = [
            b.load(b.bitcast(self.at(pointer, index), some), align=self._itemsize)
            for pointer in pointers
        ]
        while len(pieces) > 1:
            pieces = [
                self._shuffle(a, list(range(2 * a.type.count)), b)
                for a, b in zip(pieces[::2], pieces[1::2], strict=True)
            ]
        return pieces[0]

    def _exchanged(self, rows):
        """A block transposed, or those of as many lanes as there are rows, side by side."""
        step, lanes = 1, range(self._lanes)
        while step < len(rows):
            # Of two rows `step` apart: every other `step` lanes of both, then those in between.
            even = [lane if not lane & step else self._lanes + lane - step for lane in lanes]
            odd = [lane + step if not lane & step else self._lanes + lane for lane in lanes]
            for i in (i for i in range(len(rows)) if not i & step):
                a, b = rows[i], rows[i + step]
                rows[i], rows[i + step] = (self._shuffle(a, mask, b) for mask in (even, odd))
            step *= 2
        return rows

    def load_first(self, count, pointer, index=0):
        """A vector of the first `count` elements; the others are zero and not read."""
        target, zeros = self._at_vector(pointer, index), ir.Constant(self._vector, None)
        return self._masked("load", target, self._below(count), zeros)

    def load_between(self, first, last, pointer, index=0):
        """A vector of the elements from `first` to before `last`; the others are zero and not read.

        Both may lie outside the vector.
        """
        mask = self._builder.and_(
            self._builder.not_(self._below(self.minimum(first, self._lanes))),
            self._below(self.minimum(self.maximum(last, 0), self._lanes)),
        )
        target, zeros = self._at_vector(pointer, index), ir.Constant(self._vector, None)
        return self._masked("load", target, mask, zeros)

    def store_first(self, count, value, pointer, index=0):
        """Store the first `count` elements."""
        self._masked("store", self._at_vector(pointer, index), self._below(count), value)

    def _below(self, count, lanes: int = 0):
        """The mask of the first `count` lanes, of as many as a vector has or as are given."""
        places = self._places(lanes or self._lanes)
        limit = self._builder.trunc(self.word(count), places.type.element)
        return self._builder.icmp_signed("<", places, self.splat_value(limit, places.type.count))

    def _places(self, lanes: int):
        """The numbers of lanes."""
        return ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(lanes)))

    def _masked(self, verb, target, mask, value):
        """Load or store the elements of a vector like `value` that `mask` names."""
        align = ir.IntType(32)(self._itemsize)
        kind = value.type
        if verb == "load":
            return self._llvm("masked.load", kind, ".p0", kind, target, align, mask, value)
        return self._llvm("masked.store", kind, ".p0", ir.VoidType(), value, target, align, mask)

    def _llvm(self, name, kind, suffix, result, *args):
        """Call the LLVM intrinsic `name` for vectors of a kind."""
        name = f"llvm.{name}.v{kind.count}{kind.element.intrinsic_name}{suffix}"
        module = self._builder.module
        function = module.globals.get(name)
        if function is None:
            function_type = ir.FunctionType(result, [arg.type for arg in args])
            function = ir.Function(module, function_type, name)
        return self._builder.call(function, args)

    def fence(self):
        """Keep LLVM from moving loads across: what is loaded twice is not kept, and spilt, instead.

        Nothing is emitted.
        """
        self._builder.fence("acq_rel", targetscope="singlethread")

    def pinned(self, value):
        """The value, computed before what follows a fence: LLVM may put off products to the end of
        a tile, and spill all their inputs.

        Nothing is emitted.
        """
        kind = ir.FunctionType(value.type, [value.type])
        return self._builder.asm(kind, "", "=v,0", [value], side_effect=True)  # x86's vectors

    def hidden(self, pointer):
        """The pointer, of whose origin LLVM knows nothing: it would compute what all loops begin
        with before the first.

        Nothing is emitted.
        """
        kind = ir.FunctionType(pointer.type, [pointer.type])
        return self._builder.asm(kind, "", "=r,0", [pointer], side_effect=False)

    # Arithmetic

    def splat_value(self, scalar, width=None):
        b = self._builder
        vector = ir.VectorType(scalar.type, width or self._lanes)
        one = b.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
        return b.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)

    def splat(self, pointer, index=0):
        """The element at `pointer` plus `index`, in every lane."""
        return self.splat_value(self._builder.load(self.at(pointer, index), align=self._itemsize))

    def keep(self, lanes: list[bool], value):
        """`value` in the lanes that are True, 0 in the others."""
        mask = ir.Constant(ir.VectorType(ir.IntType(1), self._lanes), [int(lane) for lane in lanes])
        return self._builder.select(mask, value, ir.Constant(self._vector, None))

    def fill_behind(self, count, value, other: float):
        """`other` in the lanes behind the first `count`."""
        return self._builder.select(self._below(count), value, self.constant(other))

    def rotated(self, value, count: int):
        """The lanes of `value`, from number `count` on, and then those before it."""
        return self._shuffle(value, [(lane + count) % self._lanes for lane in range(self._lanes)])

    def add_neighbours(self, value, count: int):
        """The sums of each `count` neighbouring lanes, in the first of them."""
        while count > 1:
            count //= 2
            value = self._builder.fadd(value, self.rotated(value, count))
        return value

    def store_lanes(self, value, pointer, step: int, count):
        """Store every `step`-th lane, `count` of them at most, side by side."""
        b = self._builder
        for i in range(self._lanes // step):
            for _ in self.when(self.less(i, count)):
                element = b.extract_element(value, ir.IntType(32)(i * step))
                b.store(element, self.at(pointer, i), align=self._itemsize)

    def constant(self, value: float):
        exact = int(value) if self._integers else value
        return ir.Constant(self._vector, [exact] * self._lanes)

    def select(self, condition, a, b):
        return self._builder.select(condition, a, b)

    def sum(self, a, b):
        return self._builder.add(a, b) if self._integers else self._builder.fadd(a, b)

    def difference(self, a, b):
        return self._builder.sub(a, b) if self._integers else self._builder.fsub(a, b)

    def product(self, a, b):
        return self._builder.fmul(a, b)

    def high_product(self, a, b):
        """The upper halves of products of unsigned integers."""
        product = self._builder.mul(self.wide(a), self.wide(b))
        half = ir.Constant(product.type, [8 * self._itemsize] * self._lanes)
        return self._builder.trunc(self._builder.lshr(product, half), self._vector)

    def quotient(self, a, b):
        return self._builder.fdiv(a, b)

    def is_less(self, a, b):
        """Which lanes of `a` are less than those of `b`; NaN is not."""
        return self._builder.fcmp_ordered("<", a, b)

    def minimum_of(self, a, b):
        """`b` where it is less than `a`, else `a`: NaN in `a` stays."""
        return self.select(self.is_less(b, a), b, a)

    def maximum_of(self, a, b):
        """`b` where it is more than `a`, else `a`: NaN in `b` is passed over."""
        return self.select(self.is_less(a, b), b, a)

    def absolute(self, value):
        return self._floats(self._builder.and_(self._bits(value), self._every(~self._sign)))

    def negative(self, value):
        return self._floats(self._builder.xor(self._bits(value), self._every(self._sign)))

    def with_sign(self, value, other):
        """`value`, whose signs are positive, with those of `other`."""
        sign = self._builder.and_(self._bits(other), self._every(self._sign))
        return self._floats(self._builder.or_(self._bits(value), sign))

    def nearest_whole(self, a, b):
        """The whole number nearest to a * b, below 2**21: as an exponent for `power_of_two`, and as
        a float."""
        offset = self.constant(self._whole)
        moved = self.fma(a, b, offset)
        exponent = self._builder.sub(self._bits(moved), self._bits(offset))
        return exponent, self.difference(moved, offset)

    def power_of_two(self, exponent):
        """2**exponent, which must be a float that is not denormal."""
        bias, fraction = self._format
        biased = self._builder.add(exponent, self._every(bias))
        return self._floats(self._builder.shl(biased, self._every(fraction)))

    def halves_of_power(self, exponent):
        """Two such floats whose product is 2**exponent, which may be beyond them by as much."""
        b, (bias, fraction) = self._builder, self._format
        both = b.add(exponent, self._every(2 * bias))
        half = b.lshr(both, self._every(1))
        parts = half, b.sub(both, half)
        return [self._floats(b.shl(part, self._every(fraction))) for part in parts]

    @property
    def _sign(self) -> int:
        """The bit of a float's sign."""
        return 1 << (8 * self._itemsize - 1)

    @property
    def _format(self) -> tuple[int, int]:
        """What is added to an exponent in a float's bits, and the bits of the fraction."""
        return {4: (127, 23), 8: (1023, 52)}[self._itemsize]

    def _every(self, word: int):
        """An integer of an element's size in every lane."""
        bits = 8 * self._itemsize
        return ir.Constant(
            ir.VectorType(ir.IntType(bits), self._lanes), [word % (1 << bits)] * self._lanes
        )

    def _bits(self, value):
        kind = ir.VectorType(ir.IntType(8 * self._itemsize), self._lanes)
        return self._builder.bitcast(value, kind)

    def _floats(self, bits):
        return self._builder.bitcast(bits, self._vector)

    def splat_double(self, word):
        """The float64 of these bits, an int64, as an element in every lane."""
        b = self._builder
        value = b.bitcast(word, ir.DoubleType())
        if self._element != ir.DoubleType():
            value = b.fptrunc(value, self._element)
        return self.splat_value(value)

    def fma(self, a, b, c):
        """a * b + c: rounded once where the level has FMA, else twice; of integers the low bits."""
        if self._integers:
            return self._builder.add(self._builder.mul(a, b), c)
        if self._fma:
            return self._llvm("fma", self._vector, "", self._vector, a, b, c)
        return self._builder.fadd(self._builder.fmul(a, b), c)

    def toward_zero(self, value):
        """The whole numbers that are left without what is behind the point."""
        return self._llvm("trunc", value.type, "", value.type, value)

    def nearest_even(self, value):
        """The nearest whole numbers; of two that are as near, the even one."""
        return self._llvm("rint", value.type, "", value.type, value)

    def whole_bits(self, value):
        """Integers in whose low bits is the whole number nearest to a float32 below 2**22, of two
        that are as near the even one."""
        return self._bits(self.sum(value, self.constant(self._whole)))

    def wide(self, value):
        """Unsigned integers as those of twice their size."""
        kind = ir.IntType(2 * value.type.element.width)
        return self._builder.zext(value, ir.VectorType(kind, value.type.count))

    def side_by_side(self, a, b):
        """The lanes of `a`, and behind them those of `b`."""
        return self._shuffle(a, list(range(2 * a.type.count)), b)

    def as_integers(self, value):
        """Whole numbers as the integers of their size, which the vector holds as if they were
        floats."""
        return self._builder.bitcast(to_integers(self._builder, value), self._vector)

    def clamp(self, value, lower, upper):
        """`value` between `lower` and `upper`; NaN stays NaN, and -0.0 stays -0.0."""
        b = self._builder
        value = b.select(b.fcmp_ordered("<", value, lower), lower, value)
        return b.select(b.fcmp_ordered(">", value, upper), upper, value)


# Added to a float of less than 2**22, or 2**51, these leave a whole number in the low bits.
WHOLES = {"float32": 1.5 * 2.0**23, "float64": 1.5 * 2.0**52}


def to_integers(builder, value):
    """A vector of whole numbers, float32 below 2**24 or float64 below 2**51, as integers of their
    size."""
    vector = ir.VectorType(WORD, value.type.count)
    if value.type.element == ir.FloatType():
        return builder.fptosi(value, ir.VectorType(ir.IntType(32), vector.count))
    offset = ir.Constant(value.type, [WHOLES["float64"]] * vector.count)
    bits = builder.bitcast(builder.fadd(value, offset), vector)
    return builder.sub(bits, builder.bitcast(offset, vector))


# The tiles that a row's task calls, and the rows whose they are, by their names in the module.
_tiles: dict[Row, dict[str, tuple[Callable, Row]]] = {}


def tile_function(module, row, tile, of=None):
    """The function ``tile(v, row, *words)`` of int64 values that a row's task calls, which
    `define_tiles` defines; or with `of` that of another row, which a module has once for all rows
    that call it."""
    own = of or row
    name = f"{own.level}_{own.name}_{tile.__name__}"
    _tiles.setdefault(row, {})[name] = tile, own
    return _function(module, name, _n_words(tile))


def _n_words(tile) -> int:
    return len(inspect.signature(tile).parameters) - 2


def define_tiles(module, row):
    """Define the tiles that a row's compiled task calls, in the module of its kernel."""
    for name, (tile, own) in _tiles.get(row, {}).items():
        function = _function(module, name, _n_words(tile))
        if not function.is_declaration:  # a shared one, that another row has called
            continue
        function.linkage = "linkonce_odr"
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        tile(Vectors(builder, own), own, *function.args)
        builder.ret_void()


def _function(module, name, n_args):
    function = module.globals.get(name)
    if function is None:
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [WORD] * n_args), name)
        function.attributes.add("noinline")
    return function
