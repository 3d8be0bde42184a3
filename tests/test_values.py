"""Values that arithmetic treats in its own way: NaN, infinities, signed zeros, denormals, and data
made to round badly; on every family of kernels."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
import sys
import warnings
from typing import NamedTuple

import numpy as np
import pytest
from conftest import AOT_LEVELS, COMPILED, DRAWN
from families import NO_LAYERS
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_same_bits, assert_within_bound_of_any_data
from strategies import problems, real_values, seeds

import aotconv
from aotconv._plan.family import Layer
from aotconv._plan.select import FAMILIES as PLANNED
from aotconv._plan.select import select
from aotconv._tools.problem import FUNCTIONS
from aotconv.reference import conv_reference


class Tried(NamedTuple):
    """A layer that a family computes."""

    filters: tuple[int, ...]
    groups: int = 1
    permuted: bool = False

    @property
    def rank(self) -> int:
        return len(self.filters) - 2

    @property
    def channels(self) -> int:
        return self.filters[-2] * self.groups

    def convolve(self, *arrays, **options):
        return FUNCTIONS[self.rank](*arrays, groups=self.groups, **options)

    def images(self, *sizes):
        """The shape of images of which these are the last sizes."""
        return (2, *sizes[-self.rank :], self.channels)


# By family, and what else there is to say.
FAMILIES = {
    "dense": Tried((3, 3, 24, 40)),
    "dense, small groups": Tried((3, 3, 2, 16), 8, permuted=True),
    "dense, one axis": Tried((5, 24, 40)),
    "dense, three axes": Tried((2, 3, 3, 24, 40)),
    "narrow": Tried((4, 4, 6, 2)),
    "narrow, three axes": Tried((2, 4, 4, 6, 2)),
    "planar": Tried((3, 5, 2, 3)),
    "planar, three axes": Tried((2, 3, 3, 1, 4)),
    "depthwise": Tried((3, 3, 1, 40), 40),
    "image": Tried((5, 5, 1, 3), 3),
    "strip": Tried((4, 6, 1, 3), 3),
    "strip, one axis": Tried((6, 1, 3), 3),
    "strip, three axes": Tried((2, 4, 6, 1, 3), 3),
}
families = pytest.mark.parametrize("family", FAMILIES)
assert {name.partition(",")[0] for name in FAMILIES} == set(PLANNED) - {
    "winograd",
    *NO_LAYERS,
}
real_problems = problems(dtypes=("float32", "float64"), values=real_values, layout=st.just("C"))


@families
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_layers_tried_here_are_computed_by_the_family_that_they_are_named_after(family, dtype):
    tried = FAMILIES[family]
    *kernel, channels, n_filters = tried.filters
    layer = Layer((*[1] * (3 - len(kernel)), *kernel), channels, n_filters, tried.groups)
    for level in ("x86-64-v3", "x86-64-v4"):
        row = select(layer, dtype, level)
        assert (row.family, bool(row.permuted)) == (family.partition(",")[0], tried.permuted)


def arrays(family, dtype, image=1.0, weight=1.0):
    """Images and filters of a family, each of one value, and what convolves them."""
    tried = FAMILIES[family]
    images = np.full(tried.images(4, 9, 11), image, dtype)
    return images, np.full(tried.filters, weight, dtype), tried.convolve


# --- what is not finite ---


@given(real_problems, st.sampled_from(DRAWN), st.sampled_from([np.nan, np.inf, -np.inf]), seeds)
def test_what_is_not_finite_in_one_pixel_reaches_exactly_its_receptive_field(
    problem, name, value, seed
):
    problem.options["activation"] = None  # ReLU makes 0 of minus infinity
    if 0 in problem.images.shape:
        return
    images = problem.images.copy()
    place = tuple(np.random.default_rng(seed).integers(images.shape))
    images[place] = value
    there = np.zeros_like(images)
    there[place] = 1
    ones = problem._replace(
        images=there, filters=np.ones_like(problem.filters), bias=None, residual=None
    )
    reached = ones.call(conv_reference) > 0
    with aotconv.use(name):
        before = problem.convolve()
        result = problem._replace(images=images).convolve()
    np.testing.assert_array_equal(~np.isfinite(result), reached)
    np.testing.assert_array_equal(result[~reached], before[~reached])


@families
def test_a_nan_in_one_weight_reaches_exactly_the_outputs_of_its_filter(rung, family):
    images, filters, convolve = arrays(family, np.float32)
    filters[(-1,) * (filters.ndim - 1)][1] = np.nan
    result = convolve(images, filters, padding="same")
    assert np.isnan(result[..., 1]).all()
    assert np.isfinite(np.delete(result, 1, axis=-1)).all()


# --- zeros and denormals ---


@families
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("sizes", [(4, 0, 11), (4, 9, 0), (0, 0, 0)])
def test_windows_that_see_padding_alone_give_the_bias_and_read_no_image(
    rung, family, data_format, sizes
):
    tried, filters = FAMILIES[family], arrays(family, np.float32)[1]
    bias = np.arange(filters.shape[-1], dtype=np.float32)
    images = np.empty(tried.images(*sizes), np.float32)
    if images.size:  # of one axis, of which the last alone is looked at
        images = images[:, :0]
    if data_format == "channels_first":
        images = np.moveaxis(images, -1, 1)
    result = tried.convolve(images, filters, bias, padding=7, data_format=data_format)
    result = result if data_format == "channels_last" else np.moveaxis(result, 1, -1)
    assert result.size > 0 and (result == bias).all()


@families
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("name", COMPILED)  # NumPy's products begin with a zero
def test_a_sum_of_negative_zeros_is_negative_zero_and_of_others_is_not(name, family, residual):
    images, filters, convolve = arrays(family, np.float32, image=-0.0)
    for zero in (-0.0, 0.0):
        bias = np.full(filters.shape[-1], zero, np.float32)
        with aotconv.use(name):
            result = convolve(images, filters, bias)
            if residual:
                result = convolve(images, filters, bias, residual=np.full_like(result, -0.0))
        assert (result == 0).all()
        assert (np.signbit(result) == np.signbit(zero)).all()


@families
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_denormals_are_computed_and_not_flushed(rung, family, dtype, threads):
    least = np.finfo(dtype).smallest_subnormal
    images, filters, convolve = arrays(family, dtype, image=least)
    result = convolve(images, filters, threads=threads)
    n_products = int(np.prod(filters.shape[:-1]))
    np.testing.assert_array_equal(result, np.dtype(dtype).type(n_products * least))
    residual = np.full_like(result, -least)
    result = convolve(images, filters, residual=residual, threads=threads)
    np.testing.assert_array_equal(result, np.dtype(dtype).type((n_products - 1) * least))


def control_bits():
    """The control bits of x87 and of MXCSR: rounding, traps, flushing; without the sticky flags
    of what has happened."""
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    environment = (ctypes.c_uint8 * 64)()
    assert libm.fegetenv(environment) == 0
    x87 = int.from_bytes(bytes(environment[0:2]), "little")
    mxcsr = int.from_bytes(bytes(environment[28:32]), "little")
    return x87, mxcsr & ~0x3F


def set_flushing(on):
    """Turn flush-to-zero and denormals-are-zero on or off, as libraries built with -ffast-math
    do."""
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    environment = (ctypes.c_uint8 * 64)()
    assert libm.fegetenv(environment) == 0
    mxcsr = int.from_bytes(bytes(environment[28:32]), "little") & ~0x8040
    environment[28:32] = (mxcsr | (0x8040 if on else 0)).to_bytes(4, "little")
    assert libm.fesetenv(environment) == 0


x86_linux = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or sys.platform != "linux",
    reason="reads glibc's fenv_t of x86-64",
)


@x86_linux
@families
@pytest.mark.parametrize("flushing", [False, True])
def test_the_control_bits_of_floating_point_are_the_same_after_as_before(rung, family, flushing):
    images, filters, convolve = arrays(family, np.float32, image=1e-30, weight=1e-10)
    set_flushing(flushing)
    try:
        before = control_bits()
        for threads in (1, 2):
            convolve(images, filters, threads=threads)
        after = control_bits()
    finally:
        set_flushing(False)
    assert after == before and bool(before[1] & 0x8040) == flushing


# --- rounding ---


def magnitudes(rng, shape, low, high):
    """Values of all magnitudes between two powers of ten, of both signs."""
    return rng.choice([-1, 1], shape) * 10.0 ** rng.uniform(low, high, shape)


def hostile(kind, rng, images_shape, filters_shape, dtype):
    """Images, filters and bias whose sums round badly."""
    limit = 17 if dtype == "float32" else 150
    n_filters = filters_shape[-1]
    bias = np.zeros(n_filters)
    if kind == "huge and tiny":
        images = magnitudes(rng, images_shape, -limit, limit)
        filters = magnitudes(rng, filters_shape, -limit, limit)
        bias = magnitudes(rng, n_filters, -2 * limit, 2 * limit)
    elif kind == "underflow":
        images = magnitudes(rng, images_shape, -2.6 * limit, -limit)
        filters = magnitudes(rng, filters_shape, -2 * limit, 0)
    elif kind == "cancelling":  # all but a millionth of a sum goes
        images = 1 + 1e-6 * rng.standard_normal(images_shape)
        filters = np.where(np.indices(filters_shape)[:-1].sum(0) % 2, 1.0, -1.0)
    elif kind == "cancelled by the bias":
        images = rng.uniform(0.5, 1, images_shape)
        filters = rng.uniform(0.5, 1, filters_shape)
        bias[:] = -0.5625 * np.prod(filters_shape[:-1])
    else:  # "of one sign": rounding errors are as large as the sum that has grown
        images = rng.uniform(0.5, 1, images_shape)
        filters = rng.uniform(0.5, 1, filters_shape)
    return images.astype(dtype), filters.astype(dtype), bias.astype(dtype)


KINDS = ["huge and tiny", "underflow", "cancelling", "cancelled by the bias", "of one sign"]


@families
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_hostile_data_stays_within_the_bound_for_any_data(rung, family, kind, dtype):
    tried = FAMILIES[family]
    rng = np.random.default_rng(len(family) + 10 * len(kind))
    images, filters, bias = hostile(kind, rng, tried.images(4, 8, 9), tried.filters, dtype)
    residual = np.asarray(-conv_reference(images, filters, bias, groups=tried.groups), dtype)
    for more in (None, residual):
        result = tried.convolve(images, filters, bias, residual=more)
        options = {"groups": tried.groups, "residual": more}
        assert_within_bound_of_any_data(result, images, filters, bias, **options)


many_windows = pytest.mark.long  # the oracle takes tap after tap


@pytest.mark.parametrize(
    ("images_shape", "filters_shape", "groups"),
    [
        ((1, 2, 3, 100_000), (1, 1, 100_000, 9), 1),
        ((1, 2, 3, 100_000), (1, 1, 100_000, 2), 1),
        ((1, 3, 4, 11_111), (3, 3, 11_111, 17), 1),
        ((1, 2, 2, 100_000), (1, 1, 50_000, 4), 2),
        pytest.param((1, 101, 1001, 1), (100, 1000, 1, 3), 1, marks=many_windows),
        pytest.param((1, 317, 318, 2), (316, 316, 1, 2), 2, marks=many_windows),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_reductions_of_a_hundred_thousand_stay_within_the_bound_for_any_data(
    images_shape, filters_shape, groups, kind
):
    rng = np.random.default_rng(len(kind))
    images, filters, bias = hostile(kind, rng, images_shape, filters_shape, "float32")
    results = []
    for name in AOT_LEVELS:
        with aotconv.use(name):
            results.append(aotconv.conv2d(images, filters, bias, groups=groups))
    assert_within_bound_of_any_data(np.array(results), images, filters, bias, groups=groups)


any_kind = problems(dtypes=("float32", "float64", "float16"), layout=st.just("C"))


@given(any_kind, st.sampled_from(KINDS), st.sampled_from(DRAWN), seeds)
def test_any_layer_stays_within_the_bound_for_any_data(problem, kind, name, seed):
    problem.options["activation"] = None
    rng = np.random.default_rng(seed)
    shapes, dtype = (problem.images.shape, problem.filters_last.shape), problem.filters.dtype
    if dtype == np.float16:
        images, filters, bias = (rng.uniform(-9, 9, s) for s in (*shapes, shapes[1][-1]))
        images, filters, bias = (a.astype(dtype) for a in (images, filters, bias))
    else:
        images, filters, bias = hostile(kind, rng, *shapes, dtype.name)
    if problem.options["filter_format"].startswith("OI"):
        filters = np.moveaxis(filters, (-1, -2), (0, 1))
    problem = problem._replace(images=images, filters=filters, bias=bias)
    with aotconv.use(name):
        result = problem.convolve()
    problem.call(lambda *args, **options: assert_within_bound_of_any_data(result, *args, **options))


# --- NumPy's own error state ---

TINY = {"float16": 2e-4, "float32": 1e-30, "float64": 1e-200}  # whose squares underflow


@pytest.mark.parametrize("dtype", TINY)
def test_numpys_error_state_is_nobodys_business(rung, dtype):
    images = np.full((1, 40, 40, 3), TINY[dtype], dtype)
    filters = np.full((3, 3, 3, 2), TINY[dtype], dtype)
    residual = np.full((1, 38, 38, 2), 1e-310)  # a denormal, and less than float32 has
    bias = np.array([np.finfo(dtype).max, np.inf], dtype)
    huge = np.full((3, 3, 3, 2), np.finfo(dtype).max, dtype)
    calls = [
        lambda **more: aotconv.conv2d(images, filters, **more),
        lambda **more: aotconv.conv2d(images, filters, bias, residual=residual, **more),
        lambda **more: aotconv.conv2d(images, huge, activation="relu", **more),
        lambda **more: aotconv.conv2d(images[..., :0], filters[:, :, :0], bias, **more),
    ]
    for call in calls:
        with np.errstate(all="ignore"):
            expected = call()
        with np.errstate(all="raise"):
            assert_same_bits(call(), expected)
            assert_same_bits(call(out=np.asfortranarray(np.empty_like(expected))), expected)


def test_a_signalling_nan_says_nothing_where_it_is_converted(rung):
    signalling = np.full((1, 4, 4, 1), 0x7FA00000, np.uint32).view(np.float32)
    ones = np.ones((2, 2, 1, 1))
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        assert np.isnan(aotconv.conv2d(signalling, ones)).all()
        filters = signalling[0, :2, :2, :, np.newaxis]
        assert np.isnan(aotconv.conv2d(np.ones((1, 4, 4, 1)), filters)).all()
        bias = signalling[0, 0, 0]
        assert np.isnan(aotconv.conv2d(np.ones((1, 4, 4, 1)), ones, bias)).all()
