"""Elements of all types that arrays may hold, converted from and to those that kernels compute in.

Vectors of floats are loaded from elements, and stored as such, in LLVM IR.  Floats are rounded to
nearest even.  Floats stored as integers must be whole numbers below 2**24 (float32) or 2**51
(float64), of either sign; of these the low bits are stored, as NumPy wraps integers.  Those that
are clipped may be any: they are rounded to nearest even, and NaN is 0.  Those that are truncated
or mirrored (see `_plan.elements`) are what C makes of a double.

Vectors of int32 and int64 are those of integers alone, of whose bits the low ones are loaded and
stored.  int64 may be clipped.
"""

from __future__ import annotations

from llvmlite import ir

from .._plan.elements import CLIPPED, ELEMENTS, OF_DOUBLES, STORED, converts
from .._plan.registry import LEVELS
from .simd import WHOLES, WORD, Vectors, element_type, to_integers

INT16, INT32 = (ir.IntType(bits) for bits in (16, 32))
FLOAT, DOUBLE = ir.FloatType(), ir.DoubleType()
OWN = {"float32": FLOAT, "float64": DOUBLE}


class Elements:
    """Emit the code of one row: vectors of its dtype, from and to elements of any type."""

    def __init__(self, v, row) -> None:
        self._v, self._b = v, v.builder
        self._own = element_type(row.dtype)
        self._integers = row.integers
        self._has_halves = "f16c" in LEVELS[row.level].features

    def load(self, name: str, address, lanes: int):
        """A vector of so many elements of a type, from an address of any alignment."""
        if name in OWN:
            return self._float(self._raw(OWN[name], address, lanes), lanes)
        kind, bits = name.rstrip("0123456789"), int(name.lstrip("abcdefghijklmnopqrstuvwxyz"))
        if name == "float16" and self._has_halves:
            half = self._raw(ir.HalfType(), address, lanes)
            return self._float(self._b.fpext(half, _vector(FLOAT, lanes)), lanes)
        raw = self._raw(ir.IntType(bits), address, lanes)
        if kind in ("float", "bfloat"):
            return self._float(getattr(self, f"_from_{name}")(raw, lanes), lanes)
        return self._from_integer(raw, bits, kind == "int", lanes)

    def store(self, name: str, value, address, lanes: int) -> None:
        """Store a vector as so many elements of a type."""
        b = self._b
        if name in OWN:
            value = self._converted(value, OWN[name], lanes)
        elif name == "float16" and self._has_halves:
            single = self._converted(value, FLOAT, lanes)
            value = b.fptrunc(single, _vector(ir.HalfType(), lanes))
        elif name in ("float16", "bfloat16"):
            single = self._converted(value, FLOAT, lanes)
            value = getattr(self, f"_to_{name}")(b.bitcast(single, _vector(INT32, lanes)), lanes)
        elif self._integers:
            value = self._clipped_word(value, name, lanes) if name in CLIPPED.values() else value
            value = self._resized(value, _bits(name), lanes)
        elif name in OF_DOUBLES:
            how, _, kind = name.partition("_")
            value = getattr(self, f"_{how}_double")(value, kind, lanes)
        elif name in CLIPPED.values():
            value = self._to_integer(self._clipped(value, name, lanes), _bits(name), lanes)
        else:
            value = self._to_integer(value, _bits(name), lanes)
        b.store(value, b.inttoptr(address, value.type.as_pointer()), align=1)

    def widened(self, name: str, halves):
        """A vector of halves, of the type HalfType whatever they are, as floats."""
        if name == "float16":
            return self._b.fpext(halves, _vector(FLOAT, halves.type.count))
        bits = self._b.bitcast(halves, _vector(INT16, halves.type.count))
        return self._from_bfloat16(bits, halves.type.count)

    def rounded(self, name: str, value):
        """The other way."""
        kind = _vector(ir.HalfType(), value.type.count)
        if name == "float16":
            return self._b.fptrunc(value, kind)
        bits = self._b.bitcast(value, _vector(INT32, value.type.count))
        return self._b.bitcast(self._to_bfloat16(bits, value.type.count), kind)

    def _raw(self, kind, address, lanes: int):
        pointer = self._b.inttoptr(address, _vector(kind, lanes).as_pointer())
        return self._b.load(pointer, align=1)

    def _float(self, value, lanes: int):
        return self._converted(value, self._own, lanes)

    def _converted(self, value, kind, lanes: int):
        if value.type.element == kind:
            return value
        widen = kind == DOUBLE
        return (self._b.fpext if widen else self._b.fptrunc)(value, _vector(kind, lanes))

    def _from_integer(self, raw, bits: int, signed: bool, lanes: int):
        b = self._b
        if self._integers:
            return self._resized(raw, self._own.width, lanes, signed)
        if bits < 32:
            raw = (b.sext if signed else b.zext)(raw, _vector(INT32, lanes))
            signed = True
        return (b.sitofp if signed else b.uitofp)(raw, _vector(self._own, lanes))

    def _to_integer(self, value, bits: int, lanes: int):
        return self._resized(to_integers(self._b, value), bits, lanes)

    def _resized(self, integers, bits: int, lanes: int, signed: bool = True):
        """The low bits of integers, or integers with more above them."""
        b, have, target = self._b, integers.type.element.width, _vector(ir.IntType(bits), lanes)
        if have == bits:
            return integers
        return (b.trunc if bits < have else b.sext if signed else b.zext)(integers, target)

    def _clipped_word(self, value, name: str, lanes: int):
        """int64 between the ends of a type of integers, as far as it has them itself."""
        b, (low, high) = self._b, _ends(name)
        for compare, end in (("<", max(low, -1 << 63)), (">", min(high, (1 << 63) - 1))):
            limit = _words(end, lanes)
            value = b.select(b.icmp_signed(compare, value, limit), limit, value)
        return value

    def _clipped(self, value, name: str, lanes: int):
        """Whole numbers between the ends of a type of integers."""
        b, bits = self._b, _bits(name)
        low, high = _ends(name)
        if bits == 32:  # whose ends are no float32
            value = self._converted(value, DOUBLE, lanes)
        low, high, zero = (ir.Constant(value.type, [float(end)] * lanes) for end in (low, high, 0))
        value = b.select(b.fcmp_unordered("uno", value, value), zero, value)
        value = b.select(b.fcmp_ordered("<", value, low), low, value)
        value = b.select(b.fcmp_ordered(">", value, high), high, value)
        if value.type.element == FLOAT:  # `to_integers` rounds the others
            offset = ir.Constant(value.type, [WHOLES["float32"]] * lanes)
            value = b.fsub(b.fadd(value, offset), offset)
        return value

    def _truncated_double(self, value, kind: str, lanes: int):
        """What C makes of float64: the low bits of an int, of a larger type those of an int64; of a
        uint64 the upper half is the lower one with another highest bit."""
        b, bits = self._b, _bits(kind)
        if kind == "uint64":
            middle = ir.Constant(value.type, [2.0**63] * lanes)
            beyond = b.fcmp_ordered(">=", value, middle)
            low = b.fptosi(b.select(beyond, b.fsub(value, middle), value), _vector(WORD, lanes))
            return b.select(beyond, b.xor(low, _words(1 << 63, lanes)), low)
        through = INT32 if bits < 32 or kind == "int32" else WORD
        low = b.fptosi(value, _vector(through, lanes))
        return low if bits == through.width else b.trunc(low, _vector(ir.IntType(bits), lanes))

    def _mirrored_double(self, value, kind: str, lanes: int):
        b = self._b
        below = b.fcmp_ordered("<", value, ir.Constant(value.type, [0.0] * lanes))
        size = self._truncated_double(b.select(below, b.fneg(value), value), kind, lanes)
        return b.select(below, b.neg(size), size)

    def _clipped_double(self, value, kind: str, lanes: int):
        """Whole numbers between the ends of a type of 64 bits."""
        b = self._b
        low, high = (0, 1 << 64) if kind == "uint64" else (-1 << 63, 1 << 63)
        least, most, zero = (
            ir.Constant(value.type, [float(end)] * lanes) for end in (low, high, 0)
        )
        whole = self._v.nearest_even(value)
        above, beyond = b.fcmp_ordered(">", whole, least), b.fcmp_ordered(">=", whole, most)
        inside = b.and_(above, b.not_(beyond))
        result = self._truncated_double(b.select(inside, whole, zero), kind, lanes)
        result = b.select(beyond, _words(high - 1, lanes), result)
        return b.select(b.fcmp_ordered("<=", whole, least), _words(low, lanes), result)

    # Halves where the level converts none: by integers, so that no denormal is flushed.

    def _from_float16(self, raw, lanes: int):
        b, c = self._b, _constants(lanes)
        word = b.zext(raw, _vector(INT32, lanes))
        sign = b.shl(b.and_(word, c(0x8000)), c(16))
        rest = b.and_(word, c(0x7FFF))
        moved = b.shl(rest, c(13))
        normal = b.add(moved, c(112 << 23))
        special = b.or_(moved, c(0x7F800000))  # infinities and NaN
        small = b.fmul(
            b.sitofp(rest, _vector(FLOAT, lanes)),
            ir.Constant(_vector(FLOAT, lanes), [2.0**-24] * lanes),
        )
        small = b.bitcast(small, word.type)
        bits = b.select(b.icmp_signed("<", rest, c(0x400)), small, normal)
        bits = b.select(b.icmp_signed("<", rest, c(0x7C00)), bits, special)
        return b.bitcast(b.or_(bits, sign), _vector(FLOAT, lanes))

    def _to_float16(self, bits, lanes: int):
        b, c, floats = self._b, _constants(lanes), _vector(FLOAT, lanes)
        rest = b.and_(bits, c(0x7FFFFFFF))
        sign = b.lshr(b.xor(bits, rest), c(16))
        # Added to 0.5, the bits of a half without exponent are the low ones.
        half = ir.Constant(floats, [0.5] * lanes)
        small = b.sub(b.bitcast(b.fadd(b.bitcast(rest, floats), half), bits.type), c(0x3F000000))
        odd = b.and_(b.lshr(rest, c(13)), c(1))
        normal = b.lshr(b.add(b.add(rest, c(0xFFF - (112 << 23))), odd), c(13))
        nan = b.icmp_signed(">", rest, c(0x7F800000))
        special = b.select(nan, c(0x7E00), c(0x7C00))
        result = b.select(b.icmp_signed("<", rest, c(0x38800000)), small, normal)
        result = b.select(b.icmp_signed("<", rest, c(0x47800000)), result, special)
        return b.trunc(b.or_(result, sign), _vector(INT16, lanes))

    def _from_bfloat16(self, raw, lanes: int):
        b = self._b
        word = b.shl(b.zext(raw, _vector(INT32, lanes)), _constants(lanes)(16))
        return b.bitcast(word, _vector(FLOAT, lanes))

    def _to_bfloat16(self, bits, lanes: int):
        b, c = self._b, _constants(lanes)
        value = b.bitcast(bits, _vector(FLOAT, lanes))
        odd = b.and_(b.lshr(bits, c(16)), c(1))
        rounded = b.add(b.add(bits, c(0x7FFF)), odd)
        quiet = b.or_(bits, c(0x400000))
        result = b.select(b.fcmp_unordered("uno", value, value), quiet, rounded)
        return b.trunc(b.lshr(result, c(16)), _vector(INT16, lanes))


