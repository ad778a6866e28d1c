"""FoldGlobalAvgPool: the mean commutes, or is the epilogue; declined where the map is read elsewhere."""

from nincc._tvm import tvm
from nincc.passes.conv1x1_to_gemm import Conv1x1ToGemm
from nincc.passes.fold_global_avg_pool import FoldGlobalAvgPool
from passes.packed_calls import gemm, global_avg_pool, pack, unpack
from passes.running import (
    apply,
    assert_declines,
    assert_rewrites,
    assert_untouched,
    const,
    layer,
    module,
    operators,
    weights,
)

relay = tvm.relay
W, BIAS = weights(10, 6), weights(10, seed=1)
SHAPE = (2, 6, 5, 7)
MACS = 4200


def inputs():
    return relay.var("x", shape=SHAPE), relay.var("y", shape=SHAPE)


def maps(data, activation, name="cccp6", weight=W):
    return unpack(gemm(pack(data, name), weight, name, MACS, BIAS, activation), 10, name)


def pool(data):
    return layer(relay.nn.global_avg_pool2d(data), "gap")


def test_linear_the_mean_is_taken_first():
    x, y = inputs()
    mean = global_avg_pool(pack(y, "cccp6"), "gap")
    expected = unpack(gemm(mean, W, "cccp6", MACS, BIAS), 10, "cccp6")
    before = module(x, body=pool(maps(x, "none")))
    record = assert_rewrites(FoldGlobalAvgPool(), before, module(y, body=expected))
    assert record.changed == ["cccp6: linear before the pool, the mean of 5×7 pixels is taken first"]


def test_two_linear_layers_let_it_through():
    x, _ = inputs()
    before = module(x, body=pool(maps(maps(x, "none"), "none", weight=weights(10, 10))))
    after, record = apply(FoldGlobalAvgPool(), before)
    assert operators(after)[:2] == ["nincc.pack", "nincc.global_avg_pool"]
    assert operators(after).count("nincc.gemm") == 2 and len(record.changed) == 2


def test_a_linear_layer_behind_a_relu_layer_hands_the_mean_on():
    x, _ = inputs()
    before = module(x, body=pool(maps(maps(x, "relu"), "none", weight=weights(10, 10))))
    after, record = apply(FoldGlobalAvgPool(), before)
    assert [kind for kind in operators(after) if "gemm" in kind] == ["nincc.gemm_pool", "nincc.gemm"]
    assert ["linear" in text for text in record.changed] == [True, False]


def test_relu_the_mean_is_the_epilogue():
    x, y = inputs()
    product = gemm(pack(y, "cccp6"), W, "cccp6", MACS, BIAS, "relu", operator="nincc.gemm_pool")
    before = module(x, body=pool(maps(x, "relu")))
    record = assert_rewrites(FoldGlobalAvgPool(), before, module(y, body=unpack(product, 10, "cccp6")))
    assert "epilogue" in record.changed[0]


def test_declines_a_second_reader():
    x, _ = inputs()
    for activation in ("none", "relu"):
        read_twice = maps(x, activation)
        before = module(x, body=relay.Tuple([pool(read_twice), relay.nn.relu(read_twice)]))
        assert_declines(FoldGlobalAvgPool(), before, "second reader")


def test_declines_maps_that_are_an_output():
    x, _ = inputs()
    kept = maps(x, "relu")
    before = module(x, body=relay.Tuple([pool(kept), kept]))
    assert_declines(FoldGlobalAvgPool(), before, "cccp6: its maps must be stored, they are an output of the net")


def test_declines_behind_a_larger_convolution():
    x, _ = inputs()
    conv = layer(relay.nn.conv2d(x, const(weights(4, 6, 3, 3)), kernel_size=(3, 3), channels=4), "conv3")
    before = module(x, body=pool(relay.nn.relu(relay.nn.bias_add(conv, const(weights(4))))))
    assert_declines(FoldGlobalAvgPool(), before, "conv3 before it is a 3×3 convolution")


def test_declines_behind_another_operator():
    x, _ = inputs()
    between = layer(relay.sigmoid(maps(x, "none")), "squash")
    assert_declines(FoldGlobalAvgPool(), module(x, body=pool(between)), "squash stands between")


def test_leaves_a_pool_that_does_not_cover_the_map_alone():
    x, _ = inputs()
    body = relay.nn.avg_pool2d(maps(x, "relu"), pool_size=(2, 2), strides=(2, 2))
    assert_untouched(FoldGlobalAvgPool(), module(x, body=body))


def test_a_second_reader_of_the_layer_before_does_no_harm():
    x, _ = inputs()
    first = relay.nn.relu(x)
    conv = relay.nn.conv2d(first, const(W.reshape(10, 6, 1, 1)), kernel_size=(1, 1), channels=10)
    before, _ = apply(Conv1x1ToGemm(), module(x, body=relay.Tuple([pool(conv), first])))
    after, record = apply(FoldGlobalAvgPool(), before)
    assert "nincc.global_avg_pool" in operators(after) and len(record.changed) == 1
