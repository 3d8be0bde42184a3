"""Forks, worker processes and subinterpreters: no call hangs, and results stay right."""

from __future__ import annotations

import multiprocessing
import os
import sys
from ctypes.util import find_library

import pytest
from processes import WATCHED, output_of, run_python

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# Right results, from a team where one can be had.
USED = (
    WATCHED
    + """
import threading, warnings
import numpy as np, aotconv
warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside other threads
rng = np.random.default_rng(0)
images = rng.standard_normal((1, 60, 60, 16), np.float32)
planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
filters = rng.standard_normal((3, 3, 16, 32), np.float32)
layer = aotconv.Conv2D(filters)
planar = aotconv.Conv2D(filters, data_format="NCHW")
winograd = aotconv.Conv2D(filters, algorithm="winograd")
expected = layer(images, threads=1), winograd(images, threads=1)

def is_right():
    results = [layer(images, threads=n) for n in (None, 1, 2, 3)]
    results += [aotconv.conv2d(images, filters, threads=2)]
    results += [planar(planes, threads=2).transpose(0, 2, 3, 1)]
    same = all(np.array_equal(each, expected[0]) for each in results)
    return same and np.array_equal(winograd(images, threads=2), expected[1])

def in_a_fork(work):
    "Whether `work()` is true in a child."
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0

def in_a_thread(work):
    "What `work()` gives in another thread."
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]

assert is_right()
"""
)


@needs_fork
@pytest.mark.parametrize(
    "work",
    [
        "in_a_fork(is_right)",
        "in_a_thread(lambda: in_a_fork(is_right))",
        "in_a_fork(lambda: in_a_thread(is_right))",
        "in_a_thread(lambda: in_a_fork(lambda: in_a_thread(is_right)))",
        "in_a_fork(lambda: is_right() and in_a_fork(is_right) and is_right())",
        "in_a_fork(lambda: in_a_thread(lambda: in_a_fork(is_right)))",
    ],
)
def test_forks_and_threads_of_forks_and_forks_of_threads_compute_and_so_do_their_parents(work):
    code = f"{USED}\nfor _ in range(3):\n    assert {work} and is_right()\n    "
    assert output_of(code + "assert in_a_thread(is_right)\nprint('done')") == "done"


@needs_fork
def test_a_fork_beside_threads_that_compute_computes_and_the_threads_go_on():
    code = f"""{USED}
stop, wrong, calls = threading.Event(), [], [0, 0, 0]
def work(i):
    while not stop.is_set():
        if not np.array_equal(layer(images, threads=1 + i), expected[0]):
            wrong.append(i)
        calls[i] += 1
workers = [threading.Thread(target=work, args=(i,)) for i in range(3)]
for each in workers:
    each.start()
for i in range(30):
    before = list(calls)
    assert in_a_fork(is_right) if i % 2 else in_a_thread(lambda: in_a_fork(is_right))
    while any(map(int.__eq__, before, calls)):  # each has returned from a call since
        assert all(each.is_alive() for each in workers)
stop.set()
for each in workers:
    each.join()
assert not wrong and is_right()
print("done")
"""
    assert output_of(code) == "done"


@needs_fork
def test_a_fork_while_a_kernel_runs_computes_and_the_kernel_finishes():
    code = f"""{USED}
large = rng.standard_normal((1, 700, 700, 16), np.float32)
for threads in (1, 2):
    whole = layer(large, threads=threads)
    inside = 0
    while inside < 3:
        out = np.full_like(whole, np.nan)
        worker = threading.Thread(target=layer, args=(large, out, threads))
        worker.start()
        while np.isnan(out[0, 0, 0, 0]):
            pass
        child = os.fork()
        if child == 0:
            interrupted = np.isnan(out[0, -1, -1, -1])
            os._exit((10 if interrupted else 11) if is_right() else 12)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (10, 11), status
        inside += status == 10
        worker.join()
        assert np.array_equal(out, whole) and is_right()
print("done")
"""
    assert output_of(code) == "done"


@needs_fork
def test_a_fork_before_the_first_call_computes():
    first_call = "assert is_right()\n"
    code = USED.replace("layer(images, threads=1), winograd(images, threads=1)", "None")
    code = code.replace(first_call, "")
    code += """
def first_calls_are_right():
    global expected
    expected = layer(images, threads=2), winograd(images, threads=2)
    return is_right()
assert in_a_fork(first_calls_are_right) and first_calls_are_right()
assert in_a_fork(is_right) and is_right()
print("done")
"""
    assert output_of(code) == "done"


