"""
Edges
=====

Four ways to find edges, by their names in :mod:`aotconv.ndimage`, which are SciPy's.  The photo
holds bytes; differences of bytes are negative as often as not, so results are asked for as floats:
``output=np.float32``.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

from aotconv import ndimage

photo = data.camera()[60:276, 120:408]
print(photo.dtype, photo.shape)


def show(results):
    """Four pictures: signed ones in red and blue."""
    _, axes = plt.subplots(2, 2, figsize=(8, 6.55), layout="constrained")
    for axis, (name, result) in zip(axes.flat, results.items(), strict=True):
        limit = np.percentile(np.abs(result), 99)
        if result is photo:
            axis.imshow(photo, cmap="gray")
        elif result.min() < 0:
            axis.imshow(result, cmap="RdBu_r", vmin=-limit, vmax=limit)
        else:
            axis.imshow(result, cmap="gray_r", vmin=0, vmax=limit)
        axis.set_title(name)
        axis.axis("off")
    plt.show()


# %%
# First derivatives
# -----------------
#
# ``sobel`` and ``prewitt`` take differences along one axis and smooth across it.  Axis 0 points
# down, axis 1 to the right.  The length of both does not depend on the direction.  Red is positive:
# the photo grows brighter along the axis.

down = ndimage.sobel(photo, axis=0, output=np.float32)
right = ndimage.sobel(photo, axis=1, output=np.float32)
show(
    {
        "the photo": photo,
        "sobel, axis 0": down,
        "sobel, axis 1": right,
        "sobel, length of both": np.hypot(down, right),
    }
)

# %%
# By default the result's dtype is the input's, as in SciPy, and bytes wrap: -1 is 255.  With
# ``output=np.float32`` bytes are read where they are, and floats come out; the photo need not be
# converted before.

wrapped = ndimage.sobel(photo, axis=1)
print("as floats:", right[140, 180:186])
print("as bytes: ", wrapped[140, 180:186])

# %%
# Second derivatives, and edges of a size
# ---------------------------------------
#
# ``laplace`` changes its sign on an edge.  It sees each pixel's noise; so does ``sobel``.
# ``gaussian_gradient_magnitude`` smooths by a Gaussian first: its ``sigma`` says how large a
# thing must be to have an edge.

magnitude = ndimage.gaussian_gradient_magnitude
show(
    {
        "prewitt, axis 1": ndimage.prewitt(photo, axis=1, output=np.float32),
        "laplace": ndimage.laplace(photo, output=np.float32),
        "gaussian_gradient_magnitude, sigma 1": magnitude(photo, 1, output=np.float32),
        "gaussian_gradient_magnitude, sigma 3": magnitude(photo, 3, output=np.float32),
    }
)

# %%
# Photo: "camera", by Lav Varshney, CC0, from scikit-image.
