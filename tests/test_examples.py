"""The examples of the documentation run as they are."""

from __future__ import annotations

import re

from processes import PACKAGE, output_of

EXAMPLES = PACKAGE / "docs" / "examples"


def test_a_volume_in_a_file_is_filtered_into_another_one_with_some_megabytes():
    path = EXAMPLES / "larger_than_memory.py"
    code = (
        f"import runpy, sys; sys.argv[1:] = []; runpy.run_path({str(path)!r}, run_name='__main__')"
    )
    printed = output_of(code, PYTHONPATH=str(PACKAGE))
    size = re.search(r"([\d,]+) MB, in", printed)
    held = re.search(r"held beside the two files: ([\d.]+) MB", printed)
    assert size and held, printed
    assert float(held[1]) < 20 < float(size[1].replace(",", ""))
