"""The ladder: which implementation computes, and how to choose another.

Compiled ahead of time for the best level of this CPU; else the same kernels compiled by numba in
this process (``jit``); else NumPy (``numpy``).  What runs can be asked (`active`), listed
(`implementations`) and forced (`use`, AOTCONV_IMPLEMENTATION); a fall to a slower rung warns once.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib
import importlib.util
import os
import sys
import warnings
from typing import NamedTuple

from .kernels.registry import (
    AOT_DTYPES,
    CPU_MODULE,
    IS_X86_64,
    LEVELS,
    LOOP_DTYPES,
    ROWS,
    Level,
    Row,
)

# cpuid's leaf, subleaf, register (eax, ebx, ecx, edx) and bit of each feature of a level.
_FEATURES = {
    "sse3": (1, 0, 2, 0),
    "ssse3": (1, 0, 2, 9),
    "fma": (1, 0, 2, 12),
    "cx16": (1, 0, 2, 13),
    "sse4_1": (1, 0, 2, 19),
    "sse4_2": (1, 0, 2, 20),
    "movbe": (1, 0, 2, 22),
    "popcnt": (1, 0, 2, 23),
    "osxsave": (1, 0, 2, 27),
    "avx": (1, 0, 2, 28),
    "f16c": (1, 0, 2, 29),
    "bmi1": (7, 0, 1, 3),
    "avx2": (7, 0, 1, 5),
    "bmi2": (7, 0, 1, 8),
    "avx512f": (7, 0, 1, 16),
    "avx512dq": (7, 0, 1, 17),
    "avx512cd": (7, 0, 1, 28),
    "avx512bw": (7, 0, 1, 30),
    "avx512vl": (7, 0, 1, 31),
    "lahf": (0x80000001, 0, 2, 0),
    "lzcnt": (0x80000001, 0, 2, 5),
}
# Features whose registers the operating system must save, and the bits of XCR0 that say so.
_SAVED_STATE = {
    0b110: frozenset(["avx", "avx2", "f16c", "fma"]),
    0b11100110: frozenset(["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
}


class FallbackWarning(RuntimeWarning):
    """A slower implementation than the compiled one runs, because the compiled one cannot."""


class Implementation(NamedTuple):
    """One way to compute a convolution.

    Attributes
    ----------
    name : str
        What `use` and AOTCONV_IMPLEMENTATION take.
    description : str
    requires : str
        What it needs.
    available : bool
        Whether it can run here and now.
    reason : str
        Why it cannot; empty where it can.
    """

    name: str
    description: str
    requires: str
    available: bool
    reason: str


def detect_features(cpuid, xgetbv) -> frozenset[str]:
    """This CPU's features, less those whose registers the operating system does not save."""
    found = set()
    for name, (leaf, subleaf, register, bit) in _FEATURES.items():
        if cpuid(leaf & 0x80000000, 0, 0) >= leaf and cpuid(leaf, subleaf, register) >> bit & 1:
            found.add(name)
    saved = xgetbv() if "osxsave" in found else 0
    for mask, features in _SAVED_STATE.items():
        if saved & mask != mask:
            found -= features
    return frozenset(found)


@functools.cache
def cpu_features() -> frozenset[str]:
    """This CPU's features, by cpuid; none are known where no code that asks can be compiled."""
    if not IS_X86_64:
        return frozenset()
    with contextlib.suppress(ImportError):
        module = importlib.import_module(f"{__package__}.{CPU_MODULE}")
        return detect_features(module.cpuid, module.xgetbv)
    if not _has_numba():
        return frozenset()
    from .kernels.cpu import jit_exports

    return detect_features(**jit_exports())


def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


def _missing_features(level: Level) -> str:
    missing = sorted(level.features - cpu_features())
    return f"this CPU or operating system lacks {', '.join(missing)}" if missing else ""


@functools.cache
def _module(level: Level):
    """The compiled module of a level, or the reason why there is none."""
    reason = _missing_features(level)
    if reason:
        return reason
    try:
        module = importlib.import_module(f"{__package__}.{level.module}")
    except ModuleNotFoundError:
        return "its compiled module is not installed for this Python"
    except ImportError as error:
        return f"its compiled module does not load: {error}"
    if not all(hasattr(module, row.name) for row in ROWS if row.level == level.name):
        return "its compiled module is older than this source: python build_kernels.py"
    return module


def _level_implementation(level: Level) -> Implementation:
    module = _module(level)
    reason = module if isinstance(module, str) else ""
    needs = " ".join(sorted(level.features)) or "any CPU of this kind"
    description = f"kernels compiled ahead of time for {level.name}"
    return Implementation(level.name, description, needs, not reason, reason)


def _jit_level() -> Level | None:
    """The level whose tiles suit this CPU."""
    return next((level for level in LEVELS.values() if not _missing_features(level)), None)


