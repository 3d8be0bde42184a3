"""Whether the machine was busy with something else while the benchmark ran.

Two things tell.  Rounds of a row differ from each other, and so do those of the multiply-adds
beside it, which take the same time whenever they have a CPU to themselves.  And the load average is
more than the benchmark's own threads.  The runs that the limits were chosen by stand in
docs/decisions/bench.md.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from .race import OWN, Result

T = TypeVar("T")

SPREAD, FMA_SPREAD = 0.3, 0.15  # of a row's rounds, and of those of multiply-adds, at most
SLOW = 0.8  # of the best rate of multiply-adds, at least
OTHERS = 0.5  # for each CPU that the benchmark leaves, or for one: threads of others, at most
PERIOD = 60.0  # seconds in which the system's average forgets all but 1 / e
# The system looks every five seconds; what is shorter tells nothing.
SHORTEST = 30.0

UNEVEN = f"the middle half of its rounds spans more than {SPREAD:.0%}"
UNEVEN_FMA = f"the middle half of multiply-adds beside it spans more than {FMA_SPREAD:.0%}"
SLOW_FMA = f"multiply-adds beside it ran at less than {SLOW:.0%} of their best"
REASONS = UNEVEN, UNEVEN_FMA, SLOW_FMA


def doubts(results: Sequence[Result]) -> list[list[str]]:
    """Why the figures of each row are uncertain; of most, nothing.

    The rows were measured on the same number of threads.
    """
    best: dict[str, float] = {}
    for each in results:
        dtype = each.operation.computed_in
        best[dtype] = max(best.get(dtype, 0.0), *each.fma)
    found = []
    for each in results:
        reasons = {
            UNEVEN: each.spreads[OWN] > SPREAD,
            UNEVEN_FMA: each.spreads["FMA"] > FMA_SPREAD,
            SLOW_FMA: statistics.median(each.fma) < SLOW * best[each.operation.computed_in],
        }
        found.append([reason for reason, holds in reasons.items() if holds])
    return found


class Load(NamedTuple):
    """The load average, which is of all threads that run or want to, as some rows were measured.

    Attributes
    ----------
    n_threads : int
        Of the benchmark.
    seconds : float
        How long it took.
    before, after : float or None
        The average over the last minute; None where the system has none.
    cpus : int
        Of the machine.
    """

    n_threads: int
    seconds: float
    before: float | None
    after: float | None
    cpus: int

    @property
    def others(self) -> float | None:
        """How many threads of others there were, on the mean; None where that cannot be told.

        What was there before is taken out of the average, as it has faded since.
        """
        if self.before is None or self.after is None or self.seconds < SHORTEST:
            return None
        left = math.exp(-self.seconds / PERIOD)
        return max(0.0, (self.after - self.before * left) / (1 - left) - self.n_threads)

    @property
    def is_busy(self) -> bool:
        """Whether they were so many that the benchmark had to wait, as far as can be told."""
        return (self.others or 0) > OTHERS * max(1, self.cpus - self.n_threads)

    def as_json(self) -> dict[str, Any]:
        return {**self._asdict(), "others": self.others, "is_busy": self.is_busy}


def load_average() -> float | None:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # of Windows, and where it cannot be had
        return None


def watched(n_threads: int, measure: Callable[[], T]) -> tuple[T, Load]:
    """What something gives that takes so many threads, and the load as it ran."""
    before, start = load_average(), time.monotonic()
    result = measure()
    seconds = time.monotonic() - start
    return result, Load(n_threads, seconds, before, load_average(), os.cpu_count() or 1)
