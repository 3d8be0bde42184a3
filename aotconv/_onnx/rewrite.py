"""Rewriting of graphs: constants are computed, and what a layer computes at once is one node.

A rule looks at a node, and says whether it changed the graph.  Those of a phase are tried on every
node until none changes anything, which comes to an end: they take nodes away, or put a scale behind
a shift.  Activations are known before sums that they begin with go into convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
from onnx import helper

from .activation_rules import name_clamp, name_gelu, name_hard_sigmoid, name_product
from .convolution_rules import (
    activate_at_once,
    add_residual,
    fused,
    is_convolution,
    is_transposed,
    normalize_by_convolution,
    scale_and_shift,
    scale_first,
    shift_first,
)
from .graph import Graph, Node
from .reading import first_line

Rule: TypeAlias = Callable[[Graph, Node], bool]
NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1}


def rewrite(graph: Graph, operators: Iterable[type], algorithm: str) -> None:
    """Change a graph into one that computes the same with fewer nodes.

    Convolutions get an attribute `algorithm` where it is not "auto".
    """
    fold_constants(graph, operators)
    for rules in PHASES:
        while any([try_rules(graph, node, rules) for node in list(graph.nodes)]):
            pass
    graph.finish()
    if algorithm != "auto":
        chosen = {"algorithm": helper.make_attribute("algorithm", algorithm)}
        for node in list(graph.nodes):
            if is_convolution(node) and not is_transposed(node):
                graph.replace([node], fused(node, attributes={**node.attributes, **chosen}))


def try_rules(graph: Graph, node: Node, rules: tuple[Rule, ...]) -> bool:
    """Whether one of the rules changed the graph at a node, if it has not gone."""
    return graph.has(node) and any(rule(graph, node) for rule in rules)


def fold_constants(graph: Graph, operators: Iterable[type]) -> None:
    """Compute what follows from constants alone."""
    known, nodes = {*graph.constants}, []
    for node in graph.nodes:
        if node.is_deterministic() and node.reads() <= known:
            nodes.append(node)
            known.update(node.outputs)
    if nodes:
        try:
            values = graph.evaluate(nodes, operators)
        except Exception as error:  # whatever operators of onnx raise
            told = f"what follows from constants cannot be computed: {first_line(error)}"
            raise ValueError(f"model: {told}") from error
        for node in nodes:
            given = {name: values[name] for name in node.outputs if name}
            if all(isinstance(each, np.ndarray) for each in given.values()):  # not a sequence
                graph.constants.update(given)
                graph.replace([node], None)


def leave_out(graph: Graph, node: Node) -> bool:
    """x + 0, x - 0, x * 1, x / 1, an identity, a dropout of inference: x."""
    x = unchanged(graph, node)
    if x is None or any(map(graph.is_read, node.outputs[1:])) or not graph.readers(node.outputs[0]):
        return False
    graph.drop(node, x)
    return True


def unchanged(graph: Graph, node: Node) -> str | None:
    """The input that a node gives as it is."""
    if node.is_("Identity"):
        return node.inputs[0]
    if node.is_("Dropout"):
        trains = any(node.inputs[2:]) or not node.get("is_test", 1)
        return None if trains else node.inputs[0]
    if node.is_(*NEUTRAL):
        places = (1, 0) if node.is_("Add", "Mul") else (1,)
        for place in places:
            constant, x = node.inputs[place], node.inputs[1 - place]
            if graph.is_all(constant, NEUTRAL[node.operator], x):
                return x
    return None


ACTIVATIONS: tuple[Rule, ...] = (
    leave_out,
    name_clamp,
    name_hard_sigmoid,
    name_product,
    name_gelu,
)
CONVOLUTIONS: tuple[Rule, ...] = (
    scale_and_shift,
    scale_first,
    shift_first,
    add_residual,
    activate_at_once,
)
PHASES = (ACTIVATIONS, CONVOLUTIONS, (normalize_by_convolution, *CONVOLUTIONS))
