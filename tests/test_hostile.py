"""Garbage for every argument: each call gives the right result, a TypeError or a ValueError; never
a crash, a hang, or a result half written.

The cases run in a process of their own, which notes each before it begins, ends itself where one
takes too long, and has little memory to waste.  ``python tests/test_hostile.py CASES SEED NOTES``
is that process.
"""

from __future__ import annotations

import collections
import copy
import faulthandler
import inspect
import itertools
import json
import os
import pickle
import resource
import subprocess
import sys
import time
import tracemalloc
import warnings
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from conftest import AVAILABLE
from hostile import arguments, lies, operators, pieces, right, signals
from hostile.arguments import ARGUMENTS, CALL, DOORS, LAYER, ONE, Case, convolved
from hostile.judge import LIMIT, judge, warnings_are_errors
from hostile.right import UNSURE, WRONG
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test

import aotconv
from aotconv._core.check import MOST_ITEMS
from aotconv._tools.problem import CLASSES, FUNCTIONS

SECONDS_OF_A_CASE = 60
SECONDS_OF_A_COMPILED_CASE = 600  # the JIT rung may compile the largest kernel on a busy CPU
SECONDS_OF_SHRINKING = 300  # Hypothesis' own limit, after which it tells what it found
STEPS, CALLS, OPERATIONS = 25, 3, 8

counts: collections.Counter[str] = collections.Counter()
notes = os.open(os.devnull, os.O_WRONLY)
watched_until = 0.0


def note(case: str, rung: str = "") -> None:
    """Say which case begins, for whoever finds this process dead; and end it if the case hangs."""
    global watched_until
    seconds = SECONDS_OF_A_COMPILED_CASE if rung == "jit" else SECONDS_OF_A_CASE
    end = time.monotonic() + seconds
    if abs(end - watched_until) > 5:  # a watch is a thread, which takes longer than a case
        watched_until = end
        faulthandler.dump_traceback_later(seconds, exit=True)
    text = f"case {judged()}: {case}\n".encode()
    os.pwrite(notes, text, 0)
    os.ftruncate(notes, len(text))


def judged() -> int:
    """How many cases came to an outcome."""
    return sum(counts.values()) - counts["skipped"] - counts["operators"]


def refusal(compute, expected, *names: str) -> Exception | None:
    """The TypeError or ValueError of ``compute()``, whose message names one of some arguments."""
    try:
        with warnings_are_errors():
            compute()
    except (TypeError, ValueError) as error:
        assert expected in (WRONG, UNSURE), f"refused what is documented: {error!r:.300}"
        assert any(name in str(error) for name in names), error
        counts[type(error).__name__] += 1
        return error
    assert expected is not WRONG, "accepted what is wrong"
    counts["right"] += 1
    return None


