"""``aotconv onnx``: what it feeds, measures and prints, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import sys
import tempfile
import zipfile

import numpy as np
import pytest
from command import run

pytest.importorskip("onnx")

import onnx
from onnx import TensorProto, helper
from onnx_graphs import Network, model_of

import aotconv
import aotconv.onnx
from aotconv._tools import onnx_command, onnx_feeds, onnx_times
from aotconv._tools.errors import CommandError
from aotconv.onnx import NodeTime

needs_peer = pytest.mark.skipif(
    not importlib.util.find_spec("onnxruntime"), reason="onnxruntime is not installed"
)
TIME, SHARE = r"[\d,.e-]+", r"[\d.]+%"
OURS, BOTH = rf"1 +{TIME} +{SHARE}", rf"1 +{TIME} +{SHARE} +1 +{TIME} +{SHARE}"


def network():
    """A convolution and a relu, of images of any number and size, and the sum of a row."""
    made = Network(3, 11, np.float32)
    x, _ = made.conv("x", 3, 3, True, 1, 4, 1)
    return made.model([made.node("ReduceSum", [made.node("Relu", [x])], keepdims=0)])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(network(), path)
    return path


@pytest.fixture
def alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed


def timed(model, *options):
    """A short run that must succeed."""
    done = run("onnx", model, "--repeats", 2, *options)
    assert (done.status, done.err) == (0, "")
    return done.out


def line(output, beginning):
    (found,) = [each for each in output.splitlines() if each.startswith(beginning)]
    return found.removeprefix(beginning).strip()


# --- what is printed -------------------------------------------------------------------------


def test_heading_says_what_is_run_by_what_on_what(model, alone):
    output = timed(model, "--shape", "x=2,3,9,8", "--threads", 1)
    assert output.startswith("small.onnx, ")
    assert line(output, "input ") == "x float32 (2, 3, 9, 8)"
    assert line(output, "output ") == "v2 float32 ()"
    active = aotconv.active().name
    assert line(output, f"aotconv {aotconv.__version__}, ").startswith(f"{active}, ")
    assert line(output, "beside ") == f"numpy {np.__version__}, onnx {onnx.__version__}"
    assert re.fullmatch(r"aotconv 1, NumPy's BLAS (1|unknown .*)", line(output, "threads "))


def test_without_onnxruntime_a_line_says_so_and_the_rest_is_there(model, alone):
    output = timed(model, "--shape", "x=1,3,9,8")
    assert line(output, "without onnxruntime: ") == "not installed"
    assert re.fullmatch(TIME, line(output, "  aotconv "))
    assert re.fullmatch(OURS, line(output, "FusedConv "))
    assert re.fullmatch(OURS, line(output, "ReduceSum "))
    assert re.fullmatch(rf"2 +{TIME}", line(output, "all nodes "))
    assert output.count("onnxruntime") == 1 and "difference" not in output


@needs_peer
def test_beside_onnxruntime_times_a_ratio_and_a_small_difference(model):
    output = timed(model, "--shape", "x=1,3,9,8", "--threads", 1)
    import onnxruntime

    assert line(output, "beside ").endswith(f"onnxruntime {onnxruntime.__version__}")
    assert line(output, "threads ").endswith("onnxruntime 1")
    assert line(output, "milliseconds a run: ") == "medians of 2, by turns"
    assert re.fullmatch(TIME, line(output, "  aotconv "))
    told = rf"{TIME} +ratio [\d.]+, its time in times of aotconv's"
    assert re.fullmatch(told, line(output, "  onnxruntime "))
    told = line(output, "largest difference: ")
    relative = re.fullmatch(r"(\S+) of the largest value, in v2", told)
    assert 0 <= float(relative[1]) < 1e-5
    assert "without" not in output


@needs_peer
def test_convolutions_of_both_are_one_row_and_each_has_its_own_of_others(model):
    output = timed(model, "--shape", "x=1,3,9,8", "--threads", 1)
    assert re.fullmatch(BOTH, line(output, re.search(r"^(\w+, )?FusedConv", output, re.M)[0]))
    assert re.fullmatch(BOTH, line(output, "ReduceSum "))


@needs_peer
def test_what_onnxruntime_does_not_run_is_left_out_with_its_reason(model, monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("no such operator\nand more")

    monkeypatch.setattr(onnx_times, "new_session", refuse)
    output = timed(model, "--shape", "x=1,3,9,8")
    assert line(output, "without onnxruntime: ") == "failed: RuntimeError: no such operator"
    assert re.fullmatch(OURS, line(output, "FusedConv "))


def test_totals_are_medians_and_the_ratio_is_that_of_each_turn():
    lines = onnx_command.totals({"aotconv": [0.1, 0.2, 0.4], "onnxruntime": [0.3, 0.4, 0.6]})
    assert lines.splitlines() == [
        "milliseconds a run: medians of 3, by turns",
        "  aotconv           200",
        "  onnxruntime       400   ratio 2.00, its time in times of aotconv's",
    ]


@needs_peer
def test_of_two_profiled_runs_of_each_the_second_is_kept(model, monkeypatch):
    real, read = onnx_times.read_profile, []
    monkeypatch.setattr(onnx_times, "read_profile", lambda path: read.extend(real(path)) or read)
    feeds, loaded = {"x": RIGHT}, aotconv.onnx.load(model)
    runs = onnx_times.profile(loaded, feeds, str(model), 1, 3)
    assert len(runs["aotconv"]) == 3 and len(read) == 6
    assert runs["onnxruntime"] == read[1::2]


@needs_peer
def test_profiles_of_onnxruntime_are_not_left_behind(model, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    timed(model, "--shape", "x=1,3,9,8")
    assert list(tmp_path.iterdir()) == []


def test_without_rewriting_nodes_are_those_of_the_file(model, alone):
    output = timed(model, "--shape", "x=1,3,9,8", "--no-optimize")
    assert re.fullmatch(OURS, line(output, "Conv ")) and re.fullmatch(OURS, line(output, "Relu "))


def test_slowest_nodes_are_named_from_the_slowest_on(model, alone):
    output = timed(model, "--shape", "x=1,3,9,8", "--no-optimize", "--nodes", 2)
    shown = output.partition("slowest nodes of aotconv\n")[2].splitlines()
    rows = [re.fullmatch(rf" *({TIME})  (\w+) +(v\d)", each).groups() for each in shown]
    assert len(rows) == 2 and float(rows[0][0]) >= float(rows[1][0])
    assert {row[1:] for row in rows} < {("Conv", "v0"), ("Relu", "v1"), ("ReduceSum", "v2")}


def test_json_holds_what_was_measured(model, alone, tmp_path):
    path = tmp_path / "measured.json"
    output = timed(model, "--shape", "x=1,3,9,8", "--json", path)
    assert output.splitlines()[-1] == str(path)
    measured = json.loads(path.read_text())
    assert measured["model"] == "small.onnx"
    assert measured["threads"] == aotconv.get_num_threads()
    assert measured["inputs"] == {"x": "float32 (1, 3, 9, 8)"}
    assert len(measured["seconds"]["aotconv"]) == 2 and min(measured["seconds"]["aotconv"]) > 0
    assert measured["operators"]["aotconv"]["Conv"]["nodes"] == 1
    assert {each["operator"] for each in measured["nodes"]["aotconv"]} == {"FusedConv", "ReduceSum"}


def test_default_runs_are_at_least_a_few_and_take_about_the_seconds(monkeypatch):
    monkeypatch.setattr(onnx_times, "timed", lambda call, count: 0.1)
    monkeypatch.setattr(onnx_times, "race", lambda calls, seconds, pause, rounds: rounds)
    assert onnx_times.race_of(lambda: [], None, 1, None) == 10  # each is two
    monkeypatch.setattr(onnx_times, "timed", lambda call, count: 10.0)
    assert onnx_times.race_of(lambda: [], lambda: [], 1, None) == onnx_times.LEAST
    monkeypatch.setattr(onnx_times, "timed", lambda call, count: 1e-6)
    assert onnx_times.race_of(lambda: [], lambda: [], 2, None) < onnx_times.MOST  # it pauses
    assert onnx_times.race_of(lambda: [], lambda: [], 1, None) == onnx_times.MOST
    assert onnx_times.race_of(lambda: [], None, 1, 3) == 3


# --- what is set -----------------------------------------------------------------------------


def test_threads_are_those_of_both_and_go_back(model, monkeypatch, alone):
    before, seen = aotconv.get_num_threads(), []
    real = onnx_times.profile

    def noted(*arguments):
        seen.append(aotconv.get_num_threads())
        return real(*arguments)

    monkeypatch.setattr(onnx_times, "profile", noted)
    timed(model, "--shape", "x=1,3,9,8", "--threads", 1)
    assert seen == [1] and aotconv.get_num_threads() == before


@needs_peer
def test_sessions_of_onnxruntime_have_as_many_threads(model):
    session = onnx_times.new_session(str(model), 1)
    assert session.get_session_options().intra_op_num_threads == 1


def test_without_threadpoolctl_blas_is_as_the_environment_says(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with onnx_times.team(1) as blas:
        assert blas.startswith("as the environment says")
        assert aotconv.get_num_threads() == 1


@pytest.mark.parametrize(
    "options, wanted",
    [
        ([], {"optimize": True, "algorithm": "auto"}),
        (["--no-optimize"], {"optimize": False, "algorithm": "auto"}),
        (["--algorithm", "fastest"], {"optimize": True, "algorithm": "fastest"}),
    ],
)
def test_options_of_loading_are_those_of_load(options, wanted, model, monkeypatch, alone):
    calls, real = [], aotconv.onnx.load
    monkeypatch.setattr(aotconv.onnx, "load", lambda p, **w: (calls.append(w), real(p, **w))[1])
    timed(model, "--shape", "x=1,3,9,8", *options)
    assert calls == [wanted]


# --- what models are fed ---------------------------------------------------------------------


def test_arrays_of_a_file_are_fed(model, tmp_path, monkeypatch, alone):
    images = np.random.default_rng(1).random((2, 3, 6, 5), np.float32)
    np.savez(tmp_path / "feeds.npz", x=images)
    fed, real = [], aotconv.onnx.Model.run

    def noted(self, names, feeds):
        fed.append(feeds["x"])
        return real(self, names, feeds)

    monkeypatch.setattr(aotconv.onnx.Model, "run", noted)
    timed(model, "--input", tmp_path / "feeds.npz")
    assert len(fed) > 2
    for each in fed:
        np.testing.assert_array_equal(each, images)


def inputs(**declared):
    """Inputs of dtypes and shapes, as a model declares them."""
    nodes = [helper.make_node("Identity", ["c"], ["y"])]
    made = model_of(nodes, declared, ["y"], {"c": np.ones(1, np.float32)})
    return onnx_feeds.inputs_of(made)


def test_drawn_arrays_have_the_declared_dtypes_and_are_the_same_each_time():
    dtypes = ["float16", "float32", "float64", "int8", "uint8", "int64", "bool"]
    declared = inputs(**{each: (each, [50, 4]) for each in dtypes})
    feeds = onnx_feeds.drawn_feeds(declared, {})
    again = onnx_feeds.drawn_feeds(declared, {})
    for name, each in feeds.items():
        assert (each.dtype, each.shape) == (np.dtype(name), (50, 4))
        assert len(np.unique(each)) == {"i": 10, "u": 10, "b": 2}.get(each.dtype.kind) or (
            each.dtype.kind == "f" and len(np.unique(each)) > 100
        )
        assert each.min() >= 0 and each.max() <= {"f": 1, "b": 1}.get(each.dtype.kind, 9)
        np.testing.assert_array_equal(each, again[name])


def test_first_size_that_is_open_is_1_and_named_ones_are_those_of_other_inputs():
    declared = inputs(x=("f4", ["n", 3, "h"]), y=("f4", ["n", "h"]), z=("f4", [None, 2]))
    feeds = onnx_feeds.drawn_feeds(declared, {"x": (4, 3, 7)})
    assert {name: each.shape for name, each in feeds.items()} == {
        "x": (4, 3, 7),
        "y": (4, 7),
        "z": (1, 2),
    }


def test_inputs_with_defaults_are_not_drawn():
    nodes = [helper.make_node("Add", ["x", "c"], ["y"])]
    declared = {"x": (np.float32, [2]), "c": (np.float32, [2])}
    made = model_of(nodes, declared, ["y"], {"c": np.ones(2, np.float32)})
    assert [each.name for each in onnx_feeds.inputs_of(made)] == ["x"]


def test_shapes_are_read_from_texts_and_names_may_have_equals_signs():
    declared = inputs(**{"a=b": ("f4", ["n", "h"]), "s": ("f4", [])})
    shapes = onnx_feeds.parse_shapes(["a=b=2,30", "s="], declared)
    assert shapes == {"a=b": (2, 30), "s": ()}


def test_open_sizes_are_one_error_that_says_what_to_give():
    declared = inputs(x=("f4", ["n", 3, "h", None]), y=("f4", [2, "w"]), z=("f4", None))
    with pytest.raises(CommandError) as refused:
        onnx_feeds.drawn_feeds(declared, {})
    told = "give --shape x=1,3,h,? --shape y=2,w --shape z=SIZES, or --input FILE.npz"
    assert str(refused.value) == f"the model leaves sizes open: {told}"


@pytest.mark.parametrize("kind", ["text", "sequence"])
def test_what_is_no_numbers_is_not_drawn(kind):
    if kind == "text":
        proto = helper.make_tensor_value_info("x", TensorProto.STRING, [2])
    else:
        proto = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [2])
    graph = helper.make_graph([], "graph", [proto], [proto])
    declared = onnx_feeds.inputs_of(helper.make_model(graph))
    with pytest.raises(CommandError, match="nothing is drawn for x, which"):
        onnx_feeds.drawn_feeds(declared, {})


# --- what is refused -------------------------------------------------------------------------


def refused(*arguments):
    """The one line with which a command is refused."""
    done = run("onnx", *arguments)
    assert done.status == 2 and done.out == ""
    assert re.fullmatch(r"aotconv: error: .+\n", done.err), done.err
    return done.err


def test_without_onnx_the_extra_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    told = 'aotconv onnx needs onnx: pip install "aotconv[onnx]"'
    assert told in refused(model, "--shape", "x=1,3,9,8")


@pytest.mark.parametrize(
    "content, complaint",
    [(None, "No such file"), (b"", "no opset"), (b"hello", "is not an ONNX model")],
    ids=["missing", "empty", "text"],
)
def test_file_that_is_no_model_is_one_line_and_status_2(content, complaint, tmp_path):
    path = tmp_path / "other.onnx"
    if content is not None:
        path.write_bytes(content)
    told = refused(path)
    assert complaint in told and repr(str(path)) in told


def test_folder_given_as_a_model_is_one_line_and_status_2(tmp_path):
    assert repr(str(tmp_path)) in refused(tmp_path)


def test_operator_that_nobody_has_is_one_line_and_status_2(tmp_path):
    nodes = [helper.make_node("Blurr", ["x"], ["y"], domain="theirs")]
    onnx.save(model_of(nodes, {"x": (np.float32, [2])}, ["y"]), tmp_path / "blurr.onnx")
    assert "nothing computes theirs.Blurr" in refused(tmp_path / "blurr.onnx")


def test_node_that_fails_is_one_line_and_status_2(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "z"], ["y"], "product")]
    declared = {"x": (np.float32, [2, 3]), "z": (np.float32, [2, 3])}
    onnx.save(model_of(nodes, declared, ["y"]), tmp_path / "fails.onnx")
    assert "MatMul 'product', inputs of shapes (2, 3), (2, 3)" in refused(tmp_path / "fails.onnx")


def test_open_sizes_are_one_line_and_status_2(model):
    assert "give --shape x=1,3,h,w, or --input FILE.npz" in refused(model)


@pytest.mark.parametrize(
    "options, complaint",
    [
        (["--shape", "x"], "NAME=SIZES expected"),
        (["--shape", "x=1,3,nine,8"], "sizes with commas between them expected"),
        (["--shape", "z=1,3,9,8"], "there is no 'z'; there are x"),
        (["--shape", "x=1,3,9"], "--shape: 'x' has 4 axes"),
        (["--shape", "x=1,4,9,8"], "--shape: 'x' has the shape (n, 3, h, w), not (1, 4, 9, 8)"),
        (["--shape", f"x=1,3,{2**31},{2**31}"], "--shape: "),
        (["--repeats", "0"], "--repeats: 0 is not at least 1"),
        (["--nodes", "-1"], "--nodes: -1 is not at least 1"),
        (["--threads", "0"], "--threads: '0' is not from 1 to"),
        (["--threads", "many"], "--threads: 'many' is not from 1 to"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_option_is_one_line_and_status_2(options, complaint, model):
    assert complaint in refused(model, *options)


@pytest.mark.parametrize("options", [["--input", "a", "--shape", "x=1"], ["--no-optimize"]])
def test_options_that_exclude_each_other_are_status_2(options, model, capsys):
    with pytest.raises(SystemExit) as stop:
        run("onnx", model, "--algorithm", "fastest", *options)
    assert stop.value.code == 2


RIGHT = np.ones((1, 3, 9, 8), np.float32)


@pytest.mark.parametrize(
    "arrays, complaint",
    [
        ({}, "--input: without 'x'"),
        ({"z": RIGHT}, "--input: without 'x' and with unknown 'z'"),
        ({"x": RIGHT, "z": RIGHT}, "--input: with unknown 'z'"),
        ({"x": RIGHT.astype(np.float64)}, "--input: 'x' is of float32, not float64"),
        ({"x": RIGHT[0]}, "--input: 'x' has 4 axes"),
        ({"x": RIGHT[:, :2]}, "--input: 'x' has the shape (n, 3, h, w), not (1, 2, 9, 8)"),
        ({"x": np.array([{}], object)}, "is not a .npz that can be read"),
    ],
    ids=["none", "another", "one more", "dtype", "rank", "size", "objects"],
)
def test_arrays_that_do_not_fit_are_one_line_and_status_2(arrays, complaint, model, tmp_path):
    np.savez(tmp_path / "feeds.npz", **arrays)
    assert complaint in refused(model, "--input", tmp_path / "feeds.npz")


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "one array", "cut"])
def test_file_that_is_no_npz_is_one_line_and_status_2(kind, model, tmp_path):
    path = tmp_path / "feeds.npz"
    if kind == "folder":
        path.mkdir()
    elif kind == "one array":
        with path.open("wb") as file:
            np.save(file, RIGHT)
    elif kind == "cut":
        np.savez(path, x=RIGHT)
        path.write_bytes(path.read_bytes()[:-30])
    elif kind != "missing":
        path.write_text("hello" if kind == "text" else "")
    assert repr(str(path)) in refused(model, "--input", path)


def test_archive_of_what_is_no_array_is_one_line_and_status_2(model, tmp_path):
    with zipfile.ZipFile(tmp_path / "feeds.npz", "w") as file:
        file.writestr("x", "hello")
    assert "'x' is of float32" in refused(model, "--input", tmp_path / "feeds.npz")


def test_json_file_that_cannot_be_written_is_one_line_and_status_2(model, tmp_path):
    path = tmp_path / "no" / "folder.json"
    assert "cannot write" in refused(model, "--shape", "x=1,3,9,8", "--json", path)


# --- the parts -------------------------------------------------------------------------------


def event(name, ts, dur, operator="Conv", cat="Node"):
    told = {"args": {"op_name": operator}} if cat == "Node" else {}
    return {"cat": cat, "name": name, "ts": ts, "dur": dur, **told}


def test_profiles_of_onnxruntime_are_read_run_by_run_without_bodies(tmp_path):
    """Events stand in the order in which they end; names end in what was timed."""
    events = [
        event("session_initialization", 0, 50, cat="Session"),
        event("first_fence_before", 100, 1),
        event("first_kernel_time", 100, 20),
        event("inner_kernel_time", 121, 4, "Add"),
        event("again_kernel_time", 126, 0, "Add"),
        event("loop_kernel_time", 120, 10, "Loop"),
        event("last_kernel_time", 130, 0, "Relu"),
        event("model_run", 99, 40, cat="Session"),
        event("first_kernel_time", 200, 30),
        event("model_run", 199, 40, cat="Session"),
    ]
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(events))
    assert onnx_times.read_profile(str(path)) == [
        [
            NodeTime("first", "Conv", 20e-6),
            NodeTime("loop", "Loop", 10e-6),
            NodeTime("last", "Relu", 0),
        ],
        [NodeTime("first", "Conv", 30e-6)],
    ]


RUNS = [
    [NodeTime("a", "Conv", 1), NodeTime("b", "FusedConv", 2), NodeTime("c", "Relu", 7)],
    [NodeTime("a", "Conv", 1), NodeTime("b", "FusedConv", 3), NodeTime("c", "Relu", 5)],
    [NodeTime("a", "Conv", 9), NodeTime("b", "FusedConv", 1), NodeTime("c", "Relu", 6)],
]


def test_time_of_an_operator_is_the_median_over_runs_of_its_sum():
    assert onnx_times.by_operator(RUNS) == {"Conv": (2, 4), "Relu": (1, 6)}
    assert onnx_command.operator_names({"": RUNS}) == {
        "Conv": {"Conv", "FusedConv"},
        "Relu": {"Relu"},
    }
    assert onnx_command.node_seconds({"": RUNS}) == {"": 10}


def test_time_of_a_node_is_the_median_over_runs_and_the_slowest_are_first():
    assert onnx_times.by_node(RUNS) == [
        NodeTime("c", "Relu", 6),
        NodeTime("b", "FusedConv", 2),
        NodeTime("a", "Conv", 1),
    ]


def test_operators_that_one_library_alone_has_are_rows_of_their_own():
    operators = {
        "ours": {"Conv": onnx_times.OperatorTime(2, 0.004)},
        "theirs": {
            "Conv": onnx_times.OperatorTime(3, 0.001),
            "ReorderInput": onnx_times.OperatorTime(1, 0.005),
        },
    }
    names = {"Conv": {"FusedConv", "Conv"}, "ReorderInput": {"ReorderInput"}}
    table = onnx_command.operator_table(operators, names, {"ours": 0.004, "theirs": 0.006})
    assert [each.split() for each in table.splitlines()] == [
        ["ours", "theirs"],
        ["operator", *["nodes", "ms", "share"] * 2],
        ["ReorderInput", "-", "-", "-", "1", "5.00", "83.3%"],
        ["Conv,", "FusedConv", "2", "4.00", "100.0%", "3", "1.00", "16.7%"],
        ["all", "nodes", "2", "4.00", "4", "6.00"],
    ]


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    "own, other, wanted",
    [
        ([1.0, 4.0], [1.0, 4.0], 0),
        ([1.0, 4.5], [1.0, 4.0], 0.125),
        ([NAN, INF, 3.0], [NAN, INF, 4.0], 0.25),
        ([NAN, 1.0], [0.0, 1.0], NAN),
        ([INF, 1.0], [0.0, 1.0], INF),
        ([1e-9, 0.0], [0.0, 0.0], INF),
        ([], [], 0),
        ([1.0], [1.0, 1.0], INF),
        ([True, False], [True, True], 1),
        ([3, 250], [5, 250], 2 / 250),
        ([1 + 2j], [1 - 2j], 4 / 5**0.5),
        (["a", "b"], ["a", "b"], 0),
        (["a", "b"], ["a", "c"], INF),
    ],
    ids=str,
)
def test_difference_is_relative_to_the_largest_value(own, other, wanted):
    assert onnx_times.difference(np.array(own), np.array(other)) == pytest.approx(
        wanted, nan_ok=True
    )


def test_difference_of_sequences_and_maps_is_that_of_their_values():
    one, two = np.array([1.0, 2.0]), np.array([1.0, 4.0])
    assert onnx_times.difference([one, one], [one, two]) == 0.5
    assert onnx_times.difference([{"a": 2.0}], [{"a": 4.0}]) == 0.5
    assert onnx_times.difference([{"a": 2.0}], [{"b": 2.0}]) == math.inf
    assert onnx_times.difference([one], [one, one]) == math.inf


def test_outputs_that_cannot_be_compared_are_named():
    lines = onnx_command.difference_lines({"a": 1e-7, "b": math.inf, "c": 3e-7, "d": math.nan})
    assert lines[0] == "largest difference: 3e-07 of the largest value, in c"
    assert lines[1:] == [f"{name} differs in its shape, or is not finite" for name in "bd"]
