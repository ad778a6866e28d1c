"""Pooling against ONNX Runtime, and against a loop that spells the definition out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nincc.errors import InternalError
from tests.verify.onnx_op import run_node
from tests.verify.relay_op import random, relay, run_op


@st.composite
def pools(draw):
    """A pool whose windows all start within the padded map, and whose padding is smaller than its window."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    sides = tuple(draw(st.integers(0, kernel[axis % 2] - 1)) for axis in range(4))
    size = tuple(draw(st.integers(kernel[axis], kernel[axis] + 6)) for axis in range(2))
    case = {"shape": (draw(st.integers(1, 2)), 3, *size), "kernel": kernel, "strides": strides}
    ceil = draw(st.booleans())
    for axis in range(2):
        room = size[axis] + sides[axis] + sides[axis + 2] - kernel[axis]
        last = -(-room // strides[axis]) * strides[axis]
        assume(not ceil or last < size[axis] + sides[axis])  # ONNX drops a window that starts beyond; Relay keeps it
    return case | {"sides": sides, "ceil": ceil, "include": draw(st.booleans())}


@settings(max_examples=80, deadline=None)
@given(pools())
def test_max_pool2d(case):
    data = random(case["shape"])
    got = run_op(
        lambda x: relay.nn.max_pool2d(
            x, case["kernel"], case["strides"], padding=case["sides"], ceil_mode=case["ceil"]
        ),
        data,
    )
    expected = run_node(
        "MaxPool",
        data,
        kernel_shape=list(case["kernel"]),
        strides=list(case["strides"]),
        pads=list(case["sides"]),
        ceil_mode=int(case["ceil"]),
    )
    np.testing.assert_array_equal(got, expected)


def mean_by_definition(data: np.ndarray, case: dict, shape: tuple[int, ...]) -> np.ndarray:
    """Window by window: the sum of the taps in the map over the taps in the (padded) map."""
    top, left, bottom, right = case["sides"]
    height, width = data.shape[2:]
    result = np.zeros(shape)
    for row, column in np.ndindex(*shape[2:]):
        first_y, first_x = row * case["strides"][0] - top, column * case["strides"][1] - left
        ys = range(first_y, min(first_y + case["kernel"][0], height + bottom))
        xs = range(first_x, min(first_x + case["kernel"][1], width + right))
        real = [(y, x) for y in ys for x in xs if 0 <= y < height and 0 <= x < width]
        total = sum((data[:, :, y, x].astype(float) for y, x in real), np.zeros(shape[:2]))
        result[:, :, row, column] = total / (len(ys) * len(xs) if case["include"] else max(len(real), 1))
    return result


@settings(max_examples=80, deadline=None)
@given(pools())
def test_avg_pool2d_by_its_definition(case):
    data = random(case["shape"])
    got = run_op(
        lambda x: relay.nn.avg_pool2d(
            x,
            case["kernel"],
            case["strides"],
            padding=case["sides"],
            ceil_mode=case["ceil"],
            count_include_pad=case["include"],
        ),
        data,
    )
    np.testing.assert_allclose(got, mean_by_definition(data, case, got.shape), rtol=1e-12, atol=1e-14)


@settings(max_examples=60, deadline=None)
@given(pools())
def test_avg_pool2d_as_onnxruntime(case):
    data = random(case["shape"])
    got = run_op(
        lambda x: relay.nn.avg_pool2d(
            x, case["kernel"], case["strides"], padding=case["sides"], count_include_pad=case["include"]
        ),
        data,
    )
    expected = run_node(
        "AveragePool",
        data,
        kernel_shape=list(case["kernel"]),
        strides=list(case["strides"]),
        pads=list(case["sides"]),
        count_include_pad=int(case["include"]),
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_ceil_mode_average_divides_by_the_clipped_window():
    """AVE 3/2 with ceil on an 8 x 8 map of ones, as in nin-cifar10's second pool: still ones."""
    got = run_op(
        lambda x: relay.nn.avg_pool2d(x, (3, 3), (2, 2), ceil_mode=True, count_include_pad=True),
        np.ones((1, 1, 8, 8), np.float32),
    )
    np.testing.assert_array_equal(got, np.ones((1, 1, 4, 4)))


def test_dilated_max_pool2d():
    data = random((1, 2, 9, 9))
    got = run_op(lambda x: relay.nn.max_pool2d(x, (3, 2), (2, 1), dilation=(2, 3), padding=(1, 0)), data)
    expected = run_node("MaxPool", data, kernel_shape=[3, 2], strides=[2, 1], dilations=[2, 3], pads=[1, 0, 1, 0])
    np.testing.assert_array_equal(got, expected)


def test_channels_last_max_pool2d():
    data = random((2, 7, 6, 3))
    got = run_op(lambda x: relay.nn.max_pool2d(x, (3, 2), (2, 2), layout="NHWC"), data)
    expected = run_node("MaxPool", data.transpose(0, 3, 1, 2), kernel_shape=[3, 2], strides=[2, 2])
    np.testing.assert_array_equal(got, expected.transpose(0, 2, 3, 1))


@pytest.mark.parametrize(("kind", "node"), [("avg", "GlobalAveragePool"), ("max", "GlobalMaxPool")])
@pytest.mark.parametrize("adaptive", [False, True])
def test_global_pools(kind, node, adaptive):
    data = random((2, 3, 5, 4))
    name = f"adaptive_{kind}_pool2d" if adaptive else f"global_{kind}_pool2d"
    arguments = ((1, 1),) if adaptive else ()
    got = run_op(lambda x: getattr(relay.nn, name)(x, *arguments), data)
    assert got.shape == (2, 3, 1, 1)
    np.testing.assert_allclose(got, run_node(node, data), rtol=1e-5, atol=1e-6)


def test_adaptive_pool_to_its_own_size_is_the_identity():
    data = random((1, 2, 4, 3))
    got = run_op(lambda x: relay.nn.adaptive_avg_pool2d(x, (4, 3)), data)
    np.testing.assert_array_equal(got, data)


def test_adaptive_pool_to_several_pixels_is_refused():
    with pytest.raises(InternalError, match=r"\(4, 4\) map to \(2, 2\)"):
        run_op(lambda x: relay.nn.adaptive_avg_pool2d(x, (2, 2)), random((1, 2, 4, 4)))
