"""Operators that move data, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from nincc.errors import InternalError
from nincc.verify.ops.shape import decoded_shape, layout_transform
from tests.verify.onnx_op import run_node
from tests.verify.relay_op import random, relay, run_op


def same(build, expected, *inputs):
    got = run_op(build, *inputs)
    assert got.shape == expected.shape
    np.testing.assert_array_equal(got, expected)


X = random((2, 6, 4, 3))


@pytest.mark.parametrize(
    ("codes", "shape"),
    [
        ((2, -1), (2, 72)),
        ((0, -1), (2, 72)),
        ((0, 0, -1), (2, 6, 12)),
        ((-1,), (144,)),
        ((0, -2), (2, 6, 4, 3)),
        ((-3, -3), (12, 12)),
        ((0, -4, 2, 3, -2), (2, 2, 3, 4, 3)),
        ((0, -4, -1, 3, -2), (2, 2, 3, 4, 3)),
        ((0, -4, 2, -1, -2), (2, 2, 3, 4, 3)),
    ],
)
def test_reshape_codes_as_relay_types_them(codes, shape):
    assert tuple(X.reshape(decoded_shape(X.shape, codes)).shape) == shape
    same(lambda x: relay.reshape(x, codes), X.reshape(shape), X)


def test_a_channel_shuffle():
    expected = X.reshape(2, 2, 3, 4, 3).transpose(0, 2, 1, 3, 4).reshape(X.shape)

    def build(x):
        split = relay.reshape(x, (0, 2, 3, 4, 3))
        return relay.reshape(relay.transpose(split, (0, 2, 1, 3, 4)), (2, 6, 4, 3))

    same(build, expected, X)


def test_batch_flatten():
    same(relay.nn.batch_flatten, X.reshape(2, 72), X)


@pytest.mark.parametrize("axis", [None, [2, 3], [-1]])
def test_squeeze(axis):
    data = random((2, 6, 1, 1))
    same(lambda x: relay.squeeze(x, axis), np.squeeze(data, None if axis is None else tuple(axis)), data)


@pytest.mark.parametrize(("axis", "shape"), [(1, (2, 1, 1, 6, 4, 3)), (-1, (2, 6, 4, 3, 1, 1))])
def test_expand_dims(axis, shape):
    same(lambda x: relay.expand_dims(x, axis, num_newaxis=2), X.reshape(shape), X)


@pytest.mark.parametrize("axes", [(0, 2, 3, 1), (0, 3, 1, 2), (-4, -1, 1, 2), None])
def test_transpose(axes):
    same(lambda x: relay.transpose(x, axes), np.transpose(X, axes), X)


def test_layout_transform():
    same(lambda x: relay.layout_transform(x, "NCHW", "NHWC"), X.transpose(0, 2, 3, 1), X)


def test_a_blocked_layout_is_refused():
    with pytest.raises(InternalError, match="NCHW2c"):
        layout_transform([X], {"src_layout": "NCHW", "dst_layout": "NCHW2c"})


@pytest.mark.parametrize("axis", [1, -1])
def test_concatenate(axis):
    same(lambda x: relay.concatenate([x, x], axis), np.concatenate([X, X], axis), X)


def test_stack():
    same(lambda x: relay.stack([x, x], 1), np.stack([X, X], 1), X)


@pytest.mark.parametrize("where", [3, (1, 4)])
def test_split(where):
    got = run_op(lambda x: relay.split(x, where, axis=1), X)
    expected = np.split(X, where if isinstance(where, int) else list(where), axis=1)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("begin", "end", "strides", "axes", "expected"),
    [
        ([0, 1], [2, 5], None, None, X[:, 1:5]),
        ([1], [100], [2], [1], X[:, 1:100:2]),
        ([-2], [-1], None, [2], X[:, :, -2:-1]),
        ([5], [0], [-2], [1], X[:, 5:0:-2]),
        ([1, 0], [3, 2], [1, 1], [1, 3], X[:, 1:3, :, 0:2]),
    ],
)
def test_strided_slice(begin, end, strides, axes, expected):
    same(lambda x: relay.strided_slice(x, begin, end, strides, axes), expected, X)


def test_strided_slice_by_size():
    same(
        lambda x: relay.strided_slice(x, [0, 1, 2, 1], [2, 3, -1, 1], slice_mode="size"),
        X[0:2, 1:4, 2:, 1:2],
        X,
    )


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
def test_pad(mode):
    widths = ((0, 0), (0, 1), (2, 1), (1, 2))
    value = {"constant_values": 7.5} if mode == "constant" else {}
    same(lambda x: relay.nn.pad(x, widths, 7.5, mode), np.pad(X, widths, mode, **value), X)


def test_negative_padding_crops_as_onnxruntime():
    pads = np.array([0, 0, -1, 1, 0, 0, -2, 0], np.int64)
    widths = ((0, 0), (0, 0), (-1, -2), (1, 0))
    same(lambda x: relay.nn.pad(x, widths, 2.0), run_node("Pad", X, pads, np.array(2, np.float32)), X)


@pytest.mark.parametrize("mode", ["clip", "wrap", "fast"])
def test_take(mode):
    indices = np.array([[0, 5], [3, 3]], np.int64)
    same(lambda x, i: relay.take(x, i, axis=1, mode=mode), X[:, indices], X, indices)


def test_take_clips_and_wraps():
    indices = np.array([7, -1], np.int64)
    clipped = run_op(lambda x, i: relay.take(x, i, axis=1, mode="clip"), X, indices)
    np.testing.assert_array_equal(clipped, X[:, [5, 0]])
    wrapped = run_op(lambda x, i: relay.take(x, i, axis=1, mode="wrap"), X, indices)
    np.testing.assert_array_equal(wrapped, X[:, [1, 5]])


def test_broadcast_to_and_tile():
    data = random((1, 3))
    same(lambda x: relay.broadcast_to(x, (4, 3)), np.broadcast_to(data, (4, 3)), data)
    same(lambda x: relay.tile(x, (2, 2)), np.tile(data, (2, 2)), data)
