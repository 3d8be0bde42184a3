"""What stands between convolutions, where the NumPy backend takes long: it copies arrays that it
only reads, and goes through them for each step of a formula.

A function gives NotImplemented for what it leaves to the backend's own: what is no array of float32
or float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import activate
from .layers import tensor

NATIVE = {np.dtype(name): name for name in ("float32", "float64")}


def is_native(x: Any) -> bool:
    return type(x) is np.ndarray and x.dtype in NATIVE


def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Any:
    is_plain = is_native(x) and not (sparse or ragged)
    is_same = is_plain and (dtype is None or NATIVE[x.dtype] == dtype)
    return x if is_same else NotImplemented


def cast(x: Any, dtype: Any) -> Any:
    return x if is_native(x) and NATIVE[x.dtype] == dtype else NotImplemented


def add(x1: Any, x2: Any) -> Any:
    if not (is_native(x1) and is_native(x2) and x1.dtype == x2.dtype):
        return NotImplemented
    return np.add(x1, x2)


def matmul(x1: Any, x2: Any) -> Any:
    x1, x2 = tensor(x1), tensor(x2)  # kernels are variables, and large
    if not (is_native(x1) and is_native(x2) and x1.dtype == x2.dtype):
        return NotImplemented
    return np.matmul(x1, x2)


def relu(x: Any) -> Any:
    # np.maximum takes four times as long.
    return np.clip(x, 0, np.inf) if is_native(x) else NotImplemented


def relu6(x: Any) -> Any:
    return np.clip(x, 0, 6) if is_native(x) else NotImplemented


def sigmoid(x: Any) -> Any:
    return activate(x, "sigmoid") if is_native(x) else NotImplemented


def silu(x: Any) -> Any:
    return activate(x, "silu") if is_native(x) else NotImplemented


def gelu(x: Any, approximate: bool = True) -> Any:
    if not is_native(x):
        return NotImplemented
    return activate(x, "gelu_tanh" if approximate else "gelu")


def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    axis: int,
    offset: Any = None,
    scale: Any = None,
    epsilon: float = 1e-3,
) -> Any:
    if not is_native(x):
        return NotImplemented
    factor = 1.0 / np.sqrt(variance + epsilon)
    if scale is not None:
        factor = factor * scale
    shift = -mean * factor
    if offset is not None:
        shift = shift + offset
    shape = [1] * x.ndim
    shape[axis] = -1
    result = np.multiply(x, factor.reshape(shape), dtype=np.result_type(x, factor, shift))
    return np.add(result, shift.reshape(shape), out=result)
