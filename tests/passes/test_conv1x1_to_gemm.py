"""Conv1x1ToGemm: what becomes a GEMM, in which order of channels, and what stays a convolution."""

import numpy as np
import pytest

from nincc._tvm import tvm
from nincc.passes.conv1x1_to_gemm import Conv1x1ToGemm
from passes.packed_calls import gemm, pack, unpack
from passes.running import (
    LANES,
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
W, BIAS = weights(10, 6, 1, 1), weights(10, seed=1)
SHAPE = (2, 6, 5, 7)


def conv(data, weight=W, name="conv", **attrs):
    units, height, width = weight.shape[0], *weight.shape[2:]
    return layer(relay.nn.conv2d(data, const(weight), kernel_size=(height, width), channels=units, **attrs), name)


def inputs(*shape):
    return relay.var("x", shape=shape), relay.var("y", shape=shape)


@pytest.mark.parametrize(
    ("finish", "activation"),
    [
        (lambda c: c, "none"),
        (lambda c: relay.nn.relu(c), "relu"),
        (lambda c: relay.clip(c, 0.0, 6.0), "relu6"),
        (lambda c: relay.clip(c, 0.0, float(np.finfo(np.float32).max)), "relu"),
    ],
    ids=["none", "relu", "relu6", "clip to infinity"],
)
def test_with_bias_and_activation(finish, activation):
    x, y = inputs(*SHAPE)
    before = module(x, body=finish(relay.nn.bias_add(conv(x), const(BIAS))))
    product = gemm(pack(y, "conv"), W[:, :, 0, 0], "conv", 2 * 10 * 35 * 6, BIAS, activation)
    record = assert_rewrites(Conv1x1ToGemm(), before, module(y, body=unpack(product, 10, "conv")))
    assert record.changed == ["conv: 1×1 convolution becomes GEMM [70, 6]·[6, 10]"]


@pytest.mark.parametrize("bias_shape", [(10, 1, 1), (1, 10, 1, 1)])
def test_a_bias_may_be_an_addition_on_either_side(bias_shape):
    x, y = inputs(*SHAPE)
    before = module(x, body=relay.add(const(BIAS.reshape(bias_shape)), conv(x)))
    product = gemm(pack(y, "conv"), W[:, :, 0, 0], "conv", 2 * 10 * 35 * 6, BIAS)
    assert_rewrites(Conv1x1ToGemm(), before, module(y, body=unpack(product, 10, "conv")))


def test_strides_slice_first():
    x, y = inputs(*SHAPE)
    whole = np.iinfo(np.int32).max
    sliced = relay.strided_slice(pack(y, "conv"), [0, 0, 0, 0], [2, 5, 7, whole], [1, 2, 3, 1])
    expected = unpack(gemm(sliced, W[:, :, 0, 0], "conv", 2 * 10 * 9 * 6), 10, "conv")
    assert_rewrites(Conv1x1ToGemm(), module(x, body=conv(x, strides=(2, 3))), module(y, body=expected))


def test_a_kernel_that_covers_its_input():
    weight = weights(5, 6, 3, 4)
    x, y = inputs(2, 6, 3, 4)
    data = pack(relay.reshape(y, (2, 72, 1, 1)), "conv")
    expected = unpack(gemm(data, weight.reshape(5, 72), "conv", 720), 5, "conv")
    record = assert_rewrites(Conv1x1ToGemm(), module(x, body=conv(x, weight)), module(y, body=expected))
    assert "covers its input" in record.changed[0]


def test_channels_that_fill_their_lanes_are_read_where_they_lie():
    weight = weights(5, LANES, 3, 4)
    x, y = inputs(2, LANES, 3, 4)
    data = relay.reshape(pack(y, "conv"), (2, 1, 1, 12 * LANES))
    innermost = weight.transpose(0, 2, 3, 1).reshape(5, -1)
    expected = unpack(gemm(data, innermost, "conv", 2 * 5 * 12 * LANES), 5, "conv")
    assert_rewrites(Conv1x1ToGemm(), module(x, body=conv(x, weight)), module(y, body=expected))


@pytest.mark.parametrize("channels", [LANES, LANES + 1])
@pytest.mark.parametrize(
    "flatten", [relay.nn.batch_flatten, lambda v: relay.reshape(v, (2, -1))], ids=["flatten", "reshape"]
)
def test_a_dense_head_behind_flattened_maps(channels, flatten):
    x, _ = inputs(2, channels, 3, 2)
    weight = weights(4, channels * 6)
    head = relay.nn.dense(flatten(relay.nn.relu(x)), const(weight), units=4)
    after, _ = apply(Conv1x1ToGemm(), module(x, body=relay.nn.softmax(relay.nn.relu(relay.add(head, const(BIAS[:4]))))))
    assert operators(after).count("nincc.gemm") == 1 and "nn.dense" not in operators(after)
    attrs = call_of(after, "nincc.gemm")
    assert (attrs["units"], attrs["channels"], attrs["activation"]) == (4, channels * 6, "relu")


def test_a_product_of_rows():
    x, y = inputs(3, 6)
    before = module(x, body=relay.nn.matmul(x, const(W[:, :, 0, 0].T), units=10))
    data = pack(relay.reshape(y, (3, 6, 1, 1)), "nn.matmul")
    expected = relay.reshape(unpack(gemm(data, W[:, :, 0, 0], "nn.matmul", 180), 10, "nn.matmul"), (3, 10))
    assert_rewrites(Conv1x1ToGemm(), before, module(y, body=expected))


def test_a_dense_layer_on_channels_last_pixels_is_a_1x1_convolution():
    x, y = inputs(*SHAPE)
    rows = relay.reshape(relay.transpose(x, [0, 2, 3, 1]), (70, 6))
    before = module(x, body=layer(relay.nn.dense(rows, const(W[:, :, 0, 0]), units=10), "fc"))
    pixels = unpack(gemm(pack(y, "fc"), W[:, :, 0, 0], "fc", 4200), 10, "fc")
    expected = relay.reshape(relay.transpose(pixels, [0, 2, 3, 1]), (70, 10))
    assert_rewrites(Conv1x1ToGemm(), before, module(y, body=expected))


@pytest.mark.parametrize(
    ("weight", "attrs", "reason"),
    [
        (weights(10, 3, 1, 1), {"groups": 2}, "2 groups"),
        (W, {"padding": (1, 1)}, "padded"),
        (W, {"padding": (0, 0, 0, 1)}, "padded"),
        (weights(10, 6, 5, 7), {"padding": (1, 1)}, "padded"),
        (weights(10, 3, 5, 7), {"groups": 2}, "2 groups"),
    ],
    ids=["grouped", "padded", "padded on one side", "covering and padded", "covering and grouped"],
)
def test_declines(weight, attrs, reason):
    x, _ = inputs(*SHAPE)
    assert_declines(Conv1x1ToGemm(), module(x, body=relay.nn.relu(conv(x, weight, **attrs))), reason)


def test_declines_a_computed_weight():
    x, w = relay.var("x", shape=SHAPE), relay.var("w", shape=(10, 6, 1, 1))
    before = module(x, w, body=relay.nn.conv2d(x, relay.abs(w), kernel_size=(1, 1), channels=10))
    assert_declines(Conv1x1ToGemm(), before, "not constant")


def test_leaves_larger_kernels_alone():
    x, _ = inputs(*SHAPE)
    assert_untouched(Conv1x1ToGemm(), module(x, body=conv(x, weights(10, 6, 3, 3))))


def test_a_second_reader_of_the_bare_convolution_keeps_the_activation_apart():
    x, _ = inputs(*SHAPE)
    bare = conv(x)
    after, _ = apply(Conv1x1ToGemm(), module(x, body=relay.Tuple([bare, relay.nn.relu(bare)])))
    assert call_of(after, "nincc.gemm")["activation"] == "none"
    assert operators(after) == ["nincc.pack", "nincc.gemm", "nincc.unpack", "nn.relu"]
