"""The sweep: the sizes that it covers, its check of results, and ``aotconv bench --sweep``."""

import json
import re
from itertools import product

import numpy as np
import pytest
from command import run

import aotconv
from aotconv._plan.registry import ROWS
from aotconv._tools import race, sweep
from aotconv._tools.errors import DisagreementError
from aotconv._tools.problem import parse
from aotconv._tools.report import format_sweeps
from aotconv._tools.sweep import SWEEPS, Case, Sweep, Swept

CHANNELS = {*range(1, 10), 15, 16, 17, 24, 31, 32, 33, 63, 65, 96}
LAYERS = [layer for each in SWEEPS for layer in each.layers.values()]
TINY = Sweep(
    "tiny",
    {(c,): parse(f"1x7x9x{c} 3x2x{c}x5 s2 same d2") for c in (1, 2)},
)


def is_dense(layer):
    return layer.groups == 1 and layer.images[3] > 1


def is_depthwise(layer):
    return layer.filters[2] == 1 and layer.groups == layer.filters[3]


# --- what is swept ---------------------------------------------------------------------------


def test_all_pairs_of_channels_and_filters_are_swept():
    found = {each.filters for each in LAYERS if each.groups == 1}
    assert {(3, 3, *pair) for pair in product(CHANNELS, CHANNELS)} <= found


@pytest.mark.parametrize("stride", [1, 2])
def test_all_numbers_of_depthwise_channels_are_swept(stride):
    layers = [each for each in LAYERS if is_depthwise(each) and each.strides == stride]
    assert {each.images[3] for each in layers} >= CHANNELS


@pytest.mark.parametrize("kind", [is_dense, is_depthwise])
def test_windows_from_1_to_11_are_swept_square_and_flat(kind):
    found = {each.filters[:2] for each in LAYERS if kind(each)}
    assert {pair for k in range(1, 12) for pair in ((k, k), (1, k), (k, 1))} <= found


@pytest.mark.parametrize("channels", [1, 3, 4, 8, 64])
@pytest.mark.parametrize("steps", [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)])
def test_channelwise_windows_up_to_101_are_swept_square_and_flat(channels, steps):
    sizes = {*range(1, 18), *range(31, 34), *range(63, 66), 100, 101}
    found = {
        each.filters[:2]
        for each in LAYERS
        if is_depthwise(each)
        and each.images[3] == channels
        and (each.strides, each.dilations) == steps
    }
    assert {pair for k in sizes for pair in ((k, k), (1, k), (k, 1))} <= found


@pytest.mark.parametrize("kind", [is_dense, is_depthwise])
def test_widths_from_5_to_65_are_swept(kind):
    assert {each.images[2] for each in LAYERS if kind(each)} >= set(range(5, 66))


@pytest.mark.parametrize("kind", [is_dense, is_depthwise])
def test_strides_and_dilations_from_1_to_3_are_swept(kind):
    found = {(each.strides, each.dilations) for each in LAYERS if kind(each)}
    assert set(product((1, 2, 3), (1, 2, 3))) <= found


def test_groups_are_swept():
    found = {(each.groups, each.filters[2]) for each in LAYERS}
    assert {(32, channels) for channels in (1, 2, 3, 4, 8, 16)} <= found
    assert {2, 4, 8, 16, 48} <= {groups for groups, _ in found}


@pytest.mark.parametrize("each", SWEEPS, ids=lambda each: each.name)
def test_larger_cases_of_a_sweep_have_as_much_work_or_more(each):
    for (own, layer), (other, larger) in product(each.layers.items(), repeat=2):
        if all(a <= b for a, b in zip(own, other, strict=True)):
            assert layer.flops <= larger.flops


@pytest.mark.parametrize("each", SWEEPS, ids=lambda each: each.name)
def test_layers_of_a_sweep_differ(each):
    assert len({layer.text for layer in each.layers.values()}) == len(each.layers)


