"""ONNX Runtime as a peer: models of one node, whose arrays have channels first."""

from __future__ import annotations

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
    steps,
)

if TYPE_CHECKING:
    from .problem import Problem


def node(
    problem: Problem,
    setting: Setting,
    operator: str,
    weights: dict[str, NDArray[Any]],
    **attributes: Any,
) -> dict[str, Contender]:
    """A model of one node, which is given images, and weights in their order.

    Parameters
    ----------
    operator : str
        ONNX' name of it.
    weights : dict
        Constants of the model.
    **attributes
        Those of the node beside strides and padding.
    """
    import onnxruntime
    from onnx import helper, numpy_helper

    layer = problem.layer
    before, behind = zip(*layer.pads, strict=True)
    images = channels_first(problem.images)
    out = channels_first(np.empty(layer.out, layer.dtypes["out"]))

    def described(name: str, array: NDArray[Any]) -> Any:
        dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, dtype, array.shape)

    made = helper.make_node(
        operator,
        ["images", *weights],
        ["out"],
        strides=steps(layer)[0],
        pads=[*before, *(max(0, each) for each in behind)],
        **attributes,
    )
    graph = helper.make_graph(
        [made],
        layer.title,
        [described("images", images)],
        [described("out", out)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    # Old enough for any runtime that is in use; newer versions do not change what is asked here.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = setting.threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()  # session.run would copy the result
    binding.bind_cpu_input("images", images)
    binding.bind_output("out", "cpu", 0, out.dtype, out.shape, out.ctypes.data)

    def call() -> NDArray[Any]:
        session.run_with_iobinding(binding)
        return out

    return {"onnxruntime": Contender(problem, call, channels_last, images)}


def weights_of(problem: Problem) -> dict[str, NDArray[Any]]:
    return {"filters": outputs_first(problem.filters), "bias": problem.bias}


def convolution(problem: Problem, setting: Setting) -> dict[str, Contender]:
    options = {"dilations": steps(problem.layer)[1], "group": problem.layer.groups}
    return node(problem, setting, "Conv", weights_of(problem), **options)


def integers(problem: Problem, setting: Setting) -> dict[str, Contender]:
    """Its sums of bytes have no bias."""
    layer = problem.layer
    zeros = np.zeros_like(problem.bias)
    problem = problem._replace(arrays={**problem.arrays, "bias": zeros})
    weights = {"filters": outputs_first(problem.filters)}
    options = {"dilations": steps(layer)[1], "group": layer.groups}
    return node(problem, setting, "ConvInteger", weights, **options)


def transposed(problem: Problem, setting: Setting) -> dict[str, Contender]:
    layer = problem.layer
    more = [max(0, -behind) for _, behind in layer.pads]  # than nothing is cut
    options = {"dilations": steps(layer)[1], "group": layer.groups, "output_padding": more}
    return node(problem, setting, "ConvTranspose", weights_of(problem), **options)


def max_pool(problem: Problem, setting: Setting) -> dict[str, Contender]:
    options = {"kernel_shape": problem.layer.filters, "dilations": steps(problem.layer)[1]}
    return node(problem, setting, "MaxPool", {}, **options)


def average_pool(problem: Problem, setting: Setting) -> dict[str, Contender]:
    if set(steps(problem.layer)[1]) != {1}:
        raise Unsuitable("its averages are asked without dilations")
    return node(problem, setting, "AveragePool", {}, kernel_shape=problem.layer.filters)


PREPARES = {
    "convolution": convolution,
    "convolution uint8*int8>int32": integers,
    "transposed": transposed,
    "max_pool": max_pool,
    "average_pool": average_pool,
}
