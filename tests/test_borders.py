"""What surrounds images: a convolution with a border is that of images padded by NumPy, bit for
bit, whatever computes it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from conftest import AOT_LEVELS, AVAILABLE
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_same_bits
from strategies import (
    LARGEST_KERNEL,
    integer_values,
    lay_out,
    layouts,
    ranks,
    real_values,
    seeds,
    wrapping_values,
)

import aotconv
from aotconv import conv1d, conv2d, conv3d, gradients
from aotconv._core import jobs, run
from aotconv._plan import borders
from aotconv._plan.borders import BORDERS, CONSTANT, ZEROS, index
from aotconv._plan.geometry import Geometry
from aotconv._tools.problem import FUNCTIONS

ONE = np.ones((1, 1, 1), np.float32)
PADDED = {
    "edge": "aaaaaaaa|abcd|dddddddd",
    "symmetric": "abcddcba|abcd|dcbaabcd",
    "reflect": "cbabcdcb|abcd|cbabcdcb",
    "wrap": "abcdabcd|abcd|abcdabcd",
    "constant": "xxxxxxxx|abcd|xxxxxxxx",
}
PYTORCH = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}
MODES = [*PADDED, *PYTORCH]
CUT = [(0, 10**9), (jobs.WIDE, jobs.MANY_PRODUCTS)]  # at borders, whatever is worth it; as it is
RNG = np.random.default_rng(3)


def padded_by_numpy(images, pads, modes, value=0, channels_first=False):
    """The images with each spatial axis padded by a mode of its own."""
    rank = len(pads)
    first = images.ndim - rank - (not channels_first)
    for axis, (pad, mode) in enumerate(zip(pads, modes, strict=True), first):
        widths = [pad if i == axis else (0, 0) for i in range(images.ndim)]
        mode = PYTORCH.get(mode, mode)
        more = {"constant_values": value} if mode == "constant" else {}
        images = np.pad(images, widths, mode, **more)
    return images


def letters(images) -> str:
    return "".join(chr(int(each)) for each in images.ravel())


@pytest.mark.parametrize("mode", PADDED)
def test_what_surrounds_images_is_what_the_picture_shows(rung, mode):
    images = np.array([ord(each) for each in "abcd"], np.float32).reshape(4, 1)
    value = ord("x") if mode == "constant" else 0
    result = conv1d(images, ONE, padding=8, padding_mode=mode, padding_value=value)
    assert letters(result) == PADDED[mode].replace("|", "")


def test_a_single_pixel_is_repeated_by_every_mode_of_pixels(rung):
    for mode in ("edge", "symmetric", "reflect", "wrap"):
        result = conv1d(7 * np.ones((1, 1), np.float32), ONE, padding=(3, 5), padding_mode=mode)
        np.testing.assert_array_equal(result.ravel(), [7] * 9)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("mode", ["edge", "symmetric", "reflect", "wrap"])
def test_the_index_of_a_place_outside_is_numpys_however_far(mode, size):
    expected = np.pad(np.arange(size), 23, mode)
    border = BORDERS.index(mode)
    assert [index(i, size, border) for i in range(-23, size + 23)] == expected.tolist()


@pytest.mark.parametrize("border", [ZEROS, CONSTANT])
def test_what_is_no_pixel_has_no_index(border):
    assert [index(i, 2, border) for i in range(-2, 4)] == [-1, -1, 0, 1, -1, -1]


def test_each_mode_has_a_border():
    assert set(borders.MODES.values()) == {*BORDERS} - {"zeros"}
    assert [BORDERS[i] for i in range(len(BORDERS))] == [*BORDERS]


@pytest.mark.parametrize(("name", "other"), PYTORCH.items())
def test_pytorchs_names_mean_the_same(name, other):
    images = real_values(RNG, (1, 6, 7, 2), "float32")
    filters = real_values(RNG, (3, 3, 2, 2), "float32")
    results = [conv2d(images, filters, padding=9, padding_mode=each) for each in (name, other)]
    assert_same_bits(*results)
    layers = [aotconv.Conv2D(filters, padding_mode=each) for each in (name, other)]
    assert repr(layers[0]) == repr(layers[1])


@st.composite
def bordered(draw, real):
    """Arguments of a convolution with borders, and the images padded by NumPy; floats of `real`."""
    rank = draw(ranks)
    size = st.integers(1, {1: 40, 2: 14, 3: 5}[rank])
    sizes = [draw(size) for _ in range(rank)]
    kernel = [draw(st.integers(1, LARGEST_KERNEL[rank])) for _ in range(rank)]
    steps = st.tuples(*[st.integers(1, 3)] * rank)
    strides, dilations = draw(steps), draw(steps)
    pads = []
    for some, taps, dilation in zip(sizes, kernel, dilations, strict=True):
        before, behind = draw(st.integers(0, 17)), draw(st.integers(0, 17))
        pads.append((before, max(behind, (taps - 1) * dilation + 1 - some - before)))
    modes = [draw(st.sampled_from(MODES)) for _ in range(rank)]
    modes = [modes[0]] * rank if draw(st.booleans()) else modes
    groups, channels, n_filters = draw(
        st.sampled_from([(1, 1, 1), (3, 1, 3), (1, 3, 8), (16, 1, 16), (1, 9, 17), (2, 4, 6)])
    )
    dtype = draw(
        st.sampled_from(
            ["float32", "float64", "float16", "complex64", "uint8", "int32", "longdouble"]
        )
    )
    rng = np.random.default_rng(draw(seeds))
    values = wrapping_values if dtype in ("uint8", "int32") else real
    leading = draw(st.sampled_from([(1,), (2,), (), (2, 2)]))
    images = values(rng, (*leading, *sizes, channels * groups), dtype)
    other = draw(st.sampled_from(["float32", dtype])) if dtype == "uint8" else dtype
    filters = (wrapping_values if np.dtype(other).kind in "iu" else real)(
        rng, (*kernel, channels, n_filters), other
    )
    value = 0
    if {"constant", "zeros"} & set(modes):
        floats = [0, 1.25, math.nan, math.inf] + ([2 - 1.5j] if dtype == "complex64" else [])
        value = draw(st.sampled_from([0, 3, 200] if values is wrapping_values else floats))
    first = draw(st.booleans())
    if first:
        images = np.ascontiguousarray(np.moveaxis(images, -1, -1 - rank))
    images = lay_out(images, draw(layouts))
    padded = padded_by_numpy(images, pads, modes, value, first)
    options = {"strides": strides, "dilations": dilations, "groups": groups}
    options["data_format"] = "channels_first" if first else "channels_last"
    border = {"padding": pads, "padding_mode": modes, "padding_value": value}
    return rank, images, padded, filters, options, border


@pytest.mark.filterwarnings("ignore::aotconv.FallbackWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [name for name in AVAILABLE if name != "jit"])
@given(cut=st.sampled_from(CUT), threads=st.sampled_from([1, 3]), data=st.data())
def test_a_convolution_with_a_border_is_that_of_padded_images_to_the_bit(name, cut, threads, data):
    # How NumPy sums depends on the shape of what it multiplies: there sums are exact.
    real = integer_values if name == "numpy" else real_values
    rank, images, padded, filters, options, border = data.draw(bordered(real))
    function = FUNCTIONS[rank]
    limit = data.draw(st.sampled_from([run.LONGEST_MICROSECONDS, 2]))
    with pytest.MonkeyPatch.context() as patch, aotconv.use(name):
        expected = function(padded, filters, **options)
        patch.setattr(jobs, "WIDE", cut[0])
        patch.setattr(jobs, "MANY_PRODUCTS", cut[1])
        patch.setattr(run, "LONGEST_MICROSECONDS", limit)
        make = getattr(aotconv, f"Conv{rank}D")
        layer = make(filters, **options, **border)
        out = data.draw(layouts.map(lambda each: lay_out(np.zeros_like(expected), each)))
        if not out.flags.writeable or out.dtype != expected.dtype or 0 in out.strides:
            out = None
        assert_equal_bits(layer(images, out, threads), expected)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(seed=seeds, threads=st.sampled_from([None, 3]), data=st.data())
def test_gradients_of_filters_are_those_of_padded_images_to_the_bit(seed, threads, data):
    rank, images, padded, filters, options, border = data.draw(bordered(integer_values))
    shape = FUNCTIONS[rank](padded, filters, **options).shape
    output_gradient = integer_values(np.random.default_rng(seed), shape, images.dtype)
    gradient = getattr(gradients, f"conv{rank}d_filters")
    expected = gradient(padded, output_gradient, filters.shape, **options)
    made = gradient(images, output_gradient, filters.shape, **options, **border, threads=threads)
    assert_equal_bits(made, expected)


def wide(dtype) -> np.dtype:
    """What no small number is rounded in."""
    return np.dtype(dtype if np.dtype(dtype).kind in "iu" else np.result_type(dtype, "float64"))


@pytest.mark.filterwarnings("ignore::aotconv.FallbackWarning")
@given(seed=seeds, data=st.data())
def test_gradients_of_images_add_what_a_border_s_pixels_are_copies_of(seed, data):
    rank, images, padded, filters, options, border = data.draw(bordered(integer_values))
    first = options["data_format"] == "channels_first"
    shape = FUNCTIONS[rank](padded, filters, **options).shape
    output_gradient = integer_values(np.random.default_rng(seed), shape, filters.dtype)
    gradient = getattr(gradients, f"conv{rank}d_images")
    given_wide = output_gradient.astype(wide(filters.dtype))
    expected = gradient(given_wide, filters, padded.shape, **options)
    modes = zip(border["padding"], border["padding_mode"], strict=True)
    for axis, (pad, mode) in enumerate(modes, images.ndim - rank - (not first)):
        ends = np.pad(np.arange(images.shape[axis]), pad, "constant", constant_values=-1)
        mode = PYTORCH.get(mode, mode)
        if mode != "constant":
            ends = np.pad(np.arange(images.shape[axis]), pad, mode)
        moved = np.moveaxis(expected, axis, 0)
        folded = np.zeros((images.shape[axis], *moved.shape[1:]), moved.dtype)
        np.add.at(folded, ends[ends >= 0], moved[ends >= 0])
        expected = np.moveaxis(folded, 0, axis)
    made = gradient(output_gradient, filters, images.shape, **options, **border)
    assert made.dtype == filters.dtype
    assert_equal_bits(made, expected.astype(filters.dtype))


def assert_equal_bits(result, expected):
    for part in ("real", "imag"):
        assert_same_bits(getattr(result, part), getattr(expected, part))


@pytest.mark.parametrize("mode", MODES)
def test_every_family_gives_the_bits_of_padded_images(rung, mode):
    """Over images wide enough that what is inside is computed in place."""
    for shape, groups, size in [
        ((3, 3, 1, 1), 1, (40, 700)),
        ((5, 5, 1, 3), 3, (30, 200)),
        ((3, 3, 1, 40), 40, (12, 33)),
        ((2, 4, 1, 10), 10, (13, 90)),
        ((3, 3, 6, 2), 1, (9, 100)),
        ((3, 3, 2, 24), 12, (9, 30)),
        ((3, 3, 16, 32), 1, (14, 15)),
    ]:
        images = real_values(RNG, (2, *size, shape[2] * groups), "float32")
        filters, bias = real_values(RNG, shape, "float32"), real_values(RNG, shape[3:], "float32")
        value = 2.5 if mode in ("constant", "zeros") else 0
        padded = padded_by_numpy(images, [(2, 1), (1, 3)], [mode] * 2, value)
        expected = conv2d(padded, filters, bias, groups=groups)
        residual = real_values(RNG, expected.shape, "float32")
        more = {"padding": ((2, 1), (1, 3)), "padding_mode": mode, "padding_value": value}
        assert_same_bits(conv2d(images, filters, bias, groups=groups, **more), expected)
        added = conv2d(padded, filters, bias, groups=groups, residual=residual, activation="relu")
        more |= {"residual": residual, "activation": "relu"}
        assert_same_bits(conv2d(images, filters, bias, groups=groups, **more), added)


@pytest.mark.parametrize("name", [name for name in AVAILABLE if name not in ("jit", "numpy")])
@pytest.mark.parametrize("mode", ["reflect", "wrap", "constant"])
def test_winograd_gives_the_bits_of_padded_images(name, mode, monkeypatch):
    images = real_values(RNG, (2, 37, 50, 8), "float32")
    filters = real_values(RNG, (3, 3, 8, 16), "float32")
    value = 1.5 if mode == "constant" else 0
    padded = padded_by_numpy(images, [(1, 1)] * 2, [mode] * 2, value)
    with aotconv.use(name):
        expected = conv2d(padded, filters, algorithm="winograd")
        more = {"padding_mode": mode, "padding_value": value, "algorithm": "winograd"}
        for wide, many in CUT:
            monkeypatch.setattr(jobs, "WIDE", wide)
            monkeypatch.setattr(jobs, "MANY_PRODUCTS", many)
            layer = aotconv.Conv2D(filters, padding="same", **more)
            assert_same_bits(layer(images), expected)


@pytest.fixture
def staged(monkeypatch) -> list[Geometry]:
    """The geometries of what is staged."""
    met: list[Geometry] = []
    inner = jobs._staged_job
    monkeypatch.setattr(
        jobs, "_staged_job", lambda kernel, g, *more: met.append(g) or inner(kernel, g, *more)
    )
    return met


@pytest.mark.skipif(not AOT_LEVELS, reason="kernels stage images")
@pytest.mark.parametrize("sizes", [(64, 64), (63, 511), (8, 300), (100, 512)])
def test_wide_images_and_flat_ones_of_64_rows_and_pixels_are_staged_at_their_edges_alone(
    staged, sizes
):
    height, width = sizes
    images = np.ones((1, *sizes, 1), np.float32)
    conv2d(images, np.ones((3, 3, 1, 1), np.float32), padding="same", padding_mode="reflect")
    outs = {(each.y.out, each.x.out) for each in staged}
    if height < 64 and width < 512:
        assert outs == {sizes}
    else:
        assert (height, width) not in outs and (1, width) in outs and len(outs) > 1


@pytest.mark.skipif(not AOT_LEVELS, reason="kernels stage images")
@pytest.mark.parametrize("mode", ["edge", "wrap", "constant"])
@pytest.mark.parametrize("width", [5, 700])
def test_images_of_one_row_each_are_rows_of_one_image(staged, mode, width):
    signals = real_values(RNG, (50, width, 1), "float32")
    filters, bias = real_values(RNG, (5, 1, 3), "float32"), real_values(RNG, (3,), "float32")
    options = {"padding": "same", "padding_mode": mode, "padding_value": 1.5 * (mode == "constant")}
    for each in (signals, signals[::2], np.moveaxis(np.moveaxis(signals, 0, 2).copy(), 2, 0)):
        result = aotconv.conv1d(each, filters, bias, **options)
        assert {(g.n, g.y.out) for g in staged} == {(1, len(each))}
        alone = [aotconv.conv1d(row[np.newaxis], filters, bias, **options)[0] for row in each]
        assert_same_bits(result, np.stack(alone))
        staged.clear()


def test_what_is_inside_is_computed_in_place_and_the_edges_are_staged(staged):
    images = np.ones((1, 100, 1000, 1), np.float32)
    for mode, outs in {
        "reflect": {(1, 1000), (98, 1)},
        ("edge", "zeros"): {(1, 1000)},
        ("zeros", "wrap"): {(100, 1)},
    }.items():
        staged.clear()
        conv2d(images, np.ones((3, 3, 1, 1), np.float32), padding="same", padding_mode=mode)
        assert {(g.y.out, g.x.out) for g in staged} == outs, mode


@pytest.mark.parametrize("rule", ["same", "same_lower", "full", "causal"])
def test_every_rule_of_padding_says_how_wide_a_border_is(rung, rule):
    images = real_values(RNG, (2, 11, 3), "float32")
    filters = real_values(RNG, (4, 3, 5), "float32")
    pads = {"same": (1, 2), "same_lower": (2, 1), "full": (3, 3), "causal": (3, 0)}[rule]
    expected = conv1d(padded_by_numpy(images, [pads], ["reflect"]), filters)
    assert_same_bits(conv1d(images, filters, padding=rule, padding_mode="reflect"), expected)


@pytest.mark.parametrize("mode", MODES)
def test_without_padding_a_mode_has_no_effect(rung, mode):
    images, filters = np.ones((1, 5, 5, 0), np.float32), np.ones((3, 3, 0, 2), np.float32)
    assert conv2d(images, filters, padding_mode=mode).shape == (1, 3, 3, 2)
    images, filters = (real_values(RNG, each, "float32") for each in ((5, 5, 2), (3, 3, 2, 2)))
    expected = conv2d(images, filters)
    for padding in ("valid", 0, ((0, 0), (0, 0))):
        result = conv2d(images, filters, padding=padding, padding_mode=mode)
        assert_same_bits(result, expected)


def test_an_axis_without_pixels_is_padded_with_a_constant_alone(rung):
    images, filters = np.ones((1, 0, 4, 1), np.float32), np.ones((2, 2, 1, 1), np.float32)
    for mode in ("reflect", ("edge", "constant"), "wrap"):
        with pytest.raises(ValueError, match="without pixels along their height can only be"):
            conv2d(images, filters, padding=2, padding_mode=mode)
    assert conv2d(images, filters, padding=(2, 0), padding_value=3).max() == 12
    mixed = conv2d(images, filters, padding=2, padding_mode=("zeros", "wrap"))
    np.testing.assert_array_equal(mixed, np.zeros((1, 3, 7, 1)))


@pytest.mark.parametrize(
    ("dtype", "value", "fits"),
    [
        *(("uint8", each, each in (255, 3.0)) for each in (255, 3.0, 256, -1, 1.5, math.nan)),
        *(("int64", each, each == -(2**63)) for each in (-(2**63), 2**63, math.inf, 1j)),
        *(("float16", each, each != 1e5) for each in (65504, 1e5, math.inf, math.nan, 0.1)),
        *(("float32", each, each == 1e38) for each in (1e38, 1e39, 10**400, 2j)),
        *(("complex64", each, each != 1e39j) for each in (1.5, 2 - 1j, 1e39j)),
        *(("bool", each, each == 255) for each in (255, 256)),
    ],
)
def test_a_padding_value_is_one_that_the_images_can_hold(rung, dtype, value, fits):
    images = np.ones((1, 1), dtype)
    filters = np.ones((1, 1, 1), "complex64" if dtype == "complex64" else "float64")
    arguments = {"padding": 1, "padding_value": value}
    if not fits:
        with pytest.raises(ValueError, match="padding_value must"):
            conv1d(images, filters, **arguments)
        return
    kept = np.array(value).astype(images.dtype if dtype != "bool" else np.uint8)
    np.testing.assert_array_equal(conv1d(images, filters, **arguments)[0], kept)


def test_equal_values_of_any_type_say_the_same_whichever_was_met_first():
    images, filters = np.ones((1, 5, 5, 1)), np.ones((3, 3, 1, 1))
    for values in ((2 + 0j, 2, 2.0), (3.0, np.clongdouble(3), 3 + 0j), (np.longdouble(4), 4)):
        results = [conv2d(images, filters, padding=1, padding_value=each) for each in values]
        for result in results:
            np.testing.assert_array_equal(result, results[0])
        assert results[0][0, 0, 0, 0] == 4 + 5 * values[0]
    with pytest.raises(ValueError, match="padding_value must fit the images' dtype float64"):
        conv2d(images, filters, padding=1, padding_value=2 + 1j)


def test_a_value_without_a_constant_mode_is_refused():
    images = np.ones((1, 5, 5, 1))
    with pytest.raises(ValueError, match="padding_value must be 0 unless a padding_mode is"):
        conv2d(
            images, images[:, :3, :3, :1].reshape(3, 3, 1, 1), padding_mode="edge", padding_value=1
        )
    modes = ("edge", "constant")
    result = conv2d(images, np.ones((1, 1, 1, 1)), padding=1, padding_mode=modes, padding_value=4)
    np.testing.assert_array_equal(
        result[0, :, :, 0], np.pad(images[0, :, :, 0], 1, "edge") * 0 + [4, 1, 1, 1, 1, 1, 4]
    )


@pytest.mark.parametrize("rank", FUNCTIONS)
def test_a_border_as_wide_as_can_be_addressed_costs_what_is_computed(rung, rank):
    far, size = {1: 10**9, 2: 2 * 10**8, 3: 10**5}[rank], 5
    stride = 2 * far + size - 3
    images = np.arange(size**rank, dtype=np.float32).reshape(*[size] * rank, 1)
    filters = np.arange(1, 1 + 3**rank, dtype=np.float32).reshape(*[3] * rank, 1, 1)
    for mode, border in [("reflect", borders.REFLECT), ("wrap", borders.WRAP)]:
        for dilation in (1, far // 2):
            steps = stride - 2 * (dilation - 1)
            result = FUNCTIONS[rank](
                images, filters, None, steps, far, padding_mode=mode, dilations=dilation
            )
            assert result.shape == (*[2] * rank, 1)
            first = [index(i * dilation - far, size, border) for i in range(3)]
            window = images[np.ix_(*[first] * rank)][..., 0]
            assert result[(0,) * (rank + 1)] == (window * filters[..., 0, 0]).sum()


def test_integers_that_no_float_holds_have_borders(rung):
    images = RNG.integers(-(2**60), 2**60, (1, 9, 8, 2))
    filters = RNG.integers(-(2**60), 2**60, (3, 2, 2, 3))
    for mode, value in itertools.chain(((each, 0) for each in PADDED), [("constant", 2**62)]):
        padded = padded_by_numpy(images, [(4, 10)] * 2, [mode] * 2, value)
        with np.errstate(over="ignore"):
            expected = conv2d(padded, filters)
        pads = ((4, 10),) * 2
        result = conv2d(images, filters, padding=pads, padding_mode=mode, padding_value=value)
        np.testing.assert_array_equal(result, expected)


def test_a_known_call_is_known_by_its_mode_and_value():
    images = np.arange(36, dtype=np.float32).reshape(1, 6, 6, 1)
    filters = np.ones((3, 3, 1, 1), np.float32)
    for _ in range(4):
        for mode, value in [("reflect", 0), ("wrap", 0), ("constant", 0), ("constant", 2.0)]:
            result = conv2d(images, filters, padding=1, padding_mode=mode, padding_value=value)
            padded = padded_by_numpy(images, [(1, 1)] * 2, [mode] * 2, value)
            np.testing.assert_array_equal(result, conv2d(padded, filters))


def test_volumes_have_borders_along_each_axis():
    volume = real_values(RNG, (7, 8, 300, 2), "float32")
    for shape, groups in [((3, 3, 3, 2, 4), 1), ((1, 3, 3, 1, 2), 2), ((3, 3, 3, 1, 2), 2)]:
        filters = real_values(RNG, shape, "float32")
        for modes in itertools.product(["reflect", "constant", "wrap"], repeat=3):
            value = 1.5 if "constant" in modes else 0
            padded = padded_by_numpy(volume, [(1, 2)] * 3, modes, value)
            result = conv3d(
                volume,
                filters,
                padding=((1, 2),) * 3,
                padding_mode=modes,
                padding_value=value,
                groups=groups,
            )
            assert_same_bits(result, conv3d(padded, filters, groups=groups))


@pytest.mark.parametrize("channels", [1, 2])
def test_images_of_one_pixel_each_are_where_their_first_stride_says(channels):
    flat = np.arange(40, dtype=np.float32)
    images = np.lib.stride_tricks.as_strided(flat, (5, 1, channels), (12, 12, 4))
    filters = np.ones((1, channels, 2), np.float32)
    expected = conv1d(np.ascontiguousarray(images), filters)
    assert_same_bits(conv1d(images, filters), expected)
    assert expected[:, 0, 0].tolist() == images.sum((1, 2)).tolist()
