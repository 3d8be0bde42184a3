"""Models as they come: files, bytes or protos; whole and of known operators, or refused."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import onnx
from google.protobuf import json_format, text_format
from google.protobuf.message import DecodeError
from onnx import checker, defs, inliner, parser

# Of bytes, of texts by the ends of their names, and of weights in files that are not there.
UNREADABLE = (
    DecodeError,
    json_format.ParseError,
    text_format.ParseError,
    parser.ParseError,
    checker.ValidationError,
)


def read(model: Any) -> onnx.ModelProto:
    """The proto of a model, its own functions put in where they are called."""
    proto = parsed(model)
    check_whole(proto, described(model))
    return inliner.inline_local_functions(proto) if proto.functions else proto


def check_whole(proto: onnx.ModelProto, told: str) -> None:
    """Refuse a model that does not say what is to be computed, or of what."""
    graph = proto.graph
    if not graph.output or not proto.opset_import:
        what = "outputs" if proto.opset_import else "opset"
        raise ValueError(f"model: {told} declares no {what}; is it a whole ONNX model?")
    if graph.sparse_initializer:
        raise NotImplementedError(f"model: {told} has sparse initializers, which are not built")
    known = {"", *(each.name for each in (*graph.input, *graph.initializer))}
    for node in graph.node:
        missing = [name for name in node.input if name not in known]
        twice = [name for name in node.output if name and name in known]
        if not any(node.output):
            raise ValueError(f"model: {told} is not valid: node {label(node)!r} gives nothing")
        if missing or twice:
            problem = "reads {!r}, which nothing gives before" if missing else "gives {!r} again"
            what = problem.format((missing or twice)[0])
            raise ValueError(f"model: {told} is not valid: node {label(node)!r} {what}")
        known.update(node.output)
    for each in graph.output:
        if each.name not in known:
            raise ValueError(f"model: {told} is not valid: no node gives its output {each.name!r}")


@contextmanager
def refusing(told: str) -> Iterator[None]:
    """Whatever onnx raises of a model that says what it cannot mean becomes a ValueError."""
    try:
        yield
    except NotImplementedError as error:
        raise NotImplementedError(f"model: {first_line(error)}") from error
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith("model: "):
            raise
        fault = f"{type(error).__name__}: {first_line(error)}"
        raise ValueError(f"model: {told} is not valid: {fault}") from error


def label(node: onnx.NodeProto) -> str:
    """The name of a node, or what it gives."""
    return node.name or next(filter(None, node.output), node.op_type)


def parsed(model: Any) -> onnx.ModelProto:
    if isinstance(model, onnx.ModelProto):
        return model
    try:
        if isinstance(model, (bytes, bytearray, memoryview)):
            return onnx.load_from_string(bytes(model))
        if isinstance(model, (str, os.PathLike)):
            return onnx.load(model)
    except UNREADABLE as error:
        raise ValueError(
            f"model: {described(model)} is not an ONNX model, or only a part of one: {error}"
        ) from error
    raise TypeError(f"model: a path, bytes or onnx.ModelProto expected, not {type(model).__name__}")


def described(model: Any) -> str:
    if isinstance(model, (str, os.PathLike)):
        return repr(os.fspath(model))
    return f"{len(model)} bytes" if isinstance(model, bytes) else f"the {type(model).__name__}"


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def refuse_unknown(proto: onnx.ModelProto, ours: Container[tuple[str, str]]) -> None:
    """Raise an error that names each operator that neither ONNX nor we know."""
    versions = {each.domain: each.version for each in proto.opset_import}
    unknown: dict[str, str] = {}
    for node in every_node(proto.graph.node):
        domain = "" if node.domain == "ai.onnx" else node.domain
        version = versions.get(node.domain, versions.get(domain, defs.onnx_opset_version()))
        known = (domain, node.op_type) in ours or defs.has(node.op_type, version, domain)
        if not known:
            unknown.setdefault(f"{domain or 'ai.onnx'}.{node.op_type}", label(node))
    if unknown:
        names = ", ".join(f"{name} (node {node!r})" for name, node in unknown.items())
        raise NotImplementedError(f"model: nothing computes {names}")


def every_node(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes, and those of loops' and branches' bodies."""
    for node in nodes:
        yield node
        for each in node.attribute:
            for graph in (each.g, *each.graphs):
                yield from every_node(graph.node)
