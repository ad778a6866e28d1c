"""Reshape and its kin, Concat, Pad, and shape arithmetic that folds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.frontend.agreement import Array, agree_proto, build, operators, single, weight


@pytest.mark.parametrize(
    ("op", "constants", "opset", "attributes", "shape"),
    [
        ("Flatten", [], 7, {}, (2, 3)),
        ("Flatten", [], 13, {"axis": -3}, (2, 3)),
        ("Reshape", [np.array([0, -1])], 7, {}, (2, 3)),
        ("Reshape", [np.array([-1, 3])], 13, {}, (2, 3)),
        ("Reshape", [np.array([2, 3])], 14, {"allowzero": 1}, (2, 3)),
        ("Squeeze", [], 9, {"axes": [2, 3]}, (2, 3)),
        ("Squeeze", [], 9, {}, (2, 3)),
        ("Squeeze", [np.array([-1])], 13, {}, (2, 3, 1)),
        ("Squeeze", [], 13, {}, (2, 3)),
        ("Unsqueeze", [], 9, {"axes": [0]}, (1, 2, 3, 1, 1)),
        ("Unsqueeze", [np.array([4, 0])], 13, {}, (1, 2, 3, 1, 1, 1)),
    ],
)
def test_heads(
    tmp_path: Path, op: str, constants: list[Array], opset: int, attributes: dict[str, Any], shape: Any
) -> None:
    model = agree_proto(single(op, (2, 3, 1, 1), constants, opset, **attributes), tmp_path)
    assert operators(model) == ["Reshape"]
    assert model.outputs[0].shape == shape


def test_several_reshapes_in_a_row_are_one(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Reshape", ["f", "s"], ["r"]),
        helper.make_node("Relu", ["r"], ["y"]),
    ]
    model = agree_proto(build(nodes, {"x": (2, 3, 2, 2)}, {"y": None}, {"s": np.array([0, 4, 3])}), tmp_path)
    assert operators(model) == ["Reshape", "Relu"]


def test_a_view_by_run_time_sizes_folds(tmp_path: Path) -> None:
    """x.view(x.size(0), -1) as the legacy exporter writes it, and a size of the whole shape."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "axis"], ["n1"]),
        helper.make_node("Constant", [], ["rest"], value_ints=[-1]),
        helper.make_node("Concat", ["n1", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["f"]),
        helper.make_node("Size", ["x"], ["count"]),
        helper.make_node("Cast", ["count"], ["count32"], to=1),
        helper.make_node("Div", ["f", "count32"], ["y"]),
    ]
    weights = {"zero": np.array(0), "axis": np.array([0])}
    proto = build(nodes, {"x": ("n", 3, 4, 5)}, {"y": ("n", 60)}, weights)
    model = agree_proto(proto, tmp_path, batch=3)
    assert operators(model) == ["Reshape", "Div"]
    assert model.outputs[0].shape == (3, 60)


@pytest.mark.parametrize(("start", "end"), [(0, 2), (-2, None), (1, -1)])
def test_a_part_of_the_shape(tmp_path: Path, start: int, end: int | None) -> None:
    attributes = {"start": start} if end is None else {"start": start, "end": end}
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], **attributes),
        helper.make_node("ReduceProd", ["shape"], ["count"], keepdims=1),
        helper.make_node("Concat", ["count", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["y"]),
    ]
    proto = build(nodes, {"x": (2, 3, 4, 5)}, {"y": None}, {"rest": np.array([-1])}, opset=15)
    agree_proto(proto, tmp_path)


def test_weights_that_are_computed_fold(tmp_path: Path) -> None:
    """A transposed weight, a float16 one that is cast, and a scaled one."""
    nodes = [
        helper.make_node("Transpose", ["w"], ["wt"], perm=[1, 0, 2, 3]),
        helper.make_node("Mul", ["wt", "k"], ["ws"]),
        helper.make_node("Cast", ["b16"], ["b"], to=1),
        helper.make_node("Conv", ["x", "ws", "b"], ["y"]),
    ]
    weights = {
        "w": weight(3, 4, 1, 1), "k": np.array(0.5, np.float32), "b16": weight(4).astype(np.float16),
    }  # fmt: skip
    model = agree_proto(build(nodes, {"x": (1, 3, 4, 4)}, {"y": None}, weights), tmp_path)
    assert operators(model) == ["Conv"]


