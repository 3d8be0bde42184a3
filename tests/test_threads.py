"""Threads: the GIL, the team, forks, and the same bits from any number of threads."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
from ctypes.util import find_library

import numpy as np
import pytest
from conftest import AOT_LEVELS
from processes import THREADS, WATCHED, output_of

import aotconv
from aotconv._core import granted, team, threads
from aotconv._plan.registry import BASELINE_MODULE
from aotconv._plan.team import MOST_HELPERS, places
from aotconv._tools.problem import FUNCTIONS

RNG = np.random.default_rng(0)
HAS_BASELINE = importlib.util.find_spec(f"aotconv.{BASELINE_MODULE}") is not None
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
            signal.alarm(100)
        next(each for each in threads if each.is_alive() or each is threads[-1]).join(1)
    assert not wrong and sum(done) == 16 * rounds * len(tasks), wrong[:5]
    print("done")
"""
)


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


@pytest.mark.skipif(
    len(getattr(os, "sched_getaffinity", lambda _: ())(0)) < 2,
    reason="needs two CPUs to choose from",
)
@pytest.mark.parametrize("asked", [True, False], ids=["asked for the number", "never asked"])
@pytest.mark.parametrize("helped", [True, False], ids=["beside helpers", "without helpers"])
def test_cpus_that_are_taken_from_the_process_count_and_those_of_a_thread_do_not(helped, asked):
    code = f"""
import os, threading, time
import numpy as np, aotconv
from aotconv._core import granted
granted._LOOK_AGAIN = 0
cpus = os.sched_getaffinity(0)
few = {{min(cpus)}}
def confine(threads, cpus):
    for each in threads:
        os.sched_setaffinity(each, cpus)
def compute(threads):
    aotconv.conv2d(np.ones((1, 50, 50, 8)), np.ones((3, 3, 8, 8)), threads=threads)
{THREADS}
compute({2 if helped else 1})
stay = threading.Event()
threading.Thread(target=stay.wait).start()
said = [aotconv.get_num_threads() == len(cpus)]
confine([0], few)  # as OpenMP's runtimes do where they are told to bind threads
said += [aotconv.get_num_threads() == len(cpus)]
confine(others(), few)
if {asked}:
    said += [aotconv.get_num_threads() == 1]
until, confined = time.monotonic() + 10, False
while not confined and time.monotonic() < until:
    compute(2)  # a helper hears of it when it next looks for a job
    confined = [os.sched_getaffinity(each) for each in helpers()] == [few]
said += [confined]
confine(others(), cpus)
said += [aotconv.get_num_threads() == len(cpus)]
stay.set()
print(*said)
"""
    said = output_of(code, OMP_NUM_THREADS=None).split()
    assert said == ["True"] * (4 + asked)


@pytest.mark.parametrize("variable", ["OMP_PLACES", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY"])
def test_a_thread_that_openmp_binds_sees_all_cpus_of_the_process(variable):
    if find_library("gomp") is None:
        pytest.skip("needs an OpenMP runtime that binds threads")
    first = min(os.sched_getaffinity(0))
    values = {"OMP_PLACES": "cores", "OMP_PROC_BIND": "true", "GOMP_CPU_AFFINITY": str(first)}
    code = f"""
import ctypes, os, aotconv
before = aotconv.get_num_threads()
runtime = ctypes.CDLL({find_library("gomp")!r})
runtime.GOMP_parallel(ctypes.CDLL(None).getpid, None, 1, 0)
print(len(os.sched_getaffinity(0)), before, aotconv.get_num_threads())
"""
    bound, before, after = output_of(
        code, OMP_NUM_THREADS=None, **{variable: values[variable]}
    ).split()
    assert bound == "1" and before == after == str(len(os.sched_getaffinity(0)))


WATCHED_BY_THREADPOOLCTL = """
def infos():
    return [each for each in threadpoolctl.threadpool_info() if each["user_api"] == "aotconv"]
def seen():
    (info,) = infos()
    assert info["internal_api"] == "aotconv" and info["version"] == aotconv.__version__, info
    return info["num_threads"]
def limited():
    before = aotconv.get_num_threads()
    for limits in (1, {{"aotconv": 1}}):
        with threadpoolctl.threadpool_limits(limits):
            assert seen() == aotconv.get_num_threads() == 1
            with threadpoolctl.threadpool_limits(5):
                assert aotconv.get_num_threads() == min(5, before)
            assert aotconv.get_num_threads() == 1
        assert seen() == aotconv.get_num_threads() == before
    return before
{first}
import numpy as np
{then}
print(limited())
aotconv.set_num_threads(7)
print(limited())
aotconv.set_num_threads(None)
print(limited())
"""


@pytest.mark.skipif(not HAS_BASELINE, reason="threadpoolctl sees modules that were built")
@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("import threadpoolctl, aotconv", ""),
        (
            "import aotconv, threadpoolctl",
            "assert not infos()\n"
            "aotconv.conv2d(np.ones((1, 50, 50, 8)), np.ones((3, 3, 8, 8)), threads=2)",
        ),
        (
            "import aotconv, threadpoolctl",
            "assert not infos()\nfor _ in range(2):\n    aotconv.register_threadpoolctl()",
        ),
    ],
    ids=["imported before", "when a team starts", "by hand"],
)
def test_threadpoolctl_sees_and_limits_the_default(first, then):
    code = WATCHED_BY_THREADPOOLCTL.format(first=first, then=then)
    assert output_of(code, OMP_NUM_THREADS="3").split() == ["3", "7", "3"]


