"""The front door: `conv2d` and `Conv2D`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np

from ._core import check, fallback, ladder, run, threads
from ._core import pack as packing
from ._core.ladder import Rung
from ._plan import select as plan
from ._plan.geometry import Geometry

if TYPE_CHECKING or np.__version__.startswith("1."):
    import numpy.typing  # NumPy 2 does when a hint is evaluated: import is spared a millisecond

Pair: TypeAlias = SupportsIndex | Sequence[SupportsIndex]
Padding: TypeAlias = (
    Literal["valid", "same", "same_lower", "VALID", "SAME", "SAME_LOWER"] | Pair | Sequence[Pair]
)
DataFormat: TypeAlias = Literal["NHWC", "NCHW", "channels_last", "channels_first"]
Activation: TypeAlias = Literal["relu", "relu6"]
Algorithm: TypeAlias = Literal["auto", "winograd"]


KEPT_LAYOUTS = 64  # a layer meets few layouts of images; one that meets many forgets them
KEPT_LAYERS, KEPT_BYTES = 64, 4096  # that conv2d keeps, and of the weights of each


class _Options(NamedTuple):
    """The options of a layer, checked, in their canonical form: equal where they mean the same."""

    strides: tuple[int, int]
    padding: Any
    dilations: tuple[int, int]
    groups: int
    data_format: str
    activation: str | None
    algorithm: str


def _checked(
    filters, bias, strides, padding, dilations, groups, data_format, activation, algorithm
):
    """The filters, the bias and the options."""
    filters = check.filters_array(filters)
    n_filters = filters.shape[3]
    bias = check.bias_array(bias, n_filters)
    options = _Options(
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


class _Prepared(NamedTuple):
    """What is known of a call from its arrays' layouts: all but where they are."""

    geometry: Geometry
    shape: tuple[int, ...]  # of the result
    dtype: np.dtype  # of the result
    compute: np.dtype
    kernel: run.Kernel | None  # None: NumPy
    microseconds: float  # on one thread, roughly
    out_overlaps_itself: bool
    calls: dict[int, run.Call]  # in place, by the number of threads


def _layout(array: np.ndarray | None):
    """All that a call depends on but the values and their address; hashable."""
    if array is None:
        return None
    return array.shape, array.strides, array.dtype, array.flags.num


