"""nincc.cuda_mlpconv in the PTX interpreter, against float64: any layer, any cut; bounds and races are checked
there.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.cuda_plans import check_plan, segments, some_plan
from kernels.strategies import kernel_settings
from nincc.kernels.cuda.candidates import Segment
from nincc.kernels.cuda.plan import Plan
from nincc.kernels.cuda.stage import Stage
from nincc.kernels.spec import Conv, Pooling

SEEDS = st.integers(0, 10**6)


@kernel_settings
@given(segments(), SEEDS)
def test_convolutions_and_chains(segment: Segment, seed: int) -> None:
    plan = some_plan(segment, seed)
    if plan is not None:
        check_plan(plan, seed)


@kernel_settings
@given(segments(pointwise=True), SEEDS)
def test_gemms_and_chains(segment: Segment, seed: int) -> None:
    plan = some_plan(segment, seed)
    if plan is not None:
        check_plan(plan, seed)


def conv(channels: int, size: tuple[int, int], units: int, kernel: int, **given: object) -> Conv:
    stride, padding = int(given.get("stride", 1)), int(given.get("padding", 0))  # type: ignore[call-overload]
    layout, pool = str(given.get("layout", "NHWC")), given.get("pool")
    return Conv(
        layout, 1, channels, size, units, (kernel,) * 2, (stride,) * 2, (padding,) * 4, (1, 1),
        pool, "relu", 4, 1, 1,  # type: ignore[arg-type]
    )  # fmt: skip


MAX = Pooling("max", (3, 3), (2, 2), (0, 0, 0, 0), (8, 8))
WIDE = Plan(
    conv(32, (16, 16), 64, 3, padding=1, pool=MAX), "patch", "no", 0, "none", (8, 8), (1, 8), 128, 32, 1, (1, 1),
    (Stage(64, 32, "relu", 8, 8, 2), Stage(64, 64, "relu", 8, 8, 2)),
)  # fmt: skip
STRIDED = Plan(
    conv(3, (35, 35), 96, 11, stride=4, layout="NCHW"), "columns", "no", 0, "none", (1, 7), (1, 1), 96, 364, 1, (1, 1),
    (Stage(96, 364, "relu", 7, 4, 1), Stage(96, 96, "relu", 7, 4, 4)),
)  # fmt: skip
SPLIT = Plan(
    conv(32, (8, 8), 48, 5, padding=2), "patch", "no", 0, "none", (1, 8), (1, 1), 96, 16, 1, (5, 2), (Stage(48, 32,
    "relu", 8, 8, 4),)
)  # fmt: skip


@pytest.mark.parametrize("plan", [WIDE, STRIDED, SPLIT], ids=["wide", "strided", "split"])
def test_tiles_of_nins_have_no_bank_conflicts(plan: Plan) -> None:
    counts = check_plan(plan)
    assert counts.bank_conflicts == 0


def test_the_inner_loop_is_multiply_adds() -> None:
    counts = check_plan(WIDE)
    exact = 64 * 64 * (9 * 32 + 64)
    assert counts.instructions["fma"] == exact
    assert counts.fma_share > 0.6  # a tiny map: staging and adding up weigh more than in a net


def test_weights_are_read_once_a_block() -> None:
    """64 pixels a block: each sector of the weights is fetched by one warp."""
    counts = check_plan(WIDE)
    weights = (9 * 32 + 64) * 64 * 4 // 32
    staged = 10 * 10 * 32 * 9 * 4 // 32
    assert counts.read_sectors < 1.2 * (weights + staged)
