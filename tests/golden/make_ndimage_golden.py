"""Store what SciPy's filters answer, for tests that run without it.

Run by hand in an environment that has SciPy 1.17: ``python tests/golden/make_ndimage_golden.py``.

The archive holds inputs, ``<name>``; the results' bytes, one behind the other, in ``bytes``; and of
JSON ``cases``, a list of [function, name of the input, its dtype, arguments by name, the result's
dtype and shape], ``truncations``, a list of [function, the result's dtype], which are of ``edges``
and stand behind those of cases, and ``signatures``, each function's parameters; and ``version``.
"""

from __future__ import annotations

import inspect
import json
import warnings
from pathlib import Path

import numpy as np

ARCHIVE = Path(__file__).with_name("ndimage.npz")
FUNCTIONS = (
    *("correlate", "convolve", "correlate1d", "convolve1d", "uniform_filter", "uniform_filter1d"),
    *("gaussian_filter", "gaussian_filter1d", "sobel", "prewitt", "laplace", "gaussian_laplace"),
    *("gaussian_gradient_magnitude", "generic_laplace", "generic_gradient_magnitude"),
)
MODES = ("reflect", "mirror", "nearest", "wrap", "constant")
GRID_MODES = ("grid-mirror", "grid-wrap", "grid-constant")
INTEGERS = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
WINDOW = [[1, 2, -1], [0, 0.5, 3]]
ODD, EVEN = [1, -2.5, 4, 0.25, 2], [3, -1, 0.5, 2]
SYMMETRIC, OPPOSITE = [1, 2.5, 4, 2.5, 1], [1, 2.5, 4, -2.5, -1]
# Beyond what integers hold, and between.
EDGES = [
    *(sign * each for each in (0.5, 1.5, 2.7, 127.5, 255.9, 256, 300.2) for sign in (1, -1)),
    *(
        sign * (2.0**bits + more)
        for bits in (15, 16, 31, 32)
        for more in (-0.5, 5)
        for sign in (1, -1)
    ),
    *(sign * 2.0**bits for bits in (53, 62, 63, 64, 70) for sign in (1, -1)),
    *(2.0**63 - 1024, 2.0**63 + 2048, 2.0**64 - 2048, 1e300, -1e300, np.inf, -np.inf, np.nan),
]


def inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(17)
    shapes = {"line": (9,), "plane": (4, 6), "volume": (3, 4, 5), "four": (2, 3, 2, 4), "one": (1,)}
    arrays = {name: rng.integers(-9, 10, shape) for name, shape in shapes.items()}
    return arrays | {"large": rng.integers(-(2**63), 2**63 - 1, 7), "edges": np.array(EDGES)}


