"""Activations, Softmax in its two meanings, Dropout and Identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.frontend.agreement import Array, agree_proto, build, operators, single, weight


def scalar(value: object) -> Array:
    return np.array(value, np.float32)


@pytest.mark.parametrize("opset", [7, 13, 20])
@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Relu", {}),
        ("Sigmoid", {}),
        ("Tanh", {}),
        ("LeakyRelu", {}),
        ("LeakyRelu", {"alpha": 0.3}),
        ("HardSigmoid", {}),
        ("HardSigmoid", {"alpha": 0.4, "beta": 0.1}),
    ],
)
def test_activations(tmp_path: Path, op: str, attributes: dict[str, Any], opset: int) -> None:
    agree_proto(single(op, (2, 3, 4, 5), opset=opset, **attributes), tmp_path, scale=4)


def test_hard_swish(tmp_path: Path) -> None:
    agree_proto(single("HardSwish", (2, 3, 4, 5), opset=14), tmp_path, scale=4)


@pytest.mark.parametrize("shape", [(1,), (3, 1, 1), (1, 3, 1, 1)])
def test_prelu(tmp_path: Path, shape: tuple[int, ...]) -> None:
    agree_proto(single("PRelu", (2, 3, 4, 5), [weight(*shape)]), tmp_path)


@pytest.mark.parametrize(
    ("opset", "attributes", "constants", "expected"),
    [
        (9, {"min": 0.0, "max": 6.0}, [], "Clip"),
        (9, {"min": 0.0}, [], "Relu"),
        (9, {}, [], "Identity"),
        (9, {"min": 0.0, "max": float(np.finfo(np.float32).max)}, [], "Relu"),
        (11, {}, [scalar(0), scalar(6)], "Clip"),
        (13, {}, [scalar(-1), scalar(1)], "Clip"),
        (13, {}, [scalar(0)], "Relu"),
        (13, {}, [scalar(0), scalar(np.inf)], "Relu"),
        (13, {}, [scalar(2), scalar(1)], "Clip"),
    ],
)
def test_clip(
    tmp_path: Path, opset: int, attributes: dict[str, float], constants: list[Array], expected: str
) -> None:
    model = agree_proto(single("Clip", (2, 3, 4, 5), constants, opset, **attributes), tmp_path, scale=4)
    assert operators(model) == [expected]


def test_min_and_max_against_a_number(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Max", ["zero", "x"], ["a"]),
        helper.make_node("Min", ["a", "six"], ["y"]),
    ]
    weights = {"zero": scalar(0), "six": scalar([6])}
    model = agree_proto(build(nodes, {"x": (1, 3, 4, 4)}, {"y": None}, weights), tmp_path, scale=6)
    assert operators(model) == ["Relu", "Clip"]


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("opset", [9, 11, 12, 13, 18])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, -1])
@pytest.mark.parametrize("shape", [(2, 5, 1, 1), (2, 5, 3, 2)])
def test_softmax(tmp_path: Path, op: str, opset: int, axis: int | None, shape: tuple[int, ...]) -> None:
    """Up to opset 12 everything from ``axis`` (default 1) on is one axis; from 13 on it is alone."""
    attributes = {} if axis is None else {"axis": axis}
    agree_proto(single(op, shape, opset=opset, **attributes), tmp_path)


def test_softmax_of_an_old_opset_needs_no_reshape_behind_a_global_pool(tmp_path: Path) -> None:
    assert operators(agree_proto(single("Softmax", (2, 5, 1, 1), opset=11), tmp_path)) == ["Softmax"]
    flat = agree_proto(single("Softmax", (2, 5, 3, 1), opset=11), tmp_path)
    assert operators(flat) == ["Reshape", "Softmax", "Reshape"]


@pytest.mark.parametrize(
    ("opset", "constants", "outputs"),
    [
        (7, [], ["y"]),
        (10, [], ["y", "mask"]),
        (12, [scalar(0.5)], ["y", "mask"]),
        (13, [scalar(0.5), np.array(False)], ["y"]),
        (13, [scalar(0.5), np.array(False)], ["y", "mask"]),
    ],
)
def test_dropout(tmp_path: Path, opset: int, constants: list[Array], outputs: list[str]) -> None:
    nodes = [
        helper.make_node("Dropout", ["x", *(f"c{i}" for i in range(len(constants)))], ["d", *outputs[1:]]),
        helper.make_node("Relu", ["d"], ["y"]),
    ]
    weights = {f"c{i}": value for i, value in enumerate(constants)}
    model = agree_proto(build(nodes, {"x": (2, 3, 4, 5)}, {"y": None}, weights, opset), tmp_path)
    assert operators(model) == ["Relu"]


def test_identity_cast_and_several_names_of_one_tensor(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Cast", ["r"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["a"], ["b"]),
        helper.make_node("Identity", ["x"], ["same"]),
    ]
    outputs = {"a": None, "b": None, "same": None}
    model = agree_proto(build(nodes, {"x": (1, 3, 2, 2)}, outputs), tmp_path)
    assert [spec.name for spec in model.outputs] == ["a", "b", "same"]


@pytest.mark.parametrize("size", [1, 3, 5])
def test_lrn(tmp_path: Path, size: int) -> None:
    agree_proto(single("LRN", (2, 6, 3, 4), size=size, alpha=0.5, beta=0.6, bias=1.5), tmp_path)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
def test_arithmetic_with_constants_and_tensors(tmp_path: Path, op: str) -> None:
    other = np.abs(weight(3, 1, 5)) + 1
    nodes = [
        helper.make_node(op, ["x", "c"], ["a"]),
        helper.make_node("Sigmoid", ["a"], ["s"]),
        helper.make_node(op, ["c", "s"], ["b"]),
        helper.make_node(op, ["b", "s"], ["y"]),
    ]
    agree_proto(build(nodes, {"x": (2, 3, 4, 5)}, {"y": None}, {"c": other}), tmp_path)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_sum(tmp_path: Path, count: int) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Sum", ["x", "r", "c", "x"][:count], ["y"])]
    agree_proto(build(nodes, {"x": (2, 3, 4, 5)}, {"y": None}, {"c": weight(3, 1, 1)}), tmp_path)
