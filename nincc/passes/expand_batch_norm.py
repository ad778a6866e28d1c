"""ExpandBatchNorm: batch normalisation with known statistics is a multiplication and an addition.

before
    %0 = nn.batch_norm(%x, gamma, beta, mean, variance, epsilon=e)
    %0.0
after, in float64 rounded once, one number a channel
    %0 = multiply(%x, gamma / sqrt(variance + e))
    add(%0, beta - mean * gamma / sqrt(variance + e))

Relay's SimplifyInference does the same in float32 and forgets the node's name; it stays responsible for
statistics that are not constant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nincc._tvm import tvm
from nincc.options import CompileOptions
from nincc.passes.base import Declined, Match, PatternPass
from nincc.passes.graph import Array, Graph, Node, constant, is_call, name_of, named, shape, value

relay = tvm.relay


@dataclass(frozen=True)
class _Normalisation(Match):
    norm: Node
    scale: Array
    shift: Array


class ExpandBatchNorm(PatternPass):
    """Batch normalisation → multiply and add."""

    name = "ExpandBatchNorm"

    def match(self, node: Node, graph: Graph, options: CompileOptions) -> Match | Declined | None:
        """The first result of a batch normalisation with constant parameters."""
        if not isinstance(node, relay.TupleGetItem) or node.index != 0:
            return None
        norm = node.tuple_value
        if not is_call(norm, "nn.batch_norm"):
            return None
        parameters = [value(argument) for argument in norm.args[1:]]
        if any(parameter is None for parameter in parameters):
            return Declined(node, (norm,), f"{name_of(norm)}: its statistics are not constant")
        gamma, beta, mean, variance = (np.asarray(p, np.float64) for p in parameters)
        scale = (gamma if norm.attrs.scale else 1.0) / np.sqrt(variance + float(norm.attrs.epsilon))
        shift = (beta if norm.attrs.center else 0.0) - mean * scale
        text = f"{name_of(norm)}: batch normalisation becomes multiply and add"
        return _Normalisation(node, (norm,), text, norm, scale, shift)

    def emit(self, match: _Normalisation, new: Callable[[Node], Node], options: CompileOptions) -> Node:
        """multiply and add with the constants shaped to broadcast along the channels."""
        norm = match.norm
        rank = len(shape(norm.args[0]))
        trailing = (1,) * (rank - 1 - int(norm.attrs.axis) % rank)
        scale, shift = (constant(array.reshape(-1, *trailing)) for array in (match.scale, match.shift))
        scaled = named(relay.multiply(new(norm.args[0]), scale), norm)
        return named(relay.add(scaled, shift), norm)
