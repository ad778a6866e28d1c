"""SplitBatch: the first blocks of a net take a batch in parts, so that their maps stay in the cache.

before
    %0 = nn.relu(nn.conv2d(%x, w1));                 8 images
    nn.conv2d(nn.max_pool2d(%0), w2)
after
    %0 = nn.max_pool2d(nn.relu(nn.conv2d(strided_slice(%x, begin=[0], end=[1]), w1)));
    %1 = nn.max_pool2d(nn.relu(nn.conv2d(strided_slice(%x, begin=[1], end=[2]), w1)));  …
    nn.conv2d(concatenate((%0, %1, …)), w2)

A block of the whole batch writes and reads maps of many megabytes; one image's maps stay near.  What it costs is
that each part reads the weights anew, so only blocks with many pixels an image are split: those whose arithmetic
hides it.  A block ends at its pool, or where a k×k convolution reads it: there no later pass joins kernels, but
for a pool and its reader.  The slices and the concatenation move no bytes (:mod:`nincc.codegen.values`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from nincc._tvm import tvm
from nincc.options import CompileOptions
from nincc.passes.base import Pass
from nincc.passes.elementwise import is_elementwise
from nincc.passes.graph import Graph, Node, is_call, is_tensor, name_of, operands, rebuild, shape, value
from nincc.passes.record import PassRecord
from nincc.target import Target

relay = tvm.relay

LEAST_PIXELS = 256
"""Pixels of a part that read each weight at least: fetching it from the last cache then hides behind the arithmetic."""
MOST_PARTS = 32
"""Parts of a batch: the code that calls the kernels grows with them."""
POOLS = ("nn.max_pool2d", "nn.avg_pool2d", "nn.global_avg_pool2d", "nn.global_max_pool2d")


class SplitBatch(Pass):
    """The blocks before a cut, once for each part of the batch."""

    name = "SplitBatch"

    def run(self, function: Any, options: CompileOptions, record: PassRecord) -> Any:
        """Splits where it pays; a batch of one image, or a net that mixes images, stays whole."""
        assert isinstance(options.target, Target)
        graph = Graph(function)
        batch = _batch(graph)
        if batch < 2:
            return function
        chosen = _first_blocks(graph, batch, options.target)
        if isinstance(chosen, str):
            record.declined.append(chosen)
            return function
        parts = min(batch, MOST_PARTS)
        size = f"maps of {chosen.bytes:,} bytes"
        record.changed.append(f"{batch} images up to {name_of(chosen.end)}: {parts} parts, {size}")
        return _split(graph, chosen, batch, parts)


@dataclass(frozen=True)
class _Prefix:
    """The nodes up to ``end``, all of them image by image; ``bytes`` are the largest map's of the whole batch."""

    end: Node
    nodes: frozenset[Node]
    bytes: int


def _batch(graph: Graph) -> int:
    """Images of the net's only input; 0 for other nets."""
    params = graph.function.params
    return shape(params[0])[0] if len(params) == 1 and is_tensor(params[0], 4) else 0


def _first_blocks(graph: Graph, batch: int, target: Target) -> _Prefix | str:
    """The blocks to split, or why there are none."""
    found: _Prefix | str = "no block takes its images one by one"
    for prefix, block in _blocks(graph, batch):
        largest = max(_bytes(node) for node in block)
        pixels = min(shape(node)[2] * shape(node)[3] for node in block)
        if largest <= target.l2:
            reason = f"{name_of(prefix.end)}: maps of {largest:,} bytes stay in the cache"
        elif pixels < LEAST_PIXELS:
            reason = f"{name_of(prefix.end)}: {pixels} pixels an image, fewer than {LEAST_PIXELS}, to a part's weights"
        else:
            found = prefix
            continue
        return found if isinstance(found, _Prefix) else reason
    return found


def _blocks(graph: Graph, batch: int) -> Iterator[tuple[_Prefix, list[Node]]]:
    """Each block of the net, as what lies up to its end and as the convolutions' maps of its own."""
    readers = _readers(graph)
    passed: set[Node] = set(graph.function.params)
    live, block = set(passed), []
    for node in graph.nodes:
        if not isinstance(node, relay.Call):
            continue
        if not _by_image(node, batch):
            return
        passed.add(node)
        live = {one for one in (*live, node) if any(reader not in passed for reader in readers.get(one, ()))}
        if is_call(node, "nn.conv2d"):
            block.append(node)
        if live == {node} and block and _ends_block(node, readers[node]):
            yield _Prefix(node, frozenset(passed), max(map(_bytes, block))), block
            block = []


def _readers(graph: Graph) -> dict[Node, list[Node]]:
    """Who reads a node, but for the tuple of the net's outputs."""
    found: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        if node.same_as(graph.function.body) and isinstance(node, relay.Tuple):
            continue
        for operand in operands(node):
            found.setdefault(operand, []).append(node)
    return found


def _by_image(node: Node, batch: int) -> bool:
    """Whether each image of the result is computed from the same image of the operands."""
    computed = [node, *(one for one in node.args if value(one) is None)]
    if not all(is_tensor(one, 4) and shape(one)[0] == batch for one in computed):
        return False
    if is_call(node, "nn.conv2d", "nn.bias_add", "nn.pad", *POOLS):
        return True
    constants = [array for array in map(value, node.args) if array is not None]
    return is_elementwise(node) and all(array.ndim < 4 or array.shape[0] == 1 for array in constants)


def _ends_block(node: Node, readers: list[Node]) -> bool:
    """A pool, or what is read by pools and convolutions that look at more than one pixel; not what one pool reads."""
    if is_call(node, *POOLS):
        return True
    return not (len(readers) == 1 and is_call(readers[0], *POOLS)) and all(map(_starts_block, readers))


def _starts_block(reader: Node) -> bool:
    """A pool, or a convolution that looks at more than one pixel."""
    if is_call(reader, *POOLS):
        return True
    return is_call(reader, "nn.conv2d") and max(shape(reader.args[1])[2:]) > 1


def _bytes(node: Node) -> int:
    """Bytes of a float32 map."""
    return 4 * prod(shape(node))


def _split(graph: Graph, prefix: _Prefix, batch: int, parts: int) -> Any:
    """Every map that is read beyond the prefix becomes the concatenation of its parts."""
    data = graph.function.params[0]
    bounds = [batch * part // parts for part in range(parts + 1)]
    copies = [_copy(graph, prefix, _slice(data, *span)) for span in zip(bounds, bounds[1:], strict=False)]
    outputs = set(graph.function.body.fields) if isinstance(graph.function.body, relay.Tuple) else set()
    kept = {node for node in prefix.nodes if node.same_as(prefix.end) or (node in outputs and node is not data)}

    def replace(node: Node, new: Callable[[Node], Node]) -> Node | None:
        return relay.concatenate([copy[node] for copy in copies], axis=0) if node in kept else None

    return rebuild(graph, replace)


def _slice(data: Node, first: int, end: int) -> Node:
    return relay.strided_slice(data, begin=[first], end=[end], axes=[0])


def _copy(graph: Graph, prefix: _Prefix, data: Node) -> dict[Node, Node]:
    """The prefix's nodes on one part of the batch, in the weights' own constants."""
    made: dict[Node, Node] = {graph.function.params[0]: data}
    for node in graph.nodes:
        if node in prefix.nodes and isinstance(node, relay.Call):
            args = [made.get(operand, operand) for operand in node.args]
            made[node] = relay.Call(node.op, args, node.attrs, node.type_args, node.span)
    return made