def _vector(kind, lanes: int):
    return ir.VectorType(kind, lanes)


def _words(value: int, lanes: int):
    return ir.Constant(_vector(WORD, lanes), [value % (1 << 64)] * lanes)


def _constants(lanes: int):
    return lambda value: ir.Constant(_vector(INT32, lanes), [value] * lanes)


class StoredVectors(Vectors):
    """Vectors of a row's dtype, of elements that arrays hold as halves."""

    def __init__(self, v, row) -> None:
        super().__init__(v.builder, row)
        self._name = row.stored
        self._elements = Elements(v, row)
        self._element, self._itemsize = ir.HalfType(), row.stored_itemsize
        self._vector = _vector(self._element, row.lanes)

    def load(self, pointer, index=0, *, aligned=False):
        return self._elements.widened(self._name, super().load(pointer, index, aligned=aligned))

    def store(self, value, pointer, index=0):
        super().store(self._elements.rounded(self._name, value), pointer, index)

    # The first elements: pairs of them, for masks are of 4 bytes, and the last one.

    def load_first(self, count, pointer, index=0):
        b, at = self._builder, self.at(pointer, index)
        target, filled, last = self._pairs(count, at)
        loaded = self._masked("load", target, filled, ir.Constant(target.type.pointee, None))
        place = self.splat_value(b.trunc(last, INT32))
        is_last = b.icmp_signed("==", self._places(self._lanes), place)
        halves = b.select(is_last, self.splat(at, last), b.bitcast(loaded, self._vector))
        return self._elements.widened(self._name, halves)

    def store_first(self, count, value, pointer, index=0):
        b, at = self._builder, self.at(pointer, index)
        target, filled, last = self._pairs(count, at)
        halves = self._elements.rounded(self._name, value)
        self._masked("store", target, filled, b.bitcast(halves, target.type.pointee))
        b.store(b.extract_element(halves, last), self.at(at, last), align=self._itemsize)

    def _pairs(self, count, at):
        """A pointer to a vector of pairs, the mask of those filled, and the last one's place."""
        n_pairs = self._lanes // 2
        target = self._builder.bitcast(at, _vector(INT32, n_pairs).as_pointer())
        filled = self._below(self._builder.lshr(self.word(count), WORD(1)), n_pairs)
        return target, filled, self.sub(count, 1)


