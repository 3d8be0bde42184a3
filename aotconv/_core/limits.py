"""What threadpoolctl sees and limits: the threads of a call."""

from __future__ import annotations

import contextlib
import functools
import sys

from .._plan.registry import BASELINE_MODULE
from . import threads
from .config import __version__


def register_if_loaded() -> None:
    """`register_threadpoolctl`, where somebody has imported threadpoolctl."""
    if "threadpoolctl" in sys.modules:
        with contextlib.suppress(ImportError):  # it is older than 3.2
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
    from threadpoolctl import LibController, register

    class CallThreads(LibController):
        """Threads of a call, known by the module that has the team's code."""

        user_api = internal_api = "aotconv"
        filename_prefixes = (BASELINE_MODULE,)
        check_symbols = (f"PyInit_{BASELINE_MODULE}",)

        def get_num_threads(self) -> int:
            return threads.get_num_threads()

        def set_num_threads(self, num_threads: int) -> None:
            threads.limit(num_threads)

        def get_version(self) -> str:
            return __version__

    register(CallThreads)


register_if_loaded()
