"""Reshape, which keeps channels last in memory where it can."""

from __future__ import annotations

from typing import Any

import numpy as np

from .operator import Operator


class Reshape(Operator):
    def _run(self, data: Any, shape: Any = None, **attributes: Any) -> tuple[np.ndarray, ...]:
        sizes = [int(each) for each in (attributes["shape"] if shape is None else shape)]
        if not attributes.get("allowzero"):
            sizes = [data.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
        return (reshaped(data, sizes),)


def reshaped(array: np.ndarray, sizes: list[int]) -> np.ndarray:
    """An array in another shape; of axes behind the channels that stay, memory stays in order.

    As when channels are shuffled: (N, C, H, W) as (N, G, C / G, H, W), and back when G and C / G
    were exchanged.  NumPy would copy the latter into the order of its axes.
    """
    if array.flags.c_contiguous:
        return array.reshape(sizes)
    if -1 in sizes:
        sizes = list(np.empty(array.shape, np.bool_).reshape(sizes).shape)
    kept = 0
    while kept < min(array.ndim, len(sizes)) - 2 and array.shape[-1 - kept] == sizes[-1 - kept]:
        kept += 1
    if kept == 0 or array.ndim == 0 or array.shape[0] != sizes[0]:
        return array.reshape(sizes)
    inner = array.ndim - kept
    moved = array.transpose(0, *range(inner, array.ndim), *range(1, inner))
    result = moved.reshape(sizes[0], *sizes[len(sizes) - kept :], *sizes[1 : len(sizes) - kept])
    return result.transpose(0, *range(1 + kept, len(sizes)), *range(1, 1 + kept))
