"""Hand the compiled kernels to setuptools; everything else is in pyproject.toml."""

import os

from setuptools import setup

from build_kernels import FREE_THREADED, NO_KERNELS, BuildKernels, extensions

# Wheels hold no time of day, so that the same sources give the same bytes: 1980, zip's first year.
os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")

if NO_KERNELS:
    setup()
else:
    setup(
        ext_modules=extensions(),
        cmdclass={"build_ext": BuildKernels},
        # One wheel for CPython 3.10 and all later ones.
        options={} if FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp310"}},
    )
