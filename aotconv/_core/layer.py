"""A layer: filters, a bias and options that were checked, and what was decided for the arrays that
it has met.

All that a call depends on but values and addresses is in its arrays' layouts.  For layouts that are
new, `Convolution` decides once, before anything is touched: whether the call is right, and the one
function that computes it.
"""

import copy
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .._plan.activations import Activation
from .._plan.geometry import RANK, Geometry
from . import check, fallback, ladder, threads
from .dtypes import Reach, computed_in, native_name
from .jobs import Layouts
from .kernels import Kernels
from .layout import Layout, View
from .pack import convert, copied
from .repeat import Expected, Known, know
from .run import Compute, Whole

KEPT_LAYOUTS = 64  # a layer meets few layouts; one that meets many forgets them


# What makes a layer, as a function's user gave it, in the order of `checked`.
Arguments: TypeAlias = tuple[Any, ...]
FILTER_FORMAT = 9
CONSTANTS = int, float, str, bool, type(None)  # which say the same as long as they are the same


class Options(NamedTuple):
    """The options of a layer, checked, in their canonical form: equal where they mean the same."""

    strides: tuple[int, ...]
    padding: Any
    dilations: tuple[int, ...]
    groups: int
    data_format: str
    activation: Activation
    algorithm: str


def checked(
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
) -> tuple[np.ndarray, np.ndarray | None, Options]:
    """What makes a layer of so many spatial axes, of arguments as the user gave them."""
    check.not_built(padding_mode, padding_value, dtype, saturate)
    filters = check.filters_array(filters, check.filter_format(filter_format, rank))
    n_filters = filters.shape[-1]
    bias = check.bias_array(bias, n_filters)
    options = Options(
        check.numbers("strides", strides, rank, 1),
        check.padding(padding, rank),
        check.numbers("dilations", dilations, rank, 1),
        check.filter_groups(groups, n_filters),
        check.data_format(data_format, rank),
        check.activation(activation),
        check.algorithm(algorithm),
    )
    if options.algorithm == "winograd":
        o = options
        check.winograd_layer(filters.shape[:-2], o.strides, o.dilations, o.groups)
    return filters, bias, options


class Decision:
    """What follows from the layouts of a call's arrays.

    Attributes
    ----------
    layouts : Layouts
        Of the arrays as users have them; of a result that is to be allocated, too.
    microseconds : float
        On one thread, roughly.
    out_overlaps_itself : bool
    compute : callable
    known : Known or None
        The call of a layer, once it was made twice.
    known_function : Known or None
        The same call of a function, with all that this was given; once it was made twice.
    """

    def __init__(
        self, layouts: Layouts, microseconds: float, out_overlaps_itself: bool, compute: Compute
    ) -> None:
        self.layouts, self.microseconds = layouts, microseconds
        self.out_overlaps_itself, self.compute = out_overlaps_itself, compute
        self.known: Known | None = None
        self.known_function: Known | None = None
        self._times, self._was_of_function = 0, False

    def was_made(self) -> None:
        """Make the call known at its second time: most calls are made once."""
        self._times += 1
        if self._times != 2:
            return
        jobs = self.compute.jobs if isinstance(self.compute, Whole) else None
        images, out, residual = self.layouts
        if jobs and residual is None and not self.out_overlaps_itself:
            self.known = know(jobs, images, out)

    def was_of_function(self, others: Callable[[], Sequence[Any] | None]) -> None:
        """Make the call known as a function's, of `others` beside images and out; only of the first
        ones, where several mean the same."""
        if self.known is None or self._was_of_function:
            return
        self._was_of_function, given = True, others()
        if given is not None and isinstance(self.compute, Whole) and self.compute.jobs:
            images, out, _ = self.layouts
            self.known_function = know(self.compute.jobs, images, out, given)


def _layout(array: np.ndarray) -> tuple:
    """What a `Layout` is made of; a plain tuple is made in half the time."""
    return array.shape, array.strides, array.dtype, array.flags.num


