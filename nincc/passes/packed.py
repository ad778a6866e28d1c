"""How passes write the ``nincc`` operators: activations packed ``[N, H, W, Cp]``, weights in panels.

Cp is C rounded up to the target's lanes.  A pass surrounds what it emits by ``nincc.pack`` and
``nincc.unpack``, so that its output is right by itself; the Layout pass cancels them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nincc._tvm import tvm
from nincc.kernels.ops import call
from nincc.kernels.pack_weights import pack_bias, pack_gemm
from nincc.kernels.spec import Pooling, round_up
from nincc.options import CompileOptions
from nincc.passes.choices import gemm_knobs, tasks_for
from nincc.passes.graph import Array, Node, constant, name_of, shape
from nincc.passes.layer import Layer, macs_of

relay = tvm.relay


def pack(data: Node, layer: str, options: CompileOptions, tasks: int = 1) -> Node:
    """NCHW → packed, for ``layer``, which reads it."""
    reason = f"{layer} reads it packed"
    lanes = options.target.lanes
    return call("nincc.pack", [data], lanes=lanes, tasks=tasks, layer=layer, macs=0, reason=reason)


def unpack(data: Node, channels: int, layer: str, tasks: int = 1) -> Node:
    """Packed → NCHW: the output of ``layer``."""
    reason = f"{layer} writes it packed"
    return call("nincc.unpack", [data], channels=channels, tasks=tasks, layer=layer, macs=0, reason=reason)


def layer_of(node: Node) -> str:
    """The layer's name: a ``nincc`` operator's attribute, or the span of a standard one."""
    ours = isinstance(node, relay.Call) and isinstance(node.op, tvm.ir.Op) and node.op.name.startswith("nincc.")
    return str(attributes(node)["layer"]) if ours else name_of(node)


def attributes(node: Node) -> dict[str, Any]:
    """A ``nincc`` call's attributes."""
    return dict(node.attrs.items())


def global_avg_pool(data: Node, elements: int, layer: str, reason: str, options: CompileOptions) -> Node:
    """The mean over the pixels of a packed map of ``elements`` numbers."""
    lanes, tasks = options.target.lanes, tasks_for(elements, options)
    return call("nincc.global_avg_pool", [data], lanes=lanes, tasks=tasks, layer=layer, macs=0, reason=reason)


def pool2d(data: Node, pool: Pooling, elements: int, layer: str, options: CompileOptions) -> Node:
    """A pool to a packed map of ``elements`` numbers, by itself."""
    tasks = tasks_for(elements * pool.kernel[0] * pool.kernel[1] / options.target.lanes, options)
    return call(
        "nincc.pool2d", [data], kind=pool.kind, kernel=pool.kernel, strides=pool.strides, padding=pool.padding,
        out_size=pool.out_size, count_include_pad=int(pool.count_include_pad), lanes=options.target.lanes,
        tasks=tasks, layer=layer, macs=0, reason="no convolution to fuse it into",
    )  # fmt: skip


def gemm(data: Node, weight: Array, layer: Layer, rows: int, options: CompileOptions) -> Node:
    """``nincc.gemm`` of packed ``data`` with ``rows`` pixels: weight [units, K], bias and activation of ``layer``."""
    target = options.target
    units, depth = weight.shape
    packed = [constant(pack_gemm(weight, target.panel)), constant(pack_bias(layer.bias, target.panel))]
    return call(
        "nincc.gemm", [data, *packed], units=units, channels=depth, activation=layer.activation,
        lanes=target.lanes, layer=layer.name, macs=macs_of(layer), **gemm_knobs(rows, depth, units, options),
    )  # fmt: skip


def packed_channels(channels: int, options: CompileOptions) -> int:
    """Channels as they are stored: rounded up to the target's lanes."""
    return round_up(channels, options.target.lanes)


def lies_packed(node: Node, options: CompileOptions) -> bool:
    """Whether an NCHW tensor has a channel count that packing does not pad."""
    return shape(node)[1] % options.target.lanes == 0


def elements(node: Node) -> int:
    """Numbers that a typed tensor holds."""
    return int(np.prod(shape(node)))


def pixels(node: Node) -> int:
    """Pixels of a typed NCHW tensor, those of the whole batch."""
    batch, _, height, width = shape(node)
    return int(np.prod((batch, height, width)))
