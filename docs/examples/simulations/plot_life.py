"""
Conway's Game of Life
=====================

A cell lives on with two or three living neighbours, and is born where there are three.  A
generation is one :func:`aotconv.conv2d` of bytes with one filter.  ``padding_mode="wrap"`` joins
opposite borders: what leaves the world at one side enters at the other.
"""

import matplotlib.pyplot as plt
import numpy as np

import aotconv

# %%
# A generation
# ------------
#
# Neighbours count twice and the cell itself once.  So a sum of 5 is a living cell with two
# neighbours, 7 one with three, and 6 an empty place with three: those three sums live.  Sums of
# integers are exact, and bytes stay bytes.

weights = np.array([[2, 2, 2], [2, 1, 2], [2, 2, 2]], np.uint8)
filters = weights.reshape(3, 3, 1, 1)


def next_generation(cells):
    """Of worlds (..., H, W, 1), bytes of 0 and 1."""
    sums = aotconv.conv2d(
        cells,
        filters,
        padding="same",
        padding_mode="wrap",
    )
    return ((sums >= 5) & (sums <= 7)).astype(np.uint8)


# %%
# A glider leaves
# ---------------
#
# Five cells, which after four generations are the same five, one place further down and to the
# right.

world = np.zeros((12, 12, 1), np.uint8)
world[7:10, 7:10, 0] = [[0, 1, 0], [0, 0, 1], [1, 1, 1]]

figure, axes = plt.subplots(1, 5, figsize=(8, 1.9), layout="constrained")
for number in range(17):
    if number % 4 == 0:
        axis = axes[number // 4]
        axis.imshow(world[..., 0], cmap="Blues", vmax=1.3)
        axis.set_xticks(np.arange(12) - 0.5, [])
        axis.set_yticks(np.arange(12) - 0.5, [])
        axis.grid(color="#bbbbbb", lw=0.5)
        axis.tick_params(length=0)
        axis.set_title(f"generation {number}", fontsize=10)
    world = next_generation(world)
plt.show()

# %%
# From five cells
# ---------------
#
# The R-pentomino has five cells as well, and keeps this world busy for hundreds of generations.
# Cells that lived lately glow.

world = np.zeros((90, 120, 1), np.uint8)
world[44:47, 59:62, 0] = [[0, 1, 1], [1, 1, 0], [0, 1, 0]]
glow = np.zeros(world.shape, np.float32)

# sphinx_gallery_thumbnail_number = 2
figure, axes = plt.subplots(3, 2, figsize=(8, 9.4), layout="constrained")
places = dict(zip((0, 50, 150, 300, 600, 1000), axes.flat, strict=True))
for number in range(1001):
    glow = np.maximum(world, 0.96 * glow)
    if number in places:
        axis = places[number]
        axis.imshow(glow[..., 0] ** 1.5, cmap="inferno", vmin=0, vmax=1)
        axis.set_title(f"generation {number}: {world.sum()} cells")
        axis.axis("off")
    world = next_generation(world)
plt.show()
