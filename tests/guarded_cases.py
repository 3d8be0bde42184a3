"""Convolutions in guarded memory, each known by a row's name, a seed and a number.

    python tests/guarded_cases.py x86-64-v3-dense_float32_6x2:0:17      one case again
    python tests/guarded_cases.py jit-dense_int64_6x1:0:0-99 ...        a hundred, and so on
    valgrind python tests/guarded_cases.py --heap ...                   in memory that it watches

Each case prints its name before it runs.  A process that a guard ends has so told which it was.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from families import PRODUCTS, channelwise, family, groups_of, served_sizes, suited
from guarded import Heap, Layout, Pages
from oracle import assert_exact, assert_same_bits, assert_winograd
from rows import NAMED, compiled, geometry_of, kernel_of, run_kernel

from aotconv._core import jobs, pack, run
from aotconv._plan import family as plan
from aotconv._plan import staging
from aotconv._plan.activations import CLAMPS, CURVES, Activation
from aotconv._plan.borders import BORDERS, CONSTANT, ZEROS
from aotconv._plan.family import APART, Triple
from aotconv._plan.geometry import extent
from aotconv._plan.registry import Row
from aotconv._plan.select import family_of, stored_row

ARRAYS = ("images", "filters", "bias", "residual", "out", "weights", "words", "staging")
# Of `run` and of the plan, so that small layers are cut, too; first what they have.
LIMITS = {
    (run, "LONGEST_MICROSECONDS"): (run.LONGEST_MICROSECONDS, run.LONGEST_MICROSECONDS, 2),
    (jobs, "WIDE"): (jobs.WIDE, 0),
    (jobs, "MANY_PRODUCTS"): (jobs.MANY_PRODUCTS, 10**9),
    (plan, "STAGING_BYTES"): (plan.STAGING_BYTES, 64 << 10),
    (staging, "NEAR_BYTES"): (staging.NEAR_BYTES, 16 << 10, 2 << 10),
}


class Case(NamedTuple):
    """A layer that a row serves, and how its arrays lie."""

    name: str
    row: Row
    jit: bool
    images: tuple[int, ...]  # N, D, H, W, C
    filters: tuple[int, ...]
    strides: Triple
    pads: tuple[tuple[int, int], ...]
    dilations: Triple
    groups: int
    together: int  # channels of a channelwise layer that are computed at a time; 0: all
    has_bias: bool
    has_residual: bool
    activation: Activation
    threads: int
    borders: Triple  # what is around images, by axis
    value: int
    dtypes: dict[str, str]  # of images, residual and out
    layouts: dict[str, Layout]  # of the same
    at_end: dict[str, bool]  # whether the guard is behind the array, or before it
    limits: dict[tuple[ModuleType, str], int]


def sweep(row: Row, seed: int) -> list[tuple[str, int]]:
    """Each axis at each of the sizes that the row serves, in an order of the seed's."""
    every = [(axis, size) for axis, sizes in served_sizes(row).items() for size in sizes]
    np.random.default_rng(seed).shuffle(every)
    return [(axis, int(size)) for axis, size in every]


def draw(name: str) -> Case:
    """The case of a name ROW:SEED:NUMBER: one axis as the sweep says, all else by chance."""
    identity, seed, number = name.rsplit(":", 2)
    row, jit = NAMED[identity]
    rng = Draws(int(seed), int(number))
    every = sweep(row, int(seed))
    out_layout = _layout(row, rng)
    is_complex, dtypes = np.dtype(row.dtype).kind == "c", _dtypes(row, rng)
    sizes = _sizes(row, rng, *every[int(number) % len(every)])
    return Case(
        name,
        row,
        jit,
        *sizes,
        together=_together(row, rng, sizes[-1]),
        has_bias=rng.often(0.7),
        has_residual=rng.often(0.5),
        activation=None if is_complex else _activation(dtypes["out"], rng),
        threads=rng.one(1, 1, 2, 3),
        **_borders(rng, *sizes),
        dtypes=dtypes,
        layouts={
            "images": _layout(row, rng),
            "out": out_layout,
            "residual": out_layout if rng.often(0.8) else _layout(row, rng),
        },
        at_end={array: rng.often(0.5) for array in ARRAYS},
        limits={limit: rng.one(*values) for limit, values in limits_of(row).items()},
    )


