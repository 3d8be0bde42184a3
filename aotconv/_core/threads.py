"""How many threads a call uses."""

from __future__ import annotations

import math
import os
import time

from .check import integer
from .granted import cpus, quota
from .team import confine

# Work that is worth a thread, where helpers are awake since calls follow each other, and where they
# sleep: to wake one takes 10 microseconds of the caller's, and some 50 more until it works.
MICROSECONDS_AWAKE, MICROSECONDS_ASLEEP = 50, 100
# Calls follow each other where they begin within so many times what one takes.
FOLLOWING = 4

# Threads of one call at most, for each CPU: more gain nothing.
THREADS_PER_CPU = 4

_default: int | None = None  # set_num_threads
_most: int | None = None  # limit
_last = 0  # when a call last asked, in nanoseconds


def _told(variable: str) -> int | None:
    """The number in a variable of OpenMP's, the first of a list; None where it says none."""
    try:
        number = int(os.environ.get(variable, "").partition(",")[0])
    except ValueError:
        return None
    return number if number > 0 else None


def _unlimited() -> int:
    """Threads that a call may use by default, but for `limit`."""
    if _default is not None:
        return _default
    available = cpus()
    confine(available)
    threads = _told("OMP_NUM_THREADS") or max(1, math.ceil(min(len(available), quota())))
    return min(threads, _told("OMP_THREAD_LIMIT") or threads)


def get_num_threads() -> int:
    """Threads that a call may use by default.

    What `set_num_threads` set, else OMP_NUM_THREADS, else as many as this process may keep CPUs
    busy: those that it may run on, and no more than the time that a container's quota (cgroup)
    grants.  Never more than OMP_THREAD_LIMIT and threadpoolctl allow.

    Returns
    -------
    int
    """
    threads = _unlimited()
    return threads if _most is None else min(threads, _most)


def set_num_threads(threads: int | None) -> None:
    """Set the threads that a call may use by default.

    Parameters
    ----------
    threads : int or None
        At least 1; None goes back to what the system and OMP_NUM_THREADS say.
    """
    global _default
    _default = None if threads is None else integer("threads", threads, 1)


def limit(threads: int) -> None:
    """Let `get_num_threads` give no more, until another limit is set; what it would give without
    one is none."""
    global _most
    _most = max(1, threads) if threads < _unlimited() else None


def count(requested: int | None, microseconds: float) -> int:
    """The number of threads for a call: `requested`, or as many as its work is worth.

    Parameters
    ----------
    microseconds : float
        What the call takes on one thread, roughly.
    """
    if requested is not None:
        return min(requested, THREADS_PER_CPU * (os.cpu_count() or 1))
    if microseconds < 2 * MICROSECONDS_AWAKE:
        return 1
    global _last
    now = time.perf_counter_ns()
    follows, _last = now - _last < FOLLOWING * 1000 * microseconds, now
    worth = int(microseconds / (MICROSECONDS_AWAKE if follows else MICROSECONDS_ASLEEP))
    return 1 if worth < 2 else count(min(worth, get_num_threads()), microseconds)
