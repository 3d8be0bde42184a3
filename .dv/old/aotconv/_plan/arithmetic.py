"""Whole numbers: quotients and multiples rounded up, and the largest number that fits."""

from __future__ import annotations

from collections.abc import Callable


def ceil_div(a: int, b: int) -> int:
    """``a / b`` rounded up; neither is negative, and b is not 0."""
    return (a + b - 1) // b


def round_up(size: int, multiple: int) -> int:
    """`size` rounded up to a multiple."""
    return ceil_div(size, multiple) * multiple


def largest(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest of 1 to `limit` that fits; 1 if none does.  What is less than one that fits,
    fits."""
    low, high = 1, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def evenly(size: int, most: int) -> int:
    """The size of the pieces when `size` is cut into as few as have at most `most`, alike."""
    return ceil_div(size, ceil_div(size, most))
