"""Folds what is constant: shape arithmetic, Constant nodes, weights that an exporter cast or transposed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from nincc.frontend.graph import Array, Graph, infer_shapes
from nincc.frontend.limits import MAX_FOLDED_ELEMENTS, MAX_TENSOR_BYTES, elements

#: What shape arithmetic and weight preparation use.  Each makes one output whose size inference knows.
FOLDABLE = frozenset({
    "Add", "And", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Exp", "Expand",
    "Flatten", "Floor", "Gather", "Greater", "Identity", "Less", "MatMul", "Max", "Min", "Mod", "Mul",
    "Neg", "Not", "Or", "Pow", "Range", "Reciprocal", "ReduceProd", "ReduceSum", "Reshape", "Shape",
    "Size", "Slice", "Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where",
})


def fold(graph: Graph, node: onnx.NodeProto, operators: Collection[str] = FOLDABLE) -> bool:
    """Turns ``node`` into a constant where it is one of ``operators`` on constants; says whether it was."""
    if node.op_type == "Constant":
        graph.constants[node.output[0]] = _constant_value(graph, node)
        return True
    if node.op_type in ("Shape", "Size") and graph.constant(node.input[0]) is None:
        graph.constants[node.output[0]] = _shape_value(graph, node)
        return True
    if node.op_type not in operators or any(graph.constant(name) is None for name in node.input if name):
        return False
    graph.constants[node.output[0]] = _evaluate(graph, node)
    return True


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """An attribute's value as Python or numpy data (str for a string)."""
    for found in node.attribute:
        if found.name == name:
            value = helper.get_attribute_value(found)
            return value.decode(errors="replace") if isinstance(value, bytes) else value
    return default


def to_array(graph: Graph, tensor: onnx.TensorProto, name: str) -> Array:
    """A tensor's value.  Raises ModelError where its bytes are not what its shape and type need."""
    if any(extent < 0 for extent in tensor.dims) or elements(tensor.dims) > MAX_TENSOR_BYTES // 4:
        raise graph.refuse(f"tensor '{name}' has the shape {list(tensor.dims)}", "compile a smaller net")
    try:
        value = np.asarray(numpy_helper.to_array(tensor))
        return value.reshape(tuple(tensor.dims))
    except Exception as error:  # onnx raises ValueError, TypeError, KeyError … on malformed tensors
        reason = " ".join(str(error).split())
        raise graph.refuse(f"tensor '{name}' is malformed: {reason}", "export the model again") from None


def _constant_value(graph: Graph, node: onnx.NodeProto) -> Array:
    tensor = attribute(node, "value")
    if tensor is not None:
        return to_array(graph, tensor, node.output[0])
    for name, dtype in (("value_float", np.float32), ("value_floats", np.float32),
                        ("value_int", np.int64), ("value_ints", np.int64)):
        value = attribute(node, name)
        if value is not None:
            return np.array(value, dtype)
    raise graph.refuse("is a constant that is neither a dense tensor nor numbers", "export the model again")


def _shape_value(graph: Graph, node: onnx.NodeProto) -> Array:
    shape = graph.shape(node.input[0])
    if node.op_type == "Size":
        return np.array(elements(shape), np.int64)
    start, end = attribute(node, "start", 0), attribute(node, "end")
    return np.array(shape[slice(start, end)], np.int64)


def _evaluate(graph: Graph, node: onnx.NodeProto) -> Array:
    """One node's value by ONNX Runtime, after its size was checked."""
    shape = infer_shapes(graph, node, graph.opset)[0]
    if shape is None or any(extent < 0 for extent in shape):
        raise graph.refuse("is constant, but its shape is unknown", "simplify the model before compiling")
    graph.folded += elements(shape)
    if graph.folded > MAX_FOLDED_ELEMENTS:
        raise graph.refuse(
            f"is a constant of shape {list(shape)}: with those before it more than nincc folds",
            "simplify the model before compiling",
        )
    names = list(dict.fromkeys(name for name in node.input if name))
    inputs = {name: graph.constant(name) for name in names}
    infos = [_info(name, inputs[name]) for name in names]
    output = helper.make_tensor_value_info(node.output[0], TensorProto.UNDEFINED, None)
    output.ClearField("type")
    proto = helper.make_model(
        helper.make_graph([node], "fold", infos, [output]),
        opset_imports=[helper.make_opsetid("", graph.opset)], ir_version=8,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    try:
        session = onnxruntime.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
        return np.asarray(session.run(None, inputs)[0])
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        reason = " ".join(str(error).split())
        raise graph.refuse(f"is constant, but cannot be computed: {reason}", "export again") from None


def _info(name: str, value: Any) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
