"""Layers of images of one channel, which are kept by their weights: windows come again."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._plan.geometry import RANK, Pair
from . import check
from .call import Function
from .kept import keep
from .layer import Convolution

KEPT_BYTES = 1 << 14  # of the weights of layers that are kept

_functions = {rank: Function(Convolution, rank) for rank in range(1, RANK + 1)}
_layers: dict[tuple, Convolution] = {}  # of weights that came again, by these and all else
_last: dict[tuple, tuple[bytes, Convolution]] = {}  # by all else: weights, and their layer


def layer(
    images: np.ndarray,
    filters: np.ndarray,
    pads: tuple[Pair, ...],
    border: str = "constant",
    value: complex = 0,
    strides: Any = 1,
) -> np.ndarray:
    """What the layer of filters (.., O) makes of images of as many spatial axes and one channel,
    without an axis of that, between pads."""
    images, filters = images[..., np.newaxis], filters[..., np.newaxis, :]
    options = strides, pads, border, value
    if filters.nbytes > KEPT_BYTES:
        return _functions[len(pads)](images, None, None, None, (filters, *_arguments(*options)))
    alike, held = (filters.shape, filters.dtype, options), filters.tobytes()
    kept = _layers.get((alike, held))
    if kept is None:
        return _of_new_weights(images, alike, held)
    result = kept.repeated(images, None)
    return kept.apply(images, None, None, None) if result is None else result


def _of_new_weights(images: np.ndarray, alike: tuple, held: bytes) -> np.ndarray:
    """The same by the layer that was made last of those that look alike, if there is one: that it
    takes other weights is a sixth of the time of a new one.  Weights that come again stay."""
    shape, dtype, options = alike
    filters = np.ndarray(shape, dtype, held)
    before, one = _last.pop(alike, (b"", None))  # nobody else has it meanwhile
    if one is None or not (before == held or one.reweigh(filters, None)):
        one = Convolution(*Convolution.checked(len(shape) - 2, filters, *_arguments(*options)))
    result = one.apply(images, None, None, None)
    if before == held or not one.can_reweigh:
        keep(_layers, (alike, held), one)
    else:
        keep(_last, alike, (held, one))
    return result


def _arguments(strides, pads: tuple[Pair, ...], border: str, value: complex) -> tuple[Any, ...]:
    """Those of a layer behind its filters."""
    axes = check.LETTERS[len(pads)]
    about = None, strides, pads, border, value, 1, 1
    return *about, f"N{axes}C", f"{axes}IO", None, None, False, "auto"
