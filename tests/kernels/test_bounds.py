"""No kernel reads or writes a byte outside of its buffers: their neighbours are pages without access rights."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.harness import build_op, lanes_here, packed, stays_inside, target_of
from kernels.test_conv2d import attributes
from kernels.test_gemm_chain import case as chain_case
from nincc.kernels.pack_weights import pack_bias, pack_conv2d, pack_gemm
from nincc.kernels.spec import Pooling

rng = np.random.default_rng(0)
x = rng.standard_normal((2, 13, 5, 7)).astype(np.float32)


@pytest.mark.parametrize("lanes", lanes_here())
@pytest.mark.parametrize("op, order", [("nincc.gemm", "nm"), ("nincc.gemm", "mn"), ("nincc.gemm_pool", "nm")])
def test_gemms(lanes, op, order):
    panel = target_of(lanes).panel
    arrays = [packed(x, lanes), pack_gemm(rng.standard_normal((21, 13)), panel), pack_bias(np.ones(21), panel)]
    attrs = {"units": 21, "channels": 13, "activation": "relu", "lanes": lanes, "mr": 4, "tasks": 2}
    attrs |= {"order": order, "block": 2}
    assert stays_inside(build_op(target_of(lanes), op, [a.shape for a in arrays], **attrs), *arrays)


@pytest.mark.parametrize("lanes", lanes_here())
@pytest.mark.parametrize("rows", [69, 70])
def test_gemm_chains(lanes, rows):
    data = rng.standard_normal((1, 37, rows, 1)).astype(np.float32)
    arrays, attrs = chain_case(lanes, data, (70, 21), (True, False), block=2, mr=4, tasks=2)
    assert stays_inside(build_op(target_of(lanes), "nincc.gemm_chain", [a.shape for a in arrays], **attrs), *arrays)


@pytest.mark.parametrize("lanes", lanes_here())
@pytest.mark.parametrize(
    "given",
    [
        {"layout": "NCHW", "padding": (2, 2, 2, 2), "kernel": (5, 5)},
        {"padding": (1, 1, 1, 1), "kernel": (3, 3), "strides": (2, 2), "tasks": 2},
        {"pool": str(Pooling("max", (3, 3), (2, 2), (0, 0, 0, 0), (2, 3))), "kernel": (1, 2)},
        {"pool": str(Pooling("avg", (3, 3), (2, 2), (1, 1, 1, 1), (3, 4))), "kernel": (2, 2)},
    ],
)
def test_convolutions(lanes, given):
    attrs = attributes(lanes, 13, 21, **given)
    panel = target_of(lanes).panel
    weight = rng.standard_normal((21, 13, *attrs["kernel"]))
    data = x if attrs["layout"] == "NCHW" else packed(x, lanes)
    arrays = [data, pack_conv2d(weight, panel), pack_bias(np.ones(21), panel)]
    assert stays_inside(build_op(target_of(lanes), "nincc.conv2d", [a.shape for a in arrays], **attrs), *arrays)


@pytest.mark.parametrize("lanes", lanes_here())
def test_pools_and_layouts(lanes):
    target, data = target_of(lanes), packed(x, lanes)
    pool = {
        "kind": "max", "kernel": (3, 3), "strides": (2, 2), "padding": (1, 1, 1, 1), "out_size": (3, 4),
        "count_include_pad": 0,
    }  # fmt: skip
    assert stays_inside(build_op(target, "nincc.pool2d", [data.shape], lanes=lanes, **pool), data)
    assert stays_inside(build_op(target, "nincc.global_avg_pool", [data.shape], lanes=lanes), data)
    assert stays_inside(build_op(target, "nincc.unpack", [data.shape], channels=13), data)
    assert stays_inside(build_op(target, "nincc.pack", [x.shape], lanes=lanes), x)


def test_the_check_itself_catches_a_read_past_the_end():
    """13 pixels given where the kernel was built for 14: the last one's row is not there."""
    built = build_op(target_of(4), "nincc.pack", [(1, 3, 2, 7)], lanes=4)
    assert not stays_inside(built, np.zeros((1, 3, 1, 13), np.float32))