def test_an_old_threadpoolctl_is_left_alone():
    code = """
import sys, types
import numpy as np
sys.modules["threadpoolctl"] = old = types.ModuleType("threadpoolctl")
old.LibController = object
import aotconv
assert (aotconv.conv2d(np.ones((1, 9, 9, 1)), np.ones((3, 3, 1, 1)), threads=2) == 9).all()
try:
    aotconv.register_threadpoolctl()
except ImportError:
    print("refused")
"""
    assert output_of(code) == "refused"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A function that makes files of control groups for a machine of sixteen CPUs, and asks for the
    number of threads there."""

    def ask(groups, files, omp_num_threads=None):
        for name, text in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        if groups is not None:
            (tmp_path / "own").write_bytes(os.fsencode(groups))
        granted.quota.cache_clear()
        return aotconv.get_num_threads()

    monkeypatch.setattr(granted, "_CGROUP", str(tmp_path / "cgroup"))
    monkeypatch.setattr(granted, "_OWN_CGROUP", str(tmp_path / "own"))
    monkeypatch.setattr(threads, "cpus", lambda: set(range(16)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads._told.cache_clear()
    yield ask
    threads._told.cache_clear()
    granted.quota.cache_clear()


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (None, {}, 16),
        ("0::/\n", {}, 16),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 16),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "1000 1000000\n"}, 1),
        ("0::/\n", {"cpu.max": "9900000 100000\n"}, 16),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "500000 100000\n"}, 4),
        ("0::/a\n", {"b/cpu.max": "100000 100000\n"}, 16),
        ("0::/a: b\n", {"a: b/cpu.max": "300000 100000\n"}, 3),
        # A namespace's own root lies above it, or the folder is mounted as if it were the root.
        ("0::/../../c\n", {"cpu.max": "max 100000\n"}, 16),
        ("0::/docker/0123\n", {"cpu.max": "300000 100000\n"}, 3),
        (
            "2:cpu,cpuacct:/a\n1:name=systemd:/\n0::/\n",
            {"cpu/a/cpu.cfs_quota_us": "250000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        (
            "2:cpu:/a/b\n",
            {
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "cpu/a/cpu.cfs_quota_us": "500000\n",
                "cpu/a/cpu.cfs_period_us": "100000\n",
                "cpu/a/b/cpu.cfs_quota_us": "-1\n",
                "cpu/a/b/cpu.cfs_period_us": "100000\n",
            },
            5,
        ),
        ("2:cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "1\n", "cpu/a/cpu.cfs_period_us": "9\n"}, 16),
        ("0::/\udcff\n", {"\udcff/cpu.max": "300000 100000\n"}, 3),  # a name that is no UTF-8
        ("0::/\n", {"cpu.max": ""}, 16),
        ("0::/\n", {"cpu.max": "nonsense\n"}, 16),
    ],
)
def test_a_containers_quota_limits_the_default(machine, groups, files, expected):
    assert machine(groups, files) == expected


def test_omp_num_threads_and_set_num_threads_outrank_a_containers_quota(machine, monkeypatch):
    quota = "0::/\n", {"cpu.max": "200000 100000\n"}
    assert machine(*quota) == 2
    try:
        aotconv.set_num_threads(7)
        assert machine(*quota) == 7
    finally:
        aotconv.set_num_threads(None)
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    threads._told.cache_clear()
    assert machine(*quota) == 16


STARTED = """
import os, numpy as np, aotconv
def running():
    return len(os.listdir("/proc/self/task"))
