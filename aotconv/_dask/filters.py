"""Filters of `aotconv.ndimage` on arrays of dask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import dask.array as da
import numpy as np

from .. import ndimage
from .arguments import array_of, stand_in
from .graph import computed_in_blocks
from .pieces import Axis, Whole, Windows
from .reach import Reach, reaches

RINGS = ("wrap", "grid-wrap")
OF_FUNCTIONS = (ndimage.generic_gradient_magnitude, ndimage.generic_laplace)


def filtered(function: Callable[..., np.ndarray], options: Mapping[str, Any]) -> da.Array:
    """What a filter makes of its input."""
    if isinstance(options["output"], np.ndarray):
        raise TypeError("output must be a dtype or None, got an array: what dask computes is new")
    if function in OF_FUNCTIONS:
        _check_function(options)
    arrays = {"input": array_of("input", options["input"])}
    if options.get("mask") is not None:
        arrays["mask"] = array_of("mask", options["mask"])
    shapes = {name: each.shape for name, each in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(
            f"mask must have the shape of input {shapes['input']}, got {shapes['mask']}"
        )
    array = arrays["input"]
    none = {name: stand_in((0,) * array.ndim, each.dtype) for name, each in arrays.items()}
    dtype = _dtype_of(function, {**options, **none})
    axes = _axes_of(array.shape, reaches(function, array.ndim, options))
    rest = {name: each for name, each in options.items() if name not in (*arrays, "depth")}
    compute = partial(_filter_of_block, function, rest)
    return computed_in_blocks(function.__name__, compute, axes, list(arrays.values()), dtype)


def _check_function(options: Mapping[str, Any]) -> None:
    name = "derivative" if "derivative" in options else "derivative2"
    if not callable(options[name]):
        raise TypeError(f"{name} must be a function, got {type(options[name]).__name__}")
    depth = options["depth"]
    if not isinstance(depth, int | np.integer) or depth < 0:
        raise ValueError(f"depth must be an integer of 0 or more elements, got {depth!r}")


def _filter_of_block(function, options: Mapping[str, Any], _, input, *mask) -> np.ndarray:
    masked = {"mask": mask[0]} if mask else {}
    return function(input, **masked, **options)


def _dtype_of(function: Callable[..., np.ndarray], none: dict[str, Any]) -> np.dtype[Any]:
    """That of a filter of nothing, which refuses what it refuses; other people's functions are not
    called for that."""
    if function in OF_FUNCTIONS:
        function = ndimage.laplace
        none = {name: none[name] for name in ("input", "output", "mode", "cval", "axes")}
    return function(**none).dtype


def _axes_of(shape: Iterable[int], found: Iterable[Reach]) -> list[Axis]:
    axes: list[Axis] = []
    for axis, size in enumerate(shape):
        mine = [each for each in found if each.axis == axis]
        before = max((each.before for each in mine), default=0)
        behind = max((each.behind for each in mine), default=0)
        rings = {each.mode in RINGS for each in mine if each.before or each.behind}
        if len(rings) > 1:
            axes.append(Whole(size, size))
            continue
        span = before + behind + 1
        axes.append(Windows(size, size, span, 1, before, behind, span, rings == {True}, True))
    return axes
