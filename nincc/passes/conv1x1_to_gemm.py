"""Conv1x1ToGemm: a 1×1 convolution is a matrix product over pixels; so is a fully connected layer.

a 1×1 convolution, with its bias and ReLU
    %0 = nn.conv2d(%x, W, kernel_size=[1, 1])        %x: (N, C, H, W)
    nn.relu(add(%0, bias))
becomes
    %0 = nincc.pack(%x)                              (N, H, W, Cp)
    %1 = nincc.gemm(%0, panels, bias, activation="relu")
    nincc.unpack(%1, channels=K)

with strides
    nn.conv2d(%x, W, kernel_size=[1, 1], strides=[s, s])
the pixels it reads are sliced first
    nincc.gemm(strided_slice(nincc.pack(%x), strides=[1, s, s, 1]), …)

and a fully connected layer, or a convolution whose kernel covers its whole input
    nn.dense(nn.batch_flatten(%x), W)                nn.conv2d(%x, W, kernel_size=[H, W])
is the GEMM of one pixel an image, its C·H·W channels in the order in which they lie
    %0 = reshape(nincc.pack(%x), newshape=[N, 1, 1, H·W·C])
    nincc.unpack(nincc.gemm(%0, …), channels=K)

Grouped, padded and dilated ones stay convolutions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nincc._tvm import tvm
from nincc.options import CompileOptions
from nincc.passes.base import Declined, Match, PatternPass
from nincc.passes.graph import Array, Graph, Node, is_call, is_tensor, name_of, named, shape, value
from nincc.passes.layer import Geometry, Layer, geometry, match_layer
from nincc.passes.packed import gemm, lies_packed, pack, pixels, unpack
from nincc.passes.simplify_reshape import is_reshape, reshape_source

relay = tvm.relay


@dataclass(frozen=True)
class _Pointwise(Match):
    layer: Layer
    strides: tuple[int, int]


@dataclass(frozen=True)
class _Connected(Match):
    """``source`` is what the product reads: an NCHW map, or rows ``[M, K]``."""

    layer: Layer
    source: Node


@dataclass(frozen=True)
class _ChannelsLast(Match):
    """``source`` is an NCHW map, of which the product reads every pixel's channels."""

    layer: Layer
    source: Node


class Conv1x1ToGemm(PatternPass):
    """1×1 convolutions and fully connected layers → ``nincc.gemm``."""

    name = "Conv1x1ToGemm"

    def match(self, node: Node, graph: Graph, options: CompileOptions) -> Match | Declined | None:
        """A layer whose core is a 1×1 or covering convolution, or a product with a constant."""
        layer = match_layer(node, graph)
        if layer is None:
            return _variable_product(node)
        return _match_convolution(layer) if layer.is_convolution else _match_product(layer, graph)

    def emit(self, match: Match, new: Callable[[Node], Node], options: CompileOptions) -> Node:
        """The GEMM between pack and unpack."""
        if isinstance(match, _Pointwise):
            return _emit_pointwise(match, new, options)
        if isinstance(match, _ChannelsLast):
            return _emit_channels_last(match, new, options)
        assert isinstance(match, _Connected)
        return _emit_connected(match, new, options)


def _variable_product(node: Node) -> Declined | None:
    if is_call(node, "nn.dense", "nn.matmul", "nn.conv2d") and value(node.args[1]) is None:
        return Declined(node, (), f"{name_of(node)}: its weight is not constant")
    if is_call(node, "nn.matmul") and node.attrs.transpose_a:
        return Declined(node, (), f"{name_of(node)}: the left side of the product is transposed")
    return None


def _match_convolution(layer: Layer) -> Match | Declined | None:
    shape_of_it = geometry(layer)
    batch, channels, height, width = shape(layer.data)
    kernel = f"{shape_of_it.kernel[0]}×{shape_of_it.kernel[1]}"
    pointwise = shape_of_it.kernel == (1, 1)
    if not pointwise and shape_of_it.kernel != (height, width):
        return None
    reason = _keeps_it(shape_of_it, pointwise)
    if reason:
        return Declined(layer.root, layer.inner, f"{layer.name}: {kernel} convolution, {reason}: stays a convolution")
    if pointwise:
        rows = int(np.prod(shape(layer.core)[2:])) * batch
        sliced = f", every {shape_of_it.strides} pixel" if shape_of_it.strides != (1, 1) else ""
        text = f"{layer.name}: 1×1 convolution becomes GEMM [{rows}, {channels}]·[{channels}, {layer.units}]{sliced}"
        return _Pointwise(layer.root, layer.inner, text, layer, shape_of_it.strides)
    text = f"{layer.name}: {kernel} convolution covers its input and becomes {_product(batch, layer)}"
    return _Connected(layer.root, layer.inner, text, layer, layer.data)


