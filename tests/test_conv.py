"""The doors: literal results, shapes, dtypes, layouts, `out`, empty sizes, errors."""

from __future__ import annotations

import copy
import pickle
import re
import warnings

import numpy as np
import pytest
from conftest import AVAILABLE, COMPILED
from oracle import assert_exact, assert_winograd
from strategies import integer_values, lay_out, real_values

import aotconv
from aotconv import Conv2D, conv1d, conv2d, conv3d
from aotconv._core import run
from aotconv._tools.problem import CLASSES, FUNCTIONS

RNG = np.random.default_rng(0)


def test_a_literal_convolution(rung):
    images = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    filters = np.array([[1, 2], [3, 4]], np.float32).reshape(2, 2, 1, 1)
    result = conv2d(images, filters, np.array([0.5], np.float32))
    # 0*1 + 1*2 + 4*3 + 5*4 + 0.5, and so on
    expected = [[34.5, 44.5, 54.5], [74.5, 84.5, 94.5]]
    assert result.dtype == np.float32
    assert result[0, :, :, 0].tolist() == expected


def test_a_literal_same_padding_puts_the_odd_zero_behind_and_same_lower_in_front(rung):
    images = np.array([1, 2, 3], np.float64).reshape(1, 1, 3, 1)
    filters = np.array([10, 1], np.float64).reshape(1, 2, 1, 1)
    assert conv2d(images, filters, padding="same").ravel().tolist() == [12, 23, 30]
    assert conv2d(images, filters, padding="same_lower").ravel().tolist() == [1, 12, 23]


def test_a_literal_depthwise_convolution_with_a_multiplier_orders_filters_by_channel(rung):
    images = np.array([[[[2.0, 3.0]]]], np.float32)
    filters = np.array([1, 10, 100, 1000], np.float32).reshape(1, 1, 1, 4)
    assert conv2d(images, filters, groups=2).ravel().tolist() == [2, 20, 300, 3000]


def test_a_literal_dilated_strided_convolution(rung):
    images = np.arange(1, 8, dtype=np.float32).reshape(1, 1, 7, 1)
    filters = np.array([1, 100], np.float32).reshape(1, 2, 1, 1)
    result = conv2d(images, filters, strides=2, dilations=3)
    assert result.ravel().tolist() == [1 + 400, 3 + 600]


def test_a_literal_full_padding_lets_every_window_that_meets_the_images_count(rung):
    images = np.array([1, 2], np.float64).reshape(1, 2, 1)
    filters = np.array([[10, 1], [1000, 100]], np.float64).reshape(2, 2, 1, 1)
    result = conv2d(images, filters, padding="full")
    assert result[..., 0].tolist() == [[100, 1200, 2000], [1, 12, 20]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [321, 432]),
        ({"padding": "causal"}, [100, 210, 321, 432]),
        ({"padding": "full", "strides": 2}, [100, 321, 43]),
        ({"padding": (1, 0), "dilations": 2}, [420]),
        ({"padding": ((2, 0),), "dilations": 2}, [310, 420]),
    ],
)
def test_literal_convolutions_along_one_axis(rung, options, expected):
    signal = np.array([1, 2, 3, 4], np.float32).reshape(4, 1)
    filters = np.array([1, 10, 100], np.float32).reshape(3, 1, 1)
    assert conv1d(signal, filters, **options).ravel().tolist() == expected


def test_a_literal_convolution_along_three_axes(rung):
    volume = np.arange(1, 9, dtype=np.float64).reshape(2, 2, 2, 1)
    filters = 10.0 ** np.arange(8).reshape(2, 2, 2, 1, 1)
    assert conv3d(volume, filters).item() == 87654321
    strided = conv3d(volume, filters, [0.5], strides=2, padding=(1, 0, 0))
    assert strided.ravel().tolist() == [43210000.5, 8765.5]


@pytest.mark.parametrize("layout", ["C", "F", "sliced", "reversed"])
@pytest.mark.parametrize("rank", FUNCTIONS)
def test_ranks_are_one_convolution_seen_with_more_axes_or_fewer(rung, rank, layout):
    images = lay_out(integer_values(RNG, (2, *(6, 9, 7)[:rank], 4), "float32"), layout)
    filters = lay_out(integer_values(RNG, (*(2, 3, 2)[:rank], 2, 6), "float32"), layout)
    options = {"padding": "same", "groups": 2, "activation": "relu"}
    expected = FUNCTIONS[rank](images, filters, strides=2, **options)
    for higher in range(rank + 1, 4):
        for place in range(1, rank + 2):  # of the axes of one pixel
            at = tuple(range(place, place + higher - rank))
            seen, flat = np.expand_dims(images, at), np.expand_dims(filters, [i - 1 for i in at])
            result = FUNCTIONS[higher](seen, flat, strides=2, **options)
            np.testing.assert_array_equal(result.reshape(expected.shape), expected)


@pytest.mark.parametrize("rank", FUNCTIONS)
def test_leading_axes_are_any_in_any_order(rung, rank):
    images = integer_values(RNG, (2, 3, 2, *(5, 4, 3)[:rank], 3), "float32")
    filters = integer_values(RNG, (*(2, 2, 2)[:rank], 3, 4), "float32")
    convolve, options = FUNCTIONS[rank], {"padding": "full", "activation": "relu6"}
    for count in range(4):
        some = images[(0,) * (3 - count)]
        leading = some.shape[:count]
        expected = np.empty((*leading, *(6, 5, 4)[:rank], 4), np.float32)
        for index in np.ndindex(*leading):
            expected[index] = convolve(some[index], filters, **options)
        np.testing.assert_array_equal(convolve(some, filters, **options), expected)
        order = (*reversed(range(count)), *range(count, some.ndim))
        result = convolve(some.transpose(order), filters, **options)
        np.testing.assert_array_equal(result, expected.transpose(order))
        residual = integer_values(RNG, expected.shape, "float32")
        out = np.full(expected.transpose(order).shape, np.nan, np.float32).transpose(order)
        more = convolve(some, filters, residual=residual, padding="full")
        convolve(some, filters, residual=residual, out=out, padding="full")
        np.testing.assert_array_equal(out, more)


