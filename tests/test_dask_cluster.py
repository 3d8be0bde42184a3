"""Workers of dask in processes of their own compute what one call does, though one may die."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import aotconv
from aotconv import ndimage

da = pytest.importorskip("dask.array", reason="needs dask")
distributed = pytest.importorskip("distributed", reason="needs distributed")
acd = pytest.importorskip("aotconv.dask")


@pytest.fixture(scope="module")
def client():
    """Two workers of one thread each, and at most a gigabyte."""
    options = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": "1GB"}
    with (
        distributed.LocalCluster(processes=True, dashboard_address=None, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def die_once(block: np.ndarray, marker: str) -> np.ndarray:
    """End the process that works, if none has ended yet."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return block
    os._exit(1)


def photos() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((300, 310, 8)).astype(np.float32)


def test_workers_compute_a_network_and_filters_with_the_bits_of_one_call(client):
    rng = np.random.default_rng(1)
    first = rng.standard_normal((3, 3, 8, 16)).astype(np.float32)
    second = rng.standard_normal((5, 5, 1, 16)).astype(np.float32)

    def network(library, images):
        images = library.conv2d(images, first, padding="same", activation="relu")
        images = library.conv2d(images, second, groups=16, padding=3, padding_mode="wrap")
        return library.max_pool2d(images, 3, 2, "same")

    images = photos()
    lazy = da.from_array(images, (70, 64, 3))
    np.testing.assert_array_equal(network(acd, lazy).compute(), network(aotconv, images))
    smooth = acd.gaussian_filter(lazy, (3, 3, 0), mode="mirror").compute()
    np.testing.assert_array_equal(smooth, ndimage.gaussian_filter(images, (3, 3, 0), mode="mirror"))


def test_what_a_worker_that_died_should_have_computed_another_one_computes(client, tmp_path):
    images, marker = photos(), tmp_path / "died"
    lazy = da.from_array(images, (100, 100, 8))
    layer = aotconv.Conv2D(np.ones((7, 7, 8, 4), np.float32), padding="same", threads=1)
    before = acd.apply(layer, lazy)
    fragile = before.map_blocks(die_once, str(marker), dtype=before.dtype, meta=before._meta)
    result = acd.uniform_filter(fragile, 5, mode="wrap").compute()
    assert marker.exists()
    np.testing.assert_array_equal(result, ndimage.uniform_filter(layer(images), 5, mode="wrap"))
