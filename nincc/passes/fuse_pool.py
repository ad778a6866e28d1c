"""FusePool: a pool that only one convolution reads is computed while that convolution gathers its input.

before
    %0 = nincc.pack(nn.max_pool2d(%x, pool_size=[3, 3], strides=[2, 2]))
    nincc.conv2d_winograd(%0, weight, bias, pool="", …)
after
    %0 = nincc.pack(%x)
    nincc.conv2d_winograd(%0, weight, bias, pool="max 3 3 2 2 …", …)

The gather writes each pixel of its padded map once, so the pool costs the same there, and the pooled map
is neither written nor read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nincc._tvm import tvm
from nincc.kernels.ops import call
from nincc.kernels.spec import Pooling
from nincc.options import CompileOptions
from nincc.passes.base import Declined, Match, PatternPass
from nincc.passes.graph import Graph, Node, is_call, name_of
from nincc.passes.packed import attributes, pack
from nincc.passes.pooling import pooling_of

relay = tvm.relay


@dataclass(frozen=True)
class _Fused(Match):
    pool: Node
    pooling: Pooling


class FusePool(PatternPass):
    """pool, then convolution → convolution with a ``pool`` attribute."""

    name = "FusePool"

    def match(self, node: Node, graph: Graph, options: CompileOptions) -> Match | Declined | None:
        """A convolution kernel that reads a packed pool."""
        if not is_call(node, "nincc.conv2d", "nincc.conv2d_winograd") or not is_call(node.args[0], "nincc.pack"):
            return None
        packed = node.args[0]
        pool, layer = packed.args[0], attributes(node)["layer"]
        pooling = pooling_of(pool)
        if pooling is None:
            return None
        if isinstance(pooling, str):
            return Declined(node, (), f"{name_of(pool)}: {pooling}")
        if not (graph.read_once(packed) and graph.read_once(pool)):
            return Declined(node, (), f"{name_of(pool)}: {layer} is not its only reader")
        text = f"{name_of(pool)}: computed while {layer} gathers its input"
        return _Fused(node, (packed, pool), text, pool, pooling)

    def emit(self, match: _Fused, new: Callable[[Node], Node], options: CompileOptions) -> Node:
        """The convolution on the pool's own input."""
        attrs = attributes(match.root) | {"pool": str(match.pooling)}
        _, weight, bias = match.root.args
        data = pack(new(match.pool.args[0]), attrs["layer"], options)
        return call(match.root.op.name, [data, weight, bias], **attrs)
