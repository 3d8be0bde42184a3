"""
An ONNX model on NumPy alone
============================

A model of ONNX is a graph of operators and the weights in it.  :func:`aotconv.onnx.load` reads one,
rewrites it so that what belongs together is computed together, and runs it, without a framework.
Here the model is small and made by hand, so that one can see what each operator does: it finds the
edges of a photo, tells their directions apart, and marks where many lie together.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skimage import data

import aotconv.onnx

# %%
# Weights
# -------
# The first convolution: eight waves under a Gaussian (Gabor filters), each turned by 22.5 degrees.
# The second one has two filters over these eight maps.  One adds edges that stand and subtracts
# those that lie.  The other adds all directions, and its bias asks for several edges at once.

TURNS = 8
y, x = np.mgrid[-4:5, -4:5]
edges = np.empty((TURNS, 1, 9, 9), np.float32)  # ONNX' order: O, C, KH, KW
for turn in range(TURNS):
    angle = np.pi * turn / TURNS
    across = x * np.cos(angle) + y * np.sin(angle)
    wave = np.sin(across) * np.exp(-(x**2 + y**2) / 8)
    edges[turn, 0] = wave / abs(wave).sum()

seen = np.cos(2 * np.pi * np.arange(TURNS) / TURNS)  # 1 for standing edges, -1 for lying ones
near = np.outer(np.hanning(7)[1:-1], np.hanning(7)[1:-1])
second = np.stack([np.multiply.outer(seen, near), np.multiply.outer(np.ones(TURNS), near)])
second = second.astype(np.float32) / near.sum().astype(np.float32)

# %%
# The graph
# ---------
# As an exporter would write it: one node after the other, each with names of what it reads and
# gives.  Images have the axes (N, C, H, W); sizes that are names are left open.

weights = {
    "around": np.array([0, 0, 4, 4, 0, 0, 4, 4]),  # begins of all axes, then ends
    "edges": edges,
    "second": second,
    "bias": np.array([0, -0.5], np.float32),
    "scales": np.array([1, 1, 4, 4], np.float32),
}
nodes = [
    helper.make_node("Pad", ["photo", "around"], ["wider"], mode="reflect"),
    helper.make_node("Conv", ["wider", "edges"], ["waves"]),
    helper.make_node("Abs", ["waves"], ["strengths"]),
    helper.make_node("MaxPool", ["strengths"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
    helper.make_node("Conv", ["pooled", "second", "bias"], ["sums"], pads=[2] * 4),
    helper.make_node("Relu", ["sums"], ["small"]),
    helper.make_node("Resize", ["small", "", "scales"], ["marks"], mode="linear"),
]
sizes = {"photo": [1, 1, "h", "w"], "pooled": [1, 8, None, None], "marks": [1, 2, None, None]}
declared = {
    name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    for name, shape in sizes.items()
}
graph = helper.make_graph(
    nodes,
    "edges",
    inputs=[declared["photo"]],
    outputs=[declared["marks"], declared["pooled"]],
    initializer=[numpy_helper.from_array(array, name) for name, array in weights.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
onnx.checker.check_model(model)

# %%
# Load and run
# ------------
# ``run`` takes arrays by name, as often as one likes; a feed must have the dtype that is declared.

photo = data.camera().astype(np.float32)[np.newaxis, np.newaxis] / 255
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "edges.onnx"
    onnx.save(model, path)
    loaded = aotconv.onnx.load(path)
print(loaded.input_names, "to", loaded.output_names)
marks, pooled = loaded.run(None, {"photo": photo})
print(marks.shape, pooled.shape)

# %%
# What was rewritten: the second convolution and its Relu are one layer.  ``profile`` runs the model
# once and says how long each node took, here on the machine that built this page.

for each in loaded.profile({"photo": photo}):
    print(f"{each.operator:10} {each.name:10} {1e6 * each.seconds:6.0f} microseconds")

# %%
# Feature maps
# ------------
# Each of the eight answers edges of its direction, which the small picture of its filter shows.

figure, grid = plt.subplots(2, 4, figsize=(9, 4.7), layout="constrained")
for turn, axes in enumerate(grid.flat):
    axes.imshow(pooled[0, turn], cmap="gray_r", vmin=0, vmax=0.5)
    corner = axes.inset_axes([0.77, 0.77, 0.23, 0.23])
    corner.imshow(edges[turn, 0], cmap="RdBu_r", vmin=-0.03, vmax=0.03)
    for each in (axes, corner):
        each.set(xticks=[], yticks=[])
        each.spines[:].set_color("0.8")
figure.suptitle(
    "pooled: eight directions, the largest of 4 x 4 pixels", x=0.005, ha="left", size=11
)
plt.show()

# %%

figure, row = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained")
titles = "photo", "edges that stand", "where many edges are"
for axes, title, mark in zip(row, titles, (None, *marks[0]), strict=True):
    axes.imshow(photo[0, 0], cmap="gray", alpha=1 if mark is None else 0.5)
    if mark is not None:
        axes.imshow(mark, cmap="Oranges", alpha=np.clip(mark / mark.max() * 2, 0, 1))
    axes.set_title(title, loc="left", size=11)
    axes.set_axis_off()
plt.show()

# sphinx_gallery_thumbnail_number = 2

# %%
# The photo is ``camera`` of scikit-image, by Lav Varshney, CC0.
