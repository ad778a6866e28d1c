"""The Relay module: its form, its names, and TVM's own compiled numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper

from nincc._tvm import tvm
from nincc.frontend import layer_name, load_model, to_relay
from tests.frontend.agreement import agree_proto, build, random_inputs, run_onnx, save, weight

EXPORTS = Path(__file__).parent.parent / "data" / "exports"
relay: Any = tvm.relay


def calls(module: Any) -> list[tuple[str, str]]:
    """Operator and layer name of each call."""
    found: list[tuple[str, str]] = []

    def visit(expr: Any) -> None:
        if isinstance(expr, relay.Call):
            found.append((expr.op.name, layer_name(expr)))

    relay.analysis.post_order_visit(module["main"], visit)
    return found


def test_each_call_carries_its_nodes_name() -> None:
    model = load_model(EXPORTS / "plain_legacy_13.onnx")
    named = [name for op, name in calls(to_relay(model)) if op == "nn.conv2d"]
    assert named[:3] == ["/features/features.0/Conv", "/features/features.2/Conv", "/features/features.4/Conv"]
    assert len(named) == 9
    names = {node.name for node in model.proto.graph.node}
    assert {name for _, name in calls(to_relay(model))} == names


def test_names_outlive_batch_normalisation() -> None:
    module = to_relay(load_model(EXPORTS / "norm_legacy_11.onnx"))
    before = [name for op, name in calls(module) if op == "nn.conv2d"]
    module = relay.transform.SimplifyInference()(module)
    assert [name for op, name in calls(module) if op == "nn.conv2d"] == before
    assert "nn.batch_norm" not in {op for op, _ in calls(module)}


def test_a_call_without_a_span_has_no_name() -> None:
    assert layer_name(relay.nn.relu(relay.var("x", shape=(1, 2)))) == ""


def test_several_outputs_are_a_tuple_in_order(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
    ]
    weights = {"w": weight(2, 3, 3, 3), "b": weight(2)}
    model = agree_proto(build(nodes, {"x": (1, 3, 4, 4)}, {"r": None, "c": None}, weights), tmp_path)
    x = relay.var("x", shape=(1, 3, 4, 4))
    conv = relay.nn.conv2d(
        x, relay.const(weights["w"]), padding=(1, 1, 1, 1), channels=2, kernel_size=(3, 3)
    )  # fmt: skip
    biased = relay.nn.bias_add(conv, relay.const(weights["b"]))
    expected = tvm.IRModule.from_expr(relay.Function([x], relay.Tuple([relay.nn.relu(biased), biased])))
    tvm.ir.assert_structural_equal(to_relay(model), relay.transform.InferType()(expected))


def test_tvms_own_operators_agree(tmp_path: Path) -> None:
    """Where a later pass leaves an operator to TVM, it must mean the same: compiled by TVM, one module."""
    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 1], "ceil_mode": 1}
    nodes = [
        helper.make_node("MaxPool", ["x"], ["o0"], **pool),
        helper.make_node("AveragePool", ["x"], ["o1"], **pool),
        helper.make_node("AveragePool", ["x"], ["o2"], count_include_pad=1, **pool),
        helper.make_node("LRN", ["x"], ["o3"], size=3, alpha=0.5),
        helper.make_node("PRelu", ["x", "slope"], ["o4"]),
        helper.make_node("Softmax", ["x"], ["o5"], axis=1),
        helper.make_node("LogSoftmax", ["x"], ["o6"], axis=1),
        helper.make_node("ReduceMean", ["x"], ["o7"], axes=[2, 3], keepdims=0),
        helper.make_node("BatchNormalization", ["x", "s", "t", "m", "v"], ["o8"]),
        helper.make_node("Gemm", ["o7", "fc"], ["o9"]),
        helper.make_node("GlobalMaxPool", ["x"], ["o10"]),
        helper.make_node("HardSwish", ["x"], ["o11"]),
    ]
    channel = {name: weight(4, seed=seed) for seed, name in enumerate("stm")}
    weights = {**channel, "v": np.abs(weight(4)) + 1, "slope": weight(4, 1, 1), "fc": weight(4, 3)}
    proto = build(nodes, {"x": (2, 4, 8, 7)}, {f"o{i}": None for i in range(len(nodes))}, weights, opset=14)
    model = load_model(save(proto, tmp_path))
    inputs = random_inputs(model)
    with tvm.transform.PassContext(opt_level=1):
        run = relay.create_executor("graph", to_relay(model), tvm.cpu(), "llvm").evaluate()
    for got, want in zip(run(inputs["x"]), run_onnx(model.path, inputs), strict=True):
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-6)
