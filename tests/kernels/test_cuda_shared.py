"""Clocks of shared memory: a plan tells what the interpreter counts, and that decides which plans are taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kernels.cuda_plans import check_plan, segments, some_plan
from kernels.strategies import kernel_settings
from nincc.gpu_target import GpuTarget
from nincc.kernels.cuda.candidates import Layer, Segment, chunk_fits
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.rule import PATIENCE, Choice, Cut, cheapest_cuts, may_wait
from nincc.kernels.cuda.shared import clocks_of, keeps_pace, multiply_adds, shared_clocks, staging_clocks
from nincc.kernels.cuda.stage import Stage
from nincc.kernels.spec import Conv, Pooling
from nincc.target import load_target

HALVED = Pooling("max", (3, 3), (2, 2), (0, 0, 1, 1), (27, 27))
CONV2 = Conv("NHWC", 1, 96, (54, 54), 256, (5, 5), (1, 1), (2,) * 4, (1, 1), HALVED, "relu", 4, 1, 1)
"""nin-imagenet's second convolution."""


def target(name: str) -> GpuTarget:
    found = load_target(name)
    assert isinstance(found, GpuTarget)
    return found


def conv2(tile: tuple[int, int], lanes: tuple[int, int], threads: int, pixels: int, chunk: int, split: int) -> Plan:
    stage = Stage(256, 96, "relu", pixels, 8, 2)
    return Plan(CONV2, "patch", "no", 0, "none", tile, lanes, threads, chunk, 1, (1, split), (stage,))


def pointwise(pixels: int, channels: int, units: tuple[int, ...]) -> Conv:
    return Conv("NHWC", 1, channels, (1, pixels), units[0], (1, 1), (1, 1), (0,) * 4, (1, 1), None, "relu", 4, 1, 1)


def cccp7(each: int, lanes: int, threads: int, chunk: int, slices: int) -> Plan:
    """nin-imagenet's, 36 pixels."""
    conv, stage = pointwise(36, 1024, (1024,)), Stage(1024, 1024, "relu", each, 8, 4)
    tile = 1, each * lanes
    return Plan(conv, "patch", "all", 4, "relu", tile, (1, lanes), threads, chunk, slices, (1, 8), (stage,))


def cccp34(columns: int) -> Plan:
    """nin-cifar10's pair of 1×1 layers, four pixels a block."""
    stages = tuple(Stage(192, 192, "relu", 4, columns, 4) for _ in range(2))
    return Plan(pointwise(256, 192, (192, 192)), "patch", "all", 4, "relu", (1, 4), (1, 1), 1536 // columns, 192, 1,
                (1, 1), stages)  # fmt: skip


def _compare(counted: float, said: int, plan: Plan) -> None:
    """Exact, but that LLVM chooses how zeros are staged beside what is read, and may keep what two taps read."""
    zeros = any(plan.conv.padding) or plan.first.depth > plan.conv.channels
    if not zeros and plan.conv.kernel == (1, 1):
        assert counted == said
        return
    assert 0.75 * said <= counted <= said + (staging_clocks(plan).taken if zeros else 0)


@kernel_settings
@given(segments(), segments(pointwise=True), st.integers(0, 9999))
def test_conflicts_are_those_that_the_interpreter_counts(conv: Segment, gemm: Segment, seed: int) -> None:
    for segment in (conv, gemm):
        plan = some_plan(segment, seed)
        if plan is None:
            continue
        whole = all(extent % tile == 0 for extent, tile in zip(plan.conv.out_size, plan.tile, strict=True))
        assume(whole and (plan.split == 1 or plan.conv.channels % 4 == 0))
        said, counts = shared_clocks(plan), check_plan(plan)
        assert counts.bank_conflicts == said.conflicts * plan.blocks
        if plan.epilogue == "map" and plan.conv.channels % 4 == 0:
            _compare(counts.shared_wavefronts / plan.blocks, said.taken, plan)
            assert counts.instructions["fma"] == multiply_adds(plan) * plan.blocks


