"""Calls of `ndimage`, drawn from small pieces so that failures shrink; what is right of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from strategies import lay_out, layouts, seeds

from aotconv import ndimage

# SciPy's modes and those of np.pad.
MODES = {
    **dict.fromkeys(("reflect", "grid-mirror"), "symmetric"),
    "mirror": "reflect",
    "nearest": "edge",
    **dict.fromkeys(("wrap", "grid-wrap"), "wrap"),
    **dict.fromkeys(("constant", "grid-constant"), "constant"),
}
INTEGERS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FLOATS = ("float32", "float64")
LARGEST = {1: 30, 2: 9, 3: 6, 4: 4}  # sizes of axes by rank
EPS = np.finfo(np.float64).eps

modes = st.sampled_from(list(MODES))


class Call(NamedTuple):
    """Arguments of a filter."""

    name: str
    array: np.ndarray
    arguments: dict[str, Any]

    def __repr__(self) -> str:
        """Values are drawn by a seed among the arguments of what fails."""
        array = self.array
        about = f"{array.dtype} {array.shape} of strides {array.strides}"
        return f"<{self.name} of {about}: {self.arguments}>"

    def __call__(self, library=ndimage, **more) -> np.ndarray:
        return getattr(library, self.name)(self.array, **self.arguments, **more)


def whole_values(rng, shape, dtype) -> np.ndarray:
    """Numbers whose sums are exact and in no integer's way."""
    low = 0 if np.dtype(dtype).kind in "bu" else -3
    return rng.integers(low, 4, shape).astype(dtype)


