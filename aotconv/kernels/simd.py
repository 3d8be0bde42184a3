"""The vector vocabulary that kernels are written in: load, store, splat, fma, loops.

A tile function is ordinary Python over a vocabulary object `v`.  Called with `Vectors` it emits
LLVM vector IR: Python's own loops unroll, ``for i in v.loop(n)`` becomes a loop of the kernel.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

WORD = ir.IntType(64)


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
        self._builder = builder
        self._element = ir.FloatType() if row.dtype == "float32" else ir.DoubleType()
        self._vector = ir.VectorType(self._element, row.lanes)
        self._itemsize = row.itemsize
        self._lanes = row.lanes
        self._fma = row.fma

    # Integers and control

    def word(self, value):
        return WORD(value) if isinstance(value, int) else value

    def add(self, a, b):
        return self._builder.add(self.word(a), self.word(b))

    def mul(self, a, b):
        return self._builder.mul(self.word(a), self.word(b))

    def remainder(self, a, b):
        """`a` modulo `b`, both not negative."""
        return self._builder.urem(self.word(a), self.word(b))

    def minimum(self, a, b):
        return self._builder.select(self.less(a, b), self.word(a), self.word(b))

    def floor(self, a, step: int):
        """`a`, not negative, rounded down to a multiple of `step`, a power of two."""
        return self._builder.and_(a, WORD(-step))

    def maximum(self, a, b):
        return self._builder.select(self.less(a, b), self.word(b), self.word(a))

    def less(self, a, b):
        return self._builder.icmp_signed("<", self.word(a), self.word(b))

    def equal(self, a, b):
        return self._builder.icmp_signed("==", self.word(a), self.word(b))

    def unequal(self, a, b):
        return self._builder.icmp_signed("!=", self.word(a), self.word(b))

    def cell(self, value) -> Cell:
        return Cell(self._builder, value)

    def loop(self, stop, start=0, step=1):
        """Yield the index of a kernel's loop, once: the body emitted meanwhile is the loop's."""
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
        b.cbranch(self.less(self.add(following, step - 1), stop), body, after)
        b.position_at_end(after)

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

    def prefetch(self, pointer):
        """Bring the cache line at `pointer` near, to be written."""
        b = self._builder
        raw = b.bitcast(pointer, ir.IntType(8).as_pointer())
        int32 = ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [raw.type, int32, int32, int32])
        function = cgutils.get_or_insert_function(b.module, function_type, "llvm.prefetch.p0")
        b.call(function, [raw, int32(1), int32(3), int32(1)])

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
        return self._masked("load", pointer, index, count, ir.Constant(self._vector, None))

    def store_first(self, count, value, pointer, index=0):
        """Store the first `count` elements."""
        self._masked("store", pointer, index, count, value)

    def _masked(self, verb, pointer, index, count, value):
        b = self._builder
        target = self._at_vector(pointer, index)
        lane_type = ir.IntType(32)
        lanes = ir.Constant(ir.VectorType(lane_type, self._lanes), list(range(self._lanes)))
        limit = self._splat_value(b.trunc(self.word(count), lane_type))
        mask = b.icmp_signed("<", lanes, limit)
        align = ir.IntType(32)(self._itemsize)
        if verb == "load":
            return self._llvm("masked.load", ".p0", self._vector, target, align, mask, value)
        return self._llvm("masked.store", ".p0", ir.VoidType(), value, target, align, mask)

    def _llvm(self, name, suffix, result, *args):
        """Call the LLVM intrinsic `name` of this vector type."""
        name = f"llvm.{name}.v{self._lanes}f{8 * self._itemsize}{suffix}"
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

    # Arithmetic

    def _splat_value(self, scalar):
        b = self._builder
        vector = ir.VectorType(scalar.type, self._lanes)
        one = b.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self._lanes), None)
        return b.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)

    def splat(self, pointer, index=0):
        """The element at `pointer` plus `index`, in every lane."""
        return self._splat_value(self._builder.load(self.at(pointer, index), align=self._itemsize))

    def keep(self, lanes: list[bool], value):
        """`value` in the lanes that are True, 0 in the others."""
        mask = ir.Constant(ir.VectorType(ir.IntType(1), self._lanes), [int(lane) for lane in lanes])
        return self._builder.select(mask, value, ir.Constant(self._vector, None))

    def add_neighbours(self, value, count: int):
        """The sums of each `count` neighbouring lanes, in the first of them."""
        while count > 1:
            count //= 2
            lanes = [(lane + count) % self._lanes for lane in range(self._lanes)]
            value = self._builder.fadd(value, self._shuffle(value, lanes))
        return value

    def store_lanes(self, value, pointer, step: int, count):
        """Store every `step`-th lane, `count` of them at most, side by side."""
        b = self._builder
        for i in range(self._lanes // step):
            for _ in self.when(self.less(i, count)):
                element = b.extract_element(value, ir.IntType(32)(i * step))
                b.store(element, self.at(pointer, i), align=self._itemsize)

    def spread(self, value, count: int):
        """The first elements, each in `count` neighbouring lanes."""
        return self._shuffle(value, [lane // count for lane in range(self._lanes)])

    def constant(self, value: float):
        return ir.Constant(self._vector, [value] * self._lanes)

    def select(self, condition, a, b):
        return self._builder.select(condition, a, b)

    def sum(self, a, b):
        return self._builder.fadd(a, b)

    def fma(self, a, b, c):
        """a * b + c: rounded once where the level has FMA, else twice."""
        if self._fma:
            return self._llvm("fma", "", self._vector, a, b, c)
        return self._builder.fadd(self._builder.fmul(a, b), c)

    def clamp(self, value, lower, upper):
        """`value` between `lower` and `upper`; NaN stays NaN, and -0.0 stays -0.0."""
        b = self._builder
        value = b.select(b.fcmp_ordered("<", value, lower), lower, value)
        return b.select(b.fcmp_ordered(">", value, upper), upper, value)


def epilogue(v, residual, activation):
    """Yield ``finish(total, out, index, count)`` twice, for the code that stores a tile's sums:
    emitted with a residual and without, it is one branch a tile.

    residual : bytes from an output element to its residual; 0: there is none.
    activation : 0 none, 1 relu, 2 relu6.

    `finish` gives what is stored at `out` plus `index`: `total`, plus its residual, clamped.  With
    `count` it reads as many elements of the residual, else a vector of them; with `split`, each is
    for so many lanes.
    """
    lower = v.select(v.less(0, activation), v.constant(0.0), v.constant(float("-inf")))
    upper = v.select(v.less(1, activation), v.constant(6.0), v.constant(float("inf")))
    for without in v.choose(v.equal(residual, 0)):

        def finish(total, out, index=0, count=None, split=1, without=without):
            if not without:
                at = v.offset(out, residual)
                more = v.load(at, index) if count is None else v.load_first(count, at, index)
                total = v.sum(total, v.spread(more, split) if split > 1 else more)
            return v.clamp(total, lower, upper)

        yield finish


def emit_function(builder, row, tile, args):
    """Emit `tile(v, *args)` as a function of its own and call it with the int64 values `args`."""
    module = builder.module
    function_type = ir.FunctionType(ir.VoidType(), [WORD] * len(args))
    function = ir.Function(module, function_type, module.get_unique_name(f"{row.name}_tile"))
    function.linkage = "internal"
    function.attributes.add("noinline")
    inner = ir.IRBuilder(function.append_basic_block("entry"))
    tile(Vectors(inner, row), row, *function.args)
    inner.ret_void()
    builder.call(function, args)