def stored_vectors(v, row):
    """What loads and stores vectors of the elements of a row's arrays."""
    return StoredVectors(v, row) if row.stored else v


def convert(v, row, code, source, target, count, outwards: bool):
    """Convert `count` elements that lie side by side, on both ends."""
    elements, vectors = Elements(v, row), 4  # at a time
    lanes, itemsize = row.lanes, row.itemsize
    for name, places in _alike(row, outwards).items():
        size = _bits(name) // 8
        steps = (itemsize, size) if outwards else (size, itemsize)

        def some(at, n, name=name, steps=steps):
            origin, goal = (
                v.add(end, v.mul(at, step))
                for end, step in zip((source, target), steps, strict=True)
            )
            if outwards:
                elements.store(name, elements.load(row.dtype, origin, n), goal, n)
            else:
                elements.store(row.dtype, elements.load(name, origin, n), goal, n)

        for _ in v.when(v.is_one_of(code, places)):
            whole, rest = v.floor(count, vectors * lanes), v.floor(count, lanes)
            # AVX2 packs integers of several vectors into one by half the shuffles of each alone.
            packs = outwards and "int" in name and size < itemsize and lanes * itemsize == 32
            joined = vectors if packs else 1
            for i in v.loop(whole, step=vectors * lanes):
                for j in range(0, vectors, joined):
                    some(v.add(i, j * lanes), joined * lanes)
            for i in v.loop(rest, start=whole, step=lanes):
                some(i, lanes)
            for i in v.loop(count, start=rest):
                some(i, 1)


