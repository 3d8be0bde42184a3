"""Nodes of ONNX, drawn, and what they give: by plain formulas, element by element, in float64."""

from __future__ import annotations

import itertools
from math import ceil, floor, prod
from typing import Any, NamedTuple

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import helper
from onnx.reference import ReferenceEvaluator
from strategies import seeds

import aotconv.onnx


class Node(NamedTuple):
    """A node, and its inputs; None where one is left out."""

    op: str
    opset: int
    inputs: tuple[np.ndarray | None, ...]
    attributes: dict[str, Any]
    n_outputs: int = 1

    @property
    def feeds(self) -> dict[str, np.ndarray]:
        return {f"i{n}": each for n, each in enumerate(self.inputs) if each is not None}

    def model(self):
        """Of this node alone."""
        names = ["" if each is None else f"i{n}" for n, each in enumerate(self.inputs)]
        outputs = [f"o{n}" for n in range(self.n_outputs)]
        node = helper.make_node(self.op, names, outputs, name="drawn", **self.attributes)
        of = helper.np_dtype_to_tensor_dtype
        feeds = self.feeds.items()
        given = [helper.make_tensor_value_info(n, of(x.dtype), x.shape) for n, x in feeds]
        graph = helper.make_graph(
            [node], "graph", given, [onnx.ValueInfoProto(name=each) for each in outputs]
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8
        )

    def run(self) -> list[np.ndarray]:
        """What our operators give."""
        return evaluator(self.model()).run(None, self.feeds)

    def with_channels_last(self) -> Node:
        """The same, the first input in memory with channels last."""
        return self._replace(inputs=(channels_last(self.inputs[0]), *self.inputs[1:]))


def evaluator(model) -> ReferenceEvaluator:
    """onnx', with our operators."""
    return ReferenceEvaluator(model, new_ops=list(aotconv.onnx.OPS))


def channels_last(x: np.ndarray) -> np.ndarray:
    """The same array; channels follow each other in memory."""
    order = (0, *range(2, x.ndim), 1)
    return np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))


