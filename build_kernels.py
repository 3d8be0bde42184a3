"""Compile the kernels ahead of time: one extension module for each CPU level, for every CPython.

The only file that knows `numba.pycc`.  ``python build_kernels.py`` builds in place; `setup.py`
builds through `BuildKernels`; and pip, through this file as its backend, asks what a build needs.
Each module is compiled in a process of its own, because numba optimises called functions for one
CPU per process.  Nothing is compiled from C: a module is LLVM's objects, linked.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import NamedTuple

from setuptools import Extension, build_meta
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))  # a build backend does not put the project's root there
# What a module of this library imports needs NumPy, which a backend does not have at first: late.

# A CPython without the GIL, which has no stable ABI.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
WINDOWS = sys.platform == "win32"
TERMINAL = "CONOUT$" if WINDOWS else "/dev/tty"
NO_KERNELS = os.environ.get("AOTCONV_NO_AOT") == "1"
NUMPY, COMPILER, LINKER = "numpy>=2", "numba>=0.68,<0.69", "ziglang>=0.14"

INSTALL_ONE = (
    "Install one (Debian, Ubuntu: apt-get install binutils; Fedora: dnf install binutils; macOS: "
    "xcode-select --install; elsewhere: pip install ziglang), or name one in the environment "
    "variable LD"
)
CURE = (
    f"{'Install ziglang for its own: pip install ziglang' if WINDOWS else INSTALL_ONE}. To install "
    "without compiled kernels, on the slower fallback: set AOTCONV_NO_AOT=1 and pip install ."
)


# What pip asks of a backend; all but what a build needs is setuptools' own.

build_sdist, build_wheel = build_meta.build_sdist, build_meta.build_wheel
build_editable = build_meta.build_editable
prepare_metadata_for_build_wheel = build_meta.prepare_metadata_for_build_wheel
prepare_metadata_for_build_editable = build_meta.prepare_metadata_for_build_editable


def get_requires_for_build_sdist(config_settings=None) -> list[str]:
    return [] if NO_KERNELS else [NUMPY]


def get_requires_for_build_wheel(config_settings=None) -> list[str]:
    """The compiler; and a linker of 100 MB where the machine has none."""
    if NO_KERNELS:
        tell("installing without compiled kernels, as AOTCONV_NO_AOT asks")
        return []
    tell("a build from source: first its compiler, numba, then minutes in which that compiles")
    if _named():
        require_linker()  # which may end it here, before pip fetches anything
    if find_linker():
        return [COMPILER]
    why = "the one used on Windows" if WINDOWS else "none was found here (Debian's is in binutils)"
    tell(f"and ziglang, 100 MB, for its linker: {why}")
    return [COMPILER, LINKER]


get_requires_for_build_editable = get_requires_for_build_wheel


# Linking: objects name what they want of CPython and of the C library, and no file that has it, but
# on Windows.


class Linker(NamedTuple):
    """A linker, or a compiler that hands on what is meant for one."""

    command: list[str]
    drives: bool


def find_linker() -> Linker | None:
    """What links here; None where there is nothing."""
    zig = bool(importlib.util.find_spec("ziglang"))
    if WINDOWS:
        return _ziglang("lld-link") if zig else None
    if named := _named():
        if not shutil.which(named[0]):
            return None
        if sys.platform == "linux" or _linker(named).drives:
            return _linker(named)
    # Apple's own linker wants to be told more than a compiler there.
    for name in ("ld", "ld.lld") if sys.platform == "linux" else ():
        if shutil.which(name):
            return _linker([name])
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return _linker([name])
    return _ziglang("ld.lld" if sys.platform == "linux" else "cc") if zig else None


def _named() -> list[str]:
    """The linker that the environment names; on Windows ziglang's alone is used."""
    return [] if WINDOWS else shlex.split(os.environ.get("LD", ""))


def _ziglang(program: str) -> Linker:
    return _linker([sys.executable, "-m", "ziglang", program])


