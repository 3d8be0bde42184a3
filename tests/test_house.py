"""The house: which rooms may import which, and where numba is."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aotconv._core.activations import MEANINGS
from aotconv._plan.activations import ACTIVATIONS, CLAMPS, CURVES, FINISHES, INTEGERS
from aotconv._plan.registry import ROWS
from aotconv._plan.select import FAMILIES

PACKAGE = Path(__file__).parents[1] / "aotconv"
# What the files of a room import as they are loaded, and in functions; "doors" are what users
# import.  numba is for `_kernels` alone.
AT_ONCE = {
    "doors": {"doors", "_core", "_dask", "_keras", "_onnx"},
    "_dask": {"_dask", "doors"},
    "_keras": {"_keras", "doors"},
    "_onnx": {"_onnx", "doors"},
    "_core": {"_core", "_plan"},
    "_plan": {"_plan"},
    "_kernels": {"_kernels", "_plan", "numba", "llvmlite"},
    "_tools": {"_tools", "doors", "_core", "_plan"},
}
LATE = {"doors": {"_tools"}, "_core": {"_kernels"}, "_tools": {"numba"}}
ROOMS = {*AT_ONCE, "numba", "llvmlite"}
FILES = [path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob("*.py"))]


def imported(path: Path) -> Iterator[tuple[str, bool]]:
    """The names that a file imports, of this package's as `_plan.dense`, and whether late."""
    tree = ast.parse((PACKAGE / path).read_text())
    functions = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef))
    late = {node for each in functions for node in ast.walk(each)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):  # of none of these files, one of which may be named alike
            names = [each.name for each in node.names]
            yield from ((each, node in late) for each in names if not is_pythons(each))
        elif isinstance(node, ast.ImportFrom):
            above = path.parent.parts[: len(path.parent.parts) - node.level + 1]
            start = ".".join([*(above if node.level else ()), *filter(None, [node.module])])
            yield from ((f"{start}.{each.name}".strip("."), node in late) for each in node.names)


def is_pythons(name: str) -> bool:
    """Whether a module is of Python's own library."""
    return name.partition(".")[0] in sys.stdlib_module_names


def room_of(name: str) -> str:
    first = name.partition(".")[0]
    return "doors" if (PACKAGE / f"{first}.py").is_file() or first == "aotconv" else first


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_one_way(path):
    room = path.parts[0] if len(path.parts) > 1 else "doors"
    for name, late in imported(path):
        if path.name != "__main__.py" and room_of(name) in ROOMS:  # which is the tools' own door
            allowed = AT_ONCE[room] | (LATE.get(room, set()) if late else set())
            assert room_of(name) in allowed, f"{path} imports {name}"


@pytest.mark.parametrize("room", ["_plan", "_kernels"])
def test_families_do_not_import_each_other(room):
    for name in FAMILIES:
        others = {f"{folder}.{other}" for folder in AT_ONCE for other in FAMILIES if other != name}
        names = {each for each, _ in imported(Path(room, f"{name}.py"))}
        assert not {each for each in names if each.startswith(tuple(f"{o}." for o in others))}


def test_every_row_has_a_family_and_every_family_a_kernel_of_its_name():
    assert {row.family for row in ROWS} == set(FAMILIES)
    for name in FAMILIES:
        assert (PACKAGE / "_plan" / f"{name}.py").is_file()
        assert (PACKAGE / "_kernels" / f"{name}.py").is_file()


def test_activations_mean_something_to_arrays_and_to_vectors():
    functions = pytest.importorskip("aotconv._kernels.functions", reason="needs numba")
    assert (*CLAMPS, *CURVES) == ACTIVATIONS
    finishes = [name for name in FINISHES if name not in (None, INTEGERS)]
    assert list(functions.MEANINGS) == finishes
    assert list(MEANINGS) == finishes[len(CLAMPS) - 1 :]
