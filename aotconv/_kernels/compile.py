"""From a registry row to the function that numba compiles, ahead of time or just in time."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numba

from .._plan.registry import Row, rows_of
from .baseline import EXPORTS
from .jobs import task_address, task_of

KERNEL_SIGNATURE = "int64()"  # of `kernel` below
TASKS_SIGNATURE = "int64(int64)"  # of `task`


def python_kernel(row: Row):
    """The Python function that gives the address of a row's task, to be compiled with
    KERNEL_SIGNATURE."""

    def kernel():
        return task_address(row)

    kernel.__name__ = kernel.__qualname__ = f"{row.name}_{row.level}"
    return kernel


def python_tasks(level: str):
    """The Python function that gives the address of the task of any row of a level, by its place in
    `rows_of(level)`, to be compiled with TASKS_SIGNATURE."""
    task_at = task_of(rows_of(level))

    def task(index):
        return task_at(index)

    return task


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


def jit_export(name: str):
    """A function of the baseline module, compiled for this machine by numba; None where it has none
    of that name, or one that wants more of its arguments than numba hands on."""
    export = EXPORTS.get(name)
    if export is None or export.rest:
        return None
    compiled, objects = _jit(export.function, export.signature), frozenset(export.objects)
    if not objects:
        return compiled
    return lambda *args: compiled(*(id(v) if i in objects else v for i, v in enumerate(args)))


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
