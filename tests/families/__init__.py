"""What the tests know of each family of kernels: the sizes that its rows serve, the layers that cut
their work, and the limits by which small layers are cut, too.

A family is one value `FAMILY` in the file of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from aotconv._plan.registry import Row
from aotconv._plan.select import FAMILIES as PLANNED
from aotconv._plan.select import family_of

Pair = tuple[int, int]
Sizes = tuple[int, ...]  # of spatial axes
PRODUCTS = 1 << 18  # of a case of a sweep, at most: larger ones would take the time of many


class Layer(NamedTuple):
    """Shapes of images and filters, of two spatial axes or three, and the number of groups."""

    images: tuple[int, ...]
    filters: tuple[int, ...]
    groups: int = 1


def around_panels(row: Row) -> Iterable[int]:
    """Numbers of filters around one and two vectors, and panels."""
    sizes = {1, row.lanes, row.channels, 2 * row.channels}
    return {max(1, size + more) for size in sizes for more in (-1, 0, 1)}


def any_window(row: Row, window: Pair, strides: Pair, dilations: Pair) -> tuple[Pair, Pair, Pair]:
    return window, strides, dilations


def up_to_two_vectors(row: Row) -> Sequence[int]:
    return range(1, 2 * row.lanes + 2)


class Family(NamedTuple):
    """What the tests know of a family.

    Attributes
    ----------
    cuts : callable
        ``cuts(row)``: layers whose work is cut, each in another way.
    layers : callable
        ``layers(row)``: layers that fill its tiles well and badly, of strides of 1.
    limits : dict
        Of its module in `aotconv._plan`: the values that a constant may have.
    groups : str
        "any", "one", "all" (channelwise) or "shared": small ones, several of which share a vector.
    filters : callable
        ``filters(row)``: numbers of them around the tails of tiles.
    suited : callable
        ``suited(row, window, strides, dilations)``: those of planes that come nearest and that it
        serves.
    channels, most_filters, windows : callable
        ``channels(row)``: numbers of channels that it serves, from 1 to two vectors and one more;
        of filters, and of planes, rows or columns of windows.
    products : callable
        ``products(row)``: most of them in a case of a sweep, in an element or in all.
    """

    cuts: Callable[[Row], list[Layer]]
    layers: Callable[[Row], list[Layer]]
    limits: dict[str, tuple[int, ...]] = {}  # noqa: RUF012 (nobody writes to it)
    groups: str = "any"
    filters: Callable[[Row], Iterable[int]] = around_panels
    suited: Callable[..., tuple[Pair, Pair, Pair]] = any_window
    channels: Callable[[Row], Sequence[int]] = up_to_two_vectors
    most_filters: Callable[[Row], Sequence[int]] = up_to_two_vectors
    windows: Callable[[Row], Sequence[int]] = up_to_two_vectors
    products: Callable[[Row], int] = lambda row: PRODUCTS


# Families that compute none, or not by themselves.
NO_LAYERS = {name for name, family in PLANNED.items() if not family.computes_layers}

# A family of the plan that has no file here is an ImportError that names it.
FAMILIES: dict[str, Family] = {
    name: import_module(f"families.{name}").FAMILY for name in PLANNED if name not in NO_LAYERS
}


def family(row: Row) -> Family:
    return FAMILIES[row.family]


def groups_of(row: Row) -> str:
    return "shared" if row.permuted else family(row).groups


def channelwise(row: Row) -> bool:
    return groups_of(row) == "all"


def tails(row: Row) -> list[int]:
    """Numbers of filters around the tails of a row's tiles, as far as it serves them."""
    return sorted(set(family(row).filters(row)))


def grouping(row: Row, n_filters: int, group_channels: int = 3) -> tuple[int, int, int]:
    """Groups, channels of a group and filters: those given, as near as the row serves."""
    if channelwise(row):
        return n_filters, 1, n_filters
    if groups_of(row) == "shared":
        return n_filters, 2, n_filters
    return 1, group_channels, n_filters


def suited(
    row: Row, window: Sizes, strides: Sizes = (), dilations: Sizes = ()
) -> tuple[Sizes, Sizes, Sizes]:
    """The window, strides and dilations that come nearest and that the row serves; of two axes, or
    of three."""
    ones = (1,) * len(window)
    asked = window, strides or ones, dilations or ones
    if not family_of(row).planes:
        asked = ones[:-2] + window[-2:], *asked[1:]
    inner = family(row).suited(row, *(sizes[-2:] for sizes in asked))
    window, strides, dilations = (
        sizes[:-2] + served for sizes, served in zip(asked, inner, strict=True)
    )
    return window, strides, dilations


def cuts(row: Row) -> list[Layer]:
    return family(row).cuts(row)


def layers(row: Row) -> list[Layer]:
    return family(row).layers(row)


def served_sizes(row: Row) -> dict[str, Sequence[int]]:
    """The sizes that a row serves of channels, filters, width, and window: from 1 to two vectors
    and one more.  Where channels and filters are the same number, the channels stand for both."""
    known = family(row)
    axes: dict[str, Any] = {
        "c": known.channels(row),
        "o": known.most_filters(row),
        "w": up_to_two_vectors(row),
    }
    if channelwise(row):
        del axes["o"]
    for axis, name in enumerate(("kd", "kh", "kw")):
        found = {suited(row, (size,) * 3)[0][axis] for size in up_to_two_vectors(row)}
        axes[name] = sorted(size for size in found if size <= max(known.windows(row)))
    return axes
