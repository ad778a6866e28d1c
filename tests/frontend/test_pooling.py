"""Pools against ONNX Runtime: ceil mode, padding on either side, what a mean divides by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from nincc.frontend import load_model
from tests.frontend.agreement import agree_proto, build, operators, random_inputs, run_onnx, save, single

SMALL = st.integers(1, 4)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    op=st.sampled_from(["MaxPool", "AveragePool"]),
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    kernel=st.tuples(SMALL, SMALL),
    strides=st.tuples(SMALL, SMALL),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
    ceil=st.booleans(),
    counted=st.booleans(),
)
def test_pools_of_every_kind(
    tmp_path: Path, op: str, size: Any, kernel: Any, strides: Any, pads: Any, ceil: bool, counted: bool
) -> None:
    assume(all(pad < k for pad, k in zip(pads, kernel * 2, strict=True)))
    padded = [length + pads[axis] + pads[axis + 2] for axis, length in enumerate(size)]
    assume(all(k <= length for k, length in zip(kernel, padded, strict=True)))
    extra = {"count_include_pad": int(counted)} if op == "AveragePool" else {}
    proto = single(
        op, (2, 3, *size), opset=19, kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=int(ceil),
        **extra,
    )  # fmt: skip
    model = agree_proto(proto, tmp_path)
    assert all(a.name != "ceil_mode" for node in model.proto.graph.node for a in node.attribute)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("size", [(7, 8), (8, 9)])
def test_auto_pad(tmp_path: Path, op: str, mode: str, size: tuple[int, int]) -> None:
    proto = single(op, (1, 2, *size), kernel_shape=(3, 2), strides=(2, 2), auto_pad=mode)
    agree_proto(proto, tmp_path)


def test_a_last_window_that_starts_in_padding_is_left_out(tmp_path: Path) -> None:
    """PyTorch's rule: 5 pixels, kernel 2, stride 2, padding 1, ceil mode give 3 windows, not 4."""
    proto = single("MaxPool", (1, 1, 5, 5), kernel_shape=(2, 2), strides=(2, 2), pads=(1, 1, 1, 1), ceil_mode=1)
    model = agree_proto(proto, tmp_path)
    assert model.outputs[0].shape == (1, 1, 3, 3)


@pytest.mark.parametrize("opset", [8, 10, 12, 20])
def test_an_unused_indices_output_is_dropped(tmp_path: Path, opset: int) -> None:
    proto = single("MaxPool", (1, 2, 6, 6), opset=opset, outputs=("y", "indices"), kernel_shape=(2, 2))
    model = agree_proto(proto, tmp_path)
    assert len(model.proto.graph.node[0].output) == 1


def test_dilated_maxima(tmp_path: Path) -> None:
    for extra in ({}, {"ceil_mode": 1, "strides": (3, 3), "pads": (2, 1, 0, 1)}):
        proto = single("MaxPool", (1, 2, 9, 8), kernel_shape=(3, 3), dilations=(2, 2), **extra)
        agree_proto(proto, tmp_path)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools(tmp_path: Path, op: str) -> None:
    agree_proto(single(op, (2, 3, 5, 4)), tmp_path)


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [-1, -2], [1], [0, 1, 2, 3]])
@pytest.mark.parametrize("opset", [11, 13, 18])
def test_reduce_mean(tmp_path: Path, opset: int, axes: list[int], keep: int) -> None:
    """Axes are an attribute up to opset 17 and an input from 18 on."""
    given_axes: dict[str, Any] = {"axes": axes} if opset < 18 else {}
    constants = [np.array(axes)] if opset >= 18 else []
    proto = single("ReduceMean", (2, 3, 4, 5), constants, opset, keepdims=keep, **given_axes)
    agree_proto(proto, tmp_path)


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("nhwc", [False, True])
def test_a_maximum_over_the_map_is_a_global_pool(tmp_path: Path, keep: int, nhwc: bool) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("ReduceMax", ["t"], ["y"], axes=[-3, 2], keepdims=keep),
    ]
    if not nhwc:
        nodes = [helper.make_node("ReduceMax", ["x"], ["y"], axes=[-1, 2], keepdims=keep)]
    model = agree_proto(build(nodes, {"x": (2, 3, 4, 5)}, {"y": None}), tmp_path)
    assert operators(model)[0] == "GlobalMaxPool"


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("mode", ["SAME_UPPER", "VALID"])
def test_auto_pad_in_ceil_mode(tmp_path: Path, op: str, mode: str) -> None:
    proto = single(op, (1, 2, 8, 7), kernel_shape=(3, 2), strides=(2, 3), auto_pad=mode, ceil_mode=1)
    agree_proto(proto, tmp_path)


def test_padding_that_no_window_reaches_goes(tmp_path: Path) -> None:
    """PyTorch's exporter for opset 9 writes ceil mode as padding, more of it than the window is wide."""
    proto = single("MaxPool", (1, 2, 16, 16), kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 3, 3))
    model = load_model(save(proto, tmp_path))
    assert model.outputs[0].shape == (1, 2, 9, 9)
    exact = single("MaxPool", (1, 2, 16, 16), kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 2, 2))
    inputs = random_inputs(model)
    expected = run_onnx(save(exact, tmp_path), inputs)[0]
    np.testing.assert_array_equal(run_onnx(model.proto.SerializeToString(), inputs)[0], expected)


def test_reduce_mean_without_axes(tmp_path: Path) -> None:
    agree_proto(single("ReduceMean", (2, 3, 4, 5), opset=13), tmp_path)
    model = agree_proto(single("ReduceMean", (2, 3), opset=18, noop_with_empty_axes=1), tmp_path)
    assert operators(model) == ["Identity"]


def padded(value: float, op: str, **attributes: Any) -> onnx.ModelProto:
    pads = np.array([0, 0, 1, 1, 0, 0, 1, 2])
    nodes = [
        helper.make_node("Pad", ["x", "pads", "value"], ["p"]),
        helper.make_node(op, ["p", *(["w"] if op == "Conv" else [])], ["y"], kernel_shape=(3, 3), **attributes),
    ]
    weights = {"pads": pads, "value": np.array(value, np.float32)}
    if op == "Conv":
        weights["w"] = np.random.default_rng(0).random((4, 3, 3, 3), np.float32)
    return build(nodes, {"x": (1, 3, 6, 6)}, {"y": None}, weights)


@pytest.mark.parametrize(
    ("value", "op", "expected"),
    [
        (0.0, "Conv", ["Conv"]),
        (1.0, "Conv", ["Pad", "Conv"]),
        (-np.inf, "MaxPool", ["MaxPool"]),
        (0.0, "MaxPool", ["Pad", "MaxPool"]),
        (0.0, "AveragePool", ["AveragePool"]),
        (0.5, "AveragePool", ["Pad", "AveragePool"]),
    ],
)
def test_a_pad_is_taken_in_where_it_may(tmp_path: Path, value: float, op: str, expected: list[str]) -> None:
    model = agree_proto(padded(value, op), tmp_path)
    assert operators(model) == expected
