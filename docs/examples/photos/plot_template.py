"""
Where is it?
============

A piece of a photo is found again in a darker, noisy one, where the light falls from one side.
Plain correlation finds what is bright; normalised by the mean and variance of each window, it finds
what is alike.  That takes :func:`aotconv.ndimage.correlate`, and for means and variances
:func:`aotconv.ndimage.uniform_filter`.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from skimage import data

from aotconv import ndimage

photo = data.camera().astype(np.float32) / 255
TOP, LEFT, SIDE = 90, 205, 71
template = photo[TOP : TOP + SIDE, LEFT : LEFT + SIDE]

rng = np.random.default_rng(3)
light = np.linspace(0.85, 0.25, photo.shape[1], dtype=np.float32)
noise = rng.normal(0, 0.06, photo.shape).astype(np.float32)
scene = photo * light + noise

# %%
# Correlation
# -----------
#
# With 71 x 71 weights every pixel of the result is a sum of 5,041 products.  ``"fastest"`` takes
# Fourier transforms where these are faster, and for small windows the sums themselves.  A result
# belongs to the middle of its window; ``inside`` are those whose windows lie within the scene, so
# that element (0, 0) is of the window whose corner is (0, 0).

pattern = template - template.mean()
inside = (slice(SIDE // 2, -(SIDE // 2)),) * 2
plain = ndimage.correlate(scene, template, algorithm="fastest")[inside]
alike = ndimage.correlate(scene, pattern, algorithm="fastest")[inside]

# %%
# Normalised
# ----------
#
# A window's variance is the mean of its squares less the square of its mean.  Two calls of
# ``uniform_filter`` give these of all windows, however large they are.  The result is Pearson's
# correlation coefficient: 1 where the window is the template, but for brightness and contrast.

mean = ndimage.uniform_filter(scene, SIDE)[inside]
variance = ndimage.uniform_filter(scene**2, SIDE)[inside] - mean**2
spread = np.sqrt(np.maximum(variance, 1e-6))
coefficient = alike / (SIDE**2 * pattern.std() * spread)

found = np.unravel_index(coefficient.argmax(), coefficient.shape)
misled = np.unravel_index(plain.argmax(), plain.shape)
print("it was at", (TOP, LEFT), "and is found at", tuple(map(int, found)))
print(f"the coefficient there is {coefficient.max():.3f}")

# %%
# What was found, and what was not
# --------------------------------

figure, axes = plt.subplots(2, 2, figsize=(8, 8.5), layout="constrained")
axes[0, 0].imshow(template, cmap="gray")
axes[0, 0].set_title("the template")
axes[0, 1].imshow(scene, cmap="gray")
axes[0, 1].set_title("the scene, and what was found")
for name, (top, left), look in (
    ("by coefficient", found, {"color": "#ffd23f"}),
    ("by plain correlation", misled, {"color": "#ff6b6b", "ls": "--"}),
):
    box = Rectangle((left, top), SIDE, SIDE, fill=False, lw=2.5, label=name, **look)
    axes[0, 1].add_patch(box)
axes[0, 1].legend(loc="lower left")
for axis, array, title in (
    (axes[1, 0], plain, "plain correlation"),
    (axes[1, 1], coefficient, "correlation coefficient"),
):
    picture = axis.imshow(array, cmap="magma")
    figure.colorbar(picture, ax=axis, shrink=0.8, location="bottom")
    axis.set_title(title)
for axis in axes.flat:
    axis.axis("off")
plt.show()

# %%
# Photo: "camera", by Lav Varshney, CC0, from scikit-image.
