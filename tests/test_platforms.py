"""Other CPUs than this one, emulated by QEMU: the ladder picks what they can run, and it computes.

QEMU ends a process by SIGILL at an instruction that the chosen CPU lacks, so each process here that
ends well has reached none.  Its bits are those of the same level on this machine's own CPU.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import AOT_LEVELS
from processes import output_of, run_python
from test_wheel import copy_sources, fresh_python, run

from aotconv._plan.registry import IS_X86_64, LEVELS

pytestmark = pytest.mark.skipif(
    not (IS_X86_64 and sys.platform == "linux"), reason="QEMU runs Linux programs of x86-64 here"
)
long = pytest.mark.long
SMOKE = Path(__file__).parent / "smoke.py"

# QEMU has no AVX-512.  What is behind a minus is taken out of the CPU before it.  Without BMI1, or
# without SSSE3 where SSE4 is, the C library or NumPy itself ends by SIGILL.
LEVELS_OF_CPUS = {
    "Nehalem": "x86-64-v2",
    "Haswell": "x86-64-v3",
}
LEVELS_OF_MORE_CPUS = {
    "SandyBridge": "x86-64-v2",  # AVX, but not AVX2
    "max": "x86-64-v3",
    "max,-avx2": "x86-64-v2",
    "EPYC": "x86-64-v3",
    "Haswell,-xsave": "x86-64-v2",  # AVX, whose registers the operating system would not save
    **{
        f"Haswell,-{feature}": "x86-64-v2"
        for feature in ("abm", "avx", "avx2", "bmi2", "f16c", "fma", "movbe")
    },
}
CPUS_BELOW_ALL_LEVELS = (
    "qemu64",
    "core2duo",
    "Penryn",
    *(f"Nehalem,-{name}" for name in ("cx16", "lahf-lm", "popcnt", "sse4.1", "sse4.2")),
)

# NumPy's matrix products take FMA for granted where AVX2 is, and are not what is tested.
PLAIN_BLAS = {"OPENBLAS_CORETYPE": "Prescott"}

# Layers of all families but Winograd's, on float32 and float64: within the documented bound of the
# exact results, and what all results' bytes come to.
COMPUTE = """
import hashlib, json, warnings
import numpy as np
import aotconv
from aotconv.reference import conv_reference

LAYERS = (
    ((1, 9, 9, 5), (3, 3, 5, 20), {"padding": "same", "strides": (2, 1), "activation": "relu"}),
    ((1, 8, 8, 64), (1, 1, 64, 3), {"dilations": 2}),
    ((1, 9, 9, 3), (3, 3, 3, 4), {"padding": "same"}),
    ((1, 6, 6, 8), (3, 3, 2, 8), {"groups": 4}),
    ((1, 9, 9, 24), (3, 3, 1, 24), {"padding": "same", "groups": 24}),
    ((1, 9, 9, 24), (5, 5, 1, 24), {"strides": 2, "groups": 24}),
    ((1, 12, 40, 1), (5, 5, 1, 1), {"padding": "same"}),
    ((1, 12, 20, 3), (7, 7, 1, 3), {"padding": "same", "groups": 3}),
    ((1, 12, 20, 3), (4, 2, 1, 3), {"padding": "same", "groups": 3, "dilations": (1, 2)}),
)
random, digest = np.random.default_rng(7), hashlib.sha256()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for dtype in (np.float32, np.float64):
        for shape, window, options in LAYERS:
            images, filters = (random.standard_normal(s).astype(dtype) for s in (shape, window))
            result = aotconv.conv2d(images, filters, **options)
            exact = conv_reference(images, filters, **options)
            products = filters[..., 0].size
            largest = abs(images).max() * abs(filters).max()
            bound = np.finfo(dtype).eps * (products + 1) * float(largest) * 2
            assert abs(result - exact).max() <= bound, (dtype, shape, window, options)
            digest.update(result.tobytes())
