"""The ladder: which implementation computes, and how to choose another.

Compiled ahead of time for the best level of this CPU; else the same kernels compiled by numba in
this process (``jit``); else NumPy (``numpy``).  What runs can be asked (`active`), listed
(`implementations`) and forced (`use`, AOTCONV_IMPLEMENTATION); a fall to a slower rung warns once.
"""

import contextlib
import contextvars
import functools
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from types import FrameType, ModuleType
from typing import NamedTuple

from .._plan.registry import BASELINE_MODULE, LEVELS, SUM_DTYPES, Level, Row, rows_of
from .._plan.select import ABI
from . import cpu
from .baseline import exported, numba_fault
from .check import shown


class FallbackWarning(RuntimeWarning):
    """A slower implementation than the compiled one runs, because the compiled one cannot.

    A RuntimeWarning, given once, at the first call: with the reason, and what to do.  Results are
    those of compiled kernels, within their bounds.

    Examples
    --------
    >>> import warnings
    >>> import aotconv
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", aotconv.FallbackWarning)  # in here an error
    """


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


def _missing_features(level: Level) -> str:
    missing = sorted(level.features - cpu.features())
    return f"this CPU or operating system lacks {', '.join(missing)}" if missing else ""


@functools.cache
def _module(level: Level) -> tuple[ModuleType | None, str]:
    """The compiled module of a level, or None and the reason why there is none."""
    name = f"aotconv.{level.module}"
    if importlib.util.find_spec(name) is None:
        return None, "its compiled module is not installed for this Python"
    reason = _missing_features(level)
    if reason:
        return None, reason
    try:
        module = importlib.import_module(name)
    except (ImportError, SystemError) as error:  # the latter of one that is built for the GIL alone
        return None, f"its compiled module does not load: {error}"
    if getattr(module, ABI, None) is None:
        return None, "its compiled module was built from another source: build it again"
    if exported("run") is None:
        return None, f"the compiled module {BASELINE_MODULE} is missing, or from another source"
    return module, ""


def _level_implementation(level: Level) -> Implementation:
    _, reason = _module(level)
    needs = " ".join(sorted(level.features)) or "any CPU of this kind"
    description = f"kernels compiled ahead of time for {level.name}"
    return Implementation(level.name, description, needs, not reason, reason)


def _jit_level() -> Level | None:
    """The level whose tiles suit this CPU."""
    return next((level for level in LEVELS.values() if not _missing_features(level)), None)


def _jit_implementation() -> Implementation:
    reason = numba_fault()
    if not reason and _jit_level() is None:
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
    # A subclass of str may equal anything.
    text = str.__str__(name) if issubclass(type(name), str) else None
    possible = ", ".join(each.name for each in known if each.available)
    for each in known:
        if each.name == text:
            if each.available:
                return each
            raise ValueError(
                f"{source}: {text!r} cannot run here: {each.reason}; possible here: {possible}"
            )
    raise ValueError(f"{source}: {shown(name)} is no implementation; possible here: {possible}")


def _compiled() -> Implementation | None:
    """The fastest of those compiled ahead of time that can run; no slower one is looked at."""
    levels = map(_level_implementation, LEVELS.values())
    return next((each for each in levels if each.available), None)


def _best() -> Implementation:
    return _compiled() or next(each for each in implementations() if each.available)


_forced: contextvars.ContextVar[Implementation | None] = contextvars.ContextVar(
    "aotconv_implementation", default=None
)
forced = _forced.get  # what a `use` of this thread or task says; None where there is none
_name = os.environ.get("AOTCONV_IMPLEMENTATION")


@functools.cache
def _default() -> Implementation:
    return _find(_name, "AOTCONV_IMPLEMENTATION") if _name else _best()


if not _name:
    # Load the module now, so that the first call is as fast as later ones.  Where there is none,
    # numba is left for that call: to import it opens files and takes a second.
    _compiled()


