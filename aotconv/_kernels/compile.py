"""From a registry row to the function that numba compiles, ahead of time or just in time."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numba

from .._plan.registry import Row
from .baseline import EXPORTS
from .jobs import run_jobs, task_address

# Of `kernel` and of `run` below.
KERNEL_SIGNATURE = "int64()"
RUN_SIGNATURE = f"void({', '.join(['int64'] * 7)})"


def python_kernel(row: Row):
    """The Python function that gives the address of a row's task, to be compiled with
    KERNEL_SIGNATURE."""

    def kernel():
        return task_address(row)

    kernel.__name__ = kernel.__qualname__ = f"{row.name}_{row.level}"
    return kernel


def run(jobs, images, out, residual, staging, threads, team):
    """What runs jobs, to be compiled with RUN_SIGNATURE."""
    run_jobs(jobs, images, out, residual, staging, threads, team)


@functools.cache
def _sources_digest() -> str:
    """Eight digits that change with any file that a kernel is made of: numba's cache looks at one
    alone."""
    package = Path(__file__).parents[1]
    sources = [path for folder in ("_kernels", "_plan") for path in package.glob(f"{folder}/*.py")]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sorted(sources)))
    return digest.hexdigest()[:8]


@functools.cache
def jit_task(row: Row) -> int:
    """The address of a row's task, compiled for this machine by numba."""
    return _jit(python_kernel(row), KERNEL_SIGNATURE)()


@functools.cache
def jit_run():
    """What runs jobs, compiled for this machine by numba."""
    return _jit(run, RUN_SIGNATURE)


def jit_export(name: str):
    """A function of the baseline module, compiled for this machine by numba; None where it has none
    of that name."""
    return _jit(*EXPORTS[name]) if name in EXPORTS else None


_compiled: list[Any] = []  # tasks are known by their addresses alone


def _jit(function, signature: str):
    """A function compiled by numba; the result is cached on disk, if it can be."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # njit would hand the Python function back
        raise RuntimeError("its configuration keeps it from compiling")
    function.__qualname__ += "_" + _sources_digest()
    try:
        compiled = numba.njit(signature, cache=True, error_model="numpy")(function)
    except Exception:
        # No folder for the cache may be written, its disk is full, or what lies there is damaged.
        # What else went wrong goes wrong again.
        compiled = numba.njit(signature, error_model="numpy")(function)
    _compiled.append(compiled)
    return compiled


def abi():
    """A module has this function under the name of its ABI."""
