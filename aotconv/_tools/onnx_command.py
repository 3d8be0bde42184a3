"""``aotconv onnx``: a model run beside ONNX Runtime, and what takes the time in it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import aotconv

from .._core import cpu
from .bench import check_files, number, write_json
from .digits import digits
from .errors import CommandError, need
from .race import OWN, usable_cpus

if TYPE_CHECKING:
    from ..onnx import Model, NodeTime
    from .onnx_times import OperatorTime

Runs = Mapping[str, Sequence[Sequence["NodeTime"]]]


def run(
    path: str,
    *,
    input_file: str | None = None,
    shapes: Sequence[str] = (),
    repeats: int | None = None,
    n_threads: str | None = None,
    optimize: bool = True,
    algorithm: Literal["auto", "fastest"] = "auto",
    nodes: int | None = None,
    json_file: str | None = None,
) -> None:
    """Run the command: load, run and time a model, and print what was measured.

    Parameters
    ----------
    path : str
        The model's file.
    input_file : str, optional
        A .npz of arrays by input; by default they are drawn.
    shapes : sequence of str
        Of inputs that are drawn: NAME=SIZES.
    repeats : int, optional
        Runs that are timed; by default as many as take some seconds.
    n_threads : str, optional
        A number of threads; by default that of `aotconv.get_num_threads`.
    optimize, algorithm
        As in `aotconv.onnx.load`.
    nodes : int, optional
        How many of the slowest nodes are printed.
    json_file : str, optional
        The file to write everything to that was measured.

    Raises
    ------
    CommandError
        If onnx is missing, an argument is wrong, the model cannot be run or the file cannot be
        written.
    """
    need("aotconv onnx", "onnx", extra="onnx")
    from . import onnx_times

    for option, value in {"--repeats": repeats, "--nodes": nodes}.items():
        if value is not None and value < 1:
            raise CommandError(f"{option}: {value} is not at least 1")
    most = len(usable_cpus())
    threads = number(n_threads, most) if n_threads else min(aotconv.get_num_threads(), most)
    check_files(json_file)
    with onnx_times.team(threads) as blas:
        model = load(path, optimize, algorithm)
        feeds = feeds_of(model, input_file, shapes)
        results = first_run(model, feeds, "--input" if input_file else "--shape")
        peer, reason = onnx_times.peer_of(path, threads, model.output_names, feeds)
        used = {OWN: str(threads), "NumPy's BLAS": blas}
        if peer:
            used[onnx_times.PEER] = str(threads)
        print(heading(path, model, feeds, results, used))
        if not peer:
            print(f"without {onnx_times.PEER}: {reason}")
        seconds = onnx_times.race_of(lambda: model.run(None, feeds), peer, threads, repeats)
        differences = {}
        if peer:
            pairs = zip(model.output_names, results, peer(), strict=True)
            differences = {name: onnx_times.difference(one, two) for name, one, two in pairs}
        print(f"\n{totals(seconds)}", *difference_lines(differences), sep="\n")
        turns = len(seconds[OWN])
        runs = onnx_times.profile(model, feeds, path if peer else None, threads, turns)
    operators = {name: onnx_times.by_operator(each) for name, each in runs.items()}
    print(f"\n{operator_table(operators, operator_names(runs), node_seconds(runs))}")
    slowest = {name: onnx_times.by_node(each) for name, each in runs.items()}
    if nodes:
        print(f"\n{node_table(slowest, nodes)}")
    if json_file:
        measured = {
            "model": Path(path).name,
            "inputs": {name: described(each) for name, each in feeds.items()},
            "threads": threads,
            "blas_threads": blas,
            "versions": versions(used),
            "seconds": seconds,
            "differences": differences,
            "operators": {
                name: {key: each._asdict() for key, each in rows.items()}
                for name, rows in operators.items()
            },
            "nodes": {name: [each._asdict() for each in rows] for name, rows in slowest.items()},
        }
        write_json(json_file, measured)
        print(json_file)


# --- the model, and what it is fed -----------------------------------------------------------


def load(path: str, optimize: bool, algorithm: Literal["auto", "fastest"]) -> Model:
    from ..onnx import load

    try:
        return load(path, optimize=optimize, algorithm=algorithm)
    except OSError as error:
        raise CommandError(f"cannot read {path!r}: {error.strerror or error}") from None
    except (ValueError, NotImplementedError) as error:
        raise CommandError(" ".join(str(error).split())) from None


def feeds_of(model: Model, input_file: str | None, shapes: Sequence[str]) -> dict[str, np.ndarray]:
    from . import onnx_feeds

    if input_file:
        return onnx_feeds.read_feeds(input_file)
    inputs = onnx_feeds.inputs_of(model.proto)
    return onnx_feeds.drawn_feeds(inputs, onnx_feeds.parse_shapes(shapes, inputs))


def first_run(model: Model, feeds: Mapping[str, np.ndarray], option: str) -> list[Any]:
    """What the model gives; `option` is what the feeds are of."""
    try:
        return model.run(None, feeds)
    except (TypeError, ValueError) as error:
        raise CommandError(f"{option}: {str(error).removeprefix('feeds: ')}") from None
    except (RuntimeError, MemoryError) as error:
        raise CommandError(" ".join(str(error).split())) from None


# --- what is printed -------------------------------------------------------------------------


def heading(
    path: str,
    model: Model,
    feeds: Mapping[str, np.ndarray],
    results: Sequence[Any],
    used: Mapping[str, str],
) -> str:
    """Say what is run: the model, its inputs and outputs, by what, on what."""
    lines = [f"{Path(path).name}, {digits(Path(path).stat().st_size / 1e3)} kB"]
    lines += [f"input    {name} {described(each)}" for name, each in feeds.items()]
    outputs = zip(model.output_names, results, strict=True)
    lines += [f"output   {name} {described(each)}" for name, each in outputs]
    told = ", ".join(f"{name} {version}" for name, version in versions(used).items())
    lines.append(f"aotconv {aotconv.__version__}, {aotconv.active().name}, {cpu.name()}")
    lines.append(f"beside   {told}")
    lines.append("threads  " + ", ".join(f"{name} {each}" for name, each in used.items()))
    return "\n".join(lines)


def described(value: Any) -> str:
    """The dtype and the shape of an array, or the type of another value."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def versions(used: Mapping[str, str]) -> dict[str, str]:
    import onnx

    found = {"numpy": np.__version__, "onnx": onnx.__version__}
    if "onnxruntime" in used:
        import onnxruntime

        found["onnxruntime"] = onnxruntime.__version__
    return found


