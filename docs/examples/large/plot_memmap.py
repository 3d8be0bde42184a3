"""
A file that is larger than memory
=================================

``np.memmap`` shows a file as an array: the system reads what is looked at, and drops it again when
memory is wanted.  The filters of :mod:`aotconv.ndimage` take such an array as any other, and a
second one as ``output``.  What they hold beside the two files is some megabytes, tens of them where
a window spans many large planes, and not more because there are more planes.
"""

import tempfile
import tracemalloc
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from aotconv import ndimage

PLANE, SIGMA = (256, 256), 1.5

# %%
# A volume in a file
# ------------------
# Spheres in noise, written plane by plane, so that this takes no memory either.  A file of
# hundreds of gigabytes would be made and filtered by the same lines.


def write_volume(path, depth):
    """A file of a volume (depth, 256, 256), as an array."""
    rng = np.random.default_rng(0)
    volume = np.memmap(path, np.float32, "w+", shape=(depth, *PLANE))
    centres = rng.uniform(0, [depth, *PLANE], (depth // 2, 3))
    radii = rng.uniform(6, 16, len(centres))
    y, x = np.ogrid[: PLANE[0], : PLANE[1]]
    for z, plane in enumerate(volume):
        plane[:] = rng.standard_normal(PLANE, np.float32)
        for centre, radius in zip(centres, radii, strict=True):
            inside = radius**2 - (z - centre[0]) ** 2
            if inside > 0:
                plane += (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < inside
    return volume


folder = tempfile.TemporaryDirectory()
source = write_volume(Path(folder.name) / "source", 96)
target = np.memmap(Path(folder.name) / "target", np.float32, "w+", shape=source.shape)
print(source.shape, f"{source.nbytes / 1e6:.0f} MB")

# %%
# Filtered into another one
# -------------------------
# ``tracemalloc`` counts what Python and NumPy allocate; the files' own pages belong to the system.
# The two must be different files: that a file is mapped twice NumPy cannot see.

tracemalloc.start()
ndimage.gaussian_filter(source, SIGMA, output=target)
_, held = tracemalloc.get_traced_memory()
tracemalloc.stop()
print(f"held beside the two files: {held / 1e6:.1f} MB")

figure, (first, second) = plt.subplots(1, 2, figsize=(9, 4.8), layout="constrained")
for axes, volume, name in ((first, source, "source"), (second, target, "target")):
    axes.imshow(volume[48], cmap="gray", vmin=-1, vmax=2)
    axes.set_title(f"{name}[48]", loc="left", size=11)
    axes.set_axis_off()
plt.show()

# %%
# More planes
# -----------
# A call without ``output`` allocates its result.  With it, what is held does not grow.

depths, held_with, held_without = (24, 48, 72, 96), [], []
for depth in depths:
    for output, held in ((target[:depth], held_with), (None, held_without)):
        tracemalloc.start()
        ndimage.gaussian_filter(source[:depth], SIGMA, output=output)
        held.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
sizes = [source[:depth].nbytes / 1e6 for depth in depths]

figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
axes.plot(sizes, held_without, "o--", color="#4f6d8a", label="without: the result is in memory")
axes.plot(sizes, held_with, "o-", color="#d9541e", lw=2, label="with output=target")
axes.set(xlabel="megabytes of the file", ylabel="megabytes held", xlim=0, ylim=0)
axes.legend(frameon=False)
plt.show()

# %%
# Files are closed with the last array of theirs, and can be deleted then.

del source, target, volume, output
folder.cleanup()

# %%
# Elsewhere
# ---------
# `larger_than_memory.py
# <https://github.com/aotconv/aotconv/blob/main/docs/examples/large/larger_than_memory.py>`_ does
# this from the command line with as many gigabytes as it is told.  Where chunks of a compressed
# format, several processes or several machines are wanted, :mod:`aotconv.dask` has the same
# filters.
