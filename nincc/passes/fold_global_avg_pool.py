"""FoldGlobalAvgPool: the global average pool disappears into the last GEMM.

linear, no activation between them: the mean commutes with the product, GAP(W·x + b) = W·GAP(x) + b
    %0 = nincc.gemm(%x, W, b, activation="none")       %0 = nincc.global_avg_pool(%x)
    %1 = nincc.unpack(%0)                         →    %1 = nincc.gemm(%0, W, b, activation="none")
    nn.global_avg_pool2d(%1)                           nincc.unpack(%1)
H·W times fewer multiplications.

non-linear, a ReLU before the pool as in the paper's nets: the pool is the GEMM's epilogue, no map is stored
    %0 = nincc.gemm(%x, W, b, activation="relu")       %0 = nincc.gemm_pool(%x, W, b, activation="relu")
    %1 = nincc.unpack(%0)                         →    nincc.unpack(%0)
    nn.global_avg_pool2d(%1)

Neither fires when the map has another reader, or is an output itself (``--keep-maps``): it must be stored then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nincc._tvm import tvm
from nincc.kernels.ops import call
from nincc.options import CompileOptions
from nincc.passes.base import Declined, Match, PatternPass
from nincc.passes.choices import gemm_knobs, gemm_pool_knobs
from nincc.passes.graph import Graph, Node, is_call, name_of, shape
from nincc.passes.layer import activation_of
from nincc.passes.packed import attributes, elements, global_avg_pool, layer_of, unpack

relay = tvm.relay

WHY_FIRST = "the mean is taken before a linear layer"


@dataclass(frozen=True)
class _Pooled(Match):
    product: Node


class FoldGlobalAvgPool(PatternPass):
    """GEMM, then global average pool → mean first, or ``nincc.gemm_pool``."""

    name = "FoldGlobalAvgPool"
    repeat = True

    def match(self, node: Node, graph: Graph, options: CompileOptions) -> Match | Declined | None:
        """A global average pool whose map is the output of a GEMM that nothing else reads."""
        if not is_call(node, "nn.global_avg_pool2d", "nincc.global_avg_pool"):
            return None
        chain = _down_to_product(node)
        product = chain[-1]
        if not is_call(product, "nincc.gemm"):
            if is_call(node, "nincc.global_avg_pool"):
                return None  # this pass put it there, before a linear layer
            return Declined(node, (), f"{name_of(node)}: {_why_not(product)}")
        layer = attributes(product)["layer"]
        if not all(graph.read_once(inner) for inner in chain):
            return Declined(node, (), f"{layer}: its maps must be stored, {_reader(chain, graph)}")
        return _Pooled(node, tuple(chain), _text(product), product)

    def emit(self, match: _Pooled, new: Callable[[Node], Node], options: CompileOptions) -> Node:
        """The mean before the product, or in its epilogue."""
        attrs = attributes(match.product)
        data, weight, bias = match.product.args
        rows, depth, units = shape(data)[0], int(attrs["channels"]), int(attrs["units"])
        if attrs["activation"] == "none":
            mean = global_avg_pool(new(data), elements(data), layer_of(match.root), WHY_FIRST, options)
            attrs |= gemm_knobs(rows, depth, units, options)
            folded = call("nincc.gemm", [mean, weight, bias], **attrs)
        else:
            attrs.pop("order", None)
            attrs |= gemm_pool_knobs(rows, shape(data)[1] * shape(data)[2], depth, units, options)
            folded = call("nincc.gemm_pool", [new(data), weight, bias], **attrs)
        if is_call(match.root, "nincc.global_avg_pool"):
            return folded
        return unpack(folded, units, attrs["layer"])


def _down_to_product(pool: Node) -> list[Node]:
    """The nodes below ``pool`` that only change the layout, down to the first that computes."""
    chain = [pool.args[0]]
    while is_call(chain[-1], "nincc.unpack", "nincc.pack"):
        chain.append(chain[-1].args[0])
    return chain


def _reader(chain: list[Node], graph: Graph) -> str:
    """Who else reads a map: the net's caller, or another node."""
    body = graph.function.body
    outputs = list(body.fields) if isinstance(body, relay.Tuple) else [body]
    is_output = any(node in outputs for node in chain)
    return "they are an output of the net" if is_output else "they have a second reader"


def _why_not(producer: Node) -> str:
    """Why a pool over ``producer`` does not fold."""
    node = producer
    if activation_of(node) != "none":
        node = node.args[0]
    while is_call(node, "add", "nn.bias_add") and is_call(node.args[0], "nn.conv2d", "add", "nn.bias_add"):
        node = node.args[0]
    if is_call(node, "nn.conv2d"):
        height, width = shape(node.args[1])[2:]
        return f"{name_of(node)} before it is a {height}×{width} convolution, not a GEMM"
    return f"{name_of(producer)} stands between it and the last GEMM"


def _text(product: Node) -> str:
    attrs = attributes(product)
    height, width = shape(product)[1:3]
    if attrs["activation"] == "none":
        return f"{attrs['layer']}: linear before the pool, the mean of {height}×{width} pixels is taken first"
    return f"{attrs['layer']}: the mean of {height}×{width} pixels becomes the GEMM's epilogue, no map is stored"
