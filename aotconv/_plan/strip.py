"""Channelwise convolution along the elements of rows, of whatever has no kernel of its own
(`_kernels.strip`)."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from .arithmetic import ceil_div
from .family import SCRATCH_BYTES, Family, Layer, Repeated, Work, row_tasks
from .geometry import Geometry
from .registry import Row

STRIP_ELEMENTS = 1024  # elements of a strip, roughly
LARGEST_WINDOW = 32  # rows and columns: copies of inputs fit into the scratch words
SHORT_RUN = 128  # bytes of a pixel; shorter ones are copied beside each other
NEAR_WEIGHTS = 64 << 10  # bytes; more come from beyond the first-level cache
MANY = 8  # pixels that share the copy of their taps
# What is said of each row of inputs (see `_kernels.strip.strip`).
TAP_ROW_FIELDS = ("address", "moves")
LARGEST_STEP = 256  # strides and dilations: so many tasks may have no row of outputs


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
        "strip": STRIP_ELEMENTS - STRIP_ELEMENTS % row.channels,
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
    return Repeated(STRIP_ELEMENTS + row.channels, layer.groups + row.channels)


def cost(row: Row, g: Geometry) -> float:
    """A product takes as long as one and its loads, of weights and inputs.  Where windows leave the
    image, and for short pixels a stride apart, taps are copied, element by element if few."""
    pixel = g.c * row.itemsize
    strides = (0, 0, pixel, row.itemsize)
    copies = _copies(Work(row, g, strides, strides))
    tasks = row_tasks(g, row.pixels)
    inside = 0 if g.sw > 1 and pixel < SHORT_RUN else g.inside[1]
    in_place = ceil_div(inside * g.c, row.lanes) if g.sw == 1 else inside * ceil_div(g.c, row.lanes)
    pixels, channels = min(copies["copy_pixels"], g.ow), copies["copy_channels"]
    times = ceil_div(g.ow - inside, pixels) * ceil_div(g.c, channels)
    vectors = in_place + times * ceil_div(pixels * channels, row.lanes)
    weights = g.kh * g.kw * (g.c + row.channels) * row.itemsize
    product = (2 + 2 / row.pixels) * (2 if weights > NEAR_WEIGHTS else 1)
    products = row.pixels * vectors * (g.kh * g.kw * product + 16)
    strips = times + (1 if g.sw == 1 else inside)
    copied = pixels + copies["copy_more"]
    some = 4 + 4 * (channels if channels < row.lanes else ceil_div(channels, row.lanes))
    copy = times * copies["copy_phases"] * (60 + copied * some)
    rows = row.pixels + g.kh - 1
    return 0.8 * tasks * (products + rows * (copy + 8 * strips) + 100 * strips)


STRIP = Family(
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
