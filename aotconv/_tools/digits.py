"""Numbers as commands print them."""

from __future__ import annotations

MARK = "~"  # of one that is uncertain


def three_digits(value: float) -> str:
    """Format with three significant digits or more, but never an exponent."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{decimals}f}"


def digits(value: float) -> str:
    """Format with three significant digits."""
    return three_digits(value) if value >= 0.1 else f"{value:.3g}"
