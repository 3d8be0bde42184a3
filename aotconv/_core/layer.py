"""A layer: filters, a bias and options that were checked, and which kernels compute it."""

import copy
from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._plan.activations import Activation
from .._plan.borders import border_of
from .._plan.geometry import Geometry
from .._plan.parts import Part
from . import check, cures, fallback, fitting, frozen, ladder
from .copies import copied
from .dtypes import Reach, clipped_in, computed_in, native_name
from .jobs import Layouts
from .kernels import Kernels
from .layout import Layout, View
from .operator import Decision, Spatial
from .pack import under
from .repeat import Expected, Known
from .run import Compute, for_each

# What makes a layer, as a function's user gave it, in the order of its `checked`.
Arguments: TypeAlias = tuple[Any, ...]


class Options(NamedTuple):
    """The options of a layer, checked, in their canonical form: equal where they mean the same, of
    filters that were given in the same format."""

    strides: tuple[int, ...]
    padding: Any
    padding_mode: tuple[str, ...]
    padding_value: complex
    dilations: tuple[int, ...]
    groups: int
    data_format: str
    filter_format: str  # in which they were given: here they are (.., C / groups, O)
    activation: Activation
    dtype: np.dtype | None
    saturate: bool
    algorithm: str

    @property
    def borders(self) -> tuple[int, ...]:
        """Of each spatial axis."""
        return tuple(border_of(mode, self.padding_value) for mode in self.padding_mode)


class Computed(NamedTuple):
    """The dtypes that a layer is computed in.

    Attributes
    ----------
    kernels : str
        Floats, mostly, where those are exact.
    exact : str
        NumPy's: integers and complex numbers are themselves.
    """

    kernels: str
    exact: str


