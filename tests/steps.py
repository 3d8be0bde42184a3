"""The team's atomic steps, and what else is to happen at each."""

from __future__ import annotations

from aotconv._kernels import system, team
from aotconv._kernels.runtime import subroutine

UPDATES = ("add", "unite", "intersect")


def surround(before, after) -> None:
    """In the team that is compiled from here on, call ``before(address)`` ahead of each step that
    writes the word there, and ``after(address)`` behind each that reads it."""

    def load(address):
        found = step(address)
        after(address)
        return found

    def store(address, value):
        before(address)
        write(address, value)

    def replace(address, expected, value):
        before(address)
        found = exchange(address, expected, value)
        after(address)
        return found

    def surrounded(update):
        def updated(address, value):
            before(address)
            found = update(address, value)
            after(address)
            return found

        return updated

    step, write, exchange = system.load, system.store, system.replace
    steps = {"load": load, "store": store, "replace": replace}
    steps |= {name: surrounded(getattr(system, name)) for name in UPDATES}
    for name, function in steps.items():
        setattr(team, name, subroutine(function))
