"""The numbers that docs/benchmarks.md says are those of the files that were measured."""

from __future__ import annotations

import re
import runpy
import statistics
from xml.etree import ElementTree

import pytest
from processes import PACKAGE

from aotconv._tools.board import TEXTS, WIDE_TEXTS

DOCS = PACKAGE / "docs"
PAGE = DOCS / "benchmarks.md"
DRAW = DOCS / "benchmarks" / "draw.py"
MEASURED = [("networks", 1), ("networks", 2), ("wide", 1)]
if not PAGE.is_file():
    pytest.skip("needs the documentation", allow_module_level=True)

draw = runpy.run_path(str(DRAW), run_name="draw")
ROWS = {each: draw["rows"](*each) for each in MEASURED}
RACED = {each: [row for row in rows if row.ratios] for each, rows in ROWS.items()}


def section(title: str) -> str:
    """The text of a section of the page."""
    return PAGE.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]


def cells(title: str) -> dict[str, list[str]]:
    """The rows of a section's only table, by their first cells."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    table = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {first: rest for first, *rest in table}


def mean_and_losses(ratios: list[float]) -> tuple[str, int, int]:
    return f"{statistics.geometric_mean(ratios):.2f}", sum(x < 1 for x in ratios), len(ratios)


def expected_of_groups(measured: tuple[str, int]) -> dict[str, list[str]]:
    rows = RACED[measured]
    groups = {
        group: [row.ratio for row in rows if row.group == group]
        for group in draw["GROUPS"][measured[0]]
    }
    groups["all"] = [row.ratio for row in rows]
    found = {group: mean_and_losses(ratios) for group, ratios in groups.items()}
    return {group: [mean, f"{losses} of {n}"] for group, (mean, losses, n) in found.items()}


@pytest.mark.parametrize("measured", MEASURED, ids=str)
def test_a_file_holds_its_whole_board_and_what_follows_from_the_rounds(measured):
    board, n_threads = measured
    texts = {"networks": TEXTS, "wide": WIDE_TEXTS}[board]
    assert {row.name: row.text for row in ROWS[measured]} == texts
    results = [each for each in draw["read"](board)["results"] if each["n_threads"] == n_threads]
    for row, each in zip(ROWS[measured], results, strict=True):
        own, flops = each["seconds"]["aotconv"], each["operation"]["flops"]
        rounds = zip(each["fma"], each["copy"], own, strict=True)
        fractions = [max(flops / fma, copy) / seconds for fma, copy, seconds in rounds]
        later = statistics.median(own)
        assert row.milliseconds == pytest.approx(1e3 * later, rel=1e-5)
        assert row.rate == pytest.approx(flops / later / 1e9, rel=1e-4)
        assert row.fraction == pytest.approx(statistics.median(fractions), rel=1e-4)
        peers = {name: seconds for name, seconds in each["seconds"].items() if name != "aotconv"}
        ratios = {
            name: statistics.median(map(float.__truediv__, seconds, own))
            for name, seconds in peers.items()
        }
        if each["fastest"]:
            assert each["fastest"] == min(ratios, key=ratios.__getitem__)
            assert row.ratio == pytest.approx(ratios[each["fastest"]], rel=1e-4)
            assert row.fastest == draw["PEERS"][each["fastest"].partition(" ")[0]]
        else:
            assert not row.ratios and not ratios


def test_means_of_networks_are_those_of_the_file():
    one, two = map(expected_of_groups, MEASURED[:2])
    assert cells("Networks") == {group: one[group] + two[group] for group in one}


def test_means_of_the_wide_board_are_those_of_the_file():
    assert cells("Filters and other operators") == expected_of_groups(("wide", 1))


def test_means_beside_each_library_are_those_of_the_files():
    expected = {}
    for peer in draw["PEERS"].values():
        expected[peer] = []
        for measured in MEASURED:
            ratios = [row.ratios[peer] for row in RACED[measured] if peer in row.ratios]
            said = "{} ({} of {})".format(*mean_and_losses(ratios)) if ratios else ""
            expected[peer].append(said)
    assert cells("Beside each library") == expected


def test_the_first_paragraph_says_what_the_files_say():
    text = " ".join(PAGE.read_text(encoding="utf-8").partition("\n## ")[0].split())
    networks, wide = ([row.ratio for row in RACED[each, 1]] for each in ("networks", "wide"))
    both = [*networks, *wide]
    assert f"{statistics.geometric_mean(networks):.2f} times aotconv's time" in text
    assert f"{statistics.geometric_mean(wide):.2f} times on that of {len(wide)} filters" in text
    assert f"from {min(both):.2f} to {max(both):.2f} times" in text


def test_machine_and_versions_are_those_of_the_files():
    text = section("What was run")
    for board in ("networks", "wide"):
        head = draw["read"](board)
        versions = [version.partition("+")[0] for version in head["peers"].values()]
        versions = [".".join(version.split(".")[:3]) for version in versions]
        names = [*head["peers"]]
        said = [v for name, v in zip(names, versions, strict=True) if name != "onnx"]
        for each in [head["date"], head["cpu"], head["implementation"], head["python"], *said]:
            assert each in text, each
        for n_threads in {each["n_threads"] for each in head["results"]}:
            results = [each for each in head["results"] if each["n_threads"] == n_threads]
            rate = statistics.median(x for each in results for x in each["fma"]) / 1e9
            said = re.search(r"(\d+) GFLOP/s on one thread, (\d+) on two", text)
            assert float(said[n_threads]) == pytest.approx(rate, abs=1)


def test_slower_rows_that_are_named_are_those_of_the_files():
    """Rows, each with a ratio, in the order of the text; two threads where it says so."""
    text = " ".join(section("Where it is slower").split())
    one = {
        row.name: f"{row.ratio:.2f}" for board in ("networks", "wide") for row in RACED[board, 1]
    }
    two = {row.name: f"{row.ratio:.2f}" for row in RACED["networks", 2]}
    named = re.findall(r"`(\w+)`(?: is)? at (\d\.\d\d)", text)
    assert len(named) == 9
    for name, ratio in named:
        assert ratio in (one[name], two.get(name)), name
    lost = {row.name for rows in RACED.values() for row in rows if row.ratio < 0.97}
    assert lost <= {name for name, _ in named}


def test_layout_of_openvino_is_the_cause_that_the_text_says():
    [row] = [
        each for each in draw["read"]("wide")["results"] if "112_first" in each["operation"]["name"]
    ]
    assert row["fastest"] == "openvino NHWC"
    assert f"it takes {row['ratios']['openvino NCHW']:.2f} times" in " ".join(
        PAGE.read_text().split()
    )


def test_rounds_that_are_quoted_are_those_of_the_file():
    def rounds(n_threads, name):
        results = draw["read"]("networks")["results"]
        found = [each for each in results if each["n_threads"] == n_threads]
        return next(each for each in found if each["operation"]["name"] == name)

    def extent(numbers, form):
        return f"{min(numbers):{form}} to {max(numbers):{form}}"

    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    seconds = rounds(1, "vgg_3_3x3_256")["seconds"]
    for contender in ("aotconv", "onnxruntime"):
        assert f"{extent([1e3 * x for x in seconds[contender]], '.1f')} ms" in text
    doubtful = [
        sum(
            bool(each["doubts"])
            for each in draw["read"]("networks")["results"]
            if each["n_threads"] == n
        )
        for n in (1, 2)
    ]
    assert "calls {} of the 20 rows uncertain on one thread and {} on two".format(*doubtful) in text


def test_files_name_no_folder_and_no_host():
    for board in ("networks", "wide"):
        text = (DOCS / "benchmarks" / f"{board}.json").read_text()
        assert not re.search(r"/(home|root|tmp|usr|work|mnt)\b|[\w-]+\.(local|internal)\b", text)
        assert re.fullmatch(r"Linux-x86_64-with-glibc[\d.]+", draw["read"](board)["platform"])


def written_in(path) -> list[str]:
    """The texts of a plot, which matplotlib draws as shapes and says in comments."""
    return re.findall("<!-- (.*?) -->", path.read_text(encoding="utf-8"))


def test_plots_and_tables_have_every_row_and_are_those_of_the_page(tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    draw["draw"](tmp_path)
    for (board, n_threads), rows in ROWS.items():
        name = f"{board}_{n_threads}.csv"
        lines = (tmp_path / name).read_text(encoding="utf-8").splitlines()
        assert lines == (DRAW.parent / name).read_text(encoding="utf-8").splitlines()
        assert [line.split(",")[0] for line in lines[1:]] == [row.name for row in rows]
        shown = {"ratios": [row for row in rows if row.ratios]}
        if n_threads == 1:
            shown["bounds"] = rows
        for kind, drawn in shown.items():
            path = tmp_path / f"{board}_{n_threads}_{kind}.svg"
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
            assert f"](benchmarks/{path.name})" in PAGE.read_text(encoding="utf-8")
            assert written_in(DRAW.parent / path.name) == written_in(path)
            words = {text.get_text() for text in draw[f"draw_{kind}"](drawn).axes[0].texts}
            for row in drawn:
                figure = f"{row.ratio:.2f}" if kind == "ratios" else f"{100 * row.fraction:,.0f} %"
                assert {row.name, figure} <= words
