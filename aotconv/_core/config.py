"""What this installation is and does, for people and bug reports."""

from __future__ import annotations

import platform
import sys

import numpy as np

from . import team, threads
from .ladder import active, implementations
from .version import __version__


def show_config() -> None:
    """Print versions, implementations and threads, as ``numpy.show_config`` does its own.

    Examples
    --------
    >>> import aotconv
    >>> aotconv.show_config()  # doctest: +ELLIPSIS
    aotconv ...
    """
    print(f"aotconv {__version__}")
    print(f"  Python  {platform.python_version()} ({sys.platform}, {platform.machine()})")
    print(f"  NumPy   {np.__version__}")
    print(f"  threads {threads.get_num_threads()}")
    print(f"  helpers {team.helpers()} started")
    print("  implementations, fastest first:")
    for each in implementations():
        state = "active" if each == active() else "available" if each.available else each.reason
        print(f"    {each.name:<10} {each.description} [{state}]")
