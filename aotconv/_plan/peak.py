"""Multiply-adds on registers alone, which no layer chooses (`_kernels.peak`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from .family import Family, Layer, bare_words
from .registry import Row


def choose(rows: Sequence[Row], layer: Layer) -> None:
    return None


def refuse(*_) -> NoReturn:
    raise TypeError("the peak family computes no layer")


PEAK = Family(
    "peak",
    choose,
    refuse,
    refuse,
    refuse,
    fields=("iterations",),  # of a task
)


def peak_words(iterations: int, tasks: int) -> list[int]:
    """The plan of a peak row, whose tasks multiply and add `iterations` times."""
    return bare_words(PEAK, {"iterations": iterations, "tasks": tasks})
