"""Does an installed aotconv compute?  Needs NumPy alone: `python tests/smoke.py [--level NAME]`.

Every family of kernels at every compiled level that this CPU has, against the float64 reference;
and what a user meets first: dtypes, layouts, threads, refused arguments, and no warning where none
is due.  It takes a second or two, and is meant for other machines, emulated ones among them.
"""

from __future__ import annotations

import argparse
import math
import platform
import sys
import warnings

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("error")
    import aotconv
    from aotconv._core import cpu
    from aotconv._plan.activations import ACTIVATIONS
    from aotconv._plan.family import Layer
    from aotconv._plan.registry import FLOAT_DTYPES, LEVELS, ROWS
    from aotconv._plan.select import FAMILIES, select
    from aotconv.reference import activation_reference, conv_reference

# The number of filters' axes -> the function and the layer.
DOORS = {
    3: (aotconv.conv1d, aotconv.Conv1D),
    4: (aotconv.conv2d, aotconv.Conv2D),
    5: (aotconv.conv3d, aotconv.Conv3D),
}
# Family -> images' shape, filters' shape, options.
CASES = {
    "dense": ((2, 9, 10, 5), (3, 3, 5, 20), {"padding": "same", "strides": (2, 1)}),
    "dense, of small groups": ((2, 9, 10, 16), (3, 3, 2, 16), {"padding": 1, "groups": 8}),
    "narrow": ((2, 9, 10, 6), (4, 4, 6, 2), {"padding": "same_lower", "dilations": (1, 2)}),
    "planar": ((2, 9, 30, 2), (3, 5, 2, 5), {"padding": "same", "strides": (2, 1)}),
    "planar, three axes": ((2, 4, 9, 10, 1), (2, 3, 3, 1, 4), {"padding": "same"}),
    "depthwise": ((2, 9, 10, 32), (3, 3, 1, 32), {"padding": "same", "groups": 32}),
    "image": ((2, 9, 40, 3), (5, 5, 1, 3), {"padding": (2, 1), "groups": 3}),
    "dense, one axis": ((2, 40, 5), (5, 5, 20), {"padding": "causal", "strides": 2}),
    "dense, three axes": ((2, 4, 9, 10, 5), (2, 3, 3, 5, 20), {"padding": "full"}),
    "strip, three axes": ((2, 4, 9, 10, 6), (2, 2, 4, 1, 6), {"groups": 6, "padding": "same"}),
    "strip": ((2, 9, 10, 6), (2, 4, 1, 6), {"groups": 6, "strides": (1, 2)}),
    "winograd": ((1, 14, 15, 8), (3, 3, 8, 16), {"padding": "same", "algorithm": "winograd"}),
}
# What must be said -> the argument that is wrong.
REFUSED = {
    "images must have at least 3 axes": {"images": np.ones((5, 5))},
    "filters must have 4 axes": {"filters": np.ones((3, 3))},
    "bias must have one value for each of the 4 channels": {"bias": np.ones(5)},
    "strides must be at least 1, got 0": {"strides": 0},
    "padding must be": {"padding": "causal"},
    "padding_mode must be one of": {"padding_mode": "mirror"},
    "groups must": {"groups": 3},
    "threads must be an integer, got 1.5": {"threads": 1.5},
}


