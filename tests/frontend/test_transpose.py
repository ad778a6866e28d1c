"""NHWC graphs: transpositions cancel and the numbers stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.frontend.agreement import Array, agree_proto, build, operators, weight

TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]


class Tensorflow:
    """Writes nodes as TensorFlow's converter does: each layer between two transpositions."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Array] = {}

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def constant(self, value: Array) -> str:
        name = f"c{len(self.weights)}"
        self.weights[name] = value
        return name

    def conv(self, x: str, units: int, channels: int, kernel: int) -> str:
        x = self.node("Transpose", x, perm=TO_NCHW)
        w = self.constant(weight(units, channels, kernel, kernel, seed=len(self.nodes)))
        x = self.node("Conv", x, w, kernel_shape=[kernel] * 2, auto_pad="SAME_UPPER")
        x = self.node("Transpose", x, perm=TO_NHWC)
        return self.node("Add", x, self.constant(weight(units, seed=len(self.nodes))))

    def relu6(self, x: str) -> str:
        return self.node("Min", self.node("Relu", x), self.constant(np.array(6, np.float32)))

    def pool(self, op: str, x: str) -> str:
        x = self.node("Transpose", x, perm=TO_NCHW)
        x = self.node(op, x, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
        return self.node("Transpose", x, perm=TO_NHWC)

    def build(self, result: str, shape: tuple[int, ...]) -> onnx.ModelProto:
        return build(self.nodes, {"x": shape}, {result: None}, self.weights)


def net(head: str) -> onnx.ModelProto:
    tf = Tensorflow()
    x = tf.pool("MaxPool", tf.relu6(tf.conv(tf.relu6(tf.conv("x", 8, 3, 5)), 8, 8, 1)))
    branches = [tf.node("Relu", tf.conv(x, 4, 8, 1)), tf.node("Sigmoid", tf.conv(x, 4, 8, 1))]
    x = tf.node("Add", tf.node("Concat", *branches, axis=3), x)
    x = tf.node("LeakyRelu", tf.conv(x, 5, 8, 1), alpha=0.2)
    if head == "mean":
        x = tf.node("ReduceMean", x, axes=[1, 2], keepdims=0)
    elif head == "mean-keep":
        x = tf.node("Flatten", tf.node("ReduceMean", x, axes=[1, 2], keepdims=1))
    else:
        x = tf.node("Softmax", x, axis=-1)
    return tf.build(x, (2, 9, 8, 3))


@pytest.mark.parametrize(("head", "transposes"), [("mean", 1), ("mean-keep", 1), ("map", 2)])
def test_only_the_outer_transpositions_stay(tmp_path: Path, head: str, transposes: int) -> None:
    model = agree_proto(net(head), tmp_path)
    ops = operators(model)
    assert ops.count("Transpose") == transposes
    assert ops.count("Conv") == 5
    assert ops.count("Add") == 1  # the residual sum; the others became biases
    assert all(len(node.input) == 3 for node in model.proto.graph.node if node.op_type == "Conv")


def test_a_matmul_on_the_last_axis_is_a_pointwise_convolution(tmp_path: Path) -> None:
    tf = Tensorflow()
    x = tf.conv("x", 6, 3, 3)
    x = tf.node("Add", tf.node("MatMul", x, tf.constant(weight(6, 4))), tf.constant(weight(4)))
    x = tf.node("Transpose", tf.node("Relu", x), perm=TO_NCHW)
    model = agree_proto(tf.build(x, (1, 7, 6, 3)), tmp_path)
    assert operators(model) == ["Transpose", "Conv", "Conv", "Relu"]
    assert len(model.proto.graph.node[2].input) == 3


def test_a_constant_that_varies_over_the_map_moves_with_it(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=TO_NHWC),
        helper.make_node("Mul", ["t", "m"], ["u"]),
        helper.make_node("Sub", ["c", "u"], ["v"]),
        helper.make_node("Transpose", ["v"], ["y"], perm=TO_NCHW),
    ]
    weights = {"m": weight(5, 1, 3), "c": weight(1, 4, 1, 1)}
    weights["c"] = np.ascontiguousarray(weights["c"].transpose(0, 2, 1, 3))  # [1, 1, 4, 1]
    model = agree_proto(build(nodes, {"x": (2, 3, 5, 4)}, {"y": None}, weights), tmp_path)
    assert "Transpose" not in operators(model)


def test_a_pad_moves_with_its_axes(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=TO_NHWC),
        helper.make_node("Pad", ["t"], ["p"], pads=[0, 1, 2, 0, 0, 0, 1, 0], mode="constant", value=0.0),
        helper.make_node("Transpose", ["p"], ["q"], perm=TO_NCHW),
        helper.make_node("Conv", ["q", "w"], ["y"]),
    ]
    proto = build(nodes, {"x": (1, 3, 5, 4)}, {"y": None}, {"w": weight(2, 3, 3, 3)}, opset=9)
    model = agree_proto(proto, tmp_path)
    assert operators(model) == ["Conv"]


def test_a_transposition_with_two_readers_of_different_mind(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=TO_NHWC),
        helper.make_node("Relu", ["t"], ["a"]),
        helper.make_node("Reshape", ["t", "s"], ["b"]),
    ]
    proto = build(nodes, {"x": (1, 3, 5, 4)}, {"a": None, "b": None}, {"s": np.array([0, -1])})
    agree_proto(proto, tmp_path)


def test_one_that_moves_dimensions_of_one_is_a_reshape(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["g"]),
        helper.make_node("Transpose", ["g"], ["t"], perm=TO_NHWC),
        helper.make_node("Squeeze", ["t", "axes"], ["y"]),
    ]
    proto = build(nodes, {"x": (2, 3, 5, 4)}, {"y": None}, {"axes": np.array([1, 2])})
    assert operators(agree_proto(proto, tmp_path)) == ["GlobalAveragePool", "Reshape"]


def test_a_mean_over_one_axis_of_a_transposed_map(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[3, 1, 0, 2]),
        helper.make_node("ReduceMean", ["t"], ["y"], axes=[1], keepdims=0),
    ]
    agree_proto(build(nodes, {"x": (2, 3, 5, 4)}, {"y": None}), tmp_path)
