"""Hostile arguments from atheris, a fuzzer that follows the coverage of the library's own Python.

    pip install atheris hypothesis pytest numba .
    mkdir corpus; for i in 1 2 3 4 5 6 7 8; do head -c 4000 /dev/urandom > corpus/$i; done
    python tests/fuzz_atheris.py -max_total_time=3600 -len_control=0 -max_len=4000 corpus

Options are libFuzzer's; a case is drawn from some hundred bytes, which it would not find by itself.
It ends at the first case that is neither right nor refused and writes its bytes to ``crash-...``;
``python tests/fuzz_atheris.py crash-...`` runs them again.  What the case is made of stands in the
traceback, or, if the process died of it, in the file that AOTCONV_CASE names.
"""

from __future__ import annotations

import collections
import os
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["aotconv"]):
    import aotconv

import hypothesis
from hostile import arguments, operators, signals
from hostile.judge import judge
from hypothesis import strategies as st

RUNGS = [each.name for each in aotconv.implementations() if each.available and each.name != "jit"]
NOTES = os.environ.get("AOTCONV_CASE")
counts: collections.Counter[str] = collections.Counter()


@st.composite
def cases(draw):
    """A rung, what is called on it, and the judged call."""
    rung = draw(st.sampled_from(RUNGS))
    if draw(st.booleans()):
        of_operator = draw(st.one_of(operators.calls(), signals.calls()))
        return rung, str(of_operator), lambda: operators.judge(of_operator)
    layer = draw(arguments.layers())
    convolved = draw(st.sampled_from([arguments.convolved, arguments.convolved_by_a_layer]))
    call = draw(arguments.calls(layer))
    return rung, f"{layer}; {call}", lambda: judge(layer, call, lambda: convolved(layer, call))


@hypothesis.settings(database=None, deadline=None)
@hypothesis.given(cases())
def call_a_door(case) -> None:
    rung, called, outcome = case
    if NOTES:
        Path(NOTES).write_text(f"{rung}: {called}\n")
    with aotconv.use(rung):
        counts[outcome()] += 1
    if sum(counts.values()) % 1000 == 0:
        print(dict(counts), flush=True)


if __name__ == "__main__":
    atheris.Setup(sys.argv, call_a_door.hypothesis.fuzz_one_input)
    atheris.Fuzz()
