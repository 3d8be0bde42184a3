"""The benchmark: a board of layers, beside what this machine can do and beside other libraries.

Contenders are timed in rounds, in one process: in each round every one of them runs a batch of
calls, so a machine that slows down slows them all.  What is reported are medians over the rounds,
and of ratios, the median of each round's ratio.  Two of the contenders are the machine itself:
multiply-adds on registers and a copy of as many bytes as the layer must read and write.  A layer
takes at least as long as the slower of the two, which is the bound that it is held against.

The process for a number of threads starts with as many CPUs, and with the environment variables
that say so, because most libraries fix their threads when they are imported.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import json
import math
import os
import platform
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

import aotconv

from . import check, ladder, plan, threads
from .demo import DemoError, DisagreementError, three_digits
from .geometry import Geometry, Pads
from .kernels.registry import ROWS
from .peers import PEERS, Contender, Peer, Setting, Unsuitable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Shape = tuple[int, int, int, int]
Call = Callable[[], object]

SECONDS = 0.02  # of a batch, at least
ROUNDS = 9
# Other libraries' idle threads spin for some milliseconds before they sleep, and would take the
# CPUs of whoever comes next.
PAUSE = 0.03
OWN = "aotconv"


class Layer(NamedTuple):
    """A layer of the board, square in strides and padding."""

    name: str
    images: Shape  # N, H, W, C
    filters: Shape  # KH, KW, C / groups, O
    strides: int = 1
    padding: int | Literal["same", "valid"] = 0
    groups: int = 1
    shared: bool = False  # all channels have the same filter, as where an image is blurred

    @property
    def geometry(self) -> Geometry:
        strides, padding = (self.strides, self.strides), check.padding(self.padding)
        return check.geometry(self.images, self.filters, strides, padding, (1, 1), self.groups)

    @property
    def pads(self) -> Pads:
        g = self.geometry
        return (g.top, g.bottom), (g.left, g.right)

    @property
    def out(self) -> Shape:
        g = self.geometry
        return g.n, g.oh, g.ow, g.o

    @property
    def flops(self) -> int:
        """Floating-point operations; a multiply-add is two."""
        return 2 * self.geometry.multiply_adds

    @property
    def elements(self) -> int:
        """Elements that must be read or written: images, filters and the result."""
        return sum(map(math.prod, (self.images, self.filters, self.out)))


# fmt: off
BOARD = (
    #     name                   images               filters           strides, padding, groups
    Layer("seed_4x4x3x4",        (32, 28, 28, 3),     (4, 4, 3, 4)),
    Layer("r50_conv1_7x7s2",     (1, 224, 224, 3),    (7, 7, 3, 64),      2, 3),
    Layer("r50_2_3x3_64",        (1, 56, 56, 64),     (3, 3, 64, 64),     1, 1),
    Layer("r50_2_1x1_64_256",    (1, 56, 56, 64),     (1, 1, 64, 256)),
    Layer("r50_3_3x3_128",       (1, 28, 28, 128),    (3, 3, 128, 128),   1, 1),
    Layer("r50_3_1x1s2_256_512", (1, 56, 56, 256),    (1, 1, 256, 512),   2),
    Layer("r50_4_3x3_256",       (1, 14, 14, 256),    (3, 3, 256, 256),   1, 1),
    Layer("r50_5_3x3_512",       (1, 7, 7, 512),      (3, 3, 512, 512),   1, 1),
    Layer("r50_5_1x1_2048_512",  (1, 7, 7, 2048),     (1, 1, 2048, 512)),
    Layer("vgg_1_3x3_3_64",      (1, 224, 224, 3),    (3, 3, 3, 64),      1, 1),
    Layer("vgg_1_3x3_64_64",     (1, 224, 224, 64),   (3, 3, 64, 64),     1, 1),
    Layer("vgg_3_3x3_256",       (1, 56, 56, 256),    (3, 3, 256, 256),   1, 1),
    Layer("mb_dw3_32_112",       (1, 112, 112, 32),   (3, 3, 1, 32),      1, 1, 32),
    Layer("mb_dw3s2_96_112",     (1, 112, 112, 96),   (3, 3, 1, 96),      2, 1, 96),
    Layer("mb_dw5_240_28",       (1, 28, 28, 240),    (5, 5, 1, 240),     1, 2, 240),
    Layer("mb_1x1_32_16",        (1, 112, 112, 32),   (1, 1, 32, 16)),
    Layer("mb_1x1_960_160",      (1, 7, 7, 960),      (1, 1, 960, 160)),
    Layer("img_1ch_5x5_1024",    (1, 1024, 1024, 1),  (5, 5, 1, 1),       1, 2),
    Layer("img_rgb_dw7x7_1080p", (1, 1080, 1920, 3),  (7, 7, 1, 3),       1, 3, 3, shared=True),
    Layer("tiny_8x8x1",          (1, 8, 8, 1),        (3, 3, 1, 1)),
)
# fmt: on


class Problem(NamedTuple):
    """A layer and the arrays that it is computed on, images NHWC and filters HWIO."""

    layer: Layer
    images: NDArray[Any]
    filters: NDArray[Any]
    bias: NDArray[Any]

    @classmethod
    def draw(cls, layer: Layer, dtype: str) -> Problem:
        rng = np.random.default_rng(0)
        n_filters = layer.filters[3]
        drawn = (*layer.filters[:3], 1) if layer.shared else layer.filters
        filters, bias = rng.standard_normal(drawn), rng.standard_normal(drawn[3])
        arrays = (
            rng.standard_normal(layer.images),
            np.broadcast_to(filters, layer.filters),
            np.broadcast_to(bias, n_filters),
        )
        return cls(layer, *(np.array(array, dtype, order="C") for array in arrays))


# --- correct first, then timed ---------------------------------------------------------------


def expectation(problem: Problem) -> NDArray[np.float64]:
    """The result in float64, by NumPy's matrix products instead of the kernels."""
    layer = problem.layer
    images, filters, bias = (array.astype(np.float64) for array in problem[1:])
    with aotconv.use("numpy"):
        return aotconv.conv2d(
            images, filters, bias, layer.strides, layer.padding, groups=layer.groups
        )


