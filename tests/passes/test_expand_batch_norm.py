"""ExpandBatchNorm: multiply and add, rounded once; declined where statistics are computed."""

import numpy as np

from nincc._tvm import tvm
from nincc.passes.expand_batch_norm import ExpandBatchNorm
from passes.running import assert_declines, assert_rewrites, assert_untouched, const, module, weights

relay = tvm.relay
GAMMA, BETA, MEAN = weights(3, seed=1), weights(3, seed=2), weights(3, seed=3)
VARIANCE = np.abs(weights(3, seed=4)) + np.float32(0.1)


def norm(data, variance, **attrs):
    parameters = [const(array) for array in (GAMMA, BETA, MEAN)]
    return relay.nn.batch_norm(data, *parameters, variance, epsilon=1e-3, **attrs)[0]


def test_becomes_multiply_and_add():
    x, y = relay.var("x", shape=(2, 3, 4, 5)), relay.var("y", shape=(2, 3, 4, 5))
    scale = GAMMA.astype(np.float64) / np.sqrt(VARIANCE.astype(np.float64) + 1e-3)
    shift = BETA - MEAN * scale
    expected = relay.add(relay.multiply(y, const(scale.reshape(3, 1, 1))), const(shift.reshape(3, 1, 1)))
    assert_rewrites(ExpandBatchNorm(), module(x, body=norm(x, const(VARIANCE))), module(y, body=expected))


def test_without_scale_and_center_on_two_axes():
    x, y = relay.var("x", shape=(2, 3)), relay.var("y", shape=(2, 3))
    scale = 1 / np.sqrt(VARIANCE.astype(np.float64) + 1e-3)
    expected = relay.add(relay.multiply(y, const(scale)), const(-MEAN * scale))
    before = module(x, body=norm(x, const(VARIANCE), scale=False, center=False))
    assert_rewrites(ExpandBatchNorm(), before, module(y, body=expected))


def test_declines_computed_statistics():
    x, variance = relay.var("x", shape=(2, 3, 4, 5)), relay.var("v", shape=(3,))
    before = module(x, variance, body=norm(x, relay.abs(variance)))
    assert_declines(ExpandBatchNorm(), before, "not constant")


def test_leaves_other_tuples_alone():
    x = relay.var("x", shape=(2, 4, 4, 5))
    assert_untouched(ExpandBatchNorm(), module(x, body=relay.split(x, 2, axis=1)[0]))
