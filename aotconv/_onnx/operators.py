"""All operators, in one list."""

from __future__ import annotations

from .convolution import Conv, ConvTranspose
from .operator import Operator

OPS: tuple[type[Operator], ...] = (Conv, ConvTranspose)
