"""Filter a zarr array that is larger than memory into another one, by workers of a gigabyte each.

    pip install "aotconv[dask]" distributed zarr
    python docs/examples/large/dask_zarr.py
    python docs/examples/large/dask_zarr.py --gigabytes 4 --folder /data

Dask gives each worker some blocks of the result at a time.  What such a block reads of the chunks
beside its own is sent to where it is computed; neither array is ever in memory as a whole.
"""

import argparse
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np
import zarr
from distributed import Client, LocalCluster

import aotconv.dask

PLANE, CHUNKS = (1024, 1024), (64, 256, 256)
SIGMA = 2.0


def generated(shape) -> da.Array:
    """Noise, and a sheet of light in the middle plane."""
    noise = da.random.default_rng(0).standard_normal(shape, dtype=np.float32, chunks=CHUNKS)
    planes = da.arange(shape[0], chunks=CHUNKS[0])[:, None, None]
    return noise + np.float32(100) * (planes == shape[0] // 2)


def stored(array: da.Array, path: Path) -> float:
    """Write an array without compression; the seconds that it took."""
    target = zarr.create_array(
        path, shape=array.shape, chunks=CHUNKS, dtype=array.dtype, compressors=None
    )
    start = time.perf_counter()
    da.store(array, target, lock=False)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=0.5, help="of each array (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument("--folder", help="for the two arrays, which are deleted afterwards")
    options = parser.parse_args()
    shape = max(1, round(options.gigabytes * 2**30 / 4 / np.prod(PLANE))), *PLANE
    limits = {"n_workers": options.workers, "threads_per_worker": 1, "memory_limit": "1GB"}
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        LocalCluster(**limits, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        source, target = Path(folder) / "source.zarr", Path(folder) / "target.zarr"
        stored(generated(shape), source)
        volume = da.from_zarr(source)
        seconds = stored(aotconv.dask.gaussian_filter(volume, SIGMA), target)
        profile = da.from_zarr(target).mean((1, 2)).compute()
    size = volume.nbytes / 1e6
    print(
        f"{shape} elements, {size:,.0f} MB: filtered in {seconds:.1f} s, {size / seconds:,.0f} MB/s"
    )
    height = 100 / (SIGMA * np.sqrt(2 * np.pi))
    print(f"height {profile.max():.2f}, a Gaussian's is {height:.2f}")
    if abs(profile.max() / height - 1) > 0.02:
        raise SystemExit("they differ")


if __name__ == "__main__":
    main()
