"""What users install: built from source in isolation, used where only NumPy is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from processes import output_of, run_python

import aotconv
from aotconv.kernels.registry import CPU_MODULE, IS_X86_64, LEVELS

ROOT = Path(__file__).parent.parent
SOURCES = ("aotconv", "build_kernels.py", "setup.py", "pyproject.toml", "LICENSE", "README.md")


def run(*command, **environment):
    result = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def copy_sources(target):
    """The project without anything that was built in place."""
    target.mkdir(exist_ok=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
            shutil.copytree(ROOT / name, target / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the sources with build isolation."""
    source = copy_sources(tmp_path_factory.mktemp("source"))
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, source)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare_python(wheel, tmp_path_factory):
    """The interpreter of a fresh environment that holds the wheel and what it requires."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=True)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(python, "-m", "pip", "install", "--quiet", wheel)
    return str(python)


def test_the_wheel_holds_a_module_a_level_and_requires_numpy_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        fields = Parser().parsestr(archive.read(metadata).decode())
    modules = {name.split("/")[1].split(".")[0] for name in names if name.endswith((".so", ".pyd"))}
    expected = {level.module for level in LEVELS.values()}
    assert modules == expected | ({CPU_MODULE} if IS_X86_64 else set())
    always = [line for line in fields.get_all("Requires-Dist") if "extra ==" not in line]
    assert len(always) == 1 and always[0].startswith("numpy")
    assert "aotconv/py.typed" in names
    assert not [name for name in names if name.startswith(("tests", "build_kernels"))]
    assert wheel.stat().st_size < 1 << 20


def test_the_wheel_computes_with_compiled_kernels_where_only_numpy_is(bare_python, tmp_path):
    code = """
import importlib.util, sys, warnings
warnings.simplefilter("error")
assert importlib.util.find_spec("numba") is None
import numpy as np, aotconv
assert "site-packages" in aotconv.__file__
images, filters = np.ones((32, 28, 28, 3), "f4"), np.ones((4, 4, 3, 4), "f4")
result = aotconv.conv2d(images, filters, np.ones(4, "f4"), (1, 1))
assert result.shape == (32, 25, 25, 4) and (result == 49).all()
double = aotconv.conv2d(images.astype("f8"), filters, padding="same", threads=2)
assert double.dtype == "f8" and double.max() == 48
print(aotconv.active().name)
"""
    assert output_of(code, python=bare_python, cwd=tmp_path) == aotconv.active().name


def test_the_wheels_command_line_needs_only_numpy(bare_python, tmp_path):
    command = [str(Path(bare_python).parent / "aotconv"), "info"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert result.returncode == 0 and aotconv.active().name in result.stdout


def test_integers_fall_to_numpy_with_a_warning_where_numba_is_absent(bare_python, tmp_path):
    code = """
import numpy as np, aotconv
print(aotconv.conv2d(np.ones((1, 3, 3, 1), int), np.ones((2, 2, 1, 1), int)).ravel().tolist())
"""
    result = run_python(code, python=bare_python, cwd=tmp_path)
    assert result.stdout.strip() == "[4, 4, 4, 4]"
    assert result.stderr.count("FallbackWarning") == 1 and "NumPy computes" in result.stderr


def test_without_kernels_the_wheel_is_pure_python(tmp_path):
    source = copy_sources(tmp_path / "source")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, source, AOTCONV_NO_AOT="1")
    (built,) = tmp_path.glob("*.whl")
    assert built.name.endswith("py3-none-any.whl")


def test_without_a_c_compiler_the_build_says_what_is_missing_and_what_to_do(tmp_path):
    command = [sys.executable, ROOT / "build_kernels.py", "--output", tmp_path]
    environment = {**os.environ, "CC": "no-such-compiler"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "no C compiler: 'no-such-compiler' was not found" in result.stderr
    assert "AOTCONV_NO_AOT=1" in result.stderr and "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_kernel_that_does_not_compile_fails_the_build(tmp_path):
    source = copy_sources(tmp_path)
    broken = source / "aotconv" / "kernels" / "dense.py"
    broken.write_text(broken.read_text().replace("v.splat(", "v.splatter("))
    command = [sys.executable, "build_kernels.py", "--levels", next(iter(LEVELS))]
    result = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1 and "splatter" in result.stderr
    assert not list((source / "aotconv").glob(f"{next(iter(LEVELS.values())).module}.*"))


def test_only_the_build_knows_pycc():
    knows = {
        path.relative_to(ROOT).as_posix()
        for path in [*ROOT.glob("*.py"), *(ROOT / "aotconv").rglob("*.py")]
        if "pycc" in path.read_text()
    }
    assert knows == {"build_kernels.py"}
