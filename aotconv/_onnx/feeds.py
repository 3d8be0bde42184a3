"""What a model is fed: checked against what it declares, before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper


class Input(NamedTuple):
    """An input as a model declares it."""

    name: str
    dtype: np.dtype[Any] | None  # of a tensor
    shape: tuple[int | str | None, ...] | None  # sizes, names of sizes, or unknown ones
    has_default: bool

    @classmethod
    def of(cls, proto: onnx.ValueInfoProto, has_default: bool) -> Input:
        tensor = proto.type.tensor_type
        if not proto.type.HasField("tensor_type") or not tensor.elem_type:
            return cls(proto.name, None, None, has_default)
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        sizes = map(declared_size, tensor.shape.dim)
        shape = tuple(sizes) if tensor.HasField("shape") else None
        return cls(proto.name, dtype, shape, has_default)


def declared_size(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    """A size, or its name; what exporters write where they know none is neither."""
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value >= 0 else None
    name = dim.dim_param
    return name if name.replace(".", "_").isidentifier() and name != "None" else None


def checked(inputs: Sequence[Input], feeds: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of all inputs, or an error that names the first that does not fit."""
    if not isinstance(feeds, Mapping):
        raise TypeError(f"feeds: a dict of arrays by name expected, not {type(feeds).__name__}")
    names = [each.name for each in inputs]
    missing = [each.name for each in inputs if each.name not in feeds and not each.has_default]
    unknown = [name for name in feeds if name not in names]
    if missing or unknown:
        told = [
            f"{word} {', '.join(map(repr, each))}"
            for word, each in (("without", missing), ("with unknown", unknown))
            if each
        ]
        raise ValueError(
            f"feeds: {' and '.join(told)}; the model's inputs are {', '.join(map(repr, names))}"
        )
    sizes: dict[str, tuple[int, str]] = {}
    return {
        each.name: checked_one(each, feeds[each.name], sizes)
        for each in inputs
        if each.name in feeds
    }


def checked_one(each: Input, value: Any, sizes: dict[str, tuple[int, str]]) -> Any:
    """A value that has an input's dtype and shape; `sizes` gets what named sizes are."""
    if each.dtype is None:
        return value
    array = np.asarray(value)
    if array.dtype != each.dtype and not (array.dtype.kind in "UOS" and each.dtype.kind in "OU"):
        raise TypeError(f"feeds: {each.name!r} is of {each.dtype}, not {array.dtype}")
    if each.shape is None:
        return array
    expected = f"({', '.join('?' if size is None else str(size) for size in each.shape)})"
    if array.ndim != len(each.shape):
        raise ValueError(
            f"feeds: {each.name!r} has {len(each.shape)} axes, {expected}; "
            f"not {array.ndim}, {array.shape}"
        )
    for size, got in zip(each.shape, array.shape, strict=True):
        if isinstance(size, int) and size != got:
            raise ValueError(f"feeds: {each.name!r} has the shape {expected}, not {array.shape}")
        if isinstance(size, str):
            known, where = sizes.setdefault(size, (got, each.name))
            if known != got:
                raise ValueError(
                    f"feeds: {size!r} is {known} in {where!r} and {got} in "
                    f"{each.name!r}, of shape {array.shape}"
                )
    return array