# --- checked, then timed ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", sweep.DTYPES)
def test_measure_names_the_row_and_has_a_figure_for_each_round(dtype):
    (layer, _) = TINY.layers.values()
    case = sweep.measure(layer._replace(dtype=dtype), 0)
    assert case.layer == layer._replace(dtype=dtype)
    assert case.row in {row.name for row in ROWS if row.dtype == dtype}
    assert len(case.seconds) == len(case.fma) == len(case.copy) == sweep.ROUNDS
    assert min(*case.seconds, *case.fma, *case.copy) > 0


def test_row_is_the_one_that_computes():
    for layer in LAYERS[::97]:
        convolve = aotconv.Conv2D(np.ones(layer.filters, np.float32), **layer.options)
        convolve(np.ones((1, 12, 12, layer.images[3]), np.float32))
        ((kernel, _),) = convolve._operator._kernels._kept.values()
        assert sweep.row_name(layer) == kernel.row.name


def test_wrong_result_is_not_timed(monkeypatch):
    def wrong(problem):
        contender = race.own(problem)
        return contender._replace(call=lambda: contender.call() + np.float32(1e-2))

    monkeypatch.setattr(sweep, "own", wrong)
    monkeypatch.setattr(sweep, "race", lambda *_, **__: pytest.fail("timed"))
    with pytest.raises(DisagreementError, match="aotconv, 1x7x9x1 3x2x1x5 s2 same d2: wrong by "):
        sweep.measure(TINY.layers[1,], 0)


def test_suspect_is_timed_again_with_the_case_beside_it_and_the_better_time_counts(monkeypatch):
    times = iter([9.0, 1.0, 1.0, 2.0])
    asked = []

    def measured(run, layer, seconds):
        asked.append(layer.images[3])
        return Case(layer, "row", [next(times)], [1e9], [0.1])

    monkeypatch.setattr(sweep, "_measured", measured)
    announced = []
    (swept,) = sweep.sweep([TINY], ["float32"], announce=announced.append)
    assert asked == [1, 2, 1, 2] and len(announced) == 2
    assert [case.least for case in swept.cases] == [1.0, 1.0]


# --- arithmetic and table --------------------------------------------------------------------


def swept(times):
    cases = [
        Case(layer, f"row{layer.images[3]}", [time], [1e9], [1e-9])
        for layer, time in zip(TINY.layers.values(), times, strict=True)
    ]
    return Swept(TINY, "float32", cases)


def test_best_round_counts_against_the_best_multiply_adds_of_the_sweep():
    cases = [
        Case(TINY.layers[1,], "row", [2e-6, 1e-6, 9e-6], [1e9, 0.5e9, 0.2e9], [1e-9]),
        Case(TINY.layers[2,], "row", [8e-6, 4e-6, 5e-6], [2e9, 0.1e9, 0.2e9], [1e-9]),
    ]
    assert [case.least for case in cases] == [1e-6, 4e-6]
    assert cases[0].flop_rate == pytest.approx(cases[0].layer.flops / 1e-6)
    fractions = Swept(TINY, "float32", cases).fractions
    assert fractions == pytest.approx([case.flop_rate / 2e9 for case in cases])


def test_table_has_the_worst_case_of_a_sweep_without_cliffs():
    title, heading, row = format_sweeps([swept([2e-3, 1e-3])]).splitlines()
    assert heading.startswith("tiny, float32: 2 cases, ")
    assert row.startswith("  1x7x9x1 3x2x1x5 s2 same d2  row1 ") and " 2.00 " in row
    assert row.endswith("2.00  padding: 1x7x9x2 3x2x2x5 s2 same d2, row2")
    assert len(title.split()) > 5


def test_table_has_every_cliff_deepest_first():
    layers = {(c,): parse(f"1x7x9x{c} 3x2x{c}x5") for c in (1, 2, 3)}
    each = Sweep("cliffs", layers)
    times = zip(layers.values(), [4.0, 9.0, 1.0], strict=True)
    cases = [Case(layer, "row", [time], [1e9], [1e-9]) for layer, time in times]
    rows = format_sweeps([Swept(each, "float32", cases)]).splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["1x7x9x2", "1x7x9x1"]
    assert rows[0].endswith("9.00  padding: 1x7x9x3 3x2x3x5")


