"""Loop, whose condition may be left out, and whose results are stacked whatever their rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.reference.op_run import OpRun


class Loop(OpRun):
    """A body that is run again and again; its inputs and outputs as ONNX has them."""

    op_domain = ""
    body: Any  # an evaluator
    _run_body: Any  # runs it

    def need_context(self) -> bool:
        return True  # the body may read any value around it

    def _run(self, trips: Any, condition: Any, *carried: Any, **context: Any) -> tuple[Any, ...]:
        if trips is None and condition is None:
            raise ValueError("neither a number of trips nor a condition: it would never end")
        words = {name: context.get(name) for name in ("attributes", "bindings")}
        around = context.get("context") or {}
        trip, going, *names = self.body.input_names
        values = list(carried)
        stacks: list[list[Any]] = [[] for _ in self.body.output_names[1 + len(names) :]]
        goes_on, i = condition is None or bool(condition), 0
        while goes_on and (trips is None or i < int(trips)):
            inputs = {
                trip: np.array(i),
                going: np.array(True),
                **dict(zip(names, values, strict=True)),
            }
            decided, *results = self._run_body({**around, **inputs}, **words)
            values = results[: len(names)]
            for stack, value in zip(stacks, results[len(names) :], strict=True):
                stack.append(value)
            goes_on, i = condition is None or bool(decided), i + 1
        first = 1 + len(names)
        return (*values, *(self._stacked(each, first + k) for k, each in enumerate(stacks)))

    def _stacked(self, values: list[np.ndarray], place: int) -> np.ndarray:
        """Results of all trips, one behind the other; of none, as the body declares them."""
        if values:
            return np.stack(values)
        declared = self.body.output_types[place].tensor_type
        sizes = [each.dim_value for each in declared.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(declared.elem_type or 1)
        return np.empty((0, *sizes), dtype)
