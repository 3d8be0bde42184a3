"""Keras on its NumPy backend, imported without JAX."""

from __future__ import annotations

import builtins
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType, SimpleNamespace
from typing import Any

BACKEND = "keras.src.backend.numpy"
FOLDERS = (BACKEND, f"{BACKEND}.ops")  # where its functions are up to Keras 3.15, and from then on
ASKS_JAX = {f"{folder}.{name}" for folder in FOLDERS for name in ("nn", "math")}
OF_JAX = {"jax", "keras.src.backend.jax.math", "keras.src.backend.jax.ops.math"}
STAND_IN = SimpleNamespace(lax=None, fft=None, fft2=None)  # for all of these


def import_backend() -> Any:
    """Keras' NumPy backend, whether or not it has been imported."""
    if "keras" not in sys.modules and os.environ.setdefault("KERAS_BACKEND", "numpy") != "numpy":
        raise ImportError(_refusal(f"KERAS_BACKEND is {os.environ['KERAS_BACKEND']!r}"))
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        keras: Any = importlib.import_module("keras")
    except ModuleNotFoundError as error:
        missing = "keras>=3.10" if error.name in {"keras", *OF_JAX} else error.name
        raise ImportError(f'aotconv.keras needs {missing}: pip install "aotconv[keras]"') from error
    finally:
        sys.meta_path.remove(finder)
    if keras.config.backend() != "numpy":
        raise ImportError(_refusal(f"keras runs on its backend {keras.config.backend()!r}"))
    return importlib.import_module("keras.src.backend")


def _refusal(what: str) -> str:
    return (
        f"{what}, where aotconv.keras needs 'numpy': set KERAS_BACKEND=numpy or leave it unset, "
        "and import aotconv.keras before keras"
    )


class _Finder(MetaPathFinder):
    """Finds the modules that import JAX."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in ASKS_JAX else None
        if spec is not None and spec.loader is not None:
            spec.loader = _WithoutJax(spec.loader)
        return spec


class _WithoutJax(Loader):
    """Runs a module whose own imports of JAX give a stand-in.  Nobody else's do: were it in
    `sys.modules`, whoever looks there for JAX, on any thread, would take it for that."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import}
        self._loader.exec_module(module)


def _import(name: str, *where: Any) -> Any:
    return STAND_IN if name in OF_JAX else builtins.__import__(name, *where)


backend = import_backend()
