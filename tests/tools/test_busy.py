"""Whether the machine was busy: spreads, the load average, and what is said of them."""

import math
import re

import pytest

from aotconv._tools import busy, report
from aotconv._tools.busy import FMA_SPREAD, OTHERS, PERIOD, SHORTEST, SLOW, SPREAD, Load
from aotconv._tools.problem import parse
from aotconv._tools.race import Result, spread

LAYER = parse("1x9x8x6 3x3x3x4 s2 p1 g2")
QUIET = Load(n_threads=1, seconds=60.0, before=0.5, after=1.0, cpus=2)
EVEN = [1.0] * 9


def spanning(width, middle=1.0):
    """Nine figures whose middle half spans so many parts of their median."""
    edge = width * middle / 2
    return [middle - edge] * 3 + [middle] * 3 + [middle + edge] * 3


def result_of(seconds=EVEN, fma=EVEN, layer=LAYER):
    return Result(layer, 1, {"aotconv": seconds}, fma, [1e-9] * 9, {}, first=1.0)


def test_spread_is_that_of_the_middle_half():
    assert spread(EVEN) == 0 and spread([3.0]) == 0
    assert spread([1.0, 2.0, 3.0, 4.0, 500.0]) == pytest.approx(2 / 3)
    assert spread(spanning(0.4, middle=7.0)) == pytest.approx(0.4)


@pytest.mark.parametrize("middle", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize(
    "seconds, fma, reasons",
    [
        (0, 0, []),
        (0.9 * SPREAD, 0.9 * FMA_SPREAD, []),
        (1.1 * SPREAD, 0, [busy.UNEVEN]),
        (0, 1.1 * FMA_SPREAD, [busy.UNEVEN_FMA]),
        (1.1 * SPREAD, 1.1 * FMA_SPREAD, [busy.UNEVEN, busy.UNEVEN_FMA]),
    ],
)
def test_rows_are_uncertain_whose_rounds_differ(middle, seconds, fma, reasons):
    row = result_of(spanning(seconds, middle), spanning(fma, middle))
    assert busy.doubts([row, result_of(fma=[middle] * 9)]) == [reasons, []]


def test_rows_are_uncertain_beside_which_multiply_adds_were_slow():
    rates = [1.0, 1.01 * SLOW, 0.99 * SLOW]
    rows = [result_of(fma=[rate] * 9) for rate in rates]
    assert busy.doubts(rows) == [[], [], [busy.SLOW_FMA]]


def test_multiply_adds_are_held_against_those_of_the_same_dtype():
    half = result_of(fma=[0.5] * 9, layer=LAYER.with_dtype("float64"))
    assert busy.doubts([result_of(), half]) == [[], []]


# --- the load average ------------------------------------------------------------------------


def average(running, before, seconds):
    """The system's average after so many seconds in which so many threads ran."""
    for _ in range(round(seconds / 5)):  # as Linux computes it
        left = math.exp(-5 / PERIOD)
        before = before * left + running * (1 - left)
    return before


@pytest.mark.parametrize("before", [0.0, 1.0, 7.5])
@pytest.mark.parametrize("seconds", [SHORTEST, 60, 600])
@pytest.mark.parametrize("n_threads, others", [(1, 0.0), (1, 2.0), (2, 0.0), (2, 0.6), (8, 3.0)])
def test_others_are_told_whatever_ran_before(before, seconds, n_threads, others):
    after = average(n_threads + others, before, seconds)
    load = Load(n_threads, seconds, before, after, cpus=n_threads)
    assert load.others == pytest.approx(others, abs=1e-9)
    assert load.is_busy == (others > OTHERS)


def test_others_may_have_half_of_the_cpus_that_the_benchmark_leaves():
    after = average(1 + 3.0, 0.0, 60)
    assert [Load(1, 60.0, 0.0, after, cpus).is_busy for cpus in (2, 6, 8)] == [True, True, False]


def test_fewer_threads_than_the_benchmark_has_are_no_others():
    load = Load(2, 60.0, 0.0, average(1.2, 0.0, 60), 2)
    assert load.others == 0 and not load.is_busy


@pytest.mark.parametrize(
    "load",
    [
        QUIET._replace(after=50.0, seconds=0.9 * SHORTEST),
        QUIET._replace(before=None, after=None),
    ],
    ids=["too short", "no average"],
)
def test_nothing_is_told_where_nothing_is_known(load):
    assert load.others is None and not load.is_busy
    assert load.as_json()["others"] is None
    assert report.footnotes([result_of()], load) == []


def test_systems_without_an_average_have_none(monkeypatch):
    def fail():
        raise OSError

    monkeypatch.setattr(busy.os, "getloadavg", fail, raising=False)
    assert busy.load_average() is None
    monkeypatch.delattr(busy.os, "getloadavg")
    assert busy.load_average() is None


def test_load_is_that_before_and_after_what_is_watched(monkeypatch):
    averages = [0.25]
    monkeypatch.setattr(busy, "load_average", lambda: averages[-1])
    result, load = busy.watched(2, lambda: averages.append(3.5) or "done")
    assert result == "done"
    assert (load.n_threads, load.before, load.after) == (2, 0.25, 3.5)
    assert 0 <= load.seconds < 10 and load.cpus >= 1


# --- what is said ----------------------------------------------------------------------------


def said(results, load=QUIET):
    return " ".join(line.strip() for line in report.footnotes(results, load))


def test_nothing_is_said_of_a_quiet_machine():
    assert said([result_of()]) == ""
    assert "~" not in report.format_table([result_of()])


def test_uncertain_rows_are_marked_and_counted():
    rows = [result_of(), result_of(spanning(0.5), spanning(0.3)), result_of(spanning(0.5))]
    table = report.format_table(rows).splitlines()
    assert ["~" in line for line in table] == [False, False, True, True]
    assert len(set(map(len, table))) == 1  # columns stay where they are
    text = said(rows)
    assert text.startswith(f"~ 2 of 3 are uncertain: {busy.UNEVEN} (2); {busy.UNEVEN_FMA} (1)")
    assert text.endswith("the machine was busy or slowed down: so say multiply-adds beside 1 row")


def test_uneven_rounds_alone_do_not_say_that_the_machine_was_busy():
    assert "busy" not in said([result_of(), result_of(spanning(0.5))])


def test_load_of_others_is_said_once():
    load = QUIET._replace(after=average(3.0, 0.5, 60))
    text = said([result_of(), result_of(fma=spanning(0.5))], load)
    assert text.count("busy") == 1
    assert re.search(
        r"beside the benchmark 2\.0 threads of others .* average 0\.5 before, 2\.1", text
    )


def test_chart_marks_uncertain_rows():
    figure = report.draw([[result_of(), result_of(spanning(0.5))]], "title")
    assert ["~" in text.get_text() for text in figure.axes[0].texts] == [False, True]
    assert figure.get_supxlabel().startswith("~ uncertain")
    assert report.draw([[result_of()]], "title").get_supxlabel() == ""
