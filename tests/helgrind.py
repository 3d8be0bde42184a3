"""The team under valgrind's helgrind.

    python tests/helgrind.py build FOLDER       the baseline module, for helgrind's eyes
    python tests/helgrind.py build FOLDER mute  the same, which tells it nothing of atomic steps
    python tests/helgrind.py run FOLDER         calls on several threads, with that module

helgrind knows pthreads' locks, but not atomic words and futexes.  So the module tells it of each
atomic step: who writes a word sends to whoever reads it.  The team's words themselves are not
looked at; what is, is all that callers and helpers hand to each other.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

from aotconv._plan.registry import BASELINE_MODULE
from aotconv._plan.team import TEAM_WORDS

SEND, RECEIVE, UNTRACKED = 0x48470121, 0x48470122, 0x48470127  # of helgrind.h


def build(folder: Path, mute: bool) -> None:
    """Build the module into a folder."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    os.environ.update(NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="")
    from numba.extending import register_jitable
    from steps import surround

    import build_kernels
    from aotconv._kernels import team
    from aotconv._kernels.runtime import subroutine

    clear, request = team._memset, client_request()

    def clear_unseen(memory, value, size):
        request(UNTRACKED, memory, 8 * TEAM_WORDS)
        return clear(memory, value, size)

    def send(address, index):
        request(SEND, address + 8 * index, 0)

    def receive(address, index):
        request(RECEIVE, address + 8 * index, 0)

    team._memset = register_jitable(clear_unseen)
    if not mute:
        surround(subroutine(send), subroutine(receive))
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    build_kernels.compile_module(
        BASELINE_MODULE, folder / f"{BASELINE_MODULE}{suffix}", False, None
    )


def client_request():
    """The intrinsic ``(number, address, size)`` that asks something of valgrind, which sees it in
    instructions that change nothing."""
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    from aotconv._kernels.simd import WORD, ir

    @intrinsic
    def request(typingctx, number, address, size):
        def emit(context, builder, sig, args):
            words = cgutils.alloca_once(builder, WORD, size=6)
            for i, value in enumerate([*args, *[WORD(0)] * 3]):
                builder.store(value, builder.gep(words, [WORD(i)]))
            rotations = "; ".join(f"rolq $${bits}, %rdi" for bits in (3, 13, 61, 51))
            kind = ir.FunctionType(WORD, [WORD, WORD])
            uses = "={dx},{ax},0,~{cc},~{memory}"
            code = ir.InlineAsm(kind, f"{rotations}; xchgq %rbx, %rbx", uses, True)
            builder.call(code, [builder.ptrtoint(words, WORD), WORD(0)])
            return context.get_dummy_value()

        return types.none(*[types.int64] * 3), emit

    return request


def run(folder: Path) -> None:
    """Compute on several threads, with the module of a folder."""
    (module,) = folder.glob(f"{BASELINE_MODULE}.*")
    name = f"aotconv.{BASELINE_MODULE}"
    spec = importlib.util.spec_from_file_location(name, module)
    assert spec is not None and spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])

    import threading
    import time

    import numpy as np

    import aotconv

    assert aotconv.active().name == "x86-64-v2", aotconv.active()
    rng = np.random.default_rng(0)
    cases = [
        ((1, 24, 24, 16), (3, 3, 16, 32), {"padding": "same"}),
        ((1, 40, 40, 8), (3, 3, 1, 8), {"groups": 8}),
        ((1, 16, 24, 24), (3, 3, 16, 32), {"data_format": "NCHW"}),
    ]

    def work(pause: float) -> None:
        for images, filters, options in cases:
            x = rng.integers(-4, 5, images).astype(np.float32)
            layer = aotconv.Conv2D(rng.integers(-4, 5, filters).astype(np.float32), **options)
            expected = layer(x, threads=1)
            for i in range(30):
                assert np.array_equal(layer(x, threads=2 + i % 2 * 4), expected)
                time.sleep(pause)

    callers = [threading.Thread(target=work, args=(pause,)) for pause in (0, 0.01)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    print("computed")


if __name__ == "__main__":
    command, folder, *rest = sys.argv[1:]
    if command == "build":
        build(Path(folder), mute=rest == ["mute"])
    else:
        run(Path(folder))
