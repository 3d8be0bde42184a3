"""What users install: built from source in isolation, used where only NumPy is."""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from audit import faults_of_module, modules, requirements
from conftest import AOT_LEVELS
from processes import output_of, run_python

from aotconv._plan.registry import BASELINE_MODULE, IS_X86_64, LEVELS

ROOT = Path(__file__).parent.parent
SOURCES = (
    *("aotconv", "docs", "tests", "build_kernels.py", "setup.py", "noxfile.py", "pyproject.toml"),
    *("MANIFEST.in", "LICENSE", "README.md", "CHANGELOG.md", "HACKING.md"),
    *("CITATION.cff", "recipe"),
)
LEVEL = AOT_LEVELS[-1]  # of the wheel that is built with kernels: the smallest module


def run(*command, cwd=None, **environment):
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


needs_choice = pytest.mark.skipif(os.name == "nt", reason="there ziglang's linker alone is used")


def copy_sources(target):
    """The project without anything that was built in place."""
    target.mkdir(exist_ok=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", ".*")
            shutil.copytree(ROOT / name, target / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, target / name)
    return target


def fresh_python(environment):
    """The interpreter of a fresh environment."""
    venv.create(environment, with_pip=True)
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of one level, built from a copy of the sources with build isolation."""
    return build_wheel(tmp_path_factory, AOTCONV_LEVELS=LEVEL)


@pytest.fixture(scope="module")
def pure_wheel(tmp_path_factory):
    """The same without kernels, which is built in seconds."""
    return build_wheel(tmp_path_factory, AOTCONV_NO_AOT="1")


def build_wheel(tmp_path_factory, **environment):
    source = copy_sources(tmp_path_factory.mktemp("source"))
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, source, **environment)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare_python(wheel, tmp_path_factory):
    """The interpreter of a fresh environment that holds the wheel and what it requires."""
    return python_with(wheel, tmp_path_factory)


@pytest.fixture(scope="module")
def pure_python(pure_wheel, tmp_path_factory):
    return python_with(pure_wheel, tmp_path_factory)


def python_with(wheel, tmp_path_factory):
    python = fresh_python(tmp_path_factory.mktemp("environment"))
    run(python, "-m", "pip", "install", "--quiet", wheel)
    return str(python)


@pytest.mark.long
def test_the_wheel_holds_the_modules_asked_for_and_requires_numpy_alone(wheel):
    assert modules(wheel) == {BASELINE_MODULE, LEVELS[LEVEL].module}
    (always,) = requirements(wheel)
    assert always.startswith("numpy>=")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        years = {each.date_time[0] for each in archive.infolist()}
    assert "aotconv/py.typed" in names and years == {1980}
    assert not [name for name in names if not name.startswith(("aotconv/", "aotconv-"))]


def test_the_extra_for_tests_names_what_the_tests_and_the_build_import(pure_wheel):
    files = [*(ROOT / "tests").rglob("*.py"), ROOT / "build_kernels.py"]
    files = [path for path in files if path.parent.name != "golden"]  # made elsewhere, once
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    found = [node for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    names += [node.module for node in found]
    own = {
        "aotconv",
        "golden",
        *(path.stem for path in files),
        *(path.parent.name for path in files),
    }
    packages = {name.partition(".")[0] for name in names} - own - sys.stdlib_module_names
    (installed,) = importlib.metadata.distributions(path=[str(pure_wheel)])
    named = {re.match(r"[\w-]+", each)[0] for each in installed.requires}
    # Of pillow; of a program that says what it needs; of a judge, if it is there.
    assert packages - named == {"PIL", "atheris", "onnxruntime"}
    assert {"pillow", "build", "setuptools"} <= named


@pytest.mark.long
def test_the_wheel_computes_with_compiled_kernels_where_only_numpy_is(bare_python, tmp_path):
    smoke = (bare_python, "-I", ROOT / "tests" / "smoke.py", "--level", LEVEL)
    said = run(*smoke, cwd=tmp_path)
    assert "site-packages" in said and said.endswith(f"{LEVEL} is active; right at {LEVEL}\n")
    find = "import importlib.util; print(importlib.util.find_spec('numba'))"
    assert output_of(find, python=bare_python, cwd=tmp_path) == "None"


def info(python, folder):
    """What the command line of an environment says."""
    command = [str(Path(python).parent / "aotconv"), "info"]
    return run(*command, cwd=folder, PYTHONPATH="")


@pytest.mark.long
def test_the_wheels_command_line_needs_only_numpy(bare_python, tmp_path):
    assert f"{LEVEL} [active]" in info(bare_python, tmp_path)


@pytest.mark.long
def test_integers_fall_to_numpy_with_a_warning_where_numba_is_absent(bare_python, tmp_path):
    code = """
import numpy as np, aotconv
print(aotconv.conv2d(np.ones((1, 3, 3, 1), int), np.ones((2, 2, 1, 1), int)).ravel().tolist())
"""
    result = run_python(code, python=bare_python, cwd=tmp_path)
    assert result.stdout.strip() == "[4, 4, 4, 4]"
    assert result.stderr.count("FallbackWarning") == 1 and "NumPy computes" in result.stderr


def test_without_kernels_the_wheel_is_pure_and_numpy_computes_with_one_warning(
    pure_wheel, pure_python, tmp_path
):
    assert pure_wheel.name.endswith("py3-none-any.whl")
    (always,) = requirements(pure_wheel)
    assert always.startswith("numpy>=")
    assert "matrix products [active]" in info(pure_python, tmp_path)
    code = """
import numpy as np, aotconv
layer = aotconv.Conv2D(np.ones((2, 2, 1, 1), "f4"))
for size in (3, 4):
    print(layer(np.ones((1, size, size, 1), "f4")).sum())
print(aotconv.active().name, aotconv.__file__)
"""
    result = run_python(code, python=pure_python, cwd=tmp_path, PYTHONPATH=None)
    assert result.stdout.split()[:3] == ["16.0", "36.0", "numpy"], result.stderr
    assert "site-packages" in result.stdout
    assert result.stderr.count("FallbackWarning") == 1 and "NumPy computes" in result.stderr


# What each build of a module is told by the one that starts it.
CPU = {"NUMBA_CPU_NAME": "x86-64" if IS_X86_64 else "generic", "NUMBA_CPU_FEATURES": ""}


def build_here(*options, **environment):
    """The build in place of a project's copy, or what else it is told to do."""
    return subprocess.run(
        [sys.executable, ROOT / "build_kernels.py", *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


@needs_choice
@pytest.mark.parametrize("where", [{"LD": "no-such-linker"}, {"LD": "", "PATH": ""}])
def test_without_a_linker_the_build_says_what_is_missing_and_what_to_do(tmp_path, where):
    if importlib.util.find_spec("ziglang") and "PATH" in where:
        pytest.skip("ziglang is installed")
    result = build_here("--output", tmp_path, **where)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    what = "the linker 'no-such-linker' that LD names" if where["LD"] else "a linker"
    assert f"{what} was not found" in result.stderr
    assert "binutils" in result.stderr and "AOTCONV_NO_AOT=1" in result.stderr
    assert not list(tmp_path.iterdir())


@needs_choice
def test_a_linker_that_fails_is_named_with_what_it_says(tmp_path):
    linker = tmp_path / "ld"
    linker.write_text("#!/bin/sh\necho 'no room on device' >&2\nexit 1\n")
    linker.chmod(0o755)
    target = tmp_path / "_baseline.so"
    result = build_here("--compile", BASELINE_MODULE, target, LD=str(linker), **CPU)
    assert result.returncode == 1 and not target.exists() and "Traceback" not in result.stderr
    assert f"{linker} does not link {BASELINE_MODULE}: no room on device" in result.stderr


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="of ELF")
def test_a_compilers_driver_links_as_the_linker_does(tmp_path):
    drivers = [name for name in ("gcc", "clang") if shutil.which(name)]
    if not drivers or not shutil.which("ld"):
        pytest.skip("needs binutils and a compiler")
    linkers = "ld", *drivers, f"{drivers[0]} -fuse-ld=bfd"
    folders = [tmp_path / str(i) for i in range(len(linkers))]
    # The module is compiled once.
    code = f"""
import build_kernels, os
from pathlib import Path
link = build_kernels.link
def link_by_each(module, objects, target, free_threaded):
    for linker, folder in zip({linkers!r}, {list(map(str, folders))!r}):
        os.environ["LD"] = linker
        os.mkdir(folder)
        link(module, objects, Path(folder, target.name), free_threaded)
build_kernels.link = link_by_each
build_kernels.compile_module({BASELINE_MODULE!r}, Path({BASELINE_MODULE + ".so"!r}), False, None)
"""
    output_of(code, cwd=ROOT, **CPU)
    for folder in folders:
        assert not faults_of_module(folder / f"{BASELINE_MODULE}.so")
        code = f"import {BASELINE_MODULE} as each; print(each.allocate() % 128, each.begin)"
        assert output_of(code, cwd=folder).startswith("0 <built-in")


def asked_for(hook, **environment):
    """What a build asks pip for."""
    code = f"import build_kernels; print(build_kernels.get_requires_for_build_{hook}())"
    return ast.literal_eval(output_of(code, cwd=ROOT, **environment).splitlines()[-1])


@needs_choice
@pytest.mark.parametrize("hook", ["wheel", "editable"])
def test_a_build_asks_for_a_linker_only_where_there_is_none(hook):
    (compiler,) = asked_for(hook, LD="true")
    missing = f"import build_kernels; build_kernels.get_requires_for_build_{hook}()"
    said = run_python(missing, cwd=ROOT, LD="no-such-linker")
    assert said.returncode == 1 and "'no-such-linker' that LD names was not found" in said.stderr
    there = importlib.util.find_spec("ziglang") is not None
    linker = [each.partition(">")[0] for each in asked_for(hook, PATH="", LD="")[1:]]
    assert linker == ([] if there else ["ziglang"])
    assert asked_for(hook, PATH="", LD="", AOTCONV_NO_AOT="1") == []
    assert f'jit = ["{compiler}"]' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.skipif(bool(importlib.util.find_spec("ziglang")), reason="ziglang is there")
def test_on_windows_a_build_takes_ziglangs_linker_whatever_else_is_there():
    code = """
import build_kernels
build_kernels.WINDOWS = True
print(build_kernels.find_linker())
"""
    assert output_of(code, cwd=ROOT).splitlines()[-1] == "None"


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal to control a process by")
def test_who_waits_at_the_terminal_is_told_what_the_build_does_though_its_output_is_kept_away():
    import pty

    code = "import build_kernels; build_kernels.get_requires_for_build_wheel()"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execvpe(sys.executable, ["python", "-c", code], {**os.environ, "LD": "true"})
    said = b""
    with contextlib.suppress(OSError):  # Linux' end of file
        while more := os.read(terminal, 1000):
            said += more
    os.close(terminal)
    assert os.waitpid(child, 0)[1] == 0, said
    assert said.startswith(b"\raotconv: a build from source:") and said.endswith(b"\r\n")


def test_what_asks_for_requirements_needs_neither_numpy_nor_the_library():
    code = """
import sys
sys.modules["numpy"] = sys.modules["aotconv"] = None  # not to be imported
import build_kernels
print(build_kernels.get_requires_for_build_sdist(), hasattr(build_kernels, "build_wheel"))
"""
    assert output_of(code, cwd=ROOT) == "['numpy>=2'] True"


@pytest.mark.long
def test_a_kernel_that_does_not_compile_fails_the_build_which_says_nothing_else(tmp_path):
    source = copy_sources(tmp_path)
    for path in (source / "aotconv" / "_kernels").glob("*.py"):
        path.write_text(path.read_text().replace("v.splat(", "v.splatter("))
    command = [sys.executable, "-W", "always", "build_kernels.py", "--levels", LEVEL]
    environment = {**os.environ, "PYTHONWARNINGS": "always"}
    result = subprocess.run(
        command, cwd=source, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 1 and "splatter" in result.stderr
    assert "PendingDeprecation" not in result.stderr  # what numba says of pycc
    assert not list((source / "aotconv").glob(f"{LEVELS[LEVEL].module}.*"))


def test_only_the_build_knows_pycc():
    folders = (ROOT.glob("*.py"), (ROOT / "aotconv").rglob("*.py"), (ROOT / "tests").rglob("*.py"))
    knows = {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in folder
        if "pycc" in path.read_text()
    }
    assert knows == {"build_kernels.py", Path(__file__).relative_to(ROOT).as_posix()}


def test_no_module_that_is_installed_loads_pycc_by_any_name_or_lets_numba_warn():
    code = """
import importlib, pkgutil, sys, warnings
import aotconv
from aotconv._plan.registry import BASELINE_MODULE, IS_X86_64, LEVELS
warnings.simplefilter("always")
modules = BASELINE_MODULE, *(each.module for each in LEVELS.values())
compiled = {f"aotconv.{name}" for name in modules}
for found in pkgutil.walk_packages(aotconv.__path__, "aotconv."):
    if found.name not in compiled:
        importlib.import_module(found.name)
kernels = {name for name in sys.modules if name.startswith("aotconv._kernels.")}
assert {"aotconv._kernels.compile", "aotconv._kernels.cpu", "aotconv._kernels.dense"} <= kernels
print([name for name in sys.modules if "pycc" in name])
"""
    result = run_python(code)
    assert result.stdout == "[]\n", result.stderr
    assert "numba" not in result.stderr.lower()


@needs_choice
@pytest.mark.long
def test_pip_passes_on_what_is_missing_where_no_linker_is(tmp_path):
    command = [sys.executable, "-m", "pip", "install", "--target", tmp_path / "installed"]
    result = subprocess.run(
        [*command, copy_sources(tmp_path / "source")],
        env={**os.environ, "LD": "no-such-linker"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    said = result.stdout + result.stderr
    assert result.returncode == 1 and "'no-such-linker' that LD names was not found" in said
    assert "AOTCONV_NO_AOT=1" in said and "Traceback" not in said


@pytest.mark.long
def test_a_program_that_pyinstaller_freezes_computes_with_the_compiled_kernels(wheel, tmp_path):
    python = fresh_python(tmp_path / "environment")
    run(python, "-m", "pip", "install", "--quiet", wheel, "numba", "pyinstaller")
    program = tmp_path / "program.py"
    program.write_text("""
import sys
import numpy as np, aotconv
images, filters = np.ones((4, 64, 64, 16), "f4"), np.ones((3, 3, 16, 32), "f4")
assert (aotconv.conv2d(images, filters, threads=2) == 144).all()
print(aotconv.active().name, getattr(sys, "frozen", False), aotconv.ndimage.sobel([1, 2, 4]))
""")
    run(python, "-m", "PyInstaller", "--log-level", "ERROR", program, cwd=tmp_path)
    frozen = tmp_path / "dist" / "program"
    assert run(frozen / "program", cwd=tmp_path) == f"{LEVEL} True [1 3 2]\n"
    assert not [path for path in frozen.rglob("*") if "llvmlite" in path.name]


@pytest.mark.long
@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("debootstrap") or os.getuid() != 0,
    reason="needs debootstrap, and root's rights",
)
def test_one_wheel_serves_every_cpython(tmp_path):
    tools = fresh_python(tmp_path / "tools")
    run(tools, "-m", "pip", "install", "--quiet", "nox")
    folder = copy_sources(tmp_path / "source")
    path = os.pathsep.join([str(tools.parent), os.environ["PATH"]])
    run(tools, "-m", "nox", "-f", folder / "noxfile.py", "-s", "wheel", PATH=path)
    (wheel,) = (folder / "dist").glob("*.whl")
    said = run(ROOT / "tests" / "every_python.sh", tmp_path / "pythons", wheel)
    tried = re.findall(r"^== CPython 3\.(\d+)$", said, re.MULTILINE)
    assert tried == [str(number) for number in range(10, 16)]
    assert said.count("right at") == said.count(" passed") == len(tried) and " failed" not in said


def by_nox(nox_python, folder):
    """The wheel that noxfile.py of a folder builds, checks and tries with this Python."""
    session = f"trials-{sys.version_info.major}.{sys.version_info.minor}"
    path = os.pathsep.join([str(nox_python.parent), os.environ["PATH"]])
    command = (nox_python, "-m", "nox", "-f", folder / "noxfile.py", "-s", session)
    said = run(*command, cwd=folder.parent, PATH=path, TMPDIR=str(folder.parent))
    tried = [line for line in said.splitlines() if "right at" in line]
    assert len(tried) == 2 and all(line.endswith(", ".join(AOT_LEVELS)) for line in tried), said
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


@pytest.mark.long
def test_the_source_archive_builds_the_same_bytes_in_another_folder_and_they_are_fit_for_all(
    tmp_path,
):
    python = fresh_python(tmp_path / "tools")
    run(python, "-m", "pip", "install", "--quiet", "nox")
    folder = copy_sources(tmp_path / "one")
    first = by_nox(python, folder)
    (archive,) = (folder / "dist").glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path / "a" / "longer" / "way")
    (unpacked,) = (tmp_path / "a" / "longer" / "way").iterdir()
    second = by_nox(python, unpacked)
    assert first.name == second.name and first.read_bytes() == second.read_bytes()
    if sys.platform == "linux":
        machine = platform.machine()
        tags = f"manylinux_2_17_{machine}.musllinux_1_2_{machine}"
        assert first.stem.split("-")[2:] == ["cp310", "abi3", tags]
