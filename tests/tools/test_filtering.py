"""A filter's text: it can be read again, says every option, and what is wrong with it."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aotconv._core.check_ndimage import ALGORITHMS, MODES
from aotconv._tools.filtering import DTYPES, FILTERS, Filtering
from aotconv._tools.problem import parse

sizes = st.integers(1, 99)
dtypes = st.sampled_from(DTYPES)


@st.composite
def filterings(draw):
    """Any filter that a text can say."""
    rank = draw(st.integers(1, 4))
    function = FILTERS[draw(st.sampled_from(list(FILTERS)))]
    axes = draw(st.sets(st.integers(0, rank - 1), max_size=rank))
    if function.word == "correlate1d":
        axes = sorted(axes)[:1]
    count = 1 if function.word == "correlate1d" else len(axes) or rank
    thousandths = draw(st.integers(1, 99_999))
    return Filtering(
        tuple(draw(sizes) for _ in range(rank)),
        function.word,
        window=tuple(draw(sizes) for _ in range(count)) if "window" in function.needs else (),
        sigma=thousandths / 1000 if "sigma" in function.needs else 0.0,
        axes=tuple(sorted(axes)),
        mode=draw(st.sampled_from(list(MODES))),
        dtype=draw(dtypes | st.tuples(dtypes, dtypes).map(">".join)),
        saturate=draw(st.booleans()),
        algorithm=draw(st.sampled_from(ALGORITHMS)),
    )


@given(filterings())
@example(Filtering((1000, 1100), "gaussian_filter", sigma=2.0))
def test_text_is_read_as_the_same_filter(filtering):
    assert parse(filtering.text) == filtering
    assert "\n" not in filtering.text and "," not in filtering.text  # so that a list can have it


@pytest.mark.parametrize(
    ("text", "given", "out", "flops", "n_bytes"),
    [
        ("9x8 correlate 3x2", {"input": (9, 8), "weights": (3, 2)}, (9, 8), 12 * 72, 8 * 72),
        (
            "9x8 correlate 5x5 uint8>int16",
            {"input": (9, 8), "weights": (5, 5)},
            (9, 8),
            50 * 72,
            3 * 72,
        ),
        ("90 correlate1d 8", {"input": (90,), "weights": (8,)}, (90,), 16 * 90, 8 * 90),
        ("9x8 gaussian_filter sigma0.8", {"input": (9, 8)}, (9, 8), 2 * 14 * 72, 8 * 72),
        (
            "9x8x3 gaussian_filter sigma2 axes0x1 uint8 saturate",
            {"input": (9, 8, 3)},
            (9, 8, 3),
            2 * 34 * 216,
            2 * 216,
        ),
        ("9x8 uniform_filter 15x3", {"input": (9, 8)}, (9, 8), 2 * (4 + 2) * 72, 8 * 72),
        ("9x8 sobel", {"input": (9, 8)}, (2, 9, 8), 2 * 2 * 6 * 72, 4 * 3 * 72),
        ("9x8x7 sobel axes1", {"input": (9, 8, 7)}, (1, 9, 8, 7), 2 * 9 * 504, 4 * 2 * 504),
        ("9x8 laplace float64", {"input": (9, 8)}, (9, 8), 2 * 5 * 72, 16 * 72),
    ],
)
def test_text_says_what_is_given_what_results_and_the_work(text, given, out, flops, n_bytes):
    filtering = parse(text)
    assert filtering.text == text and filtering.arrays == given and filtering.out == out
    assert filtering.flops == flops and filtering.n_bytes == n_bytes


@pytest.mark.parametrize(
    ("dtype", "drawn", "computed_in"),
    [
        ("float32", "float32", "float32"),
        ("float64", "float64", "float64"),
        ("uint8>int16", "uint8", "float32"),
        ("uint8>float64", "uint8", "float64"),
        ("float16", "float16", "float32"),
    ],
)
def test_arrays_have_the_texts_dtypes_and_weights_of_integers_are_whole(dtype, drawn, computed_in):
    filtering = parse("9x8 correlate 5x5").with_dtype(dtype)
    array, weights = filtering.draw().values()
    assert array.dtype == drawn and np.ptp(array) and np.ptp(weights)
    assert filtering.computed_in == computed_in == weights.dtype
    assert (weights == np.rint(weights)).all() == (array.dtype.kind == "u")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("laplace", "must begin with sizes and a filter"),
        ("9x8 3x3 correlate", "must begin with sizes and a filter"),
        ("9x8x7x6x5 laplace", "must begin with sizes and a filter"),
        ("9x8 correlate", "correlate needs window"),
        ("9x8 laplace 3x3", "laplace has no window"),
        ("9x8 gaussian_filter", "gaussian_filter needs sigma"),
        ("9x8 gaussian_filter sigma0", "gaussian_filter needs sigma"),
        ("9x8 gaussian_filter sigma-1", "'sigma-1' is no option of gaussian_filter"),
        ("9x8 sobel sigma2", "sobel has no sigma"),
        ("9x8 correlate 3x3x3", "a size of at least 1 for each of 2 axes, got 3x3x3"),
        ("9x8 uniform_filter 3x0", "a size of at least 1 for each of 2 axes, got 3x0"),
        ("9x8 correlate1d 3x3", "a size of at least 1 for each of 1 axes, got 3x3"),
        ("9x8 correlate1d 3 axes0x1", "correlate1d is along one axis"),
        ("9x8 laplace axes2", "each of axes 2 is out of range of the 2 axes"),
        ("9x8 laplace axes1x1", "axes must be unique"),
        ("9x8 laplace axes1x0", "axes must be in their order, got 1x0"),
        ("9x8 laplace same", "'same' is no option of laplace"),
        ("9x8 laplace complex64", "'complex64' is no option of laplace"),
        ("9x8 laplace uint8>int16>int32", "'uint8>int16>int32' is no option of laplace"),
        ("9x8 laplace mirror wrap", "'wrap' says mode a second time"),
        ("9x8 laplace winograd", "'winograd' is no option of laplace"),
        ("9x8 laplace fft fastest", "'fastest' says algorithm a second time"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_behind_it(text, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        parse(text)
    assert str(error.value).startswith(f"{text!r}: ")