class Convolution:
    """Checked filters and options, and what was decided for the arrays that they met."""

    def __init__(self, filters: np.ndarray, bias: np.ndarray | None, options: Options) -> None:
        self._filters, self._bias, self._options = filters, bias, options
        self._rank = filters.ndim - 2
        self._dtypes = [each.dtype for each in (filters, bias) if each is not None]
        check.real_activation(options.activation, self._dtypes, "filters or bias")
        self._reach = Reach(filters, bias)
        self._kernels = Kernels(filters, bias, options.activation, options.algorithm)
        self._copies: dict[str, np.ndarray] = {}  # of the filters, for NumPy
        self._decisions: dict[tuple, Decision] = {}
        self._kernels_alone = True  # whether nothing that was decided holds weights but these
        # By what `use` says: what was decided for the last tiny call.
        self._last: dict[ladder.Implementation | None, Decision] = {}

    def __getstate__(self) -> dict[str, Any]:
        kernels = copy.copy(self._kernels)  # with weights of its own
        mine = {"_kernels": kernels, "_copies": {}, "_decisions": {}, "_last": {}}
        return {**self.__dict__, **mine}

    def repeated(self, images, out) -> np.ndarray | None:
        """The result of a call like the last one, if it is one: compiled code looks at all that
        the result depends on."""
        last = self._last.get(ladder.forced())
        if last is None or last.known is None:
            return None
        repeat, call, shape, dtype, _ = last.known
        result = np.empty(shape, dtype) if out is None else out
        return result if repeat(call, images, result) else None

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
            new = decision.layouts.out
            out = result = np.empty(new.shape, new.dtype)
        elif (
            # Kernels compute some elements twice, so the residual is no exception.
            np.may_share_memory(result, images)
            or (residual is not None and np.may_share_memory(result, residual))
            or decision.out_overlaps_itself
        ):
            convert(self.convolve(images, None, residual, n_threads), result)
            return out
        compute, microseconds = decision.compute, decision.microseconds
        # Here, not in `share`: a tiny call takes 3 microseconds, another function's 0.1.
        if n_threads is not None:
            compute(images, result, residual, threads.at_most(n_threads))
        elif microseconds < threads.WORTH_SHARING:
            compute(images, result, residual, 1)
            decision.was_made()
            self._last[ladder.forced()] = decision
        else:
            threads.share(compute, microseconds, images, result, residual)
        return out

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
        last = self._last.get(ladder.forced())
        if last is None:
            return None
        last.was_of_function(lambda: self._others(arguments))
        return last.known_function

    def _others(self, arguments: Arguments) -> Sequence[Any] | None:
        """Arguments of a function as `know` wants them; None where one may change its meaning."""
        options = arguments[2:]
        parts = [part for each in options for part in (each if type(each) is tuple else (each,))]
        parts = [part for each in parts for part in (each if type(each) is tuple else (each,))]
        if not all(type(part) in CONSTANTS for part in parts):
            return None
        filters = self._filters
        if not check.filter_format(arguments[FILTER_FORMAT], self._rank).endswith("IO"):
            filters = copied(filters.transpose(-1, -2, *range(self._rank)))
        weights = [
            None if each is None else Expected.holding(each) for each in (filters, self._bias)
        ]
        return *weights, *options

    def result_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The result's shape for images of a shape."""
        return self._result_shape(self._geometry(shape), shape)

    def _channels_first(self) -> bool:
        return not self._options.data_format.endswith("C")

    def _geometry(self, shape: tuple[int, ...]) -> Geometry:
        """The sizes for images of a shape, leading axes taken as one."""
        sizes, o = list(shape), self._options
        if self._channels_first():
            sizes.append(sizes.pop(-self._rank - 1))
        filters = self._filters.shape
        return check.geometry(tuple(sizes), filters, o.strides, o.padding, o.dilations, o.groups)

    def _result_shape(self, geometry: Geometry, shape: tuple[int, ...]) -> tuple[int, ...]:
        outs = tuple(axis.out for axis in geometry.axes[RANK - self._rank :])
        leading, o = shape[: len(shape) - self._rank - 1], geometry.o
        return (*leading, o, *outs) if self._channels_first() else (*leading, *outs, o)

    def _decide(self, key: tuple) -> Decision:
        """Check all that depends on layouts, and decide what computes; kept."""
        images, out, residual = (None if each is None else Layout(*each) for each in key[1:])
        assert images is not None
        options = self._options
        check.images_axes(images.shape, self._rank)
        check.real_activation(options.activation, [images.dtype], "images")
        geometry = self._geometry(images.shape)
        dtype = np.result_type(images.dtype, *self._dtypes)
        check.float_activation(options.activation, dtype)
        shape = self._result_shape(geometry, images.shape)
        if residual is not None:
            check.residual_fits(residual, shape, dtype)
        if out is not None:
            check.out_fits(out, shape, dtype)
        if options.algorithm == "winograd":
            check.winograd_dtype(dtype)
        with np.errstate(all="ignore"):  # of weights that are converted
            arrays = Layouts(images, out or Layout.new(shape, dtype), residual)
            microseconds, compute = self._computing(geometry, dtype, arrays)
        overlaps = out is not None and check.may_overlap_itself(out)
        if len(self._decisions) >= KEPT_LAYOUTS:
            self._decisions.clear()
        decision = Decision(arrays, microseconds, overlaps, compute)
        self._decisions[key] = decision
        return decision

    def _computing(
        self, geometry: Geometry, dtype: np.dtype, arrays: Layouts
    ) -> tuple[float, Compute]:
        """What computes, and how long it takes on one thread, roughly."""
        if 0 in arrays.out.shape:
            return 0.0, lambda *_: None
        residual = None if arrays.residual is None else arrays.residual.dtype
        computed = computed_in(dtype, arrays.images.dtype, residual, self._reach)
        exact = native_name(dtype) if dtype.kind in "iuc" else computed  # NumPy computes these, too
        if geometry.products == 0:
            return 0.0, self._fill(exact)
        present = [each for each in arrays if each is not None]
        view = View.of(present, self._rank, self._channels_first())
        times = prod(view.outer)
        geometry = geometry._replace(n=geometry.n // times)
        rung = ladder.rung(computed)
        found = (
            None if rung is None else self._kernels.decide(rung, computed, geometry, arrays, view)
        )
        if found is not None:
            microseconds, compute, view = found
            if isinstance(compute, Whole) and not view.outer:
                return microseconds, compute
            return microseconds * times, _of_views(compute, view)
        if self._options.algorithm == "winograd":
            raise ValueError(
                "algorithm 'winograd' needs compiled kernels or numba, "
                f"and {ladder.active().name!r} computes: use 'auto'"
            )
        return 0.0, _of_views(self._by_numpy(geometry, exact), view)

    def _fill(self, dtype: str) -> Compute:
        """What a convolution without channels gives."""
        self._kernels_alone = False
        bias, activation = self._bias, self._options.activation
        if bias is not None and self._channels_first():
            bias = bias.reshape(-1, *[1] * self._rank)
        return lambda _, out, residual, __: fallback.fill(bias, out, residual, activation, dtype)

    def _by_numpy(self, geometry: Geometry, dtype: str) -> Compute:
        self._kernels_alone = False
        filters = self._copies.get(dtype)
        if filters is None:
            # Of the same dtype, too: `out` may lie on the user's.
            filters = self._copies[dtype] = copied(self._filters, dtype)
        bias, activation = self._bias, self._options.activation
        return lambda images, out, residual, _: fallback.convolve(
            geometry, images, filters, bias, out, residual, activation
        )


def _of_views(compute: Compute, view: View) -> Compute:
    """What computes from arrays as users have them, made of what does from views of them."""

    def computed(images, out, residual, threads: int) -> None:
        for index in np.ndindex(*view.outer):
            more = None if residual is None else view.array(residual[index])
            compute(view.array(images[index]), view.array(out[index]), more, threads)

    return computed
