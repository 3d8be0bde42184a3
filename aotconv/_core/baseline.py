"""Functions that any CPU can run: of the module that was compiled ahead of time, else compiled by
numba; and whether numba may compile."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from collections.abc import Callable
from typing import Any

from .._plan.registry import BASELINE_MODULE
from .._plan.select import ABI


def numba_fault() -> str:
    """Why numba cannot compile here; empty where it may."""
    if importlib.util.find_spec("numba") is None:
        return 'numba is not installed: pip install "aotconv[jit]"'
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "NUMBA_DISABLE_JIT keeps numba from compiling"
    return ""


@functools.cache
def exported(name: str) -> Callable[..., Any] | None:
    """A function that the baseline module exports; None where it is neither built nor can be."""
    try:
        module = importlib.import_module(f"aotconv.{BASELINE_MODULE}")
        if hasattr(module, ABI):
            return getattr(module, name, None)
    except (ImportError, SystemError):  # the latter of one that is built for the GIL alone
        pass
    if numba_fault():
        return None
    from .._kernels.compile import jit_export

    return jit_export(name)
