"""The cost rule's choices: within the budget, sensible, and plans that the kernel accepts."""

from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from nincc.kernels.cost import Core, rows_inside
from nincc.kernels.error_table import winograd_error
from nincc.kernels.rule import busiest, imbalance, pick_conv, unit_panels
from nincc.kernels.spec import Conv, Pooling
from nincc.kernels.winograd_spec import winograd_spec
from nincc.target import cpu_names, load_target

TARGET = load_target("x86-64-v3")


def conv(channels, size, units, taps, stride=1, padding=0, *, batch=1, layout="NHWC", pool=None):
    return Conv(
        layout, batch, channels, size, units, (taps, taps), (stride, stride), (padding,) * 4, (1, 1), pool, "relu",
        lanes=8, mr=1, tasks=1,
    )  # fmt: skip


CONV2 = conv(96, (16, 16), 192, 5, padding=2)
CONV3 = conv(192, (8, 8), 192, 3, padding=1)
STRIDED = conv(3, (224, 224), 96, 11, 4, layout="NCHW")


@pytest.mark.parametrize(("layer", "r"), [(CONV2, 5), (CONV3, 3), (STRIDED, 3)])
def test_winograd_wins_where_it_was_measured_to(layer, r):
    choice = pick_conv(layer, TARGET)
    assert choice.operator == "nincc.conv2d_winograd"
    assert choice.plan.r == r
    assert choice.reason.startswith(f"F({choice.plan.m}, {r})")
    assert choice.error == winograd_error(choice.plan.m, r, choice.plan.depth) <= 1e-5


def test_direct_for_what_winograd_cannot_do():
    for layer in (
        replace(CONV2, kernel=(5, 3)),
        replace(CONV2, dilation=(2, 2)),
        replace(CONV2, strides=(2, 1)),
        conv(16, (16, 16), 16, 3, 3),
    ):
        choice = pick_conv(layer, TARGET)
        assert choice.operator == "nincc.conv2d" and choice.plan is None
        assert choice.reason.startswith("direct")


def test_direct_where_tiles_are_mostly_waste():
    assert pick_conv(conv(64, (3, 3), 64, 3), TARGET).operator == "nincc.conv2d"


def test_size_keeps_weights_at_their_onnx_size():
    assert pick_conv(CONV2, TARGET, optimize="size").operator == "nincc.conv2d"


def test_a_tighter_budget_takes_smaller_tiles():
    sizes = []
    for budget in (1e-5, 4e-6, 1.3e-6):
        choice = pick_conv(CONV2, TARGET, error_budget=budget)
        assert choice.error <= budget
        sizes.append(choice.plan.m)
    assert sizes == [4, 3, 2]
    strict = pick_conv(CONV2, TARGET, error_budget=1e-7)
    assert strict.operator == "nincc.conv2d" and "budget" in strict.reason


@settings(max_examples=60, derandomize=True, deadline=None, phases=[Phase.generate])
@given(
    st.sampled_from(cpu_names()), st.integers(1, 9), st.integers(1, 200), st.integers(5, 40), st.integers(1, 200),
    st.sampled_from([(3, 1), (5, 1), (7, 1), (3, 2), (5, 2), (11, 4)]), st.sampled_from([1, 2, 4]), st.booleans(),
)  # fmt: skip
def test_any_choice_is_one_that_the_kernels_take(name, batch, channels, size, units, taps, threads, pooled):
    target = load_target(name)
    pool = Pooling("max", (2, 2), (2, 2), (0, 0, 0, 0), (size, size)) if pooled else None
    source = (2 * size, 2 * size) if pooled else (size, size)
    layer = conv(channels, source, units, taps[0], taps[1], taps[0] // 2, batch=batch, pool=pool)
    choice = pick_conv(layer, target, threads=threads)
    assert choice.knobs["tasks"] == threads
    assert 1 <= choice.knobs["mr"] <= Core(target).most_rows
    assert choice.cycles > 0 and choice.error <= 1e-5
    if choice.plan is None:
        return
    attrs = {
        "layout": "NHWC", "channels": channels, "units": units, "kernel": layer.kernel, "strides": layer.strides,
        "padding": layer.padding, "dilation": (1, 1), "pool": str(pool or ""), "activation": "relu",
        "lanes": target.lanes,
    }  # fmt: skip
    shape = (batch, *source, -(-channels // target.lanes) * target.lanes)
    plan = winograd_spec(shape, attrs | choice.knobs)
    assert plan == choice.plan
    assert plan.unit_block * (plan.unit_blocks - 1) < plan.panels * plan.panel <= plan.unit_block * plan.unit_blocks


def test_work_is_cut_for_all_tasks():
    for batch in (1, 8):
        plan = pick_conv(replace(CONV2, batch=batch), TARGET, threads=4).plan
        items = {"image": plan.groups, "tile": plan.tile_blocks}.get(plan.order, plan.tile_blocks * plan.unit_blocks)
        assert items >= 4


def test_the_last_block_of_units_counts_as_what_it_is():
    """Six panels in blocks of four: one of two threads would have twice the other's work."""
    plan = pick_conv(CONV2, TARGET, threads=2).plan
    panels = replace(plan, conv=replace(plan.conv, units=12 * TARGET.lanes), order="unit", tile_block=plan.tiles)
    shares = {count: busiest(replace(panels, unit_block=count * panels.panel), 2) for count in unit_panels(6)}
    assert shares == {1: 1, 2: 4 / 3, 3: 1, 4: 4 / 3, 6: 2}


def test_tiles_that_cross_cores_cost_something():
    """Order "unit" shares the transformed tiles; order "tile" leaves each core its own."""
    plan = pick_conv(CONV2, TARGET, threads=2).plan
    halves = replace(plan, tile_block=plan.tiles // 2, order="tile")
    shared = replace(plan, tile_block=plan.tiles, unit_block=plan.panels * plan.panel // 2, order="unit")
    assert busiest(halves, 2) == busiest(shared, 2) == 1
    assert imbalance(halves, 2) == imbalance(shared, 1) == 1 < imbalance(shared, 2)


def test_rows_of_the_kernel_in_the_padding_cost_nothing():
    """11 taps on 15 rows padded by 5: 6, 7, … 11 of them in the map, and as few at the other end."""
    layer = conv(7, (15, 15), 94, 11, 1, 5)
    assert rows_inside(layer) == pytest.approx((2 * (6 + 7 + 8 + 9 + 10) + 5 * 11) / (15 * 11))
    assert rows_inside(replace(layer, padding=(0, 5, 0, 5))) == 1


def test_register_tiles_balance_their_rows():
    core = Core(TARGET)
    assert core.most_rows == 6
    assert core.best_rows(12, 64) == 6
    assert core.best_rows(9, 64) in (5, 6)
