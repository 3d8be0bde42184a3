"""Correlation of an array of any rank under a window: what all filters of `ndimage` are made of."""

from __future__ import annotations

import numpy as np

from .._plan.orders import ORDERS
from . import fallback_correlation


def correlate(
    array: np.ndarray,
    weights: np.ndarray,
    out: np.ndarray,
    *,
    modes: tuple[str, ...],
    cval: float,
    before: tuple[int, ...],
    order: str,
    sums: np.dtype,
    saturate: bool,
    threads: int | None,
) -> None:
    """Correlate a real array into `out`, of its shape, which shares no memory with it.

    Parameters
    ----------
    weights : ndarray of float64
        Of the array's rank, of size 1 along axes that are not filtered.
    modes : tuple of str
        For each axis what is around the array, one of `_plan.borders.BORDERS`; `cval` is the value
        of "constant".
    before : tuple of int
        For each axis how many elements a window reaches before its place.
    order : str
        One of ORDERS, in which an element's products are summed.
    sums : dtype
        float32 or float64, which products are summed in.
    saturate : bool
        Whether integers are rounded and clipped, where they would be truncated and wrap.
    threads : int or None
        At most so many; None: as many as it is worth.  NumPy takes one.
    """
    assert order in ORDERS
    fallback_correlation.correlate(
        array,
        weights,
        out,
        modes=modes,
        cval=cval,
        before=before,
        order=order,
        sums=sums,
        saturate=saturate,
    )