def test_sweep_that_tells_steeper_losses_has_these_in_its_table():
    layers = {(c,): parse(f"1x7x9x{c} 3x2x{c}x5") for c in (1, 2)}
    cases = [
        Case(layer, "row", [time], [1e9], [1e-9])
        for layer, time in zip(layers.values(), (2.0, 1.0), strict=True)
    ]
    for steep, told in ((1.5, 1), (3.0, 1), (0.1, 2)):
        each = Sweep("windows", layers, steep)
        rows = format_sweeps([Swept(each, "float32", cases)]).splitlines()[2:]
        assert len(rows) == told  # the worst one in any case


# --- aotconv bench --sweep -------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What one run of ``aotconv bench --sweep`` over a tiny sweep printed and wrote."""
    folder = tmp_path_factory.mktemp("sweep")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "SWEEPS", (TINY,))
        done = run("bench", "--sweep", "--json", folder / "sweep.json", "--seconds", "0.0001")
    return done._replace(folder=folder)


def test_command_prints_a_row_for_each_sweep_and_dtype(finished):
    assert finished.status == 0
    lines = finished.out.splitlines()
    assert lines[0].startswith(f"aotconv {aotconv.__version__}, {aotconv.active().name}, ")
    for dtype in ("float32", "float64"):
        (place,) = [i for i, line in enumerate(lines) if line.startswith(f"tiny, {dtype}: 2 cases")]
        assert re.match(
            rf"  1x7x9x[12] 3x2x[12]x5 s2 same d2 .*\w+_{dtype}_\w+ +[\d.]+ +[\d.]+ +",
            lines[place + 1],
        )
    assert lines[-1] == str(finished.folder / "sweep.json")


def test_command_shows_its_progress_on_stderr_alone(finished):
    assert "tiny, 1x7x9x2 3x2x2x5 s2 same d2 float64: " in finished.err and "%|" in finished.err
    assert "%|" not in finished.out


def test_command_writes_every_case(finished):
    written = json.loads((finished.folder / "sweep.json").read_text())
    assert written["implementation"] == aotconv.active().name
    assert [each["dtype"] for each in written["sweeps"]] == ["float32", "float64"]
    for each in written["sweeps"]:
        texts = [case["layer"]["text"] for case in each["cases"]]
        assert [parse(text).images[3] for text in texts] == [1, 2]
        assert {parse(text).dtype for text in texts} == {each["dtype"]}
        for case in each["cases"]:
            assert case["least"] > 0 < case["flop_rate"] and 0 < case["fraction"] < 1
            assert case["loss"]["law"] in ("padding", "growth") and case["loss"]["factor"] > 0
            assert {case["loss"]["than"], case["layer"]["text"]} == set(texts)


def test_dtype_is_the_one_that_is_swept(monkeypatch):
    monkeypatch.setattr(sweep, "SWEEPS", (TINY,))
    done = run("bench", "--sweep", "--dtype", "float64", "--seconds", "0.0001")
    assert done.status == 0
    assert "tiny, float64" in done.out and "float32" not in done.out


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["--board", "wide"], "--sweep: --board is for the boards alone"),
        (["--layers", "tiny_8x8x1"], "--sweep: --layers is for the boards alone"),
        (["--peers", "torch"], "--sweep: --peers is for the boards alone"),
        (["--threads", "1"], "--sweep: --threads is for the boards alone"),
        (["--plot", "a.png"], "--sweep: --plot is for the boards alone"),
        (["--seconds", "0"], "--seconds: 0.0 is not a positive time"),
        (["--json", "no/such/folder/file"], "cannot write 'no/such/folder/file'"),
    ],
    ids=" ".join,
)
def test_what_the_user_can_mend_is_one_line_and_status_2(arguments, complaint):
    done = run("bench", "--sweep", *arguments)
    assert done.status == 2 and done.out == ""
    assert re.fullmatch(rf"aotconv: error: {complaint}.*\n", done.err)


def test_without_kernels_there_is_nothing_to_sweep():
    with aotconv.use("numpy"):
        done = run("bench", "--sweep")
    assert done.status == 2 and "numpy has no kernels" in done.err