class Hostile(RuleBasedStateMachine):
    """Layers made and called with garbage in any order, on any implementation."""

    rungs = tuple(name for name in AVAILABLE if name != "jit")
    layers = Bundle("layers")

    def __init__(self):
        super().__init__()
        self.rung = self.rungs[0]

    def teardown(self):
        aotconv.set_num_threads(None)
        faulthandler.cancel_dump_traceback_later()

    @rule(data=st.data())
    def choose(self, data):
        self.rung = data.draw(st.sampled_from(self.rungs))

    def judge(self, layer, call, compute, what):
        note(f"{what} on {self.rung}: {layer}; {call}", self.rung)
        with aotconv.use(self.rung):
            counts[judge(layer, call, compute)] += 1

    def convolve_once(self, layer, call):
        self.judge(layer, call, lambda: convolved(layer, call), "a function")

    @rule(data=st.data())
    def convolve(self, data):
        for _ in range(CALLS):
            layer = data.draw(arguments.layers())
            self.convolve_once(layer, data.draw(arguments.calls(layer)))

    @rule(data=st.data())
    def operate(self, data):
        for _ in range(OPERATIONS):
            call = data.draw(st.one_of(operators.calls(), signals.calls()))
            note(f"{self.rung}: {call}", self.rung)
            with aotconv.use(self.rung):
                counts[operators.judge(call)] += 1
                counts["operators"] += 1

    @rule(target=layers, data=st.data())
    def make(self, data):
        layer = data.draw(arguments.layers())
        note(f"a layer: {layer}")
        made, expected = [], right.layer_of(layer.meaning)
        refusal(lambda: made.append(CLASSES[layer.rank](**layer.given)), expected, *LAYER)
        return hypothesis.stateful.multiple() if expected else (layer, *made)

    @rule(kept=layers, data=st.data())
    def call(self, kept, data):
        layer, made = kept
        for _ in range(CALLS):
            call = data.draw(arguments.calls(layer))
            self.judge(layer, call, lambda call=call: made(**call.given), "a call")

    @rule(kept=layers, data=st.data())
    def ask_for_the_shape(self, kept, data):
        layer, made = kept
        shape = data.draw(arguments.shapes(layer))
        expected = right.shape_of(layer.meaning, shape.meaning)
        note(f"output_shape: {layer}; shape={shape.label}")
        got, names = [], ["shape", "images", "filters", "the result would be"]
        if not refusal(lambda: got.append(made.output_shape(shape.value)), expected, *names):
            assert expected is UNSURE or got == [expected]

    @rule(target=layers, kept=layers, how=st.sampled_from(["pickle", "copy", "deepcopy"]))
    def copy_a_layer(self, kept, how):
        layer, made = kept
        note(f"{how}: {layer}")
        counts["right"] += 1
        assert repr(made).startswith(f"Conv{layer.rank}D(filters (")
        if how == "pickle":
            return layer, pickle.loads(pickle.dumps(made))
        return layer, getattr(copy, how)(made)

    @rule(data=st.data())
    def set_threads(self, data):
        wrong = pieces.fresh(pieces.no_ints(1, or_none=True))
        number = data.draw(st.one_of(wrong, pieces.of_int(2), st.just(pieces.plain(None))))
        note(f"set_num_threads: {number.label}")
        refusal(lambda: aotconv.set_num_threads(number.value), number.meaning, "threads")

    @rule(data=st.data())
    def use_an_implementation(self, data):
        rung = pieces.texts([*self.rungs])
        name = data.draw(st.one_of(rung, rung, rung, pieces.fresh(pieces.no_choices())))
        note(f"use: {name.label}")

        def compute():
            with aotconv.use(name.value):
                assert aotconv.active().name == name.meaning

        refusal(compute, name.meaning, "use")

    @rule(data=st.data())
    def convolve_few_pixels_of_a_giant(self, data):
        self.convolve_once(*data.draw(arguments.giants()))


class HostileWithJIT(Hostile):
    """The JIT rung compiles for seconds the first time it meets a kernel: it is for long runs."""

    rungs = (*(name for name in AVAILABLE for _ in range(3) if name != "jit"), "jit")


def run(cases: int, seed: int) -> None:
    """Draw state machines until so many cases have been judged."""
    machine = HostileWithJIT if cases > 10_000 and "jit" in AVAILABLE else Hostile
    settings = hypothesis.settings(
        max_examples=max(1, cases // 50),
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        print_blob=True,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    while judged() < cases:
        run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=settings)
        seed += 1
    faulthandler.cancel_dump_traceback_later()


def run_in_a_process(cases: int, seed: int, path: Path, seconds: int) -> dict[str, int]:
    """`run` where a crash or a hang harms nobody; the outcomes by number."""
    path.write_text("none")
    command = [sys.executable, __file__, str(cases), str(seed), str(path)]
    where = str(Path(aotconv.__file__).parents[1])
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": where},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, (
        f"seed {seed}, exit status {done.returncode}, last {path.read_text()}\n"
        f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    )
    return json.loads(done.stdout.splitlines()[-1])


def new_seed() -> int:
    return int.from_bytes(os.urandom(4), "little")


def test_garbage_gives_a_right_result_or_an_error_that_names_an_argument(tmp_path):
    seconds = 300 + SECONDS_OF_SHRINKING
    outcomes = run_in_a_process(400, new_seed(), tmp_path / "last-case", seconds)
    assert outcomes["right"] > 100
    assert outcomes["operators"] > 50
    assert outcomes["TypeError"] + outcomes["ValueError"] > 50


