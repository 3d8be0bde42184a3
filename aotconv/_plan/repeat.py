"""The memory by which compiled code knows a call again, as words of eight bytes."""

from __future__ import annotations

# Of a call that may be repeated.
CALL_FIELDS = (
    "count",  # of arguments
    "head",  # bytes of the head of a Python object
    "array",  # address of NumPy's type of arrays
    "jobs",  # address of what `run` is given; 0: Python computes
    "scratch",  # address of SCRATCH_FIELDS
)
# Of each argument, behind them: one of the two.
ARGUMENT_FIELDS = (
    "layout",  # address of what is known of an array; 0: it is no array
    "object",  # address of the very object
)
# Of an array; behind them its sizes, and then its strides.
LAYOUT_FIELDS = (
    "axes",
    "dtype",  # address of the object
    "mask",  # bits of its flags that matter
    "flags",
    "low",  # bytes from its first element to its lowest address
    "high",  # and to the end of its highest
    "contents",  # address of what it must hold; 0: that does not matter
)
# Of the memory that such calls work in, one at a time.
SCRATCH_FIELDS = ("taken", "place")
