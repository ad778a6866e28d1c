"""The pattern that several passes share: a convolution or dense layer with its bias and activation.

%0 = nn.conv2d(%x, weight)          or nn.dense, nn.matmul with a constant right side
%1 = add(%0, bias)                  any number of them, or nn.bias_add, or none
%2 = nn.relu(%1)                    or clip(0, 6), or none
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nincc._tvm import tvm
from nincc.passes.graph import Array, Graph, Node, ints, is_call, is_tensor, name_of, padding4, shape, value

relay = tvm.relay


@dataclass(frozen=True)
class Layer:
    """One matched layer.

    ``core`` is the convolution or product itself, ``root`` the last node of the layer and ``inner`` the
    nodes below it down to the core.  ``weight`` is OIHW for a convolution and [units, K] else;
    ``bias`` has one number a unit, zeros where the graph has none.
    """

    root: Node
    inner: tuple[Node, ...]
    core: Node
    weight: Array
    bias: Array
    activation: str

    @property
    def name(self) -> str:
        """The core's name in the ONNX graph."""
        return name_of(self.core)

    @property
    def data(self) -> Node:
        """What the layer reads."""
        return self.core.args[0]

    @property
    def units(self) -> int:
        """Output channels."""
        return self.weight.shape[0]

    @property
    def is_convolution(self) -> bool:
        """A convolution, not a product."""
        return is_call(self.core, "nn.conv2d")

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node of the layer, the root first."""
        return (self.root, *self.inner)


@dataclass(frozen=True)
class Geometry:
    """The attributes of a two-dimensional convolution; ``padding`` is top, left, bottom, right."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int

    @property
    def padded(self) -> bool:
        """Whether any side is padded."""
        return any(self.padding)


def geometry(layer: Layer) -> Geometry:
    """A convolution layer's attributes."""
    attrs = layer.core.attrs
    height, width = layer.weight.shape[2:]
    strides, dilation = ints(attrs.strides), ints(attrs.dilation)
    return Geometry(
        (height, width),
        (strides[0], strides[-1]),
        padding4(attrs.padding),
        (dilation[0], dilation[-1]),
        int(attrs.groups),
    )


def match_layer(root: Node, graph: Graph) -> Layer | None:
    """The layer that ends at ``root``, None where none does.  Inner nodes have no other reader."""
    activation = activation_of(root)
    if activation == "none":
        return _match_affine(root, graph)
    below = _match_affine(root.args[0], graph) if graph.read_once(root.args[0]) else None
    return None if below is None else replace(below, root=root, inner=below.nodes, activation=activation)


def activation_of(node: Node) -> str:
    """``relu`` or ``relu6`` if ``node`` is one of those, else ``none``."""
    if is_call(node, "nn.relu"):
        return "relu"
    if is_call(node, "clip") and float(node.attrs.a_min) == 0.0:
        if float(node.attrs.a_max) == 6.0:
            return "relu6"
        if float(node.attrs.a_max) >= float(np.finfo(np.float32).max):
            return "relu"
    return "none"


def _match_affine(root: Node, graph: Graph) -> Layer | None:
    """A core under any number of bias additions."""
    if is_call(root, "nn.conv2d", "nn.dense", "nn.matmul"):
        return _match_core(root)
    added = split_channel_constant(root, "add", "nn.bias_add")
    if added is None or not graph.read_once(added[0]):
        return None
    below = _match_affine(added[0], graph)
    if below is None:
        return None
    bias = below.bias + added[1]
    return replace(below, root=root, inner=below.nodes, bias=bias)


def _match_core(core: Node) -> Layer | None:
    weight = value(core.args[1])
    if weight is None or weight.dtype != np.float32:
        return None
    if is_call(core, "nn.conv2d"):
        if core.attrs.data_layout != "NCHW" or core.attrs.kernel_layout != "OIHW":
            return None
    elif is_call(core, "nn.matmul"):
        if core.attrs.transpose_a:
            return None
        weight = weight if core.attrs.transpose_b else weight.T
    return Layer(core, (), core, weight, np.zeros(weight.shape[0], np.float64), "none")


def split_channel_constant(node: Node, *names: str) -> tuple[Node, Array] | None:
    """``node`` as (data, constant per channel in float64) if it is one of these binary operators.

    Channels are axis 1 of a 4-D tensor and the last axis of a 2-D one.  The constant may stand on
    either side; a single number counts as one for every channel.
    """
    if not is_call(node, *names) or not is_tensor(node):
        return None
    for data, other in ((node.args[0], node.args[1]), (node.args[1], node.args[0])):
        array = value(other)
        if array is None or not is_tensor(data) or shape(data) != shape(node):
            continue
        axis = _channel_axis(node)
        if is_call(node, "nn.bias_add") and axis == 1 and is_tensor(node, 4):
            array = array.reshape(-1, 1, 1)
        per_channel = None if axis is None else _per_channel(array, axis, shape(node))
        if per_channel is not None:
            return data, per_channel
    return None


def _channel_axis(node: Node) -> int | None:
    rank = len(shape(node))
    axis = {4: 1, 2: 1}.get(rank)
    if axis is not None and is_call(node, "nn.bias_add") and int(node.attrs.axis) % rank != axis:
        return None
    return axis


def _per_channel(array: Array, axis: int, full: tuple[int, ...]) -> Array | None:
    """``array`` as one float64 a channel if it varies along ``axis`` only, after broadcasting."""
    if array.ndim > len(full):
        return None
    extents = (1,) * (len(full) - array.ndim) + array.shape
    if any(extent != 1 for i, extent in enumerate(extents) if i != axis):
        return None
    return np.broadcast_to(array.reshape(-1), (full[axis],)).astype(np.float64)


def macs_of(layer: Layer) -> int:
    """Multiply-accumulates of the layer as the graph defines it."""
    outputs = int(np.prod(shape(layer.core)))
    return outputs * int(np.prod(layer.weight.shape[1:]))
