"""One ONNX node run by ONNX Runtime: an opinion on an operator that is not ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper


def run_node(op_type: str, *inputs: np.ndarray, outputs: int = 1, opset: int = 19, **attributes: Any) -> Any:
    """The node's outputs on ``inputs`` (one array, or a list of them)."""
    names = [f"input{index}" for index in range(len(inputs))]
    results = [f"output{index}" for index in range(outputs)]
    node = helper.make_node(op_type, names, results, **attributes)
    graph = helper.make_graph(
        [node],
        "one_node",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in zip(names, inputs, strict=True)
        ],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in results],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, dict(zip(names, inputs, strict=True)))
    return found[0] if outputs == 1 else found
