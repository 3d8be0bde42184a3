"""Calls of every door in guarded memory, each known by an operator and a number.

    python tests/guarded_operators.py x86-64-v3 pool:17            one case again
    python tests/guarded_operators.py jit pool:0-99 softmax:0-9    a hundred, and so on
    valgrind python tests/guarded_operators.py --heap ...          in memory that it watches

Each case prints its name before it runs.  A process that a guard ends has so told which it was.
`guarded_cases.py` has convolutions by the rows that compute them.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from guarded import Heap, Layout, Pages
from guarded_cases import LIMITS, Draws, numbered
from kept import forget
from oracle import assert_same_bits
from strategies import LETTERS, any_values, integer_values, real_values

import aotconv
from aotconv import gradients, ndimage, signal
from aotconv._core import (
    direct,
    elementwise,
    jobs,
    one_channel,
    operator,
    pack,
    pool,
    repeat,
    softmax,
)
from aotconv._core.elementwise import evaluate
from aotconv._plan import means, outer, staging
from aotconv._plan.activations import ACTIVATIONS, CLAMPS
from aotconv._plan.borders import MODES
from aotconv._plan.geometry import extent
from aotconv._plan.softmax import BLOCK
from aotconv._tools.problem import FUNCTIONS

FLOATS = "float32", "float64"
STORED = "float16", "int8", "uint8", "int16", "int32", "int64", "uint64", "complex64", ">f4"
POOLED = "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"
PIXELS = {1: (90,), 2: (9, 60), 3: (4, 7, 30)}  # of each axis, beyond those that a window needs
# Of plans and of what cuts calls, so that small ones are cut and packed, too; first what they have.
OF_OUTER = {
    (outer, "CHUNK_PIXELS"): (outer.CHUNK_PIXELS, 30, 7),
    (outer, "PANEL_BYTES"): (outer.PANEL_BYTES, 0),
    (outer, "IMAGE_BYTES"): (outer.IMAGE_BYTES, 2048),
    (outer, "LEAST_PIXELS"): (outer.LEAST_PIXELS, 3),
    (outer, "PACKING_SHARE"): (outer.PACKING_SHARE, 0),
}
OF_FILTERS = LIMITS | {
    (staging, "ROWS"): (2, staging.ROWS),
    (means, "LEAST_ROWS"): (means.LEAST_ROWS, 1),
    (means, "NEAR_BYTES"): (means.NEAR_BYTES, 1),
    (means, "ROW_BYTES"): (means.ROW_BYTES, 1),
}
OF_SIGNALS = LIMITS | {
    (direct, "FEW"): (direct.FEW, 0),
    (one_channel, "KEPT_BYTES"): (one_channel.KEPT_BYTES, 0),
}
OF_POOLS = {(pool, "LONGEST_MICROSECONDS"): (pool.LONGEST_MICROSECONDS, 50)}
OF_FUNCTIONS = {
    (elementwise, "PIECE"): (elementwise.PIECE, 1 << 13),
    (softmax, "PIECE"): (softmax.PIECE, BLOCK),  # whole blocks, which are summed by themselves
}


class Call(NamedTuple):
    """A call of a door.

    Attributes
    ----------
    door : callable
    arrays : dict
        What it reads, by name.
    options : dict
        All others of its arguments, but `out` and `threads`.
    limits : dict
        Of modules: the values that a constant may have.
    is_exact : bool
        Whether NumPy's rung gives the same bits.
    """

    door: Callable[..., Any]
    arrays: dict[str, np.ndarray]
    options: dict[str, Any]
    limits: dict[tuple[ModuleType, str], tuple[int, ...]]
    is_exact: bool = True

    def expected(self) -> tuple[np.ndarray, ...]:
        """The results, in memory like any other."""
        rung = "numpy" if self.is_exact else aotconv.active().name
        with aotconv.use(rung):
            return as_tuple(self.door(**self.arrays, **self.options))


def as_tuple(results) -> tuple[np.ndarray, ...]:
    return results if isinstance(results, tuple) else (results,)


class Memory:
    """Arrays between pages without access, or between what valgrind watches."""

    def __init__(self, rng: Draws, kind: type[Pages] | type[Heap]) -> None:
        self.rng, self.kind = rng, kind
        self.written: list[Pages | Heap] = []

    def layout(self, ndim: int) -> Layout:
        """Mostly one that kernels can address."""
        gaps = [self.rng.one(0, 0, 1, 5) for _ in range(ndim)]
        order = tuple(range(ndim))
        if ndim:
            gaps[-1] = self.rng.one(*[0] * 9, 1)
            if self.rng.often(0.15):
                first = self.rng.one(*order)
                order = (*order[:first], ndim - 1, *order[first:-1])
        backwards = tuple(axis for axis in range(ndim - 1) if self.rng.often(0.1))
        return Layout(order, tuple(gaps), backwards)

    def place(self, shape, dtype, layout: Layout | None = None) -> Pages | Heap:
        """Room for what is written; all around it is looked at in the end."""
        held = self.kind(shape, dtype, self.rng.often(0.5), layout)
        self.written.append(held)
        return held

    def hold(self, values: np.ndarray, layout: Layout | None = None) -> np.ndarray:
        """The values, where they can be read alone."""
        held = self.kind(values.shape, values.dtype, self.rng.often(0.5), layout)
        held.array[...] = values
        held.freeze()
        return held.array

    def table(self, words) -> np.ndarray:
        return self.hold(np.array(words, np.int64))

    def empty(self, shape, dtype=np.float64) -> np.ndarray:
        return self.place(shape if isinstance(shape, tuple) else (shape,), dtype).array

    def staging(self, size: int) -> tuple[np.ndarray, int]:
        array = self.empty(size, np.uint8)
        return array, array.ctypes.data

    def patches(self) -> Iterator[Any]:
        """What puts all that compiled code is given between guards."""
        yield mock.patch.object(jobs, "_table", self.table)
        yield mock.patch.object(jobs, "_staging", self.staging)
        yield mock.patch.object(pack, "_aligned", self.empty)
        # Results; indices; copied rows, and what is kept of a row's blocks.
        for module in (operator, pool, repeat, softmax):
            own = SimpleNamespace(**{**vars(np), "empty": self.empty})
            yield mock.patch.object(module, "np", own)


# What is drawn.


class Convolution(NamedTuple):
    """A convolution that fits, and arrays of it, of small integers or of any."""

    rank: int
    images: np.ndarray
    filters: np.ndarray
    bias: np.ndarray
    result: np.ndarray
    options: dict[str, Any]  # strides, padding, dilations, groups, data_format, filter_format

    def door(self, name: str, where=aotconv) -> Callable[..., Any]:
        return getattr(where, name.format(self.rank))


def convolution(rng: Draws) -> Convolution:
    rank = rng.one(2, 1, 3, 2)
    groups, channels, filters = channels_of(rng)
    kernel = tuple(rng.size(most) for most in (rng.one(1, 1, 2), 3, 7)[3 - rank :])
    if rank > 1 and rng.often(0.4):  # which have kernels of their own
        kernel = (*kernel[:-2], *[rng.one(3, 5)] * 2)
    strides, dilations = (
        tuple(rng.one(1, most, 2 * most - 1) for _ in kernel)
        for most in (rng.one(1, 2), rng.one(1, 1, 2))
    )
    pads = tuple((rng.one(0, 0, 1, 3), rng.one(0, 0, 1, 3)) for _ in kernel)
    sizes = [
        max(1, extent(k, d) - sum(pad)) + rng.size(some) - 1
        for k, d, pad, some in zip(kernel, dilations, pads, PIXELS[rank], strict=True)
    ]
    dtype = rng.one(*FLOATS, *FLOATS, *STORED) if rng.often(0.5) else rng.one(*FLOATS)
    leading = rng.one((1,), (2,), (3,), (), (2, 2))
    wrap = np.dtype(dtype).kind in "iu" and rng.often(0.5)
    values = functools.partial(any_values if wrap else integer_values, rng.rng)
    arrays = {
        "images": values((*leading, *sizes, groups * channels), dtype),
        "filters": values((*kernel, channels, groups * filters), dtype),
    }
    outs = FUNCTIONS[rank](
        *arrays.values(), None, strides, pads, dilations=dilations, groups=groups
    )
    arrays["result"] = values(outs.shape, dtype)
    options = {"strides": strides, "padding": pads, "dilations": dilations, "groups": groups}
    if rng.often(0.3):
        options["data_format"] = "channels_first"
        for name in ("images", "result"):
            arrays[name] = np.moveaxis(arrays[name], -1, -1 - rank).copy()
    if rng.often(0.2):
        options["filter_format"] = f"OI{LETTERS[rank]}"
        arrays["filters"] = np.moveaxis(arrays["filters"], (-1, -2), (0, 1)).copy()
    return Convolution(rank, bias=values(outs.shape[-1:], dtype), options=options, **arrays)


def channels_of(rng: Draws) -> tuple[int, int, int]:
    """Groups, channels and filters of each."""
    if rng.often(0.25):
        return rng.size(70), 1, 1
    groups = rng.one(1, 1, 1, 2, 3)
    return groups, rng.size(30), rng.size(rng.one(9, 70))


def finishing(rng: Draws, result: np.ndarray) -> dict[str, dict[str, Any]]:
    """What a convolution of either direction may have behind its sums."""
    dtype, options = result.dtype, {}
    if dtype.kind != "c":
        options["activation"] = rng.one(*CLAMPS)
    if dtype.kind in "iu":
        exact = np.abs(result.astype(float)).max(initial=0) < 2**16  # sums, in any order
        options["saturate"] = rng.often(0.3) and bool(exact)
    elif rng.often(0.15):
        options["dtype"] = "complex128" if dtype.kind == "c" else rng.one("float64", "float32")
    return {"arrays": {"residual": result} if rng.often(0.4) else {}, "options": options}


def convolve(rng: Draws) -> Call:
    c = convolution(rng)
    rest = finishing(rng, c.result)
    arrays = {"images": c.images, "filters": c.filters} | rest["arrays"]
    if rng.often(0.5):
        arrays["bias"] = c.bias
    options = c.options | rest["options"]
    if rng.often(0.7):
        options["padding_mode"] = modes = [rng.one(*MODES) for _ in range(c.rank)]
        options["padding_value"] = rng.one(0, 1) if {"constant", "zeros"} & {*modes} else 0
    return Call(c.door("conv{}d"), arrays, options, LIMITS)


def transpose(rng: Draws) -> Call:
    """The other way: from what the convolution makes, to arrays as its images are, or others."""
    c = convolution(rng)
    first = "data_format" in c.options
    spatial = c.images.shape[-c.rank :] if first else c.images.shape[-1 - c.rank : -1]
    channels = c.images.shape[-1 - c.rank if first else -1]
    rest = finishing(rng, c.images)
    arrays, options = {"images": c.result, "filters": c.filters}, c.options | rest["options"]
    if rng.often(0.6):
        arrays |= rest["arrays"]
        options["output_size"] = spatial
    else:  # extended, and behind by pixels that windows may reach
        steps = map(max, options["strides"], options["dilations"])
        options["output_padding"] = tuple(rng.size(step) - 1 for step in steps)
        options["padding"] = tuple((-rng.one(0, 0, 1, 3), -rng.one(0, 0, 2)) for _ in spatial)
    if rng.often(0.5):
        arrays["bias"] = np.arange(channels).astype(c.images.dtype)
    return Call(c.door("conv{}d_transpose"), arrays, options, LIMITS)


def images(rng: Draws) -> Call:
    c = convolution(rng)
    arrays = {"output_gradient": c.result, "filters": c.filters}
    options = c.options | {"images_shape": c.images.shape}
    return Call(c.door("conv{}d_images", gradients), arrays, options, LIMITS)


def filters(rng: Draws) -> Call:
    c = convolution(rng)
    arrays = {"images": c.images, "output_gradient": c.result}
    options = c.options | {"filters_shape": c.filters.shape}
    return Call(c.door("conv{}d_filters", gradients), arrays, options, OF_OUTER)


def pools(rng: Draws) -> Call:
    rank = rng.one(2, 1, 3, 2)
    window = tuple(rng.size(most) for most in (3, 4, 7)[3 - rank :])
    strides, dilations = (tuple(rng.one(1, 1, 2, 3) for _ in window) for _ in range(2))
    spans = list(map(extent, window, dilations))
    pads = tuple((rng.one(0, 0, span - 1), rng.one(0, 0, span - 1)) for span in spans)
    sizes = [
        max(1, span - sum(pad)) + rng.size(most) - 1
        for span, pad, most in zip(spans, pads, PIXELS[rank], strict=True)
    ]
    shape = (*rng.one((1,), (2,), (), (2, 2)), *sizes, rng.size(rng.one(4, 70)))
    dtype = rng.one(*FLOATS, *POOLED)
    array = rng.rng.integers(0, 9, shape).astype(dtype)
    options = {"window": window, "strides": strides, "padding": pads, "dilations": dilations}
    options["ceil_mode"] = rng.often(0.4)
    if rng.often(0.3):
        options["data_format"] = "channels_first"
        array = np.moveaxis(array, -1, -1 - rank).copy()
    kind = rng.one("max", "max", "average")
    more = "return_indices" if kind == "max" else "count_padding"
    options[more] = rng.often(0.6)
    door = getattr(aotconv, f"{kind}_pool{rank}d")
    return Call(door, {"images": array}, options, OF_POOLS)


def rows_of_floats(rng: Draws) -> np.ndarray:
    """Some rows, around the ends of vectors, and sometimes of what is computed at a time."""
    dtype = np.dtype(rng.one(*FLOATS))
    lanes = 64 // dtype.itemsize
    ends = (1, 2, lanes // 4 + 1, lanes - 1, lanes, lanes + 1, 2 * lanes + 3, rng.size(300))
    length = rng.one(BLOCK, BLOCK + 1, 70_001) if rng.often(0.03) else rng.one(*ends)
    return real_values(rng.rng, (rng.one(1, 3) if length < BLOCK else 1, length), dtype)


def elementwise_call(rng: Draws) -> Call:
    name = rng.one(*ACTIVATIONS, ("leaky_relu", -0.5), "erf", "exp")
    doors = {"erf": aotconv.erf, "exp": exp}
    arrays = {"array": rows_of_floats(rng)}
    if name in doors:
        return Call(doors[name], arrays, {}, OF_FUNCTIONS, is_exact=False)
    return Call(aotconv.activate, arrays, {"activation": name}, OF_FUNCTIONS, is_exact=False)


def exp(array, out=None, threads=None) -> np.ndarray:
    """That which softmax has a part of; no door."""
    return evaluate(array, "exp", out, threads)


def softmax_call(rng: Draws) -> Call:
    array, axis = rows_of_floats(rng), -1
    if rng.often(0.3):
        array, axis = array.T.copy(), 0
    return Call(aotconv.softmax, {"array": array}, {"axis": axis}, OF_FUNCTIONS, is_exact=False)


def filter_call(rng: Draws) -> Call:
    """Of an array of 1 to 4 axes; whole numbers give NumPy's rung the same."""
    rank = rng.one(1, 2, 2, 3, 4)
    most = {1: (200,), 2: (rng.one(40, 160), 70)}.get(rank, (9,) * rank)
    shape = tuple(map(rng.size, most))
    if rng.often(0.3):
        shape = (*shape[:-1], 3)
    dtype = np.dtype(rng.one(*FLOATS, *FLOATS, *POOLED))
    names = "correlate", "correlate1d", "gaussian_filter", "uniform_filter", "laplace"
    is_long = rng.often(0.25)  # enough for windows along both axes at once
    if is_long:
        shape = (rng.size(40), *rng.one((63 + rng.size(90),), (21 + rng.size(40), 3)))
        rank, dtype, names = len(shape), np.dtype(rng.one("uint8", "float32")), names[2:4]
    array = rng.rng.integers(0, 100, shape).astype(dtype)
    modes = "reflect", "mirror", "nearest", "wrap", "constant"
    name = rng.one(*names)
    options: dict[str, Any] = {"mode": rng.one(*modes), "cval": rng.one(0.0, 2.5)}
    if name == "correlate":
        weights = rng.rng.integers(-2, 3, [rng.size(rng.one(2, 5)) for _ in shape])
        options["weights"] = weights / rng.one(1, 7)
    elif name == "correlate1d":
        weights = rng.rng.integers(-2, 3, rng.size(40)) / rng.one(1, 7)
        symmetric = weights + weights[::-1], weights - weights[::-1]
        options |= {"weights": rng.one(weights, *symmetric), "axis": rng.size(rank) - 1}
    elif name == "gaussian_filter":
        options |= {"sigma": rng.one(0.4, 0.6, 1.0, 2.3), "order": rng.one(0, 0, 1)}
    elif name == "uniform_filter":
        options["size"] = rng.size(rng.one(9, 40))
    if is_long:
        options["axes"] = 0, 1
    if dtype.kind in "iu":
        options["saturate"] = rng.often(0.9 if is_long else 0.3)
    is_exact = dtype.kind in "iu" and not options["saturate"]
    return Call(functools.partial(filtered, name), {"array": array}, options, OF_FILTERS, is_exact)


