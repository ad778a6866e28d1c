"""The phases of Relay's own: what they remove, and that layers keep their names through them."""

from nincc._tvm import tvm
from nincc.passes.graph import Graph, is_call, name_of
from nincc.passes.standard import DeadCodeElimination, FoldConstant, SimplifyInference
from passes.running import apply, assert_rewrites, assert_untouched, const, layer, module, weights

relay = tvm.relay


def test_dropout_is_gone():
    x, y = relay.var("x", shape=(2, 3)), relay.var("y", shape=(2, 3))
    before = module(x, body=relay.nn.relu(relay.nn.dropout(x, 0.5)))
    record = assert_rewrites(SimplifyInference(), before, module(y, body=relay.nn.relu(y)))
    assert record.changed == ["1 nn.dropout gone"]


def test_what_depends_on_no_input_is_computed():
    w = weights(4, 3)
    x, y = relay.var("x", shape=(2, 4)), relay.var("y", shape=(2, 4))
    before = module(x, body=relay.nn.dense(x, relay.transpose(const(w))))
    expected = module(y, body=relay.nn.dense(y, const(w.T)))
    record = assert_rewrites(FoldConstant(), before, expected)
    assert record.changed == ["1 transpose gone"]


def test_nothing_to_fold():
    x = relay.var("x", shape=(2, 4))
    assert_untouched(FoldConstant(), module(x, body=relay.nn.relu(x)))


def test_layers_keep_their_names():
    x = relay.var("x", shape=(1, 3, 5, 5))
    conv = layer(relay.nn.conv2d(relay.nn.dropout(x), const(weights(4, 3, 3, 3))), "conv1")
    mod = module(x, body=relay.nn.relu(conv))
    for step in (SimplifyInference(), FoldConstant(), DeadCodeElimination()):
        mod, _ = apply(step, mod)
    (found,) = [node for node in Graph(mod["main"]).nodes if is_call(node, "nn.conv2d")]
    assert name_of(found) == "conv1"
