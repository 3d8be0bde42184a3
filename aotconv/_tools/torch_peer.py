"""PyTorch as a peer: each operator by the function that users call, or that autograd does, in both
orders of memory, and with packed weights where it can pack them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .peer import (
    Contender,
    Setting,
    Unsuitable,
    channels_first,
    channels_last,
    outputs_first,
    outputs_last,
    steps,
)

if TYPE_CHECKING:
    from .problem import Layer, Problem


@functools.cache
def inference_mode() -> Any:
    """Enter it for the life of this process: entering it in each call takes microseconds."""
    import torch

    mode = torch.inference_mode()
    mode.__enter__()
    return mode  # kept, because it ends with this object


def prepared(setting: Setting) -> Any:
    """PyTorch, ready to be timed."""
    import torch

    inference_mode()
    torch.set_num_threads(setting.threads)
    return torch


def last(rank: int) -> Any:
    """PyTorch's order of memory with channels last, if it has one for the rank."""
    import torch

    return {2: torch.channels_last, 3: torch.channels_last_3d}.get(rank)


def in_both_orders(
    problem: Problem,
    compute: Callable[..., Any],
    *arrays: NDArray[Any],
    back: Callable[[Any], NDArray[Any]] = channels_last,
) -> dict[str, Contender]:
    """A function of arrays, whose channels are first, in both orders of memory; `back` makes its
    result channels or filters last."""
    import torch

    orders = {"channels_first": torch.contiguous_format, "channels_last": last(problem.layer.rank)}
    tensors = list(map(torch.from_numpy, arrays))
    contenders = {}
    for name, order in orders.items():
        if order is not None:
            given = [tensor.contiguous(memory_format=order) for tensor in tensors]
            call = functools.partial(compute, *given)
            contenders[f"torch {name}"] = Contender(problem, call, lambda out: back(out.numpy()))
    return contenders


def with_packed(
    problem: Problem,
    contenders: dict[str, Contender],
    pack: Callable[[], tuple[Callable[..., Any], Any]],
    images: NDArray[Any],
    *others: Any,
) -> dict[str, Contender]:
    """The same and, if `pack` can make a function and packed weights, the function of images, these
    weights and the others.

    Both are private: torch.compile calls them where weights are frozen.
    """
    import torch

    try:
        convolve, weights = pack()
    except (AttributeError, NotImplementedError, RuntimeError):
        return contenders
    given = torch.from_numpy(images).contiguous(memory_format=last(problem.layer.rank))
    call = functools.partial(convolve, given, weights, *others, "none", [], "")
    packed = Contender(problem, call, lambda out: channels_last(out.numpy()))
    return {**contenders, "torch prepacked": packed}


def pads(layer: Layer) -> tuple[int, ...]:
    """The padding of each axis, which must be the same at both ends."""
    if any(before != behind for before, behind in layer.pads):
        raise Unsuitable("it pads both ends alike")
    return tuple(before for before, _ in layer.pads)


def convolution(problem: Problem, setting: Setting) -> dict[str, Contender]:
    torch = prepared(setting)
    layer, bias = problem.layer, torch.from_numpy(problem.bias)
    strides, dilations = steps(layer)
    convolved, padding = getattr(torch, f"conv{layer.rank}d"), pads(layer)

    def convolve(images: Any, filters: Any) -> Any:
        return convolved(images, filters, bias, strides, padding, dilations, layer.groups)

    arrays = channels_first(problem.images), outputs_first(problem.filters)
    contenders = in_both_orders(problem, convolve, *arrays)
    if last(layer.rank) is None:
        return contenders
    geometry = padding, strides, dilations, layer.groups

    def pack() -> tuple[Callable[..., Any], Any]:
        pack = getattr(torch._C._nn, f"mkldnn_reorder_conv{layer.rank}d_weight")
        filters = torch.from_numpy(arrays[1]).to_mkldnn()
        packed = pack(filters, *geometry, list(arrays[0].shape))
        return torch.ops.mkldnn._convolution_pointwise.default, packed

    return with_packed(problem, contenders, pack, arrays[0], bias, *geometry)