def active() -> Implementation:
    """Return the implementation that computes now, for float32 and float64.

    Returns
    -------
    Implementation

    Raises
    ------
    ValueError
        Where AOTCONV_IMPLEMENTATION names none that can run.

    Examples
    --------
    >>> import aotconv
    >>> aotconv.active() in aotconv.implementations()
    True
    """
    return forced() or _default()


def use(name: str) -> contextlib.AbstractContextManager[None]:
    """Compute with another implementation inside a ``with`` block, in this thread or task.

    Threads that are started inside of the block do not inherit the choice.

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
    return _use(_find(name, "use"))


@contextlib.contextmanager
def _use(implementation: Implementation) -> Iterator[None]:
    token = _forced.set(implementation)
    try:
        yield
    finally:
        _forced.reset(token)


class Rung(NamedTuple):
    """What a compiled implementation means to a plan: a level's rows, and who compiles them."""

    level: str
    jit: bool

    def task(self, row: Row) -> int | None:
        """The address of the compiled task of `row`; None, with a warning, where numba fails."""
        if not self.jit:
            module, _ = _module(LEVELS[row.level])
            return module.task(rows_of(row.level).index(row))  # type: ignore[union-attr]
        task, fault = _compiled_here(row)
        _warn_of_fall(active(), "numpy" if task is None else "jit", row.dtype, fault)
        return task


@functools.cache
def _compiled_here(row: Row) -> tuple[int | None, str]:
    """The address of a task compiled by numba, or None and what it says."""
    try:
        from .._kernels.compile import jit_task

        exported("run")
        return jit_task(row), ""
    except Exception as error:  # a broken installation may raise anything
        said = str(error).strip().partition("\n")[0]
        return None, f"numba fails: {type(error).__name__}: {said}"


def rung(dtype: str) -> Rung | None:
    """The rung for a dtype: that of `active`, or a slower one if it has no kernel for it.

    None is NumPy's.
    """
    chosen = active()
    if chosen.name in LEVELS and dtype in SUM_DTYPES:
        return Rung(chosen.name, jit=False)
    level = _jit_level() if dtype in SUM_DTYPES else None
    fault = numba_fault()
    if chosen.name != "numpy" and level is not None and not fault:
        return Rung(level.name, jit=True)
    _warn_of_fall(chosen, "numpy", dtype, fault if level is not None else "")
    return None


def _is_source_folder() -> bool:
    """Whether the package lies in a clone in which nothing is compiled for this Python."""
    clone = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.path.isfile(os.path.join(clone, "build_kernels.py")) and not any(
        importlib.util.find_spec(f"aotconv.{level.module}") for level in LEVELS.values()
    )


def _warn_of_fall(chosen: Implementation, computes: str, dtype: str, fault: str) -> None:
    slower = {"jit": "numba's JIT compiler", "numpy": "NumPy"}[computes]
    if chosen.name != computes:
        why = f" ({fault})" if fault else ""
        _warn_once(
            f"aotconv's {chosen.name} has no kernel for {dtype}{why}: {slower} computes instead, "
            "which is slower. Convert to float32 or float64 for the compiled kernels."
        )
    elif not _name and forced() is None:
        reasons = "; ".join(
            f"{each.name}: {each.reason}" for each in implementations() if not each.available
        )
        cure = "this is aotconv's source folder: run `pip install -e .` (or leave the folder)\n"
        first = cure if _is_source_folder() else ""
        _warn_once(
            f"{first}aotconv runs without its compiled kernels: {slower} computes instead, which "
            f"is slower ({reasons}). Install a wheel for this CPU, or build one: pip install . "
            "(in a clone: pip install -e . or python build_kernels.py). To silence this, choose "
            f"it: AOTCONV_IMPLEMENTATION={computes}"
        )


def _is_ours(frame: FrameType) -> bool:
    """Whether a frame is of this package."""
    return str(frame.f_globals.get("__package__")).partition(".")[0] == "aotconv"


@functools.cache
def _warn_once(message: str) -> None:
    # Blame the first caller outside of this package.
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_ours(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, FallbackWarning, stacklevel=level)
