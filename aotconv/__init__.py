"""Compiled convolution for NumPy arrays, along one, two or three axes.

`conv1d`, `conv2d` and `conv3d` convolve; `Conv1D`, `Conv2D` and `Conv3D` keep packed weights for
many calls.  `max_pool2d` and `average_pool2d`, of one axis and three alike, are pools.
`implementations`, `active` and `use` tell and choose what computes; `show_config` prints it.
`get_num_threads` and `set_num_threads` say how many threads a call uses.
"""

from ._core.config import __version__, show_config
from ._core.ladder import FallbackWarning, Implementation, active, implementations, use
from ._core.threads import get_num_threads, register_threadpoolctl, set_num_threads
from .conv import Conv1D, Conv2D, Conv3D, conv1d, conv2d, conv3d
from .pooling import (
    average_pool1d,
    average_pool2d,
    average_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)

__all__ = [
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "FallbackWarning",
    "Implementation",
    "__version__",
    "active",
    "average_pool1d",
    "average_pool2d",
    "average_pool3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "get_num_threads",
    "implementations",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "register_threadpoolctl",
    "set_num_threads",
    "show_config",
    "use",
]