def _alike(row, outwards: bool) -> dict[str, list[int]]:
    """The types that a row's elements are converted to, or from, and of each the places in STORED
    of all that this is the same for: of numbers with a sign or without, low bits."""
    alike: dict[str, list[int]] = {}
    for place, name in enumerate(STORED if outwards else ELEMENTS):
        if not converts(row.dtype, name):
            continue
        how, _, kind = name.rpartition("_")
        if outwards:
            low = not how or (how == "truncated" and _bits(kind) < 32)
        else:
            low = row.integers and _bits(kind) >= 8 * row.itemsize
        alike.setdefault(name.replace("uint", "int") if low else name, []).append(place)
    return alike


def _ends(name: str) -> tuple[int, int]:
    """The lowest and the largest number of a type of integers."""
    bits = _bits(name)
    return (0, (1 << bits) - 1) if "uint" in name else (-1 << (bits - 1), (1 << (bits - 1)) - 1)


def _bits(name: str) -> int:
    return int(name.lstrip("abcdefghijklmnopqrstuvwxyz_"))


def read_elements(v, row, code, source, target, count):
    """Convert `count` elements of the type of `code`, a place in STORED, to the row's dtype.

    source, target : addresses; elements lie side by side.  Reads and writes these alone.
    """
    convert(v, row, code, source, target, count, outwards=False)


