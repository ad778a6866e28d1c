"""Convolutions and products against ONNX Runtime.

The data are small whole numbers, whose sums float32 holds exactly, so the two must be equal, not close.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nincc.errors import InternalError
from nincc.verify.ops import conv
from tests.verify.onnx_op import run_node
from tests.verify.relay_op import relay, run_op


def whole(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float32)


@st.composite
def convolutions(draw):
    """Shapes and attributes of a convolution whose window fits its padded input."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    sides = draw(st.tuples(*[st.integers(0, 2)] * 4))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    room = [max(1, span - sides[axis] - sides[axis + 2]) for axis, span in enumerate(spans)]
    size = tuple(draw(st.integers(low, low + 6)) for low in room)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    per_group = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    return {
        "data": (draw(st.integers(1, 2)), groups * per_group[0], *size),
        "weight": (groups * per_group[1], per_group[0], *kernel),
        "strides": draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        "dilation": dilation,
        "padding": sides,
        "groups": groups,
        "seed": draw(st.integers(0, 999)),
    }


@settings(max_examples=80, deadline=None)
@given(convolutions())
def test_conv2d(case):
    data, weight = whole(case["data"], case["seed"]), whole(case["weight"], case["seed"] + 1)
    got = run_op(
        lambda x, w: relay.nn.conv2d(
            x,
            w,
            strides=case["strides"],
            padding=case["padding"],
            dilation=case["dilation"],
            groups=case["groups"],
        ),
        data,
        weight,
    )
    expected = run_node(
        "Conv",
        data,
        weight,
        strides=list(case["strides"]),
        pads=list(case["padding"]),
        dilations=list(case["dilation"]),
        group=case["groups"],
    )
    np.testing.assert_array_equal(got, expected)


def test_conv2d_in_chunks_of_rows(monkeypatch):
    """A column matrix that does not fit its limit is made a few rows at a time."""
    data, weight = whole((2, 3, 11, 9), 1), whole((5, 3, 3, 3), 2)
    monkeypatch.setattr(conv, "COLUMN_BYTES", 8 * 27 * 9 * 2)  # two rows: six chunks, the last one smaller
    got = run_op(lambda x, w: relay.nn.conv2d(x, w, padding=(1, 1)), data, weight)
    np.testing.assert_array_equal(got, run_node("Conv", data, weight, pads=[1, 1, 1, 1]))


def test_conv2d_channels_last():
    data, weight = whole((2, 6, 5, 4), 3), whole((3, 2, 4, 8), 4)
    got = run_op(
        lambda x, w: relay.nn.conv2d(
            x, w, data_layout="NHWC", kernel_layout="HWIO", strides=(2, 1), channels=8, kernel_size=(3, 2)
        ),
        data,
        weight,
    )
    nchw = run_node("Conv", data.transpose(0, 3, 1, 2), weight.transpose(3, 2, 0, 1), strides=[2, 1])
    np.testing.assert_array_equal(got, nchw.transpose(0, 2, 3, 1))


def test_a_blocked_layout_is_refused():
    with pytest.raises(InternalError, match="cannot turn layout 'NCHW4c'"):
        attributes = {"data_layout": "NCHW4c", "out_layout": "", "kernel_layout": "OIHW"}
        conv.conv2d([whole((1, 1, 2, 2, 4), 0), whole((1, 4, 1, 1), 0)], attributes)


def test_dense():
    data, weight = whole((3, 7), 5), whole((4, 7), 6)
    got = run_op(relay.nn.dense, data, weight)
    np.testing.assert_array_equal(got, run_node("Gemm", data, weight, transB=1))


@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)])
def test_matmul(transposed):
    left = whole((5, 3) if transposed[0] else (3, 5), 7)
    right = whole((4, 5) if transposed[1] else (5, 4), 8)
    got = run_op(lambda a, b: relay.nn.matmul(a, b, None, "", *transposed), left, right)
    expected = run_node("Gemm", left, right, transA=int(transposed[0]), transB=int(transposed[1]))
    np.testing.assert_array_equal(got, expected)


def test_batch_matmul_broadcasts_its_batch():
    left, right = whole((1, 3, 5), 9), whole((4, 2, 5), 10)
    got = run_op(relay.nn.batch_matmul, left, right)
    np.testing.assert_array_equal(got, run_node("MatMul", left, right.transpose(0, 2, 1)))


def test_the_largest_nin_layer_is_fast():
    """nin-imagenet's conv4, batch 4 (510 M multiply-accumulates): seconds, not minutes."""
    data, weight = whole((4, 384, 6, 6), 11), whole((1024, 384, 3, 3), 12)
    start = time.perf_counter()
    run_op(lambda x, w: relay.nn.conv2d(x, w, padding=(1, 1)), data, weight)
    assert time.perf_counter() - start < 5
