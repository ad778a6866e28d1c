"""Activations, Softmax, and what is the identity at inference."""

from __future__ import annotations

import numpy as np
import onnx

from nincc.frontend.fold import attribute
from nincc.frontend.graph import Graph
from nincc.frontend.limits import elements
from nincc.frontend.rules import rule
from nincc.frontend.rules.convolution import map_size, weight_of
from nincc.frontend.transpose import emit_elementwise, emit_transpose, transposed


@rule("Relu", "Sigmoid", "Tanh")
def read_unary(graph: Graph, node: onnx.NodeProto) -> None:
    emit_elementwise(graph, node.op_type, node.input[:1], node.output[0])


@rule("LeakyRelu")
def read_leaky_relu(graph: Graph, node: onnx.NodeProto) -> None:
    alpha = attribute(node, "alpha", 0.01)
    emit_elementwise(graph, "LeakyRelu", node.input, node.output[0], alpha=alpha)


@rule("PRelu")
def read_prelu(graph: Graph, node: onnx.NodeProto) -> None:
    shape, slope = graph.shape(node.input[0]), weight_of(graph, node.input[1], "slope")
    if len(shape) != 4 or slope.shape[-3:] not in ((1,), (), (1, 1, 1), (shape[1], 1, 1)) or slope.ndim > 4:
        raise graph.refuse(f"a slope of shape {list(slope.shape)} is not one a channel of {list(shape)}")
    channels = np.broadcast_to(slope.reshape(-1, 1, 1), (shape[1], 1, 1))
    graph.emit("PRelu", [node.input[0], graph.add_constant(channels, node.input[1])], node.output[0])


@rule("Clip")
def read_clip(graph: Graph, node: onnx.NodeProto) -> None:
    """``min`` and ``max`` are attributes up to opset 10, optional inputs from 11 on."""
    bounds = [attribute(node, "min"), attribute(node, "max")]
    for index, name in enumerate(node.input[1:3]):
        if name:
            value = weight_of(graph, name, ("minimum", "maximum")[index])
            if value.size != 1:
                raise graph.refuse(f"its bound '{name}' is not one number", "clip to two numbers")
            bounds[index] = float(value.reshape(()))
    emit_clip(graph, node, node.input[0], bounds[0], bounds[1])


def emit_clip(graph: Graph, node: onnx.NodeProto, data: str, low: float | None, high: float | None) -> None:
    """The canonical Clip with both bounds; Relu where it clips at zero from below only."""
    limit = float(np.finfo(np.float32).max)
    low = -limit if low is None else max(low, -limit)
    high = limit if high is None else min(high, limit)
    if np.isnan(low) or np.isnan(high):
        raise graph.refuse("one of its bounds is NaN", "clip to two numbers")
    if (low, high) == (-limit, limit):
        graph.alias(node.output[0], data)
    elif (low, high) == (0.0, limit):
        emit_elementwise(graph, "Relu", [data], node.output[0])
    else:
        bounds = [scalar(graph, low, "min"), scalar(graph, high, "max")]
        emit_elementwise(graph, "Clip", [data, *bounds], node.output[0])


@rule("HardSigmoid", "HardSwish")
def read_hard_sigmoid(graph: Graph, node: onnx.NodeProto) -> None:
    """Clip(alpha·x + beta, 0, 1), times x for HardSwish, whose alpha is 1/6 and beta 1/2."""
    swish = node.op_type == "HardSwish"
    alpha = 1 / 6 if swish else attribute(node, "alpha", 0.2)
    beta = 0.5 if swish else attribute(node, "beta", 0.5)
    data = graph.resolve(node.input[0])
    line = graph.emit("Mul", [data, scalar(graph, alpha, "alpha")])
    line = graph.emit("Add", [line, scalar(graph, beta, "beta")])
    bounds = [scalar(graph, 0.0, "min"), scalar(graph, 1.0, "max")]
    gate = graph.emit("Clip", [line, *bounds], None if swish else node.output[0])
    if swish:
        graph.emit("Mul", [data, gate], node.output[0])


@rule("Softmax", "LogSoftmax")
def read_softmax(graph: Graph, node: onnx.NodeProto) -> None:
    """Up to opset 12 the axes from ``axis`` on are one; from 13 on ``axis`` is alone."""
    shape = graph.shape(node.input[0])
    axis = attribute(node, "axis", -1 if graph.opset >= 13 else 1)
    if not -len(shape) <= axis <= len(shape):
        raise graph.refuse(f"axis {axis} is not one of a tensor of shape {list(shape)}")
    axis = axis + len(shape) if axis < 0 else axis
    wide = [index for index in range(axis, len(shape)) if shape[index] != 1]
    if graph.opset >= 13 or len(wide) == 1:
        _emit_softmax(graph, node, axis if graph.opset >= 13 else wide[0])
        return
    flat = graph.reshape(node.input[0], (elements(shape[:axis]), elements(shape[axis:])))
    graph.reshape(graph.emit(node.op_type, [flat], axis=1), shape, node.output[0])


def _emit_softmax(graph: Graph, node: onnx.NodeProto, axis: int) -> None:
    perm, (data,) = transposed(graph, node.input[:1])
    if perm is None:
        graph.emit(node.op_type, [data], node.output[0], axis=axis)
    else:
        emit_transpose(graph, graph.emit(node.op_type, [data], axis=perm[axis]), perm, node.output[0])


@rule("LRN")
def read_lrn(graph: Graph, node: onnx.NodeProto) -> None:
    map_size(graph, node.input[0])
    size = attribute(node, "size", 0)
    if size < 1 or size % 2 == 0:
        raise graph.refuse(f"its size {size} is not an odd number of channels", "export with an odd size")
    known = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}
    values = {name: attribute(node, name, default) for name, default in known.items()}
    graph.emit("LRN", node.input, node.output[0], size=size, **values)


@rule("Dropout")
def read_dropout(graph: Graph, node: onnx.NodeProto) -> None:
    if len(node.input) > 2 and node.input[2]:
        training = graph.constant(node.input[2])
        if training is None or training.any():
            raise graph.refuse("is in training mode", "call model.eval() before the export")
    if len(node.output) > 1 and graph.reads.get(node.output[1]):
        raise graph.refuse("its mask is read", "call model.eval() before the export")
    graph.alias(node.output[0], node.input[0])


@rule("Identity")
def read_identity(graph: Graph, node: onnx.NodeProto) -> None:
    graph.alias(node.output[0], node.input[0])


@rule("Cast")
def read_cast(graph: Graph, node: onnx.NodeProto) -> None:
    if attribute(node, "to") != onnx.TensorProto.FLOAT:
        name = onnx.TensorProto.DataType.Name(attribute(node, "to")).lower()
        raise graph.refuse(f"casts an activation to {name}", "nincc computes in float32; export in float32")
    graph.alias(node.output[0], node.input[0])


def scalar(graph: Graph, value: float, stem: str) -> str:
    """A float32 constant of rank 0."""
    return graph.add_constant(np.array(value, np.float32), stem)