class Convolution(Spatial):
    """Checked filters (.., C / groups, O), a bias (O,) and options."""

    _n_weights = 2  # of `Arguments` how many are weights

    @classmethod
    def checked(
        cls,
        rank,
        filters,
        bias,
        strides,
        padding,
        padding_mode,
        padding_value,
        dilations,
        groups,
        data_format,
        filter_format,
        activation,
        dtype,
        saturate,
        algorithm,
    ) -> tuple[np.ndarray, np.ndarray | None, NamedTuple]:
        """What makes a layer of so many spatial axes, of arguments as the user gave them."""
        filter_format = check.filter_format(filter_format, rank)
        filters = check.filters_array(filters, filter_format)
        cure = partial(cures.of_bias, filters.shape, filter_format, 1, False)
        bias = check.bias_array(bias, filters.shape[-1], cure)
        modes = check.padding_mode(padding_mode, rank)
        options = Options(
            check.numbers("strides", strides, rank, 1),
            check.padding(padding, rank),
            modes,
            check.padding_value(padding_value, modes),
            check.numbers("dilations", dilations, rank, 1),
            check.filter_groups(groups, filters.shape[-1]),
            check.data_format(data_format, rank),
            filter_format,
            check.activation(activation),
            check.result_dtype(dtype),
            check.flag("saturate", saturate),
            check.algorithm(algorithm),
        )
        if options.algorithm == "winograd":
            o = options
            fitting.winograd_layer(filters.shape[:-2], o.strides, o.dilations, o.groups)
        return filters, bias, options

    def __init__(self, filters: np.ndarray, bias: np.ndarray | None, options: Any) -> None:
        super().__init__(filters.ndim - 2, options)
        self._filters, self._bias = filters, bias
        self._dtypes = [each.dtype for each in (filters, bias) if each is not None]
        fitting.real_activation(options.activation, self._dtypes, "filters or bias")
        self._reach = Reach(filters, bias)
        self._kernels = Kernels(filters, bias, options)
        self._copies: dict[str, np.ndarray] = {}  # of the filters, for NumPy
        self._transforms: Any = None  # those that compute it for some layouts
        self._kernels_alone = True  # whether nothing that was decided holds weights but these

    def __getstate__(self) -> dict[str, Any]:
        kernels = copy.copy(self._kernels)  # with weights of its own
        mine = {"_kernels": kernels, "_copies": {}, "_decisions": {}, "_last": {}, "_repeat": {}}
        return {**self.__dict__, **mine, "_transforms": None}

    @property
    def has_spectra(self) -> bool:
        """Whether it holds what filters were transformed to, which is large."""
        return self._transforms is not None

    @property
    def can_reweigh(self) -> bool:
        """Whether this may become a layer of other weights, of floats, that look alike."""
        weights = self._filters, self._bias
        floats = all(each is None or each.dtype.kind == "f" for each in weights)
        return floats and self._kernels_alone and self._kernels.can_reweigh

    def reweigh(self, filters: np.ndarray, bias: np.ndarray | None) -> bool:
        """Become a layer of other weights; whether all that was decided still holds.  If not, this
        is of no more use."""
        self._filters, self._bias, self._reach = filters, bias, Reach(filters, bias)
        return self._kernels.reweigh(filters, bias)

    def forget_weights(self) -> None:
        """Hold no array of the user's any more, so that `reweigh` must come before a call."""
        del self._filters, self._bias, self._reach
        self._kernels.forget_weights()

    @property
    def packed_bytes(self) -> int:
        """Bytes that packed weights take."""
        return self._kernels.packed_bytes

    def known_with(self, arguments: Arguments) -> Known | None:
        """The last call, of a function of these arguments, once compiled code knows it."""
        return self.last_known(lambda: self._others(arguments))

    def _others(self, arguments: Arguments) -> Sequence[Any] | None:
        """Arguments of a function as `know` wants them; None where one may change its meaning."""
        options = arguments[self._n_weights :]
        if not all(map(frozen.never_changes, options)):
            return None
        filters = self.given_filters
        if not self._options.filter_format.endswith("IO"):
            filters = filters.transpose(-1, -2, *range(self._rank))
        if not filters.flags.c_contiguous:
            filters = copied(filters)
        held = (filters, self._bias)[: self._n_weights]
        weights = [None if each is None else Expected.holding(each) for each in held]
        return *weights, *options

    @property
    def given_filters(self) -> np.ndarray:
        """The filters as their user has them, but for their format."""
        return self._filters

    @property
    def bias(self) -> np.ndarray | None:
        return self._bias

    def result_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The result's shape for images of a shape."""
        return self._result_shape(self._geometry(shape), shape)

    def _geometry(self, shape: tuple[int, ...]) -> Geometry:
        """The sizes for images of a shape, leading axes taken as one."""
        return self._convolution(shape, self._filters.shape)

    def _decide(self, images: Layout, out: Layout | None, third: Layout | None) -> Decision:
        options = self._options
        self._check_axes(images.shape)
        fitting.real_activation(options.activation, [images.dtype], self.first)
        fitting.padding_value_fits(options.padding_value, images.dtype)
        geometry = self._geometry(images.shape)
        names = f"{self.first}, filters{'' if self._bias is None else ' and bias'}"
        common = fitting.common_dtype([images.dtype, *self._dtypes], names)
        dtype = fitting.castable(common, options.dtype, options.saturate)
        fitting.real_activation(options.activation, [dtype], "results, as dtype asks for")
        fitting.float_activation(options.activation, dtype)
        shape = self._result_shape(geometry, images.shape)
        if third is not None:
            fitting.residual_fits(third, shape, dtype)
        if out is not None:
            fitting.out_fits(out, shape, dtype)
        if options.algorithm == "winograd":
            fitting.winograd_dtype(dtype)
        arrays = Layouts(images, out or Layout.new(shape, dtype), third)
        with np.errstate(all="ignore"):  # of weights that are converted
            microseconds, compute = self._computing(geometry, dtype, arrays)
        return Decision(arrays, microseconds, compute)

    def _computing(
        self, geometry: Geometry, dtype: np.dtype, arrays: Layouts
    ) -> tuple[float, Compute]:
        """What computes, and how long it takes on one thread, roughly."""
        if 0 in arrays.out.shape:
            return 0.0, lambda *_: None
        computed = self._computed_in(dtype, arrays)
        present = [each for each in arrays if each is not None]
        view = View.of(present, self._rank, self._channels_first())
        times = prod(view.outer)
        parts = self._parts(geometry._replace(n=geometry.n // times))
        if not parts or parts[0].geometry.products == 0:
            return 0.0, self._fill(computed.exact)
        microseconds, compute = self._of_parts(computed, parts, arrays, view)
        compute = for_each(compute, view.outer)
        written = sum(part.geometry.pixels * part.geometry.o for part in parts)
        if written * times < prod(arrays.out.shape):  # there are outputs that no input reaches
            compute = _behind(self._fill(computed.exact), compute)
        return microseconds * times, compute

    def _computed_in(self, dtype: np.dtype, arrays: Layouts) -> Computed:
        """What results of a dtype are computed in."""
        residual = None if arrays.residual is None else arrays.residual.dtype
        if self._options.saturate and dtype.kind in "iu":
            operands = arrays.images.dtype, np.result_type(*self._dtypes), residual
            clipped = clipped_in(dtype, *operands, self._reach)
            return Computed(clipped, clipped)
        computed = computed_in(dtype, arrays.images.dtype, residual, self._reach)
        return Computed(computed, native_name(dtype) if dtype.kind in "iuc" else computed)

    def _of_parts(
        self, computed: Computed, parts: list[Part], arrays: Layouts, view: View
    ) -> tuple[float, Compute]:
        """What computes parts of the arrays behind outer axes, and how long it takes."""
        algorithm = self._options.algorithm
        if algorithm in ("fft", "fastest"):
            transforms, geometry = self._transforms or self._new_transforms(), parts[0].geometry
            whole = geometry._replace(n=geometry.n * prod(view.outer))
            algorithm = transforms.chosen(computed.kernels, whole, arrays)
            if algorithm == "fft":
                self._kernels_alone, self._transforms = False, transforms
                return 0.0, transforms.computing(computed.exact, geometry, arrays, view)
        return self._direct(computed, parts, arrays, view, algorithm)

    def _new_transforms(self) -> Any:
        from .transforms import Transforms  # of few layers; it loads what no other one wants

        weights = self._filters, self._bias
        return Transforms(*weights, self._options, self._kernels, _of_one_tap)

    def _direct(
        self, computed: Computed, parts: list[Part], arrays: Layouts, view: View, algorithm: str
    ) -> tuple[float, Compute]:
        """The same by kernels of an algorithm, or by NumPy."""
        rung, about = ladder.rung(computed.kernels), (parts, arrays, view, algorithm)
        found = None if rung is None else self._kernels.decide(rung, computed.kernels, *about)
        if found is None and algorithm == "winograd":
            raise ValueError(
                "algorithm 'winograd' needs compiled kernels or numba, "
                f"and {ladder.active().name!r} computes: use 'auto'"
            )
        return found or (0.0, self._by_numpy(parts, view, computed.exact))

    def planned(self, arrays: Layouts) -> tuple[float, Compute]:
        """What computes on arrays of checked layouts, and how long it takes on one thread, roughly:
        for an operator that calls this one."""
        geometry = self._geometry(arrays.images.shape)
        return self._computing(geometry, arrays.out.dtype, arrays)

    def _parts(self, geometry: Geometry) -> list[Part]:
        """The convolutions of parts of the arrays that this is, for one batch of images."""
        return [Part(geometry)]

    def _fill(self, dtype: str) -> Compute:
        """What a convolution without channels gives."""
        self._kernels_alone = False
        bias, activation = self._bias, self._options.activation
        if bias is not None and self._channels_first():
            bias = bias.reshape(-1, *[1] * self._rank)
        return lambda _, out, residual, __: fallback.fill(bias, out, residual, activation, dtype)

    def _by_numpy(self, parts: list[Part], view: View, dtype: str) -> Compute:
        self._kernels_alone = False
        filters = self._copies.get(dtype)
        if filters is None:
            # Of the same dtype, too: `out` may lie on the user's.
            filters = self._copies[dtype] = copied(self._filters, dtype)
        bias, activation = self._bias, self._options.activation
        value = self._options.padding_value

        def compute(images, out, residual, _) -> None:
            images, out = view.array(images), view.array(out)
            residual = None if residual is None else view.array(residual)
            for part in parts:
                more = None if residual is None else residual[part.out]
                arrays = images[part.images], under(filters, part.taps), bias, out[part.out], more
                fallback.convolve(part.geometry, *arrays, activation, value)

        return compute


def _behind(first: Compute, then: Compute) -> Compute:
    """What computes both, one behind the other."""

    def computed(*arrays_and_threads) -> None:
        first(*arrays_and_threads)
        then(*arrays_and_threads)

    return computed


def _of_one_tap(filters: np.ndarray, groups: int) -> Convolution:
    """The layer of filters (1, C / groups, O)."""
    steps, mode = (1,), ("constant",)
    about = steps, "valid", mode, 0, steps, groups, "NWC", "WIO", None, None, False, "auto"
    return Convolution(filters, None, Options(*about))
