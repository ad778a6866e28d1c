"""A chain of packed layers as the GPU's cost rule sees it, and the launches that it chooses as Relay calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nincc._tvm import tvm
from nincc.gpu_target import WARP
from nincc.kernels.cuda.candidates import FEW_CHANNELS, Layer
from nincc.kernels.cuda.plan_attrs import plan_attrs
from nincc.kernels.cuda.rule import Choice, Run
from nincc.kernels.cuda.weights import pack_launch
from nincc.kernels.ops import call
from nincc.kernels.pack_weights import unpack_conv2d, unpack_gemm
from nincc.kernels.spec import Conv, conv_spec, pooling_spec, round_up
from nincc.options import CompileOptions
from nincc.passes.graph import Array, Node, constant, is_call, shape, value
from nincc.passes.packed import attributes, pack

relay = tvm.relay

Arrays = tuple[Array, Array]


def run_of(layers: Sequence[Node], pool: Node | None) -> Run:
    """The layers for the cost rule; ``pool`` is fused into the first."""
    first, last = layers[0], layers[-1]
    plain = tuple(Layer(int(a["units"]), str(a["activation"])) for a in map(attributes, layers))
    head = "mean" if is_call(last, "nincc.gemm_pool") else ""
    conv = (
        _conv_of(first)
        if pool is None
        else replace(_pointwise(first, pool.args[0]), pool=pooling_spec(attributes(pool)))
    )
    if conv.layout == "NCHW" and not _reads_planes(conv):
        conv = replace(conv, layout="NHWC")
    return Run(conv, plain, head)


def _reads_planes(conv: Conv) -> bool:
    """Whether the kernel gathers its input from NCHW itself."""
    return conv.channels <= FEW_CHANNELS and conv.pool is None and conv.kernel != (1, 1)


def _conv_of(layer: Node) -> Conv:
    if is_call(layer, "nincc.conv2d"):
        return replace(conv_spec(shape(layer.args[0]), attributes(layer)), mr=1, tasks=1)
    return _pointwise(layer, layer.args[0])


def _pointwise(layer: Node, data: Node) -> Conv:
    """A GEMM over the pixels of ``data`` as a 1×1 convolution."""
    attrs, (batch, height, width, _) = attributes(layer), shape(data)
    return Conv(
        "NHWC", batch, int(attrs["channels"]), (height, width), int(attrs["units"]), (1, 1), (1, 1), (0, 0, 0, 0),
        (1, 1),
        None, str(attrs["activation"]), int(attrs["lanes"]), mr=1, tasks=1,
    )  # fmt: skip


def emit_launches(
    run: Run, launches: Sequence[Choice], layers: Sequence[Node], data: Node, options: CompileOptions
) -> Node:
    """The chosen launches on ``data``, the first layer's source (or its pool's)."""
    first = attributes(layers[0])
    if str(first.get("layout")) == "NCHW" and run.conv.layout == "NHWC":
        data = pack(data, str(first["layer"]), options)
    done, bias = 0, None
    for choice in launches:
        end = done + len(choice.plan.stages)
        data = _launch(choice, layers[done:end], data, bias, options)
        done, bias = end, _weights(layers[end - 1])[1]
    plan = launches[-1].plan
    if plan.epilogue != "sums":
        return data
    rows, cols = run.conv.out_size
    name = str(attributes(layers[-1])["layer"])
    threads = mean_threads(plan.stages[-1].width)
    return call(
        "nincc.cuda_mean", [data], pixels=rows * cols, softmax=0, threads=threads, layer=name, macs=0,
        reason="rule: the tiles' sums over their pixels are added up, one block an image",
    )  # fmt: skip


def mean_threads(width: int) -> int:
    """Threads of a launch that takes the means of ``width`` channels, a block an image."""
    return max(2 * WARP, min(8 * WARP, round_up(width, WARP)))


def _launch(choice: Choice, layers: Sequence[Node], data: Node, bias: Array | None, options: CompileOptions) -> Node:
    attrs = [attributes(layer) for layer in layers]
    weights = pack_launch(choice.plan, [_weights(layer) for layer in layers], bias)
    return call(
        "nincc.cuda_mlpconv", [data, constant(weights)], **plan_attrs(choice.plan),
        layer="+".join(str(a["layer"]) for a in attrs), macs=sum(int(a["macs"]) for a in attrs),
        reason=_reason(choice, options), error=max(float(a["error"]) for a in attrs),
    )  # fmt: skip


def _reason(choice: Choice, options: CompileOptions) -> str:
    if choice.reason:
        return choice.reason
    target: Any = options.target
    micros = choice.clocks / target.clock_mhz
    return f"rule: {choice.plan.blocks} blocks on {target.sm_count} SMs, about {micros:.1f} µs on {target.card}"


def _weights(layer: Node) -> Arrays:
    """A layer's weight as the graph has it, OIHW or [units, K], and its bias."""
    attrs = attributes(layer)
    units, channels = int(attrs["units"]), int(attrs["channels"])
    panels, bias = value(layer.args[1]), value(layer.args[2])
    assert panels is not None and bias is not None
    if is_call(layer, "nincc.conv2d"):
        kernel = tuple(int(v) for v in attrs["kernel"])
        return unpack_conv2d(panels, units, (channels, *kernel)), bias[:units]
    return unpack_gemm(panels, units), bias[:units]
