"""The demo: feature maps of a photo, and the race of the notebook "Speeding up Convolution".

matplotlib, Pillow and tqdm are imported in the functions that need them: each contender of the
race runs in a process of its own, which imports this module and should load nothing else.
"""

from __future__ import annotations

import importlib.util
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

import aotconv

from . import reference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "DemoError",
    "DisagreementError",
    "Timing",
    "compare",
    "draw_comparison",
    "draw_features",
    "feature_maps",
    "filter_bank",
    "load_photo",
    "run",
]

Array: TypeAlias = NDArray[np.float32]
Convolution: TypeAlias = Callable[[Array], Array]

LONGEST_SIDE = 1024  # of the photo, in pixels: bounds memory and time, and no map is drawn larger
IMAGE_SHAPE, FILTER_SHAPE, STRIDES = (32, 28, 28, 3), (4, 4, 3, 4), (1, 1)  # the notebook's


class DemoError(Exception):
    """What the user can mend; ``status`` is the exit status of the command."""

    status = 2


class DisagreementError(DemoError):
    """The convolutions that were compared do not agree."""

    status = 1


def load_photo(path: str | None = None) -> Array:
    """Read a picture as float32 RGB in [0, 1], shape (H, W, 3).

    Parameters
    ----------
    path : str, optional
        Any picture that Pillow reads; the sample photo that ships inside matplotlib if omitted.
        A picture with a side above 1024 pixels is scaled down to that.
    """
    from matplotlib.cbook import get_sample_data
    from PIL import Image, ImageOps, UnidentifiedImageError

    if path is None:
        path = str(get_sample_data("grace_hopper.jpg", asfileobj=False))
    try:
        with Image.open(path) as picture:
            picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            upright = ImageOps.exif_transpose(picture)
        if upright.mode[0] in "IF":  # convert() would clip such deep grey levels at 255
            levels = np.nan_to_num(np.asarray(upright, np.float32))
            levels -= levels.min()
            upright = Image.fromarray((levels * (255 / (levels.max() or 1))).astype(np.uint8))
        return np.asarray(upright.convert("RGB"), np.float32) / np.float32(255)
    except UnidentifiedImageError:
        raise DemoError(f"cannot read the picture {path!r}: not an image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DemoError(f"cannot read the picture {path!r}: {reason}") from None


def filter_bank() -> tuple[list[str], Array]:
    """Build a dozen filters of 7 x 7 RGB pixels.

    With x to the right, y down, u = x cos(a) + y sin(a) and g a Gaussian, they are:

    - blur: g with a standard deviation of 2 pixels;
    - edge at a = 0, 45, 90, 135 degrees: u g, the first derivative along u (Sobel, but smooth);
    - Laplacian: (2 - r^2) g, the negative Laplacian of a Gaussian;
    - Gabor at a = 0, 60, 120 degrees: cos(2 pi u / 4) g, a wave of 4 pixels under a Gaussian;
    - emboss: the pixel itself plus the slope towards the lower right;
    - red - green and blue - yellow: g on differences of the colour channels.

    All but the last two weigh the three colours equally.  All but blur and emboss sum to zero, so
    they do not respond to an even area, and are scaled to an absolute sum of 1.

    Returns
    -------
    names : list of str
    filters : ndarray of float32, shape (7, 7, 3, 12)
    """
    y, x = np.mgrid[-3:4, -3:4].astype(np.float64)
    r2 = x**2 + y**2

    def gauss(sigma: float) -> NDArray[np.float64]:
        return np.exp(-r2 / (2 * sigma**2))

    def along(degrees: float) -> NDArray[np.float64]:
        return x * math.cos(math.radians(degrees)) + y * math.sin(math.radians(degrees))

    def balanced(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
        kernel = kernel - kernel.mean()
        return kernel / np.abs(kernel).sum()

    blur = gauss(2) / gauss(2).sum()
    grey, red_green, blue_yellow = np.array([(1, 1, 1), (1.5, -1.5, 0), (-0.75, -0.75, 1.5)]) / 3
    bank = {"blur": (blur, grey)}
    for degrees in (0, 45, 90, 135):
        bank[f"edge {degrees}°"] = balanced(along(degrees) * gauss(1.2)), grey
    bank["Laplacian"] = balanced((2 - r2) * gauss(1)), grey
    for degrees in (0, 60, 120):
        wave = np.cos(2 * np.pi * along(degrees) / 4)
        bank[f"Gabor {degrees}°"] = balanced(wave * gauss(1.7)), grey
    bank["emboss"] = (r2 == 0) + 8 * balanced(along(45) * gauss(0.8)), grey
    bank["red - green"] = blur, red_green
    bank["blue - yellow"] = blur, blue_yellow
    filters = np.stack([kernel[:, :, None] * colour for kernel, colour in bank.values()], axis=-1)
    return list(bank), filters.astype(np.float32)


def feature_maps(photo: Array, filters: Array) -> Array:
    """Filter a photo (H, W, 3) with filters (KH, KW, 3, O) in one call; return (H, W, O)."""
    # Mid-grey becomes zero, so the zeros of the padding do not frame the photo in black.
    return aotconv.conv2d(photo[np.newaxis] - np.float32(0.5), filters, padding="same")[0]


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
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                task = process.submit(measure, make, images, filters, biases, calls, seconds)
                results[name] = task.result()
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


def three_digits(value: float) -> str:
    """Format with three significant digits or more, but never an exponent."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{decimals}f}"


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


def draw_features(photo: Array, names: Sequence[str], maps: Array) -> Figure:
    """Draw a photo at the left and its feature maps beside it, in three rows."""
    from matplotlib.figure import Figure

    rows, columns = 3, math.ceil(len(names) / 3)
    aspect = min(max(photo.shape[1] / photo.shape[0], 0.5), 2)
    width = 16.0
    height = width / aspect * rows / (rows + columns)
    figure = Figure((width, height), layout="constrained")
    grid = figure.add_gridspec(rows, rows + columns)
    left = figure.add_subplot(grid[:, :rows])
    left.imshow(photo)
    left.set_title("input")
    left.axis("off")
    for index, name in enumerate(names):
        feature = maps[:, :, index]
        # Robust: a few bright highlights must not leave the rest of the map grey.
        limit = float(np.percentile(np.abs(feature), 98)) or 1.0
        axes = figure.add_subplot(grid[index // columns, rows + index % columns])
        axes.imshow(feature, cmap="gray", vmin=-limit, vmax=limit)
        axes.set_title(name)
        axes.axis("off")
    return figure


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


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise DemoError(f"cannot write to the folder {str(folder)!r}: {reason}") from None


def run(image: str | None, out: str) -> None:
    """Run the whole demo: photo ``image`` (None: the sample photo), pictures into folder ``out``.

    Raises
    ------
    DemoError
        If an extra is missing, the photo cannot be read or the folder cannot be written.
    DisagreementError
        If the convolutions do not agree.
    """
    missing = [name for name in ("matplotlib", "tqdm") if importlib.util.find_spec(name) is None]
    if missing:
        raise DemoError(f'the demo needs {" and ".join(missing)}: pip install "aotconv[demo]"')
    from tqdm import tqdm

    photo = load_photo(image)
    folder = Path(out)
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # find out now, not after all the work
    print(f"implementation {aotconv.active().name}, threads {aotconv.get_num_threads()}")

    with tqdm(total=len(CONTENDERS) + 2, file=sys.stderr, leave=False) as bar:

        def announce(step: str) -> None:
            bar.update()
            bar.set_description(step)

        announce("feature maps")
        names, filters = filter_bank()
        figure = draw_features(photo, names, feature_maps(photo, filters))
        with writing_to(folder):
            figure.savefig(folder / "features.png", dpi=120)
        results = compare(IMAGE_SHAPE, FILTER_SHAPE, announce=announce)
        announce("chart")
        title = f"images {IMAGE_SHAPE}, filters {FILTER_SHAPE}, strides {STRIDES}, float32"
        with writing_to(folder):
            draw_comparison(results, title).savefig(folder / "comparison.png", dpi=120)
    print(title, format_table(results), sep="\n")
    print("first call: in a new process, imports not counted")
    print(folder / "features.png", folder / "comparison.png", sep="\n")
