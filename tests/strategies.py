"""Hypothesis strategies for convolutions, built from small pieces so that failures shrink."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

from aotconv import Conv2D
from aotconv._core.check import DATA_FORMATS
from aotconv._tools.problem import Layer

FLOATS = ("float32", "float64", "float16")
INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "uint64")
COMPLEX = ("complex64", "complex128")

pairs = st.one_of(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3)))
ends = st.tuples(st.integers(0, 3), st.integers(0, 3))
paddings = st.one_of(
    st.sampled_from(["valid", "same", "SAME", "same_lower"]),
    st.integers(0, 3),
    ends,
    st.tuples(ends, ends),
)
activations = st.sampled_from([None, "relu", "relu6"])
layouts = st.sampled_from(
    ["C", "F", "reversed", "sliced", "misaligned", "byteswapped", "broadcast", "read-only"]
)
seeds = st.integers(0, 2**32 - 1)


class Problem(NamedTuple):
    """Arguments of a conv2d call."""

    images: np.ndarray
    filters: np.ndarray
    bias: np.ndarray | None
    strides: Any
    padding: Any
    options: dict[str, Any]  # dilations, groups, data_format, activation, perhaps algorithm
    residual: np.ndarray | None

    def __repr__(self) -> str:
        """Its text, as the benchmark prints and reads it, and what else there is.  Failures print
        it, and a blob that draws the values again."""
        shape = self.images.shape if self.images.ndim == 4 else (1, *self.images.shape)
        data_format = DATA_FORMATS[self.options["data_format"]]
        if data_format == "NCHW":
            shape = (shape[0], *shape[2:], shape[1])
        padding = self.padding.lower() if isinstance(self.padding, str) else self.padding
        sizes = shape, self.filters.shape, self.strides, padding, self.options["dilations"]
        text = Layer(*sizes, self.options["groups"], self.images.dtype.name, data_format).text
        names = ("activation", "algorithm")
        more = [str(self.options[name]) for name in names if self.options.get(name)]
        more += [name for name in ("bias", "residual") if getattr(self, name) is not None]
        strides = [f"{name} {getattr(self, name).strides}" for name in ("images", "filters")]
        return f"<{', '.join([text, *more])}; strides of {', '.join(strides)}>"

    def call(self, function, **more):
        args = (self.images, self.filters, self.bias, self.strides, self.padding)
        return function(*args, **self.options, residual=self.residual, **more)

    def layer(self) -> Conv2D:
        return Conv2D(self.filters, self.bias, self.strides, self.padding, **self.options)


def wrapping_values(rng, shape, dtype):
    """Values whose sums are beyond small integers but exact in float64."""
    if np.dtype(dtype).kind == "c":
        return integer_values(rng, shape, dtype)
    limits = np.iinfo(dtype)
    return rng.integers(max(limits.min, -(2**19)), min(limits.max, 2**19), shape).astype(dtype)


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
        return array[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]
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


@st.composite
def problems(
    draw, dtypes=FLOATS, values=integer_values, layout=layouts, mixed=False, winograd=False
):
    """Convolutions that fit: every option, small sizes around the tiles' edges.

    With `winograd`, those of that algorithm alone.
    """
    dtypes = ("float32", "float64") if winograd else dtypes
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    group_channels = draw(st.integers(0, 9))
    group_filters = draw(st.one_of(st.integers(0, 9), st.sampled_from([15, 16, 17, 33])))
    if draw(st.booleans()) and draw(st.booleans()):  # depthwise
        groups, group_channels = draw(st.sampled_from([2, 5, 8, 17, 33])), 1
        group_filters = draw(st.sampled_from([1, 1, 2]))
    kh, kw = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    if winograd:
        groups, kh, kw = 1, 3, 3
    h, w = draw(st.integers(0, 13)), draw(st.integers(0, 13))
    n = draw(st.sampled_from([1, 1, 2, 3, 0]))
    strides, dilations, padding = draw(pairs), draw(pairs), draw(paddings)
    if winograd:
        strides, dilations = 1, (1, 1)
    (dh, dw), zeros = np.broadcast_to(dilations, 2), np.zeros((2, 2), int)
    if not isinstance(padding, str):
        nested = isinstance(padding, tuple) and isinstance(padding[0], tuple)
        zeros[:] = padding if nested else np.broadcast_to(padding, 2)[:, np.newaxis]
    if not isinstance(padding, str) or padding == "valid":
        assume((kh - 1) * dh < h + zeros[0].sum() and (kw - 1) * dw < w + zeros[1].sum())

    rng = np.random.default_rng(draw(seeds))
    dtype = draw(st.sampled_from(dtypes))
    other = draw(st.sampled_from(dtypes)) if mixed else dtype
    images = values(rng, (n, h, w, groups * group_channels), dtype)
    filters = values(rng, (kh, kw, group_channels, groups * group_filters), other)
    bias = values(rng, (groups * group_filters,), dtype) if draw(st.booleans()) else None
    data_format = draw(st.sampled_from(["NHWC", "NCHW", "channels_last", "channels_first"]))
    if data_format in ("NCHW", "channels_first"):
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    images, filters = lay_out(images, draw(layout)), lay_out(filters, draw(layout))
    if draw(st.booleans()):
        images, filters = odd_strides(images), odd_strides(filters)
    if n == 1 and draw(st.booleans()):
        images = images[0]
    options = {"dilations": dilations, "groups": groups, "data_format": data_format}
    if winograd:
        options["algorithm"] = "winograd"
    options["activation"] = None if np.dtype(dtype).kind == "c" else draw(activations)
    problem = Problem(images, filters, bias, strides, padding, options, None)
    if draw(st.booleans()):
        shape = problem.layer().output_shape(images.shape)
        problem = problem._replace(residual=lay_out(values(rng, shape, dtype), draw(layout)))
    return problem
