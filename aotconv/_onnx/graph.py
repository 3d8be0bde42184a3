"""A model as rewriting sees it: nodes in order, constants, and who reads what."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

OUR_DOMAIN = "aotconv"
SMALL = 1024  # bytes of constants that may be shapes
RANDOM = {
    "Bernoulli",
    "Dropout",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}


@dataclass(eq=False)
class Node:
    """A node, known by its identity.  Names of inputs that are left out are empty."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)  # onnx.AttributeProto, by name
    domain: str = ""
    name: str = ""

    @classmethod
    def of(cls, proto: onnx.NodeProto) -> Node:
        attributes = {each.name: each for each in proto.attribute}
        names = list(proto.input), list(proto.output)
        return cls(proto.op_type, *names, attributes, proto.domain, proto.name)

    def proto(self) -> onnx.NodeProto:
        node = helper.make_node(
            self.operator, self.inputs, self.outputs, self.name, domain=self.domain
        )
        node.attribute.extend(self.attributes.values())
        return node

    def get(self, name: str, default: Any = None) -> Any:
        """The value of an attribute."""
        found = self.attributes.get(name)
        value = default if found is None else helper.get_attribute_value(found)
        return value.decode() if isinstance(value, bytes) else value

    def is_of_onnx(self) -> bool:
        """Whether its operator is of ONNX' default domain."""
        return self.domain in ("", "ai.onnx")

    def is_(self, *operators: str) -> bool:
        """Whether it is one of these operators of ONNX."""
        return self.operator in operators and self.is_of_onnx()

    def other(self, name: str) -> str | None:
        """The input of a node of two that is not the one of a name."""
        if len(self.inputs) != 2 or self.inputs.count(name) != 1:
            return None
        return self.inputs[1 - self.inputs.index(name)]

    def changed(self, **changes: Any) -> Node:
        """A new node that differs from this one in some fields."""
        return replace(self, **changes)

    def is_deterministic(self) -> bool:
        """Whether it gives the same for the same inputs, as far as ONNX says."""
        return self.is_of_onnx() and self.operator not in RANDOM and not any(self.graphs())

    def graphs(self) -> Iterable[onnx.GraphProto]:
        """The bodies of a loop or a branch."""
        for each in self.attributes.values():
            if each.type == onnx.AttributeProto.GRAPH:
                yield each.g
            yield from each.graphs

    def reads(self) -> set[str]:
        """Names of what it reads, in bodies, too."""
        inner = (Node.of(each).reads() for graph in self.graphs() for each in graph.node)
        return set().union(self.inputs, *inner) - {""}


