"""The benchmark's report: tables, a chart, and what machine and libraries were measured."""

from __future__ import annotations

import importlib.metadata
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

from .busy import REASONS, SLOW_FMA, UNEVEN_FMA, Load, doubts
from .digits import MARK, digits
from .operation import Operation
from .peers import Peer
from .race import Result
from .sweep import Swept

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = 100  # characters of a footnote


def team_name(n_threads: int) -> str:
    return "1 thread" if n_threads == 1 else f"{n_threads} threads"


def heading(results: Sequence[Result]) -> str:
    """Say on how many threads, and what they do at best."""
    rate = statistics.median(rate for each in results for rate in each.fma)
    return f"{team_name(results[0].n_threads)}: multiply-adds {rate / 1e9:,.0f} GFLOP/s"


def labels(operations: Sequence[Operation]) -> list[str]:
    """Names, if there are any, and texts, in columns."""
    width = max(len(each.name) + 2 if each.name else 0 for each in operations)
    rows = [f"{each.name:{width}}{each.text}" for each in operations]
    return [row.ljust(max(map(len, rows))) for row in rows]


def format_table(results: Sequence[Result]) -> str:
    """Set the results for one number of threads as a table: a row for each layer or filter."""
    names = labels([each.operation for each in results])
    width = len(names[0])
    against = any(each.fastest for each in results)
    title = f"{'':{width}}{'ms':>9} {'GFLOP/s':>8}{'of bound':>12}{'first ms':>10}"
    rows = [title + (f"  {'fastest peer':<20}{'ms':>9}{'ratio':>7}" if against else "")]
    for name, each, why in zip(names, results, doubts(results), strict=True):
        row = f"{name}{digits(1e3 * each.later):>9}{MARK if why else ' '}"
        row += f"{digits(each.flop_rate / 1e9):>8}{each.fraction:>7.0%} {each.binding:<4}"
        row += f"{digits(1e3 * each.first):>10}"
        if each.fastest:
            milliseconds = 1e3 * statistics.median(each.seconds[each.fastest])
            row += f"  {each.fastest:<20}{digits(milliseconds):>9}"
            row += f"{each.ratios[each.fastest]:>7.2f}"
        elif against:
            row += f"  {'none':<20}{'-':>9}{'-':>7}"
        rows.append(row)
    ratios = [each.ratios[each.fastest] for each in results if each.fastest]
    if ratios:
        below = sum(ratio < 1 for ratio in ratios)
        mean = statistics.geometric_mean(ratios)
        rows.append(f"ratio: geometric mean {mean:.2f}; below 1 in {below} of {len(ratios)}")
    return "\n".join(rows)


def footnotes(results: Sequence[Result], load: Load) -> list[str]:
    """Say below the table of which rows peers have no figure, and what the machine did beside."""
    absent = [f"  {peers}: {rows}: {reason}" for peers, rows, reason in absences(results)]
    lines = ["rows of which a peer has no figure, and why:", *absent] if absent else []
    reasons = [why for why in doubts(results) if why]
    if reasons:
        counts = Counter(each for why in reasons for each in why)
        told = "; ".join(f"{each} ({counts[each]})" for each in REASONS if counts[each])
        lines.append(f"{MARK} {len(reasons)} of {len(results)} are uncertain: {told}")
    slowed = sum(UNEVEN_FMA in why or SLOW_FMA in why for why in reasons)
    if load.is_busy:
        lines.append(
            f"the machine was busy: beside the benchmark {load.others:.1f} threads of others ran "
            f"or wanted to, on the mean (load average {load.before:.1f} before, {load.after:.1f} "
            "after), and all figures may be too slow"
        )
    elif slowed:
        beside = "1 row" if slowed == 1 else f"{slowed} rows"
        lines.append(f"the machine was busy or slowed down: so say multiply-adds beside {beside}")
    return [
        line
        for each in lines
        for line in wrap(each, LINE, subsequent_indent="    ", break_on_hyphens=False)
    ]


