"""How results are judged: exactly where arithmetic is exact, else by the derived bound."""

from __future__ import annotations

import numpy as np

from aotconv._plan.activations import CLAMPS
from aotconv.reference import activation_reference, conv_reference


def products(filters, filter_format="HWIO") -> int:
    """How many are summed into one output element."""
    shape = filters.shape[1:] if filter_format.startswith("OI") else filters.shape[:-1]
    return int(np.prod(shape))


def error_bound(images, filters, bias, dtype, residual=None, filter_format="HWIO") -> float:
    """The error that each output may have: eps * (K + 1) * max|x| * max|w| * 2.

    K products and a bias are summed, and with a residual one term more; where either is larger than
    any product it takes the product's place.  float16 is computed in float32 and rounded once more.
    """
    terms = products(filters, filter_format) + (1 if residual is None else 2)
    largest = np.abs(images).max(initial=0.0) * np.abs(filters).max(initial=0.0)
    for more in (bias, residual):
        if more is not None:
            largest = max(largest, np.abs(more).max(initial=0.0))
    compute = np.float32 if dtype == np.float16 else dtype
    bound = np.finfo(compute).eps * terms * float(largest) * 2
    if dtype == np.float16:
        bound += np.finfo(np.float16).eps * terms * float(largest)
    return float(bound)


def bound_behind(activation, bound: float, dtype) -> float:
    """The error that each output may have behind an activation, where its sum may have `bound`,
    which is at least 2 eps |x|: no slope is more than 3/2, and functions have errors of 2 eps |x|
    or 4 eps of their own."""
    return bound if activation in CLAMPS else 4 * bound + 4 * eps_of(dtype)


def eps_of(dtype) -> float:
    """The distance of 1 to the next float, of bfloat16, too, which NumPy does not tell."""
    dtype = np.dtype(dtype)
    return 2.0**-7 if dtype.name == "bfloat16" else float(np.finfo(dtype).eps)


def bound_of_any_data(images, filters, bias, *args, residual=None, dtype, **options):
    """The error that each output may have whatever the data, short of overflow:
    gamma(K + 2) * (sum of |x| |w| + |bias| + |residual|), gamma(n) = n u / (1 - n u), u = eps / 2.

    Each product passes K + 2 roundings at most: its own where there is no FMA, one in each of K
    sums, one with the residual [1]_.  Each may also lose half of the least denormal number.

    .. [1] N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., section 3.1.
    """
    compute = np.finfo(np.float32 if dtype == np.float16 else dtype)
    roundings = products(filters, options.get("filter_format", "HWIO")) + 2
    u = float(compute.eps) / 2
    sizes = (None if each is None else np.abs(each) for each in (images, filters, bias, residual))
    *arrays, more = (None if each is None else precise(each) for each in sizes)
    total = conv_reference(*arrays, *args, residual=more, **options)
    bound = roundings * u / (1 - roundings * u) * total
    bound += 2 * roundings * precise(np.asarray(compute.smallest_subnormal))
    if dtype == np.float16:  # rounded once more
        half = np.finfo(np.float16)
        bound += half.eps / 2 * (total + bound) + float(half.smallest_subnormal)
    return bound


def winograd_matrices():
    """A, B and G of F(4x4, 3x3), as (6, 4), (6, 6) and (6, 3), of the points 0, ±5/8, ±3/2, ∞.

    A and G evaluate polynomials, and B follows from them: each product of A and G that belongs to
    output k and tap r is to meet input k + r alone.
    """
    points = [0, 5 / 8, -5 / 8, 3 / 2, -3 / 2]
    scale = [np.prod([p - q for q in points if q != p]) for p in points]
    infinity = [[0, 0, 0, 1]], [[0, 0, 1]]
    a = np.concatenate([[[p**k for k in range(4)] for p in points], infinity[0]])
    g = [[p**r / s for r in range(3)] for p, s in zip(points, scale, strict=True)]
    g = np.concatenate([g, infinity[1]])
    met = np.array([[k + r == s for s in range(6)] for k in range(4) for r in range(3)], float)
    products = np.array([a[:, k] * g[:, r] for k in range(4) for r in range(3)])
    b, *_ = np.linalg.lstsq(products, met, rcond=None)
    assert np.allclose(products @ b, met, atol=1e-12)
    return a, b.T, g


def winograd_amplification() -> float:
    """The most that the sizes of images and weights can grow to, in the sum of an output element
    of one channel: see `winograd_bound`."""
    a, b, g = (np.abs(matrix) for matrix in winograd_matrices())
    return float((a.T @ (b.sum(0) * g.sum(1))).max() ** 2)


def winograd_bound(images, filters, bias, dtype, residual=None, filter_format="HWIO") -> float:
    """The error that each output of algorithm "winograd" may have, for any data, short of overflow:
    eps * (C + 28) * (282 * C * max|x| * max|w| + |bias| + |residual|).

    On its way into an output an element is rounded at most C + 27 times, by eps / 2 each: 8 times
    in each of the three transforms, C times in the sum over channels, once more where there is no
    FMA, twice for bias and residual.  The sizes of all that is summed are together no more than
    `winograd_amplification`, 564, times C * max|x| * max|w|.
    """
    channels = filters.shape[1 if filter_format == "OIHW" else 2]
    sizes = [np.abs(each).max(initial=0.0) for each in (images, filters)]
    total = 282 * channels * float(sizes[0]) * float(sizes[1])
    for more in (bias, residual):
        total += 0.0 if more is None else float(np.abs(more).max(initial=0.0))
    return float(np.finfo(dtype).eps * (channels + 28) * total)


