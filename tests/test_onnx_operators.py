"""Operators of ONNX: the tests that onnx itself has of each, by whatever evaluates a model."""

from __future__ import annotations

import functools
import os
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx.reference import ReferenceEvaluator  # noqa: E402

import aotconv.onnx  # noqa: E402

OPERATORS = {each.__name__ for each in aotconv.onnx.OPS if not each.op_domain}
KINDS = ("node", "pytorch-converted", "pytorch-operator", "simple")
# Fewer tests than these have not been found.
FEWEST = {"node": 150, "pytorch-converted": 25, "pytorch-operator": 5, "simple": 1}
UNTESTED = {"GlobalLpPool", "Upsample"}  # by onnx; Upsample in some versions
# Loop of onnx 1.23, which computes ranges, stacks scalars as (n, 1): they fail without us, too.
# Of the pool onnx 1.17 expected padding that ceil_mode adds to count.
WRONG_POOL = "test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True"
NOT_OURS = ("test_range_", *([WRONG_POOL] if onnx.__version__.startswith("1.17.") else []))


class Case(NamedTuple):
    """A model and what it gives."""

    name: str
    model: Any
    data: list[tuple[list[Any], list[Any]]]
    rtol: float
    atol: float


def evaluated_by_operators(model, feeds):
    return ReferenceEvaluator(model, new_ops=list(aotconv.onnx.OPS)).run(None, feeds)


def evaluated_by_load(model, feeds):
    return aotconv.onnx.load(model, optimize=False).run(None, feeds)


def evaluated_by_load_rewritten(model, feeds):
    return aotconv.onnx.load(model).run(None, feeds)


EVALUATORS = {
    "operators": evaluated_by_operators,
    "load": evaluated_by_load,
    "load, rewritten": evaluated_by_load_rewritten,
}


@functools.cache
def cases_of(kind: str) -> dict[str, Case]:
    """The tests of a kind whose models have an operator of ours; collected in seconds, once."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how the expected values are computed
        tests = load_model_tests(kind=kind)
        cases = [_case(each) for each in tests if _has_ours(_model(each))]
    return {case.name: case for case in cases}


def _has_ours(model) -> bool:
    return any(node.op_type in OPERATORS and not node.domain for node in _nodes(model))


def _nodes(model):
    for function in [model.graph, *model.functions]:
        yield from function.node


def _model(test):
    if test.model is not None:
        return test.model
    return onnx.load(os.path.join(test.model_dir, "model.onnx"))


def _case(test) -> Case:
    data = test.data_sets
    if data is None:
        folders = sorted(each.path for each in os.scandir(test.model_dir) if each.is_dir())
        data = [(_tensors(each, "input"), _tensors(each, "output")) for each in folders]
    return Case(test.name, _model(test), data, test.rtol, test.atol)


def _tensors(folder: str, name: str) -> list[np.ndarray]:
    count = sum(each.startswith(f"{name}_") for each in os.listdir(folder))
    paths = [os.path.join(folder, f"{name}_{number}.pb") for number in range(count)]
    return [onnx.numpy_helper.to_array(onnx.load_tensor(each)) for each in paths]


def plain(value):
    """What tests of onnx say: arrays, or protos of them."""
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


@pytest.mark.parametrize("evaluator", EVALUATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_onnx_own_tests_pass(kind, evaluator):
    cases = cases_of(kind)
    assert len(cases) >= FEWEST[kind]
    wrong = {name: wrong_in(case, evaluator) for name, case in cases.items()}
    failures = [f"{name}: {what}" for name, what in wrong.items() if what]
    assert not failures, f"{len(failures)} of {len(cases)}:\n" + "\n".join(failures)


def test_each_operator_is_in_tests_of_onnx():
    models = [case.model for kind in KINDS for case in cases_of(kind).values()]
    tested = {node.op_type for model in models for node in _nodes(model)}
    assert tested >= OPERATORS - UNTESTED


def wrong_in(case: Case, evaluator: str) -> str | None:
    """What differs from the expected results, or the error."""
    names = [each.name for each in case.model.graph.input]
    weights = {each.name for each in case.model.graph.initializer}
    fed = [each for each in names if each not in weights] if weights else names
    for inputs, expected in case.data:
        feeds = dict(zip(fed, map(plain, inputs), strict=False))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # onnx' own, under new NumPy
                results = EVALUATORS[evaluator](case.model, feeds)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        for number, (result, right) in enumerate(zip(results, expected, strict=True)):
            try:
                compare(case, result, plain(right))
            except AssertionError as error:
                return f"output {number}: {error}"
    return None


def compare(case: Case, result: Any, right: Any) -> None:
    """Raise an AssertionError where arrays, or sequences of them, differ."""
    if right is None or isinstance(right, list):
        results, rights = result or [], right or []
        assert len(results) == len(rights), (len(results), len(rights))
        for one, other in zip(results, rights, strict=True):
            compare(case, one, plain(other))
        return
    assert result.dtype == right.dtype, (result.dtype, right.dtype)
    rtol = max(case.rtol, _rounding(case.model, right.dtype))
    np.testing.assert_allclose(result, right, rtol=rtol, atol=case.atol)


def _rounding(model, dtype: np.dtype) -> float:
    """Two units of halves where these are rounded between nodes: onnx rounds within nodes, too,
    and its tests allow less than a unit."""
    if dtype.name not in ("float16", "bfloat16") or len(model.graph.node) == 1:
        return 0
    return {"float16": 2.0**-9, "bfloat16": 2.0**-6}[dtype.name]
