"""Activations, by name: what is done to each value of a result.

Kernels know an activation by its place in FINISHES, which is its word in a plan; what it means
stands in `_kernels.functions` for vectors and in `_core.activations` for arrays.
"""

from __future__ import annotations

import struct
from math import inf
from typing import TypeAlias

# A name, the pair ("leaky_relu", slope), or None.
Activation: TypeAlias = "str | tuple[str, float] | None"

# Those that keep values between two limits: tiles apply them before they store.
LIMITS: dict[str | None, tuple[float, float]] = {
    None: (-inf, inf),
    "relu": (0, inf),
    "relu6": (0, 6),
}
CLAMPS = tuple(LIMITS)
# Functions of floats, applied to a block of outputs once all of it is stored.
CURVES = (
    "leaky_relu",
    "hard_sigmoid",
    "hard_swish",
    "sigmoid",
    "tanh",
    "silu",
    "gelu",
    "gelu_tanh",
)
ACTIVATIONS = (*CLAMPS, *CURVES)
SLOPE = 0.01  # of "leaky_relu" by itself, as PyTorch and ONNX have it
# Instead of an activation, and never beside a residual: whole numbers are stored as integers of the
# floats' size.
INTEGERS = "integers"
# Behind the activations stand functions of arrays alone.
FINISHES = (*CLAMPS, INTEGERS, *CURVES, "exp", "erf")


def named(activation: Activation) -> tuple[str | None, float]:
    """The name and the slope of an activation."""
    if isinstance(activation, tuple):
        return activation
    return activation, SLOPE if activation == "leaky_relu" else 0.0


def finish_words(finish: Activation) -> dict[str, int]:
    """What a plan says of one of FINISHES: its place, and the bits of the slope, a float64."""
    name, slope = named(finish)
    (bits,) = struct.unpack("q", struct.pack("d", slope))
    return {"activation": FINISHES.index(name), "slope": bits}
