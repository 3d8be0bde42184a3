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
    way = start + (end - start) * time + swings * np.sin(2 * np.pi * time + phases)
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


def show_slices(rows):
    """Three slices through the middle of each volume."""
    z, y, x = (size // 2 for size in SHAPE)
    _, axes = plt.subplots(len(rows), 3, figsize=(8, 5.5), layout="constrained")
    for line, (name, array) in zip(axes, rows.items(), strict=True):
        limits = {"vmin": np.percentile(array, 1), "vmax": np.percentile(array, 99.7)}
        for axis, plane in zip(line, (array[z], array[:, y], array[:, :, x]), strict=True):
            axis.imshow(plane, cmap="magma", extent=(0, 96, 96, 0), **limits)  # in millimetres
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=12)
    titles = ("y down, x right", "z down, x right", "z down, y right")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=11)


show_slices({"as measured": volume, "gaussian_filter": smooth})
plt.show()

# %%
# Six derivatives in one call
# ---------------------------
#
# Filters (KD, KH, KW, C, O) of one channel and six results: a Gaussian's second derivatives along
# zz, yy, xx, zy, zx and yx, in millimetres.  Across a bright tube two of the three curvatures are
# strongly negative, and the third, along it, is small.  The second of them is drawn.

SIGMA, REACH = 2.0, np.array([3, 6, 6])
place = np.stack(np.mgrid[tuple(slice(-r, r + 1) for r in REACH)], axis=-1) * SPACING
gauss = np.exp(-(place**2).sum(axis=-1) / (2 * SIGMA**2))
gauss /= gauss.sum()
pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
filters = [
    gauss * (place[..., i] * place[..., j] / SIGMA**2 - (i == j)) / SIGMA**2 for i, j in pairs
]
filters = [each - each.mean() * (i == j) for each, (i, j) in zip(filters, pairs, strict=True)]
filters = np.stack(filters, axis=-1)[:, :, :, np.newaxis].astype(np.float32)
print(filters.shape)

second = aotconv.conv3d(volume[..., np.newaxis], filters, padding="same", padding_mode="edge")
print(second.shape)

hessian = np.empty((*SHAPE, 3, 3), np.float32)
for channel, (i, j) in enumerate(pairs):
    hessian[..., i, j] = hessian[..., j, i] = second[..., channel]
curvatures = np.linalg.eigvalsh(hessian)  # from the most negative on
tubes = np.maximum(-curvatures[..., 1], 0)

# %%
# Seen from above, the brightest voxel of each column:

figure, axes = plt.subplots(1, 3, figsize=(8, 2.95), layout="constrained")
seen = {"as measured": volume, "gaussian_filter": smooth, "tubes, by conv3d": tubes}
for axis, (name, array) in zip(axes, seen.items(), strict=True):
    above = array.max(axis=0)
    axis.imshow(above, cmap="magma", vmin=np.percentile(above, 5), vmax=np.percentile(above, 99.5))
    axis.set_title(name)
    axis.axis("off")
plt.show()