def absences(results: Sequence[Result]) -> list[tuple[str, str, str]]:
    """Peers, of which rows they have no figure, and why."""
    rows: dict[tuple[str, str], list[str]] = {}
    for each in results:
        for name, reason in each.left_out.items():
            rows.setdefault((name, reason), []).append(each.operation.title)
    peers: dict[tuple[str, ...], list[str]] = {}
    for (name, reason), titles in rows.items():
        peers.setdefault((reason, *titles), []).append(name)
    everyone = [each.operation.title for each in results]
    return [
        (", ".join(names), some_of(titles, everyone), reason)
        for (reason, *titles), names in peers.items()
    ]


def some_of(titles: Sequence[str], everyone: Sequence[str]) -> str:
    """Say which rows these are: of three and more that follow each other the first and the last."""
    if len(titles) == len(everyone):
        return "any row"
    places = [everyone.index(title) for title in titles]
    said = []
    for _, group in groupby(enumerate(places), lambda each: each[1] - each[0]):
        run = [everyone[place] for _, place in group]
        said += [f"{run[0]} .. {run[-1]}"] if len(run) > 2 else run
    return ", ".join(said)


def format_sweeps(results: Sequence[Swept]) -> str:
    """Set sweeps as a table: of each the cliffs, deepest first, or else what loses most."""
    cases = [case for each in results for case in each.cases]
    width = max(len(case.layer.text) for case in cases) + 2
    row_width = max(len(case.row) for case in cases) + 1
    title = f"  {'':{width}}{'row':{row_width}}{'ms':>7}{'GFLOP/s':>9}{'of FMA':>8}{'loss':>7}"
    lines = [f"{title}  law: than"]
    for each in results:
        fractions = each.fractions
        extent = f"{min(fractions):.0%} to {max(fractions):.0%} of FMA"
        lines.append(f"{each.sweep.name}, {each.dtype}: {len(each.cases)} cases, {extent}")
        table = zip(each.losses, each.cases, fractions, strict=True)
        found = [(loss, case, fraction) for loss, case, fraction in table if loss]
        found.sort(key=lambda entry: entry[0].factor, reverse=True)
        for loss, case, fraction in [e for e in found if e[0].factor > each.sweep.steep] or found[
            :1
        ]:
            than = each.cases[loss.than]
            line = f"  {case.layer.text:{width}}{case.row:{row_width}}"
            line += f"{digits(1e3 * case.least):>7}{digits(case.flop_rate / 1e9):>9}"
            line += f"{fraction:>8.1%}{loss.factor:>7.2f}  {loss.law}: {than.layer.text}"
            lines.append(line if than.row == case.row else f"{line}, {than.row}")
    return "\n".join(lines)


def draw(results: Sequence[Sequence[Result]], title: str) -> Figure:
    """Draw bars for each layer or filter, beside each other for each number of threads.

    They are the ratios to the fastest peer, or without peers the fractions of the bound.  Rows of
    which no peer has a figure are left to a footnote.
    """
    from matplotlib.figure import Figure

    against = any(each.fastest for group in results for each in group)
    rows = list(range(len(results[0])))
    if against:
        rows = [row for row in rows if any(group[row].fastest for group in results)]
    names = [results[0][row].operation.title for row in rows]
    notes = notes_of(results, rows)
    width = 2.2 + 4.6 * len(results)
    chart = Figure((width, 0.3 * len(names) + 2.1 + 0.2 * len(notes)), layout="constrained")
    grid = chart.subplots(1, len(results), sharex=True, sharey=True, squeeze=False)[0]
    for axes, group in zip(grid, results, strict=True):
        marks = [f" {MARK}" if why else "" for why in doubts(group)]
        shown = [(group[row], marks[row]) for row in rows]
        (draw_ratios if against else draw_fractions)(axes, shown)
        axes.set_title(team_name(group[0].n_threads), loc="left")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    grid[0].set_yticks(range(len(names)), names)
    grid[0].set_ylim(len(names) - 0.4, -0.6)
    if against:
        ratios = [each.ratios[each.fastest] for group in results for each in group if each.fastest]
        grid[0].set_xscale("log", base=2)
        grid[0].set_xlim(min(0.9, *ratios) / 1.1, max(1.1, *ratios))
        grid[0].xaxis.set_major_formatter("{x:.3g}")
    make_room(chart, grid[0])
    lines = wrap(title, int(12 * width), break_on_hyphens=False)
    chart.suptitle("\n".join(lines), x=0.01, ha="left", fontsize="medium")
    chart.supxlabel("\n".join(notes), x=0.01, ha="left", fontsize="small")
    return chart


