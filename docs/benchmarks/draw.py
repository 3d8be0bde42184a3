"""Draw the plots and tables of ``benchmarks.md`` from what ``aotconv bench --json`` wrote.

python docs/benchmarks/draw.py
"""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aotconv._tools.digits import digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
LEVELS = "x86-64-v4", "x86-64-v3"  # with a folder each
MEASURED = ("networks", 1), ("networks", 2), ("wide", 1)  # boards, and on how many threads
# Headings of a board's layers and filters, whose names begin so.
GROUPS = {
    "networks": {
        "The demo's race": ("seed",),
        "ResNet-50": ("r50",),
        "VGG-16": ("vgg",),
        "MobileNets": ("mb",),
        "Images": ("img", "tiny"),
    },
    "wide": {
        "Filters of images": (
            *("correlate_3x3", "correlate_9x9", "correlate_5x5", "gaussian"),
            *("sobel", "uniform", "laplace"),
        ),
        "Volumes and signals": ("volume_gaussian", "volume_correlate", "signal_48"),
        'Large, by "fastest"': ("correlate_31x31", "correlate_95x95", "signal_3001"),
        "Gray images, layers": ("gray",),
        "Lines and volumes, layers": ("line", "volume_3", "volume_5"),
        "Transposed layers": ("up",),
        "Gradients": ("images_gradient", "filters_gradient"),
        "Pools": ("max_pool", "average_pool"),
        "Bytes and halves": ("bytes", "halves"),
        "Depthwise layers": ("dw",),
    },
}
PEERS = {
    "torch": "PyTorch",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "litert": "LiteRT",
    "opencv": "OpenCV",
    "scipy": "SciPy",
}
OURS, THEIRS, MEMORY = "#0b5c8f", "#c25a12", "#f2b47e"
LEFT, MIDDLE, RIGHT = 1.62, 1.92, 0.96  # inches of names, bars, and what stands beside them
ROW, TOP, BOTTOM = 0.19, 0.28, 0.46


class Row(NamedTuple):
    """A layer or a filter, as it was measured.

    Attributes
    ----------
    group, name, text : str
    milliseconds, first : float
        Of a later call and of the first.
    rate : float
        GFLOP/s.
    fraction : float
        Of the bound.
    binding : str
        The bound: "FMA" or "copy".
    ratios : dict
        Each library's time, in its fastest variant, in times of aotconv's.
    """

    group: str
    name: str
    text: str
    milliseconds: float
    first: float
    rate: float
    fraction: float
    binding: str
    ratios: dict[str, float]

    @property
    def fastest(self) -> str:
        return min(self.ratios, key=self.ratios.__getitem__, default="")

    @property
    def ratio(self) -> float:
        """Time of the fastest peer, in times of aotconv's."""
        return self.ratios[self.fastest]


def read(level: str, board: str) -> dict[str, Any]:
    return json.loads((HERE / level / f"{board}.json").read_text())


def group_of(board: str, name: str) -> str:
    return next(group for group, starts in GROUPS[board].items() if name.startswith(starts))


def rows(level: str, board: str, n_threads: int) -> list[Row]:
    """What was measured of a board on a number of threads."""
    found = []
    for each in read(level, board)["results"]:
        if each["n_threads"] != n_threads:
            continue
        ratios: dict[str, float] = {}
        for contender, ratio in each["ratios"].items():
            peer = PEERS[contender.partition(" ")[0]]
            ratios[peer] = min(ratio, ratios.get(peer, ratio))
        name = each["operation"]["name"]
        found.append(
            Row(
                group_of(board, name),
                name,
                each["operation"]["text"],
                1e3 * each["later"],
                1e3 * each["first"],
                each["flop_rate"] / 1e9,
                each["fraction"],
                each["binding"],
                ratios,
            )
        )
    return found


# --- plots -----------------------------------------------------------------------------------


def chart(table: list[Row]) -> tuple[Figure, Axes, list[float]]:
    """A figure with names under their groups' headings; axes for bars; and where these stand."""
    from matplotlib.figure import Figure

    groups = list(dict.fromkeys(each.group for each in table))
    places = [place + 1.15 * (1 + groups.index(row.group)) for place, row in enumerate(table)]
    extent = places[-1] + 1
    width, height = LEFT + MIDDLE + RIGHT, ROW * extent + TOP + BOTTOM
    figure = Figure((width, height), facecolor="white")
    axes = figure.add_axes(
        (LEFT / width, BOTTOM / height, MIDDLE / width, ROW * extent / height), facecolor="white"
    )
    axes.set_ylim(extent - 0.4, -0.4)
    axes.set_yticks([])
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    seen = set()
    for place, row in zip(places, table, strict=True):
        axes.axhline(place, color="#dddddd", linewidth=0.5, zorder=0)  # leads the eye
        beside(axes, -LEFT + 0.06, place, row.name)
        if row.group not in seen:
            beside(axes, -LEFT + 0.06, place - 1, row.group, weight="bold")
            seen.add(row.group)
    return figure, axes, places


