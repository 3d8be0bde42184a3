"""The team of this process, made when a call first wants a second thread."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable

from .._plan.team import CONFINED, FUNCTIONS, MASK, MASK_WORDS, STARTED, TEAM_WORDS
from .baseline import exported
from .granted import cpus


class Team:
    """A team's memory, which is never freed.

    Attributes
    ----------
    address : int
        What compiled code knows it by.
    """

    def __init__(self, allocate: Callable[[], int], begin: Callable[..., None]) -> None:
        library = ctypes.CDLL(None)
        pointers = (ctypes.cast(library[name], ctypes.c_void_p) for name in FUNCTIONS)
        functions = [each.value for each in pointers]
        self.address = address = allocate()
        self._begin = functools.partial(begin, address, *functions)
        self._words = (ctypes.c_int64 * TEAM_WORDS).from_address(address)
        self._cpus: set[int] = set()
        self.begin()

    def begin(self) -> None:
        """Be without helpers."""
        self._begin()
        self._cpus = set()
        self.confine(cpus())

    def confine(self, cpus: set[int]) -> None:
        """Let helpers run on these CPUs."""
        if cpus == self._cpus:
            return
        self._cpus = cpus
        bits = sum(1 << cpu for cpu in cpus)
        for i in range(MASK_WORDS):
            self._words[MASK + i] = ctypes.c_int64(bits >> 64 * i).value
        self._words[CONFINED] += 1

    @property
    def helpers(self) -> int:
        """Threads that were started."""
        return self._words[STARTED]


_made: dict[str, Team] = {}


def team() -> Team | None:
    """The team; None where none can be had: without the baseline module and numba, on Windows."""
    made = _made.get("team")
    if made is None:
        allocate, begin = exported("allocate"), exported("begin")
        if allocate is None or begin is None:
            return None
        made = _made.setdefault("team", Team(allocate, begin))  # another thread's, if it was first
    return made


def team_of(threads: int) -> tuple[int, int]:
    """How many threads serve a call that wants so many, and their team's address; 0 for one."""
    made = team() if threads > 1 else None
    return (1, 0) if made is None else (threads, made.address)


def helpers() -> int:
    """Threads that were started to help callers."""
    return sum(made.helpers for made in _made.values())


def confine(cpus: set[int]) -> None:
    """Let helpers of a team that was made run on these CPUs."""
    for made in _made.values():
        made.confine(cpus)


def _begin_again() -> None:
    for made in _made.values():
        made.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)
