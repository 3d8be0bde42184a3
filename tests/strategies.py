"""Hypothesis strategies for convolutions, built from small pieces so that failures shrink."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

from aotconv._plan.activations import CLAMPS, CURVES
from aotconv._tools.problem import CLASSES, FUNCTIONS, Layer

FLOATS = ("float32", "float64", "float16")
INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "uint64")
COMPLEX = ("complex64", "complex128")
LETTERS = {1: "W", 2: "HW", 3: "DHW"}
LARGEST_KERNEL = {1: 7, 2: 5, 3: 3}
FREE_PIXELS = {1: 30, 2: 10, 3: 4}  # of an axis, beyond those that a window needs

ranks = st.sampled_from([2, 1, 3, 2])
# The last ones have axes enough to lie in no order.
leadings = st.sampled_from([(1,), (2,), (), (3,), (0,), (2, 2), (3, 1), (2, 0), (1, 3, 2)])
few = st.integers(1, 3)
zeros = st.integers(0, 3)
ends = st.tuples(zeros, zeros)
clamps = st.sampled_from(CLAMPS)
slopes = st.sampled_from([-0.5, 0, 0.01, 0.25, 1])
activations = st.one_of(clamps, st.sampled_from(CURVES), st.tuples(st.just("leaky_relu"), slopes))
layouts = st.sampled_from(
    ["C", "F", "reversed", "sliced", "misaligned", "byteswapped", "broadcast", "read-only"]
)
seeds = st.integers(0, 2**32 - 1)


def tuples(each, rank: int):
    """One for each spatial axis."""
    return st.tuples(*[each] * rank)


def steps(rank: int):
    """Strides or dilations."""
    return st.one_of(few, tuples(few, rank))


def paddings(rank: int):
    rules = ["valid", "same", "SAME", "same_lower", "full", *(["causal"] if rank == 1 else [])]
    numbers = ends if rank == 1 else tuples(st.one_of(zeros, ends), rank)
    return st.one_of(st.sampled_from(rules), zeros, numbers, tuples(ends, rank))


def borders(rank: int, valued: bool):
    """Mostly zeros; else a mode for all axes, or one for each; with `valued` perhaps a value."""
    one = st.sampled_from(["constant", "reflect", "symmetric", "edge", "wrap", "circular"])
    modes = st.one_of(one, tuples(one, rank))
    more = {"padding_mode": "constant", "padding_value": 3} if valued else {}
    return st.one_of(st.sampled_from([{}, more]), modes.map(lambda each: {"padding_mode": each}))


def data_formats(rank: int):
    letters = LETTERS[rank]
    names = [f"N{letters}C", f"NC{letters}", "channels_last", "channels_first"]
    return st.sampled_from(names)


def filter_formats(rank: int):
    return st.sampled_from([f"{LETTERS[rank]}IO", f"OI{LETTERS[rank]}"])


def activations_of(dtype: np.dtype):
    """Those that a result of a dtype may have."""
    return {"c": st.none(), "f": activations}.get(dtype.kind, clamps)


class Problem(NamedTuple):
    """Arguments of a convolution; the filters say of how many spatial axes."""

    images: np.ndarray
    filters: np.ndarray
    bias: np.ndarray | None
    strides: Any
    padding: Any
    options: dict[str, Any]  # dilations, groups, formats, activation, perhaps algorithm, border
    residual: np.ndarray | None

    def __repr__(self) -> str:
        """Its text, as the benchmark prints and reads it, and what else there is.  Failures print
        it, and a blob that draws the values again."""
        images = self.images
        if self.options["data_format"].startswith(("NC", "channels_first")):
            images = np.moveaxis(images, -1 - self.rank, -1)
        layer = Layer(
            (math.prod(self.leading), *images.shape[-1 - self.rank :]),
            self.filters_last.shape,
            self.strides,
            self.padding.lower() if isinstance(self.padding, str) else self.padding,
            self.options["dilations"],
            self.options["groups"],
            self.images.dtype.name,
            self.options["data_format"],
            self.options["filter_format"],
        )
        more = [f"leading axes {self.leading}"] if len(self.leading) != 1 else []
        names = ("activation", "algorithm", "padding_mode", "padding_value")
        more += [str(self.options[name]) for name in names if self.options.get(name)]
        more += [name for name in ("bias", "residual") if getattr(self, name) is not None]
        strides = [f"{name} {getattr(self, name).strides}" for name in ("images", "filters")]
        return f"<{', '.join([layer.text, *more])}; strides of {', '.join(strides)}>"

    @property
    def rank(self) -> int:
        return self.filters.ndim - 2

    @property
    def leading(self) -> tuple[int, ...]:
        return self.images.shape[: -1 - self.rank]

    @property
    def filters_last(self) -> np.ndarray:
        """The filters, outputs last."""
        if self.options["filter_format"].startswith("OI"):
            return np.moveaxis(self.filters, (1, 0), (-2, -1))
        return self.filters

    def call(self, function, **more):
        args = (self.images, self.filters, self.bias, self.strides, self.padding)
        return function(*args, **self.options, residual=self.residual, **more)

    def convolve(self, **more) -> np.ndarray:
        """What the door of its rank gives."""
        return self.call(FUNCTIONS[self.rank], **more)

    def layer(self):
        make = CLASSES[self.rank]
        return make(self.filters, self.bias, self.strides, self.padding, **self.options)


def wrapping_values(rng, shape, dtype):
    """Values whose sums are beyond small integers but exact in float64."""
    if np.dtype(dtype).kind == "c":
        return integer_values(rng, shape, dtype)
    limits = np.iinfo(dtype)
    return rng.integers(max(limits.min, -(2**19)), min(limits.max, 2**19), shape).astype(dtype)


def any_values(rng, shape, dtype):
    """Integers of all that a type holds, whose sums wrap."""
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def integer_values(rng, shape, dtype):
    """Values whose sums of a few hundred products are exact in every dtype (integers wrap)."""
    low = 0 if np.dtype(dtype).kind == "u" else -2
    values = rng.integers(low, 3, shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.integers(-2, 3, shape)
    return values.astype(dtype)


def real_values(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


def lay_out(array, layout, hostile=None):
    """An array in memory of another layout, surrounded by what must not be read."""
    if hostile is None:
        hostile = 77 if array.dtype.kind in "iu" else np.nan
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "reversed":
        axes = range(array.ndim - 1)
        return np.flip(np.flip(array, axes).copy(), axes)
    if layout == "sliced":
        big = np.full([2 * size + 3 for size in array.shape], hostile, array.dtype)
        inside = big[tuple(slice(2, 2 + 2 * size, 2) for size in array.shape)]
        inside[...] = array
        return inside
    if layout == "misaligned":
        memory = np.empty(array.nbytes + 1, np.uint8)[1:]
        inside = memory.view(array.dtype).reshape(array.shape)
        inside[...] = array
        return inside
    if layout == "byteswapped":
        return array.astype(array.dtype.newbyteorder())
    if layout == "broadcast" and array.ndim > 1 and array.shape[1]:
        return np.broadcast_to(array[:, :1], array.shape)
    if layout == "read-only":
        array = array.copy()
        array.flags.writeable = False
    return array


def odd_strides(array):
    """The same array, with absurd strides on its axes of length 0 and 1."""
    axes = zip(array.shape, array.strides, strict=True)
    strides = [stride if size > 1 else 12345678901 for size, stride in axes]
    return as_strided(array, strides=strides, writeable=array.flags.writeable)


def least_size(padding, axis: int, rank: int, extent: int) -> int:
    """The pixels along an axis that a window needs."""
    if isinstance(padding, str):
        needed = {"valid": extent, "full": int(extent == 1), "causal": 1}
        return needed.get(padding, 0)
    if isinstance(padding, int):
        padding = (padding,) * rank
    elif rank == 1 and len(padding) == 2:
        padding = (padding,)  # (before, behind)
    each = padding[axis]
    return max(extent - (2 * each if isinstance(each, int) else sum(each)), 0)


@st.composite
def problems(
    draw, dtypes=FLOATS, values=integer_values, layout=layouts, mixed=False, winograd=False
):
    """Convolutions that fit: every rank and option, small sizes around the tiles' edges.

    With `winograd`, those of that algorithm alone.
    """
    dtypes = ("float32", "float64") if winograd else dtypes
    rank = 2 if winograd else draw(ranks)
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    group_channels = draw(st.integers(0, 9))
    group_filters = draw(st.one_of(st.integers(0, 9), st.sampled_from([15, 16, 17, 33])))
    if draw(st.booleans()) and draw(st.booleans()):  # depthwise
        groups, group_channels = draw(st.sampled_from([2, 5, 8, 17, 33])), 1
        group_filters = draw(st.sampled_from([1, 1, 2]))
    kernel = draw(tuples(st.integers(1, LARGEST_KERNEL[rank]), rank))
    strides, dilations, padding = draw(steps(rank)), draw(steps(rank)), draw(paddings(rank))
    if winograd:
        groups, kernel, strides, dilations = 1, (3, 3), 1, (1, 1)
    sizes = []
    for axis, (k, d) in enumerate(zip(kernel, np.broadcast_to(dilations, rank), strict=True)):
        least = least_size(padding, axis, rank, (k - 1) * int(d) + 1)
        sizes.append(draw(st.integers(least, least + FREE_PIXELS[rank])))

    rng = np.random.default_rng(draw(seeds))
    dtype = draw(st.sampled_from(dtypes))
    other = draw(st.sampled_from(dtypes)) if mixed else dtype
    images = values(rng, (*draw(leadings), *sizes, groups * group_channels), dtype)
    filters = values(rng, (*kernel, group_channels, groups * group_filters), other)
    bias = values(rng, (groups * group_filters,), dtype) if draw(st.booleans()) else None
    data_format, filter_format = draw(data_formats(rank)), draw(filter_formats(rank))
    if data_format.startswith(("NC", "channels_first")):
        images = np.ascontiguousarray(np.moveaxis(images, -1, -1 - rank))
    if filter_format.startswith("OI"):
        filters = np.ascontiguousarray(np.moveaxis(filters, (-1, -2), (0, 1)))
    images, filters = lay_out(images, draw(layout)), lay_out(filters, draw(layout))
    if draw(st.booleans()):
        images, filters = odd_strides(images), odd_strides(filters)
    options = {
        "dilations": dilations,
        "groups": groups,
        "data_format": data_format,
        "filter_format": filter_format,
        "activation": draw(activations_of(np.result_type(dtype, other))),
    }
    if winograd:
        options["algorithm"] = "winograd"
    if all(sizes):
        options |= draw(borders(rank, valued=values is not real_values))
    problem = Problem(images, filters, bias, strides, padding, options, None)
    if draw(st.booleans()):
        shape = problem.layer().output_shape(images.shape)
        problem = problem._replace(residual=lay_out(values(rng, shape, dtype), draw(layout)))
    return problem
