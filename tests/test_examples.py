"""The examples of the documentation run as they are."""

from __future__ import annotations

import importlib.util
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from processes import PACKAGE, output_of

from aotconv.reference import conv_reference, pool_reference

EXAMPLES = PACKAGE / "docs" / "examples"


def printed_by(example: str, *arguments) -> str:
    path = str(EXAMPLES / example)
    code = f"import runpy, sys; sys.argv[1:] = {[str(each) for each in arguments]!r}; "
    code += f"runpy.run_path({path!r}, run_name='__main__')"
    return output_of(code, PYTHONPATH=str(PACKAGE))


def test_a_volume_in_a_file_is_filtered_into_another_one_with_some_megabytes():
    printed = printed_by("large/larger_than_memory.py")
    size = re.search(r"([\d,]+) MB, in", printed)
    held = re.search(r"held beside the two files: ([\d.]+) MB", printed)
    assert size and held, printed
    assert float(held[1]) < 20 < float(size[1].replace(",", ""))


def test_a_network_that_was_trained_by_hand_tells_images_apart():
    printed = printed_by("networks/train.py")
    told = re.search(r"([\d.]+)% of 1000 images", printed)
    assert told and float(told[1]) > 90, printed


def test_a_zarr_array_is_filtered_into_another_one_by_workers():
    for package in ("dask", "distributed", "zarr"):
        pytest.importorskip(package, reason=f"needs {package}")
    assert "MB/s" in printed_by("large/dask_zarr.py", "--gigabytes", "0.05")


@pytest.fixture(scope="module")
def faces():
    return SimpleNamespace(**runpy.run_path(str(EXAMPLES / "networks" / "faces.py")))


# Weights of each layer of a network: filters, matrices of dense layers, and those of its results.
SHAPES = {
    "pnet": "3x3x3x10 3x3x10x16 3x3x16x32 1x1x32x4 1x1x32x2",
    "rnet": "3x3x3x28 3x3x28x48 2x2x48x64 576x128 128x4 128x2",
    "onet": "3x3x3x32 3x3x32x64 3x3x64x64 2x2x64x128 1152x256 256x4 256x10 256x2",
}


def random_weights(rng, name, layers):
    """Arrays as mtcnn has them: weights, bias and slopes of each layer, without slopes at last."""
    arrays = []
    for index, text in enumerate(SHAPES[name].split()):
        shape = tuple(map(int, text.split("x")))
        arrays.append(rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape))
        arrays += [rng.normal(0, 0.3, shape[-1:]) for _ in range(2 if index < layers else 1)]
    return [each.astype(np.float32) for each in arrays]


def one_after_the_other(arrays, pools, images):
    """A network's results in float64; dense layers are of pixels column by column."""

    def layer(images, weights, bias):
        if weights.ndim == 4:
            return conv_reference(images, weights, bias)
        flat = images.swapaxes(1, 2).reshape(len(images), -1)
        return (flat @ weights + bias)[:, np.newaxis, np.newaxis]

    arrays = iter(arrays)
    for pool in pools:
        images = layer(images, next(arrays), next(arrays))
        images = np.where(images > 0, images, next(arrays) * images)
        if pool is not None:
            images, _ = pool_reference(images, *pool)
    *results, scores = (layer(images, weights, next(arrays)) for weights in arrays)
    return 1 / (1 + np.exp(scores[..., 0] - scores[..., 1])), np.concatenate(results, axis=-1)


@pytest.mark.parametrize(
    "name, shape", [("pnet", (1, 33, 46, 3)), ("rnet", (5, 24, 24, 3)), ("onet", (3, 48, 48, 3))]
)
def test_networks_of_faces_are_their_layers_one_after_the_other(faces, name, shape):
    rng = np.random.default_rng(0)
    pools = faces.POOLS[name]
    arrays = random_weights(rng, name, len(pools))
    images = rng.uniform(-1, 1, shape).astype(np.float32)
    likely, results = faces.run(faces.make_network(arrays, pools), images)
    wanted_likely, wanted_results = one_after_the_other(arrays, pools, images)
    np.testing.assert_allclose(likely, wanted_likely, atol=1e-5)
    np.testing.assert_allclose(results, wanted_results, atol=1e-5)


