"""Tasks on arrays of other orders or types than kernels read and write in place, and those of
several passes, one behind the other (`_kernels.staging`)."""

from collections.abc import Iterator, Sequence
from itertools import product
from math import gcd, prod
from typing import NamedTuple

from . import family
from .arithmetic import ceil_div, evenly, largest, round_up
from .borders import CONSTANT, ZEROS
from .elements import Element
from .family import ALIGNMENT, Triple, Work, contiguous, of_no_layer, words
from .geometry import Axis, Geometry, Pair
from .lower import one_channel
from .registry import Row

# What is said of an axis of images (see `_places`).
PLACES = ("first", "step", "move", "span", "border")
# What is said of an array beside its strides: an Element's, and how it lies.
_SIDE = ("unit", "parts", "code", "aligned", "swap")
NEAR_BYTES = 384 << 10  # of a box: read again from the second-level cache
MOST_HALO = 1.25  # elements staged for each that is needed once
# Of boxes of two passes, rows of outputs beside as many as a window has; where the first reads
# images in place, bytes of what it makes, which are near beside those.
ROWS, INSIDE_BYTES = 16, 256 << 10
FAR = 1.3  # what elements beyond NEAR_BYTES take longer
# Elements whose copy takes as long as a row, a box, and each weight that a box reads.
ROW_ELEMENTS, BOX_ELEMENTS, WEIGHT_SHARE = 400, 400, 0.25


class Side(NamedTuple):
    """An array (N, D, H, W, C), as staging sees it."""

    element: Element
    strides: tuple[int, ...]  # bytes
    aligned: bool
    swapped: bool  # whether the order of its bytes is not this machine's

    def told(self, name: str) -> dict[str, int]:
        """What a plan says of it beside the strides of FIELDS."""
        values = (*self.element[1:], self.element.code, int(self.aligned), int(self.swapped))
        return {
            f"{name}_c": self.strides[4],
            **{f"{name}_{field}": value for field, value in zip(_SIDE, values, strict=True)},
        }


class Staged(NamedTuple):
    """A convolution on arrays that are staged: images always are, the residual if `out` is."""

    row: Row
    geometry: Geometry
    images: Side
    out: Side | None  # None: it is written in place
    out_strides: tuple[int, ...]
    residual: Side | None
    fill: Pair = (0, 0)  # bits of the parts of the value around images, in the row's dtype
    # Of each pass the window, whose weights all channels share; together they reach as far as the
    # geometry's.  (): one pass, the geometry itself.
    passes: tuple[Triple, ...] = ()

    @property
    def stages_out(self) -> bool:
        return self.out is not None


STAGING = of_no_layer(
    "staging",
    (
        *("passes", "table"),  # how many, and the address of PASS_FIELDS for each
        "inside",  # the address of words, as of a pass's plans, or 0 (see `inside_works`)
        *("box_n", "box_z", "box_y", "box_x"),  # outputs of a task
        *(f"{word}_{axis}" for axis in "zyx" for word in PLACES),  # of images (see `_places`)
        *("fill_real", "fill_imag"),
        *("image_c", *(f"image_{word}" for word in _SIDE)),
        *("out_c", *(f"out_{word}" for word in _SIDE)),
        *(f"residual_{axis}" for axis in ("n", "z", "y", "x", "c")),
        *(f"residual_{word}" for word in _SIDE),
        "stages_out",
        *("out_at", "residual_at", "inner_at"),  # bytes from the staged images
    ),
)


# What is said of a pass: addresses of its task, and of words, which are addresses of its plans by
# the number of `works`; bytes from the weights of all to its own, and from the staged images to
# what it reads, and what it writes, unless it is the last.
PASS_FIELDS = ("task", "plans", "weights", "source", "target")


def _step(axis: Axis, box: int) -> int:
    """How far apart the places are that a box of so many outputs reads along an axis."""
    if box == 1:
        return axis.dilation if axis.kernel > 1 else 1
    return gcd(axis.stride, axis.dilation) if axis.kernel > 1 else axis.stride


