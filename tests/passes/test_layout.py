"""Layout: pack and unpack cancel, and everything between kernels works on packed maps."""

import numpy as np
import pytest

from nincc._tvm import tvm
from nincc.passes.layout import Layout
from passes.packed_calls import gemm, global_avg_pool, pack, unpack
from passes.running import LANES, apply, assert_rewrites, const, layer, module, operators, weights

relay = tvm.relay
SHAPE = (2, 3, 6, 5)


def conv(data, name, units=LANES, channels=3, seed=0):
    """A 1×1 convolution between pack and unpack."""
    weight = weights(units, channels, seed=seed)
    return unpack(gemm(pack(data, name), weight, name, 1, activation="relu"), units, name)


def inputs():
    return relay.var("x", shape=SHAPE), relay.var("y", shape=SHAPE)


def test_two_kernels_in_a_row():
    x, y = inputs()
    before = module(x, body=conv(conv(x, "a"), "b", 10, LANES))
    first = gemm(pack(y, "a"), weights(LANES, 3), "a", 1, activation="relu")
    second = gemm(first, weights(10, LANES), "b", 1, activation="relu")
    record = assert_rewrites(Layout(), before, module(y, body=unpack(second, 10, "b")))
    assert record.changed == ["4 conversions between NCHW and packed become 2"]


@pytest.mark.parametrize("units", [LANES, LANES + 2])
@pytest.mark.parametrize(
    "work",
    [
        lambda a, b: relay.add(a, b),
        lambda a, b: relay.sigmoid(a),
        lambda a, b: relay.add(a, const(np.float32(3))),
        lambda a, b: relay.subtract(const(weights(int(a.checked_type.shape[1]), 1, 1)), a),
        lambda a, b: relay.divide(a, const(np.abs(weights(int(a.checked_type.shape[1]), 1, 1)) + 1)),
        lambda a, b: relay.multiply(a, const(weights(6, 5))),
        lambda a, b: relay.multiply(a, const(weights(*a.checked_type.concrete_shape))),
        lambda a, b: relay.nn.bias_add(a, const(weights(int(a.checked_type.shape[1])))),
        lambda a, b: relay.nn.prelu(a, const(weights(int(a.checked_type.shape[1])))),
        lambda a, b: relay.nn.leaky_relu(a, 0.1),
        lambda a, b: relay.multiply(a, relay.sigmoid(relay.nn.global_avg_pool2d(b))),
        lambda a, b: relay.nn.max_pool2d(a, (3, 3), (2, 2), ceil_mode=True),
        lambda a, b: relay.nn.avg_pool2d(a, (2, 3), (2, 1), padding=(1, 1), count_include_pad=True),
        lambda a, b: relay.concatenate([a, b], axis=2),
        lambda a, b: relay.nn.global_max_pool2d(a),
    ],
    ids=[
        "add", "sigmoid", "scalar", "constant minus", "divide", "places", "full constant", "bias", "prelu",
        "leaky relu", "gate", "max pool", "average pool", "concat rows", "global max",
    ],
)  # fmt: skip
def test_work_between_kernels_stays_packed(units, work):
    x, _ = inputs()
    a, b = conv(x, "a", units), conv(x, "b", units, seed=1)
    typed = module(x, body=relay.Tuple([a, b]))["main"]
    between = work(*typed.body.fields)
    before = module(typed.params[0], body=conv(between, "c", 4, units))
    after, _ = apply(Layout(), before)
    assert operators(after).count("nincc.unpack") == 1, operators(after)
    assert operators(after).count("nincc.pack") == 1, operators(after)


def test_maps_that_fill_their_lanes_are_joined_packed():
    x, _ = inputs()
    joined = relay.concatenate([conv(x, "a"), conv(x, "b", LANES + 3, seed=1)], axis=1)
    after, record = apply(Layout(), module(x, body=conv(joined, "c", 4, 2 * LANES + 3)))
    assert operators(after).count("nincc.unpack") == 1 and not record.declined


