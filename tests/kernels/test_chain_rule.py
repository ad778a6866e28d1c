"""Which GEMMs share a kernel and which multiply by Strassen's algorithm, by the rule."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from nincc.kernels.chain_rule import Product, plan_runs
from nincc.kernels.chain_spec import takes_strassen
from nincc.kernels.cost import Core
from nincc.kernels.error_table import direct_error, strassen_error
from nincc.kernels.spec import most_rows
from nincc.target import cpu_names, load_target

TARGET = load_target("x86-64-v3")


def products(*widths):
    return [Product(depth, units, "relu") for depth, units in zip(widths, widths[1:], strict=False)]


def flags(run):
    return [layer.strassen for layer in run.chain.layers]


@pytest.mark.parametrize("rows, widths", [(1024, (192, 160, 96)), (8192, (192, 160, 96)), (2916, (96, 96, 96))])
def test_the_mlpconv_blocks_that_were_measured_to_win(rows, widths):
    (run,) = plan_runs(products(*widths), rows, TARGET, tasks=4)
    assert (run.first, run.count) == (0, 2) and flags(run) == [True, True]
    assert run.error == strassen_error(max(widths[:-1])) <= 1e-5


def test_large_weights_are_not_multiplied_by_strassen():
    (run,) = plan_runs(products(1024, 1024), 288, TARGET)
    assert run.chain is None and run.error == direct_error(1024)


def test_size_and_the_error_budget_forbid_strassen():
    for options in ({"optimize": "size"}, {"error_budget": 1e-7}):
        runs = plan_runs(products(192, 160, 96), 8192, TARGET, **options)
        assert all(run.chain is None or not any(flags(run)) for run in runs)


@settings(max_examples=60, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(
    st.sampled_from(cpu_names()), st.integers(1, 9000), st.lists(st.integers(1, 600), min_size=2, max_size=5),
    st.integers(1, 8),
)  # fmt: skip
def test_any_row_of_gemms_is_cut_whole(name, rows, widths, tasks):
    target = load_target(name)
    runs = plan_runs(products(*widths), rows, target, tasks=tasks)
    assert [run.first for run in runs] == [sum(run.count for run in runs[:i]) for i in range(len(runs))]
    assert sum(run.count for run in runs) == len(widths) - 1
    for run in runs:
        assert run.cycles > 0 and 0 < run.error < 1e-5
        if run.chain is None:
            assert run.count == 1
            continue
        assert 1 <= run.chain.mr <= most_rows(target) and 1 <= run.chain.block <= run.chain.tiles
        assert 1 <= run.chain.tasks <= tasks
        for layer in run.chain.layers:
            assert not layer.strassen or takes_strassen(layer.depth, layer.units, target.lanes)


def test_rows_stay_in_l1_while_weights_stay_in_l2():
    core = Core(TARGET)
    assert core.row_block(8192, 6, 192, 160) == 1
    assert core.row_block(36, 6, 1024, 1024) == 6
    block = core.row_block(8192, 6, 1024, 1024)
    assert TARGET.l2 / 4 < block * 6 * 1024 * 4 <= TARGET.l2 / 2
