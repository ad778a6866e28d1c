"""FusePool: the pool is computed in the gather; declined where its map is read elsewhere."""

import pytest

from nincc._tvm import tvm
from nincc.passes.fuse_pool import FusePool
from passes.packed_calls import conv2d, pack, unpack
from passes.running import assert_declines, assert_rewrites, assert_untouched, layer, module, weights

relay = tvm.relay
W = weights(5, 3, 3, 3)
SHAPE = (2, 3, 9, 8)


def conv(data, **attrs):
    return unpack(conv2d(pack(data, "conv"), W, "conv", 999, padding=(1, 1, 1, 1), **attrs), 5, "conv")


def pool(data, function=relay.nn.max_pool2d, **attrs):
    return layer(function(data, **({"pool_size": (3, 3), "strides": (2, 2)} | attrs)), "pool1")


@pytest.mark.parametrize(
    ("function", "attrs", "text"),
    [
        (relay.nn.max_pool2d, {"ceil_mode": True}, "max 3 3 2 2 0 0 0 0 4 4 0"),
        (relay.nn.max_pool2d, {"padding": (1, 1, 0, 0)}, "max 3 3 2 2 1 1 0 0 4 4 0"),
        (relay.nn.avg_pool2d, {"ceil_mode": True}, "avg 3 3 2 2 0 0 0 0 4 4 0"),
        (relay.nn.avg_pool2d, {"padding": (1, 1), "count_include_pad": True}, "avg 3 3 2 2 1 1 1 1 5 4 1"),
    ],
    ids=["max ceil", "max padded", "average ceil", "average counts padding"],
)
def test_the_only_reader_takes_the_pool(function, attrs, text):
    x, y = relay.var("x", shape=SHAPE), relay.var("y", shape=SHAPE)
    before = module(x, body=conv(pool(x, function, **attrs)))
    record = assert_rewrites(FusePool(), before, module(y, body=conv(y, pool=text)))
    assert record.changed == ["pool1: computed while conv gathers its input"]


def test_declines_a_second_reader():
    x = relay.var("x", shape=SHAPE)
    pooled = pool(x)
    before = module(x, body=relay.Tuple([conv(pooled), relay.nn.relu(pooled)]))
    assert_declines(FusePool(), before, "conv is not its only reader")


def test_declines_a_dilated_pool():
    x = relay.var("x", shape=SHAPE)
    assert_declines(FusePool(), module(x, body=conv(pool(x, dilation=(2, 2)))), "dilated")


def test_declines_a_window_that_sees_no_pixel():
    x = relay.var("x", shape=SHAPE)
    before = module(x, body=conv(pool(x, padding=(0, 0, 4, 4))))
    assert_declines(FusePool(), before, "padding alone")


def test_leaves_a_convolution_of_something_else_alone():
    x = relay.var("x", shape=SHAPE)
    assert_untouched(FusePool(), module(x, body=conv(relay.nn.relu(x))))