def filtered(name: str, array, out=None, threads=None, **options) -> np.ndarray:
    """A filter of `ndimage`, with arguments as other doors have them."""
    return getattr(ndimage, name)(array, output=out, threads=threads, **options)


def signal_call(rng: Draws) -> Call:
    """Sums of whole numbers, which are exact."""
    name = rng.one("convolve", "correlate", "convolve2d", "upfirdn")
    rank = {"convolve2d": 2, "upfirdn": rng.one(1, 2)}.get(name, rng.one(1, 1, 2, 3, 4))
    most = {1: rng.one(70, 400), 2: 40, 3: 9}.get(rank, 5)
    sizes = [rng.size(most) for _ in range(rank)]
    dtype = rng.one(*FLOATS, *STORED)
    wraps = np.dtype(dtype).kind in "iu" and name != "upfirdn" and rng.often(0.5)
    values = functools.partial(any_values if wraps else integer_values, rng.rng)
    taps = [rng.size(rng.one(3, 9, 40))] if rank == 1 or name == "upfirdn" else sizes
    taps = taps if len(taps) == 1 else [rng.size(min(9, size)) for size in sizes]
    arrays = {"in1": values(sizes, dtype), "in2": values(taps, dtype)}
    if name == "upfirdn":
        arrays = {"h": integer_values(rng.rng, taps, "float32"), "x": arrays["in1"]}
        options = {"up": rng.size(20), "down": rng.size(20)}
        options["axis"] = rng.size(rank) - 1
    else:
        options = {"mode": rng.one("full", "same", "valid")}
        if rng.often(0.3):
            arrays = {"in1": arrays["in2"], "in2": arrays["in1"]}
        if name == "convolve2d":
            options |= {"boundary": rng.one("fill", "wrap", "symm", "reflect")}
            options |= {"fillvalue": rng.one(0, 1)}
        else:
            options["method"] = "direct"
    return Call(functools.partial(signalled, name), arrays, options, OF_SIGNALS)


