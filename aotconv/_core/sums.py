"""What correlations with windows sum: in which dtype and order, and whether the order shows."""

from __future__ import annotations

from math import inf, prod
from typing import NamedTuple

import numpy as np

from .._plan.elements import HALVES, name_of
from .._plan.geometry import RANK
from .._plan.taps import MEAN, WINDOW
from .dtypes import EXACT, largest
from .window import Window

LARGEST_JOINED = 9  # taps, of which all are read where arrays are
WRAPS = 2.0**31  # integers that C makes of floats below it wrap


class Sums(NamedTuple):
    """The sums of windows, one after the other, of real numbers; hashable.

    Attributes
    ----------
    windows : tuple of Window
        Of arrays of one rank.
    order : {WINDOW, LINE, MEAN}
        What is summed, in which order (see `_plan.taps.listed`).
    dtype : dtype
        float32 or float64, in which floats are summed; integers are in float64 wherever that shows,
        but bytes that are clipped in float32 unless they are `as_listed`.
    as_listed : bool
        Whether floats, too, are summed in the very order; else in one that is faster.
    saturate : bool
        Whether integers are rounded to nearest even and clipped once, behind the last window,
        instead of truncated behind each.
    result : dtype
        Of what sums become behind each window.
    """

    windows: tuple[Window, ...]
    order: str
    dtype: np.dtype
    as_listed: bool
    saturate: bool
    result: np.dtype

    @property
    def clips(self) -> bool:
        return self.saturate and self.result.kind in "iu"

    @property
    def truncates(self) -> bool:
        return self.result.kind in "iu" and not self.saturate

    @property
    def is_long(self) -> bool:
        """Whether results are clipped to more bits than float32 is clipped to."""
        return self.clips and self.result.itemsize > 4

    def reach(self, images: np.dtype) -> float:
        """The largest sum of whole numbers; infinity where sums may be other numbers."""
        if images.kind not in "iu" or not all(window.is_whole for window in self.windows):
            return inf
        values = max(largest(images), *(abs(window.cval) for window in self.windows))
        return values * prod(window.reach for window in self.windows)

    def order_shows(self, images: np.dtype) -> bool:
        """Whether the order of sums shows in results."""
        reach, is_mean = self.reach(images), self.order == MEAN
        if reach < WRAPS and not is_mean:
            return False
        if self.as_listed or self.truncates:
            return True
        if images.kind not in "iu":
            return self.order == WINDOW and any(window.has_gaps for window in self.windows)
        if is_mean:  # of exact sums, whose quotients are so once they are rounded
            return not (self.clips and 2 * reach < EXACT["float32"] and not self.is_long)
        return not self.clips and self.dtype == np.float64

    def computed(self, images: np.dtype) -> str:
        """The dtype in which sums are formed."""
        reach, is_mean = self.reach(images), self.order == MEAN
        if self.is_long:
            return "float64"
        if reach < WRAPS and not is_mean:
            return "float32" if reach < EXACT["float32"] else "float64"
        if self.clips and images.kind in "iu":
            is_short = is_mean or images.itemsize == 1
            return "float32" if is_short and not self.order_shows(images) else "float64"
        return "float64" if self.truncates else self.dtype.name

    def joined(self, images: np.dtype) -> Sums | None:
        """The same of one window, which has all products of two; None where it is larger than they,
        or the order of sums shows."""
        size = prod(len(window.values) // 8 for window in self.windows)
        is_mean = self.order == MEAN
        if len(self.windows) != 2 or size > LARGEST_JOINED or is_mean or self.order_shows(images):
            return None
        return self._replace(windows=(self.windows[0].joined(self.windows[1]),))

    def in_one_go(self, images: np.dtype) -> bool:
        """Whether what a box of outputs needs may go through all windows at once."""
        if len(self.windows) == 1:
            return True
        if len(self.windows) > 2:
            return False
        first, last = self.windows
        if any(a > 1 and b > 1 for a, b in zip(first.shape, last.shape, strict=True)):
            return False
        if "constant" in last.modes and (last.cval or not first.is_finite):
            return False  # the first would make another value of what is outside
        return self._hold_between(first, images)

    def _hold_between(self, window: Window, images: np.dtype) -> bool:
        """Whether an array between the windows would hold what one makes, in the dtype of sums; or
        its roundings are asked for by nobody."""
        shows = self.order_shows(images)
        if not self.truncates:
            return self.clips or self.result == self.dtype or not (shows or self.as_listed)
        if not shows and self.result != np.uint64:
            return True  # integers of 32 bits wrap, wherever, and int64 holds all sums that do
        if images.kind not in "iu" or not window.is_finite:
            return False
        # Truncated, they must need no more.
        ends, fits = np.iinfo(images), np.iinfo(self.result)
        low, high = window.between(ends.min, ends.max)
        return fits.min <= low and high < fits.max + 1

    def in_turn(self, images: np.dtype, start: int) -> tuple[Sums, Sums]:
        """Those of the windows before a place, and of the others, of what these gave."""
        between = self.result
        if self.clips or name_of(between) in HALVES:
            between = self.dtype  # which is rounded once
        both = self._replace(as_listed=self.order_shows(images))
        first = both._replace(windows=self.windows[:start], saturate=False, result=between)
        return first, both._replace(windows=self.windows[start:])

    def are_of_planes(self, images: np.dtype) -> bool:
        """Whether the window has more axes than kernels know, and may be summed plane by plane."""
        (window,) = self.windows
        if sum(size > 1 for size in window.shape) <= RANK:
            return False
        has_order = images.kind in "iu" or self.as_listed or self.truncates
        return self.reach(images) < EXACT["float64"] or not (has_order and self.order_shows(images))
