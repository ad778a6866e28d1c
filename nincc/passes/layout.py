"""Layout: activations stay packed ``[N, H, W, Cp]`` between kernels; pack and unpack cancel.

before
    %1 = nincc.unpack(nincc.gemm(%0, …), channels=C)
    %2 = nn.relu(add(%1, %other))
    nincc.gemm(nincc.pack(nn.max_pool2d(%2, …)), …)
after
    %1 = nincc.gemm(%0, …)
    %2 = nn.relu(add(%1, %other packed))
    nincc.gemm(nincc.pool2d(%2, …), …)

An NCHW tensor has two forms, the graph's own and the packed one, and is built in the form its readers ask
for.  It *lies packed* if its producer makes it so (:mod:`nincc.passes.layout_rules`); all others are packed
only where a kernel reads them.
"""

from __future__ import annotations

from typing import Any

from nincc._tvm import tvm
from nincc.options import CompileOptions
from nincc.passes.base import Pass
from nincc.passes.choices import tasks_for
from nincc.passes.graph import Graph, Node, is_call, operands, shape, with_operands
from nincc.passes.layout_rules import Packed, lies_channels_last, packed_form
from nincc.passes.packed import elements, layer_of, lies_packed, pack, unpack
from nincc.passes.record import PassRecord

relay = tvm.relay


class Layout(Pass):
    """Packed activations everywhere kernels meet."""

    name = "Layout"

    def run(self, function: Any, options: CompileOptions, record: PassRecord) -> Any:
        """Rebuild the graph with each tensor in the form that is read."""
        rewritten = Forms(Graph(function), options, record).rebuild()
        before, after = (_conversions(Graph(f)) for f in (function, rewritten))
        if before != after:
            record.changed.append(f"{before} conversions between NCHW and packed become {after}")
        return rewritten


def _conversions(graph: Graph) -> int:
    return sum(is_call(node, "nincc.pack", "nincc.unpack") for node in graph.nodes)


class Forms:
    """The two forms of every tensor, each built at most once, the second on demand."""

    def __init__(self, graph: Graph, options: CompileOptions, record: PassRecord) -> None:
        self.graph = graph
        self.options = options
        self.record = record
        self.lying: dict[Node, Packed] = {}
        self._plain: dict[Node, Node] = {}
        self._packed: dict[Node, Node] = {}

    def rebuild(self) -> Any:
        """The function in new form; nodes come in order, so each finds its operands built."""
        for node in self.graph.nodes:
            form = packed_form(node, self)
            if form is None:
                self._plain[node] = self._rebuilt(node)
            else:
                self.lying[node] = form
        function = self.graph.function
        return relay.Function(function.params, self.plain(function.body), None, None, function.attrs)

    def plain(self, node: Node) -> Node:
        """``node`` as the graph has it."""
        if node not in self._plain:
            self._plain[node] = self._unpacked(node)
        return self._plain[node]

    def packed(self, node: Node, reader: str) -> Node:
        """An NCHW ``node`` in packed form, for the layer ``reader``."""
        if node in self.lying:
            return self.lying[node].node
        if node not in self._packed:
            self._packed[node] = self._pack(node, reader)
        return self._packed[node]

    def _rebuilt(self, node: Node) -> Node:
        if is_call(node, "nincc.pack"):
            return self.packed(node.args[0], layer_of(node))
        if lies_channels_last(node, self):
            return self.packed(node.args[0], layer_of(node))
        return with_operands(node, {operand: self.plain(operand) for operand in operands(node)})

    def _pack(self, node: Node, reader: str) -> Node:
        """Single pixels whose channels need no padding lie packed as they are."""
        batch, channels, height, width = shape(node)
        if (height, width) == (1, 1) and lies_packed(node, self.options):
            return relay.reshape(self.plain(node), (batch, 1, 1, channels))
        return pack(self.plain(node), reader, self.options, tasks_for(elements(node), self.options))

    def _unpacked(self, node: Node) -> Node:
        packed = self.lying[node].node
        batch, channels, height, width = shape(node)
        if (height, width) == (1, 1) and lies_packed(node, self.options):
            return relay.reshape(packed, (batch, channels, 1, 1))
        return unpack(packed, channels, layer_of(node), tasks_for(elements(node), self.options))
