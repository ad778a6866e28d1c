"""From an ONNX file to a checked model and its Relay module.

TVM is imported only by ``to_relay`` and ``layer_name``, which are looked up at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nincc.frontend.blocks import block_ends
from nincc.frontend.load import load_model
from nincc.frontend.model import Model, node_macs, tensor_shapes, with_outputs
from nincc.tensor import TensorSpec

if TYPE_CHECKING:
    from nincc.frontend.layers import layer_name
    from nincc.frontend.relay import to_relay

__all__ = [
    "Model", "TensorSpec", "block_ends", "layer_name", "load_model",
    "node_macs", "tensor_shapes", "to_relay", "with_outputs",
]

_LAZY = {"layer_name": "layers", "to_relay": "relay"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