class _Convolution:
    """Checked filters and options, and the weights packed for each kernel that asked for them."""

    def __init__(self, filters: np.ndarray, bias: np.ndarray | None, options: _Options) -> None:
        self._filters, self._bias, self._options = filters, bias, options
        self._dtypes = [each.dtype for each in (filters, bias) if each is not None]
        self._refuse_complex(self._dtypes, "filters or bias")
        self._kernels: dict[tuple[Rung, str], run.Kernel] = {}
        self._prepared: dict[tuple, _Prepared] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Packed weights are known by their address, which belongs to this object alone.
        return {**self.__dict__, "_kernels": {}, "_prepared": {}}

    def _refuse_complex(self, dtypes, names: str) -> None:
        activation = self._options.activation
        if activation is not None and any(dtype.kind == "c" for dtype in dtypes):
            raise TypeError(f"activation {activation!r} is not defined for complex {names}")

    def _geometry(self, shape: tuple[int, ...]) -> Geometry:
        """The sizes for images of a shape of 4 axes, in this layer's data format."""
        o = self._options
        if o.data_format == "NCHW":
            shape = (shape[0], *shape[2:], shape[1])
        sizes = shape, self._filters.shape
        return check.geometry(*sizes, o.strides, o.padding, o.dilations, o.groups)

    def _result_shape(self, geometry: Geometry, ndim: int) -> tuple[int, ...]:
        g = geometry
        nhwc = (g.n, g.oh, g.ow, g.o)
        shape = (g.n, g.o, g.oh, g.ow) if self._options.data_format == "NCHW" else nhwc
        return shape[4 - ndim :]

    def _prepare(self, key: tuple, images, out, residual) -> _Prepared:
        """Check all that depends on the arrays' layouts, and say what follows from them; kept."""
        check.images_axes(images)
        self._refuse_complex([images.dtype], "images")
        shape = images.shape if images.ndim == 4 else (1, *images.shape)
        geometry = self._geometry(shape)
        dtype = np.result_type(images.dtype, *self._dtypes)
        compute = np.dtype(np.float32) if dtype == np.float16 else dtype.newbyteorder("=")
        result_shape = self._result_shape(geometry, images.ndim)
        if residual is not None:
            check.residual_fits(residual, result_shape, dtype)
        if out is not None:
            check.out_fits(out, result_shape, dtype)
        winograd = self._options.algorithm == "winograd"
        if winograd:
            check.winograd_dtype(dtype)
        is_sum = geometry.depth > 0 and 0 not in result_shape
        name = compute.name
        rung = ladder.rung(name) if is_sum else None
        if winograd and is_sum and rung is None:
            raise ValueError(
                "algorithm 'winograd' needs compiled kernels or numba, "
                f"and {ladder.active().name!r} computes: use 'auto'"
            )
        kernel, microseconds = None, 0.0
        if rung is not None:
            kernel = self._kernels.get((rung, name)) or self._kernel(rung, name)
            microseconds = plan.estimate(kernel.row, geometry)
        overlaps = out is not None and check.may_overlap_itself(out)
        if len(self._prepared) >= KEPT_LAYOUTS:
            self._prepared.clear()
        prepared = self._prepared[key] = _Prepared(
            geometry, result_shape, dtype, compute, kernel, microseconds, overlaps, {}
        )
        return prepared

    def _run(self, images, out, residual, n_threads) -> np.ndarray:
        if n_threads is not None:
            n_threads = check.integer("threads", n_threads, 1)
        images = check.array("images", images)
        result = None if out is None else check.out_array(out)
        residual = None if residual is None else check.array("residual", residual)
        key = ladder.active().name, _layout(images), _layout(result), _layout(residual)
        prepared = self._prepared.get(key) or self._prepare(key, images, result, residual)

        if result is None:
            out = result = target = np.empty(prepared.shape, prepared.dtype)
        elif prepared.out_overlaps_itself or _share_memory(result, images, residual):
            target = np.empty(prepared.shape, prepared.dtype)
        else:
            target = result
        team = threads.count(n_threads, prepared.microseconds)
        call = prepared.calls.get(team) if target is result else None
        if call is not None:
            call(images, target, residual)
            return out
        call = self._compute(prepared, images, target, residual, team)
        if target is not result:
            result[...] = target
        elif call is not None:
            prepared.calls[team] = call
        return out

    def _nhwc(self, array: np.ndarray) -> np.ndarray:
        """Images, or a result, as an array (N, H, W, C)."""
        if array.ndim == 3:
            array = array[np.newaxis]
        return array.transpose(0, 2, 3, 1) if self._options.data_format == "NCHW" else array

    def _compute(self, prepared: _Prepared, images, out, residual, team: int) -> run.Call | None:
        """Convolve into `out`, which shares no memory with the others; return the call that can be
        made again on arrays of these layouts, if there is one."""
        if 0 in prepared.shape:
            return None
        geometry, kernel, activation = prepared.geometry, prepared.kernel, self._options.activation
        images, out = self._nhwc(images), self._nhwc(out)
        residual = None if residual is None else self._nhwc(residual)
        if kernel is not None:
            return run.convolve(kernel, geometry, images, out, residual, team)
        if geometry.depth == 0:
            fallback.fill(self._bias, out, residual, activation, prepared.compute)
        else:
            filters = self._filters.astype(prepared.compute, copy=False)
            fallback.convolve(geometry, images, filters, self._bias, out, residual, activation)
        return None

    def _kernel(self, rung: Rung, dtype: str) -> run.Kernel:
        """The kernel for a dtype, with the weights packed for it; kept."""
        o = self._options
        layer = plan.Layer.of(self._filters, o.groups, o.strides, o.dilations)
        if o.algorithm == "winograd":
            row = plan.winograd(dtype, rung.level)
        else:
            row = plan.select(layer, dtype, rung.level)
        packed = packing.pack(row, self._filters, self._bias, o.groups)
        kernel = run.Kernel(row, rung.kernel(row), packed, o.activation, {})
        self._kernels[rung, dtype] = kernel
        return kernel


def _share_memory(result: np.ndarray, images: np.ndarray, residual: np.ndarray | None) -> bool:
    """Whether a result would be written where something is read.  Kernels compute some elements
    twice, so a residual in the elements' own places is no exception."""
    return np.may_share_memory(result, images) or (
        residual is not None and np.may_share_memory(result, residual)
    )


_layers: dict[tuple, _Convolution] = {}


