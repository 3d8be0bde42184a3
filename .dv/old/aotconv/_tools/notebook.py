"""The race of the notebook "Speeding up Convolution": its versions, numba, Keras and aotconv.

Each contender runs in a process of its own, which imports this module and should load nothing else:
matplotlib is imported in the function that draws.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

import aotconv

from .. import reference
from .digits import three_digits
from .errors import DisagreementError
from .process import new_process

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array: TypeAlias = NDArray[np.float32]
Convolution: TypeAlias = Callable[[Array], Array]

IMAGE_SHAPE, FILTER_SHAPE, STRIDES = (32, 28, 28, 3), (4, 4, 3, 4), (1, 1)  # the notebook's


class Timing(NamedTuple):
    """Seconds of the first call and of a later one (the median), and what was computed."""

    first: float
    later: float
    output: Array


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
    "aotconv": aotconv_conv2d,
    "Keras Conv2D": keras_conv2d,
}
OPTIONAL = {"v3, numba.jit", "Keras Conv2D"}  # they need what aotconv does not


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
    return Timing(first, statistics.median(later), output)


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


def format_table(results: Results) -> str:
    """Set the results of `compare` as a table: a row for each contender."""
    rows = [f"{'':24}{'first call':>12}{'later calls':>14}{'speed-up':>14}"]
    for name, result in results.items():
        if isinstance(result, Timing):
            first, later = milliseconds(result.first), milliseconds(result.later)
            rows.append(f"{name:24}{first:>12}{later:>14}{speed_up(results, result):>14}")
        else:
            rows.append(f"{name:24}{result:>12}")
    return "\n".join(rows)


def draw_comparison(results: Results, title: str) -> Figure:
    """Draw the results of `compare` as horizontal bars on a logarithmic scale."""
    from matplotlib.figure import Figure

    timings = [result for result in results.values() if isinstance(result, Timing)]
    start = 250 * min(t.later for t in timings)
    end = 1.5e3 * max(max(t.first, t.later) for t in timings)
    figure = Figure((9, 0.5 * len(results) + 1.5), layout="constrained")
    axes = figure.add_subplot(xscale="log", xlim=(start, end), ylim=(len(results) - 0.5, -0.5))
    for place, (name, result) in enumerate(results.items()):
        if isinstance(result, Timing):
            colour = "tab:orange" if name == "aotconv" else "tab:blue"
            bar = axes.barh(place, 1e3 * result.later, 0.6, color=colour)
            (mark,) = axes.plot(1e3 * result.first, place, "kd", markersize=5)
            if name == BASELINE:
                axes.legend(
                    [bar, mark],
                    ["later calls (median)", "first call in a new process"],
                    loc="lower left",
                    bbox_to_anchor=(0, 1),
                    ncols=2,
                    frameon=False,
                )
            right = max(result.first, result.later)
            text = f"first {milliseconds(result.first)}, then {milliseconds(result.later)}"
            text += f" ({speed_up(results, result)})"
        else:
            text, right = result, start / 1e3
        axes.annotate(text, (1e3 * right, place), (8, 0), textcoords="offset points", va="center")
    axes.set_title(title, fontsize="medium", loc="left", pad=24)
    axes.set_xlabel("milliseconds a call, logarithmic")
    axes.set_yticks(range(len(results)), list(results))
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
