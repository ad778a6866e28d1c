"""A Relay function seen as a graph: who reads whom, and a rebuild that swaps nodes for others.

Relay's own visitors recurse in Python; these walk iteratively, so a net of any depth will do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from nincc._tvm import tvm
from nincc.errors import InternalError

relay = tvm.relay

Node = Any  # relay.Expr
Array = npt.NDArray[Any]


class Graph:
    """A function's nodes in execution order, and how often each is read.

    The function's own result counts as a reader: a tensor that a node reads and that is also an
    output of the net has two.
    """

    def __init__(self, function: Any) -> None:
        self.function = function
        self.nodes: list[Node] = []
        relay.analysis.post_order_visit(function.body, self._add)
        self.read_count: Counter[Node] = Counter()
        for node in self.nodes:
            self.read_count.update(operands(node))
        self.read_count[function.body] += 1

    def _add(self, node: Node) -> None:
        if isinstance(node, (relay.Call, relay.Tuple, relay.TupleGetItem, relay.Var, relay.Constant)):
            self.nodes.append(node)
        elif not isinstance(node, tvm.ir.Op):
            raise InternalError(f"a Relay {type(node).__name__} in the graph; passes take plain dataflow")

    def read_once(self, node: Node) -> bool:
        """Whether exactly one reader needs ``node``, so that it may vanish into that reader."""
        return self.read_count[node] == 1


def operands(node: Node) -> list[Node]:
    """The nodes that ``node`` reads, in order; one that it reads twice is there twice."""
    if isinstance(node, relay.Call):
        return list(node.args)
    if isinstance(node, relay.Tuple):
        return list(node.fields)
    if isinstance(node, relay.TupleGetItem):
        return [node.tuple_value]
    return []


def rebuild(graph: Graph, replace: Callable[[Node, Callable[[Node], Node]], Node | None]) -> Any:
    """The graph's function with each node replaced by ``replace(node, new)``, or kept where that is None.

    ``new`` gives the rebuilt form of any node before it.  Parameters stay the same variables.
    """
    rebuilt: dict[Node, Node] = {}
    for node in graph.nodes:
        replacement = replace(node, rebuilt.__getitem__)
        rebuilt[node] = with_operands(node, rebuilt) if replacement is None else replacement
    function = graph.function
    return relay.Function(function.params, rebuilt[function.body], None, function.type_params, function.attrs)


def with_operands(node: Node, rebuilt: dict[Node, Node]) -> Node:
    """``node`` reading the rebuilt forms of its operands; the very same node where none changed."""
    old = operands(node)
    new = [rebuilt[operand] for operand in old]
    if all(a.same_as(b) for a, b in zip(old, new, strict=True)):
        return node
    if isinstance(node, relay.Call):
        return relay.Call(node.op, new, node.attrs, node.type_args, node.span)
    if isinstance(node, relay.Tuple):
        return relay.Tuple(new, node.span)
    return relay.TupleGetItem(new[0], node.index, node.span)


def is_call(node: Node, *names: str) -> bool:
    """Whether ``node`` calls one of these operators."""
    return isinstance(node, relay.Call) and isinstance(node.op, tvm.ir.Op) and node.op.name in names


def shape(node: Node) -> tuple[int, ...]:
    """A typed tensor's shape."""
    return tuple(int(extent) for extent in node.checked_type.shape)


def is_tensor(node: Node, rank: int | None = None) -> bool:
    """Whether a typed node is one tensor (not a tuple), of this rank if one is given."""
    kind = node.checked_type
    return isinstance(kind, tvm.ir.TensorType) and (rank is None or len(kind.shape) == rank)


def constant(array: Array) -> Node:
    """A float32 constant, typed."""
    return relay.const(np.ascontiguousarray(array, dtype=np.float32))


def value(node: Node) -> Array | None:
    """A constant's value, None for what is not constant."""
    return np.asarray(node.data.numpy()) if isinstance(node, relay.Constant) else None


def named(node: Node, like: Node) -> Node:
    """``node`` carrying the name (span) of ``like``; what is no call stays as it is."""
    if not isinstance(node, relay.Call):
        return node
    return relay.Call(node.op, node.args, node.attrs, node.type_args, like.span)


def name_of(node: Node) -> str:
    """The ONNX node's name that the frontend left as the span; else the operator's name."""
    span = getattr(node, "span", None)
    if span is not None and span.source_name.name:
        return str(span.source_name.name)
    return str(node.op.name) if isinstance(node, relay.Call) else type(node).__name__


def ints(values: Any) -> tuple[int, ...]:
    """TVM's integers (an array of IntImm, or one) as Python's."""
    return tuple(int(v) for v in values) if isinstance(values, (tvm.ir.Array, list, tuple)) else (int(values),)


def padding4(values: Any) -> tuple[int, int, int, int]:
    """Relay's padding of 1, 2 or 4 numbers as top, left, bottom, right."""
    given = ints(values)
    if len(given) == 4:
        return given
    vertical, horizontal = given if len(given) == 2 else (given[0], given[0])
    return vertical, horizontal, vertical, horizontal


def reduced_axes(node: Node) -> tuple[int, ...]:
    """The axes a reduction runs over, ascending."""
    rank = len(shape(node.args[0]))
    axis = node.attrs.axis
    listed = range(rank) if axis is None else [a % rank for a in ints(axis)]
    return tuple(a for a in range(rank) if (a in listed) != bool(node.attrs.exclude))