def spectral_bound(images, filters, bias, dtype, n, residual=None, filter_format="HWIO") -> float:
    """The error that each output of algorithm "fft" may have, for any data, short of overflow, by
    sections of n pixels whose elements are as large as the largest:
    eps * ((10 log2(2 n) + 2 C) * ||x|| * ||w|| + |bias| + |residual|), C channels a group."""
    if filter_format.startswith("OI"):
        filters = np.moveaxis(filters, (1, 0), (-2, -1))
    channels, eps = filters.shape[-2], eps_of(dtype)
    compute = min(eps, eps_of(np.float32))  # of halves, which are rounded once more
    x = (n * channels) ** 0.5 * float(np.abs(wide(images)).max(initial=0.0))
    squares = (np.abs(wide(filters)) ** 2).sum(tuple(range(filters.ndim - 1)))
    product = x * float(squares.max(initial=0.0)) ** 0.5
    more = sum(float(np.abs(each).max(initial=0)) for each in (bias, residual) if each is not None)
    bound = compute * ((10 * np.log2(2 * n) + 2 * channels) * product + more)
    return float(bound + (eps * (product + more) if eps > compute else 0))


def precise(array):
    """The same values with more digits than any dtype that is compiled."""
    return np.asarray(array).astype(np.longdouble)


def wide(array):
    """float64 or complex128 of the same values."""
    if array is None:
        return None
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def assert_same_bits(result, expected):
    """Two arrays are equal, and so are the signs of their zeros; NaNs are one."""
    np.testing.assert_array_equal(result, expected)
    signs = (np.signbit(each) & ~np.isnan(each) for each in (result, expected))
    np.testing.assert_array_equal(*signs)


def assert_exact(result, images, filters, bias=None, *args, activation=None, **options):
    """`result` equals the oracle's, element for element; integers wrap, then are activated.  Behind
    functions of floats it has their errors alone."""
    expected = conv_reference(wide(images), wide(filters), wide(bias), *args, **options)
    assert_equal_behind(activation, result, expected)


def assert_equal_behind(activation, result, sums):
    """`result` is the activation of exact sums."""
    assert result.shape == sums.shape
    if activation not in CLAMPS:
        expected = activation_reference(sums, activation)  # whose own digits are float64's
        eps = max(eps_of(result.dtype), float(np.finfo(np.float64).eps))
        error = np.abs(wide(result) - expected)
        assert (error <= 4 * eps * (np.abs(sums) + 1)).all()
        return
    if result.dtype.kind in "iu":
        sums = sums.astype(np.int64)
    expected = sums.astype(result.dtype)
    if activation is not None:
        expected = np.clip(expected, 0, 6 if activation == "relu6" else None)
    np.testing.assert_array_equal(result, expected)


def assert_within_bound(
    result, images, filters, bias=None, *args, residual=None, factor=1, **options
):
    """`result` differs from the oracle's by no more than `error_bound`; return by how much."""
    arrays = wide(images), wide(filters), wide(bias)
    expected = conv_reference(*arrays, *args, residual=residual, **options)
    assert result.shape == expected.shape
    error = np.abs(result.astype(expected.dtype) - expected).max(initial=0.0)
    filter_format = options.get("filter_format", "HWIO")
    bound = error_bound(images, filters, bias, result.dtype, residual, filter_format)
    assert error <= factor * bound_behind(options.get("activation"), bound, result.dtype)
    return float(error)


def assert_within_bound_of_any_data(result, images, filters, bias, *args, residual=None, **options):
    """`result`, or each of several, differs from the sum, computed with more digits, by no more
    than `bound_of_any_data`, at every element."""
    more = None if residual is None else precise(residual)
    arrays = precise(images), precise(filters), None if bias is None else precise(bias)
    expected = conv_reference(*arrays, *args, residual=more, **options)
    bound = bound_of_any_data(
        images, filters, bias, *args, residual=residual, dtype=result.dtype, **options
    )
    error = np.abs(precise(result) - expected)
    assert (error <= bound).all(), f"{(error / bound).max()} times the bound"


def assert_winograd(result, images, filters, bias=None, *args, algorithm="winograd", **options):
    """`result` is within the bound of algorithm "winograd" for any data, and within four times that
    of "auto", for data such as the tests draw."""
    residual = options.get("residual")
    arrays = images, filters, bias
    error = assert_within_bound(result, *arrays, *args, factor=4, **options)
    assert algorithm == "winograd"
    filter_format = options.get("filter_format", "HWIO")
    bound = winograd_bound(*arrays, result.dtype, residual, filter_format)
    assert error <= bound_behind(options.get("activation"), bound, result.dtype)
