"""Channelwise convolution along the elements of rows, of whatever has no kernel of its own
(`_kernels.strip`)."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from .arithmetic import ceil_div
from .family import SCRATCH_BYTES, Family, Layer, Repeated, Work
from .geometry import Geometry
from .registry import Row

STRIP = 1024  # elements of a strip, roughly
LARGEST_WINDOW = 32  # rows and columns: copies of inputs fit into the scratch words
MANY = 8  # pixels that share the copy of their taps
# What is said of each row of inputs (see `_kernels.strip.strip`).
TAP_ROW_FIELDS = ("address", "moves")
LARGEST_STEP = 256  # strides and dilations: the kernel counts up to them, and adds them up


def choose(rows: Sequence[Row], layer: Layer) -> Row | None:
    near = max(layer.strides + layer.dilations) <= LARGEST_STEP
    if not (layer.channelwise and near and max(layer.kh, layer.kw) <= LARGEST_WINDOW):
        return None
    several = layer.strides[0] == 1  # whose outputs share rows of inputs
    fitting = (row for row in rows if row.pixels == 1 or (several and layer.kh >= row.pixels))
    return next(fitting, None)


def blocking(work: Work) -> dict[str, int]:
    row, g = work.row, work.geometry
    merge = g.sw == 1 and work.image_pixels_adjacent and work.out_pixels_adjacent
    apart = g.dh if row.pixels > 1 else 1
    return {
        "tasks": g.n * ceil_div(g.oh, row.pixels * apart) * apart,
        "strip": STRIP - STRIP % row.channels,
        "merge_rows": int(merge),
        **_copies(work),
    }


def _copies(work: Work) -> dict[str, int]:
    """How taps are copied between zeros, of as many pixels and channels as the scratch holds.

    The columns of a tap are those of the tap `phases` before it, some pixels on: so many taps are
    copied, and some pixels more.
    """
    row, g, follow = work.row, work.geometry, work.out_pixels_adjacent
    input_rows = row.pixels + g.kh - 1
    tables = len(TAP_ROW_FIELDS) * input_rows + g.kw  # words
    row_size = (SCRATCH_BYTES - 8 * tables) // input_rows // row.itemsize  # elements
    phases = min(g.sw // gcd(g.sw, g.dw), g.kw)
    step = phases * g.dw // g.sw
    more = (g.kw - 1) // phases * step
    if not follow or phases * (more + MANY) * g.c > row_size:
        phases, step, more = g.kw, 0, 0
    channels = min(g.c, row_size // (phases * (more + 1)))
    pixels = row_size // (phases * channels) - more if follow and channels == g.c else 1
    return {
        "copy_row": row_size * row.itemsize,
        "copy_phases": phases,
        "copy_step": step,
        "copy_more": more,
        "copy_channels": channels,
        "copy_pixels": pixels,
    }


def packing(row: Row, layer: Layer) -> Repeated:
    """Zeros for a strip; then the rows, repeated for a tile's width from any channel on."""
    return Repeated(STRIP + row.channels, layer.groups + row.channels)


def cost(row: Row, g: Geometry) -> float:
    return 0.0


STRIP_FAMILY = Family(
    "strip",
    choose,
    blocking,
    packing,
    cost,
    fields=(
        "strip",  # elements of an output row in a strip
        "merge_rows",  # whether neighbouring pixels lie side by side in memory
        "copy_row",  # bytes of the copy of an input row
        "copy_phases",  # taps that are copied; tap kx is tap ``kx % copy_phases``, from pixel
        "copy_step",  # ``kx // copy_phases * copy_step`` on
        "copy_more",  # pixels that are copied beside those that are computed
        "copy_channels",  # that are copied, and pixels that are computed, at a time
        "copy_pixels",
    ),
)
