"""Plans, for every level on any machine: the kernel by name, limits of blocking, packed weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import winograd_amplification, winograd_matrices
from rows import geometry_of, kernel_sizes, packed_for

from aotconv._core import check, fitting
from aotconv._core.pack import Packer
from aotconv._plan import dense, family, means, narrow, separable, strip
from aotconv._plan.arithmetic import ceil_div, round_up
from aotconv._plan.borders import ZEROS as ZEROS_AROUND
from aotconv._plan.dense import COPIED, NO_BORDER, PIXEL_WORDS, SKIPPED, TILE_FIELDS, ZEROS
from aotconv._plan.family import ALIGNMENT, FIELDS, SCRATCH_WORDS, Layer, Work, words
from aotconv._plan.geometry import Axis, Geometry, extent
from aotconv._plan.lower import joined
from aotconv._plan.parts import SLAB_BYTES, slab_axis, slabs
from aotconv._plan.planar import tile_vectors
from aotconv._plan.registry import IS_X86_64, LEVELS, ROWS
from aotconv._plan.select import at_a_time, estimate, family_of, select
from aotconv._tools.board import BOARD

pytestmark = pytest.mark.skipif(not IS_X86_64, reason="the rows named here are x86-64's")


def layer_of(filters, groups=1, strides=(), dilations=(), **options) -> Layer:
    """The layer of filters of two axes or three."""
    steps = ((1,) * (3 - len(each)) + each for each in (strides, dilations))
    return Layer(kernel_sizes(filters), *filters[-2:], groups, *steps, **options)


def of_plane(strides):
    """Strides (N, H, W, C) as those of images of one plane."""
    return (strides[0], 0, *strides[1:])


@pytest.mark.parametrize(
    ("filters", "groups", "dtype", "level", "expected"),
    [
        ((3, 3, 64, 64), 1, "float32", "x86-64-v2", "dense_float32_4x2"),
        ((3, 3, 64, 64), 1, "float32", "x86-64-v3", "dense_float32_6x2"),
        ((3, 3, 64, 64), 1, "float32", "x86-64-v4", "dense_float32_6x4"),
        ((3, 3, 64, 96), 1, "float32", "x86-64-v4", "dense_float32_8x2"),
        ((3, 3, 64, 64), 1, "float64", "x86-64-v3", "dense_float64_6x2"),
        ((4, 4, 6, 4), 1, "float32", "x86-64-v3", "narrow_float32_8x1_split2"),
        ((4, 4, 6, 4), 1, "float32", "x86-64-v4", "narrow_float32_8x1_split2"),
        ((4, 4, 6, 4), 1, "float32", "x86-64-v2", "dense_float32_6x1"),
        ((4, 4, 6, 3), 1, "float32", "x86-64-v3", "narrow_float32_8x1_split2"),
        ((4, 4, 6, 2), 1, "float32", "x86-64-v3", "narrow_float32_8x1_split4"),
        ((4, 4, 3, 4), 1, "float32", "x86-64-v2", "planar_float32_4x2"),
        ((4, 4, 3, 4), 1, "float32", "x86-64-v3", "planar_float32_4x3"),
        ((4, 4, 3, 4), 1, "float32", "x86-64-v4", "planar_float32_4x4"),
        ((3, 3, 1, 2), 1, "float64", "x86-64-v3", "planar_float64_4x3"),
        ((3, 3, 1, 16), 1, "float32", "x86-64-v3", "planar_float32_4x3"),
        ((3, 3, 2, 16), 1, "float32", "x86-64-v3", "dense_float32_6x2"),
        ((3, 3, 2, 16), 1, "float32", "x86-64-v4", "planar_float32_4x4"),
        ((3, 3, 4, 8), 1, "float32", "x86-64-v3", "planar_float32_4x3"),
        ((1, 1, 4, 8), 1, "float32", "x86-64-v3", "dense_float32_8x1"),
        ((3, 3, 1, 17), 1, "float32", "x86-64-v3", "dense_float32_8x1"),
        ((23, 23, 4, 2), 1, "float32", "x86-64-v3", "narrow_float32_8x1_split4"),
        ((4, 4, 3, 1), 1, "float32", "x86-64-v3", "narrow_float32_8x1_split8"),
        ((4, 4, 3, 1), 1, "float64", "x86-64-v3", "narrow_float64_8x1_split4"),
        ((4, 4, 5, 5), 1, "float32", "x86-64-v3", "dense_float32_8x1"),
        ((4, 4, 6, 4), 2, "float32", "x86-64-v3", "dense_float32_8x1"),
        ((9, 9, 99, 4), 1, "float32", "x86-64-v3", "dense_float32_8x1"),
        ((4, 4, 3, 16), 1, "float32", "x86-64-v3", "dense_float32_6x2"),
        ((4, 4, 3, 17), 1, "float32", "x86-64-v3", "dense_float32_8x1"),
        ((3, 3, 1, 32), 32, "float32", "x86-64-v3", "depthwise_float32_3x3_window3_stride1"),
        ((5, 5, 1, 16), 16, "float32", "x86-64-v4", "depthwise_float32_4x4_window5_stride1"),
        ((5, 5, 1, 15), 15, "float32", "x86-64-v4", "depthwise_float32_4x4_window5_stride1"),
        ((5, 5, 1, 32), 32, "float32", "x86-64-v2", "strip_float32_3x3"),
        ((2, 5, 1, 32), 32, "float64", "x86-64-v3", "strip_float64_3x4"),
        ((1, 5, 1, 32), 32, "float64", "x86-64-v3", "strip_float64_1x8"),
        ((5, 5, 1, 1), 1, "float32", "x86-64-v4", "image_float32_4x4_window5_stride1_period1"),
        ((5, 5, 1, 4), 4, "float32", "x86-64-v4", "image_float32_4x3_window5_stride1"),
        ((7, 7, 1, 3), 3, "float32", "x86-64-v3", "image_float32_4x3_window7_stride1_period3"),
        ((7, 7, 1, 4), 4, "float64", "x86-64-v3", "depthwise_float64_3x3_window7_stride1"),
        ((9, 9, 1, 3), 3, "float32", "x86-64-v3", "strip_float32_3x4"),
        ((5, 5, 1, 8), 8, "float32", "x86-64-v4", "image_float32_4x3_window5_stride1"),
        ((40, 40, 1, 3), 3, "float32", "x86-64-v3", "strip_float32_3x4"),
        ((3, 3, 1, 64), 32, "float32", "x86-64-v3", "dense_float32_6x1_permuted1"),
        ((3, 3, 4, 128), 32, "float32", "x86-64-v3", "dense_float32_6x1_permuted1"),
        ((3, 3, 5, 64), 32, "float32", "x86-64-v3", "dense_float32_8x1"),
        ((3, 3, 64, 64), 1, "int32", "x86-64-v3", "dense_int32_6x1"),
        ((3, 3, 64, 64), 1, "int64", "x86-64-v2", "dense_int64_4x1"),
        ((3, 3, 64, 64), 1, "int64", "x86-64-v3", "dense_int64_6x1"),
        ((3, 3, 1, 64), 64, "int64", "x86-64-v4", "dense_int64_8x1"),
        ((3, 3, 3, 64, 64), 1, "float32", "x86-64-v3", "dense_float32_6x2"),
        ((2, 4, 4, 6, 4), 1, "float32", "x86-64-v3", "narrow_float32_8x1_split2"),
        ((2, 4, 4, 3, 4), 1, "float32", "x86-64-v3", "planar_float32_4x3"),
        ((9, 9, 9, 9, 4), 1, "float32", "x86-64-v3", "dense_float32_8x1"),
        ((1, 3, 3, 1, 32), 32, "float32", "x86-64-v3", "depthwise_float32_3x3_window3_stride1"),
        ((2, 3, 3, 1, 32), 32, "float32", "x86-64-v3", "depthwise_float32_3x3_window3_stride1"),
        ((32, 3, 3, 1, 32), 32, "float64", "x86-64-v3", "depthwise_float64_3x3_window3_stride1"),
        ((33, 3, 3, 1, 32), 32, "float32", "x86-64-v3", "strip_float32_3x4"),
        ((2, 3, 4, 1, 32), 32, "float32", "x86-64-v3", "strip_float32_3x4"),
        ((3, 5, 5, 1, 1), 1, "float32", "x86-64-v3", "strip_float32_3x4_period1"),
        ((33, 5, 5, 1, 3), 3, "float32", "x86-64-v3", "strip_float32_3x4"),
        ((2, 3, 3, 1, 64), 32, "float32", "x86-64-v3", "dense_float32_6x1_permuted1"),
        ((3, 3, 3, 4, 4), 1, "int64", "x86-64-v3", "dense_int64_6x1"),
    ],
)
def test_select_names_the_kernel(filters, groups, dtype, level, expected):
    row = select(layer_of(filters, groups), dtype, level)
    assert (row.name, row.level, row.dtype) == (expected, level, dtype)


@pytest.mark.parametrize(
    ("strides", "dilations", "expected"),
    [
        ((1, 1), (1, 1), "depthwise_float32_3x3_window5_stride1"),
        ((2, 2), (1, 1), "depthwise_float32_4x2_window5_stride2"),
        ((2, 1), (1, 1), "strip_float32_1x8"),
        ((1, 1), (2, 1), "strip_float32_3x4"),
        ((1, 2), (1, 1), "strip_float32_3x4"),
        ((1, 1), (1, 3), "strip_float32_3x4"),
        ((4, 1, 1), (1, 1), "depthwise_float32_3x3_window5_stride1"),
        ((1, 1), (1, 3, 1), "strip_float32_3x4"),
    ],
)
def test_select_looks_at_strides_and_dilations_of_channelwise_layers(strides, dilations, expected):
    layer = layer_of((5, 5, 1, 32), 32, strides, dilations)
    assert select(layer, "float32", "x86-64-v3").name == expected


# Of each layer of the board the kernels at x86-64-v4, v3 and v2.
LARGE = "dense_float32_6x4", "dense_float32_6x2", "dense_float32_4x2"
BOARD_KERNELS = {
    "seed_4x4x3x4": (
        "planar_float32_4x4",
        "planar_float32_4x3",
        "planar_float32_4x2",
    ),
    "r50_conv1_7x7s2": LARGE,
    "r50_2_3x3_64": LARGE,
    "r50_2_1x1_64_256": LARGE,
    "r50_3_3x3_128": LARGE,
    "r50_3_1x1s2_256_512": LARGE,
    "r50_4_3x3_256": LARGE,
    "r50_5_3x3_512": LARGE,
    "r50_5_1x1_2048_512": LARGE,
    "vgg_1_3x3_3_64": LARGE,
    "vgg_1_3x3_64_64": LARGE,
    "vgg_3_3x3_256": LARGE,
    "mb_dw3_32_112": (
        "depthwise_float32_4x4_window3_stride1",
        "depthwise_float32_3x3_window3_stride1",
        "strip_float32_3x3",
    ),
    "mb_dw3s2_96_112": (
        "depthwise_float32_3x4_window3_stride2",
        "depthwise_float32_2x3_window3_stride2",
        "strip_float32_1x6",
    ),
    "mb_dw5_240_28": (
        "depthwise_float32_4x4_window5_stride1",
        "depthwise_float32_3x3_window5_stride1",
        "strip_float32_3x3",
    ),
    "mb_1x1_32_16": ("dense_float32_8x1", "dense_float32_6x2", "dense_float32_4x2"),
    "mb_1x1_960_160": ("dense_float32_8x2", "dense_float32_6x2", "dense_float32_4x2"),
    "img_1ch_5x5_1024": (
        "image_float32_4x4_window5_stride1_period1",
        "image_float32_4x3_window5_stride1_period1",
        "strip_float32_3x3_period1",
    ),
    "img_rgb_dw7x7_1080p": (
        "image_float32_4x3_window7_stride1_period3",
        "image_float32_4x3_window7_stride1_period3",
        "strip_float32_3x3",
    ),
    "tiny_8x8x1": (
        "image_float32_4x4_window3_stride1_period1",
        "image_float32_4x3_window3_stride1_period1",
        "strip_float32_3x3_period1",
    ),
}


@pytest.mark.parametrize("layer", BOARD, ids=lambda layer: layer.name)
@pytest.mark.parametrize(
    ("level", "column"), [("x86-64-v4", 0), ("x86-64-v3", 1), ("x86-64-v2", 2)]
)
def test_select_names_the_kernel_of_each_layer_of_the_board(layer, level, column):
    strides = check.numbers("strides", layer.strides, 2, 1)
    sizes = layer_of(layer.filters, layer.groups, strides)
    assert select(sizes, "float32", level).name == BOARD_KERNELS[layer.name][column]


@pytest.mark.parametrize(
    ("dtype", "level", "expected"),
    [
        ("float32", "x86-64-v2", "winograd_float32_4x2"),
        ("float32", "x86-64-v3", "winograd_float32_6x2"),
        ("float32", "x86-64-v4", "winograd_float32_6x4"),
        ("float64", "x86-64-v4", "winograd_float64_6x4"),
    ],
)
def test_winograd_names_the_kernel(dtype, level, expected):
    row = select(layer_of((3, 3, 64, 64), algorithm="winograd"), dtype, level)
    assert (row.name, row.level, row.dtype) == (expected, level, dtype)
    deep = select(layer_of((2, 3, 3, 64, 64), algorithm="winograd"), dtype, level)
    assert deep.family == "dense"


def test_row_names_are_unique_in_a_level():
    for level in LEVELS:
        names = [row.name for row in ROWS if row.level == level]
        assert len(names) == len(set(names))


sizes = st.integers(1, 3000)
kernels = st.integers(1, 40)
depths = st.integers(1, 9)


@given(
    st.sampled_from([row for row in ROWS if row.family == "dense"]),
    st.tuples(sizes, depths, sizes, sizes, sizes),
    st.tuples(depths, kernels, kernels),
    st.sampled_from(["same", "valid"]),
    sizes,
    st.integers(1, 3),
    st.integers(1, 64),
    st.booleans(),
    st.booleans(),
    st.tuples(*[st.integers(1, 4)] * 3),
    st.sampled_from([(1, 1, 1), (2, 2, 1), (1, 1, 3)]),
)
def test_dense_blocking_keeps_the_kernels_assumptions(
    row,
    shape,
    kernel,
    padding,
    group_filters,
    groups,
    threads,
    finite,
    adjacent,
    strides,
    dilations,
):
    n, *size, channels = shape
    if row.permuted:
        channels, group_filters = (min(each, row.lanes // 2) for each in (channels, group_filters))
    assume(padding == "same" or all(map(int.__le__, map(extent, kernel, dilations), size)))
    filters_shape = (*kernel, channels, group_filters * groups)
    images_shape = (n, *size, channels * groups)
    geometry = fitting.geometry(images_shape, filters_shape, strides, padding, dilations, groups)
    itemsize = row.itemsize
    image_x = (channels * groups + (not adjacent)) * itemsize
    work_strides = (0, 0, 0, image_x, itemsize), (0, 0, 0, 0, itemsize)
    b = dense.DENSE.blocking(Work(row, geometry, *work_strides, threads, finite))

    assert b["task_pixels"] >= 1
    assert 1 <= b["block_taps"] <= geometry.taps and 1 <= b["block_channels"] <= channels
    # A block of the reduction lies in one piece in a panel.
    assert b["block_taps"] == 1 or b["block_channels"] == channels
    if b["merge_rows"]:
        assert b["block_taps"] % kernel[2] == 0 and groups == 1 and adjacent

    entries, tiles = b["task_pixels"] + row.pixels, -(-b["task_pixels"] // row.pixels)
    window = geometry.products * itemsize
    border_words = {
        NO_BORDER: 0,
        COPIED: tiles * row.pixels * (kernel[0] * kernel[1] + -(-window // 8)),
        ZEROS: tiles * row.pixels * b["block_taps"],
        SKIPPED: 2 * entries,
    }[b["border"]]
    needed = PIXEL_WORDS * entries + b["block_taps"] + len(TILE_FIELDS) * tiles + border_words
    assert needed <= SCRATCH_WORDS
    assert (b["border"] == NO_BORDER) == (not geometry.is_padded)
    if b["border"] == COPIED:
        assert b["block_taps"] == geometry.taps and (b["merge_rows"] or kernel[2] == 1)
    if b["border"] == SKIPPED:
        assert finite and b["block_taps"] == 1

    together = b["panel_groups"]
    panels = -(-groups // together) * -(-group_filters // row.channels)
    assert 1 <= b["task_panels"] <= panels
    # Every pixel and every panel is some task's, and no task has none.
    pixel_tasks, rest = divmod(b["tasks"], -(-panels // b["task_panels"]))
    assert rest == 0
    assert (pixel_tasks - 1) * b["task_pixels"] < geometry.pixels <= pixel_tasks * b["task_pixels"]


@pytest.mark.parametrize(
    ("size", "window", "stride", "channels", "expected"),
    [
        (112, 3, 1, 32, 1),
        (56, 3, 2, 144, 1),
        (28, 3, 1, 192, 1),
        (14, 3, 1, 512, 64),  # rows are short
        (112, 5, 1, 32, 1),
        (56, 5, 1, 72, 8),  # three tiles of 24 pixels are 72
        (56, 7, 1, 96, 16),
        (72, 5, 1, 32, 1),
        (112, 4, 1, 64, 16),  # no kernel has this window
    ],
)
def test_planes_are_computed_one_at_a_time_where_tiles_fill_their_rows(
    size, window, stride, channels, expected
):
    images, filters = (1, size, size, channels), (window, window, 1, channels)
    geometry = geometry_of(images, filters, stride, "same", groups=channels)
    layer = Layer.of(geometry)
    assert at_a_time(layer, geometry, "float32", "x86-64-v3") == expected


@pytest.mark.parametrize(
    ("size", "stride", "dtype", "threads", "expected"),
    [
        ((80, 80), 1, "float32", 1, 20),
        ((112, 112), 1, "float32", 1, 0),
        ((112, 112), 2, "float32", 1, 8),
        ((28, 28), 1, "float32", 1, 28),
        ((28, 28), 2, "float32", 1, 14),
        ((9, 28), 1, "float32", 1, 0),  # too few rows of outputs to be worth it
        ((7, 28), 2, "float32", 1, 4),
        ((56, 56), 1, "float64", 1, 0),
        ((112, 112), 2, "float64", 1, 4),
        ((512, 512), 2, "float32", 1, 0),
        ((80, 80), 1, "float32", 2, 10),  # all threads are to have some
        ((28, 28), 1, "float32", 2, 0),
        ((1, 28), 1, "float32", 1, 0),
    ],
)
def test_image_tiles_go_down_rows_that_are_near(size, stride, dtype, threads, expected):
    layer = Layer((1, 3, 3), 1, 1, 1, (1, stride, stride))
    row = select(layer, dtype, "x86-64-v3")
    sizes = (1, 1, *size, 1), (1, 3, 3, 1, 1), layer.strides
    g = fitting.geometry(*sizes, ((0, 0), (1, 1), (1, 1)), layer.dilations, 1)
    strides = 0, 0, 0, row.itemsize, row.itemsize
    told = family_of(row).blocking(Work(row, g, strides, strides, threads))
    assert told["down"] == expected
    assert told["task_rows"] % (expected or row.pixels) == 0
    assert (told["tasks"] - 1) * told["task_rows"] < g.y.out <= told["tasks"] * told["task_rows"]


@pytest.mark.parametrize(
    ("kernel", "channels", "padding", "finite", "expected"),
    [
        ((3, 3), 64, "valid", True, NO_BORDER),
        ((1, 1), 512, "same", True, NO_BORDER),
        ((7, 7), 3, "same", True, COPIED),
        ((3, 3), 64, "same", True, ZEROS),
        ((3, 3), 256, "same", True, SKIPPED),
        ((3, 3), 256, "same", False, ZEROS),  # an infinite weight times a zero is NaN
        ((3, 1, 1), 128, ((1, 0), (0, 0), (0, 0)), True, ZEROS),
        ((3, 1, 1), 64, "valid", True, NO_BORDER),
        ((4, 2, 4), 8, "same", True, COPIED),
        ((4, 4, 4), 8, "same", True, ZEROS),  # large windows
    ],
)
def test_windows_that_leave_the_image(kernel, channels, padding, finite, expected):
    row = next(row for row in ROWS if row.name == "dense_float32_8x1")
    size = (14,) * len(kernel)
    geometry = geometry_of((1, *size, channels), (*kernel, channels, 64), padding=padding)
    strides = (0, 0, 14 * 4 * channels, 4 * channels, 4), (0, 0, 0, 256, 4)
    work = Work(row, geometry, *strides, finite=finite)
    assert dense.DENSE.blocking(work)["border"] == expected


def test_tables_of_depthwise_layers_fit_into_the_scratch_words():
    for row in (row for row in ROWS if row.family == "depthwise"):
        filters = row.window, row.window, 1, 5000
        geometry = geometry_of((1, 9, 9, 5000), filters, row.stride, "same", groups=5000)
        work = Work(row, geometry, of_plane((0, 0, 0, 4)), of_plane((0, 0, 0, 4)))
        vectors = family_of(row).blocking(work)["task_panels"]
        rows = (row.pixels - 1) * row.stride + row.window + row.pixels
        assert vectors * row.lanes * row.itemsize // 8 + 2 * rows <= SCRATCH_WORDS


@given(
    st.sampled_from([row for row in ROWS if row.family == "strip"]),
    st.tuples(depths, sizes, sizes, st.integers(1, 3000)),
    st.tuples(st.integers(1, 8), *[st.integers(1, 900)] * 2),
    st.tuples(*[st.integers(1, strip.LARGEST_STEP)] * 3),
    st.tuples(*[st.integers(1, strip.LARGEST_STEP)] * 3),
    st.tuples(st.booleans(), st.booleans()),
    st.integers(1, 3),
)
def test_copies_of_strips_fit_into_their_memory_and_hold_each_tap(
    row, shape, window, strides, dilations, known, threads
):
    *size, c = shape
    kd, kh, kw = window
    c = row.period or c
    if row.pixels > 1:
        kh, strides = max(kh, row.pixels - 1), (strides[0], 1, strides[2])
    geometry = geometry_of((1, *size, c), (kd, kh, kw, 1, c), strides, "same", dilations, c)
    adjacent, finite = known
    itemsize = row.itemsize
    image_x = (c + (not adjacent)) * itemsize
    ends = (0, 0, 0, image_x, itemsize), (0, 0, 0, c * itemsize, itemsize)
    b = family_of(row).blocking(Work(row, geometry, *ends, threads, finite))
    deep = b["task_panels"] > 0
    channels = c
    if deep:  # of the part that has the most
        each = b["task_panels"] * row.lanes
        last = c - (b["parts"] - 1) * each
        assert last >= row.lanes and last > each - row.lanes  # where vectors overlap, in one part
        channels = max(last, each) if b["parts"] > 1 else c
    rows = (b["task_rows"] - 1) * b["copy_stride"] + kh
    assert b["task_rows"] % row.pixels == 0 and b["staging"] % ALIGNMENT == 0
    copied = b["copy_pixels"] * b["copy_pixel"] + b["copy_more"]
    used = b["copy_phases"] * copied * channels * itemsize
    if b["copy_row"]:
        assert used <= b["copy_row"] and b["copy_pixels"] >= 1
        assert kd * rows * b["copy_row"] + row.lanes * itemsize <= b["staging"]
        taps_of_pixel = kd * (kh + row.pixels) * kw * channels * itemsize
        assert b["staging"] <= max(2 * strip.COPY_BYTES, 5 * taps_of_pixel)
        for kx in range(kw):
            first, step = kx % b["copy_phases"], kx // b["copy_phases"] * b["copy_step"]
            column = first * geometry.x.dilation + step * b["copy_apart"]
            assert column == kx * geometry.x.dilation
            last = (b["copy_pixels"] - 1) * b["copy_pixel"] + step
            assert last < copied
        assert b["copy_pixel"] * b["copy_apart"] == geometry.x.stride
    else:
        assert geometry.x.inside == geometry.x.out and b["staging"] == 0
    # Rows of outputs in a task are as many rows of inputs apart as their copies.
    apart, y = b["apart"], geometry.y
    if b["task_rows"] > 1:
        assert apart * y.stride == b["copy_stride"] * y.dilation


@pytest.mark.parametrize("row", [row for row in ROWS if row.family == "means"], ids=str)
@given(
    axis=st.sampled_from(["z", "y", "x"]),
    taps=st.integers(2, 300),
    sizes=st.tuples(*[st.integers(1, 40)] * 5),
    long=st.integers(0, 5000),
    threads=st.integers(1, 8),
)
def test_sums_of_means_fit_into_their_memory(row, axis, taps, sizes, long, threads):
    n, d, h, w, c = sizes
    outs = {"z": d, "y": h, "x": w}
    outs[axis] += long
    axes = {
        name: Axis(out + taps - 1, taps, out=out) if name == axis else Axis(out, out=out)
        for name, out in outs.items()
    }
    geometry = Geometry(n, c, c, c, **axes)
    images, out = (family.contiguous(shape, row.itemsize) for shape in geometry.shapes)
    b = means.blocking(Work(row, geometry, images, out, threads))
    length, rows = outs["x"] * c, b["task_rows"]
    chunks = max(1, length // b["chunk"])
    longest = max(min(b["chunk"], length), length - (chunks - 1) * b["chunk"])
    lines, others = {
        "x": (n * d * outs["y"], 1),
        "y": (outs["y"], n * d),
        "z": (outs["z"], n * h),
    }[axis]
    assert b["tasks"] == others * ceil_div(lines, rows)
    assert rows >= 1 and b["chunk"] % row.channels == 0
    # The first sums are of two elements at least.
    beyond = taps - 2
    held = longest + beyond * c
    if axis != "x":
        held = (min(rows, outs[axis]) + beyond) * round_up(longest, ALIGNMENT // row.itemsize)
    assert b["room"] >= held * row.itemsize and b["room"] % ALIGNMENT == 0
    assert b["staging"] == 2 * b["room"]


def test_the_words_of_means_round_every_sum_of_bytes():
    for count in range(4, separable.LARGEST_COUNT + 1):
        half, factor, shift, minus_count, tie = separable.mean_words(count)
        sums = np.arange(255 * count + 1)
        some = sums + half
        assert some.max() < 1 << 16
        assert 0 < factor < 1 << 16
        quotient = some * factor >> 16 + shift
        rest = (some + quotient * minus_count) % (1 << 16)
        found = quotient - np.where(rest == tie, quotient & 1, 0)
        whole, rest = np.divmod(sums, count)
        right = whole + ((2 * rest > count) | ((2 * rest == count) & (whole % 2 == 1)))
        np.testing.assert_array_equal(found, right)
    for count in (separable.LARGEST_COUNT + 1, 33**2, separable.LARGEST_WINDOW**2):
        assert np.array(separable.mean_words(count), np.int16).view(np.float32) == count


@pytest.mark.parametrize("row", [row for row in ROWS if row.family == "separable"], ids=str)
@given(
    taps=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    sizes=st.tuples(
        st.integers(1, 3), st.integers(1, 3), st.integers(1, 400), st.integers(1, 3000)
    ),
    channels=st.integers(1, 70),
    border=st.integers(0, 5),
    threads=st.integers(1, 8),
)
def test_lines_and_tables_of_two_windows_fit_into_their_memory(
    row, taps, sizes, channels, border, threads
):
    n, d, h, w = sizes
    y, x = (
        Axis(size, kernel, 1, 1, kernel // 2, kernel - 1 - kernel // 2, size, border)
        for size, kernel in zip((h, w), taps, strict=True)
    )
    geometry = Geometry(n, channels, channels, channels, Axis(d, out=d), y, x)
    windows = (1, taps[0], 1), (1, 1, taps[1])
    if not separable.serves(row, geometry, windows):
        is_small = taps[0] < row.pixels - 1 or w * channels < row.lanes * max(
            row.vectors, row.along
        )
        is_large = row.integers and max(taps) > separable.LARGEST_WINDOW
        line = (w + taps[1]) * channels * row.itemsize
        lies_far = row.lines * (line + ALIGNMENT) + w * channels * row.itemsize + ALIGNMENT
        held = taps[0] + 5 + 2 * taps[1] * channels > SCRATCH_WORDS
        assert is_small or is_large or held or lies_far > family.STAGING_BYTES
        return
    assert taps == (1, 1) or not separable.serves(row, geometry, windows[::-1])
    arrays = (family.contiguous(shape, row.stored_itemsize) for shape in geometry.shapes)
    b = separable.blocking(Work(row, geometry, *arrays, threads))
    assert b["task_rows"] % row.pixels == 0
    blocks = ceil_div(h, b["task_rows"])
    assert b["tasks"] == n * d * blocks
    assert (blocks - 1) * b["task_rows"] < h
    # Of all places under windows, and a pixel of zeros.
    assert b["line"] >= (w + taps[1]) * channels * row.itemsize
    assert b["line"] % ALIGNMENT == b["zeros"] % ALIGNMENT == 0
    assert b["zeros"] >= (w * channels * row.stored_itemsize if border <= 1 else 0)
    assert b["staging"] == b["zeros"] + row.lines * b["line"] <= family.STAGING_BYTES
    words = taps[0] + row.pixels - 1 + row.integers + 2 * (taps[1] - 1) * channels
    assert words <= SCRATCH_WORDS
    if row.integers:
        assert 255 * taps[0] * b["turn"] < 1 << 16 and b["turn"] > 0


def test_the_estimate_tells_large_work_from_small():
    dense = next(row for row in ROWS if row.family == "dense" and row.dtype == "float32")
    integers = next(row for row in ROWS if row.family == "dense" and row.integers)
    small = fitting.geometry((1, 8, 8, 1), (3, 3, 1, 1), (1, 1), "valid", (1, 1), 1)
    large = fitting.geometry((1, 56, 56, 64), (3, 3, 64, 64), (1, 1), "same", (1, 1), 1)
    assert estimate(dense, small) < 2 < 1000 < estimate(dense, large)
    assert estimate(integers, large) > 2 * estimate(dense, large)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.family == "dense" and not row.permuted], ids=str
)
@pytest.mark.parametrize("groups", [1, 3])
def test_packed_weights_are_zeros_then_panels_of_bias_and_rows(row, groups):
    group_filters = row.channels + 1
    filters = np.arange(2 * 2 * 5 * groups * group_filters, dtype=row.dtype)
    filters = filters.reshape(2, 2, 5, groups * group_filters)
    bias = -np.arange(groups * group_filters, dtype=row.dtype)
    packed = packed_for(row, filters, bias, groups)
    assert packed.address % 64 == 0 and packed.offset % 64 == 0
    assert packed.address == packed.memory.ctypes.data
    lead = packed.offset // row.itemsize
    assert lead >= 5 * groups and (packed.memory[:lead] == 0).all()
    panels = packed.memory[lead:].reshape(groups, 2, 1 + 20, row.channels)
    for g in range(groups):
        own = slice(g * group_filters, (g + 1) * group_filters)
        unpacked = panels[g].transpose(1, 0, 2).reshape(21, -1)
        np.testing.assert_array_equal(unpacked[0, :group_filters], bias[own])
        np.testing.assert_array_equal(unpacked[1:, :group_filters], filters.reshape(20, -1)[:, own])
        assert (unpacked[:, group_filters:] == 0).all()


@pytest.mark.parametrize("row", [r for r in ROWS if r.family in ("strip", "image")], ids=str)
def test_packed_rows_repeat_with_the_channels_period(row):
    channels = row.period or 2
    filters = np.arange(2 * 3 * channels, dtype=row.dtype).reshape(2, 3, 1, channels)
    if row.family == "strip" and channels >= row.lanes:
        pytest.skip("its vectors run along channels")
    packed = packed_for(row, filters, np.arange(channels), channels)
    lead = packed.offset // row.itemsize
    assert packed.offset % 64 == 0
    assert lead >= (row.reach * row.lanes if row.family == "image" else 0)
    assert (packed.memory[:lead] == 0).all()
    rows = packed.memory[lead:].reshape(7, -1)
    of_strip = 1 if row.period else channels + row.lanes
    assert rows.shape[1] == (row.period_vectors * row.lanes if row.family == "image" else of_strip)
    expected = np.concatenate([np.arange(channels)[None], filters.reshape(6, channels)])
    for element in range(rows.shape[1]):
        np.testing.assert_array_equal(rows[:, element], expected[:, element % channels])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("row", [r for r in ROWS if r.family == "strip" and not r.period], ids=str)
def test_the_last_panel_of_a_strips_weights_ends_with_the_last_channel(row, order):
    lanes, channels = row.lanes, 2 * row.lanes + 1
    filters = np.arange(6.0 * channels).astype(row.dtype).reshape(3, 2, 1, channels, order=order)
    bias = -np.arange(channels, dtype=row.dtype)
    packing = family_of(row).packing(row, Layer((1, 3, 2), 1, channels, channels))
    packer = Packer(packing, row.dtype, ())
    expected = np.concatenate([bias[None], filters.reshape(6, channels)])
    for _ in range(2):  # into new memory, and into the same
        packed = packer(filters, bias)
        panels = packed.memory[packed.offset // row.itemsize :].reshape(3, 7, lanes)
        for panel, first in zip(panels, (0, lanes, channels - lanes), strict=True):
            np.testing.assert_array_equal(panel, expected[:, first : first + lanes])
        assert packed.finite
    filters[2, 1, 0, -1] = np.inf
    assert not packer(filters, bias).finite


@st.composite
def narrow_windows(draw):
    """A row, a window and channels, with dilations up to those whose window is too large."""
    row = draw(st.sampled_from([row for row in ROWS if row.family == "narrow"]))
    kd, kh, kw = draw(st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12)))
    channels = draw(st.integers(2, 10))
    pixels = narrow.LARGEST_WINDOW // (kd * channels * row.itemsize)
    across = draw(st.integers(1, min(9, max(1, pixels // (kh * kw)))))
    rows = pixels // (kw * across)  # of them kh are taps
    down = draw(st.integers(1, min(9, max(1, (rows - 1) // max(kh - 1, 1)))))
    return row, (kd, kh, kw), channels, (draw(st.integers(1, 9)), down, across)


@given(
    narrow_windows(),
    st.tuples(depths, sizes, sizes),
    st.tuples(*[st.integers(1, 9)] * 3),
)
def test_narrow_blocking_keeps_the_kernels_assumptions(drawn, size, strides):
    row, window, channels, dilations = drawn
    layer = Layer(window, channels, row.lanes // row.split, 1, strides, dilations)
    assume(select(layer, row.dtype, row.level) == row)
    filters_shape = (*window, channels, layer.n_filters)
    g = fitting.geometry((1, *size, channels), filters_shape, strides, "same", dilations, 1)
    image_strides = 0, 0, 0, channels * row.itemsize, row.itemsize
    b = family_of(row).blocking(Work(row, g, image_strides, (0, 0, 0, 0, row.itemsize)))
    y, x = g.y, g.x  # whose dilation is that of more taps than one
    rows = (b["task_rows"] - 1) * y.stride + y.extent
    columns = (b["task_columns"] - 1) * x.stride + x.extent
    columns = -(-columns // x.dilation) * x.dilation
    copied = window[0] * rows * columns * channels * row.itemsize
    tables = 2 * 8 * (b["task_rows"] * b["task_columns"] + row.pixels)
    assert tables + copied <= 8 * SCRATCH_WORDS
    blocks = -(-g.y.out // b["task_rows"]) * -(-g.x.out // b["task_columns"])
    assert b["tasks"] == g.z.out * blocks


@given(
    st.sampled_from([row for row in ROWS if row.family == "planar"]),
    st.tuples(depths, sizes, sizes),
    st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(1, 4), st.integers(2, 16)),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.integers(1, 300)] * 3),
    st.integers(1, 64),
)
def test_planar_blocking_keeps_the_kernels_assumptions(
    row, size, window, filters, strides, dilations, threads
):
    layer = Layer(window, filters[0], filters[1], 1, strides, dilations)
    assume(family_of(row).choose([row], layer) == row)
    shape = (1, *size, filters[0])
    g = fitting.geometry(shape, (*window, *filters), strides, "same", dilations, 1)
    adjacent = 0, 0, 0, filters[0] * row.itemsize, row.itemsize
    out = 0, 0, 0, filters[1] * row.itemsize, row.itemsize
    b = family_of(row).blocking(Work(row, g, adjacent, out, threads))

    # Each row of outputs is in one task: rows of the same rest are `apart` apart.
    together = b["task_rows"] * b["apart"]
    tasks = [
        range(first, min(g.y.out, first + together), b["apart"])
        for block in range(0, round_up(g.y.out, together), together)
        for first in range(block, block + b["apart"])
    ]
    assert sorted(y for rows in tasks for y in rows) == list(range(g.y.out))
    assert b["tasks"] == g.z.out * len(tasks) * ceil_div(g.x.out, b["task_columns"])

    # Tap (ky, kx) of output (y, x) is where a plane has its row and column.
    ky, kx = g.y.kernel - 1, g.x.kernel - 1
    y, x = b["task_rows"] - 1, b["task_columns"] - 1
    if y:
        assert b["row_step"] == b["apart"] * g.y.stride
    phase, down = ky % b["row_phases"], ky // b["row_phases"]
    assert phase * g.y.dilation + down * b["row_step"] == ky * g.y.dilation
    phase, along = kx % b["column_phases"], kx // b["column_phases"] * b["column_step"]
    assert phase * g.x.dilation + along * g.x.stride == kx * g.x.dilation
    assert x + along < b["copied_columns"]

    # A plane holds its rows; a run, at least a tile, is within its memory.
    widest = max(tile_vectors(row, n) * row.lanes for n in range(1, row.pixels + 1))
    length = (b["run_rows"] - 1) * b["copied_columns"] + b["run_columns"]
    assert b["run_columns"] <= b["task_columns"]
    computed = max(widest, length)
    assert b["plane_bytes"] >= (y + 1 + down) * b["copied_columns"] * row.itemsize
    assert b["out_bytes"] >= computed * row.itemsize
    planes = g.z.kernel * b["row_phases"] * b["column_phases"] * g.c
    last = (y - (b["run_rows"] - 1) + down) * b["copied_columns"] + along
    last += b["task_columns"] - b["run_columns"]
    read = (planes - 1) * b["plane_bytes"] + (last + computed) * row.itemsize
    assert max(read, planes * b["plane_bytes"] + g.o * b["out_bytes"]) <= b["staging"]
    words = 8 * g.products + g.o * row.lanes * row.itemsize
    assert words <= 8 * SCRATCH_WORDS and b["staging"] <= family.STAGING_BYTES

    # What is put side by side in registers is whole tiles of all filters, in rows.
    if b["beside"]:
        assert b["run_rows"] == 1 and g.o <= b["panel"]
        assert b["beside"] == tile_vectors(row, g.o) * row.lanes
    # Behind the edges windows lie inside, and a tile goes where rows are read in place.
    if b["edge"]:
        first, last = g.x.between
        assert b["run_rows"] == 1 and g.c == g.x.stride == 1 and b["edge"] >= widest
        assert first <= b["edge"] and g.x.out - last <= b["edge"]
        assert b["run_columns"] >= min(widest, b["task_columns"])


@pytest.mark.parametrize("row", [row for row in ROWS if row.family == "narrow"], ids=str)
def test_packed_narrow_weights_hold_each_product_in_a_lane_of_its_filter(row):
    outputs = row.lanes // row.split
    run = row.split + 1  # a whole vector and one left over
    filters = np.arange(1, 1 + 2 * run * outputs, dtype=row.dtype).reshape(2, run, 1, outputs)
    packed = packed_for(row, filters, np.arange(outputs), 1)
    vectors = packed.memory.reshape(1 + 2 * 2, outputs, row.split)
    np.testing.assert_array_equal(vectors[0, :, 0], np.arange(outputs))
    for ky in range(2):
        whole, rest = vectors[1 + 2 * ky], vectors[2 + 2 * ky]
        np.testing.assert_array_equal(whole.T, filters[ky, : row.split, 0])
        np.testing.assert_array_equal(rest[:, 0], filters[ky, row.split, 0])
        assert (rest[:, 1:] == 0).all() and (vectors[0, :, 1:] == 0).all()


WINOGRAD = [row for row in ROWS if row.family == "winograd"]


@given(
    st.sampled_from(WINOGRAD),
    st.tuples(st.integers(1, 9), sizes, sizes),
    sizes,
    sizes,
    st.integers(1, 64),
)
def test_winograd_blocking_keeps_the_kernels_assumptions(row, shape, channels, n_filters, threads):
    n, h, w = shape
    filters_shape = 3, 3, channels, n_filters
    g = fitting.geometry((n, h, w, channels), filters_shape, (1, 1), "same", (1, 1), 1)
    strides = of_plane((0, 0, 0, 4))
    b = family_of(row).blocking(Work(row, g, strides, strides, threads))
    tiles, panels = n * -(-h // 4) * -(-w // 4), -(-n_filters // row.channels)
    assert 1 <= b["task_tiles"] <= tiles and 1 <= b["task_panels"] <= panels
    # A block of channels begins at a vector.
    assert b["block_channels"] == channels or b["block_channels"] % row.lanes == 0

    groups = -(-b["task_tiles"] // row.pixels)
    held = max(b["task_tiles"], groups * (row.pixels - 1))
    channels_held = -(-b["block_channels"] // row.lanes) * row.lanes
    needed = 36 * (held * (channels_held + row.channels) * row.itemsize + 2 * 64)
    assert needed <= b["staging"] <= family.STAGING_BYTES and b["staging"] % 64 == 0

    # Every tile and every panel is some task's, and no task has none.
    tile_tasks, rest = divmod(b["tasks"], -(-panels // b["task_panels"]))
    assert rest == 0 and (tile_tasks - 1) * b["task_tiles"] < tiles <= tile_tasks * b["task_tiles"]


@pytest.mark.parametrize("row", WINOGRAD, ids=str)
def test_packed_winograd_weights_are_panels_of_bias_and_transformed_filters(row):
    channels, n_filters = 5, row.channels + 1
    filters = np.random.default_rng(0).standard_normal((3, 3, channels, n_filters))
    filters, bias = filters.astype(row.dtype), np.arange(n_filters)
    packed = packed_for(row, filters, bias, 1)
    lead = packed.offset // row.itemsize
    assert packed.address % 64 == 0 and packed.offset % 64 == 0
    assert lead >= channels and (packed.memory[:lead] == 0).all()
    panels = packed.memory[lead:].reshape(2, 1 + 36 * channels, row.channels)
    rows = panels.transpose(1, 0, 2).reshape(1 + 36 * channels, -1)
    np.testing.assert_array_equal(rows[0, :n_filters], bias)
    assert (rows[:, n_filters:] == 0).all()
    _, _, g = winograd_matrices()
    expected = np.einsum("ia,jb,abco->ijco", g, g, filters).reshape(36 * channels, n_filters)
    error = np.abs(rows[1:, :n_filters] - expected).max()
    assert error <= 4 * np.finfo(row.dtype).eps * np.abs(expected).max()


def test_the_documented_bound_of_winograd_holds_its_amplification():
    assert 563 < winograd_amplification() < 564


@pytest.mark.parametrize("row", [row for row in ROWS if row.family == "depthwise"], ids=str)
def test_packed_depthwise_weights_are_panels_of_a_vector(row):
    channels = row.lanes + 1
    filters = np.arange(9 * channels, dtype=row.dtype).reshape(3, 3, 1, channels)
    packed = packed_for(row, filters, None, channels)
    lead = packed.offset // row.itemsize
    assert packed.offset % 64 == 0 and lead >= row.lanes and (packed.memory[:lead] == 0).all()
    panels = packed.memory[lead:].reshape(2, 10, row.lanes)
    rows = panels.transpose(1, 0, 2).reshape(10, -1)
    assert (rows[0] == 0).all() and (rows[:, channels:] == 0).all()
    np.testing.assert_array_equal(rows[1:, :channels], filters.reshape(9, channels))


def test_words_hold_every_field_in_its_place():
    row = next(row for row in ROWS if row.name == "dense_float32_8x1")
    pads = (0, 1), (1, 0), (2, 3)
    geometry = fitting.geometry(
        (2, 5, 9, 8, 6), (2, 3, 2, 3, 4), (3, 2, 1), pads, (4, 1, 2), groups=2
    )
    work = Work(row, geometry, (11, 12, 13, 14, 4), (21, 22, 23, 24, 4))
    told = words(dense.DENSE, work, "relu6", 64)
    fields = dict(zip(FIELDS + dense.DENSE.fields, told, strict=True))
    for name, value in {
        "d": 5, "kd": 2, "sd": 3, "dd": 4, "front": 0, "od": 1,
        "h": 9, "kh": 3, "sh": 2, "dh": 1, "top": 1, "oh": 4,
        "w": 8, "kw": 2, "sw": 1, "dw": 2, "left": 2, "ow": 11,
        "pixels": 88, "group_channels": 3, "group_filters": 2, "groups": 2,
        "image_n": 11, "image_z": 12, "image_y": 13, "image_x": 14,
        "out_n": 21, "out_z": 22, "out_y": 23, "out_x": 24,
        "activation": 2, "slope": 0, "weights_offset": 64, "merge_rows": 0, "block_taps": 12,
        "block_channels": 3, "task_pixels": 88, "border": ZEROS, "task_panels": 2, "tasks": 1,
        "panel_groups": 1, "staging": 0,
    }.items():  # fmt: skip
        assert fields.pop(name) == value, name
    assert not fields


@pytest.mark.parametrize(
    ("kernel", "padding", "gaps", "expected"),
    [
        (1, "valid", (0, 0), (1, 1, 168)),
        (1, "valid", (4, 0), (3, 1, 56)),  # planes that do not follow each other
        (1, "valid", (0, 4), (3, 7, 8)),  # nor do rows
        (1, 1, (0, 0), (3, 7, 8)),
        (3, "same", (0, 0), (3, 7, 8)),
    ],
)
@pytest.mark.parametrize("gaps_in", ["images", "out"])
def test_rows_and_planes_are_one_where_windows_are_pixels(kernel, padding, gaps, expected, gaps_in):
    geometry = geometry_of((2, 3, 7, 8, 5), (*[kernel] * 3, 5, 6), padding=padding)
    ends = []
    for end, (_, d, h, w, c) in zip(("images", "out"), geometry.shapes, strict=True):
        plane_gap, row_gap = gaps if end == gaps_in else (0, 0)
        x = 4 * c
        y = w * x + row_gap
        z = h * y + plane_gap
        ends.append((d * z, z, y, x, 4))
    seen = joined(geometry, ends)
    assert tuple(axis.size for axis in seen.axes) == expected
    assert tuple(axis.out for axis in seen.axes) == (expected if padding != 1 else (5, 9, 10))


@given(size=st.integers(1, 40), step=st.integers(1, 12), data=st.data())
def test_slabs_are_all_outputs_of_an_axis_and_read_what_is_under_them(size, step, data):
    kernel = data.draw(st.integers(1, 9))
    before = data.draw(st.integers(0, kernel - 1))
    axis = Axis.of(size, kernel, 1, 1, (before, kernel - 1 - before), ZEROS_AROUND)
    outs = []
    for slab in slabs(axis, step):
        read = range(*slab.inputs.indices(size))
        first, last = slab.out.start - before, slab.out.stop - before + kernel - 1
        assert list(read) == [i for i in range(first, last) if 0 <= i < size]
        assert slab.axis.padded == last - first and slab.axis.size == len(read)
        outs += range(slab.out.start, slab.out.stop)
    assert outs == list(range(size))


@given(
    sizes=st.lists(st.integers(1, 3000), min_size=2, max_size=4), itemsize=st.sampled_from([1, 8])
)
def test_slabs_are_small_wherever_an_axis_allows_it(sizes, itemsize):
    free, total = range(len(sizes) - 1), int(np.prod(sizes)) * itemsize
    found = slab_axis(sizes, free, itemsize)
    if total <= SLAB_BYTES:
        assert found is None
        return
    axis, step = found
    assert axis in free and step >= 1
    if step > 1 or any(total <= SLAB_BYTES * sizes[each] for each in free):
        assert step * total <= SLAB_BYTES * sizes[axis] < (step + 1) * total
    assert slab_axis(sizes, [], itemsize) is None
