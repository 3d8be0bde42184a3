"""How many threads a call uses, and the OpenMP runtime that provides them.

The kernels are not linked to an OpenMP runtime: its one entry that they need is looked up when a
call first wants a second thread.  Where there is none, calls run on one thread.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
import sys
from collections.abc import Iterator

from .check import integer

# Work that is worth a thread.  A team that runs already starts in 2 to 3 microseconds, but a new
# one, or one whose threads have gone to sleep, can cost milliseconds.
MICROSECONDS_PER_THREAD = 100

_LIBRARIES = {
    "linux": ("libgomp.so.1", "libomp.so.5", "libomp.so"),
    "darwin": ("libomp.dylib",),
}

# Threads of one call at most, for each CPU: more gain nothing, and OpenMP's runtime ends the
# process where it cannot start as many as it is asked for.
THREADS_PER_CPU = 4

# Names, not Paths: to import pathlib would take a third of the package's import.
_CGROUP, _OWN_CGROUP = "/sys/fs/cgroup", "/proc/self/cgroup"
_OWN_STATE = "/proc/self/stat"

_limit: int | None = None  # set_num_threads
# OpenMP's threads do not survive a fork, whoever started them: a child that asks for a team waits
# for ever.
_process = os.getpid()


def _is_loaded(name: str) -> bool:
    """Whether somebody has loaded a library into this process."""
    try:
        ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return False
    return True


def _text(path: str) -> str:
    """What a file of the system says; names in it may be no UTF-8."""
    with open(path, "rb") as file:
        return os.fsdecode(file.read())


def _began_as_a_fork() -> bool:
    """Whether this process was forked and has executed no program since, as far as Linux tells."""
    try:
        words = _text(_OWN_STATE).rpartition(")")[2].split()
    except OSError:
        return False
    return bool(int(words[6]) & 0x40)  # of its flags, PF_FORKNOEXEC


@functools.cache
def openmp_runtime() -> ctypes.CDLL | None:
    """The OpenMP runtime, or None where none is installed."""
    for name in _LIBRARIES.get(sys.platform, ()):
        if _is_loaded(name) and _began_as_a_fork():
            return None  # the parent may have used its threads, which did not survive
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        if hasattr(library, "GOMP_parallel"):
            return library
    return None


@functools.cache
def _gomp_parallel() -> int:
    """The address of GOMP_parallel."""
    runtime = openmp_runtime()
    if runtime is None:
        raise RuntimeError("a team of threads was asked for where no OpenMP runtime is")
    return ctypes.cast(runtime.GOMP_parallel, ctypes.c_void_p).value or 0


def _control_groups() -> Iterator[tuple[str, bool]]:
    """The folders of the control groups that this process is in, and whether of version 1."""
    try:
        lines = _text(_OWN_CGROUP).splitlines()
    except OSError:
        return  # not Linux, or no /proc
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers == "" or "cpu" in controllers.split(","):
            root = f"{_CGROUP}/cpu" if controllers else _CGROUP
            folder = f"{root}/{name.strip('/')}".rstrip("/")
            while len(folder) >= len(root):
                yield folder, bool(controllers)
                folder = os.path.dirname(folder)


def _granted(folder: str, version_1: bool) -> float:
    """CPUs' worth of time that a control group grants; infinity if it sets no limit."""
    try:
        if version_1:
            quota, period = (_text(f"{folder}/cpu.cfs_{n}_us") for n in ("quota", "period"))
        else:
            quota, period = _text(f"{folder}/cpu.max").split()
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf


@functools.cache
def _quota() -> float:
    """The least that a control group of this process grants."""
    return min((_granted(*group) for group in _control_groups()), default=math.inf)


def _cpus() -> int:
    """CPUs that this thread may keep busy now: those it may run on, and no more than the time that
    a container's quota grants, which OpenMP's runtimes do not look at."""
    mine = hasattr(os, "sched_getaffinity")
    available = len(os.sched_getaffinity(0)) if mine else os.cpu_count() or 1
    return max(1, math.ceil(min(available, _quota())))


def get_num_threads() -> int:
    """Threads that a call may use by default.

    What `set_num_threads` set, else what the OpenMP runtime says: it honours OMP_NUM_THREADS, the
    CPUs that this process may run on, and threadpoolctl.  Without OMP_NUM_THREADS it is no more
    than the CPU time that a container's quota (cgroup) grants.  It is 1 where no OpenMP runtime is
    installed, and in the child of a fork, because OpenMP's threads do not survive one.

    Returns
    -------
    int
    """
    runtime = openmp_runtime()
    if runtime is None or os.getpid() != _process:
        return 1
    if _limit is not None:
        return _limit
    threads = max(1, runtime.omp_get_max_threads())
    return threads if "OMP_NUM_THREADS" in os.environ else min(threads, _cpus())


def set_num_threads(threads: int | None) -> None:
    """Set the threads that a call may use by default.

    Parameters
    ----------
    threads : int or None
        At least 1; None goes back to what the OpenMP runtime says.
    """
    global _limit
    _limit = None if threads is None else integer("threads", threads, 1)


def count(requested: int | None, microseconds: float) -> int:
    """The number of threads for a call: `requested`, or as many as its work is worth.

    Parameters
    ----------
    microseconds : float
        What the call takes on one thread, roughly.
    """
    worth = int(microseconds / MICROSECONDS_PER_THREAD)
    if requested == 1 or (requested is None and worth < 2):
        return 1
    if openmp_runtime() is None or os.getpid() != _process:
        return 1
    wanted = min(worth, get_num_threads()) if requested is None else requested
    return min(wanted, THREADS_PER_CPU * (os.cpu_count() or 1))


def gomp_parallel(threads: int) -> int:
    """What a kernel needs to start a team of `threads`: GOMP_parallel's address; 0 for one."""
    return _gomp_parallel() if threads > 1 else 0