def _linker(command: list[str]) -> Linker:
    program = command[3] if command[1:3] == ["-m", "ziglang"] else Path(command[0]).name
    return Linker(command, bool(re.search(r"(^|-)(cc|gcc|clang|[gc]\+\+)(-[\d.]+)?$", program)))


def require_linker() -> Linker:
    """What links here; SystemExit where there is nothing."""
    found = find_linker()
    if found is not None:
        return found
    named = shlex.join(_named())
    what = f"the linker {named!r} that LD names" if named else "a linker"
    raise SystemExit(f"aotconv: {what} was not found, and the compiled kernels need one. {CURE}")


def link(module: str, objects: list[Path], target: Path, free_threaded: bool) -> None:
    """Link a module from what its start reaches, which it exports alone; on macOS not alone."""
    linker, start = require_linker(), f"PyInit_{module}"
    folder = objects[0].parent
    new = target.with_name(f".{target.name}.new")  # what runs keeps the old one
    if WINDOWS:
        options = ["/nologo", "/dll", "/noentry", "/noimplib", "/brepro"]
        options += [f"/export:{start}", f"/out:{new}"]
        options += import_libraries(folder, free_threaded)
    elif sys.platform == "darwin":
        options = ["-shared", "-undefined", "dynamic_lookup", "-Wl,-dead_strip,-x", "-o", str(new)]
    else:
        exports = folder / "exports.map"
        exports.write_text(f"{{ global: {start}; local: *; }};")
        options = ["-s", "--gc-sections", "-z", "now", f"--version-script={exports}"]
        if linker.drives:
            options = ["-nostdlib", *(f"-Wl,{each}" for each in options)]
        options = ["-shared", *options, "-o", str(new)]
    run(linker.command, [*options, *map(str, objects)], f"link {module}")
    if WINDOWS:
        make_way(target)
    new.replace(target)


def make_way(target: Path) -> None:
    """Rename a file that may be loaded, by this process, too: Windows lets nobody replace it."""
    for former in target.parent.glob(f".{target.name}.*.old"):
        with contextlib.suppress(PermissionError):
            former.unlink()
    if target.exists():
        target.rename(target.with_name(f".{target.name}.{time.time_ns()}.old"))


def import_libraries(folder: Path, free_threaded: bool) -> list[str]:
    """Make Windows' files that say which library has a name: that of C's runtime comes with Visual
    Studio alone, and some CPythons lack theirs."""
    from aotconv._kernels.extension import FUNCTIONS, VARIABLES

    cpython = [*FUNCTIONS, *(f"{name} DATA" for name in VARIABLES)]
    version = f"{sys.version_info.major}{sys.version_info.minor}t" if free_threaded else "3"
    wanted = {f"python{version}.dll": cpython, "vcruntime140.dll": ["memcpy", "memset"]}
    machine = {"win-amd64": "i386:x86-64", "win-arm64": "arm64"}[sysconfig.get_platform()]
    files = []
    for library, names in wanted.items():
        definition = folder / f"{library}.def"
        definition.write_text("\n".join([f"LIBRARY {library}", "EXPORTS", *names]))
        files.append(str(definition.with_suffix(".lib")))
        options = ["-m", machine, "-d", str(definition), "-l", files[-1]]
        run(_ziglang("dlltool").command, options, f"make {files[-1]}")
    return files


def run(program: list[str], arguments: list[str], what: str) -> None:
    result = subprocess.run([*program, *arguments], capture_output=True, text=True)
    if result.returncode:
        said = f"{result.stdout}{result.stderr}".strip()
        raise SystemExit(f"aotconv: {shlex.join(program)} does not {what}: {said}")


# Compiling.


