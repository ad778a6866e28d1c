"""nincc.cuda_mean and nincc.pool2d on a GPU, against float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import reference
from kernels.cuda_device import Array, run_operator
from kernels.strategies import kernel_settings, poolings


def softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.mark.parametrize("tiles", [1, 7, 16, 100])
@pytest.mark.parametrize("units", [1, 10, 17, 130])
@pytest.mark.parametrize("with_softmax", [False, True])
def test_mean_of_tiles(tiles: int, units: int, with_softmax: bool) -> None:
    width = -(-units // 4) * 4
    sums = np.random.default_rng(tiles).standard_normal((2, tiles, width)).astype(np.float32) * 8
    attrs = {"pixels": 3 * tiles, "softmax": units if with_softmax else 0, "threads": 64}
    result, _ = run_operator("nincc.cuda_mean", [sums], [], **attrs)
    mean = sums.astype(np.float64).sum(1)[:, :units] / (3 * tiles)
    expected = softmax(mean) if with_softmax else mean
    assert result.shape == ((2, units) if with_softmax else (2, 1, 1, width))
    np.testing.assert_allclose(result.reshape(2, -1)[:, :units], expected, rtol=1e-5, atol=1e-6)


def test_softmax_of_far_apart_scores() -> None:
    sums = np.zeros((1, 1, 40), np.float32)
    sums[0, 0, :3] = 1e4, -1e4, 9999
    result, _ = run_operator("nincc.cuda_mean", [sums], [], pixels=1, softmax=40, threads=64)
    np.testing.assert_allclose(result, softmax(sums[:, 0].astype(np.float64)), atol=1e-6)


@kernel_settings
@given(st.data(), st.integers(1, 3), st.integers(1, 20), st.integers(1, 12), st.integers(1, 12))
def test_pool2d(data: st.DataObject, batch: int, channels: int, height: int, width: int) -> None:
    pool = data.draw(poolings((height, width)))
    maps = np.random.default_rng(0).standard_normal((batch, channels, height, width)).astype(np.float32)
    packed = np.zeros((batch, height, width, -(-channels // 4) * 4), np.float32)
    packed[..., :channels] = maps.transpose(0, 2, 3, 1)
    result, _ = run_operator(
        "nincc.pool2d", [packed], [], kind=pool.kind, kernel=pool.kernel, strides=pool.strides, padding=pool.padding,
        out_size=pool.out_size, count_include_pad=int(pool.count_include_pad), lanes=4,
    )  # fmt: skip
    expected = reference.pool2d(maps, pool).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(result[..., :channels], expected, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (27, 13)])
@pytest.mark.parametrize("channels", [4, 20, 1100])
def test_global_avg_pool(size: tuple[int, int], channels: int) -> None:
    maps = np.random.default_rng(0).standard_normal((2, *size, channels)).astype(np.float32)
    result, _ = run_operator("nincc.global_avg_pool", [maps], [], lanes=4)
    np.testing.assert_allclose(result, maps.astype(np.float64).mean((1, 2), keepdims=True), atol=1e-6)