def cases():
    """Yield functions, names of inputs, dtypes and arguments."""
    plane = "plane", "float64"
    for mode in (*MODES, *GRID_MODES):
        around = {"mode": mode, "cval": 1.5}
        yield "correlate", *plane, {"weights": WINDOW, "origin": [-1, 1], **around}
        yield "convolve", *plane, {"weights": WINDOW, "origin": [0, -1], **around}
        for line, origin in ((ODD, 0), (EVEN, -2), (SYMMETRIC, 2), (OPPOSITE, -1)):
            yield "correlate1d", *plane, {"weights": line, "axis": 0, "origin": origin, **around}
            yield "convolve1d", "one", "float64", {"weights": line, **around}
        yield "uniform_filter1d", *plane, {"size": 4, "axis": 0, "origin": -2, **around}
        yield "gaussian_filter1d", "line", "float64", {"sigma": 1.3, "order": 1, **around}
    mixed = {"mode": ["wrap", "constant", "mirror"], "cval": -2}
    for dtype in ("float64", "int16", "uint8"):
        volume = "volume", dtype
        for axis in (0, 1, -1):
            yield "sobel", *volume, {"axis": axis, **mixed}
            yield "prewitt", *volume, {"axis": axis, **mixed}
        yield "laplace", *volume, mixed
        yield "laplace", *volume, {"axes": [0, 2], "mode": ["nearest", "reflect"]}
        yield "gaussian_laplace", *volume, {"sigma": [0.5, 1, 0.8], **mixed}
        yield "gaussian_laplace", *volume, {"sigma": 1, "axes": [1], "truncate": 2}
        yield "gaussian_gradient_magnitude", *volume, {"sigma": 0.7, **mixed}
        yield "gaussian_gradient_magnitude", *volume, {"sigma": 1, "axes": [2, 0], "radius": 2}
        yield "uniform_filter", *volume, {"size": [2, 1, 5], "origin": [-1, 0, 2], **mixed}
        yield "uniform_filter", *volume, {"size": 3, "axes": [2]}
        sigma = {"sigma": [0.6, 0, 1.7], "order": [2, 0, 3]}
        yield "gaussian_filter", *volume, {**sigma, **mixed}
        yield "gaussian_filter", *volume, {"sigma": 1, "radius": [1, 2], "axes": [2, 0]}
        yield "correlate", *volume, {"weights": WINDOW, "axes": [0, 2], "origin": [0, 1]}
        yield "convolve", *volume, {"weights": WINDOW, "axes": [1, 2], "origin": 0}
    for dtype in INTEGERS:
        for output in (None, "float32", "int8", "uint8", "int64", "uint64"):
            yield "correlate1d", "line", dtype, {"weights": ODD, "output": output}
            yield "correlate", "line", dtype, {"weights": EVEN, "output": output}
            yield "uniform_filter1d", "line", dtype, {"size": 3, "output": output}
    for size in (2, 3, 6):
        yield "uniform_filter1d", "large", "int64", {"size": size, "mode": "constant"}
        yield "correlate1d", "large", "uint64", {"weights": ODD[:size], "output": "float64"}
    for name in ("sobel", "laplace", "prewitt"):
        yield name, "plane", "bool", {}
    yield "uniform_filter", "four", "bool", {"size": 2}
    yield "gaussian_filter", "four", "float32", {"sigma": 0.7, "output": "float64"}
    for dtype in ("complex64", "complex128"):
        yield "correlate1d", "plane", dtype, {"weights": ODD, "mode": "constant", "cval": [1, -2]}
        for name in ("correlate1d", "convolve1d"):
            weights = {"weights": [[1, 2], [0, -1], [3, 0.5], [-1, 1]]}
            yield name, "plane", dtype, {**weights, "mode": "constant", "cval": [0.5, 2]}
            yield name, "plane", "int16", {**weights, "axis": 0}
        yield "uniform_filter", "plane", dtype, {"size": 3, "mode": "constant", "cval": [1, 1]}
        yield "gaussian_filter", "plane", dtype, {"sigma": 1}


def told(arguments: dict) -> dict:
    """Arguments as functions take them: pairs of `cval` and of `weights` are complex numbers."""
    made = dict(arguments)
    if isinstance(made.get("cval"), list):
        made["cval"] = complex(*made["cval"])
    weights = np.array(made.get("weights", 0.0))
    if weights.ndim == 2 and weights.shape[1] == 2:
        made["weights"] = weights[:, 0] + 1j * weights[:, 1]
    if made.get("output") is not None:
        made["output"] = np.dtype(made["output"])
    return made


def given(array: np.ndarray, dtype: str) -> np.ndarray:
    """An input of a dtype, with imaginary parts where it has such."""
    made = array.astype(dtype)
    return made + 1j * array[..., ::-1].astype(made.real.dtype) if made.dtype.kind == "c" else made


def truncated(library, name: str, edges: np.ndarray, dtype) -> np.ndarray:
    """The edges as a function stores them in a dtype."""
    output = np.dtype(dtype)
    if name == "uniform_filter1d":
        return library.uniform_filter1d(edges[:, np.newaxis], 2, axis=1, output=output)[:, 0]
    return getattr(library, name)(edges, [1.0], output=output)


def main() -> None:
    import scipy
    from scipy import ndimage

    warnings.simplefilter("ignore")
    arrays, every, results = inputs(), [], []
    for name, key, dtype, arguments in cases():
        result = getattr(ndimage, name)(given(arrays[key], dtype), **told(arguments))
        every.append((name, key, dtype, arguments, result.dtype.name, result.shape))
        results.append(result)
    edges = [(n, d) for d in INTEGERS for n in ("correlate", "correlate1d", "uniform_filter1d")]
    results += [truncated(ndimage, name, arrays["edges"], dtype) for name, dtype in edges]
    # SciPy's truth values are any bytes.
    stored = [each.view(np.uint8) != 0 if each.dtype == bool else each for each in results]
    signatures = {
        name: [
            (each.name, each.kind.name, repr(each.default))
            for each in inspect.signature(getattr(ndimage, name)).parameters.values()
        ]
        for name in FUNCTIONS
    }
    lists = {"cases": every, "truncations": edges, "signatures": signatures}
    archive = arrays | {name: np.array(json.dumps(each)) for name, each in lists.items()}
    archive["bytes"] = np.frombuffer(b"".join(each.tobytes() for each in stored), np.uint8)
    archive["version"] = np.array(scipy.__version__)
    np.savez_compressed(ARCHIVE, **archive)
    print(f"{ARCHIVE.name}: {len(every)} cases, {ARCHIVE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
