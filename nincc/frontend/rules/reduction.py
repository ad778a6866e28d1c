"""Means and maxima over axes: what exporters write for a global pool."""

from __future__ import annotations

import onnx

from nincc.frontend.fold import attribute
from nincc.frontend.graph import Graph
from nincc.frontend.rules import rule
from nincc.frontend.transpose import emit_transpose, transposed


@rule("ReduceMean")
def read_mean(graph: Graph, node: onnx.NodeProto) -> None:
    axes = _axes(graph, node)
    if axes:
        _emit_mean(graph, node, axes, bool(attribute(node, "keepdims", 1)))
    else:
        graph.alias(node.output[0], node.input[0])


@rule("ReduceMax")
def read_max(graph: Graph, node: onnx.NodeProto) -> None:
    """The maximum over H and W is a global pool."""
    perm, (data,) = transposed(graph, node.input[:1])
    axes = _axes(graph, node)
    if len(graph.shape(data)) != 4 or {perm[axis] if perm else axis for axis in axes} != {2, 3}:
        raise graph.refuse(f"takes the maximum over the axes {axes}", "nincc reads maxima over height and width")
    pooled = graph.emit("GlobalMaxPool", [data])
    shape = [1 if axis in axes else extent for axis, extent in enumerate(graph.shape(node.input[0]))]
    kept = shape if attribute(node, "keepdims", 1) else [shape[i] for i in range(4) if i not in axes]
    graph.reshape(pooled, kept, node.output[0])


def _axes(graph: Graph, node: onnx.NodeProto) -> list[int]:
    """The axes of a reduction, positive and sorted: an attribute in older opsets, an input in newer ones.

    No axes mean all of them, or none with ``noop_with_empty_axes``.
    """
    rank = len(graph.shape(node.input[0]))
    axes = attribute(node, "axes")
    if len(node.input) > 1 and node.input[1]:
        value = graph.constant(node.input[1])
        if value is None:
            raise graph.refuse("its axes are not a constant", "export the model with static axes")
        axes = value.tolist()
    if not axes:
        return [] if attribute(node, "noop_with_empty_axes", 0) else list(range(rank))
    if not all(-rank <= axis < rank for axis in axes):
        raise graph.refuse(f"axes {list(axes)} are not all of a tensor of rank {rank}", "export the model again")
    return sorted({axis % rank for axis in axes})


def _emit_mean(graph: Graph, node: onnx.NodeProto, axes: list[int], keep: bool) -> None:
    """A mean over a transposed map is a mean over other axes of the map itself."""
    perm, (data,) = transposed(graph, node.input[:1])
    if perm is None:
        graph.emit("ReduceMean", [data], node.output[0], axes=axes, keepdims=int(keep))
        return
    reduced = {perm[axis] for axis in axes}
    mean = graph.emit("ReduceMean", [data], axes=sorted(reduced), keepdims=int(keep))
    left = [axis for axis in perm if keep or axis not in reduced]
    ranks = {axis: index for index, axis in enumerate(sorted(left))}
    emit_transpose(graph, mean, [ranks[axis] for axis in left], node.output[0])
