"""FoldScaleAxis: multiplications and shifts by a constant per channel go into a neighbouring layer's weights.

behind a layer (batch normalisation after a convolution)
    %0 = nn.conv2d(%x, W)                       %0 = nn.conv2d(%x, W * s)
    %1 = multiply(%0, s)                  →     add(%0, t)
    add(%1, t)
before a layer (batch normalisation after the activation)
    %0 = multiply(%x, s)                        %0 = nn.conv2d(%x, W * s)
    %1 = add(%0, t)                       →     add(%0, Σ W * t)
    nn.conv2d(%1, W)

A shift before a padded convolution stays: the padding's zeros know nothing of t.  Everything is computed
in float64 and rounded once, and layers keep their names; Relay's pass of this name does neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nincc._tvm import tvm
from nincc.options import CompileOptions
from nincc.passes.base import Declined, Match, PatternPass
from nincc.passes.graph import Array, Graph, Node, constant, is_call, is_tensor, name_of, named, shape
from nincc.passes.layer import Layer, geometry, match_layer, split_channel_constant

relay = tvm.relay


@dataclass(frozen=True)
class Affine:
    """``scale * base + shift`` per channel; ``nodes`` compute it, the outermost first."""

    base: Node
    nodes: tuple[Node, ...]
    scale: Array
    shift: Array

    @property
    def scales(self) -> bool:
        """Whether it does more than shift."""
        return bool(np.any(self.scale != 1.0))


@dataclass(frozen=True)
class _Folded(Match):
    layer: Layer
    data: Node
    scale_out: Array
    scale_in: Array
    bias: Array


def affine_chain(root: Node, graph: Graph) -> Affine:
    """The longest chain of per-channel operations that ends at ``root`` and is read nowhere else."""
    chain: list[tuple[str, Node, Array]] = []
    node = root
    while node.same_as(root) or graph.read_once(node):
        step = _affine_step(node)
        if step is None:
            break
        chain.append((node.op.name, node, step[1]))
        node = step[0]
    return _compose(node, chain)


def _affine_step(node: Node) -> tuple[Node, Array] | None:
    """``node`` as (data, constant) if it scales or shifts channels."""
    found = split_channel_constant(node, "add", "nn.bias_add", "multiply", "subtract", "divide")
    if found is None:
        return None
    data, array = found
    if is_call(node, "subtract", "divide") and not node.args[0].same_as(data):
        return None  # constant - x, constant / x
    if is_call(node, "divide") and np.any(array == 0.0):
        return None
    return data, array


def _compose(base: Node, chain: list[tuple[str, Node, Array]]) -> Affine:
    scale: Array = np.ones(1)
    shift: Array = np.zeros(1)
    for operator, _, array in reversed(chain):
        if operator in ("multiply", "divide"):
            factor = array if operator == "multiply" else 1.0 / array
            scale, shift = scale * factor, shift * factor
        else:
            shift = shift - array if operator == "subtract" else shift + array
    return Affine(base, tuple(node for _, node, _ in chain), scale, shift)


class FoldScaleAxis(PatternPass):
    """Scales and shifts per channel → weights and bias."""

    name = "FoldScaleAxis"
    repeat = True

    def match(self, node: Node, graph: Graph, options: CompileOptions) -> Match | Declined | None:
        """A chain on top of a layer, or a layer on top of a chain."""
        if not is_tensor(node):
            return None
        layer = match_layer(node, graph)
        if layer is not None and not layer.inner:
            return self._before(layer, graph)
        return self._behind(node, graph)

    def _behind(self, root: Node, graph: Graph) -> Match | None:
        chain = affine_chain(root, graph)
        if not chain.scales or not _takes_scales(chain.base, graph):
            return None
        layer = match_layer(chain.base, graph)
        assert layer is not None
        scale = np.broadcast_to(chain.scale, (layer.units,))
        shift = np.broadcast_to(chain.shift, (layer.units,))
        text = f"{layer.name}: takes the scale and shift of {_names(chain)} into its weights and bias"
        inner = (*chain.nodes[1:], layer.core)
        return _Folded(root, inner, text, layer, layer.data, scale, np.ones(1), shift)

    def _before(self, layer: Layer, graph: Graph) -> Match | Declined | None:
        chain = affine_chain(layer.data, graph) if graph.read_once(layer.data) else None
        if chain is None or not chain.nodes or _takes_scales(chain.base, graph):
            return None
        if not is_tensor(layer.data, 4 if layer.is_convolution else 2):
            return None
        if layer.is_convolution and geometry(layer).groups != 1:
            return Declined(layer.root, (), f"{layer.name}: grouped, the scale before it stays")
        if layer.is_convolution and geometry(layer).padded and np.any(chain.shift):
            reason = f"{layer.name}: padded, and the padding has no part in the shift before it"
            return Declined(layer.root, (), reason)
        return self._fold_before(layer, chain)

    def _fold_before(self, layer: Layer, chain: Affine) -> Match:
        channels = shape(layer.data)[1]
        scale = np.broadcast_to(chain.scale, (channels,))
        shift = np.broadcast_to(chain.shift, (channels,))
        taps = layer.weight.astype(np.float64).reshape(layer.units, channels, -1).sum(axis=2)
        text = f"{layer.name}: takes the scale and shift of {_names(chain)}, which it reads, into its weights"
        return _Folded(layer.root, chain.nodes, text, layer, chain.base, np.ones(1), scale, taps @ shift)

    def emit(self, match: _Folded, new: Callable[[Node], Node], options: CompileOptions) -> Node:
        """The layer with scaled weights, and a bias where there is one."""
        layer = match.layer
        axes = (1,) * (layer.weight.ndim - 2)
        weight = layer.weight.astype(np.float64) * match.scale_in.reshape(1, -1, *axes)
        weight = weight * match.scale_out.reshape(-1, 1, *axes)
        core = _with_weight(layer, new(match.data), weight)
        if not np.any(match.bias):
            return core
        return named(relay.add(core, constant(match.bias.reshape(-1, *axes))), layer.core)


def _takes_scales(node: Node, graph: Graph) -> bool:
    """Whether ``node`` is a bare layer that only the chain on top of it reads."""
    layer = match_layer(node, graph)
    return layer is not None and not layer.inner and graph.read_once(node)


def _names(chain: Affine) -> str:
    return ", ".join(dict.fromkeys(name_of(node) for node in reversed(chain.nodes)))


def _with_weight(layer: Layer, data: Node, weight: Array) -> Node:
    """The layer's core on other data and weights; a product becomes ``nn.dense``."""
    core = layer.core
    if layer.is_convolution:
        return relay.Call(core.op, [data, constant(weight)], core.attrs, core.type_args, core.span)
    return named(relay.nn.dense(data, constant(weight), units=layer.units), core)
