"""Resize, and Upsample, which it replaced.

Axes are resized one after the other, those that shrink first, and of others those last whose
elements are farthest apart, which are taken fastest.  An element of the result is a sum of a few
elements along an axis, each times a weight: so whole slices are taken, weighted and added, in the
memory order of the array, in blocks that caches hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .operator import Operator, computed_in, in_order, memory_order

POLICIES = {"not_larger": min, "not_smaller": max}
BLOCK = 1 << 17  # elements; several arrays of so many are in use at once


class Way(NamedTuple):
    """How places are found and weighted: the operator's attributes."""

    mode: str
    nearest_mode: str
    transformation: str
    cubic_coeff_a: float
    exclude_outside: bool
    antialias: bool

    @classmethod
    def of(
        cls,
        mode: str = "nearest",
        nearest_mode: str = "simple",
        coordinate_transformation_mode: str = "asymmetric",
        cubic_coeff_a: Any = -0.75,
        exclude_outside: int = 0,
        antialias: int = 0,
        **others: Any,
    ) -> Way:
        """Those of attributes; defaults are of opset 10."""
        if mode not in ("nearest", "linear", "cubic"):
            raise ValueError(f"mode {mode!r}, where nearest, linear or cubic is expected")
        if antialias and mode == "nearest":
            raise ValueError("antialias with mode 'nearest'")
        a = float(cubic_coeff_a)
        excludes, smooths = bool(exclude_outside), bool(antialias)
        return cls(mode, nearest_mode, coordinate_transformation_mode, a, excludes, smooths)


class Axis(NamedTuple):
    """How one axis is resized."""

    axis: int
    size: int
    out: int
    scale: float
    roi: tuple[float, float]

    @property
    def changes(self) -> bool:
        return self.out != self.size or self.scale != 1 or self.roi != (0, 1)


class Taps(NamedTuple):
    """Which elements of an axis make those of the result."""

    axis: int
    places: list[np.ndarray]
    weights: list[np.ndarray]  # as many, columns; or none: the element itself
    outside: np.ndarray | None  # where the result is of no element


class Resize(Operator):
    _planned: tuple[Any, list[Taps]] = (None, [])

    def _run(self, x: np.ndarray, *inputs: Any, **attributes: Any) -> tuple[np.ndarray]:
        if self.version < 11:
            inputs = None, *inputs
        roi, scales, sizes = (*inputs, None, None, None)[:3]
        return (self.resized(x, roi, scales, sizes, attributes),)

    def resized(self, x: np.ndarray, roi: Any, scales: Any, sizes: Any, attributes: Any) -> Any:
        """The result of inputs and attributes; what is decided for the last ones is kept."""
        order = memory_order(x)
        given = roi, scales, sizes
        asked = [None if each is None or not each.size else each for each in given]
        key = x.dtype, x.shape, order, [None if each is None else each.tobytes() for each in asked]
        planned = self._planned
        if key != planned[0] or self.has_linked_attribute:
            axes = _axes_of(
                x.shape, asked, attributes.get("axes"), attributes.get("keep_aspect_ratio_policy")
            )
            planned = self._planned = key, _plan(axes, order, x.dtype, attributes)
        value = attributes.get("extrapolation_value", 0)
        return in_order(_resized(x.transpose(order), planned[1], value), order)


class Upsample(Resize):
    """Resize with coordinates ``x / scale``."""

    def _run(
        self, x: np.ndarray, scales: Any = None, mode: str = "nearest", **attributes: Any
    ) -> tuple[np.ndarray]:
        if self.version < 7:
            scales = 1, 1, attributes["height_scale"], attributes["width_scale"]
        scales = np.asarray(scales, np.float32)
        way = {"mode": "linear" if mode == "bilinear" else mode, "nearest_mode": "floor"}
        return (self.resized(x, None, scales, None, way),)


def _plan(
    axes: list[Axis], order: tuple[int, ...], dtype: np.dtype, attributes: dict[str, Any]
) -> list[Taps]:
    """The taps of each axis that changes, in an array whose axes are ordered."""
    way = Way.of(**attributes)
    if way.mode != "nearest" and dtype.kind in "bOUS":
        raise TypeError(f"X of {dtype}, of which mode 'nearest' alone makes sense")
    real = np.empty(0, _summed_in(dtype)).real.dtype
    changed = [axis._replace(axis=order.index(axis.axis)) for axis in axes if axis.changes]
    changed.sort(key=lambda axis: (axis.out / max(axis.size, 1), -axis.axis))
    return [_taps(axis, way, real) for axis in changed]


