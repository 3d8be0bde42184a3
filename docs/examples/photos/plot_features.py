"""
Features of a photo
===================

Twelve filters of three channels each find what a photo holds: edges by their direction, small
spots, waves of a given length, contrasts of colour.  All of them are one array and one call of
:func:`aotconv.conv2d`, as in the first layer of a network.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import aotconv

photo = data.astronaut().astype(np.float32) / 255  # (H, W, 3)

# %%
# A bank of filters
# -----------------
#
# Each filter is a pattern of 7 x 7 pixels times a weight for each colour.  Stacked along the last
# axis they are (KH, KW, C, O): height, width, channels of the photo, channels of the result.

y, x = np.mgrid[-3:4, -3:4].astype(float)
grey = np.array([1, 1, 1]) / 3  # of red, green and blue
red_green = np.array([0.5, -0.5, 0])
blue_yellow = np.array([-0.25, -0.25, 0.5])


def gauss(sigma):
    weights = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    return weights / weights.sum()


def along(degrees):
    """How far pixels lie along a direction; y points down."""
    angle = np.deg2rad(degrees)
    return x * np.cos(angle) + y * np.sin(angle)


def balanced(pattern):
    """Without an answer to even areas."""
    pattern = pattern - pattern.mean()
    return pattern / np.abs(pattern).sum()


bank = {"blur": (gauss(2), grey)}
for degrees in (0, 45, 90, 135):
    bank[f"edge, {degrees}°"] = balanced(along(degrees) * gauss(1.2)), grey
for degrees in (0, 60, 120):
    waves = np.cos(2 * np.pi * along(degrees) / 4)
    bank[f"waves, {degrees}°"] = balanced(waves * gauss(1.7)), grey
bank["spots"] = balanced((2 - x**2 - y**2) * gauss(1)), grey
bank["relief"] = gauss(0.3) / 8 + balanced(along(45) * gauss(0.8)), grey
bank["red - green"] = gauss(2), red_green
bank["blue - yellow"] = gauss(2), blue_yellow

filters = [np.multiply.outer(*each) for each in bank.values()]
filters = np.stack(filters, axis=-1).astype(np.float32)
print(filters.shape)

# %%
# One call
# --------
#
# ``padding="same"`` keeps the photo's size.  Around it stands its mirror image, not zeros, which
# the filters would take for an edge.

maps = aotconv.conv2d(
    photo,
    filters,
    padding="same",
    padding_mode="reflect",
)
print(maps.shape)

# %%
# Zero is black under "blur" and grey under the others.

figure = plt.figure(figsize=(8, 8.6), layout="constrained")
grid = figure.add_gridspec(4, 4)
large = figure.add_subplot(grid[:2, :2])
large.imshow(photo)
large.set_title("the photo")
large.axis("off")
places = [(i, j) for i in range(4) for j in range(4) if max(i, j) > 1]
for channel, (name, place) in enumerate(zip(bank, places, strict=True)):
    feature = maps[..., channel]
    limit = np.percentile(np.abs(feature), 98)  # but highlights
    low = 0 if name == "blur" else -limit
    axis = figure.add_subplot(grid[place])
    axis.imshow(feature, cmap="gray", vmin=low, vmax=limit)
    axis.set_title(name)
    axis.axis("off")
plt.show()

# %%
# For many photos keep a layer, which packs its weights once:
# ``layer = aotconv.Conv2D(filters, padding="same", padding_mode="reflect")``,
# then ``layer(photo)``.
#
# Photo: Eileen Collins, by NASA, public domain, from scikit-image.
