"""Filters whose arguments said the same before are not made again: nobody can tell, but by the time
that they take."""

from __future__ import annotations

import copy
import itertools
import tracemalloc

import numpy as np
import pytest
from conftest import AOT_LEVELS
from hypothesis import given
from hypothesis import strategies as st
from kept import forget
from oracle import assert_same_bits

import aotconv
from aotconv import ndimage
from aotconv._core import filter_call, frozen
from aotconv._core.asked import Asked
from aotconv._core.repeat import _has_gil

IMAGE = np.random.default_rng(1).standard_normal((9, 7)).astype(np.float32)
# Calls of each way in which arguments are given.
CALLS: dict[str, tuple[str, tuple, dict]] = {
    "nested lists": ("correlate", ([[1, 2], [3.0, 4]],), {"mode": ("wrap", "mirror")}),
    "an array": ("convolve", (np.eye(3),), {}),
    "a tuple": ("correlate1d", ((1, 0.0, -1),), {"axis": np.int64(0)}),
    "lists and arrays": ("correlate_separable", ([[1, 2], np.ones(3)],), {}),
    "sequences": ("uniform_filter", ((3, 2),), {"origin": [1, -1]}),
    "NumPy's number": ("gaussian_filter", (np.float64(1.5),), {"dtype": float}),
    "a dtype": ("sobel", (), {"dtype": np.dtype(np.float64)}),
    "words": ("laplace", (), {"mode": "wrap", "threads": 1}),
    "keywords": ("gaussian_laplace", (1,), {"truncate": 2}),
    "a magnitude": ("gaussian_gradient_magnitude", (1,), {}),
    "missing elements": ("uniform_filter1d", (3,), {"nan_policy": "omit"}),
    "transforms": ("correlate", (np.ones((2, 2)),), {"algorithm": "fft"}),
    "complex weights": ("correlate1d", ([1j, 2],), {}),
}


def filtered(name: str, array: np.ndarray, **more) -> np.ndarray:
    function, arguments, options = CALLS[name]
    return getattr(ndimage, function)(array, *arguments, **options, **more)


@pytest.fixture(autouse=True)
def _forgotten():
    forget()


@pytest.fixture
def made(monkeypatch) -> list[tuple]:
    """The arguments of filters that are made."""
    met: list[tuple] = []
    of = Asked.of
    monkeypatch.setattr(Asked, "of", lambda *told: met.append(told) or of(*told))
    return met


@pytest.mark.parametrize("name", CALLS)
def test_a_filter_is_made_once_for_arrays_of_a_rank_and_a_dtype(made, name):
    for array in (IMAGE, IMAGE + 1, IMAGE[::2, ::-1], IMAGE[:2], IMAGE.astype(np.float64)):
        for output in (None, np.float64, np.empty(array.shape)):
            filtered(name, array, output=None if name == "complex weights" else output)
    assert len(made) == 2


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_what_the_user_changes_in_weights_is_seen(kind):
    rows = [[1.0, 2.0], [3.0, 4.0]]
    held = kind([kind(row) for row in rows])
    first = ndimage.correlate(IMAGE, held)
    if kind is tuple:
        held = (*held[:1], (3.0, 5.0))
    else:
        held[1][1] = 5.0
    changed = ndimage.correlate(IMAGE, held)
    assert_same_bits(changed, ndimage.correlate(IMAGE, np.array([[1, 2], [3, 5.0]])))
    assert (changed != first).any()
    assert_same_bits(ndimage.correlate(IMAGE, kind([kind(row) for row in rows])), first)


def test_weights_that_another_thread_changes_meanwhile_are_known_as_those_that_were_used(
    monkeypatch,
):
    weights, others = np.array([1.0, 2, 4]), [9.0, 8, 7]
    ndimage.correlate1d(IMAGE, others)
    with monkeypatch.context() as patch:

        def changed(told):
            weights[:] = others
            return copied(told)

        copied = copy.deepcopy
        patch.setattr(copy, "deepcopy", changed)  # between a look at weights and their copy
        ndimage.correlate1d(IMAGE, weights)
    weights[:] = [1, 2, 4]
    there = ndimage.correlate1d(IMAGE, weights)
    assert_same_bits(there, ndimage.correlate1d(IMAGE, [1, 2, 4]))


