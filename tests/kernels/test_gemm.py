"""nincc.gemm and nincc.gemm_pool against float64, for any shape and knob."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import reference, strategies
from kernels.harness import assembly, assert_close, build_op, lanes_here, packed, target_of, unpacked
from kernels.strategies import kernel_settings
from nincc.kernels.gemm import Tiles
from nincc.kernels.pack_weights import pack_bias, pack_gemm
from nincc.kernels.spec import most_chain_rows, most_rows
from nincc.target import load_target

WHOLE = {"order": "nm", "block": 0}


def run(op, lanes, shape, units, activation, seed=0, **knobs):
    """(result on NCHW, float64 expectation of the GEMM) for random data of ``shape``."""
    rng = np.random.default_rng(seed)
    x, weight = rng.standard_normal(shape), rng.standard_normal((units, shape[1])) / np.sqrt(shape[1])
    bias = rng.standard_normal(units)
    x, weight, bias = (array.astype(np.float32) for array in (x, weight, bias))
    target = target_of(lanes)
    arrays = [packed(x, lanes), pack_gemm(weight, target.panel), pack_bias(bias, target.panel)]
    attrs = {"units": units, "channels": shape[1], "activation": activation, "lanes": lanes} | knobs
    y = build_op(target, op, [array.shape for array in arrays], **attrs)(*arrays)
    return unpacked(y, units), reference.activate(reference.gemm(x, weight, bias), activation)


@kernel_settings
@given(
    strategies.lanes, strategies.batches, strategies.channels, st.integers(1, 9), st.integers(1, 9),
    strategies.channels, strategies.activations, strategies.rows, strategies.tasks, st.sampled_from(["mn", "nm"]),
    st.integers(0, 9),
)  # fmt: skip
def test_gemm_of_any_shape(lanes, batch, channels, height, width, units, activation, mr, tasks, order, block):
    shape = (batch, channels, height, width)
    knobs = {"mr": mr, "tasks": tasks, "order": order, "block": block}
    y, expected = run("nincc.gemm", lanes, shape, units, activation, **knobs)
    assert_close(y, expected)


@kernel_settings
@given(
    strategies.lanes, strategies.batches, strategies.channels, st.integers(1, 9), st.integers(1, 9),
    strategies.channels, strategies.activations, strategies.rows, strategies.tasks,
)  # fmt: skip
def test_gemm_pool_of_any_shape(lanes, batch, channels, height, width, units, activation, mr, tasks):
    shape = (batch, channels, height, width)
    y, expected = run("nincc.gemm_pool", lanes, shape, units, activation, mr=mr, tasks=tasks)
    assert_close(y, expected.mean((2, 3), keepdims=True))


@pytest.mark.parametrize("lanes", lanes_here())
@pytest.mark.parametrize("batch, channels, units", [(1, 192, 160), (8, 160, 96), (1, 192, 10)])
def test_gemms_of_nin_cifar10_with_the_largest_tile(lanes, batch, channels, units):
    mr = most_rows(target_of(lanes))
    y, expected = run("nincc.gemm", lanes, (batch, channels, 8, 8), units, "relu", tasks=4, mr=mr, order="nm", block=3)
    assert_close(y, expected)


@pytest.mark.parametrize("block", [0, 3])
def test_results_do_not_depend_on_the_number_of_tasks(block):
    knobs = {"mr": 4, "order": "nm", "block": block}
    outputs = [run("nincc.gemm", 4, (2, 30, 5, 5), 37, "relu", tasks=tasks, **knobs)[0] for tasks in (1, 2, 7)]
    assert np.array_equal(outputs[0], outputs[1]) and np.array_equal(outputs[0], outputs[2])


@pytest.mark.skipif(8 not in lanes_here(), reason="needs an x86-64-v3 CPU to tell FMA code by")
def test_the_inner_loop_is_fma_on_registers():
    """At 6 rows on AVX2: 12 vector FMAs for each of 4 turns, and no spill to the stack between them."""
    target = target_of(8)
    shapes = [(1, 6, 1, 64), (1, 64, 16), (16,)]
    attrs = {"units": 16, "channels": 64, "activation": "none", "lanes": 8, "mr": 6, "tasks": 1} | WHOLE
    loop = max(assembly(target, "nincc.gemm", shapes, **attrs), key=lambda block: block.count("vfmadd"))
    fused = [line for line in loop.splitlines() if "vfmadd" in line]
    assert len(fused) == 48 and all("ymm" in line for line in fused)
    assert "rsp" not in loop


@pytest.mark.parametrize("channels", [3, 30])
def test_rows_loaded_as_vectors_give_the_same(monkeypatch, channels):
    """The form for 64-bit ARM, run here."""
    monkeypatch.setattr("nincc.kernels.register_tile.fma_by_element", lambda *_: True)
    for op, knobs in (("nincc.gemm", WHOLE), ("nincc.gemm_pool", {})):
        y, expected = run(op, 4, (2, channels, 3, 5), 21, "relu", mr=4, tasks=2, **knobs)
        assert_close(y, expected.mean((2, 3), keepdims=True) if op == "nincc.gemm_pool" else expected)


def test_64_bit_arm_multiplies_by_elements():
    """At 6 rows: 192 FMAs for 28 loads (16 pairs of B, 12 of A), two prefetches, and hardly anything else."""
    target = load_target("cortex-a72")
    shapes = [(1, 6, 1, 160), (1, 160, target.panel), (target.panel,)]
    attrs = {"units": target.panel, "channels": 160, "activation": "none", "lanes": target.lanes, "mr": 6, "tasks": 1}
    loop = max(assembly(target, "nincc.gemm", shapes, **WHOLE, **attrs), key=lambda block: block.count("fmla"))
    body = loop[: loop.index("b.ne")]
    fused = [line for line in body.splitlines() if "fmla" in line]
    assert len(fused) == 192 and all(".s[" in line for line in fused)
    assert len(body.strip().splitlines()) <= 192 + 28 + 2 + 5
    assert "[sp" not in body


def test_half_a_panel_is_a_tile_of_one_vector():
    assert Tiles(10, 20, 8, 6).half_panel and Tiles(10, 20, 8, 6).panels == 2
    assert not Tiles(10, 25, 8, 6).half_panel
    assert Tiles(10, 8, 8, 6).half_panel and Tiles(10, 8, 8, 6).panels == 1
    assert not Tiles(10, 16, 8, 6).half_panel


LARGEST = [
    ("x86-64-v2", 5), ("x86-64-v3", 6), ("x86-64-v4", 8), ("cortex-a72", 6), ("cortex-a53", 5), ("cortex-a7", 5)
]  # fmt: skip


@pytest.mark.parametrize("name, mr", LARGEST)
def test_the_largest_tile_fits_the_registers(name, mr):
    target = load_target(name)
    assert most_rows(target) == mr
    assert most_chain_rows(target) == mr - (target.architecture != "x86_64")  # there, LLVM spills at mr
    assert 2 * mr + 3 <= target.registers