@pytest.mark.parametrize("rank", FUNCTIONS)
def test_formats_say_where_channels_and_filters_are(rung, rank):
    letters = {1: "W", 2: "HW", 3: "DHW"}[rank]
    images = integer_values(RNG, (2, *(5, 4, 3)[:rank], 4), "float32")
    filters = integer_values(RNG, (*(2, 3, 2)[:rank], 2, 6), "float32")
    convolve, make = FUNCTIONS[rank], CLASSES[rank]
    expected = convolve(images, filters, padding=1, groups=2)
    first, outputs_first = np.moveaxis(images, -1, 1), np.moveaxis(filters, (-1, -2), (0, 1))
    for name in ("channels_first", f"NC{letters}"):
        for weights in (outputs_first, outputs_first.copy()):
            options = {"data_format": name, "filter_format": f"OI{letters}", "groups": 2}
            result = convolve(first, weights, padding=1, **options)
            np.testing.assert_array_equal(np.moveaxis(result, 1, -1), expected)
            layer = make(weights, padding=1, **options)
            np.testing.assert_array_equal(layer(first), result)
            assert layer.output_shape(first.shape) == result.shape
    assert f"Conv{rank}D(filters {filters.shape} float32" in repr(layer)


def test_relu6_keeps_nan_and_clips_both_ends(rung):
    images = np.array([-1, 3, 9, np.nan], np.float32).reshape(1, 1, 4, 1)
    result = conv2d(images, np.ones((1, 1, 1, 1), np.float32), activation="relu6")
    np.testing.assert_array_equal(result.ravel(), [0, 3, 6, np.nan])


def test_nan_in_one_pixel_reaches_its_receptive_field_alone(rung):
    images = np.ones((1, 9, 9, 3), np.float32)
    images[0, 4, 5, 1] = np.nan
    result = conv2d(images, np.ones((3, 3, 3, 20), np.float32), padding="same")
    reached = np.zeros((9, 9), bool)
    reached[3:6, 4:7] = True
    assert (np.isnan(result) == reached[None, :, :, None]).all()


def test_called_as_the_seed_calls_it_results_are_the_seeds(rung):
    images, filters = RNG.random((4, 28, 28, 3)), RNG.random((4, 4, 3, 4))
    images, filters, biases = (a.astype(np.float32) for a in (images, filters, RNG.random(4)))
    from aotconv import reference

    for strides in ((1, 1), (2, 3)):
        result = conv2d(images, filters, biases, strides)
        for version in (reference.filter_images_v1, reference.filter_images_v2):
            np.testing.assert_allclose(result, version(images, filters, biases, strides), rtol=2e-6)
        v3 = reference.filter_images_v3(images[:1], filters, biases, strides)
        np.testing.assert_allclose(result[:1], v3, rtol=2e-6)


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("float32", "float32"), "float32"),
        (("float32", "float64"), "float64"),
        (("float16", "float16"), "float16"),
        (("float16", "float32"), "float32"),
        (("uint8", "float32"), "float32"),
        (("int64", "float32"), "float64"),
        ((">f4", ">f4"), "float32"),
    ],
)
def test_the_result_has_numpys_common_dtype(rung, dtypes, expected):
    images, filters = np.ones((1, 4, 4, 2), dtypes[0]), np.ones((2, 2, 2, 3), dtypes[1])
    result = conv2d(images, filters)
    assert result.dtype == expected and (result == 8).all()


def test_a_bias_of_float64_makes_the_result_float64_as_numpy_adds():
    result = conv2d(np.ones((1, 2, 2, 1), "f4"), np.ones((1, 1, 1, 1), "f4"), np.ones(1))
    assert result.dtype == np.float64


def test_integers_wrap_as_numpys_do_and_are_activated_then(rung):
    images = np.full((1, 1, 2, 1), 100, np.int8)
    result = conv2d(images, np.ones((1, 2, 1, 1), np.int8))
    assert result.dtype == np.int8 and result.item() == -56
    result = conv2d(
        images.view(np.uint8) + np.uint8(30), np.ones((1, 2, 1, 1), np.uint8), activation="relu6"
    )
    assert result.dtype == np.uint8 and result.item() == 4


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_padding_is_zeros_that_are_multiplied(rung, dtype):
    images, filters = np.ones((1, 2, 2, 1), dtype), np.ones((3, 3, 1, 1), dtype)
    filters[0, 0] = np.inf  # meets padding alone in the first pixel
    result = conv2d(images, filters, padding="same")
    assert np.isnan(result[0, 0, 0, 0])
    assert dtype == "complex64" or np.isposinf(result[0, 1, 1, 0])


def test_three_dtypes_promote_together():
    arrays = [np.ones((1, 1, 1, 1), t) for t in ("f4", "u2")]
    assert conv2d(*arrays, np.ones(1, "i2")).dtype == np.result_type("f4", "u2", "i2") == "f4"


def test_an_overflow_to_float16_is_inf_and_says_nothing():
    images = np.full((1, 1, 1, 1), 6e4, np.float16)
    result = conv2d(images, np.full((1, 1, 1, 1), 2, np.float16))
    assert np.isposinf(result.item())


def test_longdouble_keeps_its_precision():
    tiny = np.finfo(np.longdouble).eps
    images = np.array([1, tiny], np.longdouble).reshape(1, 1, 2, 1)
    with aotconv.use("numpy"):
        result = conv2d(images, np.ones((1, 2, 1, 1), np.longdouble))
    assert result.item() == 1 + tiny


def test_one_image_gives_one_result_in_both_data_formats(rung):
    images = integer_values(RNG, (5, 6, 2), "float32")
    filters = integer_values(RNG, (2, 2, 2, 7), "float32")
    expected = conv2d(images[None], filters)[0]
    np.testing.assert_array_equal(conv2d(images, filters), expected)
    first = conv2d(images.transpose(2, 0, 1), filters, data_format="NCHW")
    np.testing.assert_array_equal(first, expected.transpose(2, 0, 1))


class Exposes:
    """An object that only offers one protocol for its array."""

    def __init__(self, array, *names):
        for name in names:
            setattr(type(self), name, lambda self, *a, n=name, **k: getattr(array, n)(*a, **k))


def test_objects_with_array_or_dlpack_protocols_are_read():
    images, filters = np.ones((1, 3, 3, 1), np.float32), np.ones((2, 2, 1, 1), np.float32)

    class Array(Exposes):
        pass

    class DLPack(Exposes):
        pass

    for wrapped in (Array(images, "__array__"), DLPack(images, "__dlpack__", "__dlpack_device__")):
        np.testing.assert_array_equal(conv2d(wrapped, filters), np.full((1, 2, 2, 1), 4))
    np.testing.assert_array_equal(conv2d(images.tolist(), filters), np.full((1, 2, 2, 1), 4))


def test_a_literal_residual_is_added_before_the_activation(rung):
    images = np.array([1, 2, 3, 4], np.float32).reshape(1, 2, 2, 1)
    residual = np.array([-10, 1, -3, 9], np.float32).reshape(1, 2, 2, 1)
    result = conv2d(
        images, np.ones((1, 1, 1, 1), "f4"), np.ones(1, "f4"), residual=residual, activation="relu6"
    )
    assert result.ravel().tolist() == [0, 4, 1, 6]


