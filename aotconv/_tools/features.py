"""Feature maps of a photo: the photo, a bank of filters, and a picture of what they find.

matplotlib and Pillow are imported in the functions that need them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import aotconv

from .errors import CommandError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array: TypeAlias = NDArray[np.float32]

QUIET = "#666666"
LONGEST_SIDE = 1024  # of the photo, in pixels: bounds memory and time, and no map is drawn larger
# What matplotlib's file says of itself: commons.wikimedia.org/wiki/File:Grace_Hopper.jpg
CREDIT = "Grace Hopper, by James S. Davis, US Navy, public domain, from matplotlib"
# These filters answer to a line with stripes of both signs, as wide as a few pixels.  Drawn at the
# size of a tile, which is less than half of the photo's, such stripes average to grey: what is
# drawn is how large they are.
DRAWN_BY_SIZE = ("Laplacian", "Gabor")


def load_photo(path: str | None = None) -> Array:
    """Read a picture as float32 RGB in [0, 1], shape (H, W, 3).

    Parameters
    ----------
    path : str, optional
        Any picture that Pillow reads; the sample photo that ships inside matplotlib if omitted.
        A picture with a side above 1024 pixels is scaled down to that.
    """
    from matplotlib.cbook import get_sample_data
    from PIL import Image, ImageOps, UnidentifiedImageError

    if path is None:
        path = str(get_sample_data("grace_hopper.jpg", asfileobj=False))
    try:
        with Image.open(path) as picture:
            picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            upright = ImageOps.exif_transpose(picture)
        if upright.mode[0] in "IF":  # convert() would clip such deep grey levels at 255
            levels = np.nan_to_num(np.asarray(upright, np.float32))
            levels -= levels.min()
            upright = Image.fromarray((levels * (255 / (levels.max() or 1))).astype(np.uint8))
        return np.asarray(upright.convert("RGB"), np.float32) / np.float32(255)
    except UnidentifiedImageError:
        raise CommandError(f"cannot read the picture {path!r}: not an image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"cannot read the picture {path!r}: {reason}") from None


def filter_bank() -> tuple[list[str], Array]:
    """Build a dozen filters of 7 x 7 RGB pixels.

    With x to the right, y down, u = x cos(a) + y sin(a) and g a Gaussian, they are:

    - blur: g with a standard deviation of 2 pixels;
    - edge at a = 0, 45, 90, 135 degrees: u g, the first derivative along u (Sobel, but smooth);
    - Laplacian: (2 - r^2) g, the negative Laplacian of a Gaussian;
    - Gabor at a = 0, 60, 120 degrees: cos(2 pi u / 6) g, a wave of 6 pixels under a Gaussian;
    - emboss: the pixel itself plus the slope towards the lower right;
    - red - green and blue - yellow: g on differences of the colour channels.

    All but the last two weigh the three colours equally.  All but blur and emboss sum to zero, so
    they do not respond to an even area, and are scaled to an absolute sum of 1.

    Returns
    -------
    names : list of str
    filters : ndarray of float32, shape (7, 7, 3, 12)
    """
    y, x = np.mgrid[-3:4, -3:4].astype(np.float64)
    r2 = x**2 + y**2

    def gauss(sigma: float) -> NDArray[np.float64]:
        return np.exp(-r2 / (2 * sigma**2))

    def along(degrees: float) -> NDArray[np.float64]:
        return x * math.cos(math.radians(degrees)) + y * math.sin(math.radians(degrees))

    def balanced(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
        kernel = kernel - kernel.mean()
        return kernel / np.abs(kernel).sum()

    blur = gauss(2) / gauss(2).sum()
    grey, red_green, blue_yellow = np.array([(1, 1, 1), (1.5, -1.5, 0), (-0.75, -0.75, 1.5)]) / 3
    bank = {"blur": (blur, grey)}
    for degrees in (0, 45, 90, 135):
        bank[f"edge {degrees}°"] = balanced(along(degrees) * gauss(1.2)), grey
    bank["Laplacian"] = balanced((2 - r2) * gauss(1)), grey
    for degrees in (0, 60, 120):
        wave = np.cos(2 * np.pi * along(degrees) / 6)
        bank[f"Gabor {degrees}°"] = balanced(wave * gauss(1.7)), grey
    bank["emboss"] = (r2 == 0) + 8 * balanced(along(45) * gauss(0.8)), grey
    bank["red - green"] = blur, red_green
    bank["blue - yellow"] = blur, blue_yellow
    filters = np.stack([kernel[:, :, None] * colour for kernel, colour in bank.values()], axis=-1)
    return list(bank), filters.astype(np.float32)


def feature_maps(photo: Array, filters: Array) -> Array:
    """Filter a photo (H, W, 3) with filters (KH, KW, 3, O) in one call; return (H, W, O).

    Mid-grey is zero in maps, and the photo goes on beyond its borders, which frame nothing.
    """
    images = photo[np.newaxis] - np.float32(0.5)
    return aotconv.conv2d(images, filters, padding="same", padding_mode="edge")[0]


def draw_features(photo: Array, names: Sequence[str], maps: Array, credit: str = "") -> Figure:
    """Draw a photo at the left, credited, and its feature maps beside it, in three rows."""
    from matplotlib.figure import Figure

    rows, columns = 3, math.ceil(len(names) / 3)
    aspect = min(max(photo.shape[1] / photo.shape[0], 0.5), 2)
    width = 16.0
    height = width / aspect * rows / (rows + columns)
    figure = Figure((width, height), layout="constrained")
    grid = figure.add_gridspec(rows, rows + columns)
    left = figure.add_subplot(grid[:, :rows])
    left.imshow(photo)
    left.set_title("input")
    left.axis("off")
    if credit:
        note: dict[str, Any] = {
            "xycoords": "axes fraction",
            "textcoords": "offset points",
            "va": "top",
        }
        left.annotate(credit, (0, 0), (0, -5), size=9, color=QUIET, **note)
    for index, name in enumerate(names):
        feature = maps[:, :, index]
        # Robust: a few bright highlights must not leave the rest of the map grey.
        limit = float(np.percentile(np.abs(feature), 98)) or 1.0
        axes = figure.add_subplot(grid[index // columns, rows + index % columns])
        if name.startswith(DRAWN_BY_SIZE):
            axes.imshow(np.abs(feature), cmap="gray", vmin=0, vmax=limit)
            axes.set_title(f"|{name}|")
        else:
            axes.imshow(feature, cmap="gray", vmin=-limit, vmax=limit)
            axes.set_title(name)
        axes.axis("off")
    return figure
