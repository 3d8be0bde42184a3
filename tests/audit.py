"""Is a wheel fit for other machines than its builder's?  `python tests/audit.py WHEEL ...`.

Compiled modules are read with binutils' objdump; what is not ELF is not looked into.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

from aotconv._plan.registry import BASELINE_MODULE, LEVELS

LARGEST = 2_000_000  # bytes of a wheel
NEWEST_GLIBC = 2, 17  # that a wheel may ask for
# All that modules may ask of CPython, whose stable ABI of 3.10 has it.
CPYTHON = {
    *("PyErr_Occurred", "PyErr_SetString", "PyExc_SystemError", "PyExc_TypeError"),
    *("PyEval_SaveThread", "PyEval_RestoreThread", "PyLong_AsLongLong", "PyLong_FromLongLong"),
    *("PyModuleDef_Init", "Py_IncRef", "Py_DecRef", "_Py_NoneStruct"),
}
C_OF_KERNELS = {"memcpy", "memset"}
C_OF_THE_TEAM = {
    *("calloc", "clock_gettime", "memset", "prctl", "sched_getcpu", "sched_setaffinity"),
    *("pthread_attr_destroy", "pthread_attr_init", "pthread_attr_setdetachstate"),
    *("sigdelset", "sigfillset", "sigprocmask", "syscall"),
}
MODULES = {BASELINE_MODULE, *(level.module for level in LEVELS.values())}


def modules(wheel: Path) -> set[str]:
    """The compiled modules in a wheel, by name."""
    with zipfile.ZipFile(wheel) as archive:
        paths = [Path(name) for name in archive.namelist()]
    return {path.name.split(".")[0] for path in paths if path.suffix in (".so", ".pyd")}


def requirements(wheel: Path) -> list[str]:
    """What a wheel requires where no extra is asked for."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        fields = Parser().parsestr(archive.read(metadata).decode())
    return [line for line in fields.get_all("Requires-Dist", []) if "extra ==" not in line]


def faults_of_module(path: Path) -> list[str]:
    """What a compiled module should not ask for, hold or export."""

    def objdump(option: str) -> str:
        command = ["objdump", option, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    name, headers = path.name.split(".")[0], objdump("-p")
    # Neither a file nor a version of the C library: any that has the functions.
    needed = re.findall(r"^\s+NEEDED\s+(\S+)", headers, re.MULTILINE)
    faults = [f"needs {each}" for each in needed]
    faults += [f"names folders: {each}" for each in re.findall(r"R(?:UN)?PATH\s+(\S+)", headers)]
    faults += [f"needs {each}" for each in re.findall(r"\bGLIBC_[\d.]+", headers)]
    if "no symbols" not in objdump("-t"):
        faults.append("is not stripped")
    # AArch64's linker lists sections, too: an l stands for what is local.
    symbols = [line for line in objdump("-T").splitlines() if re.match(r"[0-9a-f]{8,} [^l]", line)]
    exported = [line.split()[-1] for line in symbols if "*UND*" not in line]
    asked = {line.split()[-1] for line in symbols if "*UND*" in line}
    known = CPYTHON | (C_OF_THE_TEAM if name == BASELINE_MODULE else C_OF_KERNELS)
    faults += [f"asks for {each}" for each in sorted(asked - known)]
    if exported != [f"PyInit_{name}"]:
        faults.append(f"exports {', '.join(exported)}")
    return [f"{path.name}: {each}" for each in faults]


def faults_of_wheel(wheel: Path) -> list[str]:
    """Why a wheel should not be handed to others."""
    faults = []
    if wheel.stat().st_size > LARGEST:
        faults.append(f"has {wheel.stat().st_size} bytes, more than {LARGEST}")
    *_, python, abi, tag = wheel.stem.split("-")
    if (python, abi) != ("cp310", "abi3") and not abi.endswith("t"):  # without a GIL
        faults.append(f"is for {python}-{abi}, not for every CPython from 3.10 on")
    glibc = [(int(a), int(b)) for a, b in re.findall(r"manylinux_(\d+)_(\d+)_", tag)]
    if sys.platform == "linux" and not (glibc and max(glibc) <= NEWEST_GLIBC):
        faults.append(f"has the tag {tag}: no manylinux of {NEWEST_GLIBC} or older")
    if modules(wheel) != MODULES:
        faults.append(f"holds {sorted(modules(wheel))} instead of {sorted(MODULES)}")
    if [line for line in requirements(wheel) if not re.match(r"numpy\b", line)]:
        faults.append(f"requires {requirements(wheel)}")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".so") and sys.platform == "linux":
                faults += faults_of_module(Path(archive.extract(name, folder)))
    return faults


def main() -> None:
    wheels = [Path(name) for name in sys.argv[1:]]
    assert wheels, "no wheel to look at"
    assert sys.platform != "linux" or shutil.which("objdump"), "needs objdump, of binutils"
    faults = [f"{wheel.name} {fault}" for wheel in wheels for fault in faults_of_wheel(wheel)]
    if faults:
        sys.exit("\n".join(faults))
    for wheel in wheels:
        print(f"{wheel.name}: {wheel.stat().st_size >> 10} KiB, nothing to complain of")


if __name__ == "__main__":
    main()