@pytest.mark.long
def test_fifty_thousand_cases_of_garbage_give_right_results_or_errors(tmp_path):
    outcomes = run_in_a_process(50_000, new_seed(), tmp_path / "last-case", 4 * 3600)
    print(outcomes)
    others = outcomes.get("skipped", 0), outcomes["operators"]
    assert sum(outcomes.values()) - sum(others) >= 50_000
    assert outcomes["operators"] >= 15_000


# The table of arguments.


def test_every_argument_has_a_row_and_no_row_is_left_over():
    names = [name for door in DOORS for name in arguments.names_of(door.function)]
    for name in names:
        arguments.row_of(name)
    assert ARGUMENTS.keys() == set(names)


def test_an_argument_that_nobody_taught_fails_by_its_name_and_says_where_it_belongs():
    def conv2d(images, filters, made_up="valid"):
        pass

    with pytest.raises(LookupError, match=r"'made_up'.* ARGUMENTS of tests/hostile/arguments.py"):
        [arguments.row_of(name) for name in arguments.names_of(conv2d)]


@pytest.mark.parametrize("rank", FUNCTIONS)
def test_a_function_takes_what_a_layer_and_its_call_take_with_the_same_defaults(rank):
    doors = FUNCTIONS[rank], CLASSES[rank], CLASSES[rank].__call__
    ours, *theirs = (inspect.signature(door).parameters for door in doors)
    assert sorted([*LAYER, *CALL]) == sorted(arguments.names_of(doors[0]))
    for parameters in theirs:
        for name in parameters.keys() - {"self"}:
            assert parameters[name].default == ours[name].default


@pytest.mark.parametrize(
    ("door", "name"),
    [
        pytest.param(door, name, id=f"{door.rank}-{door.function.__name__}-{name}")
        for door in DOORS
        for name in arguments.names_of(door.function)
    ],
)
def test_all_garbage_is_refused_in_a_short_message_that_names_its_argument(watched, door, name):
    rank, function = door
    one = ONE[rank]
    every = {"self": CLASSES[rank](one), "images": one, "filters": one, "shape": one.shape}
    taken = inspect.signature(function).parameters
    needed = {each: every[each] for each in taken if each in every}
    case = Case(None, np.random.default_rng(0), rank, one, 1, one)
    for make in arguments.row_of(name).garbage(case):
        piece = make()
        print(piece.label)  # the last one is what fails
        given = {**needed, name: piece.value}
        error = refusal(lambda given=given: function(**given), piece.meaning, f"{name} must")
        assert len(str(error)) < 500
        is_lie = piece.meaning is WRONG and type(piece.value).__module__ == lies.__name__
        if is_lie and name in ("images", "filters", "bias", "residual", "out"):
            assert type(error) is TypeError


def test_use_refuses_all_that_is_no_implementation():
    for make in pieces.no_choices():
        refusal(lambda make=make: aotconv.use(make().value), WRONG, "is no implementation")


# The judge.


def write(array, result=None):
    array[...] = 7
    return result


def fail(error, *_):
    raise error


CROOKS = {  # what comes of strides that are right (1) or wrong (0), and must not
    "a wrong value": (1, lambda given: write(given["out"], convolve(given))),
    "another array": (1, lambda given: convolve(given).copy()),
    "a written input": (1, lambda given: write(given["images"], convolve(given))),
    "a warning": (1, lambda given: warnings.warn("of strides", stacklevel=1)),
    "refused": (1, lambda given: fail(ValueError("strides"))),
    "no memory": (1, lambda given: fail(MemoryError())),
    "another error": (0, lambda given: fail(KeyError("strides"))),
    "accepted": (0, lambda given: convolve({**given, "strides": 1})),
    "written, then refused": (0, lambda given: fail(ValueError("strides"), write(given["out"]))),
    "no name": (0, lambda given: fail(ValueError("no"))),
    "another name": (0, lambda given: fail(TypeError("groups"))),
}


def convolve(given):
    return aotconv.conv2d(**given)


