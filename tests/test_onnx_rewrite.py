"""Rewritten graphs compute what their models say, with fewer nodes."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import FEW

pytest.importorskip("onnx")

from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnx.helper import tensor_dtype_to_np_dtype
from onnx_graphs import IN_NODES, WORDS, Network, model_of, networks

import aotconv.onnx


def computed(model, images, **options):
    return aotconv.onnx.load(model, **options).run(None, {"x": images})


def assert_same(model, tolerance=1e-5, seed=0):
    """Rewritten, a network gives what its nodes give, of images of its dtype."""
    info = model.graph.input[0].type.tensor_type
    shape, dtype = (
        (2, info.shape.dim[1].dim_value, 19, 18),
        tensor_dtype_to_np_dtype(info.elem_type),
    )
    images = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    plain = computed(model, images, optimize=False)
    for got, wanted in zip(computed(model, images), plain, strict=True):
        assert got.shape == wanted.shape and got.dtype == wanted.dtype
        atol = tolerance * max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=atol)


def operators(model):
    return [node.op_type for node in aotconv.onnx.load(model).proto.graph.node]


@settings(max_examples=FEW * 2)
@given(networks(), st.integers(0, 2**32 - 1))
def test_a_rewritten_network_gives_what_its_nodes_give(model, seed):
    assert_same(model, 1e-9, seed)


def small(channels=3, dtype=np.float32):
    return Network(channels, 7, dtype)


@pytest.mark.parametrize("word", [each for each in WORDS if each not in ("Neg", "Identity")])
def test_a_convolution_and_what_follows_are_one_node(word):
    network = small()
    x, c = network.conv("x", 3, 3, True, 1, 4, 1)
    x, c = network.normalization(x, c)
    x, c = network.arithmetic(x, c, "Mul", "channels", True)
    x, c = network.arithmetic(x, c, "Add", "scalar", False)
    x, c = network.activation(x, c, word)
    model = network.model([x])
    assert operators(model) == ["FusedConv"]
    assert_same(model)


def test_a_slope_of_zero_is_that_of_the_layer():
    network = small()
    x, _c = network.conv("x", 3, 3, True, 1, 4, 1)
    model = network.model([network.node("LeakyRelu", [x], alpha=0.0)])
    assert operators(model) == ["FusedConv"]
    (got,) = computed(model, np.random.default_rng(0).standard_normal((1, 3, 8, 9), np.float32))
    assert got.min() == 0


@pytest.mark.parametrize("word", IN_NODES)
def test_an_activation_in_several_nodes_is_one(word):
    network = small()
    x, _ = network.activation("x", 3, word)
    model = network.model([x])
    before = ["Add"] if word == "relu6" else []  # of 3, which is no part of it
    assert operators(model) == [*before, "Activation"]
    assert_same(model)


def test_a_residual_is_added_before_the_activation():
    network = small(4)
    x, _c = network.conv("x", 4, 3, True, 1, 4, 1)
    x = network.node("Relu", [network.node("Add", ["x", x])])
    model = network.model([x])
    assert operators(model) == ["FusedConv"]
    assert_same(model)


def test_a_residual_that_is_broadcast_is_added_by_numpy():
    network = small(4)
    x, _c = network.conv("x", 4, 3, True, 1, 4, 1)
    pooled = network.node("GlobalAveragePool", ["x"])
    x = network.node("Relu", [network.node("Add", [pooled, x])])
    model = network.model([x])
    assert operators(model).count("FusedConv") == 1
    assert_same(model)


def test_scale_and_shift_between_convolutions_go_into_weights():
    """The scale into all readers, the shift where none pads."""
    network = small(3)
    x, c = network.activation("x", 3, "HardSwish")
    x, c = network.arithmetic(x, c, "Mul", "scalar", True)
    x, c = network.arithmetic(x, c, "Add", "one", False)
    one, _ = network.conv(x, c, 1, False, 1, 4, 1)
    other, _ = network.conv(x, c, 1, False, 1, 5, 1)
    model = network.model([one, other])
    assert operators(model) == ["HardSwish", "Conv", "Conv"]
    assert_same(model)
    padded, _ = network.conv(x, c, 3, True, 1, 5, 1)
    model = network.model([one, other, padded])
    assert operators(model) == ["HardSwish", "Add", "Conv", "Conv", "Conv"]
    assert_same(model)


def test_a_normalization_behind_no_convolution_is_one_with_what_follows():
    network = small(4)
    x, c = network.normalization("x", 4)
    x, c = network.arithmetic(x, c, "Mul", "channels", False)
    x, c = network.arithmetic(x, c, "Add", "channels", False)
    x, c = network.activation(x, c, "Relu")
    model = network.model([x])
    assert operators(model) == ["FusedConv"]
    assert_same(model)


def test_a_normalization_of_halves_by_floats_gives_halves():
    nodes = [helper.make_node("BatchNormalization", ["x", "g", "b", "m", "v"], ["y"])]
    weights = dict(zip("gbmv", np.float32([[2, 1], [0, 1], [3, 1], [1, 4]]), strict=True))
    model = model_of(nodes, {"x": (np.float16, ["n", 2, "h", "w"])}, ["y"], weights)
    images = np.ones((1, 2, 3, 3), np.float16)
    (got,), (wanted,) = computed(model, images), computed(model, images, optimize=False)
    assert got.dtype == wanted.dtype == np.float16
    np.testing.assert_allclose(got, wanted, rtol=1e-3)


def test_a_value_that_the_model_gives_stays():
    network = small()
    sums, c = network.conv("x", 3, 3, True, 1, 4, 1)
    x, c = network.activation(sums, c, "Relu")
    assert operators(network.model([sums, x])) == ["Conv", "Relu"]


def test_what_constants_alone_give_is_computed_once():
    network = small()
    a, b = network.constant([[1.0, 2.0]]), network.constant([[3.0], [4.0]])
    product = network.node("MatMul", [a, b])
    x = network.node("Add", ["x", network.node("Sqrt", [product])])
    assert operators(network.model([x])) == ["Add"]


def test_random_numbers_are_not_constants():
    network = small()
    noise = network.node("RandomUniform", [], shape=[1, 1, 4, 4], dtype=1)
    x = network.node("Add", ["x", noise])
    assert operators(network.model([x])) == ["RandomUniform", "Add"]


def test_optimize_false_leaves_the_graph():
    network = small()
    x, c = network.conv("x", 3, 3, True, 1, 4, 1)
    x, c = network.activation(x, c, "Relu")
    model = network.model([x])
    plain = aotconv.onnx.load(model, optimize=False)
    assert [node.op_type for node in plain.proto.graph.node] == ["Conv", "Relu"]


def test_algorithm_fastest_reaches_layers():
    network = small(64)
    x, _c = network.conv("x", 64, 3, True, 1, 64, 1)
    model = network.model([x])
    images = np.random.default_rng(0).standard_normal((1, 64, 32, 32)).astype(np.float32)
    weights = network.weights["c0"].transpose(2, 3, 1, 0)
    layer = aotconv.Conv2D(weights, network.weights.get("c1"), padding=1, algorithm="fastest")
    (got,) = computed(model, images, algorithm="fastest")
    np.testing.assert_array_equal(got, layer(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    "options, told",
    [
        ({"algorithm": "best"}, "algorithm: 'auto' or 'fastest' expected, not 'best'"),
        ({"algorithm": "fastest", "optimize": False}, "algorithm: 'fastest' is of optimize=True"),
    ],
)
def test_an_algorithm_that_does_not_apply_is_refused(options, told):
    network = small()
    x, _ = network.conv("x", 3, 3, True, 1, 4, 1)
    with pytest.raises(ValueError, match=told):
        aotconv.onnx.load(network.model([x]), **options)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 3, 5]),
    st.integers(1, 40),
    st.sampled_from(["normal", "one sign", "many scales"]),
)
def test_a_rewritten_layer_is_within_the_documented_bound(seed, size, channels, values):
    """Of the exact value of the model's nodes: gamma(K + 4) (sum |x| |w| + |b| + |residual|), of
    the rewritten layer's weights and bias."""
    network = Network(channels, seed, np.float32)
    x, c = network.conv("x", channels, size, True, 1, channels, 1)
    x, c = network.arithmetic(*network.normalization(x, c), "Mul", "channels", False)
    x, c = network.arithmetic(x, c, "Add", "scalar", False)
    x = network.node("Relu", [network.node("Add", [x, "x"])])
    model = network.model([x])
    images = network.normal(1, channels, 7, 6)
    if values == "one sign":
        images = np.abs(images)
    elif values == "many scales":
        images *= 10.0 ** network.random.integers(-12, 12, images.shape)
    images = images.astype(np.float32)

    loaded = aotconv.onnx.load(model)
    assert [node.op_type for node in loaded.proto.graph.node] == ["FusedConv"]
    weights = {each.name: numpy_helper.to_array(each) for each in loaded.proto.graph.initializer}
    w, b = (
        np.abs(weights[name], dtype=np.float64) for name in loaded.proto.graph.node[0].input[1:3]
    )
    network.dtype = np.dtype(np.float64)
    network.weights = {name: each.astype(np.float64) for name, each in network.weights.items()}
    (exact,) = computed(network.model([x]), images.astype(np.float64), optimize=False)
    magnitudes = np.abs(images, dtype=np.float64)
    sums = aotconv.conv2d(
        magnitudes, w, b, padding=size // 2, data_format="NCHW", filter_format="OIHW"
    )
    n, u = channels * size * size + 4, np.finfo(np.float32).eps / 2
    (got,) = loaded.run(None, {"x": images})
    bound = n * u / (1 - n * u) * (sums + magnitudes) + 1e-12 * np.abs(exact)
    assert (np.abs(got - exact) <= bound).all()


