"""How long a model takes, in all and by operator: aotconv and ONNX Runtime, by turns."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

import aotconv

from ..onnx import Model, NodeTime
from .errors import missing
from .race import OWN, PAUSE, race, timed

PEER = "onnxruntime"
SECONDS = 2.0  # that runs take by default, and profiled ones again
LEAST, MOST = 5, 100  # runs by default
# What two libraries call an operator that does the same, perhaps with others behind it.
ALIKE = {
    "FusedConv": "Conv",
    "NhwcFusedConv": "Conv",
    "FusedConvTranspose": "ConvTranspose",
    "FusedGemm": "Gemm",
    "FusedMatMul": "MatMul",
    "NhwcMaxPool": "MaxPool",
    "Upsample": "Resize",
}
Run = Callable[[], list[Any]]
Feeds = Mapping[str, np.ndarray]


@contextmanager
def team(n_threads: int) -> Iterator[str]:
    """Compute with so many threads; what is yielded says how many NumPy's BLAS has."""
    aotconv.set_num_threads(n_threads)
    try:
        if missing(["threadpoolctl"]):
            yield "as the environment says (threadpoolctl is not installed)"
            return
        import threadpoolctl

        with threadpoolctl.threadpool_limits(n_threads, user_api="blas"):
            found = threadpoolctl.threadpool_info()
            numbers = {str(each["num_threads"]) for each in found if each["user_api"] == "blas"}
            yield " or ".join(sorted(numbers)) or "unknown to threadpoolctl"
    finally:
        aotconv.set_num_threads(None)


# --- ONNX Runtime ----------------------------------------------------------------------------


def new_session(path: str, n_threads: int, profile: str | None = None) -> Any:
    """ONNX Runtime with a model; `profile` is how the name of a file begins that it writes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.log_severity_level = 4  # what fails is raised, too
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def peer_of(
    path: str, n_threads: int, names: Sequence[str], feeds: Feeds
) -> tuple[Run | None, str]:
    """A run by ONNX Runtime, which has been tried; or None, and why."""
    if missing([PEER]):
        return None, "not installed"
    try:
        session = new_session(path, n_threads)
        session.run(names, feeds)
    except Exception as error:  # whatever it raises of models that it does not know
        reason = str(error).strip().partition("\n")[0]
        return None, f"failed: {type(error).__name__}: {reason}"
    return lambda: session.run(names, feeds), ""


def read_profile(path: str) -> list[list[NodeTime]]:
    """What a profile of ONNX Runtime says of each run.

    Its events stand in the order in which they ended.  Nodes of the bodies of loops and branches
    are left out, whose time is that of the loop or branch.
    """
    runs = []
    nodes: list[dict[str, Any]] = []
    for event in json.loads(Path(path).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            nodes.append(event)
        elif event["name"] == "model_run":
            runs.append(outermost(nodes))
            nodes = []
    return runs


def outermost(events: list[dict[str, Any]]) -> list[NodeTime]:
    """Nodes that did not run while another one did."""
    times, end = [], -math.inf
    for event in sorted(events, key=lambda each: (each["ts"], -each["dur"])):
        if event["ts"] >= end:
            end = event["ts"] + event["dur"]
            name = event["name"].removesuffix("_kernel_time")
            times.append(NodeTime(name, event["args"]["op_name"], event["dur"] / 1e6))
    return times


# --- what is measured ------------------------------------------------------------------------


def race_of(
    own: Run, peer: Run | None, n_threads: int, repeats: int | None
) -> dict[str, list[float]]:
    """The seconds of runs by turns, by name; without a number, as many as take `SECONDS`."""
    calls = {OWN: own} | ({PEER: peer} if peer else {})
    pause = PAUSE if n_threads > 1 else 0
    if repeats is None:  # of which each is two, the first one not timed
        turn = sum(2 * timed(each, 1) + pause for each in calls.values())
        repeats = min(max(LEAST, int(SECONDS / turn)), MOST)
    return race(calls, 0, pause, repeats)


def profile(
    model: Model, feeds: Feeds, peer: str | None, n_threads: int, repeats: int
) -> dict[str, list[list[NodeTime]]]:
    """The nodes of runs by turns, by name; `peer` is the file that ONNX Runtime runs.

    Of two runs that follow each other it is the second one, as in `race`.
    """
    pause = PAUSE if n_threads > 1 else 0
    own = []
    with TemporaryDirectory() as folder:
        session = new_session(peer, n_threads, str(Path(folder, "profile"))) if peer else None
        try:
            for _ in range(repeats):
                time.sleep(pause)
                model.profile(feeds)
                own.append(model.profile(feeds))
                if session:
                    time.sleep(pause)
                    session.run(model.output_names, feeds)
                    session.run(model.output_names, feeds)
        finally:
            file = session.end_profiling() if session else ""  # the folder takes it with it
        theirs = {PEER: read_profile(file)[1::2]} if session else {}
    return {OWN: own, **theirs}


class OperatorTime(NamedTuple):
    """How long the nodes of an operator take in a run."""

    nodes: int
    seconds: float


def by_operator(runs: Sequence[Sequence[NodeTime]]) -> dict[str, OperatorTime]:
    """Medians over runs of the sums of each operator; those of `ALIKE` are one."""
    sums: list[dict[str, float]] = []
    counts: dict[str, int] = {}
    for run in runs:
        seconds: dict[str, float] = {}
        counts = {}
        for each in run:
            name = ALIKE.get(each.operator, each.operator)
            seconds[name] = seconds.get(name, 0) + each.seconds
            counts[name] = counts.get(name, 0) + 1
        sums.append(seconds)
    return {
        name: OperatorTime(count, statistics.median(each.get(name, 0) for each in sums))
        for name, count in counts.items()
    }


def by_node(runs: Sequence[Sequence[NodeTime]]) -> list[NodeTime]:
    """Medians over runs of each node, the slowest first."""
    alike = [run for run in runs if len(run) == len(runs[-1])]  # branches may have others
    times = [
        each[-1]._replace(seconds=statistics.median(one.seconds for one in each))
        for each in zip(*alike, strict=True)
    ]
    return sorted(times, key=lambda each: -each.seconds)


def difference(own: Any, other: Any) -> float:
    """The largest difference of two results, in parts of the largest value.

    It is infinite where shapes or texts differ, and NaN where one of them alone is NaN.
    """
    if isinstance(own, dict) and isinstance(other, dict) and own.keys() == other.keys():
        return difference([own[key] for key in own], [other[key] for key in own])
    if isinstance(own, list) and isinstance(other, list) and len(own) == len(other):
        return float(np.max([0, *map(difference, own, other)]))
    one, two = np.asarray(own), np.asarray(other)
    if one.shape != two.shape:
        return math.inf
    if "O" in (one.dtype.kind, two.dtype.kind) or one.dtype.kind in "US":
        return 0.0 if np.array_equal(one, two) else math.inf
    wide = np.complex128 if one.dtype.kind == "c" else np.float64
    one, two = one.astype(wide), two.astype(wide)
    unlike = ~((one == two) | (np.isnan(one) & np.isnan(two)))
    if not unlike.any():
        return 0.0
    with np.errstate(all="ignore"):
        scale = np.max(np.abs(two), where=np.isfinite(two), initial=0)
        return float(np.max(np.abs(one - two)[unlike]) / scale) if scale else math.inf
