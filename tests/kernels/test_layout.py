"""nincc.pack and nincc.unpack move every element to its place, and packing zeroes the rest."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels import strategies
from kernels.harness import build_op, packed, target_of
from kernels.strategies import kernel_settings

shapes = st.tuples(st.sampled_from([1, 2, 5]), st.integers(1, 40), st.integers(1, 7), st.integers(1, 7))


@kernel_settings
@given(strategies.lanes, shapes, strategies.tasks)
def test_pack(lanes, shape, tasks):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    y = build_op(target_of(lanes), "nincc.pack", [shape], lanes=lanes, tasks=tasks)(x)
    assert np.array_equal(y, np.nan_to_num(packed(x, lanes)))


@kernel_settings
@given(strategies.lanes, shapes, strategies.tasks)
def test_unpack(lanes, shape, tasks):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    data = packed(x, lanes)
    y = build_op(target_of(lanes), "nincc.unpack", [data.shape], channels=shape[1], tasks=tasks)(data)
    assert np.array_equal(y, x)
