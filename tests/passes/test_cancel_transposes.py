"""CancelTransposes: what sinks, what cancels, and what stays."""

import numpy as np
import pytest

from nincc._tvm import tvm
from nincc.passes.cancel_transposes import CancelTransposes
from passes.running import apply, assert_declines, assert_rewrites, assert_untouched, const, module, operators, weights

relay = tvm.relay
FIRST, LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def conv(data, seed=0):
    return relay.nn.conv2d(data, const(weights(3, 3, 3, 3, seed=seed)), padding=(1, 1))


def test_channels_last_work_between_convolutions():
    bias = weights(3)
    x, y = relay.var("x", shape=(2, 3, 4, 5)), relay.var("y", shape=(2, 3, 4, 5))
    last = relay.nn.relu(relay.add(relay.transpose(conv(x), LAST), const(bias)))
    before = module(x, body=conv(relay.transpose(last, FIRST), 1))
    expected = conv(relay.nn.relu(relay.add(conv(y), const(bias.reshape(1, 3, 1, 1)))), 1)
    record = assert_rewrites(CancelTransposes(), before, module(y, body=expected))
    assert record.changed == ["2 of 2 transposes cancel"]


@pytest.mark.parametrize(
    "work",
    [
        lambda v: relay.nn.bias_add(v, const(weights(3)), axis=3),
        lambda v: relay.nn.prelu(v, const(weights(3)), axis=3),
        lambda v: relay.nn.softmax(v, axis=-1),
        lambda v: relay.concatenate([v, relay.nn.relu(v)], axis=3),
        lambda v: relay.nn.pad(v, [[0, 0], [1, 2], [0, 3], [0, 0]]),
        lambda v: relay.multiply(v, const(weights(4, 5, 3))),
        lambda v: relay.subtract(const(np.float32(2)), v),
        lambda v: relay.add(v, v),
        lambda v: relay.mean(v, axis=[1, 2], keepdims=True),
        lambda v: relay.max(v, axis=[1], keepdims=True),
    ],
    ids=["bias", "prelu", "softmax", "concat", "pad", "multiply", "scalar", "same twice", "mean", "max"],
)
def test_every_kind_of_work_sinks_them(work):
    x = relay.var("x", shape=(2, 3, 4, 5))
    before = module(x, body=relay.transpose(work(relay.transpose(x, LAST)), FIRST))
    after, _ = apply(CancelTransposes(), before)
    assert "transpose" not in operators(after)


def test_a_mean_over_the_pixels_needs_no_transposition():
    x, y = relay.var("x", shape=(2, 3, 4, 5)), relay.var("y", shape=(2, 3, 4, 5))
    before = module(x, body=relay.mean(relay.transpose(x, LAST), axis=[1, 2]))
    assert_rewrites(CancelTransposes(), before, module(y, body=relay.mean(y, axis=[2, 3])))


def test_a_channels_last_output_keeps_one():
    x = relay.var("x", shape=(2, 3, 4, 5))
    last = relay.nn.relu(relay.transpose(conv(x), LAST))
    before = module(x, body=relay.Tuple([last, conv(relay.transpose(last, FIRST))]))
    after, _ = apply(CancelTransposes(), before)
    assert operators(after).count("transpose") == 1


def test_stays_where_none_meets_another():
    x = relay.var("x", shape=(2, 4, 5, 3))
    assert_declines(CancelTransposes(), module(x, body=conv(relay.transpose(x, FIRST))), "none of the 1")


def test_work_on_two_orders_needs_the_wanted_one():
    x, y = relay.var("x", shape=(2, 3, 3, 3)), relay.var("y", shape=(2, 3, 3, 3))
    before = module(x, y, body=relay.add(relay.transpose(x, LAST), relay.transpose(y, FIRST)))
    assert_declines(CancelTransposes(), before, "none of the 2")


def test_no_transposes():
    x = relay.var("x", shape=(2, 3, 4, 5))
    assert_untouched(CancelTransposes(), module(x, body=conv(x)))
