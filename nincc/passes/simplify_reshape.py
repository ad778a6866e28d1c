"""SimplifyReshape: whatever only renames the axes of a tensor is one ``reshape``, or nothing.

before
    %0 = squeeze(%x, axis=[2, 3])        %x: (N, C, 1, 1)
    %1 = nn.batch_flatten(%0)
    reshape(%1, newshape=[0, -1])
after
    reshape(%x, newshape=[N, C])         and nothing where %x has that shape already
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nincc._tvm import tvm
from nincc.options import CompileOptions
from nincc.passes.base import Declined, Match, PatternPass
from nincc.passes.graph import Graph, Node, is_call, is_tensor, name_of, named, reduced_axes, shape

relay = tvm.relay

RESHAPES = ("reshape", "nn.batch_flatten", "squeeze", "expand_dims", "contrib_reverse_reshape")


@dataclass(frozen=True)
class _Chain(Match):
    source: Node


def is_reshape(node: Node) -> bool:
    """Whether ``node`` keeps every element where it lies.

    A transposition of axes of extent 1 does, and so does a mean over such axes.
    """
    if is_call(node, *RESHAPES, "copy"):
        return True
    if is_call(node, "mean"):
        return all(shape(node.args[0])[axis] == 1 for axis in reduced_axes(node))
    if not is_call(node, "transpose"):
        return False
    extents = shape(node.args[0])
    axes = [int(a) % len(extents) for a in node.attrs.axes] if node.attrs.axes else list(range(len(extents)))[::-1]
    moved = [axis for axis in axes if extents[axis] != 1]
    return moved == sorted(moved)


def reshape_source(node: Node) -> Node:
    """``node`` without the reshapes that end at it."""
    while is_reshape(node):
        node = node.args[0]
    return node


class SimplifyReshape(PatternPass):
    """Chains of reshapes → one reshape or none."""

    name = "SimplifyReshape"

    def match(self, node: Node, graph: Graph, options: CompileOptions) -> Match | Declined | None:
        """A chain of more than one reshape, one that is no ``reshape``, or one that changes nothing."""
        if not is_reshape(node) or not is_tensor(node):
            return None
        source = reshape_source(node)
        below = node.args[0]
        same = shape(source) == shape(node)
        if not same and below.same_as(source) and is_call(node, "reshape") and _explicit(node):
            return None
        text = f"{name_of(node)}: {'drops out' if same else 'one reshape to ' + _extents(node)}"
        return _Chain(node, (), text, source)

    def emit(self, match: _Chain, new: Callable[[Node], Node], options: CompileOptions) -> Node:
        """A reshape to the chain's final shape, told in full."""
        source = new(match.source)
        if shape(match.source) == shape(match.root):
            return source
        return named(relay.reshape(source, shape(match.root)), match.root)


def _explicit(node: Node) -> bool:
    return tuple(int(extent) for extent in node.attrs.newshape) == shape(node)


def _extents(node: Node) -> str:
    return "×".join(str(extent) for extent in shape(node))