def beside(axes: Axes, inches: float, place: float, text: str, **style: Any) -> None:
    """Write a text so many inches from where the bars' axes begin."""
    place_of = axes.get_yaxis_transform()
    axes.text(inches / MIDDLE, place, text, transform=place_of, va="center", size=8, **style)


def write(axes: Axes, place: float, right: float, text: str) -> None:
    """Write a value behind a bar."""
    axes.annotate(
        text,
        (right, place),
        (3, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4},  # of lines behind it
    )


def draw_ratios(table: list[Row]) -> Figure:
    """Bars of the fastest peer's time in times of aotconv's, left and right of 1."""
    raced = [row for row in table if row.ratios]
    figure, axes, places = chart(raced)
    low, high = (bound(row.ratio for row in raced) for bound in (min, max))
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(0.72, low / 1.1), 1.0 * max(high, 2.5) ** 1.32)
    ticks = [tick for tick in (0.5, 1, 2, 4, 8, 16) if low / 1.2 < tick < 1.2 * high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    for place, row in zip(places, raced, strict=True):
        axes.barh(place, row.ratio - 1, 0.72, 1, color=OURS if row.ratio >= 1 else THEIRS)
        write(axes, place, max(row.ratio, 1), f"{row.ratio:.2f}")
        beside(axes, MIDDLE + 0.06, place, row.fastest)
    axes.axvline(1, color="black", linewidth=0.8, zorder=1.5)
    for text, ha, color in (
        ("← peer faster ", "right", THEIRS),
        (" aotconv faster →", "left", OURS),
    ):
        axes.text(1, -0.72, text, ha=ha, va="center", color=color, size=8, weight="bold")
    beside(axes, MIDDLE + 0.06, -0.72, "fastest peer", weight="bold")
    axes.set_xlabel("fastest peer's time / aotconv's time (logarithmic)", size=8)
    return figure


def draw_bounds(table: list[Row]) -> Figure:
    """Bars of what each reaches of the machine's rate, which end with the axes."""
    figure, axes, places = chart(table)
    end = 1.3
    axes.set_xlim(0, end + 0.42)
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    styles = {
        "FMA": {"color": OURS, "label": "of its multiply-adds"},
        "copy": {
            "facecolor": MEMORY,
            "edgecolor": THEIRS,
            "hatch": "////",
            "label": "of its copies",
        },
    }
    bars = {}
    for place, row in zip(places, table, strict=True):
        style = styles[row.binding]
        bar = axes.barh(place, min(row.fraction, end), 0.72, linewidth=0.5, zorder=1, **style)
        bars.setdefault(row.binding, bar)
        write(axes, place, min(row.fraction, end), f"{100 * row.fraction:,.0f} %")
        beside(axes, MIDDLE + RIGHT - 0.1, place, f"{digits(row.milliseconds)} ms", ha="right")
    axes.axvline(1, color="black", linewidth=0.8, zorder=1.5)
    axes.legend(
        handles=list(bars.values()),
        loc="lower right",
        bbox_to_anchor=(1 + (RIGHT - 0.06) / MIDDLE, 1),
        ncols=2,
        frameon=False,
        fontsize=8,
        handlelength=1.4,
        columnspacing=1,
        borderaxespad=0,
    )
    axes.set_xlabel("of what the machine can do at best", size=8)
    return figure


# --- files -----------------------------------------------------------------------------------


def write_table(path: Path, table: list[Row]) -> None:
    """All rows, for who cannot see the plots or wants to know more."""
    titles = ["name", "what", "ms", "first ms", "GFLOP/s", "of the bound", "fastest peer", "ratio"]
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(titles)
        for row in table:
            figures = [digits(each) for each in (row.milliseconds, row.first, row.rate)]
            bound = f"{row.fraction:.0%} {row.binding}"
            peer = [row.fastest, f"{row.ratio:.2f}"] if row.ratios else ["none", ""]
            lines.writerow([row.name, row.text, *figures, bound, *peer])


def draw(folder: Path) -> None:
    """Write all plots and tables into a folder."""
    from matplotlib import rc_context

    for level, (board, n_threads) in itertools.product(LEVELS, MEASURED):
        table, name = rows(level, board, n_threads), f"{board}_{n_threads}"
        target = folder / level
        target.mkdir(parents=True, exist_ok=True)
        write_table(target / f"{name}.csv", table)
        figures = {"ratios": draw_ratios(table)}
        if n_threads == 1:
            figures["bounds"] = draw_bounds(table)
        with rc_context({"svg.hashsalt": name, "hatch.linewidth": 0.6}):  # the same bytes again
            for kind, figure in figures.items():
                figure.savefig(target / f"{name}_{kind}.svg", metadata={"Date": None})


if __name__ == "__main__":
    draw(HERE)