def _activation(out: str, rng: Draws) -> Activation:
    """Mostly a clamp, which is all that integers have."""
    if np.dtype(out).kind in "iu" or rng.often(0.6):
        return rng.one(*CLAMPS)
    return rng.one(*CURVES, ("leaky_relu", 0.25))


def _together(row: Row, rng: Draws, channels: int) -> int:
    if row.family not in ("depthwise", "strip") or not rng.often(0.3):
        return 0
    return rng.one(*(some for some in range(1, channels) if channels % some == 0), 0)


def limits_of(row: Row) -> dict[tuple[ModuleType, str], tuple[int, ...]]:
    module = import_module(f"aotconv._plan.{row.family}")
    own = family(row).limits
    return LIMITS | {(module, name): values for name, values in own.items()}


try:
    import ml_dtypes  # noqa: F401  # NumPy knows bfloat16 from then on
except ImportError:
    HALVES = ("float16",)
else:
    HALVES = ("float16", "bfloat16")
# What staging converts; exact where a convolution of small integers is.
STORED = (
    "float16",
    "int8",
    "uint8",
    "int16",
    "int32",
    "uint64",
    "float32",
    "float64",
    ">f4",
    ">i2",
)


def _dtypes(row: Row, rng: Draws) -> dict[str, str]:
    """Mostly the row's own; others are staged, but for halves that have a kernel."""
    names = "images", "out", "residual"
    if any(stored_row(row, name) for name in HALVES) and rng.often(0.2):
        return dict.fromkeys(names, rng.one(*HALVES))
    stored = [name for name in STORED if not row.integers or np.dtype(name).kind in "iu"]
    drawn = {}
    for name in names:
        other = rng.one(*stored) if rng.often(0.2) else row.dtype
        stays = row.family == "winograd" and name != "images"
        drawn[name] = row.dtype if stays else other
    return drawn


def _borders(rng: Draws, images, *_) -> dict[str, Any]:
    """Mostly zeros; where there are no pixels, no others."""
    if not all(images) or rng.often(0.7):
        return {"borders": (ZEROS,) * 3, "value": 0}
    drawn = tuple(rng.one(*range(len(BORDERS))) for _ in range(3))
    if rng.often(0.3):
        return {"borders": tuple(CONSTANT if b == ZEROS else b for b in drawn), "value": 1}
    return {"borders": tuple(ZEROS if b == CONSTANT else b for b in drawn), "value": 0}


