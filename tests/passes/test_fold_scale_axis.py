"""FoldScaleAxis: scales and shifts go into the layer behind or before them."""

import numpy as np
import pytest

from nincc._tvm import tvm
from nincc.passes.fold_scale_axis import FoldScaleAxis
from nincc.passes.graph import Graph, is_call, name_of
from passes.running import apply, assert_declines, assert_rewrites, assert_untouched, const, layer, module, weights

relay = tvm.relay
W, S, T = weights(4, 3, 3, 3), weights(4, seed=1), weights(4, seed=2)
S_IN, T_IN = weights(3, seed=3), weights(3, seed=4)


def channels(array):
    return const(array.reshape(-1, 1, 1))


def conv(data, weight=W, **attrs):
    return relay.nn.conv2d(data, const(weight), kernel_size=weight.shape[2:], channels=4, **attrs)


def inputs(*shape):
    return relay.var("x", shape=shape), relay.var("y", shape=shape)


def test_behind_a_convolution_with_bias():
    x, y = inputs(2, 3, 5, 5)
    bias = weights(4, seed=5)
    scaled = relay.multiply(relay.nn.bias_add(conv(x, padding=(1, 1)), const(bias)), channels(S))
    before = module(x, body=relay.nn.relu(relay.add(scaled, channels(T))))
    weight = W.astype(np.float64) * S.reshape(-1, 1, 1, 1)
    shift = bias.astype(np.float64) * S + T
    expected = relay.nn.relu(relay.add(conv(y, weight, padding=(1, 1)), channels(shift)))
    record = assert_rewrites(FoldScaleAxis(), before, module(y, body=expected))
    assert len(record.changed) == 1


def test_behind_a_grouped_convolution():
    x, y = inputs(2, 6, 5, 5)
    before = relay.multiply(conv(x, groups=2), channels(S))
    expected = conv(y, W.astype(np.float64) * S.reshape(-1, 1, 1, 1), groups=2)
    assert_rewrites(FoldScaleAxis(), module(x, body=before), module(y, body=expected))


def test_division_and_subtraction_behind_a_dense_layer():
    weight = weights(4, 6)
    x, y = inputs(2, 6)
    before = relay.divide(relay.subtract(relay.nn.dense(x, const(weight), units=4), const(T)), const(S))
    folded = relay.nn.dense(y, const(weight / S.astype(np.float64)[:, None]), units=4)
    expected = relay.add(folded, const(-T.astype(np.float64) / S))
    assert_rewrites(FoldScaleAxis(), module(x, body=before), module(y, body=expected))


def test_before_an_unpadded_convolution():
    x, y = inputs(2, 3, 5, 5)
    shifted = relay.add(relay.multiply(relay.nn.relu(x), channels(S_IN)), channels(T_IN))
    weight = W.astype(np.float64) * S_IN.reshape(1, -1, 1, 1)
    bias = W.astype(np.float64).sum(axis=(2, 3)) @ T_IN
    expected = relay.add(conv(relay.nn.relu(y), weight), channels(bias))
    assert_rewrites(FoldScaleAxis(), module(x, body=conv(shifted)), module(y, body=expected))


def test_a_scale_alone_folds_before_padding():
    x, y = inputs(2, 3, 5, 5)
    before = module(x, body=conv(relay.multiply(relay.nn.relu(x), channels(S_IN)), padding=(1, 1)))
    weight = W.astype(np.float64) * S_IN.reshape(1, -1, 1, 1)
    expected = module(y, body=conv(relay.nn.relu(y), weight, padding=(1, 1, 1, 1)))
    assert_rewrites(FoldScaleAxis(), before, expected)


def test_declines_a_shift_before_padding():
    x, _ = inputs(2, 3, 5, 5)
    before = conv(relay.add(relay.nn.relu(x), channels(T_IN)), padding=(1, 1))
    assert_declines(FoldScaleAxis(), module(x, body=before), "padded")


def test_declines_a_scale_before_groups():
    x, _ = inputs(2, 6, 5, 5)
    before = conv(relay.multiply(relay.nn.relu(x), const(weights(6, 1, 1))), groups=2)
    assert_declines(FoldScaleAxis(), module(x, body=before), "grouped")


@pytest.mark.parametrize(
    "work",
    [
        lambda c: relay.nn.relu(relay.add(c, const(weights(4, 1, 1)))),
        lambda c: relay.multiply(c, const(weights(1, 5))),
        lambda c: relay.subtract(const(weights(4, 1, 1)), c),
        lambda c: relay.divide(const(weights(4, 1, 1)), c),
        lambda c: relay.Tuple([c, relay.multiply(c, const(weights(4, 1, 1)))]),
    ],
    ids=["a bias", "along the width", "constant minus", "constant over", "second reader"],
)
def test_leaves_alone(work):
    x, _ = inputs(2, 3, 5, 5)
    assert_untouched(FoldScaleAxis(), module(x, body=work(conv(x, padding=(1, 1)))))


def test_the_layer_keeps_its_name():
    x, _ = inputs(2, 3, 5, 5)
    before = module(x, body=relay.multiply(layer(conv(x), "conv7"), channels(S)))
    after, record = apply(FoldScaleAxis(), before)
    (found,) = [node for node in Graph(after["main"]).nodes if is_call(node, "nn.conv2d")]
    assert name_of(found) == "conv7"
    assert record.changed[0].startswith("conv7: ")
