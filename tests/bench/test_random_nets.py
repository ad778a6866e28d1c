"""Random nets: what they cover, that they are sound models, and that twenty of them compile to right numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from nincc.bench.random_nets import BUDGET, SMALL_BUDGET, Convolution, Plan, Pooling, Window, random_net, random_plan
from nincc.macs import count_layers, total_macs

ROOT = Path(__file__).resolve().parents[2]


def plans(count: int, budget: tuple[float, float] = BUDGET) -> list[Plan]:
    return [random_plan(np.random.default_rng([seed, 0]), budget) for seed in range(count)]


def test_two_hundred_nets_cover_what_they_promise():
    drawn = plans(200)
    layers = [layer for plan in drawn for layer in plan.layers]
    convolutions = [layer for layer in layers if isinstance(layer, Convolution)]
    kernels = [c.window for c in convolutions if c.name.startswith("conv")]
    pools = [layer for layer in layers if isinstance(layer, Pooling)]
    channels = {c.maps for c in convolutions}
    assert min(channels) <= 2 and max(channels) == 200
    assert {window.size[0] for window in kernels} == set(range(1, 12))
    assert any(window.size[0] != window.size[1] for window in kernels)
    assert {window.strides[0] for window in kernels} == {1, 2, 3, 4}
    assert any(window.pads[:2] != window.pads[2:] for window in kernels)
    assert {(pool.op, pool.window.ceil) for pool in pools} == {
        (op, ceil) for op in ("MaxPool", "AveragePool") for ceil in (False, True)
    }
    assert {plan.shape[0] for plan in drawn} == set(range(1, 10))
    assert {plan.shape[2] % 2 for plan in drawn} == {0, 1}
    assert {sum(c.name.startswith("conv") for c in plan.layers) for plan in drawn} == {2, 3, 4}
    assert {(plan.softmax, plan.layers[-1].relu) for plan in drawn} == {
        (softmax, relu) for softmax in (False, True) for relu in (False, True)
    }


@pytest.mark.parametrize("small", [False, True])
def test_cost_is_within_the_budget_and_counted_right(small):
    low, high = SMALL_BUDGET if small else BUDGET
    for seed in range(5):
        macs = total_macs(count_layers(random_net(seed, small)))
        assert low / 2 <= macs <= high
        assert macs == random_plan(np.random.default_rng([seed, int(small)]), (low, high)).macs()


def test_same_seed_same_bytes():
    assert random_net(7).SerializeToString() == random_net(7).SerializeToString()
    assert random_net(7).SerializeToString() != random_net(8).SerializeToString()


def test_window_that_would_start_in_the_end_padding_does_not_count():
    assert Window((2, 2), (3, 3), (0, 0, 1, 1), ceil=True).output((3, 4)) == (1, 2)
    assert Window((3, 3), (2, 2), (0, 0, 0, 0), ceil=True).output((32, 5)) == (16, 2)


@pytest.mark.parametrize("seed", range(20))
def test_onnx_runtime_runs_it_to_a_live_output_of_the_declared_shape(seed):
    proto = random_net(seed, small=True)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    images = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    (output,) = session.run(None, {"data": images})
    assert list(output.shape) == session.get_outputs()[0].shape
    assert np.isfinite(output).all()
    assert np.ptp(output) > 0


def test_twenty_compiled_nets_are_right(tmp_path):
    """Within 1e-5 of the float64 evaluation, on normal, uniform, zero and large inputs; two sweeps at a time."""
    sweeps = [start_sweep(first, tmp_path / f"{first}.jsonl") for first in (0, 10)]
    said = [sweep.communicate() for sweep in sweeps]
    for sweep, (found, lines) in zip(sweeps, said, strict=True):
        assert sweep.returncode == 0, lines
        assert json.loads(found)["nets"] == 10 == lines.count("  ok  ")


def start_sweep(first, results):
    command = [sys.executable, "examples/sweep.py", "--small", "--no-race", "--nets", "10", "--first", str(first)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*command, "--results", str(results)], cwd=ROOT, env=environment, **pipes)
