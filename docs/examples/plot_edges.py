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

# %%
# First derivatives
# -----------------
#
# ``sobel`` and ``prewitt`` take the difference along one axis and a mean across it.  Axis 0 points
# down, axis 1 to the right.  What has no direction is the length of both.

down = ndimage.sobel(photo, axis=0, output=np.float32)
right = ndimage.sobel(photo, axis=1, output=np.float32)
length = np.hypot(down, right)

# %%
# By default the result's dtype is the input's, as in SciPy, and bytes wrap: -1 is 255.  With
# ``output=np.float32`` bytes are read where they are, and floats come out; the photo need not be
# converted before.

wrapped = ndimage.sobel(photo, axis=1)
print("as floats:", right[140, 180:186], " as bytes:", wrapped[140, 180:186])

# %%
# Second derivatives, and edges of a size
# ---------------------------------------
#
# ``laplace`` changes its sign on an edge.  It sees each pixel's noise; so does ``sobel``.
# ``gaussian_gradient_magnitude`` smooths by a Gaussian first: its ``sigma`` says how large a
# thing must be to have an edge.

results = {
    "sobel, axis 0": down,
    "sobel, axis 1": right,
    "sobel, length of both": length,
    "prewitt, axis 1": ndimage.prewitt(photo, axis=1, output=np.float32),
    "laplace": ndimage.laplace(photo, output=np.float32),
    "gaussian_gradient_magnitude, sigma=1": ndimage.gaussian_gradient_magnitude(
        photo, sigma=1, output=np.float32
    ),
    "gaussian_gradient_magnitude, sigma=3": ndimage.gaussian_gradient_magnitude(
        photo, sigma=3, output=np.float32
    ),
}

figure, axes = plt.subplots(4, 2, figsize=(8, 13), layout="constrained")
axes[0, 0].imshow(photo, cmap="gray")
axes[0, 0].set_title("the photo")
for axis, (name, result) in zip(axes.flat[1:], results.items(), strict=True):
    limit = np.percentile(np.abs(result), 99)
    if result.min() < 0:
        axis.imshow(result, cmap="RdBu_r", vmin=-limit, vmax=limit)
    else:
        axis.imshow(result, cmap="gray_r", vmin=0, vmax=limit)
    axis.set_title(name)
for axis in axes.flat:
    axis.axis("off")
plt.show()

# %%
# Red is positive, blue negative, white zero.  First derivatives are positive where the photo grows
# brighter along the axis.
#
# Photo: "camera", by Lav Varshney, CC0, from scikit-image.