def same_as_its_nodes(network, result, images):
    model = network.model([result])
    (got,), (wanted,) = computed(model, images), computed(model, images, optimize=False)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_constants_of_more_axes_than_the_value_keep_theirs():
    network = small()
    three, six = (network.constant(np.full((1,) * 5, each)) for each in (3, 6))
    limits = [network.constant(0), network.constant(6)]
    clamp = network.node("Clip", [network.node("Add", ["x", three]), *limits])
    result = network.node("Div", [clamp, six])
    same_as_its_nodes(network, result, np.ones((1, 3, 4, 4), np.float32))


def test_a_slope_of_zero_is_no_default():
    network = small()
    x, _ = network.conv("x", 3, 3, True, 1, 4, 1)
    images = np.random.default_rng(0).standard_normal((1, 3, 4, 4)).astype(np.float32)
    same_as_its_nodes(network, network.node("LeakyRelu", [x], alpha=0.0), images)


@pytest.mark.parametrize("operator, value", [("Mul", np.inf), ("Div", 0), ("Div", 1e-42)])
def test_scales_that_are_not_finite_stay_out_of_weights(operator, value):
    network = small()
    x, _ = network.conv("x", 3, 3, True, 1, 4, 1)
    images = np.random.default_rng(0).standard_normal((1, 3, 4, 4)).astype(np.float32)
    same_as_its_nodes(network, network.node(operator, [x, network.constant(value)]), images)