layer = aotconv.Conv2D(np.ones((3, 3, 64, 64), np.float32))
images = np.ones((1, 150, 150, 64), np.float32)
before = running()
aotconv.get_num_threads()
layer(images, threads=1)
layer(images[:, :5, :5])
started = [running() - before]
for threads in {threads}:
    layer(images, threads=threads)
    started.append(running() - before)
print(*started)
"""


@needs_proc
@pytest.mark.parametrize(
    ("asked", "expected", "environment"),
    [
        ((2, 3), "0 1 2", {}),
        ((1, None), "0 0 0", {"OMP_NUM_THREADS": "1"}),
        ((None, None), "0 2 2", {"OMP_NUM_THREADS": "3"}),
        ((None, 3), "0 0 2", {"OMP_THREAD_LIMIT": "1"}),
        ((None,), "0 1", {"OMP_NUM_THREADS": "8", "OMP_THREAD_LIMIT": "2"}),
    ],
)
def test_no_more_threads_start_than_are_asked_for(asked, expected, environment):
    assert output_of(STARTED.format(threads=asked), **environment) == expected


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"OMP_NUM_THREADS": "2,1"}, "2"),
        ({"OMP_NUM_THREADS": " 3 "}, "3"),
        ({"OMP_NUM_THREADS": "many"}, ""),
        ({"OMP_NUM_THREADS": "-1"}, ""),
        ({"OMP_NUM_THREADS": "4", "OMP_THREAD_LIMIT": "2"}, "2"),
        ({"OMP_PLACES": "threads", "OMP_PROC_BIND": "spread"}, ""),
    ],
)
def test_what_openmp_is_told_says_how_many_threads_compute_or_nothing(environment, threads):
    code = f"{WATCHED}{EVERY_FAMILY}\nassert compute(None) and compute(3)"
    code += "\nprint(aotconv.get_num_threads())"
    expected = threads or str(len(os.sched_getaffinity(0)))
    assert output_of(code, **{"OMP_NUM_THREADS": None, **environment}) == expected


# Whether all families compute the bits that one thread gets.
EVERY_FAMILY = """
import threading
import numpy as np, aotconv
rng = np.random.default_rng(0)
def draw(shape):
    return rng.standard_normal(shape, np.float32)
def case(shape, window, **options):
    make = {3: aotconv.Conv1D, 4: aotconv.Conv2D, 5: aotconv.Conv3D}[len(window)]
    return draw(shape), make(draw(window), **options)
cases = [
    case((1, 40, 40, 32), (3, 3, 32, 64)),
    case((1, 32, 40, 40), (3, 3, 32, 64), data_format="NCHW"),
    case((2, 60, 60, 3), (4, 4, 3, 4)),
    case((1, 40, 40, 32), (3, 3, 4, 32), groups=8),
    case((1, 60, 60, 64), (5, 5, 1, 64), groups=64),
    case((1, 300, 300, 1), (5, 5, 1, 1)),
    case((1, 100, 100, 3), (9, 9, 1, 3), groups=3, strides=2),
    case((4, 2000, 16), (9, 16, 32), padding="causal"),
    case((1, 12, 30, 30, 8), (3, 3, 3, 8, 16)),
    case((1, 12, 30, 30, 24), (3, 3, 3, 1, 24), groups=24),
]
if aotconv.active().name != "numpy":
    cases.append(case((1, 40, 40, 32), (3, 3, 32, 64), algorithm="winograd"))
expected = [layer(images, threads=1) for images, layer in cases]
def compute(threads):
    return all(np.array_equal(layer(images, threads=threads), each)
        for (images, layer), each in zip(cases, expected))
