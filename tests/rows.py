"""Rows of the registry by name, and what one of them is run with."""

from __future__ import annotations

import numpy as np

import aotconv
from aotconv._core import check, fitting
from aotconv._core.jobs import Kernel, Layouts, Piece, Places
from aotconv._core.ladder import Rung
from aotconv._core.layout import Layout, View
from aotconv._core.pack import pack
from aotconv._core.run import Share, decide
from aotconv._plan.family import Layer
from aotconv._plan.geometry import Geometry
from aotconv._plan.parts import Part
from aotconv._plan.registry import LEVELS, ROWS, Row
from aotconv._plan.select import family_of

AOT_LEVELS = [
    each.name for each in aotconv.implementations() if each.available and each.name in LEVELS
]
JIT_LEVEL = AOT_LEVELS[0] if AOT_LEVELS else next(iter(LEVELS))


# Each row, and whether numba compiles it in the process.
NAMED = {
    **{f"{row.level}-{row.name}": (row, False) for row in ROWS if not row.stored},
    **{f"jit-{row.name}": (row, True) for row in ROWS if row.level == JIT_LEVEL and not row.stored},
}
# What the default run computes: of rows that numba compiles in the process, for seconds each, one
# of a family where modules hold the same, and one of integers.
_firsts = {(row.family, row.integers): name for name, (row, jit) in reversed(NAMED.items()) if jit}
SAMPLED = {
    name
    for name, (row, jit) in NAMED.items()
    if not (jit and AOT_LEVELS) or name == _firsts[row.family, row.integers]
}


def packed_for(row: Row, filters, bias, groups: int):
    """The weights in the row's own order."""
    layer = Layer(kernel_sizes(filters.shape), *filters.shape[-2:], groups)
    return pack(family_of(row).packing(row, layer), row.dtype, filters, bias)


def kernel_sizes(shape) -> tuple[int, ...]:
    """Depth, height and width of filters of a shape (.., C / groups, O)."""
    return (1,) * (5 - len(shape)) + tuple(shape[:-2])


def lifted(array):
    """An array (N, H, W, C), or of fewer or more spatial axes, as (N, D, H, W, C)."""
    return array[(slice(None), *[None] * (5 - array.ndim))]


class Quiet(Rung):
    """A rung that compiles without a word about it."""

    def task(self, row: Row) -> int:
        if not self.jit:
            return super().task(row)
        from aotconv._kernels.compile import jit_task

        return jit_task(row)


def kernel_of(
    row: Row, rung: Rung, filters, bias, groups: int, activation=None, together: int = 0
) -> Kernel:
    """The kernel of a row; with `together` it computes so many channels of a channelwise layer at
    a time."""
    if not together:
        packed = packed_for(row, filters, bias, groups)
        return Kernel(row, family_of(row), rung, packed, activation)
    some = [slice(c, c + together) for c in range(0, groups, together)]
    slices = [
        packed_for(row, filters[..., each], None if bias is None else bias[each], together)
        for each in some
    ]
    return Kernel(row, family_of(row), rung, slices[0], activation, slices=slices)


def compiled(row: Row, jit: bool) -> Rung:
    """The rung of a row, which is compiled."""
    rung = Quiet(row.level, jit)
    assert rung.task(row)
    return rung


def geometry_of(
    images, filters, strides=1, padding="valid", dilations=1, groups=1, *, borders=None
) -> Geometry:
    """The sizes of a convolution of shapes, with options as `aotconv.conv2d` takes them."""
    rank = len(filters) - 2
    strides, dilations = (check.numbers("steps", each, rank, 1) for each in (strides, dilations))
    pads = check.padding(padding, rank)
    return fitting.geometry(images, filters, strides, pads, dilations, groups, borders=borders)


def shape_of(geometry: Geometry, rank: int = 2) -> tuple[int, ...]:
    """Of the result for images of so many spatial axes."""
    n, *outs, o = geometry.shapes[1]
    return (n, *outs[3 - rank :], o)


def run_kernel(kernel: Kernel, geometry: Geometry, images, out, residual=None, threads=1):
    """Run a kernel on arrays (N, .., C) of any layout; return what computed."""
    images, out = lifted(images), lifted(out)
    residual = None if residual is None else lifted(residual)
    layouts = (None if each is None else Layout.of(each) for each in (images, out, residual))
    piece = Piece(kernel, geometry, Layouts(*layouts), Places())
    _, compute = decide([Share(View(3, False), Part(geometry), piece)])
    compute(images, out, residual, threads)
    return compute


def convolve(
    row: Row,
    function,
    images,
    filters,
    bias,
    strides,
    padding,
    activation=None,
    residual=None,
    threads=1,
    **options,
):
    """Run one row, whatever would have been chosen."""
    groups = options.get("groups", 1)
    sizes = images.shape, filters.shape, strides, padding, options.get("dilations", 1), groups
    geometry = geometry_of(*sizes)
    out = np.full(shape_of(geometry, images.ndim - 2), 99, row.dtype)
    kernel = kernel_of(row, function, filters, bias, groups, activation)
    run_kernel(kernel, geometry, images, out, residual, threads)
    return out
