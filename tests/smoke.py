"""Does an installed aotconv compute?  Needs NumPy alone: `python tests/smoke.py [--level NAME]`.

Every family of kernels at every compiled level that this CPU has, against the float64 reference;
and what a user meets first: dtypes, layouts, threads, refused arguments, and no warning where none
is due.  It takes a second or two, and is meant for other machines, emulated ones among them.
"""

from __future__ import annotations

import argparse
import platform
import sys
import warnings

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("error")
    import aotconv
    from aotconv._core import cpu
    from aotconv._plan.family import Layer
    from aotconv._plan.registry import AOT_DTYPES, LEVELS, ROWS
    from aotconv._plan.select import select
    from aotconv.reference import conv2d_reference

# Family -> images' shape, filters' shape, options.
CASES = {
    "dense": ((2, 9, 10, 5), (3, 3, 5, 20), {"padding": "same", "strides": (2, 1)}),
    "dense, of small groups": ((2, 9, 10, 16), (3, 3, 2, 16), {"padding": 1, "groups": 8}),
    "narrow": ((2, 9, 10, 3), (4, 4, 3, 2), {"padding": "same_lower", "dilations": (1, 2)}),
    "depthwise": ((2, 9, 10, 32), (3, 3, 1, 32), {"padding": "same", "groups": 32}),
    "image": ((2, 9, 40, 3), (5, 5, 1, 3), {"padding": (2, 1), "groups": 3}),
    "strip": ((2, 9, 10, 6), (2, 4, 1, 6), {"groups": 6, "strides": (1, 2)}),
    "winograd": ((1, 14, 15, 8), (3, 3, 8, 16), {"padding": "same", "algorithm": "winograd"}),
}
# What must be said -> the argument that is wrong.
REFUSED = {
    "images must have 4 axes": {"images": np.ones((5, 5))},
    "filters must have 4 axes": {"filters": np.ones((3, 3))},
    "bias must have one value for each of the 4 filters": {"bias": np.ones(5)},
    "strides must be at least 1, got 0": {"strides": 0},
    "padding must be": {"padding": "full"},
    "groups must": {"groups": 3},
    "threads must be an integer, got 1.5": {"threads": 1.5},
}


def whole(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Small whole numbers: sums of their products are exact, in any order."""
    return rng.integers(-3, 4, shape).astype(dtype)


def family_of(filters: np.ndarray, options: dict, level: str) -> str:
    """The family that computes a layer at a level."""
    names = ("groups", "strides", "dilations", "algorithm")
    layer = Layer(*filters.shape, **{name: options[name] for name in names if name in options})
    return select(layer, filters.dtype.name, level).family


def check_close(got: np.ndarray, expected: np.ndarray, error: float, what: str) -> None:
    assert got.shape == expected.shape, f"{what}: {got.shape} instead of {expected.shape}"
    largest = np.abs(got - expected).max()
    assert largest <= error, f"{what}: off by {largest}, allowed {error}"


def check_case(name: str, dtype: str, level: str, rng: np.random.Generator) -> str:
    """One layer in every way of calling it; returns the family that computed it."""
    image_shape, filter_shape, options = CASES[name]
    images, filters = whole(rng, image_shape, dtype), whole(rng, filter_shape, dtype)
    bias = whole(rng, filter_shape[3:], dtype)
    what, error = f"{name}, {dtype}, {level}", 0.0
    plain = {key: value for key, value in options.items() if key != "algorithm"}
    if name == "winograd":  # README's bound for any data; no number here is above 3
        channels = filter_shape[2]
        error = np.finfo(dtype).eps * (channels + 28) * (282 * channels * 9 + 3 + 3)

    expected = conv2d_reference(images, filters, bias, **plain)
    got = aotconv.conv2d(images, filters, bias, **options)
    assert got.dtype == dtype, what
    check_close(got, expected, error, what)

    layer = aotconv.Conv2D(filters, bias, **options)
    out = np.empty(layer.output_shape(image_shape), dtype)
    assert layer(images, out=out, threads=2) is out and (out == got).all(), f"{what}: threads, out"

    residual = whole(rng, out.shape, dtype)
    expected = conv2d_reference(
        images, filters, bias, residual=residual, activation="relu", **plain
    )
    out[...] = residual
    got = aotconv.conv2d(images, filters, bias, residual=out, activation="relu", out=out, **options)
    check_close(got, expected, error, f"{what}: residual in out")

    first = images.transpose(0, 3, 1, 2).copy()
    got = aotconv.conv2d(first, filters, bias, data_format="NCHW", **options)
    expected = conv2d_reference(first, filters, bias, data_format="NCHW", **plain)
    check_close(got, expected, error, f"{what}: NCHW")
    return family_of(filters, options, level)


def check_level(level: str) -> None:
    """Every family that a level has."""
    rng = np.random.default_rng(0)
    for dtype in AOT_DTYPES:
        met = {check_case(name, dtype, level, rng) for name in CASES}
        built = {row.family for row in ROWS if (row.level, row.dtype) == (level, dtype)}
        assert met == built - {"peak"}, f"{level}, {dtype}: {met ^ (built - {'peak'})} not tried"


def check_dtypes() -> None:
    """Those that are computed as others, and integers, which alone may warn: once."""
    rng = np.random.default_rng(1)
    images, filters = whole(rng, (1, 7, 7, 3), "float16"), whole(rng, (3, 3, 3, 4), "float16")
    expected = conv2d_reference(images, filters)
    half = aotconv.conv2d(images, filters)
    assert half.dtype == np.float16 and (half == expected).all(), "float16"
    pixels = np.abs(images).astype(np.uint8)
    got = aotconv.conv2d(pixels[:, ::-1, ::2], filters.astype(np.float32))
    assert got.dtype == np.float32, "uint8 pixels under float32 filters"
    assert (got == conv2d_reference(pixels[:, ::-1, ::2], filters)).all(), "uint8 pixels"
    loaded = {"numba", "llvmlite"} & set(sys.modules)
    assert not loaded, f"floats imported {loaded}"

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for top in (0, 1):
            got = aotconv.conv2d(images[:, top:].astype(np.int32), filters.astype(np.int32))
            assert got.dtype == np.int32 and (got == expected[:, top:]).all(), "int32"
    said = [each.category for each in caught]
    assert said == [aotconv.FallbackWarning], f"two calls on integers warned {said}"


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
    check_refusals()
    tried = ", ".join(levels)
    print(f"aotconv {aotconv.__version__} {where}: {options.level} is active; right at {tried}")


if __name__ == "__main__":
    main()
