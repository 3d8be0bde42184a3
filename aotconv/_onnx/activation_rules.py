"""Rules that know activations again which models have in several nodes."""

from __future__ import annotations

import math

from onnx import helper

from .graph import OUR_DOMAIN, Graph, Node

ACTIVATIONS = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "HardSwish": "hard_swish",
    "Gelu": "gelu",
}
GATED = {"sigmoid": "silu", "hard_sigmoid": "hard_swish"}


def activation_of(node: Node) -> tuple[str, float | None] | None:
    """aotconv's word for an activation that is one node, and its slope."""
    if node.domain == OUR_DOMAIN and node.operator == "Activation":
        return node.get("activation"), node.get("slope")
    if node.is_("LeakyRelu"):
        return "leaky_relu", node.get("alpha", 0.01)
    if node.is_("HardSigmoid"):
        sixth = math.isclose(node.get("alpha", 0.2), 1 / 6, rel_tol=1e-6)
        return ("hard_sigmoid", None) if sixth and node.get("beta", 0.5) == 0.5 else None
    if node.is_("Gelu") and node.get("approximate", "none") == "tanh":
        return "gelu_tanh", None
    return (ACTIVATIONS[node.operator], None) if node.is_(*ACTIVATIONS) else None


def name_clamp(graph: Graph, node: Node) -> bool:
    """A clip to 0 .. 6, or from 0 on: relu6, relu."""
    if not node.is_("Clip"):
        return False
    low, high = (limit(graph, node, *each) for each in ((1, "min"), (2, "max")))
    if low != 0 or high not in (6, math.inf):
        return False
    return put(graph, [node], node.inputs[0], "relu6" if high == 6 else "relu")


def limit(graph: Graph, node: Node, place: int, word: str) -> float | None:
    """A limit of a clip, which is an attribute or an input; None: not a constant."""
    if any(node.inputs[place : place + 1]):
        return graph.scalar(node.inputs[place])
    given = node.get(word)
    if given is None or abs(given) > 3e38:
        return math.inf if word == "max" else -math.inf
    return given


def name_hard_sigmoid(graph: Graph, node: Node) -> bool:
    """relu6(x + 3) / 6, or times 1 / 6."""
    for name in node.inputs:
        clamp = alone(graph, name, node)
        if clamp is None or activation_of(clamp) != ("relu6", None):
            continue
        add = alone(graph, clamp.inputs[0], clamp)
        x = None if add is None else summand(graph, add, 3)
        if add is not None and x is not None and is_sixth(graph, node, name):
            return put(graph, [add, clamp, node], x, "hard_sigmoid")
    return False


def name_product(graph: Graph, node: Node) -> bool:
    """x * sigmoid(x): silu; x * hard_sigmoid(x), and x * relu6(x + 3), then / 6: hard_swish."""
    if not node.is_("Mul"):
        return False
    for name in node.inputs:
        gate, x = alone(graph, name, node), node.other(name)
        found = None if gate is None else activation_of(gate)
        if gate is None or found is None or x is None:
            continue
        if gate.inputs[0] == x and found[0] in GATED:
            return put(graph, [gate, node], x, GATED[found[0]])
        add = alone(graph, gate.inputs[0], gate) if found[0] == "relu6" else None
        scale = graph.only_reader(node.outputs[0])
        if add is None or scale is None or summand(graph, add, 3) != x:
            continue
        if is_sixth(graph, scale, node.outputs[0]):
            return put(graph, [add, gate, node, scale], x, "hard_swish")
    return False


def name_gelu(graph: Graph, node: Node) -> bool:
    """x * (erf(x / sqrt(2)) + 1) * 0.5, the products in any order behind the sum."""
    if not node.is_("Erf"):
        return False
    scale, plus = alone(graph, node.inputs[0], node), graph.only_reader(node.outputs[0])
    if scale is None or plus is None or summand(graph, plus, 1) != node.outputs[0]:
        return False
    root = graph.scalar(scale.inputs[1]) if scale.is_("Div", "Mul") else None
    wanted = math.sqrt(2) if scale.is_("Div") else math.sqrt(0.5)
    if root is None or not math.isclose(root, wanted, rel_tol=1e-6):
        return False
    if not graph.meets(scale.inputs[1], scale.inputs[0]):
        return False
    x, nodes, others = scale.inputs[0], [scale, node, plus], []
    for _ in range(2):
        product = graph.only_reader(nodes[-1].outputs[0])
        if product is None or not product.is_("Mul"):
            return False
        others.append(product.other(nodes[-1].outputs[0]))
        nodes.append(product)
    halves = [graph.is_all(each, 0.5, x) for each in others if each is not None]
    return x in others and any(halves) and put(graph, nodes, x, "gelu")


def alone(graph: Graph, name: str, reader: Node) -> Node | None:
    """The node that gives a value, if nothing but one node reads it."""
    return graph.maker(name) if graph.only_reader(name) is reader else None


def summand(graph: Graph, node: Node, constant: float) -> str | None:
    """What a node adds a constant of one element to."""
    if node.is_("Add"):
        for name in node.inputs:
            x = node.other(name)
            if x is not None and graph.is_all(name, constant, x):
                return x
    return None


def is_sixth(graph: Graph, node: Node, name: str) -> bool:
    """Whether a node divides a value by six."""
    other = node.other(name) or ""
    constant = graph.scalar(other)
    if constant is None or not graph.meets(other, name):
        return False
    if node.is_("Div"):
        return node.inputs[0] == name and constant == 6
    return node.is_("Mul") and math.isclose(constant, 1 / 6, rel_tol=1e-6)


def put(graph: Graph, nodes: list[Node], x: str, word: str) -> bool:
    """Replace nodes, the last of which gives the result, by an activation of x."""
    attributes = {"activation": helper.make_attribute("activation", word)}
    last = nodes[-1]
    new = Node("Activation", [x], list(last.outputs), attributes, OUR_DOMAIN, last.name)
    graph.replace(nodes, new)
    return True
