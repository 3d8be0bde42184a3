"""Rules that put into convolutions what their layers compute at once.

Sums and products of constants are formed in float64 and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from onnx import helper

from .activation_rules import activation_of
from .graph import OUR_DOMAIN, Graph, Node

RANKS = range(3, 6)  # of what our convolutions take
FUSED_NAMES = {"Conv": "FusedConv", "ConvTranspose": "FusedConvTranspose"}


class Affine(NamedTuple):
    """x * scale + shift, each one value, or one for each channel, of float64."""

    scale: Any
    shift: Any

    @property
    def is_scalar(self) -> bool:
        return self.scale.size == 1 and self.shift.size == 1


def is_convolution(node: Node) -> bool:
    fused = node.domain == OUR_DOMAIN and node.operator in FUSED_NAMES.values()
    return fused or node.is_(*FUSED_NAMES)


def is_transposed(conv: Node) -> bool:
    return conv.operator.endswith("Transpose")


def has_constant_weights(graph: Graph, conv: Node) -> bool:
    return all(each in graph.constants for each in conv.inputs[1:3] if each)


def convolution_of(graph: Graph, name: str) -> Node | None:
    """The convolution with constant weights that gives a value, which one node reads."""
    node = graph.maker(name)
    if node is None or not is_convolution(node) or graph.only_reader(name) is None:
        return None
    return node if has_constant_weights(graph, node) else None


def gives_sums(conv: Node) -> bool:
    """Whether a convolution has no residual and no activation yet."""
    return "activation" not in conv.attributes and len(conv.inputs) < 4


def n_filters(conv: Node, weights: np.ndarray) -> int:
    """Channels of a convolution's result."""
    return weights.shape[1] * conv.get("group", 1) if is_transposed(conv) else weights.shape[0]


