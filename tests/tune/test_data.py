"""A trial's reference, against the reference evaluator's own words: plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nincc.kernels.spec import Conv, Pooling
from nincc.records.spaces import space_of
from nincc.records.task import task_for
from nincc.records.workload import chain_workload, conv_workload, gemm_pool_workload, gemm_workload
from nincc.tune.data import error_of, make_sample, packed, pooled
from tests.records.lines import X86

SMALL = Conv("NHWC", 2, 3, (7, 6), 5, (3, 2), (2, 1), (1, 0, 2, 1), (1, 2), None, "relu", 8, 1, 1)
AVERAGE = Pooling("avg", (3, 3), (2, 2), (1, 1, 0, 0), (4, 4))


def by_loops(conv: Conv, data, weight, bias):
    top, left, low, far = conv.padding
    padded = np.pad(data.astype(float), ((0, 0), (0, 0), (top, low), (left, far)))
    rows, cols = conv.out_size
    out = np.zeros((conv.batch, rows, cols, conv.units))
    for n, y, x, u in np.ndindex(out.shape):
        for i, j in np.ndindex(conv.kernel):
            down, right = y * conv.strides[0] + i * conv.dilation[0], x * conv.strides[1] + j * conv.dilation[1]
            out[n, y, x, u] += padded[n, :, down, right] @ weight[u, :, i, j]
    return np.maximum(out + bias, 0).reshape(-1, conv.units)


def test_a_convolution() -> None:
    sample = make_sample(conv_workload(SMALL), 1)
    expected = by_loops(SMALL, sample.data, sample.weights[0].astype(float), sample.biases[0])
    np.testing.assert_allclose(sample.expected, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("counted", [False, True])
def test_an_average_divides_by_what_it_saw(counted: bool) -> None:
    data = np.random.default_rng(0).standard_normal((1, 2, 7, 8))
    result = pooled(replace(AVERAGE, count_include_pad=counted), data)
    corner = data[:, :, :2, :2].sum(axis=(2, 3)) / (9 if counted else 4)
    np.testing.assert_allclose(result[:, :, 0, 0], corner)
    np.testing.assert_allclose(result[:, :, 3, 3], data[:, :, 5:7, 5:8].mean(axis=(2, 3)))


def test_a_maximum_ignores_the_padding() -> None:
    data = -np.ones((1, 1, 4, 4))
    assert (pooled(Pooling("max", (3, 3), (2, 2), (1, 1, 0, 0), (3, 3)), data) == -1).all()


def test_products_and_their_means() -> None:
    sample = make_sample(gemm_pool_workload(2, 9, 4, 3), 0)
    rows = make_sample(gemm_workload(18, 4, 3), 0)
    np.testing.assert_allclose(sample.expected, rows.expected.reshape(2, 9, 3).mean(axis=1))


def test_a_chain() -> None:
    workload = chain_workload(6, 20, [9, 24, 5])
    sample = make_sample(workload, 0)
    rows = sample.data.astype(float)
    for weight, bias in zip(sample.weights, sample.biases, strict=True):
        rows = np.maximum(rows @ weight.T + bias, 0)
    assert [weight.shape for weight in sample.weights] == [(9, 20), (24, 9), (5, 24)]
    np.testing.assert_allclose(sample.expected, rows, rtol=1e-6)


def test_a_right_output_passes_and_any_wrong_one_does_not() -> None:
    space = space_of(task_for(gemm_workload(6, 16, 5), X86, 1))
    knobs = next(space.points())
    sample = make_sample(space.task.workload, 0)
    data, weight, bias = packed(space, knobs, sample)
    assert data.shape == (6, 16) and weight.shape == (1, 16, 16) and bias.shape == (16,)
    output = np.full((6, 8), 7, np.float32)
    output[:, :5] = sample.expected
    off, allowed = error_of(space, knobs, sample, output.ravel())
    assert off < allowed < 1e-5
    for wrong in (np.float32(np.nan), output[2, 3] + np.float32(1e-4) * output.max()):
        broken = output.copy()
        broken[2, 3] = wrong
        assert error_of(space, knobs, sample, broken.ravel())[0] > allowed
