"""The GPU's cost rule: launches that fit any target, and a model that counts what the interpreter counts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from kernels.cuda_plans import check_plan
from nincc.gpu_target import GpuTarget
from nincc.kernels.cuda.candidates import Layer
from nincc.kernels.cuda.cost import LaunchCost
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.rule import MOST_TRAFFIC, Run, pick_launches, traffic_excess
from nincc.kernels.cuda.stage import Stage
from nincc.kernels.spec import Conv, Pooling
from nincc.target import load_target

TARGETS = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90"]


@cache
def target(name: str) -> GpuTarget:
    found = load_target(name)
    assert isinstance(found, GpuTarget)
    return found


def conv(
    channels: int, size: int, units: int, kernel: int, batch: int = 1, pool: Pooling | None = None, **given: int
) -> Conv:
    stride, padding = given.get("stride", 1), given.get("padding", kernel // 2)
    layout = "NCHW" if channels == 3 else "NHWC"
    return Conv(
        layout, batch, channels, (size, size), units, (kernel,) * 2, (stride,) * 2, (padding,) * 4, (1, 1), pool,
        "relu", 4, 1, 1,
    )  # fmt: skip


def layers(*units: int) -> tuple[Layer, ...]:
    return tuple(Layer(count, "relu") for count in units)


def halved(size: int) -> Pooling:
    return Pooling("max", (3, 3), (2, 2), (0, 0, 0, 0), (size // 2, size // 2))


def cifar10(batch: int) -> list[Run]:
    return [
        Run(conv(3, 32, 192, 5, batch), layers(192, 160, 96)),
        Run(conv(96, 32, 192, 5, batch, halved(32)), layers(192, 192, 192)),
        Run(conv(192, 16, 192, 3, batch, halved(16)), layers(192, 192, 10), "mean"),
    ]


def plans(runs: list[Run], name: str) -> list[Plan]:
    chosen = [pick_launches(run, target(name)) for run in runs]
    assert all(launches is not None for launches in chosen)
    return [choice.plan for launches in chosen for choice in launches or ()]


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("batch", [1, 5, 64])
def test_every_launch_fits_the_card(name: str, batch: int) -> None:
    for plan in plans(cifar10(batch), name):
        cost = LaunchCost(plan, target(name))
        assert cost.resident >= 1
        assert plan.shared_bytes <= target(name).shared_per_block
        assert cost.registers * plan.threads <= target(name).registers
        assert all(plan.workers(stage) <= plan.threads for stage in plan.stages)


def test_the_net_in_few_launches() -> None:
    assert len(plans(cifar10(1), "sm_80")) <= 6  # and one for the mean
    assert len(plans(cifar10(8), "sm_80")) <= 5


def test_a_small_grid_splits_the_reduction_and_the_reader_takes_the_partial_sums() -> None:
    first, second, *_ = plans(cifar10(1)[1:2], "sm_80")
    assert first.split > 1 and second.partials == first.split and second.source_activation == "relu"
    assert first.blocks >= target("sm_80").sm_count


def test_a_large_grid_takes_8_by_8_register_tiles() -> None:
    tiles = [(stage.pixels, stage.columns) for plan in plans(cifar10(64), "sm_80") for stage in plan.stages]
    assert sum(tile == (8, 8) for tile in tiles) > len(tiles) / 2


def test_whole_maps_end_in_the_mean_itself() -> None:
    run = Run(conv(192, 8, 10, 1, 256, padding=0), layers(10), "mean")
    (plan,) = plans([run], "sm_80")
    assert plan.epilogue == "mean" and plan.pixels == 64


def test_a_card_with_fewer_multiprocessors_splits_less() -> None:
    small = GpuTarget(**{**vars(target("sm_80")), "sm_count": 14})
    launches = pick_launches(cifar10(1)[1], small)
    assert launches is not None
    assert launches[0].plan.blocks < plans(cifar10(1)[1:2], "sm_80")[0].blocks


def test_no_plan_without_shared_memory() -> None:
    tiny = GpuTarget(**{**vars(target("sm_80")), "shared_per_block": 64, "shared_per_sm": 64})
    assert pick_launches(cifar10(1)[0], tiny) is None


@pytest.mark.parametrize("number", range(5))
def test_the_model_counts_instructions_and_bytes(number: int) -> None:
    plan = plans(cifar10(1), "sm_80")[number]
    cost, counts = LaunchCost(plan, target("sm_80")), check_plan(plan)
    assert counts.total == pytest.approx(cost.instructions, rel=0.25)
    assert counts.longest_thread == pytest.approx(cost.longest, rel=0.25)
    assert counts.read_sectors * 32 <= 1.2 * cost.read_bytes
    assert counts.bank_conflicts == 0


@pytest.mark.parametrize("batch", [1, 8])
def test_partial_sums_are_few_where_they_would_fill_the_cache(batch: int) -> None:
    chosen = plans(cifar10(batch), "sm_80")
    assert all(traffic_excess(plan) <= MOST_TRAFFIC for plan in chosen)
    assert max(plan.split for plan in chosen) >= (4 if batch == 1 else 2)


def test_more_threads_than_there_are_registers_for() -> None:
    """512 threads get 128 registers each: 48 sums and what a thread needs besides do not fit, 36 do."""
    stage = Stage(192, 96, "relu", 6, 8, 4)
    crowded = Plan(
        conv(96, 32, 192, 3), "patch", "no", 0, "none", (4, 6), (1, 1), 512, 16, 1, (1, 1), (stage,)
    )  # fmt: skip
    assert LaunchCost(crowded, target("sm_80")).resident == 0
    # Of 13 warps one scheduler has four, as of 16: ptxas gives 416 threads no more registers than 512.
    assert LaunchCost(replace(crowded, threads=416), target("sm_80")).resident == 0
    for roomy in (replace(crowded, threads=384), replace(crowded, stages=(replace(stage, pixels=9, columns=4),))):
        assert LaunchCost(roomy, target("sm_80")).resident > 0
