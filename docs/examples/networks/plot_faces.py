"""
Faces by three small networks
=============================

MTCNN finds faces by three convolutional networks, of 6,632, 100,178 and 389,040 weights.  Each
looks at what the one before it left over, so that the large ones have little to do.  All of it is
convolutions, pools and NumPy's arithmetic.

The networks are read and run by `faces.py
<https://github.com/aotconv/aotconv/blob/main/docs/examples/networks/faces.py>`_, which this page
imports: put it beside this script.  The weights are in the package mtcnn
(``pip install mtcnn==1.0.0``), which itself computes by TensorFlow and is not imported.
"""

import faces
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from skimage import data

# %%
# A network that slides
# ---------------------
# P-Net looks at windows of 12 x 12 pixels.  Since all of its layers are convolutions, one call
# looks at all windows of a photo, two pixels apart, and gives a map of how likely a face is in
# each.  Large faces are found in smaller copies of the photo.

photo = data.astronaut()  # Eileen Collins, by NASA, public domain
pnet, rnet, onet = networks = faces.load_networks()
image = (photo.astype(np.float32) - 127.5) / 128
# Sums of all that is above and to the left, of which `shrink` makes means over areas:
sums = np.pad(image.cumsum(0, np.float64).cumsum(1), ((1, 0), (1, 0), (0, 0)))

figure, columns = plt.subplots(2, 3, figsize=(9, 6.2), layout="constrained")
for column, scale in zip(columns.T, (0.42, 0.21, 0.105), strict=True):
    small = faces.shrink(sums, scale)
    likely, _ = faces.run(pnet, small)
    column[0].imshow(0.5 + small / 2)
    column[0].set_title(f"{small.shape[1]} x {small.shape[0]} pixels", size=11, loc="left")
    shown = column[1].imshow(likely, cmap="magma", vmin=0, vmax=1)
    largest = round(12 / scale)
    column[1].set_title(f"a face of {largest} x {largest}?", size=11, loc="left")
    for axes in column:
        axes.set_axis_off()
figure.colorbar(shown, ax=columns[1], label="how likely", fraction=0.05, pad=0.02)
plt.show()

# %%
# Three networks, one after the other
# -----------------------------------
# ``find_faces`` returns the boxes behind each network.  P-Net is quick and believes in many faces;
# R-Net looks at these again, 24 x 24 pixels of each; O-Net at 48 x 48 of what R-Net leaves, and
# also says where eyes, nose and mouth are.

stages = faces.find_faces(networks, photo)
titles = "P-Net proposes {} boxes", "R-Net keeps {}", "O-Net keeps {}"
figure, row = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for axes, title, found in zip(row, titles, stages, strict=True):
    axes.imshow(photo, alpha=0.5)
    for left, top, right, bottom in found[:, :4]:
        style = {"edgecolor": "#0b3d91", "lw": 0.5 + 1.5 * (len(found) < 9)}
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, **style))
    axes.set_title(title.format(len(found)), size=11, loc="left")
    axes.set_axis_off()
plt.show()

# %%
# The face
# --------

(face,) = stages[-1]
left, top, right, bottom, likely = face[:5]
print(f"a face at {left:.0f}, {top:.0f} to {right:.0f}, {bottom:.0f}, {likely:.1%} likely")

figure, axes = plt.subplots(figsize=(4, 4.4), layout="constrained")
axes.imshow(photo)
size = right - left, bottom - top
axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor="#ffe14d", lw=2))
axes.plot(face[5:10], face[10:], "o", color="#ffe14d", mec="black", ms=6)
axes.set(xlim=(left - 30, right + 30), ylim=(bottom + 25, top - 35))
axes.set_title(f"{likely:.1%} likely a face", size=11, loc="left")
axes.set_axis_off()
plt.show()

# sphinx_gallery_thumbnail_number = 3

# %%
# The photo shows Eileen Collins, by NASA, public domain, from scikit-image.
