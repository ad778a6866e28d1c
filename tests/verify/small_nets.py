"""A small NIN as a file, a Model and a Relay module; and a perfect library for it to plant errors in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nincc.frontend import Model, load_model, to_relay
from nincc.verify.evaluator import evaluate


@dataclass(frozen=True)
class Net:
    """A model and its relay module; ``library`` computes it as a perfect library would."""

    model: Model
    module: Any

    def library(self, arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        named = {spec.name: array for spec, array in zip(self.model.inputs, arrays, strict=True)}
        return tuple(value.astype(np.float32) for value in evaluate(self.module, named))


def small_proto(softmax: bool = False, gain: float = 1.0, batch: int | str = 2) -> Any:
    """3x3 conv, 1x1 conv to 5 classes, global average pool, flatten and perhaps softmax."""
    generator = np.random.default_rng(0)
    shapes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (5, 8, 1, 1), "b2": (5,)}
    weights = {
        name: (generator.standard_normal(shape) * gain * 0.5).astype(np.float32) for name, shape in shapes.items()
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["block1"], "relu1"),
        helper.make_node("MaxPool", ["block1"], ["p1"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p1", "w2", "b2"], ["block2"], "conv2"),
        helper.make_node("GlobalAveragePool", ["block2"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["logits"], "flatten"),
        helper.make_node("Softmax", ["logits"], ["prob"], "softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes if softmax else nodes[:-1],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("prob" if softmax else "logits", TensorProto.FLOAT, [batch, 5])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    return proto


def as_net(proto: Any, path: Path, batch: int | None = None) -> Net:
    """Saves ``proto`` at ``path`` and imports it."""
    onnx.save(proto, path)
    model = load_model(path, batch)
    return Net(model, to_relay(model))


def perturbed(proto: Any, name: str, by: float) -> Any:
    """``proto`` with one number of the weight called ``name`` changed by ``by``."""
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    for tensor in changed.graph.initializer:
        if tensor.name == name:
            value = numpy_helper.to_array(tensor).copy()
            value.flat[0] += np.float32(by)
            tensor.CopyFrom(numpy_helper.from_array(value, name))
    return changed


def with_module_of(net: Net, other: Net) -> Net:
    """``net``'s file with ``other``'s Relay module: a frontend that misread the file."""
    return replace(net, module=other.module)
