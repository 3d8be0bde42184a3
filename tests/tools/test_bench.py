"""The benchmark: its board, its arithmetic, its check of results, and the command."""

import functools
import io
import itertools
import json
import os
import re
import sys
from unittest import mock

import numpy as np
import oracle
import pytest
from command import run
from filters import MODES
from PIL import Image

import aotconv
from aotconv.__main__ import main
from aotconv._core import cpu
from aotconv._tools import bench, race, report, sweep
from aotconv._tools.board import BOARD, BOARDS, TEXTS, WIDE
from aotconv._tools.busy import Load
from aotconv._tools.errors import DisagreementError
from aotconv._tools.filtering import FILTERS, Filtering
from aotconv._tools.operators import OPERATORS
from aotconv._tools.peer import Contender, Peer, Setting, Unsuitable
from aotconv._tools.peers import PEERS
from aotconv._tools.problem import Layer, Problem, parse
from aotconv._tools.race import Result
from aotconv.reference import (
    conv_reference,
    conv_transpose_reference,
    filter_gradient_reference,
    pool_reference,
)

MEGAFLOPS = {
    "seed_4x4x3x4": 7.68,
    "r50_conv1_7x7s2": 236.028,
    "r50_2_3x3_64": 231.211,
    "r50_2_1x1_64_256": 102.76,
    "r50_3_3x3_128": 231.211,
    "r50_3_1x1s2_256_512": 205.521,
    "r50_4_3x3_256": 231.211,
    "r50_5_3x3_512": 231.211,
    "r50_5_1x1_2048_512": 102.76,
    "vgg_1_3x3_3_64": 173.408,
    "vgg_1_3x3_64_64": 3699.376,
    "vgg_3_3x3_256": 3699.376,
    "mb_dw3_32_112": 7.225,
    "mb_dw3s2_96_112": 5.419,
    "mb_dw5_240_28": 9.408,
    "mb_1x1_32_16": 12.845,
    "mb_1x1_960_160": 15.053,
    "img_1ch_5x5_1024": 52.429,
    "img_rgb_dw7x7_1080p": 609.638,
    "tiny_8x8x1": 0.001,
}
DENSE = parse("2x7x6x3 3x2x3x5 p1")
STRIDED = parse("1x9x8x6 3x3x3x4 s2 p1 g2")
DEPTHWISE = parse("1x8x8x3 3x3x1x3 p1 g3 shared")
UNEVEN = parse("1x9x8x4 3x2x4x5 s2x1 p0+2x1 d2x3")
LINE = parse("2x30x3 4x3x5 p2x1 s2")
VOLUME = parse("1x5x6x7x2 2x3x3x2x4 p1x0x1")
FEW = parse("1x9x8x1 3x3x1x2 same")
ALGORITHMS = [parse(f"1x9x8x4 3x3x4x5 p1 {name}") for name in ("winograd", "fft", "fastest")]
SMALL = [DENSE, STRIDED, UNEVEN, DEPTHWISE, LINE, VOLUME, FEW]
OTHERS = list(
    map(
        parse,
        [
            "2x5x6x4 4x3x3x4 s2 p1 g2 transposed",
            "1x5x6x2 2x1x3x2 s3x2 transposed",
            "2x7x3 3x4x3 s2 d2 p1 transposed",
            "1x3x4x5x2 2x3x2x3x2 s2x1x2 same transposed",
            "2x9x8x4 3x2x2x6 s2x1 p1x0 g2 d1x2 images_gradient",
            "2x9x3 3x3x4 p0+2 images_gradient",
            "1x5x6x7x2 2x3x3x2x4 s2 p1 images_gradient",
            "2x9x8x4 3x2x2x6 s2x1 p1x0 g2 d1x2 filters_gradient",
            "2x9x3 3x3x4 p2x1 filters_gradient",
            "1x5x6x7x2 2x3x3x2x4 s2 p1 filters_gradient",
            "2x9x8x4 3x2 s2x1 p1 d1x2 max_pool",
            "2x9x3 3 s2 p1 max_pool",
            "1x5x6x7x2 2x3x2 s2 p0+1x1x0 max_pool",
            "2x9x8x4 3x2 s2x1 p1 average_pool",
            "2x9x3 3 s2 p0+1 d2 average_pool",
            "1x5x6x7x2 2x3x2 p1 average_pool",
        ],
    )
)
FILTERINGS = list(
    map(
        parse,
        [
            "12x15 correlate 3x4",
            "12x15 correlate 5x2 mirror float64",
            "12x15 correlate 5x5 uint8>int16",
            "6x7x8 correlate 3x2 axes0x2 nearest",
            "40 correlate1d 8",
            "12x15 correlate1d 5 axes0 wrap",
            "12x15 gaussian_filter sigma0.8",
            "12x15x3 gaussian_filter sigma2 axes0x1 uint8 saturate",
            "6x7x8 gaussian_filter sigma0.5 constant",
            "30 gaussian_filter sigma1.5",
            "12x15 uniform_filter 5x4",
            "12x15 sobel",
            "6x7x8 sobel axes0x2",
            "12x15 correlate 4x5 mirror fft",
            "40 correlate1d 8 float64 fastest",
            "12x15 laplace",
            "6x7x8 laplace float64",
        ],
    )
)
OTHER_DTYPES = [
    parse(f"{text} {dtype}")
    for text in (
        "2x9x8x4 3x2x4x5 p1",
        "1x5x6x4 4x3x3x4 s2 transposed",
        "2x9x3 3x3x4 images_gradient",
        "2x9x3 3x3x4 filters_gradient",
        "2x9x8x4 3x2 max_pool",
        "2x9x8x4 3x2 average_pool",
    )
    for dtype in ("int8", "uint16", "int32", "float16")
]
OTHER_DTYPES += [parse("2x9x8x4 3x2x4x5 p1 uint8*int8>int32"), parse("2x9x4 3x4x5 int8>float32")]
HERE = Setting(threads=1)


