"""The gradients of filters: what they mean, for every option, layout, dtype and implementation."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from conftest import AVAILABLE, FEW
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from processes import output_of
from strategies import (
    COMPLEX,
    INTEGERS,
    Problem,
    integer_values,
    lay_out,
    layouts,
    problems,
    real_values,
    seeds,
    wrapping_values,
)
from test_interrupts import PREAMBLE

import aotconv
from aotconv import gradients
from aotconv._core.gradient import _operator
from aotconv._plan import outer
from aotconv._plan.registry import LEVELS
from aotconv.reference import conv_reference, filter_gradient_reference

FILTERS = {1: gradients.conv1d_filters, 2: gradients.conv2d_filters, 3: gradients.conv3d_filters}
# What is cut into chunks and what is packed, so that small arrays are, too; first what it is.
LIMITS = [
    {},
    {"CHUNK_PIXELS": 5},
    {"CHUNK_PIXELS": 24, "PANEL_BYTES": 6 << 10, "PACKING_SHARE": 0},
    {"PANEL_BYTES": 0, "IMAGE_BYTES": 2048, "LEAST_PIXELS": 3, "PACKING_SHARE": 0},
]
limits = st.sampled_from(LIMITS)
threads = st.sampled_from([1, 2, 3])


def options_of(problem: Problem) -> dict:
    names = "dilations", "groups", "data_format", "filter_format"
    return {name: problem.options[name] for name in names}


def convolved(problem: Problem, filters=None) -> np.ndarray:
    """The convolution that the gradients are of, in float64 or complex128."""
    filters = problem.filters if filters is None else filters
    where = problem.strides, problem.padding
    return conv_reference(problem.images, filters, None, *where, **options_of(problem))


def gradient_of(problem: Problem, output_gradient, **more) -> np.ndarray:
    return FILTERS[problem.rank](
        problem.images,
        output_gradient,
        problem.filters.shape,
        problem.strides,
        problem.padding,
        **options_of(problem),
        **more,
    )


@contextlib.contextmanager
def under(limited):
    """Under other limits of the plan; what was decided under others is forgotten."""
    _operator.cache_clear()
    with mock.patch.dict(vars(outer), limited):
        yield
    _operator.cache_clear()


@given(problem=problems(), seed=seeds, layout=layouts, limited=limits, n_threads=threads)
def test_convolving_and_its_gradient_are_adjoint(problem, seed, layout, limited, n_threads):
    """<conv(images, filters), g> = <filters, gradient>, exactly on small integers."""
    result = convolved(problem)
    rng = np.random.default_rng(seed)
    output_gradient = lay_out(integer_values(rng, result.shape, problem.images.dtype), layout)
    with under(limited):
        gradient = gradient_of(problem, output_gradient, threads=n_threads)
    assert gradient.shape == problem.filters.shape
    assert gradient.dtype == problem.images.dtype.newbyteorder("=")
    left = (result * output_gradient.astype(result.dtype)).sum()
    assert left == (problem.filters.astype(result.dtype) * gradient).sum()


@given(problem=problems(), seed=seeds, layout=layouts, limited=limits, n_threads=threads)
@settings(max_examples=FEW)
def test_each_element_is_that_of_the_reference(problem, seed, layout, limited, n_threads):
    rng = np.random.default_rng(seed)
    values = lay_out(integer_values(rng, convolved(problem).shape, problem.images.dtype), layout)
    with under(limited):
        gradient = gradient_of(problem, values, threads=n_threads)
    assert_array_equal(gradient, reference(problem, values))


def reference(problem: Problem, output_gradient) -> np.ndarray:
    arrays = problem.images, output_gradient, problem.filters.shape
    where = problem.strides, problem.padding
    return filter_gradient_reference(*arrays, *where, **options_of(problem))


exact_problems = st.one_of(problems(COMPLEX, mixed=True), problems(INTEGERS, mixed=True))


@given(problem=exact_problems, seed=seeds, layout=layouts, limited=limits)
@settings(max_examples=FEW)
def test_integers_and_complex_numbers_are_exact_and_wrap_as_numpy_s(problem, seed, layout, limited):
    dtype = problem.filters.dtype
    rng = np.random.default_rng(seed)
    output_gradient = lay_out(wrapping_values(rng, convolved(problem).shape, dtype), layout)
    with under(limited):
        gradient = gradient_of(problem, output_gradient)
    expected = reference(problem, output_gradient)
    assert gradient.dtype == np.result_type(problem.images.dtype, dtype)
    if gradient.dtype.kind in "iu":
        expected = expected.astype(np.int64)
    assert_array_equal(gradient, expected.astype(gradient.dtype))


@pytest.mark.parametrize("images", ["float16", "bfloat16", "float32", ">f4", "float64", "int8"])
@pytest.mark.parametrize("others", ["float16", "bfloat16", "float64", "complex64", "uint8"])
def test_dtypes_are_promoted_as_numpy_s(images, others):
    if "bfloat16" in (images, others):
        pytest.importorskip("ml_dtypes")  # NumPy knows it from then on
    images = np.arange(24).reshape(4, 6, 1).astype(images)
    try:
        dtype = np.result_type(images.dtype, others)
    except TypeError:
        pytest.skip("NumPy has no common dtype of these")
    output_gradient = np.arange(8).reshape(4, 2, 1).astype(others)
    gradient = gradients.conv1d_filters(images, output_gradient, (5, 1, 1))
    assert gradient.dtype == dtype
    kind = np.result_type(dtype, np.float64)  # of bfloat16: float64
    plain = images.astype(kind), output_gradient.astype(kind)
    assert_array_equal(gradient, filter_gradient_reference(*plain, (5, 1, 1)).astype(dtype))


@given(problem=problems(("float32", "float64"), real_values), seed=seeds, limited=limits)
@settings(max_examples=FEW)
def test_errors_stay_within_the_bound_that_is_documented(problem, seed, limited):
    result = convolved(problem)
    output_gradient = real_values(np.random.default_rng(seed), result.shape, problem.images.dtype)
    with under(limited):
        gradient = gradient_of(problem, output_gradient)
    terms = max(1, result.size // max(1, problem.filters_last.shape[-1]))
    error = terms * np.finfo(problem.images.dtype).eps / 2
    sizes = problem._replace(images=abs(problem.images))
    bound = error / (1 - error) * reference(sizes, abs(output_gradient))
    assert (abs(gradient - reference(problem, output_gradient)) <= bound).all()


def test_large_sums_stay_within_the_bound_of_their_chunks():
    """A product is rounded once, with at most 256 sums of its chunk, and once a later chunk."""
    rng = np.random.default_rng(0)
    images = rng.random((6, 120, 130, 2), np.float32)
    output_gradient = rng.random((6, 118, 128, 9), np.float32)
    arrays = images, output_gradient, (3, 3, 2, 9)
    pixels = math.prod(output_gradient.shape[:3])
    roundings = 1 + outer.CHUNK_PIXELS + math.ceil(pixels / 128)
    exact = filter_gradient_reference(*arrays)
    error = roundings * np.finfo(np.float32).eps / 2
    assert (abs(gradients.conv2d_filters(*arrays) - exact) <= error / (1 - error) * exact).all()


# Shapes of images and filters, strides, padding, groups: of each way that a plan goes.
LAYERS = {
    "many channels": ((3, 20, 23, 40), (3, 3, 40, 37), 1, "same", 1),
    "few channels": ((2, 30, 31, 3), (5, 4, 3, 18), 2, 2, 1),
    "one channel": ((2, 40, 300, 1), (3, 3, 1, 33), 1, "same", 1),
    "channelwise": ((2, 15, 17, 41), (3, 3, 1, 41), 1, "same", 41),
    "groups": ((2, 15, 17, 36), (3, 3, 12, 21), 2, "full", 3),
    "single pixels": ((9, 7, 7, 64), (1, 1, 64, 48), 1, "valid", 1),
    "large images": ((1, 3, 700, 5), (3, 3, 5, 20), 1, "same", 1),
}


def arrays_of(layer: str, dtype="float32"):
    """Images, output gradient, and the other arguments."""
    shape, filters, strides, padding, groups = LAYERS[layer]
    rng = np.random.default_rng(1)
    images = real_values(rng, shape, dtype)
    options = {"groups": groups}
    result = conv_reference(images, np.zeros(filters), None, strides, padding, **options)
    return images, real_values(rng, result.shape, dtype), (filters, strides, padding), options


@pytest.mark.parametrize("layer", LAYERS)
def test_bits_do_not_depend_on_threads_calls_layouts_or_repetition(layer, rung):
    images, output_gradient, others, options = arrays_of(layer)
    expected = gradients.conv2d_filters(images, output_gradient, *others, **options, threads=1)
    for n_threads in (1, 2, 3, 7):
        again = gradients.conv2d_filters(
            images, output_gradient, *others, **options, threads=n_threads
        )
        assert again.tobytes() == expected.tobytes()
    for layout in ("F", "reversed", "sliced", "misaligned", "byteswapped"):
        laid = lay_out(images, layout), lay_out(output_gradient, layout)
        assert gradients.conv2d_filters(*laid, *others, **options).tobytes() == expected.tobytes()
    first = [np.ascontiguousarray(np.moveaxis(each, -1, 1)) for each in (images, output_gradient)]
    again = gradients.conv2d_filters(*first, *others, **options, data_format="NCHW")
    assert again.tobytes() == expected.tobytes()
    filters, *more = others
    turned = filters[3], filters[2], *filters[:2]
    again = gradients.conv2d_filters(
        images, output_gradient, turned, *more, **options, filter_format="OIHW"
    )
    assert again.transpose(2, 3, 1, 0).tobytes() == expected.tobytes()


@pytest.mark.parametrize("layer", LAYERS)
def test_bits_do_not_depend_on_how_long_a_call_may_take(layer):
    images, output_gradient, others, options = arrays_of(layer)
    expected = gradients.conv2d_filters(images, output_gradient, *others, **options)
    with mock.patch("aotconv._core.gradient.LONGEST_MICROSECONDS", 3), under({}):
        again = gradients.conv2d_filters(images, output_gradient, *others, **options)
        assert again.tobytes() == expected.tobytes()
    with mock.patch("aotconv._plan.parts.PART_BYTES", 1), under({}):
        fortran = np.asfortranarray(images), output_gradient
        again = gradients.conv2d_filters(*fortran, *others, **options)
        assert again.tobytes() == expected.tobytes()


WITH_FMA = [name for name in AVAILABLE if name == "jit" or (name in LEVELS and LEVELS[name].fma)]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rung", WITH_FMA[1:])
def test_levels_with_fma_give_the_same_bits(rung, dtype, layer):
    images, output_gradient, others, options = arrays_of(layer, dtype)
    found = []
    for name in (WITH_FMA[0], rung):
        with aotconv.use(name):
            found.append(gradients.conv2d_filters(images, output_gradient, *others, **options))
    assert found[0].tobytes() == found[1].tobytes()


@pytest.mark.parametrize("layer", LAYERS)
def test_every_implementation_computes_the_reference_s(layer, rung):
    images, output_gradient, others, options = arrays_of(layer)
    images, output_gradient = (np.rint(each) for each in (images, output_gradient))
    got = gradients.conv2d_filters(images, output_gradient, *others, **options)
    (filters, strides, padding), rng = others, np.random.default_rng(2)
    weights = rng.integers(-2, 3, filters).astype(np.float64)
    result = conv_reference(images, weights, None, strides, padding, **options)
    assert (result * output_gradient).sum() == (weights * got).sum()


@pytest.mark.parametrize("how", ["exactly", "reversed", "shifted"])
@pytest.mark.parametrize("name", ["images", "output_gradient"])
def test_out_may_overlap_what_is_read(name, how):
    rng = np.random.default_rng(0)
    memory = rng.integers(-2, 3, 400).astype(np.float32)
    shared = memory[:100].reshape(1, 10, 10, 1)
    other = rng.integers(-2, 3, (1, 10, 10, 1)).astype(np.float32)
    arrays = (shared, other) if name == "images" else (other, shared)
    expected = gradients.conv2d_filters(*arrays, (5, 5, 1, 1), padding="same")
    place = {"exactly": memory[:25], "reversed": memory[24::-1], "shifted": memory[3:53:2]}[how]
    out = place.reshape(5, 5, 1, 1)
    kept = out[0, 0, 0].base is not None
    assert kept
    got = gradients.conv2d_filters(*arrays, (5, 5, 1, 1), padding="same", out=out)
    assert got is out
    assert_array_equal(out, expected)


@pytest.mark.parametrize("layout", ["F", "reversed", "sliced", "misaligned"])
@pytest.mark.parametrize("filter_format", ["HWIO", "OIHW"])
def test_out_has_any_strides(layout, filter_format):
    rng = np.random.default_rng(0)
    images, output_gradient = (integer_values(rng, (2, 9, 9, c), "float32") for c in (3, 5))
    shape = (3, 3, 3, 5) if filter_format == "HWIO" else (5, 3, 3, 3)
    arrays = images, output_gradient, shape, 1, "same"
    expected = gradients.conv2d_filters(*arrays, filter_format=filter_format)
    out = lay_out(np.full(shape, np.nan, np.float32), layout)
    assert gradients.conv2d_filters(*arrays, filter_format=filter_format, out=out) is out
    assert_array_equal(out, expected)


def test_padding_adds_nothing_even_to_infinite_gradients(rung):
    images = np.ones((1, 4, 4, 1), np.float32)
    output_gradient = np.ones((1, 4, 4, 1), np.float32)
    output_gradient[0, 0, 0] = np.inf
    gradient = gradients.conv2d_filters(images, output_gradient, (3, 3, 1, 1), padding="same")
    reached = np.isinf(gradient[..., 0, 0])  # taps above and left of the corner are padding
    assert_array_equal(reached, [[False, False, False], [False, True, True], [False, True, True]])
    assert_array_equal(gradient[..., 0, 0][~reached], [9, 12, 9, 12, 9])


@pytest.mark.parametrize("channels", [1, 3, 9])
def test_nan_reaches_what_it_is_multiplied_into_and_nothing_else(channels, rung):
    images = np.ones((1, 5, 5, channels), np.float32)
    images[0, 4, 4, channels - 1] = np.nan  # under the last tap alone
    gradient = gradients.conv2d_filters(images, np.ones((1, 3, 3, 17)), (3, 3, channels, 17))
    reached = np.isnan(gradient)
    assert reached[2, 2, channels - 1].all()
    assert reached.sum() == 17


def test_the_gradient_of_the_bias_is_a_sum():
    """As the module's text says: by the definition of a gradient, of a sum of products."""
    rng = np.random.default_rng(0)
    images, filters = (integer_values(rng, s, "float64") for s in [(2, 5, 5, 3), (2, 2, 3, 4)])
    bias = integer_values(rng, (4,), "float64")
    output_gradient = integer_values(rng, (2, 4, 4, 4), "float64")

    def loss(bias):
        return (aotconv.conv2d(images, filters, bias) * output_gradient).sum()

    by_hand = [loss(bias + one) - loss(bias) for one in np.eye(4)]
    assert_array_equal(output_gradient.sum(axis=tuple(range(3))), by_hand)


