"""Other libraries' convolutions, each called the way it is fastest, for the benchmark.

A peer gets a `Problem` and prepares whatever needs to be done once: weights are constants of its
model or packed, images and output lie ready in its own layout.  What is left to time is one call.
Each peer is imported in its own function, by the process that times it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .problem import Layer, Problem


class Contender(NamedTuple):
    """One way to compute a problem.

    Attributes
    ----------
    problem : Problem
        What it computes.
    call : callable
        Computes it; this is what is timed.
    channels_last : callable
        Makes an array of the result's shape, channels last, of what `call` returned.
    kept : object
        What the peer knows by its address alone, and must live as long.
    """

    problem: Problem
    call: Callable[[], Any]
    channels_last: Callable[[Any], NDArray[Any]] = np.asarray
    kept: object = None


class Setting(NamedTuple):
    """What peers are told beside the problem: threads, and the folder of LiteRT's models."""

    threads: int
    tflite: str | None = None


Prepare = Callable[["Problem", Setting], dict[str, Contender]]


class Peer(NamedTuple):
    """A library that convolves: the packages it needs, and what prepares its variants by name."""

    packages: tuple[str, ...]
    prepare: Prepare


class Unsuitable(Exception):
    """The peer cannot compute this problem; the message says why."""


def channels_first(array: NDArray[Any]) -> NDArray[Any]:
    """Channels behind the images' axis instead of last."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def channels_last(array: Any) -> NDArray[Any]:
    """What `channels_first` was made of."""
    return np.moveaxis(np.asarray(array), 1, -1)


def outputs_first(filters: NDArray[Any]) -> NDArray[Any]:
    """OIHW of HWIO, or what it is for that rank."""
    return np.ascontiguousarray(np.moveaxis(filters, (-1, -2), (0, 1)))


def along_two_axes(layer: Layer) -> None:
    """Raise `Unsuitable` for other ranks."""
    if layer.rank != 2:
        raise Unsuitable("it is asked for two axes alone")


def padded_as_tensorflow(problem: Problem) -> Problem:
    """The problem by the one rule that TensorFlow's models know.

    It makes the same work; the zeros lie elsewhere where there are strides.
    """
    layer = problem.layer
    own = layer._replace(padding="same" if any(map(any, layer.pads)) else "valid")
    if own.out != layer.out:
        raise Unsuitable("it pads by rule alone")
    return problem._replace(layer=own)


def steps(layer: Layer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Strides and dilations."""
    axes = layer.axes
    return tuple(axis.stride for axis in axes), tuple(axis.dilation for axis in axes)


@functools.cache
def torch_inference_mode() -> Any:
    """Enter it for the life of this process: entering it in each call takes microseconds."""
    import torch

    mode = torch.inference_mode()
    mode.__enter__()
    return mode  # kept, because it ends with this object


def torch_convolution(problem: Problem, setting: Setting) -> dict[str, Contender]:
    import torch

    torch_inference_mode()
    torch.set_num_threads(setting.threads)
    layer, bias = problem.layer, torch.from_numpy(problem.bias)
    if any(before != behind for before, behind in layer.pads):
        raise Unsuitable("it pads both ends alike")
    rank, (strides, dilations) = layer.rank, steps(layer)
    pads = tuple(before for before, _ in layer.pads)
    convolution = getattr(torch, f"conv{rank}d")

    def contender(convolve: Callable[..., Any], *arrays: Any) -> Contender:
        return Contender(problem, lambda: convolve(*arrays), lambda out: channels_last(out.numpy()))

    def convolved(images: Any, filters: Any) -> Any:
        return convolution(images, filters, bias, strides, pads, dilations, layer.groups)

    images = torch.from_numpy(channels_first(problem.images))
    filters = torch.from_numpy(outputs_first(problem.filters))
    contenders = {"torch channels_first": contender(convolved, images, filters)}
    memory = {2: torch.channels_last, 3: torch.channels_last_3d}.get(rank)
    if memory is None:
        return contenders
    images_last = images.contiguous(memory_format=memory)
    filters_last = filters.contiguous(memory_format=memory)
    contenders["torch channels_last"] = contender(convolved, images_last, filters_last)
    try:  # private: what torch.compile calls where weights are frozen
        pack = getattr(torch._C._nn, f"mkldnn_reorder_conv{rank}d_weight")
        pointwise = torch.ops.mkldnn._convolution_pointwise.default
        geometry = (pads, strides, dilations, layer.groups)
        packed = pack(filters.to_mkldnn(), *geometry, list(images.shape))
    except (AttributeError, RuntimeError):
        return contenders
    contenders["torch prepacked"] = contender(
        pointwise, images_last, packed, bias, *geometry, "none", [], ""
    )
    return contenders


