"""The whole pipeline: the published net comes out as designed, and random nets compute the same as before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nincc._tvm import tvm
from nincc.errors import InternalError
from nincc.frontend import load_model, to_relay
from nincc.passes.base import Pass
from nincc.passes.graph import Graph
from nincc.passes.pipeline import PIPELINE, optimize, run_passes
from nincc.passes.standard import FoldConstant
from nincc.target import load_target
from passes.random_relay import random_net
from passes.running import OPTIONS, assert_same_results, attributes, const, layer, module, operators, weights

relay = tvm.relay
DATA = Path(__file__).resolve().parent.parent / "data"
TARGETS = ["x86-64-v2", "x86-64-v3", "x86-64-v4"]


def conv(data, units, channels, kernel, name, padding=0):
    call = relay.nn.conv2d(
        data, const(weights(units, channels, kernel, kernel) / np.float32(np.sqrt(channels) * kernel)),
        padding=(padding, padding), channels=units, kernel_size=(kernel, kernel),
    )  # fmt: skip
    return relay.nn.relu(relay.nn.bias_add(layer(call, name), const(weights(units, seed=1))))


def block(net, name, channels, widths, kernel):
    net = conv(net, widths[0], channels, kernel, f"conv{name}", kernel // 2)
    net = conv(net, widths[1], widths[0], 1, f"cccp{name}a")
    return conv(net, widths[2], widths[1], 1, f"cccp{name}b")


def nin_cifar10(batch=1):
    x = relay.var("data", shape=(batch, 3, 32, 32))
    window = {"pool_size": (3, 3), "strides": (2, 2), "ceil_mode": True}
    net = relay.nn.max_pool2d(block(x, 1, 3, (192, 160, 96), 5), **window)
    net = relay.nn.avg_pool2d(block(net, 2, 96, (192, 192, 192), 5), **window)
    net = relay.nn.batch_flatten(relay.nn.global_avg_pool2d(block(net, 3, 192, (192, 192, 10), 3)))
    return module(x, body=relay.nn.softmax(net))


def test_nin_cifar10_comes_out_as_designed():
    before = nin_cifar10()
    after, records = optimize(before, OPTIONS)
    kinds = [name.replace("nincc.conv2d_winograd", "nincc.conv2d") for name in operators(after)]
    assert kinds == [
        "nincc.conv2d", "nincc.gemm_chain", "nincc.conv2d", "nincc.gemm_chain", "nincc.conv2d", "nincc.gemm",
        "nincc.gemm_pool", "nincc.unpack", "reshape", "nn.softmax",
    ]  # fmt: skip
    calls = [attributes(n) for n in Graph(after["main"]).nodes if isinstance(n, relay.Call)]
    layers = [attrs for attrs in calls if attrs.get("macs")]
    assert sum(attrs["macs"] for attrs in layers) == 222_486_528
    assert [attrs["pool"].split(" ")[0] for attrs in layers if "pool" in attrs] == ["", "max", "avg"]
    assert layers[0]["layout"] == "NCHW"
    changed = {record.pass_name: record.changed for record in records}
    assert len(changed["Conv1x1ToGemm"]) == 6 and len(changed["FoldGlobalAvgPool"]) == 1
    assert len(changed["FuseGemmChain"]) == 2
    assert_same_results(before, after)


@pytest.mark.parametrize("seed", range(20))
def test_random_nets_compute_the_same(seed):
    before = random_net(seed)
    options = replace(OPTIONS, target=load_target(TARGETS[seed % 3]), optimize="size" if seed % 5 == 0 else "speed")
    after, _ = optimize(before, options)
    assert_same_results(before, after, seed)
    assert not {"nn.batch_norm", "nn.dense", "mean"} & set(operators(after))


@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        ("digits_linear", ["nincc.conv2d", "nincc.gemm_pool", "nincc.gemm"]),
        ("digits_relu", ["nincc.conv2d", "nincc.gemm", "nincc.gemm_pool"]),
        ("exports/norm_dynamo_18", ["nincc.conv2d", "nincc.gemm", "nincc.gemm_pool"]),
        ("exports/shuffle_legacy_9", ["nincc.conv2d", "nn.conv2d", "nincc.pool2d"]),
        ("exports/view_legacy_9", ["nincc.gemm", "concatenate", "nincc.global_avg_pool"]),
    ],
)
def test_exported_nets_compute_the_same(name, kernels):
    before = to_relay(load_model(DATA / f"{name}.onnx"))
    after, _ = optimize(before, OPTIONS)
    assert_same_results(before, after)
    kinds = {kind.replace("conv2d_winograd", "conv2d") for kind in operators(after)}
    assert set(kernels) <= kinds
    assert not {"nn.batch_norm", "nn.dropout", "transpose"} & kinds or "shuffle" in name


def test_every_phase_is_dumped_in_order(tmp_path):
    x = relay.var("x", shape=(1, 3, 8, 8))
    optimize(module(x, body=conv(x, 4, 3, 3, "conv1")), replace(OPTIONS, dump_ir=tmp_path / "ir"))
    names = sorted(path.name for path in (tmp_path / "ir").iterdir())
    assert names[0] == "00_Imported.txt" and len(names) == len(PIPELINE) + 1
    assert "nn.conv2d" in (tmp_path / "ir" / names[0]).read_text()
    assert "nincc.conv2d" in (tmp_path / "ir" / names[-1]).read_text()


class _Breaks(Pass):
    """A pass that breaks the contract in one of three ways."""

    name = "Breaks"

    def __init__(self, how: str) -> None:
        self.how = how

    def run(self, function, options, record):
        if self.how == "raises":
            raise ValueError("out of luck")
        if self.how == "result":
            return relay.Function(function.params, relay.nn.batch_flatten(function.body))
        if self.how == "parameters":
            other = relay.var("other", shape=(1, 3, 8, 8))
            return relay.Function([other], relay.nn.relu(other))
        return relay.Function(function.params, relay.nn.dense(function.body, const(weights(4, 5))))


@pytest.mark.parametrize("how", ["raises", "result", "parameters", "type"])
def test_a_broken_contract_names_the_pass_and_those_before(how):
    x = relay.var("x", shape=(1, 3, 8, 8))
    with pytest.raises(InternalError, match=r"pass Breaks failed: .*passes before it: FoldConstant"):
        run_passes(module(x, body=relay.nn.relu(x)), [FoldConstant(), _Breaks(how)], OPTIONS)


def test_the_same_net_gives_the_same_module():
    texts = {optimize(random_net(3), OPTIONS)[0].astext(show_meta_data=False) for _ in range(2)}
    assert len(texts) == 1