def test_shifts_that_halves_do_not_hold_stay_behind_scales():
    network = small(3, np.float16)
    x = network.node("Mul", ["x", network.constant(1e-3)])
    x = network.node("Add", [x, network.constant(100)])
    weights = network.constant(np.full((1, 3, 3, 3), 0.01))
    result = network.node("Conv", [x, weights], pads=[1] * 4)
    images = np.zeros((1, 3, 4, 4), np.float16)
    same_as_its_nodes(network, result, images)


def test_results_that_are_left_out_have_no_name():
    nodes = [
        helper.make_node("Dropout", ["x"], ["a", ""]),
        helper.make_node("Dropout", ["a"], ["b", ""]),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    x = np.float32([-1, 2])
    (got,) = computed(model_of(nodes, {"x": (np.float32, [2])}, ["y"], opset=10), x)
    np.testing.assert_array_equal(got, [0, 2])


def test_sequences_of_constants_are_computed():
    nodes = [
        helper.make_node("SequenceConstruct", ["c", "c"], ["s"]),
        helper.make_node("ConcatFromSequence", ["s"], ["cc"], axis=0),
        helper.make_node("Add", ["x", "cc"], ["y"]),
    ]
    model = model_of(nodes, {"x": (np.float32, [4])}, ["y"], {"c": np.ones(2, np.float32)})
    (got,) = computed(model, np.ones(4, np.float32))
    np.testing.assert_array_equal(got, [2, 2, 2, 2])


def test_what_follows_from_defaults_of_inputs_is_not_constant():
    nodes = [
        helper.make_node("Mul", ["w", "k"], ["v"]),
        helper.make_node("Add", ["x", "v"], ["y"]),
    ]
    inputs = {"x": (np.float32, [2]), "w": (np.float32, [2])}
    weights = {"w": np.ones(2, np.float32), "k": np.float32(2)}
    model = aotconv.onnx.load(model_of(nodes, inputs, ["y"], weights))
    x = np.zeros(2, np.float32)
    np.testing.assert_array_equal(model.run(None, {"x": x}), [[2, 2]])
    for fed in (5, 7):
        (got,) = model.run(None, {"x": x, "w": np.full(2, fed, np.float32)})
        np.testing.assert_array_equal(got, [2 * fed] * 2)
