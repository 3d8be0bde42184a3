"""Elements added at places of other arrays: the gradient of maxima (`_kernels.scatter`)."""

from __future__ import annotations

from typing import NamedTuple

from .arithmetic import ceil_div
from .family import bare_words, of_no_layer, wanted_tasks

LEAST_CHANNELS = 16  # of a task: fewer share cache lines with others
ADD_RATE = 400  # elements that one thread adds in a microsecond, roughly

SCATTER = of_no_layer(
    "scatter",
    (
        "images",
        "outputs",  # of an image that are added
        "channels",
        "task_channels",
        "step",  # from a pixel to the next, in elements, of both arrays
        *("added_n", "sums_n"),  # from an image to the next, in elements, of each
    ),
)


class Added(NamedTuple):
    """What is added, of arrays (N, P, C) in C order, to sums (N, pixels, C).

    Attributes
    ----------
    shape : (int, int, int)
        Of the part that is added.
    whole : (int, int, int)
        Of the arrays.
    pixels : int
        Of an image of sums.
    """

    shape: tuple[int, int, int]
    whole: tuple[int, int, int]
    pixels: int


def scatter_words(added: Added, threads: int) -> list[int]:
    """The plan of a part."""
    images, outputs, channels = added.shape
    _, of_image, step = added.whole
    blocks = ceil_div(wanted_tasks(threads), max(images, 1))
    task_channels = max(LEAST_CHANNELS, ceil_div(channels, blocks))
    told = {
        "tasks": images * ceil_div(channels, task_channels),
        "images": images,
        "outputs": outputs,
        "channels": channels,
        "task_channels": task_channels,
        "step": step,
        "added_n": of_image * step,
        "sums_n": added.pixels * step,
    }
    return bare_words(SCATTER, told)
