"""All operators, in one list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from onnx.reference.op_run import OpRun

from .control import Loop
from .convolution import Conv, ConvTranspose
from .elementwise import (
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
from .fused import FUSED
from .normalization import BatchNormalization, Softmax
from .padding import Pad
from .pooling import (
    AveragePool,
    GlobalAveragePool,
    GlobalLpPool,
    GlobalMaxPool,
    LpPool,
    MaxPool,
)
from .quantized import ConvInteger, QLinearConv
from .reshaping import Reshape
from .resize import Resize, Upsample

OPS: tuple[type[OpRun], ...] = (
    AveragePool,
    BatchNormalization,
    Clip,
    Conv,
    ConvInteger,
    ConvTranspose,
    Erf,
    Gelu,
    GlobalAveragePool,
    GlobalLpPool,
    GlobalMaxPool,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Loop,
    LpPool,
    MaxPool,
    PRelu,
    Pad,
    QLinearConv,
    Relu,
    Reshape,
    Resize,
    Sigmoid,
    Softmax,
    Tanh,
    Upsample,
    *FUSED,
)


def before_ours(new_ops: Any) -> list[type[OpRun]]:
    """Operators of a user's own, if they are what onnx' ReferenceEvaluator takes, and ours."""
    added: list[Any] = list(new_ops) if isinstance(new_ops, Iterable) else [new_ops]
    for each in added:
        if not (isinstance(each, type) and issubclass(each, OpRun)):
            raise TypeError(f"new_ops: classes of onnx' OpRun expected, not {each!r}")
    return [*added, *OPS]
