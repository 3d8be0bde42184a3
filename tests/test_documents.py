"""What the documents say: boxes run as they stand and print what stands behind them, links lead to
files and headings that are there, and the reference has every public name once.

Boxes of the language `python` are run, a page in a fresh process and a folder of its own, after
those above them: of the pages BY_HEADING those under the same heading alone.  A box of the language
`text` right behind one is what it prints.  Not run are boxes that begin with NOT_RUN, as
readers see, and SKETCHES, which show how functions are called: names and keywords are checked.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from processes import PACKAGE, output_of

import aotconv

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/decisions").glob("*.md")]
)
BUILT = {"_build", "gallery", "generated"}  # folders of docs that Sphinx fills
TEXTS = [
    path
    for path in sorted((ROOT / "docs").rglob("*"))
    if path.suffix in (".md", ".py", ".rst", ".ipynb") and not BUILT & {*path.parts}
]
BY_HEADING = {"docs/recipes.md", "docs/cheatsheet.md"}
UNSAID = {"docs/install.md", "docs/keras.md"}  # this machine's level, and Keras' bar: how far it is
NOT_RUN = "# not run"
SKETCHES = {"docs/options.md": "Options, one by one"}
SOURCE = re.compile(r"https://github\.com/aotconv/aotconv/(?:blob|raw)/main/")
# What boxes of a page take for granted.
GIVEN = {
    "docs/onnx.md": """
import numpy as np
import onnx
from onnx import TensorProto, helper
shape = [1, 3, 8, 8]
weights = np.ones((4, 3, 3, 3), np.float32)
onnx.save(
    helper.make_model(
        helper.make_graph(
            [helper.make_node("Conv", ["images", "weights"], ["result"])],
            "network",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("result", TensorProto.FLOAT, None)],
            [onnx.numpy_helper.from_array(weights, "weights")],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
    ),
    "model.onnx",
)
images = np.ones(shape, np.float32)
""",
    "docs/dask.md": """
import dask.array as da
import numpy as np
import xarray
import zarr
volume = np.ones((8, 9, 10), np.float32)
zarr.save_array("volume.zarr", volume)
filters = np.ones((3, 3, 3, 1, 2), np.float32)
cube = xarray.DataArray(da.from_array(volume, chunks=4), dims=("time", "y", "x"))
""",
    "docs/keras.md": """
import aotconv.keras
import keras
import numpy as np
layers = [keras.layers.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)]
keras.Sequential(layers).save("model.keras")
images = np.ones((1, 8, 8, 3), np.float32)
""",
}
# Of pages that need no other package: warnings are errors, but that no compiled kernel can run.
GIVEN_ELSE = """
import warnings
import aotconv
warnings.simplefilter("error")
warnings.simplefilter("default", aotconv.FallbackWarning)
"""
# Runs boxes and prints what each of them printed.
RUN = """
import contextlib, io, json
names, printed = {{}}, []
for box, place, share in {boxes!r}:
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        exec(compile(box, place, "exec"), names.setdefault(share, {{}}))
    printed.append(stream.getvalue())
print(json.dumps(printed))
"""


class Box(NamedTuple):
    page: str
    heading: str  # of the second level, or the page's
    line: int  # of its first line, from 0
    text: str
    prints: str | None  # as the page says

    @property
    def runs(self) -> bool:
        is_sketch = SKETCHES.get(self.page) == self.heading
        return not (is_sketch or self.text.startswith(NOT_RUN))

    @property
    def tree(self) -> ast.Module:
        """Python, without the star that stands in signatures before keywords."""
        return ast.parse(self.text.replace(" *,", ""))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def boxes_of(page: str) -> Iterator[Box]:
    """The boxes of the language `python`."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = r"^##? (?P<heading>[^\n]+)$|^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$"
    heading, box, ends = "", None, 0
    for match in re.finditer(found, text, re.M | re.S):
        language = match["language"]
        if box and language == "text" and not text[ends : match.start()].strip():
            box = box._replace(prints=match["text"])
        if box:
            yield box
        heading, box, ends = match["heading"] or heading, None, match.end()
        if language == "python":
            line = text.count("\n", 0, match.start("text"))
            box = Box(page, heading, line, match["text"], None)
    if box:
        yield box


PAGES = ["README.md", *(name_of(path) for path in DOCUMENTS if path.parent == ROOT / "docs")]
BOXES = [box for page in PAGES for box in boxes_of(page)]
RUNNING = {page for page in PAGES if any(box.runs and box.page == page for box in BOXES)}


