"""Calls that compiled code knows again: nobody can tell, but by the time that they take."""

from __future__ import annotations

import os
import pickle
import sys
import threading

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import AOT_LEVELS
from hypothesis import given
from kept import forget
from processes import WATCHED, output_of

import aotconv
from aotconv._core import ladder, threads
from aotconv._core.operator import Operator
from aotconv._core.repeat import _are_arrays_as_expected, _has_gil
from aotconv.reference import conv_reference

pytestmark = pytest.mark.skipif(
    not AOT_LEVELS or not _has_gil(), reason="calls are known by compiled modules, under the GIL"
)
TIMES = 4  # until a call of a function is known


def drawn(shape, dtype="float32"):
    """Small whole numbers: what is computed of them is exact."""
    rng = np.random.default_rng(sum(shape))
    return rng.integers(-4, 5, shape).astype(dtype)


@pytest.fixture(autouse=True)
def _forgotten():
    forget()


@pytest.fixture
def python_checks(monkeypatch):
    """How often Python checked a call."""
    checks = []
    apply = Operator.apply

    def counted(*args):
        checks.append(1)
        return apply(*args)

    monkeypatch.setattr(Operator, "apply", counted)
    return checks


def test_numpys_arrays_are_as_compiled_code_expects():
    assert _are_arrays_as_expected()


