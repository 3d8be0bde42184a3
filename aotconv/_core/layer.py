"""A layer: filters, a bias and options that were checked, and what was decided for the arrays that
it has met.

All that a call depends on but values and addresses is in its arrays' layouts.  For layouts that are
new, `Convolution` decides once, before anything is touched: whether the call is right, and the one
function that computes it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._plan.family import Layer
from .._plan.geometry import Geometry
from .._plan.select import family_of, select
from . import check, fallback, ladder, threads
from .ladder import Rung
from .layout import Layout
from .pack import convert, copied, pack
from .run import Compute, Kernel, Whole, decide

KEPT_LAYOUTS = 64  # a layer meets few layouts; one that meets many forgets them
KEPT_LAYERS, KEPT_BYTES = 64, 4096  # that `kept` keeps, and of the weights of each


class Options(NamedTuple):
    """The options of a layer, checked, in their canonical form: equal where they mean the same."""

    strides: tuple[int, int]
    padding: Any
    dilations: tuple[int, int]
    groups: int
    data_format: str
    activation: str | None
    algorithm: str


def checked(
    filters, bias, strides, padding, dilations, groups, data_format, activation, algorithm
) -> tuple[np.ndarray, np.ndarray | None, Options]:
    """What makes a layer, of arguments as the user gave them."""
    filters = check.filters_array(filters)
    n_filters = filters.shape[3]
    bias = check.bias_array(bias, n_filters)
    options = Options(
        check.pair("strides", strides, 1),
        check.padding(padding),
        check.pair("dilations", dilations, 1),
        check.filter_groups(groups, n_filters),
        check.data_format(data_format),
        check.activation(activation),
        check.algorithm(algorithm),
    )
    if options.algorithm == "winograd":
        o = options
        check.winograd_layer(filters.shape, o.strides, o.dilations, o.groups)
    return filters, bias, options


class Decision(NamedTuple):
    """What follows from the layouts of a call's arrays."""

    shape: tuple[int, ...]  # of the result
    dtype: np.dtype
    microseconds: float  # on one thread, roughly
    out_overlaps_itself: bool
    compute: Compute


def _layout(array: np.ndarray) -> tuple:
    """What a `Layout` is made of; a plain tuple is made in half the time."""
    return array.shape, array.strides, array.dtype, array.flags.num