def totals(seconds: Mapping[str, Sequence[float]]) -> str:
    """Medians of a run, and the ratio to another library's."""
    own = seconds[OWN]
    turns = ", by turns" if len(seconds) > 1 else ""
    lines = [f"milliseconds a run: medians of {len(own)}{turns}"]
    for name, each in seconds.items():
        line = f"  {name:12}{digits(1e3 * statistics.median(each)):>9}"
        if name != OWN:
            ratio = statistics.median(map(float.__truediv__, each, own))
            line += f"   ratio {ratio:.2f}, its time in times of aotconv's"
        lines.append(line)
    return "\n".join(lines)


def difference_lines(differences: Mapping[str, float]) -> list[str]:
    """The largest difference, and each output that cannot be compared."""
    lines = []
    finite = {name: each for name, each in differences.items() if math.isfinite(each)}
    if finite:
        name = max(finite, key=finite.__getitem__)
        lines.append(f"largest difference: {finite[name]:.2g} of the largest value, in {name}")
    unlike = [name for name in differences if name not in finite]
    return [*lines, *(f"{name} differs in its shape, or is not finite" for name in unlike)]


def operator_names(runs: Runs) -> dict[str, set[str]]:
    """What operators are called that are one row of a table."""
    from .onnx_times import ALIKE

    names: dict[str, set[str]] = {}
    for each in (node for every in runs.values() for one in every for node in one):
        names.setdefault(ALIKE.get(each.operator, each.operator), set()).add(each.operator)
    return names


def node_seconds(runs: Runs) -> dict[str, float]:
    """Medians of what all nodes take together."""
    return {
        name: statistics.median(sum(each.seconds for each in one) for one in every)
        for name, every in runs.items()
    }


def operator_table(
    operators: Mapping[str, Mapping[str, OperatorTime]],
    names: Mapping[str, set[str]],
    sums: Mapping[str, float],
) -> str:
    """Set the time by operator as a table, what takes most at the top."""
    rows = {key for each in operators.values() for key in each}
    order = sorted(rows, key=lambda key: (-most(operators, key), key))
    titles = {key: ", ".join(sorted(names[key])) for key in order}
    width = max(map(len, [*titles.values(), "all nodes"])) + 1
    lines = [f"{'':{width}}" + "".join(f"{name:>25}" for name in operators)]
    lines.append(f"{'operator':{width}}" + f"{'nodes':>8}{'ms':>9}{'share':>8}" * len(operators))
    for key in order:
        line = f"{titles[key]:{width}}"
        for name, each in operators.items():
            if key in each:
                count, seconds = each[key]
                share = seconds / sums[name] if sums[name] else 0
                line += f"{count:>8}{digits(1e3 * seconds):>9}{share:>8.1%}"
            else:
                line += f"{'-':>8}{'-':>9}{'-':>8}"
        lines.append(line)
    line = f"{'all nodes':{width}}"
    for name, each in operators.items():
        count = sum(entry.nodes for entry in each.values())
        line += f"{count:>8}{digits(1e3 * sums[name]):>9}{'':8}"
    return "\n".join([*lines, line.rstrip()])


def most(operators: Mapping[str, Mapping[str, OperatorTime]], key: str) -> float:
    """The seconds of an operator in the library that takes longest for it."""
    return max(each[key].seconds for each in operators.values() if key in each)


def node_table(slowest: Mapping[str, Sequence[NodeTime]], count: int) -> str:
    """Set the slowest nodes of each library as a table."""
    lines = []
    for name, nodes in slowest.items():
        shown = nodes[:count]
        width = max((len(each.operator) for each in shown), default=0)
        lines.append(f"{'ms':>9}  slowest nodes of {name}")
        lines += [
            f"{digits(1e3 * each.seconds):>9}  {each.operator:{width}}  {each.name}"
            for each in shown
        ]
    return "\n".join(lines)
