"""The benchmark's race: contenders are checked, then timed in rounds, in a process of their own.

In each round every contender runs a batch of calls, so a machine that slows down slows them all.
What is reported are medians over the rounds, and of ratios, the median of each round's ratio.  Two
of the contenders are the machine itself: multiply-adds on registers and a copy of as many bytes as
the operation must read and write.  It takes at least as long as the slower of the two, which is
the bound that it is held against.

The process for a number of threads starts with as many CPUs, and with the environment variables
that say so, because most libraries fix their threads when they are imported.
"""

from __future__ import annotations

import itertools
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import aotconv

from .._core import ladder, threads
from .._core.jobs import Job, call_of
from .._plan.peak import peak_words
from .._plan.registry import ROWS
from .board import BOARD
from .errors import DisagreementError
from .operation import Operation
from .peer import Contender, Peer, Setting, Unsuitable
from .problem import Problem
from .process import Run, new_process

Call = Callable[[], object]
Clock = Callable[[], float]

SECONDS = 0.02  # of a batch, at least
ROUNDS = 9
# Other libraries' idle threads spin for some milliseconds before they sleep, and would take the
# CPUs of whoever comes next.
PAUSE = 0.03
OWN = "aotconv"


# --- correct first, then timed ---------------------------------------------------------------


def expectation(problem: Problem) -> NDArray[np.float64]:
    """The result in float64, by NumPy instead of the kernels."""
    with aotconv.use("numpy"):
        return problem.operation.exact(problem.arrays)


def verify(name: str, contender: Contender, expected: NDArray[np.float64]) -> None:
    """Raise `DisagreementError` if a contender's result is not within the library's bound."""
    problem = contender.problem
    result = contender.channels_last(contender.call())
    where = f"{name}, {problem.operation}"
    if result.shape != expected.shape:
        raise DisagreementError(f"{where}: shape {result.shape}, not {expected.shape}")
    rounded = problem.operation.rounding * np.abs(expected)
    error = float((np.abs(result - expected) - rounded).max())
    bound = problem.error_bound + contender.coarser
    if not error <= bound:  # so that NaN is wrong too
        raise DisagreementError(f"{where}: wrong by {error:.2g}, more than {bound:.2g}")


# --- what is timed ---------------------------------------------------------------------------


def own(problem: Problem) -> Contender:
    return Contender(problem, *problem.operation.own(problem.arrays))


def multiply_adds(dtype: str, n_threads: int) -> tuple[Call, float]:
    """Multiply-adds on registers at the active level, and how many FLOP each call does."""
    rung = ladder.rung(dtype)
    assert rung is not None  # `run` has asked
    row = next(r for r in ROWS if (r.family, r.dtype, r.level) == ("peak", dtype, rung.level))
    n_threads = threads.at_most(n_threads)
    iterations, tasks = 1 << 16, 4 * n_threads
    words = np.array(peak_words(iterations, tasks), np.int64)
    vectors = np.repeat(np.array([[1], [0.5], [1]], dtype), row.lanes, axis=1)
    out = np.empty((tasks, row.lanes), dtype)
    task = rung.task(row)
    assert task is not None
    call = call_of(rung, [Job(task, words, vectors.ctypes.data, vectors)], n_threads)
    return lambda: call(vectors, out, None), 2.0 * iterations * tasks * row.pixels * row.lanes


