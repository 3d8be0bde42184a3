"""Transposed convolution as ordinary convolutions: one for each phase of its strides.

An output j of an axis gets ``g[i] * w[k]`` from each input i and tap k of the forward convolution
with ``i * stride - before + k * dilation == j``.  Outputs that lie a stride apart have the same
taps: they are a convolution of the inputs, of stride 1, with some of the taps, the last one first.
No zeros are inserted, and each phase is written to its own outputs.

Where windows lie side by side along rows, phases of a row have the same taps.  Of few channels they
are more filters of one convolution: the pixels of a window in a row are channels of one pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from .arithmetic import ceil_div
from .geometry import Axis, Geometry, Pair, extent
from .parts import Part

# Of a result; with more of them the convolutions of phases are as fast, and write any layout.
FEW_CHANNELS = 4


class _Phase(NamedTuple):
    """Some outputs of one axis: the convolution's axis, and what it reads and writes."""

    axis: Axis
    images: slice
    out: slice
    taps: range


def phases(forward: Geometry) -> list[Part]:
    """The convolutions whose outputs are the gradient of a convolution's images.

    Outputs that no tap reaches belong to none of them.

    Parameters
    ----------
    forward : Geometry
        Of the convolution that is transposed: its images are the result, and its outputs what is
        convolved.  Padding may be negative.
    """
    f = forward
    whole = slice(None)
    return [
        Part(
            Geometry(f.n, f.o, f.c, f.groups, *(each.axis for each in phase)),
            (whole, *(each.images for each in phase)),
            (whole, *(each.out for each in phase)),
            tuple(each.taps for each in phase),
        )
        for phase in product(*(list(_phases(axis)) for axis in f.axes))
    ]


def are_few_abutting(forward: Geometry) -> bool:
    """Whether the result has few channels, and windows lie side by side along its rows and fill
    them."""
    x = forward.x
    side_by_side = x.kernel == x.stride > 1 and x.dilation == 1 and x.before == 0
    fill = side_by_side and x.size == x.out * x.stride
    return fill and forward.groups == 1 and forward.c <= FEW_CHANNELS


def abutted(forward: Geometry) -> Geometry:
    """The same where the pixels of a row's windows are channels: of rows without windows."""
    x = forward.x
    return forward._replace(c=forward.c * x.kernel, x=Axis.flat(x.out))


def _phases(forward: Axis) -> Iterator[_Phase]:
    """The phases of one axis that have taps."""
    f = forward
    for first in range(f.phases):
        # Output j has tap k from input ``(j + before - k * dilation) / stride``, if that is whole.
        start = (first * f.dilation - f.before) % f.stride
        nearest = (start + f.before - first * f.dilation) // f.stride
        count = ceil_div(max(f.size - start, 0), f.stride)
        taps, step = range(first, f.kernel, f.phases)[::-1], f.phase_step
        if count:
            axis, read = _under(f.out, nearest - (len(taps) - 1) * step, len(taps), step, count)
            yield _Phase(axis, read, slice(start, None, f.stride), taps)


def _under(size: int, first: int, kernel: int, dilation: int, out: int) -> tuple[Axis, slice]:
    """The axis of so many outputs of stride 1, whose first window begins at place `first` of inputs
    of a size, and those that it reads."""
    dilation = dilation if kernel > 1 else 1
    places = out + (kernel - 1) * dilation  # that windows span
    before = min(max(-first, 0), places)
    behind = min(max(first + places - size, 0), places - before)
    count = places - before - behind
    read = slice(first + before, first + before + count) if count else slice(0, 0)
    return Axis(count, kernel, 1, dilation, before, behind, out), read


def forward_axis(
    size: int,
    kernel: int,
    stride: int,
    dilation: int,
    padding: str | Pair,
    output_padding: int | None,
    output_size: int | None,
) -> Axis:
    """The axis of the convolution that is transposed, whose outputs are the inputs of a size.

    Padding is cut from the result.  Its `out` is not `size` where no convolution makes that of
    `output_size`; its `size` is less than one where nothing is left.

    Without an output size the rules are Keras': under "valid" and "same" a missing `output_padding`
    is as much as makes results of at least, or of exactly, `stride` times the size.
    """
    if output_size is not None:
        return Axis.of(output_size, kernel, stride, dilation, padding)
    window = extent(kernel, dilation)
    spread = (size - 1) * stride + window
    more = output_padding or 0
    if padding == "valid":
        before, result = 0, spread + (max(stride - window, 0) if output_padding is None else more)
    elif isinstance(padding, str):
        if output_padding is None:
            cut, result = max(window - stride, 0), size * stride
            before = cut // 2 if padding == "same" else cut - cut // 2
        else:
            inserted = window + window % 2 - 2 + more
            result = (size - 1) * stride + 2 + inserted - window
            before = window - 1 - min(ceil_div(inserted, 2), window - 1)
            if padding == "same_lower":
                before = spread - result - before
    else:
        before, behind = padding
        result = spread - before - behind + more
    return Axis.of(result, kernel, stride, dilation, (before, spread - before - result))
