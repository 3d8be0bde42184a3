"""
One window or several
=====================

A window of K x K weights costs K x K multiplications for each element.  Where the weights are the
product of a column and a row, two windows of K do the same: first along one axis, then along the
other.  :func:`~aotconv.ndimage.gaussian_filter` and :func:`~aotconv.ndimage.uniform_filter` work
so, and large Gaussians become cheap enough to look for things of every size.
"""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import aotconv
from aotconv import ndimage

# %%
# The same result
# ---------------
# A Gaussian of sigma 4, as one window of 33 x 33 weights, as two of 33, and by its name.

photo = data.hubble_deep_field()
grey = photo.mean(axis=2).astype(np.float32) / 255
weights = np.exp(-0.5 * (np.arange(-16, 17) / 4.0) ** 2)
weights /= weights.sum()

whole = ndimage.correlate(grey, np.outer(weights, weights))
twice = ndimage.correlate_separable(grey, [weights, weights])
named = ndimage.gaussian_filter(grey, 4.0)
print(f"two windows beside one: {abs(twice - whole).max():.1e} apart")
print(f"gaussian_filter beside two windows: {abs(named - twice).max():.1e} apart")

# %%
# What it costs
# -------------
# Along N axes it is N K multiplications in place of K to the N.  A window can be taken apart where
# its rank as a matrix is one.

prewitt = np.outer([1, 1, 1], [-1, 0, 1])
laplace = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
for name, window in (("Prewitt's", prewitt), ("Laplace's", laplace)):
    print(f"{name} window: rank {np.linalg.matrix_rank(window)}")

sizes = np.arange(3, 66, 2)
figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
curves = [
    (sizes**3, "-", "#8c2d04", "one window, three axes", -4),
    (sizes**2, "-", "#d9541e", "one window, two axes", -4),
    (3 * sizes, "--", "#2f4b66", "three windows, one for each axis", 0),
    (2 * sizes, "--", "#6f94b5", "two windows, one for each axis", -10),
]
for counts, dashes, colour, name, drop in curves:
    axes.semilogy(sizes, counts, dashes, color=colour, lw=2)
    place = sizes[-1], counts[-1]
    axes.annotate(name, place, (6, drop), textcoords="offset points", color=colour)
axes.set(xlabel="size K of the window", ylabel="multiplications an element", xlim=(3, 65))
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Blobs of every size
# -------------------
# A Gaussian less one that is a little wider answers bright spots of about its own size.  So a stack
# of such differences, and the elements of it that are the largest of all their neighbours, say
# where spots are and how large (T. Lindeberg, "Feature Detection with Automatic Scale Selection",
# International Journal of Computer Vision 30, 1998).  A max pool of 3 x 3 x 3 finds those.

sigmas = 1.5 * 1.3 ** np.arange(11)
blurred = [ndimage.gaussian_filter(grey, sigma) for sigma in sigmas]
stack = np.stack([fine - coarse for fine, coarse in pairwise(blurred)])
largest = aotconv.max_pool3d(stack[..., np.newaxis], 3, strides=1, padding="same")[..., 0]
found = (stack == largest) & (stack > 0.035)
found[[0, -1]] = False  # where one neighbour is missing
blobs = np.argwhere(found)
print(len(blobs), "blobs")

figure, axes = plt.subplots(figsize=(9, 7.9), layout="constrained")
axes.imshow(photo)
for scale, y, x in blobs:
    radius = np.sqrt(2 * sigmas[scale] * sigmas[scale + 1])
    axes.add_patch(plt.Circle((x, y), radius, fill=False, color="#7fd4ff", lw=1.2))
axes.set_axis_off()
plt.show()

# %%
# Some of the stack: fine differences answer small spots, coarse ones large spots.

figure, row = plt.subplots(1, 3, figsize=(9, 3.1), layout="constrained")
for axes, scale in zip(row, (1, 4, 8), strict=True):
    axes.imshow(stack[scale], cmap="RdBu_r", vmin=-0.12, vmax=0.12)
    axes.set_title(f"sigma {sigmas[scale]:.1f} less {sigmas[scale + 1]:.1f}", size=11, loc="left")
    axes.set_axis_off()
plt.show()

# sphinx_gallery_thumbnail_number = 2

# %%
# The photo is the Hubble eXtreme Deep Field, by NASA, public domain, from scikit-image.
