"""Holds what the frontend makes of a model against ONNX Runtime on the model as given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from nincc.frontend import Model, load_model, to_relay
from nincc.verify.evaluator import evaluate

Array = np.ndarray[Any, Any]
RNG_SEED = 5


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Sequence[Any]],
    outputs: dict[str, Sequence[Any] | None],
    weights: dict[str, Array] | None = None,
    opset: int = 13,
    ir: int = 8,
) -> onnx.ModelProto:
    """A float32 model; a shape may hold names for dynamic dimensions."""
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info(name, floats, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, floats, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def single(
    op: str,
    shape: Sequence[int],
    constants: Sequence[Array] = (),
    opset: int = 13,
    outputs: Sequence[str] = ("y",),
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node on an input ``x``; ``constants`` are its further inputs."""
    weights = {f"c{index}": value for index, value in enumerate(constants)}
    node = helper.make_node(op, ["x", *weights], list(outputs), name=f"the_{op}", **attributes)
    return build([node], {"x": shape}, {"y": None}, weights, opset)


def save(proto: onnx.ModelProto, folder: Path, name: str = "net.onnx") -> Path:
    path = folder / name
    path.write_bytes(proto.SerializeToString())
    return path


def run_onnx(model: Path | bytes, inputs: dict[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    source = str(model) if isinstance(model, Path) else model
    return onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"]).run(None, inputs)


def random_inputs(model: Model, scale: float = 1.0) -> dict[str, Array]:
    rng = np.random.default_rng(RNG_SEED)
    return {s.name: (scale * rng.standard_normal(s.shape)).astype(np.float32) for s in model.inputs}


def agree(path: Path, batch: int | None = None, scale: float = 1.0) -> Model:
    """Loads the model and asserts that ONNX Runtime on the file, ONNX Runtime on the canonical graph and
    the Relay module in float64 give the same outputs; gives the loaded model.
    """
    model = load_model(path, batch)
    inputs = random_inputs(model, scale)
    expected = run_onnx(path, inputs)
    canonical = run_onnx(model.proto.SerializeToString(), inputs)
    relay = evaluate(to_relay(model), inputs)
    assert len(expected) == len(canonical) == len(relay) == len(model.outputs)
    for want, onnx_got, relay_got, spec in zip(expected, canonical, relay, model.outputs, strict=True):
        assert want.shape == onnx_got.shape == relay_got.shape == spec.shape
        limit = 2e-6 * max(1.0, float(np.abs(want).max()))
        np.testing.assert_allclose(onnx_got, want, rtol=0, atol=limit)
        np.testing.assert_allclose(relay_got, want, rtol=0, atol=limit)
    return model


def agree_proto(proto: onnx.ModelProto, folder: Path, batch: int | None = None, scale: float = 1.0) -> Model:
    """:func:`agree` on a model that is not a file yet."""
    return agree(save(proto, folder), batch, scale)


def operators(model: Model) -> list[str]:
    """The canonical graph's operators in order."""
    return [node.op_type for node in model.proto.graph.node]


def weight(*shape: int, seed: int = 1) -> Array:
    """Random float32 weights of about unit gain."""
    fan = max(1, int(np.prod(shape[1:])))
    return (np.random.default_rng(seed).standard_normal(shape) / np.sqrt(fan)).astype(np.float32)
