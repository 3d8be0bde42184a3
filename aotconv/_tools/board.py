"""The benchmark's board: layers of networks and image filters, and the arrays they run on."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import check
from .._plan.geometry import Geometry, Pads

Shape = tuple[int, int, int, int]


class Layer(NamedTuple):
    """A layer, square in strides, padding and dilations."""

    name: str
    images: Shape  # N, H, W, C
    filters: Shape  # KH, KW, C / groups, O
    strides: int = 1
    padding: int | Literal["same", "valid"] = 0
    groups: int = 1
    shared: bool = False  # all channels have the same filter, as where an image is blurred
    dilations: int = 1

    @property
    def geometry(self) -> Geometry:
        strides, dilations = (self.strides,) * 2, (self.dilations,) * 2
        padding = check.padding(self.padding)
        return check.geometry(self.images, self.filters, strides, padding, dilations, self.groups)

    @property
    def options(self) -> dict[str, Any]:
        """What `aotconv.conv2d` is told beside arrays."""
        names = ("strides", "padding", "dilations", "groups")
        return {name: getattr(self, name) for name in names}

    @property
    def pads(self) -> Pads:
        g = self.geometry
        return (g.top, g.bottom), (g.left, g.right)

    @property
    def out(self) -> Shape:
        g = self.geometry
        return g.n, g.oh, g.ow, g.o

    @property
    def flops(self) -> int:
        """Floating-point operations; a multiply-add is two."""
        return 2 * self.geometry.multiply_adds

    @property
    def elements(self) -> int:
        """Elements that must be read or written: images, filters and the result."""
        return sum(map(math.prod, (self.images, self.filters, self.out)))


# fmt: off
BOARD = (
    #     name                   images               filters           strides, padding, groups
    Layer("seed_4x4x3x4",        (32, 28, 28, 3),     (4, 4, 3, 4)),
    Layer("r50_conv1_7x7s2",     (1, 224, 224, 3),    (7, 7, 3, 64),      2, 3),
    Layer("r50_2_3x3_64",        (1, 56, 56, 64),     (3, 3, 64, 64),     1, 1),
    Layer("r50_2_1x1_64_256",    (1, 56, 56, 64),     (1, 1, 64, 256)),
    Layer("r50_3_3x3_128",       (1, 28, 28, 128),    (3, 3, 128, 128),   1, 1),
    Layer("r50_3_1x1s2_256_512", (1, 56, 56, 256),    (1, 1, 256, 512),   2),
    Layer("r50_4_3x3_256",       (1, 14, 14, 256),    (3, 3, 256, 256),   1, 1),
    Layer("r50_5_3x3_512",       (1, 7, 7, 512),      (3, 3, 512, 512),   1, 1),
    Layer("r50_5_1x1_2048_512",  (1, 7, 7, 2048),     (1, 1, 2048, 512)),
    Layer("vgg_1_3x3_3_64",      (1, 224, 224, 3),    (3, 3, 3, 64),      1, 1),
    Layer("vgg_1_3x3_64_64",     (1, 224, 224, 64),   (3, 3, 64, 64),     1, 1),
    Layer("vgg_3_3x3_256",       (1, 56, 56, 256),    (3, 3, 256, 256),   1, 1),
    Layer("mb_dw3_32_112",       (1, 112, 112, 32),   (3, 3, 1, 32),      1, 1, 32),
    Layer("mb_dw3s2_96_112",     (1, 112, 112, 96),   (3, 3, 1, 96),      2, 1, 96),
    Layer("mb_dw5_240_28",       (1, 28, 28, 240),    (5, 5, 1, 240),     1, 2, 240),
    Layer("mb_1x1_32_16",        (1, 112, 112, 32),   (1, 1, 32, 16)),
    Layer("mb_1x1_960_160",      (1, 7, 7, 960),      (1, 1, 960, 160)),
    Layer("img_1ch_5x5_1024",    (1, 1024, 1024, 1),  (5, 5, 1, 1),       1, 2),
    Layer("img_rgb_dw7x7_1080p", (1, 1080, 1920, 3),  (7, 7, 1, 3),       1, 3, 3, shared=True),
    Layer("tiny_8x8x1",          (1, 8, 8, 1),        (3, 3, 1, 1)),
)
# fmt: on


class Problem(NamedTuple):
    """A layer and the arrays that it is computed on, images NHWC and filters HWIO."""

    layer: Layer
    images: NDArray[Any]
    filters: NDArray[Any]
    bias: NDArray[Any]

    @classmethod
    def draw(cls, layer: Layer, dtype: str) -> Problem:
        rng = np.random.default_rng(0)
        n_filters = layer.filters[3]
        drawn = (*layer.filters[:3], 1) if layer.shared else layer.filters
        filters, bias = rng.standard_normal(drawn), rng.standard_normal(drawn[3])
        arrays = (
            rng.standard_normal(layer.images),
            np.broadcast_to(filters, layer.filters),
            np.broadcast_to(bias, n_filters),
        )
        return cls(layer, *(np.array(array, dtype, order="C") for array in arrays))