def reference(problem):
    """The result by the slow versions."""
    if isinstance(problem.operation, Filtering):
        return filtered(problem.filtering, problem.arrays)
    layer, options = problem.layer, problem.layer.options
    filters, letters = layer.filters, "DHW"[-layer.rank :]
    given = [array.astype(float) for array in problem.arrays.values()]

    def images_gradient(output_gradient, filters):
        # The convolution is linear in its images, of which each one is a row of this matrix.
        ones = np.eye(np.prod(layer.images)).reshape(-1, *layer.images)
        rows = [conv_reference(each, filters, None, **options) for each in ones]
        return np.tensordot(rows, output_gradient, layer.rank + 2).reshape(layer.images)

    def pool(average):
        return pool_reference(
            *given, filters, **options, average=average, data_format=f"N{letters}C"
        )[0]

    return {
        "convolution": lambda: conv_reference(*given, **options),
        "transposed": lambda: conv_transpose_reference(*given, **options),
        "images_gradient": lambda: images_gradient(*given),
        "filters_gradient": lambda: filter_gradient_reference(*given, filters, **options),
        "max_pool": lambda: pool(False),
        "average_pool": lambda: pool(True),
    }[layer.operator]()


def windows(filtering, arrays):
    """The weights of each result, along all axes at once."""
    along, size, sigma = filtering.along, filtering.window, filtering.sigma
    rank = range(len(filtering.sizes))

    def product(lines):
        return functools.reduce(np.multiply.outer, [np.array(lines.get(i, [1.0])) for i in rank])

    if "weights" in arrays:
        others = tuple(i for i in rank if i not in along)
        return [np.expand_dims(arrays["weights"].astype(float), others)]
    if filtering.function == "sobel":
        each = [{i: [-1, 0, 1] if i == axis else [1, 2, 1] for i in rank} for axis in along]
        return list(map(product, each))
    if filtering.function == "laplace":
        each = [{i: [1, -2, 1] if i == axis else [0, 1, 0] for i in along} for axis in along]
        return [sum(map(product, each))]
    if filtering.function == "uniform_filter":
        return [product({i: np.full(n, 1 / n) for i, n in zip(along, size, strict=True)})]
    assert filtering.function == "gaussian_filter"
    places = np.arange(-int(4 * sigma + 0.5), int(4 * sigma + 0.5) + 1)
    density = np.exp(-((places / sigma) ** 2) / 2)
    return [product(dict.fromkeys(along, density / density.sum()))]