def transposed(problem: Problem, setting: Setting) -> dict[str, Contender]:
    torch = prepared(setting)
    layer, bias = problem.layer, torch.from_numpy(problem.bias)
    strides, dilations = steps(layer)
    padding = tuple(before for before, _ in layer.pads)
    more = tuple(before - behind for before, behind in layer.pads)
    if not all(0 <= n < max(each) for n, *each in zip(more, strides, dilations, strict=True)):
        raise Unsuitable("it cuts both ends alike, or less than a stride fewer behind")
    transpose = getattr(torch.nn.functional, f"conv_transpose{layer.rank}d")

    def convolve(images: Any, filters: Any) -> Any:
        return transpose(images, filters, bias, strides, padding, more, layer.groups, dilations)

    arrays = channels_first(problem.images), outputs_first(problem.filters)
    contenders = in_both_orders(problem, convolve, *arrays)
    if last(layer.rank) is None:
        return contenders
    geometry = padding, more, strides, dilations, layer.groups

    def pack() -> tuple[Callable[..., Any], Any]:
        pack = torch.ops.mkldnn._reorder_convolution_transpose_weight
        packed = pack(torch.from_numpy(arrays[1]), *geometry, list(arrays[0].shape))
        return torch.ops.mkldnn._convolution_transpose_pointwise.default, packed

    return with_packed(problem, contenders, pack, arrays[0], bias, *geometry)


def gradient(problem: Problem, setting: Setting, *, of_filters: bool) -> dict[str, Contender]:
    """What autograd calls, asked for one of its results alone."""
    torch = prepared(setting)
    layer = problem.layer
    strides, dilations = steps(layer)
    options = strides, pads(layer), dilations, False, (0,) * layer.rank, layer.groups
    mask = not of_filters, of_filters, False
    backward = torch.ops.aten.convolution_backward

    def convolve(output_gradient: Any, images: Any, filters: Any) -> Any:
        return backward(output_gradient, images, filters, None, *options, mask)[of_filters]

    # Of what is not given the shape alone is read.
    zeros = {name: np.zeros(getattr(layer, name), np.float32) for name in ("images", "filters")}
    arrays = {**zeros, **problem.arrays}
    images, output_gradient = (channels_first(arrays[n]) for n in ("images", "output_gradient"))
    filters = outputs_first(arrays["filters"])
    back = outputs_last if of_filters else channels_last
    return in_both_orders(problem, convolve, output_gradient, images, filters, back=back)


def images_gradient(problem: Problem, setting: Setting) -> dict[str, Contender]:
    return gradient(problem, setting, of_filters=False)


def filters_gradient(problem: Problem, setting: Setting) -> dict[str, Contender]:
    return gradient(problem, setting, of_filters=True)


def window(layer: Layer) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Of a pool the window, strides and padding."""
    if any(2 * axis.before > axis.kernel for axis in layer.axes):
        raise Unsuitable("it pads by half a window at most")
    return layer.filters, steps(layer)[0], pads(layer)


def max_pool(problem: Problem, setting: Setting) -> dict[str, Contender]:
    torch = prepared(setting)
    layer = problem.layer
    pool = getattr(torch, f"max_pool{layer.rank}d")
    sizes, dilations = window(layer), steps(layer)[1]
    images = channels_first(problem.images)
    return in_both_orders(problem, lambda images: pool(images, *sizes, dilations), images)


def average_pool(problem: Problem, setting: Setting) -> dict[str, Contender]:
    torch = prepared(setting)
    layer = problem.layer
    if set(steps(layer)[1]) != {1}:
        raise Unsuitable("its averages have no dilations")
    pool, sizes = getattr(torch.nn.functional, f"avg_pool{layer.rank}d"), window(layer)
    images = channels_first(problem.images)
    # Neither rounded up, nor is padding counted.
    return in_both_orders(problem, lambda images: pool(images, *sizes, False, False), images)


PREPARES = {
    "convolution": convolution,
    "transposed": transposed,
    "images_gradient": images_gradient,
    "filters_gradient": filters_gradient,
    "max_pool": max_pool,
    "average_pool": average_pool,
}
