"""What a convolution is computed as: the same one, described in a way that suits the kernels."""

from __future__ import annotations

from collections.abc import Sequence

from .borders import CONSTANT, ZEROS
from .family import Triple
from .geometry import FLAT, Axis, Geometry


def _is_flat(axis: Axis) -> bool:
    """Whether an axis is one pixel wide, on both ends and under all filters."""
    return (axis.size, axis.kernel, axis.before, axis.behind) == (1, 1, 0, 0)


def turn(geometry: Geometry) -> tuple[Geometry, Triple]:
    """Put the axes that are one pixel wide first, so that a column becomes a row: pixels are to
    follow each other along the last axis.  Taps keep their order.

    Returns
    -------
    geometry : Geometry
    order : tuple of int
        Which axis stands in each place.
    """
    axes = geometry.axes
    first, second, third = sorted(range(3), key=lambda i: not _is_flat(axes[i]))
    if (first, second, third) == (0, 1, 2):
        return geometry, (0, 1, 2)
    z, y, x = (FLAT if _is_flat(axes[i]) else axes[i] for i in (first, second, third))
    return geometry._replace(z=z, y=y, x=x), (first, second, third)


def joined(geometry: Geometry, ends: Sequence[Sequence[int]]) -> Geometry:
    """The same convolution where windows are single pixels: rows that follow each other are one,
    and so are planes.

    Parameters
    ----------
    ends : sequence of tuple of int
        The strides of all its arrays (N, D, H, W, C).
    """
    g = geometry
    if g.is_padded or any((axis.kernel, axis.stride) != (1, 1) for axis in g.axes):
        return g
    depth, height, width = (axis.size for axis in g.axes)
    if all(strides[2] == width * strides[3] for strides in ends):
        height, width = 1, height * width
        if all(strides[1] == width * strides[3] for strides in ends):
            depth, width = 1, depth * width
    z, y, x = (Axis.flat(size) for size in (depth, height, width))
    return g._replace(z=z, y=y, x=x)


def plane(geometry: Geometry) -> Geometry:
    """One plane of outputs under filters that are one plane, without a depth."""
    y = geometry.y
    if geometry.z.size == 0:  # the window's plane is padding, and so are all its rows
        y = y._replace(size=0, before=y.before + y.size, border=geometry.z.border)
    return geometry._replace(z=FLAT, y=y)


def without_zeros(geometry: Geometry) -> Geometry:
    """The same convolution, for kernels that know nothing of zeros around images: staging does."""
    z, y, x = (
        axis._replace(border=axis.border or (CONSTANT if axis.before or axis.behind else ZEROS))
        for axis in geometry.axes
    )
    return geometry._replace(z=z, y=y, x=x)


def through(geometry: Geometry, window: Triple) -> Geometry:
    """A convolution with as many outputs, by a window of another size."""
    z, y, x = (
        axis._replace(kernel=kernel) for axis, kernel in zip(geometry.axes, window, strict=True)
    )
    return geometry._replace(z=z, y=y, x=x)


def one_channel(geometry: Geometry) -> Geometry:
    """The same convolution, of images that nothing surrounds and channels that have the same
    filter, whose pixels and channels lie side by side: as images of one channel."""
    g = geometry
    x = Axis(g.x.size * g.c, g.x.kernel, 1, g.c if g.x.kernel > 1 else 1, out=g.x.out * g.c)
    return g._replace(c=1, o=1, groups=1, x=x)