def _layer(filters: np.ndarray, bias: np.ndarray | None, options: _Options) -> _Convolution:
    """A layer for one call of `conv2d`; one of few weights is kept, known by their bytes."""
    n_bytes = filters.nbytes + (0 if bias is None else bias.nbytes)
    if n_bytes > KEPT_BYTES:
        return _Convolution(filters, bias, options)
    weights = _frozen(filters), None if bias is None else _frozen(bias)
    key = options, weights
    layer = _layers.get(key)
    if layer is None:
        # Of the key's own bytes: the arrays may be changed meanwhile.
        own_bias = None if weights[1] is None else np.ndarray(*weights[1])
        layer = _Convolution(np.ndarray(*weights[0]), own_bias, options)
        if len(_layers) >= KEPT_LAYERS:
            _layers.clear()
        _layers[key] = layer
    return layer


def _frozen(array: np.ndarray) -> tuple[tuple[int, ...], np.dtype, bytes]:
    """What ``np.ndarray`` makes the array from again; hashable."""
    return array.shape, array.dtype, array.tobytes()


class Conv2D(_Convolution):
    """A convolution whose weights are packed once and that is called many times.

    The arguments are those of `conv2d`; the arrays are copied, so changing them later does not
    change the layer.  A layer may be called from several threads at once.

    Parameters
    ----------
    filters : array_like, shape (KH, KW, C / groups, O)
    bias : array_like, shape (O,), optional
    strides, padding, dilations, groups, data_format, activation, algorithm
        As in `conv2d`.
    threads : int, optional
        The default of the layer's calls.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> layer = aotconv.Conv2D(np.ones((3, 3, 1, 8), np.float32), padding="same")
    >>> layer(np.ones((2, 5, 5, 1), np.float32)).shape
    (2, 5, 5, 8)
    >>> layer.output_shape((1, 100, 50, 1))
    (1, 100, 50, 8)
    """

    def __init__(
        self,
        filters: np.typing.ArrayLike,
        bias: np.typing.ArrayLike | None = None,
        strides: Pair = 1,
        padding: Padding = "valid",
        *,
        dilations: Pair = 1,
        groups: int = 1,
        data_format: DataFormat = "NHWC",
        activation: Activation | None = None,
        threads: int | None = None,
        algorithm: Algorithm = "auto",
    ) -> None:
        own_filters, own_bias, own_options = _checked(
            filters, bias, strides, padding, dilations, groups, data_format, activation, algorithm
        )
        own_bias = None if own_bias is None else own_bias.copy()
        super().__init__(own_filters.copy(), own_bias, own_options)
        self._n_threads = None if threads is None else check.integer("threads", threads, 1)

    def __call__(
        self,
        images: np.typing.ArrayLike,
        out: np.typing.NDArray[Any] | None = None,
        threads: int | None = None,
        *,
        residual: np.typing.ArrayLike | None = None,
    ) -> np.typing.NDArray[Any]:
        """Convolve `images`, as `conv2d` does.

        Parameters
        ----------
        images : array_like, shape (N, H, W, C) or (H, W, C)
            In the layer's data format.
        out : ndarray, optional
            Where the result is written, as in `conv2d`.
        threads : int, optional
            For this call, instead of the layer's own.
        residual : array_like, of the result's shape, optional
            Added before the activation, as in `conv2d`.

        Returns
        -------
        ndarray
            `out` if it was given.
        """
        return self._run(images, out, residual, self._n_threads if threads is None else threads)

    def output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of the result for images of a shape.

        Parameters
        ----------
        shape : tuple of int
            Of 4 axes, or 3 for one image, in the layer's data format.

        Returns
        -------
        tuple of int
        """
        sizes = check.images_shape(shape)
        batch = sizes if len(sizes) == 4 else (1, *sizes)
        return self._result_shape(self._geometry(batch), len(sizes))

    def __repr__(self) -> str:
        parts = [f"filters {self._filters.shape} {self._filters.dtype}"]
        if self._bias is not None:
            parts.append("bias")
        parts += [f"{name}={value!r}" for name, value in self._options._asdict().items()]
        return f"Conv2D({', '.join(parts)})"


def conv2d(
    images: np.typing.ArrayLike,
    filters: np.typing.ArrayLike,
    bias: np.typing.ArrayLike | None = None,
    strides: Pair = 1,
    padding: Padding = "valid",
    *,
    dilations: Pair = 1,
    groups: int = 1,
    data_format: DataFormat = "NHWC",
    activation: Activation | None = None,
    residual: np.typing.ArrayLike | None = None,
    out: np.typing.NDArray[Any] | None = None,
    threads: int | None = None,
    algorithm: Algorithm = "auto",
) -> np.typing.NDArray[Any]:
    """Convolve images with filters.

    As in neural networks, the filters are not flipped::

        out[n, y, x, o] = act(residual[n, y, x, o] + bias[o] + sum over i, j, c of
            images[n, y * sh + i * dh, x * sw + j * dw, c] * filters[i, j, c, o])

    where strides are (sh, sw) and dilations (dh, dw), the images are surrounded with zeros as
    `padding` says, and c runs over the channels of o's group.

    Parameters
    ----------
    images : array_like, shape (N, H, W, C) or (H, W, C)
        A batch, or one image.  With `data_format` "NCHW": (N, C, H, W) or (C, H, W).
    filters : array_like, shape (KH, KW, C / groups, O)
        In both data formats.
    bias : array_like, shape (O,), optional
        Added to each pixel of the result.
    strides : int or pair of int
        Pixels from one window to the next, down and to the right.
    padding : {"valid", "same", "same_lower"}, int, (int, int) or ((int, int), (int, int))
        Zeros around the images.  Case does not matter.

        - "valid": none.
        - "same": as many as give ``ceil(size / stride)`` pixels, an odd one behind: TensorFlow's
          rule.  "same_lower": an odd one in front.
        - One number: on all four sides.  Two: (top and bottom, left and right).
        - ((top, bottom), (left, right)).
    dilations : int or pair of int
        Pixels from one tap of a filter to the next, down and to the right.
    groups : int
        The channels are cut into this many groups and the filters too; each group of filters sees
        its own group of channels.  With as many groups as channels: depthwise convolution.
    data_format : {"NHWC", "NCHW", "channels_last", "channels_first"}
        The order of the axes of `images` and of the result.
    activation : {None, "relu", "relu6"}
        What is done to each value of the result: nothing, ``max(x, 0)``, ``min(max(x, 0), 6)``.
    residual : array_like, of the result's shape, optional
        Added to the sums before the activation, as the shortcut of a residual network is.  It has
        no say in the result's dtype, to which it is cast; nothing is broadcast.
    out : ndarray, optional
        Where the result is written: of its shape and dtype, with any strides.  It may overlap
        the other arrays.
    threads : int, optional
        How many threads compute; by default as many as the work is worth, `get_num_threads` at
        most.  The result does not depend on it.
    algorithm : {"auto", "winograd"}
        "auto": the products of the formula above, summed.  "winograd": Winograd's minimal
        filtering F(4x4, 3x3) [1]_, with a quarter of the products and rounding errors of another
        kind (Notes), for filters of 3 x 3, strides, dilations and groups of 1, and results of
        float32 or float64.

    Returns
    -------
    ndarray, shape (N, OH, OW, O), or without N, or with channels first as `images` are
        `out` if it was given.  Its dtype is NumPy's common one of images, filters and bias.
        float16 is computed in float32; integers wrap.

    Raises
    ------
    TypeError
        An argument of the wrong type; arrays of booleans, objects or strings, or with a mask;
        an activation of complex numbers; a residual whose dtype cannot be cast to the result's
        within its kind.
    ValueError
        Sizes that do not fit together; an algorithm that does not apply.  Nothing has been written
        into `out` then.

    Warns
    -----
    FallbackWarning
        Once, where no compiled kernel can run, or none is for the dtype.

    See Also
    --------
    Conv2D : keeps the packed weights for many calls.

    Notes
    -----
    With algorithm "winograd" each output y of C channels differs from the exact value by no more
    than ``eps * (C + 28) * (282 * C * max|x| * max|w| + |bias| + |residual|)``, short of overflow:
    values in between are up to ``564 * C * max|x| * max|w|``.  On standard normal data errors are
    about twice those of "auto" (HACKING.md has figures; for their kind see [2]_).  Sums of
    integers are not exact.  Outputs are computed in tiles of 4 x 4, and all that share a tile
    with one whose window holds a NaN or an infinity may be NaN.

    References
    ----------
    .. [1] A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
    .. [2] B. Barabasz, A. Anderson, K. M. Soodhalter, D. Gregg, "Error Analysis and Improving the
       Accuracy of Winograd Convolution for Deep Neural Networks", ACM TOMS 46(4), 2020.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv
    >>> images = np.ones((32, 28, 28, 3), np.float32)
    >>> filters = np.ones((4, 4, 3, 4), np.float32)
    >>> biases = np.arange(4, dtype=np.float32)
    >>> result = aotconv.conv2d(images, filters, biases, (1, 1))
    >>> result.shape
    (32, 25, 25, 4)
    >>> result[0, 0, 0]
    array([48., 49., 50., 51.], dtype=float32)
    """
    layer = _layer(
        *_checked(
            filters, bias, strides, padding, dilations, groups, data_format, activation, algorithm
        )
    )
    return layer._run(images, out, residual, threads)
