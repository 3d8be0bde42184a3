"""What can be timed: convolution, and what is made of one, each operator as one value.

All but pools are about a convolution, of which images, filters and result are three arrays: one
operator is given two of them and computes the third.  So sizes, products and padding are those of
the convolution (`Operator.geometry`), whichever array results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import aotconv

from .._core import check, fitting
from .._core.cures import Given
from .._core.transposed import TransposedOptions, turned_shape
from .._plan.geometry import Geometry

if TYPE_CHECKING:
    from .problem import Layer

Shape = tuple[int, ...]
Arrays = Mapping[str, NDArray[Any]]  # by the names that doors have for them
Doors = Mapping[int, Callable[..., Any]]  # by rank


def doors(place: Any, name: str) -> Doors:
    """The functions or classes of a name, which has a gap for the rank."""
    return {rank: getattr(place, name.format(rank)) for rank in check.AXES}


def steps(layer: Layer) -> tuple[Shape, Shape]:
    """Strides and dilations, checked."""
    strides = check.numbers("strides", layer.strides, layer.rank, 1)
    return strides, check.numbers("dilations", layer.dilations, layer.rank, 1)


def check_filters(shape: Shape) -> None:
    """Raise ValueError if filters cannot have this shape."""
    last = check.FILTER_FORMATS[len(shape) - 2][0]
    check.filters_array(np.broadcast_to(np.float32(0), shape), last)


class Operator:
    """An operator, asked about layers whose operator it is; shapes have channels last.

    Attributes
    ----------
    word : str
        What texts call it.
    functions : mapping of int to callable
        Its doors by rank.
    lacks : tuple of str
        Options of layers that it does not have.
    sized_by, more_sizes : str, int
        What the second sizes of its texts are of, and how many more images have.
    result : str
        The array whose order of axes its result has: "images" or "filters".
    flops_per_tap : int
        Floating-point operations for each tap of a window, channel and filter.
    divides : bool
        Whether results of integers are floats.
    """

    word: str
    functions: Doors
    lacks: tuple[str, ...] = ("shared", "algorithm")
    sized_by, more_sizes = "filters", 0
    result = "images"
    flops_per_tap = 2  # a product, and its sum
    divides = False

    def geometry(self, layer: Layer) -> Geometry:
        """That of the convolution; raises TypeError or ValueError if there is none."""
        check_filters(layer.filters)
        strides, dilations = steps(layer)
        groups = check.filter_groups(layer.groups, layer.filters[-1])
        padding, sizes = check.padding(layer.padding, layer.rank), (layer.images, layer.filters)
        return fitting.geometry(*sizes, strides, padding, dilations, groups)

    def convolved(self, layer: Layer) -> Shape:
        """The shape of the convolution's result."""
        return (layer.images[0], *(axis.out for axis in layer.axes), layer.filters[-1])

    def arrays(self, layer: Layer) -> dict[str, Shape]:
        """The shapes of what it is given."""
        raise NotImplementedError

    def out(self, layer: Layer) -> Shape:
        """The shape of its result."""
        raise NotImplementedError

    def told(self, layer: Layer) -> dict[str, Any]:
        """What its doors are told beside arrays, in the layer's formats."""
        return {**layer.options, **layer.formats, **layer.result_dtype}

    def terms(self, geometry: Geometry) -> int:
        """Products that are summed into an element of the result, at most."""
        return geometry.products

    def roundings(self, geometry: Geometry) -> int:
        """What the library promises of each element: so many times eps and the largest product, or
        bias."""
        return 2 * (self.terms(geometry) + 1)

    def call(self, layer: Layer, arrays: Arrays, out: NDArray[Any]) -> Callable[[], NDArray[Any]]:
        """What a user calls again and again, in the layer's formats."""
        return partial(self.functions[layer.rank], **arrays, **self.told(layer), out=out)


class Convolution(Operator):
    """Its weights are packed once, by a layer."""

    word, functions = "convolution", doors(aotconv, "conv{}d")
    classes = doors(aotconv, "Conv{}D")
    lacks: tuple[str, ...] = ()

    def arrays(self, layer: Layer) -> dict[str, Shape]:
        filters = layer.filters
        return {"images": layer.images, "filters": filters, "bias": self.out(layer)[-1:]}

    def out(self, layer: Layer) -> Shape:
        return self.convolved(layer)

    def geometry(self, layer: Layer) -> Geometry:
        geometry = super().geometry(layer)
        if layer.algorithm == "winograd":
            fitting.winograd_layer(layer.filters[:-2], *steps(layer), layer.groups)
        return geometry

    def told(self, layer: Layer) -> dict[str, Any]:
        algorithm = {} if layer.algorithm == "auto" else {"algorithm": layer.algorithm}
        return {**super().told(layer), **algorithm}

    def call(self, layer: Layer, arrays: Arrays, out: NDArray[Any]) -> Callable[[], NDArray[Any]]:
        weights = {name: array for name, array in arrays.items() if name != "images"}
        packed = self.classes[layer.rank](**weights, **self.told(layer))
        return partial(packed, arrays["images"], out=out)


