"""What is timed: what the benchmark asks of a layer and of a filter alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Operation(Protocol):
    """A layer (`problem.Layer`) or a filter (`filtering.Filtering`), without values."""

    @property
    def name(self) -> str:
        """Its name on a board, if it stands on one."""

    @property
    def text(self) -> str:
        """The line that says it."""

    @property
    def title(self) -> str:
        """Its name, or else its text."""

    @property
    def asked(self) -> str:
        """What peers are asked for: the word of an operator or of a function, and what else they
        must know how to do."""

    @property
    def computed_in(self) -> str:
        """The floats of the multiply-adds that it is held against."""

    @property
    def rounding(self) -> float:
        """By how much of itself a result is rounded that is narrower than sums; else 0."""

    @property
    def flops(self) -> int:
        """Floating-point operations; a multiply-add is two."""

    @property
    def n_bytes(self) -> int:
        """Bytes that must be read or written."""

    def with_dtype(self, dtype: str) -> Operation:
        """The same of arrays of a dtype."""

    def draw(self) -> dict[str, NDArray[Any]]:
        """Arrays that it is given."""

    def own(
        self, arrays: Mapping[str, NDArray[Any]]
    ) -> tuple[Callable[[], Any], Callable[[Any], NDArray[Any]]]:
        """What a user of the library calls again and again, and what makes of its result an array
        as `exact` has it."""

    def exact(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """What is right, by the active implementation."""

    def error_bound(self, arrays: Mapping[str, NDArray[Any]]) -> float:
        """By how much elements of the result may differ from that."""

    def as_json(self) -> dict[str, Any]:
        """Its fields, and what follows from them."""
