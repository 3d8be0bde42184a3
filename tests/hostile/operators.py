"""Calls of the operators beside convolution: right ones as their own tests draw them, in all forms
that are documented, some of whose arguments are garbage; and the judge of what comes of them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import test_pooling
import test_transposed
from hypothesis import strategies as st
from oracle import assert_equal_behind, eps_of, wide
from strategies import activations, integer_values, problems, ranks, real_values, seeds

import aotconv
from aotconv import gradients
from aotconv._plan.activations import CLAMPS
from aotconv.reference import (
    activation_reference,
    conv_transpose_reference,
    filter_gradient_reference,
)

from . import arguments, pieces
from .arguments import ONE, Arguments, Case, names_of
from .judge import bytes_of, warnings_are_errors
from .pieces import Maker, Piece, plain
from .right import UNSURE, WRONG, Result, worst

FORMS_OF_DTYPES = "float32", "float64", "float16", "int8", "int32"  # lists are of wider ones


# Garbage of arguments that convolutions do not have.


def without_none(garbage: list[Maker]) -> list[Maker]:
    return [make for make in garbage if make().value is not None]


def no_arrays_of_reals(case: Case) -> list[Maker]:
    """Functions of arrays take numbers, too."""
    garbage = pieces.no_arrays(case.images, free=True)
    return [make for make in garbage if make().label not in ("0-d", "a number")]


OWN_GARBAGE: dict[str, Callable[[Case], list[Maker]]] = {
    "output_padding": lambda case: without_none(pieces.no_counts(0, case.rank)),
    "output_size": lambda case: without_none(pieces.no_counts(1, case.rank)),
    "images_shape": lambda case: pieces.no_shapes(),
    "filters_shape": lambda case: pieces.no_shapes(),
    "output_gradient": lambda case: pieces.no_arrays(case.images, free=True),
    "window": lambda case: pieces.no_counts(1, case.rank),
    "ceil_mode": lambda case: pieces.no_flags(),
    "count_padding": lambda case: pieces.no_flags(),
    "return_indices": lambda case: pieces.no_flags(),
    "array": no_arrays_of_reals,
    "axis": lambda case: [*pieces.NONSENSE, *pieces.no_words()],
}


def garbage_of(name: str, case: Case) -> list[Maker]:
    if name in OWN_GARBAGE:
        return OWN_GARBAGE[name](case)
    return arguments.row_of(name).garbage(case)


# Right arguments.


class Right(NamedTuple):
    """Arguments of a call that is documented, and what it gives.

    Attributes
    ----------
    rank : int
    door : callable
    arguments : dict
        Plainly.
    expected : callable
        Of the meanings of arguments, the result or results, in any dtype.
    dtype : callable
        Of the same, the result's dtype.
    compare : callable
        ``compare(meanings, result, expected)`` asserts that they agree.
    """

    rank: int
    door: Callable[..., Any]
    arguments: dict[str, Any]
    expected: Callable[[SimpleNamespace], Any]
    dtype: Callable[[SimpleNamespace], np.dtype]
    compare: Callable[[SimpleNamespace, Any, Any], None]


def form(draw, value) -> Piece:
    """A value in one of the forms that are documented to mean it."""
    if isinstance(value, np.ndarray):
        plainly = np.array(value, value.dtype.newbyteorder("="), order="C")
        return draw(pieces.arrays(plainly))
    if isinstance(value, bool):
        return plain(draw(st.sampled_from([value, np.bool_(value)])))._replace(meaning=value)
    if isinstance(value, int):
        return draw(pieces.of_int(value))
    if isinstance(value, str):
        return draw(pieces.texts([value]))
    if isinstance(value, tuple) and value and all(isinstance(each, int) for each in value):
        return draw(pieces.of_tuple(value, or_number=False))
    return plain(value)


def common(*names: str) -> Callable[[SimpleNamespace], np.dtype]:
    """The common dtype of arguments of these names."""

    def of(m: SimpleNamespace) -> np.dtype:
        arrays = (getattr(m, name, None) for name in names)
        return np.result_type(*(each for each in arrays if each is not None))

    return of


def exactly(m: SimpleNamespace, result, expected) -> None:
    assert_equal_behind(getattr(m, "activation", None), result, expected)


def called(make: Callable[..., Any]) -> Callable[..., Any]:
    """A layer that is made and called at once."""
    of_call = names_of(make.__call__)

    def door(**given):
        call = {name: given.pop(name) for name in of_call if name in given}
        return make(**given)(**call)

    return door


def transposed(m: SimpleNamespace) -> np.ndarray:
    given = {"output_padding": None, **vars(m)}
    names = "output_padding", "dilations", "groups", "data_format", "filter_format"
    options = {name: given[name] for name in names}
    arrays = (wide(getattr(m, name, None)) for name in ("images", "filters", "bias"))
    more = wide(getattr(m, "residual", None))
    return conv_transpose_reference(*arrays, m.strides, m.padding, **options, residual=more)


@st.composite
def of_transposed(draw) -> Right:
    problem = draw(test_transposed.problems(FORMS_OF_DTYPES))
    doors = test_transposed.FUNCTIONS, test_transposed.CLASSES
    functions, layers = (each[problem.rank] for each in doors)
    given = {name: getattr(problem, name) for name in ("images", "filters", "bias", "residual")}
    door = draw(st.sampled_from([functions, called(layers)]))
    of_arrays = common("images", "filters", "bias")
    return Right(problem.rank, door, given | problem.options, transposed, of_arrays, exactly)


def image_gradient(m: SimpleNamespace) -> np.ndarray:
    if 0 in m.images_shape or 0 in m.output_gradient.shape:
        return np.zeros(m.images_shape)
    rank, first = m.filters.ndim - 2, m.data_format.startswith(("NC", "channels_first"))
    sizes = m.images_shape[-rank:] if first else m.images_shape[-1 - rank : -1]
    return conv_transpose_reference(
        wide(m.output_gradient),
        wide(m.filters),
        None,
        m.strides,
        m.padding,
        output_size=sizes,
        dilations=m.dilations,
        groups=m.groups,
        data_format=m.data_format,
        filter_format=m.filter_format,
    )


def filter_gradient(m: SimpleNamespace) -> np.ndarray:
    names = "dilations", "groups", "data_format", "filter_format"
    options = {name: getattr(m, name) for name in names}
    arrays = m.images, m.output_gradient, m.filters_shape
    return filter_gradient_reference(*arrays, m.strides, m.padding, **options)


@st.composite
def of_gradients(draw) -> Right:
    problem = draw(problems())
    shape = problem.layer().output_shape(problem.images.shape)
    rng = np.random.default_rng(draw(seeds))
    given = {"output_gradient": integer_values(rng, shape, problem.images.dtype)}
    given |= {"strides": problem.strides, "padding": problem.padding}
    names = "dilations", "groups", "data_format", "filter_format"
    given |= {name: problem.options[name] for name in names}
    if draw(st.booleans()):
        given |= {"filters": problem.filters, "images_shape": problem.images.shape}
        door, expected = "conv{}d_images", image_gradient
        dtype = common("output_gradient", "filters")
    else:
        given |= {"images": problem.images, "filters_shape": problem.filters.shape}
        door, expected = "conv{}d_filters", filter_gradient
        dtype = common("output_gradient", "images")
    door = getattr(gradients, door.format(problem.rank))
    return Right(problem.rank, door, given, expected, dtype, exactly)


def pool_of(m: SimpleNamespace) -> test_pooling.Problem:
    where = m.window, getattr(m, "strides", None), m.padding
    options = {name: getattr(m, name) for name in ("dilations", "ceil_mode", "data_format")}
    counted = getattr(m, "count_padding", False)
    return test_pooling.Problem(m.rank, m.images, where, options, counted)


def maxima(m: SimpleNamespace) -> Any:
    result, indices = pool_of(m).reference(average=False)
    return (result, indices) if m.return_indices else result


def compare_maxima(m: SimpleNamespace, result, expected) -> None:
    np.testing.assert_equal(result, expected)


def averages(m: SimpleNamespace) -> np.ndarray:
    return pool_of(m).reference(average=True)[0]


def compare_averages(m: SimpleNamespace, result, expected) -> None:
    test_pooling.assert_average(pool_of(m), result, expected)


@st.composite
def of_pools(draw) -> Right:
    numbers = (*test_pooling.FLOATS, *(each for each in test_pooling.INTEGERS if each != "bool"))
    problem = draw(test_pooling.pools(numbers))
    window, strides, padding = problem.arguments
    given = {"images": problem.images, "window": window, "strides": strides, "padding": padding}
    given |= problem.options
    if draw(st.booleans()):
        given["return_indices"] = draw(st.booleans())
        door, functions = test_pooling.MAXIMA[problem.rank], (maxima, compare_maxima)
        dtype = common("images")
    else:
        given["count_padding"] = problem.count_padding
        door, functions = test_pooling.AVERAGES[problem.rank], (averages, compare_averages)
        dtype = mean_dtype
    expected, compare = functions
    return Right(problem.rank, door, given, expected, dtype, compare)


def mean_dtype(m: SimpleNamespace) -> np.dtype:
    return np.dtype("float64") if m.images.dtype.kind in "iu" else m.images.dtype


def exp_dtype(m: SimpleNamespace) -> np.dtype:
    keeps = m.array.dtype.kind in "iu" and getattr(m, "activation", "erf") in CLAMPS
    return m.array.dtype if keeps else np.exp(m.array[:0]).dtype


def activated(m: SimpleNamespace) -> np.ndarray:
    return activation_reference(m.array.astype(np.float64), m.activation)


def erf(m: SimpleNamespace) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[np.float64])(m.array)


def softmax(m: SimpleNamespace) -> np.ndarray:
    array = m.array.astype(np.float64)
    e = np.exp(array - array.max(m.axis, keepdims=True, initial=-np.inf))
    return e / e.sum(m.axis, keepdims=True)


def nearly(m: SimpleNamespace, result, expected) -> None:
    eps = 0 if result.dtype.kind in "iu" else eps_of(result.dtype)  # which are kept, or clamped
    bound = 8 * eps * (np.abs(m.array.astype(np.float64)) + 1)
    assert (np.abs(result - expected) <= bound).all()


@st.composite
def of_functions(draw) -> Right:
    shape = tuple(draw(st.lists(st.integers(0, 6), min_size=1, max_size=4)))
    dtype, rng = draw(st.sampled_from(FORMS_OF_DTYPES)), np.random.default_rng(draw(seeds))
    values = integer_values if np.dtype(dtype).kind == "i" else real_values
    given: dict[str, Any] = {"array": values(rng, shape, dtype)}
    door = draw(st.sampled_from([aotconv.activate, aotconv.erf, aotconv.softmax]))
    expected = {aotconv.activate: activated, aotconv.erf: erf, aotconv.softmax: softmax}[door]
    if door is aotconv.activate:
        given["activation"] = draw(activations)
    if door is aotconv.softmax:
        given["axis"] = draw(st.integers(-len(shape), len(shape) - 1))
    return Right(draw(ranks), door, given, expected, exp_dtype, nearly)


# Calls.


DOORS = [  # that are drawn
    *test_transposed.FUNCTIONS.values(),
    *test_transposed.CLASSES.values(),
    *(getattr(gradients, name) for name in gradients.__all__),
    *test_pooling.DOORS,
    *(aotconv.activate, aotconv.erf, aotconv.softmax),
]


class Call(NamedTuple):
    right: Right
    arguments: Arguments  # some of them garbage, perhaps
    expected: Any  # of those that were right
    dtype: np.dtype

    def __str__(self) -> str:
        door = getattr(self.right.door, "__name__", "a layer")
        return f"{door}: {self.arguments}"


def case_of(right: Right, result: np.ndarray) -> Case:
    """What garbage is made like."""
    given, one = right.arguments, ONE[right.rank]
    arrays = (given.get(name) for name in ("images", "output_gradient", "array"))
    images = next(each for each in arrays if each is not None)
    filters, first = given.get("filters", one), given.get("filter_format", "")[:1] == "O"
    last = np.moveaxis(filters, (1, 0), (-2, -1)) if first else filters
    rng = np.random.default_rng(0)
    case = LikeResult(None, rng, right.rank, last, 1, np.asarray(images), outputs_first=first)
    case.of_result = result
    return case


class LikeResult(Case):
    """A case that knows its result."""

    of_result: np.ndarray

    @property
    def ones(self) -> np.ndarray:
        return self.of_result


def right_call(draw, right: Right):
    """Right arguments in some form, what they mean, and what is right of them."""
    given = Arguments(right.rank)
    for name, value in right.arguments.items():
        given[name] = form(draw, value)
    meaning = given.meaning
    with np.errstate(all="ignore"):
        return given, meaning, right.expected(meaning)


@st.composite
def calls(draw) -> Call:
    """A call of a door; none, one or several of its arguments are garbage."""
    right = draw(st.one_of(of_transposed(), of_gradients(), of_pools(), of_functions()))
    given, meaning, expected = right_call(draw, right)
    first = expected[0] if isinstance(expected, tuple) else expected
    found = Result(first.shape, (), (), 0, np.dtype(right.dtype(meaning)).newbyteorder("="))
    images = given.get("images", plain(None))
    given["out"] = draw(st.one_of(st.just(plain(None)), pieces.outs(found, images)))
    given["threads"] = draw(st.one_of(st.just(plain(None)), arguments.NUMBERS_OF_THREADS))

    case = case_of(right, np.ones(found.shape, found.dtype))
    for name in draw(st.lists(st.sampled_from([*given]), unique=True, max_size=3)):
        piece = draw(pieces.fresh(garbage_of(name, case)))
        if name == "strides" and piece.value is None and "window" in given:
            continue  # a pool's windows lie side by side then
        if name == "padding" and right.expected is transposed and piece.meaning is WRONG:
            piece = piece._replace(meaning=UNSURE)  # less than nothing extends a result
        given[name] = piece
    return Call(right, given, expected, found.dtype)


def assert_names_an_argument(error: Exception, given: Arguments) -> None:
    """The message names an argument: the wrong one, if all the others are right."""
    message = str(error)
    named = [name for name in given if re.search(rf"\b{name}\b", message)]
    assert named or "the result would be" in message, message
    wrong = [name for name, each in given.items() if each.meaning is WRONG]
    if len(wrong) == 1 and not any(each.meaning is UNSURE for each in given.values()):
        assert wrong[0] in named, (wrong, message)


def judge(call: Call) -> str:
    """Make a call; assert that what comes of it is documented."""
    given = call.arguments
    verdict = worst(each.meaning for each in given.values())
    out = given.get("out", plain(None))
    inputs = [each for name, each in given.items() if name != "out"]
    before, inputs_before = bytes_of(given.values()), bytes_of(inputs)
    overlaps = out.label == "out overlaps images"
    shared = np.ndarray.view(out.value, np.ndarray).copy() if overlaps else None
    try:
        with warnings_are_errors():
            result = call.right.door(**given.given)
    except (TypeError, ValueError) as error:
        assert verdict is not None, f"refused what is documented: {error!r:.300}"
        assert_names_an_argument(error, given)
        assert bytes_of(given.values()) == before, "written before it was refused"
        if overlaps:
            np.testing.assert_array_equal(np.ndarray.view(out.value, np.ndarray), shared)
        return type(error).__name__
    assert verdict is not WRONG, f"accepted what is wrong: {call}"
    first = result[0] if isinstance(result, tuple) else result
    assert type(first) is np.ndarray if out.value is None else first is out.value
    assert overlaps or bytes_of(inputs) == inputs_before
    if verdict is None:
        plainly = np.ndarray.view(first, np.ndarray)
        assert plainly.dtype == call.dtype
        results = (plainly, *result[1:]) if isinstance(result, tuple) else plainly
        call.right.compare(given.meaning, results, call.expected)
    return "right"
