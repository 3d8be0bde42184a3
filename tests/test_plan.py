"""Plans, for every level on any machine: the kernel by name, limits of blocking, packed weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aotconv import check, plan
from aotconv.kernels.registry import FIELDS, IS_X86_64, LEVELS, ROWS, SCRATCH_WORDS

pytestmark = pytest.mark.skipif(not IS_X86_64, reason="the rows named here are x86-64's")


@pytest.mark.parametrize(
    ("filters", "groups", "dtype", "level", "expected"),
    [
        ((3, 3, 64, 64), 1, "float32", "x86-64-v2", "dense_float32_4x2"),
        ((3, 3, 64, 64), 1, "float32", "x86-64-v3", "dense_float32_6x2"),
        ((3, 3, 64, 64), 1, "float32", "x86-64-v4", "dense_float32_8x2"),
        ((3, 3, 64, 64), 1, "float64", "x86-64-v3", "dense_float64_6x2"),
        ((4, 4, 3, 4), 1, "float32", "x86-64-v3", "dense_float32_8x1"),
        ((4, 4, 3, 16), 1, "float32", "x86-64-v3", "dense_float32_6x2"),
        ((4, 4, 3, 17), 1, "float32", "x86-64-v3", "dense_float32_8x1"),
        ((3, 3, 1, 32), 32, "float32", "x86-64-v3", "depthwise_float32_4x2"),
        ((3, 3, 1, 32), 32, "float64", "x86-64-v2", "depthwise_float64_4x1"),
        ((3, 3, 1, 64), 32, "float32", "x86-64-v3", "dense_float32_8x1"),
        ((3, 3, 1, 1), 1, "float32", "x86-64-v3", "dense_float32_8x1"),
        ((3, 3, 4, 128), 32, "float32", "x86-64-v3", "dense_float32_8x1"),
        ((3, 3, 64, 64), 1, "int32", "x86-64-v3", "loop_int32_1x1"),
        ((3, 3, 64, 64), 1, "complex64", "x86-64-v2", "loop_complex64_1x1"),
    ],
)
def test_select_names_the_kernel(filters, groups, dtype, level, expected):
    row = plan.select(plan.Layer(*filters, groups, *more), dtype, level)
    assert (row.name, row.level, row.dtype) == (expected, level, dtype)


def test_row_names_are_unique_in_a_level():
    for level in LEVELS:
        names = [row.name for row in ROWS if row.level == level]
        assert len(names) == len(set(names))


sizes = st.integers(1, 3000)
kernels = st.integers(1, 40)


@given(
    st.sampled_from([row for row in ROWS if row.family != "peak"]),
    st.tuples(sizes, sizes, sizes, sizes),
    st.tuples(kernels, kernels),
    sizes,
    st.integers(1, 3),
    st.integers(1, 64),
)
def test_blocking_keeps_every_kernels_assumptions(row, shape, kernel, n_filters, groups, threads):
    n, h, w, channels = shape
    if row.family == "depthwise":
        groups, n_filters = channels, channels
    images_shape = (n, h, w, channels * groups if row.family == "dense" else channels)
    filters_shape = (*kernel, images_shape[3] // groups, n_filters - n_filters % groups or groups)
    geometry = check.geometry(images_shape, filters_shape, (1, 1), "same", (1, 1), groups)
    b = plan.blocking(row, geometry, images_shape[3] * row.itemsize, threads)
    taps = kernel[0] * kernel[1]
    channels = 1 if row.family == "depthwise" else geometry.group_channels

    tile_words = row.pixels * (4 + b["block_taps"]) + 1
    assert b["block_tiles"] >= 1 and b["block_tiles"] * tile_words <= SCRATCH_WORDS
    assert 1 <= b["block_taps"] <= taps and 1 <= b["block_channels"] <= channels
    # A block of the reduction lies in one piece in a panel.
    assert b["block_taps"] == 1 or b["block_channels"] == channels
    if b["merge_rows"]:
        assert b["block_taps"] % kernel[1] == 0 and groups == 1
    blocks = 1 if row.family == "depthwise" else groups
    panels = blocks * -(-(geometry.o // blocks) // row.channels)
    pixels = -(-geometry.n * geometry.oh * geometry.ow // (row.pixels * b["block_tiles"]))
    assert b["tasks"] == pixels * -(-panels // b["block_panels"])
    assert 1 <= b["block_panels"] <= panels


@pytest.mark.parametrize("row", [row for row in ROWS if row.family == "dense"], ids=str)
@pytest.mark.parametrize("groups", [1, 3])
def test_packed_weights_are_zeros_then_panels_of_bias_and_rows(row, groups):
    group_filters = row.channels + 1
    filters = np.arange(2 * 2 * 5 * groups * group_filters, dtype=row.dtype)
    filters = filters.reshape(2, 2, 5, groups * group_filters)
    bias = -np.arange(groups * group_filters, dtype=row.dtype)
    packed = plan.pack(row, filters, bias, groups)
    assert packed.address % 64 == 0 and packed.panels % 64 == 0
    assert packed.address == packed.memory.ctypes.data
    lead = packed.panels // row.itemsize
    assert lead >= 5 * groups and (packed.memory[:lead] == 0).all()
    panels = packed.memory[lead:].reshape(groups, 2, 1 + 20, row.channels)
    for g in range(groups):
        own = slice(g * group_filters, (g + 1) * group_filters)
        unpacked = panels[g].transpose(1, 0, 2).reshape(21, -1)
        np.testing.assert_array_equal(unpacked[0, :group_filters], bias[own])
        np.testing.assert_array_equal(unpacked[1:, :group_filters], filters.reshape(20, -1)[:, own])
        assert (unpacked[:, group_filters:] == 0).all()


def test_words_hold_every_field_in_its_place():
    row = next(row for row in ROWS if row.family == "dense")
    geometry = check.geometry((2, 9, 8, 6), (3, 2, 3, 4), (2, 1), ((1, 0), (2, 3)), (1, 2), 2)
    packed = plan.Packed(0, 64, np.empty(0))
    words = plan.words(row, packed, geometry, (11, 12, 13), (21, 22, 23), "relu6", 1)
    fields = dict(zip(FIELDS, words.tolist(), strict=True))
    for name, value in {
        "h": 9, "w": 8, "kh": 3, "kw": 2, "sh": 2, "sw": 1, "dh": 1, "dw": 2, "top": 1, "left": 2,
        "oh": 4, "ow": 11, "pixels": 88, "group_channels": 3, "group_filters": 2, "groups": 2,
        "image_n": 11, "image_y": 12, "image_x": 13, "out_n": 21, "out_y": 22, "out_x": 23,
        "activation": 2, "panels": 64, "channelwise": 0, "merge_rows": 0,
    }.items():  # fmt: skip
        assert fields[name] == value, name
