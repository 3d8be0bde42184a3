"""Run a kernel on arrays: in place where their layout allows it, else block by block."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from . import plan
from . import threads as openmp
from .blocks import split
from .fallback import activate
from .geometry import Geometry
from .kernels.registry import AOT_DTYPES, FIELDS, LOOP_DTYPES, Row

_DTYPES = {name: np.dtype(name) for name in AOT_DTYPES + LOOP_DTYPES}
_KEPT_PLANS = 64  # a layer meets few shapes; what meets many forgets them
_TASKS = FIELDS.index("tasks")


class Kernel(NamedTuple):
    """A compiled kernel, its weights, and its plans for the shapes it has met."""

    row: Row
    function: Callable[[int, int, int, int, int, int], None]
    packed: plan.Packed
    activation: str | None
    plans: dict[tuple, tuple[int, int, np.ndarray]]  # address, number of tasks, words


def convolve(
    kernel: Kernel, geometry: Geometry, images: np.ndarray, out: np.ndarray, threads: int
) -> None:
    """Convolve images (N, H, W, C) of any layout into `out` (N, OH, OW, O) of any layout.

    Neither the images nor `out` are copied where the kernel can use them as they are; otherwise no
    more than a block of them is, at a time.
    """
    dtype = _DTYPES[kernel.row.dtype]
    copy_in, copy_out = not _usable(images, kernel.row), not _usable(out, kernel.row)
    if not copy_in and not copy_out:
        _call(kernel, geometry, images, out, threads)
        return
    for block in split(geometry, dtype.itemsize):
        source, target = images[block.images], out[block.out]
        block_images = source.astype(dtype, order="C") if copy_in else source
        block_out = np.empty(target.shape, dtype) if copy_out else target
        _call(kernel, block.geometry, block_images, block_out, threads)
        if copy_out:
            with np.errstate(over="ignore"):  # to float16
                np.copyto(target, block_out, casting="same_kind")


def _usable(array: np.ndarray, row: Row) -> bool:
    """Whether a kernel can address the array: its dtype, aligned, channels side by side, for images
    pixels too."""
    dtype = _DTYPES[row.dtype]
    _, _, columns, channels = array.shape
    contiguous = channels <= 1 or array.strides[3] == dtype.itemsize
    if row.family == "image" and columns > 1:
        contiguous &= array.strides[2] == channels * dtype.itemsize
    return contiguous and array.dtype == dtype and array.flags.aligned


def _call(kernel: Kernel, geometry: Geometry, images, out, threads: int) -> None:
    """Run the kernel on arrays that it can address."""
    key = geometry, images.strides, out.strides, threads
    found = kernel.plans.get(key)
    if found is None:
        if len(kernel.plans) >= _KEPT_PLANS:
            kernel.plans.clear()
        words = plan.words(kernel.row, kernel.packed, *key[:3], kernel.activation, threads)
        found = kernel.plans[key] = words.ctypes.data, int(words[_TASKS]), words
    words_address, tasks, _ = found
    threads = min(threads, tasks)
    kernel.function(
        words_address,
        id(images),
        kernel.packed.address,
        id(out),
        threads,
        openmp.gomp_parallel(threads),
    )
    if kernel.row.family == "loop":
        activate(out, kernel.activation)