def modules(levels: list[str] | None = None) -> dict[str, str]:
    """Name -> LLVM's CPU name, of the modules to build for `levels` (default: all)."""
    from aotconv._plan.registry import BASELINE_MODULE, IS_X86_64, LEVELS

    unknown = set(levels or ()) - set(LEVELS)
    if unknown:
        raise SystemExit(
            f"aotconv: levels (AOTCONV_LEVELS or --levels) must be of {', '.join(LEVELS)}, got "
            f"{', '.join(map(repr, sorted(unknown)))}"
        )
    chosen = {LEVELS[name].module: LEVELS[name].cpu for name in levels or LEVELS}
    # Last: what takes longest begins first.
    return {**chosen, BASELINE_MODULE: "x86-64" if IS_X86_64 else "generic"}


def suffix(free_threaded: bool) -> str:
    """How the file of a module ends, for any CPython that it is for."""
    if free_threaded and FREE_THREADED:  # for this one: others in the same clone do not see it
        return sysconfig.get_config_var("EXT_SUFFIX")
    if free_threaded or WINDOWS:
        return EXTENSION_SUFFIXES[-1]
    return ".abi3.so"  # Debian's own setuptools would add the machine


def build(
    module: str, cpu: str, target: Path, free_threaded: bool, assembly: Path | None = None
) -> None:
    """Build one module into the file `target`, in a process of its own."""
    started = time.perf_counter()
    # Other variables of numba's would change what it compiles.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    environment |= {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    command = [sys.executable, str(ROOT / "build_kernels.py"), "--compile", module, str(target)]
    command += ["--free-threaded"] * free_threaded
    if assembly is not None:
        command += ["--assembly", str(assembly)]
    target.parent.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"aotconv: building {module} failed:\n{result.stdout}{result.stderr}")
    for earlier in EXTENSION_SUFFIXES:  # of former builds, which would be loaded first
        if target.name == f"{module}{earlier}":
            break
        target.with_name(f"{module}{earlier}").unlink(missing_ok=True)
    size, seconds = target.stat().st_size >> 10, time.perf_counter() - started
    tell(f"built {module} for {cpu}: {size} KiB in {seconds:.0f} s")