def _jit_implementation() -> Implementation:
    reason = ""
    if not _has_numba():
        reason = 'numba is not installed: pip install "aotconv[jit]"'
    elif _jit_level() is None:
        reason = f"this CPU has none of the levels {', '.join(LEVELS)}"
    description = "the same kernels compiled by numba in this process, cached on disk"
    return Implementation("jit", description, "numba", not reason, reason)


def implementations() -> tuple[Implementation, ...]:
    """List the implementations, fastest first.

    Returns
    -------
    tuple of Implementation
        Each with its name, what it needs, and whether it can run here.

    Examples
    --------
    >>> import aotconv
    >>> [each.name for each in aotconv.implementations()][-2:]
    ['jit', 'numpy']
    """
    numpy = Implementation("numpy", "NumPy's windows and matrix products", "NumPy", True, "")
    return (*map(_level_implementation, LEVELS.values()), _jit_implementation(), numpy)


def _find(name: str, source: str) -> Implementation:
    """The implementation `name`, which must be able to run."""
    known = implementations()
    possible = ", ".join(each.name for each in known if each.available)
    for each in known:
        if each.name == name:
            if each.available:
                return each
            raise ValueError(
                f"{source}: {name!r} cannot run here: {each.reason}; possible here: {possible}"
            )
    raise ValueError(f"{source}: {name!r} is no implementation; possible here: {possible}")


def _best() -> Implementation:
    """The fastest that can run; only what is faster than it is looked at."""
    for level in LEVELS.values():
        found = _level_implementation(level)
        if found.available:
            return found
    return next(each for each in implementations() if each.available)


_forced: contextvars.ContextVar[Implementation | None] = contextvars.ContextVar(
    "aotconv_implementation", default=None
)
_name = os.environ.get("AOTCONV_IMPLEMENTATION")
_default = _find(_name, "AOTCONV_IMPLEMENTATION") if _name else _best()
_chosen_by_user = bool(_name)


def active() -> Implementation:
    """Return the implementation that computes now, for float32 and float64.

    Returns
    -------
    Implementation

    Examples
    --------
    >>> import aotconv
    >>> aotconv.active() in aotconv.implementations()
    True
    """
    return _forced.get() or _default


@contextlib.contextmanager
def use(name: str):
    """Compute with another implementation inside a ``with`` block, in this thread or task.

    Parameters
    ----------
    name : str
        One that `implementations` lists as available.

    Raises
    ------
    ValueError
        Where there is none of that name or it cannot run; the message lists those that can.

    Examples
    --------
    >>> import aotconv
    >>> with aotconv.use("numpy"):
    ...     aotconv.active().name
    'numpy'
    """
    token = _forced.set(_find(name, "use"))
    try:
        yield
    finally:
        _forced.reset(token)


class Rung(NamedTuple):
    """What a compiled implementation means to a plan: a level's rows, and who compiles them."""

    level: str
    jit: bool

    def kernel(self, row: Row):
        """The compiled function of `row`."""
        if self.jit:
            from .kernels.compile import jit_kernel

            return jit_kernel(row)
        return getattr(_module(LEVELS[row.level]), row.name)


def rung(dtype: str) -> Rung | None:
    """The rung for a dtype: that of `active`, or a slower one if it has no kernel for it.

    None is NumPy's.
    """
    chosen = active()
    compiled = dtype in AOT_DTYPES
    jit_level = _jit_level() if compiled or dtype in LOOP_DTYPES else None
    if chosen.name in LEVELS and compiled:
        return Rung(chosen.name, jit=False)
    if chosen.name != "numpy" and jit_level is not None and _has_numba():
        _warn_of_fall(chosen, "numba's JIT compiler", dtype)
        return Rung(jit_level.name, jit=True)
    _warn_of_fall(chosen, "NumPy", dtype)
    return None


def _warn_of_fall(chosen: Implementation, slower: str, dtype: str) -> None:
    if chosen.name in LEVELS:
        _warn_once(
            f"aotconv has no compiled kernel for {dtype}: {slower} computes instead, which is "
            "slower. Convert to float32 or float64 for the compiled kernels."
        )
    elif not _chosen_by_user and _forced.get() is None:
        reasons = "; ".join(
            f"{each.name}: {each.reason}" for each in implementations() if not each.available
        )
        _warn_once(
            f"aotconv runs without its compiled kernels: {slower} computes instead, which is "
            f"slower ({reasons}). Install a wheel for this Python and CPU, or build one where a C "
            "compiler is: pip install . (in a clone: pip install -e . or python "
            "build_kernels.py). To silence this, choose it: "
            f"AOTCONV_IMPLEMENTATION={chosen.name}"
        )


@functools.cache
def _warn_once(message: str) -> None:
    # Blame the first caller outside of this package.
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, FallbackWarning, stacklevel=level)
