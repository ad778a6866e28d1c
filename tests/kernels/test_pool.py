"""Pooling against windows taken one by one, edges included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import reference, strategies
from kernels.harness import assert_close, build_op, lanes_here, packed, target_of, unpacked
from kernels.strategies import kernel_settings
from nincc.kernels.spec import Pooling


def check(lanes, shape, pool, tasks=1):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32) - 3.0
    data = packed(x, lanes)
    attrs = {
        "kind": pool.kind, "kernel": pool.kernel, "strides": pool.strides, "padding": pool.padding,
        "out_size": pool.out_size, "count_include_pad": int(pool.count_include_pad),
    }  # fmt: skip
    y = build_op(target_of(lanes), "nincc.pool2d", [data.shape], lanes=lanes, tasks=tasks, **attrs)(data)
    assert_close(unpacked(y, shape[1]), reference.pool2d(x, pool))


@st.composite
def pools(draw):
    size = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    shape = (draw(st.sampled_from([1, 2, 5])), draw(st.integers(1, 40)), *size)
    return draw(strategies.lanes), shape, draw(strategies.poolings(size)), draw(strategies.tasks)


@kernel_settings
@given(pools())
def test_pool_of_any_shape(case):
    check(*case)


@pytest.mark.parametrize(
    "size, pool",
    [
        ((32, 32), Pooling("max", (3, 3), (2, 2), (0, 0, 0, 0), (16, 16))),  # Caffe's ceil rule
        ((32, 32), Pooling("avg", (3, 3), (2, 2), (0, 0, 0, 0), (16, 16), True)),
        ((7, 7), Pooling("avg", (3, 3), (2, 2), (1, 1, 1, 1), (4, 4), False)),
        ((8, 8), Pooling("avg", (8, 8), (1, 1), (0, 0, 0, 0), (1, 1))),  # too large a window to unroll
        ((9, 9), Pooling("max", (6, 6), (3, 3), (0, 0, 0, 0), (2, 2))),
    ],
)
def test_pools_found_in_nins(size, pool):
    check(lanes_here()[-1], (1, 20, *size), pool)


@pytest.mark.parametrize("lanes", lanes_here())
@pytest.mark.parametrize("shape, tasks", [((1, 192, 8, 8), 1), ((3, 21, 6, 5), 4), ((1, 7, 1, 1), 2)])
def test_global_average(lanes, shape, tasks):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    data = packed(x, lanes)
    built = build_op(target_of(lanes), "nincc.global_avg_pool", [data.shape], lanes=lanes, tasks=tasks)
    assert_close(unpacked(built(data), shape[1]), x.astype(np.float64).mean((2, 3), keepdims=True))