@pytest.mark.parametrize("scale", [1, 0.6, 0.5, 0.3])
def test_shrunk_images_are_means_over_areas(faces, scale):
    image = np.random.default_rng(1).uniform(-1, 1, (23, 31, 3))
    sums = np.pad(image.cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))
    height, width = int(23 * scale), int(31 * scale)
    fine = image.repeat(height, 0).repeat(width, 1)  # areas are of whole pixels of this one
    wanted = fine.reshape(height, 23, width, 31, 3).mean((1, 3))
    np.testing.assert_allclose(faces.shrink(sums, scale), wanted, rtol=0, atol=1e-6)


def test_squares_are_interpolated_and_grey_outside_of_the_image(faces):
    rng = np.random.default_rng(2)
    image = rng.uniform(-1, 1, (20, 30, 3)).astype(np.float32)
    corners, sides = rng.uniform(-9, 25, (40, 2)), rng.uniform(0, 20, (40, 1))

    def weights(start, side, size):
        """Those of an axis' pixels, at five places of it."""
        places = (start + side * np.linspace(0, 1, 5)[:, np.newaxis]) * (size - 1) / size
        near = np.maximum(0, 1 - abs(places - np.arange(size)))
        return near * ((places >= 0) & (places <= size - 1))

    wanted = np.stack(
        [
            np.einsum("iy,jx,yxc->ijc", weights(top, side, 20), weights(left, side, 30), image)
            for (left, top), (side,) in zip(corners, sides, strict=True)
        ]
    )
    grey = ~wanted.any(axis=3)
    assert grey.any() and not grey.all()
    np.testing.assert_allclose(faces.cut(image, corners, sides, 5), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("of_smaller", [False, True])
def test_boxes_go_that_share_too_much_with_a_better_one(faces, of_smaller):
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 20, (60, 2))
    boxes = np.hstack([corners, corners + rng.uniform(1, 15, (60, 2)), rng.uniform(0, 1, (60, 1))])

    def share(one, other):
        width = max(0, min(one[2], other[2]) - max(one[0], other[0]))
        height = max(0, min(one[3], other[3]) - max(one[1], other[1]))
        areas = [(each[2] - each[0]) * (each[3] - each[1]) for each in (one, other)]
        return width * height / (min(areas) if of_smaller else sum(areas) - width * height)

    ranked = sorted(boxes.tolist(), key=lambda box: -box[4])
    wanted = [
        box for rank, box in enumerate(ranked) if all(share(box, b) <= 0.5 for b in ranked[:rank])
    ]
    assert 1 < len(wanted) < 60
    assert faces.suppress(boxes, 0.5, of_smaller).tolist() == wanted


def test_a_photo_smaller_than_a_face_has_none(faces):
    rng = np.random.default_rng(4)
    networks = [
        faces.make_network(random_weights(rng, name, len(pools)), pools)
        for name, pools in faces.POOLS.items()
    ]
    photo = rng.integers(0, 256, (19, 200, 3), np.uint8)
    assert [each.shape for each in faces.find_faces(networks, photo)] == [(0, 5), (0, 5), (0, 15)]


# Where mtcnn 1.0.0 itself finds them.
@pytest.mark.parametrize(
    "package, photo, box, likely",
    [
        ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (178, 110, 351, 330), 98.9),
        ("skimage", "data/astronaut.png", (182, 64, 265, 171), 99.9),
    ],
)
def test_faces_of_photos_are_found(package, photo, box, likely, tmp_path):
    for name in ("mtcnn", "joblib", "lz4", "matplotlib", "PIL", package):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    path = Path(importlib.util.find_spec(package).origin).parent / photo
    picture = tmp_path / "faces.png"
    printed = printed_by("networks/faces.py", path, "--out", picture)
    found = re.findall(r"a face at (\d+), (\d+) to (\d+), (\d+), ([\d.]+)% likely", printed)
    assert len(found) == 1, printed
    np.testing.assert_allclose(np.float64(found[0]), (*box, likely), rtol=0, atol=1)
    assert picture.read_bytes().startswith(b"\x89PNG")
