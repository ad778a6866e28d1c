"""The whole pipeline for a GPU: nets run in the PTX interpreter as they should, and within their budgets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from kernels.cuda_device import Prepared
from nincc import zoo
from nincc.codegen.build import build_program
from nincc.codegen.cuda.operands import LeastTraffic, least_traffic
from nincc.emulate.ptx import Counts
from nincc.frontend import load_model, to_relay
from nincc.gpu_target import fma_lanes
from nincc.passes.pipeline import GPU_PIPELINE, optimize, pipeline_for
from passes.gpu_running import OPTIONS, assert_runs_like
from passes.random_relay import random_net
from passes.running import operators

LANES = fma_lanes(OPTIONS.target.sm)


@pytest.mark.parametrize("seed", range(12))
def test_random_nets(seed: int) -> None:
    before = random_net(seed)
    after, _ = optimize(before, OPTIONS)
    assert not {"nincc.conv2d", "nincc.gemm", "nincc.gemm_pool"} & set(operators(after))
    assert_runs_like(before, after)


def test_a_gpu_has_its_own_last_passes() -> None:
    names = [step.name for step in GPU_PIPELINE]
    assert {"FuseMlpconv", "FuseHead"} <= set(names) and "FuseGemmChain" not in names
    assert pipeline_for(OPTIONS.target) is GPU_PIPELINE


def counted(batch: int, folder: Path) -> tuple[list[Counts], tuple[LeastTraffic, ...]]:
    """The launches of nin-cifar10, by the optimised module, and what each must move at least."""
    path = folder / "net.onnx"
    onnx.save(zoo.build("nin-cifar10", batch), path)
    module, _ = optimize(to_relay(load_model(path)), OPTIONS)
    data = np.random.default_rng(1).standard_normal((batch, 3, 32, 32)).astype(np.float32)
    prepared = Prepared(module)
    least = least_traffic(build_program(prepared.lowered, (), (), 1))
    return prepared.run([data], races=batch == 1).counts, least


def check_kernels(launches: list[Counts]) -> None:
    for counts in launches:
        assert counts.bank_conflicts == 0
        if counts.instructions["fma"] > 10**6:
            assert counts.shared_to_fma(LANES) <= 1.15


def test_nin_cifar10_of_one_image(tmp_path: Path) -> None:
    launches, _ = counted(1, tmp_path)
    total = sum(launches[1:], launches[0])
    assert len(launches) <= 7
    assert total.fma_share >= 0.80 and total.total <= 277e6
    assert total.longest_thread <= 15_000
    check_kernels(launches)


def test_nin_cifar10_of_eight_images(tmp_path: Path) -> None:
    launches, least = counted(8, tmp_path)
    total = sum(launches[1:], launches[0])
    assert len(launches) <= 6 and total.fma_share >= 0.84
    check_kernels(launches)
    for counts, bound in zip(launches, least, strict=True):
        assert 0.9 * bound.read_sectors <= counts.unique_read_sectors <= 3 * bound.read_sectors
