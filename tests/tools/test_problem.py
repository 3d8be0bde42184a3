"""A layer's text: it can be read again, says every option, and what is wrong with it."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from aotconv._core import check
from aotconv._plan.geometry import COMMON_PADDINGS, PADDINGS
from aotconv._tools import race
from aotconv._tools.board import BOARD, TEXTS, WIDE, WIDE_TEXTS
from aotconv._tools.operators import CONVOLUTION, OPERATORS
from aotconv._tools.problem import DTYPES, Layer, Problem, parse

ends = st.integers(0, 9) | st.tuples(st.integers(0, 9), st.integers(0, 9))


def tuples(each, rank):
    return st.tuples(*[each] * rank)


@st.composite
def layers(draw):
    """Any layer that can be computed."""
    operator = draw(st.sampled_from(list(OPERATORS.values())))
    groups, channels, filters, rank = (draw(st.integers(1, n)) for n in (9, 9, 9, 3))
    steps = st.integers(1, 9)
    steps = steps if rank == 1 else steps | tuples(steps, rank)
    letters = check.LETTERS[rank]
    data_formats = ["channels_last", "channels_first", f"N{letters}C", f"NC{letters}"]
    forward = operator.word not in ("transposed", "max_pool", "average_pool")
    rules = PADDINGS if forward else COMMON_PADDINGS
    rules = [rule for rule in rules if rank == 1 or rule != "causal"]
    numbers = st.integers(0, 9) | tuples(ends, rank)
    if rank == 1:
        numbers = ends | st.tuples(st.tuples(st.integers(0, 9), st.integers(0, 9)))
    dtypes = each = st.sampled_from(DTYPES)
    if operator is CONVOLUTION:
        inputs = each | st.tuples(each, each).map("*".join)
        dtypes = each | st.tuples(inputs, each).map(">".join)
    kernel = draw(tuples(st.integers(1, 9), rank))
    more = {
        "transposed": (filters, groups * channels),
        "max_pool": (),
        "average_pool": (),
    }
    layer = Layer(
        (*draw(tuples(st.integers(0, 99), rank + 1)), groups * channels),
        (*kernel, *more.get(operator.word, (channels, groups * filters))),
        strides=draw(steps),
        padding=draw(st.sampled_from(rules) | numbers),
        dilations=draw(steps),
        groups=groups,
        dtype=draw(dtypes),
        data_format=draw(st.sampled_from(data_formats)),
        filter_format=draw(st.sampled_from(["", f"{letters}IO", f"OI{letters}"])),
        shared=draw(st.booleans()),
        operator=operator.word,
        algorithm=draw(st.sampled_from(check.ALGORITHMS)),
    )
    layer = layer._replace(**{name: Layer._field_defaults[name] for name in operator.lacks})
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


@pytest.mark.parametrize("layer", [*BOARD, *WIDE], ids=lambda layer: layer.name)
def test_text_of_a_board_is_what_it_is_read_from(layer):
    texts = {**TEXTS, **WIDE_TEXTS}
    assert layer.text == texts[layer.name] and str(layer) == f"{layer.name} ({layer.text})"


def test_no_name_stands_on_both_boards():
    assert not TEXTS.keys() & WIDE_TEXTS.keys()


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
        ("full", {"padding": "full"}),
        ("NCHW int8 shared", {"data_format": "NCHW", "dtype": "int8", "shared": True}),
        ("OIHW", {"filter_format": "OIHW"}),
        ("uint8*int8>int32", {"dtype": "uint8*int8>int32"}),
        ("int8>float32", {"dtype": "int8>float32"}),
        ("fastest", {"algorithm": "fastest"}),
    ],
)
def test_text_says_every_option(text, options):
    channels = 4 // options.get("groups", 1)
    sizes = (2, 9, 8, 4), (3, 2, channels, 6)
    read = parse(f"2x9x8x4 3x2x{channels}x6 {text}")
    assert read == Layer(*sizes, **options)
    assert set(read.text.split()[2:]) == set(text.split())


@pytest.mark.parametrize(
    "text, out, options",
    [
        ("4x12000x48 9x48x80 causal", (4, 12000, 80), {"padding": "causal"}),
        ("2x30x4 3x2x6 s2 p0+2 g2 NCW", (2, 15, 6), {"padding": ((0, 2),), "data_format": "NCW"}),
        ("2x30x4 3x4x6 p2x0 OIW", (2, 30, 6), {"padding": (2, 0), "filter_format": "OIW"}),
        ("1x14x32x34x16 3x3x3x16x16", (1, 12, 30, 32, 16), {}),
        ("1x7x8x9x2 3x2x1x2x3 s1x2x3 d2", (1, 3, 3, 3, 3), {"strides": (1, 2, 3)}),
        ("1x7x8x9x2 3x2x1x2x3 p1x0+1x2", (1, 7, 8, 13, 3), {"padding": (1, (0, 1), 2)}),
    ],
)
def test_text_says_other_ranks(text, out, options):
    read = parse(text)
    assert read.text == text and read.out == out
    assert {name: getattr(read, name) for name in options} == options


@pytest.mark.parametrize(
    "text, given, out, flops",
    [
        (
            "1x5x6x8 4x3x3x8 s2 g2 transposed",
            {"images": (1, 5, 6, 8), "filters": (4, 3, 3, 8), "bias": (6,)},
            (1, 12, 13, 6),
            2 * (5 * 6) * 8 * (4 * 3 * 3),
        ),
        (
            "2x9x8x4 3x3x2x6 s2 p1 g2 images_gradient",
            {"output_gradient": (2, 5, 4, 6), "filters": (3, 3, 2, 6)},
            (2, 9, 8, 4),
            2 * (2 * 5 * 4) * 6 * (3 * 3 * 2),
        ),
        (
            "2x9x8x4 3x3x2x6 s2 p1 g2 filters_gradient",
            {"images": (2, 9, 8, 4), "output_gradient": (2, 5, 4, 6)},
            (3, 3, 2, 6),
            2 * (2 * 5 * 4) * 6 * (3 * 3 * 2),
        ),
        (
            "1x9x8x4 3x2 s2 max_pool",
            {"images": (1, 9, 8, 4)},
            (1, 4, 4, 4),
            (4 * 4 * 4) * (3 * 2),
        ),
        ("2x9x4 3 average_pool", {"images": (2, 9, 4)}, (2, 7, 4), (2 * 7 * 4) * 3),
        ("1x5x6x7x2 2x3x4 max_pool", {"images": (1, 5, 6, 7, 2)}, (1, 4, 4, 4, 2), 64 * 2 * 24),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_text_says_what_is_given_and_what_results(text, given, out, flops):
    layer = parse(text)
    assert layer.text == text and layer.arrays == given and layer.out == out
    assert layer.flops == flops
    assert layer.n_bytes == 4 * sum(map(np.prod, (*given.values(), out)))


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("", "must begin with sizes"),
        ("1x9x9x8", "must begin with sizes"),
        ("9x8 3x8x8", "must begin with sizes"),
        ("9x8 3 max_pool", "must begin with sizes"),
        ("max_pool", "must begin with sizes"),
        ("1x9x9x8 3x3 max_pooling", "'max_pooling' is no option of convolution"),
        ("1x9x9x9x9x8 3x3x3x3x8x8", "must begin with sizes"),
        ("9x9x8 3x3x8x8", "its images have 3 sizes, its filters 4"),
        ("1x9x9x8 3x3x8x8x", "must begin with sizes"),
        ("1x9x9x8 3x3x8x8 x2", "'x2' is no option"),
        ("1x9x9x8 3x3x8x8 s", "'s' is no option"),
        ("1x9x9x8 3x3x8x8 p1x1x1x1", "'p1x1x1x1' is no option"),
        ("1x9x9x8 3x3x8x8 p1+1", r"padding must be .* got \(\(1, 1\),\) of length 1"),
        ("1x9x9x8 3x3x8x8 s1x1x1", "strides must be an integer or a pair"),
        ("1x9x9x8 3x3x8x8 causal", "padding must be one of"),
        ("1x9x9x8 3x3x8x8 NCW", "data_format must be one of"),
        ("1x9x9x8 3x3x8x8 OIW", "filter_format must be one of"),
        ("1x9x9x8 3x3x8x8 s-1", "'s-1' is no option"),
        ("1x9x9x8 3x3x8x8 float31", "'float31' is no option"),
        ("1x9x9x8 3x3x8x8 uint8*int8", "'uint8.int8' is no option"),
        ("1x9x9x8 3x3x8x8 uint8>int31", "'uint8>int31' is no option"),
        ("1x9x9x8 3x3 int8>int32 max_pool", "max_pool has one dtype"),
        ("1x9x9x8 3x3x8x8 s1 s2", "'s2' says strides a second time"),
        ("1x9x9x8 3x3x8x8 p1 same", "'same' says padding a second time"),
        ("1x9x9x8 3x3x8x8 transposed transposed", "'transposed' says operator a second time"),
        ("1x9x9x8 3x3 max_pool average_pool", "'average_pool' says operator a second time"),
        ("1x9x9x8 3x3", "its images have 4 sizes, its filters 2, not 4"),
        ("1x9x9x8 3x3x8x8 max_pool", "its images have 4 sizes, its window 4, not 2"),
        ("1x9x9x8 3x3x3 max_pool", "its images have 4 sizes, its window 3, not 2"),
        ("1x9x9x8 3x3 g8 max_pool", "'g8' is no option of max_pool"),
        ("1x9x9x8 3x3 average_pool HWIO", "'HWIO' is no option of average_pool"),
        ("1x9x9x8 3x3 p3 max_pool", "padding must be less than the window"),
        ("1x9x9x8 0x3 max_pool", "window must be at least 1"),
        ("1x9x9x8 11x3 max_pool", "window must fit into the padded images"),
        ("1x9x9x8 3x3x8x8 shared transposed", "'shared' is no option of transposed"),
        ("1x9x9x8 3x3x8x8 full transposed", "padding must be one of"),
        ("1x9x9x8 3x3x8x4 transposed", "must agree in channels"),
        ("1x9x9x8 3x3x8x8 g3 transposed", "groups must divide"),
        ("1x9x9x8 3x3x8x8 fft transposed", "'fft' is no option of transposed"),
        ("1x9x9x8 3x3x8x8 s2 winograd", r"'winograd' needs strides \(1, 1\), got \(2, 2\)"),
        ("1x9x9x8 3x3x8x8 p9 transposed", "padding must leave something of the result"),
        ("1x9x9x8 0x3x8x8 transposed", "filters must have a height and a width of at least 1"),
        ("1x9x9x8 3x3x4x8 images_gradient", "must agree in channels"),
        ("1x9x9x8 3x3x8x8 g3 filters_gradient", "groups must divide"),
        ("1x9x9x8 3x3x8x8 s0", "strides must be at least 1, got 0"),
        ("1x9x9x8 3x3x8x8 s1+1x1", "strides must be an integer"),
        ("1x9x9x8 3x3x8x8 g3", "groups must divide"),
        ("1x9x9x8 3x3x4x8", "must agree in channels"),
        ("1x9x9x8 0x3x8x8", "filters must have a height and a width of at least 1"),
        ("1x9x9x8 11x3x8x8", "filters must fit into the padded images"),
        ("1x9999999999x9999999999x8 3x3x8x8", "too large to address"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_behind_it(text, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        parse(text)
    assert str(error.value).startswith(f"{text!r}: ")


@pytest.mark.parametrize(
    "text, shapes, out",
    [
        (
            "2x5x6x3 3x3x3x4 NCHW OIHW",
            {"images": (2, 3, 5, 6), "filters": (4, 3, 3, 3)},
            (2, 4, 3, 4),
        ),
        ("2x6x3 3x3x4 channels_first", {"images": (2, 3, 6), "filters": (3, 3, 4)}, (2, 4, 4)),
        (
            "2x4x5x6x3 2x3x3x3x4 NCDHW",
            {"images": (2, 3, 4, 5, 6), "filters": (2, 3, 3, 3, 4)},
            (2, 4, 3, 3, 4),
        ),
        (
            "2x5x6x3 2x3x4x3 NCHW OIHW transposed",
            {"images": (2, 3, 5, 6), "filters": (3, 4, 2, 3)},
            (2, 4, 6, 8),
        ),
        (
            "2x5x6x3 2x3x3x4 NCHW OIHW images_gradient",
            {
                "output_gradient": (2, 4, 4, 4),
                "filters": (4, 3, 2, 3),
                "images_shape": (2, 3, 5, 6),
            },
            (2, 3, 5, 6),
        ),
        (
            "2x5x6x3 2x3x3x4 NCHW OIHW filters_gradient",
            {
                "images": (2, 3, 5, 6),
                "output_gradient": (2, 4, 4, 4),
                "filters_shape": (4, 3, 2, 3),
            },
            (4, 3, 2, 3),
        ),
        ("2x5x6x3 2x3 NCHW max_pool", {"images": (2, 3, 5, 6), "window": (2, 3)}, (2, 3, 4, 4)),
        ("2x6x3 2 NCW average_pool", {"images": (2, 3, 6), "window": (2,)}, (2, 3, 5)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_layer_is_computed_in_the_formats_that_its_text_says(text, shapes, out, monkeypatch):
    layer = parse(text)
    operator, asked = OPERATORS[layer.operator], {}

    def recorded(door, *names):
        def called(*args, **keywords):
            given = dict(zip(names, args, strict=True)) | keywords
            asked.update({name: np.shape(value) for name, value in given.items()})
            asked.update(
                {name: given[name] for name in shapes if isinstance(given.get(name), tuple)}
            )
            result = door(*args, **keywords)
            return recorded(result, "images") if callable(result) else result

        return called

    for doors in ("functions", "classes"):
        if hasattr(operator, doors):
            spied = {layer.rank: recorded(getattr(operator, doors)[layer.rank])}
            monkeypatch.setattr(operator, doors, spied, raising=False)
    problem = Problem.draw(layer)
    contender = race.own(problem)
    result = contender.channels_last(contender.call())
    assert {name: array.shape for name, array in problem.arrays.items()} == layer.arrays
    assert {name: asked[name] for name in shapes} == shapes and asked["out"] == out
    expected = race.expectation(problem)
    assert result.shape == expected.shape == layer.out
    np.testing.assert_allclose(result, expected, atol=problem.error_bound)


def test_weights_are_kept_where_a_layer_can_keep_them():
    kept = {word for word, operator in OPERATORS.items() if hasattr(operator, "classes")}
    assert kept == {"convolution", "transposed"} and OPERATORS["convolution"] is CONVOLUTION


def test_text_is_read_without_the_extras():
    code = (
        "import sys, aotconv._tools.problem\n"
        "sys.exit(str({'matplotlib', 'PIL', 'tqdm'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""
