"""SimplifyReshape: one reshape, or none."""

from nincc._tvm import tvm
from nincc.passes.simplify_reshape import SimplifyReshape
from passes.running import assert_rewrites, assert_untouched, module

relay = tvm.relay


def test_a_chain_becomes_one_reshape():
    x, y = relay.var("x", shape=(2, 6, 1, 1)), relay.var("y", shape=(2, 6, 1, 1))
    before = relay.reshape(relay.nn.batch_flatten(relay.squeeze(x, axis=[2, 3])), (0, -1))
    assert_rewrites(SimplifyReshape(), module(x, body=before), module(y, body=relay.reshape(y, (2, 6))))


def test_there_and_back_is_nothing():
    x, y = relay.var("x", shape=(2, 6, 1, 1)), relay.var("y", shape=(2, 6, 1, 1))
    before = relay.nn.relu(relay.reshape(relay.squeeze(x, axis=[2, 3]), (2, 6, 1, 1)))
    assert_rewrites(SimplifyReshape(), module(x, body=before), module(y, body=relay.nn.relu(y)))


def test_a_transposition_of_single_pixels_is_a_reshape():
    x, y = relay.var("x", shape=(2, 6, 1, 1)), relay.var("y", shape=(2, 6, 1, 1))
    before = module(x, body=relay.transpose(x, [0, 2, 3, 1]))
    assert_rewrites(SimplifyReshape(), before, module(y, body=relay.reshape(y, (2, 1, 1, 6))))


def test_a_mean_of_single_pixels_is_a_reshape():
    x, y = relay.var("x", shape=(2, 6, 1, 1)), relay.var("y", shape=(2, 6, 1, 1))
    before = module(x, body=relay.mean(x, axis=[2, 3]))
    assert_rewrites(SimplifyReshape(), before, module(y, body=relay.reshape(y, (2, 6))))


def test_a_chain_with_a_second_reader_keeps_what_that_one_reads():
    x, y = relay.var("x", shape=(2, 6, 2, 1)), relay.var("y", shape=(2, 6, 2, 1))
    flat = relay.reshape(x, (2, 12))
    before = module(x, body=relay.Tuple([relay.nn.relu(flat), relay.reshape(flat, (4, 6))]))
    expected = relay.Tuple([relay.nn.relu(relay.reshape(y, (2, 12))), relay.reshape(y, (4, 6))])
    assert_rewrites(SimplifyReshape(), before, module(y, body=expected))


def test_leaves_one_reshape_and_real_transpositions_alone():
    x = relay.var("x", shape=(2, 6, 2, 3))
    body = relay.Tuple([relay.reshape(x, (2, 36)), relay.transpose(x, [0, 2, 3, 1])])
    assert_untouched(SimplifyReshape(), module(x, body=body))
