"""Multiply-adds on registers alone, which no layer chooses (`_kernels.peak`)."""

from __future__ import annotations

from .family import bare_words, of_no_layer

PEAK = of_no_layer(
    "peak",
    ("iterations",),  # of a task
)


def peak_words(iterations: int, tasks: int) -> list[int]:
    """The plan of a peak row, whose tasks multiply and add `iterations` times."""
    return bare_words(PEAK, {"iterations": iterations, "tasks": tasks})
