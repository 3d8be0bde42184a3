"""Channelwise convolution along the elements of rows, of whatever has no kernel of its own
(`_kernels.strip`)."""

from __future__ import annotations

from collections.abc import Sequence

from .arithmetic import ceil_div, round_up
from .family import ALIGNMENT, SCRATCH_BYTES, Family, Layer, Repeated, Work, row_tasks
from .geometry import Geometry
from .registry import Row

STRIP_ELEMENTS = 1024  # elements of a strip, roughly
# Planes, rows and columns: tables of all, and copies of the inputs under one plane, fit into the
# scratch words; of several planes the copies are staged, and are as large as the scratch for each.
LARGEST_WINDOW = 32
SHORT_RUN = 128  # bytes of a pixel; shorter ones are copied beside each other
NEAR_WEIGHTS = 64 << 10  # bytes; more come from beyond the first-level cache
MANY = 8  # pixels that share the copy of their taps
# What is said of each row of inputs (see `_kernels.strip.strip`).
TAP_ROW_FIELDS = ("address", "moves")
LARGEST_STEP = 256  # strides and dilations: so many tasks may have no row of outputs


def choose(rows: Sequence[Row], layer: Layer) -> Row | None:
    near = max(layer.strides + layer.dilations) <= LARGEST_STEP
    if not (layer.channelwise and near and max(layer.kernel) <= LARGEST_WINDOW):
        return None
    # Outputs that share rows of inputs.
    several = layer.kernel[1] if layer.strides[1] == 1 else 1
    return next((row for row in rows if row.pixels <= several), None)


def blocking(work: Work) -> dict[str, int]:
    row, g = work.row, work.geometry
    merge = g.x.stride == 1 and work.image_pixels_adjacent and work.out_pixels_adjacent
    apart = g.y.dilation if row.pixels > 1 else 1
    copies = _copies(work)
    copied = g.z.kernel * (row.pixels + g.y.kernel - 1) * copies["copy_row"]
    return {
        "tasks": row_tasks(g, row.pixels * apart) * apart,
        "staging": round_up(copied, ALIGNMENT) if g.z.kernel > 1 else 0,
        "strip": STRIP_ELEMENTS - STRIP_ELEMENTS % row.channels,
        "merge_rows": int(merge),
        **copies,
    }


def _copies(work: Work) -> dict[str, int]:
    """How taps are copied between zeros, of as many pixels and channels as the scratch holds of one
    kernel plane; those of several planes are staged.

    The columns of a tap are those of the tap `phases` before it, some pixels on: so many taps are
    copied, and some pixels more.
    """
    row, g, follow = work.row, work.geometry, work.out_pixels_adjacent
    input_rows = row.pixels + g.y.kernel - 1
    tables = len(TAP_ROW_FIELDS) * input_rows + g.x.kernel  # words
    row_size = (SCRATCH_BYTES - 8 * tables) // input_rows // row.itemsize  # elements
    phases, step = g.x.phases, g.x.phase_step
    more = (g.x.kernel - 1) // phases * step
    if not follow or phases * (more + MANY) * g.c > row_size:
        phases, step, more = g.x.kernel, 0, 0
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
    strides = (0, 0, 0, pixel, row.itemsize)
    copies = _copies(Work(row, g, strides, strides))
    tasks = row_tasks(g, row.pixels)
    inside = 0 if g.x.stride > 1 and pixel < SHORT_RUN else g.x.inside
    runs, run = (1, inside * g.c) if g.x.stride == 1 else (inside, g.c)
    pixels, channels = min(copies["copy_pixels"], g.x.out), copies["copy_channels"]
    times = ceil_div(g.x.out - inside, pixels) * ceil_div(g.c, channels)
    vectors = runs * ceil_div(run, row.lanes) + times * ceil_div(pixels * channels, row.lanes)
    weights = g.taps * (g.c + row.channels) * row.itemsize
    product = (2 + 2 / row.pixels) * (2 if weights > NEAR_WEIGHTS else 1)
    products = row.pixels * vectors * (g.taps * product + 16)
    strips = times + runs
    copied = pixels + copies["copy_more"]
    some = 4 + 4 * (channels if channels < row.lanes else ceil_div(channels, row.lanes))
    copy = times * copies["copy_phases"] * (60 + copied * some)
    rows = g.z.kernel * (row.pixels + g.y.kernel - 1)
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
    apart_bytes=SHORT_RUN,
)
