"""Sizes of a convolution: output shape, padding rules.  Pure functions of Python integers."""

from math import gcd, prod
from typing import NamedTuple

from .arithmetic import ceil_div
from .borders import ZEROS

Pair = tuple[int, int]

COMMON_PADDINGS = ("valid", "same", "same_lower")  # of all operators
PADDINGS = (*COMMON_PADDINGS, "full", "causal")
RANK = 3  # spatial axes of a geometry; images of fewer have a size of 1 along the first ones


class Axis(NamedTuple):
    """One spatial axis of a convolution, all in elements, padding resolved.

    Of an axis at whose border images are mapped (`borders.maps`) a part may have all pixels, and
    windows that begin or end inside: `before` or `behind` is negative then.
    """

    size: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    behind: int = 0
    out: int = 1
    border: int = ZEROS  # what is before and behind; ZEROS where nothing is

    @classmethod
    def of(
        cls,
        size: int,
        kernel: int,
        stride: int,
        dilation: int,
        padding: str | Pair,
        border: int = ZEROS,
    ) -> "Axis":
        """An axis under padding that is one of PADDINGS, or pixels before and behind.  Its `out` is
        zero or less where the kernel does not fit."""
        before, behind = (
            resolve_padding(padding, size, kernel, stride, dilation)
            if isinstance(padding, str)
            else padding
        )
        padded = size + before + behind
        spanned = extent(kernel, dilation)
        out = (padded - spanned) // stride + 1
        border = border if before or behind else ZEROS
        # Compiled code multiplies and adds: a farther stride has as many outputs, and one tap none
        # that it is dilated from.
        stride, dilation = min(stride, max(padded, spanned)), dilation if kernel > 1 else 1
        return cls(size, kernel, stride, dilation, before, behind, out, border)

    @classmethod
    def flat(cls, size: int) -> "Axis":
        """An axis without a window."""
        return cls(size, out=size)

    @property
    def extent(self) -> int:
        return extent(self.kernel, self.dilation)

    @property
    def padded(self) -> int:
        return self.size + self.before + self.behind

    @property
    def inside(self) -> int:
        """Outputs whose windows lie inside the images."""
        first, last = self.between
        return max(0, last - first)

    @property
    def between(self) -> Pair:
        """The first and the last, excluded, of the outputs whose windows lie inside the images."""
        first = ceil_div(max(self.before, 0), self.stride)
        last = (self.size + self.before - self.extent) // self.stride + 1
        return first, min(last, self.out)

    @property
    def phases(self) -> int:
        """Tap k reads what tap ``k % phases`` does, `phase_step` outputs on for each time that
        `phases` goes into k."""
        return min(self.stride // gcd(self.stride, self.dilation), self.kernel)

    @property
    def phase_step(self) -> int:
        return self.phases * self.dilation // self.stride

    def under(self, out: int) -> int:
        """Elements of images and of borders but zeros that a window, or those of so many
        neighbouring outputs, may read."""
        span = self.kernel if out == 1 else (out - 1) * self.stride + self.extent
        return min(self.size, span) if self.border == ZEROS else span


FLAT = Axis.flat(1)  # an axis that images do not have


class Geometry(NamedTuple):
    """One convolution's sizes, all in elements, padding resolved: images (N, D, H, W, C) under
    filters (KD, KH, KW, C / groups, O)."""

    n: int
    c: int
    o: int
    groups: int
    z: Axis
    y: Axis
    x: Axis

    @property
    def axes(self) -> tuple[Axis, Axis, Axis]:
        return self.z, self.y, self.x

    @property
    def group_channels(self) -> int:
        return self.c // self.groups

    @property
    def group_filters(self) -> int:
        return self.o // self.groups

    @property
    def taps(self) -> int:
        return prod(axis.kernel for axis in self.axes)

    @property
    def products(self) -> int:
        """Products summed into one output element."""
        return self.taps * self.group_channels

    @property
    def pixels(self) -> int:
        """Pixels of outputs."""
        return self.n * prod(axis.out for axis in self.axes)

    @property
    def is_padded(self) -> bool:
        return any(axis.before or axis.behind for axis in self.axes)

    @property
    def has_borders(self) -> bool:
        """Whether something but zeros surrounds the images."""
        return any(axis.border != ZEROS for axis in self.axes)

    @property
    def multiply_adds(self) -> int:
        return self.pixels * self.o * self.products

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of images (N, D, H, W, C) and of the result."""
        sizes, outs = ([axis[i] for axis in self.axes] for i in (0, 6))
        return (self.n, *sizes, self.c), (self.n, *outs, self.o)


def extent(kernel: int, dilation: int) -> int:
    """Pixels that a dilated kernel spans."""
    return (kernel - 1) * dilation + 1


def same_padding(size: int, kernel: int, stride: int, dilation: int, *, lower: bool) -> Pair:
    """Zeros before and after one axis so that its output has ``ceil(size / stride)`` pixels.

    TensorFlow's rule; an odd zero goes behind, or with `lower` (ONNX' SAME_LOWER) in front.
    """
    out = ceil_div(size, stride)
    total = max((out - 1) * stride + extent(kernel, dilation) - size, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


def resolve_padding(padding: str, size: int, kernel: int, stride: int, dilation: int) -> Pair:
    """Zeros before and behind one axis, for one of PADDINGS."""
    beyond = extent(kernel, dilation) - 1
    if padding.startswith("same"):
        return same_padding(size, kernel, stride, dilation, lower=padding == "same_lower")
    return {"valid": (0, 0), "full": (beyond, beyond), "causal": (beyond, 0)}[padding]