def by_filter(conv: Node, weights: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Weights with those of each filter times a number, in float64."""
    ones = (1,) * (weights.ndim - 2)
    if not is_transposed(conv):
        return weights * scale.reshape(-1, 1, *ones)
    groups = conv.get("group", 1)
    apart = weights.reshape(groups, -1, *weights.shape[1:])
    return (apart * scale.reshape(groups, 1, -1, *ones)).reshape(weights.shape)


def bias_of(graph: Graph, conv: Node) -> np.ndarray:
    given = any(conv.inputs[2:3])
    return np.asarray(graph.constants[conv.inputs[2]] if given else 0.0, np.float64)


def with_weights(graph: Graph, conv: Node, weights: np.ndarray, bias: np.ndarray) -> list[str]:
    """Inputs of a convolution whose weights and bias became others."""
    old = conv.inputs[1]
    names = [graph.add_constant(old, each) for each in (weights, bias)]
    return [conv.inputs[0], *names, *conv.inputs[3:]]


def are_finite(values: Iterable[Any], dtype: np.dtype[Any]) -> bool:
    """Whether numbers are finite as a dtype holds them."""
    with np.errstate(over="ignore"):
        return all(np.isfinite(np.asarray(each).astype(dtype)).all() for each in values)


def affine(graph: Graph, node: Node, x: str) -> Affine | None:
    """What a node is of x, if it scales and shifts it by constants.

    By finite ones: sums of others are not those of their nodes.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        change = any_affine(graph, node, x)
    dtypes = [graph.dtype(each) for each in node.inputs if each in graph.constants]
    if change is None or not all(are_finite(change, each) for each in dtypes):
        return None
    return change


def any_affine(graph: Graph, node: Node, x: str) -> Affine | None:
    """The same, whatever the constants."""
    if node.is_("BatchNormalization"):
        return normalization(graph, node) if node.inputs[0] == x else None
    if node.is_("Neg"):
        return Affine(np.float64(-1), np.float64(0))
    if not node.is_("Add", "Sub", "Mul", "Div"):
        return None
    value = by_channel(graph, node.other(x) or "", x)
    first = node.inputs[0] == x
    if value is None or (node.is_("Div") and not first):
        return None
    if node.is_("Mul", "Div"):
        return Affine(value if node.is_("Mul") else 1 / value, np.float64(0))
    if node.is_("Add"):
        return Affine(np.float64(1), value)
    return Affine(np.float64(1), -value) if first else Affine(np.float64(-1), value)


def normalization(graph: Graph, node: Node) -> Affine | None:
    """A batch normalization of inference."""
    parts = [graph.constants.get(each) for each in node.inputs[1:]]
    trains = node.get("training_mode", 0) or any(node.outputs[1:])
    if trains or not node.get("is_test", 1) or not node.get("spatial", 1):
        return None
    if len(parts) != 4 or any(each is None or each.ndim != 1 for each in parts):
        return None
    gain, offset, mean, variance = (np.asarray(each, np.float64) for each in parts)
    scale = gain / np.sqrt(variance + node.get("epsilon", 1e-5))
    return Affine(scale, offset - mean * scale)


def by_channel(graph: Graph, constant: str, x: str) -> np.ndarray | None:
    """A constant that x is combined with as a value for each channel, or one for all."""
    value, rank = graph.constants.get(constant), graph.ranks.get(x, 0)
    if value is None or value.dtype.kind not in "fV" or value.ndim > rank or value.size == 0:
        return None
    if value.size == 1:
        return np.asarray(value, np.float64).reshape(())
    shape = (1,) * (rank - value.ndim) + value.shape
    alone = rank > 1 and value.size == shape[1]
    return np.asarray(value, np.float64).reshape(-1) if alone else None


def scale_and_shift(graph: Graph, node: Node) -> bool:
    """A convolution, then a batch normalization or arithmetic with constants: a convolution."""
    for x in node.inputs:
        conv = convolution_of(graph, x)
        change = None if conv is None or not gives_sums(conv) else affine(graph, node, x)
        if conv is None or change is None:
            continue
        weights = graph.constants[conv.inputs[1]]
        count = n_filters(conv, weights)
        if not all(each.size in (1, count) for each in change):
            continue
        scale, shift = (np.broadcast_to(each, (count,)) for each in change)
        changed = by_filter(conv, weights, scale), bias_of(graph, conv) * scale + shift
        if not are_finite(changed, graph.dtype(conv.inputs[1])):
            continue
        inputs = with_weights(graph, conv, *changed)
        graph.replace([conv, node], conv.changed(inputs=inputs, outputs=node.outputs))
        return True
    return False


def scale_first(graph: Graph, node: Node) -> bool:
    """x * scale + shift, one value each, that convolutions alone read: their weights.

    A shift goes where no convolution pads.
    """
    x = next((each for each in node.inputs if each not in graph.constants), "")
    change, readers = affine(graph, node, x), graph.readers(node.outputs[0])
    if change is None or not change.is_scalar or not readers:
        return False
    if not all(takes(graph, each, node.outputs[0], change.shift != 0) for each in readers):
        return False
    changed = [(conv, *weights_behind(graph, conv, change)) for conv in readers]
    if not all(are_finite(each, graph.dtype(conv.inputs[1])) for conv, *each in changed):
        return False
    for conv, weights, bias in changed:
        graph.replace([conv], conv.changed(inputs=with_weights(graph, conv, weights, bias)))
    graph.drop(node, x)
    return True


def weights_behind(graph: Graph, conv: Node, change: Affine) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of a convolution that take up what its images were scaled and shifted by."""
    weights = np.asarray(graph.constants[conv.inputs[1]], np.float64)
    bias = np.broadcast_to(bias_of(graph, conv), (n_filters(conv, weights),))
    if change.shift != 0:
        bias = bias + weights.reshape(len(weights), -1).sum(1) * change.shift
    return weights * change.scale, bias


def takes(graph: Graph, conv: Node, name: str, shifted: bool) -> bool:
    """Whether a convolution's weights can scale a value that it reads, or shift it, too."""
    if not is_convolution(conv) or not has_constant_weights(graph, conv):
        return False
    if conv.inputs[0] != name or conv.inputs.count(name) != 1:
        return False
    rule = conv.get("auto_pad", "NOTSET")
    padded = any(conv.get("pads") or []) or rule not in ("NOTSET", "VALID")
    return not shifted or not (padded or is_transposed(conv))


def shift_first(graph: Graph, node: Node) -> bool:
    """x * scale + shift, in two nodes, that convolutions alone read: (x + shift / scale) * scale.

    They take the scale, and the shift where they can.
    """
    x = next((each for each in node.inputs if each not in graph.constants), "")
    scaled, add = affine(graph, node, x), graph.only_reader(node.outputs[0])
    added = None if add is None else affine(graph, add, node.outputs[0])
    if scaled is None or added is None or add is None:
        return False
    if not scaled.is_scalar or not added.is_scalar or added.scale != 1 or scaled.shift != 0:
        return False
    (result,), shift = add.outputs, float(added.shift) / float(scaled.scale or math.nan)
    readers = graph.readers(result)
    if not readers or not all(takes(graph, each, result, False) for each in readers):
        return False
    like = next(each for each in add.inputs if each in graph.constants)
    if not are_finite([shift], graph.dtype(like)) or scaled.scale == 1:
        return False
    between = graph.new_name(result, rank_of=x)
    constants = [graph.add_constant(like, each, named=result) for each in (shift, scaled.scale)]
    graph.replace([node], Node("Add", [x, constants[0]], [between], name=add.name))
    graph.replace([add], Node("Mul", [between, constants[1]], [result], name=node.name))
    return True


def add_residual(graph: Graph, node: Node) -> bool:
    """A convolution, then a sum with another value: its residual."""
    if not node.is_("Add", "Sum"):
        return False
    for x in reversed(node.inputs):
        conv, residual = convolution_of(graph, x), node.other(x)
        if conv is None or not gives_sums(conv) or is_transposed(conv) or residual is None:
            continue
        if residual in graph.constants or graph.ranks.get(residual) != graph.ranks.get(x):
            continue
        inputs = [*[*conv.inputs, ""][:3], residual]
        graph.replace([conv, node], fused(conv, inputs=inputs, outputs=node.outputs))
        return True
    return False


def activate_at_once(graph: Graph, node: Node) -> bool:
    """A convolution, then an activation: its own."""
    found = activation_of(node)
    conv = None if found is None else convolution_of(graph, node.inputs[0])
    if found is None or conv is None or "activation" in conv.attributes:
        return False
    words = dict(zip(("activation", "slope"), found, strict=True))
    added = {
        name: helper.make_attribute(name, each) for name, each in words.items() if each is not None
    }
    attributes = {**conv.attributes, **added}
    graph.replace([conv, node], fused(conv, attributes=attributes, outputs=node.outputs))
    return True


def normalize_by_convolution(graph: Graph, node: Node) -> bool:
    """A batch normalization that no convolution took: one of a tap for each channel."""
    change = normalization(graph, node) if node.is_("BatchNormalization") else None
    rank = 0 if change is None else graph.ranks.get(node.inputs[0], 0)
    kind = helper.np_dtype_to_tensor_dtype(graph.dtype(node.inputs[1])) if rank in RANKS else None
    if change is None or kind is None or graph.kinds.get(node.inputs[0]) != kind:
        return False  # results have the dtype of x, which need not be that of the constants
    count = change.scale.size
    weights = change.scale.reshape(count, 1, *[1] * (rank - 2))
    names = [graph.add_constant(node.inputs[1], each) for each in (weights, change.shift)]
    group = {"group": helper.make_attribute("group", count)}
    inputs, outputs = [node.inputs[0], *names], node.outputs[:1]
    graph.replace([node], Node("Conv", inputs, outputs, group, name=node.name))
    return True


def fused(conv: Node, **changes: Any) -> Node:
    """A convolution as the operator that has a residual and an activation, too."""
    operator = FUSED_NAMES.get(conv.operator, conv.operator)
    return conv.changed(operator=operator, domain=OUR_DOMAIN, **changes)