def onnxruntime_convolution(problem: Problem, setting: Setting) -> dict[str, Contender]:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    layer = problem.layer
    before, behind = zip(*layer.pads, strict=True)
    strides, dilations = steps(layer)
    images = channels_first(problem.images)
    out = channels_first(np.empty(layer.out, np.float32))
    node = helper.make_node(
        "Conv",
        ["images", "filters", "bias"],
        ["out"],
        strides=strides,
        dilations=dilations,
        pads=[*before, *behind],
        group=layer.groups,
    )
    graph = helper.make_graph(
        [node],
        layer.title,
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, images.shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, out.shape)],
        [
            numpy_helper.from_array(outputs_first(problem.filters), "filters"),
            numpy_helper.from_array(problem.bias, "bias"),
        ],
    )
    # Old enough for any runtime that is in use; newer versions do not change Conv.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = setting.threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()  # session.run would copy the result
    binding.bind_cpu_input("images", images)
    binding.bind_output("out", "cpu", 0, np.float32, out.shape, out.ctypes.data)

    def call() -> NDArray[Any]:
        session.run_with_iobinding(binding)
        return out

    return {"onnxruntime": Contender(problem, call, channels_last, images)}


def openvino_conv2d(problem: Problem, setting: Setting) -> dict[str, Contender]:
    import openvino
    from openvino import opset8 as ops

    layer = problem.layer
    along_two_axes(layer)
    begin, end = zip(*layer.pads, strict=True)
    strides, dilations = steps(layer)
    geometry = (list(strides), list(begin), list(end), list(dilations))
    filters, bias = outputs_first(problem.filters), problem.bias.reshape(1, -1, 1, 1)
    options = {
        "INFERENCE_NUM_THREADS": setting.threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }

    def contender(nhwc: bool) -> Contender:
        """The model's convolution is NCHW; the plugin merges transpositions around it into it."""
        images = problem.images if nhwc else channels_first(problem.images)
        parameter = ops.parameter(list(images.shape), np.float32)
        node = ops.transpose(parameter, np.array([0, 3, 1, 2])) if nhwc else parameter
        if layer.groups == 1:
            node = ops.convolution(node, filters, *geometry)
        else:
            grouped = filters.reshape(layer.groups, -1, *filters.shape[1:])
            node = ops.group_convolution(node, grouped, *geometry)
        node = ops.add(node, bias)
        if nhwc:
            node = ops.transpose(node, np.array([0, 2, 3, 1]))
        model = openvino.Model([node], [parameter], layer.title)
        request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
        out = np.empty(tuple(model.output().shape), np.float32)
        request.set_input_tensor(openvino.Tensor(images, shared_memory=True))
        request.set_output_tensor(openvino.Tensor(out, shared_memory=True))

        def call() -> NDArray[Any]:
            request.infer(share_outputs=True)
            return out

        return Contender(problem, call, np.asarray if nhwc else channels_last, images)

    return {"openvino NHWC": contender(True), "openvino NCHW": contender(False)}