def packages_of(code: str) -> set[str]:
    """What is imported by a name of its own."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    needed = {f"aotconv.{each}": each for each in ("dask", "keras", "onnx")}
    return {needed.get(name, name).partition(".")[0] for name in names}


@pytest.mark.parametrize("page", sorted(RUNNING))
def test_boxes_run_as_they_stand_and_print_what_is_said(page, tmp_path):
    boxes = [box for box in BOXES if box.runs and box.page == page]
    given = GIVEN.get(page, GIVEN_ELSE)
    for package in packages_of("\n".join([given, *(box.text for box in boxes)])):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}")
    code = RUN.format(
        boxes=[(given, "given", "")]
        + [
            ("\n" * box.line + box.text, page, box.heading if page in BY_HEADING else "")
            for box in boxes
        ]
    )
    printed = json.loads(output_of(code, cwd=tmp_path, PYTHONPATH=str(PACKAGE)).splitlines()[-1])
    for box, text in zip(boxes, printed[1:], strict=True):
        if page not in UNSAID:
            assert text == (box.prints or ""), f"{page}, line {box.line + 1}"


def test_what_is_not_run_says_so_and_is_python():
    left = [box for box in BOXES if not box.runs]
    assert {box.page for box in left} >= {*SKETCHES, "docs/recipes.md"}
    for box in left:
        assert box.tree.body and box.prints is None, f"{box.page}, line {box.line + 1}"


def called(page: str) -> Iterator[tuple[ast.Call, inspect.Signature]]:
    """The calls of aotconv's functions in a page's sketch, and the functions' signatures."""
    sketched = [box.tree for box in boxes_of(page) if not box.runs]
    for node in (node for tree in sketched for node in ast.walk(tree)):
        path = isinstance(node, ast.Call) and ast.unparse(node.func)
        if path and re.fullmatch(r"aotconv(\.\w+)+", path):
            _, *path = path.split(".")
            if path[0] in ("dask", "keras", "onnx") and not importlib.util.find_spec(path[0]):
                continue
            function = aotconv
            for name in path:
                function = getattr(function, name)
            yield node, inspect.signature(function)


@pytest.mark.parametrize("page", SKETCHES)
def test_sketches_call_functions_as_they_can_be_called(page):
    calls = list(called(page))
    assert len(calls) >= 2
    for node, signature in calls:
        keywords = {each.arg: None for each in node.keywords}
        assert keywords.keys() <= signature.parameters.keys(), ast.unparse(node)
        signature.bind(*node.args, **keywords)


@pytest.mark.parametrize("page", SKETCHES)
def test_a_sketch_with_all_arguments_has_all_of_them_and_their_defaults(page):
    node, signature = max(called(page), key=lambda call: len(call[0].keywords))
    given = {each.arg: ast.literal_eval(each.value) for each in node.keywords}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    wanted = [each for each in signature.parameters.values() if each.kind in kinds]
    names = [ast.unparse(each) for each in node.args] + list(given)
    assert names == [each.name for each in wanted]
    assert given == {each.name: each.default for each in wanted if each.name in given}


def prose(path: Path) -> str:
    """A page without its boxes and code."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$|^    .*?$", "", text, flags=re.M | re.S))


def anchors(path: Path) -> set[str]:
    """What leads to headings, as GitHub and MyST name them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_to_files_and_headings_that_are_there(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        file, _, anchor = SOURCE.sub("", target).partition("#")
        if re.match(r"[a-z]+:", file):
            continue
        address = SOURCE.match(target)
        led = (ROOT if address else path.parent) / file if file else path
        assert led.exists(), f"{target} is not there"
        if path.is_relative_to(ROOT / "docs") and not address:
            assert led.resolve().is_relative_to(ROOT / "docs"), f"{target} is none of the pages"
        assert not anchor or anchor in anchors(led), f"{target} has no such heading"


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_addresses_of_the_repository_are_files_of_it(path):
    for file in re.findall(SOURCE.pattern + r"([\w./-]*\w)", path.read_text(encoding="utf-8")):
        assert (ROOT / file).exists(), file


def test_no_line_is_taken_for_a_comment_and_no_power_for_bold_letters():
    for path in DOCUMENTS:
        prose = re.sub(
            r"^```.*?^```$|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.M | re.S
        )
        assert not re.findall(r"^\s*%.*|.*\d\*\*\d.*", prose, re.M), path


def public_names() -> Iterator[str]:
    """The names in `__all__` of all doors, modules among them."""
    for path in (ROOT / "aotconv").glob("*.py"):
        module = "aotconv" if path.stem == "__init__" else f"aotconv.{path.stem}"
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                yield from (f"{module}.{name}" for name in ast.literal_eval(node.value))
                yield module


def referred_names() -> Iterator[str]:
    """The names that pages of the reference have, and the modules."""
    for path in (ROOT / "docs" / "reference").glob("*.md"):
        module = ""
        for box in re.findall(r"^```\{eval-rst\}\n(.*?)^```$", path.read_text(), re.M | re.S):
            for line in box.splitlines():
                directive = re.match(r"\.\. (automodule|currentmodule):: (\S+)$", line)
                if directive:
                    module = directive[2]
                    yield from [module] if directive[1] == "automodule" else []
                name = re.fullmatch(r"(?:   |\.\. py:data:: )(\w+)", line)
                if name:
                    yield f"{module}.{name[1]}"


def test_the_reference_has_every_public_name_once_and_nothing_else():
    names = set(public_names()) - {"aotconv", "aotconv.__version__"}  # the site's own name
    assert len(names) > 100
    assert Counter(referred_names()) == Counter(names)
