"""
Which way does the fur lie?
===========================

Gabor's filters answer to waves of one length and one direction.  Twelve of them, of complex
numbers, are one call of :func:`aotconv.conv2d`: the absolute value of each result says how strong
the waves are, wherever their crests lie.  Together they give the direction of the fur at every
pixel.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import hsv_to_rgb
from skimage import data

import aotconv
from aotconv import ndimage

photo = data.chelsea()
grey = photo @ np.array([0.299, 0.587, 0.114], np.float32) / 255

# %%
# The bank
# --------
#
# ``exp(2 pi i u / LENGTH)`` under a Gaussian, where u counts pixels along one of twelve directions.
# So much of the Gaussian is subtracted that each sums to zero, and even areas do not answer.

LENGTH, SIGMA, REACH = 5.0, 2.5, 7
angles = np.arange(12) * np.pi / 12
x = np.arange(-REACH, REACH + 1)[:, np.newaxis]
y = x[:, np.newaxis]
u = x * np.cos(angles) + y * np.sin(angles)  # (15, 15, 12)
gauss = np.exp(-(x**2 + y**2) / (2 * SIGMA**2))
gauss /= gauss.sum()
bank = gauss * np.exp(2j * np.pi * u / LENGTH)
bank -= gauss * bank.sum(axis=(0, 1))

figure, axes = plt.subplots(1, 12, figsize=(8, 0.9), layout="constrained")
for channel, axis in enumerate(axes):
    axis.imshow(bank[..., channel].real, cmap="gray")
    axis.set_title(f"{np.rad2deg(angles[channel]):.0f}°", fontsize=9)
    axis.axis("off")
plt.show()

# %%
# One call
# --------
#
# The photo is real and has one channel; filters are (KH, KW, C, O), results complex64.

image = grey[..., np.newaxis]
filters = bank[:, :, np.newaxis].astype(np.complex64)
answers = aotconv.conv2d(
    image,
    filters,
    padding="same",
    padding_mode="reflect",
)
print(answers.shape, answers.dtype)
energy = np.abs(answers)

# %%
# A direction is the same after half a turn, so angles are doubled before they are averaged.  Waves
# run across the hairs.  A little blur joins what neighbours say: complex numbers are filtered as
# real ones are.

mean = (energy * np.exp(2j * angles)).sum(axis=-1)
mean = ndimage.gaussian_filter(mean, 3)
direction = (np.angle(mean) / 2 + np.pi / 2) % np.pi  # of the hairs
strength = np.abs(mean)
strength = (strength / np.percentile(strength, 98)).clip(0, 1)

# %%
# Which way the fur lies
# ----------------------
#
# The colour says the direction, its brightness how clear that is; the strokes say the same.

colours = np.full((*grey.shape, 3), 0.8)  # hue, saturation, brightness
colours[..., 0] = direction / np.pi
colours[..., 2] = strength
rows, columns = np.mgrid[8 : grey.shape[0] : 12, 8 : grey.shape[1] : 12]
turn = direction[rows, columns]
length = 10 * np.sqrt(strength[rows, columns])

# sphinx_gallery_thumbnail_number = 2
figure, axes = plt.subplots(2, 1, figsize=(8, 10.9), layout="constrained")
axes[0].imshow(photo)
axes[1].imshow(hsv_to_rgb(colours))
axes[1].quiver(
    columns,
    rows,
    length * np.cos(turn),
    length * np.sin(turn),
    color="white",
    angles="xy",
    scale_units="xy",
    scale=1,
    pivot="mid",
    headwidth=0,
    headlength=0,
    headaxislength=0,
    width=0.0018,
)
for axis in axes:
    axis.axis("off")
plt.show()

# %%
# Photo: the cat Chelsea, by Stefan van der Walt, CC0, from scikit-image.
