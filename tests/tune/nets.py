"""Nets for the tuner: two layers, and one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.verify.small_nets import small_proto


def two_layers(folder: Path) -> Path:
    """A 3x3 convolution of 3 to 8 channels on 8x8, batch 2, and the head: a 1x1 with the global pool."""
    path = folder / "small.onnx"
    onnx.save(small_proto(), path)
    return path


def two_products(folder: Path) -> Path:
    """Two 1x1 convolutions, 192 to 160 to 96 channels, on 32x32: large enough to share a kernel."""
    rng = np.random.default_rng(0)
    weights = {"w1": (160, 192, 1, 1), "w2": (96, 160, 1, 1)}
    nodes: list[Any] = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], "first"),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "second"),
        helper.make_node("Relu", ["c2"], ["y"], "relu2"),
    ]
    tensors = [numpy_helper.from_array(rng.standard_normal(s).astype(np.float32), n) for n, s in weights.items()]
    graph = helper.make_graph(
        nodes, "products", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 192, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 96, 32, 32])], tensors,
    )  # fmt: skip
    path = folder / "products.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def one_product(folder: Path, pixels: int = 6, channels: int = 16) -> Path:
    """A 1x1 convolution of ``channels`` to as many on 1 x ``pixels``."""
    weight = np.random.default_rng(0).standard_normal((channels, channels, 1, 1)).astype(np.float32)
    nodes: list[Any] = [
        helper.make_node("Conv", ["x", "w"], ["c"], "product"),
        helper.make_node("Relu", ["c"], ["y"], "relu"),
    ]
    shape = [1, channels, 1, pixels]
    graph = helper.make_graph(
        nodes, "product", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)], [numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    path = folder / "product.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