def error_bound(problem: Problem) -> float:
    """What the library promises of each output: eps * (K + 1) * max|x| * max|w| * 2."""
    images, filters, bias = (float(np.abs(array).max()) for array in problem[1:])
    depth = problem.layer.geometry.depth
    largest = max(images * filters, bias)
    return float(np.finfo(problem.images.dtype).eps) * (depth + 1) * largest * 2


def verify(name: str, contender: Contender, expected: NDArray[np.float64]) -> None:
    """Raise `DisagreementError` if a contender's result is not within the library's bound."""
    result = contender.nhwc(contender.call())
    where = f"{name}, layer {contender.problem.layer.name}"
    if result.shape != expected.shape:
        raise DisagreementError(f"{where}: shape {result.shape}, not {expected.shape}")
    error, bound = float(np.abs(result - expected).max()), error_bound(contender.problem)
    if not error <= bound:  # so that NaN is wrong too
        raise DisagreementError(f"{where}: wrong by {error:.2g}, more than {bound:.2g}")


# --- what is timed ---------------------------------------------------------------------------


def own_conv2d(problem: Problem) -> Contender:
    layer = problem.layer
    convolve = aotconv.Conv2D(
        problem.filters, problem.bias, layer.strides, layer.padding, groups=layer.groups
    )
    out = np.full(layer.out, np.nan, problem.images.dtype)
    return Contender(problem, lambda: convolve(problem.images, out=out))


def multiply_adds(dtype: str, n_threads: int) -> tuple[Call, float]:
    """Multiply-adds on registers at the active level, and how many FLOP each call does."""
    rung = ladder.rung(dtype)
    assert rung is not None  # `run` has asked
    row = next(r for r in ROWS if (r.family, r.dtype, r.level) == ("peak", dtype, rung.level))
    team = threads.count(n_threads, 0)
    iterations, tasks = 1 << 16, 4 * team
    words = plan.peak_words(iterations, tasks)
    vectors = np.repeat(np.array([[1], [0.5], [1]], dtype), row.lanes, axis=1)
    out = np.empty((tasks, row.lanes), dtype)
    function = rung.kernel(row)

    def call() -> None:
        addresses = words.ctypes.data, id(vectors), vectors.ctypes.data, id(out), id(out)
        function(*addresses, team, threads.gomp_parallel(team))

    return call, 2.0 * iterations * tasks * row.pixels * row.lanes


