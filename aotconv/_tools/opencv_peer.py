"""OpenCV as a peer: its filters of images, with outputs that lie ready."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .peer import Contender, Prepare, Setting, Unsuitable, along_two_axes, steps

if TYPE_CHECKING:
    from .filtering import Filtering
    from .problem import Problem

# SciPy's words for what is beyond the ends; OpenCV's filters refuse to wrap around.
BORDERS = {
    "reflect": "BORDER_REFLECT",
    "grid-mirror": "BORDER_REFLECT",
    "mirror": "BORDER_REFLECT_101",
    "nearest": "BORDER_REPLICATE",
    "constant": "BORDER_CONSTANT",
    "grid-constant": "BORDER_CONSTANT",
}
DTYPES = ("float32", "uint8", "uint8>int16")
MOST_CHANNELS = 4
BLUR_OF_BYTES = 1.0  # has weights of 8 bits


def convolution(problem: Problem, setting: Setting) -> dict[str, Contender]:
    import cv2

    layer = problem.layer
    along_two_axes(layer)
    n, height, width, channels = layer.images
    n_filters = layer.filters[3]
    if not (n == 1 and layer.groups == channels and channels in (1, n_filters)):
        raise Unsuitable("it convolves one image, each channel by itself")
    if channels > 1:
        if (problem.filters != problem.filters[..., :1]).any() or np.ptp(problem.bias):
            raise Unsuitable("it convolves all channels with the same filter")
        n_filters = 1
    _, out_height, out_width, _ = layer.out
    if steps(layer) != ((1, 1), (1, 1)) or out_height > height or out_width > width:
        raise Unsuitable("its result has as many pixels as the image")
    cv2.setNumThreads(setting.threads)
    (top, _), (left, _) = layer.pads
    image, border = problem.images[0], cv2.BORDER_CONSTANT
    kernels = [problem.filters[:, :, 0, o].copy() for o in range(n_filters)]
    deltas = problem.bias[:n_filters].tolist()
    outs = np.empty((n_filters, height, width, channels), np.float32)  # an image of each filter
    each = list(zip(kernels, outs, deltas, strict=True))

    def call() -> NDArray[Any]:
        for kernel, out, delta in each:
            cv2.filter2D(image, -1, kernel, out, (left, top), delta, border)
        return outs

    # Without padding, windows that reach beyond the image are computed too, and cut off here.
    def channels_last(outs: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate(outs, axis=-1)[None, :out_height, :out_width]

    return {"opencv": Contender(problem, call, channels_last)}


def image(filtering: Filtering, array: NDArray[Any]) -> NDArray[Any]:
    """The array as OpenCV takes it; a signal is an image of one row."""
    sizes = filtering.sizes
    if len(sizes) == 1:
        return array[None]
    channels = sizes[2:] or (1,)
    if filtering.along != (0, 1) or len(channels) > 1 or channels[0] > MOST_CHANNELS:
        raise Unsuitable("it filters images along both axes, and at most 4 channels alike")
    return array


def filtered(
    prepare: Callable[..., Callable[[], Any]], problem: Problem, setting: Setting
) -> dict[str, Contender]:
    """A filter, by a function that is given OpenCV, the filter, what is filtered, the weights or
    None, where the result goes, and what is beyond the ends; it returns what is timed."""
    import cv2

    filtering = problem.filtering
    if filtering.dtype not in DTYPES:
        raise Unsuitable(f"it filters {', '.join(DTYPES)}")
    if filtering.mode not in BORDERS:
        raise Unsuitable("it does not wrap around")
    array, weights = problem.arrays["input"], problem.arrays.get("weights")
    result = filtering.dtypes[1]
    is_whole = result.kind in "iu"
    if is_whole and not filtering.saturate and not fits(array, weights, result):
        raise Unsuitable("its integers are rounded and clipped")
    cv2.setNumThreads(setting.threads)
    out, border = np.zeros(filtering.out, result), getattr(cv2, BORDERS[filtering.mode])
    call = prepare(cv2, filtering, image(filtering, array), weights, out, border)
    coarser = BLUR_OF_BYTES if is_whole and weights is None else 0.0
    return {"opencv": Contender(problem, call, lambda _: out, coarser=coarser)}


def fits(array: NDArray[Any], weights: NDArray[Any] | None, result: np.dtype[Any]) -> bool:
    """Whether sums of integers are integers that the result holds."""
    if weights is None:
        return False
    largest = int(np.abs(array, dtype=np.int64).max()) * float(np.abs(weights).sum())
    return largest <= np.iinfo(result).max


def places(filtering: Filtering, out: NDArray[Any]) -> NDArray[Any]:
    """Where OpenCV puts the result."""
    return out[None] if len(filtering.sizes) == 1 else out


def correlate(cv2, filtering, array, weights, out, border):
    weights = np.atleast_2d(weights)
    anchor = weights.shape[1] // 2, weights.shape[0] // 2
    depth = cv2.CV_16S if out.dtype == np.int16 else -1
    target = places(filtering, out)
    return lambda: cv2.filter2D(array, depth, weights, target, anchor, 0, border)


def gaussian_filter(cv2, filtering, array, weights, out, border):
    size = (2 * int(4 * filtering.sigma + 0.5) + 1, 1)
    sigma, target = filtering.sigma, places(filtering, out)
    window = size if len(filtering.sizes) == 1 else (size[0], size[0])
    return lambda: cv2.GaussianBlur(array, window, sigma, target, sigma, border)


def uniform_filter(cv2, filtering, array, weights, out, border):
    height, width = (1, *filtering.window)[-2:]
    anchor, target = (width // 2, height // 2), places(filtering, out)
    return lambda: cv2.blur(array, (width, height), target, anchor, border)


def sobel(cv2, filtering, array, weights, out, border):
    if len(filtering.sizes) != 2:
        raise Unsuitable("it is asked for derivatives of gray images alone")
    rows, columns = out

    def call():
        cv2.Sobel(array, -1, 0, 1, rows, 3, 1, 0, border)
        cv2.Sobel(array, -1, 1, 0, columns, 3, 1, 0, border)

    return call


def laplace(cv2, filtering, array, weights, out, border):
    if len(filtering.sizes) == 1:
        raise Unsuitable("its Laplacian is along two axes")
    return lambda: cv2.Laplacian(array, -1, out, 1, 1, 0, border)


PREPARES: dict[str, Prepare] = {
    "convolution": convolution,
    "correlate": partial(filtered, correlate),
    "correlate1d": partial(filtered, correlate),
    "gaussian_filter": partial(filtered, gaussian_filter),
    "uniform_filter": partial(filtered, uniform_filter),
    "sobel": partial(filtered, sobel),
    "laplace": partial(filtered, laplace),
}