def test_a_residual_has_the_results_shape_in_both_data_formats_and_for_one_image(rung):
    images = integer_values(RNG, (2, 5, 6, 2), "float32")
    filters = integer_values(RNG, (2, 2, 2, 7), "float32")
    residual = integer_values(RNG, (2, 4, 5, 7), "float32")
    expected = conv2d(images, filters) + residual
    np.testing.assert_array_equal(conv2d(images, filters, residual=residual), expected)
    one = conv2d(images[0], filters, residual=residual[0])
    np.testing.assert_array_equal(one, expected[0])
    first = conv2d(
        images.transpose(0, 3, 1, 2),
        filters,
        data_format="NCHW",
        residual=residual.transpose(0, 3, 1, 2),
    )
    np.testing.assert_array_equal(first, expected.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("dtype", "other"),
    [
        ("float32", "float64"),
        ("float32", "int64"),
        ("float16", "float32"),
        ("float64", "float16"),
        ("float32", ">f4"),
        ("int8", "int64"),
        ("complex64", "float64"),
    ],
)
def test_a_residual_is_cast_to_the_results_dtype_which_it_does_not_change(rung, dtype, other):
    images, filters = np.ones((1, 3, 3, 2), dtype), np.ones((2, 2, 2, 3), dtype)
    residual = integer_values(RNG, (1, 2, 2, 3), other)
    result = conv2d(images, filters, residual=residual)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, residual + 8)
    np.testing.assert_array_equal(conv2d(images, filters, residual=residual.tolist()), result)


def test_a_residual_of_float16_is_added_in_float32(rung):
    images = np.full((1, 1, 1, 1), 2048, np.float16)
    residual = np.full((1, 1, 1, 1), 1, np.float16)
    bias = np.ones(1, np.float16)
    result = conv2d(images, np.ones((1, 1, 1, 1), np.float16), bias, residual=residual)
    assert result.item() == 2050  # in float16, 2048 + 1 + 1 is 2048


