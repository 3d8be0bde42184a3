"""Run Python in a fresh process, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import aotconv
from aotconv._plan.registry import BASELINE_MODULE, LEVELS
from aotconv._plan.team import HELPER

TESTS = Path(__file__).parent
PACKAGE = Path(aotconv.__file__).parents[1]  # the folder that has what is tested


def run_python(
    code: str,
    *,
    python: str = sys.executable,
    flags: tuple[str, ...] = (),
    within: tuple[str, ...] = (),
    cwd=None,
    timeout: float = 300,
    **environment: str | None,
):
    """The finished process of ``python -c code``; None takes a variable out.

    `flags` are Python's, `within` a command that runs another, as emulators do.
    """
    settings = {key: value for key, value in os.environ.items() if not key.startswith("AOTCONV_")}
    for name, value in environment.items():
        settings.pop(name, None)
        if value is not None:
            settings[name] = value
    command = [*within, python, *flags, "-c", code]
    return subprocess.run(
        command, env=settings, cwd=cwd, capture_output=True, text=True, timeout=timeout
    )


def run_with_tests(code: str, **options):
    """`run_python`, on the same aotconv and the same modules of tests as this process."""
    path = os.pathsep.join(map(str, (PACKAGE, TESTS)))
    return run_python(code, timeout=3600, PYTHONPATH=path, **options)


def output_of(code: str, **options) -> str:
    """What `code` prints; it must succeed."""
    result = run_python(code, **options)
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stderr}"
    return result.stdout.strip()


WITHOUT = """
import importlib.abc, sys
def is_blocked(name):
    package, _, module = name.partition(".")
    return package in {packages} or (package == "aotconv" and module in {compiled})
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if is_blocked(name):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if is_blocked(name) else find_spec(name)
"""


def without(*packages: str) -> str:
    """Code behind which neither these packages nor compiled modules can be imported."""
    compiled = {BASELINE_MODULE, *(level.module for level in LEVELS.values())}
    return WITHOUT.format(packages=set(packages), compiled=compiled)


# Whether all families compute the bits that one thread gets.
EVERY_FAMILY = """
import threading
import numpy as np, aotconv
rng = np.random.default_rng(0)
def draw(shape):
    return rng.standard_normal(shape, np.float32)
def case(shape, window, **options):
    make = {3: aotconv.Conv1D, 4: aotconv.Conv2D, 5: aotconv.Conv3D}[len(window)]
    return draw(shape), make(draw(window), **options)
cases = [
    case((1, 40, 40, 32), (3, 3, 32, 64)),
    case((1, 32, 40, 40), (3, 3, 32, 64), data_format="NCHW"),
    case((2, 60, 60, 3), (4, 4, 3, 4)),
    case((1, 40, 40, 32), (3, 3, 4, 32), groups=8),
    case((1, 60, 60, 64), (5, 5, 1, 64), groups=64),
    case((1, 300, 300, 1), (5, 5, 1, 1)),
    case((1, 100, 100, 3), (9, 9, 1, 3), groups=3, strides=2),
    case((4, 2000, 16), (9, 16, 32), padding="causal"),
    case((1, 12, 30, 30, 8), (3, 3, 3, 8, 16)),
    case((1, 12, 30, 30, 24), (3, 3, 3, 1, 24), groups=24),
]
if aotconv.active().name != "numpy":
    cases.append(case((1, 40, 40, 32), (3, 3, 32, 64), algorithm="winograd"))
cases.append(case((2, 40, 40, 8), (9, 9, 8, 16), algorithm="fft"))  # the last one
expected = [layer(images, threads=1) for images, layer in cases]
def compute(threads):
    return all(np.array_equal(layer(images, threads=threads), each)
        for (images, layer), each in zip(cases, expected))
"""

# For a process of several threads: the numbers of its helpers, and of its other threads.
THREADS = f"""
def helpers():
    return [each for each in _threads() if _is_helper(each)]
def others():
    return [each for each in _threads() if not _is_helper(each)]
def _threads():
    return map(int, os.listdir("/proc/self/task"))
def _is_helper(thread):
    return open(f"/proc/self/task/{{thread}}/comm").read().strip() == {HELPER!r}
"""

# To begin a process with that may hang: 100 seconds after the last `watch` it ends with all stacks,
# and so do its forks.  (faulthandler's own timer waits, in a fork, for a thread that is not there.)
WATCHED = """
import faulthandler, os, signal
def watch():
    if hasattr(signal, "alarm"):
        signal.alarm(100)
    else:
        faulthandler.dump_traceback_later(100, exit=True)
if hasattr(signal, "alarm"):
    faulthandler.register(signal.SIGALRM, chain=True)
    os.register_at_fork(after_in_child=watch)
watch()
"""
