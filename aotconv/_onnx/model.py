"""Models, prepared once and run many times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from . import feeds as _feeds
from .graph import Graph
from .operator import Operator
from .reading import described, label, read, refuse_unknown, refusing
from .rewrite import rewrite
from .shapes import follows_from_shapes

SHAPES_KEPT = 8  # of feeds, of which what follows from shapes alone is kept


class NodeTime(NamedTuple):
    """How long a node took.

    Attributes
    ----------
    name, operator : str
        The node's name, or that of its first output, and its operator.
    seconds : float
    """

    name: str
    operator: str
    seconds: float


class _Step(NamedTuple):
    """A node, ready to run."""

    run: Callable[..., tuple[Any, ...]]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dead: tuple[str, ...]  # values that no later node reads
    in_context: bool  # whether a body of it may read any value
    operator: str
    name: str


class Model:
    """A model that was loaded: `load` makes it.

    It may be run from several threads at once.

    Attributes
    ----------
    input_names, output_names : list of str
        What it is fed, and what it gives.
    """

    def __init__(
        self, source: Any, operators: Sequence[Any], optimize: bool, algorithm: str
    ) -> None:
        if algorithm not in ("auto", "fastest"):
            raise ValueError(f"algorithm: 'auto' or 'fastest' expected, not {algorithm!r}")
        if algorithm != "auto" and not optimize:
            raise ValueError(f"algorithm: {algorithm!r} is of optimize=True")
        proto = read(source)
        known = {(each.op_domain, each.__name__) for each in operators}
        refuse_unknown(proto, known)
        with refusing(described(source)):
            graph = Graph(proto)
            if optimize:
                rewrite(graph, operators, algorithm)
            self._steps = _steps(graph, operators)
            self._inputs = [
                _feeds.Input.of(each, each.name in graph.defaults)
                for each in proto.graph.input
                if each.name not in graph.constants
            ]
        self.input_names: list[str] = [each.name for each in self._inputs]
        self.output_names: list[str] = list(graph.results)
        self._constants: dict[str, Any] = {"": None, **graph.constants, **graph.defaults}
        for array in (*graph.constants.values(), *graph.defaults.values()):
            array.flags.writeable = False  # they are given to whoever asks, as results
        self._graph = graph
        self._by_shapes = follows_from_shapes(graph) if optimize else set()
        self._kept: dict[tuple[Any, ...], tuple[dict[str, Any], list[_Step]]] = {}

    @property
    def proto(self) -> onnx.ModelProto:
        """What is computed: the model as it was rewritten, in a new proto.

        Operators of domain "aotconv" are of `OPS`, so onnx' ReferenceEvaluator runs it, too.
        """
        return self._graph.proto()

    def run(
        self, output_names: Sequence[str] | None, feeds: Mapping[str, np.typing.ArrayLike]
    ) -> list[Any]:
        """Compute what the model gives.

        Parameters
        ----------
        output_names : sequence of str or None
            Which of the model's outputs; None: all.
        feeds : dict of array_like, by input name
            Of the dtypes and ranks that the model declares.  Sizes that it leaves open may change
            from run to run.

        Returns
        -------
        list of ndarray
            New, contiguous arrays; other values where the model gives sequences or maps.

        Raises
        ------
        TypeError
            A feed of another dtype, or output names that are one string.
        ValueError
            Feeds that are missing or unknown, of another rank or size, or an output that the
            model does not have.  Nothing has been computed then.
        RuntimeError
            A node that failed: its name, and why.
        """
        return self._run(output_names, feeds, None)

    def profile(self, feeds: Mapping[str, np.typing.ArrayLike]) -> list[NodeTime]:
        """Run the model, and say how long each of its nodes took.

        Parameters
        ----------
        feeds : dict of array_like, by input name

        Returns
        -------
        list of NodeTime
            In the order of computation.  What follows from the feeds' shapes alone is computed
            once for each, so later runs have fewer nodes.
        """
        times: list[NodeTime] = []
        self._run(None, feeds, times)
        return times

    def _run(
        self,
        output_names: Sequence[str] | None,
        feeds: Mapping[str, Any],
        times: list[NodeTime] | None,
    ) -> list[Any]:
        names = self.output_names if output_names is None else list(output_names)
        if isinstance(output_names, str):
            raise TypeError(f"output_names: names in a list expected, not {output_names!r}")
        for name in names:
            if name not in self.output_names:
                told = ", ".join(map(repr, self.output_names))
                raise ValueError(f"output_names: no {name!r}; the model's outputs are {told}")
        arrays = _feeds.checked(self._inputs, feeds)
        key = tuple(getattr(each, "shape", None) for each in arrays.values())
        kept = self._kept.get(key)
        known, steps = ({}, self._steps) if kept is None else kept
        values = {**self._constants, **known, **arrays}
        by_shapes: dict[str, Any] = {}
        with np.errstate(all="ignore"):
            for step in steps:
                start = 0.0 if times is None else time.perf_counter()
                outputs = _compute(step, values)
                if times is not None:
                    times.append(NodeTime(step.name, step.operator, time.perf_counter() - start))
                values.update(outputs)
                if kept is None and step.outputs[0] in self._by_shapes:
                    by_shapes.update(outputs)
                for name in step.dead:
                    values.pop(name, None)
        if kept is None and None not in key and set(arrays) == set(self.input_names):
            self._keep(key, by_shapes)
        taken = [each for each in arrays.values() if isinstance(each, np.ndarray)]
        missing = [name for name in names if name not in values]
        if missing:
            raise RuntimeError(f"no node gave the output {missing[0]!r}")
        return [_own(values[name], taken) for name in names]

    def _keep(self, key: tuple[Any, ...], values: dict[str, Any]) -> None:
        """Keep what follows from the feeds' shapes, and the nodes that are left to run."""
        left = [each for each in self._steps if each.outputs[0] not in values]
        read = {name for each in left for name in each.inputs} | set(self.output_names)
        for name in values:
            if name in read and isinstance(values[name], np.ndarray):
                values[name].flags.writeable = False
        if len(self._kept) >= SHAPES_KEPT:
            self._kept = {}
        self._kept[key] = {name: each for name, each in values.items() if name in read}, left


