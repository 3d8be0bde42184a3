"""The sweep: layers of odd sizes, far from the board's, each beside its next smaller and larger.

The board shows how fast sizes are that were tuned for.  The sweep looks for sizes that nobody
thought of: it varies one or two sizes of a layer at a time, and holds each case against the cases
beside it (`aotconv._tools.cliffs`).
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from .._core import ladder
from .._plan import family
from .._plan.select import select
from .cliffs import CLIFF, Loss, Sizes, losses
from .problem import Layer, Problem, parse_layer
from .process import Run
from .race import OWN, confined_process, expectation, multiply_adds, own, race, verify

SECONDS = 0.001  # of a batch, at least
ROUNDS = 5
# The thread's own time, so that others may use its CPU too; Windows counts it in ticks.
CLOCK = time.perf_counter if sys.platform == "win32" else time.thread_time
# A loss from which on a case is timed again, with the case that it is held against; or one from
# which on it is told.
SUSPECT = 1.8
RETAKES = 2
CHANNELS = (*range(1, 10), 15, 16, 17, 24, 31, 32, 33, 63, 65, 96)
WINDOWS = range(1, 12)
WIDTHS = range(5, 66)
STEPS = range(1, 4)  # strides and dilations
# Sides of windows of channelwise layers, and pixels of their images times channels: of square
# windows, and of rows and columns.
SIDES = (*range(1, 18), 31, 32, 33, 63, 64, 65, 100, 101)
SIDE_CHANNELS = (1, 3, 4, 8, 64)
SQUARE_ELEMENTS, FLAT_ELEMENTS = 12_000, 120_000
STEEP = 1.5  # a loss of theirs from which on it is told
GROUP_SIZES = (1, 2, 3, 4, 8, 16)  # channels or filters of one of GROUPS groups
GROUPS = 32  # ResNeXt's
DTYPES = ("float32", "float64")


class Sweep(NamedTuple):
    """Layers that differ in one or two sizes, and these sizes.

    Attributes
    ----------
    name : str
    layers : dict
    steep : float
        The loss from which on a case is told.
    """

    name: str
    layers: dict[Sizes, Layer]
    steep: float = CLIFF


def dense() -> Iterator[tuple[Sizes, Layer]]:
    for c, o in product(CHANNELS, CHANNELS):
        yield (c, o), Layer((4, 28, 28, c), (3, 3, c, o), padding="same")


def depthwise(stride: int) -> Iterator[tuple[Sizes, Layer]]:
    for c, k in product(CHANNELS, (3, 5, 7)):
        yield (c, k), Layer((1, 56, 56, c), (k, k, 1, c), stride, "same", groups=c)


def windows(base: Layer) -> Iterator[tuple[Sizes, Layer]]:
    for kh, kw in sorted({pair for k in WINDOWS for pair in ((k, k), (1, k), (k, 1))}):
        yield (kh, kw), base._replace(filters=(kh, kw, *base.filters[2:]))


def channelwise_windows() -> Iterator[Sweep]:
    """Windows of any size, square and flat, on few channels and many, of small steps."""
    shapes: dict[str, tuple[Callable[[int], tuple[int, int]], int]] = {
        "squares": (lambda k: (k, k), SQUARE_ELEMENTS),
        "rows": (lambda k: (1, k), FLAT_ELEMENTS),
        "columns": (lambda k: (k, 1), FLAT_ELEMENTS),
    }
    steps = [(1, 1), *((step, 1) for step in STEPS[1:]), *((1, step) for step in STEPS[1:])]
    for c, (stride, dilation), name in product(SIDE_CHANNELS, steps, shapes):
        window, elements = shapes[name]
        side = math.isqrt(elements // c)
        layers: dict[Sizes, Layer] = {
            (k,): Layer((1, side, side, c), (*window(k), 1, c), stride, "same", dilation, c)
            for k in SIDES
        }
        title = f"channelwise {c}, stride {stride}, dilation {dilation}: {name}"
        yield Sweep(title, layers, STEEP)


def widths(base: Layer) -> Iterator[tuple[Sizes, Layer]]:
    n, height, _, channels = base.images
    for width in WIDTHS:
        images = (n, 2 * height, width, channels)  # to be worth timing where narrow
        yield (width,), base._replace(images=images)


def steps(base: Layer) -> Iterator[tuple[Sizes, Layer]]:
    for stride, dilation in product(STEPS, STEPS):
        # A smaller stride is more work, a larger dilation no less.
        yield (-stride, dilation), base._replace(strides=stride, dilations=dilation)


def group_sizes() -> Iterator[tuple[Sizes, Layer]]:
    for c, o in product(GROUP_SIZES, GROUP_SIZES):
        images, filters = (1, 28, 28, GROUPS * c), (3, 3, c, GROUPS * o)
        yield (c, o), Layer(images, filters, padding="same", groups=GROUPS)


def groups() -> Iterator[tuple[Sizes, Layer]]:
    for n in (1, 2, 4, 8, 16, 48, 96):  # each divides the next, whose work it contains
        yield (-n,), Layer((1, 28, 28, 96), (3, 3, 96 // n, 96), padding="same", groups=n)


BASES = {
    "dense 32": parse_layer("1x28x28x32 3x3x32x32 same"),
    "dense 3 to 64": parse_layer("1x56x56x3 3x3x3x64 same"),
    "dense 3 to 4": parse_layer("8x28x28x3 4x4x3x4 same"),
    "depthwise 32": parse_layer("1x56x56x32 3x3x1x32 same g32"),
    "depthwise 3": parse_layer("1x224x224x3 7x7x1x3 same g3"),
    "image": parse_layer("1x256x256x1 5x5x1x1 same"),
}
SWEEPS = (
    Sweep("dense 3x3: channels, filters", dict(dense())),
    *(
        Sweep(f"depthwise, stride {stride}: channels, window", dict(depthwise(stride)))
        for stride in (1, 2)
    ),
    *(Sweep(f"{name}: window", dict(windows(base))) for name, base in BASES.items()),
    *(Sweep(f"{name}: width", dict(widths(base))) for name, base in BASES.items()),
    *(Sweep(f"{name}: stride, dilation", dict(steps(base))) for name, base in BASES.items()),
    Sweep(f"{GROUPS} groups 3x3: channels, filters", dict(group_sizes())),
    Sweep("96 to 96, 3x3: groups", dict(groups())),
    *channelwise_windows(),
)


class Case(NamedTuple):
    """What was measured of a layer: one figure a round in each list.

    Attributes
    ----------
    layer : Layer
    row : str
        The kernel that computes it, by its name in the registry.
    seconds : list of float
        Of a call.
    fma : list of float
        Floating-point operations a second of multiply-adds on registers.
    copy : list of float
        Seconds to copy as many bytes as the layer must read and write.
    """

    layer: Layer
    row: str
    seconds: list[float]
    fma: list[float]
    copy: list[float]

    @property
    def least(self) -> float:
        """Seconds of a call in the best round.

        Not the median: cases that lie beside each other are not timed in the same rounds, and
        whatever else runs on the machine only adds to their times.
        """
        return min(self.seconds)

    @property
    def flop_rate(self) -> float:
        return self.layer.flops / self.least


class Swept(NamedTuple):
    """A sweep's cases for a dtype, and what each loses to the cases beside it."""

    sweep: Sweep
    dtype: str
    cases: list[Case]

    @property
    def fractions(self) -> list[float]:
        """Of the rate of multiply-adds, for each case."""
        fma = max(rate for each in self.cases for rate in each.fma)
        return [each.flop_rate / fma for each in self.cases]

    @property
    def losses(self) -> list[Loss | None]:
        work = [each.layer.flops for each in self.cases]
        bounds = [min(each.copy) for each in self.cases]
        seconds = [each.least for each in self.cases]
        return losses(list(self.sweep.layers), work, seconds, bounds)

    def as_json(self) -> dict[str, Any]:
        cases = []
        for case, fraction, loss in zip(self.cases, self.fractions, self.losses, strict=True):
            lost = {**loss._asdict(), "than": self.cases[loss.than].layer.text} if loss else None
            derived = {"least": case.least, "flop_rate": case.flop_rate, "fraction": fraction}
            layer = case.layer.as_json()
            cases.append({**case._asdict(), "layer": layer, **derived, "loss": lost})
        return {"name": self.sweep.name, "dtype": self.dtype, "cases": cases}


