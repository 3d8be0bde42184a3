"""The team's protocol under strain: ``python tests/hammer.py --help``.

Threads publish launches, while the main thread forks, and its children publish some of their own.
The team is compiled here, so that each atomic step of it may be delayed at random.

A launch is a few tasks that count themselves.  It finds out whether each is done once, whether
threads have numbers of their own, and whether anybody touches it after its caller has returned.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import threading

import numba
import numpy as np
from steps import surround

from aotconv._core import team as core
from aotconv._kernels import system, team
from aotconv._kernels.runtime import set_word, subroutine, word
from aotconv._plan.team import ENTRY

# Indices of a launch's words; COUNTS is the address of what its thread counts.  The memory is used
# again after LAUNCHES_KEPT others of the same thread.
ALIVE, NEXT, TASKS, DONE, NUMBERS, COUNTS = range(6)
WORDS, LAUNCHES_KEPT = 8, 16
# What a thread counts.
WRONG = ("late", "twice", "undone")
SAID = (*WRONG, "helped")
LATE, TWICE, UNDONE, HELPED = range(len(SAID))
HELPERS = 3  # of the team


@subroutine
def all_helpers(threads, callers, limit):
    """As many as `places` gives who calls alone."""
    return HELPERS


@subroutine
def dawdle(address, index):
    """Mostly nothing; else up to three microseconds."""
    clock = system.nanoseconds()
    chance = (clock ^ clock >> 7) & 1023
    if chance < 40:
        until = clock + 64 * chance
        while system.nanoseconds() < until:
            system.pause()


def body(launch, number):
    """Tasks of a launch, until none is left."""
    counts = word(launch, COUNTS)
    bit = 1 << number
    if system.load(launch, ALIVE) != 1:
        system.fetch_add(counts, LATE, 1)
    if system.fetch_or(launch, NUMBERS, bit) & bit or number > HELPERS:
        system.fetch_add(counts, TWICE, 1)
    if number > 0:
        system.fetch_add(counts, HELPED, 1)
    while system.fetch_add(launch, NEXT, 1) < word(launch, TASKS):
        if system.load(launch, ALIVE) != 1:
            system.fetch_add(counts, LATE, 1)
        dawdle(launch, DONE)
        system.fetch_add(launch, DONE, 1)


body_address = system.c_address(body)
lead_at = system.call_at(4)


def hammer(team, memory, counts, launches):
    """Publish so many launches, one after the other."""
    lead = word(team, ENTRY)
    for i in range(launches):
        launch = memory + 8 * WORDS * (i % LAUNCHES_KEPT)
        clock = system.nanoseconds()
        tasks = clock >> 3 & 31
        set_word(launch, NEXT, 0)
        set_word(launch, TASKS, tasks)
        set_word(launch, DONE, 0)
        set_word(launch, NUMBERS, 0)
        set_word(launch, COUNTS, counts)
        system.store(launch, ALIVE, 1)
        lead_at(lead, team, body_address(), launch, HELPERS + 1)
        system.store(launch, ALIVE, 0)
        if word(launch, DONE) != tasks:
            system.fetch_add(counts, UNDONE, 1)


hammer_address = system.c_address(hammer)


def make_team() -> core.Team:
    """The process' team, compiled here."""
    exports = (numba.njit(each.signature)(each.function) for each in team.EXPORTS.values())
    made = core._made["team"] = core.Team(*exports)
    return made


class Strain:
    """Threads that publish so many launches in all."""

    def __init__(self, publish, made: core.Team, launches: int, n_threads: int) -> None:
        self._said = np.zeros((n_threads, len(SAID)), np.int64)
        self._memory = np.zeros((n_threads, LAUNCHES_KEPT * WORDS), np.int64)
        places = zip(self._memory, self._said, strict=True)
        self.threads = [
            threading.Thread(
                target=publish,
                args=(made.address, memory.ctypes.data, said.ctypes.data, launches // n_threads),
            )
            for memory, said in places
        ]
        for each in self.threads:
            each.start()

    def said(self) -> dict[str, int]:
        """How often what happened, in the end."""
        for each in self.threads:
            each.join()
        return dict(zip(SAID, self._said.sum(axis=0).tolist(), strict=True))


def fork(publish, made: core.Team, launches: int) -> None:
    """A child that begins with no helpers, starts its own, and finds nothing wrong."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            assert made.helpers == 0
            said = Strain(publish, made, launches, 2).said()
            assert made.helpers == HELPERS and not any(map(said.get, WRONG)), said
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--launches", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--forks", type=int, default=0)
    parser.add_argument("--conditions", action="store_true", help="sleep as without futexes")
    parser.add_argument("--prompt", action="store_true", help="delay nothing")
    options = parser.parse_args()
    if options.conditions:
        team.sleep, team.wake = system.ON_CONDITIONS
        team.FUTEX = 0
    if not options.prompt:
        surround(dawdle, dawdle)
        team.SPIN = 2000
    team._places, team.MOST_HELPERS = all_helpers, HELPERS

    @numba.njit("int64()")
    def address():
        return hammer_address()

    made = make_team()
    publish = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(address())
    strain, forks = Strain(publish, made, options.launches, options.threads), 0
    while forks < options.forks and any(each.is_alive() for each in strain.threads):
        fork(publish, made, 200)
        forks += 1
    said = strain.said()
    done = f"{options.launches} launches, {forks} forks, helped {said['helped']} times"
    print(f"{done}; {made.helpers} helpers")
    if any(map(said.get, WRONG)):
        sys.exit(f"went wrong: {said}")


if __name__ == "__main__":
    main()
