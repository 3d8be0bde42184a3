"""Operators of ONNX beside plain formulas, and in the long run beside ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx")

import onnx_nodes as nodes  # noqa: E402

FORMULAS = {
    "pools": (nodes.pools, nodes.pooled),
    "quantized": (nodes.quantized, nodes.quantized_sums),
    "resizes": (nodes.resizes, nodes.resized),
    "normalizations": (nodes.normalizations, nodes.normalized),
    "slopes": (nodes.slopes, nodes.sloped),
    "pads": (nodes.pads, nodes.padded),
}
TOLERANCE = {"float64": 1e-11, "float32": 2e-5, "float16": 2e-3}


def assert_close(results, rights):
    assert len(results) == len(rights)
    for result, right in zip(results, rights, strict=True):
        assert result.shape == right.shape
        assert result.dtype == right.dtype
        tolerance = TOLERANCE.get(right.dtype.name, 0)
        np.testing.assert_allclose(result, right, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize("name", FORMULAS)
@given(data=st.data())
def test_results_are_those_of_the_formula(name, data):
    strategy, formula = FORMULAS[name]
    node = data.draw(strategy())
    assert_close(node.run(), formula(node))


@pytest.mark.parametrize("name", FORMULAS)
@given(data=st.data())
def test_results_do_not_depend_on_memory_order_and_keep_channels_last(name, data):
    node = data.draw(FORMULAS[name][0]())
    assume(2 < node.inputs[0].ndim < 6)
    given = node.with_channels_last()
    results = given.run()
    assert_close(results, node.run())
    if 1 not in (*given.inputs[0].shape, *results[0].shape):  # whose strides say nothing
        assert results[0].strides == nodes.channels_last(results[0]).strides


@pytest.mark.long
@pytest.mark.parametrize("name", FORMULAS)
@given(data=st.data())
def test_results_are_those_of_onnx_runtime(name, data):
    runtime = pytest.importorskip("onnxruntime")
    # ONNX Runtime saturates sums of two products in 16 bits.
    node = data.draw(nodes.quantized(True) if name == "quantized" else FORMULAS[name][0]())
    assume(is_comparable(node))
    rights = by_runtime(runtime, node)
    assume(rights is not None)
    if node.op == "BatchNormalization":
        rights = rights[:3]  # the last is the deviation's inverse, there
    assert_close(node.run()[: len(rights)], rights)


def by_runtime(runtime, node):
    """What ONNX Runtime gives; None where it says that it cannot."""
    state = runtime.capi.onnxruntime_pybind11_state
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(node.model().SerializeToString(), options)
        return session.run(None, node.feeds)
    except (state.NotImplemented, state.InvalidArgument, state.Fail, state.RuntimeException):
        return None


def is_comparable(node) -> bool:
    """Whether ONNX Runtime means the same."""
    attributes = node.attributes
    if attributes.get("auto_pad", "NOTSET").startswith("SAME"):  # it pads windows as if not dilated
        window = (
            node.inputs[3 if node.op == "QLinearConv" else 1].shape[2:]
            if "Conv" in node.op
            else attributes["kernel_shape"]
        )
        wide = any(s > k for s, k in zip(attributes["strides"], window, strict=True))
        return not wide and max(attributes["dilations"]) == 1  # and crops images under wide strides
    if node.op == "Resize":
        x, roi, scales, *_ = node.inputs
        axes = attributes.get("axes", range(x.ndim))
        sizes = [x.shape[axis] for axis in axes]
        if scales is None:
            scales = node.inputs[3] / sizes
        if roi is not None and 1 in scales:  # it leaves such an axis as it is
            return False
        if "keep_aspect_ratio_policy" in attributes:
            whole = attributes["coordinate_transformation_mode"] in ("half_pixel", "asymmetric")
        else:
            whole = len(node.inputs) == 4 or all((scales * sizes) % 1 == 0)
        return whole and not attributes.get("antialias")
    return True
