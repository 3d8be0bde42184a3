"""Plain loops for the dtypes that have no vector kernel: integers and complex numbers."""

from __future__ import annotations

import numpy as np
from numba import from_dtype, types
from numba.extending import intrinsic


def _element_type(row_type):
    return from_dtype(np.dtype(row_type.row.dtype))


@intrinsic
def element(typingctx, row, address):
    """The element at `address`, of the row's dtype."""
    item = _element_type(row)

    def emit(context, builder, sig, args):
        pointer = builder.inttoptr(args[1], context.get_data_type(item).as_pointer())
        return context.unpack_value(builder, item, pointer)

    return item(row, types.int64), emit


@intrinsic
def set_element(typingctx, row, address, value):
    """Store `value`, cast to the row's dtype, at `address`."""
    item = _element_type(row)

    def emit(context, builder, sig, args):
        pointer = builder.inttoptr(args[1], context.get_data_type(item).as_pointer())
        stored = context.cast(builder, args[2], value, item)
        context.pack_value(builder, item, stored, pointer)
        return context.get_dummy_value()

    return types.none(row, types.int64, value), emit


def task(row, plan, images, weights, out, residual, index):
    """Compute one output row of one plane.

    images, out : addresses of the first element; element strides of channels are 1, the others
        are the plan's, in bytes.
    residual : bytes from an output element to its residual, which is added; 0: none.
    weights : address of a zero, and at plan.weights_offset bytes from there
        ``groups * group_filters`` biases and behind them the filters, DHWIO, contiguous.
    Sums are formed in numba's 64-bit integers, or in the dtype of complex numbers, and cast to
    the dtype when stored: integers wrap as NumPy's do.  The activation is not applied.
    """
    itemsize = row.itemsize
    z = index // plan.oh
    y = index - z * plan.oh
    n = z // plan.od
    z -= n * plan.od
    n_filters = plan.groups * plan.group_filters
    biases = weights + plan.weights_offset
    filters = biases + n_filters * itemsize
    front, top = z * plan.sd - plan.front, y * plan.sh - plan.top
    for x in range(plan.ow):
        left = x * plan.sw - plan.left
        target = out + n * plan.out_n + z * plan.out_z + y * plan.out_y + x * plan.out_x
        for o in range(n_filters):
            first_channel = o // plan.group_filters * plan.group_channels
            total = element(row, biases + o * itemsize)
            for tap in range(plan.kd * plan.kh * plan.kw):
                kernel_row = tap // plan.kw
                kz = kernel_row // plan.kh
                iz = front + kz * plan.dd
                iy = top + (kernel_row - kz * plan.kh) * plan.dh
                ix = left + (tap - kernel_row * plan.kw) * plan.dw
                pixel = images + n * plan.image_n + iz * plan.image_z + iy * plan.image_y
                pixel += ix * plan.image_x + first_channel * itemsize
                step = itemsize
                inside = iz >= 0 and iz < plan.d and iy >= 0 and iy < plan.h
                if not inside or ix < 0 or ix >= plan.w:
                    pixel, step = weights, 0
                for c in range(plan.group_channels):
                    weight = filters + ((tap * plan.group_channels + c) * n_filters + o) * itemsize
                    total += element(row, pixel + c * step) * element(row, weight)
            if residual != 0:
                total += element(row, target + o * itemsize + residual)
            set_element(row, target + o * itemsize, total)
