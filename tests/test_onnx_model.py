"""Models that are loaded: what they are fed, what they give, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference.op_run import OpRun
from onnx_graphs import Network, model_of

import aotconv.onnx


def network():
    """A convolution and a relu, of images of any number and size."""
    made = Network(3, 11, np.float32)
    x, _ = made.conv("x", 3, 3, True, 1, 4, 1)
    return made.model([made.node("Relu", [x])])


IMAGES = np.random.default_rng(3).standard_normal((2, 3, 6, 5)).astype(np.float32)


@pytest.mark.parametrize("form", ["path", "string", "bytes", "proto"])
def test_a_model_is_a_path_or_bytes_or_a_proto(form, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(network().SerializeToString())
    given = {"path": path, "string": str(path), "bytes": path.read_bytes(), "proto": network()}
    model = aotconv.onnx.load(given[form])
    assert model.input_names == ["x"] and len(model.output_names) == 1
    assert model.run(None, {"x": IMAGES})[0].shape == (2, 4, 6, 5)


def test_weights_may_be_in_files_beside_the_model(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(network(), path, save_as_external_data=True, size_threshold=0)
    (got,) = aotconv.onnx.load(path).run(None, {"x": IMAGES})
    np.testing.assert_array_equal(got, aotconv.onnx.load(network()).run(None, {"x": IMAGES})[0])


def test_sizes_may_change_from_run_to_run():
    model = aotconv.onnx.load(network())
    for shape in [(2, 3, 6, 5), (1, 3, 9, 9), (2, 3, 6, 5), (3, 3, 4, 4)]:
        images = np.ones(shape, np.float32)
        fresh = aotconv.onnx.load(network()).run(None, {"x": images})
        np.testing.assert_array_equal(model.run(None, {"x": images}), fresh)


def test_threads_may_run_a_model_at_once():
    model = aotconv.onnx.load(network())
    batches = [np.full((1 + i % 3, 3, 8, 9), i, np.float32) for i in range(24)]
    wanted = [model.run(None, {"x": each})[0] for each in batches]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda each: model.run(None, {"x": each})[0], batches))
    for each, alone in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(each, alone)


def test_results_are_the_callers_own():
    """Contiguous, writable, and of no memory that the model or the feeds have."""
    nodes = [
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Identity", ["x"], ["again"]),
        helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0]),
        helper.make_node("Identity", ["c"], ["constant"]),
        helper.make_node("Shape", ["x"], ["shape"]),
    ]
    names = ["same", "again", "turned", "constant", "shape"]
    weights = {"c": np.ones(3, np.float32)}
    model = aotconv.onnx.load(model_of(nodes, {"x": (np.float32, ["h", "w"])}, names, weights))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for _ in range(3):
        results = model.run(None, {"x": x})
        for name, wanted, got in zip(names, [x, x, x.T, [1, 1, 1], [2, 3]], results, strict=True):
            np.testing.assert_array_equal(got, wanted, err_msg=name)
            assert got.flags.c_contiguous and got.flags.writeable
            got[...] = 7


def test_outputs_are_given_by_name():
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["x"], ["b"])]
    model = aotconv.onnx.load(model_of(nodes, {"x": (np.float32, [2])}, ["a", "b"]))
    x = np.array([-1, 2], np.float32)
    np.testing.assert_array_equal(model.run(["b"], {"x": x}), [[1, -2]])
    assert [len(each) for each in model.run(["b", "a", "b"], {"x": x})] == [2, 2, 2]
    with pytest.raises(TypeError, match="output_names: names in a list expected, not 'a'"):
        model.run("a", {"x": x})
    with pytest.raises(ValueError, match="output_names: no 'c'; the model's outputs are 'a', 'b'"):
        model.run(["c"], {"x": x})


def test_what_follows_from_shapes_is_computed_once_for_each():
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "last"], ["w"]),
        helper.make_node("Range", ["zero", "w", "one"], ["ramp"]),
        helper.make_node("Cast", ["ramp"], ["steps"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "steps"], ["y"]),
    ]
    weights = {"last": np.int64(1), "zero": np.int64(0), "one": np.int64(1)}
    proto = model_of(nodes, {"x": (np.float32, ["h", "w"])}, ["y"], weights)
    model = aotconv.onnx.load(proto)
    for shape in [(2, 3), (2, 5)]:
        counts = []
        for value in range(3):
            x = np.full(shape, value, np.float32)
            np.testing.assert_array_equal(
                model.run(None, {"x": x})[0], x + np.arange(shape[1], dtype=np.float32)
            )
            counts.append(len(model.profile({"x": x})))
        assert counts == [1, 1, 1]


def test_values_are_not_taken_for_shapes():
    """A range up to a value that is fed has as many elements as it says, each time."""
    nodes = [
        helper.make_node("Range", ["zero", "n", "one"], ["ramp"]),
        helper.make_node("NonZero", ["m"], ["places"]),
        helper.make_node("Shape", ["places"], ["count"]),
    ]
    weights = {"zero": np.int64(0), "one": np.int64(1)}
    inputs = {"n": (np.int64, []), "m": (np.int64, ["k"])}
    model = aotconv.onnx.load(model_of(nodes, inputs, ["ramp", "count"], weights))
    for n in (3, 5, 2):
        marks = np.arange(4) < n
        ramp, count = model.run(None, {"n": np.array(n), "m": marks.astype(np.int64)})
        np.testing.assert_array_equal(ramp, np.arange(n))
        np.testing.assert_array_equal(count, [1, min(n, 4)])


def test_branches_see_values_around_them():
    def branch(operator):
        given = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
        return helper.make_graph(
            [helper.make_node(operator, ["sums"], ["r"])], operator, [], [given]
        )

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["sums"]),
        helper.make_node("If", ["c"], ["y"], then_branch=branch("Relu"), else_branch=branch("Neg")),
    ]
    weights = {"w": -np.ones((1, 1, 1, 1), np.float32)}
    inputs = {"c": (np.bool_, []), "x": (np.float32, [1, 1, 2, 2])}
    model = aotconv.onnx.load(model_of(nodes, inputs, ["y"], weights))
    x = np.ones((1, 1, 2, 2), np.float32)
    for choice, wanted in ((True, 0), (False, 1)):
        (got,) = model.run(None, {"c": np.array(choice), "x": x})
        np.testing.assert_array_equal(got, np.full_like(x, wanted))


@pytest.mark.parametrize(
    "trips, condition", [(3, None), (None, True), (3, True), (0, None), (3, False)]
)
def test_loops_may_leave_out_trips_or_condition(trips, condition):
    """The body counts, doubles, and goes on below 20."""
    values = [helper.make_tensor_value_info(n, t, []) for n, t in (("i", 7), ("go", 9), ("v", 7))]
    given = [helper.make_tensor_value_info(n, t, []) for n, t in (("on", 9), ("w", 7), ("seen", 7))]
    nodes = [
        helper.make_node("Add", ["v", "v"], ["w"]),
        helper.make_node("Less", ["w", "limit"], ["on"]),
        helper.make_node("Mul", ["i", "w"], ["seen"]),
    ]
    body = helper.make_graph(nodes, "body", values, given)
    names = ["" if trips is None else "m", "" if condition is None else "c", "x"]
    loop = helper.make_node("Loop", names, ["y", "all"], body=body)
    weights = {"m": np.int64(trips or 0), "c": np.bool_(condition), "limit": np.int64(20)}
    inputs = {"x": (np.int64, [])}
    y, seen = aotconv.onnx.load(model_of([loop], inputs, ["y", "all"], weights)).run(
        None, {"x": np.array(3)}
    )
    wanted, stack = 3, []
    while condition is not False and (trips is None or len(stack) < trips):
        wanted *= 2
        stack.append(len(stack) * wanted)
        if condition and wanted >= 20:
            break
    assert y == wanted and seen.tolist() == stack and seen.dtype == np.int64


def test_functions_of_a_model_are_put_in():
    """With attributes that refer to the call's."""
    body = [helper.make_node("LeakyRelu", ["a"], ["b"])]
    reference = onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=1)
    body[0].attribute.append(reference)
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function("ours", "Leak", ["a"], ["b"], body, opsets, ["slope"])
    nodes = [helper.make_node("Leak", ["x"], ["y"], domain="ours", slope=0.5)]
    model = aotconv.onnx.load(
        model_of(nodes, {"x": (np.float32, [2])}, ["y"], functions=[function])
    )
    np.testing.assert_array_equal(model.run(None, {"x": np.float32([-2, 2])}), [[-1, 2]])


