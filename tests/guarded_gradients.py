"""Gradients of filters in guarded memory, each known by a number.

    python tests/guarded_gradients.py x86-64-v3 17          one case again
    python tests/guarded_gradients.py jit 0-99              a hundred

Each case prints its number before it runs.  A process that a guard ends has so told which it was.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from unittest import mock

import numpy as np
from guarded import Layout, Pages
from guarded_cases import Draws

import aotconv
from aotconv import gradients
from aotconv._core import jobs
from aotconv._core.gradient import _operator
from aotconv._plan import outer
from aotconv._plan.geometry import extent
from aotconv.reference import conv_reference

# Of the plan, so that small sums are cut and packed, too; first what they have.
LIMITS = {
    "CHUNK_PIXELS": (outer.CHUNK_PIXELS, 30, 7),
    "PANEL_BYTES": (outer.PANEL_BYTES, 0),
    "IMAGE_BYTES": (outer.IMAGE_BYTES, 2048),
    "LEAST_PIXELS": (outer.LEAST_PIXELS, 3),
    "PACKING_SHARE": (outer.PACKING_SHARE, 0),
}


class Memory:
    """Arrays between pages without access."""

    def __init__(self, rng: Draws) -> None:
        self.rng, self.written = rng, []

    def place(self, shape, dtype, layout: Layout | None = None) -> Pages:
        return Pages(shape, dtype, self.rng.often(0.5), layout)

    def hold(self, values: np.ndarray) -> np.ndarray:
        """The values, where they can be read alone; mostly as the kernel can address them."""
        gaps = [self.rng.one(0, 0, 1, 5) for _ in values.shape]
        gaps[-1] = self.rng.one(*[0] * 9, 1)
        backwards = tuple(axis for axis in range(values.ndim - 1) if self.rng.often(0.1))
        held = self.place(
            values.shape, values.dtype, Layout(tuple(range(values.ndim)), tuple(gaps), backwards)
        )
        held.array[...] = values
        held.freeze()
        return held.array

    def table(self, words) -> np.ndarray:
        return self.hold_plainly(np.array(words, np.int64))

    def hold_plainly(self, values: np.ndarray) -> np.ndarray:
        held = self.place(values.shape, values.dtype)
        held.array[...] = values
        held.freeze()
        return held.array

    def staging(self, size: int) -> tuple[np.ndarray, int]:
        held = self.place((size,), np.uint8)
        self.written.append(held)
        return held.array, held.array.ctypes.data


def channels_of(rng: Draws) -> tuple[int, int, int]:
    """Groups, channels and filters of each."""
    if rng.often(0.25):
        return rng.size(70), 1, 1
    groups = rng.one(1, 1, 1, 2, 3)
    return groups, rng.size(30), rng.size(rng.one(9, 70))


def check_case(number: int) -> None:
    """The gradient is exact, by the definition of an adjoint, and nothing else was written."""
    rng = Draws(0, number)
    groups, channels, filters = channels_of(rng)
    kernel = tuple(rng.size(most) for most in (rng.one(1, 1, 2), 3, 7))
    strides, dilations = (tuple(rng.one(1, 1, 2, 3) for _ in range(3)) for _ in range(2))
    pads = tuple((rng.one(0, 0, 1, 3), rng.one(0, 0, 1, 3)) for _ in range(3))
    most = 2, 7, 40
    sizes = [
        max(1, extent(k, d) - sum(pad)) + rng.size(some) - 1
        for k, d, pad, some in zip(kernel, dilations, pads, most, strict=True)
    ]
    dtype = rng.one("float32", "float64")
    values = np.random.default_rng(number)
    memory = Memory(rng)
    images = values.integers(-2, 3, (rng.one(1, 2, 3), *sizes, groups * channels)).astype(dtype)
    shape, options = (*kernel, channels, groups * filters), {"dilations": dilations}
    weights, options = values.integers(-2, 3, shape), options | {"groups": groups}
    result = conv_reference(images, weights, None, strides, pads, **options)
    other = values.integers(-2, 3, result.shape).astype(dtype)
    limits = {name: rng.one(*some) for name, some in LIMITS.items()}
    out = memory.place(shape, dtype)
    _operator.cache_clear()
    with (
        mock.patch.multiple(outer, **limits),
        mock.patch.object(jobs, "_table", memory.table),
        mock.patch.object(jobs, "_staging", memory.staging),
    ):
        held = memory.hold(images), memory.hold(other)
        n_threads = rng.one(1, 1, 2, 3)
        gradients.conv3d_filters(
            *held, shape, strides, pads, **options, out=out.array, threads=n_threads
        )
    assert (weights * out.array).sum() == (result * other).sum()
    assert np.isfinite(out.array).all()
    for each in (out, *memory.written):
        assert each.spoiled() == 0


def main(name: str, numbers: Iterable[int]) -> None:
    with aotconv.use(name):
        for number in numbers:
            print(number, flush=True)
            check_case(number)


if __name__ == "__main__":
    first, _, last = sys.argv[2].partition("-")
    main(sys.argv[1], range(int(first), int(last or first) + 1))
