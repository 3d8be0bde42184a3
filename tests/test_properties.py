"""Convolutions drawn by hypothesis against the oracle, on every rung that can run here."""

from __future__ import annotations

import warnings

import numpy as np
from conftest import AOT_LEVELS, AVAILABLE
from hypothesis import given
from hypothesis import strategies as st
from oracle import assert_exact, assert_within_bound
from strategies import COMPLEX, FLOATS, INTEGERS, Problem, lay_out, layouts, problems, real_values

import aotconv

rungs = st.sampled_from(AVAILABLE)


def judge(assertion, problem: Problem, result) -> None:
    problem.call(lambda *args, **options: assertion(result, *args, **options))


@given(problems(), rungs)
def test_integer_valued_floats_give_exact_results(problem, name):
    with aotconv.use(name):
        judge(assert_exact, problem, problem.call(aotconv.conv2d))


@given(problems(values=real_values), rungs)
def test_real_values_stay_within_the_derived_bound(problem, name):
    with aotconv.use(name):
        judge(assert_within_bound, problem, problem.call(aotconv.conv2d))


@given(problems(dtypes=INTEGERS + COMPLEX), rungs)
def test_integers_and_complex_numbers_are_exact_and_wrap(problem, name):
    with aotconv.use(name), warnings.catch_warnings():
        warnings.simplefilter("ignore", aotconv.FallbackWarning)  # tested on its own
        result = problem.call(aotconv.conv2d)
    assert result.dtype == np.result_type(problem.images, problem.filters)
    judge(assert_exact, problem, result)


@given(problems(dtypes=(*FLOATS, "int8", "int32"), mixed=True), rungs)
def test_mixed_dtypes_promote_as_numpy_does(problem, name):
    arrays = [each for each in problem[:3] if each is not None]
    with aotconv.use(name), warnings.catch_warnings():
        warnings.simplefilter("ignore", aotconv.FallbackWarning)
        result = problem.call(aotconv.conv2d)
    assert result.dtype == np.result_type(*arrays)
    judge(assert_exact, problem, result)


@given(problems(), rungs, layouts.filter(lambda layout: layout not in ("broadcast", "read-only")))
def test_out_of_any_strides_is_filled_and_nothing_beside_it(problem, name, layout):
    with aotconv.use(name):
        expected = problem.call(aotconv.conv2d)
        if layout == "byteswapped":
            layout = "sliced"  # out must have the result's own byte order
        canvas = np.full([size + 4 for size in expected.shape], 7, expected.dtype)
        inside = canvas[tuple(slice(2, 2 + size) for size in expected.shape)]
        out = lay_out(np.full_like(expected, np.nan), layout) if layout != "C" else inside
        assert problem.call(aotconv.conv2d, out=out) is out
    np.testing.assert_array_equal(out, expected)
    inside[...] = 7
    assert (canvas == 7).all()


@given(problems(values=real_values), st.sampled_from(AOT_LEVELS), st.integers(2, 5))
def test_results_are_bit_identical_for_threads_batches_and_layouts(problem, name, threads):
    with aotconv.use(name):
        expected = problem.call(aotconv.conv2d, threads=1)
        np.testing.assert_array_equal(problem.call(aotconv.conv2d, threads=threads), expected)
        contiguous = problem._replace(images=problem.images.copy(), filters=problem.filters.copy())
        np.testing.assert_array_equal(contiguous.call(aotconv.conv2d), expected)
        if problem.images.ndim == 4:
            for image, result in zip(problem.images, expected, strict=True):
                alone = problem._replace(images=image).call(aotconv.conv2d)
                np.testing.assert_array_equal(alone, result)


@given(problems(), rungs)
def test_a_layer_gives_what_conv2d_gives_and_tells_its_shape(problem, name):
    layer = problem._replace(images=None).call(
        lambda _, *args, **more: aotconv.Conv2D(*args, **more)
    )
    with aotconv.use(name):
        expected = problem.call(aotconv.conv2d)
        for _ in range(2):
            np.testing.assert_array_equal(layer(problem.images), expected)
    assert layer.output_shape(problem.images.shape) == expected.shape
