"""Operators of ONNX beside plain formulas, and in the long run beside ONNX Runtime."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx")

import onnx_nodes as nodes  # noqa: E402

FORMULAS = {
    "pools": (nodes.pools, nodes.pooled),
    "quantized": (nodes.quantized, nodes.quantized_sums),
    "resizes": (nodes.resizes, nodes.resized),
    "normalizations": (nodes.normalizations, nodes.normalized),
    "slopes": (nodes.slopes, nodes.sloped),
    "pads": (nodes.pads, nodes.padded),
}
TOLERANCE = {"float64": 1e-11, "float32": 2e-5, "float16": 2e-3}


def assert_close(results, rights):
    assert len(results) == len(rights)
    for result, right in zip(results, rights, strict=True):
        assert result.shape == right.shape
        assert result.dtype == right.dtype
        tolerance = TOLERANCE.get(right.dtype.name, 0)
        np.testing.assert_allclose(result, right, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize("name", FORMULAS)
@given(data=st.data())
def test_results_are_those_of_the_formula(name, data):
    strategy, formula = FORMULAS[name]
    node = data.draw(strategy())
    assert_close(node.run(), formula(node))


@pytest.mark.parametrize("name", FORMULAS)
@given(data=st.data())
def test_results_do_not_depend_on_memory_order_and_keep_channels_last(name, data):
    node = data.draw(FORMULAS[name][0]())
    assume(2 < node.inputs[0].ndim < 6)
    given = node.with_channels_last()
    results = given.run()
    assert_close(results, node.run())
    if 1 not in (*given.inputs[0].shape, *results[0].shape):  # whose strides say nothing
        assert results[0].strides == nodes.channels_last(results[0]).strides


@pytest.mark.long
@pytest.mark.parametrize("name", FORMULAS)
@given(data=st.data())
def test_results_are_those_of_onnx_runtime(name, data):
    runtime = pytest.importorskip("onnxruntime")
    # ONNX Runtime saturates sums of two products in 16 bits.
    node = data.draw(nodes.quantized(True) if name == "quantized" else FORMULAS[name][0]())
    assume(is_comparable(node))
    rights = by_runtime(runtime, node)
    assume(rights is not None)
    if node.op == "BatchNormalization":
        rights = rights[:3]  # the last is the deviation's inverse, there
    assert_close(node.run()[: len(rights)], rights)


def by_runtime(runtime, node):
    """What ONNX Runtime gives; None where it says that it cannot."""
    state = runtime.capi.onnxruntime_pybind11_state
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(node.model().SerializeToString(), options)
        return session.run(None, node.feeds)
    except (state.NotImplemented, state.InvalidArgument, state.Fail, state.RuntimeException):
        return None


def is_comparable(node) -> bool:
    """Whether ONNX Runtime means the same."""
    attributes = node.attributes
    if attributes.get("auto_pad", "NOTSET").startswith("SAME"):  # it pads windows as if not dilated
        window = (
            node.inputs[3 if node.op == "QLinearConv" else 1].shape[2:]
            if "Conv" in node.op
            else attributes["kernel_shape"]
        )
        wide = any(s > k for s, k in zip(attributes["strides"], window, strict=True))
        return not wide and max(attributes["dilations"]) == 1  # and crops images under wide strides
    if node.op == "Resize":
        x, roi, scales, *_ = node.inputs
        axes = attributes.get("axes", range(x.ndim))
        sizes = [x.shape[axis] for axis in axes]
        if scales is None:
            scales = node.inputs[3] / sizes
        if roi is not None and 1 in scales:  # it leaves such an axis as it is
            return False
        mode = attributes.get("coordinate_transformation_mode")
        if attributes.get("mode", "nearest") == "nearest" and mode == "half_pixel_symmetric":
            return False  # it rounds places in float32, where they lie between two elements
        if "keep_aspect_ratio_policy" in attributes:
            whole = attributes["coordinate_transformation_mode"] in ("half_pixel", "asymmetric")
        else:
            whole = len(node.inputs) == 4 or all((scales * sizes) % 1 == 0)
        return whole and not attributes.get("antialias")
    return True


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize("pads", [[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 1, 1], [1] * 4])
def test_sides_are_padded_each_by_its_own_number(op, pads):
    attributes = {"kernel_shape": (2, 2), "strides": (2, 1), "dilations": (1, 1), "pads": pads}
    more = {"MaxPool": {}, "AveragePool": {"count_include_pad": 1}, "LpPool": {"p": 2}}[op]
    node = nodes.Node(op, 19, (nodes.values(1, (1, 2, 3, 4)),), {**attributes, **more})
    assert_close(node.run(), nodes.pooled(node))


def run(op, *inputs, opset=19, n_outputs=1, **attributes):
    """The first result, or all."""
    results = nodes.Node(op, opset, inputs, attributes, n_outputs).run()
    return results[0] if n_outputs == 1 else results


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def hard_sigmoid(x, alpha=0.2, beta=0.5):
    return np.clip(alpha * x + beta, 0, 1)


def gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))) / 2


def gelu_tanh(x):
    return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2


CURVES = [
    ("Sigmoid", {}, sigmoid),
    ("Tanh", {}, np.tanh),
    ("Erf", {}, np.vectorize(math.erf)),
    ("HardSwish", {}, lambda x: x * hard_sigmoid(x, 1 / 6)),
    ("HardSigmoid", {}, lambda x: hard_sigmoid(x, float(np.float32(0.2)))),  # as models hold it
    ("HardSigmoid", {"alpha": 1 / 6}, lambda x: hard_sigmoid(x, 1 / 6)),
    ("HardSigmoid", {"alpha": -0.75, "beta": 0.25}, lambda x: hard_sigmoid(x, -0.75, 0.25)),
    ("Gelu", {}, gelu),
    ("Gelu", {"approximate": "tanh"}, gelu_tanh),
    ("Relu", {}, lambda x: np.maximum(x, 0)),
    ("LeakyRelu", {"alpha": 0.25}, lambda x: np.where(x > 0, x, x / 4)),
    ("LeakyRelu", {"alpha": -1.5}, lambda x: np.where(x > 0, x, x * -1.5)),
    ("LeakyRelu", {"alpha": 2.0}, lambda x: np.where(x > 0, x, x * 2)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize(("op", "attributes", "formula"), CURVES)
def test_curves_are_their_formulas(op, attributes, formula, shape, dtype):
    x = (3 * nodes.values(1, shape)).astype(dtype)
    result = run(op, x, opset=20, **attributes)
    expected = formula(x.astype(np.float64)) if x.size else x
    assert_close([result], [np.asarray(expected).astype(dtype)])
    if len(shape) == 4:
        other = run(op, nodes.channels_last(x), opset=20, **attributes)
        assert other.strides == nodes.channels_last(x).strides
        assert (other == result).all()


@pytest.mark.parametrize("op", ["Sigmoid", "HardSwish", "Gelu", "LeakyRelu"])
def test_curves_of_integers_are_refused(op):
    with pytest.raises(TypeError, match=f"{op} 'drawn': X of int32, where floats are expected"):
        run(op, np.arange(3, dtype=np.int32), opset=20)


def test_integers_are_clipped_and_rectified_as_integers():
    x = np.arange(-5, 6, dtype=np.int8)
    low, high = np.array(-2, np.int8), np.array(3, np.int8)
    assert (run("Clip", x, low, high) == np.clip(x, -2, 3)).all()
    assert (run("Clip", x, high, low) == -2).all()
    assert (run("Clip", x, None, high) == np.minimum(x, 3)).all()
    assert run("Clip", x, low, high).dtype == run("Relu", x).dtype == np.int8
    assert (run("Relu", x) == np.maximum(x, 0)).all()
    assert (run("Erf", x, opset=9) == np.sign(x) * (abs(x) > 3)).all()  # as float32 rounds it


def test_clip_before_opset_11_has_limits_as_attributes():
    x = np.array([-np.inf, -1, 0.25, 3, np.nan], np.float32)
    np.testing.assert_array_equal(
        run("Clip", x, opset=6, min=0.0, max=1.0), [0, 0, 0.25, 1, np.nan]
    )
    assert run("Clip", x, opset=6)[0] == np.finfo(np.float32).min


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_softmax_before_opset_13_is_of_all_axes_behind_one(axis):
    x = nodes.values(1, (2, 3, 4))
    rows = np.exp(x.astype(np.float64)).reshape(math.prod(x.shape[: axis % 3]), -1)
    expected = (rows / rows.sum(1, keepdims=True)).reshape(x.shape).astype(np.float32)
    assert_close([run("Softmax", x, opset=11, axis=axis)], [expected])
    assert_close([run("Softmax", nodes.channels_last(x), opset=11, axis=axis)], [expected])


def test_softmax_of_channels_before_opset_13_is_that_of_an_axis():
    x = nodes.values(1, (2, 5, 1, 1))
    assert (run("Softmax", x, opset=11, axis=1) == run("Softmax", x, opset=13, axis=1)).all()


@pytest.mark.parametrize("p", [1, 2, 3])
def test_norms_of_whole_channels(p):
    x = nodes.values(1, (2, 3, 4, 5))
    expected = (np.abs(x.astype(np.float64)) ** p).sum((2, 3), keepdims=True) ** (1 / p)
    assert_close([run("GlobalLpPool", x, p=p)], [expected.astype(np.float32)])


@pytest.mark.parametrize("opset", [7, 9])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample_is_resize_of_opset_10(mode, opset):
    x, scales = nodes.values(1, (1, 2, 3, 4)), np.array([1, 1, 2, 1.5], np.float32)
    expected = run("Resize", x, scales, opset=10, mode=mode)
    inputs, more = ((x, scales), {}) if opset == 9 else ((x,), {"scales": scales.tolist()})
    assert (run("Upsample", *inputs, opset=opset, mode=mode, **more) == expected).all()


def test_resize_of_opset_10_takes_the_next_element_of_larger_images():
    x, scales = np.arange(8, dtype=np.float32).reshape(2, 4), np.array([0.6, 0.6], np.float32)
    assert run("Resize", x, scales, opset=10).tolist() == [[0, 2]]
    assert run("Resize", x, 1 / scales, opset=10)[0].tolist() == [0, 0, 1, 1, 2, 3]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64"])
def test_integers_are_interpolated_rounded_and_clipped(dtype):
    info = np.iinfo(dtype)
    ends = (info.min, info.max) if info.bits < 64 else (-1000, 1000)
    x = np.array([ends[0], ends[1], ends[1], ends[0], 3, 8], dtype)
    node = nodes.Node("Resize", 19, (x, None, np.array([2.0], np.float32)), {"mode": "cubic"})
    exact = run("Resize", x.astype(np.float64), None, node.inputs[2], mode="cubic")
    expected = np.clip(np.rint(exact), info.min, info.max)
    assert_close(node.run(), [expected.astype(dtype)])


def test_any_elements_are_resized_by_the_nearest():
    scales = np.array([2.0], np.float32)
    for x in (np.array([True, False]), np.array(["a", "bc"], object), np.array([1, 2j])):
        assert run("Resize", x, None, scales).tolist() == np.repeat(x, 2).tolist()
    with pytest.raises(TypeError, match="Resize 'drawn': X of bool"):
        run("Resize", np.array([True]), None, scales, mode="linear")


def test_large_arrays_are_resized_in_blocks_as_at_once(monkeypatch):
    x = nodes.values(1, (2, 5, 7, 6))
    sizes = np.array([2, 8, 9, 11])
    at_once = run("Resize", x, None, None, sizes, mode="cubic")
    monkeypatch.setattr("aotconv._onnx.resize.BLOCK", 20)
    assert (run("Resize", x, None, None, sizes, mode="cubic") == at_once).all()


def test_sums_that_floats_do_not_hold_are_exact():
    x = np.full((1, 700, 1), 255, np.uint8)
    w = np.full((1, 700, 1), 127, np.int8)
    x[0, 0, 0] = 254
    exact = 255 * 127 * 700 - 127
    zero = np.zeros((), np.uint8)
    assert run("ConvInteger", x, w, opset=10).item() == exact
    assert exact > 1 << 24 and exact % 2
    scales = np.array(1, np.float32), np.array(2.0**-17, np.float32)
    inputs = x, scales[0], zero, w, scales[1], zero.astype(np.int8), scales[0], zero
    assert run("QLinearConv", *inputs, opset=10).item() == round(exact / 2**17)


@pytest.mark.parametrize("op", ["ConvInteger", "Conv"])
def test_weights_that_changed_in_place_are_noticed(op):
    x, w = np.full((1, 1, 4), 2, np.uint8), np.ones((1, 1, 2), np.int8)
    if op == "Conv":
        x, w = x.astype(np.float32), w.astype(np.float32)
    model = nodes.Node(op, 11, (x, w), {}).model()
    evaluator = nodes.evaluator(model)
    before = evaluator.run(None, {"i0": x, "i1": w})[0].copy()
    w[0, 0, 1] = 3
    after = evaluator.run(None, {"i0": x, "i1": w})[0]
    assert before.tolist() == [[[4, 4, 4]]]
    assert after.tolist() == [[[8, 8, 8]]]


def test_a_node_meets_other_shapes_and_values():
    pads = np.array([1, 0])
    for op, more in (("Pad", {"i1": pads}), ("Resize", {"i2": np.array([2.0], np.float32)})):
        inputs = [np.zeros(3, np.float32), *([pads] if op == "Pad" else [None, more["i2"]])]
        evaluator = nodes.evaluator(nodes.Node(op, 19, tuple(inputs), {}).model())
        for size in (3, 5, 3):
            x = np.arange(size, dtype=np.float32)
            expected = np.pad(x, (1, 0)) if op == "Pad" else np.repeat(x, 2)
            assert (evaluator.run(None, {"i0": x, **more})[0] == expected).all()


def test_attributes_of_functions_come_with_calls():
    body = onnx.helper.make_node("MaxPool", ["x"], ["y"])
    for name in ("kernel_shape", "strides"):
        linked = body.attribute.add(name=name, ref_attr_name=name)
        linked.type = onnx.AttributeProto.INTS
    ids = [onnx.helper.make_opsetid("", 19), onnx.helper.make_opsetid("own", 1)]
    function = onnx.helper.make_function(
        "own", "Pooled", ["x"], ["y"], [body], ids[:1], ["kernel_shape", "strides"]
    )
    calls = [
        onnx.helper.make_node(
            "Pooled", ["x"], [f"y{size}"], domain="own", kernel_shape=[size], strides=[size]
        )
        for size in (2, 3)
    ]
    x = np.arange(6, dtype=np.float32).reshape(1, 1, 6)
    of_floats = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)
    outputs = [onnx.ValueInfoProto(name=f"y{size}") for size in (2, 3)]
    graph = onnx.helper.make_graph(calls, "graph", [of_floats], outputs)
    model = onnx.helper.make_model(graph, opset_imports=ids, functions=[function], ir_version=8)
    twos, threes = nodes.evaluator(model).run(None, {"x": x})
    assert twos.tolist() == [[[1, 3, 5]]]
    assert threes.tolist() == [[[2, 5]]]


POOLED = {"kernel_shape": [2, 3], "strides": [1, 2]}
SCALES = np.array([1, 1, 2, 2], np.float32)
HALVES = [
    ("MaxPool", 22, POOLED, ()),
    ("AveragePool", 22, POOLED, ()),
    ("LpPool", 22, POOLED, ()),
    ("GlobalAveragePool", 22, {}, ()),
    ("GlobalMaxPool", 22, {}, ()),
    ("GlobalLpPool", 22, {}, ()),
    ("BatchNormalization", 15, {}, (3, 3, 3, 3)),
    ("Softmax", 13, {}, ()),
    ("Resize", 19, {"mode": "linear"}, (None, SCALES)),
    ("Resize", 19, {"mode": "nearest"}, (None, SCALES)),
    ("Pad", 19, {}, (np.array([0, 0, 1, 1, 0, 0, 1, 1]),)),
    ("Clip", 13, {}, (np.array(-0.5, np.float32), np.array(1, np.float32))),
    ("PRelu", 16, {}, (1,)),
    *[(op, 22, attributes, ()) for op, attributes, _ in CURVES],
]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("op", "opset", "attributes", "others"), HALVES)
def test_halves_are_rounded_once(op, opset, attributes, others, dtype):
    """What float64 gives, within a unit of the largest element."""
    if dtype == "bfloat16" and onnx.__version__.startswith(("1.17.", "1.18.")):
        pytest.skip("these versions of onnx have no arrays of bfloat16")
    dtype = np.dtype(getattr(pytest.importorskip("ml_dtypes"), dtype, dtype))
    half = nodes.values(1, (2, 3, 5, 6)).astype(dtype)
    inputs = [half]
    for each in others:  # sizes of statistics, numbers, or what is not of this dtype
        made = np.abs(nodes.values(2, (each,))) + 0.5 if isinstance(each, int) else each
        is_number = made is not None and made is not SCALES and made.dtype == np.float32
        inputs.append(made.astype(dtype) if is_number else made)
    exact = [
        each.astype(np.float64) if each is not None and each.dtype == dtype else each
        for each in inputs
    ]
    result = run(op, *inputs, opset=opset, **attributes)
    expected = run(op, *exact, opset=opset, **attributes)
    assert result.dtype == dtype
    eps = {"float16": 2.0**-10, "bfloat16": 2.0**-7}[dtype.name]
    tolerance = eps * np.abs(expected).max()
    np.testing.assert_allclose(result.astype(np.float64), expected, rtol=0, atol=tolerance)


REFUSED = [
    ("MaxPool", (np.ones((1, 1, 4), np.float32),), {"kernel_shape": [2, 2]}, "expects 4 axes"),
    (
        "MaxPool",
        (np.ones((1, 1, 4), np.float32),),
        {"kernel_shape": [2], "pads": [2, 0]},
        "padding",
    ),
    ("LpPool", (np.ones((1, 1, 4), np.float32),), {"kernel_shape": [2], "p": 0}, "p 0"),
    ("GlobalMaxPool", (np.ones(3, np.float32),), {}, r"X of shape \(3,\)"),
    ("Clip", (np.ones(3), np.ones(2)), {}, r"min of shape \(2,\)"),
    ("PRelu", (np.ones((2, 3)), np.ones(2)), {}, r"slope of shape \(2,\)"),
    ("Softmax", (np.ones((2, 3)),), {"axis": 2}, "axis 2"),
    ("BatchNormalization", (np.ones((2, 3)), *[np.ones(2)] * 4), {}, r"scale of shape \(2,\)"),
    ("Pad", (np.ones(3), np.array([1])), {}, r"pads \[1\]"),
    ("Pad", (np.ones(3), np.array([-2, -2])), {}, "pads -2 and -2"),
    ("Pad", (np.ones(3), np.array([1, 1])), {"mode": "around"}, "mode 'around'"),
    ("Resize", (np.ones(3), None, np.ones(2, np.float32)), {}, "for 1 axes"),
    ("Resize", (np.ones(3), None, np.ones(1, np.float32)), {"axes": [1]}, r"axes \[1\]"),
    ("Resize", (np.ones(3), None, None, np.array([-2])), {}, r"sizes \[-2\]"),
    ("Resize", (np.ones(3), None, np.zeros(1, np.float32)), {}, "positive"),
    ("Resize", (np.ones(3), None, np.ones(1, np.float32)), {"mode": "best"}, "mode 'best'"),
    ("Resize", (np.ones(0), None, None, np.array([2])), {}, "without elements"),
]


@pytest.mark.parametrize(("op", "inputs", "attributes", "words"), REFUSED)
def test_errors_name_the_node_and_what_came(op, inputs, attributes, words):
    with pytest.raises(ValueError, match=f"{op} 'drawn': .*{words}"):
        run(op, *inputs, **attributes)


def test_quantized_convolutions_refuse_what_they_are_not_of():
    x, w = np.ones((1, 1, 4), np.uint8), np.ones((1, 1, 2), np.int8)
    with pytest.raises(TypeError, match=r"ConvInteger 'drawn': x of float32"):
        run("ConvInteger", x.astype(np.float32), w, opset=10)
    with pytest.raises(ValueError, match="x_zero_point of shape"):
        run("ConvInteger", x, w, np.zeros(2, np.uint8), opset=10)
    with pytest.raises(ValueError, match="w_zero_point of shape"):
        run("ConvInteger", x, w, np.zeros((), np.uint8), np.ones(2, np.int8), opset=10)
    with pytest.raises(ValueError, match="kernel_shape"):
        run("ConvInteger", x, w, opset=10, kernel_shape=[3])
