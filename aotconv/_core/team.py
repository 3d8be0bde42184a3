"""The team of this process, made when a call first wants a second thread."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable

from .._plan.team import FUNCTIONS, MASK_WORDS, STARTED, TEAM_WORDS
from .baseline import exported
from .granted import cpus


class Team:
    """A team's memory, which is never freed.

    Parameters
    ----------
    allocate, begin, confine : callable
        As the baseline module exports them.

    Attributes
    ----------
    address : int
        What compiled code knows it by.
    """

    def __init__(
        self,
        allocate: Callable[[], int],
        begin: Callable[[int, int, int], None],
        confine: Callable[[int, int, int], None],
    ) -> None:
        library = ctypes.CDLL(None)
        pointers = (ctypes.cast(library[name], ctypes.c_void_p) for name in FUNCTIONS)
        self._functions = [each.value or 0 for each in pointers]
        self._begin, self._confine = begin, confine
        self.address = allocate()
        self._words = (ctypes.c_int64 * TEAM_WORDS).from_address(self.address)
        self.begin()

    def begin(self) -> None:
        """Be without helpers; nobody else is here, or in a fork's child any more."""
        self._telling = threading.Lock()
        self._begin(self.address, *self._functions)
        self._told: tuple[set[int], int] | None = None
        self.confine(cpus(), 1)

    def confine(self, cpus: set[int], limit: int) -> None:
        """Let helpers run on these CPUs, as far as there is a bit for each, and callers have so
        many threads together."""
        # Who finds another at it, in Pythons without a GIL, leaves it at that: it asks again soon.
        if (cpus, limit) != self._told and self._telling.acquire(blocking=False):
            try:
                bits = sum(1 << cpu for cpu in cpus)
                words = (ctypes.c_int64(bits >> 64 * i).value for i in range(MASK_WORDS))
                mask = (ctypes.c_int64 * MASK_WORDS)(*words)
                self._confine(self.address, ctypes.addressof(mask), limit)
                self._told = cpus, limit
            finally:
                self._telling.release()

    @property
    def helpers(self) -> int:
        """Threads that were started."""
        return self._words[STARTED]


_made: dict[str, Team] = {}


def team() -> Team | None:
    """The team; None where none can be had: without the baseline module and numba, or pthreads."""
    made = _made.get("team")
    if made is None:
        allocate, begin, confine = map(exported, ("allocate", "begin", "confine"))
        if allocate is None or begin is None or confine is None:
            return None
        try:
            made = Team(allocate, begin, confine)
        except (AttributeError, OSError):  # Python was loaded into a program without pthreads
            return None
        made = _made.setdefault("team", made)  # another thread's, if that was first
    return made


def team_of(threads: int) -> tuple[int, int]:
    """How many threads serve a call that wants so many, and their team's address; 0 for one."""
    made = team() if threads > 1 else None
    return (1, 0) if made is None else (threads, made.address)


def helpers() -> int:
    """Threads that were started to help callers."""
    return sum(made.helpers for made in _made.values())


def confine(cpus: set[int], limit: int) -> None:
    """Let helpers of a team that was made run on these CPUs, and callers have so many threads."""
    for made in _made.values():
        made.confine(cpus, limit)


def _begin_again() -> None:
    for made in _made.values():
        made.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)
