"""What this CPU can do, by cpuid, and what the operating system lets it do."""

from __future__ import annotations

import functools
import platform

from .._plan.registry import IS_X86_64
from .baseline import exported

# cpuid's leaf, subleaf, register (eax, ebx, ecx, edx) and bit of each feature of a level.
FEATURES = {
    "sse3": (1, 0, 2, 0),
    "ssse3": (1, 0, 2, 9),
    "fma": (1, 0, 2, 12),
    "cx16": (1, 0, 2, 13),
    "sse4_1": (1, 0, 2, 19),
    "sse4_2": (1, 0, 2, 20),
    "movbe": (1, 0, 2, 22),
    "popcnt": (1, 0, 2, 23),
    "osxsave": (1, 0, 2, 27),
    "avx": (1, 0, 2, 28),
    "f16c": (1, 0, 2, 29),
    "bmi1": (7, 0, 1, 3),
    "avx2": (7, 0, 1, 5),
    "bmi2": (7, 0, 1, 8),
    "avx512f": (7, 0, 1, 16),
    "avx512dq": (7, 0, 1, 17),
    "avx512cd": (7, 0, 1, 28),
    "avx512bw": (7, 0, 1, 30),
    "avx512vl": (7, 0, 1, 31),
    "lahf": (0x80000001, 0, 2, 0),
    "lzcnt": (0x80000001, 0, 2, 5),
}
# Features whose registers the operating system must save, and the bits of XCR0 that say so.
_SAVED_STATE = {
    0b110: frozenset(["avx", "avx2", "f16c", "fma"]),
    0b11100110: frozenset(["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
}


def detect(cpuid, xgetbv) -> frozenset[str]:
    """The features that cpuid names, less those whose registers are not saved."""
    found = set()
    for name, (leaf, subleaf, register, bit) in FEATURES.items():
        if cpuid(leaf & 0x80000000, 0, 0) >= leaf and cpuid(leaf, subleaf, register) >> bit & 1:
            found.add(name)
    saved = xgetbv() if "osxsave" in found else 0
    for mask, features in _SAVED_STATE.items():
        if saved & mask != mask:
            found -= features
    return frozenset(found)


@functools.cache
def features() -> frozenset[str]:
    """This CPU's features; none are known where nothing is compiled that asks for them."""
    if not IS_X86_64:
        return frozenset()
    cpuid, xgetbv = exported("cpuid"), exported("xgetbv")
    return frozenset() if cpuid is None or xgetbv is None else detect(cpuid, xgetbv)


def name() -> str:
    """What the system calls this CPU."""
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line for line in file if line.startswith("model name")]
    except OSError:
        lines = []
    if lines:
        return lines[0].partition(":")[2].strip()
    return platform.processor() or platform.machine()
