"""
A Keras model without a framework
=================================

Keras 3 computes by JAX, TensorFlow or PyTorch.  ``import aotconv.keras`` in front of ``import
keras`` puts aotconv into Keras' NumPy backend: models are built, loaded and predict with NumPy and
aotconv alone.  (They are trained elsewhere: that backend has no gradients.)

The model here needs no training.  It takes a photo apart into details of every size and puts it
together again: a Laplacian pyramid (P. J. Burt, E. H. Adelson, "The Laplacian Pyramid as a Compact
Image Code", IEEE Transactions on Communications 31, 1983).
"""

import aotconv.keras  # before keras
import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers
from skimage import data

print(f"Keras {keras.__version__} on {keras.backend.backend()}, aotconv {aotconv.__version__}")

# %%
# The model
# ---------
# At each level the photo is smoothed and made half as large.  What that, enlarged again, lacks of
# the photo are the details of that size.  Smoothing is a depthwise convolution, whose kernel is set
# by hand; the photo is continued by its mirror image, so that borders do not turn dark.

LEVELS = 4
WINDOW = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def smaller(images):
    """Half the size: means of 4 x 4 pixels of each channel, two pixels apart."""
    padded = keras.ops.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="symmetric")
    layer = layers.DepthwiseConv2D(4, strides=2, use_bias=False)
    result = layer(padded)
    layer.set_weights([np.repeat(WINDOW[..., np.newaxis, np.newaxis], 3, axis=2)])
    return result


def larger(images):
    """Twice the size: pixels between others are interpolated."""
    return layers.UpSampling2D(2, interpolation="bilinear")(images)


photos = current = keras.Input((None, None, 3))
details = []
for _ in range(LEVELS):
    small = smaller(current)
    details.append(layers.Subtract()([current, larger(small)]))
    current = small
apart = keras.Model(photos, [*details, current])

# %%
# And the way back, a model of its own: enlarge, add the details, and again.

inputs = [keras.Input((None, None, 3)) for _ in range(LEVELS + 1)]
*fine, together = inputs
for each in reversed(fine):
    together = layers.Add()([each, larger(together)])
back = keras.Model(inputs, together)

# %%
# Predict
# -------

photo = data.chelsea()[:288, :448].astype(np.float32) / 255
pyramid = apart.predict(photo[np.newaxis], verbose=0)
again = back.predict(pyramid, verbose=0)
for level in pyramid:
    print(level.shape)
print(f"largest difference from the photo: {abs(again - photo).max():.1e}")

# %%
# Feature maps
# ------------
# Details of each size, grey where there are none, and what is left.

figure, grid = plt.subplots(2, 3, figsize=(9, 4.4), layout="constrained")
shown = [photo, *(0.5 + 2 * level[0] for level in pyramid[:-1]), pyramid[-1][0]]
sizes = ["{1} x {0}".format(*picture.shape) for picture in shown]
names = ["photo", *(f"details, {size}" for size in sizes[1:-1]), f"what is left, {sizes[-1]}"]
for axes, picture, name in zip(grid.flat, shown, names, strict=True):
    axes.imshow(np.clip(picture, 0, 1))
    axes.set_title(name, loc="left", size=11)
    axes.set_axis_off()
plt.show()

# %%
# Details that are changed in between change the photo: here the finest are left out, and
# the coarse ones taken twice.

factors = (0, 1, 2, 2, 1)
changed = back.predict([f * level for f, level in zip(factors, pyramid, strict=True)], verbose=0)
figure, (first, second) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for axes, picture, name in ((first, photo, "photo"), (second, changed[0], "changed details")):
    axes.imshow(np.clip(picture, 0, 1))
    axes.set_title(name, loc="left", size=11)
    axes.set_axis_off()
plt.show()

# %%
# Saved models are read as everywhere: ``keras.saving.load_model("model.keras")``, and the networks
# of ``keras.applications`` predict, too.  Convolutions take the fastest algorithm unless
# :func:`aotconv.keras.set_algorithm` says otherwise.  The photo is ``chelsea`` of scikit-image, by
# Stefan van der Walt, CC0.