class Draws:
    """What is left to chance, of a seed and a number."""

    def __init__(self, seed: int, number: int) -> None:
        self.rng = np.random.default_rng((seed, number))

    def one(self, *values) -> Any:
        return values[self.rng.integers(len(values))]

    def often(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def size(self, most: int) -> int:
        """From 1 to `most`, every second time a small one."""
        most = max(1, most)
        return int(self.rng.integers(1, 1 + (min(most, 4) if self.often(0.5) else most)))

    def of(self, sizes, most: int) -> int:
        """One of the sizes, no larger than `most` if there is any."""
        fitting = [size for size in sizes if size <= most] or [min(sizes)]
        return int(fitting[self.size(len(fitting)) - 1])

    def split(self, product: int, parts: int) -> list[int]:
        """Numbers, at random, whose product is about the one that is given."""
        shares = self.rng.dirichlet(np.ones(parts))
        return [int(product**share) for share in shares]


def _sizes(row: Row, rng: Draws, axis: str, size: int):
    """The shapes of images and filters, strides, padding, dilations and groups."""
    swept = {axis: size}
    for_channels, for_window, _ = rng.split(family(row).products(row) // size, 3)
    groups, group_channels, n_filters = _channels(row, rng, swept, for_channels)
    served = served_sizes(row)
    if "kd" in swept:
        kd = swept["kd"]
    else:
        kd = rng.of(served["kd"], min(for_window, rng.one(1, 1, 2, 3)))
        for_window //= kd
    kh, kw = _two(rng, served, ("kh", "kw"), swept, for_window)
    strides, dilations = (tuple(rng.one(1, 1, 2, most) for _ in range(3)) for most in (3, 1))
    kernel, strides, dilations = suited(row, (kd, kh, kw), strides, dilations)

    n = rng.one(1, 1, 2, 3)
    outputs = PRODUCTS // (n * n_filters * group_channels * math.prod(kernel))
    columns = rng.size(min(70, outputs))
    rows = rng.size(min(9, outputs // columns))
    planes = rng.size(min(rng.one(1, 3), outputs // (columns * rows)))
    counts, spans = (planes, rows, columns), tuple(map(extent, kernel, dilations))
    pads = [[rng.one(0, 0, 1, 2, 3) for _ in range(2)] for _ in range(3)]
    if planes == kd == 1:
        pads[0] = [0, 0]  # mostly two axes
    sizes = [
        max(1, (count - 1) * stride + span - sum(zeros) + rng.one(*range(stride)))
        for count, stride, span, zeros in zip(counts, strides, spans, pads, strict=True)
    ]
    sizes[2] = swept.get("w", sizes[2])
    if rng.often(0.02):
        sizes[rng.one(0, 1)] = 0  # images without pixels, amid zeros
    for size, span, zeros in zip(sizes, spans, pads, strict=True):
        zeros[1] = max(zeros[1], span - size - zeros[0])  # so that the window fits
    images = n, *sizes, groups * group_channels
    filters = *kernel, group_channels, n_filters
    return images, filters, strides, tuple(map(tuple, pads)), dilations, groups


def _two(rng: Draws, sizes, axes: tuple[str, str], swept: dict[str, int], product: int):
    """Sizes of two axes: one that is swept and another up to the product, or both within it."""
    first, second = axes if axes[1] not in swept else axes[::-1]
    drawn = {first: swept.get(first) or rng.of(sizes[first], math.isqrt(product))}
    drawn[second] = rng.of(sizes[second], product // (1 if first in swept else drawn[first]))
    return drawn[axes[0]], drawn[axes[1]]


def _channels(row: Row, rng: Draws, swept: dict[str, int], product: int) -> tuple[int, int, int]:
    """Groups, channels of a group, and filters."""
    sizes = served_sizes(row)
    if channelwise(row):
        channels = swept.get("c") or rng.of(sizes["c"], product)
        return channels, 1, channels
    c, o = _two(rng, sizes, ("c", "o"), swept, product)
    # One of them is divided into groups, which have some of the other.
    total, some = (o, c) if "o" in swept else (c, o)
    groups = 1
    if groups_of(row) == "shared":
        most = row.lanes // 2
        some = min(some, most)
        groups = rng.one(*(g for g in range(1, total + 1) if total % g == 0 and total <= g * most))
    elif groups_of(row) == "any" and rng.often(0.4):
        groups = rng.one(*(g for g in range(1, total + 1) if total % g == 0))
    if "o" in swept:
        return groups, some, total
    return groups, total // groups, groups * some


def _layout(row: Row, rng: Draws) -> Layout:
    """Mostly one that the row can address; what it cannot is staged."""
    copied = rng.often(0.2)
    takes = family_of(row).takes(row)
    planar = copied and rng.often(0.4)
    gaps = [rng.one(0, 0, 0, 1, 3, 17) for _ in range(5)]
    if APART not in takes and not copied:
        gaps[3] = 0
    if not copied:
        gaps[4] = 0
    backwards = tuple(axis for axis in (0, 1, 2, 3) if rng.often(0.1))
    return Layout((0, 4, 1, 2, 3) if planar else (0, 1, 2, 3, 4), tuple(gaps), backwards)


class Guarded:
    """The arrays of a case, each in guarded memory; so are the kernel's own while it is open."""

    def __init__(self, case: Case, memory: type[Pages] | type[Heap]) -> None:
        self.case, self.memory = case, memory
        self.weights: list[Pages | Heap] = []  # of all kernels, kept
        self.staging: list[Pages | Heap] = []  # of all calls, kept

    def place(self, name: str, shape, dtype) -> Pages | Heap:
        case = self.case
        return self.memory(shape, dtype, case.at_end[name], case.layouts.get(name))

    def hold(self, name: str, values: np.ndarray) -> np.ndarray:
        """The values, where they can be read alone."""
        held = self.place(name, values.shape, values.dtype)
        held.array[...] = values
        held.freeze()
        return held.array

    def patches(self) -> Iterator[Any]:
        """What makes the kernel's own memory guarded, and cuts the work."""
        yield mock.patch.object(jobs, "_table", self._table)
        yield mock.patch.object(pack, "_aligned", self._aligned)
        yield mock.patch.object(jobs, "_staging", self._stage)
        for (module, name), limit in self.case.limits.items():
            yield mock.patch.object(module, name, limit)

    def _table(self, words: list[int]) -> np.ndarray:
        return self.hold("words", np.array(words, np.int64))

    def _aligned(self, size: int, dtype) -> np.ndarray:
        self.weights.append(self.place("weights", (size,), dtype))
        return self.weights[-1].array

    def _stage(self, size: int) -> tuple[np.ndarray, int]:
        assert size % plan.ALIGNMENT == 0
        held = self.place("staging", (size,), np.uint8)
        self.staging.append(held)
        return held.array, held.array.ctypes.data


def check_case(case: Case, memory: type[Pages] | type[Heap] = Pages) -> None:
    """Convolve; the result is right, and nothing else was written."""
    rng = np.random.default_rng(0)
    sizes = case.strides, case.pads, case.dilations
    geometry = geometry_of(case.images, case.filters, *sizes, case.groups, borders=case.borders)
    _, shape = geometry.shapes
    with contextlib.ExitStack() as stack:
        guarded = Guarded(case, memory)
        for patch in guarded.patches():
            stack.enter_context(patch)

        def values(name: str, *shape: int) -> np.ndarray:
            dtype = np.dtype(case.dtypes.get(name, case.row.dtype))
            low = 0 if dtype.kind == "u" else -2
            return guarded.hold(name, rng.integers(low, 3, shape).astype(dtype))

        images, filters = values("images", *case.images), values("filters", *case.filters)
        bias = values("bias", geometry.o) if case.has_bias else None
        residual = values("residual", *shape) if case.has_residual else None
        out = guarded.place("out", shape, case.dtypes["out"])
        function = compiled(case.row, case.jit)
        window = filters if family_of(case.row).planes else filters[0]
        arrays = window, bias, case.groups, case.activation, case.together
        kernel = kernel_of(case.row, function, *arrays)._replace(padding_value=case.value)
        for held in guarded.weights:
            held.freeze()
        run_kernel(kernel, geometry, images, out.array, residual, case.threads)
    arrays = images, filters, bias, *sizes[:2]
    options = {"dilations": case.dilations, "groups": case.groups, "activation": case.activation}
    modes = ["constant" if b == ZEROS else BORDERS[b] for b in case.borders]
    options |= {"padding_mode": modes, "padding_value": case.value}
    judge = assert_winograd if case.row.family == "winograd" else assert_exact
    result = out.array.copy()
    if result.dtype.kind == "f" and result.itemsize > case.row.itemsize:
        # Wider than sums, it holds what they are, and has their errors.
        result = result.astype(case.row.dtype)
        assert_same_bits(out.array.copy(), result)
    judge(result, *arrays, residual=residual, **options)
    for each in (out, *guarded.staging):
        assert each.spoiled() == 0


def numbered(argument: str) -> Iterator[str]:
    """The names of ROW:SEED:NUMBER, or of ROW:SEED:FIRST-LAST."""
    prefix, numbers = argument.rsplit(":", 1)
    first, _, last = numbers.partition("-")
    return (f"{prefix}:{number}" for number in range(int(first), int(last or first) + 1))


def main(arguments: list[str]) -> None:
    memory = Heap if arguments[0] == "--heap" else Pages
    count = 0
    for argument in arguments[memory is Heap :]:
        for name in numbered(argument):
            print(name, flush=True)
            check_case(draw(name), memory)
            count += 1
    print(f"{count} cases")


if __name__ == "__main__":
    main(sys.argv[1:])
