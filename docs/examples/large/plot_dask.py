"""
An array in blocks, without seams
=================================

An array that is larger than memory, or spread over machines, comes in blocks.  A filter's windows
reach over the edges of blocks, so filtering each by itself leaves seams.  :mod:`aotconv.dask` reads
for each block exactly what its windows read of the blocks beside it: the result has the bits of one
call, whatever the blocks are.
"""

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from skimage import data

import aotconv.dask
from aotconv import ndimage

# %%
# A photo stands for a large array: grey, and cut into blocks that need not be of the same size.

SIGMA = 8.0
photo = data.camera().astype(np.float32) / 255
blocks = da.from_array(photo, chunks=((130, 130, 130, 122), (170, 170, 172)))
print(blocks.numblocks, "blocks of", blocks.chunks)

# %%
# Lazily
# ------
# Nothing is computed yet: the result is an array of dask, which knows its shape and its dtype.
# What is looked at is computed, and no more: for one block the elements of it and as many around
# it as the filter's windows reach.

smooth = aotconv.dask.gaussian_filter(blocks, SIGMA)
print(smooth.shape, smooth.dtype, "in", smooth.numblocks, "blocks")
one_block = smooth.blocks[1, 1].compute()
print("one block:", one_block.shape)

# %%
# Two ways
# --------
# The first filters each block by itself, with dask's ``map_blocks``.

naive = blocks.map_blocks(ndimage.gaussian_filter, SIGMA, dtype=np.float32).compute()
whole = ndimage.gaussian_filter(photo, SIGMA)
result = smooth.compute()
print(f"by map_blocks: {np.mean(naive != whole):.0%} of the elements are others")
print("by aotconv.dask the same bits as one call:", np.array_equal(result, whole))

# %%
# Windows of sigma 8 reach over 32 elements to each side, four sigmas.  The dotted line is around
# all that is read for one block.

reach = int(4 * SIGMA + 0.5)
height, width = photo.shape
figure, ((first, second), (third, fourth)) = plt.subplots(
    2, 2, figsize=(9, 9.9), layout="constrained"
)
first.imshow(photo, cmap="gray")
first.set_title("The array, its blocks, what one of them reads", loc="left", size=11)
for edge in np.cumsum(blocks.chunks[0])[:-1]:
    first.axhline(edge - 0.5, color="#ffe14d", lw=1.5)
for edge in np.cumsum(blocks.chunks[1])[:-1]:
    first.axvline(edge - 0.5, color="#ffe14d", lw=1.5)
first.add_patch(Rectangle((170, 130), 170, 130, color="#d9541e", alpha=0.35, lw=0))
corner, size = (170 - reach, 130 - reach), (170 + 2 * reach, 130 + 2 * reach)
first.add_patch(Rectangle(corner, *size, fill=False, color="#d9541e", ls=":", lw=3))

second.imshow(naive, cmap="gray", vmin=0, vmax=1)
second.set_title("map_blocks: each block by itself", loc="left", size=11)

for axes, array, name in ((third, naive, "map_blocks"), (fourth, result, "aotconv.dask")):
    difference = axes.imshow(array - whole, cmap="RdBu_r", vmin=-0.05, vmax=0.05)
    axes.set_title(f"{name}, less one call of the whole", loc="left", size=11)
figure.colorbar(difference, ax=[third, fourth], orientation="horizontal", aspect=50, pad=0.02)
for axes in figure.axes[:4]:
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.set_axis_off()
plt.show()

# %%
# More
# ----
# The functions of :mod:`aotconv.ndimage`, :func:`aotconv.conv1d` to :func:`aotconv.conv3d` and all
# pools are there under the same names, with strides, dilations and every border.  The photo is
# ``camera`` of scikit-image, by Lav Varshney, CC0.