def _summed_in(dtype: np.dtype) -> np.dtype:
    """What weighted elements of a dtype are summed in."""
    return np.dtype(np.float64) if dtype.kind in "iu" and dtype.itemsize > 2 else computed_in(dtype)


def _axes_of(
    shape: tuple[int, ...],
    asked: Sequence[Any],
    axes: Sequence[int] | None,
    policy: str | None,
) -> list[Axis]:
    """The axes that scales or sizes are of."""
    roi, scales, sizes = asked
    rank = len(shape)
    if not all(-rank <= each < rank for each in axes or ()):
        raise ValueError(f"axes {axes} of an array of shape {shape}")
    chosen = range(rank) if axes is None else [each % rank for each in axes]
    given = [each for each in (scales, sizes) if each is not None]
    if len(given) != 1:
        raise ValueError(f"{len(given)} of scales and sizes, where one of them is expected")
    if given[0].size != len(chosen) or (roi is not None and roi.size != 2 * len(chosen)):
        raise ValueError(
            f"scales or sizes of shape {given[0].shape}, and roi of "
            f"{None if roi is None else roi.shape}, for {len(chosen)} axes"
        )
    old = [shape[axis] for axis in chosen]
    if scales is not None:
        if not (scales > 0).all():
            raise ValueError(f"scales {scales.tolist()}, which must be positive")
        factors = [float(each) for each in scales]
        # in float32, as onnx infers shapes
        new = [
            int(np.float32(size) * np.float32(each)) for size, each in zip(old, scales, strict=True)
        ]
    else:
        new = [int(each) for each in sizes]
        if min(new, default=0) < 0:
            raise ValueError(f"sizes {new}, which must not be negative")
        factors = [out / max(size, 1) for out, size in zip(new, old, strict=True)]
        if policy not in (None, "stretch"):
            if policy not in POLICIES:
                raise ValueError(f"keep_aspect_ratio_policy {policy!r}")
            factors = [POLICIES[policy](factors)] * len(chosen)
            new = [int(size * factor + 0.5) for size, factor in zip(old, factors, strict=True)]
    ends = [0.0] * len(old) + [1.0] * len(old) if roi is None else [float(each) for each in roi]
    parts = zip(ends[: len(old)], ends[len(old) :], strict=True)
    return [Axis(*each) for each in zip(chosen, old, new, factors, parts, strict=True)]


def _taps(axis: Axis, way: Way, real: np.dtype) -> Taps:
    """The taps of an axis."""
    if axis.out and not axis.size:
        raise ValueError(f"axis {axis.axis} without elements, to be resized to {axis.out}")
    at = _coordinates(axis, way.transformation)
    last = axis.size - 1
    outside = None
    if way.transformation == "tf_crop_and_resize":
        outside = (at < 0) | (at > last)
        outside = outside if outside.any() else None
    if way.mode == "nearest":
        nearest = np.clip(_nearest(at, axis, way.nearest_mode), 0, last)
        return Taps(axis.axis, [nearest.astype(np.intp)], [], outside)
    left = np.ceil(at) - 1  # so that the rest is in (0, 1]
    offsets, weights = _weights(at - left, axis.scale if way.antialias else 1.0, way)
    places = left[:, None] + offsets
    if way.exclude_outside:
        weights = np.where((places >= 0) & (places <= last), weights, 0)
        total = weights.sum(axis=1, keepdims=True)
        weights /= np.where(total == 0, 1, total)
    places = np.clip(places, 0, last).astype(np.intp)
    used = [each for each in range(len(offsets)) if weights[:, each].any()] or [0]
    return Taps(
        axis.axis,
        [np.ascontiguousarray(places[:, each]) for each in used],
        [weights[:, each, None].astype(real) for each in used],
        outside,
    )