class Convolution:
    """Checked filters and options, and the weights packed for each kernel that asked for them."""

    def __init__(self, filters: np.ndarray, bias: np.ndarray | None, options: Options) -> None:
        self._filters, self._bias, self._options = filters, bias, options
        self._dtypes = [each.dtype for each in (filters, bias) if each is not None]
        check.real_activation(options.activation, self._dtypes, "filters or bias")
        self._weights: dict[tuple[Rung | None, str], Any] = {}
        self._decisions: dict[tuple, Decision] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Packed weights are known by their address, which belongs to this object alone.
        return {**self.__dict__, "_weights": {}, "_decisions": {}}

    def convolve(self, images, out, residual, n_threads) -> np.ndarray:
        """The result of arguments as the user gave them."""
        if n_threads is not None:
            n_threads = check.integer("threads", n_threads, 1)
        images = check.array("images", images)
        result = None if out is None else check.out_array(out)
        residual = None if residual is None else check.array("residual", residual)
        key = (
            ladder.active().name,
            _layout(images),
            None if result is None else _layout(result),
            None if residual is None else _layout(residual),
        )
        decision = self._decisions.get(key) or self._decide(key)

        if result is None:
            out = result = np.empty(decision.shape, decision.dtype)
        elif (
            # Kernels compute some elements twice, so the residual is no exception.
            np.may_share_memory(result, images)
            or (residual is not None and np.may_share_memory(result, residual))
            or decision.out_overlaps_itself
        ):
            convert(self.convolve(images, None, residual, n_threads), result)
            return out
        team = threads.count(n_threads, decision.microseconds)
        decision.compute(images, result, residual, team)
        return out

    def result_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The result's shape for images of a shape of 3 or 4 axes."""
        batch = shape if len(shape) == 4 else (1, *shape)
        return self._result_shape(self._geometry(self._channels_last(batch)), len(shape))

    def _channels_last(self, axes: tuple) -> tuple:
        """What belongs to each of 4 axes, in the order N, H, W, C."""
        first = self._options.data_format == "NCHW"
        return (axes[0], *axes[2:], axes[1]) if first else axes

    def _geometry(self, shape: tuple[int, ...]) -> Geometry:
        o = self._options
        sizes = shape, self._filters.shape
        return check.geometry(*sizes, o.strides, o.padding, o.dilations, o.groups)

    def _result_shape(self, geometry: Geometry, ndim: int) -> tuple[int, ...]:
        g = geometry
        nhwc = (g.n, g.oh, g.ow, g.o)
        shape = (g.n, g.o, g.oh, g.ow) if self._options.data_format == "NCHW" else nhwc
        return shape[4 - ndim :]

    def _nhwc(self, array: np.ndarray) -> np.ndarray:
        """Images, or a result, as an array (N, H, W, C)."""
        if array.ndim == 3:
            array = array[np.newaxis]
        return array.transpose(0, 2, 3, 1) if self._options.data_format == "NCHW" else array

    def _layout_nhwc(self, layout: Layout) -> Layout:
        """The layout of what `_nhwc` makes of an array."""
        shape, strides = layout.shape, layout.strides
        if len(shape) == 3:
            shape, strides = (1, *shape), (0, *strides)
        shape, strides = self._channels_last(shape), self._channels_last(strides)
        return layout._replace(shape=shape, strides=strides)

    def _decide(self, key: tuple) -> Decision:
        """Check all that depends on layouts, and decide what computes; kept."""
        images, out, residual = (None if each is None else Layout(*each) for each in key[1:])
        assert images is not None
        options = self._options
        check.images_axes(images.shape)
        check.real_activation(options.activation, [images.dtype], "images")
        batch = self._layout_nhwc(images)
        geometry = self._geometry(batch.shape)
        dtype = np.result_type(images.dtype, *self._dtypes)
        shape = self._result_shape(geometry, len(images.shape))
        if residual is not None:
            check.residual_fits(residual, shape, dtype)
        if out is not None:
            check.out_fits(out, shape, dtype)
        if options.algorithm == "winograd":
            check.winograd_dtype(dtype)
        with np.errstate(all="ignore"):  # of weights that are converted
            microseconds, compute = self._computing(geometry, dtype, batch, out, residual)
        overlaps = out is not None and check.may_overlap_itself(out)
        if len(self._decisions) >= KEPT_LAYOUTS:
            self._decisions.clear()
        decision = Decision(shape, dtype, microseconds, overlaps, compute)
        self._decisions[key] = decision
        return decision

    def _computing(
        self,
        geometry: Geometry,
        dtype: np.dtype,
        images: Layout,
        out: Layout | None,
        residual: Layout | None,
    ) -> tuple[float, Compute]:
        """What computes, and how long it takes on one thread, roughly."""
        options, result = self._options, (geometry.n, geometry.oh, geometry.ow, geometry.o)
        name = "float32" if dtype == np.float16 else dtype.newbyteorder("=").name
        if 0 in result:
            return 0.0, lambda *_: None
        if geometry.depth == 0:
            return 0.0, self._fill(name)
        rung = ladder.rung(name)
        kernel = None if rung is None else self._kernel(rung, name)
        if kernel is None:
            if options.algorithm == "winograd":
                raise ValueError(
                    "algorithm 'winograd' needs compiled kernels or numba, "
                    f"and {ladder.active().name!r} computes: use 'auto'"
                )
            return 0.0, self._by_numpy(geometry, name)
        new = Layout.new(self._result_shape(geometry, 4), dtype)
        target = self._layout_nhwc(out or new)
        more = None if residual is None else self._layout_nhwc(residual)
        microseconds, compute = decide(kernel, geometry, images, target, more)
        return microseconds, compute if isinstance(compute, Whole) else self._of_nhwc(compute)

    def _of_nhwc(self, compute: Compute) -> Compute:
        """What computes from arrays of this layer's data format, made of what does from NHWC."""

        def computed(images, out, residual, threads: int) -> None:
            more = None if residual is None else self._nhwc(residual)
            compute(self._nhwc(images), self._nhwc(out), more, threads)

        return computed

    def _fill(self, dtype: str) -> Compute:
        bias, activation = self._bias, self._options.activation
        return self._of_nhwc(
            lambda _, out, residual, __: fallback.fill(bias, out, residual, activation, dtype)
        )

    def _by_numpy(self, geometry: Geometry, dtype: str) -> Compute:
        filters = self._weights.get((None, dtype))
        if filters is None:
            # Of the same dtype, too: `out` may lie on the user's.
            filters = self._weights[None, dtype] = copied(self._filters, dtype)
        bias, activation = self._bias, self._options.activation
        return self._of_nhwc(
            lambda images, out, residual, _: fallback.convolve(
                geometry, images, filters, bias, out, residual, activation
            )
        )

    def _kernel(self, rung: Rung, dtype: str) -> Kernel | None:
        """The kernel for a dtype, with the weights packed for it, kept; None where it fails."""
        kernel = self._weights.get((rung, dtype))
        if kernel is None:
            o = self._options
            kh, kw, channels, n_filters = self._filters.shape
            sizes = kh, kw, channels, n_filters, o.groups
            layer = Layer(*sizes, o.strides, o.dilations, o.algorithm)
            row = select(layer, dtype, rung.level)
            family, function = family_of(row), rung.kernel(row)
            if function is None:
                return None
            packed = pack(family.packing(row, layer), dtype, self._filters, self._bias)
            kernel = Kernel(row, family, function, packed, o.activation)
            self._weights[rung, dtype] = kernel
        return kernel


_kept: dict[tuple, Convolution] = {}


def kept(filters: np.ndarray, bias: np.ndarray | None, options: Options) -> Convolution:
    """A layer for one call; one of few weights is kept, known by their bytes."""
    n_bytes = filters.nbytes + (0 if bias is None else bias.nbytes)
    if n_bytes > KEPT_BYTES:
        return Convolution(filters, bias, options)
    weights = _frozen(filters), None if bias is None else _frozen(bias)
    key = options, weights
    layer = _kept.get(key)
    if layer is None:
        # Of the key's own bytes: the arrays may be changed meanwhile.
        own_bias = None if weights[1] is None else np.ndarray(*weights[1])
        layer = Convolution(np.ndarray(*weights[0]), own_bias, options)
        if len(_kept) >= KEPT_LAYERS:
            _kept.clear()
        _kept[key] = layer
    return layer


def _frozen(array: np.ndarray) -> tuple[tuple[int, ...], np.dtype, bytes]:
    """What ``np.ndarray`` makes the array from again; hashable."""
    return array.shape, array.dtype, array.tobytes()