class Transposed(Convolution):
    """Its images are the result of the convolution, whose filters it has; of (.., O / groups, C)
    it makes O channels of C."""

    word, functions = "transposed", doors(aotconv, "conv{}d_transpose")
    classes = doors(aotconv, "Conv{}DTranspose")
    lacks = ("shared", "algorithm")

    def geometry(self, layer: Layer) -> Geometry:
        check_filters(layer.filters)
        groups = check.filter_groups(layer.groups, layer.filters[-1], "filters' last axis")
        strides, dilations = steps(layer)
        options = TransposedOptions(
            strides=strides,
            padding=check.cut(layer.padding, layer.rank),
            output_padding=None,
            output_size=None,
            dilations=dilations,
            groups=groups,
            data_format=check.DATA_FORMATS[layer.rank][0],
            filter_format=check.FILTER_FORMATS[layer.rank][0],
            activation=None,
            dtype=None,
            saturate=False,
            algorithm="auto",
        )
        filters = turned_shape(layer.filters, groups)
        given = Given.of(layer.images, layer.filters, groups, transposed=True)
        names = "images", "output_size"
        return fitting.transposed_geometry(names, layer.images, filters, options, given)

    def out(self, layer: Layer) -> Shape:
        return (layer.images[0], *(axis.size for axis in layer.axes), layer.geometry.c)

    def terms(self, geometry: Geometry) -> int:
        return geometry.taps * geometry.group_filters


class ImagesGradient(Operator):
    """It is given filters and the gradient by the result."""

    word, functions = "images_gradient", doors(aotconv.gradients, "conv{}d_images")

    def arrays(self, layer: Layer) -> dict[str, Shape]:
        return {"output_gradient": self.convolved(layer), "filters": layer.filters}

    def out(self, layer: Layer) -> Shape:
        return layer.images

    def told(self, layer: Layer) -> dict[str, Any]:
        return {**super().told(layer), "images_shape": layer.laid("images", layer.images)}

    def terms(self, geometry: Geometry) -> int:
        return geometry.taps * geometry.group_filters


class FiltersGradient(Operator):
    """It is given images and the gradient by the result."""

    word, functions = "filters_gradient", doors(aotconv.gradients, "conv{}d_filters")
    result = "filters"

    def arrays(self, layer: Layer) -> dict[str, Shape]:
        return {"images": layer.images, "output_gradient": self.convolved(layer)}

    def out(self, layer: Layer) -> Shape:
        return layer.filters

    def told(self, layer: Layer) -> dict[str, Any]:
        return {**super().told(layer), "filters_shape": layer.laid("filters", layer.filters)}

    def terms(self, geometry: Geometry) -> int:
        return geometry.pixels


class Pool(Operator):
    """The sizes of its window stand where others have those of filters."""

    lacks = ("groups", "filter_format", "shared", "algorithm")
    sized_by, more_sizes = "window", 2
    flops_per_tap = 1  # a maximum, or a sum

    def geometry(self, layer: Layer) -> Geometry:
        strides, dilations = steps(layer)
        window = check.numbers("window", layer.filters, layer.rank, 1)
        padding = check.pool_padding(layer.padding, window, dilations)
        return fitting.pool_geometry(layer.images, window, strides, padding, dilations, False)

    def arrays(self, layer: Layer) -> dict[str, Shape]:
        return {"images": layer.images}

    def out(self, layer: Layer) -> Shape:
        return (layer.images[0], *(axis.out for axis in layer.axes), layer.images[-1])

    def told(self, layer: Layer) -> dict[str, Any]:
        return {**super().told(layer), "window": layer.filters}


class MaxPool(Pool):
    word, functions = "max_pool", doors(aotconv, "max_pool{}d")

    def roundings(self, geometry: Geometry) -> int:
        return 0


class AveragePool(Pool):
    word, functions = "average_pool", doors(aotconv, "average_pool{}d")
    divides = True

    def roundings(self, geometry: Geometry) -> int:
        return geometry.taps


CONVOLUTION = Convolution()
OPERATORS: dict[str, Operator] = {
    each.word: each
    for each in (
        CONVOLUTION,
        Transposed(),
        ImagesGradient(),
        FiltersGradient(),
        MaxPool(),
        AveragePool(),
    )
}