def test_maps_that_do_not_are_joined_unpacked():
    x, _ = inputs()
    joined = layer(relay.concatenate([conv(x, "a", LANES + 3), conv(x, "b", seed=1)], axis=1), "concat")
    after, record = apply(Layout(), module(x, body=conv(joined, "c", 4, 2 * LANES + 3)))
    assert operators(after).count("nincc.unpack") == 3
    (reason,) = record.declined
    assert reason.startswith(f"concat: {LANES + 3} channels are no multiple of {LANES} lanes")


def test_a_residual_from_the_input_is_packed_once():
    x, _ = inputs()
    before = module(x, body=conv(relay.add(conv(x, "a", 3), x), "b", 4, 3))
    after, _ = apply(Layout(), before)
    assert operators(after).count("nincc.pack") == 1 and operators(after).count("nincc.unpack") == 1


def test_work_on_the_input_alone_is_left_as_it_is():
    x, _ = inputs()
    after, _ = apply(Layout(), module(x, body=conv(relay.nn.relu(x), "a")))
    assert operators(after) == ["nn.relu", "nincc.pack", "nincc.gemm", "nincc.unpack"]


def test_a_grouped_convolution_stays_between_unpack_and_pack():
    x, _ = inputs()
    grouped = relay.nn.conv2d(conv(x, "a"), const(weights(LANES, 1, 3, 3)), groups=LANES, padding=(1, 1),
                              kernel_size=(3, 3), channels=LANES)  # fmt: skip
    after, _ = apply(Layout(), module(x, body=conv(relay.nn.relu(grouped), "b", 4, LANES)))
    assert operators(after) == [
        "nincc.pack", "nincc.gemm", "nincc.unpack", "nn.conv2d", "nn.relu", "nincc.pack", "nincc.gemm", "nincc.unpack",
    ]  # fmt: skip


def test_every_output_is_in_the_graphs_order():
    x, _ = inputs()
    a = conv(x, "a")
    after, _ = apply(Layout(), module(x, body=relay.Tuple([a, conv(a, "b", 4, LANES), relay.nn.relu(a)])))
    assert operators(after).count("nincc.unpack") == 3


@pytest.mark.parametrize("units", [LANES, LANES + 1])
def test_a_global_pool_that_is_not_folded(units):
    x, y = inputs()
    before = module(x, body=layer(relay.nn.global_avg_pool2d(conv(x, "a", units)), "gap"))
    mean = global_avg_pool(gemm(pack(y, "a"), weights(units, 3), "a", 1, activation="relu"), "gap")
    pixels = relay.reshape(mean, (2, units, 1, 1)) if units == LANES else unpack(mean, units, "gap")
    assert_rewrites(Layout(), before, module(y, body=pixels))


def test_rows_whose_channels_fill_their_lanes_are_only_renamed():
    x = relay.var("x", shape=(3, LANES))
    rows = relay.reshape(x, (3, LANES, 1, 1))
    after, _ = apply(Layout(), module(x, body=conv(rows, "a", 2 * LANES, LANES)))
    assert operators(after) == ["reshape", "reshape", "nincc.gemm", "reshape"]


@pytest.mark.parametrize("units", [LANES, LANES + 1])
def test_channels_last_readers_and_writers(units):
    x, _ = inputs()
    last = relay.transpose(conv(x, "a", units), [0, 2, 3, 1])
    first = relay.transpose(relay.nn.softmax(last, axis=-1), [0, 3, 1, 2])
    after, _ = apply(Layout(), module(x, body=conv(first, "b", 4, units)))
    expected = 0 if units == LANES else 2
    assert operators(after).count("transpose") == expected


def test_a_pool_the_kernels_do_not_know_stays():
    x, _ = inputs()
    pooled = layer(relay.nn.max_pool2d(conv(x, "a"), (2, 2), dilation=(2, 2)), "pool")
    after, record = apply(Layout(), module(x, body=conv(pooled, "b", 4, LANES)))
    assert "nn.max_pool2d" in operators(after)
    assert record.declined == ["pool: it is dilated: stays Relay's pool"]
