"""Workloads and their spaces: every zoo convolution has algorithms to choose from, and no two points are one kernel."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from nincc.kernels.chain_rule import Product, plan_runs
from nincc.kernels.rule import pick_conv
from nincc.kernels.spec import balanced
from nincc.kernels.winograd_spec import Winograd
from nincc.records.spaces import space_of
from nincc.records.task import parse_task, task_for
from nincc.records.workload import chain_workload, conv_workload, gemm_pool_workload, gemm_workload
from nincc.target import cpu_names, cpu_target
from tests.records.lines import CHAIN_TASK, CONV, CONV_TASK, DIRECT, F4, GEMM_TASK, X86

POINTS = 200


@pytest.mark.parametrize("workload", [
    conv_workload(CONV), conv_workload(replace(CONV, pool=None)), gemm_workload(36, 1024, 10),
    gemm_pool_workload(2, 64, 192, 10), chain_workload(1024, 192, [160, 96]),
])  # fmt: skip
def test_a_task_survives_json(workload) -> None:
    task = task_for(workload, X86, 3)
    assert parse_task(task.name, json.loads(json.dumps(task.args))) == task


@pytest.mark.parametrize(("name", "args", "words"), [
    ("conv2d_nchw.x86", [], "not one of nincc's"),
    ("nincc.gemm/new", [1, 2, 3, 8, 6, 4], "not one of nincc's"),
    ("nincc.gemm/1", [1, 2, 8, 6, 4], "arguments"),
])  # fmt: skip
def test_other_tasks_are_refused(name, args, words) -> None:
    with pytest.raises(ValueError, match=words):
        parse_task(name, args)


def test_the_geometry_comes_back() -> None:
    assert replace(CONV_TASK.workload.conv(8), mr=CONV.mr, tasks=CONV.tasks) == CONV
    assert CONV_TASK.workload.macs == 16 * 16 * 25 * 96 * 192
    assert GEMM_TASK.workload.macs == 1024 * 192 * 160


def test_a_convolution_has_two_algorithms_and_200_points() -> None:
    points = list(space_of(CONV_TASK).points(1e-5))
    assert len(points) >= POINTS
    assert {space_of(CONV_TASK).algorithm(knobs) for knobs in points} == {"direct", "F(2, 5)", "F(3, 5)", "F(4, 5)"}


def test_the_budget_takes_algorithms_away() -> None:
    assert {knobs["m"] for knobs in space_of(CONV_TASK).points(1e-7)} == {0}
    assert all(space_of(CONV_TASK).error(knobs) <= 4e-6 for knobs in space_of(CONV_TASK).points(4e-6))


def test_points_are_distinct_and_allowed() -> None:
    for task in (CONV_TASK, GEMM_TASK, CHAIN_TASK):
        space = space_of(task)
        points = [tuple(sorted(knobs.items())) for knobs in space.points()]
        assert len(set(points)) == len(points)
        assert all(space.allows(dict(point)) and space.canonical(dict(point)) == dict(point) for point in points)


@pytest.mark.parametrize("change", [{"mr": 0}, {"mr": 7}, {"m": 7}, {"tile_block": 5}, {"order": "mn"}, {"more": 1}])
def test_what_is_no_kernel_is_not_allowed(change) -> None:
    assert space_of(CONV_TASK).allows(F4)
    assert not space_of(CONV_TASK).allows({**F4, **change})


def test_a_direct_kernel_has_no_blocking() -> None:
    assert space_of(CONV_TASK).plan(DIRECT) is None
    plan = space_of(CONV_TASK).plan(F4)
    assert isinstance(plan, Winograd) and (plan.m, plan.r, plan.tile_block, plan.conv.mr) == (4, 5, 16, 6)


@pytest.mark.parametrize("name", cpu_names())
@pytest.mark.parametrize("conv", [
    CONV,
    replace(CONV, batch=8, pool=None, size=(16, 16)),
    replace(CONV, layout="NCHW", channels=3, pool=None, size=(224, 224), kernel=(11, 11), strides=(4, 4), units=96),
])  # fmt: skip
def test_the_rules_choice_is_a_point(name, conv) -> None:
    target = cpu_target(name)
    conv = replace(conv, lanes=target.lanes)
    space = space_of(task_for(conv_workload(conv), target, 4))
    choice = pick_conv(conv, target, threads=4)
    known = {key: value for key, value in choice.knobs.items() if key in space.candidates}
    knobs = space.canonical(known)
    assert space.allows(knobs)
    plan = space.plan(knobs)
    assert (plan is None) == (choice.plan is None)
    if plan is not None and choice.plan is not None:
        mr = balanced(plan.tile_block, choice.plan.conv.mr)[2]
        assert plan == replace(choice.plan, conv=replace(choice.plan.conv, mr=mr))


def test_a_chains_layers_may_halve_each() -> None:
    space = space_of(CHAIN_TASK)
    assert {knobs["strassen"] for knobs in space.points(1e-5)} == {"00", "01", "10", "11"}
    assert {knobs["strassen"] for knobs in space.points(1e-8)} == {"00"}
    assert CHAIN_TASK.workload.macs == 1024 * (192 * 160 + 160 * 96)


@pytest.mark.parametrize("name", cpu_names())
def test_the_rules_chain_is_near_a_point(name) -> None:
    target = cpu_target(name)
    products = [Product(192, 160, "relu"), Product(160, 96, "relu")]
    for run in plan_runs(products, 1024, target, tasks=4):
        if run.chain is None:
            continue
        first, units = run.chain.layers[0], [layer.units for layer in run.chain.layers]
        space = space_of(task_for(chain_workload(1024, first.depth, units), target, 4))
        way = "".join(str(int(layer.strassen)) for layer in run.chain.layers)
        knobs = space.canonical({"strassen": way, "mr": run.chain.mr, "block": run.chain.block})
        assert space.allows(knobs) and space.chain(knobs).cut == run.chain.cut


def test_imbalance_is_that_of_the_busiest_thread() -> None:
    space = space_of(CONV_TASK)
    one_block = {**F4, "order": "tile"}
    assert space.imbalance(one_block, 1) == 1 and space.imbalance(one_block, 4) == 4
    assert space.imbalance(F4, 1) == 1 and 1 < space.imbalance(F4, 4) < 1.2  # each reads the others' tiles
