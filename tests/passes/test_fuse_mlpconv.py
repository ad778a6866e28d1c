"""FuseMlpconv: chains become launches; what has another reader stays a layer of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from nincc._tvm import tvm
from nincc.kernels.ops import call
from nincc.kernels.pack_weights import pack_bias, pack_conv2d, pack_gemm
from nincc.passes.fuse_mlpconv import FuseMlpconv
from passes.gpu_running import OPTIONS, apply
from passes.running import call_of, const, module, operators, weights

relay = tvm.relay
PANEL = OPTIONS.target.panel
COMMON = {"lanes": 4, "mr": 1, "tasks": 1, "reason": "", "error": 1e-7}


def scaled(*shape: int) -> Any:
    return weights(*shape) / np.float32(np.sqrt(np.prod(shape[1:])))


def gemm(data: Any, units: int, depth: int, name: str, operator: str = "nincc.gemm", activation: str = "relu") -> Any:
    parameters = [const(pack_gemm(scaled(units, depth), PANEL)), const(pack_bias(weights(units, seed=2), PANEL))]
    attrs = {"units": units, "channels": depth, "activation": activation, "layer": name, "macs": units * depth}
    return call(operator, [data, *parameters], **attrs, **COMMON)


def conv(data: Any, units: int, channels: int, name: str, layout: str = "NHWC", pool: str = "") -> Any:
    weight, bias = pack_conv2d(scaled(units, channels, 3, 3), PANEL), pack_bias(weights(units, seed=3), PANEL)
    return call(
        "nincc.conv2d", [data, const(weight), const(bias)], layout=layout, channels=channels, units=units,
        kernel=(3, 3), strides=(1, 1), padding=(1, 1, 1, 1), dilation=(1, 1),
        activation="relu", pool=pool, layer=name, macs=9, **COMMON,
    )  # fmt: skip


def unpack(data: Any, channels: int) -> Any:
    return call("nincc.unpack", [data], channels=channels, layer="out", macs=0, reason="", tasks=1)


def test_a_block_becomes_launches() -> None:
    x = relay.var("x", shape=(2, 3, 9, 8))
    net = gemm(gemm(conv(x, 16, 3, "conv1", "NCHW"), 12, 16, "cccp1"), 10, 12, "cccp2")
    after, (record,), run = apply(module(x, body=unpack(net, 10)), FuseMlpconv())
    assert set(operators(after)) == {"nincc.cuda_mlpconv", "nincc.unpack"}
    assert len(run.counts) == len(operators(after))
    assert "conv1" in record.changed[0] and "cccp2" in record.changed[0] and not record.declined


def test_macs_and_names_are_those_of_the_layers() -> None:
    x = relay.var("x", shape=(1, 5, 5, 8))
    after, _, _ = apply(module(x, body=unpack(gemm(gemm(x, 8, 8, "a"), 8, 8, "b"), 8)), FuseMlpconv())
    attrs = call_of(after, "nincc.cuda_mlpconv")
    assert (attrs["layer"], attrs["macs"]) == ("a+b", 128)
    assert "blocks on 108 SMs" in attrs["reason"] and attrs["error"] == 1e-7


def test_planes_of_many_channels_are_packed_first() -> None:
    x = relay.var("x", shape=(1, 9, 6, 6))
    after, _, _ = apply(module(x, body=unpack(conv(x, 8, 9, "conv1", "NCHW"), 8)), FuseMlpconv())
    assert operators(after) == ["nincc.pack", "nincc.cuda_mlpconv", "nincc.unpack"]


def test_a_pool_before_a_gemm_is_computed_on_the_way() -> None:
    x = relay.var("x", shape=(1, 7, 7, 8))
    pool = call(
        "nincc.pool2d", [x], kind="max", kernel=(3, 3), strides=(2, 2), padding=(0, 0, 0, 0), out_size=(3, 3),
        count_include_pad=0, lanes=4, layer="pool1", macs=0, reason="", tasks=1,
    )  # fmt: skip
    after, _, _ = apply(module(x, body=unpack(gemm(pool, 10, 8, "fc"), 10)), FuseMlpconv())
    assert operators(after) == ["nincc.cuda_mlpconv", "nincc.unpack"]
    assert call_of(after, "nincc.cuda_mlpconv")["pool"].startswith("max 3 3 2 2")


def test_maps_with_a_second_reader_are_stored() -> None:
    x = relay.var("x", shape=(1, 6, 6, 8))
    maps = conv(x, 12, 8, "conv1")
    both = relay.Tuple([unpack(maps, 12), unpack(gemm(maps, 8, 12, "cccp1"), 8)])
    after, (record,), _ = apply(module(x, body=both), FuseMlpconv())
    assert operators(after).count("nincc.cuda_mlpconv") == 2
    assert any("not joined to conv1, whose maps have another reader" in line for line in record.changed)


def test_the_mean_of_tiles() -> None:
    x = relay.var("x", shape=(2, 8, 8, 16))
    net = gemm(gemm(x, 16, 16, "a"), 10, 16, "b", "nincc.gemm_pool")
    after, _, run = apply(module(x, body=unpack(net, 10)), FuseMlpconv())
    kinds = operators(after)
    assert kinds[-1] == "nincc.unpack" and "nincc.gemm_pool" not in kinds
    assert len(run.counts) == len(kinds)


def test_single_pixels_are_rows() -> None:
    x = relay.var("x", shape=(5, 1, 1, 52))
    net = gemm(gemm(x, 33, 50, "fc1"), 7, 33, "fc2", activation="none")
    apply(module(x, body=unpack(net, 7)), FuseMlpconv())
