"""SciPy's own tests of its filters, on those of `aotconv.ndimage` in their place.

For a process of its own: what was put in SciPy's place stays there.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from pathlib import Path

import pytest

import aotconv
from aotconv import ndimage

# `correlate_separable` is not SciPy's.
NAMES = [name for name in ndimage.__all__ if name != "correlate_separable"]
PRIMITIVES = "correlate", "correlate1d", "uniform_filter1d"  # SciPy's, in C


class Judge:
    """A plugin of pytest.

    Attributes
    ----------
    outcomes : dict of str
        Of each test that called a filter of ours; "passed", "failed" or "skipped".
    """

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self._called = False

    def pytest_collection_modifyitems(self, items) -> None:
        """Put ours everywhere: SciPy marks tests by its own functions, so only now."""
        from scipy import ndimage as scipys
        from scipy.ndimage import _filters

        ours = {getattr(scipys, name): self._seen(getattr(ndimage, name)) for name in NAMES}
        for module in {scipys, *(item.module for item in items)}:
            for name, value in list(vars(module).items()):
                if inspect.isfunction(value) and value in ours:
                    setattr(module, name, ours[value])
        for item in items:
            given = item.callspec.params if hasattr(item, "callspec") else {}
            given |= {name: ours[each] for name, each in given.items() if _is_in(each, ours)}
        for name in PRIMITIVES:  # that nobody is judged who is SciPy's
            setattr(_filters._nd_image, name, _refuse)

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
    raise AssertionError("SciPy's own filter computes")


def main(path: str) -> None:
    """Write the outcomes into a file, as JSON."""
    judge = Judge()
    options = ["-q", "-c", os.devnull, "--rootdir", str(Path(path).parent)]
    options += ["-p", "no:cacheprovider", "-W", "ignore"]
    pytest.main([*options, "--pyargs", "scipy.ndimage.tests.test_filters"], plugins=[judge])
    Path(path).write_text(json.dumps(judge.outcomes))


if __name__ == "__main__":
    print(f"aotconv {aotconv.__version__}: {aotconv.active().name} computes")
    main(sys.argv[1])