def copies(n_bytes: int, n_threads: int, pool: ThreadPoolExecutor) -> tuple[Call, int]:
    """Copies that read and write `n_bytes` together, and how many of them each call makes.

    Each thread copies its share many times, so that its start is not what is timed.
    """
    halves = np.ones((2, n_bytes // 2), np.uint8)
    shares = np.array_split(halves, n_threads, axis=1)
    repetitions = 1 + 100_000_000 // n_bytes

    def copy(share: NDArray[np.uint8]) -> None:
        source, target = share
        for _ in range(repetitions):
            np.copyto(target, source)

    return lambda: list(pool.map(copy, shares)), repetitions


def timed(call: Call, count: int, clock: Clock = time.perf_counter) -> float:
    start = clock()
    for _ in itertools.repeat(None, count):
        call()
    return clock() - start


def race(
    calls: Mapping[str, Call],
    seconds: float,
    pause: float = 0,
    rounds: int = ROUNDS,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Time the calls in rounds; return the seconds of a call, by name, for each round.

    Parameters
    ----------
    seconds : float
        Each round calls each of them as often as takes at least that long.
    pause : float
        Seconds before each batch.
    rounds : int
    clock : callable
        What the seconds are read from.
    """
    counts = {}
    for name, call in calls.items():
        call()
        counts[name] = 1
        while timed(call, counts[name], clock) < seconds:
            counts[name] *= 2
    results: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(pause)
            call()  # not timed: it brings back what the others drove from the caches
            results[name].append(timed(call, counts[name], clock) / counts[name])
    return results


def spread(figures: Sequence[float]) -> float:
    """What the middle half of some figures spans, in parts of their median."""
    low, middle, high = np.percentile(figures, [25, 50, 75])
    return float((high - low) / middle)


class Result(NamedTuple):
    """What was measured of a layer on a number of threads: one figure a round in each list.

    Attributes
    ----------
    operation : Operation
        The layer or the filter.
    n_threads : int
    seconds : dict
        Of a call, by contender; ``aotconv`` is one of them.
    fma : list of float
        Floating-point operations a second of multiply-adds on registers.
    copy : list of float
        Seconds to copy as many bytes as it must read and write.
    left_out : dict
        Peers that did not take part, and why.
    first : float
        Seconds of the first call in a new process.
    """

    operation: Operation
    n_threads: int
    seconds: dict[str, list[float]]
    fma: list[float]
    copy: list[float]
    left_out: dict[str, str]
    first: float = math.nan

    @property
    def later(self) -> float:
        """Seconds of a later call."""
        return statistics.median(self.seconds[OWN])

    @property
    def flop_rate(self) -> float:
        return self.operation.flops / self.later

    @property
    def binding(self) -> str:
        """What no implementation could be faster than here: "FMA" or "copy"."""
        computing = self.operation.flops / statistics.median(self.fma)
        return "FMA" if computing >= statistics.median(self.copy) else "copy"

    @property
    def fraction(self) -> float:
        """Of the bound, that is of the rate that `binding` allows."""
        rounds = zip(self.fma, self.copy, self.seconds[OWN], strict=True)
        return statistics.median(
            max(self.operation.flops / fma, copy) / own for fma, copy, own in rounds
        )

    @property
    def ratios(self) -> dict[str, float]:
        """Time of each peer, in times of aotconv."""
        own = self.seconds[OWN]
        return {
            name: statistics.median(map(float.__truediv__, seconds, own))
            for name, seconds in self.seconds.items()
            if name != OWN
        }

    @property
    def fastest(self) -> str | None:
        """The fastest peer, in its fastest variant."""
        return min(self.ratios, key=self.ratios.__getitem__, default=None)

    @property
    def spreads(self) -> dict[str, float]:
        """What the middle half of the rounds spans, of everyone."""
        everyone = {**self.seconds, "FMA": self.fma, "copy": self.copy}
        return {name: spread(figures) for name, figures in everyone.items()}

    def as_json(self) -> dict[str, Any]:
        names = ("later", "flop_rate", "binding", "fraction", "ratios", "fastest", "spreads")
        derived = {name: getattr(self, name) for name in names}
        return {**self._asdict(), "operation": self.operation.as_json(), **derived}


def first_call(operation: Operation) -> float:
    """Seconds of the first call, if this process has made none."""
    return timed(own(Problem.draw(operation)).call, 1)


def measure(
    operation: Operation, peers: Mapping[str, Peer], setting: Setting, seconds: float
) -> Result:
    """Check and time a layer or a filter in this process, which must have been started for it.

    Raises
    ------
    DisagreementError
        If a result is wrong.
    """
    problem = Problem.draw(operation)
    expected = expectation(problem)
    contenders, left_out = {OWN: own(problem)}, {}
    verify(OWN, contenders[OWN], expected)
    for peer_name, peer in peers.items():
        try:
            variants = peer.prepare(problem, setting)
            for name, each in variants.items():
                same = each.problem is problem
                verify(name, each, expected if same else expectation(each.problem))
        except DisagreementError:
            raise
        except Unsuitable as error:
            left_out[peer_name] = str(error)
        except Exception as error:  # a broken installation of a peer may raise anything
            reason = str(error).partition("\n")[0]
            left_out[peer_name] = f"failed: {type(error).__name__}: {reason}"
        else:
            contenders.update(variants)

    n_threads = setting.threads
    calls: dict[str, Call] = {name: each.call for name, each in contenders.items()}
    calls["FMA"], flops = multiply_adds(operation.computed_in, n_threads)
    # Few bytes are copied faster by one thread than by several that wait for the GIL.
    copiers = {f"copy {n}": n for n in {1, n_threads}}
    with ThreadPoolExecutor(n_threads) as pool:
        for name, n in copiers.items():
            calls[name], times = copies(operation.n_bytes, n, pool)
        rounds = race(calls, seconds, PAUSE if n_threads > 1 else 0)
    fma = [flops / each for each in rounds.pop("FMA")]
    copy = [min(each) / times for each in zip(*map(rounds.pop, copiers), strict=True)]
    return Result(operation, n_threads, rounds, fma, copy, left_out)


# --- processes -------------------------------------------------------------------------------


def usable_cpus() -> list[int]:
    """The CPUs that this process may run on, or as many numbers where they cannot be asked for."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(cpus: Iterable[int]) -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, cpus)


@contextmanager
def confined_process(n_threads: int) -> Iterator[Run]:
    """A new process with as many CPUs as threads, and OpenMP and BLAS told so."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    cpus = usable_cpus()[-n_threads:]
    os.environ.update(dict.fromkeys(names, str(n_threads)))
    try:
        with new_process() as run:
            run("nothing yet", pin, cpus)
            yield run
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def compare(
    operations: Sequence[Operation] = BOARD,
    n_threads: int = 1,
    *,
    peers: Mapping[str, Peer] | None = None,
    tflite: str | None = None,
    seconds: float = SECONDS,
    announce: Callable[[str], object] = lambda name: None,
) -> list[Result]:
    """Check and time layers and filters on a number of threads.

    Parameters
    ----------
    operations : sequence of Operation
    n_threads : int
    peers : mapping of str to Peer, optional
        The other libraries to compare with.
    tflite : str, optional
        The folder of LiteRT's models.
    seconds : float
        The least that each contender computes in each round.
    announce : callable
        Called with the name of each before it starts.

    Raises
    ------
    DisagreementError
        If a result is wrong.
    """
    results = []
    names = ", ".join([OWN, *(peers or {})])
    with confined_process(n_threads) as run:
        for each in operations:
            announce(each.title)
            with confined_process(n_threads) as run_once:
                first = run_once(f"{OWN} on {each}", first_call, each)
            setting = Setting(n_threads, tflite)
            result = run(f"{names} on {each}", measure, each, peers or {}, setting, seconds)
            results.append(result._replace(first=first))
    return results