def signalled(name: str, out=None, threads=None, **told) -> np.ndarray:
    """A function of `signal`, with arguments as other doors have them."""
    result = getattr(signal, name)(**told)
    if out is None:
        return result
    out[...] = result
    return out


OPERATORS: dict[str, Callable[[Draws], Call]] = {
    "filters": filters,
    "images": images,
    "transpose": transpose,
    "convolve": convolve,
    "pool": pools,
    "elementwise": elementwise_call,
    "softmax": softmax_call,
    "ndimage": filter_call,
    "signal": signal_call,
}


def check_case(name: str, kind: type[Pages] | type[Heap] = Pages) -> None:
    """The results of the case OPERATOR:NUMBER are right, and nothing else was written."""
    operator, _, number = name.partition(":")
    rng = Draws(list(OPERATORS).index(operator), int(number))
    with warnings.catch_warnings():
        warnings.simplefilter("error", aotconv.FallbackWarning)
        drawn = OPERATORS[operator](rng)
        expected, memory = drawn.expected(), Memory(rng, kind)
        forget()
        with contextlib.ExitStack() as stack:
            for patch in memory.patches():
                stack.enter_context(patch)
            for (module, name), values in drawn.limits.items():
                stack.enter_context(mock.patch.object(module, name, rng.one(*values)))
            arrays = {
                name: memory.hold(array, memory.layout(array.ndim))
                for name, array in drawn.arrays.items()
            }
            out = memory.place(
                expected[0].shape, expected[0].dtype, memory.layout(expected[0].ndim)
            ).array
            times = rng.one(1, 1, 4)  # from the third one on calls are known
            if not drawn.is_exact and rng.often(0.3):  # a function of an array may be in its place
                out[...] = arrays["array"]
                arrays["array"], times = out, 1
            threads = rng.one(None, 1, 2, 3)
            for _ in range(times):
                found = drawn.door(**arrays, **drawn.options, out=out, threads=threads)
        forget()
    assert as_tuple(found)[0] is out
    judge = np.testing.assert_array_equal if drawn.is_exact else assert_same_bits
    for one, right in zip(as_tuple(found), expected, strict=True):
        judge(one, right)
    for each in memory.written:
        assert each.spoiled() == 0


def main(*arguments: str) -> None:
    kind = Heap if arguments[0] == "--heap" else Pages
    rung, *cases = arguments[kind is Heap :]
    count = 0
    with aotconv.use(rung):
        for argument in cases:
            for name in numbered(argument):
                print(name, flush=True)
                check_case(name, kind)
                count += 1
    print(f"{count} cases")


if __name__ == "__main__":
    main(*sys.argv[1:])
