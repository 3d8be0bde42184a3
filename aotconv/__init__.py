"""Compiled convolution for NumPy arrays, along one, two or three axes.

`conv1d`, `conv2d` and `conv3d` convolve; `Conv1D`, `Conv2D` and `Conv3D` keep packed weights for
many calls.  `implementations`, `active` and `use` tell and choose what computes; `show_config`
prints it.  `get_num_threads` and `set_num_threads` say how many threads a call uses.  `gradients`
has convolution's gradients.
"""

from . import gradients
from ._core.config import __version__, show_config
from ._core.ladder import FallbackWarning, Implementation, active, implementations, use
from ._core.threads import get_num_threads, register_threadpoolctl, set_num_threads
from .conv import Conv1D, Conv2D, Conv3D, conv1d, conv2d, conv3d

__all__ = [
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "FallbackWarning",
    "Implementation",
    "__version__",
    "active",
    "conv1d",
    "conv2d",
    "conv3d",
    "get_num_threads",
    "gradients",
    "implementations",
    "register_threadpoolctl",
    "set_num_threads",
    "show_config",
    "use",
]
