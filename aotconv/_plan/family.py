"""What a family of kernels says of itself, and what a plan tells its kernels.

A family is one value of type `Family`, in the file of its name; everything that the rest of the
library must know of it is asked of that value.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn, TypeAlias

from .activations import Activation, finish_words
from .arithmetic import ceil_div
from .geometry import Axis, Geometry
from .registry import Row

Triple: TypeAlias = tuple[int, int, int]  # of depth, height and width

ALIGNMENT = 64  # of packed weights and staging memory, in bytes: a cache line, the widest vector
# int64 words of scratch for each thread, for tables of addresses.
SCRATCH_WORDS = 4096
SCRATCH_BYTES = 8 * SCRATCH_WORDS
STAGING_BYTES = 1 << 20  # of a thread, at most: the second-level cache
TASKS_PER_THREAD = 4  # where there are fewer, they are cut with care

# How an array (N, D, H, W, C) may lie where a kernel reads or writes it in place.
ADJACENT = "channels side by side, and so are the pixels of a row"
APART = "channels side by side"
CHANNELS_LAST = frozenset((ADJACENT, APART))


def order_of(shape: Sequence[int], strides: Sequence[int], itemsize: int) -> str | None:
    """In which of these orders an array (N, D, H, W, C) lies; None: in none of them."""
    if 0 in shape:
        return ADJACENT  # its strides say nothing
    columns, channels = shape[-2:]
    if channels <= 1 or strides[-1] == itemsize:
        return ADJACENT if columns <= 1 or strides[-2] == channels * itemsize else APART
    return None


def contiguous(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """The strides of an array whose elements follow each other."""
    strides: tuple[int, ...] = ()
    step = itemsize
    for size in reversed(shape):
        strides, step = (step, *strides), step * size
    return strides


class Layer(NamedTuple):
    """What a convolution is, but for its images and its values: what says which kernel it gets.

    The images' sizes have no say, so that parts of a batch or of an image take the same path.
    """

    kernel: Triple
    group_channels: int
    n_filters: int
    groups: int = 1
    strides: Triple = (1, 1, 1)
    dilations: Triple = (1, 1, 1)
    algorithm: str = "auto"

    @classmethod
    def of(cls, geometry: Geometry, algorithm: str = "auto") -> "Layer":
        """The layer of a convolution of known sizes."""
        z, y, x = geometry.axes
        return cls(
            (z.kernel, y.kernel, x.kernel),
            geometry.group_channels,
            geometry.o,
            geometry.groups,
            (z.stride, y.stride, x.stride),
            (z.dilation, y.dilation, x.dilation),
            algorithm,
        )

    @property
    def group_filters(self) -> int:
        return self.n_filters // self.groups

    @property
    def channelwise(self) -> bool:
        """Whether each channel has one filter, and each filter one channel."""
        return self.group_channels == 1 and self.groups == self.n_filters


def has_window_of(row: Row, layer: Layer) -> bool:
    """Whether a channelwise layer has in each plane the one window and the one stride that a row is
    for."""
    kernel, strides, dilations = (row.window,) * 2, (row.stride,) * 2, (1, 1)
    return (
        layer.channelwise
        and layer.kernel[1:] == kernel
        and layer.strides[1:] == strides
        and layer.dilations[1:] == dilations
    )


def wanted_tasks(threads: int) -> int:
    """So many that all threads end at about a time."""
    return TASKS_PER_THREAD * threads if threads > 1 else 1


class Work(NamedTuple):
    """What is to be cut into tasks: a convolution of known sizes, on arrays of known layouts.

    Attributes
    ----------
    image_strides, out_strides : tuple of int
        In bytes, of arrays (N, D, H, W, C) in orders that the family takes.
    finite : bool
        Whether all weights are, but for the bias.
    """

    row: Row
    geometry: Geometry
    image_strides: tuple[int, ...]
    out_strides: tuple[int, ...]
    threads: int = 1
    finite: bool = True

    @property
    def wanted_tasks(self) -> int:
        return wanted_tasks(self.threads)

    @property
    def image_pixels_adjacent(self) -> bool:
        """Whether the pixels of images follow each other in a row."""
        return self.image_strides[3] == self.geometry.c * self.row.itemsize

    @property
    def out_pixels_adjacent(self) -> bool:
        return self.out_strides[3] == self.geometry.o * self.row.itemsize


# Where weights lie in packed memory; `_core.pack` puts them there.  Filters (.., C / groups, O)
# are seen as a matrix of a row for each tap and channel, with the bias above them.  Before the
# weights, which are aligned, lie at least `zeros` elements that are 0.


class Panels(NamedTuple):
    """Some columns at a time are cut into panels of `width` elements a row, one panel behind the
    other; what has no column is 0."""

    zeros: int
    columns: int  # at a time; the last time there may be fewer
    width: int
    winograd: bool = False  # instead of each channel's taps, 36 products (see `_plan.winograd`)
    order: tuple[int, ...] = ()  # int32 words right before the weights
    overlap: bool = False  # the last panel is not filled with 0, but ends with the last column


class Repeated(NamedTuple):
    """A row is all columns, again and again, up to `width` elements."""

    zeros: int
    width: int


class Products(NamedTuple):
    """A row of `width` elements has `share` of each column, products of one kernel row; those that
    are left over have a row each.  Beside them are 0, beside a bias -0.0, which changes no sum."""

    share: int
    width: int


Packing: TypeAlias = Panels | Repeated | Products


class Family(NamedTuple):
    """A family of kernels.

    Attributes
    ----------
    name : str
        In the registry's rows, and of its module in `_kernels`.
    choose : callable
        ``choose(rows, layer)``: which of its rows computes a layer, or None.
    blocking : callable
        ``blocking(work)``: how work is cut into tasks, and a task into what its tiles take at a
        time: the values of "tasks" and of the family's fields, of "staging" where it needs memory
        beside the scratch words, and of others where it sees the work as another one.  Results do
        not depend on it: an output element is always summed in the same order.
    packing : callable
        ``packing(row, layer)``: where its weights lie.
    cost : callable
        ``cost(row, geometry)``: vectors that are multiplied and added, or what takes as long.
    fields : tuple of str
        Of its plans, beside those of all.
    takes : callable
        ``takes(row)``: the orders of arrays that it reads and writes in place.
    apart_bytes : int
        The shortest pixel of outputs that it writes itself where pixels lie apart: shorter ones
        are staged, which takes less.
    planes : bool
        Whether it computes images of several planes, and windows of several.
    in_order : bool
        Whether it sums in the order of all: bias, kernel plane, row, column, channel.
    multiple : int
        Rows and columns of outputs at whose multiples a part must begin, to get the same bits.
    computes_layers : bool
        Whether it computes layers by itself.
    """

    name: str
    choose: Callable[[Sequence[Row], Layer], Row | None]
    blocking: Callable[[Work], Mapping[str, int]]
    packing: Callable[[Row, Layer], Packing]
    cost: Callable[[Row, Geometry], float]
    fields: tuple[str, ...] = ()
    takes: Callable[[Row], frozenset[str]] = lambda row: CHANNELS_LAST
    apart_bytes: int = 0
    planes: bool = True
    in_order: bool = True
    multiple: int = 1
    computes_layers: bool = True


# What every plan tells its kernel: one int64 word each, in this order; behind them the words of its
# family's own fields.  Sizes in elements; the strides `image_*` and `out_*` and `weights_offset` in
# bytes.
FIELDS = (
    "tasks",
    "staging",  # bytes of memory beside the scratch words that each thread is given
    "d",
    "kd",
    "sd",
    "dd",
    "front",
    "od",
    "h",
    "kh",
    "sh",
    "dh",
    "top",
    "oh",
    "w",
    "kw",
    "sw",
    "dw",
    "left",
    "ow",
    "pixels",  # n * od * oh * ow
    "group_channels",
    "group_filters",
    "groups",
    "image_n",
    "image_z",
    "image_y",
    "image_x",
    "out_n",
    "out_z",
    "out_y",
    "out_x",
    "activation",  # its place in FINISHES
    "slope",  # of "leaky_relu": the bits of a float64
    "weights_offset",  # from the packed zeros to the weights behind them
)
_SIZES, _IMAGE, _OUT = FIELDS[2:20], FIELDS[24:28], FIELDS[28:32]


def _told(axis: Axis) -> tuple[int, ...]:
    """What kernels are told of an axis."""
    return axis.size, axis.kernel, axis.stride, axis.dilation, axis.before, axis.out


def of_no_layer(
    name: str, fields: tuple[str, ...], cost: Callable[[Row, Geometry], float] | None = None
) -> Family:
    """A family that computes no layer by itself: whoever calls it makes its words."""

    def refuse(*_) -> NoReturn:
        raise TypeError(f"the {name} family computes no layer by itself")

    computing = refuse, refuse, cost or refuse, fields
    return Family(name, lambda rows, layer: None, *computing, computes_layers=False)


def words(
    family: Family,
    work: Work,
    finish: Activation = None,
    offset: int = 0,
    *,
    told: Mapping[str, int] | None = None,
) -> list[int]:
    """Everything that a kernel is told beside addresses, in the order of FIELDS and the family's.

    Parameters
    ----------
    finish : str, (str, float) or None
        One of FINISHES, or an activation with its slope.
    offset : int
        Bytes from the packed zeros to the weights behind them.
    told : mapping, optional
        What else it is told; by default what the family's `blocking` says.
    """
    g = work.geometry
    every = {
        "staging": 0,
        **dict(zip(_SIZES, sum(map(_told, g.axes), ()), strict=True)),
        "pixels": g.pixels,
        "group_channels": g.group_channels,
        "group_filters": g.group_filters,
        "groups": g.groups,
        **finish_words(finish),
        "weights_offset": offset,
        **dict(zip(_IMAGE, work.image_strides, strict=False)),
        **dict(zip(_OUT, work.out_strides, strict=False)),
        **(family.blocking(work) if told is None else told),
    }
    return [every[name] for name in FIELDS + family.fields]


def bare_words(family: Family, told: Mapping[str, int]) -> list[int]:
    """What a kernel is told that computes no convolution: zeros, but for these."""
    return [told.get(name, 0) for name in FIELDS + family.fields]


def row_tasks(geometry: Geometry, rows: int) -> int:
    """Tasks of so many rows of outputs of one plane."""
    g = geometry
    return g.n * g.z.out * ceil_div(g.y.out, rows)
