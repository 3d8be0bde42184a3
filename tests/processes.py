"""Run Python in a fresh process, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys


def run_python(
    code: str, *, python: str = sys.executable, under=(), cwd=None, **environment: str | None
):
    """The finished process of ``python -c code``; None takes a variable out.

    `under` is a command that runs the interpreter: an emulator and its options.
    """
    settings = {key: value for key, value in os.environ.items() if not key.startswith("AOTCONV_")}
    for name, value in environment.items():
        settings.pop(name, None)
        if value is not None:
            settings[name] = value
    command = [*under, python, "-c", code]
    return subprocess.run(
        command, env=settings, cwd=cwd, capture_output=True, text=True, timeout=300
    )


def output_of(code: str, **options) -> str:
    """What `code` prints; it must succeed."""
    result = run_python(code, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()
