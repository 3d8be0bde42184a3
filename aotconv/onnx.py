"""ONNX models on NumPy alone: `load` runs them, `OPS` are operators for onnx' own evaluator.

::

    model = aotconv.onnx.load("model.onnx")
    results = model.run(None, {"images": images})

It needs onnx, which reads models: ``pip install "aotconv[onnx]"``.  Convolutions, pools and
activations are aotconv's; what else there is, NumPy's, by onnx' reference implementation.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

try:
    import onnx as _onnx
except ImportError as _error:
    raise ImportError('aotconv.onnx needs onnx: pip install "aotconv[onnx]"') from _error

from ._onnx.model import Model, NodeTime
from ._onnx.operators import OPS, before_ours

if TYPE_CHECKING:
    from onnx.reference.op_run import OpRun

__all__ = ["OPS", "Model", "NodeTime", "load"]


def __dir__() -> list[str]:
    return __all__


def load(
    model: str | os.PathLike[str] | bytes | _onnx.ModelProto,
    *,
    optimize: bool = True,
    algorithm: Literal["auto", "fastest"] = "auto",
    new_ops: Iterable[type[OpRun]] = (),
) -> Model:
    """Load a model, and prepare it for many runs.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
        Of any opset, with its functions, and weights in files beside it.
    optimize : bool
        Whether its graph is rewritten: constants are computed, a convolution with the batch
        normalization, arithmetic with constants, sum and activation behind it becomes one layer,
        activations written in several nodes become one, and what follows from the shapes of feeds
        alone is computed once for each.  Without it each node is computed as it stands.
    algorithm : {"auto", "fastest"}
        That of convolutions, as in `aotconv.conv2d`; "fastest" needs `optimize`.
    new_ops : iterable of onnx.reference.op_run.OpRun classes
        More operators, as onnx' ReferenceEvaluator takes them; they come before ours.

    Returns
    -------
    Model

    Raises
    ------
    TypeError
        What is no model at all, or no class of an operator.
    ValueError
        What is no whole model, or not a valid one; or an unknown algorithm.
    NotImplementedError
        A model with operators that nobody has: the names of all; or with sparse initializers.
    OSError
        A file that cannot be read.

    See Also
    --------
    aotconv.conv2d : says more of `algorithm`.
    aotconv.set_num_threads : how many threads convolutions use.

    Notes
    -----
    Arrays keep ONNX' axes, (N, C, spatial axes), but convolutions and pools put channels last in
    memory, and NumPy's functions keep that: nothing is transposed between them.

    Weights are rounded once for each scale that they take up: beside the rounding of sums, a
    result differs from that of the nodes as if each time they changed by half a unit in the last
    place.

    Convolutions use as many threads as `aotconv.set_num_threads` allows; products of matrices those
    of NumPy's BLAS.

    Examples
    --------
    >>> import numpy as np
    >>> import aotconv.onnx
    >>> from onnx import TensorProto, helper, numpy_helper
    >>> weights = numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "w")
    >>> nodes = [
    ...     helper.make_node("Conv", ["x", "w"], ["sums"], pads=[1, 1, 1, 1]),
    ...     helper.make_node("Relu", ["sums"], ["y"]),
    ... ]
    >>> declared = [
    ...     helper.make_tensor_value_info(each, TensorProto.FLOAT, ["n", 1, "h", "w"])
    ...     for each in "xy"
    ... ]
    >>> graph = helper.make_graph(nodes, "g", declared[:1], declared[1:], [weights])
    >>> model = aotconv.onnx.load(helper.make_model(graph))
    >>> model.input_names, model.output_names
    (['x'], ['y'])
    >>> model.run(None, {"x": np.ones((1, 1, 2, 2), np.float32)})
    [array([[[[4., 4.],
             [4., 4.]]]], dtype=float32)]
    """
    return Model(model, before_ours(new_ops), optimize, algorithm)
