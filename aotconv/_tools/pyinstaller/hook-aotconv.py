"""For PyInstaller: the compiled modules, `ndimage` and `signal`, which are imported by name, belong
to a frozen program."""

from importlib.util import find_spec

from aotconv._plan.registry import BASELINE_MODULE, LEVELS

_modules = (BASELINE_MODULE, *(level.module for level in LEVELS.values()))
_compiled = [f"aotconv.{name}" for name in _modules if find_spec(f"aotconv.{name}")]
hiddenimports = [*_compiled, "aotconv.ndimage", "aotconv.signal"]
# What numba compiles is what compiled modules hold; it and LLVM would add 150 MB.
excludedimports = ["numba", "llvmlite"] if _compiled else []
