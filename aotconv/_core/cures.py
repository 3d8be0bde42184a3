"""What to say of arrays that do not fit, where it can be guessed: how they would.

A cure is a phrase that names arguments of the called function; making them so makes the channels
agree.  Of shapes that can be read in several ways, those count whose windows are square.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from .check import DATA_FORMATS, FILTER_FORMATS, filter_parts, filters_in

Shape: TypeAlias = tuple[int, ...]

FEW_CHANNELS = 4  # as colours are: more may be columns of an image without channels


class Given(NamedTuple):
    """Arrays as the user gave them, whose channels do not agree.

    Attributes
    ----------
    images, filters : tuple of int
        Their shapes.
    data_format, filter_format : str
        By letters, as "NHWC" and "HWIO".
    groups : int
    bias : int or None
        Values of the bias, if there is one.
    transposed : bool
        Whether the images' channels belong to the last axis of filters (.., I, O), and not to the
        one before, of which each group has as many.
    takes_filters : bool
        Whether the user gave these arrays, and not but their shapes.
    """

    images: Shape
    filters: Shape
    data_format: str
    filter_format: str
    groups: int
    bias: int | None
    transposed: bool = False
    takes_filters: bool = True

    @classmethod
    def of(cls, images: Shape, filters: Shape, groups: int, transposed: bool = False) -> Given:
        """Arrays whose channels are last."""
        rank = len(filters) - 2
        formats = DATA_FORMATS[rank][0], FILTER_FORMATS[rank][0]
        return cls(tuple(images), tuple(filters), *formats, groups, None, transposed)

    @property
    def rank(self) -> int:
        return len(self.filter_format) - 2

    def channels(self, data_format: str) -> int:
        """Of the images, in a format."""
        return self.images[-1 if data_format.endswith("C") else -self.rank - 1]

    def expected(self, filter_format: str) -> int | None:
        """The channels of images that filters in a format want; None where these are no filters, or
        not of the bias."""
        _, inputs, outputs = filter_parts(self.filters, filter_format)
        if outputs % self.groups:
            return None
        inputs *= self.groups
        wanted, given = (outputs, inputs) if self.transposed else (inputs, outputs)
        return wanted if self.bias in (None, given) else None


def other_of(formats: tuple[str, str], one: str) -> str:
    """The other one of two."""
    last, first = formats
    return first if one == last else last


def is_plausible(filters: Shape, filter_format: str) -> bool:
    """Whether filters may be in that format, rather than the other one."""
    other = other_of(FILTER_FORMATS[len(filters) - 2], filter_format)
    kernel, others = (filter_parts(filters, each)[0] for each in (filter_format, other))
    return len(set(kernel)) == 1 or len(set(others)) > 1


def of_formats(given: Given) -> str:
    """The formats in which channels would agree, those with the fewest changes first."""
    found = []
    filter_formats = given.filter_format, other_of(FILTER_FORMATS[given.rank], given.filter_format)
    data_formats = given.data_format, other_of(DATA_FORMATS[given.rank], given.data_format)
    for filter_format in filter_formats:
        if not is_plausible(given.filters, filter_format):
            continue
        for data_format in data_formats:
            if given.expected(filter_format) == given.channels(data_format):
                changes = {"filter_format": filter_format, "data_format": data_format}
                said = (f"{k}={v!r}" for k, v in changes.items() if v != getattr(given, k))
                found.append(" and ".join(said))
    return f"they would with {', or with '.join(found)}" if found else ""


def of_groups(given: Given) -> str:
    """How filters of one channel filter each channel of images, and images without channels get
    an axis for one."""
    _, inputs, outputs = filter_parts(given.filters, given.filter_format)
    channels, cures = given.channels(given.data_format), []
    if inputs != 1 or given.groups != 1 or given.transposed or channels < 2:
        return ""
    if channels > FEW_CHANNELS:
        axes = [":"] * (len(given.images) - given.rank) + ["None"]
        index = "..., None" if given.data_format.endswith("C") else ", ".join(axes)
        cures.append(f"images without channels are images[{index}]")
    if outputs and outputs % channels == 0:
        cures.append(f"each channel has filters of its own with groups={channels}")
    elif given.takes_filters:
        last = given.filter_format.endswith("IO")
        times = channels if last else (channels, *[1] * (given.rank + 1))
        tiled = [f"groups={channels}", f"filters=np.tile(filters, {times})"]
        if given.bias is not None:
            tiled.append(f"bias=np.tile(bias, {channels})")
        *some, last_one = tiled
        cures.append(
            f"to filter each of {channels} channels alike, say {', '.join(some)} and {last_one}"
        )
    return "; ".join(cures)


def of_channels(given: Given) -> str:
    """What to say behind a message that channels do not agree."""
    kernel, *others = filter_parts(given.filters, given.filter_format)
    cures = [of_formats(given), of_groups(given)]
    if others == [1, 1] and max(kernel) > 1:  # one window, rather than a product with a matrix
        cures.reverse()
    cure = next(filter(None, cures), "")
    return f"; {cure}" if cure else ""


def of_bias(canonical: Shape, filter_format: str, groups: int, transposed: bool, size: int) -> str:
    """What to say of a bias that has another size than filters (.., I, O) want, which were given in
    a format."""
    filters = filters_in(filter_format, canonical)
    other = other_of(FILTER_FORMATS[len(filters) - 2], filter_format)
    _, inputs, outputs = filter_parts(filters, other)
    fits = size == (inputs * groups if transposed else outputs)
    says = f"; it would have with filter_format={other!r}"
    return says if fits and is_plausible(filters, other) else ""
