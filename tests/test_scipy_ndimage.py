"""The filters of `ndimage` beside SciPy's, where that is installed."""

from __future__ import annotations

import numpy as np
import pytest
from filters import FLOATS, INTEGERS, any_values, calls, with_specials
from hypothesis import given
from hypothesis import strategies as st
from scipy_judge import judged

pytest.importorskip("scipy", minversion="1.17", reason="SciPy judges where 1.17 is installed")

from scipy import ndimage as scipys

SUMS = (
    *("correlate", "convolve", "correlate1d", "convolve1d", "gaussian_filter", "sobel", "prewitt"),
    *("gaussian_filter1d", "laplace", "gaussian_laplace", "gaussian_gradient_magnitude"),
)
MEANS = "uniform_filter", "uniform_filter1d"
# Of these SciPy's running sums are exact; of others they collect errors, which truncation shows.
SHORT = INTEGERS[:-2]
# SciPy's own tests that do not pass, and why.
OTHERWISE = {
    "TestNdimageFilters::test_correlate_mode_sequence[numpy]": "a mode for each axis is taken",
    "test_gaussian_filter_float16[numpy]": "float16 is taken",
}
# It adds up 10,000 float32 results: that the weights' sum is not 1 in float32 shows, or does not.
UNCERTAIN = "TestNdimageFilters::test_gauss03[numpy]"


def answer(call) -> np.ndarray:
    """What SciPy makes of a call: of a copy, as its `correlate` is wrong where strides are 0."""
    result = call._replace(array=call.array.copy())(scipys)
    # SciPy's truth values are any bytes.
    return result.view(np.uint8) != 0 if result.dtype == bool else result


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(
    call=st.one_of(
        calls(SUMS, INTEGERS, any_values, False, (None, *INTEGERS, *FLOATS)),
        calls(MEANS, SHORT, any_values, False, (None, *SHORT)),
        calls(("uniform_filter1d",), SHORT, any_values, False, FLOATS),
    )
)
def test_integers_give_what_they_give_scipy_to_the_last_bit(call):
    result, want = call(), answer(call)
    assert result.dtype == want.dtype
    np.testing.assert_array_equal(result, want)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(call=calls(SUMS, FLOATS, any_values, False, INTEGERS))
def test_floats_become_the_integers_that_scipy_makes_of_them(call):
    np.testing.assert_array_equal(call(), answer(call))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(call=calls(SUMS, FLOATS, with_specials, False, (None, *FLOATS)))
def test_sums_of_floats_in_float64_are_scipys_to_the_last_bit(call):
    np.testing.assert_array_equal(call(dtype=np.float64), answer(call))


@given(call=calls((*SUMS, *MEANS), FLOATS, any_values, False, (None, *FLOATS)))
def test_other_floats_are_scipys_but_for_rounding_errors(call):
    result, want = call(), answer(call)
    # No filter of these has weights whose absolute values have a larger sum.
    largest = 1e3 * float(abs(call.array).max(initial=0)) + 1e3 * abs(call.arguments.get("cval", 0))
    eps = max(np.finfo(each).eps for each in (call.array.dtype, result.dtype))
    # SciPy's means collect the errors of a line.
    np.testing.assert_allclose(result, want, rtol=0, atol=200 * eps * largest)


@pytest.mark.long
def test_scipys_own_tests_pass_but_those_that_are_named(tmp_path):
    tests, said = judged("ndimage", tmp_path)
    assert set(tests["failed"]) - {UNCERTAIN} == set(OTHERWISE), said[-5000:]
    assert len(tests["passed"]) > 1500
