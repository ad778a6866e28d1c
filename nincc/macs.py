"""Counts the multiply-accumulates and parameters of an ONNX graph, node by node.  No TVM in here."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import onnx

from nincc.errors import ModelError

Shape = tuple[int, ...]
_FLOATS = tuple(onnx.TensorProto.DataType.Value(name) for name in ("FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16"))


@dataclass(frozen=True)
class LayerCount:
    """One node: its first input's and first output's shape, and what it costs.

    ``macs`` are for the whole batch and leave the bias out.  ``parameters`` are the float weights
    that no earlier node reads, biases included.
    """

    name: str
    op: str
    input_shape: Shape
    output_shape: Shape
    macs: int
    parameters: int


def count_layers(model: onnx.ModelProto) -> list[LayerCount]:
    """Every node of the graph in order; all shapes must be static (ModelError names the node if not)."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = _known_shapes(graph)
    unread = {tensor.name: prod(tensor.dims) for tensor in graph.initializer if tensor.data_type in _FLOATS}
    return [_count(node, shapes, unread) for node in graph.node]


def total_macs(layers: list[LayerCount]) -> int:
    """Multiply-accumulates of one run of the graph, for its whole batch."""
    return sum(layer.macs for layer in layers)


def total_parameters(layers: list[LayerCount]) -> int:
    """Float weights and biases that the graph reads."""
    return sum(layer.parameters for layer in layers)


def _count(node: Any, shapes: dict[str, Shape], unread: dict[str, int]) -> LayerCount:
    parameters = sum(unread.pop(name, 0) for name in node.input)
    output = _shape(node, node.output[0], shapes)
    source = _shape(node, node.input[0], shapes) if node.input else ()
    macs = prod(output) * _reduction(node, source, shapes)
    return LayerCount(node.name or node.output[0], node.op_type, source, output, macs, parameters)


def _reduction(node: Any, source: Shape, shapes: dict[str, Shape]) -> int:
    """Multiply-accumulates for each element of the node's output; 0 for an op that has none."""
    if node.op_type == "Conv":
        return prod(_shape(node, node.input[1], shapes)[1:])
    if node.op_type == "MatMul":
        return source[-1]
    if node.op_type == "Gemm":
        transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return source[0 if transposed else 1]
    return 0


def _known_shapes(graph: Any) -> dict[str, Shape]:
    """The static shape of every tensor that has one."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    return shapes


def _shape(node: Any, tensor: str, shapes: dict[str, Shape]) -> Shape:
    if tensor not in shapes:
        raise ModelError(
            f"the shape of tensor '{tensor}' is not static",
            where=f"node '{node.name or node.output[0]}' ({node.op_type})",
            hint="export with static shapes",
        )
    return shapes[tensor]
