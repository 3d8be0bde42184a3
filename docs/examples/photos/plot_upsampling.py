"""
Upsampling
==========

A photo enlarged four times by :func:`aotconv.conv2d_transpose`, whose filter says how: "nearest" by
a square, bilinear by a tent, sharper by Lanczos' kernel.  The same kernels make photos smaller by
:func:`aotconv.conv2d`.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import aotconv

STRIDE = 4
photo = data.astronaut()[8:208, 124:324].astype(np.float32) / 255

# %%
# Kernels
# -------
#
# A kernel f of ``reach`` pixels to each side becomes ``2 * reach * STRIDE`` taps.  Every STRIDE-th
# tap meets the same pixel of the result; their sum is made 1, so that even areas stay as they are.
# One filter for each colour, with ``groups=3``: (KH, KW, 1, 3).


def square(t):
    return np.abs(t) < 0.5


def tent(t):
    return np.maximum(1 - np.abs(t), 0)


def lanczos(t):
    return np.sinc(t) * np.sinc(t / 3) * (np.abs(t) < 3)


def filters_of(kernel, reach):
    places = (np.arange(2 * reach * STRIDE) + 0.5) / STRIDE - reach
    taps = kernel(places).reshape(2 * reach, STRIDE)
    taps = (taps / taps.sum(axis=0)).ravel()
    weights = np.outer(taps, taps).astype(np.float32)
    return np.stack([weights] * 3, axis=-1)[:, :, np.newaxis]


# %%
# Smaller, then larger
# --------------------
#
# Of a size ``n * STRIDE``, padding of ``(2 * reach - 1) * STRIDE / 2`` on each side leaves n
# pixels, each in the middle of those that it stands for.  ``conv2d`` mirrors the photo at its
# borders.


def smaller(image, kernel, reach):
    return aotconv.conv2d(
        image,
        filters_of(kernel, reach) / STRIDE**2,
        strides=STRIDE,
        padding=(2 * reach - 1) * STRIDE // 2,
        padding_mode="symmetric",
        groups=3,
    )


# %%
# The way back cuts as much.  Beyond the borders a transposed convolution knows nothing: the last
# pixels would fade to black.  So the small photo gets ``reach`` more pixels around it, and
# ``padding`` cuts what becomes of them.


def larger(image, kernel, reach):
    more = ((reach, reach), (reach, reach), (0, 0))
    return aotconv.conv2d_transpose(
        np.pad(image, more, "symmetric"),
        filters_of(kernel, reach),
        strides=STRIDE,
        padding=(2 * reach - 1) * STRIDE // 2 + reach * STRIDE,
        groups=3,
    )


small = smaller(photo, lanczos, 3)
print(photo.shape, "->", small.shape)

sharp = larger(small, lanczos, 3)
results = {
    "nearest: a square": larger(small, square, 1),
    "bilinear: a tent": larger(small, tent, 1),
    "Lanczos, 3 pixels to each side": sharp,
}

# %%
# The decibels are the peak signal-to-noise ratio: the larger, the nearer to the photo itself.

figure, axes = plt.subplots(2, 2, figsize=(8, 8.5), layout="constrained")
for axis, (name, result) in zip(axes.flat, results.items(), strict=False):
    psnr = -10 * np.log10(np.mean((result - photo) ** 2))
    axis.imshow(result.clip(0, 1))
    axis.set_title(f"{name} ({psnr:.1f} dB)")
axes[1, 1].imshow(photo)
axes[1, 1].set_title("the photo itself")
for axis in axes.flat:
    axis.axis("off")
plt.show()

# %%
# At the border
# -------------
#
# By ``padding="same"`` alone, without these pixels more, the border fades: what reaches it is a
# part of the weights.

filters = filters_of(lanczos, 3)
faded = aotconv.conv2d_transpose(
    small,
    filters,
    strides=STRIDE,
    padding="same",
    groups=3,
)
figure, axes = plt.subplots(1, 2, figsize=(8, 2.35), layout="constrained")
names = ('padding="same" alone', "with pixels around")
for axis, name, result in zip(axes, names, (faded, sharp), strict=True):
    axis.imshow(result[-50:, -100:].clip(0, 1))
    axis.set_title(name)
    axis.axis("off")
plt.show()

# %%
# Photo: Eileen Collins, by NASA, public domain, from scikit-image.
