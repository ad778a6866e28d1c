"""SplitBatch: part by part where maps outgrow the cache and pixels outnumber what a weight costs."""

from dataclasses import replace

import numpy as np
import pytest

from nincc._tvm import tvm
from nincc.options import CompileOptions
from nincc.passes.split_batch import SplitBatch
from nincc.target import load_target
from passes.running import apply, assert_declines, assert_rewrites, assert_untouched, const, layer, module, weights

relay = tvm.relay
W1, W2, W3 = weights(6, 2, 3, 3), weights(5, 6, 1, 1, seed=1), weights(4, 5, 3, 3, seed=2)
IMAGES, SIZE = 3, 16
SMALL = CompileOptions(target=replace(load_target("x86-64-v3"), l2=8192))
"""The first block's maps, 3 × 6 × 16 × 16 floats, are larger than this L2; no block ends beyond."""


def conv(data, weight, name):
    return layer(relay.nn.relu(layer(relay.nn.conv2d(data, const(weight), padding=(1, 1)), name)), f"{name}.relu")


def gemm(data, weight, name):
    return layer(relay.nn.relu(layer(relay.nn.conv2d(data, const(weight)), name)), f"{name}.relu")


def block(data):
    return gemm(conv(data, W1, "conv1"), W2, "cccp1")


def pool(data):
    return layer(relay.nn.max_pool2d(data, pool_size=(2, 2), strides=(2, 2)), "pool1")


def rest(data):
    return conv(data, W3, "conv2")


def net(images=IMAGES, size=SIZE):
    x = relay.var("x", shape=(images, 2, size, size))
    return module(x, body=rest(pool(block(x))))


def image(data, number):
    return relay.strided_slice(data, begin=[number], end=[number + 1], axes=[0])


def test_the_first_block_takes_an_image_at_a_time():
    x = relay.var("x", shape=(IMAGES, 2, SIZE, SIZE))
    parts = [pool(block(image(x, number))) for number in range(IMAGES)]
    expected = module(x, body=rest(relay.concatenate(parts, axis=0)))
    record = assert_rewrites(SplitBatch(), net(), expected, SMALL)
    assert record.changed == ["3 images up to pool1: 3 parts, maps of 18,432 bytes"]


def test_a_block_without_a_pool_ends_where_a_convolution_reads_it():
    x = relay.var("x", shape=(IMAGES, 2, SIZE, SIZE))
    parts = [block(image(x, number)) for number in range(IMAGES)]
    expected = module(x, body=rest(relay.concatenate(parts, axis=0)))
    assert_rewrites(SplitBatch(), module(x, body=rest(block(x))), expected, SMALL)


def test_an_output_within_the_block_is_whole_again():
    x = relay.var("x", shape=(IMAGES, 2, SIZE, SIZE))
    first = conv(x, W1, "conv1")
    before = module(x, body=relay.Tuple([rest(pool(gemm(first, W2, "cccp1"))), first]))
    after, record = apply(SplitBatch(), before, SMALL)
    assert record.changed
    assert [tuple(map(int, one.shape)) for one in after["main"].ret_type.fields][1] == (IMAGES, 6, SIZE, SIZE)


def test_more_images_than_parts():
    after, record = apply(SplitBatch(), net(images=34), SMALL)
    assert record.changed == ["34 images up to pool1: 32 parts, maps of 208,896 bytes"]
    ends = []
    relay.analysis.post_order_visit(after["main"], lambda node: ends.append(node) if _is_slice(node) else None)
    assert sorted(int(node.attrs.end[0] - node.attrs.begin[0]) for node in ends) == [1] * 30 + [2, 2]


def _is_slice(node):
    return isinstance(node, relay.Call) and node.op.name == "strided_slice"


@pytest.mark.parametrize(
    ("size", "options", "why"),
    [(SIZE, CompileOptions(), "stay in the cache"), (14, SMALL, "196 pixels an image, fewer than 256")],
    ids=["small maps", "few pixels"],
)
def test_declines(size, options, why):
    assert_declines(SplitBatch(), net(size=size), why, options)


def test_one_image_is_no_batch():
    assert_untouched(SplitBatch(), net(images=1), SMALL)


def test_images_that_mix_stay_together():
    x = relay.var("x", shape=(IMAGES, 2, SIZE, SIZE))
    mixed = relay.transpose(x, axes=(1, 0, 2, 3))
    body = conv(mixed, weights(6, IMAGES, 3, 3), "conv1")
    assert_declines(SplitBatch(), module(x, body=rest(pool(gemm(body, W2, "cccp1")))), "one by one", SMALL)


def test_a_constant_for_each_image_keeps_them_together():
    x = relay.var("x", shape=(IMAGES, 2, SIZE, SIZE))
    shifted = x + const(np.arange(IMAGES, dtype=np.float32).reshape(-1, 1, 1, 1))
    assert_declines(SplitBatch(), module(x, body=rest(pool(block(shifted)))), "one by one", SMALL)
