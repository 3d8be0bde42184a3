"""The notebook of the documentation runs, and holds what it prints."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
from processes import PACKAGE

from aotconv.reference import conv_reference

nbclient = pytest.importorskip("nbclient", reason="needs nbclient and ipykernel")
pytest.importorskip("ipykernel", reason="needs nbclient and ipykernel")
nbformat = pytest.importorskip("nbformat")

NOTEBOOK = PACKAGE / "docs" / "examples" / "speeding_up_convolution.ipynb"
VARIES = "varies"  # a tag of cells whose output is the machine's: times, numba, the level
KEEP = """
names = list(results)
np.savez("kept", images, filters, biases, names, *results.values(), image=image, sums=sums)
"""


def read():
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell) -> str:
    return "".join(each.text for each in cell.outputs if each.output_type == "stream")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def executed(folder):
    """The notebook, run in a folder of its own, and at its end what it computed in a file there."""
    notebook = read()
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    notebook.cells.append(nbformat.v4.new_code_cell(KEEP))
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(folder)}}
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(folder))  # nothing is written elsewhere
        patch.setenv("PYTHONPATH", str(PACKAGE), prepend=os.pathsep)
        client.execute()
    return notebook


def test_it_runs_and_prints_what_it_holds(executed):
    for held, ran in zip(code_cells(read()), code_cells(executed)[:-1], strict=True):
        assert not [each for each in ran.outputs if each.get("name") == "stderr"], ran.outputs
        if VARIES not in held.metadata.get("tags", ()):
            assert printed(ran) == printed(held)
        kinds = [[each.output_type for each in cell.outputs] for cell in (held, ran)]
        assert kinds[0] == kinds[1], held.source


def test_all_versions_are_the_convolution(executed, folder):
    kept = np.load(folder / "kept.npz")
    images, filters, biases, names, *results = (kept[f"arr_{i}"] for i in range(len(kept) - 2))
    assert {"v1, by image", "v2, by batch", "v3, Python", "aotconv"} <= set(names)
    assert len(results) == len(names)
    exact = conv_reference(images, filters, biases)
    for name, result in zip(names, results, strict=True):
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, exact, rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_sums_of_the_picture_are_a_convolution(executed, folder):
    kept = np.load(folder / "kept.npz")
    edge = np.tile([-1, 0, 1], (3, 1))[..., np.newaxis, np.newaxis]
    np.testing.assert_array_equal(
        kept["sums"], conv_reference(kept["image"][..., None], edge)[..., 0]
    )


def test_it_was_run_from_its_first_cell_to_its_last():
    notebook = read()
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert notebook.metadata.kernelspec.name == "python3"
    pictures = [
        cell
        for cell in code_cells(notebook)
        if any("image/png" in o.get("data", ()) for o in cell.outputs)
    ]
    assert len(pictures) == 3
    assert all(cell.metadata.mystnb.image.alt for cell in pictures)


def test_it_holds_nothing_of_the_machine_that_ran_it():
    text = re.sub(r'"image/png": "[^"]*"', "", NOTEBOOK.read_text())
    assert not re.findall(r"/(?:home|root|tmp|usr|opt|mnt)/|[A-Z]:\\\\|site-packages", text)
    assert set(read().metadata) == {"kernelspec", "language_info"}