class Graph:
    """A model's graph, to be changed.

    Attributes
    ----------
    nodes : list of Node
        Each behind those whose results it reads.
    constants : dict of ndarray, by name
        Initializers, and what was computed of them.
    defaults : dict of ndarray, by name
        Initializers of inputs: a run may be fed others.  Before IR version 4 every initializer
        was declared as an input, and such are constants.
    results : list of str
        What the model gives.
    ranks, kinds : dict of int, by name
        How many axes values have, and of which onnx.TensorProto.DataType they are, as far as ONNX
        can infer it.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = [Node.of(each) for each in model.graph.node]
        given = {each.name for each in model.graph.input} if model.ir_version >= 4 else set()
        weights = {each.name: array_of(each) for each in model.graph.initializer}
        self.constants = {name: each for name, each in weights.items() if name not in given}
        self.defaults = {name: each for name, each in weights.items() if name in given}
        self.results = [each.name for each in model.graph.output]
        inferred = inferred_types(model)
        self.ranks = {
            name: len(each.shape.dim) for name, each in inferred.items() if each.HasField("shape")
        }
        self.kinds = {name: each.elem_type for name, each in inferred.items()}
        self._names = {*self.constants, *(each.name for each in model.graph.input)}
        self._names.update(name for node in self.nodes for name in node.outputs)
        self._dtypes: dict[str, np.dtype] = {}  # of constants that are float64 as yet
        self._makers: dict[str, Node] = {}
        self._readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            self._note(node)

    def _note(self, node: Node) -> None:
        for name in filter(None, node.outputs):
            self._makers[name] = node
        for name in node.reads():
            self._readers.setdefault(name, []).append(node)

    def maker(self, name: str) -> Node | None:
        """The node that gives a value, if one does."""
        return self._makers.get(name)

    def readers(self, name: str) -> list[Node]:
        """Nodes that read a value; of one that the model gives, or a body reads, none are told."""
        readers = self._readers.get(name, [])
        inside = any(name not in each.inputs for each in readers)
        return [] if name in self.results or inside else list(readers)

    def is_read(self, name: str) -> bool:
        """Whether a node reads a value, or the model gives it."""
        return name in self.results or bool(self._readers.get(name))

    def only_reader(self, name: str) -> Node | None:
        """The node that alone reads a value."""
        readers = self.readers(name)
        once = len(readers) == 1 and readers[0].inputs.count(name) == 1
        return readers[0] if once else None

    def scalar(self, name: str) -> float | None:
        """The value of a constant of one element."""
        found = self.constants.get(name)
        return None if found is None or found.size != 1 else found.reshape(()).item()

    def is_all(self, name: str, value: float, x: str) -> bool:
        """Whether a constant is one number, and has no more axes than a value that it meets."""
        return self.scalar(name) == value and self.meets(name, x)

    def meets(self, constant: str, x: str) -> bool:
        """Whether a constant has no more axes than a value, whose shape stays."""
        return self.constants[constant].ndim <= self.ranks.get(x, 0)

    def dtype(self, constant: str) -> np.dtype:
        """That which a constant has in the end."""
        return self._dtypes.get(constant, self.constants[constant].dtype)

    def add_constant(self, like: str, value: Any, named: str = "") -> str:
        """Add a constant that was computed of another one, and return its name.

        It is rounded to the dtype of that one by `finish`, once, however often it changes.
        """
        name = self.new_name(named or like)
        self._dtypes[name] = self.dtype(like)
        self.constants[name] = np.asarray(value, np.float64)
        return name

    def finish(self) -> None:
        """Round constants that were added, and forget those that nothing reads."""
        read = set(self.results).union(*(node.reads() for node in self.nodes))
        read.update(each.name for each in self.model.graph.input)
        self.constants = {
            name: each.astype(self._dtypes[name]) if name in self._dtypes else each
            for name, each in self.constants.items()
            if name in read
        }

    def new_name(self, like: str, rank_of: str = "") -> str:
        """A name of no value yet, for one of a rank."""
        name = next(
            each for each in (f"{like}:{i}" for i in itertools.count()) if each not in self._names
        )
        self._names.add(name)
        if rank_of in self.ranks:
            self.ranks[name] = self.ranks[rank_of]
        return name

    def has(self, node: Node) -> bool:
        """Whether a node has not gone."""
        return self._makers.get(next(filter(None, node.outputs), "")) is node

    def replace(self, old: list[Node], new: Node | None) -> None:
        """Put a node where the last one of some was, which go; what only they gave is not read."""
        place = max(self.nodes.index(each) for each in old)
        if new is not None:
            self.nodes.insert(place + 1, new)
        for node in old:
            self.nodes.remove(node)
            for name in node.reads():
                self._readers[name].remove(node)
            for name in filter(None, node.outputs):
                del self._makers[name]
        if new is not None:
            self._note(new)

    def drop(self, node: Node, name: str) -> None:
        """Take out a node whose first result is a value that there is already."""
        result = node.outputs[0]
        for reader in list(self._readers.get(result, [])):
            inputs = [name if each == result else each for each in reader.inputs]
            self.replace([reader], reader.changed(inputs=inputs))
        self.replace([node], None)

    def evaluate(self, nodes: list[Node], operators: Iterable[type]) -> dict[str, Any]:
        """What nodes give that read constants and each other alone."""
        made = {name for each in nodes for name in each.outputs if name}
        read = {name for each in nodes for name in each.inputs if name} - made
        names = sorted(read), sorted(made)
        evaluator = ReferenceEvaluator(
            self._proto(nodes, *map(untyped, names)), new_ops=list(operators)
        )
        values = evaluator.run(names[1], {name: self.constants[name] for name in names[0]})
        return dict(zip(names[1], values, strict=True))

    def proto(self, weights: bool = True) -> onnx.ModelProto:
        """The graph as a model, with its constants or with inputs for them."""
        declared = [each for each in self.model.graph.input if each.name not in self.constants]
        if weights:
            model = self._proto(self.nodes, declared, self.model.graph.output)
            model.graph.initializer.extend(
                numpy_helper.from_array(each, name)
                for name, each in {**self.constants, **self.defaults}.items()
            )
            return model
        more = untyped(self.constants)
        return self._proto(self.nodes, [*declared, *more], self.model.graph.output)

    def _proto(self, nodes: list[Node], inputs: Any, outputs: Any) -> onnx.ModelProto:
        graph = helper.make_graph([each.proto() for each in nodes], "graph", inputs, outputs)
        version = max(self.model.ir_version, 4)  # from which on constants are no inputs
        opsets = [*self.model.opset_import, helper.make_opsetid(OUR_DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=version)


def array_of(initializer: onnx.TensorProto) -> np.ndarray:
    try:
        return numpy_helper.to_array(initializer)
    except Exception as error:  # whatever onnx raises
        raise ValueError(f"model: initializer {initializer.name!r}: {error}") from error


def untyped(names: Iterable[str]) -> list[onnx.ValueInfoProto]:
    return [helper.make_empty_tensor_value_info(each) for each in names]


def inferred_types(model: onnx.ModelProto) -> dict[str, onnx.TypeProto.Tensor]:
    """What ONNX' inference finds out of each value."""
    skeleton = onnx.ModelProto()
    skeleton.CopyFrom(model)
    graph = skeleton.graph
    large = [each for each in graph.initializer if len(each.raw_data) > SMALL]
    declared = {each.name for each in graph.input}
    for each in large:
        if each.name not in declared:
            info = helper.make_tensor_value_info(each.name, each.data_type, each.dims)
            graph.input.append(info)
        graph.initializer.remove(each)
    inferred = onnx.shape_inference.infer_shapes(skeleton).graph
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    return {each.name: each.type.tensor_type for each in values}
