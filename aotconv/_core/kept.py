"""What is kept of earlier calls, as long as there is not too much of it."""

from __future__ import annotations

from typing import TypeVar

KEPT = 64  # layers, filters, layouts, calls ..: programs meet few, and what meets more forgets them

Key = TypeVar("Key")
Value = TypeVar("Value")


def keep(kept: dict[Key, Value], key: Key, value: Value, most: int | None = None) -> Value:
    """Add to what is kept; what is full forgets all.  Return the value."""
    if len(kept) >= (KEPT if most is None else most):
        kept.clear()
    kept[key] = value
    return value