GOLDEN = Path(__file__).parent / "golden" / "torch_filter_gradients.npz"


def golden_cases():
    with np.load(GOLDEN) as cases:
        return sorted({name.rpartition(":")[0] for name in cases})


@pytest.mark.parametrize("name", golden_cases())
def test_pytorch_gives_the_same(name):
    """Recorded by golden/make_torch_golden.py."""
    with np.load(GOLDEN) as cases:
        images, output_gradient, expected = (
            cases[f"{name}:{which}"] for which in ("images", "output_gradient", "gradient")
        )
    strides, padding, dilations, groups = (int(each) for each in name.split(","))
    rank = expected.ndim - 2
    letters = {1: "W", 2: "HW", 3: "DHW"}[rank]
    got = FILTERS[rank](
        images,
        output_gradient,
        expected.shape,
        strides,
        padding,
        dilations=dilations,
        groups=groups,
        data_format=f"NC{letters}",
        filter_format=f"OI{letters}",
    )
    assert_array_equal(got, expected)


@pytest.mark.parametrize("empty", [(0, 5, 5, 3), (2, 5, 5, 0)])
def test_a_sum_of_nothing_is_zero(empty):
    images = np.ones(empty)
    output_gradient = np.ones((empty[0], 3, 3, 4))
    gradient = gradients.conv2d_filters(images, output_gradient, (3, 3, empty[-1], 4))
    assert_array_equal(gradient, np.zeros((3, 3, empty[-1], 4)))


