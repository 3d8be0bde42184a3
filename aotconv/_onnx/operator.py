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
        self.name = f"{node.op_type} {node.name or '-> ' + ', '.join(node.output)}"
        self._attributes = {name: getattr(self, name) for name in self.attributes_names_}

    def run(self, *inputs: Any, linked_attributes: Any = None, **context: Any) -> tuple[Any, ...]:
        """Compute outputs; attributes of a function's body come with the call."""
        if self.has_linked_attribute:
            return super().run(*inputs, linked_attributes=linked_attributes, **context)
        return self._run(*inputs, **self._attributes)


def channels_last(array: np.ndarray) -> np.ndarray:
    """The view (N, spatial axes, C) of (N, C, spatial axes)."""
    return array.transpose(0, *range(2, array.ndim), 1)


def channels_first(array: np.ndarray) -> np.ndarray:
    """The view (N, C, spatial axes) of (N, spatial axes, C)."""
    return array.transpose(0, array.ndim - 1, *range(1, array.ndim - 1))


def window_padding(
    auto_pad: str, pads: Sequence[int] | None, rank: int
) -> str | list[tuple[int, int]]:
    """What pads windows, in the words of `aotconv`; ONNX has (begins.., ends..) or a rule."""
    if auto_pad in ("", "NOTSET"):
        sides = [0] * 2 * rank if pads is None else [int(each) for each in pads]
        return list(zip(sides[:rank], sides[rank:], strict=True))
    return {"VALID": "valid", "SAME_UPPER": "same", "SAME_LOWER": "same_lower"}[auto_pad]