def compile_module(module: str, target: Path, free_threaded: bool, assembly: Path | None) -> None:
    """Compile one module here.  The process must have been started by `build`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pycc's pending deprecation: nothing a user can act on
        from numba.pycc.compiler import ExportEntry, ModuleCompiler
    from numba.core import types, typing
    from numba.core.sigutils import normalize_signature

    from aotconv._kernels.extension import ExtensionModule

    cpu = os.environ["NUMBA_CPU_NAME"]
    start = ExtensionModule(module, free_threaded)
    entries = []
    for name, export in exports_of(module):
        args, result = normalize_signature(export.signature)
        entries.append(ExportEntry(name, typing.signature(result, *args), export.function))
        start.add_function(name, export, len(args), gives_integer=result != types.none)

    library = ModuleCompiler(entries, module, cpu_name=cpu)._cull_exports()
    for function in library.get_defined_functions():
        function.add_function_attribute("nounwind")  # no tables for exceptions, of which are none
    with tempfile.TemporaryDirectory() as folder:
        objects = [Path(folder, name) for name in ("kernels.o", "start.o")]
        objects[0].write_bytes(library.emit_native_object())
        objects[1].write_bytes(start.emit(cpu))
        link(module, objects, target, free_threaded)
    if assembly is not None:  # last, for LLVM rearranges what it has written
        (assembly / f"{module}.s").write_text(library.get_asm_str())


def exports_of(module: str) -> Iterator[tuple]:
    """(name, Export) of what a module exports."""
    from aotconv._kernels import baseline
    from aotconv._kernels.compile import TASKS_SIGNATURE, abi, python_tasks
    from aotconv._kernels.extension import Export
    from aotconv._plan.registry import BASELINE_MODULE, LEVELS
    from aotconv._plan.select import ABI

    yield ABI, Export(abi, "void()")
    if module == BASELINE_MODULE:
        yield from baseline.EXPORTS.items()
    for level in LEVELS.values():
        if level.module == module:
            yield "task", Export(python_tasks(level.name), TASKS_SIGNATURE)


def tell(line: str) -> None:
    """Say how far the build is: to who reads its output, and to who waits at the terminal, for pip
    shows no output of what succeeds."""
    print(f"aotconv: {line}", flush=True)
    if not sys.stdout.isatty():
        with contextlib.suppress(OSError), open(TERMINAL, "w") as terminal:
            terminal.write(f"\raotconv: {line}\n")


def tell_what_begins(names: Iterable[str]) -> None:
    from aotconv._plan.registry import LEVELS

    asked = set(names)
    levels = [name for name, level in LEVELS.items() if level.module in asked]
    tell(f"compiling the kernels for {', '.join(levels)}, some minutes each on one core")
    if len(levels) > 1:
        tell(f"(AOTCONV_LEVELS={levels[1]} in the environment builds for that level alone)")


# setuptools' and the command line's ways in.


class BuildKernels(build_ext):
    """setuptools' build_ext, for extensions that `build` makes instead of a C compiler."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = getattr(self, "parallel", None) or os.cpu_count()

    def run(self) -> None:
        require_linker()
        # Modules of an earlier build that were not asked for now would get into the wheel.
        for stale in Path(self.build_lib, "aotconv").glob(f"_*{EXTENSION_SUFFIXES[-1]}"):
            stale.unlink()
        tell_what_begins(each.name.rpartition(".")[2] for each in self.extensions)
        super().run()

    def get_ext_filename(self, fullname: str) -> str:
        return f"{fullname.replace('.', os.sep)}{suffix(FREE_THREADED)}"

    def copy_extensions_to_source(self) -> None:
        if WINDOWS:
            for each in self.extensions:
                make_way(ROOT / self.get_ext_filename(each.name))
        super().copy_extensions_to_source()

    def build_extension(self, ext: Extension) -> None:
        module = ext.name.rpartition(".")[2]
        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        build(module, modules()[module], target, FREE_THREADED)


def extensions() -> list[Extension]:
    """What `setup.py` asks setuptools to build; AOTCONV_LEVELS names levels, comma-separated."""
    chosen = modules(_names(os.environ.get("AOTCONV_LEVELS")))
    return [Extension(f"aotconv.{name}", [], py_limited_api=not FREE_THREADED) for name in chosen]


def _names(text: str | None) -> list[str] | None:
    """The level names in a comma-separated text; None where there is none."""
    return [name.strip() for name in text.split(",")] if text else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    levels = os.environ.get("AOTCONV_LEVELS")
    parser.add_argument("--levels", default=levels, help="comma-separated; without it, all")
    parser.add_argument("--output", type=Path, default=ROOT / "aotconv", help="folder (in place)")
    parser.add_argument("--assembly", type=Path, help="write the modules' assembly to this folder")
    parser.add_argument(
        "--free-threaded",
        action=argparse.BooleanOptionalAction,
        default=FREE_THREADED,
        help="for CPythons without the GIL; default: whether this is one, and then for it alone",
    )
    parser.add_argument("--compile", nargs=2, metavar=("MODULE", "TARGET"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compile:
        module, target = options.compile
        compile_module(module, Path(target), options.free_threaded, options.assembly)
        return

    if WINDOWS and options.free_threaded != FREE_THREADED:
        parser.error("--free-threaded: on Windows such modules are of the CPython that builds")
    require_linker()
    chosen = modules(_names(options.levels))
    if options.assembly:
        options.assembly.mkdir(parents=True, exist_ok=True)
    tell_what_begins(chosen)
    free_threaded, assembly = options.free_threaded, options.assembly
    end = suffix(free_threaded)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [
            pool.submit(build, name, cpu, options.output / f"{name}{end}", free_threaded, assembly)
            for name, cpu in chosen.items()
        ]
        for job in jobs:
            job.result()


if __name__ == "__main__":
    main()
