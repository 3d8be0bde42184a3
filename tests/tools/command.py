"""Run a command of ``aotconv`` in this process."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

from aotconv.__main__ import main


class Done(NamedTuple):
    """The exit status of a command, and what it printed."""

    status: int
    out: str
    err: str
    folder: Path | None = None  # that it wrote into

    @property
    def last_error(self):
        """The last line on stderr, where the bar of progress overwrites its own."""
        return self.err.splitlines()[-1].strip()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(*arguments, terminal=True):
    """Run it, with stderr on a terminal or in a file."""
    out, err = io.StringIO(), Terminal() if terminal else io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([*map(str, arguments)])
    return Done(status, out.getvalue(), err.getvalue())