def filtered(filtering, arrays):
    """The result by np.pad and windows of what it gave."""
    results = []
    for weights in windows(filtering, arrays):
        pads = [(size // 2, (size - 1) // 2) for size in weights.shape]
        padded = np.pad(arrays["input"].astype(float), pads, MODES[filtering.mode])
        views = np.lib.stride_tricks.sliding_window_view(padded, weights.shape)
        results.append(np.tensordot(views, weights, weights.ndim))
    result = np.stack(results) if filtering.function == "sobel" else results[0]
    if not filtering.saturate:
        return result
    limits = np.iinfo(filtering.dtypes[1])
    return np.clip(np.rint(result), limits.min, limits.max)


def right(problem, setting):
    """A peer whose results are right."""
    result = reference(problem)
    return {"right NHWC": Contender(problem, lambda: result.copy())}


def wrong(problem, setting):
    """A peer whose last result is wrong by little."""
    (contender,) = right(problem, setting).values()

    def call():
        result = contender.call()
        result.ravel()[-1] += 1e-2
        return result

    return {"wrong": contender._replace(call=call)}


def unable(problem, setting):
    raise Unsuitable("it is too tired")


def broken(problem, setting):
    raise AttributeError("as a package raises\nthat was built for another NumPy")


def dead(problem, setting):
    os._exit(1)


ASKED = [*FILTERS, *OPERATORS, *(f"{word} float64" for word in OPERATORS)]


def peers(*prepares):
    return {each.__name__: Peer((), dict.fromkeys(ASKED, each)) for each in prepares}


# --- the board -------------------------------------------------------------------------------


def test_board_is_the_twenty_layers_with_their_work():
    assert {layer.name: round(layer.flops / 1e6, 3) for layer in BOARD} == MEGAFLOPS


def test_board_pads_so_that_images_keep_their_size_over_the_strides():
    for layer in BOARD:
        if layer.padding:
            assert layer.out[1] == -(-layer.images[1] // layer.strides)


def smaller(operation):
    """A layer of a board with few channels and pixels, or a filter of few elements."""
    if isinstance(operation, Filtering):
        return operation._replace(sizes=tuple(min(size, 13) for size in operation.sizes))
    layer = operation
    _, *sizes, channels = layer.images
    few = min(channels, 8)
    filters = tuple(min(each, 8) if each == channels else min(each, 16) for each in layer.filters)
    dilations = min(layer.dilations, 4)
    spans = [(k - 1) * dilations + 1 for k in filters[: len(sizes)]]
    sizes = [min(size, span + 4) for size, span in zip(sizes, spans, strict=True)]
    groups = few if layer.groups == channels else layer.groups
    small = {"images": (1, *sizes, few), "filters": filters, "groups": groups}
    return layer._replace(**small, dilations=dilations)


@pytest.mark.parametrize("operation", WIDE, ids=lambda operation: operation.name)
def test_every_row_of_the_wide_board_is_right_at_a_small_size(operation):
    problem = Problem.draw(smaller(operation))
    assert problem.operation.asked == operation.asked
    assert 0 < problem.operation.flops < operation.flops / 50
    expected = reference(problem)
    np.testing.assert_allclose(race.expectation(problem), expected, atol=1e-12)
    race.verify("aotconv", race.own(problem), expected)


def test_wide_board_has_every_operator_filter_and_rank():
    layers = [each for each in WIDE if isinstance(each, Layer)]
    filterings = [each for each in WIDE if isinstance(each, Filtering)]
    assert {each.operator for each in layers} == set(OPERATORS)
    assert {each.function for each in filterings} == set(FILTERS)
    assert {each.rank for each in layers} == {1, 2, 3}
    assert {len(each.sizes) for each in filterings} == {1, 2, 3}


def test_layer_counts_what_must_be_read_and_written():
    assert STRIDED.out == (1, 5, 4, 4) and STRIDED.pads == ((1, 1), (1, 1))
    elements = 9 * 8 * 6 + 3 * 3 * 3 * 4 + 4 + 5 * 4 * 4
    assert STRIDED.n_bytes == 4 * elements
    assert STRIDED.with_dtype("float64").n_bytes == 8 * elements
    assert STRIDED.flops == 2 * (5 * 4 * 4) * (3 * 3 * 3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", [*SMALL, *OTHERS], ids=str)
def test_problem_has_the_layers_arrays(layer, dtype):
    problem = Problem.draw(layer._replace(dtype=dtype))
    arrays = problem.arrays.values()
    assert {name: array.shape for name, array in problem.arrays.items()} == layer.arrays
    assert all(array.dtype == dtype and array.flags.c_contiguous for array in arrays)
    assert all(np.ptp(array) for array in arrays) or layer.shared


@pytest.mark.parametrize("layer", SMALL, ids=str)
def test_filters_are_the_same_where_they_are_shared(layer):
    problem = Problem.draw(layer)
    arrays = layer.images, layer.filters, layer.filters[-1:]
    assert tuple(problem.arrays.items()) and tuple(layer.arrays.values()) == arrays
    same = (problem.filters == problem.filters[..., :1]).all()
    assert same == layer.shared == (np.ptp(problem.bias) == 0)


# --- correct first ---------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [*SMALL, *OTHERS], ids=str)
def test_expectation_is_that_of_the_oracle(layer):
    problem = Problem.draw(layer)
    result, expected = race.expectation(problem), reference(problem)
    assert result.dtype == np.float64 and result.shape == expected.shape == layer.out
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize("layer", OTHER_DTYPES, ids=str)
def test_layers_of_other_dtypes_are_held_against_the_oracle(layer):
    problem, dtypes = Problem.draw(layer), layer.dtypes
    assert {name: array.dtype for name, array in problem.arrays.items()} | {
        "out": race.own(problem).call().dtype
    } == dtypes
    expected, whole = reference(problem), dtypes["out"].kind in "iu"
    if whole:  # which wrap
        expected = expected.astype(np.int64).astype(dtypes["out"]).astype(float)
    np.testing.assert_allclose(race.expectation(problem), expected, rtol=1e-12, atol=1e-12)
    contender = race.own(problem)
    race.verify("aotconv", contender, expected)
    assert not whole or problem.error_bound == 0
    off = expected.copy()
    off.flat[-1] += 1 if whole else abs(off.flat[-1]) / 500 + 1e-2
    with pytest.raises(DisagreementError, match=re.escape(f"peer, {layer}: wrong by")):
        race.verify("peer", contender._replace(call=lambda: off), off * 0 + expected)


@pytest.mark.parametrize("layer", ALGORITHMS, ids=str)
def test_layers_of_an_algorithm_are_called_with_it_and_held_against_direct_sums(layer):
    problem = Problem.draw(layer)
    expected = reference(problem)
    np.testing.assert_allclose(race.expectation(problem), expected, rtol=1e-12, atol=1e-12)
    contender = race.own(problem)
    race.verify("aotconv", contender, expected)
    call = race.own(Problem(layer._replace(algorithm="auto"), problem.arrays)).call
    if layer.algorithm != "fastest":  # that is "auto" for so few pixels
        assert (call() != contender.call()).any()
    with pytest.raises(DisagreementError, match=re.escape(f"peer, {layer}: wrong by")):
        race.verify("peer", contender._replace(call=lambda: expected + 0.1), expected)


@pytest.mark.parametrize("filtering", FILTERINGS, ids=str)
def test_filters_are_held_against_what_np_pad_and_windows_give(filtering):
    problem = Problem.draw(filtering)
    result, expected = race.expectation(problem), reference(problem)
    assert {name: array.shape for name, array in problem.arrays.items()} == filtering.arrays
    assert result.dtype == np.float64 and result.shape == expected.shape == filtering.out
    np.testing.assert_allclose(result, expected, atol=1e-12)
    contender = race.own(problem)
    race.verify("aotconv", contender, expected)
    assert contender.call().dtype == filtering.dtypes[1]


@pytest.mark.parametrize("filtering", FILTERINGS, ids=str)
def test_error_that_no_rounding_makes_is_found_in_every_filter(filtering):
    problem = Problem.draw(filtering)
    expected, whole = race.expectation(problem), filtering.dtypes[1].kind in "iu"
    few = 1e-3 if filtering.algorithm == "auto" else 1e-2
    error = 2.0 if filtering.saturate else 1.0 if whole else few
    for index in np.random.default_rng(0).choice(expected.size, 10, replace=False):
        result = expected.copy()
        result.flat[index] += error
        contender = Contender(problem, lambda made=result: made)
        with pytest.raises(DisagreementError, match=re.escape(f"peer, {filtering}: wrong by")):
            race.verify("peer", contender, expected)
        race.verify("peer", contender._replace(coarser=error), expected)


def test_rounded_integers_may_be_nearly_between_two_and_others_are_exact():
    rounded, whole = FILTERINGS[7], FILTERINGS[2]
    assert Problem.draw(rounded).error_bound == 1 and Problem.draw(whole).error_bound == 0


@pytest.mark.parametrize(
    ("text", "roundings", "gain"),
    [
        ("12x15 gaussian_filter sigma0.8", 2 * (2 * 8), 1),
        ("12x15 uniform_filter 5x4", 2 * (6 + 5), 1),
        ("12x15 sobel", 2 * (2 * 4), 8),
        ("6x7x8 laplace", 2 * 8, 12),
    ],
)
def test_bound_of_filters_is_by_roundings_of_each_axis_and_the_largest_sum(text, roundings, gain):
    problem = Problem.draw(parse(text))
    largest = np.abs(problem.arrays["input"]).max()
    expected = np.finfo(np.float32).eps * roundings * gain * largest
    assert problem.error_bound == pytest.approx(expected)


@pytest.mark.parametrize("layer", SMALL, ids=str)
def test_bound_is_that_of_the_tests(layer):
    problem = Problem.draw(layer)
    expected = oracle.error_bound(*problem.arrays.values(), np.float32)
    assert problem.error_bound == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("1x5x6x4 4x3x3x4 s2 g2 transposed", 4 * 3 * 2),
        ("2x9x8x4 3x2x2x6 g2 images_gradient", 3 * 2 * 3),
        ("2x9x8x4 3x2x2x6 g2 filters_gradient", 2 * 7 * 7),
    ],
)
def test_bound_is_that_of_as_many_products_as_are_summed(text, terms):
    problem = Problem.draw(parse(text))
    one, other, *bias = (np.abs(array).max() for array in problem.arrays.values())
    expected = np.finfo(np.float32).eps * (terms + 1) * max(one * other, *bias, 0) * 2
    assert problem.error_bound == pytest.approx(expected)


def test_maxima_are_exact_and_averages_within_what_their_door_says():
    maximum, average = (
        Problem.draw(parse(f"1x9x8x4 3x2 {word}_pool")) for word in ("max", "average")
    )
    assert maximum.error_bound == 0
    expected = np.finfo(np.float32).eps * 6 * np.abs(average.images).max()
    assert average.error_bound == pytest.approx(expected)


@pytest.mark.parametrize("layer", [*SMALL, *OTHERS], ids=str)
def test_error_that_no_rounding_makes_is_found_at_every_element(layer):
    problem = Problem.draw(layer)
    expected = race.expectation(problem)
    (contender,) = right(problem, HERE).values()
    race.verify("peer", contender, expected)
    rng = np.random.default_rng(0)
    for index in rng.choice(expected.size, min(expected.size, 20), replace=False):
        result = expected.copy()
        result.flat[index] += 2e-4
        with pytest.raises(DisagreementError, match=r"wrong by 0\.0002"):
            race.verify("peer", contender._replace(call=lambda made=result: made), expected)


def changed(function):
    problem = Problem.draw(DENSE)
    return Contender(problem, lambda: function(race.expectation(problem)))


def test_result_within_the_bound_is_right():
    bound = Problem.draw(DENSE).error_bound
    contender = changed(lambda result: result + 0.9 * bound)
    race.verify("peer", contender, race.expectation(contender.problem))


@pytest.mark.parametrize(
    "change",
    [
        lambda result: result + 1.1 * Problem.draw(DENSE).error_bound,
        lambda result: np.where(result == result.max(), np.nan, result),
        lambda result: result[:1],
        lambda result: result.transpose(0, 3, 1, 2),
    ],
    ids=["beyond", "nan", "fewer", "layout"],
)
def test_result_that_is_wrong_is_a_disagreement_that_names_contender_and_layer(change):
    contender = changed(change)
    with pytest.raises(DisagreementError, match="peer, 2x7x6x3 3x2x3x5 p1: ") as error:
        race.verify("peer", contender, race.expectation(contender.problem))
    assert error.value.status == 1


def test_wrong_aotconv_is_not_timed(monkeypatch):
    monkeypatch.setattr(race, "own", lambda problem: wrong(problem, HERE)["wrong"])
    with pytest.raises(DisagreementError, match="aotconv, 2x7x6x3 3x2x3x5 p1: wrong by "):
        race.measure(DENSE, {}, HERE, 0)


def test_wrong_peer_is_not_timed():
    with pytest.raises(DisagreementError, match="wrong, 2x7x6x3 3x2x3x5 p1: wrong by "):
        race.measure(DENSE, peers(right, wrong), HERE, 0)


# --- then timed ------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", OTHERS, ids=str)
def test_wrong_aotconv_is_not_timed_whatever_the_operator(layer, monkeypatch):
    (contender,) = wrong(Problem.draw(layer), HERE).values()
    monkeypatch.setattr(type(OPERATORS[layer.operator]), "call", lambda *_: contender.call)
    monkeypatch.setattr(race, "race", lambda *_: pytest.fail("it was timed"))
    with pytest.raises(DisagreementError, match=re.escape(f"aotconv, {layer}: wrong by 0.01")):
        race.measure(layer, {}, HERE, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", [*SMALL, *OTHERS[::10]], ids=str)
def test_measure_has_a_figure_of_everything_for_each_round(layer, dtype):
    result = race.measure(layer._replace(dtype=dtype), peers(right), HERE, 0)
    assert set(result.seconds) == {"aotconv", "right NHWC"}
    lists = [result.fma, result.copy, *result.seconds.values()]
    assert all(len(each) == race.ROUNDS and min(each) > 0 for each in lists)
    assert result.fastest == "right NHWC" and not result.left_out
    assert result.operation == layer._replace(dtype=dtype) and result.n_threads == 1


@pytest.mark.parametrize("peer", ["openvino", "litert", "opencv", "jax", "tensorflow"])
@pytest.mark.parametrize("layer", [LINE, VOLUME], ids=str)
def test_peers_of_two_axes_leave_other_ranks_out(peer, layer, monkeypatch):
    for package in ("openvino", "ai_edge_litert.interpreter", "cv2", "jax", "tensorflow"):
        for name in (package.partition(".")[0], package):
            monkeypatch.setitem(sys.modules, name, mock.MagicMock())  # it is not asked anything
    with pytest.raises(Unsuitable, match="two axes alone"):
        PEERS[peer].prepare(Problem.draw(layer), HERE)


UNABLE = {
    "torch": ["both ends alike", "no dilations", "half a window", "not asked for this dtype"],
    "onnxruntime": ["without dilations", "not asked for this operator", "not asked for this dtype"],
    "opencv": ["filters images", "it filters float32", "wrap around", "along two axes", "gray"],
    "scipy": ["not rounded and clipped"],
}


@pytest.mark.parametrize(("peer", "package"), [("torch", "torch"), ("onnxruntime", "onnx")])
@pytest.mark.parametrize("layer", [*SMALL, *OTHERS, *OTHER_DTYPES[-2:]], ids=str)
def test_peers_of_all_ranks_are_right_where_they_are_installed(peer, package, layer):
    pytest.importorskip(peer)
    pytest.importorskip(package)
    problem = Problem.draw(layer)
    try:
        contenders = PEERS[peer].prepare(problem, HERE)
    except Unsuitable as error:
        assert re.search("|".join(UNABLE[peer]), str(error))
        return
    assert contenders
    for name, contender in contenders.items():
        race.verify(name, contender, race.expectation(contender.problem))


@pytest.mark.parametrize("peer", ["openvino", "litert", "opencv", "jax", "tensorflow"])
@pytest.mark.parametrize("word", [word for word in OPERATORS if word != "convolution"])
def test_peers_that_convolve_alone_leave_other_operators_out(peer, word):
    layer = next(each for each in OTHERS if each.operator == word)
    with pytest.raises(Unsuitable, match="it is not asked for this operator"):
        PEERS[peer].prepare(Problem.draw(layer), HERE)


def test_peers_that_cannot_are_left_out_with_the_reason():
    result = race.measure(DENSE, peers(unable, broken, right), HERE, 0)
    assert set(result.seconds) == {"aotconv", "right NHWC"}
    assert result.left_out == {
        "unable": "it is too tired",
        "broken": "failed: AttributeError: as a package raises",
    }


def test_race_runs_everyone_in_each_round():
    order = []
    seconds = race.race({name: lambda name=name: order.append(name) for name in "ab"}, 0)
    assert {name: len(each) for name, each in seconds.items()} == dict.fromkeys("ab", race.ROUNDS)
    assert order[4:] == ["a", "a", "b", "b"] * race.ROUNDS  # one call more than is timed


def test_race_has_as_many_rounds_and_reads_the_clock_that_it_is_told():
    ticks = itertools.count()
    seconds = race.race({"a": lambda: None}, 0, rounds=4, clock=lambda: float(next(ticks)))
    assert seconds == {"a": [1.0] * 4}


@pytest.mark.parametrize("n_threads", [1, 3])
def test_copies_move_half_the_bytes(n_threads, monkeypatch):
    moved = []
    monkeypatch.setattr(race.np, "copyto", lambda target, source: moved.append(source.nbytes))
    with race.ThreadPoolExecutor(n_threads) as pool:
        call, times = race.copies(30_000_000, n_threads, pool)
        call()
    assert sum(moved) == times * 15_000_000


@pytest.mark.parametrize("peer", ["opencv", "scipy"])
@pytest.mark.parametrize("filtering", FILTERINGS, ids=str)
def test_peers_that_filter_are_right_where_they_are_installed(peer, filtering):
    pytest.importorskip({"opencv": "cv2"}.get(peer, peer))
    problem = Problem.draw(filtering)
    try:
        contenders = PEERS[peer].prepare(problem, HERE)
    except Unsuitable as error:
        assert re.search("|".join(UNABLE[peer]), str(error))
        return
    for name, contender in contenders.items():
        race.verify(name, contender, race.expectation(problem))


def test_peers_leave_out_layers_of_a_dtype_that_they_are_not_asked_for():
    with pytest.raises(Unsuitable, match="it is not asked for this dtype"):
        PEERS["torch"].prepare(Problem.draw(DENSE.with_dtype("float64")), HERE)


def test_process_has_as_many_cpus_as_threads_and_says_so(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with race.confined_process(1) as run:
        environment = run("getenv", os.getenv, "OMP_NUM_THREADS")
        cpus = run("usable_cpus", race.usable_cpus)
        threads = run("get_num_threads", aotconv.get_num_threads)
    assert environment == "1" and threads == 1
    if sys.platform == "linux":
        assert cpus == race.usable_cpus()[-1:]
    assert os.environ["OMP_NUM_THREADS"] == "7" and "MKL_NUM_THREADS" not in os.environ


# --- arithmetic ------------------------------------------------------------------------------


def result_of(seconds, fma, copy, **more):
    return Result(STRIDED, 1, {"aotconv": seconds, **more}, fma, copy, {})


def test_roofline_where_multiply_adds_bind():
    # 4320 FLOP at 1e9 a second take 4.32 microseconds, the copy 2.
    result = result_of([8e-6, 10e-6, 12e-6], [1e9] * 3, [2e-6] * 3)
    assert result.binding == "FMA"
    assert result.later == 10e-6 and result.flop_rate == pytest.approx(4320 / 10e-6)
    assert result.fraction == pytest.approx(0.432)


def test_roofline_where_memory_binds():
    result = result_of([10e-6] * 3, [1e9] * 3, [5e-6] * 3)
    assert result.binding == "copy" and result.fraction == pytest.approx(0.5)


def test_bound_is_that_of_the_same_round():
    result = result_of([10e-6, 20e-6, 40e-6], [1e9, 0.5e9, 0.25e9], [0.0] * 3)
    assert result.fraction == pytest.approx(0.432)  # of a machine that slows down


def test_ratio_is_the_median_of_each_rounds_ratio():
    slow = {"slow": [3.0, 6.0, 30.0], "fast b": [0.5, 1.0, 4.0], "fast a": [1.0, 2.0, 3.9]}
    result = result_of([1.0, 2.0, 4.0], [1e9] * 3, [1.0] * 3, **slow)
    assert result.ratios == {"slow": 3.0, "fast b": 0.5, "fast a": 1.0}
    assert result.fastest == "fast b"


def test_table_sums_up_the_ratios():
    pairs = [(2.0, "a"), (0.5, "b"), (1.0, "c")]
    results = [result_of([1.0], [1e9], [1.0], **{name: [ratio]}) for ratio, name in pairs]
    table = report.format_table([*results, result_of([1.0], [1e9], [1.0])]).splitlines()
    assert [line.split()[-3:] for line in table[1:5]] == [
        ["a", "2,000", "2.00"],
        ["b", "500", "0.50"],
        ["c", "1,000", "1.00"],
        ["none", "-", "-"],
    ]
    assert table[5:] == ["ratio: geometric mean 1.00; below 1 in 1 of 3"]


def test_table_without_peers_has_no_columns_of_theirs():
    table = report.format_table([result_of([1.0], [1e9], [1.0])])
    assert "peer" not in table and "none" not in table and len(table.splitlines()) == 2


QUIET = Load(1, 60.0, 0.5, 1.0, 2)


def named(name, **left_out):
    operation = STRIDED._replace(name=name)
    return result_of([1.0], [1e9], [1.0])._replace(operation=operation, left_out=left_out)


def test_footnote_says_which_peers_lack_which_rows_and_why():
    results = [
        named("a", one="old", two="old"),
        named("b", one="old", two="old", three="new"),
        named("c", one="old", two="old", three="new"),
        named("d", three="new"),
        named("e", one="old", two="old", four="gone", three="odd"),
    ]
    results = [each._replace(left_out={"five": "never", **each.left_out}) for each in results]
    assert report.footnotes(results, QUIET) == [
        "rows of which a peer has no figure, and why:",
        "  five: any row: never",
        "  one, two: a .. c, e: old",
        "  three: b .. d: new",
        "  four: e: gone",
        "  three: e: odd",
    ]
    assert report.footnotes([named("a")], QUIET) == []


def test_footnotes_are_no_wider_than_a_line():
    results = [named(f"layer_{i:010}", peer="it is tired " * 9 * (i % 2)) for i in range(40)]
    lines = report.footnotes(results, QUIET)
    assert max(map(len, lines)) <= report.LINE and len(lines) > 8
    assert all(each.operation.name in "".join(lines) for each in results)


@pytest.mark.parametrize("more", [{}, {"a": [2e-6]}, {"a": [4e-5]}], ids=["none", "fast", "slow"])
def test_chart_has_a_bar_for_each_layer_and_a_panel_for_each_number_of_threads(more):
    one = [result_of([1e-5], [1e9], [copy], **more) for copy in (1e-6, 6e-6)]
    two = [each._replace(n_threads=2) for each in one]
    figure = report.draw([one, two], "title")
    assert [axes.get_title("left") for axes in figure.axes] == ["1 thread", "2 threads"]
    assert [len(axes.patches) for axes in figure.axes] == [2, 2]
    for axes in figure.axes:
        sides = "\N{LEFTWARDS ARROW} peer faster", "aotconv faster \N{RIGHTWARDS ARROW}"
        assert all((side in axes.get_xlabel()) == bool(more) for side in sides)
    figure.savefig(io.BytesIO())


def test_chart_leaves_rows_without_a_peer_to_a_footnote():
    results = [
        named("a"),
        named("b")._replace(seconds={"aotconv": [1.0], "peer": [2.0]}),
        named("c"),
    ]
    figure = report.draw([results], "title")
    assert [each.get_text() for each in figure.axes[0].get_yticklabels()] == ["b"]
    assert figure.get_supxlabel() == "no peer has a figure of a, c"
    without = report.draw([[named("a"), named("c")]], "title")
    assert [each.get_text() for each in without.axes[0].get_yticklabels()] == ["a", "c"]
    assert without.get_supxlabel() == ""


@pytest.mark.parametrize("ratio", [0.01, 0.9, 1.1, 2.0, 300.0])
@pytest.mark.parametrize("against", [True, False])
@pytest.mark.parametrize("n_teams", [1, 2])
def test_chart_cuts_no_text(ratio, against, n_teams):
    long = "a library, its longest variant"
    seconds = {"aotconv": [1.0], **({long: [ratio]} if against else {})}
    copy = 1.0 if against else ratio
    result = named("a_layer_with_a_long_name")._replace(seconds=seconds, copy=[copy])
    uneven = result._replace(fma=[1e9, 2e9, 3e9, 4e9], copy=[copy] * 4)
    uneven = uneven._replace(seconds={name: each * 4 for name, each in seconds.items()})
    title = "aotconv 0.1.0, x86-64-v3, float32 and float64, A CPU (R) of a long name @ 2.80GHz" * 2
    figure = report.draw([[result, uneven], [uneven, result]][:n_teams], title)
    figure.draw_without_rendering()
    texts = [*figure.texts, *(each for axes in figure.axes for each in axes.texts)]
    texts += [each for axes in figure.axes for each in (axes.xaxis.label, *axes.get_yticklabels())]
    shown = [each for each in texts if each.get_text() and each.get_visible()]
    assert len(shown) > 4
    for each in shown:
        box = each.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0, each
        assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, each


# --- the peers that are installed ------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in PEERS if name != "litert"])
def test_peer_agrees(name):
    if bench.missing(PEERS[name].packages):
        pytest.skip(f"{name} is not installed")
    results = race.compare([*SMALL, FILTERINGS[0]], peers={name: PEERS[name]}, seconds=0)
    for result in results:
        assert result.fastest or not result.left_out[name].startswith("failed")
    assert results[-2].fastest or results[-1].fastest  # all of them can do one of the last two


# --- aotconv bench ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What one run of ``aotconv bench`` beside two peers printed and wrote."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        absent = {"absent": Peer(("no_such_package", "nor_this"), {})}
        patch.setattr(bench, "PEERS", {**peers(right, unable), **absent})
        layers = ("--layers", "tiny_8x8x1,mb_1x1_960_160", "--threads", "1")
        options = ("--peers", "right,unable,absent", "--seconds", "0.0001")
        files = ("--json", folder / "bench.json", "--plot", folder / "bench.png")
        done = run("bench", *layers, *options, *files)
    return done._replace(folder=folder)


def test_command_prints_a_row_for_each_layer(finished):
    assert finished.status == 0
    for name in ("tiny_8x8x1", "mb_1x1_960_160"):
        row = r" +[\d.]+[ ~] *[\d.]+ +\d+% (FMA|copy) +[\d.,]+  right NHWC +[\d.]+ +[\d.]+$"
        assert re.search(rf"^{name} +{TEXTS[name]}{row}", finished.out, re.MULTILINE)
    lines = finished.out.splitlines()
    assert lines[0].startswith(f"aotconv {aotconv.__version__}, {aotconv.active().name}, float32, ")
    assert "without absent: no_such_package and nor_this not installed" in lines
    assert any(re.fullmatch(r"1 thread: multiply-adds [\d,]+ GFLOP/s", line) for line in lines)
    assert any(line.startswith("ratio: geometric mean ") for line in lines)
    assert "  unable: any row: it is too tired" in lines


def test_progress_goes_to_stderr_and_only_there(finished):
    assert "tiny_8x8x1: " in finished.err and "%|" in finished.err and "%|" not in finished.out


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_for_terminals_alone(terminal, monkeypatch):
    def measure(operations, *_, announce, **__):
        announce(operations[0].name)
        return [result_of([1.0], [1e9], [1.0])]

    monkeypatch.setattr(bench, "compare", measure)
    layers = ("--layers", "tiny_8x8x1", "--threads", "1")
    done = run("bench", *layers, terminal=terminal)
    assert done.status == 0 and "of bound" in done.out
    assert ("tiny_8x8x1: " in done.err) == terminal and (done.err == "") == (not terminal)


def test_command_writes_all_that_was_measured(finished):
    written = json.loads((finished.folder / "bench.json").read_text())
    assert written["aotconv"] == aotconv.__version__ and written["cpu"] == cpu.name()
    assert [each["operation"]["name"] for each in written["results"]] == [
        "tiny_8x8x1",
        "mb_1x1_960_160",
    ]
    for each in written["results"]:
        assert set(each["seconds"]) == {"aotconv", "right NHWC"}
        assert len(each["fma"]) == len(each["copy"]) == len(each["seconds"]["aotconv"])
        assert each["fastest"] == "right NHWC" and each["first"] > 0 < each["later"]
        assert each["left_out"] == {"unable": "it is too tired"}
        assert set(each["spreads"]) == {"aotconv", "right NHWC", "FMA", "copy"}
        assert each["spreads"]["FMA"] == race.spread(each["fma"])
        marked = re.search(rf"^{each['operation']['name']} .* [\d.]+~ ", finished.out, re.MULTILINE)
        assert bool(each["doubts"]) == bool(marked)
    (load,) = written["load"]
    assert load["n_threads"] == 1 and load["seconds"] > 0 and load["others"] is None


def test_command_draws_a_chart(finished):
    with Image.open(finished.folder / "bench.png") as picture:
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 10  # something is drawn
    assert {path.name for path in finished.folder.iterdir()} == {"bench.json", "bench.png"}
    assert str(finished.folder / "bench.png") in finished.out.splitlines()


def test_layer_may_be_a_text_with_a_dtype_of_its_own(tmp_path):
    texts = ["1x5x6x3 3x3x3x4 same float64", "1x5x6x3 3x3x3x4 s1x2"]
    file = tmp_path / "bench.json"
    options = ("--threads", "1", "--seconds", "0.0001", "--json", file)
    done = run("bench", "--layers", ",".join(texts), *options)
    assert done.status == 0 and ", float32 and float64, " in done.out.splitlines()[0]
    assert all(re.search(rf"^{text} +[\d.]+[ ~]", done.out, re.MULTILINE) for text in texts)
    written = json.loads(file.read_text())["results"]
    assert [each["operation"]["text"] for each in written] == texts
    assert [each["operation"]["dtype"] for each in written] == ["float64", "float32"]


def test_rows_of_all_boards_go_by_name_and_operators_and_filters_by_text(tmp_path):
    layers = ["max_pool_3x3s2_64", "1x5x6x3 3x3x4x3 s2 transposed", "9x8 laplace", "sobel"]
    file = tmp_path / "bench.json"
    options = ("--threads", "1", "--seconds", "0.0001", "--json", file)
    done = run("bench", "--layers", ",".join(layers), *options)
    assert done.status == 0
    written = [each["operation"] for each in json.loads(file.read_text())["results"]]
    assert [each["name"] or each["text"] for each in written] == layers
    words = [each.get("operator") or each["function"] for each in written]
    assert words == ["max_pool", "transposed", "laplace", "sobel"]


@pytest.mark.parametrize("board", BOARDS)
def test_board_is_that_which_was_asked_for(board, monkeypatch):
    asked = []
    monkeypatch.setattr(
        bench, "compare", lambda operations, *_, **__: asked.extend(operations) or []
    )
    monkeypatch.setattr(bench, "heading", str)
    monkeypatch.setattr(bench, "format_table", str)
    monkeypatch.setattr(bench, "footnotes", lambda group, load: [])
    for arguments in (["--board", board], []):
        assert run("bench", *arguments, "--threads", "1").status == 0
    assert asked == [*BOARDS[board], *BOARD]


def test_layer_too_large_for_the_memory_is_an_error_line():
    text = "1x99999999x9999999x1 1x1x1x1"
    done = run("bench", "--layers", text, "--threads", "1")
    assert done.status == 2
    assert done.last_error.startswith(f"aotconv: error: aotconv on {text}: Unable to allocate ")


def test_disagreement_is_an_error_line_and_status_1(monkeypatch):
    monkeypatch.setattr(bench, "PEERS", peers(wrong))
    done = run("bench", "--layers", "tiny_8x8x1", "--threads", "1", "--peers", "wrong")
    assert done.status == 1
    assert done.last_error.startswith(
        "aotconv: error: wrong, tiny_8x8x1 (1x8x8x1 3x3x1x1): wrong by 0.01"
    )


def test_peer_that_ends_the_process_is_an_error_line_and_status_2(monkeypatch):
    monkeypatch.setattr(bench, "PEERS", peers(dead))
    done = run("bench", "--layers", "tiny_8x8x1", "--threads", "1", "--peers", "dead")
    assert done.status == 2
    where = "aotconv, dead on tiny_8x8x1 (1x8x8x1 3x3x1x1)"
    assert done.last_error == f"aotconv: error: the process that ran {where} died"


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["--layers", "tiny_8x8x1,big"], "--layers: there is no 'big'; there are seed_4x4x3x4, "),
        (["--layers", "1x8x8x1 3x3"], "--layers: '1x8x8x1 3x3': its images have 4 sizes"),
        (["--layers", "1x8x8x1 3x3x1x1 s0"], "--layers: .* s0': strides must be at least 1"),
        (["--layers", "1x8x8x1 3x3 g1 max_pool"], "--layers: .* 'g1' is no option of max_pool"),
        (["--layers", "1x8x8x1 3x3x1x1 complex64"], "--layers: .* its dtype is not timed"),
        (["--layers", "0x8x8x1 3x3x1x1"], "--layers: .* nothing to compute"),
        (
            ["--layers", "8x8 laplace s2"],
            "--layers: .* 's2' is no option of laplace",
        ),
        (["--layers", "0x8 laplace"], "--layers: .* nothing to compute"),
        (["--peers", "numba"], "--peers: there is no 'numba'; there are torch, "),
        (["--peers", "litert"], "--tflite"),
        (["--peers", "litert", "--tflite", "no/such/folder"], "--tflite"),
        (["--threads", "0"], "--threads: '0'"),
        (["--threads", "1,100000"], "--threads: '100000'"),
        (["--threads", "two"], "--threads: 'two'"),
        (["--seconds", "0"], "--seconds: 0.0"),
        (["--seconds", "nan"], "--seconds: nan"),
        (["--plot", "chart.xyz"], "--plot: the name 'chart.xyz' must end in one of .*png"),
        (["--json", "no/such/folder/file"], "cannot write 'no/such/folder/file'"),
        (["--plot", "no/such/folder/file.png"], "cannot write 'no/such/folder/file.png'"),
    ],
    ids=" ".join,
)
def test_what_the_user_can_mend_is_one_line_and_status_2(arguments, complaint):
    done = run("bench", *arguments)
    assert done.status == 2 and done.out == ""
    assert re.fullmatch(rf"aotconv: error: .*{complaint}.*\n", done.err)


@pytest.mark.parametrize("extra, arguments", [("tqdm", []), ("matplotlib", ["--plot", "a.png"])])
def test_missing_extra_is_one_line_and_status_2(extra, arguments, monkeypatch):
    monkeypatch.setitem(sys.modules, extra, None)  # as if it were not installed
    done = run("bench", *arguments)
    assert done.status == 2
    assert done.err == (
        f'aotconv: error: the benchmark needs {extra}: pip install "aotconv[demo]"\n'
    )


def test_without_kernels_there_is_nothing_to_measure():
    with aotconv.use("numpy"):
        done = run("bench")
    assert done.status == 2 and "numpy has no kernels" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dtype", "int8"],
        ["--seconds", "x"],
        ["--layer"],
        ["--board", "long"],
        ["--board", "wide", "--layers", "tiny_8x8x1"],
    ],
)
def test_wrong_arguments_are_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bench", *arguments])
    assert stop.value.code == 2
    assert "aotconv bench: error: " in capsys.readouterr().err


def test_help_names_every_peer(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert ", ".join(PEERS) in printed and f"{{{','.join(BOARDS)}}}" in printed
    assert all(word in printed for word in [*OPERATORS, *FILTERS])
    assert f"(default: {race.SECONDS}; of the sweep: {sweep.SECONDS})" in printed