@pytest.mark.parametrize("name", CROOKS)
def test_the_judge_condemns_what_is_not_documented(name):
    def array(fill):
        memory = np.full((1, 2, 2, 1), fill, np.float32)
        return pieces.Piece(memory, memory.copy(), "array", memory)

    strides, crook = CROOKS[name]
    strides = arguments.ones(2) if strides else pieces.Piece(0, WRONG, "0")
    filters = pieces.Piece(ONE[2], ONE[2], "ones")
    layer, call = arguments.ordinary(
        2, images=array(3), filters=filters, out=array(0), strides=strides
    )
    given = {**layer.given, **call.given}
    honest = judge(layer, call, lambda: convolve(given))
    assert honest == ("right" if strides.value else "ValueError")
    with pytest.raises((AssertionError, UserWarning, KeyError)):
        judge(layer, call, lambda: crook(given))


@pytest.mark.parametrize("algorithm", ["fft", "fastest"])
@pytest.mark.parametrize("shape", [(0, 3, 4, 1), (1, 3, 4, 1)])
def test_the_judge_takes_a_bias_that_is_larger_than_all_that_is_summed(shape, algorithm):
    # Of sums of nothing but zeros, transforms are allowed less than a direct sum: it was condemned.
    def array(shape, fill):
        memory = np.full(shape, fill, np.float32)
        return pieces.Piece(memory, memory.copy(), "array", memory)

    layer, call = arguments.ordinary(
        2,
        images=array(shape, 0),
        filters=array((3, 3, 1, 1), 1),
        bias=array((1,), 5),
        algorithm=pieces.plain(algorithm),
    )
    assert judge(layer, call, lambda: convolved(layer, call)) == "right"


# What the cases above found, pinned.


@pytest.fixture(params=Hostile.rungs)
def fast_rung(request):
    """Each implementation in use that compiles nothing."""
    with aotconv.use(request.param):
        yield request.param


