"""The functions of `signal` beside SciPy's, where that is installed."""

from __future__ import annotations

import json

import pytest
from processes import run_with_tests

pytest.importorskip("scipy", minversion="1.17", reason="SciPy judges where 1.17 is installed")

# SciPy's own tests that do not pass, and why.
OTHERWISE = {
    "TestDecimate::test_complex_fir_dlti[numpy]": "wants the bits of SciPy's own `upfirdn`",
}


@pytest.mark.long
def test_scipys_own_tests_pass_but_those_that_are_named(tmp_path):
    path = tmp_path / "outcomes.json"
    code = f"import scipy_judge; scipy_judge.main('signal', {str(path)!r})"
    result = run_with_tests(code)
    assert path.exists(), result.stderr
    outcomes = json.loads(path.read_text())
    failed = {name for name, outcome in outcomes.items() if outcome == "failed"}
    assert failed == set(OTHERWISE), result.stdout[-5000:]
    assert sum(outcome == "passed" for outcome in outcomes.values()) > 12_000
