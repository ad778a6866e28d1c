"""From a path to a parsed ModelProto: the file, its versions, its functions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import defs, inliner

from nincc.errors import ModelError, UsageError
from nincc.frontend.limits import MAX_MODEL_BYTES, MAX_NODES

OLDEST_IR, OLDEST_OPSET = 3, 7


def read_proto(path: Path) -> onnx.ModelProto:
    """The model in the file, not yet checked beyond its versions; external data is not touched.

    Raises UsageError where there is no such file, ModelError where it is no ONNX model that nincc reads.
    """
    proto = _parse(path, _read(path))
    if not proto.HasField("graph") or not proto.ir_version or not proto.graph.node:
        raise ModelError("not an ONNX model: it has no graph", where=str(path), hint="give a .onnx file")
    _check_versions(proto, path)
    _check_text(proto, path)
    _check_names(proto, path)
    if proto.functions:
        proto = _inline_functions(proto, path)
    if len(proto.graph.node) > MAX_NODES:
        raise ModelError(
            f"the graph has {len(proto.graph.node):,} nodes, more than the {MAX_NODES:,} nincc reads",
            where=str(path), hint="simplify the model",
        )
    return proto


def opset_of(proto: onnx.ModelProto) -> int:
    """The version of the standard operators that the model uses."""
    return max((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), default=0)


def _read(path: Path) -> bytes:
    if not path.exists():
        raise UsageError("no such file", where=str(path), hint="give the path of an ONNX model")
    if not path.is_file():
        raise UsageError("not a file", where=str(path), hint="give the path of an ONNX model")
    size = path.stat().st_size
    if size > MAX_MODEL_BYTES:
        raise ModelError(
            f"the file has {size:,} bytes, more than protobuf's {MAX_MODEL_BYTES:,}",
            where=str(path), hint="keep the weights as external data",
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from None


def _parse(path: Path, data: bytes) -> onnx.ModelProto:
    try:
        return onnx.ModelProto.FromString(data)
    except DecodeError:
        raise ModelError(
            f"not an ONNX model, or cut short ({len(data):,} bytes)",
            where=str(path), hint="export or copy the model again",
        ) from None


def _check_versions(proto: onnx.ModelProto, path: Path) -> None:
    if not OLDEST_IR <= proto.ir_version <= onnx.IR_VERSION:
        raise ModelError(
            f"IR version {proto.ir_version} is not one of {OLDEST_IR} to {onnx.IR_VERSION}",
            where=str(path), hint="export the model again",
        )
    newest = defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset_of(proto) <= newest:
        raise ModelError(
            f"opset {opset_of(proto)} is not one of {OLDEST_OPSET} to {newest}",
            where=str(path), hint="export the model with opset_version=18",
        )


def _check_text(proto: onnx.ModelProto, path: Path) -> None:
    """Protobuf gives bytes for a string that is not UTF-8: a damaged file."""
    graph = proto.graph
    texts: list[object] = [t.name for t in graph.initializer]
    texts += [info.name for info in (*graph.input, *graph.output)]
    for node in graph.node:
        texts += [node.name, node.op_type, node.domain, *node.input, *node.output]
        texts += [attribute.name for attribute in node.attribute]
    if not all(isinstance(text, str) for text in (graph.name, *texts)):
        raise ModelError(
            "a name in the graph is not UTF-8", where=str(path), hint="the file is damaged: export it again"
        )


def _check_names(proto: onnx.ModelProto, path: Path) -> None:
    """ONNX Runtime refuses two nodes of one name, and reports could not tell them apart."""
    names = Counter(node.name for node in proto.graph.node if node.name)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ModelError(f"two nodes are named '{twice[0]}'", where=str(path), hint="export the model again")


def _inline_functions(proto: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Older PyTorch exporters write a function for each operator or module."""
    try:
        return inliner.inline_local_functions(proto)
    except Exception as error:  # onnx raises bare RuntimeErrors of several kinds here
        reason = " ".join(str(error).split())
        raise ModelError(
            f"its functions cannot be inlined: {reason}", where=str(path), hint="export without functions",
        ) from None
