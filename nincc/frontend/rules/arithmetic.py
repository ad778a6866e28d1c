"""Add, Sub, Mul, Div and their kin; an addition of one number a channel becomes a layer's bias."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx

from nincc.frontend.graph import Array, Graph
from nincc.frontend.rules import rule
from nincc.frontend.rules.activation import emit_clip
from nincc.frontend.rules.convolution import weight_of
from nincc.frontend.transpose import emit_elementwise, emit_transpose, transposed, untranspose


@rule("Add", "Sub", "Mul", "Div")
def read_binary(graph: Graph, node: onnx.NodeProto) -> None:
    for name in node.input:
        if graph.constant(name) is not None:
            weight_of(graph, name, "operand")
    if node.op_type == "Add" and _becomes_bias(graph, node):
        return
    emit_elementwise(graph, node.op_type, node.input, node.output[0])


@rule("Sum")
def read_sum(graph: Graph, node: onnx.NodeProto) -> None:
    terms = list(node.input)
    if len(terms) == 1:
        graph.alias(node.output[0], terms[0])
        return
    total = terms[0]
    for _, term in pairwise(terms[:-1]):
        total = graph.emit("Add", [total, term])
    emit_elementwise(graph, "Add", [total, terms[-1]], node.output[0])


@rule("Min", "Max")
def read_bound(graph: Graph, node: onnx.NodeProto) -> None:
    """TensorFlow writes ReLU6 as Min(Relu(x), 6): with one number these are Clip."""
    data = [name for name in node.input if graph.constant(name) is None]
    bounds = [weight_of(graph, name, "bound") for name in node.input if name not in data]
    if len(data) != 1 or any(bound.size != 1 for bound in bounds):
        raise graph.refuse("compares two tensors", "nincc reads Min and Max against one number")
    if any(bound.ndim > len(graph.shape(data[0])) for bound in bounds):
        raise graph.refuse("its number has more dimensions than its input", "compare with a scalar")
    values = [float(bound.reshape(())) for bound in bounds]
    low = max(values) if node.op_type == "Max" and values else None
    high = min(values) if node.op_type == "Min" and values else None
    emit_clip(graph, node, data[0], low, high)


def _becomes_bias(graph: Graph, node: onnx.NodeProto) -> bool:
    """Adds a constant to the bias of the Conv or Gemm before it, if nothing else reads that output."""
    constants = [name for name in node.input if graph.constant(name) is not None]
    activations = [name for name in node.input if graph.constant(name) is None]
    if len(constants) != 1 or not graph.private(activations[0]):
        return False
    perm, (source,) = transposed(graph, activations)
    layer = graph.producer(source, "Conv", "Gemm")
    bias = _bias(graph, graph.resolve(constants[0]), graph.shape(activations[0]), perm)
    if layer is None or bias is None or not graph.private(source):
        return False
    if len(layer.input) > 2:
        bias = graph.constants[layer.input[2]] + bias
    inputs = [*layer.input[:2], graph.add_constant(bias.astype(np.float32), f"{node.output[0]}.bias")]
    if perm is None:
        graph.replace(layer, inputs, node.output[0])
    else:
        result = graph.fresh(node.output[0])
        graph.replace(layer, inputs, result)
        emit_transpose(graph, result, perm, node.output[0])
    return True


def _bias(graph: Graph, name: str, shape: tuple[int, ...], perm: list[int] | None) -> Array | None:
    """The constant as one number a channel of the map before ``perm``; None where it is not that."""
    value = graph.constants[name]
    if value.ndim > len(shape):
        return None
    if perm is not None:
        value, shape = untranspose(value, perm), tuple(shape[axis] for axis in np.argsort(perm))
    return per_channel(value, shape)


def per_channel(value: Array, shape: tuple[int, ...]) -> Array | None:
    """``value`` as ``[C]`` where it broadcasts to ``[N, C, …]`` as one number a channel, else None."""
    if value.ndim > len(shape):
        return None
    full = untranspose(value, range(len(shape)))
    others = [extent for axis, extent in enumerate(full.shape) if axis != 1]
    if any(extent != 1 for extent in others) or full.shape[1] not in (1, shape[1]):
        return None
    return np.ascontiguousarray(np.broadcast_to(full.ravel(), (shape[1],)))
