"""FoldPadding: explicit zeros become the convolution's own padding."""

import pytest

from nincc._tvm import tvm
from nincc.passes.fold_padding import FoldPadding
from passes.running import assert_declines, assert_rewrites, const, module, weights

relay = tvm.relay
W = weights(4, 3, 3, 3)


def test_asymmetric_padding_adds_up():
    x, y = relay.var("x", shape=(1, 3, 6, 7)), relay.var("y", shape=(1, 3, 6, 7))
    padded = relay.nn.pad(x, [[0, 0], [0, 0], [0, 1], [2, 3]])
    before = relay.nn.conv2d(padded, const(W), strides=(2, 2), padding=(1, 1), kernel_size=(3, 3), channels=4)
    expected = relay.nn.conv2d(y, const(W), strides=(2, 2), padding=(1, 3, 2, 4), kernel_size=(3, 3), channels=4)
    assert_rewrites(FoldPadding(), module(x, body=before), module(y, body=expected))


def test_another_reader_still_gets_the_padded_map():
    x, y = relay.var("x", shape=(1, 3, 6, 7)), relay.var("y", shape=(1, 3, 6, 7))

    def pad(data):
        return relay.nn.pad(data, [[0, 0], [0, 0], [1, 1], [1, 1]])

    padded = pad(x)
    conv = relay.nn.conv2d(padded, const(W), kernel_size=(3, 3), channels=4)
    folded = relay.nn.conv2d(y, const(W), padding=(1, 1, 1, 1), kernel_size=(3, 3), channels=4)
    before = module(x, body=relay.Tuple([conv, relay.nn.relu(padded)]))
    assert_rewrites(FoldPadding(), before, module(y, body=relay.Tuple([folded, relay.nn.relu(pad(y))])))


@pytest.mark.parametrize(
    ("pad", "reason"),
    [
        (lambda x: relay.nn.pad(x, [[0, 0], [0, 0], [1, 1], [1, 1]], pad_value=1.0), "not with zeros"),
        (lambda x: relay.nn.pad(x, [[0, 0], [0, 0], [1, 1], [1, 1]], pad_mode="reflect"), "not with zeros"),
        (lambda x: relay.nn.pad(x, [[0, 0], [1, 0], [1, 1], [1, 1]]), "not over height and width alone"),
    ],
    ids=["ones", "reflect", "channels"],
)
def test_declines(pad, reason):
    x = relay.var("x", shape=(1, 3, 6, 7))
    padded = pad(x)
    channels = 4 if reason.startswith("not over") else 3
    conv = relay.nn.conv2d(padded, const(weights(4, channels, 3, 3)), kernel_size=(3, 3), channels=4)
    assert_declines(FoldPadding(), module(x, body=conv), reason)
