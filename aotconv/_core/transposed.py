"""Transposed convolution, and the gradient of images, which is one: as a layer of convolutions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._plan.activations import Activation
from .._plan.borders import ZEROS, border_of, maps
from .._plan.elements import HALVES
from .._plan.geometry import RANK, Geometry
from .._plan.parts import Part
from .._plan.transposed import phases
from . import check, fitting
from .copies import convert
from .dtypes import native_name
from .jobs import Layouts
from .layer import Convolution
from .layout import Layout
from .operator import Decision, Spatial


class TransposedOptions(NamedTuple):
    """The options of a transposed convolution, checked, in their canonical form."""

    strides: tuple[int, ...]
    padding: Any
    output_padding: tuple[int, ...] | None
    output_size: tuple[int, ...] | None
    dilations: tuple[int, ...]
    groups: int
    data_format: str
    activation: Activation
    dtype: np.dtype | None
    saturate: bool
    algorithm: str
    padding_value: int = 0


def turned(filters: np.ndarray, groups: int) -> np.ndarray:
    """Filters (.., C / groups, O) with channels exchanged: (.., O / groups, C)."""
    *kernel, group_channels, n_filters = filters.shape
    split = filters.reshape(*kernel, group_channels, groups, n_filters // groups)
    return split.swapaxes(-3, -1).reshape(*kernel, n_filters // groups, groups * group_channels)


class Transposed(Convolution):
    """Checked filters of the convolutions that compute it, (.., C / groups, O), a bias (O,) and
    options; C are the channels of the images, O those of the result."""

    _sized_by = "output_size"  # the argument that may say the result's size

    @classmethod
    def checked(
        cls,
        rank,
        filters,
        bias,
        strides,
        padding,
        output_padding,
        output_size,
        dilations,
        groups,
        data_format,
        filter_format,
        activation,
        dtype,
        saturate,
        algorithm,
    ) -> tuple[np.ndarray, np.ndarray | None, NamedTuple]:
        """As a convolution's; filters are those of the convolution that is transposed."""
        filter_format = check.filter_format(filter_format, rank)
        filters = check.filters_array(
            filters, filter_format, ("output channels / groups", "channels")
        )
        axis = "last" if filter_format.endswith("IO") else "first"
        groups = check.filter_groups(groups, filters.shape[-1], f"filters' {axis} axis")
        filters = turned(filters, groups)
        bias = check.bias_array(bias, filters.shape[-1])
        strides = check.numbers("strides", strides, rank, 1)
        dilations = check.numbers("dilations", dilations, rank, 1)
        output_padding = check.output_padding(output_padding, strides, dilations)
        options = TransposedOptions(
            strides,
            check.cut(padding, rank),
            output_padding,
            check.output_size(output_size, rank, output_padding),
            dilations,
            groups,
            check.data_format(data_format, rank),
            check.activation(activation),
            check.result_dtype(dtype),
            check.flag("saturate", saturate),
            check.direct(algorithm),
        )
        return filters, bias, options

    @property
    def given_filters(self) -> np.ndarray:
        return turned(self._filters, self._options.groups)

    def _geometry(self, shape: tuple[int, ...]) -> Geometry:
        """The sizes of the convolution that is transposed: its outputs are the images."""
        filters = self._filters.shape
        names = self.first, self._sized_by
        return fitting.transposed_geometry(
            names, self._channels_last(shape), filters, self._options
        )

    def _result_shape(self, geometry: Geometry, shape: tuple[int, ...]) -> tuple[int, ...]:
        sizes = (axis.size for axis in geometry.axes[RANK - self._rank :])
        return self._shaped(shape, sizes, geometry.c)

    def _parts(self, geometry: Geometry) -> list[Part]:
        return phases(geometry)


class GradientOptions(NamedTuple):
    """The options of the gradient of images: TransposedOptions, and the images' shape."""

    strides: tuple[int, ...]
    padding: Any
    borders: tuple[int, ...]
    output_size: tuple[int, ...]
    images_shape: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int
    data_format: str
    output_padding: None = None
    activation: None = None
    dtype: np.dtype | None = None
    saturate: bool = False
    algorithm: str = "auto"
    padding_value: int = 0


class ImageGradient(Transposed):
    """The gradient of the images of a convolution: that is transposed, under its own rules of
    padding, to the size that they have."""

    first = "output_gradient"
    _sized_by = "images_shape"
    _n_weights, _filter_format = 1, 9

    @classmethod
    def checked(  # type: ignore[override]
        cls,
        rank,
        filters,
        images_shape,
        strides,
        padding,
        padding_mode,
        padding_value,
        dilations,
        groups,
        data_format,
        filter_format,
    ) -> tuple[np.ndarray, None, NamedTuple]:
        filters = check.filters_array(filters, check.filter_format(filter_format, rank))
        groups = check.filter_groups(groups, filters.shape[-1])
        shape = check.images_shape(images_shape, rank, "images_shape")
        modes = check.padding_mode(padding_mode, rank)
        check.padding_value(padding_value, modes)  # whatever it is, images have no share in it
        data_format = check.data_format(data_format, rank)
        sizes = shape[-rank - 1 : -1] if data_format.endswith("C") else shape[-rank:]
        options = GradientOptions(
            check.numbers("strides", strides, rank, 1),
            check.padding(padding, rank),
            tuple(border_of(mode, 0) for mode in modes),
            sizes,
            shape,
            check.numbers("dilations", dilations, rank, 1),
            groups,
            data_format,
        )
        return turned(filters, groups), None, options

    def _result_shape(self, geometry: Geometry, shape: tuple[int, ...]) -> tuple[int, ...]:
        expected = self._options.images_shape
        result = super()._result_shape(geometry, shape)
        fitting.images_shape_fits(expected, result)
        return result

    def _decide(self, images: Layout, out: Layout | None, third: Layout | None) -> Decision:
        if any(map(maps, self._options.borders)):
            return self._decide_bordered(images, out)
        return super()._decide(images, out, third)

    def _decide_bordered(self, images: Layout, out: Layout | None) -> Decision:
        """The gradient of images with their borders, folded."""
        o, filters = self._options, self.given_filters
        self._check_axes(images.shape)
        geometry = self._convolution(o.images_shape, filters.shape)
        fitting.output_gradient_fits(images, Spatial._result_shape(self, geometry, o.images_shape))
        dtype = fitting.common_dtype([images.dtype, filters.dtype], f"{self.first}, filters")
        if out is not None:
            fitting.out_fits(out, o.images_shape, dtype)
        around = self._around(geometry)
        shape = around.shape(o.images_shape)
        inner = o._replace(
            padding=around.padding,
            borders=(ZEROS,) * self._rank,
            output_size=self._channels_last(shape)[-self._rank - 1 : -1],
            images_shape=shape,
            dtype=np.dtype("float32") if native_name(dtype) in HALVES else None,
        )
        self._kernels_alone = False
        decided = ImageGradient(self._filters, None, inner)._decide(images, None, None)

        def compute(output_gradient, out, _, threads: int) -> None:
            bordered = np.empty(shape, decided.layouts.out.dtype)
            decided.compute(output_gradient, bordered, None, threads)
            with np.errstate(all="ignore"):
                convert(around.fold(bordered), out)

        arrays = Layouts(images, out or Layout.new(o.images_shape, dtype), None)
        return Decision(arrays, decided.microseconds, compute)
