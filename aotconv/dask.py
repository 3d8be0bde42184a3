"""Convolutions, pools and filters of dask's arrays: larger than memory, or on many machines.

Each function is that of the same name in `aotconv` or `aotconv.ndimage`, lazily: the array of dask
that it gives has the bits of one call of that, however the arrays are cut (with
``algorithm="auto"``).  For each block of the result, dask reads exactly the elements that it is
made of, from whatever chunks they are in; no more of a neighbour is sent to another worker.

- ``images``, ``input``, ``residual`` and ``mask`` are dask's arrays, or what its `asarray` takes;
  filters, biases and weights are NumPy's.
- `threads`, of a task, is 1 where nothing else is said: dask runs tasks side by side.
- There is no `out`, and `output` is a dtype.
- Channels that are summed are put into one chunk, if they are in several.
- Chunks of the result are those of the input; where windows leave fewer elements or more, each
  belongs to the chunk in which the middle of its window lies.

It needs dask: ``pip install "aotconv[dask]"``.

Examples
--------
>>> import dask.array as da
>>> import aotconv.dask
>>> image = da.arange(60_000, chunks=7_000).reshape(300, 200).astype("float32")
>>> smooth = aotconv.dask.gaussian_filter(image, 2.0, mode="wrap")
>>> smooth.shape, smooth.dtype
((300, 200), dtype('float32'))
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, ParamSpec, SupportsIndex

try:
    import dask.array as _da
except ImportError as error:
    raise ImportError('aotconv.dask needs dask: pip install "aotconv[dask]"') from error

if getattr(_da, "ARRAY_EXPR_ENABLED", False):
    raise NotImplementedError(
        "aotconv.dask needs array.query-planning of dask's configuration to be False, got True"
    )

from . import conv, ndimage, pooling
from ._dask.convolution import convolved
from ._dask.filters import filtered
from ._dask.pooling import pooled

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "apply",
    "average_pool1d",
    "average_pool2d",
    "average_pool3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "convolve",
    "convolve1d",
    "correlate",
    "correlate1d",
    "correlate_separable",
    "gaussian_filter",
    "gaussian_filter1d",
    "gaussian_gradient_magnitude",
    "gaussian_laplace",
    "generic_gradient_magnitude",
    "generic_laplace",
    "laplace",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "prewitt",
    "sobel",
    "uniform_filter",
    "uniform_filter1d",
]

LAZY = ("images", "input", "residual", "mask")
_P = ParamSpec("_P")


def apply(
    layer: conv.Conv1D | conv.Conv2D | conv.Conv3D, images: Any, *, residual: Any = None
) -> _da.Array:
    """Convolve an array of dask by a layer, lazily.

    Parameters
    ----------
    layer : Conv1D, Conv2D or Conv3D
        Its tasks use one thread each, unless it says how many.
    images : dask array
        With any leading axes, in the layer's data format.
    residual : dask array, of the result's shape, optional
        Added before the activation, as in `conv2d`.

    Returns
    -------
    dask array
        With the bits of ``layer(images, residual=residual)``.

    Raises
    ------
    TypeError, ValueError
        What a call of the layer refuses; and chunks of unknown sizes, or of other arrays than
        NumPy's.
    """
    if not isinstance(layer, conv.ForwardLayer):
        raise TypeError(f"layer must be a Conv1D, Conv2D or Conv3D, got {type(layer).__name__}")
    return convolved(layer, images, residual)


def _lazily(
    function: Callable[_P, Any], compute: Callable[[dict[str, Any]], _da.Array]
) -> Callable[_P, _da.Array]:
    """A function of the doors for arrays of dask: what is computed of its arguments by name."""
    signature = inspect.signature(function)
    named = (each for each in signature.parameters.values() if each.name != "out")
    parameters = [each.replace(default=1) if each.name == "threads" else each for each in named]
    signature = signature.replace(parameters=parameters)
    others = [each.name for each in parameters if each.kind is each.VAR_KEYWORD]
    room = "aotconv.ndimage" if function.__module__ == ndimage.__name__ else "aotconv"

    def of_dask(*args: _P.args, **kwargs: _P.kwargs) -> _da.Array:
        if kwargs.pop("out", None) is not None:
            raise TypeError("out must be None: what dask computes is new")
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        for name in others:
            given |= given.pop(name)
        for name, each in given.items():
            if isinstance(each, _da.Array) and name not in LAZY:
                raise TypeError(f"{name} must be no array of dask: its compute() gives NumPy's")
        return compute(given)

    of_dask.__name__ = of_dask.__qualname__ = function.__name__
    of_dask.__doc__ = f"`{room}.{function.__name__}` of an array of dask, lazily: see there."
    of_dask.__signature__ = signature  # type: ignore[attr-defined]
    return of_dask


def _convolution(
    function: Callable[_P, Any], kind: type[conv.Conv1D | conv.Conv2D | conv.Conv3D]
) -> Callable[_P, _da.Array]:
    def compute(given: dict[str, Any]) -> _da.Array:
        images, residual = given.pop("images"), given.pop("residual")
        return convolved(kind(**given), images, residual)

    return _lazily(function, compute)


def _pool(rank: int, function: Callable[_P, Any]) -> Callable[_P, _da.Array]:
    return _lazily(function, lambda given: pooled(rank, function, given.pop("images"), given))


def _filter(function: Callable[_P, Any]) -> Callable[_P, _da.Array]:
    return _lazily(function, lambda given: filtered(function, given))


conv1d = _convolution(conv.conv1d, conv.Conv1D)
conv2d = _convolution(conv.conv2d, conv.Conv2D)
conv3d = _convolution(conv.conv3d, conv.Conv3D)

average_pool1d = _pool(1, pooling.average_pool1d)
average_pool2d = _pool(2, pooling.average_pool2d)
average_pool3d = _pool(3, pooling.average_pool3d)
max_pool1d = _pool(1, pooling.max_pool1d)
max_pool2d = _pool(2, pooling.max_pool2d)
max_pool3d = _pool(3, pooling.max_pool3d)

convolve = _filter(ndimage.convolve)
convolve1d = _filter(ndimage.convolve1d)
correlate = _filter(ndimage.correlate)
correlate1d = _filter(ndimage.correlate1d)
correlate_separable = _filter(ndimage.correlate_separable)
gaussian_filter = _filter(ndimage.gaussian_filter)
gaussian_filter1d = _filter(ndimage.gaussian_filter1d)
gaussian_gradient_magnitude = _filter(ndimage.gaussian_gradient_magnitude)
gaussian_laplace = _filter(ndimage.gaussian_laplace)
laplace = _filter(ndimage.laplace)
prewitt = _filter(ndimage.prewitt)
sobel = _filter(ndimage.sobel)
uniform_filter = _filter(ndimage.uniform_filter)
uniform_filter1d = _filter(ndimage.uniform_filter1d)


def _by_derivatives(function: Callable[..., Any], given: dict[str, Any]) -> _da.Array:
    depth = index(given["depth"])
    if depth < 0:
        raise ValueError(f"depth must be 0 or more elements, got {depth}")
    return filtered(function, {**given, "depth": depth})


def generic_laplace(
    input: Any,
    derivative2: Callable[..., npt.NDArray[Any]],
    output: npt.DTypeLike | None = None,
    mode: ndimage.Modes = "reflect",
    cval: complex = 0.0,
    extra_arguments: Sequence[Any] = (),
    extra_keywords: Mapping[str, Any] | None = None,
    *,
    axes: ndimage.Axes = None,
    depth: SupportsIndex,
) -> _da.Array:
    """`aotconv.ndimage.generic_laplace` of an array of dask, lazily: see there.

    Parameters
    ----------
    depth : int
        As far as `derivative2` reads elements around each one, along any axis.
    """
    return _by_derivatives(ndimage.generic_laplace, locals())


def generic_gradient_magnitude(
    input: Any,
    derivative: Callable[..., npt.NDArray[Any]],
    output: npt.DTypeLike | None = None,
    mode: ndimage.Modes = "reflect",
    cval: complex = 0.0,
    extra_arguments: Sequence[Any] = (),
    extra_keywords: Mapping[str, Any] | None = None,
    *,
    axes: ndimage.Axes = None,
    depth: SupportsIndex,
) -> _da.Array:
    """`aotconv.ndimage.generic_gradient_magnitude` of an array of dask, lazily: see there.

    Parameters
    ----------
    depth : int
        As far as `derivative` reads elements around each one, along any axis.
    """
    return _by_derivatives(ndimage.generic_gradient_magnitude, locals())
