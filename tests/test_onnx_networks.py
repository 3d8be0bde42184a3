"""Networks that wheels on PyPI carry, beside ONNX Runtime; and a small one like them.

Where they lie is said by AOTCONV_NETWORKS, a folder with what `pip download --no-deps` of these
wheels unpacks to: nudenet 3.4.2, rapidocr-onnxruntime 1.4.4, basic-pitch 0.4.0.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import DRAWN
from processes import output_of, without

pytest.importorskip("onnx")

from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_graphs import Network

import aotconv.onnx

FOLDER = os.environ.get("AOTCONV_NETWORKS")
CLOSE = 1e-4  # of the largest output


def page(height, width):
    """Lines of text on a light page, as networks that read are fed."""
    image = pytest.importorskip("PIL.Image").new("L", (width, height), 235)
    draw = pytest.importorskip("PIL.ImageDraw").Draw(image)
    for y in range(6, height - 16, 28):
        draw.text((8, y), "Images and signals 0123456789, convolved", fill=20)
    pixels = np.asarray(image, np.float32)[None, None] / 127.5 - 1
    return np.ascontiguousarray(np.broadcast_to(pixels, (1, 3, height, width)))


def noise(*shape):
    return np.random.default_rng(5).random(shape, dtype=np.float32)


def sound(samples):
    """Chords of a few notes."""
    time = np.arange(samples, dtype=np.float64) / 22050
    notes = [220 * 2 ** (step / 12) for step in (0, 4, 7, 12)]
    waves = [np.sin(2 * np.pi * note * time) * (time > i / 3) for i, note in enumerate(notes)]
    return (sum(waves) / 4).astype(np.float32).reshape(1, samples, 1)


NETWORKS = {
    "320n.onnx": lambda: noise(1, 3, 320, 320),
    "ch_PP-OCRv4_det_infer.onnx": lambda: page(320, 320),
    "ch_PP-OCRv4_rec_infer.onnx": lambda: page(48, 320),
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": lambda: page(48, 192),
    "nmp.onnx": lambda: sound(43844),
}


def found(name):
    paths = sorted(Path(FOLDER).rglob(name)) if FOLDER else []
    if not paths:
        pytest.skip(f"{name} is not in AOTCONV_NETWORKS")
    return paths[0]


@pytest.mark.long
@pytest.mark.parametrize("options", [{}, {"algorithm": "fastest"}, {"optimize": False}], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_give_what_onnx_runtime_gives(name, options):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = found(name)
    model = aotconv.onnx.load(path, **options)
    feeds = {model.input_names[0]: NETWORKS[name]()}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    wanted = session.run(None, feeds)
    for _ in range(2):
        results = model.run(None, feeds)
        for got, each in zip(results, wanted, strict=True):
            assert got.shape == each.shape and got.dtype == each.dtype
            assert np.abs(got - each).max() <= CLOSE * np.abs(each).max()


def small_network():
    """What those have: strides, depthwise windows, gates, residuals, pools, resizing, heads."""
    made = Network(3, 23, np.float32)
    x, c = made.conv("x", 3, 3, True, 2, 16, 1)
    x, c = made.activation(*made.normalization(x, c), "hard_swish in nodes")
    skip = x
    x, c = made.conv(x, c, 3, True, 1, 16, 16)
    x, c = made.activation(*made.arithmetic(x, c, "Mul", "scalar", True), "hard_swish in nodes")
    x, c = made.arithmetic(*made.arithmetic(x, c, "Mul", "scalar", True), "Add", "one", False)
    gate, g = made.conv(made.node("GlobalAveragePool", [x]), c, 1, False, 1, 4, 1)
    gate, g = made.conv(*made.activation(gate, g, "Relu"), 1, False, 1, 16, 1)
    x = made.node("Mul", [x, made.node("HardSigmoid", [gate], alpha=0.2)])
    x, c = made.conv(x, c, 3, True, 1, 16, 1)
    x, c = made.activation(made.node("Add", [x, skip]), c, "silu")
    half = made.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    scales = made.constant([1, 1, 2, 2])
    made.weights[scales] = made.weights[scales].astype(np.float32)
    large = made.node("Resize", [half, "", scales], mode="nearest")
    x = made.node("Concat", [large, x], axis=1)
    x, c = made.conv(x, 32, 3, True, 1, 24, 1)
    x, c = made.transposed(*made.activation(x, c, "Relu"), 2, 2, 1, 1)
    return made.model([made.node("Sigmoid", [x]), half])


@pytest.mark.parametrize("options", [{}, {"algorithm": "fastest"}, {"optimize": False}], ids=str)
def test_a_small_network_like_them_is_as_exact_as_its_dtype(options):
    """Judged by the same network with weights and images of float64."""
    model, images = small_network(), noise(2, 3, 48, 40) - 0.5
    results = aotconv.onnx.load(model, **options).run(None, {"x": images})
    for got, each in zip(results, in_double(model, images), strict=True):
        assert got.dtype == np.float32 and got.shape == each.shape
        assert np.abs(got - each).max() <= 1e-5 * np.abs(each).max()


def in_double(model, images):
    """What a network gives that is computed in float64 by our operators, node by node."""
    copied = type(model)()
    copied.CopyFrom(model)
    for each in copied.graph.initializer:
        name, array = each.name, numpy_helper.to_array(each)
        keep = array.dtype != np.float32 or any(
            node.op_type == "Resize" and name in node.input for node in copied.graph.node
        )
        each.CopyFrom(numpy_helper.from_array(array if keep else array.astype(np.float64), name))
    copied.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    evaluator = ReferenceEvaluator(copied, new_ops=list(aotconv.onnx.OPS))
    return evaluator.run(None, {"x": images.astype(np.float64)})


@pytest.mark.parametrize("rung", DRAWN)
def test_every_implementation_runs_a_network(rung):
    model, images = small_network(), noise(2, 3, 48, 40) - 0.5
    with aotconv.use(rung):
        results = aotconv.onnx.load(model).run(None, {"x": images})
    for got, each in zip(results, in_double(model, images), strict=True):
        assert np.abs(got - each).max() <= 1e-5 * np.abs(each).max()


# A network on a rung that cannot be chosen: what computes, which warnings come, and how far from
# the results that are handed to it.
RUN = """
import json, sys, warnings
import numpy as np
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import aotconv.onnx
    model, data = aotconv.onnx.load({model!r}), np.load({data!r})
    for _ in range(3):
        results = model.run(None, {{"x": data["x"]}})
