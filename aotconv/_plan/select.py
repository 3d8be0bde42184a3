"""The families, and which of their kernels computes a layer.

All is pure: it can be asked for any CPU level on any machine.
"""

from __future__ import annotations

import functools
import sys
import zlib
from math import prod

from .activations import FINISHES
from .dense import DENSE
from .depthwise import DEPTHWISE
from .elements import STORED
from .elementwise import ELEMENTWISE
from .family import FIELDS, SCRATCH_WORDS, Family, Layer
from .geometry import Geometry
from .image import IMAGE
from .jobs import JOB_FIELDS, JOBS_FIELDS
from .means import MEANS
from .narrow import NARROW
from .outer import OUTER
from .panels import PANELS_FIELDS
from .peak import PEAK
from .planar import PLANAR
from .pool import POOL
from .registry import FLOAT_DTYPES, LEVELS, ROWS, Row, rows_of
from .repeat import ARGUMENT_FIELDS, CALL_FIELDS, LAYOUT_FIELDS, SCRATCH_FIELDS
from .scatter import SCATTER
from .separable import SEPARABLE
from .softmax import SOFTMAX
from .staging import PASS_FIELDS, STAGING, near_channels
from .strip import STRIP
from .taps import TAPS
from .team import KNOWN
from .winograd import WINOGRAD

# The first that has a row for a layer computes it.
ORDER = (
    *(WINOGRAD, IMAGE, DEPTHWISE, STRIP, PLANAR, NARROW, DENSE),
    *(PEAK, STAGING, OUTER, POOL, SCATTER, TAPS, MEANS, SEPARABLE, ELEMENTWISE, SOFTMAX),
)
FAMILIES = {family.name: family for family in ORDER}

# Of one thread, roughly, in a microsecond: vectors multiplied and added, by their bytes; bytes of
# pixels moved, and of weights, which are read from one end to the other.
VECTOR_RATES = {16: 6_000, 32: 6_000, 64: 3_600}
COPY_RATE, WEIGHT_RATE = 20_000, 8_000
# Of planes that are channels: pixels of a row from which on each may be computed by itself, and
# those where tiles go down many rows; its estimate, in times of that of some channels at a time,
# from which on tiles compute so much behind the ends of rows that staging takes less.
LEAST_ROW, LEAST_ROW_DOWN = 32, 28
IDLE = 1.5

_rows: dict[tuple[str, str, str], list[Row]] = {}
for _row in (row for row in ROWS if not row.stored):
    _rows.setdefault((_row.family, _row.dtype, _row.level), []).append(_row)
_stored_rows = {(row._replace(stored=""), row.stored): row for row in ROWS if row.stored}
_separable_rows = {
    (row.dtype, row.holds, row.level): row for row in ROWS if row.family == SEPARABLE.name
}

# A function of this name, and of no other, is in every module whose plans and weights look as
# here.  PACKING is to be counted up when a family packs its weights in another way, or kernels
# take other arguments.
PACKING = 15
PLAIN = (int, float, str, tuple)


def _constants(family: Family) -> dict[str, object]:
    """The plain constants of a family's file, which its kernels may be compiled with."""
    names = vars(sys.modules[f"{__package__}.{family.name}"]).items()
    return {name: value for name, value in names if name.isupper() and type(value) in PLAIN}


_plans = [(family.name, family.fields, _constants(family)) for family in ORDER]
_told = repr(
    (
        PACKING,
        JOBS_FIELDS,
        JOB_FIELDS,
        (CALL_FIELDS, ARGUMENT_FIELDS, LAYOUT_FIELDS, SCRATCH_FIELDS),
        PANELS_FIELDS,
        PASS_FIELDS,
        STORED,
        FIELDS,
        FINISHES,
        SCRATCH_WORDS,
        [rows_of(level) for level in LEVELS],
        KNOWN,
        _plans,
    )
)
ABI = f"abi_{zlib.crc32(_told.encode()):08x}"


def family_of(row: Row) -> Family:
    return FAMILIES[row.family]


@functools.lru_cache(maxsize=256)
def select(layer: Layer, dtype: str, level: str) -> Row:
    """The registry row that computes a layer."""
    for family in ORDER:
        row = family.choose(_rows.get((family.name, dtype, level), ()), layer)
        if row is not None:
            return row
    raise LookupError(f"no kernel of {level} computes {layer} in {dtype}")


def estimate(row: Row, geometry: Geometry) -> float:
    """Microseconds that one thread needs, roughly: to say whether more are worth their start, and
    how much is done between two looks at signals."""
    g = geometry
    rate = VECTOR_RATES[LEVELS[row.level].vector_bytes]
    # Of images, at most.
    read = g.n * g.c * prod(min(axis.size, axis.out * axis.kernel) for axis in g.axes)
    moved = (read + g.pixels * g.o) / COPY_RATE + g.products * g.o / WEIGHT_RATE
    return max(family_of(row).cost(row, g) / rate, moved * row.itemsize)


def at_a_time(layer: Layer, geometry: Geometry, dtype: str, level: str) -> int:
    """How many channels of a channelwise layer are best computed at a time where each lies in
    planes of its own: one, along whose rows vectors run, or some, which are staged."""

    def taken(channels: int) -> tuple[Row, float]:
        """The row that takes so many, and the microseconds of all."""
        row = select(layer._replace(n_filters=channels, groups=channels), dtype, level)
        some = geometry._replace(c=channels, o=channels, groups=channels)
        return row, estimate(row, some) * geometry.c / channels

    near = near_channels(select(layer, dtype, level), geometry)
    alone, long = taken(1)
    if not (alone.window and family_of(alone).in_order):
        return near
    least = LEAST_ROW_DOWN if alone.descends else LEAST_ROW
    if geometry.x.out * geometry.x.stride < least:
        return near
    return 1 if alone.descends or long < IDLE * taken(near)[1] else near


def staging_row(row: Row) -> Row:
    """The row that stages what another row computes."""
    return _rows[STAGING.name, row.dtype, row.level][0]


def elementwise_row(row: Row) -> Row:
    """The row of functions of elements, of another one's level and dtype."""
    return _rows[ELEMENTWISE.name, row.dtype, row.level][0]


def softmax_row(row: Row) -> Row:
    """The row of softmax, of another one's level and dtype."""
    return _rows[SOFTMAX.name, row.dtype, row.level][0]


def gradient_row(dtype: str, level: str) -> Row:
    """The row that computes the gradient of filters."""
    return _rows[OUTER.name, dtype, level][0]


def scatter_row(dtype: str, level: str) -> Row:
    """The row that adds elements at places."""
    return _rows[SCATTER.name, dtype, level][0]


def taps_row(dtype: str, level: str) -> Row:
    """The row that sums listed taps."""
    return _rows[TAPS.name, dtype, level][0]


def means_row(dtype: str, level: str) -> Row:
    """The row that computes means of windows."""
    return _rows[MEANS.name, dtype, level][0]


def separable_row(dtype: str, stored: str, level: str) -> Row | None:
    """The row that goes through two windows at once, on arrays that hold such elements; None where
    there is none."""
    return _separable_rows.get((dtype, stored, level))


def pool_row(level: str) -> Row:
    """The row of pools, of arrays of all types."""
    return _rows[POOL.name, FLOAT_DTYPES[0], level][0]


def stored_row(row: Row, stored: str) -> Row | None:
    """The row that computes the same as another one on arrays that hold halves, if there is one."""
    return _stored_rows.get((row, stored))
