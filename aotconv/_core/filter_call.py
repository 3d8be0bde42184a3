"""Calls of filters: arguments are checked, and weights made of them, as far as none are kept that
said the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from . import check_ndimage, frozen
from .asked import Asked
from .filters import Filter, result_of
from .kept import keep
from .repeat import Expected, KnownCalls
from .steps import Terms

_filters: dict[tuple, Filter] = {}  # by function, rank and dtype of arrays, and frozen arguments


class FilterFunction:
    """A function of `ndimage`.

    Parameters
    ----------
    terms : callable
        Makes the filter's terms of a rank, and of arguments as the user gave them.
    is_magnitude, joined
        As of `Filter`; `joined` is made alike.
    """

    def __init__(
        self,
        terms: Callable[..., Terms],
        is_magnitude: bool = False,
        joined: Callable[..., Terms] | None = None,
    ) -> None:
        self._terms, self._is_magnitude, self._joined = terms, is_magnitude, joined
        self._known = KnownCalls()

    def __call__(self, input, output, arguments: tuple, asked: tuple, mask=None) -> np.ndarray:
        """The result of arguments as the user gave them; `asked` are those of `Asked`."""
        every = *arguments, *asked
        if mask is None:
            result = self._known.repeated(input, output, (*every, self))
            if result is not None:
                return result
        array = check_ndimage.array("input", input)
        said = frozen.arguments(every)
        filter = None if said is None else _filters.get((self, array.ndim, array.dtype, said))
        if filter is None:
            filter, said = self._new(array, said is not None, arguments, asked)
        hidden = check_ndimage.mask(mask, array.shape)
        given, dtype = result_of(output, array, filter.is_complex(array.dtype))
        result = filter.apply(array, given, dtype, hidden)
        # Compiled code takes `output` as an array or None, not as a dtype.
        if said is not None and mask is None and (output is None or given is not None):
            call = filter.last_known(array.dtype, dtype, lambda: self._others(every, said))
            self._known.add(output, every, call)
        return result if given is None else output

    def _new(
        self, array: np.ndarray, may_keep: bool, arguments: tuple, asked: tuple
    ) -> tuple[Filter, tuple | None]:
        """A new filter for arrays like this one, and what the arguments that it was made of say;
        None: it is not kept."""
        if may_keep:
            # The user's may be changed meanwhile, and may have been since they were looked at.
            arguments, asked = copy.deepcopy((arguments, asked))
        options = Asked.of(array.dtype.kind == "c", *asked)
        terms = self._terms(array.ndim, *arguments)
        joined = None if self._joined is None else self._joined(array.ndim, *arguments)
        filter = Filter(terms, options, self._is_magnitude, joined)
        said = frozen.arguments((*arguments, *asked)) if may_keep else None
        if said is not None:
            keep(_filters, (self, array.ndim, array.dtype, said), filter)
        return filter, said

    def _others(self, arguments: tuple, said: tuple) -> list[Any] | None:
        """What a call depends on beside arrays, as `know` wants it: arguments, and that it is of
        this function; None where others may change one."""
        others: list[Any] = []
        for argument, kind, part in zip(arguments, *said, strict=True):
            if kind is np.ndarray:
                others.append(Expected.holding(np.ndarray(*part)))
            elif frozen.never_changes(argument):
                others.append(argument)
            else:
                return None
        return [*others, self]
