"""Store what PyTorch's and ONNX Runtime's pools answer, for tests that run without them.

Run by hand, with both installed: ``python tests/golden/make_pool_golden.py``.

The archive holds per rank ``<rank>/images``, channels first, and per case ``<name>/expected`` and
of maxima ``<name>/indices``; besides these ``cases``, a JSON object from case name to the rank,
whether it is an average and the arguments of ours that mean the same, and the versions of both
libraries.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper

ARCHIVE = Path(__file__).with_name("pools.npz")
SIZES = {1: (17,), 2: (9, 12), 3: (5, 6, 7)}
# Window, strides, padding, dilations, ceil_mode, of each axis alike.
PLAIN = [(2, 2, 0, 1, False), (3, 2, 1, 1, False), (3, 1, 1, 1, False), (2, 3, 0, 1, False)]
CEIL = [(3, 2, 1, 1, True), (2, 3, 1, 1, True), (2, 2, 1, 1, True), (3, 3, 0, 1, True)]
DILATED = [(2, 2, 1, 2, False), (3, 1, 0, 2, False), (2, 3, 1, 3, True)]


def by_torch(rank, images, average, window, strides, padding, dilations, ceil, count):
    tensor = torch.from_numpy(images)
    functions = torch.nn.functional
    if average:
        pool = getattr(functions, f"avg_pool{rank}d")
        result = pool(tensor, window, strides, padding, ceil, count)
        return result.numpy(), None
    pool = getattr(functions, f"max_pool{rank}d")
    result, indices = pool(tensor, window, strides, padding, dilations, ceil, True)
    return result.numpy(), indices.numpy()


def by_onnx(rank, images, average, window, strides, padding, dilations, ceil, count):
    attributes = {
        "kernel_shape": [window] * rank,
        "strides": [strides] * rank,
        "dilations": [dilations] * rank,
        "ceil_mode": int(ceil),
    }
    if isinstance(padding, str):
        attributes["auto_pad"] = {"same": "SAME_UPPER", "same_lower": "SAME_LOWER"}[padding]
    else:
        attributes["pads"] = [padding] * (2 * rank)
    names = ["result"] if average else ["result", "indices"]
    if average:
        attributes["count_include_pad"] = int(count)
    node = helper.make_node(
        "AveragePool" if average else "MaxPool", ["images"], names, **attributes
    )
    kinds = [TensorProto.FLOAT, TensorProto.INT64]
    graph = helper.make_graph(
        [node],
        "pool",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, images.shape)],
        [helper.make_tensor_value_info(n, k, None) for n, k in zip(names, kinds, strict=False)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
    model.ir_version = 9
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {"images": images})
    if average:
        return found[0], None
    # ONNX counts its indices over all images and channels.
    pixels = np.prod(images.shape[2:])
    return found[0], found[1] % pixels


def cases():
    """Name, library, rank and arguments of each case."""
    for library, answer in (("torch", by_torch), ("onnx", by_onnx)):
        for rank in SIZES:
            for average in (False, True):
                told = PLAIN + CEIL
                if not average:
                    told = told + DILATED
                elif library == "onnx":
                    told = told + [each for each in DILATED if not each[-1]]
                if library == "onnx":
                    told = told + [(3, 2, rule, 1, False) for rule in ("same", "same_lower")]
                for i, each in enumerate(told):
                    for count in (False, True) if average else (False,):
                        kind = f"average{int(count)}" if average else "max"
                        yield f"{library}/{rank}/{kind}/{i}", answer, rank, average, (*each, count)


def main() -> None:
    rng = np.random.default_rng(20250)
    versions = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    arrays, said = {name: np.array(value) for name, value in versions.items()}, {}
    for rank, sizes in SIZES.items():  # of few bits, which are stored in little
        arrays[f"{rank}/images"] = rng.integers(-99, 99, (1, 2, *sizes)).astype(np.float32)
    for name, answer, rank, average, arguments in cases():
        images = arrays[f"{rank}/images"]
        expected, indices = answer(rank, images, average, *arguments)
        window, strides, padding, dilations, ceil, count = arguments
        options = {"dilations": dilations, "ceil_mode": ceil}
        if average:
            options["count_padding"] = count
        said[name] = [rank, average, [window, strides, padding], options]
        arrays[f"{name}/expected"] = expected
        if indices is not None:
            arrays[f"{name}/indices"] = indices.astype(np.int16)
    np.savez_compressed(ARCHIVE, cases=np.array(json.dumps(said)), **arrays)
    print(f"{ARCHIVE}: {len(said)} cases, {versions}")


if __name__ == "__main__":
    main()
