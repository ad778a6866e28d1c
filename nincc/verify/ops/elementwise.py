"""Elementwise operators, with numpy's broadcasting, which is Relay's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nincc.verify.ops.registry import OPERATORS, Array, Attributes, Operator, operator


def _plain(function: Callable[..., Any]) -> Operator:
    """An operator without attributes as a function of its arguments."""

    def apply(arguments: Sequence[Any], attributes: Attributes) -> Array:
        return np.asarray(function(*arguments))

    return apply


def sigmoid(value: Array) -> Array:
    """1 / (1 + exp(-x)), written so that no exponential overflows."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * value)))


def divide(left: Array, right: Array) -> Array:
    """Division; between whole numbers it cuts towards zero, as in C."""
    if np.issubdtype(left.dtype, np.integer) and np.issubdtype(right.dtype, np.integer):
        return np.trunc(left / right).astype(left.dtype)
    return np.asarray(left / right)


_erf = np.vectorize(math.erf, otypes=[np.float64])

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "power": np.power,
    "negative": np.negative,
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda value: 1.0 / np.sqrt(value),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "erf": _erf,
    "floor": np.floor,
    "ceil": np.ceil,
    "copy": lambda value: value,
    "nn.relu": lambda value: np.maximum(value, 0.0),
    "greater": np.greater,
    "less": np.less,
    "equal": np.equal,
    "where": np.where,
    "zeros_like": np.zeros_like,
    "ones_like": np.ones_like,
}

OPERATORS.update({name: _plain(function) for name, function in _FUNCTIONS.items()})


def along(vector: Array, rank: int, axis: int) -> Array:
    """A vector shaped to broadcast along ``axis`` of a tensor of ``rank`` axes."""
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape)


@operator("nn.bias_add")
def bias_add(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Add a vector along one axis."""
    data, bias = arguments
    return np.asarray(data + along(bias, data.ndim, attributes["axis"]))


@operator("nn.leaky_relu")
def leaky_relu(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """x where it is positive, alpha times x elsewhere."""
    data = arguments[0]
    return np.where(data > 0, data, attributes["alpha"] * data)


@operator("nn.prelu")
def prelu(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """A leaky ReLU with a slope per index of one axis."""
    data, slope = arguments
    return np.where(data > 0, data, along(slope, data.ndim, attributes["axis"]) * data)


@operator("clip")
def clip(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """Limit to [a_min, a_max]."""
    return np.asarray(np.clip(arguments[0], attributes["a_min"], attributes["a_max"]))


@operator("cast")
def cast(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """To whole numbers or booleans as asked; any float type is float64 here."""
    dtype = np.dtype(attributes["dtype"])
    return np.asarray(arguments[0]).astype(np.float64 if dtype.kind == "f" else dtype)
