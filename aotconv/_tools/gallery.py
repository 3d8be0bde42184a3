"""A photo under filters of `ndimage`: what each makes of it, and its time, beside that of other
libraries where they are installed.

matplotlib, SciPy and OpenCV are imported in the functions that need them.
"""

from __future__ import annotations

import itertools
import statistics
import textwrap
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import ndimage
from .digits import three_digits
from .errors import DisagreementError
from .features import QUIET

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array: TypeAlias = NDArray[np.float32]
Call: TypeAlias = Callable[[], Any]
# From the darkest to the lightest; zero is grey; or zero is black and both signs are light, since
# stripes of both signs average to grey where a picture is drawn smaller than it is.
Drawn: TypeAlias = Literal["levels", "signs", "sizes"]

OWN = "aotconv"
PEERS = ("scipy", "cv2")  # modules
COLOURS = {OWN: "#d9541e", "SciPy": "#4f6d8a", "OpenCV": "#9fb2c3"}
PER_ROW = 3  # filters: so wide that a page shows what is written
ROUNDS, SECONDS = 15, 0.25  # of each filter's race: at least so many turns, unless they take longer
SIGMA, SIZE = 4.0, 9
LARGEST_DIFFERENCE = 1e-4  # of results of a photo in [0, 1]
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: ITU-R BT.601's luma
EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)


class Filtered(NamedTuple):
    """What a filter makes of a photo, and the median seconds of each library that has it."""

    name: str
    arguments: str
    drawn: Drawn
    result: Array
    seconds: dict[str, float]


class Filter(NamedTuple):
    """A filter of `ndimage`, and what OpenCV calls it.

    Attributes
    ----------
    opencv : callable or None
        Of the module, the photo and an array for the result: one call of the same; None where it
        has no such.
    """

    name: str
    arguments: dict[str, Any]
    shown: str
    drawn: Drawn
    opencv: Callable[[Any, Array, Array], Any] | None


def _opencv_gaussian(cv2, photo, out):
    side = 2 * int(4 * SIGMA + 0.5) + 1
    return cv2.GaussianBlur(photo, (side, side), SIGMA, dst=out, borderType=cv2.BORDER_REFLECT)


def _opencv_sobel(cv2, photo, out):
    return cv2.Sobel(photo, cv2.CV_32F, 1, 0, dst=out, ksize=3, borderType=cv2.BORDER_REFLECT)


def _opencv_laplace(cv2, photo, out):
    return cv2.Laplacian(photo, cv2.CV_32F, dst=out, ksize=1, borderType=cv2.BORDER_REFLECT)


def _opencv_uniform(cv2, photo, out):
    return cv2.blur(photo, (SIZE, SIZE), dst=out, borderType=cv2.BORDER_REFLECT)


def _opencv_correlate(cv2, photo, out):
    return cv2.filter2D(photo, cv2.CV_32F, EMBOSS, dst=out, borderType=cv2.BORDER_REFLECT)


FILTERS = (
    Filter("gaussian_filter", {"sigma": SIGMA}, f"sigma {SIGMA:g}", "levels", _opencv_gaussian),
    Filter("uniform_filter", {"size": SIZE}, f"size {SIZE}", "levels", _opencv_uniform),
    Filter("correlate", {"weights": EMBOSS}, "3 x 3 weights", "levels", _opencv_correlate),
    Filter("sobel", {"axis": 1}, "axis 1", "signs", _opencv_sobel),
    Filter("laplace", {}, "both axes", "sizes", _opencv_laplace),
    Filter("gaussian_gradient_magnitude", {"sigma": 2.0}, "sigma 2", "levels", None),
)


def filtered(photo: Array, announce: Callable[[str], object] = lambda name: None) -> list[Filtered]:
    """Filter the grey of a photo (H, W, 3) by each of FILTERS, and time it beside other libraries.

    All of them compute in this process, on one thread, of and into arrays that are there, by turns.

    Parameters
    ----------
    announce : callable
        Called with the name of each filter before it starts.

    Raises
    ------
    DisagreementError
        If a library's result is another.
    """
    grey = np.ascontiguousarray(photo @ GREY)
    scipy, cv2 = _peer("scipy.ndimage"), _peer("cv2")
    found = []
    for name, arguments, shown, drawn, opencv in FILTERS:
        announce(name)
        own, results = getattr(ndimage, name), {each: np.empty_like(grey) for each in COLOURS}
        calls: dict[str, Call] = {
            OWN: lambda: own(grey, output=results[OWN], threads=1, **arguments)  # noqa: B023
        }
        if scipy is not None:
            theirs = getattr(scipy, name)
            calls["SciPy"] = lambda: theirs(grey, output=results["SciPy"], **arguments)  # noqa: B023
        if cv2 is not None and opencv is not None:
            calls["OpenCV"] = lambda: opencv(cv2, grey, results["OpenCV"])  # noqa: B023
        for library, call in calls.items():
            call()
            if not np.allclose(results[OWN], results[library], atol=LARGEST_DIFFERENCE):
                raise DisagreementError(f"{name}: not what {library} gives")
        found.append(Filtered(name, shown, drawn, results[OWN], race(calls)))
    return found


def _peer(module: str) -> Any:
    """A library's module, on one thread; None where it cannot be imported."""
    try:
        found = import_module(module)
    except ImportError:  # or a library that it needs is not
        return None
    if module == "cv2":
        found.setNumThreads(1)  # of SciPy's filters there is none but one
    return found