@pytest.mark.parametrize("axis", [1, -1, 2])
def test_concat(tmp_path: Path, axis: int) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Concat", ["x", "r", "x"], ["y"], axis=axis)]
    agree_proto(build(nodes, {"x": (2, 3, 4, 5)}, {"y": None}), tmp_path)


def test_concat_with_a_constant_and_of_one(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Concat", ["x", "c"], ["j"], axis=1),
        helper.make_node("Concat", ["j"], ["k"], axis=0),
        helper.make_node("Relu", ["k"], ["y"]),
    ]
    proto = build(nodes, {"x": (2, 3, 4, 5)}, {"y": None}, {"c": weight(2, 1, 4, 5)})
    assert operators(agree_proto(proto, tmp_path)) == ["Concat", "Relu"]


@pytest.mark.parametrize(
    ("opset", "constants", "attributes"),
    [
        (9, [], {"pads": [0, 1, 1, 0, 0, 0, 2, 1], "value": 0.5}),
        (11, [np.array([0, 0, 1, 2, 0, 1, 0, 3])], {}),
        (13, [np.array([0, 0, 1, 2, 0, 1, 0, 3]), np.array(-1.5, np.float32)], {}),
        (18, [np.array([1, 2, 3, 4]), np.array(2, np.float32), np.array([3, -2])], {}),
    ],
)
def test_pad(tmp_path: Path, opset: int, constants: list[Array], attributes: dict[str, Any]) -> None:
    agree_proto(single("Pad", (2, 3, 4, 5), constants, opset, **attributes), tmp_path)


@pytest.mark.parametrize(
    ("opset", "constants", "attributes"),
    [
        (9, [], {"starts": [0, 1], "ends": [2, -1], "axes": [1, 3]}),
        (9, [], {"starts": [1], "ends": [9]}),
        (13, [np.array([-3]), np.array([np.iinfo(np.int64).max]), np.array([2])], {}),
        (13, [np.array([1, 0]), np.array([4, 3]), np.array([3, -3]), np.array([2, 1])], {}),
    ],
)
def test_slice(tmp_path: Path, opset: int, constants: list[Array], attributes: dict[str, Any]) -> None:
    agree_proto(single("Slice", (2, 3, 4, 5), constants, opset, **attributes), tmp_path)


@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("lengths", [None, [1, 5]])
def test_split_and_swap(tmp_path: Path, opset: int, lengths: list[int] | None) -> None:
    attributes: dict[str, Any] = {"axis": 1}
    inputs, weights = ["x"], {}
    if lengths and opset < 13:
        attributes["split"] = lengths
    elif lengths:
        inputs, weights = ["x", "lengths"], {"lengths": np.array(lengths)}
    elif opset >= 18:
        attributes["num_outputs"] = 2
    nodes = [
        helper.make_node("Split", inputs, ["a", "b"], **attributes),
        helper.make_node("Concat", ["b", "a"], ["y"], axis=1),
    ]
    model = agree_proto(build(nodes, {"x": (2, 6, 3, 3)}, {"y": None}, weights, opset), tmp_path)
    assert operators(model) == ["Slice", "Slice", "Concat"]


def test_a_channel_shuffle(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["g"], group=2),
        helper.make_node("Reshape", ["g", "split"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["t", "join"], ["j"]),
        helper.make_node("Conv", ["j", "b"], ["y"], group=3),
    ]
    weights = {
        "a": weight(6, 2, 1, 1), "b": weight(6, 2, 1, 1),
        "split": np.array([0, 2, 3, 5, 4]), "join": np.array([0, 6, 5, 4]),
    }  # fmt: skip
    model = agree_proto(build(nodes, {"x": (2, 4, 5, 4)}, {"y": None}, weights), tmp_path)
    assert operators(model) == ["Conv", "Reshape", "Transpose", "Reshape", "Conv"]
