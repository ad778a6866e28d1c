"""explain: kernels as plain data."""

import json
from dataclasses import asdict

import pytest

from nincc._tvm import tvm
from nincc.passes.explain import algorithm, kernel_plans
from nincc.passes.pipeline import optimize
from passes.running import OPTIONS, const, layer, module, weights

relay = tvm.relay


def conv(data, units, channels, kernel, name, **attrs):
    groups = attrs.get("groups", 1)
    call = relay.nn.conv2d(
        data, const(weights(units, channels // groups, kernel, kernel)), channels=units,
        kernel_size=(kernel, kernel), **attrs,
    )  # fmt: skip
    return relay.nn.relu(layer(call, name))


@pytest.fixture(scope="module")
def plans():
    x = relay.var("x", shape=(2, 3, 8, 8))
    net = conv(x, 16, 3, 3, "conv1", padding=(1, 1))
    net = conv(net, 16, 16, 3, "grouped", groups=4, padding=(1, 1))
    net = conv(net, 10, 16, 1, "cccp1")
    net = relay.nn.softmax(relay.nn.batch_flatten(layer(relay.nn.global_avg_pool2d(net), "gap")))
    return kernel_plans(optimize(module(x, body=net), OPTIONS)[0])


def test_kernels_stand_in_the_order_they_run(plans):
    layers = [kernel.layer for kernel in plans if kernel.macs]
    assert layers == ["conv1", "grouped", "cccp1"]


def test_every_layer_has_the_macs_of_the_graph(plans):
    macs = {kernel.layer: kernel.macs for kernel in plans if kernel.macs}
    assert macs == {"conv1": 2 * 64 * 16 * 27, "grouped": 2 * 64 * 16 * 36, "cccp1": 2 * 64 * 10 * 16}


def test_our_kernels_give_their_knobs_and_why(plans):
    (head,) = [kernel for kernel in plans if kernel.op == "nincc.gemm_pool"]
    assert head.algorithm == "GEMM with the global pool as epilogue"
    assert head.schedule["activation"] == "relu" and head.schedule["mr"] > 0
    assert head.reason and "reason" not in head.schedule


def test_it_is_plain_data(plans):
    data = json.loads(json.dumps([asdict(plan) for plan in plans]))
    assert [item["layer"] for item in data] == [plan.layer for plan in plans]


@pytest.mark.parametrize(
    ("name", "attrs", "text"),
    [
        ("nincc.conv2d", {"pool": ""}, "direct convolution"),
        ("nincc.conv2d", {"pool": "avg 3 3 2 2 0 0 0 0 4 4 0"}, "direct convolution, avg pool in its gather"),
        ("nincc.conv2d_winograd", {"m": 4, "r": 5, "strides": (1, 1), "pool": ""}, "Winograd F(4×4, 5×5)"),
        (
            "nincc.conv2d_winograd",
            {"m": 6, "r": 3, "strides": (4, 4), "pool": ""},
            "Winograd F(6×6, 3×3) on 4×4 phases",
        ),
    ],
)
def test_names_of_algorithms(name, attrs, text):
    assert algorithm(name, attrs) == text
