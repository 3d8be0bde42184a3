"""Convolutions drawn by hypothesis against the oracle, on every rung that can run here."""

from __future__ import annotations

import math
from unittest import mock

import numpy as np
import pytest
from conftest import AOT_LEVELS, DRAWN
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import assert_exact, assert_same_bits, assert_winograd, assert_within_bound
from processes import TESTS, run_with_tests
from strategies import COMPLEX, FLOATS, INTEGERS, Problem, problems, real_values, wrapping_values

import aotconv
from aotconv._core import run

rungs = st.sampled_from(DRAWN)
winograd_problems = problems(values=real_values, winograd=True)


def judge(assertion, problem: Problem, result) -> None:
    problem.call(lambda *args, **options: assertion(result, *args, **options))


@given(problems(), rungs)
def test_integer_valued_floats_give_exact_results(problem, name):
    with aotconv.use(name):
        judge(assert_exact, problem, problem.convolve())


@given(problems(values=real_values), rungs)
def test_real_values_stay_within_the_derived_bound(problem, name):
    with aotconv.use(name):
        judge(assert_within_bound, problem, problem.convolve())


@given(winograd_problems, st.sampled_from([name for name in DRAWN if name != "numpy"]))
def test_winograd_stays_within_its_bounds(problem, name):
    with aotconv.use(name):
        judge(assert_winograd, problem, problem.convolve())


@given(problems(dtypes=INTEGERS + COMPLEX, values=wrapping_values), rungs)
def test_integers_and_complex_numbers_are_exact_and_wrap(problem, name):
    with aotconv.use(name):
        result = problem.convolve()
    assert result.dtype == np.result_type(problem.images, problem.filters)
    judge(assert_exact, problem, result)


@given(problems(dtypes=(*FLOATS, "int8", "int32"), mixed=True), rungs)
def test_mixed_dtypes_promote_as_numpy_does(problem, name):
    arrays = [each for each in problem[:3] if each is not None]
    with aotconv.use(name):
        result = problem.convolve()
    assert result.dtype == np.result_type(*arrays)
    judge(assert_exact, problem, result)


MOST_AXES, LARGEST_CANVAS = 7, 1 << 21
strides = st.tuples(*[st.sampled_from([1, 2, -1, -2])] * MOST_AXES)


@given(problems(), rungs, strides, st.permutations(range(MOST_AXES)))
def test_out_of_any_strides_is_filled_and_nothing_beside_it(problem, name, steps, order):
    with aotconv.use(name):
        expected = problem.convolve()
        ndim = expected.ndim
        axes = [axis for axis in order if axis < ndim]
        sizes = [abs(steps[axis]) * expected.shape[axis] + 2 for axis in axes]
        assume(math.prod(sizes) < LARGEST_CANVAS)
        canvas = np.full(sizes, 7, expected.dtype)
        out = canvas.transpose(np.argsort(axes))
        for axis, (size, step) in enumerate(zip(expected.shape, steps, strict=False)):
            index = [slice(None)] * ndim
            index[axis] = slice(1, 1 + abs(step) * size, abs(step))
            out = out[tuple(index)]
            out = np.flip(out, axis) if step < 0 else out
        assert problem.convolve(out=out) is out
    np.testing.assert_array_equal(out, expected)
    out[...] = 7
    assert (canvas == 7).all()


@given(
    st.one_of(problems(values=real_values), winograd_problems),
    st.sampled_from(AOT_LEVELS),
    st.integers(2, 5),
)
def test_results_are_bit_identical_for_threads_batches_layouts_parts_and_repetition(
    problem, name, threads
):
    with aotconv.use(name):
        expected = problem.convolve(threads=1)
        for n in (threads, 1):
            assert_same_bits(problem.convolve(threads=n), expected)
        with mock.patch.object(run, "LONGEST_MICROSECONDS", 0.003):  # in parts of few pixels
            anew = problem.layer()  # for what decides by the limit
            result = anew(problem.images, threads=1, residual=problem.residual)
            assert_same_bits(result, expected)
        arrays = {"images": problem.images, "filters": problem.filters}
        if problem.residual is not None:
            arrays["residual"] = problem.residual
        contiguous = problem._replace(**{name: array.copy() for name, array in arrays.items()})
        assert_same_bits(contiguous.convolve(), expected)
        del arrays["filters"]
        for index in np.ndindex(problem.leading):
            alone = problem._replace(**{name: array[index] for name, array in arrays.items()})
            assert_same_bits(alone.convolve(), expected[index])


@given(problems(), rungs)
def test_a_layer_gives_what_the_function_gives_and_tells_its_shape(problem, name):
    layer = problem.layer()
    with aotconv.use(name):
        expected = problem.convolve()
        for _ in range(2):
            result = layer(problem.images, residual=problem.residual)
            np.testing.assert_array_equal(result, expected)
    assert layer.output_shape(problem.images.shape) == expected.shape


@pytest.mark.long
def test_two_thousand_examples_of_every_property_hold_on_every_rung():
    """Of all files: hypothesis marks its tests."""
    options = ["-q", "-m", "hypothesis", "-p", "no:cacheprovider", "-W", "error", str(TESTS)]
    code = f"import pytest, sys; sys.exit(pytest.main({options}))"
    done = run_with_tests(code, AOTCONV_EXAMPLES="2000")
    assert done.returncode == 0, done.stdout[-9000:]