def _is_whole(axis: Axis, box: int) -> bool:
    """Whether a box has all outputs of an axis, and reads all of it, amid zeros alone."""
    if axis.border != ZEROS:
        return False
    return box >= axis.out and axis.size <= (axis.out - 1) * axis.stride + axis.extent > axis.kernel


def _boxed(axis: Axis, box: int, out: int) -> Axis:
    """The axis of `out` outputs, of a box of `box` or what is left of one, as it is staged.  A
    whole axis keeps its padding, which some kernels need not compute."""
    if _is_whole(axis, box):
        return axis
    step = _step(axis, box)
    stride = 1 if axis.kernel == 1 else axis.stride if box == 1 else axis.stride // step
    dilation = 1 if axis.kernel == 1 else axis.dilation // step
    size = (out - 1) * stride + (axis.kernel - 1) * dilation + 1
    return Axis(size, axis.kernel, stride, dilation, 0, 0, out)


def _places(axis: Axis, box: int) -> tuple[int, int, int, int, int]:
    """Of the places that boxes read along an axis: the first, how far apart they are, how many an
    output moves on, how many a window spans, and what is outside."""
    if _is_whole(axis, box):
        return 0, 1, 0, axis.size, ZEROS
    boxed = _boxed(axis, box, box)
    return -axis.before, _step(axis, box), boxed.stride, boxed.extent, axis.border


def inner(staged: Staged, box: Sequence[int], outs: Sequence[int]) -> Geometry:
    """The convolution of a box, or of what is left of one."""
    g = staged.geometry
    z, y, x = map(_boxed, g.axes, box[1:], outs[1:])
    return g._replace(n=outs[0], z=z, y=y, x=x)


def _geometries(staged: Staged, geometry: Geometry) -> list[Geometry]:
    """What each pass computes of a box."""
    if not staged.passes:
        return [geometry]
    sizes, geometries = [axis.size for axis in geometry.axes], []
    for window in staged.passes:
        z, y, x = (
            Axis(size, kernel, out=size - kernel + 1)
            for size, kernel in zip(sizes, window, strict=True)
        )
        geometries.append(one_channel(geometry._replace(z=z, y=y, x=x)))
        sizes = [axis.out for axis in (z, y, x)]
    return geometries


def works(staged: Staged, box: Sequence[int]) -> Iterator[tuple[int, list[Work]]]:
    """For each kind of box, cut off along no axis or along some, the number that the kernel gives
    it and what each pass computes there."""
    g = staged.geometry
    totals = (g.n, *(axis.out for axis in g.axes))
    rests = [total % size for total, size in zip(totals, box, strict=True)]
    for cut in product((False, True), repeat=4):
        if all(rest or not off for rest, off in zip(rests, cut, strict=True)):
            outs = [rest if off else size for size, rest, off in zip(box, rests, cut, strict=True)]
            number = sum(off << bit for bit, off in enumerate(reversed(cut)))
            done = []
            for smaller in _geometries(staged, inner(staged, box, outs)):
                images, out = (contiguous(shape, staged.row.itemsize) for shape in smaller.shapes)
                done.append(Work(staged.row, smaller, images, out))
            if not staged.stages_out:
                strides, size = staged.out_strides, staged.row.itemsize
                if staged.passes:  # of one channel, pixel by pixel
                    strides = *strides[:3], size, size
                done[-1] = done[-1]._replace(out_strides=strides)
            yield number, done


def inside_works(
    staged: Staged, box: Sequence[int], strides: Sequence[int]
) -> Iterator[tuple[int, Work]]:
    """The first pass of each kind of box (see `works`) on images in place, which have so many bytes
    from one to the next along each axis: of boxes of whole rows, of whose windows none leaves
    images but at the ends of rows."""
    size = staged.row.itemsize
    for number, (first, *_) in works(staged, box):
        columns = staged.geometry.x.size * staged.geometry.c
        geometry = first.geometry._replace(x=Axis.flat(columns))
        yield number, Work(staged.row, geometry, (*strides[:3], size, size), first.out_strides)


class _Sizes(NamedTuple):
    """Bytes of what stands behind each other in staging memory."""

    images: int
    between: int  # results of a pass before the last
    out: int
    residual: int

    @property
    def starts(self) -> list[int]:
        """Where each begins, and what is behind them."""
        return [sum(self[:i]) for i in range(len(self) + 1)]


