"""CanonicalizeGlobalPool: every way to write a global average pool becomes ``nn.global_avg_pool2d``.

before, on %x: (N, C, H, W), any of
    nn.avg_pool2d(%x, pool_size=[H, W])         no padding that counts, one window
    nn.adaptive_avg_pool2d(%x, output_size=[1])
    mean(%x, axis=[2, 3], keepdims=True)
    mean(%x, axis=[2, 3])
    mean(mean(%x, axis=[3]), axis=[2])
    mean(reshape(%x, newshape=[N, C, H * W]), axis=[2])
after
    %0 = nn.global_avg_pool2d(%x)
    reshape(%0, newshape=...)                   where the result is not (N, C, 1, 1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nincc._tvm import tvm
from nincc.options import CompileOptions
from nincc.passes.base import Declined, Match, PatternPass
from nincc.passes.graph import Graph, Node, ints, is_call, is_tensor, name_of, named, padding4, reduced_axes, shape
from nincc.passes.simplify_reshape import reshape_source

relay = tvm.relay


@dataclass(frozen=True)
class _Pool(Match):
    data: Node


class CanonicalizeGlobalPool(PatternPass):
    """Global average pools in any guise → ``nn.global_avg_pool2d``."""

    name = "CanonicalizeGlobalPool"

    def match(self, node: Node, graph: Graph, options: CompileOptions) -> Match | Declined | None:
        """A pool of one window over the whole map, or a mean over height and width."""
        if is_call(node, "nn.avg_pool2d"):
            return _match_average_pool(node)
        if is_call(node, "nn.adaptive_avg_pool2d"):
            return _match_adaptive(node)
        if is_call(node, "mean"):
            return _match_mean(node, graph)
        return None

    def emit(self, match: _Pool, new: Callable[[Node], Node], options: CompileOptions) -> Node:
        """The pool, and a reshape to the shape the graph wants."""
        pool = named(relay.nn.global_avg_pool2d(new(match.data)), match.root)
        wanted = shape(match.root)
        if wanted == (*shape(match.data)[:2], 1, 1):
            return pool
        return named(relay.reshape(pool, wanted), match.root)


def _found(node: Node, data: Node, what: str, inner: tuple[Node, ...] = ()) -> Match:
    height, width = shape(data)[2:]
    return _Pool(node, inner, f"{name_of(node)}: {what} over {height}×{width} is the global average pool", data)


def _match_average_pool(node: Node) -> Match | Declined | None:
    data, attrs = node.args[0], node.attrs
    if attrs.layout != "NCHW":
        return None
    height, width = shape(data)[2:]
    kernel = _pair(attrs.pool_size)
    if shape(node)[2:] != (1, 1) or not _covers(attrs, kernel, (height, width)):
        reason = f"average pool {kernel[0]}×{kernel[1]} does not cover its {height}×{width} map with one window"
        return Declined(node, (), f"{name_of(node)}: {reason}")
    if bool(attrs.count_include_pad) and any(padding4(attrs.padding)):
        return Declined(node, (), f"{name_of(node)}: average pool counts its padding, which the mean does not")
    return _found(node, data, "AveragePool")


def _covers(attrs: Any, kernel: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether the window at the top left corner holds the whole map."""
    top, left, _, _ = padding4(attrs.padding)
    reach = (kernel[0] - top, kernel[1] - left)
    return _pair(attrs.dilation) == (1, 1) and reach[0] >= size[0] and reach[1] >= size[1]


def _match_adaptive(node: Node) -> Match | Declined | None:
    if node.attrs.layout != "NCHW" or shape(node)[2:] != (1, 1):
        return Declined(node, (), f"{name_of(node)}: adaptive pool to more than one pixel")
    return _found(node, node.args[0], "an adaptive pool")


def _match_mean(node: Node, graph: Graph) -> Match | Declined | None:
    data = node.args[0]
    axes = reduced_axes(node)
    if is_tensor(data, 4) and axes == (2, 3):
        return _found(node, data, "ReduceMean")
    if is_tensor(data, 3) and axes == (2,):
        return _match_mean_of_three(node, data, graph)
    nested = is_call(data, "mean") and is_tensor(data, 4)
    if nested and sorted((*axes, *reduced_axes(data))) == [2, 3]:
        return _found_two(node, data, graph)
    if is_tensor(data, 4) and 1 not in axes:
        return Declined(node, (), f"{name_of(node)}: mean over axes {list(axes)}, not over height and width")
    return None


def _match_mean_of_three(node: Node, data: Node, graph: Graph) -> Match | Declined | None:
    """A mean over the last of three axes: of pixels in one row, or of a mean over the width."""
    source = reshape_source(data)
    if is_tensor(source, 4) and shape(source)[:2] == shape(data)[:2]:
        return _found(node, source, "the mean of all pixels")
    if is_call(data, "mean") and is_tensor(data.args[0], 4) and reduced_axes(data) in ((2,), (3,)):
        return _found_two(node, data, graph)
    return None


def _found_two(node: Node, data: Node, graph: Graph) -> Match:
    inner = (data,) if graph.read_once(data) else ()
    return _found(node, data.args[0], "a mean of means", inner)


def _pair(values: Any) -> tuple[int, int]:
    found = ints(values)
    return found[0], found[-1]
