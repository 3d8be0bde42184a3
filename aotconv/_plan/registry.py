"""The one table: CPU levels and a row for each compiled kernel.

The build, the JIT rung, the dispatch and the tests all derive from these rows.
"""

import functools
import platform
from math import gcd
from typing import NamedTuple

import numpy as np

from .arithmetic import ceil_div
from .elements import HALVES, STORED, STORED_BYTES


class Level(NamedTuple):
    """A CPU level: what its module may use, and what a CPU needs to run it."""

    name: str
    cpu: str  # LLVM's name of it
    vector_bytes: int
    fma: bool
    features: frozenset[str]  # names in `aotconv._core.cpu.FEATURES`

    @property
    def module(self) -> str:
        return "_" + self.name.replace("-", "_")


class Row(NamedTuple):
    """A compiled kernel: its family at one dtype, level and tile."""

    family: str
    dtype: str
    level: str
    pixels: int  # MR: output pixels of a tile, rows of them or filters
    vectors: int  # NR: vectors of a tile
    window: int = 0  # the one height and width of filters that it serves; 0: any
    stride: int = 0  # the one stride that it serves; 0: any
    period: int = 0  # the one number of channels that it serves; 0: several
    split: int = 0  # lanes that share the products of one filter; 0: not so
    permuted: int = 0  # whether lanes of a vector belong to several groups
    stored: str = ""  # what its arrays hold, converted as it is loaded; "": the dtype

    @property
    def name(self) -> str:
        """What tests print, and the assembly is labelled with."""
        name = f"{self.family}_{self.dtype}_{self.pixels}x{self.vectors}"
        traits = ("window", "stride", "period", "split", "permuted")
        values = ((trait, getattr(self, trait)) for trait in traits)
        name += "".join(f"_{trait}{value}" for trait, value in values if value)
        return name + (f"_{self.stored}" if self.stored else "")

    @property
    def itemsize(self) -> int:
        return ITEMSIZES[self.dtype]

    @property
    def holds(self) -> str:
        """The type of its arrays' elements."""
        return self.stored or self.dtype

    @property
    def code(self) -> int:
        """The place in STORED of what it computes in."""
        return STORED.index(self.dtype)

    @property
    def stored_itemsize(self) -> int:
        return STORED_BYTES[self.stored] if self.stored else self.itemsize

    @property
    def lanes(self) -> int:
        """Elements of one vector."""
        widest = NARROW_BYTES if self.split else LEVELS[self.level].vector_bytes
        return widest // self.itemsize

    @property
    def period_vectors(self) -> int:
        """The fewest vectors that hold whole pixels."""
        return max(1, self.period // gcd(self.period, self.lanes))

    @property
    def reach(self) -> int:
        """Vectors of inputs that a row of an image tile reads: its own and the window's."""
        beyond = (self.window - 1) * (self.period or self.lanes // 2)
        return self.stride * self.vectors + ceil_div(beyond, self.lanes)

    @property
    def shifts(self) -> int:
        """Whether one instruction moves elements across two vectors, as AVX-512's valignd does."""
        return int(LEVELS[self.level].vector_bytes == 64)

    @property
    def copies(self) -> int:
        """Whether an image tile's inputs are copied where their rows begin or end in it.  They are
        masked where each vector is loaded once, or of one channel serves few products."""
        once = self.shifts and self.period and self.stride == 1
        return int(not once and not (self.period == 1 and self.window < 4 + self.stride))

    @property
    def descends(self) -> int:
        """Whether an image tile may go down many rows of outputs, a vector wide: of one channel
        under nine taps, whose weights all stay in registers."""
        return int(self.family == "image" and self.period == 1 and self.window == 3)

    @property
    def integers(self) -> int:
        """Whether it computes in integers."""
        return int(self.dtype not in FLOAT_DTYPES)

    @property
    def fma(self) -> bool:
        return LEVELS[self.level].fma

    @property
    def product_cost(self) -> float:
        """What a product of vectors and its sum take, in times of those of floats with FMA: without
        it each needs a copy of a factor; of int64 AVX-512 alone has a product."""
        if self.dtype == "int64":
            return 3.0 if LEVELS[self.level].vector_bytes == 64 else 5.0
        return 2.3 if self.integers else 1.0 if self.fma else 1.8

    @property
    def channels(self) -> int:
        """Output channels of a tile: the width of a panel."""
        return self.vectors * self.lanes

    @property
    def lines(self) -> int:
        """Rows of sums that go from row to row; of integers the next ones are made of the last."""
        return self.pixels * (1 + self.integers)

    @property
    def along(self) -> int:
        """Vectors of a tile that goes along a row: of floats so many sums as wait for each
        other."""
        return 4 if self.integers else 8


IS_X86_64 = platform.machine().lower() in ("x86_64", "amd64")

_V2 = frozenset(["sse3", "ssse3", "sse4_1", "sse4_2", "popcnt", "cx16", "lahf"])
_V3 = _V2 | frozenset(["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"])
_V4 = _V3 | frozenset(["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"])

BASELINE_MODULE = "_baseline"  # that of `aotconv._kernels.baseline`, which any CPU can run

# Best first.  A machine that is not x86-64 has the one generic level; AArch64's baseline has FMA.
_X86_64_LEVELS = (
    Level("x86-64-v4", "x86-64-v4", 64, True, _V4),
    Level("x86-64-v3", "x86-64-v3", 32, True, _V3),
    Level("x86-64-v2", "x86-64-v2", 16, False, _V2),
)
_GENERIC_LEVELS = (
    Level(
        "generic", "generic", 16, platform.machine().lower() in ("aarch64", "arm64"), frozenset()
    ),
)
LEVELS = {level.name: level for level in (_X86_64_LEVELS if IS_X86_64 else _GENERIC_LEVELS)}

# Tiles (pixels, vectors) by vector width.  16 vector registers below 64 bytes, 32 at 64:
# accumulators, one row of weights, one broadcast pixel, and at v2 a product (no FMA).
_DENSE_TILES = {
    16: ((4, 2), (6, 1)),
    32: ((6, 2), (8, 1)),
    64: ((6, 4), (8, 2), (8, 1)),
}
# The same for small groups, where the 4-byte lanes of a vector can be permuted in any way.
_PERMUTED_TILES = {16: (), 32: ((6, 1),), 64: ((8, 1),)}
_WINOGRAD_TILES = {16: ((4, 2),), 32: ((6, 2),), 64: ((6, 4),)}
_PEAK_TILES = {16: ((14, 1),), 32: ((12, 1),), 64: ((12, 1),)}
# Tiles (channels, vectors of filters).
_OUTER_TILES = {16: ((4, 2),), 32: ((6, 2),), 64: ((6, 4),)}
# Tiles of integers, of dense layers and of gradients of filters: their products take longer than
# loads, which more vectors would save, and more lanes would be idle where there are few filters.
_INTEGER_TILES = {16: (4, 1), 32: (6, 1), 64: (8, 1)}
# Tiles (rows, pixels, window, stride).
_DEPTHWISE_TILES = {
    16: (),
    32: ((3, 3, 3, 1), (2, 3, 3, 2), (3, 3, 5, 1), (4, 2, 5, 2), (3, 3, 7, 1), (2, 2, 7, 2)),
    64: ((4, 4, 3, 1), (3, 4, 3, 2), (4, 4, 5, 1), (4, 3, 5, 2), (4, 3, 7, 1), (3, 3, 7, 2)),
}
# Windows and strides of those that halves are worth converting for while they are loaded: of larger
# ones staging takes little beside the products.
STORED_DEPTHWISE = ((3, 1), (3, 2), (5, 1), (5, 2))
# Tiles (rows, vectors, window, stride, period).  Those without a period serve the numbers of
# channels between one and a vector's that divide it.
_IMAGE_TILES = {
    16: (),
    32: (
        *((4, 3, window, 1, period) for window in (3, 5, 7) for period in (0, 1, 3)),
        *((4, 2, window, 2, 1) for window in (3, 5, 7)),
    ),
    64: (
        *(
            (4, n, window, 1, period)
            for window in (3, 5, 7)
            for n, period in ((3, 0), (4, 1), (3, 3))
        ),
        *((4, 4, window, 2, 1) for window in (3, 5, 7)),
    ),
}
# Tiles (rows, vectors, window, stride, period).
_STRIP_TILES = {
    vector_bytes: tuple((*tile, 0, 0, period) for period in (1, 0) for tile in tiles)
    for vector_bytes, tiles in (
        (16, ((3, 3), (1, 6))),
        (32, ((3, 4), (1, 8))),
        (64, ((3, 4), (1, 8))),
    )
}

_TAPS_TILES = {16: ((1, 6),), 32: ((1, 8),), 64: ((1, 12),)}
_MEANS_TILES = {16: ((1, 4),), 32: ((1, 4),), 64: ((1, 4),)}

# Tiles (rows, vectors) that go from row to row.
_SEPARABLE_TILES = {16: ((3, 3),), 32: ((3, 4),), 64: ((3, 4),)}
# What they sum in, and what their arrays hold.
_SEPARABLE_TYPES = (("float32", ""), ("float32", "uint8"), ("int16", "uint8"))

# Tiles (filters, vectors): of fewer filters they have more vectors.
_PLANAR_TILES = {16: ((4, 2),), 32: ((4, 3),), 64: ((4, 4),)}

# Tiles (pixels, vectors) for all levels with FMA.  Their vectors are of one width: the order of
# summation depends on the split, and the levels are to agree.
NARROW_BYTES = 32
_NARROW_TILE = (8, 1)

# Tiles (pixels, vectors): the latter are of channels, or of a row's elements.
_POOL_TILE = (4, 1)

FLOAT_DTYPES = ("float32", "float64")
SIGNED_DTYPES = ("int8", "int16", "int32", "int64")
ITEMSIZES = {name: np.dtype(name).itemsize for name in FLOAT_DTYPES + SIGNED_DTYPES}
INTEGER_DTYPES = ("int32", "int64")  # whose low bits are those of sums in no larger types
SUM_DTYPES = FLOAT_DTYPES + INTEGER_DTYPES  # that convolutions are computed in

ROWS = (
    *(
        Row(family, dtype, level.name, *tile)
        for level in LEVELS.values()
        for dtype in FLOAT_DTYPES
        for family, tiles in (
            ("dense", _DENSE_TILES),
            ("image", _IMAGE_TILES),
            ("depthwise", _DEPTHWISE_TILES),
            ("strip", _STRIP_TILES),
            ("planar", _PLANAR_TILES),
            ("winograd", _WINOGRAD_TILES),
            ("peak", _PEAK_TILES),
            ("outer", _OUTER_TILES),
            ("taps", _TAPS_TILES),
            ("means", _MEANS_TILES),
        )
        for tile in tiles[level.vector_bytes]
    ),
    *(
        Row("narrow", dtype, level.name, *_NARROW_TILE, split=split)
        for level in LEVELS.values()
        if level.fma and level.vector_bytes >= NARROW_BYTES
        for dtype in FLOAT_DTYPES
        for split in (2, 4, 8)
        if split * ITEMSIZES[dtype] <= NARROW_BYTES
    ),
    *(
        Row("dense", dtype, level.name, *tile, permuted=1)
        for level in LEVELS.values()
        if IS_X86_64
        for dtype in FLOAT_DTYPES
        for tile in _PERMUTED_TILES[level.vector_bytes]
    ),
    *(
        Row("depthwise", "float32", level.name, *tile, stored=stored)
        for level in LEVELS.values()
        for tile in _DEPTHWISE_TILES[level.vector_bytes]
        for stored in HALVES
        if tile[2:] in STORED_DEPTHWISE
    ),
    *(
        Row(family, dtype, level.name, 1, 1)
        for level in LEVELS.values()
        for dtype in FLOAT_DTYPES
        for family in ("staging", "elementwise", "softmax", "scatter")
    ),
    *(
        Row(family, dtype, level.name, *tile)
        for level in LEVELS.values()
        for dtype in INTEGER_DTYPES
        for family, tile in (
            ("dense", _INTEGER_TILES[level.vector_bytes]),
            ("outer", _INTEGER_TILES[level.vector_bytes]),
            ("staging", (1, 1)),
        )
    ),
    *(
        Row("separable", dtype, level.name, *tile, stored=stored)
        for level in LEVELS.values()
        for tile in _SEPARABLE_TILES[level.vector_bytes]
        for dtype, stored in _SEPARABLE_TYPES
    ),
    # Of all types: its tasks are compiled once, and call tiles of each (`_plan.pool.HELD`).
    *(Row("pool", FLOAT_DTYPES[0], level.name, *_POOL_TILE) for level in LEVELS.values()),
)


@functools.cache
def rows_of(level: str) -> tuple[Row, ...]:
    """The rows of a level's module, in the order in which it holds their tasks.

    Tasks that are alike lie side by side: a wheel's compression looks back by 32 KiB.
    """
    rows = (row for row in ROWS if row.level == level)
    return tuple(sorted(rows, key=lambda row: (row._replace(dtype=""), row.dtype)))