def _sizes(staged: Staged, box: Sequence[int]) -> _Sizes:
    """Of a box."""
    geometry = inner(staged, box, box)
    images, out = (_bytes(staged, shape) for shape in geometry.shapes)
    between = 0
    if len(staged.passes) > 1:
        between = _bytes(staged, _geometries(staged, geometry)[0].shapes[1])
    rest = out if staged.residual is not None else 0
    held = out if staged.stages_out and not _take_turns(staged) else 0
    return _Sizes(images, between, held, rest)


def _take_turns(staged: Staged) -> bool:
    """Whether outputs are staged where the images were, which the last pass does not read."""
    return len(staged.passes) > 0 and len(staged.passes) % 2 == 0


def _bytes(staged: Staged, shape: Sequence[int]) -> int:
    """That an array of the kernel's floats has, in whole cache lines."""
    return round_up(prod(shape) * staged.row.itemsize, ALIGNMENT)


def choose_box(staged: Staged, multiple: int, tasks: int) -> tuple[int, int, int, int]:
    """The box of outputs that is staged at the least expense: what is near each other in memory
    is staged once for many outputs.

    Parameters
    ----------
    multiple : int
        Boxes begin at multiples of so many rows and columns.
    tasks : int
        How many are wanted, so that all threads end at about a time.
    """
    g = staged.geometry
    weights = g.products * g.o * WEIGHT_SHARE
    most = ceil_div(g.pixels, tasks)
    outs = tuple(axis.out for axis in g.axes)

    def size(box: Sequence[int]) -> int:
        return sum(_sizes(staged, box))

    def expense(box: Sequence[int]) -> tuple[int, bool, float]:
        """Bytes that are too many, whether too much is staged twice, and what an output takes, in
        elements."""
        b, needed = inner(staged, box, box), size(box)
        once = prod(
            min(axis.out * axis.stride, whole.padded)
            for axis, whole in zip(b.axes, g.axes, strict=True)
        )
        twice = prod(axis.size for axis in b.axes) > MOST_HALO * once
        rows = b.n * b.z.size * b.y.size
        moved = rows * (b.x.size * b.c + ROW_ELEMENTS) + BOX_ELEMENTS + weights
        far = FAR if needed > NEAR_BYTES else 1
        return max(0, needed - family.STAGING_BYTES), twice, moved / b.pixels * far

    def largest_box(x: int, limit: int) -> tuple[int, int, int, int]:
        """The largest box of so many columns within so many bytes; all boxes about alike."""

        def fits(*box: int) -> bool:
            return prod(box) <= most and size(box) <= limit

        y = largest(g.y.out, lambda y: fits(1, 1, y, x))
        y = evenly(g.y.out, max(multiple, y - y % multiple)) if y < g.y.out else y
        y = min(g.y.out, round_up(y, multiple))
        z = largest(g.z.out, lambda z: fits(1, z, y, x))
        n = largest(g.n, lambda n: fits(n, z, y, x)) if (z, y, x) == outs else 1
        return evenly(g.n, n), evenly(g.z.out, z), y, x

    limits = min(NEAR_BYTES, family.STAGING_BYTES), family.STAGING_BYTES
    boxes = (largest_box(x, limit) for limit in limits for x in _halves(g.x.out, multiple))
    return min(boxes, key=expense)


def reads_in_place(geometry: Geometry, passes: Sequence[Triple]) -> bool:
    """Whether the first of two passes may read images in place: it goes from row to row, and what
    is beside rows can be put beside its outputs, pixel by pixel, if all pixels of a row are
    there."""
    x = geometry.x
    return _are_down_and_along(passes) and x.border != CONSTANT and min(x.before, x.behind) >= 0


def _are_down_and_along(passes: Sequence[Triple]) -> bool:
    return len(passes) == 2 and passes[0][::2] == (1, 1) and passes[1][:2] == (1, 1)


