"""Activations, by name: what is done to each value of a result.

Kernels know an activation by its place in FINISHES, which is its word in a plan; what it means
stands in `_kernels.epilogue` for vectors and in `_core.fallback` for arrays.
"""

from __future__ import annotations

ACTIVATIONS = (None, "relu", "relu6")
# Instead of an activation, and never beside a residual: whole numbers are stored as integers of the
# floats' size.
INTEGERS = "integers"
FINISHES = (*ACTIVATIONS, INTEGERS)
