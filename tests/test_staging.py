"""Arrays of other types and layouts than kernels compute on: what staging converts, and how."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import AOT_LEVELS, COMPILED
from oracle import assert_exact
from rows import geometry_of
from strategies import integer_values, real_values

import aotconv
from aotconv import conv2d
from aotconv._core import jobs
from aotconv._core.dtypes import EXACT
from aotconv._plan import family
from aotconv._plan import staging as plan
from aotconv._plan.elements import ELEMENTS, element_of
from aotconv._plan.registry import LEVELS, ROWS, STORED_DEPTHWISE
from aotconv._plan.staging import NEAR_BYTES, Side, Staged, choose_box, inner, near_channels

try:
    import ml_dtypes
except ImportError:  # what needs it is skipped by name
    ml_dtypes = None

RNG = np.random.default_rng(10)
INTEGERS = [name for name in ELEMENTS if "int" in name]
needs_bfloat16 = pytest.mark.skipif(ml_dtypes is None, reason="ml_dtypes is not installed")
HALVES = ["float16", pytest.param("bfloat16", marks=needs_bfloat16)]


def dtype_of(name: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


# Of an array (N, H, W, C): what has its values, but lies otherwise in memory.
LAYOUTS = {
    "contiguous": lambda array: array.copy(),
    "planar": lambda array: np.ascontiguousarray(array.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1),
    "columns first": lambda array: np.asfortranarray(array),
    "apart": lambda array: np.repeat(np.repeat(array, 2, 2), 3, 3)[:, :, ::2, ::3],
    "backwards": lambda array: array[::-1, ::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1, ::-1],
    "swapped": lambda array: array.astype(array.dtype.newbyteorder("S")),
    "misaligned": lambda array: misaligned(array),
    "swapped planes": lambda array: LAYOUTS["planar"](LAYOUTS["swapped"](array)),
    "misaligned planes": lambda array: misaligned(array.transpose(0, 3, 1, 2)).transpose(
        0, 2, 3, 1
    ),
}


def misaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)
    moved = memory[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


# Filters (KH, KW, C / groups, O), channels and options: a layer for each family.
LAYERS = {
    "dense": ((3, 2, 5, 9), 5, {"padding": "same"}),
    "groups": ((3, 3, 4, 16), 8, {"groups": 2, "strides": 2}),
    "narrow": ((3, 3, 6, 2), 6, {"padding": 1}),
    "planar": ((3, 4, 2, 3), 2, {"padding": 1}),
    "depthwise": ((3, 3, 1, 40), 40, {"groups": 40, "padding": "same"}),
    "strip": ((2, 3, 1, 10), 10, {"groups": 10, "dilations": (1, 2), "padding": "same"}),
    "image": ((3, 3, 1, 1), 1, {"padding": "same"}),
    "colour": ((5, 5, 1, 3), 3, {"groups": 3}),
    "single pixels": ((1, 1, 7, 11), 7, {"strides": (1, 3)}),
}


@pytest.mark.skipif(not AOT_LEVELS, reason="needs modules")
@pytest.mark.parametrize(("channels", "staged"), [(1, True), (15, True), (16, False), (64, False)])
def test_strips_write_pixels_apart_themselves_where_they_are_long(channels, staged, monkeypatch):
    made = []
    staged_job = jobs._staged_job
    monkeypatch.setattr(jobs, "_staged_job", lambda *a: made.append(a) or staged_job(*a))
    images = integer_values(RNG, (1, 5, 9, channels), "float32")
    filters = integer_values(RNG, (2, 2, 1, channels), "float32")
    with aotconv.use(AOT_LEVELS[0]):
        for step in (1, 2):
            out = np.empty((1, 4, 8 * step, channels), "float32")[:, :, ::step]
            made.clear()
            conv2d(images, filters, groups=channels, out=out)
            assert bool(made) == (staged and step == 2)
            assert_exact(out, images, filters, groups=channels)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_layout_gives_the_bits_of_channels_that_lie_side_by_side(rung, layer, dtype):
    shape, channels, options = LAYERS[layer]
    images = real_values(RNG, (2, 11, 47, channels), dtype)
    filters, bias = real_values(RNG, shape, dtype), real_values(RNG, shape[3:], dtype)
    plain = conv2d(images, filters, bias, **options)
    residual = real_values(RNG, plain.shape, dtype)
    added = conv2d(images, filters, bias, residual=residual, activation="relu", **options)
    for name, lie in LAYOUTS.items():
        np.testing.assert_array_equal(conv2d(lie(images), filters, bias, **options), plain, name)
        if name.startswith("swapped"):
            continue  # `out` has this machine's order of bytes
        out = lie(np.full_like(plain, 7))
        arrays = lie(images), filters, bias
        more = LAYOUTS["planar"](residual)
        result = conv2d(*arrays, residual=more, activation="relu", out=out, **options)
        assert result is out
        np.testing.assert_array_equal(result, added, name)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", INTEGERS + HALVES)
def test_images_of_every_type_are_exact_under_float_filters(rung, layer, name):
    shape, channels, options = LAYERS[layer]
    drawn = np.abs(integer_values(RNG, (1, 9, 21, channels), "int8")).astype(dtype_of(name))
    filters = integer_values(RNG, shape, "float64" if "64" in name else "float32")
    for lie in LAYOUTS.values():
        images = lie(drawn)
        assert_exact(conv2d(images, filters, **options), drawn.astype(float), filters, **options)


@pytest.mark.parametrize("name", HALVES)
def test_every_half_is_read_and_written_as_it_is(rung, name):
    images = np.arange(1 << 16, dtype=np.uint16).view(dtype_of(name)).reshape(1, 256, 256, 1)
    images = images[np.isfinite(images.astype(np.float32))].reshape(1, 1, -1, 1)
    result = conv2d(images, np.ones((1, 1, 1, 1), dtype_of(name)))
    assert result.dtype == images.dtype
    np.testing.assert_array_equal(result, images)


@pytest.mark.parametrize("name", HALVES)
def test_halves_are_rounded_to_nearest_even(rung, name):
    dtype = dtype_of(name)
    halves = np.arange(0x8000, dtype=np.uint16).view(dtype).astype(np.float32)
    halves = halves[np.isfinite(halves)]
    middles = (halves[:-1].astype(np.float64) + halves[1:]) / 2
    near = [np.nextafter(middles.astype(np.float32), np.float32(end)) for end in (0, np.inf)]
    sums = np.concatenate([middles.astype(np.float32), *near, halves, [65519, 65520, 3e38, np.inf]])
    sums = np.concatenate([sums, -sums, [np.nan]]).astype(np.float32).reshape(1, 1, -1, 1)
    zeros = np.zeros(sums.shape, dtype)
    result = conv2d(zeros, np.ones((1, 1, 1, 1), dtype), residual=sums)
    with np.errstate(all="ignore"):
        expected = sums.astype(dtype)
        np.testing.assert_array_equal(result.astype(np.float32), expected.astype(np.float32))


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize(("window", "stride"), STORED_DEPTHWISE)
@pytest.mark.parametrize("channels", [7, 16, 21, 48])  # none is the image family's at any level
def test_depthwise_kernels_of_halves_round_what_those_of_floats_compute(
    rung, monkeypatch, name, window, stride, channels
):
    dtype = dtype_of(name)
    images = real_values(RNG, (2, 11, 23, channels), "float32").astype(dtype)
    images[0, 3, 5], images[0, 7, 9], images[1, 2] = np.inf, -np.inf, 1e-6  # or the least there is
    filters = real_values(RNG, (window, window, 1, channels), "float32").astype(dtype)
    bias = real_values(RNG, (channels,), "float32").astype(dtype)
    options = {"strides": stride, "padding": "same", "groups": channels}
    floats = [each.astype(np.float32) for each in (images, filters, bias)]
    with np.errstate(all="ignore"):
        expected = conv2d(*floats, **options).astype(dtype)
    level = aotconv.active().name
    if level in LEVELS and LEVELS[level].vector_bytes >= 32:
        monkeypatch.setattr(jobs, "_staged_job", None)  # they read and write the arrays themselves
    result = conv2d(images, filters, bias, **options)
    nan = np.isnan(expected.astype(np.float32))
    np.testing.assert_array_equal(np.isnan(result.astype(np.float32)), nan)
    np.testing.assert_array_equal(result[~nan].view(np.uint16), expected[~nan].view(np.uint16))


INTEGER_PAIRS = [  # but for those of which NumPy's common type is a float
    pair for pair in itertools.product(INTEGERS, repeat=2) if np.result_type(*pair).kind in "iu"
]


@pytest.mark.parametrize(("images", "filters"), INTEGER_PAIRS)
def test_integers_wrap_as_numpys(images, filters):
    """Whatever computes: floats or integers."""
    x, w = integer_values(RNG, (1, 6, 19, 3), images), integer_values(RNG, (3, 2, 3, 5), filters)
    x[0, 0, 0], x[0, 0, 1] = np.iinfo(images).max, np.iinfo(images).min
    w[0, 0, 0] = np.iinfo(filters).max // 3
    wide = np.result_type(x, w)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(wide), (3, 2), (1, 2))
    with np.errstate(over="ignore"):
        expected = np.einsum("nyxcij,ijco->nyxo", windows, w.astype(wide))
    result = conv2d(x, w)
    assert result.dtype == wide
    np.testing.assert_array_equal(result, expected)


# Filters by the family that computes them, and their groups; the types of images and filters by the
# floats that they ride on, of which the results have the size.
RIDERS = {
    "dense": ((3, 3, 6, 40), 1),
    "dense, taps outside skipped": ((3, 3, 256, 8), 1),
    "dense, small groups": ((3, 3, 2, 24), 12),
    "narrow": ((3, 3, 6, 2), 1),
    "planar": ((3, 3, 2, 5), 1),
    "image": ((3, 3, 1, 1), 1),
    "depthwise": ((5, 5, 1, 40), 40),
    "strip": ((4, 2, 1, 5), 5),
}
RIDDEN = {"float32": ("int8", "int32"), "float64": ("int32", "int64")}


@pytest.mark.parametrize("layout", ["contiguous", "planar", "apart"])
@pytest.mark.parametrize("floats", RIDDEN)
@pytest.mark.parametrize("name", RIDERS)
@pytest.mark.parametrize("level", AOT_LEVELS)
def test_integers_that_a_kernel_of_floats_writes_are_those_of_one_of_integers(
    level, name, floats, layout
):
    shape, groups = RIDERS[name]
    images_type, filters_type = RIDDEN[floats]
    images = integer_values(RNG, (2, 7, 45, shape[2] * groups), images_type)
    filters, bias = (integer_values(RNG, each, filters_type) for each in (shape, shape[3:]))
    options = {"padding": "same", "groups": groups}
    expected = conv2d(*(each.astype("int64") for each in (images, filters, bias)), **options)
    expected = expected.astype(filters_type)
    out = LAYOUTS[layout](np.full_like(expected, 99))
    residual = LAYOUTS[layout](integer_values(RNG, expected.shape, filters_type))
    with aotconv.use(level):
        conv2d(images, filters, bias, out=out, **options)
        np.testing.assert_array_equal(out, expected)
        conv2d(images, filters, bias, residual=residual, activation="relu6", out=out, **options)
    np.testing.assert_array_equal(out, np.clip(expected + residual, 0, 6))


@pytest.mark.parametrize("name", EXACT)
def test_sums_near_the_largest_that_are_exact_in_a_float_are_exact(name):
    """The largest weights that a float is used for, and one more."""
    for more in (-1, 0, 1):
        weight = math.ceil(EXACT[name]) // 255 + more
        images = np.full((1, 1, 40, 1), 255, np.uint8)
        result = conv2d(images, np.full((1, 1, 1, 1), weight, np.int64))
        assert (result == 255 * weight).all()


def test_truth_values_are_zero_and_one(rung):
    images = RNG.random((1, 8, 9, 2)) < 0.5
    filters = integer_values(RNG, (3, 3, 2, 4), "float32")
    expected = conv2d(images.astype(np.float32), filters)
    np.testing.assert_array_equal(conv2d(images, filters), expected)
    with pytest.raises(TypeError, match="filters must hold"):
        conv2d(images, np.ones((3, 3, 2, 4), bool))


@pytest.mark.parametrize(
    ("images", "filters"), [("f4", "c8"), ("c8", "f4"), ("c8", "c8"), ("c16", "c8"), ("f4", "c16")]
)
def test_complex_numbers_are_exact_in_every_layout(rung, images, filters):
    x = integer_values(RNG, (2, 7, 30, 6), images)
    for groups in (1, 2, 6):
        w = integer_values(RNG, (3, 2, 6 // groups, 12), filters)
        bias = integer_values(RNG, 12, "complex64")
        for lie in LAYOUTS.values():
            result = conv2d(lie(x), w, bias, padding="same", groups=groups)
            assert_exact(result, x, w, bias, 1, "same", groups=groups)


def test_unknown_types_of_elements_are_refused_by_name():
    with pytest.raises(TypeError, match=r"longdouble|float128"):
        element_of(np.dtype(np.longdouble))


# --- boxes -----------------------------------------------------------------------------------

FLOATS = next(row for row in ROWS if row.family == "staging" and row.dtype == "float32")
SIZES = [
    ((1, 1000, 1100, 1), (3, 3, 1, 1), {}),
    ((1, 1000, 1100, 3), (7, 7, 3, 8), {"padding": "same"}),
    ((4, 28, 28, 128), (3, 3, 128, 128), {"strides": 2}),
    ((9, 7, 7, 512), (3, 3, 512, 512), {"padding": 1}),
    ((1, 60, 120, 130, 1), (5, 5, 5, 1, 1), {}),
    ((1, 56, 56, 4000), (1, 1, 4000, 4), {"strides": 3}),
    ((1, 300, 300, 2), (3, 3, 2, 2), {"dilations": 90}),
    ((1, 5, 100_000, 16), (3, 9, 16, 16), {"padding": "full"}),
]


def staged(shape, filters, out, **options) -> Staged:
    side = Side(element_of(np.dtype("uint8")), (0,) * 5, aligned=True, swapped=False)
    geometry = geometry_of(shape, filters, **options)
    return Staged(FLOATS, geometry, side, side if out else None, (0,) * 5, None)


@pytest.mark.parametrize(("shape", "filters", "options"), SIZES)
@pytest.mark.parametrize("out", [False, True])
@pytest.mark.parametrize("tasks", [1, 8])
def test_boxes_fit_into_staging_memory_and_are_as_many_as_wanted(
    shape, filters, options, out, tasks
):
    work = staged(shape, filters, out, **options)
    box = choose_box(work, 1, tasks)
    sizes = work.geometry.shapes[1][:4]
    assert all(1 <= some <= size for some, size in zip(box, sizes, strict=True))
    assert math.prod(-(-size // some) for some, size in zip(box, sizes, strict=True)) >= tasks
    read = inner(work, box, box).shapes[0]
    assert math.prod(read) * 4 <= family.STAGING_BYTES or math.prod(box) == 1


@pytest.mark.parametrize(("shape", "filters", "options"), SIZES[:4])
def test_what_boxes_read_twice_is_at_most_a_quarter(shape, filters, options):
    work = staged(shape, filters, out=True, **options)
    box = choose_box(work, 1, 1)
    b = inner(work, box, box)
    read, once = math.prod(axis.size for axis in b.axes), 1
    for axis, whole in zip(b.axes, work.geometry.axes, strict=True):
        once *= min(axis.out * axis.stride, whole.padded)
    assert read <= 1.25 * once


@pytest.mark.parametrize("name", COMPILED)
def test_boxes_of_winograd_begin_at_multiples_of_its_tiles(name):
    images, filters = (
        real_values(RNG, (1, 90, 90, 8), "float32"),
        real_values(RNG, (3, 3, 8, 8), "float32"),
    )
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    options = {"padding": "same", "algorithm": "winograd"}
    with aotconv.use(name):
        expected = conv2d(images, filters, **options)
        result = conv2d(planes, filters, data_format="NCHW", **options)
    np.testing.assert_array_equal(result.transpose(0, 2, 3, 1), expected)


@pytest.mark.parametrize("near", [2 << 10, 16 << 10, NEAR_BYTES])
@pytest.mark.parametrize("threads", [1, 3])
def test_results_do_not_depend_on_boxes_or_threads(rung, near, threads, monkeypatch):
    monkeypatch.setattr(plan, "NEAR_BYTES", near)
    for shape, channels, options in LAYERS.values():
        images = integer_values(RNG, (3, 19, 50, channels), "int16")
        filters = integer_values(RNG, shape, "float32")
        layer = aotconv.Conv2D(filters, **options)
        assert_exact(layer(images, threads=threads), images, filters, **options)
        layer = aotconv.Conv2D(filters, data_format="NCHW", **options)
        result = layer(LAYOUTS["planar"](images).transpose(0, 3, 1, 2), threads=threads)
        assert_exact(result.transpose(0, 2, 3, 1), images, filters, **options)


@pytest.mark.parametrize(
    ("size", "channels", "together"),
    [
        *((7, 480, 480), (14, 512, 64), (28, 256, 16), (28, 240, 24), (56, 64, 16)),
        *((300, 32, 16), (300, 24, 8), (56, 30, 30)),
    ],
)
def test_channels_are_staged_as_many_at_a_time_as_are_near(size, channels, together):
    geometry = geometry_of(
        (1, size, size, channels), (3, 3, 1, channels), padding=1, groups=channels
    )
    row = SimpleNamespace(lanes=8, itemsize=4)
    assert near_channels(row, geometry) == together