def copies(n_bytes: int, n_threads: int, pool: ThreadPoolExecutor) -> tuple[Call, int]:
    """Copies that read and write `n_bytes` together, and how many of them each call makes.

    Each thread copies its share many times, so that its start is not what is timed.
    """
    halves = np.ones((2, n_bytes // 2), np.uint8)
    shares = np.array_split(halves, n_threads, axis=1)
    repetitions = 1 + 100_000_000 // n_bytes

    def copy(share: NDArray[np.uint8]) -> None:
        source, target = share
        for _ in range(repetitions):
            np.copyto(target, source)

    return lambda: list(pool.map(copy, shares)), repetitions


def timed(call: Call, count: int) -> float:
    start = time.perf_counter()
    for _ in itertools.repeat(None, count):
        call()
    return time.perf_counter() - start


def race(calls: Mapping[str, Call], seconds: float, pause: float = 0) -> dict[str, list[float]]:
    """Time the calls in rounds; return the seconds of a call, by name, for each round.

    Parameters
    ----------
    seconds : float
        Each round calls each of them as often as takes at least that long.
    pause : float
        Seconds before each batch.
    """
    counts = {}
    for name, call in calls.items():
        call()
        counts[name] = 1
        while timed(call, counts[name]) < seconds:
            counts[name] *= 2
    results: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            time.sleep(pause)
            call()  # not timed: it brings back what the others drove from the caches
            results[name].append(timed(call, counts[name]) / counts[name])
    return results


class Result(NamedTuple):
    """What was measured of a layer on a number of threads: one figure a round in each list.

    Attributes
    ----------
    layer : Layer
    n_threads : int
    seconds : dict
        Of a call, by contender; ``aotconv`` is one of them.
    fma : list of float
        Floating-point operations a second of multiply-adds on registers.
    copy : list of float
        Seconds to copy as many bytes as the layer must read and write.
    left_out : dict
        Peers that did not take part, and why.
    first : float
        Seconds of the first call in a new process.
    """

    layer: Layer
    n_threads: int
    seconds: dict[str, list[float]]
    fma: list[float]
    copy: list[float]
    left_out: dict[str, str]
    first: float = math.nan

    @property
    def later(self) -> float:
        """Seconds of a later call."""
        return statistics.median(self.seconds[OWN])

    @property
    def flop_rate(self) -> float:
        return self.layer.flops / self.later

    @property
    def binding(self) -> str:
        """What no implementation could be faster than here: "FMA" or "copy"."""
        computing = self.layer.flops / statistics.median(self.fma)
        return "FMA" if computing >= statistics.median(self.copy) else "copy"

    @property
    def fraction(self) -> float:
        """Of the bound, that is of the rate that `binding` allows."""
        rounds = zip(self.fma, self.copy, self.seconds[OWN], strict=True)
        return statistics.median(
            max(self.layer.flops / fma, copy) / own for fma, copy, own in rounds
        )

    @property
    def ratios(self) -> dict[str, float]:
        """Time of each peer, in times of aotconv."""
        own = self.seconds[OWN]
        return {
            name: statistics.median(map(float.__truediv__, seconds, own))
            for name, seconds in self.seconds.items()
            if name != OWN
        }

    @property
    def fastest(self) -> str | None:
        """The fastest peer, in its fastest variant."""
        return min(self.ratios, key=self.ratios.__getitem__, default=None)

    def as_json(self) -> dict[str, Any]:
        layer = {**self.layer._asdict(), "out": self.layer.out, "flops": self.layer.flops}
        derived = ("later", "flop_rate", "binding", "fraction", "ratios", "fastest")
        return {**self._asdict(), "layer": layer, **{name: getattr(self, name) for name in derived}}


def first_call(layer: Layer, dtype: str) -> float:
    """Seconds of the first call, if this process has made none."""
    return timed(own_conv2d(Problem.draw(layer, dtype)).call, 1)


def measure(
    layer: Layer, dtype: str, peers: Mapping[str, Peer], setting: Setting, seconds: float
) -> Result:
    """Check and time a layer in this process, which must have been started for it.

    Raises
    ------
    DisagreementError
        If a result is wrong.
    """
    problem = Problem.draw(layer, dtype)
    expected = expectation(problem)
    own = own_conv2d(problem)
    verify(OWN, own, expected)
    contenders, left_out = {OWN: own}, {}
    for peer_name, peer in peers.items():
        try:
            variants = peer.prepare(problem, setting)
            for name, each in variants.items():
                same = each.problem is problem
                verify(name, each, expected if same else expectation(each.problem))
        except DisagreementError:
            raise
        except Unsuitable as error:
            left_out[peer_name] = str(error)
        except Exception as error:  # a broken installation of a peer may raise anything
            reason = str(error).partition("\n")[0]
            left_out[peer_name] = f"failed: {type(error).__name__}: {reason}"
        else:
            contenders.update(variants)

    n_threads, n_bytes = setting.threads, layer.elements * np.dtype(dtype).itemsize
    calls: dict[str, Call] = {name: each.call for name, each in contenders.items()}
    calls["FMA"], flops = multiply_adds(dtype, n_threads)
    # Few bytes are copied faster by one thread than by several that wait for the GIL.
    copiers = {f"copy {n}": n for n in {1, n_threads}}
    with ThreadPoolExecutor(n_threads) as pool:
        for name, n in copiers.items():
            calls[name], times = copies(n_bytes, n, pool)
        rounds = race(calls, seconds, PAUSE if n_threads > 1 else 0)
    fma = [flops / each for each in rounds.pop("FMA")]
    copy = [min(each) / times for each in zip(*map(rounds.pop, copiers), strict=True)]
    return Result(layer, n_threads, rounds, fma, copy, left_out)


# --- processes -------------------------------------------------------------------------------


def usable_cpus() -> list[int]:
    """The CPUs that this process may run on, or as many numbers where they cannot be asked for."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(cpus: Iterable[int]) -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, cpus)


@contextmanager
def new_process(n_threads: int) -> Iterator[ProcessPoolExecutor]:
    """A new process with as many CPUs as threads, and OpenMP and BLAS told so."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    cpus = usable_cpus()[-n_threads:]
    os.environ.update(dict.fromkeys(names, str(n_threads)))
    try:
        with ProcessPoolExecutor(1, get_context("spawn"), pin, (cpus,)) as process:
            yield process
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def compare(
    layers: Sequence[Layer] = BOARD,
    n_threads: int = 1,
    *,
    dtype: str = "float32",
    peers: Mapping[str, Peer] | None = None,
    tflite: str | None = None,
    seconds: float = SECONDS,
    announce: Callable[[str], object] = lambda name: None,
) -> list[Result]:
    """Check and time layers on a number of threads.

    Parameters
    ----------
    layers : sequence of Layer
    n_threads : int
    dtype : {"float32", "float64"}
    peers : mapping of str to Peer, optional
        The other libraries to compare with, which compute in float32.
    tflite : str, optional
        The folder of LiteRT's models.
    seconds : float
        The least that each contender computes in each round.
    announce : callable
        Called with the name of each layer before it starts.

    Raises
    ------
    DisagreementError
        If a result is wrong.
    """
    results = []
    with new_process(n_threads) as process:
        for layer in layers:
            announce(layer.name)
            arguments = (layer, dtype, peers or {}, Setting(n_threads, tflite), seconds)
            try:
                with new_process(n_threads) as fresh:
                    first = fresh.submit(first_call, layer, dtype).result()
                result = process.submit(measure, *arguments).result()
            except BrokenProcessPool:
                names = ", ".join([OWN, *(peers or {})])
                raise DemoError(f"{layer.name}: the process that ran {names} died") from None
            results.append(result._replace(first=first))
    return results


# --- reports ---------------------------------------------------------------------------------


def digits(value: float) -> str:
    """Format with three significant digits."""
    return three_digits(value) if value >= 0.1 else f"{value:.3g}"


def team_name(n_threads: int) -> str:
    return "1 thread" if n_threads == 1 else f"{n_threads} threads"


def heading(results: Sequence[Result]) -> str:
    """Say on how many threads, and what they do at best."""
    rate = statistics.median(rate for each in results for rate in each.fma)
    return f"{team_name(results[0].n_threads)}: multiply-adds {rate / 1e9:,.0f} GFLOP/s"


def format_table(results: Sequence[Result]) -> str:
    """Set the results for one number of threads as a table: a row for each layer."""
    width = max(len(each.layer.name) for each in results)
    against = any(each.fastest for each in results)
    title = f"{'':{width}}{'ms':>9}{'GFLOP/s':>9}{'of bound':>12}{'first ms':>10}"
    rows = [title + (f"  {'fastest peer':<20}{'ms':>9}{'ratio':>7}" if against else "")]
    for each in results:
        row = f"{each.layer.name:{width}}{digits(1e3 * each.later):>9}"
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
        rows.append(f"ratio: geometric mean {mean:.2f}; below 1 in {below} of {len(ratios)} layers")
    reasons = Counter(item for each in results for item in each.left_out.items())
    for (name, reason), count in reasons.items():
        rows.append(f"{name} left out of {count} of {len(results)} layers: {reason}")
    return "\n".join(rows)


def draw(results: Sequence[Sequence[Result]], title: str) -> Figure:
    """Draw bars for each layer, beside each other for each number of threads.

    They are the ratios to the fastest peer, or without peers the fractions of the bound.
    """
    from matplotlib.figure import Figure

    names = [each.layer.name for each in results[0]]
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


# --- the command -----------------------------------------------------------------------------


def find(option: str, names: Iterable[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """What is known by the names that an option was given."""
    for name in names:
        if name not in known:
            raise DemoError(f"{option}: there is no {name!r}; there are {', '.join(known)}")
    return {name: known[name] for name in names}


def number(name: str, most: int) -> int:
    """A number of threads that an option was given."""
    if not (name.isdecimal() and 1 <= int(name) <= most):
        raise DemoError(f"--threads: {name!r} is not from 1 to {most}, the CPUs of this process")
    return int(name)


@contextmanager
def writing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DemoError(f"cannot write {path!r}: {error.strerror or error}") from None


def missing(packages: Iterable[str]) -> list[str]:
    return [name for name in packages if importlib.util.find_spec(name) is None]


def run(
    layers: Sequence[str] | None = None,
    peers: Sequence[str] = (),
    n_threads: Sequence[str] | None = None,
    *,
    dtype: str = "float32",
    tflite: str | None = None,
    seconds: float = SECONDS,
    json_file: str | None = None,
    plot: str | None = None,
) -> None:
    """Run the command: check and time, print a table for each number of threads, write files.

    Parameters
    ----------
    layers : sequence of str, optional
        Names of layers of the board; all of them by default.
    peers : sequence of str
        Names of `aotconv.peers.PEERS`; those that are not installed are left out.
    n_threads : sequence of str, optional
        Numbers of threads; by default 1 and as many as there are CPUs.
    dtype, tflite, seconds
        As in `compare`.
    json_file, plot : str, optional
        Files to write: everything that was measured, and a chart.

    Raises
    ------
    DemoError
        If an argument is wrong, an extra is missing or a file cannot be written.
    DisagreementError
        If a result is wrong.
    """
    board = find("--layers", layers, {each.name: each for each in BOARD}) if layers else {}
    chosen = find("--peers", peers, PEERS)
    most = len(usable_cpus())
    teams = [number(name, most) for name in n_threads] if n_threads else sorted({1, most})
    if not 0 < seconds < math.inf:
        raise DemoError(f"--seconds: {seconds} is not a positive time")
    if chosen and dtype != "float32":
        raise DemoError("--peers: other libraries are timed in float32 alone")
    if "litert" in chosen and not (tflite and Path(tflite).is_dir()):
        raise DemoError("--peers: litert runs model files, whose folder --tflite must name")
    extras = missing(["tqdm", "matplotlib"] if plot else ["tqdm"])
    if extras:
        raise DemoError(f'the benchmark needs {" and ".join(extras)}: pip install "aotconv[demo]"')
    if ladder.rung(dtype) is None:
        raise DemoError(f"the implementation {aotconv.active().name} has no kernels to measure")
    if plot:
        from matplotlib.figure import Figure

        formats = Figure().canvas.get_supported_filetypes()
        if Path(plot).suffix[1:].lower() not in formats:
            raise DemoError(f"--plot: the name {plot!r} must end in one of {', '.join(formats)}")
    for path in filter(None, (json_file, plot)):
        with writing(path):
            open(path, "ab").close()  # find out now, not after all the work
    from tqdm import tqdm

    title = f"aotconv {aotconv.__version__}, {aotconv.active().name}, {dtype}, {cpu_name()}"
    print(title)
    for name, peer in list(chosen.items()):
        absent = missing(peer.packages)
        if absent:
            print(f"without {name}: {' and '.join(absent)} not installed")
            del chosen[name]
    found = versions(chosen.values())
    if found:
        print("beside", ", ".join(f"{name} {version}" for name, version in found.items()))

    results = []
    with tqdm(total=len(teams) * len(board or BOARD), file=sys.stderr, leave=False) as bar:

        def announce(name: str) -> None:
            bar.set_description(name)
            bar.update()

        for team in teams:
            group = compare(
                list(board.values()) or BOARD,
                team,
                dtype=dtype,
                peers=chosen,
                tflite=tflite,
                seconds=seconds,
                announce=announce,
            )
            results.append(group)
            bar.write(f"\n{heading(group)}\n{format_table(group)}", file=sys.stdout)
    if json_file:
        report = {
            "aotconv": aotconv.__version__,
            "implementation": aotconv.active().name,
            "dtype": dtype,
            "cpu": cpu_name(),
            "cpus": most,
            "platform": platform.platform(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "peers": found,
            "results": [each.as_json() for group in results for each in group],
        }
        with writing(json_file):
            Path(json_file).write_text(json.dumps(report, indent=1) + "\n")
    if plot:
        with writing(plot):
            draw(results, title).savefig(plot, dpi=120)
    for path in filter(None, (json_file, plot)):
        print(path)
