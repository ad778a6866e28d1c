"""Gemm and MatMul with a constant weight.  Canonical: ``Gemm(x [N, K], weight [units, K], bias [units])``."""

from __future__ import annotations

import numpy as np
import onnx

from nincc.frontend.fold import attribute
from nincc.frontend.graph import Array, Graph
from nincc.frontend.limits import elements
from nincc.frontend.rules import rule
from nincc.frontend.rules.arithmetic import per_channel
from nincc.frontend.rules.convolution import weight_of
from nincc.frontend.transpose import emit_transpose


@rule("Gemm")
def read_gemm(graph: Graph, node: onnx.NodeProto) -> None:
    data = graph.resolve(node.input[0])
    if graph.constant(data) is not None or len(graph.shape(data)) != 2:
        what = f"its first operand is a constant or of shape {list(graph.shape(data))}"
        raise graph.refuse(what, "nincc reads an activation [N, channels]")
    if attribute(node, "transA", 0):
        data = emit_transpose(graph, data, (1, 0))
    weight = weight_of(graph, node.input[1])
    weight = weight if attribute(node, "transB", 0) else weight.T
    weight = _scaled(weight, attribute(node, "alpha", 1.0))
    bias = None
    if len(node.input) > 2 and node.input[2]:
        bias = _scaled(weight_of(graph, node.input[2], "bias"), attribute(node, "beta", 1.0))
    _emit_gemm(graph, data, weight, bias, node.output[0])


@rule("MatMul")
def read_matmul(graph: Graph, node: onnx.NodeProto) -> None:
    """On the last axis of NHWC this is a 1×1 convolution, on ``[N, …, K]`` a Gemm on all rows."""
    data = graph.resolve(node.input[0])
    if graph.constant(data) is not None or graph.constant(node.input[1]) is None:
        raise graph.refuse("does not multiply an activation by a constant", "nincc reads x·W, W constant")
    weight, shape = weight_of(graph, node.input[1]), graph.shape(data)
    if weight.ndim != 2 or len(shape) < 2 or shape[-1] != weight.shape[0]:
        what = f"shapes {list(shape)} and {list(weight.shape)} do not multiply"
        raise graph.refuse(what, "the weight must be [channels, units]")
    if len(shape) == 4:
        _emit_pointwise(graph, data, weight, node.output[0])
    elif len(shape) == 2:
        _emit_gemm(graph, data, weight.T, None, node.output[0])
    else:
        rows = graph.reshape(data, (elements(shape[:-1]), shape[-1]))
        product = _emit_gemm(graph, rows, weight.T, None, None)
        graph.reshape(product, (*shape[:-1], weight.shape[1]), node.output[0])


def _emit_gemm(graph: Graph, data: str, weight: Array, bias: Array | None, output: str | None) -> str:
    shape = graph.shape(data)
    if weight.ndim != 2 or shape[1] != weight.shape[1]:
        raise graph.refuse(f"shapes {list(shape)} and {list(weight.T.shape)} do not multiply")
    target = (shape[0], weight.shape[0])
    if bias is not None and (bias.ndim > 2 or np.broadcast_shapes(target, bias.shape) != target):
        raise graph.refuse(f"its bias of shape {list(bias.shape)} does not fit {list(target)}")
    inputs = [data, graph.add_constant(weight, f"{data}.weight")]
    row = None if bias is None else per_channel(bias, target)
    if row is not None:
        inputs.append(graph.add_constant(row, f"{data}.bias"))
    if bias is None or row is not None:
        return graph.emit("Gemm", inputs, output, transB=1)
    product = graph.emit("Gemm", inputs, transB=1)
    return graph.emit("Add", [product, graph.add_constant(bias, f"{data}.bias")], output)


def _emit_pointwise(graph: Graph, data: str, weight: Array, output: str) -> None:
    kernel = np.ascontiguousarray(weight.T)[:, :, None, None]
    planes = emit_transpose(graph, data, (0, 3, 1, 2))
    product = graph.emit(
        "Conv", [planes, graph.add_constant(kernel, f"{data}.weight")],
        kernel_shape=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), group=1,
    )
    emit_transpose(graph, product, (0, 2, 3, 1), output)


def _scaled(value: Array, factor: float) -> Array:
    return value if factor == 1.0 else (value.astype(np.float64) * factor).astype(np.float32)
