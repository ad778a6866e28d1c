"""Operators that work element by element, so that any order of axes will do."""

from __future__ import annotations

import numpy as np

from nincc.passes.graph import Array, Node, is_call, is_tensor, value

UNARY = (
    "nn.relu", "clip", "sigmoid", "tanh", "nn.leaky_relu", "abs", "negative", "exp", "sqrt", "erf",
    "nn.dropout", "copy", "sign", "floor", "ceil",
)  # fmt: skip
BINARY = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power")


def is_elementwise(node: Node) -> bool:
    """Whether ``node`` computes each element from the same elements of its operands."""
    return is_call(node, *UNARY, *BINARY) and is_tensor(node)


def permuted_constant(node: Node, axes: tuple[int, ...]) -> Array | None:
    """A constant that broadcasts against a tensor, for that tensor with its axes permuted by ``axes``.

    None where the node is no constant or has more axes than the tensor.
    """
    array = value(node)
    if array is None or array.ndim > len(axes):
        return None
    if array.size == 1 and array.ndim == 0:
        return array
    extents = (1,) * (len(axes) - array.ndim) + array.shape
    return np.transpose(array.reshape(extents), axes)
