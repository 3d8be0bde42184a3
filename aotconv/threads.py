"""How many threads a call uses, and the OpenMP runtime that provides them.

The kernels are not linked to an OpenMP runtime: its one entry that they need is looked up when a
call first wants a second thread.  Where there is none, calls run on one thread.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys

from .check import integer

# Below this, a second thread costs more than it brings (a team starts in 2 to 3 microseconds).
MULTIPLY_ADDS_PER_THREAD = 250_000

_LIBRARIES = {
    "linux": ("libgomp.so.1", "libomp.so.5", "libomp.so"),
    "darwin": ("libomp.dylib",),
}

_limit: int | None = None  # set_num_threads
_team_process: int | None = None  # the process whose OpenMP threads run


@functools.cache
def openmp_runtime() -> ctypes.CDLL | None:
    """The OpenMP runtime, or None where none is installed."""
    for name in _LIBRARIES.get(sys.platform, ()):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        if hasattr(library, "GOMP_parallel"):
            return library
    return None


@functools.cache
def _team_entry() -> int:
    """The address of GOMP_parallel."""
    entry = openmp_runtime().GOMP_parallel
    return ctypes.cast(entry, ctypes.c_void_p).value or 0


def get_num_threads() -> int:
    """Threads that a call may use by default.

    What `set_num_threads` set, else what the OpenMP runtime says: it honours OMP_NUM_THREADS, the
    CPUs that this process may run on, and threadpoolctl.  In a child of a fork of a process that
    has computed on several threads it is 1, because OpenMP's threads do not survive a fork.

    Returns
    -------
    int
    """
    runtime = openmp_runtime()
    if runtime is None or _team_process not in (None, os.getpid()):
        return 1
    return _limit if _limit is not None else max(1, runtime.omp_get_max_threads())


def set_num_threads(threads: int | None) -> None:
    """Set the threads that a call may use by default.

    Parameters
    ----------
    threads : int or None
        At least 1; None goes back to what the OpenMP runtime says.
    """
    global _limit
    _limit = None if threads is None else integer("threads", threads, 1)


def team(requested: int | None, multiply_adds: int) -> int:
    """The number of threads for a call: `requested`, or as many as its work is worth."""
    if requested is None and multiply_adds < 2 * MULTIPLY_ADDS_PER_THREAD:
        return 1
    available = get_num_threads()
    if requested is None:
        return min(available, multiply_adds // MULTIPLY_ADDS_PER_THREAD)
    alone = openmp_runtime() is None or _team_process not in (None, os.getpid())
    return 1 if alone else requested


def entry(threads: int) -> int:
    """What a kernel needs to start a team of `threads`: GOMP_parallel's address; 0 for one."""
    global _team_process
    if threads <= 1:
        return 0
    _team_process = os.getpid()
    return _team_entry()
