"""The graph's structure before any node is read: order, names, types of inputs and outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import onnx
from onnx import TensorProto

from nincc.errors import ModelError, UsageError
from nincc.frontend.limits import shape_fault
from nincc.tensor import TensorSpec

_STATIC = "export the model with a fixed height and width"


def name_nodes(graph: onnx.GraphProto) -> None:
    """Gives each node without a name the name ``<op>_<index among its kind>``, as long as it is free."""
    taken = {node.name for node in graph.node}
    count: Counter[str] = Counter()
    for node in graph.node:
        index = count[node.op_type]
        count[node.op_type] += 1
        if not node.name:
            name = f"{node.op_type}_{index}"
            while name in taken:
                name += "_"
            node.name = name
            taken.add(name)


def sorted_nodes(graph: onnx.GraphProto, path: Path) -> list[onnx.NodeProto]:
    """The nodes, each after those it reads from; the given order is kept where it is one.

    Raises ModelError for a tensor that is made twice, one that nothing makes, and a cycle.
    """
    known = {info.name for info in graph.input} | {t.name for t in graph.initializer}
    makers = _makers(graph, known, path)
    for node in graph.node:
        for name in filter(None, node.input):
            if name not in known and name not in makers:
                raise _at(path, node, f"reads '{name}', which nothing produces")
    order: list[onnx.NodeProto] = []
    waiting = list(graph.node)
    while waiting:
        stuck = []
        for node in waiting:
            if all(name in known for name in filter(None, node.input)):
                known.update(node.output)
                order.append(node)
            else:
                stuck.append(node)
        if len(stuck) == len(waiting):
            raise _at(path, stuck[0], "is part of a cycle, or reads from one", "an ONNX graph has no loops")
        waiting = stuck
    for info in graph.output:
        if info.name not in known:
            what = f"nothing produces its output '{info.name}'"
            raise ModelError(what, where=str(path), hint="export the model again")
    return order


def graph_inputs(graph: onnx.GraphProto, path: Path, batch: int | None) -> tuple[list[TensorSpec], list[str]]:
    """The true inputs (those that no initializer fills) with the batch pinned, and notes for the user."""
    filled = {t.name for t in graph.initializer}
    inputs = [info for info in graph.input if info.name not in filled]
    if not inputs:
        raise ModelError("the graph has no input", where=str(path), hint="nincc compiles nets of images")
    pinned = [_input_spec(info, path, batch) for info in inputs]
    notes = []
    if any(dynamic for _, dynamic in pinned):
        how = "the default; --batch sets it" if batch is None else "--batch"
        notes.append(f"dynamic batch pinned to {batch or 1} ({how})")
    return [spec for spec, _ in pinned], notes


def _input_spec(info: onnx.ValueInfoProto, path: Path, batch: int | None) -> tuple[TensorSpec, bool]:
    """The input with its batch pinned, and whether that was dynamic."""
    kind = info.type.tensor_type
    if not info.type.HasField("tensor_type") or kind.elem_type != TensorProto.FLOAT:
        raise _input_fault(path, info, f"is {type_name(info)}, not float32", "export the model in float32")
    if not kind.HasField("shape") or not kind.shape.dim:
        raise _input_fault(path, info, "has no shape", "export the model with static shapes")
    first, *rest = kind.shape.dim
    for axis, dim in enumerate(rest, 1):
        if not dim.HasField("dim_value"):
            what = f"has the dynamic dimension '{dim.dim_param or '?'}' at axis {axis}"
            raise _input_fault(path, info, what, _STATIC)
    dynamic = not first.HasField("dim_value")
    if not dynamic and batch is not None and first.dim_value != batch:
        raise UsageError(
            f"--batch {batch} does not fit input '{info.name}' of fixed batch {first.dim_value}",
            where=str(path), hint="leave --batch out, or export with a dynamic batch",
        )
    shape = ((batch or 1) if dynamic else first.dim_value, *(dim.dim_value for dim in rest))
    fault = shape_fault(shape)
    if fault:
        raise _input_fault(path, info, f"is refused: its {fault}", "export it with a smaller, positive shape")
    return TensorSpec(info.name, shape), dynamic


def type_name(info: onnx.ValueInfoProto) -> str:
    """``float16``, ``int64`` …, ``sequence`` and the like for what is no tensor."""
    if not info.type.HasField("tensor_type"):
        return str(info.type.WhichOneof("value") or "untyped").removesuffix("_type")
    code = info.type.tensor_type.elem_type
    known = code in TensorProto.DataType.values()
    names = {"FLOAT": "float32", "DOUBLE": "float64"}
    name = TensorProto.DataType.Name(code) if known else f"type {code}"
    return names.get(name, name.lower())


def _makers(graph: onnx.GraphProto, known: set[str], path: Path) -> dict[str, onnx.NodeProto]:
    makers: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        for name in filter(None, node.output):
            if name in makers or name in known:
                raise _at(path, node, f"makes '{name}', which is made elsewhere too")
            makers[name] = node
    _unique([t.name for t in graph.initializer], "initializer", path)
    _unique([info.name for info in graph.input], "input", path)
    return makers


def _unique(names: Iterable[str], kind: str, path: Path) -> None:
    for name, count in Counter(names).items():
        if count > 1 or not name:
            what = f"{kind} '{name}' appears {count} times" if name else f"an {kind} has no name"
            raise ModelError(what, where=str(path), hint="export the model again")


def _at(path: Path, node: onnx.NodeProto, what: str, hint: str = "export the model again") -> ModelError:
    return ModelError(what, where=f"{path}: node '{node.name}' ({node.op_type})", hint=hint)


def _input_fault(path: Path, info: onnx.ValueInfoProto, what: str, hint: str) -> ModelError:
    return ModelError(f"input '{info.name}' {what}", where=str(path), hint=hint)
