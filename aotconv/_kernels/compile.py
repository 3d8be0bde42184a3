"""From a registry row to the function that numba compiles, ahead of time or just in time."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import numba

from .._plan.registry import Row
from .team import run_tasks

# Of `kernel` below: addresses and the number of threads; see `run_tasks`.
SIGNATURE = f"void({', '.join(['int64'] * 8)})"


def python_kernel(row: Row):
    """The Python function of a row, to be compiled with SIGNATURE."""

    def kernel(plan, images, weights, out, residual, staging, threads, gomp_parallel):
        run_tasks(row, plan, images, weights, out, residual, staging, threads, gomp_parallel)

    kernel.__name__ = kernel.__qualname__ = f"{row.name}_{row.level}"
    return kernel


@functools.cache
def _sources_digest() -> str:
    """Eight digits that change with any file that a kernel is made of: numba's cache looks at one
    alone."""
    package = Path(__file__).parents[1]
    sources = [path for folder in ("_kernels", "_plan") for path in package.glob(f"{folder}/*.py")]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sorted(sources)))
    return digest.hexdigest()[:8]


@functools.cache
def jit_kernel(row: Row):
    """A row compiled for this machine by numba; the result is cached on disk, if it can be."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # njit would hand the Python function back
        raise RuntimeError("its configuration keeps it from compiling")
    kernel = python_kernel(row)
    kernel.__qualname__ += "_" + _sources_digest()
    try:
        return numba.njit(SIGNATURE, cache=True, error_model="numpy")(kernel)
    except Exception:
        # No folder for the cache may be written, its disk is full, or what lies there is damaged.
        # What else went wrong goes wrong again.
        return numba.njit(SIGNATURE, error_model="numpy")(kernel)


def abi():
    """A module has this function under the name of its ABI."""
