"""Output sizes, padding rules and parts of a convolution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aotconv._core import check
from aotconv._plan.geometry import extent, output_size, resolve_padding, same_padding
from aotconv._plan.parts import cut, in_bytes
from aotconv.reference import conv2d_reference

small = st.integers(1, 9)


@pytest.mark.parametrize(
    # TensorFlow's own examples of its rule, and sizes around them.
    ("size", "kernel", "stride", "dilation", "expected"),
    [
        (13, 6, 5, 1, (1, 2)),
        (5, 3, 1, 1, (1, 1)),
        (5, 2, 1, 1, (0, 1)),
        (4, 3, 2, 1, (0, 1)),
        (5, 3, 2, 1, (1, 1)),
        (5, 1, 3, 1, (0, 0)),
        (7, 3, 1, 3, (3, 3)),
        (7, 3, 2, 3, (3, 3)),
        (8, 3, 2, 3, (2, 3)),
        (0, 3, 1, 1, (1, 1)),
    ],
)
def test_same_padding_by_hand(size, kernel, stride, dilation, expected):
    assert same_padding(size, kernel, stride, dilation, lower=False) == expected
    assert same_padding(size, kernel, stride, dilation, lower=True) == expected[::-1]


@given(st.integers(0, 60), small, small, small)
def test_same_padding_gives_ceil_of_size_by_stride_with_no_zero_too_many(size, k, s, d):
    pads = same_padding(size, k, s, d, lower=False)
    assert output_size(size, k, s, d, pads) == -(-size // s) or size == 0
    assert 0 <= pads[1] - pads[0] <= 1
    if sum(pads):
        fewer = output_size(size, k, s, d, (pads[0], pads[1] - 1))
        assert fewer < -(-size // s) or size == 0


@given(st.integers(1, 60), small, small, small, st.integers(0, 5), st.integers(0, 5))
def test_output_size_counts_the_windows_that_fit(size, k, s, d, before, behind):
    starts = range(0, size + before + behind - extent(k, d) + 1, s)
    assert max(output_size(size, k, s, d, (before, behind)), 0) == len(starts)


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("valid", ((0, 0), (0, 0))),
        ("SAME", ((0, 1), (1, 1))),
        ("same_lower", ((1, 0), (1, 1))),
        (2, ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([[1, 2], (3, np.int64(4))], ((1, 2), (3, 4))),
    ],
)
def test_every_form_of_padding(padding, expected):
    checked = check.padding(padding)
    assert resolve_padding(checked, (5, 6), (2, 3), (1, 1), (1, 1)) == expected


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.just((5, 2))),
    st.integers(1, 4000),
)
def test_parts_of_a_convolution_put_together_are_the_whole(shape, kernel, s, d, pads, limit):
    images = np.arange(np.prod(shape) * 2.0).reshape(*shape, 2)
    filters = np.arange(np.prod(kernel) * 4.0).reshape(*kernel, 2, 2)
    if (kernel[0] - 1) * d[0] >= shape[1] + sum(pads[0]) or (kernel[1] - 1) * d[1] >= shape[2] + 7:
        assume(False)
    geometry = check.geometry(images.shape, filters.shape, s, pads, d, 1)
    expected = conv2d_reference(images, filters, None, s, pads, dilations=d)
    result = np.full(expected.shape, np.nan)
    for block in cut(geometry, in_bytes(geometry, 8, limit)):
        b = block.geometry
        own_pads = ((b.top, b.bottom), (b.left, b.right))
        assert np.isnan(result[block.out]).all()
        source = images[block.images]
        assert source.shape == (b.n, b.h, b.w, b.c)
        own_d = b.dh, b.dw
        result[block.out] = conv2d_reference(source, filters, None, s, own_pads, dilations=own_d)
    np.testing.assert_array_equal(result, expected)
