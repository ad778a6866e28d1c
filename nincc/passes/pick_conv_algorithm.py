"""PickConvAlgorithm: each k×k convolution becomes the kernel that suits it, with its knobs.

before
    %0 = nn.conv2d(%x, W, padding=[p, p, p, p])      %x: (N, C, H, W)
    nn.relu(add(%0, bias))
after, one of
    nincc.unpack(nincc.conv2d(nincc.pack(%x), panels, bias, activation="relu", layout="NHWC", …))
    nincc.unpack(nincc.conv2d_winograd(nincc.pack(%x), transformed, bias, m=4, r=3, …))
and where %x is computed from the net's input alone, the kernel gathers it as it lies
    nincc.unpack(nincc.conv2d(%x, panels, bias, layout="NCHW", …))

The choice is a tuned record's or the cost rule's, under the options' error budget; it stands with its reason and the
predicted error in the operator's attributes.  Grouped convolutions stay Relay's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nincc._tvm import tvm
from nincc.kernels.ops import call
from nincc.kernels.pack_weights import pack_bias
from nincc.kernels.rule import ConvChoice
from nincc.kernels.spec import Conv, Pooling
from nincc.options import CompileOptions
from nincc.passes.base import Declined, Match, PatternPass
from nincc.passes.choices import choose_conv, packed_weight, reason_of
from nincc.passes.elementwise import is_elementwise
from nincc.passes.graph import Graph, Node, constant, is_call, name_of, operands, shape, value
from nincc.passes.layer import Layer, geometry, macs_of, match_layer
from nincc.passes.packed import pack, unpack
from nincc.passes.pooling import pooling_of

relay = tvm.relay

LIGHT = ("transpose", "reshape", "nn.pad", "strided_slice", "nn.bias_add")
"""Operators, besides element-wise ones, that may stand between the net's input and its first convolution."""


@dataclass(frozen=True)
class _Convolution(Match):
    layer: Layer
    conv: Conv
    choice: ConvChoice


class PickConvAlgorithm(PatternPass):
    """``nn.conv2d`` → ``nincc.conv2d`` or ``nincc.conv2d_winograd``."""

    name = "PickConvAlgorithm"

    def match(self, node: Node, graph: Graph, options: CompileOptions) -> Match | Declined | None:
        """A convolution layer; the algorithm is chosen here."""
        layer = match_layer(node, graph)
        if layer is None or not layer.is_convolution:
            return _unknown_convolution(node)
        groups = geometry(layer).groups
        if groups != 1:
            return Declined(layer.root, layer.inner, f"{layer.name}: {groups} groups: stays Relay's convolution")
        conv = describe(layer, graph, options)
        choice = choose_conv(conv, options)
        text = f"{layer.name}: {conv.kernel[0]}×{conv.kernel[1]} convolution, {choice.reason}"
        return _Convolution(layer.root, layer.inner, text, layer, conv, choice)

    def emit(self, match: _Convolution, new: Callable[[Node], Node], options: CompileOptions) -> Node:
        """The chosen operator between pack and unpack."""
        layer, conv, choice = match.layer, match.conv, match.choice
        data = new(layer.data) if conv.layout == "NCHW" else pack(new(layer.data), layer.name, options)
        attrs = {
            "layout": conv.layout, "channels": conv.channels, "units": conv.units, "kernel": conv.kernel,
            "strides": conv.strides, "padding": conv.padding, "dilation": conv.dilation,
            "activation": conv.activation, "pool": "", "lanes": conv.lanes, "layer": layer.name,
            "macs": macs_of(layer), "reason": reason_of(choice), "error": choice.error, **choice.knobs,
        }  # fmt: skip
        weight = constant(packed_weight(layer.weight, choice, options))
        bias = constant(pack_bias(layer.bias, options.target.panel))
        result = call(choice.operator, [data, weight, bias], **attrs)
        return unpack(result, layer.units, layer.name)


def _unknown_convolution(node: Node) -> Declined | None:
    if not is_call(node, "nn.conv2d"):
        return None
    if value(node.args[1]) is None:
        return Declined(node, (), f"{name_of(node)}: its weight is not constant")
    return Declined(node, (), f"{name_of(node)}: its layout is {node.attrs.data_layout}, {node.attrs.kernel_layout}")


def describe(layer: Layer, graph: Graph, options: CompileOptions) -> Conv:
    """A convolution layer as the kernels see it, with the pool that FusePool will fuse into it."""
    known, source, pool = geometry(layer), layer.data, None
    layout = "NCHW" if comes_from_input(source) else "NHWC"
    found = pooling_of(source) if graph.read_once(source) else None
    if isinstance(found, Pooling):
        source, pool = source.args[0], found
    batch, channels, height, width = shape(source)
    return Conv(
        layout, batch, channels, (height, width), layer.units, known.kernel, known.strides, known.padding,
        known.dilation, pool, layer.activation, options.target.lanes, mr=1, tasks=options.threads,
    )  # fmt: skip


def comes_from_input(node: Node) -> bool:
    """Whether ``node`` is a net's input, or made of one by nothing but cheap work on NCHW."""
    pending, seen = [node], {node}
    while pending:
        current = pending.pop()
        if isinstance(current, (relay.Var, relay.Constant)):
            continue
        if not is_elementwise(current) and not is_call(current, *LIGHT):
            return False
        fresh = [operand for operand in operands(current) if operand not in seen]
        seen.update(fresh)
        pending += fresh
    return True
