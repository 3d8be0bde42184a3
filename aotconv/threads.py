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

# Work that is worth a thread.  A team that runs already starts in 2 to 3 microseconds, but a new
# one, or one whose threads have gone to sleep, can cost milliseconds.
MICROSECONDS_PER_THREAD = 100

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
    runtime = openmp_runtime()
    if runtime is None:
        raise RuntimeError("a team of threads was asked for where no OpenMP runtime is")
    return ctypes.cast(runtime.GOMP_parallel, ctypes.c_void_p).value or 0


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


def team(requested: int | None, microseconds: float) -> int:
    """The number of threads for a call: `requested`, or as many as its work is worth.

    Parameters
    ----------
    microseconds : float
        What the call takes on one thread, roughly.
    """
    worth = int(microseconds / MICROSECONDS_PER_THREAD)
    if requested == 1 or (requested is None and worth < 2):
        return 1
    if openmp_runtime() is None or _team_process not in (None, os.getpid()):
        return 1
    return requested if requested is not None else min(worth, get_num_threads())


def entry(threads: int) -> int:
    """What a kernel needs to start a team of `threads`: GOMP_parallel's address; 0 for one."""
    global _team_process
    if threads <= 1:
        return 0
    _team_process = os.getpid()
    return _team_entry()
