"""Gemm, MatMul and the biases that follow them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.frontend.agreement import Array, agree_proto, build, operators, single, weight


@pytest.mark.parametrize("opset", [7, 9, 11, 13])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("bias", [(), (1,), (5,), (1, 5)])
def test_gemm(tmp_path: Path, opset: int, trans_b: int, bias: tuple[int, ...]) -> None:
    w = weight(5, 6) if trans_b else weight(6, 5)
    constants = [w, weight(*bias, seed=2)]
    model = agree_proto(single("Gemm", (3, 6), constants, opset, transB=trans_b), tmp_path)
    assert operators(model) == ["Gemm"]
    assert model.shape(model.proto.graph.node[0].input[1]) == (5, 6)
    assert model.macs == 3 * 5 * 6


@pytest.mark.parametrize("attributes", [{"alpha": 0.5}, {"alpha": 2.0, "beta": 0.25}, {"transA": 1}])
def test_gemm_attributes(tmp_path: Path, attributes: dict[str, Any]) -> None:
    shape = (6, 3) if "transA" in attributes else (3, 6)
    agree_proto(single("Gemm", shape, [weight(6, 5), weight(5)], **attributes), tmp_path)


def test_gemm_without_bias_and_with_one_a_row(tmp_path: Path) -> None:
    assert operators(agree_proto(single("Gemm", (3, 6), [weight(6, 5)]), tmp_path)) == ["Gemm"]
    rows = single("Gemm", (3, 6), [weight(6, 5), weight(3, 1)])
    assert operators(agree_proto(rows, tmp_path)) == ["Gemm", "Add"]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 6), ["Gemm"]),
        ((2, 4, 6), ["Reshape", "Gemm", "Reshape"]),
        ((2, 4, 3, 6), ["Transpose", "Conv", "Transpose"]),
        ((2, 2, 2, 3, 6), ["Reshape", "Gemm", "Reshape"]),
    ],
)
def test_matmul(tmp_path: Path, shape: tuple[int, ...], expected: list[str]) -> None:
    assert operators(agree_proto(single("MatMul", shape, [weight(6, 5)]), tmp_path)) == expected


def test_an_addition_becomes_the_bias(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="head"),
        helper.make_node("Add", ["b", "m"], ["y"], name="plus"),
    ]
    proto = build(nodes, {"x": (2, 6)}, {"y": None}, {"w": weight(6, 5), "b": weight(5)})
    model = agree_proto(proto, tmp_path)
    assert [(node.op_type, node.name) for node in model.proto.graph.node] == [("Gemm", "head")]


@pytest.mark.parametrize(
    ("constant", "merged"),
    [
        (weight(4, 1, 1), True),
        (weight(1, 4, 1, 1), True),
        (np.array(0.5, np.float32), True),
        (weight(5), False),
        (weight(1, 1, 6, 5), False),
        (weight(2, 4, 1, 1), False),
    ],
)
def test_an_addition_after_a_convolution(tmp_path: Path, constant: Array, merged: bool) -> None:
    """One number a channel joins the bias that is there; what varies over the map or batch does not."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv"),
        helper.make_node("Add", ["c", "k"], ["y"]),
    ]
    weights = {"w": weight(4, 3, 1, 1), "b": weight(4), "k": constant}
    model = agree_proto(build(nodes, {"x": (2, 3, 6, 5)}, {"y": None}, weights), tmp_path)
    assert operators(model) == (["Conv"] if merged else ["Conv", "Add"])


def test_an_addition_stays_where_the_sum_has_another_reader(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Identity", ["c"], ["i"]),
        helper.make_node("Add", ["i", "k"], ["y"]),
        helper.make_node("Relu", ["c"], ["z"]),
    ]
    weights = {"w": weight(4, 3, 1, 1), "k": weight(4, 1, 1)}
    proto = build(nodes, {"x": (1, 3, 4, 4)}, {"y": None, "z": None}, weights)
    assert operators(agree_proto(proto, tmp_path)).count("Add") == 1


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_convolution_auto_pad(tmp_path: Path, mode: str) -> None:
    proto = single("Conv", (1, 3, 8, 7), [weight(4, 3, 3, 2)], auto_pad=mode, strides=(2, 2))
    agree_proto(proto, tmp_path)


def test_convolutions_of_every_kind(tmp_path: Path) -> None:
    for attributes in (
        {"pads": (1, 0, 2, 3), "strides": (2, 1)},
        {"dilations": (2, 3)},
        {"auto_pad": "NOTSET", "pads": (1, 1, 1, 1)},
    ):
        agree_proto(single("Conv", (2, 4, 9, 10), [weight(6, 4, 3, 3), weight(6)], **attributes), tmp_path)
    agree_proto(single("Conv", (2, 4, 9, 10), [weight(6, 2, 1, 1)], group=2), tmp_path)
    agree_proto(single("Conv", (2, 4, 9, 10), [weight(4, 1, 3, 3)], group=4), tmp_path)


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
@pytest.mark.parametrize("shape", [(2, 4, 3, 5), (2, 4)])
def test_batch_normalization(tmp_path: Path, opset: int, shape: tuple[int, ...]) -> None:
    values = [weight(4), weight(4, seed=2), weight(4, seed=3), np.abs(weight(4, seed=4)) + 0.5]
    agree_proto(single("BatchNormalization", shape, values, opset, epsilon=1e-3), tmp_path)
