"""SciPy's own tests of its functions, on those of `aotconv` in their place.

For a process of its own: what was put in SciPy's place stays there.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from processes import run_with_tests

import aotconv
from aotconv import ndimage, signal


class Module(NamedTuple):
    """A module of ours, and what SciPy has of it.

    Attributes
    ----------
    ours : module
    tests : tuple of str
        SciPy's modules of tests, of which those count that call a function of ours.
    primitives : tuple of (str, tuple of str)
        Functions in C that nobody may call who is judged, and the modules that have them.
    """

    ours: ModuleType
    tests: tuple[str, ...]
    primitives: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def names(self) -> list[str]:
        # `correlate_separable` is not SciPy's.
        return [name for name in self.ours.__all__ if name != "correlate_separable"]


_SIGNAL = "scipy.signal.tests.test_"
MODULES = {
    "ndimage": Module(
        ndimage,
        ("scipy.ndimage.tests.test_filters",),
        (("scipy.ndimage._nd_image", ("correlate", "correlate1d", "uniform_filter1d")),),
    ),
    "signal": Module(
        signal,
        tuple(_SIGNAL + name for name in ("signaltools", "upfirdn", "savitzky_golay")),
        (),  # SciPy's other functions are made of them
    ),
}


class Judge:
    """A plugin of pytest.

    Attributes
    ----------
    outcomes : dict of str
        Of each test that called a function of ours; "passed", "failed" or "skipped".
    """

    def __init__(self, module: Module) -> None:
        self.outcomes: dict[str, str] = {}
        self._module, self._called = module, False

    def pytest_collection_modifyitems(self, items) -> None:
        """Put ours everywhere: SciPy marks tests by its own functions, so only now."""
        mine = self._module.ours
        scipys = importlib.import_module(f"scipy.{mine.__name__.rpartition('.')[2]}")
        ours = {
            getattr(scipys, name): self._seen(getattr(mine, name)) for name in self._module.names
        }
        for module in {scipys, *(item.module for item in items)}:
            for name, value in list(vars(module).items()):
                if inspect.isfunction(value) and value in ours:
                    setattr(module, name, ours[value])
        for item in items:
            given = item.callspec.params if hasattr(item, "callspec") else {}
            given |= {name: ours[each] for name, each in given.items() if _is_in(each, ours)}
        for name, functions in self._module.primitives:  # that nobody is judged who is SciPy's
            for function in functions:
                setattr(importlib.import_module(name), function, _refuse)

    def pytest_runtest_setup(self) -> None:
        self._called = False

    def pytest_runtest_logreport(self, report) -> None:
        if report.when == "call" and self._called:
            self.outcomes[report.nodeid.partition("::")[2]] = report.outcome

    def _seen(self, function):
        @functools.wraps(function)
        def seen(*args, **told):
            self._called = True
            return function(*args, **told)

        return seen


def _is_in(value, functions) -> bool:
    return inspect.isfunction(value) and value in functions


def _refuse(*_) -> None:
    raise AssertionError("SciPy's own function computes")


def main(name: str, path: str) -> None:
    """Write the outcomes of a module's tests into a file, as JSON."""
    module = MODULES[name]
    judge = Judge(module)
    options = ["-q", "-c", os.devnull, "--rootdir", str(Path(path).parent)]
    options += ["-p", "no:cacheprovider", "-W", "ignore"]
    pytest.main([*options, "--pyargs", *module.tests], plugins=[judge])
    Path(path).write_text(json.dumps(judge.outcomes))


def judged(name: str, folder: Path) -> tuple[dict[str, list[str]], str]:
    """By outcome the tests of a module in a process of its own, and what that printed."""
    path = folder / "outcomes.json"
    result = run_with_tests(f"import scipy_judge; scipy_judge.main{(name, str(path))}")
    assert path.exists(), result.stderr
    tests: dict[str, list[str]] = {"passed": [], "failed": []}
    for test, outcome in json.loads(path.read_text()).items():
        tests.setdefault(outcome, []).append(test)
    return tests, result.stdout


if __name__ == "__main__":
    print(f"aotconv {aotconv.__version__}: {aotconv.active().name} computes")
    main(*sys.argv[1:])
