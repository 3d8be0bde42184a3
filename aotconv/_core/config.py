"""What this installation is and does, for people and bug reports."""

from __future__ import annotations

import platform
import sys
from typing import Any

import numpy as np

from . import cpu, team, threads
from .check import one_of
from .ladder import Implementation, active, implementations
from .version import __version__


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Print versions, the CPU, implementations and threads, as ``numpy.show_config`` does its own.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Whether to print them, or to return them instead.

    Returns
    -------
    dict or None
        With "dicts" all of it, in what JSON has: "implementations" is a list, fastest first, of
        dicts whose "state" is "active", "available" or "unavailable", for a "reason".

    Raises
    ------
    TypeError, ValueError
        If `mode` is neither.

    Examples
    --------
    >>> import aotconv
    >>> aotconv.show_config()  # doctest: +ELLIPSIS
    aotconv ...
    >>> [each["name"] for each in aotconv.show_config("dicts")["implementations"]][-1]
    'numpy'
    """
    mode = one_of("mode", mode, ("stdout", "dicts"))
    facts = _facts()
    if mode == "dicts":
        return facts
    print(f"aotconv {facts['aotconv']}")
    print(f"  Python  {facts['python']} ({facts['system']}, {facts['machine']})")
    print(f"  NumPy   {facts['numpy']}")
    print(f"  CPU     {facts['cpu']}")
    print(f"  threads {facts['threads']}")
    print(f"  helpers {facts['helpers']} started")
    print("  implementations, fastest first:")
    for each in facts["implementations"]:
        print(f"    {each['name']:<10} {each['description']} [{each['reason'] or each['state']}]")
    return None


def _facts() -> dict[str, Any]:
    """All that is told."""
    now = active()
    return {
        "aotconv": __version__,
        "python": platform.python_version(),
        "system": sys.platform,
        "machine": platform.machine(),
        "numpy": np.__version__,
        "cpu": cpu.name(),
        "threads": threads.get_num_threads(),
        "helpers": team.helpers(),
        "implementations": [_told(each, each == now) for each in implementations()],
    }


def _told(each: Implementation, is_active: bool) -> dict[str, Any]:
    state = "active" if is_active else "available" if each.available else "unavailable"
    return {
        "name": each.name,
        "description": each.description,
        "requires": each.requires,
        "state": state,
        "reason": each.reason,
    }
