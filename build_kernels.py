"""Compile the kernels ahead of time: one extension module for each CPU level.

The only file that knows `numba.pycc`.  ``python build_kernels.py`` builds in place; `setup.py`
builds through `BuildKernels`.  Each module is compiled in a process of its own, because numba
optimises called functions for one CPU per process.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
LINUX = sys.platform == "linux"
sys.path.insert(0, str(ROOT))  # a build backend does not put the project's root there

from aotconv._plan.registry import BASELINE_MODULE, IS_X86_64, LEVELS, ROWS  # noqa: E402
from aotconv._plan.select import ABI  # noqa: E402


def modules(levels: list[str] | None = None) -> dict[str, str]:
    """Name -> LLVM's CPU name, of the modules to build for `levels` (default: all)."""
    chosen = {LEVELS[name].module: LEVELS[name].cpu for name in levels or LEVELS}
    return {BASELINE_MODULE: "x86-64" if IS_X86_64 else "generic", **chosen}


def require_compiler() -> None:
    """Raise SystemExit unless the C compiler that CPython names can be run, on C++ as well."""
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if os.name == "nt":
        return
    if shutil.which(command[0]) is None:
        fault = f"no C compiler: {command[0]!r} was not found, and linking the compiled kernels"
        fault += " needs one"
    else:
        # Nothing here is C++, but numba compiles nothing where it does not find a compiler for it.
        check = [*command, "-x", "c++", "-fsyntax-only", os.devnull]
        said = subprocess.run(check, capture_output=True, text=True)
        if not said.returncode:
            return
        fault = f"{command[0]!r} compiles no C++, which numba asks for: {said.stderr.strip()}"
    raise SystemExit(
        f"aotconv: {fault}. Install it (Debian, Ubuntu: apt-get install g++; Fedora: dnf install "
        "gcc-c++; macOS: xcode-select --install) or name another one in the environment variable "
        "CC. To install without compiled kernels, on the slower fallback: "
        "AOTCONV_NO_AOT=1 pip install ."
    )


def build(module: str, cpu: str, target: Path, assembly: Path | None = None) -> None:
    """Build one module into the file `target`, in a process of its own."""
    started = time.perf_counter()
    environment = {**os.environ, "NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    command = [sys.executable, str(ROOT / "build_kernels.py"), "--compile", module, str(target)]
    if assembly is not None:
        command += ["--assembly", str(assembly)]
    target.parent.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"aotconv: building {module} failed:\n{result.stdout}{result.stderr}")
    size, seconds = target.stat().st_size >> 10, time.perf_counter() - started
    print(f"aotconv: built {module} for {cpu}: {size} KiB in {seconds:.0f} s", flush=True)


def compile_module(module: str, target: Path, assembly: Path | None) -> None:
    """Compile one module here.  The process must have been started by `build`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pycc's pending deprecation: nothing a user can act on
        from numba.pycc import CC
        from numba.pycc.compiler import ModuleCompiler

    from aotconv._kernels import baseline
    from aotconv._kernels.compile import (
        KERNEL_SIGNATURE,
        RUN_SIGNATURE,
        abi,
        python_kernel,
        run,
    )

    class KernelModule(CC):
        # Of numba's helper code a kernel calls next to nothing: what is not reached from the
        # module's one export is left out, and with it calls that older C libraries do not have.
        def _get_extra_cflags(self):
            sections = ["-ffunction-sections", "-fdata-sections"] if LINUX else []
            return [*super()._get_extra_cflags(), *sections]

        def _get_extra_ldflags(self):
            script = ["-s", "-Wl,--gc-sections", f"-Wl,--version-script={exports}"] if LINUX else []
            return [*super()._get_extra_ldflags(), *script]

    cc = KernelModule(module, source_module=sys.modules[__name__])
    cc.output_dir, cc.output_file = str(target.parent), target.name
    cc.use_nrt = False
    cc.target_cpu = os.environ["NUMBA_CPU_NAME"]
    if LINUX:  # A Python may name folders of its own machine here; the modules need none of them.
        linker = cc._toolchain._compiler.linker_so
        linker[:] = [argument for argument in linker if not argument.startswith("-Wl,-rpath")]
    cc.export(ABI, "void()")(abi)
    if module == BASELINE_MODULE:
        for name, (function, signature) in baseline.EXPORTS.items():
            cc.export(name, signature)(function)
    else:
        cc.export("run", RUN_SIGNATURE)(run)
        for row in ROWS:
            if LEVELS[row.level].module == module:
                cc.export(row.name, KERNEL_SIGNATURE)(python_kernel(row))
    if assembly is not None:
        compiler = ModuleCompiler(cc._export_entries, cc.name, False, cpu_name=cc.target_cpu)
        compiler.export_python_wrap = True
        (assembly / f"{module}.s").write_text(compiler._cull_exports().get_asm_str())
    with tempfile.TemporaryDirectory() as folder:
        exports = Path(folder, "exports.map")
        exports.write_text(f"{{ global: PyInit_{module}; local: *; }};")
        cc.compile()


class BuildKernels(build_ext):
    """setuptools' build_ext, for extensions that `build` makes instead of a C compiler."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = getattr(self, "parallel", None) or os.cpu_count()

    def run(self) -> None:
        require_compiler()
        # Modules of an earlier build that were not asked for now would get into the wheel.
        for stale in Path(self.build_lib, "aotconv").glob("_*.so"):
            stale.unlink()
        super().run()

    def build_extension(self, ext: Extension) -> None:
        module = ext.name.rpartition(".")[2]
        build(
            module, modules(list(LEVELS))[module], Path(self.get_ext_fullpath(ext.name)).resolve()
        )


def extensions() -> list[Extension]:
    """What `setup.py` asks setuptools to build; AOTCONV_LEVELS names levels, comma-separated."""
    chosen = modules(_names(os.environ.get("AOTCONV_LEVELS")))
    return [Extension(f"aotconv.{name}", []) for name in chosen]


def _names(text: str | None) -> list[str] | None:
    """The level names in a comma-separated text; None where there is none."""
    names = text.split(",") if text else None
    unknown = set(names or ()) - set(LEVELS)
    if unknown:
        raise SystemExit(f"aotconv: {', '.join(sorted(unknown))}: not among {', '.join(LEVELS)}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--levels", help=f"comma-separated, of {', '.join(LEVELS)}")
    parser.add_argument("--output", type=Path, default=ROOT / "aotconv", help="folder (in place)")
    parser.add_argument("--assembly", type=Path, help="write the modules' assembly to this folder")
    parser.add_argument("--compile", nargs=2, metavar=("MODULE", "TARGET"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compile:
        module, target = options.compile
        compile_module(module, Path(target), options.assembly)
        return

    require_compiler()
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    if options.assembly:
        options.assembly.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [
            pool.submit(build, name, cpu, options.output / f"{name}{suffix}", options.assembly)
            for name, cpu in modules(_names(options.levels)).items()
        ]
        for job in jobs:
            job.result()


if __name__ == "__main__":
    main()
