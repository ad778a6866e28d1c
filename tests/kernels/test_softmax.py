"""nn.softmax on CPUs: our kernel, as exact as float32 results can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nincc.kernels.ops  # noqa: F401 - registers the strategy
from codegen.test_build import compile_and_run
from nincc._tvm import tvm

relay = tvm.relay


@pytest.mark.parametrize("shape", [(1, 1), (3, 10), (2, 1000), (2, 3, 5), (4, 20000)])
def test_softmax_against_float64(shape: tuple[int, ...], tmp_path: Path) -> None:
    x = (8 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)
    var = relay.var("x", shape=shape)
    program, (got,) = compile_and_run([var], relay.nn.softmax(var), [x], tmp_path)
    shifted = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    expected = shifted / shifted.sum(-1, keepdims=True)
    np.testing.assert_allclose(got, expected, rtol=4e-6)  # what the float32 difference from the largest allows
    assert np.abs(got - expected).max() < 1.2e-7
    assert program.workspace_bytes == 0


def test_many_equal_classes_sum_to_one(tmp_path: Path) -> None:
    """Where a sequential float32 sum drifts: 100,000 equal terms."""
    x = np.zeros((1, 100_000), np.float32)
    var = relay.var("x", shape=x.shape)
    _, (got,) = compile_and_run([var], relay.nn.softmax(var), [x], tmp_path)
    np.testing.assert_allclose(got, 1e-5, rtol=1e-7)


def test_another_axis_is_left_to_topi(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((2, 7, 3)).astype(np.float32)
    var = relay.var("x", shape=x.shape)
    _, (got,) = compile_and_run([var], relay.nn.softmax(var, axis=1), [x], tmp_path)
    powers = np.exp(x.astype(np.float64))
    np.testing.assert_allclose(got, powers / powers.sum(1, keepdims=True), rtol=1e-6)


def test_large_and_small_logits_do_not_overflow(tmp_path: Path) -> None:
    x = np.array([[1e30, 0, -1e30, 1e30]], np.float32)
    var = relay.var("x", shape=x.shape)
    _, (got,) = compile_and_run([var], relay.nn.softmax(var), [x], tmp_path)
    np.testing.assert_array_equal(got, [[0.5, 0, 0, 0.5]])