def _coordinates(axis: Axis, transformation: str) -> np.ndarray:
    """Where each element of the result lies in the axis."""
    places = np.arange(axis.out, dtype=np.float64)
    width = axis.scale * axis.size  # not always whole, and then not `out`
    last = axis.size - 1
    half = (places + 0.5) / axis.scale - 0.5
    if transformation == "half_pixel":
        return half
    if transformation == "half_pixel_symmetric":
        return axis.size / 2 * (1 - axis.out / width) + half
    if transformation == "pytorch_half_pixel":
        return half if axis.out > 1 else np.zeros(axis.out)
    if transformation == "asymmetric":
        return places / axis.scale
    start, end = axis.roi if transformation == "tf_crop_and_resize" else (0.0, 1.0)
    if transformation == "align_corners":
        return places * last / (width - 1) if width != 1 else np.zeros(axis.out)
    if transformation == "tf_crop_and_resize":
        if width == 1:
            return np.full(axis.out, (start + end) * last / 2)
        return start * last + places * (end - start) * last / (width - 1)
    raise ValueError(f"coordinate_transformation_mode {transformation!r}")


def _nearest(at: np.ndarray, axis: Axis, mode: str) -> np.ndarray:
    """The place nearest to each coordinate."""
    if mode == "simple":  # of opset 10
        mode = "ceil" if axis.scale < 1 else "floor"
    if mode == "round_prefer_floor":
        return np.ceil(at - 0.5)
    if mode == "round_prefer_ceil":
        return np.floor(at + 0.5)
    if mode not in ("floor", "ceil"):
        raise ValueError(f"nearest_mode {mode!r}")
    return np.floor(at) if mode == "floor" else np.ceil(at)


def _weights(rest: np.ndarray, scale: float, way: Way) -> tuple[np.ndarray, np.ndarray]:
    """Offsets from the element on the left of coordinates, and the weights of these, for each.

    The kernel of a smaller image is as many times as wide."""
    scale = min(scale, 1.0)
    reach = 1 if way.mode == "linear" else 2
    first = int(np.floor(-reach / scale)) + 1
    offsets = np.arange(first, 2 - first)
    far = np.abs(scale * (offsets - rest[:, None]))
    if way.mode == "linear":
        weights = np.maximum(1 - far, 0)
    else:
        a = way.cubic_coeff_a
        near = ((a + 2) * far - (a + 3)) * far * far + 1
        weights = np.where(
            far <= 1, near, np.where(far < 2, a * (((far - 5) * far + 8) * far - 4), 0)
        )
    if scale < 1:
        weights /= weights.sum(axis=1, keepdims=True)
    return offsets, weights


def _resized(view: np.ndarray, plan: list[Taps], extrapolation_value: float) -> np.ndarray:
    """An array by the taps of its axes."""
    dtype = view.dtype
    if any(taps.weights for taps in plan):
        view = view.astype(_summed_in(dtype), copy=False)
    for taps in plan:
        if taps.weights:
            view = _sums(view, taps)
        else:
            view = view.take(taps.places[0], taps.axis, mode="clip")
    for taps in plan:
        if taps.outside is not None:
            before: Any = (slice(None),) * taps.axis
            view[(*before, taps.outside)] = extrapolation_value
    return view if view.dtype == dtype else _cast(view, dtype)


def _sums(array: np.ndarray, taps: Taps) -> np.ndarray:
    """The sums of weighted elements along an axis."""
    shape, axis = array.shape, taps.axis
    rows = array.reshape(prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]))
    out = np.empty((len(rows), len(taps.places[0]), rows.shape[2]), array.dtype)
    for some, part in _blocks(out.shape):
        target = out[some, part]
        product = np.empty_like(target)
        for number, (places, weights) in enumerate(zip(taps.places, taps.weights, strict=True)):
            rows[some].take(places[part], 1, mode="clip", out=product)
            if number:
                product *= weights[part]
                target += product
            else:
                np.multiply(product, weights[part], out=target)
    return out.reshape(*shape[:axis], out.shape[1], *shape[axis + 1 :])


def _blocks(shape: tuple[int, int, int]) -> Iterator[tuple[slice, slice]]:
    """Cuts of the first two axes of an array into blocks."""
    n, rows, inner = shape
    if rows * inner <= BLOCK:
        some = max(BLOCK // max(rows * inner, 1), 1)
        yield from ((slice(each, each + some), slice(None)) for each in range(0, n, some))
        return
    some = max(BLOCK // inner, 1)
    for each in range(n):
        for start in range(0, rows, some):
            yield slice(each, each + 1), slice(start, start + some)


def _cast(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats as integers, rounded half to even and clipped; or as other floats."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        with np.errstate(invalid="ignore"):
            return np.clip(np.rint(array), limits.min, limits.max).astype(dtype)
    with np.errstate(over="ignore"):
        return array.astype(dtype)