def litert_conv2d(problem: Problem, setting: Setting) -> dict[str, Contender]:
    """Run a model file, which brings its own weights: they become those of the problem."""
    from ai_edge_litert.interpreter import Interpreter

    layer = problem.layer
    along_two_axes(layer)
    path = Path(setting.tflite or "") / f"{layer.name}.tflite"
    if not path.is_file():
        raise Unsuitable("there is no model of it in the folder")
    interpreter = Interpreter(model_path=str(path), num_threads=setting.threads)
    interpreter.allocate_tensors()
    (images,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    shapes = tuple(images["shape"]), tuple(out["shape"])
    if shapes != (layer.images, layer.out):
        raise Unsuitable(f"its model has images and result of shapes {shapes}")

    kh, kw, group_channels, n_filters = layer.filters
    axes = {  # what the shape of a weight tensor means -> HWIO
        (n_filters,): (0,),
        (n_filters, kh, kw, group_channels): (1, 2, 3, 0),
        (1, kh, kw, n_filters): (1, 2, 0, 3),  # depthwise
    }
    constants: dict[int, NDArray[Any]] = {}
    for tensor in interpreter.get_tensor_details():
        shape = tuple(tensor["shape"])
        if tensor["index"] not in (images["index"], out["index"]) and shape in axes:
            array = interpreter.get_tensor(tensor["index"]).transpose(axes[shape])
            constants[array.ndim] = np.ascontiguousarray(array)
    if set(constants) != {1, 4} or constants[4].shape != layer.filters:
        raise Unsuitable("the weights of its model cannot be read, so nor its result be checked")
    own = padded_as_tensorflow(problem)._replace(filters=constants[4], bias=constants[1])
    interpreter.set_tensor(images["index"], problem.images)

    def call() -> Any:
        interpreter.invoke()
        return interpreter

    return {"litert": Contender(own, call, lambda done: done.get_tensor(out["index"]))}


def opencv_filter2d(problem: Problem, setting: Setting) -> dict[str, Contender]:
    import cv2

    layer = problem.layer
    along_two_axes(layer)
    n, height, width, channels = layer.images
    if not (n == 1 and layer.groups == channels == layer.filters[3]):
        raise Unsuitable("it convolves one image, each channel by itself")
    kernel, delta = problem.filters[:, :, 0, 0].copy(), float(problem.bias[0])
    if (problem.filters != kernel[:, :, None, None]).any() or (problem.bias != delta).any():
        raise Unsuitable("it convolves all channels with the same filter")
    _, out_height, out_width, _ = layer.out
    if steps(layer) != ((1, 1), (1, 1)) or out_height > height or out_width > width:
        raise Unsuitable("its result has as many pixels as the image")
    cv2.setNumThreads(setting.threads)
    (top, _), (left, _) = layer.pads
    image, out = problem.images[0], np.empty((height, width, channels), np.float32)
    border = cv2.BORDER_CONSTANT

    def call() -> NDArray[Any]:
        cv2.filter2D(image, -1, kernel, out, (left, top), delta, border)
        return out

    # Without padding, windows that reach beyond the image are computed too, and cut off here.
    return {"opencv": Contender(problem, call, lambda out: out[None, :out_height, :out_width])}


def jax_conv2d(problem: Problem, setting: Setting) -> dict[str, Contender]:
    """XLA has as many threads as CPUs may be used: the process must have been confined."""
    import jax

    layer, filters, bias = problem.layer, problem.filters, problem.bias
    along_two_axes(layer)
    strides, dilations = steps(layer)

    @jax.jit
    def convolve(images: Any) -> Any:
        out = jax.lax.conv_general_dilated(
            images,
            filters,
            strides,
            layer.pads,
            rhs_dilation=dilations,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=layer.groups,
        )
        return out + bias

    images = jax.device_put(problem.images, jax.devices("cpu")[0])
    return {"jax": Contender(problem, lambda: convolve(images).block_until_ready())}


def tensorflow_conv2d(problem: Problem, setting: Setting) -> dict[str, Contender]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(setting.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    along_two_axes(problem.layer)
    problem = padded_as_tensorflow(problem)
    layer = problem.layer
    kh, kw, group_channels, n_filters = layer.filters
    (sh, sw), dilations = steps(layer)
    if dilations != (1, 1):
        raise Unsuitable("dilated layers are not asked of it")
    strides, padding = [1, sh, sw, 1], str(layer.padding).upper()
    images, filters, bias = map(tf.constant, (problem.images, problem.filters, problem.bias))
    if layer.groups > 1:
        if group_channels > 1:
            raise Unsuitable("it has no groups of several channels")
        filters = tf.reshape(filters, (kh, kw, layer.groups, n_filters // layer.groups))

    def convolve(images: Any) -> Any:
        convolution = tf.nn.conv2d if layer.groups == 1 else tf.nn.depthwise_conv2d
        return tf.nn.bias_add(convolution(images, filters, strides, padding), bias)

    graph = tf.function(convolve)
    return {
        "tensorflow function": Contender(problem, lambda: graph(images)),
        "tensorflow eager": Contender(problem, lambda: convolve(images)),
    }


PEERS = {
    "torch": Peer(("torch",), torch_convolution),
    "onnxruntime": Peer(("onnxruntime", "onnx"), onnxruntime_convolution),
    "openvino": Peer(("openvino",), openvino_conv2d),
    "litert": Peer(("ai_edge_litert",), litert_conv2d),
    "opencv": Peer(("cv2",), opencv_filter2d),
    "jax": Peer(("jax",), jax_conv2d),
    "tensorflow": Peer(("tensorflow",), tensorflow_conv2d),
}
