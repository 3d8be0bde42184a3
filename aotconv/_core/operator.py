"""An operator: what computes results from arrays, and what it decided for the layouts that it has
met.

All that a call depends on but values and addresses is in its arrays' layouts.  For layouts that are
new, an operator decides once, before anything is touched: whether the call is right, and the one
function that computes it.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .._plan.geometry import RANK, Geometry
from . import check, fitting, ladder, threads
from .copies import convert
from .cures import Given
from .jobs import Layouts
from .kept import keep
from .layout import Layout, key_of
from .pad import Around
from .repeat import Known, know
from .run import Compute, Whole

KNOWN_THREADS = (None, 1)  # numbers of them with which compiled code knows calls


class Decision:
    """What follows from the layouts of a call's arrays.

    Attributes
    ----------
    layouts : Layouts
        Of the arrays as users have them; of a result that is to be allocated, too.
    microseconds : float
        On one thread, roughly.
    compute : callable
    out_overlaps_itself : bool
    """

    def __init__(self, layouts: Layouts, microseconds: float, compute: Compute) -> None:
        self.layouts, self.microseconds, self.compute = layouts, microseconds, compute
        self.out_overlaps_itself = fitting.may_overlap_itself(layouts.out)
        # By the number of threads: how often the call was made; the call of a layer, and of a
        # function, with all that this was given, once it was made twice.
        self._times: dict[int | None, int] = {}
        self._known: dict[int | None, Known | None] = {}
        self._of_function: dict[int | None, Known | None] = {}

    def made(self, n_threads: int | None) -> Known | None:
        """The call with so many threads, which was made now, if compiled code is to know it: that
        begins at its second time, for most calls are made once."""
        times = self._times[n_threads] = self._times.get(n_threads, 0) + 1
        if times == 2:
            self._known[n_threads] = self._know(n_threads)
        return self._known.get(n_threads)

    def of_function(
        self, n_threads: int | None, others: Callable[[], Sequence[Any] | None]
    ) -> Known | None:
        """The same of a function with `others` beside images and out; only with the first ones,
        where several mean the same."""
        if self._known.get(n_threads) is None:
            return None
        if n_threads not in self._of_function:
            given = others()
            self._of_function[n_threads] = None if given is None else self._know(n_threads, given)
        return self._of_function[n_threads]

    def _know(self, n_threads: int | None, others: Sequence[Any] = ()) -> Known | None:
        images, out, third = self.layouts
        if third is not None or self.out_overlaps_itself:
            return None
        is_alone = _is_alone(n_threads, self.microseconds)
        jobs = self.compute.jobs if is_alone and isinstance(self.compute, Whole) else None
        compute = functools.partial(_compute, self.compute, self.microseconds, n_threads)
        return know(jobs, compute, images, out, others)


def _compute(
    compute: Compute, microseconds: float, n_threads: int | None, images, out, third
) -> None:
    """Compute on at most so many threads; None: on as many as it is worth."""
    # Here, not in `share`: a tiny call takes 3 microseconds, another function's 0.1.
    if _is_alone(n_threads, microseconds):
        compute(images, out, third, 1)
    elif n_threads is None:
        threads.share(compute, microseconds, images, out, third)
    else:
        compute(images, out, third, threads.at_most(n_threads))


def _is_alone(n_threads: int | None, microseconds: float) -> bool:
    """Whether the calling thread computes alone."""
    return n_threads == 1 or (n_threads is None and microseconds < threads.WORTH_SHARING)


def _way(n_threads: int | None) -> Any:
    """How a call computes: what `use` says, and the number of threads."""
    return ladder.forced() if n_threads is None else (ladder.forced(), n_threads)


class Operator(ABC):
    """What computes a result from images, and from a third array beside them where it takes one:
    what that is called and means is the operator's.
    """

    first, third = "images", "residual"  # what users call the arrays

    def __init__(self) -> None:
        self._decisions: dict[tuple, Decision] = {}
        # By `_way`: what was decided for the last call, and what repeats that if it is known.
        self._last: dict[Any, Decision] = {}
        self._repeat: dict[Any, Callable[..., np.ndarray | None]] = {}

    @abstractmethod
    def _decide(self, images: Layout, out: Layout | None, third: Layout | None) -> Decision:
        """Check all that depends on layouts, and decide what computes."""

    def repeated(self, images, out, n_threads: int | None = None) -> np.ndarray | None:
        """The result of a call like the last one, if it is one: compiled code looks at all that
        the result depends on."""
        # For most `_way` is not called: that takes a fiftieth of a tiny call.
        way = ladder.forced() if n_threads is None else _way(n_threads)
        repeat = self._repeat.get(way)
        return None if repeat is None else repeat(images, out)

    def apply(self, images, out, third, n_threads) -> np.ndarray:
        """The result of arguments as the user gave them."""
        if n_threads is not None:
            n_threads = check.integer("threads", n_threads, 1)
        images = check.array(self.first, images)
        result = None if out is None else check.out_array(out)
        third = None if third is None else check.array(self.third, third)
        key = (
            ladder.active().name,
            key_of(images),
            None if result is None else key_of(result),
            None if third is None else key_of(third),
        )
        decision = self._decisions.get(key) or self._decided(key)

        if result is None:
            new = decision.layouts.out
            out = result = np.empty(new.shape, new.dtype)
        elif (
            # Kernels compute some elements twice, so a residual is no exception.
            np.may_share_memory(result, images)
            or (third is not None and np.may_share_memory(result, third))
            or decision.out_overlaps_itself
        ):
            convert(self.apply(images, None, third, n_threads), result)
            return out
        _compute(decision.compute, decision.microseconds, n_threads, images, result, third)
        if n_threads in KNOWN_THREADS:
            way, known = _way(n_threads), decision.made(n_threads)
            self._last[way] = decision
            if known is not None:
                self._repeat[way] = known.repeat
        return out

    def _decided(self, key: tuple) -> Decision:
        """What is decided for a key; kept."""
        images, out, third = (None if each is None else Layout(*each) for each in key[1:])
        assert images is not None
        return keep(self._decisions, key, self._decide(images, out, third))

    def last_known(
        self, others: Callable[[], Sequence[Any] | None], n_threads: int | None = None
    ) -> Known | None:
        """The last call with so many threads, of a function that was given `others` beside images
        and out, once compiled code knows it."""
        decision = self._last.get(_way(n_threads))
        return None if decision is None else decision.of_function(n_threads, others)


class Spatial(Operator):
    """An operator of images of so many spatial axes, whose options have a data format."""

    _takes_filters = True  # and images beside them; of some operators users give but the shapes
    _bias: np.ndarray | None = None  # of those that have one

    def __init__(self, rank: int, options: Any) -> None:
        super().__init__()
        self._rank, self._options = rank, options

    @property
    def rank(self) -> int:
        """How many spatial axes images have."""
        return self._rank

    @property
    def options(self) -> Any:
        return self._options

    def _channels_first(self) -> bool:
        return not self._options.data_format.endswith("C")

    def _channels_last(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of images with their channels last."""
        sizes = list(shape)
        if self._channels_first():
            sizes.append(sizes.pop(-self._rank - 1))
        return tuple(sizes)

    def _check_axes(self, shape: tuple[int, ...]) -> None:
        """Refuse what has too few axes, in the words of the data format."""
        fitting.images_axes(shape, self._rank, self.first, self._channels_first())

    def _convolution(self, images: tuple[int, ...], filters: tuple[int, ...]) -> Geometry:
        """The sizes of a convolution under the options, of images and filters (.., C / groups, O)
        of such shapes; leading axes taken as one."""
        o, sizes = self._options, self._channels_last(images)
        steps, given = (o.strides, o.padding, o.dilations, o.groups), self._given(images, filters)
        return fitting.geometry(sizes, filters, *steps, borders=o.borders, given=given)

    def _given(
        self, images: tuple[int, ...], filters: tuple[int, ...], transposed: bool = False
    ) -> Given:
        """Images, and filters (.., I, O), of such shapes as the user gave them."""
        o, bias = self._options, None if self._bias is None else self._bias.size
        shapes = images, check.filters_in(o.filter_format, filters)
        formats, more = (o.data_format, o.filter_format), (transposed, self._takes_filters)
        return Given(*shapes, *formats, o.groups, bias, *more)

    def _around(self, geometry: Geometry) -> Around:
        """The borders of images."""
        return Around(geometry.axes[RANK - self._rank :], -1 if self._channels_first() else -2)

    def _result_shape(self, geometry: Geometry, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of what the geometry makes of images of a shape."""
        outs = (axis.out for axis in geometry.axes[RANK - self._rank :])
        return self._shaped(shape, outs, geometry.o)

    def _shaped(
        self, images: tuple[int, ...], spatial: Iterable[int], channels: int
    ) -> tuple[int, ...]:
        """The shape of a result for images of a shape."""
        leading = images[: len(images) - self._rank - 1]
        if self._channels_first():
            return (*leading, channels, *spatial)
        return (*leading, *spatial, channels)
