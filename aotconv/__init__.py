"""Compiled convolution for NumPy arrays, along one, two or three axes.

`conv1d`, `conv2d` and `conv3d` convolve, `conv1d_transpose`, `conv2d_transpose` and
`conv3d_transpose` the other way; layers, `Conv1D` to `Conv3DTranspose`, keep packed weights for
many calls.  `gradients` has the gradients.  `max_pool1d` to `average_pool3d` pool.  `activate`,
`erf` and `softmax` are functions of arrays.  `implementations`, `active` and `use` tell and choose
what computes; `show_config` prints it.  `get_num_threads` and `set_num_threads` say how many
threads a call uses.  `ndimage` filters arrays as `scipy.ndimage` does, `signal` convolves them as
`scipy.signal` does.  `onnx` runs models of ONNX; `dask` convolves, pools and filters arrays in
blocks; ``import aotconv.keras`` runs Keras on NumPy; they need these packages.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import gradients
from ._core.config import show_config
from ._core.ladder import FallbackWarning, Implementation, active, implementations, use
from ._core.threads import get_num_threads, register_threadpoolctl, set_num_threads
from ._core.version import __version__
from .activations import activate, erf, softmax
from .conv import Conv1D, Conv2D, Conv3D, conv1d, conv2d, conv3d
from .pooling import (
    average_pool1d,
    average_pool2d,
    average_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from .transposed import (
    Conv1DTranspose,
    Conv2DTranspose,
    Conv3DTranspose,
    conv1d_transpose,
    conv2d_transpose,
    conv3d_transpose,
)

if TYPE_CHECKING:
    from . import ndimage, signal

__all__ = [
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "FallbackWarning",
    "Implementation",
    "__version__",
    "activate",
    "active",
    "average_pool1d",
    "average_pool2d",
    "average_pool3d",
    "conv1d",
    "conv1d_transpose",
    "conv2d",
    "conv2d_transpose",
    "conv3d",
    "conv3d_transpose",
    "erf",
    "get_num_threads",
    "gradients",
    "implementations",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "ndimage",
    "register_threadpoolctl",
    "set_num_threads",
    "show_config",
    "signal",
    "softmax",
    "use",
]


_LATE = ("dask", "ndimage", "onnx", "signal")
_WITH_NAMES = ("ndimage", "signal", "gradients")  # that may be looked for here


def __getattr__(name: str) -> Any:
    """The modules that are loaded when they are first asked for; of what is elsewhere, where."""
    if name in _LATE:
        return importlib.import_module(f"{__name__}.{name}")
    message = f"module {__name__!r} has no attribute {name!r}"
    says = "" if name.startswith("_") else _where(name)
    if not says:
        raise AttributeError(message)  # to which Python adds names that are spelt alike
    raise AttributeError(message + says, name=name, obj=None)  # it adds none


def _where(name: str) -> str:
    """What to say of a name that is not here, but elsewhere or called otherwise."""
    if name == "keras":
        return f" until {__name__}.keras is imported"
    renamed = name.replace("avg_pool", "average_pool")
    if renamed in __all__:
        return f": say {renamed}"
    modules = (importlib.import_module(f"{__name__}.{each}") for each in _WITH_NAMES)
    places = [f"{each.__name__}.{name}" for each in modules if name in each.__all__]
    return f": it is {' or '.join(places)}" if places else ""


def __dir__() -> list[str]:
    return __all__
