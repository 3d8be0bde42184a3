"""Find the faces of a photo, with NumPy and aotconv alone.

    pip install mtcnn==1.0.0 pillow matplotlib
    python docs/examples/networks/faces.py photo.jpg

MTCNN is three small networks (K. Zhang et al., "Joint Face Detection and Alignment Using Multitask
Cascaded Convolutional Networks", IEEE Signal Processing Letters, 2016).  P-Net looks at windows of
12 x 12 pixels all over the photo, at many sizes of it, and proposes boxes.  R-Net and O-Net look
again, at 24 x 24 and 48 x 48 pixels of each box, drop most and move the others.

The weights are NumPy arrays in the package mtcnn (MIT licence); joblib and lz4, which pip installs
with it, read them.  mtcnn itself, which computes by TensorFlow, is not imported: the faces are the
same.

A row of `faces` is a box's left, top, right and bottom, how likely a face is in it, and, behind
O-Net, five x and five y: of the eyes, the nose, and the corners of the mouth.
"""

import argparse
import importlib.util
import itertools
import time
from pathlib import Path

import numpy as np

import aotconv

LONGEST_SIDE = 1280  # pixels; a larger photo is made smaller
SMALLEST_FACE, SHRINK = 20, 0.709  # pixels; from one size of the photo to the next

# Behind each layer of a network but the last: a max pool's window, strides and padding, or none.
POOLS = {
    "pnet": [(2, 2, "same"), None, None],
    "rnet": [(3, 2, "same"), (3, 2, "valid"), None, None],
    "onet": [(3, 2, "same"), (3, 2, "valid"), (2, 2, "same"), None, None],
}
COLOUR, BRIGHT = "#d9541e", "#ffe14d"


def find_faces(networks, photo):
    """Faces behind each of the three networks, the best first, of a photo (H, W, 3) of bytes."""
    pnet, rnet, onet = networks
    height, width, _ = photo.shape
    image = (photo.astype(np.float32) - 127.5) / 128
    proposed = suppress(propose(pnet, image), 0.7)
    kept = suppress(refine(rnet, image, proposed, 24, 0.7), 0.7)
    found = suppress(refine(onet, image, kept, 48, 0.8), 0.7, of_smaller=True)
    found[:, :4] = np.clip(found[:, :4], 0, [width - 1, height - 1] * 2)
    return proposed, kept, found


def propose(network, image):
    """Faces in windows of 12 x 12 pixels, two pixels apart, of an image at all its sizes."""
    sums = np.pad(image.cumsum(axis=1, dtype=np.float64), ((1, 0), (1, 0), (0, 0)))
    for above, row in itertools.pairwise(sums):
        row += above  # now sums are of all pixels above and to the left
    faces, scale = [np.empty((0, 5))], 12 / SMALLEST_FACE
    while scale * min(image.shape[:2]) >= 12:
        likely, moves = run(network, shrink(sums, scale))
        y, x = np.nonzero(likely > 0.6)
        corners = 2 * np.stack([x, y], axis=1) + 1  # the networks count pixels from one
        boxes = np.hstack([corners, corners + 11]) + 11 * moves[y, x]
        faces.append(suppress(np.column_stack([boxes / scale, likely[y, x]]), 0.5))
        scale *= SHRINK
    return np.concatenate(faces)