def named(name, function):
    """An operator of another domain, which may have the name of one of ONNX."""

    def run(self, x, **attributes):  # onnx adds those of its own operator of this name
        return (function(x),)

    return type(name, (OpRun,), {"op_domain": "mine", "_run": run})


def test_an_operator_of_ones_own_may_have_the_name_of_another():
    """Here a relu that drops elements, and so does not keep shapes; and a Conv of one input."""
    nodes = [
        helper.make_node("Conv", ["x"], ["twice"], domain="mine"),
        helper.make_node("Relu", ["twice"], ["kept"], domain="mine"),
        helper.make_node("Shape", ["kept"], ["y"]),
    ]
    proto = model_of(nodes, {"x": (np.float32, [3])}, ["twice", "y"])
    ours = [named("Conv", lambda x: x * 2), named("Relu", lambda x: x[x > 0])]
    model = aotconv.onnx.load(proto, algorithm="fastest", new_ops=ours)
    for x in ([1, 2, 3], [1, -2, 3]):
        twice, shape = model.run(None, {"x": np.float32(x)})
        np.testing.assert_array_equal(twice, np.float32(x) * 2)
        np.testing.assert_array_equal(shape, [sum(each > 0 for each in x)])


class Twice(OpRun):
    op_domain = "mine"

    def _run(self, x):
        return (x * 2,)