@pytest.mark.parametrize("tile", [(4, 7), (3, 14), (2, 9)])
def test_a_split_convolution_with_colliding_or_free_reads_is_counted_as_it_runs(tile: tuple[int, int]) -> None:
    """Rows of lanes beside shares: one in which quarter warps reach over both, and others."""
    conv = replace(CONV2, size=tile, channels=48, units=64, kernel=(3, 3), padding=(1,) * 4, pool=None)
    lanes = (3, 2) if tile == (3, 14) else (1, tile[1])
    each = tile[0] * tile[1] // (lanes[0] * lanes[1])
    threads = -(-lanes[0] * lanes[1] * 16 * 2 // 32) * 32
    stage = Stage(64, 48, "relu", each, 4, 2)
    plan = Plan(conv, "patch", "no", 0, "none", tile, lanes, threads, 24, 1, (1, 1), (stage,))
    said, counts = shared_clocks(plan), check_plan(plan)
    assert (counts.shared_wavefronts, counts.bank_conflicts) == (said.taken, said.conflicts)


def test_plans_whose_threads_meet_in_a_bank_do_not_keep_pace() -> None:
    colliding = conv2((3, 14), (3, 2), 384, 7, 24, 4), cccp7(6, 6, 192, 128, 16)
    free = conv2((3, 7), (3, 1), 192, 7, 24, 4), cccp7(4, 1, 128, 128, 4)
    assert all(shared_clocks(plan).conflicts > 0 for plan in colliding)
    assert not any(shared_clocks(plan).conflicts for plan in free)
    for plan, good in zip(colliding, free, strict=True):
        assert not keeps_pace(plan, target("sm_86")) and keeps_pace(good, target("sm_86"))


def test_a_card_of_twice_the_multipliers_wants_twice_the_reuse() -> None:
    assert keeps_pace(cccp34(4), target("sm_80"))
    assert not keeps_pace(cccp34(4), target("sm_86")) and not keeps_pace(cccp34(4), target("sm_90"))
    assert keeps_pace(cccp34(8), target("sm_86"))


def test_a_chunk_whose_reads_collide_fits_no_card() -> None:
    assert not chunk_fits(conv2((3, 14), (3, 2), 384, 7, 24, 4), 1 << 17)
    assert chunk_fits(conv2((3, 7), (3, 1), 192, 7, 24, 4), 1 << 17)
    assert not chunk_fits(conv2((3, 7), (3, 1), 192, 7, 24, 4), 1 << 10)  # too large


@pytest.mark.parametrize("name", ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90"])
def test_the_rule_takes_what_keeps_pace_unless_it_is_far_dearer(name: str) -> None:
    segment = Segment(CONV2, "no", 0, "none", (Layer(256, "relu"),), "map", True)
    cuts = cheapest_cuts(segment, target(name))
    assert len(cuts) >= 3
    for cut in cuts.values():
        assert cut.paced is not None and keeps_pace(cut.paced.plan, target(name))
        if cut.other is not None:
            assert not keeps_pace(cut.other.plan, target(name)) and cut.other.score < cut.paced.score * 1.5
        if cut.choice is cut.paced:
            assert not may_wait(conv2((3, 14), (3, 2), 384, 7, 24, 4), segment, target(name))


def test_a_far_cheaper_plan_may_wait() -> None:
    paced, plan = Choice(cccp34(8), 1.0, PATIENCE), cccp34(4)
    assert Cut(paced, Choice(plan, 1.0, 1.01)).choice is paced
    assert Cut(paced, other := Choice(plan, 1.0, 0.99)).choice is other
    assert Cut(None, other).choice is other and Cut(paced).choice is paced


def test_layers_too_small_to_keep_pace_are_still_cut() -> None:
    """Ten channels: the rule and the space are left with what there is."""
    segment = Segment(pointwise(25, 10, (10,)), "all", 0, "none", (Layer(10, "relu"),), "map", False)
    cut = cheapest_cuts(segment, target("sm_86"))[1]
    assert cut.paced is None and cut.other is not None
    assert may_wait(cut.other.plan, segment, target("sm_86"))


def test_clocks_of_accesses() -> None:
    threads = np.arange(32)[None]
    assert (clocks_of(threads).taken, clocks_of(threads).conflicts) == (4, 0)
    assert (clocks_of(threads * 8).taken, clocks_of(threads * 8).conflicts) == (32, 28)
    assert clocks_of(threads * 0).taken == 4  # one quad for all: a clock a quarter warp
    assert clocks_of(threads, 1).taken == 1 and clocks_of(threads * 2, 1).taken == 2
    assert clocks_of(np.where(threads < 8, threads, -1)).taken == 1 and clocks_of(threads[:, :3]).taken == 1
