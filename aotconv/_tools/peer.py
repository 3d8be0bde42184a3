"""What another library that convolves is to the benchmark, and what several of them need.

A peer gets a `Problem` and prepares whatever needs to be done once: weights are constants of its
model or packed, images and output lie ready in its own layout.  What is left to time is one call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .problem import Layer, Problem


class Contender(NamedTuple):
    """One way to compute a problem.

    Attributes
    ----------
    problem : Problem
        What it computes.
    call : callable
        Computes it; this is what is timed.
    channels_last : callable
        Makes an array of the result's shape, of a layer channels or filters last, of what `call`
        returned.
    kept : object
        What the peer knows by its address alone, and must live as long.
    coarser : float
        By how much more than the library's its results may differ from what is right.
    """

    problem: Problem
    call: Callable[[], Any]
    channels_last: Callable[[Any], NDArray[Any]] = np.asarray
    kept: object = None
    coarser: float = 0.0


class Setting(NamedTuple):
    """What peers are told beside the problem: threads, and the folder of LiteRT's models."""

    threads: int
    tflite: str | None = None


Prepare = Callable[["Problem", Setting], dict[str, Contender]]


class Unsuitable(Exception):
    """The peer cannot compute this problem; the message says why."""


class Peer(NamedTuple):
    """A library: the packages it needs, and by operators and filters what prepares its variants by
    name."""

    packages: tuple[str, ...]
    prepares: Mapping[str, Prepare]

    def prepare(self, problem: Problem, setting: Setting) -> dict[str, Contender]:
        """Its variants by name; raises `Unsuitable`."""
        asked = problem.operation.asked
        if asked in self.prepares:
            return self.prepares[asked](problem, setting)
        known = asked.partition(" ")[0] in self.prepares
        raise Unsuitable(f"it is not asked for this {'dtype' if known else 'operator'}")


def channels_first(array: NDArray[Any]) -> NDArray[Any]:
    """Channels behind the images' axis instead of last."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def channels_last(array: Any) -> NDArray[Any]:
    """What `channels_first` was made of."""
    return np.moveaxis(np.asarray(array), 1, -1)


def outputs_first(filters: NDArray[Any]) -> NDArray[Any]:
    """OIHW of HWIO, or what it is for that rank."""
    return np.ascontiguousarray(np.moveaxis(filters, (-1, -2), (0, 1)))


def outputs_last(filters: Any) -> NDArray[Any]:
    """What `outputs_first` was made of."""
    return np.moveaxis(np.asarray(filters), (0, 1), (-1, -2))


def along_two_axes(layer: Layer) -> None:
    """Raise `Unsuitable` for other ranks."""
    if layer.rank != 2:
        raise Unsuitable("it is asked for two axes alone")


def steps(layer: Layer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Strides and dilations."""
    axes = layer.axes
    return tuple(axis.stride for axis in axes), tuple(axis.dilation for axis in axes)
