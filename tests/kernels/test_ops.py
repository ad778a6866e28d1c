"""The operators as Relay sees them: types, attributes, and one kernel each."""

from __future__ import annotations

import pytest

from kernels.harness import operator, target_of
from kernels.test_conv2d import attributes
from nincc._tvm import tvm
from nincc.codegen.lower import lower
from nincc.kernels.ops import OPERATORS

GEMM = {"units": 20, "channels": 13, "activation": "none", "lanes": 8, "mr": 4, "tasks": 2}
POOL = {
    "kind": "avg", "kernel": (3, 3), "strides": (2, 2), "padding": (0, 0, 0, 0), "out_size": (2, 3),
    "count_include_pad": 1, "lanes": 8,
}  # fmt: skip
MAP, WEIGHT, BIAS = (2, 5, 7, 16), (2, 13, 16), (32,)
CASES = {
    "nincc.pack": ([(2, 13, 5, 7)], {"lanes": 8}, (2, 5, 7, 16)),
    "nincc.unpack": ([MAP], {"channels": 13}, (2, 13, 5, 7)),
    "nincc.gemm": ([MAP, WEIGHT, BIAS], GEMM | {"order": "mn", "block": 0}, (2, 5, 7, 24)),
    "nincc.gemm_chain": (
        [MAP, (7 * 13 - 3 * 5, 16), BIAS],
        GEMM | {"units": (32,), "activations": ("relu",), "strassen": (1,), "block": 2},
        (2, 5, 7, 32),
    ),
    "nincc.gemm_pool": ([MAP, WEIGHT, BIAS], GEMM, (2, 1, 1, 24)),
    "nincc.conv2d": ([MAP, (2, 117, 16), BIAS], attributes(8, 13, 20, (3, 3)), (2, 3, 5, 24)),
    "nincc.conv2d_winograd": (
        [MAP, (32, 13, 16), BIAS],
        attributes(8, 13, 20, (3, 3)) | {"m": 2, "r": 3, "tile_block": 4, "unit_block": 16, "order": "tile"},
        (2, 3, 5, 24),
    ),
    "nincc.pool2d": ([MAP], POOL, (2, 2, 3, 16)),
    "nincc.global_avg_pool": ([MAP], {"lanes": 8}, (2, 1, 1, 16)),
}


def test_every_operator_of_cpus_has_a_case():
    """Those of GPUs stand in test_cuda_*.py: they have no CPU kernel to lower to."""
    assert set(CASES) == {name for name in OPERATORS if not name.startswith("nincc.cuda_")}


@pytest.mark.parametrize("name", CASES)
def test_type_and_lowering(name):
    shapes, attrs, expected = CASES[name]
    module = tvm.relay.transform.InferType()(tvm.IRModule.from_expr(operator(name, shapes, **attrs)))
    assert tuple(int(extent) for extent in module["main"].ret_type.shape) == expected
    assert len(lower(module, target_of(8), threads=2).kernels) == 1


@pytest.mark.parametrize("name", ["nincc.gemm", "nincc.conv2d"])
@pytest.mark.parametrize("tasks, parallel", [(1, 0), (2, 1)])
def test_only_several_tasks_make_a_parallel_loop(name, tasks, parallel):
    shapes, attrs, _ = CASES[name]
    module = tvm.relay.transform.InferType()(tvm.IRModule.from_expr(operator(name, shapes, **attrs | {"tasks": tasks})))
    ((_, kernel),) = lower(module, target_of(8), threads=2).kernels.items()
    loops = []
    tvm.tir.stmt_functor.post_order_visit(
        kernel.func.body,
        lambda node: (
            loops.append(node) if isinstance(node, tvm.tir.For) and node.kind == tvm.tir.ForKind.PARALLEL else 0
        ),
    )
    assert len(loops) == parallel
