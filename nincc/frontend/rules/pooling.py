"""Pools.  Canonical pools have no ceil mode: what hangs over the edge is written as padding.

That is exact for maxima.  A mean whose explicit padding counts but whose overhang does not gets its
padding from a Pad of its own, so that the pool's own pads never count.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from nincc.frontend.fold import attribute
from nincc.frontend.graph import Graph
from nincc.frontend.rules import rule
from nincc.frontend.rules.convolution import Window, is_spatial_pad, map_size, read_window, spatial_pads


@rule("MaxPool")
def read_max_pool(graph: Graph, node: onnx.NodeProto) -> None:
    if len(node.output) > 1 and graph.reads.get(node.output[1]):
        raise graph.refuse("its second output (indices) is read", "nincc computes the maxima only")
    data = graph.resolve(node.input[0])
    window = _explicit(_read_pool(graph, node, data), map_size(graph, data), bool(attribute(node, "ceil_mode", 0)))
    pad = graph.producer(data, "Pad")
    if pad is not None and is_spatial_pad(graph, pad, -np.inf) and _fits(_widen(graph, pad, window)):
        data, window = pad.input[0], _widen(graph, pad, window)
    _check_padding(graph, window)
    graph.emit("MaxPool", [data], node.output[0], **_attributes(window))


@rule("AveragePool")
def read_average_pool(graph: Graph, node: onnx.NodeProto) -> None:
    data = graph.resolve(node.input[0])
    explicit = _read_pool(graph, node, data)
    if explicit.dilations != (1, 1):
        raise graph.refuse("is a dilated mean", "nincc reads dilations of 1")
    counted = bool(attribute(node, "count_include_pad", 0)) and any(explicit.pads)
    window = _explicit(explicit, map_size(graph, data), bool(attribute(node, "ceil_mode", 0)))
    pad = graph.producer(data, "Pad")
    absorbs = pad is not None and not any(window.pads) and is_spatial_pad(graph, pad, 0.0)
    if pad is not None and absorbs and _fits(_widen(graph, pad, window)):
        data, window, counted = pad.input[0], _widen(graph, pad, window), True
    elif counted and window.pads != explicit.pads:
        data, window = _pad_apart(graph, data, explicit, window)
        counted = False
    _check_padding(graph, window)
    graph.emit("AveragePool", [data], node.output[0], count_include_pad=int(counted), **_attributes(window))


@rule("GlobalAveragePool", "GlobalMaxPool")
def read_global_pool(graph: Graph, node: onnx.NodeProto) -> None:
    map_size(graph, node.input[0])
    graph.emit(node.op_type, node.input[:1], node.output[0])


def _read_pool(graph: Graph, node: onnx.NodeProto, data: str) -> Window:
    if attribute(node, "storage_order", 0):
        raise graph.refuse("is in column-major order", "export with storage_order=0")
    size = map_size(graph, data)
    return read_window(graph, node, tuple(attribute(node, "kernel_shape", ())), size)


def _explicit(window: Window, size: tuple[int, int], ceil: bool) -> Window:
    """The window with bottom and right pads such that a pool in floor mode gives the size asked for.

    In ceil mode a last window that would start in the bottom or right padding is left out.  Padding that no
    window reaches goes where it is as large as the window (PyTorch's exporter writes such for opset 9).
    """
    ends = []
    for axis in (0, 1):
        length, stride, extent = size[axis], window.strides[axis], window.extent[axis]
        before, after = window.pads[axis], window.pads[axis + 2]
        floor = (length + before + after - extent) // stride + 1
        count = -(-(length + before + after - extent) // stride) + 1 if ceil else floor
        if ceil and (count - 1) * stride >= length + before:
            count -= 1
        reached = max((count - 1) * stride + extent - length - before, 0)
        ends.append(after if count == floor and after < extent else reached)
    return replace(window, pads=(*window.pads[:2], ends[0], ends[1]))


def _widen(graph: Graph, pad: onnx.NodeProto, window: Window) -> Window:
    (top, left, bottom, right), more = window.pads, spatial_pads(graph, pad)
    return replace(window, pads=(top + more[0], left + more[1], bottom + more[2], right + more[3]))


def _pad_apart(graph: Graph, data: str, explicit: Window, window: Window) -> tuple[str, Window]:
    """The explicit padding as a node of its own, zeros; the pool keeps the overhang alone."""
    top, left, bottom, right = (min(a, b) for a, b in zip(explicit.pads, window.pads, strict=True))
    amounts = graph.add_constant(np.array([0, 0, top, left, 0, 0, bottom, right], np.int64), f"{data}.pads")
    zero = graph.add_constant(np.array(0, np.float32), f"{data}.zero")
    overhang = (0, 0, window.pads[2] - bottom, window.pads[3] - right)
    return graph.emit("Pad", [data, amounts, zero]), replace(window, pads=overhang)


def _fits(window: Window) -> bool:
    """Whether every window touches the map."""
    extents = (*window.extent, *window.extent)
    return all(pad < extent for pad, extent in zip(window.pads, extents, strict=True))


def _check_padding(graph: Graph, window: Window) -> None:
    if not _fits(window):
        raise graph.refuse(f"pads {list(window.pads)} let a window miss the map", "pad less than the kernel")


def _attributes(window: Window) -> dict[str, Any]:
    found = {"kernel_shape": window.kernel, "strides": window.strides, "pads": window.pads}
    return found if window.dilations == (1, 1) else {**found, "dilations": window.dilations}
