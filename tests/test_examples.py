"""The examples of the documentation run as they are."""

from __future__ import annotations

import re

import pytest
from processes import PACKAGE, output_of

EXAMPLES = PACKAGE / "docs" / "examples"


def run_example(name: str, *arguments: str) -> str:
    """What one prints that runs as a program."""
    path = str(EXAMPLES / name)
    code = (
        f"import runpy, sys; sys.argv[1:] = {list(arguments)}; "
        f"runpy.run_path({path!r}, run_name='__main__')"
    )
    return output_of(code, PYTHONPATH=str(PACKAGE))


def test_a_volume_in_a_file_is_filtered_into_another_one_with_some_megabytes():
    printed = run_example("larger_than_memory.py")
    size = re.search(r"([\d,]+) MB, in", printed)
    held = re.search(r"held beside the two files: ([\d.]+) MB", printed)
    assert size and held, printed
    assert float(held[1]) < 20 < float(size[1].replace(",", ""))


def test_a_zarr_array_is_filtered_into_another_one_by_workers():
    for package in ("dask", "distributed", "zarr"):
        pytest.importorskip(package, reason=f"needs {package}")
    assert "MB/s" in run_example("dask_zarr.py", "--gigabytes", "0.05")
