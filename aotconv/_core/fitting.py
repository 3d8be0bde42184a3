"""Whether checked arguments fit together, and the sizes that follow.

Each function raises TypeError or ValueError as those of `check` do, or returns what a call of
compiled code may rely on.
"""

from __future__ import annotations

import cmath
import math
import sys
from typing import TYPE_CHECKING

import numpy as np

from .._plan.activations import CLAMPS, Activation, named
from .._plan.borders import BORDERS, ZEROS, maps
from .._plan.elements import name_of
from .._plan.geometry import FLAT, RANK, Axis, Geometry
from .._plan.pool import pool_axis
from .._plan.registry import FLOAT_DTYPES
from .._plan.transposed import forward_axis
from . import cures
from .check import AXES, LARGEST_ITEM, filter_parts, shown
from .cures import Given

if TYPE_CHECKING:
    from .layout import Layout


def common_dtype(dtypes, names: str) -> np.dtype:
    """NumPy's common one of arguments."""
    try:
        return np.result_type(*dtypes)
    except TypeError:
        raise TypeError(
            f"{names} must have a common dtype, which NumPy does not know of "
            f"{' and '.join(map(str, dtypes))}: convert one"
        ) from None


def images_axes(
    shape: tuple[int, ...], rank: int, name: str = "images", channels_first: bool = False
) -> None:
    if len(shape) <= rank:
        axes = ("channels", *AXES[rank]) if channels_first else (*AXES[rank], "channels")
        index = "None" if channels_first else "..., None"
        cure = f": without channels they are {name}[{index}]" if len(shape) == rank else ""
        raise ValueError(
            f"{name} must have at least {rank + 1} axes ({', '.join(axes)}), "
            f"got {len(shape)} axes of shape {shape}{cure}"
        )


def padding_value_fits(value, dtype) -> None:
    """Refuse a value that images of a dtype cannot hold."""
    if value == 0:
        return
    fits = dtype.kind == "c" or not isinstance(value, complex | np.clongdouble)
    if fits and dtype.kind in "iu":
        info = np.iinfo(dtype)
        fits = info.min <= value <= info.max and value == int(value)
    elif fits:
        with np.errstate(all="ignore"):
            element = complex(np.array(value).astype(dtype))
        fits = cmath.isfinite(element) or not cmath.isfinite(complex(value))  # does not overflow
    if not fits:
        raise ValueError(f"padding_value must fit the images' dtype {dtype}, got {shown(value)}")


def castable(common: np.dtype, asked: np.dtype | None, saturate: bool) -> np.dtype:
    """The dtype of a result of arguments that have a common one, where another may be asked for."""
    dtype = common if asked is None else asked
    clipped = saturate and dtype.kind in "iu"
    if not np.can_cast(common, dtype, "same_kind") and not (clipped and common.kind in "iuf"):
        cure = "; saturate=True rounds" if dtype.kind in "iu" and common.kind == "f" else ""
        raise TypeError(
            f"dtype must be one to which the arguments' common dtype {common} can be cast by "
            f"NumPy's rule 'same_kind', got {dtype}{cure}"
        )
    return dtype


def real_activation(activation: Activation, dtypes, names: str) -> None:
    """Refuse an activation of complex numbers."""
    if activation is not None and any(dtype.kind == "c" for dtype in dtypes):
        raise TypeError(f"activation {named(activation)[0]!r} is not defined for complex {names}")


def float_activation(activation: Activation, dtype) -> None:
    """Refuse a function of floats for a result of integers, which has clamps alone."""
    if activation not in CLAMPS and dtype.kind in "iu":
        raise TypeError(
            f"activation {named(activation)[0]!r} is not defined for a result of dtype {dtype}: "
            f"integers have {' and '.join(map(repr, CLAMPS[1:]))}"
        )


def winograd_layer(kernel, strides, dilations, groups: int) -> None:
    """Refuse a layer that algorithm "winograd" does not compute."""
    reason = winograd_hindrance(kernel, strides, dilations, groups)
    if reason:
        raise ValueError(f"algorithm 'winograd' needs {reason}: use 'auto'")


def winograd_hindrance(kernel, strides, dilations, groups: int) -> str | None:
    """What algorithm "winograd" needs of a layer that is not so."""
    if len(kernel) != 2:
        return f"two spatial axes, got {len(kernel)}"
    for name, expected, got in (
        ("filters of height and width", (3, 3), kernel),
        ("strides", (1, 1), strides),
        ("dilations", (1, 1), dilations),
        ("groups", 1, groups),
    ):
        if got != expected:
            return f"{name} {expected}, got {got}"
    return None


def winograd_dtype(dtype) -> None:
    """Refuse a result's dtype that algorithm "winograd" does not compute."""
    if name_of(dtype) not in FLOAT_DTYPES:
        raise ValueError(
            f"algorithm 'winograd' needs a result of dtype {' or '.join(FLOAT_DTYPES)}, "
            f"got {dtype}: use 'auto'"
        )


