"""All garbage for each argument of the functions of `signal`: it is refused by name, or means
something; and what the calls that `test_hostile.py` draws found, pinned."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
from hostile import lies, pieces, signals
from hostile.right import UNSURE, WRONG
from test_hostile import refusal

from aotconv import signal

LINE, IMAGE, WINDOW = np.arange(5.0), np.arange(12.0).reshape(3, 4), np.ones((2, 2))
LINES, IMAGES = {"in1": LINE, "in2": LINE[:2]}, {"in1": IMAGE, "in2": WINDOW}
NEEDED = {
    **{"convolve": LINES, "correlate": LINES, "convolve2d": IMAGES, "correlate2d": IMAGES},
    **{"fftconvolve": IMAGES, "oaconvolve": IMAGES},
    "upfirdn": {"h": LINE, "x": IMAGE},
    "savgol_filter": {"x": IMAGE, "window_length": 3, "polyorder": 1},
}


def test_calls_of_every_function_are_drawn():
    assert {door.__name__ for door in signals.DOORS} == {*signal.__all__} == {*NEEDED}


@pytest.mark.parametrize(
    ("door", "name"),
    [
        pytest.param(door, name, id=f"{door.__name__}-{name}")
        for door in signals.DOORS
        for name in inspect.signature(door).parameters
    ],
)
def test_garbage_is_refused_in_a_short_message_that_names_its_argument(door, name):
    given = NEEDED[door.__name__]
    plainly = given.get(name, inspect.signature(door).parameters[name].default)
    for make in signals.garbage_of(name, plainly):
        piece = make()
        print(piece.label)  # the last one is what fails
        meaning, names = piece.meaning, [name, "fillvalue"]
        if signals.means_something(name, piece):  # but it may not fit the others
            meaning, names = UNSURE, [*names, "in1"]
        error = refusal(lambda value=piece.value: door(**{**given, name: value}), meaning, *names)
        assert error is None or len(str(error)) < 500
        is_lie = meaning is WRONG and type(piece.value).__module__ == lies.__name__
        if is_lie and isinstance(given.get(name), np.ndarray):
            assert type(error) is TypeError


def test_objects_are_taken_from_arrays_and_lists_alone():
    # An interface of another's memory held addresses of nothing, and the process ended.
    memory = pieces.interface(LINE, typestr="|O8")
    for door in (signal.convolve, signal.correlate, signal.fftconvolve):
        with pytest.raises(TypeError, match=r"in1 must hold numbers .* got dtype object"):
            door(lies.WithInterface(memory), LINE)
    held = signal.convolve([2**70, 1], np.array([1, 2], object))
    assert held.tolist() == [2**70, 2**71 + 1, 2]
    by_two = signal.convolve2d(np.array([[2**70]], object), [[1, 2]], fillvalue=3)
    assert by_two.tolist() == [[2**70 + 6, 2**71 + 3]]


def test_objects_have_no_transforms():
    for call in (
        lambda: signal.fftconvolve(LINE.astype(object), LINE),
        lambda: signal.convolve(LINE.astype(object), LINE, method="fft"),
    ):
        with pytest.raises(TypeError, match="in1 must hold numbers to be transformed"):
            call()


@pytest.mark.parametrize("kind", [lies.OddStr, lies.RaisingStr])
def test_what_a_mode_says_it_equals_is_not_believed(kind):
    want = signal.convolve(LINE, LINE[:2], "same")
    np.testing.assert_array_equal(signal.convolve(LINE, LINE[:2], kind("same")), want)
    with pytest.raises(ValueError, match="mode: acceptable mode flags"):
        signal.convolve(LINE, LINE[:2], kind("else"))


def test_what_is_around_arrays_is_a_number_that_results_hold():
    for value in (None, "1", b"1", object(), {}, 10**5000, 1j, [1, 2]):
        with pytest.raises((TypeError, ValueError), match="fillvalue"):
            signal.convolve2d(IMAGE, WINDOW, fillvalue=value)
        with pytest.raises((TypeError, ValueError), match="cval"):
            signal.upfirdn(LINE, LINE, cval=value)


def test_a_number_that_says_otherwise_is_what_it_is():
    around = signal.convolve2d(IMAGE, WINDOW, fillvalue=lies.OddInt(3))
    np.testing.assert_array_equal(around, signal.convolve2d(IMAGE, WINDOW, fillvalue=3))


def test_axes_may_come_in_any_order_that_has_an_end():
    want = signal.fftconvolve(IMAGE, WINDOW, axes=(0, 1))
    for axes in (iter([0, 1]), lies.LyingLength(2**62, 0, 1), np.array([0, 1]), [lies.Index(0), 1]):
        np.testing.assert_array_equal(signal.fftconvolve(IMAGE, WINDOW, axes=axes), want)


def test_large_numbers_without_a_sign_are_themselves_by_transforms():
    large = np.array([2**63 + 2**62, 5], np.uint64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = signal.convolve(large, np.array([1], np.uint64), method="fft")
    assert abs(int(result[0]) - int(large[0])) < 2**14


def test_truth_values_are_joined_by_transforms_as_by_sums():
    first, second = np.arange(50) % 7 == 0, np.arange(20) % 11 == 0
    by_sums = signal.convolve(first, second, method="direct")
    np.testing.assert_array_equal(signal.convolve(first, second, method="fft"), by_sums)


def test_samples_of_another_order_of_bytes_keep_their_dtype():
    swapped = LINE.astype(">f4")
    assert signal.savgol_filter(swapped, 3, 1).dtype == np.float32


@pytest.mark.parametrize("delta, deriv", [(0, 1), (1e-200, 2), (1e200, 2)])
def test_derivatives_that_are_divided_by_nothing_are_refused(delta, deriv):
    with pytest.raises(ValueError, match=f"delta must have a power of {deriv}"):
        signal.savgol_filter(LINE, 5, 3, deriv=deriv, delta=delta)


def test_derivatives_beyond_the_order_are_zeros_of_any_number():
    for deriv in (3, 200, 2**62):
        assert not signal.savgol_filter(LINE, 5, 2, deriv=deriv, delta=2).any()


def test_derivatives_whose_factorials_no_integer_of_a_machine_holds_are_floats():
    x = np.linspace(-1, 1, 101)
    assert signal.savgol_filter(x, 101, 40, deriv=40).dtype == np.float64
    assert signal.savgol_filter(x, 101, 100, deriv=100).dtype == np.float64


def test_few_samples_at_a_far_higher_rate_take_no_memory():
    far = 2**62
    assert signal.upfirdn([2.0, 3.0], [5.0], up=far).tolist() == [10, 15]
    assert signal.upfirdn([2.0, 3.0], [5.0, 7.0], up=far, down=far).tolist() == [10, 14]
    assert signal.upfirdn([2.0], [5.0, 7.0], down=far).tolist() == [10]
    with pytest.raises(ValueError, match="the result would be too large to address"):
        signal.upfirdn([2.0], [5.0, 7.0], up=far)


def test_results_that_cannot_be_addressed_are_refused_by_name():
    giant = np.broadcast_to(1.0, (2**58,))
    for door in (signal.convolve, signal.correlate, signal.fftconvolve):
        with pytest.raises(ValueError, match="the result would be too large to address"):
            door(giant, giant)
    with pytest.raises(ValueError, match="the polynomials of window_length would be too large"):
        signal.savgol_filter(LINE, 2**62, 1, mode="nearest")


def test_arrays_have_at_most_31_axes():
    array = np.arange(5.0).reshape(*[1] * 30, 5)
    result = signal.convolve(array, array)
    np.testing.assert_array_equal(result.ravel(), np.convolve(LINE, LINE))
    np.testing.assert_allclose(signal.fftconvolve(array, array), result, rtol=0, atol=1e-12)
    for axis in (0, 15, -1):
        moved = np.moveaxis(array, -1, axis)
        resampled = signal.upfirdn(LINE, moved, axis=axis)
        np.testing.assert_array_equal(np.moveaxis(resampled, axis, -1), result)
    for call in (
        lambda: signal.convolve(array[None], array[None]),
        lambda: signal.fftconvolve(array[None], array[None]),
        lambda: signal.upfirdn(LINE, array[None]),
    ):
        with pytest.raises(ValueError, match="must have at most 31 axes, got 32"):
            call()