@pytest.fixture
def watched(capfd):
    """Ends the process where a test hangs in compiled code, which no exception reaches."""
    with capfd.disabled():  # or nobody saw why it ended
        stderr = os.dup(2)
    faulthandler.dump_traceback_later(SECONDS_OF_A_CASE, exit=True, file=stderr)
    yield
    faulthandler.cancel_dump_traceback_later()
    os.close(stderr)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_strides_and_padding_far_beyond_the_images_give_a_small_result_at_once(
    fast_rung, watched, groups, dtype
):
    images = np.full((1, 1, 2, 8), 3, dtype)
    filters = np.full((1, 3, 8 // groups, 8), 2, dtype)
    far, centre = 10**9, 6 * (8 // groups)
    options = {"groups": groups, "padding": ((0, 0), (far, far)), "strides": (1, far)}
    result = aotconv.conv2d(images, filters, **options)
    np.testing.assert_array_equal(result[0, 0, :, 0], [0, 2 * centre])


@pytest.mark.parametrize("strides", [2**31, 2**62, 2**63 - 1])
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_the_largest_strides_leave_one_window(fast_rung, watched, groups, strides):
    images = np.arange(1, 33, dtype=np.float32).reshape(1, 2, 2, 8)
    filters = np.ones((3, 3, 8 // groups, 8), np.float32)
    result = aotconv.conv2d(images, filters, strides=strides, padding=5, groups=groups)
    np.testing.assert_array_equal(result, np.zeros((1, 1, 1, 8)))
    near = aotconv.conv2d(images, filters, strides=strides, padding=1, groups=groups)
    np.testing.assert_array_equal(
        near, aotconv.conv2d(images, filters, padding=1, groups=groups)[:, :1, :1]
    )


@pytest.mark.parametrize("strides", [2**63 - 1, 2**63 - 2, 2**63 - 8, 2**62 + 1])
@pytest.mark.parametrize(("channels", "filters", "groups"), [(1, 4, 1), (3, 2, 1), (8, 8, 8)])
@pytest.mark.parametrize("dilations", [1, 2])
def test_sizes_that_are_added_to_the_largest_strides_do_not_wrap(
    fast_rung, watched, strides, channels, filters, groups, dilations
):
    # Rows of planar tiles were read far from the image, and columns not at all.
    images = np.arange(72 * channels, dtype=np.float32).reshape(1, 9, 8, channels)
    weights = np.arange(9 * channels // groups * filters, dtype=np.float32)
    weights = weights.reshape(3, 3, channels // groups, filters)
    options = {"padding": 2 * dilations, "dilations": dilations, "groups": groups}
    expected = aotconv.conv2d(images, weights, **options)[:, :1, :1]
    result = aotconv.conv2d(images, weights, strides=strides, **options)
    np.testing.assert_array_equal(result, expected)
    same = aotconv.conv1d(images[0], weights[0], strides=strides, padding="same", groups=groups)
    inside = aotconv.conv1d(images[0], weights[0], groups=groups)[:, :1]  # of 8 pixels no zeros
    np.testing.assert_array_equal(same, inside)


@pytest.mark.parametrize("far", [2**63 - 2, 2**62, 2**31])
def test_steps_that_reach_no_other_pixel_may_be_of_any_size(fast_rung, watched, far):
    image, filters = np.full((1, 5, 5, 1), 3, np.float32), np.ones((1, 1, 1, 4), np.float32)
    expected = aotconv.conv2d(image, filters, padding=1)
    for dilations in (far, (far, 1), (1, far)):
        result = aotconv.conv2d(image, filters, padding=1, dilations=dilations)
        np.testing.assert_array_equal(result, expected)
        np.testing.assert_array_equal(aotconv.max_pool2d(image, 1, dilations=dilations), image)
    pixel, turned = image[:, :1, :1], np.ones((3, 3, 4, 1), np.float32)
    result = aotconv.conv2d_transpose(pixel, turned, strides=far, padding=0, output_padding=1)
    assert result.shape == (1, 4, 4, 4) and result.sum() == 3 * 9 * 4
    with pytest.raises(ValueError, match="the result would be too large to address"):
        cut = ((0, far), (0, far))
        aotconv.conv2d_transpose(image[:, :2, :2], turned, strides=far, padding=cut)


@pytest.mark.parametrize("far", [10**5, 10**8, 2**27])
def test_dilations_far_beyond_the_images_allocate_no_more_than_their_taps(fast_rung, watched, far):
    images = np.full((1, 1, 1, 2), 5, np.float32)
    filters = np.arange(18, dtype=np.float32).reshape(3, 3, 1, 2)
    result = aotconv.conv2d(images, filters, dilations=far, padding=far, groups=2)
    np.testing.assert_array_equal(result, 5 * filters[1, 1].reshape(1, 1, 1, 2))


@pytest.mark.parametrize("far", [2**31, 2**48])
@pytest.mark.parametrize("groups", [1, 8])
def test_rows_a_far_dilation_apart_are_no_tasks_of_their_own(fast_rung, watched, groups, far):
    # A strip had one for each row that might lie between two taps: 76 seconds for 5 x 5 pixels.
    images = np.full((1, 5, 5, groups), 3, np.float32)
    filters = np.arange(5 * groups, dtype=np.float32).reshape(5, 1, 1, groups)
    for padding in ("same", "same_lower", ((2 * far, 2 * far), (0, 0))):
        result = aotconv.conv2d(images, filters, dilations=(far, 2), padding=padding, groups=groups)
        np.testing.assert_array_equal(result, images * filters[2, 0, 0])


def test_dilations_of_a_single_tap_are_of_no_account(fast_rung, watched):
    images = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    for groups in (1, 2):
        filters = np.ones((1, 1, 2 // groups, 2), np.float32)
        expected = aotconv.conv2d(images, filters, groups=groups)
        for dilations in (2**31, 2**62, 2**63 - 1):
            result = aotconv.conv2d(images, filters, dilations=dilations, groups=groups)
            np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("groups", "n_filters"), [(1, 17), (1, 1), (2, 4), (3, 3), (6, 6), (6, 12)]
)
@pytest.mark.parametrize("shape", [(1, 0, 5, 6), (1, 5, 0, 6), (2, 0, 0, 6)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_images_without_pixels_between_zeros_give_zeros(
    fast_rung, kernel, shape, groups, n_filters
):
    # Their strides are all 0, which was read as channels that come first, and memory behind them.
    filters = np.full((kernel, kernel, 6 // groups, n_filters), 3, np.float32)
    result = aotconv.conv2d(np.ones(shape, np.float32), filters, padding=4, groups=groups)
    assert not result.any()


@pytest.mark.parametrize("images", [np.full((1, 700, 700, 8), 2), "a giant"])
@pytest.mark.parametrize(("groups", "n_filters"), [(1, 17), (1, 1), (2, 4), (8, 8)])
def test_copied_blocks_that_lie_in_the_padding_alone_are_zeros(
    fast_rung, images, groups, n_filters
):
    if isinstance(images, str):
        images = np.broadcast_to(np.float32(2), (1, 70_000, 70_000, 8))
    filters = np.ones((1, 1, 8 // groups, n_filters), np.float32)
    stride = images.shape[1]
    result = aotconv.conv2d(images, filters, strides=stride, padding=1, groups=groups)
    expected = np.zeros((1, 2, 2, n_filters))
    expected[0, 1, 1] = 2 * (8 // groups)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("rank", FUNCTIONS)
@pytest.mark.parametrize("name", ["strides", "padding", "dilations"])
def test_of_what_has_no_end_no_more_is_taken_than_says_that_it_is_too_long(name, rank):
    endless = itertools.count(1)
    with pytest.raises(ValueError, match=f"{name} must be .* of length {MOST_ITEMS} or more"):
        FUNCTIONS[rank](ONE[rank], ONE[rank], **{name: endless})
    assert next(endless) <= MOST_ITEMS + 1


def test_a_number_is_asked_once_what_it_is():
    # Each look at it gives another number.
    images, one = np.ones((1, 6, 6, 1), np.float32), ONE[2]
    assert aotconv.conv2d(images, one, strides=lies.Index(2, 3, -1)).shape == (1, 3, 3, 1)
    assert aotconv.conv2d(images, one, padding=lies.Index(2, 3, -1)).shape == (1, 10, 10, 1)
    assert aotconv.conv2d(images, one, padding_value=lies.Index(0, 3)).shape == (1, 6, 6, 1)


@pytest.mark.parametrize("shape", [(0, 2**53, 1, 1), (2**53, 0, 1, 1)])
def test_a_result_without_elements_whose_axes_cannot_be_addressed_is_refused_by_name(shape):
    images = np.empty(shape, np.float32)
    with pytest.raises(ValueError, match="the result would be too large to address"):
        aotconv.conv1d(images, np.ones((1, 1, 64), np.float32))


@pytest.mark.parametrize("kind", [lies.OddStr, lies.RaisingStr])
def test_what_a_string_says_it_equals_is_not_believed(kind):
    images = np.arange(6, dtype=np.float32).reshape(1, 2, 1, 3)
    filters = np.ones((1, 1, 2, 1), np.float32)
    result = aotconv.conv2d(images, filters, data_format=kind("NCHW"), padding=kind("SAME"))
    np.testing.assert_array_equal(result, images.sum(1, keepdims=True))
    with aotconv.use(kind("numpy")):
        assert aotconv.active().name == "numpy"


def test_few_pixels_of_billions_are_read_alone(fast_rung, watched):
    images = np.broadcast_to(np.float32(2), (1, 70_000, 70_000, 1))
    filters = np.ones((3, 3, 1, 1), np.float32)
    result = aotconv.conv2d(images, filters, strides=34_998)
    np.testing.assert_array_equal(result, np.full((1, 3, 3, 1), 18))


@pytest.mark.parametrize(("strides", "dilations"), [(1, 34_990), (10_000, 30_000)])
def test_pixels_that_are_copied_are_those_under_far_taps_alone(
    fast_rung, watched, strides, dilations
):
    images = np.broadcast_to(np.int16(2), (1, 70_000, 70_000, 1))
    filters = np.ones((3, 3, 1, 1), np.float32)
    tracemalloc.start()
    try:
        result = aotconv.conv2d(images, filters, strides=strides, dilations=dilations)
        largest = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (result == 18).all()
    assert largest < 32 << 20


if __name__ == "__main__":
    notes = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    warnings.simplefilter("ignore", aotconv.FallbackWarning)
    run(int(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps(counts))