def channels_agree(given: Given, name: str = "images") -> None:
    """Refuse images, which users call `name`, of other channels than filters have, and say how they
    would agree."""
    channels, expected = given.channels(given.data_format), given.expected(given.filter_format)
    if channels == expected:
        return
    if given.transposed:
        has = f"{name} and filters must agree in channels, got {channels} and {expected}"
    elif channels % given.groups:
        raise ValueError(
            f"groups must divide the channels of images, {channels}, got {given.groups}"
        )
    else:
        _, group_channels, _ = filter_parts(given.filters, given.filter_format)
        has = (
            f"images and filters must agree in channels: images have {channels} in "
            f"{given.groups} group(s), filters of shape {given.filters}, {given.filter_format}, "
            f"expect {group_channels} a group"
        )
    raise ValueError(has + cures.of_channels(given))


def geometry(
    images_shape,
    filters_shape,
    strides,
    padding,
    dilations,
    groups,
    *,
    borders=None,
    given: Given | None = None,
) -> Geometry:
    """The sizes of a convolution of images with any leading axes and channels last, which are taken
    as one; every other argument checked already.

    Parameters
    ----------
    borders : sequence of int, optional
        Of each spatial axis, its place in BORDERS; by default zeros.
    given : Given, optional
        As the user has them; by default channels are last there, too.
    """
    channels_agree(given or Given.of(images_shape, filters_shape, groups))
    *kernel, _, o = filters_shape
    rank = len(kernel)
    *sizes, c = images_shape[-rank - 1 :]
    leading = images_shape[: -rank - 1]
    pads = [padding] * rank if isinstance(padding, str) else padding
    axes = [FLAT] * (RANK - rank)
    borders = borders or (ZEROS,) * rank
    every = zip(AXES[rank], sizes, kernel, strides, dilations, pads, borders, strict=True)
    for name, *each in every:
        axis = Axis.of(*each)
        if axis.out < 1 and padding not in ("same", "same_lower", "causal"):
            dilated = f", dilated to {axis.extent}," if axis.dilation > 1 else ""
            raise ValueError(
                f"filters must fit into the padded images: their {name} {axis.kernel}{dilated} is "
                f"more than the images' {name} {axis.size} with padding "
                f"{axis.before} + {axis.behind}"
            )
        if axis.size == 0 and maps(axis.border):
            raise ValueError(
                f"images without pixels along their {name} can only be padded with a constant, "
                f"got padding_mode {BORDERS[axis.border]!r}"
            )
        axes.append(axis)
    z, y, x = axes
    geometry = Geometry(math.prod(leading), c, o, groups, z, y, x)
    padded = (*leading, *(axis.padded for axis in axes[RANK - rank :]), c)
    result = (*leading, *(axis.out for axis in axes[RANK - rank :]), o)
    addressable("the padded images", padded)
    addressable("the result", result)
    return geometry


def pool_geometry(images_shape, window, strides, padding, dilations, ceil_mode: bool) -> Geometry:
    """The sizes of a pool of images with any leading axes and channels last, which are taken as
    one; every other argument checked already."""
    rank = len(window)
    *sizes, c = images_shape[-rank - 1 :]
    leading = images_shape[: -rank - 1]
    pads = [padding] * rank if isinstance(padding, str) else padding
    axes = [FLAT] * (RANK - rank)
    for name, *each in zip(AXES[rank], sizes, window, strides, dilations, pads, strict=True):
        axis = pool_axis(Axis.of(*each), ceil_mode)
        if axis.out < 1 and padding not in ("same", "same_lower"):
            dilated = f", dilated to {axis.extent}," if axis.dilation > 1 else ""
            raise ValueError(
                f"window must fit into the padded images: its {name} {axis.kernel}{dilated} is "
                f"more than the images' {name} {axis.size} with padding "
                f"{axis.before} + {axis.behind}"
            )
        axes.append(axis)
    z, y, x = axes
    padded = (*leading, *(axis.padded for axis in axes[RANK - rank :]), c)
    addressable("the padded images", padded)
    return Geometry(math.prod(leading), c, c, max(c, 1), z, y, x)


def addressable(name: str, shape: tuple[int, ...]) -> None:
    if math.prod(max(size, 1) for size in shape) > sys.maxsize // LARGEST_ITEM:
        raise ValueError(f"{name} would be too large to address: shape {shape}")


