"""The team's atomic steps, and what else is to happen at each."""

from __future__ import annotations

from aotconv._kernels import system, team
from aotconv._kernels.runtime import subroutine

UPDATES = ("fetch_add", "fetch_or", "fetch_and")


def surround(before, after) -> None:
    """In the team that is compiled from here on, call ``before(address, index)`` ahead of each step
    that writes the word there, and ``after(address, index)`` behind each that reads it."""

    def load(address, index):
        found = read(address, index)
        after(address, index)
        return found

    def store(address, index, value):
        before(address, index)
        write(address, index, value)

    def compare_exchange(address, index, expected, value):
        before(address, index)
        found = exchange(address, index, expected, value)
        after(address, index)
        return found

    def surrounded(update):
        def updated(address, index, value):
            before(address, index)
            found = update(address, index, value)
            after(address, index)
            return found

        return updated

    read, write, exchange = system.load, system.store, system.compare_exchange
    steps = {"load": load, "store": store, "compare_exchange": compare_exchange}
    steps |= {name: surrounded(getattr(system, name)) for name in UPDATES}
    for name, function in steps.items():
        setattr(team, name, subroutine(function))
