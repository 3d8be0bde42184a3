"""What is public: the names that `dir`, `help` and type checkers show, and no others."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from processes import output_of

import aotconv

PROJECT = Path(__file__).parents[1]
# By module, which packages it needs beside NumPy.
MODULES: dict[str, tuple[str, ...]] = {
    "aotconv": (),
    "aotconv.dask": ("dask",),
    "aotconv.gradients": (),
    "aotconv.keras": ("keras", "scipy"),
    "aotconv.ndimage": (),
    "aotconv.onnx": ("onnx",),
    "aotconv.reference": (),
    "aotconv.signal": (),
}
# Prints the sections of a module's help, and the names of classes, functions and data in them.
HELP = """
import importlib, pydoc, re, sys
module = importlib.import_module(NAME)
assert dir(module) == sorted(module.__all__), dir(module)
text = pydoc.plain(pydoc.render_doc(module))
sections = dict(re.findall(r"^([A-Z][A-Z ]+)\\n(.*?)(?=^[A-Z]|\\Z)", text, re.M | re.S))
classes = re.findall(r"^    class (\\w+)", sections.get("CLASSES", ""), re.M)
functions = re.findall(r"^    (\\w+)(?:\\(| = | lambda)", sections.get("FUNCTIONS", ""), re.M)
data = re.findall(r"^    (\\w+) = ", sections.get("DATA", ""), re.M)
shown = {*classes, *functions, *data}
modules = {name for name in module.__all__ if type(getattr(module, name)) is type(sys)}
print(sorted(shown ^ (set(module.__all__) - modules - {"__version__"})))
"""
NO_EXTRAS = "import sys\nsys.modules.update(dict.fromkeys(('dask', 'onnx', 'keras')))\n"


# Packages and modules inside are listed by whoever lists folders: pydoc's PACKAGE CONTENTS.
@pytest.mark.parametrize("name", MODULES)
def test_dir_and_help_show_the_public_names_alone(name):
    if not all(map(importlib.util.find_spec, MODULES[name])):
        pytest.skip(f"needs {' and '.join(MODULES[name])}")
    assert output_of(f"NAME = {name!r}\n{HELP}") == "[]"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gaussian_filter", "it is aotconv.ndimage.gaussian_filter"),
        ("convolve", "it is aotconv.ndimage.convolve or aotconv.signal.convolve"),
        ("savgol_filter", "it is aotconv.signal.savgol_filter"),
        ("conv2d_filters", "it is aotconv.gradients.conv2d_filters"),
        ("avg_pool2d", "say average_pool2d"),
        ("keras", "until aotconv.keras is imported"),
        ("nonsense", "no attribute 'nonsense'"),
    ],
)
def test_a_name_that_is_elsewhere_is_told_where(name, told):
    message = f"import aotconv\ntry: aotconv.{name}\nexcept AttributeError as e: print(e)"
    assert output_of(message).endswith(told)


def test_help_needs_no_package_of_an_extra():
    assert output_of(f"{NO_EXTRAS}NAME = 'aotconv'\n{HELP}") == "[]"


@pytest.mark.skipif(not (PROJECT / "CITATION.cff").is_file(), reason="of a clone, or the archive")
def test_the_version_is_one_wherever_it_stands():
    texts = {
        "CHANGELOG.md": r"^## (\S+)",
        "CITATION.cff": r"^version: (\S+)",
        "recipe/recipe.yaml": r"^  version: (\d\S*)",
    }
    for name, first in texts.items():
        found = re.search(first, (PROJECT / name).read_text(), re.MULTILINE)
        assert found and found[1] == aotconv.__version__, name
