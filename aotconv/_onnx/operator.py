"""What all operators of ONNX share: attributes of their opset, and arrays with channels last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, defs
from onnx.reference.op_run import OpRun


class Operator(OpRun):
    """One node of a model.

    A class computes an operator of every opset, as ``new_ops`` of onnx' ReferenceEvaluator take
    it: its name is the operator's, `version` the opset of the model, and `_run` is called with
    the node's inputs (None where one is left out) and its attributes, defaults filled in as that
    opset has them.

    Arrays have ONNX' axes, (N, C, spatial axes), whatever their memory is: results of
    convolutions and pools lie in memory with channels last, and NumPy's functions keep that.  So
    no operator is told about layouts, and none transposes memory.
    """

    op_domain = ""
    extends: str | None = None  # the operator whose attributes this one has, too, if it is ours

    def __init__(self, node: NodeProto, run_params: dict[str, Any], schema: Any = None) -> None:
        self.version = run_params["opsets"].get("", defs.onnx_opset_version())
        if schema is None:
            schema = defs.get_schema(self.extends or node.op_type, self.version, "")
        super().__init__(node, run_params, schema)
        self._attributes = {name: getattr(self, name) for name in self.attributes_names_}
        asked = [place for place, name in enumerate(node.output, 1) if name]
        self.n_outputs = max(asked, default=0)  # those in front of the last one counted

    def run(self, *inputs: Any, linked_attributes: Any = None, **context: Any) -> tuple[Any, ...]:
        """Compute outputs; attributes of a function's body come with the call."""
        if self.has_linked_attribute:
            return super().run(*inputs, linked_attributes=linked_attributes, **context)
        try:
            return self.compute(*inputs)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            node = f"{self.onnx_node.op_type} {self.onnx_node.name!r}"
            raise kind(f"{node}: {error}") from error

    def compute(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs of inputs, where all attributes are known; errors do not name the node."""
        return self._run(*inputs, **self._attributes)


def channels_last(array: np.ndarray) -> np.ndarray:
    """The view (N, spatial axes, C) of (N, C, spatial axes)."""
    return array.transpose(0, *range(2, array.ndim), 1)


def channels_first(array: np.ndarray) -> np.ndarray:
    """The view (N, C, spatial axes) of (N, spatial axes, C)."""
    return array.transpose(0, array.ndim - 1, *range(1, array.ndim - 1))


def memory_order(array: np.ndarray) -> tuple[int, ...]:
    """The axes of an array as they lie in memory, the one whose elements are farthest apart first:
    NumPy makes arrays of such a view in the same order."""
    if array.flags.c_contiguous:
        return tuple(range(array.ndim))
    return tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))


def in_order(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """The view whose axes `order` of another array became, as they were there."""
    return array.transpose(sorted(order, key=order.__getitem__))


def computed_in(dtype: np.dtype) -> np.dtype:
    """What NumPy computes numbers of a dtype in: float32 for halves."""
    return np.dtype(np.float32 if dtype.itemsize < 4 else dtype)


def window_padding(
    auto_pad: str | None, pads: Sequence[int] | None, rank: int
) -> str | list[tuple[int, int]]:
    """What pads windows, in the words of `aotconv`; ONNX has (begins.., ends..) or a rule."""
    if auto_pad in (None, "", "NOTSET"):
        sides = [0] * 2 * rank if pads is None else [int(each) for each in pads]
        return list(zip(sides[:rank], sides[rank:], strict=True))
    return {"VALID": "valid", "SAME_UPPER": "same", "SAME_LOWER": "same_lower"}[auto_pad]