def write_elements(v, row, code, source, target, count):
    """The same from the row's dtype to the type of `code`."""
    convert(v, row, code, source, target, count, outwards=True)


def move_units(v, row, size, swap, source, target, pixels, channels, steps, inwards: bool):
    """Copy units of `size` bytes between where they lie apart and where side by side."""
    b = v.builder
    x_step, c_step, parts = steps
    # Of pixels and channels those that are nearer to each other come one after the other.
    planes = v.less(x_step, c_step)
    (outer, outer_step, outer_place), (inner, inner_step, inner_place) = (
        [v.select(planes, *map(v.word, pair)) for pair in zip(*order, strict=True)]
        for order in (
            ((channels, c_step, 1), (pixels, x_step, channels)),
            ((pixels, x_step, channels), (channels, c_step, 1)),
        )
    )
    for n_bytes in (1, 2, 4, 8):
        kind = ir.IntType(8 * n_bytes)
        for _ in v.when(v.equal(size, n_bytes)):
            for i in v.loop(outer):
                for j in v.loop(inner):
                    for k in v.loop(parts):
                        apart = v.add(v.mul(i, outer_step), v.mul(j, inner_step))
                        apart = v.add(apart, v.mul(k, n_bytes))
                        place = v.add(v.mul(i, outer_place), v.mul(j, inner_place))
                        place = v.add(v.mul(place, parts), k)
                        ends = apart, v.mul(place, n_bytes)
                        origin, goal = (
                            b.inttoptr(v.add(base, at), kind.as_pointer())
                            for base, at in zip(
                                (source, target), ends if inwards else ends[::-1], strict=True
                            )
                        )
                        value = b.load(origin, align=1)
                        if n_bytes > 1:
                            value = b.select(v.unequal(swap, 0), b.bswap(value), value)
                        b.store(value, goal, align=1)


def collect_units(v, row, size, swap, source, x_step, c_step, parts, target, pixels, channels):
    """Copy pixels of units that lie apart to where they lie side by side.

    source : address of the first unit; pixels lie `x_step` bytes apart, channels `c_step`; `parts`
        units of `size` bytes of each channel lie side by side.
    swap : whether their bytes are to be reversed.
    Reads and writes these units alone.
    """
    steps = x_step, c_step, parts
    move_units(v, row, size, swap, source, target, pixels, channels, steps, inwards=True)


def spread_units(v, row, size, swap, source, target, x_step, c_step, parts, pixels, channels):
    """The other way: `target` is where they lie apart."""
    steps = x_step, c_step, parts
    move_units(v, row, size, swap, source, target, pixels, channels, steps, inwards=False)