def test_windows_that_meet_no_pixel_add_nothing():
    one = np.ones((1, 1, 1, 1), np.float32)
    gradient = gradients.conv2d_filters(one, one, (1, 1, 1, 1), strides=3, padding=1)
    assert_array_equal(gradient, np.zeros((1, 1, 1, 1)))


def test_images_in_fortran_order_have_a_border_as_others():
    images = np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)
    border = {"padding": 1, "padding_mode": ("edge", "constant"), "padding_value": 2}
    arrays = np.ones((1, 4, 5, 1), np.float32), (1, 1, 1, 1)
    expected = gradients.conv2d_filters(images, *arrays, **border)
    assert expected.item() == 2 * (0 + 1 + 2) + 2 * (3 + 4 + 5) + 8 * 2
    assert_array_equal(
        gradients.conv2d_filters(np.asfortranarray(images), *arrays, **border), expected
    )


IMAGES, OUTPUT_GRADIENT = np.ones((2, 6, 6, 4)), np.ones((2, 4, 4, 6))
REFUSED = {
    "filters_shape must be a tuple of 4 integers": {"filters_shape": (3, 3, 4)},
    "filters_shape must be a tuple of 4 integers, got 3": {"filters_shape": 3},
    "each size of filters_shape must be an integer": {"filters_shape": (3, 3.0, 4, 6)},
    "each size of filters_shape must be at least 0": {"filters_shape": (3, 3, -4, 6)},
    "filters_shape must have a height and a width of at least 1": {"filters_shape": (0, 3, 4, 6)},
    "would be too large": {"filters_shape": (2**31, 2**31, 4, 6)},
    "output_gradient must have the shape": {"output_gradient": np.ones((2, 4, 5, 6))},
    "output_gradient must hold integers": {"output_gradient": np.ones((2, 4, 4, 6), bool)},
    "images and filters must agree in channels": {"filters_shape": (3, 3, 5, 6)},
    "images must have at least 3 axes": {"images": np.ones((6, 4))},
    "images must hold integers": {"images": IMAGES.astype(str)},
    "filters must fit into the padded images": {"filters_shape": (9, 3, 4, 6)},
    "groups must divide": {"groups": 5},
    "strides must be": {"strides": "2"},
    "dilations must be at least 1": {"dilations": 0},
    "padding must be": {"padding": "causal"},
    "data_format must be": {"data_format": "NWC"},
    "filter_format must be": {"filter_format": "IOHW"},
    "threads must be at least 1": {"threads": 0},
    "out must have the result's shape": {"out": np.ones((3, 3, 4, 5))},
    "out must have the result's dtype": {"out": np.ones((3, 3, 4, 6), np.float32)},
    "out must be a NumPy array": {"out": [0]},
    "out must be writeable": {"out": np.broadcast_to(0.0, (3, 3, 4, 6))},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_fit_is_refused_by_name_and_nothing_is_written(message):
    arguments = {
        "images": IMAGES,
        "output_gradient": OUTPUT_GRADIENT,
        "filters_shape": (3, 3, 4, 6),
        "out": np.full((3, 3, 4, 6), 7.0),
    }
    written = arguments["out"]
    with pytest.raises((TypeError, ValueError), match=message):
        gradients.conv2d_filters(**arguments | REFUSED[message])
    assert (written == 7).all()


def test_calls_in_python_threads_do_not_disturb_each_other():
    from concurrent.futures import ThreadPoolExecutor

    cases = [arrays_of(layer) for layer in LAYERS] * 4

    def compute(case):
        images, output_gradient, others, options = case
        return gradients.conv2d_filters(images, output_gradient, *others, **options).tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(compute, cases)) == [compute(case) for case in cases]


