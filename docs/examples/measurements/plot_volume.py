"""
Slices of a volume
==================

Vessels in a noisy volume, whose slices are thicker than their pixels are wide, as scanners make
them.  :func:`aotconv.ndimage.gaussian_filter` smooths it by the same length along all axes.  Then
:func:`aotconv.conv3d` takes all six second derivatives in one call, which tell tubes from noise.
"""

import matplotlib.pyplot as plt
import numpy as np

import aotconv
from aotconv import ndimage

# %%
# A volume
# --------
#
# Some curves run through it.  What is near one of them is bright; everything is noisy.

rng = np.random.default_rng(17)
SHAPE = (48, 96, 96)  # z, y, x
SPACING = np.array([2.0, 1.0, 1.0])  # millimetres from voxel to voxel


def curve(points=400):
    """A smooth way through the volume, in millimetres."""
    time = np.linspace(-0.1, 1.1, points)[:, np.newaxis]
    start, end = rng.uniform(0, 1, (2, 3))
    axis = rng.integers(3)
    start[axis], end[axis] = 0, 1  # from one face to that opposite
    phases, swings = rng.uniform(0, 2 * np.pi, 3), rng.uniform(0.03, 0.12, 3)
    way = start + (end - start) * time
    way += swings * np.sin(2 * np.pi * time + phases)
    return way * SHAPE * SPACING


clean = np.zeros(SHAPE, np.float32)
for _ in range(14):
    voxels = np.rint(curve() / SPACING).astype(int)
    inside = ((voxels >= 0) & (voxels < SHAPE)).all(axis=1)
    clean[tuple(voxels[inside].T)] = 1
clean = np.minimum(12 * ndimage.gaussian_filter(clean, 1.5 / SPACING), 1)
volume = clean + rng.normal(0, 0.5, SHAPE).astype(np.float32)

# %%
# Smoothed, by millimetres
# ------------------------
#
# ``sigma`` may be a number for each axis: half as many voxels where these are twice as long.

smooth = ndimage.gaussian_filter(volume, sigma=1.5 / SPACING)

# %%
# Three slices through its middle, before and after:

z, y, x = (size // 2 for size in SHAPE)
figure, axes = plt.subplots(2, 3, figsize=(8, 5.5), layout="constrained")
for line, name, array in zip(
    axes,
    ("as measured", "gaussian_filter"),
    (volume, smooth),
    strict=True,
):
    low, high = np.percentile(array, [1, 99.7])
    planes = array[z], array[:, y], array[:, :, x]  # of 96 x 96 mm
    for axis, plane in zip(line, planes, strict=True):
        axis.imshow(plane, cmap="magma", vmin=low, vmax=high, aspect="auto")
        axis.set(xticks=[], yticks=[], box_aspect=1)
    line[0].set_ylabel(name, fontsize=12)
titles = ("y down, x right", "z down, x right", "z down, y right")
for axis, title in zip(axes[0], titles, strict=True):
    axis.set_title(title, fontsize=11)
plt.show()

# %%
# Six derivatives in one call
# ---------------------------
#
# Filters (KD, KH, KW, C, O) of one channel and six results: a Gaussian's second derivatives along
# zz, yy, xx, zy, zx and yx, in millimetres.  Across a bright tube two of the three curvatures are
# strongly negative, and the third, along it, is small.  The second of them is drawn.

SIGMA, REACH = 2.0, np.array([3, 6, 6])
place = np.moveaxis(np.indices(2 * REACH + 1), 0, -1) - REACH
place = place * SPACING / SIGMA
gauss = np.exp(-(place**2).sum(axis=-1) / 2)
gauss /= gauss.sum()
pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]

filters = np.empty((*gauss.shape, 1, 6), np.float32)
for channel, (i, j) in enumerate(pairs):
    derivative = gauss * (place[..., i] * place[..., j] - (i == j)) / SIGMA**2
    filters[..., 0, channel] = derivative - derivative.mean()
print(filters.shape)

images = volume[..., np.newaxis]  # (D, H, W, C)
second = aotconv.conv3d(
    images,
    filters,
    padding="same",
    padding_mode="edge",
)
print(second.shape)

hessian = np.empty((*SHAPE, 3, 3), np.float32)
for channel, (i, j) in enumerate(pairs):
    hessian[..., i, j] = hessian[..., j, i] = second[..., channel]
curvatures = np.linalg.eigvalsh(hessian)  # from the most negative on
tubes = np.maximum(-curvatures[..., 1], 0)

# %%
# Seen from above, the brightest voxel of each column:

figure, axes = plt.subplots(1, 3, figsize=(8, 2.95), layout="constrained")
names = ("as measured", "gaussian_filter", "tubes, by conv3d")
for axis, name, array in zip(axes, names, (volume, smooth, tubes), strict=True):
    above = array.max(axis=0)
    low, high = np.percentile(above, [5, 99.5])
    axis.imshow(above, cmap="magma", vmin=low, vmax=high)
    axis.set_title(name)
    axis.axis("off")
plt.show()
