"""Hand the compiled kernels to setuptools; everything else is in pyproject.toml."""

import os
import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent))  # build isolation leaves it out

# Wheels hold no time of day, so that the same sources give the same bytes: 1980, zip's first year.
os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")

if os.environ.get("AOTCONV_NO_AOT") == "1":
    setup()
else:
    from build_kernels import BuildKernels, extensions

    setup(ext_modules=extensions(), cmdclass={"build_ext": BuildKernels})
