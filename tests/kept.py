"""What the package keeps from call to call, for tests that want it made anew."""

from __future__ import annotations

from aotconv import conv, gradients, ndimage, transposed
from aotconv._core import (
    call,
    correlation,
    elementwise,
    filter_call,
    gradient,
    one_channel,
    pool,
    savitzky_golay,
)

KEPT = (
    call._small,
    call._large,
    one_channel._layers,
    one_channel._last,
    filter_call._filters,
    elementwise._calls,
)
MADE = pool.pools_of, gradient._operator, elementwise._call, correlation.correlation_of
DOORS = conv, gradients, transposed, ndimage, savitzky_golay


def forget() -> None:
    """Nothing is kept that was made, decided or known for earlier calls of functions."""
    for kept in KEPT:
        kept.clear()
    for made in MADE:
        made.cache_clear()
    for door in DOORS:
        for function in vars(door).values():
            if isinstance(function, call.Function | filter_call.FilterFunction):
                function._known.clear()
