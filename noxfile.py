"""`nox`: a wheel for every Python found here, checked, installed and tried.

Pythons are looked for on the PATH; those that are missing are passed over.  The wheels lie in
dist/ afterwards, beside the source archive that they were built from.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["wheels"]

ROOT = Path(__file__).parent
DIST = ROOT / "dist"
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
TOOLS = nox.project.dependency_groups(PROJECT, "wheels")
(NUMPY,) = PROJECT["project"]["dependencies"]
CLAIMED = NUMPY.removeprefix("numpy>=")
# The oldest NumPy for each Python: the one claimed, or the first that has a wheel for it.
OLDEST_NUMPY = {"3.10": CLAIMED, "3.11": CLAIMED, "3.12": "1.26.0", "3.13": "2.1.0"}
ZIPS_FIRST_YEAR = {"SOURCE_DATE_EPOCH": "315532800"}  # as in setup.py


@nox.session(default=False)
def sdist(session: nox.Session) -> None:
    """The source archive."""
    session.install("build>=1")
    for old in DIST.glob("aotconv-*.tar.gz"):
        old.unlink()
    session.run("python", "-m", "build", "--sdist", "--outdir", DIST, ROOT, silent=True)


@nox.session(python=list(OLDEST_NUMPY), requires=["sdist"])
def wheels(session: nox.Session) -> None:
    """A wheel from the source archive, tried beside the newest and the oldest NumPy."""
    session.install(*TOOLS)
    (archive,) = DIST.glob("aotconv-*.tar.gz")
    folder = Path(session.create_tmp())
    for old in folder.glob("*.whl"):
        old.unlink()
    session.run("python", "-m", "pip", "wheel", "--no-deps", "-w", folder, archive)
    (wheel,) = folder.glob("*.whl")
    if sys.platform == "linux":
        tagged = folder / "tagged"
        session.run("auditwheel", "repair", "--wheel-dir", tagged, wheel, env=ZIPS_FIRST_YEAR)
        (wheel,) = tagged.glob("*.whl")
    wheel = wheel.replace(DIST / wheel.name)
    session.run("twine", "check", "--strict", wheel)

    for numpy in ("numpy", f"numpy=={OLDEST_NUMPY[session.python]}"):
        environment = folder / numpy
        session.run("python", "-m", "venv", "--clear", environment)
        python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        pip = (python, "-m", "pip", "--quiet", "install", "--only-binary=:all:")
        session.run(*pip, wheel, numpy, external=True)
        session.run(python, "-I", ROOT / "tests/smoke.py", external=True)
        session.run(python, "-I", ROOT / "tests/audit.py", wheel, external=True)


@nox.session(python=list(OLDEST_NUMPY), default=False)
def tests(session: nox.Session) -> None:
    """The whole test suite; arguments behind `--` are pytest's."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)