INTERRUPTED = {
    "many channels": ((300, 56, 56, 256), (3, 3, 256, 256), {"padding": "same"}),
    "many filters": ((1, 64, 64, 2048), (5, 5, 2048, 2048), {"padding": "same"}),
    "one image": ((1, 30000, 30000, 1), (7, 7, 1, 8), {"padding": "same"}),
    "channelwise": ((3000, 112, 112, 64), (7, 7, 1, 64), {"groups": 64, "padding": "same"}),
    "channels first": (
        (300, 256, 56, 56),
        (3, 3, 256, 256),
        {"data_format": "NCHW", "padding": "same"},
    ),
}


@pytest.mark.parametrize("rung", [None, "numpy"])
@pytest.mark.parametrize("case", INTERRUPTED)
def test_an_interrupt_is_answered_within_a_second(case, rung):
    images, filters, options = INTERRUPTED[case]
    first = options.get("data_format") == "NCHW"
    result = (*images[:1], filters[-1], *images[2:]) if first else (*images[:-1], filters[-1])
    code = f"""{PREAMBLE}
from aotconv import gradients
images, others = huge({images}, "float32"), huge({result}, "float32")
seconds = interrupted(lambda: gradients.conv2d_filters(images, others, {filters}, **{options}))
assert seconds < 1, seconds
"""
    environment = {} if rung is None else {"AOTCONV_IMPLEMENTATION": rung}
    output_of(code, OPENBLAS_NUM_THREADS="1", **environment)
