"""`nox`: the one wheel, built from the source archive, checked, and tried under every Python here.

Pythons are looked for on the PATH; those that are missing are passed over.  The wheel lies in dist/
afterwards, beside the source archive.
"""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["trials"]

ROOT = Path(__file__).parent
DIST = ROOT / "dist"
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
TOOLS = nox.project.dependency_groups(PROJECT, "wheels")
(NUMPY,) = PROJECT["project"]["dependencies"]
CLAIMED = NUMPY.removeprefix("numpy>=")
# The oldest NumPy for each Python: the one claimed, or the first that has a wheel for it.
OLDEST_NUMPY = {
    **{"3.10": CLAIMED, "3.11": CLAIMED, "3.12": "1.26.0"},
    **{"3.13": "2.1.0", "3.14": "2.3.2", "3.15": "2.5.2"},
}
# Modules ask for no file and no version of the C library, so that one wheel is for both.
LINUXES = "manylinux_2_17", "musllinux_1_2"


@nox.session(default=False)
def sdist(session: nox.Session) -> None:
    """The source archive."""
    session.install("build>=1")
    for old in DIST.glob("aotconv-*.tar.gz"):
        old.unlink()
    session.run("python", "-m", "build", "--sdist", "--outdir", DIST, ROOT, silent=True)


@nox.session(default=False, requires=["sdist"])
def wheel(session: nox.Session) -> None:
    """The wheel for every CPython, or for this one without a GIL, from the source archive."""
    session.install(*TOOLS)
    (archive,) = DIST.glob("aotconv-*.tar.gz")
    folder = Path(session.create_tmp())
    for old in (*folder.glob("*.whl"), *DIST.glob("aotconv-*.whl")):
        old.unlink()
    session.run("python", "-m", "pip", "wheel", "--no-deps", "-w", folder, archive)
    (built,) = folder.glob("*.whl")
    if sys.platform == "linux":
        built = _tagged(session, built)
    elif sys.platform == "darwin":  # whatever machines the Python itself is for
        built = _renamed(session, built, f"macosx_11_0_{platform.machine()}")
    built = built.replace(DIST / built.name)
    if "-abi3-" in built.name:  # builds without the GIL have none
        session.run("abi3audit", "--strict", built)
    session.run("twine", "check", "--strict", built)


def _tagged(session: nox.Session, built: Path) -> Path:
    """A wheel under the names of all Linuxes that it is for, each of which auditwheel confirms."""
    for each in LINUXES:
        name = _renamed(session, built, f"{each}_{platform.machine()}")
        said = str(session.run("auditwheel", "show", name, silent=True))
        confirmed = re.search(r'"(\w+linux_\d+)_(\d+)_', said)
        series, number = each.rsplit("_", 1)
        if not confirmed or confirmed[1] != series or int(confirmed[2]) > int(number):
            session.error(f"not {each}: {said}")
    return _renamed(session, built, ".".join(f"{each}_{platform.machine()}" for each in LINUXES))


def _renamed(session: nox.Session, built: Path, platform_tag: str) -> Path:
    zips_first_year = {"SOURCE_DATE_EPOCH": "315532800"}  # as in setup.py
    tag = ("--platform-tag", platform_tag)
    name = session.run("wheel", "tags", *tag, built, silent=True, env=zips_first_year)
    return built.parent / str(name).strip()


@nox.session(python=list(OLDEST_NUMPY), requires=["wheel"])
def trials(session: nox.Session) -> None:
    """The wheel beside the newest and the oldest NumPy, where only these are."""
    (built,) = DIST.glob("aotconv-*.whl")
    folder = Path(session.create_tmp())
    for numpy in ("numpy", f"numpy=={OLDEST_NUMPY[session.python]}"):
        environment = folder / numpy
        session.run("python", "-m", "venv", "--clear", environment)
        python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        pip = (python, "-m", "pip", "--quiet", "install", "--only-binary=:all:")
        session.run(*pip, built, numpy, external=True)
        session.run(python, "-I", ROOT / "tests/smoke.py", external=True)
        session.run(python, "-I", ROOT / "tests/audit.py", built, external=True)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """The pages, their examples run, in docs/_build/html; a warning is an error."""
    groups = nox.project.dependency_groups(PROJECT, "docs")
    session.install("-e", ".[dask,keras,onnx]", *groups)
    session.run("sphinx-build", "-W", "--keep-going", ROOT / "docs", ROOT / "docs/_build/html")


@nox.session(python=list(OLDEST_NUMPY), default=False)
def tests(session: nox.Session) -> None:
    """The whole test suite; arguments behind `--` are pytest's."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)
