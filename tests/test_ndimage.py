"""The filters of `ndimage`: what SciPy's give, recorded, what NumPy's sums give, and what SciPy has
not."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import json
import math
import signal
import time
import tracemalloc
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filters import (
    FLOATS,
    INTEGERS,
    MODES,
    Call,
    calls,
    correlated,
    expected,
    gamma,
    whole_values,
    with_specials,
)
from golden.make_ndimage_golden import given as input_of
from golden.make_ndimage_golden import told, truncated
from hostile.pieces import no_tuples
from hypothesis import given
from hypothesis import strategies as st
from kept import forget
from oracle import assert_same_bits
from processes import PACKAGE, output_of
from strategies import seeds

from aotconv import ndimage
from aotconv._core import fallback_correlation, jobs, ladder
from aotconv._plan import halos, means, parts, staging

with np.load(Path(__file__).parent / "golden" / "ndimage.npz") as archive:
    GOLDEN = dict(archive)
CASES, TRUNCATIONS, SIGNATURES = (
    json.loads(GOLDEN[name].item()) for name in ("cases", "truncations", "signatures")
)
WHOLE = [each for each in INTEGERS if each != "bool"]
SMALL = WHOLE[:-1]  # what is less than 0 wraps to what float64 holds
MEANS = ("uniform_filter", "uniform_filter1d")
LINES = ("correlate1d", "convolve1d", "uniform_filter1d", "gaussian_filter1d")
MISSING = ("correlate", "convolve", "correlate1d", "convolve1d", "correlate_separable")
EVERY = (
    *(*MISSING, "uniform_filter", "uniform_filter1d", "gaussian_filter", "gaussian_filter1d"),
    *("sobel", "prewitt", "laplace", "gaussian_laplace", "gaussian_gradient_magnitude"),
)
IMAGE = np.arange(12.0).reshape(3, 4)


def golden_results() -> list[np.ndarray]:
    """The results of cases, and then of truncations."""
    memory, first, results = GOLDEN["bytes"], 0, []
    edges = [(dtype, GOLDEN["edges"].shape) for _, dtype in TRUNCATIONS]
    for dtype, shape in [*((case[4], case[5]) for case in CASES), *edges]:
        size = np.dtype(dtype).itemsize * math.prod(shape)
        results.append(memory[first : first + size].view(dtype).reshape(shape))
        first += size
    assert first == memory.size
    return results


RESULTS = golden_results()


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: f"{i}-{CASES[i][0]}")
def test_golden_scipy_results(number):
    name, key, dtype, arguments, *_ = CASES[number]
    array, want = input_of(GOLDEN[key], dtype), RESULTS[number]

    result = getattr(ndimage, name)(array, **told(arguments))

    assert (result.dtype, result.shape) == (want.dtype, want.shape)
    if want.dtype.kind in "fc":
        # Sums of less than fifty values below 10, under weights below 5.
        eps = np.finfo(want.dtype).eps * 50
        np.testing.assert_allclose(result, want, rtol=eps, atol=eps * abs(want).max())
    elif name in MEANS and array.dtype.itemsize == 8:
        # SciPy's sum of a window is that of the last one, changed: it collects errors.
        np.testing.assert_allclose(result, want, rtol=0, atol=1e-15 * 2.0**63)
    else:
        np.testing.assert_array_equal(result, want)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("number", range(len(TRUNCATIONS)), ids=lambda i: "-".join(TRUNCATIONS[i]))
def test_floats_become_integers_as_with_scipy_whatever_they_are(number):
    name, dtype = TRUNCATIONS[number]
    for output in (dtype, np.dtype(dtype).newbyteorder()):
        result = truncated(ndimage, name, GOLDEN["edges"], output)
        np.testing.assert_array_equal(result, RESULTS[len(CASES) + number])


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_stand_as_with_scipy_and_others_are_given_by_name(name):
    own = list(inspect.signature(getattr(ndimage, name)).parameters.values())
    kept = [(each.name, each.kind.name, repr(each.default)) for each in own]
    scipys = [tuple(each) for each in SIGNATURES[name]]
    others = [each for each in kept if each not in scipys]
    assert [each for each in kept if each in scipys] == scipys
    assert {kind for _, kind, _ in others} <= {"KEYWORD_ONLY"}


EXACT = (*MISSING, "uniform_filter1d", "sobel", "prewitt", "laplace")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(call=calls(EXACT, (*SMALL, *FLOATS), with_specials, outputs=(None, "int64", "float64")))
def test_whole_numbers_give_what_numpys_windows_do(call):
    array, output = call.array, call.arguments.get("output", call.array.dtype)
    if array.dtype.kind == "f" and output.kind == "i":
        call = call._replace(array=np.nan_to_num(array, nan=1, posinf=2, neginf=3))
    np.testing.assert_array_equal(call(), expected(call))


@given(call=calls(("sobel", "prewitt"), (*SMALL, *FLOATS)), data=st.data())
def test_differences_along_some_axes_are_those_of_each_part_of_the_others(call, data):
    rank = call.array.ndim
    axes = data.draw(st.permutations(range(rank)), "axes")[: data.draw(st.integers(1, rank), "n")]
    modes = data.draw(st.lists(st.sampled_from([*MODES]), min_size=len(axes), max_size=len(axes)))
    place = data.draw(st.integers(0, len(axes) - 1), "place")
    told = {**call.arguments, "mode": modes, "axes": axes, "axis": axes[place]}
    result = call._replace(arguments=told)()
    alone = {**told, "axes": None, "axis": place}
    behind = tuple(range(-len(axes), 0))
    for part, own in zip(
        *(
            np.moveaxis(each, axes, behind).reshape(-1, *(each.shape[i] for i in axes))
            for each in (call.array, result)
        ),
        strict=True,
    ):
        np.testing.assert_array_equal(own, call._replace(array=part, arguments=alone)())


def test_an_origin_that_does_not_fit_is_told_as_it_was_given():
    for origin in (5, -3):
        for name, weights in (("convolve", np.ones((4, 4))), ("convolve1d", np.ones(4))):
            with pytest.raises(ValueError, match=rf"from -2 to 1 .*, got {origin}$"):
                getattr(ndimage, name)(np.ones((9, 9)), weights, origin=origin)


def test_a_window_of_a_photo_is_told_to_name_axes():
    with pytest.raises(ValueError, match=r"of photos \(H, W, C\) say axes=\(0, 1\)$"):
        ndimage.correlate(np.ones((5, 6, 3)), np.ones((3, 3)))


def test_a_difference_is_taken_along_one_of_the_axes_that_are_filtered():
    photo = np.random.default_rng(1).random((5, 6, 3))
    for function in (ndimage.sobel, ndimage.prewitt):
        by_channel = [function(photo[..., i], 0) for i in range(3)]
        np.testing.assert_array_equal(function(photo, 0, axes=(0, 1)), np.stack(by_channel, -1))
        with pytest.raises(ValueError, match=r"axis must be one of axes, \(0, 1\), got -1"):
            function(photo, axes=(0, 1))


@given(call=calls(("uniform_filter",), WHOLE))
def test_means_of_integers_are_truncated_after_each_axis(call):
    np.testing.assert_array_equal(call(), expected(call))


@given(
    call=calls(("correlate", "correlate1d"), FLOATS, whole=False, outputs=(None, *FLOATS)),
    seed=seeds,
    scale=st.integers(-30, 30),
)
def test_sums_of_floats_are_within_their_bound(call, seed, scale):
    values = np.random.default_rng(seed).standard_normal(call.array.shape) * 10.0**scale
    array = values.astype(call.array.dtype)
    told, result = call.arguments, call._replace(array=array)()
    weights = np.array(told["weights"], np.float64)
    if call.name == "correlate1d":
        shape, before = [1] * array.ndim, [0] * array.ndim
        shape[told["axis"]], before[told["axis"]] = weights.size, weights.size // 2 + told["origin"]
        weights = weights.reshape(shape)
    else:
        each = zip(weights.shape, told["origin"], strict=True)
        before = [size // 2 + origin for size, origin in each]
    about = [told["mode"]] * array.ndim, told.get("cval", 0.0), before
    exact = correlated(array, weights, *about)
    largest = correlated(abs(array), abs(weights), about[0], abs(about[1]), before)
    narrow = {array.dtype.name, result.dtype.name} == {"float32"}
    bound = gamma(weights.size + 3, np.float32 if narrow else np.float64) * largest
    # What float64 rounds, and what the result's last digit is.
    bound += gamma(weights.size + 2, np.float64) * largest
    bound += np.finfo(result.dtype).eps * abs(exact) + np.finfo(result.dtype).tiny
    assert (abs(result.astype(np.float64) - exact) <= bound).all()


def test_float32_is_summed_in_float32_unless_the_result_or_the_user_wants_more():
    array, weights = np.array([1, 2**-24, 2**-24, 0], np.float32), [1, 1, 1, 1]
    narrow = ndimage.correlate(array, weights, mode="constant")
    wide = ndimage.correlate(array, weights, mode="constant", dtype=np.float64)
    assert (narrow.dtype, wide.dtype) == (np.float32, np.float32)
    assert narrow[2] == 1 < wide[2] == np.float32(1 + 2**-23)
    assert ndimage.correlate(array, weights, np.float64, "constant")[2] == 1 + 2**-23


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_summed_in_float32_and_rounded_once(dtype):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes").bfloat16
    array = np.array([[256.0, 1.0, 1.0, -256.0], [3.0, 5.0, 8.0, 13.0]]).astype(dtype)
    result = ndimage.correlate_separable(array, [[1, 1], [1, 1, 1]], mode="constant")
    exact = ndimage.correlate_separable(array.astype(float), [[1, 1], [1, 1, 1]], mode="constant")
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result.astype(float), exact.astype(dtype).astype(float))


def share_of(call, missing) -> tuple[np.ndarray, np.ndarray]:
    """The share of the weights that is not missing, and the sum of what they are of."""
    told = {name: each for name, each in call.arguments.items() if name != "output"}
    if call.name in ("uniform_filter1d", "uniform_filter", "gaussian_filter", "gaussian_filter1d"):
        total = 1.0
    else:
        every = [told["weights"]] if "weights" in told else told["kernels"]
        total = math.prod(float(np.sum(each)) for each in every)
    valid = (~missing).astype(np.float64)
    function = getattr(ndimage, call.name)
    share = function(valid, **{**told, "cval": 1.0}) / total
    filled = np.where(missing, 0, call.array.astype(np.float64))
    return share, function(filled, **told)


POSITIVE = (*MISSING, "uniform_filter1d", "uniform_filter", "gaussian_filter", "gaussian_filter1d")


def positive(call):
    """The call with weights that are not negative, and smoothing Gaussians."""
    told = dict(call.arguments)
    for name in {"weights", "kernels"} & told.keys():
        each = [told[name]] if name == "weights" else told[name]
        made = [abs(np.array(one, np.float64)) + 0.25 for one in each]
        told[name] = made[0] if name == "weights" else made
    if "order" in told:
        told["order"] = 0
    if call.name == "correlate_separable":
        told["cval"] = 0.0  # SciPy does not weight what is around what a step gave
        told["mode"] = "nearest"
    return call._replace(arguments=told)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(call=calls(POSITIVE, ("float64", "int32"), whole_values), seed=seeds, by=st.booleans())
def test_missing_elements_have_no_weight(call, seed, by):
    call = positive(call)
    missing = np.random.default_rng(seed).random(call.array.shape) < 0.3
    share, values = share_of(call, missing)
    call.arguments["output"] = np.dtype(np.float64)
    want = np.where(share > 0, values / share, np.nan)
    if by or call.array.dtype.kind == "i":
        array = call.array.astype(call.array.dtype)
        result = call._replace(array=array)(mask=missing)
        unseen = np.where(missing, 77, array).astype(array.dtype)
        np.testing.assert_array_equal(call._replace(array=unseen)(mask=missing), result)
    else:
        result = call._replace(array=np.where(missing, np.nan, call.array))(nan_policy="omit")
    np.testing.assert_allclose(result, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float16", "uint8", "int64", "bool"])
@pytest.mark.parametrize("name", POSITIVE)
def test_nothing_is_changed_where_nothing_is_missing(name, dtype):
    values = np.random.default_rng(0).standard_normal((9, 11))
    if dtype == "bool":
        array = values > 0
    else:  # fractions in floats; in integers what their types hold
        array = (values if "float" in dtype else abs(60 * values).clip(max=255)).astype(dtype)
    arguments: dict[str, Any] = ARGUMENTS[name]
    plain = getattr(ndimage, name)(array, **arguments)
    none = getattr(ndimage, name)(array, **arguments, nan_policy="omit")
    np.testing.assert_array_equal(none, plain)
    mask = np.zeros((9, 11), bool)
    mask[0, 0] = True
    far = getattr(ndimage, name)(array, **arguments, mask=mask)[5:, 6:]
    np.testing.assert_array_equal(far, plain[5:, 6:])


def test_missing_elements_are_the_masks_true_ones_as_with_numpy_ma():
    array = np.ma.masked_array([1.0, 50.0, 3.0, 5.0], [False, True, False, False])
    result = ndimage.uniform_filter1d(array.data, 3, mode="nearest", mask=array.mask)
    np.testing.assert_allclose(result, [1, 2, 4, 13 / 3])


def test_a_nan_around_the_array_is_missing_too():
    result = ndimage.correlate1d(
        [2.0, 4.0, 6.0], [1, 1, 1], mode="constant", cval=np.nan, nan_policy="omit"
    )
    np.testing.assert_allclose(result, [9, 12, 15])


def test_without_any_element_a_result_is_nan_or_of_integers_zero():
    mask = np.array([True, True, True, False, False])
    floats = ndimage.correlate1d(np.arange(5.0), [1, 1, 1], mask=mask)
    np.testing.assert_array_equal(floats, [np.nan, np.nan, 9, 10.5, 11])
    integers = ndimage.correlate1d(np.arange(5), [1, 1, 1], mask=mask)
    np.testing.assert_array_equal(integers, [0, 0, 9, 10, 11])
    rounded = ndimage.correlate1d(np.arange(5), [1, 1, 1], mask=mask, saturate=True)
    np.testing.assert_array_equal(rounded, [0, 0, 9, 10, 11])
    both = ndimage.correlate1d(np.array([1j, np.nan, 4 + 2j]), [1, 1, 1], nan_policy="omit")
    np.testing.assert_allclose(both, [3j, 6 + 4.5j, 12 + 6j])


def test_what_is_missing_cannot_be_made_up_for_by_weights_without_sum():
    array = np.array([1.0, np.nan, 2.0])
    for function, arguments in (
        (ndimage.correlate1d, ([-1, 0, 1],)),
        (ndimage.gaussian_filter, (1, 1)),
        (ndimage.correlate1d, ([1j, 2],)),
    ):
        with pytest.raises(ValueError, match=r"weights must be real numbers whose sum is not 0"):
            function(array, *arguments, nan_policy="omit")
        function(np.ones(3), *arguments, nan_policy="omit")


@given(call=calls((*POSITIVE, "sobel", "laplace"), WHOLE, outputs=("uint8", "int16", "int64")))
def test_saturated_integers_are_rounded_once_and_clipped(call):
    output = call.arguments.pop("output")
    exact = call._replace(array=call.array.astype(np.float64))()
    limits = np.iinfo(output)
    want = np.clip(np.rint(exact), limits.min, limits.max).astype(output)
    result = call(output=output, saturate=True)
    near = abs(exact - np.floor(exact) - 0.5) < 1e-9  # of which rounding decides
    assert result.dtype == output
    np.testing.assert_array_equal(result[~near], want[~near])


def test_saturated_integers_end_where_their_types_end():
    array = np.array([-1e300, -(2.0**63), -0.5, 0.5, 1.5, 2.5, 2.0**63, 2.0**64, np.nan, np.inf])
    for dtype, want in (
        ("uint8", [0, 0, 0, 0, 2, 2, 255, 255, 0, 255]),
        ("int64", [-(2**63), -(2**63), 0, 0, 2, 2, 2**63 - 1, 2**63 - 1, 0, 2**63 - 1]),
        ("uint64", [0, 0, 0, 0, 2, 2, 2**63, 2**64 - 1, 0, 2**64 - 1]),
    ):
        result = ndimage.correlate(array, [1.0], dtype, saturate=True)
        np.testing.assert_array_equal(result, np.array(want, dtype))


# Of each filter's call; of two axes.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "correlate": {"weights": [[1, 2, 3], [0, 1, 4]]},
    "convolve": {"weights": [[1, 2, 3], [0, 1, 4]]},
    "correlate1d": {"weights": [1, 2, 4]},
    "convolve1d": {"weights": [1, 2, 4], "axis": 0},
    "correlate_separable": {"kernels": [[1, 2], [3, 0, 1]]},
    "uniform_filter": {"size": (2, 3)},
    "uniform_filter1d": {"size": 3},
    "gaussian_filter": {"sigma": 0.8},
    "gaussian_filter1d": {"sigma": 0.8},
    "sobel": {},
    "prewitt": {},
    "laplace": {},
    "gaussian_laplace": {"sigma": 0.8},
    "gaussian_gradient_magnitude": {"sigma": 0.8},
}


@pytest.mark.parametrize("dtype", ["float64", "uint8", "bool"])
@pytest.mark.parametrize("name", EVERY)
def test_a_result_may_go_where_the_input_is_or_lie_across_it(name, dtype):
    memory = whole_values(np.random.default_rng(1), (9, 11), "uint8").astype(dtype)
    function, arguments = getattr(ndimage, name), ARGUMENTS[name]
    for source, target in (
        (np.s_[:], np.s_[:]),
        (np.s_[:], np.s_[::-1, ::-1]),
        (np.s_[1:], np.s_[:-1]),
        (np.s_[:, 1:], np.s_[:, :-1]),
        (np.s_[:9:2, ::2], np.s_[4:, :6]),
    ):
        own = memory.copy()
        expected = function(own[source].copy(), **arguments)
        assert function(own[source], **arguments, output=own[target]).base is own
        np.testing.assert_array_equal(own[target], expected)


@pytest.mark.parametrize("name", EVERY)
def test_a_result_is_written_into_any_layout_and_read_from_any(name):
    array = np.random.default_rng(2).standard_normal((6, 8)).astype(np.float32)
    function, arguments = getattr(ndimage, name), ARGUMENTS[name]
    expected = function(array, **arguments)
    for output in (
        np.empty((6, 8), np.float32, order="F"),
        np.empty((12, 24), np.float32)[::2, ::-3],
        np.empty((6, 8), np.dtype(np.float32).newbyteorder()),
        np.empty(6 * 8 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(6, 8),
    ):
        assert function(array, **arguments, output=output) is output
        np.testing.assert_array_equal(output, expected)
        output[...] = array
        np.testing.assert_array_equal(function(output, **arguments), expected)
    broadcast = np.broadcast_to(array[:1], (6, 8))
    same = function(broadcast.copy(), **arguments)
    np.testing.assert_array_equal(function(broadcast, **arguments), same)


def test_elements_of_an_output_on_the_same_memory_get_the_last_result():
    overlapping = np.lib.stride_tricks.as_strided(np.zeros(4), (3, 2), (8, 8))
    ndimage.correlate1d(np.arange(6.0).reshape(3, 2), [0, 1, 0], output=overlapping)
    assert overlapping[2, 1] == 5


@pytest.mark.parametrize("mode", MODES)
def test_borders_are_as_wide_as_windows_are(mode):
    array = np.arange(1.0, 4.0)
    weights = np.zeros(101)
    weights[0] = 1.0
    padded = np.pad(array, (50, 50), MODES[mode])
    np.testing.assert_array_equal(ndimage.correlate1d(array, weights, mode=mode), padded[:3])
    np.testing.assert_array_equal(ndimage.correlate(array, weights, mode=mode), padded[:3])


def test_correlate_takes_a_mode_for_each_axis():
    result = ndimage.correlate(IMAGE, np.ones((3, 3)), mode=["nearest", "constant"])
    padded = np.pad(np.pad(IMAGE, ((1, 1), (0, 0)), "edge"), ((0, 0), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    np.testing.assert_array_equal(result, windows.sum((2, 3)))
    some = ndimage.correlate(IMAGE, np.ones(3), mode=["constant"], axes=1)
    np.testing.assert_array_equal(some, ndimage.correlate1d(IMAGE, np.ones(3), mode="constant"))


def test_a_nan_under_a_window_without_weight_is_not_seen_and_one_of_a_line_is():
    array = np.array([1.0, np.nan, 2.0, 3.0])
    assert np.isfinite(ndimage.correlate(array, [0, 1, 1])[2:]).all()
    assert np.isnan(ndimage.correlate1d(array, [0, 1, 1])[2])


def test_a_nan_reaches_the_means_of_floats_that_it_is_in_alone():
    array = np.array([1.0, np.nan, 2.0, 3.0, 4.0])
    result = ndimage.uniform_filter1d(array, 3)
    np.testing.assert_array_equal(np.isnan(result), [True, True, True, False, False])
    np.testing.assert_allclose(result[3:], [3, 11 / 3])


sizes_of_means = st.one_of(st.integers(2, 9), st.integers(10, 70))


@given(
    sizes=st.tuples(sizes_of_means, sizes_of_means),
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    dtype=st.sampled_from(["float32", "float64"]),
    mode=st.sampled_from(["reflect", "nearest", "mirror", "wrap"]),
    data=st.data(),
)
def test_a_nan_reaches_the_means_of_its_windows_along_both_axes_and_no_other(
    sizes, shape, dtype, mode, data
):
    place = tuple(data.draw(st.integers(0, size - 1)) for size in shape)
    array = np.ones(shape, dtype)
    array[place] = np.nan
    result = ndimage.uniform_filter(array, sizes, mode=mode)
    reached = np.isnan(array)
    for axis, size in enumerate(sizes):
        width = [(size // 2, size - 1 - size // 2) if i == axis else (0, 0) for i in range(2)]
        names = {"reflect": "symmetric", "nearest": "edge", "mirror": "reflect", "wrap": "wrap"}
        padded = np.pad(reached, width, names[mode])
        reached = np.lib.stride_tricks.sliding_window_view(padded, size, axis).any(-1)
    np.testing.assert_array_equal(np.isnan(result), reached)
    assert (result[~reached] == 1).all()


@given(
    size=st.integers(2, 200),
    lengths=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    dtype=st.sampled_from(["float32", "float64"]),
    scale=st.integers(-20, 20),
    axis=st.sampled_from([0, 1]),
    seed=seeds,
)
def test_means_of_floats_err_by_the_logarithm_of_their_windows(
    size, lengths, dtype, scale, axis, seed
):
    values = np.random.default_rng(seed).standard_normal(lengths) * 10.0**scale
    array = values.astype(dtype)
    result = ndimage.uniform_filter1d(array, size, axis)
    width = [(size // 2, size - 1 - size // 2) if i == axis else (0, 0) for i in range(2)]
    padded = np.pad(array.astype(np.longdouble), width, "symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis)
    roundings = 2 * (size.bit_length() - 1) + 1  # of an element, at most
    bound = gamma(roundings, np.dtype(dtype)) * abs(windows).mean(-1) + np.finfo(dtype).tiny
    assert (abs(result - windows.mean(-1)) <= bound).all()


@given(
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    dtype=st.sampled_from(["uint8", "int8"]),
    output=st.sampled_from([None, "int16", "uint8"]),
    seed=seeds,
)
def test_saturated_means_of_bytes_are_those_of_exact_quotients(shape, sizes, dtype, output, seed):
    limits = np.iinfo(dtype)
    drawn = np.random.default_rng(seed).integers(limits.min, limits.max, shape, endpoint=True)
    result = ndimage.uniform_filter(drawn.astype(dtype), sizes, output, saturate=True)
    ends = np.iinfo(result.dtype)
    right = exact_means(drawn, sizes, "reflect")
    np.testing.assert_array_equal(result, np.clip(right, ends.min, ends.max))


def exact_means(array, sizes, mode: str) -> np.ndarray:
    """The quotients of sums of integers, of two whole numbers that are as near the even one."""
    sums = array.astype(np.int64)
    for axis, size in enumerate(sizes):
        width = [(0, 0)] * sums.ndim
        width[axis] = size // 2, size - 1 - size // 2
        sums = np.pad(sums, width, MODES[mode])
        sums = np.lib.stride_tricks.sliding_window_view(sums, size, axis).sum(-1)
    whole, rest = np.divmod(sums, math.prod(sizes))
    twice = 2 * rest - math.prod(sizes)
    return whole + ((twice > 0) | ((twice == 0) & (whole % 2 == 1)))


@pytest.mark.parametrize("size", [*range(2, 41), 63, 64, 65, 100])
def test_saturated_means_of_bytes_are_exact_at_every_size_and_border(size):
    rng = np.random.default_rng(size)
    for mode, channels in itertools.product(sorted(set(MODES)), ((), (3,))):
        array = rng.integers(0, 256, (int(rng.integers(1, 90)), 140, *channels), dtype=np.uint8)
        array[: len(array) // 2, :70] = 255
        for sizes in ((size, size), (size, 2), (3, size)):
            result = ndimage.uniform_filter(array, sizes, mode=mode, axes=(0, 1), saturate=True)
            np.testing.assert_array_equal(result, exact_means(array, sizes, mode))


@pytest.mark.parametrize("name", ["uniform_filter", "gaussian_filter"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_windows_along_both_axes_give_the_same_wherever_arrays_lie(name, dtype, channels):
    rng, memory = np.random.default_rng(0), np.zeros((160, 320, *channels), dtype)
    image = rng.integers(0, 256, (70, 150, *channels)).astype(dtype)
    outputs = (
        memory[:70, :150],  # whose rows lie apart
        memory[10:150:2, 3:153],
        memory[69::-1, :150],
        memory[:70, :300:2],
        memory[:70, 150:0:-1],
    )
    for size, mode in itertools.product((2, 5, 15, 33), ("reflect", "nearest", "constant")):
        width = size / 5 if name == "gaussian_filter" else size
        options = {"mode": mode, "axes": (0, 1), "saturate": True}
        filtered = functools.partial(getattr(ndimage, name), **options)
        wanted = filtered(image, width)
        for output in outputs:
            memory[...] = 7
            filtered(image, width, output=output)
            assert output.tobytes() == wanted.tobytes()
            output[...] = 7
            assert (memory == 7).all()
        for place, output in itertools.product(outputs, (None, memory[1:71, 2:152])):
            place[...] = image
            output = place if output is None else output  # in place, or elements further on
            filtered(place, width, output=output)
            assert output.tobytes() == wanted.tobytes()


def test_two_windows_go_through_arrays_of_one_type_at_once_where_pixels_lie_side_by_side():
    image, met = np.ones((40, 150), np.float32), []
    with pytest.MonkeyPatch.context() as patch:
        seen = jobs._job_at_once
        patch.setattr(jobs, "_job_at_once", lambda *told: met.append(told) or seen(*told))

        def count(function, array, *arguments, **options) -> int:
            forget()
            before = len(met)
            function(array, *arguments, **options)
            return len(met) - before

        once = 1 if ladder.rung("float32") is not None else 0
        of_bytes, smoothed = image.astype(np.uint8), ndimage.gaussian_filter
        for mode in ("reflect", "mirror", "nearest", "wrap", "constant"):
            assert count(smoothed, image, 1, mode=mode) == once
            assert count(smoothed, of_bytes, 1, mode=mode, saturate=True) == once
            assert count(ndimage.uniform_filter, of_bytes, 9, mode=mode, saturate=True) == once
        assert count(smoothed, image[::2], 1) == once
        for array, options in (
            (image[:, ::2], {}),
            (image[:, :20], {}),
            (image.astype(np.float64), {}),
            (image, {"output": np.float64}),
            (image, {"mode": "constant", "cval": 1.0}),
            (of_bytes, {}),
            (of_bytes, {"saturate": True, "mode": "constant", "cval": 1.0}),
        ):
            assert count(smoothed, array, 1, **options) == 0
    forget()


IN_PASSES = ("uniform_filter", "gaussian_filter")


@st.composite
def images(draw) -> np.ndarray:
    """Images that boxes of whole rows are taken of; whose rows lie apart, too."""
    height = draw(st.integers(1, 260))
    width = draw(st.one_of(st.integers(1, 90), st.integers(91, 200)))
    channels = draw(st.sampled_from([(), (1,), (3,)]))
    dtype = draw(st.sampled_from(["float32", "float64", "uint8"]))
    wide = draw(st.integers(0, 5))
    values = np.random.default_rng(draw(seeds)).integers(0, 255, (height, width + wide, *channels))
    return (values / (3 if dtype != "uint8" else 1)).astype(dtype)[:, :width]


@given(
    image=images(),
    name=st.sampled_from(IN_PASSES),
    sizes=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    mode=st.sampled_from(sorted(MODES)),
    options=st.sampled_from([{}, {"dtype": np.float64}, {"saturate": True}]),
    data=st.data(),
)
def test_windows_along_both_axes_have_the_same_bits_however_the_work_is_cut(
    image, name, sizes, mode, options, data
):
    function, given = getattr(ndimage, name), sizes
    if name == "gaussian_filter":
        given = [size / 6 for size in sizes]

    def computed(threads: int) -> np.ndarray:
        forget()  # what was decided with other limits
        return function(image, given, mode=mode, axes=(0, 1), threads=threads, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "whole_rows", lambda *_: None)
        patch.setattr(jobs, "serves", lambda *_: False)
        one_by_one = computed(1)
    for threads in (1, 2):
        with pytest.MonkeyPatch.context() as patch:
            if data.draw(st.booleans()):
                patch.setattr(jobs, "serves", lambda *_: False)
            patch.setattr(staging, "ROWS", data.draw(st.sampled_from([2, 5, 16, 60])))
            patch.setattr(means, "LEAST_ROWS", data.draw(st.sampled_from([1, 6, 32])))
            patch.setattr(means, "NEAR_BYTES", data.draw(st.sampled_from([1, 4 << 10, 96 << 10])))
            patch.setattr(means, "ROW_BYTES", data.draw(st.sampled_from([1, 600, 4 << 10])))
            assert_same_bits(computed(threads), one_by_one)
    forget()


def test_the_first_of_two_passes_reads_large_images_where_they_are():
    image, met = np.ones((300, 30), np.float32), []  # rows too short to be gone through at once
    with pytest.MonkeyPatch.context() as patch:
        seen = jobs.inside_works
        patch.setattr(jobs, "inside_works", lambda *told: met.append(told) or seen(*told))
        for array, mode in itertools.product(
            (image, image[:, ::2], image.astype(np.uint8)), ("reflect", "constant")
        ):
            forget()
            ndimage.gaussian_filter(array, 1, output=np.float32, mode=mode)
    forget()
    assert len(met) == (1 if ladder.rung("float32") is not None else 0)


@given(
    size=st.integers(2, 40),
    length=st.integers(40, 200),
    channels=st.integers(1, 3),
    axis=st.sampled_from([0, 1]),
    data=st.data(),
)
def test_a_mean_of_floats_has_the_same_bits_wherever_its_window_lies(
    size, length, channels, axis, data
):
    shape = [channels, channels]
    shape[axis] = length
    array = np.random.default_rng(size).standard_normal(shape).astype(np.float32)
    first = data.draw(st.integers(0, length - size))
    last = data.draw(st.integers(first + size, length))
    some = array.take(range(first, last), axis)
    inside = range(size // 2, last - first - (size - 1 - size // 2))
    alone = ndimage.uniform_filter1d(some, size, axis).take(inside, axis)
    whole = ndimage.uniform_filter1d(array, size, axis)
    beside = range(first + inside.start, first + inside.stop)
    assert alone.tobytes() == whole.take(beside, axis).tobytes()


def test_arrays_without_elements_or_axes_are_taken():
    assert ndimage.correlate(np.zeros((0, 3)), np.ones((3, 3))).shape == (0, 3)
    assert ndimage.gaussian_filter(np.zeros((2, 0)), 1).shape == (2, 0)
    assert ndimage.uniform_filter1d(np.zeros((0, 2), int), 3, axis=0).shape == (0, 2)
    for dtype in ("float64", "float16", "int8", "uint64", "bool", "complex64"):
        assert ndimage.correlate(np.array(3, dtype), 2.0) == np.array(6).astype(dtype)
        assert ndimage.correlate(np.array(3.0), 2.0, dtype, saturate=True) == np.array(6, dtype)
    assert ndimage.gaussian_filter(np.array(3.0), 1) == 3
    assert ndimage.laplace(np.array(3.0)) == 3


def test_functions_of_any_derivative_get_arguments_and_keywords():
    seen = []

    def derivative(input, axis, output, mode, cval, scale, power=1):
        seen.append((axis, mode, cval, isinstance(output, np.ndarray)))
        result = (input * scale) ** power
        if isinstance(output, np.ndarray):
            output[...] = result
        return result

    about = [2.0], {"power": 2}
    modes = ["wrap", "nearest"]
    total = ndimage.generic_laplace(IMAGE, derivative, None, modes, 1.5, *about)
    np.testing.assert_array_equal(total, 8 * IMAGE**2)
    assert seen == [(0, "wrap", 1.5, True), (1, "nearest", 1.5, False)]
    root = ndimage.generic_gradient_magnitude(IMAGE, derivative, extra_arguments=[2.0], axes=1)
    np.testing.assert_array_equal(root, 2 * IMAGE)


@pytest.mark.filterwarnings("error")
def test_a_dtype_of_reals_is_promoted_for_complex_results_with_a_warning():
    with pytest.warns(UserWarning, match="promoting specified output dtype to complex") as caught:
        result = ndimage.correlate1d(IMAGE, [1j, 1], output=np.float32)
    assert result.dtype == np.complex64
    assert caught[0].filename == __file__


REFUSED = [
    (ndimage.correlate, (IMAGE, [1, 2]), {}, r"weights\.ndim \(1\) must match len\(axes\) \(2\)"),
    (ndimage.correlate, (IMAGE, np.ones((0, 2))), {}, r"weights must have an element"),
    (ndimage.correlate1d, (IMAGE, []), {}, r"weights must have one axis and at least one element"),
    (ndimage.correlate1d, (IMAGE, [1, 2]), {"axis": 2}, r"axis 2 is out of range of the 2 axes"),
    (ndimage.correlate1d, (IMAGE, [1, 2]), {"origin": 1}, r"origin must be from -1 to 0 .* got 1"),
    (ndimage.correlate1d, (IMAGE, [1]), {"mode": "edge"}, r"mode must be one of .* got 'edge'"),
    (ndimage.correlate1d, (IMAGE, [1]), {"cval": 1j}, r"cval must be a real number"),
    (ndimage.correlate1d, (IMAGE, [1]), {"output": np.zeros(3)}, r"output must have the input's"),
    (ndimage.correlate1d, (IMAGE, [1]), {"nan_policy": "raise"}, r"nan_policy must be one of"),
    (ndimage.correlate1d, (IMAGE, [1]), {"algorithm": "dct"}, r"algorithm must be .* got 'dct'"),
    (ndimage.sobel, (IMAGE,), {"algorithm": "dct"}, r"algorithm must be .* got 'dct'"),
    (ndimage.correlate1d, (IMAGE, [1]), {"threads": 0}, r"threads must be at least 1, got 0"),
    (ndimage.correlate1d, (IMAGE, [1]), {"dtype": "int32"}, r"dtype, of sums, must be one of"),
    (ndimage.correlate1d, (IMAGE, [1]), {"mask": np.zeros(3, bool)}, r"mask must have the input's"),
    (ndimage.correlate1d, (IMAGE, [1j]), {"output": "float32"}, r"output must have complex dtype"),
    (ndimage.gaussian_filter, (IMAGE, 1), {"axes": (0, -2)}, r"axes must be unique"),
    (ndimage.gaussian_filter, (IMAGE, 1), {"order": -1}, r"order must be at least 0, got -1"),
    (ndimage.gaussian_filter, (IMAGE, [1]), {}, r"sigma: a sequence argument must have length"),
    (ndimage.gaussian_filter, (IMAGE, np.nan), {}, r"sigma must be finite, got nan"),
    (ndimage.gaussian_filter1d, (IMAGE, 0), {}, r"sigma must be more than 1e-15, got 0"),
    (ndimage.gaussian_filter1d, (IMAGE, 1), {"radius": 1.5}, r"radius must be an integer, got 1.5"),
    (ndimage.gaussian_filter1d, (IMAGE, 1), {"truncate": -4}, r"truncate must be from 0 to"),
    (ndimage.uniform_filter1d, (IMAGE, 0), {}, r"size must be at least 1, got 0"),
    (ndimage.correlate_separable, (IMAGE, [[1]]), {}, r"kernels must be a sequence of 2 arrays"),
]
MISTYPED = [
    (ndimage.correlate1d, ("text", [1]), {}, r"input must hold"),
    (ndimage.correlate1d, (IMAGE.astype("O"), [1]), {}, r"input must hold .* got dtype object"),
    (ndimage.correlate1d, (IMAGE.astype("g"), [1]), {}, r"input must hold .* floats of at most 64"),
    (ndimage.correlate1d, (np.ma.array([1.0]), [1]), {}, r"input must be without a mask"),
    (ndimage.correlate1d, (IMAGE, [None]), {}, r"weights must hold"),
    (ndimage.correlate1d, (IMAGE, [1]), {"output": [0.0]}, r"output must be a NumPy array"),
    (ndimage.correlate1d, (IMAGE, [1]), {"output": "M8[s]"}, r"output must hold"),
    (ndimage.correlate1d, (IMAGE, [1]), {"mode": 3}, r"mode must be one of"),
    (ndimage.correlate1d, (IMAGE, [1]), {"saturate": 1}, r"saturate must be True or False"),
    (ndimage.correlate1d, (IMAGE, [1]), {"mask": [0, 1, 0, 1]}, r"mask must hold truth values"),
    (ndimage.correlate1d, (IMAGE, [1]), {"axis": 0.0}, r"cannot be interpreted as an integer"),
    (ndimage.uniform_filter, (IMAGE, "3"), {}, r"size must be a number"),
]


@pytest.mark.parametrize(
    ("function", "args", "told", "says", "kind"),
    [*((*each, ValueError) for each in REFUSED), *((*each, TypeError) for each in MISTYPED)],
)
def test_errors_name_the_argument_and_nothing_is_written(function, args, told, says, kind):
    output = np.full_like(IMAGE, 7)
    told = {"output": output, **told}
    with pytest.raises(kind, match=says):
        function(*args, **told)
    assert (output == 7).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", EVERY)
def test_garbage_is_refused_in_a_short_message_that_names_an_argument(name):
    function = getattr(ndimage, name)
    names = [each for each in inspect.signature(function).parameters if each != "kwargs"]
    for argument, make in itertools.product(names, no_tuples(1)):
        piece, output = make(), np.full_like(IMAGE, 7)
        told = {"input": IMAGE, **ARGUMENTS[name], "output": output, argument: piece.value}
        try:
            function(**told)  # it may mean something to this argument
        except (TypeError, ValueError) as error:
            print(argument, piece.label)
            assert any(each in str(error) for each in names) and len(str(error)) < 500
            assert (output == 7).all()
        except MemoryError:
            assert "beyond all memory" in piece.label


def test_a_mode_that_is_none_is_refused_before_anything_is_written():
    output = np.full_like(IMAGE, 7)
    for name in ("laplace", "gaussian_laplace", "gaussian_gradient_magnitude", "sobel"):
        with pytest.raises(ValueError, match="each mode must be one of"):
            getattr(ndimage, name)(IMAGE, **ARGUMENTS[name], mode=["wrap", "edge"], output=output)
        assert (output == 7).all()


def test_a_read_only_output_is_refused():
    output = np.zeros_like(IMAGE)
    output.flags.writeable = False
    with pytest.raises(ValueError, match="output must be writeable"):
        ndimage.sobel(IMAGE, output=output)


@pytest.mark.parametrize("shape", [(1 << 24,), (1 << 21, 8), (8, 1 << 21), (256, 256, 256)])
@pytest.mark.parametrize("name", ["correlate", *LINES])
def test_arrays_larger_than_memory_are_filtered_block_by_block(name, shape, tmp_path):
    source = np.memmap(tmp_path / "source", np.uint8, "w+", shape=shape)
    target = np.memmap(tmp_path / "target", np.uint8, "w+", shape=shape)
    arguments = dict(ARGUMENTS[name])
    if name == "correlate":
        arguments["weights"] = np.ones([3] * len(shape))
    tracemalloc.start()
    try:
        getattr(ndimage, name)(source, **arguments, output=target)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 6e6 < source.nbytes


@given(call=calls((*EXACT, "uniform_filter"), WHOLE), least=st.sampled_from([1, 5, 40]))
def test_blocks_do_not_change_results(call, least):
    whole = call()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fallback_correlation, "BLOCK_ELEMENTS", least)
        np.testing.assert_array_equal(call(), whole)


SEPARABLE = ("correlate_separable", "uniform_filter", "gaussian_filter", "sobel", "prewitt")
SUMS = ("laplace", "gaussian_laplace", "gaussian_gradient_magnitude")
BY_AXES = {**ARGUMENTS, "correlate_separable": {"kernels": [[1, 2, 1]] * 3}, "uniform_filter": {}}


@pytest.mark.parametrize("options", [{}, {"saturate": True}], ids=["", "saturate"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("name", SEPARABLE)
def test_filters_of_several_steps_hold_some_megabytes_between_them(name, dtype, options):
    array = np.zeros((1024 // np.dtype(dtype).itemsize, 256, 256), dtype)
    output = np.empty_like(array)
    tracemalloc.start()
    try:
        getattr(ndimage, name)(array, **BY_AXES[name], **options, output=output)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 11e6 < array.nbytes / 6


ALL_TERMS: dict[str, dict[str, Any]] = {
    "laplace": {"dtype": np.float64},  # else one window
    "gaussian_laplace": {"sigma": 0.8},
    "gaussian_gradient_magnitude": {"sigma": 0.8},
    "gaussian_filter": {"sigma": 0.8, "nan_policy": "omit"},
    "correlate1d": {"weights": [1, 2, 1], "axis": 0},  # in place
}


@pytest.mark.parametrize(("shape", "limit"), [((4096, 4096), 24e6), ((256, 256, 256), 60e6)])
@pytest.mark.parametrize("name", ALL_TERMS)
def test_terms_missing_elements_and_results_in_place_hold_some_blocks(name, shape, limit):
    array = np.zeros(shape, np.float32)
    array[5, 5] = np.nan
    output = array if name == "correlate1d" else np.empty_like(array)
    tracemalloc.start()
    try:
        getattr(ndimage, name)(array, **ALL_TERMS[name], output=output)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < limit < array.nbytes


@contextlib.contextmanager
def slabs_of(n_bytes):
    """All is computed in blocks of so many bytes, or of few more than what windows reach over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "SLAB_BYTES", n_bytes)
        patch.setattr(halos, "BLOCK_BYTES", n_bytes)
        patch.setattr(halos, "MOST_BYTES", n_bytes)
        patch.setattr(halos, "HALOS", 2)
        patch.setattr(halos, "FEWEST", 2)
        forget()  # what was decided for whole arrays
        yield
    forget()


