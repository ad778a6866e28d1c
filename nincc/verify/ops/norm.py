"""Normalisations, softmax and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nincc.verify.ops.elementwise import along
from nincc.verify.ops.registry import Array, Attributes, operator


@operator("nn.batch_norm")
def batch_norm(arguments: Sequence[Any], attributes: Attributes) -> tuple[Array, Array, Array]:
    """Inference batch normalisation: (normalised data, moving mean, moving variance)."""
    data, gamma, beta, mean, variance = arguments
    scale = 1.0 / np.sqrt(variance + attributes["epsilon"])
    scale = scale * gamma if attributes["scale"] else scale
    shift = (beta if attributes["center"] else 0.0) - mean * scale
    axis = attributes["axis"]
    return data * along(scale, data.ndim, axis) + along(shift, data.ndim, axis), mean, variance


@operator("nn.dropout")
def dropout(arguments: Sequence[Any], attributes: Attributes) -> tuple[Array, Array]:
    """Inference dropout is the identity: (data, a mask of ones)."""
    return arguments[0], np.ones_like(arguments[0])


@operator("nn.softmax")
def softmax(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """exp(x) over its sum along one axis; the largest is subtracted first."""
    data, axis = arguments[0], attributes["axis"]
    powers = np.exp(data - data.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


@operator("nn.log_softmax")
def log_softmax(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """The logarithm of softmax, without forming softmax."""
    data, axis = arguments[0], attributes["axis"]
    shifted = data - data.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


@operator("nn.lrn")
def local_response_norm(arguments: Sequence[Any], attributes: Attributes) -> Array:
    """x / (bias + alpha / size * sum of x squared over ``size`` neighbours along the axis) ** beta."""
    data, size, axis = arguments[0], attributes["size"], attributes["axis"]
    squares = np.moveaxis(data * data, axis, -1)
    padded = np.pad(squares, [(0, 0)] * (data.ndim - 1) + [((size - 1) // 2, size // 2)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1).sum(axis=-1)
    base = attributes["bias"] + attributes["alpha"] / size * np.moveaxis(windows, -1, axis)
    return np.asarray(data / base ** attributes["beta"])