@pytest.mark.parametrize("given_out", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int16", "complex64"])
def test_a_layers_third_call_is_known(python_checks, dtype, given_out):
    layer = aotconv.Conv2D(drawn((3, 3, 2, 4), dtype), padding="same", bias=drawn((4,), dtype))
    out = np.empty((2, 6, 7, 4), dtype) if given_out else None
    for i in range(TIMES):
        images = drawn((2, 6, 7, 2), dtype) + i
        expected = conv_reference(images, layer.filters, layer.bias, padding="same")
        result = layer(images, out)
        assert (result == expected).all() and result.dtype == dtype
        assert out is None or result is out
    assert len(python_checks) == 2


@pytest.mark.parametrize("given_out", [False, True])
def test_a_longer_call_is_known_and_shared_among_as_many_threads_as_are_allowed_now(
    python_checks, monkeypatch, given_out
):
    shared, share = [], threads.share
    monkeypatch.setattr(threads, "share", lambda *told: shared.append(1) or share(*told))
    layer, images = aotconv.Conv2D(drawn((3, 3, 8, 8)), padding="same"), drawn((1, 99, 98, 8))
    out = np.empty((1, 99, 98, 8), np.float32) if given_out else None
    expected = conv_reference(images, layer.filters, padding="same")
    for _ in range(TIMES):
        result = layer(images, out)
        assert (result == expected).all()
        assert out is None or result is out
    assert (len(python_checks), len(shared)) == (2, TIMES)
    alone = aotconv.Conv2D(layer.filters, padding="same", threads=1)
    for _ in range(TIMES):
        assert (alone(images, out) == expected).all()
    assert (len(python_checks), len(shared)) == (4, TIMES)
    assert (alone(images, out, threads=2) == expected).all()
    assert (len(python_checks), len(shared)) == (5, TIMES)


class Subclass(np.ndarray):
    """What may change as it is looked at."""


@pytest.mark.parametrize("other", [np.memmap, Subclass, list, None])
def test_what_is_no_plain_array_is_checked_by_python_though_a_longer_call_is_known(
    python_checks, other
):
    layer, images = aotconv.Conv2D(drawn((3, 3, 8, 8)), padding="same"), drawn((1, 99, 98, 8))
    for _ in range(TIMES):
        expected = layer(images)
    assert len(python_checks) == 2
    if other is None:
        with pytest.raises(TypeError, match="images"):
            layer(None)
    elif other is list:
        assert (layer(images.tolist()) == expected).all()
    else:
        out = np.zeros_like(images)
        assert (layer(images, out.view(other)) == expected).all() and (out == expected).all()
        assert (layer(images.view(other)) == expected).all()
    assert len(python_checks) > 2


DOORS = {
    1: (aotconv.conv1d, (2, 9, 3), (3, 3, 4)),
    2: (aotconv.conv2d, (2, 6, 7, 2), (3, 3, 2, 4)),
    3: (aotconv.conv3d, (1, 4, 5, 6, 2), (2, 2, 2, 2, 3)),
}


@pytest.mark.parametrize("rank", DOORS)
@pytest.mark.parametrize("oi", [False, True], ids=["filters last", "filters first"])
def test_a_functions_third_call_is_known_and_sees_what_its_arrays_hold(python_checks, rank, oi):
    convolve, shape, kernel = DOORS[rank]
    filters, bias = drawn(kernel), drawn(kernel[-1:])
    options = {"padding": "same", "strides": (2,) * rank}
    own, told = filters, {}
    if oi:
        own = np.ascontiguousarray(np.moveaxis(filters, (-1, -2), (0, 1)))
        told = {"filter_format": "OI" + {1: "W", 2: "HW", 3: "DHW"}[rank]}

    def is_right(images):
        seen = np.moveaxis(own, (0, 1), (-1, -2)) if oi else own
        result = convolve(images, own, bias, **options, **told)
        return (result == conv_reference(images, seen, bias, **options)).all()

    for i in range(TIMES):
        assert is_right(drawn(shape) + i)
    assert len(python_checks) == 2
    own[..., 0] += 1
    assert is_right(drawn(shape)) and len(python_checks) == 3
    bias += 1
    assert is_right(drawn(shape)) and len(python_checks) == 4
    own[..., 0] -= 1
    bias -= 1
    assert is_right(drawn(shape)) and len(python_checks) == 4


class OneOf(int):
    """An integer that is another object."""


# What may stand in the place of an argument of a known call.
ARGUMENTS = {
    "strides": [1, True, 1.0, (1, 1), [1, 1], OneOf(1), 2, "1", None, np.int64(1)],
    "padding": ["same", "SAME", "valid", 1, ((1, 1), (1, 1)), 1.0, None, "same "],
    "padding_mode": ["constant", "zeros", "edge", ("constant",)],
    "padding_value": [0, 0.0, False, 1, -0.0, 1.5, 1j],
    "dilations": [1, True, (1, 1), 2, [1, 1]],
    "groups": [1, True, 1.0, 2, OneOf(1)],
    "data_format": ["NHWC", "channels_last", "NCHW", "NDHWC"],
    "filter_format": ["HWIO", "OIHW", "WIO"],
    "activation": [
        None,
        "relu",
        "tanh",
        "leaky_relu",
        ("leaky_relu", 0.5),
        ["leaky_relu", 0.5],
        "h",
    ],
    "dtype": [None, "float32"],
    "saturate": [False, 0, True, None],
    "algorithm": ["auto", "winograd", "fft", "fastest", "fast"],
    "threads": [None, 1, 2, True, 0],
}


def fresh(name, array):
    """Arrays that may stand in the place of one."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    read_only = array.copy()
    read_only.flags.writeable = False
    unaligned = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    others = [
        array,
        array.copy(),
        array.copy()[:],
        array.copy()[::-1],
        wide[..., ::2],
        read_only,
        unaligned,
        np.asfortranarray(array),
        array.astype("float64"),
        array.astype(">f4"),
        array[:1],
        array[np.newaxis],
        array.view(np.memmap),
        np.ma.masked_array(array),
        array.tolist(),
        None,
        3,
    ]
    return others if name != "out" else [*others, array.astype("int32")]


ARRAYS = ("images", "filters", "bias", "out", "residual")


@st.composite
def calls(draw):
    """Arguments of which one or two are others than those of the known call: (name, which)."""
    names = draw(st.lists(st.sampled_from([*ARGUMENTS, *ARRAYS]), max_size=2, unique=True))
    return [(name, draw(st.integers(0, 20))) for name in names]


KNOWN = {
    "images": drawn((2, 5, 6, 2)),
    "filters": drawn((3, 3, 2, 2)),
    "bias": drawn((2,)),
    "out": np.empty((2, 5, 6, 2), np.float32),
    "padding": "same",
    "strides": 1,
}


def outcome(arguments):
    """What a call gives: its result, or its error; and `out` after it."""
    out = arguments.get("out")
    if isinstance(out, np.ndarray) and out.flags.writeable:
        out.fill(99)
    try:
        result = aotconv.conv2d(**arguments)
    except (TypeError, ValueError) as error:
        return type(error), str(error)
    return result.dtype, result.shape, result.tolist(), result is out


@given(calls(), st.booleans())
def test_a_call_that_differs_anyhow_from_a_known_one_gives_what_it_gives_in_a_new_process(
    changes, given_out
):
    known = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in KNOWN.items()}
    if not given_out:
        known["out"] = None
    for _ in range(TIMES):
        aotconv.conv2d(**known)
    changed = dict(known)
    for name, which in changes:
        if name in ARRAYS:
            array = known["images"].copy() if known.get(name) is None else known[name]
            choices = fresh(name, array)
        else:
            choices = ARGUMENTS[name]
        changed[name] = choices[which % len(choices)]
    found = outcome(changed)
    forget()
    assert found == outcome(changed)


@pytest.mark.parametrize("rank", [1, 3])
def test_filters_of_another_rank_are_refused_though_a_call_with_them_is_known(rank):
    told = {"filter_format": "HWIO", "data_format": "channels_last", "padding": "same"}
    for _ in range(TIMES):
        aotconv.conv2d(KNOWN["images"], KNOWN["filters"], **told)
    with pytest.raises(ValueError, match="filter_format must be one of"):
        {1: aotconv.conv1d, 3: aotconv.conv3d}[rank](KNOWN["images"], KNOWN["filters"], **told)


def overlapping():
    """Pairs of images and out in one memory, and whether they share some of it."""
    size = 2 * 5 * 6 * 2
    memory = np.zeros(3 * size, np.float32)
    for shift in (0, 1, size // 2, size - 1, size, size + 1):
        for first in (0, size):
            yield memory, slice(first, first + size), slice(shift, shift + size)


@pytest.mark.parametrize("call", ["layer", "function"])
def test_out_may_overlap_images_of_a_known_call(call):
    layer = aotconv.Conv2D(KNOWN["filters"], padding="same")
    convolve = layer if call == "layer" else None
    for memory, at, to in overlapping():
        for _ in range(TIMES):
            memory[:] = drawn(memory.shape)
            images, out = (memory[each].reshape(2, 5, 6, 2) for each in (at, to))
            expected = conv_reference(images.copy(), KNOWN["filters"], padding="same")
            if convolve:
                convolve(images, out)
            else:
                aotconv.conv2d(images, KNOWN["filters"], padding="same", out=out)
            assert (out == expected).all()
            apart = np.empty_like(out)
            layer(images.copy(), apart)  # is known from the third time on


def test_images_that_lie_backwards_are_known_by_all_their_memory(python_checks):
    layer = aotconv.Conv2D(KNOWN["filters"], padding="same")
    memory = np.zeros((6, 5, 6, 2), np.float32)
    for first in (3, 2, 1):  # images at 3, 2; at 2, 1; at 1, 0; out at 0 and 1
        for _ in range(TIMES):
            memory[:] = drawn(memory.shape)
            images, out = memory[first : (first - 2 if first > 1 else None) : -1], memory[:2]
            expected = conv_reference(images.copy(), KNOWN["filters"], padding="same")
            layer(images, out)
            assert (out == expected).all()


def test_what_use_says_holds_for_known_calls():
    layer, names = aotconv.Conv2D(KNOWN["filters"]), [*AOT_LEVELS, "numpy"]
    expected = conv_reference(KNOWN["images"], KNOWN["filters"])
    computed = []
    for name in names * TIMES:
        with aotconv.use(name):
            assert (layer(KNOWN["images"]) == expected).all()
            computed.append(ladder.forced() in layer._operator._repeat)
            assert (aotconv.conv2d(KNOWN["images"], KNOWN["filters"]) == expected).all()
    assert all(computed[-len(names) :])


def test_a_pickled_layer_knows_nothing_and_computes():
    layer = aotconv.Conv2D(KNOWN["filters"])
    for _ in range(TIMES):
        expected = layer(KNOWN["images"])
    again = pickle.loads(pickle.dumps(layer))
    assert not again._operator._last and not again._operator._repeat
    for _ in range(TIMES):
        assert (again(KNOWN["images"]) == expected).all()


def test_layouts_by_turns_are_right():
    layer = aotconv.Conv2D(KNOWN["filters"], padding="same")
    for size in [5, 6, 7] * TIMES:
        images = drawn((1, size, size, 2))
        assert (layer(images) == conv_reference(images, KNOWN["filters"], padding="same")).all()


def test_many_threads_compute_one_known_call():
    layer, wrong = aotconv.Conv2D(KNOWN["filters"]), []
    expected = conv_reference(KNOWN["images"], KNOWN["filters"])

    def work():
        out = np.empty(expected.shape, np.float32)
        for _ in range(500):
            out.fill(0)
            if (layer(KNOWN["images"], out) != expected).any():
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert not wrong


def test_known_calls_leave_as_many_owners_of_arrays_as_there_were():
    layer, out = aotconv.Conv2D(KNOWN["filters"], padding="same"), np.empty((2, 5, 6, 2), "f4")
    for _ in range(TIMES):
        layer(KNOWN["images"], out)
    arrays = KNOWN["images"], out
    before = [sys.getrefcount(each) for each in arrays]
    for _ in range(1000):
        layer(KNOWN["images"], out)
    assert [sys.getrefcount(each) for each in arrays] == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_while_a_known_call_runs_knows_calls_too():
    code = f"""{WATCHED}
import os, sys, threading, warnings, numpy as np, aotconv
from aotconv._core.repeat import _scratch
warnings.simplefilter("ignore")
layer = aotconv.Conv2D(np.ones((3, 3, 1, 1), "f4"))
images = np.ones((1, 9, 9, 1), "f4")
for _ in range(4):
    layer(images)
_scratch()[0] = 1  # as while a thread computes
assert layer._operator.repeated(images, None) is None and (layer(images) == 9).all()
child = os.fork()
if child == 0:
    os._exit(0 if (layer._operator.repeated(images, None) == 9).all() else 1)
print(os.waitpid(child, 0)[1])
"""
    assert output_of(code) == "0"