LARGER = {1: 90, 2: 40, 3: 15, 4: 7}  # sizes of axes by rank, several times those of windows
slab_sizes = st.sampled_from([1, 60, 500])


@given(
    call=calls((*SEPARABLE, *SUMS), INTEGERS + FLOATS, with_specials, whole=False, largest=LARGER),
    size=slab_sizes,
    options=st.sampled_from([{}, {}, {"saturate": True}]),
)
def test_slabs_do_not_change_results(call, size, options):
    whole = call(**options)
    with slabs_of(size):
        in_slabs = call(**options)
    assert_same_bits(in_slabs, whole)


@given(
    call=calls(EVERY, INTEGERS + FLOATS, with_specials, whole=False, largest=LARGER),
    size=slab_sizes,
)
def test_slabs_of_a_result_that_goes_where_the_input_is_do_not_change_it(call, size):
    whole, array = call(), call.array.astype(call.array.dtype.newbyteorder("="))
    with slabs_of(size):
        assert call._replace(array=array)(output=array) is array
    assert_same_bits(array, whole)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(
    call=calls(POSITIVE, ("float32", "float64", "int32", "bool"), with_specials, largest=LARGER),
    size=slab_sizes,
    seed=seeds,
)
def test_slabs_beside_missing_elements_do_not_change_results(call, size, seed):
    call, missing = positive(call), np.random.default_rng(seed).random(call.array.shape) < 0.1
    whole = call(mask=missing, nan_policy="omit")
    with slabs_of(size):
        in_slabs = call(mask=missing, nan_policy="omit")
    assert_same_bits(in_slabs, whole)


