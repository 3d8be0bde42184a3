"""Pad, in the memory order of what is padded."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .operator import Operator, in_order, memory_order

MODES = ("constant", "reflect", "edge", "wrap")


class Pad(Operator):
    """Negative numbers take elements away, before others are added.  Before opset 11 all but the
    data are attributes."""

    _planned: tuple[Any, Any] = (None, None)

    def _run(
        self,
        data: np.ndarray,
        pads: Any = None,
        constant_value: np.ndarray | None = None,
        axes: np.ndarray | None = None,
        mode: str = "constant",
        value: Any = 0,
        paddings: Any = None,
    ) -> tuple[np.ndarray]:
        if mode not in MODES:
            raise ValueError(f"mode {mode!r}, where one of {', '.join(MODES)} is expected")
        given = np.asarray(paddings if pads is None else pads)
        order = memory_order(data)
        key = data.shape, order, given.tobytes(), None if axes is None else axes.tobytes()
        planned = self._planned
        if key != planned[0]:
            sides = _sides(given.tolist(), None if axes is None else axes.tolist(), data.ndim)
            kept = [_kept(*each, size) for each, size in zip(sides, data.shape, strict=True)]
            added = [tuple(max(each, 0) for each in sides[axis]) for axis in order]
            planned = self._planned = key, (tuple(kept), added)
        kept, added = planned[1]
        view = data[kept].transpose(order)
        if mode != "constant":
            return (in_order(_repeated(view, added, mode), order),)
        if constant_value is not None:
            if constant_value.size != 1:
                raise ValueError(f"constant_value of shape {constant_value.shape}; one is expected")
            value = constant_value.reshape(())[()]
        elif data.dtype.kind in "OUS":
            value = ""
        return (in_order(_constant(view, added, value), order),)


def _sides(pads: list[int], axes: list[int] | None, rank: int) -> list[tuple[int, int]]:
    """How many elements to add in front of and behind each axis."""
    axes = list(range(rank)) if axes is None else axes
    n = len(axes)
    if len(pads) != 2 * n or not all(-rank <= axis < rank for axis in axes):
        raise ValueError(f"pads {pads} for the axes {axes} of an array of {rank} axes")
    sides = [(0, 0)] * rank
    for axis, front, behind in zip(axes, pads[:n], pads[n:], strict=True):
        sides[axis] = front, behind
    return sides


def _kept(front: int, behind: int, size: int) -> slice:
    """What negative numbers leave of an axis."""
    start, stop = max(-front, 0), size + min(behind, 0)
    if start > stop:
        raise ValueError(f"pads {front} and {behind} of an axis of {size} elements")
    return slice(start, stop)


def _constant(array: np.ndarray, added: Sequence[tuple[int, ...]], value: Any) -> np.ndarray:
    sizes = [
        size + front + behind for size, (front, behind) in zip(array.shape, added, strict=True)
    ]
    padded = np.empty(sizes, array.dtype)
    inside: list[slice] = []
    for size, (front, behind) in zip(array.shape, added, strict=True):
        if front:
            padded[(*inside, slice(0, front))] = value
        if behind:
            padded[(*inside, slice(front + size, None))] = value
        inside.append(slice(front, front + size))
    padded[tuple(inside)] = array
    return padded


def _repeated(array: np.ndarray, added: Sequence[tuple[int, ...]], mode: str) -> np.ndarray:
    for axis, (front, behind) in enumerate(added):
        if front or behind:
            array = array.take(_places(array.shape[axis], front, behind, mode), axis, mode="clip")
    return array.copy() if array.base is not None else array


@functools.lru_cache(maxsize=256)
def _places(size: int, front: int, behind: int, mode: Any) -> np.ndarray:
    """The element at each place of a padded axis, as `np.pad` has it."""
    return np.pad(np.arange(size), (front, behind), mode)