def any_values(rng, shape, dtype) -> np.ndarray:
    """Integers of all sizes, and floats of some."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    return (rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(dtype)


def with_specials(rng, shape, dtype) -> np.ndarray:
    """Whole numbers, and of floats a few that are not finite."""
    values = whole_values(rng, shape, dtype)
    if values.dtype.kind == "f":
        chosen = rng.random(shape) < 0.1
        values[chosen] = rng.choice([np.nan, np.inf, -np.inf], int(chosen.sum()))
    return values


@st.composite
def origins(draw, size: int) -> int:
    return draw(st.integers(-(size // 2), (size - 1) // 2))


def lines(whole: bool):
    """Weights of one axis: of none but odd numbers of taps are some symmetric or antisymmetric."""
    number = st.integers(-4, 4).map(float) if whole else st.floats(-3, 3, width=16)
    line = st.lists(number, min_size=1, max_size=8)
    half = st.lists(number, min_size=1, max_size=3)
    symmetric = st.tuples(half, number).map(lambda each: [*each[0], each[1], *each[0][::-1]])
    opposite = st.tuples(half, number).map(
        lambda each: [*each[0], each[1], *(-one for one in each[0][::-1])]
    )
    return st.one_of(line, symmetric, opposite)


@st.composite
def calls(draw, names, dtypes, values=whole_values, whole=True, outputs=(None,), largest=LARGEST):
    """Calls of functions of some names, of arrays of 1 to 4 axes."""
    name = draw(st.sampled_from(names))
    rank = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(1, largest[rank])) for _ in range(rank))
    rng = np.random.default_rng(draw(seeds))
    array = lay_out(values(rng, shape, draw(st.sampled_from(dtypes))), draw(layouts))
    arguments = draw(_arguments(name, rank, rng, whole))
    if draw(st.booleans()):
        arguments["cval"] = draw(st.sampled_from([0.0, 2.0, -1.0, 0.0 if whole else 0.75]))
    output = draw(st.sampled_from(outputs))
    if output is not None:
        arguments["output"] = np.dtype(output)
    return Call(name, array, arguments)


@st.composite
def _arguments(draw, name: str, rank: int, rng, whole: bool) -> dict[str, Any]:
    """Those of a function beside the array, the value of a border and the output."""
    axis = st.integers(-rank, rank - 1)
    if name in ("correlate", "convolve"):
        shape = [draw(st.integers(1, 4)) for _ in range(rank)]
        weights = rng.integers(-3, 4, shape) * (1.0 if whole else 0.3)
        origin = [draw(origins(size)) for size in shape]
        return {"weights": weights, "mode": draw(modes), "origin": origin}
    if name in ("correlate1d", "convolve1d"):
        line = draw(lines(whole))
        flip = name == "convolve1d"
        origin = draw(origins(len(line)))
        origin = -origin - (len(line) % 2 == 0) if flip else origin
        return {"weights": line, "axis": draw(axis), "mode": draw(modes), "origin": origin}
    if name == "uniform_filter1d":
        size = draw(st.integers(2, 7))
        about = {"axis": draw(axis), "mode": draw(modes), "origin": draw(origins(size))}
        return {"size": size, **about}
    each = draw(st.one_of(modes, st.lists(modes, min_size=rank, max_size=rank)))
    if name in ("sobel", "prewitt"):
        return {"axis": draw(axis), "mode": each}
    if name == "laplace":
        return {"mode": each}
    if name == "uniform_filter":
        sizes = [draw(st.integers(1, 5)) for _ in range(rank)]
        return {"size": sizes, "mode": each, "origin": [draw(origins(size)) for size in sizes]}
    if name == "correlate_separable":
        axes = draw(st.permutations(range(rank)))[: draw(st.integers(1, rank))]
        kernels = [draw(lines(whole)) for _ in axes]
        about = {"mode": draw(modes), "origin": [draw(origins(len(one))) for one in kernels]}
        return {"kernels": kernels, "axes": axes, **about}
    sigma = st.sampled_from([0.5, 0.8, 1.3, 2.1])
    if name == "gaussian_filter1d":
        about = {"axis": draw(axis), "order": draw(st.integers(0, 3)), "mode": draw(modes)}
        return {"sigma": draw(sigma), **about}
    arguments = {"sigma": [draw(sigma) for _ in range(rank)], "mode": each}
    if name == "gaussian_filter":
        arguments["order"] = [draw(st.integers(0, 3)) for _ in range(rank)]
    return arguments


def correlated(array, weights, modes, cval, before) -> np.ndarray:
    """The sums of an array's windows, by NumPy, in float64; weights of the array's rank, NaN where
    nothing is taken."""
    padded = array.astype(np.float64)
    each = zip(modes, before, weights.shape, strict=True)
    for axis, (mode, some, size) in enumerate(each):
        widths = [(some, size - 1 - some) if i == axis else (0, 0) for i in range(array.ndim)]
        constant = {"constant_values": cval} if MODES[mode] == "constant" else {}
        padded = np.pad(padded, widths, MODES[mode], **constant)
    windows = sliding_window_view(padded, weights.shape).reshape(*array.shape, weights.size)
    terms = (windows[..., k] * w for k, w in enumerate(weights.ravel()) if w == w)
    return sum(terms, np.zeros(array.shape))


def expected(call: Call) -> np.ndarray:
    """What NumPy makes of a call of whole numbers; between steps of the result's dtype."""
    array, told = call.array, dict(call.arguments)
    rank, cval = array.ndim, told.pop("cval", 0.0)
    dtype = told.pop("output", array.dtype.newbyteorder("="))
    mode = told.get("mode", "reflect")
    every = [mode] * rank if isinstance(mode, str) else list(mode)

    def along(source, line, axis, origin=0, mode=None, divided=1.0):
        shape, before = [1] * rank, [0] * rank
        shape[axis], before[axis] = len(line), len(line) // 2 + origin
        where = [mode or every[axis]] * rank
        weights = np.array(line, np.float64).reshape(shape)
        return stored(correlated(source, weights, where, cval, before) / divided, dtype)

    name = call.name
    if name in ("correlate", "convolve"):
        weights, shifts = told["weights"], told["origin"]
        if name == "convolve":
            weights = np.flip(weights)
            each = zip(shifts, weights.shape, strict=True)
            shifts = [-shift - (size % 2 == 0) for shift, size in each]
        before = [size // 2 + shift for size, shift in zip(weights.shape, shifts, strict=True)]
        weights = np.where(abs(weights) > EPS, weights, np.nan)  # so that a NaN is not seen
        return stored(correlated(array, weights, every, cval, before), dtype)
    if name == "correlate1d":
        return along(array, told["weights"], told["axis"], told["origin"])
    if name == "convolve1d":
        origin = -told["origin"] - (len(told["weights"]) % 2 == 0)
        return along(array, told["weights"][::-1], told["axis"], origin)
    if name == "uniform_filter1d":
        ones = [1.0] * told["size"]
        return along(array, ones, told["axis"], told["origin"], divided=told["size"])
    if name == "uniform_filter":
        steps = zip(range(rank), told["size"], told["origin"], strict=True)
        for axis, size, origin in steps:
            array = along(array, [1.0] * size, axis, origin, divided=size)
        return array
    if name == "correlate_separable":
        for axis, line, origin in zip(told["axes"], told["kernels"], told["origin"], strict=True):
            array = along(array, line, axis, origin)
        return array
    if name == "laplace":
        return sum(along(array, [1, -2, 1], axis) for axis in range(rank)).astype(dtype)
    axis, smooth = told["axis"] % rank, [1, 2, 1] if name == "sobel" else [1, 1, 1]
    array = along(array, [-1, 0, 1], axis)
    for other in range(rank):
        array = array if other == axis else along(array, smooth, other)
    return array


def stored(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Whole numbers in a dtype: integers truncated, and wrapped."""
    if np.dtype(dtype).kind not in "iu":
        return values.astype(dtype)
    return np.trunc(values).astype(np.int64).astype(dtype)


def gamma(n: int, dtype) -> float:
    """How much n roundings change a sum, of that of absolute values."""
    unit = np.finfo(dtype).eps / 2
    return n * unit / (1 - n * unit)
