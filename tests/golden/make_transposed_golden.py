"""Store what other libraries' transposed convolutions answer, for tests that run without them.

Run by hand, once in an environment that has PyTorch, onnx and ONNX Runtime and once in one that has
Keras: ``python tests/golden/make_transposed_golden.py pytorch onnx``, ``.. keras``.  The cases of
libraries that are not named stay as they are.

The archive holds, per case, ``<name>/images`` (channels last), ``<name>/filters``, ``<name>/bias``
and ``<name>/expected``, of small integers; besides ``cases``, a JSON object from case name to what
says the same to `aotconv.conv1d_transpose` .. `conv3d_transpose`, and ``<library>/version``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ARCHIVE = Path(__file__).with_name("transposed.npz")

# Sizes of images, kernel, and what PyTorch is told.
PYTORCH = [
    ((5,), (3,), {}),
    ((5,), (4,), {"stride": 3, "padding": 2, "output_padding": 2}),
    ((4, 6), (3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    ((4, 6), (2, 2), {"stride": 2}),
    ((4, 5), (4, 4), {"stride": 2, "padding": 1}),
    ((4, 5), (1, 3), {"stride": (3, 2), "output_padding": (2, 0)}),
    ((4, 5), (3, 2), {"stride": (2, 3), "dilation": (2, 4), "output_padding": (0, 3)}),
    ((5, 5), (3, 3), {"stride": 2, "padding": (2, 0), "groups": 2}),
    ((3, 4, 3), (3, 2, 3), {"stride": (1, 2, 3), "padding": (1, 0, 1), "groups": 3}),
    ((2, 3, 4), (2, 2, 2), {"stride": 2, "dilation": (1, 2, 3)}),
]
# The same for ONNX' operator.
ONNX = [
    ((5,), (3,), {"strides": [2], "auto_pad": "SAME_UPPER"}),
    ((5,), (4,), {"strides": [3], "auto_pad": "SAME_LOWER"}),
    ((4, 6), (3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ((4, 6), (4, 5), {"strides": [2, 1], "auto_pad": "SAME_LOWER"}),
    ((4, 6), (3, 3), {"strides": [2, 2], "pads": [0, 1, 1, 0], "output_padding": [1, 0]}),
    ((4, 5), (3, 4), {"strides": [3, 2], "output_shape": [12, 9], "auto_pad": "SAME_UPPER"}),
    ((4, 5), (3, 4), {"strides": [3, 2], "output_shape": [11, 10], "auto_pad": "SAME_LOWER"}),
    ((4, 5), (3, 3), {"dilations": [2, 2], "pads": [1, 1, 1, 1], "group": 2}),
    ((2, 3, 3), (2, 3, 2), {"strides": [2, 1, 2], "pads": [0, 1, 0, 1, 0, 1]}),
]
# The same for Keras' layers.
KERAS = [
    ((5,), (3,), {"strides": 2}),
    ((5,), (2,), {"strides": 3}),
    ((5,), (4,), {"strides": 2, "padding": "same"}),
    ((4, 6), (3, 3), {"strides": 2, "padding": "same"}),
    ((4, 6), (4, 5), {"strides": (3, 2), "padding": "same"}),
    ((4, 6), (2, 3), {"strides": (3, 2), "padding": "same"}),
    ((4, 6), (3, 4), {"strides": 2, "padding": "same", "output_padding": 1}),
    ((4, 6), (3, 4), {"strides": (2, 3), "padding": "same", "output_padding": (0, 2)}),
    ((4, 6), (2, 5), {"strides": 3, "output_padding": (2, 0)}),
    ((4, 4), (3, 3), {"padding": "same", "dilation_rate": 2}),
    ((3, 3, 4), (3, 2, 3), {"strides": 2, "padding": "same"}),
]
CHANNELS, FILTERS = 6, 12


def drawn(number: int, sizes, kernel, group_filters: int):
    """Images, filters and a bias, channels last; filters (.., O / groups, C)."""
    rng = np.random.default_rng(number)
    shapes = (2, *sizes, CHANNELS), (*kernel, group_filters, CHANNELS), FILTERS
    return [rng.integers(-4, 5, shape).astype(np.float32) for shape in shapes]


def channels_first(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def outputs_first(filters: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(filters, (-1, -2), (0, 1)))


def pytorch():
    """Yield names, arrays, results and options of PyTorch's cases."""
    import torch

    for number, (sizes, kernel, told) in enumerate(PYTORCH):
        groups = told.get("groups", 1)
        images, filters, bias = drawn(number, sizes, kernel, FILTERS // groups)
        function = getattr(torch.nn.functional, f"conv_transpose{len(sizes)}d")
        tensors = map(torch.from_numpy, (channels_first(images), outputs_first(filters), bias))
        result = function(*tensors, **told).numpy()
        pads = np.broadcast_to(told.get("padding", 0), len(sizes)).tolist()
        options = {
            "strides": told.get("stride", 1),
            "padding": [(pad, pad) for pad in pads],
            "output_padding": told.get("output_padding", 0),
            "dilations": told.get("dilation", 1),
            "groups": groups,
        }
        yield f"pytorch_{number}", (images, filters, bias), result, options


def onnx():
    """The same of ONNX Runtime's."""
    import onnx as library
    import onnxruntime

    for number, (sizes, kernel, told) in enumerate(ONNX):
        groups, rank = told.get("group", 1), len(sizes)
        images, filters, bias = drawn(100 + number, sizes, kernel, FILTERS // groups)
        arrays = {"X": channels_first(images), "W": outputs_first(filters), "B": bias}
        kind, helper = library.TensorProto.FLOAT, library.helper
        node = helper.make_node("ConvTranspose", list(arrays), ["Y"], **told)
        values = [helper.make_tensor_value_info(n, kind, a.shape) for n, a in arrays.items()]
        result = helper.make_tensor_value_info("Y", kind, [None] * (rank + 2))
        graph = helper.make_graph([node], "one", values, [result])
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        (result,) = session.run(None, arrays)
        options: dict[str, Any] = {
            "strides": told.get("strides", 1),
            "dilations": told.get("dilations", 1),
            "groups": groups,
        }
        if "output_shape" in told:  # its rule, which pads follow from
            options["padding"] = pads = []
            for axis, size in enumerate(sizes):
                spread = told["strides"][axis] * (size - 1) + kernel[axis]
                total = spread - told["output_shape"][axis]
                upper = told["auto_pad"] == "SAME_UPPER"
                before = total // 2 if upper else total - total // 2
                pads.append((before, total - before))
        elif "auto_pad" in told:
            options["padding"] = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower"}[
                told["auto_pad"]
            ]
        else:
            pads = told.get("pads", [0] * 2 * rank)
            options["padding"] = list(zip(pads[:rank], pads[rank:], strict=True))
            options["output_padding"] = told.get("output_padding", 0)
        yield f"onnx_{number}", (images, filters, bias), result, options


def keras():
    """The same of Keras' layers."""
    import keras as library

    for number, (sizes, kernel, told) in enumerate(KERAS):
        images, filters, bias = drawn(200 + number, sizes, kernel, FILTERS)
        make = getattr(library.layers, f"Conv{len(sizes)}DTranspose")
        layer = make(FILTERS, kernel, **told)
        layer.build(images.shape)
        layer.set_weights([filters, bias])
        result = np.moveaxis(np.asarray(layer(images)), -1, 1)
        options = {
            "strides": told.get("strides", 1),
            "padding": told.get("padding", "valid"),
            "output_padding": told.get("output_padding"),
            "dilations": told.get("dilation_rate", 1),
        }
        yield f"keras_{number}", (images, filters, bias), result, options


def main() -> None:
    archive = dict(np.load(ARCHIVE)) if ARCHIVE.exists() else {}
    cases = json.loads(archive["cases"].item()) if archive else {}
    for library in sys.argv[1:]:
        for name, arrays, result, options in globals()[library]():
            cases[name] = options
            for key, array in zip(("images", "filters", "bias"), arrays, strict=True):
                archive[f"{name}/{key}"] = array
            archive[f"{name}/expected"] = np.moveaxis(result, 1, -1)
        module = {"pytorch": "torch", "onnx": "onnxruntime"}.get(library, library)
        archive[f"{library}/version"] = np.array(sys.modules[module].__version__)
    archive["cases"] = np.array(json.dumps(cases))
    np.savez_compressed(ARCHIVE, **archive)
    print(f"{ARCHIVE.name}: {len(cases)} cases, {ARCHIVE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
