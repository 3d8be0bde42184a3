"""Output sizes, padding rules and parts of a convolution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aotconv._core import check, fitting
from aotconv._plan.geometry import Axis, extent, same_padding
from aotconv._plan.parts import cut, in_bytes
from aotconv.reference import conv_reference

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
    axis = Axis.of(size, k, s, d, "same")
    assert axis.out == -(-size // s)
    assert 0 <= axis.behind - axis.before <= 1
    if axis.before + axis.behind:
        fewer = Axis.of(size, k, s, d, (axis.before, axis.behind - 1))
        assert fewer.out < axis.out or size == 0


@given(st.integers(1, 60), small, small, small, st.integers(0, 5), st.integers(0, 5))
def test_output_size_counts_the_windows_that_fit(size, k, s, d, before, behind):
    starts = range(0, size + before + behind - extent(k, d) + 1, s)
    assert max(Axis.of(size, k, s, d, (before, behind)).out, 0) == len(starts)


@given(st.integers(1, 60), small, small, small)
def test_full_padding_gives_every_window_that_meets_the_images_and_causal_none_that_looks_ahead(
    size, k, s, d
):
    full, causal = Axis.of(size, k, s, d, "full"), Axis.of(size, k, s, d, "causal")
    assert full.before == full.behind == extent(k, d) - 1
    assert full.out == len(range(0, size + extent(k, d) - 1, s))
    assert causal.out == len(range(0, size, s)) and causal.behind == 0
    lasts = (y * s - causal.before + extent(k, d) - 1 for y in range(causal.out))
    assert all(last == y * s for y, last in enumerate(lasts))


def pads_of(padding, *sizes):
    """The zeros around images of these sizes under windows of 2, 3 and 2 of them."""
    checked = check.padding(padding, len(sizes))
    kernel, ones = (2, 3, 2)[: len(sizes)], (1,) * len(sizes)
    geometry = fitting.geometry((1, *sizes, 1), (*kernel, 1, 1), ones, checked, ones, 1)
    return tuple((axis.before, axis.behind) for axis in geometry.axes[-len(sizes) :])


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("valid", ((0, 0), (0, 0))),
        ("SAME", ((0, 1), (1, 1))),
        ("same_lower", ((1, 0), (1, 1))),
        ("Full", ((1, 1), (2, 2))),
        (2, ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([[1, 2], (3, np.int64(4))], ((1, 2), (3, 4))),
        ((1, [3, 4]), ((1, 1), (3, 4))),
    ],
)
def test_every_form_of_padding(padding, expected):
    assert pads_of(padding, 5, 6) == expected


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("same", (0, 1)),
        ("full", (1, 1)),
        ("CAUSAL", (1, 0)),
        (2, (2, 2)),
        ((1, 2), (1, 2)),
        ([[1, 2]], (1, 2)),
        ((3,), (3, 3)),
    ],
)
def test_every_form_of_padding_of_one_axis(padding, expected):
    assert pads_of(padding, 5) == (expected,)


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("same", ((0, 1), (1, 1), (0, 1))),
        ((1, 2, 3), ((1, 1), (2, 2), (3, 3))),
        (((1, 2), 0, (3, 4)), ((1, 2), (0, 0), (3, 4))),
    ],
)
def test_every_form_of_padding_of_three_axes(padding, expected):
    assert pads_of(padding, 5, 6, 7) == expected


@st.composite
def geometries(draw):
    """Arguments of `conv_reference` beside arrays: those of a convolution that fits."""
    rank = draw(st.integers(1, 3))
    axes = st.tuples(*[st.integers(1, 3)] * rank)
    kernel, strides, dilations = (
        draw(st.tuples(*[st.integers(1, 4)] * rank)),
        draw(axes),
        draw(axes),
    )
    ends = st.tuples(st.integers(0, 9), st.integers(0, 5))
    pads = draw(st.tuples(*[ends] * rank))
    sizes = [
        draw(st.integers(max(1, extent(k, d) - sum(p)), 12))
        for k, d, p in zip(kernel, dilations, pads, strict=True)
    ]
    shape = (draw(st.integers(1, 3)), *sizes, 2)
    return shape, (*kernel, 2, 2), strides, pads, dilations


@given(geometries(), st.integers(1, 4000))
def test_parts_of_a_convolution_put_together_are_the_whole(sizes, limit):
    shape, kernel, strides, pads, dilations = sizes
    images = np.arange(np.prod(shape), dtype=float).reshape(shape)
    filters = np.arange(np.prod(kernel), dtype=float).reshape(kernel)
    geometry = fitting.geometry(shape, kernel, strides, pads, dilations, 1)
    whole = conv_reference(images, filters, None, strides, pads, dilations=dilations)
    rank = len(strides)
    flat = (slice(None), *[None] * (3 - rank))
    images, expected, filters = images[flat], whole[flat], filters[flat[1:]]
    result = np.full(expected.shape, np.nan)
    for part in cut(geometry, in_bytes(geometry, 8, limit)):
        g = part.geometry
        assert np.isnan(result[part.out]).all()
        source = images[part.images]
        assert source.shape == g.shapes[0]
        own = [tuple(axis[i] for axis in g.axes) for i in (2, 3)]
        zeros = [(axis.before, axis.behind) for axis in g.axes]
        result[part.out] = conv_reference(source, filters, None, own[0], zeros, dilations=own[1])
    np.testing.assert_array_equal(result, expected)
