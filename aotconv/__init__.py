"""Compiled 2-D convolution for NumPy arrays.

`conv2d` convolves; `Conv2D` keeps packed weights for many calls.  `implementations`, `active` and
`use` tell and choose what computes; `show_config` prints it.
"""

from ._core.config import __version__, show_config
from ._core.ladder import FallbackWarning, Implementation, active, implementations, use
from ._core.threads import get_num_threads, set_num_threads
from .conv import Conv2D, conv2d

__all__ = [
    "Conv2D",
    "FallbackWarning",
    "Implementation",
    "__version__",
    "active",
    "conv2d",
    "get_num_threads",
    "implementations",
    "set_num_threads",
    "show_config",
    "use",
]
