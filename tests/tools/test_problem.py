"""A convolution's text: it can be read again, says every option, and what is wrong with it."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import aotconv
from aotconv._core import check
from aotconv._tools import race
from aotconv._tools.board import BOARD, TEXTS
from aotconv._tools.problem import DTYPES, Layer, Problem, parse

steps = st.integers(1, 9) | st.tuples(st.integers(1, 9), st.integers(1, 9))
ends = st.integers(0, 9) | st.tuples(st.integers(0, 9), st.integers(0, 9))


@st.composite
def layers(draw):
    """Any layer that can be computed."""
    groups, channels, filters = (draw(st.integers(1, 9)) for _ in range(3))
    layer = Layer(
        (*draw(st.tuples(*[st.integers(0, 99)] * 3)), groups * channels),
        (*draw(st.tuples(*[st.integers(1, 9)] * 2)), channels, groups * filters),
        strides=draw(steps),
        padding=draw(st.sampled_from(check.PADDINGS) | ends | st.tuples(ends, ends)),
        dilations=draw(steps),
        groups=groups,
        dtype=draw(st.sampled_from(DTYPES)),
        data_format=draw(st.sampled_from(sorted(check.DATA_FORMATS))),
        shared=draw(st.booleans()),
    )
    try:
        _ = layer.geometry
    except ValueError:  # the window is larger than the images
        assume(False)
    return layer


@given(layers())
@example(Layer((1, 8, 8, 1), (3, 3, 1, 1), strides=(1, 1), padding=(0, (1, 2)), dilations=(1, 1)))
def test_text_is_read_as_the_same_layer(layer):
    assert parse(layer.text) == layer
    assert "\n" not in layer.text and "," not in layer.text  # so that a list can have it


@pytest.mark.parametrize("layer", BOARD, ids=lambda layer: layer.name)
def test_text_of_the_board_is_what_it_is_read_from(layer):
    assert layer.text == TEXTS[layer.name] and str(layer) == f"{layer.name} ({layer.text})"


@pytest.mark.parametrize(
    "text, options",
    [
        ("", {}),
        ("s2 p1 g2", {"strides": 2, "padding": 1, "groups": 2}),
        ("s1x2 d2x1", {"strides": (1, 2), "dilations": (2, 1)}),
        ("p1x2", {"padding": (1, 2)}),
        ("p0+1x2", {"padding": ((0, 1), 2)}),
        ("p0+1x2+3", {"padding": ((0, 1), (2, 3))}),
        ("same_lower", {"padding": "same_lower"}),
        ("NCHW int8 shared", {"data_format": "NCHW", "dtype": "int8", "shared": True}),
    ],
)
def test_text_says_every_option(text, options):
    channels = 4 // options.get("groups", 1)
    sizes = (2, 9, 8, 4), (3, 2, channels, 6)
    read = parse(f"2x9x8x4 3x2x{channels}x6 {text}")
    assert read == Layer(*sizes, **options)
    assert set(read.text.split()[2:]) == set(text.split())


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("", "must begin with sizes"),
        ("1x9x9x8", "must begin with sizes"),
        ("9x9x8 3x3x8x8", "must begin with sizes"),
        ("1x9x9x8 3x3x8x8x", "must begin with sizes"),
        ("1x9x9x8 3x3x8x8 x2", "'x2' is no option"),
        ("1x9x9x8 3x3x8x8 s", "'s' is no option"),
        ("1x9x9x8 3x3x8x8 p1+1", r"'p1\+1' is no option"),
        ("1x9x9x8 3x3x8x8 s1x1x1", "'s1x1x1' is no option"),
        ("1x9x9x8 3x3x8x8 s-1", "'s-1' is no option"),
        ("1x9x9x8 3x3x8x8 float31", "'float31' is no option"),
        ("1x9x9x8 3x3x8x8 s1 s2", "'s2' says strides a second time"),
        ("1x9x9x8 3x3x8x8 p1 same", "'same' says padding a second time"),
        ("1x9x9x8 3x3x8x8 s0", "strides must be at least 1, got 0"),
        ("1x9x9x8 3x3x8x8 s1+1x1", "strides must be an integer"),
        ("1x9x9x8 3x3x8x8 g3", "groups must divide"),
        ("1x9x9x8 3x3x4x8", "must agree in channels"),
        ("1x9x9x8 0x3x8x8", "at least one row and one column"),
        ("1x9x9x8 11x3x8x8", "filters must fit into the padded images"),
        ("1x9999999999x9999999999x8 3x3x8x8", "too large to address"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_behind_it(text, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        parse(text)
    assert str(error.value).startswith(f"{text!r}: ")


def test_layer_is_computed_in_the_data_format_that_its_text_says(monkeypatch):
    asked = []
    convolve = aotconv.Conv2D.__call__

    def watched(self, images, *args, **options):
        asked.append(images.shape)
        return convolve(self, images, *args, **options)

    monkeypatch.setattr(aotconv.Conv2D, "__call__", watched)
    problem = Problem.draw(parse("2x5x6x3 3x3x3x4 NCHW"))
    contender = race.own_conv2d(problem)
    result = contender.nhwc(contender.call())
    assert asked == [(2, 3, 5, 6)] and problem.images.shape == (2, 5, 6, 3)
    expected = race.expectation(problem)
    np.testing.assert_allclose(result, expected, atol=race.error_bound(problem))


def test_text_is_read_without_the_extras():
    code = (
        "import sys, aotconv._tools.problem\n"
        "sys.exit(str({'matplotlib', 'PIL', 'tqdm'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""
