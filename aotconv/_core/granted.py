"""The CPUs and the CPU time that the system grants this process."""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Iterator

from .._plan.team import HELPER

# Names, not Paths: to import pathlib would take a third of the package's import.
_CGROUP, _OWN_CGROUP = "/sys/fs/cgroup", "/proc/self/cgroup"
_THREADS = "/proc/self/task"

# Where one of these is set, OpenMP's runtimes bind the thread that loads them to a CPU.
_BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
_LOOK_AGAIN = 1.0  # seconds between two looks at other threads


def _text(path: str) -> str:
    """What a file of the system says; names in it may be no UTF-8."""
    with open(path, "rb") as file:
        return os.fsdecode(file.read())


def _masks() -> Iterator[set[int]]:
    """The CPUs that each thread of this process may run on, but for helpers of the team."""
    try:
        threads = os.listdir(_THREADS)
    except OSError:
        return  # no /proc
    for thread in threads:
        try:
            if _text(f"{_THREADS}/{thread}/comm").strip() != HELPER:
                yield os.sched_getaffinity(int(thread))
        except OSError:
            continue  # it has ended


class Cpus:
    """The CPUs that this process may run on.

    Noted at first.  Later a thread's own may be fewer, because a runtime bound it; what all threads
    share was done to the process.  Where a variable tells runtimes to bind threads, they may have
    done so before: then any thread's count, when they are first asked for, and from then on.
    """

    def __init__(self) -> None:
        self._knows = hasattr(os, "sched_getaffinity")
        self._noted = os.sched_getaffinity(0) if self._knows else set(range(os.cpu_count() or 1))
        self._bound = self._knows and any(name in os.environ for name in _BINDING)
        self._looked: tuple[set[int], float] = set(), 0.0

    def now(self) -> set[int]:
        """Those of now."""
        if self._bound:
            self._noted, self._bound, self._knows = self._noted.union(*_masks()), False, False
        if not self._knows:
            return self._noted
        mine = os.sched_getaffinity(0)
        if mine != self._noted:
            now = time.monotonic()
            mask, looked = self._looked
            if mask != mine or now - looked > _LOOK_AGAIN:
                self._looked = mine, now
                if all(each == mine for each in _masks()):
                    self._noted = mine
        return self._noted


_cpus = Cpus()


def cpus() -> set[int]:
    """The CPUs that this process may run on."""
    return _cpus.now()


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
def quota() -> float:
    """CPUs' worth of time that the control groups of this process grant; infinity if they set no
    limit."""
    return min((_granted(*group) for group in _control_groups()), default=math.inf)
