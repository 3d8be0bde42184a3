"""How many threads a call uses, and who may limit them."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

from .._plan.registry import BASELINE_MODULE
from .check import integer
from .granted import cpus, quota
from .team import confine
from .version import __version__

# Work that is worth a thread: of calls that follow each other, so that helpers may still be awake
# (SPIN of `_kernels/team.py`) and what they read is in their caches; and of a call by itself.
MICROSECONDS_FOLLOWING, MICROSECONDS_ALONE = 50, 100
WORTH_SHARING = 2 * MICROSECONDS_FOLLOWING
# Calls follow each other where they begin within so many times what one takes.
FOLLOWING = 4
ASK_AGAIN = 10_000_000  # nanoseconds after which a call asks the system again for its CPUs

THREADS_PER_CPU = 4  # of one call at most: more gain nothing

_default: int | None = None  # set_num_threads
_allowed: int | None = None  # threadpoolctl
_last = 0  # when a call last asked, in nanoseconds
_callers: set[int] = set()  # Python threads that are in `share`, by their identifiers
_known, _known_until = 1, 0  # what `get_num_threads` said, and for how long it is not asked again


@functools.cache
def _most() -> int:
    """Threads of one call at most."""
    return THREADS_PER_CPU * (os.cpu_count() or 1)


@functools.cache
def _told(variable: str) -> int | None:
    """The number that a variable of OpenMP's says when it is first asked, the first of a list; None
    where it says none."""
    try:
        number = int(os.environ.get(variable, "").partition(",")[0])
    except ValueError:
        return None
    return number if number > 0 else None


def _unlimited() -> int:
    """Threads that a call may use by default, but for what threadpoolctl allows."""
    if _default is not None:
        return _default
    threads = _told("OMP_NUM_THREADS") or max(1, math.ceil(min(len(cpus()), quota())))
    return min(threads, _told("OMP_THREAD_LIMIT") or threads)


def get_num_threads() -> int:
    """Threads that a call may use by default.

    What `set_num_threads` set; else OMP_NUM_THREADS, else as many as this process may keep CPUs
    busy: those that it may run on, and no more than the time that a container's quota (cgroup)
    grants; of these no more than OMP_THREAD_LIMIT.  Never more than threadpoolctl allows.

    Returns
    -------
    int
    """
    threads = _unlimited()
    return threads if _allowed is None else min(threads, _allowed)


def set_num_threads(threads: int | None) -> None:
    """Set the threads that a call may use by default.

    Parameters
    ----------
    threads : int or None
        At least 1; None goes back to what the system and OMP_NUM_THREADS say.
    """
    global _default, _known_until
    _default = None if threads is None else integer("threads", threads, 1)
    _known_until = 0


def _allow(threads: int) -> None:
    """Let `get_num_threads` give no more, until another number is allowed.

    One that is no lower than what it gives anyway is no limit: threadpoolctl lifts one by setting
    the number that it found.
    """
    global _allowed, _known_until
    _allowed = max(1, threads) if threads < _unlimited() else None
    _known_until = 0


@functools.cache
def register_threadpoolctl() -> None:
    """Let threadpoolctl see the threads of a call, and limit them.

    It happens by itself where threadpoolctl is imported before aotconv, or before a call that uses
    several threads.  The user API is "aotconv".

    Raises
    ------
    ImportError
        Where threadpoolctl, of version 3.2 or newer, is not installed.
    """
    from threadpoolctl import LibController, register

    class CallThreads(LibController):
        """Threads of a call, known by the module that has the team's code."""

        user_api = internal_api = "aotconv"
        filename_prefixes = (BASELINE_MODULE,)
        check_symbols = (f"PyInit_{BASELINE_MODULE}",)

        def get_num_threads(self) -> int:
            return get_num_threads()

        def set_num_threads(self, num_threads: int) -> None:
            _allow(num_threads)

        def get_version(self) -> str:
            return __version__

    register(CallThreads)


def _register_if_loaded() -> None:
    """`register_threadpoolctl`, where somebody has imported threadpoolctl."""
    if "threadpoolctl" in sys.modules:
        with contextlib.suppress(ImportError):  # it is older than 3.2
            register_threadpoolctl()


def at_most(requested: int) -> int:
    """As many threads as were asked for, but no more than are of any use."""
    if requested > 1:
        _available(time.perf_counter_ns())
    return min(requested, _most())


def share(compute: Callable[..., None], microseconds: float, *arrays: np.ndarray | None) -> None:
    """Call ``compute(*arrays, threads)`` with as many threads as the work is worth and other calls
    leave.

    Parameters
    ----------
    microseconds : float
        What it takes on one thread, roughly; WORTH_SHARING or more.
    """
    caller = threading.get_ident()
    within = caller in _callers  # a signal's handler computes, too
    try:
        _callers.add(caller)
        compute(*arrays, _worth(microseconds))
    finally:
        if not within:
            _callers.discard(caller)


def _worth(microseconds: float) -> int:
    """How many threads a call is worth now, at most this caller's share of them."""
    global _last
    now = time.perf_counter_ns()
    follows, _last = now - _last < FOLLOWING * 1000 * microseconds, now
    worth = int(microseconds / (MICROSECONDS_FOLLOWING if follows else MICROSECONDS_ALONE))
    # A handler that forks leaves its child without callers.
    return 1 if worth < 2 else max(1, min(worth, _available(now) // max(1, len(_callers))))


def _available(now: int) -> int:
    """`get_num_threads`, as it was at most ASK_AGAIN ago; then helpers heard of its CPUs."""
    global _known, _known_until
    if now >= _known_until:
        _known, _known_until = min(get_num_threads(), _most()), now + ASK_AGAIN
        confine(cpus(), _known)
        _register_if_loaded()
    return _known


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_callers.clear)

_register_if_loaded()