print(json.dumps({
    "level": aotconv.active().name,
    "digest": digest.hexdigest(),
    "warnings": [f"{each.category.__name__}: {each.message}" for each in caught],
}))
"""


@pytest.fixture(scope="module")
def qemu():
    """The command that emulates a CPU of x86-64."""
    path = shutil.which("qemu-x86_64")
    if path is None:
        pytest.skip("needs qemu-x86_64 (Debian, Ubuntu: apt-get install qemu-user)")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", said)
    if not found or tuple(map(int, found.groups())) < (7, 2):
        pytest.skip(f"needs QEMU 7.2, the first with AVX2; here is {said.partition(chr(10))[0]!r}")
    return path


@pytest.fixture(scope="module")
def digests():
    """What COMPUTE's results come to at each level that this machine's own CPU has."""
    return {
        level: json.loads(output_of(COMPUTE, AOTCONV_IMPLEMENTATION=level))["digest"]
        for level in AOT_LEVELS
    }


def compute_on(cpu, qemu, **options):
    """What COMPUTE prints on an emulated CPU."""
    return json.loads(output_of(COMPUTE, within=[qemu, "-cpu", cpu], **PLAIN_BLAS, **options))


@pytest.mark.parametrize(
    ("cpu", "level"),
    [
        *LEVELS_OF_CPUS.items(),
        *(pytest.param(*each, marks=long) for each in LEVELS_OF_MORE_CPUS.items()),
    ],
)
def test_an_emulated_cpu_gets_its_level_which_computes_the_same_bits(cpu, level, qemu, digests):
    found = compute_on(cpu, qemu)
    assert found["level"] == level and not found["warnings"]
    if level in digests:
        assert found["digest"] == digests[level]


def test_the_emulator_ends_a_process_that_runs_what_its_cpu_lacks(qemu):
    """Or the other tests of this file would prove nothing."""
    code = """
import aotconv, aotconv._core.cpu, numpy as np
from aotconv._plan.registry import LEVELS
aotconv._core.cpu.features = lambda: LEVELS["x86-64-v3"].features
print(aotconv.active().name, flush=True)
aotconv.conv2d(np.ones((1, 5, 5, 2), "f4"), np.ones((3, 3, 2, 4), "f4"))
"""
    under = [qemu, "-cpu", "Nehalem"]
    result = run_python(code, within=under, AOTCONV_IMPLEMENTATION="x86-64-v3")
    assert result.stdout == "x86-64-v3\n"
    assert result.returncode == -signal.SIGILL


@pytest.fixture(scope="module")
def older_numpy(tmp_path_factory):
    """A folder with a NumPy that runs on any CPU of x86-64: since 2.4 its wheels need x86-64-v2."""
    folder = tmp_path_factory.mktemp("numpy")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, "numpy<2.4"]
    subprocess.run(command, check=True, timeout=600)
    return str(folder)


@long
@pytest.mark.parametrize("cpu", CPUS_BELOW_ALL_LEVELS)
def test_a_cpu_below_all_levels_falls_to_numpy_with_one_warning(cpu, qemu, older_numpy):
    """Detection itself runs nothing above the baseline: some of these have not even SSSE3."""
    found = compute_on(cpu, qemu, PYTHONPATH=older_numpy)
    assert found["level"] == "numpy"
    (warning,) = found["warnings"]
    assert warning.startswith("FallbackWarning: aotconv runs without its compiled kernels: NumPy")
    for level in LEVELS:
        assert f"{level}: this CPU or operating system lacks" in warning


@pytest.fixture(scope="module")
def wheels_python(tmp_path_factory):
    """The interpreter of a fresh environment that holds a wheel of all levels, and NumPy."""
    source = copy_sources(tmp_path_factory.mktemp("source"))
    python = fresh_python(tmp_path_factory.mktemp("environment"))
    run(python, "-m", "pip", "install", "--quiet", source)
    return python


@long
@pytest.mark.parametrize(("cpu", "level"), [*LEVELS_OF_CPUS.items(), *LEVELS_OF_MORE_CPUS.items()])
def test_the_installed_wheel_passes_the_smoke_set_on_an_emulated_cpu(
    cpu, level, qemu, wheels_python, tmp_path
):
    command = (qemu, "-cpu", cpu, wheels_python, "-I", SMOKE, "--level", level)
    said = run(*command, cwd=tmp_path, **PLAIN_BLAS)
    compiled = [*LEVELS]
    right = ", ".join(compiled[compiled.index(level) :])
    assert "site-packages" in said and said.endswith(f"{level} is active; right at {right}\n")