def _steps(graph: Graph, operators: Iterable[type]) -> list[_Step]:
    """The nodes of a graph as what runs them, each with what is dead behind it."""
    nodes = ReferenceEvaluator(graph.proto(weights=False), new_ops=list(operators)).rt_nodes_
    last: dict[str, int] = {}
    for i, node in enumerate(graph.nodes):
        last.update(dict.fromkeys([*node.reads(), *node.outputs], i))
    for name in ("", *graph.results, *graph.constants):
        last.pop(name, None)
    dead: dict[int, list[str]] = {}
    for name, i in last.items():
        dead.setdefault(i, []).append(name)
    return [
        _Step(
            runner(each),
            tuple(node.inputs),
            tuple(node.outputs),
            tuple(dead.get(i, ())),
            each.need_context(),
            node.operator,
            label(each.onnx_node),
        )
        for i, (node, each) in enumerate(zip(graph.nodes, nodes, strict=True))
    ]


def runner(node: OpRun) -> Callable[..., tuple[Any, ...]]:
    """What runs a node; errors are named here, in words of the model."""
    if isinstance(node, Operator) and not node.has_linked_attribute:
        return node.compute
    return node.run


def _compute(step: _Step, values: dict[str, Any]) -> dict[str, Any]:
    """The outputs of a node, by their names."""
    try:
        inputs = [values[name] for name in step.inputs]
    except KeyError as error:
        told = f"{step.operator} {step.name!r}: no node gave {error.args[0]!r}, which it reads"
        raise RuntimeError(told) from error
    try:
        given = step.run(*inputs, context=values) if step.in_context else step.run(*inputs)
    except Exception as error:
        shapes = ", ".join(str(getattr(each, "shape", None)) for each in inputs)
        told = f"{step.operator} {step.name!r}, inputs of shapes {shapes}: {error}"
        raise RuntimeError(told) from error
    outputs = dict(zip(step.outputs, given, strict=False))  # some may be named that are not given
    outputs.pop("", None)  # which stands for what is left out
    return outputs


def _own(value: Any, taken: list[np.ndarray]) -> Any:
    """A result that shares no memory with constants or with arrays of the caller's, then one."""
    if isinstance(value, np.ndarray):
        shared = any(np.may_share_memory(value, each) for each in taken)
        if shared or not (value.flags.writeable and value.flags.c_contiguous):
            value = np.array(value, order="C")
        taken.append(value)
    if isinstance(value, list):
        return [_own(each, taken) for each in value]
    return value
