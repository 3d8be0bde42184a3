"""Models made for tests: networks that grow node by node, of drawn or given layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper


def model_of(
    nodes: list[Any],
    inputs: dict[str, tuple[Any, list[Any]]],
    outputs: list[str],
    weights: dict[str, np.ndarray] | None = None,
    opset: int = 17,
    functions: Any = (),
) -> ModelProto:
    """A model; inputs are (dtype, shape) by name, outputs are declared by name alone."""
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
        for name, (dtype, shape) in inputs.items()
    ]
    kind = next(iter(declared)).type.tensor_type.elem_type if declared else TensorProto.FLOAT
    given = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
    constants = [numpy_helper.from_array(each, name) for name, each in (weights or {}).items()]
    graph = helper.make_graph(nodes, "graph", declared, given, constants)
    domains = {each.domain for each in nodes if each.domain} | {each.domain for each in functions}
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(each, 1) for each in domains)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=10)


class Network:
    """A model that grows: values of known shapes (C, H, W), of which nodes make new ones."""

    def __init__(self, channels: int, seed: int, dtype: Any = np.float64, opset: int = 17) -> None:
        self.random = np.random.default_rng(seed)
        self.dtype, self.opset, self.channels = np.dtype(dtype), opset, channels
        self.nodes: list[Any] = []
        self.weights: dict[str, np.ndarray] = {}
        self.values: list[tuple[str, int]] = [("x", channels)]  # names and channels

    def constant(self, value: Any) -> str:
        name = f"c{len(self.weights)}"
        self.weights[name] = np.asarray(value, self.dtype)
        return name

    def node(self, operator: str, inputs: list[str], domain: str = "", **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, inputs, [name], name, domain=domain, **attributes)
        )
        return name

    def normal(self, *shape: int) -> np.ndarray:
        return self.random.standard_normal(shape)

    # Layers: each takes a value's name and channels, and gives those of another.

    def conv(self, x: str, c: int, size: int, padded: bool, stride: int, filters: int, groups: int):
        groups = groups if c % groups == 0 and filters % groups == 0 else 1
        inputs = [x, self.constant(self.normal(filters, c // groups, size, size) / size)]
        if self.random.random() < 0.5:
            inputs.append(self.constant(self.normal(filters)))
        pads = [size // 2] * 4 if padded else [0] * 4
        words = {"group": groups, "pads": pads, "strides": [stride] * 2}
        return self.node("Conv", inputs, **words), filters

    def transposed(self, x: str, c: int, size: int, stride: int, filters: int, groups: int):
        groups = groups if c % groups == 0 and filters % groups == 0 else 1
        w = self.constant(self.normal(c, filters // groups, size, size) / size)
        return self.node("ConvTranspose", [x, w], group=groups, strides=[stride] * 2), filters

    def normalization(self, x: str, c: int):
        parts = [self.normal(c), self.normal(c), self.normal(c), self.random.random(c) + 0.5]
        return self.node("BatchNormalization", [x, *map(self.constant, parts)], epsilon=0.01), c

    def arithmetic(self, x: str, c: int, operator: str, kind: str, reverse: bool):
        shape = {"scalar": (), "one": (1,), "channels": (c, 1, 1), "all": (1, c, 1, 1)}[kind]
        constant = self.constant(self.random.random(shape) + 0.5)
        first = reverse and operator != "Div"  # of constants by values, some of which are zero
        return self.node(operator, [constant, x] if first else [x, constant]), c

    def activation(self, x: str, c: int, word: str):
        if word in ("Relu", "Sigmoid", "Tanh", "HardSwish", "LeakyRelu", "Neg", "Identity"):
            return self.node(word, [x]), c
        if word == "HardSigmoid":
            return self.node(word, [x], alpha=1 / 6, beta=0.5), c
        if word == "silu":
            return self.node("Mul", [self.node("Sigmoid", [x]), x]), c
        if word == "gelu":
            scaled = self.node("Div", [x, self.constant(math.sqrt(2))])
            plus = self.node("Add", [self.node("Erf", [scaled]), self.constant(1)])
            return self.node("Mul", [self.node("Mul", [x, plus]), self.constant(0.5)]), c
        three, zero, six = (self.constant(each) for each in (3, 0, 6))
        clamp = self.node("Clip", [self.node("Add", [x, three]), zero, six])
        if word == "relu6":
            return clamp, c
        if word == "hard_sigmoid in nodes":
            return self.node("Div", [clamp, six]), c
        return self.node("Div", [self.node("Mul", [x, clamp]), six]), c

    def model(self, outputs: list[str]) -> ModelProto:
        given = (self.dtype, ["n", self.channels, "h", "w"])
        return model_of(self.nodes, {"x": given}, outputs, self.weights, self.opset)


NODES = ["Relu", "Sigmoid", "Tanh", "HardSwish", "LeakyRelu", "HardSigmoid", "Neg", "Identity"]
IN_NODES = ["silu", "gelu", "relu6", "hard_sigmoid in nodes", "hard_swish in nodes"]
WORDS = [*NODES, *IN_NODES]
_few = st.integers(1, 4)
LAYERS = {
    "conv": st.tuples(st.sampled_from([1, 3]), st.booleans(), st.just(1), _few, _few),
    "same": st.tuples(st.just(3), st.just(True), st.just(1), _few, st.just(1)),
    "transposed": st.tuples(_few, st.integers(1, 2), _few, _few),
    "normalization": st.tuples(),
    "arithmetic": st.tuples(
        st.sampled_from(["Add", "Sub", "Mul", "Div"]),
        st.sampled_from(["scalar", "one", "channels", "all"]),
        st.booleans(),
    ),
    "activation": st.tuples(st.sampled_from(WORDS)),
    "residual": st.tuples(st.integers(0, 9)),
}


@st.composite
def networks(draw: Any, dtype: Any = np.float64, opset: int | None = None) -> ModelProto:
    """Models of some layers, each of which reads the last value, or one before.

    Convolutions keep sizes, or shrink and enlarge them: sums of values whose sizes are not alike
    fail in any evaluator, and such models are not drawn.
    """
    network = Network(
        draw(_few), draw(st.integers(0, 2**32 - 1)), dtype, opset or draw(st.integers(14, 20))
    )
    sizes = {"x": 0}
    for _ in range(draw(st.integers(1, 8))):
        back = draw(st.integers(0, 2)) if len(network.values) > 2 else 0
        x, c = network.values[max(-1 - back, -len(network.values))]
        kind = draw(st.sampled_from(sorted(LAYERS)))
        arguments = draw(LAYERS[kind])
        grown = sizes[x]
        if kind == "residual":
            like = [n for n, many in network.values if many == c and n != x and sizes[n] == grown]
            other = like[arguments[0] % len(like)] if like else x
            name = network.node("Add", [x, other])
        elif kind == "conv" or kind == "same":
            name, c = network.conv(x, c, *arguments)
            grown = grown if arguments[1] or arguments[0] == 1 else None
        elif kind == "transposed":
            name, c = network.transposed(x, c, *arguments)
            grown = grown if arguments[:2] == (1, 1) else None
        else:
            name, c = getattr(network, kind)(x, c, *arguments)
        sizes[name] = name if grown is None else grown
        network.values.append((name, c))
    names = [name for name, _ in network.values[1:]]
    more = draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    return network.model([names[-1], *(each for each in more if each != names[-1])])