FOUR_GIGABYTES = """
import resource, sys
import numpy as np
from aotconv import ndimage
name, arguments, source, target, megabytes = {}
shape = 1024, 1024, 1024
with open(source, "wb") as file:
    file.truncate(4 << 30)
source = np.memmap(source, np.float32, "r+", shape=shape)
target = np.memmap(target, np.float32, "w+", shape=shape)
source[500:503, 500:503, 500:503] = 1
aside = getattr(ndimage, name)(np.array(source[450:550, 450:550, 450:550]), **arguments)
# Memory but for files: what is held now, and a little of what is filtered.
held = int(next(line for line in open("/proc/self/status") if "VmData" in line).split()[1])
limit = (held << 10) + (megabytes << 20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
getattr(ndimage, name)(source, **arguments, output=target)
assert (target[470:530, 470:530, 470:530] == aside[20:80, 20:80, 20:80]).all()
print(target[501, 501].any(), target[:400].any())
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' limits")
@pytest.mark.parametrize(
    ("name", "megabytes"),
    [("gaussian_filter", 40), ("sobel", 40), ("correlate", 40), ("gaussian_laplace", 200)],
)
def test_files_of_four_gigabytes_are_filtered_within_some_megabytes(name, megabytes, tmp_path):
    arguments = {"weights": np.ones((3, 3, 3)).tolist()} if name == "correlate" else BY_AXES[name]
    given = name, arguments, str(tmp_path / "source"), str(tmp_path / "target"), megabytes
    try:
        assert output_of(FOUR_GIGABYTES.format(given), PYTHONPATH=str(PACKAGE)) == "True False"
    finally:
        for path in given[2:4]:
            Path(path).unlink()


@pytest.mark.skipif(ladder.rung("float64") is None, reason="needs kernels")
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int32", "uint32"])
def test_windows_of_four_and_five_axes_are_summed_by_kernels(dtype, monkeypatch):
    rng = np.random.default_rng(4)
    for shape, window in (((5, 4, 6, 7), (3, 2, 3, 3)), ((3, 2, 3, 4, 5), (2, 1, 2, 2, 3))):
        array, weights = whole_values(rng, shape, dtype), rng.integers(-3, 4, window) * 1.0
        weights[0, 0] = 0  # a plane without taps
        about = {"weights": weights, "mode": "constant", "origin": [0] * len(shape), "cval": 2.0}
        want = expected(Call("correlate", array, about))
        monkeypatch.setattr(fallback_correlation, "correlate", None)
        np.testing.assert_array_equal(ndimage.correlate(array, **about), want)


def test_infinities_under_windows_of_four_axes_warn_of_nothing():
    array = np.full((2, 2, 3, 3), np.inf, np.float32)
    with np.errstate(all="raise"):
        assert np.isnan(ndimage.laplace(array)).all()
        assert (ndimage.correlate(array.astype(np.float64), np.ones((2,) * 4), "int8") == 0).all()


def test_running_sums_go_on_from_block_to_block():
    array = np.random.default_rng(3).integers(-(2**63), 2**63 - 1, (3, 50))
    for axis, dtype in itertools.product((0, 1), (np.int64, np.float64)):
        whole = ndimage.uniform_filter1d(array, 3, axis, dtype)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fallback_correlation, "BLOCK_ELEMENTS", 7)
            again = ndimage.uniform_filter1d(array, 3, axis, dtype)
        np.testing.assert_array_equal(again, whole)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
@pytest.mark.parametrize("name", ["correlate", "correlate1d", "uniform_filter1d"])
def test_signals_are_answered_within_a_second(name):
    class Stopped(Exception):
        pass

    def stop(*_):
        raise Stopped

    arguments = {"size": 101} if name == "uniform_filter1d" else {"weights": np.ones(101)}
    array, output = np.zeros(1 << 26, np.uint8), np.empty(1 << 26, np.uint8)
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)  # of 0.1 s on a fast machine
        start = time.perf_counter()
        with pytest.raises(Stopped):
            getattr(ndimage, name)(array, **arguments, output=output)
        assert time.perf_counter() - start < 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ndimage.__all__)
def test_hints_can_be_evaluated(name):
    hints = typing.get_type_hints(getattr(ndimage, name))
    assert {"input", "output", "mode", "cval", "return"} <= hints.keys()


def test_the_module_is_loaded_when_it_is_asked_for():
    code = (
        "import sys, aotconv; before = 'aotconv.ndimage' in sys.modules; "
        "aotconv.ndimage.sobel([1.0]); print(before, 'scipy' in sys.modules)"
    )
    assert output_of(code) == "False False"


# What was found by drawing calls beside SciPy, with SciPy's results.

WHOLE_IMAGE = np.arange(30, dtype=np.int32).reshape(5, 6)


@pytest.mark.parametrize("cval", [np.inf, -np.inf, np.nan])
def test_a_constant_that_no_border_uses_may_be_any(cval):
    expected = ndimage.gaussian_filter(WHOLE_IMAGE, 1)
    np.testing.assert_array_equal(ndimage.gaussian_filter(WHOLE_IMAGE, 1, cval=cval), expected)


def test_a_constant_nan_is_the_least_integer_behind_each_axis():
    modes = {"mode": ["constant", "nearest"], "cval": np.nan}
    result = ndimage.gaussian_filter(WHOLE_IMAGE, 1, radius=1, order=[0, 1], **modes)
    np.testing.assert_array_equal(result[0], 0)


def test_negative_numbers_between_axes_wrap_as_uint64():
    image = np.arange(9, dtype=np.uint8).reshape(3, 3)[::-1]
    np.testing.assert_array_equal(ndimage.sobel(image, 0, output=np.uint64), 0)


def test_sums_in_float64_are_rounded_to_the_results_dtype_behind_each_axis():
    image = np.random.default_rng(0).integers(0, 65536, (9, 9)).astype(np.uint16)
    lines = [[1000.0, 1001.0], [1.0, 3.0]]
    between = ndimage.correlate1d(image, lines[0], 0, np.float32, dtype=np.float64)
    result = ndimage.correlate_separable(image, lines, output=np.float32, dtype=np.float64)
    expected = ndimage.correlate1d(between, lines[1], 1, np.float32, dtype=np.float64)
    np.testing.assert_array_equal(result, expected)


def test_laplace_of_small_integers_is_truncated_axis_by_axis_beside_a_constant_fraction():
    image = np.arange(9, dtype=np.uint8).reshape(3, 3)[::-1]
    result = ndimage.laplace(image, mode="constant", cval=2.5)
    by_hand = [
        ndimage.correlate1d(image, [1, -2, 1], axis, mode="constant", cval=2.5) for axis in (0, 1)
    ]
    np.testing.assert_array_equal(result, by_hand[0] + by_hand[1])


def test_whole_sums_of_what_is_left_are_exact_beside_missing_elements():
    missing = np.zeros((4, 11), bool)
    missing[:, :2] = True
    image = np.full((4, 11), 46)
    result = ndimage.correlate1d(image, np.ones(11), mode="wrap", mask=missing)
    np.testing.assert_array_equal(result, 506)


def test_means_of_truth_values_far_from_missing_ones_are_those_without_a_mask():
    image, missing = np.ones((9, 9), bool), np.zeros((9, 9), bool)
    image[0], missing[8, 8] = False, True
    result = ndimage.uniform_filter(image, 3, mask=missing)
    np.testing.assert_array_equal(result[:6, :6], ndimage.uniform_filter(image, 3)[:6, :6])


def test_weights_and_constants_beyond_a_dtype_warn_of_nothing():
    image = np.ones((9, 9), np.float32)
    with np.errstate(all="raise"):
        ndimage.gaussian_filter(image, 1, mode="constant", cval=1e300)
        ndimage.correlate1d(image, [1e300, 1])
        ndimage.correlate1d(WHOLE_IMAGE, [1e308] * 3)
        ndimage.correlate_separable(image, [[1e200], [1e200]])
        ndimage.gaussian_filter1d(image, 0.1, truncate=60)


def test_ten_thousands_of_taps_take_no_seconds_to_list():
    image, start = np.arange(50), time.thread_time()
    ndimage.gaussian_filter1d(image, 1e4)
    assert time.thread_time() - start < 5  # 20 once, now 0.1
