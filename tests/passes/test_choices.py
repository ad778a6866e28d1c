"""choices: knobs follow from the target and the layer, and small work is not split."""

from dataclasses import replace

import pytest

from nincc.kernels.spec import Conv
from nincc.passes.choices import TASK_CYCLES, choose_conv, gemm_knobs, gemm_pool_knobs, tasks_for
from nincc.target import load_target
from passes.running import OPTIONS


@pytest.mark.parametrize(("cycles", "tasks"), [(0, 1), (TASK_CYCLES, 1), (2 * TASK_CYCLES, 2), (100 * TASK_CYCLES, 4)])
def test_a_task_has_enough_to_do(cycles, tasks):
    assert tasks_for(cycles, replace(OPTIONS, threads=4)) == tasks


def test_one_thread_means_one_task():
    assert gemm_knobs(1024, 192, 192, replace(OPTIONS, threads=1))["tasks"] == 1


@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
@pytest.mark.parametrize("rows", [1, 7, 36, 1024])
def test_the_register_tile_fits_rows_and_registers(target, rows):
    options = replace(OPTIONS, target=load_target(target))
    for knobs in (gemm_knobs(rows, 96, 40, options), gemm_pool_knobs(2, rows, 96, 40, options)):
        assert knobs["mr"] >= 1 and 2 * knobs["mr"] + 3 <= options.target.registers
        assert 0 < knobs["error"] < 1e-5 and knobs["reason"].startswith("rule: ")


@pytest.mark.parametrize(("rows", "depth", "units"), [(36, 1024, 1024), (8192, 192, 160)])
def test_weights_are_read_once(rows, depth, units):
    assert gemm_knobs(rows, depth, units, OPTIONS)["order"] == "nm"


def test_options_reach_the_rule():
    conv = Conv("NHWC", 1, 96, (16, 16), 192, (5, 5), (1, 1), (2, 2, 2, 2), (1, 1), None, "relu", 8, 1, 1)
    assert choose_conv(conv, OPTIONS).operator == "nincc.conv2d_winograd"
    assert choose_conv(conv, replace(OPTIONS, optimize="size")).operator == "nincc.conv2d"
    assert choose_conv(conv, replace(OPTIONS, error_budget=1e-9)).operator == "nincc.conv2d"
    assert choose_conv(conv, replace(OPTIONS, error_budget=4e-6)).knobs["m"] < choose_conv(conv, OPTIONS).knobs["m"]
