"""From a parsed graph to canonical nodes: one pass, front to back.

At each node everything before it is known: constants by value, activations by static shape.  So a node
either folds to a constant or is read by its rule, and a fault is found at the node that causes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, checker, helper

from nincc.errors import ModelError
from nincc.frontend.fold import FOLDABLE, fold, to_array
from nincc.frontend.graph import Graph
from nincc.frontend.read import opset_of
from nincc.frontend.rules import rules
from nincc.frontend.structure import sorted_nodes, type_name
from nincc.tensor import TensorSpec


def normalise(proto: onnx.ModelProto, path: Path, inputs: Sequence[TensorSpec]) -> Graph:
    """The canonical graph of a model whose nodes have names and whose data is inline."""
    nodes = _needed(sorted_nodes(proto.graph, path), [info.name for info in proto.graph.output])
    graph = Graph(str(path), opset_of(proto))
    graph.inputs = list(inputs)
    graph.reads = dict(_reads(nodes, proto.graph))
    graph.shapes = {spec.name: spec.shape for spec in inputs}
    _take_weights(graph, proto.graph)
    context = _checker_context(graph.opset)
    for node in nodes:
        graph.node = node
        _read(graph, node, context)
    graph.node = None
    _settle_outputs(graph, proto.graph.output)
    _drop_dead(graph, proto.graph.output)
    _check_numbers(graph)
    return graph


def supported_operators() -> list[str]:
    """The ONNX operators that nincc reads on activations, sorted."""
    return sorted(rules())


def _needed(nodes: list[onnx.NodeProto], outputs: list[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _reads(nodes: list[onnx.NodeProto], graph: onnx.GraphProto) -> Counter[str]:
    reads = Counter(name for node in nodes for name in node.input if name)
    reads.update(info.name for info in graph.output)
    return reads


def _take_weights(graph: Graph, source: onnx.GraphProto) -> None:
    if source.sparse_initializer:
        raise graph.refuse("it has sparse weights", "export the model with dense weights")
    for tensor in source.initializer:
        if graph.reads.get(tensor.name):
            graph.constants[tensor.name] = to_array(graph, tensor, tensor.name)


def _read(graph: Graph, node: onnx.NodeProto, context: object) -> None:
    known = rules()
    if node.domain not in ("", "ai.onnx"):
        raise graph.refuse(f"operator {node.domain}::{node.op_type} is not supported", "export standard ONNX")
    _check_node(graph, node, context)
    if fold(graph, node, FOLDABLE | known.keys()):
        return
    if node.op_type not in known:
        hint = f"supported: {', '.join(supported_operators())}"
        raise graph.refuse(f"operator {node.op_type} is not supported", hint)
    known[node.op_type](graph, node)


def _check_node(graph: Graph, node: onnx.NodeProto, context: object) -> None:
    try:
        checker.check_node(node, context)
    except (checker.ValidationError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split("==>")[0].split())
        raise graph.refuse(f"is malformed: {reason}", "export the model again") from None


def _checker_context(opset: int) -> object:
    context = checker.C.CheckerContext()
    context.ir_version = 8
    context.opset_imports = {"": opset}
    return context


def _settle_outputs(graph: Graph, outputs: Sequence[onnx.ValueInfoProto]) -> None:
    """Gives each output's tensor the output's own name, and holds it against its declared type."""
    taken = {spec.name for spec in graph.inputs} | {info.name for info in outputs}
    for info in outputs:
        target = graph.resolve(info.name)
        if target in graph.constants:
            raise ModelError(
                f"output '{info.name}' does not depend on an input", where=graph.source, hint="remove it",
            )
        if target != info.name:
            del graph.aliases[info.name]
            if target in taken:
                graph.emit("Identity", [target], info.name)
            else:
                _rename(graph, target, info.name)
        _check_output(graph, info)


def _rename(graph: Graph, old: str, new: str) -> None:
    for node in graph.nodes:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
    graph.shapes[new] = graph.shapes.pop(old)
    graph.producers[new] = graph.producers.pop(old)
    graph.aliases[old] = new


def _check_output(graph: Graph, info: onnx.ValueInfoProto) -> None:
    kind, shape = info.type.tensor_type, graph.shapes[info.name]
    where = f"{graph.source}: output '{info.name}'"
    if info.type.WhichOneof("value") and kind.elem_type not in (TensorProto.UNDEFINED, TensorProto.FLOAT):
        what = f"is declared {type_name(info)} and computed in float32"
        raise ModelError(what, where=where, hint="export the model again")
    if not kind.HasField("shape"):
        return
    declared = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
    fits = len(declared) == len(shape) and all(
        axis == 0 or extent in (None, shape[axis]) for axis, extent in enumerate(declared)
    )
    if not fits:
        text = ", ".join("?" if extent is None else str(extent) for extent in declared)
        what = f"is declared [{text}] but has shape {list(shape)}"
        raise ModelError(what, where=where, hint="export the model again")


def _drop_dead(graph: Graph, outputs: Sequence[onnx.ValueInfoProto]) -> None:
    graph.nodes = _needed(graph.nodes, [info.name for info in outputs])
    used = {name for node in graph.nodes for name in node.input}
    graph.constants = {name: value for name, value in graph.constants.items() if name in used}
    made = {name for node in graph.nodes for name in node.output} | {spec.name for spec in graph.inputs}
    graph.shapes = {name: shape for name, shape in graph.shapes.items() if name in made}


def _check_numbers(graph: Graph) -> None:
    """Weights must be finite; only a Pad may fill with an infinity (as before a maximum)."""
    for node in graph.nodes:
        for name in node.input if node.op_type != "Pad" else ():
            value = graph.constants.get(name)
            if value is not None and not np.isfinite(value).all():
                kind = "NaN" if np.isnan(value).any() else "an infinity"
                graph.node = node
                raise graph.refuse(f"its weight '{name}' contains {kind}", "train or export the model again")


def canonical_proto(graph: Graph, name: str, outputs: Sequence[str], opset: int) -> onnx.ModelProto:
    """The graph as an ONNX model, every tensor's shape in it."""
    def info(tensor: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(tensor, TensorProto.FLOAT, graph.shapes[tensor])

    inside = [t for t in graph.shapes if t not in outputs and t not in {spec.name for spec in graph.inputs}]
    body = helper.make_graph(
        graph.nodes, name, [info(spec.name) for spec in graph.inputs], [info(t) for t in outputs],
        [onnx.numpy_helper.from_array(value, tensor) for tensor, value in graph.constants.items()],
        value_info=[info(t) for t in inside],
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
