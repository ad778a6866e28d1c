"""Reshape and its kin, Transpose, Concat and Pad."""

from __future__ import annotations

import numpy as np
import onnx

from nincc.frontend.fold import attribute
from nincc.frontend.graph import Graph, infer_shapes
from nincc.frontend.limits import elements, shape_fault
from nincc.frontend.rules import rule
from nincc.frontend.transpose import emit_transpose, transposed


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def read_reshape(graph: Graph, node: onnx.NodeProto) -> None:
    """All become a Reshape to the static shape that shape inference finds for this opset."""
    if any(graph.constant(name) is None for name in node.input[1:] if name):
        raise graph.refuse("its shape or axes depend on the input's values", "export with static shapes")
    shape, before = infer_shapes(graph, node, graph.opset)[0], graph.shape(node.input[0])
    if shape is None or shape_fault(shape) or elements(shape) != elements(before):
        raise graph.refuse(f"shape {list(before)} cannot become what it asks for", "export the model again")
    graph.reshape(node.input[0], shape, node.output[0])


@rule("Transpose")
def read_transpose(graph: Graph, node: onnx.NodeProto) -> None:
    rank = len(graph.shape(node.input[0]))
    perm = attribute(node, "perm", list(range(rank))[::-1])
    if sorted(perm) != list(range(rank)):
        raise graph.refuse(f"perm {list(perm)} is no permutation of {rank} axes", "export the model again")
    emit_transpose(graph, node.input[0], perm, node.output[0])


@rule("Concat")
def read_concat(graph: Graph, node: onnx.NodeProto) -> None:
    if any(graph.constant(name) is not None and graph.constants[graph.resolve(name)].dtype != np.float32
           for name in node.input):
        raise graph.refuse("joins an activation with a constant that is not float32", "export in float32")
    rank, axis = len(graph.shape(node.input[0])), attribute(node, "axis", 1)
    if not -rank <= axis < rank:
        raise graph.refuse(f"axis {axis} is not one of {rank}", "export the model again")
    axis %= rank
    perm, sources = transposed(graph, node.input)
    if len(sources) == 1:
        graph.alias(node.output[0], node.input[0])
    elif perm is None or any(graph.constant(name) is not None for name in sources):
        graph.emit("Concat", node.input, node.output[0], axis=axis)
    else:
        emit_transpose(graph, graph.emit("Concat", sources, axis=perm[axis]), perm, node.output[0])


@rule("Pad")
def read_pad(graph: Graph, node: onnx.NodeProto) -> None:
    """``pads`` and ``value`` are attributes up to opset 10, inputs from 11 on; ``axes`` from 18 on."""
    mode = attribute(node, "mode", "constant")
    if mode != "constant":
        raise graph.refuse(f"its mode is '{mode}'", "nincc reads constant padding")
    amounts, value = _pad_amounts(graph, node), _pad_value(graph, node)
    if min(amounts) < 0:
        raise graph.refuse(f"it crops: pads {amounts}", "pad by at least 0")
    if not any(amounts):
        graph.alias(node.output[0], node.input[0])
        return
    perm, (data,) = transposed(graph, node.input[:1])
    rank = len(amounts) // 2
    order = list(range(rank)) if perm is None else list(np.argsort(perm))
    mapped = [amounts[axis + end] for end in (0, rank) for axis in order]
    inputs = [
        data, graph.add_constant(np.array(mapped, np.int64), "pads"),
        graph.add_constant(np.array(value, np.float32), "value"),
    ]
    if perm is None:
        graph.emit("Pad", inputs, node.output[0], mode="constant")
    else:
        emit_transpose(graph, graph.emit("Pad", inputs, mode="constant"), perm, node.output[0])


def _pad_amounts(graph: Graph, node: onnx.NodeProto) -> list[int]:
    rank = len(graph.shape(node.input[0]))
    given = attribute(node, "pads")
    axes = list(range(rank))
    if given is None:
        value = graph.constant(node.input[1]) if len(node.input) > 1 else None
        if value is None:
            raise graph.refuse("its pads are not a constant", "export with static shapes")
        given = value.ravel().tolist()
    if len(node.input) > 3 and node.input[3]:
        value = graph.constant(node.input[3])
        if value is None:
            raise graph.refuse("its axes are not a constant", "export with static shapes")
        axes = [int(axis) % rank for axis in value.ravel()]
    if len(given) != 2 * len(axes):
        raise graph.refuse(f"pads {list(given)} do not fit {len(axes)} axes", "export the model again")
    amounts = [0] * (2 * rank)
    for index, axis in enumerate(axes):
        amounts[axis], amounts[axis + rank] = int(given[index]), int(given[index + len(axes)])
    return amounts


def _pad_value(graph: Graph, node: onnx.NodeProto) -> float:
    if len(node.input) < 3 or not node.input[2]:
        return float(attribute(node, "value", 0.0))
    value = graph.constant(node.input[2])
    if value is None or value.size != 1 or np.isnan(value).any():
        raise graph.refuse("its padding value is not one constant number", "pad with a constant")
    return float(value.reshape(()))
