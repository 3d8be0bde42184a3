"""Transposed convolution, and the gradient of images, which is one: as a layer of convolutions."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .._plan.activations import Activation
from .._plan.borders import ZEROS, border_of, maps
from .._plan.elements import HALVES
from .._plan.geometry import RANK, Geometry
from .._plan.parts import Part
from .._plan.transposed import abutted, are_few_abutting, phases
from . import check, cures, fitting
from .copies import convert
from .dtypes import native_name
from .jobs import Layouts
from .layer import Convolution
from .layout import Layout
from .operator import Decision, Spatial
from .run import Compute


class TransposedOptions(NamedTuple):
    """The options of a transposed convolution, checked, in their canonical form."""

    strides: tuple[int, ...]
    padding: Any
    output_padding: tuple[int, ...] | None
    output_size: tuple[int, ...] | None
    dilations: tuple[int, ...]
    groups: int
    data_format: str
    filter_format: str
    activation: Activation
    dtype: np.dtype | None
    saturate: bool
    algorithm: str
    padding_value: int = 0


def turned_shape(filters: tuple[int, ...], groups: int) -> tuple[int, ...]:
    """The shape of filters (.., C / groups, O) with channels exchanged: (.., O / groups, C)."""
    *kernel, group_channels, n_filters = filters
    return (*kernel, n_filters // groups, groups * group_channels)


def turned(filters: np.ndarray, groups: int) -> np.ndarray:
    """Such filters."""
    split = filters.reshape(*filters.shape[:-1], groups, filters.shape[-1] // groups)
    return split.swapaxes(-3, -1).reshape(turned_shape(filters.shape, groups))


class Transposed(Convolution):
    """Checked filters of the convolutions that compute it, (.., C / groups, O), a bias (O,) and
    options; C are the channels of the images, O those of the result."""

    _sized_by = "output_size"  # the argument that may say the result's size
    _of_rows: Transposed | None = None  # what computes it where windows lie side by side

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
        cure = partial(cures.of_bias, filters.shape, filter_format, groups, True)
        filters = turned(filters, groups)
        bias = check.bias_array(bias, filters.shape[-1], cure)
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
            filter_format,
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
        o, filters = self._options, self._filters.shape
        given = self._given(shape, turned_shape(filters, o.groups), transposed=True)
        names = self.first, self._sized_by
        return fitting.transposed_geometry(names, self._channels_last(shape), filters, o, given)

    def _result_shape(self, geometry: Geometry, shape: tuple[int, ...]) -> tuple[int, ...]:
        sizes = (axis.size for axis in geometry.axes[RANK - self._rank :])
        return self._shaped(shape, sizes, geometry.c)

    def _parts(self, geometry: Geometry) -> list[Part]:
        return phases(geometry)

    def _computing(
        self, geometry: Geometry, dtype: np.dtype, arrays: Layouts
    ) -> tuple[float, Compute]:
        if not are_few_abutting(geometry) or 0 in arrays.out.shape:
            return super()._computing(geometry, dtype, arrays)
        self._kernels_alone = False
        if self._of_rows is None:
            self._of_rows = self._with_pixels_as_channels()
        rows = _Rows(self._rank, self._channels_first(), geometry.x.kernel)
        merged, residual = rows.layout(arrays.out), arrays.residual
        if residual is not None:
            residual = Layout.new(rows.shape(residual.shape), residual.dtype)
        out = merged or Layout.new(rows.shape(arrays.out.shape), arrays.out.dtype)
        layouts = Layouts(arrays.images, out, residual)
        microseconds, compute = self._of_rows._computing(abutted(geometry), dtype, layouts)

        def compute_rows(images, out, residual, threads: int) -> None:
            shape, more = layouts.out.shape, None
            sums = np.empty(shape, dtype) if merged is None else out.reshape(shape)
            if residual is not None:
                more = np.empty(shape, residual.dtype)
                convert(rows.split(residual), rows.parted(more))
            compute(images, sums, more, threads)
            if merged is None:
                convert(rows.parted(sums), rows.split(out))

        return microseconds, compute_rows

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_of_rows": None}

    @property
    def packed_bytes(self) -> int:
        return super().packed_bytes + (0 if self._of_rows is None else self._of_rows.packed_bytes)

    def _with_pixels_as_channels(self) -> Transposed:
        """The layer whose filters make all pixels of a row's window, as channels."""
        *kernel, x, channels, n_filters = self._filters.shape
        filters = self._filters.swapaxes(-3, -2).reshape(*kernel, 1, channels, x * n_filters)
        bias = None if self._bias is None else np.tile(self._bias, x)
        return Transposed(filters, bias, self._options)


class _Rows(NamedTuple):
    """Arrays (.., W, C) or (.., C, .., W), of whose rows so many pixels are channels of one."""

    rank: int
    channels_first: bool
    pixels: int

    def split(self, array: np.ndarray) -> np.ndarray:
        """The view with an axis of its own for these pixels, behind that of the row."""
        x = array.ndim - 1 - (not self.channels_first)
        sizes = array.shape[x] // self.pixels, self.pixels
        return array.reshape(*array.shape[:x], *sizes, *array.shape[x + 1 :])

    def parted(self, joined: np.ndarray) -> np.ndarray:
        """The view of a new array in which these pixels are channels, as `split` has them."""
        if not self.channels_first:
            return joined.reshape(*joined.shape[:-1], self.pixels, -1)
        channels = joined.ndim - self.rank - 1
        sizes = self.pixels, joined.shape[channels] // self.pixels
        apart = joined.reshape(*joined.shape[:channels], *sizes, *joined.shape[channels + 1 :])
        return np.moveaxis(apart, channels, -1)

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """That of the joined array."""
        sizes = list(shape)
        channels = len(sizes) - 1 - (self.rank if self.channels_first else 0)
        sizes[channels] *= self.pixels
        sizes[-1 if self.channels_first else -2] //= self.pixels
        return tuple(sizes)

    def layout(self, layout: Layout) -> Layout | None:
        """The layout of the joined array, if it is a view."""
        if self.channels_first:
            return None
        *outer, x, c = layout.strides
        channels = layout.shape[-1]
        if channels > 1 and x != c * channels:
            return None
        strides = *outer, x * self.pixels, c if channels > 1 else x
        return layout._replace(shape=self.shape(layout.shape), strides=strides)


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
    filter_format: str
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
    _takes_filters = False  # and the images' shape
    _sized_by = "images_shape"
    _n_weights = 1

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
        filter_format = check.filter_format(filter_format, rank)
        filters = check.filters_array(filters, filter_format)
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
            filter_format,
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
