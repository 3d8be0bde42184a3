"""Cliffs: sizes that take far longer than the sizes beside them.

A case is held against its sweep by two laws, each with a factor of what it loses:

- padding: any larger case does its work and more, and could compute it with zeros filled in or
  pixels left out, so it should not take longer than one.  The factor is its time over the least
  time of a larger case.
- growth: from the next smaller cases on, time should not grow by more than the work.  The factor is
  its time for a product over the least that one of them took.

No case loses more than it takes beside its bound, if one is given: a copy of what it reads and
writes.

What is natural breaks neither law by much.  Few channels make little use of what is loaded, and a
call has its fixed cost, but the next larger case then has both as well.  Filters beyond a whole
vector cost another vector, which is growth by two at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CLIFF = 3.0  # a loss that deep is no law of nature
Sizes = tuple[int, ...]  # of a case along the axes of its sweep; larger is more work


class Loss(NamedTuple):
    """How many times slower a case is than another one says it could be."""

    factor: float
    law: str  # "padding" or "growth"
    than: int  # the other case


def losses(
    sizes: Sequence[Sizes],
    work: Sequence[float],
    seconds: Sequence[float],
    bounds: Sequence[float] | None = None,
) -> list[Loss | None]:
    """The greatest loss of each case, by either law; None for a case with nothing beside it.

    Parameters
    ----------
    sizes : sequence of tuple of int
        Of the cases of one sweep.  A case is larger than another one if it is along some axes and
        is smaller along none.
    work : sequence of float
        Their products, or any multiple of them.
    seconds : sequence of float
    bounds : sequence of float, optional
        Seconds that no case is expected to fall below, whatever the others take.
    """
    points, products, times = map(np.array, (sizes, work, seconds))
    least = times / np.maximum(1e-12, np.zeros(len(times)) if bounds is None else bounds)
    differs = (points[:, None] != points).any(axis=2)
    larger = (points[:, None] >= points).all(axis=2) & differs  # [i, j]: i is larger than j
    between = larger.astype(np.float32) @ larger.astype(np.float32)  # how many cases
    ratios = times[:, None] / times
    grown = ratios * products / products[:, None]
    laws = {
        "padding": np.where(larger.T, np.minimum(ratios, least[:, None]), 0),
        "growth": np.where(larger & (between == 0), np.minimum(grown, least[:, None]), 0),
    }
    found: list[Loss | None] = []
    for index in range(len(sizes)):
        each = []
        for law, factors in laws.items():
            than = int(factors[index].argmax())
            each.append(Loss(float(factors[index, than]), law, than))
        loss = max(each)
        found.append(loss if loss.factor else None)
    return found
