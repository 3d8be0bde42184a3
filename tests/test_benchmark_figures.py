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
if not PAGE.is_file():
    pytest.skip("needs the documentation", allow_module_level=True)

draw = runpy.run_path(str(DRAW), run_name="draw")
LEVELS = draw["LEVELS"]
FILES = [(level, board) for level in LEVELS for board in ("networks", "wide")]
MEASURED = [(level, *each) for level in LEVELS for each in draw["MEASURED"]]
ROWS = {each: draw["rows"](*each) for each in MEASURED}
RACED = {each: [row for row in rows if row.ratios] for each, rows in ROWS.items()}


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text of a section of the page."""
    return page().split(f"\n## {title}\n")[1].split("\n## ")[0]


def cells(title: str) -> dict[str, list[str]]:
    """The rows of a section's only table, by their first cells."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    table = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {first: rest for first, *rest in table}


def mean_and_losses(ratios: list[float]) -> str:
    """As tables say it; nothing of no ratios."""
    losses = sum(ratio < 1 for ratio in ratios)
    mean = statistics.geometric_mean(ratios) if ratios else 0
    return f"{mean:.2f} ({losses} of {len(ratios)})" if ratios else ""


def expected_of_groups(board: str) -> dict[str, list[str]]:
    """A board's table: a row for each group and for all, a column for each run."""
    runs = [rows for (_, each, _), rows in RACED.items() if each == board]
    groups = {
        group: [[row.ratio for row in rows if row.group == group] for rows in runs]
        for group in draw["GROUPS"][board]
    }
    groups["all"] = [[row.ratio for row in rows] for rows in runs]
    return {group: [*map(mean_and_losses, runs)] for group, runs in groups.items()}


@pytest.mark.parametrize("measured", MEASURED, ids=str)
def test_a_file_holds_its_whole_board_and_what_follows_from_the_rounds(measured):
    level, board, n_threads = measured
    texts = {"networks": TEXTS, "wide": WIDE_TEXTS}[board]
    assert {row.name: row.text for row in ROWS[measured]} == texts
    file = draw["read"](level, board)
    assert file["implementation"] == level
    results = [each for each in file["results"] if each["n_threads"] == n_threads]
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


def test_means_of_networks_are_those_of_the_files():
    assert cells("Networks") == expected_of_groups("networks")


def test_means_of_the_wide_board_are_those_of_the_files():
    assert cells("Filters and other operators") == expected_of_groups("wide")


def test_means_beside_each_library_are_those_of_the_files():
    expected = {
        peer: [
            mean_and_losses([row.ratios[peer] for row in rows if peer in row.ratios])
            for rows in RACED.values()
        ]
        for peer in draw["PEERS"].values()
    }
    assert cells("Beside each library") == expected


def test_the_first_paragraphs_say_what_the_files_say():
    text = " ".join(page().partition("\n## ")[0].split())
    means = {
        (board, n_threads, level): statistics.geometric_mean(row.ratio for row in rows)
        for (level, board, n_threads), rows in RACED.items()
    }
    several = [
        statistics.geometric_mean(
            row.ratio for row in RACED[level, "wide", 1] if len(row.ratios) > 1
        )
        for level in LEVELS
    ]
    told = [[means[(*each, level)] for level in LEVELS] for each in draw["MEASURED"]] + [several]
    pairs = [f"{with_it:.2f} ({without:.2f} with AVX2" for with_it, without in told]
    assert re.findall(r"\d\.\d\d \(\d\.\d\d with AVX2", text) == pairs
    wide = RACED[LEVELS[0], "wide", 1]
    assert f"{len(wide)} filters and other operators" in text
    assert f"the {sum(len(row.ratios) > 1 for row in wide)} rows that more than one" in text
    ratios = [row.ratio for rows in RACED.values() for row in rows]
    assert f"from {min(ratios):.2f} to {max(ratios):.2f} times" in text


