"""Which kernels go through the windows of a correlation, with weights packed for them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from .._plan.elements import name_of
from .._plan.family import Layer, Triple
from .._plan.means import MEANS
from .._plan.select import family_of, means_row, select, separable_row, taps_row
from .._plan.separable import SEPARABLE, mean_words
from .._plan.taps import MEAN, TAPS, WINDOW, listed
from . import ladder
from .jobs import Kernel, Pass
from .pack import pack, pack_divisor, pack_list, pack_numbers
from .sums import Sums


def kernel_of(
    rung: ladder.Rung, sums: Sums, images: np.dtype, sizes: Sequence[Triple], channels: int
) -> Kernel | None:
    """What goes through all windows, of some sizes along the axes of images with so many channels;
    None where it cannot be compiled."""
    computed, is_listed = sums.computed(images), sums.order_shows(images)
    is_alone, passes = len(sizes) == 1, []
    for i, size in enumerate(sizes):
        is_mean = sums.order == MEAN and not is_listed and sums.windows[i].reach > 1
        layer = Layer(size, 1, channels, channels)
        in_place = is_alone and (is_listed or is_mean or _is_direct(layer, computed, rung.level))
        kernel: Kernel | None
        if is_mean:
            kernel = _mean(rung, sums, i, images, computed)
        elif is_listed:
            kernel = _listed(rung, sums, i, size, computed)
        else:
            if not in_place:  # channels are pixels
                layer = Layer(size, 1, 1, dilations=(1, 1, channels if size[-1] > 1 else 1))
            kernel = _summed(rung, sums, i, layer, computed)
        if kernel is None or in_place:
            return kernel
        passes.append(Pass(kernel, size))
    at_once = None if is_listed else _at_once(rung, sums, images, computed)
    return passes[-1].kernel._replace(passes=tuple(passes), at_once=at_once)


def _at_once(rung: ladder.Rung, sums: Sums, images: np.dtype, computed: str) -> Kernel | None:
    """What goes through two windows at once, on arrays of one type; None where nothing does."""
    is_mean = sums.order == MEAN
    row = separable_row("int16" if is_mean else computed, name_of(images), rung.level)
    is_fit = sums.result == images and (sums.clips or images.kind == "f")
    if row is None or not is_fit or rung.task(row) is None:
        return None
    if is_mean:
        numbers = mean_words(int(prod(window.reach for window in sums.windows)))
    else:
        numbers = [each for window in sums.windows for each in window.weights.ravel()]
    return Kernel(row, SEPARABLE, rung, pack_numbers(numbers, row.dtype), None, "clipped")


def _mean(rung: ladder.Rung, sums: Sums, i: int, images: np.dtype, computed: str) -> Kernel | None:
    """What takes the means of a window: of integers sums, which the last one divides by the sizes
    of all."""
    row = means_row(computed, rung.level)
    if rung.task(row) is None:
        return None
    divisor = sums.windows[i].reach
    if images.kind in "iu":
        is_last = i == len(sums.windows) - 1
        divisor = prod(window.reach for window in sums.windows) if is_last else 1.0
    packed, stored = pack_divisor(divisor, computed), "clipped" if sums.clips else "truncated"
    return Kernel(row, MEANS, rung, packed, None, stored, (), sums.windows[i].cval, False)


def _listed(rung: ladder.Rung, sums: Sums, i: int, size: Triple, computed: str) -> Kernel | None:
    """What sums the taps of a window in the order of a list."""
    row = taps_row(computed, rung.level)
    if rung.task(row) is None:
        return None
    window, truncates = sums.windows[i], sums.truncates and i < len(sums.windows) - 1
    taps = listed(sums.order, window.weights.ravel().tolist())
    packed = pack_list(taps._replace(truncates=truncates), size, computed)
    stored = "clipped" if sums.clips else "mirrored" if sums.order == WINDOW else "truncated"
    return Kernel(row, TAPS, rung, packed, None, stored, (), window.cval, False)


def _summed(rung: ladder.Rung, sums: Sums, i: int, layer: Layer, computed: str) -> Kernel | None:
    """What sums in the one order, all channels with the same filter."""
    row = select(layer, computed, rung.level)
    if rung.task(row) is None:
        return None
    window, family, n_filters = sums.windows[i], family_of(row), layer.n_filters
    weights = window.weights.reshape(*layer.kernel, 1, 1)
    filters = np.broadcast_to(weights, (*layer.kernel, 1, n_filters))
    packed = pack(family.packing(row, layer), computed, filters, None)
    stored = "clipped" if sums.clips else "wrapped"
    return Kernel(row, family, rung, packed, None, stored, (), window.cval, False)


def _is_direct(layer: Layer, computed: str, level: str) -> bool:
    """Whether a kernel computes a layer of channels that are alike at no loss where arrays are."""
    return layer.groups == 1 or bool(select(layer, computed, level).window)
