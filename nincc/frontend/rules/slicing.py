"""Slice and Split.  Canonical: ``Slice`` with starts, ends, axes and positive steps, all in range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from nincc.frontend.fold import attribute
from nincc.frontend.graph import Graph
from nincc.frontend.rules import rule


@rule("Slice")
def read_slice(graph: Graph, node: onnx.NodeProto) -> None:
    """Attributes up to opset 9, inputs from 10 on."""
    shape = graph.shape(node.input[0])
    starts, ends = _integers(graph, node, "starts", 1), _integers(graph, node, "ends", 2)
    if starts is None or ends is None or len(starts) != len(ends):
        raise graph.refuse("its starts and ends are not pairs", "export the model again")
    axes = _integers(graph, node, "axes", 3) or list(range(len(starts)))
    steps = _integers(graph, node, "steps", 4) or [1] * len(starts)
    if not len(axes) == len(steps) == len(starts) or not all(-len(shape) <= axis < len(shape) for axis in axes):
        raise graph.refuse(f"axes {axes} do not fit a tensor of shape {list(shape)}", "export the model again")
    if min(steps, default=1) < 1:
        raise graph.refuse(f"its steps {steps} go backwards", "slice forwards")
    axes = [axis % len(shape) for axis in axes]
    spans = [slice(a, b).indices(shape[axis])[:2] for a, b, axis in zip(starts, ends, axes, strict=True)]
    _emit_slice(graph, node.input[0], axes, spans, steps, node.output[0])


@rule("Split")
def read_split(graph: Graph, node: onnx.NodeProto) -> None:
    """Lengths are an attribute up to opset 12, an input from 13 on; without them the parts are equal."""
    shape, axis = graph.shape(node.input[0]), attribute(node, "axis", 0)
    if not -len(shape) <= axis < len(shape):
        raise graph.refuse(f"axis {axis} is not one of {len(shape)}", "export the model again")
    axis %= len(shape)
    lengths = _integers(graph, node, "split", 1)
    if lengths is None:
        part = -(-shape[axis] // len(node.output))
        lengths = [part] * (len(node.output) - 1)
        lengths.append(shape[axis] - sum(lengths))
    if len(lengths) != len(node.output) or sum(lengths) != shape[axis] or min(lengths) < 1:
        raise graph.refuse(f"lengths {lengths} do not make up {shape[axis]}", "export the model again")
    start = 0
    for length, output in zip(lengths, node.output, strict=True):
        if output and graph.reads.get(output):
            _emit_slice(graph, node.input[0], [axis], [(start, start + length)], [1], output)
        start += length


def _emit_slice(
    graph: Graph, data: str, axes: list[int], spans: Sequence[tuple[int, ...]], steps: list[int], output: str
) -> None:
    columns = ([span[0] for span in spans], [span[1] for span in spans], axes, steps)
    names = [graph.add_constant(np.array(column, np.int64), f"{output}.slice") for column in columns]
    graph.emit("Slice", [data, *names], output)


def _integers(graph: Graph, node: onnx.NodeProto, name: str, index: int) -> list[int] | None:
    given = attribute(node, name)
    if given is not None:
        return list(given)
    if len(node.input) <= index or not node.input[index]:
        return None
    value = graph.constant(node.input[index])
    if value is None:
        raise graph.refuse(f"its {name} are not constant", "export with static shapes")
    return [int(number) for number in value.ravel()]