def whole_rows(
    staged: Staged, multiple: int, tasks: int, reads: bool
) -> tuple[int, int, int, int] | None:
    """A box of whole rows for two passes, from row to row and then along rows: those cost less than
    what is staged twice.  None where others are to be chosen.

    Parameters
    ----------
    multiple, tasks : int
        As in `choose_box`.
    reads : bool
        Whether the first reads images in place, so that nothing is staged twice but at their ends.
    """
    g = staged.geometry
    if not _are_down_and_along(staged.passes):
        return None
    most = min(ROWS + g.y.kernel * (1 if reads else 2), ceil_div(g.pixels, tasks * g.x.out))

    def fits(y: int) -> bool:
        sizes = _sizes(staged, (1, 1, y, g.x.out))
        near = not reads or sizes.between <= INSIDE_BYTES
        return y <= most and near and sum(sizes) <= family.STAGING_BYTES

    y = largest(g.y.out, fits)
    y = max(multiple, y - y % multiple)
    if not (ROWS // 2 <= y <= g.y.out // 4 and fits(y)):
        return None
    return 1, 1, min(y, round_up(evenly(g.y.out, y), multiple)), g.x.out


def near_channels(row: Row, geometry: Geometry) -> int:
    """How many channels of a channelwise layer are best staged at a time: all, or a divisor, of
    whole vectors, whose planes are near; at least a cache line of them."""
    g = geometry
    plane = sum(prod(shape[1:4]) for shape in g.shapes) * row.itemsize
    most = max(row.lanes, ALIGNMENT // row.itemsize, NEAR_BYTES // 2 // max(1, plane))
    counts = (g.c, *range(row.lanes, g.c, row.lanes))
    return max((n for n in counts if n <= most and g.c % n == 0), default=g.c)


def _halves(size: int, multiple: int) -> Iterator[int]:
    """A size cut into 1, 2, 4 .. pieces alike, of a multiple each."""
    pieces = 1
    while True:
        piece = ceil_div(size, pieces)
        yield size if pieces == 1 else min(size, round_up(piece, multiple))
        if piece <= multiple:
            return
        pieces *= 2


def stage_words(
    staged: Staged,
    box: Sequence[int],
    passes: Triple,
    inner_staging: int,
) -> list[int]:
    """Everything that a staging task is told beside addresses.

    Parameters
    ----------
    passes : tuple of int
        How many passes there are, and the addresses of PASS_FIELDS for each and of the addresses
        of plans for `inside_works`, or 0.
    inner_staging : int
        Bytes of staging memory that these ask for, at most.
    """
    g = staged.geometry
    _, _, out_at, residual_at, inner_at = _sizes(staged, box).starts
    totals = (g.n, *(axis.out for axis in g.axes))
    places: dict[str, int] = {}
    for name, axis, size in zip("zyx", g.axes, box[1:], strict=True):
        named = (f"{word}_{name}" for word in PLACES)
        places |= dict(zip(named, _places(axis, size), strict=True))
    nothing = Side(Element("float32", 4), (0,) * 5, True, False)
    told = {
        "tasks": prod(map(ceil_div, totals, box)),
        "staging": inner_at + inner_staging,
        **dict(zip(("passes", "table", "inside"), passes, strict=True)),
        **dict(zip(("box_n", "box_z", "box_y", "box_x"), box, strict=True)),
        **places,
        **dict(zip(("fill_real", "fill_imag"), staged.fill, strict=True)),
        **staged.images.told("image"),
        **(staged.out or nothing).told("out"),
        **(staged.residual or nothing).told("residual"),
        **dict(
            zip(
                ("residual_n", "residual_z", "residual_y", "residual_x"),
                (staged.residual or nothing).strides,
                strict=False,
            )
        ),
        "stages_out": int(staged.stages_out),
        "out_at": 0 if _take_turns(staged) else out_at,
        "residual_at": residual_at,
        "inner_at": inner_at,
    }
    work = Work(staged.row, g, staged.images.strides, staged.out_strides)
    return words(STAGING, work, told=told)


def ends(staged: Staged, box: Sequence[int]) -> list[Pair]:
    """The `source` and the `target` of each pass: two places in turn."""
    between = _sizes(staged, box).starts[1]
    return [(i % 2 * between, (i + 1) % 2 * between) for i in range(max(1, len(staged.passes)))]
