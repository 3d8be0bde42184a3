"""Sizes of a convolution: output shape, padding rules.  Pure functions of Python integers."""

from __future__ import annotations

from typing import NamedTuple

from .arithmetic import ceil_div

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]


class Geometry(NamedTuple):
    """One convolution's sizes, all in elements, padding resolved; NHWC and HWIO by name."""

    n: int
    h: int
    w: int
    c: int
    kh: int
    kw: int
    o: int
    sh: int
    sw: int
    dh: int
    dw: int
    groups: int
    top: int
    bottom: int
    left: int
    right: int
    oh: int
    ow: int

    @property
    def pads(self) -> Pads:
        return (self.top, self.bottom), (self.left, self.right)

    @property
    def group_channels(self) -> int:
        return self.c // self.groups

    @property
    def group_filters(self) -> int:
        return self.o // self.groups

    @property
    def depth(self) -> int:
        """Products summed into one output element."""
        return self.kh * self.kw * self.group_channels

    @property
    def inside(self) -> Pair:
        """Rows and columns of outputs whose windows lie inside the images."""
        rows = _inside(self.h, self.kh, self.sh, self.dh, self.top, self.oh)
        return rows, _inside(self.w, self.kw, self.sw, self.dw, self.left, self.ow)

    @property
    def multiply_adds(self) -> int:
        return self.n * self.oh * self.ow * self.o * self.depth


def _inside(size: int, kernel: int, stride: int, dilation: int, before: int, out: int) -> int:
    first = ceil_div(before, stride)
    last = (size + before - extent(kernel, dilation)) // stride + 1
    return max(0, min(last, out) - first)


def extent(kernel: int, dilation: int) -> int:
    """Pixels that a dilated kernel spans."""
    return (kernel - 1) * dilation + 1


def output_size(size: int, kernel: int, stride: int, dilation: int, pads: Pair) -> int:
    """Output pixels along one axis; zero or less where the kernel does not fit."""
    return (size + sum(pads) - extent(kernel, dilation)) // stride + 1


def same_padding(size: int, kernel: int, stride: int, dilation: int, *, lower: bool) -> Pair:
    """Zeros before and after one axis so that its output has ``ceil(size / stride)`` pixels.

    TensorFlow's rule; an odd zero goes behind, or with `lower` (ONNX' SAME_LOWER) in front.
    """
    out = ceil_div(size, stride)
    total = max((out - 1) * stride + extent(kernel, dilation) - size, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


def resolve_padding(
    padding: str | Pads, size: Pair, kernel: Pair, strides: Pair, dilations: Pair
) -> Pads:
    """Zeros around the images, ``((top, bottom), (left, right))``, for checked `padding`."""
    if not isinstance(padding, str):
        return padding
    if padding == "valid":
        return (0, 0), (0, 0)
    rows, columns = (
        same_padding(*axis, lower=padding == "same_lower")
        for axis in zip(size, kernel, strides, dilations, strict=True)
    )
    return rows, columns
