"""Threads: the GIL, the team, forks, and the same bits from any number of threads."""

from __future__ import annotations

import os
import sys
import threading
import time

import numpy as np
import pytest
from conftest import AOT_LEVELS
from processes import EVERY_FAMILY, WATCHED, output_of

import aotconv
from aotconv._tools.problem import FUNCTIONS

RNG = np.random.default_rng(0)
needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")


@pytest.mark.parametrize("level", AOT_LEVELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kernel", "groups", "algorithm"),
    [
        ((3, 3), 1, "auto"),
        ((3, 3), 2, "auto"),
        ((3, 3), 40, "auto"),
        ((3, 3), 1, "winograd"),
        ((5,), 1, "auto"),
        ((5,), 40, "auto"),
        ((2, 3, 3), 1, "auto"),
        ((2, 3, 3), 40, "auto"),
    ],
)
def test_results_are_bit_identical_for_any_number_of_threads(
    level, dtype, kernel, groups, algorithm
):
    images = RNG.standard_normal((3, *(7, 21, 23)[-len(kernel) :], 40)).astype(dtype)
    n_filters = 80 if groups < 40 else 40
    filters = RNG.standard_normal((*kernel, 40 // groups, n_filters)).astype(dtype)
    options = {"padding": "same", "groups": groups, "algorithm": algorithm}
    convolve = FUNCTIONS[len(kernel)]
    with aotconv.use(level):
        results = [convolve(images, filters, threads=n, **options) for n in (1, 2, 3, 8)]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


class Watched:
    """A layer that computes in a thread of its own, and how far it has come."""

    def __init__(self, layer, images):
        self.layer, self.images = layer, images
        self.out = np.empty(layer.output_shape(images.shape), images.dtype)
        self.rows = memoryview(self.out[0, :, 0, 0])

    def start(self):
        self.out[0, :, 0, 0] = np.nan
        self.thread = threading.Thread(target=self.layer, args=(self.images, self.out))
        self.thread.start()

    def written(self):
        """Rows of the result that have been begun; they are computed in order."""
        return sum(each == each for each in self.rows)


def test_the_gil_is_released_while_kernels_run_two_at_once():
    layer = aotconv.Conv2D(np.ones((5, 5, 64, 64), np.float32), threads=1)
    contenders = [Watched(layer, np.ones((1, 260, 200, 64), np.float32)) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # this thread keeps the GIL until it waits for something
    try:
        for _ in range(50):
            for each in contenders:
                each.start()
            while not all(each.written() for each in contenders):
                time.sleep(0)
            # From here on no other thread has the GIL, so that what goes on goes on without it.
            before = [each.written() for each in contenders]
            for _ in range(1000):
                moved = [each.written() > n for each, n in zip(contenders, before, strict=True)]
                if all(moved):
                    break
            for each in contenders:
                each.thread.join()
            if all(moved):
                break
    finally:
        sys.setswitchinterval(interval)
    assert all(moved), moved


def test_threads_that_do_all_sorts_of_calls_at_once_get_the_same_bits():
    assert output_of(f"{MANY_THREADS}\nhurry(rounds=6)", OMP_NUM_THREADS="2") == "done"


@pytest.mark.long
def test_threads_that_do_all_sorts_of_calls_for_a_minute_get_the_same_bits():
    assert (
        output_of(f"{MANY_THREADS}\nhurry(rounds=400)", timeout=900, OMP_NUM_THREADS="2") == "done"
    )


# 16 threads share layers, have layers of their own, or call functions, in an order of their own.
MANY_THREADS = (
    WATCHED
    + """
import random, sys, threading, warnings
import numpy as np, aotconv
warnings.simplefilter("ignore", aotconv.FallbackWarning)
rng = np.random.default_rng(0)
levels = [each.name for each in aotconv.implementations() if each.available and each.name != "jit"]
compiled = [each for each in levels if each != "numpy"]

def draw(*shape):
    return rng.integers(-4, 5, shape).astype(np.float32)  # sums are exact: the same on all rungs

class Task:
    def __init__(self, n, size, channels, n_filters, window, rank=2, **options):
        self.images = draw(n, *(4, size, size + 3)[-rank:], channels)
        self.filters = draw(
            *(2, window, window)[-rank:], channels // options.get("groups", 1), n_filters
        )
        self.options = options
        self.function = (aotconv.conv1d, aotconv.conv2d, aotconv.conv3d)[rank - 1]
        self.make = (aotconv.Conv1D, aotconv.Conv2D, aotconv.Conv3D)[rank - 1]
        if options.get("data_format") == "channels_first":
            self.images = np.ascontiguousarray(np.moveaxis(self.images, -1, 1))
        self.layer = self.new()
        self.expected = self.layer(self.images, threads=1)
        self.residual = draw(*self.expected.shape)

    def new(self):
        return self.make(self.filters, **self.options)

    def is_right(self, how, threads, out):
        expected = self.expected
        if how == "shared":
            result = self.layer(self.images, threads=threads)
        elif how == "own":
            result = self.new()(self.images, threads=threads)
        elif how == "out":
            out = out.setdefault(self, np.empty_like(expected))
            out[...] = np.nan
            result = self.layer(self.images, out, threads)
        elif how == "residual":
            result = self.layer(self.images, residual=self.residual, threads=threads)
            expected = expected + self.residual
        else:
            result = self.function(self.images, self.filters, threads=threads, **self.options)
        return np.array_equal(result, expected)

tasks = [
    Task(1, 30, 16, 32, 3, padding="same"),
    Task(2, 17, 5, 7, 3),
    Task(1, 9, 1, 1, 3),
    Task(2, 20, 3, 4, 4),
    Task(1, 40, 24, 24, 3, groups=24),
    Task(1, 50, 1, 1, 5, padding="same"),
    Task(1, 40, 3, 3, 9, groups=3),
    Task(1, 24, 32, 32, 3, groups=8, strides=2),
    Task(2, 21, 16, 40, 3, data_format="channels_first"),
    Task(1, 21, 16, 16, 3, data_format="channels_first", groups=16),
    Task(1, 30, 64, 128, 1),
    Task(2, 200, 16, 32, 5, rank=1, padding="causal"),
    Task(1, 500, 24, 24, 7, rank=1, groups=24, data_format="channels_first"),
    Task(1, 16, 16, 16, 3, rank=3, padding="same"),
    Task(1, 20, 1, 1, 3, rank=3, strides=2, padding="full"),
]
winograd = aotconv.Conv2D(draw(3, 3, 16, 40), algorithm="winograd") if compiled else None
transformed = draw(1, 26, 29, 16)
untransformed = winograd(transformed, threads=1) if compiled else None
wrong, done = [], [0] * 16

def work(seed, rounds):
    choose, out = random.Random(seed), {}
    for _ in range(rounds * len(tasks)):
        task = choose.choice(tasks)
        how = choose.choice(["shared", "own", "out", "residual", "function"])
        threads = choose.choice([None, 1, 2, 3])
        if choose.random() < 0.1:
            aotconv.set_num_threads(choose.choice([None, 1, 2]))
        if choose.random() < 0.2:
            with aotconv.use(choose.choice(levels)):
                right = task.is_right(how, threads, out)
        else:
            right = task.is_right(how, threads, out)
        if winograd is not None and choose.random() < 0.1:
            right &= np.array_equal(winograd(transformed, threads=threads), untransformed)
        done[seed] += 1
        if not right:
            wrong.append((seed, tasks.index(task), how, threads))

def hurry(rounds):
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=work, args=(i, rounds)) for i in range(16)]
    for each in threads:
        each.start()
    before = []
    while any(each.is_alive() for each in threads):
        if done != before:
            before = list(done)
            watch()
        next(each for each in threads if each.is_alive() or each is threads[-1]).join(1)
    assert not wrong and sum(done) == 16 * rounds * len(tasks), wrong[:5]
    print("done")
"""
)


@pytest.mark.parametrize("algorithm", ["auto", "winograd", "fft"])
def test_many_python_threads_share_one_layer(algorithm):
    filters = RNG.standard_normal((3, 3, 8, 24)).astype(np.float32)
    layer = aotconv.Conv2D(filters, padding="same", algorithm=algorithm)
    images = [RNG.standard_normal((2, 5 + i, 9, 8)).astype(np.float32) for i in range(16)]
    expected = [layer(each) for each in images]
    failures = []

    def work(i):
        for _ in range(30):
            for n in (1, 2):
                if not np.array_equal(layer(images[i], threads=n), expected[i]):
                    failures.append(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def test_many_python_threads_call_conv2d_with_small_weights_of_their_own():
    failures = []

    def work(i):
        images = np.ones((1, 4, 4, 1), np.float32)
        for j in range(200):
            filters = np.full((2, 2, 1, 1), i + j % 20, np.float32)
            if not (aotconv.conv2d(images, filters) == 4 * (i + j % 20)).all():
                failures.append((i, j))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


# CPython before 3.11 calls Python functions on this stack, and needs more for NumPy's alone.
@pytest.mark.parametrize("kibibytes", [*[32] * (sys.version_info >= (3, 11)), 64, 256])
def test_a_python_thread_of_a_small_stack_computes(kibibytes):
    try:
        threading.stack_size(threading.stack_size(kibibytes << 10))
    except ValueError:
        pytest.skip("the C library has no stacks that small; AArch64's begin at 128 KiB")
    # NumPy's transforms want more: np.fft.rfft alone overflows such a stack.
    kernels_alone = "del cases[-1], expected[-1]" if kibibytes < 64 else ""
    code = f"""{WATCHED}{EVERY_FAMILY}
{kernels_alone}
assert compute(2)
results = []
threading.stack_size({kibibytes << 10})
for threads in (1, 2):
    worker = threading.Thread(target=lambda: results.append(compute(threads)))
    worker.start()
    worker.join()
assert results == [True, True]
print("done")
"""
    assert output_of(code) == "done"


@needs_proc
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_computes_on_as_many_threads_as_its_parent():
    code = """
import os, sys, warnings, numpy as np, aotconv
warnings.simplefilter("ignore", DeprecationWarning)
layer = aotconv.Conv2D(np.ones((3, 3, 16, 32), np.float32))
images = np.ones((1, 60, 60, 16), np.float32)
expected, limit = layer(images, threads=2), aotconv.get_num_threads()
for _ in range(3):
    child = os.fork()
    if child == 0:
        alone = len(os.listdir("/proc/self/task"))
        same = np.array_equal(layer(images, threads=2), expected)
        helped = len(os.listdir("/proc/self/task")) - alone
        os._exit(0 if same and helped == 1 and aotconv.get_num_threads() == limit else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(layer(images, threads=2), expected)
print("done")
"""
    assert output_of(code) == "done"
