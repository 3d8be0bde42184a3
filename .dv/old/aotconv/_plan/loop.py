"""Plain loops for the dtypes that have no vector kernel (`_kernels.loop`)."""

from __future__ import annotations

from collections.abc import Sequence

from .family import Family, Layer, Panels, Work, row_tasks
from .geometry import Geometry
from .registry import Row


def choose(rows: Sequence[Row], layer: Layer) -> Row | None:
    return rows[0] if rows else None


def blocking(work: Work) -> dict[str, int]:
    return {"tasks": row_tasks(work.geometry, 1)}


def packing(row: Row, layer: Layer) -> Panels:
    """A zero, then the rows."""
    return Panels(1, layer.n_filters, layer.n_filters)


def cost(row: Row, g: Geometry) -> float:
    """A product is an element's, not a vector's, and its addresses are computed."""
    return g.pixels * g.o * (12.0 * g.products + 20)


LOOP = Family("loop", choose, blocking, packing, cost, activates=False)
