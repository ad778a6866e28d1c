"""From a canonical model to a Relay module of standard operators.

nincc translates itself rather than through TVM's ONNX importer: after normalisation each node is one or
two Relay calls, each keeps its ONNX name as its span, and the importer's misreadings have no part in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
from onnx import numpy_helper

from nincc._tvm import tvm
from nincc.errors import InternalError
from nincc.frontend.fold import attribute
from nincc.frontend.layers import named
from nincc.frontend.model import Model

relay: Any = tvm.relay
Expr = Any
Converter = Callable[[onnx.NodeProto, list[Expr]], Expr]


def to_relay(model: Model) -> Any:
    """The model as a type-checked ``tvm.IRModule``: ``main`` takes the inputs, weights are constants.

    Several outputs become one tuple, in order.  ``layer_name`` reads each call's ONNX node.
    """
    graph = model.proto.graph
    inputs = [relay.var(spec.name, shape=spec.shape, dtype="float32") for spec in model.inputs]
    values: dict[str, Expr] = dict(zip((spec.name for spec in model.inputs), inputs, strict=True))
    for tensor in graph.initializer:
        values[tensor.name] = relay.const(numpy_helper.to_array(tensor))
    for node in graph.node:
        arguments = [values[name] for name in node.input]
        values[node.output[0]] = _convert(node, arguments)
    outputs = [values[spec.name] for spec in model.outputs]
    body = outputs[0] if len(outputs) == 1 else relay.Tuple(outputs)
    module = tvm.IRModule.from_expr(relay.Function(inputs, body))
    return relay.transform.InferType()(module)


def _convert(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    converter = _CONVERTERS.get(node.op_type)
    if converter is None:
        raise InternalError(f"canonical operator {node.op_type} has no Relay form", where=node.name)
    return converter(node, arguments)


def _conv(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    data, weight, *bias = arguments
    call = relay.nn.conv2d(
        data, weight, strides=_ints(node, "strides"), padding=_ints(node, "pads"),
        dilation=_ints(node, "dilations"), groups=attribute(node, "group"),
        channels=int(weight.data.shape[0]), kernel_size=_ints(node, "kernel_shape"),
    )
    return _with_bias(named(call, node.name), bias, node.name)


def _gemm(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    data, weight, *bias = arguments
    call = relay.nn.dense(data, weight, units=int(weight.data.shape[0]))
    return _with_bias(named(call, node.name), bias, node.name)


def _with_bias(call: Expr, bias: list[Expr], name: str) -> Expr:
    return named(relay.nn.bias_add(call, bias[0]), name) if bias else call


def _batch_norm(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    result = relay.nn.batch_norm(*arguments, axis=1, epsilon=attribute(node, "epsilon"))
    return relay.TupleGetItem(named(result.astuple(), node.name), 0)


def _max_pool(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    call = relay.nn.max_pool2d(
        arguments[0], pool_size=_ints(node, "kernel_shape"), strides=_ints(node, "strides"),
        padding=_ints(node, "pads"), dilation=tuple(attribute(node, "dilations", (1, 1))),
    )
    return named(call, node.name)


def _average_pool(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    call = relay.nn.avg_pool2d(
        arguments[0], pool_size=_ints(node, "kernel_shape"), strides=_ints(node, "strides"),
        padding=_ints(node, "pads"), count_include_pad=bool(attribute(node, "count_include_pad")),
    )
    return named(call, node.name)


def _mean(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    axes, keep = list(attribute(node, "axes")), bool(attribute(node, "keepdims"))
    return named(relay.mean(arguments[0], axis=axes, keepdims=keep), node.name)


def _reshape(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    shape = [int(extent) for extent in arguments[1].data.numpy()]
    return named(relay.reshape(arguments[0], shape), node.name)


def _pad(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    amounts = [int(amount) for amount in arguments[1].data.numpy()]
    rank = len(amounts) // 2
    widths = list(zip(amounts[:rank], amounts[rank:], strict=True))
    value = float(arguments[2].data.numpy())
    return named(relay.nn.pad(arguments[0], widths, pad_value=value), node.name)


def _clip(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    low, high = (float(bound.data.numpy()) for bound in arguments[1:])
    return named(relay.clip(arguments[0], low, high), node.name)


def _prelu(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    slope = relay.const(arguments[1].data.numpy().ravel())
    return named(relay.nn.prelu(arguments[0], slope, axis=1), node.name)


def _leaky_relu(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    return named(relay.nn.leaky_relu(arguments[0], alpha=attribute(node, "alpha")), node.name)


def _lrn(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    values = {name: attribute(node, name) for name in ("size", "bias", "alpha", "beta")}
    return named(relay.nn.lrn(arguments[0], axis=1, **values), node.name)


def _slice(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    begin, end, axes, strides = ([int(n) for n in given.data.numpy()] for given in arguments[1:])
    call = relay.strided_slice(arguments[0], begin, end, strides=strides, axes=axes)
    return named(call, node.name)


def _transpose(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    return named(relay.transpose(arguments[0], axes=_ints(node, "perm")), node.name)


def _concat(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
    return named(relay.concatenate(arguments, axis=attribute(node, "axis")), node.name)


def _direct(build: Callable[..., Expr], *attributes: str) -> Converter:
    """A converter for an operator that Relay has with the same inputs and attributes."""

    def convert(node: onnx.NodeProto, arguments: list[Expr]) -> Expr:
        given = {name: attribute(node, name) for name in attributes}
        return named(build(*arguments, **given), node.name)

    return convert


def _ints(node: onnx.NodeProto, name: str) -> tuple[int, ...]:
    return tuple(attribute(node, name))


_CONVERTERS: dict[str, Converter] = {
    "Add": _direct(relay.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _direct(relay.divide),
    "Gemm": _gemm,
    "GlobalAveragePool": _direct(relay.nn.global_avg_pool2d),
    "GlobalMaxPool": _direct(relay.nn.global_max_pool2d),
    "Identity": _direct(relay.copy),
    "LRN": _lrn,
    "LeakyRelu": _leaky_relu,
    "LogSoftmax": _direct(relay.nn.log_softmax, "axis"),
    "MaxPool": _max_pool,
    "Mul": _direct(relay.multiply),
    "PRelu": _prelu,
    "Pad": _pad,
    "ReduceMean": _mean,
    "Relu": _direct(relay.nn.relu),
    "Reshape": _reshape,
    "Sigmoid": _direct(relay.sigmoid),
    "Slice": _slice,
    "Softmax": _direct(relay.nn.softmax, "axis"),
    "Sub": _direct(relay.subtract),
    "Tanh": _direct(relay.tanh),
    "Transpose": _transpose,
}
