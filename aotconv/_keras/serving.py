"""Which functions of Keras' NumPy backend are ours."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import convolution, elementwise, fourier, pooling
from .importing import FOLDERS, backend

# By the backend's modules: what it asks JAX for, and what ours do faster for some arguments.
WHOLE: dict[str, tuple[Callable[..., Any], ...]] = {
    "nn": (
        convolution.conv,
        convolution.conv_transpose,
        convolution.depthwise_conv,
        convolution.separable_conv,
        pooling.average_pool,
        pooling.max_pool,
    ),
    "math": (fourier.fft, fourier.fft2),
}
FASTER: dict[str, tuple[Callable[..., Any], ...]] = {
    "core": (elementwise.cast,),
    "nn": (
        elementwise.batch_normalization,
        elementwise.gelu,
        elementwise.relu,
        elementwise.relu6,
        elementwise.sigmoid,
        elementwise.silu,
    ),
    "numpy": (elementwise.add, elementwise.matmul),
}


def serve() -> None:
    """Put our functions into the backend, which looks for them there at each call."""
    _serve(backend, (), (elementwise.convert_to_tensor,))
    for folder in FOLDERS:
        for name in {*WHOLE, *FASTER}:
            module = sys.modules.get(f"{folder}.{name}")
            if module is not None:
                _serve(module, WHOLE.get(name, ()), FASTER.get(name, ()))


def _serve(module: ModuleType, whole: Any, faster: Any) -> None:
    for ours in whole:
        setattr(module, ours.__name__, ours)
    for ours in faster:
        setattr(module, ours.__name__, _or_stock(ours, getattr(module, ours.__name__)))


def _or_stock(ours: Callable[..., Any], stock: Callable[..., Any]) -> Callable[..., Any]:
    """Ours, and for what it leaves the backend's own."""

    @functools.wraps(stock)
    def function(*arguments: Any, **keywords: Any) -> Any:
        result = ours(*arguments, **keywords)
        return stock(*arguments, **keywords) if result is NotImplemented else result

    return function