def refine(network, image, faces, pixels, least):
    """Faces after another look, at pixels x pixels of each: those that are likely enough."""
    sizes = faces[:, 2:4] - faces[:, :2]
    sides = sizes.max(axis=1, keepdims=True)
    corners = faces[:, :2] + (sizes - sides) / 2
    likely, results = run(network, cut(image, corners, sides, pixels))
    moves, landmarks = np.split((sides + 1) * results[:, 0, 0], [4], axis=1)
    boxes = np.hstack([corners, corners + sides]) + moves
    landmarks += np.repeat(corners, landmarks.shape[1] // 2, axis=1) - 1
    faces = np.hstack([boxes, likely[:, 0], landmarks])
    return faces[faces[:, 4] > least]


def suppress(faces, most, of_smaller=False):
    """Faces, the best first, without those that share more of their area with a better one.

    What is shared is a part of what both cover, or of the smaller one.  As in mtcnn, the better one
    need not be left itself.
    """
    faces = faces[faces[:, 4].argsort()[::-1]]
    corners = np.maximum(faces[:, np.newaxis, :2], faces[:, :2])
    sizes = np.minimum(faces[:, np.newaxis, 2:4], faces[:, 2:4]) - corners
    shared = np.maximum(sizes, 0).prod(axis=2)
    one, other = np.diag(shared), np.diag(shared)[:, np.newaxis]
    whole = np.minimum(one, other) if of_smaller else one + other - shared
    return faces[~np.triu(shared > most * whole, 1).any(axis=0)]


def shrink(sums, scale):
    """A smaller image, of means over areas: differences of sums between pixels."""
    for _ in ("rows", "columns"):
        size = len(sums) - 1
        edges = np.linspace(0, size, int(size * scale) + 1)
        before = np.minimum(edges.astype(int), size - 1)
        part = (edges - before)[:, np.newaxis, np.newaxis]
        at_edges = sums[before] * (1 - part) + sums[before + 1] * part
        sums = np.diff(at_edges, axis=0).swapaxes(0, 1) / edges[1]
    return sums.astype(np.float32)


def cut(image, corners, sides, pixels):
    """Squares of an image, (N, pixels, pixels, 3), interpolated, and grey where it has ended."""
    height, width, _ = image.shape
    steps = np.linspace(0, 1, pixels)
    x = (corners[:, :1] + sides * steps)[:, np.newaxis, :] * ((width - 1) / width)
    y = (corners[:, 1:] + sides * steps)[:, :, np.newaxis] * ((height - 1) / height)
    left, top = np.clip(x.astype(int), 0, width - 2), np.clip(y.astype(int), 0, height - 2)
    u, v = (x - left)[..., np.newaxis], (y - top)[..., np.newaxis]
    upper = image[top, left] * (1 - u) + image[top, left + 1] * u
    lower = image[top + 1, left] * (1 - u) + image[top + 1, left + 1] * u
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return ((upper * (1 - v) + lower * v) * inside[..., np.newaxis]).astype(np.float32)


def run(network, images):
    """How likely windows of images are faces, (..., H, W), and where, (..., H, W, 4 or 14)."""
    layers, last = network
    for layer, slopes, pool in layers:
        images = layer(images)
        images = np.maximum(images, 0) + slopes * np.minimum(images, 0)  # PReLU
        if pool is not None:
            images = aotconv.max_pool2d(images, *pool)
    results = last(images)
    return aotconv.softmax(results[..., -2:])[..., 1], results[..., :-2]


def make_network(arrays, pools):
    """Layers, each with the slopes and the pool behind it, and a last one that has all results."""
    arrays = iter(arrays)
    layers = [(make_layer(next(arrays), next(arrays), 3), next(arrays), pool) for pool in pools]
    heads = list(arrays)
    weights, bias = np.concatenate(heads[::2], axis=-1), np.concatenate(heads[1::2])
    return layers, make_layer(weights, bias, 1)


def make_layer(weights, bias, side):
    """A convolution.  A dense layer is one of a window as large as its images."""
    if weights.ndim == 2:  # column by column
        weights = weights.reshape(side, side, -1, len(bias)).swapaxes(0, 1)
    return aotconv.Conv2D(weights, bias)


def load_networks():
    """P-Net, R-Net and O-Net, from the files of mtcnn."""
    package = importlib.util.find_spec("mtcnn")
    if package is None:
        raise SystemExit("the networks are in the package mtcnn: pip install mtcnn==1.0.0")
    import joblib

    folder = Path(package.origin).parent / "assets" / "weights"
    return [make_network(joblib.load(folder / f"{name}.lz4"), POOLS[name]) for name in POOLS]


def load_photo(path):
    from PIL import Image, ImageOps

    with Image.open(path) as picture:
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def draw(photo, stages):
    """The photo behind each network, pale but for the boxes that are left."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    height, width, _ = photo.shape
    pale = 255 - 0.4 * (255 - photo.mean(axis=2, keepdims=True))
    figure = Figure((9.6, 3.2 * height / width + 0.3), layout="constrained")
    titles = "P-Net proposes {} boxes", "R-Net keeps {}", "O-Net keeps {}, with eyes, nose, mouth"
    for axes, title, faces in zip(figure.subplots(1, 3), titles, stages, strict=True):
        inside = np.zeros((height, width, 1), bool)
        for face in faces:
            left, top, right, bottom = np.maximum(face[:4], 0).astype(int)
            inside[top:bottom, left:right] = True
            size = right - left, bottom - top
            axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor=COLOUR, lw=0.8))
            axes.plot(face[5:10], face[10:], "o", color=BRIGHT, mec=COLOUR, mew=0.5, ms=2.5)
        axes.imshow(np.where(inside, photo, pale).astype(np.uint8))
        axes.set_title(title.format(len(faces)), size=9, loc="left")
        axes.set_axis_off()
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo")
    parser.add_argument("--out", default="faces.jpg", help="the picture (%(default)s)")
    options = parser.parse_args()
    photo, networks = load_photo(options.photo), load_networks()
    for call in ("first call", "second call"):
        start = time.perf_counter()
        stages = find_faces(networks, photo)
        print(f"{call}: {1e3 * (time.perf_counter() - start):.0f} ms")
    for face in stages[-1]:
        print("a face at {:.0f}, {:.0f} to {:.0f}, {:.0f}, {:.1%} likely".format(*face))
    draw(photo, stages).savefig(options.out, dpi=150, bbox_inches="tight", pad_inches=0.05)


if __name__ == "__main__":
    main()
