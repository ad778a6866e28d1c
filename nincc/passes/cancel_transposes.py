"""CancelTransposes: transpositions sink through what works element by element, meet, and cancel.

before, a channels-last graph around convolutions that ONNX wants channels first
    %0 = transpose(nn.conv2d(%x, W), axes=[0, 2, 3, 1])
    %1 = nn.relu(add(%0, bias))                                bias: (C,)
    nn.conv2d(transpose(%1, axes=[0, 3, 1, 2]), V)
after
    %0 = nn.relu(add(nn.conv2d(%x, W), bias'))                 bias': (1, C, 1, 1)
    nn.conv2d(%0, V)

Each node is kept as a *view*: a node in some order of axes, and the transposition that the graph wants
of it.  Only a reader that needs the wanted order makes it real.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nincc._tvm import tvm
from nincc.options import CompileOptions
from nincc.passes.base import Pass
from nincc.passes.elementwise import BINARY, UNARY, permuted_constant
from nincc.passes.graph import Graph, Node, is_call, is_tensor, named, operands, reduced_axes, shape, with_operands
from nincc.passes.record import PassRecord

relay = tvm.relay

Axes = tuple[int, ...]
REDUCTIONS = ("mean", "sum", "max", "min")


@dataclass(frozen=True)
class View:
    """The tensor ``transpose(base, axes)``, not yet computed."""

    base: Node
    axes: Axes = ()

    @property
    def plain(self) -> bool:
        """Whether the tensor is the base itself."""
        return self.axes == tuple(range(len(self.axes)))


class CancelTransposes(Pass):
    """Transpositions sink, meet and cancel."""

    name = "CancelTransposes"

    def run(self, function: Any, options: CompileOptions, record: PassRecord) -> Any:
        """Rebuild the graph on views; keep it as it was if that saves no transposition."""
        graph = Graph(function)
        before = _transposes(graph)
        if not before:
            return function
        rewritten = _Sinking(graph).run()
        after = _transposes(Graph(rewritten))
        if after >= before:
            record.declined.append(f"none of the {before} transposes meets another")
            return function
        record.changed.append(f"{before - after} of {before} transposes cancel")
        return rewritten


def _transposes(graph: Graph) -> int:
    return sum(is_call(node, "transpose") for node in graph.nodes)


class _Sinking:
    """One rebuild of a function on views."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.views: dict[Node, View] = {}
        self.made: dict[Node, Node] = {}

    def run(self) -> Any:
        for node in self.graph.nodes:
            self.views[node] = self._view(node) or View(self._rebuilt(node))
        function = self.graph.function
        return relay.Function(function.params, self.real(function.body), None, None, function.attrs)

    def real(self, node: Node) -> Node:
        """``node`` in the order of axes that the graph wants."""
        view = self.views[node]
        if view.plain:
            return view.base
        if node not in self.made:
            self.made[node] = relay.transpose(view.base, view.axes)
        return self.made[node]

    def _rebuilt(self, node: Node) -> Node:
        return with_operands(node, {operand: self.real(operand) for operand in operands(node)})

    def _view(self, node: Node) -> View | None:
        """``node`` as a view; None if it needs its operands in the wanted order."""
        if not is_call(node, *RULES) or not is_tensor(node):
            return None
        if is_call(node, "transpose"):
            return self._transpose(node)
        axes = self._shared_axes(node)
        return None if axes is None else RULES[node.op.name](self, node, axes)

    def _transpose(self, node: Node) -> View:
        rank = len(shape(node))
        wanted = [int(a) % rank for a in node.attrs.axes] if node.attrs.axes else list(range(rank))[::-1]
        below = self.views[node.args[0]]
        if below.plain:
            return View(below.base, tuple(wanted))
        return View(below.base, tuple(below.axes[a] for a in wanted))

    def _shared_axes(self, node: Node) -> Axes | None:
        """The one transposition that every computed operand is a view by; None if there is none."""
        first = node.args[0]
        read = list(first.fields) if isinstance(first, relay.Tuple) else list(node.args)
        views = [self.views[operand] for operand in read if not isinstance(operand, relay.Constant)]
        axes = views[0].axes if views else ()
        return axes if axes and all(view.axes == axes and not view.plain for view in views) else None

    def unary(self, node: Node, axes: Axes) -> View:
        return View(relay.Call(node.op, [self.views[node.args[0]].base], node.attrs, None, node.span), axes)

    def binary(self, node: Node, axes: Axes) -> View | None:
        arguments = []
        back = tuple(int(a) for a in np.argsort(axes))
        for operand in node.args:
            array = permuted_constant(operand, back)
            if array is None and isinstance(operand, relay.Constant):
                return None
            arguments.append(self.views[operand].base if array is None else relay.const(array.copy()))
        return View(relay.Call(node.op, arguments, node.attrs, None, node.span), axes)

    def bias_add(self, node: Node, axes: Axes) -> View:
        base = self.views[node.args[0]].base
        axis = axes[int(node.attrs.axis) % len(axes)]
        return View(named(relay.nn.bias_add(base, node.args[1], axis), node), axes)

    def prelu(self, node: Node, axes: Axes) -> View:
        base = self.views[node.args[0]].base
        return View(named(relay.nn.prelu(base, node.args[1], axes[int(node.attrs.axis)]), node), axes)

    def softmax(self, node: Node, axes: Axes) -> View:
        base = self.views[node.args[0]].base
        axis = axes[int(node.attrs.axis) % len(axes)]
        return View(named(relay.nn.softmax(base, axis), node), axes)

    def pad(self, node: Node, axes: Axes) -> View:
        base, attrs = self.views[node.args[0]].base, node.attrs
        widths: list[Sequence[int]] = [()] * len(axes)
        for wanted, axis in enumerate(axes):
            widths[axis] = tuple(int(w) for w in attrs.pad_width[wanted])
        return View(named(relay.nn.pad(base, widths, node.args[1], attrs.pad_mode), node), axes)

    def concatenate(self, node: Node, axes: Axes) -> View:
        bases = [self.views[field].base for field in node.args[0].fields]
        axis = axes[int(node.attrs.axis) % len(axes)]
        return View(named(relay.concatenate(bases, axis), node), axes)

    def reduction(self, node: Node, axes: Axes) -> View:
        base = self.views[node.args[0]].base
        reduced = reduced_axes(node)
        keep = bool(node.attrs.keepdims)
        function = getattr(relay, node.op.name)
        result = named(function(base, axis=[axes[a] for a in reduced], keepdims=keep), node)
        if keep:
            return View(result, axes)
        left = [axis for wanted, axis in enumerate(axes) if wanted not in reduced]
        return View(result, tuple(sorted(left).index(axis) for axis in left))


Rule = Callable[[_Sinking, Node, Axes], "View | None"]
RULES: dict[str, Rule] = {
    **dict.fromkeys(UNARY, _Sinking.unary),
    **dict.fromkeys(BINARY, _Sinking.binary),
    **dict.fromkeys(REDUCTIONS, _Sinking.reduction),
    "transpose": _Sinking.unary,
    "nn.bias_add": _Sinking.bias_add,
    "nn.prelu": _Sinking.prelu,
    "nn.softmax": _Sinking.softmax,
    "nn.pad": _Sinking.pad,
    "concatenate": _Sinking.concatenate,
}