ALIKE = [
    [1, 1.0, True, np.float64(1), np.int64(1), "1", 1 + 0j],
    [[0.0, 1.0], [-0.0, 1.0], [0, 1], (0.0, 1.0), [False, True], np.array([0.0, 1]), [[0.0, 1.0]]],
    # Of the same bytes.
    [np.array([0.0, 1]), np.array([0.0, 1]).view(np.int64), np.array([[0.0], [1]])],
    [None, np.float64, np.dtype(np.float64), "float64", float],
]


@pytest.mark.parametrize("alike", ALIKE, ids=str)
def test_arguments_that_are_no_more_than_equal_are_told_apart(alike):
    keys = [frozen.arguments((each,)) for each in alike]
    assert None not in keys
    for (i, one), (j, other) in itertools.product(enumerate(keys), repeat=2):
        assert (one == other) == (i == j)


class Changing(int):
    """An integer whose meaning may change."""


CHANGING = [
    Changing(3),
    [1, Changing(3)],
    np.array([1, None]),
    np.ma.array([1.0]),
    type("Float", (float,), {}),
    [[[[1]]]],
    list(range(100)),
    np.ones(1 << 15),
    {"radius": 1},
    iter([1]),
]


@pytest.mark.parametrize("argument", CHANGING, ids=lambda each: type(each).__name__)
def test_nothing_is_kept_for_what_may_change_or_is_large(argument):
    assert frozen.arguments((1, argument)) is None


def test_only_what_never_changes_is_known_by_being_the_same_object():
    for argument in (1, -0.0, "wrap", None, 1j, np.float64(2), float, np.dtype("f4"), ((1, 2), 3)):
        assert frozen.never_changes(argument)
    for argument in (*CHANGING, np.ones(3), [1], ([1],), (Changing(1),), ((((1,),),),)):
        assert not frozen.never_changes(argument)


def test_lists_that_hold_themselves_are_refused_as_ever():
    held: list = []
    held.append(held)
    assert frozen.arguments((held,)) is None
    for _ in range(2):
        with pytest.raises((TypeError, ValueError), match="weights"):
            ndimage.correlate(IMAGE, held)


def test_what_is_refused_is_refused_again():
    ndimage.uniform_filter1d(IMAGE, 3)
    for _ in range(2):
        with pytest.raises(TypeError, match="size"):
            ndimage.uniform_filter1d(IMAGE, 3.0)
        with pytest.raises(ValueError, match="mode"):
            ndimage.uniform_filter1d(IMAGE, 3, mode="edge")
    assert len(filter_call._filters) == 1


def test_few_filters_are_kept(made):
    for sigma in np.linspace(0.5, 2, 300).tolist():
        ndimage.gaussian_filter1d(IMAGE, sigma)
    assert len(made) == 300
    assert len(filter_call._filters) <= 64


@pytest.mark.skipif(not AOT_LEVELS or not _has_gil(), reason="calls are known by compiled modules")
@pytest.mark.parametrize("threads", [None, 1, 2])
@pytest.mark.parametrize("shape", [(9, 7), (300, 301)])
def test_a_call_with_the_very_arguments_asks_python_for_next_to_nothing(
    monkeypatch, shape, threads
):
    asked: list[int] = []
    said = frozen.arguments
    monkeypatch.setattr(frozen, "arguments", lambda told: asked.append(1) or said(told))
    image, weights, sizes = np.ones(shape, np.float32), np.ones((3, 3)), (3, 5)
    for count in range(1, 6):
        for output in (None, np.empty(shape, np.float32), np.empty(shape)):
            array = image + count
            ndimage.correlate(array, weights, output, threads=threads)
            ndimage.uniform_filter(array, sizes, output, threads=threads)
            ndimage.sobel(array, 1, output, threads=threads)
    before = len(asked)
    ndimage.correlate(image, weights, threads=threads)
    ndimage.uniform_filter(image, sizes, threads=threads)
    ndimage.sobel(image, 1, threads=threads)
    again = len(asked)
    assert again == before + (0 if threads != 2 else 3)
    weights[1, 1] = 2
    assert (ndimage.correlate(image, weights, threads=threads) == 10).all()
    assert len(asked) > again