def test_images_residual_and_out_may_be_one_array(rung):
    for groups in (1, 20):
        images = integer_values(RNG, (1, 7, 9, 20), "float32")
        filters = integer_values(RNG, (3, 3, 20 // groups, 20), "float32")
        options = {"padding": "same", "groups": groups}
        expected = conv2d(images, filters, **options) + images
        assert conv2d(images, filters, out=images, residual=images, **options) is images
        np.testing.assert_array_equal(images, expected)


def test_a_residual_may_overlap_the_images_and_is_not_changed(rung):
    images = integer_values(RNG, (1, 6, 6, 3), "float32")
    kept = images.copy()
    identity = np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3)
    np.testing.assert_array_equal(conv2d(images, identity, residual=images), 2 * kept)
    np.testing.assert_array_equal(images, kept)


def test_large_arrays_of_other_layouts_are_added_block_by_block(rung):
    images = integer_values(RNG, (2, 300, 200, 4), "float32")
    filters = integer_values(RNG, (3, 3, 4, 4), "float32")
    residual = integer_values(RNG, images.shape, "float32")
    expected = conv2d(images, filters, padding="same") + residual
    out = np.empty((4, 200, 300, 2), np.float32).T
    for laid in (residual, np.asfortranarray(residual), residual.astype(np.float64)):
        np.testing.assert_array_equal(
            conv2d(images, filters, padding="same", residual=laid), expected
        )
        conv2d(images, filters, padding="same", residual=laid, out=out)
        np.testing.assert_array_equal(out, expected)


def test_out_that_overlaps_itself_gets_values_of_single_pixels(rung):
    images, filters = np.ones((1, 8, 8, 600), np.float32), np.ones((3, 3, 600, 4), np.float32)
    out = np.lib.stride_tricks.as_strided(np.zeros(4, np.float32), (1, 6, 6, 4), (0, 0, 0, 4))
    conv2d(images, filters, out=out)
    assert (out == 5400).all()


def test_out_may_overlap_the_bias_of_a_result_of_many_blocks(rung):
    memory = np.zeros(600 * 600 * 4, np.float32)
    bias, out = memory[:4], memory.reshape(1, 600, 600, 4)
    bias[...] = 1, 2, 3, 4
    conv2d(np.ones((1, 600, 600, 1), "f4"), np.ones((1, 1, 1, 4), "f4"), bias, out=out)
    assert (out == np.arange(2, 6)).all()


@pytest.mark.parametrize(
    ("images", "filters", "options", "expected"),
    [
        ((0, 5, 5, 2), (3, 3, 2, 4), {}, (0, 3, 3, 4)),
        ((2, 5, 5, 2), (3, 3, 2, 0), {}, (2, 3, 3, 0)),
        ((2, 5, 5, 0), (3, 3, 0, 4), {}, (2, 3, 3, 4)),
        ((2, 0, 5, 2), (3, 3, 2, 4), {"padding": "same"}, (2, 0, 5, 4)),
        ((2, 0, 5, 2), (3, 3, 2, 4), {"padding": (2, 0)}, (2, 2, 3, 4)),
        ((2, 5, 0, 2), (3, 3, 2, 4), {"padding": 3}, (2, 9, 4, 4)),
        ((0, 0, 0, 0), (1, 1, 0, 0), {"padding": 1}, (0, 2, 2, 0)),
        ((2, 0, 5, 5, 2), (3, 3, 2, 4), {}, (2, 0, 3, 3, 4)),
        ((0, 2), (3, 2, 4), {"padding": 2}, (2, 4)),
        ((0, 2), (3, 2, 4), {"padding": "same"}, (0, 4)),
        ((0, 2), (3, 2, 4), {"padding": "causal"}, (0, 4)),
        ((2, 5, 0), (3, 0, 4), {"padding": "causal"}, (2, 5, 4)),
        ((2, 5, 5, 0, 2), (3, 3, 3, 2, 4), {"padding": (0, 0, 2)}, (2, 3, 3, 2, 4)),
        ((2, 5, 5, 5, 0), (3, 3, 3, 0, 4), {}, (2, 3, 3, 3, 4)),
    ],
)
def test_empty_sizes_give_the_bias_or_nothing(rung, images, filters, options, expected):
    convolve = FUNCTIONS[len(filters) - 2]
    bias = np.arange(filters[-1], dtype=np.float32)
    arrays = np.ones(images, "f4"), np.ones(filters, "f4"), bias
    result = convolve(*arrays, **options)
    assert result.shape == expected
    np.testing.assert_array_equal(result, np.broadcast_to(bias, expected))
    more = np.full(expected, -2, np.float64)
    result = convolve(*arrays, **options, residual=more, activation="relu")
    np.testing.assert_array_equal(result, np.broadcast_to(np.maximum(bias - 2, 0), expected))


def test_a_layer_keeps_its_own_copy_of_the_weights():
    filters, bias = np.ones((1, 1, 1, 1), np.float32), np.ones(1, np.float32)
    layer = Conv2D(filters, bias)
    filters[...] = bias[...] = 9
    assert layer(np.ones((1, 1, 1, 1), np.float32)).item() == 2


def test_conv2d_sees_weights_that_were_changed_since_its_last_call(rung):
    images, filters, bias = (
        np.ones((1, 1, 1, 1), "f4"),
        np.ones((1, 1, 1, 1), "f4"),
        np.zeros(1, "f4"),
    )
    for value in (1, 2, np.inf, 1):
        filters[...] = value
        assert conv2d(images, filters, bias).item() == value
        bias[...] = 5
        assert conv2d(images, filters, bias).item() == value + 5
        bias[...] = 0


def test_conv2d_tells_weights_apart_that_are_equal_but_not_the_same(rung):
    images = np.arange(1, 5, dtype=np.float32).reshape(1, 2, 2, 1)
    row, column = np.ones((1, 2, 1, 1), "f4"), np.ones((2, 1, 1, 1), "f4")
    for _ in range(2):
        assert conv2d(images, row).ravel().tolist() == [3, 7]
        assert conv2d(images, column).ravel().tolist() == [4, 6]
        swapped = np.ones((1, 2, 1, 1), "f4").view(">f4")  # the same bytes
        assert (conv2d(images, swapped) < 1e-30).all()
        assert conv2d(images, row.astype("f8")).dtype == np.float64
    biases = np.array([[0.0], [-0.0], [np.nan]], np.float32)
    empty = np.ones((1, 2, 2, 0), "f4"), np.ones((1, 1, 0, 1), "f4")
    for bias in (*biases, *biases):
        assert conv2d(*empty, bias)[0, 0, 0].tobytes() == bias.tobytes()


@pytest.mark.parametrize("option", ["strides", "dilations", "groups", "padding"])
def test_conv2d_refuses_what_equals_an_option_of_an_earlier_call(option):
    images, filters = np.ones((1, 4, 4, 1), "f4"), np.ones((2, 2, 1, 1), "f4")
    conv2d(images, filters, **{option: 1})
    for equal in (True, 1.0, np.True_):
        with pytest.raises(TypeError, match=option):
            conv2d(images, filters, **{option: equal})


def test_conv2d_keeps_a_bounded_number_of_small_layers():
    from aotconv._core import call
    from aotconv._core.kept import KEPT

    images = np.ones((1, 1, 1, 1), "f4")
    for value in range(3 * KEPT):
        assert conv2d(images, np.full((1, 1, 1, 1), value, "f4")).item() == value
        assert len(call._small) <= KEPT
    kept = dict(call._small)
    large = np.ones((1, 1, 1, call.SMALL_BYTES // 4 + 1), "f4")
    assert (conv2d(images, large) == 1).all()
    assert call._small == kept


def test_a_layer_looks_at_each_calls_arrays_anew(rung):
    layer = Conv2D(np.ones((3, 3, 1, 1), "f4"), padding="same")
    memory = np.zeros(2 * 36 * 4 + 1, np.uint8)
    images = memory[: 36 * 4].view("f4").reshape(1, 6, 6, 1)
    out = memory[36 * 4 : -1].view("f4").reshape(images.shape)
    images[...] = integer_values(RNG, images.shape, "float32")
    kept = images.copy()
    expected = layer(kept)
    for _ in range(2):
        np.testing.assert_array_equal(layer(images, out=out), expected)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writeable"):
        layer(images, out=out)
    np.testing.assert_array_equal(layer(images, out=images), expected)  # the same layouts
    images[...] = kept
    misaligned = memory[1 + 36 * 4 :].view("f4").reshape(images.shape)
    np.testing.assert_array_equal(layer(images, out=misaligned), expected)
    misaligned[...] = kept
    np.testing.assert_array_equal(layer(misaligned, out=images), expected)


def test_a_layer_follows_the_implementation_in_use():
    layer, images = Conv2D(np.ones((3, 3, 1, 1), "f4")), np.ones((1, 4, 4, 1), "f4")
    used = []
    for name in [*AVAILABLE, *AVAILABLE]:
        with aotconv.use(name):
            assert (layer(images) == 9).all()
            used.append({key[0] for key in layer._operator._decisions})
    assert used[-1] == set(AVAILABLE)


def test_a_layer_serves_images_of_many_shapes_and_dtypes(rung):
    layer = Conv2D(integer_values(RNG, (3, 2, 3, 5), "float32"), padding="same", strides=(2, 1))
    for dtype in ("float32", "float64", "float16"):
        for size in range(1, 6):
            images = integer_values(RNG, (2, size, 7 - size, 3), dtype)
            result = layer(images)
            assert result.shape == layer.output_shape(images.shape)
            assert_exact(result, images, layer.filters, None, (2, 1), "same")


@pytest.mark.parametrize(
    "copy", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copied_layer_outlives_the_original(rung, copy):
    layer = Conv2D(np.ones((3, 3, 64, 64), np.float32))
    images = np.ones((1, 3, 3, 64), np.float32)
    layer(images)
    copied = copy(layer)
    kernels = layer._operator._kernels._kept.values()
    for memory in (
        *layer._operator._copies.values(),
        *(kernel.packed.memory for kernel, _ in kernels),
    ):
        memory[:] = np.nan
    del layer
    assert (copied(images) == 576).all()


class Lies(np.ndarray):
    """A subclass that says of itself what is not so."""

    shape = property(lambda self: (1, 2000, 2000, 8))
    strides = property(lambda self: (2**40, 2**30, 2**20, 4))
    flags = property(lambda self: Lies)
    dtype = property(lambda self: np.dtype("float64"))
    writeable = aligned = c_contiguous = True

    def view(self, *args):
        raise AssertionError("must not be asked")

    def __array_function__(self, *args):
        return False


def test_what_a_subclass_says_of_itself_is_not_believed():
    images, filters = np.ones((1, 6, 6, 8), np.float32), np.ones((3, 3, 8, 8), np.float32)
    lying = np.ndarray.view(images, Lies)
    assert (conv2d(lying, filters) == 72).all()
    out = np.zeros((1, 4, 4, 8), np.float32)
    result = conv2d(images, filters, out=np.ndarray.view(out, Lies))
    assert type(result) is Lies and (out == 72).all()
    frozen = np.frombuffer(bytes(4 * 4 * 8 * 4), np.float32).reshape(1, 4, 4, 8)
    with pytest.raises(ValueError, match="read-only"):
        conv2d(images, filters, out=np.ndarray.view(frozen, Lies))


def test_an_array_reshaped_while_it_is_used_does_no_harm():
    images, filters = np.ones((1, 64, 64, 16), np.float32), np.ones((1, 1, 16, 8), np.float32)

    class Reshapes:
        def __index__(self):
            images.shape = (1, 1, 64 * 64, 16)
            return 1

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # NumPy's, of setting the shape
        result = conv2d(images, filters, threads=Reshapes())
    assert result.size == 64 * 64 * 8 and (result == 16).all()


def test_a_layer_calls_with_its_own_threads_by_default():
    layer = Conv2D(np.ones((3, 3, 8, 8), np.float32), threads=2)
    images = np.ones((1, 30, 30, 8), np.float32)
    np.testing.assert_array_equal(layer(images), layer(images, threads=1))
    assert "Conv2D(filters (3, 3, 8, 8) float32" in repr(layer)


IMAGES, FILTERS = np.ones((2, 8, 8, 4), np.float32), np.ones((3, 3, 4, 6), np.float32)


@pytest.mark.parametrize("zero", [0, 0.0, -0.0, np.float16(0), np.float32(0), np.int8(0)], ids=repr)
def test_a_padding_value_of_zero_of_any_type_is_zero(zero):
    result = conv2d(IMAGES, FILTERS, padding=1, padding_value=zero)
    np.testing.assert_array_equal(result, conv2d(IMAGES, FILTERS, padding=1))


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (ValueError, r"images must have .* 3 axes \(height, wi", {"images": np.ones((8, 8))}),
        (TypeError, "filters must hold integers, floats", {"filters": FILTERS > 0}),
        (TypeError, "images must hold integers, floats", {"images": IMAGES.astype(object)}),
        (TypeError, "images must hold integers, floats", {"images": "photo"}),
        (TypeError, "filters must hold integers, floats", {"filters": FILTERS.astype("U3")}),
        (ValueError, "filters must have 4 axes", {"filters": np.ones((3, 3, 4))}),
        (ValueError, "a height and a width of at least 1", {"filters": np.ones((0, 3, 4, 6))}),
        (ValueError, "must agree in channels: images have 4", {"filters": np.ones((3, 3, 5, 6))}),
        (ValueError, r"bias must have one value .* shape \(6,\)", {"bias": np.ones(5)}),
        (ValueError, r"bias must .* got shape \(1, 6\)", {"bias": np.ones((1, 6))}),
        (ValueError, r"bias must .* got shape \(\)", {"bias": 1.0}),
        (TypeError, "bias must hold", {"bias": ["a"] * 6}),
        (TypeError, "images must be an array, got list", {"images": [[[1, 2], [3]]]}),
        (TypeError, "images must be without a mask", {"images": np.ma.ones((2, 8, 8, 4))}),
        (TypeError, "out must be a NumPy array, got Masked", {"out": np.ma.ones((2, 6, 6, 6))}),
        (ValueError, "strides must be at least 1, got 0", {"strides": 0}),
        (ValueError, "strides must be at least 1, got -2", {"strides": (1, -2)}),
        (ValueError, "strides must be .* of length 3", {"strides": (1, 1, 1)}),
        (TypeError, "strides must be an integer, got 1.5", {"strides": (1, 1.5)}),
        (TypeError, "strides must be an integer or a pair", {"strides": 2.0}),
        (TypeError, "strides must be an integer, got True", {"strides": True}),
        (ValueError, "strides must be at most", {"strides": 2**70}),
        (ValueError, "dilations must be at least 1", {"dilations": 0}),
        (TypeError, "dilations must be", {"dilations": None}),
        (ValueError, "padding must be one of .* got 'causal'", {"padding": "causal"}),
        (ValueError, "padding_mode must be .* of length 3", {"padding_mode": ("wrap",) * 3}),
        (ValueError, "each padding_mode must be one of", {"padding_mode": ("wrap", "mirror")}),
        (ValueError, "padding_mode must be one of .* got 'mirror'", {"padding_mode": "mirror"}),
        (TypeError, "padding_mode must be one of", {"padding_mode": 0}),
        (
            ValueError,
            "padding_value must be 0 unless .* got 0.5",
            {"padding_value": 0.5, "padding_mode": "edge"},
        ),
        (ValueError, "padding_value must fit .* float32, got 1j", {"padding_value": 1j}),
        (TypeError, "padding_value must be a number, got '0'", {"padding_value": "0"}),
        (ValueError, "padding must be at least 0, got -1", {"padding": -1}),
        (ValueError, "padding must be at least 0, got -1", {"padding": ((0, -1), (0, 0))}),
        (TypeError, "padding must be", {"padding": None}),
        (TypeError, "padding must be", {"padding": 1.0}),
        (ValueError, "filters must fit into the padded images", {"images": np.ones((1, 2, 8, 4))}),
        (ValueError, "their width 3, dilated to 9,", {"dilations": (1, 4)}),
        (ValueError, "groups must divide the number of filters, 6, got 4", {"groups": 4}),
        (ValueError, "groups must divide the channels of images, 4, got 3", {"groups": 3}),
        (ValueError, "must agree in channels", {"groups": 2}),
        (ValueError, "groups must be at least 1", {"groups": 0}),
        (TypeError, "groups must be an integer", {"groups": 1.0}),
        (ValueError, "data_format must be one of", {"data_format": "HWCN"}),
        (TypeError, "data_format must be one of", {"data_format": 3}),
        (ValueError, "data_format must be one of", {"data_format": None}),
        (ValueError, "filter_format must be one of .* got 'IOHW'", {"filter_format": "IOHW"}),
        (TypeError, "filter_format must be one of", {"filter_format": 1}),
        (ValueError, "must agree in channels: .* expect 3 a g", {"filter_format": "OIHW"}),
        (TypeError, "saturate must be True or False, got 1", {"saturate": 1}),
        (ValueError, "activation must be one of", {"activation": "relu7"}),
        (ValueError, "activation must be a name or", {"activation": ("relu", 0.5)}),
        (ValueError, "activation must be a name or", {"activation": ("leaky_relu",)}),
        (TypeError, "slope of activation must be a number", {"activation": ("leaky_relu", "0")}),
        (TypeError, "slope of activation must be a number", {"activation": ("leaky_relu", True)}),
        (ValueError, "slope of activation must be finite", {"activation": ("leaky_relu", np.nan)}),
        (ValueError, "slope of activation must be", {"activation": ("leaky_relu", 10**400)}),
        (TypeError, "activation must be one of", {"activation": np.tanh}),
        (TypeError, "activation 'relu' is not", {"images": 1j * IMAGES, "activation": "relu"}),
        (TypeError, "activation 'relu' is not", {"filters": 1j * FILTERS, "activation": "relu"}),
        (
            TypeError,
            "activation 'silu' is not defined for a result of dtype int",
            {"images": IMAGES.astype(int), "filters": FILTERS.astype(int), "activation": "silu"},
        ),
        (
            TypeError,
            "residual must hold integers, floats",
            {"residual": np.ones((2, 6, 6, 6), "?")},
        ),
        (ValueError, r"residual must have the result's shape \(2, 6,", {"residual": np.ones(6)}),
        (ValueError, "residual must .* got \\(\\)", {"residual": 1.0}),
        (ValueError, "residual must", {"residual": np.ones((1, 6, 6, 6))}),
        (ValueError, "residual must", {"residual": np.ones((6, 6, 6))}),
        (
            TypeError,
            "residual must be castable .* float32",
            {"residual": np.ones((2, 6, 6, 6), "c8")},
        ),
        (TypeError, "residual must be without a mask", {"residual": np.ma.ones((2, 6, 6, 6))}),
        (ValueError, "algorithm must be one of .* got 'dct'", {"algorithm": "dct"}),
        (ValueError, "algorithm must be one of .* got None", {"algorithm": None}),
        (TypeError, "algorithm must be one of .* of type int", {"algorithm": 1}),
        (
            ValueError,
            r"'winograd' needs filters of height and width \(3, 3\), got \(3, 2\)",
            {"algorithm": "winograd", "filters": np.ones((3, 2, 4, 6), "f4")},
        ),
        (
            ValueError,
            r"'winograd' needs strides \(1, 1\), got \(2, 1\)",
            {"algorithm": "winograd", "strides": (2, 1)},
        ),
        (
            ValueError,
            r"'winograd' needs dilations \(1, 1\), got \(1, 2\)",
            {"algorithm": "winograd", "dilations": (1, 2)},
        ),
        (
            ValueError,
            "'winograd' needs groups 1, got 2",
            {"algorithm": "winograd", "groups": 2, "filters": FILTERS[:, :, :2]},
        ),
        (
            ValueError,
            "'winograd' needs a result of dtype float32 or float64, got complex64",
            {"algorithm": "winograd", "images": 1j * IMAGES},
        ),
        (ValueError, "threads must be at least 1", {"threads": 0}),
        (TypeError, "threads must be an integer", {"threads": "2"}),
        (ValueError, "too large to address", {"padding": 2**40}),
        (TypeError, "out must be a NumPy array, got list", {"out": []}),
        (ValueError, "out must have the result's shape", {"out": np.ones((2, 6, 6, 5), "f4")}),
        (TypeError, "out must have the result's dtype", {"out": np.ones((2, 6, 6, 6))}),
        (TypeError, "out must have the result's dtype", {"out": np.ones((2, 6, 6, 6), ">f4")}),
    ],
)
def test_errors_name_the_argument_what_came_and_what_was_expected(error, message, change):
    arguments = {"images": IMAGES, "filters": FILTERS, **change}
    with pytest.raises(error, match=message):
        conv2d(**arguments)
    call = {name: arguments.pop(name, None) for name in ("images", "out", "residual")}
    with pytest.raises(error, match=message):
        Conv2D(**arguments)(**call)


@pytest.fixture(params=COMPILED)
def compiled(request):
    """Each implementation that has algorithm "winograd", in use."""
    with aotconv.use(request.param):
        yield request.param


def test_a_literal_winograd_convolution(compiled):
    images = np.zeros((1, 6, 7, 1), np.float64)
    images[0, 3, 4] = 10
    filters = np.arange(9, dtype=np.float64).reshape(3, 3, 1, 1)
    result = conv2d(images, filters, [0.5], padding="same", algorithm="winograd")
    expected = np.full((6, 7), 0.5)
    expected[2:5, 3:6] += 10 * filters[::-1, ::-1, 0, 0]
    np.testing.assert_allclose(result[0, :, :, 0], expected, atol=1e-12)


@pytest.mark.parametrize("dtype", ["int32", "complex64", "float16"])
def test_winograd_refuses_dtypes_before_anything_is_written(dtype):
    images, filters = np.ones((1, 5, 5, 2), dtype), np.ones((3, 3, 2, 3), dtype)
    out = np.full((1, 3, 3, 3), 7, dtype)
    with pytest.raises(ValueError, match=f"float32 or float64, got {dtype}"):
        conv2d(images, filters, out=out, algorithm="winograd")
    assert (out == 7).all()


def test_winograd_is_refused_where_numpy_computes():
    images, filters = np.ones((1, 5, 5, 2)), np.ones((3, 3, 2, 3))
    with aotconv.use("numpy"):
        with pytest.raises(ValueError, match="needs compiled kernels or numba, and 'numpy'"):
            conv2d(images, filters, algorithm="winograd")
        assert (conv2d(images, filters, algorithm="auto") == 18).all()


def test_winograd_and_auto_are_layers_of_their_own(compiled):
    images = real_values(RNG, (1, 9, 9, 4), "float32")
    filters = real_values(RNG, (3, 3, 4, 5), "float32")
    layers = [Conv2D(filters, algorithm=name) for name in ("auto", "winograd")]
    results = [layer(images) for layer in layers]
    assert (results[0] != results[1]).any()
    for _ in range(2):
        for name, expected in zip(("auto", "winograd"), results, strict=True):
            np.testing.assert_array_equal(conv2d(images, filters, algorithm=name), expected)
    assert "algorithm='winograd'" in repr(layers[1])
    copied = pickle.loads(pickle.dumps(layers[1]))
    np.testing.assert_array_equal(copied(images), results[1])


def test_winograd_gives_integers_under_float_filters_their_common_dtype(compiled):
    images = integer_values(RNG, (2, 9, 9, 4), "int32")
    filters = integer_values(RNG, (3, 3, 4, 5), "float32")
    result = conv2d(images, filters, padding="same", algorithm="winograd")
    assert result.dtype == np.float64
    assert_winograd(result, images, filters, None, 1, "same")


@pytest.mark.parametrize("shape", [(3, 150, 90, 12), (1, 9, 3000, 300)])
def test_winograd_gives_the_same_bits_where_layouts_are_copied_in_blocks(shape):
    images = real_values(RNG, shape, "float32")
    filters = real_values(RNG, (3, 3, shape[3], 2), "float32")
    options = {"padding": ((1, 2), (0, 3)), "activation": "relu", "algorithm": "winograd"}
    expected = conv2d(images, filters, **options)
    assert_winograd(expected, images, filters, None, 1, **options)
    residual = real_values(RNG, expected.shape, "float32")
    added = conv2d(images, filters, residual=residual, **options)
    fortran = np.asfortranarray(images)
    np.testing.assert_array_equal(conv2d(fortran, filters, **options), expected)
    more = np.asfortranarray(residual)
    np.testing.assert_array_equal(conv2d(fortran, filters, residual=more, **options), added)
    first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    result = conv2d(first, filters, data_format="NCHW", **options)
    np.testing.assert_array_equal(result.transpose(0, 2, 3, 1), expected)
    out = np.empty(added.T.shape, np.float32).T
    conv2d(images, filters, residual=residual, out=out, **options)
    np.testing.assert_array_equal(out, added)


def test_a_nan_reaches_no_further_than_winograds_tiles(compiled):
    images = np.ones((1, 16, 16, 3), np.float32)
    images[0, 7, 9, 1] = np.nan
    result = conv2d(images, np.ones((3, 3, 3, 4), "f4"), padding="same", algorithm="winograd")
    reached = np.zeros((16, 16), bool)
    reached[4:12, 8:12] = True  # tiles that read rows 3 to 8 or 7 to 12, columns 7 to 12
    window = np.s_[:, 6:9, 8:11]
    assert np.isnan(result[window]).all()
    assert not np.isnan(result[:, ~reached]).any()


def test_winograd_keeps_quiet_about_weights_that_overflow(compiled):
    images = np.ones((1, 5, 5, 1), np.float32)
    for weight in (np.finfo(np.float32).max, np.inf):
        filters = np.full((3, 3, 1, 1), weight, np.float32)
        assert not np.isfinite(conv2d(images, filters, algorithm="winograd")).any()


def test_winograd_of_empty_sizes_is_that_of_auto(compiled):
    for shape, n_filters in (((0, 5, 5, 2), 3), ((1, 5, 5, 0), 3), ((1, 5, 5, 2), 0)):
        args = np.ones(shape), np.ones((3, 3, shape[3], n_filters)), np.ones(n_filters)
        expected = conv2d(*args)
        np.testing.assert_array_equal(conv2d(*args, algorithm="winograd"), expected)


@pytest.mark.parametrize(
    ("rank", "message", "change"),
    [
        (
            1,
            r"images must have at least 2 axes \(length, channels\), got 1",
            {"images": np.ones(8)},
        ),
        (1, r"filters must have 3 axes \(length, channels", {"filters": np.ones((3, 3, 4, 6))}),
        (1, "filters must have a length of at least 1", {"filters": np.ones((0, 4, 6))}),
        (1, "strides must be an integer or one integer, got .* of length 2", {"strides": (1, 1)}),
        (1, r"padding must be .* 'causal'.* or \(\(before, behind\),\)", {"padding": (1, 2, 3)}),
        (1, "their length 3, dilated to 9,", {"dilations": 4}),
        (1, "data_format must be one of .'NWC', 'NCW'", {"data_format": "NHWC"}),
        (1, "filter_format must be one of .'WIO', 'OIW'", {"filter_format": "HWIO"}),
        (1, "'winograd' needs two spatial axes, got 1", {"algorithm": "winograd"}),
        (3, r"images must have .* 4 axes \(depth, height, width", {"images": np.ones((8, 8, 4))}),
        (3, "filters must have a depth and a height and", {"filters": np.ones((0, 3, 3, 4, 6))}),
        (3, "dilations must be an integer or three integers", {"dilations": (1, 1)}),
        (3, "padding must be .*front, back", {"padding": "causal"}),
        (3, "padding must be .* of length 2", {"padding": (1, 2)}),
        (3, "their depth 3 is more than the images' depth 2", {"images": np.ones((2, 8, 8, 4))}),
        (3, "data_format must be one of .'NDHWC', 'NCDHW'", {"data_format": "NHWC"}),
        (3, "'winograd' needs two spatial axes, got 3", {"algorithm": "winograd"}),
    ],
)
def test_errors_of_other_ranks_name_their_axes(rank, message, change):
    images, filters = np.ones((2, *(8, 8, 8)[:rank], 4)), np.ones((*(3, 3, 3)[:rank], 4, 6))
    arguments = {"images": images, "filters": filters, **change}
    with pytest.raises(ValueError, match=message):
        FUNCTIONS[rank](**arguments)
    images = arguments.pop("images")
    with pytest.raises(ValueError, match=message):
        CLASSES[rank](**arguments)(images)


def test_a_read_only_out_is_refused_and_nothing_is_written_on_any_error():
    out = np.full((2, 6, 6, 6), 7, np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writeable"):
        conv2d(IMAGES, FILTERS, out=out)
    out.flags.writeable = True
    for change in ({"bias": np.ones(5)}, {"strides": 0}, {"groups": 4}, {"threads": 0}):
        with pytest.raises(ValueError):
            conv2d(IMAGES, FILTERS, out=out, **change)
    assert (out == 7).all()


@pytest.mark.parametrize("shape", [(8, 8), (1,) * 62 + (8, 8, 4), (2, 8, 8, 5), (2, 2, 8, 4)])
def test_output_shape_refuses_what_a_call_refuses(shape):
    with pytest.raises(ValueError, match="must"):
        Conv2D(FILTERS).output_shape(shape)


def test_single_pixels_of_planes_under_a_dilated_window_are_copied_where_calls_are_cut(
    rung, monkeypatch
):
    # Of one output pixel no more than its taps are handed on, and these lie apart.
    monkeypatch.setattr(run, "LONGEST_MICROSECONDS", 0.003)
    images = real_values(RNG, (2, 5, 7, 9), "float32")
    filters = real_values(RNG, (3, 2, 5, 70), "float32")
    options = {"dilations": (2, 3), "padding": 2}
    planar = Conv2D(filters, data_format="NCHW", **options)(images)
    last = Conv2D(filters, **options)(images.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(planar.transpose(0, 2, 3, 1), last)


def test_layers_say_what_they_are_made_of_and_nobody_can_change_it():
    filters, bias = np.ones((3, 3, 2, 4)), np.arange(4.0)
    layer = aotconv.Conv2D(filters, bias, 2, "SAME", activation="relu", threads=3)
    np.testing.assert_array_equal(layer.filters, filters)
    np.testing.assert_array_equal(layer.bias, bias)
    said = layer.strides, layer.padding, layer.dilations, layer.groups, layer.data_format
    assert said == ((2, 2), "same", (1, 1), 1, "NHWC")
    assert (layer.activation, layer.algorithm, layer.threads) == ("relu", "auto", 3)
    assert (layer.padding_mode, layer.padding_value) == (("constant",) * 2, 0)
    assert (layer.dtype, layer.saturate) == (None, False)
    for array in (layer.filters, layer.bias):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    for name in ("filters", "strides", "groups", "threads"):
        with pytest.raises(AttributeError):
            setattr(layer, name, 1)
    transposed = aotconv.Conv2DTranspose(filters, strides=2, output_padding=1, groups=2)
    np.testing.assert_array_equal(transposed.filters, filters)
    assert (transposed.output_padding, transposed.output_size) == ((1, 1), None)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("stride", "strides"),
        ("dilation", "dilations"),
        ("dilation_rate", "dilations"),
        ("mode", "padding_mode"),
        ("weight", "filters"),
    ],
)
def test_other_libraries_words_are_answered_with_ours(wrong, right):
    images, filters = np.ones((5, 5, 1)), np.ones((3, 3, 1, 1))
    calls = (
        aotconv.conv2d,
        aotconv.conv2d_transpose,
        lambda _, *args, **more: aotconv.Conv2D(*args, **more),
    )
    for call in calls:
        error, message = TypeError, f"no argument {wrong}: say {right}$"
        if right == "padding_mode" and call is aotconv.conv2d_transpose:
            error, message = ValueError, f"{wrong}: a padding_mode is of convolutions"
        with pytest.raises(error, match=message):
            call(images, filters, **{wrong: 2})
    with pytest.raises(TypeError, match=r"no argument nonsense$"):
        aotconv.conv2d(images, filters, nonsense=2)
    with pytest.raises(TypeError, match=r"no argument mode: say padding$"):
        aotconv.conv2d(images, filters, mode="same")
    with pytest.raises(TypeError, match=r"no argument stides: say strides$"):
        aotconv.conv2d(images, filters, stides=2)
    with pytest.raises(TypeError, match=r"no argument output_padding$"):
        aotconv.conv2d(images, filters, output_padding=1)
    with pytest.raises(
        TypeError, match=r"no argument kernel_size: filters are the weights themselves$"
    ):
        aotconv.Conv2D(filters=32, kernel_size=3)
    with pytest.raises(ValueError, match=r"the weights themselves, not how many there are$"):
        aotconv.Conv2D(32, 3)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"padding": "reflect"}, ": say padding_mode='reflect'"),
        ({"padding": "nonsense"}, "got 'nonsense'"),
        ({"padding": 1, "padding_mode": "nearest"}, ": say 'edge'"),
        ({"padding": 1, "padding_mode": "mirror"}, ": say 'reflect'"),
        ({"activation": "swish"}, ": say 'silu'"),
        ({"activation": "linear"}, ": say None"),
        ({"activation": "nonsense"}, "got 'nonsense'"),
    ],
    ids=str,
)
def test_other_libraries_choices_are_answered_with_ours(wrong, says):
    with pytest.raises(ValueError, match=f"{says}$"):
        aotconv.conv2d(np.ones((5, 5, 1)), np.ones((3, 3, 1, 1)), **wrong)
    if wrong.get("padding") == "reflect":
        with pytest.raises(ValueError, match=r"got 'reflect'$"):
            aotconv.conv2d_transpose(np.ones((5, 5, 1)), np.ones((3, 3, 1, 1)), **wrong)