def row_name(layer: Layer) -> str:
    """The kernel that computes a layer on the active implementation."""
    rung = ladder.rung(layer.dtype)
    assert rung is not None  # the command has asked
    computed = family.Layer.of(layer.geometry)
    return select(computed, layer.dtype, rung.level).name


def measure(layer: Layer, seconds: float) -> Case:
    """Check and time a layer in this process, which must have been started for it.

    Raises
    ------
    DisagreementError
        If the result is wrong.
    """
    problem = Problem.draw(layer)
    contender = own(problem)
    verify(OWN, contender, expectation(problem))
    peak, flops = multiply_adds(layer.dtype, 1)
    source, target = np.ones((2, layer.n_bytes // 2), np.uint8)
    calls = {OWN: contender.call, "FMA": peak, "copy": lambda: np.copyto(target, source)}
    rounds = race(calls, seconds, rounds=ROUNDS, clock=CLOCK)
    fma = [flops / each for each in rounds["FMA"]]
    return Case(layer, row_name(layer), rounds[OWN], fma, rounds["copy"])


def sweep(
    sweeps: Iterable[Sweep] = SWEEPS,
    dtypes: Sequence[str] = DTYPES,
    *,
    seconds: float = SECONDS,
    announce: Callable[[str], object] = lambda name: None,
) -> Iterator[Swept]:
    """Check and time sweeps on one thread.

    Cases that seem to lose much are timed again, and the best time counts.

    Parameters
    ----------
    sweeps : iterable of Sweep
    dtypes : sequence of {"float32", "float64"}
    seconds : float
        The least that a case computes in each round.
    announce : callable
        Called with the name of each case, once, before it starts.

    Raises
    ------
    DisagreementError
        If a result is wrong.
    """
    with confined_process(1) as run:
        for each, dtype in product(sweeps, dtypes):
            cases = []
            for layer in each.layers.values():
                layer = layer._replace(dtype=dtype)
                announce(f"{each.name}, {layer}")
                cases.append(_measured(run, layer, seconds))
            suspect = min(SUSPECT, each.steep)
            for _ in range(RETAKES):
                found = enumerate(Swept(each, dtype, cases).losses)
                suspects = [(i, loss.than) for i, loss in found if loss and loss.factor > suspect]
                for index in sorted({index for pair in suspects for index in pair}):
                    again = _measured(run, cases[index].layer, seconds)
                    cases[index] = max(cases[index], again, key=lambda case: case.flop_rate)
            yield Swept(each, dtype, cases)


def _measured(run: Run, layer: Layer, seconds: float) -> Case:
    return run(str(layer), measure, layer, seconds)