def test_operators_of_ones_own_are_taken():
    nodes = [helper.make_node("Twice", ["x"], ["y"], domain="mine")]
    proto = model_of(nodes, {"x": (np.float32, [2])}, ["y"])
    model = aotconv.onnx.load(proto, new_ops=[Twice])
    np.testing.assert_array_equal(model.run(None, {"x": np.float32([1, 2])}), [[2, 4]])
    with pytest.raises(NotImplementedError, match=r"nothing computes mine\.Twice \(node 'y'\)"):
        aotconv.onnx.load(proto)


@pytest.mark.parametrize("new_ops", [3, [3], [int]])
def test_what_is_no_operator_is_refused(new_ops):
    with pytest.raises(TypeError, match="new_ops: classes of onnx' OpRun expected, not "):
        aotconv.onnx.load(network(), new_ops=new_ops)


def test_all_unknown_operators_are_named_at_once():
    nodes = [
        helper.make_node("Sharpen", ["x"], ["a"], "first", domain="theirs"),
        helper.make_node("Blurr", ["a"], ["y"]),
    ]
    told = r"theirs\.Sharpen \(node 'first'\), ai\.onnx\.Blurr \(node 'y'\)"
    with pytest.raises(NotImplementedError, match=told):
        aotconv.onnx.load(model_of(nodes, {"x": (np.float32, [2])}, ["y"]))