@pytest.mark.parametrize(
    ("images", "filters", "cure"),
    [
        ((9, 9, 3), (3, 3), "filters[:, :, None, None]"),
        ((9, 9), (3, 3, 1, 1), "images[..., None]"),
        ((7, 9, 9), (3, 3, 1, 1), "images[..., None]"),
    ],
)
def test_arrays_that_want_axes_are_told_how(images, filters, cure):
    with pytest.raises(ValueError, match=re.escape(cure)):
        aotconv.conv2d(np.ones(images), np.ones(filters))


def test_formats_are_told_in_the_words_of_the_format_that_was_given():
    first = {"data_format": "NCHW", "filter_format": "OIHW"}
    with pytest.raises(ValueError, match=r"\(channels, height, width\).*they are images\[None\]"):
        aotconv.conv2d(np.ones((9, 9)), np.ones((1, 1, 3, 3)), **first)
    with pytest.raises(ValueError, match=r"\(channels, height, width\).*they are images\[None\]"):
        aotconv.max_pool2d(np.ones((9, 9)), 2, data_format="NCHW")
    images = np.ones((2, 8, 9, 9))
    with pytest.raises(ValueError, match="groups must divide the filters' first axis, 8, got 3"):
        aotconv.conv2d_transpose(images, np.ones((8, 3, 5, 5)), groups=3, **first)
    with pytest.raises(ValueError, match=r"shape \(5, 3, 3, 2\), OIHW, expect 3 a group$"):
        aotconv.conv2d(images, np.ones((5, 3, 3, 2)), **first)
    with pytest.raises(ValueError, match=r"got 9 and 3; they would with filter_format='OIHW'$"):
        aotconv.conv2d_transpose(images, np.ones((9, 3, 3, 3)))


