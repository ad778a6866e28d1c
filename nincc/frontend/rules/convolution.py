"""Conv and BatchNormalization, and the padding arithmetic that pooling shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from nincc.frontend.fold import attribute
from nincc.frontend.graph import Array, Graph
from nincc.frontend.rules import rule


@dataclass(frozen=True)
class Window:
    """A sliding window over H and W.  ``pads`` is top, left, bottom, right."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of the pixels that one window spans."""
        (kh, kw), (dh, dw) = self.kernel, self.dilations
        return (kh - 1) * dh + 1, (kw - 1) * dw + 1


def read_window(graph: Graph, node: onnx.NodeProto, kernel: Sequence[int], size: Sequence[int]) -> Window:
    """The node's window on a map of ``size`` (H, W), with ``auto_pad`` made explicit."""
    kernel = _pair(graph, node, "kernel_shape", kernel)
    if tuple(attribute(node, "kernel_shape", kernel)) != kernel:
        raise graph.refuse(f"its kernel_shape is not its weight's {list(kernel)}", "export the model again")
    strides = _pair(graph, node, "strides", (1, 1))
    dilations = _pair(graph, node, "dilations", (1, 1))
    pads = tuple(attribute(node, "pads", (0, 0, 0, 0)))
    if len(pads) != 4 or min(pads) < 0:
        raise graph.refuse(f"pads {list(pads)} are not four numbers of at least 0", "nincc reads 2-D windows")
    mode = attribute(node, "auto_pad", "NOTSET") or "NOTSET"
    if mode == "VALID":
        pads = (0, 0, 0, 0)
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        if dilations != (1, 1):  # ONNX Runtime and the specification disagree on these
            raise graph.refuse("pads a dilated window by auto_pad", "export with explicit pads")
        pads = _same_pads(Window(kernel, strides, (0, 0, 0, 0), dilations), size, mode)
    elif mode != "NOTSET":
        raise graph.refuse(f"auto_pad '{mode}' is unknown", "use NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    return Window(kernel, strides, pads, dilations)  # type: ignore[arg-type]


def map_size(graph: Graph, name: str) -> tuple[int, int]:
    """Height and width of an NCHW activation; refuses a tensor of another rank."""
    shape = graph.shape(name)
    if len(shape) != 4:
        raise graph.refuse(f"its input has shape {list(shape)}, not NCHW", "nincc compiles 2-D nets")
    return shape[2], shape[3]


def weight_of(graph: Graph, name: str, what: str = "weight") -> Array:
    """A float32 constant input; refuses one that is computed from the graph's inputs."""
    value = graph.constant(name)
    if value is None:
        raise graph.refuse(f"its {what} '{name}' is not a constant", "export with frozen weights")
    if value.dtype != np.float32:
        raise graph.refuse(f"its {what} '{name}' is {value.dtype}, not float32", "export the model in float32")
    return value


@rule("Conv")
def read_conv(graph: Graph, node: onnx.NodeProto) -> None:
    data = graph.resolve(node.input[0])
    weight = weight_of(graph, node.input[1])
    bias = weight_of(graph, node.input[2], "bias") if len(node.input) > 2 and node.input[2] else None
    map_size(graph, data)
    groups = attribute(node, "group", 1)
    _check_channels(graph, graph.shape(data)[1], weight, bias, groups)
    emit_conv(graph, node, data, groups, node.output[0])


def emit_conv(graph: Graph, node: onnx.NodeProto, data: str, groups: int, output: str) -> None:
    """The canonical Conv of a checked source node; zero padding that comes before it becomes its own."""
    weight = node.input[1]
    window = read_window(graph, node, graph.shape(weight)[2:], map_size(graph, data))
    pads = window.pads
    pad = graph.producer(data, "Pad")
    if pad is not None and is_spatial_pad(graph, pad, 0.0):
        data, before = pad.input[0], spatial_pads(graph, pad)
        pads = tuple(a + b for a, b in zip(pads, before, strict=True))  # type: ignore[assignment]
    inputs = [data, weight, *(name for name in node.input[2:3] if name)]
    graph.emit(
        "Conv", inputs, output, kernel_shape=window.kernel, strides=window.strides,
        pads=pads, dilations=window.dilations, group=groups,
    )


@rule("BatchNormalization")
def read_batch_norm(graph: Graph, node: onnx.NodeProto) -> None:
    if attribute(node, "training_mode", 0):
        raise graph.refuse("is in training mode", "call model.eval() before the export")
    if any(graph.reads.get(name) for name in node.output[1:]):
        raise graph.refuse("its running mean or variance is read", "call model.eval() before the export")
    if not attribute(node, "spatial", 1):
        raise graph.refuse("normalises each pixel by itself (spatial=0)", "export with spatial=1")
    shape = graph.shape(node.input[0])
    if len(shape) not in (2, 4):
        raise graph.refuse(f"its input has shape {list(shape)}", "nincc reads [N, C] and [N, C, H, W]")
    for name, what in zip(node.input[1:5], ("scale", "shift", "mean", "variance"), strict=True):
        if weight_of(graph, name, what).shape != (shape[1],):
            raise graph.refuse(f"its {what} has shape {list(graph.shape(name))} for {shape[1]} channels")
    if (weight_of(graph, node.input[4]) < 0).any():
        raise graph.refuse("its variance has a negative number", "export the model again")
    graph.emit("BatchNormalization", node.input[:5], node.output[0], epsilon=attribute(node, "epsilon", 1e-5))


def is_spatial_pad(graph: Graph, pad: onnx.NodeProto, value: float) -> bool:
    """Whether a canonical Pad pads H and W of an NCHW map only, outwards, with ``value``."""
    amounts, filler = graph.constant(pad.input[1]), graph.constant(pad.input[2])
    if amounts is None or filler is None or amounts.size != 8:
        return False
    return float(filler) == value and not amounts.reshape(2, 4)[:, :2].any()


def spatial_pads(graph: Graph, pad: onnx.NodeProto) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of a Pad for which :func:`is_spatial_pad` holds."""
    amounts = graph.constants[pad.input[1]].reshape(2, 4)[:, 2:].ravel()
    return tuple(int(amount) for amount in amounts)  # type: ignore[return-value]


def _check_channels(graph: Graph, channels: int, weight: Array, bias: Array | None, groups: int) -> None:
    if weight.ndim != 4:
        raise graph.refuse(f"its weight has shape {list(weight.shape)}", "nincc reads [M, C/group, kH, kW]")
    if groups < 1 or weight.shape[0] % groups or weight.shape[1] * groups != channels:
        raise graph.refuse(
            f"a weight of shape {list(weight.shape)} in {groups} groups does not fit {channels} channels",
            "export the model again",
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise graph.refuse(f"its bias does not have {weight.shape[0]} numbers", "export the model again")


def _pair(graph: Graph, node: onnx.NodeProto, name: str, default: Sequence[int]) -> tuple[int, int]:
    values = tuple(attribute(node, name, default)) if name != "kernel_shape" else tuple(default)
    if len(values) != 2 or min(values) < 1:
        raise graph.refuse(f"{name} {list(values)} is not two positive numbers", "nincc reads 2-D windows")
    return int(values[0]), int(values[1])


def _same_pads(window: Window, size: Sequence[int], mode: str) -> tuple[int, ...]:
    """ONNX's SAME rule: ceil(size / stride) windows, the odd pixel after (UPPER) or before (LOWER)."""
    totals = [
        max((-(-length // stride) - 1) * stride + extent - length, 0)
        for length, stride, extent in zip(size, window.strides, window.extent, strict=True)
    ]
    small = [total // 2 for total in totals]
    large = [total - total // 2 for total in totals]
    return (*small, *large) if mode == "SAME_UPPER" else (*large, *small)
