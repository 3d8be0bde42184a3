"""How many threads a call uses: what the system grants, what is asked for, and who shares."""

from __future__ import annotations

import importlib.util
import os
from ctypes.util import find_library

import numpy as np
import pytest
from processes import EVERY_FAMILY, THREADS, WATCHED, output_of

import aotconv
from aotconv._core import granted, team, threads
from aotconv._plan.registry import BASELINE_MODULE
from aotconv._plan.team import MOST_HELPERS, places

HAS_BASELINE = importlib.util.find_spec(f"aotconv.{BASELINE_MODULE}") is not None
needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")


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
    compute(2)  # a helper hears of it when it next looks for a launch
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
