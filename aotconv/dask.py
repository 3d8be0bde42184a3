"""Convolutions, pools and filters of dask's arrays: larger than memory, or on many machines.

Each function is that of the same name in `aotconv` or `aotconv.ndimage`, lazily: the array of dask
that it gives has the bits of one call of that, however the arrays are cut (with
``algorithm="auto"``).  For each block of the result, dask reads exactly the elements that it is
made of, from whatever chunks they are in; no more of a neighbour is sent to another worker.

- ``images``, ``input``, ``residual`` and ``mask`` are dask's arrays, or what its `asarray` takes;
  filters, biases and weights are NumPy's.
- `threads`, of each task, is 1 where nothing else is said: dask runs tasks side by side.
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
from collections.abc import Callable
from typing import Any, ParamSpec, SupportsIndex, TypeAlias, TypeVar

try:
    import dask.array as _da
except ImportError as _error:
    raise ImportError('aotconv.dask needs dask: pip install "aotconv[dask]"') from _error

if getattr(_da, "ARRAY_EXPR_ENABLED", False):
    raise NotImplementedError(
        "aotconv.dask needs array.query-planning of dask's configuration to be False, got True"
    )

from . import conv, ndimage, pooling
from ._dask.arguments import settled
from ._dask.convolution import convolved
from ._dask.filters import filtered
from ._dask.pooling import pooled

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


def __dir__() -> list[str]:
    return __all__


_LAZY = {"images", "input", "residual", "mask"}
_DEPTH = inspect.Parameter("depth", inspect.Parameter.KEYWORD_ONLY, annotation=SupportsIndex)
_ROOMS = {
    ndimage.__name__: "aotconv.ndimage",
    conv.__name__: "aotconv",
    pooling.__name__: "aotconv",
}
_DOC = """`{room}.{name}` of an array of dask, lazily.

Arguments, results and errors are those of `{room}.{name}`, but that arrays of dask are taken and
given, `threads` is 1 by default, and nothing is written into an array that is there: see the text
of `aotconv.dask`.{more}
"""
_OF_DEPTH = """

Parameters
----------
depth : int
    As far as the function reads elements around each one, along any axis: nothing else can know."""
_P = ParamSpec("_P")
_R = TypeVar("_R")
# What puts a lazy function in the place of one that says its name.
_Door: TypeAlias = Callable[[Callable[[], None]], Callable[_P, _R]]


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

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> import aotconv.dask
    >>> layer = aotconv.Conv2D(np.ones((3, 3, 1, 8), np.float32), padding="same", strides=2)
    >>> image = da.ones((4000, 3000, 1), dtype="float32", chunks=(1000, 1000, 1))
    >>> aotconv.dask.apply(layer, image).chunks
    ((500, 500, 500, 500), (500, 500, 500), (8,))
    """
    if type(layer) not in (conv.Conv1D, conv.Conv2D, conv.Conv3D):
        raise TypeError(f"layer must be a Conv1D, Conv2D or Conv3D, got {type(layer).__name__}")
    return convolved(layer, images, residual)


def _lazily(
    function: Callable[_P, Any],
    compute: Callable[[dict[str, Any]], _R],
    *more: inspect.Parameter,
) -> Callable[_P, _R]:
    """A function of the doors for arrays of dask: what is computed of its arguments by name, to
    which there may be more."""
    signature = inspect.signature(function)
    parameters = [each for each in signature.parameters.values() if each.name != "out"]
    signature = inspect.Signature([*parameters, *more], return_annotation=_da.Array)
    others = [each.name for each in parameters if each.kind is each.VAR_KEYWORD]
    name = function.__name__

    def of_dask(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if kwargs.pop("out", None) is not None:
            raise TypeError("out must be None: what dask computes is new")
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}(): {error}") from None
        bound.apply_defaults()
        given = bound.arguments
        for each in others:
            given |= given.pop(each)
        given |= {each: settled(each, given[each]) for each in given.keys() - _LAZY}
        if "threads" in given:
            given["threads"] = 1 if given["threads"] is None else given["threads"]
        return compute(given)

    of_dask.__name__ = of_dask.__qualname__ = name
    about = {"room": _ROOMS[function.__module__], "name": name, "more": _OF_DEPTH if more else ""}
    of_dask.__doc__ = _DOC.format(**about)
    of_dask.__signature__ = signature  # type: ignore[attr-defined]
    return of_dask


def _convolution(
    function: Callable[_P, Any], kind: type[conv.Conv1D | conv.Conv2D | conv.Conv3D]
) -> _Door[_P, _da.Array]:
    def compute(given: dict[str, Any]) -> _da.Array:
        images, residual = given.pop("images"), given.pop("residual")
        return convolved(kind(**given), images, residual)

    return lambda _: _lazily(function, compute)


def _pool(rank: int, function: Callable[_P, Any]) -> _Door[_P, Any]:
    def compute(given: dict[str, Any]) -> Any:
        return pooled(rank, function, given.pop("images"), given)

    return lambda _: _lazily(function, compute)


def _filter(function: Callable[_P, Any], *more: inspect.Parameter) -> _Door[_P, _da.Array]:
    return lambda _: _lazily(function, lambda given: filtered(function, given), *more)


def _filter_of_depth(function: Callable[..., Any]) -> _Door[..., _da.Array]:
    return _filter(function, _DEPTH)


# Type checkers, and whoever looks for a definition, find the names as functions.
@_convolution(conv.conv1d, conv.Conv1D)
def conv1d() -> None: ...
@_convolution(conv.conv2d, conv.Conv2D)
def conv2d() -> None: ...
@_convolution(conv.conv3d, conv.Conv3D)
def conv3d() -> None: ...
@_pool(1, pooling.average_pool1d)
def average_pool1d() -> None: ...
@_pool(2, pooling.average_pool2d)
def average_pool2d() -> None: ...
@_pool(3, pooling.average_pool3d)
def average_pool3d() -> None: ...
@_pool(1, pooling.max_pool1d)
def max_pool1d() -> None: ...
@_pool(2, pooling.max_pool2d)
def max_pool2d() -> None: ...
@_pool(3, pooling.max_pool3d)
def max_pool3d() -> None: ...
@_filter(ndimage.convolve)
def convolve() -> None: ...
@_filter(ndimage.convolve1d)
def convolve1d() -> None: ...
@_filter(ndimage.correlate)
def correlate() -> None: ...
@_filter(ndimage.correlate1d)
def correlate1d() -> None: ...
@_filter(ndimage.correlate_separable)
def correlate_separable() -> None: ...
@_filter(ndimage.gaussian_filter)
def gaussian_filter() -> None: ...
@_filter(ndimage.gaussian_filter1d)
def gaussian_filter1d() -> None: ...
@_filter(ndimage.gaussian_gradient_magnitude)
def gaussian_gradient_magnitude() -> None: ...
@_filter(ndimage.gaussian_laplace)
def gaussian_laplace() -> None: ...
@_filter_of_depth(ndimage.generic_gradient_magnitude)
def generic_gradient_magnitude() -> None: ...
@_filter_of_depth(ndimage.generic_laplace)
def generic_laplace() -> None: ...
@_filter(ndimage.laplace)
def laplace() -> None: ...
@_filter(ndimage.prewitt)
def prewitt() -> None: ...
@_filter(ndimage.sobel)
def sobel() -> None: ...
@_filter(ndimage.uniform_filter)
def uniform_filter() -> None: ...
@_filter(ndimage.uniform_filter1d)
def uniform_filter1d() -> None: ...