def test_calls_that_mean_the_same_are_told_apart_by_what_they_were_given():
    weights, flipped = np.array([1.0, 2, 4]), np.array([4.0, 2, 1])
    for _ in range(5):
        there = ndimage.correlate1d(IMAGE, weights)
        assert_same_bits(ndimage.convolve1d(IMAGE, flipped), there)
    flipped[...] = weights
    assert_same_bits(ndimage.convolve1d(IMAGE, flipped), ndimage.correlate1d(IMAGE, [4, 2, 1]))


@pytest.mark.parametrize("shape", [(9, 7), (300, 301)])
def test_a_new_result_has_the_dtype_that_follows_from_the_array_whatever_was_given_before(shape):
    narrow, wide = np.ones(shape, np.float32), np.ones(shape)
    for _ in range(5):
        ndimage.sobel(narrow, output=np.empty(shape))
        ndimage.sobel(narrow, output=np.float64)
        assert ndimage.sobel(wide).dtype == np.float64
        assert ndimage.sobel(narrow).dtype == np.float32
        assert ndimage.sobel(narrow, output=np.int16).dtype == np.int16


def test_equal_dtypes_are_told_apart_in_results():
    with_metadata = np.dtype(np.float32, metadata={"unit": "m"})
    for letter in "qlql":
        given = ndimage.sobel(IMAGE.astype(np.int64), output=np.dtype(letter))
        assert given.dtype.char == np.dtype(letter).char
        made = ndimage.sobel(IMAGE.astype(letter))
        assert made.dtype.char == np.dtype(letter).char
    for _ in range(3):
        assert ndimage.sobel(IMAGE.astype(with_metadata)).dtype.metadata == {"unit": "m"}
        assert ndimage.sobel(IMAGE, output=with_metadata).dtype.metadata == {"unit": "m"}
        assert ndimage.sobel(IMAGE).dtype.metadata is None


def test_a_known_call_of_a_large_image_takes_no_memory_of_a_small_one():
    large, small = np.ones((1500, 1500), np.float32), np.ones((3, 3), np.float32)
    for _ in range(3):
        ndimage.uniform_filter(large, 3, threads=1)
    ndimage.uniform_filter(small, 3, threads=1)
    tracemalloc.start()
    try:
        ndimage.uniform_filter(small, 3, threads=1)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < large.nbytes // 8


def test_a_known_filter_is_computed_by_what_use_says():
    for _ in range(3):
        ndimage.gaussian_filter(IMAGE, 1)
    with aotconv.use("numpy"):
        by_numpy = [ndimage.gaussian_filter(IMAGE, 1) for _ in range(3)]
        forget()
        assert_same_bits(by_numpy[-1], ndimage.gaussian_filter(IMAGE, 1))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(CALLS)),
            st.sampled_from(["float32", "float64", "uint8", "bool", "complex64", ">f4"]),
            st.sampled_from([(5, 6), (1, 1), (0, 3), (40, 30)]),
            st.sampled_from([None, "float64", "complex128", "other array", "same array"]),
        ),
        min_size=2,
        max_size=12,
    )
)
def test_what_was_called_before_changes_no_result(calls):
    def computed(name, dtype, shape, output) -> np.ndarray | str:
        array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
        given = {"other array": np.zeros_like(array), "same array": array}.get(output, output)
        try:
            return filtered(name, array, output=given)
        except (TypeError, ValueError) as error:
            return str(error)

    forget()
    behind_others = [computed(*each) for each in calls]
    for call, result in zip(calls, behind_others, strict=True):
        forget()
        alone = computed(*call)
        if isinstance(result, str):
            assert alone == result
        else:
            assert (alone.dtype, alone.tobytes()) == (result.dtype, result.tobytes())
