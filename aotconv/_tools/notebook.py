"""The race of the notebook "Speeding up Convolution": its versions, numba, Keras and aotconv.

Each contender runs in a process of its own, which imports this module and should load nothing else:
matplotlib is imported in the function that draws.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

import aotconv

from .. import reference
from .digits import three_digits
from .errors import DisagreementError
from .features import QUIET
from .process import new_process

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array: TypeAlias = NDArray[np.float32]
Convolution: TypeAlias = Callable[[Array], Array]

IMAGE_SHAPE, FILTER_SHAPE, STRIDES = (32, 28, 28, 3), (4, 4, 3, 4), (1, 1)  # the notebook's


OWN = "aotconv"
OURS, OTHERS = "tab:orange", "tab:blue"  # colours of aotconv, and of all others


class Timing(NamedTuple):
    """Seconds of the first call and of a later one (the median), what was computed, and the
    versions of the packages that computed it."""

    first: float
    later: float
    output: Array
    versions: dict[str, str]


Results: TypeAlias = "dict[str, Timing | str]"  # a str says why there is no timing


def v1(filters: Array, biases: Array) -> Convolution:
    return lambda images: reference.filter_images_v1(images, filters, biases, STRIDES)


def v2(filters: Array, biases: Array) -> Convolution:
    return lambda images: reference.filter_images_v2(images, filters, biases, STRIDES)


def v3(filters: Array, biases: Array) -> Convolution:
    return lambda images: reference.filter_images_v3(images, filters, biases, STRIDES)


def v3_numba(filters: Array, biases: Array) -> Convolution:
    import numba

    # No cache=True: nothing compiled by an earlier run can shorten the first call.
    compiled = numba.njit(reference.filter_images_v3)
    return lambda images: compiled(images, filters, biases, STRIDES)


def aotconv_conv2d(filters: Array, biases: Array) -> Convolution:
    return lambda images: aotconv.conv2d(images, filters, biases, STRIDES)


def keras_conv2d(filters: Array, biases: Array) -> Convolution:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow talks over the progress bar
    import keras

    layer = keras.layers.Conv2D(biases.size, filters.shape[:2], STRIDES, padding="valid")
    layer.build((None, None, None, filters.shape[2]))
    layer.set_weights([filters, biases])
    return lambda images: keras.ops.convert_to_numpy(layer(images))


BASELINE = "v3, plain Python"
CONTENDERS: dict[str, Callable[[Array, Array], Convolution]] = {
    "v1, one image at a time": v1,
    "v2, batched NumPy": v2,
    BASELINE: v3,
    "v3, numba.jit": v3_numba,
    OWN: aotconv_conv2d,
    "Keras Conv2D": keras_conv2d,
}
OPTIONAL = {"v3, numba.jit", "Keras Conv2D"}  # they need what aotconv does not
PACKAGES = ("numba", "keras", "tensorflow", "torch", "jax")  # what they compute with


def loaded(packages: Sequence[str]) -> dict[str, str]:
    """Versions of NumPy and of those packages that this process has imported."""
    every = ("numpy", *packages)
    return {name: sys.modules[name].__version__ for name in every if name in sys.modules}


def measure(
    make: Callable[[Array, Array], Convolution],
    images: Array,
    filters: Array,
    biases: Array,
    calls: int,
    seconds: float,
) -> Timing:
    """Time a contender: the first call, then at least ``calls`` more and for ``seconds``."""

    def timed() -> tuple[float, Array]:
        start = time.perf_counter()
        output = convolve(images)
        return time.perf_counter() - start, output

    convolve = make(filters, biases)
    first, output = timed()
    later: list[float] = []
    while len(later) < calls or sum(later) < seconds:
        elapsed, output = timed()
        later.append(elapsed)
    return Timing(first, statistics.median(later), output, loaded(PACKAGES))


def compare(
    image_shape: Sequence[int] = IMAGE_SHAPE,
    filter_shape: Sequence[int] = FILTER_SHAPE,
    *,
    calls: int = 3,
    seconds: float = 0.5,
    announce: Callable[[str], object] = lambda name: None,
) -> Results:
    """Time the contenders on the same random arrays and check that they agree.

    Each runs in a new process, so its first call finds nothing warm; imports are not timed.

    Parameters
    ----------
    image_shape, filter_shape : sequence of int
        Shapes (N, H, W, C) and (KH, KW, C, O); those of the notebook by default.
    calls, seconds : int, float
        The later calls go on until there are that many and they took that long.
    announce : callable
        Called with the name of each contender before it starts.

    Returns
    -------
    dict
        For each name its `Timing`, or a str that says why there is none.

    Raises
    ------
    DisagreementError
        If an output differs from that of plain v3 by ``np.isclose(atol=1e-6)``.
    """
    rng = np.random.default_rng(0)
    # As Keras draws them in the notebook: glorot_uniform filters, he_uniform biases.
    *window, n_channels, n_filters = filter_shape
    limit = math.sqrt(6 / (math.prod(window) * (n_channels + n_filters)))
    images = rng.standard_normal(image_shape, np.float32)
    filters = rng.uniform(-limit, limit, filter_shape).astype(np.float32)
    biases = rng.uniform(-1, 1, n_filters).astype(np.float32) * np.float32(math.sqrt(6 / n_filters))

    results: Results = {}
    for name, make in CONTENDERS.items():
        announce(name)
        try:
            with new_process() as run:
                results[name] = run(name, measure, make, images, filters, biases, calls, seconds)
        except Exception as error:  # a broken installation of a peer may raise anything
            if name not in OPTIONAL:
                raise
            if isinstance(error, ModuleNotFoundError):
                results[name] = f"{error.name} is not installed"
            else:
                results[name] = f"failed: {type(error).__name__}"
    check_agreement({name: t.output for name, t in results.items() if isinstance(t, Timing)})
    return results


def check_agreement(outputs: dict[str, Array]) -> None:
    expected = outputs[BASELINE]
    wrong = [
        name
        for name, output in outputs.items()
        if output.shape != expected.shape or not np.isclose(output, expected, atol=1e-6).all()
    ]
    if wrong:
        raise DisagreementError(
            f"not the result of {BASELINE!r} by np.isclose(atol=1e-6): {', '.join(wrong)}"
        )


def milliseconds(seconds: float) -> str:
    return f"{three_digits(1e3 * seconds)} ms"


def speed_up(results: Results, timing: Timing) -> str:
    """Compare the later calls of a contender with those of plain v3."""
    baseline = results[BASELINE]
    assert isinstance(baseline, Timing)
    return f"{three_digits(baseline.later / timing.later)} x"


def ranked(results: Results) -> dict[str, Timing]:
    """The contenders that were timed, the fastest of the later calls first."""
    timings = {name: each for name, each in results.items() if isinstance(each, Timing)}
    return dict(sorted(timings.items(), key=lambda item: item[1].later))


def footnotes(results: Results) -> list[str]:
    """What a reader of the times asks: what they are, and which contenders are left out and why."""
    notes = [
        "first call: in a new process, imports not counted; later calls: their median",
        f"speed-up: of later calls, over {BASELINE}",
    ]
    reasons = [f"{name} ({why})" for name, why in results.items() if isinstance(why, str)]
    return [*notes, f"left out: {'; '.join(reasons)}"] if reasons else notes


def versions(results: Results) -> dict[str, str]:
    """Versions of the packages that the contenders computed with."""
    return {name: text for each in ranked(results).values() for name, text in each.versions.items()}


def format_table(results: Results) -> str:
    """Set the results of `compare` as a table: a row for each contender that was timed."""
    width = max(24, *(len(name) + 2 for name in results))
    rows = [f"{'':{width}}{'first call':>12}{'later calls':>14}{'speed-up':>14}"]
    for name, timing in ranked(results).items():
        first, later = milliseconds(timing.first), milliseconds(timing.later)
        rows.append(f"{name:{width}}{first:>12}{later:>14}{speed_up(results, timing):>14}")
    return "\n".join(rows)


def draw_comparison(results: Results, title: str, notes: Sequence[str] = ()) -> Figure:
    """Draw the results of `compare` as horizontal bars on a logarithmic scale, above notes.

    The bars have one size, and what is written stands around them: save it with
    ``bbox_inches="tight"``, which makes room for texts of any length.
    """
    from matplotlib.figure import Figure

    timings = ranked(results)
    start = 250 * min(t.later for t in timings.values())
    end = 1.5e3 * max(max(t.first, t.later) for t in timings.values())
    width, height = 6.0, 0.5 * len(timings)  # inches
    figure = Figure((width, height))
    axes = figure.add_axes((0, 0, 1, 1), xscale="log", xlim=(start, end))
    for place, (name, timing) in enumerate(timings.items()):
        axes.barh(place, 1e3 * timing.later, 0.6, color=OURS if name == OWN else OTHERS)
        axes.plot(1e3 * timing.first, place, "kd", markersize=5)
        right = max(timing.first, timing.later)
        text = f"first {milliseconds(timing.first)}, then {milliseconds(timing.later)}"
        text += f" ({speed_up(results, timing)})"
        axes.annotate(text, (1e3 * right, place), (8, 0), textcoords="offset points", va="center")
    axes.set_ylim(len(timings) - 0.5, -0.5)
    axes.set_yticks(range(len(timings)), list(timings))
    for label, name in zip(axes.get_yticklabels(), timings, strict=True):
        label.set_fontweight("bold" if name == OWN else "normal")
    axes.set_title(title, fontsize="medium", loc="left", pad=28)
    axes.set_xlabel("milliseconds a call, logarithmic")
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.spines[["top", "right"]].set_visible(False)
    _legend(axes)
    lines = [line for note in notes for line in textwrap.wrap(note, 100)]
    at: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    axes.annotate("\n".join(lines), (0, 0), (0, -48), size=8.5, color=QUIET, **at)
    return figure


def _legend(axes) -> None:
    """What the colours and the mark are, above the bars."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(color=OURS, label="aotconv, later calls"),
        Patch(color=OTHERS, label="the others, later calls"),
        Line2D([], [], color="k", marker="d", ls="", ms=5, label="first call"),
    ]
    at: dict[str, Any] = {
        "loc": "lower left",
        "bbox_to_anchor": (0, 1),
        "borderaxespad": 0.4,
        "borderpad": 0,
    }
    axes.legend(handles=handles, ncols=3, frameon=False, fontsize="small", **at)
