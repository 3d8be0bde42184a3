"""Rows of the registry by name, and what one of them is run with."""

from __future__ import annotations

import numpy as np

import aotconv
from aotconv._core import check
from aotconv._core.ladder import Rung
from aotconv._core.layout import Layout
from aotconv._core.pack import pack
from aotconv._core.run import Kernel, decide
from aotconv._plan.family import Layer
from aotconv._plan.geometry import Geometry
from aotconv._plan.registry import LEVELS, LOOP_ROWS, ROWS, Row
from aotconv._plan.select import family_of

AOT_LEVELS = [
    each.name for each in aotconv.implementations() if each.available and each.name in LEVELS
]
JIT_LEVEL = AOT_LEVELS[0] if AOT_LEVELS else next(iter(LEVELS))
# Each row, and whether numba compiles it in the process.
NAMED = {
    **{f"{row.level}-{row.name}": (row, False) for row in ROWS},
    **{f"jit-{row.name}": (row, True) for row in ROWS + LOOP_ROWS if row.level == JIT_LEVEL},
}


def packed_for(row: Row, filters, bias, groups: int):
    """The weights in the row's own order."""
    return pack(
        family_of(row).packing(row, Layer(*filters.shape, groups)), row.dtype, filters, bias
    )


def kernel_of(row: Row, function, filters, bias, groups: int, activation=None) -> Kernel:
    packed = packed_for(row, filters, bias, groups)
    return Kernel(row, family_of(row), function, packed, activation)


def compiled(row: Row, jit: bool):
    """The function of a row, whoever compiles it, without a word about that."""
    if not jit:
        return Rung(row.level, jit).kernel(row)
    from aotconv._kernels.compile import jit_kernel

    return jit_kernel(row)


def geometry_of(images, filters, strides=1, padding="valid", dilations=1, groups=1) -> Geometry:
    """The sizes of a convolution of shapes, with options as `aotconv.conv2d` takes them."""
    strides, dilations = (check.pair("steps", each, 1) for each in (strides, dilations))
    return check.geometry(images, filters, strides, check.padding(padding), dilations, groups)


def shape_of(geometry: Geometry) -> tuple[int, int, int, int]:
    return geometry.n, geometry.oh, geometry.ow, geometry.o


def run_kernel(kernel: Kernel, geometry: Geometry, images, out, residual=None, threads=1):
    """Run a kernel on arrays (N, H, W, C) of any layout; return what computed."""
    layouts = (None if each is None else Layout.of(each) for each in (images, out, residual))
    _, compute = decide(kernel, geometry, *layouts)
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
    out = np.full(shape_of(geometry), 99, row.dtype)
    kernel = kernel_of(row, function, filters, bias, groups, activation)
    run_kernel(kernel, geometry, images, out, residual, threads)
    return out
