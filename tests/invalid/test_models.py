"""Models that nincc refuses: one line that says what, where and how to mend it; exit code 2."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.frontend.agreement import build, save, single, weight
from tests.invalid.refusal import refusal

SHAPE = (1, 3, 8, 8)


def conv(w: Any = None, shape: Any = SHAPE, **attributes: Any) -> onnx.ModelProto:
    return single("Conv", shape, [weight(4, 3, 3, 3) if w is None else w], **attributes)


def retyped(code: int) -> onnx.ModelProto:
    proto = single("Relu", SHAPE)
    for info in (*proto.graph.input, *proto.graph.output):
        info.type.tensor_type.elem_type = code
    return proto


def chain(*nodes: onnx.NodeProto, **weights: Any) -> onnx.ModelProto:
    return build(nodes, {"x": SHAPE}, {"y": None}, weights)


def cyclic() -> onnx.ModelProto:
    return chain(
        helper.make_node("Relu", ["x"], ["a"], name="fine"),
        helper.make_node("Add", ["a", "c"], ["b"], name="first"),
        helper.make_node("Relu", ["b"], ["c"], name="second"),
        helper.make_node("Relu", ["c"], ["y"], name="third"),
    )


def doubled() -> onnx.ModelProto:
    return chain(
        helper.make_node("Relu", ["x"], ["y"], name="one"), helper.make_node("Tanh", ["x"], ["y"], name="two")
    )


def with_nan() -> onnx.ModelProto:
    w = weight(4, 3, 3, 3)
    w[1, 2, 0, 0] = np.nan
    return conv(w)


def with_infinity() -> onnx.ModelProto:
    bias = weight(4)
    bias[3] = -np.inf
    return single("Conv", SHAPE, [weight(4, 3, 3, 3), bias])


def half_outside() -> onnx.ModelProto:
    """float32 at its ends, float16 inside."""
    return chain(
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16, name="to_half"),
        helper.make_node("Cast", ["h"], ["y"], to=TensorProto.FLOAT),
    )


def huge_constant() -> onnx.ModelProto:
    return chain(
        helper.make_node("ConstantOfShape", ["shape"], ["c"], name="fill"),
        helper.make_node("Add", ["x", "c"], ["y"]),
        shape=np.array([1 << 20, 1 << 20]),
    )


def many_constants() -> onnx.ModelProto:
    """Each fits; all together do not."""
    nodes = [helper.make_node("ConstantOfShape", ["shape"], [f"c{i}"], name=f"fill{i}") for i in range(9)]
    return chain(*nodes, helper.make_node("Sum", ["x", *(f"c{i}" for i in range(9))], ["y"]),
                 shape=np.array([1 << 23]))  # fmt: skip


def lying_weight() -> onnx.ModelProto:
    proto = conv()
    del proto.graph.initializer[0].dims[:]
    proto.graph.initializer[0].dims.extend([1 << 40, 3, 3, 3])
    return proto


def short_weight() -> onnx.ModelProto:
    proto = conv()
    proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-3]
    return proto


def wrong_output(shape: Any, code: int = TensorProto.FLOAT) -> onnx.ModelProto:
    proto = single("Relu", SHAPE)
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", code, shape))
    return proto


def edited(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    proto = conv()
    change(proto)
    return proto


def typed_attribute() -> onnx.ModelProto:
    proto = conv()
    proto.graph.node[0].attribute.append(helper.make_attribute("strides", [1.5, 1.0]))
    return proto


BN = [weight(3), weight(3), weight(3), np.abs(weight(3))]
MODELS: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "cycle": (cyclic, r"node 'first' \(Add\): is part of a cycle"),
    "made twice": (doubled, r"node 'two' \(Tanh\): makes 'y', which is made elsewhere too"),
    "dangling": (lambda: chain(helper.make_node("Add", ["x", "q"], ["y"], name="n")), "reads 'q', which nothing"),
    "float64": (lambda: retyped(TensorProto.DOUBLE), "input 'x' is float64, not float32; export"),
    "float16": (lambda: retyped(TensorProto.FLOAT16), "input 'x' is float16, not float32; export"),
    "int64 input": (lambda: retyped(TensorProto.INT64), "input 'x' is int64, not float32"),
    "float64 weight": (
        lambda: conv(weight(4, 3, 3, 3).astype(np.float64)),
        r"node 'the_Conv' \(Conv\): its weight 'c0' is float64, not float32",
    ),
    "float16 inside": (half_outside, r"node 'to_half' \(Cast\): casts an activation to float16"),
    "int8 operand": (lambda: single("Add", SHAPE, [np.ones((3, 1, 1), np.int8)]), "its operand 'c0' is int8"),
    "output type": (lambda: wrong_output(SHAPE, TensorProto.INT64), "output 'y': is declared int64"),
    "output shape": (lambda: wrong_output((1, 3, 8, 9)), r"output 'y': is declared \[1, 3, 8, 9\] but has"),
    "output rank": (lambda: wrong_output((1, 3)), r"output 'y': is declared \[1, 3\] but has shape"),
    "attribute type": (typed_attribute, r"node 'the_Conv' \(Conv\): is malformed: .*strides"),
    "unknown attribute": (lambda: single("Relu", SHAPE, colour=3), "is malformed: .*colour"),
    "unsupported": (
        lambda: single("Einsum", SHAPE, equation="abcd->abdc"),
        r"node 'the_Einsum' \(Einsum\): operator Einsum is not supported; supported: .*Conv",
    ),
    "another domain": (
        lambda: chain(helper.make_node("FusedConv", ["x"], ["y"], domain="com.microsoft", name="f")),
        "operator com.microsoft::FusedConv is not supported",
    ),
    "no such operator": (lambda: chain(helper.make_node("Conw", ["x"], ["y"], name="c")), r"'c' \(Conw\)"),
    "NaN": (with_nan, r"node 'the_Conv' \(Conv\): its weight 'c0' contains NaN"),
    "infinity": (with_infinity, "its weight 'c1' contains an infinity"),
    "huge input": (lambda: single("Relu", (1, 3, 1 << 20, 1 << 20)), "input 'x' is refused: .*bytes, more than"),
    "huge map": (
        lambda: conv(np.zeros((4, 3, 1, 1), np.float32), pads=(1 << 16,) * 4),
        r"node 'the_Conv' \(Conv\): its output's shape .* bytes, more than",
    ),
    "overflow": (lambda: conv(pads=(1 << 62,) * 4), r"node 'the_Conv' \(Conv\)"),
    "huge constant": (huge_constant, r"node 'fill' \(ConstantOfShape\): is a constant of shape"),
    "many constants": (many_constants, r"node 'fill8' \(ConstantOfShape\): .*more than nincc folds"),
    "lying weight": (lying_weight, r"tensor 'c0' has the shape \[1099511627776, 3, 3, 3\]"),
    "short weight": (short_weight, "tensor 'c0' is malformed"),
    "zero dimension": (lambda: single("Relu", (1, 0, 8, 8)), "has a dimension that is not positive"),
    "negative dimension": (lambda: single("Relu", (1, -3, 8, 8)), "has a dimension that is not positive"),
    "zero batch": (lambda: single("Relu", (0, 3, 8, 8)), "has a dimension that is not positive"),
    "empty map": (lambda: conv(shape=(1, 3, 2, 2)), r"\(Conv\): its output's shape .* not positive"),
    "dynamic height": (
        lambda: single("Relu", ("n", 3, "height", 8)),
        "input 'x' has the dynamic dimension 'height' at axis 2; export",
    ),
    "nameless dimension": (lambda: single("Relu", (1, 3, 8, None)), r"dynamic dimension '\?' at axis 3"),
    "no shape": (lambda: edited(lambda p: p.graph.input[0].type.tensor_type.ClearField("shape")), "has no shape"),
    "no type": (lambda: edited(lambda p: p.graph.input[0].ClearField("type")), "input 'x' is untyped"),
    "no input": (lambda: edited(lambda p: p.graph.ClearField("input")), "which nothing produces|has no input"),
    "unmade output": (lambda: edited(lambda p: setattr(p.graph.output[0], "name", "q")), "produces its output 'q'"),
    "no output": (lambda: edited(lambda p: p.graph.ClearField("output")), "has no output"),
    "no node": (lambda: edited(lambda p: p.graph.ClearField("node")), "it has no graph"),
    "old IR": (lambda: edited(lambda p: setattr(p, "ir_version", 2)), "IR version 2 is not one of 3 to"),
    "new IR": (lambda: edited(lambda p: setattr(p, "ir_version", 99)), "IR version 99 is not one of"),
    "old opset": (lambda: conv(opset=6), "opset 6 is not one of 7 to"),
    "new opset": (lambda: conv(opset=999), "opset 999 is not one of"),
    "no opset": (lambda: edited(lambda p: p.ClearField("opset_import")), "opset 0 is not one of"),
    "one name twice": (
        lambda: chain(
            helper.make_node("Relu", ["x"], ["a"], name="n"), helper.make_node("Tanh", ["a"], ["y"], name="n")
        ),
        "two nodes are named 'n'",
    ),
    "constant output": (
        lambda: build([helper.make_node("Neg", ["c"], ["y"])], {"x": SHAPE}, {"y": None}, {"c": weight(3)}),
        "output 'y' does not depend on an input",
    ),
    "computed weight": (
        lambda: chain(helper.make_node("MatMul", ["x", "x"], ["y"], name="m")),
        r"node 'm' \(MatMul\): does not multiply an activation by a constant",
    ),
    "channels": (lambda: conv(weight(4, 5, 3, 3)), "does not fit 3 channels"),
    "groups": (lambda: conv(weight(4, 1, 3, 3), group=3), "in 3 groups does not fit"),
    "1-D": (lambda: single("Conv", (1, 3, 8), [weight(4, 3, 3)]), "not NCHW"),
    "3-D": (lambda: single("Conv", (1, 3, 8, 8, 8), [weight(4, 3, 3, 3, 3)]), "not NCHW"),
    "kernel_shape": (lambda: conv(kernel_shape=(5, 5)), r"its kernel_shape is not its weight's \[3, 3\]"),
    "strides": (lambda: conv(strides=(0, 1)), r"strides \[0, 1\] is not two positive numbers"),
    "negative pads": (lambda: conv(pads=(-1, 0, 0, 0)), r"pads \[-1, 0, 0, 0\] are not"),
    "auto_pad": (lambda: conv(auto_pad="SAME"), "auto_pad 'SAME' is unknown"),
    "dilated auto_pad": (lambda: conv(auto_pad="SAME_UPPER", dilations=(2, 2)), "pads a dilated window"),
    "pool misses": (lambda: single("MaxPool", SHAPE, kernel_shape=(2, 2), pads=(2, 2, 2, 2)), "miss the map"),
    "indices": (
        lambda: build([helper.make_node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 2])], {"x": SHAPE},
                      {"y": None, "i": None}),
        r"its second output \(indices\) is read",
    ),
    "mask": (
        lambda: build([helper.make_node("Dropout", ["x"], ["y", "m"])], {"x": SHAPE}, {"y": None, "m": None}),
        "its mask is read; call model.eval",
    ),
    "training BN": (
        lambda: single("BatchNormalization", SHAPE, BN, opset=15, training_mode=1), "is in training mode"
    ),
    "training dropout": (
        lambda: single("Dropout", SHAPE, [np.array(0.5, np.float32), np.array(True)]), "is in training mode"
    ),
    "BN channels": (lambda: single("BatchNormalization", SHAPE, [b[:2] for b in BN]), "its scale has shape"),
    "broadcast": (lambda: single("Add", SHAPE, [weight(2, 1, 1)]), r"\(Add\): its inputs' shapes do not fit"),
    "reshape": (lambda: single("Reshape", SHAPE, [np.array([7, -1])]), r"\(Reshape\)"),
    "reshape count": (lambda: single("Reshape", SHAPE, [np.array([7, 7])]), r"\(Reshape\)"),
    "pad mode": (lambda: single("Pad", SHAPE, [np.array([0, 0, 1, 1] * 2)], mode="reflect"), "its mode is"),
    "pad crops": (lambda: single("Pad", SHAPE, [np.array([0, 0, -1, 0] * 2)]), "it crops"),
    "maximum over channels": (lambda: single("ReduceMax", SHAPE, axes=[1]), "takes the maximum over the axes"),
    "mean axes": (lambda: single("ReduceMean", SHAPE, axes=[7]), r"axes \[7\] are not all of a tensor of rank 4"),
    "slice backwards": (
        lambda: single("Slice", SHAPE, [np.array([v]) for v in (-1, 0, 3, -1)]), r"its steps \[-1\] go backwards"
    ),
    "empty slice": (lambda: single("Slice", SHAPE, [np.array([3]), np.array([3])]), "not positive"),
    "split": (lambda: single("Split", SHAPE, [np.array([1, 1])], axis=1, outputs=("y", "z")), "do not make up 3"),
    "gemm shapes": (lambda: single("Gemm", (2, 3), [weight(4, 5)]), "do not multiply"),
    "sequence": (
        lambda: edited(lambda p: p.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("x", 1, None))),
        "input 'x' is sequence, not float32",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    make, message = MODELS[name]
    path = save(make(), tmp_path)
    text = refusal(path)
    assert re.search(message, text), text
