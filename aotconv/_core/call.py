"""Calls of the functions: each makes a layer, as far as none like it is kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import frozen
from .kept import keep
from .layer import Arguments, Convolution
from .repeat import KnownCalls

SMALL_BYTES = 4096  # of weights that are kept themselves, and compared
KEPT_BYTES = 64 << 20  # that the packed weights of large layers take at most, which are kept

_small: dict[tuple, Convolution] = {}  # by operator, options and weights
_large: dict[tuple, Convolution] = {}  # by those and what weights look like; those not in use


class Function:
    """A function of the doors: an operator along so many axes."""

    def __init__(self, operator: type[Convolution], rank: int) -> None:
        self._operator, self._rank = operator, rank
        self._known = KnownCalls()

    def __call__(self, images, out, residual, n_threads, arguments: Arguments) -> np.ndarray:
        """The result of arguments as the user gave them."""
        if residual is None and n_threads is None:
            result = self._known.repeated(images, out, arguments)
            if result is not None:
                return result
        operator = self._operator
        filters, bias, options = operator.checked(self._rank, *arguments)
        if filters.nbytes + (0 if bias is None else bias.nbytes) > SMALL_BYTES:
            arrays = images, out, residual, n_threads
            return _apply_large(operator, filters, bias, options, arrays)
        weights = frozen.array(filters), None if bias is None else frozen.array(bias)
        key = operator, options, weights
        kept = _small.get(key)
        layer = kept or _small_layer(key)
        result = layer.apply(images, out, residual, n_threads)
        if layer.has_spectra:  # which may be a thousand times as large as weights
            _small.pop(key, None)
            return result
        if kept is None:
            keep(_small, key, layer)
        if n_threads is None:
            self._known.add(out, arguments, layer.known_with(arguments))
        return result


def _small_layer(key: tuple) -> Convolution:
    """A new layer of few weights, which are known by their bytes."""
    operator, options, (filters, bias) = key
    # Of the key's own bytes: the arrays may be changed meanwhile.
    own_bias = None if bias is None else np.ndarray(*bias)
    return operator(np.ndarray(*filters), own_bias, options)


def _apply_large(
    operator: type[Convolution],
    filters: np.ndarray,
    bias: np.ndarray | None,
    options: NamedTuple,
    arrays: tuple,
) -> np.ndarray:
    """The result of a layer of many weights, packed into the memory of the last that looked alike:
    the system takes longer to give new memory than packing does."""
    key = operator, options, filters.shape, filters.dtype, None if bias is None else bias.dtype
    layer = _large.pop(key, None)  # nobody else has it meanwhile
    if layer is None or not layer.reweigh(filters, bias):
        layer = operator(filters, bias, options)
    result = layer.apply(*arrays)
    if layer.can_reweigh and layer.packed_bytes <= KEPT_BYTES:
        layer.forget_weights()
        keep(_large, key, layer)
        for oldest in list(_large):
            if sum(each.packed_bytes for each in list(_large.values())) <= KEPT_BYTES:
                break
            _large.pop(oldest, None)
    return result
