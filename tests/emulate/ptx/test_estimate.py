"""The roofline, by hand."""

from __future__ import annotations

from collections import Counter

import pytest

from nincc.emulate.ptx import Counts
from nincc.emulate.ptx.estimate import estimate_launch, occupancy, total_seconds
from nincc.gpu_target import GpuTarget
from nincc.target import load_target


@pytest.fixture(scope="module")
def card() -> GpuTarget:
    target = load_target("sm_80")
    assert isinstance(target, GpuTarget)
    return target


def test_a_grid_that_fills_the_card_is_bound_by_its_fmas(card: GpuTarget) -> None:
    counts = Counts("k", 1, blocks=2 * 108, instructions=Counter(fma=10**9, load_shared=10**7), longest_thread=5000)
    estimate = estimate_launch(counts, card)
    assert estimate.bound == "float"
    assert estimate.seconds == pytest.approx(10**9 / (64 * 108) / 1.41e9)
    # At its peak, the card does 19.5 TFLOPS.
    assert 2 * 10**9 / estimate.seconds == pytest.approx(19.5e12, rel=0.01)


def test_a_small_grid_leaves_the_card_idle(card: GpuTarget) -> None:
    work = Counter(fma=10**8)
    full = estimate_launch(Counts("k", 1, blocks=108, instructions=work), card)
    half = estimate_launch(Counts("k", 1, blocks=54, instructions=work), card)
    tail = estimate_launch(Counts("k", 1, blocks=109, instructions=work), card)
    assert half.seconds == pytest.approx(2 * full.seconds)
    assert tail.seconds == pytest.approx(2 * 108 / 109 * full.seconds)
    assert total_seconds([full, half]) == pytest.approx(3 * full.seconds)


def test_memory_and_long_threads_bound_too(card: GpuTarget) -> None:
    copy = Counts("k", 1, blocks=1080, unique_read_sectors=10**6, unique_write_sectors=10**6)
    assert estimate_launch(copy, card).bound == "memory"
    assert estimate_launch(copy, card).seconds == pytest.approx(64e6 / 1555e9)
    chain = Counts("k", 1, blocks=1, instructions=Counter(integer=32 * 10**5), longest_thread=10**5)
    assert estimate_launch(chain, card).bound == "thread"
    conflicts = Counts("k", 1, blocks=108, instructions=Counter(fma=10**6), shared_wavefronts=10**7)
    assert estimate_launch(conflicts, card).bound == "shared"


def test_occupancy(card: GpuTarget) -> None:
    assert occupancy(32, 0, 256, card) == 1.0
    assert occupancy(64, 0, 256, card) == 0.5
    assert occupancy(32, 48 * 1024, 256, card) == 3 * 256 / 2048
    assert occupancy(32, 0, 32, card) == 0.5  # 32 blocks at most