def test_a_part_of_a_file_is_refused_wherever_it_ends(tmp_path):
    whole = network().SerializeToString()
    path = tmp_path / "part.onnx"
    for end in [0, 1, 5, *range(10, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"model: .*part\.onnx"):
            aotconv.onnx.load(path)


def test_other_files_and_things_are_refused(tmp_path):
    path = tmp_path / "photo.onnx"
    path.write_bytes(b"\x89PNG\r\n" + bytes(range(256)))
    with pytest.raises(ValueError, match="is not an ONNX model"):
        aotconv.onnx.load(path)
    with pytest.raises(FileNotFoundError):
        aotconv.onnx.load(tmp_path / "nothing.onnx")
    with pytest.raises(TypeError, match=r"a path, bytes or onnx\.ModelProto expected, not int"):
        aotconv.onnx.load(3)


@pytest.mark.filterwarnings("ignore:The onnxtxt format is experimental")
@pytest.mark.parametrize("end", ["onnx", "onnxtxt", "textproto", "json"])
def test_text_that_is_no_model_is_refused_whatever_its_name_ends_in(end, tmp_path):
    path = tmp_path / f"text.{end}"
    path.write_text("hello")
    with pytest.raises(ValueError, match="is not an ONNX model"):
        aotconv.onnx.load(path)


def test_a_model_whose_weights_are_missing_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(network(), path, save_as_external_data=True, size_threshold=0, location="weights")
    (tmp_path / "weights").unlink()
    with pytest.raises(ValueError, match=r"model\.onnx' is .* only a part of one: .*weights"):
        aotconv.onnx.load(path)


@pytest.mark.parametrize(
    "nodes, outputs, told",
    [
        ([("Relu", ["z"], ["y"])], ["y"], "node 'y' reads 'z', which nothing gives"),
        ([("Relu", ["x"], ["y"]), ("Neg", ["x"], ["y"])], ["y"], "node 'y' gives 'y' again"),
        ([("Relu", ["x"], ["y"])], ["z"], "no node gives its output 'z'"),
        ([("Relu", ["x"], ["y"])], [], "declares no outputs"),
        ([("Relu", ["x"], [])], ["x"], "node 'Relu' gives nothing"),
        (
            [("Reshape", ["c", "three"], ["r"]), ("Add", ["x", "r"], ["y"])],
            ["y"],
            "what follows from constants cannot be computed: .*Reshape",
        ),
    ],
)
def test_a_graph_that_does_not_hold_together_is_refused(nodes, outputs, told):
    made = [helper.make_node(*each) for each in nodes]
    weights = {"c": np.ones(4, np.float32), "three": np.array([3])}
    with pytest.raises(ValueError, match=told):
        aotconv.onnx.load(model_of(made, {"x": (np.float32, [2])}, outputs, weights))


@given(st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_damaged_model_is_refused_or_runs_or_fails_in_a_run(damage):
    """Bytes anywhere in a model of a convolution, a clip and a reshape."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["a", "", "high"], ["b"]),
        helper.make_node("Reshape", ["b", "shape"], ["y"]),
    ]
    weights = {"w": np.ones((2, 1, 3, 3), np.float32), "high": np.float32(6)}
    weights["shape"] = np.array([1, -1])
    data = bytearray(
        model_of(nodes, {"x": (np.float32, [1, 1, 4, 4])}, ["y"], weights).SerializeToString()
    )
    for place, value in damage:
        data[place % len(data)] = value
    try:
        model = aotconv.onnx.load(bytes(data))
    except (TypeError, ValueError, NotImplementedError):
        return
    try:
        model.run(None, {name: np.ones((1, 1, 4, 4), np.float32) for name in model.input_names})
    except (TypeError, ValueError, RuntimeError):
        return


def test_weights_of_too_few_bytes_are_refused():
    proto = network()
    proto.graph.initializer[0].raw_data = b"abc"
    name = proto.graph.initializer[0].name
    with pytest.raises(ValueError, match=f"model: initializer '{name}'"):
        aotconv.onnx.load(proto)


@pytest.mark.parametrize("outputs", [["", "y"], ["z", "y"], ["z", "", "y"]], ids=str)
@pytest.mark.parametrize("optimize", [False, True])
def test_a_value_that_its_node_does_not_give_is_missed_by_who_reads_it(outputs, optimize):
    """Found by damage: an input's name had become an output's."""
    nodes = [
        helper.make_node("Clip", ["x", "", "six"], outputs, name="clip"),
        helper.make_node("Neg", ["y"], ["w"], name="negative"),
    ]
    told = {"w": "Neg 'negative': no node gave 'y'", "y": "no node gave the output 'y'"}
    for result, message in told.items():
        some = nodes if result == "w" else nodes[:1]
        proto = model_of(some, {"x": (np.float32, [4])}, [result], {"six": np.float32(6)})
        model = aotconv.onnx.load(proto, optimize=optimize)
        with pytest.raises(RuntimeError, match=message):
            model.run(None, {"x": np.ones(4, np.float32)})


@pytest.mark.parametrize("optimize", [False, True])
def test_a_value_that_its_node_does_not_give_is_not_missed_where_nobody_reads_it(optimize):
    names = ["scale", "bias", "mean", "variance"]
    node = helper.make_node("BatchNormalization", ["x", *names], ["y", "moved", "spread"])
    weights = {name: np.ones(1, np.float32) for name in names}
    proto = model_of([node], {"x": (np.float32, [2, 1, 3])}, ["y"], weights)
    x = np.full((2, 1, 3), 3, np.float32)
    (y,) = aotconv.onnx.load(proto, optimize=optimize).run(None, {"x": x})
    np.testing.assert_allclose(y, 1 + 2 / np.sqrt(1 + 1e-5), rtol=1e-5)


TWO = {"a": (np.float32, ["n", 3, None]), "b": (np.int64, ["n"])}
GOOD = {"a": np.zeros((2, 3, 4), np.float32), "b": np.zeros(2, np.int64)}


def two_inputs():
    nodes = [helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Neg", ["b"], ["z"])]
    return aotconv.onnx.load(model_of(nodes, TWO, ["y", "z"]))


@pytest.mark.parametrize(
    "changes, error, told",
    [
        ({"b": None}, ValueError, "feeds: without 'b'; the model's inputs are 'a', 'b'"),
        ({"c": 1}, ValueError, "feeds: with unknown 'c'; the model's inputs are 'a', 'b'"),
        ({"a": None, "aa": 1}, ValueError, "feeds: without 'a' and with unknown 'aa'"),
        ({"a": np.zeros((2, 3, 4))}, TypeError, "feeds: 'a' is of float32, not float64"),
        ({"b": np.zeros(2, np.int32)}, TypeError, "feeds: 'b' is of int64, not int32"),
        (
            {"a": np.zeros((2, 3), np.float32)},
            ValueError,
            r"feeds: 'a' has 3 axes, \(n, 3, \?\); not 2, \(2, 3\)",
        ),
        (
            {"a": np.zeros((2, 4, 4), np.float32)},
            ValueError,
            r"feeds: 'a' has the shape \(n, 3, \?\), not \(2, 4, 4\)",
        ),
        (
            {"b": np.zeros(5, np.int64)},
            ValueError,
            r"feeds: 'n' is 2 in 'a' and 5 in 'b', of shape \(5,\)",
        ),
    ],
)
def test_feeds_that_do_not_fit_are_refused(changes, error, told):
    feeds = {name: each for name, each in {**GOOD, **changes}.items() if each is not None}
    with pytest.raises(error, match=told):
        two_inputs().run(None, feeds)


def test_feeds_are_a_dict():
    with pytest.raises(TypeError, match="feeds: a dict of arrays by name expected, not ndarray"):
        two_inputs().run(None, GOOD["a"])


def test_a_node_that_fails_is_named():
    nodes = [helper.make_node("MatMul", ["x", "c"], ["y"], "product")]
    weights = {"c": np.ones((3, 2), np.float32)}
    model = aotconv.onnx.load(model_of(nodes, {"x": (np.float32, ["h", "w"])}, ["y"], weights))
    with pytest.raises(
        RuntimeError, match=r"MatMul 'product', inputs of shapes \(2, 2\), \(3, 2\)"
    ):
        model.run(None, {"x": np.ones((2, 2), np.float32)})


def test_initializers_are_defaults_of_inputs():
    nodes = [helper.make_node("Add", ["x", "c"], ["y"])]
    inputs = {"x": (np.float32, [2]), "c": (np.float32, [2])}
    weights = {"c": np.ones(2, np.float32)}
    model = aotconv.onnx.load(model_of(nodes, inputs, ["y"], weights))
    x = np.zeros(2, np.float32)
    np.testing.assert_array_equal(model.run(None, {"x": x}), [[1, 1]])
    np.testing.assert_array_equal(model.run(None, {"x": x, "c": np.float32([3, 4])}), [[3, 4]])


def test_onnx_is_loaded_when_it_is_asked_for_and_missed_by_name():
    code = (
        "import sys, aotconv; assert 'onnx' not in sys.modules; sys.modules['onnx'] = None\n"
        "try: import aotconv.onnx\n"
        "except ImportError as error: print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert told == 'aotconv.onnx needs onnx: pip install "aotconv[onnx]"\n'
