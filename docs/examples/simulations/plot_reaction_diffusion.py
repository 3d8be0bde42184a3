"""
Patterns that grow
==================

Two substances spread, and one becomes the other where they meet: Gray and Scott's model.  All the
geometry in it is a Laplacian, :func:`aotconv.ndimage.laplace`.  Both substances of four worlds are
one array, and each step is one call.
"""

import matplotlib.pyplot as plt
import numpy as np

from aotconv import ndimage

# %%
# The model
# ---------
#
# u becomes v where it meets two of v; u is fed, v decays, both spread::
#
#     du/dt = 0.16 laplace(u) - u v v + feed (1 - u)
#     dv/dt = 0.08 laplace(v) + u v v - (feed + kill) v
#
# What grows depends on the two rates alone.

RATES = {
    "spots": (0.035, 0.065),
    "labyrinth": (0.037, 0.060),
    "worms": (0.050, 0.063),
    "holes": (0.039, 0.058),
}
rates = np.array(list(RATES.values()), np.float32)
feed, kill = rates.T[:, :, np.newaxis, np.newaxis]
spread = np.array([0.16, 0.08], np.float32).reshape(2, 1, 1, 1)

# %%
# The worlds
# ----------
#
# (substances, worlds, rows, columns), float32, with some v in a few places.

SIDE, STEPS = 128, 4000
rng = np.random.default_rng(1)
state = np.zeros((2, len(RATES), SIDE, SIDE), np.float32)
u, v = state  # views: to change them is to change state
u[:] = 1
for row, column in rng.integers(0, SIDE - 8, (24, 2)):
    u[:, row : row + 8, column : column + 8] = 0.5
    v[:, row : row + 8, column : column + 8] = 0.25
state += rng.normal(0, 0.01, state.shape)

# %%
# Steps
# -----
#
# ``axes`` says which axes are space; the others are a batch.  ``mode="wrap"`` joins opposite
# borders.  ``output`` is an array that is there already, so that no step needs new memory for it.

change = np.empty_like(state)
for _ in range(STEPS):
    ndimage.laplace(state, output=change, mode="wrap", axes=(-2, -1))
    change *= spread
    reaction = u * v * v
    change[0] += feed * (1 - u) - reaction
    change[1] += reaction - (feed + kill) * v
    state += change

figure, axes = plt.subplots(2, 2, figsize=(8, 8.5), layout="constrained")
for axis, world, name in zip(axes.flat, v, RATES, strict=True):
    axis.imshow(world, cmap="YlGnBu_r", interpolation="bicubic")
    axis.set_title("{}: feed {:.3f}, kill {:.3f}".format(name, *RATES[name]))
    axis.axis("off")
plt.show()
