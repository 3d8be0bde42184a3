"""Filter a volume in a file, which may be larger than memory, into another file.

    python docs/examples/large/larger_than_memory.py
    python docs/examples/large/larger_than_memory.py --gigabytes 64 --folder /data

`np.memmap` shows a file as an array: the system reads what is looked at, and drops it again when
memory is wanted.  A filter takes such an array as any other, and a second one as `output`; what it
holds between its axes is some megabytes, whatever their size.  The two must be different files:
that a file is mapped twice NumPy cannot see.
"""

import argparse
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from aotconv import ndimage

PLANE = 512, 512
SIGMA = 2.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=0.1, help="of each file (%(default)s)")
    parser.add_argument("--folder", help="for the two files, which are deleted afterwards")
    options = parser.parse_args()
    shape = max(1, round(options.gigabytes * 2**30 / 4 / np.prod(PLANE))), *PLANE
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        source = np.memmap(Path(folder) / "source", np.float32, "w+", shape=shape)
        target = np.memmap(Path(folder) / "target", np.float32, "w+", shape=shape)
        source[shape[0] // 2, 200:300, 200:300] = 1  # a sheet of light in the dark
        tracemalloc.start()
        start = time.perf_counter()
        ndimage.gaussian_filter(source, SIGMA, output=target)
        seconds, (_, held) = time.perf_counter() - start, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        profile = target[:, 250, 250]  # through the sheet: a Gaussian
        height = 1 / (SIGMA * np.sqrt(2 * np.pi))
        print(f"{shape} elements, {source.nbytes / 1e6:,.0f} MB, in {seconds:.2f} s")
        print(f"held beside the two files: {held / 1e6:.1f} MB")
        print(f"height {profile.max():.4f}, a Gaussian's is {height:.4f}")
        if abs(profile.max() / height - 1) > 0.02:
            raise SystemExit("they differ")
        del source, target, profile  # before their files are deleted


if __name__ == "__main__":
    main()
