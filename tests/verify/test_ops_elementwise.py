"""Elementwise operators, normalisations and reductions against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from tests.verify.onnx_op import run_node
from tests.verify.relay_op import random, relay, run_op

CLOSE = {"rtol": 2e-6, "atol": 2e-6}  # ONNX Runtime's side is float32


@pytest.mark.parametrize(
    ("build", "node"),
    [
        (relay.add, "Add"),
        (relay.subtract, "Sub"),
        (relay.multiply, "Mul"),
        (relay.divide, "Div"),
        (relay.maximum, "Max"),
        (relay.minimum, "Min"),
    ],
)
@pytest.mark.parametrize("shapes", [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (3, 1)), ((1, 4), (5, 1)), ((2, 2), ())])
def test_binary_with_broadcasting(build, node, shapes):
    left, right = random(shapes[0], 1), np.asarray(random(shapes[1], 2) + 3, np.float32)
    np.testing.assert_allclose(run_op(build, left, right), run_node(node, left, right), **CLOSE)


@pytest.mark.parametrize(
    ("build", "node"),
    [
        (relay.nn.relu, "Relu"),
        (relay.sigmoid, "Sigmoid"),
        (relay.tanh, "Tanh"),
        (relay.exp, "Exp"),
        (relay.negative, "Neg"),
        (relay.abs, "Abs"),
        (relay.floor, "Floor"),
        (relay.ceil, "Ceil"),
        (relay.erf, "Erf"),
        (relay.copy, "Identity"),
    ],
)
def test_unary(build, node):
    data = random((3, 50)) * 3
    np.testing.assert_allclose(run_op(build, data), run_node(node, data), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("build", "node"), [(relay.sqrt, "Sqrt"), (relay.log, "Log")])
def test_unary_of_positive_numbers(build, node):
    data = np.abs(random((30,))) + np.float32(0.1)
    np.testing.assert_allclose(run_op(build, data), run_node(node, data), **CLOSE)


def test_rsqrt():
    data = np.abs(random((30,))) + np.float32(0.1)
    np.testing.assert_allclose(run_op(relay.rsqrt, data), 1 / np.sqrt(data.astype(float)), rtol=1e-14)


def test_sigmoid_does_not_overflow():
    got = run_op(relay.sigmoid, np.array([-1e4, 0, 1e4], np.float32))
    np.testing.assert_array_equal(got, [0, 0.5, 1])


def test_whole_number_division_cuts_towards_zero():
    got = run_op(relay.divide, np.array([7, -7], np.int64), np.array([2, 2], np.int64))
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, [3, -3])


@pytest.mark.parametrize("axis", [1, -1])
def test_bias_add(axis):
    data, bias = random((2, 4, 3, 4)), random((4,), 1)
    got = run_op(lambda x, b: relay.nn.bias_add(x, b, axis), data, bias)
    expected = data.astype(float) + (bias[:, None, None] if axis == 1 else bias)
    np.testing.assert_allclose(got, expected, rtol=1e-15)


def test_leaky_relu():
    data = random((40,))
    got = run_op(lambda x: relay.nn.leaky_relu(x, 0.125), data)
    np.testing.assert_array_equal(got, run_node("LeakyRelu", data, alpha=0.125))


def test_prelu():
    data, slope = random((2, 3, 4, 4)), random((3,), 1)
    got = run_op(relay.nn.prelu, data, slope)
    np.testing.assert_allclose(got, run_node("PRelu", data, slope[:, None, None]), **CLOSE)


def test_clip():
    data = random((40,)) * 6
    got = run_op(lambda x: relay.clip(x, 0.0, 6.0), data)
    np.testing.assert_array_equal(got, np.minimum(np.maximum(data, 0), 6))


def test_cast_to_whole_numbers_and_back():
    got = run_op(lambda x: relay.cast(relay.cast(x, "int32"), "float32"), np.array([1.7, -1.7], np.float32))
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, [1, -1])


def test_batch_norm():
    data, (gamma, beta, mean) = random((2, 4, 3, 3)), random((3, 4), 1)
    variance = np.abs(random((4,), 2)) + np.float32(0.1)
    got = run_op(lambda x, *rest: relay.nn.batch_norm(x, *rest, epsilon=1e-3)[0], data, gamma, beta, mean, variance)
    expected = run_node("BatchNormalization", data, gamma, beta, mean, variance, epsilon=1e-3)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_batch_norm_without_scale_and_shift():
    data, rest = random((2, 4, 3, 3)), np.abs(random((4, 4), 1))
    got = run_op(lambda x, *rest: relay.nn.batch_norm(x, *rest, scale=False, center=False)[0], data, *rest)
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    expected = run_node("BatchNormalization", data, ones, zeros, rest[2], rest[3])
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_dropout_is_the_identity():
    data = random((3, 4))
    np.testing.assert_array_equal(run_op(lambda x: relay.nn.dropout(x, 0.5), data), data)


@pytest.mark.parametrize(("build", "node"), [(relay.nn.softmax, "Softmax"), (relay.nn.log_softmax, "LogSoftmax")])
@pytest.mark.parametrize("axis", [1, -1])
def test_softmax(build, node, axis):
    data = random((2, 5, 3)) * 50
    got = run_op(lambda x: build(x, axis=axis), data)
    np.testing.assert_allclose(got, run_node(node, data, axis=axis), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [3, 5])
def test_local_response_norm(size):
    data = random((2, 7, 3, 3)) * 4
    got = run_op(lambda x: relay.nn.lrn(x, size=size, axis=1, bias=2.0, alpha=0.3, beta=0.75), data)
    expected = run_node("LRN", data, size=size, bias=2.0, alpha=0.3, beta=0.75)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


REDUCTIONS = [
    ("mean", "ReduceMean"),
    ("sum", "ReduceSum"),
    ("max", "ReduceMax"),
    ("min", "ReduceMin"),
    ("prod", "ReduceProd"),
]


@pytest.mark.parametrize(("name", "node"), REDUCTIONS)
@pytest.mark.parametrize("axes", [(2, 3), (-1,), (0, 2), None])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(name, node, axes, keepdims):
    data = random((2, 3, 4, 5))
    got = run_op(lambda x: getattr(relay, name)(x, axis=axes, keepdims=keepdims), data)
    inputs = [] if axes is None else [np.array(axes, np.int64)]
    expected = run_node(node, data, *inputs, keepdims=int(keepdims))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_reduction_over_all_other_axes():
    data = random((2, 3, 4, 5))
    got = run_op(lambda x: relay.mean(x, axis=1, exclude=True), data)
    np.testing.assert_allclose(got, data.astype(float).mean(axis=(0, 2, 3)), rtol=1e-13)
