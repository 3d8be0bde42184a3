"""How results are judged: exactly where arithmetic is exact, else by the derived bound."""

from __future__ import annotations

import numpy as np

from aotconv.reference import conv2d_reference


def error_bound(images, filters, bias, dtype, residual=None) -> float:
    """The error that each output may have: eps * (K + 1) * max|x| * max|w| * 2.

    K products and a bias are summed, and with a residual one term more; where either is larger than
    any product it takes the product's place.  float16 is computed in float32 and rounded once more.
    """
    terms = int(np.prod(filters.shape[:3])) + (1 if residual is None else 2)
    largest = np.abs(images).max(initial=0.0) * np.abs(filters).max(initial=0.0)
    for more in (bias, residual):
        if more is not None:
            largest = max(largest, np.abs(more).max(initial=0.0))
    compute = np.float32 if dtype == np.float16 else dtype
    bound = np.finfo(compute).eps * terms * float(largest) * 2
    if dtype == np.float16:
        bound += np.finfo(np.float16).eps * terms * float(largest)
    return float(bound)


def wide(array):
    """float64 or complex128 of the same values."""
    if array is None:
        return None
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def assert_exact(result, images, filters, bias=None, *args, activation=None, **options):
    """`result` equals the oracle's, element for element; integers wrap, then are activated."""
    expected = conv2d_reference(wide(images), wide(filters), wide(bias), *args, **options)
    assert result.shape == expected.shape
    if result.dtype.kind in "iu":
        expected = expected.astype(np.int64)
    expected = expected.astype(result.dtype)
    if activation is not None:
        expected = np.clip(expected, 0, 6 if activation == "relu6" else None)
    np.testing.assert_array_equal(result, expected)


def assert_within_bound(result, images, filters, bias=None, *args, residual=None, **options):
    """`result` differs from the oracle's by no more than `error_bound`."""
    arrays = wide(images), wide(filters), wide(bias)
    expected = conv2d_reference(*arrays, *args, residual=residual, **options)
    assert result.shape == expected.shape
    error = np.abs(result.astype(expected.dtype) - expected).max(initial=0.0)
    assert error <= error_bound(images, filters, bias, result.dtype, residual)