def race(calls: dict[str, Call]) -> dict[str, float]:
    """The median seconds of calls that were made before and now take turns, each behind each of
    the others as often, for these leave caches to it."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    orders = itertools.cycle(itertools.permutations(calls.items()))
    end = time.perf_counter() + SECONDS
    while min(map(len, seconds.values())) < ROUNDS or time.perf_counter() < end:
        for name, call in next(orders):
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def format_times(every: Sequence[Filtered]) -> str:
    """Set times as a table: a row for each filter, in milliseconds."""
    names = _libraries(every)
    rows = [f"{'milliseconds, one thread':34}" + "".join(f"{name:>12}" for name in names)]
    for each in every:
        times = (each.seconds.get(name) for name in names)
        texts = ("-" if one is None else three_digits(1e3 * one) for one in times)
        title = f"{each.name} {each.arguments}"
        rows.append(f"{title:34}" + "".join(f"{text:>12}" for text in texts))
    if any(len(each.seconds) < len(names) for each in every):
        rows.append("-: no such filter")
    return "\n".join(rows)


def _libraries(every: Sequence[Filtered]) -> list[str]:
    return list(dict.fromkeys(name for each in every for name in each.seconds))


def footnotes(every: Sequence[Filtered]) -> list[str]:
    """What a reader of the times asks: how they were measured, and what is left out and why."""
    libraries, size = _libraries(every), " x ".join(map(str, every[0].result.shape))
    notes = [f"{size} pixels, float32, one thread; medians of calls by turns"]
    notes[0] += "; SciPy sums in float64" * ("SciPy" in libraries)
    if absent := [name for name in COLOURS if name not in libraries]:
        notes.append(f"left out: {', '.join(absent)} (cannot be imported here)")
    return notes


def draw_gallery(photo: Array, every: Sequence[Filtered], notes: Sequence[str] = ()) -> Figure:
    """Draw a photo and what filters make of it in rows, below each its times, and footnotes with
    further notes."""
    from matplotlib.figure import Figure

    libraries = _libraries(every)
    rows = [every[start : start + PER_ROW] for start in range(0, len(every), PER_ROW)]
    aspect = min(max(photo.shape[1] / photo.shape[0], 0.5), 2)
    first, *others = footnotes(every)
    notes = [f"{first}; bars relative to the slowest of each filter", *others, *notes]
    lines = [line for note in notes for line in textwrap.wrap(note, 140)]
    # In inches: of a row, from below, bars, pictures, their names; below all rows the notes.
    width, gap, note, names = 9.4, 0.12, 0.12 + 0.18 * len(lines), 0.56
    side = (width - (PER_ROW + 2) * gap) / (PER_ROW + 1)
    tall, bars = side / aspect, 0.25 * len(libraries)
    row = bars + gap + tall + names
    height = note + len(rows) * row
    figure = Figure((width, height))

    def place(number: int, column: int, bottom: float, size: float):
        left, bottom = gap + column * (side + gap), height - (number + 1) * row + bottom
        return figure.add_axes(
            (left / width, bottom / height, side / width, size / height), frame_on=False
        )

    _picture(place(0, 0, bars + gap, tall), photo, {}, "the photo", "its grey is filtered")
    for number, some in enumerate(rows):
        _legend(place(number, 0, 0, bars), libraries)
        for column, each in enumerate(some, 1):
            shown = each.arguments + ", absolute values" * (each.drawn == "sizes")
            _picture(place(number, column, bars + gap, tall), *_greys(each), each.name, shown)
            _bars(place(number, column, 0, bars), each.seconds, libraries)
    at: dict[str, Any] = {"ha": "left", "va": "top", "linespacing": 1.4}
    text = "\n".join(lines)
    figure.text(gap / width, (note - 0.06) / height, text, size=9, color=QUIET, **at)
    return figure


def _greys(each: Filtered) -> tuple[Array, dict[str, Any]]:
    """What of a result is drawn, and how: robust, since a few highlights must not leave the rest
    dark."""
    if each.drawn == "levels":
        low, high = np.percentile(each.result, (0.5, 99.5)).tolist()
        return each.result, {"cmap": "gray", "vmin": low, "vmax": high if high > low else low + 1}
    sizes = np.abs(each.result)
    if each.drawn == "sizes":
        return sizes, {"cmap": "gray", "vmin": 0, "vmax": float(np.percentile(sizes, 99.5)) or 1}
    limit = float(np.percentile(sizes, 98)) or 1
    return each.result, {"cmap": "gray", "vmin": -limit, "vmax": limit}


def _picture(axes, picture: Array, how: dict[str, Any], name: str, arguments: str) -> None:
    axes.imshow(picture, aspect="auto", interpolation="antialiased", **how)
    axes.set_axis_off()
    at = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(name, xytext=(0, 21), size=10, **at)
    axes.annotate(arguments, xytext=(0, 7), size=9.5, color=QUIET, **at)


def _bars(axes, seconds: dict[str, float], libraries: Sequence[str]) -> None:
    longest = max(seconds.values())
    for place, name in enumerate(libraries):
        if name not in seconds:
            axes.text(0, place, "no such filter", va="center", size=9.5, color=QUIET)
            continue
        axes.barh(place, seconds[name], 0.72, color=COLOURS[name])
        axes.annotate(
            f"{three_digits(1e3 * seconds[name])} ms",
            (seconds[name], place),
            (5, -0.5),
            textcoords="offset points",
            va="center",
            size=9.5,
            weight="bold" if name == OWN else "normal",
        )
    axes.set(xlim=(0, 1.5 * longest), ylim=(len(libraries) - 0.5, -0.5))  # room for the text
    axes.set_axis_off()


def _legend(axes, libraries: Sequence[str]) -> None:
    """The libraries' names, at the left of all bars."""
    for place, name in enumerate(libraries):
        weight = "bold" if name == OWN else "normal"
        axes.text(0.98, place, name, ha="right", va="center", size=10, weight=weight)
    axes.set(xlim=(0, 1), ylim=(len(libraries) - 0.5, -0.5))
    axes.set_axis_off()
