"""What all tests share: the rungs that can run here, and how hypothesis reports a failure."""

from __future__ import annotations

import os
import zlib

import hypothesis
import pytest
import threadpoolctl
from rows import AOT_LEVELS as AOT_LEVELS

import aotconv

# A failing example prints itself, its arrays' seed among the values, and a blob to run it again.
# AOTCONV_EXAMPLES asks for a long run of the property tests: so many examples of each.
EXAMPLES = os.environ.get("AOTCONV_EXAMPLES")
hypothesis.settings.register_profile(
    "aotconv",
    deadline=None,
    max_examples=int(EXAMPLES or 100),
    print_blob=True,
    derandomize=False,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("aotconv")

# NumPy's products judge; small as they are, threads would wait for each other.
threadpoolctl.threadpool_limits(1, user_api="blas")

collect_ignore = ["fuzz_atheris.py"]  # a program for atheris, which it imports

FEW = max(30, int(EXAMPLES or 0) // 5)  # where an example takes long
JIT_SHARE = 32  # one of so many tests of numba's rung is in the default run
AVAILABLE = [each.name for each in aotconv.implementations() if each.available]
COMPILED = [name for name in AVAILABLE if name != "numpy"]
# Of which property tests draw one: numba compiles for seconds what modules hold, but in long runs.
DRAWN = [name for name in AVAILABLE if name != "jit" or EXAMPLES or not AOT_LEVELS]


@pytest.fixture(params=AVAILABLE)
def rung(request):
    """Each implementation that can run here, in use."""
    with aotconv.use(request.param):
        yield request.param


def pytest_collection_modifyitems(items):
    """Leave most of what numba compiles in the process, for seconds each, to the long run, where
    modules hold the same."""
    for item in items:
        rung = getattr(item, "callspec", None) and item.callspec.params.get("rung")
        if rung == "jit" and AOT_LEVELS and zlib.crc32(item.nodeid.encode()) % JIT_SHARE:
            item.add_marker(pytest.mark.long)


def pytest_report_header(config):
    return (
        f"aotconv {aotconv.__version__}: {aotconv.active().name} computes; "
        f"tested: {', '.join(AVAILABLE)}"
    )
