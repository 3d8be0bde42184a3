"""
Training by hand
================

A network learns by going against the gradient of its loss.  :mod:`aotconv.gradients` has the two
gradients that convolutions need, and those of pools; the rest of a small network is a few lines of
NumPy.  No framework takes part, so everything can be looked at.

The network and its training are in `train.py
<https://github.com/aotconv/aotconv/blob/main/docs/examples/networks/train.py>`_, a short script
that this page imports: put it beside this script.
"""

import matplotlib.pyplot as plt
import numpy as np
import train

from aotconv import ndimage

# %%
# What it is to learn
# -------------------
# Images of noise, each with a patch of stripes at a random place.  There are four kinds of stripes,
# by their direction.  The network is a convolution by four filters of 4 x 4 pixels, ReLU, a max
# pool and a dense layer.

rng = np.random.default_rng(0)
images, kinds = train.make_images(rng, 2000)
print(images.shape, images.dtype)

# %%
# The way back
# ------------
# :func:`~aotconv.gradients.conv2d_filters` takes what the convolution took, the images, and the
# loss's gradient by what it gave.  In ``train.backward`` that comes from the layers behind it,
# through :func:`~aotconv.gradients.max_pool2d_images`, which sends each gradient to the pixel that
# was the largest.
#
# Whoever writes a gradient should doubt it.  The loss, measured on both sides of some weights, must
# change as the gradient says:

weights, _ = train.train(rng, images, kinds, steps=0)  # as training starts
weights = [each.astype(np.float64) for each in weights]
some = images[:64].astype(np.float64)
scores, kept = train.forward(weights, some)
_, by_scores = train.loss_of(scores, kinds[:64])
by_filters, *_ = train.backward(weights, some, kept, by_scores)

direction = rng.standard_normal(by_filters.shape)
losses = []
for step in (1e-7, -1e-7):  # so small that no maximum moves
    filters = weights[0] + step * direction
    scores, _ = train.forward([filters, *weights[1:]], some)
    losses.append(train.loss_of(scores, kinds[:64])[0])
print(f"{(by_filters * direction).sum():.6f} says the gradient")
print(f"{(losses[0] - losses[1]) / 2e-7:.6f} is measured")

# %%
# Training
# --------
# A hundred steps of 64 images each, then a thousand images that it has not seen.

weights, losses = train.train(np.random.default_rng(1), images, kinds, steps=100)
before, _ = train.train(np.random.default_rng(1), images, kinds, steps=0)
unseen, truth = train.make_images(rng, 1000)
scores, (convolved, *_) = train.forward(weights, unseen)
right = (scores.argmax(axis=1) == truth).mean()
print(f"{right:.1%} of {len(unseen)} images that it has not seen")

figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
axes.plot(losses, color="#9fb2c3", lw=1, label="of each step's 64 images")
smooth = ndimage.gaussian_filter1d(losses, 2, mode="nearest")
axes.plot(smooth, color="#d9541e", lw=2, label="smoothed by gaussian_filter1d")
axes.axhline(np.log(4), color="0.6", lw=1, ls="--")
axes.text(100, np.log(4), "guessing", va="bottom", ha="right", color="0.4")
axes.set(xlabel="step", ylabel="loss", xlim=(0, 100), ylim=0)
axes.legend(frameon=False)
plt.show()

# %%
# What it learnt
# --------------
# The filters began as noise, red where they add and blue where they subtract.  Now they have
# stripes, and answer where they find them.  Which of them answer says which kind an image is of.

examples = [np.flatnonzero(truth == kind)[0] for kind in range(4)]
figure, grid = plt.subplots(6, 5, figsize=(8, 9.4), layout="constrained")
largest = abs(weights[0].mean(axis=2)).max()
for row, (name, filters) in enumerate([("filters at first", before[0]), ("learnt", weights[0])]):
    for column, axes in enumerate(grid[row, 1:]):
        shown = filters[..., column].mean(axis=2)  # of the three colours
        axes.imshow(shown, cmap="RdBu_r", vmin=-largest, vmax=largest)
    grid[row, 0].text(1, 0.5, name, ha="right", va="center", transform=grid[row, 0].transAxes)
for row, example in enumerate(examples, 2):
    grid[row, 0].imshow(np.clip(0.5 + unseen[example] / 4, 0, 1))
    for column, axes in enumerate(grid[row, 1:]):
        axes.imshow(convolved[example, ..., column], cmap="gray_r", vmin=0, vmax=convolved.max())
grid[2, 0].set_title("images", size=11)
grid[2, 1].set_title("what each filter answers", size=11, loc="left")
for axes in grid.flat:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("0.8")
for axes in grid[:2, 0]:
    axes.spines[:].set_visible(False)
plt.show()

# sphinx_gallery_thumbnail_number = 2

# %%
# Elsewhere
# ---------
# :func:`~aotconv.gradients.conv2d_images` is the gradient by the images, which a layer in front of
# this one would need.  Both gradients take every stride, padding, border and group that
# :func:`aotconv.conv2d` takes; ``autograd_conv2d.py`` beside ``train.py`` tells them to autograd.
