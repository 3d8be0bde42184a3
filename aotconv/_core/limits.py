"""What threadpoolctl sees and limits: the threads of a call."""

from __future__ import annotations

import functools
import sys

from .._plan.registry import BASELINE_MODULE
from . import threads
from .config import __version__


def register_if_loaded() -> None:
    """`register_threadpoolctl`, where somebody has imported threadpoolctl."""
    if "threadpoolctl" in sys.modules:
        register_threadpoolctl()


@functools.cache
def register_threadpoolctl() -> None:
    """Let threadpoolctl see the threads of a call, and limit them.

    It happens by itself where threadpoolctl is imported before aotconv, or before the first call
    that uses several threads.  The user API is "aotconv".

    Raises
    ------
    ImportError
        Where threadpoolctl, of version 3.2 or newer, is not installed.
    """
    import threadpoolctl

    class Team(threadpoolctl.LibController):
        """The team of helpers, known by the module that has its code."""

        user_api = internal_api = "aotconv"
        filename_prefixes = (BASELINE_MODULE,)
        check_symbols = (f"PyInit_{BASELINE_MODULE}",)

        def get_num_threads(self) -> int:
            return threads.get_num_threads()

        def set_num_threads(self, num_threads: int) -> None:
            threads.limit(num_threads)

        def get_version(self) -> str:
            return __version__

    threadpoolctl.register(Team)


register_if_loaded()