"""


@pytest.mark.parametrize("kibibytes", [32, 64, 256])
def test_a_python_thread_of_a_small_stack_computes(kibibytes):
    try:
        threading.stack_size(threading.stack_size(kibibytes << 10))
    except ValueError:
        pytest.skip("the C library has no stacks that small; AArch64's begin at 128 KiB")
    code = f"""{WATCHED}{EVERY_FAMILY}
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


@pytest.fixture
def eight(monkeypatch):
    """A function ``(microseconds, pause)``: how many threads a call takes that comes so many
    nanoseconds after the last one, on a machine of eight CPUs."""
    now, taken = 10**12, []
    monkeypatch.setattr(threads, "_last", 0)
    monkeypatch.setattr(threads, "_known_until", 0)
    monkeypatch.setattr(threads, "_most", lambda: 32)
    monkeypatch.setattr(threads, "get_num_threads", lambda: 8)
    monkeypatch.setattr(threads.time, "perf_counter_ns", lambda: now)

    def takes(microseconds, pause):
        nonlocal now
        now += pause
        threads.share(taken.append, microseconds)
        return taken[-1]

    return takes


def test_large_work_takes_threads_and_where_calls_follow_each_other_more(eight):
    amounts = 110, 170, 350, 1e9
    assert [eight(each, 10**15) for each in amounts] == [1, 1, 3, 8]
    assert [eight(each, 300_000) for each in amounts] == [2, 3, 7, 8]
    assert threads.at_most(5) == 5
    assert threads.at_most(10**9) == 32


def test_calls_follow_each_other_where_the_time_between_is_short_for_what_they_take(eight):
    assert [eight(110, pause) for pause in (10**9, 10**5, 10**5, 10**6, 10**5)] == [1, 2, 2, 1, 2]


def test_callers_at_once_have_a_share_each(eight, monkeypatch):
    for others, share in {1: 4, 2: 2, 6: 1, 15: 1}.items():
        monkeypatch.setattr(threads, "_callers", set(range(others)))
        assert eight(1e9, 0) == share
        assert threads._callers == set(range(others))


def test_a_call_within_a_call_of_the_same_thread_is_no_other_caller(eight):
    seen = []
    threads.share(lambda _: seen.append(eight(1e9, 0)) or seen.append(len(threads._callers)), 1e9)
    assert seen == [8, 1] and not threads._callers


def test_a_child_that_a_handler_forked_computes_on(eight):
    threads.share(lambda _: threads._callers.clear() or eight(1e9, 0), 1e9)
    assert threads._worth(1e9) == 8


@pytest.mark.parametrize(
    ("threads_of_call", "callers", "limit", "helpers"),
    [
        (8, 1, 8, 7),
        (4, 2, 8, 3),  # which share already
        (2, 4, 8, 1),
        (1, 8, 8, 0),
        (8, 2, 8, 3),  # which asked for all
        (8, 16, 8, -1),
        (2, 2, 64, 1),  # which asked for few
        (4, 1, 2, 3),  # who asked for more than there is by default
        (4, 2, 2, 1),
        (10**6, 1, 2, MOST_HELPERS),
    ],
)
def test_callers_share_helpers_and_no_share_is_shared_again(
    threads_of_call, callers, limit, helpers
):
    assert places(threads_of_call, callers, limit) == helpers


def test_small_calls_ask_for_no_thread(monkeypatch):
    monkeypatch.setattr(threads, "share", None)
    assert (aotconv.conv2d(np.ones((1, 5, 5, 1), "f4"), np.ones((3, 3, 1, 1), "f4")) == 9).all()


def test_where_no_team_can_be_had_calls_run_on_one_thread(monkeypatch):
    monkeypatch.setattr(team, "_made", {})
    monkeypatch.setattr(team, "exported", lambda name: None)
    assert team.team_of(4) == (1, 0)
    result = aotconv.conv2d(np.ones((1, 9, 9, 2), "f4"), np.ones((3, 3, 2, 4), "f4"), threads=4)
    assert (result == 18).all()


@pytest.mark.parametrize("n", [1000, 2**31, 2**63 - 1])
def test_absurdly_many_threads_are_not_started(n):
    images, filters = np.ones((4, 40, 40, 8), "f4"), np.ones((3, 3, 8, 8), "f4")
    assert (aotconv.conv2d(images, filters, threads=n) == 72).all()
    assert team.helpers() < threads.THREADS_PER_CPU * os.cpu_count()


@needs_proc
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