@needs_fork
@pytest.mark.skipif(find_library("gomp") is None, reason="needs an OpenMP runtime that others use")
def test_a_fork_that_imports_the_package_after_others_used_openmp_computes():
    code = f"""{WATCHED}
import ctypes, sys
import numpy as np
runtime = ctypes.CDLL({find_library("gomp")!r})
nothing = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda data: None)
runtime.GOMP_parallel(nothing, None, 2, 0)
child = os.fork()
import aotconv
images, filters = np.ones((1, 99, 99, 2), "f4"), np.ones((3, 3, 2, 4), "f4")
right = (aotconv.conv2d(images, filters, threads=2) == 18).all()
if child == 0:
    os._exit(0 if right and aotconv.get_num_threads() == 3 else 1)
assert right and os.waitpid(child, 0)[1] == 0
print(aotconv.get_num_threads())
"""
    assert output_of(code, OMP_NUM_THREADS="3") == "3"


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize("caller", ["main thread", "another"])
def test_a_layer_travels_to_worker_processes_of_every_kind(method, caller):
    code = f"""{USED}
import multiprocessing
def use_workers():
    context = multiprocessing.get_context({method!r})
    with context.Pool(2) as pool:
        batch = [images * k for k in (1, 2, 4, 8)]
        for _ in range(2):
            for k, result in zip((1, 2, 4, 8), pool.map(layer, batch)):
                assert np.array_equal(result, layer(images * k))
            for n in (1, 2, 3):
                result = pool.apply(layer, (images,), {{"threads": n}})
                assert np.array_equal(result, expected[0])
                result = pool.apply(aotconv.conv2d, (images, filters), {{"threads": n}})
                assert np.array_equal(result, expected[0])
            assert np.array_equal(pool.apply(winograd, (images, None, 2)), expected[1])
            assert is_right()
        count = pool.apply(aotconv.get_num_threads)
        pool.close()
        pool.join()
    return count
count = {"use_workers()" if caller == "main thread" else "in_a_thread(use_workers)"}
assert is_right()
print(count)
"""
    assert output_of(code, OMP_NUM_THREADS="3") == "3"


@needs_fork
@pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="needs a fork server"
)
def test_a_fork_server_that_has_loaded_the_package_forks_workers_that_compute():
    code = f"""{USED}
import multiprocessing
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["aotconv"])
with context.Pool(2) as pool:
    for result in pool.map(layer, [images] * 4):
        assert np.array_equal(result, expected[0])
    result = pool.apply(layer, (images,), {{"threads": 2}})
    assert np.array_equal(result, expected[0])
print("done")
"""
    assert output_of(code) == "done"


SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import os, sys, warnings
{before}
code = '''
import sys
sys.path[:0] = {path}
import numpy as np
import aotconv
images, filters = np.ones((1, 99, 99, 2), "f4"), np.ones((3, 3, 2, 4), "f4")
for threads in (1, 2, None):
    assert (aotconv.conv2d(images, filters, threads=threads) == 18).all()
'''.replace("{{path}}", repr(sys.path))
said = []
for _ in range(2):
    own = interpreters.create()
    try:
        failure = interpreters.run_string(own, code)  # raises before Python 3.13
    except interpreters.RunFailedError as error:
        failure = error
    said.append("right" if failure is None else "refused" if "ImportError" in str(failure) else
        str(failure))
    interpreters.destroy(own)
try:
    import numpy as np, aotconv
except ImportError:
    said.append("refused")
else:
    images, filters = np.ones((1, 99, 99, 2), "f4"), np.ones((3, 3, 2, 4), "f4")
    assert (aotconv.conv2d(images, filters, threads=2) == 18).all()
    said.append("right")
print(*said)
"""


@pytest.mark.parametrize("before", ["", "import numpy", "import aotconv"])
def test_a_subinterpreter_computes_right_or_is_refused(before):
    # NumPy refuses all interpreters of a process but the first that imports it.
    if sys.version_info >= (3, 14):
        pytest.skip("concurrent.interpreters took their place")
    code = WATCHED + SUBINTERPRETER.format(before=before, path="{path}")
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    said = result.stdout.split()
    assert len(said) == 3 and set(said) <= {"right", "refused"}, result.stdout
    assert not before or said[2] == "right"