def transposed_geometry(
    names: tuple[str, str], shape, filters_shape, options, given: Given
) -> Geometry:
    """The sizes of the convolution that is transposed, whose outputs are the argument of a shape
    with any leading axes and channels last.

    Parameters
    ----------
    names : tuple of str
        Of that argument, and of the one that says the result's size.
    filters_shape : tuple of int
        (.., C / groups, O), C the channels of the argument.
    options : TransposedOptions
    given : Given
        As the user has them.
    """
    name, sized_by = names
    channels_agree(given, name)
    *kernel, _, o = filters_shape
    rank = len(kernel)
    *sizes, c = shape[-rank - 1 :]
    leading = shape[: -rank - 1]
    nothing = (None,) * rank
    more, outs = options.output_padding or nothing, options.output_size or nothing
    pads = [options.padding] * rank if isinstance(options.padding, str) else options.padding
    axes = [FLAT] * (RANK - rank)
    for label, size, taps, *each in zip(
        AXES[rank], sizes, kernel, options.strides, options.dilations, pads, more, outs, strict=True
    ):
        axis = forward_axis(size, taps, *each)
        if axis.out != size:
            raise ValueError(
                f"{sized_by} must be one of which a convolution makes the {label} of {name}, "
                f"{size}: of {axis.size} it makes {axis.out}"
            )
        if options.output_size is None and axis.size < min(1, size):
            raise ValueError(
                f"padding must leave something of the result, got {shown(options.padding)}, which "
                f"leaves a {label} of {axis.size}"
            )
        axes.append(axis)
    z, y, x = axes
    # Windows' steps are multiplied with bytes even where all but a little is cut off.
    sizes = (max(axis.size, axis.padded) for axis in axes[RANK - rank :])
    addressable("the result", (*leading, *sizes, o))
    return Geometry(math.prod(leading), o, c, options.groups, z, y, x)


def images_shape_fits(images_shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Refuse a shape of images that an output's gradient does not belong to."""
    if images_shape != expected:
        raise ValueError(
            f"images_shape must agree with output_gradient and filters, which want {expected}, "
            f"got {images_shape}"
        )


def out_fits(out: Layout, shape, dtype) -> None:
    """Refuse an array into which a result of that shape and dtype cannot be written."""
    if out.shape != tuple(shape):
        raise ValueError(f"out must have the result's shape {tuple(shape)}, got {out.shape}")
    if out.dtype != dtype:
        raise TypeError(f"out must have the result's dtype {dtype}, got {out.dtype}")
    if not out.writeable:
        raise ValueError("out must be writeable, got a read-only array")


def residual_fits(residual: Layout, shape, dtype) -> None:
    """Refuse an array that cannot be added to a result of that shape and dtype."""
    if residual.shape != tuple(shape):
        raise ValueError(
            f"residual must have the result's shape {tuple(shape)}, got {residual.shape}"
        )
    if not np.can_cast(residual.dtype, dtype, "same_kind"):
        raise TypeError(
            f"residual must be castable to the result's dtype {dtype} within its kind, "
            f"got dtype {residual.dtype}"
        )


def output_gradient_fits(gradient: Layout, shape, operator: str = "convolution") -> None:
    """Refuse an output gradient of another shape than the operator's result has."""
    if gradient.shape != tuple(shape):
        raise ValueError(
            f"output_gradient must have the shape of the {operator}'s result, {tuple(shape)}, "
            f"got {gradient.shape}"
        )


def pooled_shape_fits(pooled: tuple[int, ...], images: tuple[int, ...], spatial: range) -> None:
    """Refuse a shape of images that no pool makes another shape of: but for spatial axes they are
    alike."""
    kept = [
        tuple(size for axis, size in enumerate(shape) if axis not in spatial)
        for shape in (pooled, images)
    ]
    if len(pooled) != len(images) or kept[0] != kept[1]:
        raise ValueError(
            f"images_shape must agree with output_gradient, of shape {pooled}, in all axes but the "
            f"spatial ones, got {images}"
        )


def indices_fit(indices: Layout, shape: tuple[int, ...]) -> None:
    """Refuse what cannot be places of maxima of a shape."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"indices must hold integers, got dtype {indices.dtype}")
    if indices.shape != shape:
        raise ValueError(f"indices must have output_gradient's shape {shape}, got {indices.shape}")


def places(low: int, high: int, pixels: int) -> None:
    """Refuse places of maxima, by the lowest and the highest, that images of so many pixels do not
    have; -1 is none."""
    if low < -1 or high >= pixels:
        wrong = low if low < -1 else high
        raise ValueError(
            f"indices must be places among the {pixels} pixels of an image, or -1, got {wrong}"
        )


def may_overlap_itself(array: Layout) -> bool:
    """Whether two elements of an array may lie on the same memory."""
    if array.c_contiguous:
        return False
    axes = zip(array.strides, array.shape, strict=True)
    span = array.dtype.itemsize
    for stride, size in sorted((abs(stride), size) for stride, size in axes if size > 1):
        if stride < span:
            return True
        span = stride * (size - 1) + span
    return False