def _keeps_it(shape_of_it: Geometry, pointwise: bool) -> str:
    """Why the convolution is no GEMM; empty if it is one."""
    if shape_of_it.groups != 1:
        return f"{shape_of_it.groups} groups"
    if shape_of_it.padded:
        return "padded"
    if not pointwise and shape_of_it.dilation != (1, 1):
        return "dilated"
    return ""


def _product(rows: int, layer: Layer) -> str:
    depth = int(np.prod(layer.weight.shape[1:]))
    return f"GEMM [{rows}, {depth}]·[{depth}, {layer.units}]"


def _match_product(layer: Layer, graph: Graph) -> Match | Declined | None:
    rows, depth = int(np.prod(shape(layer.data)[:-1])), layer.weight.shape[1]
    text = f"{layer.name}: fully connected layer becomes {_product(rows, layer)}"
    last = _channels_last_source(layer.data)
    if last is not None:
        return _ChannelsLast(layer.root, layer.inner, text, layer, last)
    source = reshape_source(layer.data)
    flattened = is_tensor(source, 4) and shape(source)[0] == rows and int(np.prod(shape(source)[1:])) == depth
    return _Connected(layer.root, layer.inner, text, layer, source if flattened else layer.data)


def _channels_last_source(data: Node) -> Node | None:
    """%x if ``data`` is ``reshape(transpose(%x, [0, 2, 3, 1]), [N·H·W, C])``: a 1×1 convolution in disguise."""
    below = data
    while is_reshape(below) and not _to_channels_last(below):
        below = below.args[0]
    if not _to_channels_last(below) or shape(data)[-1] != shape(below)[-1]:
        return None
    return below.args[0]


def _to_channels_last(node: Node) -> bool:
    if not is_call(node, "transpose") or not is_tensor(node, 4) or not node.attrs.axes:
        return False
    return [int(a) % 4 for a in node.attrs.axes] == [0, 2, 3, 1]


def _emit_pointwise(match: _Pointwise, new: Callable[[Node], Node], options: CompileOptions) -> Node:
    layer = match.layer
    data = pack(new(layer.data), layer.name, options)
    if match.strides != (1, 1):
        data = _sliced(data, layer.data, match.strides)
    product = gemm(data, layer.weight[:, :, 0, 0], layer, pixels(layer.core), options)
    return unpack(product, layer.units, layer.name)


def _sliced(data: Node, source: Node, strides: tuple[int, int]) -> Node:
    """Every ``strides`` pixel of a packed map; slicing to the end keeps the padded channels."""
    batch, _, height, width = shape(source)
    whole = int(np.iinfo(np.int32).max)
    return relay.strided_slice(data, [0, 0, 0, 0], [batch, height, width, whole], [1, *strides, 1])


def _emit_connected(match: _Connected, new: Callable[[Node], Node], options: CompileOptions) -> Node:
    layer, source = match.layer, match.source
    rows, depth = int(np.prod(shape(layer.core)[:-1])), int(np.prod(layer.weight.shape[1:]))
    if layer.is_convolution:
        rows = shape(source)[0]
    weight: Array = layer.weight.reshape(layer.units, depth)
    if is_tensor(source, 4) and lies_packed(source, options):
        data = relay.reshape(pack(new(source), layer.name, options), (rows, 1, 1, depth))
        weight = _channels_innermost(weight, shape(source))
    else:
        data = pack(relay.reshape(new(source), (rows, depth, 1, 1)), layer.name, options)
    product = unpack(gemm(data, weight, layer, rows, options), layer.units, layer.name)
    wanted = shape(match.root)
    return product if wanted == (rows, layer.units, 1, 1) else named(relay.reshape(product, wanted), layer.core)


def _channels_innermost(weight: Array, source: tuple[int, ...]) -> Array:
    """[units, C·H·W] → [units, H·W·C]."""
    _, channels, height, width = source
    split = weight.reshape(-1, channels, height, width)
    return np.ascontiguousarray(split.transpose(0, 2, 3, 1)).reshape(len(weight), -1)


def _emit_channels_last(match: _ChannelsLast, new: Callable[[Node], Node], options: CompileOptions) -> Node:
    layer = match.layer
    data = pack(new(match.source), layer.name, options)
    product = gemm(data, layer.weight, layer, pixels(match.source), options)
    last = relay.transpose(unpack(product, layer.units, layer.name), [0, 2, 3, 1])
    return named(relay.reshape(last, shape(match.root)), layer.core)