def test_float8_and_dtypes_without_a_common_one_are_refused_by_name():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    images, filters = np.ones((5, 5, 1), "f4"), np.ones((3, 3, 1, 1), "f4")
    for name in ("float8_e5m2", "float8_e4m3fn"):
        dtype = getattr(ml_dtypes, name)
        for call, what in (
            (lambda each: aotconv.conv2d(images, each), "filters"),
            (lambda each: aotconv.conv2d(each, filters), "images"),
            (lambda each: aotconv.max_pool2d(each, 2), "images"),
            (lambda each: aotconv.activate(each, "relu"), "array"),
        ):
            with pytest.raises(TypeError, match=f"{what} must hold .* got dtype {name}"):
                call(filters.astype(dtype))
        with pytest.raises(TypeError, match=f"dtype must be .* got {name}"):
            aotconv.conv2d(images, filters, dtype=dtype)
    with pytest.raises(TypeError, match="images, filters must have a common dtype"):
        aotconv.conv2d(images.astype(ml_dtypes.bfloat16), filters.astype("float16"))


OPTIONS = {
    *("strides", "padding", "output_padding", "output_size", "dilations", "groups", "data_format"),
    *("activation", "dtype", "saturate", "algorithm"),
}


def test_layers_show_their_options_and_no_inner_methods():
    layer = aotconv.Conv2DTranspose(np.ones((3, 3, 1, 1)), threads=2)
    public = [name for name in dir(layer) if not name.startswith("_")]
    assert all(f"{name}=" in repr(layer) for name in public if name in OPTIONS)
    assert set(public) == {"filters", "bias", "threads", "output_shape", *OPTIONS}
    assert "padding_value" not in repr(layer) and "threads=2" in repr(layer)
