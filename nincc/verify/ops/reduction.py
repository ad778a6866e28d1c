"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nincc.verify.ops.registry import OPERATORS, Array, Attributes, Operator


def reduced_axes(rank: int, attributes: Attributes) -> tuple[int, ...]:
    """The axes to reduce: Relay's ``axis`` (None: all), or all others with ``exclude``."""
    axis = attributes["axis"]
    if axis is None:
        return () if attributes["exclude"] else tuple(range(rank))
    listed = {int(index) % rank for index in (axis if isinstance(axis, tuple) else (axis,))}
    return tuple(index for index in range(rank) if (index in listed) != bool(attributes["exclude"]))


def _reduction(function: Callable[..., Any]) -> Operator:
    def apply(arguments: Sequence[Any], attributes: Attributes) -> Array:
        data = arguments[0]
        axes = reduced_axes(data.ndim, attributes)
        return np.asarray(function(data, axis=axes, keepdims=bool(attributes["keepdims"])))

    return apply


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "mean": np.mean,
    "sum": np.sum,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
}

OPERATORS.update({name: _reduction(function) for name, function in _FUNCTIONS.items()})
