"""``aotconv bench``: arguments checked; a board or the sweep timed, printed and written."""

from __future__ import annotations

import json
import math
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

import aotconv

from .._core import cpu, ladder
from .._plan.registry import FLOAT_DTYPES
from . import sweep as sweeping
from .board import BOARDS
from .busy import doubts, watched
from .errors import CommandError, missing, need, writing
from .operation import Operation
from .peers import PEERS
from .problem import parse
from .progress import progress
from .race import SECONDS, Result, compare, usable_cpus
from .report import draw, footnotes, format_sweeps, format_table, heading, versions


def find(option: str, name: str, known: Mapping[str, Any]) -> Any:
    """What is known by a name that an option was given."""
    if name not in known:
        raise CommandError(f"{option}: there is no {name!r}; there are {', '.join(known)}")
    return known[name]


def find_operation(name: str) -> Operation:
    """A layer or a filter of a board, or the one that a text says."""
    if " " not in name.strip():
        return find("--layers", name, {each.name: each for each in chain(*BOARDS.values())})
    try:
        operation = parse(name)
    except ValueError as error:
        raise CommandError(f"--layers: {error}") from None
    if operation.computed_in not in FLOAT_DTYPES:
        raise CommandError(f"--layers: {name!r}: its dtype is not timed")
    if not operation.flops:
        raise CommandError(f"--layers: {name!r}: there is nothing to compute")
    return operation


def number(name: str, most: int) -> int:
    """A number of threads that an option was given."""
    if not (name.isdecimal() and 1 <= int(name) <= most):
        raise CommandError(f"--threads: {name!r} is not from 1 to {most}, the CPUs of this process")
    return int(name)


def check_seconds(seconds: float) -> None:
    if not 0 < seconds < math.inf:
        raise CommandError(f"--seconds: {seconds} is not a positive time")


def check_installation(dtypes: Iterable[str], *extras: str) -> None:
    """Raise `CommandError` if extras are missing, or kernels to measure."""
    need("the benchmark", *extras)
    if not all(map(ladder.rung, dtypes)):
        raise CommandError(f"the implementation {aotconv.active().name} has no kernels to measure")


def check_files(*paths: str | None) -> None:
    """Raise `CommandError` if a file cannot be written: now, and not after all the work."""
    for path in filter(None, paths):
        with writing(path):
            open(path, "ab").close()


def write_json(path: str, measured: dict[str, Any]) -> None:
    """Write what was measured, and where."""
    here = {
        "aotconv": aotconv.__version__,
        "implementation": aotconv.active().name,
        "cpu": cpu.name(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    with writing(path):
        Path(path).write_text(json.dumps({**here, **measured}, indent=1) + "\n")


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """What was measured on one number of threads, and why some of it is uncertain."""
    reasons = doubts(results)
    return [{**each.as_json(), "doubts": why} for each, why in zip(results, reasons, strict=True)]


def run(
    layers: Sequence[str] | None = None,
    peers: Sequence[str] = (),
    n_threads: Sequence[str] | None = None,
    *,
    board: str = "networks",
    dtype: str | None = None,
    tflite: str | None = None,
    seconds: float = SECONDS,
    json_file: str | None = None,
    plot: str | None = None,
) -> None:
    """Run the command: check and time, print a table for each number of threads, write files.

    Parameters
    ----------
    layers : sequence of str, optional
        Names that stand on the boards, and texts (`aotconv._tools.problem`); by default a board.
    peers : sequence of str
        Names of `aotconv._tools.peers.PEERS`; those that are not installed are left out.
    n_threads : sequence of str, optional
        Numbers of threads; by default 1 and as many as there are CPUs.
    board : str
        Which of `aotconv._tools.board.BOARDS`.
    dtype : {"float32", "float64"}, optional
        Of all layers and filters; by default each has its own.
    tflite, seconds
        As in `compare`.
    json_file, plot : str, optional
        Files to write: everything that was measured, and a chart.

    Raises
    ------
    CommandError
        If an argument is wrong, an extra is missing or a file cannot be written.
    DisagreementError
        If a result is wrong.
    """
    operations: list[Operation] = list(BOARDS[board])
    if layers:
        operations = list(map(find_operation, dict.fromkeys(layers)))
    if dtype:
        operations = [each.with_dtype(dtype) for each in operations]
    dtypes = sorted({each.computed_in for each in operations})
    chosen = {name: find("--peers", name, PEERS) for name in peers}
    most = len(usable_cpus())
    teams = [number(name, most) for name in n_threads] if n_threads else sorted({1, most})
    check_seconds(seconds)
    if "litert" in chosen and not (tflite and Path(tflite).is_dir()):
        raise CommandError("--peers: litert runs model files, whose folder --tflite must name")
    check_installation(dtypes, "tqdm", *(["matplotlib"] if plot else []))
    if plot:
        from matplotlib.figure import Figure

        formats = Figure().canvas.get_supported_filetypes()
        if Path(plot).suffix[1:].lower() not in formats:
            raise CommandError(f"--plot: the name {plot!r} must end in one of {', '.join(formats)}")
    check_files(json_file, plot)
    from tqdm import tqdm

    of_what = f"{aotconv.active().name}, {' and '.join(dtypes)}"
    title = f"aotconv {aotconv.__version__}, {of_what}, {cpu.name()}"
    print(title)
    for name, peer in list(chosen.items()):
        absent = missing(peer.packages)
        if absent:
            print(f"without {name}: {' and '.join(absent)} not installed")
            del chosen[name]
    found = versions(chosen.values())
    if found:
        print("beside", ", ".join(f"{name} {version}" for name, version in found.items()))

    results, loads = [], []
    with progress(len(teams) * len(operations)) as announce:
        for team in teams:
            options: Any = {"tflite": tflite, "seconds": seconds, "announce": announce}
            measure = partial(compare, operations, team, peers=chosen, **options)
            group, load = watched(team, measure)
            results.append(group)
            loads.append(load)
            text = f"\n{heading(group)}\n{format_table(group)}"
            tqdm.write("\n".join([text, *footnotes(group, load)]), file=sys.stdout)
    if json_file:
        measured = {
            "cpus": most,
            "peers": found,
            "results": [each for group in results for each in as_json(group)],
            "load": [each.as_json() for each in loads],
        }
        write_json(json_file, measured)
    if plot:
        with writing(plot):
            draw(results, title).savefig(plot, dpi=120)
    for path in filter(None, (json_file, plot)):
        print(path)


def run_sweep(
    dtypes: Sequence[str] = sweeping.DTYPES,
    *,
    seconds: float = sweeping.SECONDS,
    json_file: str | None = None,
) -> None:
    """Run the command with ``--sweep``: check and time layers of odd sizes, on one thread.

    Parameters
    ----------
    dtypes, seconds
        As in `aotconv._tools.sweep.sweep`.
    json_file : str, optional
        The file to write everything to that was measured.

    Raises
    ------
    CommandError
        If an argument is wrong, an extra is missing or the file cannot be written.
    DisagreementError
        If a result is wrong.
    """
    check_seconds(seconds)
    check_installation(dtypes, "tqdm")
    check_files(json_file)

    print(f"aotconv {aotconv.__version__}, {aotconv.active().name}, {cpu.name()}")
    sweeps = sweeping.SWEEPS
    cases = len(dtypes) * sum(len(each.layers) for each in sweeps)
    with progress(cases) as announce:
        results = list(sweeping.sweep(sweeps, dtypes, seconds=seconds, announce=announce))
    print(format_sweeps(results))
    if json_file:
        write_json(json_file, {"sweeps": [each.as_json() for each in results]})
        print(json_file)