@pytest.mark.parametrize("level", LEVELS)
def test_machine_and_versions_are_those_of_the_files(level):
    column = 1 + LEVELS.index(level)
    lines = [line for line in section("What was run").splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    told = " ".join(row[column] for row in table)
    for board in ("networks", "wide"):
        head = draw["read"](level, board)
        versions = [version.partition("+")[0] for version in head["peers"].values()]
        versions = [".".join(version.split(".")[:3]) for version in versions]
        names = [*head["peers"]]
        said = [v for name, v in zip(names, versions, strict=True) if name != "onnx"]
        about = [head[key] for key in ("date", "cpu", "python", "numpy")]
        if (level, board) != ("x86-64-v3", "wide"):  # of which the text says more
            about.append(head["aotconv"])
        for each in [level, *about, *said]:
            assert each in told, each
    rates = re.search(r"(\d+) GFLOP/s, (\d+) on two", told)
    for n_threads in (1, 2):
        results = draw["read"](level, "networks")["results"]
        every = (x for each in results if each["n_threads"] == n_threads for x in each["fma"])
        assert float(rates[n_threads]) == pytest.approx(statistics.median(every) / 1e9, abs=1)


@pytest.mark.parametrize("level", LEVELS)
def test_slower_rows_that_are_named_are_those_of_the_files(level):
    """Rows, each with a ratio, and those on two threads, each in brackets."""
    title = {"x86-64-v4": "With AVX-512", "x86-64-v3": "With AVX2"}[level]
    text = section("Where it is slower").split(f"\n### {title}\n")[1].split("\n### ")[0]
    boards = ("networks", "wide")
    one = {row.name: f"{row.ratio:.2f}" for board in boards for row in RACED[level, board, 1]}
    two = {row.name: f"{row.ratio:.2f}" for row in RACED[level, "networks", 2]}
    named = re.findall(r"`(\w+)` (?=[\d(])(\d\.\d\d)?(?: ?\((\d\.\d\d)\))?", " ".join(text.split()))
    assert named
    for name, alone, paired in named:
        assert alone in ("", one[name]) and paired in ("", two.get(name)), name
        assert alone or paired, name
    lost = {
        row.name
        for (at, *_), rows in RACED.items()
        for row in rows
        if at == level and row.ratio < 0.97
    }
    assert lost <= {name for name, *_ in named}


def test_rounds_are_as_many_as_the_text_says():
    words = {9: "nine"}
    for level, board in FILES:
        for each in draw["read"](level, board)["results"]:
            rounds = len(each["fma"])
            assert {len(times) for times in each["seconds"].values()} == {rounds}
            assert f"In each of {words[rounds]} rounds" in section("How it was measured")


def test_rows_that_the_benchmark_doubts_are_as_many_as_the_text_says():
    text = " ".join(section("How it was measured").split())
    for level in LEVELS:
        results = draw["read"](level, "networks")["results"]
        doubts = [sum(bool(x["doubts"]) for x in results if x["n_threads"] == n) for n in (1, 2)]
        assert "{} and {} of its 20 rows".format(*doubts) in text


def test_layout_of_openvino_is_the_cause_that_the_text_says():
    results = draw["read"]("x86-64-v3", "wide")["results"]
    [row] = [each for each in results if "112_first" in each["operation"]["name"]]
    assert row["fastest"] == "openvino NHWC"
    assert f"it takes {row['ratios']['openvino NCHW']:.2f} times" in " ".join(page().split())


@pytest.mark.parametrize(("level", "board"), FILES)
def test_files_name_no_folder_and_no_host(level, board):
    text = (DRAW.parent / level / f"{board}.json").read_text()
    assert not re.search(r"/(home|root|tmp|usr|work|mnt)\b|[\w-]+\.(local|internal)\b", text)
    platform = draw["read"](level, board)["platform"]
    assert re.fullmatch(r"Linux-x86_64-with-glibc[\d.]+", platform)


def written_in(path) -> list[str]:
    """The texts of a plot, which matplotlib draws as shapes and says in comments."""
    return re.findall("<!-- (.*?) -->", path.read_text(encoding="utf-8"))


def test_plots_and_tables_have_every_row_and_are_those_of_the_page(tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    draw["draw"](tmp_path)
    for (level, board, n_threads), rows in ROWS.items():
        name = f"{level}/{board}_{n_threads}"
        lines = (tmp_path / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        kept = (DRAW.parent / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        assert lines == kept
        assert [line.split(",")[0] for line in lines[1:]] == [row.name for row in rows]
        shown = {"ratios": [row for row in rows if row.ratios]}
        if n_threads == 1:
            shown["bounds"] = rows
        for kind, drawn in shown.items():
            path = tmp_path / f"{name}_{kind}.svg"
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
            assert f"](benchmarks/{name}_{kind}.svg)" in page()
            assert written_in(DRAW.parent / f"{name}_{kind}.svg") == written_in(path)
            words = {text.get_text() for text in draw[f"draw_{kind}"](drawn).axes[0].texts}
            for row in drawn:
                figure = f"{row.ratio:.2f}" if kind == "ratios" else f"{100 * row.fraction:,.0f} %"
                assert {row.name, figure} <= words
