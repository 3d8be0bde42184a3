"""Run Python in a fresh process, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import aotconv

TESTS = Path(__file__).parent
PACKAGE = Path(aotconv.__file__).parents[1]  # the folder that has what is tested


def run_python(code: str, *, python: str = sys.executable, cwd=None, **environment: str | None):
    """The finished process of ``python -c code``; None takes a variable out."""
    settings = {key: value for key, value in os.environ.items() if not key.startswith("AOTCONV_")}
    for name, value in environment.items():
        settings.pop(name, None)
        if value is not None:
            settings[name] = value
    command = [python, "-c", code]
    return subprocess.run(
        command, env=settings, cwd=cwd, capture_output=True, text=True, timeout=300
    )


def output_of(code: str, **options) -> str:
    """What `code` prints; it must succeed."""
    result = run_python(code, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def run_test_code(*arguments: str, under: tuple[str, ...] = (), **environment: str):
    """The finished process of ``python *arguments`` in the tests' folder, perhaps under a tool, on
    the same aotconv and the same modules of tests as this one."""
    settings = {**os.environ, **environment, "PYTHONPATH": f"{PACKAGE}{os.pathsep}{TESTS}"}
    command = [*under, sys.executable, *arguments]
    return subprocess.run(
        command, env=settings, cwd=TESTS, capture_output=True, text=True, timeout=3600
    )
