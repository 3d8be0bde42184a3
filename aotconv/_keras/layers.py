"""Layers that are kept as long as the kernels that they are of."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from .importing import backend

_kept: dict[int, dict[tuple, Any]] = {}  # by the kernel's id, and by what makes a layer of it
_algorithm = "fastest"


def set_algorithm(algorithm: str) -> None:
    """That of layers of variables from now on."""
    global _algorithm
    if algorithm not in ("auto", "fastest"):
        raise ValueError(f"algorithm must be 'auto' or 'fastest', got {algorithm!r}")
    _algorithm = algorithm


def tensor(x: Any) -> np.ndarray:
    """An array, a variable's or what one is made of, which Keras would copy, too."""
    return x if isinstance(x, np.ndarray) else backend.convert_to_tensor(x)


def algorithm_of(kernel: Any) -> Any:
    """That of a kernel's layer; what is prepared for one call alone is prepared fast."""
    return _algorithm if isinstance(kernel, backend.Variable) else "auto"


def layer_of(kernel: Any, make: Callable[..., Any], **options: Any) -> Any:
    """``make(kernel's array, **options)``, kept if the kernel is a variable.

    A variable that is assigned to gets another array, so the array itself says which layer it is;
    of a mixed precision it is cast.  Any other array may be changed by its owner, and is packed for
    this call.
    """
    if not isinstance(kernel, backend.Variable):
        return make(tensor(kernel), **options)
    with backend.AutocastScope(None):
        own = tensor(kernel)
    layers = _kept.get(id(own))
    if layers is None:
        layers = _kept.setdefault(id(own), {})
        weakref.finalize(own, _kept.pop, id(own), None).atexit = False
    key = make, kernel.dtype, *(tuple(v) if type(v) is list else v for v in options.values())
    layer = layers.get(key)
    if layer is None:
        layer = layers[key] = make(tensor(kernel), **options)
    return layer
