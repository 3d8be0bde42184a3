"""Run Python in a fresh process, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import aotconv
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

# To begin a process with that may hang: it ends with all threads' stacks, and so do its forks.
# (faulthandler's own timer waits, in a fork, for a thread that is not there.)
WATCHED = """
import faulthandler, os, signal
faulthandler.register(signal.SIGALRM, chain=True)
signal.alarm(100)
os.register_at_fork(after_in_child=lambda: signal.alarm(100))
"""
