"""Other libraries, each called the way it is fastest, for the benchmark.

Each is imported in its own function, by the process that times it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._core.check_ndimage import MODES
from . import onnxruntime_peer, opencv_peer, torch_peer
from .filtering import FILTERS, Filtering
from .peer import (
    Contender,
    Peer,
    Setting,
    Unsuitable,
    along_two_axes,
    channels_first,
    channels_last,
    outputs_first,
    steps,
)

if TYPE_CHECKING:
    from .problem import Problem


def padded_as_tensorflow(problem: Problem) -> Problem:
    """The problem by the one rule that TensorFlow's models know.

    It makes the same work; the zeros lie elsewhere where there are strides.
    """
    layer = problem.layer
    own = layer._replace(padding="same" if any(map(any, layer.pads)) else "valid")
    if own.out != layer.out:
        raise Unsuitable("it pads by rule alone")
    return problem._replace(operation=own)


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
    weights = {"filters": constants[4], "bias": constants[1]}
    own = padded_as_tensorflow(problem)._replace(arrays={**problem.arrays, **weights})
    interpreter.set_tensor(images["index"], problem.images)

    def call() -> Any:
        interpreter.invoke()
        return interpreter

    return {"litert": Contender(own, call, lambda done: done.get_tensor(out["index"]))}


def scipy_filter(problem: Problem, setting: Setting) -> dict[str, Contender]:
    """It has one thread, whatever is said.  `oaconvolve` finds what is beyond the ends ready; where
    an algorithm was asked for it is alone, for the filters would take minutes."""
    from scipy import ndimage, signal

    filtering = problem.filtering
    if filtering.saturate:
        raise Unsuitable("its integers are not rounded and clipped")
    if "float16" in filtering.dtype:
        raise Unsuitable("it has no float16")
    contenders = {}
    if filtering.algorithm == "auto":
        out = np.zeros(filtering.out, filtering.dtypes[1])
        call = filtering.filter.call(filtering, problem.arrays, out, ndimage)
        contenders["scipy"] = Contender(problem, call)
    if filtering.filter.has_weights and filtering.dtype in ("float32", "float64"):
        call = partial(signal.oaconvolve, *surrounded(filtering, problem.arrays), "valid")
        contenders["scipy oaconvolve"] = Contender(problem, call)
    return contenders


def surrounded(
    filtering: Filtering, arrays: Mapping[str, NDArray[Any]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The array with all that windows reach beyond its ends, and weights, turned, of its rank."""
    n_axes = len(filtering.sizes)
    widths, shape = [(0, 0)] * n_axes, [1] * n_axes
    for axis, size in zip(filtering.along, filtering.window, strict=True):
        widths[axis], shape[axis] = (size // 2, (size - 1) // 2), size
    mode: Any = MODES[filtering.mode]
    return np.pad(arrays["input"], widths, mode), np.flip(arrays["weights"]).reshape(shape)


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
    "torch": Peer(("torch",), torch_peer.PREPARES),
    "onnxruntime": Peer(("onnxruntime", "onnx"), onnxruntime_peer.PREPARES),
    "openvino": Peer(("openvino",), {"convolution": openvino_conv2d}),
    "litert": Peer(("ai_edge_litert",), {"convolution": litert_conv2d}),
    "opencv": Peer(("cv2",), opencv_peer.PREPARES),
    "scipy": Peer(("scipy",), dict.fromkeys(FILTERS, scipy_filter)),
    "jax": Peer(("jax",), {"convolution": jax_conv2d}),
    "tensorflow": Peer(("tensorflow",), {"convolution": tensorflow_conv2d}),
}
