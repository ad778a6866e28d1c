"""Weights in the kernels' order."""

from __future__ import annotations

import numpy as np
import pytest

from nincc.kernels.pack_weights import pack_bias, pack_conv2d, pack_gemm, unpack_gemm


@pytest.mark.parametrize("units", [1, 8, 16, 21])
@pytest.mark.parametrize("panel", [8, 16, 32])
def test_gemm_panels_hold_every_weight_and_zeros(units, panel):
    weight = np.arange(1, units * 5 + 1, dtype=np.float32).reshape(units, 5)
    packed = pack_gemm(weight, panel)
    assert packed.shape == (-(-units // panel), 5, panel) and packed.dtype == np.float32
    assert packed.flags.c_contiguous
    for unit in range(packed.shape[0] * panel):
        column = packed[unit // panel, :, unit % panel]
        assert np.array_equal(column, weight[unit] if unit < units else np.zeros(5))
    assert np.array_equal(unpack_gemm(packed, units), weight)


def test_convolution_panels_have_channels_innermost():
    weight = np.random.default_rng(0).standard_normal((10, 3, 2, 4))
    packed = pack_conv2d(weight, 8)
    assert packed.shape == (2, 24, 8)
    for unit, channel, row, col in np.ndindex(weight.shape):
        depth = (row * 4 + col) * 3 + channel
        assert packed[unit // 8, depth, unit % 8] == np.float32(weight[unit, channel, row, col])


def test_bias_is_padded_to_whole_panels():
    assert pack_bias(np.array([1.0, 2.0, 3.0]), 2).tolist() == [1.0, 2.0, 3.0, 0.0]
