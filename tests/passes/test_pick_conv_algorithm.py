"""PickConvAlgorithm: the chosen kernel gets the layer's geometry, its weights in its own order, and a reason."""

import pytest

from nincc._tvm import tvm
from nincc.kernels.rule import ConvChoice
from nincc.kernels.winograd_spec import Winograd
from nincc.passes import pick_conv_algorithm
from nincc.passes.pick_conv_algorithm import PickConvAlgorithm, comes_from_input
from passes.packed_calls import conv2d, pack, unpack
from passes.running import (
    apply,
    assert_declines,
    assert_rewrites,
    assert_untouched,
    call_of,
    const,
    layer,
    module,
    operators,
    weights,
)

relay = tvm.relay
W, BIAS = weights(5, 3, 3, 3), weights(5, seed=1)
SHAPE = (2, 3, 9, 8)


def conv(data, weight=W, **attrs):
    units, kernel = weight.shape[0], weight.shape[2:]
    return layer(relay.nn.conv2d(data, const(weight), kernel_size=kernel, channels=units, **attrs), "conv")


def choose(monkeypatch, plan=None, **knobs):
    """Make the rule answer with direct convolution, or with a Winograd plan of these knobs."""
    operator = "nincc.conv2d" if plan is None else "nincc.conv2d_winograd"

    def answer(conv, options):
        made = None if plan is None else plan(conv)
        return ConvChoice(operator, {"mr": 4, "tasks": 2, **knobs}, 1e-6, 1.0, "the test says so", made)

    monkeypatch.setattr(pick_conv_algorithm, "choose_conv", answer)


@pytest.fixture
def direct(monkeypatch):
    choose(monkeypatch)


def test_the_nets_input_is_gathered_as_it_lies(direct):
    x, y = relay.var("x", shape=SHAPE), relay.var("y", shape=SHAPE)
    before = module(x, body=relay.nn.relu(relay.nn.bias_add(conv(x, padding=(1, 1)), const(BIAS))))
    given = {"layout": "NCHW", "padding": (1, 1, 1, 1), "activation": "relu", "bias": BIAS}
    expected = unpack(conv2d(y, W, "conv", 2 * 5 * 72 * 27, **given), 5, "conv")
    record = assert_rewrites(PickConvAlgorithm(), before, module(y, body=expected))
    assert record.changed == ["conv: 3×3 convolution, the test says so"]


def test_a_map_is_packed_for_it(direct):
    x, y = relay.var("x", shape=SHAPE), relay.var("y", shape=SHAPE)
    pooled = relay.nn.max_pool2d(x, (3, 2))
    before = module(x, body=conv(pooled, strides=(2, 1), dilation=(2, 1), padding=(1, 2, 0, 3)))
    given = {"strides": (2, 1), "dilation": (2, 1), "padding": (1, 2, 0, 3)}
    data = pack(relay.nn.max_pool2d(y, (3, 2)), "conv")
    expected = unpack(conv2d(data, W, "conv", 2 * 5 * 20 * 27, **given), 5, "conv")
    assert_rewrites(PickConvAlgorithm(), before, module(y, body=expected))


@pytest.mark.parametrize(("kernel", "stride", "m"), [(3, 1, 2), (3, 1, 4), (5, 1, 4), (7, 2, 2), (5, 3, 2)], ids=str)
@pytest.mark.parametrize("from_input", [True, False], ids=["input", "map"])
def test_winograds_weights_are_transformed(monkeypatch, kernel, stride, m, from_input):
    r = -(-kernel // stride)
    knobs = {"m": m, "r": r, "tile_block": 4, "unit_block": 16, "order": "tile"}
    choose(monkeypatch, lambda conv: Winograd(conv, **knobs), **knobs)
    x = relay.var("x", shape=(2, 3, 16, 14))
    data = x if from_input else relay.nn.max_pool2d(x, (2, 2))
    body = conv(data, weights(20, 3, kernel, kernel), strides=(stride, stride), padding=(1, 2))
    after, _ = apply(PickConvAlgorithm(), module(x, body=body))
    attrs = call_of(after, "nincc.conv2d_winograd")
    assert attrs["reason"] == "rule: the test says so" and attrs["error"] == pytest.approx(1e-6)
    assert attrs["layout"] == ("NCHW" if from_input else "NHWC")


def test_declines_groups():
    x = relay.var("x", shape=(2, 6, 9, 8))
    before = module(x, body=relay.nn.relu(conv(x, weights(4, 3, 3, 3), groups=2)))
    assert_declines(PickConvAlgorithm(), before, "conv: 2 groups")


def test_declines_a_computed_weight():
    x, w = relay.var("x", shape=SHAPE), relay.var("w", shape=W.shape)
    before = module(x, w, body=relay.nn.conv2d(x, relay.abs(w), kernel_size=(3, 3), channels=5))
    assert_declines(PickConvAlgorithm(), before, "not constant")


def test_declines_another_layout():
    x = relay.var("x", shape=(2, 9, 8, 3))
    weight = const(W.transpose(2, 3, 1, 0))
    body = relay.nn.conv2d(x, weight, kernel_size=(3, 3), channels=5, data_layout="NHWC", kernel_layout="HWIO")
    assert_declines(PickConvAlgorithm(), module(x, body=body), "layout is NHWC")


def test_leaves_everything_else_alone():
    x = relay.var("x", shape=SHAPE)
    assert_untouched(PickConvAlgorithm(), module(x, body=relay.nn.max_pool2d(relay.nn.relu(x), (2, 2))))


def test_the_rule_has_a_choice_for_every_geometry():
    x = relay.var("x", shape=(2, 3, 16, 14))
    for kernel, stride in ((1, 1), (2, 1), (3, 1), (5, 2), (7, 1), (11, 4)):
        body = conv(x, weights(20, 3, kernel, kernel), strides=(stride, stride), padding=(1, 1))
        after, _ = apply(PickConvAlgorithm(), module(x, body=body))
        assert operators(after)[0] in ("nincc.conv2d", "nincc.conv2d_winograd")


def test_what_comes_from_the_input():
    x = relay.var("x", shape=SHAPE)
    scaled = relay.multiply(relay.subtract(x, const(W[0, 0, 0, 0])), const(weights(3, 1, 1)))
    pooled = relay.add(scaled, relay.nn.max_pool2d(x, (1, 1)))
    fields = module(x, body=relay.Tuple([scaled, pooled]))["main"].body.fields
    assert [comes_from_input(field) for field in fields] == [True, False]
