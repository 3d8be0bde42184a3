"""The benchmark's report: tables, a chart, and what machine and libraries were measured."""

from __future__ import annotations

import importlib.metadata
import platform
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .digits import digits
from .operation import Operation
from .peers import Peer
from .race import Result
from .sweep import Swept

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
    title = f"{'':{width}}{'ms':>9}{'GFLOP/s':>9}{'of bound':>12}{'first ms':>10}"
    rows = [title + (f"  {'fastest peer':<20}{'ms':>9}{'ratio':>7}" if against else "")]
    for name, each in zip(names, results, strict=True):
        row = f"{name}{digits(1e3 * each.later):>9}"
        row += f"{digits(each.flop_rate / 1e9):>9}{each.fraction:>7.0%} {each.binding:<4}"
        row += f"{digits(1e3 * each.first):>10}"
        if each.fastest:
            milliseconds = 1e3 * statistics.median(each.seconds[each.fastest])
            row += f"  {each.fastest:<20}{digits(milliseconds):>9}"
            row += f"{each.ratios[each.fastest]:>7.2f}"
        rows.append(row)
    ratios = [each.ratios[each.fastest] for each in results if each.fastest]
    if ratios:
        below = sum(ratio < 1 for ratio in ratios)
        mean = statistics.geometric_mean(ratios)
        rows.append(f"ratio: geometric mean {mean:.2f}; below 1 in {below} of {len(ratios)}")
    reasons = Counter(item for each in results for item in each.left_out.items())
    for (name, reason), count in reasons.items():
        rows.append(f"{name} left out of {count} of {len(results)}: {reason}")
    return "\n".join(rows)


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

    They are the ratios to the fastest peer, or without peers the fractions of the bound.
    """
    from matplotlib.figure import Figure

    names = [each.operation.title for each in results[0]]
    chart = Figure((2.2 + 4.6 * len(results), 0.3 * len(names) + 1.9), layout="constrained")
    grid = chart.subplots(1, len(results), sharex=True, sharey=True, squeeze=False)[0]
    against = any(each.fastest for group in results for each in group)
    for axes, group in zip(grid, results, strict=True):
        (draw_ratios if against else draw_fractions)(axes, group)
        axes.set_title(team_name(group[0].n_threads), loc="left")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    if against:
        ratios = [each.ratios[each.fastest] for group in results for each in group if each.fastest]
        low, high = min(0.9, *ratios), max(1.1, *ratios)
        grid[0].set_xscale("log", base=2)
        grid[0].set_xlim(low / 1.1, high * (high / low) ** 0.6)  # room for names beside the bars
        grid[0].xaxis.set_major_formatter("{x:.3g}")
    grid[0].set_yticks(range(len(names)), names)
    grid[0].set_ylim(len(names) - 0.4, -0.6)
    chart.suptitle(title, x=0.01, ha="left", fontsize="medium")
    return chart


def annotate(axes: Axes, place: int, right: float, text: str) -> None:
    clear = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # of the line behind it
    axes.annotate(
        text,
        (right, place),
        (4, 0),
        textcoords="offset points",
        va="center",
        fontsize="small",
        bbox=clear,
    )


def draw_ratios(axes: Axes, results: Sequence[Result]) -> None:
    for place, each in enumerate(results):
        if each.fastest is None:
            continue
        ratio = each.ratios[each.fastest]
        axes.barh(place, ratio - 1, 0.7, 1, color="tab:orange" if ratio >= 1 else "tab:gray")
        annotate(axes, place, max(ratio, 1), f"{ratio:.2f}  {each.fastest}")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("time of the fastest peer, in times of aotconv (logarithmic)")


def draw_fractions(axes: Axes, results: Sequence[Result]) -> None:
    colours = {"FMA": "tab:orange", "copy": "tab:blue"}
    bars = {}
    for place, each in enumerate(results):
        bars[each.binding] = axes.barh(place, 100 * each.fraction, 0.7, color=colours[each.binding])
        annotate(axes, place, 100 * each.fraction, f"{each.fraction:.0%}")
    axes.axvline(100, color="black", linewidth=0.8)
    axes.set_xlim(0, 115)
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


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions(peers: Iterable[Peer]) -> dict[str, str]:
    """Versions of the distributions that provide the peers' packages."""
    known = importlib.metadata.packages_distributions()
    names = {known[package][0] for peer in peers for package in peer.packages if package in known}
    return {name: importlib.metadata.version(name) for name in sorted(names)}