wanted = [data["y0"], data["y1"]]
far = max(float(abs(a - b).max() / abs(b).max()) for a, b in zip(results, wanted))
ours = [str(each.message) for each in caught if "aotconv" in str(each.message)]
print(json.dumps([aotconv.active().name, ours, far]))
"""


@pytest.fixture
def run_code(tmp_path):
    """What runs the small network in another process, and judges it by this one's float64."""
    images, model = noise(1, 3, 24, 20) - 0.5, small_network()
    path, data = tmp_path / "small.onnx", tmp_path / "data.npz"
    path.write_bytes(model.SerializeToString())
    y0, y1 = in_double(model, images)
    np.savez(data, x=images, y0=y0, y1=y1)
    return RUN.format(model=str(path), data=str(data))


def test_without_compiled_kernels_a_network_is_right_with_one_warning(run_code):
    name, warned, far = json.loads(output_of(without("numba") + run_code))
    assert name == "numpy" and far <= 1e-5
    assert len(warned) == 1 and "aotconv runs without its compiled kernels" in warned[0]


@pytest.mark.long
@pytest.mark.parametrize("cpu, level", [("Haswell", "x86-64-v3"), ("Nehalem", "x86-64-v2")])
def test_a_network_runs_on_emulated_cpus(cpu, level, run_code):
    path = shutil.which("qemu-x86_64")
    if path is None:
        pytest.skip("needs qemu-x86_64 (Debian, Ubuntu: apt-get install qemu-user)")
    said = output_of(run_code, within=(path, "-cpu", cpu), OPENBLAS_CORETYPE="Prescott")
    name, warned, far = json.loads(said)
    assert (name, warned) == (level, []) and far <= 1e-5


@pytest.mark.long
def test_a_network_on_a_cpu_below_all_levels_is_right_with_one_warning(run_code, tmp_path):
    path = shutil.which("qemu-x86_64")
    if path is None:
        pytest.skip("needs qemu-x86_64 (Debian, Ubuntu: apt-get install qemu-user)")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", tmp_path, "numpy<2.4"]
    subprocess.run(command, check=True, timeout=600)  # newer ones need x86-64-v2 themselves
    options = {"within": (path, "-cpu", "core2duo"), "PYTHONPATH": str(tmp_path)}
    said = output_of(run_code, OPENBLAS_CORETYPE="Prescott", **options)
    name, warned, far = json.loads(said)
    assert name == "numpy" and far <= 1e-5
    assert len(warned) == 1 and "aotconv runs without its compiled kernels" in warned[0]


def test_values_between_layers_have_channels_last_in_memory():
    """Of all values of four axes between the first convolution and the results."""
    model = aotconv.onnx.load(small_network()).proto
    evaluator = ReferenceEvaluator(model, new_ops=list(aotconv.onnx.OPS))
    values = evaluator.run(None, {"x": noise(2, 3, 48, 40)}, intermediate=True)
    between = {name: values[name] for node in model.graph.node for name in node.output}
    four = {name: each for name, each in between.items() if each.ndim == 4}
    assert len(four) > 10
    for name, each in four.items():
        assert each.transpose(0, 2, 3, 1).flags.c_contiguous, name