def whole(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Small whole numbers: sums of their products are exact, in any order."""
    return rng.integers(-3, 4, shape).astype(dtype)


def family_of(filters: np.ndarray, options: dict, level: str) -> str:
    """The family that computes a layer at a level."""
    *kernel, channels, n_filters = filters.shape
    rank = len(kernel)
    steps = {
        name: (*[1] * (3 - rank), *np.broadcast_to(options[name], rank).tolist())
        for name in ("strides", "dilations")
        if name in options
    }
    more = {name: options[name] for name in ("groups", "algorithm") if name in options}
    layer = Layer((*[1] * (3 - rank), *kernel), channels, n_filters, **steps, **more)
    return select(layer, filters.dtype.name, level).family


def check_close(got: np.ndarray, expected: np.ndarray, error: float, what: str) -> None:
    assert got.shape == expected.shape, f"{what}: {got.shape} instead of {expected.shape}"
    largest = np.abs(got - expected).max()
    assert largest <= error, f"{what}: off by {largest}, allowed {error}"


def check_case(name: str, dtype: str, level: str, rng: np.random.Generator) -> str:
    """One layer in every way of calling it; returns the family that computed it."""
    image_shape, filter_shape, options = CASES[name]
    images, filters = whole(rng, image_shape, dtype), whole(rng, filter_shape, dtype)
    bias = whole(rng, filter_shape[-1:], dtype)
    convolve, make = DOORS[len(filter_shape)]
    what, error = f"{name}, {dtype}, {level}", 0.0
    plain = {key: value for key, value in options.items() if key != "algorithm"}
    if name == "winograd":  # README's bound for any data; no number here is above 3
        channels = filter_shape[2]
        error = np.finfo(dtype).eps * (channels + 28) * (282 * channels * 9 + 3 + 3)

    expected = conv_reference(images, filters, bias, **plain)
    got = convolve(images, filters, bias, **options)
    assert got.dtype == dtype, what
    check_close(got, expected, error, what)

    layer = make(filters, bias, **options)
    out = np.empty(layer.output_shape(image_shape), dtype)
    assert layer(images, out=out, threads=2) is out and (out == got).all(), f"{what}: threads, out"

    residual = whole(rng, out.shape, dtype)
    expected = conv_reference(images, filters, bias, residual=residual, activation="relu", **plain)
    out[...] = residual
    got = convolve(images, filters, bias, residual=out, activation="relu", out=out, **options)
    check_close(got, expected, error, f"{what}: residual in out")

    first = np.moveaxis(images, -1, 1).copy()
    got = convolve(first, filters, bias, data_format="channels_first", **options)
    expected = conv_reference(first, filters, bias, data_format="channels_first", **plain)
    check_close(got, expected, error, f"{what}: channels first")
    return family_of(filters, options, level)


def check_functions(dtype: str, level: str, rng: np.random.Generator) -> None:
    """Activations by themselves and behind a layer, erf, and softmax."""
    array, what = 3 * rng.standard_normal((2, 5, 9), dtype), f"{dtype}, {level}"
    error = 40 * np.finfo(dtype).eps
    filters = np.eye(9, dtype=dtype)[np.newaxis]
    for name in ACTIVATIONS:
        expected = activation_reference(array.astype(np.float64), name)
        check_close(aotconv.activate(array, name), expected, error, f"{name}, {what}")
        fused = aotconv.conv1d(array, filters, activation=name)
        assert (fused == aotconv.activate(array, name)).all(), f"{name} behind a layer, {what}"
    check_close(aotconv.erf(array), np.vectorize(math.erf)(array), error, f"erf, {what}")
    e = np.exp(array.astype(np.float64))
    expected = e / e.sum(1, keepdims=True)
    check_close(aotconv.softmax(array, 1), expected, error, f"softmax, {what}")


def check_level(level: str) -> None:
    """Every family that a level has."""
    rng = np.random.default_rng(0)
    for dtype in FLOAT_DTYPES:
        met = {check_case(name, dtype, level, rng) for name in CASES}
        check_functions(dtype, level, rng)
        rows = [row for row in ROWS if (row.level, row.dtype) == (level, dtype)]
        built = {row.family for row in rows if FAMILIES[row.family].computes_layers}
        assert met == built, f"{level}, {dtype}: {met ^ built} tried or not"
    images, filters = whole(rng, (1, 7, 7, 3), "int64"), whole(rng, (3, 3, 3, 4), "int64")
    expected = conv_reference(images, filters).astype(np.int64)
    assert (aotconv.conv2d(images << 60, filters) == expected << 60).all(), f"{level}, int64"


def check_dtypes() -> None:
    """Those that are computed as others."""
    rng = np.random.default_rng(1)
    images, filters = whole(rng, (1, 7, 7, 3), "float16"), whole(rng, (3, 3, 3, 4), "float16")
    expected = conv_reference(images, filters)
    half = aotconv.conv2d(images, filters)
    assert half.dtype == np.float16 and (half == expected).all(), "float16"
    pixels = np.abs(images).astype(np.uint8)
    got = aotconv.conv2d(pixels[:, ::-1, ::2], filters.astype(np.float32))
    assert got.dtype == np.float32, "uint8 pixels under float32 filters"
    assert (got == conv_reference(pixels[:, ::-1, ::2], filters)).all(), "uint8 pixels"
    for dtype in ("int32", "complex64"):
        got = aotconv.conv2d(images.astype(dtype), filters.astype(dtype))
        assert got.dtype == dtype and (got == expected).all(), dtype
    loaded = {"numba", "llvmlite"} & set(sys.modules)
    assert not loaded, f"calls imported {loaded}"


def check_filters() -> None:
    """Filters of `ndimage`, `signal`, and transforms of layers, which are loaded late."""
    image = np.arange(12).reshape(3, 4) ** 2
    smoothed = aotconv.ndimage.uniform_filter(image, 3)
    assert smoothed.tolist() == [[6, 9, 15, 19], [29, 35, 46, 54], [52, 62, 79, 90]], smoothed
    close = aotconv.ndimage.correlate1d(image.astype(np.float32), [1, -2, 1])
    check_close(close[:, 1:-1], np.full((3, 2), 2.0), 1e-5, "correlate1d")
    spectral = aotconv.ndimage.correlate1d(image.astype(np.float32), [1, -2, 1], algorithm="fft")
    check_close(spectral, close, 1e-3, "correlate1d by transforms")
    layer = aotconv.Conv1D(np.ones((2, 4, 3), np.float32), algorithm="fft")
    summed = layer(np.ones((9, 4), np.float32))
    check_close(summed, np.full((8, 3), 8.0), 1e-3, "a layer by transforms")
    convolved = aotconv.signal.convolve([1, 2, 3], [0, 1, 10])
    assert convolved.tolist() == [0, 1, 12, 23, 30], convolved


def check_refusals() -> None:
    right = {"images": np.ones((1, 5, 5, 2)), "filters": np.ones((3, 3, 2, 4))}
    for message, wrong in REFUSED.items():
        try:
            aotconv.conv2d(**{**right, **wrong})
        except (TypeError, ValueError) as error:
            assert message in str(error), f"{message!r} expected, said: {error}"
        else:
            raise AssertionError(f"{list(wrong)} were not refused: {message!r} expected")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    best = next((each.name for each in LEVELS.values() if each.features <= cpu.features()), None)
    parser.add_argument("--level", default=best, help="must be active; default: the CPU's best")
    options = parser.parse_args()

    warnings.simplefilter("error")
    where = f"in {aotconv.__path__[0]}, CPython {platform.python_version()}, NumPy {np.__version__}"
    known = {each.name: each for each in aotconv.implementations()}
    assert aotconv.active().name == options.level, (
        f"{aotconv.active().name} is active instead of {options.level} {where}; {options.level}: "
        f"{known[options.level].reason if options.level in known else 'no implementation'}"
    )
    levels = [name for name in LEVELS if known[name].available]
    for level in levels:
        with aotconv.use(level):
            check_level(level)
    check_dtypes()
    check_filters()
    check_refusals()
    tried = ", ".join(levels)
    print(f"aotconv {aotconv.__version__} {where}: {options.level} is active; right at {tried}")


if __name__ == "__main__":
    main()
