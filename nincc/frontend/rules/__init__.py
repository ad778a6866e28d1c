"""The reading rules: one function an ONNX operator, from any opset to canonical nodes.

A rule gets the graph under construction and the source node, whose inputs are read already, and
emits the nodes that compute ``node.output[0]``.  What it cannot read rightly it refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import onnx

from nincc.frontend.graph import Graph

Rule = Callable[[Graph, onnx.NodeProto], None]

_RULES: dict[str, Rule] = {}
_MODULES = ("activation", "arithmetic", "convolution", "layout", "linear", "pooling", "reduction", "slicing")


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Registers a function as the rule of these operators."""

    def register(function: Rule) -> Rule:
        for operator in operators:
            _RULES[operator] = function
        return function

    return register


def rules() -> dict[str, Rule]:
    """Every rule by its operator's name."""
    for module in _MODULES:
        import_module(f"{__name__}.{module}")
    return _RULES