def values(seed: int, shape, dtype=np.float32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        return np.asarray(rng.integers(info.min, info.max, shape, dtype, endpoint=True))
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


@st.composite
def windows(draw, rank: int, *, dilated: bool = True, ceil_mode: bool = True):
    """Sizes that windows fit into, and the attributes of these."""
    window = draw(st.tuples(*[st.integers(1, 4)] * rank))
    strides = draw(st.tuples(*[st.integers(1, 4)] * rank))
    dilations = draw(st.tuples(*[st.integers(1, 3 if dilated else 1)] * rank))
    spans = [(k - 1) * d + 1 for k, d in zip(window, dilations, strict=True)]
    sizes = [draw(st.integers(span, span + 6)) for span in spans]
    if draw(st.integers(0, 4)) == 4:
        sizes[-1] += 24  # of LONG_ROW
    attributes: dict[str, Any] = {"kernel_shape": window, "strides": strides}
    if dilated:
        attributes["dilations"] = dilations
    if draw(st.booleans()):
        attributes["pads"] = [draw(st.integers(0, k - 1)) for k in [*window, *window]]
    elif draw(st.booleans()):
        attributes["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    if ceil_mode and "auto_pad" not in attributes:
        attributes["ceil_mode"] = draw(st.integers(0, 1))
    return sizes, attributes


@st.composite
def pools(draw, ops=("MaxPool", "AveragePool", "LpPool")) -> Node:
    op = draw(st.sampled_from(ops))
    rank = draw(st.integers(1, 4 if op != "MaxPool" else 3))
    sizes, attributes = draw(windows(rank))
    if rank == 4:
        sizes = [min(each, 5) for each in sizes]  # of which every window is a view
        spans = [
            (k - 1) * d + 1
            for k, d in zip(attributes["kernel_shape"], attributes["dilations"], strict=True)
        ]
        sizes = [max(each) for each in zip(sizes, spans, strict=True)]
    n, channels = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    if op == "AveragePool":
        attributes["count_include_pad"] = draw(st.integers(0, 1))
    if op == "LpPool":
        attributes["p"] = draw(st.integers(1, 4))
    indexed = op == "MaxPool" and draw(st.booleans())
    if indexed:
        attributes["storage_order"] = draw(st.integers(0, 1))
    dtypes = [np.float32, np.float64, *([np.int8, np.uint8] if op == "MaxPool" else [])]
    dtype = draw(st.sampled_from(dtypes))
    x = values(draw(seeds), (n, channels, *sizes), dtype)
    return Node(op, 19, (x,), attributes, 2 if indexed else 1)


def pooled(node: Node) -> list[np.ndarray]:
    """A pool by loops over windows and their pixels."""
    x, attributes = node.inputs[0], node.attributes
    sizes = x.shape[2:]
    window = attributes["kernel_shape"]
    strides = attributes["strides"]
    dilations = attributes["dilations"]
    pads = padding(sizes, attributes)
    counts = []
    for axis, size in enumerate(sizes):
        span = (window[axis] - 1) * dilations[axis] + 1
        front, behind = pads[axis]
        steps = (size + front + behind - span) / strides[axis]
        count = (ceil(steps) if attributes.get("ceil_mode") else floor(steps)) + 1
        if attributes.get("ceil_mode") and (count - 1) * strides[axis] >= size + front:
            count -= 1
        counts.append(count)
    results = np.zeros((*x.shape[:2], *counts), np.float64)
    places = np.zeros(results.shape, np.int64)
    for at in itertools.product(*map(range, counts)):
        pixels, padded = [], 0
        for tap in itertools.product(*map(range, window)):
            place = [
                at[i] * strides[i] - pads[i][0] + tap[i] * dilations[i] for i in range(len(sizes))
            ]
            if all(0 <= p < size for p, size in zip(place, sizes, strict=True)):
                pixels.append(tuple(place))
            elif all(p < size + b for p, size, (_, b) in zip(place, sizes, pads, strict=True)):
                padded += 1
        for n, c in np.ndindex(x.shape[:2]):
            some = [float(x[(n, c, *pixel)]) for pixel in pixels]
            if node.op == "MaxPool":
                best = some.index(max(some))
                results[(n, c, *at)] = some[best]
                order = "F" if attributes.get("storage_order") else "C"
                inner = np.ravel_multi_index(pixels[best], sizes, order=order)
                places[(n, c, *at)] = (n * x.shape[1] + c) * prod(sizes) + inner
            elif node.op == "AveragePool":
                divisor = len(some) + padded * attributes["count_include_pad"]
                results[(n, c, *at)] = sum(some) / divisor if divisor else np.nan
            else:
                p = attributes["p"]
                results[(n, c, *at)] = sum(abs(each) ** p for each in some) ** (1 / p)
    return [results.astype(x.dtype), places][: node.n_outputs]


def padding(sizes, attributes) -> list[tuple[int, int]]:
    """Pixels in front of and behind each axis."""
    rank = len(sizes)
    rule = attributes.get("auto_pad", "NOTSET")
    if rule == "NOTSET":
        pads = attributes.get("pads", [0] * 2 * rank)
        return [(pads[i], pads[rank + i]) for i in range(rank)]
    pads = []
    for i, size in enumerate(sizes):
        stride = attributes["strides"][i]
        span = (attributes["kernel_shape"][i] - 1) * attributes.get("dilations", [1] * rank)[i] + 1
        total = max((ceil(size / stride) - 1) * stride + span - size, 0) * (rule != "VALID")
        fewer, more = total // 2, total - total // 2
        pads.append((fewer, more) if rule == "SAME_UPPER" else (more, fewer))
    return pads


@st.composite
def quantized(draw, exact_everywhere: bool = False) -> Node:
    """With `exact_everywhere` of numbers whose products, two and two, fit into 16 bits."""
    rank = draw(st.integers(1, 3))
    sizes, attributes = draw(windows(rank, ceil_mode=False))
    group = attributes["group"] = draw(st.integers(1, 3))
    channels, filters = draw(st.integers(1, 3)) * group, draw(st.integers(1, 3)) * group
    window = attributes["kernel_shape"]
    if draw(st.booleans()):
        del attributes["kernel_shape"]
    kinds = st.sampled_from([np.int8, np.uint8])
    image, weight, result = draw(kinds), draw(kinds), draw(kinds)
    if exact_everywhere:
        image = np.uint8
    x = values(draw(seeds), (draw(st.integers(1, 2)), channels, *sizes), image)
    w = values(draw(seeds), (filters, channels // group, *window), weight)
    if exact_everywhere and weight == np.int8:
        w //= 2
    zeros = draw(st.sampled_from([(), (filters,)]))
    x_zero = values(draw(seeds), (), image)
    w_zero = values(draw(seeds), zeros, weight)
    if draw(st.booleans()):
        given = draw(st.integers(0, 2))
        inputs = (x, w, *(x_zero, w_zero)[:given])
        return Node("ConvInteger", 10, inputs, attributes)
    rng = np.random.default_rng(draw(seeds))
    scales = [np.array(rng.uniform(0.001, 0.1, shape), np.float32) for shape in ((), zeros, ())]
    scales[2] = np.array(scales[2] * 64, np.float32)
    bias = draw(st.sampled_from([None, values(draw(seeds), (filters,), np.int16).astype(np.int32)]))
    y_zero = values(draw(seeds), (), result)
    inputs = (x, scales[0], x_zero, w, scales[1], w_zero, scales[2], y_zero, bias)
    return Node("QLinearConv", 10, inputs[: 9 if bias is not None else 8], attributes)


def quantized_sums(node: Node) -> list[np.ndarray]:
    """Products of centred numbers, summed as int64; and of QLinearConv what the sums are."""
    if node.op == "ConvInteger":
        x, w, x_zero, w_zero = (*node.inputs, np.int8(0), np.int8(0))[:4]
        if len(node.inputs) == 3:
            w_zero = np.int8(0)
        return [_convolved(x, w, x_zero, w_zero, node.attributes).astype(np.int32)]
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias = (*node.inputs, None)[:9]
    sums = _convolved(x, w, x_zero, w_zero, node.attributes)
    each = (-1, *[1] * (x.ndim - 2))
    if bias is not None:
        sums = sums + bias.reshape(each)
    factors = (x_scale * w_scale / y_scale).reshape(each)
    shifted = np.round(sums.astype(np.float32) * factors) + float(y_zero)
    limits = np.iinfo(y_zero.dtype)
    return [np.clip(shifted, limits.min, limits.max).astype(y_zero.dtype)]


def _convolved(x, w, x_zero, w_zero, attributes) -> np.ndarray:
    sizes, window = x.shape[2:], w.shape[2:]
    rank = len(sizes)
    w = w.astype(np.int64) - np.asarray(w_zero, np.int64).reshape(-1, *[1] * (rank + 1))
    x = x.astype(np.int64) - int(x_zero)
    pads = padding(sizes, {**attributes, "kernel_shape": window})
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    strides, dilations = attributes["strides"], attributes["dilations"]
    spans = [(k - 1) * d + 1 for k, d in zip(window, dilations, strict=True)]
    counts = [(x.shape[2 + i] - spans[i]) // strides[i] + 1 for i in range(rank)]
    group = attributes["group"]
    result = np.zeros((len(x), len(w), *counts), np.int64)
    for at in np.ndindex(*counts):
        cut = [
            slice(at[i] * strides[i], at[i] * strides[i] + spans[i], dilations[i])
            for i in range(rank)
        ]
        seen = x[(slice(None), slice(None), *cut)]
        for o in range(len(w)):
            first = o // (len(w) // group) * w.shape[1]
            products = seen[:, first : first + w.shape[1]] * w[o]
            result[(slice(None), o, *at)] = products.reshape(len(x), -1).sum(1)
    return result


TRANSFORMATIONS = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)


@st.composite
def resizes(draw) -> Node:
    rank = draw(st.integers(1, 4))
    shape = [draw(st.integers(1, 6)) for _ in range(rank)]
    mode = draw(st.sampled_from(["nearest", "linear", "cubic"]))
    transformation = draw(st.sampled_from(TRANSFORMATIONS))
    attributes = {"mode": mode, "coordinate_transformation_mode": transformation}
    axes = sorted(draw(st.sets(st.integers(0, rank - 1), min_size=1)))
    if len(axes) < rank:
        attributes["axes"] = axes
    if mode == "nearest":
        choices = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
        attributes["nearest_mode"] = draw(st.sampled_from(choices))
    else:
        attributes["antialias"] = draw(st.integers(0, 1))
        attributes["exclude_outside"] = draw(st.integers(0, 1))
    roi = None
    if transformation == "tf_crop_and_resize":
        attributes["extrapolation_value"] = 7.0
        ends = st.integers(-2, 6)
        roi = np.array([draw(ends) / 4 for _ in range(2 * len(axes))], np.float32)
    sizes = np.array([draw(st.integers(1, 12)) for _ in axes])
    inputs = roi, None, sizes
    if draw(st.booleans()):
        quarters = st.integers(2, 12)  # exact in float32
        scales = np.array([draw(quarters) / 4 for _ in axes], np.float32)
        if all(floor(shape[axis] * scale) for axis, scale in zip(axes, scales, strict=True)):
            inputs = roi, scales
    elif draw(st.booleans()):
        attributes["keep_aspect_ratio_policy"] = draw(
            st.sampled_from(["not_larger", "not_smaller"])
        )
    x = values(draw(seeds), shape, draw(st.sampled_from([np.float32, np.float64])))
    return Node("Resize", 19, (x, *inputs), attributes)


def resized(node: Node) -> list[np.ndarray]:
    """Resize by a matrix for each axis."""
    x, roi, scales, sizes = (*node.inputs, None)[:4]
    attributes = node.attributes
    axes = attributes.get("axes", list(range(x.ndim)))
    policy = attributes.get("keep_aspect_ratio_policy")
    if scales is None:
        scales = [int(size) / x.shape[axis] for size, axis in zip(sizes, axes, strict=True)]
        if policy:
            scales = [(min if policy == "not_larger" else max)(scales)] * len(axes)
            sizes = [floor(s * x.shape[axis] + 0.5) for s, axis in zip(scales, axes, strict=True)]
    else:
        sizes = [floor(s * x.shape[axis]) for s, axis in zip(scales, axes, strict=True)]
    result, outside = x.astype(np.float64), np.zeros((1,) * x.ndim, bool)
    for i, axis in enumerate(axes):
        ends = (0, 1) if roi is None else (float(roi[i]), float(roi[len(axes) + i]))
        at = [
            coordinate(place, x.shape[axis], int(sizes[i]), float(scales[i]), ends, attributes)
            for place in range(int(sizes[i]))
        ]
        matrix = np.array([row(each, x.shape[axis], float(scales[i]), attributes) for each in at])
        matrix = matrix.reshape(len(at), x.shape[axis])
        result = np.moveaxis(np.tensordot(matrix, result, (1, axis)), 0, axis)
        if attributes["coordinate_transformation_mode"] == "tf_crop_and_resize":
            beyond = np.array([not 0 <= each <= x.shape[axis] - 1 for each in at], bool)
            outside = outside | beyond.reshape(-1, *[1] * (x.ndim - axis - 1))
    return [np.where(outside, 7.0, result).astype(x.dtype)]


def coordinate(place: int, size: int, out: int, scale: float, ends, attributes) -> float:
    """Where an element of the result lies."""
    mode = attributes["coordinate_transformation_mode"]
    width = scale * size
    if mode == "asymmetric":
        return place / scale
    if mode == "align_corners":
        return 0.0 if width == 1 else place * (size - 1) / (width - 1)
    if mode == "tf_crop_and_resize":
        start, end = ends
        if width == 1:
            return (start + end) * (size - 1) / 2
        return start * (size - 1) + place * (end - start) * (size - 1) / (width - 1)
    if mode == "pytorch_half_pixel" and out == 1:
        return 0.0
    half = (place + 0.5) / scale - 0.5
    return half + (size / 2 * (1 - out / width) if mode == "half_pixel_symmetric" else 0)


def row(at: float, size: int, scale: float, attributes) -> np.ndarray:
    """The weights of an axis' elements in an element of the result."""
    weights = np.zeros(size)
    if attributes["mode"] == "nearest":
        nearest = {
            "round_prefer_floor": ceil(at - 0.5),
            "round_prefer_ceil": floor(at + 0.5),
            "floor": floor(at),
            "ceil": ceil(at),
        }[attributes["nearest_mode"]]
        weights[min(max(nearest, 0), size - 1)] = 1
        return weights
    shrink = min(scale, 1) if attributes["antialias"] else 1
    reach = 1 if attributes["mode"] == "linear" else 2
    places = range(floor(at - reach / shrink), ceil(at + reach / shrink) + 1)
    near = {place: kernel((place - at) * shrink, attributes["mode"]) for place in places}
    if shrink < 1:
        total = sum(near.values())
        near = {place: weight / total for place, weight in near.items()}
    for place, weight in near.items():
        if 0 <= place < size or not attributes["exclude_outside"]:
            weights[min(max(place, 0), size - 1)] += weight
    return weights / weights.sum() if attributes["exclude_outside"] and weights.sum() else weights


def kernel(far: float, mode: str, a: float = -0.75) -> float:
    far = abs(far)
    if mode == "linear":
        return max(1 - far, 0)
    if far <= 1:
        return (a + 2) * far**3 - (a + 3) * far**2 + 1
    return a * far**3 - 5 * a * far**2 + 8 * a * far - 4 * a if far < 2 else 0


@st.composite
def normalizations(draw) -> Node:
    opset = draw(st.sampled_from([6, 7, 9, 14, 15]))
    shape = draw(st.lists(st.integers(1, 5), min_size=2, max_size=5).map(tuple))
    attributes: dict[str, Any] = {"epsilon": draw(st.sampled_from([1e-5, 0.25]))}
    attributes["momentum"] = draw(st.sampled_from([0.5, 0.875]))
    trains = draw(st.booleans())
    if opset < 9:
        attributes["spatial"] = draw(st.integers(0, 1))
    if opset < 7:
        attributes["is_test"] = int(not trains)
    if opset >= 14:
        attributes["training_mode"] = int(trains)
    n_outputs = 1 if not trains else 3 if opset >= 14 else 5
    inner = shape[1:2] if attributes.get("spatial", 1) else shape[1:]
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    x, *others = (values(draw(seeds), each, dtype) for each in (shape, *[inner] * 4))
    others[3] = np.abs(others[3])
    return Node("BatchNormalization", opset, (x, *others), attributes, n_outputs)


def normalized(node: Node) -> list[np.ndarray]:
    """BatchNormalization by its formula."""
    x, *others = (each.astype(np.float64) for each in node.inputs)
    attributes = node.attributes
    spatial = attributes.get("spatial", 1)
    inner = (x.shape[1], *[1] * (x.ndim - 2)) if spatial else x.shape[1:]
    axes = (0, *range(2, x.ndim)) if spatial else (0,)
    scale, bias, mean, var = (each.reshape(inner) for each in others)
    own = x.mean(axis=axes), x.var(axis=axes)
    if node.n_outputs > 1:
        mean, var = (each.reshape(inner) for each in own)
    y = (x - mean) / np.sqrt(var + float(np.float32(attributes["epsilon"]))) * scale + bias
    momentum = attributes["momentum"]
    running = [
        old * momentum + new * (1 - momentum) for old, new in zip(others[2:], own, strict=True)
    ]
    return [each.astype(node.inputs[0].dtype) for each in [y, *running, *own][: node.n_outputs]]


@st.composite
def slopes(draw) -> Node:
    """PRelu, with slopes of some trailing axes, or of channels before opset 7."""
    opset = draw(st.sampled_from([6, 7, 9, 16]))
    shape = draw(st.lists(st.integers(1, 5), min_size=2, max_size=5).map(tuple))
    some = shape[draw(st.integers(0, len(shape))) :]
    some = tuple(draw(st.sampled_from([1, each])) for each in some)
    if opset < 7:
        some = draw(st.sampled_from([(1,), shape[1:2]]))
    dtypes = [np.float32, np.float64, np.float16, *([np.int32, np.int64] if opset >= 9 else [])]
    dtype = draw(st.sampled_from(dtypes))
    x, slope = values(draw(seeds), shape, np.float64), values(draw(seeds), some, np.float64)
    if draw(st.booleans()):
        slope = np.asarray(np.abs(slope) / max(np.abs(slope).max(), 1))
    inputs = tuple(
        (4 * each).astype(dtype) if each is x else each.astype(dtype) for each in (x, slope)
    )
    return Node("PRelu", opset, inputs, {})


def sloped(node: Node) -> list[np.ndarray]:
    x, slope = node.inputs
    if node.opset < 7 and slope.size > 1:
        slope = slope.reshape(-1, *[1] * (x.ndim - 2))
    return [np.where(x > 0, x, x * slope)]


@st.composite
def pads(draw) -> Node:
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple))
    mode = draw(st.sampled_from(["constant", "reflect", "edge", "wrap"]))
    axes = sorted(draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    sides = []
    for axis in axes:
        front = draw(st.integers(1 - shape[axis], 4))
        left = shape[axis] + min(front, 0)
        sides.append((front, draw(st.integers(1 - left, 4))))
    given = np.array([each[0] for each in sides] + [each[1] for each in sides], np.int64)
    dtype = draw(st.sampled_from([np.float32, np.int8, np.float16, np.complex64, np.bool_]))
    x = values(draw(seeds), shape).astype(dtype)
    value = np.array(3, dtype) if mode == "constant" and draw(st.booleans()) else None
    of = np.array([each - len(shape) * draw(st.integers(0, 1)) for each in axes])
    return Node("Pad", 19, (x, given, value, of), {"mode": mode})


def padded(node: Node) -> list[np.ndarray]:
    x, given, value, axes = node.inputs
    for axis, front, behind in zip(axes, given[: len(axes)], given[len(axes) :], strict=True):
        x = np.moveaxis(x, axis, 0)[max(-front, 0) : x.shape[axis] + min(behind, 0)]
        width = [(max(front, 0), max(behind, 0)), *[(0, 0)] * (x.ndim - 1)]
        more = {} if node.attributes["mode"] != "constant" else {"constant_values": value or 0}
        x = np.moveaxis(np.pad(x, width, node.attributes["mode"], **more), 0, axis)
    return [x]
