"""Threads: the GIL, the team, forks, and the same bits from any number of threads."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np
import pytest
import threadpoolctl
from conftest import AOT_LEVELS
from processes import output_of

import aotconv
from aotconv import threads

RNG = np.random.default_rng(0)
needs_openmp = pytest.mark.skipif(
    threads.openmp_runtime() is None, reason="no OpenMP runtime is installed"
)


@pytest.mark.parametrize("level", AOT_LEVELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("groups", "algorithm"), [(1, "auto"), (2, "auto"), (40, "auto"), (1, "winograd")]
)
def test_results_are_bit_identical_for_any_number_of_threads(level, dtype, groups, algorithm):
    images = RNG.standard_normal((3, 21, 23, 40)).astype(dtype)
    filters = RNG.standard_normal((3, 3, 40 // groups, 80 if groups < 40 else 40)).astype(dtype)
    options = {"padding": "same", "groups": groups, "algorithm": algorithm}
    with aotconv.use(level):
        results = [aotconv.conv2d(images, filters, threads=n, **options) for n in (1, 2, 3, 8)]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_the_gil_is_released_while_a_kernel_runs():
    layer = aotconv.Conv2D(np.ones((3, 3, 64, 64), np.float32), threads=1)
    images = np.ones((1, 400, 400, 64), np.float32)
    out = layer(images)
    counted, running = 0, threading.Event()
    during = []

    def convolve():
        running.set()
        before = counted
        layer(images, out=out)
        during.append(counted - before)

    # With the GIL held by a call of a tenth of a second, nothing is counted from its start to its
    # end but one switch interval's worth before it; without, thousands are.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1)  # a thread gives up the GIL only by releasing it
    try:
        worker = threading.Thread(target=convolve)
        worker.start()
        running.wait()
        while worker.is_alive():
            counted += 1
    finally:
        sys.setswitchinterval(interval)
    worker.join()
    assert during[0] > 1000


@pytest.mark.parametrize("algorithm", ["auto", "winograd"])
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


@needs_openmp
def test_the_default_honours_omp_num_threads_affinity_and_set_num_threads():
    code = "import aotconv; print(aotconv.get_num_threads())"
    assert output_of(code, OMP_NUM_THREADS="3") == "3"
    assert output_of(code, OMP_NUM_THREADS=None) == str(len(os.sched_getaffinity(0)))
    pinned = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}}); {code}"
    assert output_of(pinned, OMP_NUM_THREADS=None) == "1"
    try:
        aotconv.set_num_threads(5)
        assert aotconv.get_num_threads() == 5
    finally:
        aotconv.set_num_threads(None)
    for wrong, error in ((0, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="threads must be"):
            aotconv.set_num_threads(wrong)


@needs_openmp
def test_threadpoolctl_limits_the_default():
    threads.openmp_runtime()
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert aotconv.get_num_threads() == 1


def test_small_work_stays_on_one_thread_and_large_work_does_not(monkeypatch):
    monkeypatch.setattr(threads, "get_num_threads", lambda: 8)
    monkeypatch.setattr(threads, "openmp_runtime", object)
    assert threads.count(None, 10) == 1
    assert threads.count(None, 350) == 3
    assert threads.count(None, 1e9) == 8
    assert threads.count(5, 10) == 5
    assert threads.count(10**9, 10) == threads.THREADS_PER_CPU * os.cpu_count()


def test_without_an_openmp_runtime_calls_run_on_one_thread(monkeypatch):
    monkeypatch.setattr(threads, "openmp_runtime", lambda: None)
    assert threads.get_num_threads() == 1
    assert threads.count(4, 1e9) == threads.count(None, 1e9) == 1
    result = aotconv.conv2d(np.ones((1, 9, 9, 2), "f4"), np.ones((3, 3, 2, 4), "f4"), threads=4)
    assert (result == 18).all()


@pytest.mark.parametrize("n", [1000, 2**31, 2**63 - 1])
def test_absurdly_many_threads_are_not_started(n):
    images, filters = np.ones((4, 40, 40, 8), "f4"), np.ones((3, 3, 8, 8), "f4")
    assert (aotconv.conv2d(images, filters, threads=n) == 72).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_computes_on_one_thread_after_its_parent_used_several():
    code = """
import os, sys, warnings, numpy as np, aotconv
warnings.simplefilter("ignore", DeprecationWarning)
layer = aotconv.Conv2D(np.ones((3, 3, 16, 32), np.float32))
images = np.ones((1, 60, 60, 16), np.float32)
expected = layer(images, threads=2)
for _ in range(3):
    child = os.fork()
    if child == 0:
        same = np.array_equal(layer(images, threads=2), expected)
        os._exit(0 if same and aotconv.get_num_threads() == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert np.array_equal(layer(images, threads=2), expected)
print("done")
"""
    assert output_of(code) == "done"
