"""Models of ONNX: their operators, computed by `aotconv`.

`OPS` are classes for ``onnx.reference.ReferenceEvaluator(model, new_ops=list(OPS))``: convolutions,
pools, activations and what is between them, of all opsets.

Examples
--------
>>> import numpy as np
>>> import onnx
>>> from onnx.reference import ReferenceEvaluator
>>> import aotconv.onnx
>>> model = onnx.parser.parse_model('''
... <ir_version: 8, opset_import: ["": 17]> agraph (float[1, 1, 4] x) => (float[1, 1, 2] y) {
...     y = MaxPool <kernel_shape = [2], strides = [2]> (x)
... }''')
>>> evaluator = ReferenceEvaluator(model, new_ops=list(aotconv.onnx.OPS))
>>> evaluator.run(None, {"x": np.array([[[1, 4, 3, 2]]], np.float32)})
[array([[[4., 3.]]], dtype=float32)]
"""

from __future__ import annotations

try:
    from onnx.reference.op_run import OpRun
except ImportError as error:
    raise ImportError('aotconv.onnx needs onnx: pip install "aotconv[onnx]"') from error

from ._onnx.elementwise import (
    Clip,
    Erf,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    PRelu,
    Relu,
    Sigmoid,
    Tanh,
)
from ._onnx.normalization import BatchNormalization, Softmax
from ._onnx.padding import Pad
from ._onnx.pooling import (
    AveragePool,
    GlobalAveragePool,
    GlobalLpPool,
    GlobalMaxPool,
    LpPool,
    MaxPool,
)
from ._onnx.quantized import ConvInteger, QLinearConv
from ._onnx.resize import Resize, Upsample

__all__ = ["OPS"]

OPS: tuple[type[OpRun], ...] = (
    AveragePool,
    BatchNormalization,
    Clip,
    ConvInteger,
    Erf,
    Gelu,
    GlobalAveragePool,
    GlobalLpPool,
    GlobalMaxPool,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    LpPool,
    MaxPool,
    PRelu,
    Pad,
    QLinearConv,
    Relu,
    Resize,
    Sigmoid,
    Softmax,
    Tanh,
    Upsample,
)