def notes_of(results: Sequence[Sequence[Result]], rows: Sequence[int]) -> list[str]:
    """What stands below a chart that shows some of the rows."""
    width = int(14 * (2.2 + 4.6 * len(results)))
    absent = [each.operation.title for i, each in enumerate(results[0]) if i not in rows]
    notes = [f"no peer has a figure of {', '.join(absent)}"] if absent else []
    if any(why for group in results for why in doubts(group)):
        notes.append(f"{MARK} uncertain: its rounds, or multiply-adds beside it, differ much")
    return [line for note in notes for line in wrap(note, width, break_on_hyphens=False)]


def make_room(chart: Figure, axes: Axes) -> None:
    """Widen the axis of x, which all panels share, so that no text beside a bar is cut."""
    from matplotlib.text import Annotation

    scale = axes.xaxis.get_transform()
    low, high = scale.transform(axes.get_xlim())
    chart.draw_without_rendering()
    for panel in chart.axes:
        for text in panel.findobj(Annotation):
            assert isinstance(text, Annotation)
            taken = (text.get_window_extent().width + 10) / panel.bbox.width
            bar = scale.transform([text.xy[0]])[0] - low
            high = max(high, low + bar / max(0.05, 1 - taken))
    axes.set_xlim(*scale.inverted().transform([low, high]))


def annotate(axes: Axes, place: int, right: float, text: str) -> None:
    clear = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # of the line behind it
    note = axes.annotate(
        text,
        (right, place),
        (4, 0),
        textcoords="offset points",
        va="center",
        fontsize="small",
        bbox=clear,
    )
    note.set_in_layout(False)  # which would make the axes narrower; `make_room` makes them longer


def draw_ratios(axes: Axes, results: Sequence[tuple[Result, str]]) -> None:
    for place, (each, mark) in enumerate(results):
        if each.fastest is None:
            annotate(axes, place, 1, "no peer has a figure")
            continue
        ratio = each.ratios[each.fastest]
        axes.barh(place, ratio - 1, 0.7, 1, color="tab:orange" if ratio >= 1 else "tab:gray")
        annotate(axes, place, max(ratio, 1), f"{ratio:.2f}{mark}  {each.fastest}")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel(
        "time of the fastest peer, in times of aotconv (logarithmic)\n"
        "\N{LEFTWARDS ARROW} peer faster   |   aotconv faster \N{RIGHTWARDS ARROW}"
    )


def draw_fractions(axes: Axes, results: Sequence[tuple[Result, str]]) -> None:
    colours = {"FMA": "tab:orange", "copy": "tab:blue"}
    bars = {}
    for place, (each, mark) in enumerate(results):
        bars[each.binding] = axes.barh(place, 100 * each.fraction, 0.7, color=colours[each.binding])
        annotate(axes, place, 100 * each.fraction, f"{each.fraction:.0%}{mark}")
    axes.axvline(100, color="black", linewidth=0.8)
    axes.set_xlabel("% of the bound")
    axes.legend(
        bars.values(),
        [{"FMA": "multiply-adds bind", "copy": "memory binds"}[name] for name in bars],
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        frameon=False,
        fontsize="small",
    )


def versions(peers: Iterable[Peer]) -> dict[str, str]:
    """Versions of the distributions that provide the peers' packages."""
    known = importlib.metadata.packages_distributions()
    names = {known[package][0] for peer in peers for package in peer.packages if package in known}
    return {name: importlib.metadata.version(name) for name in sorted(names)}
