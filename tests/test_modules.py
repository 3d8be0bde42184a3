"""The compiled modules as files: no instruction above their level, and nothing left in them."""

from __future__ import annotations

import importlib
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from audit import CPYTHON, MODULES, faults_of_module
from conftest import AOT_LEVELS

from aotconv._kernels import extension
from aotconv._plan.registry import BASELINE_MODULE, IS_X86_64, LEVELS, ROWS, rows_of
from aotconv._plan.select import ABI

pytestmark = pytest.mark.skipif(shutil.which("objdump") is None, reason="needs binutils' objdump")
x86_64 = pytest.mark.skipif(not IS_X86_64, reason="the patterns are x86-64's")
aarch64 = pytest.mark.skipif(platform.machine() != "aarch64", reason="the patterns are AArch64's")

# What may not be in a module, beyond the baseline: VEX and EVEX names begin with a v, opmasks are
# k registers.  `rep`-prefixed and legacy SSE instructions do not.
VEX = re.compile(r"^v[a-z]")
WIDE = {"ymm": re.compile(r"%ymm"), "zmm": re.compile(r"%zmm"), "mask": re.compile(r"%k[0-7]\b")}
EVEX_REGISTERS = re.compile(r"%[xyz]mm(1[6-9]|2\d|3[01])\b")
BMI = re.compile(
    # Not tzcnt: CPUs without it run it as bsf, and LLVM writes it where both are the same.
    r"^(andn|bextr|blsi|blsr|blsmsk|bzhi|lzcnt|movbe|mulx|pdep|pext|rorx|sarx|shlx|shrx)[lqw]?$"
)
# All of SSE3, SSSE3, SSE4.1, SSE4.2, the rest of x86-64-v2, and what ciphers have.
ABOVE_SSE2 = re.compile(
    r"^(addsubp|h(add|sub)p|lddqu|mov(ddup|shdup|sldup)|fisttp|pabs|palignr|ph(add|sub)|pmaddubsw"
    r"|pmulhrsw|pshufb|psign|p?blend|dpp|extractps|insertps|movntdqa|mpsadbw|packusdw|pcmp(eq|gt)q"
    r"|p(extr|insr)[bdq]|phminposuw|p(max|min)(sb|sd|ud|uw)|pmov[sz]x|pmuldq|pmulld|ptest|round"
    r"|crc32|pcmp[ei]str|popcnt|cmpxchg16b|[ls]ahf|aes|pclmul|sha(1|256)|gf2p8)"
)


INSTRUCTION = re.compile(r"\s+[0-9a-f]+:\s+(?:(?:rep\w*|lock|notrack|bnd|data16) )*(\S+)\s*(.*)")


def path_of(name):
    return Path(importlib.util.find_spec(f"aotconv.{name}").origin)


def disassemble(name):
    """(mnemonic, operands) of every instruction of a module."""
    command = ["objdump", "-d", "--no-show-raw-insn", path_of(name)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = []
    for line in text.splitlines():
        match = INSTRUCTION.match(line)
        if match:
            found.append(match.groups())
    return found


@pytest.fixture(scope="module")
def instructions():
    names = [BASELINE_MODULE, *(level.module for level in LEVELS.values())]
    built = [name for name in names if importlib.util.find_spec(f"aotconv.{name}")]
    return {name: disassemble(name) for name in built}


def offenders(found, *patterns):
    return [
        (mnemonic, operands)
        for mnemonic, operands in found
        if any(p.search(mnemonic) or p.search(operands) for p in patterns)
    ]


@x86_64
def test_the_baseline_module_holds_nothing_beyond_the_baseline(instructions):
    found = instructions[BASELINE_MODULE]
    assert ("cpuid", "") in found
    assert not offenders(found, VEX, *WIDE.values(), EVEX_REGISTERS, BMI, ABOVE_SSE2)


@x86_64
def test_v2_goes_beyond_the_baseline_and_holds_no_avx(instructions):
    found = instructions["_x86_64_v2"]
    assert any(mnemonic == "mulps" for mnemonic, _ in found)
    assert offenders(found, ABOVE_SSE2)
    assert not offenders(found, VEX, *WIDE.values(), EVEX_REGISTERS, BMI)


@x86_64
def test_v3_uses_fma_on_256_bits_and_holds_no_avx512(instructions):
    found = instructions["_x86_64_v3"]
    assert offenders(found, re.compile("^vfmadd...ps$"))
    assert offenders(found, WIDE["ymm"])
    assert not offenders(found, WIDE["zmm"], WIDE["mask"], EVEX_REGISTERS)


@x86_64
def test_v4_uses_fma_on_512_bits(instructions):
    if "_x86_64_v4" not in instructions:
        pytest.skip("x86-64-v4 was not built")
    multiply_adds = [ops for name, ops in instructions["_x86_64_v4"] if name.startswith("vfmadd")]
    assert sum("%zmm" in operands for operands in multiply_adds) > len(multiply_adds) / 2


@aarch64
def test_the_generic_level_of_aarch64_multiplies_and_adds_whole_vectors_at_once(instructions):
    found = instructions["_generic"]
    for lanes in ("4s", "2d"):
        vectors = re.compile(rf"^v\d+\.{lanes}, v\d+\.{lanes}, v\d+\.")
        products = [name for name, operands in found if vectors.match(operands)]
        assert products.count("fmla") > 100, lanes


def test_no_kernel_calls_a_library_for_its_arithmetic(instructions):
    for name in instructions:
        command = ["objdump", "-T", path_of(name)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        imported = {line.split()[-1] for line in text.splitlines() if "*UND*" in line}
        assert "PyModuleDef_Init" in imported, name
        assert not {"fma", "fmaf"} & imported, name


@pytest.mark.parametrize("level", AOT_LEVELS)
def test_a_module_exports_its_tasks_and_its_abi_alone(level):
    module = importlib.import_module(f"aotconv.{LEVELS[level].module}")
    exported = {name for name in vars(module) if not name.startswith("__")}
    assert exported == {ABI, "task"}


@pytest.mark.parametrize("level", AOT_LEVELS)
def test_every_row_of_a_level_has_a_task_of_its_own(level):
    module = importlib.import_module(f"aotconv.{LEVELS[level].module}")
    rows = [row for row in ROWS if row.level == level]
    assert len({module.task(rows_of(level).index(row)) for row in rows}) == len(rows)


def test_modules_hold_no_tables_for_exceptions():
    for name in MODULES:
        if found := importlib.util.find_spec(f"aotconv.{name}"):
            command = ["objdump", "-h", found.origin]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            sizes = re.findall(r"\.eh_frame\s+([0-9a-f]+)", text)
            assert not any(int(size, 16) for size in sizes), name


@pytest.mark.skipif(sys.platform != "linux", reason="the build trims modules on Linux alone")
def test_a_module_asks_for_little_and_for_no_file_and_shows_its_start_alone(instructions):
    assert not [fault for name in instructions for fault in faults_of_module(path_of(name))]


def test_the_audit_and_the_build_know_the_same_names_of_cpython():
    assert {*extension.FUNCTIONS, *extension.VARIABLES} == CPYTHON
