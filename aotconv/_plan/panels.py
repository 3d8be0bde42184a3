"""What compiled code is told that puts weights into panels, as words of eight bytes."""

from __future__ import annotations

# The axes of rows, the outermost first: how many, and bytes to the next.
ROW_AXES = tuple((f"rows_{i}", f"step_{i}") for i in range(4))
# Sizes in elements, distances in bytes.
PANELS_FIELDS = (
    "itemsize",  # bytes of a float: 4 or 8
    "target",  # address of where the first row goes in the first panel
    "panel",  # from a panel to the next
    "columns",  # a panel begins at each multiple of it
    "width",  # and from there at each multiple of it
    "filters",
    "filter",  # from a filter to the next
    *(name for names in ROW_AXES for name in names),
)
